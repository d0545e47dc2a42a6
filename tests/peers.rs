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

/// A provider whose objects this one takes over.
struct Peer {
    source: &'static str,
    /// The environment variable that names its binary.
    variable: &'static str,
    /// The configuration before the move.
    configuration: &'static str,
    /// The resources that replace those between the marks.
    ours: &'static [&'static str],
    /// What placeholders in `ours` stand for.
    placeholders: &'static [(&'static str, &'static str)],
    /// The addresses of each object before and after the move. `many` has a `count` of 30.
    moves: &'static [(&'static str, &'static str)],
}

const AZURERM: Peer = Peer {
    source: "hashicorp/azurerm",
    variable: "AZIMAGE_TEST_AZURERM",
    configuration: include_str!("fixtures/peers/azurerm.tf"),
    ours: &[include_str!("fixtures/peers/azimage.tf"), AGREEMENT],
    placeholders: &[("GROUP.", "azurerm_resource_group.group."), ("DISK.", "azurerm_managed_disk.disk.")],
    moves: &[
        ("azurerm_shared_image_gallery.gallery", "azimage_gallery.gallery"),
        ("azurerm_shared_image.definition", "azimage_image_definition.definition"),
        ("azurerm_image.image", "azimage_managed_image.image"),
        ("azurerm_shared_image_version.version", "azimage_image_version.version"),
        ("azurerm_marketplace_agreement.agreement", "azimage_marketplace_agreement.agreement"),
    ],
};

const AZAPI: Peer = Peer {
    source: "azure/azapi",
    variable: "AZIMAGE_TEST_AZAPI",
    configuration: include_str!("fixtures/peers/azapi.tf"),
    ours: &[include_str!("fixtures/peers/azimage.tf")],
    placeholders: &[("GROUP.", "azapi_resource.group."), ("DISK.", "azapi_resource.disk.")],
    moves: &[
        ("azapi_resource.gallery", "azimage_gallery.gallery"),
        ("azapi_resource.definition", "azimage_image_definition.definition"),
        ("azapi_resource.image", "azimage_managed_image.image"),
        ("azapi_resource.version", "azimage_image_version.version"),
    ],
};

const APPLICATIONS_OF_AZURERM: Peer = Peer {
    configuration: include_str!("fixtures/peers/azurerm_applications.tf"),
    ours: &[include_str!("fixtures/peers/azimage_applications.tf")],
    placeholders: &[
        ("GALLERY.", "azurerm_shared_image_gallery.gallery."),
        ("READER", "data.azurerm_role_definition.reader.id"),
    ],
    moves: &[
        ("azurerm_gallery_application.full", "azimage_gallery_application.full"),
        ("azurerm_gallery_application.small", "azimage_gallery_application.small"),
        ("azurerm_gallery_application.many", "azimage_gallery_application.many"),
        ("azurerm_gallery_application_version.full", "azimage_gallery_application_version.full"),
        ("azurerm_gallery_application_version.small", "azimage_gallery_application_version.small"),
        ("azurerm_role_assignment.by_name", "azimage_role_assignment.by_name"),
        ("azurerm_role_assignment.by_id", "azimage_role_assignment.by_id"),
    ],
    ..AZURERM
};

const APPLICATIONS_OF_AZAPI: Peer = Peer {
    configuration: include_str!("fixtures/peers/azapi_applications.tf"),
    ours: &[include_str!("fixtures/peers/azimage_applications.tf")],
    placeholders: &[
        ("GALLERY.", "azapi_resource.gallery."),
        ("READER", "local.reader"),
        // azapi has no such check
        ("skip_principal_check = true", ""),
    ],
    moves: &[
        ("azapi_resource.application", "azimage_gallery_application.full"),
        ("azapi_resource.small", "azimage_gallery_application.small"),
        ("azapi_resource.many", "azimage_gallery_application.many"),
        ("azapi_resource.version", "azimage_gallery_application_version.full"),
        ("azapi_resource.small_version", "azimage_gallery_application_version.small"),
        ("azapi_resource.by_name", "azimage_role_assignment.by_name"),
        ("azapi_resource.by_id", "azimage_role_assignment.by_id"),
    ],
    ..AZAPI
};

const CHANGED: [&str; 2] = ["-var=said=second", "-var=regions=[\"East US\",\"North Europe\"]"];

/// A workspace with the binaries of the peer and of this provider, configured for an emulator. Skips the test without the peer.
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

/// What replaces azurerm's agreement.
const AGREEMENT: &str = r#"
resource "azimage_marketplace_agreement" "agreement" {
  publisher = "fortinet"
  offer     = "fortinet_fortigate-vm_v5"
  plan      = "fortinet_fg-vm_payg"
}
"#;

/// The configuration after the move: what stays with the peer, and the rest as resources of this provider.
fn taken_over(peer: &Peer) -> String {
    let (before, rest) = peer.configuration.split_once("#BEGIN taken over").unwrap();
    let (_, after) = rest.split_once("#END taken over").unwrap();
    let mut ours = peer.ours.concat();
    for (placeholder, address) in peer.placeholders {
        assert!(ours.contains(placeholder), "{placeholder}");
        ours = ours.replace(placeholder, address);
    }
    let moves = peer.moves.iter().map(|(from, to)| format!("moved {{\n  from = {from}\n  to   = {to}\n}}\n"));
    [before, after, &ours, &moves.collect::<String>()].concat()
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
        let instances = if from.ends_with(".many") { &["[0]", "[29]"][..] } else { &[""] };
        for instance in instances {
            plan = plan.assert_contains(&format!("{from}{instance} has moved to {to}{instance}"));
        }
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

fn moves_applications_and_role_assignments_of_azurerm() {
    can_be_moved(&APPLICATIONS_OF_AZURERM);
}

fn moves_applications_and_role_assignments_of_azapi() {
    can_be_moved(&APPLICATIONS_OF_AZAPI);
}

fn machines_of_azurerm_show_no_changes() {
    let served = Served::start();
    let workspace = workspace(&AZURERM, &served);
    workspace.write("main.tf", include_str!("fixtures/peers/consumers.tf"));
    workspace.apply().ok();
    workspace.assert_no_changes();
    let changed = ["-var=size=Standard_D4s_v5", "-var=instances=3"];
    let with = |command: &[&str]| workspace.run(&[command, &changed].concat());
    with(&["apply", "-auto-approve"]).ok().assert_contains("0 added, 3 changed, 0 destroyed");
    with(&["plan", "-detailed-exitcode"]).ok();
    with(&["destroy", "-auto-approve"]).ok();
    let left = served.by_hand(&["list"]);
    assert!(!left.contains("peers-rg"), "{left}");
}

tests!(
    azurerm_works_with_the_emulator,
    azapi_works_with_the_emulator,
    moves_objects_of_azurerm,
    moves_objects_of_azapi,
    moves_applications_and_role_assignments_of_azurerm,
    moves_applications_and_role_assignments_of_azapi,
    machines_of_azurerm_show_no_changes,
);
