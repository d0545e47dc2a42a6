//! What a data source must say: its model and how it is looked up.

use std::time::Duration;

use async_trait::async_trait;

use super::Op;
use crate::schema::{Body, Diagnostics, Model, Slot, Value};

/// A data source. Its configuration reaches it decoded, wholly known.
#[async_trait]
pub trait DataSource<C: Send + Sync>: Send + Sync + 'static {
    /// Its arguments and results.
    type Model: Model;

    /// Its name in HCL.
    fn type_name(&self) -> &'static str;

    /// Checks a configuration beyond what the schema says; values may be unknown, and unknown is no error.
    fn validate(&self, _config: &Value, _diagnostics: &mut Diagnostics) {}

    /// Looks it up. Arguments may be filled or left: what the user wrote always stays as written.
    async fn read(&self, context: &C, op: &Op, config: Self::Model) -> Result<Self::Model, Diagnostics>;
}

/// How long a data source may take when the user says nothing.
pub const READ_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// A [`DataSource`] in values, so that all of them fit in one list.
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
