//! The process Terraform starts: how it is greeted, how it listens, answers, logs and ends.
//!
//! Read in this order: [`launch`] (what the environment says, and the handshake line), [`listener`] and
//! [`socket`] (where it listens), [`tls`] (whom it lets in), [`connections`], [`services`] (the small
//! ones beside the provider), [`panics`], [`lifetime`] (signals and the end), [`log`], [`traces`] and
//! [`otlp`] (what a collector is told), and [`reattach`].
//! Nothing here knows what the provider does.

pub mod address;
pub mod connections;
mod fields;
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

/// Serves the provider to the Terraform or OpenTofu that started this process, until told to end.
///
/// `services` makes the provider's gRPC services. It is called when the host already knows where to
/// find us, so that its work overlaps with the host's, and with what is notified whenever the work
/// under way is to end soon: when a signal asks for it, and at the end, which it has half a second for.
pub fn serve(services: impl FnOnce(Arc<Notify>) -> Routes) -> ExitCode {
    run(Owner::Host, services)
}

/// Serves the provider to any number of runs that are told where it is, until Ctrl-C. Unencrypted, as
/// hosts expect it: the socket is in a directory only this user can enter.
pub fn debug(services: impl FnOnce(Arc<Notify>) -> Routes) -> ExitCode {
    run(Owner::Person, services)
}

/// Why the process could not start serving.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Somebody ran the binary by hand.
    #[error(
        "This binary is a plugin: Terraform and OpenTofu start it, people need not.\n\
         Name azimage in a configuration's required_providers and run terraform or tofu there.\n\
         To develop the provider, run it with -debug; to see its version, with --version."
    )]
    NotByHost,
    /// A port variable holds something else.
    #[error("reading {name}: {value:?} is not a port; give a number from 0 to 65535 or unset it")]
    Port {
        /// The variable.
        name: &'static str,
        /// What it holds.
        value: String,
    },
    /// `PLUGIN_CLIENT_CERT` cannot be read.
    #[error(
        "reading the host's certificate from PLUGIN_CLIENT_CERT: {0}; it must hold one certificate in PEM \
         (unset it for an unencrypted transport)"
    )]
    ClientCertificate(String),
    /// Our own key or certificate could not be made.
    #[error("making the plugin's own certificate: {0}")]
    Certificate(String),
    /// No directory is good enough for the socket.
    #[error(
        "choosing a directory for the plugin's socket: {} is too long (more than {longest} bytes), not UTF-8, \
         or contains a vertical bar; set TMPDIR, or PLUGIN_UNIX_SOCKET_DIR if that is set, to a shorter one",
        dir.display()
    )]
    SocketPath {
        /// The directory that was wanted.
        dir: PathBuf,
        /// How many bytes its path may have.
        longest: usize,
    },
    /// The socket or its directory could not be made.
    #[error("{what} {}: {why}; is TMPDIR (or PLUGIN_UNIX_SOCKET_DIR) a directory you may write to?", path.display())]
    Socket {
        /// What was being done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// `PLUGIN_UNIX_SOCKET_GROUP` names nobody.
    #[error(
        "looking up the group {0:?} of PLUGIN_UNIX_SOCKET_GROUP: not in /etc/group; give its number instead"
    )]
    Group(String),
    /// All ports are taken.
    #[error(
        "listening on 127.0.0.1, ports {first} to {last}: {why}; \
         free one of them or widen PLUGIN_MIN_PORT and PLUGIN_MAX_PORT"
    )]
    NoFreePort {
        /// The first port tried.
        first: u16,
        /// The last port tried.
        last: u16,
        /// What the system said about the last.
        why: io::Error,
    },
    /// The listener is bound but will not tell where.
    #[error("asking for the address of the plugin's listener: {0}")]
    Listen(io::Error),
    /// The runtime, the signals or standard output failed us.
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
    /// The server gave up.
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
        Owner::Host => Launch::by_host(environment)?,
        Owner::Person => Launch::by_hand(environment)?,
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

        let (open, calls_off) = (Open::default(), lifetime.calls_off());
        let incoming = connections::incoming(
            listener,
            tls.map(|tls| tls.acceptor),
            open.clone(),
            owner == Owner::Person,
        );
        let routes = services::add_to(services(lifetime.calls_off()), &lifetime);
        let server = Server::builder().serve_with_incoming_shutdown(
            panics::Guarded(routes.prepare()),
            incoming,
            lifetime.ended().cancelled_owned(),
        );
        let orphaned = async {
            match owner {
                #[cfg(unix)]
                Owner::Host => lifetime::orphaned(parent, &open).await,
                #[cfg(not(unix))]
                Owner::Host => lifetime::deserted(&open).await,
                Owner::Person => std::future::pending().await,
            }
        };
        let mut server = pin!(server);
        let code = tokio::select! {
            served = &mut server => served.map(|()| 0).map_err(StartError::Serve),
            code = signals.ending(owner, &open, &calls_off) => {
                // A host's SIGTERM ends us at once, as it would any program.
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
    // Work that blocks a thread must not hold up the end.
    runtime.shutdown_background();
    Ok(code)
}

/// A crash leaves no core file: it would hold tokens and passwords, in a folder that others may read. Whoever debugs the
/// process starts it with `-debug`, which leaves one.
fn leave_no_core() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let maximum = getrlimit(Resource::Core).maximum;
        // refused only where there is nothing to limit
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum });
    }
}

/// Two threads: the work is waiting, waking others costs more than most calls take, and while one is blocked
/// by a fault the other can still be told to end.
fn runtime() -> io::Result<Runtime> {
    runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

/// Tells the host, or the person, where we listen. The last that is ever written to standard output:
/// the host may have stopped reading it.
fn announce(owner: Owner, launch: &Launch, listener: &Listener, tls: Option<&Tls>) -> io::Result<()> {
    let address = &listener.address;
    let text = match owner {
        Owner::Host => {
            let certificate = tls.map_or(&[][..], |tls| &tls.certificate);
            handshake_line(address, certificate, launch.multiplexing_asked)
        }
        Owner::Person => reattach::instructions(address, std::process::id()),
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
