//! What a configured provider works with: the client, the subscription, default tags, guardrails and locks.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use tokio::sync::{Mutex as AsyncMutex, OnceCell, OwnedMutexGuard};

use super::builds::KnownRuns;
use super::guardrails::Guardrails;
use super::marketplace_cache::MarketplaceCache;
use super::prices;
use super::replication::Wait;
use super::run_log::RunLog;
use super::siblings::{ReadGuard, Siblings, Writing};
use crate::arm::{Client, Scope, Target, region};
use crate::framework::Op;
use crate::schema::{Diagnostic, Path};
use crate::sync::lock;

/// What a configured provider works with.
pub struct Context {
    /// The way to the service.
    pub client: Client,
    /// The provider's subscription, when it has one.
    pub subscription_id: Option<String>,
    /// Tags under every resource's own.
    pub default_tags: BTreeMap<String, String>,
    /// How long image versions wait when they do not say.
    pub wait_for_replication: Wait,
    /// The rules a team sets itself.
    pub guardrails: Guardrails,
    /// What the Marketplace has answered in this run.
    pub marketplace: MarketplaceCache,
    /// What this run has done.
    pub run: RunLog,
    /// The price lists that were read in this run.
    pub prices: prices::Cache,
    /// The runs of image templates that this run knows.
    pub builds: KnownRuns,
    siblings: Arc<Siblings>,
    locks: Mutex<HashMap<String, Arc<AsyncMutex<()>>>>,
    locations: AsyncMutex<HashMap<String, Arc<OnceCell<Vec<String>>>>>,
}

impl Context {
    /// A context around `client`; the rest is at its defaults.
    pub fn new(client: Client) -> Context {
        Context {
            client,
            subscription_id: None,
            default_tags: BTreeMap::new(),
            wait_for_replication: Wait::default(),
            guardrails: Guardrails::default(),
            marketplace: MarketplaceCache::default(),
            run: RunLog::default(),
            prices: prices::Cache::default(),
            builds: KnownRuns::default(),
            siblings: Arc::default(),
            locks: Mutex::default(),
            locations: AsyncMutex::default(),
        }
    }

    /// The subscription that `own` names, else the provider's; an error when neither does.
    pub fn subscription<'a>(&'a self, own: Option<&'a str>) -> Result<&'a str, Diagnostic> {
        own.filter(|own| !own.is_empty())
            .or(self.subscription_id.as_deref())
            .ok_or_else(|| {
                Diagnostic::error(
                    "No subscription is known",
                    "Set subscription_id here, in the provider block, or in the environment variable ARM_SUBSCRIPTION_ID.",
                )
                .at(Path::attribute("subscription_id"))
            })
    }

    /// Begins to read the object at `target`, unless a list of its siblings has it already: see [`siblings`](super::siblings).
    pub async fn read(&self, scope: &Scope, target: &Target) -> ReadGuard<'_> {
        self.siblings.read(&self.client, scope, target).await
    }

    /// Waits until nothing else in this process writes to `id` (in any case), and excludes other writes until the guard is
    /// dropped. Every write holds a guard, which drops the lists that were read before.
    pub async fn lock(&self, id: &str) -> Guard {
        let lock = lock(&self.locks).entry(id.to_lowercase()).or_default().clone();
        let own = lock.lock_owned().await;
        Guard { _writing: self.siblings.write(), _own: own }
    }

    /// Why `location` is no region of the subscription, when that is certain. Asked of the service only for names
    /// that this provider does not know, once a run.
    pub async fn unknown_location(&self, op: &Op, subscription: &str, location: &str) -> Option<String> {
        let name = region::normalise(location);
        if region::display_name(&name).is_some() {
            return None;
        }
        let cell = self.locations.lock().await.entry(subscription.to_lowercase()).or_default().clone();
        let scope = scope(op, "listing the subscription's regions");
        // leave time for the work that needs the region
        let scope = scope.anew(scope.remaining() / 2, scope.what());
        let target = Target::at(format!("/subscriptions/{subscription}/locations"));
        let known = cell.get_or_init(|| async {
            // without permission to list regions, they are not checked and not requested again
            let locations = self.client.list(&scope, &target).await.unwrap_or_else(|error| {
                tracing::debug!(%error, "regions cannot be listed, so locations are not checked");
                Vec::new()
            });
            locations
                .iter()
                .filter_map(|location| Some(region::normalise(location.get("name")?.as_str()?)))
                .collect()
        });
        let names = scope.run(known).await.ok()?;
        if names.is_empty() || names.contains(&name) {
            return None;
        }
        let hint = region::nearest(&name).map(|near| format!(" Did you mean {near:?}?")).unwrap_or_default();
        Some(format!("{location:?} is no region of subscription {subscription}.{hint}"))
    }
}

/// The right to write to one thing.
pub struct Guard {
    _writing: Writing,
    _own: OwnedMutexGuard<()>,
}

/// The frame of `op`, doing `what` ("creating gallery \"g\""). However many an operation makes, its time is one.
pub fn scope(op: &Op, what: impl Into<String>) -> Scope {
    Scope::since(op.begun, op.timeout, op.stop.clone(), what)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use tokio::time::Instant;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::azure::testing::{FakeArm, SUBSCRIPTION};

    const LOCATIONS: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/locations";

    fn op(seconds: u64) -> Op {
        Op::new(Duration::from_secs(seconds), CancellationToken::new())
    }

    #[tokio::test]
    async fn a_region_that_the_subscription_has_is_known() {
        let arm = FakeArm::new();
        arm.get(LOCATIONS, json!({"value": [{"name": "marsnorth"}]}));
        let context = arm.context();
        assert_eq!(context.unknown_location(&op(60), SUBSCRIPTION, "Mars North").await, None);
        let why = context.unknown_location(&op(60), SUBSCRIPTION, "marssouth").await.unwrap();
        assert!(why.contains("\"marssouth\" is no region"), "{why}");
        assert_eq!(arm.calls().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn regions_that_cannot_be_listed_are_asked_for_once() {
        let arm = FakeArm::new();
        arm.is_silent_at(LOCATIONS);
        let context = arm.context();
        let (begun, patient, hurried) = (Instant::now(), op(300), op(20));
        let ask = async |op: &Op| {
            assert_eq!(context.unknown_location(op, SUBSCRIPTION, "marsnorth").await, None);
            begun.elapsed().as_secs()
        };
        let times = tokio::join!(ask(&patient), ask(&hurried), ask(&patient));
        assert_eq!(times, (150, 10, 150), "each leaves half of its time, and none begins anew");
        assert_eq!(ask(&patient).await, 150);
        assert_eq!(arm.calls().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_interrupt_ends_the_wait_for_a_list_of_regions() {
        let arm = FakeArm::new();
        arm.is_silent_at(LOCATIONS);
        let context = arm.context();
        let (begun, first, second) = (Instant::now(), op(300), op(300));
        let stop = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            second.stop.cancel();
        };
        let asked = async {
            context.unknown_location(&second, SUBSCRIPTION, "marsnorth").await;
            begun.elapsed()
        };
        let (_, elapsed, ()) =
            tokio::join!(context.unknown_location(&first, SUBSCRIPTION, "marsnorth"), asked, stop);
        assert_eq!(elapsed, Duration::from_secs(1));
    }
}
