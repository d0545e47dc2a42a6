//! The target regions of an image version: schema, request JSON and responses.

use serde_json::{Value as Json, json};

use super::source::{encryption_set, lun_key};
use super::word;
use crate::arm::region;
use crate::azure::attributes::check_location;
use crate::azure::body;
use crate::model;
use crate::schema::spec::{block, optional, required};
use crate::schema::{Diagnostics, Path, Set, Value};

/// The storage types of replicas.
pub const STORAGE_ACCOUNT_TYPES: &[&str] = &["Standard_LRS", "Premium_LRS", "Standard_ZRS", "PremiumV2_LRS"];

const ENCRYPTION_TYPES: &[&str] =
    &["EncryptedVMGuestStateOnlyWithPmk", "EncryptedWithPmk", "EncryptedWithCmk", "NonPersistedTPM"];

model! {
    /// A region that the version is replicated to.
    pub struct TargetRegion {
        /// The region, in any spelling.
        pub name: String = required().equivalent_if(region::same_region).check_text(check_location),
        /// The number of replicas in the region. One replica serves about twenty concurrent deployments.
        pub regional_replica_count: Option<i64> = optional().default(1).between(1, 100),
        /// The storage type of the replicas. The service cannot change it for an existing region, which keeps its type when
        /// this is omitted.
        pub storage_account_type: Option<String> =
            optional().default("Standard_LRS").one_of(STORAGE_ACCOUNT_TYPES),
        /// Whether this version is excluded when resolving `latest` in this region.
        pub exclude_from_latest: Option<bool> = optional().default(false),
        /// Encryption with customer-managed keys. The service cannot change it for an existing region.
        pub encryption: Option<Encryption> = block().check(check_encryption),
    }
}

model! {
    /// Encryption of a region's replicas with customer-managed keys.
    pub struct Encryption {
        /// The ID of the disk encryption set for the operating system disk.
        pub os_disk_encryption_set_id: Option<String> = encryption_set(optional()),
        /// The disk encryption set for a data disk.
        pub data_disk: Set<DataDiskEncryption> = block().key(lun_key),
        /// Encryption of images for confidential virtual machines.
        pub confidential_vm: Option<Confidential> = block().check(check_confidential),
    }
}

model! {
    /// The disk encryption set for a data disk.
    pub struct DataDiskEncryption {
        /// The logical unit number of the data disk.
        pub lun: i64 = required().between(0, 63),
        /// The ID of the disk encryption set.
        pub disk_encryption_set_id: String = encryption_set(required()),
    }
}

model! {
    /// Encryption of images for confidential virtual machines.
    pub struct Confidential {
        /// The encryption type: the encrypted disks, and the owner of the key.
        pub encryption_type: String = required().one_of(ENCRYPTION_TYPES),
        /// The ID of the disk encryption set for `EncryptedWithCmk`.
        pub secure_vm_disk_encryption_set_id: Option<String> = encryption_set(optional()),
    }
}

/// The key of a target region within its set: the normalised region name.
pub fn region_key(target: &Value) -> Option<String> {
    target.get("name").as_str().map(region::normalise)
}

/// Whether an `encryption` block is empty.
pub fn is_empty_encryption(value: &Value) -> bool {
    value.is_null()
        || value.get("os_disk_encryption_set_id").is_null()
            && value.get("data_disk").is_empty()
            && value.get("confidential_vm").is_null()
}

fn check_encryption(encryption: &Value, path: &Path, found: &mut Diagnostics) {
    if !encryption.get("data_disk").is_unknown() && is_empty_encryption(encryption) {
        found.error(
            path.clone(),
            "The encryption block is empty",
            "Set os_disk_encryption_set_id, data_disk or confidential_vm, or remove the block.",
        );
    }
}

fn check_confidential(confidential: &Value, path: &Path, found: &mut Diagnostics) {
    let set = confidential.get("secure_vm_disk_encryption_set_id");
    match confidential.get("encryption_type").as_str() {
        Some("EncryptedWithCmk") if set.is_null() => found.error(
            path.then("secure_vm_disk_encryption_set_id"),
            "secure_vm_disk_encryption_set_id is missing",
            "encryption_type = \"EncryptedWithCmk\" needs the disk encryption set with the customer-managed key.",
        ),
        Some(other) if other != "EncryptedWithCmk" && set.is_known() => found.error(
            path.then("secure_vm_disk_encryption_set_id"),
            "Unexpected secure_vm_disk_encryption_set_id",
            format!(
                "encryption_type = {other:?} uses a platform-managed key. Remove the disk encryption set, or set \
                 \"EncryptedWithCmk\"."
            ),
        ),
        _ => {}
    }
}

/// The target regions to send. Members of existing regions that this schema does not have are kept.
pub fn expand(targets: &[TargetRegion], current: &[Json]) -> Json {
    targets
        .iter()
        .map(|target| {
            let old = current.iter().find(|old| {
                body::text(old, "name").is_some_and(|name| region::same_region(&name, &target.name))
            });
            let mut region = old.cloned().unwrap_or_else(|| json!({"name": target.name}));
            region["regionalReplicaCount"] = json!(target.regional_replica_count);
            region["storageAccountType"] = json!(target.storage_account_type);
            if target.exclude_from_latest == Some(true) || body::at(&region, "excludeFromLatest").is_some() {
                region["excludeFromLatest"] = json!(target.exclude_from_latest == Some(true));
            }
            if let (Some(encryption), None) = (&target.encryption, old) {
                region["encryption"] = expand_encryption(encryption);
            }
            body::without_nulls(region)
        })
        .collect()
}

fn expand_encryption(encryption: &Encryption) -> Json {
    let confidential = encryption.confidential_vm.as_ref().map(|confidential| {
        json!({
            "confidentialVMEncryptionType": confidential.encryption_type,
            "secureVMDiskEncryptionSetId": confidential.secure_vm_disk_encryption_set_id,
        })
    });
    let mut body = json!({});
    if encryption.os_disk_encryption_set_id.is_some() || confidential.is_some() {
        body["osDiskImage"] = json!({
            "diskEncryptionSetId": encryption.os_disk_encryption_set_id,
            "securityProfile": confidential,
        });
    }
    if !encryption.data_disk.is_empty() {
        body["dataDiskImages"] = encryption
            .data_disk
            .iter()
            .map(|disk| json!({"lun": disk.lun, "diskEncryptionSetId": disk.disk_encryption_set_id}))
            .collect();
    }
    body
}

impl TargetRegion {
    /// The region with the service's defaults for unknown values.
    pub fn with_defaults(&self) -> TargetRegion {
        let mut region = self.clone();
        region.regional_replica_count.get_or_insert(1);
        region.storage_account_type.get_or_insert_with(|| "Standard_LRS".to_owned());
        region.exclude_from_latest.get_or_insert(false);
        region
    }
}

/// Reads the target regions in a version's publishing profile. Values that the response does not contain stay as in
/// `known`, except `excludeFromLatest`.
pub fn read(profile: &Json, known: &[TargetRegion]) -> Set<TargetRegion> {
    if body::at(profile, "targetRegions").is_none() {
        return Set(known.to_vec());
    }
    let read = |target: &Json| {
        let name = body::text(target, "name")?;
        let known = known.iter().find(|known| region::same_region(&known.name, &name));
        let known = known.cloned().unwrap_or_default();
        Some(TargetRegion {
            regional_replica_count: body::int(target, "regionalReplicaCount")
                .or(known.regional_replica_count),
            storage_account_type: word(target, "storageAccountType", STORAGE_ACCOUNT_TYPES)
                .or(known.storage_account_type),
            // the service returns this member only if it is true
            exclude_from_latest: body::bool(target, "excludeFromLatest"),
            encryption: match body::at(target, "encryption") {
                Some(encryption) => read_encryption(encryption),
                None => known.encryption,
            },
            name,
        })
    };
    body::items(profile, "targetRegions").iter().filter_map(read).collect()
}

fn read_encryption(body: &Json) -> Option<Encryption> {
    let text = |path: &str| body::text(body, path);
    let data_disk = |disk: &Json| {
        Some(DataDiskEncryption {
            lun: body::int(disk, "lun")?,
            disk_encryption_set_id: body::text(disk, "diskEncryptionSetId")?,
        })
    };
    let encryption_type = "osDiskImage.securityProfile.confidentialVMEncryptionType";
    let confidential = |encryption_type| Confidential {
        encryption_type,
        secure_vm_disk_encryption_set_id: text("osDiskImage.securityProfile.secureVMDiskEncryptionSetId"),
    };
    let encryption = Encryption {
        os_disk_encryption_set_id: text("osDiskImage.diskEncryptionSetId"),
        data_disk: body::items(body, "dataDiskImages").iter().filter_map(data_disk).collect(),
        confidential_vm: word(body, encryption_type, ENCRYPTION_TYPES).map(confidential),
    };
    (encryption != Encryption::default()).then_some(encryption)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encrypted() -> TargetRegion {
        let set = |name: &str| {
            format!("/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/diskEncryptionSets/{name}")
        };
        TargetRegion {
            name: "westeurope".into(),
            regional_replica_count: Some(3),
            storage_account_type: Some("Premium_LRS".into()),
            exclude_from_latest: Some(true),
            encryption: Some(Encryption {
                os_disk_encryption_set_id: Some(set("a")),
                data_disk: Set(vec![DataDiskEncryption { lun: 1, disk_encryption_set_id: set("b") }]),
                confidential_vm: Some(Confidential {
                    encryption_type: "EncryptedWithCmk".into(),
                    secure_vm_disk_encryption_set_id: Some(set("c")),
                }),
            }),
        }
    }

    #[test]
    fn expand_and_flatten_round_trip() {
        let sent = expand(&[encrypted()], &[]);
        assert_eq!(read(&json!({"targetRegions": sent}), &[]).0, [encrypted()]);
    }

    #[test]
    fn keeps_values_that_a_response_omits() {
        // a missing excludeFromLatest means false
        let named =
            |name: &str| TargetRegion { name: name.to_owned(), exclude_from_latest: None, ..encrypted() };
        assert_eq!(read(&json!({}), &[encrypted()]).0, [encrypted()]);
        let profile = json!({"targetRegions": [{"name": "West Europe"}, {"regionalReplicaCount": 2}]});
        assert_eq!(read(&profile, &[encrypted()]).0, [named("West Europe")]);
        let defaults = TargetRegion {
            name: "West Europe".into(),
            regional_replica_count: Some(1),
            storage_account_type: Some("Standard_LRS".into()),
            exclude_from_latest: Some(false),
            encryption: None,
        };
        assert_eq!(read(&profile, &[])[0].with_defaults(), defaults);
    }

    #[test]
    fn reads_enumerated_values_in_any_case() {
        let profile = json!({"targetRegions": [{"name": "x", "storageAccountType": "standard_zrs", "encryption": {
            "osDiskImage": {"securityProfile": {"confidentialVMEncryptionType": "encryptedwithpmk"}},
        }}]});
        let region = read(&profile, &[]).0.remove(0);
        assert_eq!(region.storage_account_type.as_deref(), Some("Standard_ZRS"));
        let confidential = region.encryption.and_then(|encryption| encryption.confidential_vm).unwrap();
        assert_eq!(confidential.encryption_type, "EncryptedWithPmk");
    }

    #[test]
    fn expand_keeps_members_outside_the_schema() {
        let current =
            [json!({"name": "West Europe", "additionalReplicaSets": [1], "regionalReplicaCount": 1})];
        let target = TargetRegion {
            name: "westeurope".into(),
            regional_replica_count: Some(2),
            ..TargetRegion::default()
        };
        let sent = expand(&[target], &current);
        assert_eq!(sent[0]["additionalReplicaSets"], json!([1]));
        assert_eq!(sent[0]["regionalReplicaCount"], json!(2));
        assert_eq!(sent[0]["name"], json!("West Europe"));
    }
}
