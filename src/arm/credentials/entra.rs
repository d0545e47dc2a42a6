//! The credentials of `azure_identity`, with our transport and our parsing of responses.
//!
//! The library fails on error descriptions with JSON escapes and on lifetimes that are text or too large, and its errors
//! contain neither host nor status. So each response is parsed here: the library gets a token in a simple format or a
//! status, and the reason of a failure is stored separately.

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{AccessToken, TokenCredential};
use azure_core::error::ErrorKind;
use azure_core::http::headers::Headers;
use azure_core::http::{
    AsyncRawResponse, Body, ClientOptions, ExponentialRetryOptions, HttpClient, Request, RetryOptions,
};
use serde_json::{Value, json};

use super::{Context, answer};
use crate::arm::clouds::is_loopback;
use crate::arm::host_request::{Failure, host, send_once};
use crate::arm::secret::Secret;
use crate::arm::token::Fresh;
use crate::arm::transport::{self, Method, Transport};
use crate::sync::lock;

/// Requests a token for the cloud's Resource Manager from the credential that `make` builds.
pub async fn fetch<T: TokenCredential>(
    context: &Context<'_>,
    make: impl FnOnce(ClientOptions) -> azure_core::Result<Arc<T>>,
) -> Result<Fresh, Failure> {
    let (authority, plain) = match context.cloud.authority.strip_prefix("http://") {
        // Only loopback may be plain HTTP. The library requires HTTPS, so the bridge changes it back.
        Some(rest) => (format!("https://{rest}"), Some(rest.to_owned())),
        None => (context.cloud.authority.clone(), None),
    };
    let bridge = Arc::new(Bridge {
        transport: Arc::clone(context.transport),
        plain,
        failure: Arc::clone(&context.last_failure),
    });
    let mut custom = CustomConfiguration::default();
    custom.authority_host = authority;
    let credential = make(ClientOptions {
        cloud: Some(Arc::new(CloudConfiguration::Custom(custom))),
        transport: Some(azure_core::http::Transport::new(bridge)),
        retry: RetryOptions::exponential(ExponentialRetryOptions {
            max_retries: 2,
            ..ExponentialRetryOptions::default()
        }),
        ..ClientOptions::default()
    });
    token(context, credential).await
}

/// The token of `credential`, or the reason in its last response.
pub async fn token(
    context: &Context<'_>,
    credential: azure_core::Result<Arc<impl TokenCredential>>,
) -> Result<Fresh, Failure> {
    let failed = |error: &azure_core::Error| {
        let last = lock(&context.last_failure).take();
        last.unwrap_or_else(|| match answer::short(&causes(error)) {
            text if text.is_empty() => "it failed without a message".into(),
            text => answer::with_remedy(&text).into(),
        })
    };
    let credential = credential.map_err(|error| failed(&error))?;
    let token = credential.get_token(&[&context.cloud.scope()], None).await;
    token.map(|token| fresh(&token)).map_err(|error| failed(&error))
}

/// All causes of an error; the library's message contains only the outermost one.
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
    Fresh { token: Secret::new(token.token.secret()), lifetime: left.try_into().unwrap_or_default() }
}

/// Our transport as the library's HTTP client.
struct Bridge {
    transport: Arc<dyn Transport>,
    /// The `HOST:PORT` on loopback that is called without TLS.
    plain: Option<String>,
    /// Why the last request returned no token.
    failure: Arc<Mutex<Option<Failure>>>,
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bridge")
    }
}

#[async_trait]
impl HttpClient for Bridge {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let request = self.translate(request).map_err(|why| {
            azure_core::Error::with_message(ErrorKind::Other, format!("the token request {why}"))
        })?;
        let host = host(&request.url);
        let is_metadata = request.method == Method::Get;
        let secrets = secrets(&request);
        let read = send_once(&*self.transport, request).await.and_then(|response| {
            answer::read(&response, &host).map_err(|mut failure| {
                // 410: the metadata service is being updated. 404: it has just started.
                failure.transient |= is_metadata && matches!(response.status, 404 | 410);
                failure
            })
        });
        let (status, body) = match read {
            Ok(fresh) => (200, plain_token(&fresh)),
            Err(mut failure) => {
                for secret in &secrets {
                    failure.why = failure.why.replace(secret, "***");
                }
                let status: u16 = if failure.transient { 503 } else { 400 };
                *lock(&self.failure) = Some(failure);
                (status, json!({"error": "failed", "error_description": "failed"}))
            }
        };
        Ok(AsyncRawResponse::from_bytes(status.into(), Headers::default(), body.to_string().into_bytes()))
    }
}

impl Bridge {
    fn translate(&self, request: &Request) -> Result<transport::Request, String> {
        let mut url = request.url().clone();
        let is_plain = self.plain.as_deref().is_some_and(|plain| {
            plain.split('/').next() == Some(&url[url::Position::BeforeHost..url::Position::AfterPort])
        });
        if is_plain && is_loopback(&url) && url.set_scheme("http").is_err() {
            return Err(format!("cannot go to {url} over http"));
        }
        let method = match request.method() {
            azure_core::http::Method::Get => Method::Get,
            azure_core::http::Method::Post => Method::Post,
            other => return Err(format!("has the unexpected method {other}")),
        };
        let body = match request.body() {
            Body::Bytes(bytes) if bytes.is_empty() => None,
            Body::Bytes(bytes) => Some(bytes.to_vec()),
            Body::SeekableStream(_) => return Err("has a stream as its body".to_owned()),
        };
        let headers = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.as_str().to_owned()))
            .collect();
        Ok(transport::Request { method, url: url.to_string(), headers, body })
    }
}

/// The secrets in a token request's form, which a response may quote.
fn secrets(request: &transport::Request) -> Vec<String> {
    url::form_urlencoded::parse(request.body.as_deref().unwrap_or_default())
        // Masking a very short text would garble the message without protecting anything.
        .filter(|(name, value)| matches!(&**name, "client_secret" | "client_assertion") && value.len() > 5)
        .map(|(_, value)| value.into_owned())
        .collect()
}

/// A token in the format that every credential of the library can parse.
fn plain_token(fresh: &Fresh) -> Value {
    let seconds = fresh.lifetime.as_secs();
    let expires_on = time::OffsetDateTime::now_utc().unix_timestamp() + seconds as i64;
    json!({
        "token_type": "Bearer",
        "access_token": fresh.token.expose(),
        "expires_in": seconds,
        "expires_on": expires_on.to_string(),
        "resource": "",
    })
}
