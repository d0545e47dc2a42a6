//! Disks that a managed image is made of: what may be written, what is sent, and what the service says of them.

use serde_json::{Value as Json, json};

use crate::arm::{Target, region};
use crate::azure::attributes::{check_uri, id_of};
use crate::azure::context::scope;
use crate::azure::{Context, DISK_API, body};
use crate::framework::{Draft, Op};
use crate::model;
use crate::schema::spec::{optional, optional_computed, required};
use crate::schema::{Attribute, Diagnostics, Path, Set, Value};

const DISK: &str = "Microsoft.Compute/disks";
const SNAPSHOT: &str = "Microsoft.Compute/snapshots";
const DISK_ENCRYPTION_SET: &str = "Microsoft.Compute/diskEncryptionSets";

model! {
    /// The operating system disk of the image, when it is made of disks. Exactly one of `managed_disk_id`,
    /// `snapshot_id` and `blob_uri` names its bits.
    pub struct OsDisk {
        /// The operating system on the disk.
        pub os_type: String = required().force_new().one_of(&["Linux", "Windows"]),
        /// Whether the operating system was generalized, that is, stripped of what belongs to one machine only.
        pub os_state: String = required().force_new().one_of(&["Generalized", "Specialized"]),
        /// The id of the managed disk that holds the bits.
        pub managed_disk_id: Option<String> = id_of(optional(), DISK).force_new(),
        /// The id of the snapshot that holds the bits.
        pub snapshot_id: Option<String> = id_of(optional(), SNAPSHOT).force_new(),
        /// The address of the VHD blob that holds the bits.
        pub blob_uri: Option<String> = optional().force_new().check_text(check_uri),
        /// The sort of storage that disks made from the image have. The service's choice unless set: that of the
        /// managed disk, else `Standard_LRS`.
        pub storage_account_type: Option<String> = storage_account_type().force_new(),
        /// How the host caches disks made from the image. `None` unless set.
        pub caching: Option<String> = caching().force_new(),
        /// The size in GB. That of the source unless set; it can be made larger, but not smaller.
        pub size_gb: Option<i64> = size_gb().force_new(),
        /// The id of the disk encryption set that encrypts the image.
        pub disk_encryption_set_id: Option<String> = id_of(optional(), DISK_ENCRYPTION_SET).force_new(),
    }
}

model! {
    /// A data disk of the image. Exactly one of `managed_disk_id`, `snapshot_id` and `blob_uri` names its bits.
    pub struct DataDisk {
        /// The logical unit number, by which machines made from the image see the disk. No two disks share one.
        pub lun: i64 = required().between(0, 63),
        /// The id of the managed disk that holds the bits.
        pub managed_disk_id: Option<String> = id_of(optional(), DISK),
        /// The id of the snapshot that holds the bits.
        pub snapshot_id: Option<String> = id_of(optional(), SNAPSHOT),
        /// The address of the VHD blob that holds the bits.
        pub blob_uri: Option<String> = optional().check_text(check_uri),
        /// The sort of storage that disks made from the image have. The service's choice unless set: that of the
        /// managed disk, else `Standard_LRS`.
        pub storage_account_type: Option<String> = storage_account_type(),
        /// How the host caches disks made from the image. `None` unless set.
        pub caching: Option<String> = caching(),
        /// The size in GB. That of the source unless set; it can be made larger, but not smaller.
        pub size_gb: Option<i64> = size_gb(),
        /// The id of the disk encryption set that encrypts the image.
        pub disk_encryption_set_id: Option<String> = id_of(optional(), DISK_ENCRYPTION_SET),
    }
}

// The following are computed too, in the set as well: planning pairs its elements by lun, so what the service chose
// stays known, and neither an import nor a move from another provider makes a difference out of silence.

fn storage_account_type() -> Attribute {
    optional_computed().one_of(&[
        "Standard_LRS",
        "StandardSSD_LRS",
        "StandardSSD_ZRS",
        "Premium_LRS",
        "Premium_ZRS",
        "PremiumV2_LRS",
        "UltraSSD_LRS",
    ])
}

fn caching() -> Attribute {
    optional_computed().one_of(&["None", "ReadOnly", "ReadWrite"])
}

fn size_gb() -> Attribute {
    optional_computed().between(1, 65_536)
}

/// What makes two data disks the same.
pub fn key(disk: &Value) -> Option<String> {
    disk.get("lun").as_i64().map(|lun| lun.to_string())
}

/// Plans `caching` where nobody has said anything of it.
pub fn prepare(draft: &mut Draft<'_>) {
    let silent = |mut disk: Value| {
        if disk.is_known() && disk.get("caching").is_null() {
            disk.set("caching", "None".into());
        }
        disk
    };
    let os_disk = silent(draft.planned.get("os_disk").clone());
    draft.planned.set("os_disk", os_disk);
    if let Value::Set(disks) = draft.planned.get("data_disk").clone() {
        draft.planned.set("data_disk", Value::Set(disks.into_iter().map(silent).collect()));
    }
}

/// One disk has one source.
pub fn check_sources(disk: &Value, path: &Path, found: &mut Diagnostics) {
    const SOURCES: [&str; 3] = ["managed_disk_id", "snapshot_id", "blob_uri"];
    if !disk.is_known() {
        return;
    }
    let given: Vec<&str> = SOURCES.into_iter().filter(|name| disk.get(name).is_known()).collect();
    let open = SOURCES.iter().any(|name| disk.get(name).is_unknown());
    match given.as_slice() {
        [] if !open => found.error(
            path.clone(),
            format!("{path} has no source"),
            "Name its bits by one of managed_disk_id, snapshot_id and blob_uri.",
        ),
        [] | [_] => {}
        [_, extra, ..] => found.error(
            path.then(*extra),
            format!("{path} has more than one source"),
            format!("{} are given; keep one of them.", given.join(" and ")),
        ),
    }
}

/// No two data disks share a logical unit number.
pub fn check_luns(disks: &Value, found: &mut Diagnostics) {
    let mut seen = Vec::new();
    for lun in disks.elements().iter().filter_map(|disk| disk.get("lun").as_i64()) {
        if seen.contains(&lun) {
            found.error(
                Path::attribute("data_disk"),
                format!("Two data disks have lun {lun}"),
                "Give each data_disk block a lun of its own.",
            );
        }
        seen.push(lun);
    }
}

/// Compares, when an image is planned, the disk with the operating system to what is said of it, where it can be read.
pub async fn check(context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
    let os_disk = draft.planned.get("os_disk");
    let source = ["managed_disk_id", "snapshot_id"].into_iter().find_map(|name| os_disk.get(name).as_str());
    let Some(id) = source else {
        return;
    };
    let scope = scope(op, format!("looking at {id}"));
    // it may come to be in the same run
    match context.client.get_opt(&scope, &Target::new(id.trim_end_matches('/'), DISK_API)).await {
        Ok(Some(disk)) => compare(&disk, id, &draft.planned, found),
        Ok(None) => {}
        Err(error) => tracing::debug!(%error, "the disk of the image cannot be read while planning"),
    }
}

// The region is certain to be refused; of the rest the service believes what it is told, and machines pay for it.
fn compare(disk: &Json, id: &str, planned: &Value, found: &mut Diagnostics) {
    let name = id.rsplit('/').next().unwrap_or(id);
    if let (Some(wanted), Some(has)) = (planned.get("location").as_str(), body::text(disk, "location"))
        && !region::same_region(wanted, &has)
    {
        found.error(
            Path::attribute("location"),
            format!("The disk {name:?} is in {has}"),
            format!("A managed image is made in the region of its disks, and {wanted:?} is another. Set location = {has:?}."),
        );
    }
    let rows = [
        (
            "hyperVGeneration",
            Path::attribute("hyper_v_generation"),
            planned.get("hyper_v_generation"),
            "generation",
        ),
        (
            "osType",
            Path::attribute("os_disk").then("os_type"),
            planned.get("os_disk").get("os_type"),
            "operating system",
        ),
    ];
    for (property, path, wanted, what) in rows {
        if let (Some(wanted), Some(has)) =
            (wanted.as_str(), body::text(disk, &format!("properties.{property}")))
            && !wanted.eq_ignore_ascii_case(&has)
        {
            let summary = format!("The disk {name:?} has {what} {has}, and the image {wanted}");
            let detail = format!(
                "Virtual machines made from the image may not start, and image versions made of it may be refused. Set {path} = {has:?}."
            );
            found.warning(path, summary, detail);
        }
    }
}

/// The storage profile of an image made of these disks.
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

/// The operating system disk that the service tells of; `known` is what was said of it before.
pub fn flatten_os_disk(image: &Json, known: Option<&OsDisk>) -> Option<OsDisk> {
    let disk = body::at(image, "properties.storageProfile.osDisk")?;
    let old = known.cloned().unwrap_or_default();
    let source = Source::of(disk, known.map(|old| [&old.managed_disk_id, &old.snapshot_id, &old.blob_uri]));
    Some(OsDisk {
        os_type: body::text(disk, "osType").unwrap_or(old.os_type),
        os_state: body::text(disk, "osState").unwrap_or(old.os_state),
        managed_disk_id: source.managed_disk_id,
        snapshot_id: source.snapshot_id,
        blob_uri: source.blob_uri,
        storage_account_type: body::text(disk, "storageAccountType").or(old.storage_account_type),
        caching: body::text(disk, "caching").or(old.caching),
        size_gb: body::int(disk, "diskSizeGB").or(old.size_gb),
        disk_encryption_set_id: encryption(disk, known.map(|old| &old.disk_encryption_set_id)),
    })
}

/// The data disks that the service tells of; `known` are those that were said before.
pub fn flatten_data_disks(image: &Json, known: &Set<DataDisk>) -> Set<DataDisk> {
    body::items(image, "properties.storageProfile.dataDisks")
        .iter()
        .filter_map(|disk| {
            let lun = body::int(disk, "lun")?;
            let known = known.iter().find(|known| known.lun == lun);
            let old = known.cloned().unwrap_or_default();
            let source =
                Source::of(disk, known.map(|old| [&old.managed_disk_id, &old.snapshot_id, &old.blob_uri]));
            Some(DataDisk {
                lun,
                managed_disk_id: source.managed_disk_id,
                snapshot_id: source.snapshot_id,
                blob_uri: source.blob_uri,
                storage_account_type: body::text(disk, "storageAccountType").or(old.storage_account_type),
                caching: body::text(disk, "caching").or(old.caching),
                size_gb: body::int(disk, "diskSizeGB").or(old.size_gb),
                disk_encryption_set_id: encryption(disk, known.map(|old| &old.disk_encryption_set_id)),
            })
        })
        .collect()
}

// Where the bits of a disk come from, in one way only.
#[derive(Default)]
struct Source {
    managed_disk_id: Option<String>,
    snapshot_id: Option<String>,
    blob_uri: Option<String>,
}

impl Source {
    // The way that is known already, when the service still tells it; else the first that it tells; else what is known.
    fn of(disk: &Json, known: Option<[&Option<String>; 3]>) -> Source {
        let told = [
            body::text(disk, "managedDisk.id"),
            body::text(disk, "snapshot.id"),
            body::text(disk, "blobUri"),
        ];
        let way = known
            .and_then(|known| (0..3).find(|way| known[*way].is_some() && told[*way].is_some()))
            .or_else(|| (0..3).find(|way| told[*way].is_some()));
        let mut ways: [Option<String>; 3] = Default::default();
        match (way, known) {
            (Some(way), _) => ways[way] = told[way].clone(),
            (None, Some(known)) => ways = known.map(Option::clone),
            (None, None) => {}
        }
        let [managed_disk_id, snapshot_id, blob_uri] = ways;
        Source { managed_disk_id, snapshot_id, blob_uri }
    }
}

// A disk may bring its own encryption set along: only what the user named is the user's.
fn encryption(disk: &Json, known: Option<&Option<String>>) -> Option<String> {
    match known {
        Some(None) => None,
        _ => body::text(disk, "diskEncryptionSet.id"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Slot;

    const ID: &str =
        "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/resourceGroups/rg/providers/Microsoft.Compute";

    fn os_disk() -> OsDisk {
        OsDisk {
            os_type: "Linux".into(),
            os_state: "Generalized".into(),
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
    fn what_is_sent_comes_back() {
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
        assert_eq!(profile["osDisk"]["diskSizeGB"], json!(64));
        assert_eq!(profile["dataDisks"][0]["lun"], json!(1), "in the order of luns");
        assert!(profile["osDisk"].get("snapshot").is_none());
        let image = json!({"properties": {"storageProfile": profile}});
        assert_eq!(flatten_os_disk(&image, None), Some(os.clone()));
        assert_eq!(flatten_os_disk(&image, Some(&os)), Some(os));
        let mut back = flatten_data_disks(&image, &data);
        back.reverse();
        assert_eq!(back, data);
    }

    #[test]
    fn the_service_fills_in_and_adds_nothing_of_its_own() {
        let image = json!({"properties": {"storageProfile": {
            "osDisk": {"osType": "Linux", "osState": "Generalized", "diskSizeGB": 30, "managedDisk": {"id": "M"}, "blobUri": "https://b",
                "caching": "None", "storageAccountType": "StandardSSD_LRS", "diskEncryptionSet": {"id": "E"}},
            "dataDisks": []}}});
        let known = OsDisk { blob_uri: Some("https://b".into()), managed_disk_id: None, ..os_disk() };
        let read = flatten_os_disk(&image, Some(&known)).unwrap();
        assert_eq!(
            (read.blob_uri.as_deref(), read.managed_disk_id),
            (Some("https://b"), None),
            "the way that is known stays"
        );
        assert_eq!(read.size_gb, Some(30));
        assert_eq!(read.storage_account_type.as_deref(), Some("StandardSSD_LRS"));
        assert_eq!(read.disk_encryption_set_id, None, "nobody named one");
        let imported = flatten_os_disk(&image, None).unwrap();
        assert_eq!(
            (imported.managed_disk_id.as_deref(), imported.blob_uri),
            (Some("M"), None),
            "one way only"
        );
        assert_eq!(imported.disk_encryption_set_id.as_deref(), Some("E"));
        let drifted = OsDisk { snapshot_id: Some("S".into()), managed_disk_id: None, ..os_disk() };
        let read = flatten_os_disk(&image, Some(&drifted)).unwrap();
        assert_eq!(
            (read.managed_disk_id.as_deref(), read.snapshot_id),
            (Some("M"), None),
            "another source is told"
        );
    }

    #[test]
    fn compares_with_the_disk() {
        let planned = Value::object([
            ("location", "West Europe".into()),
            ("hyper_v_generation", "V1".into()),
            ("os_disk", os_disk().encode()),
        ]);
        let rows = [
            (
                json!({"location": "westeurope", "properties": {"hyperVGeneration": "V1", "osType": "linux"}}),
                "",
            ),
            (json!({}), ""),
            (json!({"location": "eastus"}), "error: The disk \"os\" is in eastus (at location)"),
            (json!({"properties": {"hyperVGeneration": "V2"}}), "Set hyper_v_generation = \"V2\"."),
            (json!({"properties": {"osType": "Windows"}}), "Set os_disk.os_type = \"Windows\"."),
        ];
        for (disk, told) in rows {
            let mut found = Diagnostics::new();
            compare(&disk, &format!("{ID}/disks/os"), &planned, &mut found);
            let text = found.0.iter().map(ToString::to_string).collect::<String>();
            if told.is_empty() { assert_eq!(text, "") } else { assert!(text.contains(told), "{text}") }
        }
    }

    #[test]
    fn checks() {
        let disk = |fields: &[(&'static str, Value)]| {
            let mut disk = DataDisk { lun: 1, ..DataDisk::default() }.encode();
            for (name, value) in fields {
                disk.set(name, value.clone());
            }
            disk
        };
        let rows: &[(&[(&'static str, Value)], usize)] = &[
            (&[], 1),
            (&[("managed_disk_id", "m".into())], 0),
            (&[("managed_disk_id", "m".into()), ("blob_uri", "b".into())], 1),
            (&[("managed_disk_id", "m".into()), ("blob_uri", Value::Unknown)], 0),
            (&[("snapshot_id", Value::Unknown)], 0),
        ];
        for (fields, errors) in rows {
            let mut found = Diagnostics::new();
            check_sources(&disk(fields), &Path::attribute("os_disk"), &mut found);
            assert_eq!(found.0.len(), *errors, "{fields:?}");
        }
        let mut found = Diagnostics::new();
        check_luns(
            &Value::Set(vec![disk(&[]), disk(&[("lun", Value::Unknown)]), disk(&[("lun", 2.into())])]),
            &mut found,
        );
        assert!(found.0.is_empty());
        check_luns(&Value::Set(vec![disk(&[]), disk(&[("blob_uri", "b".into())])]), &mut found);
        assert_eq!(found.0.len(), 1);
    }
}
