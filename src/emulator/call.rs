//! One ARM request being processed: its parameters, the state it may change, and its response.

use std::sync::Arc;

use super::clock::Ticks;
use super::errors::ArmError;
use super::faults::Effects;
use super::json::Json;
use super::resource::Resource;
use super::settings::{Settings, Work};
use super::store::{Transaction, resource_key};

/// The HTTP methods of ARM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Put,
    Patch,
    Post,
    Delete,
}

impl Method {
    /// Parses a method, in any case.
    pub fn parse(text: &str) -> Option<Method> {
        Some(match text.to_ascii_uppercase().as_str() {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "POST" => Method::Post,
            "DELETE" => Method::Delete,
            _ => return None,
        })
    }

    /// The method as text.
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Post => "POST",
            Method::Delete => "DELETE",
        }
    }
}

/// One request.
pub struct Call<'a, 'v> {
    /// The method.
    pub method: Method,
    /// Decoded path segments, in the caller's spelling.
    pub segments: Vec<String>,
    /// Decoded query pairs.
    pub query: Vec<(String, String)>,
    /// The api-version in lower case; empty if absent.
    pub api: String,
    /// The parsed body; `Null` if absent.
    pub body: Json,
    /// The emulator's clock.
    pub now: Ticks,
    /// `https://host` as the caller addresses the emulator, for links.
    pub base: String,
    /// The subscription in the path, in the caller's spelling.
    pub subscription: String,
    /// The caller's tenant, object and application id.
    pub tenant: String,
    /// See `tenant`.
    pub object: String,
    /// The settings in force.
    pub settings: &'a Settings,
    /// The scripted faults of this request.
    pub effects: Effects,
    /// The state.
    pub state: &'a mut Transaction<'v>,
    /// The throttling class of this request, set by the route.
    pub meter: Option<&'static str>,
}

impl<'v> Call<'_, 'v> {
    /// The value of a query parameter; names are case-insensitive.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Whether `$expand` lists a word.
    pub fn expands(&self, word: &str) -> bool {
        self.query("$expand")
            .is_some_and(|list| list.split(',').any(|item| item.trim().eq_ignore_ascii_case(word)))
    }

    /// Whether the request's api-version is this one or later (`2022-03-03`).
    pub fn since(&self, version: &str) -> bool {
        self.api.as_str().get(..10).unwrap_or("") >= version
    }

    /// How long a piece of work takes.
    pub fn duration(&self, work: Work) -> Ticks {
        self.settings.duration(work)
    }

    /// A resource that currently exists, by ID in any case.
    pub fn find(&self, id: &str) -> Option<Resource> {
        let record = self.state.get(&resource_key(id))?;
        let resource = Resource::from_record(&record);
        (resource.exists(self.now) || self.is_visible_after_deletion(&resource)).then_some(resource)
    }

    /// With eventual consistency: also finds a recently deleted resource.
    fn is_visible_after_deletion(&self, resource: &Resource) -> bool {
        self.settings.eventual_consistency
            && self.method == Method::Get
            && resource.ended().is_some_and(|end| self.now < end + self.duration(Work::ReadLag))
    }

    /// Stores a resource.
    pub fn save(&mut self, resource: &Resource) {
        self.state.put(&resource_key(resource.id()), Json::clone(&resource.doc));
    }

    /// The children of a collection such as `…/galleries` that currently exist.
    pub fn children(&self, collection: &str) -> Vec<Resource> {
        let prefix = format!("r|{}|", collection.trim_end_matches('/').to_ascii_lowercase());
        let mut found = Vec::new();
        self.state.scan(&prefix, None, |_, record| {
            let resource = Resource::from_record(record);
            if resource.exists(self.now) {
                found.push(resource);
            }
            true
        });
        found
    }

    /// One page of a collection, and whether more follow. The continuation token is the last name shown.
    pub fn page(&self, collection: &str) -> (Vec<Resource>, bool) {
        let prefix = format!("r|{}|", collection.trim_end_matches('/').to_ascii_lowercase());
        let after = self.query("$skiptoken").map(|name| format!("{prefix}{}", name.to_ascii_lowercase()));
        let size = self.page_size();
        let mut found = Vec::new();
        let mut more = false;
        self.state.scan(&prefix, after.as_deref(), |_, record| {
            let resource = Resource::from_record(record);
            if !resource.exists(self.now) {
                return true;
            }
            if found.len() == size {
                more = true;
                return false;
            }
            found.push(resource);
            true
        });
        (found, more)
    }

    fn page_size(&self) -> usize {
        self.query("$top")
            .and_then(|top| top.parse::<usize>().ok())
            .filter(|top| *top > 0)
            .map_or(self.settings.page_size, |top| top.min(self.settings.page_size))
    }

    /// The `{"value":[…],"nextLink":…}` of a list of one collection.
    pub fn list_answer(&self, collection: &str, show: impl Fn(&Resource) -> Json) -> Answer {
        let (found, more) = self.page(collection);
        let token = found.last().map(|last| last.name().to_owned());
        let values: Vec<Json> = found.iter().map(show).collect();
        let next = more.then(|| self.next_link(&token.unwrap_or_default()));
        Answer::pretty(200, Json::object().with("value", values).maybe("nextLink", next))
    }

    /// All resources of one type in the subscription, as a list paged by position.
    pub fn subscription_answer(&self, kind: &str, show: impl Fn(&Resource) -> Json) -> Answer {
        let start: usize = self.query("$skiptoken").and_then(|token| token.parse().ok()).unwrap_or(0);
        let all: Vec<Resource> = self
            .state
            .of_type(&self.subscription, kind)
            .iter()
            .map(Resource::from_record)
            .filter(|resource| resource.exists(self.now))
            .collect();
        let size = self.page_size();
        let next = (all.len() > start + size).then(|| self.next_link(&(start + size).to_string()));
        let values: Vec<Json> = all.iter().skip(start).take(size).map(show).collect();
        Answer::pretty(200, Json::object().with("value", values).maybe("nextLink", next))
    }

    /// The URL of this request with another `$skiptoken`.
    pub fn next_link(&self, token: &str) -> String {
        let mut url = url::Url::parse(&self.base).unwrap_or_else(|_| {
            url::Url::parse("https://management.azure.com").unwrap_or_else(|_| unreachable!("a constant URL"))
        });
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().extend(&self.segments);
        }
        for (name, value) in &self.query {
            if !name.eq_ignore_ascii_case("$skiptoken") {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        url.query_pairs_mut().append_pair("$skiptoken", token);
        url.to_string()
    }

    /// One page of filtered values, paged by position; `$top` limits the page.
    pub fn paged_answer(&self, values: Vec<Json>) -> Outcome {
        let start: usize = self.query("$skiptoken").and_then(|token| token.parse().ok()).unwrap_or(0);
        let size = match self.query("$top") {
            None => self.settings.page_size,
            Some(top) => top
                .parse()
                .ok()
                .filter(|top| *top > 0)
                .map(|top: usize| top.min(self.settings.page_size))
                .ok_or_else(|| {
                    ArmError::gateway(
                        400,
                        "InvalidTopInQueryString",
                        format!("Invalid $top '{top}' in the query string."),
                    )
                })?,
        };
        let next =
            (values.len() > start.saturating_add(size)).then(|| self.next_link(&(start + size).to_string()));
        let values: Vec<Json> = values.into_iter().skip(start).take(size).collect();
        Ok(Answer::compact(200, Json::object().with("value", values).maybe("nextLink", next)))
    }

    /// The outcome of another request within this one: same caller, time and staged state.
    pub fn inner(&mut self, handler: Handler, method: Method, id: &str, api: &str, body: Json) -> Outcome {
        self.inner_with_query(handler, method, id, api, Vec::new(), body)
    }

    /// [`Call::inner`] with query parameters besides the API version.
    pub fn inner_with_query(
        &mut self,
        handler: Handler,
        method: Method,
        id: &str,
        api: &str,
        query: Vec<(String, String)>,
        body: Json,
    ) -> Outcome {
        let segments = id.trim_start_matches('/').split('/').map(str::to_owned).collect();
        let outer = (
            std::mem::replace(&mut self.method, method),
            std::mem::replace(&mut self.segments, segments),
            std::mem::replace(&mut self.api, api.to_ascii_lowercase()),
            std::mem::replace(&mut self.body, body),
            std::mem::replace(&mut self.query, query),
            self.subscription.clone(),
            self.meter,
        );
        let outcome = handler(self);
        (self.method, self.segments, self.api, self.body, self.query, self.subscription, self.meter) = outer;
        outcome
    }

    /// The record under a key that is not a resource.
    pub fn record(&self, key: &str) -> Option<Arc<Json>> {
        self.state.get(key)
    }
}

/// The body of a response.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Empty.
    None,
    /// JSON in the compute provider's format.
    Pretty(Json),
    /// JSON in ARM's own format.
    Compact(Json),
    /// Any other content, with its content type.
    Bytes(&'static str, Vec<u8>),
}

/// A response before the common headers are added.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Its specific headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
}

impl Answer {
    /// Without a body.
    pub fn empty(status: u16) -> Answer {
        Answer { status, headers: Vec::new(), body: Body::None }
    }

    /// With a body in the compute provider's format.
    pub fn pretty(status: u16, body: Json) -> Answer {
        Answer { body: Body::Pretty(body), ..Answer::empty(status) }
    }

    /// With a body on one line.
    pub fn compact(status: u16, body: Json) -> Answer {
        Answer { body: Body::Compact(body), ..Answer::empty(status) }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Answer {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// The return type of a route.
pub type Outcome = Result<Answer, ArmError>;

/// Responds to a request. Routes that send nested requests receive the router as this type.
pub type Handler = for<'a, 'v> fn(&mut Call<'a, 'v>) -> Outcome;
