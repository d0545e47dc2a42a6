//! Serves the emulator on a socket: HTTP/1.1 with keep-alive, optional TLS, limits, and connection faults.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderName, HeaderValue, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

use super::errors::ArmError;
use super::gate::{self, Reach};
use super::{Emulator, Fault, Request, Response, delivery};

/// The largest head of a request, and the buffer size of a connection.
const LARGEST_HEAD: usize = 64 * 1024;
/// The largest body: a little more than the 4 MB that ARM accepts, so that bodies slightly over the limit get ARM's error.
const LARGEST_BODY: usize = 4 * 1024 * 1024 + 1024;
/// The time limit of a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The time limit of requests in flight after shutdown has started.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// The options of a server.
#[derive(Clone, Copy, Debug)]
pub struct ServeOptions {
    /// The hosts whose requests are served.
    pub reach: Reach,
    /// Write a line to standard error for each request.
    pub log: bool,
    /// The maximum number of open connections; others wait to be accepted.
    pub connections: usize,
    /// The maximum number of bytes of request bodies in memory; other bodies wait to be read.
    pub body_budget: usize,
    /// The time limit for the head of the next request of a connection.
    pub head_timeout: Duration,
    /// The time limit for the body of a request.
    pub body_timeout: Duration,
}

impl Default for ServeOptions {
    fn default() -> ServeOptions {
        ServeOptions {
            reach: Reach::Loopback,
            log: false,
            connections: 512,
            body_budget: 16 * 1024 * 1024,
            head_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(30),
        }
    }
}

/// The data that all connections of a server share.
struct Shared {
    emulator: Arc<Emulator>,
    scheme: &'static str,
    options: ServeOptions,
    /// One permit for each KiB of [`ServeOptions::body_budget`].
    bodies: Semaphore,
}

/// Serves until `shutdown` completes; requests in flight then have one second to finish.
pub async fn serve(
    listener: TcpListener,
    emulator: Arc<Emulator>,
    tls: Option<Arc<ServerConfig>>,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) {
    let shared = Arc::new(Shared {
        emulator,
        scheme: if tls.is_some() { "https" } else { "http" },
        options,
        bodies: Semaphore::new(options.body_budget / 1024),
    });
    let acceptor = tls.map(TlsAcceptor::from);
    let slots = Arc::new(Semaphore::new(options.connections));
    let graceful = GracefulShutdown::new();
    let mut open = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = open.join_next() => continue,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Ok((stream, slot)) = accepted else {
            // Probably too many open files, until another connection closes.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (shared, acceptor, watcher) = (Arc::clone(&shared), acceptor.clone(), graceful.watcher());
        open.spawn(async move {
            let _slot = slot;
            let _ = stream.set_nodelay(true);
            match acceptor {
                None => connection(stream, shared, watcher).await,
                Some(acceptor) => {
                    if let Ok(Ok(stream)) = timeout(HANDSHAKE, acceptor.accept(stream)).await {
                        connection(stream, shared, watcher).await;
                    }
                }
            }
        });
    }
    drop(listener);
    let _ = timeout(SHUTDOWN, graceful.shutdown()).await;
}

/// Accepts the next connection when a slot is free.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    shared: Arc<Shared>,
    watcher: Watcher,
) {
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(shared.options.head_timeout)
        .max_buf_size(LARGEST_HEAD)
        .max_headers(200);
    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
    // An error means that the client disconnected or that a fault closed the connection.
    let _ = watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await;
}

type HttpBody = UnsyncBoxBody<Bytes, io::Error>;

/// Responds to one request; an error closes the connection without a response.
async fn answer(
    shared: Arc<Shared>,
    request: http::Request<Incoming>,
) -> Result<http::Response<HttpBody>, io::Error> {
    let begin = Instant::now();
    let (head, body) = request.into_parts();
    let mut request = Request {
        method: head.method.to_string(),
        url: String::new(),
        headers: head
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
            .collect(),
        body: Vec::new(),
    };
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let host = request.header("host").unwrap_or_default();
    request.url = format!("{}://{host}{path}", shared.scheme);
    let line = format!("{} {path}", request.method);
    let answered = match gate::check(&request, shared.options.reach) {
        Ok(()) => read_and_handle(&shared, request, body).await,
        Err(error) => Ok(refusal(&error)),
    };
    if shared.options.log {
        log_line(&line, answered.as_ref().ok().map(|answer| answer.status()), begin.elapsed());
    }
    answered
}

async fn read_and_handle(
    shared: &Shared,
    mut request: Request,
    body: Incoming,
) -> Result<http::Response<HttpBody>, io::Error> {
    let too_large = || {
        let message = "The request content size exceeds the maximum size of 4 MB.";
        Ok(refusal(&ArmError::gateway(413, "RequestContentTooLarge", message)))
    };
    let most = body.size_hint().upper().unwrap_or(LARGEST_BODY as u64);
    if most > LARGEST_BODY as u64 {
        return too_large();
    }
    let permits = u32::try_from(most.div_ceil(1024)).unwrap_or(u32::MAX);
    let reading = async {
        let permit = shared.bodies.acquire_many(permits).await.map_err(io::Error::other)?;
        let body = Limited::new(body, LARGEST_BODY).collect().await.map_err(io::Error::other)?;
        Ok::<_, io::Error>((permit, Vec::from(body.to_bytes())))
    };
    let _permit = match timeout(shared.options.body_timeout, reading).await {
        Ok(Ok((permit, body))) => {
            request.body = body;
            permit
        }
        Ok(Err(error)) if error.to_string().contains("length limit") => return too_large(),
        Ok(Err(error)) => return Err(error),
        Err(_) => {
            let message = "The body of the request did not arrive in time.";
            return Ok(refusal(&ArmError::gateway(408, "RequestTimeout", message)));
        }
    };
    match delivery::deliver(&shared.emulator, request).await {
        Ok(response) => Ok(deliver(response)),
        Err(_) => Err(io::ErrorKind::ConnectionReset.into()),
    }
}

/// The response to a request that is refused before it reaches the emulator. It closes the connection, because the body may
/// be unread.
fn refusal(error: &ArmError) -> http::Response<HttpBody> {
    deliver(Response {
        status: error.status,
        headers: vec![
            ("Content-Type".to_owned(), "application/json; charset=utf-8".to_owned()),
            ("Connection".to_owned(), "close".to_owned()),
        ],
        body: error.body().compact().into_bytes(),
        fault: Fault::None,
    })
}

fn deliver(response: Response) -> http::Response<HttpBody> {
    let body = match response.fault {
        Fault::Truncate(bytes) if bytes < response.body.len() => {
            let part = Frame::data(Bytes::copy_from_slice(&response.body[..bytes]));
            let rest = async {
                // The pause lets the part be sent before the connection breaks.
                tokio::task::yield_now().await;
                Err(io::Error::new(io::ErrorKind::ConnectionReset, "a fault cut the body short"))
            };
            let parts = stream::StreamExt::chain(stream::iter([Ok(part)]), stream::once(rest));
            StreamBody::new(parts).boxed_unsync()
        }
        _ => Full::new(Bytes::from(response.body)).map_err(|never: Infallible| match never {}).boxed_unsync(),
    };
    let mut delivered = http::Response::new(body);
    *delivered.status_mut() =
        StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in response.headers {
        // Other servers use the same loopback host, so a browser must not require https for it.
        if name.eq_ignore_ascii_case("strict-transport-security") {
            continue;
        }
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            delivered.headers_mut().append(name, value);
        }
    }
    delivered
}

/// `12:03:04 PUT /subscriptions/… 201 12 ms` on standard error.
fn log_line(request: &str, status: Option<StatusCode>, took: Duration) {
    use std::io::Write;
    let time = time::OffsetDateTime::now_utc().time();
    let status = status.map_or("dropped".to_owned(), |status| status.as_u16().to_string());
    let line = format!(
        "{:02}:{:02}:{:02} {request} {status} {} ms\n",
        time.hour(),
        time.minute(),
        time.second(),
        took.as_millis()
    );
    // Keep serving if the terminal is closed.
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::settings::Options;
    use super::*;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn exchange(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn start(options: ServeOptions) -> (SocketAddr, impl Future<Output = ()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let emulator = Arc::new(Emulator::in_memory().with_options(Options::served()));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(serve(listener, emulator, None, options, async {
            let _ = stopped.await;
        }));
        let end = async move {
            stop.send(()).unwrap();
            serving.await.unwrap();
        };
        (address, end)
    }

    #[tokio::test]
    async fn answers_requests_and_breaks_connections_for_faults() {
        let (address, end) = start(ServeOptions::default()).await;
        let metadata = exchange(
            address,
            "GET /metadata/endpoints?api-version=2022-09-01 HTTP/1.1\r\nHost: localhost:8080\r\nConnection: close\r\n\r\n",
        )
        .await;
        assert!(metadata.starts_with("HTTP/1.1 200 OK"), "{metadata}");
        assert!(metadata.contains(r#""resourceManager":"http://localhost:8080/""#), "{metadata}");
        assert!(!metadata.to_lowercase().contains("strict-transport"), "{metadata}");
        let script =
            r#"[{"path":"/tenants","drop":"before"},{"path":"/subscriptions","truncate":5,"status":200}]"#;
        let post = |control: &str| {
            format!(
                "POST /_emulator/faults HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{control}Content-Length: {}\r\n\r\n{script}",
                script.len()
            )
        };
        let refused = exchange(address, &post("Content-Type: text/plain\r\n")).await;
        assert!(refused.starts_with("HTTP/1.1 403") && refused.contains("ControlHeaderMissing"), "{refused}");
        let posted =
            exchange(address, &post("Content-Type: application/json\r\nX-Azimage-Control: true\r\n")).await;
        assert!(posted.starts_with("HTTP/1.1 200"), "{posted}");
        let get =
            |path: &str| format!("GET {path}?api-version=2022-09-01 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        assert_eq!(exchange(address, &get("/tenants")).await, "");
        let cut = exchange(address, &get("/subscriptions")).await;
        let body = cut.split("\r\n\r\n").nth(1).unwrap();
        assert_eq!(body, r#"{"err"#);
        let rebound = exchange(address, &get("/subscriptions").replace("127.0.0.1", "evil.example")).await;
        assert!(rebound.starts_with("HTTP/1.1 403") && rebound.contains("ForeignHost"), "{rebound}");
        end.await;
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn incomplete_requests_time_out_and_free_their_connections() {
        let quick = Duration::from_millis(200);
        let options = ServeOptions {
            connections: 2,
            body_budget: 4096,
            head_timeout: quick,
            body_timeout: quick,
            ..ServeOptions::default()
        };
        let (address, end) = start(options).await;
        let whole = "GET /metadata/endpoints?api-version=2022-09-01 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let part = "PUT /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\n{";
        // Incomplete requests occupy both connections; the complete one is served once they have timed out.
        let begin = Instant::now();
        let (head, body, answered) =
            tokio::join!(exchange(address, "GET / HT"), exchange(address, part), async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                exchange(address, whole).await
            });
        assert!(begin.elapsed() >= quick && begin.elapsed() < 20 * quick, "{:?}", begin.elapsed());
        assert!(head.is_empty() || head.starts_with("HTTP/1.1 408"), "{head}");
        assert!(body.starts_with("HTTP/1.1 408") && body.contains("RequestTimeout"), "{body}");
        assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
        // The budget of bodies is free again.
        let again = exchange(address, &part.replace("4000\r\n", "1\r\nConnection: close\r\n")).await;
        assert!(again.starts_with("HTTP/1.1 4") && !again.contains("RequestTimeout"), "{again}");
        end.await;
    }
}
