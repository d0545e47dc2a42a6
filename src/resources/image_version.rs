//! `azimage_image_version`: one version of an image, where it is replicated to, and everything that must not be lost.

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

use crate::arm::ResourceId;
use crate::arm::id::{IMAGE_DEFINITION, IMAGE_VERSION};
use crate::azure::gallery_version::{IMAGE_VERSION as KIND, regions, retain, unfinished};
use crate::azure::pipeline;
use crate::azure::run_log::Event;
use crate::azure::{Context, identity, tags};
use crate::framework::timeouts::Defaults;
use crate::framework::{Draft, Failed, IdentityField, ImportFrom, MoveFrom, Op, Private, Resource};
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

    fn type_name(&self) -> &'static str {
        "azimage_image_version"
    }

    fn identity(&self) -> &'static [IdentityField] {
        IDENTITY
    }

    fn identify(&self, model: &Model) -> Vec<Option<String>> {
        match ResourceId::parse_as(&model.image_definition_id, IMAGE_DEFINITION) {
            Ok(definition) => vec![
                Some(definition.subscription_id().to_owned()),
                Some(definition.resource_group().to_owned()),
                definition.name_of("galleries").map(str::to_owned),
                Some(definition.name().to_owned()),
                Some(model.version.clone()),
            ],
            Err(_) => vec![None; IDENTITY.len()],
        }
    }

    fn id(&self, model: &Model) -> Option<String> {
        id_of(model).ok().map(|id| id.to_string())
    }

    /// Many regions or large disks take far longer than other resources do.
    fn timeouts(&self) -> Defaults {
        Defaults::minutes(180, 5, 180, 60)
    }

    fn import(&self, context: Option<&Context>, from: &ImportFrom) -> Result<Model, Diagnostic> {
        let id = match from {
            ImportFrom::Id(id) => identity::parse(id, IMAGE_VERSION, Resource::type_name(self))?,
            ImportFrom::Identity(given) => ResourceId::image_version(
                identity::subscription(context, given)?,
                identity::text(given, &identity::RESOURCE_GROUP_NAME),
                identity::text(given, &identity::GALLERY_NAME),
                identity::text(given, &identity::IMAGE_NAME),
                identity::text(given, &identity::NAME),
            ),
        };
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

    async fn read(
        &self,
        context: &Context,
        op: &Op,
        state: Model,
        private: &mut Private,
    ) -> Result<Option<Model>, Diagnostics> {
        if let Ok(id) = id_of(&state) {
            retain::remember(context, &id, state.deletion_policy.as_deref());
        }
        let read = pipeline::read(self, context, op, state.clone(), private).await?;
        if let Some(read) = &read
            && let Some(id) = read.id.as_deref().filter(|_| state.provisioning_state.is_some())
        {
            regions::remember_added(context, id, &state.target_region, &read.target_region);
        }
        Ok(read)
    }

    async fn create(
        &self,
        context: &Context,
        op: &Op,
        plan: Model,
        private: &mut Private,
    ) -> Result<Model, Failed<Model>> {
        pipeline::create(self, context, op, plan, private).await
    }

    async fn update(
        &self,
        context: &Context,
        op: &Op,
        prior: Model,
        plan: Model,
        private: &mut Private,
    ) -> Result<Model, Failed<Model>> {
        pipeline::update(self, context, op, prior, plan, private).await
    }

    async fn delete(
        &self,
        context: &Context,
        op: &Op,
        prior: Model,
        _private: &mut Private,
    ) -> Result<(), Diagnostics> {
        deletion::delete(context, op, &prior).await
    }

    fn moves_from(&self) -> Vec<MoveFrom> {
        identity::moves_from("azurerm_shared_image_version", &[IMAGE_VERSION])
    }
}
