//! What a resource type must say and may say, in its own typed model; and the same seen without its type.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value as Json;

use super::timeouts::Defaults;
use super::{Draft, Op, Private};
use crate::schema::{Body, Diagnostic, Diagnostics, Model, Nesting, Slot, Value};

/// One attribute of a resource's identity; all are texts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IdentityField {
    /// Its name.
    pub name: &'static str,
    /// Must be given to import by identity; otherwise it may be left out.
    pub required: bool,
    /// What it is.
    pub doc: &'static str,
}

/// How an import names the object.
#[derive(Clone, Debug, PartialEq)]
pub enum ImportFrom {
    /// By the id that `terraform import` or `import { id = … }` gave.
    Id(String),
    /// By identity: the values given, none empty.
    Identity(BTreeMap<String, String>),
}

/// An object of another provider, or of another type of ours, that a `moved` block brings over.
#[derive(Clone, Debug)]
pub struct MoveSource {
    /// The provider's address, such as `registry.terraform.io/hashicorp/azurerm`.
    pub provider: String,
    /// The type there.
    pub type_name: String,
    /// The version of its schema.
    pub schema_version: i64,
    /// Its state, in its own schema.
    pub state: Json,
}

impl MoveSource {
    /// A text of the source's state.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.state.get(name)?.as_str()
    }
}

/// Why creating or updating did not end well, and what exists now.
#[derive(Debug)]
pub struct Failed<M> {
    /// What exists, as far as known; `None` when nothing came to be (or, for an update, nothing changed).
    pub state: Option<M>,
    /// What to tell the user.
    pub diagnostics: Diagnostics,
}

impl<M> Failed<M> {
    /// Failed after `state` came to be.
    pub fn with(state: M, diagnostics: impl Into<Diagnostics>) -> Failed<M> {
        Failed { state: Some(state), diagnostics: diagnostics.into() }
    }
}

impl<M, D: Into<Diagnostics>> From<D> for Failed<M> {
    fn from(diagnostics: D) -> Failed<M> {
        Failed { state: None, diagnostics: diagnostics.into() }
    }
}

/// A resource type. Values reach it decoded into its model, in which what is unknown or null is absent.
#[async_trait]
pub trait Resource<C: Send + Sync>: Send + Sync + 'static {
    /// Its attributes.
    type Model: Model;

    /// Its name in HCL.
    fn type_name(&self) -> &'static str;

    /// What identifies it for good.
    fn identity(&self) -> &'static [IdentityField];

    /// The values of [`identity`](Resource::identity), in its order; `None` for what is not known.
    fn identify(&self, model: &Self::Model) -> Vec<Option<String>>;

    /// The ID of the object, for a type of which two objects cannot share one. It is asked for only when every value of the
    /// identity is known, and must follow from the configuration alone: plans know it before the object exists.
    fn id(&self, _model: &Self::Model) -> Option<String> {
        None
    }

    /// How long its operations may take when the user says nothing.
    fn timeouts(&self) -> Defaults;

    /// The little of the model by which [`read`](Resource::read) can find the object that an import names.
    fn import(&self, context: Option<&C>, from: &ImportFrom) -> Result<Self::Model, Diagnostic>;

    /// Checks a configuration beyond what the schema says; values may be unknown, and unknown is no error.
    fn validate(&self, _config: &Value, _diagnostics: &mut Diagnostics) {}

    /// The resource's own say in a plan, pure: sets computed values that are known already, adds paths that force a
    /// replacement. Runs before it is decided whether anything changes. `context` is absent while the provider's
    /// configuration is unknown.
    fn prepare(&self, _context: Option<&C>, _draft: &mut Draft<'_>) {}

    /// Plans computed values of a new object that follow from other objects, such as the location of its parent. May ask the
    /// service; must plan the same again at apply, when those objects exist.
    async fn resolve(&self, _context: &C, _op: &Op, _draft: &mut Draft<'_>) {}

    /// Looks at a finished plan and objects to it; may ask the service, but may not change a value.
    async fn check(&self, _context: &C, _op: &Op, _draft: &Draft<'_>, _found: &mut Diagnostics) {}

    /// Looks at a planned destruction of `prior`, for warnings: nothing may stop a destroy at plan.
    fn check_destroy(&self, _context: Option<&C>, _prior: &Self::Model, _found: &mut Diagnostics) {}

    /// What exists now; `None` when it is gone for certain.
    async fn read(
        &self,
        context: &C,
        op: &Op,
        state: Self::Model,
        private: &mut Private,
    ) -> Result<Option<Self::Model>, Diagnostics>;

    /// Makes it.
    async fn create(
        &self,
        context: &C,
        op: &Op,
        plan: Self::Model,
        private: &mut Private,
    ) -> Result<Self::Model, Failed<Self::Model>>;

    /// Changes it in place.
    async fn update(
        &self,
        context: &C,
        op: &Op,
        prior: Self::Model,
        plan: Self::Model,
        private: &mut Private,
    ) -> Result<Self::Model, Failed<Self::Model>>;

    /// Removes it; fine when it is gone already.
    async fn delete(
        &self,
        context: &C,
        op: &Op,
        prior: Self::Model,
        private: &mut Private,
    ) -> Result<(), Diagnostics>;

    /// The model of an object that another provider's state describes; `None` when that type is none of ours to take.
    fn move_from(&self, _source: &MoveSource) -> Option<Result<Self::Model, Diagnostic>> {
        None
    }

    /// Changes a generated configuration so that it plans to no change.
    fn generate(&self, _config: &mut Value) {}
}

/// [`Failed`] without the model's type.
pub type FailedValue = (Option<Value>, Diagnostics);

/// A [`Resource`] in values, so that all of them fit in one list.
#[async_trait]
pub trait AnyResource<C: Send + Sync>: Send + Sync {
    /// See [`Resource::type_name`].
    fn type_name(&self) -> &'static str;
    /// The schema.
    fn body(&self) -> Body;
    /// See [`Resource::identity`].
    fn identity(&self) -> &'static [IdentityField];
    /// The identity of a state, as an object value.
    fn identify(&self, state: &Value) -> Value;
    /// The ID of an object or of a plan; `None` while it is not known, and for types whose objects may share one.
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
    /// See [`Resource::read`].
    async fn read(
        &self,
        context: &C,
        op: &Op,
        state: &Value,
        private: &mut Private,
    ) -> Result<Option<Value>, Diagnostics>;
    /// See [`Resource::create`].
    async fn create(
        &self,
        context: &C,
        op: &Op,
        plan: &Value,
        private: &mut Private,
    ) -> Result<Value, FailedValue>;
    /// See [`Resource::update`].
    async fn update(
        &self,
        context: &C,
        op: &Op,
        prior: &Value,
        plan: &Value,
        private: &mut Private,
    ) -> Result<Value, FailedValue>;
    /// See [`Resource::delete`].
    async fn delete(
        &self,
        context: &C,
        op: &Op,
        prior: &Value,
        private: &mut Private,
    ) -> Result<(), Diagnostics>;
    /// See [`Resource::move_from`].
    fn move_from(&self, source: &MoveSource) -> Option<Result<Value, Diagnostic>>;
    /// See [`Resource::generate`].
    fn generate(&self, config: &mut Value);
}

#[async_trait]
impl<C: Send + Sync, R: Resource<C>> AnyResource<C> for R {
    fn type_name(&self) -> &'static str {
        Resource::type_name(self)
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
        // an unknown text is decoded as an empty one
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

    async fn read(
        &self,
        context: &C,
        op: &Op,
        state: &Value,
        private: &mut Private,
    ) -> Result<Option<Value>, Diagnostics> {
        let read = Resource::read(self, context, op, model_of::<R::Model>(state), private).await?;
        Ok(read.map(|model| model.encode()))
    }

    async fn create(
        &self,
        context: &C,
        op: &Op,
        plan: &Value,
        private: &mut Private,
    ) -> Result<Value, FailedValue> {
        Resource::create(self, context, op, model_of::<R::Model>(plan), private)
            .await
            .map(|model| model.encode())
            .map_err(|failed| (failed.state.map(|model| model.encode()), failed.diagnostics))
    }

    async fn update(
        &self,
        context: &C,
        op: &Op,
        prior: &Value,
        plan: &Value,
        private: &mut Private,
    ) -> Result<Value, FailedValue> {
        let (prior, plan) = (model_of::<R::Model>(prior), model_of::<R::Model>(plan));
        Resource::update(self, context, op, prior, plan, private)
            .await
            .map(|model| model.encode())
            .map_err(|failed| (failed.state.map(|model| model.encode()), failed.diagnostics))
    }

    async fn delete(
        &self,
        context: &C,
        op: &Op,
        prior: &Value,
        private: &mut Private,
    ) -> Result<(), Diagnostics> {
        Resource::delete(self, context, op, model_of::<R::Model>(prior), private).await
    }

    fn move_from(&self, source: &MoveSource) -> Option<Result<Value, Diagnostic>> {
        Resource::move_from(self, source).map(|moved| moved.map(|model| model.encode()))
    }

    fn generate(&self, config: &mut Value) {
        Resource::generate(self, config);
    }
}

// The model of a value. A group block with nothing but defaults is absent to the resource.
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
