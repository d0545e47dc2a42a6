//! The gallery's recycle bin: with soft delete on, a deleted version stays there until its retention is over.

use serde_json::json;

use super::location::location;
use super::model::{Model, label, target};
use crate::arm::{Error, ResourceId, Target};
use crate::azure::pipeline::{self, Start, Task};
use crate::azure::provisioning::pauses;
use crate::azure::run_log::Event;
use crate::azure::{GALLERY_API, body, fault, tags};
use crate::schema::{Diagnostic, Diagnostics, Path};

/// The first API version with `bypassSoftDelete`.
const BYPASS_SINCE: &str = "2026-03-03";

/// How often the recycle bin is read after a purge.
const LOOKS_AFTER_PURGE: usize = 40;

/// Looks into the recycle bin before a creation: to create a version whose number is in it would restore the old content,
/// whatever its source is.
pub async fn before_create(task: &Task<'_>, plan: &Model) -> Result<Start, Diagnostics> {
    if !is_on(task).await || !contains(task).await.unwrap_or(false) {
        return Ok(Start::New);
    }
    if plan.restore_soft_deleted == Some(true) {
        let tags = tags::merged(task.context, plan.tags.as_ref());
        return Ok(Start::Restore(json!({"location": location(task, plan).await?, "tags": tags})));
    }
    // the version that this one replaces
    if task.context.run.has(&task.id.to_string(), Event::Deleted) {
        purge(task).await.map_err(|error| task.failed(&error))?;
        return Ok(Start::New);
    }
    Err(in_recycle_bin(&task.id).into())
}

fn in_recycle_bin(id: &ResourceId) -> Diagnostic {
    Diagnostic::error(
        format!("{} is in the gallery's recycle bin", fault::capital(&label(id))),
        format!(
            "A new version with this number would get the deleted content. Choose one of these:\n\n\
             - another version number\n\
             - restore_soft_deleted = true, to restore the deleted version\n\
             - purge the deleted version first: az rest --method delete --url \
             \"{id}?api-version={GALLERY_API}&bypassSoftDelete=true\""
        ),
    )
    .at(Path::attribute("version"))
}

/// Whether the gallery keeps deleted versions. A gallery that cannot be read counts as one that does not: the request
/// itself reports what is wrong.
pub async fn is_on(task: &Task<'_>) -> bool {
    let Some(gallery) = task.id.parent().and_then(|definition| definition.parent()) else { return false };
    let target = Target::new(gallery.to_string(), GALLERY_API);
    let found = task.context.run.parent(task.client(), &task.scope, &target).await;
    found.ok().flatten().is_some_and(|gallery| {
        body::bool(&gallery, "properties.softDeletePolicy.isSoftDeleteEnabled") == Some(true)
    })
}

async fn contains(task: &Task<'_>) -> Result<bool, Error> {
    let Some(definition) = task.id.parent() else { return Ok(false) };
    let Some(gallery) = definition.parent() else { return Ok(false) };
    let path = format!("{gallery}/softDeletedArtifactTypes/Images/artifacts/{}/versions", definition.name());
    let bin = task.client().list(&task.scope, &Target::new(path, GALLERY_API)).await?;
    Ok(bin.iter().any(|item| body::text(item, "name").as_deref() == Some(task.id.name())))
}

/// The deletion of a version for good.
pub fn purging(id: &ResourceId) -> Target {
    target(id).query("bypassSoftDelete", "true").needs(BYPASS_SINCE, "bypassSoftDelete")
}

// Removes the version from the recycle bin, and waits until its list shows that.
async fn purge(task: &Task<'_>) -> Result<(), Error> {
    tracing::info!(id = %task.id, "purging the deleted version that this one replaces");
    pipeline::remove(task, &purging(&task.id)).await?;
    for pause in pauses().take(LOOKS_AFTER_PURGE) {
        if !contains(task).await? {
            break;
        }
        task.scope.sleep(pause).await?;
    }
    Ok(())
}
