//! An image version in the service's format.

use serde_json::Value as Json;

use super::source::{self, Source};
use super::target_region::{self, TargetRegion};
use super::{CACHING, filled, provisioning_state, word};
use crate::azure::body;
use crate::azure::replication::Replication;
use crate::azure::tags::{self, Tags};
use crate::model;
use crate::schema::Set;
use crate::schema::spec::computed;

/// Replication modes.
pub const REPLICATION_MODES: &[&str] = &["Full", "Shallow"];

/// An image version. `None` means that the response does not contain the value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Version {
    /// The version number.
    pub name: String,
    /// The home region.
    pub location: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// The state of the last operation.
    pub provisioning_state: Option<String>,
    /// Whether it is excluded when resolving `latest`.
    pub exclude_from_latest: Option<bool>,
    /// When it was published.
    pub published_date: Option<String>,
    /// The end-of-life date; `Some(None)` if the response shows that there is none.
    pub end_of_life_date: Option<Option<String>>,
    /// One of [`REPLICATION_MODES`].
    pub replication_mode: Option<String>,
    /// Whether regions can be removed.
    pub allow_deletion_of_replicated_locations: Option<bool>,
    /// Whether the service refuses to delete the version before its end-of-life date.
    pub block_deletion_before_end_of_life: Option<bool>,
    /// The operating system disk.
    pub os_disk: Option<OsDiskImage>,
    /// The data disks.
    pub data_disk: Set<DataDiskImage>,
    /// The source of the version.
    pub source: Option<Source>,
    /// The target regions, if they are known.
    pub target_region: Set<TargetRegion>,
    /// The replication status. Complete only in a response to `$expand=ReplicationStatus`.
    pub replication: Replication,
    /// The UEFI settings, as JSON. Only in a response to `$expand=UefiSettings`.
    pub uefi_settings_json: Option<String>,
}

model! {
    /// The operating system disk in an image version.
    pub struct OsDiskImage {
        /// The size in GB.
        pub size_gb: Option<i64> = computed(),
        /// The host caching of disks that are created from it.
        pub host_caching: Option<String> = computed(),
    }
}

model! {
    /// A data disk in an image version.
    pub struct DataDiskImage {
        /// The logical unit number.
        pub lun: i64 = computed(),
        /// The size in GB.
        pub size_gb: Option<i64> = computed(),
        /// The host caching of disks that are created from it.
        pub host_caching: Option<String> = computed(),
    }
}

impl Version {
    /// Reads a response without a known state.
    pub fn read(version: &Json) -> Version {
        Version::read_over(version, None, &[])
    }

    /// Reads a response. Properties of the source and of target regions that it does not contain stay unchanged.
    pub fn read_over(version: &Json, source: Option<&Source>, target_regions: &[TargetRegion]) -> Version {
        let object = |path: &str| body::at(version, path).unwrap_or(&Json::Null);
        let publishing = object("properties.publishingProfile");
        let storage = object("properties.storageProfile");
        let safety = object("properties.safetyProfile");
        let data_disk = |disk: &Json| {
            Some(DataDiskImage {
                lun: body::int(disk, "lun")?,
                size_gb: body::int(disk, "sizeInGB"),
                host_caching: word(disk, "hostCaching", CACHING),
            })
        };
        Version {
            name: body::text(version, "name").unwrap_or_default(),
            location: filled(version, "location"),
            tags: tags::all(version),
            provisioning_state: provisioning_state(version),
            exclude_from_latest: body::bool(publishing, "excludeFromLatest"),
            published_date: filled(publishing, "publishedDate"),
            end_of_life_date: publishing.is_object().then(|| filled(publishing, "endOfLifeDate")),
            replication_mode: word(publishing, "replicationMode", REPLICATION_MODES),
            allow_deletion_of_replicated_locations: body::bool(safety, "allowDeletionOfReplicatedLocations"),
            block_deletion_before_end_of_life: body::bool(safety, "blockDeletionBeforeEndOfLife"),
            os_disk: body::at(storage, "osDiskImage").map(|disk| OsDiskImage {
                size_gb: body::int(disk, "sizeInGB"),
                host_caching: word(disk, "hostCaching", CACHING),
            }),
            data_disk: body::items(storage, "dataDiskImages").iter().filter_map(data_disk).collect(),
            source: source::read(storage, source),
            target_region: target_region::read(publishing, target_regions),
            replication: Replication::parse(version),
            uefi_settings_json: body::at(version, "properties.securityProfile.uefiSettings")
                .map(Json::to_string),
        }
    }

    /// The regions with replicas, with the service's defaults for unknown values.
    pub fn target_regions(&self) -> Set<TargetRegion> {
        self.target_region.iter().map(TargetRegion::with_defaults).collect()
    }

    /// The size of the operating system disk in GB.
    pub fn os_disk_size_gb(&self) -> Option<i64> {
        self.os_disk.as_ref()?.size_gb
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_disks_of_every_kind_of_source() {
        let version = Version::read(&json!({"properties": {"storageProfile": {
            "source": {"id": "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/images/i"},
            "osDiskImage": {"sizeInGB": 30, "hostCaching": "readwrite", "source": {}},
            "dataDiskImages": [{"lun": 0, "sizeInGB": 10, "hostCaching": "None"}],
        }}}));
        assert_eq!(version.os_disk_size_gb(), Some(30));
        assert_eq!(version.os_disk.unwrap().host_caching.as_deref(), Some("ReadWrite"));
        let disk = DataDiskImage { lun: 0, size_gb: Some(10), host_caching: Some("None".into()) };
        assert_eq!(version.data_disk.0, [disk]);
        let source = version.source.unwrap();
        assert!(source.managed_image_id.is_some() && source.os_disk.is_none() && source.data_disk.is_empty());
    }

    #[test]
    fn an_empty_response_reads_as_none() {
        for answer in
            [json!({}), json!({"properties": null}), json!({"properties": {"publishingProfile": []}})]
        {
            assert_eq!(Version::read(&answer), Version::default(), "{answer}");
        }
        let empty = Version::read(&json!({"properties": {"publishingProfile": {"endOfLifeDate": ""}}}));
        assert_eq!(empty.end_of_life_date, Some(None));
    }
}
