//! The user who is signed in to the Azure CLI.

use std::time::Duration;

use azure_identity::{AzureCliCredential, AzureCliCredentialOptions};

use super::{Context, entra, set};

use crate::arm::token::Fresh;

/// `az` is a large program, but it is not that slow: whatever takes longer waits for somebody's input.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn fetch(context: &Context<'_>) -> Result<Fresh, String> {
    let tenant = context.tenant().ok();
    // The CLI takes one or the other. The subscription finds the right account among several.
    let subscription =
        if tenant.is_some() { None } else { set(&context.credentials.subscription_id).map(str::to_owned) };
    let options = AzureCliCredentialOptions { subscription, tenant_id: tenant, executor: context.az.clone() };
    let credential = AzureCliCredential::new(Some(options));
    tokio::time::timeout(PATIENCE, entra::fetch(context, credential))
        .await
        .unwrap_or_else(|_| Err(format!("az did not answer within {} s", PATIENCE.as_secs())))
}
