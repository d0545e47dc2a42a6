//! Managed images through the framework, on a pretend service with one machine, in paused time.

mod world;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};

use super::*;
use crate::arm::{Client, Cloud, CloudSource, Options, Secret, StaticTokens};
use crate::azure::guardrails::Guardrails;
use crate::framework::Private;
use crate::framework::apply::Applied;
use crate::framework::change::{Change, Planned};
use crate::framework::data_source::AnyDataSource;
use crate::framework::function::Function;
use crate::framework::resource::AnyResource;
use crate::framework::{MoveSource, Provider, Server};
use crate::schema::{Body, Slot};
use world::{Machine, Service, World};

const SUBSCRIPTION: &str = "5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10";
const GROUP: &str =
    "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/resourceGroups/rg/providers/Microsoft.Compute";
const KIND: &str = "azimage_managed_image";

fn image() -> String {
    format!("{GROUP}/images/img")
}

fn vm() -> String {
    format!("{GROUP}/virtualMachines/vm")
}

struct Only(Arc<Mutex<World>>, Guardrails);

impl Provider for Only {
    type Context = Context;
    fn body(&self) -> Body {
        Body::default()
    }
    fn resources(&self) -> Vec<Box<dyn AnyResource<Context>>> {
        vec![Box::new(ManagedImage)]
    }
    fn data_sources(&self) -> Vec<Box<dyn AnyDataSource<Context>>> {
        Vec::new()
    }
    fn functions(&self) -> Vec<Box<dyn Function>> {
        Vec::new()
    }
    fn configure(&self, _config: &Value, _version: &str, _found: &mut Diagnostics) -> Option<Context> {
        let client = Client::new(
            Arc::new(Service(self.0.clone())),
            Arc::new(StaticTokens(Secret::new("token"))),
            CloudSource::Known(Cloud::public()),
            Options { user_agent: "test".into(), max_concurrent_requests: 8, correlation_id: String::new() },
        );
        let mut context = Context::new(client);
        context.subscription_id = Some(SUBSCRIPTION.to_owned());
        context.default_tags = Tags::from([("team".to_owned(), "images".to_owned())]);
        context.guardrails = self.1.clone();
        Some(context)
    }
}

/// A provider with a fake service, called as Terraform calls it.
struct Bench {
    world: Arc<Mutex<World>>,
    server: Server<Only>,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(Guardrails::default())
    }

    fn with(guardrails: Guardrails) -> Bench {
        let world = Arc::new(Mutex::new(World {
            machine: Some(Machine {
                power: "running",
                generalized: false,
                agent: None,
                security: None,
                generation: Some("V2"),
            }),
            images: BTreeMap::new(),
            writes: Vec::new(),
            sent: Vec::new(),
            refuse: Vec::new(),
            comes_out: "Succeeded",
            missing: Vec::new(),
            elsewhere: Vec::new(),
        }));
        let server = Server::new(Only(world.clone(), guardrails));
        assert!(!server.configure(&Value::object::<&str>([]), "1.15.5").has_errors());
        Bench { world, server }
    }

    fn machine(&self, change: impl FnOnce(&mut Machine)) {
        change(self.world.lock().unwrap().machine.as_mut().unwrap());
    }

    fn world<T>(&self, with: impl FnOnce(&mut World) -> T) -> T {
        with(&mut self.world.lock().unwrap())
    }

    async fn plan(&self, prior: &Value, config: &Model) -> Planned {
        self.server.run_ids().clear();
        let change = Change { prior: prior.clone(), config: config.encode(), private: Private::default() };
        self.server.plan(self.server.resource(KIND).unwrap(), change).await
    }

    /// Plans and applies; `Err` holds what stood in the way.
    async fn apply(&self, prior: &Value, config: &Model) -> Result<Value, String> {
        let planned = self.plan(prior, config).await;
        let message = text(&planned.diagnostics);
        if planned.diagnostics.has_errors() {
            return Err(format!("plan: {message}"));
        }
        let config = config.encode();
        let entry = self.server.resource(KIND).unwrap();
        assert!(planned.replace.is_empty(), "replaces {:?}", planned.replace);
        let Applied { state, diagnostics, .. } =
            self.server.apply(entry, prior.clone(), planned.state.clone(), &config, planned.private).await;
        if diagnostics.has_errors() {
            return Err(format!("apply: {}", text(&diagnostics)));
        }
        agrees(&planned.state, &state, "");
        assert!(state.is_wholly_known());
        Ok(state)
    }

    async fn refresh(&self, state: &Value) -> Value {
        let read =
            self.server.read(self.server.resource(KIND).unwrap(), state.clone(), Private::default()).await;
        assert!(!read.diagnostics.has_errors(), "{}", text(&read.diagnostics));
        read.state
    }

    /// After a refresh the configuration plans to no change.
    async fn settled(&self, state: &Value, config: &Model) {
        let read = self.refresh(state).await;
        assert_eq!(read, *state, "a refresh changes nothing");
        let planned = self.plan(&read, config).await;
        assert_eq!(planned.state, read);
        assert!(planned.replace.is_empty());
    }

    async fn import(&self, id: &str) -> Value {
        let entry = self.server.resource(KIND).unwrap();
        let stub = self.server.import(entry, id, None).unwrap().state;
        self.refresh(&stub).await
    }

    fn validate(&self, config: &Value) -> Diagnostics {
        self.server.validate_resource(self.server.resource(KIND).unwrap(), config)
    }
}

// What was planned came true wherever it was known.
fn agrees(planned: &Value, actual: &Value, path: &str) {
    match (planned, actual) {
        (Value::Unknown, _) => {}
        (Value::Object(fields), Value::Object(_)) => {
            for (name, value) in fields {
                agrees(value, actual.get(name), &format!("{path}.{name}"));
            }
        }
        (Value::Set(planned), Value::Set(actual)) => {
            assert_eq!(planned.len(), actual.len(), "{path}");
            for planned in planned {
                let actual = actual.iter().find(|actual| disk_key(actual) == disk_key(planned)).expect(path);
                agrees(planned, actual, path);
            }
        }
        _ => assert_eq!(planned, actual, "{path}"),
    }
}

fn text(found: &Diagnostics) -> String {
    found.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn base() -> Model {
    Model {
        name: "img".into(),
        resource_group_name: "rg".into(),
        location: "West Europe".into(),
        ..Model::default()
    }
}

fn captured() -> Model {
    Model { capture: Some(Capture::imported(vm())), ..base() }
}

fn of_disks() -> Model {
    Model {
        os_disk: Some(OsDisk {
            os_type: Some("Linux".into()),
            os_state: Some("Generalized".into()),
            managed_disk_id: Some(format!("{GROUP}/disks/os")),
            ..OsDisk::default()
        }),
        data_disk: Set(vec![
            DataDisk {
                lun: 1,
                managed_disk_id: Some(format!("{GROUP}/disks/d1")),
                size_gb: Some(64),
                ..DataDisk::default()
            },
            DataDisk { lun: 0, snapshot_id: Some(format!("{GROUP}/snapshots/d0")), ..DataDisk::default() },
        ]),
        ..base()
    }
}

fn tagged(model: Model, tags: &[(&str, &str)]) -> Model {
    Model { tags: Some(tags.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect()), ..model }
}

#[tokio::test(start_paused = true)]
async fn captures_a_running_machine_and_forgets_it() {
    let bench = Bench::new();
    let config = captured();
    let planned = bench.plan(&Value::Null, &config).await;
    assert!(planned.state.get("hyper_v_generation").is_unknown(), "the machine tells");
    assert_eq!(planned.state.get("zone_resilient").as_bool(), Some(false));
    let state = bench.apply(&Value::Null, &config).await.unwrap();
    assert_eq!(bench.world(|world| world.writes.clone()), ["POST deallocate", "POST generalize", "PUT img"]);
    assert_eq!(
        bench.world(|world| world.sent[0].clone()),
        json!({"location": "West Europe", "tags": {"team": "images"},
            "properties": {"hyperVGeneration": "V2", "sourceVirtualMachine": {"id": vm()}}})
    );
    assert_eq!(state.get("id").as_str(), Some(image().as_str()));
    assert_eq!(state.get("location").as_str(), Some("West Europe"), "the user's spelling");
    assert_eq!(state.get("hyper_v_generation").as_str(), Some("V2"));
    assert!(state.get("os_disk").is_null() && state.get("data_disk").is_empty());
    bench.settled(&state, &config).await;
    bench.world(|world| world.machine = None);
    bench.settled(&state, &config).await;
    // how it was captured can be reworded in place; from which machine cannot
    let mut other = captured();
    other.capture.as_mut().unwrap().generalize = false;
    let reworded = bench.apply(&state, &other).await.unwrap();
    assert_eq!(bench.world(|world| world.writes.len()), 3, "nothing was sent");
    other.capture.as_mut().unwrap().virtual_machine_id = format!("{GROUP}/virtualMachines/other");
    let planned = bench.plan(&reworded, &other).await;
    assert_eq!(planned.replace[0].to_string(), "capture.virtual_machine_id");
    let entry = bench.server.resource(KIND).unwrap();
    let gone =
        bench.server.apply(entry, reworded.clone(), Value::Null, &Value::Null, Private::default()).await;
    assert!(gone.state.is_null() && !gone.diagnostics.has_errors());
    assert!(bench.refresh(&reworded).await.is_null());
}

#[tokio::test(start_paused = true)]
async fn each_step_is_skipped_when_it_is_done() {
    let rows: &[(&str, bool, bool, &[&str])] = &[
        ("running", false, true, &["POST deallocate", "POST generalize", "PUT img"]),
        ("deallocating", false, true, &["POST deallocate", "POST generalize", "PUT img"]),
        ("stopped", false, true, &["POST generalize", "PUT img"]),
        ("deallocated", false, false, &["POST generalize", "PUT img"]),
        ("deallocated", true, true, &["PUT img"]),
        ("stopped", true, false, &["PUT img"]),
    ];
    for (power, generalized, deallocate, writes) in rows {
        let bench = Bench::new();
        bench.machine(|machine| (machine.power, machine.generalized) = (power, *generalized));
        let mut config = captured();
        config.capture.as_mut().unwrap().deallocate = *deallocate;
        bench.apply(&Value::Null, &config).await.unwrap();
        assert_eq!(bench.world(|world| world.writes.clone()), *writes, "{power} {generalized}");
    }
}

#[tokio::test(start_paused = true)]
async fn goes_on_where_it_was_interrupted() {
    let bench = Bench::new();
    bench.world(|world| world.refuse.push(("generalize", 409, "OperationNotAllowed", "the VM is running")));
    let message = bench.apply(&Value::Null, &captured()).await.unwrap_err();
    assert!(
        message.contains("Generalizing virtual machine \"vm\"") && message.contains("deallocate = true"),
        "{message}"
    );
    bench.world(|world| world.refuse.push(("PUT", 403, "AuthorizationFailed", "no")));
    let message = bench.apply(&Value::Null, &captured()).await.unwrap_err();
    assert!(message.contains("Creating managed image \"img\" failed"), "{message}");
    bench.apply(&Value::Null, &captured()).await.unwrap();
    assert_eq!(
        bench.world(|world| world.writes.clone()),
        ["POST deallocate", "POST generalize", "POST generalize", "PUT img", "PUT img"]
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_done_to_the_machine_when_an_image_of_that_name_exists() {
    let bench = Bench::new();
    let state = bench.apply(&Value::Null, &of_disks()).await.unwrap();
    bench.world(|world| world.writes.clear());
    let message = bench.apply(&Value::Null, &captured()).await.unwrap_err();
    assert!(message.contains("already exists") && message.contains("import {"), "{message}");
    // one that is still coming to be is another's too, when it is not the same
    bench.world(|world| {
        world.images.get_mut(&image()).unwrap()["properties"]["provisioningState"] = json!("Creating")
    });
    assert!(bench.apply(&Value::Null, &captured()).await.unwrap_err().contains("already exists"));
    assert!(bench.world(|world| world.writes.is_empty()));
    assert!(!state.is_null());
}

#[tokio::test(start_paused = true)]
async fn joins_a_creation_that_a_killed_run_started() {
    let bench = Bench::new();
    bench.apply(&Value::Null, &captured()).await.unwrap();
    bench.world(|world| {
        world.writes.clear();
        world.images.get_mut(&image()).unwrap()["properties"]["provisioningState"] = json!("Creating");
    });
    let world = bench.world.clone();
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_secs(20)).await;
        world.lock().unwrap().images.get_mut(&image()).unwrap()["properties"]["provisioningState"] =
            json!("Succeeded");
    });
    let state = bench.apply(&Value::Null, &captured()).await.unwrap();
    assert_eq!(state.get("provisioning_state").as_str(), Some("Succeeded"));
    assert!(bench.world(|world| world.writes.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn the_plan_rejects_captures_that_cannot_succeed() {
    type Change = fn(&mut Machine, &mut Model);
    let rows: &[(Change, &str)] = &[
        (
            |machine, _| machine.security = Some("TrustedLaunch"),
            "error: Virtual machine \"vm\" cannot become a managed image (at capture.virtual_machine_id)",
        ),
        (|machine, _| machine.security = Some("ConfidentialVM"), "azimage_image_version"),
        (|machine, _| machine.security = Some("Standard"), ""),
        (
            |_, config| config.location = "East US".into(),
            "error: Virtual machine \"vm\" is in westeurope (at location)",
        ),
        (|_, config| config.hyper_v_generation = Some("V1".into()), "is of generation V2"),
        (|_, config| config.hyper_v_generation = Some("V2".into()), ""),
        (
            |_, config| config.capture.as_mut().unwrap().deallocate = false,
            "error: Virtual machine \"vm\" is running and cannot be generalized",
        ),
        (
            |machine, _| machine.agent = Some("Ready"),
            "warning: Virtual machine \"vm\" does not look deprovisioned",
        ),
        (|machine, _| machine.agent = Some("Not Ready"), ""),
        (|machine, _| (machine.agent, machine.generalized) = (Some("Ready"), true), ""),
    ];
    for (change, message) in rows {
        let bench = Bench::new();
        let mut config = captured();
        bench.machine(|machine| change(machine, &mut config));
        let planned = bench.plan(&Value::Null, &config).await;
        let found = text(&planned.diagnostics);
        if message.is_empty() {
            assert_eq!(found, "")
        } else {
            assert!(found.contains(message), "{found}")
        }
        assert!(bench.world(|world| world.writes.is_empty()));
    }
    // without access to the machine, the apply reports the error
    for (refuse, expected) in [
        (Some(("GET vm", 403, "AuthorizationFailed", "you may not")), ["apply: ", "you may not"]),
        (None, ["plan: ", "does not exist (at capture.virtual_machine_id)"]),
    ] {
        let bench = Bench::new();
        bench.world(|world| match refuse {
            Some(refuse) => world.refuse.extend([refuse, refuse]),
            None => world.machine = None,
        });
        let error = bench.apply(&Value::Null, &captured()).await.unwrap_err();
        assert!(expected.iter().all(|part| error.contains(part)), "{error}");
        assert!(bench.world(|world| world.writes.is_empty()));
    }
}

#[tokio::test(start_paused = true)]
async fn missing_sources_fail_the_plan_of_a_creation_and_of_a_replacement() {
    let bench = Bench::new();
    let state = bench.apply(&Value::Null, &of_disks()).await.unwrap();
    let bench = Bench::new();
    bench.world(|world| {
        world.missing = vec!["d0", "os"];
        world.elsewhere = vec!["set"];
    });
    let mut config = of_disks();
    config.os_disk.as_mut().unwrap().disk_encryption_set_id = Some(format!("{GROUP}/diskEncryptionSets/set"));
    for prior in [&Value::Null, &state] {
        let planned = bench.plan(prior, &config).await;
        assert_eq!(planned.replace.is_empty(), prior.is_null());
        let found = text(&planned.diagnostics);
        for error in [
            "error: The disk \"os\" does not exist (at os_disk.managed_disk_id)",
            "error: The snapshot \"d0\" does not exist (at data_disk[*].snapshot_id)",
            "error: The disk encryption set \"set\" is in eastus (at os_disk.disk_encryption_set_id)",
        ] {
            assert!(found.contains(error), "{found}");
        }
    }
    // an image that stays needs no sources any more
    let planned = bench.plan(&state, &tagged(of_disks(), &[("a", "1")])).await;
    assert_eq!(text(&planned.diagnostics), "");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_not_ready_is_left_alone() {
    let bench = Bench::new();
    bench.machine(|machine| machine.agent = Some("Ready"));
    let mut config = captured();
    config.capture.as_mut().unwrap().require_deprovisioned = true;
    let message = bench.apply(&Value::Null, &config).await.unwrap_err();
    assert!(message.starts_with("apply: ") && message.contains("was not deprovisioned"), "{message}");
    config.capture.as_mut().unwrap().require_deprovisioned = false;
    config.capture.as_mut().unwrap().generalize = false;
    let message = bench.apply(&Value::Null, &config).await.unwrap_err();
    assert!(message.contains("is not generalized (at capture.generalize)"), "{message}");
    assert!(bench.world(|world| world.writes.is_empty()));
    bench.machine(|machine| (machine.power, machine.agent) = ("deallocated", None));
    let mut config = captured();
    config.capture.as_mut().unwrap().require_deprovisioned = true;
    assert!(text(&bench.plan(&Value::Null, &config).await.diagnostics).contains("It is unknown whether"));
    bench.apply(&Value::Null, &config).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn guardrails() {
    let rules = Guardrails {
        require_generalized_source: Some(true),
        required_tags: Some(Set(vec!["team".into(), "os".into()])),
        ..Guardrails::default()
    };
    let bench = Bench::with(rules.clone());
    let mut config = captured();
    config.capture.as_mut().unwrap().generalize = false;
    let found = text(&bench.plan(&Value::Null, &config).await.diagnostics);
    assert!(found.contains("error: Guardrail require_generalized_source"), "{found}");
    assert!(found.contains("\"os\"") && !found.contains("\"team\""), "{found}");
    let config = tagged(captured(), &[("os", "linux")]);
    assert_eq!(text(&bench.plan(&Value::Null, &config).await.diagnostics), "");
}

#[tokio::test(start_paused = true)]
async fn the_generation_of_a_silent_machine_is_that_of_its_disk() {
    let bench = Bench::new();
    bench.machine(|machine| machine.generation = None);
    let state = bench.apply(&Value::Null, &captured()).await.unwrap();
    assert_eq!(state.get("hyper_v_generation").as_str(), Some("V2"));
}

#[tokio::test(start_paused = true)]
async fn images_of_disks_live_their_life() {
    let bench = Bench::new();
    let config = of_disks();
    let planned = bench.plan(&Value::Null, &config).await;
    assert_eq!(planned.state.get("hyper_v_generation").as_str(), Some("V1"), "known at plan");
    assert_eq!(planned.state.get("os_disk").get("caching").as_str(), Some("None"));
    assert!(planned.state.get("os_disk").get("size_gb").is_unknown());
    assert_eq!(text(&planned.diagnostics), "");
    let elsewhere = Model { hyper_v_generation: Some("V2".into()), location: "eastus".into(), ..of_disks() };
    let message = text(&bench.plan(&Value::Null, &elsewhere).await.diagnostics);
    assert!(
        message.contains("is in westeurope")
            && message.contains("warning: The disk \"os\" has generation V1"),
        "{message}"
    );
    let state = bench.apply(&Value::Null, &config).await.unwrap();
    assert_eq!(state.get("os_disk").get("size_gb").as_i64(), Some(30));
    let sizes: Vec<_> =
        state.get("data_disk").elements().iter().map(|disk| disk.get("size_gb").as_i64()).collect();
    assert!(sizes.contains(&Some(64)) && sizes.contains(&Some(30)), "{sizes:?}");
    bench.settled(&state, &config).await;
    // other order, other spelling
    let mut same = config.clone();
    same.data_disk.reverse();
    same.location = "westeurope".into();
    same.os_disk.as_mut().unwrap().managed_disk_id =
        Some(format!("{GROUP}/disks/os").to_uppercase().replace("/SUBSCRIPTIONS", "/subscriptions"));
    bench.settled(&state, &same).await;
    // tags come, change and go in place
    let mut state = state;
    for tags in [&[("a", "1"), ("b", "2")][..], &[("a", "3")], &[]] {
        let config = tagged(config.clone(), tags);
        state = bench.apply(&state, &config).await.unwrap();
        let mut all: Tags = tags.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        all.insert("team".into(), "images".into());
        assert_eq!(bench.world(|world| tags::all(&world.images[&image()])), all);
        assert_eq!(Tags::decode(state.get("tags_all")), all);
        bench.settled(&state, &config).await;
    }
    let last = bench.world(|world| world.sent.last().cloned().unwrap());
    assert_eq!(
        last["properties"]["storageProfile"]["dataDisks"].as_array().unwrap().len(),
        2,
        "a PUT leaves nothing out"
    );
    assert!(last["properties"].get("provisioningState").is_none());
    // drift of tags
    bench.world(|world| world.images.get_mut(&image()).unwrap()["tags"]["hand"] = json!("made"));
    let read = bench.refresh(&state).await;
    assert_eq!(read.get("tags").entries().count(), 1);
    let repaired = bench.apply(&read, &config).await.unwrap();
    bench.settled(&repaired, &config).await;
    // everything else replaces
    type Change = fn(&mut Model);
    let rows: &[(Change, &str)] = &[
        (|m| m.name = "other".into(), "name"),
        (|m| m.location = "eastus".into(), "location"),
        (|m| m.zone_resilient = Some(true), "zone_resilient"),
        (|m| m.hyper_v_generation = Some("V2".into()), "hyper_v_generation"),
        (|m| m.os_disk.as_mut().unwrap().size_gb = Some(100), "os_disk.size_gb"),
        (|m| m.os_disk.as_mut().unwrap().os_state = Some("Specialized".into()), "os_disk.os_state"),
        (|m| m.data_disk[0].caching = Some("ReadOnly".into()), "data_disk"),
        (|m| m.data_disk[0].lun = 7, "data_disk"),
        (|m| drop(m.data_disk.pop()), "data_disk"),
    ];
    for (change, path) in rows {
        let mut config = config.clone();
        change(&mut config);
        let planned = bench.plan(&repaired, &config).await;
        let paths: Vec<String> = planned.replace.iter().map(ToString::to_string).collect();
        assert_eq!(paths, [*path]);
    }
    let mut paths: Vec<String> =
        bench.plan(&repaired, &captured()).await.replace.iter().map(ToString::to_string).collect();
    paths.sort();
    assert_eq!(paths, ["capture", "data_disk", "os_disk"]);
}

#[tokio::test(start_paused = true)]
async fn tags_change_though_the_sources_are_gone() {
    let bench = Bench::new();
    let state = bench.apply(&Value::Null, &of_disks()).await.unwrap();
    bench.world(|world| {
        world.refuse.push(("PUT", 404, "NotFound", "The entity was not found in this Azure location."))
    });
    let config = tagged(of_disks(), &[("a", "1")]);
    let state = bench.apply(&state, &config).await.unwrap();
    assert_eq!(bench.world(|world| world.writes.last().cloned()).as_deref(), Some("PATCH img"));
    bench.settled(&state, &config).await;
}

#[tokio::test(start_paused = true)]
async fn imports_plan_to_no_change() {
    for config in [captured(), of_disks(), tagged(of_disks(), &[("a", "1")])] {
        let bench = Bench::new();
        let state = bench.apply(&Value::Null, &config).await.unwrap();
        let imported = bench.import(&image()).await;
        // of the location only the spelling differs, which the plan does not mind
        let planned = bench.plan(&imported, &config).await;
        assert_eq!(planned.state, imported);
        assert_eq!(imported.get("data_disk").elements().len(), state.get("data_disk").elements().len());
        let entry = bench.server.resource(KIND).unwrap();
        let generated = bench.server.generate(entry, &imported);
        assert!(!bench.validate(&generated).has_errors(), "{}", text(&bench.validate(&generated)));
        bench.server.run_ids().clear();
        let change = Change { prior: imported.clone(), config: generated, private: Private::default() };
        let planned = bench.server.plan(entry, change).await;
        assert_eq!(planned.state, imported);
    }
}

#[tokio::test(start_paused = true)]
async fn resumes_failed_and_unfinished_images() {
    let bench = Bench::new();
    let config = captured();
    let state = bench.apply(&Value::Null, &config).await.unwrap();
    let shown = |to: &'static str| {
        bench.world(|world| {
            world.images.get_mut(&image()).unwrap()["properties"]["provisioningState"] = json!(to)
        });
    };
    shown("Failed");
    let read = bench.refresh(&state).await;
    let repaired = bench.apply(&read, &config).await.unwrap();
    assert_eq!(repaired.get("provisioning_state").as_str(), Some("Succeeded"));
    assert_eq!(bench.world(|world| world.writes.last().cloned()).as_deref(), Some("PUT img"));
    shown("Updating");
    let read = bench.refresh(&repaired).await;
    let world = bench.world.clone();
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        world.lock().unwrap().images.get_mut(&image()).unwrap()["properties"]["provisioningState"] =
            json!("Succeeded");
    });
    let writes = bench.world(|world| world.writes.len());
    let done = bench.apply(&read, &config).await.unwrap();
    assert_eq!(bench.world(|world| world.writes.len()), writes, "waited only");
    bench.settled(&done, &config).await;
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_run_loses_nothing() {
    let bench = Bench::new();
    bench.world(|world| world.comes_out = "Creating");
    let entry = bench.server.resource(KIND).unwrap();
    for config in [tagged(captured(), &[("a", "1")]), tagged(of_disks(), &[("a", "1")])] {
        let planned = bench.plan(&Value::Null, &config).await;
        let applied = async {
            bench
                .server
                .apply(entry, Value::Null, planned.state.clone(), &config.encode(), planned.private)
                .await
        };
        let stop = async {
            tokio::time::sleep(std::time::Duration::from_secs(10)).await;
            bench.server.stop();
        };
        let (applied, ()) = tokio::join!(applied, stop);
        let message = text(&applied.diagnostics);
        assert!(!applied.diagnostics.has_errors() && message.contains("not finished yet"), "{message}");
        agrees(&planned.state, &applied.state, "");
        assert_eq!(applied.state.get("provisioning_state").as_str(), Some("Creating"));
        // the next plan shows it, and the next apply finishes it
        let read = bench.refresh(&applied.state).await;
        let again = bench.plan(&read, &config).await;
        assert!(again.state.get("provisioning_state").is_unknown() && again.replace.is_empty());
        bench.world(|world| {
            world.images.get_mut(&image()).unwrap()["properties"]["provisioningState"] = json!("Succeeded")
        });
        let done = bench.apply(&read, &config).await.unwrap();
        bench.settled(&done, &config).await;
        bench.world(|world| world.images.clear());
    }
    // an answer that says nothing changes nothing
    let context = bench.server.context().unwrap();
    let id = ResourceId::new(MANAGED_IMAGE, SUBSCRIPTION, "rg", &["img"]);
    let plan = tagged(of_disks(), &[("a", "1")]);
    let state = managed::flatten(&context, &Json::Null, &id, &plan);
    assert_eq!((state.os_disk, state.data_disk.len()), (plan.os_disk, 2));
    assert_eq!(state.location, plan.location);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_service_comes_with_the_way_out() {
    let bench = Bench::new();
    bench.world(|world| {
        world.refuse.push((
            "PUT",
            400,
            "BadRequest",
            "Managed Images are not supported for virtual machines with security type TrustedLaunch.",
        ));
    });
    let message = bench.apply(&Value::Null, &captured()).await.unwrap_err();
    assert!(message.contains("not supported") && message.contains("azimage_image_version"), "{message}");
}

#[test]
fn validation() {
    let bench = Bench::new();
    type Change = fn(&mut Value);
    let rows: &[(Model, Change, &str)] = &[
        (captured(), |_| {}, ""),
        (of_disks(), |_| {}, ""),
        (base(), |_| {}, "The image has no source"),
        (base(), |config| config.set("os_disk", Value::Unknown), ""),
        (captured(), |config| config.set("os_disk", Value::Unknown), ""),
        (Model { os_disk: of_disks().os_disk, ..captured() }, |_| {}, "The image has two sources"),
        (Model { data_disk: of_disks().data_disk, ..captured() }, |_| {}, "Unexpected data_disk"),
        (Model { name: "-img".into(), ..captured() }, |_| {}, "Invalid value for name"),
        (Model { hyper_v_generation: Some("v2".into()), ..captured() }, |_| {}, "Did you mean \"V2\"?"),
        (
            Model { capture: Some(Capture::imported("vm".into())), ..base() },
            |_| {},
            "Invalid value for capture.virtual_machine_id",
        ),
        (
            Model {
                os_disk: Some(OsDisk {
                    os_type: Some("Linux".into()),
                    os_state: Some("Generalized".into()),
                    ..OsDisk::default()
                }),
                ..base()
            },
            |_| {},
            "os_disk has no source",
        ),
    ];
    for (model, change, message) in rows {
        let mut config = model.encode();
        change(&mut config);
        let found = text(&bench.validate(&config));
        if message.is_empty() { assert_eq!(found, "") } else { assert!(found.contains(message), "{found}") }
    }
    let mut twice = of_disks();
    twice.data_disk[0].lun = 0;
    assert!(text(&bench.validate(&twice.encode())).contains("Two data disks have lun 0"));
}

#[test]
fn moves_and_identity() {
    let source = |provider: &str, type_name: &str, state: Json| MoveSource {
        provider: format!("registry.terraform.io/{provider}"),
        type_name: type_name.into(),
        schema_version: 0,
        state,
    };
    let azurerm = source("hashicorp/azurerm", "azurerm_image", json!({"id": image()}));
    let azapi = source(
        "azure/azapi",
        "azapi_resource",
        json!({"id": image(), "type": "Microsoft.Compute/images@2024-07-01"}),
    );
    let can_move =
        |source: &MoveSource| Resource::moves_from(&ManagedImage).iter().any(|from| from.matches(source));
    for source in [azurerm, azapi] {
        assert!(can_move(&source));
        let stub = Resource::move_from(&ManagedImage, &source).unwrap();
        assert_eq!(
            Resource::identify(&ManagedImage, &stub),
            [Some(SUBSCRIPTION.to_owned()), Some("rg".to_owned()), Some("img".to_owned())]
        );
    }
    assert!(!can_move(&source("hashicorp/azurerm", "azurerm_disk", json!({}))));
    let given = BTreeMap::from([
        ("resource_group_name".to_owned(), "rg".to_owned()),
        ("name".to_owned(), "img".to_owned()),
    ]);
    assert!(
        Resource::import(&ManagedImage, None, &ImportFrom::Identity(given)).is_err(),
        "no subscription anywhere"
    );
}
