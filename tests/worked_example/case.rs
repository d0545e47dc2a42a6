//! The test configurations of the worked example.

use crate::cases::{Case, GUID_A, rg, with_disks};
use crate::core::json;

pub fn snapshot() -> Case {
    Case {
        name: "snapshot",
        type_name: "azimage_snapshot",
        prepare: with_disks,
        small: json!({"name": "s", "resource_group_name": "rg", "location": "eastus", "disk_id": rg("disks/os")}),
        full: json!({"tags": {"a": "b"}}),
        updates: vec![(json!({"tags": {"a": "c"}}), &["tags", "tags_all"])],
        forces: vec![
            (json!({"name": "other"}), &["name"]),
            (json!({"resource_group_name": "my-rg"}), &["resource_group_name"]),
            (json!({"subscription_id": GUID_A}), &["subscription_id"]),
            (json!({"location": "westeurope", "disk_id": rg("disks/west")}), &["location", "disk_id"]),
            (json!({"disk_id": rg("disks/os2")}), &["disk_id"]),
        ],
        same: vec![json!({"location": "East US"})],
        drifts: vec![(json!({"tags": {"a": "z"}}), &["tags", "tags_all"])],
        not_in_azure: &["timeouts"],
        not_imported: &[],
        id: Some(rg("snapshots/s")),
        azurerm: Some("azurerm_snapshot"),
    }
}
