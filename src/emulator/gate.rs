//! Decides from its headers whether a request is served, so that a web page in a browser on this machine cannot read or change
//! the emulator.

use std::net::IpAddr;

use super::errors::ArmError;
use super::{Request, Target};

/// The header that control calls with changes must have. A page of another site can send it only after a preflight request,
/// which the emulator refuses.
pub const CONTROL_HEADER: &str = "X-Azimage-Control";

/// The hosts whose requests are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Requests that name this machine's loopback addresses.
    Loopback,
    /// Requests that name any IP address, or a name that public DNS cannot hold (DNS rebinding needs a public name).
    Remote,
}

/// Refuses requests for other hosts and requests that a browser sends for another site. The body may not have been read yet.
pub fn check(request: &Request, reach: Reach) -> Result<(), ArmError> {
    let mut hosts = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host"));
    let (Some((_, host)), None) = (hosts.next(), hosts.next()) else {
        return Err(refused(400, "InvalidHostHeader", "The request must have exactly one Host header."));
    };
    if !host_is_served(host, reach) {
        return Err(refused(
            403,
            "ForeignHost",
            &format!(
                "The emulator does not serve the host '{host}'. Use the address that it listens on, or start it with \
                 --allow-remote and use an IP address or a private name."
            ),
        ));
    }
    let Some(target) = Target::parse(request) else { return Ok(()) };
    check_origin(request, &target)?;
    if target.is_control() && !matches!(request.method.as_str(), "GET" | "HEAD") {
        check_control_write(request)?;
    }
    Ok(())
}

fn refused(status: u16, code: &str, message: &str) -> ArmError {
    ArmError::gateway(status, code, message)
}

/// Whether a `Host` header names a host that is served.
fn host_is_served(host: &str, reach: Reach) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address, port),
        None => host.find(':').map_or((host, ""), |colon| host.split_at(colon)),
    };
    let port_is_valid =
        port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    if !port_is_valid {
        return false;
    }
    if let Ok(address) = name.parse::<IpAddr>() {
        return address.is_loopback() || reach == Reach::Remote;
    }
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    if name == "localhost" {
        return true;
    }
    let private = !name.contains('.')
        || [".localhost", ".local", ".internal", ".test", ".home.arpa"]
            .iter()
            .any(|suffix| name.ends_with(suffix));
    let well_formed =
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    reach == Reach::Remote && private && well_formed
}

/// Refuses requests that a browser sends for another site, except following a link to the page.
fn check_origin(request: &Request, target: &Target) -> Result<(), ArmError> {
    let foreign = |header: &str| {
        refused(
            403,
            "ForeignOrigin",
            &format!("The emulator does not answer web pages of other sites ({header})."),
        )
    };
    if let Some(origin) = request.header("origin")
        && !origin.eq_ignore_ascii_case(&target.base)
    {
        return Err(foreign(&format!("Origin: {origin}")));
    }
    match request.header("sec-fetch-site") {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_)
            if request.method == "GET"
                && target.segments.is_empty()
                && request.header("sec-fetch-dest") == Some("document") =>
        {
            Ok(())
        }
        Some(site) => Err(foreign(&format!("Sec-Fetch-Site: {site}"))),
    }
}

fn check_control_write(request: &Request) -> Result<(), ArmError> {
    if request.header(CONTROL_HEADER).is_none() {
        return Err(refused(
            403,
            "ControlHeaderMissing",
            &format!("A control call that changes something needs the header '{CONTROL_HEADER}: true'."),
        ));
    }
    let has_body = request.header("transfer-encoding").is_some()
        || request.header("content-length").is_some_and(|length| length.trim() != "0");
    let is_json = request.header("content-type").is_some_and(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    });
    if has_body && !is_json {
        return Err(refused(
            415,
            "UnsupportedMediaType",
            "The body of a control call must have the header 'Content-Type: application/json'.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (host, local, remote) in [
            ("127.0.0.1:8443", true, true),
            ("127.8.9.1", true, true),
            ("localhost:1", true, true),
            ("LOCALHOST", true, true),
            ("[::1]:8443", true, true),
            ("[::1]", true, true),
            ("192.0.2.7:80", false, true),
            ("[2001:db8::1]:80", false, true),
            ("emulator:8443", false, true),
            ("emulator.ci.svc.cluster.local:80", false, true),
            ("evil.example", false, false),
            ("127.0.0.1.evil.example:8443", false, false),
            ("localhost.evil.example", false, false),
            ("evil@127.0.0.1", false, false),
            ("127.0.0.1:80:90", false, false),
            ("127.0.0.1/x", false, false),
            ("[::1", false, false),
            ("", false, false),
            (":80", false, false),
        ] {
            assert_eq!(host_is_served(host, Reach::Loopback), local, "{host}");
            assert_eq!(host_is_served(host, Reach::Remote), remote, "{host}");
        }
    }

    #[test]
    fn requests_are_refused_by_their_headers() {
        const JSON: &str = "Content-Type: application/json; charset=utf-8";
        const CONTROL: &str = "X-Azimage-Control: true";
        const BODY: &str = "Content-Length: 2";
        for (line, headers, refusal) in [
            ("GET /subscriptions", &[][..], None),
            ("GET /subscriptions", &["Host: b"], Some("InvalidHostHeader")),
            ("GET /subscriptions", &["Origin: http://localhost:1"], None),
            ("GET /subscriptions", &["Origin: http://localhost:2"], Some("ForeignOrigin")),
            ("GET /subscriptions", &["Origin: null"], Some("ForeignOrigin")),
            ("GET /subscriptions", &["Sec-Fetch-Site: none"], None),
            ("GET /subscriptions", &["Sec-Fetch-Site: cross-site"], Some("ForeignOrigin")),
            ("GET /_emulator/summary", &["Sec-Fetch-Site: same-site"], Some("ForeignOrigin")),
            ("GET /_emulator/summary", &["Sec-Fetch-Site: same-origin"], None),
            ("GET /", &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: document"], None),
            ("GET /", &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: iframe"], Some("ForeignOrigin")),
            ("POST /", &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: document"], Some("ForeignOrigin")),
            ("POST /_emulator/reset", &[], Some("ControlHeaderMissing")),
            ("POST /_emulator/reset", &[CONTROL], None),
            ("POST /_emulator/reset", &[CONTROL, "Content-Length: 0"], None),
            ("PUT /_emulator/settings", &[JSON, BODY], Some("ControlHeaderMissing")),
            ("PUT /%5femulator/settings", &[JSON, BODY], Some("ControlHeaderMissing")),
            ("PUT //_emulator//settings", &[JSON, BODY], Some("ControlHeaderMissing")),
            ("PUT /_emulator/settings", &[CONTROL, BODY], Some("UnsupportedMediaType")),
            (
                "PUT /_emulator/settings",
                &[CONTROL, "Transfer-Encoding: chunked", "Content-Type: text/plain"],
                Some("UnsupportedMediaType"),
            ),
            ("PUT /_emulator/settings", &[CONTROL, JSON, BODY], None),
        ] {
            let (method, path) = line.split_once(' ').unwrap();
            let mut all = vec![("Host".to_owned(), "localhost:1".to_owned())];
            all.extend(headers.iter().map(|header| {
                let (name, value) = header.split_once(": ").unwrap();
                (name.to_owned(), value.to_owned())
            }));
            let request = Request {
                method: method.to_owned(),
                url: format!("http://localhost:1{path}"),
                headers: all,
                body: Vec::new(),
            };
            let code = check(&request, Reach::Loopback).err().map(|error| error.code);
            assert_eq!(code.as_deref(), refusal, "{line} {headers:?}");
        }
    }
}
