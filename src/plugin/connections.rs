//! A stream of ready connections from a bound listener. Each is set up by its own task, so that a client that stalls
//! does not delay others.

use super::listener::{Duplex, Listener};
use futures_util::Stream;
use std::{
    any::Any,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

/// The time limit for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The pause after a failure to accept, for example because no file descriptors are left.
const AFTER_FAILURE: Duration = Duration::from_millis(50);

/// Accepts connections and yields each one once it is ready: encrypted ones after their TLS handshake. With
/// `separate`, each gets a [`PerConnection`], because each belongs to a different host.
pub fn incoming(
    listener: Listener,
    tls: Option<TlsAcceptor>,
    open: Open,
    separate: bool,
) -> impl Stream<Item = io::Result<Connection>> {
    let (ready, connections) = mpsc::channel(16);
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                // The server has ended.
                () = ready.closed() => return,
            };
            match accepted {
                Ok(stream) => {
                    let (ready, tls, counted) = (ready.clone(), tls.clone(), open.count());
                    tokio::spawn(async move {
                        if let Some(stream) = set_up(stream, tls).await {
                            let own = separate.then(PerConnection::default);
                            let _ = ready.send(Ok(Connection { stream, own, _counted: counted })).await;
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection");
                    sleep(AFTER_FAILURE).await;
                }
            }
        }
    });
    ReceiverStream::new(connections)
}

async fn set_up(stream: Box<dyn Duplex>, tls: Option<TlsAcceptor>) -> Option<Box<dyn Duplex>> {
    let Some(tls) = tls else { return Some(stream) };
    match timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            tracing::warn!(%error, "a client was refused: its TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::warn!(
                seconds = HANDSHAKE.as_secs(),
                "a client was refused: it did not finish its TLS handshake"
            );
            None
        }
    }
}

/// What belongs to one connection alone. Requests carry it as `Option<PerConnection>` among their extensions.
#[derive(Clone, Default)]
pub struct PerConnection(Arc<OnceLock<Arc<dyn Any + Send + Sync>>>);

impl PerConnection {
    /// Returns the value of this connection, and creates it on the first call. All calls must use the same type.
    pub fn get_or_init<T: Send + Sync + 'static>(&self, make: impl Fn() -> Arc<T>) -> Arc<T> {
        let own = self.0.get_or_init(|| make()).clone();
        own.downcast().unwrap_or_else(|_| make())
    }
}

/// The number of open connections, including those whose handshake is not finished.
#[derive(Debug, Clone, Default)]
pub struct Open(Arc<AtomicUsize>);

impl Open {
    /// Whether no connection is open.
    pub fn none(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }

    /// Counts a connection until the returned guard is dropped.
    pub(super) fn count(&self) -> Counted {
        self.0.fetch_add(1, Ordering::AcqRel);
        Counted(self.0.clone())
    }
}

/// One connection.
pub(super) struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A connection over any kind of socket, with or without TLS.
pub struct Connection {
    stream: Box<dyn Duplex>,
    own: Option<PerConnection>,
    _counted: Counted,
}

impl Connected for Connection {
    type ConnectInfo = Option<PerConnection>;

    fn connect_info(&self) -> Option<PerConnection> {
        self.own.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::tls::Tls;
    use time::OffsetDateTime;

    #[tokio::test(start_paused = true)]
    async fn drops_a_client_that_never_finishes_its_handshake() {
        let host = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap().cert.pem();
        let tls = Tls::new(&host, OffsetDateTime::now_utc()).unwrap();
        let (ours, _theirs) = tokio::io::duplex(1024);
        let began = tokio::time::Instant::now();
        assert!(set_up(Box::new(ours), Some(tls.acceptor)).await.is_none());
        assert_eq!(began.elapsed().as_secs(), HANDSHAKE.as_secs());
    }

    #[tokio::test]
    async fn counts_connections_from_accepting_to_closing() {
        let open = Open::default();
        assert!(open.none());
        let (first, second) = (open.count(), open.clone().count());
        drop(first);
        assert!(!open.none());
        drop(second);
        assert!(open.none());
    }
}
