//! Questions that are asked by POST and change nothing, such as those to Azure Resource Graph.

use std::time::Duration;

use serde_json::Value;

use super::{Client, Expect};
use crate::arm::{Error, Method, Response, Scope, Target};

/// How often a question is asked when the connection breaks after it was sent. A POST that could change something is
/// not repeated then; a question can be.
const TRIES: u32 = 4;

impl Client {
    /// Sends `body` to `target` and returns the answer, its headers included.
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
                    tracing::debug!(%error, tries, "asking again");
                    scope.sleep(Duration::from_millis(500 << tries)).await?;
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }
}
