//! Configurations of every resource type: a small one and a full one, what changes in place, what replaces, what is only
//! spelt differently, and what somebody else may change in Azure.
#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]

#[path = "cases_of_galleries.rs"]
mod of_galleries;
#[path = "cases_of_images.rs"]
mod of_images;
#[path = "cases_of_state.rs"]
mod of_state;

use crate::core::{Core, Json, SUBSCRIPTION, json};
pub use of_galleries::{gallery, image_definition};
pub use of_images::{captured_image, image_of_disks, image_version, version_of_disks};
pub use of_state::{
    URN, agreement, image_replication, pin, role_assignment, version_retention, with_version,
};

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
        put(
            core,
            &rg(&format!("disks/{name}")),
            json!({"location": location, "sku": {"name": "Premium_LRS"}, "properties": properties}),
        );
        let copy = json!({"osType": "Linux", "hyperVGeneration": "V2", "creationData": {"createOption": "Copy", "sourceResourceId": rg(&format!("disks/{name}"))}});
        put(core, &rg(&format!("snapshots/{name}")), json!({"location": location, "properties": copy}));
    }
    for name in ["des", "des2"] {
        put(
            core,
            &rg(&format!("diskEncryptionSets/{name}")),
            json!({"location": "eastus", "identity": {"type": "SystemAssigned"}, "properties": {"activeKey": {"keyUrl": "https://v.vault.azure.net/keys/k/1"}}}),
        );
    }
}

pub fn all() -> Vec<Case> {
    vec![
        gallery(),
        image_definition(),
        image_version(),
        version_of_disks(),
        captured_image(),
        image_of_disks(),
        image_replication(),
        pin(),
        agreement(),
        role_assignment(),
        version_retention(),
    ]
}

pub const GUID_A: &str = "5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f1a";

pub const GUID_B: &str = "5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f1b";

pub const GUID_C: &str = "5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f1c";
