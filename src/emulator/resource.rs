//! A stored resource: its document, the operation that is changing it, and what state that puts it in at a given moment.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::clock::Ticks;
use super::json::Json;
use super::operation::Operation;
use super::store::EXPIRES;

/// The field of a stored document that clients never see.
const HIDDEN: &str = "_";

/// What an operation does to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Verb {
    Create,
    Update,
    Delete,
}

/// A document that is shared with the store until it is changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Doc(Arc<Json>);

impl Deref for Doc {
    type Target = Json;

    fn deref(&self) -> &Json {
        &self.0
    }
}

impl DerefMut for Doc {
    fn deref_mut(&mut self) -> &mut Json {
        Arc::make_mut(&mut self.0)
    }
}

impl From<Json> for Doc {
    fn from(json: Json) -> Doc {
        Doc(Arc::new(json))
    }
}

/// A resource as stored: `id`, `name`, `type`, `location`, `tags`, `properties` and hidden fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// The whole document.
    pub doc: Doc,
}

impl Resource {
    /// A new one.
    pub fn new(id: &str, kind: &str, location: &str) -> Resource {
        let name = id.rsplit('/').next().unwrap_or_default();
        Resource {
            doc: Json::object()
                .with("name", name)
                .with("id", id)
                .with("type", kind)
                .with("location", location)
                .with("properties", Json::object())
                .into(),
        }
    }

    /// A copy of a record.
    pub fn from_record(record: &Arc<Json>) -> Resource {
        Resource { doc: Doc(Arc::clone(record)) }
    }

    /// The ARM id, in the case it was created with.
    pub fn id(&self) -> &str {
        self.doc.text("id").unwrap_or_default()
    }

    /// The last segment of the id.
    pub fn name(&self) -> &str {
        self.doc.text("name").unwrap_or_default()
    }

    /// The region's name.
    pub fn location(&self) -> &str {
        self.doc.text("location").unwrap_or_default()
    }

    /// A property by dotted path.
    pub fn property(&self, path: &str) -> Option<&Json> {
        self.doc.get("properties").and_then(|properties| properties.at(path))
    }

    /// A text property by dotted path.
    pub fn property_text(&self, path: &str) -> Option<&str> {
        self.property(path).and_then(Json::as_str)
    }

    /// The properties, for changing.
    pub fn properties(&mut self) -> &mut Json {
        self.doc.entry("properties")
    }

    /// A hidden value.
    pub fn hidden(&self, path: &str) -> Option<&Json> {
        self.doc.get(HIDDEN).and_then(|hidden| hidden.at(path))
    }

    /// Sets a hidden value.
    pub fn hide(&mut self, key: &str, value: impl Into<Json>) {
        self.doc.entry(HIDDEN).set(key, value);
    }

    /// Binds the resource to an operation that has just begun; `keep` is how long after a delete a trace of it stays.
    pub fn bind(&mut self, operation: &Operation, verb: Verb, keep: Ticks) {
        let verb_name = match verb {
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Delete => "delete",
        };
        let mut bound = Json::object()
            .with("guid", operation.guid.as_str())
            .with("verb", verb_name)
            .with("start", operation.start)
            .maybe("end", operation.end);
        if operation.error.is_some() {
            bound.set("failed", true);
        }
        if operation.loses {
            bound.set("lost", true);
        }
        self.hide("operation", bound);
        self.doc.remove(EXPIRES);
        if verb == Verb::Delete
            && operation.error.is_none()
            && let Some(end) = operation.end
        {
            self.doc.set(EXPIRES, end + keep);
        }
    }

    /// Forgets the operation: the resource is simply there.
    pub fn settle(&mut self) {
        if let Json::Object(_) = &*self.doc {
            self.doc.entry(HIDDEN).remove("operation");
            self.doc.remove(EXPIRES);
        }
    }

    /// When the running or last operation began.
    pub fn started(&self) -> Option<Ticks> {
        self.doc.int("_.operation.start")
    }

    /// When the running or last operation ended or will end; `None` while it is stuck.
    pub fn ended(&self) -> Option<Ticks> {
        self.doc.int("_.operation.end")
    }

    /// True while an operation runs.
    pub fn busy(&self, now: Ticks) -> bool {
        self.hidden("operation").is_some() && self.ended().is_none_or(|end| now < end)
    }

    /// True until its delete has ended, or an operation that loses it.
    pub fn exists(&self, now: Ticks) -> bool {
        let deletes = self.hidden("operation.verb").and_then(Json::as_str) == Some("delete")
            || self.hidden("operation.lost").is_some();
        let deleted = deletes
            && self.hidden("operation.failed").is_none()
            && self.ended().is_some_and(|end| now >= end);
        !deleted
    }

    /// True once an operation that created or changed it has succeeded at least for now.
    pub fn ready(&self, now: Ticks) -> bool {
        self.state(now) == "Succeeded"
    }

    /// `provisioningState` at a moment.
    pub fn state(&self, now: Ticks) -> &'static str {
        if self.hidden("operation").is_none() {
            return "Succeeded";
        }
        if self.busy(now) {
            return match self.hidden("operation.verb").and_then(Json::as_str) {
                Some("create") => "Creating",
                Some("delete") => "Deleting",
                _ => "Updating",
            };
        }
        if self.hidden("operation.failed").is_some() { "Failed" } else { "Succeeded" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_follows_the_clock() {
        let mut resource = Resource::new("/subscriptions/s/x/y", "X", "eastus");
        assert_eq!(resource.state(0), "Succeeded");
        let mut operation = Operation::for_tests(10, Some(20));
        resource.bind(&operation, Verb::Create, 0);
        assert_eq!((resource.state(19), resource.state(20)), ("Creating", "Succeeded"));
        operation.error = Some(("Boom".into(), "it failed".into()));
        resource.bind(&operation, Verb::Update, 0);
        assert_eq!((resource.state(19), resource.state(20)), ("Updating", "Failed"));
        operation.error = None;
        resource.bind(&operation, Verb::Delete, 5);
        assert_eq!(resource.state(19), "Deleting");
        assert!(resource.exists(19) && !resource.exists(20));
        assert_eq!(resource.doc.int(EXPIRES), Some(25));
        operation.end = None;
        resource.bind(&operation, Verb::Delete, 5);
        assert!(resource.exists(i64::MAX) && resource.busy(i64::MAX));
    }
}
