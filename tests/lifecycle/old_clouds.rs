//! Clouds that support only older API versions: every feature of such a version works, and the others are rejected
//! before anything is created, with the attribute's name.

use super::versions::{VERSION, version, with_sources};
use super::{each, prepared};
use crate::core::{Action, Core, json, patched};

// The newest API version of galleries, and cases whose full configuration needs a newer one.
const CLOUDS: [(&str, &[&str]); 5] = [
    ("2025-12-03", &["gallery"]),
    ("2025-03-03", &["gallery"]),
    ("2024-03-03", &["gallery"]),
    ("2022-03-03", &["gallery"]),
    ("2021-10-01", &["gallery", "gallery application", "gallery application version", "image version"]),
];

async fn cloud(core: &Core, newest: &str) {
    core.control("PUT", "settings", json!({"time_scale": 0, "newest_api_version": newest}));
}

#[tokio::test(start_paused = true)]
async fn lifecycle_works_with_the_features_of_an_older_api_version() {
    for (newest, refused) in CLOUDS {
        each(async |case| {
            let (core, full) = prepared(case).await;
            cloud(&core, newest).await;
            let what = format!("{} with {newest}", case.name);
            let held = core.create(case.type_name, &case.small).await;
            assert!(core.destroy(&held).await.held.is_none(), "{what}");
            match core.try_plan(case.type_name, None, &core.config(case.type_name, &full)).await {
                Ok(_) => {
                    assert!(!refused.contains(&case.name), "{what}: not refused");
                    core.create(case.type_name, &full).await;
                }
                Err(diagnostics) => {
                    assert!(refused.contains(&case.name), "{what}: {diagnostics:?}");
                    let text = format!("{diagnostics:?}");
                    assert!(
                        text.contains("is not available in this cloud") && text.contains(newest),
                        "{text}"
                    );
                }
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_update_succeeds_or_names_the_unsupported_attribute() {
    let newest = "2021-10-01";
    each(async |case| {
        // the dependencies of a version's updates, with the features of every cloud
        let date = match case.name {
            "image version" => json!({"end_of_life_date": "2031-01-01T00:00:00Z"}),
            _ => json!({}),
        };
        let small = patched(&case.small, &date);
        for (patch, names) in &case.updates {
            let (core, _) = prepared(case).await;
            cloud(&core, newest).await;
            let held = core.create(case.type_name, &small).await;
            let config = core.config(case.type_name, &patched(&small, patch));
            let what = format!("{} {names:?} with {newest}", case.name);
            match core.try_plan(case.type_name, Some(&held), &config).await {
                Ok(plan) => {
                    let applied = core.apply(&plan).await;
                    let text = format!("{:?}", applied.diagnostics);
                    // before 2025-03-03, the service cannot change the features of an existing definition
                    let is_fixed =
                        case.name == "image definition" && text.contains("PropertyChangeNotAllowed");
                    assert!(is_fixed || !applied.diagnostics.has_errors(), "{what}: {text}");
                }
                Err(diagnostics) => {
                    let text = format!("{diagnostics:?}");
                    assert!(text.contains("is not available in this cloud"), "{what}: {text}");
                    assert!(!text.contains("= true"), "{what}: it recommends what the cloud lacks: {text}");
                }
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn apply_refuses_before_creating_if_values_were_unknown_at_plan() {
    each(async |case| {
        let (core, full) = prepared(case).await;
        let plan = core.plan(case.type_name, None, &full).await;
        cloud(&core, "2021-10-01").await;
        let again = core.new_run(json!({})).await;
        let applied = again.apply(&plan).await;
        if applied.diagnostics.has_errors() {
            let text = format!("{:?}", applied.diagnostics);
            assert!(text.contains("needs API version"), "{}: {text}", case.name);
            assert!(applied.held.is_none(), "{}", case.name);
            assert!(case.id.as_ref().is_none_or(|id| !core.exists(id)), "{}", case.name);
        }
    })
    .await;
}

// Protection of regions begins with 2022-03-03.
#[tokio::test(start_paused = true)]
async fn removes_and_repairs_regions_where_the_cloud_protects_none() {
    let core = with_sources(json!({})).await;
    cloud(&core, "2021-10-01").await;
    let of = |names: &[&str]| {
        let regions: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
        version(json!({"target_region": regions}))
    };
    let held = core.create(VERSION, &of(&["eastus", "westeurope"])).await;
    let plan = core.plan(VERSION, Some(&held), &of(&["eastus"])).await;
    plan.diagnostics.assert_warning(&["The plan removes the region westeurope", "do not protect regions"]);
    let applied = core.apply(&plan).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    core.fault(json!({"method": "PUT", "path": "/versions/", "fail_region": "uksouth"}));
    let plan = core.plan(VERSION, applied.held.as_ref(), &of(&["eastus", "uksouth"])).await;
    let held = core.apply(&plan).await.held.unwrap();
    let held = core.refresh(&held).await.unwrap().unwrap();
    let repaired = core.change(&held, &of(&["eastus", "uksouth"]), Action::Update).await;
    let states = repaired.get("replication_state").entries();
    assert!(states.map(|(_, state)| state.as_str()).eq([Some("Completed"); 2]));
}
