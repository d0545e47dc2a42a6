//! The HTTP transport with `reqwest` and rustls, and limits on the time and size of responses.

use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::time::Instant;

use super::proxy;
use super::redact;
use super::transport::{
    CERT_FILE, Method, READ_TIMEOUT, Request, Response, TOO_LARGE, Transport, TransportError, UNTRUSTED,
};

/// Sends requests over the network.
///
/// Trusts the system's certificates and those of `SSL_CERT_FILE` and `SSL_CERT_DIR`, uses `HTTPS_PROXY` and `NO_PROXY`,
/// requires TLS 1.2 or newer, and follows no redirects, because they could send the token to another host. The client is
/// built at the first request, because reading the system's certificates takes about 20 ms.
#[derive(Default)]
pub struct HttpTransport {
    tls: OnceLock<Result<reqwest::Client, String>>,
    plain: OnceLock<Result<reqwest::Client, String>>,
}

/// The time limit of a response's headers.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(90);
/// The time limit of a response's body. It is extended by a second for every [`LOWEST_RATE`] bytes that have arrived.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// The minimum rate of a body in bytes per second.
const LOWEST_RATE: u64 = 1024;
/// The maximum size of a decompressed body in bytes.
const MOST_BYTES: usize = 64 * 1024 * 1024;

impl HttpTransport {
    /// A new transport. It builds its clients when they are first needed.
    pub fn new() -> Self {
        Self::default()
    }

    fn client(&self, url: &str) -> Result<&reqwest::Client, TransportError> {
        // Plain HTTP is only used on loopback, which needs neither certificates nor a proxy.
        let built = if url.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("http://")) {
            self.plain.get_or_init(|| build(builder().no_proxy().tls_certs_only([])))
        } else {
            self.tls.get_or_init(|| {
                check_certificate_file()?;
                build(builder().tls_certs_merge(system_bundle()))
            })
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
            // Front doors respond with 411 to a POST without a Content-Length.
            building = building.header("content-length", "0");
        }
        let answer = match tokio::time::timeout(HEADERS_TIMEOUT, building.send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                let mut failure = no_answer(&error);
                if error.is_connect()
                    && let Some(why) = proxy::explain(&request.url, &failure.message).await
                {
                    failure.message = why;
                }
                return Err(failure);
            }
            Err(_) => {
                let message = format!("no complete answer within {} s", HEADERS_TIMEOUT.as_secs());
                return Err(TransportError { sent: true, message });
            }
        };
        let status = answer.status().as_u16();
        let headers = answer
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let body = match read_body(answer).await {
            Ok(body) => body,
            // The status of a write shows that it was accepted, and its headers contain the poll URL, so the lost body
            // does not matter.
            Err(_) if request.method != Method::Get && status < 300 => Vec::new(),
            Err(error) => return Err(error),
        };
        Ok(Response { status, headers, body })
    }
}

/// Reads a body in chunks, so that a compressed one is not inflated beyond the limit.
async fn read_body(mut answer: reqwest::Response) -> Result<Vec<u8>, TransportError> {
    let begun = Instant::now();
    let mut body: Vec<u8> = Vec::new();
    loop {
        let allowed = BODY_TIMEOUT + Duration::from_secs(body.len() as u64 / LOWEST_RATE);
        let chunk = match tokio::time::timeout_at(begun + allowed, answer.chunk()).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => return Ok(body),
            Ok(Err(error)) => return Err(no_answer(&error)),
            Err(_) => {
                let message = format!(
                    "the answer arrives too slowly: {} bytes in {} s",
                    body.len(),
                    begun.elapsed().as_secs()
                );
                return Err(TransportError { sent: true, message });
            }
        };
        if body.len() + chunk.len() > MOST_BYTES {
            let message = format!("{TOO_LARGE} {} MB", MOST_BYTES >> 20);
            return Err(TransportError { sent: true, message });
        }
        body.extend_from_slice(&chunk);
    }
}

fn builder() -> reqwest::ClientBuilder {
    // An error means that a provider is already installed.
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
            "preparing TLS: {} (install the system's CA certificates, or set SSL_CERT_FILE to a PEM file)",
            causes(&error)
        )
    })
}

/// Fails if `SSL_CERT_FILE` is a file without usable certificates. Otherwise the error would only say that the server is
/// not trusted.
fn check_certificate_file() -> Result<(), String> {
    let Some(path) = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    let fail = |why: String| format!("{CERT_FILE} {:?}, which {why}", std::path::Path::new(&path));
    let pem = std::fs::read(&path).map_err(|error| fail(format!("cannot be read: {error}")))?;
    usable_certificates(&pem).map(drop).map_err(fail)
}

/// The number of certificates in a PEM file. The error completes "the file …".
fn usable_certificates(pem: &[u8]) -> Result<usize, String> {
    let mut roots = rustls::RootCertStore::empty();
    for (number, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let number = number + 1;
        let certificate =
            certificate.map_err(|error| format!("has a broken PEM block ({number}.): {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("has an unusable certificate ({number}.): {error}"))?;
    }
    if roots.is_empty() {
        return Err("contains no certificate in PEM form (-----BEGIN CERTIFICATE-----)".to_owned());
    }
    Ok(roots.len())
}

/// The system's certificates, which `SSL_CERT_FILE` would otherwise replace.
///
/// Go programs read the system's certificate directory in addition to `SSL_CERT_FILE`, and users who set it for a private
/// CA rely on that.
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

/// The causes of an error, without those that only say "error sending request for url (…)".
fn causes(error: &reqwest::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        let is_repeated = parts.iter().any(|part| part.contains(&text));
        if !is_repeated && !text.starts_with("client error (") && !text.starts_with("error sending request") {
            parts.push(text);
        }
        next = cause.source();
    }
    if parts.is_empty() {
        parts.push(if error.is_connect() { "could not connect" } else { "the connection broke" }.to_owned());
    }
    let mut text = redact::text(&parts.join(": "));
    if text.contains(UNTRUSTED) && text.contains("UnknownIssuer") {
        text.push_str(" (the certificate is not signed by an authority that this machine trusts; if it is from a private CA, set SSL_CERT_FILE to the CA's PEM file)");
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

    /// A server that reads one request per connection and responds with `bytes`.
    async fn serve(bytes: impl AsRef<[u8]> + Send + 'static) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut seen = [0u8; 4096];
                let _ = socket.read(&mut seen).await;
                let _ = socket.write_all(bytes.as_ref()).await;
            }
        });
        format!("http://{address}/x")
    }

    #[test]
    fn plain_http_bypasses_the_proxy_in_any_case() {
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
    async fn a_refused_connection_was_not_sent_but_a_broken_one_may_have_been() {
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

    /// Compressed zeros: a literal, and copies of 258 bytes at distance 1, in one block with fixed codes.
    fn gzip_of_zeros(bytes: usize) -> Vec<u8> {
        let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        let (mut pending, mut count) = (0u64, 0);
        let mut put = |bits: u64, length: u32| {
            pending |= bits << count;
            count += length;
            while count >= 8 {
                out.push(pending as u8);
                pending >>= 8;
                count -= 8;
            }
        };
        put(0b011, 3);
        // Codes begin with their highest bit: 00110000 is the literal 0, 11000101 the length 258, 00000 the distance 1.
        put(0b0000_1100, 8);
        for _ in 0..bytes / 258 {
            put(0b1010_0011, 8);
            put(0, 5);
        }
        put(0, 14);
        out
    }

    fn answer_with(headers: &str, body: &[u8]) -> Vec<u8> {
        let mut bytes =
            format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }

    #[tokio::test]
    async fn a_compressed_body_is_not_inflated_beyond_the_limit() {
        let bomb = gzip_of_zeros(1 << 30);
        assert!(bomb.len() < 8 << 20, "{}", bomb.len());
        let url = serve(answer_with("Content-Encoding: gzip\r\n", &bomb)).await;
        let error = HttpTransport::new().send(get(url.clone())).await.unwrap_err();
        assert!(error.is_lasting() && error.message.contains("larger than 64 MB"), "{error}");
        // The status of a write still counts.
        let put = Request { method: Method::Put, ..get(url) };
        let response = HttpTransport::new().send(put).await.unwrap();
        assert_eq!((response.status, response.body.len()), (200, 0));
    }

    #[tokio::test]
    async fn limits_the_size_of_a_body() {
        let url = serve(answer_with("", &vec![b' '; MOST_BYTES])).await;
        assert_eq!(HttpTransport::new().send(get(url)).await.unwrap().body.len(), MOST_BYTES);
        let url = serve(answer_with("", &vec![b' '; MOST_BYTES + 1])).await;
        let error = HttpTransport::new().send(get(url)).await.unwrap_err();
        assert!(error.message.contains("larger than 64 MB"), "{error}");
    }

    /// A peer cannot keep a call alive by sending a byte now and then.
    #[tokio::test(start_paused = true)]
    async fn aborts_a_slow_body() {
        let body = reqwest::Body::wrap_stream(tokio_stream::StreamExt::throttle(
            tokio_stream::iter(std::iter::repeat_with(|| Ok::<_, std::io::Error>(vec![b' ']))),
            Duration::from_secs(5),
        ));
        let begun = Instant::now();
        let error = read_body(http::Response::new(body).into()).await.unwrap_err();
        assert!(error.sent && error.message.contains("too slowly"), "{error}");
        assert!((29..=31).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    }

    #[test]
    fn explains_what_is_wrong_with_a_certificate_file() {
        let authority = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap().cert.pem();
        assert_eq!(usable_certificates(authority.as_bytes()), Ok(1));
        assert_eq!(usable_certificates(authority.repeat(3).as_bytes()), Ok(3));
        let bad_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (pem, why) in [
            ("", "no certificate in PEM form"),
            ("hello", "no certificate in PEM form"),
            (bad_der, "an unusable certificate (1.)"),
            (&format!("{authority}{bad_der}"), "an unusable certificate (2.)"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "a broken PEM block (1.)"),
        ] {
            let error = usable_certificates(pem.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
