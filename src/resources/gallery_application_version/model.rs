//! The attributes of an application version, and the derived ID and label.

use std::collections::BTreeMap;

use crate::arm::id::GALLERY_APPLICATION;
use crate::arm::{ResourceId, region};
use crate::azure::attributes::{self, check_filled, date};
use crate::azure::objects::application::{CustomAction, name_key};
use crate::azure::objects::application_version::{ManageAction, REBOOT_BEHAVIOURS, Source, TargetRegion};
use crate::azure::objects::target_region::{self, region_key};
use crate::azure::replication::Wait;
use crate::azure::tags::Tags;
use crate::framework::Timeouts;
use crate::image::check_gallery_version;
use crate::model;
use crate::schema::spec::{block, computed, optional, optional_computed, required};
use crate::schema::{Diagnostic, Path, Set};

model! {
    /// Manages a version of a gallery application: a package, the scripts that install and remove it, and the regions that
    /// it is replicated to.
    ///
    /// An interrupted or timed-out apply keeps the version in the state, untainted, and the next apply continues to wait.
    pub struct Model {
        /// The resource ID of the application version.
        pub id: Option<String> = computed(),
        /// The version number: three numbers such as `1.2.0`.
        pub name: String = required().force_new().check_text(check_gallery_version),
        /// The ID of the gallery application, in any subscription.
        pub gallery_application_id: String = attributes::id_of(required().force_new(), GALLERY_APPLICATION),
        /// The home region of the version. Defaults to the region of the application.
        pub location: Option<String> = optional_computed()
            .force_new()
            .equivalent_if(region::same_region)
            .check_text(attributes::check_location),
        /// The name of the package's file on the machine. Without one, the service uses the name of the application without
        /// an extension, which the scripts must then change.
        pub package_file: Option<String> = optional_computed().force_new().check_text(check_filled),
        /// The name of the configuration's file on the machine.
        pub config_file: Option<String> = optional_computed().force_new().check_text(check_filled),
        /// What the machine does when a script restarts it: `None` counts the action as done, `Rerun` runs the script again.
        pub script_behavior_after_reboot: Option<String> =
            optional_computed().force_new().one_of(REBOOT_BEHAVIOURS),
        /// Whether machines report the health of the application.
        pub enable_health_check: Option<bool> = optional().default(false),
        /// Whether this version is excluded when resolving `latest`.
        pub exclude_from_latest: Option<bool> = optional().default(false),
        /// The date after which the version should no longer be used, in RFC 3339 format. Can be set, changed and removed.
        pub end_of_life_date: Option<String> = date(optional().or_empty()),
        /// Further settings, by the service's names.
        pub advanced_settings: Option<Tags> = optional().or_empty(),
        /// How long create and update wait for replication: for `all` regions, for the `home` region only, or not at all
        /// (`none`). Defaults to the provider's setting, which defaults to `all`. Later plans show an unfinished replication.
        pub wait_for_replication: Option<String> = optional().local().one_of(Wait::WORDS),
        /// What happens on destroy: `delete` removes the version, `retain` removes it from the state and leaves it in
        /// Azure, so that a new package does not destroy the version that machines are installed from.
        pub deletion_policy: Option<String> = optional().default("delete").local().one_of(&["delete", "retain"]),
        /// The tags of the application version.
        pub tags: Option<Tags> = attributes::tags(),
        /// All tags of the application version, the provider's `default_tags` included.
        pub tags_all: Option<Tags> = computed(),
        /// The state of the last operation on the version, such as `Succeeded`.
        pub provisioning_state: Option<String> = computed().volatile(),
        /// When the version was published.
        pub published_date: Option<String> = computed(),
        /// The replication state by region: `Completed`, `Replicating`, `Failed` or `Unknown`. Regions in short spelling.
        pub replication_state: Option<BTreeMap<String, String>> = computed().volatile(),
        /// The replication progress by region, in percent. Regions in short spelling.
        pub replication_progress: Option<BTreeMap<String, i64>> = computed().volatile(),
        /// The package, which the service copies when the version is created.
        pub source: Option<Source> = block().required(),
        /// The scripts that install, update and remove the application. They cannot change.
        pub manage_action: Option<ManageAction> = block().required(),
        /// A script that can be run on machines that have this version of the application.
        pub custom_action: Set<CustomAction> = block().key(name_key),
        /// A region that the version is replicated to. The home region must be among them. Without any, the version
        /// exists in its home region only. Regions are added, removed and changed in place.
        pub target_region: Set<TargetRegion> = block().key(region_key),
        /// How long each operation may take.
        pub timeouts: Option<Timeouts> = block(),
    }
}

impl Model {
    /// The target regions in the form that is common to all kinds of versions.
    pub fn target_regions(&self) -> Vec<target_region::TargetRegion> {
        self.target_region.iter().map(target_region::TargetRegion::from).collect()
    }
}

/// The ID that follows from the application and the version number.
pub fn id_of(model: &Model) -> Result<ResourceId, Diagnostic> {
    ResourceId::parse_as(&model.gallery_application_id, GALLERY_APPLICATION)
        .map(|application| application.child("versions", &model.name))
        .map_err(|error| {
            Diagnostic::error("Invalid value for gallery_application_id", error.to_string())
                .at(Path::attribute("gallery_application_id"))
        })
}

/// The model of an imported or moved version, before it is read.
pub fn stub(id: &ResourceId) -> Model {
    Model {
        id: Some(id.to_string()),
        name: id.name().to_owned(),
        gallery_application_id: id.parent().map(|application| application.to_string()).unwrap_or_default(),
        ..Model::default()
    }
}

/// The version in messages: number and application.
pub fn label(id: &ResourceId) -> String {
    format!("application version {:?} of {:?}", id.name(), id.name_of("applications").unwrap_or_default())
}
