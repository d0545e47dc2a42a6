//! Signs in as an application with a client secret.

use azure_core::credentials::Secret;
use azure_identity::{ClientSecretCredential, ClientSecretCredentialOptions};

use super::{Context, entra, files, set};
use crate::arm::host_request::Failure;
use crate::arm::token::Fresh;

pub async fn fetch(context: &Context<'_>) -> Result<Fresh, Failure> {
    let secret = files::either(
        "client_secret",
        set(&context.credentials.client_secret),
        "client_secret_file_path",
        set(&context.credentials.client_secret_file_path),
    )?
    .ok_or("client_secret (ARM_CLIENT_SECRET) is not set")?;
    let (tenant, client) = (context.tenant()?, context.client_id()?);
    // A new credential for each token, so that a rejected token does not come from the library's cache.
    entra::fetch(context, |client_options| {
        let options = ClientSecretCredentialOptions { client_options };
        ClientSecretCredential::new(&tenant, client, Secret::new(secret), Some(options))
    })
    .await
}
