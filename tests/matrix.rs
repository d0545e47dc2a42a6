//! The stories of `examples/stories`, and features of recent releases, with every supported Terraform and OpenTofu.
//!
//! `.ci/terraform --matrix` lists the versions. `AZIMAGE_TERRAFORM_VERSIONS="1.6.6 1.15.5"` selects others, and
//! `AZIMAGE_TERRAFORM=tofu` only that program.

#[path = "support/external.rs"]
mod external;
#[path = "support/golden.rs"]
mod golden;
#[path = "support/cli.rs"]
mod support;

use std::process::{Command, ExitCode};

use golden::{VERSION, golden, id};
use serde_json::{Value, json};
use support::{
    BINARY, HEAD, SUBSCRIPTION, Served, Workspace, for_each_terraform, ran, release::Release, stories,
};

fn stories_run_to_the_end(terraform: &str, _: Release) {
    for story in stories() {
        let mut command = Command::new(story.join("run"));
        command.env("AZIMAGE_BINARY", BINARY).env("AZIMAGE_TERRAFORM", terraform);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ARM_")) {
            command.env_remove(name);
        }
        let output = ran(&command.output().unwrap());
        assert_eq!(output.code, 0, "{} with {terraform}:\n{}", story.display(), output.text);
    }
}

fn lifecycle_on_a_served_emulator(terraform: &str, _: Release) {
    let served = Served::start();
    let mut workspace = Workspace::new(terraform);
    served.point(&mut workspace);
    workspace.write("main.tf", &golden());
    workspace.apply().ok().assert_contains("Resources: 4 added, 0 changed, 0 destroyed");
    workspace.assert_no_changes();

    let drift = r#"{"tags":{"team":"others"},"properties":{"publishingProfile":{"targetRegions":[{"name":"eastus","regionalReplicaCount":5}]}}}"#;
    served.by_hand(&["patch", &id(VERSION), drift]);
    workspace.plan_changes().assert_contains("0 to add, 1 to change, 0 to destroy");
    workspace.apply().ok().assert_contains("0 added, 1 changed, 0 destroyed");
    workspace.assert_no_changes();

    // a second state imports the objects of the first
    let mut other = Workspace::new(terraform);
    served.point(&mut other);
    let imports = [
        ("azimage_managed_image.i", "/images/img"),
        ("azimage_gallery.g", "/galleries/gal"),
        ("azimage_image_definition.d", "/galleries/gal/images/def"),
        ("azimage_image_version.v", VERSION),
    ]
    .map(|(to, rest)| format!("import {{\n  to = {to}\n  id = {:?}\n}}\n", id(rest)));
    other.write("main.tf", &(golden() + &imports.concat()));
    other.apply().ok().assert_contains("Resources: 4 imported, 0 added, 0 changed, 0 destroyed");
    other.assert_no_changes();

    workspace.destroy().ok().assert_contains("4 destroyed");
    let left = served.by_hand(&["list"]);
    assert!(!left.contains("/galleries/") && !left.contains("/images/"), "{left}");
}

/// The addresses in [`golden`], the corresponding type of azurerm, and the rest of the ID.
const MADE: [(&str, &str, &str); 4] = [
    ("azimage_managed_image.i", "azurerm_image", "/images/img"),
    ("azimage_gallery.g", "azurerm_shared_image_gallery", "/galleries/gal"),
    ("azimage_image_definition.d", "azurerm_shared_image", "/galleries/gal/images/def"),
    ("azimage_image_version.v", "azurerm_shared_image_version", VERSION),
];

fn features_of_each_release_work(terraform: &str, release: Release) {
    let served = Served::start();
    let mut first = Workspace::new(terraform);
    served.point(&mut first);
    first.write("main.tf", &golden());
    first.apply().ok();
    let beside = || {
        let mut workspace = Workspace::new(terraform);
        served.point(&mut workspace);
        workspace
    };
    configuration_is_generated(&beside());
    if release.has_functions() {
        functions_answer(&beside());
    }
    if release.has_moves() {
        azurerms_state_moves(&mut beside());
    }
    if release.has_identities() {
        identities_import(&beside());
    }
}

/// The provider block, as in [`golden`].
fn head() -> String {
    golden().split_once("data \"").unwrap().0.to_owned()
}

fn configuration_is_generated(workspace: &Workspace) {
    let imports = MADE.map(|(to, _, rest)| format!("import {{\n  to = {to}\n  id = {:?}\n}}\n", id(rest)));
    workspace.write("main.tf", &(head() + &imports.concat()));
    workspace
        .run(&["plan", "-generate-config-out=made.tf"])
        .ok()
        .assert_contains("4 to import, 0 to add, 0 to change, 0 to destroy");
    workspace.apply().ok().assert_contains("4 imported, 0 added, 0 changed, 0 destroyed");
    workspace.assert_no_changes();
}

fn functions_answer(workspace: &Workspace) {
    workspace.write(
        "main.tf",
        &(HEAD.to_owned() + "output \"latest\" {\n  value = provider::azimage::version_latest([\"1.0.9\", \"1.0.12\", \"1.1.0\"], \"~> 1.0.0\")\n}\n"),
    );
    workspace.apply().ok().assert_contains("latest = \"1.0.12\"");
    workspace.write(
        "main.tf",
        &(HEAD.to_owned() + "output \"urn\" {\n  value = provider::azimage::parse_urn(\"a:b\")\n}\n"),
    );
    let ran = workspace.run(&["plan"]).assert_contains("Invalid value for \"urn\" parameter");
    assert_eq!(ran.code, 1);
}

/// Moves a state of azurerm. Terraform requests the schema of the old type, so this provider also serves as azurerm.
fn azurerms_state_moves(workspace: &mut Workspace) {
    let folder = workspace.path().join("azurerm");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(BINARY, folder.join("terraform-provider-azurerm")).unwrap();
    let overrides = std::fs::read_to_string(workspace.path().join("cli.tfrc")).unwrap();
    let both = overrides
        .replace("dev_overrides {", &format!("dev_overrides {{\n    \"hashicorp/azurerm\" = {folder:?}"));
    workspace.write("cli.tfrc", &both);

    let resources = MADE.map(|(_, theirs, rest)| {
        json!({
            "mode": "managed", "type": theirs, "name": "old",
            "provider": "provider[\"registry.terraform.io/hashicorp/azurerm\"]",
            "instances": [{"schema_version": 0, "attributes": {"id": id(rest)}, "sensitive_attributes": []}],
        })
    });
    let state = json!({
        "version": 4, "terraform_version": "1.6.0", "serial": 1, "lineage": "b0a5",
        "outputs": {}, "resources": resources,
    });
    workspace.write("terraform.tfstate", &state.to_string());
    let moves =
        MADE.map(|(ours, theirs, _)| format!("moved {{\n  from = {theirs}.old\n  to   = {ours}\n}}\n"));
    workspace.write("main.tf", &(golden() + &moves.concat()));
    workspace
        .run(&["plan"])
        .ok()
        .assert_contains("has moved to azimage_image_version.v")
        .assert_contains("0 to add, 0 to change, 0 to destroy");
    workspace.apply().ok().assert_contains("0 added, 0 changed, 0 destroyed");
    workspace.assert_no_changes();
}

fn identities_import(workspace: &Workspace) {
    let text = format!(
        "import {{\n  to = azimage_image_version.v\n  identity = {{\n    subscription_id     = {SUBSCRIPTION:?}\n    resource_group_name = \"my-rg\"\n    gallery_name        = \"gal\"\n    image_name          = \"def\"\n    name                = \"1.0.0\"\n  }}\n}}\n"
    );
    workspace.write("main.tf", &(head() + &text));
    workspace
        .run(&["plan", "-generate-config-out=made.tf"])
        .ok()
        .assert_contains("1 to import, 0 to add, 0 to change, 0 to destroy");
    workspace.apply().ok().assert_contains("1 imported, 0 added, 0 changed, 0 destroyed");
    workspace.assert_no_changes();
    let state = std::fs::read_to_string(workspace.path().join("terraform.tfstate")).unwrap();
    let state: Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["resources"][0]["instances"][0]["identity"]["image_name"], "def", "{state}");
}

fn main() -> ExitCode {
    external::run(
        [
            for_each_terraform("stories_run_to_the_end", stories_run_to_the_end),
            for_each_terraform("lifecycle_on_a_served_emulator", lifecycle_on_a_served_emulator),
            for_each_terraform("features_of_each_release_work", features_of_each_release_work),
        ]
        .into_iter()
        .flatten()
        .collect(),
    )
}
