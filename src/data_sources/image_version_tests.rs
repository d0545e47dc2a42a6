//! Selecting a version among excluded, unfinished, unreplicated and outdated ones, and the reasons for skipping others.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::azure::body;
use crate::azure::testing::{FakeArm, op};
use crate::schema::Path;

const DEFINITION: &str =
    "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries/gal/images/web";

/// A version; `change` sets members below `properties`.
fn version(name: &str, change: &[(&str, Json)]) -> Json {
    let mut version = json!({
        "name": name, "location": "westeurope", "tags": {"stage": "ga"},
        "properties": {
            "provisioningState": "Succeeded",
            "publishingProfile": {
                "excludeFromLatest": false, "publishedDate": "2026-11-02T09:14:03+00:00",
                "targetRegions": [{"name": "West Europe", "regionalReplicaCount": 2}, {"name": "East US", "regionalReplicaCount": 1}],
            },
            "storageProfile": {"source": {"id": "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/images/i"}, "osDiskImage": {"sizeInGB": 30}},
        },
    });
    for (path, value) in change {
        body::set(&mut version, &format!("properties.{path}"), value.clone());
    }
    version
}

fn replicated(name: &str, east: &str) -> Json {
    let summary = json!([{"region": "westeurope", "state": "Completed"}, {"region": "eastus", "state": east, "progress": 40}]);
    version(name, &[("replicationStatus", json!({"aggregatedState": "InProgress", "summary": summary}))])
}

fn service() -> Arc<FakeArm> {
    let arm = FakeArm::new();
    let rc = {
        let mut rc = version("1.0.13", &[]);
        rc["tags"] = json!({"stage": "rc"});
        rc
    };
    let all = [
        version("1.0.10", &[]),
        version("1.0.12", &[]),
        rc,
        version(
            "1.0.14",
            &[(
                "publishingProfile.targetRegions",
                json!([{"name": "East US", "excludeFromLatest": true}, {"name": "West Europe"}]),
            )],
        ),
        version("1.0.15", &[("publishingProfile.excludeFromLatest", json!(true))]),
        version("1.0.16", &[("provisioningState", json!("Creating"))]),
        version("1.0.17", &[("publishingProfile.endOfLifeDate", json!("2020-01-01T00:00:00+00:00"))]),
        version("1.0.18", &[("publishingProfile.targetRegions", json!([{"name": "West Europe"}]))]),
        version("1.0.9", &[]),
        version("2.0.0", &[]),
    ];
    arm.get(
        &format!("{DEFINITION}/versions"),
        json!({"value": all[..6], "nextLink": format!("https://management.azure.com{DEFINITION}/versions?api-version=x&page=2")}),
    )
    .get(&format!("{DEFINITION}/versions?page=2"), json!({"value": all[6..]}));
    for version in &all {
        let name = version["name"].as_str().unwrap();
        arm.get(&format!("{DEFINITION}/versions/{name}?ReplicationStatus"), version.clone());
    }
    // only a GET shows that 2.0.0 is still replicating to eastus and 1.0.12 is complete there
    arm.get(&format!("{DEFINITION}/versions/2.0.0?ReplicationStatus"), replicated("2.0.0", "Replicating"))
        .get(&format!("{DEFINITION}/versions/1.0.12?ReplicationStatus"), replicated("1.0.12", "Completed"));
    arm
}

fn config(version: Option<&str>, location: Option<&str>) -> Model {
    Model {
        image_definition_id: DEFINITION.to_owned(),
        version: version.map(str::to_owned),
        location: location.map(str::to_owned),
        ..Model::default()
    }
}

fn stage(stage: &str, config: Model) -> Model {
    Model { tags: Some([("Stage".to_owned(), stage.to_owned())].into()), ..config }
}

#[tokio::test]
async fn selects_the_newest_version_that_qualifies() {
    let arm = service();
    let context = arm.context();
    let rows: &[(&str, Model, &str)] = &[
        ("whatever is newest", config(None, None), "2.0.0"),
        ("a constraint", config(Some("~> 1.0.0"), None), "1.0.18"),
        ("in a region that has it", config(None, Some("West Europe")), "2.0.0"),
        ("replicated, not excluded there", config(Some("latest"), Some("East US")), "1.0.13"),
        ("by its tags", stage("ga", config(None, Some("eastus"))), "1.0.12"),
        (
            "including excluded ones",
            Model { include_excluded: Some(true), ..config(None, Some("eastus")) },
            "1.0.15",
        ),
        (
            "including unreplicated ones",
            Model { include_unreplicated: Some(true), ..config(None, Some("eastus")) },
            "2.0.0",
        ),
        ("exact, although excluded", config(Some("1.0.15"), None), "1.0.15"),
        ("exact, in another spelling", config(Some("1.0.012"), None), "1.0.12"),
    ];
    for (what, config, version) in rows {
        let got = ImageVersion.read(&context, &op(), config.clone()).await.unwrap();
        assert_eq!(got.exact_version.as_deref(), Some(*version), "{what}");
        assert_eq!(got.version.as_deref(), Some(*version), "{what}");
        assert_eq!(got.id, Some(format!("{DEFINITION}/versions/{version}")), "{what}");
        assert_eq!(got.location, config.location.clone().or(Some("westeurope".to_owned())), "{what}");
    }
}

#[tokio::test]
async fn explains_why_each_other_version_was_skipped() {
    let arm = service();
    let got =
        ImageVersion.read(&arm.context(), &op(), stage("ga", config(None, Some("eastus")))).await.unwrap();
    for (version, why) in [
        ("2.0.0", "Replicating"),
        ("1.0.18", "not replicated to eastus"),
        ("1.0.17", "end of life"),
        ("1.0.16", "Creating"),
        ("1.0.15", "excluded from latest"),
        ("1.0.14", "excluded from latest in eastus"),
        ("1.0.13", "tag"),
        ("1.0.10", "older than 1.0.12"),
        ("1.0.9", "older than 1.0.12"),
    ] {
        assert!(got.skipped[version].contains(why), "{version}: {}", got.skipped[version]);
    }
    assert_eq!(got.skipped.len(), 9);
    assert_eq!(got.replication_state["eastus"], "Completed");
    assert_eq!((got.os_disk_size_gb, got.target_region.len()), (Some(30), 2));
    assert!(got.source.unwrap().managed_image_id.is_some());
    assert_eq!(got.published_date.as_deref(), Some("2026-11-02T09:14:03+00:00"));
}

#[tokio::test]
async fn never_selects_a_version_whose_own_status_is_unreplicated() {
    let arm = service();
    for (status, chosen) in [
        (json!({"aggregatedState": "InProgress", "summary": []}), "1.0.13"),
        (json!({"summary": [{"region": "westeurope", "state": "Completed"}]}), "1.0.13"),
        (json!({"aggregatedState": "Completed", "summary": []}), "2.0.0"),
    ] {
        let look = version("2.0.0", &[("replicationStatus", status.clone())]);
        arm.get(&format!("{DEFINITION}/versions/2.0.0?ReplicationStatus"), look);
        let got = ImageVersion.read(&arm.context(), &op(), config(None, Some("eastus"))).await.unwrap();
        assert_eq!(got.exact_version.as_deref(), Some(chosen), "{status}");
        assert_eq!(got.replication_state["eastus"], "Completed", "{status}");
    }
}

#[tokio::test]
async fn skips_a_version_that_is_deleted_meanwhile() {
    let arm = service();
    let gone = json!({"error": {"code": "ResourceNotFound", "message": "gone"}});
    arm.on(crate::arm::Method::Get, &format!("{DEFINITION}/versions/2.0.0"), 404, gone);
    let got = ImageVersion.read(&arm.context(), &op(), config(None, None)).await.unwrap();
    assert_eq!(got.exact_version.as_deref(), Some("1.0.18"));
}

#[tokio::test(start_paused = true)]
async fn all_requests_together_respect_the_timeout() {
    let arm = service();
    arm.takes(Duration::from_secs(40));
    let short = Op::new(Duration::from_secs(100), CancellationToken::new());
    let begun = Instant::now();
    // two pages and a GET
    let message = ImageVersion.read(&arm.context(), &short, config(None, None)).await.unwrap_err().0;
    assert_eq!(begun.elapsed(), Duration::from_secs(100));
    assert!(message[0].to_string().contains("1m40s"), "{}", message[0]);
}

#[tokio::test]
async fn errors_point_at_the_wrong_argument() {
    let arm = service();
    let gallery = DEFINITION.trim_end_matches("/web");
    arm.get(gallery, json!({"value": [{"name": "web"}, {"name": "none"}]}))
        .get(&format!("{gallery}/none/versions"), json!({"value": []}));
    let context = arm.context();
    let other = |name: &str| Model { image_definition_id: format!("{gallery}/{name}"), ..config(None, None) };
    let rows: &[(Model, &str, &str)] = &[
        (config(Some("1.0.11"), None), "version", "\"1.0.12\""),
        (config(Some("~> 3.0"), None), "version", "does not satisfy"),
        (config(Some("1.0.18"), Some("eastus")), "version", "not replicated to eastus"),
        (stage("dev", config(None, None)), "version", "tag"),
        (other("wep"), "image_definition_id", "\"web\""),
        (other("none"), "image_definition_id", "has no versions"),
        (Model { image_definition_id: "/x".to_owned(), ..config(None, None) }, "image_definition_id", "/x"),
    ];
    for (config, path, text) in rows {
        let found = ImageVersion.read(&context, &op(), config.clone()).await.unwrap_err().0;
        assert_eq!(found[0].path, Path::attribute(*path), "{}", found[0]);
        assert!(found[0].to_string().contains(text), "{}", found[0]);
    }
}
