//! Galleries and image definitions.

use super::{Case, GUID_A, no_prerequisites, rg, with_gallery};
use crate::core::{Json, SUBSCRIPTION, json};

pub fn gallery() -> Case {
    Case {
        name: "gallery",
        type_name: "azimage_gallery",
        prepare: no_prerequisites,
        small: json!({"name": "gal", "resource_group_name": "rg", "location": "West Europe"}),
        full: json!({
            "description": "golden images",
            "tags": {"team": "platform", "Cost": "1"},
            "soft_delete": {"enabled": true, "retention_days": 14, "grace_period_days": 3},
            "identity": {"type": "SystemAssigned"},
            "sharing": {"permission": "Private"},
            "timeouts": {"create": "10m", "read": "1m"},
        }),
        updates: vec![
            (json!({"description": "other"}), &["description"]),
            (json!({"description": null}), &["description"]),
            (json!({"tags": {"team": "images", "Cost": null, "new": "x"}}), &["tags", "tags_all"]),
            (json!({"tags": null}), &["tags", "tags_all"]),
            (json!({"soft_delete": {"retention_days": 30}}), &["soft_delete"]),
            (json!({"soft_delete": {"enabled": false}}), &["soft_delete"]),
            (json!({"soft_delete": null}), &["soft_delete"]),
            (
                json!({"identity": {"type": "UserAssigned", "identity_ids": [identity("one"), identity("two")]}}),
                &["identity"],
            ),
            (
                json!({"identity": {"type": "SystemAssigned, UserAssigned", "identity_ids": [identity("one")]}}),
                &["identity"],
            ),
            (json!({"identity": null}), &["identity"]),
            (json!({"timeouts": {"create": "20m"}}), &["timeouts"]),
            (json!({"timeouts": null}), &["timeouts"]),
        ],
        forces: vec![
            (json!({"name": "gal3"}), &["name"]),
            (json!({"resource_group_name": "other-rg"}), &["resource_group_name"]),
            (json!({"location": "eastus"}), &["location"]),
            (json!({"subscription_id": GUID_A}), &["subscription_id"]),
        ],
        same: vec![
            json!({"location": "westeurope"}),
            json!({"location": "WEST  EUROPE"}),
            json!({"resource_group_name": "RG"}),
            json!({"subscription_id": SUBSCRIPTION}),
            json!({"name": "GAL"}),
            json!({"sharing": null}),
            json!({"tags": {"TEAM": "platform", "cost": "1", "team": null, "Cost": null}}),
        ],
        drifts: vec![
            (json!({"tags": {"team": "somebody", "extra": "y"}}), &["tags", "tags_all"]),
            (json!({"tags": {"Cost": null}}), &["tags", "tags_all"]),
            (json!({"properties": {"description": "changed by hand"}}), &["description"]),
            (json!({"properties": {"description": null}}), &["description"]),
            (json!({"properties": {"softDeletePolicy": {"retentionPeriodInDays": 20}}}), &["soft_delete"]),
            (json!({"properties": {"softDeletePolicy": {"isSoftDeleteEnabled": false}}}), &["soft_delete"]),
            (json!({"identity": {"type": "None"}}), &["identity"]),
        ],
        // sharing changes through an action: see the tests of sharing
        not_in_azure: &["timeouts", "sharing"],
        not_imported: &["timeouts"],
        id: Some(rg("galleries/gal")),
        azurerm: Some("azurerm_shared_image_gallery"),
    }
}

fn identity(name: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"
    )
}

pub fn image_definition() -> Case {
    Case {
        name: "image definition",
        type_name: "azimage_image_definition",
        prepare: with_gallery,
        small: json!({
            "name": "def", "gallery_id": rg("galleries/gal"), "os_type": "Linux", "hyper_v_generation": "V2",
            "identifier": {"publisher": "contoso", "offer": "linux", "sku": "web"},
        }),
        full: json!({
            "description": "web servers",
            "eula": "https://contoso.example/eula",
            "privacy_statement_uri": "https://contoso.example/privacy",
            "release_note_uri": "https://contoso.example/notes",
            "end_of_life_date": "2031-01-01T00:00:00Z",
            "disallowed_disk_types": ["Standard_LRS", "StandardSSD_LRS"],
            "recommended": {"minimum_vcpus": 2, "maximum_vcpus": 8, "minimum_memory_gb": 4, "maximum_memory_gb": 32},
            "security_type": "TrustedLaunchSupported",
            "accelerated_networking_enabled": true,
            "hibernation_enabled": false,
            "disk_controller_types": ["SCSI", "NVMe"],
            "tags": {"os": "linux"},
            "timeouts": {"update": "5m"},
        }),
        updates: vec![
            (json!({"description": "other"}), &["description"]),
            (json!({"description": null}), &["description"]),
            (json!({"eula": "https://contoso.example/other"}), &["eula"]),
            (json!({"eula": null}), &["eula"]),
            (json!({"privacy_statement_uri": null}), &["privacy_statement_uri"]),
            (json!({"release_note_uri": null}), &["release_note_uri"]),
            (json!({"end_of_life_date": "2032-01-01T00:00:00Z"}), &["end_of_life_date"]),
            (json!({"end_of_life_date": null}), &["end_of_life_date"]),
            (json!({"disallowed_disk_types": ["Standard_LRS"]}), &["disallowed_disk_types"]),
            (json!({"disallowed_disk_types": null}), &["disallowed_disk_types"]),
            (json!({"recommended": {"minimum_vcpus": 4, "maximum_memory_gb": null}}), &["recommended"]),
            (json!({"recommended": null}), &["recommended"]),
            (json!({"security_type": "Standard"}), &["security_type"]),
            (json!({"security_type": "TrustedLaunchAndConfidentialVMSupported"}), &["security_type"]),
            (json!({"accelerated_networking_enabled": false}), &["accelerated_networking_enabled"]),
            (json!({"accelerated_networking_enabled": null}), &["accelerated_networking_enabled"]),
            (json!({"hibernation_enabled": true}), &["hibernation_enabled"]),
            (json!({"disk_controller_types": ["SCSI"]}), &["disk_controller_types"]),
            (json!({"disk_controller_types": null}), &["disk_controller_types"]),
            (json!({"tags": {"os": "unix"}}), &["tags", "tags_all"]),
            (json!({"tags": null}), &["tags", "tags_all"]),
            (json!({"timeouts": null}), &["timeouts"]),
        ],
        forces: vec![
            (json!({"name": "def3", "identifier": {"sku": "other"}}), &["identifier.sku", "name"]),
            (json!({"gallery_id": rg("galleries/gal2")}), &["gallery_id"]),
            (json!({"location": "westeurope"}), &["location"]),
            (json!({"os_type": "Windows"}), &["os_type"]),
            (json!({"os_state": "Specialized"}), &["os_state"]),
            (
                json!({"hyper_v_generation": "V1", "security_type": "Standard", "disk_controller_types": ["SCSI"]}),
                &["hyper_v_generation"],
            ),
            (json!({"architecture": "Arm64"}), &["architecture"]),
            (json!({"identifier": {"publisher": "fabrikam"}}), &["identifier.publisher"]),
            (json!({"identifier": {"offer": "unix"}}), &["identifier.offer"]),
            (json!({"identifier": {"sku": "db"}}), &["identifier.sku"]),
            (json!({"purchase_plan": {"name": "p", "publisher": "q", "product": "r"}}), &["purchase_plan"]),
        ],
        same: vec![
            json!({"gallery_id": rg("galleries/gal").to_uppercase().replace("/SUBSCRIPTIONS/", "/subscriptions/")}),
            json!({"gallery_id": rg("galleries/gal").replace("/rg/", "/RG/")}),
            json!({"location": "East US"}),
            json!({"location": "eastus"}),
            json!({"end_of_life_date": "2031-01-01T00:00:00+00:00"}),
            json!({"end_of_life_date": "2031-01-01T01:00:00.000+01:00"}),
            json!({"disallowed_disk_types": ["StandardSSD_LRS", "Standard_LRS"]}),
            json!({"disk_controller_types": ["NVMe", "SCSI"]}),
            json!({"os_state": "Generalized", "architecture": "x64"}),
            json!({"hibernation_enabled": null}),
            json!({"name": "DEF"}),
            json!({"hibernation_enabled": null}),
        ],
        drifts: vec![
            (json!({"tags": {"os": "unix"}}), &["tags", "tags_all"]),
            (json!({"properties": {"description": "by hand"}}), &["description"]),
            (json!({"properties": {"eula": "by hand"}}), &["eula"]),
            (json!({"properties": {"privacyStatementUri": "https://x.example"}}), &["privacy_statement_uri"]),
            (json!({"properties": {"releaseNoteUri": "https://x.example"}}), &["release_note_uri"]),
            (json!({"properties": {"endOfLifeDate": "2033-01-01T00:00:00Z"}}), &["end_of_life_date"]),
            (
                json!({"properties": {"disallowed": {"diskTypes": ["Premium_LRS"]}}}),
                &["disallowed_disk_types"],
            ),
            (json!({"properties": {"recommended": {"vCPUs": {"min": 3}}}}), &["recommended"]),
            (features("SecurityType", "TrustedLaunch"), &["security_type"]),
            (features("IsAcceleratedNetworkSupported", "False"), &["accelerated_networking_enabled"]),
            (features("IsHibernateSupported", "True"), &["hibernation_enabled"]),
            (features("DiskControllerTypes", "SCSI"), &["disk_controller_types"]),
        ],
        // other features: the service supports few names, see the tests of features
        not_in_azure: &["timeouts", "features"],
        not_imported: &["timeouts"],
        id: Some(rg("galleries/gal/images/def")),
        azurerm: Some("azurerm_shared_image"),
    }
}

// The features of the full definition with one feature changed outside Terraform.
fn features(name: &str, value: &str) -> Json {
    let all = [
        ("SecurityType", "TrustedLaunchSupported"),
        ("IsAcceleratedNetworkSupported", "True"),
        ("IsHibernateSupported", "False"),
        ("DiskControllerTypes", "SCSI, NVMe"),
    ];
    let all: Vec<Json> = all
        .iter()
        .map(|(have, old)| json!({"name": have, "value": if *have == name { value } else { old }}))
        .collect();
    json!({"properties": {"allowUpdateImage": true, "features": all}})
}
