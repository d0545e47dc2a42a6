//! What all credentials of `azure_identity` share here: our transport under them, their errors made short.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{AccessToken, TokenCredential};
use azure_core::error::ErrorKind;
use azure_core::http::headers::{HeaderName, HeaderValue, Headers};
use azure_core::http::{
    AsyncRawResponse, Body, ClientOptions, ExponentialRetryOptions, HttpClient, Request, RetryOptions,
};

use super::Context;
use crate::arm::clouds::is_loopback;
use crate::arm::error;
use crate::arm::redact;
use crate::arm::secret::Secret;
use crate::arm::token::Fresh;
use crate::arm::transport::{self, Method, Transport};

/// Options that make a credential use the cloud's login service and our transport.
pub fn client_options(context: &Context<'_>) -> ClientOptions {
    let (authority, plain) = match context.cloud.authority.strip_prefix("http://") {
        // Only loopback gets here. The library insists on https; the bridge turns it back.
        Some(rest) => (format!("https://{rest}"), Some(rest.to_owned())),
        None => (context.cloud.authority.clone(), None),
    };
    let mut custom = CustomConfiguration::default();
    custom.authority_host = authority;
    ClientOptions {
        cloud: Some(Arc::new(CloudConfiguration::Custom(custom))),
        transport: Some(bridge(context.transport, plain)),
        retry: RetryOptions::exponential(ExponentialRetryOptions {
            max_retries: 4,
            ..ExponentialRetryOptions::default()
        }),
        ..ClientOptions::default()
    }
}

fn bridge(transport: &Arc<dyn Transport>, plain: Option<String>) -> azure_core::http::Transport {
    azure_core::http::Transport::new(Arc::new(Bridge { transport: Arc::clone(transport), plain }))
}

/// Asks `credential` for a token for the cloud's Resource Manager.
pub async fn fetch(
    context: &Context<'_>,
    credential: azure_core::Result<Arc<impl TokenCredential>>,
) -> Result<Fresh, String> {
    let credential = credential.map_err(|error| short(&error.to_string()))?;
    let token = credential.get_token(&[&context.cloud.scope()], None).await;
    token.map(|token| fresh(&token)).map_err(|error| short(&causes(&error)))
}

/// The library says the outermost layer only.
fn causes(error: &azure_core::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

fn fresh(token: &AccessToken) -> Fresh {
    let left = token.expires_on - time::OffsetDateTime::now_utc();
    Fresh { token: Secret::new(token.token.secret()), lifetime: Duration::try_from(left).unwrap_or_default() }
}

/// Puts our transport under the library.
struct Bridge {
    transport: Arc<dyn Transport>,
    /// The `HOST:PORT` on loopback that is spoken to without TLS.
    plain: Option<String>,
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bridge")
    }
}

#[async_trait]
impl HttpClient for Bridge {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let mut url = request.url().clone();
        let plain = self.plain.as_deref().is_some_and(|plain| {
            // An https authority cannot be named here, so the first segment of what follows is the host.
            plain.split('/').next() == Some(&url[url::Position::BeforeHost..url::Position::AfterPort])
        });
        if plain && is_loopback(&url) && url.set_scheme("http").is_err() {
            return Err(azure_core::Error::with_message(
                ErrorKind::Other,
                "not a URL that can be used over http",
            ));
        }
        let method = match request.method() {
            azure_core::http::Method::Get => Method::Get,
            azure_core::http::Method::Post => Method::Post,
            other => {
                return Err(azure_core::Error::with_message(
                    ErrorKind::Other,
                    format!("{other} is no way to ask for a token"),
                ));
            }
        };
        let body = match request.body() {
            Body::Bytes(bytes) if bytes.is_empty() => None,
            Body::Bytes(bytes) => Some(bytes.to_vec()),
            Body::SeekableStream(_) => {
                return Err(azure_core::Error::with_message(
                    ErrorKind::Other,
                    "a token request has no stream",
                ));
            }
        };
        let headers = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.as_str().to_owned()))
            .collect();
        let asked = transport::Request { method, url: url.to_string(), headers, body };
        let host = url.host_str().unwrap_or_default().to_owned();
        let answer = self.transport.send(asked).await.map_err(|error| {
            // What cannot change is not tried again by the library either.
            let kind = if error.is_lasting() {
                ErrorKind::Other
            } else if error.sent {
                ErrorKind::Io
            } else {
                ErrorKind::Connection
            };
            azure_core::Error::with_message(kind, format!("{host}: {}", error.message))
        })?;
        Ok(readable(answer, &host))
    }
}

/// The library can only read JSON: what is not is wrapped, so that its reason is told.
fn readable(answer: transport::Response, host: &str) -> AsyncRawResponse {
    let headers: HashMap<HeaderName, HeaderValue> = answer
        .headers
        .iter()
        .map(|(name, value)| (HeaderName::from(name.to_ascii_lowercase()), HeaderValue::from(value.clone())))
        .collect();
    let body = if error::json(&answer.body).is_some() {
        answer.body
    } else {
        let why = format!("{host} answered {}: {}", answer.status, error::not_json(&answer));
        serde_json::json!({"error": "not_json", "error_description": why}).to_string().into_bytes()
    };
    AsyncRawResponse::from_bytes(answer.status.into(), Headers::from(headers), body)
}

/// One sentence out of an error of the login service or of the library around it.
pub fn short(text: &str) -> String {
    let known = KNOWN.iter().find(|(code, _)| contains_code(text, code));
    // Links and trace ids help nobody who reads this in a terminal; the code does.
    let text = text.split("\nTo troubleshoot").next().unwrap_or(text);
    let text = text.split("Trace ID:").next().unwrap_or(text);
    let text = text.split_once(" authentication failed.").map_or(text, |(_, rest)| rest);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let words: String = redact::text(&words).chars().take(400).collect();
    match known {
        Some((code, meaning)) => format!("{meaning} (AADSTS{code})"),
        None if words.is_empty() => "it gave no reason".to_owned(),
        None => words,
    }
}

fn contains_code(text: &str, code: &str) -> bool {
    text.split("AADSTS").skip(1).any(|rest| {
        rest.strip_prefix(code).is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_digit()))
    })
}

/// What the login service's codes mean to somebody who configures a provider.
/// <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>
const KNOWN: [(&str, &str); 10] = [
    ("7000215", "the client secret is wrong: use the secret's value, not its id"),
    ("7000222", "the client secret or certificate has expired: create a new one for the application"),
    ("700016", "there is no application with this client_id in the tenant: check client_id and tenant_id"),
    ("700027", "the certificate is not registered with the application: upload its public part"),
    ("90002", "there is no such tenant: check tenant_id, and that environment is the cloud it lives in"),
    ("900021", "there is no such tenant: check tenant_id"),
    (
        "700213",
        "no federated credential of the application matches this token's subject: compare the subject with the job's repository, branch or environment",
    ),
    (
        "70021",
        "no federated credential of the application matches this token: compare issuer, subject and audience",
    ),
    (
        "700024",
        "the federated token has expired or is not yet valid: check the clock, and that the token is renewed",
    ),
    ("50034", "there is no such user in the tenant"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codes_become_sentences() {
        for (text, meaning) in [
            (
                "ClientSecretCredential authentication failed. AADSTS7000215: Invalid client secret provided. Trace ID: x",
                "secret's value",
            ),
            ("AADSTS700016: Application with identifier 'x' was not found", "no application"),
            ("AADSTS90002: Tenant 'x' not found.", "no such tenant"),
            ("AADSTS70021: No matching federated identity record found", "issuer, subject and audience"),
            ("AADSTS700213: No matching federated identity record", "token's subject"),
            ("AADSTS7000222: The provided client secret keys are expired", "expired"),
        ] {
            let short = short(text);
            assert!(short.contains(meaning) && short.contains("(AADSTS"), "{short}");
        }
        // A longer code is another code.
        assert!(!short("AADSTS7002130: x").contains("(AADSTS"));
    }

    #[test]
    fn unknown_errors_are_cut_to_what_matters() {
        assert_eq!(
            short(
                "AzureCliCredential authentication failed. ERROR: Please run 'az login'\n\nTo troubleshoot, visit https://x"
            ),
            "ERROR: Please run 'az login'"
        );
        assert_eq!(
            short("AADSTS53003: Blocked by policy. Trace ID: 1 Correlation ID: 2"),
            "AADSTS53003: Blocked by policy."
        );
        assert_eq!(short(" "), "it gave no reason");
    }
}
