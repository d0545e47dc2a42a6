//! The objects of a run of Terraform by ID: which exist in the state and which are planned. This tells whether a create
//! makes a new object, replaces one, or claims an ID that another address manages.
//!
//! Terraform plans a replacement as a create, without saying so. For an attribute change, `-replace` and
//! `replace_triggered_by` it plans the old object first and passes the private state of that plan to the create, so the plan
//! of an object stores its ID there (see [`PLANNED_FROM`]). A tainted object is planned only as a create, but its state has
//! been upgraded and read just before. Any other create with that ID comes from another address.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::schema::Value;
use crate::sync::lock;

/// The key in a plan's private state of the ID of the planned object. It is never stored in a state.
pub const PLANNED_FROM: &str = "planned_from";

/// What is known about each ID, ignoring case.
#[derive(Default)]
pub struct RunIds {
    known: Mutex<HashMap<String, Known>>,
    is_applying: AtomicBool,
}

#[derive(Default)]
struct Known {
    /// The state contains an object with this ID, which no read has found missing since.
    in_state: bool,
    /// An existing object with this ID was planned: to be kept, changed or deleted.
    planned: bool,
    /// A create with this ID was planned that is not the object's own replacement.
    created: bool,
    /// Its planned state, or its new state once it is applied.
    object: Option<Arc<Value>>,
}

/// The meaning of a planned create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// There is no object with the ID yet.
    New,
    /// The object exists, and this create replaces it.
    Replacement,
    /// Another address manages or creates the object.
    Duplicate,
}

impl RunIds {
    /// Forgets everything when a new run begins.
    pub fn clear(&self) {
        self.known().clear();
        self.is_applying.store(false, Ordering::Relaxed);
    }

    /// Notes that Terraform applies a plan, and plans its resources once more.
    pub fn begin_apply(&self) {
        self.is_applying.store(true, Ordering::Relaxed);
    }

    /// Whether Terraform applies a plan, as far as is known: not before it has applied the first change.
    pub fn is_applying(&self) -> bool {
        self.is_applying.load(Ordering::Relaxed)
    }

    /// Notes that the state contains the object.
    pub fn found_in_state(&self, id: &str) {
        self.known().entry(key(id)).or_default().in_state = true;
    }

    /// Notes that the object does not exist any more: a read did not find it, or it was deleted.
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

    /// Notes that an object is planned to be created, and returns the meaning of the create. `planned_from` is the ID in the
    /// private state of the plan, if any.
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

    /// Stores the planned or new state of the object.
    pub fn set_object(&self, id: &str, object: Value) {
        self.known().entry(key(id)).or_default().object = Some(Arc::new(object));
    }

    /// Stores the new state of an applied object. Its plan is complete, so a later plan of it is not a conflict.
    pub fn set_applied(&self, id: &str, object: Value) {
        let mut known = self.known();
        let entry = known.entry(key(id)).or_default();
        *entry = Known { in_state: true, object: Some(Arc::new(object)), ..Known::default() };
    }

    /// Whether this run has planned to create the object, which does not exist yet.
    pub fn is_to_be_created(&self, id: &str) -> bool {
        self.known().get(&key(id)).is_some_and(|entry| entry.created && !entry.in_state)
    }

    /// The state that this run has planned or applied for the object, if any.
    pub fn object(&self, id: &str) -> Option<Arc<Value>> {
        self.known().get(&key(id))?.object.clone()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        lock(&self.known)
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
    fn earlier_requests_determine_the_meaning_of_a_create() {
        type Earlier = fn(&RunIds);
        let rows: &[(&str, Earlier, Option<&str>, Creation)] = &[
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
        assert!(ids.plan_existing(ID), "its own replacement is not a conflict");
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
