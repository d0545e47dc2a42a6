//! The source of an image version: schema, request JSON and responses.

use serde_json::{Value as Json, json};

use super::{CACHING, word};
use crate::arm::id::{IMAGE_VERSION, MANAGED_IMAGE, VIRTUAL_MACHINE};
use crate::arm::{ResourceId, id};
use crate::azure::attributes::{check_uri, id_of};
use crate::azure::body;
use crate::model;
use crate::schema::spec::{Block, block, optional, optional_computed, required};
use crate::schema::{Attribute, Diagnostics, Path, Set, Value};

/// The resource type of managed disks.
pub const DISK: &str = "Microsoft.Compute/disks";
/// The resource type of snapshots.
pub const SNAPSHOT: &str = "Microsoft.Compute/snapshots";
const ACCOUNT: &str = "Microsoft.Storage/storageAccounts";
/// The resource type of disk encryption sets.
pub const DISK_ENCRYPTION_SET: &str = "Microsoft.Compute/diskEncryptionSets";

model! {
    /// The source of the version. Set exactly one source.
    pub struct Source {
        /// The ID of a managed image in the version's region.
        pub managed_image_id: Option<String> = id_of(optional().force_new(), MANAGED_IMAGE),
        /// The ID of a virtual machine in the version's region. It must be generalized if the image definition is.
        pub virtual_machine_id: Option<String> = id_of(optional().force_new(), VIRTUAL_MACHINE),
        /// The ID of another image version, which must be replicated to the version's region.
        pub image_version_id: Option<String> = id_of(optional().force_new(), IMAGE_VERSION),
        /// The ID of an image or image version in a community gallery: `/communityGalleries/…/images/…[/versions/…]`.
        pub community_image_id: Option<String> =
            optional().force_new().equivalent_if(id::same_id).check_text(check_community),
        /// The operating system disk, from a snapshot, a disk or a VHD.
        pub os_disk: Option<OsDisk> = disk_block(block()),
        /// A data disk, from a snapshot, a disk or a VHD. Requires `os_disk`.
        pub data_disk: Set<DataDisk> = disk_block(block().force_new().key(lun_key)),
    }
}

model! {
    /// The operating system disk.
    pub struct OsDisk {
        /// The ID of a snapshot.
        pub snapshot_id: Option<String> = id_of(optional().force_new(), SNAPSHOT),
        /// The ID of a managed disk.
        pub disk_id: Option<String> = id_of(optional().force_new(), DISK),
        /// The URI of a VHD in a blob. Requires `storage_account_id`.
        pub vhd_uri: Option<String> = optional().force_new().check_text(check_uri),
        /// The ID of the storage account of the VHD.
        pub storage_account_id: Option<String> = id_of(optional().force_new(), ACCOUNT),
        /// The host caching of the disk: `None`, `ReadOnly` or `ReadWrite`. Defaults to the service's choice.
        pub host_caching: Option<String> = caching(),
    }
}

model! {
    /// A data disk.
    pub struct DataDisk {
        /// The logical unit number, unique among the data disks.
        pub lun: i64 = required().between(0, 63),
        /// The ID of a snapshot.
        pub snapshot_id: Option<String> = id_of(optional(), SNAPSHOT),
        /// The ID of a managed disk.
        pub disk_id: Option<String> = id_of(optional(), DISK),
        /// The URI of a VHD in a blob. Requires `storage_account_id`.
        pub vhd_uri: Option<String> = optional().check_text(check_uri),
        /// The ID of the storage account of the VHD.
        pub storage_account_id: Option<String> = id_of(optional(), ACCOUNT),
        /// The host caching of the disk: `None`, `ReadOnly` or `ReadWrite`. Defaults to the service's choice.
        pub host_caching: Option<String> = caching(),
    }
}

fn caching() -> Attribute {
    optional_computed().force_new().one_of(CACHING)
}

fn disk_block(block: Block) -> Block {
    block.check(check_disk)
}

/// An attribute with the ID of a disk encryption set.
pub fn encryption_set(attribute: Attribute) -> Attribute {
    id_of(attribute, DISK_ENCRYPTION_SET)
}

/// The key of a data disk within its set: its logical unit number.
pub fn lun_key(disk: &Value) -> Option<String> {
    disk.get("lun").as_i64().map(|lun| lun.to_string())
}

/// Checks that exactly one source is set.
pub fn check_source(source: &Value, path: &Path, found: &mut Diagnostics) {
    const WAYS: [&str; 5] =
        ["managed_image_id", "virtual_machine_id", "image_version_id", "community_image_id", "os_disk"];
    if source.is_unknown() {
        return;
    }
    let Given { known, open } = given(source, &WAYS);
    let fix = format!("Set exactly one of {}.", WAYS.join(", "));
    match known.as_slice() {
        [] if !open => found.error(path.clone(), "The source is empty", fix),
        [] | [_] => {}
        [.., second] => found.error(
            path.then(second.to_string()),
            "The source block sets more than one source",
            format!("{} are set. {fix}", known.join(" and ")),
        ),
    }
    let disks = source.get("data_disk");
    if !disks.is_unknown() && !disks.is_empty() && source.get("os_disk").is_null() {
        found.error(
            path.then("data_disk"),
            "data_disk needs os_disk",
            "data_disk blocks need an os_disk block. Any other source includes its own data disks.",
        );
    }
    let mut luns = Vec::new();
    for disk in disks.elements() {
        if let Some(lun) = disk.get("lun").as_i64() {
            if luns.contains(&lun) {
                found.error(
                    path.then("data_disk"),
                    format!("Duplicate lun {lun}"),
                    "Each data disk needs its own logical unit number.",
                );
            }
            luns.push(lun);
        }
    }
}

// The attributes that are set.
struct Given {
    known: Vec<&'static str>,
    // whether others are unknown and may turn out to be set
    open: bool,
}

fn given(value: &Value, ways: &[&'static str]) -> Given {
    Given {
        known: ways.iter().copied().filter(|way| value.get(way).is_known()).collect(),
        open: ways.iter().any(|way| value.get(way).is_unknown()),
    }
}

// Checks that a disk has exactly one source, and that a VHD has a storage account.
fn check_disk(disk: &Value, path: &Path, found: &mut Diagnostics) {
    if disk.is_unknown() {
        return;
    }
    let Given { known, open } = given(disk, &["snapshot_id", "disk_id", "vhd_uri"]);
    if known.len() > 1 || known.is_empty() && !open {
        let why = match known.as_slice() {
            [] => "None is set.".to_owned(),
            known => format!("{} are set.", known.join(" and ")),
        };
        found.error(
            path.clone(),
            "A disk needs exactly one source",
            format!("Set exactly one of snapshot_id, disk_id and vhd_uri. {why}"),
        );
    }
    if disk.get("vhd_uri").is_known() && disk.get("storage_account_id").is_null() {
        found.error(
            path.then("storage_account_id"),
            "storage_account_id is missing",
            "Set it to the ID of the storage account that holds vhd_uri.",
        );
    }
    if disk.get("vhd_uri").is_null() && disk.get("storage_account_id").is_known() {
        found.error(
            path.then("storage_account_id"),
            "Unexpected storage_account_id",
            "storage_account_id is only used with vhd_uri: remove it, or set vhd_uri.",
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
        Err("is not the ID of a community image: use /communityGalleries/GALLERY/images/IMAGE or …/versions/VERSION"
            .to_owned())
    }
}

/// The storage profile to send for a new version.
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

/// Reads the source in a version's storage profile. Values that the response does not contain stay as in `known`: the
/// service no longer returns a deleted source.
pub fn read(profile: &Json, known: Option<&Source>) -> Option<Source> {
    let mut source = Source::default();
    let id = body::text(profile, "source.id");
    let is = |kind| id.as_deref().is_some_and(|id| ResourceId::parse_as(id, kind).is_ok());
    if let Some(id) = body::text(profile, "source.virtualMachineId") {
        source.virtual_machine_id = Some(id);
    } else if let Some(id) = body::text(profile, "source.communityGalleryImageId") {
        source.community_image_id = Some(id);
    } else if is(VIRTUAL_MACHINE) {
        source.virtual_machine_id = id;
    } else if is(IMAGE_VERSION) {
        source.image_version_id = id;
    } else if id.is_some() {
        source.managed_image_id = id;
    } else if let Some(disk) = body::at(profile, "osDiskImage").and_then(read_disk) {
        let known_os_disk = known.and_then(|known| known.os_disk.as_ref());
        source.os_disk = Some(OsDisk {
            host_caching: disk
                .host_caching
                .or_else(|| known_os_disk.and_then(|disk| disk.host_caching.clone())),
            ..disk
        });
        source.data_disk = read_data_disks(profile, known.map_or(&[], |known| known.data_disk.as_slice()));
    } else {
        return known.cloned();
    }
    Some(source)
}

fn read_data_disks(profile: &Json, known: &[DataDisk]) -> Set<DataDisk> {
    if body::at(profile, "dataDiskImages").is_none() {
        return Set(known.to_vec());
    }
    let read = |disk: &Json| {
        let lun = body::int(disk, "lun")?;
        let known = known.iter().find(|known| known.lun == lun);
        let Some(disk) = read_disk(disk) else { return known.cloned() };
        Some(DataDisk {
            lun,
            snapshot_id: disk.snapshot_id,
            disk_id: disk.disk_id,
            vhd_uri: disk.vhd_uri,
            storage_account_id: disk.storage_account_id,
            host_caching: disk.host_caching.or_else(|| known.and_then(|known| known.host_caching.clone())),
        })
    };
    body::items(profile, "dataDiskImages").iter().filter_map(read).collect()
}

// The disk of a version from disks; `None` if the response contains no source for it.
fn read_disk(disk: &Json) -> Option<OsDisk> {
    let (id, uri) = (body::text(disk, "source.id"), body::text(disk, "source.uri"));
    let mut read = OsDisk { host_caching: word(disk, "hostCaching", CACHING), ..OsDisk::default() };
    match (uri, id) {
        (None, None) => return None,
        // older API versions return the storage account of a VHD as the source's ID
        (Some(uri), id) => {
            read.vhd_uri = Some(uri);
            read.storage_account_id = body::text(disk, "source.storageAccountId").or(id);
        }
        (None, Some(id)) if ResourceId::parse_as(&id, DISK).is_ok() => read.disk_id = Some(id),
        (None, id) => read.snapshot_id = id,
    }
    Some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: &str =
        "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.Compute";

    #[test]
    fn expand_and_flatten_round_trip() {
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
            assert_eq!(read(&expand(&source), None), Some(source));
        }
    }

    #[test]
    fn keeps_values_that_a_response_omits() {
        let known = Source { managed_image_id: Some("x".into()), ..Source::default() };
        assert_eq!(read(&json!({"osDiskImage": {"source": {}}}), Some(&known)), Some(known));
        let caching = |caching: &str| Some(caching.to_owned());
        let known = Source {
            os_disk: Some(OsDisk {
                disk_id: Some(format!("{S}/disks/d")),
                host_caching: caching("ReadOnly"),
                ..OsDisk::default()
            }),
            data_disk: Set(vec![DataDisk {
                lun: 1,
                disk_id: Some(format!("{S}/disks/e")),
                host_caching: caching("None"),
                ..DataDisk::default()
            }]),
            ..Source::default()
        };
        let os_disk = json!({"source": {"id": format!("{S}/disks/d")}});
        for data_disks in [
            Json::Null,
            json!([{"lun": 1, "source": {}}]),
            json!([{"lun": 1, "source": {"id": format!("{S}/disks/e")}}]),
        ] {
            let profile = json!({"osDiskImage": os_disk, "dataDiskImages": data_disks});
            assert_eq!(read(&profile, Some(&known)), Some(known.clone()), "{profile}");
        }
    }

    #[test]
    fn reads_caching_in_any_case() {
        let profile =
            json!({"osDiskImage": {"source": {"id": format!("{S}/disks/d")}, "hostCaching": "readonly"}});
        let os_disk = read(&profile, None).and_then(|source| source.os_disk).unwrap();
        assert_eq!(os_disk.host_caching.as_deref(), Some("ReadOnly"));
    }

    #[test]
    fn reads_the_storage_account_of_older_api_versions() {
        let profile = json!({"osDiskImage": {"source": {"uri": "https://v", "id": "/account"}}});
        let os_disk = read(&profile, None).and_then(|source| source.os_disk).unwrap();
        assert_eq!(
            (os_disk.vhd_uri.as_deref(), os_disk.storage_account_id.as_deref()),
            (Some("https://v"), Some("/account"))
        );
    }

    // In the first pass of validation, every variable of a module is unknown and may turn out to be null.
    #[test]
    fn unknown_values_pass_the_checks() {
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
            (ways(id(), id(), Unknown, none()), Some("more than one source")),
            (ways(Null, Null, Null, none()), Some("source is empty")),
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
            (disk(id(), id(), Unknown, Null), Some("exactly one source")),
            (disk(Null, Null, Null, Null), Some("exactly one source")),
        ];
        for (disk, says) in rows {
            assert_says(check_disk, &disk, says);
        }
    }

    fn assert_says(check: fn(&Value, &Path, &mut Diagnostics), value: &Value, says: Option<&str>) {
        let mut found = Diagnostics::new();
        check(value, &Path::root(), &mut found);
        let messages: Vec<String> = found.into_iter().map(|found| found.to_string()).collect();
        match says {
            Some(says) => {
                assert!(messages.iter().any(|message| message.contains(says)), "{value:?}: {messages:?}")
            }
            None => assert!(messages.is_empty(), "{value:?}: {messages:?}"),
        }
    }
}
