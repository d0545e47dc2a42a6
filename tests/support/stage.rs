//! Failure tests with real processes: a served emulator that holds requests on demand, and terraform runs in their own process
//! groups, which can be killed, interrupted and checked for leftovers.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::{BINARY, Ran, SUBSCRIPTION, Workspace};

/// A served emulator in its own process, without TLS, on a state file that can be copied.
pub struct Stage {
    child: Child,
    port: u16,
    pub dir: TempDir,
}

impl Stage {
    /// Serves a copy of another stage's state, or a new one.
    pub fn start(base: Option<&Path>) -> Stage {
        let dir = TempDir::new().unwrap();
        if let Some(base) = base {
            std::fs::copy(base, dir.path().join("state.json")).unwrap();
        }
        let mut child = Command::new(BINARY)
            .args(["emulator", "--listen", "127.0.0.1:0", "--state"])
            .arg(dir.path().join("state.json"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit_once(':').expect("the server prints its address").1.parse().unwrap();
        Stage { child, port, dir }
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state.json")
    }

    /// Configures a workspace for it.
    pub fn point(&self, workspace: &mut Workspace) {
        let url = format!("http://127.0.0.1:{}", self.port);
        workspace.env("ARM_RESOURCE_MANAGER_ENDPOINT", &url);
        workspace.env("ARM_ACTIVE_DIRECTORY_AUTHORITY_HOST", &url);
        workspace.env("ARM_RESOURCE_MANAGER_AUDIENCE", &url);
        workspace.env("ARM_SUBSCRIPTION_ID", SUBSCRIPTION);
        workspace.env("ARM_TENANT_ID", "11111111-1111-1111-1111-111111111111");
        workspace.env("ARM_CLIENT_ID", "22222222-2222-2222-2222-222222222222");
        workspace.env("ARM_CLIENT_SECRET", "hunter2-hunter2");
    }

    /// A control call.
    pub fn control(&self, method: &str, path: &str, body: &Json) -> Json {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let request = format!(
            "{method} /_emulator/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Azimage-Control: true\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        assert!(head.starts_with("HTTP/1.1 200"), "{method} {path}: {answer}");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{method} {path}: {error}: {body}"))
    }

    pub fn faults(&self, faults: &Json) {
        self.control("PUT", "faults", faults);
    }

    pub fn settings(&self, settings: &Json) {
        self.control("PUT", "settings", settings);
    }

    /// Advances the clock until running operations have ended, or until a request is held.
    pub fn advance(&self) {
        self.control("POST", "clock/advance", &json!({"seconds": 600, "unless_held": true}));
    }

    /// The currently held request, if any.
    pub fn held(&self) -> Option<(String, String)> {
        let held = self.control("GET", "held", &Json::Null);
        let first = held["held"].get(0)?;
        Some((first["method"].as_str()?.to_owned(), first["path"].as_str()?.to_owned()))
    }

    /// Releases the held request: `go` or `drop`.
    pub fn release(&self, then: &str) {
        self.control("POST", "held", &json!({"then": then}));
    }

    /// The time of the last request.
    pub fn last_request(&self) -> String {
        let summary = self.control("GET", "", &Json::Null);
        summary["requests"][0]["at"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether a client is polling: the last three requests are the same read, and all arrived after that time.
    pub fn is_polled(&self, after: &str) -> bool {
        let summary = self.control("GET", "", &Json::Null);
        let requests = summary["requests"].as_array().cloned().unwrap_or_default();
        let reads: Vec<&str> = requests
            .iter()
            .take(3)
            .filter(|request| request["at"].as_str().is_some_and(|at| at > after))
            .filter(|request| request["method"] == "GET")
            .filter_map(|request| request["path"].as_str())
            .collect();
        reads.len() == 3 && reads.iter().all(|path| *path == reads[0])
    }

    /// All existing objects of a gallery, and images: IDs, and for versions their regions with replicas.
    pub fn objects(&self) -> BTreeSet<String> {
        let summary = self.control("GET", "?all=true", &Json::Null);
        let text = |json: &Json, key: &str| json[key].as_str().unwrap_or_default().to_owned();
        let mut found = BTreeSet::new();
        for resource in summary["resources"].as_array().unwrap() {
            let id = text(resource, "id");
            if id.contains("/galleries/") || id.contains("/images/") {
                found.insert(format!("{id} {}", text(resource, "state")));
            }
        }
        for version in summary["versions"].as_array().unwrap() {
            let regions: BTreeSet<String> = version["regions"]
                .as_array()
                .unwrap()
                .iter()
                .map(|region| format!("{} x{}", text(region, "region"), region["replicas"]))
                .collect();
            found.insert(format!("{} {} {regions:?}", text(version, "id"), text(version, "state")));
        }
        found
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running terraform, with its own process group and its own folder for sockets.
pub struct Running {
    child: Child,
    mark: String,
    out: PathBuf,
    sockets: PathBuf,
}

/// The variable that marks the processes of one run.
const MARK: &str = "AZIMAGE_TEST_RUN";

impl Running {
    pub fn start(workspace: &Workspace, arguments: &[&str]) -> Running {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let number = RUNS.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}-{number}", std::process::id());
        let out = workspace.path().join(format!("out-{number}"));
        // short, because the kernel limits the path of a socket
        let sockets = workspace.path().join(format!("s{number}"));
        std::fs::create_dir(&sockets).unwrap();
        let file = File::create(&out).unwrap();
        let mut command = workspace.command(arguments);
        command
            .arg("-no-color")
            .env(MARK, &mark)
            .env("TMPDIR", &sockets)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .process_group(0);
        Running { child: command.spawn().unwrap(), mark, out, sockets }
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// The run's provider processes.
    pub fn providers(&self) -> Vec<u32> {
        self.processes()
            .into_iter()
            .filter(|(_, name)| name.starts_with("terraform-provi"))
            .map(|(id, _)| id)
            .collect()
    }

    /// All running processes of the run, including terraform itself.
    pub fn processes(&self) -> Vec<(u32, String)> {
        let wanted = format!("{MARK}={}", self.mark);
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Ok(id) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            if environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()) {
                let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
                found.push((id, name.trim().to_owned()));
            }
        }
        found
    }

    /// Sends a signal to each process.
    pub fn signal(&self, signal: &str, processes: &[u32]) {
        let mut command = Command::new("kill");
        command.arg(format!("-{signal}")).args(processes.iter().map(u32::to_string));
        // a process that has already exited is not a failure
        let _ = command.stderr(Stdio::null()).status();
    }

    /// Terraform's own process.
    pub fn terraform(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the whole group, like a terminal.
    pub fn signal_group(&self, signal: &str) {
        let group = format!("-{}", self.child.id());
        let _ =
            Command::new("kill").args([&format!("-{signal}"), "--", &group]).stderr(Stdio::null()).status();
    }

    /// Waits for the run to end, and fails if it does not end in time.
    pub fn end(&mut self, within: Duration) -> Ran {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let text =
                    std::fs::read_to_string(&self.out).unwrap_or_default().replace(['│', '╷', '╵'], " ");
                return Ran { code: status.code().unwrap_or(-1), text };
            }
            if begun.elapsed() > within {
                self.signal_group("KILL");
                let text = std::fs::read_to_string(&self.out).unwrap_or_default();
                panic!("terraform is still running after {within:?}:\n{text}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Fails unless every process of the run ends in time and no socket remains.
    pub fn assert_nothing_remains(&self, within: Duration) {
        let begun = Instant::now();
        while !self.processes().is_empty() {
            assert!(begun.elapsed() < within, "left running: {:?}", self.processes());
            std::thread::sleep(Duration::from_millis(50));
        }
        let left: Vec<_> = std::fs::read_dir(&self.sockets)
            .unwrap()
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with("azimage-"))
            .collect();
        assert!(left.is_empty(), "sockets left: {left:?}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal_group("KILL");
        let _ = self.child.wait();
    }
}
