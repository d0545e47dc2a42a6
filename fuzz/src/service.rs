//! Fuzzes responses of Resource Manager: errors, operations, lists, and every resource and data source.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use azimage::arm::page::Pages;
use azimage::arm::{
    Client, Cloud, CloudSource, Error, Method, Operation, Options, Request, Response, Secret, StaticTokens,
    Transport, TransportError, error, operation, redact, retry_after,
};
use azimage::azure::Context;
use azimage::framework::change::Change;
use azimage::framework::data_source::AnyDataSource;
use azimage::framework::resource::AnyResource;
use azimage::framework::{Function, Private, Provider, Server};
use azimage::schema::{Body, Diagnostics, Model, Type, Value, json};
use azimage::{data_sources, functions, provider, resources};
use time::OffsetDateTime;

use super::clouds::run;
use super::messages::{self, Message};
use super::values::assert_has_type;

/// The provider's resources and data sources over a given transport.
pub struct TestProvider(pub Arc<dyn Transport>);

impl TestProvider {
    /// A configured server.
    pub fn server(transport: Arc<dyn Transport>) -> Server<TestProvider> {
        let server = Server::new(TestProvider(transport));
        let found = server.configure(&Value::object::<String>([]), "1.14.0");
        assert!(!found.has_errors());
        server
    }
}

impl Provider for TestProvider {
    type Context = Context;

    fn body(&self) -> Body {
        <provider::Config as Model>::body()
    }

    fn resources(&self) -> Vec<Box<dyn AnyResource<Context>>> {
        resources::all()
    }

    fn data_sources(&self) -> Vec<Box<dyn AnyDataSource<Context>>> {
        data_sources::all()
    }

    fn functions(&self) -> Vec<Box<dyn Function>> {
        functions::all()
    }

    fn configure(&self, _: &Value, _: &str, _: &mut Diagnostics) -> Option<Context> {
        let options = Options {
            user_agent: "fuzz".to_owned(),
            max_concurrent_requests: 8,
            correlation_id: String::new(),
        };
        let tokens = Arc::new(StaticTokens(Secret::new("token")));
        let client = Client::new(self.0.clone(), tokens, CloudSource::Known(Cloud::public()), options);
        let mut context = Context::new(client);
        context.subscription_id = Some("00000000-0000-0000-0000-000000000000".to_owned());
        Some(context)
    }
}

/// Returns its responses in turn, repeatedly, and stops responding after [`LIMIT`] requests.
struct Responses {
    answers: Vec<Response>,
    given: Mutex<usize>,
}

const LIMIT: usize = 200;

#[async_trait]
impl Transport for Responses {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let address = url::Url::parse(&request.url).expect("a URL");
        let ours = address.origin().ascii_serialization() == "https://management.azure.com";
        assert!(ours && request.url.starts_with("https://"), "{} is not Resource Manager", request.url);
        let given = {
            let mut given = self.given.lock().expect("not poisoned");
            *given += 1;
            *given - 1
        };
        if given >= LIMIT {
            std::future::pending::<()>().await;
        }
        let answer = self.answers[given % self.answers.len()].clone();
        if answer.status < 100 {
            return Err(TransportError { sent: answer.status != 0, message: "connection reset".to_owned() });
        }
        Ok(answer)
    }
}

/// The input is a verb and a type, with a state or configuration on the lines below, followed by responses.
pub fn arm(data: &[u8]) {
    let messages = messages::read(data, 16);
    let Some((what, answers)) = messages.split_first() else { return };
    let answers: Vec<Response> = answers.iter().map(answer).collect();
    for answer in &answers {
        check_response(answer);
    }
    let mut pages = Pages::default();
    for (number, answer) in answers.iter().enumerate() {
        if let Some(page) = error::json(&answer.body) {
            let _ = pages.add(&number.to_string(), page, 0);
        }
    }
    pages.take_items();
    if !answers.is_empty() {
        run_provider(what, answers);
    }
}

fn answer(message: &Message<'_>) -> Response {
    Response {
        status: message.first.trim().parse().unwrap_or(200),
        headers: message.headers.clone(),
        body: message.body.to_vec(),
    }
}

fn check_response(answer: &Response) {
    let failed = Error::from_response(Method::Put, "/a/path", answer);
    let text = failed.to_string();
    assert!(!failed.message.is_empty() && text.contains("/a/path"));
    assert!(!(failed.is_not_found() && failed.is_conflict()));
    retry_after::retry_after(answer, OffsetDateTime::UNIX_EPOCH);
    let hidden = redact::text(&text);
    assert_eq!(redact::text(&hidden), hidden, "masking is idempotent");
    redact::body(&answer.body);
    let body = error::json(&answer.body).unwrap_or_default();
    for method in [Method::Put, Method::Patch, Method::Post, Method::Delete] {
        let base = "https://management.azure.com";
        let url = "https://management.azure.com/a/path?api-version=1";
        let Some(operation) = Operation::from_response(method, url, "/a/path", base, answer, &body) else {
            continue;
        };
        assert!(!operation.url().is_empty());
        assert_eq!((operation.method(), operation.path()), (method, "/a/path"));
        let stored = serde_json::to_string(&operation).expect("an operation can be stored");
        let again: Operation = serde_json::from_str(&stored).expect("a stored operation can be read");
        assert_eq!(serde_json::to_string(&again).ok(), Some(stored));
        if let operation::Step::Failed(error) =
            operation.step(answer, body.clone(), OffsetDateTime::UNIX_EPOCH)
        {
            assert!(!error.message.is_empty() && !error.code.is_empty());
        }
    }
}

fn run_provider(what: &Message<'_>, answers: Vec<Response>) {
    let Ok(given) = serde_json::from_slice::<serde_json::Value>(what.body) else { return };
    let gone = answers.iter().any(|answer| answer.status == 404);
    let server = TestProvider::server(Arc::new(Responses { answers, given: Mutex::default() }));
    let (verb, name) = what.first.split_once(' ').unwrap_or((what.first, "azimage_gallery"));
    // longer than any operation can take; the paused clock skips the wait
    let limit = Duration::from_secs(7 * 24 * 3600);
    run(async {
        let work = tokio::time::timeout(limit, act(&server, verb, name, &given, gone));
        work.await.unwrap_or_else(|_| panic!("{verb} {name} never ends"));
    });
}

async fn act(server: &Server<TestProvider>, verb: &str, name: &str, given: &serde_json::Value, gone: bool) {
    if verb == "data" {
        let Ok(entry) = server.data_source(name) else { return };
        let Ok(config) = json::decode(given, entry.ty()) else { return };
        if !config.is_known() || server.validate_data_source(entry, &config).has_errors() {
            return;
        }
        let (state, found) = server.read_data_source(entry, &config).await;
        assert_eq!(state.is_none(), found.has_errors());
        state.iter().for_each(|state| assert_response(entry.ty(), state));
        return;
    }
    let Ok(entry) = server.resource(name) else { return };
    let Ok(state) = server.upgrade(entry, 0, given.to_string().as_bytes()) else { return };
    let ty = entry.ty();
    let private = Private::default();
    let applied = match verb {
        "create" | "update" => {
            // values that the provider sets are not part of a configuration
            let mut config = server.generate(entry, &state);
            config.set("timeouts", state.get("timeouts").clone());
            if server.validate_resource(entry, &config).has_errors() {
                return;
            }
            let prior = if verb == "create" { Value::Null } else { state };
            let change = Change { prior: prior.clone(), config: config.clone(), private };
            let planned = server.plan(entry, change).await;
            if planned.diagnostics.has_errors() {
                return;
            }
            let applied = server.apply(entry, prior.clone(), planned.state, &config, planned.private).await;
            assert!(
                !applied.state.is_null() || prior.is_null() && applied.diagnostics.has_errors(),
                "{verb} lost the object"
            );
            applied
        }
        "delete" => {
            let applied = server.apply(entry, state.clone(), Value::Null, &Value::Null, private).await;
            assert_eq!(applied.state.is_null(), !applied.diagnostics.has_errors());
            applied
        }
        _ => {
            let read = server.read(entry, state.clone(), private).await;
            assert!(!read.state.is_null() || gone, "{name} left the state, but no response was a 404");
            if read.diagnostics.has_errors() {
                assert_eq!(read.state, state, "a failed read keeps the state");
            }
            assert_response(ty, &read.state);
            return;
        }
    };
    assert_response(ty, &applied.state);
}

// Fails unless a value in a response to Terraform is known and has its type.
fn assert_response(ty: &Type, value: &Value) {
    assert!(value.is_wholly_known(), "{value:?}");
    assert_has_type(ty, value);
}
