//! The recycle bin of a gallery with soft delete: whether there is one, what is in it, and how a version leaves it for good.

use super::Context;
use super::body;
use super::objects::soft_deleted::{self, SoftDeletedVersion};
use super::pipeline::{Task, remove};
use super::provisioning::pauses;
use crate::arm::{Error, ResourceId, Scope, Target};

/// How often the bin is read after a purge, until its list shows it.
const LOOKS_AFTER_PURGE: usize = 40;

/// Whether `gallery` keeps deleted versions. A gallery that cannot be read counts as one that does not: the request itself
/// reports best what is wrong with it.
pub async fn is_on(context: &Context, scope: &Scope, gallery: &ResourceId) -> bool {
    let found = context.run.parent(&context.client, scope, &Target::at(gallery.to_string())).await;
    found.ok().flatten().is_some_and(|gallery| {
        body::bool(&gallery, "properties.softDeletePolicy.isSoftDeleteEnabled") == Some(true)
    })
}

/// The deleted versions of `definition`, the last deleted first.
pub async fn list(task: &Task<'_>, definition: &ResourceId) -> Result<Vec<SoftDeletedVersion>, Error> {
    match soft_deleted::list(task.client(), &task.scope, definition).await {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        other => other,
    }
}

/// The deletion of the version `id` for good, whether it is in the bin or not.
pub fn purging(id: &ResourceId) -> Target {
    Target::at(id.to_string()).query("bypassSoftDelete", "true").needs("2026-03-03", "bypassSoftDelete")
}

/// Deletes `versions` of `definition` for good, and waits until the bin's list, which lags behind, shows that.
pub async fn purge(task: &Task<'_>, definition: &ResourceId, versions: &[String]) -> Result<(), Error> {
    for version in versions {
        let target = purging(&definition.child("versions", version));
        tracing::info!(id = target.path(), "purging a deleted image version");
        remove(task.context, &task.scope, &target).await?;
    }
    for pause in pauses().take(LOOKS_AFTER_PURGE) {
        if !list(task, definition).await?.iter().any(|left| versions.contains(&left.version)) {
            break;
        }
        task.scope.sleep(pause).await?;
    }
    Ok(())
}
