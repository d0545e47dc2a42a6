//! Signs in as an application with the federated token of a GitHub Actions job.
//! <https://docs.github.com/actions/reference/security/oidc>

use url::Url;

use super::{Context, oidc, set};
use crate::arm::clouds;
use crate::arm::error;
use crate::arm::host_request::{self, Failure};
use crate::arm::token::Fresh;
use crate::arm::transport::{Method, Request};

/// The audience of federated tokens for Azure.
pub const AUDIENCE: &str = "api://AzureADTokenExchange";

pub async fn fetch(context: &Context<'_>) -> Result<Fresh, Failure> {
    let mut url = request_url(context)?;
    url.query_pairs_mut().append_pair("audience", AUDIENCE);
    let token = request_token(context, Method::Get, &url, vec![], "value").await.map_err(|failure| {
        let hint = "does the job have permissions: id-token: write?";
        Failure { why: format!("{} ({hint})", failure.why), ..failure }
    })?;
    oidc::exchange(context, context.tenant()?, context.client_id()?, token).await
}

/// The URL at which the pipeline issues tokens.
pub fn request_url(context: &Context<'_>) -> Result<Url, String> {
    let text = set(&context.credentials.oidc_request_url).ok_or("oidc_request_url is not set")?;
    let url = Url::parse(text).map_err(|error| format!("oidc_request_url is not a URL: {error}"))?;
    // The request contains the pipeline's own token.
    if url.scheme() == "https" || (url.scheme() == "http" && clouds::is_loopback(&url)) {
        Ok(url)
    } else {
        Err("oidc_request_url must begin with https://".to_owned())
    }
}

/// Requests a token from the pipeline. It is the member `name` of the response.
pub async fn request_token(
    context: &Context<'_>,
    method: Method,
    url: &Url,
    mut headers: Vec<(String, String)>,
    name: &str,
) -> Result<String, Failure> {
    let bearer = set(&context.credentials.oidc_request_token).ok_or("oidc_request_token is not set")?;
    headers.push(("Authorization".to_owned(), format!("Bearer {bearer}")));
    headers.push(("Accept".to_owned(), "application/json".to_owned()));
    let host = format!("{} (oidc_request_url)", host_request::host(url.as_str()));
    let request = Request { method, url: url.to_string(), headers, body: None };
    host_request::send(&**context.transport, request, |response| {
        let body = error::json(&response.body);
        let token = body.as_ref().and_then(|body| body.get(name)?.as_str()).filter(|token| !token.is_empty());
        match (token, &body) {
            (Some(token), _) if response.status == 200 => Ok(token.to_owned()),
            (_, Some(body)) => {
                let said = body.get("message").and_then(serde_json::Value::as_str).map(super::answer::short);
                let reason = said.unwrap_or_else(|| format!("the answer has no {name:?}"));
                Err(host_request::refusal(&host, response, Some(reason)))
            }
            _ => Err(host_request::refusal(&host, response, None)),
        }
    })
    .await
}
