//! What lives in the state only, or almost.

use super::{Case, GUID_A, bare, put, rg, with_sources};
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
