//! The end of a machine's serial console log, through its boot diagnostics. The address of the log is signed, so it is a secret.

use std::time::Duration;

use super::verdict;
use crate::arm::{Client, ResourceId, Scope, Target};
use crate::azure::body;
use crate::azure::provisioning::pauses;

/// The service takes up to some minutes to write the first log. A test does not wait that long for an explanation.
const LIMIT: Duration = Duration::from_secs(60);

/// The last lines of the log; `None` when there is none to be had. This never fails a test.
pub async fn tail(client: &Client, scope: &Scope, machine: &ResourceId) -> Option<String> {
    let scope = scope.anew(LIMIT, "reading the serial console's log");
    let target = Target::at(format!("{machine}/retrieveBootDiagnosticsData"));
    let answer = client.post(&scope, &target, None).await.ok()?.body;
    let address = body::text(&answer, "serialConsoleLogBlobUri")?;
    for pause in pauses() {
        match client.get_public_text(&scope, &address).await {
            Ok(text) => {
                let tail = verdict::tail(&text);
                return (!tail.is_empty()).then_some(tail);
            }
            Err(error) if error.status == Some(404) => scope.sleep(pause).await.ok()?,
            Err(_) => return None,
        }
    }
    None
}
