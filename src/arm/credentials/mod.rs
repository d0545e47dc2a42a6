//! Signing in: the settings, the configured method, and its tokens.
//!
//! The settings and the order of the methods are those of the azurerm provider, so that pipelines need no change:
//! certificate, secret, federated token, Azure DevOps, GitHub Actions, managed identity, Azure CLI.

mod answer;
mod auto;
mod azure_cli;
mod azure_devops;
mod certificate;
mod choose;
mod client_secret;
#[cfg(feature = "client-cert")]
mod der;
mod entra;
mod files;
mod github;
mod managed_identity;
mod oidc;
#[cfg(feature = "client-cert")]
mod pfx;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use auto::auto;
pub use choose::{Attempt, Way, choose};
pub use files::warnings;

use super::clouds::Cloud;
use super::host_request::Failure;
use super::transport::Transport;

/// The time limit of one attempt to sign in, over all methods.
const SIGN_IN_LIMIT: Duration = Duration::from_secs(30);

/// The settings for signing in, as in the provider block. An empty string counts as not set.
#[derive(Clone)]
pub struct Credentials {
    /// The default subscription, which selects the account of the Azure CLI.
    pub subscription_id: Option<String>,
    /// Home tenant.
    pub tenant_id: Option<String>,
    /// Up to three auxiliary tenants, whose tokens are sent too.
    pub auxiliary_tenant_ids: Vec<String>,
    /// Application, or user-assigned managed identity.
    pub client_id: Option<String>,
    /// File with the client ID.
    pub client_id_file_path: Option<String>,
    /// Client secret.
    pub client_secret: Option<String>,
    /// File with the client secret; read again for every token.
    pub client_secret_file_path: Option<String>,
    /// PKCS#12 bundle in base64.
    pub client_certificate: Option<String>,
    /// File with a PKCS#12 bundle.
    pub client_certificate_path: Option<String>,
    /// Password of the bundle.
    pub client_certificate_password: Option<String>,
    /// Whether to sign in with a federated token.
    pub use_oidc: bool,
    /// The federated token.
    pub oidc_token: Option<String>,
    /// File with the federated token; read again for every token, because it is rotated.
    pub oidc_token_file_path: Option<String>,
    /// The URL of federated tokens (GitHub Actions, Azure DevOps).
    pub oidc_request_url: Option<String>,
    /// The bearer token for that URL.
    pub oidc_request_token: Option<String>,
    /// The service connection of an Azure DevOps pipeline.
    pub ado_pipeline_service_connection_id: Option<String>,
    /// Whether to sign in with the workload identity of an AKS pod.
    pub use_aks_workload_identity: bool,
    /// Whether to sign in with a managed identity.
    pub use_msi: bool,
    /// The endpoint of managed identities, unless it is a standard one.
    pub msi_endpoint: Option<String>,
    /// The API version of that endpoint.
    pub msi_api_version: Option<String>,
    /// Whether to sign in as the user of the Azure CLI if nothing else is configured.
    pub use_cli: bool,
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            subscription_id: None,
            tenant_id: None,
            auxiliary_tenant_ids: Vec::new(),
            client_id: None,
            client_id_file_path: None,
            client_secret: None,
            client_secret_file_path: None,
            client_certificate: None,
            client_certificate_path: None,
            client_certificate_password: None,
            use_oidc: false,
            oidc_token: None,
            oidc_token_file_path: None,
            oidc_request_url: None,
            oidc_request_token: None,
            ado_pipeline_service_connection_id: None,
            use_aks_workload_identity: false,
            use_msi: false,
            msi_endpoint: None,
            msi_api_version: None,
            use_cli: true,
        }
    }
}

impl fmt::Debug for Credentials {
    // Prints only names, so that a new field cannot leak its value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods: Vec<String> = choose(self)
            .into_iter()
            .filter(|attempt| attempt.skip.is_none())
            .map(|attempt| attempt.reason)
            .collect();
        write!(f, "Credentials({})", methods.join("; "))
    }
}

/// The context of all sign-in methods.
struct Context<'a> {
    credentials: &'a Credentials,
    cloud: &'a Cloud,
    transport: &'a Arc<dyn Transport>,
    env: fn(&str) -> Option<String>,
    /// Runs `az` in tests.
    az: Option<Arc<dyn azure_identity::Executor>>,
    /// The tenant, if it is not the home tenant.
    tenant: Option<&'a str>,
    /// Why the last request for a token failed.
    last_failure: Arc<Mutex<Option<Failure>>>,
}

impl Context<'_> {
    /// The tenant to sign in to.
    fn tenant(&self) -> Result<String, String> {
        self.tenant
            .map(str::to_owned)
            .or_else(|| set(&self.credentials.tenant_id).map(str::to_owned))
            .ok_or_else(|| "tenant_id (ARM_TENANT_ID) is not set".to_owned())
    }

    /// The application's client ID, from the setting or its file.
    fn client_id(&self) -> Result<String, String> {
        files::either(
            "client_id",
            set(&self.credentials.client_id),
            "client_id_file_path",
            set(&self.credentials.client_id_file_path),
        )?
        .ok_or_else(|| "client_id (ARM_CLIENT_ID) is not set".to_owned())
    }
}

/// The value of a setting, if it is set and not empty.
fn set(value: &Option<String>) -> Option<&str> {
    value.as_deref().map(str::trim).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_prints_no_values() {
        let secret = || Some("hunter2".to_owned());
        let credentials = Credentials {
            tenant_id: Some("t".into()),
            client_id: Some("c".into()),
            client_secret: secret(),
            client_certificate: secret(),
            client_certificate_password: secret(),
            oidc_token: secret(),
            oidc_request_token: secret(),
            use_oidc: true,
            ..Credentials::default()
        };
        let text = format!("{credentials:?}");
        assert!(text.contains("client_secret") && !text.contains("hunter2"), "{text}");
    }
}
