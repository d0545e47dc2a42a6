//! The gallery's recycle bin: with soft delete on, a deleted version stays there for some time.

use super::model::label;
use crate::arm::Target;
use crate::azure::pipeline::Task;
use crate::azure::{GALLERY_API, body, fault};
use crate::schema::{Diagnostic, Diagnostics, Path};

/// Refuses to create a version whose number is in the recycle bin: the service would restore the old content instead.
pub async fn refuse_soft_deleted(task: &Task<'_>) -> Result<(), Diagnostics> {
    let (run, client, id) = (&task.context.run, task.client(), &task.id);
    let (Some(gallery), Some(image)) =
        (id.parent().and_then(|definition| definition.parent()), id.name_of("images"))
    else {
        return Ok(());
    };
    // the write itself says best that a gallery is missing
    let found = run.parent(client, &task.scope, &Target::new(gallery.to_string(), GALLERY_API)).await;
    let soft_delete = found.ok().flatten().is_some_and(|gallery| {
        body::bool(&gallery, "properties.softDeletePolicy.isSoftDeleteEnabled") == Some(true)
    });
    if !soft_delete {
        return Ok(());
    }
    let path = format!("{gallery}/softDeletedArtifactTypes/Images/artifacts/{image}/versions");
    let bin = client.list(&task.scope, &Target::new(path, GALLERY_API)).await.unwrap_or_default();
    if bin.iter().any(|item| body::text(item, "name").as_deref() == Some(id.name())) {
        return Err(Diagnostic::error(
            format!("{} is in the gallery's recycle bin", fault::capital(&label(id))),
            format!(
                "Creating it again would restore the deleted content instead of this one. Choose another version number, or \
                 purge the deleted one first (DELETE {id}?bypassSoftDelete=true)."
            ),
        )
        .at(Path::attribute("version"))
        .into());
    }
    Ok(())
}
