//! IDs in plans: known for new objects, unknown for replaced ones, and an error if two addresses claim the same ID.

use crate::cases::{self, Case};
use crate::core::{Action, Core, Held, UNKNOWN, json, patched};
use azimage::schema::Value;

const CLAIM: &[&str] = &["already managed in this configuration", "moved block"];

// The types whose IDs are unique.
fn types_with_unique_ids() -> impl Iterator<Item = Case> {
    cases::all().into_iter().filter(|case| {
        ["gallery", "image_definition", "image_version", "managed_image"]
            .iter()
            .any(|name| case.type_name == format!("azimage_{name}"))
    })
}

async fn created(core: &Core, case: &Case) -> Held {
    (case.prepare)(core);
    let plan = core.plan(case.type_name, None, &case.small).await;
    core.apply(&plan).await.held.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_new_object_has_a_known_id() {
    for case in types_with_unique_ids() {
        let core = Core::new().await;
        (case.prepare)(&core);
        let plan = core.plan(case.type_name, None, &case.small).await;
        assert_eq!(plan.state.get("id").as_str(), case.id.as_deref(), "{}", case.name);
        assert!(plan.state.get("location").is_known(), "{}", case.name);
        let held = core.apply(&plan).await.held.unwrap();
        assert_eq!(held.get("id"), plan.state.get("id"), "{}", case.name);
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_with_an_unknown_part_is_unknown() {
    for case in types_with_unique_ids() {
        let core = Core::new().await;
        (case.prepare)(&core);
        let name = if case.type_name == "azimage_image_version" { "version" } else { "name" };
        let config = patched(&case.small, &json!({name: UNKNOWN}));
        let plan = core.plan(case.type_name, None, &config).await;
        assert!(plan.state.get("id").is_unknown(), "{}", case.name);
    }
}

#[tokio::test(start_paused = true)]
async fn the_id_of_a_replacement_is_unknown() {
    for case in types_with_unique_ids() {
        let core = Core::new().await;
        let held = created(&core, &case).await;
        // -replace and replace_triggered_by: the unchanged object is planned again as a create
        core.begin_graph_walk();
        let config = core.config(case.type_name, &case.small);
        core.upgrade(&held).await;
        let (first, diagnostics) =
            core.plan_once(case.type_name, &held.state, &config, &held.private, held.identity.as_ref()).await;
        assert!(!diagnostics.has_errors(), "{}: {diagnostics:?}", case.name);
        let (second, diagnostics) =
            core.plan_once(case.type_name, &Value::Null, &config, &first.planned_private, None).await;
        assert!(!diagnostics.has_errors(), "{}: {diagnostics:?}", case.name);
        let planned = crate::core::decode(&second.planned_state, &core.ty(case.type_name));
        assert!(planned.get("id").is_unknown(), "{}", case.name);
        // tainted: planned only as a create
        let tainted = Held { tainted: true, ..held.clone() };
        let plan = core.try_plan(case.type_name, Some(&tainted), &config).await.unwrap();
        assert_eq!(plan.action, Action::Replace);
        assert!(plan.state.get("id").is_unknown(), "{}", case.name);
        // the apply deletes the object and creates another with the same ID
        let again = core.apply(&plan).await.held.unwrap();
        assert_eq!(again.get("id"), held.get("id"), "{}", case.name);
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_missing_is_created_with_a_known_id() {
    for case in types_with_unique_ids() {
        let core = Core::new().await;
        let held = created(&core, &case).await;
        core.azure("DELETE", case.id.as_deref().unwrap(), json!(null));
        core.begin_graph_walk();
        core.upgrade(&held).await;
        assert!(core.refresh(&held).await.unwrap().is_none(), "{}", case.name);
        let config = core.config(case.type_name, &case.small);
        let plan = core.try_plan_in_graph_walk(case.type_name, None, &config).await.unwrap();
        assert_eq!(plan.state.get("id"), held.get("id"), "{}", case.name);
    }
}

#[tokio::test(start_paused = true)]
async fn two_addresses_cannot_claim_one_id() {
    for case in types_with_unique_ids() {
        let core = Core::new().await;
        (case.prepare)(&core);
        let config = core.config(case.type_name, &case.small);
        let name = case.type_name;
        // two creates
        core.begin_graph_walk();
        core.try_plan_in_graph_walk(name, None, &config).await.unwrap();
        core.try_plan_in_graph_walk(name, None, &config).await.unwrap_err().assert_error(CLAIM);
        let held = created(&core, &case).await;
        // a create after the plan of the address that manages the object
        core.begin_graph_walk();
        core.try_plan_in_graph_walk(name, Some(&held), &config).await.unwrap();
        core.try_plan_in_graph_walk(name, None, &config).await.unwrap_err().assert_error(CLAIM);
        // a create before that plan
        core.begin_graph_walk();
        core.try_plan_in_graph_walk(name, None, &config).await.unwrap();
        core.try_plan_in_graph_walk(name, Some(&held), &config).await.unwrap_err().assert_error(CLAIM);
        // a create in addition to a tainted object
        core.begin_graph_walk();
        let tainted = Held { tainted: true, ..held.clone() };
        core.try_plan_in_graph_walk(name, Some(&tainted), &config).await.unwrap();
        core.try_plan_in_graph_walk(name, None, &config).await.unwrap_err().assert_error(CLAIM);
        // a renamed address without a moved block: the old one will be destroyed
        core.begin_graph_walk();
        let (_, diagnostics) =
            core.plan_once(name, &held.state, &Value::Null, &held.private, held.identity.as_ref()).await;
        assert!(!diagnostics.has_errors());
        core.try_plan_in_graph_walk(name, None, &config).await.unwrap_err().assert_error(CLAIM);
    }
}

#[tokio::test(start_paused = true)]
async fn planned_values_flow_from_parent_to_child() {
    let core = Core::new().await;
    let plan = |name: &'static str, config| {
        let config = core.config(name, &config);
        let core = &core;
        async move { core.try_plan_in_graph_walk(name, None, &config).await.unwrap() }
    };
    core.begin_graph_walk();
    let text = |plan: &crate::core::Plan, name: &str| plan.state.get(name).as_str().unwrap().to_owned();
    let gallery = json!({"name": "new", "resource_group_name": "rg", "location": "East US"});
    let gallery = plan("azimage_gallery", gallery).await;
    assert_eq!(text(&gallery, "unique_name"), "00000000-0000-0000-0000-000000000000-NEW");
    let definition = plan(
        "azimage_image_definition",
        json!({
            "name": "def", "gallery_id": text(&gallery, "id"), "os_type": "Linux", "os_state": "Specialized",
            "hyper_v_generation": "V2", "security_type": "Standard",
            "identifier": {"publisher": "p", "offer": "o", "sku": "s"},
        }),
    )
    .await;
    assert_eq!(text(&definition, "location"), "eastus");
    let version = plan(
        "azimage_image_version",
        json!({
            "version": "1.0.0", "image_definition_id": text(&definition, "id"),
            "source": {"virtual_machine_id": cases::rg("virtualMachines/golden-vm")},
        }),
    )
    .await;
    assert_eq!(text(&version, "location"), "eastus");
    assert!(text(&version, "id").ends_with("/galleries/new/images/def/versions/1.0.0"));
}
