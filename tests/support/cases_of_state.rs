//! Resources that exist mostly or only in the state.

use super::{Case, GUID_A, GUID_B, no_prerequisites, put, rg, with_gallery, with_sources};
use crate::core::{Core, SUBSCRIPTION, json};

pub fn with_version(core: &Core) {
    with_sources(core);
    let regions = json!([{"name": "eastus"}, {"name": "westeurope"}]);
    let source = json!({"id": rg("images/img")});
    for name in ["1.0.0", "1.0.1"] {
        let properties =
            json!({"publishingProfile": {"targetRegions": regions}, "storageProfile": {"source": source}});
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
        forces: vec![(
            json!({"image_version_id": rg("galleries/gal/images/def/versions/1.0.1")}),
            &["image_version_id"],
        )],
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

/// A subnet of the network `net`.
pub fn subnet(name: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/net/subnets/{name}"
    )
}

pub fn with_network(core: &Core) {
    with_version(core);
    let subnets = json!([{"name": "tests"}, {"name": "others"}]);
    let network = subnet("").replace("/subnets/", "?api-version=2024-05-01");
    put(core, &network, json!({"location": "eastus", "properties": {"subnets": subnets}}));
}

pub fn image_test() -> Case {
    Case {
        name: "image test",
        type_name: "azimage_image_test",
        prepare: with_network,
        small: json!({
            "image_version_id": rg("galleries/gal/images/def/versions/1.0.0"),
            "resource_group_name": "rg",
            "subnet_id": subnet("tests"),
        }),
        full: json!({
            "location": "East US",
            "vm_size": "Standard_D2s_v5",
            "keep_on_failure": true,
            "timeouts": {"create": "1h"},
        }),
        updates: vec![
            (json!({"keep_on_failure": false}), &["keep_on_failure"]),
            (json!({"timeouts": null}), &["timeouts"]),
        ],
        forces: vec![
            (
                json!({"image_version_id": rg("galleries/gal/images/def/versions/1.0.1")}),
                &["image_version_id"],
            ),
            (json!({"resource_group_name": "my-rg"}), &["resource_group_name"]),
            (json!({"subnet_id": subnet("others")}), &["subnet_id"]),
            (json!({"location": "westeurope"}), &["location"]),
            (json!({"vm_size": "Standard_D4s_v5"}), &["vm_size"]),
            (json!({"keepers": {"rebuild": "2026-12"}}), &["keepers"]),
            (json!({"check": [{"name": "boots", "script": "exit 0"}]}), &["check[0]"]),
            (json!({"check_deprovisioned": false}), &["check_deprovisioned"]),
        ],
        same: vec![
            json!({"location": "eastus", "vm_size": "standard_d2s_V5"}),
            json!({"location": null, "vm_size": null}),
            json!({"image_version_id": rg("galleries/GAL/images/def/versions/1.0.0")}),
        ],
        drifts: Vec::new(),
        not_in_azure: &["keep_on_failure", "timeouts"],
        not_imported: &[],
        id: None,
        azurerm: None,
    }
}

pub const URN: &str = "kinvolk:flatcar-container-linux-free:stable-gen2:3374.2.5";

pub fn pin() -> Case {
    Case {
        name: "pin",
        type_name: "azimage_marketplace_pin",
        prepare: no_prerequisites,
        small: json!({"location": "East US", "urn": URN}),
        full: json!({"keepers": {"rebuild": "2026-11"}, "timeouts": {"read": "1m"}}),
        updates: vec![
            (json!({"keepers": {"rebuild": "2026-12"}}), &["keepers"]),
            (json!({"keepers": null}), &["keepers"]),
            (json!({"timeouts": null}), &["timeouts"]),
        ],
        forces: vec![(json!({"location": "westeurope"}), &["location"])],
        // the configured URN changes, but the pin does not
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
        prepare: no_prerequisites,
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
        same: vec![
            json!({"publisher": "RESF"}),
            json!({"plan": "9-LVM"}),
            json!({"subscription_id": SUBSCRIPTION}),
        ],
        drifts: Vec::new(),
        not_in_azure: &["cancel_on_destroy", "timeouts"],
        not_imported: &["cancel_on_destroy", "timeouts"],
        id: None,
        azurerm: Some("azurerm_marketplace_agreement"),
    }
}

const READER: &str = "acdd72a7-3385-48ef-bd42-f606fba81ae7";

fn role(guid: &str) -> String {
    format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{guid}")
}

pub fn role_assignment() -> Case {
    Case {
        name: "role assignment",
        type_name: "azimage_role_assignment",
        prepare: with_gallery,
        small: json!({"scope_id": rg("galleries/gal"), "role_name": "Reader", "principal_id": GUID_A}),
        full: json!({
            "principal_type": "ServicePrincipal",
            "description": "consumers",
            "condition": "@Resource[Microsoft.Storage/storageAccounts/blobServices/containers:Name] stringEquals 'foo'",
            "condition_version": "2.0",
            "timeouts": {"read": "1m"},
        }),
        updates: vec![
            (json!({"description": "other"}), &["description"]),
            (json!({"description": null}), &["description"]),
            (json!({"condition": null, "condition_version": null}), &["condition", "condition_version"]),
            (json!({"timeouts": null}), &["timeouts"]),
        ],
        forces: vec![
            (json!({"scope_id": rg("galleries/gal2")}), &["scope_id"]),
            (json!({"principal_id": GUID_B}), &["principal_id"]),
            (json!({"principal_type": "User"}), &["principal_type"]),
            (json!({"role_name": "Contributor"}), &["role_definition_id", "role_name"]),
        ],
        same: vec![
            json!({"role_name": "reader"}),
            json!({"scope_id": rg("galleries/GAL")}),
            json!({"role_name": null, "role_definition_id": role(READER)}),
        ],
        drifts: Vec::new(),
        // drift of the first three is tested in the resource's own file, because its ID is not a simple path
        not_in_azure: &["description", "condition", "condition_version", "skip_principal_check", "timeouts"],
        not_imported: &["skip_principal_check", "timeouts"],
        id: None,
        azurerm: Some("azurerm_role_assignment"),
    }
}

pub fn version_retention() -> Case {
    Case {
        name: "version retention",
        type_name: "azimage_version_retention",
        prepare: with_version,
        small: json!({"image_definition_id": rg("galleries/gal/images/def"), "keep_latest": 1}),
        full: json!({
            "keep_newer_than": "90d",
            "keep_versions": ["~> 1.0.0"],
            "keep_tagged": {"keep": "yes"},
            "ignore_users_outside_tenant": true,
            "timeouts": {"read": "1m"},
        }),
        updates: vec![
            (json!({"keep_latest": 2}), &["keep_latest", "kept"]),
            (json!({"keep_newer_than": null}), &["keep_newer_than", "kept"]),
            (json!({"keep_tagged": null}), &["keep_tagged"]),
            (json!({"keep_in_use": false}), &["keep_in_use"]),
            (json!({"timeouts": null}), &["timeouts"]),
        ],
        forces: vec![(
            json!({"image_definition_id": rg("galleries/gal/images/def2")}),
            &["image_definition_id"],
        )],
        same: vec![json!({"image_definition_id": rg("galleries/GAL/images/def")})],
        drifts: Vec::new(),
        not_in_azure: &[
            "keep_latest",
            "keep_newer_than",
            "keep_versions",
            "keep_tagged",
            "keep_in_use",
            "ignore_users_outside_tenant",
            "delete_versions",
            "usage_subscription_ids",
            "timeouts",
        ],
        not_imported: &[
            "keep_latest",
            "keep_newer_than",
            "keep_versions",
            "keep_tagged",
            "keep_in_use",
            "ignore_users_outside_tenant",
            "delete_versions",
            "usage_subscription_ids",
            "timeouts",
        ],
        id: None,
        azurerm: None,
    }
}
