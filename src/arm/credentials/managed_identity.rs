//! Signs in with a managed identity of a virtual machine, App Service or an Arc machine, or at a configured endpoint.

use azure_identity::{ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId};
use url::Url;

use super::{Context, answer, entra, files, set};
use crate::arm::host_request::{Failure, host, send, send_once};
use crate::arm::token::Fresh;
use crate::arm::transport::{Method, Request};

/// The metadata service of virtual machines.
const METADATA: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

pub async fn fetch(context: &Context<'_>) -> Result<Fresh, Failure> {
    let env = |name: &str| (context.env)(name).filter(|value| !value.is_empty());
    let answer = match (set(&context.credentials.msi_endpoint), env("IDENTITY_ENDPOINT")) {
        (Some(endpoint), _) => endpoint_of_settings(context, endpoint).await,
        (None, Some(endpoint)) if env("IMDS_ENDPOINT").is_some() && env("IDENTITY_HEADER").is_none() => {
            arc(context, &endpoint).await
        }
        (None, None) if set(&context.credentials.msi_api_version).is_some() => {
            endpoint_of_settings(context, METADATA).await
        }
        _ => library(context).await,
    };
    answer.map_err(|failure| {
        let hint = if failure.transient {
            " (is this an Azure machine with an identity?)"
        } else if failure.why.contains(" answered 400") {
            " (is this identity assigned to the machine or app?)"
        } else {
            ""
        };
        Failure { why: failure.why + hint, ..failure }
    })
}

async fn library(context: &Context<'_>) -> Result<Fresh, Failure> {
    let user_assigned_id = client_id(context)?.map(UserAssignedId::ClientId);
    entra::fetch(context, |client_options| {
        let options = ManagedIdentityCredentialOptions { user_assigned_id, client_options };
        ManagedIdentityCredential::new(Some(options))
    })
    .await
}

/// The client ID of a user-assigned identity, if one is configured.
fn client_id(context: &Context<'_>) -> Result<Option<String>, String> {
    files::either(
        "client_id",
        set(&context.credentials.client_id),
        "client_id_file_path",
        set(&context.credentials.client_id_file_path),
    )
}

/// The protocol of the virtual machines' metadata service, at the configured endpoint or API version.
async fn endpoint_of_settings(context: &Context<'_>, endpoint: &str) -> Result<Fresh, Failure> {
    let version = set(&context.credentials.msi_api_version).unwrap_or("2018-02-01");
    let url = url(context, endpoint, version, client_id(context)?)?;
    // App Service and Container Apps require a header with a value from the process's environment.
    let is_theirs = ["IDENTITY_ENDPOINT", "MSI_ENDPOINT"]
        .iter()
        .any(|name| (context.env)(name).as_deref().is_some_and(|theirs| theirs == endpoint));
    let proof = (context.env)("IDENTITY_HEADER").filter(|header| is_theirs && !header.is_empty());
    token(context, &url, proof.map(|header| ("X-IDENTITY-HEADER", header))).await
}

/// The agent of an Arc machine responds with the path of a file that only its group can read. The content is the key for
/// a second request. <https://learn.microsoft.com/azure/azure-arc/servers/managed-identity-authentication>
async fn arc(context: &Context<'_>, endpoint: &str) -> Result<Fresh, Failure> {
    let url = url(context, endpoint, "2020-06-01", None)?;
    let challenge = send_once(&**context.transport, request(&url, None)).await?;
    let path = challenge
        .header("www-authenticate")
        .and_then(|header| header.split_once("realm="))
        .map(|(_, path)| path.trim().trim_matches('"').to_owned())
        .ok_or_else(|| format!("the Arc agent answered {} without naming its key file", challenge.status))?;
    if !is_arc_key(&path, (context.env)("ProgramData").as_deref()) {
        return Err("the Arc agent names a key file that is not in its own folder; it is not read".into());
    }
    let key = files::read("Arc agent's key", &path)
        .map_err(|why| format!("{why} (is this user in the group himds?)"))?;
    token(context, &url, Some(("Authorization", format!("Basic {key}")))).await
}

/// Accepts only the agent's own folder: a fake agent could otherwise make us send it any file.
fn is_arc_key(path: &str, program_data: Option<&str>) -> bool {
    let file = |folder: &str, separator: char| {
        path.strip_prefix(folder)
            .and_then(|rest| rest.strip_prefix(separator))
            .is_some_and(|name| !name.contains(['/', '\\']) && name.ends_with(".key"))
    };
    file("/var/opt/azcmagent/tokens", '/')
        || program_data.is_some_and(|data| file(&format!("{data}\\AzureConnectedMachineAgent\\Tokens"), '\\'))
}

fn url(context: &Context<'_>, endpoint: &str, version: &str, client: Option<String>) -> Result<Url, String> {
    let mut url =
        Url::parse(endpoint).map_err(|error| format!("the endpoint {endpoint:?} is not a URL: {error}"))?;
    let audience = format!("{}/", context.cloud.audience.trim_end_matches('/'));
    url.query_pairs_mut().append_pair("api-version", version).append_pair("resource", &audience);
    if let Some(client) = client {
        url.query_pairs_mut().append_pair("client_id", &client);
    }
    Ok(url)
}

fn request(url: &Url, proof: Option<(&'static str, String)>) -> Request {
    let mut headers = vec![
        ("Metadata".to_owned(), "true".to_owned()),
        ("Accept".to_owned(), "application/json".to_owned()),
    ];
    headers.extend(proof.map(|(name, value)| (name.to_owned(), value)));
    Request { method: Method::Get, url: url.to_string(), headers, body: None }
}

async fn token(
    context: &Context<'_>,
    url: &Url,
    proof: Option<(&'static str, String)>,
) -> Result<Fresh, Failure> {
    let host = host(url.as_str());
    send(&**context.transport, request(url, proof), |response| {
        answer::read(response, &host).map_err(|mut failure| {
            // 410: the metadata service is being updated. 404: it has just started.
            failure.transient |= matches!(response.status, 404 | 410);
            failure
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_only_keys_in_the_arc_agents_folder() {
        for (path, own) in [
            ("/var/opt/azcmagent/tokens/abc.key", true),
            ("/var/opt/azcmagent/tokens/../../../etc/shadow.key", false),
            ("/var/opt/azcmagent/tokens/abc.txt", false),
            ("/etc/passwd", false),
            ("C:\\ProgramData\\AzureConnectedMachineAgent\\Tokens\\a.key", true),
            ("C:\\ProgramData\\Other\\a.key", false),
        ] {
            assert_eq!(is_arc_key(path, Some("C:\\ProgramData")), own, "{path}");
        }
    }
}
