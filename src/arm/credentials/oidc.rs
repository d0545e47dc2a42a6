//! Signs in as an application with a federated token from a setting, a file, or an AKS pod.

use async_trait::async_trait;
use azure_core::http::ClientMethodOptions;
use azure_identity::{ClientAssertion, ClientAssertionCredential, ClientAssertionCredentialOptions};

use super::{Context, entra, files, set};
use crate::arm::host_request::Failure;
use crate::arm::secret::Secret;
use crate::arm::token::Fresh;

/// Signs in with the configured token or token file.
pub async fn fetch(context: &Context<'_>) -> Result<Fresh, Failure> {
    // The setting takes precedence: the file may have been rotated.
    let token = match set(&context.credentials.oidc_token) {
        Some(token) => token.to_owned(),
        None => {
            let path = set(&context.credentials.oidc_token_file_path).ok_or("oidc_token is not set")?;
            files::read("oidc_token_file_path", path)?
        }
    };
    exchange(context, context.tenant()?, context.client_id()?, token).await
}

/// Signs in with the token in a file of the pod. Kubernetes renews it, and the workload identity webhook sets its path in
/// the pod's environment.
pub async fn fetch_aks(context: &Context<'_>) -> Result<Fresh, Failure> {
    let env = |name: &str| (context.env)(name).filter(|value| !value.is_empty());
    let path = env("AZURE_FEDERATED_TOKEN_FILE")
        .or_else(|| set(&context.credentials.oidc_token_file_path).map(str::to_owned))
        .ok_or("AZURE_FEDERATED_TOKEN_FILE is not set: is the pod labelled azure.workload.identity/use?")?;
    let token = files::read("AZURE_FEDERATED_TOKEN_FILE", &path)?;
    let tenant = context.tenant().or_else(|why| env("AZURE_TENANT_ID").ok_or(why))?;
    let client = context.client_id().or_else(|why| env("AZURE_CLIENT_ID").ok_or(why))?;
    exchange(context, tenant, client, token).await
}

/// Exchanges `assertion`, a federated token, for a token of Azure's login service.
pub async fn exchange(
    context: &Context<'_>,
    tenant: String,
    client: String,
    assertion: String,
) -> Result<Fresh, Failure> {
    let assertion = Assertion(Secret::new(assertion));
    entra::fetch(context, |client_options| {
        let options = ClientAssertionCredentialOptions { client_options };
        ClientAssertionCredential::new(tenant, client, assertion, Some(options))
    })
    .await
}

#[derive(Debug)]
struct Assertion(Secret);

#[async_trait]
impl ClientAssertion for Assertion {
    async fn secret(&self, _options: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        Ok(self.0.expose().to_owned())
    }
}
