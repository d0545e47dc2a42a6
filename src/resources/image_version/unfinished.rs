//! Versions whose replication is unfinished or failed: what the next plan says, and when a refresh must ask again.

use serde_json::Value as Json;

use super::model::Model;
use crate::arm::region;
use crate::azure::provisioning::Provisioning;
use crate::azure::replication::{Replication, Wait};
use crate::azure::{Context, body};
use crate::framework::Draft;
use crate::schema::{Path, Value};

/// Plans an update for a version that is not finished, so that apply goes on waiting, or repairs a failed region.
pub fn prepare(context: Option<&Context>, draft: &mut Draft<'_>) {
    if draft.is_create() {
        return;
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
        return;
    }
    // of a version that is not finished, the sizes of its disks may be missing yet
    const OPEN: [&str; 5] = [
        "provisioning_state",
        "replication_state",
        "replication_progress",
        "os_disk_size_gb",
        "data_disk_sizes_gb",
    ];
    for name in OPEN {
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
        format!("The image version {what}"),
        format!(
            "{}. {next}",
            if progress.is_empty() {
                format!("It is {}", state.unwrap_or_default())
            } else {
                progress.join(", ")
            }
        ),
    );
}

/// Whether replication was complete when `state` was read, so that a refresh of an unchanged version need not request it.
pub fn may_be_complete(state: &Model) -> bool {
    is_succeeded(state.provisioning_state.as_deref())
        && state
            .replication_state
            .as_ref()
            .is_some_and(|known| known.values().all(|state| state == "Completed"))
}

/// Whether the version in `object`, read without its replication, gives no reason to ask for it.
pub fn is_complete(state: &Model, object: &Json) -> bool {
    let regions = Replication::parse(object).regions;
    may_be_complete(state)
        && is_succeeded(body::text(object, "properties.provisioningState").as_deref())
        && state.replication_state.iter().flat_map(|known| known.keys()).eq(regions.keys())
}

fn is_succeeded(state: Option<&str>) -> bool {
    state.is_some_and(|state| state.eq_ignore_ascii_case("Succeeded"))
}

/// How long to wait: as the resource says, else as the provider does.
pub fn wait_of(context: Option<&Context>, own: Option<&str>) -> Wait {
    match own {
        Some(word) => Wait::parse(word),
        None => context.map(|context| context.wait_for_replication).unwrap_or_default(),
    }
}
