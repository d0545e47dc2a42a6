//! The `emulator` command: serve, run another program against it, and change its state by hand.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use time::OffsetDateTime;
use tokio::net::TcpListener;

use super::gate::Reach;
use super::json::Json;
use super::providers::subscriptions;
use super::server::{self, ServeOptions};
use super::settings::Options;
use super::{Emulator, Request, tls};

const USAGE: &str = "\
usage: terraform-provider-azimage emulator --listen HOST:PORT [--state FILE] [--tls-dir DIR] [--allow-remote]
       terraform-provider-azimage emulator run [--state FILE] -- COMMAND [ARGUMENT...]
       terraform-provider-azimage emulator --state FILE get ID
       terraform-provider-azimage emulator --state FILE list [PREFIX]
       terraform-provider-azimage emulator --state FILE patch ID JSON
       terraform-provider-azimage emulator --state FILE delete ID
       terraform-provider-azimage emulator --state FILE advance SECONDS
       terraform-provider-azimage emulator --state FILE publish|deprecate|withdraw PUBLISHER:OFFER:SKU:VERSION
       terraform-provider-azimage emulator --state FILE settings JSON
       terraform-provider-azimage emulator --state FILE fault JSON
       terraform-provider-azimage emulator --state FILE faults clear

Serve: port 0 is a free port; one line on standard output says where. Without --state the state ends with the process.
With --tls-dir it serves https, and clients trust DIR/ca.pem. Any tenant, client id and secret is accepted.
A fresh state holds the resource groups my-rg and rg, each with a running Linux machine, golden-vm.
--listen takes addresses of this machine only, since nobody is asked for a password; --allow-remote lifts that.

Run: serves https on a free port while COMMAND runs, and ends with COMMAND's exit code (128 and its number after a signal,
127 when there is no such command). COMMAND gets, in place of whatever they were:
  AZIMAGE_EMULATOR                                           the address, https://127.0.0.1:PORT
  ARM_METADATA_HOSTNAME, ARM_RESOURCE_MANAGER_ENDPOINT, ARM_RESOURCE_MANAGER_AUDIENCE,
  ARM_ACTIVE_DIRECTORY_AUTHORITY_HOST, AZURE_AUTHORITY_HOST  where Terraform's providers and SDKs find it
  ARM_DISABLE_INSTANCE_DISCOVERY                             true: nobody else is asked whether that authority is one
  ARM_ and AZURE_ TENANT_ID, CLIENT_ID, CLIENT_SECRET, SUBSCRIPTION_ID   credentials that it accepts
  SSL_CERT_FILE, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE          the system's certificates and its own, in one file
  NODE_EXTRA_CA_CERTS, NO_PROXY, no_proxy                    its own certificate; no proxy for this machine
Other ways to log in (ARM_USE_OIDC, ARM_CLIENT_CERTIFICATE_PATH, …) are taken out. An interrupt from the terminal reaches
COMMAND by itself, a termination is passed on to it; a second one kills it. The emulator stops once COMMAND has.

The others change a state by hand, as another person's program would, and print JSON; PATCH is an RFC 7396 merge patch.
";

/// Runs the command; `args` are those after `emulator`. Returns the exit code.
pub fn main(args: Vec<String>) -> i32 {
    let plan = match parse(args) {
        Ok(plan) => plan,
        Err(why) => {
            say(&format!("{why}\n\n{USAGE}"));
            return 2;
        }
    };
    let done = match plan.action {
        Action::Help => {
            print(USAGE);
            return 0;
        }
        Action::Serve { listen, tls_dir, remote } => {
            asynchronously(serve(plan.state, listen, tls_dir, remote))
        }
        Action::Run(command) => asynchronously(run(plan.state, command)),
        Action::Hand(hand) => by_hand(plan.state, &hand).map(|shown| {
            print(&format!("{}\n", serde_json::to_string_pretty(&shown).unwrap_or_default()));
            0
        }),
    };
    match done {
        Ok(code) => code,
        Err(why) => {
            say(&format!("error: {why}\n"));
            1
        }
    }
}

#[derive(Debug, PartialEq)]
struct Plan {
    state: Option<PathBuf>,
    action: Action,
}

#[derive(Debug, PartialEq)]
enum Action {
    Help,
    Serve { listen: SocketAddr, tls_dir: Option<PathBuf>, remote: bool },
    Run(Vec<String>),
    Hand(Hand),
}

#[derive(Debug, PartialEq)]
enum Hand {
    Get(String),
    List(String),
    Patch(String, Json),
    Delete(String),
    Advance(f64),
    /// What is done, and the four parts of the URN.
    Marketplace(&'static str, [String; 4]),
    Settings(Json),
    Fault(Json),
    NoFaults,
}

fn parse(args: Vec<String>) -> Result<Plan, String> {
    let mut args = args.into_iter();
    let (mut state, mut listen, mut tls_dir, mut remote) = (None, None, None, false);
    let mut words = Vec::new();
    let mut command = Vec::new();
    while let Some(arg) = args.next() {
        let mut value = |name: &str| args.next().ok_or_else(|| format!("{name} needs a value"));
        match arg.as_str() {
            "--state" => state = Some(PathBuf::from(value("--state")?)),
            "--listen" => listen = Some(value("--listen")?),
            "--tls-dir" => tls_dir = Some(PathBuf::from(value("--tls-dir")?)),
            "--allow-remote" => remote = true,
            "--help" | "-h" | "help" => return Ok(Plan { state, action: Action::Help }),
            "--" => {
                command = args.by_ref().collect();
            }
            flag if flag.starts_with("--") => return Err(format!("{flag} is not known")),
            _ => words.push(arg),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let action = match (words.as_slice(), listen) {
        (["run"], None) if !command.is_empty() => Action::Run(command),
        (["run", ..], _) => return Err("run needs -- and a command after it".to_owned()),
        ([], Some(listen)) => Action::Serve { listen: address(&listen, remote)?, tls_dir, remote },
        (["get", id], None) => Action::Hand(Hand::Get((*id).to_owned())),
        (["list"], None) => Action::Hand(Hand::List(String::new())),
        (["list", prefix], None) => Action::Hand(Hand::List((*prefix).to_owned())),
        (["patch", id, patch], None) => {
            let patch =
                Json::parse(patch.as_bytes()).map_err(|why| format!("the patch is not JSON: {why}"))?;
            Action::Hand(Hand::Patch((*id).to_owned(), patch))
        }
        (["delete", id], None) => Action::Hand(Hand::Delete((*id).to_owned())),
        (["advance", seconds], None) => {
            let seconds = seconds.parse().map_err(|_| format!("'{seconds}' is not a number of seconds"))?;
            Action::Hand(Hand::Advance(seconds))
        }
        ([change @ ("publish" | "deprecate" | "withdraw"), urn], None) => {
            let change = match *change {
                "publish" => "publish",
                "deprecate" => "deprecate",
                _ => "withdraw",
            };
            let parts: Vec<String> = urn.split(':').map(str::to_owned).collect();
            let parts =
                parts.try_into().map_err(|_| format!("'{urn}' is not PUBLISHER:OFFER:SKU:VERSION"))?;
            Action::Hand(Hand::Marketplace(change, parts))
        }
        (["fault", fault], None) => {
            let fault =
                Json::parse(fault.as_bytes()).map_err(|why| format!("the fault is not JSON: {why}"))?;
            Action::Hand(Hand::Fault(fault))
        }
        (["faults", "clear"], None) => Action::Hand(Hand::NoFaults),
        (["settings", settings], None) => {
            let settings = Json::parse(settings.as_bytes())
                .map_err(|why| format!("the settings are not JSON: {why}"))?;
            Action::Hand(Hand::Settings(settings))
        }
        ([], None) => return Err("give --listen HOST:PORT, or a command".to_owned()),
        (words, _) => return Err(format!("'{}' is not known", words.join(" "))),
    };
    Ok(Plan { state, action })
}

/// Only this machine, unless told otherwise: the emulator lets everybody in.
fn address(text: &str, remote: bool) -> Result<SocketAddr, String> {
    let plain = text.replace("localhost:", "127.0.0.1:");
    let address: SocketAddr =
        plain.parse().map_err(|_| format!("'{text}' is not HOST:PORT with an IP address or localhost"))?;
    if address.ip().is_loopback() || remote {
        Ok(address)
    } else {
        Err(format!(
            "'{text}' can be reached from other machines, and the emulator asks nobody for a password; add --allow-remote if that is meant"
        ))
    }
}

fn asynchronously(work: impl Future<Output = Result<i32, String>>) -> Result<i32, String> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("starting the runtime: {error}"))?
        .block_on(work)
}

fn open(state: Option<&Path>) -> Result<Emulator, String> {
    let emulator = match state {
        Some(path) => Emulator::open(path).map_err(|error| error.to_string())?,
        None => Emulator::in_memory(),
    };
    Ok(emulator.with_options(Options::served()))
}

async fn serve(
    state: Option<PathBuf>,
    listen: SocketAddr,
    tls_dir: Option<PathBuf>,
    remote: bool,
) -> Result<i32, String> {
    let emulator = Arc::new(open(state.as_deref())?);
    let tls = match &tls_dir {
        Some(folder) => {
            Some(tls::config(folder, OffsetDateTime::now_utc()).map_err(|error| error.to_string())?)
        }
        None => None,
    };
    let listener =
        TcpListener::bind(listen).await.map_err(|error| format!("listening on {listen}: {error}"))?;
    let bound = listener.local_addr().map_err(|error| error.to_string())?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut signals = Signals::listen()?;
    print(&format!("listening on {scheme}://{bound}\n"));
    let options = ServeOptions {
        reach: if remote { Reach::Remote } else { Reach::Loopback },
        log: std::io::stderr().is_terminal(),
        ..ServeOptions::default()
    };
    server::serve(listener, emulator, tls, options, async move {
        signals.next().await;
    })
    .await;
    Ok(0)
}

/// The signals that ask for an end, listened to from the moment this is made.
struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn listen() -> Result<Signals, String> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(|error| format!("listening for signals: {error}"));
        Ok(Signals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    #[cfg(not(unix))]
    fn listen() -> Result<Signals, String> {
        Ok(Signals {})
    }

    /// Waits for one and names it: `INT` or `TERM`.
    #[cfg(unix)]
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "INT",
            _ = self.terminate.recv() => "TERM",
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "INT"
    }
}

async fn run(state: Option<PathBuf>, command: Vec<String>) -> Result<i32, String> {
    let emulator = Arc::new(open(state.as_deref())?);
    let folder = std::env::temp_dir().join(format!(
        "azimage-emulator-{}-{:08x}",
        std::process::id(),
        fastrand::u32(..)
    ));
    create_private(&folder).map_err(|error| format!("creating {}: {error}", folder.display()))?;
    let result = run_in(&folder, emulator, command).await;
    // Best effort: what is left in a temporary folder harms nobody.
    let _ = std::fs::remove_dir_all(&folder);
    result
}

/// A new folder that only this user can read: a key is kept in it.
fn create_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

async fn run_in(folder: &Path, emulator: Arc<Emulator>, command: Vec<String>) -> Result<i32, String> {
    let tls = tls::config(folder, OffsetDateTime::now_utc()).map_err(|error| error.to_string())?;
    let listener =
        TcpListener::bind("127.0.0.1:0").await.map_err(|error| format!("listening on 127.0.0.1: {error}"))?;
    let port = listener.local_addr().map_err(|error| error.to_string())?.port();
    let bundle = bundle(folder)?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving =
        tokio::spawn(server::serve(listener, emulator, Some(tls), ServeOptions::default(), async {
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
            say(&format!("error: starting {program}: {error}\n"));
            Ok(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 })
        }
    }
}

/// Waits for the command. An interrupt from a terminal reaches the command as well, which decides when to end; what is sent
/// to this process alone is passed on, and when it comes again the command is killed.
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
        if asked || !pass_on(signal, &child).await {
            let _ = child.start_kill();
        }
        asked = true;
    }
}

/// Sends the signal to the command; false where that cannot be done.
async fn pass_on(signal: &str, child: &tokio::process::Child) -> bool {
    let Some(id) = child.id().filter(|_| cfg!(unix)) else { return false };
    let sent =
        tokio::process::Command::new("kill").arg(format!("-{signal}")).arg(id.to_string()).status().await;
    sent.is_ok_and(|status| status.success())
}

/// Ways to log in, and choices of a cloud, that would lead a command away from the emulator.
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

/// The service principal of commands that are run.
const CLIENT: &str = "33333333-3333-3333-3333-333333333333";

/// What points terraform, az and SDKs at the emulator.
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
        ("ARM_TENANT_ID", super::providers::identity::TENANT.into()),
        ("AZURE_TENANT_ID", super::providers::identity::TENANT.into()),
        ("ARM_CLIENT_ID", CLIENT.into()),
        ("AZURE_CLIENT_ID", CLIENT.into()),
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

/// The system's certificates with ours behind them, so that the child still trusts everybody else.
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

/// The newest api-version of what an id names.
fn api_version(id: &str) -> &'static str {
    let lower = id.to_ascii_lowercase();
    if lower.contains("/microsoft.compute/galleries") {
        "2026-03-03"
    } else if ["disks", "snapshots", "diskencryptionsets"]
        .iter()
        .any(|kind| lower.contains(&format!("/microsoft.compute/{kind}/")))
    {
        "2026-03-02"
    } else if lower.contains("/microsoft.compute/") {
        "2026-03-01"
    } else {
        "2022-09-01"
    }
}

fn by_hand(state: Option<PathBuf>, hand: &Hand) -> Result<Json, String> {
    let state = state.ok_or("give --state FILE: it is the file that is looked at or changed")?;
    if !state.exists() {
        return Err(format!("{} does not exist", state.display()));
    }
    let emulator = open(Some(&state))?;
    let now = OffsetDateTime::now_utc();
    let ask = |method: &str, url: String, body: Option<Json>| -> Result<Json, String> {
        let request = Request {
            method: method.to_owned(),
            url,
            headers: Vec::new(),
            body: body.map(|body| body.compact().into_bytes()).unwrap_or_default(),
        };
        let response = emulator.handle_by_hand(&request, now);
        let body = Json::parse(&response.body).unwrap_or_default();
        if response.status < 300 {
            return Ok(body);
        }
        Err(format!(
            "{method} {}: {} {}: {}",
            request.url.split('?').next().unwrap_or_default(),
            response.status,
            body.text("error.code").unwrap_or_default(),
            body.text("error.message").unwrap_or_default()
        ))
    };
    let url = |id: &str| format!("/{}?api-version={}", id.trim_start_matches('/'), api_version(id));
    let shown = match hand {
        Hand::Get(id) => ask("GET", url(id), None)?,
        Hand::List(prefix) => list(&ask("GET", "/_emulator/summary?all=true".to_owned(), None)?, prefix),
        Hand::Patch(id, patch) => {
            let mut body = ask("GET", url(id), None)?;
            body.merge_patch(patch);
            ask("PUT", url(id), Some(body))?;
            ask("GET", url(id), None)?
        }
        Hand::Delete(id) => {
            // Looked up first, so that a mistyped id is an error and not the 204 of something gone.
            ask("GET", url(id), None)?;
            ask("DELETE", url(id), None)?;
            Json::object().with("deleted", id.as_str())
        }
        Hand::Advance(seconds) => ask(
            "POST",
            "/_emulator/clock/advance".to_owned(),
            Some(Json::object().with("seconds", *seconds)),
        )?,
        Hand::Marketplace(change, [publisher, offer, sku, version]) => ask(
            "POST",
            format!("/_emulator/marketplace/{change}"),
            Some(
                Json::object()
                    .with("publisher", publisher.as_str())
                    .with("offer", offer.as_str())
                    .with("sku", sku.as_str())
                    .with("version", version.as_str()),
            ),
        )?,
        Hand::Fault(fault) => ask("POST", "/_emulator/faults".to_owned(), Some(fault.clone()))?,
        Hand::NoFaults => ask("DELETE", "/_emulator/faults".to_owned(), None)?,
        Hand::Settings(settings) => ask("PUT", "/_emulator/settings".to_owned(), Some(settings.clone()))?,
    };
    Ok(shown)
}

fn list(summary: &Json, prefix: &str) -> Json {
    let prefix = prefix.to_ascii_lowercase();
    Json::Array(
        summary
            .list("resources")
            .iter()
            .chain(summary.list("versions"))
            .filter(|resource| {
                resource.text("id").is_some_and(|id| id.to_ascii_lowercase().starts_with(&prefix))
            })
            .cloned()
            .collect(),
    )
}

fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that went away is no reason to fail.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn say(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn command_lines() {
        assert_eq!(
            parse(words("--listen localhost:0 --state s.json --tls-dir d")),
            Ok(Plan {
                state: Some("s.json".into()),
                action: Action::Serve {
                    listen: "127.0.0.1:0".parse().unwrap(),
                    tls_dir: Some("d".into()),
                    remote: false
                }
            })
        );
        assert_eq!(
            parse(words("run --state s -- terraform apply --auto-approve")).unwrap().action,
            Action::Run(words("terraform apply --auto-approve"))
        );
        assert_eq!(
            parse(words("--state s patch /x {\"tags\":null}")).unwrap().action,
            Action::Hand(Hand::Patch("/x".into(), Json::object().with("tags", Json::Null)))
        );
        for bad in [
            "",
            "run",
            "run terraform",
            "--listen 0.0.0.0:80",
            "--listen here",
            "--state",
            "--loud",
            "patch /x {",
            "advance soon",
        ] {
            assert!(parse(words(bad)).is_err(), "{bad}");
        }
        assert!(parse(words("--listen 0.0.0.0:80 --allow-remote")).is_ok());
    }

    #[test]
    fn a_state_is_changed_by_hand() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("s.json");
        assert!(by_hand(Some(state.clone()), &Hand::Advance(1.0)).is_err());
        drop(Emulator::open(&state).unwrap());
        let group = format!("/subscriptions/{}/resourceGroups/my-rg", subscriptions::DEFAULT);
        let patch = Json::parse(br#"{"tags":{"owner":"me"}}"#).unwrap();
        by_hand(Some(state.clone()), &Hand::Patch(group.clone(), patch)).unwrap();
        let shown = by_hand(Some(state.clone()), &Hand::Get(group.clone())).unwrap();
        assert_eq!(shown.text("tags.owner"), Some("me"));
        let missing = by_hand(
            Some(state.clone()),
            &Hand::Delete(format!("{group}/providers/Microsoft.Compute/images/x")),
        );
        assert!(missing.unwrap_err().contains("ResourceNotFound"));
    }
}
