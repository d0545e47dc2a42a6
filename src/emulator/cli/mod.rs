//! The `emulator` command: serves the emulator, runs a program against it, and inspects or changes its state.

mod run;
pub mod usage;

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use time::OffsetDateTime;
use tokio::net::TcpListener;

use super::gate::Reach;
use super::json::Json;
use super::server::{self, ServeOptions};
use super::settings::Options;
use super::{Emulator, Request, tls, versions_known};

/// Runs the command with the arguments after `emulator`. Returns the exit code.
pub fn main(arguments: Vec<String>) -> i32 {
    let plan = match parse(arguments) {
        Ok(plan) => plan,
        Err(why) => {
            print_error(&format!("error: {why}\nSee terraform-provider-azimage emulator --help.\n"));
            return 2;
        }
    };
    let done = match plan.action {
        Action::Help => {
            print(&usage::help());
            return 0;
        }
        Action::Serve { listen, tls_dir, options } => in_runtime(serve(plan.state, listen, tls_dir, options)),
        Action::Run { command, log } => in_runtime(run::run(plan.state, command, log)),
        Action::Change(change) => apply_change(plan.state, &change).map(|shown| {
            print(&format!("{}\n", serde_json::to_string_pretty(&shown).unwrap_or_default()));
            0
        }),
    };
    match done {
        Ok(code) => code,
        Err(why) => {
            print_error(&format!("error: {why}\n"));
            1
        }
    }
}

#[derive(Debug)]
struct Plan {
    state: Option<PathBuf>,
    action: Action,
}

#[derive(Debug)]
enum Action {
    Help,
    Serve { listen: SocketAddr, tls_dir: Option<PathBuf>, options: ServeOptions },
    Run { command: Vec<String>, log: bool },
    Change(Change),
}

/// An inspection or change of the state.
#[derive(Debug, PartialEq)]
enum Change {
    Get(String),
    List(String),
    Put(String, Json),
    Patch(String, Json),
    Delete(String),
    Post(String, Option<Json>),
    /// A control call: method, path below `/_emulator/`, body.
    Control(&'static str, String, Json),
}

fn parse(arguments: Vec<String>) -> Result<Plan, String> {
    let words = usage::parse(arguments)?;
    let state = words.flag("--state").map(PathBuf::from);
    if words.flag("--help").is_some() {
        return Ok(Plan { state, action: Action::Help });
    }
    let (remote, log) = (words.flag("--allow-remote").is_some(), words.flag("--log-requests").is_some());
    let action = match (words.command.clone(), words.flag("--listen")) {
        (None, None) => return Err("a command or --listen HOST:PORT is required".to_owned()),
        (Some((name, _)), Some(_)) => return Err(format!("--listen cannot be used with {name}")),
        (None, Some(listen)) => Action::Serve {
            listen: address(listen, remote)?,
            tls_dir: words.flag("--tls-dir").map(PathBuf::from),
            options: ServeOptions {
                reach: if remote { Reach::Remote } else { Reach::Loopback },
                log: log || std::io::stderr().is_terminal(),
                ..ServeOptions::default()
            },
        },
        (Some(("run", command)), None) => Action::Run { command, log },
        (Some((name, arguments)), None) => Action::Change(change(name, &arguments)?),
    };
    Ok(Plan { state, action })
}

/// The change that a command makes. The number of its arguments has been checked.
fn change(name: &str, arguments: &[String]) -> Result<Change, String> {
    let at = |index: usize| arguments.get(index).cloned().unwrap_or_default();
    let control =
        |method: &'static str, path: &str, body: Json| Change::Control(method, path.to_owned(), body);
    Ok(match name {
        "get" => Change::Get(at(0)),
        "list" => Change::List(at(0)),
        "put" => Change::Put(at(0), json(&at(1))?),
        "patch" => Change::Patch(at(0), json(&at(1))?),
        "delete" => Change::Delete(at(0)),
        "post" => Change::Post(at(0), arguments.get(1).map(|body| json(body)).transpose()?),
        "advance" => {
            let seconds: f64 =
                at(0).parse().map_err(|_| format!("'{}' is not a number of seconds", at(0)))?;
            control("POST", "clock/advance", Json::object().with("seconds", seconds))
        }
        "publish" | "deprecate" | "withdraw" => {
            let urn = at(0);
            let parts: Vec<&str> = urn.split(':').collect();
            let [publisher, offer, sku, version] = parts.as_slice() else {
                return Err(format!("'{urn}' is not PUBLISHER:OFFER:SKU:VERSION"));
            };
            let body = Json::object()
                .with("publisher", *publisher)
                .with("offer", *offer)
                .with("sku", *sku)
                .with("version", *version);
            control("POST", &format!("marketplace/{name}"), body)
        }
        "settings" => control("PUT", "settings", json(&at(0))?),
        "scripts" => control("PUT", "scripts", Json::object().with("scripts", json(&at(0))?)),
        "fault" => control("POST", "faults", json(&at(0))?),
        "faults" if at(0) == "clear" => control("DELETE", "faults", Json::Null),
        _ => return Err(format!("'{name} {}' is not known", arguments.join(" "))),
    })
}

/// A JSON argument, or the JSON in the file of an argument `@FILE`.
fn json(argument: &str) -> Result<Json, String> {
    let text = match argument.strip_prefix('@') {
        Some(path) => std::fs::read(path).map_err(|error| format!("reading {path}: {error}"))?,
        None => argument.as_bytes().to_vec(),
    };
    Json::parse(&text).map_err(|why| format!("'{argument}' is not JSON: {why}"))
}

/// Parses an address. It must be a loopback address unless `remote`, because the emulator accepts any credentials.
fn address(text: &str, remote: bool) -> Result<SocketAddr, String> {
    let plain = text.replace("localhost:", "127.0.0.1:");
    let address: SocketAddr =
        plain.parse().map_err(|_| format!("'{text}' is not HOST:PORT with an IP address or localhost"))?;
    if address.ip().is_loopback() || remote {
        return Ok(address);
    }
    Err(format!(
        "'{text}' can be reached from other machines, and the emulator accepts any credentials; add --allow-remote to serve it"
    ))
}

fn in_runtime(work: impl Future<Output = Result<i32, String>>) -> Result<i32, String> {
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
    options: ServeOptions,
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
    let mut signals = run::Signals::listen()?;
    print(&format!(
        "listening on {scheme}://{bound}\nopen {scheme}://{bound} in a browser to watch the emulator\n"
    ));
    server::serve(listener, emulator, tls, options, async move {
        signals.next().await;
    })
    .await;
    Ok(0)
}

fn apply_change(state: Option<PathBuf>, change: &Change) -> Result<Json, String> {
    let state = state.ok_or("--state FILE is required: the state to read or change")?;
    if !state.exists() {
        return Err(format!("{} does not exist", state.display()));
    }
    let emulator = open(Some(&state))?;
    let now = OffsetDateTime::now_utc();
    let ask = |method: &str, url: String, body: Option<&Json>| -> Result<Json, String> {
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
    let url =
        |id: &str| format!("/{}?api-version={}", id.trim_start_matches('/'), versions_known::newest(id));
    match change {
        Change::Get(id) => ask("GET", url(id), None),
        Change::List(prefix) => {
            Ok(list(&ask("GET", "/_emulator/summary?all=true".to_owned(), None)?, prefix))
        }
        Change::Put(id, body) => {
            ask("PUT", url(id), Some(body))?;
            ask("GET", url(id), None)
        }
        Change::Patch(id, patch) => {
            let mut body = ask("GET", url(id), None)?;
            body.merge_patch(patch);
            ask("PUT", url(id), Some(&body))?;
            ask("GET", url(id), None)
        }
        Change::Delete(id) => {
            // Read it first, so that a mistyped ID is an error instead of the 204 of a missing resource.
            ask("GET", url(id), None)?;
            ask("DELETE", url(id), None)?;
            Ok(Json::object().with("deleted", id.as_str()))
        }
        Change::Post(path, body) => {
            let id = path.rsplit_once('/').map_or("", |(id, _)| id);
            let url = format!("/{}?api-version={}", path.trim_start_matches('/'), versions_known::newest(id));
            ask("POST", url, body.as_ref())
        }
        Change::Control(method, path, body) => {
            ask(method, format!("/_emulator/{path}"), Some(body).filter(|body| !body.is_null()))
        }
    }
}

fn list(summary: &Json, prefix: &str) -> Json {
    let prefix = prefix.to_ascii_lowercase();
    let starts =
        |resource: &&Json| resource.text("id").is_some_and(|id| id.to_ascii_lowercase().starts_with(&prefix));
    Json::Array(
        summary.list("resources").iter().chain(summary.list("versions")).filter(starts).cloned().collect(),
    )
}

fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    // Ignore a closed pipe.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn print_error(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::providers::subscriptions;
    use super::*;

    fn read(line: &str) -> Result<Plan, String> {
        parse(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn parses_command_lines() {
        let plan = read("--listen localhost:0 --state s.json --tls-dir d").unwrap();
        assert_eq!(plan.state, Some("s.json".into()));
        let Action::Serve { listen, tls_dir, options } = plan.action else { panic!() };
        assert_eq!((listen, tls_dir), ("127.0.0.1:0".parse().unwrap(), Some("d".into())));
        assert_eq!(options.reach, Reach::Loopback);
        let Action::Serve { options, .. } = read("--listen 0.0.0.0:80 --allow-remote").unwrap().action else {
            panic!()
        };
        assert_eq!(options.reach, Reach::Remote);
        for (line, wanted) in [
            ("patch /x {\"tags\":null}", Change::Patch("/x".into(), Json::object().with("tags", Json::Null))),
            ("post /x/restart", Change::Post("/x/restart".into(), None)),
            (
                "scripts []",
                Change::Control("PUT", "scripts".into(), Json::object().with("scripts", Vec::new())),
            ),
            ("faults clear", Change::Control("DELETE", "faults".into(), Json::Null)),
            (
                "advance -1.5",
                Change::Control("POST", "clock/advance".into(), Json::object().with("seconds", -1.5)),
            ),
        ] {
            let Action::Change(change) = read(&format!("--state s {line}")).unwrap().action else { panic!() };
            assert_eq!(change, wanted, "{line}");
        }
        for (line, why) in [
            ("", "--listen HOST:PORT"),
            ("--listen 0.0.0.0:80", "--allow-remote"),
            ("--listen here", "not HOST:PORT"),
            ("--listen localhost:0 list", "cannot be used with list"),
            ("patch /x {", "'{' is not JSON"),
            ("put /x @/no/such/file", "reading /no/such/file"),
            ("advance soon", "'soon' is not a number"),
            ("publish a:b", "PUBLISHER"),
            ("faults none", "not known"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
    }

    #[test]
    fn commands_change_the_state_file() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("s.json");
        let hand = |change: Change| apply_change(Some(state.clone()), &change);
        assert!(hand(Change::Get("/subscriptions".into())).is_err());
        drop(Emulator::open(&state).unwrap());
        let group = format!("/subscriptions/{}/resourceGroups/my-rg", subscriptions::DEFAULT);
        let patch = Json::object().with("tags", Json::object().with("owner", "me"));
        assert_eq!(hand(Change::Patch(group.clone(), patch)).unwrap().text("tags.owner"), Some("me"));
        assert_eq!(hand(Change::Get(group.clone())).unwrap().text("tags.owner"), Some("me"));
        let compute = format!("{group}/providers/Microsoft.Compute");
        let gallery = format!("{compute}/galleries/packed");
        let made = hand(Change::Put(gallery.clone(), Json::object().with("location", "eastus"))).unwrap();
        assert_eq!(made.text("properties.provisioningState"), Some("Succeeded"));
        let machine = format!("{compute}/virtualMachines/golden-vm");
        let agent =
            |state: &Json| state.list("vmAgent.statuses")[0].text("displayStatus").unwrap().to_owned();
        let view = || hand(Change::Get(format!("{machine}/instanceView"))).unwrap();
        let before = agent(&view());
        hand(Change::Post(format!("{machine}/restart"), None)).unwrap();
        assert_eq!((before.as_str(), agent(&view()).as_str()), ("Not Ready", "Ready"));
        hand(Change::Delete(gallery.clone())).unwrap();
        assert!(hand(Change::Delete(gallery)).unwrap_err().contains("ResourceNotFound"));
    }
}
