//! The objects that one walk of Terraform's graph has met, by ID: which exist in the state, which are planned, and so whether
//! a create makes something new, replaces an object, or claims an ID that another address manages.
//!
//! Terraform hides a replacement: it plans it as a create. Three things reveal it. An attribute change, `-replace` and
//! `replace_triggered_by` plan the old object first and hand the private state of that plan to the create, so the plan of an
//! object leaves its ID there (see [`PLANNED_FROM`]). A tainted object is planned as a create at once, but its state has just
//! been upgraded and read. Everything else with that ID is another address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::schema::Value;
use crate::sync::lock;

/// Key in the private state of a plan: the ID of the object that was planned. Never stored in a state.
pub const PLANNED_FROM: &str = "planned_from";

/// What is known of each ID, in any case of its letters.
#[derive(Default)]
pub struct RunIds(Mutex<HashMap<String, Known>>);

#[derive(Default)]
struct Known {
    /// The state holds an object with this ID, and it has not been found missing since.
    in_state: bool,
    /// An object with this ID was planned: to be kept, changed or deleted.
    planned: bool,
    /// A create with this ID was planned that does not replace the object itself.
    created: bool,
    /// What it is planned to be, or has become in this walk.
    object: Option<Arc<Value>>,
}

/// What a create does to the object with its ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// There is no such object yet.
    New,
    /// The object exists, and this create replaces it.
    Replacement,
    /// Another address manages or creates the object.
    Duplicate,
}

impl RunIds {
    /// Forgets everything: a new walk begins.
    pub fn clear(&self) {
        self.known().clear();
    }

    /// The state holds the object.
    pub fn found_in_state(&self, id: &str) {
        self.known().entry(key(id)).or_default().in_state = true;
    }

    /// The object does not exist any more: a read did not find it, or it was deleted.
    pub fn found_missing(&self, id: &str) {
        if let Some(entry) = self.known().get_mut(&key(id)) {
            (entry.in_state, entry.planned, entry.object) = (false, false, None);
        }
    }

    /// Notes that an existing object is planned; false when a create of another address claims its ID.
    pub fn plan_existing(&self, id: &str) -> bool {
        let mut known = self.known();
        let entry = known.entry(key(id)).or_default();
        entry.planned = true;
        !entry.created
    }

    /// Notes that an object is planned to be created, and tells what that means. `planned_from` is the ID that the private
    /// state of the plan holds, if any.
    pub fn plan_create(&self, id: &str, planned_from: Option<&str>) -> Creation {
        let mut known = self.known();
        let entry = known.entry(key(id)).or_default();
        if planned_from.is_some_and(|from| key(from) == key(id)) {
            return Creation::Replacement;
        }
        if entry.planned || std::mem::replace(&mut entry.created, true) {
            Creation::Duplicate
        } else if entry.in_state {
            Creation::Replacement
        } else {
            Creation::New
        }
    }

    /// Remembers what the object is planned to be, or has become.
    pub fn set_object(&self, id: &str, object: Value) {
        self.known().entry(key(id)).or_default().object = Some(Arc::new(object));
    }

    /// Remembers what the object has become. What was planned for it is done, so a later plan of it is no conflict.
    pub fn set_applied(&self, id: &str, object: Value) {
        let mut known = self.known();
        let entry = known.entry(key(id)).or_default();
        *entry = Known { in_state: true, object: Some(Arc::new(object)), ..Known::default() };
    }

    /// Whether this walk has planned to create the object, which does not exist yet.
    pub fn is_to_be_created(&self, id: &str) -> bool {
        self.known().get(&key(id)).is_some_and(|entry| entry.created && !entry.in_state)
    }

    /// What this walk has planned or made of the object; `None` when it has done neither.
    pub fn object(&self, id: &str) -> Option<Arc<Value>> {
        self.known().get(&key(id))?.object.clone()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        lock(&self.0)
    }
}

fn key(id: &str) -> String {
    id.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "/galleries/g";

    #[test]
    fn a_create_is_told_apart_by_what_came_before_it() {
        type Before = fn(&RunIds);
        let rows: &[(&str, Before, Option<&str>, Creation)] = &[
            ("nothing", |_| {}, None, Creation::New),
            (
                "the plan of the same object",
                |ids| {
                    ids.plan_existing(ID);
                },
                Some(ID),
                Creation::Replacement,
            ),
            ("the plan of a renamed object", |_| {}, Some("/galleries/old"), Creation::New),
            ("its tainted state", |ids| ids.found_in_state("/Galleries/G"), None, Creation::Replacement),
            (
                "its state, and that it is missing",
                |ids| {
                    ids.found_in_state(ID);
                    ids.found_missing(ID);
                },
                None,
                Creation::New,
            ),
            (
                "the plan of another address",
                |ids| {
                    ids.plan_existing(ID);
                },
                None,
                Creation::Duplicate,
            ),
            (
                "the create of another address",
                |ids| {
                    ids.plan_create(ID, None);
                },
                None,
                Creation::Duplicate,
            ),
            (
                "the create of another address that replaces something else",
                |ids| {
                    ids.plan_create(ID, Some("/galleries/old"));
                },
                None,
                Creation::Duplicate,
            ),
        ];
        for (what, before, planned_from, expected) in rows {
            let ids = RunIds::default();
            before(&ids);
            assert_eq!(ids.plan_create(ID, *planned_from), *expected, "{what}");
        }
    }

    #[test]
    fn an_object_whose_id_was_claimed_by_a_create_conflicts() {
        let ids = RunIds::default();
        assert!(ids.plan_existing(ID));
        assert_eq!(ids.plan_create(ID, Some(ID)), Creation::Replacement);
        assert!(ids.plan_existing(ID), "its own replacement is no conflict");
        ids.clear();
        ids.plan_create(ID, None);
        assert!(!ids.plan_existing(ID));
    }

    #[test]
    fn an_object_is_to_be_created_until_it_is_applied() {
        let ids = RunIds::default();
        assert!(!ids.is_to_be_created(ID));
        ids.plan_create(ID, None);
        assert!(ids.is_to_be_created("/Galleries/G"));
        ids.set_applied(ID, Value::Null);
        assert!(!ids.is_to_be_created(ID));
    }
}
