//! azurerm and azapi on the emulator, and `moved` blocks that take over their objects.
//!
//! The tests need the binaries that `AZIMAGE_TEST_AZURERM` and `AZIMAGE_TEST_AZAPI` name, and are skipped without
//! them.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "support/external.rs"]
#[macro_use]
mod external;
#[path = "support/cli.rs"]
mod support;

use std::path::Path;

use support::{BINARY, Served, Workspace, terraform};

/// Another provider: its binary, its names, and its configuration.
struct Peer {
    source: &'static str,
    variable: &'static str,
    configuration: &'static str,
    /// The addresses that stay with it: the resource group and the disk.
    keeps: [&'static str; 2],
    /// The moved addresses: from and to.
    moves: &'static [(&'static str, &'static str)],
    /// What happens to the agreement.
    agreement: bool,
}

const AZURERM: Peer = Peer {
    source: "hashicorp/azurerm",
    variable: "AZIMAGE_TEST_AZURERM",
    configuration: include_str!("fixtures/peers/azurerm.tf"),
    keeps: ["azurerm_resource_group.group", "azurerm_managed_disk.disk"],
    moves: &[
        ("azurerm_shared_image_gallery.gallery", "azimage_gallery.gallery"),
        ("azurerm_shared_image.definition", "azimage_image_definition.definition"),
        ("azurerm_image.image", "azimage_managed_image.image"),
        ("azurerm_shared_image_version.version", "azimage_image_version.version"),
        ("azurerm_marketplace_agreement.agreement", "azimage_marketplace_agreement.agreement"),
    ],
    agreement: true,
};

const AZAPI: Peer = Peer {
    source: "azure/azapi",
    variable: "AZIMAGE_TEST_AZAPI",
    configuration: include_str!("fixtures/peers/azapi.tf"),
    keeps: ["azapi_resource.group", "azapi_resource.disk"],
    moves: &[
        ("azapi_resource.gallery", "azimage_gallery.gallery"),
        ("azapi_resource.definition", "azimage_image_definition.definition"),
        ("azapi_resource.image", "azimage_managed_image.image"),
        ("azapi_resource.version", "azimage_image_version.version"),
    ],
    agreement: false,
};

const CHANGED: [&str; 2] = ["-var=said=second", "-var=regions=[\"East US\",\"North Europe\"]"];

/// A workspace with both providers, pointed at an emulator. The test is skipped if the peer is absent.
fn workspace(peer: &Peer, served: &Served) -> Workspace {
    let Ok(binary) = std::env::var(peer.variable) else {
        external::skip(peer.source, format!("{} does not name a binary of {}", peer.variable, peer.source))
    };
    let mut workspace = Workspace::new(&terraform(""));
    served.point(&mut workspace);
    workspace.env("ARM_RESOURCE_MANAGER_ENDPOINT", &served.url);
    workspace.env("ARM_RESOURCE_MANAGER_AUDIENCE", &served.url);
    workspace.env("ARM_ACTIVE_DIRECTORY_AUTHORITY_HOST", &served.url);
    workspace.env("ARM_DISABLE_INSTANCE_DISCOVERY", "true");
    let folder = |binary: &Path| binary.parent().unwrap().display().to_string();
    workspace.write(
        "cli.tfrc",
        &format!(
            "provider_installation {{\n  dev_overrides {{\n    \"azimage/azimage\" = {:?}\n    {:?} = {:?}\n  }}\n  direct {{}}\n}}\n",
            folder(Path::new(BINARY)),
            peer.source,
            folder(&Path::new(&binary).canonicalize().unwrap()),
        ),
    );
    workspace
}

/// The agreement as a resource of this provider.
const AGREEMENT: &str = r#"
resource "azimage_marketplace_agreement" "agreement" {
  publisher = "fortinet"
  offer     = "fortinet_fortigate-vm_v5"
  plan      = "fortinet_fg-vm_payg"
}
"#;

/// The configuration after the move: the peer's remaining resources, and the others as resources of this provider.
fn taken_over(peer: &Peer) -> String {
    let (before, rest) = peer.configuration.split_once("#BEGIN taken over").unwrap();
    let (_, after) = rest.split_once("#END taken over").unwrap();
    let ours = include_str!("fixtures/peers/azimage.tf")
        .replace("GROUP.", &format!("{}.", peer.keeps[0]))
        .replace("DISK.", &format!("{}.", peer.keeps[1]));
    let moves = peer.moves.iter().map(|(from, to)| format!("moved {{\n  from = {from}\n  to   = {to}\n}}\n"));
    let agreement = if peer.agreement { AGREEMENT } else { "" };
    [before, after, &ours, agreement, &moves.collect::<String>()].concat()
}

fn works_with_the_emulator(peer: &Peer) {
    let served = Served::start();
    let workspace = workspace(peer, &served);
    workspace.write("main.tf", peer.configuration);
    let with = |command: &[&str]| {
        let arguments: Vec<&str> = command.iter().copied().chain(CHANGED).collect();
        workspace.run(&arguments)
    };
    workspace.run(&["validate"]).ok();
    workspace.apply().ok();
    workspace.assert_no_changes();
    with(&["apply", "-auto-approve"]).ok().assert_contains("0 added");
    with(&["plan", "-detailed-exitcode"]).ok();

    // a second state does not adopt existing objects
    let copy = self::workspace(peer, &served);
    copy.write("main.tf", peer.configuration);
    let refused = copy.apply().assert_contains("already exists").assert_contains("imported");
    assert_eq!(refused.code, 1);

    with(&["destroy", "-auto-approve"]).ok();
    let left = served.by_hand(&["list"]);
    assert!(!left.contains("peers-rg"), "{left}");
}

fn can_be_moved(peer: &Peer) {
    let served = Served::start();
    let workspace = workspace(peer, &served);
    workspace.write("main.tf", peer.configuration);
    workspace.apply().ok();
    workspace.write("main.tf", &taken_over(peer));
    let mut plan = workspace.run(&["plan"]).assert_contains("Plan: 0 to add, 0 to change, 0 to destroy.");
    for (from, to) in peer.moves {
        plan = plan.assert_contains(&format!("{from} has moved to {to}"));
    }
    plan.ok();
    workspace.apply().ok().assert_contains("0 added, 0 changed, 0 destroyed");
    workspace.assert_no_changes();
    workspace.destroy().ok();
    let left = served.by_hand(&["list"]);
    assert!(!left.contains("peers-rg"), "{left}");
}

fn azurerm_works_with_the_emulator() {
    works_with_the_emulator(&AZURERM);
}

fn azapi_works_with_the_emulator() {
    works_with_the_emulator(&AZAPI);
}

fn moves_objects_of_azurerm() {
    can_be_moved(&AZURERM);
}

fn moves_objects_of_azapi() {
    can_be_moved(&AZAPI);
}

tests!(
    azurerm_works_with_the_emulator,
    azapi_works_with_the_emulator,
    moves_objects_of_azurerm,
    moves_objects_of_azapi,
);
