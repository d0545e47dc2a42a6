//! Answers of metadata hosts, addresses in a provider block, and PKCS#12 bundles.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use azimage::arm::credentials::auto;
use azimage::arm::{Cloud, CloudSource, Credentials, Request, Response, Transport, TransportError, clouds};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::messages;

/// Answers everything with one answer, and remembers what it was asked.
struct One {
    answer: Response,
    asked: Mutex<Vec<Request>>,
}

impl One {
    fn new(status: u16, body: &[u8]) -> Arc<One> {
        let answer = Response { status, headers: Vec::new(), body: body.to_vec() };
        Arc::new(One { answer, asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<Request> {
        self.asked.lock().expect("nobody panics with it").clone()
    }
}

#[async_trait]
impl Transport for One {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        self.asked.lock().expect("nobody panics with it").push(request);
        Ok(self.answer.clone())
    }
}

/// Runs `work` on a clock that nobody waits for.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(work)
}

/// An address and a status, then what its metadata say.
pub fn metadata(data: &[u8]) {
    let message = messages::read(data, 1).remove(0);
    let (host, status) = message.first.split_once(' ').unwrap_or((message.first, "200"));
    let one = One::new(status.parse().unwrap_or(200), message.body);
    let discovered = CloudSource::Discover { metadata_host: host.to_owned() };
    match run(discovered.resolve(one.as_ref())) {
        Ok(cloud) => sound(&cloud),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    for request in one.asked() {
        let asked = clouds::endpoint(host).expect("only addresses that are fine are asked");
        assert!(request.url.starts_with(&asked), "{host:?} became {:?}", request.url);
        assert!(request.header("authorization").is_none());
    }
    let text = std::str::from_utf8(message.body).unwrap_or_default();
    let told = CloudSource::Endpoint {
        base: Cloud::public(),
        resource_manager: Some(host.to_owned()),
        authority: Some(text.to_owned()),
        audience: None,
    };
    if let Ok(cloud) = run(told.resolve(One::new(500, b"").as_ref())) {
        sound(&cloud);
        assert_ne!(cloud.audience, Cloud::public().audience, "a token for one cloud would go to {host:?}");
    }
}

// Every address of a cloud may be sent a token, and is written in one way.
fn sound(cloud: &Cloud) {
    for url in [&cloud.resource_manager, &cloud.authority] {
        assert_eq!(clouds::endpoint(url).as_ref(), Ok(url));
        let parsed = url::Url::parse(url).expect("an address");
        assert!(parsed.scheme() == "https" || parsed.scheme() == "http" && clouds::is_loopback(&parsed));
    }
    assert!(cloud.owns(&cloud.resource_manager));
    assert!(cloud.owns(&format!("{}/subscriptions?api-version=1", cloud.resource_manager)));
    assert!(cloud.scope().ends_with("/.default"));
}

/// The password of the bundles among the fixtures.
const PASSWORD: &str = "pässword";

/// A bundle, as `client_certificate` has it.
pub fn pfx(data: &[u8]) {
    let answer = br#"{"token_type":"Bearer","expires_in":3600,"access_token":"t"}"#;
    for password in [PASSWORD, ""] {
        let one = One::new(200, answer);
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
                let asked = one.asked();
                assert_eq!(asked.len(), 1);
                assert!(asked[0].url.starts_with("https://login.microsoftonline.com/tenant/"));
            }
            Err(error) => {
                assert!(!error.to_string().contains(PASSWORD));
                assert!(one.asked().is_empty(), "nothing is asked without a key");
            }
        }
    }
}
