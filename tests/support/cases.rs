//! Test configurations of every resource type: a small and a full one, changes in place, replacements, equivalent spellings,
//! and drift.
#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]

#[path = "cases_of_applications.rs"]
mod of_applications;
#[path = "cases_of_builds.rs"]
mod of_builds;
#[path = "cases_of_galleries.rs"]
mod of_galleries;
#[path = "cases_of_images.rs"]
mod of_images;
#[path = "cases_of_state.rs"]
mod of_state;

use crate::core::{Core, Json, SUBSCRIPTION, json};
pub use of_applications::{
    application_version_with_files, gallery_application, gallery_application_version, with_applications,
};
pub use of_builds::{
    builder, builder_run, builder_template, builder_template_for_windows, to_gallery, with_templates,
};
pub use of_galleries::{gallery, image_definition};
pub use of_images::{captured_image, image_of_disks, image_version, version_of_disks};
pub use of_state::{
    URN, agreement, image_replication, image_test, pin, role_assignment, subnet, version_retention,
    with_network, with_version,
};

/// The test data of a resource type, or of one way to use it.
pub struct Case {
    /// The name in messages.
    pub name: &'static str,
    pub type_name: &'static str,
    /// Creates the prerequisites in Azure.
    pub prepare: fn(&Core),
    /// The required attributes only.
    pub small: Json,
    /// A merge patch that sets as many attributes as can be combined, all of them changeable in place.
    pub full: Json,
    /// Merge patches of the full configuration, and the attributes that each changes: applied in place, then reverted.
    pub updates: Vec<(Json, &'static [&'static str])>,
    /// Merge patches of the full configuration that force a replacement, and exactly the paths that they must report.
    pub forces: Vec<(Json, &'static [&'static str])>,
    /// Merge patches of the full configuration that change nothing.
    pub same: Vec<Json>,
    /// Drift: merge patches of the ARM object, and the attributes that the next plan shows.
    pub drifts: Vec<(Json, &'static [&'static str])>,
    /// Attributes that Azure does not store, or that only change in Azure together with others.
    pub not_in_azure: &'static [&'static str],
    /// Attributes that an import cannot read.
    pub not_imported: &'static [&'static str],
    /// The ARM ID; `None` for resources that exist in the state only.
    pub id: Option<String>,
    /// The type of hashicorp/azurerm that can be moved to this one.
    pub azurerm: Option<&'static str>,
}

/// Types that leave nothing in Azure that could be imported.
pub const NOT_IMPORTABLE: &[&str] = &["azimage_image_test"];

impl Case {
    /// Whether it is a version, which is replicated, and whose content in its own region must not be lost.
    pub fn is_version(&self) -> bool {
        ["azimage_image_version", "azimage_gallery_application_version"].contains(&self.type_name)
    }

    /// Whether its writes complete without an operation.
    pub fn is_synchronous(&self) -> bool {
        self.type_name == "azimage_gallery_application"
    }
}

/// A path in the resource group of all test objects.
pub fn rg(rest: &str) -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Compute/{rest}")
}

/// Creates an object as another client.
pub fn put(core: &Core, id: &str, body: Json) {
    let (status, answer) = core.azure("PUT", id, body);
    assert!(status < 300, "PUT {id}: {status} {answer}");
}

pub fn no_prerequisites(_: &Core) {}

pub fn with_gallery(core: &Core) {
    put(core, &rg("galleries/gal"), json!({"location": "eastus", "properties": {}}));
    put(core, &rg("galleries/gal2"), json!({"location": "eastus", "properties": {}}));
}

pub fn definition(name: &str) -> Json {
    json!({"location": "eastus", "properties": {
        "osType": "Linux", "osState": "Generalized", "hyperVGeneration": "V2",
        // The default, TrustedLaunchSupported, rejects machines and disks as sources.
        "features": [{"name": "SecurityType", "value": "Standard"}],
        "identifier": {"publisher": "contoso", "offer": "linux", "sku": name},
    }})
}

/// Two definitions, two managed images, disks, snapshots, and a generalized machine.
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
    // an encryption set serves the disks of its own region
    for (name, location) in
        [("des", "eastus"), ("des2", "eastus"), ("des-west", "westeurope"), ("des-westus", "westus")]
    {
        put(
            core,
            &rg(&format!("diskEncryptionSets/{name}")),
            json!({"location": location, "identity": {"type": "SystemAssigned"}, "properties": {"activeKey": {"keyUrl": "https://v.vault.azure.net/keys/k/1"}}}),
        );
    }
}

pub fn all() -> Vec<Case> {
    vec![
        gallery(),
        image_definition(),
        gallery_application(),
        gallery_application_version(),
        application_version_with_files(),
        image_version(),
        version_of_disks(),
        captured_image(),
        image_of_disks(),
        image_replication(),
        image_test(),
        pin(),
        agreement(),
        role_assignment(),
        version_retention(),
        builder_template(),
        builder_template_for_windows(),
        builder_run(),
    ]
}

pub const GUID_A: &str = "5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f1a";

pub const GUID_B: &str = "5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f1b";

pub const GUID_C: &str = "5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f1c";
