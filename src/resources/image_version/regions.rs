//! Target regions: a set keyed by region, changed in place; only what the service refuses on a region that stays replaces.

use serde_json::{Value as Json, json};

use super::source::{encryption_set, lun_key};
use crate::arm::region;
use crate::azure::attributes::check_location;
use crate::azure::body;
use crate::framework::Draft;
use crate::model;
use crate::schema::spec::{block, optional, required};
use crate::schema::{Diagnostics, Path, Set, Value};

model! {
    /// A region that the version is replicated to.
    pub struct TargetRegion {
        /// The region, in any spelling.
        pub name: String = required().equivalent_if(region::same_region).check_text(check_location),
        /// How many replicas the region holds; one serves about twenty machines that are made at once.
        pub regional_replica_count: Option<i64> = optional().default(1).between(1, 100),
        /// The storage that the replicas lie on. Cannot be changed for a region that stays, which keeps what it has when
        /// this is left out.
        pub storage_account_type: Option<String> = optional()
            .default("Standard_LRS")
            .one_of(&["Standard_LRS", "Premium_LRS", "Standard_ZRS", "PremiumV2_LRS"]),
        /// Whether the version is passed over in this region by who asks for the latest one.
        pub exclude_from_latest: Option<bool> = optional().default(false),
        /// Encryption with keys of one's own. Cannot be changed for a region that stays.
        pub encryption: Option<Encryption> = block().check(check_encryption),
    }
}

model! {
    /// Encryption of a region's replicas with keys of one's own.
    pub struct Encryption {
        /// The disk encryption set of the operating system disk.
        pub os_disk_encryption_set_id: Option<String> = encryption_set(optional()),
        /// The disk encryption set of a data disk.
        pub data_disk: Set<DataDiskEncryption> = block().key(lun_key),
        /// Encryption of images for confidential machines.
        pub confidential_vm: Option<Confidential> = block().check(check_confidential),
    }
}

model! {
    /// The disk encryption set of a data disk.
    pub struct DataDiskEncryption {
        /// The logical unit number of the data disk.
        pub lun: i64 = required().between(0, 63),
        /// The disk encryption set.
        pub disk_encryption_set_id: String = encryption_set(required()),
    }
}

model! {
    /// Encryption of images for confidential machines.
    pub struct Confidential {
        /// What is encrypted, and with whose keys.
        pub encryption_type: String = required().one_of(&[
            "EncryptedVMGuestStateOnlyWithPmk",
            "EncryptedWithPmk",
            "EncryptedWithCmk",
            "NonPersistedTPM",
        ]),
        /// The disk encryption set for `EncryptedWithCmk`.
        pub secure_vm_disk_encryption_set_id: Option<String> = encryption_set(optional()),
    }
}

/// What makes two target regions the same: the region.
pub fn region_key(target: &Value) -> Option<String> {
    target.get("name").as_str().map(region::normalise)
}

/// Objects to a dropped region that may not be dropped, and replaces where the service refuses a change.
pub fn prepare(draft: &mut Draft<'_>) {
    keep_storage(draft);
    let planned = draft.planned.get("target_region").clone();
    let prior = draft.prior.get("target_region").clone();
    if draft.is_create() || planned.is_unknown() || prior.elements().is_empty() {
        return;
    }
    let find =
        |key: &str| planned.elements().iter().find(|region| region_key(region).as_deref() == Some(key));
    // without any target region the version stays in its own
    let home = draft.prior.get("location").as_str().map(region::normalise);
    let stays = |key: &str| planned.is_empty() && home.as_deref() == Some(key);
    // a region whose name is not known yet may be any of those that seem dropped
    let all_named = planned.elements().iter().all(|region| region_key(region).is_some());
    let (mut dropped, mut refused) = (Vec::new(), Vec::new());
    for old in prior.elements() {
        let Some(key) = region_key(old) else { continue };
        let name = old.get("name").as_str().unwrap_or_default().to_owned();
        match find(&key) {
            None if all_named && !stays(&key) => dropped.push(name),
            None => {}
            Some(new) => {
                for attribute in ["storage_account_type", "encryption"] {
                    if !means_same(attribute, new.get(attribute), old.get(attribute)) {
                        refused.push(format!("{attribute} of {name}"));
                    }
                }
            }
        }
    }
    let path = Path::attribute("target_region");
    if !refused.is_empty() {
        draft.replace.push(path.clone());
        draft.diagnostics.warning(
            path.clone(),
            "The image version is replaced",
            format!(
                "The service changes no {} in place. To avoid the replacement, take the change back, or drop the \
                 region in one apply and add it anew in the next.",
                refused.join(" and no ")
            ),
        );
        return;
    }
    let allowed = draft.planned.get("allow_deletion_of_replicated_locations");
    if !dropped.is_empty() && allowed.as_bool() == Some(false) && !replaced_anyway(draft) {
        draft.diagnostics.error(
            path,
            format!("The plan drops the region {}", dropped.join(" and ")),
            "allow_deletion_of_replicated_locations is false, so the service would refuse. Put the region back, or set \
             it to true: both can be applied together.",
        );
    }
}

// A region that stays keeps its storage when the configuration is silent: the default is for new regions, and to hold it
// against what others made would replace a version that works.
fn keep_storage(draft: &mut Draft<'_>) {
    const STORAGE: &str = "storage_account_type";
    let Value::Set(mut regions) = draft.planned.get("target_region").clone() else { return };
    let (config, prior) = (draft.config.get("target_region"), draft.prior.get("target_region"));
    for region in &mut regions {
        let Some(key) = region_key(region) else { continue };
        let find = |set: &Value| {
            set.elements().iter().find(|other| region_key(other).as_ref() == Some(&key)).cloned()
        };
        if let (Some(written), Some(existing)) = (find(config), find(prior))
            && written.get(STORAGE).is_null()
            && existing.get(STORAGE).is_known()
        {
            region.set(STORAGE, existing.get(STORAGE).clone());
        }
    }
    draft.planned.set("target_region", Value::Set(regions));
}

// Dropping matters only for a version that stays.
fn replaced_anyway(draft: &Draft<'_>) -> bool {
    ["version", "image_definition_id", "location", "replication_mode", "source", "uefi_settings_json"]
        .iter()
        .any(|name| draft.changes(name))
}

fn means_same(attribute: &str, new: &Value, old: &Value) -> bool {
    attribute == "encryption" && is_empty_encryption(new) && is_empty_encryption(old) || new == old
}

fn is_empty_encryption(value: &Value) -> bool {
    value.is_null()
        || value.get("os_disk_encryption_set_id").is_null()
            && value.get("data_disk").is_empty()
            && value.get("confidential_vm").is_null()
}

/// Regions that stand twice, whatever their spelling.
pub fn check_duplicates(targets: &Value, found: &mut Diagnostics) {
    let mut seen: Vec<String> = Vec::new();
    for target in targets.elements() {
        if let Some(key) = region_key(target) {
            if seen.contains(&key) {
                let name = target.get("name").as_str().unwrap_or_default();
                found.error(
                    Path::attribute("target_region"),
                    format!("The region {name:?} is given twice"),
                    format!("Spelling aside, two target_region blocks name {key}: keep one of them."),
                );
            }
            seen.push(key);
        }
    }
}

fn check_encryption(encryption: &Value, path: &Path, found: &mut Diagnostics) {
    if !encryption.get("data_disk").is_unknown() && is_empty_encryption(encryption) {
        found.error(
            path.clone(),
            "The encryption block is empty",
            "Give os_disk_encryption_set_id, data_disk or confidential_vm, or remove the block.",
        );
    }
}

fn check_confidential(confidential: &Value, path: &Path, found: &mut Diagnostics) {
    let set = confidential.get("secure_vm_disk_encryption_set_id");
    match confidential.get("encryption_type").as_str() {
        Some("EncryptedWithCmk") if set.is_null() => found.error(
            path.then("secure_vm_disk_encryption_set_id"),
            "secure_vm_disk_encryption_set_id is missing",
            "encryption_type = \"EncryptedWithCmk\" needs the disk encryption set with the customer's key.",
        ),
        Some(other) if other != "EncryptedWithCmk" && set.is_known() => found.error(
            path.then("secure_vm_disk_encryption_set_id"),
            "secure_vm_disk_encryption_set_id does not go with the encryption type",
            format!("encryption_type = {other:?} uses the platform's key: remove the set, or choose \"EncryptedWithCmk\"."),
        ),
        _ => {}
    }
}

/// The target regions to send; what the service has beyond this schema is kept for regions that stay.
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

/// The target regions to send when the user leaves them to the service: the version's own, where it is told.
pub fn only_home(current: &[Json], location: Option<&str>) -> Json {
    let is_home = |target: &&Json| {
        location.zip(body::text(target, "name")).is_some_and(|(home, name)| region::same_region(home, &name))
    };
    match current.iter().find(is_home) {
        Some(home) => json!([home]),
        None => json!(current),
    }
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

/// The target regions in a version's publishing profile.
pub fn flatten(profile: &Json) -> Set<TargetRegion> {
    body::items(profile, "targetRegions")
        .iter()
        .map(|target| TargetRegion {
            name: body::text(target, "name").unwrap_or_default(),
            regional_replica_count: Some(body::int(target, "regionalReplicaCount").unwrap_or(1)),
            storage_account_type: Some(
                body::text(target, "storageAccountType").unwrap_or_else(|| "Standard_LRS".to_owned()),
            ),
            exclude_from_latest: Some(body::bool(target, "excludeFromLatest").unwrap_or_default()),
            encryption: body::at(target, "encryption").and_then(flatten_encryption),
        })
        .collect()
}

fn flatten_encryption(body: &Json) -> Option<Encryption> {
    let encryption = Encryption {
        os_disk_encryption_set_id: body::text(body, "osDiskImage.diskEncryptionSetId"),
        data_disk: body::items(body, "dataDiskImages")
            .iter()
            .filter_map(|disk| {
                Some(DataDiskEncryption {
                    lun: body::int(disk, "lun")?,
                    disk_encryption_set_id: body::text(disk, "diskEncryptionSetId")?,
                })
            })
            .collect(),
        confidential_vm: body::text(body, "osDiskImage.securityProfile.confidentialVMEncryptionType").map(
            |encryption_type| Confidential {
                encryption_type,
                secure_vm_disk_encryption_set_id: body::text(
                    body,
                    "osDiskImage.securityProfile.secureVMDiskEncryptionSetId",
                ),
            },
        ),
    };
    (encryption != Encryption::default()).then_some(encryption)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_come_back_as_they_went() {
        let set = |name: &str| {
            format!("/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/diskEncryptionSets/{name}")
        };
        let target = TargetRegion {
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
        };
        let sent = expand(std::slice::from_ref(&target), &[]);
        assert_eq!(flatten(&json!({"targetRegions": sent})).0, [target]);
    }

    #[test]
    fn a_region_that_stays_keeps_its_storage_unless_told_otherwise() {
        let set = |rows: &[(&str, Option<&str>)]| {
            Value::object([(
                "target_region",
                Value::Set(
                    rows.iter()
                        .map(|(name, storage)| {
                            Value::object([
                                ("name", Value::from(*name)),
                                ("storage_account_type", storage.map_or(Value::Null, Value::from)),
                            ])
                        })
                        .collect(),
                ),
            )])
        };
        let prior = set(&[("East US", Some("Standard_ZRS")), ("westus", Some("Standard_ZRS"))]);
        let config = set(&[("eastus", None), ("westus", Some("Premium_LRS")), ("northeurope", None)]);
        let lrs = Some("Standard_LRS");
        let mut draft = Draft {
            config: &config,
            prior: &prior,
            planned: set(&[("East US", lrs), ("westus", Some("Premium_LRS")), ("northeurope", lrs)]),
            replace: Vec::new(),
            diagnostics: Diagnostics::new(),
        };
        prepare(&mut draft);
        let wanted =
            set(&[("East US", Some("Standard_ZRS")), ("westus", Some("Premium_LRS")), ("northeurope", lrs)]);
        assert_eq!(draft.planned, wanted);
        assert_eq!(draft.replace, [Path::attribute("target_region")], "westus was told otherwise");
    }

    #[test]
    fn what_is_not_ours_is_kept() {
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
