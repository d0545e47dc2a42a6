//! Runs that are disturbed at one of their requests, and the conditions that must hold afterwards.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::stage::{Running, Stage};
use super::{HEAD, Ran, SUBSCRIPTION, Workspace};

/// A request of a run, identified so that it can be recognised in another run.
#[derive(Clone, Debug, PartialEq)]
pub struct Boundary {
    pub method: String,
    /// A regular expression for the path.
    pub path: String,
    /// The number of equal requests before it.
    pub nth: usize,
    pub side: &'static str,
}

impl std::fmt::Display for Boundary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path.rsplit("providers/").next().unwrap_or_default();
        write!(f, "{} {} {path} #{}", self.side, self.method, self.nth)
    }
}

impl Boundary {
    pub fn writes(&self) -> bool {
        self.method != "GET" && !self.path.contains("oauth2")
    }

    /// Whether it starts an operation.
    pub fn starts_operation(&self) -> bool {
        self.method == "PUT" && self.side == "after" && !self.path.contains("agreements")
    }

    // The address of its resource.
    fn address(&self) -> &'static str {
        match self.path.trim_end_matches('$').rsplit('/').next() {
            Some("img") => "azimage_managed_image.img",
            Some("gal") => "azimage_gallery.gal",
            Some("def") => "azimage_image_definition.def",
            _ => "azimage_image_version.this_1_0_0",
        }
    }

    fn fault(&self) -> Json {
        json!({"method": self.method, "path": self.path, "skip": self.nth, "count": 1, "hold": self.side})
    }
}

/// The goal of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    Create,
    Update,
    Delete,
}

impl Goal {
    pub const ALL: [Goal; 3] = [Goal::Create, Goal::Update, Goal::Delete];

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Goal::Delete => &["destroy", "-auto-approve", "-parallelism=1"],
            _ => &["apply", "-auto-approve", "-parallelism=1"],
        }
    }

    fn configuration(self) -> String {
        configuration(self == Goal::Update)
    }

    fn objects(self) -> BTreeSet<String> {
        if self == Goal::Delete {
            return BTreeSet::new();
        }
        let id = |rest: &str| {
            format!(
                "/subscriptions/{SUBSCRIPTION}/resourceGroups/my-rg/providers/Microsoft.Compute/{rest} Succeeded"
            )
        };
        let regions = if self == Goal::Update {
            r#"{"East US x2", "North Europe x1"}"#
        } else {
            r#"{"East US x1", "West Europe x1"}"#
        };
        BTreeSet::from([
            id("images/img"),
            id("galleries/gal"),
            id("galleries/gal/images/def"),
            format!("{} {regions}", id("galleries/gal/images/def/versions/1.0.0")),
        ])
    }
}

/// Gallery, definition, captured image, version and agreement; or the same with every changeable attribute changed.
pub fn configuration(changed: bool) -> String {
    let text = if changed { "second" } else { "first" };
    let (replicas, region) = if changed { (2, "North Europe") } else { (1, "West Europe") };
    let definition = crate::support::definition("def", "gal", &format!("description = \"{text}\""));
    format!(
        r#"{HEAD}
provider "azimage" {{
  default_tags = {{ step = "{text}" }}
}}
resource "azimage_marketplace_agreement" "terms" {{
  publisher         = "fortinet"
  offer             = "fortinet_fortigate-vm_v5"
  plan              = "fortinet_fg-vm_payg"
  cancel_on_destroy = true
}}
resource "azimage_managed_image" "img" {{
  name                = "img"
  resource_group_name = "my-rg"
  location            = "East US"
  capture {{
    virtual_machine_id = "/subscriptions/{SUBSCRIPTION}/resourceGroups/my-rg/providers/Microsoft.Compute/virtualMachines/golden-vm"
  }}
}}
resource "azimage_gallery" "gal" {{
  name                = "gal"
  resource_group_name = "my-rg"
  location            = "East US"
  description         = "{text}"
}}
{definition}resource "azimage_image_version" "this_1_0_0" {{
  version                                = "1.0.0"
  image_definition_id                    = azimage_image_definition.def.id
  allow_deletion_of_replicated_locations = true
  source {{
    managed_image_id = azimage_managed_image.img.id
  }}
  target_region {{
    name                   = "eastus"
    regional_replica_count = {replicas}
  }}
  target_region {{
    name = "{region}"
  }}
}}
"#
    )
}

/// The starting point of each run of a series: the emulator's state and terraform's.
pub struct Series {
    terraform: String,
    pub goal: Goal,
    base: Option<(Stage, Workspace)>,
    pub boundaries: Vec<Boundary>,
}

impl Series {
    /// Prepares the starting point, and runs once to list the requests.
    pub fn new(terraform: &str, goal: Goal) -> Series {
        let mut series = Series { terraform: terraform.to_owned(), goal, base: None, boundaries: Vec::new() };
        if goal != Goal::Create {
            let (stage, workspace) = series.begin();
            workspace.write("main.tf", &configuration(false));
            stage.faults(&json!([]));
            stage.settings(&json!({"time_scale": 0}));
            workspace.apply().ok();
            stage.settings(&json!({"time_scale": 10}));
            series.base = Some((stage, workspace));
        }
        series.boundaries = series.list_boundaries();
        series
    }

    /// A stage and a workspace in the state before the run.
    pub fn begin(&self) -> (Stage, Workspace) {
        let state = self.base.as_ref().map(|(stage, _)| stage.state());
        let stage = Stage::start(state.as_deref());
        stage.settings(&json!({"time_scale": 10, "auto_create_resource_groups": true}));
        stage.faults(&slow(None));
        let mut workspace = Workspace::new(&self.terraform);
        stage.point(&mut workspace);
        workspace.write("main.tf", &self.goal.configuration());
        if let Some((_, base)) = &self.base {
            std::fs::copy(state_of(base), state_of(&workspace)).unwrap();
        }
        (stage, workspace)
    }

    // Lists the requests of a run by holding each of them briefly.
    fn list_boundaries(&self) -> Vec<Boundary> {
        let (stage, workspace) = self.begin();
        stage.faults(&slow(Some(json!({"count": 0, "hold": "before"}))));
        let mut running = Running::start(&workspace, self.goal.arguments());
        let mut seen: Vec<Boundary> = Vec::new();
        let begun = Instant::now();
        while !running.has_ended() {
            assert!(begun.elapsed() < Duration::from_secs(120), "{}", running.end(Duration::ZERO).text);
            let Some((method, path)) = stage.held() else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            let path = general(&path);
            let nth = seen
                .iter()
                .filter(|known| known.method == method && known.path == path && known.side == "before")
                .count();
            // the number of polls varies
            if !(path.contains("perations/") && nth > 0) {
                let boundary = Boundary { method, path, nth, side: "before" };
                let writes = boundary.writes();
                seen.push(boundary.clone());
                if writes {
                    seen.push(Boundary { side: "after", ..boundary });
                }
            }
            stage.release("go");
            stage.advance();
        }
        running.end(Duration::from_secs(1)).ok();
        assert_eq!(stage.objects(), self.goal.objects());
        seen
    }

    /// Runs until a boundary. `None` if the run ends before it.
    pub fn reach(&self, boundary: &Boundary) -> Option<(Stage, Workspace, Running)> {
        let (stage, workspace) = self.begin();
        stage.faults(&slow(Some(boundary.fault())));
        let mut running = Running::start(&workspace, self.goal.arguments());
        let begun = Instant::now();
        while stage.held().is_none() {
            if running.has_ended() {
                running.end(Duration::from_secs(1)).ok();
                return None;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(120),
                "{boundary}: {}",
                running.end(Duration::ZERO).text
            );
            stage.advance();
            std::thread::sleep(Duration::from_millis(20));
        }
        Some((stage, workspace, running))
    }

    /// Runs terraform again until it reaches the goal, adding each proposed import block, and checks that every
    /// object exists exactly once. Returns the number of imports.
    ///
    /// If `pending` started an operation, the first run must join it while it is running.
    pub fn converge(&self, stage: &Stage, workspace: &Workspace, pending: Option<&Boundary>) -> usize {
        stage.faults(&slow(None));
        if let Some(pending) = pending {
            let target = format!("-target={}", pending.address());
            let ran = self.run_slowly(stage, workspace, &[self.goal.arguments(), &[&target]].concat());
            assert_eq!(ran.code, 0, "the running operation is not joined:\n{}", ran.text);
        }
        let pasted = self.until_done(stage, workspace, self.goal);
        self.assert_objects_exist(stage, workspace);
        pasted
    }

    /// Imports the existing objects without a state, using the proposed import blocks, until nothing is missing.
    pub fn adopt(&self, stage: &Stage, workspace: &Workspace) {
        stage.faults(&slow(None));
        self.until_done(stage, workspace, Goal::Create);
        std::fs::remove_file(workspace.path().join("imports.tf")).ok();
    }

    // Repeats the run, adding every proposed import block, until it succeeds. Returns the number of imports.
    fn until_done(&self, stage: &Stage, workspace: &Workspace, goal: Goal) -> usize {
        let mut pasted: BTreeSet<String> = BTreeSet::new();
        for _ in 0..6 {
            let ran = self.run_slowly(stage, workspace, goal.arguments());
            if goal != Goal::Delete {
                let destroys = ran.text.contains(" destroyed.") && !ran.text.contains(" 0 destroyed.");
                assert!(!destroys, "a desired object was destroyed:\n{}", ran.text);
            }
            if ran.code == 0 {
                return pasted.len();
            }
            let imports = imports(&ran.text);
            println!("imports are needed after:\n{}", ran.text.split("Plan: ").last().unwrap_or_default());
            assert!(!imports.is_empty(), "the run fails without proposing an import:\n{}", ran.text);
            for import in imports {
                assert!(pasted.insert(import.clone()), "an import is proposed again:\n{}", ran.text);
            }
            workspace.write("imports.tf", &pasted.iter().map(String::as_str).collect::<String>());
        }
        panic!("the runs do not converge");
    }

    // A run in which operations keep running until terraform polls them.
    fn run_slowly(&self, stage: &Stage, workspace: &Workspace, arguments: &[&str]) -> Ran {
        let last = stage.last_request();
        let mut running = Running::start(workspace, arguments);
        let begun = Instant::now();
        let mut waits = false;
        while !running.has_ended() {
            assert!(begun.elapsed() < Duration::from_secs(120), "{}", running.end(Duration::ZERO).text);
            waits = waits || begun.elapsed() > Duration::from_secs(30) || stage.is_polled(&last);
            if waits {
                stage.advance();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        running.end(Duration::from_secs(1))
    }

    fn assert_objects_exist(&self, stage: &Stage, workspace: &Workspace) {
        stage.faults(&json!([]));
        stage.advance();
        let state = state(workspace);
        let known = addresses(&state);
        assert_eq!(
            stage.objects(),
            self.goal.objects(),
            "not the desired objects; the state contains {known:?}"
        );
        if self.goal == Goal::Delete {
            assert!(addresses(&state).is_empty(), "still in the state: {:?}", addresses(&state));
            return;
        }
        assert_eq!(addresses(&state).len(), 5, "{:?}", addresses(&state));
        assert!(tainted(&state).is_empty(), "tainted: {:?}", tainted(&state));
        workspace.assert_no_changes();
    }
}

// Every write takes five minutes of the emulator's clock, which only the test advances. `more` adds a fault.
fn slow(more: Option<Json>) -> Json {
    let slow = |method: &str| json!({"method": method, "count": 0, "slow_operation": 300});
    more.into_iter().chain([slow("PUT"), slow("DELETE")]).collect()
}

// A regular expression for a path that also matches the same request of another run.
fn general(path: &str) -> String {
    let words: Vec<String> = path
        .split('/')
        .map(|word| match word.len() == 36 && word.matches('-').count() == 4 && word != SUBSCRIPTION {
            true => "[^/]+".to_owned(),
            false => word.replace('.', r"\."),
        })
        .collect();
    format!("^{}$", words.join("/"))
}

pub fn state_of(workspace: &Workspace) -> PathBuf {
    workspace.path().join("terraform.tfstate")
}

/// The state file after a forced exit. Terraform truncates the file before it writes it, so an exit in between leaves
/// it empty. It makes a backup only if the new state differs from the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateFile {
    /// It contains the complete state.
    Whole,
    /// It was restored from the backup.
    Backup,
    /// There is neither a state nor a backup.
    Nothing,
}

/// Restores terraform's backup if the state file is incomplete.
pub fn restore(workspace: &Workspace) -> StateFile {
    let (path, backup) = (state_of(workspace), workspace.path().join("terraform.tfstate.backup"));
    let is_whole = |text: String| serde_json::from_str::<Json>(&text).is_ok();
    if std::fs::read_to_string(&path).map_or(true, is_whole) {
        return StateFile::Whole;
    }
    if std::fs::copy(backup, path).is_ok() { StateFile::Backup } else { StateFile::Nothing }
}

/// Terraform's state; null if there is none.
pub fn state(workspace: &Workspace) -> Json {
    let text = std::fs::read_to_string(state_of(workspace)).unwrap_or_default();
    if text.is_empty() {
        Json::Null
    } else {
        serde_json::from_str(&text).expect("the state is complete JSON")
    }
}

fn instances(state: &Json) -> Vec<(String, &Json)> {
    let mut found = Vec::new();
    for resource in state["resources"].as_array().into_iter().flatten() {
        let address =
            format!("{}.{}", resource["type"].as_str().unwrap(), resource["name"].as_str().unwrap());
        for instance in resource["instances"].as_array().into_iter().flatten() {
            found.push((address.clone(), instance));
        }
    }
    found
}

pub fn addresses(state: &Json) -> Vec<String> {
    instances(state).into_iter().map(|(address, _)| address).collect()
}

pub fn tainted(state: &Json) -> Vec<String> {
    instances(state)
        .into_iter()
        .filter(|(_, instance)| instance["status"] == "tainted")
        .map(|(address, _)| address)
        .collect()
}

pub fn ids(state: &Json) -> BTreeSet<String> {
    instances(state)
        .into_iter()
        .filter_map(|(_, instance)| instance["attributes"]["id"].as_str().map(str::to_owned))
        .collect()
}

/// The import blocks that `text` proposes.
pub fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("import {") {
        let Some(end) = rest[at..].find('}') else { break };
        found.push(format!("{}}}\n", &rest[at..at + end]));
        rest = &rest[at + end..];
    }
    found
}
