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
use core::{Core, Json, json};

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

/// Counts the requests from now on.
fn count(core: &Core) {
    core.control("DELETE", "faults", json!({}));
    // One without an end would not count.
    core.fault(json!({"path": ".", "count": 1_000_000, "delay_ms": 1}));
}

fn counted(core: &Core) -> usize {
    let faults = core.control("GET", "faults", json!({}));

    faults["faults"][0]["done"].as_u64().unwrap_or_default() as usize
}

/// Asserts that no more than `budget` requests were sent since the last [`count`].
fn within(core: &Core, what: &str, budget: usize) {
    let sent = counted(core);
    println!("{what}: {sent} requests of {budget}");
    assert!(sent > 0, "{what} sent none");
    assert!(sent <= budget, "{what} sent {sent} requests, and its budget is {budget}");
}

/// The budgets, which the size of a fleet decides: Resource Graph answers with 1,000 rows to a request, and there are four
/// queries at most: the readable subscriptions, the resources (each machine with its system disk), the instances of scale sets
/// and the captured images. The gallery is read to learn how it is shared, and versions come in pages.
struct Budgets {
    usage: usize,
    list: usize,
}

impl Budgets {
    fn of(core: &Core, machines: usize, versions: usize) -> Budgets {
        let page = core.control("GET", "settings", json!({}))["page_size"].as_u64().unwrap() as usize;
        Budgets { usage: (2 * machines).div_ceil(1_000) + 4, list: versions.div_ceil(page) }
    }
}

#[tokio::test]
async fn reports_usage_and_retention_of_a_fleet() {
    let (core, machines, versions) = prepared().await;
    let budgets = Budgets::of(&core, machines, versions);
    count(&core);
    let begun = Instant::now();
    let usage =
        core.data("azimage_image_usage", &json!({"image_definition_id": definition()})).await.unwrap();
    println!("usage of {machines} machines and {versions} versions: {:?}", begun.elapsed());
    within(&core, "usage", budgets.usage);
    assert_eq!(usage.get("users").elements().len(), machines);
    assert_eq!(usage.get("versions_in_use").entries().count(), 100.min(machines));
    assert_eq!(usage.get("complete"), &Value::Bool(true), "{:?}", usage.get("incomplete_reason"));

    let config = json!({"image_definition_id": definition(), "keep_latest": 10});
    count(&core);
    let plan = core.plan("azimage_version_retention", None, &config).await;
    let begun = Instant::now();
    let held = core.apply(&plan).await.held.unwrap();
    within(&core, "retention", budgets.usage + budgets.list);
    println!("retention: {:?}", begun.elapsed());
    // The newest ten, and the hundred in use.
    let prunable = held.get("prunable").elements().len();
    assert_eq!(prunable, versions - 10 - 100);
    assert_eq!(held.get("kept").entries().count(), 110);

    count(&core);
    let config = json!({"image_definition_id": definition(), "used_gb": 4, "prices": {"East US": 0.05}});
    let cost = core.data("azimage_image_cost", &config).await.unwrap();
    within(&core, "cost", budgets.list + 1);
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

    // Forty versions at most are enough to measure deletions.
    let keeping = versions.saturating_sub(140).max(10);
    let config = |delete: bool| json!({"image_definition_id": definition(), "keep_latest": keeping, "delete_versions": delete});
    let plan = core.plan("azimage_version_retention", None, &config(false)).await;
    let held = core.apply(&plan).await.held.unwrap();
    let prunable = held.get("prunable").elements().len();
    let plan = core.plan("azimage_version_retention", Some(&held), &config(true)).await;
    count(&core);
    let begun = Instant::now();
    let applied = core.apply(&plan).await;
    println!("pruning {prunable} versions: {:?}", begun.elapsed());
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    let held = applied.held.unwrap();
    assert_eq!(held.get("pruned").entries().count(), prunable, "{:?}", applied.diagnostics);
    // A look for usage, with lists of machines and scale sets, before every 25 deletions; a read, a deletion and polls of it.
    let looks = prunable.div_ceil(25) + 1;
    let machines_list = machines.div_ceil(50) + 1;
    within(&core, "pruning", budgets.list + looks * (budgets.usage + machines_list) + prunable * 5);
}

/// Three versions, of which retention keeps the newest, in a service whose Resource Graph lags behind.
#[tokio::test]
async fn machines_that_resource_graph_does_not_know_yet_spare_their_version() {
    let core = Core::new().await;
    with_sources(&core);
    let make_version = |number: usize| {
        let properties = json!({
            "publishingProfile": {"targetRegions": [{"name": "eastus"}]},
            "storageProfile": {"source": {"id": rg("images/img")}},
        });
        put(
            &core,
            &format!("{}/versions/{}", definition(), version(number)),
            json!({"location": "eastus", "properties": properties}),
        );
    };
    (0..3).for_each(make_version);
    let config = json!({"image_definition_id": definition(), "keep_latest": 1, "delete_versions": true});
    let kind = "azimage_version_retention";
    let first = json!({"image_definition_id": definition(), "keep_latest": 1});
    let held = core.create(kind, &first).await;
    let plan = core.plan(kind, Some(&held), &config).await;
    assert_eq!(held.get("prunable").elements().len(), 2, "{:?}", held.state);
    core.control("PUT", "settings", json!({"eventual_consistency": true, "time_scale": 1}));
    core.control("POST", "clock/advance", json!({"seconds": 600}));
    let disk = json!({"createOption": "FromImage", "deleteOption": "Delete"});
    let machine = json!({"storageProfile": {"imageReference": {"id": format!("{}/versions/{}", definition(), version(0))}, "osDisk": disk}});
    // As another client would, since what is made by hand has no operation, and Resource Graph knows it at once.
    let create = |path: &str, body: Json| {
        let (status, answer) =
            core.client_request("PUT", &format!("{}?api-version=2024-07-01", rg(path)), body);
        assert_eq!(status, 201, "{answer}");
    };
    create("virtualMachines/new", json!({"location": "eastus", "properties": machine}));
    let set = json!({"orchestrationMode": "Uniform", "virtualMachineProfile": {"storageProfile": {"imageReference": {"id": format!("{}/versions/{}", definition(), version(1))}, "osDisk": {"createOption": "FromImage"}}}});
    create(
        "virtualMachineScaleSets/new",
        json!({"location": "eastus", "sku": {"name": "Standard_D2s_v5", "capacity": 0}, "properties": set}),
    );
    let usage =
        core.data("azimage_image_usage", &json!({"image_definition_id": definition()})).await.unwrap();
    let kinds: Vec<&str> =
        usage.get("users").elements().iter().filter_map(|user| user.get("kind").as_str()).collect();
    // The emulator's index lags for what a client makes, and not for the disk that the machine makes.
    assert_eq!(kinds, ["disk"], "Resource Graph knows them already");
    let applied = core.apply(&plan).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    applied.diagnostics.assert_warning(&["were spared", "1.0.0: in use by 1 resource", "1.0.1: in use by 1"]);
    assert!(core.exists(&format!("{}/versions/1.0.0", definition())));
    assert!(core.exists(&format!("{}/versions/1.0.1", definition())));
}
