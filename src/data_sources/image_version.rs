//! The data source `azimage_image_version`: selects one version of a gallery image, and says why others were not selected.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::finding::argument;
use super::gallery_version;
use super::version_search::{Query, Search};
use crate::arm::ResourceId;
use crate::arm::id::IMAGE_DEFINITION;
use crate::azure::Context;
use crate::azure::attributes::{check_location, id_of};
use crate::azure::gallery_version::IMAGE_VERSION;
use crate::azure::marketplace::check_version;
use crate::azure::objects::source::Source;
use crate::azure::objects::target_region::TargetRegion;
use crate::azure::objects::version::{DataDiskImage, OsDiskImage, Version};
use crate::azure::tags::Tags;
use crate::framework::timeouts::ReadTimeouts;
use crate::framework::{DataSource, Op};
use crate::model;
use crate::schema::spec::{block, computed, optional, optional_computed, required};
use crate::schema::{Diagnostics, Set};

model! {
    /// Selects one version of an image definition: an exact one, or the newest that qualifies.
    ///
    /// The newest is the greatest by number among the versions that are `Succeeded`, not past their end of life, not excluded
    /// from `latest` (in `location`, or globally), replicated to `location` if that is set, match `version` if that is a
    /// constraint, and have all of `tags`. `skipped` says why each other version was not selected.
    pub struct Model {
        /// The ID of the image definition, in any subscription.
        pub image_definition_id: String = argument(id_of(required(), IMAGE_DEFINITION)),
        /// An exact version, `latest`, or a constraint such as `~> 1.2`. Defaults to `latest`. The result is always the
        /// selected version.
        pub version: Option<String> = optional_computed().resolved().or_empty().check_text(check_version),
        /// The region that the version must be replicated to, in any spelling. Without it, any region is accepted, and the
        /// result is the version's home region.
        pub location: Option<String> = optional_computed().check_text(check_location),
        /// Tags that the version must have, with these values. Without it, the result is all tags of the version.
        pub tags: Option<Tags> = optional_computed(),
        /// Whether to include versions that are excluded from `latest`. Defaults to `false`.
        pub include_excluded: Option<bool> = optional(),
        /// Whether to include versions that are not, or not yet, replicated to `location`. Defaults to `false`.
        pub include_unreplicated: Option<bool> = optional(),
        /// The same as `version`, but unknown while reading is deferred to apply.
        pub exact_version: Option<String> = computed(),
        /// The ARM ID of the image version.
        pub id: Option<String> = computed(),
        /// All tags of the image version.
        pub tags_all: Tags = computed(),
        /// Whether regions can be removed from the version.
        pub allow_deletion_of_replicated_locations: Option<bool> = computed(),
        /// Whether the service refuses to delete the version before its end-of-life date.
        pub block_deletion_before_end_of_life: Option<bool> = computed(),
        /// The end-of-life date of the version.
        pub end_of_life_date: Option<String> = computed(),
        /// Whether the version is excluded when resolving `latest`.
        pub exclude_from_latest: Option<bool> = computed(),
        /// `Full` or `Shallow`.
        pub replication_mode: Option<String> = computed(),
        /// The state of the last operation on the version. `Succeeded` when the version is healthy.
        pub provisioning_state: Option<String> = computed(),
        /// When the version was published.
        pub published_date: Option<String> = computed(),
        /// The replication state by region: `Completed`, `Replicating`, `Failed` or `Unknown`. Regions are short names.
        pub replication_state: BTreeMap<String, String> = computed(),
        /// The replication progress by region, in percent. Regions are short names.
        pub replication_progress: BTreeMap<String, i64> = computed(),
        /// The size of the operating system disk, in GB.
        pub os_disk_size_gb: Option<i64> = computed(),
        /// The operating system disk of the version.
        pub os_disk: Option<OsDiskImage> = computed(),
        /// The data disks of the version.
        pub data_disk: Set<DataDiskImage> = computed(),
        /// What the version was made from. Null if the service no longer reports it.
        pub source: Option<Source> = computed(),
        /// The regions that the version is replicated to.
        pub target_region: Set<TargetRegion> = computed(),
        /// Why each other version was not selected, by version. Empty if `version` is exact.
        pub skipped: BTreeMap<String, String> = computed(),
        /// How long reading may take.
        pub timeouts: Option<ReadTimeouts> = block(),
    }
}

/// The data source.
pub struct ImageVersion;

#[async_trait]
impl DataSource<Context> for ImageVersion {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_image_version"
    }

    async fn read(&self, context: &Context, op: &Op, config: Model) -> Result<Model, Diagnostics> {
        let definition = gallery_version::definition(&config.image_definition_id)?;
        let query = Query {
            version: config.version.as_deref(),
            location: config.location.as_deref(),
            tags: config.tags.as_ref(),
            include_excluded: config.include_excluded,
            include_unreplicated: config.include_unreplicated,
        };
        let search = Search { context, op, kind: &IMAGE_VERSION, parent: &definition };
        let (version, skipped): (Version, _) = search.find(query).await?;
        Ok(Model { skipped, ..flatten(config, &definition, version) })
    }
}

fn flatten(config: Model, definition: &ResourceId, version: Version) -> Model {
    Model {
        id: Some(definition.child("versions", &version.name).to_string()),
        os_disk_size_gb: version.os_disk_size_gb(),
        target_region: version.target_regions(),
        version: Some(version.name.clone()),
        exact_version: Some(version.name),
        location: config.location.or(version.location),
        tags: config.tags.or_else(|| Some(version.tags.clone())),
        tags_all: version.tags,
        allow_deletion_of_replicated_locations: version
            .allow_deletion_of_replicated_locations
            .or(Some(false)),
        block_deletion_before_end_of_life: version.block_deletion_before_end_of_life.or(Some(false)),
        end_of_life_date: version.end_of_life_date.flatten(),
        exclude_from_latest: version.exclude_from_latest.or(Some(false)),
        replication_mode: version.replication_mode.or_else(|| Some("Full".to_owned())),
        provisioning_state: version.provisioning_state,
        published_date: version.published_date,
        replication_state: version.replication.states(),
        replication_progress: version.replication.progress(),
        source: version.source,
        os_disk: version.os_disk,
        data_disk: version.data_disk,
        ..config
    }
}

#[cfg(test)]
#[path = "image_version_tests.rs"]
mod tests;
