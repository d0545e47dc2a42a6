//! Versions whose replication is unfinished or has failed: the warning in the next plan, and when a refresh must read
//! the replication.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Kind;
use crate::arm::region;
use crate::azure::pipeline::WaitUntil;
use crate::azure::provisioning::Provisioning;
use crate::azure::replication::{Replication, Wait};
use crate::azure::{Context, body};
use crate::framework::Draft;
use crate::schema::{Path, Value};

/// Plans an update for an unfinished version, so that the apply continues to wait or repairs a failed region. Returns
/// whether it did.
pub fn prepare(context: Option<&Context>, draft: &mut Draft<'_>, kind: &Kind) -> bool {
    if draft.is_create() {
        return false;
    }
    let wait = wait_of(context, draft.planned.get("wait_for_replication").as_str());
    let states = draft.prior.get("replication_state");
    let has = |wanted: &[&str]| {
        states.entries().any(|(_, state)| state.as_str().is_some_and(|state| wanted.contains(&state)))
    };
    let home = draft.prior.get("location").as_str().map(region::normalise).unwrap_or_default();
    let home_unfinished =
        states.entries().any(|(name, state)| *name == home && state.as_str() != Some("Completed"));
    let state = draft.prior.get("provisioning_state").as_str();
    let failed =
        has(&["Failed"]) || state.is_some_and(|state| Provisioning::parse(state) == Provisioning::Failed);
    let open = match wait {
        Wait::All => {
            has(&["Replicating", "Unknown"])
                || state.is_some_and(|state| Provisioning::parse(state) != Provisioning::Final)
        }
        Wait::Home => home_unfinished,
        Wait::None => false,
    };
    if !failed && !open {
        draft.keeps_volatile = wait == Wait::All && is_steady(draft);
        return false;
    }
    for name in ["provisioning_state", "replication_state", "replication_progress"] {
        draft.planned.set(name, Value::Unknown);
    }
    let progress: Vec<String> = states
        .entries()
        .filter(|(_, state)| state.as_str() != Some("Completed"))
        .map(|(name, state)| {
            let percent = draft.prior.get("replication_progress").entries().find(|(have, _)| *have == name);
            let percent = percent.and_then(|(_, percent)| percent.as_i64()).unwrap_or_default();
            format!("{name} {} ({percent} %)", state.as_str().unwrap_or_default())
        })
        .collect();
    let what = if failed { "has failed in a region" } else { "is not replicated everywhere yet" };
    let next = if failed {
        "Apply takes the failed regions out and puts them in again; the others stay."
    } else {
        "Apply goes on waiting."
    };
    draft.diagnostics.warning(
        Path::attribute("replication_state"),
        format!("The {} {what}", kind.noun),
        format!(
            "{}. {next}",
            if progress.is_empty() {
                format!("It is {}", state.unwrap_or_default())
            } else {
                progress.join(", ")
            }
        ),
    );
    true
}

// Whether an update that waits for all regions ends with the replication that it starts with: the version is everywhere, and
// keeps its regions.
fn is_steady(draft: &Draft<'_>) -> bool {
    let mut states = draft.prior.get("replication_state").entries().peekable();
    states.peek().is_some()
        && states.all(|(_, state)| state.as_str() == Some("Completed"))
        && is_succeeded(draft.prior.get("provisioning_state").as_str())
        && !draft.changes("target_region")
}

/// The progress of a version in a state.
#[derive(Clone, Copy)]
pub struct Progress<'s> {
    /// The provisioning state.
    pub provisioning_state: Option<&'s str>,
    /// The replication state by region.
    pub replication_state: Option<&'s BTreeMap<String, String>>,
}

impl Progress<'_> {
    /// Whether replication was complete when the state was read, so that an unchanged version need not be read with its
    /// replication.
    fn may_be_complete(self) -> bool {
        is_succeeded(self.provisioning_state)
            && self.replication_state.is_some_and(|known| known.values().all(|state| state == "Completed"))
    }

    /// Whether the version has succeeded in a region.
    pub fn has_content(self) -> bool {
        let completed = |state: &String| state == "Completed";
        is_succeeded(self.provisioning_state)
            || self.replication_state.is_some_and(|states| states.values().any(completed))
    }

    /// Whether the version in `object`, which was read without its replication, does not need a read with it. Without an
    /// object, whether that is possible.
    pub fn is_complete(self, object: Option<&Json>) -> bool {
        let Some(object) = object else { return self.may_be_complete() };
        let regions = Replication::parse(object).regions;
        self.may_be_complete()
            && is_succeeded(body::text(object, "properties.provisioningState").as_deref())
            && self.replication_state.into_iter().flat_map(BTreeMap::keys).eq(regions.keys())
    }
}

fn is_succeeded(state: Option<&str>) -> bool {
    state.is_some_and(|state| state.eq_ignore_ascii_case("Succeeded"))
}

/// How long to wait for the version in `object`. `location` is its home region, in case the response does not contain
/// it.
pub fn wait_until(context: &Context, own: Option<&str>, location: Option<&str>, object: &Json) -> WaitUntil {
    match wait_of(Some(context), own) {
        Wait::All => WaitUntil::AllRegions,
        Wait::None => WaitUntil::Accepted,
        Wait::Home => {
            let home = body::text(object, "location").or(location.map(str::to_owned));
            WaitUntil::Home(home.unwrap_or_default())
        }
    }
}

/// How long to wait: the resource's setting, or else the provider's.
fn wait_of(context: Option<&Context>, own: Option<&str>) -> Wait {
    match own {
        Some(word) => Wait::parse(word),
        None => context.map(|context| context.wait_for_replication).unwrap_or_default(),
    }
}
