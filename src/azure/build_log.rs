//! The log of a build: its location, and its last lines if they can be read.

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::body;
use super::objects::image_template::ImageTemplate;
use super::pipeline::{Task, start_action};
use crate::arm::{ResourceId, Target};

/// The number of lines that an error shows.
const LINES: usize = 25;
/// The folder of the logs in the storage account.
const CONTAINER: &str = "packerlogs";

/// The blob in a message.
#[derive(Clone, Debug, PartialEq)]
struct Blob {
    /// The name of the storage account.
    account: String,
    /// Its ID, if the message contains it.
    account_id: Option<String>,
    /// The path of the blob below the container.
    path: String,
}

impl Blob {
    /// The blob in a message of the service, which contains its ID or, in older messages, its URL.
    fn find(message: &str) -> Option<Blob> {
        let words =
            message.split_whitespace().map(|word| word.trim_matches(['.', ',', ';', '\'', '"', '(', ')']));
        let word = words.into_iter().find(|word| word.contains(CONTAINER) && word.contains(".log"))?;
        let (before, path) = word.split_once(&format!("{CONTAINER}/"))?;
        if let Some((account_id, _)) = before.split_once("/blobServices/") {
            let account = ResourceId::parse(account_id).ok()?.name().to_owned();
            return Some(Blob { account, account_id: Some(account_id.to_owned()), path: path.to_owned() });
        }
        let host = before.strip_prefix("https://")?;
        let account = host.split('.').next()?.to_owned();
        Some(Blob { account, account_id: None, path: path.to_owned() })
    }
}

/// The last lines of the log in `message`. `None` if it cannot be read; the message then contains its location.
pub async fn tail(task: &Task<'_>, message: &str) -> Option<String> {
    let blob = Blob::find(message)?;
    let account_id = match &blob.account_id {
        Some(id) => id.clone(),
        None => {
            format!("{}/providers/Microsoft.Storage/storageAccounts/{}", staging(task).await?, blob.account)
        }
    };
    let text = read(task, &account_id, &blob).await;
    match text {
        Ok(text) => Some(last_lines(&text)),
        Err(why) => {
            tracing::debug!(%why, "the log of the build cannot be read");
            None
        }
    }
}

async fn read(task: &Task<'_>, account_id: &str, blob: &Blob) -> Result<String, String> {
    let (client, scope) = (task.client(), &task.scope);
    let account = client.get(scope, &Target::at(account_id)).await.map_err(|error| error.to_string())?;
    let endpoint =
        body::text(&account, "properties.primaryEndpoints.blob").ok_or("it has no blob endpoint")?;
    let expiry = OffsetDateTime::now_utc() + time::Duration::minutes(30);
    let expiry = expiry.replace_nanosecond(0).ok().and_then(|expiry| expiry.format(&Rfc3339).ok());
    let request = json!({
        "canonicalizedResource": format!("/blob/{}/{CONTAINER}/{}", blob.account, blob.path),
        "signedResource": "b", "signedPermission": "r", "signedExpiry": expiry, "signedProtocol": "https",
    });
    let action = Target::at(format!("{account_id}/ListServiceSas"));
    let signed =
        start_action(client, scope, &action, Some(&request)).await.map_err(|error| error.to_string())?;
    let token = body::text(&signed.body, "serviceSasToken").ok_or("there is no signature")?;
    let url = format!("{}/{CONTAINER}/{}?{token}", endpoint.trim_end_matches('/'), blob.path);
    client.get_public_text(scope, &url).await.map_err(|error| error.to_string())
}

async fn staging(task: &Task<'_>) -> Option<String> {
    let template = task.client().get_opt(&task.scope, &Target::at(task.id.to_string())).await.ok()??;
    ImageTemplate::read(&template, None).exact_staging_resource_group_id
}

/// The location of the logs of the template of `task`; empty if it is not known.
pub async fn folder(task: &Task<'_>) -> String {
    let Some(staging) = staging(task).await else { return String::new() };
    let accounts = Target::at(format!("{staging}/providers/Microsoft.Storage/storageAccounts"));
    match task.client().list(&task.scope, &accounts).await {
        Ok(accounts) => accounts
            .iter()
            .find_map(|account| body::text(account, "id"))
            .map(|id| format!("{id}/blobServices/default/containers/{CONTAINER}"))
            .unwrap_or_default(),
        Err(why) => {
            tracing::debug!(%why, "the storage account of the build cannot be found");
            String::new()
        }
    }
}

// each line begins with the ID of the operation and the stream, which are of no use to the reader
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(readable).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

fn readable(line: &str) -> &str {
    let line = match line.strip_prefix('[').and_then(|line| line.split_once("] ")) {
        Some((_, rest)) => rest,
        None => line,
    };
    let line = line.strip_prefix("PACKER OUT").or(line.strip_prefix("PACKER ERR")).unwrap_or(line);
    line.trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/IT_rg_t_1/providers/Microsoft.Storage/storageAccounts/abc";

    #[test]
    fn finds_the_log_in_both_forms_of_the_message() {
        let id = format!(
            "Build failed. Packer build logs are at location {ACCOUNT}/blobServices/default/containers/packerlogs/g-1/customization.log. OperationId: x."
        );
        let url =
            "Build logs: https://abc.blob.core.windows.net/packerlogs/g-1/customization.log, see there.";
        for (message, account_id) in [(id.as_str(), Some(ACCOUNT.to_owned())), (url, None)] {
            let blob =
                Blob { account: "abc".to_owned(), account_id, path: "g-1/customization.log".to_owned() };
            assert_eq!(Blob::find(message), Some(blob), "{message}");
        }
        for message in ["", "Image build was canceled", "see packerlogs", "customization.log"] {
            assert_eq!(Blob::find(message), None, "{message}");
        }
    }

    #[test]
    fn shows_the_end_of_a_log_without_its_prefixes() {
        let mut text: String = (0..40).map(|n| format!("[g] PACKER OUT     azure-arm: line {n}\n")).collect();
        text.push_str("\n[g] PACKER ERR done\nplain\n");
        let shown = last_lines(&text);
        assert_eq!(shown.lines().count(), LINES);
        assert!(shown.starts_with("azure-arm: line 17\n") && shown.ends_with("done\nplain"), "{shown}");
        assert_eq!(last_lines(""), "");
    }
}
