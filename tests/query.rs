//! `terraform query` and actions, with the Terraform releases that support them.

#[path = "support/external.rs"]
#[macro_use]
mod external;
#[path = "support/golden.rs"]
mod golden;
#[path = "support/cli.rs"]
mod support;

use golden::{golden, id};
use support::{HEAD, Served, Workspace, terraform};

const RELEASES: [&str; 2] = ["1.14.9", "1.15.5"];

/// An emulator without delays, and a workspace that uses it.
fn start(release: &str) -> (Served, Workspace) {
    let served = Served::start();
    served.by_hand(&["settings", r#"{"time_scale":0}"#]);
    let mut workspace = Workspace::new(&terraform(release));
    served.point(&mut workspace);
    (served, workspace)
}

const QUERIES: &str = r#"
list "azimage_gallery" "all" {
  provider = azimage
}
list "azimage_image_definition" "all" {
  provider = azimage
  config {
    name_regex = "^def$"
  }
}
list "azimage_image_version" "all" {
  provider = azimage
  config {
    resource_group_name = "my-rg"
  }
}
list "azimage_gallery_application" "all" {
  provider = azimage
  config {
    name_regex = "agent"
  }
}
list "azimage_managed_image" "all" {
  provider = azimage
  config {
    tags = { team = "images" }
  }
}
"#;

const APPLICATION: &str = r#"
resource "azimage_gallery_application" "agent" {
  name              = "agent"
  gallery_id        = azimage_gallery.g.id
  supported_os_type = "Linux"
  description       = "monitoring agent"

  custom_action {
    name   = "restart"
    script = "systemctl restart agent"
  }
}
"#;

fn generated_configuration_plans_to_no_change() {
    for release in RELEASES {
        let (served, workspace) = start(release);
        workspace.write("main.tf", &(golden() + APPLICATION));
        workspace.apply().ok();

        let mut other = Workspace::new(&terraform(release));
        served.point(&mut other);
        other.write("main.tf", HEAD);
        other.write("all.tfquery.hcl", QUERIES);
        let listed = other.run(&["query", "-generate-config-out=generated.tf"]).ok();
        for name in ["gal", "gal/agent", "gal/def", "gal/def/1.0.0", "img"] {
            assert!(
                listed.text.lines().any(|line| line.split_whitespace().last() == Some(name)),
                "no {name} in:\n{}",
                listed.text
            );
        }
        other.run(&["plan"]).ok().assert_contains("Plan: 5 to import, 0 to add, 0 to change, 0 to destroy.");
    }
}

fn failed_query_reports_the_reason() {
    for release in RELEASES {
        let (_served, workspace) = start(release);
        workspace.write("main.tf", HEAD);
        workspace.write(
            "wrong.tfquery.hcl",
            &format!(
                "list \"azimage_image_version\" \"x\" {{\n  provider = azimage\n  config {{\n    image_definition_id = {:?}\n    gallery_id = {:?}\n  }}\n}}\n",
                id("/galleries/none/images/none"),
                id("/galleries/none")
            ),
        );
        let ran = workspace
            .run(&["query"])
            .assert_contains("gallery_id cannot be used together with image_definition_id");
        assert_eq!(ran.code, 1);
        workspace.write(
            "wrong.tfquery.hcl",
            &format!(
                "list \"azimage_image_version\" \"x\" {{\n  provider = azimage\n  config {{\n    image_definition_id = {:?}\n  }}\n}}\n",
                id("/galleries/none/images/none")
            ),
        );
        let ran = workspace.run(&["query"]).assert_contains("Listing image versions failed");
        assert_eq!(ran.code, 1);
    }
}

fn actions_run_by_trigger_and_by_invoke() {
    for release in RELEASES {
        let (_served, workspace) = start(release);
        let machine = id("/virtualMachines/golden-vm");
        let main = |machine: &str| {
            format!(
                r#"{HEAD}
variable "month" {{
  default = "2026-11"
}}
action "azimage_generalize" "vm" {{
  config {{
    virtual_machine_id = "{machine}"
  }}
}}
resource "terraform_data" "month" {{
  input = var.month
  lifecycle {{
    action_trigger {{
      events  = [after_create, after_update]
      actions = [action.azimage_generalize.vm]
    }}
  }}
}}
"#
            )
        };
        workspace.write("main.tf", &main(&machine));
        workspace
            .apply()
            .ok()
            .assert_contains("deallocating the virtual machine")
            .assert_contains("marking the virtual machine as generalized")
            .assert_contains("Actions: 1 invoked.");
        workspace.assert_no_changes();
        workspace
            .run(&["apply", "-auto-approve", "-invoke=action.azimage_generalize.vm"])
            .ok()
            .assert_contains("the virtual machine is generalized already");

        workspace.write("main.tf", &main(&id("/virtualMachines/none")));
        let ran = workspace
            .run(&["apply", "-auto-approve", "-var=month=2026-12"])
            .assert_contains("The virtual machine does not exist")
            .assert_contains("correct virtual_machine_id");
        assert_eq!(ran.code, 1);
    }
}

fn image_templates_are_built_by_an_action() {
    for release in RELEASES {
        let (_served, workspace) = start(release);
        let main = format!(
            r#"{HEAD}
resource "azimage_builder_template" "web" {{
  name                = "web"
  resource_group_name = "my-rg"
  location            = "eastus"
  identity {{
    identity_ids = ["/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/my-rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/ib"]
  }}
  source {{
    marketplace_urn = "Canonical:ubuntu-24_04-lts:server:latest"
  }}
  customize {{
    name = "setup"
    shell {{
      inline = ["echo hello", "exit ${{var.exit}}"]
    }}
  }}
  distribute {{
    run_output_name = "image"
    managed_image {{
      image_id = "{}"
      location = "eastus"
    }}
  }}
  lifecycle {{
    action_trigger {{
      events  = [after_create]
      actions = [action.azimage_run_builder.web]
    }}
  }}
}}
variable "exit" {{
  default = 0
}}
action "azimage_run_builder" "web" {{
  config {{
    template_id = azimage_builder_template.web.id
  }}
}}
"#,
            id("/images/built")
        );
        workspace.write("main.tf", &main);
        workspace
            .apply()
            .ok()
            .assert_contains("the build has started")
            .assert_contains("/images/built")
            .assert_contains("Actions: 1 invoked.");
        workspace.assert_no_changes();
        workspace
            .run(&["apply", "-auto-approve", "-invoke=action.azimage_run_builder.web"])
            .ok()
            .assert_contains("the build has started");
        // the replacement is built and fails
        let ran = workspace
            .run(&["apply", "-auto-approve", "-var=exit=3"])
            .assert_contains("# forces replacement")
            .assert_contains("setup ended with exit code 3")
            .assert_contains("azure-arm: hello");
        assert_eq!(ran.code, 1);
    }
}

/// Versions are listed, and deleted only on request; a version that the configuration manages is refused at plan.
fn versions_are_pruned_by_an_action() {
    for release in RELEASES {
        let (served, workspace) = start(release);
        let main = |rules: &str| {
            format!(
                r#"{}
variable "delete" {{
  default = false
}}
action "azimage_prune_versions" "d" {{
  config {{
    image_definition_id = azimage_image_definition.d.id
    {rules}
    dry_run             = !var.delete
  }}
}}
"#,
                golden()
            )
        };
        workspace.write("main.tf", &main("keep_latest = 1"));
        workspace.apply().ok();
        let body = served.by_hand(&["get", &id(golden::VERSION)]);
        for number in ["0.9.0", "0.9.1"] {
            served.by_hand(&["put", &id(golden::VERSION).replace("1.0.0", number), &body]);
        }
        let invoke = ["apply", "-auto-approve", "-invoke=action.azimage_prune_versions.d"];
        workspace
            .run(&invoke)
            .ok()
            .assert_contains("would delete 0.9.0, 0.9.1")
            .assert_contains("keeping 1.0.0: the latest version");
        assert!(served.by_hand(&["list"]).contains("/versions/0.9.0"));

        let delete = [&invoke[..], &["-var=delete=true"]].concat();
        workspace.run(&delete).ok().assert_contains("deleted 2 versions");
        let left = served.by_hand(&["list"]);
        assert!(!left.contains("/versions/0.9.") && left.contains("/versions/1.0.0"), "{left}");
        workspace.run(&delete).ok().assert_contains("no version is to be deleted");

        // Terraform reads only what the action refers to; without a reference, the action cannot know the version.
        let referring = main("keep_versions = [\"> 1.0.0\"]\n    keep_in_use = false").replace(
            "azimage_image_definition.d.id\n    keep",
            "azimage_image_version.v.image_definition_id\n    keep",
        );
        workspace.write("main.tf", &referring);
        let ran = workspace
            .run(&delete)
            .assert_contains("is managed in this configuration")
            .assert_contains("keep_versions");
        assert_eq!(ran.code, 1);
        assert!(served.by_hand(&["list"]).contains("/versions/1.0.0"));
    }
}

tests!(
    image_templates_are_built_by_an_action,
    versions_are_pruned_by_an_action,
    generated_configuration_plans_to_no_change,
    failed_query_reports_the_reason,
    actions_run_by_trigger_and_by_invoke,
);
