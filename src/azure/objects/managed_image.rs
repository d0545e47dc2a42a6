//! A managed image in the service's format, with its disks.

use serde_json::{Value as Json, json};

use super::definition::{GENERATIONS, OS_STATES, OS_TYPES};
use super::source::{DISK, DISK_ENCRYPTION_SET, SNAPSHOT};
use super::{CACHING, filled, provisioning_state, word};
use crate::azure::attributes::{check_uri, id_of};
use crate::azure::body;
use crate::azure::tags::{self, Tags};
use crate::model;
use crate::schema::spec::{optional, optional_computed, required};
use crate::schema::{Attribute, Set, Value};

const STORAGE_ACCOUNT_TYPES: &[&str] = &[
    "Standard_LRS",
    "StandardSSD_LRS",
    "StandardSSD_ZRS",
    "Premium_LRS",
    "Premium_ZRS",
    "PremiumV2_LRS",
    "UltraSSD_LRS",
];

/// A managed image. `None` means that the response does not contain the value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ManagedImage {
    /// Its name.
    pub name: String,
    /// Its region.
    pub location: Option<String>,
    /// `V1` or `V2`.
    pub hyper_v_generation: Option<String>,
    /// Whether it is stored in several zones.
    pub zone_resilient: Option<bool>,
    /// Its tags.
    pub tags: Tags,
    /// The state of the last operation.
    pub provisioning_state: Option<String>,
    /// The virtual machine it was captured from.
    pub source_virtual_machine_id: Option<String>,
    /// The operating system disk.
    pub os_disk: Option<OsDisk>,
    /// The data disks.
    pub data_disk: Set<DataDisk>,
}

model! {
    /// The operating system disk of an image of disks. Set exactly one of `managed_disk_id`, `snapshot_id` and
    /// `blob_uri`.
    pub struct OsDisk {
        /// The operating system on the disk.
        pub os_type: Option<String> = required().force_new().one_of(OS_TYPES),
        /// Whether the operating system is `Generalized` (prepared for new machines) or `Specialized`.
        pub os_state: Option<String> = required().force_new().one_of(OS_STATES),
        /// The ID of the managed disk to copy.
        pub managed_disk_id: Option<String> = id_of(optional(), DISK).force_new(),
        /// The ID of the snapshot to copy.
        pub snapshot_id: Option<String> = id_of(optional(), SNAPSHOT).force_new(),
        /// The URI of the VHD blob to copy.
        pub blob_uri: Option<String> = optional().force_new().check_text(check_uri),
        /// The storage type of disks made from the image. Defaults to that of the managed disk, and to `Standard_LRS` for
        /// other sources.
        pub storage_account_type: Option<String> = storage_account_type().force_new(),
        /// The host caching of disks made from the image. Defaults to `None`.
        pub caching: Option<String> = caching().force_new(),
        /// The size in GB. Defaults to the size of the source, and cannot be smaller.
        pub size_gb: Option<i64> = size_gb().force_new(),
        /// The ID of the disk encryption set that encrypts the image.
        pub disk_encryption_set_id: Option<String> = id_of(optional(), DISK_ENCRYPTION_SET).force_new(),
    }
}

model! {
    /// A data disk of the image. Set exactly one of `managed_disk_id`, `snapshot_id` and `blob_uri`.
    pub struct DataDisk {
        /// The logical unit number of the disk, unique in the image.
        pub lun: i64 = required().between(0, 63),
        /// The ID of the managed disk to copy.
        pub managed_disk_id: Option<String> = id_of(optional(), DISK),
        /// The ID of the snapshot to copy.
        pub snapshot_id: Option<String> = id_of(optional(), SNAPSHOT),
        /// The URI of the VHD blob to copy.
        pub blob_uri: Option<String> = optional().check_text(check_uri),
        /// The storage type of disks made from the image. Defaults to that of the managed disk, and to `Standard_LRS` for
        /// other sources.
        pub storage_account_type: Option<String> = storage_account_type(),
        /// The host caching of disks made from the image. Defaults to `None`.
        pub caching: Option<String> = caching(),
        /// The size in GB. Defaults to the size of the source, and cannot be smaller.
        pub size_gb: Option<i64> = size_gb(),
        /// The ID of the disk encryption set that encrypts the image.
        pub disk_encryption_set_id: Option<String> = id_of(optional(), DISK_ENCRYPTION_SET),
    }
}

// These are also computed, in the set as well: planning pairs the elements by LUN, so the service's choice stays known, and an
// import or a move from another provider plans no change for an omitted argument.

fn storage_account_type() -> Attribute {
    optional_computed().one_of(STORAGE_ACCOUNT_TYPES)
}

fn caching() -> Attribute {
    optional_computed().one_of(CACHING)
}

fn size_gb() -> Attribute {
    optional_computed().between(1, 65_536)
}

/// The key of a data disk within its set: its logical unit number.
pub fn disk_key(disk: &Value) -> Option<String> {
    disk.get("lun").as_i64().map(|lun| lun.to_string())
}

impl ManagedImage {
    /// Reads a response without a known state.
    pub fn read(image: &Json) -> ManagedImage {
        ManagedImage::read_over(image, None, None)
    }

    /// Reads a response. Properties of disks that it does not contain stay unchanged.
    pub fn read_over(
        image: &Json,
        os_disk: Option<&OsDisk>,
        data_disks: Option<&[DataDisk]>,
    ) -> ManagedImage {
        let storage = body::at(image, "properties.storageProfile").unwrap_or(&Json::Null);
        ManagedImage {
            name: body::text(image, "name").unwrap_or_default(),
            location: filled(image, "location"),
            hyper_v_generation: word(image, "properties.hyperVGeneration", GENERATIONS),
            zone_resilient: body::bool(storage, "zoneResilient"),
            tags: tags::all(image),
            provisioning_state: provisioning_state(image),
            source_virtual_machine_id: filled(image, "properties.sourceVirtualMachine.id"),
            os_disk: match body::at(storage, "osDisk") {
                Some(disk) => Some(read_os_disk(disk, os_disk)),
                None => os_disk.cloned(),
            },
            data_disk: match body::at(storage, "dataDisks") {
                Some(_) => {
                    let read = |disk| read_data_disk(disk, data_disks);
                    body::items(storage, "dataDisks").iter().filter_map(read).collect()
                }
                None => Set(data_disks.unwrap_or_default().to_vec()),
            },
        }
    }
}

fn read_os_disk(disk: &Json, known: Option<&OsDisk>) -> OsDisk {
    let old = known.cloned().unwrap_or_default();
    let [managed_disk_id, snapshot_id, blob_uri] =
        read_source(disk, known.map(|_| [old.managed_disk_id, old.snapshot_id, old.blob_uri]));
    OsDisk {
        os_type: word(disk, "osType", OS_TYPES).or(old.os_type),
        os_state: word(disk, "osState", OS_STATES).or(old.os_state),
        managed_disk_id,
        snapshot_id,
        blob_uri,
        storage_account_type: word(disk, "storageAccountType", STORAGE_ACCOUNT_TYPES)
            .or(old.storage_account_type),
        caching: word(disk, "caching", CACHING).or(old.caching),
        size_gb: body::int(disk, "diskSizeGB").or(old.size_gb),
        disk_encryption_set_id: read_encryption(disk, known.map(|_| old.disk_encryption_set_id)),
    }
}

fn read_data_disk(disk: &Json, known: Option<&[DataDisk]>) -> Option<DataDisk> {
    let lun = body::int(disk, "lun")?;
    let known = known.and_then(|known| known.iter().find(|known| known.lun == lun));
    let old = known.cloned().unwrap_or_default();
    let [managed_disk_id, snapshot_id, blob_uri] =
        read_source(disk, known.map(|_| [old.managed_disk_id, old.snapshot_id, old.blob_uri]));
    Some(DataDisk {
        lun,
        managed_disk_id,
        snapshot_id,
        blob_uri,
        storage_account_type: word(disk, "storageAccountType", STORAGE_ACCOUNT_TYPES)
            .or(old.storage_account_type),
        caching: word(disk, "caching", CACHING).or(old.caching),
        size_gb: body::int(disk, "diskSizeGB").or(old.size_gb),
        disk_encryption_set_id: read_encryption(disk, known.map(|_| old.disk_encryption_set_id)),
    })
}

// Managed disk, snapshot and blob: exactly one of them. The service may return several; the known one is kept.
fn read_source(disk: &Json, known: Option<[Option<String>; 3]>) -> [Option<String>; 3] {
    let mut reported = ["managedDisk.id", "snapshot.id", "blobUri"].map(|path| filled(disk, path));
    let known = known.unwrap_or_default();
    let kept = (0..3)
        .find(|way| known[*way].is_some() && reported[*way].is_some())
        .or_else(|| (0..3).find(|way| reported[*way].is_some()));
    let Some(kept) = kept else { return known };
    let mut source: [Option<String>; 3] = Default::default();
    source[kept] = reported[kept].take();
    source
}

// A disk can have its own encryption set. The state contains it only if the user set it, or after an import.
fn read_encryption(disk: &Json, known: Option<Option<String>>) -> Option<String> {
    match known {
        Some(None) => None,
        Some(known) => filled(disk, "diskEncryptionSet.id").or(known),
        None => filled(disk, "diskEncryptionSet.id"),
    }
}

/// The storage profile to send for an image of these disks.
pub fn expand(os_disk: &OsDisk, data_disks: &Set<DataDisk>) -> Json {
    let mut data_disks: Vec<&DataDisk> = data_disks.iter().collect();
    data_disks.sort_by_key(|disk| disk.lun);
    body::without_nulls(json!({
        "osDisk": {
            "osType": os_disk.os_type,
            "osState": os_disk.os_state,
            "managedDisk": reference(&os_disk.managed_disk_id),
            "snapshot": reference(&os_disk.snapshot_id),
            "blobUri": os_disk.blob_uri,
            "caching": os_disk.caching,
            "storageAccountType": os_disk.storage_account_type,
            "diskSizeGB": os_disk.size_gb,
            "diskEncryptionSet": reference(&os_disk.disk_encryption_set_id),
        },
        "dataDisks": data_disks.into_iter().map(|disk| json!({
            "lun": disk.lun,
            "managedDisk": reference(&disk.managed_disk_id),
            "snapshot": reference(&disk.snapshot_id),
            "blobUri": disk.blob_uri,
            "caching": disk.caching,
            "storageAccountType": disk.storage_account_type,
            "diskSizeGB": disk.size_gb,
            "diskEncryptionSet": reference(&disk.disk_encryption_set_id),
        })).collect::<Vec<_>>(),
    }))
}

fn reference(id: &Option<String>) -> Json {
    id.as_ref().map_or(Json::Null, |id| json!({"id": id}))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str =
        "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/resourceGroups/rg/providers/Microsoft.Compute";

    fn os_disk() -> OsDisk {
        OsDisk {
            os_type: Some("Linux".into()),
            os_state: Some("Generalized".into()),
            managed_disk_id: Some(format!("{ID}/disks/os")),
            caching: Some("None".into()),
            ..OsDisk::default()
        }
    }

    fn data_disk(lun: i64) -> DataDisk {
        DataDisk {
            lun,
            snapshot_id: Some(format!("{ID}/snapshots/d{lun}")),
            caching: Some("ReadOnly".into()),
            ..DataDisk::default()
        }
    }

    #[test]
    fn expand_and_flatten_round_trip() {
        let os = OsDisk {
            storage_account_type: Some("Premium_LRS".into()),
            size_gb: Some(64),
            disk_encryption_set_id: Some(format!("{ID}/diskEncryptionSets/d")),
            ..os_disk()
        };
        let data = Set(vec![
            data_disk(3),
            DataDisk { blob_uri: Some("https://a/b.vhd".into()), snapshot_id: None, ..data_disk(1) },
        ]);
        let profile = expand(&os, &data);
        assert_eq!(profile["osDisk"]["managedDisk"]["id"], json!(format!("{ID}/disks/os")));
        assert_eq!(profile["dataDisks"][0]["lun"], json!(1), "in the order of LUNs");
        assert!(profile["osDisk"].get("snapshot").is_none());
        let image = json!({"properties": {"storageProfile": profile}});
        for known in [None, Some(&os)] {
            let mut read = ManagedImage::read_over(&image, known, Some(&data));
            read.data_disk.reverse();
            assert_eq!((read.os_disk.as_ref(), &read.data_disk), (Some(&os), &data));
        }
    }

    #[test]
    fn keeps_the_known_source_and_adds_no_encryption() {
        let image = json!({"properties": {"storageProfile": {"osDisk": {
            "osType": "linux", "osState": "generalized", "diskSizeGB": 30, "managedDisk": {"id": "M"}, "blobUri": "https://b",
            "caching": "none", "storageAccountType": "standardssd_lrs", "diskEncryptionSet": {"id": "E"},
        }}}});
        let read = |known: Option<&OsDisk>| ManagedImage::read_over(&image, known, None).os_disk.unwrap();
        let known = OsDisk { blob_uri: Some("https://b".into()), managed_disk_id: None, ..os_disk() };
        let disk = read(Some(&known));
        assert_eq!((disk.blob_uri.as_deref(), disk.managed_disk_id.as_deref()), (Some("https://b"), None));
        assert_eq!((disk.os_type.as_deref(), disk.caching.as_deref()), (Some("Linux"), Some("None")));
        assert_eq!((disk.size_gb, disk.storage_account_type.as_deref()), (Some(30), Some("StandardSSD_LRS")));
        assert_eq!(disk.disk_encryption_set_id, None, "the user set none");
        let imported = read(None);
        assert_eq!((imported.managed_disk_id.as_deref(), imported.blob_uri), (Some("M"), None));
        assert_eq!(imported.disk_encryption_set_id.as_deref(), Some("E"));
        let drifted = OsDisk { snapshot_id: Some("S".into()), managed_disk_id: None, ..os_disk() };
        let disk = read(Some(&drifted));
        assert_eq!((disk.managed_disk_id.as_deref(), disk.snapshot_id), (Some("M"), None), "another source");
    }

    #[test]
    fn keeps_values_that_a_response_omits() {
        let (os, data) = (os_disk(), [data_disk(1)]);
        for profile in [json!(null), json!({}), json!({"osDisk": {}, "dataDisks": [{"lun": 1}]})] {
            let image = json!({"properties": {"storageProfile": profile}});
            let read = ManagedImage::read_over(&image, Some(&os), Some(&data));
            assert_eq!((read.os_disk.as_ref(), read.data_disk.as_slice()), (Some(&os), &data[..]), "{image}");
        }
    }
}
