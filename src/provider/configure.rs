//! Creates a context from the provider block and the environment, without sending a request.
//!
//! The block takes precedence over the environment, and the environment over the default.

use std::sync::Arc;

use super::config::Config;
use super::environment::{Env, boolean, first};
use crate::arm::credentials::{self, Credentials};
use crate::arm::{Client, Cloud, CloudSource, HttpTransport, Options, Secret, Tokens, Transport};
use crate::azure::Context;
use crate::azure::attributes::check_guid;
use crate::azure::replication::Wait;
use crate::schema::{Diagnostic, Diagnostics, Path};

/// The context for `config` and the environment; `None`, with errors, if a setting is invalid.
pub fn configure(
    config: Config,
    env: Env<'_>,
    terraform_version: &str,
    found: &mut Diagnostics,
) -> Option<Context> {
    let environment = config.environment.clone().or_else(|| first(env, &["ARM_ENVIRONMENT"]));
    let mut context = if environment.as_deref() == Some("emulator") {
        emulated(&config, terraform_version, env, found)?
    } else {
        let credentials = credentials(&config, env, found);
        for warning in credentials::warnings(&credentials) {
            found.push(Diagnostic::warning("Other users can read the credentials", warning));
        }
        let cloud = cloud(&config, environment.as_deref(), env, found)?;
        let transport: Arc<dyn Transport> = Arc::new(HttpTransport::new());
        let tokens = credentials::auto(credentials, cloud.clone(), transport.clone());
        Context::new(client(&config, env, terraform_version, transport, tokens, cloud, found))
    };
    if context.subscription_id.is_none() {
        context.subscription_id = subscription(&config, env, found);
    }
    if found.has_errors() {
        return None;
    }
    context.default_tags = config.default_tags.unwrap_or_default();
    context.wait_for_replication =
        config.wait_for_replication.as_deref().map(Wait::parse).unwrap_or_default();
    context.guardrails = config.guardrails.unwrap_or_default();
    Some(context)
}

/// The subscription from the block or the environment. The schema checks the block; the variable is checked here.
fn subscription(config: &Config, env: Env<'_>, found: &mut Diagnostics) -> Option<String> {
    const VARIABLE: &str = "ARM_SUBSCRIPTION_ID";
    if config.subscription_id.is_some() {
        return config.subscription_id.clone();
    }
    let id = first(env, &[VARIABLE])?;
    if let Err(why) = check_guid(&id) {
        found.push(Diagnostic::error(
            format!("Invalid value for {VARIABLE}"),
            format!("The environment variable {VARIABLE} is {id:?}. It {why}."),
        ));
        return None;
    }
    Some(id)
}

/// The credentials from the block, or else from the environment variables.
pub fn credentials(config: &Config, env: Env<'_>, found: &mut Diagnostics) -> Credentials {
    let text = |own: &Option<String>, names: &[&str]| own.clone().or_else(|| first(env, names));
    let secret = |own: &Option<Secret>, names: &[&str]| {
        own.as_ref().map(|own| own.expose().to_owned()).or_else(|| first(env, names))
    };
    let mut switch = |own: Option<bool>, name: &str, default: bool| {
        own.or_else(|| boolean(env, name, found)).unwrap_or(default)
    };
    let (use_oidc, use_msi, use_cli) = (
        switch(config.use_oidc, "ARM_USE_OIDC", false),
        switch(config.use_msi, "ARM_USE_MSI", false),
        switch(config.use_cli, "ARM_USE_CLI", true),
    );
    let aks = switch(config.use_aks_workload_identity, "ARM_USE_AKS_WORKLOAD_IDENTITY", false);
    let with_aks = |names: &[&'static str], extra: &'static str| -> Vec<&'static str> {
        let mut names = names.to_vec();
        if aks {
            names.push(extra);
        }
        names
    };
    let auxiliary = match &config.auxiliary_tenant_ids {
        Some(tenants) => tenants.0.clone(),
        None => first(env, &["ARM_AUXILIARY_TENANT_IDS"])
            .map(|text| text.split(';').map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()).collect())
            .unwrap_or_default(),
    };
    Credentials {
        subscription_id: text(&config.subscription_id, &["ARM_SUBSCRIPTION_ID"]),
        tenant_id: text(&config.tenant_id, &with_aks(&["ARM_TENANT_ID"], "AZURE_TENANT_ID")),
        auxiliary_tenant_ids: auxiliary,
        client_id: text(&config.client_id, &with_aks(&["ARM_CLIENT_ID"], "AZURE_CLIENT_ID")),
        client_id_file_path: text(&config.client_id_file_path, &["ARM_CLIENT_ID_FILE_PATH"]),
        client_secret: secret(&config.client_secret, &["ARM_CLIENT_SECRET"]),
        client_secret_file_path: text(&config.client_secret_file_path, &["ARM_CLIENT_SECRET_FILE_PATH"]),
        client_certificate: secret(&config.client_certificate, &["ARM_CLIENT_CERTIFICATE"]),
        client_certificate_path: text(&config.client_certificate_path, &["ARM_CLIENT_CERTIFICATE_PATH"]),
        client_certificate_password: secret(
            &config.client_certificate_password,
            &["ARM_CLIENT_CERTIFICATE_PASSWORD"],
        ),
        use_oidc,
        oidc_token: secret(&config.oidc_token, &["ARM_OIDC_TOKEN"]),
        oidc_token_file_path: text(
            &config.oidc_token_file_path,
            &with_aks(&["ARM_OIDC_TOKEN_FILE_PATH"], "AZURE_FEDERATED_TOKEN_FILE"),
        ),
        oidc_request_url: text(
            &config.oidc_request_url,
            &["ARM_OIDC_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_URL", "SYSTEM_OIDCREQUESTURI"],
        ),
        oidc_request_token: secret(
            &config.oidc_request_token,
            &["ARM_OIDC_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "SYSTEM_ACCESSTOKEN"],
        ),
        ado_pipeline_service_connection_id: text(
            &config.ado_pipeline_service_connection_id,
            // The second is azapi's name. The third is set by the AzureCLI task of Azure Pipelines.
            &[
                "ARM_ADO_PIPELINE_SERVICE_CONNECTION_ID",
                "ARM_OIDC_AZURE_SERVICE_CONNECTION_ID",
                "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID",
            ],
        ),
        use_aks_workload_identity: aks,
        use_msi,
        msi_endpoint: text(&config.msi_endpoint, &["ARM_MSI_ENDPOINT"]),
        msi_api_version: text(&config.msi_api_version, &["ARM_MSI_API_VERSION"]),
        use_cli,
    }
}

/// The cloud. Single endpoints take precedence over a metadata host, and a metadata host over a name.
fn cloud(
    config: &Config,
    environment: Option<&str>,
    env: Env<'_>,
    found: &mut Diagnostics,
) -> Option<CloudSource> {
    let own = config.endpoint.clone().unwrap_or_default();
    let resource_manager =
        own.resource_manager_endpoint.or_else(|| first(env, &["ARM_RESOURCE_MANAGER_ENDPOINT"]));
    let authority =
        own.active_directory_authority_host.or_else(|| first(env, &["ARM_ACTIVE_DIRECTORY_AUTHORITY_HOST"]));
    let audience = own.resource_manager_audience.or_else(|| first(env, &["ARM_RESOURCE_MANAGER_AUDIENCE"]));
    if let Some(host) = &config.metadata_host {
        return Some(CloudSource::Discover { metadata_host: host.clone() });
    }
    if resource_manager.is_none()
        && let Some(host) = first(env, &["ARM_METADATA_HOSTNAME"])
    {
        return Some(CloudSource::Discover { metadata_host: host });
    }
    let named = match environment {
        None => Some(Cloud::public()),
        Some(name) => Cloud::named(name),
    };
    if resource_manager.is_some() || authority.is_some() || audience.is_some() {
        let base = named.unwrap_or_else(Cloud::public);
        return Some(CloudSource::Endpoint { base, resource_manager, authority, audience });
    }
    if named.is_none() {
        found.error(
            Path::attribute("environment"),
            format!("Unknown environment {:?}", environment.unwrap_or_default()),
            "Use \"public\", \"usgovernment\", \"china\" or \"emulator\", or set metadata_host or an endpoint {} block for any other cloud.",
        );
    }
    named.map(CloudSource::Known)
}

fn client(
    config: &Config,
    env: Env<'_>,
    terraform_version: &str,
    transport: Arc<dyn Transport>,
    tokens: Arc<dyn Tokens>,
    cloud: CloudSource,
    found: &mut Diagnostics,
) -> Client {
    let none = config
        .disable_correlation_request_id
        .or_else(|| boolean(env, "ARM_DISABLE_CORRELATION_REQUEST_ID", found))
        .unwrap_or(false);
    // Not used (see user_agent), but a malformed value is an error as for any other variable.
    if config.disable_terraform_partner_id.is_none() {
        boolean(env, "ARM_DISABLE_TERRAFORM_PARTNER_ID", found);
    }
    let correlation_id = match first(env, &["ARM_CORRELATION_REQUEST_ID"]) {
        _ if none => String::new(),
        Some(id) => id,
        None => super::run::id(env),
    };
    let options = Options {
        user_agent: user_agent(config, env, terraform_version),
        max_concurrent_requests: config.max_concurrent_requests.unwrap_or(64) as usize,
        correlation_id,
    };
    Client::new(transport, tokens, cloud, options)
}

/// The User-Agent: Terraform, this provider, and the additions from the environment and a partner.
fn user_agent(config: &Config, env: Env<'_>, terraform_version: &str) -> String {
    let mut parts = vec![
        format!("HashiCorp Terraform/{terraform_version} (+https://www.terraform.io)"),
        format!("terraform-provider-azimage/{}", env!("CARGO_PKG_VERSION")),
    ];
    parts.extend(first(env, &["TF_APPEND_USER_AGENT"]));
    parts.extend(first(env, &["AZURE_HTTP_USER_AGENT"]));
    // azurerm's disable_terraform_partner_id suppresses HashiCorp's ID, which this provider never sends. A configured
    // partner ID is always sent.
    if let Some(partner) = config.partner_id.clone().or_else(|| first(env, &["ARM_PARTNER_ID"])) {
        parts.push(format!("pid-{}", partner.strip_prefix("pid-").unwrap_or(&partner)));
    }
    // A header may contain visible ASCII only.
    parts.join(" ").chars().filter(|c| matches!(c, ' '..='~')).collect()
}

#[cfg(feature = "emulator")]
fn emulated(
    config: &Config,
    terraform_version: &str,
    env: Env<'_>,
    found: &mut Diagnostics,
) -> Option<Context> {
    use super::emulated::{self, EmulatedTransport};
    let path = config
        .emulator
        .as_ref()
        .and_then(|emulator| emulator.state_path.clone())
        .unwrap_or_else(|| emulated::STATE_PATH.to_owned());
    found.push(Diagnostic::warning(
        "Azure is not contacted",
        format!(
            "environment = \"emulator\": the built-in emulator answers all requests. Its state is in {path}."
        ),
    ));
    let transport = Arc::new(EmulatedTransport::new(path));
    let client =
        client(config, env, terraform_version, transport, emulated::tokens(), emulated::cloud(), found);
    let mut context = Context::new(client);
    context.subscription_id =
        subscription(config, env, found).or_else(|| Some(emulated::SUBSCRIPTION.to_owned()));
    Some(context)
}

#[cfg(not(feature = "emulator"))]
fn emulated(_: &Config, _: &str, _: Env<'_>, found: &mut Diagnostics) -> Option<Context> {
    found.error(
        Path::attribute("environment"),
        "This build has no emulator",
        "It was built without the feature \"emulator\": use an ordinary build, or another environment.",
    );
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Value;
    use crate::schema::model::{Model, Slot};

    fn env<'v>(values: &'v [(&'v str, &'v str)]) -> impl Fn(&str) -> Option<String> + 'v {
        |name| values.iter().find(|(have, _)| *have == name).map(|(_, value)| value.to_string())
    }

    #[test]
    fn block_takes_precedence_over_the_environment() {
        let vars = [
            ("ARM_CLIENT_ID", "env"),
            ("ARM_TENANT_ID", "tenant"),
            ("ARM_USE_CLI", "false"),
            ("ARM_CLIENT_SECRET", ""),
        ];
        let config = Config { client_id: Some("own".to_owned()), ..Config::default() };
        let chosen = credentials(&config, &env(&vars), &mut Diagnostics::new());
        assert_eq!(chosen.client_id.as_deref(), Some("own"));
        assert_eq!(chosen.tenant_id.as_deref(), Some("tenant"));
        assert_eq!(chosen.client_secret, None, "an empty variable counts as unset");
        assert!(!chosen.use_cli);
    }

    #[test]
    fn sensitive_values_are_read_and_never_printed() {
        let secret = |name: &str| format!("hidden-{name}");
        let sensitive = Config::schema().attributes.iter().filter(|attribute| attribute.sensitive);
        let names: Vec<&str> = sensitive.map(|attribute| attribute.name).collect();
        assert!(names.len() >= 5, "{names:?}");
        let block = Value::object(names.iter().map(|name| (*name, Value::string(secret(name)))));
        let config = <Config as Slot>::decode(&block);
        assert_eq!(Slot::encode(&config).get("client_secret"), &Value::string(secret("client_secret")));
        let shown = format!("{config:?}");
        assert!(!shown.contains("hidden-"), "{shown}");
        assert_eq!(
            credentials(&config, &|_| None, &mut Diagnostics::new()).client_secret,
            Some(secret("client_secret"))
        );
    }

    #[test]
    fn reads_the_variables_of_github_and_azure_devops() {
        let vars = [
            ("SYSTEM_OIDCREQUESTURI", "https://ado"),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t"),
            ("ARM_AUXILIARY_TENANT_IDS", "a; b;"),
        ];
        let chosen = credentials(&Config::default(), &env(&vars), &mut Diagnostics::new());
        assert_eq!(chosen.oidc_request_url.as_deref(), Some("https://ado"));
        assert_eq!(chosen.oidc_request_token.as_deref(), Some("t"));
        assert_eq!(chosen.auxiliary_tenant_ids, ["a", "b"]);
    }

    #[test]
    fn reads_every_documented_variable() {
        type Read = fn(&Credentials) -> Option<&str>;
        let texts: &[(&str, Read)] = &[
            ("ARM_SUBSCRIPTION_ID", |c| c.subscription_id.as_deref()),
            ("ARM_TENANT_ID", |c| c.tenant_id.as_deref()),
            ("ARM_AUXILIARY_TENANT_IDS", |c| c.auxiliary_tenant_ids.first().map(String::as_str)),
            ("ARM_CLIENT_ID", |c| c.client_id.as_deref()),
            ("ARM_CLIENT_ID_FILE_PATH", |c| c.client_id_file_path.as_deref()),
            ("ARM_CLIENT_SECRET", |c| c.client_secret.as_deref()),
            ("ARM_CLIENT_SECRET_FILE_PATH", |c| c.client_secret_file_path.as_deref()),
            ("ARM_CLIENT_CERTIFICATE", |c| c.client_certificate.as_deref()),
            ("ARM_CLIENT_CERTIFICATE_PATH", |c| c.client_certificate_path.as_deref()),
            ("ARM_CLIENT_CERTIFICATE_PASSWORD", |c| c.client_certificate_password.as_deref()),
            ("ARM_OIDC_TOKEN", |c| c.oidc_token.as_deref()),
            ("ARM_OIDC_TOKEN_FILE_PATH", |c| c.oidc_token_file_path.as_deref()),
            ("ARM_OIDC_REQUEST_URL", |c| c.oidc_request_url.as_deref()),
            ("ACTIONS_ID_TOKEN_REQUEST_URL", |c| c.oidc_request_url.as_deref()),
            ("SYSTEM_OIDCREQUESTURI", |c| c.oidc_request_url.as_deref()),
            ("ARM_OIDC_REQUEST_TOKEN", |c| c.oidc_request_token.as_deref()),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", |c| c.oidc_request_token.as_deref()),
            ("SYSTEM_ACCESSTOKEN", |c| c.oidc_request_token.as_deref()),
            ("ARM_ADO_PIPELINE_SERVICE_CONNECTION_ID", |c| c.ado_pipeline_service_connection_id.as_deref()),
            ("ARM_OIDC_AZURE_SERVICE_CONNECTION_ID", |c| c.ado_pipeline_service_connection_id.as_deref()),
            ("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID", |c| c.ado_pipeline_service_connection_id.as_deref()),
            ("ARM_MSI_ENDPOINT", |c| c.msi_endpoint.as_deref()),
            ("ARM_MSI_API_VERSION", |c| c.msi_api_version.as_deref()),
        ];
        for (name, read) in texts {
            let read_back =
                credentials(&Config::default(), &env(&[(name, "given")]), &mut Diagnostics::new());
            assert_eq!(read(&read_back), Some("given"), "{name}");
        }
        let switches: &[(&str, fn(&Credentials) -> bool)] = &[
            ("ARM_USE_OIDC", |c| c.use_oidc),
            ("ARM_USE_AKS_WORKLOAD_IDENTITY", |c| c.use_aks_workload_identity),
            ("ARM_USE_MSI", |c| c.use_msi),
            ("ARM_USE_CLI", |c| c.use_cli),
        ];
        for (name, read) in switches {
            for (text, on) in [("true", true), ("1", true), ("TRUE", true), ("false", false), ("0", false)] {
                let read_back =
                    credentials(&Config::default(), &env(&[(name, text)]), &mut Diagnostics::new());
                assert_eq!(read(&read_back), on, "{name}={text}");
            }
        }
    }

    #[test]
    fn malformed_variables_are_errors_that_name_them() {
        for (name, value) in [
            ("ARM_USE_OIDC", "garbage"),
            ("ARM_USE_AKS_WORKLOAD_IDENTITY", "on"),
            ("ARM_USE_MSI", "2"),
            ("ARM_USE_CLI", "garbage"),
            ("ARM_DISABLE_CORRELATION_REQUEST_ID", "maybe"),
            ("ARM_DISABLE_TERRAFORM_PARTNER_ID", " "),
            ("ARM_SUBSCRIPTION_ID", "my-subscription"),
        ] {
            for environment in ["public", "emulator"] {
                // The emulator needs no credentials and does not read their variables.
                if environment == "emulator" && name.starts_with("ARM_USE_") {
                    continue;
                }
                let mut found = Diagnostics::new();
                let config = Config { environment: Some(environment.to_owned()), ..Config::default() };
                let context = configure(config, &env(&[(name, value)]), "1.15.5", &mut found);
                assert!(context.is_none(), "{name}");
                let errors: Vec<_> = found.into_iter().filter(Diagnostic::is_error).collect();
                assert_eq!(errors.len(), 1, "{name}");
                assert!(
                    errors[0].summary.contains(name) && errors[0].detail.contains(value),
                    "{}",
                    errors[0]
                );
            }
        }
        let mut found = Diagnostics::new();
        let set = Config { use_cli: Some(true), ..Config::default() };
        assert!(configure(set, &env(&[("ARM_USE_CLI", "garbage")]), "1.15.5", &mut found).is_some());
    }

    #[test]
    fn chooses_the_cloud() {
        let mut found = Diagnostics::new();
        let rows: &[(&[(&str, &str)], Option<&str>, &str)] = &[
            (&[], None, "Known"),
            (&[], Some("china"), "Known"),
            (&[], Some("global"), "Known"),
            (&[], Some("USGovernmentL5"), "Known"),
            (&[("ARM_METADATA_HOSTNAME", "h")], None, "Discover"),
            (&[("ARM_RESOURCE_MANAGER_ENDPOINT", "https://a")], Some("custom"), "Endpoint"),
            (
                &[("ARM_RESOURCE_MANAGER_ENDPOINT", "https://a"), ("ARM_METADATA_HOSTNAME", "h")],
                None,
                "Endpoint",
            ),
        ];
        for (vars, name, kind) in rows {
            let cloud = cloud(&Config::default(), *name, &env(vars), &mut found).unwrap();
            assert!(format!("{cloud:?}").starts_with(kind), "{cloud:?}");
        }
        assert!(!found.has_errors());
        assert!(cloud(&Config::default(), Some("moon"), &env(&[]), &mut found).is_none());
        assert!(found.has_errors());
    }

    #[test]
    fn user_agent_is_visible_ascii() {
        let vars = [("TF_APPEND_USER_AGENT", "mine/1\n"), ("ARM_PARTNER_ID", "pid-x")];
        let agent = user_agent(&Config::default(), &env(&vars), "1.11.4");
        assert!(agent.starts_with(
            "HashiCorp Terraform/1.11.4 (+https://www.terraform.io) terraform-provider-azimage/"
        ));
        assert!(agent.ends_with(" mine/1 pid-x"), "{agent}");
        let own = Config {
            partner_id: Some("p".to_owned()),
            disable_terraform_partner_id: Some(true),
            ..Config::default()
        };
        assert!(
            user_agent(&own, &env(&[]), "1.11.4").ends_with(" pid-p"),
            "it suppresses only HashiCorp's ID"
        );
        let none = user_agent(&Config::default(), &env(&[]), "1.11.4");
        assert!(!none.contains("pid-"), "{none}");
    }
}
