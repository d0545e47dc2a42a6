//! The listener of the process: a private Unix socket, or loopback TCP on Windows.

use super::{
    StartError,
    address::Address,
    launch::{Launch, Ports},
};
use std::{io, net::Ipv4Addr};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};

/// A byte stream in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A bound listener.
pub struct Listener {
    /// Where it listens.
    pub address: Address,
    kind: Kind,
}

enum Kind {
    #[cfg(unix)]
    Unix(tokio::net::UnixListener),
    // Compiled on every platform, so that it is tested on every platform.
    #[cfg_attr(unix, allow(dead_code))]
    Tcp(TcpListener),
}

impl Listener {
    /// Binds the listener for this operating system. A Unix socket has files to remove at the end.
    #[cfg(unix)]
    pub async fn bind(launch: &Launch) -> Result<(Self, super::socket::Files), StartError> {
        let (listener, files) = super::socket::bind(launch)?;
        Ok((Self { address: Address::Unix(files.socket.clone()), kind: Kind::Unix(listener) }, files))
    }

    /// Binds the listener for this operating system.
    #[cfg(not(unix))]
    pub async fn bind(launch: &Launch) -> Result<(Self, super::socket::Files), StartError> {
        Ok((Self::bind_tcp(&launch.ports).await?, super::socket::Files::default()))
    }

    /// The first free loopback port.
    #[cfg_attr(all(unix, not(test)), allow(dead_code))]
    async fn bind_tcp(Ports(ports): &Ports) -> Result<Self, StartError> {
        let mut why = io::Error::other("the range is empty");
        for port in ports.clone() {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
                Ok(listener) => {
                    let address = listener.local_addr().map_err(StartError::Listen)?;
                    return Ok(Self { address: Address::Tcp(address), kind: Kind::Tcp(listener) });
                }
                Err(error) => why = error,
            }
        }
        Err(StartError::NoFreePort { first: *ports.start(), last: *ports.end(), why })
    }

    /// The next connection.
    pub async fn accept(&self) -> io::Result<Box<dyn Duplex>> {
        match &self.kind {
            #[cfg(unix)]
            Kind::Unix(listener) => Ok(Box::new(listener.accept().await?.0)),
            Kind::Tcp(listener) => {
                let stream = listener.accept().await?.0;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn skips_a_busy_port_and_reports_a_busy_range() {
        // Two neighbouring ports, of which the first is in use.
        let (taken, port) = loop {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            if port < u16::MAX && std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port + 1)).is_ok() {
                break (listener, port);
            }
        };
        let bound = Listener::bind_tcp(&Ports(port..=port + 1)).await.unwrap();
        assert_eq!(bound.address, Address::Tcp((Ipv4Addr::LOCALHOST, port + 1).into()));
        let error = Listener::bind_tcp(&Ports(port..=port + 1)).await.err().unwrap().to_string();
        assert!(error.contains(&port.to_string()) && error.contains(&(port + 1).to_string()), "{error}");
        drop(taken);
    }

    #[tokio::test]
    async fn uses_any_port_without_a_range_and_refuses_an_empty_one() {
        let bound = Listener::bind_tcp(&Ports::default()).await.unwrap();
        assert!(
            matches!(bound.address, Address::Tcp(address) if address.port() > 0 && address.ip().is_loopback())
        );
        #[allow(clippy::reversed_empty_ranges)]
        let none = Ports(10..=9);
        assert!(Listener::bind_tcp(&none).await.is_err());
    }
}
