//! Configurations of every resource type: a small one and a full one, what changes in place, what replaces, what is only
//! spelt differently, and what somebody else may change in Azure.
#![allow(dead_code, reason = "each test file uses its own part")]

use crate::core::{Core, Json, SUBSCRIPTION, json};

/// What the lifecycle needs to know of a resource type, or of one way of using it.
pub struct Case {
    /// For messages.
    pub name: &'static str,
    pub type_name: &'static str,
    /// Puts into Azure what it stands on.
    pub prepare: fn(&Core),
    /// Only what is required.
    pub small: Json,
    /// A merge patch to as much as goes together, all of it changeable in place.
    pub full: Json,
    /// Merge patches of the full configuration, and what each changes: applied in place, then taken back.
    pub updates: Vec<(Json, &'static [&'static str])>,
    /// Merge patches of the full configuration, and the paths that each must name, and no others.
    pub forces: Vec<(Json, &'static [&'static str])>,
    /// Merge patches of the full configuration that change nothing.
    pub same: Vec<Json>,
    /// What somebody else does to the ARM object, by merge patch, and the attributes that a plan then shows.
    pub drifts: Vec<(Json, &'static [&'static str])>,
    /// Attributes that Azure does not have, or that only Azure changes together with others.
    pub not_in_azure: &'static [&'static str],
    /// Attributes that an import cannot know.
    pub not_imported: &'static [&'static str],
    /// The ARM id; none for what lives in the state only.
    pub id: Option<String>,
    /// The type of hashicorp/azurerm that can be moved here.
    pub azurerm: Option<&'static str>,
}

/// A path in the group that everything here is in.
pub fn rg(rest: &str) -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Compute/{rest}")
}

/// Puts something by hand.
pub fn put(core: &Core, id: &str, body: Json) {
    let (status, answer) = core.azure("PUT", id, body);
    assert!(status < 300, "PUT {id}: {status} {answer}");
}

pub fn bare(_: &Core) {}

pub fn with_gallery(core: &Core) {
    put(core, &rg("galleries/gal"), json!({"location": "eastus", "properties": {}}));
    put(core, &rg("galleries/gal2"), json!({"location": "eastus", "properties": {}}));
}

pub fn definition(name: &str) -> Json {
    json!({"location": "eastus", "properties": {
        "osType": "Linux", "osState": "Generalized", "hyperVGeneration": "V2",
        "identifier": {"publisher": "contoso", "offer": "linux", "sku": name},
    }})
}

/// Two definitions, two managed images, disks and snapshots, a machine that is generalized.
pub fn with_sources(core: &Core) {
    with_gallery(core);
    for name in ["def", "def2"] {
        put(core, &rg(&format!("galleries/gal/images/{name}")), definition(name));
    }
    for step in ["deallocate", "generalize"] {
        let (status, body) = core.azure("POST", &rg(&format!("virtualMachines/golden-vm/{step}")), json!({}));
        assert!(status < 300, "{step}: {status} {body}");
    }
    for name in ["img", "img2"] {
        let machine = json!({"id": rg("virtualMachines/golden-vm")});
        let body = json!({"location": "eastus", "properties": {"hyperVGeneration": "V2", "sourceVirtualMachine": machine}});
        put(core, &rg(&format!("images/{name}")), body);
    }
    with_disks(core);
    let west = json!({"osType": "Linux", "osState": "Generalized", "managedDisk": {"id": rg("disks/west")}});
    let properties = json!({"hyperVGeneration": "V2", "storageProfile": {"osDisk": west}});
    put(core, &rg("images/west"), json!({"location": "westeurope", "properties": properties}));
    let body = json!({
        "location": "eastus",
        "properties": {
            "publishingProfile": {"targetRegions": [{"name": "eastus"}]},
            "storageProfile": {"source": {"id": rg("images/img")}},
        },
    });
    put(core, &rg("galleries/gal/images/def2/versions/0.0.1"), body);
}

pub fn with_disks(core: &Core) {
    for (name, location) in
        [("os", "eastus"), ("os2", "eastus"), ("data", "eastus"), ("data2", "eastus"), ("west", "westeurope")]
    {
        let properties = json!({
            "osType": "Linux", "hyperVGeneration": "V2", "diskSizeGB": 30, "creationData": {"createOption": "Empty"},
        });
        put(core, &rg(&format!("disks/{name}")), json!({"location": location, "sku": {"name": "Premium_LRS"}, "properties": properties}));
        let copy = json!({"osType": "Linux", "hyperVGeneration": "V2", "creationData": {"createOption": "Copy", "sourceResourceId": rg(&format!("disks/{name}"))}});
        put(core, &rg(&format!("snapshots/{name}")), json!({"location": location, "properties": copy}));
    }
    for name in ["des", "des2"] {
        put(core, &rg(&format!("diskEncryptionSets/{name}")), json!({"location": "eastus", "identity": {"type": "SystemAssigned"}, "properties": {"activeKey": {"keyUrl": "https://v.vault.azure.net/keys/k/1"}}}));
    }
}

pub fn all() -> Vec<Case> {
    vec![gallery(), image_definition(), image_version(), version_of_disks(), captured_image(), image_of_disks(), image_replication(), pin(), agreement()]
}

pub fn gallery() -> Case {
    Case {
        name: "gallery",
        type_name: "azimage_gallery",
        prepare: bare,
        small: json!({"name": "gal", "resource_group_name": "rg", "location": "West Europe"}),
        full: json!({
            "description": "golden images",
            "tags": {"team": "platform", "Cost": "1"},
            "soft_delete": {"enabled": true, "retention_days": 14},
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
            (json!({"identity": {"type": "SystemAssigned, UserAssigned", "identity_ids": [identity("one")]}}), &["identity"]),
            (json!({"identity": null}), &["identity"]),
            (json!({"sharing": null}), &["sharing"]),
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
        // whom it is shared with changes by an action: see the tests of sharing
        not_in_azure: &["timeouts", "sharing"],
        // a gallery that is shared with nobody says nothing of it
        not_imported: &["timeouts", "sharing"],
        id: Some(rg("galleries/gal")),
        azurerm: Some("azurerm_shared_image_gallery"),
    }
}

pub const GUID_A: &str = "5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f1a";
pub const GUID_B: &str = "5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f1b";
pub const GUID_C: &str = "5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f1c";

fn identity(name: &str) -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}")
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
            (json!({"hibernation_enabled": null}), &["hibernation_enabled"]),
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
            json!({"name": "DEF"}),
        ],
        drifts: vec![
            (json!({"tags": {"os": "unix"}}), &["tags", "tags_all"]),
            (json!({"properties": {"description": "by hand"}}), &["description"]),
            (json!({"properties": {"eula": "by hand"}}), &["eula"]),
            (json!({"properties": {"privacyStatementUri": "https://x.example"}}), &["privacy_statement_uri"]),
            (json!({"properties": {"releaseNoteUri": "https://x.example"}}), &["release_note_uri"]),
            (json!({"properties": {"endOfLifeDate": "2033-01-01T00:00:00Z"}}), &["end_of_life_date"]),
            (json!({"properties": {"disallowed": {"diskTypes": ["Premium_LRS"]}}}), &["disallowed_disk_types"]),
            (json!({"properties": {"recommended": {"vCPUs": {"min": 3}}}}), &["recommended"]),
            (features("SecurityType", "TrustedLaunch"), &["security_type"]),
            (features("IsAcceleratedNetworkSupported", "False"), &["accelerated_networking_enabled"]),
            (features("IsHibernateSupported", "True"), &["hibernation_enabled"]),
            (features("DiskControllerTypes", "SCSI"), &["disk_controller_types"]),
        ],
        // any other feature: the service knows few names, see the tests of features
        not_in_azure: &["timeouts", "features"],
        not_imported: &["timeouts", "hibernation_enabled"],
        id: Some(rg("galleries/gal/images/def")),
        azurerm: Some("azurerm_shared_image"),
    }
}

// The features of the full definition with one of them changed by hand.
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

pub fn image_version() -> Case {
    Case {
        name: "image version",
        type_name: "azimage_image_version",
        prepare: with_sources,
        small: json!({
            "version": "1.0.0", "image_definition_id": rg("galleries/gal/images/def"),
            "source": {"managed_image_id": rg("images/img")},
            "target_region": [{"name": "East US"}, {"name": "westeurope", "regional_replica_count": 2}],
        }),
        full: json!({
            "allow_deletion_of_replicated_locations": true,
            "end_of_life_date": "2031-01-01T00:00:00Z",
            "exclude_from_latest": true,
            "wait_for_replication": "all",
            "deletion_policy": "delete",
            "tags": {"build": "17"},
            "timeouts": {"create": "2h"},
        }),
        updates: vec![
            (json!({"allow_deletion_of_replicated_locations": false}), &["allow_deletion_of_replicated_locations"]),
            (json!({"block_deletion_before_end_of_life": true}), &["block_deletion_before_end_of_life"]),
            (json!({"end_of_life_date": "2032-06-01T00:00:00Z"}), &["end_of_life_date"]),
            (json!({"end_of_life_date": null}), &["end_of_life_date"]),
            (json!({"exclude_from_latest": null}), &["exclude_from_latest"]),
            (json!({"wait_for_replication": "none"}), &["wait_for_replication"]),
            (json!({"wait_for_replication": "home"}), &["wait_for_replication"]),
            (json!({"deletion_policy": "retain"}), &["deletion_policy"]),
            (json!({"tags": {"build": "18", "x": "y"}}), &["tags", "tags_all"]),
            (json!({"tags": null}), &["tags", "tags_all"]),
            (json!({"timeouts": null}), &["timeouts"]),
            (
                json!({"target_region": [{"name": "East US", "regional_replica_count": 3}, {"name": "westeurope", "regional_replica_count": 2}]}),
                &["target_region"],
            ),
            (
                json!({"target_region": [{"name": "East US"}, {"name": "westeurope", "regional_replica_count": 2}, {"name": "North Europe"}]}),
                &["target_region"],
            ),
            (json!({"target_region": [{"name": "East US"}]}), &["target_region"]),
            (
                json!({"target_region": [{"name": "East US", "exclude_from_latest": true}, {"name": "westeurope", "regional_replica_count": 2}]}),
                &["target_region"],
            ),
        ],
        forces: vec![
            (json!({"version": "1.0.1"}), &["version"]),
            (json!({"image_definition_id": rg("galleries/gal/images/def2")}), &["image_definition_id"]),
            (
                json!({"location": "westeurope", "source": {"managed_image_id": rg("images/west")}}),
                &["location", "source.managed_image_id"],
            ),
            (json!({"replication_mode": "Shallow", "target_region": [{"name": "eastus"}]}), &["replication_mode"]),
            (json!({"uefi_settings_json": "{\"signatureTemplateNames\":[\"NoSignatureTemplate\"]}"}), &["uefi_settings_json"]),
            (json!({"source": {"managed_image_id": rg("images/img2")}}), &["source.managed_image_id"]),
            (
                json!({"source": {"managed_image_id": null, "virtual_machine_id": rg("virtualMachines/golden-vm")}}),
                &["source.managed_image_id", "source.virtual_machine_id"],
            ),
            (
                json!({"source": {"managed_image_id": null, "image_version_id": rg("galleries/gal/images/def2/versions/0.0.1")}}),
                &["source.image_version_id", "source.managed_image_id"],
            ),
            (
                json!({"source": {"managed_image_id": null, "community_image_id": "/communityGalleries/g-1/images/i"}}),
                &["source.community_image_id", "source.managed_image_id"],
            ),
        ],
        same: vec![
            json!({"target_region": [{"name": "WestEurope", "regional_replica_count": 2}, {"name": "eastus", "regional_replica_count": 1}]}),
            json!({"image_definition_id": rg("galleries/GAL/images/DEF")}),
            json!({"source": {"managed_image_id": rg("images/img").to_lowercase()}}),
            json!({"end_of_life_date": "2031-01-01T00:00:00+00:00"}),
            json!({"location": "East US"}),
            json!({"replication_mode": "Full", "block_deletion_before_end_of_life": false}),
        ],
        drifts: vec![
            (json!({"tags": {"build": "99"}}), &["tags", "tags_all"]),
            (json!({"properties": {"publishingProfile": {"excludeFromLatest": false}}}), &["exclude_from_latest"]),
            (json!({"properties": {"publishingProfile": {"endOfLifeDate": "2034-01-01T00:00:00Z"}}}), &["end_of_life_date"]),
            (
                json!({"properties": {"safetyProfile": {"allowDeletionOfReplicatedLocations": false}}}),
                &["allow_deletion_of_replicated_locations"],
            ),
            (
                json!({"properties": {"safetyProfile": {"allowDeletionOfReplicatedLocations": true, "blockDeletionBeforeEndOfLife": true}}}),
                &["block_deletion_before_end_of_life"],
            ),
            (
                json!({"properties": {"publishingProfile": {"targetRegions": [{"name": "eastus"}]}, "safetyProfile": {"allowDeletionOfReplicatedLocations": true}}}),
                &["target_region"],
            ),
        ],
        not_in_azure: &["timeouts", "wait_for_replication", "deletion_policy"],
        not_imported: &["timeouts", "wait_for_replication", "deletion_policy"],
        id: Some(rg("galleries/gal/images/def/versions/1.0.0")),
        azurerm: Some("azurerm_shared_image_version"),
    }
}

pub fn version_of_disks() -> Case {
    let data = |lun: i64, from: &str| json!({"lun": lun, "snapshot_id": rg(&format!("snapshots/{from}")), "host_caching": "ReadOnly"});
    Case {
        name: "image version of disks",
        small: json!({
            "version": "2.0.0", "image_definition_id": rg("galleries/gal/images/def"),
            "source": {"os_disk": {"snapshot_id": rg("snapshots/os")}, "data_disk": [data(0, "data"), data(3, "data2")]},
        }),
        full: json!({"tags": {"build": "17"}, "wait_for_replication": "home"}),
        updates: vec![(json!({"tags": {"build": "18"}}), &["tags", "tags_all"])],
        forces: vec![
            (json!({"version": "2.0.1"}), &["version"]),
            (json!({"source": {"os_disk": {"snapshot_id": rg("snapshots/os2")}}}), &["source.os_disk.snapshot_id"]),
            (
                json!({"source": {"os_disk": {"snapshot_id": null, "disk_id": rg("disks/os")}}}),
                &["source.os_disk.disk_id", "source.os_disk.snapshot_id"],
            ),
            (
                json!({"source": {"os_disk": {
                    "snapshot_id": null, "vhd_uri": "https://a.blob.core.windows.net/v/v.vhd",
                    "storage_account_id": format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/a"),
                }}}),
                &["source.os_disk.snapshot_id", "source.os_disk.storage_account_id", "source.os_disk.vhd_uri"],
            ),
            (json!({"source": {"os_disk": {"host_caching": "None"}}}), &["source.os_disk.host_caching"]),
            (json!({"source": {"data_disk": [data(0, "data")]}}), &["source.data_disk"]),
            (json!({"source": {"data_disk": [data(0, "data"), data(4, "data2")]}}), &["source.data_disk"]),
        ],
        same: vec![
            json!({"source": {"data_disk": [data(3, "data2"), data(0, "data")]}}),
            json!({"source": {"os_disk": {"snapshot_id": rg("snapshots/OS")}}}),
        ],
        drifts: Vec::new(),
        // whether the user or the service chose the version's own region cannot be told apart
        not_imported: &["timeouts", "wait_for_replication", "deletion_policy", "target_region"],
        id: Some(rg("galleries/gal/images/def/versions/2.0.0")),
        azurerm: Some("azurerm_shared_image_version"),
        ..image_version()
    }
}

pub fn captured_image() -> Case {
    Case {
        name: "captured image",
        type_name: "azimage_managed_image",
        prepare: with_disks,
        small: json!({
            "name": "image", "resource_group_name": "rg", "location": "East US",
            "capture": {"virtual_machine_id": rg("virtualMachines/golden-vm")},
        }),
        full: json!({"tags": {"os": "linux"}, "timeouts": {"create": "1h"}}),
        updates: vec![
            (json!({"tags": {"os": "unix"}}), &["tags", "tags_all"]),
            (json!({"tags": null}), &["tags", "tags_all"]),
            (json!({"timeouts": null}), &["timeouts"]),
            (json!({"capture": {"deallocate": false}}), &["capture"]),
            (json!({"capture": {"generalize": false}}), &["capture"]),
            (json!({"capture": {"require_deprovisioned": true}}), &["capture"]),
        ],
        forces: vec![
            (json!({"name": "image2"}), &["name"]),
            (json!({"resource_group_name": "my-rg"}), &["resource_group_name"]),
            (json!({"subscription_id": GUID_A}), &["subscription_id"]),
            (json!({"zone_resilient": true}), &["zone_resilient"]),
            (
                json!({"capture": {"virtual_machine_id": rg("virtualMachines/golden-vm").replace("/rg/", "/my-rg/")}}),
                &["capture.virtual_machine_id"],
            ),
            (
                json!({
                    "capture": null, "hyper_v_generation": "V2",
                    "os_disk": {"os_type": "Linux", "os_state": "Generalized", "managed_disk_id": rg("disks/os")},
                }),
                &["capture", "os_disk"],
            ),
        ],
        same: vec![
            json!({"location": "eastus"}),
            json!({"resource_group_name": "RG"}),
            json!({"capture": {"virtual_machine_id": rg("virtualMachines/GOLDEN-VM")}}),
            json!({"zone_resilient": false, "hyper_v_generation": "V2"}),
        ],
        drifts: vec![
            (json!({"tags": {"os": "unix", "x": "y"}}), &["tags", "tags_all"]),
            (json!({"tags": {"os": null}}), &["tags", "tags_all"]),
        ],
        not_in_azure: &["timeouts", "capture"],
        not_imported: &["timeouts"],
        id: Some(rg("images/image")),
        azurerm: Some("azurerm_image"),
    }
}

pub fn image_of_disks() -> Case {
    let data = |lun: i64, from: &str| json!({"lun": lun, "managed_disk_id": rg(&format!("disks/{from}")), "caching": "ReadOnly"});
    let os = |patch: Json| json!({"os_disk": patch});
    Case {
        name: "image of disks",
        small: json!({
            "name": "image", "resource_group_name": "rg", "location": "East US", "hyper_v_generation": "V2",
            "os_disk": {"os_type": "Linux", "os_state": "Generalized", "managed_disk_id": rg("disks/os")},
            "data_disk": [data(0, "data"), data(2, "data2")],
        }),
        updates: vec![(json!({"tags": {"os": "unix"}}), &["tags", "tags_all"])],
        forces: vec![
            (json!({"name": "image2"}), &["name"]),
            (
                json!({"location": "westeurope", "os_disk": {"managed_disk_id": rg("disks/west")}}),
                &["location", "os_disk.managed_disk_id"],
            ),
            (json!({"hyper_v_generation": "V1"}), &["hyper_v_generation"]),
            (os(json!({"os_type": "Windows"})), &["os_disk.os_type"]),
            (os(json!({"os_state": "Specialized"})), &["os_disk.os_state"]),
            (os(json!({"managed_disk_id": rg("disks/os2")})), &["os_disk.managed_disk_id"]),
            (
                os(json!({"managed_disk_id": null, "snapshot_id": rg("snapshots/os")})),
                &["os_disk.managed_disk_id", "os_disk.snapshot_id"],
            ),
            (
                os(json!({"managed_disk_id": null, "blob_uri": "https://a.blob.core.windows.net/v/v.vhd"})),
                &["os_disk.blob_uri", "os_disk.managed_disk_id"],
            ),
            (os(json!({"storage_account_type": "StandardSSD_LRS"})), &["os_disk.storage_account_type"]),
            (os(json!({"caching": "ReadWrite"})), &["os_disk.caching"]),
            (os(json!({"size_gb": 64})), &["os_disk.size_gb"]),
            (os(json!({"disk_encryption_set_id": rg("diskEncryptionSets/des")})), &["os_disk.disk_encryption_set_id"]),
            (json!({"data_disk": [data(0, "data")]}), &["data_disk"]),
        ],
        same: vec![
            json!({"data_disk": [data(2, "data2"), data(0, "data")]}),
            os(json!({"managed_disk_id": rg("disks/OS"), "caching": "None"})),
        ],
        drifts: vec![(json!({"tags": {"os": "unix", "x": "y"}}), &["tags", "tags_all"])],
        not_in_azure: &["timeouts", "capture"],
        ..captured_image()
    }
}

pub fn with_version(core: &Core) {
    with_sources(core);
    let regions = json!([{"name": "eastus"}, {"name": "westeurope"}]);
    let source = json!({"id": rg("images/img")});
    for name in ["1.0.0", "1.0.1"] {
        let properties = json!({"publishingProfile": {"targetRegions": regions}, "storageProfile": {"source": source}});
        let id = rg(&format!("galleries/gal/images/def/versions/{name}"));
        put(core, &id, json!({"location": "eastus", "properties": properties}));
    }
}

pub fn image_replication() -> Case {
    Case {
        name: "image replication",
        type_name: "azimage_image_replication",
        prepare: with_version,
        small: json!({"image_version_id": rg("galleries/gal/images/def/versions/1.0.0")}),
        full: json!({"regions": ["East US", "West Europe"], "timeouts": {"create": "1h"}}),
        updates: vec![
            (json!({"regions": ["East US"]}), &["regions"]),
            (json!({"regions": null}), &["regions"]),
            (json!({"timeouts": null}), &["timeouts"]),
        ],
        forces: vec![(json!({"image_version_id": rg("galleries/gal/images/def/versions/1.0.1")}), &["image_version_id"])],
        same: vec![
            json!({"regions": ["westeurope", "eastus"]}),
            json!({"image_version_id": rg("galleries/GAL/images/def/versions/1.0.0")}),
        ],
        drifts: Vec::new(),
        not_in_azure: &["regions", "timeouts"],
        not_imported: &["regions", "timeouts"],
        id: None,
        azurerm: None,
    }
}

pub const URN: &str = "kinvolk:flatcar-container-linux-free:stable-gen2:3374.2.5";

pub fn pin() -> Case {
    Case {
        name: "pin",
        type_name: "azimage_marketplace_pin",
        prepare: bare,
        small: json!({"location": "East US", "urn": URN}),
        full: json!({"keepers": {"rebuild": "2026-11"}, "timeouts": {"read": "1m"}}),
        updates: vec![
            (json!({"keepers": {"rebuild": "2026-12"}}), &["keepers"]),
            (json!({"keepers": null}), &["keepers"]),
            (json!({"timeouts": null}), &["timeouts"]),
        ],
        forces: vec![(json!({"location": "westeurope"}), &["location"])],
        // the configured URN moves, and the pin does not
        same: vec![json!({"location": "eastus"}), json!({"urn": URN.replace("3374.2.5", "4081.2.1")})],
        drifts: Vec::new(),
        not_in_azure: &["urn", "keepers", "timeouts"],
        not_imported: &["keepers", "timeouts"],
        id: None,
        azurerm: None,
    }
}

pub fn agreement() -> Case {
    Case {
        name: "agreement",
        type_name: "azimage_marketplace_agreement",
        prepare: bare,
        small: json!({"publisher": "resf", "offer": "rockylinux-x86_64", "plan": "9-lvm"}),
        full: json!({"cancel_on_destroy": true, "timeouts": {"read": "1m"}}),
        updates: vec![
            (json!({"cancel_on_destroy": false}), &["cancel_on_destroy"]),
            (json!({"timeouts": null}), &["timeouts"]),
        ],
        forces: vec![
            (json!({"plan": "8-base"}), &["plan"]),
            (json!({"offer": "other"}), &["offer"]),
            (json!({"publisher": "other"}), &["publisher"]),
            (json!({"subscription_id": GUID_A}), &["subscription_id"]),
        ],
        same: vec![json!({"publisher": "RESF"}), json!({"plan": "9-LVM"}), json!({"subscription_id": SUBSCRIPTION})],
        drifts: Vec::new(),
        not_in_azure: &["cancel_on_destroy", "timeouts"],
        not_imported: &["cancel_on_destroy", "timeouts"],
        id: None,
        azurerm: Some("azurerm_marketplace_agreement"),
    }
}
