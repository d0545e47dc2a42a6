//! Measures what one image version costs the provider in a plan without changes: the time of each step, and its
//! instructions if valgrind is installed. The number of instructions does not depend on the load of the machine.
//!
//! ```text
//! cargo bench --bench micro
//! ```
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the output is for people, and a panic ends the benchmark"
)]

use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

use azimage::framework::change::Change;
use azimage::framework::{Private, Server};
use azimage::provider::Provider;
use azimage::schema::{Value, json, msgpack};

const TYPE: &str = "azimage_image_version";

const STATE: &str = r#"{
    "id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Compute/galleries/g/images/i/versions/1.0.0",
    "version": "1.0.0",
    "image_definition_id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Compute/galleries/g/images/i",
    "location": "westeurope",
    "allow_deletion_of_replicated_locations": false,
    "block_deletion_before_end_of_life": false,
    "exclude_from_latest": false,
    "replication_mode": "Full",
    "deletion_policy": "delete",
    "tags": {"build": "17", "team": "images"},
    "tags_all": {"build": "17", "team": "images"},
    "provisioning_state": "Succeeded",
    "published_date": "2026-01-01T00:00:00Z",
    "replication_state": {"westeurope": "Completed", "northeurope": "Completed"},
    "replication_progress": {"westeurope": 100, "northeurope": 100},
    "os_disk_size_gb": 30,
    "source": {"managed_image_id": "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Compute/images/golden"},
    "target_region": [
        {"name": "westeurope", "regional_replica_count": 1, "storage_account_type": "Standard_LRS", "exclude_from_latest": false},
        {"name": "northeurope", "regional_replica_count": 2, "storage_account_type": "Standard_LRS", "exclude_from_latest": false}
    ]
}"#;

const STEPS: [&str; 5] = ["msgpack decode", "msgpack encode", "upgrade from JSON", "validate", "plan"];

/// The inputs of the steps.
struct Fixture {
    server: Server<Provider>,
    state: Value,
    config: Value,
    wire: Vec<u8>,
    runtime: tokio::runtime::Runtime,
}

impl Fixture {
    fn new() -> Fixture {
        let server = Server::new(Provider);
        let block = serde_json::json!({"environment": "emulator"});
        let found = server.configure(&json::decode(&block, server.ty()).unwrap(), "1.11.4");
        assert!(!found.has_errors());
        let entry = server.resource(TYPE).unwrap();
        let state = server.upgrade(entry, 0, STATE.as_bytes()).unwrap();
        let mut config = state.clone();
        for computed in entry.body().attributes.iter().filter(|attribute| attribute.is_computed()) {
            config.set(computed.name, Value::Null);
        }
        let wire = msgpack::encode(&state, entry.ty());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Fixture { server, state, config, wire, runtime }
    }

    fn step(&self, name: &str) {
        let entry = self.server.resource(TYPE).unwrap();
        match name {
            "msgpack decode" => drop(black_box(msgpack::decode(&self.wire, entry.ty()).unwrap())),
            "msgpack encode" => drop(black_box(msgpack::encode(&self.state, entry.ty()))),
            "upgrade from JSON" => drop(black_box(self.server.upgrade(entry, 0, STATE.as_bytes()).unwrap())),
            "validate" => drop(black_box(self.server.validate_resource(entry, &self.config))),
            "plan" => {
                let change = Change {
                    prior: self.state.clone(),
                    config: self.config.clone(),
                    private: Private::from_bytes(&[]),
                };
                let planned = self.runtime.block_on(self.server.plan(entry, change));
                assert!(planned.state == self.state, "the plan must have no changes");
                drop(black_box(planned));
            }
            _ => {}
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // under valgrind: repeat one step
    if let [_, word, name, times] = arguments.as_slice()
        && word == "once"
    {
        let fixture = Fixture::new();
        for _ in 0..times.parse().unwrap() {
            fixture.step(name);
        }
        return;
    }
    let fixture = Fixture::new();
    let valgrind =
        Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success());
    if !valgrind {
        println!("valgrind is not installed: instructions are not counted");
    }
    println!("\n| step, of one image version | µs | instructions |");
    println!("|---|---:|---:|");
    for name in STEPS {
        let mut best = f64::INFINITY;
        for _ in 0..20 {
            let begun = Instant::now();
            for _ in 0..100 {
                fixture.step(name);
            }
            best = best.min(begun.elapsed().as_secs_f64() / 100.0);
        }
        let counted = if valgrind {
            format!("{}", (counted(name, 300) - counted(name, 100)) / 200)
        } else {
            "–".to_owned()
        };
        println!("| {name} | {:.1} | {counted} |", best * 1e6);
    }
}

/// The instructions of a process that repeats a step this many times.
fn counted(name: &str, times: u32) -> i64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args(["once", name, &times.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .map(|(_, number)| number.trim().to_owned());
    line.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("valgrind counted nothing:\n{text}"))
}
