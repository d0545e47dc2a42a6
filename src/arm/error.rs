//! Errors of calls: what failed, why, and whether the service may nevertheless have acted.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::duration::readable;
use super::redact;
use super::transport::{Method, Response};

/// A failed call. `Display` is one readable paragraph without secrets.
#[derive(Clone, Debug)]
pub struct Error {
    /// The kind of failure.
    pub kind: Kind,
    /// The method of the call, or of the call that started the operation.
    pub method: Method,
    /// The path of the call without its query; empty if no call was made.
    pub path: String,
    /// The HTTP status of the last response.
    pub status: Option<u16>,
    /// The service's error code, such as `AuthorizationFailed`, or empty.
    pub code: String,
    /// The message of the service or of this client.
    pub message: String,
    /// The invalid part of the request, such as `galleryImage.properties.osType`.
    pub target: Option<String>,
    /// Further details from the service.
    pub details: Vec<ErrorDetail>,
    /// The `x-ms-request-id` of the last response.
    pub request_id: Option<String>,
    /// The run's correlation id.
    pub correlation_id: String,
    /// The number of attempts.
    pub attempts: u32,
    /// The time since the first attempt.
    pub elapsed: Duration,
    /// The response to this attempt or an earlier one did not arrive or did not come from the service, so the service may
    /// have acted.
    pub is_outcome_unknown: bool,
    /// Shared by all calls that fail for the same reason, so that it is explained only once.
    pub shared: Option<Shared>,
}

/// One failure that many calls have in common, such as a failed sign-in.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<AtomicBool>);

impl Shared {
    /// True for the first caller, which should explain the failure to the user, and false for later ones.
    pub fn is_first_report(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }
}

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The service returned an error.
    Service,
    /// A long-running operation ended as failed or cancelled.
    Operation,
    /// No response arrived.
    Transport {
        /// Whether the service may nevertheless have acted.
        sent: bool,
    },
    /// The response is not one that the service would send: an HTML page, invalid JSON, another object.
    Malformed,
    /// The caller's timeout passed.
    TimedOut,
    /// The run was interrupted.
    Stopped,
    /// No token was available.
    Credential {
        /// Whether the login service or the connection to it failed, so that a later attempt may succeed.
        transient: bool,
    },
    /// This client refuses to send the call or to follow the response: another host, a redirect, plain HTTP, or an API
    /// version that lacks a feature.
    Refused,
    /// A setting is missing or wrong.
    Unconfigured,
}

/// A detail in the service's error.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ErrorDetail {
    /// Its code, or empty.
    pub code: String,
    /// Its message, or empty.
    pub message: String,
    /// The part of the request that it concerns.
    pub target: Option<String>,
}

impl Error {
    /// An error that is not associated with a call yet.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            method: Method::Get,
            path: String::new(),
            status: None,
            code: String::new(),
            message: message.into(),
            target: None,
            details: Vec::new(),
            request_id: None,
            correlation_id: String::new(),
            attempts: 0,
            elapsed: Duration::ZERO,
            is_outcome_unknown: false,
            shared: None,
        }
    }

    /// The error in `response`, whose status is not a success.
    pub fn from_response(method: Method, path: &str, response: &Response) -> Self {
        let mut error = Self::new(Kind::Service, "");
        error.method = method;
        path.clone_into(&mut error.path);
        error.status = Some(response.status);
        error.request_id = request_id(response);
        match json(&response.body) {
            Some(body) => error.read(&body),
            None => error.message = not_json(response),
        }
        if error.message.is_empty() {
            error.message = "the service gave no reason".to_owned();
        }
        error
    }

    /// Parses code, message, target and details in any of the service's formats: wrapped in `error`, flat, an operation's
    /// status document, or with capitalised names.
    pub fn read(&mut self, body: &Value) {
        let body = member(body, "error").filter(|inner| inner.is_object()).unwrap_or(body);
        self.code = text(body, "code");
        self.message = text(body, "message");
        self.target = Some(text(body, "target")).filter(|target| !target.is_empty());
        self.details = member(body, "details").map(details).unwrap_or_default();
        // OAuth endpoints use other member names.
        if self.message.is_empty() {
            self.message = text(body, "error_description");
        }
        if self.code.is_empty() {
            self.code = text(body, "error");
        }
    }

    /// True if the resource or its parent does not exist, as opposed to the subscription or the host.
    ///
    /// A 404 without a code does not count: it may come from a gateway, and treating it as absence would drop the
    /// resource from the state.
    pub fn is_not_found(&self) -> bool {
        const NOT_THE_RESOURCE: [&str; 3] = ["SubscriptionNotFound", "TenantNotFound", "EndpointNotFound"];
        self.kind == Kind::Service
            && self.status == Some(404)
            && self.code.ends_with("NotFound")
            && !NOT_THE_RESOURCE.contains(&self.code.as_str())
    }

    /// True for 409.
    pub fn is_conflict(&self) -> bool {
        self.kind == Kind::Service && self.status == Some(409)
    }

    /// True for 429.
    pub fn is_throttled(&self) -> bool {
        self.kind == Kind::Service && self.status == Some(429)
    }

    /// True for a temporary conflict: another operation on the resource is in progress.
    pub fn is_temporary_conflict(&self) -> bool {
        const CODES: [&str; 4] = [
            "AnotherOperationInProgress",
            "RetryableError",
            "OperationPreempted",
            "ConflictingConcurrentWriteNotAllowed",
        ];
        const PHRASES: [&str; 5] = [
            "another operation",
            "is in progress",
            "concurrent request",
            "concurrent operation",
            "conflicting operation",
        ];
        let message = self.message.to_lowercase();
        self.is_conflict()
            && (CODES.contains(&self.code.as_str()) || PHRASES.iter().any(|phrase| message.contains(phrase)))
    }

    /// True when the run was interrupted.
    pub fn is_stopped(&self) -> bool {
        self.kind == Kind::Stopped
    }

    /// True when the caller's timeout passed.
    pub fn is_timed_out(&self) -> bool {
        self.kind == Kind::TimedOut
    }

    /// The service's code, or empty.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// True if the service may have acted although this call failed. Only reading the object shows whether it did.
    pub fn may_have_acted(&self) -> bool {
        let by_itself = || match self.kind {
            Kind::Transport { sent } => sent,
            Kind::Service => {
                matches!(self.status, Some(500 | 502 | 504))
                    || self.status == Some(503) && is_timeout_code(&self.code)
            }
            Kind::Operation | Kind::Malformed => true,
            _ => false,
        };
        self.method != Method::Get && (self.is_outcome_unknown || by_itself())
    }

    /// True for an error of [`Client::wait`](super::Client::wait) that does not tell the state of the operation: its URL does
    /// not exist, is forbidden or on another host, or its response is unreadable. Then the object must be read.
    ///
    /// False if the operation failed, and if the timeout or an interrupt ended the wait.
    pub fn is_operation_unreadable(&self) -> bool {
        !matches!(self.kind, Kind::Operation | Kind::TimedOut | Kind::Stopped)
    }

    /// Adds the `earlier` failure of the attempts to this error, which ended them at the time limit or an interrupt.
    ///
    /// If it is unknown whether the service acted on an earlier attempt, the earlier error is more important and is
    /// returned instead.
    #[must_use]
    pub fn after(self, earlier: Error) -> Error {
        if earlier.may_have_acted() {
            return earlier;
        }
        let brief = Error { request_id: None, correlation_id: String::new(), attempts: 0, ..earlier.clone() };
        let message = format!("{}; last answer: {brief}", self.message);
        Error { kind: self.kind, message, details: Vec::new(), target: None, ..earlier }
    }

    pub(super) fn during(mut self, method: Method, path: &str) -> Self {
        if self.path.is_empty() {
            self.method = method;
            path.clone_into(&mut self.path);
        }
        self
    }
}

/// Whether a code reports a timeout in the service, which may have acted nevertheless: `ServerTimeout`,
/// `OperationTimedOut`, `GatewayTimeout`.
pub fn is_timeout_code(code: &str) -> bool {
    let code = code.to_ascii_lowercase();
    code.contains("timeout") || code.contains("timedout")
}

/// `x-ms-request-id`, or the front door's ID if that responded itself.
pub fn request_id(response: &Response) -> Option<String> {
    ["x-ms-request-id", "x-ms-arm-service-request-id"]
        .iter()
        .find_map(|name| response.header(name))
        .map(|id| redact::message(id, LONGEST_NAME))
        .filter(|id| !id.is_empty())
}

/// True if the response comes from the service itself and not from a proxy or gateway: it has a request ID or a poll URL,
/// and is not HTML.
pub fn is_from_service(response: &Response) -> bool {
    let is_marked = request_id(response).is_some() || response.header("azure-asyncoperation").is_some();
    is_marked && !is_html(response)
}

/// Parses the body as JSON, without the byte order mark that some services send. `None` if it is not JSON, or would need too
/// much memory.
pub fn json(body: &[u8]) -> Option<Value> {
    // An object of a few bytes needs about 600 bytes of memory.
    let objects = body.iter().filter(|byte| **byte == b'{').count();
    if objects > MOST_OBJECTS {
        return None;
    }
    serde_json::from_slice(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)).ok()
}

/// The maximum number of objects in a document. The longest real lists have about ten thousand.
const MOST_OBJECTS: usize = 500_000;
/// The maximum number of characters of a message or target.
const LONGEST_MESSAGE: usize = 2_000;
/// The maximum number of characters of a code or request ID.
const LONGEST_NAME: usize = 200;

/// True if the body is an HTML page, regardless of its headers.
pub fn is_html(response: &Response) -> bool {
    let kind = response.header("content-type").unwrap_or("").to_ascii_lowercase();
    let start = String::from_utf8_lossy(&response.body[..response.body.len().min(200)]);
    let start = start.trim_start_matches(['\u{feff}', '\u{fffd}']).trim_start().to_ascii_lowercase();
    let looks_like_html =
        ["<!doctype", "<html", "<head", "<body", "<!--"].iter().any(|tag| start.starts_with(tag));
    looks_like_html || kind.contains("html") && !start.is_empty() && !start.starts_with(['{', '['])
}

/// Describes a body that is not the expected JSON.
pub fn not_json(response: &Response) -> String {
    let start = String::from_utf8_lossy(&response.body[..response.body.len().min(16_384)]);
    let trimmed = start.trim();
    if trimmed.is_empty() {
        return "the answer has no body".to_owned();
    }
    if is_html(response) {
        let title = snippet(&title(trimmed).unwrap_or_else(|| without_tags(trimmed)));
        return format!(
            "the answer is an HTML page, not JSON, so it comes from a gateway or proxy on the way and not from Resource Manager: {title:?}"
        );
    }
    format!("the answer is not valid JSON; it begins {:?}", snippet(trimmed))
}

fn snippet(text: &str) -> String {
    redact::message(text, 160)
}

fn title(html: &str) -> Option<String> {
    let lower = html.to_ascii_lowercase();
    let start = lower.find("<title>")? + 7;
    let end = start + lower[start..].find("</title>")?;
    Some(html[start..end].trim().to_owned()).filter(|title| !title.is_empty())
}

fn without_tags(html: &str) -> String {
    let mut inside = false;
    html.chars()
        .filter(|c| {
            inside = match c {
                '<' => true,
                '>' => {
                    inside = false;
                    return false;
                }
                _ => inside,
            };
            !inside
        })
        .collect()
}

/// A member by name, ignoring case: older services send `Message`.
fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let members = value.as_object()?;
    members
        .get(name)
        .or_else(|| members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v))
}

/// A member's text for messages, or empty: without secrets, which services may quote, and of limited length.
fn text(value: &Value, name: &str) -> String {
    let longest = if matches!(name, "code" | "error") { LONGEST_NAME } else { LONGEST_MESSAGE };
    match member(value, name) {
        Some(Value::String(text)) => redact::message(text, longest),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn details(value: &Value) -> Vec<ErrorDetail> {
    let Some(items) = value.as_array() else {
        return Vec::new();
    };
    items
        .iter()
        .take(20)
        .map(|item| ErrorDetail {
            code: text(item, "code"),
            message: text(item, "message"),
            target: Some(text(item, "target")).filter(|target| !target.is_empty()),
        })
        .filter(|detail| *detail != ErrorDetail::default())
        .collect()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = matches!(
            self.kind,
            Kind::Service | Kind::Operation | Kind::Transport { .. } | Kind::Malformed | Kind::Refused
        );
        if call && !self.path.is_empty() {
            write!(f, "{} {}: ", self.method, self.path)?;
        }
        match (self.kind, self.status) {
            (Kind::Service, Some(status)) => write!(f, "{status} ")?,
            (Kind::Operation, _) => f.write_str("the operation was accepted and then failed: ")?,
            (Kind::Transport { .. }, _) => f.write_str("no answer: ")?,
            _ => {}
        }
        // The message of an ended wait contains the code of the last response.
        if !self.code.is_empty() && !self.is_timed_out() && !self.is_stopped() {
            write!(f, "{}: ", self.code)?;
        }
        f.write_str(&self.message)?;
        if let Some(target) = self.target.as_ref().filter(|target| !self.message.contains(target.as_str())) {
            write!(f, " (at {target})")?;
        }
        for detail in self.details.iter().filter(|detail| detail.message != self.message) {
            write!(f, "; {}", detail.code)?;
            if !detail.message.is_empty() {
                write!(f, "{}{}", if detail.code.is_empty() { "" } else { ": " }, detail.message)?;
            }
        }
        let mut notes = Vec::new();
        if let Some(id) = &self.request_id {
            notes.push(format!("request id {id}"));
        }
        if !self.correlation_id.is_empty() {
            notes.push(format!("correlation id {}", self.correlation_id));
        }
        if self.attempts > 0 {
            let noun = if self.kind == Kind::Operation { "poll" } else { "attempt" };
            let s = if self.attempts == 1 { "" } else { "s" };
            notes.push(format!("{} {noun}{s} in {}", self.attempts, readable(to_tenths(self.elapsed))));
        }
        if self.may_have_acted() && self.kind != Kind::Operation {
            notes.push("the service may have carried it out".to_owned());
        }
        if !notes.is_empty() {
            write!(f, " ({})", notes.join(", "))?;
        }
        Ok(())
    }
}

/// Tenths of a second are precise enough for a message.
fn to_tenths(duration: Duration) -> Duration {
    Duration::from_millis(duration.as_millis() as u64 / 100 * 100)
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, kind: &str, body: &str) -> Error {
        let headers = vec![
            ("content-type".to_owned(), kind.to_owned()),
            ("x-ms-request-id".to_owned(), "rid".to_owned()),
        ];
        Error::from_response(
            Method::Put,
            "/a/b",
            &Response { status, headers, body: body.as_bytes().to_vec() },
        )
    }

    #[test]
    fn reads_every_error_envelope() {
        let json = "application/json";
        let rows = [
            // Wrapped.
            (
                r#"{"error":{"code":"PropertyChangeNotAllowed","message":"Changing property 'x' is not allowed.","target":"x"}}"#,
                "PropertyChangeNotAllowed",
                "Changing property 'x' is not allowed.",
            ),
            // Flat.
            (r#"{"code":"OperationNotAllowed","message":"Too many."}"#, "OperationNotAllowed", "Too many."),
            // An operation's status document.
            (r#"{"status":"Failed","error":{"code":"Bad","message":"No."}}"#, "Bad", "No."),
            // Capitals, no code.
            (r#"{"Message":"The query is not valid."}"#, "", "The query is not valid."),
            // A byte order mark.
            ("\u{feff}{\"error\":{\"code\":\"C\",\"message\":\"M\"}}", "C", "M"),
            // Token endpoints.
            (
                r#"{"error":"invalid_client","error_description":"AADSTS7000215: no"}"#,
                "invalid_client",
                "AADSTS7000215: no",
            ),
            ("{}", "", "the service gave no reason"),
            ("", "", "the answer has no body"),
            ("oops", "", "the answer is not valid JSON; it begins \"oops\""),
            ("[]", "", "the service gave no reason"),
            (r#"{"error":null}"#, "", "the service gave no reason"),
        ];
        for (body, code, message) in rows {
            let error = read(409, json, body);
            assert_eq!((error.code.as_str(), error.message.as_str()), (code, message), "{body}");
            assert_eq!(error.request_id.as_deref(), Some("rid"));
            assert!(error.is_conflict());
        }
    }

    #[test]
    fn recognises_html_pages() {
        for body in
            ["<html><head><title>502 Bad Gateway</title></head></html>", "<html><h1>502 Bad\n Gateway</h1>"]
        {
            let error = read(502, "text/html; charset=us-ascii", body);
            assert!(
                error.message.contains("HTML page") && error.message.contains("502 Bad Gateway"),
                "{error}"
            );
        }
    }

    #[test]
    fn shows_details() {
        let error = read(
            429,
            "application/json",
            r#"{"code":"OperationNotAllowed","message":"Rejected.","details":[{"code":"TooManyRequests","target":"HighCostGet","message":"{}"},"junk"]}"#,
        );
        assert!(error.is_throttled());
        assert_eq!(error.details.len(), 1);
        assert_eq!(
            error.to_string(),
            "PUT /a/b: 429 OperationNotAllowed: Rejected.; TooManyRequests: {} (request id rid)"
        );
    }

    #[test]
    fn only_a_404_with_a_resource_code_means_not_found() {
        for (code, absent) in [
            ("ResourceNotFound", true),
            ("NotFound", true),
            ("ResourceGroupNotFound", true),
            ("ParentResourceNotFound", true),
            ("GalleryImageNotFound", true),
            ("SubscriptionNotFound", false),
            ("InvalidResourceType", false),
            ("", false),
        ] {
            let error = read(404, "", &format!(r#"{{"error":{{"code":"{code}","message":"m"}}}}"#));
            assert_eq!(error.is_not_found(), absent, "{code}");
        }
        assert!(!read(404, "text/html", "<html>").is_not_found());
        assert!(!read(400, "", r#"{"code":"PrincipalNotFound"}"#).is_not_found());
    }

    #[test]
    fn shows_attempts_and_hides_signatures() {
        let mut error = read(503, "", r#"{"error":{"code":"Busy","message":"see https://h/p?sig=abc"}}"#);
        error.attempts = 8;
        error.elapsed = Duration::from_millis(61_543);
        error.correlation_id = "cid".to_owned();
        assert_eq!(
            error.to_string(),
            "PUT /a/b: 503 Busy: see https://h/p?sig=*** (request id rid, correlation id cid, 8 attempts in 1m1s)"
        );
    }

    #[test]
    fn a_write_with_a_lost_response_may_have_acted() {
        let mut error = Error::new(Kind::Transport { sent: true }, "reset");
        assert!(!error.may_have_acted(), "reading never acts");
        error.method = Method::Post;
        assert!(error.may_have_acted());
        error.kind = Kind::Transport { sent: false };
        assert!(!error.may_have_acted());
    }

    #[test]
    fn conflicts_with_an_operation_in_progress_are_temporary() {
        for (code, message, passes) in [
            ("AnotherOperationInProgress", "m", true),
            ("RetryableError", "m", true),
            ("Conflict", "Another operation on this or dependent resource is in progress.", true),
            ("OperationNotAllowed", "Cannot modify disk d because an update operation is in progress.", true),
            ("Conflict", "The request failed due to conflict with a concurrent request.", true),
            ("Conflict", "Can not delete resource before nested resources are deleted.", false),
            ("OperationNotAllowed", "Operation could not be completed as it exceeds the quota.", false),
            ("PropertyChangeNotAllowed", "Changing property 'x' is not allowed.", false),
        ] {
            let body = serde_json::json!({"error": {"code": code, "message": message}}).to_string();
            assert_eq!(read(409, "", &body).is_temporary_conflict(), passes, "{code}: {message}");
            assert!(!read(400, "", &body).is_temporary_conflict(), "only conflicts are temporary");
        }
    }

    #[test]
    fn limits_messages_and_removes_control_characters() {
        let long = format!("\u{1b}[31mred\u{7}\r\n{}", "x".repeat(100_000));
        let body = serde_json::json!({"error": {"code": long, "message": long, "target": long,
            "details": [{"code": long, "message": long}]}});
        let error = read(400, "application/json", &body.to_string());
        let text = error.to_string();
        assert!(text.len() < 8_000, "{} characters", text.len());
        assert!(!text.contains(char::is_control), "{text:?}");
    }

    #[test]
    fn html_is_never_from_the_service() {
        let answer = |kind: &str, body: &str| Response {
            status: 200,
            headers: vec![("content-type".into(), kind.into()), ("x-ms-request-id".into(), "1".into())],
            body: body.as_bytes().to_vec(),
        };
        assert!(is_from_service(&answer("application/json", "{}")));
        assert!(is_from_service(&answer("text/html", "")), "an empty body is not a page");
        assert!(!is_from_service(&answer("text/html", "Sign in")));
        assert!(!is_from_service(&answer("application/json", "\n<!DOCTYPE html><p>")));
    }

    #[test]
    fn refuses_documents_that_would_need_too_much_memory() {
        let bomb = format!("[{}{{}}]", "{},".repeat(MOST_OBJECTS));
        assert!(json(bomb.as_bytes()).is_none());
        assert!(json(b"[{},{}]").is_some());
    }

    #[test]
    fn a_timeout_includes_the_earlier_failure() {
        let mut busy = read(503, "", r#"{"error":{"code":"Busy","message":"later"}}"#);
        busy.method = Method::Get;
        let late = Error::new(Kind::TimedOut, "the timeout of 5s passed while creating x");
        assert_eq!(
            late.after(busy).to_string(),
            "the timeout of 5s passed while creating x; last answer: GET /a/b: 503 Busy: later (request id rid)"
        );
        let mut lost = Error::new(Kind::Transport { sent: true }, "reset");
        lost.method = Method::Put;
        let late = Error::new(Kind::TimedOut, "late");
        assert!(
            late.after(lost).may_have_acted(),
            "a write with an unknown outcome takes precedence over the timeout"
        );
    }
}
