//! A managed identity: of a virtual machine, of App Service, of an Arc machine, or at a given endpoint.

use std::time::Duration;

use azure_identity::{ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId};
use serde_json::Value;
use url::Url;

use super::{Context, entra, files, set};
use crate::arm::error;
use crate::arm::secret::Secret;
use crate::arm::token::Fresh;
use crate::arm::transport::{Method, Request, Response};

/// The metadata service is retried for over a minute while a machine starts; longer is no use.
const PATIENCE: Duration = Duration::from_secs(90);

/// The metadata service of virtual machines.
const METADATA: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

pub async fn fetch(context: &Context<'_>) -> Result<Fresh, String> {
    let asking = async {
        if let Some(endpoint) = set(&context.credentials.msi_endpoint) {
            return own(context, endpoint).await;
        }
        let env = |name: &str| (context.env)(name).filter(|value| !value.is_empty());
        match env("IDENTITY_ENDPOINT") {
            Some(endpoint) if env("IMDS_ENDPOINT").is_some() && env("IDENTITY_HEADER").is_none() => {
                arc(context, &endpoint).await
            }
            None if set(&context.credentials.msi_api_version).is_some() => own(context, METADATA).await,
            _ => library(context).await,
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| {
        Err("no answer from the metadata service: is this an Azure machine with an identity?".to_owned())
    })
}

async fn library(context: &Context<'_>) -> Result<Fresh, String> {
    let options = ManagedIdentityCredentialOptions {
        user_assigned_id: client_id(context)?.map(UserAssignedId::ClientId),
        client_options: entra::client_options(context),
    };
    entra::fetch(context, ManagedIdentityCredential::new(Some(options))).await
}

/// A user-assigned identity's client id, when one is meant.
fn client_id(context: &Context<'_>) -> Result<Option<String>, String> {
    files::either(
        "client_id",
        set(&context.credentials.client_id),
        "client_id_file_path",
        set(&context.credentials.client_id_file_path),
    )
}

/// The protocol of the virtual machines' metadata service, at an endpoint or in a version of the user's.
async fn own(context: &Context<'_>, endpoint: &str) -> Result<Fresh, String> {
    let version = set(&context.credentials.msi_api_version).unwrap_or("2018-02-01");
    let url = request(context, endpoint, version, client_id(context)?)?;
    // App Service and Container Apps want to hear what only their own processes were told
    let theirs = ["IDENTITY_ENDPOINT", "MSI_ENDPOINT"]
        .iter()
        .any(|name| (context.env)(name).as_deref().is_some_and(|theirs| theirs == endpoint));
    let proof = (context.env)("IDENTITY_HEADER").filter(|header| theirs && !header.is_empty());
    token(&get(context, &url, proof.map(|header| ("X-IDENTITY-HEADER", header))).await?)
}

/// An Arc machine's agent first names a file that only its group may read; what is in it opens the door.
/// <https://learn.microsoft.com/azure/azure-arc/servers/managed-identity-authentication>
async fn arc(context: &Context<'_>, endpoint: &str) -> Result<Fresh, String> {
    let url = request(context, endpoint, "2020-06-01", None)?;
    let challenge = get(context, &url, None).await?;
    let path = challenge
        .header("www-authenticate")
        .and_then(|header| header.split_once("realm="))
        .map(|(_, path)| path.trim().trim_matches('"').to_owned())
        .ok_or_else(|| format!("the Arc agent answered {} without naming its key file", challenge.status))?;
    if !is_arc_key(&path, (context.env)("ProgramData").as_deref()) {
        return Err("the Arc agent names a key file that is not in its own folder; it is not read".to_owned());
    }
    let key = files::read("Arc agent's key", &path)
        .map_err(|why| format!("{why} (is this user in the group himds?)"))?;
    token(&get(context, &url, Some(("Authorization", format!("Basic {key}")))).await?)
}

/// Only the agent's own folder, or a false agent could have any file sent to it.
fn is_arc_key(path: &str, program_data: Option<&str>) -> bool {
    let file = |folder: &str, separator: char| {
        path.strip_prefix(folder)
            .and_then(|rest| rest.strip_prefix(separator))
            .is_some_and(|name| !name.contains(['/', '\\']) && name.ends_with(".key"))
    };
    file("/var/opt/azcmagent/tokens", '/')
        || program_data.is_some_and(|data| file(&format!("{data}\\AzureConnectedMachineAgent\\Tokens"), '\\'))
}

fn request(
    context: &Context<'_>,
    endpoint: &str,
    version: &str,
    client: Option<String>,
) -> Result<Url, String> {
    let mut url =
        Url::parse(endpoint).map_err(|error| format!("the endpoint {endpoint:?} is not a URL: {error}"))?;
    let audience = format!("{}/", context.cloud.audience.trim_end_matches('/'));
    url.query_pairs_mut().append_pair("api-version", version).append_pair("resource", &audience);
    if let Some(client) = client {
        url.query_pairs_mut().append_pair("client_id", &client);
    }
    Ok(url)
}

async fn get(
    context: &Context<'_>,
    url: &Url,
    proof: Option<(&'static str, String)>,
) -> Result<Response, String> {
    let mut wait = Duration::from_millis(500);
    for last in [false, false, false, true] {
        let mut headers = vec![
            ("Metadata".to_owned(), "true".to_owned()),
            ("Accept".to_owned(), "application/json".to_owned()),
        ];
        headers.extend(proof.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let request = Request { method: Method::Get, url: url.to_string(), headers, body: None };
        match context.transport.send(request).await {
            // 410 is a metadata service that is being updated, 404 one that has just started.
            Ok(response) if last || !matches!(response.status, 404 | 410 | 429 | 500..=599) => {
                return Ok(response);
            }
            Err(error) if last => {
                return Err(format!("{}: {}", url.host_str().unwrap_or_default(), error.message));
            }
            _ => tokio::time::sleep(wait).await,
        }
        wait *= 2;
    }
    Err("no answer".to_owned())
}

/// `expires_in` and `expires_on` are numbers, or numbers in quotes.
fn token(response: &Response) -> Result<Fresh, String> {
    let body = error::json(&response.body)
        .ok_or_else(|| format!("it answered {}: {}", response.status, error::not_json(response)))?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if response.status != 200 {
        return Err(entra::short(&format!(
            "it answered {}: {} {}",
            response.status,
            text("error"),
            text("error_description")
        )));
    }
    let number = |name: &str| {
        let value = body.get(name)?;
        value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
    };
    let token = text("access_token");
    if token.is_empty() {
        return Err("its answer has no access_token".to_owned());
    }
    let seconds = number("expires_in")
        .or_else(|| Some(number("expires_on")? - time::OffsetDateTime::now_utc().unix_timestamp()))
        .ok_or("its answer does not say when the token expires")?;
    Ok(Fresh {
        token: Secret::new(token),
        lifetime: Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let read = |status: u16, body: &str| {
            token(&Response { status, headers: vec![], body: body.as_bytes().to_vec() })
                .map(|fresh| fresh.lifetime.as_secs())
        };
        assert_eq!(read(200, r#"{"access_token":"t","expires_in":"3599"}"#), Ok(3599));
        assert_eq!(read(200, r#"{"access_token":"t","expires_in":60}"#), Ok(60));
        assert_eq!(read(200, r#"{"access_token":"t","expires_on":"1"}"#), Ok(0));
        assert!(read(200, r#"{"access_token":"t"}"#).is_err());
        assert!(read(200, r#"{"expires_in":1}"#).is_err());
        let refused =
            read(400, r#"{"error":"invalid_request","error_description":"Identity not found"}"#).unwrap_err();
        assert_eq!(refused, "it answered 400: invalid_request Identity not found");
        assert!(read(502, "<html>").unwrap_err().contains("502"));
    }

    #[test]
    fn only_the_arc_agents_own_keys_are_read() {
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
