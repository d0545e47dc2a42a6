//! Equivalent configurations plan no changes: absent, null, empty and default values, in every order of edits, after an import
//! and a move.

use crate::cases::{self, Case};
use crate::core::{Action, Core, Held, Json, differences, json, patched};

// Merge patches of the small configuration that do not change its meaning.
fn patches(case: &Case) -> Vec<Json> {
    let tags = json!({"tags": {}});
    match case.type_name {
        "azimage_gallery" => vec![
            tags,
            json!({"description": ""}),
            json!({"soft_delete": {"enabled": false}}),
            json!({"soft_delete": {}}),
            json!({"sharing": {"permission": "Private"}}),
            json!({"sharing": {"permission": "Private", "subscription_ids": [], "tenant_ids": []}}),
            json!({"sharing": {}}),
        ],
        "azimage_image_definition" => vec![
            tags,
            json!({"description": ""}),
            json!({"eula": ""}),
            json!({"privacy_statement_uri": ""}),
            json!({"release_note_uri": ""}),
            json!({"end_of_life_date": ""}),
            json!({"disallowed_disk_types": []}),
            json!({"disk_controller_types": []}),
            json!({"features": {}}),
            json!({"recommended": {}}),
            json!({"accelerated_networking_enabled": false}),
            json!({"hibernation_enabled": false}),
        ],
        "azimage_image_version" => vec![
            tags,
            json!({"end_of_life_date": ""}),
            json!({"target_region": [{"name": "East US"}]}),
            json!({"target_region": [{"name": "eastus", "regional_replica_count": 1}]}),
        ],
        "azimage_gallery_application" => vec![
            tags,
            json!({"description": ""}),
            json!({"eula": ""}),
            json!({"privacy_statement_uri": ""}),
            json!({"release_note_uri": ""}),
            json!({"end_of_life_date": ""}),
            json!({"custom_action": []}),
        ],
        "azimage_gallery_application_version" => vec![
            tags,
            json!({"end_of_life_date": ""}),
            json!({"advanced_settings": {}}),
            json!({"enable_health_check": false}),
            json!({"target_region": [{"name": "East US"}]}),
            json!({"target_region": [{"name": "eastus", "regional_replica_count": 1}]}),
        ],
        "azimage_managed_image" => vec![tags],
        "azimage_builder_template" if case.name == "builder template" => vec![
            tags,
            json!({"build_timeout": "4h"}),
            json!({"optimize_vm_boot": false, "auto_run": false}),
            json!({"staging_resource_group_id": "", "managed_resource_tags": {}}),
            json!({"validate": {}}),
            json!({"error_handling": {}}),
            json!({"vm_profile": {}}),
            json!({"vm_profile": {"vm_size": "", "identity_ids": []}}),
        ],
        "azimage_builder_run" => vec![json!({"keepers": {}}), json!({"on_interrupt": "keep"})],
        _ => Vec::new(),
    }
}

// The smallest configuration. The case of a version has target regions, which are removed here.
fn small(case: &Case) -> Json {
    let target_region = (case.type_name == "azimage_image_version").then_some(json!([]));
    match target_region {
        Some(none) => patched(&case.small, &json!({"target_region": none})),
        None => case.small.clone(),
    }
}

async fn assert_equivalent(core: &Core, what: &str, held: &Held, config: &Json) {
    let plan = core.plan(&held.type_name, Some(held), config).await;
    let differ = differences(&held.state, &plan.state);
    assert_eq!(plan.action, Action::NoOp, "{what} {config}: {differ}");
}

#[tokio::test(start_paused = true)]
async fn absent_empty_and_default_values_are_equivalent() {
    for case in cases::all() {
        let core = Core::new().await;
        let small = small(&case);
        (case.prepare)(&core);
        for patch in patches(&case) {
            let other = patched(&small, &patch);
            for config in [&small, &other] {
                let held = core.create(case.type_name, config).await;
                let id = held.text("id").to_owned();
                for again in [&small, &other] {
                    assert_equivalent(&core, case.name, &held, again).await;
                    let read = core.refresh(&held).await.unwrap().unwrap();
                    assert_equivalent(&core, case.name, &read, again).await;
                    let brought = core.import(case.type_name, &id, None).await.unwrap();
                    assert_equivalent(&core, &format!("imported {}", case.name), &brought, again).await;
                    if let Some(azurerm) = case.azurerm {
                        let provider = "registry.terraform.io/hashicorp/azurerm";
                        let state = json!({"id": id, "tags": {}});
                        let moved = core.move_from(case.type_name, provider, azurerm, &state).await.unwrap();
                        assert_equivalent(&core, &format!("moved {}", case.name), &moved, again).await;
                    }
                }
                assert!(core.destroy(&held).await.held.is_none());
            }
        }
    }
}

// A state of an older provider version has nulls where the current version has defaults.
#[tokio::test(start_paused = true)]
async fn nulls_in_an_older_state_plan_no_changes() {
    for case in cases::all() {
        let core = Core::new().await;
        let small = small(&case);
        (case.prepare)(&core);
        let held = core.create(case.type_name, &small).await;
        let mut old = held.clone();
        for patch in patches(&case) {
            for name in patch.as_object().unwrap().keys() {
                if name != "target_region" {
                    old.state.set(name, azimage::schema::Value::Null);
                }
            }
        }
        let upgraded = Held { state: core.upgrade(&old).await, ..held.clone() };
        assert_equivalent(&core, case.name, &upgraded, &small).await;
    }
}

#[tokio::test(start_paused = true)]
async fn equivalent_configurations_send_the_same_request() {
    for case in cases::all() {
        let mut sent: Vec<Json> = Vec::new();
        let small = small(&case);
        for patch in std::iter::once(json!({})).chain(patches(&case)) {
            if patch.get("target_region").is_some() {
                // a configured region has its own storage type
                continue;
            }
            let core = Core::new().await;
            (case.prepare)(&core);
            core.create(case.type_name, &patched(&small, &patch)).await;
            // the service chooses the name of a captured disk
            let Some(id) = case.id.as_ref().filter(|_| case.type_name != "azimage_managed_image") else {
                continue;
            };
            let mut made = core.azure_object(id);
            // the time of creation differs
            for path in [
                "/properties/publishingProfile/publishedDate",
                "/properties/exactStagingResourceGroup",
                "/systemData",
                "/etag",
            ] {
                if let Some(value) = made.pointer_mut(path) {
                    *value = Json::Null;
                }
            }
            sent.push(made);
        }
        for made in &sent {
            assert_eq!(made, &sent[0], "{}", case.name);
        }
    }
}
