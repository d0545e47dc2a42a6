//! An application that signs in with the federated token of a GitHub Actions job.
//! <https://docs.github.com/actions/reference/security/oidc>

use url::Url;

use super::{Context, entra, oidc, set};
use crate::arm::clouds;
use crate::arm::error;
use crate::arm::token::Fresh;
use crate::arm::transport::{Method, Request, Response};

/// What federated tokens for Azure are made out to.
pub const AUDIENCE: &str = "api://AzureADTokenExchange";

pub async fn fetch(context: &Context<'_>) -> Result<Fresh, String> {
    let mut url = request_url(context)?;
    url.query_pairs_mut().append_pair("audience", AUDIENCE);
    let response = ask(context, Method::Get, &url, vec![]).await?;
    let token = token(&response, "value")
        .map_err(|why| format!("{why} (does the job have permissions: id-token: write?)"))?;
    oidc::exchange(context, context.tenant()?, context.client_id()?, token).await
}

/// Where the pipeline gives out its tokens.
pub fn request_url(context: &Context<'_>) -> Result<Url, String> {
    let text = set(&context.credentials.oidc_request_url).ok_or("oidc_request_url is not set")?;
    let url = Url::parse(text).map_err(|error| format!("oidc_request_url is not a URL: {error}"))?;
    // The request carries the pipeline's own token.
    if url.scheme() == "https" || (url.scheme() == "http" && clouds::is_loopback(&url)) {
        Ok(url)
    } else {
        Err("oidc_request_url must begin with https://".to_owned())
    }
}

/// Asks the pipeline for a token.
pub async fn ask(
    context: &Context<'_>,
    method: Method,
    url: &Url,
    mut headers: Vec<(String, String)>,
) -> Result<Response, String> {
    let bearer = set(&context.credentials.oidc_request_token).ok_or("oidc_request_token is not set")?;
    headers.push(("Authorization".to_owned(), format!("Bearer {bearer}")));
    headers.push(("Accept".to_owned(), "application/json".to_owned()));
    let host = url.host_str().unwrap_or_default().to_owned();
    let mut wait = std::time::Duration::from_millis(500);
    for last in [false, false, true] {
        let request = Request { method, url: url.to_string(), headers: headers.clone(), body: None };
        match context.transport.send(request).await {
            Ok(response) if response.status < 500 && response.status != 429 => return Ok(response),
            Ok(response) if last => {
                return Err(format!("{host} (oidc_request_url) answered {}", response.status));
            }
            Err(error) if last => {
                return Err(format!("{host} (oidc_request_url): {}", error.message));
            }
            _ => tokio::time::sleep(wait).await,
        }
        wait *= 2;
    }
    Err(format!("{host} (oidc_request_url) did not answer"))
}

/// The token in the member `name` of an answer.
pub fn token(response: &Response, name: &str) -> Result<String, String> {
    let body = error::json(&response.body);
    if response.status != 200 {
        let why = body.as_ref().and_then(|body| body.get("message")?.as_str().map(str::to_owned));
        return Err(entra::short(&format!(
            "oidc_request_url answered {} {}",
            response.status,
            why.unwrap_or_default()
        )));
    }
    body.ok_or_else(|| format!("oidc_request_url: {}", error::not_json(response)))?
        .get(name)
        .and_then(serde_json::Value::as_str)
        .filter(|token| !token.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| format!("the answer of oidc_request_url has no {name:?}"))
}
