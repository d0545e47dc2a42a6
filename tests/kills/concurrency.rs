//! Two provider aliases, and two terraform runs with separate states, on one gallery.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::boundaries::{addresses, state, state_of, tainted};
use super::stage::{Running, Stage};
use super::{HEAD, SUBSCRIPTION, Workspace, support};

const GALLERY: &str = "galleries/gal";

fn id(rest: &str) -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/my-rg/providers/Microsoft.Compute/{rest}")
}

/// A definition with a version in some regions, through a provider alias.
fn image(name: &str, alias: &str, regions: &[&str]) -> String {
    let regions: String =
        regions.iter().map(|name| format!("  target_region {{\n    name = {name:?}\n  }}\n")).collect();
    format!(
        r#"
resource "azimage_image_definition" "{name}" {{
  provider           = azimage.{alias}
  name               = "{name}"
  gallery_id         = "{gallery}"
  os_type            = "Linux"
  hyper_v_generation = "V2"
  identifier {{
    publisher = "p"
    offer     = "o"
    sku       = "{name}"
  }}
}}
resource "azimage_image_version" "{name}" {{
  provider                               = azimage.{alias}
  version                                = "1.0.0"
  image_definition_id                    = azimage_image_definition.{name}.id
  allow_deletion_of_replicated_locations = true
  source {{
    managed_image_id = "{source}"
  }}
{regions}}}
"#,
        gallery = id(GALLERY),
        source = id("images/img"),
    )
}

fn configuration(images: &[String]) -> String {
    let providers =
        "\nprovider \"azimage\" {\n  alias = \"one\"\n}\nprovider \"azimage\" {\n  alias = \"two\"\n}\n";
    format!("{HEAD}{providers}{}", images.concat())
}

/// A gallery and a managed image that are not in any state.
fn prepared(terraform: &str) -> (Stage, Workspace) {
    let stage = Stage::start(None);
    stage.settings(&json!({"auto_create_resource_groups": true, "time_scale": 0}));
    let mut maker = Workspace::new(terraform);
    stage.point(&mut maker);
    maker.write(
        "main.tf",
        super::boundaries::configuration(false)
            .split("resource \"azimage_image_definition\"")
            .next()
            .unwrap(),
    );
    maker.apply().ok();
    (stage, maker)
}

fn workspace(stage: &Stage, terraform: &str, configuration: &str) -> Workspace {
    let mut workspace = Workspace::new(terraform);
    stage.point(&mut workspace);
    workspace.write("main.tf", configuration);
    workspace
}

fn both(one: &Workspace, two: &Workspace, arguments: &[&str]) {
    let mut runs = [Running::start(one, arguments), Running::start(two, arguments)];
    for run in &mut runs {
        run.end(Duration::from_secs(90)).ok();
        run.assert_nothing_remains(Duration::from_secs(5));
    }
}

pub fn two_aliases_and_two_runs_on_one_gallery() {
    let terraform = support::terraform("");
    let (stage, _maker) = prepared(&terraform);
    stage.settings(&json!({"time_scale": 1000}));
    let images = |names: [&str; 3], regions: &[&str]| -> String {
        configuration(&[
            image(names[0], "one", regions),
            image(names[1], "two", regions),
            image(names[2], "one", regions),
        ])
    };
    let one = workspace(&stage, &terraform, &images(["a1", "a2", "a3"], &["eastus", "westus"]));
    let two = workspace(&stage, &terraform, &images(["b1", "b2", "b3"], &["eastus", "westus"]));
    both(&one, &two, &["apply", "-auto-approve"]);
    one.assert_no_changes();
    two.assert_no_changes();
    // change the regions of all versions at once
    one.write("main.tf", &images(["a1", "a2", "a3"], &["eastus", "northeurope"]));
    two.write("main.tf", &images(["b1", "b2", "b3"], &["eastus", "uksouth"]));
    both(&one, &two, &["apply", "-auto-approve"]);
    one.assert_no_changes();
    two.assert_no_changes();
    let there = stage.objects();
    for (names, regions) in
        [("a", r#"{"East US x1", "North Europe x1"}"#), ("b", r#"{"East US x1", "UK South x1"}"#)]
    {
        for n in 1..=3 {
            let version =
                format!("{} Succeeded {regions}", id(&format!("{GALLERY}/images/{names}{n}/versions/1.0.0")));
            assert!(there.contains(&version), "{version} is not among {there:#?}");
        }
    }
    both(&one, &two, &["destroy", "-auto-approve"]);
    for workspace in [&one, &two] {
        let state = state(workspace);
        assert!(addresses(&state).is_empty() && tainted(&state).is_empty());
    }
    assert!(!stage.objects().iter().any(|object| object.contains("/versions/")));
}

/// One version in two states. A run keeps a region that the other run added after the plan, and reads the version
/// again before each write.
pub fn a_region_that_another_run_adds_after_the_plan_is_kept() {
    let terraform = support::terraform("");
    let (stage, _maker) = prepared(&terraform);
    let at = |regions: &[&str]| configuration(&[image("a", "one", regions)]);
    let one = workspace(&stage, &terraform, &at(&["eastus", "westus"]));
    one.apply().ok();
    let two = workspace(&stage, &terraform, &at(&["eastus", "uksouth"]));
    std::fs::copy(state_of(&one), state_of(&two)).unwrap();
    two.run(&["plan", "-out=planned"]).ok();
    one.write("main.tf", &at(&["eastus", "westus", "northeurope"]));
    one.apply().ok();
    two.run(&["apply", "planned"])
        .ok()
        .assert_contains("regions that the plan did not know")
        .assert_contains("North Europe");
    let version = format!("{GALLERY}/images/a/versions/1.0.0");
    let wanted = format!(r#"{} Succeeded {{"East US x1", "North Europe x1", "UK South x1"}}"#, id(&version));
    assert!(stage.objects().contains(&wanted), "{:#?}", stage.objects());
    // the next plan shows it
    two.plan_changes().assert_contains("North Europe");

    let summary = stage.control("GET", "", &Json::Null);
    let requests: Vec<(&str, &str)> = summary["requests"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|request| (request["method"].as_str().unwrap(), request["path"].as_str().unwrap()))
        .filter(|(_, path)| path.ends_with("/versions/1.0.0"))
        .collect();
    let writes: Vec<usize> = (1..requests.len()).filter(|at| requests[*at].0 == "PUT").collect();
    assert!(!writes.is_empty(), "{requests:?}");
    for at in writes {
        assert_eq!(requests[at - 1].0, "GET", "a write that was not preceded by a read: {requests:?}");
    }
}

/// While one run is blocked in the middle of a write, the other run completes everything else in the gallery.
pub fn a_hanging_run_does_not_delay_others() {
    let terraform = support::terraform("");
    let (stage, _maker) = prepared(&terraform);
    let one = workspace(&stage, &terraform, &configuration(&[image("a", "one", &["eastus"])]));
    let two = workspace(&stage, &terraform, &configuration(&[image("b", "one", &["eastus"])]));
    stage.faults(&json!([{"method": "PUT", "path": "/images/a$", "hold": "before"}]));
    let mut slow = Running::start(&one, &["apply", "-auto-approve"]);
    let begun = Instant::now();
    while stage.held().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", slow.end(Duration::ZERO).text);
        std::thread::sleep(Duration::from_millis(20));
    }
    two.apply().ok();
    two.assert_no_changes();
    stage.release("go");
    slow.end(Duration::from_secs(60)).ok();
    one.assert_no_changes();
}
