//! What users see with the real command line: refusals, interrupts, invalid input, and `terraform test` of modules.

#[path = "support/external.rs"]
#[macro_use]
mod external;
#[path = "support/golden.rs"]
mod golden;
#[path = "support/cli.rs"]
mod support;

use std::process::{Command, Stdio};
use std::time::Duration;

use golden::{golden, id};
use support::{EMULATOR, HEAD, SUBSCRIPTION, Served, Workspace, ran, stories, terraform};

fn modules_are_tested_with_terraform_test() {
    let terraform = terraform("");
    for story in stories().into_iter().filter(|story| story.join("tests").exists()) {
        let workspace = Workspace::new(&terraform);
        std::fs::create_dir(workspace.path().join("tests")).unwrap();
        for folder in ["", "tests"] {
            for entry in std::fs::read_dir(story.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|extension| extension == "tf" || extension == "hcl") {
                    std::fs::copy(&path, workspace.path().join(folder).join(path.file_name().unwrap()))
                        .unwrap();
                }
            }
        }
        workspace.run(&["test"]).ok().assert_contains("0 failed");
    }
}

fn refusals_of_the_service_are_reported_and_lose_nothing() {
    let terraform = terraform("");
    let served = Served::start();
    let mut workspace = Workspace::new(&terraform);
    served.point(&mut workspace);
    workspace.write("main.tf", &golden());
    let fault = |path: &str, what: &str| {
        served.by_hand(&["fault", &format!(r#"{{"path":{path:?},"count":0,{what}}}"#)]);
    };
    fault(
        "/galleries/gal/images/def/versions/1.0.0",
        r#""method":"PUT","status":403,"body":{"error":{"code":"AuthorizationFailed","message":"The client may not."}}"#,
    );
    workspace
        .apply()
        .assert_contains("AuthorizationFailed")
        .assert_contains("The client may not.")
        .assert_contains("azimage_image_version.v");
    served.by_hand(&["faults", "clear"]);
    fault("/galleries/gal", r#""method":"GET","malformed":true"#);
    let ran = workspace.run(&["plan"]).assert_contains("azimage_gallery.g");
    assert_eq!(ran.code, 1);
    served.by_hand(&["faults", "clear"]);
    // three objects were created before the refusal and are in the state
    workspace.plan_changes().assert_contains("1 to add, 0 to change, 0 to destroy");
    workspace.apply().ok();
    workspace.assert_no_changes();
}

#[cfg(unix)]
fn the_next_apply_continues_after_an_interrupt() {
    let terraform = terraform("");
    let served = Served::start();
    let mut workspace = Workspace::new(&terraform);
    served.point(&mut workspace);
    workspace.write("main.tf", &golden());
    workspace
        .run(&[
            "apply",
            "-auto-approve",
            "-target=azimage_image_definition.d",
            "-target=azimage_managed_image.i",
        ])
        .ok();
    // replication takes minutes from here on
    served.by_hand(&["settings", r#"{"time_scale":1}"#]);
    let child = workspace
        .command(&["apply", "-auto-approve", "-no-color"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for(|| served.by_hand(&["list"]).contains("/versions/1.0.0"));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    ran(&child.wait_with_output().unwrap())
        .assert_contains("is not finished yet")
        .assert_contains("kept in the state");
    workspace
        .plan_changes()
        .assert_contains("azimage_image_version.v will be updated in-place")
        .assert_contains("not replicated everywhere yet");
    served.by_hand(&["advance", "7200"]);
    workspace.apply().ok().assert_contains("0 destroyed");
    workspace.assert_no_changes();
}

fn wait_for(mut done: impl FnMut() -> bool) {
    for _ in 0..200 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("the condition was not met within ten seconds");
}

fn invalid_input_is_reported_before_any_change() {
    let terraform = terraform("");
    let gallery =
        |fields: &str| format!("{HEAD}{EMULATOR}resource \"azimage_gallery\" \"g\" {{\n{fields}\n}}\n");
    let version = |fields: &str| {
        format!(
            "{HEAD}{EMULATOR}resource \"azimage_image_version\" \"v\" {{\n  image_definition_id = {:?}\n{fields}\n}}\n",
            id("/galleries/g/images/d")
        )
    };
    let machine = id("/virtualMachines/vm");
    let image = id("/images/i");
    let rows = [
        (
            "validate",
            gallery("name = \"a-b\"\nresource_group_name = \"rg\"\nlocation = \"eastus\""),
            "\"a-b\" must not contain '-'",
        ),
        (
            "plan",
            gallery("name = \"a\"\nresource_group_name = \"rg\"\nlocation = \"westeuropa\""),
            "Did you mean \"westeurope\"?",
        ),
        (
            "validate",
            version(&format!("version = \"1.0\"\nsource {{\n managed_image_id = {image:?}\n}}")),
            "exactly three are required",
        ),
        (
            "validate",
            version(&format!(
                "version = \"1.0.0\"\nsource {{\n managed_image_id = {image:?}\n virtual_machine_id = {machine:?}\n}}"
            )),
            "The source block sets more than one source",
        ),
        (
            "validate",
            version(&format!(
                "version = \"1.0.0\"\nsource {{\n managed_image_id = {image:?}\n}}\ntarget_region {{\n name = \"eastus\"\n}}\ntarget_region {{\n name = \"East US\"\n regional_replica_count = 2\n}}"
            )),
            "is given twice",
        ),
    ];
    for (command, text, what) in rows {
        let workspace = Workspace::new(&terraform);
        workspace.write("main.tf", &text);
        let ran = workspace.run(&[command]).assert_contains(what);
        assert_eq!(ran.code, 1, "{}", ran.text);
    }
}

fn missing_credentials_are_reported_at_plan() {
    let terraform = terraform("");
    let text = format!(
        "{HEAD}\nprovider \"azimage\" {{\n  use_cli = false\n}}\nresource \"azimage_gallery\" \"g\" {{\n  count = 25\n  name = \"g${{count.index}}\"\n  resource_group_name = \"rg\"\n  location = \"eastus\"\n}}\n"
    );
    let mut workspace = Workspace::new(&terraform);
    workspace.write("main.tf", &text);
    workspace.env("ARM_SUBSCRIPTION_ID", SUBSCRIPTION);
    let ran = workspace
        .run(&["plan"])
        .assert_contains("Signing in failed")
        .assert_contains("client_secret is not set");
    assert_eq!(ran.code, 1);
    assert_eq!(ran.text.matches("Error:").count(), 1, "{}", ran.text);
    workspace.env("ARM_METADATA_HOSTNAME", "127.0.0.1:9");
    let ran =
        workspace.run(&["plan"]).assert_contains("127.0.0.1:9").assert_contains("is correct and reachable");
    assert_eq!(ran.code, 1);
}

const MOCK_VALUES: &str = include_str!("mocks/azimage.tfmock.hcl");

fn every_argument_accepts_mock_values() {
    let terraform = terraform("");
    let workspace = Workspace::new(&terraform);
    let mocks = workspace.path().join("tests/mocks");
    std::fs::create_dir_all(&mocks).unwrap();
    workspace.write("tests/mocks/azimage.tfmock.hcl", MOCK_VALUES);
    let more = r#"
resource "azimage_marketplace_pin" "p" {
  location = "eastus"
  urn      = data.azimage_marketplace_image.windows.exact_urn
}
resource "azimage_image_replication" "r" {
  image_version_id = azimage_image_version.v.id
}
resource "azimage_image_version" "copy" {
  version             = azimage_marketplace_pin.p.version
  image_definition_id = data.azimage_image_definition.d.id
  location            = azimage_image_definition.d.location
  source {
    image_version_id = data.azimage_image_version.v.id
  }
}
data "azimage_gallery" "g" {
  name                = azimage_gallery.g.name
  resource_group_name = "my-rg"
}
data "azimage_image_definition" "d" {
  name       = "def"
  gallery_id = data.azimage_gallery.g.id
}
data "azimage_image_version" "v" {
  image_definition_id = data.azimage_image_definition.d.id
}
"#;
    workspace.write("main.tf", &(golden() + more));
    let values = if workspace.run(&["version"]).text.contains("OpenTofu") {
        // its mock_provider has no `source`, and accepts no value of an argument that is set
        let is_set =
            |line: &&str| ["urn ", "location "].iter().any(|name| line.trim_start().starts_with(name));
        MOCK_VALUES.lines().filter(|line| !is_set(line)).flat_map(|line| [line, "\n"]).collect()
    } else {
        "  source = \"./tests/mocks\"\n".to_owned()
    };
    let test =
        format!("mock_provider \"azimage\" {{\n{values}}}\nrun \"mocked\" {{\n  command = apply\n}}\n");
    workspace.write("tests/mocked.tftest.hcl", &test);
    workspace.run(&["test"]).ok().assert_contains("1 passed, 0 failed");
}

tests!(
    modules_are_tested_with_terraform_test,
    refusals_of_the_service_are_reported_and_lose_nothing,
    #[cfg(unix)]
    the_next_apply_continues_after_an_interrupt,
    invalid_input_is_reported_before_any_change,
    missing_credentials_are_reported_at_plan,
    every_argument_accepts_mock_values,
);
