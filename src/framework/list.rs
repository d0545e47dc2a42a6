//! List resources: the existing objects of a resource type, for `terraform query` (Terraform 1.14 and later).

use async_trait::async_trait;

use super::Op;
use super::registered::Registered;
use crate::schema::{Body, Diagnostics, Model, Slot, Value};

/// A list resource. It only finds objects: their state and identity come from the resource type of the same name, as
/// after an import, so that generated configuration plans to no change.
#[async_trait]
pub trait ListResource<C: Send + Sync>: Send + Sync + 'static {
    /// The arguments of its `config` block.
    type Model: Model;

    /// The name of the resource type whose objects it lists.
    fn type_name(&self) -> &'static str;

    /// The schema of the `config` block.
    fn body(&self) -> Body {
        <Self::Model as Model>::body()
    }

    /// Validates a configuration beyond its schema. Unknown values are not an error.
    fn validate(&self, _config: &Value, _found: &mut Diagnostics) {}

    /// Finds the objects. Their order must be stable: Terraform numbers the generated blocks by it.
    async fn list(&self, context: &C, op: &Op, config: Self::Model) -> Result<Vec<Found>, Diagnostics>;
}

/// An object that a list resource has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The ID with which it can be imported.
    pub id: String,
    /// Its display name.
    pub display_name: String,
}

/// A [`ListResource`] without its model type, so that one list can contain all list resources.
#[async_trait]
pub trait AnyListResource<C: Send + Sync>: Send + Sync {
    /// See [`ListResource::type_name`].
    fn type_name(&self) -> &'static str;
    /// See [`ListResource::body`].
    fn body(&self) -> Body;
    /// See [`ListResource::validate`].
    fn validate(&self, config: &Value, found: &mut Diagnostics);
    /// See [`ListResource::list`].
    async fn list(&self, context: &C, op: &Op, config: &Value) -> Result<Vec<Found>, Diagnostics>;
}

#[async_trait]
impl<C: Send + Sync, L: ListResource<C>> AnyListResource<C> for L {
    fn type_name(&self) -> &'static str {
        ListResource::type_name(self)
    }

    fn body(&self) -> Body {
        ListResource::body(self)
    }

    fn validate(&self, config: &Value, found: &mut Diagnostics) {
        ListResource::validate(self, config, found);
    }

    async fn list(&self, context: &C, op: &Op, config: &Value) -> Result<Vec<Found>, Diagnostics> {
        ListResource::list(self, context, op, L::Model::decode(config)).await
    }
}

/// A registered list resource.
pub type ListEntry<C> = Registered<dyn AnyListResource<C>>;

/// One object in the response to a query.
pub struct Listed {
    /// Its display name.
    pub display_name: String,
    /// Its identity.
    pub identity: Value,
    /// Its state, if it was requested.
    pub state: Option<Value>,
}
