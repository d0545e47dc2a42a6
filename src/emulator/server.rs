//! The emulator on a socket: HTTP/1.1 with keep-alive, TLS when asked for, and connections that break when a fault says so.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::serve::{IncomingStream, Listener};
use futures_util::stream::{self, StreamExt};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::{Emulator, Fault, Request, Response, delivery};

/// The largest body that is read.
const LARGEST: usize = 8 * 1024 * 1024;
/// How long a client may take over its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Serves until `shutdown` is done; requests under way get a second to end.
pub async fn serve(
    listener: TcpListener,
    emulator: Arc<Emulator>,
    tls: Option<Arc<ServerConfig>>,
    shutdown: impl Future<Output = ()>,
) {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let (accepted, connections) = mpsc::channel(64);
    let address = listener.local_addr();
    let accepting = tokio::spawn(accept(listener, tls, accepted));
    let app = Router::new()
        .fallback(move |ConnectInfo(wire): ConnectInfo<Wire>, request: axum::extract::Request| {
            let emulator = Arc::clone(&emulator);
            async move { answer(emulator, scheme, wire, request).await }
        })
        .into_make_service_with_connect_info::<Wire>();
    let (stop, stopping) = tokio::sync::oneshot::channel::<()>();
    let connections = Connections { connections, address };
    let mut serving = tokio::spawn(async move {
        let served = axum::serve(connections, app).with_graceful_shutdown(async {
            let _ = stopping.await;
        });
        let _ = served.await;
    });
    shutdown.await;
    accepting.abort();
    let _ = stop.send(());
    if tokio::time::timeout(Duration::from_secs(1), &mut serving).await.is_err() {
        serving.abort();
    }
}

/// Accepts and shakes hands, each connection by itself, so that one slow client holds nobody up.
async fn accept(
    mut listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    accepted: mpsc::Sender<Connection>,
) {
    loop {
        let (stream, _) = Listener::accept(&mut listener).await;
        let _ = stream.set_nodelay(true);
        let accepted = accepted.clone();
        let acceptor = tls.clone().map(TlsAcceptor::from);
        tokio::spawn(async move {
            let io: Box<dyn Wired> = match acceptor {
                None => Box::new(stream),
                Some(acceptor) => match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => Box::new(stream),
                    _ => return,
                },
            };
            let connection = Connection { io, cut: Arc::default() };
            let _ = accepted.send(connection).await;
        });
    }
}

async fn answer(
    emulator: Arc<Emulator>,
    scheme: &str,
    wire: Wire,
    request: axum::extract::Request,
) -> axum::response::Response {
    let (head, body) = request.into_parts();
    let host = head.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1").to_owned();
    let body = match axum::body::to_bytes(body, LARGEST).await {
        Ok(body) => body,
        Err(_) => return too_large(),
    };
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request {
        method: head.method.to_string(),
        url: format!("{scheme}://{host}{path}"),
        headers: head
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
            .collect(),
        body: body.to_vec(),
    };
    match delivery::deliver(&emulator, request).await {
        Ok(response) => deliver(response),
        Err(_) => {
            wire.0.store(true, Ordering::Relaxed);
            plain(StatusCode::BAD_GATEWAY)
        }
    }
}

/// What ARM says of a body that is too large even to be read.
fn too_large() -> axum::response::Response {
    let body = concat!(
        r#"{"error":{"code":"RequestContentTooLarge","#,
        r#""message":"The request content size exceeds the maximum size of 4 MB."}}"#
    );
    let mut response = axum::response::Response::new(Body::from(body));
    *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(axum::http::header::CONTENT_TYPE, json);
    response
}

fn plain(status: StatusCode) -> axum::response::Response {
    let mut response = axum::response::Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn deliver(response: Response) -> axum::response::Response {
    let body = match response.fault {
        Fault::Truncate(bytes) if bytes < response.body.len() => {
            let part = Bytes::copy_from_slice(&response.body[..bytes]);
            let end = io::Error::new(io::ErrorKind::ConnectionReset, "the rest was cut off");
            // The pause lets the part be sent before the connection breaks.
            let rest = stream::once(async {
                tokio::task::yield_now().await;
                Err(end)
            });
            Body::from_stream(stream::iter([Ok(part)]).chain(rest))
        }
        _ => Body::from(response.body),
    };
    let mut delivered = axum::response::Response::new(body);
    *delivered.status_mut() =
        StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in response.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            delivered.headers_mut().append(name, value);
        }
    }
    delivered
}

/// What plain and encrypted connections have in common.
trait Wired: AsyncRead + AsyncWrite + Unpin + Send {}
impl Wired for TcpStream {}
impl Wired for tokio_rustls::server::TlsStream<TcpStream> {}

/// A connection that can be told to end without another byte.
struct Connection {
    io: Box<dyn Wired>,
    cut: Arc<AtomicBool>,
}

impl Connection {
    fn check(&self) -> io::Result<()> {
        if self.cut.load(Ordering::Relaxed) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// The switch of a connection, as its requests get it.
#[derive(Clone)]
struct Wire(Arc<AtomicBool>);

impl Connected<IncomingStream<'_, Connections>> for Wire {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Wire {
        Wire(Arc::clone(&stream.io().cut))
    }
}

/// Connections whose handshake is over.
struct Connections {
    connections: mpsc::Receiver<Connection>,
    address: io::Result<std::net::SocketAddr>,
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = ();

    async fn accept(&mut self) -> (Connection, ()) {
        match self.connections.recv().await {
            Some(connection) => (connection, ()),
            // Nobody accepts any more: the server is about to stop.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        self.address.as_ref().map(|_| ()).map_err(|error| error.kind().into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::Options;
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn exchange(address: std::net::SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn requests_are_answered_and_faults_break_the_wire() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let emulator = Arc::new(Emulator::in_memory().with_options(Options::served()));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(serve(listener, emulator, None, async {
            let _ = stopped.await;
        }));
        let metadata = exchange(
            address,
            "GET /metadata/endpoints?api-version=2022-09-01 HTTP/1.1\r\nHost: emu.test:8080\r\nConnection: close\r\n\r\n",
        )
        .await;
        assert!(metadata.starts_with("HTTP/1.1 200 OK"), "{metadata}");
        assert!(metadata.contains(r#""resourceManager":"http://emu.test:8080/""#), "{metadata}");
        let script =
            r#"[{"path":"/tenants","drop":"before"},{"path":"/subscriptions","truncate":5,"status":200}]"#;
        let posted = exchange(
            address,
            &format!(
                "POST /_emulator/faults HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{script}",
                script.len()
            ),
        )
        .await;
        assert!(posted.starts_with("HTTP/1.1 200"), "{posted}");
        let ask = |path: &str| format!("GET {path}?api-version=2022-09-01 HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(exchange(address, &ask("/tenants")).await, "");
        let cut = exchange(address, &ask("/subscriptions")).await;
        let body = cut.split("\r\n\r\n").nth(1).unwrap();
        assert_eq!(body, r#"{"err"#);
        stop.send(()).unwrap();
        serving.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
