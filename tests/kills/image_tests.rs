//! A killed or interrupted image test: nothing of it is left on the service after the next apply.

use std::time::{Duration, Instant};

use super::golden::{golden, id};
use super::stage::Running;
use super::{SUBSCRIPTION, Workspace, support};
use support::Served;

const TEST: &str = r#"
resource "azimage_image_test" "t" {
  image_version_id    = azimage_image_version.v.id
  resource_group_name = "my-rg"
  subnet_id           = "SUBNET"
  check {
    name   = "service"
    script = "sleep infinity"
  }
}
"#;

/// A gallery with a version, and the configuration that also tests it. The check never ends.
fn prepared() -> (Served, Workspace) {
    let served = Served::start();
    served.by_hand(&["settings", r#"{"time_scale":0}"#]);
    served.by_hand(&["scripts", r#"[{"contains":"sleep","stuck":true}]"#]);
    let network = format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/my-rg/providers/Microsoft.Network/virtualNetworks/net"
    );
    let subnets = r#"{"location":"eastus","properties":{"subnets":[{"name":"tests"}]}}"#;
    served.by_hand(&["put", &network, subnets]);
    let mut workspace = Workspace::new(&support::terraform(""));
    served.point(&mut workspace);
    workspace.write("main.tf", &golden());
    workspace.apply().ok();
    // work takes its time, so that the check runs for two minutes
    served.by_hand(&["settings", r#"{"time_scale":5}"#]);
    let test = TEST.replace("SUBNET", &format!("{network}/subnets/tests"));
    workspace.write("main.tf", &(golden() + &test));
    (served, workspace)
}

/// The machines, disks and network interfaces of tests.
fn left(served: &Served) -> Vec<String> {
    let network = id("").replace("Microsoft.Compute", "Microsoft.Network");
    let lists = [
        id("/virtualMachines"),
        id("/disks"),
        format!("{}/networkInterfaces", network.trim_end_matches('/')),
    ];
    let text: String = lists.iter().map(|list| served.by_hand(&["list", list])).collect();
    tests_in(&text)
}

/// The IDs of objects of tests in lists.
fn tests_in(text: &str) -> Vec<String> {
    text.split('"')
        .filter(|part| part.starts_with('/') && part.contains("/azimage-test-"))
        .map(str::to_owned)
        .collect()
}

/// Applies until the check runs in the machine.
fn reach_the_check(served: &Served, workspace: &Workspace) -> Running {
    let mut running = Running::start(workspace, &["apply", "-auto-approve"]);
    let begun = Instant::now();
    loop {
        let machine = tests_in(&served.by_hand(&["list", &id("/virtualMachines")])).pop();
        if machine
            .is_some_and(|id| served.by_hand(&["list", &format!("{id}/runCommands")]).contains("check-0"))
        {
            return running;
        }
        assert!(!running.has_ended(), "{}", running.end(Duration::ZERO).text);
        assert!(begun.elapsed() < Duration::from_secs(110), "no check runs: {:?}", left(served));
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn passes_and_leaves_nothing(served: &Served, workspace: &Workspace) {
    served.by_hand(&["scripts", "[]"]);
    served.by_hand(&["settings", r#"{"time_scale":0}"#]);
    workspace.apply().ok().assert_contains("1 added, 0 changed, 0 destroyed");
    assert_eq!(left(served), Vec::<String>::new());
    workspace.assert_no_changes();
}

pub fn a_killed_image_test_is_cleaned_up_by_the_next_apply() {
    let (served, workspace) = prepared();
    let mut running = reach_the_check(&served, &workspace);
    running.signal_group("KILL");
    running.end(Duration::from_secs(30));
    assert!(!left(&served).is_empty(), "the killed run has left its machine");
    passes_and_leaves_nothing(&served, &workspace);
}

pub fn an_interrupted_image_test_leaves_nothing() {
    let (served, workspace) = prepared();
    let mut running = reach_the_check(&served, &workspace);
    running.signal("INT", &[running.terraform()]);
    let ran = running.end(Duration::from_secs(60)).assert_contains("inconclusive");
    assert_ne!(ran.code, 0);
    // the run does not wait for the end of the deletion
    let begun = Instant::now();
    while !left(&served).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", left(&served));
        std::thread::sleep(Duration::from_millis(200));
    }
    passes_and_leaves_nothing(&served, &workspace);
}
