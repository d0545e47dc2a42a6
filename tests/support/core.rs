//! A pretend Terraform core: drives the provider in this process by the messages of the protocol, holds every answer against
//! the [`oracle`], and changes the emulator behind the provider's back.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "oracle.rs"]
pub mod oracle;

use azimage::emulator::{self, Emulator};
use azimage::framework::Server;
use azimage::provider::Provider;
use azimage::rpc::Service;
pub use azimage::rpc::proto::tfplugin5 as pb;
use azimage::schema::{Type, Value, json as state_json, msgpack};
use oracle::{Complaint, implied_type, no_block, nothing};
use pb::provider_server::Provider as Wire;
use pb::schema::nested_block::NestingMode;
use pb::schema::{Block, NestedBlock};
pub use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use time::OffsetDateTime;
use tonic::Request;

/// The subscription of everything that names none.
pub const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";
/// In a configuration written as JSON: known after apply.
pub const UNKNOWN: &str = "(known after apply)";

/// Terraform core with one provider process, and the emulator that the process talks to.
pub struct Core {
    pub service: Service<Provider>,
    pub server: Arc<Server<Provider>>,
    pub schema: pb::get_provider_schema::Response,
    pub identities: BTreeMap<String, pb::ResourceIdentitySchema>,
    emulator: Emulator,
    dir: Arc<tempfile::TempDir>,
}

/// A resource as the state file holds it.
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
        self.state.get(name).as_str().unwrap_or_else(|| panic!("{name} is no text in {:?}", self.state))
    }
}

/// What a plan comes to.
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
    /// Paths that force the replacement, in HCL's spelling.
    pub replace: Vec<String>,
    pub told: Told,
}

/// What an apply left.
#[derive(Clone, Debug)]
pub struct Applied {
    pub held: Option<Held>,
    pub told: Told,
}

/// Diagnostics.
#[derive(Clone, Default)]
pub struct Told(pub Vec<pb::Diagnostic>);

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for told in &self.0 {
            let word = if told.severity == 1 { "error" } else { "warning" };
            let path = path_text(told.attribute.as_ref());
            writeln!(f, "\n  {word} at [{path}] {}: {}", told.summary, told.detail)?;
        }
        Ok(())
    }
}

impl Told {
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|told| told.severity == 1)
    }

    /// All texts of one severity (1 error, 2 warning).
    fn text(&self, severity: i32) -> String {
        let these = self.0.iter().filter(|told| told.severity == severity);
        these.map(|told| format!("{}\n{}\n", told.summary, told.detail)).collect()
    }

    pub fn errors(&self) -> String {
        self.text(1)
    }

    pub fn warnings(&self) -> String {
        self.text(2)
    }

    /// Where the errors point.
    pub fn error_paths(&self) -> Vec<String> {
        self.0.iter().filter(|told| told.severity == 1).map(|told| path_text(told.attribute.as_ref())).collect()
    }

    /// An error that says all of `parts`.
    #[track_caller]
    pub fn assert_error(&self, parts: &[&str]) {
        let text = self.errors();
        for part in parts {
            assert!(text.contains(part), "no error says {part:?}: {self:?}");
        }
    }

    #[track_caller]
    pub fn assert_warning(&self, parts: &[&str]) {
        let text = self.warnings();
        for part in parts {
            assert!(text.contains(part), "no warning says {part:?}: {self:?}");
        }
    }
}

/// A path as HCL writes it.
pub fn path_text(path: Option<&pb::AttributePath>) -> String {
    use pb::attribute_path::step::Selector;
    let mut text = String::new();
    for step in path.iter().flat_map(|path| &path.steps) {
        match step.selector.as_ref().expect("every step of a path says something") {
            Selector::AttributeName(name) if text.is_empty() => text += name,
            Selector::AttributeName(name) => text += &format!(".{name}"),
            Selector::ElementKeyString(key) => text += &format!("[{key:?}]"),
            Selector::ElementKeyInt(index) => text += &format!("[{index}]"),
        }
    }
    text
}

/// A server of the provider, configured by nobody yet.
pub fn serve() -> (Arc<Server<Provider>>, Service<Provider>) {
    let server = Arc::new(Server::new(Provider));
    (server.clone(), Service::new(server))
}

impl Core {
    /// A run with a fresh emulator in which nothing takes time.
    pub async fn new() -> Core {
        Core::with(json!({})).await
    }

    /// The same with more in the provider block.
    pub async fn with(provider: Json) -> Core {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let core = Core::start(dir, provider).await;
        core.control("PUT", "settings", json!({"time_scale": 0}));
        core
    }

    /// Another run of Terraform against what this one left.
    pub async fn again(&self, provider: Json) -> Core {
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
        let mut config = json!({"environment": "emulator", "emulator": {"state_path": path.to_str().unwrap()}});
        merge(&mut config, &provider);
        let told = core.configure(&config).await;
        assert!(!told.has_errors(), "{told:?}");
        core
    }

    /// PrepareProviderConfig and Configure.
    pub async fn configure(&self, config: &Json) -> Told {
        let block = self.schema.provider.as_ref().unwrap().block.as_ref().unwrap();
        let config = value(block, config);
        let ty = implied_type(block);
        let request = pb::prepare_provider_config::Request { config: dynamic(&config, &ty) };
        let mut told = self.service.prepare_provider_config(Request::new(request)).await.unwrap().into_inner().diagnostics;
        let request = pb::configure::Request {
            terraform_version: "1.11.4".into(),
            config: dynamic(&config, &ty),
            client_capabilities: Some(Default::default()),
        };
        told.extend(self.service.configure(Request::new(request)).await.unwrap().into_inner().diagnostics);
        checked(block, told)
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

    /// A configuration from JSON: what is left out is null, blocks that are left out are absent, [`UNKNOWN`] is unknown.
    pub fn config(&self, type_name: &str, json: &Json) -> Value {
        value(self.block(type_name), json)
    }

    /// ValidateResourceTypeConfig.
    pub async fn validate(&self, type_name: &str, config: &Value) -> Told {
        let request = pb::validate_resource_type_config::Request {
            type_name: type_name.into(),
            config: dynamic(config, &self.ty(type_name)),
            client_capabilities: Some(capable()),
        };
        let answer = self.service.validate_resource_type_config(Request::new(request)).await.unwrap().into_inner();
        checked(self.block(type_name), answer.diagnostics)
    }

    /// One PlanResourceChange, held against the oracle. The answer is returned with errors in it, if there are any.
    pub async fn plan_once(
        &self,
        type_name: &str,
        prior: &Value,
        config: &Value,
        private: &[u8],
        identity: Option<&Value>,
    ) -> (pb::plan_resource_change::Response, Told) {
        let (block, ty) = (self.block(type_name), self.ty(type_name));
        let proposed = if config.is_null() { Value::Null } else { oracle::proposed_new(block, prior, config) };
        let request = pb::plan_resource_change::Request {
            type_name: type_name.into(),
            prior_state: dynamic(prior, &ty),
            proposed_new_state: dynamic(&proposed, &ty),
            config: dynamic(config, &ty),
            prior_private: private.to_vec(),
            provider_meta: None,
            client_capabilities: Some(capable()),
            prior_identity: self.identity_data(type_name, identity),
        };
        let answer = self.service.plan_resource_change(Request::new(request)).await.unwrap().into_inner();
        assert!(!answer.legacy_type_system && answer.deferred.is_none());
        let told = checked(block, answer.diagnostics.clone());
        if !told.has_errors() {
            let planned = decode(&answer.planned_state, &ty);
            none(&format!("plan of {type_name}"), &oracle::plan_complaints(block, prior, config, &planned));
            no_null_blocks(block, &planned);
            for path in &answer.requires_replace {
                resolve(block, path);
            }
            if let Some(identity) = &answer.planned_identity {
                decode(&identity.identity_data, &self.identity_type(type_name));
            }
        }
        (answer, told)
    }

    /// Validates and plans as core does: twice where something forces a replacement.
    pub async fn try_plan(&self, type_name: &str, held: Option<&Held>, config: &Value) -> Result<Plan, Told> {
        let ty = self.ty(type_name);
        let told = self.validate(type_name, config).await;
        if told.has_errors() {
            return Err(told);
        }
        let tainted = held.is_some_and(|held| held.tainted);
        let prior = held.filter(|held| !held.tainted);
        let (prior_state, private, identity) = match prior {
            Some(held) => (held.state.clone(), held.private.clone(), held.identity.clone()),
            None => (Value::Null, Vec::new(), None),
        };
        let (answer, mut told) = self.plan_once(type_name, &prior_state, config, &private, identity.as_ref()).await;
        if told.has_errors() {
            return Err(told);
        }
        let planned = decode(&answer.planned_state, &ty);
        if prior.is_some()
            && let Some(planned) = self.planned_identity(type_name, &answer)
            && answer.requires_replace.is_empty()
        {
            assert!(planned.is_wholly_known(), "an update plans an identity that is unknown: {planned:?}");
            assert_eq!(Some(&planned), identity.as_ref(), "an update plans another identity");
        }
        let mut replace: Vec<String> = Vec::new();
        for path in &answer.requires_replace {
            // core keeps a path only where something differs
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
            told: Told::default(),
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
            assert!(answer.requires_replace.is_empty(), "nothing changes, and yet something is to be replaced");
        } else if !plan.replace.is_empty() {
            let (again, more) =
                self.plan_once(type_name, &Value::Null, config, &plan.private, plan.identity.as_ref()).await;
            if more.has_errors() {
                return Err(more);
            }
            told.0.extend(more.0);
            plan.action = Action::Replace;
            plan.identity = self.planned_identity(type_name, &again);
            plan.state = decode(&again.planned_state, &ty);
            plan.private = again.planned_private;
        }
        if plan.action != Action::NoOp && plan.action != Action::Update {
            self.assert_create_is_open(type_name, config, &plan.state);
        }
        plan.told = told;
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
                Err(told) => panic!("planning {type_name}: {told:?}"),
            }
        }
    }

    /// A plan that must be refused.
    pub async fn plan_refused(&self, type_name: &str, held: Option<&Held>, config: &Json) -> Told {
        let config = self.config(type_name, config);
        match self.try_plan(type_name, held, &config).await {
            Ok(plan) => panic!("nobody objects to this plan: {plan:#?}"),
            Err(told) => told,
        }
    }

    fn planned_identity(&self, type_name: &str, answer: &pb::plan_resource_change::Response) -> Option<Value> {
        let data = answer.planned_identity.as_ref()?;
        Some(decode(&data.identity_data, &self.identity_type(type_name)))
    }

    // What the provider gives at creation is unknown or known, but not null: null would be a promise.
    fn assert_create_is_open(&self, type_name: &str, config: &Value, planned: &Value) {
        for attribute in &self.block(type_name).attributes {
            if attribute.computed && config.get(&attribute.name).is_null() {
                let value = planned.get(&attribute.name);
                assert!(!value.is_null(), "{}.{} is computed, and planned to be null", type_name, attribute.name);
            }
        }
    }

    /// Applies a plan with the configuration that it was made for.
    pub async fn apply(&self, plan: &Plan) -> Applied {
        self.apply_as(plan, &plan.config).await
    }

    /// Applies a plan in whose configuration unknown values have become known meanwhile.
    pub async fn apply_as(&self, plan: &Plan, config: &Value) -> Applied {
        match plan.action {
            Action::NoOp => Applied { held: plan.prior.clone(), told: Told::default() },
            Action::Delete => self.apply_delete(plan.prior.as_ref().unwrap(), &plan.private).await,
            Action::Create => self.apply_change(plan, None, config).await,
            Action::Update => self.apply_change(plan, plan.prior.as_ref(), config).await,
            Action::Replace => {
                let prior = plan.prior.as_ref().unwrap();
                // the delete half gets the private bytes of the replacement, and no identity
                let gone = self.apply_delete(prior, &plan.private).await;
                if gone.told.has_errors() {
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
        let (answer, told) = self.plan_once(name, &prior_state, config, &private, identity.as_ref()).await;
        if told.has_errors() {
            return Applied { held: prior.cloned(), told };
        }
        let planned = decode(&answer.planned_state, &ty);
        none(&format!("final plan of {name}"), &oracle::object_complaints(block, &plan.state, &planned));
        if prior.is_some() {
            let moved = answer.requires_replace.iter().any(|path| at(&prior_state, path) != at(&planned, path));
            assert!(!moved, "the final plan replaces what the first one updated");
            if planned == prior_state {
                return Applied { held: prior.cloned(), told: Told::default() };
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
        let told = checked(block, answer.diagnostics.clone());
        let state = decode(&answer.new_state, &ty);
        assert!(state.is_wholly_known(), "{name} still holds unknowns after apply: {state:#?}");
        let identity = self.identity_value(name, answer.new_identity.as_ref());
        if !told.has_errors() {
            assert!(!state.is_null(), "{name} is null after apply");
            none(&format!("apply of {name}"), &oracle::object_complaints(block, &planned, &state));
        }
        if state.is_null() {
            return Applied { held: prior.cloned(), told };
        }
        no_null_blocks(block, &state);
        let identity = identity.unwrap_or_else(|| panic!("{name} has no identity after apply"));
        assert!(identity.is_wholly_known(), "{identity:?}");
        if let Some(held) = prior {
            assert_eq!(held.identity.as_ref(), Some(&identity), "the identity of {name} moved");
        }
        let tainted = told.has_errors() && prior.is_none();
        let held = Held { type_name: name.into(), state, private: answer.private, identity: Some(identity), tainted };
        Applied { held: Some(held), told }
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
        let told = checked(self.block(&prior.type_name), answer.diagnostics.clone());
        let state = decode(&answer.new_state, &ty);
        if told.has_errors() {
            assert_eq!(state, prior.state, "a failed delete keeps what was");
            return Applied { held: Some(prior.clone()), told };
        }
        assert!(state.is_null(), "something is left after a delete");
        Applied { held: None, told }
    }

    /// Plans a destroy and carries it out.
    pub async fn destroy(&self, held: &Held) -> Applied {
        let identity = held.identity.as_ref();
        let (answer, told) = self.plan_once(&held.type_name, &held.state, &Value::Null, &held.private, identity).await;
        assert!(!told.has_errors(), "planning a destroy: {told:?}");
        assert!(decode(&answer.planned_state, &self.ty(&held.type_name)).is_null());
        assert!(answer.requires_replace.is_empty());
        self.apply_delete(held, &answer.planned_private).await
    }

    /// What core does with a stored object before it looks at anything else: UpgradeResourceState, then ReadResource.
    pub async fn refresh(&self, held: &Held) -> Result<Option<Held>, Told> {
        let upgraded = self.upgrade(held).await;
        assert_eq!(
            msgpack::encode(&upgraded, &self.ty(&held.type_name)),
            msgpack::encode(&held.state, &self.ty(&held.type_name)),
            "an upgrade from the same version lost something"
        );
        self.read(held).await.map(|(held, _)| held)
    }

    /// UpgradeResourceState of what the state file holds.
    pub async fn upgrade(&self, held: &Held) -> Value {
        let raw = serde_json::to_vec(&state_json::encode(&held.state)).unwrap();
        let request = pb::upgrade_resource_state::Request {
            type_name: held.type_name.clone(),
            version: self.schema.resource_schemas[&held.type_name].version,
            raw_state: Some(pb::RawState { json: raw, flatmap: Default::default() }),
        };
        let answer = self.service.upgrade_resource_state(Request::new(request)).await.unwrap().into_inner();
        let told = checked(self.block(&held.type_name), answer.diagnostics);
        assert!(!told.has_errors(), "{told:?}");
        decode(&answer.upgraded_state, &self.ty(&held.type_name))
    }

    /// ReadResource.
    pub async fn read(&self, held: &Held) -> Result<(Option<Held>, Told), Told> {
        let (read, told) = self.read_any(held).await?;
        if let Some(read) = &read {
            assert_eq!(held.identity.as_ref().or(read.identity.as_ref()), read.identity.as_ref(), "a read moved the identity");
        }
        Ok((read, told))
    }

    async fn read_any(&self, held: &Held) -> Result<(Option<Held>, Told), Told> {
        let name = held.type_name.as_str();
        let (block, ty) = (self.block(name), self.ty(name));
        let request = pb::read_resource::Request {
            type_name: name.into(),
            current_state: dynamic(&held.state, &ty),
            private: held.private.clone(),
            provider_meta: None,
            client_capabilities: Some(capable()),
            current_identity: self.identity_data(name, held.identity.as_ref()),
        };
        let answer = self.service.read_resource(Request::new(request)).await.unwrap().into_inner();
        assert!(answer.deferred.is_none());
        let told = checked(block, answer.diagnostics);
        if told.has_errors() {
            assert!(!decode(&answer.new_state, &ty).is_null(), "a failed read says that the object is gone");
            return Err(told);
        }
        let state = decode(&answer.new_state, &ty);
        assert!(state.is_wholly_known(), "a read told of unknowns: {state:#?}");
        if state.is_null() {
            return Ok((None, told));
        }
        no_null_blocks(block, &state);
        let identity = self.identity_value(name, answer.new_identity.as_ref()).expect("a read tells the identity");
        assert!(identity.is_wholly_known(), "{identity:?}");
        let tainted = held.tainted;
        let held = Held { type_name: name.into(), state, private: answer.private, identity: Some(identity), tainted };
        Ok((Some(held), told))
    }

    /// ImportResourceState, then ReadResource of what it told.
    pub async fn import(&self, type_name: &str, id: &str, identity: Option<&Value>) -> Result<Held, Told> {
        let request = pb::import_resource_state::Request {
            type_name: type_name.into(),
            id: id.into(),
            client_capabilities: Some(capable()),
            identity: self.identity_data(type_name, identity),
        };
        let answer = self.service.import_resource_state(Request::new(request)).await.unwrap().into_inner();
        let told = checked(self.block(type_name), answer.diagnostics);
        if told.has_errors() {
            assert!(answer.imported_resources.is_empty());
            return Err(told);
        }
        assert_eq!(answer.imported_resources.len(), 1);
        let brought = &answer.imported_resources[0];
        assert_eq!(brought.type_name, type_name);
        let state = decode(&brought.state, &self.ty(type_name));
        assert!(state.is_known() && state.is_wholly_known());
        let identity = self.identity_value(type_name, brought.identity.as_ref());
        assert!(identity.is_some(), "an import tells the identity");
        self.brought(type_name, state, brought.private.clone(), identity).await
    }

    /// MoveResourceState by a process that nobody configured, then ReadResource of what it told.
    pub async fn move_from(
        &self,
        type_name: &str,
        provider: &str,
        source_type: &str,
        source: &Json,
    ) -> Result<Held, Told> {
        let request = pb::move_resource_state::Request {
            source_provider_address: provider.into(),
            source_type_name: source_type.into(),
            source_schema_version: 0,
            source_state: Some(pb::RawState { json: source.to_string().into_bytes(), flatmap: Default::default() }),
            target_type_name: type_name.into(),
            source_private: b"bytes of somebody else".to_vec(),
            source_identity: None,
            source_identity_schema_version: 0,
        };
        let answer = serve().1.move_resource_state(Request::new(request)).await.unwrap().into_inner();
        let told = checked(self.block(type_name), answer.diagnostics);
        if told.has_errors() {
            return Err(told);
        }
        assert_ne!(answer.target_private, b"bytes of somebody else");
        let state = decode(&answer.target_state, &self.ty(type_name));
        assert!(state.is_known() && state.is_wholly_known());
        self.brought(type_name, state, answer.target_private, None).await
    }

    async fn brought(
        &self,
        type_name: &str,
        state: Value,
        private: Vec<u8>,
        identity: Option<Value>,
    ) -> Result<Held, Told> {
        let stub = Held { type_name: type_name.into(), state, private, identity, tainted: false };
        no_null_blocks(self.block(type_name), &stub.state);
        let (held, _) = self.read_any(&stub).await?;
        let held = held.ok_or_else(|| {
            Told(vec![pb::Diagnostic { severity: 1, summary: "does not exist".into(), ..Default::default() }])
        })?;
        // who imports may spell it in any case, and the service knows the right one
        let plain = |identity: &Option<Value>| format!("{identity:?}").to_lowercase();
        assert!(stub.identity.is_none() || plain(&stub.identity) == plain(&held.identity), "another identity was read");
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
        assert!(answer.diagnostics.is_empty(), "{:?}", Told(answer.diagnostics));
        decode(&answer.config, &ty)
    }

    /// Reads a data source.
    pub async fn data(&self, type_name: &str, config: &Json) -> Result<Value, Told> {
        let block = self.schema.data_source_schemas[type_name].block.as_ref().unwrap();
        let (config, ty) = (value(block, config), implied_type(block));
        let request =
            pb::validate_data_source_config::Request { type_name: type_name.into(), config: dynamic(&config, &ty) };
        let answer = self.service.validate_data_source_config(Request::new(request)).await.unwrap().into_inner();
        let told = checked(block, answer.diagnostics);
        if told.has_errors() {
            return Err(told);
        }
        if !config.is_wholly_known() {
            return Ok(Value::Unknown);
        }
        let request = pb::read_data_source::Request {
            type_name: type_name.into(),
            config: dynamic(&config, &ty),
            provider_meta: None,
            client_capabilities: Some(capable()),
        };
        let answer = self.service.read_data_source(Request::new(request)).await.unwrap().into_inner();
        let told = checked(block, answer.diagnostics);
        if told.has_errors() {
            return Err(told);
        }
        let state = decode(&answer.state, &ty);
        assert!(state.is_known() && state.is_wholly_known());
        // what the user wrote stays as written, but for what is documented to come back resolved
        let Ok(entry) = self.server.data_source(type_name) else { panic!("there is no {type_name}") };
        let resolved = |complaint: &Complaint| {
            let name = complaint.path.to_string();
            entry.body().attribute(&name).is_some_and(|attribute| attribute.resolved)
        };
        let mut complaints = oracle::plan_complaints(block, &Value::Null, &config, &state);
        complaints.retain(|complaint| !resolved(complaint));
        none(type_name, &complaints);
        Ok(state)
    }

    /// Stop, which must answer at once whatever else is under way.
    pub async fn stop(&self) {
        let begun = std::time::Instant::now();
        let answer = self.service.stop(Request::new(Default::default())).await.unwrap().into_inner();
        assert!(answer.error.is_empty());
        assert!(begun.elapsed() < std::time::Duration::from_secs(1));
    }

    fn identity_data(&self, type_name: &str, identity: Option<&Value>) -> Option<pb::ResourceIdentityData> {
        let identity = identity?;
        let ty = self.identity_type(type_name);
        Some(pb::ResourceIdentityData { identity_data: dynamic(identity, &ty) })
    }

    fn identity_value(&self, type_name: &str, data: Option<&pb::ResourceIdentityData>) -> Option<Value> {
        Some(decode(&data?.identity_data, &self.identity_type(type_name)))
    }

    // ---- whole runs ----

    /// Creates something that nobody objects to, and makes sure that the next run has nothing to do.
    #[track_caller]
    pub fn create<'c>(&'c self, type_name: &'c str, config: &'c Json) -> impl Future<Output = Held> + 'c {
        let at = std::panic::Location::caller();
        async move {
            let plan = self.plan(type_name, None, config).await;
            assert_eq!(plan.action, Action::Create);
            let applied = self.apply(&plan).await;
            assert!(!applied.told.has_errors(), "creating {type_name} ({at}): {:?}", applied.told);
            let held = applied.held.unwrap();
            self.settled(&held, config).await
        }
    }

    /// A refresh and a plan with nothing in them.
    pub async fn settled(&self, held: &Held, config: &Json) -> Held {
        let plan = self.plan(&held.type_name, Some(held), config).await;
        assert_eq!(plan.action, Action::NoOp, "not idempotent: {}", differences(&held.state, &plan.state));
        let read = self.refresh(held).await.unwrap_or_else(|told| panic!("reading {}: {told:?}", held.type_name));
        let read = read.unwrap_or_else(|| panic!("{} is gone", held.type_name));
        assert_eq!(read.state, held.state, "a read changed something: {}", differences(&held.state, &read.state));
        let plan = self.plan(&held.type_name, Some(&read), config).await;
        assert_eq!(plan.action, Action::NoOp, "not empty after refresh: {}", differences(&read.state, &plan.state));
        read
    }

    /// Refreshes, plans one action, applies it, and makes sure that nothing is left to do.
    pub async fn change(&self, held: &Held, config: &Json, action: Action) -> Held {
        let name = held.type_name.as_str();
        let read = self.refresh(held).await.unwrap_or_else(|told| panic!("reading {name}: {told:?}")).unwrap();
        let plan = self.plan(name, Some(&read), config).await;
        let differ = differences(&read.state, &plan.state);
        assert_eq!(plan.action, action, "because of {:?}: {differ}", plan.replace);
        let applied = self.apply(&plan).await;
        assert!(!applied.told.has_errors(), "{action:?} of {name}: {:?}", applied.told);
        self.settled(&applied.held.unwrap(), config).await
    }

    // ---- the emulator, behind the provider's back ----

    /// A control call of the emulator.
    pub fn control(&self, method: &str, path: &str, body: Json) -> Json {
        let (status, body) = self.send(method, &format!("/_emulator/{path}"), &body, false);
        assert!(status < 300, "{method} {path}: {status} {body}");
        body
    }

    /// Adds a scripted fault.
    pub fn fault(&self, fault: Json) {
        self.control("POST", "faults", fault);
    }

    /// Takes all faults away.
    pub fn heal(&self) {
        self.control("DELETE", "faults", json!({}));
    }

    /// Somebody else's request, done at once. The version of the API is added where it is missing.
    pub fn azure(&self, method: &str, path: &str, body: Json) -> (u16, Json) {
        let api = if path.to_lowercase().contains("/galleries") {
            "2026-03-03"
        } else if ["/disks/", "/snapshots/", "/diskencryptionsets/"].iter().any(|k| path.to_lowercase().contains(k)) {
            "2026-03-02"
        } else {
            "2026-03-01"
        };
        let sign = if path.contains('?') { '&' } else { '?' };
        let url = if path.contains("api-version") { path.to_owned() } else { format!("{path}{sign}api-version={api}") };
        self.send(method, &url, &body, true)
    }

    /// What Azure has under an id.
    pub fn look(&self, id: &str) -> Json {
        let (status, body) = self.azure("GET", id, Json::Null);
        assert_eq!(status, 200, "GET {id}: {body}");
        body
    }

    /// Somebody else's merge patch of what is under an id.
    pub fn tamper(&self, id: &str, patch: Json) {
        let (status, body) = self.azure("PATCH", id, patch);
        assert!(status < 300, "PATCH {id}: {status} {body}");
    }

    pub fn exists(&self, id: &str) -> bool {
        self.azure("GET", id, Json::Null).0 == 200
    }

    fn send(&self, method: &str, url: &str, body: &Json, by_hand: bool) -> (u16, Json) {
        let request = emulator::Request {
            method: method.into(),
            url: url.into(),
            headers: vec![("content-type".into(), "application/json".into())],
            body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
        };
        let now = OffsetDateTime::now_utc();
        let response = if by_hand {
            self.emulator.handle_by_hand(&request, now)
        } else {
            self.emulator.handle(&request, now)
        };
        (response.status, serde_json::from_slice(&response.body).unwrap_or(Json::Null))
    }
}

// ---- values ----

/// A configuration of `block` from JSON.
pub fn value(block: &Block, json: &Json) -> Value {
    if json == UNKNOWN {
        return Value::Unknown;
    }
    let object = json.as_object().unwrap_or_else(|| panic!("a block is an object, not {json}"));
    for name in object.keys() {
        let known = block.attributes.iter().any(|a| a.name == *name) || block.block_types.iter().any(|b| b.type_name == *name);
        assert!(known, "there is no {name} here");
    }
    let mut value = nothing(block);
    for attribute in &block.attributes {
        if let Some(json) = object.get(&attribute.name) {
            value.set(&attribute.name, typed(json, &oracle::type_of(attribute)));
        }
    }
    for nested in &block.block_types {
        if let Some(json) = object.get(&nested.type_name).filter(|json| !json.is_null()) {
            value.set(&nested.type_name, nested_value(nested, json));
        }
    }
    value
}

fn nested_value(nested: &NestedBlock, json: &Json) -> Value {
    let block = nested.block.as_ref().unwrap();
    if json == UNKNOWN {
        return Value::Unknown;
    }
    match (nested.nesting(), json) {
        (NestingMode::List, Json::Array(items)) => Value::List(items.iter().map(|json| value(block, json)).collect()),
        (NestingMode::Set, Json::Array(items)) => Value::Set(items.iter().map(|json| value(block, json)).collect()),
        (_, json) => value(block, json),
    }
}

/// A value of a type from JSON.
pub fn typed(json: &Json, ty: &Type) -> Value {
    match (ty, json) {
        (_, json) if json == UNKNOWN => Value::Unknown,
        (Type::List(element), Json::Array(items)) => Value::List(items.iter().map(|json| typed(json, element)).collect()),
        (Type::Set(element), Json::Array(items)) => Value::Set(items.iter().map(|json| typed(json, element)).collect()),
        (Type::Map(element), Json::Object(entries)) => {
            Value::Map(entries.iter().map(|(key, json)| (key.clone(), typed(json, element))).collect())
        }
        (ty, json) => state_json::decode(json, ty).unwrap_or_else(|error| panic!("{json}: {error}")),
    }
}

/// A merge patch: null takes away, arrays replace.
pub fn merge(target: &mut Json, patch: &Json) {
    match (target, patch) {
        (Json::Object(target), Json::Object(patch)) => {
            for (key, patch) in patch {
                if patch.is_null() {
                    target.remove(key);
                } else {
                    merge(target.entry(key.clone()).or_insert(Json::Null), patch);
                }
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

/// `base` with a merge patch.
pub fn patched(base: &Json, patch: &Json) -> Json {
    let mut json = base.clone();
    merge(&mut json, patch);
    json
}

/// What differs at the root of two objects.
pub fn differences(a: &Value, b: &Value) -> String {
    let (Value::Object(left), Value::Object(right)) = (a, b) else {
        return format!("{a:?} and {b:?}");
    };
    let names = left.keys().chain(right.keys().filter(|name| !left.contains_key(*name)));
    names
        .filter(|name| a.get(name) != b.get(name))
        .map(|name| format!("\n  {name}: {:?}\n    -> {:?}", a.get(name), b.get(name)))
        .collect()
}

/// Names of the root attributes and blocks in which two objects differ.
pub fn changed(a: &Value, b: &Value) -> Vec<String> {
    let (Value::Object(left), Value::Object(right)) = (a, b) else {
        return Vec::new();
    };
    left.keys().filter(|name| left.get(*name) != right.get(*name)).cloned().collect()
}

pub fn dynamic(value: &Value, ty: &Type) -> Option<pb::DynamicValue> {
    Some(pb::DynamicValue { msgpack: msgpack::encode(value, ty), json: Vec::new() })
}

#[track_caller]
pub fn decode(value: &Option<pb::DynamicValue>, ty: &Type) -> Value {
    match value {
        None => Value::Null,
        Some(value) => {
            assert!(value.json.is_empty(), "answers are msgpack");
            msgpack::decode(&value.msgpack, ty).unwrap()
        }
    }
}

fn capable() -> pb::ClientCapabilities {
    pb::ClientCapabilities { deferral_allowed: false, write_only_attributes_allowed: true }
}

#[track_caller]
fn none(what: &str, complaints: &[Complaint]) {
    let all: String = complaints.iter().map(|complaint| format!("\n  {complaint}")).collect();
    assert!(complaints.is_empty(), "core would refuse the {what}:{all}");
}

// Diagnostics that core can show: with a severity, a summary, and a path that exists; and no bug of our own among them.
#[track_caller]
pub fn checked(block: &Block, diagnostics: Vec<pb::Diagnostic>) -> Told {
    for told in &diagnostics {
        assert!(matches!(told.severity, 1 | 2), "{told:?}");
        assert!(!told.summary.is_empty(), "{told:?}");
        assert!(!told.summary.contains("bug of its own"), "{}: {}", told.summary, told.detail);
        if let Some(path) = &told.attribute {
            resolve(block, path);
        }
    }
    Told(diagnostics)
}

// The path leads somewhere in the schema, and not into an element of a set.
#[track_caller]
pub fn resolve(block: &Block, path: &pb::AttributePath) {
    use pb::attribute_path::step::Selector;
    let text = path_text(Some(path));
    let mut steps = path.steps.iter().map(|step| step.selector.as_ref().unwrap()).peekable();
    let mut here = block;
    while let Some(step) = steps.next() {
        let Selector::AttributeName(name) = step else { panic!("{text} has no name where one belongs") };
        if here.attributes.iter().any(|attribute| attribute.name == *name) {
            // what comes after is inside a value
            return;
        }
        let nested = here.block_types.iter().find(|nested| nested.type_name == *name);
        let nested = nested.unwrap_or_else(|| panic!("{text}: there is no {name}"));
        match (nested.nesting(), steps.peek()) {
            (NestingMode::Set, next) => {
                assert!(next.is_none(), "{text} goes into a set");
                return;
            }
            (NestingMode::List, Some(Selector::ElementKeyInt(_))) => drop(steps.next()),
            (NestingMode::List, Some(_)) => panic!("{text} goes into a list without an index"),
            _ => {}
        }
        here = nested.block.as_ref().unwrap();
    }
}

// The value at a path; none where the path leads nowhere.
fn at<'v>(value: &'v Value, path: &pb::AttributePath) -> Option<&'v Value> {
    use pb::attribute_path::step::Selector;
    path.steps.iter().try_fold(value, |value, step| match step.selector.as_ref()? {
        Selector::AttributeName(name) => Some(value.get(name)),
        Selector::ElementKeyInt(index) => value.elements().get(usize::try_from(*index).ok()?),
        Selector::ElementKeyString(key) => match value {
            Value::Map(entries) => entries.get(key),
            _ => None,
        },
    })
}

// Collections of blocks are empty, never null.
#[track_caller]
fn no_null_blocks(block: &Block, value: &Value) {
    if !value.is_known() {
        return;
    }
    for nested in &block.block_types {
        let inner = value.get(&nested.type_name);
        if !no_block(nested).is_null() {
            assert!(!inner.is_null(), "the blocks {} are null", nested.type_name);
        }
        let body = nested.block.as_ref().unwrap();
        if inner.elements().is_empty() {
            no_null_blocks(body, inner);
        }
        for element in inner.elements() {
            no_null_blocks(body, element);
        }
    }
}
