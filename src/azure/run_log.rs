//! Records what a run has planned and done, and caches the parents that it has read or written.
//!
//! Terraform plans again during apply, recreates objects that it has just deleted, and reads an image definition for each of
//! its versions. The log belongs to one configured provider and saves requests for what the run already knows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use serde_json::Value as Json;
use tokio::sync::Mutex as AsyncMutex;

use crate::arm::{Client, Error, ResourceId, Scope, Target};
use crate::sync::lock;

/// Something that happened to an object in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// It was read because this configuration manages it.
    Read,
    /// It is planned to be created.
    Planned,
    /// It is planned to be deleted, or replaced.
    PlannedAway,
    /// This run sent it to the service.
    Published,
    /// It was deleted; the service may still return it for a while.
    Deleted,
    /// It was removed from the state and kept in Azure.
    Retained,
    /// It is in the state, and destroying it keeps it in Azure.
    KeptOnDestroy,
    /// A refresh found it, but it is not in the state.
    AddedByOthers,
    /// It is a gallery in which destroying a definition purges soft-deleted versions.
    PurgeOnDestroy,
    /// It is a gallery in which destroying a definition keeps soft-deleted versions.
    KeepOnDestroy,
}

/// The events of a run, by resource ID in lower case.
#[derive(Default)]
pub struct RunLog {
    events: Mutex<BTreeMap<String, Vec<Event>>>,
    parents: Mutex<HashMap<String, Parent>>,
    waiting: Mutex<BTreeSet<String>>,
}

/// A parent's body. The lock is held during the request, so that concurrent readers send only one.
type Parent = Arc<AsyncMutex<Option<Json>>>;

impl RunLog {
    /// Records that `event` happened to `id`.
    pub fn record(&self, id: &str, event: Event) {
        lock(&self.events).entry(key(id)).or_default().push(event);
    }

    /// Whether `event` happened to `id`.
    pub fn has(&self, id: &str, event: Event) -> bool {
        lock(&self.events).get(&key(id)).is_some_and(|events| events.contains(&event))
    }

    /// Whether this run has sent an object to the service whose ID contains `part`, in lower case.
    pub fn has_published(&self, part: &str) -> bool {
        let events = lock(&self.events);
        events.iter().any(|(id, events)| id.contains(part) && events.contains(&Event::Published))
    }

    /// The IDs below `parent`, in lower case, to which `event` happened.
    pub fn below(&self, parent: &ResourceId, event: Event) -> Vec<String> {
        let prefix = format!("{}/", parent.key());
        let events = lock(&self.events);
        let below = events.iter().filter(|(id, events)| id.starts_with(&prefix) && events.contains(&event));
        below.map(|(id, _)| id.clone()).collect()
    }

    /// The number of events so far.
    pub fn event_count(&self) -> usize {
        lock(&self.events).values().map(Vec::len).sum()
    }

    /// Runs `work`, unless a call is running already that has the same `id`.
    pub async fn alone<T>(&self, id: &ResourceId, work: impl Future<Output = Option<T>>) -> Option<T> {
        if !lock(&self.waiting).insert(id.key()) {
            return None;
        }
        let end = Ended { log: self, id: id.key() };
        let result = work.await;
        drop(end);
        result
    }

    /// The body of the parent at `target`, from the cache if this run has read or written it. `None` if it does not exist,
    /// which is not cached.
    pub async fn parent(
        &self,
        client: &Client,
        scope: &Scope,
        target: &Target,
    ) -> Result<Option<Json>, Error> {
        let parent = lock(&self.parents).entry(key(target.path())).or_default().clone();
        let mut body = scope.run(parent.lock()).await?;
        if body.is_none() {
            *body = client.get_opt(scope, target).await?;
        }
        Ok(body.clone())
    }

    /// Caches an object that this run has just read or written.
    pub fn remember(&self, id: &str, body: &Json) {
        lock(&self.parents).insert(key(id), Arc::new(AsyncMutex::new(Some(body.clone()))));
    }

    /// Removes an object from the cache, because it is about to change.
    pub fn forget(&self, id: &str) {
        lock(&self.parents).remove(&key(id));
    }
}

// Ends a call of `alone`, also when it is cancelled.
struct Ended<'a> {
    log: &'a RunLog,
    id: String,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        lock(&self.log.waiting).remove(&self.id);
    }
}

fn key(id: &str) -> String {
    id.trim_end_matches('/').to_lowercase()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::azure::context::scope;
    use crate::azure::testing::{FakeArm, op};

    const GALLERY: &str = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries/g";

    #[tokio::test]
    async fn requests_a_parent_once_for_all_its_children() {
        let arm = FakeArm::new();
        let (context, op) = (arm.context(), op());
        let (scope, target) = (scope(&op, "reading"), Target::new(GALLERY, "2026-03-03"));
        let read = async || context.run.parent(&context.client, &scope, &target).await.unwrap();
        assert_eq!(read().await, None);
        arm.get(GALLERY, json!({"id": GALLERY}));
        let (a, b, c) = tokio::join!(read(), read(), read());
        assert!(a.is_some() && a == b && b == c);
        assert_eq!(arm.calls().len(), 2, "only a missing object is requested again");
        context.run.forget(&GALLERY.to_uppercase());
        read().await;
        assert_eq!(arm.calls().len(), 3);
        context.run.remember(GALLERY, &json!({"id": "written"}));
        assert_eq!(read().await.unwrap()["id"], "written");
    }

    #[test]
    fn records_events_by_id_ignoring_case() {
        let log = RunLog::default();
        let gallery = ResourceId::parse(GALLERY).unwrap();
        log.record(&format!("{GALLERY}/images/A"), Event::Planned);
        assert!(log.has(&format!("{GALLERY}/Images/a"), Event::Planned));
        assert!(!log.has(&format!("{GALLERY}/images/a"), Event::Deleted));
        assert_eq!(log.below(&gallery, Event::Planned).len(), 1);
        assert_eq!(log.below(&gallery, Event::Deleted).len(), 0);
    }
}
