//! One call as the caller sees it: tries, tokens, waits, log lines, until there is an answer or an error.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

use super::clouds::{Cloud, CloudSource, endpoint};
use super::duration::readable;
use super::error::{self, Error, Kind};
use super::redact;
use super::retry::{Next, Outcome, Try, next_try};
use super::retry_after::retry_after;
use super::scope::Scope;
use super::target::Target;
use super::throttle::{Class, Throttle};
use super::token::Tokens;
use super::transport::{Method, Request, Response, Transport};
use super::versions::{ApiVersion, Versions};

/// What is the same for every request of a client.
#[derive(Clone, Debug)]
pub struct Options {
    /// The whole `User-Agent`.
    pub user_agent: String,
    /// In flight at once, at least one.
    pub max_concurrent_requests: usize,
    /// Sent as `x-ms-correlation-request-id` and shown in errors; empty for none.
    pub correlation_id: String,
}

/// What all clones of a client share.
pub struct Sender {
    transport: Arc<dyn Transport>,
    tokens: Arc<dyn Tokens>,
    source: CloudSource,
    cloud: OnceCell<Cloud>,
    options: Options,
    places: Semaphore,
    throttle: Mutex<Throttle>,
    versions: Mutex<Versions>,
}

/// One call: its verb, its whole URL, its path for messages, its body.
pub struct Call<'a> {
    /// The verb.
    pub method: Method,
    /// Absolute URL.
    pub url: &'a str,
    /// JSON body.
    pub body: Option<&'a Value>,
    /// What a successful answer must contain.
    pub expect: Expect,
}

/// What a successful answer must contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// One thing: an object.
    Object,
    /// A page of a list: an object, or the items themselves.
    Page,
    /// An object, an array or nothing.
    Anything,
}

impl Expect {
    /// Whether Resource Manager would answer so: it has no bare texts and numbers.
    fn allows(self, body: &Value) -> bool {
        match self {
            Expect::Object => body.is_object(),
            Expect::Page => body.is_object() || body.is_array(),
            Expect::Anything => body.is_object() || body.is_array() || body.is_null(),
        }
    }
}

/// A successful answer.
pub struct Reply {
    /// The answer.
    pub response: Response,
    /// Its body, or null.
    pub body: Value,
}

/// A write that takes longer than this is given up, its outcome unknown.
const LONGEST_WRITE: Duration = Duration::from_secs(300);

impl Sender {
    /// Puts the parts together; does nothing yet.
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

    /// The cloud, found out at the first call.
    pub async fn cloud(&self, scope: &Scope) -> Result<&Cloud, Error> {
        scope
            .run(self.cloud.get_or_try_init(|| async {
                let found = self.source.resolve(&*self.transport).await?;
                for url in [&found.resource_manager, &found.authority] {
                    endpoint(url).map_err(|why| Error::new(Kind::Refused, format!("{url}: {why}")))?;
                }
                self.tokens.use_cloud(&found);
                Ok(found)
            }))
            .await?
    }

    /// See [`Client::api_version_of`](super::Client::api_version_of).
    pub fn api_version_of(&self, target: &Target) -> ApiVersion {
        self.versions().choose(&target.resource_type(), target.api_version())
    }

    /// Records that the cloud answered a call of `target` with `version`.
    pub fn confirm_version(&self, target: &Target, version: &'static str) {
        self.versions().confirm(&target.resource_type(), version);
    }

    /// An older API version to retry with, when `error` says that the cloud does not have `refused`.
    pub fn fall_back(&self, target: &Target, refused: &str, error: &Error) -> Option<&'static str> {
        self.versions().fall_back(&target.resource_type(), refused, error)
    }

    fn versions(&self) -> std::sync::MutexGuard<'_, Versions> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run's correlation id.
    pub fn correlation_id(&self) -> &str {
        &self.options.correlation_id
    }

    /// Sends `call` until there is an answer or no hope of one.
    ///
    /// Reading ends at once when the scope is called off or its time passes. A write that is on its way is
    /// allowed to finish, so that it is known whether the service accepted it; only then is the scope
    /// looked at again.
    pub async fn call(&self, scope: &Scope, call: Call<'_>) -> Result<Reply, Error> {
        let path = path_of(call.url);
        let begun = Instant::now();
        let mut attempts = 0;
        let mut last = None;
        let mut unsure = false;
        let result = self.tries(scope, &call, &path, &mut attempts, &mut last, &mut unsure).await;
        result.map_err(|error| {
            let mut error = match last {
                Some(last) if error.is_timed_out() || error.is_stopped() => cut_short(error, last),
                _ => error.during(call.method, &path),
            };
            error.unsure = unsure;
            error.attempts = error.attempts.max(attempts);
            error.elapsed = error.elapsed.max(begun.elapsed());
            error.correlation_id.clone_from(&self.options.correlation_id);
            error
        })
    }

    async fn tries(
        &self,
        scope: &Scope,
        call: &Call<'_>,
        path: &str,
        attempts: &mut u32,
        last: &mut Option<Error>,
        unsure: &mut bool,
    ) -> Result<Reply, Error> {
        let cloud = self.cloud(scope).await?;
        if !cloud.owns(call.url) {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "the service names a URL on {:?}, which is not its own host {:?}; the token is not sent there",
                    host_of(call.url),
                    host_of(&cloud.resource_manager)
                ),
            ));
        }
        let body = call.body.map(|body| body.to_string().into_bytes());
        let class = Class::new(call.method, path);
        let mut renewed = false;
        let mut patient = 0;
        loop {
            let token = scope.run(self.tokens.token()).await??;
            let auxiliary = scope.run(self.tokens.auxiliary()).await??;
            let request = self.request(call, body.clone(), &token, &auxiliary);
            let counted = self.take_turn(scope, &class).await?;
            *attempts += 1;
            let sent = Instant::now();
            let sending = self.transport.send(request);
            let answer = if call.method == Method::Get {
                scope.run(sending).await?
            } else {
                tokio::time::timeout(LONGEST_WRITE, sending).await.unwrap_or_else(|_| {
                    Err(super::transport::TransportError {
                        sent: true,
                        message: "no answer within 5 minutes".to_owned(),
                    })
                })
            };
            let now = OffsetDateTime::now_utc();
            let left = match &answer {
                Ok(response) => {
                    let pause = retry_after(response, now).filter(|wait| !wait.is_zero());
                    counted.done(response, pause.unwrap_or(Duration::from_secs(1)))
                }
                // Its place is another's until it tries again.
                Err(_) => {
                    drop(counted);
                    None
                }
            };
            self.log(call, path, *attempts, sent.elapsed(), &answer, left);
            let remaining = scope.remaining();
            let jitter = fastrand::f64();
            let attempt = *attempts;
            let method = call.method;
            let mut next = |outcome| {
                let tried = Try { attempt, patient, method, outcome, remaining, now, jitter };
                patient += u32::from(tried.is_asked_to_wait());
                next_try(tried)
            };
            let (next, error) = match answer {
                Ok(response) if (200..300).contains(&response.status) => match self.read(call, &response) {
                    Ok(body) => return Ok(Reply { response, body }),
                    Err(error) => (next(Outcome::Malformed), error),
                },
                Ok(response) => {
                    let error = self.error(call.method, path, &response);
                    (next(Outcome::Answer { response: &response, code: &error.code, renewed }), error)
                }
                Err(error) => {
                    let host = host_of(call.url);
                    let message = format!("{host}: {}", redact::text(&error.message));
                    (
                        next(Outcome::NoAnswer { sent: error.sent, lasting: error.is_lasting() }),
                        Error::new(Kind::Transport { sent: error.sent }, message),
                    )
                }
            };
            let mut error = error.during(call.method, path);
            *unsure |= error.may_have_acted();
            error.unsure = *unsure;
            match next {
                Next::Done | Next::GiveUp => return Err(error),
                Next::NewToken => {
                    self.tokens.reject(&token);
                    renewed = true;
                }
                Next::Wait(wait) => {
                    tracing::debug!(path, wait_ms = wait.as_millis() as u64, why = %error, "trying again");
                    *last = Some(error);
                    scope.sleep(wait).await?;
                }
            }
        }
    }

    /// Waits for a place among the concurrent requests and for the budgets.
    async fn take_turn<'a>(&'a self, scope: &Scope, class: &'a Class) -> Result<Counted<'a>, Error> {
        loop {
            let mut counted = Counted { sender: self, class, place: None, left: false };
            let wait = self.throttle().enter(class, Instant::now());
            if !wait.is_zero() {
                scope.check()?;
                let remaining = scope.remaining();
                if wait >= remaining && self.throttle().is_paused(class, Instant::now()) {
                    return Err(held_back(wait, remaining));
                }
                tracing::debug!(
                    wait_ms = wait.as_millis() as u64,
                    "holding back, to stay inside the service's request budget"
                );
                scope.sleep(wait).await?;
            }
            // Never closed, so the error cannot come.
            counted.place = scope.run(self.places.acquire()).await?.ok();
            // Another call may have been refused while this one waited: queue again behind the pause.
            if !self.throttle().is_paused(class, Instant::now()) {
                return Ok(counted);
            }
        }
    }

    fn throttle(&self) -> std::sync::MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// The body of a success. A write whose answer is garbled on its way from the service was accepted all the same: its
    /// body counts as missing, and the caller reads the resource. What something on the way answers says nothing of the service.
    fn read(&self, call: &Call<'_>, response: &Response) -> Result<Value, Error> {
        let empty = response.body.iter().all(u8::is_ascii_whitespace);
        // What a proxy's empty 200 says of a removal is not the service's word that something is gone.
        let told = response.status != 200
            || !matches!(call.method, Method::Delete | Method::Get)
            || is_the_services(response);
        if empty && told && call.expect == Expect::Anything {
            return Ok(Value::Null);
        }
        match error::json(&response.body).filter(|body| call.expect.allows(body)) {
            Some(body) => Ok(body),
            None if call.method != Method::Get && is_the_services(response) => {
                tracing::warn!(method = %call.method, "{}; the request itself succeeded", error::not_json(response));
                Ok(Value::Null)
            }
            None => {
                let mut error = Error::new(Kind::Malformed, error::not_json(response));
                error.status = Some(response.status);
                error.request_id = error::request_id(response);
                Err(error)
            }
        }
    }

    fn error(&self, method: Method, path: &str, response: &Response) -> Error {
        let mut error = Error::from_response(method, path, response);
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

    fn log(
        &self,
        call: &Call<'_>,
        path: &str,
        attempt: u32,
        took: Duration,
        answer: &Result<Response, super::TransportError>,
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
                tracing::debug!(method, path, ms, attempt, sent = error.sent, error = %redact::text(&error.message), "ARM call without answer");
            }
        }
    }
}

/// The error of a call that was called off, or whose time passed, before it had another answer than `last`.
///
/// When it is unknown whether the service acted, that is what the caller must hear, not that it was stopped.
fn cut_short(over: Error, last: Error) -> Error {
    if last.may_have_acted() {
        return last;
    }
    let brief = Error { request_id: None, ..last.clone() };
    let message = format!("{}; before that: {brief}", over.message);
    Error { kind: over.kind, message, details: Vec::new(), target: None, ..last }
}

/// The error of a call that is not sent because another one was refused, and for too long.
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

/// A call that is counted in the budgets, and counted out when it is dropped.
struct Counted<'a> {
    sender: &'a Sender,
    class: &'a Class,
    place: Option<tokio::sync::SemaphorePermit<'a>>,
    left: bool,
}

impl Counted<'_> {
    /// Counts the call out with its answer; returns what is left of the budget.
    fn done(mut self, answer: &Response, pause: Duration) -> Option<i64> {
        self.left = true;
        self.place = None;
        let mut throttle = self.sender.throttle();
        throttle.leave(self.class, Some(answer), pause, Instant::now());
        throttle.left(self.class)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if !self.left {
            self.sender.throttle().leave(self.class, None, Duration::ZERO, Instant::now());
        }
    }
}

/// The path of an absolute URL, decoded as little as it was encoded.
/// True when the service itself answered: it numbers what it answers, and says where to ask for what goes on.
fn is_the_services(response: &Response) -> bool {
    error::request_id(response).is_some() || response.header("azure-asyncoperation").is_some()
}

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
