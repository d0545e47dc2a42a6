//! The web page at `/`: galleries and versions, running operations, other resources and the latest requests.

use super::{Fault, Response};
use crate::page::{SCRIPT, STYLE};

/// The HTML document, which loads no other files.
fn document() -> String {
    let script = SCRIPT.to_owned() + include_str!("live.js");
    include_str!("page.html").replacen("/* STYLE */\n", STYLE, 1).replacen("/* SCRIPT */\n", &script, 1)
}

/// The page, which refreshes itself.
pub fn response() -> Response {
    let body = document().into_bytes();
    Response {
        status: 200,
        headers: vec![
            ("Content-Type".to_owned(), "text/html; charset=utf-8".to_owned()),
            ("Content-Length".to_owned(), body.len().to_string()),
            ("Cache-Control".to_owned(), "no-cache".to_owned()),
            ("Content-Security-Policy".to_owned(), "frame-ancestors 'none'".to_owned()),
        ],
        body,
        fault: Fault::None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::Json;
    use super::super::{Emulator, Request};

    /// The page loads nothing from other hosts, and every field that it reads exists.
    #[test]
    fn is_self_contained_and_reads_existing_fields() {
        let emulator = Emulator::in_memory();
        let ask = |method: &str, url: &str, body: &str| {
            let request = Request {
                method: method.to_owned(),
                url: url.to_owned(),
                headers: Vec::new(),
                body: body.as_bytes().to_vec(),
            };
            emulator.handle(&request, time::OffsetDateTime::UNIX_EPOCH)
        };
        let group = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/resourceGroups/my-rg/providers/Microsoft.Compute";
        let put =
            ask("PUT", &format!("{group}/galleries/g?api-version=2026-03-03"), r#"{"location":"eastus"}"#);
        assert_eq!(put.status, 201);
        let page = String::from_utf8(ask("GET", "/", "").body).unwrap();
        assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("src="));
        let summary = Json::parse(&ask("GET", "/_emulator/summary", "").body).unwrap();
        for field in [
            "now",
            "settings",
            "resources",
            "versions",
            "operations",
            "requests",
            "versionCount",
            "resourceCount",
        ] {
            assert!(page.contains(&format!("data.{field}")), "the page does not read {field}");
            assert!(summary.get(field).is_some(), "a summary has no {field}");
        }
        let operation = &summary.list("operations")[0];
        for field in ["action", "resource", "percent"] {
            assert!(
                page.contains(&format!("operation.{field}")) && operation.get(field).is_some(),
                "{field}"
            );
        }
        let request = &summary.list("requests")[0];
        for field in ["at", "method", "path", "status"] {
            assert!(page.contains(&format!("request.{field}")) && request.get(field).is_some(), "{field}");
        }
    }
}
