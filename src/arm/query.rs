//! Queries: POST requests that change nothing, such as those to Azure Resource Graph.

use std::time::Duration;

use serde_json::Value;

use super::{Client, Expect};
use crate::arm::{Error, Method, Response, Scope, Target};

/// How often a query is sent if the connection breaks after sending it. Other POSTs are not repeated then, because they
/// could change something twice.
const TRIES: u32 = 4;

impl Client {
    /// Sends `body` to `target` and returns the response including its headers.
    pub async fn query(
        &self,
        scope: &Scope,
        target: &Target,
        body: &Value,
    ) -> Result<(Value, Response), Error> {
        let mut tries = 1;
        loop {
            match self.first(scope, Method::Post, target, Some(body), Expect::Object).await {
                Ok(first) => return Ok((first.reply.body, first.reply.response)),
                Err(error) if error.may_have_acted() && tries < TRIES => {
                    tracing::debug!(%error, tries, "repeating the query");
                    scope.sleep(Duration::from_millis(500 << tries)).await?;
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }
}
