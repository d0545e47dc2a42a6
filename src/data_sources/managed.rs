//! A managed image as the service describes it, and which of a resource group's are meant.

use regex_lite::Regex;
use serde_json::Value as Json;

use super::finding::{self, has_tags, natural};
use crate::arm::{ResourceId, Scope, Target};
use crate::azure::tags::{self, Tags};
use crate::azure::{COMPUTE_API, Context, body, fault};
use crate::model;
use crate::schema::spec::computed;
use crate::schema::{Diagnostic, Path, Set};

model! {
    /// One managed image.
    pub struct Image {
        /// The name of the image.
        pub name: String = computed(),
        /// The ARM id of the image.
        pub id: Option<String> = computed(),
        /// The region that the image is in.
        pub location: Option<String> = computed(),
        /// The generation of the virtual machines that the image is for, `V1` or `V2`.
        pub hyper_v_generation: Option<String> = computed(),
        /// Whether the image is kept in several zones of its region.
        pub zone_resilient: bool = computed(),
        /// Tags of the image.
        pub tags: Tags = computed(),
        /// State of the last operation on the image, `Succeeded` when all is well.
        pub provisioning_state: Option<String> = computed(),
        /// The id of the virtual machine that the image was captured from; null when it was made of disks.
        pub source_virtual_machine_id: Option<String> = computed(),
        /// The operating system disk of the image.
        pub os_disk: Option<OsDisk> = computed(),
        /// The data disks of the image.
        pub data_disk: Set<DataDisk> = computed(),
    }
}

model! {
    /// The operating system disk of the image.
    pub struct OsDisk {
        /// The operating system on the disk.
        pub os_type: Option<String> = computed(),
        /// `Generalized` or `Specialized`.
        pub os_state: Option<String> = computed(),
        /// The id of the managed disk that held the bits.
        pub managed_disk_id: Option<String> = computed(),
        /// The id of the snapshot that held the bits.
        pub snapshot_id: Option<String> = computed(),
        /// The address of the VHD blob that held the bits.
        pub blob_uri: Option<String> = computed(),
        /// The sort of storage that disks made from the image have.
        pub storage_account_type: Option<String> = computed(),
        /// How the host caches disks made from the image.
        pub caching: Option<String> = computed(),
        /// The size in GB.
        pub size_gb: Option<i64> = computed(),
        /// The id of the disk encryption set that encrypts the image.
        pub disk_encryption_set_id: Option<String> = computed(),
    }
}

model! {
    /// A data disk of the image.
    pub struct DataDisk {
        /// The logical unit number.
        pub lun: i64 = computed(),
        /// The id of the managed disk that held the bits.
        pub managed_disk_id: Option<String> = computed(),
        /// The id of the snapshot that held the bits.
        pub snapshot_id: Option<String> = computed(),
        /// The address of the VHD blob that held the bits.
        pub blob_uri: Option<String> = computed(),
        /// The sort of storage that disks made from the image have.
        pub storage_account_type: Option<String> = computed(),
        /// How the host caches disks made from the image.
        pub caching: Option<String> = computed(),
        /// The size in GB.
        pub size_gb: Option<i64> = computed(),
        /// The id of the disk encryption set that encrypts the image.
        pub disk_encryption_set_id: Option<String> = computed(),
    }
}

/// Where managed images are looked for.
pub struct Group<'a> {
    /// The subscription.
    pub subscription: &'a str,
    /// The resource group.
    pub name: &'a str,
}

impl Group<'_> {
    /// The id of the image `name` in it.
    pub fn image(&self, name: &str) -> ResourceId {
        ResourceId::managed_image(self.subscription, self.name, name)
    }

    /// Where its images are listed.
    pub fn images(&self) -> Target {
        let group = ResourceId::group(self.subscription, self.name);
        Target::new(format!("{group}/providers/Microsoft.Compute/images"), COMPUTE_API)
    }

    /// All its images, page by page; none when it does not exist. Newest first, by the order in which people number names.
    pub async fn list(&self, context: &Context, scope: &Scope) -> Result<Vec<Image>, Diagnostic> {
        let listed = finding::list(context, scope, &self.images()).await.map_err(|error| {
            fault::diagnostic(&error, scope.what(), &format!("resource group {:?}", self.name))
        })?;
        let mut images: Vec<Image> = listed.iter().map(|image| self.flatten(image)).collect();
        images.sort_by(|a, b| natural(&b.name, &a.name));
        Ok(images)
    }

    /// One of its images.
    pub fn flatten(&self, image: &Json) -> Image {
        let text = |path: &str| body::text(image, path);
        let name = text("name").unwrap_or_default();
        Image {
            // lists write the group in capitals
            id: Some(self.image(&name).to_string()),
            location: text("location"),
            hyper_v_generation: text("properties.hyperVGeneration").or_else(|| Some("V1".to_owned())),
            zone_resilient: body::bool(image, "properties.storageProfile.zoneResilient").unwrap_or_default(),
            tags: tags::all(image),
            provisioning_state: text("properties.provisioningState"),
            source_virtual_machine_id: text("properties.sourceVirtualMachine.id"),
            os_disk: body::at(image, "properties.storageProfile.osDisk").map(os_disk),
            data_disk: body::items(image, "properties.storageProfile.dataDisks")
                .iter()
                .filter_map(data_disk)
                .collect(),
            name,
        }
    }
}

/// The images whose name matches and that carry all tags of the filter.
pub fn matching(
    images: Vec<Image>,
    regex: Option<&str>,
    filter: Option<&Tags>,
) -> Result<Vec<Image>, Diagnostic> {
    let regex = regex.map(Regex::new).transpose().map_err(|error| {
        Diagnostic::error("name_regex cannot be read", error.to_string()).at(Path::attribute("name_regex"))
    })?;
    let fits = |image: &Image| {
        regex.as_ref().is_none_or(|regex| regex.is_match(&image.name)) && has_tags(&image.tags, filter)
    };
    Ok(images.into_iter().filter(fits).collect())
}

/// The images that machines can be made from, and what speaks against each of the others.
pub fn usable(images: Vec<Image>) -> (Vec<Image>, Vec<String>) {
    let (usable, others): (Vec<_>, Vec<_>) = images.into_iter().partition(|image| {
        image.provisioning_state.as_deref().is_none_or(|state| state.eq_ignore_ascii_case("Succeeded"))
    });
    let why = |image: Image| format!("{} ({})", image.name, image.provisioning_state.unwrap_or_default());
    (usable, others.into_iter().map(why).collect())
}

fn os_disk(disk: &Json) -> OsDisk {
    let text = |path: &str| body::text(disk, path);
    OsDisk {
        os_type: text("osType"),
        os_state: text("osState"),
        managed_disk_id: text("managedDisk.id"),
        snapshot_id: text("snapshot.id"),
        blob_uri: text("blobUri"),
        storage_account_type: text("storageAccountType"),
        caching: text("caching"),
        size_gb: body::int(disk, "diskSizeGB"),
        disk_encryption_set_id: text("diskEncryptionSet.id"),
    }
}

fn data_disk(disk: &Json) -> Option<DataDisk> {
    let text = |path: &str| body::text(disk, path);
    Some(DataDisk {
        lun: body::int(disk, "lun")?,
        managed_disk_id: text("managedDisk.id"),
        snapshot_id: text("snapshot.id"),
        blob_uri: text("blobUri"),
        storage_account_type: text("storageAccountType"),
        caching: text("caching"),
        size_gb: body::int(disk, "diskSizeGB"),
        disk_encryption_set_id: text("diskEncryptionSet.id"),
    })
}
