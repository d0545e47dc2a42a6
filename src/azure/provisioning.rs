//! Provisioning states: whether the service is still working on an object, and whether its last operation failed.

use std::time::Duration;

use serde_json::Value as Json;

use super::body;
use crate::arm::ResourceId;
use crate::arm::operation::poll_intervals;
use crate::framework::Draft;
use crate::schema::{Diagnostic, Path, Value};

/// The meaning of an object's `provisioningState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provisioning {
    /// The service is working on it.
    InFlight,
    /// The last operation failed or was cancelled.
    Failed,
    /// It is finished: any other state, including an unknown one or none.
    Final,
}

impl Provisioning {
    /// Parses a provisioning state, ignoring case.
    pub fn parse(state: &str) -> Provisioning {
        const IN_FLIGHT: [&str; 4] = ["creating", "updating", "deleting", "migrating"];
        match state.to_ascii_lowercase() {
            state if IN_FLIGHT.contains(&state.as_str()) => Provisioning::InFlight,
            state if ["failed", "canceled", "cancelled"].contains(&state.as_str()) => Provisioning::Failed,
            _ => Provisioning::Final,
        }
    }

    /// Reads the state of an object.
    pub fn of(object: &Json) -> Provisioning {
        body::text(object, "properties.provisioningState")
            .map_or(Provisioning::Final, |state| Self::parse(&state))
    }
}

/// Whether the service is still working on the object.
pub fn is_in_flight(object: &Json) -> bool {
    Provisioning::of(object) == Provisioning::InFlight
}

/// Whether the object's last operation failed, so that it must be written again even if it looks right.
pub fn is_failed(object: &Json) -> bool {
    Provisioning::of(object) == Provisioning::Failed
}

/// Whether the object is being deleted.
pub fn is_deleting(object: &Json) -> bool {
    body::text(object, "properties.provisioningState")
        .is_some_and(|state| state.eq_ignore_ascii_case("Deleting"))
}

/// Plans an update for an object that an earlier run left unfinished or failed, so that the next apply finishes it.
pub fn plan_retry_if_unfinished(draft: &mut Draft<'_>) {
    let state = draft.prior.get("provisioning_state").as_str();
    if state.is_some_and(|state| Provisioning::parse(state) != Provisioning::Final) {
        draft.planned.set("provisioning_state", Value::Unknown);
    }
}

/// The warning for an end-of-life date that the service keeps although its removal was requested.
pub fn kept_end_of_life_date(id: &ResourceId) -> Diagnostic {
    Diagnostic::warning(
        "The service kept the end-of-life date",
        format!("The request to remove it succeeded, but {id} still has one. The next plan shows it."),
    )
    .at(Path::attribute("end_of_life_date"))
}

/// The pauses between reads of an object: 0.2 s, growing to 5 s. They never end, so a scope must limit them.
pub fn pauses() -> impl Iterator<Item = Duration> {
    poll_intervals().map(|pause| pause.min(Duration::from_secs(5)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_states_without_case_and_unknown_ones_as_final() {
        let rows = [
            ("Creating", Provisioning::InFlight),
            ("updating", Provisioning::InFlight),
            ("DELETING", Provisioning::InFlight),
            ("failed", Provisioning::Failed),
            ("Canceled", Provisioning::Failed),
            ("succeeded", Provisioning::Final),
            ("Reticulating", Provisioning::Final),
        ];
        for (state, meaning) in rows {
            assert_eq!(Provisioning::parse(state), meaning, "{state}");
        }
        assert_eq!(Provisioning::of(&Json::Null), Provisioning::Final);
    }
}
