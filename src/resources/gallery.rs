//! `azimage_gallery`: a Compute Gallery with its soft delete, identity and sharing.

mod managed;
mod sharing;

use async_trait::async_trait;

use crate::arm::ResourceId;
use crate::arm::id::GALLERY;
use crate::azure::attributes::{self, check_gallery_name};
use crate::azure::objects::gallery::{Identity, Sharing, same_identity_type};
use crate::azure::tags::{self, Tags};
use crate::azure::{Context, identity, pipeline, provisioning};
use crate::framework::timeouts::Defaults;
use crate::framework::{Draft, IdentityField, ImportFrom, MoveFrom, Op, Resource, Timeouts};
use crate::model;
use crate::schema::spec::{block, computed, optional, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Value};
use sharing::check_sharing;

model! {
    /// Manages a Compute Gallery, which holds image definitions and their versions and shares them with other
    /// subscriptions, other tenants, or everybody.
    pub struct Model {
        /// The ARM ID of the gallery.
        pub id: Option<String> = computed(),
        /// The name of the gallery, unique in the subscription: letters, digits, underscores and full stops.
        pub name: String = required().force_new().equivalent_if(attributes::eq_ignore_case).check_text(check_gallery_name),
        /// The name of the resource group of the gallery.
        pub resource_group_name: String = attributes::resource_group_name(),
        /// The ID of the subscription of the gallery. Defaults to the provider's.
        pub subscription_id: Option<String> = attributes::subscription_id(),
        /// The region of the gallery, in any spelling.
        pub location: String = attributes::location(),
        /// The description of the gallery.
        pub description: Option<String> = optional().or_empty(),
        /// The tags of the gallery.
        pub tags: Option<Tags> = attributes::tags(),
        /// All tags of the gallery, the provider's `default_tags` included.
        pub tags_all: Option<Tags> = computed(),
        /// The name by which a directly shared gallery is addressed: subscription ID and name.
        pub unique_name: Option<String> = computed().equivalent_if(attributes::eq_ignore_case),
        /// The state of the last operation on the gallery. `Succeeded` when the gallery is healthy.
        pub provisioning_state: Option<String> = computed().volatile_unless("Succeeded"),
        /// Keeps deleted image versions for some time, so that they can be restored.
        pub soft_delete: Option<SoftDelete> = block().group(),
        /// The managed identity of the gallery.
        pub identity: Option<Identity> = block().check(check_identity),
        /// How the gallery is shared. Private by default. Subscriptions and tenants are added and removed in place, and a
        /// gallery can become `Private`, or change from `Private` to `Community`, in place. Azure sets `Groups` only when a
        /// gallery is created: a plan that changes an existing gallery to `Groups` fails.
        pub sharing: Option<Sharing> = block().group().check(check_sharing),
        /// How long each operation may take.
        pub timeouts: Option<Timeouts> = block(),
    }
}

model! {
    /// Keeps deleted image versions for some time, so that they can be restored.
    pub struct SoftDelete {
        /// Whether deleted image versions are kept.
        pub enabled: bool = optional().default(false),
        /// For how many days a deleted image version can still be used by virtual machines that name it. Defaults to the
        /// service's choice.
        pub retention_days: Option<i64> = optional().between(1, 3650),
        /// For how many days after that it can still be restored. Defaults to the service's choice.
        pub grace_period_days: Option<i64> = optional().between(0, 3650),
        /// Whether destroying an image definition of this gallery purges its deleted image versions first. The service does
        /// not delete a definition that still has some. Apply a change of this before the destroy.
        pub purge_on_destroy: bool = optional().default(false),
    }
}

/// The resource type.
pub struct Gallery;

#[async_trait]
impl Resource<Context> for Gallery {
    type Model = Model;

    const TYPE_NAME: &'static str = "azimage_gallery";

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
        Defaults::minutes(30, 5, 30, 30)
    }

    fn import(&self, context: Option<&Context>, from: &ImportFrom) -> Result<Model, Diagnostic> {
        let id = identity::import(context, from, identity::IN_GROUP, GALLERY, Self::TYPE_NAME)?;
        Ok(stub(&id))
    }

    fn prepare(&self, context: Option<&Context>, draft: &mut Draft<'_>) {
        tags::prepare(context, draft);
        identity::prepare_subscription(context, draft);
        prepare_identity(draft);
        prepare_unique_name(draft);
        provisioning::plan_retry_if_unfinished(draft);
        sharing::prepare(draft);
    }

    async fn check(&self, context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
        if draft.is_create() {
            identity::check_location(context, op, draft, found).await;
        }
        sharing::check_transition(draft, found);
        pipeline::check_api_version(self, context, &draft.planned, found);
    }

    fn moves_from(&self) -> Vec<MoveFrom> {
        identity::moves_from("azurerm_shared_image_gallery", &[GALLERY])
    }
}

// The service derives it from the subscription and the name.
fn prepare_unique_name(draft: &mut Draft<'_>) {
    let parts = ["subscription_id", "name"].map(|name| draft.planned.get(name).as_str());
    if let (true, [Some(subscription), Some(name)]) = (draft.is_create(), parts) {
        let unique_name = format!("{}-{}", subscription.to_lowercase(), name.to_uppercase());
        draft.planned.set("unique_name", Value::String(unique_name));
    }
}

fn id_of(model: &Model) -> ResourceId {
    let subscription = model.subscription_id.as_deref().unwrap_or_default();
    ResourceId::new(GALLERY, subscription, &model.resource_group_name, &[&model.name])
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

// Another identity type has another principal, or none.
fn prepare_identity(draft: &mut Draft<'_>) {
    let mut planned = draft.planned.get("identity").clone();
    let prior = draft.prior.get("identity");
    let same_type = match (planned.get("type").as_str(), prior.get("type").as_str()) {
        (Some(planned), Some(prior)) => same_identity_type(planned, prior),
        _ => false,
    };
    if planned.is_known() && prior.is_known() && !same_type {
        for name in ["principal_id", "tenant_id"] {
            planned.set(name, Value::Unknown);
        }
        draft.planned.set("identity", planned);
    }
}

fn check_identity(identity: &Value, path: &Path, found: &mut Diagnostics) {
    let (Some(kind), ids) = (identity.get("type").as_str(), identity.get("identity_ids")) else {
        return;
    };
    let user = kind.contains("UserAssigned");
    if user && ids.is_empty() {
        found.error(
            path.then("identity_ids"),
            "identity_ids is missing",
            format!("type = {kind:?} needs the IDs of the user-assigned identities in identity_ids."),
        );
    }
    if !user && !ids.is_empty() && !ids.is_unknown() {
        found.error(
            path.then("identity_ids"),
            "Unexpected identity_ids",
            format!("type = {kind:?} allows no identity_ids. Remove them, or use \"UserAssigned\" or \"SystemAssigned, UserAssigned\"."),
        );
    }
}

#[cfg(test)]
#[path = "gallery_tests.rs"]
mod tests;
