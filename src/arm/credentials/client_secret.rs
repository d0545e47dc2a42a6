//! An application that signs in with a secret.

use azure_core::credentials::Secret;
use azure_identity::{ClientSecretCredential, ClientSecretCredentialOptions};

use super::{Context, entra, files, set};
use crate::arm::token::Fresh;

pub async fn fetch(context: &Context<'_>) -> Result<Fresh, String> {
    let secret = files::either(
        "client_secret",
        set(&context.credentials.client_secret),
        "client_secret_file_path",
        set(&context.credentials.client_secret_file_path),
    )?
    .ok_or("client_secret (ARM_CLIENT_SECRET) is not set")?;
    // Made anew for each token: the cache is ours, and a refused token must not come out of another one.
    let credential = ClientSecretCredential::new(
        &context.tenant()?,
        context.client_id()?,
        Secret::new(secret),
        Some(ClientSecretCredentialOptions { client_options: entra::client_options(context) }),
    );
    entra::fetch(context, credential).await
}
