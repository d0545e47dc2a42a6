//! Robustness of the served emulator: hostile bytes, slow clients, several writers, kill -9 and a full disk.

#![cfg(all(feature = "emulator", unix))]
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use azimage::emulator::{Emulator, Request};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_terraform-provider-azimage");
const GROUP: &str =
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/my-rg/providers/Microsoft.Compute";

/// A served emulator, killed on drop.
struct Served {
    child: Child,
    port: u16,
}

impl Served {
    fn start(state: Option<&Path>) -> Served {
        let mut command = Command::new(BINARY);
        command.args(["emulator", "--listen", "127.0.0.1:0"]);
        if let Some(state) = state {
            command.arg("--state").arg(state);
        }
        Served::of(command)
    }

    fn of(mut command: Command) -> Served {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit_once(':').expect("the server prints its address").1.parse().unwrap();
        Served { child, port }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// Sends raw bytes and reads until the connection ends.
    fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // The server may close the connection before it has received everything, but after sending its response.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn memory_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or("VmRSS: 0 kB");
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A persistent connection.
struct Client(BufReader<TcpStream>);

impl Client {
    fn new(served: &Served) -> Client {
        Client(BufReader::new(served.connect()))
    }

    /// Status and body; `None` when the connection broke.
    fn send(&mut self, method: &str, path: &str, body: &str) -> Option<(u16, Vec<u8>)> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.get_mut().write_all(head.as_bytes()).ok()?;
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).ok()?;
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).ok()?;
        Some((status, body))
    }
}

fn gallery(name: &str) -> String {
    format!("{GROUP}/galleries/{name}?api-version=2026-03-03")
}

fn tagged(number: u64) -> String {
    format!(r#"{{"location":"eastus","tags":{{"n":"{number}"}}}}"#)
}

#[test]
fn rejects_hostile_bytes_without_affecting_other_clients() {
    let served = Served::start(None);
    let ask = |target: &str, more: &str| {
        served.raw(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\nConnection: close\r\n{more}\r\n").as_bytes())
    };
    let put = |length: usize, start: &str| {
        let mut bytes = format!(
            "PUT {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{start}",
            gallery("big")
        )
        .into_bytes();
        bytes.resize(bytes.len() + length - start.len(), b' ');
        served.raw(&bytes)
    };
    let refused = |answer: &str, status: &str| {
        assert!(answer.is_empty() || answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer:.300}");
    };
    refused(&served.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), "400");
    refused(&served.raw(b"nonsense\r\n\r\n"), "400");
    refused(&served.raw(b"GET / HTTP/9.9\r\n\r\n"), "400");
    refused(&served.raw(b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n"), "400");
    refused(&ask("/subscriptions", &format!("X: {}\r\n", "a".repeat(1 << 20))), "431");
    refused(&ask("/subscriptions", &"X: a\r\n".repeat(5_000)), "431");
    refused(&ask(&format!("/{}", "a".repeat(1 << 20)), ""), "4");
    assert!(ask("/subscriptions/%ff%00%2e%2e/..%2f..?api-version=2022-12-01", "").starts_with("HTTP/1.1 40"));
    assert!(ask(&format!("/{}?api-version=2022-12-01", "a/".repeat(10_000)), "").starts_with("HTTP/1.1 4"));
    assert!(ask("/subscriptions?api-version=%00%ff", "").starts_with("HTTP/1.1 400"));
    let chunked = "Transfer-Encoding: chunked\r\n\r\nzz\r\nnot a chunk\r\n";
    refused(
        &served.raw(format!("PUT {} HTTP/1.1\r\nHost: localhost\r\n{chunked}", gallery("x")).as_bytes()),
        "4",
    );
    for length in [5 << 20, 9 << 20] {
        let answer = put(length, r#"{"location":"eastus"}"#);
        refused(&answer, "413");
        assert!(answer.is_empty() || answer.contains("RequestContentTooLarge"), "{answer:.300}");
    }
    let deep = format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000));
    assert!(put(deep.len(), &deep).starts_with("HTTP/1.1 400"));

    // clients that open a connection and send nothing more
    let slow: Vec<TcpStream> = (0..300)
        .map(|number| {
            let mut stream = served.connect();
            let part = if number % 2 == 0 {
                "GET / HT"
            } else {
                "PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
            };
            stream.write_all(part.as_bytes()).unwrap();
            stream
        })
        .collect();
    let begin = Instant::now();
    let mut client = Client::new(&served);
    assert_eq!(client.send("PUT", &gallery("fine"), &tagged(1)).unwrap().0, 201);
    assert_eq!(client.send("GET", &gallery("fine"), "").unwrap().0, 200);
    assert!(begin.elapsed() < Duration::from_secs(3));
    drop(slow);
}

#[test]
fn memory_stays_constant_over_ten_thousand_requests() {
    let served = Served::start(None);
    let mut client = Client::new(&served);
    let mut round = |count: u64| {
        for number in 0..count {
            let (method, path, body) = match number % 20 {
                0 => ("PUT", gallery("same"), tagged(number)),
                1..10 => ("GET", gallery("same"), String::new()),
                10..15 => ("GET", gallery("none"), String::new()),
                _ => ("GET", format!("{GROUP}/galleries?api-version=2026-03-03"), String::new()),
            };
            let (status, _) = client.send(method, &path, &body).unwrap();
            assert!(matches!(status, 200 | 201 | 404), "{status}");
        }
    };
    round(2_000);
    let before = served.memory_kb();
    round(10_000);
    let after = served.memory_kb();
    // The 500 operations may grow the memory, because they can be polled for a week.
    assert!(after < before + 6_000, "{before} kB, then {after} kB");
}

/// Reads the number in a gallery's tags.
fn number(body: &[u8]) -> u64 {
    let body: Value = serde_json::from_slice(body).unwrap();
    body["tags"]["n"].as_str().unwrap_or("0").parse().unwrap()
}

#[test]
fn four_kinds_of_writers_lose_nothing_when_servers_are_killed() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.json");
    let over = AtomicBool::new(false);
    drop(Emulator::open(&state).unwrap());
    // Writes galleries through servers that are killed at random; returns the last acknowledged number of each name.
    let through_servers = |who: &str| {
        let mut last = vec![0_u64; 10];
        let mut next = 1;
        while !over.load(Ordering::Relaxed) {
            let mut served = Served::start(Some(&state));
            let mut client = Client::new(&served);
            let id = served.child.id().to_string();
            let killer = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(150 + fastrand::u64(..250)));
                Command::new("kill").args(["-9", &id]).status().unwrap();
            });
            while let Some((status, body)) =
                client.send("PUT", &gallery(&format!("{who}{}", next % 10)), &tagged(next))
            {
                assert!(matches!(status, 200 | 201), "{status} {}", String::from_utf8_lossy(&body));
                last[(next % 10) as usize] = next;
                next += 1;
            }
            killer.join().unwrap();
            served.child.wait().unwrap();
        }
        (who.to_owned(), last)
    };
    let in_process = || {
        let emulator = Emulator::open(&state).unwrap();
        let mut last = vec![0_u64; 10];
        let mut next = 1;
        while !over.load(Ordering::Relaxed) {
            let request = Request {
                method: "PUT".to_owned(),
                url: gallery(&format!("in{}", next % 10)),
                headers: Vec::new(),
                body: tagged(next).into_bytes(),
            };
            let response = emulator.handle(&request, time::OffsetDateTime::now_utc());
            assert!(matches!(response.status, 200 | 201));
            last[(next % 10) as usize] = next;
            next += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
        ("in".to_owned(), last)
    };
    let by_hand = || {
        let mut client = Command::new(BINARY);
        client.args(["emulator", "--state"]).arg(&state).args(["list"]);
        assert!(client.output().unwrap().status.success());
        let emulator = Emulator::open(&state).unwrap();
        let request = Request {
            method: "PUT".to_owned(),
            url: gallery("hand0"),
            headers: Vec::new(),
            body: tagged(0).into_bytes(),
        };
        assert_eq!(emulator.handle_by_hand(&request, time::OffsetDateTime::now_utc()).status, 201);
        let mut next = 1;
        while !over.load(Ordering::Relaxed) {
            let output = Command::new(BINARY)
                .args(["emulator", "--state"])
                .arg(&state)
                .args([
                    "patch",
                    gallery("hand0").split('?').next().unwrap(),
                    &format!(r#"{{"tags":{{"n":"{next}"}}}}"#),
                ])
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            next += 1;
        }
        ("hand".to_owned(), vec![next - 1])
    };
    let written = std::thread::scope(|scope| {
        let writers = [
            scope.spawn(|| through_servers("a")),
            scope.spawn(|| through_servers("b")),
            scope.spawn(in_process),
            scope.spawn(by_hand),
        ];
        std::thread::sleep(Duration::from_secs(4));
        over.store(true, Ordering::Relaxed);
        writers.map(|writer| writer.join().unwrap())
    });
    let served = Served::start(Some(&state));
    let mut client = Client::new(&served);
    for (who, last) in written {
        assert!(last.iter().any(|number| *number > 5), "{who} wrote nothing: {last:?}");
        for (index, acknowledged) in last.iter().enumerate().filter(|(_, number)| **number > 0) {
            let (status, body) = client.send("GET", &gallery(&format!("{who}{index}")), "").unwrap();
            assert_eq!(status, 200, "{who}{index}");
            // A write whose response was lost with its server may have been stored.
            assert!(number(&body) >= *acknowledged, "{who}{index}: {acknowledged} was lost");
        }
    }
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

#[test]
fn full_disk_causes_an_error_and_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let state: PathBuf = folder.path().join("state.json");
    drop(Emulator::open(&state).unwrap());
    // A file size limit simulates a full disk: writes fail, reads succeed.
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 40; exec \"$0\" \"$@\"",
            BINARY,
            "emulator",
            "--listen",
            "127.0.0.1:0",
            "--state",
        ])
        .arg(&state);
    let mut acknowledged = Vec::new();
    {
        let served = Served::of(command);
        let mut client = Client::new(&served);
        let mut refusals = 0;
        for next in 0..200 {
            let name = format!("g{next}");
            let (status, body) = client.send("PUT", &gallery(&name), &tagged(next)).unwrap();
            match status {
                201 => acknowledged.push(name),
                _ => {
                    let text = String::from_utf8_lossy(&body).into_owned();
                    assert_eq!(status, 500, "{text}");
                    assert!(text.contains("writing the emulator's state file"), "{text}");
                    refusals += 1;
                }
            }
        }
        assert!(refusals > 10 && acknowledged.len() > 5, "{refusals} {}", acknowledged.len());
        for name in &acknowledged {
            assert_eq!(client.send("GET", &gallery(name), "").unwrap().0, 200, "{name}");
        }
    }
    let full = size(&state);
    let served = Served::start(Some(&state));
    let mut client = Client::new(&served);
    for name in &acknowledged {
        assert_eq!(client.send("GET", &gallery(name), "").unwrap().0, 200, "{name} was lost");
    }
    assert_eq!(client.send("GET", &gallery("g199"), "").unwrap().0, 404);
    assert_eq!(client.send("PUT", &gallery("g199"), &tagged(1)).unwrap().0, 201);
    assert!(size(&state) > full);
}

#[test]
fn unusable_state_file_is_reported_and_not_modified() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let list = || Command::new(BINARY).args(["emulator", "--state"]).arg(&path).arg("list").output().unwrap();
    for (text, why) in [
        ("{\"resources\":[]}\n", "its format is not known"),
        ("{\"azimage_emulator_state\":99,\"generation\":\"x\"}\n", "its format is not known"),
        ("hello", "its first line is not a header"),
        ("{\"azimage_emulator_state\":1,\"generation\":\"x\"}\n{\"put\":{\"a\":\n", "damaged"),
    ] {
        std::fs::write(&path, text).unwrap();
        let output = list();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.contains(why) && stderr.contains("state.json") && stderr.contains("start afresh"),
            "{stderr}"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    // a line with fields of an older version is read; an incomplete last line is not
    let text = "{\"azimage_emulator_state\":1,\"generation\":\"x\",\"seed\":1,\"sequence\":0,\"was\":true}\n{\"put\":{\"r|/subscriptions|x\":{\"id\":\"/subscriptions/x\",\"old\":1}},\"note\":\"of old\"}\n{\"put\":{\"r|";
    std::fs::write(&path, text).unwrap();
    assert!(list().status.success());
    // A path that cannot exist.
    let output = Command::new(BINARY)
        .args(["emulator", "--listen", "127.0.0.1:0", "--state", "/dev/null/state.json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/dev/null/state.json"));
}

#[test]
fn state_file_must_be_regular_and_links_to_it_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    std::os::unix::fs::symlink("/dev/null", at("device")).unwrap();
    std::fs::create_dir(at("folder")).unwrap();
    for name in ["pipe", "device", "folder"] {
        let output = Command::new(BINARY)
            .args(["emulator", "--listen", "127.0.0.1:0", "--state"])
            .arg(at(name))
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {message}");
        assert!(message.contains("is not a regular file") && message.contains(name), "{message}");
    }
    // Rewriting the state behind a link keeps the link, and the file behind the lock's name is not modified.
    std::fs::create_dir(at("real")).unwrap();
    std::os::unix::fs::symlink("real/state.json", at("state.json")).unwrap();
    drop(Emulator::open(at("state.json")).unwrap());
    assert!(std::fs::symlink_metadata(at("state.json")).unwrap().is_symlink());
    assert!(size(&at("real/state.json")) > 0 && at("real/state.json.lock").exists());
    std::fs::remove_file(at("real/state.json.lock")).unwrap();
    std::fs::write(at("victim"), "precious").unwrap();
    std::os::unix::fs::symlink(at("victim"), at("real/state.json.lock")).unwrap();
    let emulator = Emulator::open(at("state.json")).unwrap();
    let request = Request {
        method: "PUT".to_owned(),
        url: gallery("g"),
        headers: Vec::new(),
        body: tagged(1).into_bytes(),
    };
    let refused = emulator.handle(&request, time::OffsetDateTime::now_utc());
    let message = String::from_utf8_lossy(&refused.body).into_owned();
    assert!(
        refused.status == 500 && message.contains("state.json.lock: it is not a regular file"),
        "{message}"
    );
    assert_eq!(std::fs::read_to_string(at("victim")).unwrap(), "precious");
}

#[test]
fn web_pages_cannot_read_or_change_the_state() {
    let served = Served::start(None);
    let send = |line: &str, headers: &str, body: &str| {
        let answer = served.raw(
            format!(
                "{line} HTTP/1.1\r\nConnection: close\r\nAuthorization: Bearer x\r\n{headers}Content-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        );
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    const LOCAL: &str = "Host: localhost\r\n";
    assert_eq!(send(&format!("PUT {}", gallery("g")), LOCAL, &tagged(1)), "201");
    let origin = "Host: localhost\r\nOrigin: https://evil.example\r\nContent-Type: text/plain\r\n";
    for (path, body) in [
        ("reset", ""),
        ("settings", r#"{"throttling":true}"#),
        ("faults", r#"{"status":503,"count":0}"#),
        ("clock/advance", r#"{"seconds":1}"#),
    ] {
        assert_eq!(send(&format!("POST /_emulator/{path}"), origin, body), "403", "{path}");
        assert_eq!(send(&format!("POST /_emulator/{path}"), LOCAL, body), "403", "{path}");
    }
    assert_eq!(send("GET /_emulator/summary", "Host: evil.example\r\n", ""), "403");
    assert_eq!(send("GET /_emulator/summary", LOCAL, ""), "200");
    assert_eq!(send(&format!("DELETE {}", gallery("g")), origin, ""), "403");
    assert_eq!(send(&format!("GET {}", gallery("g")), LOCAL, ""), "200");
}

#[test]
fn memory_for_request_bodies_is_bounded() {
    let served = Served::start(None);
    let before = served.memory_kb();
    let length = 4 << 20;
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                let mut bytes = format!(
                    "PUT {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n",
                    gallery("big")
                )
                .into_bytes();
                bytes.resize(bytes.len() + length, b' ');
                served.raw(&bytes)
            });
        }
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(100));
            let now = served.memory_kb();
            assert!(now < before + 100_000, "{before} kB, then {now} kB");
        }
    });
    assert_eq!(Client::new(&served).send("GET", "/", "").unwrap().0, 200);
}

#[test]
fn accepts_other_machines_only_if_requested() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let output = Command::new(BINARY).args(["emulator", "--listen", address]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{address}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("--allow-remote"));
        assert!(output.stdout.is_empty());
    }
    let mut command = Command::new(BINARY);
    command.args(["emulator", "--listen", "0.0.0.0:0", "--allow-remote"]);
    let served = Served::of(command);
    assert_eq!(Client::new(&served).send("GET", "/", "").unwrap().0, 200);
}
