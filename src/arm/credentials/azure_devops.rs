//! Signs in as an application with the federated token of an Azure DevOps pipeline.
//! <https://learn.microsoft.com/rest/api/azure/devops/distributedtask/oidctoken/create>

use super::{Context, github, oidc, set};
use crate::arm::host_request::Failure;
use crate::arm::token::Fresh;
use crate::arm::transport::Method;

pub async fn fetch(context: &Context<'_>) -> Result<Fresh, Failure> {
    let connection = set(&context.credentials.ado_pipeline_service_connection_id)
        .ok_or("ado_pipeline_service_connection_id is not set")?;
    let mut url = github::request_url(context)?;
    url.query_pairs_mut()
        .append_pair("api-version", "7.1")
        .append_pair("serviceConnectionId", connection)
        .append_pair("audience", github::AUDIENCE);
    // Without this header, the response to an unauthorised request is a redirect to a sign-in page.
    let headers = vec![
        ("X-TFS-FedAuthRedirect".to_owned(), "Suppress".to_owned()),
        ("Content-Type".to_owned(), "application/json".to_owned()),
    ];
    let token = github::request_token(context, Method::Post, &url, headers, "oidcToken").await.map_err(|failure| {
        let hint =
            "is oidc_request_token the pipeline's System.AccessToken, and may it use the service connection?";
        Failure { why: format!("{} ({hint})", failure.why), ..failure }
    })?;
    oidc::exchange(context, context.tenant()?, context.client_id()?, token).await
}
