//! The attributes of an image version, and the names by which it is found.

use std::collections::BTreeMap;

use super::uefi;
use crate::arm::id::IMAGE_DEFINITION;
use crate::arm::{ResourceId, Target, region};
use crate::azure::attributes::{self, date};
use crate::azure::gallery_version;
use crate::azure::gallery_version::unfinished::Progress;
use crate::azure::objects::source::{self, Source};
use crate::azure::objects::target_region::{TargetRegion, region_key};
use crate::azure::pipeline::Task;
use crate::azure::replication::Wait;
use crate::azure::tags::Tags;
use crate::framework::Timeouts;
use crate::image::check_gallery_version;
use crate::model;
use crate::schema::spec::{block, computed, optional, optional_computed, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Set};

model! {
    /// Manages a version of an image definition: its content, and the regions that it is replicated to.
    ///
    /// An interrupted or timed-out apply keeps the version in the state, untainted, and the next apply goes on waiting.
    pub struct Model {
        /// The resource ID of the image version.
        pub id: Option<String> = computed(),
        /// The version number: three numbers such as `1.2.0`.
        pub version: String = required().force_new().check_text(check_gallery_version),
        /// The ID of the image definition, in any subscription.
        pub image_definition_id: String = attributes::id_of(required().force_new(), IMAGE_DEFINITION),
        /// The home region of the version. Defaults to the region of the image definition.
        pub location: Option<String> = optional_computed()
            .force_new()
            .equivalent_if(region::same_region)
            .check_text(attributes::check_location),
        /// Whether regions may be removed from `target_region`. While this is false, a plan that removes a region fails.
        pub allow_deletion_of_replicated_locations: Option<bool> = optional().default(false),
        /// Whether the service refuses to delete the version before its end-of-life date.
        pub block_deletion_before_end_of_life: Option<bool> = optional().default(false),
        /// The date after which the version should no longer be used, in RFC 3339 format. Can be set, changed and removed.
        pub end_of_life_date: Option<String> = date(optional().or_empty()),
        /// Whether this version is excluded when resolving `latest`.
        pub exclude_from_latest: Option<bool> = optional().default(false),
        /// The replication mode: `Full` copies the image to every region; `Shallow` refers to the source, for quick tests.
        pub replication_mode: Option<String> =
            optional().default("Full").force_new().one_of(&["Full", "Shallow"]),
        /// How long create and update wait for replication: for `all` regions, for the `home` region only, or not at all
        /// (`none`). Defaults to the provider's setting, which defaults to `all`. Later plans show an unfinished replication.
        pub wait_for_replication: Option<String> = optional().local().one_of(Wait::WORDS),
        /// What happens on destroy: `delete` removes the version, `retain` removes it from the state and leaves it in
        /// Azure, so that a new image does not destroy the version that production can roll back to, and `purge` deletes
        /// it for good even if the gallery keeps deleted versions (`soft_delete`).
        pub deletion_policy: Option<String> =
            optional().default("delete").local().one_of(&["delete", "retain", "purge"]),
        /// Whether creating this version restores a deleted one with the same number that the gallery's soft delete still
        /// keeps. The restored version keeps its old content, whatever `source` says.
        pub restore_soft_deleted: Option<bool> = optional().default(false).local(),
        /// The UEFI settings in the service's JSON: `signatureTemplateNames` and `additionalSignatures`.
        pub uefi_settings_json: Option<String> =
            optional().force_new().equivalent_if(uefi::same_json).check_text(uefi::check_json),
        /// The tags of the image version.
        pub tags: Option<Tags> = attributes::tags(),
        /// All tags of the image version, the provider's `default_tags` included.
        pub tags_all: Option<Tags> = computed(),
        /// The state of the last operation on the version, such as `Succeeded`.
        pub provisioning_state: Option<String> = computed().volatile(),
        /// When the version was published.
        pub published_date: Option<String> = computed(),
        /// The replication state by region: `Completed`, `Replicating`, `Failed` or `Unknown`. Regions in short spelling.
        pub replication_state: Option<BTreeMap<String, String>> = computed().volatile(),
        /// The replication progress by region, in percent. Regions in short spelling.
        pub replication_progress: Option<BTreeMap<String, i64>> = computed().volatile(),
        /// The size of the operating system disk, in GB.
        pub os_disk_size_gb: Option<i64> = computed(),
        /// The sizes of the data disks in GB, by logical unit number, for every kind of source.
        pub data_disk_sizes_gb: Option<BTreeMap<String, i64>> = computed(),
        /// What the version is made from, in exactly one way. An image version is immutable: changing this forces a new one.
        pub source: Option<Source> = block().required().check(source::check_source),
        /// A region that the version is replicated to. The home region must be among them. Without any, the version
        /// exists in its home region only. Regions are added, removed and changed in place.
        pub target_region: Set<TargetRegion> = block().key(region_key),
        /// How long each operation may take.
        pub timeouts: Option<Timeouts> = block(),
    }
}

/// Where the version is written.
pub fn target(id: &ResourceId) -> Target {
    Target::at(id.to_string())
}

/// The ID that follows from the definition and the version number.
pub fn id_of(model: &Model) -> Result<ResourceId, Diagnostic> {
    ResourceId::parse_as(&model.image_definition_id, IMAGE_DEFINITION)
        .map(|definition| definition.child("versions", &model.version))
        .map_err(|error| {
            Diagnostic::error("image_definition_id is not the ID of an image definition", error.to_string())
                .at(Path::attribute("image_definition_id"))
        })
}

/// The model of an imported or moved version, before it is read.
pub fn stub(id: &ResourceId) -> Model {
    Model {
        id: Some(id.to_string()),
        version: id.name().to_owned(),
        image_definition_id: id.parent().map(|definition| definition.to_string()).unwrap_or_default(),
        ..Model::default()
    }
}

/// The version in messages: number and definition.
pub fn label(id: &ResourceId) -> String {
    format!("image version {:?} of {:?}", id.name(), id.name_of("images").unwrap_or_default())
}

/// The home region of a new version.
pub async fn location(task: &Task<'_>, plan: &Model) -> Result<String, Diagnostics> {
    gallery_version::location::location(
        task,
        &gallery_version::IMAGE_VERSION,
        plan.location.as_deref(),
        &plan.image_definition_id,
    )
    .await
}

/// What the state says about the progress of the version.
pub fn progress(state: &Model) -> Progress<'_> {
    Progress {
        provisioning_state: state.provisioning_state.as_deref(),
        replication_state: state.replication_state.as_ref(),
    }
}
