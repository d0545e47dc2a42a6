//! What is sent and read of an application version.

use serde_json::json;

use super::*;
use crate::azure::objects::application_version::{ManageAction, Source, TargetRegion};
use crate::azure::testing::FakeArm;
use crate::schema::Set;

const LINK: &str = "https://a.blob.core.windows.net/c/agent.zip";

fn plan() -> Model {
    Model {
        name: "1.0.0".to_owned(),
        gallery_application_id:
            "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries/g/applications/a"
                .to_owned(),
        source: Some(Source { media_link: format!("{LINK}?sig=1"), default_configuration_link: None }),
        manage_action: Some(ManageAction { install: "i".into(), remove: "r".into(), update: None }),
        target_region: Set(vec![TargetRegion {
            name: "westeurope".into(),
            regional_replica_count: Some(1),
            storage_account_type: Some("Standard_LRS".into()),
            exclude_from_latest: Some(false),
        }]),
        ..Model::default()
    }
}

// As the service answers to a plain creation.
fn answer() -> Json {
    json!({"location": "westeurope", "properties": {
        "publishingProfile": {
            "source": {"mediaLink": LINK},
            "manageActions": {"install": "i", "remove": "r"},
            "enableHealthCheck": false,
            "targetRegions": [{"name": "West Europe", "regionalReplicaCount": 1, "storageAccountType": "Standard_LRS"}],
            "replicaCount": 1,
            "excludeFromLatest": false,
            "publishedDate": "2025-02-10T07:23:06.0261569+00:00",
            "storageAccountType": "Standard_LRS",
        },
        "provisioningState": "Succeeded",
    }})
}

#[tokio::test]
async fn an_update_sends_the_package_with_its_token_and_nothing_read_only() {
    let context = FakeArm::new().context();
    let sent = json::expand(&context, &plan(), "", Some(&answer()));
    assert_eq!(
        sent,
        json!({"location": "westeurope", "tags": {}, "properties": {
            "publishingProfile": {
                "source": {"mediaLink": format!("{LINK}?sig=1")},
                "manageActions": {"install": "i", "remove": "r"},
                "enableHealthCheck": false,
                "targetRegions": [{"name": "West Europe", "regionalReplicaCount": 1, "storageAccountType": "Standard_LRS"}],
                "replicaCount": 1,
                "excludeFromLatest": false,
                "storageAccountType": "Standard_LRS",
            },
            "safetyProfile": {"allowDeletionOfReplicatedLocations": true},
        }})
    );
}

#[tokio::test]
async fn an_answer_without_the_token_changes_nothing() {
    let context = FakeArm::new().context();
    let plan = plan();
    let id = id_of(&plan).unwrap();
    for source in [json!({"mediaLink": LINK}), json!({"mediaLink": format!("{LINK}?sig=2")}), Json::Null] {
        let mut answer = answer();
        answer["properties"]["publishingProfile"]["source"] = source;
        assert_eq!(json::flatten(&context, &answer, &id, &plan).source, plan.source);
    }
    let other = Source { media_link: "https://a.blob.core.windows.net/c/b.zip".into(), ..Source::default() };
    let mut answer = answer();
    answer["properties"]["publishingProfile"]["source"] = json!({"mediaLink": other.media_link});
    assert_eq!(json::flatten(&context, &answer, &id, &plan).source, Some(other));
}

#[test]
fn is_the_same_package_only_with_the_same_blob_scripts_and_place() {
    assert!(json::is_same_package(&answer(), &plan()));
    let scripts = ManageAction { install: "other".into(), remove: "r".into(), update: None };
    for other in [
        Model { location: Some("eastus".into()), ..plan() },
        Model { manage_action: Some(scripts), ..plan() },
        Model { package_file: Some("agent.zip".into()), ..plan() },
        Model { source: Some(Source { media_link: "https://b/c".into(), ..Source::default() }), ..plan() },
    ] {
        assert!(!json::is_same_package(&answer(), &other), "{other:?}");
    }
}

#[test]
fn errors_point_at_the_attribute() {
    for (target, attribute) in [
        ("galleryApplicationVersion.properties.publishingProfile.targetRegions", Some("target_region")),
        ("galleryApplicationVersion.properties.publishingProfile.source.mediaLink", Some("source")),
        ("galleryApplicationVersion.location", Some("location")),
        ("galleryImageVersion.location", None),
    ] {
        assert_eq!(attribute_of(Some(target)), attribute, "{target}");
    }
}
