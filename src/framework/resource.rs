//! Resource types: the trait that they implement with their typed model, and its form without the model type.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value as Json;

use super::timeouts::Defaults;
use super::{Draft, Op, Private};
use crate::schema::{Body, Diagnostic, Diagnostics, Model, Nesting, Slot, Value};

/// One attribute of a resource's identity; all are strings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IdentityField {
    /// Its name.
    pub name: &'static str,
    /// Whether an import by identity must set it.
    pub required: bool,
    /// Its documentation.
    pub doc: &'static str,
}

/// The object that an import names.
#[derive(Clone, Debug, PartialEq)]
pub enum ImportFrom {
    /// By the ID of `terraform import` or `import { id = … }`.
    Id(String),
    /// By identity: the non-empty values.
    Identity(BTreeMap<String, String>),
}

/// An object of another resource type, usually of another provider, that a `moved` block names.
#[derive(Clone, Debug)]
pub struct MoveSource {
    /// The provider's address, such as `registry.terraform.io/hashicorp/azurerm`.
    pub provider: String,
    /// The resource type there.
    pub type_name: String,
    /// Its schema version.
    pub schema_version: i64,
    /// Its state, in the schema of its own type.
    pub state: Json,
}

/// Objects that `moved` blocks can move to a resource type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MoveFrom {
    /// Their resource type, such as `azurerm_image`.
    pub type_name: &'static str,
    /// Only those whose attribute `type` has this value, ignoring case and a version after `@`.
    pub kind: Option<&'static str>,
}

impl MoveFrom {
    /// Whether `source` is such an object. The provider's address does not matter: for some instances of a `count`, OpenTofu
    /// sends that of the target's provider.
    pub fn matches(&self, source: &MoveSource) -> bool {
        let kind = || source.text("type").and_then(|kind| kind.split('@').next());
        source.type_name == self.type_name
            && self.kind.is_none_or(|wanted| kind().is_some_and(|kind| kind.eq_ignore_ascii_case(wanted)))
    }
}

impl MoveSource {
    /// A string attribute of the source's state.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.state.get(name)?.as_str()
    }
}

/// A failed create or update: the errors, and the object as it is now.
#[derive(Debug)]
pub struct Failed<M> {
    /// The object, as far as it is known; `None` if nothing was created (or, for an update, changed).
    pub state: Option<M>,
    /// The errors and warnings.
    pub diagnostics: Diagnostics,
}

impl<M> Failed<M> {
    /// A failure after `state` was created.
    pub fn with(state: M, diagnostics: impl Into<Diagnostics>) -> Failed<M> {
        Failed { state: Some(state), diagnostics: diagnostics.into() }
    }
}

impl<M, D: Into<Diagnostics>> From<D> for Failed<M> {
    fn from(diagnostics: D) -> Failed<M> {
        Failed { state: None, diagnostics: diagnostics.into() }
    }
}

/// What an operation gets besides the values of the object.
pub struct Call<'a, C> {
    /// The configured provider.
    pub context: &'a C,
    /// The time limit, the interrupt and the warnings.
    pub op: &'a Op,
    /// The private state of the object, which is stored with its state after the operation.
    pub private: &'a mut Private,
}

impl<'a, C> Call<'a, C> {
    /// A call of an operation.
    pub fn new(context: &'a C, op: &'a Op, private: &'a mut Private) -> Call<'a, C> {
        Call { context, op, private }
    }
}

/// A resource type: its schema, identity, imports and plans. Its values are decoded into its model, where unknown and null are
/// absent.
#[async_trait]
pub trait Resource<C: Send + Sync>: Send + Sync + 'static {
    /// Its attributes.
    type Model: Model;

    /// Its name in HCL.
    const TYPE_NAME: &'static str;

    /// The attributes of its identity, which never change.
    fn identity(&self) -> &'static [IdentityField];

    /// The values of [`identity`](Resource::identity), in its order; `None` for a value that is not known.
    fn identify(&self, model: &Self::Model) -> Vec<Option<String>>;

    /// The ID of the object, for types whose IDs are unique. It is requested only when the whole identity is known, and must
    /// depend only on the configuration, so that plans know it before the object exists.
    fn id(&self, _model: &Self::Model) -> Option<String> {
        None
    }

    /// The default timeouts of its operations.
    fn timeouts(&self) -> Defaults;

    /// The part of the model that [`read`](Operations::read) needs to find the object that an import names.
    fn import(&self, context: Option<&C>, from: &ImportFrom) -> Result<Self::Model, Diagnostic>;

    /// Validates a configuration beyond its schema. Unknown values are not an error.
    fn validate(&self, _config: &Value, _diagnostics: &mut Diagnostics) {}

    /// Changes a plan without I/O: sets computed values that are known already and adds paths that force a replacement. Runs
    /// before it is decided whether anything changes. `context` is absent while the provider's configuration is unknown.
    fn prepare(&self, _context: Option<&C>, _draft: &mut Draft<'_>) {}

    /// Plans computed values of a new object that depend on other objects, such as the location of its parent. May call the
    /// service. Must plan the same values again at apply, when those objects exist.
    async fn resolve(&self, _context: &C, _op: &Op, _draft: &mut Draft<'_>) {}

    /// Checks a finished plan and reports errors. May call the service, but cannot change a value.
    async fn check(&self, _context: &C, _op: &Op, _draft: &Draft<'_>, _found: &mut Diagnostics) {}

    /// Adds warnings to a planned destroy of `prior`. A plan must never refuse a destroy.
    fn check_destroy(&self, _context: Option<&C>, _prior: &Self::Model, _found: &mut Diagnostics) {}

    /// The objects of other types that can be moved here.
    fn moves_from(&self) -> Vec<MoveFrom> {
        Vec::new()
    }

    /// The model of an object that [`moves_from`](Resource::moves_from) lists, as an import makes it.
    fn move_from(&self, source: &MoveSource) -> Result<Self::Model, Diagnostic> {
        self.import(None, &ImportFrom::Id(source.text("id").unwrap_or_default().to_owned()))
    }

    /// Adjusts a generated configuration so that it plans no changes.
    fn generate(&self, _config: &mut Value) {}
}

/// How the objects of a resource type are read and written.
#[async_trait]
pub trait Operations<C: Send + Sync>: Resource<C> {
    /// The object as it is now; `None` only if it certainly does not exist.
    async fn read(&self, call: Call<'_, C>, state: Self::Model) -> Result<Option<Self::Model>, Diagnostics>;

    /// Creates the object.
    async fn create(&self, call: Call<'_, C>, plan: Self::Model) -> Result<Self::Model, Failed<Self::Model>>;

    /// Updates the object in place.
    async fn update(
        &self,
        call: Call<'_, C>,
        prior: Self::Model,
        plan: Self::Model,
    ) -> Result<Self::Model, Failed<Self::Model>>;

    /// Deletes the object. Succeeds if it does not exist any more.
    async fn delete(&self, call: Call<'_, C>, prior: Self::Model) -> Result<(), Diagnostics>;
}

/// [`Failed`] without the model type.
pub type FailedValue = (Option<Value>, Diagnostics);

/// A [`Resource`] without its model type, so that one list can contain all resources.
#[async_trait]
pub trait AnyResource<C: Send + Sync>: Send + Sync {
    /// See [`Resource::TYPE_NAME`].
    fn type_name(&self) -> &'static str;
    /// The schema.
    fn body(&self) -> Body;
    /// See [`Resource::identity`].
    fn identity(&self) -> &'static [IdentityField];
    /// The identity of a state, as an object value.
    fn identify(&self, state: &Value) -> Value;
    /// The ID of a state or plan; `None` while it is not known, and for types whose IDs are not unique.
    fn object_id(&self, value: &Value) -> Option<String>;
    /// See [`Resource::timeouts`].
    fn timeouts(&self) -> Defaults;
    /// See [`Resource::import`].
    fn import(&self, context: Option<&C>, from: &ImportFrom) -> Result<Value, Diagnostic>;
    /// See [`Resource::validate`].
    fn validate(&self, config: &Value, diagnostics: &mut Diagnostics);
    /// See [`Resource::prepare`].
    fn prepare(&self, context: Option<&C>, draft: &mut Draft<'_>);
    /// See [`Resource::resolve`].
    async fn resolve(&self, context: &C, op: &Op, draft: &mut Draft<'_>);
    /// See [`Resource::check`].
    async fn check(&self, context: &C, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics);
    /// See [`Resource::check_destroy`].
    fn check_destroy(&self, context: Option<&C>, prior: &Value, found: &mut Diagnostics);
    /// See [`Operations::read`].
    async fn read(&self, call: Call<'_, C>, state: &Value) -> Result<Option<Value>, Diagnostics>;
    /// See [`Operations::create`].
    async fn create(&self, call: Call<'_, C>, plan: &Value) -> Result<Value, FailedValue>;
    /// See [`Operations::update`].
    async fn update(&self, call: Call<'_, C>, prior: &Value, plan: &Value) -> Result<Value, FailedValue>;
    /// See [`Operations::delete`].
    async fn delete(&self, call: Call<'_, C>, prior: &Value) -> Result<(), Diagnostics>;
    /// See [`Resource::moves_from`].
    fn moves_from(&self) -> Vec<MoveFrom>;
    /// See [`Resource::move_from`].
    fn move_from(&self, source: &MoveSource) -> Result<Value, Diagnostic>;
    /// See [`Resource::generate`].
    fn generate(&self, config: &mut Value);
}

#[async_trait]
impl<C: Send + Sync, R: Operations<C>> AnyResource<C> for R {
    fn type_name(&self) -> &'static str {
        R::TYPE_NAME
    }

    fn body(&self) -> Body {
        <R::Model as Model>::body()
    }

    fn identity(&self) -> &'static [IdentityField] {
        Resource::identity(self)
    }

    fn identify(&self, state: &Value) -> Value {
        let values = Resource::identify(self, &model_of::<R::Model>(state));
        Value::object(
            Resource::identity(self)
                .iter()
                .zip(values)
                .map(|(field, value)| (field.name, value.map_or(Value::Null, Value::String))),
        )
    }

    fn object_id(&self, value: &Value) -> Option<String> {
        if !value.is_known() {
            return None;
        }
        let model = model_of::<R::Model>(value);
        let identity = Resource::identify(self, &model);
        // an unknown string is decoded as an empty one
        let is_known = identity.iter().all(|text| text.as_deref().is_some_and(|text| !text.is_empty()));
        if is_known { Resource::id(self, &model) } else { None }
    }

    fn timeouts(&self) -> Defaults {
        Resource::timeouts(self)
    }

    fn import(&self, context: Option<&C>, from: &ImportFrom) -> Result<Value, Diagnostic> {
        Resource::import(self, context, from).map(|model| model.encode())
    }

    fn validate(&self, config: &Value, diagnostics: &mut Diagnostics) {
        Resource::validate(self, config, diagnostics);
    }

    fn prepare(&self, context: Option<&C>, draft: &mut Draft<'_>) {
        Resource::prepare(self, context, draft);
    }

    async fn resolve(&self, context: &C, op: &Op, draft: &mut Draft<'_>) {
        Resource::resolve(self, context, op, draft).await;
    }

    async fn check(&self, context: &C, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
        Resource::check(self, context, op, draft, found).await;
    }

    fn check_destroy(&self, context: Option<&C>, prior: &Value, found: &mut Diagnostics) {
        Resource::check_destroy(self, context, &R::Model::decode(prior), found);
    }

    async fn read(&self, call: Call<'_, C>, state: &Value) -> Result<Option<Value>, Diagnostics> {
        let read = Operations::read(self, call, model_of::<R::Model>(state)).await?;
        Ok(read.map(|model| model.encode()))
    }

    async fn create(&self, call: Call<'_, C>, plan: &Value) -> Result<Value, FailedValue> {
        Operations::create(self, call, model_of::<R::Model>(plan))
            .await
            .map(|model| model.encode())
            .map_err(|failed| (failed.state.map(|model| model.encode()), failed.diagnostics))
    }

    async fn update(&self, call: Call<'_, C>, prior: &Value, plan: &Value) -> Result<Value, FailedValue> {
        let (prior, plan) = (model_of::<R::Model>(prior), model_of::<R::Model>(plan));
        Operations::update(self, call, prior, plan)
            .await
            .map(|model| model.encode())
            .map_err(|failed| (failed.state.map(|model| model.encode()), failed.diagnostics))
    }

    async fn delete(&self, call: Call<'_, C>, prior: &Value) -> Result<(), Diagnostics> {
        Operations::delete(self, call, model_of::<R::Model>(prior)).await
    }

    fn moves_from(&self) -> Vec<MoveFrom> {
        Resource::moves_from(self)
    }

    fn move_from(&self, source: &MoveSource) -> Result<Value, Diagnostic> {
        Resource::move_from(self, source).map(|model| model.encode())
    }

    fn generate(&self, config: &mut Value) {
        Resource::generate(self, config);
    }
}

// The model of a value. The resource sees a group block with nothing but defaults as absent.
fn model_of<M: Model>(value: &Value) -> M {
    let groups = M::schema().blocks.iter().filter(|block| block.nesting == Nesting::Group);
    let absent: Vec<_> =
        groups.filter(|block| has_only_defaults(&block.body, value.get(block.name))).collect();
    if absent.is_empty() {
        return M::decode(value);
    }
    let mut value = value.clone();
    for block in absent {
        value.set(block.name, Value::Null);
    }
    M::decode(&value)
}

fn has_only_defaults(body: &Body, value: &Value) -> bool {
    value.is_known()
        && body.attributes.iter().all(|attribute| {
            let value = value.get(attribute.name);
            value.is_unset() || attribute.default.as_ref() == Some(value)
        })
        && body.blocks.iter().all(|block| value.get(block.name).is_empty())
}
