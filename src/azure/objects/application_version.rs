//! The properties of a gallery application version in the service's format.

use serde_json::{Value as Json, json};

use super::application::{CustomAction, read_actions};
use super::target_region::{self, STORAGE_ACCOUNT_TYPES};
use super::version::Version;
use super::{filled, word};
use crate::arm::region;
use crate::azure::attributes::check_location;
use crate::azure::body;
use crate::azure::link::link;
use crate::azure::tags::Tags;
use crate::model;
use crate::schema::Set;
use crate::schema::spec::{optional, required};

/// What happens to a script of the application when the machine restarts.
pub const REBOOT_BEHAVIOURS: &[&str] = &["None", "Rerun"];

/// A version of a gallery application. `None` means that the response does not contain the value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApplicationVersion {
    /// The properties that it shares with image versions: number, regions, dates, tags and states.
    pub common: Version,
    /// The package.
    pub source: Option<Source>,
    /// The scripts.
    pub manage_action: Option<ManageAction>,
    /// The name of the package's file on the machine.
    pub package_file: Option<String>,
    /// The name of the configuration's file on the machine.
    pub config_file: Option<String>,
    /// One of [`REBOOT_BEHAVIOURS`].
    pub script_behavior_after_reboot: Option<String>,
    /// Further settings, by the service's names.
    pub advanced_settings: Tags,
    /// Whether machines report the health of the application.
    pub enable_health_check: Option<bool>,
    /// The custom actions of this version.
    pub custom_action: Set<CustomAction>,
}

model! {
    /// The package, which the service copies when the version is created.
    pub struct Source {
        /// The link to the blob with the package, including a SAS token if the blob needs one. A changed SAS token is
        /// not a change: the next update sends it.
        pub media_link: String = link(required().force_new()),
        /// The link to the blob with the default configuration, including a SAS token if the blob needs one. A
        /// changed SAS token is not a change: the next update sends it.
        pub default_configuration_link: Option<String> = link(optional().force_new()),
    }
}

model! {
    /// The scripts that install, update and remove the application. They cannot be changed.
    pub struct ManageAction {
        /// The script that installs the application.
        pub install: String = required().force_new().check_text(check_script),
        /// The script that removes the application.
        pub remove: String = required().force_new().check_text(check_script),
        /// The script that updates the application. Without one, an update removes the old version and installs the new.
        pub update: Option<String> = optional().force_new().check_text(check_script),
    }
}

model! {
    /// A region that the version is replicated to.
    pub struct TargetRegion {
        /// The region, in any spelling.
        pub name: String = required().equivalent_if(region::same_region).check_text(check_location),
        /// The number of replicas in the region.
        pub regional_replica_count: Option<i64> = optional().default(1).between(1, 10),
        /// The storage type of the replicas. The service cannot change it for an existing region, which keeps its type when
        /// this is omitted.
        pub storage_account_type: Option<String> =
            optional().default("Standard_LRS").one_of(STORAGE_ACCOUNT_TYPES),
        /// Whether this version is excluded when resolving `latest` in this region.
        pub exclude_from_latest: Option<bool> = optional().default(false),
    }
}

fn check_script(script: &str) -> Result<(), String> {
    let length = script.chars().count();
    if (1..=4096).contains(&length) {
        Ok(())
    } else {
        Err(format!("\"…\" must have 1 to 4096 characters, and has {length}"))
    }
}

impl From<&TargetRegion> for target_region::TargetRegion {
    fn from(region: &TargetRegion) -> Self {
        Self {
            name: region.name.clone(),
            regional_replica_count: region.regional_replica_count,
            storage_account_type: region.storage_account_type.clone(),
            exclude_from_latest: region.exclude_from_latest,
            encryption: None,
        }
    }
}

impl From<target_region::TargetRegion> for TargetRegion {
    fn from(region: target_region::TargetRegion) -> Self {
        Self {
            name: region.name,
            regional_replica_count: region.regional_replica_count,
            storage_account_type: region.storage_account_type,
            exclude_from_latest: region.exclude_from_latest,
        }
    }
}

impl ApplicationVersion {
    /// Reads a response without a known state.
    pub fn read(version: &Json) -> ApplicationVersion {
        ApplicationVersion::read_over(version, &[])
    }

    /// Reads a response. Properties of target regions that it does not contain stay unchanged.
    pub fn read_over(version: &Json, target_regions: &[target_region::TargetRegion]) -> ApplicationVersion {
        let profile = body::at(version, "properties.publishingProfile").unwrap_or(&Json::Null);
        let settings = body::at(profile, "settings").unwrap_or(&Json::Null);
        let advanced = body::at(profile, "advancedSettings").and_then(Json::as_object);
        ApplicationVersion {
            common: Version::read_over(version, None, target_regions),
            source: filled(profile, "source.mediaLink").map(|media_link| Source {
                media_link,
                default_configuration_link: filled(profile, "source.defaultConfigurationLink"),
            }),
            manage_action: filled(profile, "manageActions.install").map(|install| ManageAction {
                install,
                remove: body::text(profile, "manageActions.remove").unwrap_or_default(),
                update: filled(profile, "manageActions.update"),
            }),
            package_file: filled(settings, "packageFileName"),
            config_file: filled(settings, "configFileName"),
            script_behavior_after_reboot: word(settings, "scriptBehaviorAfterReboot", REBOOT_BEHAVIOURS),
            advanced_settings: advanced
                .into_iter()
                .flatten()
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect(),
            enable_health_check: body::bool(profile, "enableHealthCheck"),
            custom_action: read_actions(profile),
        }
    }

    /// The regions with replicas, with the service's defaults for unknown values.
    pub fn target_regions(&self) -> Set<TargetRegion> {
        self.common.target_regions().0.into_iter().map(TargetRegion::from).collect()
    }
}

/// The package to send.
pub fn expand_source(source: &Source) -> Json {
    body::without_nulls(json!({
        "mediaLink": source.media_link,
        "defaultConfigurationLink": source.default_configuration_link,
    }))
}

/// The scripts to send.
pub fn expand_scripts(scripts: &ManageAction) -> Json {
    body::without_nulls(json!({
        "install": scripts.install,
        "remove": scripts.remove,
        "update": scripts.update,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expand_and_flatten_of_source_and_scripts_round_trip() {
        let source = Source { media_link: "https://a/x?sig=1".into(), default_configuration_link: None };
        let scripts = ManageAction { install: "i".into(), remove: "r".into(), update: Some("u".into()) };
        let sent = json!({"properties": {"publishingProfile": {
            "source": expand_source(&source), "manageActions": expand_scripts(&scripts),
        }}});
        let read = ApplicationVersion::read(&sent);
        assert_eq!((read.source, read.manage_action), (Some(source), Some(scripts)));
    }

    #[test]
    fn an_empty_response_reads_as_none() {
        for answer in [
            json!({}),
            json!({"properties": null}),
            json!({"properties": {"publishingProfile": {"source": {"mediaLink": ""}, "settings": []}}}),
        ] {
            let read = ApplicationVersion::read(&answer);
            let common =
                Version { end_of_life_date: read.common.end_of_life_date.clone(), ..Version::default() };
            assert_eq!(read, ApplicationVersion { common, ..ApplicationVersion::default() }, "{answer}");
        }
    }
}
