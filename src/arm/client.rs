//! The Resource Manager client: a few methods that retry, page and wait for operations.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::clouds::{Cloud, CloudSource};
use super::error::{Error, Kind};
use super::id::{ends_in_a_name, type_of_path};
use super::operation::{Operation, Step, poll_interval};
use super::page::Pages;
use super::scope::Scope;
use super::send::{Call, Expect, Options, Reply, Sender};
use super::target::Target;
use super::token::Tokens;
use super::transport::{Method, Transport};
use super::versions::ApiVersion;

/// Calls one cloud's Resource Manager. Clones share tokens, connections and request budgets.
#[derive(Clone)]
pub struct Client {
    sender: Arc<Sender>,
}

/// A write that the service accepted.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// HTTP status. For a DELETE, 204 and 404 mean that the object did not exist.
    pub status: u16,
    /// The body, or null.
    pub body: Value,
    /// The operation that is still running.
    pub operation: Option<Operation>,
}

impl Client {
    /// A new client. It discovers the cloud and fetches a token at the first call.
    pub fn new(
        transport: Arc<dyn Transport>,
        tokens: Arc<dyn Tokens>,
        cloud: CloudSource,
        options: Options,
    ) -> Self {
        Self { sender: Arc::new(Sender::new(transport, tokens, cloud, options)) }
    }

    /// The cloud that this client calls.
    pub async fn cloud(&self, scope: &Scope) -> Result<Cloud, Error> {
        self.sender.cloud(scope).await.cloned()
    }

    /// Discovers the cloud and fetches a token, without calling Resource Manager. An error here would fail every call.
    pub async fn sign_in(&self, scope: &Scope) -> Result<(), Error> {
        self.sender.sign_in(scope).await
    }

    /// Reads one object. A response with another `id` or none is not the requested resource: the request is retried, and then
    /// fails with [`Kind::Malformed`].
    pub async fn get(&self, scope: &Scope, target: &Target) -> Result<Value, Error> {
        let expect = if has_id(target.path()) { Expect::Resource(target.path()) } else { Expect::Object };
        Ok(self.first(scope, Method::Get, target, None, expect).await?.reply.body)
    }

    /// Reads one object; `None` when it, its parent or its resource group does not exist.
    pub async fn get_opt(&self, scope: &Scope, target: &Target) -> Result<Option<Value>, Error> {
        match self.get(scope, target).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads all pages of a list. Links to further pages are used unchanged, but only on the cloud's own host. The number of
    /// pages and their total size are limited.
    pub async fn list(&self, scope: &Scope, target: &Target) -> Result<Vec<Value>, Error> {
        let mut pages = self.pages(target);
        while pages.next(scope).await? {}
        Ok(pages.take())
    }

    /// The same list page by page, for callers that may not need all of it. Sends nothing yet.
    pub fn pages(&self, target: &Target) -> PageReader {
        PageReader { client: self.clone(), target: target.clone(), next: None, pages: Pages::default() }
    }

    /// Creates or replaces an object. If the response has no body or a malformed one, the sent body is returned.
    pub async fn put(&self, scope: &Scope, target: &Target, body: &Value) -> Result<Accepted, Error> {
        let mut accepted = self.write(scope, Method::Put, target, Some(body)).await?;
        if accepted.body.is_null() {
            accepted.body = body.clone();
        }
        Ok(accepted)
    }

    /// Changes the members in `body`.
    pub async fn patch(&self, scope: &Scope, target: &Target, body: &Value) -> Result<Accepted, Error> {
        self.write(scope, Method::Patch, target, Some(body)).await
    }

    /// Starts an action.
    pub async fn post(
        &self,
        scope: &Scope,
        target: &Target,
        body: Option<&Value>,
    ) -> Result<Accepted, Error> {
        self.write(scope, Method::Post, target, body).await
    }

    /// Deletes an object. A missing object counts as deleted; the status is then 204 or 404.
    pub async fn delete(&self, scope: &Scope, target: &Target) -> Result<Accepted, Error> {
        match self.write(scope, Method::Delete, target, None).await {
            Err(error) if error.is_not_found() => {
                Ok(Accepted { status: 404, body: Value::Null, operation: None })
            }
            other => other,
        }
    }

    /// Waits for `operation` to end and returns its last document, or null. A failed operation is an error of
    /// [`Kind::Operation`] with the service's reason.
    ///
    /// If the wait ends early, the operation continues, and any process can wait for it again. If its URL cannot be read any
    /// more, [`Error::is_operation_unreadable`] is true, and the object must be read instead.
    pub async fn wait(&self, scope: &Scope, operation: &Operation) -> Result<Value, Error> {
        let mut operation = operation.clone();
        let mut wait = operation.first_wait();
        // The time since which all polls have failed, and the last failure.
        let mut failing: Option<(Instant, Error)> = None;
        let mut polls = 0;
        let begun = Instant::now();
        loop {
            // A long wait ends one second before the deadline, to leave time for a last poll.
            let remaining = scope.remaining();
            let last_poll = remaining.saturating_sub(Duration::from_secs(1));
            if !wait.is_zero() {
                let pause = if wait < remaining || last_poll.is_zero() { wait } else { last_poll };
                scope.sleep(pause).await.map_err(|error| {
                    let mut error = match failing.take() {
                        Some((_, failure)) => error.after(failure),
                        None => error.during(operation.method(), operation.path()),
                    };
                    (error.attempts, error.elapsed) = (polls, begun.elapsed());
                    self.sender.correlation_id().clone_into(&mut error.correlation_id);
                    error
                })?;
            }
            polls += 1;
            let call =
                Call { method: Method::Get, url: operation.url(), body: None, expect: Expect::Anything };
            let step = match self.sender.call(scope, call).await {
                Ok(reply) => {
                    failing = None;
                    operation.step(&reply.response, reply.body, OffsetDateTime::now_utc())
                }
                Err(error) => {
                    let error = match &failing {
                        Some((_, failure)) if error.is_timed_out() || error.is_stopped() => {
                            error.after(failure.clone())
                        }
                        _ => error,
                    };
                    let since = failing.take().map_or_else(Instant::now, |(since, _)| since);
                    failing = Some((since, error.clone()));
                    operation.step_on_error(error, since.elapsed())
                }
            };
            match step {
                Step::Done(document) => return Ok(document),
                Step::Failed(error) => {
                    let mut error = *error;
                    error.attempts = error.attempts.max(polls);
                    error.elapsed = begun.elapsed();
                    if error.correlation_id.is_empty() {
                        error.correlation_id = self.sender.correlation_id().to_owned();
                    }
                    return Err(error);
                }
                Step::Wait { after, url } => {
                    if let Some(url) = url {
                        operation.move_to(url);
                    }
                    wait = after.unwrap_or_else(|| poll_interval(polls));
                }
            }
        }
    }

    async fn write(
        &self,
        scope: &Scope,
        method: Method,
        target: &Target,
        body: Option<&Value>,
    ) -> Result<Accepted, Error> {
        let expect = match method {
            Method::Put if has_id(target.path()) => Expect::Written(target.path()),
            _ => Expect::Anything,
        };
        let First { url, base, reply } = self.first(scope, method, target, body, expect).await?;
        let Reply { response, body, .. } = reply;
        let operation = Operation::from_response(method, &url, target.path(), &base, &response, &body);
        Ok(Accepted { status: response.status, body, operation })
    }

    /// Sends a call of `target`, and repeats it with an older API version if the cloud lacks the first one.
    async fn first(
        &self,
        scope: &Scope,
        method: Method,
        target: &Target,
        body: Option<&Value>,
        expect: Expect<'_>,
    ) -> Result<First, Error> {
        let cloud = self.sender.cloud(scope).await.map_err(|error| error.during(method, target.path()))?;
        let base = cloud.resource_manager.clone();
        loop {
            let using = self.api_version_of(target);
            let refuse = |why: String| Error::new(Kind::Refused, why).during(method, target.path());
            target.check_requirement(using, &cloud.name).map_err(refuse)?;
            let url = target.url(&base, using.version).map_err(refuse)?;
            let call = Call { method, url: &url, body, expect };
            match self.sender.call(scope, call).await {
                Ok(reply) => {
                    self.sender.confirm_version(target, using.version);
                    return Ok(First { url, base, reply });
                }
                Err(error) if error.is_not_found() => {
                    self.sender.confirm_version(target, using.version);
                    return Err(error);
                }
                Err(error) => match self.sender.fall_back(target, using.version, &error) {
                    Some(older) => tracing::warn!(
                        "{} does not have API version {} of {}; using {older}, which lacks newer features",
                        cloud.name,
                        using.version,
                        target.resource_type()
                    ),
                    None => return Err(error),
                },
            }
        }
    }

    /// The API version that calls of `target` use now.
    ///
    /// It is the target's own unless the cloud lacks it. A resource checks `api_version_of(target).has(since)` before it
    /// plans or sends a member. If `is_confirmed` is false, no call has been made for that type yet, and the version may
    /// still change; then use [`Target::needs`], which checks it during the call.
    pub fn api_version_of(&self, target: &Target) -> ApiVersion {
        self.sender.api_version_of(target)
    }
}

/// A list that is read page by page.
pub struct PageReader {
    client: Client,
    target: Target,
    next: Option<String>,
    pages: Pages,
}

impl PageReader {
    /// Reads the next page and returns whether there is another. Must not be called again after `false`.
    pub async fn next(&mut self, scope: &Scope) -> Result<bool, Error> {
        let (url, reply) = match self.next.take() {
            Some(url) => {
                let call = Call { method: Method::Get, url: &url, body: None, expect: Expect::Page };
                let reply = self.client.sender.call(scope, call).await?;
                (url, reply)
            }
            None => {
                let First { url, reply, .. } =
                    self.client.first(scope, Method::Get, &self.target, None, Expect::Page).await?;
                (url, reply)
            }
        };
        self.next = self
            .pages
            .add(&url, reply.body, reply.size)
            .map_err(|why| Error::new(Kind::Malformed, why).during(Method::Get, self.target.path()))?;
        Ok(self.next.is_some())
    }

    /// The items that were read since the last call.
    pub fn take(&mut self) -> Vec<Value> {
        self.pages.take_items()
    }
}

/// True for paths of resources whose responses contain their ID. Some resources under `locations`, such as community
/// galleries and Marketplace images, do not.
fn has_id(path: &str) -> bool {
    let kind = type_of_path(path);
    let is_located = kind.split('/').nth(1) == Some("locations");
    ends_in_a_name(path) && kind.starts_with("microsoft.") && !is_located
}

/// The response to a call, the URL that it was sent to, and the endpoint of that URL.
struct First {
    url: String,
    base: String,
    reply: Reply,
}

#[path = "public.rs"]
mod public;
#[path = "query.rs"]
mod query;
#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
