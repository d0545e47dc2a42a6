//! Data sources: the trait that they implement with their typed model, and its form without the model type.

use std::time::Duration;

use async_trait::async_trait;

use super::Op;
use crate::schema::{Body, Diagnostics, Model, Slot, Value};

/// A data source. Its configuration is decoded and wholly known.
#[async_trait]
pub trait DataSource<C: Send + Sync>: Send + Sync + 'static {
    /// Its arguments and results.
    type Model: Model;

    /// Its name in HCL.
    fn type_name(&self) -> &'static str;

    /// Validates a configuration beyond its schema. Unknown values are not an error.
    fn validate(&self, _config: &Value, _diagnostics: &mut Diagnostics) {}

    /// Reads the data source. It may change arguments in the result; configured values are restored afterwards.
    async fn read(&self, context: &C, op: &Op, config: Self::Model) -> Result<Self::Model, Diagnostics>;
}

/// The default timeout of a data source.
pub const READ_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// A [`DataSource`] without its model type, so that one list can contain all data sources.
#[async_trait]
pub trait AnyDataSource<C: Send + Sync>: Send + Sync {
    /// See [`DataSource::type_name`].
    fn type_name(&self) -> &'static str;
    /// The schema.
    fn body(&self) -> Body;
    /// See [`DataSource::validate`].
    fn validate(&self, config: &Value, diagnostics: &mut Diagnostics);
    /// See [`DataSource::read`].
    async fn read(&self, context: &C, op: &Op, config: &Value) -> Result<Value, Diagnostics>;
}

#[async_trait]
impl<C: Send + Sync, D: DataSource<C>> AnyDataSource<C> for D {
    fn type_name(&self) -> &'static str {
        DataSource::type_name(self)
    }

    fn body(&self) -> Body {
        <D::Model as Model>::body()
    }

    fn validate(&self, config: &Value, diagnostics: &mut Diagnostics) {
        DataSource::validate(self, config, diagnostics);
    }

    async fn read(&self, context: &C, op: &Op, config: &Value) -> Result<Value, Diagnostics> {
        let model = DataSource::read(self, context, op, D::Model::decode(config)).await?;
        Ok(model.encode())
    }
}
