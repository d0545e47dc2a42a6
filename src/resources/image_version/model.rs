//! The attributes of an image version, and the names by which it is found.

use std::collections::BTreeMap;

use super::uefi;
use crate::arm::id::IMAGE_DEFINITION;
use crate::arm::{ResourceId, Target, region};
use crate::azure::GALLERY_API;
use crate::azure::attributes::{self, date};
use crate::azure::objects::source::{self, Source};
use crate::azure::objects::target_region::{TargetRegion, region_key};
use crate::azure::replication::Wait;
use crate::azure::tags::Tags;
use crate::framework::Timeouts;
use crate::image::check_gallery_version;
use crate::model;
use crate::schema::spec::{block, computed, optional, optional_computed, required};
use crate::schema::{Diagnostic, Path, Set};

model! {
    /// Manages a version of an image definition: its bits, and the regions that they are replicated to.
    ///
    /// What the service has accepted is never thrown away: an interrupted or timed-out apply keeps the version in
    /// state, untainted, and the next apply goes on waiting.
    pub struct Model {
        /// The ARM id of the image version.
        pub id: Option<String> = computed(),
        /// The version: three numbers such as `1.2.0`.
        pub version: String = required().force_new().check_text(check_gallery_version),
        /// The id of the image definition that this is a version of, in any subscription.
        pub image_definition_id: String = attributes::id_of(required().force_new(), IMAGE_DEFINITION),
        /// The region that the version is at home in. The definition's unless set.
        pub location: Option<String> = optional_computed()
            .force_new()
            .equivalent_if(region::same_region)
            .check_text(attributes::check_location),
        /// Whether regions may be taken out of `target_region`. While this is false, a plan that drops a region fails.
        pub allow_deletion_of_replicated_locations: Option<bool> = optional().default(false),
        /// Whether the service refuses to delete the version before its end-of-life date.
        pub block_deletion_before_end_of_life: Option<bool> = optional().default(false),
        /// When the version should no longer be used, as an RFC 3339 date. Can be set, moved and removed.
        pub end_of_life_date: Option<String> = date(optional().or_empty()),
        /// Whether the version is passed over by who asks for the latest one.
        pub exclude_from_latest: Option<bool> = optional().default(false),
        /// `Full` copies the bits to every region; `Shallow` leaves them where they are, for quick tests.
        pub replication_mode: Option<String> =
            optional().default("Full").force_new().one_of(&["Full", "Shallow"]),
        /// How long apply waits for replication: for `all` regions, for the `home` region only, or not at all (`none`).
        /// The provider's setting unless set, which is `all` unless set. An unfinished replication is shown by later
        /// plans and never lost.
        pub wait_for_replication: Option<String> = optional().local().one_of(Wait::WORDS),
        /// What destroying does: `delete` the version, or `retain` it in Azure and only forget it here, so that a
        /// rebuilt image does not destroy the version that production can roll back to.
        pub deletion_policy: Option<String> =
            optional().default("delete").local().one_of(&["delete", "retain"]),
        /// UEFI settings in the service's JSON: `signatureTemplateNames` and `additionalSignatures`.
        pub uefi_settings_json: Option<String> =
            optional().force_new().equivalent_if(uefi::same_json).check_text(uefi::check_json),
        /// Tags of the image version.
        pub tags: Option<Tags> = attributes::tags(),
        /// All tags of the image version, the provider's `default_tags` included.
        pub tags_all: Option<Tags> = computed(),
        /// State of the last operation on the version, `Succeeded` when all is well.
        pub provisioning_state: Option<String> = computed().volatile(),
        /// When the version was published.
        pub published_date: Option<String> = computed(),
        /// Replication by region: `Completed`, `Replicating`, `Failed` or `Unknown`. Regions in short spelling.
        pub replication_state: Option<BTreeMap<String, String>> = computed().volatile(),
        /// Replication by region, in percent. Regions in short spelling.
        pub replication_progress: Option<BTreeMap<String, i64>> = computed().volatile(),
        /// The size of the operating system disk, in GB.
        pub os_disk_size_gb: Option<i64> = computed(),
        /// Where the bits come from, in exactly one way. Whichever way, they cannot be exchanged later.
        pub source: Option<Source> = block().required().check(source::check_source),
        /// A region that the version is replicated to. The version's own region must be among them. Without any,
        /// the service keeps the version in its own region only. Regions are added, removed and recounted in place.
        pub target_region: Set<TargetRegion> = block().key(region_key),
        /// How long each operation may take.
        pub timeouts: Option<Timeouts> = block(),
    }
}

/// Where the version is written.
pub fn target(id: &ResourceId) -> Target {
    Target::new(id.to_string(), GALLERY_API)
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
