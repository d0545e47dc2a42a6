//! Known IDs with the real command lines: the plans of Terraform and OpenTofu for a replaced parent, for a new
//! parent, and for two addresses with the same ID.

#[path = "support/external.rs"]
#[macro_use]
mod external;
#[path = "support/cli.rs"]
mod support;

use std::process::ExitCode;

use support::release::Release;
use support::{EMULATOR, HEAD, Ran, Workspace, for_each_terraform, stories};

/// A gallery, a definition, and a version captured from a machine; `gallery` and `definition` are additional
/// arguments.
fn chain(gallery: &str, definition: &str) -> String {
    let definition = support::definition("d", "g", &format!("security_type = \"Standard\"\n  {definition}"));
    format!(
        r#"
resource "azimage_gallery" "g" {{
  name                = "gal"
  resource_group_name = "my-rg"
  location            = "East US"
  {gallery}
}}
{definition}resource "azimage_image_version" "v" {{
  version             = "1.0.0"
  image_definition_id = azimage_image_definition.d.id
  source {{
    managed_image_id = azimage_managed_image.i.id
  }}
}}
resource "azimage_managed_image" "i" {{
  name                = "img"
  resource_group_name = "my-rg"
  location            = "East US"
  hyper_v_generation  = "V2"
  capture {{
    virtual_machine_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/my-rg/providers/Microsoft.Compute/virtualMachines/golden-vm"
  }}
}}
resource "terraform_data" "trigger" {{
  input = "1"
}}
"#
    )
}

fn workspace(terraform: &str) -> Workspace {
    let workspace = Workspace::new(terraform);
    workspace.write("head.tf", &format!("{HEAD}{EMULATOR}"));
    workspace
}

/// A change, and the addresses that the plan replaces because of it.
struct Replacement {
    name: &'static str,
    gallery: &'static str,
    definition: &'static str,
    /// Commands before the plan.
    commands: &'static [&'static [&'static str]],
    /// Replacements of text in the configuration: from and to.
    edit: Option<(&'static str, &'static str)>,
    plan: &'static [&'static str],
    replaced: &'static [&'static str],
}

const ALL: &[&str] = &["azimage_gallery.g", "azimage_image_definition.d", "azimage_image_version.v"];
const DEFINITION: &[&str] = &["azimage_image_definition.d", "azimage_image_version.v"];
const NONE: Replacement = Replacement {
    name: "",
    gallery: "",
    definition: "",
    commands: &[],
    edit: None,
    plan: &[],
    replaced: &[],
};

const REPLACEMENTS: &[Replacement] = &[
    Replacement { name: "nothing", ..NONE },
    Replacement {
        name: "an attribute",
        edit: Some(("sku       = \"s\"", "sku       = \"t\"")),
        replaced: DEFINITION,
        ..NONE
    },
    Replacement {
        name: "an attribute, without a refresh",
        edit: Some(("sku       = \"s\"", "sku       = \"t\"")),
        plan: &["-refresh=false"],
        replaced: DEFINITION,
        ..NONE
    },
    Replacement { name: "-replace", plan: &["-replace=azimage_gallery.g"], replaced: ALL, ..NONE },
    Replacement {
        name: "-replace, without a refresh",
        plan: &["-replace=azimage_gallery.g", "-refresh=false"],
        replaced: ALL,
        ..NONE
    },
    Replacement {
        name: "a tainted object",
        commands: &[&["taint", "azimage_gallery.g"]],
        replaced: ALL,
        ..NONE
    },
    Replacement {
        name: "a tainted object, without a refresh",
        commands: &[&["taint", "azimage_image_definition.d"]],
        plan: &["-refresh=false"],
        replaced: DEFINITION,
        ..NONE
    },
    Replacement {
        name: "replace_triggered_by",
        definition: "lifecycle {\n    replace_triggered_by = [terraform_data.trigger]\n  }",
        edit: Some(("input = \"1\"", "input = \"2\"")),
        replaced: DEFINITION,
        ..NONE
    },
    Replacement {
        name: "create_before_destroy",
        definition: "lifecycle {\n    create_before_destroy = true\n  }",
        edit: Some(("sku       = \"s\"", "sku       = \"t\"")),
        replaced: DEFINITION,
        ..NONE
    },
    Replacement {
        name: "a moved address",
        edit: Some((
            "resource \"terraform_data\"",
            "moved {\n  from = azimage_gallery.g\n  to   = azimage_gallery.g2\n}\nresource \"terraform_data\"",
        )),
        ..NONE
    },
    Replacement {
        name: "a moved address and an attribute",
        edit: Some((
            "resource \"terraform_data\"",
            "moved {\n  from = azimage_gallery.g\n  to   = azimage_gallery.g2\n}\nresource \"terraform_data\"",
        )),
        plan: &["-replace=azimage_gallery.g2"],
        replaced: &["azimage_gallery.g2", "azimage_image_definition.d", "azimage_image_version.v"],
        ..NONE
    },
];

fn replaces_dependents_of_a_replaced_object(terraform: &str, _release: Release) {
    let workspace = workspace(terraform);
    for row in REPLACEMENTS {
        let text = chain(row.gallery, row.definition);
        workspace.write("main.tf", &text);
        workspace.apply().ok();
        workspace.assert_no_changes();
        if let Some((from, to)) = row.edit {
            let mut text = text.replace(from, to);
            if row.name.contains("moved") {
                text = text.replace("\"azimage_gallery\" \"g\"", "\"azimage_gallery\" \"g2\"");
                text = text.replace("azimage_gallery.g.id", "azimage_gallery.g2.id");
            }
            assert_ne!(text, chain(row.gallery, row.definition), "{}", row.name);
            workspace.write("main.tf", &text);
        }
        for command in row.commands {
            workspace.run(command).ok();
        }
        let ran = workspace.run(&[&["plan", "-out=plan"], row.plan].concat()).ok();
        let mut replaced = replaced_by(&ran);
        replaced.sort_unstable();
        assert_eq!(replaced, row.replaced, "{}: {}", row.name, ran.text);
        if row.name != "create_before_destroy" {
            workspace.run(&["apply", "plan"]).ok();
            workspace.assert_no_changes();
        }
        workspace.destroy().ok();
    }
}

// The addresses that the plan replaces, in any of Terraform's wordings.
fn replaced_by(ran: &Ran) -> Vec<&str> {
    ran.text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("# "))
        .filter(|line| line.contains("be replaced"))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|address| address.starts_with("azimage_"))
        .collect()
}

fn plans_new_objects_with_known_ids(terraform: &str, _release: Release) {
    let workspace = workspace(terraform);
    workspace.write("main.tf", &chain("", ""));
    let ran = workspace.run(&["plan", "-out=plan"]).ok();
    assert_only_the_service_is_open(&ran);
    workspace.run(&["apply", "plan"]).ok();
    workspace.assert_no_changes();
    // a source that was deleted is recreated, and the version stays
    let image = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/my-rg/providers/Microsoft.Compute/images/img";
    let output = std::process::Command::new(support::BINARY)
        .args(["emulator", "--state", ".azimage/emulator.json", "delete", image])
        .current_dir(workspace.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ran = workspace.plan_changes().assert_contains("azimage_managed_image.i will be created");
    assert!(ran.text.contains("1 to add, 0 to change, 0 to destroy"), "{}", ran.text);
}

// Fails if the plan contains unknown values other than those that only the service knows: states, dates, sizes, and
// the Marketplace status of a pinned version.
fn assert_only_the_service_is_open(ran: &Ran) {
    let invented = [
        "provisioning_state",
        "published_date",
        "replication_state",
        "replication_progress",
        "os_disk_size_gb",
        "data_disk_sizes_gb",
        "deprecation_state",
        "newest_version",
        "scheduled_deprecation_time",
        "upgrade_available",
        "withdrawn",
    ];
    let mut address = "";
    for line in ran.text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("# ") {
            address = rest;
        }
        if line.contains("(known after apply)") && address.starts_with("azimage_") {
            let name = line.trim_start_matches(['+', ' ']).split_whitespace().next().unwrap_or_default();
            // the last line is an output of replication states
            let is_open = invented.contains(&name) || name == "\"1.0.0\"";
            assert!(is_open, "{line:?} of {address} is unknown in:\n{}", ran.text);
        }
    }
}

fn plans_a_story_with_known_ids(terraform: &str, _release: Release) {
    let story = stories().into_iter().find(|story| story.ends_with("golden-image")).unwrap();
    let workspace = Workspace::new(terraform);
    std::fs::copy(story.join("main.tf"), workspace.path().join("main.tf")).unwrap();
    let ran = workspace.run(&["plan"]).ok().assert_contains("azimage_image_version.ubuntu");
    assert_only_the_service_is_open(&ran);
}

fn refuses_one_id_at_two_addresses(terraform: &str, _release: Release) {
    let workspace = workspace(terraform);
    let gallery = |address: &str, count: u32| {
        format!(
            "resource \"azimage_gallery\" \"{address}\" {{\n  count = {count}\n  name = \"gal\"\n  resource_group_name = \"my-rg\"\n  location = \"eastus\"\n}}\n"
        )
    };
    let refused = |text: &str| {
        workspace.write("main.tf", text);
        let ran = workspace.run(&["plan"]).assert_contains("is already managed in this configuration");
        assert_eq!(ran.code, 1);
        assert!(!ran.text.contains("Import it"), "{}", ran.text);
    };
    refused(&gallery("a", 2));
    workspace.write("main.tf", &gallery("a", 1));
    workspace.apply().ok();
    refused(&gallery("a", 2));
    refused(&(gallery("a", 1) + &gallery("b", 1)));
    // an address that was renamed, without a moved block
    refused(&gallery("b", 1));
    // and with a moved block
    workspace.write(
        "main.tf",
        &(gallery("b", 1) + "moved {\n  from = azimage_gallery.a\n  to = azimage_gallery.b\n}\n"),
    );
    workspace.apply().ok();
    workspace.assert_no_changes();
    // Terraform plans everything once more before a destroy, and errors of that plan do not stop the destroy
    workspace.write("main.tf", &gallery("b", 2));
    workspace.run(&["destroy", "-auto-approve"]).ok().assert_contains("1 destroyed");
}

/// A version whose source does not exist, and a data source that finds nothing.
const BROKEN: &str = r#"
resource "azimage_image_version" "broken" {
  version             = "2.0.0"
  image_definition_id = azimage_image_definition.d.id
  source {
    managed_image_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/my-rg/providers/Microsoft.Compute/images/gone"
  }
}
data "azimage_image_version" "gone" {
  image_definition_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/my-rg/providers/Microsoft.Compute/galleries/gal/images/gone"
}
resource "azimage_image_version" "copy" {
  version             = "3.0.0"
  image_definition_id = azimage_image_definition.d.id
  source {
    image_version_id = data.azimage_image_version.gone.id
  }
}
"#;

fn destroys_objects_that_a_plan_would_reject(terraform: &str, _release: Release) {
    let workspace = workspace(terraform);
    workspace.write("main.tf", &chain("", ""));
    workspace.apply().ok();
    // a version that was never created, and one that exists and that a plan would reject now
    let changed = chain("", "").replace(
        "version             = \"1.0.0\"",
        "version             = \"1.0.0\"\n  target_region {\n    name = \"West Europe\"\n  }",
    );
    workspace.write("main.tf", &(changed + BROKEN));
    let refused = workspace.run(&["plan"]);
    assert_eq!(refused.code, 1);
    refused.assert_contains("The source \"gone\" does not exist").assert_contains("own region");
    workspace.run(&["plan", "-destroy"]).ok().assert_contains("5 to destroy");
    workspace.run(&["destroy", "-auto-approve"]).ok().assert_contains("5 destroyed");
}

// Terraform defers a data source that refers to the resource itself, but reads it immediately if it gets the ID from
// a local value.
fn explains_a_data_source_that_reads_a_planned_object(terraform: &str, _release: Release) {
    let workspace = workspace(terraform);
    let data = r#"
locals {
  id = azimage_image_definition.d.id
}
data "azimage_image_versions" "all" {
  image_definition_id = local.id
}
"#;
    workspace.write("main.tf", &(chain("", "") + data));
    let ran = workspace
        .run(&["plan"])
        .assert_contains("azimage_image_versions cannot be read yet")
        .assert_contains("depends_on");
    assert_eq!(ran.code, 1);
    for (from, to) in [
        ("= local.id\n", "= local.id\n  depends_on          = [azimage_image_definition.d]\n"),
        ("= local.id\n", "= azimage_image_definition.d.id\n"),
    ] {
        workspace.write("main.tf", &(chain("", "") + &data.replace(from, to)));
        workspace.run(&["plan"]).ok().assert_contains("will be read during apply");
    }
    workspace.apply().ok();
}

fn error_mentions_create_before_destroy_if_the_number_is_taken(terraform: &str, _release: Release) {
    let workspace = workspace(terraform);
    let text = chain("", "").replace(
        "version             = \"1.0.0\"",
        "version             = \"1.0.0\"\n  lifecycle {\n    create_before_destroy = true\n  }",
    );
    workspace.write("main.tf", &text);
    workspace.apply().ok();
    let ran = workspace.run(&["apply", "-auto-approve", "-replace=azimage_image_version.v"]);
    assert_eq!(ran.code, 1);
    ran.assert_contains("create_before_destroy").assert_contains("choose another number");
    workspace.assert_no_changes();
}

fn default_tags_reach_resources_that_ignore_their_tags(terraform: &str, _release: Release) {
    let workspace = Workspace::new(terraform);
    let write = |team: &str| {
        let provider = format!(
            "{HEAD}\nprovider \"azimage\" {{\n  environment = \"emulator\"\n  default_tags = {{\n    team = \"{team}\"\n  }}\n}}\n"
        );
        workspace.write("head.tf", &provider);
    };
    write("one");
    let own = "tags = {\n    stage = \"test\"\n  }\n  lifecycle {\n    ignore_changes = [tags]\n  }";
    workspace.write("main.tf", &chain(own, own));
    workspace.apply().ok();
    workspace.assert_no_changes();
    write("two");
    let ran = workspace.run(&["plan"]).ok().assert_contains("to change");
    assert!(ran.text.contains("\"one\" -> \"two\""), "{}", ran.text);
    assert!(ran.text.contains("4 to change, 0 to destroy"), "{}", ran.text);
    workspace.apply().ok();
    workspace.assert_no_changes();
    // a change of their own tags is still ignored
    workspace.write("main.tf", &chain(&own.replace("test", "other"), own));
    workspace.assert_no_changes();
}

fn main() -> ExitCode {
    let tests: [(&str, fn(&str, Release)); 8] = [
        ("replaces dependents of a replaced object", replaces_dependents_of_a_replaced_object),
        ("plans new objects with known IDs", plans_new_objects_with_known_ids),
        ("plans a story with known IDs", plans_a_story_with_known_ids),
        ("refuses one ID at two addresses", refuses_one_id_at_two_addresses),
        ("destroys objects that a plan would reject", destroys_objects_that_a_plan_would_reject),
        (
            "explains a data source that reads a planned object",
            explains_a_data_source_that_reads_a_planned_object,
        ),
        (
            "error mentions create_before_destroy if the number is taken",
            error_mentions_create_before_destroy_if_the_number_is_taken,
        ),
        (
            "default tags reach resources that ignore their tags",
            default_tags_reach_resources_that_ignore_their_tags,
        ),
    ];
    external::run(tests.into_iter().flat_map(|(name, work)| for_each_terraform(name, work)).collect())
}
