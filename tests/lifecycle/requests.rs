//! The number of requests of a run: a parent that was just read or written is not read again.

use super::versions::{VERSION, version, with_sources};
use crate::cases::rg;
use crate::core::{Core, Json, json, patched};

const GALLERY: &str = "azimage_gallery";
const DEFINITION: &str = "azimage_image_definition";

// Counts the requests whose path matches.
fn count(core: &Core, path: &str) {
    // One without an end would not count.
    core.fault(json!({"path": path, "count": 1_000_000, "delay_ms": 1}));
}

fn counted(core: &Core) -> i64 {
    let faults = core.control("GET", "faults", json!({}));
    faults["faults"].as_array().unwrap().iter().map(|fault| fault["done"].as_i64().unwrap_or_default()).sum()
}

#[tokio::test(start_paused = true)]
async fn gallery_with_two_versions_needs_few_requests() {
    let core = with_sources(json!({})).await;
    let parent = |name: &str| json!({"name": name, "location": "eastus"});
    let gallery = patched(&parent("new"), &json!({"resource_group_name": "rg"}));
    let definition = patched(
        &parent("web"),
        &json!({"gallery_id": rg("galleries/new"), "os_type": "Linux", "hyper_v_generation": "V2",
            "identifier": {"publisher": "contoso", "offer": "linux", "sku": "web"}}),
    );
    let of = |number: &str| {
        version(json!({"version": number, "image_definition_id": rg("galleries/new/images/web")}))
    };
    let configs: [(&str, Json); 4] =
        [(GALLERY, gallery), (DEFINITION, definition), (VERSION, of("1.0.0")), (VERSION, of("1.0.1"))];
    count(&core, ".");
    let mut plans = Vec::new();
    // in one graph walk, as Terraform plans: a version sees the plan of its definition
    core.begin_graph_walk();
    for (type_name, config) in &configs {
        let config = core.config(type_name, config);
        plans.push(core.try_plan_in_graph_walk(type_name, None, &config).await.unwrap());
    }
    let planned = counted(&core);
    for plan in &plans[..2] {
        let applied = core.apply(plan).await;
        assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    }
    let (a, b) = tokio::join!(core.apply(&plans[2]), core.apply(&plans[3]));
    assert!(
        !a.diagnostics.has_errors() && !b.diagnostics.has_errors(),
        "{:?} {:?}",
        a.diagnostics,
        b.diagnostics
    );
    assert!(counted(&core) <= 20, "{planned} to plan, {} in all", counted(&core));
}

#[tokio::test(start_paused = true)]
async fn versions_read_their_definition_and_gallery_once() {
    let core = with_sources(json!({})).await;
    count(&core, "/galleries/gal$");
    count(&core, "/images/def$");
    let configs: Vec<Json> =
        (0..40).map(|number| version(json!({"version": format!("2.0.{number}")}))).collect();
    let mut plans = Vec::new();
    for config in &configs {
        plans.push(core.plan(VERSION, None, config).await);
    }
    let applied = futures_util::future::join_all(plans.iter().map(|plan| core.apply(plan))).await;
    assert!(applied.iter().all(|applied| !applied.diagnostics.has_errors()));
    assert!(counted(&core) <= 2, "{}", counted(&core));
}
