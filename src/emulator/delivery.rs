//! Delivery of a response: applies delay, hold and connection faults, both for the socket and in process.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::held::{self, Held};
use super::{Emulator, Fault, Request, Response};

/// How often to check whether a held request is released.
const LOOK: Duration = Duration::from_millis(10);
/// The longest time for which a request is held or left without a response.
const PATIENCE: Duration = Duration::from_secs(600);

/// Why no response arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Whether the service may have seen the request.
    pub sent: bool,
}

/// Handles `request` and returns its response when it is due. Truncating the body is left to the caller.
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

/// `None` if the emulator panicked.
async fn handled(
    emulator: &Arc<Emulator>,
    request: Request,
    how: fn(&Emulator, &Request, OffsetDateTime) -> Response,
) -> Option<Response> {
    let emulator = Arc::clone(emulator);
    // Handling can block on the state file's lock.
    tokio::task::spawn_blocking(move || how(&emulator, &request, OffsetDateTime::now_utc())).await.ok()
}

/// Waits until the request with this number is released; false if its connection must be closed.
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

#[cfg(test)]
mod tests {
    use super::*;

    const GALLERY: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/Microsoft.Compute/galleries/g?api-version=2026-03-03";

    fn request(method: &str, url: &str, body: &str) -> Request {
        Request { method: method.into(), url: url.into(), headers: Vec::new(), body: body.into() }
    }

    fn control(emulator: &Emulator, method: &str, path: &str, body: &str) -> String {
        let url = format!("/_emulator/{path}");
        let answer = emulator.handle(&request(method, &url, body), OffsetDateTime::UNIX_EPOCH);
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        String::from_utf8_lossy(&answer.body).into_owned()
    }

    /// Sends a PUT under a fault; returns whether it got a response, and whether the gallery exists.
    async fn put(fault: &str, then: Option<&str>) -> (Result<u16, Gone>, bool) {
        let emulator = Arc::new(Emulator::in_memory());
        control(&emulator, "PUT", "faults", fault);
        let put = request("PUT", GALLERY, r#"{"location":"eastus"}"#);
        let release = async {
            tokio::time::sleep(Duration::from_secs(30)).await;
            if let Some(then) = then {
                assert!(control(&emulator, "GET", "held", "").contains("/galleries/g"));
                control(&emulator, "POST", "held", &format!(r#"{{"then":"{then}"}}"#));
                assert!(!control(&emulator, "GET", "held", "").contains("/galleries/g"));
            }
        };
        let (answer, ()) = tokio::join!(deliver(&emulator, put), release);
        let there = emulator.handle_by_hand(&request("GET", GALLERY, ""), OffsetDateTime::now_utc());
        (answer.map(|answer| answer.status), there.status == 200)
    }

    #[tokio::test(start_paused = true)]
    async fn faults_hold_drop_and_stall_requests() {
        let (lost, unsent) = (Err(Gone { sent: true }), Err(Gone { sent: false }));
        let rows = [
            (r#"{"path":"/nothing","drop":"before"}"#, None, Ok(201), true),
            (r#"{"drop":"before"}"#, None, lost, false),
            (r#"{"drop":"after"}"#, None, lost, true),
            (r#"{"drop":"connect"}"#, None, unsent, false),
            (r#"{"stall":"before"}"#, None, lost, false),
            (r#"{"stall":"after"}"#, None, lost, true),
            (r#"{"hold":"before"}"#, Some("go"), Ok(201), true),
            (r#"{"hold":"before"}"#, Some("drop"), lost, false),
            (r#"{"hold":"after"}"#, Some("go"), Ok(201), true),
            (r#"{"hold":"after"}"#, Some("drop"), lost, true),
        ];
        for (fault, then, answer, there) in rows {
            assert_eq!(put(fault, then).await, (answer, there), "{fault} {then:?}");
        }
    }
}
