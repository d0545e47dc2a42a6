//! Signs in as the user of the Azure CLI.

use std::ffi::OsStr;
use std::io;
use std::process::{Output, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use azure_identity::{AzureCliCredential, AzureCliCredentialOptions, Executor};

use super::{Context, SIGN_IN_LIMIT, entra, set};
use crate::arm::host_request::Failure;
use crate::arm::token::Fresh;

pub async fn fetch(context: &Context<'_>) -> Result<Fresh, Failure> {
    let tenant = context.tenant().ok();
    // The CLI accepts one or the other. The subscription selects the right one of several accounts.
    let subscription =
        if tenant.is_some() { None } else { set(&context.credentials.subscription_id).map(str::to_owned) };
    let executor = context.az.clone().unwrap_or_else(|| Arc::new(Killing));
    let options = AzureCliCredentialOptions { subscription, tenant_id: tenant, executor: Some(executor) };
    let credential = AzureCliCredential::new(Some(options));
    tokio::time::timeout(SIGN_IN_LIMIT, entra::token(context, credential)).await.unwrap_or_else(|_| {
        Err(Failure::transient(format!("az did not answer within {} s", SIGN_IN_LIMIT.as_secs())))
    })
}

/// Runs `az`, and kills it and its children after an interrupt or the time limit.
#[derive(Debug)]
struct Killing;

#[async_trait]
impl Executor for Killing {
    async fn run(&self, program: &OsStr, arguments: &[&OsStr]) -> io::Result<Output> {
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // `az` is a script that starts an interpreter; a process group of its own lets the kill reach both.
        #[cfg(unix)]
        command.process_group(0);
        let child = command.spawn()?;
        #[cfg(unix)]
        let mut group = KillOnDrop(child.id().and_then(|id| rustix::process::Pid::from_raw(id as i32)));
        let output = child.wait_with_output().await;
        #[cfg(unix)]
        group.0.take();
        output
    }
}

/// A process group that is killed on drop, unless it was taken out.
#[cfg(unix)]
struct KillOnDrop(Option<rustix::process::Pid>);

#[cfg(unix)]
impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // An error means that it has already ended.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}
