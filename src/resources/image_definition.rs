//! `azimage_image_definition`: the properties that the versions of an image share.

mod features;
mod managed;
mod recycle_bin;

use async_trait::async_trait;

use crate::arm::id::{GALLERY, IMAGE_DEFINITION};
use crate::arm::{ResourceId, region};
use crate::azure::attributes::{self, check_definition_name, check_filled, check_uri, date};
use crate::azure::objects::definition::{
    ARCHITECTURES, DISK_CONTROLLERS, GENERATIONS, Identifier, OS_STATES, OS_TYPES, PurchasePlan, Recommended,
    SECURITY_TYPES,
};
use crate::azure::tags::{self, Tags};
use crate::azure::{Context, identity, pipeline, provisioning};
use crate::framework::timeouts::Defaults;
use crate::framework::{Draft, IdentityField, ImportFrom, MoveFrom, Op, Resource, Timeouts};
use crate::model;
use crate::schema::spec::{block, computed, optional, optional_computed, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Set, Value};
use features::check_features;

model! {
    /// Manages an image definition of a Compute Gallery: the properties that all versions of one image share. A virtual
    /// machine that names a definition gets its latest version.
    pub struct Model {
        /// The ARM ID of the image definition.
        pub id: Option<String> = computed(),
        /// The name of the image definition.
        pub name: String = required().force_new().equivalent_if(attributes::eq_ignore_case).check_text(check_definition_name),
        /// The ID of the gallery of the definition, in any subscription.
        pub gallery_id: String = attributes::id_of(required().force_new(), GALLERY),
        /// The region of the definition. Defaults to the gallery's.
        pub location: Option<String> = optional_computed()
            .force_new()
            .equivalent_if(region::same_region)
            .check_text(attributes::check_location),
        /// The operating system of the image.
        pub os_type: String = required().force_new().one_of(OS_TYPES),
        /// Whether images are `Generalized` (each virtual machine is set up anew) or `Specialized` (copied unchanged).
        pub os_state: Option<String> = optional()
            .default("Generalized")
            .force_new()
            .one_of(OS_STATES),
        /// The generation of virtual machines that can boot the image.
        pub hyper_v_generation: String = required().force_new().one_of(GENERATIONS),
        /// The processor architecture of the image.
        pub architecture: Option<String> =
            optional().default("x64").force_new().one_of(ARCHITECTURES),
        /// The description of the image.
        pub description: Option<String> = optional().or_empty(),
        /// The end-user licence agreement, or its URI.
        pub eula: Option<String> = optional().or_empty(),
        /// The URI of the privacy statement.
        pub privacy_statement_uri: Option<String> = optional().or_empty().check_text(check_uri),
        /// The URI of the release notes.
        pub release_note_uri: Option<String> = optional().or_empty().check_text(check_uri),
        /// The end-of-life date of the image, in RFC 3339 format. Informational. It can be changed and removed in place.
        pub end_of_life_date: Option<String> = date(optional().or_empty()),
        /// Disk types that virtual machines made from the image must not use.
        pub disallowed_disk_types: Option<Set<String>> = optional().or_empty().check_text(check_filled),
        /// The security type that the image supports. Defaults to `TrustedLaunchSupported` for `V2` and `Standard` for `V1`.
        /// Updated in place.
        pub security_type: Option<String> = optional_computed().one_of(SECURITY_TYPES),
        /// Whether the image supports accelerated networking. Updated in place.
        pub accelerated_networking_enabled: Option<bool> = optional().default(false),
        /// Whether virtual machines made from the image can hibernate. Updated in place.
        pub hibernation_enabled: Option<bool> = optional().default(false),
        /// The disk controllers that the image has drivers for. Updated in place.
        pub disk_controller_types: Option<Set<String>> = optional().or_empty().one_of(DISK_CONTROLLERS),
        /// All other features of the image, by the service's names. Updated in place.
        pub features: Option<Tags> = optional().or_empty().equivalent_if(attributes::eq_ignore_case).check(features::check_names),
        /// The tags of the image definition.
        pub tags: Option<Tags> = attributes::tags(),
        /// All tags of the image definition, the provider's `default_tags` included.
        pub tags_all: Option<Tags> = computed(),
        /// The state of the last operation on the definition. `Succeeded` when the definition is healthy.
        pub provisioning_state: Option<String> = computed().volatile_unless("Succeeded"),
        /// Publisher, offer and SKU. The combination must be unique in the gallery.
        pub identifier: Option<Identifier> = block().required(),
        /// The Marketplace plan of the image. Virtual machines made from the image must name it.
        pub purchase_plan: Option<PurchasePlan> = block().force_new(),
        /// The recommended size of virtual machines.
        pub recommended: Option<Recommended> = block().group().check(check_recommended),
        /// How long each operation may take.
        pub timeouts: Option<Timeouts> = block(),
    }
}

/// The resource type.
pub struct ImageDefinition;

#[async_trait]
impl Resource<Context> for ImageDefinition {
    type Model = Model;

    const TYPE_NAME: &'static str = "azimage_image_definition";

    fn identity(&self) -> &'static [IdentityField] {
        identity::IN_GALLERY
    }

    fn identify(&self, model: &Model) -> Vec<Option<String>> {
        identity::values(identity::IN_GALLERY, id_of(model).ok().as_ref())
    }

    fn id(&self, model: &Model) -> Option<String> {
        id_of(model).ok().map(|id| id.to_string())
    }

    fn timeouts(&self) -> Defaults {
        Defaults::minutes(30, 5, 30, 30)
    }

    fn import(&self, context: Option<&Context>, from: &ImportFrom) -> Result<Model, Diagnostic> {
        let id = identity::import(context, from, identity::IN_GALLERY, IMAGE_DEFINITION, Self::TYPE_NAME)?;
        Ok(stub(&id))
    }

    fn validate(&self, config: &Value, found: &mut Diagnostics) {
        check_features(config, found);
    }

    fn prepare(&self, context: Option<&Context>, draft: &mut Draft<'_>) {
        tags::prepare(context, draft);
        provisioning::plan_retry_if_unfinished(draft);
        // an existing definition keeps its type; a new one gets the type that the service would choose
        if draft.is_create() && draft.config.get("security_type").is_null() {
            let chosen = match draft.planned.get("hyper_v_generation").as_str() {
                Some("V1") => Value::from("Standard"),
                Some(_) => Value::from("TrustedLaunchSupported"),
                None => Value::Unknown,
            };
            draft.planned.set("security_type", chosen);
        }
    }

    async fn resolve(&self, context: &Context, op: &Op, draft: &mut Draft<'_>) {
        identity::resolve_location(context, op, draft, "gallery_id").await;
    }

    async fn check(&self, context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
        tags::check_required(context, draft, found);
        if let (true, Some(location), Some(Ok(gallery))) = (
            draft.is_create(),
            draft.planned.get("location").as_str(),
            draft.planned.get("gallery_id").as_str().map(ResourceId::parse),
        ) && let Some(why) = context.unknown_location(op, gallery.subscription_id(), location).await
        {
            found.error(Path::attribute("location"), "Invalid value for location", why);
        }
        pipeline::check_api_version(self, context, &draft.planned, found);
    }

    fn moves_from(&self) -> Vec<MoveFrom> {
        identity::moves_from("azurerm_shared_image", &[IMAGE_DEFINITION])
    }
}

fn id_of(model: &Model) -> Result<ResourceId, Diagnostic> {
    ResourceId::parse_as(&model.gallery_id, GALLERY)
        .map(|gallery| gallery.child("images", &model.name))
        .map_err(|error| {
            Diagnostic::error("Invalid value for gallery_id", error.to_string())
                .at(Path::attribute("gallery_id"))
        })
}

fn stub(id: &ResourceId) -> Model {
    Model {
        id: Some(id.to_string()),
        name: id.name().to_owned(),
        gallery_id: id.parent().map(|gallery| gallery.to_string()).unwrap_or_default(),
        ..Model::default()
    }
}

fn check_recommended(recommended: &Value, path: &Path, found: &mut Diagnostics) {
    for (low, high) in [("minimum_vcpus", "maximum_vcpus"), ("minimum_memory_gb", "maximum_memory_gb")] {
        if let (Some(min), Some(max)) = (recommended.get(low).as_i64(), recommended.get(high).as_i64())
            && min > max
        {
            found.error(
                path.then(low),
                format!("{low} is greater than {high}"),
                format!("{min} is greater than {max}. Exchange them, or omit one."),
            );
        }
    }
}
