//! The served emulator: in trouble, well again, and asked what it has.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use azimage::arm::{HttpTransport, Method, Request, Transport};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::cli::{BINARY, SUBSCRIPTION};

/// The emulator in a process of its own, by plain http on this machine.
pub struct Service {
    pub url: String,
    transport: Arc<HttpTransport>,
    met: Arc<AtomicU64>,
    _child: Child,
    _folder: tempfile::TempDir,
}

impl Service {
    pub async fn start() -> Service {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(BINARY)
            .args(["emulator", "--listen", "127.0.0.1:0", "--state"])
            .arg(folder.path().join("state.json"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        let service = Service {
            url,
            transport: Arc::new(HttpTransport::new()),
            met: Arc::default(),
            _child: child,
            _folder: folder,
        };
        let settings = json!({"time_scale": 0, "require_token": false, "page_size": 1000});
        service.ask(Method::Put, "/_emulator/settings", settings).await;
        service
    }

    /// How often something went wrong on purpose.
    pub fn met(&self) -> u64 {
        self.met.load(Ordering::Relaxed)
    }

    /// Begins to fail in ways that change all the time, until it is aborted.
    pub fn trouble(self: &Arc<Self>) -> tokio::task::JoinHandle<()> {
        let service = self.clone();
        tokio::spawn(async move {
            let mut random = fastrand::Rng::with_seed(11);
            loop {
                let script: Vec<Json> = (0..6).map(|_| fault(&mut random)).collect();
                service.script(json!({"faults": script})).await;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        })
    }

    /// Fails no more.
    pub async fn heal(&self) {
        self.script(json!({"faults": []})).await;
    }

    async fn script(&self, script: Json) {
        let before = self.ask(Method::Get, "/_emulator/faults", Json::Null).await;
        let done = before["faults"].as_array().unwrap().iter().filter_map(|fault| fault["done"].as_u64());
        self.met.fetch_add(done.sum(), Ordering::Relaxed);
        self.ask(Method::Put, "/_emulator/faults", script).await;
    }

    pub async fn put(&self, path: &str, body: Json) {
        let url = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Compute/{path}?api-version=2024-03-03");
        self.ask(Method::Put, &url, body).await;
    }

    /// The names of all definitions, and what their tag `note` says.
    pub async fn objects(&self) -> BTreeMap<String, String> {
        let all = self.ask(Method::Get, "/_emulator/summary?all=true", Json::Null).await;
        let galleries = all["galleries"].as_array().unwrap_or_else(|| panic!("{all}"));
        let mut found = BTreeMap::new();
        for gallery in galleries {
            let name = gallery["name"].as_str().unwrap();
            let mut next = Some(format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Compute/galleries/{name}/images?api-version=2024-03-03"));
            while let Some(url) = next {
                let page = self.ask(Method::Get, &url, Json::Null).await;
                for item in page["value"].as_array().unwrap() {
                    let note = item["tags"]["note"].as_str().unwrap_or_default();
                    found.insert(item["name"].as_str().unwrap().to_owned(), note.to_owned());
                }
                next = page["nextLink"].as_str().map(|link| link.strip_prefix(&self.url).unwrap_or(link).to_owned());
            }
        }
        found
    }

    async fn ask(&self, method: Method, path: &str, body: Json) -> Json {
        let request = Request {
            method,
            url: format!("{}{path}", self.url),
            headers: vec![("content-type".into(), "application/json".into())],
            body: (!body.is_null()).then(|| body.to_string().into_bytes()),
        };
        let answer = self.transport.send(request).await.unwrap();
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(answer.status < 300, "{path}: {} {text}", answer.status);
        serde_json::from_str(&text).unwrap_or(Json::Null)
    }
}

// Something that goes wrong with the next few calls of a kind.
fn fault(random: &mut fastrand::Rng) -> Json {
    let mut fault = match random.u8(0..9) {
        0 => json!({"status": 429, "headers": {"Retry-After": "1"}}),
        1 => json!({"status": 429, "headers": {"x-ms-retry-after-ms": "200"}}),
        2 => json!({"status": *random.choice(&[500, 502, 503, 504]).unwrap()}),
        3 => json!({"drop": "before"}),
        4 => json!({"drop": "after"}),
        5 => json!({"malformed": true}),
        6 => json!({"truncate": random.u32(0..200)}),
        7 => json!({"status": 200, "body": "<html><body>Sign in to the network"}),
        _ => json!({"delay_ms": random.u32(50..1500)}),
    };
    let method = *random.choice(&["GET", "GET", "PUT", "PATCH", "DELETE", "*"]).unwrap();
    fault["method"] = method.into();
    fault["path"] = "^/subscriptions/".into();
    fault["skip"] = random.u32(0..20).into();
    fault["count"] = random.u32(1..12).into();
    fault
}
