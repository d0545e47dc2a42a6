//! Where an image version's bits come from: one of six ways, each with its own words.

use serde_json::{Value as Json, json};

use crate::arm::id::{IMAGE_VERSION, MANAGED_IMAGE, VIRTUAL_MACHINE};
use crate::arm::{ResourceId, id};
use crate::azure::attributes::{check_uri, id_of};
use crate::azure::body;
use crate::model;
use crate::schema::spec::{Block, block, optional, optional_computed, required};
use crate::schema::{Attribute, Diagnostics, Path, Set, Value};

/// The types of disks, snapshots and storage accounts.
pub const DISK: &str = "Microsoft.Compute/disks";
pub const SNAPSHOT: &str = "Microsoft.Compute/snapshots";
const ACCOUNT: &str = "Microsoft.Storage/storageAccounts";
const ENCRYPTION_SET: &str = "Microsoft.Compute/diskEncryptionSets";

model! {
    /// Where the bits come from, in exactly one way.
    pub struct Source {
        /// The id of a managed image, in the version's own region.
        pub managed_image_id: Option<String> = id_of(optional().force_new(), MANAGED_IMAGE),
        /// The id of a virtual machine, in the version's own region. Generalized first, where the definition says so.
        pub virtual_machine_id: Option<String> = id_of(optional().force_new(), VIRTUAL_MACHINE),
        /// The id of another image version, replicated to the version's own region.
        pub image_version_id: Option<String> = id_of(optional().force_new(), IMAGE_VERSION),
        /// The id of a community gallery's image or image version: `/communityGalleries/…/images/…[/versions/…]`.
        pub community_image_id: Option<String> =
            optional().force_new().equivalent_if(id::same_id).check_text(check_community),
        /// The operating system disk, from a snapshot, a disk or a VHD.
        pub os_disk: Option<OsDisk> = disk_block(block()),
        /// A data disk, from a snapshot, a disk or a VHD. Goes with `os_disk`.
        pub data_disk: Set<DataDisk> = disk_block(block().force_new().key(lun_key)),
    }
}

model! {
    /// The operating system disk.
    pub struct OsDisk {
        /// The id of a snapshot.
        pub snapshot_id: Option<String> = id_of(optional().force_new(), SNAPSHOT),
        /// The id of a managed disk.
        pub disk_id: Option<String> = id_of(optional().force_new(), DISK),
        /// The address of a VHD in a blob; `storage_account_id` goes with it.
        pub vhd_uri: Option<String> = optional().force_new().check_text(check_uri),
        /// The storage account that the VHD is in.
        pub storage_account_id: Option<String> = id_of(optional().force_new(), ACCOUNT),
        /// How machines cache the disk: `None`, `ReadOnly` or `ReadWrite`. The service's choice unless set.
        pub host_caching: Option<String> = caching(),
    }
}

model! {
    /// A data disk.
    pub struct DataDisk {
        /// The logical unit number, unique among the data disks.
        pub lun: i64 = required().between(0, 63),
        /// The id of a snapshot.
        pub snapshot_id: Option<String> = id_of(optional(), SNAPSHOT),
        /// The id of a managed disk.
        pub disk_id: Option<String> = id_of(optional(), DISK),
        /// The address of a VHD in a blob; `storage_account_id` goes with it.
        pub vhd_uri: Option<String> = optional().check_text(check_uri),
        /// The storage account that the VHD is in.
        pub storage_account_id: Option<String> = id_of(optional(), ACCOUNT),
        /// How machines cache the disk: `None`, `ReadOnly` or `ReadWrite`. The service's choice unless set.
        pub host_caching: Option<String> = caching(),
    }
}

fn caching() -> Attribute {
    optional_computed().force_new().one_of(&["None", "ReadOnly", "ReadWrite"])
}

fn disk_block(block: Block) -> Block {
    block.check(check_disk)
}

/// An attribute with the id of a disk encryption set.
pub fn encryption_set(attribute: Attribute) -> Attribute {
    id_of(attribute, ENCRYPTION_SET)
}

/// What makes two data disks the same: their lun.
pub fn lun_key(disk: &Value) -> Option<String> {
    disk.get("lun").as_i64().map(|lun| lun.to_string())
}

/// Exactly one way of naming bits.
pub fn check_source(source: &Value, path: &Path, found: &mut Diagnostics) {
    const WAYS: [&str; 5] =
        ["managed_image_id", "virtual_machine_id", "image_version_id", "community_image_id", "os_disk"];
    if source.is_unknown() {
        return;
    }
    let Given { known, open } = given(source, &WAYS);
    let fix = format!("Give exactly one of {}.", WAYS.join(", "));
    match known.as_slice() {
        [] if !open => found.error(path.clone(), "The source names no bits", fix),
        [] | [_] => {}
        [.., second] => found.error(
            path.then(second.to_string()),
            "The source names its bits in more than one way",
            format!("{} are all given. {fix}", known.join(" and ")),
        ),
    }
    let disks = source.get("data_disk");
    if !disks.is_unknown() && !disks.is_empty() && source.get("os_disk").is_null() {
        found.error(
            path.then("data_disk"),
            "data_disk needs os_disk",
            "Data disks are given one by one only together with os_disk; any other source brings its own.",
        );
    }
    let mut luns = Vec::new();
    for disk in disks.elements() {
        if let Some(lun) = disk.get("lun").as_i64() {
            if luns.contains(&lun) {
                found.error(
                    path.then("data_disk"),
                    format!("lun {lun} is given twice"),
                    "Each data disk needs a logical unit number of its own.",
                );
            }
            luns.push(lun);
        }
    }
}

// Which of several ways are given.
struct Given {
    known: Vec<&'static str>,
    // others are unknown yet, and may turn out to be given or not
    open: bool,
}

fn given(value: &Value, ways: &[&'static str]) -> Given {
    Given {
        known: ways.iter().copied().filter(|way| value.get(way).is_known()).collect(),
        open: ways.iter().any(|way| value.get(way).is_unknown()),
    }
}

// A disk comes from exactly one place; a VHD from an account too.
fn check_disk(disk: &Value, path: &Path, found: &mut Diagnostics) {
    if disk.is_unknown() {
        return;
    }
    let Given { known, open } = given(disk, &["snapshot_id", "disk_id", "vhd_uri"]);
    if known.len() > 1 || known.is_empty() && !open {
        let why = match known.as_slice() {
            [] => "None is given.".to_owned(),
            known => format!("{} are given.", known.join(" and ")),
        };
        found.error(
            path.clone(),
            "A disk comes from exactly one place",
            format!("Give exactly one of snapshot_id, disk_id and vhd_uri. {why}"),
        );
    }
    if disk.get("vhd_uri").is_known() && disk.get("storage_account_id").is_null() {
        found.error(
            path.then("storage_account_id"),
            "storage_account_id is missing",
            "The service needs the id of the storage account that vhd_uri lies in.",
        );
    }
    if disk.get("vhd_uri").is_null() && disk.get("storage_account_id").is_known() {
        found.error(
            path.then("storage_account_id"),
            "storage_account_id goes with vhd_uri only",
            "Remove it, or give vhd_uri.",
        );
    }
}

fn check_community(text: &str) -> Result<(), String> {
    let parts: Vec<String> = text.trim_matches('/').split('/').map(str::to_lowercase).collect();
    let fits = match parts.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["communitygalleries", gallery, "images", image] => !gallery.is_empty() && !image.is_empty(),
        ["communitygalleries", gallery, "images", image, "versions", version] => {
            !gallery.is_empty() && !image.is_empty() && !version.is_empty()
        }
        _ => false,
    };
    if fits && text.starts_with('/') {
        Ok(())
    } else {
        Err("is no community image's id: /communityGalleries/GALLERY/images/IMAGE or …/versions/VERSION"
            .to_owned())
    }
}

/// The storage profile of a new version.
pub fn expand(source: &Source) -> Json {
    let whole = source.managed_image_id.as_ref().or(source.image_version_id.as_ref());
    if let Some(id) = whole {
        return json!({"source": {"id": id}});
    }
    if let Some(id) = &source.virtual_machine_id {
        return json!({"source": {"virtualMachineId": id}});
    }
    if let Some(id) = &source.community_image_id {
        return json!({"source": {"communityGalleryImageId": id}});
    }
    let mut profile = json!({});
    if let Some(disk) = &source.os_disk {
        let from = [&disk.snapshot_id, &disk.disk_id, &disk.vhd_uri, &disk.storage_account_id];
        profile["osDiskImage"] = expand_disk(from, disk.host_caching.as_deref());
    }
    let mut disks: Vec<&DataDisk> = source.data_disk.iter().collect();
    disks.sort_by_key(|disk| disk.lun);
    if !disks.is_empty() {
        profile["dataDiskImages"] = disks
            .into_iter()
            .map(|disk| {
                let from = [&disk.snapshot_id, &disk.disk_id, &disk.vhd_uri, &disk.storage_account_id];
                let mut body = expand_disk(from, disk.host_caching.as_deref());
                body["lun"] = json!(disk.lun);
                body
            })
            .collect();
    }
    profile
}

fn expand_disk([snapshot, disk, uri, account]: [&Option<String>; 4], caching: Option<&str>) -> Json {
    let source = match uri {
        Some(uri) => json!({"uri": uri, "storageAccountId": account}),
        None => json!({"id": snapshot.as_ref().or(disk.as_ref())}),
    };
    body::without_nulls(json!({"source": source, "hostCaching": caching}))
}

/// The source in a version's storage profile. What the service does not tell stays as it is `known`.
pub fn flatten(profile: &Json, known: Option<&Source>) -> Option<Source> {
    let mut source = Source::default();
    let whole = body::text(profile, "source.id");
    if let Some(id) = body::text(profile, "source.virtualMachineId") {
        source.virtual_machine_id = Some(id);
    } else if let Some(id) = body::text(profile, "source.communityGalleryImageId") {
        source.community_image_id = Some(id);
    } else if let Some(id) = whole {
        let is = |kind| ResourceId::parse_as(&id, kind).is_ok();
        if is(VIRTUAL_MACHINE) {
            source.virtual_machine_id = Some(id);
        } else if is(IMAGE_VERSION) {
            source.image_version_id = Some(id);
        } else {
            source.managed_image_id = Some(id);
        }
    } else if let Some(disk) = body::at(profile, "osDiskImage").filter(|disk| has_source(disk)) {
        let [snapshot_id, disk_id, vhd_uri, storage_account_id] = flatten_disk(disk);
        let host_caching = body::text(disk, "hostCaching");
        source.os_disk = Some(OsDisk { snapshot_id, disk_id, vhd_uri, storage_account_id, host_caching });
        source.data_disk = body::items(profile, "dataDiskImages")
            .iter()
            .filter(|disk| has_source(disk))
            .map(|disk| {
                let [snapshot_id, disk_id, vhd_uri, storage_account_id] = flatten_disk(disk);
                DataDisk {
                    lun: body::int(disk, "lun").unwrap_or_default(),
                    snapshot_id,
                    disk_id,
                    vhd_uri,
                    storage_account_id,
                    host_caching: body::text(disk, "hostCaching"),
                }
            })
            .collect();
    } else {
        // the service forgets a source that is gone; what the version was made from does not change by that
        return known.cloned();
    }
    Some(source)
}

fn has_source(disk: &Json) -> bool {
    body::text(disk, "source.id").is_some() || body::text(disk, "source.uri").is_some()
}

// Snapshot, disk, VHD and account; older versions tell the account as the source's id.
fn flatten_disk(disk: &Json) -> [Option<String>; 4] {
    let (id, uri) = (body::text(disk, "source.id"), body::text(disk, "source.uri"));
    if uri.is_some() {
        return [None, None, uri, body::text(disk, "source.storageAccountId").or(id)];
    }
    match id {
        Some(id) if ResourceId::parse_as(&id, DISK).is_ok() => [None, Some(id), None, None],
        id => [id, None, None, None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: &str =
        "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.Compute";

    #[test]
    fn every_source_comes_back_as_it_went() {
        let snapshot = format!("{S}/snapshots/s");
        let vhd = DataDisk {
            lun: 1,
            vhd_uri: Some("https://a.blob.example/v.vhd".into()),
            storage_account_id: Some("/x/storageAccounts/a".into()),
            host_caching: Some("None".into()),
            ..DataDisk::default()
        };
        let rows = [
            Source { managed_image_id: Some(format!("{S}/images/i")), ..Source::default() },
            Source { virtual_machine_id: Some(format!("{S}/virtualMachines/v")), ..Source::default() },
            Source {
                image_version_id: Some(format!("{S}/galleries/g/images/i/versions/1.0.0")),
                ..Source::default()
            },
            Source { community_image_id: Some("/communityGalleries/g/images/i".into()), ..Source::default() },
            Source {
                os_disk: Some(OsDisk { snapshot_id: Some(snapshot), ..OsDisk::default() }),
                data_disk: Set(vec![vhd]),
                ..Source::default()
            },
            Source {
                os_disk: Some(OsDisk { disk_id: Some(format!("{S}/disks/d")), ..OsDisk::default() }),
                ..Source::default()
            },
        ];
        for source in rows {
            assert_eq!(flatten(&expand(&source), None), Some(source));
        }
        let known = Source { managed_image_id: Some("x".into()), ..Source::default() };
        assert_eq!(flatten(&json!({"osDiskImage": {"source": {}}}), Some(&known)), Some(known));
    }
    // In Terraform's first walk every variable of a module is unknown, and any of them may turn out to be null.
    #[test]
    fn what_is_unknown_is_not_held_against_the_source() {
        use Value::{Null, Unknown};
        let id = || Value::from("x");
        let ways = |managed: Value, machine: Value, disk: Value, disks: Value| {
            Value::object([
                ("managed_image_id", managed),
                ("virtual_machine_id", machine),
                ("os_disk", disk),
                ("data_disk", disks),
            ])
        };
        let none = || Value::Set(Vec::new());
        let rows = [
            (Unknown, None),
            (ways(Unknown, Unknown, Unknown, Unknown), None),
            (ways(Unknown, Unknown, Null, none()), None),
            (ways(id(), Unknown, Unknown, none()), None),
            (ways(Unknown, Null, Null, none()), None),
            (ways(id(), id(), Unknown, none()), Some("more than one way")),
            (ways(Null, Null, Null, none()), Some("names no bits")),
            (ways(id(), Null, Unknown, Value::Set(vec![Unknown])), None),
        ];
        for (source, says) in rows {
            assert_says(check_source, &source, says);
        }
        let disk = |snapshot: Value, disk: Value, uri: Value, account: Value| {
            Value::object([
                ("snapshot_id", snapshot),
                ("disk_id", disk),
                ("vhd_uri", uri),
                ("storage_account_id", account),
            ])
        };
        let rows = [
            (Unknown, None),
            (disk(Unknown, Unknown, Unknown, Unknown), None),
            (disk(Unknown, Unknown, Null, Null), None),
            (disk(id(), Unknown, Unknown, Null), None),
            (disk(Null, Null, Unknown, Null), None),
            (disk(Null, Null, id(), Unknown), None),
            (disk(Null, Null, id(), Null), Some("storage_account_id is missing")),
            (disk(id(), id(), Unknown, Null), Some("exactly one place")),
            (disk(Null, Null, Null, Null), Some("exactly one place")),
        ];
        for (disk, says) in rows {
            assert_says(check_disk, &disk, says);
        }
    }

    fn assert_says(check: fn(&Value, &Path, &mut Diagnostics), value: &Value, says: Option<&str>) {
        let mut found = Diagnostics::new();
        check(value, &Path::root(), &mut found);
        let told: Vec<String> = found.into_iter().map(|told| told.to_string()).collect();
        match says {
            Some(says) => assert!(told.iter().any(|told| told.contains(says)), "{value:?}: {told:?}"),
            None => assert!(told.is_empty(), "{value:?}: {told:?}"),
        }
    }
}
