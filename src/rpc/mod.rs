//! Plugin protocol 5: one short function per RPC over [`framework::Server`](crate::framework::Server). Makes no decisions.

mod answer;
mod convert;
pub mod proto;
mod schema;
mod stream;

pub use answer::BUG;

use std::sync::{Arc, Mutex, OnceLock, Weak};

use futures_util::StreamExt;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};
use tracing::Instrument;

use crate::framework::change::Change;
use crate::framework::{MoveSource, Private, Provider, Server};
use crate::plugin::connections::PerConnection;
use crate::sync::lock;
use answer::guarded;
use convert::{absent, diagnostics, dynamic, function_error, identity, identity_value, paths, value};
use proto::tfplugin5::{self as pb, provider_server};

/// The gRPC service of one provider. In debug mode each connection has its own server, so that neither the
/// configuration nor an interrupt of one host affects another.
pub struct Service<P: Provider> {
    server: Arc<Server<P>>,
    of_connections: Mutex<Vec<Weak<Server<P>>>>,
    schema: OnceLock<pb::get_provider_schema::Response>,
}

impl<P: Provider> Service<P> {
    /// Serves `server`.
    pub fn new(server: Arc<Server<P>>) -> Service<P> {
        Service { server, of_connections: Mutex::default(), schema: OnceLock::new() }
    }

    /// Stops all operations of all hosts: see [`Server::stop`].
    pub fn stop_all(&self) {
        self.server.stop();
        let servers = lock(&self.of_connections);
        servers.iter().filter_map(Weak::upgrade).for_each(|server| server.stop());
    }

    /// The server for the connection of `request`.
    fn server<T>(&self, request: &Request<T>) -> Arc<Server<P>> {
        match request.extensions().get::<Option<PerConnection>>() {
            Some(Some(own)) => own.get_or_init(|| {
                let server = Arc::new(self.server.separate());
                let mut servers = lock(&self.of_connections);
                servers.retain(|server| server.strong_count() > 0);
                servers.push(Arc::downgrade(&server));
                server
            }),
            _ => self.server.clone(),
        }
    }

    /// Prepares the response to `GetProviderSchema`.
    pub fn prepare(&self) {
        self.schema();
    }

    fn schema(&self) -> &pb::get_provider_schema::Response {
        self.schema.get_or_init(|| schema::provider(&self.server))
    }
}

/// Stops the server if it is dropped before its work is done. The host is gone and will not see the result, so the
/// current request is completed, and no further request is sent.
struct HangUp<P: Provider>(Option<Arc<Server<P>>>);

impl<P: Provider> HangUp<P> {
    /// Marks the work as done.
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl<P: Provider> Drop for HangUp<P> {
    fn drop(&mut self) {
        if let Some(server) = &self.0 {
            tracing::warn!("the host closed the connection during an apply");
            server.stop();
        }
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl<P: Provider> provider_server::Provider for Service<P> {
    async fn get_metadata(
        &self,
        _request: Request<pb::get_metadata::Request>,
    ) -> Answer<pb::get_metadata::Response> {
        Ok(Response::new(schema::metadata(&self.server)))
    }

    async fn get_schema(
        &self,
        _request: Request<pb::get_provider_schema::Request>,
    ) -> Answer<pb::get_provider_schema::Response> {
        guarded("GetProviderSchema", async { Ok(self.schema().clone()) }).await
    }

    async fn get_resource_identity_schemas(
        &self,
        _request: Request<pb::get_resource_identity_schemas::Request>,
    ) -> Answer<pb::get_resource_identity_schemas::Response> {
        Ok(Response::new(schema::identities(&self.server)))
    }

    async fn get_functions(
        &self,
        _request: Request<pb::get_functions::Request>,
    ) -> Answer<pb::get_functions::Response> {
        Ok(Response::new(pb::get_functions::Response {
            functions: schema::functions(&self.server),
            diagnostics: Vec::new(),
        }))
    }

    async fn prepare_provider_config(
        &self,
        request: Request<pb::prepare_provider_config::Request>,
    ) -> Answer<pb::prepare_provider_config::Response> {
        let server = self.server(&request);
        let request = request.into_inner();
        guarded("PrepareProviderConfig", async {
            let config = value(&request.config, server.ty(), "the provider block")?;
            Ok(pb::prepare_provider_config::Response {
                diagnostics: diagnostics(server.validate_provider(&config)),
                prepared_config: request.config,
            })
        })
        .await
    }

    async fn configure(&self, request: Request<pb::configure::Request>) -> Answer<pb::configure::Response> {
        let server = self.server(&request);
        let request = request.into_inner();
        guarded("Configure", async {
            let config = value(&request.config, server.ty(), "the provider block")?;
            let found = server.configure(&config, &request.terraform_version);
            Ok(pb::configure::Response { diagnostics: diagnostics(found) })
        })
        .await
    }

    async fn validate_resource_type_config(
        &self,
        request: Request<pb::validate_resource_type_config::Request>,
    ) -> Answer<pb::validate_resource_type_config::Response> {
        let server = self.server(&request);
        let request = request.into_inner();
        guarded(&request.type_name, async {
            let entry = server.resource(&request.type_name)?;
            let config = value(&request.config, entry.ty(), &request.type_name)?;
            Ok(pb::validate_resource_type_config::Response {
                diagnostics: diagnostics(server.validate_resource(entry, &config)),
            })
        })
        .await
    }

    async fn validate_data_source_config(
        &self,
        request: Request<pb::validate_data_source_config::Request>,
    ) -> Answer<pb::validate_data_source_config::Response> {
        let server = self.server(&request);
        let request = request.into_inner();
        guarded(&request.type_name, async {
            let entry = server.data_source(&request.type_name)?;
            let config = value(&request.config, entry.ty(), &request.type_name)?;
            Ok(pb::validate_data_source_config::Response {
                diagnostics: diagnostics(server.validate_data_source(entry, &config)),
            })
        })
        .await
    }

    async fn upgrade_resource_state(
        &self,
        request: Request<pb::upgrade_resource_state::Request>,
    ) -> Answer<pb::upgrade_resource_state::Response> {
        let server = self.server(&request);
        let request = request.into_inner();
        guarded(&request.type_name, async {
            let entry = server.resource(&request.type_name)?;
            let raw = convert::raw_json(request.raw_state, &request.type_name)?;
            let state = server.upgrade(entry, request.version, &raw)?;
            Ok(pb::upgrade_resource_state::Response {
                upgraded_state: dynamic(&state, entry.ty()),
                diagnostics: Vec::new(),
            })
        })
        .await
    }

    async fn upgrade_resource_identity(
        &self,
        request: Request<pb::upgrade_resource_identity::Request>,
    ) -> Answer<pb::upgrade_resource_identity::Response> {
        let server = self.server(&request);
        let request = request.into_inner();
        guarded(&request.type_name, async {
            let entry = server.resource(&request.type_name)?;
            let raw = request.raw_identity.unwrap_or_default();
            // A state from before identities were introduced has none to upgrade.
            let upgraded_identity = if raw.json.is_empty() {
                None
            } else {
                identity(&self.server.upgrade_identity(entry, &raw.json)?, entry.identity_ty())
            };
            Ok(pb::upgrade_resource_identity::Response { upgraded_identity, diagnostics: Vec::new() })
        })
        .await
    }

    async fn read_resource(
        &self,
        request: Request<pb::read_resource::Request>,
    ) -> Answer<pb::read_resource::Response> {
        let server = self.server(&request);
        let request = request.into_inner();
        guarded(&request.type_name, async {
            let entry = server.resource(&request.type_name)?;
            let state = value(&request.current_state, entry.ty(), &request.type_name)?;
            let read = server.read(entry, state, Private::from_bytes(&request.private)).await;
            Ok(pb::read_resource::Response {
                new_state: dynamic(&read.state, entry.ty()),
                private: read.private.to_bytes(),
                new_identity: identity(&read.identity, entry.identity_ty()),
                diagnostics: diagnostics(read.diagnostics),
                deferred: None,
            })
        })
        .await
    }

    async fn plan_resource_change(
        &self,
        request: Request<pb::plan_resource_change::Request>,
    ) -> Answer<pb::plan_resource_change::Response> {
        let server = self.server(&request);
        let request = request.into_inner();
        guarded(&request.type_name, async {
            let entry = server.resource(&request.type_name)?;
            let name = &request.type_name;
            // For a destroy, core proposes null; the configuration that it sends is not used.
            let config = if absent(&request.proposed_new_state) {
                crate::schema::Value::Null
            } else {
                value(&request.config, entry.ty(), name)?
            };
            let planned = server
                .plan(
                    entry,
                    Change {
                        prior: value(&request.prior_state, entry.ty(), name)?,
                        config,
                        private: Private::from_bytes(&request.prior_private),
                    },
                )
                .await;
            Ok(pb::plan_resource_change::Response {
                planned_state: dynamic(&planned.state, entry.ty()),
                requires_replace: paths(&planned.replace),
                planned_private: planned.private.to_bytes(),
                planned_identity: identity(&planned.identity, entry.identity_ty()),
                diagnostics: diagnostics(planned.diagnostics),
                legacy_type_system: false,
                deferred: None,
            })
        })
        .await
    }

    async fn apply_resource_change(
        &self,
        request: Request<pb::apply_resource_change::Request>,
    ) -> Answer<pb::apply_resource_change::Response> {
        let server = self.server(&request);
        let request = request.into_inner();
        let before = request.prior_state.clone();
        let private = request.planned_private.clone();
        // A host that closes the connection must not cancel a write half-way. The work continues, as after an
        // interrupt.
        let hang_up = HangUp(Some(server.clone()));
        let work = async move {
            guarded(&request.type_name, async {
                let entry = server.resource(&request.type_name)?;
                let name = &request.type_name;
                let applied = server
                    .apply(
                        entry,
                        value(&request.prior_state, entry.ty(), name)?,
                        value(&request.planned_state, entry.ty(), name)?,
                        &value(&request.config, entry.ty(), name)?,
                        Private::from_bytes(&request.planned_private),
                    )
                    .await;
                Ok(pb::apply_resource_change::Response {
                    new_state: dynamic(&applied.state, entry.ty()),
                    private: applied.private.to_bytes(),
                    new_identity: identity(&applied.identity, entry.identity_ty()),
                    diagnostics: diagnostics(applied.diagnostics),
                    legacy_type_system: false,
                })
            })
            .await
        };
        let answer = tokio::spawn(work.in_current_span())
            .await
            .unwrap_or_else(|error| Err(Status::internal(error.to_string())));
        hang_up.disarm();
        let mut answer = answer?;
        // Returning no state would mean that the object does not exist. A failure keeps the prior state.
        let response = answer.get_mut();
        if response.new_state.is_none() {
            response.new_state = before;
            response.private = private;
        }
        Ok(answer)
    }

    async fn import_resource_state(
        &self,
        request: Request<pb::import_resource_state::Request>,
    ) -> Answer<pb::import_resource_state::Response> {
        let server = self.server(&request);
        let request = request.into_inner();
        guarded(&request.type_name, async {
            let entry = server.resource(&request.type_name)?;
            let given = match &request.identity {
                Some(data) => Some(identity_value(data, &entry.identity_ty(), &request.type_name)?),
                None => None,
            };
            let brought = server.import(entry, &request.id, given.as_ref())?;
            Ok(pb::import_resource_state::Response {
                imported_resources: vec![pb::import_resource_state::ImportedResource {
                    type_name: request.type_name.clone(),
                    state: dynamic(&brought.state, entry.ty()),
                    private: brought.private.to_bytes(),
                    identity: identity(&brought.identity, entry.identity_ty()),
                }],
                diagnostics: Vec::new(),
                deferred: None,
            })
        })
        .await
    }

    async fn move_resource_state(
        &self,
        request: Request<pb::move_resource_state::Request>,
    ) -> Answer<pb::move_resource_state::Response> {
        let server = self.server(&request);
        let request = request.into_inner();
        guarded(&request.target_type_name, async {
            let entry = server.resource(&request.target_type_name)?;
            let raw = convert::raw_json(request.source_state, &request.source_type_name)?;
            let source = MoveSource {
                provider: request.source_provider_address,
                type_name: request.source_type_name.clone(),
                schema_version: request.source_schema_version,
                state: convert::json(&raw, &request.source_type_name)?,
            };
            let brought = server.move_from(entry, &source)?;
            Ok(pb::move_resource_state::Response {
                target_state: dynamic(&brought.state, entry.ty()),
                target_private: brought.private.to_bytes(),
                target_identity: identity(&brought.identity, entry.identity_ty()),
                diagnostics: Vec::new(),
            })
        })
        .await
    }

    async fn generate_resource_config(
        &self,
        request: Request<pb::generate_resource_config::Request>,
    ) -> Answer<pb::generate_resource_config::Response> {
        let server = self.server(&request);
        let request = request.into_inner();
        guarded(&request.type_name, async {
            let entry = server.resource(&request.type_name)?;
            let state = value(&request.state, entry.ty(), &request.type_name)?;
            let config = server.generate(entry, &state);
            Ok(pb::generate_resource_config::Response {
                config: dynamic(&config, entry.ty()),
                diagnostics: Vec::new(),
            })
        })
        .await
    }

    async fn read_data_source(
        &self,
        request: Request<pb::read_data_source::Request>,
    ) -> Answer<pb::read_data_source::Response> {
        let server = self.server(&request);
        let request = request.into_inner();
        guarded(&request.type_name, async {
            let entry = server.data_source(&request.type_name)?;
            let config = value(&request.config, entry.ty(), &request.type_name)?;
            let (state, found) = server.read_data_source(entry, &config).await;
            Ok(pb::read_data_source::Response {
                state: state.and_then(|state| dynamic(&state, entry.ty())),
                diagnostics: diagnostics(found),
                deferred: None,
            })
        })
        .await
    }

    async fn validate_list_resource_config(
        &self,
        request: Request<pb::validate_list_resource_config::Request>,
    ) -> Answer<pb::validate_list_resource_config::Response> {
        let server = self.server(&request);
        let request = request.into_inner();
        guarded(&request.type_name, async {
            let entry = server.list_resource(&request.type_name)?;
            let config = value(&request.config, entry.ty(), &request.type_name)?;
            Ok(pb::validate_list_resource_config::Response {
                diagnostics: diagnostics(server.validate_list(entry, &config)),
            })
        })
        .await
    }

    async fn list_resource(
        &self,
        request: Request<pb::list_resource::Request>,
    ) -> Answer<BoxStream<pb::list_resource::Event>> {
        let listed = stream::listed(self.server(&request), request.into_inner());
        Ok(Response::new(listed.map(Ok).boxed()))
    }

    async fn validate_action_config(
        &self,
        request: Request<pb::validate_action_config::Request>,
    ) -> Answer<pb::validate_action_config::Response> {
        let server = self.server(&request);
        let request = request.into_inner();
        guarded(&request.type_name, async {
            let entry = server.action(&request.type_name)?;
            let config = value(&request.config, entry.ty(), &request.type_name)?;
            Ok(pb::validate_action_config::Response {
                diagnostics: diagnostics(server.validate_action(entry, &config)),
            })
        })
        .await
    }

    async fn plan_action(
        &self,
        request: Request<pb::plan_action::Request>,
    ) -> Answer<pb::plan_action::Response> {
        let server = self.server(&request);
        let request = request.into_inner();
        guarded(&request.action_type, async {
            let entry = server.action(&request.action_type)?;
            let config = value(&request.config, entry.ty(), &request.action_type)?;
            Ok(pb::plan_action::Response {
                diagnostics: diagnostics(server.plan_action(entry, &config).await),
                deferred: None,
            })
        })
        .await
    }

    async fn invoke_action(
        &self,
        request: Request<pb::invoke_action::Request>,
    ) -> Answer<BoxStream<pb::invoke_action::Event>> {
        let invoked = stream::invoked(self.server(&request), request.into_inner());
        Ok(Response::new(invoked.map(Ok).boxed()))
    }

    async fn call_function(
        &self,
        request: Request<pb::call_function::Request>,
    ) -> Answer<pb::call_function::Response> {
        let server = self.server(&request);
        let request = request.into_inner();
        guarded(&request.name, async {
            let answer = |result: Result<_, _>| match result {
                Ok(result) => pb::call_function::Response { result, error: None },
                Err(error) => {
                    pb::call_function::Response { result: None, error: Some(function_error(error)) }
                }
            };
            let arguments = match convert::arguments(&server, &request) {
                Ok(arguments) => arguments,
                Err(error) => return Ok(answer(Err(error))),
            };
            let returns = server.function(&request.name).map(|f| f.signature().returns);
            let result = server.call(&request.name, &arguments);
            Ok(answer(result.map(|value| returns.and_then(|ty| dynamic(&value, &ty)))))
        })
        .await
    }

    async fn stop(&self, request: Request<pb::stop::Request>) -> Answer<pb::stop::Response> {
        self.server(&request).stop();
        Ok(Response::new(pb::stop::Response::default()))
    }
}
