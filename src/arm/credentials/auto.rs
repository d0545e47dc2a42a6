//! Tokens from the first configured sign-in method that works, which is chosen when the first token is needed.

use std::sync::{Arc, OnceLock, RwLock};

use async_trait::async_trait;
use azure_identity::Executor;
use tokio::time::Instant;

use super::choose::{Attempt, Way, choose};
use super::{
    Context, Credentials, SIGN_IN_LIMIT, azure_cli, azure_devops, certificate, client_secret, github,
    managed_identity, oidc,
};
use crate::arm::clouds::{Cloud, CloudSource};
use crate::arm::error::{Error, Kind};
use crate::arm::host_request::Failure;
use crate::arm::secret::Secret;
use crate::arm::token::{Cache, Fresh, Source, Tokens};
use crate::arm::transport::Transport;
use crate::sync::{lock, read, write};

/// Tokens for the cloud's Resource Manager from the first configured method that works, in azurerm's order.
///
/// Nothing is read or sent before the first token is needed. The method is logged at INFO. If none works, a single error
/// lists the reason of each.
pub fn auto(credentials: Credentials, cloud: CloudSource, transport: Arc<dyn Transport>) -> Arc<dyn Tokens> {
    with_environment(credentials, cloud, transport, |name| std::env::var(name).ok(), None)
}

fn with_environment(
    credentials: Credentials,
    source: CloudSource,
    transport: Arc<dyn Transport>,
    env: fn(&str) -> Option<String>,
    az: Option<Arc<dyn Executor>>,
) -> Arc<dyn Tokens> {
    let tenants: Vec<String> = credentials
        .auxiliary_tenant_ids
        .iter()
        .map(|tenant| tenant.trim().to_owned())
        .filter(|tenant| !tenant.is_empty())
        .collect();
    let shared =
        Shared { credentials, source, transport, env, az, cloud: OnceLock::new(), chosen: RwLock::new(None) };
    let shared = Arc::new(shared);
    let cache = |tenant: Option<String>| Cache::new(Arc::new(Tenant { shared: Arc::clone(&shared), tenant }));
    Arc::new(Auto {
        home: cache(None),
        auxiliary: tenants.into_iter().map(|t| cache(Some(t))).collect(),
        shared: Arc::clone(&shared),
    })
}

struct Auto {
    home: Cache,
    auxiliary: Vec<Cache>,
    shared: Arc<Shared>,
}

struct Shared {
    credentials: Credentials,
    source: CloudSource,
    transport: Arc<dyn Transport>,
    env: fn(&str) -> Option<String>,
    /// Runs `az` in tests.
    az: Option<Arc<dyn Executor>>,
    cloud: OnceLock<Cloud>,
    /// The method that worked.
    chosen: RwLock<Option<Way>>,
}

/// The tokens of one tenant.
struct Tenant {
    shared: Arc<Shared>,
    tenant: Option<String>,
}

#[async_trait]
impl Tokens for Auto {
    async fn token(&self) -> Result<Secret, Error> {
        self.home.get().await
    }

    async fn auxiliary(&self) -> Result<Vec<Secret>, Error> {
        let mut tokens = Vec::with_capacity(self.auxiliary.len());
        for cache in &self.auxiliary {
            tokens.push(cache.get().await?);
        }
        Ok(tokens)
    }

    fn reject(&self, token: &Secret) {
        // The service does not say which of the tokens has expired.
        if self.home.reject(token) {
            self.auxiliary.iter().for_each(Cache::forget);
        }
    }

    fn use_cloud(&self, cloud: &Cloud) {
        let _ = self.shared.cloud.set(cloud.clone());
    }
}

#[async_trait]
impl Source for Tenant {
    async fn fetch(&self) -> Result<Fresh, Error> {
        let shared = &*self.shared;
        let cloud = match shared.cloud.get() {
            Some(cloud) => cloud,
            None => {
                let found = shared.source.resolve(&*shared.transport).await?;
                shared.cloud.get_or_init(|| found)
            }
        };
        let context = Context {
            credentials: &shared.credentials,
            cloud,
            transport: &shared.transport,
            env: shared.env,
            az: shared.az.clone(),
            tenant: self.tenant.as_deref(),
            last_failure: Arc::default(),
        };
        let chosen = *read(&shared.chosen);
        let attempts = choose(&shared.credentials);
        let deadline = Instant::now() + SIGN_IN_LIMIT;
        let mut failures = Vec::new();
        for attempt in &attempts {
            // Keep using a method that has worked: the identity must not change during a run.
            if attempt.skip.is_some() || chosen.is_some_and(|chosen| chosen != attempt.way) {
                continue;
            }
            if Instant::now() >= deadline {
                failures.push((attempt.way, Failure::transient("there was no time left")));
                continue;
            }
            let fetched = tokio::time::timeout_at(deadline, fetch(attempt.way, &context)).await;
            match fetched.unwrap_or_else(|_| Err(out_of_time(&context))) {
                Ok(fresh) => {
                    if chosen.is_none() {
                        *write(&shared.chosen) = Some(attempt.way);
                        tracing::info!(
                            "signing in to {} with {}: {}",
                            cloud.name,
                            attempt.way.name(),
                            attempt.reason
                        );
                    }
                    return Ok(fresh);
                }
                Err(failure) => failures.push((attempt.way, failure)),
            }
        }
        let transient = failures.iter().any(|(_, failure)| failure.transient);
        let message = all_failed(&attempts, &failures, self.tenant.as_deref());
        Err(Error::new(Kind::Credential { transient }, message))
    }
}

/// The failure of a method that exceeded the time limit: the last response, if there is one.
fn out_of_time(context: &Context<'_>) -> Failure {
    let last = lock(&context.last_failure).take();
    last.unwrap_or_else(|| {
        Failure::transient(format!("it did not finish within {} s", SIGN_IN_LIMIT.as_secs()))
    })
}

async fn fetch(way: Way, context: &Context<'_>) -> Result<Fresh, Failure> {
    match way {
        Way::Certificate => certificate::fetch(context).await,
        Way::ClientSecret => client_secret::fetch(context).await,
        Way::Oidc => oidc::fetch(context).await,
        Way::AksWorkloadIdentity => oidc::fetch_aks(context).await,
        Way::AzureDevOps => azure_devops::fetch(context).await,
        Way::GitHub => github::fetch(context).await,
        Way::ManagedIdentity => managed_identity::fetch(context).await,
        Way::AzureCli => azure_cli::fetch(context).await,
    }
}

/// The error if all methods failed: the reason of each, why others were not tried, and the remedy.
fn all_failed(attempts: &[Attempt], failures: &[(Way, Failure)], tenant: Option<&str>) -> String {
    let tenant = tenant.map(|tenant| format!(" for the auxiliary tenant {tenant}")).unwrap_or_default();
    let mut reasons: Vec<String> =
        failures.iter().map(|(way, failure)| format!("{}: {}", way.name(), failure.why)).collect();
    if reasons.is_empty() {
        reasons.push("No credentials are configured".to_owned());
    }
    let skipped: Vec<String> = attempts
        .iter()
        .filter(|attempt| failures.iter().all(|(way, _)| *way != attempt.way))
        .filter_map(|attempt| Some(format!("{} ({})", attempt.way.name(), attempt.skip.as_ref()?)))
        .collect();
    let reasons = reasons.join("; ");
    let mut text = format!("All sign-in methods{tenant} failed. {}.", reasons.trim_end_matches('.'));
    if !skipped.is_empty() {
        text.push_str(&format!(" Not tried: {}.", skipped.join(", ")));
    }
    let only_az = failures.iter().all(|(way, _)| *way == Way::AzureCli);
    text.push_str(if !failures.is_empty() && failures.iter().all(|(_, failure)| failure.transient) {
        " Check the connection to this host (proxy, firewall, DNS), or try again later."
    } else if only_az {
        " Run `az login`, or set ARM_TENANT_ID, ARM_CLIENT_ID and ARM_CLIENT_SECRET."
    } else {
        " Correct these settings, or remove them and run `az login`."
    });
    text
}

#[cfg(test)]
#[path = "auto_tests.rs"]
mod tests;
