//! A simulated Terraform core: drives the provider in process through protocol messages, checks every response with the
//! [`oracle`], and changes the emulator behind the provider's back.
#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "diagnostics.rs"]
mod diagnostics;
#[path = "oracle.rs"]
pub mod oracle;
#[path = "runs.rs"]
mod runs;
#[path = "values.rs"]
mod values;

use azimage::emulator::Emulator;
use azimage::framework::Server;
use azimage::provider::Provider;
use azimage::rpc::Service;
pub use azimage::rpc::proto::tfplugin5 as pb;
use azimage::schema::{Type, Value, json as state_json, msgpack};
pub use diagnostics::{Diagnostics, checked, path_text, resolve};
use oracle::{Complaint, implied_type};
use pb::provider_server::Provider as Wire;
use pb::schema::Block;
pub use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tonic::Request;
use values::{at, no_null_blocks};
pub use values::{changed, decode, differences, dynamic, merge, patched, typed, value};

/// The default subscription.
pub const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";

/// In a JSON configuration: known after apply.
pub const UNKNOWN: &str = "(known after apply)";

/// Terraform core with one provider process, and the emulator that the provider talks to.
pub struct Core {
    pub service: Service<Provider>,
    pub server: Arc<Server<Provider>>,
    pub schema: pb::get_provider_schema::Response,
    pub identities: BTreeMap<String, pb::ResourceIdentitySchema>,
    emulator: Emulator,
    dir: Arc<tempfile::TempDir>,
}

/// A resource as stored in the state file.
#[derive(Clone, Debug)]
pub struct Held {
    pub type_name: String,
    pub state: Value,
    pub private: Vec<u8>,
    pub identity: Option<Value>,
    pub tainted: bool,
}

impl Held {
    pub fn get(&self, name: &str) -> &Value {
        self.state.get(name)
    }

    pub fn text(&self, name: &str) -> &str {
        self.state.get(name).as_str().unwrap_or_else(|| panic!("{name} is not a string in {:?}", self.state))
    }
}

/// The action of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    NoOp,
    Create,
    Update,
    Replace,
    Delete,
}

/// A plan that core accepted.
#[derive(Clone, Debug)]
pub struct Plan {
    pub type_name: String,
    pub prior: Option<Held>,
    pub config: Value,
    pub action: Action,
    pub state: Value,
    pub private: Vec<u8>,
    pub identity: Option<Value>,
    /// Paths that force the replacement, in HCL notation.
    pub replace: Vec<String>,
    pub diagnostics: Diagnostics,
}

/// The result of an apply.
#[derive(Clone, Debug)]
pub struct Applied {
    pub held: Option<Held>,
    pub diagnostics: Diagnostics,
}

/// A provider server that is not configured.
pub fn serve() -> (Arc<Server<Provider>>, Service<Provider>) {
    let server = Arc::new(Server::new(Provider));
    (server.clone(), Service::new(server))
}

impl Core {
    /// A run with a new emulator in which all work is instantaneous.
    pub async fn new() -> Core {
        Core::with(json!({})).await
    }

    /// The same with additional arguments in the provider block.
    pub async fn with(provider: Json) -> Core {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let core = Core::start(dir, provider).await;
        core.control("PUT", "settings", json!({"time_scale": 0}));
        core
    }

    /// Starts another run of Terraform against the same emulator.
    pub async fn new_run(&self, provider: Json) -> Core {
        Core::start(self.dir.clone(), provider).await
    }

    async fn start(dir: Arc<tempfile::TempDir>, provider: Json) -> Core {
        let path = dir.path().join("emulator.json");
        let (server, service) = serve();
        let schema = service.get_schema(Request::new(Default::default())).await.unwrap().into_inner();
        assert!(schema.diagnostics.is_empty());
        let identities = service.get_resource_identity_schemas(Request::new(Default::default())).await;
        let identities = identities.unwrap().into_inner().identity_schemas;
        let emulator = Emulator::open(&path).unwrap();
        let core = Core { service, server, schema, identities, emulator, dir };
        let mut config =
            json!({"environment": "emulator", "emulator": {"state_path": path.to_str().unwrap()}});
        merge(&mut config, &provider);
        let diagnostics = core.configure(&config).await;
        assert!(!diagnostics.has_errors(), "{diagnostics:?}");
        core
    }

    /// The state file of the emulator.
    pub fn state_path(&self) -> std::path::PathBuf {
        self.dir.path().join("emulator.json")
    }

    /// PrepareProviderConfig and Configure.
    pub async fn configure(&self, config: &Json) -> Diagnostics {
        let block = self.schema.provider.as_ref().unwrap().block.as_ref().unwrap();
        let config = value(block, config);
        let ty = implied_type(block);
        let request = pb::prepare_provider_config::Request { config: dynamic(&config, &ty) };
        let mut diagnostics = self
            .service
            .prepare_provider_config(Request::new(request))
            .await
            .unwrap()
            .into_inner()
            .diagnostics;
        let request = pb::configure::Request {
            terraform_version: "1.11.4".into(),
            config: dynamic(&config, &ty),
            client_capabilities: Some(Default::default()),
        };
        diagnostics
            .extend(self.service.configure(Request::new(request)).await.unwrap().into_inner().diagnostics);
        checked(block, diagnostics)
    }

    // The schema of a resource type.
    pub fn block(&self, type_name: &str) -> &Block {
        let schema = self.schema.resource_schemas.get(type_name);
        schema.unwrap_or_else(|| panic!("there is no {type_name}")).block.as_ref().unwrap()
    }

    pub fn ty(&self, type_name: &str) -> Type {
        implied_type(self.block(type_name))
    }

    /// The type of a resource's identity.
    pub fn identity_type(&self, type_name: &str) -> Type {
        let fields = self.identities[type_name].identity_attributes.iter();
        Type::object(fields.map(|field| {
            let json = serde_json::from_slice(&field.r#type).unwrap();
            (field.name.clone(), Type::from_json(&json).unwrap())
        }))
    }

    /// A configuration from JSON: omitted attributes are null, omitted blocks are absent, [`UNKNOWN`] is unknown.
    pub fn config(&self, type_name: &str, json: &Json) -> Value {
        value(self.block(type_name), json)
    }

    /// ValidateResourceTypeConfig.
    pub async fn validate(&self, type_name: &str, config: &Value) -> Diagnostics {
        let request = pb::validate_resource_type_config::Request {
            type_name: type_name.into(),
            config: dynamic(config, &self.ty(type_name)),
            client_capabilities: Some(client_capabilities()),
        };
        let answer =
            self.service.validate_resource_type_config(Request::new(request)).await.unwrap().into_inner();
        checked(self.block(type_name), answer.diagnostics)
    }

    /// One PlanResourceChange, checked by the oracle. A response with errors is returned too.
    pub async fn plan_once(
        &self,
        type_name: &str,
        prior: &Value,
        config: &Value,
        private: &[u8],
        identity: Option<&Value>,
    ) -> (pb::plan_resource_change::Response, Diagnostics) {
        let (block, ty) = (self.block(type_name), self.ty(type_name));
        let proposed =
            if config.is_null() { Value::Null } else { oracle::proposed_new(block, prior, config) };
        let request = pb::plan_resource_change::Request {
            type_name: type_name.into(),
            prior_state: dynamic(prior, &ty),
            proposed_new_state: dynamic(&proposed, &ty),
            config: dynamic(config, &ty),
            prior_private: private.to_vec(),
            provider_meta: None,
            client_capabilities: Some(client_capabilities()),
            prior_identity: self.identity_data(type_name, identity),
        };
        let answer = self.service.plan_resource_change(Request::new(request)).await.unwrap().into_inner();
        assert!(!answer.legacy_type_system && answer.deferred.is_none());
        let diagnostics = checked(block, answer.diagnostics.clone());
        if !diagnostics.has_errors() {
            let planned = decode(&answer.planned_state, &ty);
            assert_no_complaints(
                &format!("plan of {type_name}"),
                &oracle::plan_complaints(block, prior, config, &planned),
            );
            no_null_blocks(block, &planned);
            for path in &answer.requires_replace {
                resolve(block, path);
            }
            if let Some(identity) = &answer.planned_identity {
                decode(&identity.identity_data, &self.identity_type(type_name));
            }
        }
        (answer, diagnostics)
    }

    /// Starts another graph walk, in a process that has not read any object yet.
    pub fn begin_graph_walk(&self) {
        self.server.run_ids().clear();
    }

    /// Plans a resource that is alone in its configuration.
    pub async fn try_plan(
        &self,
        type_name: &str,
        held: Option<&Held>,
        config: &Value,
    ) -> Result<Plan, Diagnostics> {
        self.begin_graph_walk();
        self.try_plan_in_graph_walk(type_name, held, config).await
    }

    /// Upgrades the state, validates and plans like core: twice if an attribute forces a replacement.
    pub async fn try_plan_in_graph_walk(
        &self,
        type_name: &str,
        held: Option<&Held>,
        config: &Value,
    ) -> Result<Plan, Diagnostics> {
        if let Some(held) = held {
            self.upgrade(held).await;
        }
        let ty = self.ty(type_name);
        let diagnostics = self.validate(type_name, config).await;
        if diagnostics.has_errors() {
            return Err(diagnostics);
        }
        let tainted = held.is_some_and(|held| held.tainted);
        let prior = held.filter(|held| !held.tainted);
        let (prior_state, private, identity) = match prior {
            Some(held) => (held.state.clone(), held.private.clone(), held.identity.clone()),
            None => (Value::Null, Vec::new(), None),
        };
        let (answer, mut diagnostics) =
            self.plan_once(type_name, &prior_state, config, &private, identity.as_ref()).await;
        if diagnostics.has_errors() {
            return Err(diagnostics);
        }
        let planned = decode(&answer.planned_state, &ty);
        if prior.is_some()
            && let Some(planned) = self.planned_identity(type_name, &answer)
            && answer.requires_replace.is_empty()
        {
            assert!(planned.is_wholly_known(), "an update plans an unknown identity: {planned:?}");
            assert_eq!(Some(&planned), identity.as_ref(), "an update plans another identity");
        }
        let mut replace: Vec<String> = Vec::new();
        for path in &answer.requires_replace {
            // core keeps only the paths that differ
            if at(&prior_state, path) != at(&planned, path) {
                replace.push(path_text(Some(path)));
            }
        }
        let mut plan = Plan {
            type_name: type_name.into(),
            prior: held.cloned(),
            config: config.clone(),
            action: Action::Update,
            identity: self.planned_identity(type_name, &answer),
            state: planned,
            private: answer.planned_private,
            replace,
            diagnostics: Diagnostics::default(),
        };
        if prior.is_none() {
            plan.action = if tainted { Action::Replace } else { Action::Create };
        } else if plan.state == prior_state {
            plan.action = Action::NoOp;
            assert_eq!(
                answer.planned_state.unwrap().msgpack,
                msgpack::encode(&prior_state, &ty),
                "nothing changes, but not byte for byte"
            );
            assert!(answer.requires_replace.is_empty(), "nothing changes, but a replacement is planned");
        } else if !plan.replace.is_empty() {
            let (again, more) =
                self.plan_once(type_name, &Value::Null, config, &plan.private, plan.identity.as_ref()).await;
            if more.has_errors() {
                return Err(more);
            }
            diagnostics.0.extend(more.0);
            plan.action = Action::Replace;
            plan.identity = self.planned_identity(type_name, &again);
            plan.state = decode(&again.planned_state, &ty);
            plan.private = again.planned_private;
        }
        if plan.action != Action::NoOp && plan.action != Action::Update {
            self.assert_id_is_planned(&plan);
            self.assert_create_is_open(type_name, config, &plan.state);
        }
        plan.diagnostics = diagnostics;
        Ok(plan)
    }

    #[track_caller]
    pub fn plan<'c>(
        &'c self,
        type_name: &'c str,
        held: Option<&'c Held>,
        config: &'c Json,
    ) -> impl Future<Output = Plan> + 'c {
        let config = self.config(type_name, config);
        async move {
            match self.try_plan(type_name, held, &config).await {
                Ok(plan) => plan,
                Err(diagnostics) => panic!("planning {type_name}: {diagnostics:?}"),
            }
        }
    }

    /// A plan that must fail.
    pub async fn plan_refused(&self, type_name: &str, held: Option<&Held>, config: &Json) -> Diagnostics {
        let config = self.config(type_name, config);
        match self.try_plan(type_name, held, &config).await {
            Ok(plan) => panic!("this plan should fail: {plan:#?}"),
            Err(diagnostics) => diagnostics,
        }
    }

    fn planned_identity(
        &self,
        type_name: &str,
        answer: &pb::plan_resource_change::Response,
    ) -> Option<Value> {
        let data = answer.planned_identity.as_ref()?;
        Some(decode(&data.identity_data, &self.identity_type(type_name)))
    }

    // The ID of a new object is planned if its configuration is known. It is unknown if it equals the replaced object's ID, so
    // that dependent objects are replaced too.
    fn assert_id_is_planned(&self, plan: &Plan) {
        let Ok(entry) = self.server.resource(&plan.type_name) else {
            panic!("there is no {}", plan.type_name)
        };
        let Some(id) = entry.resource.object_id(&plan.state) else { return };
        let replaced = plan.prior.as_ref().and_then(|prior| entry.resource.object_id(&prior.state));
        let expected = match replaced {
            Some(replaced) if replaced.eq_ignore_ascii_case(&id) => Value::Unknown,
            _ => Value::String(id),
        };
        assert_eq!(*plan.state.get("id"), expected, "the planned id of {}", plan.type_name);
    }

    // A computed value is unknown or known at creation, but never null, because core would keep a planned null.
    fn assert_create_is_open(&self, type_name: &str, config: &Value, planned: &Value) {
        for attribute in &self.block(type_name).attributes {
            if attribute.computed && config.get(&attribute.name).is_null() {
                let value = planned.get(&attribute.name);
                assert!(
                    !value.is_null(),
                    "{}.{} is computed, and planned to be null",
                    type_name,
                    attribute.name
                );
            }
        }
    }

    /// Applies a plan with its own configuration.
    pub async fn apply(&self, plan: &Plan) -> Applied {
        self.apply_as(plan, &plan.config).await
    }

    /// Applies a plan after unknown values in its configuration have become known.
    pub async fn apply_as(&self, plan: &Plan, config: &Value) -> Applied {
        self.begin_graph_walk();
        match plan.action {
            Action::NoOp => Applied { held: plan.prior.clone(), diagnostics: Diagnostics::default() },
            Action::Delete => self.apply_delete(plan.prior.as_ref().unwrap(), &plan.private).await,
            Action::Create => self.apply_change(plan, None, config).await,
            Action::Update => self.apply_change(plan, plan.prior.as_ref(), config).await,
            Action::Replace => {
                let prior = plan.prior.as_ref().unwrap();
                // the deletion gets the private data of the replacement, and no identity
                let gone = self.apply_delete(prior, &plan.private).await;
                if gone.diagnostics.has_errors() {
                    return gone;
                }
                assert!(gone.held.is_none());
                self.apply_change(plan, None, config).await
            }
        }
    }

    async fn apply_change(&self, plan: &Plan, prior: Option<&Held>, config: &Value) -> Applied {
        let name = plan.type_name.as_str();
        let (block, ty) = (self.block(name), self.ty(name));
        let prior_state = prior.map_or(Value::Null, |held| held.state.clone());
        let private = prior.map_or(Vec::new(), |held| held.private.clone());
        let identity = prior.and_then(|held| held.identity.clone());
        let (answer, diagnostics) =
            self.plan_once(name, &prior_state, config, &private, identity.as_ref()).await;
        if diagnostics.has_errors() {
            return Applied { held: prior.cloned(), diagnostics };
        }
        let planned = decode(&answer.planned_state, &ty);
        assert_no_complaints(
            &format!("final plan of {name}"),
            &oracle::object_complaints(block, &plan.state, &planned),
        );
        if prior.is_some() {
            let moved =
                answer.requires_replace.iter().any(|path| at(&prior_state, path) != at(&planned, path));
            assert!(!moved, "the final plan replaces an object that the first plan updates");
            if planned == prior_state {
                return Applied { held: prior.cloned(), diagnostics: Diagnostics::default() };
            }
        }
        let request = pb::apply_resource_change::Request {
            type_name: name.into(),
            prior_state: dynamic(&prior_state, &ty),
            planned_state: dynamic(&planned, &ty),
            config: dynamic(config, &ty),
            planned_private: answer.planned_private.clone(),
            provider_meta: None,
            planned_identity: answer.planned_identity.clone(),
        };
        let answer = self.service.apply_resource_change(Request::new(request)).await.unwrap().into_inner();
        assert!(!answer.legacy_type_system);
        let diagnostics = checked(block, answer.diagnostics.clone());
        let state = decode(&answer.new_state, &ty);
        assert!(state.is_wholly_known(), "{name} contains unknown values after apply: {state:#?}");
        let identity = self.identity_value(name, answer.new_identity.as_ref());
        if !diagnostics.has_errors() {
            assert!(!state.is_null(), "{name} is null after apply");
            assert_no_complaints(
                &format!("apply of {name}"),
                &oracle::object_complaints(block, &planned, &state),
            );
        }
        if state.is_null() {
            return Applied { held: prior.cloned(), diagnostics };
        }
        no_null_blocks(block, &state);
        let identity = identity.unwrap_or_else(|| panic!("{name} has no identity after apply"));
        assert!(identity.is_wholly_known(), "{identity:?}");
        if let Some(held) = prior {
            assert_eq!(held.identity.as_ref(), Some(&identity), "the identity of {name} changed");
        }
        let tainted = diagnostics.has_errors() && prior.is_none();
        let held = Held {
            type_name: name.into(),
            state,
            private: answer.private,
            identity: Some(identity),
            tainted,
        };
        Applied { held: Some(held), diagnostics }
    }

    async fn apply_delete(&self, prior: &Held, private: &[u8]) -> Applied {
        let ty = self.ty(&prior.type_name);
        let request = pb::apply_resource_change::Request {
            type_name: prior.type_name.clone(),
            prior_state: dynamic(&prior.state, &ty),
            planned_state: dynamic(&Value::Null, &ty),
            config: dynamic(&Value::Null, &ty),
            planned_private: private.to_vec(),
            provider_meta: None,
            planned_identity: None,
        };
        let answer = self.service.apply_resource_change(Request::new(request)).await.unwrap().into_inner();
        let diagnostics = checked(self.block(&prior.type_name), answer.diagnostics.clone());
        let state = decode(&answer.new_state, &ty);
        if diagnostics.has_errors() {
            assert_eq!(state, prior.state, "a failed delete keeps the state");
            return Applied { held: Some(prior.clone()), diagnostics };
        }
        assert!(state.is_null(), "a deletion returns a state");
        Applied { held: None, diagnostics }
    }

    /// Plans a destroy and applies it.
    pub async fn destroy(&self, held: &Held) -> Applied {
        self.begin_graph_walk();
        let identity = held.identity.as_ref();
        let (answer, diagnostics) =
            self.plan_once(&held.type_name, &held.state, &Value::Null, &held.private, identity).await;
        assert!(!diagnostics.has_errors(), "planning a destroy: {diagnostics:?}");
        assert!(decode(&answer.planned_state, &self.ty(&held.type_name)).is_null());
        assert!(answer.requires_replace.is_empty());
        self.apply_delete(held, &answer.planned_private).await
    }

    /// Upgrades and reads a stored object, as core does first: UpgradeResourceState, then ReadResource.
    pub async fn refresh(&self, held: &Held) -> Result<Option<Held>, Diagnostics> {
        let upgraded = self.upgrade(held).await;
        assert_eq!(
            msgpack::encode(&upgraded, &self.ty(&held.type_name)),
            msgpack::encode(&held.state, &self.ty(&held.type_name)),
            "an upgrade from the same version lost values"
        );
        // each refresh is a separate graph walk, in which later reads may be served from a list
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.read(held).await.map(|(held, _)| held)
    }

    /// UpgradeResourceState of a stored object.
    pub async fn upgrade(&self, held: &Held) -> Value {
        let raw = serde_json::to_vec(&state_json::encode(&held.state)).unwrap();
        let request = pb::upgrade_resource_state::Request {
            type_name: held.type_name.clone(),
            version: self.schema.resource_schemas[&held.type_name].version,
            raw_state: Some(pb::RawState { json: raw, flatmap: Default::default() }),
        };
        let answer = self.service.upgrade_resource_state(Request::new(request)).await.unwrap().into_inner();
        let diagnostics = checked(self.block(&held.type_name), answer.diagnostics);
        assert!(!diagnostics.has_errors(), "{diagnostics:?}");
        decode(&answer.upgraded_state, &self.ty(&held.type_name))
    }

    /// UpgradeResourceIdentity of a stored object, by an unconfigured process.
    pub async fn upgrade_identity(&self, type_name: &str, identity: &Json) -> Value {
        let request = pb::upgrade_resource_identity::Request {
            type_name: type_name.into(),
            version: 0,
            raw_identity: Some(pb::RawState {
                json: identity.to_string().into_bytes(),
                flatmap: Default::default(),
            }),
        };
        let answer = serve().1.upgrade_resource_identity(Request::new(request)).await.unwrap().into_inner();
        assert!(answer.diagnostics.is_empty(), "{:?}", Diagnostics(answer.diagnostics));
        self.identity_value(type_name, answer.upgraded_identity.as_ref()).unwrap()
    }

    /// ReadResource.
    pub async fn read(&self, held: &Held) -> Result<(Option<Held>, Diagnostics), Diagnostics> {
        let (read, diagnostics) = self.read_any(held).await?;
        if let Some(read) = &read {
            assert_eq!(
                held.identity.as_ref().or(read.identity.as_ref()),
                read.identity.as_ref(),
                "a read changed the identity"
            );
        }
        Ok((read, diagnostics))
    }

    async fn read_any(&self, held: &Held) -> Result<(Option<Held>, Diagnostics), Diagnostics> {
        let name = held.type_name.as_str();
        let (block, ty) = (self.block(name), self.ty(name));
        let request = pb::read_resource::Request {
            type_name: name.into(),
            current_state: dynamic(&held.state, &ty),
            private: held.private.clone(),
            provider_meta: None,
            client_capabilities: Some(client_capabilities()),
            current_identity: self.identity_data(name, held.identity.as_ref()),
        };
        let answer = self.service.read_resource(Request::new(request)).await.unwrap().into_inner();
        assert!(answer.deferred.is_none());
        let diagnostics = checked(block, answer.diagnostics);
        if diagnostics.has_errors() {
            assert!(!decode(&answer.new_state, &ty).is_null(), "a failed read reports a deleted object");
            return Err(diagnostics);
        }
        let state = decode(&answer.new_state, &ty);
        assert!(state.is_wholly_known(), "a read returned unknown values: {state:#?}");
        if state.is_null() {
            return Ok((None, diagnostics));
        }
        no_null_blocks(block, &state);
        let identity =
            self.identity_value(name, answer.new_identity.as_ref()).expect("a read returns the identity");
        assert!(identity.is_wholly_known(), "{identity:?}");
        let tainted = held.tainted;
        let held = Held {
            type_name: name.into(),
            state,
            private: answer.private,
            identity: Some(identity),
            tainted,
        };
        Ok((Some(held), diagnostics))
    }

    /// ImportResourceState, then ReadResource of its result.
    pub async fn import(
        &self,
        type_name: &str,
        id: &str,
        identity: Option<&Value>,
    ) -> Result<Held, Diagnostics> {
        let request = pb::import_resource_state::Request {
            type_name: type_name.into(),
            id: id.into(),
            client_capabilities: Some(client_capabilities()),
            identity: self.identity_data(type_name, identity),
        };
        let answer = self.service.import_resource_state(Request::new(request)).await.unwrap().into_inner();
        let diagnostics = checked(self.block(type_name), answer.diagnostics);
        if diagnostics.has_errors() {
            assert!(answer.imported_resources.is_empty());
            return Err(diagnostics);
        }
        assert_eq!(answer.imported_resources.len(), 1);
        let imported = &answer.imported_resources[0];
        assert_eq!(imported.type_name, type_name);
        let state = decode(&imported.state, &self.ty(type_name));
        assert!(state.is_known() && state.is_wholly_known());
        let identity = self.identity_value(type_name, imported.identity.as_ref());
        assert!(identity.is_some(), "an import returns the identity");
        self.imported(type_name, state, imported.private.clone(), identity).await
    }

    /// MoveResourceState by an unconfigured process, then ReadResource of its result.
    pub async fn move_from(
        &self,
        type_name: &str,
        provider: &str,
        source_type: &str,
        source: &Json,
    ) -> Result<Held, Diagnostics> {
        let request = pb::move_resource_state::Request {
            source_provider_address: provider.into(),
            source_type_name: source_type.into(),
            source_schema_version: 0,
            source_state: Some(pb::RawState {
                json: source.to_string().into_bytes(),
                flatmap: Default::default(),
            }),
            target_type_name: type_name.into(),
            source_private: b"bytes of another provider".to_vec(),
            source_identity: None,
            source_identity_schema_version: 0,
        };
        let answer = serve().1.move_resource_state(Request::new(request)).await.unwrap().into_inner();
        let diagnostics = checked(self.block(type_name), answer.diagnostics);
        if diagnostics.has_errors() {
            return Err(diagnostics);
        }
        assert_ne!(answer.target_private, b"bytes of another provider");
        let state = decode(&answer.target_state, &self.ty(type_name));
        assert!(state.is_known() && state.is_wholly_known());
        self.imported(type_name, state, answer.target_private, None).await
    }

    async fn imported(
        &self,
        type_name: &str,
        state: Value,
        private: Vec<u8>,
        identity: Option<Value>,
    ) -> Result<Held, Diagnostics> {
        let stub = Held { type_name: type_name.into(), state, private, identity, tainted: false };
        no_null_blocks(self.block(type_name), &stub.state);
        let (held, _) = self.read_any(&stub).await?;
        let held = held.ok_or_else(|| {
            Diagnostics(vec![pb::Diagnostic {
                severity: 1,
                summary: "does not exist".into(),
                ..Default::default()
            }])
        })?;
        // an import accepts any case, and the service returns the canonical one
        let plain = |identity: &Option<Value>| format!("{identity:?}").to_lowercase();
        assert!(
            stub.identity.is_none() || plain(&stub.identity) == plain(&held.identity),
            "another identity was read"
        );
        Ok(held)
    }

    /// GenerateResourceConfig.
    pub async fn generate(&self, held: &Held) -> Value {
        let ty = self.ty(&held.type_name);
        let request = pb::generate_resource_config::Request {
            type_name: held.type_name.clone(),
            state: dynamic(&held.state, &ty),
        };
        let answer = self.service.generate_resource_config(Request::new(request)).await.unwrap().into_inner();
        assert!(answer.diagnostics.is_empty(), "{:?}", Diagnostics(answer.diagnostics));
        decode(&answer.config, &ty)
    }

    /// Reads a data source.
    pub async fn data(&self, type_name: &str, config: &Json) -> Result<Value, Diagnostics> {
        let block = self.schema.data_source_schemas[type_name].block.as_ref().unwrap();
        let (config, ty) = (value(block, config), implied_type(block));
        let request = pb::validate_data_source_config::Request {
            type_name: type_name.into(),
            config: dynamic(&config, &ty),
        };
        let answer =
            self.service.validate_data_source_config(Request::new(request)).await.unwrap().into_inner();
        let diagnostics = checked(block, answer.diagnostics);
        if diagnostics.has_errors() {
            return Err(diagnostics);
        }
        if !config.is_wholly_known() {
            return Ok(Value::Unknown);
        }
        let request = pb::read_data_source::Request {
            type_name: type_name.into(),
            config: dynamic(&config, &ty),
            provider_meta: None,
            client_capabilities: Some(client_capabilities()),
        };
        let answer = self.service.read_data_source(Request::new(request)).await.unwrap().into_inner();
        let diagnostics = checked(block, answer.diagnostics);
        if diagnostics.has_errors() {
            return Err(diagnostics);
        }
        let state = decode(&answer.state, &ty);
        assert!(state.is_known() && state.is_wholly_known());
        // configured values are kept, except those that are documented as resolved
        let Ok(entry) = self.server.data_source(type_name) else { panic!("there is no {type_name}") };
        let resolved = |complaint: &Complaint| {
            let name = complaint.path.to_string();
            entry.body().attribute(&name).is_some_and(|attribute| attribute.resolved)
        };
        let mut complaints = oracle::plan_complaints(block, &Value::Null, &config, &state);
        complaints.retain(|complaint| !resolved(complaint));
        assert_no_complaints(type_name, &complaints);
        Ok(state)
    }
}

fn client_capabilities() -> pb::ClientCapabilities {
    pb::ClientCapabilities { deferral_allowed: false, write_only_attributes_allowed: true }
}

#[track_caller]
fn assert_no_complaints(what: &str, complaints: &[Complaint]) {
    let all: String = complaints.iter().map(|complaint| format!("\n  {complaint}")).collect();
    assert!(complaints.is_empty(), "core would reject the {what}:{all}");
}
