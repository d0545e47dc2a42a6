//! The emulator behind a socket, with injected faults. It does not send the remaining rate limits, because the
//! provider would slow down and the load would be lower.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use azimage::emulator::{Emulator, Request, Response};
use serde_json::{Value as Json, json};
use time::OffsetDateTime;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The emulator, over plain HTTP on this machine.
pub struct Service {
    pub url: String,
    emulator: Emulator,
    in_trouble: AtomicBool,
    calls: AtomicU64,
    met: AtomicU64,
    random: Mutex<fastrand::Rng>,
}

/// The fault of one call.
enum Fault {
    Answer(u16, &'static str, &'static str),
    DropBefore,
    DropAfter,
    Malformed,
    Truncated,
    Late(u64),
}

impl Service {
    pub async fn start() -> Arc<Service> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = Arc::new(Service {
            url: format!("http://{}", listener.local_addr().unwrap()),
            emulator: Emulator::in_memory(),
            in_trouble: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            met: AtomicU64::new(0),
            random: Mutex::new(fastrand::Rng::with_seed(11)),
        });
        service.by_hand("PUT", "/_emulator/settings", json!({"time_scale": 0, "page_size": 1000}));
        let served = service.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let served = served.clone();
                tokio::spawn(async move { served.connection(stream).await });
            }
        });
        service
    }

    /// The number of calls, and how many of them were made to fail.
    pub fn call_counts(&self) -> (u64, u64) {
        (self.calls.load(Ordering::Relaxed), self.met.load(Ordering::Relaxed))
    }

    /// Makes every tenth call fail, or stops doing so.
    pub fn set_failing(&self, begins: bool) {
        self.in_trouble.store(begins, Ordering::Relaxed);
    }

    fn fault(&self, path: &str) -> Option<Fault> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        // the provider cannot start without metadata and tokens
        if !self.in_trouble.load(Ordering::Relaxed) || !path.starts_with("/subscriptions/") {
            return None;
        }
        let mut random = self.random.lock().unwrap();
        if random.u8(0..10) != 0 {
            return None;
        }
        self.met.fetch_add(1, Ordering::Relaxed);
        Some(match random.u8(0..10) {
            0 => Fault::Answer(429, "Retry-After: 1", "{\"error\":{\"code\":\"TooManyRequests\"}}"),
            1 => Fault::Answer(429, "x-ms-retry-after-ms: 200", ""),
            2 => Fault::Answer(503, "Retry-After: 1", "{\"error\":{\"code\":\"ServerTimeout\"}}"),
            3 => Fault::Answer(
                *random.choice(&[500, 502, 504]).unwrap(),
                "Content-Type: text/html",
                "<html>gateway",
            ),
            4 => Fault::Answer(200, "Content-Type: text/html", "<html>Sign in to the network"),
            5 => Fault::DropBefore,
            6 => Fault::DropAfter,
            7 => Fault::Malformed,
            8 => Fault::Truncated,
            _ => Fault::Late(random.u64(50..1500)),
        })
    }

    async fn connection(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        while let Some(request) = read(&mut stream, &self.url).await {
            let path = request.url.strip_prefix(&self.url).unwrap().to_owned();
            let fault = self.fault(&path);
            match &fault {
                Some(Fault::DropBefore) => return,
                Some(Fault::Answer(status, header, body)) => {
                    let text = format!(
                        "HTTP/1.1 {status} -\r\n{header}\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    if stream.write_all(text.as_bytes()).await.is_err() {
                        return;
                    }
                    continue;
                }
                Some(Fault::Late(milliseconds)) => {
                    tokio::time::sleep(Duration::from_millis(*milliseconds)).await
                }
                _ => {}
            }
            let mut answer = self.emulator.handle(&request, OffsetDateTime::now_utc());
            if matches!(fault, Some(Fault::DropAfter)) {
                return;
            }
            if matches!(fault, Some(Fault::Malformed)) {
                answer.body.truncate(answer.body.len() / 2);
            }
            let mut bytes = head(&answer);
            let whole = answer.body.len();
            let cut = if matches!(fault, Some(Fault::Truncated)) { whole / 2 } else { whole };
            bytes.extend(&answer.body[..cut]);
            if stream.write_all(&bytes).await.is_err() || cut < whole {
                return;
            }
        }
    }

    pub fn put(&self, id: &str, body: Json) {
        self.by_hand("PUT", &format!("{id}?api-version=2024-03-03"), body);
    }

    /// The names of all definitions in `galleries`, and their tag `note`.
    pub fn objects(&self, galleries: impl Iterator<Item = String>) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for gallery in galleries {
            let page = self.by_hand("GET", &format!("{gallery}/images?api-version=2024-03-03"), Json::Null);
            assert!(page["nextLink"].is_null(), "a gallery has more definitions than a page");
            for item in page["value"].as_array().unwrap() {
                let note = item["tags"]["note"].as_str().unwrap_or_default();
                found.insert(item["name"].as_str().unwrap().to_owned(), note.to_owned());
            }
        }
        found
    }

    fn by_hand(&self, method: &str, url: &str, body: Json) -> Json {
        let request = Request {
            method: method.into(),
            url: url.into(),
            headers: vec![("content-type".into(), "application/json".into())],
            body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
        };
        let answer = self.emulator.handle_by_hand(&request, OffsetDateTime::now_utc());
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(answer.status < 300, "{url}: {} {text}", answer.status);
        serde_json::from_str(&text).unwrap_or(Json::Null)
    }
}

fn head(answer: &Response) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {} -\r\n", answer.status);
    for (name, value) in &answer.headers {
        let lower = name.to_lowercase();
        if !lower.starts_with("x-ms-ratelimit") && lower != "content-length" {
            text += &format!("{name}: {value}\r\n");
        }
    }
    text += &format!("content-length: {}\r\n\r\n", answer.body.len());
    text.into_bytes()
}

/// The next request of a connection; `None` at its end.
async fn read(stream: &mut BufReader<TcpStream>, base: &str) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut headers, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { method, url: format!("{base}{path}"), headers, body })
}
