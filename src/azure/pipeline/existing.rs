//! Checks whether an object that is to be created already exists.

use serde_json::Value as Json;
use tokio::time::Instant;

use super::write::{INVISIBLE_TOLERATED, Task};
use crate::arm::{Error, ResourceId, Target};
use crate::azure::fault;
use crate::azure::provisioning::{is_deleting, is_in_flight, pauses};
use crate::azure::run_log::Event;
use crate::schema::{Diagnostic, Diagnostics};

/// The result of the check before a creation.
pub enum Found {
    /// It does not exist.
    Nothing,
    /// The service is still creating it, for example for a killed run.
    InFlight(Json),
    /// A finished object that this run has removed from the state and kept in Azure.
    Retained(Json),
    /// Any other finished object.
    Finished(Json),
}

/// Looks for an object at `target`. Waits for an object that is being deleted, and for one that this run has deleted
/// and that the service still returns.
pub async fn find(task: &Task<'_>, target: &Target) -> Result<Found, Diagnostics> {
    let failed = |error: Error| Diagnostics::from(task.failed(&error));
    let (run, id) = (&task.context.run, target.path());
    let begun = Instant::now();
    for pause in pauses() {
        let found = task.client().get_opt(&task.scope, target).await.map_err(failed)?;
        let Some(body) = found else { break };
        if !is_deleting(&body) {
            if is_in_flight(&body) {
                return Ok(Found::InFlight(body));
            }
            if run.has(id, Event::Retained) {
                return Ok(Found::Retained(body));
            }
            if !run.has(id, Event::Deleted) || begun.elapsed() > INVISIBLE_TOLERATED {
                return Ok(Found::Finished(body));
            }
        }
        task.scope.sleep(pause).await.map_err(failed)?;
    }
    Ok(Found::Nothing)
}

/// The error for an object that exists and is not in this state, with an import block to paste.
pub fn already_exists(id: &str, noun: &str, type_name: &str) -> Diagnostic {
    let name = ResourceId::parse(id).map(|id| id.name().to_owned()).unwrap_or_default();
    Diagnostic::error(
        format!("{} {name:?} already exists", fault::capital(noun)),
        format!(
            "It is left alone. To manage it here, import it and apply again (put the resource's own address after \"to\"):\
             \n\n  import {{\n    to = {type_name}.{}\n    id = \"{id}\"\n  }}\n\n\
             If this replaces it with create_before_destroy, the new one is created while the old one exists: choose another \
             {}, or remove create_before_destroy.",
            label(&name),
            if type_name.ends_with("_version") { "number" } else { "name" }
        ),
    )
}

// Converts a name to a valid label of an HCL resource.
fn label(name: &str) -> String {
    let label: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    if label.starts_with(|c: char| c.is_ascii_alphabetic()) { label } else { format!("this_{label}") }
}
