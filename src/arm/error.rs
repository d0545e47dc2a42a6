//! What went wrong with a call, with everything that helps to find out why.

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
    /// What sort of failure.
    pub kind: Kind,
    /// The verb of the call, for an operation that of the call that started it.
    pub method: Method,
    /// Path of the call without its query; empty when no call was made.
    pub path: String,
    /// HTTP status of the last answer.
    pub status: Option<u16>,
    /// The service's code, such as `AuthorizationFailed`; empty when there is none.
    pub code: String,
    /// Why, in the service's words or ours.
    pub message: String,
    /// What the service points at, such as `galleryImage.properties.osType`.
    pub target: Option<String>,
    /// The service's further remarks.
    pub details: Vec<ErrorDetail>,
    /// `x-ms-request-id` of the last answer.
    pub request_id: Option<String>,
    /// The run's correlation id.
    pub correlation_id: String,
    /// How often the request was sent.
    pub attempts: u32,
    /// Since the first try.
    pub elapsed: Duration,
    /// The answer to this try or to an earlier one of the call got lost, so that the service may have acted.
    pub unsure: bool,
    /// Shared by all calls that fail for one and the same reason, so that it is explained to the user only once.
    pub shared: Option<Shared>,
}

/// One failure that many calls have in common, such as a failed sign-in.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<AtomicBool>);

impl Shared {
    /// True for the first caller, who explains the failure to the user, and false for all later ones.
    pub fn is_first_report(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }
}

/// Sorts of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The service answered with an error.
    Service,
    /// A long-running operation ended as failed or cancelled.
    Operation,
    /// No answer arrived.
    Transport {
        /// The service may have acted nevertheless.
        sent: bool,
    },
    /// The answer cannot be understood.
    Malformed,
    /// The caller's time passed.
    TimedOut,
    /// The caller called the work off.
    Stopped,
    /// No token could be had.
    Credential {
        /// The login service, or the way to it, failed, as opposed to a refusal: a later attempt may succeed.
        transient: bool,
    },
    /// This client will not do it: another host, a redirect, a token over plain http.
    Refused,
    /// A setting is missing or wrong.
    Unconfigured,
}

/// One further remark of the service.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ErrorDetail {
    /// Its code, or empty.
    pub code: String,
    /// Its text, or empty.
    pub message: String,
    /// What it points at.
    pub target: Option<String>,
}

impl Error {
    /// An error that is not (yet) tied to a call.
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
            unsure: false,
            shared: None,
        }
    }

    /// The error that `response`, whose status is not a success, speaks of.
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

    /// Fills code, message, target and details from any of the shapes that the service uses: wrapped in
    /// `error`, flat, an operation's status document, or with capitals.
    pub fn read(&mut self, body: &Value) {
        let body = member(body, "error").filter(|inner| inner.is_object()).unwrap_or(body);
        self.code = text(body, "code");
        self.message = text(body, "message");
        self.target = Some(text(body, "target")).filter(|target| !target.is_empty());
        self.details = member(body, "details").map(details).unwrap_or_default();
        // OAuth endpoints use their own words.
        if self.message.is_empty() {
            self.message = text(body, "error_description");
        }
        if self.code.is_empty() {
            self.code = text(body, "error");
        }
    }

    /// True when what was asked for is not there, as opposed to the subscription or the host.
    ///
    /// A 404 without a code is not enough: it may come from a gateway, and taking it for an absence would
    /// throw a resource out of the state.
    pub fn is_not_found(&self) -> bool {
        const OTHER_THINGS: [&str; 3] = ["SubscriptionNotFound", "TenantNotFound", "EndpointNotFound"];
        self.kind == Kind::Service
            && self.status == Some(404)
            && self.code.ends_with("NotFound")
            && !OTHER_THINGS.contains(&self.code.as_str())
    }

    /// True for 409.
    pub fn is_conflict(&self) -> bool {
        self.kind == Kind::Service && self.status == Some(409)
    }

    /// True for 429.
    pub fn is_throttled(&self) -> bool {
        self.kind == Kind::Service && self.status == Some(429)
    }

    /// True when the caller called the work off.
    pub fn is_stopped(&self) -> bool {
        self.kind == Kind::Stopped
    }

    /// True when the caller's time passed.
    pub fn is_timed_out(&self) -> bool {
        self.kind == Kind::TimedOut
    }

    /// The service's code, or empty.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// True when the service may have acted although this call failed, so that only a look can tell.
    pub fn may_have_acted(&self) -> bool {
        let by_itself = || match self.kind {
            Kind::Transport { sent } => sent,
            Kind::Service => {
                matches!(self.status, Some(500 | 502 | 504))
                    || self.status == Some(503) && speaks_of_a_timeout(&self.code)
            }
            Kind::Operation | Kind::Malformed => true,
            _ => false,
        };
        self.method != Method::Get && (self.unsure || by_itself())
    }

    pub(super) fn during(mut self, method: Method, path: &str) -> Self {
        if self.path.is_empty() {
            self.method = method;
            path.clone_into(&mut self.path);
        }
        self
    }
}

/// Whether a code says that time ran out inside the service, which may have acted by then: `ServerTimeout`,
/// `OperationTimedOut`, `GatewayTimeout`.
pub fn speaks_of_a_timeout(code: &str) -> bool {
    let code = code.to_ascii_lowercase();
    code.contains("timeout") || code.contains("timedout")
}

/// `x-ms-request-id`, or what stands for it where the front door answered itself.
pub fn request_id(response: &Response) -> Option<String> {
    ["x-ms-request-id", "x-ms-arm-service-request-id"]
        .iter()
        .find_map(|name| response.header(name))
        .filter(|id| !id.is_empty())
        .map(str::to_owned)
}

/// The body as JSON, without the byte order mark that some services put before it.
pub fn json(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)).ok()
}

/// What to say of a body that is not the JSON it should be: what it is instead, and how it begins.
pub fn not_json(response: &Response) -> String {
    let kind = response.header("content-type").unwrap_or("").to_ascii_lowercase();
    let whole = String::from_utf8_lossy(&response.body);
    let trimmed = whole.trim();
    if trimmed.is_empty() {
        return "the answer has no body".to_owned();
    }
    if kind.contains("html") || trimmed.starts_with("<!") || trimmed.to_ascii_lowercase().starts_with("<html")
    {
        let title = snippet(&title(trimmed).unwrap_or_else(|| without_tags(trimmed)));
        return format!(
            "the answer is an HTML page, not JSON, so it comes from a gateway or proxy on the way and not from Resource Manager: {title:?}"
        );
    }
    format!("the answer is not the JSON it should be; it begins {:?}", snippet(trimmed))
}

fn snippet(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = words.chars().take(160).collect();
    redact::text(&if short.len() < words.len() { format!("{short}…") } else { short })
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

/// A member by name, whatever its case: older services write `Message`.
fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let members = value.as_object()?;
    members
        .get(name)
        .or_else(|| members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v))
}

/// A member's text without signatures and tokens, which services like to quote back; or empty.
fn text(value: &Value, name: &str) -> String {
    match member(value, name) {
        Some(Value::String(text)) => redact::text(text.trim()),
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
        // of what came before the end, the message tells it
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
            let try_ = if self.kind == Kind::Operation { "poll" } else { "attempt" };
            let s = if self.attempts == 1 { "" } else { "s" };
            notes.push(format!("{} {try_}{s} in {}", self.attempts, readable(coarse(self.elapsed))));
        }
        if !notes.is_empty() {
            write!(f, " ({})", notes.join(", "))?;
        }
        Ok(())
    }
}

/// Tenths of a second are enough for people.
fn coarse(duration: Duration) -> Duration {
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
    fn every_envelope() {
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
            ("oops", "", "the answer is not the JSON it should be; it begins \"oops\""),
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
    fn html_is_called_by_its_name() {
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
    fn details_are_shown() {
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
    fn absence_is_told_from_other_404s() {
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
    fn tells_attempts_and_hides_signatures() {
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
    fn unknown_outcomes() {
        let mut error = Error::new(Kind::Transport { sent: true }, "reset");
        assert!(!error.may_have_acted(), "reading never acts");
        error.method = Method::Post;
        assert!(error.may_have_acted());
        error.kind = Kind::Transport { sent: false };
        assert!(!error.may_have_acted());
    }
}
