//! The log lines of calls, which must not contain secrets.

use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::credentials::{Credentials, auto};
use super::transport::{Request, Response, TransportError};
use super::{Client, Cloud, CloudSource, Options, Scope, Target, Transport};

/// Records every event at every level of every crate.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<String>>);

impl<S: tracing::Subscriber> Layer<S> for Kept {
    fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, S>) {
        let mut line = Line(format!("{} {}", event.metadata().level(), event.metadata().target()));
        event.record(&mut line);
        let mut all = self.0.lock().unwrap();
        all.push_str(&line.0);
        all.push('\n');
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

/// A service whose responses contain secrets.
struct Service;

#[async_trait]
impl Transport for Service {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let json = |status, body: serde_json::Value| Response {
            status,
            headers: vec![
                ("x-ms-request-id".to_owned(), "request-7".to_owned()),
                ("x-ms-ratelimit-remaining-subscription-reads".to_owned(), "120".to_owned()),
                (
                    "azure-asyncoperation".to_owned(),
                    "https://management.azure.com/subscriptions/s/op?t=1&s=SECRET-SIGNATURE".to_owned(),
                ),
            ],
            body: body.to_string().into_bytes(),
        };
        if request.url.contains("/oauth2/") {
            return Ok(json(
                200,
                json!({"access_token": "SECRET-TOKEN", "expires_in": 3600, "token_type": "Bearer"}),
            ));
        }
        if request.url.contains("/broken") {
            let message = "error for https://h/x?sig=SECRET-SAS".to_owned();
            return Err(TransportError { sent: true, message });
        }
        if request.url.contains("/denied") {
            let message = "not with https://s.blob.core.windows.net/v.vhd?sv=1&sig=SECRET-SAS";
            return Ok(json(403, json!({"error": {"code": "AuthorizationFailed", "message": message}})));
        }
        if request.url.contains("/op?") {
            return Ok(json(
                200,
                json!({"status": "Failed", "error": {"code": "C", "message": "?sig=SECRET-SAS"}}),
            ));
        }
        Ok(json(
            201,
            json!({"properties": {"accessSAS": "https://h/d?sig=SECRET-SAS", "adminPassword": "SECRET-WORD"}}),
        ))
    }
}

#[tokio::test(start_paused = true)]
async fn logs_one_line_per_call_and_no_secret() {
    let kept = Kept::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(kept.clone()));
    let transport: Arc<dyn Transport> = Arc::new(Service);
    let cloud = CloudSource::Known(Cloud::public());
    let credentials = Credentials {
        tenant_id: Some("tenant".into()),
        client_id: Some("client".into()),
        client_secret: Some("SECRET-CLIENT".into()),
        ..Credentials::default()
    };
    let tokens = auto(credentials, cloud.clone(), transport.clone());
    let options =
        Options { user_agent: "t".into(), max_concurrent_requests: 4, correlation_id: "correlation".into() };
    let client = Client::new(transport, tokens, cloud, options);
    let scope = Scope::new(Duration::from_secs(600), CancellationToken::new(), "testing");
    let body = json!({"storageProfile": {"uri": "https://h/v.vhd?sig=SECRET-SAS"}});
    let accepted = client.put(&scope, &Target::new("/made", "1"), &body).await.unwrap();
    let operation = accepted.operation.unwrap();
    let errors = [
        client.wait(&scope, &operation).await.unwrap_err(),
        client.get(&scope, &Target::new("/denied", "1")).await.unwrap_err(),
        client.post(&scope, &Target::new("/broken", "1"), None).await.unwrap_err(),
    ];
    for error in errors {
        assert!(!format!("{error} {error:?}").contains("SECRET"), "{error:?}");
    }
    let log = kept.0.lock().unwrap();
    if let Some(line) = log.lines().find(|line| line.contains("SECRET")) {
        panic!("a secret in the log: {line}");
    }
    assert!(!format!("{operation:?}").contains("SECRET"));
    let calls: Vec<&str> = log.lines().filter(|line| line.contains("message=ARM call")).collect();
    assert_eq!(calls.len(), 4, "{log}");
    for part in [
        "DEBUG",
        "method=\"PUT\"",
        "path=\"/made\"",
        "status=201",
        "ms=0",
        "attempt=1",
        "request_id=\"request-7\"",
    ] {
        assert!(calls[0].contains(part), "{part} in {}", calls[0]);
    }
    assert!(calls[1].contains("budget=120"), "{}", calls[1]);
    let signing_in: Vec<&str> = log.lines().filter(|line| line.contains("signing in")).collect();
    assert_eq!(signing_in.len(), 1);
    assert!(
        signing_in[0].starts_with("INFO")
            && signing_in[0].contains("client secret: client_secret, tenant_id, client_id are set")
    );
    assert!(log.contains("TRACE"), "bodies are logged");
}
