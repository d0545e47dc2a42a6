//! Image templates and their builds.

use super::{Case, GUID_A, put, rg, with_sources};
use crate::core::{Core, Json, SUBSCRIPTION, json};

/// The ID of an image template in the resource group of all test objects.
pub fn builder(name: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.VirtualMachineImages/imageTemplates/{name}"
    )
}

fn identity(name: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"
    )
}

fn subnet(name: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v/subnets/{name}"
    )
}

/// An output that is a version of the test definition.
pub fn to_gallery() -> Json {
    json!({"run_output_name": "gallery", "image_version": {"image_definition_id": rg("galleries/gal/images/def")}})
}

fn to_image() -> Json {
    json!({
        "run_output_name": "image", "artifact_tags": {"a": "b"},
        "managed_image": {"image_id": rg("images/built"), "location": "East US"},
    })
}

pub fn builder_template() -> Case {
    let regional = json!({"run_output_name": "gallery", "image_version": {
        "image_definition_id": rg("galleries/gal/images/def"), "versioning": "latest", "major": 2,
        "exclude_from_latest": true, "replication_mode": "Shallow", "target_region": [
            {"name": "East US", "replica_count": 2}, {"name": "westeurope", "storage_account_type": "Standard_ZRS"},
        ],
    }});
    let exact = json!({"run_output_name": "gallery", "image_version": {
        "image_definition_id": rg("galleries/gal/images/def"), "version": "9.0.0",
    }});
    let shell = json!({"name": "greet", "shell": {"inline": ["echo hello"]}});
    let profile = |patch: Json| json!({"vm_profile": patch});
    Case {
        name: "builder template",
        type_name: "azimage_builder_template",
        prepare: with_sources,
        small: json!({
            "name": "t", "resource_group_name": "rg", "location": "East US",
            "identity": {"identity_ids": [identity("one")]},
            "source": {"marketplace_urn": "Canonical:ubuntu-24_04-lts:server:latest"},
            "distribute": [to_gallery()],
        }),
        full: json!({
            "tags": {"team": "platform", "Cost": "1"},
            "distribute": [to_gallery(), to_image()],
            "vm_profile": {"vm_size": "Standard_D2s_v5", "os_disk_size_gb": 64, "identity_ids": [identity("vm")]},
            "timeouts": {"create": "20m", "read": "1m"},
        }),
        updates: vec![
            (json!({"tags": {"team": "images", "Cost": null, "new": "x"}}), &["tags", "tags_all"]),
            (json!({"tags": null}), &["tags", "tags_all"]),
            (json!({"identity": {"identity_ids": [identity("two")]}}), &["identity"]),
            (json!({"distribute": [to_gallery()]}), &["distribute"]),
            (json!({"distribute": [regional]}), &["distribute"]),
            (json!({"distribute": [exact, to_image()]}), &["distribute"]),
            (json!({"distribute": [to_gallery(), {"run_output_name": "vhd", "vhd": {}}]}), &["distribute"]),
            (
                json!({"distribute": [to_gallery(), {"run_output_name": "image", "managed_image": {"image_id": rg("images/built"), "location": "eastus"}}]}),
                &["distribute"],
            ),
            (profile(json!({"vm_size": "Standard_D4s_v5"})), &["vm_profile"]),
            (profile(json!({"identity_ids": null})), &["vm_profile"]),
            (profile(json!({"subnet_id": subnet("a"), "proxy_vm_size": "Standard_A1_v2"})), &["vm_profile"]),
            (
                profile(json!({"subnet_id": subnet("a"), "container_instance_subnet_id": subnet("b")})),
                &["vm_profile"],
            ),
            (json!({"vm_profile": null}), &["vm_profile"]),
            (json!({"timeouts": {"create": "30m"}}), &["timeouts"]),
            (json!({"timeouts": null}), &["timeouts"]),
        ],
        forces: vec![
            (json!({"name": "t2"}), &["name"]),
            (json!({"resource_group_name": "my-rg"}), &["resource_group_name"]),
            (json!({"subscription_id": GUID_A}), &["subscription_id"]),
            (json!({"location": "westeurope"}), &["location"]),
            (json!({"build_timeout": "90m"}), &["build_timeout"]),
            (json!({"optimize_vm_boot": true}), &["optimize_vm_boot"]),
            (json!({"auto_run": true}), &["auto_run"]),
            (json!({"managed_resource_tags": {"a": "b"}}), &["managed_resource_tags"]),
            (
                json!({"staging_resource_group_id": format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/staging")}),
                &["staging_resource_group_id"],
            ),
            (
                json!({"source": {"marketplace_urn": "Canonical:ubuntu-24_04-lts:minimal:latest"}}),
                &["source.marketplace_urn"],
            ),
            (
                json!({"source": {"marketplace_urn": null, "managed_image_id": rg("images/img")}}),
                &["source.managed_image_id", "source.marketplace_urn"],
            ),
            (
                json!({"source": {"marketplace_urn": null, "image_version_id": rg("galleries/gal/images/def2/versions/0.0.1")}}),
                &["source.image_version_id", "source.marketplace_urn"],
            ),
            (json!({"source": {"plan": {"name": "p", "publisher": "q", "product": "r"}}}), &["source.plan"]),
            (json!({"customize": [shell.clone()]}), &["customize[0]"]),
            (json!({"customize": [shell.clone(), shell]}), &["customize[0]", "customize[1]"]),
            (json!({"validate": {"shell": [{"inline": ["true"]}]}}), &["validate"]),
            (json!({"error_handling": {"on_customizer_error": "abort"}}), &["error_handling"]),
        ],
        same: vec![
            json!({"location": "eastus"}),
            json!({"name": "T"}),
            json!({"resource_group_name": "RG"}),
            json!({"subscription_id": SUBSCRIPTION}),
            json!({"source": {"marketplace_urn": "canonical:UBUNTU-24_04-lts:server:latest"}}),
            json!({"identity": {"identity_ids": [identity("ONE")]}}),
            json!({"build_timeout": "240m"}),
            json!({"error_handling": {"on_validation_error": "cleanup"}, "validate": {}}),
            json!({"distribute": [to_image(), to_gallery()]}),
            json!({"tags": {"TEAM": "platform", "cost": "1", "team": null, "Cost": null}}),
        ],
        drifts: vec![
            (json!({"tags": {"team": "somebody", "extra": "y"}}), &["tags", "tags_all"]),
            (
                json!({"identity": {"type": "UserAssigned", "userAssignedIdentities": {identity("one"): null, identity("by-hand"): {}}}}),
                &["identity"],
            ),
            (json!({"properties": {"vmProfile": {"vmSize": "Standard_D8s_v5"}}}), &["vm_profile"]),
            (
                json!({"properties": {"distribute": [{"type": "VHD", "runOutputName": "by-hand"}]}}),
                &["distribute"],
            ),
        ],
        not_in_azure: &["timeouts"],
        not_imported: &["timeouts"],
        id: Some(builder("t")),
        azurerm: Some("azurerm_image_builder_template"),
    }
}

/// A template with all values that replace it when they change.
pub fn builder_template_for_windows() -> Case {
    let script = "https://example.com/setup.ps1";
    Case {
        name: "builder template for windows",
        small: json!({
            "name": "t", "resource_group_name": "rg", "location": "eastus",
            "identity": {"identity_ids": [identity("one")]},
            "build_timeout": "90m", "optimize_vm_boot": true,
            "managed_resource_tags": {"cost": "images"},
            "staging_resource_group_id": format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/staging"),
            "source": {"image_version_id": rg("galleries/gal/images/def2/versions/latest")},
            "customize": [
                {"name": "first", "powershell": {"script_uri": script, "run_elevated": true, "valid_exit_codes": [0, 3010]}},
                {"powershell": {"inline": ["mkdir c:\\build", "echo done"], "run_elevated": true, "run_as_system": true}},
                {"file": {"source_uri": "https://example.com/app.zip", "destination": "c:\\build\\app.zip"}},
                {"windows_restart": {}},
                {"windows_restart": {"restart_command": "shutdown /r", "restart_check_command": "echo up", "restart_timeout": "10m"}},
                {"windows_update": {"search_criteria": "IsInstalled=0", "filters": ["exclude:$_.Title -like '*Preview*'", "include:$true"], "update_limit": 20}},
                {"windows_update": {}},
            ],
            "validate": {
                "continue_distribute_on_failure": true,
                "powershell": [{"name": "check", "script_uri": script}, {"inline": ["exit 0"]}],
                "file": [{"source_uri": "https://example.com/check.txt", "destination": "c:\\check.txt"}],
            },
            "distribute": [{"run_output_name": "gallery", "image_version": {
                "image_definition_id": rg("galleries/gal/images/def"),
                "target_region": [{"name": "eastus"}, {"name": "West Europe", "replica_count": 3}],
            }}],
            "error_handling": {"on_customizer_error": "abort"},
        }),
        full: json!({"tags": {"team": "platform"}, "vm_profile": {"vm_size": "Standard_D4s_v5"}}),
        updates: vec![(json!({"tags": {"team": "images"}}), &["tags", "tags_all"])],
        forces: vec![
            (json!({"name": "t3"}), &["name"]),
            (
                json!({"customize": []}),
                &[
                    "customize[0]",
                    "customize[1]",
                    "customize[2]",
                    "customize[3]",
                    "customize[4]",
                    "customize[5]",
                    "customize[6]",
                ],
            ),
            (json!({"validate": {"continue_distribute_on_failure": false}}), &["validate"]),
            (json!({"build_timeout": null}), &["build_timeout"]),
            (json!({"error_handling": null}), &["error_handling"]),
        ],
        same: vec![json!({"build_timeout": "1h30m"})],
        drifts: Vec::new(),
        ..builder_template()
    }
}

/// Two templates that can be built.
pub fn with_templates(core: &Core) {
    with_sources(core);
    for name in ["t", "t2"] {
        let properties = json!({
            "source": {"type": "PlatformImage", "publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest"},
            "distribute": [{"type": "SharedImage", "runOutputName": "gallery", "galleryImageId": rg("galleries/gal/images/def")}],
        });
        let identity = json!({"type": "UserAssigned", "userAssignedIdentities": {identity("one"): {}}});
        put(
            core,
            &builder(name),
            json!({"location": "eastus", "identity": identity, "properties": properties}),
        );
    }
}

pub fn builder_run() -> Case {
    Case {
        name: "builder run",
        type_name: "azimage_builder_run",
        prepare: with_templates,
        small: json!({"template_id": builder("t")}),
        full: json!({"on_interrupt": "cancel", "timeouts": {"create": "1h"}}),
        updates: vec![
            (json!({"on_interrupt": "keep"}), &["on_interrupt"]),
            (json!({"timeouts": null}), &["timeouts"]),
        ],
        forces: vec![
            (json!({"template_id": builder("t2")}), &["template_id"]),
            (json!({"keepers": {"month": "2026-11"}}), &["keepers"]),
        ],
        same: vec![json!({"template_id": builder("T")}), json!({"keepers": {}})],
        drifts: Vec::new(),
        not_in_azure: &["keepers", "on_interrupt", "timeouts"],
        not_imported: &["keepers", "on_interrupt", "timeouts"],
        id: None,
        azurerm: None,
    }
}
