//! The gallery's recycle bin: with soft delete on, a deleted version stays there until its retention is over.

use serde_json::json;

use super::model::{Model, label, location, target};
use crate::arm::ResourceId;
use crate::azure::objects::soft_deleted::SoftDeletedVersion;
use crate::azure::pipeline::{Start, Task};
use crate::azure::run_log::Event;
use crate::azure::{fault, recycle_bin, tags};
use crate::schema::{Diagnostic, Diagnostics, Path};

/// Looks into the recycle bin before a creation: to create a version whose number is in it would restore the old content,
/// whatever its source is.
pub async fn before_create(task: &Task<'_>, plan: &Model) -> Result<Start, Diagnostics> {
    let Some(definition) = task.id.parent() else { return Ok(Start::New) };
    let number = task.id.name();
    if !is_on(task).await
        || !recycle_bin::list(task, &definition).await.is_ok_and(|bin| contains(&bin, number))
    {
        return Ok(Start::New);
    }
    if plan.restore_soft_deleted == Some(true) {
        let tags = tags::merged(task.context, plan.tags.as_ref());
        return Ok(Start::Restore(json!({"location": location(task, plan).await?, "tags": tags})));
    }
    // the version that this one replaces
    if task.context.run.has(&task.id.to_string(), Event::Deleted) {
        let purged = recycle_bin::purge(task, &definition, &[number.to_owned()]).await;
        return purged.map(|()| Start::New).map_err(|error| task.failed(&error).into());
    }
    Err(in_recycle_bin(&task.id).into())
}

fn contains(bin: &[SoftDeletedVersion], number: &str) -> bool {
    bin.iter().any(|deleted| deleted.version == number)
}

fn in_recycle_bin(id: &ResourceId) -> Diagnostic {
    Diagnostic::error(
        format!("{} is in the gallery's recycle bin", fault::capital(&label(id))),
        format!(
            "A new version with this number would get the deleted content. Choose one of these:\n\n\
             - another version number\n\
             - restore_soft_deleted = true, to restore the deleted version\n\
             - purge the deleted version first: az rest --method delete --url \
             \"{id}?api-version={}&bypassSoftDelete=true\"",
            target(id).api_version()
        ),
    )
    .at(Path::attribute("version"))
}

/// Whether the gallery of the version keeps deleted versions.
pub async fn is_on(task: &Task<'_>) -> bool {
    let Some(gallery) = task.id.parent().and_then(|definition| definition.parent()) else { return false };
    recycle_bin::is_on(task.context, &task.scope, &gallery).await
}
