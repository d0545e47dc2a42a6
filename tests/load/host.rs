//! The host's side: the calls for one object, and samples of the provider's memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use azimage::schema::{Type, Value, json as state_json};
use serde_json::{Value as Json, json};
use tonic::transport::Channel;

use super::cli::{BINARY, SUBSCRIPTION};
use super::core::{decode, dynamic, oracle, pb, value};
use super::plugin_client::{Launch, Plugin};
use super::service::Service;
use pb::provider_client::ProviderClient;
use pb::schema::Block;

const TYPE: &str = "azimage_image_definition";
/// The number of definitions per gallery.
const IN_A_GALLERY: usize = 50;

/// The state of an object.
#[derive(Clone)]
pub struct Held {
    pub state: Value,
    private: Vec<u8>,
    identity: Option<pb::ResourceIdentityData>,
    /// A deletion failed, so the object may be absent.
    doomed: bool,
}

/// The outcome of the calls for one object.
#[derive(Default)]
pub struct Outcome {
    pub calls: u64,
    pub failed: bool,
    pub changed: bool,
}

/// The provider's process, and the client that talks to it.
pub struct Host {
    plugin: Plugin,
    client: ProviderClient<Channel>,
    block: Block,
    ty: Type,
}

/// The name of an object.
pub fn name(number: usize) -> String {
    format!("d{number}")
}

/// The ID of an object's gallery.
fn gallery(number: usize) -> String {
    let compute = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Compute");
    format!("{compute}/galleries/gal{}", number / IN_A_GALLERY)
}

/// The galleries for this number of objects.
pub fn galleries(objects: usize) -> impl Iterator<Item = String> {
    (0..objects).step_by(IN_A_GALLERY).map(gallery)
}

impl Host {
    /// Starts the provider, configured for `service`, and creates the galleries for this number of objects.
    pub async fn start(service: &Service, objects: usize) -> Host {
        let plugin = Launch::new(BINARY)
            .env("ARM_METADATA_HOSTNAME", &service.url)
            .env("ARM_SUBSCRIPTION_ID", SUBSCRIPTION)
            .env("ARM_TENANT_ID", "11111111-1111-1111-1111-111111111111")
            .env("ARM_CLIENT_ID", "22222222-2222-2222-2222-222222222222")
            .env("ARM_CLIENT_SECRET", "a-secret")
            .start()
            .await;
        let mut client = ProviderClient::new(plugin.channel().await).max_decoding_message_size(64 << 20);
        let schema =
            client.get_schema(pb::get_provider_schema::Request::default()).await.unwrap().into_inner();
        let provider = schema.provider.unwrap().block.unwrap();
        let config = dynamic(&value(&provider, &json!({})), &oracle::implied_type(&provider));
        let request = pb::configure::Request { config, ..Default::default() };
        let diagnostics = client.configure(request).await.unwrap().into_inner().diagnostics;
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        for gallery in galleries(objects) {
            service.put(&gallery, json!({"location": "eastus", "properties": {}}));
        }
        let block = schema.resource_schemas[TYPE].block.clone().unwrap();
        let ty = oracle::implied_type(&block);
        Host { plugin, client, block, ty }
    }

    pub async fn end(self: Arc<Self>) {
        let Ok(host) = Arc::try_unwrap(self) else { panic!("a worker is still running") };
        let ended = host.plugin.shut_down().await;
        assert!(ended.status.success(), "{ended:?}");
        assert!(!ended.stderr.contains("panic"), "{}", ended.stderr);
    }

    fn config(&self, number: usize, tags: &Json) -> Value {
        let config = json!({
            "name": name(number),
            "gallery_id": gallery(number),
            "os_type": "Linux",
            "hyper_v_generation": "V2",
            "identifier": {"publisher": "p", "offer": "o", "sku": name(number)},
            "tags": tags,
            "timeouts": {"create": "60s", "read": "60s", "update": "60s", "delete": "60s"},
        });
        value(&self.block, &config)
    }

    /// UpgradeResourceState and ReadResource; `None` if the object disappeared although no deletion was attempted.
    pub async fn refresh(&self, held: Held, outcome: &mut Outcome) -> Option<Held> {
        let json = state_json::encode(&held.state).to_string().into_bytes();
        let raw = Some(pb::RawState { json, flatmap: Default::default() });
        let request =
            pb::upgrade_resource_state::Request { type_name: TYPE.into(), version: 0, raw_state: raw };
        let upgraded = self.client.clone().upgrade_resource_state(request).await.unwrap().into_inner();
        assert!(upgraded.diagnostics.is_empty(), "{:?}", upgraded.diagnostics);
        let request = pb::read_resource::Request {
            type_name: TYPE.into(),
            current_state: upgraded.upgraded_state,
            private: held.private.clone(),
            current_identity: held.identity.clone(),
            ..Default::default()
        };
        let read = self.client.clone().read_resource(request).await.unwrap().into_inner();
        outcome.calls += 2;
        let state = decode(&read.new_state, &self.ty);
        if failed(&read.diagnostics, outcome) {
            assert_eq!(state, held.state, "a read that failed changed something");
            return Some(held);
        }
        if state.is_null() {
            // the deletion had succeeded: the next plan recreates or forgets the object
            return held.doomed.then_some(Held { state, ..held });
        }
        Some(Held { state, private: read.private, identity: read.new_identity, doomed: held.doomed })
    }

    /// Validates, plans and applies; returns the resulting state. Without tags the object should be absent.
    pub async fn converge(
        &self,
        number: usize,
        held: Option<Held>,
        tags: Option<Json>,
        outcome: &mut Outcome,
    ) -> Option<Held> {
        let held = held.filter(|held| !held.state.is_null());
        let Some(tags) = tags else {
            let held = held?;
            let (state, _, _) =
                self.apply(&held.state, &Value::Null, &held.private, held.identity.as_ref(), outcome).await?;
            return (!state.is_null()).then_some(Held { doomed: true, ..held });
        };
        let config = self.config(number, &tags);
        let request = pb::validate_resource_type_config::Request {
            type_name: TYPE.into(),
            config: dynamic(&config, &self.ty),
            client_capabilities: None,
        };
        let answer = self.client.clone().validate_resource_type_config(request).await.unwrap().into_inner();
        assert!(answer.diagnostics.is_empty(), "{:?}", answer.diagnostics);
        outcome.calls += 1;
        let (prior, private, identity) = match &held {
            Some(held) => (held.state.clone(), held.private.clone(), held.identity.clone()),
            None => (Value::Null, Vec::new(), None),
        };
        let made = self.apply(&prior, &config, &private, identity.as_ref(), outcome).await;
        match made {
            Some((state, private, identity)) if !state.is_null() => {
                Some(Held { state, private, identity, doomed: false })
            }
            // it may exist without being in the state; the next attempt then reports that, and it is imported
            _ if held.is_none() => self.import(number, outcome).await,
            _ => held,
        }
    }

    /// PlanResourceChange and ApplyResourceChange; `None` if the plan failed.
    async fn apply(
        &self,
        prior: &Value,
        config: &Value,
        private: &[u8],
        identity: Option<&pb::ResourceIdentityData>,
        outcome: &mut Outcome,
    ) -> Option<(Value, Vec<u8>, Option<pb::ResourceIdentityData>)> {
        let proposed =
            if config.is_null() { Value::Null } else { oracle::proposed_new(&self.block, prior, config) };
        let request = pb::plan_resource_change::Request {
            type_name: TYPE.into(),
            prior_state: dynamic(prior, &self.ty),
            proposed_new_state: dynamic(&proposed, &self.ty),
            config: dynamic(config, &self.ty),
            prior_private: private.to_vec(),
            prior_identity: identity.cloned(),
            ..Default::default()
        };
        let planned = self.client.clone().plan_resource_change(request).await.unwrap().into_inner();
        outcome.calls += 1;
        if failed(&planned.diagnostics, outcome) {
            return None;
        }
        let plan = decode(&planned.planned_state, &self.ty);
        assert!(planned.requires_replace.is_empty(), "nothing here forces a replacement");
        let complaints = oracle::plan_complaints(&self.block, prior, config, &plan);
        assert!(complaints.is_empty(), "{complaints:?}");
        if plan == *prior {
            return Some((plan, private.to_vec(), identity.cloned()));
        }
        outcome.changed = true;
        let request = pb::apply_resource_change::Request {
            type_name: TYPE.into(),
            prior_state: dynamic(prior, &self.ty),
            planned_state: planned.planned_state,
            config: dynamic(config, &self.ty),
            planned_private: planned.planned_private,
            ..Default::default()
        };
        let begun = Instant::now();
        let applied = self.client.clone().apply_resource_change(request).await.unwrap().into_inner();
        outcome.calls += 1;
        assert!(begun.elapsed() < super::CALL_TIMEOUT, "it took {:?}", begun.elapsed());
        let state = decode(&applied.new_state, &self.ty);
        assert!(state.is_wholly_known());
        if !failed(&applied.diagnostics, outcome) {
            let complaints = oracle::object_complaints(&self.block, &plan, &state);
            assert!(complaints.is_empty(), "{complaints:?}");
        }
        Some((state, applied.private, applied.new_identity))
    }

    /// ImportResourceState and ReadResource; `None` if the object does not exist or cannot be read.
    async fn import(&self, number: usize, outcome: &mut Outcome) -> Option<Held> {
        let id = format!("{}/images/{}", gallery(number), name(number));
        let request = pb::import_resource_state::Request { type_name: TYPE.into(), id, ..Default::default() };
        let brought = self.client.clone().import_resource_state(request).await.unwrap().into_inner();
        assert!(brought.diagnostics.is_empty(), "{:?}", brought.diagnostics);
        let brought = &brought.imported_resources[0];
        let request = pb::read_resource::Request {
            type_name: TYPE.into(),
            current_state: brought.state.clone(),
            private: brought.private.clone(),
            current_identity: brought.identity.clone(),
            ..Default::default()
        };
        let read = self.client.clone().read_resource(request).await.unwrap().into_inner();
        outcome.calls += 2;
        let state = decode(&read.new_state, &self.ty);
        let there = !failed(&read.diagnostics, outcome) && !state.is_null();
        there.then_some(Held { state, private: read.private, identity: read.new_identity, doomed: false })
    }

    /// Samples the provider's memory periodically.
    pub fn watch(&self) -> Watch {
        let (stop, path) =
            (Arc::new(AtomicBool::new(false)), format!("/proc/{}/status", self.plugin.running.pid()));
        let stopped = stop.clone();
        let seen = tokio::spawn(async move {
            let (mut seen, begun) = (Vec::new(), Instant::now());
            while !stopped.load(Ordering::Relaxed) {
                if let Some(mebibytes) = std::fs::read_to_string(&path).ok().and_then(|text| resident(&text))
                {
                    seen.push(mebibytes);
                }
                // at most a few hundred samples, regardless of the duration
                tokio::time::sleep(
                    (begun.elapsed() / 60).clamp(Duration::from_millis(200), Duration::from_secs(10)),
                )
                .await;
            }
            seen
        });
        Watch { stop, seen }
    }
}

/// A running sampler of the memory.
pub struct Watch {
    stop: Arc<AtomicBool>,
    seen: tokio::task::JoinHandle<Vec<f64>>,
}

impl Watch {
    /// Samples in MiB, in chronological order.
    pub async fn end(self) -> Vec<f64> {
        self.stop.store(true, Ordering::Relaxed);
        self.seen.await.unwrap()
    }
}

fn resident(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some((line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0 * 10.0).round() / 10.0)
}

fn failed(diagnostics: &[pb::Diagnostic], outcome: &mut Outcome) -> bool {
    for diagnostic in diagnostics {
        assert!(!diagnostic.summary.contains(azimage::rpc::BUG), "{diagnostic:?}");
    }
    let failed = diagnostics.iter().any(|diagnostic| diagnostic.severity == 1);
    outcome.failed |= failed;
    failed
}
