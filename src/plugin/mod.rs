//! The process that Terraform starts: handshake, listener, services, log and shutdown. It does not depend on the provider.
//!
//! Read in this order: [`launch`] (environment and handshake line), [`address`], [`listener`] and [`socket`], [`tls`],
//! [`connections`], [`services`] (beside the provider), [`host`] (its command), [`panics`], [`lifetime`] (signals and the end), [`log`], [`traces`]
//! and [`otlp`] (export of traces), and [`reattach`].

pub mod address;
pub mod connections;
mod fields;
pub mod host;
pub mod launch;
pub mod lifetime;
pub mod listener;
pub mod log;
pub mod otlp;
pub mod panics;
pub mod proto;
pub mod reattach;
pub mod services;
pub mod socket;
pub mod tls;
pub mod traces;

use connections::Open;
use launch::{Launch, handshake_line};
use lifetime::{Lifetime, Owner, Signals};
use listener::Listener;
use std::{
    io::{self, Write},
    path::PathBuf,
    pin::pin,
    process::ExitCode,
    sync::Arc,
};
use time::OffsetDateTime;
use tls::Tls;
use tokio::{
    runtime::{self, Runtime},
    sync::Notify,
};
use tonic::{service::Routes, transport::Server};

/// Serves the provider to the Terraform or OpenTofu that started this process, until it ends.
///
/// `services` makes the provider's gRPC services. It is called after the handshake line is written, so that its work
/// overlaps with the host's. Its argument is notified when running operations should end: by a signal, and half a second
/// before the end of the process.
pub fn serve(services: impl FnOnce(Arc<Notify>) -> Routes) -> ExitCode {
    run(Owner::Host, services)
}

/// Serves the provider to any number of runs until Ctrl-C, each with its own configuration. The transport is not encrypted, as
/// hosts expect; the socket is in a directory that only this user can enter.
pub fn debug(services: impl FnOnce(Arc<Notify>) -> Routes) -> ExitCode {
    run(Owner::Person, services)
}

/// Why the process could not start serving.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The binary was not started by a host.
    #[error(
        "This binary is a plugin: Terraform and OpenTofu start it, you need not start it yourself.\n\
         Name azimage in a configuration's required_providers and run terraform or tofu there.\n\
         To develop the provider, run it with -debug; to see its version, with --version."
    )]
    NotByHost,
    /// A port variable is not a port number.
    #[error("reading {name}: {value:?} is not a port; give a number from 0 to 65535 or unset it")]
    Port {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// `PLUGIN_CLIENT_CERT` cannot be read.
    #[error(
        "reading the host's certificate from PLUGIN_CLIENT_CERT: {0}; it must contain one certificate in PEM \
         (unset it for an unencrypted transport)"
    )]
    ClientCertificate(String),
    /// The process's own key or certificate could not be made.
    #[error("making the plugin's own certificate: {0}")]
    Certificate(String),
    /// No directory is suitable for the socket.
    #[error(
        "choosing a directory for the plugin's socket: {} is too long (more than {longest} bytes), not UTF-8, \
         or contains a vertical bar; set TMPDIR, or PLUGIN_UNIX_SOCKET_DIR if that is set, to a shorter one",
        dir.display()
    )]
    SocketPath {
        /// The required directory.
        dir: PathBuf,
        /// The maximum length of its path, in bytes.
        longest: usize,
    },
    /// The socket or its directory could not be made.
    #[error("{what} {}: {why}; is TMPDIR (or PLUGIN_UNIX_SOCKET_DIR) a directory you may write to?", path.display())]
    Socket {
        /// The operation.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        why: io::Error,
    },
    /// There is no group with the name in `PLUGIN_UNIX_SOCKET_GROUP`.
    #[error(
        "looking up the group {0:?} of PLUGIN_UNIX_SOCKET_GROUP: not in /etc/group; give its number instead"
    )]
    Group(String),
    /// All ports are in use.
    #[error(
        "listening on 127.0.0.1, ports {first} to {last}: {why}; \
         free one of them or widen PLUGIN_MIN_PORT and PLUGIN_MAX_PORT"
    )]
    NoFreePort {
        /// The first port tried.
        first: u16,
        /// The last port tried.
        last: u16,
        /// The operating system's error for the last port.
        why: io::Error,
    },
    /// The address of the listener cannot be read.
    #[error("asking for the address of the plugin's listener: {0}")]
    Listen(io::Error),
    /// The runtime, the signals or standard output failed.
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
    /// The server failed.
    #[error("serving the provider: {0}")]
    Serve(tonic::transport::Error),
}

fn run(owner: Owner, services: impl FnOnce(Arc<Notify>) -> Routes) -> ExitCode {
    match try_run(owner, services) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn try_run(owner: Owner, services: impl FnOnce(Arc<Notify>) -> Routes) -> Result<u8, StartError> {
    let environment = |name: &str| std::env::var_os(name);
    let launch = match owner {
        Owner::Host => Launch::from_host(environment)?,
        Owner::Person => Launch::for_debug(environment)?,
    };
    if owner == Owner::Host {
        leave_no_core();
    }
    #[cfg(unix)]
    let parent = lifetime::parent_id();
    log::install(environment);
    panics::install_hook();
    let tls = match &launch.client_certificate {
        Some(client) => Some(Tls::new(client, OffsetDateTime::now_utc())?),
        None => None,
    };
    let runtime = runtime().map_err(|why| StartError::System("starting the async runtime", why))?;
    let code = runtime.block_on(async {
        let signals = Signals::catch().map_err(|why| StartError::System("catching signals", why))?;
        let (listener, files) = Listener::bind(&launch).await?;
        let lifetime = Lifetime::new(files);
        announce(owner, &launch, &listener, tls.as_ref())
            .map_err(|why| StartError::System("writing to standard output", why))?;

        tracing::debug!(address = %listener.address, encrypted = tls.is_some(), "listening");

        let (open, stop_calls) = (Open::default(), lifetime.stop_calls());
        let incoming = connections::incoming(
            listener,
            tls.map(|tls| tls.acceptor),
            open.clone(),
            owner == Owner::Person,
        );
        let routes = services::add_to(services(lifetime.stop_calls()), &lifetime);
        let server = Server::builder().serve_with_incoming_shutdown(
            panics::Guarded(routes.prepare()),
            incoming,
            lifetime.ended().cancelled_owned(),
        );
        let orphaned = async {
            match owner {
                #[cfg(unix)]
                Owner::Host => lifetime::wait_until_orphaned(parent, &open).await,
                #[cfg(not(unix))]
                Owner::Host => lifetime::wait_until_host_is_gone(&open).await,
                Owner::Person => std::future::pending().await,
            }
        };
        let mut server = pin!(server);
        let code = tokio::select! {
            served = &mut server => served.map(|()| 0).map_err(StartError::Serve),
            code = signals.wait_for_exit_code(owner, &open, &stop_calls) => {
                // A host's SIGTERM ends this process at once.
                if owner == Owner::Person {
                    lifetime.end();
                    let _ = server.await;
                }
                Ok(code)
            }
            () = orphaned => Ok(0),
        };
        lifetime.clean_up();
        code
    })?;
    otlp::finish();
    // Work that blocks a thread must not delay the end.
    runtime.shutdown_background();
    Ok(code)
}

/// Disables core files, which would contain tokens and passwords in a folder that others may read. In debug mode they are
/// enabled.
fn leave_no_core() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let maximum = getrlimit(Resource::Core).maximum;
        // This fails only where there is no such limit.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum });
    }
}

/// Two threads: calls mostly wait, and while one thread is blocked the other can still end the process.
fn runtime() -> io::Result<Runtime> {
    runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

/// Writes the address for the host or the person. Nothing is written to standard output after this: the host may have
/// stopped reading it.
fn announce(owner: Owner, launch: &Launch, listener: &Listener, tls: Option<&Tls>) -> io::Result<()> {
    let address = &listener.address;
    let text = match owner {
        Owner::Host => {
            let certificate = tls.map_or(&[][..], |tls| &tls.certificate);
            handshake_line(address, certificate, launch.multiplexing_requested)
        }
        Owner::Person => reattach::instructions(address, std::process::id()),
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
