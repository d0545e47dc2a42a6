//! Fuzzes responses of metadata hosts, endpoints in a provider block, and PKCS#12 bundles.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use azimage::arm::credentials::auto;
use azimage::arm::{Cloud, CloudSource, Credentials, Request, Response, Transport, TransportError, clouds};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::messages;

/// Returns the same response to every request, and records the requests.
struct FixedResponse {
    answer: Response,
    requests: Mutex<Vec<Request>>,
}

impl FixedResponse {
    fn new(status: u16, body: &[u8]) -> Arc<FixedResponse> {
        let answer = Response { status, headers: Vec::new(), body: body.to_vec() };
        Arc::new(FixedResponse { answer, requests: Mutex::default() })
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("not poisoned").clone()
    }
}

#[async_trait]
impl Transport for FixedResponse {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        self.requests.lock().expect("not poisoned").push(request);
        Ok(self.answer.clone())
    }
}

/// Runs `work` with a paused clock, which skips all waits.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(work)
}

/// The input is a host and a status, followed by the metadata document.
pub fn metadata(data: &[u8]) {
    let message = messages::read(data, 1).remove(0);
    let (host, status) = message.first.split_once(' ').unwrap_or((message.first, "200"));
    let one = FixedResponse::new(status.parse().unwrap_or(200), message.body);
    let discovered = CloudSource::Discover { metadata_host: host.to_owned() };
    match run(discovered.resolve(one.as_ref())) {
        Ok(cloud) => assert_valid(&cloud),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    for request in one.requests() {
        let requests = clouds::endpoint(host).expect("requests go to valid endpoints only");
        assert!(request.url.starts_with(&requests), "{host:?} became {:?}", request.url);
        assert!(request.header("authorization").is_none());
    }
    let text = std::str::from_utf8(message.body).unwrap_or_default();
    let configured = CloudSource::Endpoint {
        base: Cloud::public(),
        resource_manager: Some(host.to_owned()),
        authority: Some(text.to_owned()),
        audience: None,
    };
    if let Ok(cloud) = run(configured.resolve(FixedResponse::new(500, b"").as_ref())) {
        assert_valid(&cloud);
        assert_ne!(cloud.audience, Cloud::public().audience, "a token for one cloud would go to {host:?}");
    }
}

// Fails unless a token may be sent to every endpoint of the cloud, and each is normalised.
fn assert_valid(cloud: &Cloud) {
    for url in [&cloud.resource_manager, &cloud.authority] {
        assert_eq!(clouds::endpoint(url).as_ref(), Ok(url));
        let parsed = url::Url::parse(url).expect("a URL");
        assert!(parsed.scheme() == "https" || parsed.scheme() == "http" && clouds::is_loopback(&parsed));
    }
    assert!(cloud.owns(&cloud.resource_manager));
    assert!(cloud.owns(&format!("{}/subscriptions?api-version=1", cloud.resource_manager)));
    assert!(cloud.scope().ends_with("/.default"));
}

/// The password of the bundles among the fixtures.
const PASSWORD: &str = "pässword";

/// The input is a bundle, as in `client_certificate`.
pub fn pfx(data: &[u8]) {
    let answer = br#"{"token_type":"Bearer","expires_in":3600,"access_token":"t"}"#;
    for password in [PASSWORD, ""] {
        let one = FixedResponse::new(200, answer);
        let credentials = Credentials {
            tenant_id: Some("tenant".to_owned()),
            client_id: Some("client".to_owned()),
            client_certificate: Some(STANDARD.encode(data)),
            client_certificate_password: Some(password.to_owned()),
            use_cli: false,
            ..Credentials::default()
        };
        let tokens = auto(credentials, CloudSource::Known(Cloud::public()), one.clone());
        match run(tokens.token()) {
            Ok(_) => {
                let requests = one.requests();
                assert_eq!(requests.len(), 1);
                assert!(requests[0].url.starts_with("https://login.microsoftonline.com/tenant/"));
            }
            Err(error) => {
                assert!(!error.to_string().contains(PASSWORD));
                assert!(one.requests().is_empty(), "no request is sent without a key");
            }
        }
    }
}
