//! `azimage_managed_image`: an image in one region, captured from a virtual machine or made from disks.

mod capture;
mod disks;
mod managed;
#[cfg(test)]
mod tests;

use async_trait::async_trait;

use crate::arm::ResourceId;
use crate::arm::id::MANAGED_IMAGE;
use crate::azure::attributes::{self, check_image_name};
use crate::azure::objects::definition::GENERATIONS;
use crate::azure::objects::managed_image::{DataDisk, OsDisk, disk_key};
use crate::azure::tags::{self, Tags};
use crate::azure::{Context, identity, provisioning};
use crate::framework::timeouts::Defaults;
use crate::framework::{Draft, IdentityField, ImportFrom, MoveFrom, Op, Resource, Timeouts};
use crate::model;
use crate::schema::spec::{block, computed, optional, optional_computed, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Set, Value};
use capture::Capture;
use disks::check_sources;

model! {
    /// Manages a managed image: an image in one region, captured from a virtual machine or made from disks. For images
    /// in several regions, and for virtual machines with Trusted Launch, use an image version in a gallery.
    pub struct Model {
        /// The ARM ID of the image.
        pub id: Option<String> = computed(),
        /// The name of the image, unique in the resource group: letters, digits, underscores, full stops and hyphens.
        pub name: String = required().force_new().equivalent_if(attributes::eq_ignore_case).check_text(check_image_name),
        /// The name of the resource group of the image.
        pub resource_group_name: String = attributes::resource_group_name(),
        /// The ID of the subscription of the image. Defaults to the provider's.
        pub subscription_id: Option<String> = attributes::subscription_id(),
        /// The region of the image, in any spelling. It must be the region of the virtual machine or the disks.
        pub location: String = attributes::location(),
        /// The generation of virtual machines that can boot the image, `V1` or `V2`. Defaults to that of the captured
        /// virtual machine, and to `V1` for an image made from disks.
        pub hyper_v_generation: Option<String> = optional_computed().force_new().one_of(GENERATIONS),
        /// Whether the image is stored in several zones of its region.
        pub zone_resilient: Option<bool> = optional().default(false).force_new(),
        /// The tags of the image.
        pub tags: Option<Tags> = attributes::tags(),
        /// All tags of the image, the provider's `default_tags` included.
        pub tags_all: Option<Tags> = computed(),
        /// The state of the last operation on the image. `Succeeded` when the image is healthy.
        pub provisioning_state: Option<String> = computed().volatile_unless("Succeeded"),
        /// Captures the image from a virtual machine. Set exactly one of `capture` and `os_disk`.
        pub capture: Option<Capture> = block(),
        /// The operating system disk of an image that is made from disks. Set exactly one of `capture` and `os_disk`.
        pub os_disk: Option<OsDisk> = block().check(check_sources),
        /// A data disk of an image that is made from disks.
        pub data_disk: Set<DataDisk> = block().key(disk_key).check(check_sources).force_new(),
        /// How long each operation may take.
        pub timeouts: Option<Timeouts> = block(),
    }
}

/// The resource type.
pub struct ManagedImage;

#[async_trait]
impl Resource<Context> for ManagedImage {
    type Model = Model;

    const TYPE_NAME: &'static str = "azimage_managed_image";

    fn identity(&self) -> &'static [IdentityField] {
        identity::IN_GROUP
    }

    fn identify(&self, model: &Model) -> Vec<Option<String>> {
        identity::values(identity::IN_GROUP, Some(&id_of(model)))
    }

    fn id(&self, model: &Model) -> Option<String> {
        Some(id_of(model).to_string())
    }

    fn timeouts(&self) -> Defaults {
        Defaults::minutes(90, 5, 90, 90)
    }

    fn import(&self, context: Option<&Context>, from: &ImportFrom) -> Result<Model, Diagnostic> {
        let id = identity::import(context, from, identity::IN_GROUP, MANAGED_IMAGE, Self::TYPE_NAME)?;
        Ok(stub(&id))
    }

    fn validate(&self, config: &Value, found: &mut Diagnostics) {
        let (capture, os_disk, data_disks) =
            (config.get("capture"), config.get("os_disk"), config.get("data_disk"));
        if capture.is_known() && os_disk.is_known() {
            found.error(
                Path::attribute("os_disk"),
                "The image has two sources",
                "Keep either the capture block, to capture a virtual machine, or the os_disk block, to make the image from disks.",
            );
        }
        if capture.is_null() && os_disk.is_null() {
            found.error(
                Path::root(),
                "The image has no source",
                "Add a capture block to capture a virtual machine, or an os_disk block to make the image from disks.",
            );
        }
        if capture.is_known() && !data_disks.elements().is_empty() {
            found.error(
                Path::attribute("data_disk"),
                "Unexpected data_disk",
                "An image that is captured includes the data disks of its virtual machine. Remove the data_disk blocks.",
            );
        }
        disks::check_luns(data_disks, found);
    }

    fn prepare(&self, context: Option<&Context>, draft: &mut Draft<'_>) {
        tags::prepare(context, draft);
        identity::prepare_subscription(context, draft);
        disks::prepare(draft);
        // the generation of a captured machine is known when it is captured
        if draft.planned.get("hyper_v_generation").is_null() && draft.planned.get("capture").is_null() {
            draft.planned.set("hyper_v_generation", "V1".into());
        }
        if draft.is_create() {
            return;
        }
        for name in ["capture", "os_disk"] {
            if draft.planned.get(name).is_null() != draft.prior.get(name).is_null() {
                draft.replace.push(Path::attribute(name));
            }
        }
        provisioning::plan_retry_if_unfinished(draft);
    }

    async fn check(&self, context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
        tags::check_required(context, draft, found);
        if draft.is_create() {
            identity::check_location(context, op, draft, found).await;
        }
        // nothing is destroyed before it is certain that the new image can be made
        if draft.is_create() || !draft.replace.is_empty() {
            capture::check(context, op, draft, found).await;
            disks::check(context, op, draft, found).await;
        }
    }

    fn moves_from(&self) -> Vec<MoveFrom> {
        identity::moves_from("azurerm_image", &[MANAGED_IMAGE])
    }
}

fn id_of(model: &Model) -> ResourceId {
    let subscription = model.subscription_id.as_deref().unwrap_or_default();
    ResourceId::new(MANAGED_IMAGE, subscription, &model.resource_group_name, &[&model.name])
}

fn stub(id: &ResourceId) -> Model {
    Model {
        id: Some(id.to_string()),
        name: id.name().to_owned(),
        resource_group_name: id.resource_group().to_owned(),
        subscription_id: Some(id.subscription_id().to_owned()),
        ..Model::default()
    }
}
