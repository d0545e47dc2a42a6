//! The data source `azimage_soft_deleted_versions`.

use async_trait::async_trait;

use super::finding::argument;
use super::gallery_version;
use crate::arm::id::IMAGE_DEFINITION;
use crate::azure::attributes::id_of;
use crate::azure::context::scope;
use crate::azure::objects::soft_deleted::{self, SoftDeletedVersion};
use crate::azure::{Context, fault};
use crate::framework::timeouts::ReadTimeouts;
use crate::framework::{DataSource, Op};
use crate::model;
use crate::schema::Diagnostics;
use crate::schema::spec::{block, computed, required};

model! {
    /// Lists the deleted versions of an image definition in the recycle bin of its gallery. The list is empty if
    /// there are none.
    pub struct Model {
        /// The ID of the image definition, in any subscription.
        pub image_definition_id: String = argument(id_of(required(), IMAGE_DEFINITION)),
        /// The deleted versions, most recently deleted first.
        pub versions: Vec<SoftDeletedVersion> = computed(),
        /// How long reading may take.
        pub timeouts: Option<ReadTimeouts> = block(),
    }
}

/// The data source.
pub struct SoftDeletedVersions;

#[async_trait]
impl DataSource<Context> for SoftDeletedVersions {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_soft_deleted_versions"
    }

    async fn read(&self, context: &Context, op: &Op, config: Model) -> Result<Model, Diagnostics> {
        let definition = gallery_version::definition(&config.image_definition_id)?;
        let scope =
            scope(op, format!("listing deleted versions of image definition {:?}", definition.name()));
        let versions = soft_deleted::list(&context.client, &scope, &definition).await;
        let versions =
            versions.map_err(|error| fault::diagnostic(&error, scope.what(), &definition.to_string()))?;
        Ok(Model { versions, ..config })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::azure::testing::{FakeArm, op};

    const GALLERY: &str = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries/gal";

    async fn read(arm: &std::sync::Arc<FakeArm>) -> Result<Vec<SoftDeletedVersion>, Diagnostics> {
        let config = Model { image_definition_id: format!("{GALLERY}/images/web"), ..Model::default() };
        SoftDeletedVersions.read(&arm.context(), &op(), config).await.map(|read| read.versions)
    }

    #[tokio::test]
    async fn lists_deleted_versions_with_their_times() {
        let arm = FakeArm::new();
        let item = |name: &str, deleted: &str| {
            json!({"name": name, "properties": {
                "softDeletedTime": deleted, "consumptionEndTime": "2026-12-01T00:00:00Z", "hardDeletionTargetTime": "2026-12-08T00:00:00Z",
            }})
        };
        let list = format!("{GALLERY}/softDeletedArtifactTypes/Images/artifacts/web/versions");
        arm.get(
            &list,
            json!({"value": [item("1.0.0", "2026-11-01T00:00:00Z"), item("1.0.1", "2026-11-02T00:00:00Z")]}),
        );
        let versions = read(&arm).await.unwrap();
        assert_eq!(
            versions.iter().map(|version| version.version.as_str()).collect::<Vec<_>>(),
            ["1.0.1", "1.0.0"]
        );
        assert_eq!(versions[0].deleted_at.as_deref(), Some("2026-11-02T00:00:00Z"));
        assert_eq!(versions[0].restorable_until.as_deref(), Some("2026-12-01T00:00:00Z"));
        assert_eq!(versions[0].gone_at.as_deref(), Some("2026-12-08T00:00:00Z"));
    }

    #[tokio::test]
    async fn a_missing_gallery_is_an_error() {
        let error = read(&FakeArm::new()).await.unwrap_err();
        assert!(error.0[0].summary.contains("Listing deleted versions"), "{}", error.0[0]);
    }
}
