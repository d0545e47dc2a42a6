//! Reads data sources and returns their result together with their diagnostics.

use super::core::oracle::implied_type;
use super::core::{Core, Diagnostics, Json, checked, decode, dynamic, pb, value};
use azimage::schema::Value;
use pb::provider_server::Provider as _;
use tonic::Request;

impl Core {
    /// Calls ReadDataSource and returns the state and all diagnostics, including the warnings that [`Core::data`]
    /// drops. The state is `None` if there were errors.
    pub async fn read_data_source(&self, type_name: &str, config: &Json) -> (Option<Value>, Diagnostics) {
        let block = self.schema.data_source_schemas[type_name].block.as_ref().unwrap();
        let ty = implied_type(block);
        let request = pb::read_data_source::Request {
            type_name: type_name.into(),
            config: dynamic(&value(block, config), &ty),
            provider_meta: None,
            client_capabilities: Some(Default::default()),
        };
        let answer = self.service.read_data_source(Request::new(request)).await.unwrap().into_inner();
        let diagnostics = checked(block, answer.diagnostics);
        let state = (!diagnostics.has_errors()).then(|| decode(&answer.state, &ty));
        (state, diagnostics)
    }
}
