//! The configured provider: client, subscription, default tags, guardrails and locks.

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

/// The configured provider.
pub struct Context {
    /// The client of Azure Resource Manager.
    pub client: Client,
    /// The provider's subscription, if one is set.
    pub subscription_id: Option<String>,
    /// The tags that are added to those of every resource.
    pub default_tags: BTreeMap<String, String>,
    /// How long image versions wait for replication by default.
    pub wait_for_replication: Wait,
    /// The guardrails.
    pub guardrails: Guardrails,
    /// The Marketplace responses of this run.
    pub marketplace: MarketplaceCache,
    /// The events of this run.
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
    /// Creates a context for `client`, with defaults for everything else.
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

    /// The subscription `own`, or else the provider's; an error if neither is set.
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

    /// Begins a read of the object at `target`. A list of its siblings may already contain it: see
    /// [`siblings`](super::siblings).
    pub async fn read(&self, scope: &Scope, target: &Target) -> ReadGuard<'_> {
        self.siblings.read(&self.client, scope, target).await
    }

    /// Waits until no other task in this process writes to `id` (ignoring case), and blocks other writes until the
    /// guard is dropped. Every write holds a guard, which invalidates the cached lists.
    pub async fn lock(&self, id: &str) -> Guard {
        let lock = lock(&self.locks).entry(id.to_lowercase()).or_default().clone();
        let own = lock.lock_owned().await;
        Guard { _writing: self.siblings.write(), _own: own }
    }

    /// The reason why `location` is certainly not a region of the subscription. The service is requested once per
    /// run, and only for names that this provider does not know.
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

/// The right to write to one object.
pub struct Guard {
    _writing: Writing,
    _own: OwnedMutexGuard<()>,
}

/// The scope of `op`, doing `what` ("creating gallery \"g\""). All requests of an operation share one time limit.
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
    async fn requests_regions_that_cannot_be_listed_only_once() {
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
