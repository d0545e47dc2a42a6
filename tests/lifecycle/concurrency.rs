//! Concurrent writers of one version, in one process and in two.

use super::failures::prepared;
use crate::cases::{self, rg};
use crate::core::{Applied, Core, Held, Json, json, patched};

const VERSION: &str = "galleries/gal/images/def/versions/1.0.0";

fn regions(names: &[&str]) -> Json {
    let regions: Vec<Json> = names.iter().map(|name| json!({"name": name})).collect();
    json!({"target_region": regions, "allow_deletion_of_replicated_locations": true})
}

fn existing_regions(core: &Core) -> Vec<String> {
    let body = core.azure_object(&rg(VERSION));
    let mut names: Vec<String> = body["properties"]["publishingProfile"]["targetRegions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|target| target["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

// A version in two regions, and its configuration.
async fn two_regions() -> (Core, Json, Held) {
    let case = cases::image_version();
    let (core, _) = prepared(&case).await;
    let config = patched(&case.small, &regions(&["eastus", "westus"]));
    let held = core.create(case.type_name, &config).await;
    (core, config, held)
}

async fn change(core: &Core, held: &Held, config: &Json, names: &[&str]) -> crate::core::Plan {
    core.plan("azimage_image_version", Some(held), &patched(config, &regions(names))).await
}

fn assert_succeeded(applied: &Applied) -> &Held {
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    applied.held.as_ref().unwrap()
}

#[tokio::test(start_paused = true)]
async fn concurrent_changes_of_one_version_keep_each_others_regions() {
    let (core, config, held) = two_regions().await;
    // two configurations that each add a region, planned before either is applied
    let first = change(&core, &held, &config, &["eastus", "westus", "northeurope"]).await;
    let second = change(&core, &held, &config, &["eastus", "westus", "uksouth"]).await;
    let third = change(&core, &held, &config, &["eastus"]).await;
    let (a, b, c) = tokio::join!(core.apply(&first), core.apply(&second), core.apply(&third));
    for applied in [&a, &b, &c] {
        assert_succeeded(applied);
    }
    assert_eq!(existing_regions(&core), ["East US", "North Europe", "UK South"]);
    let warnings = [&a, &b, &c].map(|applied| format!("{:?}", applied.diagnostics));
    let warnings =
        warnings.iter().filter(|warnings| warnings.contains("regions that the plan did not know")).count();
    assert_eq!(warnings, 2, "the second and third apply find the regions that were added before");
    // the next plan of each configuration shows the changes of the others
    let read = core.refresh(assert_succeeded(&a)).await.unwrap().unwrap();
    let plan = change(&core, &read, &config, &["eastus", "westus", "northeurope"]).await;
    assert_eq!(plan.action, crate::core::Action::Update);
    let applied = core.apply(&plan).await;
    assert_succeeded(&applied);
    assert_eq!(existing_regions(&core), ["East US", "North Europe", "West US"]);
}

#[tokio::test(start_paused = true)]
async fn another_process_overwrites_only_changes_between_its_read_and_its_write() {
    let (core, config, held) = two_regions().await;
    let other = core.new_run(json!({})).await;
    let first = change(&core, &held, &config, &["eastus", "westus", "northeurope"]).await;
    let second = change(&other, &held, &config, &["eastus", "uksouth"]).await;
    assert_succeeded(&core.apply(&first).await);
    let applied = other.apply(&second).await;
    applied.diagnostics.assert_warning(&["regions that the plan did not know", "North Europe"]);
    let kept = assert_succeeded(&applied);
    assert_eq!(existing_regions(&core), ["East US", "North Europe", "UK South"]);
    assert_eq!(kept.get("target_region").elements().len(), 2, "the state contains the planned regions");
}
