//! A fake Resource Manager for unit tests: scripted responses by path, and a record of the requests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;

use super::Context;
use crate::arm::id::ends_in_a_name;
use crate::arm::{
    Client, Cloud, CloudSource, Method, Options, Request, Response, Secret, StaticTokens, Transport,
    TransportError,
};
use crate::framework::Op;

/// The subscription of [`FakeArm::context`].
pub const SUBSCRIPTION: &str = "5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10";

/// Responds by method and path. Other requests get a 404 like Resource Manager's.
///
/// ```ignore
/// let arm = FakeArm::new();
/// arm.get("/subscriptions/…/galleries/g", json!({"name": "g"}));
/// let context = arm.context();
/// …
/// assert_eq!(arm.calls(), ["GET /subscriptions/…/galleries/g"]);
/// ```
#[derive(Default)]
pub struct FakeArm {
    routes: Mutex<Vec<Route>>,
    seen: Mutex<Vec<Seen>>,
    latency: Mutex<Duration>,
    silent: Mutex<Vec<String>>,
}

struct Route {
    method: Method,
    path: String,
    query: String,
    status: u16,
    headers: Vec<(String, String)>,
    body: Json,
    times: Option<usize>,
}

/// A recorded request.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The method, a space, and the path as it was sent, without the query.
    pub call: String,
    /// The query, still encoded, without `api-version`.
    pub query: String,
    /// The body, or null.
    pub body: Json,
}

impl FakeArm {
    /// A fake without any responses.
    pub fn new() -> Arc<FakeArm> {
        Arc::default()
    }

    /// Responds to GETs of `path` with `body`. Text after a `?` in `path` must be part of the decoded query.
    pub fn get(&self, path: &str, body: Json) -> &FakeArm {
        self.on(Method::Get, path, 200, body)
    }

    /// Responds to a method on `path`. Later responses take precedence over earlier ones.
    pub fn on(&self, method: Method, path: &str, status: u16, body: Json) -> &FakeArm {
        self.add(method, path, status, &[], body, None)
    }

    /// Like [`on`](FakeArm::on), but only for the next `times` requests. After that, earlier responses apply again.
    pub fn next(&self, times: usize, method: Method, path: &str, status: u16, body: Json) -> &FakeArm {
        self.add(method, path, status, &[], body, Some(times))
    }

    /// Like [`on`](FakeArm::on), with headers.
    pub fn on_with(
        &self,
        method: Method,
        path: &str,
        status: u16,
        headers: &[(&str, &str)],
        body: Json,
    ) -> &FakeArm {
        self.add(method, path, status, headers, body, None)
    }

    /// Like [`next`](FakeArm::next), for one request and with headers.
    pub fn add_next_with(
        &self,
        method: Method,
        path: &str,
        status: u16,
        headers: &[(&str, &str)],
        body: Json,
    ) -> &FakeArm {
        self.add(method, path, status, headers, body, Some(1))
    }

    fn add(
        &self,
        method: Method,
        path: &str,
        status: u16,
        headers: &[(&str, &str)],
        body: Json,
        times: Option<usize>,
    ) -> &FakeArm {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        self.routes.lock().unwrap().push(Route {
            method,
            path: path.to_lowercase(),
            query: query.to_owned(),
            status,
            headers: headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            body,
            times,
        });
        self
    }

    /// Delays every response by `latency` (on tokio's clock).
    pub fn takes(&self, latency: Duration) -> &FakeArm {
        *self.latency.lock().unwrap() = latency;
        self
    }

    /// Never responds to requests for `path`.
    pub fn is_silent_at(&self, path: &str) -> &FakeArm {
        self.silent.lock().unwrap().push(path.to_lowercase());
        self
    }

    /// The method and path of each request so far.
    pub fn calls(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|seen| seen.call.clone()).collect()
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Clears the recorded requests.
    pub fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }

    /// A client of this fake.
    pub fn client(self: &Arc<Self>) -> Client {
        Client::new(
            self.clone(),
            Arc::new(StaticTokens(Secret::new("token"))),
            CloudSource::Known(Cloud::public()),
            Options {
                user_agent: "test".to_owned(),
                max_concurrent_requests: 8,
                correlation_id: String::new(),
            },
        )
    }

    /// A context with this fake and [`SUBSCRIPTION`].
    pub fn context(self: &Arc<Self>) -> Context {
        let mut context = Context::new(self.client());
        context.subscription_id = Some(SUBSCRIPTION.to_owned());
        context
    }
}

/// An operation with a long timeout.
pub fn op() -> Op {
    Op::new(Duration::from_secs(300), CancellationToken::new())
}

#[async_trait]
impl Transport for FakeArm {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let url = url::Url::parse(&request.url).expect("an absolute URL");
        let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let decoded: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let decoded = decoded.join("&");
        let body = request.body.as_deref().and_then(|body| serde_json::from_slice(body).ok());
        self.seen.lock().unwrap().push(Seen {
            call: format!("{} {}", request.method, url.path()),
            query: url
                .query()
                .unwrap_or_default()
                .split('&')
                .filter(|part| !part.starts_with("api-version="))
                .collect::<Vec<_>>()
                .join("&"),
            body: body.unwrap_or(Json::Null),
        });
        let latency = *self.latency.lock().unwrap();
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let path = url.path().to_lowercase();
        if self.silent.lock().unwrap().contains(&path) {
            std::future::pending::<()>().await;
        }
        let mut routes = self.routes.lock().unwrap();
        let found = routes.iter_mut().rev().find(|route| {
            route.method == request.method
                && route.path == path
                && decoded.contains(&route.query)
                && route.times != Some(0)
        });
        let Some(route) = found else {
            let message = format!("The Resource '{path}' was not found.");
            return Ok(answer(404, &[], &json!({"error": {"code": "ResourceNotFound", "message": message}})));
        };
        if let Some(times) = &mut route.times {
            *times -= 1;
        }
        let mut body = route.body.clone();
        // Resource Manager returns the resource's ID in every response; add it if the route's body has none.
        if let Some(members) = body.as_object_mut()
            && matches!(request.method, Method::Get | Method::Put)
            && (200..300).contains(&route.status)
            && ends_in_a_name(&path)
        {
            members.entry("id").or_insert_with(|| json!(url.path()));
        }
        Ok(answer(route.status, &route.headers, &body))
    }
}

fn answer(status: u16, headers: &[(String, String)], body: &Json) -> Response {
    let mut headers = headers.to_vec();
    headers.push(("x-ms-request-id".to_owned(), "fake".to_owned()));
    Response {
        status,
        headers,
        body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
    }
}
