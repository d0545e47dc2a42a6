//! The provider block: credentials and clouds under azurerm's names, and this provider's own arguments.

use crate::arm::{Secret, region};
use crate::azure::attributes::{check_filled, check_guid};
use crate::azure::guardrails::Guardrails;
use crate::azure::replication::Wait;
use crate::azure::tags::{self, Tags};
use crate::model;
use crate::schema::model::Slot;
use crate::schema::spec::{block, optional};
use crate::schema::{Diagnostics, Path, Set, Type, Value};

model! {
    /// The azimage provider manages Azure VM images: Compute Galleries, image definitions, image versions, managed
    /// images, and Marketplace images pinned so that they do not move.
    pub struct Config {
        /// The subscription of every resource that does not set its own. Also `ARM_SUBSCRIPTION_ID`.
        pub subscription_id: Option<String> = optional().check_text(check_guid),
        /// The tenant to sign in to. Also `ARM_TENANT_ID`.
        pub tenant_id: Option<String> = optional().check_text(check_filled),
        /// The IDs of up to three other tenants whose tokens are sent as well, for sources in those tenants. Also
        /// `ARM_AUXILIARY_TENANT_IDS`, separated by semicolons.
        pub auxiliary_tenant_ids: Option<Set<String>> = optional().check(at_most_three),
        /// The client ID of the application or of the user-assigned managed identity. Also `ARM_CLIENT_ID`.
        pub client_id: Option<String> = optional(),
        /// The path of a file that contains the client ID. Also `ARM_CLIENT_ID_FILE_PATH`.
        pub client_id_file_path: Option<String> = optional(),
        /// The client secret. Also `ARM_CLIENT_SECRET`.
        pub client_secret: Option<Secret> = optional().sensitive(),
        /// The path of a file that contains the client secret. Also `ARM_CLIENT_SECRET_FILE_PATH`.
        pub client_secret_file_path: Option<String> = optional(),
        /// The client certificate, a PKCS#12 bundle in base64. Also `ARM_CLIENT_CERTIFICATE`.
        pub client_certificate: Option<Secret> = optional().sensitive(),
        /// The path of a file that contains the client certificate as PKCS#12. Also `ARM_CLIENT_CERTIFICATE_PATH`.
        pub client_certificate_path: Option<String> = optional(),
        /// The password of the client certificate. Also `ARM_CLIENT_CERTIFICATE_PASSWORD`.
        pub client_certificate_password: Option<Secret> = optional().sensitive(),
        /// Whether to sign in with a federated token. Also `ARM_USE_OIDC`.
        pub use_oidc: Option<bool> = optional(),
        /// The federated token. Also `ARM_OIDC_TOKEN`.
        pub oidc_token: Option<Secret> = optional().sensitive(),
        /// The path of a file that contains the federated token. It is read again for each token. Also
        /// `ARM_OIDC_TOKEN_FILE_PATH`.
        pub oidc_token_file_path: Option<String> = optional(),
        /// The URL that issues federated tokens. Also `ARM_OIDC_REQUEST_URL`, `ACTIONS_ID_TOKEN_REQUEST_URL` and
        /// `SYSTEM_OIDCREQUESTURI`.
        pub oidc_request_url: Option<String> = optional(),
        /// The bearer token for that URL. Also `ARM_OIDC_REQUEST_TOKEN`, `ACTIONS_ID_TOKEN_REQUEST_TOKEN` and
        /// `SYSTEM_ACCESSTOKEN`.
        pub oidc_request_token: Option<Secret> = optional().sensitive(),
        /// The ID of the service connection of an Azure DevOps pipeline. Also
        /// `ARM_ADO_PIPELINE_SERVICE_CONNECTION_ID`, `ARM_OIDC_AZURE_SERVICE_CONNECTION_ID` and
        /// `AZURESUBSCRIPTION_SERVICE_CONNECTION_ID`.
        pub ado_pipeline_service_connection_id: Option<String> = optional(),
        /// Whether to sign in with the workload identity of an AKS pod. Also `ARM_USE_AKS_WORKLOAD_IDENTITY`.
        pub use_aks_workload_identity: Option<bool> = optional(),
        /// Whether to sign in with a managed identity. Also `ARM_USE_MSI`.
        pub use_msi: Option<bool> = optional(),
        /// The endpoint of managed identities, if it is not the default one. Also `ARM_MSI_ENDPOINT`.
        pub msi_endpoint: Option<String> = optional(),
        /// The API version of that endpoint, such as `2019-08-01` in Azure Container Apps. Also
        /// `ARM_MSI_API_VERSION`.
        pub msi_api_version: Option<String> = optional(),
        /// Whether to sign in as the user of the Azure CLI if nothing else is configured. Defaults to `true`. Also
        /// `ARM_USE_CLI`.
        pub use_cli: Option<bool> = optional(),
        /// The cloud: `public`, `usgovernment`, `china`, or `emulator` for the built-in emulator, which needs no Azure
        /// account. Defaults to `public`. Also `ARM_ENVIRONMENT`.
        pub environment: Option<String> =
            optional().one_of(&["public", "usgovernment", "china", "emulator"]),
        /// The host that publishes the endpoints of any other cloud. Also `ARM_METADATA_HOSTNAME`.
        pub metadata_host: Option<String> = optional().check_text(check_filled),
        /// A GUID that attributes usage to a partner. Also `ARM_PARTNER_ID`.
        pub partner_id: Option<String> = optional().check_text(check_partner),
        /// Whether to send no correlation ID with requests. Also `ARM_DISABLE_CORRELATION_REQUEST_ID`.
        pub disable_correlation_request_id: Option<bool> = optional(),
        /// Accepted for compatibility with azurerm. It suppresses HashiCorp's partner ID, which this provider never sends;
        /// `partner_id` is sent regardless. Also `ARM_DISABLE_TERRAFORM_PARTNER_ID`.
        pub disable_terraform_partner_id: Option<bool> = optional(),
        /// Default tags of all resources. A resource's own tags take precedence.
        pub default_tags: Option<Tags> = optional().check(tags::check),
        /// The largest number of concurrent requests. Defaults to `64`.
        pub max_concurrent_requests: Option<i64> = optional().between(1, 1024),
        /// How long image versions wait for replication by default: `all`, `home` or `none`. Defaults to `all`.
        pub wait_for_replication: Option<String> = optional().one_of(Wait::WORDS),
        /// The endpoints of any other cloud.
        pub endpoint: Option<Endpoint> = block(),
        /// The built-in emulator. Used only with `environment = "emulator"`.
        pub emulator: Option<EmulatorSettings> = block(),
        /// Rules that are checked at plan time.
        pub guardrails: Option<Guardrails> = block(),
    }
}

// A text that `Debug` never prints.
impl Slot for Secret {
    fn ty() -> Type {
        String::ty()
    }
    fn decode(value: &Value) -> Secret {
        String::decode(value).into()
    }
    fn encode(&self) -> Value {
        Value::string(self.expose())
    }
}

model! {
    /// The endpoints of any other cloud.
    pub struct Endpoint {
        /// Azure Resource Manager. Also `ARM_RESOURCE_MANAGER_ENDPOINT`.
        pub resource_manager_endpoint: Option<String> = optional().check_text(check_endpoint),
        /// The login service. Also `ARM_ACTIVE_DIRECTORY_AUTHORITY_HOST`.
        pub active_directory_authority_host: Option<String> = optional().check_text(check_endpoint),
        /// The audience of tokens. Also `ARM_RESOURCE_MANAGER_AUDIENCE`.
        pub resource_manager_audience: Option<String> = optional().check_text(check_filled),
    }
}

model! {
    /// The built-in emulator.
    pub struct EmulatorSettings {
        /// The file with the emulator's state. Defaults to `.azimage/emulator.json`.
        pub state_path: Option<String> = optional().check_text(check_filled),
    }
}

/// Checks the block beyond its schema.
pub fn validate(config: &Value, found: &mut Diagnostics) {
    let emulated = config.get("environment").as_str() == Some("emulator");
    for name in ["metadata_host", "endpoint"] {
        if emulated && config.get(name).is_known() {
            found.error(
                Path::attribute(name),
                format!("{name} cannot be used with the emulator"),
                "environment = \"emulator\" sends nothing to another host: remove one of the two.",
            );
        }
    }
    if config.get("metadata_host").is_known() && config.get("endpoint").is_known() {
        found.error(
            Path::attribute("endpoint"),
            "endpoint cannot be used together with metadata_host",
            "Both set the endpoints of the cloud: remove one of them.",
        );
    }
    for name in config.get("guardrails").get("required_regions").elements() {
        if let Some(name) = name.as_str()
            && let Some(near) = region::nearest(name)
        {
            found.warning(
                Path::attribute("guardrails").then("required_regions"),
                format!("Unknown region {name:?}"),
                format!("Did you mean {near:?}?"),
            );
        }
    }
}

fn at_most_three(value: &Value) -> Result<(), String> {
    if value.elements().len() > 3 {
        Err("must not contain more than three tenants".to_owned())
    } else {
        Ok(())
    }
}

fn check_partner(text: &str) -> Result<(), String> {
    check_guid(text.strip_prefix("pid-").unwrap_or(text))
}

fn check_endpoint(text: &str) -> Result<(), String> {
    crate::arm::clouds::endpoint(text).map(drop).map_err(|why| format!("is not a valid endpoint: {why}"))
}
