//! Responses of token endpoints: a token and its lifetime, or an error.

use std::time::Duration;

use serde_json::Value;

use crate::arm::error::{self, Error, Kind};
use crate::arm::host_request::{Failure, refusal};
use crate::arm::redact;
use crate::arm::secret::Secret;
use crate::arm::token::Fresh;
use crate::arm::transport::Response;

/// Parses a response of `host`, in the format of Entra ID or of a managed identity endpoint.
pub fn read(response: &Response, host: &str) -> Result<Fresh, Failure> {
    let body = error::json(&response.body);
    let token = body.as_ref().and_then(|body| body.get("access_token")?.as_str()).unwrap_or_default();
    match &body {
        Some(body) if response.status == 200 && !token.is_empty() => {
            let lifetime = lifetime(body).ok_or_else(|| {
                refusal(host, response, Some("the answer does not say when the token expires".to_owned()))
            })?;
            Ok(Fresh { token: Secret::new(token), lifetime })
        }
        Some(body) => {
            let mut failure = refusal(host, response, Some(reason(body)));
            failure.transient |= body.get("error").and_then(Value::as_str) == Some("temporarily_unavailable");
            Err(failure)
        }
        None => Err(refusal(host, response, None)),
    }
}

/// The maximum lifetime of a token, so that adding it does not overflow.
const LONGEST: f64 = 7.0 * 86_400.0;

/// `expires_in`, or else `expires_on`: numbers, or numbers as text.
fn lifetime(body: &Value) -> Option<Duration> {
    let number = |name: &str| {
        let value = body.get(name)?;
        value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|number| number.is_finite())
    };
    let seconds = number("expires_in")
        .or_else(|| Some(number("expires_on")? - time::OffsetDateTime::now_utc().unix_timestamp() as f64))?;
    Some(Duration::from_secs(seconds.clamp(0.0, LONGEST) as u64))
}

/// The code and description in an error body, with a remedy if there is one.
fn reason(body: &Value) -> String {
    let mut error = Error::new(Kind::Service, "");
    error.read(body);
    let said = match (error.code.as_str(), error.message.as_str()) {
        ("", "") => "the answer contains neither a token nor an error".to_owned(),
        (code, "") => format!("{code}, without a description"),
        ("", message) => short(message),
        (code, message) => format!("{code}: {}", short(message)),
    };
    with_remedy(&said)
}

/// Appends a remedy to `said` if it contains a known code.
pub fn with_remedy(said: &str) -> String {
    match REMEDIES.iter().find(|(code, _)| contains_code(said, code)) {
        Some((_, remedy)) => format!("{} {remedy}", said.trim_end_matches(['.', ' ']).to_owned() + "."),
        None => said.to_owned(),
    }
}

/// Shortens a text to at most 400 characters on one line, without links and trace IDs.
pub fn short(text: &str) -> String {
    let text = text.split("\nTo troubleshoot").next().unwrap_or(text);
    let text = text.split("Trace ID:").next().unwrap_or(text);
    let text = text.split_once(" authentication failed.").map_or(text, |(_, rest)| rest);
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    redact::text(&words).chars().take(400).collect()
}

fn contains_code(text: &str, code: &str) -> bool {
    text.split("AADSTS").skip(1).any(|rest| {
        rest.strip_prefix(code).is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_digit()))
    })
}

/// Remedies for the login service's error codes.
/// <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>
const REMEDIES: [(&str, &str); 10] = [
    ("7000215", "The client secret is wrong: use the secret's value, not its ID."),
    ("7000222", "The client secret or certificate has expired: create a new one for the application."),
    ("700016", "There is no application with this client_id in the tenant: check client_id and tenant_id."),
    ("700027", "The certificate is not registered with the application: upload its public part."),
    ("90002", "There is no such tenant: check tenant_id, and that environment is the cloud of the tenant."),
    ("900021", "There is no such tenant: check tenant_id."),
    (
        "700213",
        "No federated credential of the application matches this token's subject: compare it with the job's repository, branch or environment.",
    ),
    (
        "70021",
        "No federated credential of the application matches this token: compare issuer, subject and audience.",
    ),
    (
        "700024",
        "The federated token has expired or is not yet valid: check the clock, and that the token is renewed.",
    ),
    ("50034", "There is no such user in the tenant."),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn lifetime_of(status: u16, body: &str) -> Result<u64, Failure> {
        read(&Response { status, headers: vec![], body: body.as_bytes().to_vec() }, "login")
            .map(|fresh| fresh.lifetime.as_secs())
    }

    #[test]
    fn reads_lifetimes_as_numbers_and_as_text() {
        for (body, seconds) in [
            (r#"{"access_token":"t","expires_in":"3599"}"#, 3599),
            (r#"{"access_token":"t","expires_in":60}"#, 60),
            (r#"{"access_token":"t","expires_in":-60}"#, 0),
            (r#"{"access_token":"t","expires_on":"1"}"#, 0),
            (r#"{"access_token":"t","expires_in":1e18}"#, 604_800),
            (r#"{"access_token":"t","expires_in":1000000000000000000}"#, 604_800),
            (r#"{"access_token":"t","expires_on":"99999999999999"}"#, 604_800),
        ] {
            assert_eq!(lifetime_of(200, body), Ok(seconds), "{body}");
        }
    }

    #[test]
    fn reports_status_code_and_description() {
        for (status, body, why, transient) in [
            (
                401,
                r#"{"error":"invalid_client","error_description":"AADSTS50000: It's \"wrong\".\r\nTrace ID: 1"}"#,
                "login answered 401: invalid_client: AADSTS50000: It's \"wrong\".",
                false,
            ),
            (
                401,
                r#"{"error":"invalid_client"}"#,
                "login answered 401: invalid_client, without a description",
                false,
            ),
            (
                400,
                r#"{"error":"invalid_request","error_description":"Identity not found"}"#,
                "login answered 400: invalid_request: Identity not found",
                false,
            ),
            (
                400,
                r#"{"statusCode":400,"message":"No managed identity found"}"#,
                "login answered 400: No managed identity found",
                false,
            ),
            (
                200,
                r#"{"access_token":"t"}"#,
                "login answered 200: the answer does not say when the token expires",
                true,
            ),
            (200, "{}", "login answered 200: the answer contains neither a token nor an error", true),
            (200, r#"{"access_token":""}"#, "neither a token nor an error", true),
            (200, "<html><title>Guest Wi-Fi</title>", "login answered 200: the answer is an HTML page", true),
            (502, "<html>", "login answered 502: the answer is an HTML page", true),
            (
                400,
                r#"{"error":"temporarily_unavailable"}"#,
                "login answered 400: temporarily_unavailable",
                true,
            ),
        ] {
            let failure = lifetime_of(status, body).unwrap_err();
            assert!(failure.why.contains(why), "{}", failure.why);
            assert_eq!(failure.transient, transient, "{body}");
        }
    }

    #[test]
    fn known_codes_come_with_a_remedy() {
        for (text, remedy) in [
            ("AADSTS7000215: Invalid client secret provided.", "secret's value"),
            ("AADSTS700016: Application with identifier 'x' was not found", "no application"),
            ("AADSTS90002: Tenant 'x' not found.", "no such tenant"),
            ("AADSTS70021: No matching federated identity record found", "issuer, subject and audience"),
            ("AADSTS700213: No matching federated identity record", "token's subject"),
            ("AADSTS7000222: The provided client secret keys are expired", "expired"),
        ] {
            let text = with_remedy(text);
            assert!(text.contains(remedy), "{text}");
        }
        let longer_code = "AADSTS7002130: x";
        assert_eq!(with_remedy(longer_code), longer_code);
    }

    #[test]
    fn unknown_errors_are_shortened() {
        for (text, expected) in [
            (
                "AzureCliCredential authentication failed. ERROR: Please run 'az login'\n\nTo troubleshoot, visit https://x",
                "ERROR: Please run 'az login'",
            ),
            (
                "AADSTS53003: Blocked by policy. Trace ID: 1 Correlation ID: 2",
                "AADSTS53003: Blocked by policy.",
            ),
            ("a\u{1b}[31mred\tb", "a [31mred b"),
            (" ", ""),
        ] {
            assert_eq!(short(text), expected);
        }
    }
}
