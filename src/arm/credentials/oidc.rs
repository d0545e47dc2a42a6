//! An application that signs in with a federated token: one that is given, one in a file, a pod's.

use async_trait::async_trait;
use azure_core::http::ClientMethodOptions;
use azure_identity::{ClientAssertion, ClientAssertionCredential, ClientAssertionCredentialOptions};

use super::{Context, entra, files, set};
use crate::arm::secret::Secret;
use crate::arm::token::Fresh;

/// With the token of the settings, or the file that they name.
pub async fn fetch(context: &Context<'_>) -> Result<Fresh, String> {
    // A file that rotates would soon differ from the setting, so the setting simply comes first.
    let token = match set(&context.credentials.oidc_token) {
        Some(token) => token.to_owned(),
        None => {
            let path = set(&context.credentials.oidc_token_file_path).ok_or("oidc_token is not set")?;
            files::read("oidc_token_file_path", path)?
        }
    };
    exchange(context, context.tenant()?, context.client_id()?, token).await
}

/// With the token that Kubernetes keeps fresh in a file for the pod, as the workload identity webhook says in
/// the pod's environment.
pub async fn fetch_aks(context: &Context<'_>) -> Result<Fresh, String> {
    let env = |name: &str| (context.env)(name).filter(|value| !value.is_empty());
    let path = env("AZURE_FEDERATED_TOKEN_FILE")
        .or_else(|| set(&context.credentials.oidc_token_file_path).map(str::to_owned))
        .ok_or("AZURE_FEDERATED_TOKEN_FILE is not set: is the pod labelled azure.workload.identity/use?")?;
    let token = files::read("AZURE_FEDERATED_TOKEN_FILE", &path)?;
    let tenant = context.tenant().or_else(|why| env("AZURE_TENANT_ID").ok_or(why))?;
    let client = context.client_id().or_else(|why| env("AZURE_CLIENT_ID").ok_or(why))?;
    exchange(context, tenant, client, token).await
}

/// Gives `assertion`, a federated token, to the login service for one of Azure's.
pub async fn exchange(
    context: &Context<'_>,
    tenant: String,
    client: String,
    assertion: String,
) -> Result<Fresh, String> {
    let options = ClientAssertionCredentialOptions { client_options: entra::client_options(context) };
    let assertion = Assertion(Secret::new(assertion));
    entra::fetch(context, ClientAssertionCredential::new(tenant, client, assertion, Some(options))).await
}

#[derive(Debug)]
struct Assertion(Secret);

#[async_trait]
impl ClientAssertion for Assertion {
    async fn secret(&self, _options: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        Ok(self.0.expose().to_owned())
    }
}
