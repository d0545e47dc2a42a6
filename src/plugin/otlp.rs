//! Export of traces: a span for the process, for each call of the host and for each call to Azure, sent as OTLP over HTTP
//! in JSON if the environment names a collector.
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>
//!
//! Tracing must not delay or fail a run: spans go through a bounded queue to a separate thread, and are dropped if it is
//! full. They contain what the log contains at debug level: methods, paths and statuses, but no query, body or token.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use time::OffsetDateTime;
use url::Url;

use super::traces::{Link, Span, SpanId, Traces};

/// The most spans that wait; a run with thousands of calls makes a few per second.
const QUEUE: usize = 4096;
/// The most spans in one request.
const BATCH: usize = 512;
/// How long spans are collected for one request.
const BATCH_WINDOW: Duration = Duration::from_secs(2);
/// The pause after a failed request.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// How long the end of the process waits for the last spans.
const FINAL_FLUSH: Duration = Duration::from_millis(300);

/// The collector in the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    endpoint: Url,
    headers: Vec<(String, String)>,
    timeout: Duration,
    resource: Vec<(String, String)>,
    /// The span of the pipeline that started this process.
    parent: Option<Link>,
}

impl Collector {
    /// The collector in the environment; `None` if there is none or traces are disabled. Errors are logged.
    pub fn from_environment(environment: impl Fn(&str) -> Option<OsString>) -> Result<Option<Self>, String> {
        let text = |name: &str| {
            environment(name)
                .map(|value| value.to_string_lossy().trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let either = |end: &str| {
            text(&format!("OTEL_EXPORTER_OTLP_TRACES_{end}"))
                .or_else(|| text(&format!("OTEL_EXPORTER_OTLP_{end}")))
        };
        let off = text("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"))
            || text("OTEL_TRACES_EXPORTER").is_some_and(|text| text != "otlp")
            || text("OTEL_TRACES_SAMPLER").is_some_and(|text| text.ends_with("always_off"));
        let endpoint = match (text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), text("OTEL_EXPORTER_OTLP_ENDPOINT"))
        {
            _ if off => return Ok(None),
            (None, None) => return Ok(None),
            // Used unchanged.
            (Some(whole), _) => whole,
            (None, Some(base)) => format!("{}/v1/traces", base.trim_end_matches('/')),
        };
        if either("PROTOCOL").is_some_and(|protocol| protocol == "grpc") {
            return Err(
                "no traces are sent: the collector is to be spoken to in gRPC, and only OTLP over HTTP is spoken here \
                 (set OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json and its endpoint, usually on port 4318)"
                    .to_owned(),
            );
        }
        let parent = text("TRACEPARENT").and_then(|text| Link::parse(&text));
        // The parent decides whether the trace is sampled.
        if parent.as_ref().is_some_and(|parent| !parent.sampled) {
            return Ok(None);
        }
        let endpoint = Url::parse(&endpoint)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or("no traces are sent: OTEL_EXPORTER_OTLP_ENDPOINT is not an http or https URL")?;
        let mut resource = vec![
            ("service.name".to_owned(), "terraform-provider-azimage".to_owned()),
            ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("process.pid".to_owned(), std::process::id().to_string()),
        ];
        let mut set = |name: String, value: String| {
            resource.retain(|(have, _)| *have != name);
            resource.push((name, value));
        };
        for (name, value) in pairs(&text("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default()) {
            set(name, value);
        }
        if let Some(name) = text("OTEL_SERVICE_NAME") {
            set("service.name".to_owned(), name);
        }
        Ok(Some(Self {
            endpoint,
            headers: pairs(&either("HEADERS").unwrap_or_default()),
            timeout: either("TIMEOUT")
                .and_then(|text| text.parse().ok())
                .map_or(Duration::from_secs(10), Duration::from_millis),
            resource,
            parent,
        }))
    }
}

/// `name=value,name=value`, with percent signs for what must not stand there.
fn pairs(text: &str) -> Vec<(String, String)> {
    // A plus is a plus here, and not the space that a form makes of it.
    let decoded = |text: &str| -> String {
        let form = format!("={}", text.trim().replace('+', "%2B").replace('&', "%26"));
        url::form_urlencoded::parse(form.as_bytes())
            .next()
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    };
    text.split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .filter(|(name, _)| !name.is_empty())
        .collect()
}

enum Message {
    Span(Box<Span>),
    /// Send what there is; and say when it is done.
    Flush(Option<SyncSender<()>>),
}

/// The queue to the exporting thread.
#[derive(Debug)]
pub struct Exporter {
    queue: SyncSender<Message>,
    root: Link,
    parent: Option<SpanId>,
    began: OffsetDateTime,
}

static EXPORTER: OnceLock<Exporter> = OnceLock::new();

/// Starts exporting and gives the layer that makes spans of what is traced; none when the environment asks for none.
pub fn install(environment: impl Fn(&str) -> Option<OsString>) -> Result<Option<Traces>, String> {
    let Some(collector) = Collector::from_environment(environment)? else { return Ok(None) };
    let exporter = Exporter::start(collector).map_err(|error| format!("no traces are sent: {error}"))?;
    let queue = exporter.queue.clone();
    let root = exporter.root.clone();
    if EXPORTER.set(exporter).is_err() {
        return Ok(None);
    }
    let keep = move |span| drop(queue.try_send(Message::Span(Box::new(span))));
    Ok(Some(Traces::new(root, Box::new(keep))))
}

/// The end has begun: what waits may go now, without anybody waiting for it.
pub fn hurry() {
    if let Some(exporter) = EXPORTER.get() {
        let _ = exporter.queue.try_send(Message::Flush(None));
    }
}

/// Sends the process's own span and all that is left, and waits a little for it.
pub fn finish() {
    if let Some(exporter) = EXPORTER.get() {
        exporter.finish(OffsetDateTime::now_utc(), FINAL_FLUSH);
    }
}

impl Exporter {
    fn start(collector: Collector) -> std::io::Result<Self> {
        let (queue, received) = sync_channel(QUEUE);
        let parent = collector.parent.clone();
        let trace = parent.as_ref().map_or_else(|| uuid::Uuid::new_v4().as_u128(), |parent| parent.trace);
        let root = Link { trace, span: SpanId::random(), sampled: true };
        thread::Builder::new().name("otlp".into()).spawn(move || Sending::new(collector).run(&received))?;
        Ok(Self { queue, root, parent: parent.map(|parent| parent.span), began: OffsetDateTime::now_utc() })
    }

    fn finish(&self, now: OffsetDateTime, within: Duration) {
        let span = Span {
            link: self.root.clone(),
            parent: self.parent,
            name: "terraform-provider-azimage".to_owned(),
            kind: Span::INTERNAL,
            began: self.began,
            ended: now,
            attributes: Vec::new(),
            failure: None,
        };
        let until = Instant::now() + within;
        let (done, wait) = sync_channel(1);
        for message in [Message::Span(Box::new(span)), Message::Flush(Some(done))] {
            let mut message = message;
            // A full queue means that the collector does not keep up: it gets its chance until the end.
            while let Err(TrySendError::Full(back)) = self.queue.try_send(message) {
                if Instant::now() >= until {
                    return;
                }
                message = back;
                thread::sleep(Duration::from_millis(5));
            }
        }
        let _ = wait.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

/// The exporting thread's own.
struct Sending {
    collector: Collector,
    waiting: VecDeque<Span>,
    lost: usize,
    not_before: Instant,
    /// What sends, once there is something to send: made late, for it reads the system's certificates.
    tools: Option<Result<(tokio::runtime::Runtime, reqwest::Client), String>>,
}

impl Sending {
    fn new(collector: Collector) -> Self {
        Self { collector, waiting: VecDeque::new(), lost: 0, not_before: Instant::now(), tools: None }
    }

    fn run(mut self, received: &Receiver<Message>) {
        let mut oldest = None;
        loop {
            let patience = oldest.map_or(Duration::from_secs(3600), |oldest: Instant| {
                (oldest + BATCH_WINDOW).max(self.not_before).saturating_duration_since(Instant::now())
            });
            match received.recv_timeout(patience) {
                Ok(Message::Span(span)) => {
                    self.keep(*span);
                    oldest.get_or_insert_with(Instant::now);
                    if self.waiting.len() < BATCH || Instant::now() < self.not_before {
                        continue;
                    }
                }
                Ok(Message::Flush(done)) => {
                    self.send();
                    let _ = done.map(|done| done.try_send(()));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // nothing is left after a flush that went well
            if Instant::now() >= self.not_before {
                self.send();
            }
            oldest = (!self.waiting.is_empty()).then(Instant::now);
        }
    }

    fn keep(&mut self, span: Span) {
        if self.waiting.len() >= QUEUE {
            self.waiting.pop_front();
            self.lost += 1;
        }
        self.waiting.push_back(span);
    }

    /// Sends what waits, batch by batch, until all is sent or one fails.
    fn send(&mut self) {
        while !self.waiting.is_empty() {
            let count = self.waiting.len().min(BATCH);
            let spans: Vec<&Span> = self.waiting.iter().take(count).collect();
            let body = request(&self.collector.resource, &spans).to_string();
            match self.post(body) {
                Ok(()) => drop(self.waiting.drain(..count)),
                Err(Refused { why, again }) => {
                    tracing::debug!(
                        lost = self.lost,
                        "sending traces to {}: {why}",
                        host(&self.collector.endpoint)
                    );
                    if !again {
                        self.waiting.drain(..count);
                        self.lost += count;
                    }
                    self.not_before = Instant::now() + RETRY_PAUSE;
                    return;
                }
            }
        }
    }

    fn post(&mut self, body: String) -> Result<(), Refused> {
        let collector = &self.collector;
        let tools = self.tools.get_or_insert_with(|| tools(collector)).as_ref();
        let (runtime, client) = tools.map_err(|why| Refused { why: why.clone(), again: false })?;
        let mut request = client.post(collector.endpoint.clone()).timeout(collector.timeout);
        for (name, value) in &collector.headers {
            request = request.header(name, value);
        }
        let answer = runtime.block_on(async {
            let answer = request.header("content-type", "application/json").body(body).send().await?;
            let status = answer.status().as_u16();
            // read, so that the connection serves the next batch too
            answer.bytes().await.map(|_| status)
        });
        match answer {
            Ok(200..300) => Ok(()),
            Ok(status) => Err(Refused {
                why: format!("it answered {status}"),
                again: matches!(status, 429 | 502 | 503 | 504),
            }),
            // the URL may hold a password
            Err(error) => Err(Refused { why: error.without_url().to_string(), again: true }),
        }
    }
}

struct Refused {
    why: String,
    /// Whether the same spans may be taken later.
    again: bool,
}

fn tools(collector: &Collector) -> Result<(tokio::runtime::Runtime, reqwest::Client), String> {
    // An error only means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    if collector.endpoint.scheme() == "http" {
        client = client.tls_certs_only([]);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok((runtime.map_err(|error| error.to_string())?, client.build().map_err(|error| error.to_string())?))
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

/// The body of one request.
fn request(resource: &[(String, String)], spans: &[&Span]) -> Value {
    let resource: Vec<Value> =
        resource.iter().map(|(name, value)| json!({"key": name, "value": {"stringValue": value}})).collect();
    let spans: Vec<Value> = spans.iter().map(|span| span.to_json()).collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": resource},
        "scopeSpans": [{
            "scope": {"name": "azimage", "version": env!("CARGO_PKG_VERSION")},
            "spans": spans,
        }],
    }]})
}

#[cfg(test)]
#[path = "otlp_tests.rs"]
mod tests;
