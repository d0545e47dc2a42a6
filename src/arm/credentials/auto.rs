//! Tokens from whichever way of signing in the settings mean, decided at the first call.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use async_trait::async_trait;
use azure_identity::Executor;

use super::choose::{Attempt, Way, choose};
use super::{
    Context, Credentials, azure_cli, azure_devops, certificate, client_secret, github, managed_identity, oidc,
};
use crate::arm::clouds::{Cloud, CloudSource};
use crate::arm::error::{Error, Kind};
use crate::arm::secret::Secret;
use crate::arm::token::{Cache, Fresh, Source, Tokens};
use crate::arm::transport::Transport;

/// Tokens for the cloud's Resource Manager by the first configured way that works, in azurerm's order.
///
/// Nothing is read, asked or decided before the first token is needed. Which way was taken is one log line
/// at INFO; when none works, one error lists all of them and what each said.
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
    /// Runs `az`; none for the usual way.
    az: Option<Arc<dyn Executor>>,
    cloud: OnceLock<Cloud>,
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
        // The service does not say which of the tokens that it got is too old.
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
        };
        let chosen = *shared.chosen.read().unwrap_or_else(PoisonError::into_inner);
        let attempts = choose(&shared.credentials);
        let mut said = Vec::new();
        for attempt in &attempts {
            // Once a way has worked it stays the way: the identity must not change in the middle of a run.
            if attempt.skip.is_some() || chosen.is_some_and(|chosen| chosen != attempt.way) {
                continue;
            }
            match fetch(attempt.way, &context).await {
                Ok(fresh) => {
                    if chosen.is_none() {
                        *shared.chosen.write().unwrap_or_else(PoisonError::into_inner) = Some(attempt.way);
                        tracing::info!(
                            "signing in to {} with {}: {}",
                            cloud.name,
                            attempt.way.name(),
                            attempt.reason
                        );
                    }
                    return Ok(fresh);
                }
                Err(why) => said.push((attempt.way, why)),
            }
        }
        let tenant = self.tenant.as_ref().map(|tenant| format!(" for the auxiliary tenant {tenant}"));
        Err(Error::new(
            Kind::Credential,
            nothing_worked(&attempts, &said, tenant.unwrap_or_default().as_str()),
        ))
    }
}

async fn fetch(way: Way, context: &Context<'_>) -> Result<Fresh, String> {
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

/// One error for all ways: what was tried and said, then what was not tried and why.
fn nothing_worked(attempts: &[Attempt], said: &[(Way, String)], tenant: &str) -> String {
    let mut lines: Vec<String> = said.iter().map(|(way, why)| format!("{}: {why}", way.name())).collect();
    let tried: Vec<Way> = said.iter().map(|(way, _)| *way).collect();
    if lines.is_empty() {
        lines.push("no credentials are configured".to_owned());
    }
    let skipped: Vec<String> = attempts
        .iter()
        .filter(|attempt| !tried.contains(&attempt.way))
        .filter_map(|attempt| Some(format!("{} ({})", attempt.way.name(), attempt.skip.as_ref()?)))
        .collect();
    let mut text = format!("no way of signing in{tenant} worked. {}", lines.join("; "));
    if !skipped.is_empty() {
        text.push_str(&format!(". Not tried: {}", skipped.join(", ")));
    }
    text
}

#[cfg(test)]
#[path = "auto_tests.rs"]
mod tests;
