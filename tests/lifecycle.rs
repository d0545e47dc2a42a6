//! The whole life cycle of every resource type, driven by a simulated Terraform core: planned, created, updated, replaced,
//! imported, moved, drifted, repaired and destroyed, with an empty plan after each step.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "lifecycle/applications.rs"]
mod applications;
#[path = "lifecycle/builds.rs"]
mod builds;
#[path = "support/cases.rs"]
mod cases;
#[path = "lifecycle/concurrency.rs"]
mod concurrency;
#[path = "support/core.rs"]
mod core;
#[path = "lifecycle/equivalence.rs"]
mod equivalence;
#[path = "lifecycle/failures.rs"]
mod failures;
#[path = "lifecycle/galleries.rs"]
mod galleries;
#[path = "lifecycle/image_tests.rs"]
mod image_tests;
#[path = "lifecycle/interrupts.rs"]
mod interrupts;
#[path = "lifecycle/misbehaviour.rs"]
mod misbehaviour;
#[path = "lifecycle/old_clouds.rs"]
mod old_clouds;
#[path = "lifecycle/pins.rs"]
mod pins;
#[path = "lifecycle/requests.rs"]
mod requests;
#[path = "lifecycle/responses.rs"]
mod responses;
#[path = "lifecycle/tags.rs"]
mod tags;
#[path = "lifecycle/versions.rs"]
mod versions;

use crate::core::{Action, Core, Held, Json, changed, differences, json, patched};
use azimage::schema::spec::{Body, Nesting};
use azimage::schema::{Path, Value, json as state_json};
use cases::Case;
use futures_util::FutureExt;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

// Runs a test for every case and reports all that fail.
async fn each(test: impl AsyncFn(&Case)) {
    let mut failed = Vec::new();
    for case in cases::all() {
        if AssertUnwindSafe(test(&case)).catch_unwind().await.is_err() {
            failed.push(case.name);
        }
    }
    assert!(failed.is_empty(), "failed for {failed:?}; see above");
}

async fn prepared(case: &Case) -> (Core, Json) {
    let core = Core::new().await;
    (case.prepare)(&core);
    (core, patched(&case.small, &case.full))
}

#[tokio::test(start_paused = true)]
async fn cases_cover_every_resource_type() {
    let core = Core::new().await;
    let known: BTreeSet<&str> = cases::all().iter().map(|case| case.type_name).collect();
    let registered: BTreeSet<&str> = core.schema.resource_schemas.keys().map(String::as_str).collect();
    assert_eq!(registered, known);
}

#[tokio::test(start_paused = true)]
async fn apply_ends_in_an_empty_plan_and_destroy_deletes() {
    each(async |case| {
        let (core, full) = prepared(case).await;
        let held = core.create(case.type_name, &case.small).await;
        if let Some(id) = &case.id {
            assert_eq!(held.text("id"), id, "{}", case.name);
            assert!(core.exists(id), "{}", case.name);
        }
        let held = core.change(&held, &full, Action::Update).await;
        let held = core.change(&held, &case.small, Action::Update).await;
        let gone = core.destroy(&held).await;
        assert!(gone.held.is_none(), "{}: {:?}", case.name, gone.diagnostics);
        if let Some(id) = &case.id {
            assert!(!core.exists(id), "{} is still there", case.name);
        }
        // deleting an object that no longer exists succeeds
        let gone = core.destroy(&held).await;
        assert!(gone.held.is_none(), "{}: {:?}", case.name, gone.diagnostics);
        if case.id.is_some() {
            assert!(core.refresh(&held).await.unwrap().is_none(), "{}", case.name);
        }
    })
    .await;
}

// Creates everything at once, in one apply.
#[tokio::test(start_paused = true)]
async fn full_configuration_can_be_created() {
    each(async |case| {
        let (core, full) = prepared(case).await;
        let held = core.create(case.type_name, &full).await;
        assert!(core.destroy(&held).await.held.is_none(), "{}", case.name);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn changes_every_updatable_attribute_in_place_and_back() {
    each(async |case| {
        let (core, full) = prepared(case).await;
        let mut held = core.create(case.type_name, &full).await;
        for (patch, touched) in &case.updates {
            let before = held.state.clone();
            held = core.change(&held, &patched(&full, patch), Action::Update).await;
            let mut expected: BTreeSet<String> = touched.iter().map(|name| name.to_string()).collect();
            let mut seen: BTreeSet<String> = changed(&before, &held.state).into_iter().collect();
            for moves_along in ["replication_state", "replication_progress"] {
                expected.remove(moves_along);
                seen.remove(moves_along);
            }
            assert_eq!(seen, expected, "{} {patch}", case.name);
            held = core.change(&held, &full, Action::Update).await;
            let mut left = changed(&before, &held.state);
            // the new object has another identity of the same type
            left.retain(|name| name != "identity" || touched != &["identity"]);
            assert!(left.is_empty(), "{} {patch}: {}", case.name, differences(&before, &held.state));
        }
    })
    .await;
}

// Plans only; the first plan is then planned again as a creation.
#[tokio::test(start_paused = true)]
async fn changes_that_force_replacement_report_their_paths() {
    each(async |case| {
        let (core, full) = prepared(case).await;
        let held = core.create(case.type_name, &full).await;
        for (patch, paths) in &case.forces {
            let plan = core.plan(case.type_name, Some(&held), &patched(&full, patch)).await;
            let mut named = plan.replace.clone();
            named.sort();
            assert_eq!(named, *paths, "{} {patch}", case.name);
            assert_eq!(plan.action, Action::Replace, "{} {patch}", case.name);
        }
    })
    .await;
}

// The tables of the cases cover every attribute of the schema.
#[tokio::test(start_paused = true)]
async fn cases_cover_every_attribute_that_replaces_or_drifts() {
    let core = Core::new().await;
    for (name, entry) in core.server.resources() {
        let cases: Vec<Case> = cases::all().into_iter().filter(|case| case.type_name == name).collect();
        let mut marked = BTreeSet::new();
        replacing(entry.body(), &Path::root(), &mut marked);
        let named: BTreeSet<String> = cases
            .iter()
            .flat_map(|case| &case.forces)
            .flat_map(|(_, paths)| paths.iter())
            .map(|path| path.split('[').next().unwrap_or_default().to_owned())
            .collect();
        let missing: Vec<&String> = marked.difference(&named).collect();
        assert!(missing.is_empty(), "{name}: no test replaces the resource by changing {missing:?}");
        let drifting: BTreeSet<&str> =
            cases.iter().flat_map(|case| &case.drifts).flat_map(|(_, names)| names.iter().copied()).collect();
        let exempt: BTreeSet<&str> =
            cases.iter().flat_map(|case| case.not_in_azure.iter().copied()).collect();
        let body = entry.body();
        let attributes =
            body.attributes.iter().filter(|a| a.is_configurable() && !a.force_new).map(|a| a.name);
        let blocks = body.blocks.iter().filter(|b| !b.force_new && !all_forced(&b.body)).map(|b| b.name);
        let missing: Vec<&str> = attributes
            .chain(blocks)
            .filter(|name| !drifting.contains(name) && !exempt.contains(name))
            .collect();
        assert!(missing.is_empty(), "{name}: no test has drift in {missing:?}");
    }
}

fn replacing(body: &Body, path: &Path, out: &mut BTreeSet<String>) {
    for attribute in body.attributes.iter().filter(|attribute| attribute.force_new) {
        out.insert(path.then(attribute.name).to_string());
    }
    for block in &body.blocks {
        let path = path.then(block.name);
        if block.force_new {
            out.insert(path.to_string());
        } else if matches!(block.nesting, Nesting::Single | Nesting::Group) {
            replacing(&block.body, &path, out);
        }
    }
}

fn all_forced(body: &Body) -> bool {
    body.attributes.iter().all(|a| a.force_new || !a.is_configurable())
        && body.blocks.iter().all(|block| block.force_new || all_forced(&block.body))
}

#[tokio::test(start_paused = true)]
async fn another_spelling_or_order_is_not_a_change() {
    each(async |case| {
        let (core, full) = prepared(case).await;
        let held = core.create(case.type_name, &full).await;
        for patch in &case.same {
            let plan = core.plan(case.type_name, Some(&held), &patched(&full, patch)).await;
            let differ = differences(&held.state, &plan.state);
            assert_eq!(plan.action, Action::NoOp, "{} {patch}: {differ}", case.name);
        }
    })
    .await;
}

// The alternative spelling plans no changes either if it is used from the start.
#[tokio::test(start_paused = true)]
async fn any_spelling_works_from_the_start() {
    each(async |case| {
        for patch in &case.same {
            let (core, full) = prepared(case).await;
            let config = patched(&full, patch);
            let held = core.create(case.type_name, &config).await;
            // the identity and the ID use the canonical spelling of the object
            if let Some(id) = &case.id {
                assert!(held.text("id").eq_ignore_ascii_case(id), "{} {patch}", case.name);
                assert!(held.text("id").contains("/resourceGroups/"), "{}", held.text("id"));
                let provider =
                    id.split("/providers/").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
                assert!(held.text("id").contains(&format!("/providers/{provider}/")), "{}", held.text("id"));
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn shows_and_repairs_drift() {
    each(async |case| {
        let (core, full) = prepared(case).await;
        let mut held = core.create(case.type_name, &full).await;
        for (patch, touched) in &case.drifts {
            let id = case.id.as_ref().unwrap();
            core.tamper(id, patch.clone());
            let read = core.refresh(&held).await.unwrap().unwrap();
            let mut seen: BTreeSet<String> = changed(&held.state, &read.state).into_iter().collect();
            for moves_along in ["provisioning_state", "replication_state", "replication_progress"] {
                seen.remove(moves_along);
            }
            let expected: BTreeSet<String> = touched.iter().map(|name| name.to_string()).collect();
            assert_eq!(seen, expected, "{} {patch}: {}", case.name, differences(&held.state, &read.state));
            let repaired = core.change(&read, &full, Action::Update).await;
            let mut left = changed(&held.state, &repaired.state);
            // the new object has another identity of the same type
            left.retain(|name| name != "identity" || touched != &["identity"]);
            assert!(left.is_empty(), "{} {patch}: {}", case.name, differences(&held.state, &repaired.state));
            held = repaired;
        }
        if let Some(id) = &case.id {
            let (status, _) = core.azure("DELETE", id, Json::Null);
            assert!(status < 300);
            assert!(core.refresh(&held).await.unwrap().is_none(), "{} was deleted by hand", case.name);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn imports_by_id_and_by_identity_plan_no_changes() {
    each(async |case| {
        let (core, full) = prepared(case).await;
        if cases::NOT_IMPORTABLE.contains(&case.type_name) {
            let refused = core.import(case.type_name, "any", None).await.unwrap_err();
            return refused.assert_error(&[case.type_name, "cannot be imported"]);
        }
        for config in [&case.small, &full] {
            let held = core.create(case.type_name, config).await;
            let id = held.text("id").to_owned();
            // a pin's ID is not an ARM ID
            let shout = if id.starts_with('/') { id.to_uppercase() } else { id.clone() };
            for by in [&id, &shout] {
                let imported = core.import(case.type_name, by, None).await;
                let imported =
                    imported.unwrap_or_else(|diagnostics| panic!("importing {by}: {diagnostics:?}"));
                assert_imported(&core, case, &held, &imported, config, by == &id || case.id.is_some()).await;
            }
            let imported = core.import(case.type_name, "", held.identity.as_ref()).await.unwrap();
            assert_imported(&core, case, &held, &imported, config, true).await;
            assert!(core.destroy(&held).await.held.is_none());
            if case.id.is_some() {
                assert!(core.import(case.type_name, &id, None).await.is_err(), "{} is gone", case.name);
            }
        }
    })
    .await;
}

async fn assert_imported(core: &Core, case: &Case, held: &Held, imported: &Held, config: &Json, exact: bool) {
    // an ARM ID gets the service's case, however it was imported
    if exact {
        assert_eq!(imported.identity, held.identity, "{}", case.name);
        assert_eq!(imported.text("id"), held.text("id"), "{}", case.name);
    }
    // attributes that Azure does not return are added in place, and nothing else differs
    let plan = core.plan(case.type_name, Some(imported), config).await;
    let missing = changed(&imported.state, &plan.state);
    let unknown = |name: &String| plan.state.get(name).is_unknown();
    let surprising: Vec<&String> = missing
        .iter()
        .filter(|name| !(case.not_imported.contains(&name.as_str()) || unknown(name) && missing.len() > 1))
        .collect();
    assert!(surprising.is_empty(), "{}: {}", case.name, differences(&imported.state, &plan.state));
    assert_ne!(plan.action, Action::Replace, "{} {:?}", case.name, plan.replace);
    // the generated configuration plans no changes at all
    let generated = core.generate(imported).await;
    let plan = core.try_plan(case.type_name, Some(imported), &generated).await;
    let plan = plan.unwrap_or_else(|diagnostics| {
        panic!("{}: the generated configuration is refused: {diagnostics:?}", case.name)
    });
    assert_eq!(plan.action, Action::NoOp, "{}: {}", case.name, differences(&imported.state, &plan.state));
}

#[tokio::test(start_paused = true)]
async fn import_of_a_wrong_id_shows_the_expected_format() {
    let core = Core::new().await;
    each(async |case| {
        if case.id.is_none() {
            return;
        }
        for wrong in ["gal", "/subscriptions/x", "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm", "…", "//"] {
            let diagnostics = core.import(case.type_name, wrong, None).await.unwrap_err();
            diagnostics.assert_error(&["Importing", case.type_name, wrong]);
        }
        let diagnostics = core.import(case.type_name, case.id.as_ref().unwrap(), None).await.unwrap_err();
        diagnostics.assert_error(&["does not exist"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn moves_from_other_providers_plan_no_changes() {
    each(async |case| {
        let Some(azurerm) = case.azurerm else { return };
        let (core, _) = prepared(case).await;
        let held = core.create(case.type_name, &case.small).await;
        let id = held.text("id").to_owned();
        let kind = azimage::arm::id::type_of_path(&id);
        let sources = [
            (
                "registry.terraform.io/hashicorp/azurerm",
                azurerm,
                json!({"id": id, "name": "x", "whatever": [1], "timeouts": null}),
            ),
            ("registry.opentofu.org/hashicorp/azurerm", azurerm, json!({"id": id})),
            (
                "registry.terraform.io/azure/azapi",
                "azapi_resource",
                json!({
                    "id": id, "type": format!("{kind}@2023-07-03"), "body": {},
                    "timeouts": {"create": "33m", "read": null, "update": null, "delete": null},
                }),
            ),
            // for some instances of a count, OpenTofu sends the provider address of the target
            ("registry.opentofu.org/azimage/azimage", azurerm, json!({"id": id})),
            // some releases of OpenTofu also call this if only the provider's address changed, and send a wrong
            // address
            ("registry.opentofu.org/hashicorp/azimage", case.type_name, state_json::encode(&held.state)),
        ];
        for (provider, source, state) in sources {
            let imported = core.move_from(case.type_name, provider, source, &state).await;
            let imported = imported.unwrap_or_else(|diagnostics| panic!("{source}: {diagnostics:?}"));
            let plan = core.plan(case.type_name, Some(&imported), &case.small).await;
            let mut differ = changed(&imported.state, &plan.state);
            // the configuration has no timeouts here
            differ.retain(|name| name != "timeouts" && !source.starts_with("azapi"));
            if differ.iter().any(|name| name == "target_region")
                && case.not_imported.contains(&"target_region")
            {
                // azurerm always requires a target region, so its state always has one
                differ.clear();
            }
            assert!(differ.is_empty(), "{source}: {}", differences(&imported.state, &plan.state));
            assert_eq!(imported.identity, held.identity);
            let timeouts = imported.get("timeouts").get("create").as_str();
            assert_eq!(timeouts, source.starts_with("azapi").then_some("33m"), "{source}");
        }
        // OpenTofu keeps azapi's identity and requests its upgrade
        let theirs = json!({"id": id, "type": format!("{kind}@2023-07-03")});
        assert_eq!(Some(core.upgrade_identity(case.type_name, &theirs).await), held.identity);
        let ours = state_json::encode(held.identity.as_ref().unwrap());
        assert_eq!(Some(core.upgrade_identity(case.type_name, &ours).await), held.identity);
        // the same type under another provider address is a plain move
        let state = azimage::schema::json::encode(&held.state);
        let imported =
            core.move_from(case.type_name, "registry.example.com/a/b", case.type_name, &state).await.unwrap();
        assert_eq!(imported.state, held.state, "{}", case.name);
        for (provider, source, state) in [
            ("registry.terraform.io/hashicorp/azurerm", "azurerm_resource_group", json!({"id": id})),
            (
                "registry.terraform.io/azure/azapi",
                "azapi_resource",
                json!({"id": id, "type": "Microsoft.Compute/disks@2023-01-01"}),
            ),
        ] {
            let diagnostics = core.move_from(case.type_name, provider, source, &state).await.unwrap_err();
            diagnostics.assert_error(&[source, case.type_name, provider]);
        }
        let diagnostics = core
            .move_from(case.type_name, "registry.terraform.io/hashicorp/azurerm", azurerm, &json!({"id": 3}))
            .await
            .unwrap_err();
        diagnostics.assert_error(&[azurerm]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn tainted_resources_are_recreated() {
    each(async |case| {
        let (core, full) = prepared(case).await;
        let mut held = core.create(case.type_name, &full).await;
        held.tainted = true;
        let read = core.refresh(&held).await.unwrap().unwrap();
        let plan = core.plan(case.type_name, Some(&read), &full).await;
        assert_eq!(plan.action, Action::Replace, "{}", case.name);
        let applied = core.apply(&plan).await;
        assert!(!applied.diagnostics.has_errors(), "{}: {:?}", case.name, applied.diagnostics);
        let made = applied.held.unwrap();
        assert!(!made.tainted);
        core.assert_no_changes(&made, &full).await;
    })
    .await;
}

// Destroy before create, and create before destroy.
#[tokio::test(start_paused = true)]
async fn replaces_in_either_order() {
    each(async |case| {
        if case.id.is_none() {
            return;
        }
        let (core, full) = prepared(case).await;
        let held = core.create(case.type_name, &full).await;
        let (patch, _) = &case.forces[0];
        let other = patched(&full, patch);
        let replaced = core.change(&held, &other, Action::Replace).await;
        assert!(!core.exists(held.text("id")), "{}", case.name);
        // and back, with create before destroy
        let plan = core.plan(case.type_name, Some(&replaced), &full).await;
        assert_eq!(plan.action, Action::Replace);
        let create = core.plan(case.type_name, None, &full).await;
        let made = core.apply(&create).await;
        assert!(!made.diagnostics.has_errors(), "{}: {:?}", case.name, made.diagnostics);
        let gone = core.destroy(&replaced).await;
        assert!(gone.held.is_none(), "{}: {:?}", case.name, gone.diagnostics);
        let made = core.assert_no_changes(&made.held.unwrap(), &full).await;
        assert!(core.exists(made.text("id")), "{}", case.name);
        assert!(!core.exists(replaced.text("id")), "{}", case.name);
    })
    .await;
}

// Values that are unknown at plan become known, and the final plan keeps every planned value.
#[tokio::test(start_paused = true)]
async fn unknown_values_become_known_without_breaking_the_plan() {
    each(async |case| {
        let (core, full) = prepared(case).await;
        let (known, body) = (core.config(case.type_name, &full), core.block(case.type_name).clone());
        let names: Vec<String> = body
            .attributes
            .iter()
            .map(|a| a.name.clone())
            .chain(body.block_types.iter().map(|b| b.type_name.clone()))
            .collect();
        for name in &names {
            if known.get(name).is_null() {
                continue;
            }
            let mut config = known.clone();
            config.set(name, Value::Unknown);
            let plan = core.try_plan(case.type_name, None, &config).await;
            let plan = plan.unwrap_or_else(|diagnostics| {
                panic!("{} with an unknown {name}: {diagnostics:?}", case.name)
            });
            assert!(plan.state.get(name).is_unknown(), "{} {name}", case.name);
            let applied = core.apply_as(&plan, &known).await;
            assert!(
                !applied.diagnostics.has_errors(),
                "{} with an unknown {name}: {:?}",
                case.name,
                applied.diagnostics
            );
            let held = core.assert_no_changes(&applied.held.unwrap(), &full).await;
            // and again as an update: it may turn out to be empty, or the announced replacement
            let plan = core.try_plan(case.type_name, Some(&held), &config).await.unwrap();
            // a pin stays, regardless of the value of its URN
            let stays = name == "urn" && plan.action == Action::NoOp;
            assert!(matches!(plan.action, Action::Update | Action::Replace) || stays, "{} {name}", case.name);
            if plan.action == Action::Update {
                let applied = core.apply_as(&plan, &known).await;
                assert!(!applied.diagnostics.has_errors(), "{} {name}: {:?}", case.name, applied.diagnostics);
                core.assert_no_changes(&applied.held.unwrap(), &full).await;
            }
            assert!(core.destroy(&held).await.held.is_none());
        }
    })
    .await;
}
