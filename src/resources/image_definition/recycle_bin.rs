//! The recycle bin of a gallery with soft delete, whose versions keep their definition from being deleted.

use super::Model;
use crate::arm::ResourceId;
use crate::azure::objects::soft_deleted::SoftDeletedVersion;
use crate::azure::pipeline::Task;
use crate::azure::run_log::Event;
use crate::azure::{Context, recycle_bin};
use crate::framework::Private;
use crate::schema::{Diagnostic, Diagnostics};

/// Key in private state: destroying the definition purges its deleted versions first, as the gallery's configuration says.
const PURGE: &str = "purge_on_destroy";

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
    if !recycle_bin::is_on(task.context, &task.scope, &gallery).await {
        return Ok(());
    }
    let bin = recycle_bin::list(task, &task.id).await.map_err(|error| task.failed(&error))?;
    if bin.is_empty() {
        return Ok(());
    }
    if private.get(PURGE) != Some(true) {
        return Err(choice(&task.id, &gallery, &bin).into());
    }
    let versions: Vec<String> = bin.into_iter().map(|deleted| deleted.version).collect();
    recycle_bin::purge(task, &task.id, &versions).await.map_err(|error| task.failed(&error).into())
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
