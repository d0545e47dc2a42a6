//! The initial content of the emulator before an example runs: the objects that its IDs refer to, unless it creates them
//! itself.

use std::path::Path;

use azimage::emulator::{Emulator, Request};
use time::OffsetDateTime;

const GROUP: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute";

/// Objects in creation order, with the type and name of the resource that creates them, if any.
const OBJECTS: &[(&str, &str, &str, &str)] = &[
    (
        "",
        "",
        "disks/os",
        r#"{"sku":{"name":"Standard_LRS"},"properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":30,"osType":"Linux","hyperVGeneration":"V2"}}"#,
    ),
    (
        "",
        "",
        "snapshots/os",
        r#"{"properties":{"creationData":{"createOption":"Copy","sourceResourceId":"GROUP/disks/os"},"osType":"Linux","hyperVGeneration":"V2"}}"#,
    ),
    (
        "",
        "",
        "snapshots/data",
        r#"{"properties":{"creationData":{"createOption":"Copy","sourceResourceId":"GROUP/disks/os"}}}"#,
    ),
    ("azimage_managed_image", "golden-2026-11", "images/golden-2026-11", IMAGE),
    ("azimage_managed_image", "web-1.0.0", "images/web-1.0.0", IMAGE),
    ("azimage_managed_image", "web-1.4.0", "images/web-1.4.0", IMAGE),
    ("azimage_gallery", "golden", "galleries/golden", "{}"),
    (
        "azimage_gallery",
        "golden",
        "galleries/golden/images/ubuntu-24.04",
        r#"{"properties":{"osType":"Linux","osState":"Generalized","hyperVGeneration":"V2","identifier":{"publisher":"p","offer":"o","sku":"ubuntu"}}}"#,
    ),
    (
        "azimage_gallery",
        "golden",
        "galleries/golden/images/web",
        r#"{"properties":{"osType":"Linux","osState":"Generalized","hyperVGeneration":"V2","identifier":{"publisher":"p","offer":"o","sku":"web"}}}"#,
    ),
    ("azimage_image_version", "1.0.0", "galleries/golden/images/ubuntu-24.04/versions/1.0.0", VERSION),
    (
        "azimage_gallery",
        "golden",
        "galleries/golden/applications/monitoring-agent",
        r#"{"properties":{"supportedOSType":"Linux"}}"#,
    ),
    (
        "azimage_gallery_application",
        "monitoring-agent",
        "galleries/golden/applications/monitoring-agent/versions/2.3.0",
        r#"{"properties":{"publishingProfile":{"source":{"mediaLink":"https://packages.blob.core.windows.net/agents/agent-2.3.0.tar.gz"},"manageActions":{"install":"i","remove":"r"},"targetRegions":[{"name":"eastus"}]}}}"#,
    ),
    ("", "", "galleries/builder", "{}"),
    (
        "",
        "",
        "galleries/builder/images/web",
        r#"{"properties":{"osType":"Linux","osState":"Generalized","hyperVGeneration":"V2","identifier":{"publisher":"p","offer":"o","sku":"web"}}}"#,
    ),
    ("", "", "galleries/builder/images/web/versions/1.4.2", VERSION),
    (
        "azimage_builder_template",
        "web",
        "../Microsoft.VirtualMachineImages/imageTemplates/web",
        r#"{"identity":{"type":"UserAssigned","userAssignedIdentities":{"GROUP/identities/image-builder":{}}},"properties":{"source":{"type":"PlatformImage","publisher":"Canonical","offer":"ubuntu-24_04-lts","sku":"server","version":"latest"},"distribute":[{"type":"SharedImage","runOutputName":"gallery","galleryImageId":"GROUP/galleries/golden/images/web"}]}}"#,
    ),
];

const IMAGE: &str = r#"{"properties":{"hyperVGeneration":"V2","storageProfile":{"osDisk":{"osType":"Linux","osState":"Generalized","managedDisk":{"id":"GROUP/disks/os"}}}}}"#;
const VERSION: &str = r#"{"tags":{"approved":"true"},"properties":{"publishingProfile":{"targetRegions":[{"name":"eastus"},{"name":"westeurope"}]},"storageProfile":{"source":{"id":"GROUP/images/golden-2026-11"}}}}"#;

/// Fills the state in `folder` for a configuration, and disables delays.
pub fn seed(folder: &Path, configuration: &str) {
    let emulator = Emulator::open(folder.join(".azimage/emulator.json")).expect("a new state");
    let ask = |method: &str, url: String, body: String| {
        let request =
            Request { method: method.to_owned(), url, headers: Vec::new(), body: body.into_bytes() };
        let answer = emulator.handle(&request, OffsetDateTime::now_utc());
        assert!(
            answer.status < 300,
            "{}: {} {}",
            request.url,
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
    };
    ask("PUT", "/_emulator/settings".to_owned(), r#"{"time_scale":0}"#.to_owned());
    let makes = |kind: &str, name: &str| {
        !kind.is_empty()
            && configuration.contains(&format!("resource \"{kind}\""))
            && configuration.contains(&format!("= \"{name}\""))
    };
    let mut left_out: Vec<&str> = Vec::new();
    for (kind, name, path, body) in OBJECTS {
        if makes(kind, name)
            || left_out.iter().any(|parent| path.starts_with(parent) || body.contains(parent))
        {
            left_out.push(path);
            continue;
        }
        let api = match path.split('/').next() {
            Some("galleries") => "2026-03-03",
            Some("images") => "2026-03-01",
            Some("..") => "2025-10-01",
            _ => "2026-03-02",
        };
        let body =
            body.replacen('{', r#"{"location":"eastus","#, 1).replace(",}", "}").replace("GROUP", GROUP);
        let path = match path.strip_prefix("../") {
            Some(other) => format!("{}{other}", GROUP.trim_end_matches("Microsoft.Compute")),
            None => format!("{GROUP}/{path}"),
        };
        ask("PUT", format!("{path}?api-version={api}"), body);
    }
}
