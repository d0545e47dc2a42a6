//! Scripted faults: which requests they meet, and what they do to them.
//!
//! A fault is `{"method":"PUT","path":"regex","skip":0,"count":1, …what it does…}`. It meets the requests whose method and
//! path (without query, in any case) match, after the first `skip` of them, `count` times (0 is always). What it does, any of:
//! `status` with `code`, `message`, `headers`, `body`; `drop`: `"before"` or `"after"` the request is carried out;
//! `malformed`: true; `truncate`: bytes of the body that arrive; `delay_ms`; `fail_operation`: `{code, message}`;
//! `stuck_operation`: true; `fail_region`: a region's name; `expired_token`: true.

use std::time::Duration;

use super::Request;
use super::json::Json;
use super::regions;
use super::store::Transaction;

/// The record of the state that holds the script.
pub const KEY: &str = "s|faults";

/// What scripted faults ask of one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// The operation that the request begins fails with this code and message.
    pub failure: Option<(String, String)>,
    /// The operation that the request begins never ends.
    pub stuck: bool,
    /// This region fails to replicate.
    pub region: Option<String>,
    /// The connection closes before the request is carried out.
    pub drop_before: bool,
    /// The request is carried out and the connection closes without an answer.
    pub drop_after: bool,
    /// The answer, instead of carrying out the request: the fault itself.
    pub answer: Option<Json>,
    /// The body is made unreadable.
    pub malformed: bool,
    /// Only so many bytes of the body arrive.
    pub truncate: Option<usize>,
    /// The answer comes this much later.
    pub delay: Duration,
    /// The token is treated as expired.
    pub expired: bool,
}

impl Effects {
    /// True when replication to a region is to fail.
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
        self.stuck |= fault.flag("stuck_operation") == Some(true);
        self.expired |= fault.flag("expired_token") == Some(true);
        self.malformed |= fault.flag("malformed") == Some(true);
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

/// True when a rule's `method` and `path` meet a request.
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

/// Checks a script before it is taken; the error names the entry.
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
            "malformed",
            "truncate",
            "delay_ms",
            "fail_operation",
            "stuck_operation",
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
        if !does.iter().any(|key| fault.get(key).is_some()) {
            return Err(format!("fault {index} does nothing; give one of {}", does.join(", ")));
        }
    }
    Ok(())
}

/// The effects on a request; counts it in the script.
pub fn meet(state: &mut Transaction<'_>, request: &Request, path: &str) -> Effects {
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
            // Nothing to count, so nothing to write.
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
    fn a_fault_skips_acts_and_ends() {
        let store = Store::in_memory();
        let script = Json::parse(
            br#"{"faults":[{"method":"put","path":"/images/[^/]+$","skip":1,"count":2,"status":503}]}"#,
        )
        .unwrap();
        store.run(true, 0, |state| state.put(KEY, script.clone())).unwrap();
        let met: Vec<bool> = (0..5)
            .map(|_| {
                store
                    .run(true, 0, |state| {
                        let request = Request { method: "PUT".into(), ..Request::default() };
                        meet(state, &request, "/x/Images/i").answer.is_some()
                    })
                    .unwrap()
            })
            .collect();
        assert_eq!(met, [false, true, true, false, false]);
        let other = store
            .run(true, 0, |state| {
                meet(state, &Request { method: "GET".into(), ..Request::default() }, "/x/images/i")
            })
            .unwrap();
        assert_eq!(other, Effects::default());
    }

    #[test]
    fn scripts_are_checked() {
        let check_text = |text: &str| check(std::slice::from_ref(&Json::parse(text.as_bytes()).unwrap()));
        assert!(check_text(r#"{"path":"(","status":500}"#).unwrap_err().contains("regular expression"));
        assert!(check_text(r#"{"path":"x"}"#).unwrap_err().contains("does nothing"));
        assert!(check_text(r#"{"stats":500}"#).unwrap_err().contains("'stats' is not known"));
        assert!(check_text(r#"{"fail_region":"West Europe","count":0}"#).is_ok());
    }
}
