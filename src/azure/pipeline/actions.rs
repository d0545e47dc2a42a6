//! Actions: POST requests such as `…/share`, with the wait for their operations.

use serde_json::Value as Json;

use crate::arm::{Accepted, Client, Error, Kind, Scope, Target};

/// Sends `body` to an action, and returns its operation without waiting.
pub async fn start_action(
    client: &Client,
    scope: &Scope,
    target: &Target,
    body: Option<&Json>,
) -> Result<Accepted, Error> {
    client.post(scope, target, body).await
}

/// Sends `body` to an action and waits for its operation. An operation whose URL cannot be read counts as ended, so
/// the caller must verify the effect if necessary.
pub async fn act(client: &Client, scope: &Scope, target: &Target, body: Option<&Json>) -> Result<(), Error> {
    let accepted = start_action(client, scope, target, body).await?;
    let Some(operation) = accepted.operation else { return Ok(()) };
    match client.wait(scope, &operation).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_stopped() || error.is_timed_out() || error.kind == Kind::Operation => {
            Err(error)
        }
        Err(error) => {
            tracing::warn!(action = target.path(), why = %error, "the end of the action cannot be observed");
            Ok(())
        }
    }
}
