//! Sends calls: attempts, tokens, waits and log lines, until there is a response or an error.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

use super::clouds::{Cloud, CloudSource, endpoint};
use super::duration::readable;
use super::error::{self, Error, Kind};
use super::failure_memory::FailureMemory;
use super::id::same_id;
use super::redact;
use super::retry::{Next, Outcome, Try, next_try};
use super::retry_after::retry_after;
use super::scope::{Scope, WRITE_GRACE};
use super::target::Target;
use super::throttle::{Class, Throttle, Ticket};
use super::token::Tokens;
use super::transport::{Method, Request, Response, Transport, TransportError};
use super::versions::{ApiVersion, Versions};
use crate::sync::lock;

/// Options of a client.
#[derive(Clone, Debug)]
pub struct Options {
    /// The complete `User-Agent`.
    pub user_agent: String,
    /// The maximum number of concurrent requests, at least one.
    pub max_concurrent_requests: usize,
    /// Sent as `x-ms-correlation-request-id` and shown in errors; empty means none.
    pub correlation_id: String,
}

/// The state that all clones of a client share.
pub struct Sender {
    transport: Arc<dyn Transport>,
    tokens: Arc<dyn Tokens>,
    source: CloudSource,
    cloud: OnceCell<Cloud>,
    cloud_failure: FailureMemory,
    options: Options,
    places: Semaphore,
    throttle: Mutex<Throttle>,
    versions: Mutex<Versions>,
}

/// One call.
pub struct Call<'a> {
    /// The method.
    pub method: Method,
    /// Absolute URL.
    pub url: &'a str,
    /// JSON body.
    pub body: Option<&'a Value>,
    /// The expected content of a successful response.
    pub expect: Expect<'a>,
}

/// The expected content of a successful response. Resource Manager never answers a bare text or number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect<'a> {
    /// The resource at this path: an object with the path as its `id`, in any case.
    Resource(&'a str),
    /// The resource at this path after a write, or an empty body.
    Written(&'a str),
    /// An object.
    Object,
    /// A page of a list: an object, or the items themselves.
    Page,
    /// An object, an array or an empty body.
    Anything,
}

impl Expect<'_> {
    /// Whether the body may be empty.
    fn allows_empty(self) -> bool {
        matches!(self, Self::Anything | Self::Written(_))
    }

    /// Checks `body`. The error says why it is not the expected content.
    fn check(self, body: &Value) -> Result<(), String> {
        let id = || body.get("id").and_then(Value::as_str).unwrap_or_default();
        let name = |id: &str| id.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_lowercase();
        let fits = match self {
            Self::Resource(path) => body.is_object() && same_id(id(), path),
            // The response to a PUT of a Marketplace agreement contains a different ID.
            Self::Written(path) => body.is_object() && name(id()) == name(path),
            Self::Object => body.is_object(),
            Self::Page => body.is_object() || body.is_array(),
            Self::Anything => body.is_object() || body.is_array() || body.is_null(),
        };
        match self {
            _ if fits => Ok(()),
            Self::Resource(_) | Self::Written(_) if body.is_object() && id().is_empty() => Err(
                "the answer is JSON without the \"id\" that every resource has, so it is not the resource"
                    .to_owned(),
            ),
            Self::Resource(_) | Self::Written(_) if body.is_object() => {
                Err(format!("the answer is another resource, {:?}", redact::message(id(), 200)))
            }
            _ => Err("the answer is JSON, but not of the expected shape".to_owned()),
        }
    }
}

/// A successful response.
pub struct Reply {
    /// Status and headers, without the body.
    pub response: Response,
    /// The decoded body, or null.
    pub body: Value,
    /// The size of the body in bytes.
    pub size: usize,
}

/// The time limit of one attempt of a write. After it, the outcome is unknown.
const LONGEST_WRITE: Duration = Duration::from_secs(300);

impl Sender {
    /// A new sender. It sends nothing yet.
    pub fn new(
        transport: Arc<dyn Transport>,
        tokens: Arc<dyn Tokens>,
        source: CloudSource,
        options: Options,
    ) -> Self {
        Self {
            transport,
            tokens,
            source,
            cloud: OnceCell::new(),
            cloud_failure: FailureMemory::default(),
            places: Semaphore::new(options.max_concurrent_requests.clamp(1, 10_000)),
            options,
            throttle: Mutex::new(Throttle::default()),
            versions: Mutex::new(Versions::default()),
        }
    }

    /// See [`Client::sign_in`](super::Client::sign_in).
    pub async fn sign_in(&self, scope: &Scope) -> Result<(), Error> {
        self.cloud(scope).await?;
        scope.run(self.tokens.token()).await?.map(drop)
    }

    /// The cloud, which is determined at the first call. After a failure, further calls fail immediately for a while.
    pub async fn cloud(&self, scope: &Scope) -> Result<&Cloud, Error> {
        let find = || async {
            match self.cloud_failure.recent() {
                Some(error) => Err(error),
                None => self.find_cloud().await.map_err(|error| self.cloud_failure.remember(error)),
            }
        };
        scope.run(self.cloud.get_or_try_init(find)).await?
    }

    async fn find_cloud(&self) -> Result<Cloud, Error> {
        let found = self.source.resolve(&*self.transport).await?;
        for url in [&found.resource_manager, &found.authority] {
            endpoint(url).map_err(|why| Error::new(Kind::Refused, format!("{url}: {why}")))?;
        }
        self.tokens.use_cloud(&found);
        Ok(found)
    }

    /// See [`Client::api_version_of`](super::Client::api_version_of).
    pub fn api_version_of(&self, target: &Target) -> ApiVersion {
        self.versions().choose(&target.resource_type(), target.api_version())
    }

    /// Records that the cloud accepted a call of `target` with `version`.
    pub fn confirm_version(&self, target: &Target, version: &'static str) {
        self.versions().confirm(&target.resource_type(), version);
    }

    /// An older API version to retry with, if `error` says that the cloud lacks `refused`.
    pub fn fall_back(&self, target: &Target, refused: &str, error: &Error) -> Option<&'static str> {
        self.versions().fall_back(&target.resource_type(), refused, error)
    }

    fn versions(&self) -> std::sync::MutexGuard<'_, Versions> {
        lock(&self.versions)
    }

    /// The transport of all calls.
    pub fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    /// The `User-Agent` of all requests.
    pub fn user_agent(&self) -> &str {
        &self.options.user_agent
    }

    /// The run's correlation id.
    pub fn correlation_id(&self) -> &str {
        &self.options.correlation_id
    }

    /// Sends `call` until there is a response or a final error.
    ///
    /// A read ends immediately when the run is interrupted or the deadline passes. A write that was sent may finish, so that
    /// it is known whether the service accepted it; see [`Scope::run_write`].
    pub async fn call(&self, scope: &Scope, call: Call<'_>) -> Result<Reply, Error> {
        let path = path_of(call.url);
        let begun = Instant::now();
        let mut progress = Progress::default();
        let result = self.attempts(scope, &call, &path, &mut progress).await;
        result.map_err(|error| {
            let mut error = match progress.last {
                Some(last) if error.is_timed_out() || error.is_stopped() => error.after(last),
                _ => error.during(call.method, &path),
            };
            error.is_outcome_unknown = progress.is_outcome_unknown;
            error.attempts = error.attempts.max(progress.attempts);
            error.elapsed = error.elapsed.max(begun.elapsed());
            error.correlation_id.clone_from(&self.options.correlation_id);
            error
        })
    }

    async fn attempts(
        &self,
        scope: &Scope,
        call: &Call<'_>,
        path: &str,
        progress: &mut Progress,
    ) -> Result<Reply, Error> {
        let cloud = self.cloud(scope).await?;
        if !cloud.owns(call.url) {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "the service returned a URL on {:?}, which is not its own host {:?}; the token is not sent there",
                    host_of(call.url),
                    host_of(&cloud.resource_manager)
                ),
            ));
        }
        let body = call.body.map(|body| body.to_string().into_bytes());
        let class = Class::new(call.method, path);
        let mut renewed = false;
        let mut waits = 0;
        loop {
            let token = scope.run(self.tokens.token()).await??;
            let auxiliary = scope.run(self.tokens.auxiliary()).await??;
            let request = self.request(call, body.clone(), &token, &auxiliary);
            let counted = self.admit(scope, &class).await?;
            progress.attempts += 1;
            let sent = Instant::now();
            let answer = self.send_once(scope, request).await?;
            let now = OffsetDateTime::now_utc();
            let left = match &answer {
                Ok(response) => {
                    let pause = retry_after(response, now).filter(|wait| !wait.is_zero());
                    counted.done(response, pause.unwrap_or(Duration::from_secs(1)))
                }
                // Free the concurrency slot until the next attempt.
                Err(_) => {
                    drop(counted);
                    None
                }
            };
            self.log(call, path, progress.attempts, sent.elapsed(), &answer, left);
            let remaining = scope.remaining();
            let jitter = fastrand::f64();
            let attempt = progress.attempts;
            let method = call.method;
            let mut next = |outcome| {
                let tried = Try { attempt, waits, method, outcome, remaining, now, jitter };
                waits += u32::from(tried.asks_to_wait());
                next_try(tried)
            };
            let (next, error) = match answer {
                Ok(response) if (200..300).contains(&response.status) => match read(call, response) {
                    Ok(reply) => return Ok(reply),
                    Err(error) => (next(Outcome::Malformed), error),
                },
                Ok(response) => {
                    let error = refusal(call.method, path, &response);
                    let outcome = Outcome::Answer {
                        response: &response,
                        code: &error.code,
                        is_temporary: error.is_temporary_conflict(),
                        is_from_gateway: error.is_outcome_unknown,
                        renewed,
                    };
                    (next(outcome), error)
                }
                Err(error) => {
                    let message = format!("{}: {}", host_of(call.url), redact::message(&error.message, 500));
                    (
                        next(Outcome::NoAnswer { sent: error.sent, lasting: error.is_lasting() }),
                        Error::new(Kind::Transport { sent: error.sent }, message),
                    )
                }
            };
            let mut error = error.during(call.method, path);
            progress.is_outcome_unknown |= error.may_have_acted();
            error.is_outcome_unknown = progress.is_outcome_unknown;
            match next {
                Next::Done | Next::GiveUp => return Err(error),
                Next::NewToken => {
                    self.tokens.reject(&token);
                    renewed = true;
                }
                Next::Wait(wait) => {
                    tracing::debug!(path, wait_ms = wait.as_millis() as u64, why = %error, "trying again");
                    progress.last = Some(error);
                    scope.sleep(wait).await?;
                }
            }
        }
    }

    /// Sends one attempt. A read is dropped when `scope` ends; a write is not.
    async fn send_once(
        &self,
        scope: &Scope,
        request: Request,
    ) -> Result<Result<Response, TransportError>, Error> {
        let is_read = request.method == Method::Get;
        let sending = self.transport.send(request);
        if is_read {
            return scope.run(sending).await;
        }
        let no_answer = |message: String| Err(TransportError { sent: true, message });
        Ok(match scope.run_write(tokio::time::timeout(LONGEST_WRITE, sending)).await {
            Some(Ok(answer)) => answer,
            Some(Err(_)) => no_answer(format!("no answer within {}", readable(LONGEST_WRITE))),
            None => no_answer(format!("no answer within {} of the interrupt", readable(WRITE_GRACE))),
        })
    }

    /// Waits for a concurrency slot and for the request budgets.
    async fn admit<'a>(&'a self, scope: &Scope, class: &'a Class) -> Result<Counted<'a>, Error> {
        let (mut counted, mut wait) = {
            let mut throttle = self.throttle();
            let (ticket, wait) = throttle.enter(class, Instant::now());
            (Counted { sender: self, class, place: None, ticket: Some(ticket) }, wait)
        };
        loop {
            if !wait.is_zero() {
                scope.check()?;
                let remaining = scope.remaining();
                if wait >= remaining && self.throttle().is_paused(class, Instant::now()) {
                    return Err(held_back(wait, remaining));
                }
                tracing::debug!(
                    wait_ms = wait.as_millis() as u64,
                    "waiting, to stay inside the service's request budget"
                );
                scope.sleep(wait).await?;
            }
            // This cannot fail, because the semaphore is never closed.
            counted.place = scope.run(self.places.acquire()).await?.ok();
            let mut throttle = self.throttle();
            let now = Instant::now();
            let Some(ticket) = counted.ticket.as_mut() else { return Ok(counted) };
            // If another call was refused meanwhile, queue again behind the pause.
            if !throttle.is_paused(class, now) {
                throttle.sent(class, ticket);
                drop(throttle);
                return Ok(counted);
            }
            wait = throttle.requeue(class, ticket, now);
            drop(throttle);
            counted.place = None;
        }
    }

    fn throttle(&self) -> std::sync::MutexGuard<'_, Throttle> {
        lock(&self.throttle)
    }

    fn request(
        &self,
        call: &Call<'_>,
        body: Option<Vec<u8>>,
        token: &super::Secret,
        auxiliary: &[super::Secret],
    ) -> Request {
        let mut headers = vec![
            ("Authorization".to_owned(), format!("Bearer {}", token.expose())),
            ("Accept".to_owned(), "application/json".to_owned()),
            ("User-Agent".to_owned(), self.options.user_agent.clone()),
            ("x-ms-client-request-id".to_owned(), uuid::Uuid::new_v4().to_string()),
        ];
        if !self.options.correlation_id.is_empty() {
            headers.push(("x-ms-correlation-request-id".to_owned(), self.options.correlation_id.clone()));
        }
        if body.is_some() {
            headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
        if !auxiliary.is_empty() {
            let all: Vec<String> =
                auxiliary.iter().map(|token| format!("Bearer {}", token.expose())).collect();
            headers.push(("x-ms-authorization-auxiliary".to_owned(), all.join(", ")));
        }
        Request { method: call.method, url: call.url.to_owned(), headers, body }
    }

    fn log(
        &self,
        call: &Call<'_>,
        path: &str,
        attempt: u32,
        took: Duration,
        answer: &Result<Response, TransportError>,
        left: Option<i64>,
    ) {
        let ms = took.as_millis() as u64;
        let method = call.method.as_str();
        match answer {
            Ok(response) => {
                let request_id = error::request_id(response).unwrap_or_default();
                let status = response.status;
                tracing::debug!(method, path, status, ms, attempt, request_id, budget = left, "ARM call");
                if tracing::enabled!(tracing::Level::TRACE) {
                    let request =
                        call.body.map(|body| redact::body(body.to_string().as_bytes())).unwrap_or_default();
                    let url = redact::url(call.url);
                    tracing::trace!(
                        method,
                        url,
                        request,
                        response = redact::body(&response.body),
                        "ARM bodies"
                    );
                }
            }
            Err(error) => {
                tracing::debug!(method, path, ms, attempt, sent = error.sent, error = %redact::message(&error.message, 500), "ARM call without answer");
            }
        }
    }
}

/// The results of the attempts of a call so far.
#[derive(Default)]
struct Progress {
    attempts: u32,
    /// The error of the last attempt.
    last: Option<Error>,
    /// Whether the service may have acted on one of them.
    is_outcome_unknown: bool,
}

/// Decodes a success.
///
/// A write with a malformed body from the service was accepted: the body counts as missing, and the caller reads the
/// object. The response of a gateway or proxy does not confirm anything.
fn read(call: &Call<'_>, mut response: Response) -> Result<Reply, Error> {
    let size = response.body.len();
    let why = match decode(call, &response) {
        Ok(body) => {
            response.body = Vec::new();
            return Ok(Reply { response, body, size });
        }
        Err(why) => why,
    };
    if call.method != Method::Get && is_usual(response.status) && error::is_from_service(&response) {
        tracing::warn!(method = %call.method, "{why}; the request itself succeeded");
        response.body = Vec::new();
        return Ok(Reply { response, body: Value::Null, size });
    }
    let mut error = Error::new(Kind::Malformed, why);
    error.status = Some(response.status);
    error.request_id = error::request_id(&response);
    Err(error)
}

fn decode(call: &Call<'_>, response: &Response) -> Result<Value, String> {
    if !is_usual(response.status) {
        return Err(format!(
            "the answer has status {}, which Resource Manager does not use",
            response.status
        ));
    }
    if response.body.iter().all(u8::is_ascii_whitespace) {
        // An empty 200 of a proxy confirms neither a delete nor a write.
        let is_convincing =
            response.status != 200 || call.method == Method::Post || error::is_from_service(response);
        return if is_convincing && call.expect.allows_empty() {
            Ok(Value::Null)
        } else {
            Err(error::not_json(response))
        };
    }
    if error::is_html(response) {
        return Err(error::not_json(response));
    }
    let body = error::json(&response.body).ok_or_else(|| error::not_json(response))?;
    // The body of a 202 need not be the resource.
    if response.status != 202 || !matches!(call.expect, Expect::Written(_)) {
        call.expect.check(&body)?;
    }
    Ok(body)
}

/// The success statuses that Resource Manager uses.
fn is_usual(status: u16) -> bool {
    matches!(status, 200 | 201 | 202 | 204)
}

/// The error of a response that is not a success. A response that does not come from the service, such as an HTML page,
/// does not mean that the service refused the request.
fn refusal(method: Method, path: &str, response: &Response) -> Error {
    let mut error = Error::from_response(method, path, response);
    let is_json = !error::is_html(response) && error::json(&response.body).is_some();
    error.is_outcome_unknown = !is_json
        && !error::is_from_service(response)
        && !matches!(response.status, 401 | 429)
        && method != Method::Get;
    if (300..400).contains(&response.status) {
        error.kind = Kind::Refused;
        let to = response.header("location").map_or("nowhere".to_owned(), host_of);
        error.message = format!(
            "the answer is a redirect ({}) to {to}; Resource Manager does not redirect, so it is not followed with a token (is there a proxy that asks for a login?)",
            response.status
        );
    }
    error
}

/// The error of a call that is not sent, because calls are paused beyond its deadline after a refusal.
fn held_back(wait: Duration, remaining: Duration) -> Error {
    let (wait, remaining) = (readable(whole(wait)), readable(whole(remaining)));
    let message = format!(
        "an earlier request of this kind was refused, and the next ones are held back for another {wait}, but the timeout of this one leaves only {remaining}; try again later"
    );
    let mut error = Error::new(Kind::Service, message);
    error.status = Some(429);
    "TooManyRequests".clone_into(&mut error.code);
    error
}

fn whole(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs_f64().ceil() as u64)
}

/// A call that counts towards the budgets until it is dropped.
struct Counted<'a> {
    sender: &'a Sender,
    class: &'a Class,
    place: Option<tokio::sync::SemaphorePermit<'a>>,
    /// `None` if the call is no longer counted.
    ticket: Option<Ticket>,
}

impl Counted<'_> {
    /// Ends the call with its response and returns the remaining budget.
    fn done(mut self, answer: &Response, pause: Duration) -> Option<i64> {
        self.place = None;
        let mut throttle = self.sender.throttle();
        if let Some(ticket) = self.ticket.take() {
            throttle.leave(self.class, ticket, Some(answer), pause, Instant::now());
        }
        throttle.left(self.class)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.sender.throttle().leave(self.class, ticket, None, Duration::ZERO, Instant::now());
        }
    }
}

/// The path of an absolute URL, still encoded.
fn path_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').map_or("/", |at| &rest[at..]);
    path.split(['?', '#']).next().unwrap_or("/").to_owned()
}

fn host_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or("");
    host.rsplit('@').next().unwrap_or("").to_owned()
}
