//! One HTTP request in, one response out: the trait, and its implementation over `reqwest`.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;

/// Sends requests. Implementations decide nothing: any status, also 4xx and 5xx, is a response.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends `request` once and returns what came back, or says that nothing did.
    async fn send(&self, request: Request) -> Result<Response, TransportError>;
}

/// The verbs that Resource Manager uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates or replaces.
    Put,
    /// Changes the members that are sent.
    Patch,
    /// Starts an action.
    Post,
    /// Removes.
    Delete,
}

impl Method {
    /// The verb in capitals, as on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }

    /// True when sending the same request twice leaves the service as sending it once.
    pub fn is_idempotent(self) -> bool {
        matches!(self, Self::Get | Self::Put | Self::Delete)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request, complete with absolute URL and every header.
#[derive(Clone)]
pub struct Request {
    /// The verb.
    pub method: Method,
    /// Absolute URL, sent as it is.
    pub url: String,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// The body, when there is one.
    pub body: Option<Vec<u8>>,
}

impl Request {
    /// The value of the header `name` (any case), when it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

impl fmt::Debug for Request {
    // Headers carry tokens and URLs carry signatures, so neither is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.method, super::redact::url(&self.url))
    }
}

/// A response, whatever its status.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// HTTP status code.
    pub status: u16,
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The whole body, decompressed.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of the header `name` (any case), when it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// No response arrived.
#[derive(Clone, Debug)]
pub struct TransportError {
    /// True when the request may have reached the service, so that it could have acted.
    pub sent: bool,
    /// Why, for people; no URL with a query, no token.
    pub message: String,
}

impl TransportError {
    /// True when trying again cannot help: the other side's certificate is not trusted.
    pub fn is_lasting(&self) -> bool {
        self.message.contains(UNTRUSTED)
    }
}

/// How rustls begins what it says of a certificate that it does not trust.
const UNTRUSTED: &str = "invalid peer certificate";

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TransportError {}

/// The network, through `reqwest` and rustls.
///
/// Trusts the system's certificates and those of `SSL_CERT_FILE` and `SSL_CERT_DIR`, honours
/// `HTTPS_PROXY` and `NO_PROXY`, speaks TLS 1.2 or newer, and follows no redirect, because a redirect
/// could carry the token to another host. Nothing is built before the first request: reading the
/// system's certificates takes about 20 ms.
#[derive(Default)]
pub struct HttpTransport {
    tls: OnceLock<Result<reqwest::Client, String>>,
    plain: OnceLock<Result<reqwest::Client, String>>,
}

impl HttpTransport {
    /// A transport that has not yet built anything.
    pub fn new() -> Self {
        Self::default()
    }

    fn client(&self, url: &str) -> Result<&reqwest::Client, TransportError> {
        // Plain http is only ever asked of loopback: it needs neither certificates nor a proxy.
        let built = if url.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("http://")) {
            self.plain.get_or_init(|| build(builder().no_proxy().tls_certs_only([])))
        } else {
            self.tls.get_or_init(|| build(builder().tls_certs_merge(system_bundle())))
        };
        built.as_ref().map_err(|message| TransportError { sent: false, message: message.clone() })
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let client = self.client(&request.url)?;
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Post => reqwest::Method::POST,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut building = client.request(method, &request.url);
        for (name, value) in &request.headers {
            building = building.header(name, value);
        }
        if let Some(body) = request.body {
            building = building.body(body);
        } else if matches!(request.method, Method::Post | Method::Put | Method::Patch) {
            // Front doors answer 411 to a POST that does not state its length.
            building = building.header("content-length", "0");
        }
        let answer = building.send().await.map_err(|error| no_answer(&error))?;
        let status = answer.status().as_u16();
        let headers = answer
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let body = match answer.bytes().await {
            Ok(body) => body.to_vec(),
            // The status of a write says that it was accepted, and its headers where to ask: worth more
            // than the lost body.
            Err(_) if request.method != Method::Get && status < 300 => Vec::new(),
            Err(error) => return Err(no_answer(&error)),
        };
        Ok(Response { status, headers, body })
    }
}

/// How long an answer may keep silent.
pub const READ_TIMEOUT: Duration = Duration::from_secs(60);

fn builder() -> reqwest::ClientBuilder {
    // An error only means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(30))
        .read_timeout(READ_TIMEOUT)
        .tls_version_min(reqwest::tls::Version::TLS_1_2)
}

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, String> {
    builder.build().map_err(|error| {
        format!(
            "preparing TLS: {} (install the system's CA certificates, or name a PEM file in SSL_CERT_FILE)",
            causes(&error)
        )
    })
}

/// The system's own bundle, when `SSL_CERT_FILE` would otherwise hide it.
///
/// Go programs keep reading the system's certificate directory beside `SSL_CERT_FILE`; people who set it
/// for one private CA count on that.
fn system_bundle() -> Vec<reqwest::Certificate> {
    if std::env::var_os("SSL_CERT_FILE").is_none() || std::env::var_os("SSL_CERT_DIR").is_some() {
        return Vec::new();
    }
    const BUNDLES: [&str; 4] = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ];
    BUNDLES
        .iter()
        .find_map(|path| std::fs::read(path).ok())
        .and_then(|pem| reqwest::Certificate::from_pem_bundle(&pem).ok())
        .unwrap_or_default()
}

fn no_answer(error: &reqwest::Error) -> TransportError {
    TransportError {
        sent: !(error.is_connect() || error.is_builder()),
        message: if error.is_timeout() && error.is_connect() {
            "no connection within 30 s".to_owned()
        } else if error.is_timeout() {
            "no answer within 60 s".to_owned()
        } else {
            causes(error)
        },
    }
}

/// The chain of causes without the layers that only say "error sending request for url (…)".
fn causes(error: &reqwest::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        let said = parts.iter().any(|part| part.contains(&text));
        if !said && !text.starts_with("client error (") && !text.starts_with("error sending request") {
            parts.push(text);
        }
        next = cause.source();
    }
    if parts.is_empty() {
        parts.push(if error.is_connect() { "could not connect" } else { "the connection broke" }.to_owned());
    }
    let mut text = super::redact::text(&parts.join(": "));
    if text.contains(UNTRUSTED) && text.contains("UnknownIssuer") {
        text.push_str(" (nobody whom this machine trusts has signed the certificate; if it is from a private CA, name the CA's PEM file in SSL_CERT_FILE)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn get(url: String) -> Request {
        Request { method: Method::Get, url, headers: vec![], body: None }
    }

    /// A server that reads one request per connection and answers with `bytes`.
    async fn serve(bytes: &'static str) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut seen = [0u8; 4096];
                let _ = socket.read(&mut seen).await;
                let _ = socket.write_all(bytes.as_bytes()).await;
            }
        });
        format!("http://{address}/x")
    }

    #[test]
    fn plain_http_goes_past_the_proxy_however_it_is_spelled() {
        for url in ["http://127.0.0.1:1/x", "HTTP://127.0.0.1:1/x"] {
            let transport = HttpTransport::new();
            transport.client(url).unwrap();
            assert!(transport.plain.get().is_some() && transport.tls.get().is_none(), "{url}");
        }
    }

    #[tokio::test]
    async fn any_status_is_a_response() {
        let url = serve("HTTP/1.1 418 Teapot\r\nX-Ms-Request-Id: abc\r\nContent-Length: 2\r\n\r\nno").await;
        let response = HttpTransport::new().send(get(url)).await.unwrap();
        assert_eq!(response.status, 418);
        assert_eq!(response.header("X-MS-REQUEST-ID"), Some("abc"));
        assert_eq!(response.headers[0].0, "x-ms-request-id");
        assert_eq!(response.body, b"no");
    }

    #[tokio::test]
    async fn redirects_are_not_followed() {
        let url =
            serve("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(HttpTransport::new().send(get(url)).await.unwrap().status, 302);
    }

    #[tokio::test]
    async fn refused_was_not_sent_and_cut_was() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let refused = HttpTransport::new().send(get(format!("http://127.0.0.1:{port}/"))).await.unwrap_err();
        assert!(!refused.sent);
        assert!(refused.message.to_lowercase().contains("refused"), "{refused}");

        let cut = serve("HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{\"half").await;
        let error = HttpTransport::new().send(get(cut.clone())).await.unwrap_err();
        assert!(error.sent, "{error}");
        let mut put = get(cut);
        put.method = Method::Put;
        assert_eq!(HttpTransport::new().send(put).await.unwrap().status, 200);
    }
}
