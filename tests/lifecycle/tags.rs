//! Tags, default tags, and null elements of maps and sets.

use super::galleries::{GALLERY, gallery};
use crate::cases;
use crate::core::{Action, Core, Held, Json, UNKNOWN, changed, json, patched};

#[tokio::test(start_paused = true)]
async fn resource_tags_override_default_tags() {
    let defaults = json!({"default_tags": {"team": "platform", "cost": "1"}});
    for case in cases::all() {
        let core = Core::with(defaults.clone()).await;
        if !core.block(case.type_name).attributes.iter().any(|a| a.name == "tags_all") {
            continue;
        }
        (case.prepare)(&core);
        let id = case.id.clone().unwrap();
        let all = |held: &Held| azimage::schema::json::encode(held.get("tags_all"));
        // no tags, a tag that repeats a default, and a tag that overrides one
        let held = core.create(case.type_name, &case.small).await;
        assert!(held.get("tags").is_empty());
        assert_eq!(all(&held), json!({"team": "platform", "cost": "1"}), "{}", case.name);
        assert_eq!(core.azure_object(&id)["tags"], json!({"team": "platform", "cost": "1"}));
        let with = |tags: Json| patched(&case.small, &json!({"tags": tags}));
        let held = core.change(&held, &with(json!({"team": "platform"})), Action::NoOp).await;
        let held = core.change(&held, &with(json!({"team": "images", "os": "linux"})), Action::Update).await;
        assert_eq!(all(&held), json!({"team": "images", "cost": "1", "os": "linux"}));
        // an import also separates default tags from the resource's tags
        let brought = core.import(case.type_name, &id, None).await.unwrap();
        assert_eq!(
            azimage::schema::json::encode(brought.get("tags")),
            json!({"team": "images", "os": "linux"})
        );
        let held = core.change(&held, &case.small, Action::Update).await;
        // another client removes a default tag
        core.tamper(&id, json!({"tags": {"cost": null}}));
        let read = core.refresh(&held).await.unwrap().unwrap();
        assert_eq!(changed(&held.state, &read.state), ["tags_all"], "{}", case.name);
        let held = core.change(&read, &case.small, Action::Update).await;
        // the default tags themselves change
        let next = core.new_run(json!({"default_tags": {"team": "other"}})).await;
        let read = next.refresh(&held).await.unwrap().unwrap();
        let plan = next.plan(case.type_name, Some(&read), &case.small).await;
        assert_eq!(plan.action, Action::Update);
        let applied = next.apply(&plan).await;
        assert!(!applied.diagnostics.has_errors(), "{}: {:?}", case.name, applied.diagnostics);
        let held = next.assert_no_changes(&applied.held.unwrap(), &case.small).await;
        assert_eq!(next.azure_object(&id)["tags"], json!({"team": "other"}), "{}", case.name);
        assert_eq!(all(&held), json!({"team": "other"}));
    }
}

// In HCL a map key may have a null value: the service gets no tag, and later plans are empty.
#[tokio::test(start_paused = true)]
async fn tag_with_null_value_is_omitted_and_plans_no_changes() {
    for case in cases::all() {
        let core = Core::new().await;
        if !core.block(case.type_name).attributes.iter().any(|a| a.name == "tags_all") {
            continue;
        }
        (case.prepare)(&core);
        let mut config = case.small.clone();
        config["tags"] = json!({"os": "linux", "owner": null});
        let held = core.create(case.type_name, &config).await;
        assert_eq!(
            azimage::schema::json::encode(held.get("tags_all")),
            json!({"os": "linux"}),
            "{}",
            case.name
        );
        config["tags"] = json!({"os": "unix", "owner": null, "more": null});
        let held = core.change(&held, &config, Action::Update).await;
        config["tags"] = json!({"os": "unix"});
        core.change(&held, &config, Action::NoOp).await;
    }
}

// A tag whose value is unknown at plan may turn out to be null.
#[tokio::test(start_paused = true)]
async fn unknown_tag_may_become_null() {
    let core = Core::new().await;
    (cases::gallery().prepare)(&core);
    let tags = |owner: Json| gallery(json!({"tags": {"os": "linux", "owner": owner}}));
    let open = core.config(GALLERY, &tags(json!(UNKNOWN)));
    let plan = core.try_plan(GALLERY, None, &open).await.unwrap();
    // a merge patch would remove a null
    let mut none = tags(json!("x"));
    none["tags"]["owner"] = Json::Null;
    let applied = core.apply_as(&plan, &core.config(GALLERY, &none)).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    let all = azimage::schema::json::encode(applied.held.unwrap().get("tags_all"));
    assert_eq!(all, json!({"os": "linux"}));
}

// An element of a set must not be null.
#[tokio::test(start_paused = true)]
async fn null_in_a_set_is_rejected() {
    let core = Core::new().await;
    let diagnostics = core
        .plan_refused(
            GALLERY,
            None,
            &gallery(json!({"sharing": {"permission": "Groups", "tenant_ids": [null]}})),
        )
        .await;
    diagnostics.assert_error(&["contains a null element"]);
    assert_eq!(diagnostics.error_paths(), ["sharing.tenant_ids"]);
}
