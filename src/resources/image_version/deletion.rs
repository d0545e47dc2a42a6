//! What destroying an image version does: delete, retain or purge.

use super::ImageVersion;
use super::model::{Model, label, progress};
use super::recycle_bin::is_on;
use crate::arm::{Error, ResourceId};
use crate::azure::fault;
use crate::azure::gallery_version::IMAGE_VERSION as KIND;
use crate::azure::gallery_version::retain::{is_without_content, leaves};
use crate::azure::pipeline::{self, Managed, Task};
use crate::azure::provisioning::is_failed;
use crate::azure::recycle_bin::purging;
use crate::azure::run_log::Event;
use crate::schema::{Diagnostic, Diagnostics, Path};

/// Deletes, purges or retains the version, as its `deletion_policy` says.
pub async fn delete(task: &Task<'_>, prior: &Model) -> Result<(), Diagnostics> {
    let (id, policy) = (&task.id, prior.deletion_policy.as_deref());
    if leaves(task, &KIND, policy, progress(prior), &ImageVersion.read_target(id)).await? {
        return Ok(());
    }
    task.context.run.record(&id.to_string(), Event::PlannedAway);
    let wanted = if policy == Some("purge") { purging(id) } else { ImageVersion.target(id) };
    let Err(error) = pipeline::remove(task.context, &task.scope, &wanted).await else { return Ok(()) };
    let protected = prior.block_deletion_before_end_of_life == Some(true);
    if error.is_conflict() && policy != Some("purge") && !protected {
        return after_conflict(task, error).await;
    }
    let mut found = Diagnostics::from(task.failed(&error));
    if protected {
        found.push(before_end_of_life(id));
    }
    Err(found)
}

// Soft delete protects a failed version from deletion. One without content is no loss, so it is purged.
async fn after_conflict(task: &Task<'_>, error: Error) -> Result<(), Diagnostics> {
    let failed = |error: &Error| Diagnostics::from(task.failed(error));
    let object = task.client().get_opt(&task.scope, &ImageVersion.read_target(&task.id)).await;
    let Ok(Some(object)) = object else { return Err(failed(&error)) };
    if !is_failed(&object) || !is_on(task).await {
        return Err(failed(&error));
    }
    if is_without_content(&object) {
        tracing::info!(id = %task.id, "purging a failed version, which soft delete protects from deletion");
        return pipeline::remove(task.context, &task.scope, &purging(&task.id))
            .await
            .map_err(|error| failed(&error));
    }
    let mut diagnostic = task.failed(&error);
    diagnostic.detail += "\n\nThe gallery's soft delete protects failed versions from deletion. Set deletion_policy = \"purge\", \
                    apply, and destroy it then: it is deleted for good.";
    Err(diagnostic.at(Path::attribute("deletion_policy")).into())
}

fn before_end_of_life(id: &ResourceId) -> Diagnostic {
    Diagnostic::error(
        format!("{} is protected from deletion", fault::capital(&label(id))),
        format!(
            "It cannot be deleted before its end-of-life date. Set block_deletion_before_end_of_life = false, apply, and \
             destroy it then.\n\n{id}"
        ),
    )
    .at(Path::attribute("block_deletion_before_end_of_life"))
}
