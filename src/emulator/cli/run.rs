//! `emulator run -- COMMAND`: runs a program whose environment points at the emulator.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use time::OffsetDateTime;
use tokio::net::TcpListener;

use super::super::providers::{identity, subscriptions};
use super::super::server::{self, ServeOptions};
use super::super::{Emulator, tls};
use super::{open, print_error};

/// Serves while the command runs, and returns its exit code.
pub async fn run(state: Option<PathBuf>, command: Vec<String>, log: bool) -> Result<i32, String> {
    let emulator = Arc::new(open(state.as_deref())?);
    let folder = std::env::temp_dir().join(format!(
        "azimage-emulator-{}-{:08x}",
        std::process::id(),
        fastrand::u32(..)
    ));
    create_private(&folder).map_err(|error| format!("creating {}: {error}", folder.display()))?;
    let result = run_in(&folder, emulator, command, log).await;
    // Best effort: files that remain in a temporary folder do no harm.
    let _ = std::fs::remove_dir_all(&folder);
    result
}

/// Creates a folder that only this user can read, because it will contain a private key.
fn create_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

async fn run_in(
    folder: &Path,
    emulator: Arc<Emulator>,
    command: Vec<String>,
    log: bool,
) -> Result<i32, String> {
    let tls = tls::config(folder, OffsetDateTime::now_utc()).map_err(|error| error.to_string())?;
    let listener =
        TcpListener::bind("127.0.0.1:0").await.map_err(|error| format!("listening on 127.0.0.1: {error}"))?;
    let port = listener.local_addr().map_err(|error| error.to_string())?.port();
    let bundle = bundle(folder)?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let options = ServeOptions { log, ..ServeOptions::default() };
    let serving = tokio::spawn(server::serve(listener, emulator, Some(tls), options, async {
        let _ = stopped.await;
    }));
    let Some((program, arguments)) = command.split_first() else {
        return Err("run needs a command".to_owned());
    };
    let mut child = tokio::process::Command::new(program);
    child.args(arguments).kill_on_drop(true);
    for name in OTHER_LOGINS {
        child.env_remove(name);
    }
    child.envs(environment(port, folder, &bundle));
    let signals = Signals::listen()?;
    let ended = match child.spawn() {
        Ok(child) => {
            Ok(wait_for(child, signals).await.map_err(|error| format!("waiting for {program}: {error}")))
        }
        Err(error) => Err(error),
    };
    let _ = stop.send(());
    let _ = serving.await;
    match ended {
        Ok(status) => Ok(exit_code(status?)),
        Err(error) => {
            print_error(&format!("error: starting {program}: {error}\n"));
            Ok(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 })
        }
    }
}

/// Waits for the command. An interrupt from a terminal also reaches the command, which decides when to end. A signal to this
/// process alone is forwarded, and a second one kills the command.
async fn wait_for(
    mut child: tokio::process::Child,
    mut signals: Signals,
) -> std::io::Result<std::process::ExitStatus> {
    let terminal = std::io::stdin().is_terminal() || std::io::stderr().is_terminal();
    let mut asked = false;
    loop {
        let signal = tokio::select! {
            status = child.wait() => return status,
            signal = signals.next() => signal,
        };
        if signal == "INT" && terminal {
            continue;
        }
        if asked || !forward(signal, &child).await {
            let _ = child.start_kill();
        }
        asked = true;
    }
}

/// Sends the signal to the command; false if that is not possible.
async fn forward(signal: &str, child: &tokio::process::Child) -> bool {
    let Some(id) = child.id().filter(|_| cfg!(unix)) else { return false };
    let sent =
        tokio::process::Command::new("kill").arg(format!("-{signal}")).arg(id.to_string()).status().await;
    sent.is_ok_and(|status| status.success())
}

/// Environment variables of other sign-in methods and clouds, which would point the command away from the emulator.
const OTHER_LOGINS: &[&str] = &[
    "ARM_ENVIRONMENT",
    "ARM_USE_CLI",
    "ARM_USE_OIDC",
    "ARM_USE_MSI",
    "ARM_USE_AKS_WORKLOAD_IDENTITY",
    "ARM_MSI_ENDPOINT",
    "ARM_OIDC_TOKEN",
    "ARM_OIDC_TOKEN_FILE_PATH",
    "ARM_OIDC_REQUEST_URL",
    "ARM_OIDC_REQUEST_TOKEN",
    "ARM_OIDC_AZURE_SERVICE_CONNECTION_ID",
    "ARM_CLIENT_ID_FILE_PATH",
    "ARM_CLIENT_SECRET_FILE_PATH",
    "ARM_CLIENT_CERTIFICATE",
    "ARM_CLIENT_CERTIFICATE_PATH",
    "ARM_CLIENT_CERTIFICATE_PASSWORD",
    "ARM_AUXILIARY_TENANT_IDS",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_USERNAME",
    "AZURE_PASSWORD",
];

fn exit_code(status: std::process::ExitStatus) -> i32 {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        if let Some(signal) = status.signal() {
            return 128 + signal;
        }
    }
    status.code().unwrap_or(1)
}

/// The environment that points Terraform, the Azure CLI and the SDKs at the emulator.
fn environment(port: u16, folder: &Path, bundle: &Path) -> Vec<(&'static str, OsString)> {
    let base = format!("https://127.0.0.1:{port}");
    let local = "127.0.0.1,localhost,::1";
    let no_proxy = match std::env::var("NO_PROXY").or_else(|_| std::env::var("no_proxy")) {
        Ok(list) if !list.is_empty() => format!("{list},{local}"),
        _ => local.to_owned(),
    };
    vec![
        ("ARM_RESOURCE_MANAGER_ENDPOINT", base.clone().into()),
        ("ARM_RESOURCE_MANAGER_AUDIENCE", base.clone().into()),
        ("ARM_ACTIVE_DIRECTORY_AUTHORITY_HOST", format!("{base}/").into()),
        ("AZURE_AUTHORITY_HOST", format!("{base}/").into()),
        ("ARM_METADATA_HOSTNAME", format!("127.0.0.1:{port}").into()),
        ("ARM_TENANT_ID", identity::TENANT.into()),
        ("AZURE_TENANT_ID", identity::TENANT.into()),
        ("ARM_CLIENT_ID", identity::CLIENT.into()),
        ("AZURE_CLIENT_ID", identity::CLIENT.into()),
        ("ARM_CLIENT_SECRET", "emulator".into()),
        ("AZURE_CLIENT_SECRET", "emulator".into()),
        ("ARM_SUBSCRIPTION_ID", subscriptions::DEFAULT.into()),
        ("AZURE_SUBSCRIPTION_ID", subscriptions::DEFAULT.into()),
        ("ARM_DISABLE_INSTANCE_DISCOVERY", "true".into()),
        ("AZURE_CORE_INSTANCE_DISCOVERY", "false".into()),
        ("SSL_CERT_FILE", bundle.into()),
        ("REQUESTS_CA_BUNDLE", bundle.into()),
        ("CURL_CA_BUNDLE", bundle.into()),
        ("NODE_EXTRA_CA_CERTS", folder.join("ca.pem").into()),
        ("NO_PROXY", no_proxy.clone().into()),
        ("no_proxy", no_proxy.into()),
        ("AZIMAGE_EMULATOR", base.into()),
    ]
}

/// A file with the system's certificates and ours, so that the command still trusts other servers.
fn bundle(folder: &Path) -> Result<PathBuf, String> {
    let system = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from).into_iter().chain(
        [
            "/etc/ssl/certs/ca-certificates.crt",
            "/etc/pki/tls/certs/ca-bundle.crt",
            "/etc/ssl/ca-bundle.pem",
            "/etc/ssl/cert.pem",
        ]
        .map(PathBuf::from),
    );
    let mut text = system.into_iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default();
    let own = folder.join("ca.pem");
    let reading = |error| format!("reading {}: {error}", own.display());
    text.push(b'\n');
    text.extend(std::fs::read(&own).map_err(reading)?);
    let path = folder.join("bundle.pem");
    std::fs::write(&path, text).map_err(|error| format!("writing {}: {error}", path.display()))?;
    Ok(path)
}

/// Termination signals. They are caught from the moment this is created.
pub struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    /// Starts catching signals.
    pub fn listen() -> Result<Signals, String> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(|error| format!("listening for signals: {error}"));
        Ok(Signals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    #[cfg(not(unix))]
    /// Starts catching signals.
    pub fn listen() -> Result<Signals, String> {
        Ok(Signals {})
    }

    /// Waits for a signal and returns its name: `INT` or `TERM`.
    #[cfg(unix)]
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "INT",
            _ = self.terminate.recv() => "TERM",
        }
    }

    #[cfg(not(unix))]
    pub async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "INT"
    }
}
