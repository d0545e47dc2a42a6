//! The recycle bin of a gallery with soft delete, whose versions keep their definition from being deleted.

use super::Model;
use crate::arm::{Error, ResourceId, Target};
use crate::azure::Context;
use crate::azure::objects::gallery::Gallery;
use crate::azure::objects::soft_deleted::{self, SoftDeletedVersion};
use crate::azure::pipeline::{Task, remove};
use crate::azure::provisioning::pauses;
use crate::azure::run_log::Event;
use crate::framework::Private;
use crate::schema::{Diagnostic, Diagnostics};

/// Key in private state: destroying the definition purges its deleted versions first, as the gallery's configuration says.
const PURGE: &str = "purge_on_destroy";

/// How many reads of the bin a purge may take to show.
const LOOKS: usize = 20;

/// Stores what the gallery's `purge_on_destroy` says in the private state of the definition, which is destroyed before the
/// gallery is read.
pub fn remember_choice(context: &Context, definition: &Model, private: &mut Private) {
    let (keep, purge) = (Event::KeepOnDestroy, Event::PurgeOnDestroy);
    if context.run.has(&definition.gallery_id, keep) {
        private.remove(PURGE);
    } else if context.run.has(&definition.gallery_id, purge) {
        private.set(PURGE, &true);
    }
}

/// Empties the recycle bin of the definition, or fails when that is not wanted.
pub async fn empty(task: &Task<'_>, private: &Private) -> Result<(), Diagnostics> {
    let Some(gallery) = task.id.parent() else { return Ok(()) };
    let found = task.context.run.parent(task.client(), &task.scope, &Target::at(gallery.to_string())).await;
    // the deletion itself reports best what is wrong with the gallery
    let is_kept = found.ok().flatten().is_some_and(|gallery| {
        Gallery::read(&gallery).soft_delete.is_some_and(|policy| policy.enabled == Some(true))
    });
    if !is_kept {
        return Ok(());
    }
    let bin = list(task).await.map_err(|error| task.failed(&error))?;
    if bin.is_empty() {
        return Ok(());
    }
    if private.get(PURGE) != Some(true) {
        return Err(choice(&task.id, &gallery, &bin).into());
    }
    for version in &bin {
        let target = purge_target(&task.id, &version.version);
        tracing::info!(id = target.path(), "purging a deleted image version");
        remove(task, &target).await.map_err(|error| task.failed(&error))?;
    }
    // the list lags behind
    for pause in pauses().take(LOOKS) {
        if list(task).await.map_err(|error| task.failed(&error))?.is_empty() {
            break;
        }
        task.scope.sleep(pause).await.map_err(|error| task.failed(&error))?;
    }
    Ok(())
}

async fn list(task: &Task<'_>) -> Result<Vec<SoftDeletedVersion>, Error> {
    match soft_deleted::list(task.client(), &task.scope, &task.id).await {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        other => other,
    }
}

fn purge_target(definition: &ResourceId, version: &str) -> Target {
    Target::at(definition.child("versions", version).to_string())
        .query("bypassSoftDelete", "true")
        .needs("2026-03-03", "bypassSoftDelete")
}

// What the user can do about deleted versions.
fn choice(definition: &ResourceId, gallery: &ResourceId, bin: &[SoftDeletedVersion]) -> Diagnostic {
    let each: Vec<String> = bin
        .iter()
        .map(|version| match &version.gone_at {
            Some(gone) => format!("{} (until {gone})", version.version),
            None => version.version.clone(),
        })
        .collect();
    Diagnostic::error(
        format!("Image definition {:?} has soft-deleted versions", definition.name()),
        format!(
            "The gallery's soft delete keeps these versions, and Azure does not delete the definition while it does:\n\n  \
             {}\n\nNothing was deleted. Choose one:\n\n  \
             - To purge them, set purge_on_destroy = true in the soft_delete block of the gallery {:?}, apply, and destroy again.\n  \
             - To keep them, wait until they are gone, or restore them.\n  \
             - To forget the definition without deleting it, use terraform state rm.\n\n{definition}",
            each.join("\n  "),
            gallery.name(),
        ),
    )
}
