//! Determines which sign-in methods the settings configure, in azurerm's order. Pure.

use super::{Credentials, set};

/// A sign-in method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// An application with a certificate.
    Certificate,
    /// An application with a secret.
    ClientSecret,
    /// An application with a federated token, from the setting or a file.
    Oidc,
    /// An application with the federated token of an AKS pod.
    AksWorkloadIdentity,
    /// An application with the federated token of an Azure DevOps pipeline.
    AzureDevOps,
    /// An application with the federated token of a GitHub Actions job.
    GitHub,
    /// A managed identity.
    ManagedIdentity,
    /// The user of the Azure CLI.
    AzureCli,
}

impl Way {
    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Certificate => "client certificate",
            Self::ClientSecret => "client secret",
            Self::Oidc => "OIDC token",
            Self::AksWorkloadIdentity => "AKS workload identity",
            Self::AzureDevOps => "OIDC of Azure DevOps",
            Self::GitHub => "OIDC of GitHub Actions",
            Self::ManagedIdentity => "managed identity",
            Self::AzureCli => "Azure CLI",
        }
    }
}

/// A sign-in method, and whether the settings configure it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The method.
    pub way: Way,
    /// The settings that configure it, by name.
    pub reason: String,
    /// Why it is not tried; `None` if it is.
    pub skip: Option<String>,
}

/// All methods in the order in which they are tried, each with the reason why it is tried or skipped.
///
/// The Azure CLI is only tried if nothing else is configured, so that a mistyped secret does not make the run act as the
/// user who is signed in.
pub fn choose(credentials: &Credentials) -> Vec<Attempt> {
    let c = credentials;
    let tenant = ("tenant_id", set(&c.tenant_id).is_some());
    let client = ("client_id", set(&c.client_id).is_some() || set(&c.client_id_file_path).is_some());
    let request = [
        ("oidc_request_url", set(&c.oidc_request_url).is_some()),
        ("oidc_request_token", set(&c.oidc_request_token).is_some()),
    ];
    let connection = set(&c.ado_pipeline_service_connection_id).is_some();

    let certificate = first_set(&[
        ("client_certificate", &c.client_certificate),
        ("client_certificate_path", &c.client_certificate_path),
    ]);
    let secret = first_set(&[
        ("client_secret", &c.client_secret),
        ("client_secret_file_path", &c.client_secret_file_path),
    ]);
    let token =
        first_set(&[("oidc_token", &c.oidc_token), ("oidc_token_file_path", &c.oidc_token_file_path)]);

    let mut attempts = vec![
        attempt(Way::Certificate, certificate.ok_or("client_certificate is not set"), &[tenant, client]),
        attempt(Way::ClientSecret, secret.ok_or("client_secret is not set"), &[tenant, client]),
        attempt(
            Way::Oidc,
            if c.use_oidc { token.ok_or("oidc_token is not set") } else { Err("use_oidc is false") },
            &[tenant, client],
        ),
        attempt(
            Way::AksWorkloadIdentity,
            // The pod's environment contains the tenant and the client if they are not set.
            if c.use_aks_workload_identity {
                Ok("use_aks_workload_identity")
            } else {
                Err("use_aks_workload_identity is false")
            },
            &[],
        ),
        attempt(
            Way::AzureDevOps,
            match (c.use_oidc, connection) {
                (false, _) => Err("use_oidc is false"),
                (true, false) => Err("ado_pipeline_service_connection_id is not set"),
                (true, true) => Ok("ado_pipeline_service_connection_id"),
            },
            &[tenant, client, request[0], request[1]],
        ),
        attempt(
            Way::GitHub,
            match (c.use_oidc, connection) {
                (false, _) => Err("use_oidc is false"),
                (true, true) => {
                    Err("ado_pipeline_service_connection_id is set, so the request goes to Azure DevOps")
                }
                (true, false) if request[0].1 || request[1].1 => Ok("oidc_request_url"),
                (true, false) => Err("oidc_request_url is not set"),
            },
            &[tenant, client, request[0], request[1]],
        ),
        attempt(Way::ManagedIdentity, if c.use_msi { Ok("use_msi") } else { Err("use_msi is false") }, &[]),
    ];
    let others: Vec<&str> = attempts.iter().filter(|a| a.skip.is_none()).map(|a| a.way.name()).collect();
    let cli = if !c.use_cli {
        Err("use_cli is false".to_owned())
    } else if others.is_empty() {
        Ok("use_cli is true and nothing else is configured")
    } else {
        Err(format!("not used because other credentials are configured ({})", others.join(", ")))
    };
    attempts.push(match cli {
        Ok(reason) => Attempt { way: Way::AzureCli, reason: reason.to_owned(), skip: None },
        Err(skip) => Attempt { way: Way::AzureCli, reason: String::new(), skip: Some(skip) },
    });
    attempts
}

/// An attempt that is tried if there is a `reason` and all of `needs` are set.
fn attempt(way: Way, reason: Result<&str, &str>, needs: &[(&str, bool)]) -> Attempt {
    let reason = match reason {
        Ok(reason) => reason,
        Err(skip) => {
            return Attempt { way, reason: String::new(), skip: Some(skip.to_owned()) };
        }
    };
    let missing: Vec<&str> = needs.iter().filter(|(_, set)| !set).map(|(name, _)| *name).collect();
    let mut names = vec![reason];
    names.extend(needs.iter().filter(|(name, set)| *set && *name != reason).map(|(name, _)| *name));
    let reason = format!("{} {} set", names.join(", "), if names.len() == 1 { "is" } else { "are" });
    let skip = match missing.as_slice() {
        [] => None,
        [one] => Some(format!("{reason}, but {one} is not")),
        more => Some(format!("{reason}, but {} are not", more.join(" and "))),
    };
    Attempt { way, reason, skip }
}

fn first_set<'a>(settings: &[(&'a str, &Option<String>)]) -> Option<&'a str> {
    settings.iter().find(|(_, value)| set(value).is_some()).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn app() -> Credentials {
        Credentials { tenant_id: some("t"), client_id: some("c"), ..Credentials::default() }
    }

    fn tried(credentials: &Credentials) -> Vec<Way> {
        choose(credentials).into_iter().filter(|a| a.skip.is_none()).map(|a| a.way).collect()
    }

    #[test]
    fn keeps_the_order_of_azurerm() {
        let everything = Credentials {
            client_certificate: some("x"),
            client_secret_file_path: some("/s"),
            use_oidc: true,
            oidc_token: some("x"),
            oidc_request_url: some("https://u"),
            oidc_request_token: some("x"),
            use_aks_workload_identity: true,
            use_msi: true,
            ..app()
        };
        assert_eq!(
            tried(&everything),
            [
                Way::Certificate,
                Way::ClientSecret,
                Way::Oidc,
                Way::AksWorkloadIdentity,
                Way::GitHub,
                Way::ManagedIdentity
            ]
        );
        let devops = Credentials { ado_pipeline_service_connection_id: some("id"), ..everything };
        assert!(tried(&devops).contains(&Way::AzureDevOps) && !tried(&devops).contains(&Way::GitHub));
    }

    #[test]
    fn tries_the_cli_only_when_nothing_else_is_configured() {
        assert_eq!(tried(&Credentials::default()), [Way::AzureCli]);
        assert_eq!(tried(&app()), [Way::AzureCli]);
        assert_eq!(tried(&Credentials { client_secret: some("s"), ..app() }), [Way::ClientSecret]);
        assert_eq!(tried(&Credentials { use_cli: false, ..Credentials::default() }), []);
    }

    #[test]
    fn explains_why_a_method_is_not_tried() {
        for (credentials, way, why) in [
            (
                Credentials { client_secret: some("s"), ..Credentials::default() },
                Way::ClientSecret,
                "client_secret is set, but tenant_id and client_id are not",
            ),
            (
                Credentials { client_secret: some("s"), client_id: None, ..app() },
                Way::ClientSecret,
                "client_secret, tenant_id are set, but client_id is not",
            ),
            (app(), Way::ClientSecret, "client_secret is not set"),
            (
                Credentials { client_secret: some("  "), ..app() },
                Way::ClientSecret,
                "client_secret is not set",
            ),
            (Credentials { oidc_token: some("x"), ..app() }, Way::Oidc, "use_oidc is false"),
            (Credentials { use_oidc: true, ..app() }, Way::GitHub, "oidc_request_url is not set"),
            (
                Credentials { use_oidc: true, oidc_request_url: some("u"), ..app() },
                Way::GitHub,
                "oidc_request_url, tenant_id, client_id are set, but oidc_request_token is not",
            ),
            (
                Credentials { client_secret: some("s"), ..app() },
                Way::AzureCli,
                "not used because other credentials are configured (client secret)",
            ),
        ] {
            let attempts = choose(&credentials);
            let attempt = attempts.iter().find(|a| a.way == way).unwrap();
            assert_eq!(attempt.skip.as_deref(), Some(why));
        }
    }
}
