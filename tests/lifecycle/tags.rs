//! Tags, default tags, and maps and sets with nothing in an element.

use super::galleries::{GALLERY, gallery};
use crate::cases;
use crate::core::{Action, Core, Held, Json, UNKNOWN, changed, json, patched};

#[tokio::test(start_paused = true)]
async fn default_tags_lie_under_the_resources_own() {
    let defaults = json!({"default_tags": {"team": "platform", "cost": "1"}});
    for case in cases::all() {
        let core = Core::with(defaults.clone()).await;
        if !core.block(case.type_name).attributes.iter().any(|a| a.name == "tags_all") {
            continue;
        }
        (case.prepare)(&core);
        let id = case.id.clone().unwrap();
        let all = |held: &Held| azimage::schema::json::encode(held.get("tags_all"));
        // none of its own, one that repeats a default, one that overrides
        let held = core.create(case.type_name, &case.small).await;
        assert!(held.get("tags").is_empty());
        assert_eq!(all(&held), json!({"team": "platform", "cost": "1"}), "{}", case.name);
        assert_eq!(core.look(&id)["tags"], json!({"team": "platform", "cost": "1"}));
        let with = |tags: Json| patched(&case.small, &json!({"tags": tags}));
        let held = core.change(&held, &with(json!({"team": "platform"})), Action::NoOp).await;
        let held = core.change(&held, &with(json!({"team": "images", "os": "linux"})), Action::Update).await;
        assert_eq!(all(&held), json!({"team": "images", "cost": "1", "os": "linux"}));
        // an import tells them apart too
        let brought = core.import(case.type_name, &id, None).await.unwrap();
        assert_eq!(
            azimage::schema::json::encode(brought.get("tags")),
            json!({"team": "images", "os": "linux"})
        );
        let held = core.change(&held, &case.small, Action::Update).await;
        // somebody takes a default away
        core.tamper(&id, json!({"tags": {"cost": null}}));
        let read = core.refresh(&held).await.unwrap().unwrap();
        assert_eq!(changed(&held.state, &read.state), ["tags_all"], "{}", case.name);
        let held = core.change(&read, &case.small, Action::Update).await;
        // the defaults themselves change
        let next = core.again(json!({"default_tags": {"team": "other"}})).await;
        let read = next.refresh(&held).await.unwrap().unwrap();
        let plan = next.plan(case.type_name, Some(&read), &case.small).await;
        assert_eq!(plan.action, Action::Update);
        let applied = next.apply(&plan).await;
        assert!(!applied.told.has_errors(), "{}: {:?}", case.name, applied.told);
        let held = next.settled(&applied.held.unwrap(), &case.small).await;
        assert_eq!(next.look(&id)["tags"], json!({"team": "other"}), "{}", case.name);
        assert_eq!(all(&held), json!({"team": "other"}));
    }
}

// In HCL a map may hold a key whose value is null: no tag to the service, and no difference ever after.
#[tokio::test(start_paused = true)]
async fn a_tag_without_a_value_is_no_tag_and_no_difference() {
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

// A tag whose value is known late may have none in the end.
#[tokio::test(start_paused = true)]
async fn a_tag_that_is_unknown_may_turn_out_to_be_none() {
    let core = Core::new().await;
    (cases::gallery().prepare)(&core);
    let tags = |owner: Json| gallery(json!({"tags": {"os": "linux", "owner": owner}}));
    let open = core.config(GALLERY, &tags(json!(UNKNOWN)));
    let plan = core.try_plan(GALLERY, None, &open).await.unwrap();
    // a merge patch would take a null away
    let mut none = tags(json!("x"));
    none["tags"]["owner"] = Json::Null;
    let applied = core.apply_as(&plan, &core.config(GALLERY, &none)).await;
    assert!(!applied.told.has_errors(), "{:?}", applied.told);
    let all = azimage::schema::json::encode(applied.held.unwrap().get("tags_all"));
    assert_eq!(all, json!({"os": "linux"}));
}

// But an element of a set has to be something.
#[tokio::test(start_paused = true)]
async fn a_null_in_a_set_is_refused() {
    let core = Core::new().await;
    let told = core
        .plan_refused(
            GALLERY,
            None,
            &gallery(json!({"sharing": {"permission": "Groups", "tenant_ids": [null]}})),
        )
        .await;
    told.assert_error(&["holds a null"]);
    assert_eq!(told.error_paths(), ["sharing.tenant_ids"]);
}
