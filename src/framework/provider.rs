//! The provider: its resource types and configuration, and the server that uses them to answer the protocol's requests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::action::{ActionEntry, AnyAction};
use super::data_source::{AnyDataSource, READ_TIMEOUT};
use super::function::Function;
use super::list::{AnyListResource, ListEntry};
use super::registered::Registered;
use super::resource::AnyResource;
use super::run_ids::RunIds;
use super::timeouts::Defaults;
use super::{FunctionError, Op};
use crate::schema::{Body, Diagnostic, Diagnostics, Path, Type, Value};
use crate::sync::{lock, read, write};

/// A provider: its schema, and everything that it registers.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// What a configured provider passes to its resources.
    type Context: Send + Sync + 'static;

    /// The schema of the provider block.
    fn body(&self) -> Body;

    /// Its resource types.
    fn resources(&self) -> Vec<Box<dyn AnyResource<Self::Context>>>;

    /// Its data sources.
    fn data_sources(&self) -> Vec<Box<dyn AnyDataSource<Self::Context>>>;

    /// Its list resources; each has the name of one of its resource types.
    fn list_resources(&self) -> Vec<Box<dyn AnyListResource<Self::Context>>> {
        Vec::new()
    }

    /// Its actions.
    fn actions(&self) -> Vec<Box<dyn AnyAction<Self::Context>>> {
        Vec::new()
    }

    /// Its functions.
    fn functions(&self) -> Vec<Box<dyn Function>>;

    /// Validates the provider block beyond its schema. Unknown values are not an error.
    fn validate(&self, _config: &Value, _diagnostics: &mut Diagnostics) {}

    /// Checks, when a new object is planned, for causes that would fail every apply: no credentials, or no connection.
    async fn check(&self, _context: &Self::Context, _op: &Op, _found: &mut Diagnostics) {}

    /// Creates the context. `config` is wholly known. Must not make requests: not every run needs them.
    fn configure(
        &self,
        config: &Value,
        terraform_version: &str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self::Context>;
}

/// A resource type with its schema, which is built once.
pub struct Entry<C: Send + Sync> {
    /// The resource.
    pub resource: Box<dyn AnyResource<C>>,
    body: OnceLock<Body>,
    ty: OnceLock<Type>,
}

impl<C: Send + Sync> Entry<C> {
    /// The schema.
    pub fn body(&self) -> &Body {
        self.body.get_or_init(|| self.resource.body())
    }

    /// The type of its states.
    pub fn ty(&self) -> &Type {
        self.ty.get_or_init(|| self.body().ty())
    }

    /// The type of its identity.
    pub fn identity_ty(&self) -> Type {
        Type::object(self.resource.identity().iter().map(|field| (field.name, Type::String)))
    }
}

/// A data source with its schema, which is built once.
pub struct DataEntry<C: Send + Sync> {
    /// The data source.
    pub source: Box<dyn AnyDataSource<C>>,
    body: OnceLock<Body>,
    ty: OnceLock<Type>,
}

impl<C: Send + Sync> DataEntry<C> {
    /// The schema.
    pub fn body(&self) -> &Body {
        self.body.get_or_init(|| self.source.body())
    }

    /// The type of its results.
    pub fn ty(&self) -> &Type {
        self.ty.get_or_init(|| self.body().ty())
    }
}

/// Whether the provider is configured.
pub(super) enum Configured<C> {
    /// Not yet.
    No,
    /// Its configuration contains unknown values: plans have no context.
    Unknown,
    /// Configured.
    Yes(Arc<C>),
}

/// Answers the protocol's requests with a [`Provider`].
pub struct Server<P: Provider> {
    provider: Arc<P>,
    resources: BTreeMap<&'static str, Entry<P::Context>>,
    data_sources: BTreeMap<&'static str, DataEntry<P::Context>>,
    pub(super) lists: BTreeMap<&'static str, ListEntry<P::Context>>,
    pub(super) actions: BTreeMap<&'static str, ActionEntry<P::Context>>,
    functions: BTreeMap<&'static str, Box<dyn Function>>,
    body: OnceLock<Body>,
    ty: OnceLock<Type>,
    configured: RwLock<Configured<P::Context>>,
    stop: Mutex<CancellationToken>,
    run_ids: Arc<RunIds>,
    /// Whether a plan or a read of this graph walk has returned an error, so that the walk fails.
    is_failing: AtomicBool,
    /// Whether the host is about to destroy everything.
    is_destroying: fn() -> bool,
}

impl<P: Provider> Server<P> {
    /// A server of `provider`, not configured yet.
    pub fn new(provider: P) -> Server<P> {
        Server::of(Arc::new(provider))
    }

    /// The same server, which asks `is_destroying` whether its host is about to destroy everything.
    ///
    /// Before it destroys, Terraform plans the whole configuration as if to apply it, and stops at the first error. Nothing
    /// of that plan is applied, so its errors must not stop the destroy.
    pub fn detecting_destroy(self, is_destroying: fn() -> bool) -> Server<P> {
        Server { is_destroying, ..self }
    }

    fn of(provider: Arc<P>) -> Server<P> {
        let entry = |resource: Box<dyn AnyResource<P::Context>>| Entry {
            resource,
            body: OnceLock::new(),
            ty: OnceLock::new(),
        };
        let data_entry = |source: Box<dyn AnyDataSource<P::Context>>| DataEntry {
            source,
            body: OnceLock::new(),
            ty: OnceLock::new(),
        };
        Server {
            resources: provider
                .resources()
                .into_iter()
                .map(|resource| (resource.type_name(), entry(resource)))
                .collect(),
            data_sources: provider
                .data_sources()
                .into_iter()
                .map(|source| (source.type_name(), data_entry(source)))
                .collect(),
            lists: provider
                .list_resources()
                .into_iter()
                .map(|list| (list.type_name(), Registered::new(list, |list| list.body())))
                .collect(),
            actions: provider
                .actions()
                .into_iter()
                .map(|action| (action.type_name(), Registered::new(action, |action| action.body())))
                .collect(),
            functions: provider.functions().into_iter().map(|function| (function.name(), function)).collect(),
            provider,
            body: OnceLock::new(),
            ty: OnceLock::new(),
            configured: RwLock::new(Configured::No),
            stop: Mutex::new(CancellationToken::new()),
            run_ids: Arc::default(),
            is_failing: AtomicBool::new(false),
            is_destroying: || false,
        }
    }

    /// A server with the same provider for another Terraform process, not configured yet.
    pub fn separate(&self) -> Server<P> {
        Server::of(self.provider.clone()).detecting_destroy(self.is_destroying)
    }

    /// The schema of the provider block.
    pub fn body(&self) -> &Body {
        self.body.get_or_init(|| self.provider.body())
    }

    /// The type of the provider block.
    pub fn ty(&self) -> &Type {
        self.ty.get_or_init(|| self.body().ty())
    }

    /// All resource types, by name.
    pub fn resources(&self) -> impl Iterator<Item = (&'static str, &Entry<P::Context>)> {
        self.resources.iter().map(|(name, entry)| (*name, entry))
    }

    /// All data sources, by name.
    pub fn data_sources(&self) -> impl Iterator<Item = (&'static str, &DataEntry<P::Context>)> {
        self.data_sources.iter().map(|(name, entry)| (*name, entry))
    }

    /// All functions, by name.
    pub fn functions(&self) -> impl Iterator<Item = &dyn Function> {
        self.functions.values().map(|function| &**function)
    }

    /// The resource type `name`.
    pub fn resource(&self, name: &str) -> Result<&Entry<P::Context>, Diagnostics> {
        self.resources.get(name).ok_or_else(|| unsupported("resource type", name))
    }

    /// The data source `name`.
    pub fn data_source(&self, name: &str) -> Result<&DataEntry<P::Context>, Diagnostics> {
        self.data_sources.get(name).ok_or_else(|| unsupported("data source", name))
    }

    /// Validates a provider block.
    pub fn validate_provider(&self, config: &Value) -> Diagnostics {
        let mut found = Diagnostics::new();
        self.body().validate(config, &Path::root(), &mut found);
        self.provider.validate(config, &mut found);
        found
    }

    /// Configures the provider. Terraform does so at the start of each graph walk, and a process in debug mode serves several:
    /// the last configuration applies.
    pub fn configure(&self, config: &Value, terraform_version: &str) -> Diagnostics {
        self.run_ids.clear();
        self.is_failing.store(false, Ordering::Relaxed);
        let mut found = Diagnostics::new();
        let configured = if !config.is_wholly_known() {
            Configured::Unknown
        } else {
            match self.provider.configure(config, terraform_version, &mut found) {
                Some(context) => Configured::Yes(Arc::new(context)),
                None => Configured::No,
            }
        };
        *write(&self.configured) = configured;
        found
    }

    /// Validates the configuration of a resource. Unknown values are not an error.
    pub fn validate_resource(&self, entry: &Entry<P::Context>, config: &Value) -> Diagnostics {
        let mut found = Diagnostics::new();
        if config.is_known() {
            entry.body().validate(config, &Path::root(), &mut found);
            entry.resource.validate(config, &mut found);
        }
        self.unless_destroying(found)
    }

    /// Validates the configuration of a data source. Unknown values are not an error.
    pub fn validate_data_source(&self, entry: &DataEntry<P::Context>, config: &Value) -> Diagnostics {
        let mut found = Diagnostics::new();
        if config.is_known() {
            entry.body().validate(config, &Path::root(), &mut found);
            entry.source.validate(config, &mut found);
        }
        found
    }

    /// Reads a data source. Configured values stay exactly as the user wrote them.
    pub async fn read_data_source(
        &self,
        entry: &DataEntry<P::Context>,
        config: &Value,
    ) -> (Option<Value>, Diagnostics) {
        let context = match self.ready() {
            Ok(context) => context,
            Err(found) => return (None, found),
        };
        let defaults = Defaults { read: READ_TIMEOUT, ..Defaults::minutes(0, 0, 0, 0) };
        let op = Op::new(defaults.configured(config).read, self.stop_token()).with_run_ids(self.run_ids());
        let read = match self.planned_argument(entry, config) {
            Some(error) => Err(error.into()),
            None => entry.source.read(&context, &op, config).await,
        };
        match read {
            Ok(state) => (Some(as_configured(entry.body(), config, state)), op.take_warnings()),
            // Terraform reads data sources before a destroy, but does not need their results
            Err(errors) if self.is_about_to_destroy() => {
                tracing::info!(?errors, "a data source cannot be read before the destroy");
                (Some(without_results(entry.body(), config)), op.take_warnings())
            }
            Err(errors) => {
                let mut found = op.take_warnings();
                found.extend(errors);
                (None, found)
            }
        }
    }

    /// Calls a function. No parameter allows unknown values, so Terraform Core never passes any.
    pub fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, FunctionError> {
        let function = self.functions.get(name).ok_or_else(|| FunctionError {
            text: format!("There is no function {name:?} in this provider."),
            argument: None,
        })?;
        for (index, argument) in arguments.iter().enumerate() {
            if argument.is_null() {
                return Err(FunctionError::argument(index as i64, "must not be null"));
            }
        }
        function.call(arguments)
    }

    /// The function `name`.
    pub fn function(&self, name: &str) -> Option<&dyn Function> {
        self.functions.get(name).map(|function| &**function)
    }

    /// Stops the running operations, after the user has interrupted the run. They end soon and return the actual state. Later
    /// operations run normally.
    pub fn stop(&self) {
        let mut token = lock(&self.stop);
        std::mem::replace(&mut *token, CancellationToken::new()).cancel();
    }

    /// A token that the next [`stop`](Server::stop) cancels.
    pub fn stop_token(&self) -> CancellationToken {
        lock(&self.stop).clone()
    }

    /// The context, if the provider is configured and its configuration is known.
    pub fn context(&self) -> Option<Arc<P::Context>> {
        match &*read(&self.configured) {
            Configured::Yes(context) => Some(context.clone()),
            _ => None,
        }
    }

    /// Whether the provider's configuration depends on values that are known only after apply.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(&*read(&self.configured), Configured::Unknown)
    }

    /// The objects of this run, by ID.
    pub fn run_ids(&self) -> &Arc<RunIds> {
        &self.run_ids
    }

    /// Whether the host is about to destroy everything, so that nothing planned now is applied.
    pub(super) fn is_about_to_destroy(&self) -> bool {
        (self.is_destroying)()
    }

    /// `found` without its errors when the host is about to destroy everything.
    pub(super) fn unless_destroying(&self, mut found: Diagnostics) -> Diagnostics {
        if found.has_errors() && self.is_about_to_destroy() {
            tracing::info!(?found, "errors of the plan before a destroy are dropped");
            found.0.retain(|diagnostic| !diagnostic.is_error());
        }
        found
    }

    /// `found`, of a plan or a read, without errors that only refer to another one, once that one has been returned: it fails
    /// the run, so that 40 resources need not all say that signing in failed.
    pub(super) async fn without_repeats(&self, mut found: Diagnostics) -> Diagnostics {
        if found.0.iter().any(|diagnostic| diagnostic.is_error() && !diagnostic.is_repeat) {
            self.is_failing.store(true, Ordering::Relaxed);
        } else if found.has_errors() && self.has_returned_an_error().await {
            found.0.retain(|diagnostic| !diagnostic.is_error());
        }
        found
    }

    // Calls run concurrently: the one with the reason may return after those that refer to it.
    async fn has_returned_an_error(&self) -> bool {
        for _ in 0..20 {
            if self.is_failing.load(Ordering::Relaxed) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    // The error for a data source that names an object which this configuration has yet to create: it would not find it, or
    // find it empty.
    fn planned_argument(&self, entry: &DataEntry<P::Context>, config: &Value) -> Option<Diagnostic> {
        let arguments = entry.body().attributes.iter().map(|attribute| attribute.name);
        let (name, id) = arguments
            .filter_map(|name| Some((name, config.get(name).as_str()?)))
            .find(|(_, id)| self.run_ids.is_to_be_created(id))?;
        let error = Diagnostic::error(
            format!("{} cannot be read yet", entry.source.type_name()),
            format!(
                "{id} does not exist yet: this configuration creates it. Take the value from the resource itself, or add \
                 depends_on with the resource to this data source, so that it is read during apply."
            ),
        );
        Some(error.at(Path::attribute(name)))
    }

    /// See [`Provider::check`].
    pub(super) async fn check_provider(&self, context: &P::Context, op: &Op, found: &mut Diagnostics) {
        self.provider.check(context, op, found).await;
    }

    /// The context, or an error that says why there is none.
    pub(super) fn ready(&self) -> Result<Arc<P::Context>, Diagnostics> {
        self.context().ok_or_else(|| {
            let why = if self.is_unknown() {
                "The provider block depends on values that are known only after apply. Apply what it depends on first \
                 (terraform apply -target=…), or give it known values."
            } else {
                "Terraform sent a request before it configured the provider."
            };
            Diagnostic::error("The provider is not configured", why).into()
        })
    }
}

pub(super) fn unsupported(kind: &str, name: &str) -> Diagnostics {
    Diagnostic::error(
        format!("There is no {kind} {name:?} in this provider"),
        "Check the spelling, and that the provider is new enough.",
    )
    .into()
}

// The result of a data source that found nothing: the configuration, and empty collections.
fn without_results(body: &Body, config: &Value) -> Value {
    let mut result = config.clone();
    for attribute in body.attributes.iter().filter(|attribute| attribute.is_computed()) {
        if !matches!(attribute.ty, Type::String) && config.get(attribute.name).is_null() {
            result.set(attribute.name, Value::empty(&attribute.ty));
        }
    }
    result
}

// Terraform Core plans a deferred read with the configured values, so the result must contain them unchanged, except for
// attributes that the read resolves.
fn as_configured(body: &Body, config: &Value, state: Value) -> Value {
    let Value::Object(mut fields) = state else {
        return state;
    };
    for attribute in &body.attributes {
        let given = config.get(attribute.name);
        if attribute.resolved && fields.get(attribute.name).is_some_and(Value::is_known) {
            continue;
        }
        if !given.is_null() || !attribute.is_computed() {
            fields.insert(attribute.name.to_owned(), given.clone());
        }
    }
    for block in &body.blocks {
        let computed = block.body.attributes.iter().all(|a| !a.is_configurable());
        if !computed {
            fields.insert(block.name.to_owned(), config.get(block.name).clone());
        }
    }
    Value::Object(fields)
}
