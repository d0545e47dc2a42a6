//! What a creation of a version shows to plans made meanwhile, and which versions are the same image.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::azure::pipeline;
use crate::azure::run_log::Event;
use crate::azure::testing::{FakeArm, SUBSCRIPTION, op};
use crate::framework::Private;
use crate::schema::Set;

#[tokio::test(start_paused = true)]
async fn records_the_version_as_published_before_the_service_can_show_it() {
    let definition = format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Compute/galleries/g/images/i"
    );
    let plan = Model {
        version: "1.1.0".to_owned(),
        image_definition_id: definition,
        location: Some("eastus".to_owned()),
        wait_for_replication: Some("none".to_owned()),
        ..Model::default()
    };
    let arm = FakeArm::new();
    arm.takes(Duration::from_secs(2));
    let (context, op, mut private) = (arm.context(), op(), Private::default());
    let id = id_of(&plan).unwrap();
    let watch = async {
        while !arm.calls().iter().any(|call| call.starts_with("PUT ")) {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert!(context.run.has(&id.to_string(), Event::Published), "the write is under way");
    };
    let (made, ()) =
        tokio::join!(pipeline::create(&ImageVersion, Call::new(&context, &op, &mut private), plan), watch);
    assert!(made.is_err(), "nobody answers the write");
}

#[test]
fn is_the_same_image_only_with_the_same_source_in_the_same_place() {
    let disk =
        |name: &str| format!("/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/disks/{name}");
    let data =
        |lun: i64, name: &str| source::DataDisk { lun, disk_id: Some(disk(name)), ..Default::default() };
    let os_disk = source::OsDisk { disk_id: Some(disk("os")), ..Default::default() };
    let of = |data_disk: Vec<source::DataDisk>| {
        Some(source::Source {
            os_disk: Some(os_disk.clone()),
            data_disk: Set(data_disk),
            ..Default::default()
        })
    };
    let plan = Model { source: of(vec![data(0, "a"), data(1, "b")]), ..Model::default() };
    let profile = source::expand(plan.source.as_ref().unwrap());
    let left = json!({"location": "eastus", "properties": {
        "storageProfile": profile, "publishingProfile": {"replicationMode": "Full"},
    }});
    assert!(is_same_image(&left, &plan));
    assert!(is_same_image(&left, &Model { location: Some("East US".into()), ..plan.clone() }));
    for other in [
        Model { source: of(vec![data(0, "a")]), ..plan.clone() },
        Model { source: of(vec![data(0, "a"), data(1, "c")]), ..plan.clone() },
        Model { source: of(vec![data(0, "a"), data(2, "b")]), ..plan.clone() },
        Model { location: Some("westus".into()), ..plan.clone() },
        Model { replication_mode: Some("Shallow".into()), ..plan.clone() },
    ] {
        assert!(!is_same_image(&left, &other), "{:?}", other.source);
    }
}

#[test]
fn updates_send_no_read_only_members() {
    let context = FakeArm::new().context();
    let current = json!({
        "id": "/x", "name": "1.0.0", "type": "Microsoft.Compute/galleries/images/versions", "location": "eastus",
        "tags": {"a": "b"}, "etag": "e", "systemData": {"createdAt": "2026-01-01T00:00:00Z"},
        "properties": {
            "provisioningState": "Succeeded",
            "replicationStatus": {"aggregatedState": "Completed", "summary": []},
            "validationsProfile": {"validationEtag": "v"},
            "publishingProfile": {
                "targetRegions": [{"name": "East US", "regionalReplicaCount": 1, "storageAccountType": "Standard_LRS"}],
                "replicaCount": 1, "excludeFromLatest": false, "publishedDate": "2026-01-01T00:00:00Z",
                "storageAccountType": "Standard_LRS", "replicationMode": "Full",
            },
            "safetyProfile": {"reportedForPolicyViolation": false, "allowDeletionOfReplicatedLocations": false},
            "storageProfile": {
                "source": {"id": "/image"},
                "osDiskImage": {"sizeInGB": 30, "hostCaching": "ReadWrite", "source": {}},
                "dataDiskImages": [{"lun": 0, "sizeInGB": 10, "hostCaching": "None", "source": {}}],
            },
        },
    });
    let body = json::expand_change(&context, &Model::default(), &current);
    let text = body.to_string();
    for read_only in [
        "sizeInGB",
        "osDiskImage",
        "publishedDate",
        "provisioningState",
        "replicationStatus",
        "reportedForPolicyViolation",
        "validationsProfile",
        "systemData",
        "etag",
        "\"id\"",
        "\"type\"",
    ] {
        assert!(!text.contains(read_only), "{read_only} in {text}");
    }
    assert_eq!(body["properties"]["storageProfile"], json!({}));
}
