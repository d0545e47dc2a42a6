//! The api-versions of each resource type.

use super::errors::ArmError;
use super::regions::REGIONS;

const GALLERY: &[&str] = &[
    "2018-06-01",
    "2019-03-01",
    "2019-07-01",
    "2019-12-01",
    "2020-09-30",
    "2021-03-01",
    "2021-07-01",
    "2021-10-01",
    "2022-01-03",
    "2022-03-03",
    "2022-08-03",
    "2023-07-03",
    "2024-03-03",
    "2025-03-03",
    "2025-12-03",
    "2026-03-03",
];
const COMPUTE: &[&str] = &[
    "2015-06-15",
    "2016-03-30",
    "2016-04-30-preview",
    "2017-03-30",
    "2017-12-01",
    "2018-04-01",
    "2018-06-01",
    "2018-10-01",
    "2019-03-01",
    "2019-07-01",
    "2019-12-01",
    "2020-06-01",
    "2020-12-01",
    "2021-03-01",
    "2021-04-01",
    "2021-07-01",
    "2021-11-01",
    "2022-03-01",
    "2022-08-01",
    "2022-11-01",
    "2023-03-01",
    "2023-07-01",
    "2023-09-01",
    "2024-03-01",
    "2024-07-01",
    "2024-11-01",
    "2025-04-01",
    "2025-11-01",
    "2026-03-01",
    "2026-04-01",
];
const DISK: &[&str] = &[
    "2016-04-30-preview",
    "2017-03-30",
    "2018-04-01",
    "2018-06-01",
    "2018-09-30",
    "2019-03-01",
    "2019-07-01",
    "2019-11-01",
    "2020-05-01",
    "2020-06-30",
    "2020-09-30",
    "2020-12-01",
    "2021-04-01",
    "2021-08-01",
    "2021-12-01",
    "2022-03-02",
    "2022-07-02",
    "2023-01-02",
    "2023-04-02",
    "2023-10-02",
    "2024-03-02",
    "2025-01-02",
    "2026-03-02",
];
const RESOURCES: &[&str] = &[
    "2015-11-01",
    "2016-02-01",
    "2016-06-01",
    "2018-05-01",
    "2019-10-01",
    "2020-06-01",
    "2021-04-01",
    "2022-09-01",
    "2024-03-01",
    "2025-04-01",
];
const ORDERING: &[&str] = &["2015-06-01", "2021-01-01"];

/// The newest API version of the type of a resource, by its id.
pub fn newest(id: &str) -> &'static str {
    let mut segments = id.rsplit_once("/providers/").map_or("", |(_, tail)| tail).split('/');
    let namespace = segments.next().unwrap_or_default();
    let kind: Vec<&str> = segments.step_by(2).collect();
    let known = types(namespace);
    // A child without its own versions, such as the instance view, has those of its parent.
    (1..=kind.len())
        .rev()
        .map(|length| kind[..length].join("/"))
        .find_map(|kind| known.iter().find(|(name, _)| name.eq_ignore_ascii_case(&kind)))
        .and_then(|(_, versions)| versions.last().copied())
        .unwrap_or("2022-09-01")
}

/// Type names and api-versions of a namespace, for `GET /providers`.
pub fn types(namespace: &str) -> Vec<(&'static str, &'static [&'static str])> {
    match namespace.to_ascii_lowercase().as_str() {
        "microsoft.compute" => vec![
            ("galleries", GALLERY),
            ("galleries/images", GALLERY),
            ("galleries/images/versions", GALLERY),
            ("galleries/applications", GALLERY),
            ("galleries/applications/versions", GALLERY),
            ("galleries/scripts", since(SCRIPTS)),
            ("galleries/scripts/versions", since(SCRIPTS)),
            ("galleries/inVMAccessControlProfiles", since(PROFILES)),
            ("galleries/inVMAccessControlProfiles/versions", since(PROFILES)),
            ("locations/sharedGalleries", GALLERY),
            ("locations/communityGalleries", GALLERY),
            ("images", COMPUTE),
            ("virtualMachines", COMPUTE),
            ("virtualMachineScaleSets", COMPUTE),
            ("virtualMachineScaleSets/virtualMachines", COMPUTE),
            ("locations/publishers", COMPUTE),
            ("disks", DISK),
            ("snapshots", DISK),
            ("diskEncryptionSets", DISK),
        ],
        "microsoft.resources" => vec![("resourceGroups", RESOURCES), ("subscriptions", RESOURCES)],
        "microsoft.marketplaceordering" => vec![("agreements", ORDERING), ("offertypes", ORDERING)],
        _ => Vec::new(),
    }
}

/// The first api-versions of gallery types that were added later.
const SCRIPTS: &str = "2025-03-03";
const PROFILES: &str = "2024-03-03";
const INVITATIONS: &str = "2025-12-03";

/// The gallery api-versions starting with this one.
fn since(first: &str) -> &'static [&'static str] {
    &GALLERY[GALLERY.iter().position(|version| *version == first).unwrap_or(0)..]
}

/// The service has no api-versions from this date on.
const FUTURE: &str = "2027-07-01";

/// Checks the api-version of a request to a compute type such as `galleries/images`. The list for galleries is complete.
/// Clients use versions of machines and disks that are not listed here, so any plausible date is accepted for them. `newest` is
/// the newest version of a cloud that lags behind.
pub fn check(api: &str, kind: &str, newest: Option<&str>) -> Result<(), ArmError> {
    let is_there = |version: &str| newest.is_none_or(|newest| version <= newest);
    let (known, strict) = match kind.split('/').next().unwrap_or_default() {
        "galleries" if kind.starts_with("galleries/scripts") => (since(SCRIPTS), true),
        "galleries" if kind.starts_with("galleries/invmaccesscontrolprofiles") => (since(PROFILES), true),
        "sharedgallerysubscriptions" => (since(INVITATIONS), true),
        "galleries" | "sharedgalleries" | "communitygalleries" => (GALLERY, true),
        "disks" | "snapshots" | "diskencryptionsets" => (DISK, false),
        _ => (COMPUTE, false),
    };
    let date = api.get(..10).unwrap_or_default();
    let in_range = date >= known[0] && date < FUTURE;
    if is_there(api) && (known.contains(&api) || (!strict && in_range)) {
        return Ok(());
    }
    let known: Vec<&str> = known.iter().copied().filter(|version| is_there(version)).collect();
    let places: Vec<&str> = REGIONS.iter().map(|region| region.name).collect();
    Err(ArmError::gateway(
        400,
        "NoRegisteredProviderFound",
        format!(
            "No registered resource provider found for location '' and API version '{api}' for type '{kind}'. The supported api-versions are '{}'. The supported locations are '{}'.",
            known.join(", "),
            places.join(", ")
        ),
    ))
}

/// Whether an api-version is well-formed: `2026-03-03`, optionally with `-preview`.
pub fn well_formed(api: &str) -> bool {
    let bytes = api.as_bytes();
    let date = bytes.len() >= 10
        && bytes[..10]
            .iter()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { *byte == b'-' } else { byte.is_ascii_digit() });
    let suffix = |bytes: &[u8]| {
        bytes.len() > 1 && bytes[0] == b'-' && bytes[1..].iter().all(u8::is_ascii_alphanumeric)
    };
    date && (bytes.len() == 10 || suffix(&bytes[10..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_versions_are_dates_with_an_optional_suffix() {
        for good in ["2026-03-03", "2026-03-03-preview", "2026-03-03-alpha2"] {
            assert!(well_formed(good), "{good}");
        }
        for bad in ["", "2026-3-3", "2026-03-03x", "2026-03-03-", "2026-03-03-a\0b", "2026-03-03-a/b"] {
            assert!(!well_formed(bad), "{bad:?}");
        }
    }

    #[test]
    fn versions() {
        assert!(check("2026-03-03", "galleries/images", None).is_ok());
        let error = check("2026-03-04", "galleries", None).unwrap_err();
        assert_eq!((error.status, error.code.as_str()), (400, "NoRegisteredProviderFound"));
        assert!(error.message.contains("2022-03-03, 2022-08-03"));
        assert!(check("2024-03-03", "galleries/scripts/versions", None).is_err());
        assert!(check("2025-03-03", "galleries/scripts/versions", None).is_ok());
        assert!(check("2024-03-03", "galleries/invmaccesscontrolprofiles", None).is_ok());
        assert!(check("2024-08-01", "virtualmachines", None).is_ok());
        assert!(check("2099-01-01", "virtualmachines", None).is_err());
        let error = check("2026-03-03", "galleries", Some("2021-12-31")).unwrap_err();
        assert!(error.message.contains("2021-07-01, 2021-10-01'."), "{}", error.message);
        assert!(check("2021-10-01", "galleries", Some("2021-12-31")).is_ok());
        assert!(well_formed("2016-04-30-preview") && !well_formed("latest") && !well_formed("2026-3-3"));
    }
}
