//! The page at `/`.

use super::{Fault, Response};

/// The page: one file without anything from elsewhere.
pub fn response() -> Response {
    let body = include_bytes!("page.html").to_vec();
    Response {
        status: 200,
        headers: vec![
            ("Content-Type".to_owned(), "text/html; charset=utf-8".to_owned()),
            ("Content-Length".to_owned(), body.len().to_string()),
            ("Cache-Control".to_owned(), "no-cache".to_owned()),
        ],
        body,
        fault: Fault::None,
    }
}
