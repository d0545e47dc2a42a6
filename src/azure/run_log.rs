//! What this run has done and plans to do, and the parents that it has read or written.
//!
//! Terraform plans again while it applies, creates what it has just deleted, and reads one definition for each of its
//! versions. The log lives as long as the configured provider and answers from memory what this run knows already.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use serde_json::Value as Json;
use tokio::sync::Mutex as AsyncMutex;

use crate::arm::{Client, Error, ResourceId, Scope, Target};
use crate::sync::lock;

/// Something that this run does to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// It was read because this configuration manages it.
    Read,
    /// It is planned to be created.
    Planned,
    /// It is planned to be deleted, or replaced.
    PlannedAway,
    /// It was sent to the service by this run.
    Published,
    /// It was deleted; the service may show it for some time yet.
    Deleted,
    /// It was dropped from the state and left in Azure.
    Retained,
    /// It is in the state, and will be left in Azure when it is destroyed.
    KeptOnDestroy,
    /// A refresh found it, and the state did not have it.
    AddedByOthers,
    /// It is a gallery of which destroying a definition purges the recycle bin.
    PurgeOnDestroy,
    /// It is a gallery of which destroying a definition keeps the recycle bin.
    KeepOnDestroy,
}

/// What this run has done, by resource ID in lower case.
#[derive(Default)]
pub struct RunLog {
    events: Mutex<BTreeMap<String, Vec<Event>>>,
    parents: Mutex<HashMap<String, Parent>>,
}

/// A parent's body; the lock is held while the service is asked, so that concurrent readers ask once.
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

    /// The IDs below `parent`, in lower case, to which `event` happened.
    pub fn below(&self, parent: &ResourceId, event: Event) -> Vec<String> {
        let prefix = format!("{}/", parent.key());
        let events = lock(&self.events);
        let below = events.iter().filter(|(id, events)| id.starts_with(&prefix) && events.contains(&event));
        below.map(|(id, _)| id.clone()).collect()
    }

    /// The body of the parent at `target`, from memory when this run has read or written it. `None` when it does not
    /// exist, which is not remembered.
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

    /// Remembers the object that this run has just read or written.
    pub fn remember(&self, id: &str, body: &Json) {
        lock(&self.parents).insert(key(id), Arc::new(AsyncMutex::new(Some(body.clone()))));
    }

    /// Forgets the object, because it is about to change.
    pub fn forget(&self, id: &str) {
        lock(&self.parents).remove(&key(id));
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
    async fn asks_for_a_parent_once_however_many_need_it() {
        let arm = FakeArm::new();
        let (context, op) = (arm.context(), op());
        let (scope, target) = (scope(&op, "reading"), Target::new(GALLERY, "2026-03-03"));
        let read = async || context.run.parent(&context.client, &scope, &target).await.unwrap();
        assert_eq!(read().await, None);
        arm.get(GALLERY, json!({"id": GALLERY}));
        let (a, b, c) = tokio::join!(read(), read(), read());
        assert!(a.is_some() && a == b && b == c);
        assert_eq!(arm.calls().len(), 2, "what does not exist is asked for again, what exists is not");
        context.run.forget(&GALLERY.to_uppercase());
        read().await;
        assert_eq!(arm.calls().len(), 3);
        context.run.remember(GALLERY, &json!({"id": "written"}));
        assert_eq!(read().await.unwrap()["id"], "written");
    }

    #[test]
    fn records_events_by_id_in_any_case() {
        let log = RunLog::default();
        let gallery = ResourceId::parse(GALLERY).unwrap();
        log.record(&format!("{GALLERY}/images/A"), Event::Planned);
        assert!(log.has(&format!("{GALLERY}/Images/a"), Event::Planned));
        assert!(!log.has(&format!("{GALLERY}/images/a"), Event::Deleted));
        assert_eq!(log.below(&gallery, Event::Planned).len(), 1);
        assert_eq!(log.below(&gallery, Event::Deleted).len(), 0);
    }
}
