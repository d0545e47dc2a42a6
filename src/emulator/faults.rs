//! Scripted faults: which requests they match and what they do to them.
//!
//! A fault is `{"method":"PUT","path":"regex","skip":0,"count":1, …effect…}`. It applies to requests whose method and path
//! (without query, in any case) match, after the first `skip` of them, `count` times (0 is always). The effect is any of:
//! `status` with `code`, `message`, `headers`, `body`; `drop`: close the connection `"before"` or `"after"` the request is
//! executed, or `"connect"`: as `"before"`, and in the provider's own process as if no connection could be established;
//! `stall`: `"before"` or `"after"`: never respond; `hold`: `"before"` or `"after"`: wait until a control call releases the
//! request; `malformed`: true, or the replacement body: `"html"`, `"json"` (broken), `"text"` (the right body with a wrong
//! type), `"empty"`; `truncate`: number of body bytes that arrive; `delay_ms`; `fail_operation`: `{code, message, status}`;
//! `stuck_operation`: true; `slow_operation`: additional seconds; `move_operation`: true, for a poll: the operation moves to
//! another URL; `lose_resource`: true: the operation succeeds and the resource is absent afterwards; `fail_region`: a region's
//! name; `expired_token`: true.

use std::time::Duration;

use super::json::Json;
use super::regions;
use super::store::Transaction;
use super::{Request, Response};

/// The record that holds the script.
pub const KEY: &str = "s|faults";

/// When a fault takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before the request is executed, which prevents its execution.
    Before,
    /// After the request is executed.
    After,
}

impl When {
    fn parse(fault: &Json, key: &str) -> Option<When> {
        match fault.text(key)? {
            "after" => Some(When::After),
            _ => Some(When::Before),
        }
    }
}

/// How a response's body is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedBody {
    /// A gateway's HTML page with the original content type.
    Page,
    /// A gateway's HTML page with an HTML content type.
    Html,
    /// Truncated JSON.
    Json,
    /// An empty body.
    Empty,
    /// The right body with the content type text.
    Text,
}

impl MalformedBody {
    fn parse(fault: &Json) -> Option<MalformedBody> {
        match fault.get("malformed")? {
            Json::Bool(true) => Some(MalformedBody::Page),
            Json::String(kind) => match kind.as_str() {
                "html" => Some(MalformedBody::Html),
                "json" => Some(MalformedBody::Json),
                "empty" => Some(MalformedBody::Empty),
                "text" => Some(MalformedBody::Text),
                _ => None,
            },
            _ => None,
        }
    }

    /// Applies the replacement to a response.
    pub fn apply(self, response: &mut Response) {
        const PAGE: &[u8] =
            b"<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>";
        match self {
            MalformedBody::Page | MalformedBody::Html => response.body = PAGE.to_vec(),
            MalformedBody::Json => response.body = br#"{"id": "x", "properties": {]"#.to_vec(),
            MalformedBody::Empty => response.body.clear(),
            MalformedBody::Text => {}
        }
        response.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("Content-Length"));
        let kind = match self {
            MalformedBody::Html => "text/html",
            MalformedBody::Text => "text/plain",
            _ => return,
        };
        response.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("Content-Type"));
        response.headers.push(("Content-Type".to_owned(), kind.to_owned()));
    }
}

/// The effects of scripted faults on one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// The operation that the request starts fails with this code and message.
    pub failure: Option<(String, String)>,
    /// The status of that operation, if not `Failed`.
    pub failure_status: Option<String>,
    /// The operation that the request starts takes this many seconds longer.
    pub slow: i64,
    /// The polled operation moves to another URL.
    pub moves: bool,
    /// The resource that the request creates is absent after its operation.
    pub loses: bool,
    /// The request waits to be released, before it is executed or before its response is sent.
    pub hold: Option<When>,
    /// The request gets no response.
    pub stall: Option<When>,
    /// The connection cannot be established.
    pub unreachable: bool,
    /// The operation that the request starts never ends.
    pub stuck: bool,
    /// This region fails to replicate.
    pub region: Option<String>,
    /// The connection closes before the request is executed.
    pub drop_before: bool,
    /// The request is executed and the connection closes without a response.
    pub drop_after: bool,
    /// The response that replaces the execution of the request: the fault itself.
    pub answer: Option<Json>,
    /// The replacement body.
    pub malformed: Option<MalformedBody>,
    /// Only this many bytes of the body arrive.
    pub truncate: Option<usize>,
    /// The response is delayed by this long.
    pub delay: Duration,
    /// The token is treated as expired.
    pub expired: bool,
}

impl Effects {
    /// Whether replication to a region fails.
    pub fn fails_region(&self, name: &str) -> bool {
        self.region.as_deref().is_some_and(|region| regions::normalize(region) == name)
    }

    fn add(&mut self, fault: &Json) {
        if fault.get("status").is_some() {
            self.answer = Some(fault.clone());
        }
        if let Some(failure) = fault.get("fail_operation") {
            self.failure = Some((
                failure.text("code").unwrap_or("InternalExecutionError").to_owned(),
                failure
                    .text("message")
                    .unwrap_or("An internal execution error occurred. Please retry later.")
                    .to_owned(),
            ));
        }
        if let Some(status) = fault.get("fail_operation").and_then(|failure| failure.text("status")) {
            self.failure_status = Some(status.to_owned());
        }
        self.stuck |= fault.flag("stuck_operation") == Some(true);
        self.expired |= fault.flag("expired_token") == Some(true);
        self.malformed = MalformedBody::parse(fault).or(self.malformed);
        self.hold = When::parse(fault, "hold").or(self.hold);
        self.stall = When::parse(fault, "stall").or(self.stall);
        self.moves |= fault.flag("move_operation") == Some(true);
        self.loses |= fault.flag("lose_resource") == Some(true);
        self.slow += fault.int("slow_operation").unwrap_or(0);
        self.unreachable |= fault.text("drop") == Some("connect");
        self.drop_before |= fault.text("drop") == Some("before");
        self.drop_after |= fault.text("drop") == Some("after");
        if let Some(region) = fault.text("fail_region") {
            self.region = Some(region.to_owned());
        }
        if let Some(bytes) = fault.int("truncate") {
            self.truncate = usize::try_from(bytes).ok();
        }
        if let Some(delay) = fault.int("delay_ms").and_then(|delay| u64::try_from(delay).ok()) {
            self.delay = self.delay.saturating_add(Duration::from_millis(delay));
        }
    }
}

/// Whether a rule's `method` and `path` match a request.
pub fn matches(rule: &Json, method: &str, path: &str) -> bool {
    let method_fits =
        rule.text("method").is_none_or(|wanted| wanted == "*" || wanted.eq_ignore_ascii_case(method));
    method_fits
        && rule.text("path").is_none_or(|pattern| {
            regex_lite::RegexBuilder::new(pattern)
                .case_insensitive(true)
                .build()
                .is_ok_and(|pattern| pattern.is_match(path))
        })
}

/// The allowed values of some faults.
const WORDS: &[(&str, &[&str])] = &[
    ("drop", &["connect", "before", "after"]),
    ("stall", &["before", "after"]),
    ("hold", &["before", "after"]),
    ("malformed", &["html", "json", "empty", "text"]),
];

/// Validates a script; the error names the entry.
pub fn check(script: &[Json]) -> Result<(), String> {
    for (index, fault) in script.iter().enumerate() {
        if let Some(pattern) = fault.text("path")
            && let Err(error) = regex_lite::Regex::new(pattern)
        {
            return Err(format!("fault {index}: the path '{pattern}' is not a regular expression: {error}"));
        }
        let does = [
            "status",
            "drop",
            "stall",
            "hold",
            "malformed",
            "truncate",
            "delay_ms",
            "fail_operation",
            "stuck_operation",
            "slow_operation",
            "move_operation",
            "lose_resource",
            "fail_region",
            "expired_token",
        ];
        for (key, _) in fault.pairs() {
            let known =
                ["method", "path", "skip", "count", "code", "message", "headers", "body", "seen", "done"];
            if !does.contains(&key.as_str()) && !known.contains(&key.as_str()) {
                return Err(format!(
                    "fault {index}: '{key}' is not known; a fault has one of {}",
                    does.join(", ")
                ));
            }
        }
        for (key, words) in WORDS {
            if let Some(given) = fault.get(key)
                && !given.as_str().is_some_and(|given| words.contains(&given))
                && !(*key == "malformed" && matches!(given, Json::Bool(_)))
            {
                return Err(format!("fault {index}: '{key}' is one of {}", words.join(", ")));
            }
        }
        if !does.iter().any(|key| fault.get(key).is_some()) {
            return Err(format!("fault {index} does nothing; give one of {}", does.join(", ")));
        }
    }
    Ok(())
}

/// The effects on a request; counts the request in the script.
pub fn effects_on(state: &mut Transaction<'_>, request: &Request, path: &str) -> Effects {
    let mut effects = Effects::default();
    let Some(record) = state.get(KEY) else {
        return effects;
    };
    let mut faults = record.list("faults").to_vec();
    let mut changed = false;
    for fault in &mut faults {
        if !matches(fault, &request.method, path) {
            continue;
        }
        let seen = fault.int("seen").unwrap_or(0);
        let done = fault.int("done").unwrap_or(0);
        let count = fault.int("count").unwrap_or(1);
        if count != 0 && done >= count {
            continue;
        }
        let acts = seen >= fault.int("skip").unwrap_or(0);
        if acts {
            effects.add(fault);
        }
        if acts && count == 0 {
            // Nothing is counted, so nothing is written.
            continue;
        }
        fault.set("seen", seen.saturating_add(1));
        fault.set("done", done.saturating_add(i64::from(acts)));
        changed = true;
    }
    if changed {
        state.put(KEY, Json::object().with("faults", faults));
    }
    effects
}

#[cfg(test)]
mod tests {
    use super::super::store::Store;
    use super::*;

    #[test]
    fn fault_skips_then_applies_then_expires() {
        let store = Store::in_memory();
        let script = Json::parse(
            br#"{"faults":[{"method":"put","path":"/images/[^/]+$","skip":1,"count":2,"status":503}]}"#,
        )
        .unwrap();
        store.run(true, 0, |state| state.put(KEY, script.clone())).unwrap();
        let acted: Vec<bool> = (0..5)
            .map(|_| {
                store
                    .run(true, 0, |state| {
                        let request = Request { method: "PUT".into(), ..Request::default() };
                        effects_on(state, &request, "/x/Images/i").answer.is_some()
                    })
                    .unwrap()
            })
            .collect();
        assert_eq!(acted, [false, true, true, false, false]);
        let other = store
            .run(true, 0, |state| {
                effects_on(state, &Request { method: "GET".into(), ..Request::default() }, "/x/images/i")
            })
            .unwrap();
        assert_eq!(other, Effects::default());
    }

    #[test]
    fn rejects_invalid_scripts() {
        let check_text = |text: &str| check(std::slice::from_ref(&Json::parse(text.as_bytes()).unwrap()));
        assert!(check_text(r#"{"path":"(","status":500}"#).unwrap_err().contains("regular expression"));
        assert!(check_text(r#"{"path":"x"}"#).unwrap_err().contains("does nothing"));
        assert!(check_text(r#"{"stats":500}"#).unwrap_err().contains("'stats' is not known"));
        assert!(check_text(r#"{"drop":"later"}"#).unwrap_err().contains("'drop' is one of connect, before"));
        assert!(check_text(r#"{"malformed":true}"#).is_ok() && check_text(r#"{"malformed":1}"#).is_err());
        assert!(check_text(r#"{"fail_region":"West Europe","count":0}"#).is_ok());
    }
}
