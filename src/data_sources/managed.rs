//! Listing and selecting the managed images of a resource group.

use regex_lite::Regex;

use super::finding::{self, has_tags, natural};
use crate::arm::id::MANAGED_IMAGE;
use crate::arm::{ResourceId, Scope, Target};
use crate::azure::objects::managed_image::{DataDisk, ManagedImage, OsDisk};
use crate::azure::tags::Tags;
use crate::azure::{Context, fault};
use crate::model;
use crate::schema::spec::computed;
use crate::schema::{Diagnostic, Path, Set};

model! {
    /// One managed image.
    pub struct Image {
        /// The name of the image.
        pub name: String = computed(),
        /// The ARM ID of the image.
        pub id: Option<String> = computed(),
        /// The region that the image is in.
        pub location: Option<String> = computed(),
        /// The generation of the virtual machines that the image is for, `V1` or `V2`.
        pub hyper_v_generation: Option<String> = computed(),
        /// Whether the image is stored in several zones of its region.
        pub zone_resilient: bool = computed(),
        /// The tags of the image.
        pub tags: Tags = computed(),
        /// The state of the last operation on the image. `Succeeded` when the image is healthy.
        pub provisioning_state: Option<String> = computed(),
        /// The ID of the virtual machine that the image was captured from. Null if it was made from disks.
        pub source_virtual_machine_id: Option<String> = computed(),
        /// The operating system disk of the image.
        pub os_disk: Option<OsDisk> = computed(),
        /// The data disks of the image.
        pub data_disk: Set<DataDisk> = computed(),
    }
}

/// The resource group to search.
pub struct Group<'a> {
    /// The subscription.
    pub subscription: &'a str,
    /// The resource group.
    pub name: &'a str,
}

impl Group<'_> {
    /// The ID of the image `name` in it.
    pub fn image(&self, name: &str) -> ResourceId {
        ResourceId::new(MANAGED_IMAGE, self.subscription, self.name, &[name])
    }

    /// The target that lists its images.
    pub fn images(&self) -> Target {
        let group = ResourceId::group(self.subscription, self.name);
        Target::at(format!("{group}/providers/Microsoft.Compute/images"))
    }

    /// All its images, in descending natural order of their names. Empty if the group does not exist.
    pub async fn list(&self, context: &Context, scope: &Scope) -> Result<Vec<Image>, Diagnostic> {
        let listed = finding::list(context, scope, &self.images()).await.map_err(|error| {
            fault::diagnostic(&error, scope.what(), &format!("resource group {:?}", self.name))
        })?;
        let mut images: Vec<Image> =
            listed.iter().map(|image| self.flatten(ManagedImage::read(image))).collect();
        images.sort_by(|a, b| natural(&b.name, &a.name));
        Ok(images)
    }

    /// The attributes of one of its images.
    pub fn flatten(&self, image: ManagedImage) -> Image {
        Image {
            // lists return the resource group in capitals
            id: Some(self.image(&image.name).to_string()),
            name: image.name,
            location: image.location,
            hyper_v_generation: image.hyper_v_generation.or_else(|| Some("V1".to_owned())),
            zone_resilient: image.zone_resilient.unwrap_or_default(),
            tags: image.tags,
            provisioning_state: image.provisioning_state,
            source_virtual_machine_id: image.source_virtual_machine_id,
            os_disk: image.os_disk,
            data_disk: image.data_disk,
        }
    }
}

/// The images whose name matches and that have all tags of the filter.
pub fn matching(
    images: Vec<Image>,
    regex: Option<&str>,
    filter: Option<&Tags>,
) -> Result<Vec<Image>, Diagnostic> {
    let regex = regex.map(Regex::new).transpose().map_err(|error| {
        Diagnostic::error("Invalid value for name_regex", error.to_string()).at(Path::attribute("name_regex"))
    })?;
    let fits = |image: &Image| {
        regex.as_ref().is_none_or(|regex| regex.is_match(&image.name)) && has_tags(&image.tags, filter)
    };
    Ok(images.into_iter().filter(fits).collect())
}

/// The images that are `Succeeded`, and each other image with its state.
pub fn usable(images: Vec<Image>) -> (Vec<Image>, Vec<String>) {
    let (usable, others): (Vec<_>, Vec<_>) = images.into_iter().partition(|image| {
        image.provisioning_state.as_deref().is_none_or(|state| state.eq_ignore_ascii_case("Succeeded"))
    });
    let why = |image: Image| format!("{} ({})", image.name, image.provisioning_state.unwrap_or_default());
    (usable, others.into_iter().map(why).collect())
}
