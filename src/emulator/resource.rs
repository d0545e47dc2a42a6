//! A stored resource: its document, the operation that is changing it, and its provisioning state at a given moment.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::clock::Ticks;
use super::json::Json;
use super::operation::Operation;
use super::store::EXPIRES;

/// The field of a stored document that is never shown to clients.
const HIDDEN: &str = "_";

/// The effect of an operation on a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Verb {
    Create,
    Update,
    Delete,
}

/// A document that is shared with the store until it is modified (copy on write).
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

/// A stored resource: `id`, `name`, `type`, `location`, `tags`, `properties` and hidden fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// The whole document.
    pub doc: Doc,
}

impl Resource {
    /// Creates a resource.
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

    /// Copies a stored record.
    pub fn from_record(record: &Arc<Json>) -> Resource {
        Resource { doc: Doc(Arc::clone(record)) }
    }

    /// The ARM ID, in the case it was created with.
    pub fn id(&self) -> &str {
        self.doc.text("id").unwrap_or_default()
    }

    /// The last segment of the ID.
    pub fn name(&self) -> &str {
        self.doc.text("name").unwrap_or_default()
    }

    /// The name of the region.
    pub fn location(&self) -> &str {
        self.doc.text("location").unwrap_or_default()
    }

    /// A property, by dotted path.
    pub fn property(&self, path: &str) -> Option<&Json> {
        self.doc.get("properties").and_then(|properties| properties.at(path))
    }

    /// A text property, by dotted path.
    pub fn property_text(&self, path: &str) -> Option<&str> {
        self.property(path).and_then(Json::as_str)
    }

    /// A mutable reference to the properties.
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

    /// Binds the resource to an operation that has just started. `keep` is how long its record outlives a deletion.
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

    /// Unbinds the operation: the resource exists and nothing is running.
    pub fn settle(&mut self) {
        if let Json::Object(_) = &*self.doc {
            self.doc.entry(HIDDEN).remove("operation");
            self.doc.remove(EXPIRES);
        }
    }

    /// When the running or last operation started.
    pub fn started(&self) -> Option<Ticks> {
        self.doc.int("_.operation.start")
    }

    /// When the running or last operation ended or will end; `None` if it never ends.
    pub fn ended(&self) -> Option<Ticks> {
        self.doc.int("_.operation.end")
    }

    /// Whether an operation is running.
    pub fn busy(&self, now: Ticks) -> bool {
        self.hidden("operation").is_some() && self.ended().is_none_or(|end| now < end)
    }

    /// Whether the resource still exists: false once its deletion, or an operation that loses it, has ended.
    pub fn exists(&self, now: Ticks) -> bool {
        let deletes = self.hidden("operation.verb").and_then(Json::as_str) == Some("delete")
            || self.hidden("operation.lost").is_some();
        let deleted = deletes
            && self.hidden("operation.failed").is_none()
            && self.ended().is_some_and(|end| now >= end);
        !deleted
    }

    /// Whether an operation that created or changed it has succeeded by now.
    pub fn ready(&self, now: Ticks) -> bool {
        self.state(now) == "Succeeded"
    }

    /// The `provisioningState` at a moment.
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
    fn provisioning_state_follows_the_clock() {
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
