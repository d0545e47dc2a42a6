//! The Resource Manager client: a handful of verbs that retry, page and wait.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::clouds::{Cloud, CloudSource};
use super::error::{Error, Kind};
use super::operation::{Operation, Step, growing_wait};
use super::page::Pages;
use super::scope::Scope;
use super::send::{Call, Expect, Options, Reply, Sender};
use super::target::Target;
use super::token::Tokens;
use super::transport::{Method, Transport};
use super::versions::ApiVersion;

/// Speaks to one cloud's Resource Manager. Clones share tokens, connections and request budgets.
#[derive(Clone)]
pub struct Client {
    sender: Arc<Sender>,
}

/// A write that the service took.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// HTTP status; 204 or 404 of a removal mean that there was nothing to remove.
    pub status: u16,
    /// The body, or null.
    pub body: Value,
    /// What is still to be waited for.
    pub operation: Option<Operation>,
}

impl Client {
    /// A client that has not yet done anything: the cloud is found out and the first token fetched at the
    /// first call.
    pub fn new(
        transport: Arc<dyn Transport>,
        tokens: Arc<dyn Tokens>,
        cloud: CloudSource,
        options: Options,
    ) -> Self {
        Self { sender: Arc::new(Sender::new(transport, tokens, cloud, options)) }
    }

    /// The cloud this client speaks to.
    pub async fn cloud(&self, scope: &Scope) -> Result<Cloud, Error> {
        self.sender.cloud(scope).await.cloned()
    }

    /// Finds the cloud and has a token, without asking Resource Manager anything: what fails here fails every call.
    pub async fn sign_in(&self, scope: &Scope) -> Result<(), Error> {
        self.sender.sign_in(scope).await
    }

    /// Reads one thing.
    pub async fn get(&self, scope: &Scope, target: &Target) -> Result<Value, Error> {
        Ok(self.first(scope, Method::Get, target, None, Expect::Object).await?.reply.body)
    }

    /// Reads one thing; `None` when it, its parent or its resource group is not there.
    pub async fn get_opt(&self, scope: &Scope, target: &Target) -> Result<Option<Value>, Error> {
        match self.get(scope, target).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads a list to its end. Links to further pages are followed as they are, and only on the cloud's
    /// own host.
    pub async fn list(&self, scope: &Scope, target: &Target) -> Result<Vec<Value>, Error> {
        let mut pages = self.pages(target);
        while pages.next(scope).await? {}
        Ok(pages.take())
    }

    /// The same list, page by page, for who may not want all of it. Asks for nothing yet.
    pub fn pages(&self, target: &Target) -> PageReader {
        PageReader { client: self.clone(), target: target.clone(), next: None, pages: Pages::default() }
    }

    /// Creates or replaces. When the answer does not say what was accepted, or cannot be read, it is what was sent.
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

    /// Removes. What is not there counts as removed: the status is then 204 or 404.
    pub async fn delete(&self, scope: &Scope, target: &Target) -> Result<Accepted, Error> {
        match self.write(scope, Method::Delete, target, None).await {
            Err(error) if error.is_not_found() => {
                Ok(Accepted { status: 404, body: Value::Null, operation: None })
            }
            other => other,
        }
    }

    /// Waits for `operation` to end and returns its last document, or null. A failure carries the service's
    /// own reason. When this ends early (stopped, timed out, no network) the operation goes on, and can
    /// be waited for again, also by another process.
    pub async fn wait(&self, scope: &Scope, operation: &Operation) -> Result<Value, Error> {
        let mut operation = operation.clone();
        let mut wait = operation.first_wait();
        // Since when polls have failed without a break.
        let mut failing: Option<Instant> = None;
        let mut polls = 0;
        let begun = Instant::now();
        loop {
            // A long wait is cut short of the deadline, so that the last word is a look and not a guess.
            let remaining = scope.remaining();
            let last_look = remaining.saturating_sub(Duration::from_secs(1));
            if !wait.is_zero() {
                let nap = if wait < remaining || last_look.is_zero() { wait } else { last_look };
                scope.sleep(nap).await.map_err(|error| {
                    let mut error = error.during(operation.method(), operation.path());
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
                    operation.step(&reply.response, OffsetDateTime::now_utc())
                }
                Err(error) => {
                    operation.step_on_error(error, failing.get_or_insert_with(Instant::now).elapsed())
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
                    wait = after.unwrap_or_else(|| growing_wait(polls));
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
        let First { url, base, reply } = self.first(scope, method, target, body, Expect::Anything).await?;
        let Reply { response, body } = reply;
        let operation = Operation::from_response(method, &url, target.path(), &base, &response, &body);
        Ok(Accepted { status: response.status, body, operation })
    }

    /// Sends the call that `target` describes; again with an older API version when the cloud lacks the first.
    async fn first(
        &self,
        scope: &Scope,
        method: Method,
        target: &Target,
        body: Option<&Value>,
        expect: Expect,
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
    /// It is the target's own until the cloud turns out not to have it. A resource that is about to plan or send a
    /// member asks `api_version_of(target).has(since)`. Where `is_confirmed` is false, nothing has been asked of that
    /// type yet and the answer can still change: then [`Target::needs`] makes the call itself check.
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
    /// Reads the next page; says whether there is another. Once it has said no, it is not to be asked again.
    pub async fn next(&mut self, scope: &Scope) -> Result<bool, Error> {
        let (url, page) = match self.next.take() {
            Some(url) => {
                let call = Call { method: Method::Get, url: &url, body: None, expect: Expect::Page };
                let page = self.client.sender.call(scope, call).await?.body;
                (url, page)
            }
            None => {
                let First { url, reply, .. } =
                    self.client.first(scope, Method::Get, &self.target, None, Expect::Page).await?;
                (url, reply.body)
            }
        };
        self.next = self
            .pages
            .add(&url, page)
            .map_err(|why| Error::new(Kind::Malformed, why).during(Method::Get, self.target.path()))?;
        Ok(self.next.is_some())
    }

    /// What was read since this was last asked.
    pub fn take(&mut self) -> Vec<Value> {
        self.pages.take_items()
    }
}

/// The answer to a call, where it was sent, and the endpoint that is under.
struct First {
    url: String,
    base: String,
    reply: Reply,
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
