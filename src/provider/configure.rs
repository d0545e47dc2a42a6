//! From the provider block and the environment to a context. Reaches out to nothing: who is asked first is asked last.

use std::sync::Arc;

use super::config::Config;
use crate::arm::credentials::{self, Credentials};
use crate::arm::{Client, Cloud, CloudSource, HttpTransport, Options, Secret, Tokens, Transport};
use crate::azure::Context;
use crate::azure::replication::Wait;
use crate::schema::{Diagnostic, Diagnostics, Path};

/// Looks up an environment variable.
pub type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

/// The context that `config` and the environment describe; none, with errors, when they contradict themselves.
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
        let credentials = credentials(&config, env);
        for warning in credentials::warnings(&credentials) {
            found.push(Diagnostic::warning("Credentials are open to others", warning));
        }
        let cloud = cloud(&config, environment.as_deref(), env, found)?;
        let transport: Arc<dyn Transport> = Arc::new(HttpTransport::new());
        let tokens = credentials::auto(credentials, cloud.clone(), transport.clone());
        Context::new(client(&config, env, terraform_version, transport, tokens, cloud))
    };
    if context.subscription_id.is_none() {
        context.subscription_id =
            config.subscription_id.clone().or_else(|| first(env, &["ARM_SUBSCRIPTION_ID"]));
    }
    context.default_tags = config.default_tags.unwrap_or_default();
    context.wait_for_replication =
        config.wait_for_replication.as_deref().map(Wait::parse).unwrap_or_default();
    context.guardrails = config.guardrails.unwrap_or_default();
    Some(context)
}

/// The credentials of the block, each from its environment variable where the block is silent.
pub fn credentials(config: &Config, env: Env<'_>) -> Credentials {
    let text = |own: &Option<String>, names: &[&str]| own.clone().or_else(|| first(env, names));
    let secret = |own: &Option<Secret>, names: &[&str]| {
        own.as_ref().map(|own| own.expose().to_owned()).or_else(|| first(env, names))
    };
    let switch = |own: Option<bool>, name: &str, otherwise: bool| {
        own.or_else(|| first(env, &[name]).map(|text| is_true(&text))).unwrap_or(otherwise)
    };
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
        use_oidc: switch(config.use_oidc, "ARM_USE_OIDC", false),
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
            // the second is azapi's name, the third is what the pipeline's own AzureCLI task sets
            &[
                "ARM_ADO_PIPELINE_SERVICE_CONNECTION_ID",
                "ARM_OIDC_AZURE_SERVICE_CONNECTION_ID",
                "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID",
            ],
        ),
        use_aks_workload_identity: aks,
        use_msi: switch(config.use_msi, "ARM_USE_MSI", false),
        msi_endpoint: text(&config.msi_endpoint, &["ARM_MSI_ENDPOINT"]),
        msi_api_version: text(&config.msi_api_version, &["ARM_MSI_API_VERSION"]),
        use_cli: switch(config.use_cli, "ARM_USE_CLI", true),
    }
}

// Which cloud: the block before the environment, single endpoints before a metadata host before a name.
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
            format!("There is no environment {:?}", environment.unwrap_or_default()),
            "Use \"public\", \"usgovernment\", \"china\" or \"emulator\"; any other cloud by metadata_host or an endpoint {} block.",
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
) -> Client {
    let none = config.disable_correlation_request_id.unwrap_or_else(|| {
        first(env, &["ARM_DISABLE_CORRELATION_REQUEST_ID"]).is_some_and(|text| is_true(&text))
    });
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

// Terraform, this provider, and whoever else wants to be told apart.
fn user_agent(config: &Config, env: Env<'_>, terraform_version: &str) -> String {
    let mut parts = vec![
        format!("HashiCorp Terraform/{terraform_version} (+https://www.terraform.io)"),
        format!("terraform-provider-azimage/{}", env!("CARGO_PKG_VERSION")),
    ];
    parts.extend(first(env, &["TF_APPEND_USER_AGENT"]));
    parts.extend(first(env, &["AZURE_HTTP_USER_AGENT"]));
    // azurerm's disable_terraform_partner_id keeps back HashiCorp's own id, which is not sent here anyway: a partner's
    // goes all the same.
    if let Some(partner) = config.partner_id.clone().or_else(|| first(env, &["ARM_PARTNER_ID"])) {
        parts.push(format!("pid-{}", partner.strip_prefix("pid-").unwrap_or(&partner)));
    }
    // a header carries visible ASCII only
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
        "Nothing reaches Azure",
        format!("environment = \"emulator\": everything happens in the built-in emulator, whose state is in {path}."),
    ));
    let transport = Arc::new(EmulatedTransport::new(path));
    let client = client(config, env, terraform_version, transport, emulated::tokens(), emulated::cloud());
    let mut context = Context::new(client);
    context.subscription_id = config
        .subscription_id
        .clone()
        .or_else(|| first(env, &["ARM_SUBSCRIPTION_ID"]))
        .or_else(|| Some(emulated::SUBSCRIPTION.to_owned()));
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

fn first(env: Env<'_>, names: &[&str]) -> Option<String> {
    names.iter().filter_map(|name| env(name)).find(|value| !value.is_empty())
}

fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "true" | "1" | "t" | "yes")
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
    fn the_block_comes_before_the_environment() {
        let vars = [
            ("ARM_CLIENT_ID", "env"),
            ("ARM_TENANT_ID", "tenant"),
            ("ARM_USE_CLI", "false"),
            ("ARM_CLIENT_SECRET", ""),
        ];
        let config = Config { client_id: Some("own".to_owned()), ..Config::default() };
        let chosen = credentials(&config, &env(&vars));
        assert_eq!(chosen.client_id.as_deref(), Some("own"));
        assert_eq!(chosen.tenant_id.as_deref(), Some("tenant"));
        assert_eq!(chosen.client_secret, None, "an empty variable is no variable");
        assert!(!chosen.use_cli);
    }

    #[test]
    fn what_is_sensitive_is_read_and_never_shown() {
        let secret = |name: &str| format!("hidden-{name}");
        let sensitive = Config::schema().attributes.iter().filter(|attribute| attribute.sensitive);
        let names: Vec<&str> = sensitive.map(|attribute| attribute.name).collect();
        assert!(names.len() >= 5, "{names:?}");
        let block = Value::object(names.iter().map(|name| (*name, Value::string(secret(name)))));
        let config = <Config as Slot>::decode(&block);
        assert_eq!(Slot::encode(&config).get("client_secret"), &Value::string(secret("client_secret")));
        let shown = format!("{config:?}");
        assert!(!shown.contains("hidden-"), "{shown}");
        assert_eq!(credentials(&config, &|_| None).client_secret, Some(secret("client_secret")));
    }

    #[test]
    fn pipelines_of_github_and_azure_devops_are_known() {
        let vars = [
            ("SYSTEM_OIDCREQUESTURI", "https://ado"),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t"),
            ("ARM_AUXILIARY_TENANT_IDS", "a; b;"),
        ];
        let chosen = credentials(&Config::default(), &env(&vars));
        assert_eq!(chosen.oidc_request_url.as_deref(), Some("https://ado"));
        assert_eq!(chosen.oidc_request_token.as_deref(), Some("t"));
        assert_eq!(chosen.auxiliary_tenant_ids, ["a", "b"]);
    }

    #[test]
    fn every_variable_of_a_pipeline_is_read() {
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
            let read_back = credentials(&Config::default(), &env(&[(name, "told")]));
            assert_eq!(read(&read_back), Some("told"), "{name}");
        }
        let switches: &[(&str, fn(&Credentials) -> bool)] = &[
            ("ARM_USE_OIDC", |c| c.use_oidc),
            ("ARM_USE_AKS_WORKLOAD_IDENTITY", |c| c.use_aks_workload_identity),
            ("ARM_USE_MSI", |c| c.use_msi),
            ("ARM_USE_CLI", |c| c.use_cli),
        ];
        for (name, read) in switches {
            for (text, on) in [("true", true), ("1", true), ("TRUE", true), ("false", false), ("0", false)] {
                let read_back = credentials(&Config::default(), &env(&[(name, text)]));
                assert_eq!(read(&read_back), on, "{name}={text}");
            }
        }
    }

    #[test]
    fn which_cloud() {
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
    fn the_user_agent_is_plain() {
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
            "only HashiCorp's id is disabled by that"
        );
        let none = user_agent(&Config::default(), &env(&[]), "1.11.4");
        assert!(!none.contains("pid-"), "{none}");
    }
}
