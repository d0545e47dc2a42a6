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
            // this URL is used unchanged
            (Some(whole), _) => whole,
            (None, Some(base)) => format!("{}/v1/traces", base.trim_end_matches('/')),
        };
        if either("PROTOCOL").is_some_and(|protocol| protocol == "grpc") {
            return Err(
                "no traces are sent: the protocol is set to grpc, but this provider supports only OTLP over HTTP \
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

/// Parses `name=value,name=value` with percent-encoded special characters.
fn pairs(text: &str) -> Vec<(String, String)> {
    // a plus is literal here, but form decoding would turn it into a space
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
    /// Sends all queued spans, then signals completion.
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

/// Starts the exporter and returns the layer that records spans; `None` if the environment names no collector.
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

/// Sends the queued spans without waiting for them, because the process is about to end.
pub fn flush_soon() {
    if let Some(exporter) = EXPORTER.get() {
        let _ = exporter.queue.try_send(Message::Flush(None));
    }
}

/// Sends the process's own span and all queued spans, and waits briefly until they are sent.
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
        thread::Builder::new().name("otlp".into()).spawn(move || Worker::new(collector).run(&received))?;
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
            // A full queue means that the collector does not keep up. Retry until the deadline.
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

/// The state of the exporting thread.
struct Worker {
    collector: Collector,
    queue: VecDeque<Span>,
    dropped: usize,
    not_before: Instant,
    /// The client, created when there is something to send, because creating it reads the system's certificates.
    client: Option<Result<(tokio::runtime::Runtime, reqwest::Client), String>>,
}

impl Worker {
    fn new(collector: Collector) -> Self {
        Self { collector, queue: VecDeque::new(), dropped: 0, not_before: Instant::now(), client: None }
    }

    fn run(mut self, received: &Receiver<Message>) {
        let mut oldest = None;
        loop {
            let wait = oldest.map_or(Duration::from_secs(3600), |oldest: Instant| {
                (oldest + BATCH_WINDOW).max(self.not_before).saturating_duration_since(Instant::now())
            });
            match received.recv_timeout(wait) {
                Ok(Message::Span(span)) => {
                    self.enqueue(*span);
                    oldest.get_or_insert_with(Instant::now);
                    if self.queue.len() < BATCH || Instant::now() < self.not_before {
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
            // nothing is left after a successful flush
            if Instant::now() >= self.not_before {
                self.send();
            }
            oldest = (!self.queue.is_empty()).then(Instant::now);
        }
    }

    fn enqueue(&mut self, span: Span) {
        if self.queue.len() >= QUEUE {
            self.queue.pop_front();
            self.dropped += 1;
        }
        self.queue.push_back(span);
    }

    /// Sends the queued spans in batches until all are sent or a batch fails.
    fn send(&mut self) {
        while !self.queue.is_empty() {
            let count = self.queue.len().min(BATCH);
            let spans: Vec<&Span> = self.queue.iter().take(count).collect();
            let body = request(&self.collector.resource, &spans).to_string();
            match self.post(body) {
                Ok(()) => drop(self.queue.drain(..count)),
                Err(SendError { why, retryable }) => {
                    tracing::debug!(
                        dropped = self.dropped,
                        "sending traces to {}: {why}",
                        host(&self.collector.endpoint)
                    );
                    if !retryable {
                        self.queue.drain(..count);
                        self.dropped += count;
                    }
                    self.not_before = Instant::now() + RETRY_PAUSE;
                    return;
                }
            }
        }
    }

    fn post(&mut self, body: String) -> Result<(), SendError> {
        let collector = &self.collector;
        let connection = self.client.get_or_insert_with(|| client(collector)).as_ref();
        let (runtime, client) = connection.map_err(|why| SendError { why: why.clone(), retryable: false })?;
        let mut request = client.post(collector.endpoint.clone()).timeout(collector.timeout);
        for (name, value) in &collector.headers {
            request = request.header(name, value);
        }
        let answer = runtime.block_on(async {
            let answer = request.header("content-type", "application/json").body(body).send().await?;
            let status = answer.status().as_u16();
            // read the body, so that the connection can be reused for the next batch
            answer.bytes().await.map(|_| status)
        });
        match answer {
            Ok(200..300) => Ok(()),
            Ok(status) => Err(SendError {
                why: format!("the response has status {status}"),
                retryable: matches!(status, 429 | 502 | 503 | 504),
            }),
            // the URL may contain a password
            Err(error) => Err(SendError { why: error.without_url().to_string(), retryable: true }),
        }
    }
}

struct SendError {
    why: String,
    /// Whether the same spans can be sent again later.
    retryable: bool,
}

fn client(collector: &Collector) -> Result<(tokio::runtime::Runtime, reqwest::Client), String> {
    // an error only means that a provider is already installed
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
