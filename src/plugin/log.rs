//! The log in the format of hclog: one JSON object per line on standard error.

use super::{fields::Fields, otlp, traces::Traces};
use serde_json::{Map, Value};
use std::{
    ffi::OsString,
    io::{self, Write},
};
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};
use tracing::{Event, Level, Metadata, Subscriber, level_filters::LevelFilter, span};
use tracing_subscriber::{
    Layer, Registry,
    filter::{FilterFn, filter_fn},
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

/// The variables for the level, in the order of precedence.
const VARIABLES: [&str; 3] = ["TF_LOG_PROVIDER_AZIMAGE", "TF_LOG_PROVIDER", "TF_LOG"];
/// Our own crates. Of others only warnings and errors are logged.
const OURS: [&str; 2] = [env!("CARGO_CRATE_NAME"), "terraform_provider_azimage"];
/// The host does not parse longer lines. (Its own limit is 64 KiB.)
const LONGEST_LINE: usize = 60 * 1024;
/// Limits for the bytes of each text; the first one that makes the line short enough is used.
const LONGEST_TEXT: [usize; 4] = [16 * 1024, 4 * 1024, 1024, 64];
/// The host treats a time with another precision as plain text.
const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// Starts logging at the level in the environment, and exporting traces if it names a collector. Without either, nothing is
/// installed, and a log line costs one comparison.
pub fn install(environment: impl Fn(&str) -> Option<OsString>) {
    let level = level(&environment);
    let traces = otlp::install(&environment);
    let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = Vec::new();
    if level != LevelFilter::OFF {
        let log = Hclog { write: |line: &[u8]| drop(io::stderr().lock().write_all(line)) };
        layers.push(log.with_filter(filter_for(level)).boxed());
    }
    let problem = match traces {
        Ok(Some(traces)) => {
            let wanted = filter_fn(Traces::wants).with_max_level_hint(LevelFilter::DEBUG);
            layers.push(traces.with_filter(wanted).boxed());
            None
        }
        Ok(None) => None,
        Err(problem) => Some(problem),
    };
    if !layers.is_empty() {
        // Fails if there is a subscriber already, as in a test that serves in its own process. That one is kept.
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layers));
    }
    if let Some(problem) = problem {
        tracing::warn!("{problem}");
    }
}

/// The filter for `level`; other crates log warnings at most.
fn filter_for(level: LevelFilter) -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    let is_logged = move |metadata: &Metadata<'_>| {
        let root = metadata.target().split("::").next();
        let ours = root.is_some_and(|root| OURS.contains(&root));
        *metadata.level() <= if ours { level } else { level.min(LevelFilter::WARN) }
    };
    filter_fn(is_logged).with_max_level_hint(level)
}

/// The level as Terraform reads it: in any case; `json` and unknown words mean everything.
fn level(environment: impl Fn(&str) -> Option<OsString>) -> LevelFilter {
    let set = VARIABLES.iter().find_map(|name| environment(name).filter(|value| !value.is_empty()));
    match set.map(|value| value.to_string_lossy().to_ascii_lowercase()).as_deref() {
        None | Some("off") => LevelFilter::OFF,
        Some("error") => LevelFilter::ERROR,
        Some("warn") => LevelFilter::WARN,
        Some("info") => LevelFilter::INFO,
        Some("debug") => LevelFilter::DEBUG,
        Some(_) => LevelFilter::TRACE,
    }
}

/// The fields of an open span, as they are logged.
struct Logged(Fields);

/// Writes each event as a line, with the fields of the spans around it.
struct Hclog<W> {
    write: W,
}

impl<S, W> Layer<S> for Hclog<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn(&[u8]) + 'static,
{
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(Logged(fields));
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(Logged(fields)) = span.extensions_mut().get_mut::<Logged>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flatten().collect::<Vec<_>>().into_iter().rev() {
            if let Some(Logged(of_span)) = span.extensions().get::<Logged>() {
                fields.0.extend(of_span.0.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
        }
        event.record(&mut fields);
        let metadata = event.metadata();
        (self.write)(&line(*metadata.level(), metadata.target(), OffsetDateTime::now_utc(), fields.0));
    }
}

/// One line with its line feed. The field `message` becomes the message.
fn line(level: Level, target: &str, now: OffsetDateTime, mut fields: Map<String, Value>) -> Vec<u8> {
    // The host crashes if one of these is not a string.
    let message = match fields.remove("message") {
        Some(Value::String(message)) => message,
        Some(other) => other.to_string(),
        None => String::new(),
    };
    // Names that begin with this sign belong to the host.
    fields =
        fields.into_iter().map(|(name, value)| (name.trim_start_matches('@').to_owned(), value)).collect();
    let mut own = |key: &str, value: String| drop(fields.insert(key.to_owned(), Value::String(value)));
    own("@message", message);
    own("@level", level.as_str().to_ascii_lowercase());
    own("@module", target.replace("::", "."));
    own("@timestamp", now.format(TIMESTAMP).unwrap_or_default());

    let mut line = Value::Object(fields).to_string();
    for longest in LONGEST_TEXT {
        if line.len() <= LONGEST_LINE {
            break;
        }
        line = shortened(&line, longest);
    }
    line.push('\n');
    line.into_bytes()
}

/// The same object with every text cut to `longest` bytes.
fn shortened(line: &str, longest: usize) -> String {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(line) else {
        return String::new();
    };
    for value in fields.values_mut() {
        if let Value::String(text) = value
            && text.len() > longest
        {
            let kept = (0..=longest).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            *text = format!("{}… ({} bytes more)", &text[..kept], text.len() - kept);
        }
    }
    Value::Object(fields).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use time::macros::datetime;

    #[test]
    fn level_is_from_the_first_variable_that_is_set() {
        for (variables, expected) in [
            (&[][..], LevelFilter::OFF),
            (&[("TF_LOG", "")], LevelFilter::OFF),
            (&[("TF_LOG", "off")], LevelFilter::OFF),
            (&[("TF_LOG", "OFF")], LevelFilter::OFF),
            (&[("TF_LOG", "error")], LevelFilter::ERROR),
            (&[("TF_LOG", "Warn")], LevelFilter::WARN),
            (&[("TF_LOG", "INFO")], LevelFilter::INFO),
            (&[("TF_LOG", "debug")], LevelFilter::DEBUG),
            (&[("TF_LOG", "trace")], LevelFilter::TRACE),
            (&[("TF_LOG", "json")], LevelFilter::TRACE),
            (&[("TF_LOG", "loud")], LevelFilter::TRACE),
            (&[("TF_LOG", "trace"), ("TF_LOG_PROVIDER", "warn")], LevelFilter::WARN),
            (&[("TF_LOG", "trace"), ("TF_LOG_PROVIDER", "")], LevelFilter::TRACE),
            (&[("TF_LOG_PROVIDER", "trace"), ("TF_LOG_PROVIDER_AZIMAGE", "off")], LevelFilter::OFF),
            (&[("TF_LOG_PROVIDER_AZIMAGE", "debug")], LevelFilter::DEBUG),
        ] {
            let environment =
                |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
            assert_eq!(level(environment), expected, "{variables:?}");
        }
    }

    #[test]
    fn line_has_the_format_of_hclog() {
        let fields = Map::from_iter([("message".to_owned(), "hello".into()), ("tries".to_owned(), 3.into())]);
        let line =
            line(Level::WARN, "azimage::plugin::tls", datetime!(2026-01-02 03:04:05.000_678 UTC), fields);
        let expected = concat!(
            r#"{"@level":"warn","@message":"hello","@module":"azimage.plugin.tls","#,
            r#""@timestamp":"2026-01-02T03:04:05.000678Z","tries":3}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        for (count, text) in [
            (1, "x".repeat(200_000)),
            (1, "ü€😀".repeat(40_000)),
            (1, "\u{1}".repeat(200_000)),
            (30, "y".repeat(5_000)),
            (400, "z".repeat(10_000)),
        ] {
            let mut fields = Map::from_iter((0..count).map(|n| (format!("field{n}"), text.clone().into())));
            fields.insert("message".into(), text.into());
            let line = line(Level::INFO, "azimage", OffsetDateTime::UNIX_EPOCH, fields);
            assert!(line.len() < 64 * 1024, "{count}: {}", line.len());
            let value: Value = serde_json::from_slice(&line).unwrap();
            assert!(value["@message"].as_str().unwrap().contains("bytes more"));
            assert_eq!(value["@timestamp"], "1970-01-01T00:00:00.000000Z");
        }
    }

    /// What is logged at `level` while `during` runs.
    fn logged(level: LevelFilter, during: impl FnOnce()) -> Vec<Value> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        let write = move |line: &[u8]| kept.lock().unwrap().push(serde_json::from_slice(line).unwrap());
        let subscriber = tracing_subscriber::registry().with(Hclog { write }.with_filter(filter_for(level)));
        tracing::subscriber::with_default(subscriber, during);
        Arc::into_inner(lines).unwrap().into_inner().unwrap()
    }

    #[test]
    fn lines_have_typed_fields_of_events_and_spans() {
        let lines = logged(LevelFilter::TRACE, || {
            let span = tracing::info_span!("call", rpc = "ReadResource", late = tracing::field::Empty);
            span.record("late", 7);
            span.in_scope(|| {
                tracing::debug!(
                    rpc = "inner wins",
                    yes = true,
                    big = u64::MAX,
                    less = -1,
                    half = 0.5,
                    "{} way",
                    "one"
                );
            });
            tracing::trace!(nothing = ?None::<u8>);
        });
        let [first, second] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!(first["@message"], "one way");
        assert_eq!(first["@level"], "debug");
        for (key, value) in [
            ("rpc", Value::from("inner wins")),
            ("late", 7.into()),
            ("yes", true.into()),
            ("big", u64::MAX.into()),
            ("less", (-1).into()),
            ("half", 0.5.into()),
        ] {
            assert_eq!(first[key], value, "{key}");
        }
        assert_eq!((second["@message"].as_str(), second["nothing"].as_str()), (Some(""), Some("None")));
    }

    #[test]
    fn other_crates_log_warnings_only() {
        let lines = logged(LevelFilter::TRACE, || {
            tracing::info!(target: "h2::codec", "noise");
            tracing::warn!(target: "h2::codec", "warning");
            tracing::trace!(target: "terraform_provider_azimage", "ours");
            tracing::info!(target: "azimage_of_another", "noise");
        });
        let messages: Vec<_> = lines.iter().map(|line| line["@message"].as_str().unwrap()).collect();
        assert_eq!(messages, ["warning", "ours"]);
        let lines = logged(LevelFilter::ERROR, || {
            tracing::warn!(target: "h2::codec", "warning");
            tracing::warn!("ours");
            tracing::error!("ours, and an error");
        });
        assert_eq!(lines.len(), 1);
    }
}
