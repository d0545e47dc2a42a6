//! Calls of the protocol: the first byte chooses the call, and the rest is its message.

use std::sync::Arc;

use async_trait::async_trait;
use azimage::arm::{Request, Response, Transport, TransportError};
use azimage::emulator::{self, Emulator};
use azimage::framework::Server;
use azimage::provider::Provider;
use azimage::rpc::proto::tfplugin5 as pb;
use azimage::rpc::{BUG, Service};
use azimage::schema::{Type, msgpack};
use pb::provider_server::Provider as Wire;
use prost::Message;
use time::OffsetDateTime;

use super::clouds::run;
use super::service::TestProvider;

/// The emulator, in memory.
struct Emulated(Emulator);

#[async_trait]
impl Transport for Emulated {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let request = emulator::Request {
            method: request.method.to_string(),
            url: request.url,
            headers: request.headers,
            body: request.body.unwrap_or_default(),
        };
        let now = OffsetDateTime::from_unix_timestamp(1_793_000_000).expect("a time");
        let answer = self.0.handle(&request, now);
        let headers = answer.headers.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
        Ok(Response { status: answer.status, headers, body: answer.body })
    }
}

fn emulated() -> Arc<Server<TestProvider>> {
    let transport = Emulated(Emulator::in_memory());
    // operations end immediately
    let settings = emulator::Request {
        method: "PUT".to_owned(),
        url: "/_emulator/settings".to_owned(),
        headers: Vec::new(),
        body: b"{\"time_scale\":0}".to_vec(),
    };
    transport.0.handle(&settings, OffsetDateTime::UNIX_EPOCH);
    Arc::new(TestProvider::server(Arc::new(transport)))
}

/// The calls, in the order of the bytes that choose them.
pub const CALLS: [&str; 15] = [
    "PrepareProviderConfig",
    "Configure",
    "ValidateResourceTypeConfig",
    "ValidateDataSourceConfig",
    "UpgradeResourceState",
    "UpgradeResourceIdentity",
    "ReadResource",
    "PlanResourceChange",
    "ApplyResourceChange",
    "ImportResourceState",
    "MoveResourceState",
    "GenerateResourceConfig",
    "ReadDataSource",
    "CallFunction",
    "calls without arguments",
];

/// A call.
pub fn rpc(data: &[u8]) {
    let Some((choice, message)) = data.split_first() else { return };
    run(call(usize::from(*choice) % CALLS.len(), message));
}

async fn call(choice: usize, message: &[u8]) {
    // a provider that is configured with arbitrary bytes must not be used further: it would look for credentials
    let real = Service::new(Arc::new(Server::new(Provider)));
    let server = emulated();
    let service = Service::new(server.clone());
    macro_rules! ask {
        ($service:expr, $module:ident, $method:ident) => {{
            let Ok(request) = pb::$module::Request::decode(message) else { return };
            let answer = $service
                .$method(tonic::Request::new(request.clone()))
                .await
                .expect("a response")
                .into_inner();
            assert_valid(&answer.diagnostics);
            (request, answer)
        }};
    }
    let resource = |name: &str| server.resource(name).ok().map(|entry| entry.ty().clone());
    match choice {
        0 => drop(ask!(real, prepare_provider_config, prepare_provider_config)),
        1 => drop(ask!(real, configure, configure)),
        2 => drop(ask!(service, validate_resource_type_config, validate_resource_type_config)),
        3 => drop(ask!(service, validate_data_source_config, validate_data_source_config)),
        4 => {
            let (request, answer) = ask!(service, upgrade_resource_state, upgrade_resource_state);
            is_known(&answer.upgraded_state, resource(&request.type_name));
        }
        5 => drop(ask!(service, upgrade_resource_identity, upgrade_resource_identity)),
        6 => {
            let (request, answer) = ask!(service, read_resource, read_resource);
            // a state may contain unknown values only where the caller sent some
            has_type(&answer.new_state, resource(&request.type_name));
        }
        7 => {
            let (request, answer) = ask!(service, plan_resource_change, plan_resource_change);
            has_type(&answer.planned_state, resource(&request.type_name));
            let again = service.plan_resource_change(tonic::Request::new(request)).await;
            let again = again.expect("a response").into_inner();
            assert_eq!(again.planned_state, answer.planned_state, "planning twice gives the same result");
            assert_eq!(again.requires_replace, answer.requires_replace);
        }
        8 => {
            let (request, answer) = ask!(service, apply_resource_change, apply_resource_change);
            if failed(&answer.diagnostics) {
                assert!(
                    answer.new_state == request.prior_state
                        || !empty(&answer.new_state)
                        || empty(&request.prior_state),
                    "a failure lost the state"
                );
            } else {
                has_type(&answer.new_state, resource(&request.type_name));
            }
        }
        9 => {
            let (_, answer) = ask!(service, import_resource_state, import_resource_state);
            assert_eq!(answer.imported_resources.is_empty(), failed(&answer.diagnostics));
            for brought in answer.imported_resources {
                is_known(&brought.state, resource(&brought.type_name));
            }
        }
        10 => {
            let (request, answer) = ask!(service, move_resource_state, move_resource_state);
            is_known(&answer.target_state, resource(&request.target_type_name));
        }
        11 => {
            let (request, answer) = ask!(service, generate_resource_config, generate_resource_config);
            has_type(&answer.config, resource(&request.type_name));
        }
        12 => {
            let (request, answer) = ask!(service, read_data_source, read_data_source);
            has_type(
                &answer.state,
                server.data_source(&request.type_name).ok().map(|entry| entry.ty().clone()),
            );
        }
        13 => {
            let Ok(request) = pb::call_function::Request::decode(message) else { return };
            let answer =
                service.call_function(tonic::Request::new(request)).await.expect("a response").into_inner();
            assert_ne!(answer.result.is_some(), answer.error.is_some(), "a result or an error");
            assert!(!answer.error.is_some_and(|error| error.text.contains(&format!("{BUG}. It panicked"))));
        }
        _ => {
            let asked = service.get_metadata(tonic::Request::new(Default::default())).await;
            assert!(asked.is_ok() && service.stop(tonic::Request::new(Default::default())).await.is_ok());
        }
    }
}

fn assert_valid(diagnostics: &[pb::Diagnostic]) {
    for diagnostic in diagnostics {
        assert!(matches!(diagnostic.severity, 1 | 2) && !diagnostic.summary.is_empty(), "{diagnostic:?}");
        assert!(!diagnostic.summary.ends_with(&format!(": {BUG}")), "{diagnostic:?}");
    }
}

fn failed(diagnostics: &[pb::Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == 1)
}

fn empty(value: &Option<pb::DynamicValue>) -> bool {
    value.as_ref().is_none_or(|value| matches!(value.msgpack.first(), None | Some(0xc0)))
}

// Checks that a value in a response has its type.
fn has_type(value: &Option<pb::DynamicValue>, ty: Option<Type>) -> Option<azimage::schema::Value> {
    let (value, ty) = (value.as_ref()?, ty?);
    // a state that cannot be decoded is returned unchanged
    let read = msgpack::decode(&value.msgpack, &ty).ok()?;
    assert_eq!(msgpack::decode(&msgpack::encode(&read, &ty), &ty).as_ref(), Ok(&read));
    Some(read)
}

fn is_known(value: &Option<pb::DynamicValue>, ty: Option<Type>) {
    if let Some(value) = has_type(value, ty) {
        assert!(value.is_wholly_known(), "{value:?}");
    }
}
