//! From an answer to its arrival: everything that faults make go wrong on the way, for the socket and for the process itself.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::held::{self, Held};
use super::{Emulator, Fault, Request, Response};

/// How often to look whether a held request may go.
const LOOK: Duration = Duration::from_millis(10);
/// How long a request is held or left without an answer at most.
const PATIENCE: Duration = Duration::from_secs(600);

/// Why no answer arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Whether the request may have been seen by the service.
    pub sent: bool,
}

/// Has `request` handled, and returns its answer when it is due. What is left to do of faults is to cut a body short.
pub async fn deliver(emulator: &Arc<Emulator>, request: Request) -> Result<Response, Gone> {
    let lost = Gone { sent: true };
    let response = handled(emulator, request.clone(), Emulator::handle).await.ok_or(lost)?;
    match response.fault {
        Fault::None | Fault::Truncate(_) => Ok(response),
        Fault::Delay(delay) => {
            tokio::time::sleep(delay).await;
            Ok(response)
        }
        Fault::Drop => Err(lost),
        Fault::Refuse => Err(Gone { sent: false }),
        Fault::Stall => {
            tokio::time::sleep(PATIENCE).await;
            Err(lost)
        }
        Fault::Hold { number, before } => {
            if !released(emulator, number).await {
                Err(lost)
            } else if before {
                handled(emulator, request, Emulator::handle_released).await.ok_or(lost)
            } else {
                Ok(response)
            }
        }
    }
}

/// `None` when the emulator broke down over it.
async fn handled(
    emulator: &Arc<Emulator>,
    request: Request,
    how: fn(&Emulator, &Request, OffsetDateTime) -> Response,
) -> Option<Response> {
    let emulator = Arc::clone(emulator);
    // The state file's lock can make it wait.
    tokio::task::spawn_blocking(move || how(&emulator, &request, OffsetDateTime::now_utc())).await.ok()
}

/// Waits until the request of that number may go; false when its connection is to break.
async fn released(emulator: &Arc<Emulator>, number: i64) -> bool {
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < PATIENCE {
        tokio::time::sleep(LOOK).await;
        let emulator = Arc::clone(emulator);
        let look = move || emulator.store.run(false, 0, |state| held::ask(state, number));
        match tokio::task::spawn_blocking(look).await {
            Ok(Ok(Held::Still)) => {}
            Ok(Ok(Held::Go)) => return true,
            _ => return false,
        }
    }
    false
}
