//! Usage, cost, deployments and retention of an image definition with many versions and machines, in process on the
//! emulator.
//!
//! Uses a few hundred machines; `AZIMAGE_FLEET=5000` uses five thousand, and two thousand versions.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

#[path = "support/cases.rs"]
mod cases;
#[path = "support/core.rs"]
mod core;

use std::time::Instant;

use azimage::schema::Value;
use cases::{put, rg, with_sources};
use core::{Core, json};

/// The numbers of machines and versions, with the emulator's page size.
fn fleet() -> (usize, usize) {
    match std::env::var("AZIMAGE_FLEET").ok().and_then(|text| text.parse().ok()) {
        Some(machines) => (machines, machines * 2 / 5),
        None => (250, 120),
    }
}

fn definition() -> String {
    rg("galleries/gal/images/def")
}

fn version(number: usize) -> String {
    format!("1.0.{number}")
}

async fn prepared() -> (Core, usize, usize) {
    let core = Core::new().await;
    with_sources(&core);
    let (machines, versions) = fleet();
    for number in 0..versions {
        let properties = json!({
            "publishingProfile": {"targetRegions": [{"name": "eastus", "regionalReplicaCount": 2}]},
            "storageProfile": {"source": {"id": rg("images/img")}},
        });
        put(
            &core,
            &format!("{}/versions/{}", definition(), version(number)),
            json!({"location": "eastus", "properties": properties}),
        );
    }
    for number in 0..machines {
        let image = format!("{}/versions/{}", definition(), version(number % 100));
        let disk = json!({"createOption": "FromImage", "deleteOption": "Delete"});
        let properties = json!({"storageProfile": {"imageReference": {"id": image}, "osDisk": disk}});
        put(
            &core,
            &rg(&format!("virtualMachines/vm-{number}")),
            json!({"location": "eastus", "properties": properties}),
        );
    }
    (core, machines, versions)
}

#[tokio::test]
async fn reports_usage_and_retention_of_a_fleet() {
    let (core, machines, versions) = prepared().await;
    let begun = Instant::now();
    let usage =
        core.data("azimage_image_usage", &json!({"image_definition_id": definition()})).await.unwrap();
    println!("usage of {machines} machines and {versions} versions: {:?}", begun.elapsed());
    assert_eq!(usage.get("users").elements().len(), machines);
    assert_eq!(usage.get("versions_in_use").entries().count(), 100.min(machines));
    assert_eq!(usage.get("complete"), &Value::Bool(true), "{:?}", usage.get("incomplete_reason"));

    let config = json!({"image_definition_id": definition(), "keep_latest": 10});
    let plan = core.plan("azimage_version_retention", None, &config).await;
    let begun = Instant::now();
    let held = core.apply(&plan).await.held.unwrap();
    println!("retention: {:?}", begun.elapsed());
    // The newest ten, and the hundred in use.
    let prunable = held.get("prunable").elements().len();
    assert_eq!(prunable, versions - 10 - 100);
    assert_eq!(held.get("kept").entries().count(), 110);

    let config = json!({"image_definition_id": definition(), "used_gb": 4, "prices": {"East US": 0.05}});
    let cost = core.data("azimage_image_cost", &config).await.unwrap();
    // 4 GB in two replicas of every version.
    let gb = i64::try_from(versions).unwrap() * 8;
    assert_eq!(cost.get("replica_gb").as_i64(), Some(gb));
    let listed = core
        .data("azimage_image_cost", &json!({"image_definition_id": definition(), "used_gb": 4}))
        .await
        .unwrap();
    assert_eq!(listed.get("monthly_cost"), cost.get("monthly_cost"));

    let deployments = core
        .data("azimage_image_deployments", &json!({"image_definition_id": definition(), "since": "1d"}))
        .await
        .unwrap();
    assert_eq!(deployments.get("deployment_count").as_i64(), Some(i64::try_from(machines).unwrap()));
    assert_eq!(deployments.get("failures").as_i64(), Some(0));
}
