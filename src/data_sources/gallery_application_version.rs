//! The data source `azimage_gallery_application_version`: selects one version of a gallery application, and reports
//! why others were not selected.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::finding::argument;
use super::version_search::{Query, Search};
use crate::arm::ResourceId;
use crate::arm::id::GALLERY_APPLICATION;
use crate::azure::Context;
use crate::azure::attributes::{check_location, id_of};
use crate::azure::gallery_version::APPLICATION_VERSION;
use crate::azure::marketplace::check_version;
use crate::azure::objects::application::CustomAction;
use crate::azure::objects::application_version::{ApplicationVersion, ManageAction, Source, TargetRegion};
use crate::azure::tags::Tags;
use crate::framework::timeouts::ReadTimeouts;
use crate::framework::{DataSource, Op};
use crate::model;
use crate::schema::spec::{block, computed, optional, optional_computed, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Set};

model! {
    /// Finds one version of a gallery application: an exact one, or the newest that qualifies.
    ///
    /// The newest is the greatest by number among the versions that are `Succeeded`, not past their end of life, not
    /// excluded from `latest` (in `location`, or globally), replicated to `location` if that is set, match `name` if
    /// that is a constraint, and have all of `tags`. `skipped` contains the reason for each other version.
    pub struct Model {
        /// The ID of the gallery application, in any subscription.
        pub gallery_application_id: String = argument(id_of(required(), GALLERY_APPLICATION)),
        /// An exact version, `latest`, or a constraint such as `~> 1.2`. Defaults to `latest`. The result is always
        /// the selected version.
        pub name: Option<String> = optional_computed().resolved().or_empty().check_text(check_version),
        /// The region that the version must be replicated to, in any spelling. Without it, any region is accepted,
        /// and the result is the home region of the version.
        pub location: Option<String> = optional_computed().check_text(check_location),
        /// Tags that the version must have, with these values. Without it, the result is all tags of the version.
        pub tags: Option<Tags> = optional_computed(),
        /// Whether to include versions that are excluded from latest.
        pub include_excluded: Option<bool> = optional(),
        /// Whether to include versions that are not, or not yet, replicated to `location`.
        pub include_unreplicated: Option<bool> = optional(),
        /// The selected version. Unlike `name`, it is unknown while reading is deferred to apply.
        pub exact_version: Option<String> = computed(),
        /// The resource ID of the application version.
        pub id: Option<String> = computed(),
        /// All tags of the application version.
        pub tags_all: Tags = computed(),
        /// The name of the package's file on the machine.
        pub package_file: Option<String> = computed(),
        /// The name of the configuration's file on the machine.
        pub config_file: Option<String> = computed(),
        /// What the machine does when a script restarts it.
        pub script_behavior_after_reboot: Option<String> = computed(),
        /// Whether machines report the health of the application.
        pub enable_health_check: Option<bool> = computed(),
        /// Whether the version is excluded when resolving `latest`.
        pub exclude_from_latest: Option<bool> = computed(),
        /// The date after which the version should no longer be used.
        pub end_of_life_date: Option<String> = computed(),
        /// Further settings, by the service's names.
        pub advanced_settings: Tags = computed(),
        /// The state of the last operation on the version, such as `Succeeded`.
        pub provisioning_state: Option<String> = computed(),
        /// When the version was published.
        pub published_date: Option<String> = computed(),
        /// The replication state by region: `Completed`, `Replicating`, `Failed` or `Unknown`. Regions in short spelling.
        pub replication_state: BTreeMap<String, String> = computed(),
        /// The replication progress by region, in percent. Regions in short spelling.
        pub replication_progress: BTreeMap<String, i64> = computed(),
        /// The package. Its links may contain SAS tokens.
        pub source: Option<Source> = computed().sensitive(),
        /// The scripts that install, update and remove the application.
        pub manage_action: Option<ManageAction> = computed(),
        /// The scripts that can be run on machines that have this version.
        pub custom_action: Set<CustomAction> = computed(),
        /// The regions that the version is replicated to.
        pub target_region: Set<TargetRegion> = computed(),
        /// Why each other version was not selected, by version. Empty if `name` is an exact version.
        pub skipped: BTreeMap<String, String> = computed(),
        /// How long reading may take.
        pub timeouts: Option<ReadTimeouts> = block(),
    }
}

/// The data source.
pub struct GalleryApplicationVersion;

#[async_trait]
impl DataSource<Context> for GalleryApplicationVersion {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_gallery_application_version"
    }

    async fn read(&self, context: &Context, op: &Op, config: Model) -> Result<Model, Diagnostics> {
        let id = &config.gallery_application_id;
        let application = ResourceId::parse_as(id, GALLERY_APPLICATION).map_err(|error| {
            Diagnostic::error("Invalid value for gallery_application_id", error.to_string())
                .at(Path::attribute("gallery_application_id"))
        })?;
        let query = Query {
            version: config.name.as_deref(),
            location: config.location.as_deref(),
            tags: config.tags.as_ref(),
            include_excluded: config.include_excluded,
            include_unreplicated: config.include_unreplicated,
        };
        let search = Search { context, op, kind: &APPLICATION_VERSION, parent: &application };
        let (version, skipped): (ApplicationVersion, _) = search.find(query).await?;
        Ok(Model { skipped, ..flatten(config, &application, version) })
    }
}

fn flatten(config: Model, application: &ResourceId, version: ApplicationVersion) -> Model {
    let target_region = version.target_regions();
    let common = version.common;
    Model {
        id: Some(application.child("versions", &common.name).to_string()),
        target_region,
        name: Some(common.name.clone()),
        exact_version: Some(common.name),
        location: config.location.or(common.location),
        tags: config.tags.or_else(|| Some(common.tags.clone())),
        tags_all: common.tags,
        package_file: version.package_file,
        config_file: version.config_file,
        script_behavior_after_reboot: version.script_behavior_after_reboot,
        enable_health_check: version.enable_health_check.or(Some(false)),
        exclude_from_latest: common.exclude_from_latest.or(Some(false)),
        end_of_life_date: common.end_of_life_date.flatten(),
        advanced_settings: version.advanced_settings,
        provisioning_state: common.provisioning_state,
        published_date: common.published_date,
        replication_state: common.replication.states(),
        replication_progress: common.replication.progress(),
        source: version.source,
        manage_action: version.manage_action,
        custom_action: version.custom_action,
        ..config
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value as Json, json};

    use super::*;
    use crate::azure::testing::{FakeArm, op};

    const APPLICATION: &str =
        "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries/gal/applications/agent";

    fn version(name: &str, excluded: bool) -> Json {
        json!({"name": name, "location": "eastus", "tags": {"stage": "ga"}, "properties": {
            "provisioningState": "Succeeded",
            "publishingProfile": {
                "source": {"mediaLink": "https://a/agent.zip?sig=1"},
                "manageActions": {"install": "i", "remove": "r"},
                "settings": {"packageFileName": "agent.zip"},
                "excludeFromLatest": excluded,
                "targetRegions": [{"name": "East US", "regionalReplicaCount": 2}],
            },
        }})
    }

    fn service(versions: &[Json]) -> Arc<FakeArm> {
        let arm = FakeArm::new();
        arm.get(&format!("{APPLICATION}/versions"), json!({"value": versions}));
        for version in versions {
            let name = version["name"].as_str().unwrap();
            arm.get(&format!("{APPLICATION}/versions/{name}?ReplicationStatus"), version.clone());
        }
        arm
    }

    async fn read(arm: &Arc<FakeArm>, name: Option<&str>) -> Result<Model, Diagnostics> {
        let config = Model {
            gallery_application_id: APPLICATION.to_owned(),
            name: name.map(str::to_owned),
            ..Model::default()
        };
        GalleryApplicationVersion.read(&arm.context(), &op(), config).await
    }

    #[tokio::test]
    async fn finds_latest_a_constraint_and_an_exact_version() {
        let arm = service(&[version("1.9.0", false), version("1.10.0", false), version("2.0.0", true)]);
        for (asked, found) in [
            (None, "1.10.0"),
            (Some("latest"), "1.10.0"),
            (Some("< 1.10"), "1.9.0"),
            (Some("2.0.0"), "2.0.0"),
        ] {
            let got = read(&arm, asked).await.unwrap();
            assert_eq!(got.exact_version.as_deref(), Some(found), "{asked:?}");
            assert_eq!(got.name.as_deref(), Some(found), "{asked:?}");
        }
        let got = read(&arm, None).await.unwrap();
        assert_eq!(got.package_file.as_deref(), Some("agent.zip"));
        assert_eq!(got.source.unwrap().media_link, "https://a/agent.zip?sig=1");
        assert_eq!(got.target_region[0].regional_replica_count, Some(2));
        assert_eq!(got.skipped["2.0.0"], "excluded from latest");
        assert_eq!(got.skipped["1.9.0"], "older than 1.10.0");
    }

    #[tokio::test]
    async fn errors_contain_the_missing_name_and_existing_ones() {
        let arm = service(&[version("1.9.0", false)]);
        let error = read(&arm, Some("1.8.0")).await.unwrap_err().0;
        assert_eq!(error[0].summary, "There is no version 1.8.0 of gallery application \"agent\"");
        assert_eq!(error[0].path, Path::attribute("name"));
        let error = read(&service(&[]), None).await.unwrap_err().0;
        assert_eq!(error[0].summary, "Gallery application \"agent\" has no versions");
        let arm = FakeArm::new();
        let siblings = APPLICATION.trim_end_matches("/agent");
        arm.get(siblings, json!({"value": [{"name": "agents"}]}));
        let error = read(&arm, None).await.unwrap_err().0;
        assert_eq!(error[0].summary, "There is no gallery application \"agent\"");
        assert!(error[0].detail.contains("\"agents\""), "{}", error[0]);
    }
}
