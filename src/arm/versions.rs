//! API versions: those that this client supports for each resource type, and those that a cloud has.
//!
//! Sovereign and private clouds may lack recent API versions. They respond with `NoRegisteredProviderFound` and list the
//! versions that they have. The client then uses the newest version that both sides support, for that resource type and
//! the types below it.

use std::collections::HashMap;

use super::error::{Error, Kind};

/// Galleries, image definitions, image versions, sharing, soft-deleted artifacts, shared and community galleries.
///
/// Versions before 2019-07-01 lack `storageProfile.source`, so they cannot create image versions.
pub const GALLERY: &[&str] = &[
    "2026-03-03",
    "2025-12-03",
    "2025-03-03",
    "2024-03-03",
    "2023-07-03",
    "2022-08-03",
    "2022-03-03",
    "2022-01-03",
    "2021-10-01",
    "2021-07-01",
    "2021-03-01",
    "2020-09-30",
    "2019-12-01",
    "2019-07-01",
];

/// Managed images, virtual machines and Marketplace images.
pub const COMPUTE: &[&str] = &[
    "2026-03-01",
    "2025-11-01",
    "2025-04-01",
    "2024-11-01",
    "2024-07-01",
    "2024-03-01",
    "2023-09-01",
    "2023-07-01",
    "2023-03-01",
    "2022-11-01",
    "2022-08-01",
    "2022-03-01",
    "2021-11-01",
    "2021-07-01",
    "2021-04-01",
    "2021-03-01",
    "2020-12-01",
    "2020-06-01",
    "2019-12-01",
    "2019-07-01",
];

/// Virtual networks and network interfaces, of which only names, IDs and regions are read.
const NETWORK: &[&str] = &["2024-05-01", "2023-09-01", "2022-07-01", "2020-11-01"];

/// Disks, snapshots and disk encryption sets.
pub const DISK: &[&str] = &[
    "2026-03-02",
    "2025-01-02",
    "2024-03-02",
    "2023-10-02",
    "2023-04-02",
    "2023-01-02",
    "2022-07-02",
    "2022-03-02",
    "2021-12-01",
    "2021-08-01",
    "2021-04-01",
    "2020-12-01",
    "2020-09-30",
    "2020-06-30",
    "2020-05-01",
    "2019-11-01",
    "2019-07-01",
];

/// Marketplace agreements.
pub const ORDERING: &[&str] = &["2021-01-01", "2015-06-01"];

/// Subscriptions and their locations.
pub const SUBSCRIPTION: &[&str] =
    &["2022-12-01", "2022-09-01", "2021-01-01", "2020-01-01", "2019-06-01", "2016-06-01"];

/// The supported API versions, newest first, by resource type. An entry also covers the types below it, unless they have
/// their own entry.
const SUPPORTED: &[(&str, &[&str])] = &[
    ("microsoft.compute/galleries", GALLERY),
    ("microsoft.compute/locations/communitygalleries", GALLERY),
    ("microsoft.compute/locations/sharedgalleries", GALLERY),
    ("microsoft.compute/images", COMPUTE),
    ("microsoft.compute/virtualmachines", COMPUTE),
    ("microsoft.compute/virtualmachinescalesets", COMPUTE),
    ("microsoft.compute/locations/publishers", COMPUTE),
    ("microsoft.compute/disks", DISK),
    ("microsoft.compute/snapshots", DISK),
    ("microsoft.compute/diskencryptionsets", DISK),
    ("microsoft.marketplaceordering/agreements", ORDERING),
    ("microsoft.marketplaceordering/offertypes", ORDERING),
    ("microsoft.authorization/roleassignments", &["2022-04-01", "2015-07-01"]),
    ("microsoft.authorization/roledefinitions", &["2022-04-01", "2015-07-01"]),
    ("microsoft.network/networkinterfaces", NETWORK),
    ("microsoft.network/virtualnetworks", NETWORK),
    ("microsoft.resourcegraph/resources", &["2021-03-01", "2019-04-01"]),
    ("microsoft.insights/eventtypes", &["2015-04-01"]),
    (
        "microsoft.virtualmachineimages/imagetemplates",
        &["2025-10-01", "2024-02-01", "2023-07-01", "2022-07-01", "2022-02-14", "2021-10-01", "2020-02-14"],
    ),
    (
        "microsoft.storage/storageaccounts",
        &["2024-01-01", "2023-05-01", "2023-01-01", "2022-09-01", "2021-09-01", "2019-06-01"],
    ),
    (
        "subscriptions/resourcegroups",
        &["2025-04-01", "2024-03-01", "2022-09-01", "2021-04-01", "2020-06-01", "2019-10-01", "2018-05-01"],
    ),
    ("subscriptions", SUBSCRIPTION),
];

/// The supported API versions of `resource_type` (in lower case), newest first; empty for an unknown type.
pub fn spoken(resource_type: &str) -> &'static [&'static str] {
    SUPPORTED
        .iter()
        .filter(|(known, _)| {
            resource_type.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
        .max_by_key(|(known, _)| known.len())
        .map_or(&[], |(_, versions)| versions)
}

/// The API version of calls for a resource type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiVersion {
    /// The version, such as `2026-03-03`.
    pub version: &'static str,
    /// Whether the cloud has accepted a call with it. Until then, a call may still fall back to an older version.
    pub is_confirmed: bool,
}

impl ApiVersion {
    /// Whether this version includes a member that was introduced in `since`.
    pub fn has(&self, since: &str) -> bool {
        self.version >= since
    }
}

/// The API versions of a cloud that are known so far, by resource type in lower case.
#[derive(Default)]
pub struct Versions {
    fallbacks: HashMap<String, &'static str>,
    confirmed: HashMap<String, &'static str>,
}

impl Versions {
    /// The version for calls of `resource_type`: `preferred`, or an older one if the cloud lacks it.
    ///
    /// A known version of a type also applies to the types below it, because clouds update them together.
    pub fn choose(&self, resource_type: &str, preferred: &'static str) -> ApiVersion {
        let fallback = lineage(resource_type).find_map(|kind| self.fallbacks.get(kind));
        let version = fallback.copied().filter(|older| *older < preferred).unwrap_or(preferred);
        let is_confirmed = lineage(resource_type).any(|kind| self.confirmed.get(kind) == Some(&version));
        ApiVersion { version, is_confirmed }
    }

    /// Records that the cloud accepted a call for `resource_type` with `version`.
    pub fn confirm(&mut self, resource_type: &str, version: &'static str) {
        if self.confirmed.get(resource_type) != Some(&version) {
            self.confirmed.insert(resource_type.to_owned(), version);
        }
    }

    /// The version to retry with if `error` says that the cloud lacks `refused`: the newest that both sides support. `None`
    /// if it is another error or there is no such version.
    pub fn fall_back(&mut self, resource_type: &str, refused: &str, error: &Error) -> Option<&'static str> {
        let supported = supported(error)?;
        // The cloud has the version, so the error is about the region.
        if supported.iter().any(|version| version == refused) {
            return None;
        }
        let newest = spoken(resource_type)
            .iter()
            .filter(|version| **version < refused)
            .find(|version| supported.iter().any(|supported| supported == *version))?;
        self.fallbacks.insert(resource_type.to_owned(), newest);
        self.confirm(resource_type, newest);
        Some(newest)
    }
}

/// A type and its parent types: `a/b/c`, `a/b`, `a`.
fn lineage(resource_type: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(resource_type), |kind| kind.rsplit_once('/').map(|(parent, _)| parent))
}

/// The versions in an error about an unsupported API version.
///
/// Resource providers return "… The supported api-versions are '2021-07-01, 2022-03-03'. The supported locations are …";
/// Resource Manager itself returns "… The supported versions are '2021-01-01,2022-12-01'."
pub fn supported(error: &Error) -> Option<Vec<String>> {
    const CODES: [&str; 5] = [
        "NoRegisteredProviderFound",
        "InvalidResourceType",
        "InvalidApiVersionParameter",
        "UnsupportedApiVersion",
        "InvalidApiVersion",
    ];
    let is_about_versions = CODES.iter().any(|code| code.eq_ignore_ascii_case(error.code()));
    if error.kind != Kind::Service || !is_about_versions {
        return None;
    }
    let lower = error.message.to_ascii_lowercase();
    let (_, rest) = lower.split_once("versions are")?;
    let list = rest.split('\'').nth(1).unwrap_or(rest);
    let versions: Vec<String> = list
        .split([',', ' ', ';'])
        .map(|version| version.trim_matches(|c: char| !c.is_ascii_alphanumeric()))
        .filter(|version| version.len() >= 10 && version.as_bytes()[4] == b'-')
        .map(str::to_owned)
        .collect();
    (!versions.is_empty()).then_some(versions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn error(code: &str, message: &str) -> Error {
        let mut error = Error::new(Kind::Service, message);
        code.clone_into(&mut error.code);
        error
    }

    const MESSAGE: &str = "No registered resource provider found for location 'local' and API version '2026-03-03' for type 'galleries'. The supported api-versions are '2020-09-30, 2021-07-01, 2022-03-03, 2022-03-03-preview'. The supported locations are 'local'.";
    const FRONT_DOOR: &str =
        "The api-version '2022-12-01' is invalid. The supported versions are '2021-01-01,2016-06-01'.";

    #[test]
    fn parses_lists_of_supported_versions() {
        assert_eq!(
            supported(&error("NoRegisteredProviderFound", MESSAGE)).unwrap(),
            ["2020-09-30", "2021-07-01", "2022-03-03", "2022-03-03-preview"]
        );
        assert_eq!(
            supported(&error("InvalidApiVersionParameter", FRONT_DOOR)).unwrap(),
            ["2021-01-01", "2016-06-01"]
        );
        assert_eq!(supported(&error("AuthorizationFailed", MESSAGE)), None);
        assert_eq!(supported(&error("NoRegisteredProviderFound", "nothing")), None);
    }

    #[test]
    fn falls_back_to_the_newest_version_that_both_sides_support() {
        let (galleries, images) = ("microsoft.compute/galleries", "microsoft.compute/galleries/images");
        let refused = error("NoRegisteredProviderFound", MESSAGE);
        let mut versions = Versions::default();
        assert_eq!(
            versions.choose(galleries, "2026-03-03"),
            ApiVersion { version: "2026-03-03", is_confirmed: false }
        );
        assert_eq!(versions.fall_back(galleries, "2026-03-03", &refused), Some("2022-03-03"));
        let found = ApiVersion { version: "2022-03-03", is_confirmed: true };
        assert_eq!(versions.choose(galleries, "2026-03-03"), found);
        assert_eq!(
            versions.choose(images, "2026-03-03"),
            found,
            "a child type starts with its parent's version"
        );
        assert!(!versions.choose("microsoft.compute/images", "2026-03-01").is_confirmed);
        assert!(found.has("2022-03-03") && found.has("2021-10-01") && !found.has("2022-08-03"));
    }

    #[test]
    fn an_error_that_lists_the_version_in_use_is_about_the_region() {
        let refused = error("NoRegisteredProviderFound", MESSAGE);
        assert_eq!(
            Versions::default().fall_back("microsoft.compute/galleries", "2022-03-03", &refused),
            None
        );
    }

    #[test]
    fn does_not_retry_without_a_common_version() {
        let refused = error("InvalidResourceType", "The supported api-versions are '2014-04-01'.");
        assert_eq!(
            Versions::default().fall_back("microsoft.compute/galleries", "2026-03-03", &refused),
            None
        );
        assert_eq!(Versions::default().fall_back("contoso.own/things", "1", &refused), None);
    }

    #[test]
    fn every_type_in_use_has_versions_newest_first() {
        for kind in [
            "microsoft.compute/galleries/images/versions",
            "microsoft.compute/galleries/share",
            "microsoft.compute/locations/communitygalleries/images",
            "microsoft.compute/locations/publishers/artifacttypes/offers/skus/versions",
            "microsoft.compute/virtualmachines/generalize",
            "microsoft.compute/diskencryptionsets",
            "microsoft.marketplaceordering/agreements/offers/plans",
            "subscriptions/locations",
            "subscriptions/resourcegroups",
        ] {
            assert!(!spoken(kind).is_empty(), "{kind}");
        }
        assert!(spoken("microsoft.compute/galleriesandmore").is_empty());
        assert_ne!(spoken("subscriptions/resourcegroups"), spoken("subscriptions"));
        for (kind, versions) in SUPPORTED {
            assert!(versions.windows(2).all(|pair| pair[0] > pair[1]), "{kind}");
        }
    }

    /// The client supports every version in the published history of galleries that introduced a member.
    #[test]
    fn gallery_versions_match_the_published_history() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/descriptions/field-history.json");
        let Ok(text) = std::fs::read(path) else {
            eprintln!("skipped: {path} is absent");
            return;
        };
        let history: Value = serde_json::from_slice(&text).unwrap();
        let fields = history["fields"].as_array().unwrap();
        let since: Vec<&str> = fields.iter().filter_map(|field| field["since"].as_str()).collect();
        assert!(!since.is_empty());
        for version in since.iter().filter(|version| **version >= "2019-07-01") {
            assert!(GALLERY.contains(version), "{version}");
        }
        // The oldest version has every member that a create always sends.
        for member in
            ["properties.storageProfile.source.id", "properties.hyperVGeneration", "properties.osState"]
        {
            let field = fields.iter().find(|field| field["at"] == member).unwrap();
            assert!(field["since"].as_str().unwrap() <= *GALLERY.last().unwrap(), "{member}");
        }
    }
}
