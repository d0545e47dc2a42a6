//! Image versions and managed images.

use super::{Case, GUID_A, rg, with_disks, with_sources};
use crate::core::{Json, SUBSCRIPTION, json};

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
            (
                json!({"allow_deletion_of_replicated_locations": false}),
                &["allow_deletion_of_replicated_locations"],
            ),
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
            (
                json!({"replication_mode": "Shallow", "target_region": [{"name": "eastus"}]}),
                &["replication_mode"],
            ),
            (
                json!({"uefi_settings_json": "{\"signatureTemplateNames\":[\"NoSignatureTemplate\"]}"}),
                &["uefi_settings_json"],
            ),
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
            (
                json!({"properties": {"publishingProfile": {"excludeFromLatest": false}}}),
                &["exclude_from_latest"],
            ),
            (
                json!({"properties": {"publishingProfile": {"endOfLifeDate": "2034-01-01T00:00:00Z"}}}),
                &["end_of_life_date"],
            ),
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
        not_in_azure: &["timeouts", "wait_for_replication", "deletion_policy", "restore_soft_deleted"],
        not_imported: &["timeouts", "wait_for_replication", "deletion_policy", "restore_soft_deleted"],
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
            (
                json!({"source": {"os_disk": {"snapshot_id": rg("snapshots/os2")}}}),
                &["source.os_disk.snapshot_id"],
            ),
            (
                json!({"source": {"os_disk": {"snapshot_id": null, "disk_id": rg("disks/os")}}}),
                &["source.os_disk.disk_id", "source.os_disk.snapshot_id"],
            ),
            (
                json!({"source": {"os_disk": {
                    "snapshot_id": null, "vhd_uri": "https://a.blob.core.windows.net/v/v.vhd",
                    "storage_account_id": format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/a"),
                }}}),
                &[
                    "source.os_disk.snapshot_id",
                    "source.os_disk.storage_account_id",
                    "source.os_disk.vhd_uri",
                ],
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
        // the version's own region looks the same whether the user or the service added it
        not_imported: &[
            "timeouts",
            "wait_for_replication",
            "deletion_policy",
            "restore_soft_deleted",
            "target_region",
        ],
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
                json!({"location": "westeurope", "os_disk": {"managed_disk_id": rg("disks/west")}, "data_disk": []}),
                &["data_disk", "location", "os_disk.managed_disk_id"],
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
            (
                os(json!({"disk_encryption_set_id": rg("diskEncryptionSets/des")})),
                &["os_disk.disk_encryption_set_id"],
            ),
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
