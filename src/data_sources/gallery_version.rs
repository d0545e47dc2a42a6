//! An image version as the service describes it: what choosing needs, and what data sources show.

use serde_json::Value as Json;

use crate::arm::{ResourceId, Target, id, region};
use crate::azure::attributes::instant;
use crate::azure::context::scope;
use crate::azure::replication::Replication;
use crate::azure::{Context, GALLERY_API, body, fault, tags};
use crate::framework::Op;
use crate::image::{Candidate, RegionState};
use crate::model;
use crate::schema::spec::computed;
use crate::schema::{Diagnostic, Diagnostics, Path, Set};

use super::finding::{self, absent};

model! {
    /// A region that the version is replicated to.
    pub struct TargetRegion {
        /// The region.
        pub name: String = computed(),
        /// How many replicas the region holds.
        pub regional_replica_count: i64 = computed(),
        /// The storage that the replicas lie on.
        pub storage_account_type: Option<String> = computed(),
        /// Whether the version is passed over in this region by who asks for the latest one.
        pub exclude_from_latest: bool = computed(),
        /// Encryption with keys of one's own; null when there is none.
        pub encryption: Option<Encryption> = computed(),
    }
}

model! {
    /// Encryption of a region's replicas with keys of one's own.
    pub struct Encryption {
        /// The disk encryption set of the operating system disk.
        pub os_disk_encryption_set_id: Option<String> = computed(),
        /// The disk encryption sets of data disks.
        pub data_disk: Set<DataDiskEncryption> = computed(),
        /// Encryption of images for confidential machines.
        pub confidential_vm: Option<Confidential> = computed(),
    }
}

model! {
    /// The disk encryption set of a data disk.
    pub struct DataDiskEncryption {
        /// The data disk.
        pub lun: i64 = computed(),
        /// The disk encryption set.
        pub disk_encryption_set_id: String = computed(),
    }
}

model! {
    /// Encryption of images for confidential machines.
    pub struct Confidential {
        /// What is encrypted, and with whose key.
        pub encryption_type: String = computed(),
        /// The disk encryption set that holds the key.
        pub secure_vm_disk_encryption_set_id: Option<String> = computed(),
    }
}

model! {
    /// Where the bits of a version came from, in one way.
    pub struct Source {
        /// The id of a managed image.
        pub managed_image_id: Option<String> = computed(),
        /// The id of a virtual machine.
        pub virtual_machine_id: Option<String> = computed(),
        /// The id of another image version.
        pub image_version_id: Option<String> = computed(),
        /// The id of an image in a community gallery.
        pub community_image_id: Option<String> = computed(),
        /// The operating system disk, when the version was made of disks.
        pub os_disk: Option<OsDisk> = computed(),
        /// The data disks, when the version was made of disks.
        pub data_disk: Set<DataDisk> = computed(),
    }
}

model! {
    /// The operating system disk that a version was made of.
    pub struct OsDisk {
        /// The id of a snapshot.
        pub snapshot_id: Option<String> = computed(),
        /// The id of a managed disk.
        pub disk_id: Option<String> = computed(),
        /// The address of a VHD in a blob.
        pub vhd_uri: Option<String> = computed(),
        /// The storage account that the VHD is in.
        pub storage_account_id: Option<String> = computed(),
        /// How machines cache the disk.
        pub host_caching: Option<String> = computed(),
    }
}

model! {
    /// A data disk that a version was made of.
    pub struct DataDisk {
        /// The logical unit number.
        pub lun: i64 = computed(),
        /// The id of a snapshot.
        pub snapshot_id: Option<String> = computed(),
        /// The id of a managed disk.
        pub disk_id: Option<String> = computed(),
        /// The address of a VHD in a blob.
        pub vhd_uri: Option<String> = computed(),
        /// The storage account that the VHD is in.
        pub storage_account_id: Option<String> = computed(),
        /// How machines cache the disk.
        pub host_caching: Option<String> = computed(),
    }
}

/// What choosing needs to know of a version.
pub fn candidate(version: &Json) -> Candidate {
    let profile = "properties.publishingProfile";
    let replication = Replication::parse(version);
    let state_in = |name: &str| {
        let told = replication.regions.get(&region::normalise(name));
        told.map(|told| told.state).unwrap_or_default().as_str().to_owned()
    };
    let regions = body::items(version, &format!("{profile}.targetRegions"))
        .iter()
        .filter_map(|target| {
            let name = body::text(target, "name")?;
            let state = RegionState {
                excluded: body::bool(target, "excludeFromLatest"),
                state: replication.reported.then(|| state_in(&name)),
            };
            Some((name, state))
        })
        .collect();
    Candidate {
        version: body::text(version, "name").unwrap_or_default(),
        excluded_globally: body::bool(version, &format!("{profile}.excludeFromLatest")).unwrap_or_default(),
        regions,
        provisioning_state: body::text(version, "properties.provisioningState").unwrap_or_default(),
        end_of_life_date: body::text(version, &format!("{profile}.endOfLifeDate"))
            .as_deref()
            .and_then(instant),
        tags: tags::all(version),
    }
}

/// The regions that a version is replicated to.
pub fn target_regions(version: &Json) -> Set<TargetRegion> {
    body::items(version, "properties.publishingProfile.targetRegions")
        .iter()
        .map(|target| TargetRegion {
            name: body::text(target, "name").unwrap_or_default(),
            regional_replica_count: body::int(target, "regionalReplicaCount").unwrap_or(1),
            storage_account_type: body::text(target, "storageAccountType"),
            exclude_from_latest: body::bool(target, "excludeFromLatest").unwrap_or_default(),
            encryption: body::at(target, "encryption").and_then(encryption),
        })
        .collect()
}

fn encryption(body: &Json) -> Option<Encryption> {
    let text = |path: &str| body::text(body, path);
    let encryption = Encryption {
        os_disk_encryption_set_id: text("osDiskImage.diskEncryptionSetId"),
        data_disk: body::items(body, "dataDiskImages")
            .iter()
            .filter_map(|disk| {
                let disk_encryption_set_id = body::text(disk, "diskEncryptionSetId")?;
                Some(DataDiskEncryption { lun: body::int(disk, "lun")?, disk_encryption_set_id })
            })
            .collect(),
        confidential_vm: text("osDiskImage.securityProfile.confidentialVMEncryptionType").map(
            |encryption_type| Confidential {
                encryption_type,
                secure_vm_disk_encryption_set_id: text(
                    "osDiskImage.securityProfile.secureVMDiskEncryptionSetId",
                ),
            },
        ),
    };
    (encryption != Encryption::default()).then_some(encryption)
}

/// Where the bits of a version came from; `None` when the service does not tell any more.
pub fn source(version: &Json) -> Option<Source> {
    let storage = body::at(version, "properties.storageProfile")?;
    let text = |path: &str| body::text(storage, path);
    let whole = text("source.id");
    let is = |kind| whole.as_deref().is_some_and(|id| ResourceId::parse_as(id, kind).is_ok());
    let (machine, other_version) = (is(id::VIRTUAL_MACHINE), is(id::IMAGE_VERSION));
    let made_of = |disk: &Json| {
        let (id, uri) = (body::text(disk, "source.id"), body::text(disk, "source.uri"));
        // older API versions call the storage account of a VHD its id
        let account =
            uri.as_ref().and_then(|_| body::text(disk, "source.storageAccountId").or_else(|| id.clone()));
        let disk_id = id.filter(|_| uri.is_none());
        let is_disk =
            disk_id.as_deref().is_some_and(|id| ResourceId::parse_as(id, "Microsoft.Compute/disks").is_ok());
        let (disk_id, snapshot_id) = if is_disk { (disk_id, None) } else { (None, disk_id) };
        let host_caching = body::text(disk, "hostCaching");
        (snapshot_id.is_some() || disk_id.is_some() || uri.is_some()).then_some(OsDisk {
            snapshot_id,
            disk_id,
            vhd_uri: uri,
            storage_account_id: account,
            host_caching,
        })
    };
    let source = Source {
        virtual_machine_id: text("source.virtualMachineId").or_else(|| whole.clone().filter(|_| machine)),
        community_image_id: text("source.communityGalleryImageId"),
        image_version_id: whole.clone().filter(|_| other_version),
        managed_image_id: whole.filter(|_| !machine && !other_version),
        os_disk: body::at(storage, "osDiskImage").and_then(made_of),
        data_disk: body::items(storage, "dataDiskImages")
            .iter()
            .filter_map(|disk| {
                let OsDisk { snapshot_id, disk_id, vhd_uri, storage_account_id, host_caching } =
                    made_of(disk)?;
                Some(DataDisk {
                    lun: body::int(disk, "lun")?,
                    snapshot_id,
                    disk_id,
                    vhd_uri,
                    storage_account_id,
                    host_caching,
                })
            })
            .collect(),
    };
    (source != Source::default()).then_some(source)
}

/// Every version of the image definition that the attribute `image_definition_id` names, page by page.
pub async fn list(context: &Context, op: &Op, definition: &ResourceId) -> Result<Vec<Json>, Diagnostics> {
    let scope = scope(op, format!("listing versions of image definition {:?}", definition.name()));
    match context.client.list(&scope, &versions(definition)).await {
        Ok(versions) => Ok(versions),
        Err(error) if error.is_not_found() => {
            let gallery = definition.parent().map(|gallery| gallery.to_string()).unwrap_or_default();
            let siblings = Target::new(format!("{gallery}/images"), GALLERY_API);
            let names = finding::names(context, &scope, &siblings).await;
            Err(absent(
                format!("There is no image definition {:?}", definition.name()),
                Path::attribute("image_definition_id"),
                definition.name(),
                &names,
                &format!("The gallery {gallery}"),
            )
            .into())
        }
        Err(error) => Err(fault::diagnostic(&error, scope.what(), &definition.to_string()).into()),
    }
}

/// Where the versions of `definition` are.
pub fn versions(definition: &ResourceId) -> Target {
    Target::new(format!("{definition}/versions"), GALLERY_API)
}

/// The id that the attribute `image_definition_id` holds.
pub fn definition(id: &str) -> Result<ResourceId, Diagnostic> {
    ResourceId::parse_as(id, id::IMAGE_DEFINITION).map_err(|error| {
        Diagnostic::error("image_definition_id cannot be read", error.to_string())
            .at(Path::attribute("image_definition_id"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COMPUTE: &str = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute";

    #[test]
    fn each_source_is_told_by_its_kind() {
        let id = |path: &str| format!("{COMPUTE}/{path}");
        let of = |storage: Json| source(&json!({"properties": {"storageProfile": storage}}));
        let machine = of(json!({"source": {"virtualMachineId": id("virtualMachines/v")}})).unwrap();
        assert_eq!(machine.virtual_machine_id, Some(id("virtualMachines/v")));
        let machine = of(json!({"source": {"id": id("virtualMachines/v")}})).unwrap();
        assert_eq!(
            (machine.virtual_machine_id, machine.managed_image_id),
            (Some(id("virtualMachines/v")), None)
        );
        let image =
            of(json!({"source": {"id": id("images/i")}, "osDiskImage": {"sizeInGB": 30, "source": {}}}))
                .unwrap();
        assert_eq!((image.managed_image_id, image.os_disk), (Some(id("images/i")), None));
        let version = of(json!({"source": {"id": id("galleries/g/images/i/versions/1.0.0")}})).unwrap();
        assert_eq!(version.image_version_id, Some(id("galleries/g/images/i/versions/1.0.0")));
        let disks = of(json!({
            "osDiskImage": {"hostCaching": "ReadWrite", "source": {"id": id("snapshots/s")}},
            "dataDiskImages": [
                {"lun": 1, "source": {"id": id("disks/d")}},
                {"lun": 2, "source": {"uri": "https://v", "id": "/account"}},
            ],
        }))
        .unwrap();
        assert_eq!(disks.os_disk.unwrap().snapshot_id, Some(id("snapshots/s")));
        assert_eq!(disks.data_disk[0].disk_id, Some(id("disks/d")));
        assert_eq!(
            (disks.data_disk[1].vhd_uri.as_deref(), disks.data_disk[1].storage_account_id.as_deref()),
            (Some("https://v"), Some("/account"))
        );
        assert_eq!(of(json!({"osDiskImage": {"source": {}}})), None);
    }

    #[test]
    fn a_candidate_knows_its_regions_by_any_name() {
        let version = json!({"name": "1.0.0", "tags": {"a": "b"}, "properties": {
            "provisioningState": "Succeeded",
            "publishingProfile": {
                "excludeFromLatest": true, "endOfLifeDate": "2027-01-01T00:00:00-07:00",
                "targetRegions": [{"name": "East US 2", "excludeFromLatest": false}, {"name": "West US"}],
            },
            "replicationStatus": {"summary": [{"region": "eastus2", "state": "Replicating"}]},
        }});
        let candidate = candidate(&version);
        assert!(candidate.excluded_globally && candidate.end_of_life_date.is_some());
        let east = &candidate.regions["East US 2"];
        assert_eq!((east.excluded, east.state.as_deref()), (Some(false), Some("Replicating")));
        assert_eq!(candidate.regions["West US"].state.as_deref(), Some("Unknown"));
    }

    #[test]
    fn a_candidate_is_replicated_where_its_replication_says_so() {
        for (status, state) in [
            (Json::Null, None),
            (json!({"aggregatedState": "Completed", "summary": []}), Some("Completed")),
            (json!({"aggregatedState": "InProgress", "summary": []}), Some("Unknown")),
            (json!({"summary": [{"region": "westus", "state": "Completed"}]}), Some("Unknown")),
            (json!({"summary": [{"region": "East US", "state": "completed"}]}), Some("Completed")),
        ] {
            let version = json!({"name": "1.0.0", "properties": {
                "provisioningState": "Succeeded", "replicationStatus": status,
                "publishingProfile": {"targetRegions": [{"name": "eastus"}]},
            }});
            let told = candidate(&version).regions["eastus"].state.clone();
            assert_eq!(told.as_deref(), state, "{status}");
            let shown = Replication::parse(&version).states();
            assert_eq!(shown["eastus"], state.unwrap_or("Completed"), "{status}");
        }
    }

    #[test]
    fn empty_encryption_is_none() {
        let version = json!({"properties": {"publishingProfile": {"targetRegions": [
            {"name": "East US 2", "encryption": {"osDiskImage": {"securityProfile": {}}}},
            {"name": "West US", "regionalReplicaCount": 3, "encryption": {
                "osDiskImage": {"diskEncryptionSetId": "/d", "securityProfile": {"confidentialVMEncryptionType": "EncryptedWithPmk"}},
                "dataDiskImages": [{"lun": 0, "diskEncryptionSetId": "/d"}],
            }},
        ]}}});
        let regions = target_regions(&version);
        assert_eq!((regions[0].regional_replica_count, &regions[0].encryption), (1, &None));
        let encryption = regions[1].encryption.clone().unwrap();
        assert_eq!(encryption.data_disk[0].lun, 0);
        assert_eq!(encryption.confidential_vm.unwrap().encryption_type, "EncryptedWithPmk");
    }
}
