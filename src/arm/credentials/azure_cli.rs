//! The user who is signed in to the Azure CLI.

use std::process::Stdio;
use std::time::Duration;

use azure_identity::{AzureCliCredential, AzureCliCredentialOptions};

use super::{Context, entra, set};
use crate::arm::error::{Error, Kind};
use crate::arm::token::Fresh;

/// `az` is a large program, but it is not that slow: whatever takes longer waits for somebody's input.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn fetch(context: &Context<'_>) -> Result<Fresh, String> {
    let tenant = context.tenant().ok();
    // The CLI takes one or the other. The subscription finds the right account among several.
    let subscription = if tenant.is_some() {
        None
    } else {
        set(&context.credentials.subscription_id).map(str::to_owned)
    };
    let options = AzureCliCredentialOptions {
        subscription,
        tenant_id: tenant,
        executor: context.az.clone(),
    };
    let credential = AzureCliCredential::new(Some(options));
    tokio::time::timeout(PATIENCE, entra::fetch(context, credential))
        .await
        .unwrap_or_else(|_| Err(format!("az did not answer within {} s", PATIENCE.as_secs())))
}

/// The subscription that the Azure CLI works with, for when none is configured.
pub async fn default_subscription() -> Result<String, Error> {
    let fail = |why: String| {
        Error::new(
            Kind::Unconfigured,
            format!("asking the Azure CLI for its default subscription: {why}"),
        )
    };
    let (program, arguments): (&str, &[&str]) = if cfg!(windows) {
        ("cmd", &["/C", "az account show --query id -o tsv"])
    } else {
        ("az", &["account", "show", "--query", "id", "-o", "tsv"])
    };
    let running = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, running)
        .await
        .map_err(|_| fail(format!("az did not answer within {} s", PATIENCE.as_secs())))?
        .map_err(|error| fail(format!("running az: {error}")))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if !output.status.success() {
        return Err(fail(entra::short(&said(&output.stderr))));
    }
    match said(&output.stdout) {
        id if id.is_empty() => Err(fail(
            "it has none; run az login, or set subscription_id".to_owned(),
        )),
        id => Ok(id),
    }
}
