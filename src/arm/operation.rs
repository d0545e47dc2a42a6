//! Long-running operations: the operation that a write starts, and the meaning of poll responses. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::error::{self, Error, Kind};
use super::retry_after::retry_after;
use super::transport::{Method, Response};

/// An operation that the service has accepted and not finished. It can be stored as JSON, and another process can wait for
/// it. `Debug` does not show its URL, which is signed.
#[derive(Clone, Serialize, Deserialize)]
pub struct Operation {
    kind: Protocol,
    url: String,
    method: String,
    path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    /// `None` after the operation was stored: then the first poll is due immediately.
    #[serde(skip)]
    accepted: Option<Instant>,
}

/// The protocols of long-running operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Protocol {
    /// A status document, always 200, with `status`.
    AzureAsyncOperation,
    /// 202 until it is finished.
    Location,
    /// No URL was given: the resource's own `provisioningState`.
    Resource,
    /// No URL was given for a deletion: 404 is success.
    Gone,
}

/// The meaning of a poll response.
#[derive(Debug)]
pub enum Step {
    /// Not finished: poll again.
    Wait {
        /// The wait that the service requests.
        after: Option<Duration>,
        /// A new URL for further polls.
        url: Option<String>,
    },
    /// Succeeded, with the last document or null.
    Done(Value),
    /// Failed, or cannot be polled any more.
    Failed(Box<Error>),
}

/// How long the record of a new operation may be missing.
const MISSING_TOLERATED: Duration = Duration::from_secs(30);
/// How long the service or the login service may be unavailable before polling ends. The operation itself continues.
const OUTAGE_TOLERATED: Duration = Duration::from_secs(120);
/// How long poll responses may be unreadable before the object is read instead.
const UNREADABLE_TOLERATED: Duration = Duration::from_secs(20);

/// The longest wait between polls, even if the service requests a longer one.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

impl Operation {
    /// The operation in `response`, a success of a write to `url`.
    ///
    /// `Azure-AsyncOperation` takes precedence over `Location`, and `Location` counts only with 202: with other statuses it
    /// is the URL of the new resource. `base` resolves a relative URL.
    pub fn from_response(
        method: Method,
        url: &str,
        path: &str,
        base: &str,
        response: &Response,
        body: &Value,
    ) -> Option<Self> {
        let absolute = |link: &str| absolute(base, link);
        let header = |name| response.header(name).map(str::trim).filter(|link| !link.is_empty());
        let (kind, url) = if let Some(link) = header("azure-asyncoperation") {
            (Protocol::AzureAsyncOperation, absolute(link))
        } else if let Some(link) = header("location").filter(|_| response.status == 202) {
            (Protocol::Location, absolute(link))
        } else {
            match method {
                Method::Put | Method::Patch if response.status == 202 || is_under_way(body) => {
                    (Protocol::Resource, url.to_owned())
                }
                Method::Delete if response.status == 202 => (Protocol::Gone, url.to_owned()),
                _ => return None,
            }
        };
        Some(Self {
            kind,
            url,
            method: method.as_str().to_owned(),
            path: path.to_owned(),
            retry_after_ms: retry_after(response, OffsetDateTime::now_utc())
                .map(|wait| wait.as_millis() as u64),
            // An operation that is already finished is polled immediately.
            accepted: (state(body.pointer("/properties/provisioningState")) != State::Succeeded)
                .then(Instant::now),
        })
    }

    /// The URL to poll.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The path of the call that started it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The method of the call that started it.
    pub fn method(&self) -> Method {
        [Method::Put, Method::Patch, Method::Post, Method::Delete]
            .into_iter()
            .find(|method| method.as_str() == self.method)
            .unwrap_or(Method::Put)
    }

    /// How long to wait before the first poll.
    pub fn first_wait(&self) -> Duration {
        let Some(accepted) = self.accepted else {
            return Duration::ZERO;
        };
        let asked =
            self.retry_after_ms.filter(|wait| *wait > 0).map_or(poll_interval(0), Duration::from_millis);
        let asked = asked.min(LONGEST_WAIT);
        asked.saturating_sub(accepted.elapsed())
    }

    /// Polls at `url` from now on.
    pub fn move_to(&mut self, url: String) {
        self.url = url;
    }

    /// The next step after a successful poll; `body` is the response's JSON, or null.
    pub fn step(&self, response: &Response, body: Value, now: OffsetDateTime) -> Step {
        let wait = |header: &str| Step::Wait {
            after: retry_after(response, now)
                .filter(|wait| !wait.is_zero())
                .map(|wait| wait.min(LONGEST_WAIT)),
            url: response
                .header(header)
                .map(str::trim)
                .filter(|link| link.contains("://") || link.starts_with('/'))
                .map(|link| absolute(origin(&self.url), link)),
        };
        match self.kind {
            Protocol::AzureAsyncOperation => match state(body.get("status")) {
                State::Running => wait("azure-asyncoperation"),
                State::Succeeded => Step::Done(body),
                State::Failed => Step::Failed(Box::new(self.failure(response, &body, "status"))),
                // Some services respond to a poll of a finished operation with an empty body or with the resource.
                State::Absent if response.status == 202 => wait("azure-asyncoperation"),
                State::Absent => match state(body.pointer("/properties/provisioningState")) {
                    State::Running => wait("azure-asyncoperation"),
                    State::Failed => Step::Failed(Box::new(self.failure(response, &body, "status"))),
                    State::Succeeded | State::Absent => Step::Done(body),
                },
            },
            Protocol::Location if response.status == 202 => wait("location"),
            Protocol::Location => match state(body.get("status").filter(|_| body.get("id").is_none())) {
                State::Failed => Step::Failed(Box::new(self.failure(response, &body, "status"))),
                _ => Step::Done(body),
            },
            Protocol::Resource => match state(body.pointer("/properties/provisioningState")) {
                State::Running => wait(""),
                State::Failed => Step::Failed(Box::new(self.failure(response, &body, "provisioningState"))),
                State::Succeeded | State::Absent => Step::Done(body),
            },
            Protocol::Gone => wait(""),
        }
    }

    /// The next step after a failed poll; `failing` is how long all polls have failed.
    pub fn step_on_error(&self, error: Error, failing: Duration) -> Step {
        if self.kind == Protocol::Gone && error.is_not_found() {
            return Step::Done(Value::Null);
        }
        let tolerated = match (error.kind, error.status) {
            (Kind::Service, Some(404)) => MISSING_TOLERATED,
            (Kind::Malformed, _) => UNREADABLE_TOLERATED,
            (Kind::Service, Some(408 | 429 | 500..=599)) => OUTAGE_TOLERATED,
            (Kind::Transport { .. } | Kind::Credential { transient: true }, _) => OUTAGE_TOLERATED,
            _ => Duration::ZERO,
        };
        if failing < tolerated {
            Step::Wait { after: None, url: None }
        } else {
            Step::Failed(Box::new(error))
        }
    }

    fn failure(&self, response: &Response, body: &Value, word: &str) -> Error {
        let mut error = Error::new(Kind::Operation, "");
        error.method = self.method();
        self.path.clone_into(&mut error.path);
        error.request_id = error::request_id(response);
        if body.get("error").is_some_and(Value::is_object) {
            error.read(body);
        } else if let Some(inner) = body.pointer("/properties/error").filter(|inner| inner.is_object()) {
            error.read(inner);
        }
        let state = body.get("status").or_else(|| body.pointer("/properties/provisioningState"));
        let state = state.and_then(Value::as_str).unwrap_or("Failed");
        if error.code.is_empty() {
            state.clone_into(&mut error.code);
        }
        if error.message.is_empty() {
            error.message = format!("its {word} is {state}, and the service gave no reason");
        }
        error
    }
}

/// A link of the service as an absolute URL.
fn absolute(base: &str, link: &str) -> String {
    if link.starts_with('/') { format!("{}{link}", base.trim_end_matches('/')) } else { link.to_owned() }
}

/// Scheme and host of a URL.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |at| host + at);
    &url[..end]
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Operation({:?} of {} {})", self.kind, self.method, self.path)
    }
}

/// The wait after the given number of polls if the service does not request one: 0.2 s, growing by half to 10 s.
pub fn poll_interval(polls: u32) -> Duration {
    Duration::from_secs_f64((0.2 * 1.5f64.powi(polls.min(20) as i32)).min(10.0))
}

/// All of these waits, for loops that poll an object. They never end, so a scope must limit them.
pub fn poll_intervals() -> impl Iterator<Item = Duration> {
    (0u32..).map(poll_interval)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Succeeded,
    Failed,
    Absent,
}

// Services differ in case, and write "Canceled" with one or two Ls.
fn state(word: Option<&Value>) -> State {
    match word.and_then(Value::as_str).map(str::to_ascii_lowercase).as_deref() {
        None | Some("") => State::Absent,
        Some("succeeded" | "completed" | "ready") => State::Succeeded,
        Some("failed" | "canceled" | "cancelled" | "error" | "timedout") => State::Failed,
        Some(_) => State::Running,
    }
}

fn is_under_way(body: &Value) -> bool {
    state(body.pointer("/properties/provisioningState")) == State::Running
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Response { status, headers, body: body.as_bytes().to_vec() }
    }

    fn accepted(method: Method, response: &Response) -> Option<Operation> {
        let body = error::json(&response.body).unwrap_or(Value::Null);
        Operation::from_response(method, "https://h/r?api-version=1", "/r", "https://h", response, &body)
    }

    #[test]
    fn parses_the_operation_of_an_accepted_write() {
        let aao = ("azure-asyncoperation", "https://h/op?t=1");
        let location = ("location", "https://h/monitor");
        type Headers<'a> = &'a [(&'a str, &'a str)];
        type Row<'a> = (Method, u16, Headers<'a>, &'a str, Option<(Protocol, &'a str)>);
        let rows: &[Row<'_>] = &[
            (Method::Put, 201, &[aao], "{}", Some((Protocol::AzureAsyncOperation, "https://h/op?t=1"))),
            (
                Method::Delete,
                202,
                &[location, aao],
                "",
                Some((Protocol::AzureAsyncOperation, "https://h/op?t=1")),
            ),
            (Method::Delete, 202, &[location], "", Some((Protocol::Location, "https://h/monitor"))),
            (
                Method::Post,
                202,
                &[("location", "/op/1?x=%20")],
                "",
                Some((Protocol::Location, "https://h/op/1?x=%20")),
            ),
            (Method::Put, 201, &[location], "{}", None),
            (Method::Put, 200, &[], r#"{"properties":{"provisioningState":"Succeeded"}}"#, None),
            (
                Method::Patch,
                200,
                &[],
                r#"{"properties":{"provisioningState":"Updating"}}"#,
                Some((Protocol::Resource, "https://h/r?api-version=1")),
            ),
            (Method::Put, 202, &[], "", Some((Protocol::Resource, "https://h/r?api-version=1"))),
            (Method::Delete, 202, &[], "", Some((Protocol::Gone, "https://h/r?api-version=1"))),
            (Method::Delete, 204, &[], "", None),
            (Method::Post, 200, &[], "", None),
        ];
        for (method, status, headers, body, expected) in rows {
            let operation = accepted(*method, &response(*status, headers, body));
            let got = operation.as_ref().map(|operation| (operation.kind, operation.url.as_str()));
            assert_eq!(got, *expected, "{method} {status} {headers:?}");
        }
    }

    fn of(kind: Protocol) -> Operation {
        Operation {
            kind,
            url: "https://h/op".into(),
            method: "PUT".into(),
            path: "/r".into(),
            retry_after_ms: None,
            accepted: None,
        }
    }

    fn step(kind: Protocol, response: &Response) -> Step {
        let body = error::json(&response.body).unwrap_or(Value::Null);
        of(kind).step(response, body, OffsetDateTime::UNIX_EPOCH)
    }

    #[test]
    fn interprets_poll_responses() {
        use Protocol::{AzureAsyncOperation as Aao, Gone, Location, Resource};
        let rows: &[(Protocol, u16, &str, &str)] = &[
            (Aao, 200, r#"{"status":"InProgress"}"#, "wait"),
            (Aao, 200, r#"{"status":"Updating"}"#, "wait"),
            (Aao, 200, r#"{"status":"succeeded"}"#, "done"),
            (Aao, 200, r#"{"status":"SUCCEEDED","properties":{"output":1}}"#, "done"),
            (Aao, 200, r#"{"status":"Failed","error":{"code":"C","message":"M"}}"#, "C: M"),
            (
                Aao,
                200,
                r#"{"status":"failed"}"#,
                "failed: its status is failed, and the service gave no reason",
            ),
            (
                Aao,
                200,
                r#"{"status":"Canceled"}"#,
                "Canceled: its status is Canceled, and the service gave no reason",
            ),
            (
                Aao,
                200,
                r#"{"status":"Cancelled","error":null}"#,
                "Cancelled: its status is Cancelled, and the service gave no reason",
            ),
            (Aao, 200, "", "done"),
            (Aao, 204, "", "done"),
            (Aao, 202, "", "wait"),
            (Aao, 200, r#"{"properties":{"provisioningState":"Creating"}}"#, "wait"),
            (Location, 202, "", "wait"),
            (Location, 202, r#"{"status":"Succeeded"}"#, "wait"),
            (Location, 200, "", "done"),
            (Location, 204, "", "done"),
            (Location, 200, r#"{"anything":1}"#, "done"),
            (Location, 200, r#"{"status":"Failed","error":{"code":"C","message":"M"}}"#, "C: M"),
            (Resource, 200, r#"{"properties":{"provisioningState":"Creating"}}"#, "wait"),
            (Resource, 200, r#"{"properties":{"provisioningState":"Succeeded"}}"#, "done"),
            (Resource, 200, r#"{"properties":{}}"#, "done"),
            (
                Resource,
                200,
                r#"{"properties":{"provisioningState":"Failed"}}"#,
                "Failed: its provisioningState is Failed, and the service gave no reason",
            ),
            (Gone, 200, "{}", "wait"),
        ];
        for (kind, status, body, expected) in rows {
            let got = match step(*kind, &response(*status, &[], body)) {
                Step::Wait { .. } => "wait".to_owned(),
                Step::Done(_) => "done".to_owned(),
                Step::Failed(error) => {
                    assert_eq!(
                        (error.kind, error.method, error.path.as_str()),
                        (Kind::Operation, Method::Put, "/r")
                    );
                    format!("{}: {}", error.code, error.message)
                }
            };
            assert_eq!(got, *expected, "{kind:?} {status} {body}");
        }
    }

    #[test]
    fn a_poll_response_may_contain_a_wait_and_a_new_url() {
        let answer = response(
            200,
            &[
                ("retry-after", "60"),
                ("azure-asyncoperation", "https://h/op2"),
                ("location", "https://h/other"),
            ],
            r#"{"status":"InProgress"}"#,
        );
        match step(Protocol::AzureAsyncOperation, &answer) {
            Step::Wait { after, url } => {
                assert_eq!(after, Some(Duration::from_secs(60)));
                assert_eq!(url.as_deref(), Some("https://h/op2"));
            }
            other => panic!("{other:?}"),
        }
        // A relative URL is on the same host.
        let answer = response(202, &[("location", "/op3?t=1")], "");
        match step(Protocol::Location, &answer) {
            Step::Wait { url, .. } => assert_eq!(url.as_deref(), Some("https://h/op3?t=1")),
            other => panic!("{other:?}"),
        }
        // Zero would cause a busy loop.
        let answer = response(202, &[("retry-after", "0")], "");
        assert!(matches!(step(Protocol::Location, &answer), Step::Wait { after: None, url: None }));
    }

    #[test]
    fn tolerates_failing_polls_for_a_while() {
        let service = |status| {
            let mut error = Error::new(Kind::Service, "m");
            error.status = Some(status);
            error.code = "ResourceNotFound".into();
            error
        };
        let rows = [
            (service(404), 29, true),
            (service(404), 30, false),
            (service(503), 119, true),
            (service(503), 120, false),
            (service(403), 0, false),
            (Error::new(Kind::Transport { sent: true }, "reset"), 119, true),
            (Error::new(Kind::Malformed, "html"), 19, true),
            (Error::new(Kind::Malformed, "html"), 20, false),
            (Error::new(Kind::Credential { transient: true }, "no answer"), 119, true),
            (Error::new(Kind::Credential { transient: true }, "no answer"), 120, false),
            (Error::new(Kind::Credential { transient: false }, "wrong secret"), 0, false),
            (service(410), 0, false),
            (service(400), 0, false),
            (Error::new(Kind::Refused, "another host"), 0, false),
            (Error::new(Kind::Stopped, "s"), 0, false),
            (Error::new(Kind::TimedOut, "t"), 0, false),
        ];
        for (error, since, tolerated) in rows {
            let text = format!("{error} after {since}");
            let step = of(Protocol::AzureAsyncOperation).step_on_error(error, Duration::from_secs(since));
            assert_eq!(matches!(step, Step::Wait { .. }), tolerated, "{text}");
        }
        assert!(matches!(
            of(Protocol::Gone).step_on_error(service(404), Duration::ZERO),
            Step::Done(Value::Null)
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stored_operation_is_polled_immediately() {
        let answer =
            response(202, &[("azure-asyncoperation", "https://h/op?t=secret"), ("retry-after", "60")], "");
        let operation = accepted(Method::Delete, &answer).unwrap();
        assert_eq!(operation.first_wait(), Duration::from_secs(60));
        tokio::time::advance(Duration::from_secs(45)).await;
        assert_eq!(operation.first_wait(), Duration::from_secs(15));
        let stored = serde_json::to_string(&operation).unwrap();
        let again: Operation = serde_json::from_str(&stored).unwrap();
        assert_eq!(
            (again.url(), again.method(), again.path()),
            ("https://h/op?t=secret", Method::Delete, "/r")
        );
        assert_eq!(again.first_wait(), Duration::ZERO);
        let finished = response(
            200,
            &[("azure-asyncoperation", "https://h/op"), ("retry-after", "60")],
            r#"{"properties":{"provisioningState":"Succeeded"}}"#,
        );
        let operation = accepted(Method::Put, &finished).unwrap();
        assert_eq!(operation.first_wait(), Duration::ZERO);
        assert!(!format!("{again:?}").contains("secret"));
        let oldest = json!({"kind": "Location", "url": "https://h/x", "method": "PUT", "path": "/r"});
        assert!(serde_json::from_value::<Operation>(oldest).is_ok());
    }

    #[test]
    fn intervals_grow_to_ten_seconds() {
        let waits: Vec<u64> = (0..12).map(|n| poll_interval(n).as_millis() as u64).collect();
        assert_eq!(waits[..3], [200, 300, 450]);
        assert_eq!(waits[10..], [10_000, 10_000]);
        assert_eq!(poll_interval(u32::MAX), Duration::from_secs(10));
    }
}
