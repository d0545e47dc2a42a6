//! The publishing and safety profile of an image version: target regions, replicas, storage types, dates and permitted changes.

use super::super::call::Call;
use super::super::clock;
use super::super::errors::ArmError;
use super::super::json::{Json, same};
use super::super::regions;
use super::definitions::end_of_life;

const BASE: &str = "galleryImageVersion.properties.publishingProfile";
/// Merges the profile in a body over the stored one.
pub fn publishing(
    call: &Call<'_, '_>,
    sent: &Json,
    old: Option<&Json>,
    location: &str,
) -> Result<Json, ArmError> {
    let none = Json::object();
    let sent = sent.get("publishingProfile").filter(|profile| !profile.is_null()).unwrap_or(&none);
    let before = old.unwrap_or(&none);
    let replicas = match sent.int("replicaCount") {
        Some(count) => replica_count(count, "replicaCount")?,
        None => before.int("replicaCount").unwrap_or(1),
    };
    let mode = replication_mode(sent, old)?;
    let (storage, strategy) = storage_type(call, sent, old, location)?;
    let regions = match sent.get("targetRegions") {
        Some(Json::Array(items)) if !items.is_empty() => target_regions(
            items,
            before,
            &Defaults { replicas, storage: &storage, strategy: strategy.as_deref() },
            location,
        )?,
        _ if old.is_some() => before.list("targetRegions").to_vec(),
        _ => vec![
            Json::object()
                .with("name", regions::display(location))
                .with("regionalReplicaCount", replicas)
                .with("storageAccountType", storage.as_str()),
        ],
    };
    if mode.as_deref() == Some("Shallow")
        && (regions.len() > 1 || regions.iter().any(|region| region.int("regionalReplicaCount") != Some(1)))
    {
        return Err(ArmError::parameter(
            &format!("{BASE}.replicationMode"),
            "Replication mode 'Shallow' allows one target region, the location of the image version, with one replica.",
        ));
    }
    let date = match sent.get("endOfLifeDate") {
        Some(Json::String(text)) => Some(end_of_life(
            call,
            text,
            before.text("endOfLifeDate"),
            "galleryImageVersion.properties.publishingProfile.endOfLifeDate",
        )?),
        Some(_) => None,
        None => before.text("endOfLifeDate").map(str::to_owned),
    };
    let extended = match sent.get("targetExtendedLocations") {
        Some(Json::Array(items)) => Some(extended_locations(items, replicas)?),
        // A request that lists the regions without edge zones removes the edge zones.
        _ => match before.get("targetExtendedLocations") {
            Some(Json::Array(items)) if sent.list("targetRegions").is_empty() => Some(items.clone()),
            _ => None,
        },
    };
    Ok(Json::object()
        .with("targetRegions", regions)
        .maybe("targetExtendedLocations", extended.filter(|items| !items.is_empty()))
        .with("replicaCount", replicas)
        .with(
            "excludeFromLatest",
            sent.flag("excludeFromLatest").or_else(|| before.flag("excludeFromLatest")).unwrap_or(false),
        )
        .with(
            "publishedDate",
            before.text("publishedDate").map_or_else(|| clock::format(call.now), str::to_owned),
        )
        .maybe("endOfLifeDate", date)
        .with("storageAccountType", storage)
        .maybe("replicationMode", mode)
        .maybe("storageAccountStrategy", strategy))
}

fn replica_count(count: i64, field: &str) -> Result<i64, ArmError> {
    if (1..=100).contains(&count) {
        return Ok(count);
    }
    let target = format!("{BASE}.{field}");
    Err(ArmError::parameter(
        &target,
        format!(
            "The value '{count}' of parameter {target} is out of range. The value must be between '1' and '100', inclusive."
        ),
    ))
}

fn replication_mode(sent: &Json, old: Option<&Json>) -> Result<Option<String>, ArmError> {
    let target = format!("{BASE}.replicationMode");
    let before = old.and_then(|old| old.text("replicationMode"));
    let Some(mode) = sent.text("replicationMode") else {
        return Ok(before.map(str::to_owned));
    };
    if old.is_some() && before.unwrap_or("Full") != mode {
        return Err(ArmError::unchangeable(&target));
    }
    Ok(Some(mode.to_owned()))
}

/// The profile's own storage type, and the strategy if one was sent. Since 2025-03-03 the default is zone-redundant storage
/// where the region supports it.
fn storage_type(
    call: &Call<'_, '_>,
    sent: &Json,
    old: Option<&Json>,
    location: &str,
) -> Result<(String, Option<String>), ArmError> {
    let target = format!("{BASE}.storageAccountType");
    let given = sent.text("storageAccountType");
    if let Some(old) = old {
        let before = old.text("storageAccountType").unwrap_or("Standard_LRS");
        if given.is_some_and(|kind| kind != before) {
            return Err(ArmError::unchangeable(&target));
        }
        return Ok((before.to_owned(), old.text("storageAccountStrategy").map(str::to_owned)));
    }
    let strategy = sent.text("storageAccountStrategy");
    if strategy.is_some() && given.is_some() {
        return Err(ArmError::parameter(
            &format!("{BASE}.storageAccountStrategy"),
            "Only one of storageAccountType and storageAccountStrategy can be specified.",
        ));
    }
    let zonal = match (given, strategy) {
        (Some(kind), _) => return Ok((zones_allow(kind, location)?.to_owned(), None)),
        (None, Some(strategy)) => strategy == "PreferStandard_ZRS",
        (None, None) => call.since("2025-03-03"),
    };
    Ok((preferred(zonal, location).to_owned(), strategy.map(str::to_owned)))
}

fn preferred(zonal: bool, location: &str) -> &'static str {
    if zonal && regions::find(location).is_some_and(|region| region.zones) {
        "Standard_ZRS"
    } else {
        "Standard_LRS"
    }
}

fn zones_allow<'k>(kind: &'k str, location: &str) -> Result<&'k str, ArmError> {
    if kind == "Standard_ZRS" && regions::find(location).is_some_and(|region| !region.zones) {
        return Err(ArmError::parameter(
            &format!("{BASE}.storageAccountType"),
            "ZRS storage account type is not supported in this region.",
        ));
    }
    Ok(kind)
}

struct Defaults<'a> {
    replicas: i64,
    storage: &'a str,
    strategy: Option<&'a str>,
}

fn target_regions(
    items: &[Json],
    before: &Json,
    defaults: &Defaults<'_>,
    location: &str,
) -> Result<Vec<Json>, ArmError> {
    let target = format!("{BASE}.targetRegions");
    let mut shown = Vec::new();
    let mut names = Vec::new();
    for item in items {
        let given = item.text("name").ok_or_else(|| ArmError::missing(&format!("{target}.name")))?;
        let region = regions::find(given).ok_or_else(|| {
            ArmError::parameter(
                &target,
                format!("The target region '{given}' is not a region of this cloud."),
            )
        })?;
        if names.contains(&region.name) {
            return Err(ArmError::parameter(
                &target,
                "Duplicate regions are not allowed in target publishing regions.",
            ));
        }
        names.push(region.name);
        shown.push(target_region(item, region, before, defaults)?);
    }
    if !names.contains(&location) {
        return Err(ArmError::parameter(
            &target,
            // The trailing space is the service's.
            format!(
                "Gallery image version publishing profile regions '{}' must contain the location of image version '{}'. ",
                names.join(", "),
                regions::display(location)
            ),
        ));
    }
    Ok(shown)
}

fn target_region(
    item: &Json,
    region: &regions::Region,
    before: &Json,
    defaults: &Defaults<'_>,
) -> Result<Json, ArmError> {
    let known = before
        .list("targetRegions")
        .iter()
        .find(|old| regions::normalize(old.text("name").unwrap_or_default()) == region.name);
    let replicas = match item.int("regionalReplicaCount") {
        Some(count) => replica_count(count, "targetRegions.regionalReplicaCount")?,
        None => defaults.replicas,
    };
    let kind_target = format!("{BASE}.targetRegions.storageAccountType");
    let kind = match (item.text("storageAccountType"), known) {
        (Some(kind), Some(known)) => {
            if known.text("storageAccountType") != Some(kind) {
                return Err(ArmError::unchangeable(&kind_target));
            }
            kind.to_owned()
        }
        (Some(kind), None) => zones_allow(kind, region.name)?.to_owned(),
        (None, Some(known)) => known.text("storageAccountType").unwrap_or(defaults.storage).to_owned(),
        (None, None) if defaults.strategy == Some("PreferStandard_ZRS") => {
            preferred(true, region.name).to_owned()
        }
        // A zone-redundant default does not apply to regions without zones.
        (None, None) if defaults.storage == "Standard_ZRS" => preferred(true, region.name).to_owned(),
        (None, None) => defaults.storage.to_owned(),
    };
    let mut shown = Json::object()
        .with("name", region.display)
        .with("regionalReplicaCount", replicas)
        .with("storageAccountType", kind);
    match item.get("encryption").filter(|encryption| !encryption.is_null()) {
        Some(encryption) => {
            if let Some(old) = known.and_then(|known| known.get("encryption")) {
                if !same(old, &show_encryption(encryption)) {
                    return Err(ArmError::unchangeable(&format!("{BASE}.targetRegions.encryption")));
                }
            } else if known.is_some() {
                return Err(ArmError::unchangeable(&format!("{BASE}.targetRegions.encryption")));
            }
            shown.set("encryption", show_encryption(encryption));
        }
        None => {
            if let Some(old) = known.and_then(|known| known.get("encryption")) {
                shown.set("encryption", old);
            }
        }
    }
    if item.flag("excludeFromLatest") == Some(true) {
        shown.set("excludeFromLatest", true);
    }
    let sets = item.list("additionalReplicaSets");
    for set in sets {
        replica_count(
            set.int("regionalReplicaCount").unwrap_or(1),
            "targetRegions.additionalReplicaSets.regionalReplicaCount",
        )?;
    }
    if !sets.is_empty() {
        shown.set("additionalReplicaSets", sets.to_vec());
    }
    Ok(shown)
}

/// `securityProfile` comes first in an OS disk's encryption, and is added if it was not sent.
fn show_encryption(sent: &Json) -> Json {
    let mut shown = Json::object();
    if let Some(os) = sent.get("osDiskImage") {
        shown.set(
            "osDiskImage",
            Json::object()
                .with(
                    "securityProfile",
                    os.get("securityProfile")
                        .filter(|profile| !profile.is_null())
                        .cloned()
                        .unwrap_or_else(Json::object),
                )
                .maybe("diskEncryptionSetId", os.get("diskEncryptionSetId")),
        );
    }
    if let Some(Json::Array(disks)) = sent.get("dataDiskImages") {
        let disks: Vec<Json> = disks
            .iter()
            .map(|disk| {
                let mut shown = Json::object().maybe("lun", disk.get("lun"));
                for (key, value) in disk.pairs() {
                    shown.set(key, value);
                }
                shown
            })
            .collect();
        shown.set("dataDiskImages", disks);
    }
    shown
}

fn extended_locations(items: &[Json], replicas: i64) -> Result<Vec<Json>, ArmError> {
    let target = format!("{BASE}.targetExtendedLocations");
    items
        .iter()
        .map(|item| {
            let name = item.text("name").ok_or_else(|| ArmError::missing(&format!("{target}.name")))?;
            let zone = item.get("extendedLocation").cloned().unwrap_or_default();
            let kind = item.text("storageAccountType").unwrap_or("StandardSSD_LRS");
            Ok(Json::object()
                .with(
                    "extendedLocation",
                    Json::object()
                        .with("type", zone.text("type").unwrap_or("EdgeZone"))
                        .maybe("name", zone.get("name")),
                )
                .with("name", regions::display(name))
                .with(
                    "extendedLocationReplicaCount",
                    item.int("extendedLocationReplicaCount").unwrap_or(replicas),
                )
                .with("storageAccountType", kind)
                .maybe("encryption", item.get("encryption").map(show_encryption)))
        })
        .collect()
}

/// A region may be removed only if the safety profile allows it; the home region never may (checked where regions are read).
pub fn regions_may_go(
    call: &Call<'_, '_>,
    version: &str,
    old: &Json,
    new: &Json,
    allowed: bool,
) -> Result<(), ArmError> {
    let names = |profile: &Json| -> Vec<String> {
        profile
            .list("targetRegions")
            .iter()
            .filter_map(|region| region.text("name").map(str::to_owned))
            .collect()
    };
    let kept = names(new);
    let gone: Vec<String> = names(old).into_iter().filter(|name| !kept.contains(name)).collect();
    // The flag came with 2022-03-03; older api-versions let regions be removed freely.
    if gone.is_empty() || allowed || call.settings.by_hand || !call.since("2022-03-03") {
        return Ok(());
    }
    Err(ArmError::new(
        409,
        "OperationNotAllowed",
        format!(
            "Removing the replicated regions '{}' of gallery image version '{version}' is not allowed since safetyProfile.allowDeletionOfReplicatedLocations is false. Set it to true to remove regions.",
            gone.join(", ")
        ),
    )
    .target("galleryImageVersion.properties.safetyProfile.allowDeletionOfReplicatedLocations"))
}

/// Merges the safety profile over the stored one.
pub fn safety(sent: &Json, old: Option<&Json>) -> Json {
    let none = Json::object();
    let wanted = sent.get("safetyProfile").unwrap_or(&none);
    let before = old.unwrap_or(&none);
    let block = wanted.flag("blockDeletionBeforeEndOfLife");
    let block = block.or_else(|| before.flag("blockDeletionBeforeEndOfLife"));
    Json::object()
        .with("reportedForPolicyViolation", false)
        .maybe("blockDeletionBeforeEndOfLife", block)
        .with(
            "allowDeletionOfReplicatedLocations",
            wanted
                .flag("allowDeletionOfReplicatedLocations")
                .or_else(|| before.flag("allowDeletionOfReplicatedLocations"))
                .unwrap_or(false),
        )
}

/// Requires an end-of-life date for blocking deletion until then.
pub fn block_needs_date(publishing: &Json, safety: &Json) -> Result<(), ArmError> {
    if safety.flag("blockDeletionBeforeEndOfLife") == Some(true) && publishing.get("endOfLifeDate").is_none()
    {
        return Err(ArmError::parameter(
            "galleryImageVersion.properties.safetyProfile.blockDeletionBeforeEndOfLife",
            "EndOfLifeDate must be set when blockDeletionBeforeEndOfLife is true.",
        ));
    }
    Ok(())
}

/// Requires that encrypted LUNs exist, and that an encryption set used in one region is used in all of them.
pub fn encryption_fits(publishing: &Json, sizes: &Json) -> Result<(), ArmError> {
    let target = format!("{BASE}.targetRegions.encryption");
    let regions = publishing.list("targetRegions");
    let with_set = regions
        .iter()
        .filter(|region| region.at("encryption.osDiskImage.diskEncryptionSetId").is_some())
        .count();
    if with_set != 0 && with_set != regions.len() {
        return Err(ArmError::parameter(
            &target,
            "A disk encryption set must be specified for all target regions or for none.",
        ));
    }
    for region in regions {
        let Some(encryption) = region.get("encryption") else { continue };
        for disk in encryption.list("dataDiskImages") {
            let lun = disk.int("lun");
            // Recorded: the service does not check a source without data disks.
            let known = sizes.list("data");
            if !known.is_empty() && !known.iter().any(|known| known.int("lun") == lun) {
                return Err(ArmError::parameter(
                    &target,
                    format!(
                        "The source has no data disk with lun '{}' that could be encrypted.",
                        lun.unwrap_or(-1)
                    ),
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encryption_shows_its_security_profile_first() {
        let sent = Json::parse(
            br#"{"osDiskImage":{"diskEncryptionSetId":"/d"},"dataDiskImages":[{"diskEncryptionSetId":"/d","lun":0}]}"#,
        )
        .unwrap();
        assert_eq!(
            show_encryption(&sent).compact(),
            r#"{"osDiskImage":{"securityProfile":{},"diskEncryptionSetId":"/d"},"dataDiskImages":[{"lun":0,"diskEncryptionSetId":"/d"}]}"#
        );
    }

    #[test]
    fn encryption_requires_known_luns_and_sets_in_all_regions() {
        let profile = |text: &str| Json::parse(text.as_bytes()).unwrap();
        let sizes = profile(r#"{"data":[{"lun":0}]}"#);
        let one = profile(
            r#"{"targetRegions":[{"encryption":{"osDiskImage":{"diskEncryptionSetId":"/d"}}},{"name":"x"}]}"#,
        );
        assert!(encryption_fits(&one, &sizes).is_err());
        let lun = profile(r#"{"targetRegions":[{"encryption":{"dataDiskImages":[{"lun":7}]}}]}"#);
        assert!(encryption_fits(&lun, &sizes).is_err());
        let fine = profile(r#"{"targetRegions":[{"encryption":{"dataDiskImages":[{"lun":0}]}}]}"#);
        assert!(encryption_fits(&fine, &sizes).is_ok());
    }

    #[test]
    fn storage_types_depend_on_zones() {
        assert_eq!(preferred(true, "westeurope"), "Standard_ZRS");
        assert_eq!(preferred(true, "westus"), "Standard_LRS");
        assert!(zones_allow("Standard_ZRS", "westus").is_err());
        assert!(replica_count(0, "replicaCount").is_err() && replica_count(101, "x").is_err());
    }
}
