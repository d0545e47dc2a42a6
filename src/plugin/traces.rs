//! Spans for a trace collector, from the host's calls and the log lines about calls to Azure.
//! <https://www.w3.org/TR/trace-context/>

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use tracing::field::Empty;
use tracing::{Event, Level, Metadata, Subscriber, span};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::fields::Fields;

/// The target and the beginning of log lines about calls to Azure.
const CALLS: (&str, &str) = (concat!(env!("CARGO_CRATE_NAME"), "::arm::send"), "ARM call");
/// The name of the spans around the host's calls.
const RPC: &str = "rpc";

/// A span around a call of the host to the provider, but not around calls of the plugin framework. Log lines in it have the
/// field names that other providers use.
pub fn rpc<B>(request: &http::Request<B>) -> tracing::Span {
    let Some((_, name)) = request.uri().path().split_once(".Provider/") else { return tracing::Span::none() };
    let span = tracing::info_span!(
        RPC,
        tf_rpc = name,
        tf_resource_type = Empty,
        traceparent = Empty,
        failed = Empty
    );
    // a host that records traces sends the ID of its span
    if let Some(traceparent) = request.headers().get("traceparent").and_then(|value| value.to_str().ok()) {
        span.record("traceparent", traceparent);
    }
    span
}

/// Records the resource type, data source or function in the current span.
pub fn about(what: &str) {
    // a name with a capital letter is the name of the RPC
    if what.starts_with(char::is_lowercase) {
        tracing::Span::current().record("tf_resource_type", what);
    }
}

/// Records in the current span that the response is an error.
pub fn failed() {
    tracing::Span::current().record("failed", true);
}

/// The ID of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(u64);

impl SpanId {
    /// A random ID.
    pub fn random() -> Self {
        Self(fastrand::u64(1..))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A span in a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The trace's ID.
    pub trace: u128,
    /// The span's ID.
    pub span: SpanId,
    /// Whether the trace is sampled.
    pub sampled: bool,
}

impl Link {
    /// Reads a `traceparent`; `None` if it is not valid.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
        // later versions may have more parts; the first may not
        let whole = version != "ff" && (version != "00" || parts.next().is_none());
        if !whole || !hex(version, 2) || !hex(trace, 32) || !hex(span, 16) || !hex(flags, 2) {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|span| *span != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self { trace, span: SpanId(span), sampled: flags & 1 == 1 })
    }
}

/// A span that has ended.
#[derive(Debug, Clone)]
pub struct Span {
    /// The span itself.
    pub link: Link,
    /// The parent in the same trace.
    pub parent: Option<SpanId>,
    /// What it is.
    pub name: String,
    /// The span kind, one of OTLP's.
    pub kind: u8,
    /// When it began.
    pub began: OffsetDateTime,
    /// When it ended.
    pub ended: OffsetDateTime,
    /// Attributes: texts, integers and booleans.
    pub attributes: Vec<(&'static str, Value)>,
    /// The error, if it failed.
    pub failure: Option<String>,
}

impl Span {
    /// Work within a process.
    pub const INTERNAL: u8 = 1;
    /// A received call.
    pub const SERVER: u8 = 2;
    /// A sent call.
    pub const CLIENT: u8 = 3;

    /// The span in OTLP's JSON.
    pub fn to_json(&self) -> Value {
        let attributes: Vec<Value> = self
            .attributes
            .iter()
            .map(|(key, value)| {
                let value = match value {
                    Value::Bool(yes) => json!({"boolValue": yes}),
                    // 64 bits do not fit into JSON's numbers
                    Value::Number(number) => json!({"intValue": number.to_string()}),
                    Value::String(text) => json!({"stringValue": text}),
                    other => json!({"stringValue": other.to_string()}),
                };
                json!({"key": key, "value": value})
            })
            .collect();
        let mut span = json!({
            "traceId": format!("{:032x}", self.link.trace),
            "spanId": self.link.span.to_string(),
            "name": self.name,
            "kind": self.kind,
            "startTimeUnixNano": self.began.unix_timestamp_nanos().to_string(),
            "endTimeUnixNano": self.ended.unix_timestamp_nanos().to_string(),
            "attributes": attributes,
        });
        if let Some(parent) = self.parent {
            span["parentSpanId"] = parent.to_string().into();
        }
        if let Some(why) = &self.failure {
            span["status"] = json!({"code": 2, "message": why});
        }
        span
    }
}

/// Passes each completed span to `keep`, which must return quickly.
pub struct Traces {
    root: Link,
    keep: Box<dyn Fn(Span) + Send + Sync>,
}

impl Traces {
    /// Spans without a parent become children of `root`.
    pub fn new(root: Link, keep: Box<dyn Fn(Span) + Send + Sync>) -> Self {
        Self { root, keep }
    }

    /// Whether this layer uses the spans or events of `metadata`; all others are skipped.
    pub fn wants(metadata: &Metadata<'_>) -> bool {
        if metadata.is_span() {
            metadata.name() == RPC && metadata.target() == module_path!()
        } else {
            metadata.target() == CALLS.0 && *metadata.level() == Level::DEBUG
        }
    }
}

/// A call of the host in progress.
struct Open {
    link: Link,
    parent: Option<SpanId>,
    began: OffsetDateTime,
    fields: Fields,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Traces {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            let link = Link { span: SpanId::random(), ..self.root.clone() };
            let began = OffsetDateTime::now_utc();
            span.extensions_mut().insert(Open { link, parent: Some(self.root.span), began, fields });
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<Open>()
        {
            values.record(&mut open.fields);
            // The host's own trace takes precedence over the trace of the process.
            if let Some(Value::String(text)) = open.fields.0.remove("traceparent")
                && let Some(parent) = Link::parse(&text)
            {
                open.link = Link { span: open.link.span, ..parent };
                open.parent = Some(parent.span);
            }
        }
    }

    fn on_close(&self, id: span::Id, context: Context<'_, S>) {
        let open = context.span(&id).and_then(|span| span.extensions_mut().remove::<Open>());
        if let Some(open) = open.filter(|open| open.link.sampled) {
            (self.keep)(open.close(OffsetDateTime::now_utc()));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if !fields.text("message").is_some_and(|message| message.starts_with(CALLS.1)) {
            return;
        }
        let within = context.event_scope(event).into_iter().flatten().find_map(|span| {
            let extensions = span.extensions();
            extensions.get::<Open>().map(|open| open.link.clone())
        });
        let within = within.unwrap_or_else(|| self.root.clone());
        if within.sampled {
            (self.keep)(call(&within, OffsetDateTime::now_utc(), fields));
        }
    }
}

impl Open {
    fn close(mut self, now: OffsetDateTime) -> Span {
        let name = self.fields.take_text("tf_rpc").unwrap_or_default();
        let mut attributes = vec![
            ("rpc.system", "grpc".into()),
            ("rpc.service", "Provider".into()),
            ("rpc.method", name.clone().into()),
        ];
        let of = self.fields.take_text("tf_resource_type");
        attributes.extend(of.clone().map(|of| ("terraform.type", of.into())));
        let failed = self.fields.0.remove("failed") == Some(Value::Bool(true));
        Span {
            link: self.link,
            parent: self.parent,
            name: of.map_or(name.clone(), |of| format!("{name} {of}")),
            kind: Span::SERVER,
            began: self.began,
            ended: now,
            attributes,
            failure: failed.then(|| "returned an error".to_owned()),
        }
    }
}

/// The span of one attempt of a call to Azure, which ended `now`.
fn call(within: &Link, now: OffsetDateTime, mut fields: Fields) -> Span {
    let method = fields.take_text("method").unwrap_or_default();
    let path = fields.take_text("path").unwrap_or_default();
    let number = |fields: &Fields, name: &str| fields.0.get(name).and_then(Value::as_u64);
    let took = Duration::from_millis(number(&fields, "ms").unwrap_or_default());
    let status = number(&fields, "status");
    let error = fields.take_text("error");
    let mut attributes =
        vec![("http.request.method", method.clone().into()), ("url.path", path.clone().into())];
    attributes.extend(status.map(|status| ("http.response.status_code", status.into())));
    let again =
        number(&fields, "attempt").map(|attempt| attempt.saturating_sub(1)).filter(|again| *again > 0);
    attributes.extend(again.map(|again| ("http.request.resend_count", again.into())));
    let id = fields.take_text("request_id").filter(|id| !id.is_empty());
    attributes.extend(id.map(|id| ("az.service_request_id", id.into())));
    attributes.extend(fields.0.remove("budget").map(|left| ("az.ratelimit_remaining", left)));
    Span {
        link: Link { span: SpanId::random(), ..within.clone() },
        parent: Some(within.span),
        name: format!("{method} {}", kind(&path)),
        kind: Span::CLIENT,
        began: now - took,
        ended: now,
        attributes,
        failure: error.or_else(|| status.filter(|status| *status >= 400).map(|status| status.to_string())),
    }
}

/// The resource type of a path, so that spans of one type have the same name.
fn kind(path: &str) -> String {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let provider = segments.iter().rposition(|segment| segment.eq_ignore_ascii_case("providers"));
    let (first, names) = match provider {
        Some(at) => (segments.get(at + 1), segments.get(at + 2..)),
        None => (None, segments.get(..)),
    };
    let types = names.unwrap_or_default().iter().step_by(2);
    let words: Vec<&str> = first.into_iter().chain(types).copied().collect();
    words.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_traceparent() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (text, read) in [
            (format!("00-{trace}-00f067aa0ba902b7-01"), Some(true)),
            (format!(" 00-{trace}-00f067aa0ba902b7-00"), Some(false)),
            (format!("01-{trace}-00f067aa0ba902b7-03-more"), Some(true)),
            (format!("00-{trace}-00f067aa0ba902b7-01-more"), None),
            (format!("ff-{trace}-00f067aa0ba902b7-01"), None),
            (format!("00-{trace}-0000000000000000-01"), None),
            (format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), None),
            (format!("00-{trace}-00f067aa0ba902b7"), None),
            (format!("00-{trace}-+0f067aa0ba902b7-01"), None),
            (String::new(), None),
        ] {
            let link = Link::parse(&text);
            assert_eq!(link.as_ref().map(|link| link.sampled), read, "{text}");
            if let Some(link) = link {
                assert_eq!(format!("{:032x}-{}", link.trace, link.span), format!("{trace}-00f067aa0ba902b7"));
            }
        }
    }

    #[test]
    fn span_names_have_types_and_no_object_names() {
        for (path, name) in [
            ("/subscriptions/s", "subscriptions"),
            ("/subscriptions/s/resourceGroups/g", "subscriptions/resourceGroups"),
            (
                "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/a/images/b",
                "Microsoft.Compute/galleries/images",
            ),
            ("/subscriptions/s/providers/Microsoft.Compute/galleries", "Microsoft.Compute/galleries"),
            ("/a/providers/P.A/t/n/providers/P.B/u", "P.B/u"),
            ("/", ""),
            ("/subscriptions/s/providers", ""),
        ] {
            assert_eq!(kind(path), name, "{path}");
        }
    }
}
