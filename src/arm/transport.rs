//! The trait that sends HTTP requests, and its types.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

/// Sends requests. Any status, including 4xx and 5xx, is a response that the caller interprets.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends `request` once and returns the response, or an error if none arrived.
    async fn send(&self, request: Request) -> Result<Response, TransportError>;
}

/// The methods that Resource Manager uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates or replaces.
    Put,
    /// Changes the members that are sent.
    Patch,
    /// Starts an action.
    Post,
    /// Deletes.
    Delete,
}

impl Method {
    /// The method in capitals, as on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }

    /// True if sending a request twice has the same effect as sending it once.
    pub fn is_idempotent(self) -> bool {
        matches!(self, Self::Get | Self::Put | Self::Delete)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request, complete with absolute URL and every header.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The absolute URL, which is sent unchanged.
    pub url: String,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// The body, if there is one.
    pub body: Option<Vec<u8>>,
}

impl Request {
    /// The value of the header `name`, ignoring case, if it is present.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

impl fmt::Debug for Request {
    // Headers contain tokens and URLs contain signatures, so neither is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.method, super::redact::url(&self.url))
    }
}

/// A response with any status.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// HTTP status code.
    pub status: u16,
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The whole body, decompressed.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of the header `name`, ignoring case, if it is present.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// No response arrived.
#[derive(Clone, Debug)]
pub struct TransportError {
    /// True if the request may have reached the service, which may then have acted.
    pub sent: bool,
    /// The reason, without tokens and URLs with a query.
    pub message: String,
}

impl TransportError {
    /// True if a retry cannot help: an untrusted certificate, an unusable `SSL_CERT_FILE`, a proxy that refuses, a response
    /// that is too large.
    pub fn is_lasting(&self) -> bool {
        [UNTRUSTED, CERT_FILE, PROXY_REFUSED, SOCKS, TOO_LARGE].iter().any(|mark| self.message.contains(mark))
    }
}

/// The beginning of rustls's message about an untrusted certificate.
pub(super) const UNTRUSTED: &str = "invalid peer certificate";
/// The beginning of the message about an unusable certificate file.
pub(super) const CERT_FILE: &str = "SSL_CERT_FILE names";
/// Part of the message about a proxy that refuses a connection.
pub(super) const PROXY_REFUSED: &str = "refuses to connect to";
/// Part of the message about a SOCKS proxy.
pub(super) const SOCKS: &str = "proxy, which is not supported";
/// The beginning of the message about a response that is too large.
pub(super) const TOO_LARGE: &str = "the answer is larger than";

/// The time limit until a response begins.
pub const READ_TIMEOUT: Duration = Duration::from_secs(60);

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TransportError {}
