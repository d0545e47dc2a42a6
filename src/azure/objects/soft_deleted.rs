//! Deleted image versions in the recycle bin of their gallery.

use serde_json::Value as Json;

use super::filled;
use crate::arm::{Client, Error, ResourceId, Scope, Target};
use crate::model;
use crate::schema::spec::computed;

model! {
    /// A deleted image version.
    pub struct SoftDeletedVersion {
        /// The version number.
        pub version: String = computed(),
        /// When the version was deleted.
        pub deleted_at: Option<String> = computed(),
        /// When the retention period ends. Until then, virtual machines can still be created from the version, and
        /// the version can be restored. In the grace period after that, it can only be restored.
        pub restorable_until: Option<String> = computed(),
        /// When the service deletes the version permanently.
        pub gone_at: Option<String> = computed(),
    }
}

/// The deleted versions of the image definition `definition`, most recently deleted first.
pub async fn list(
    client: &Client,
    scope: &Scope,
    definition: &ResourceId,
) -> Result<Vec<SoftDeletedVersion>, Error> {
    let Some(gallery) = definition.parent() else { return Ok(Vec::new()) };
    let path = format!("{gallery}/softDeletedArtifactTypes/Images/artifacts/{}/versions", definition.name());
    let items = client.list(scope, &Target::at(path)).await?;
    let mut versions: Vec<SoftDeletedVersion> = items.iter().filter_map(read).collect();
    // dates of one format sort as text
    versions.sort_by(|a, b| b.deleted_at.cmp(&a.deleted_at));
    Ok(versions)
}

fn read(item: &Json) -> Option<SoftDeletedVersion> {
    Some(SoftDeletedVersion {
        version: filled(item, "name")?,
        deleted_at: filled(item, "properties.softDeletedTime"),
        restorable_until: filled(item, "properties.consumptionEndTime"),
        gone_at: filled(item, "properties.hardDeletionTargetTime"),
    })
}
