//! An image definition in the service's format.

use serde_json::Value as Json;

use super::{filled, provisioning_state, word};
use crate::azure::attributes::{check_filled, check_identifier};
use crate::azure::body;
use crate::azure::tags::{self, Tags};
use crate::model;
use crate::schema::spec::{optional, required};

/// Operating systems.
pub const OS_TYPES: &[&str] = &["Linux", "Windows"];
/// Whether an image is generalized.
pub const OS_STATES: &[&str] = &["Generalized", "Specialized"];
/// Generations of virtual machines.
pub const GENERATIONS: &[&str] = &["V1", "V2"];
/// Processor architectures.
pub const ARCHITECTURES: &[&str] = &["x64", "Arm64"];
/// Security types, in the spelling of HCL.
pub const SECURITY_TYPES: &[&str] = &[
    "Standard",
    "TrustedLaunchSupported",
    "TrustedLaunch",
    "ConfidentialVMSupported",
    "ConfidentialVM",
    "TrustedLaunchAndConfidentialVMSupported",
];
/// Disk controllers.
pub const DISK_CONTROLLERS: &[&str] = &["SCSI", "NVMe"];

/// An image definition. `None` means that the response does not contain the value, or that there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definition {
    /// Its region.
    pub location: Option<String>,
    /// One of [`OS_TYPES`].
    pub os_type: Option<String>,
    /// One of [`OS_STATES`].
    pub os_state: Option<String>,
    /// One of [`GENERATIONS`].
    pub hyper_v_generation: Option<String>,
    /// One of [`ARCHITECTURES`].
    pub architecture: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// The end-user licence agreement.
    pub eula: Option<String>,
    /// The privacy statement.
    pub privacy_statement_uri: Option<String>,
    /// The release notes.
    pub release_note_uri: Option<String>,
    /// The end-of-life date.
    pub end_of_life_date: Option<String>,
    /// Disk types that must not be used; empty if there are none.
    pub disallowed_disk_types: Vec<String>,
    /// Its features.
    pub features: Features,
    /// Its tags.
    pub tags: Tags,
    /// The state of the last operation.
    pub provisioning_state: Option<String>,
    /// Publisher, offer and SKU.
    pub identifier: Option<Identifier>,
    /// The Marketplace plan.
    pub purchase_plan: Option<PurchasePlan>,
    /// The recommended machine size; `None` if it has no limits.
    pub recommended: Option<Recommended>,
}

model! {
    /// Publisher, offer and SKU. The combination must be unique in the gallery.
    pub struct Identifier {
        /// The publisher of the image.
        pub publisher: String = required().force_new().check_text(|text| check_identifier(text, 128)),
        /// The offer of the image.
        pub offer: String = required().force_new().check_text(|text| check_identifier(text, 64)),
        /// The SKU of the image.
        pub sku: String = required().force_new().check_text(|text| check_identifier(text, 64)),
    }
}

model! {
    /// The Marketplace plan, which virtual machines from the image must contain.
    pub struct PurchasePlan {
        /// The name of the plan.
        pub name: String = required().check_text(check_filled),
        /// The publisher of the plan.
        pub publisher: Option<String> = optional().or_empty(),
        /// The product of the plan.
        pub product: Option<String> = optional().or_empty(),
    }
}

model! {
    /// The recommended size of virtual machines.
    pub struct Recommended {
        /// The minimum number of virtual CPUs.
        pub minimum_vcpus: Option<i64> = optional().between(1, 1000),
        /// The maximum number of virtual CPUs.
        pub maximum_vcpus: Option<i64> = optional().between(1, 1000),
        /// The minimum memory in GB.
        pub minimum_memory_gb: Option<i64> = optional().between(1, 32_000),
        /// The maximum memory in GB.
        pub maximum_memory_gb: Option<i64> = optional().between(1, 32_000),
    }
}

/// The features of an image definition: some as attributes, and the others by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    /// One of [`SECURITY_TYPES`].
    pub security_type: Option<String>,
    /// Whether accelerated networking is supported.
    pub accelerated_networking_enabled: Option<bool>,
    /// Whether hibernation is supported.
    pub hibernation_enabled: Option<bool>,
    /// Some of [`DISK_CONTROLLERS`]; empty if the response does not contain them.
    pub disk_controller_types: Vec<String>,
    /// All other features, by the service's names.
    pub others: Tags,
}

/// The feature with the security type.
pub const SECURITY: &str = "SecurityType";
/// The feature for accelerated networking.
pub const ACCELERATED: &str = "IsAcceleratedNetworkSupported";
/// The feature for hibernation.
pub const HIBERNATE: &str = "IsHibernateSupported";
/// The feature with the disk controllers.
pub const CONTROLLERS: &str = "DiskControllerTypes";

/// Features with an attribute: the service's name and the attribute.
pub const OWN_FEATURES: &[(&str, &str)] = &[
    (SECURITY, "security_type"),
    (ACCELERATED, "accelerated_networking_enabled"),
    (HIBERNATE, "hibernation_enabled"),
    (CONTROLLERS, "disk_controller_types"),
];

impl Definition {
    /// Reads a response.
    pub fn read(definition: &Json) -> Definition {
        let properties = body::at(definition, "properties").unwrap_or(&Json::Null);
        let text = |path: &str| filled(properties, path);
        let identifier = |identifier: &Json| {
            Some(Identifier {
                publisher: body::text(identifier, "publisher")?,
                offer: body::text(identifier, "offer")?,
                sku: body::text(identifier, "sku")?,
            })
        };
        let recommended = Recommended {
            minimum_vcpus: body::int(properties, "recommended.vCPUs.min"),
            maximum_vcpus: body::int(properties, "recommended.vCPUs.max"),
            minimum_memory_gb: body::int(properties, "recommended.memory.min"),
            maximum_memory_gb: body::int(properties, "recommended.memory.max"),
        };
        Definition {
            location: filled(definition, "location"),
            os_type: word(properties, "osType", OS_TYPES),
            os_state: word(properties, "osState", OS_STATES),
            hyper_v_generation: word(properties, "hyperVGeneration", GENERATIONS),
            architecture: word(properties, "architecture", ARCHITECTURES),
            description: text("description"),
            eula: text("eula"),
            privacy_statement_uri: text("privacyStatementUri"),
            release_note_uri: text("releaseNoteUri"),
            end_of_life_date: text("endOfLifeDate"),
            disallowed_disk_types: body::texts(properties, "disallowed.diskTypes").unwrap_or_default(),
            features: Features::read(body::items(properties, "features")),
            tags: tags::all(definition),
            provisioning_state: provisioning_state(definition),
            identifier: body::at(properties, "identifier").and_then(identifier),
            purchase_plan: text("purchasePlan.name").map(|name| PurchasePlan {
                name,
                publisher: text("purchasePlan.publisher"),
                product: text("purchasePlan.product"),
            }),
            recommended: (recommended != Recommended::default()).then_some(recommended),
        }
    }
}

impl Features {
    fn read(features: &[Json]) -> Features {
        let value = |name: &str| body::text(feature(features, name)?, "value");
        let switch = |name: &str| Some(value(name)?.eq_ignore_ascii_case("true"));
        let others = features
            .iter()
            .filter_map(|feature| Some((body::text(feature, "name")?, body::text(feature, "value")?)))
            .filter(|(name, _)| !OWN_FEATURES.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)));
        let security = feature(features, SECURITY);
        Features {
            security_type: security.and_then(|feature| word(feature, "value", SECURITY_TYPES)),
            accelerated_networking_enabled: switch(ACCELERATED),
            hibernation_enabled: switch(HIBERNATE),
            disk_controller_types: value(CONTROLLERS).map_or_else(Vec::new, |value| {
                let controllers = value.split(',').map(str::trim).filter(|kind| !kind.is_empty());
                controllers.map(|kind| documented(kind, DISK_CONTROLLERS)).collect()
            }),
            others: others.collect(),
        }
    }
}

/// The feature with that name, in any case.
pub fn feature<'j>(features: &'j [Json], name: &str) -> Option<&'j Json> {
    features
        .iter()
        .find(|feature| body::text(feature, "name").is_some_and(|have| have.eq_ignore_ascii_case(name)))
}

fn documented(value: &str, documented: &[&str]) -> String {
    documented.iter().find(|word| word.eq_ignore_ascii_case(value)).map_or(value, |word| word).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_enumerated_values_in_any_case() {
        let definition = Definition::read(&json!({"properties": {
            "osType": "linux", "osState": "GENERALIZED", "hyperVGeneration": "v2", "architecture": "X64",
            "features": [
                {"name": "securitytype", "value": "TrustedLaunchAndConfidentialVmSupported"},
                {"name": "DiskControllerTypes", "value": "scsi, nvme"},
                {"name": "isHibernateSupported", "value": "TRUE"},
                {"name": "IsSecureBootSupported", "value": "True"},
            ],
        }}));
        let words = [
            &definition.os_type,
            &definition.os_state,
            &definition.hyper_v_generation,
            &definition.architecture,
        ];
        assert_eq!(words.map(|word| word.as_deref().unwrap()), ["Linux", "Generalized", "V2", "x64"]);
        let features = definition.features;
        assert_eq!(features.security_type.as_deref(), Some("TrustedLaunchAndConfidentialVMSupported"));
        assert_eq!(features.disk_controller_types, ["SCSI", "NVMe"]);
        assert_eq!(
            (features.hibernation_enabled, features.accelerated_networking_enabled),
            (Some(true), None)
        );
        assert_eq!(features.others.keys().collect::<Vec<_>>(), ["IsSecureBootSupported"]);
    }

    #[test]
    fn an_empty_response_reads_as_none() {
        for answer in [
            json!({}),
            json!({"properties": null}),
            json!({"properties": {"identifier": {}, "purchasePlan": {"name": ""}, "recommended": {}}}),
        ] {
            assert_eq!(Definition::read(&answer), Definition::default(), "{answer}");
        }
    }
}
