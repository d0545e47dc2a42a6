//! `azimage_image_version`: one version of an image, and the regions that it is replicated to.

mod checks;
mod definition;
mod deletion;
mod json;
mod managed;
mod model;
mod recycle_bin;
mod source_check;
mod uefi;

use async_trait::async_trait;

use crate::arm::id::IMAGE_VERSION;
use crate::azure::gallery_version::{IMAGE_VERSION as KIND, regions, retain, unfinished};
use crate::azure::pipeline;
use crate::azure::run_log::Event;
use crate::azure::{Context, identity, tags};
use crate::framework::timeouts::Defaults;
use crate::framework::{Draft, IdentityField, ImportFrom, MoveFrom, Op, Resource};
use crate::schema::{Diagnostic, Diagnostics, Slot, Value};
use model::{Model, id_of, stub};

/// The resource type.
pub struct ImageVersion;

const IDENTITY: &[IdentityField] = &[
    identity::SUBSCRIPTION_ID,
    identity::RESOURCE_GROUP_NAME,
    identity::GALLERY_NAME,
    identity::IMAGE_NAME,
    identity::NAME,
];

#[async_trait]
impl Resource<Context> for ImageVersion {
    type Model = Model;

    const TYPE_NAME: &'static str = "azimage_image_version";

    fn identity(&self) -> &'static [IdentityField] {
        IDENTITY
    }

    fn identify(&self, model: &Model) -> Vec<Option<String>> {
        identity::values(IDENTITY, id_of(model).ok().as_ref())
    }

    fn id(&self, model: &Model) -> Option<String> {
        id_of(model).ok().map(|id| id.to_string())
    }

    /// Many regions or large disks take far longer than other resources do.
    fn timeouts(&self) -> Defaults {
        Defaults::minutes(180, 5, 180, 60)
    }

    fn import(&self, context: Option<&Context>, from: &ImportFrom) -> Result<Model, Diagnostic> {
        let id = identity::import(context, from, IDENTITY, IMAGE_VERSION, Self::TYPE_NAME)?;
        Ok(stub(&id))
    }

    fn validate(&self, config: &Value, found: &mut Diagnostics) {
        checks::config(config, found);
    }

    fn prepare(&self, context: Option<&Context>, draft: &mut Draft<'_>) {
        tags::prepare(context, draft);
        regions::prepare(context, draft, &KIND);
        if unfinished::prepare(context, draft, &KIND) {
            // the sizes of the disks may be missing yet
            for name in ["os_disk_size_gb", "data_disk_sizes_gb"] {
                draft.planned.set(name, Value::Unknown);
            }
        }
    }

    async fn resolve(&self, context: &Context, op: &Op, draft: &mut Draft<'_>) {
        identity::resolve_location(context, op, draft, "image_definition_id").await;
    }

    async fn check(&self, context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
        tags::check_required(context, draft, found);
        retain::check(draft, &KIND, found);
        let plan = Model::decode(&draft.planned);
        if let Ok(id) = id_of(&plan) {
            let is_same = |object: &_| managed::is_same_image(object, &plan);
            retain::check_creation(context, op, draft, &KIND, &id, is_same, found).await;
        }
        checks::plan(context, op, draft, found).await;
        pipeline::check_api_version(self, context, &draft.planned, found);
    }

    fn check_destroy(&self, context: Option<&Context>, prior: &Model, found: &mut Diagnostics) {
        if prior.deletion_policy.as_deref() == Some("retain") {
            retain::stays(&KIND, &prior.version, found);
        } else if let (Some(context), Ok(id)) = (context, id_of(prior)) {
            context.run.record(&id.to_string(), Event::PlannedAway);
        }
    }

    fn moves_from(&self) -> Vec<MoveFrom> {
        identity::moves_from("azurerm_shared_image_version", &[IMAGE_VERSION])
    }
}
