//! `azimage_snapshot`, the worked example of CONTRIBUTING.md: a snapshot of a managed disk.

use async_trait::async_trait;
use azimage::arm::{Error, ResourceId};
use azimage::azure::attributes::{self, check_filled};
use azimage::azure::objects::source::{DISK, SNAPSHOT};
use azimage::azure::pipeline::{Change, Managed, Step, Task, Update};
use azimage::azure::tags::{self, Tags};
use azimage::azure::{Context, body, identity, provisioning};
use azimage::framework::timeouts::Defaults;
use azimage::framework::{Draft, IdentityField, ImportFrom, MoveFrom, Op, Resource, Timeouts};
use azimage::model;
use azimage::schema::spec::{block, computed, required};
use azimage::schema::{Diagnostic, Diagnostics};
use serde_json::{Value as Json, json};

model! {
    /// Manages a snapshot of a managed disk.
    pub struct Model {
        /// The ARM ID of the snapshot.
        pub id: Option<String> = computed(),
        /// The name of the snapshot.
        pub name: String = required().force_new().check_text(check_filled),
        /// The name of the resource group of the snapshot.
        pub resource_group_name: String = attributes::resource_group_name(),
        /// The ID of the subscription of the snapshot. Defaults to the provider's.
        pub subscription_id: Option<String> = attributes::subscription_id(),
        /// The region of the snapshot, in any spelling.
        pub location: String = attributes::location(),
        /// The ID of the managed disk.
        pub disk_id: String = attributes::id_of(required().force_new(), DISK),
        /// The tags of the snapshot.
        pub tags: Option<Tags> = attributes::tags(),
        /// All tags of the snapshot, the provider's `default_tags` included.
        pub tags_all: Option<Tags> = computed(),
        /// The state of the last operation on the snapshot. `Succeeded` when the snapshot is healthy.
        pub provisioning_state: Option<String> = computed().volatile(),
        /// How long each operation may take.
        pub timeouts: Option<Timeouts> = block(),
    }
}

/// The resource.
pub struct Snapshot;

fn id_of(model: &Model) -> ResourceId {
    let subscription = model.subscription_id.as_deref().unwrap_or_default();
    ResourceId::new(SNAPSHOT, subscription, &model.resource_group_name, &[&model.name])
}

#[async_trait]
impl Resource<Context> for Snapshot {
    type Model = Model;

    const TYPE_NAME: &'static str = "azimage_snapshot";

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
        let id = identity::import(context, from, identity::IN_GROUP, SNAPSHOT, Self::TYPE_NAME)?;
        Ok(Model {
            id: Some(id.to_string()),
            name: id.name().to_owned(),
            resource_group_name: id.resource_group().to_owned(),
            subscription_id: Some(id.subscription_id().to_owned()),
            ..Model::default()
        })
    }

    fn prepare(&self, context: Option<&Context>, draft: &mut Draft<'_>) {
        tags::prepare(context, draft);
        identity::prepare_subscription(context, draft);
        provisioning::plan_retry_if_unfinished(draft);
    }

    async fn check(&self, context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
        tags::check_required(context, draft, found);
        if draft.is_create() {
            identity::check_location(context, op, draft, found).await;
        }
    }

    fn moves_from(&self) -> Vec<MoveFrom> {
        identity::moves_from("azurerm_snapshot", &[SNAPSHOT])
    }
}

#[async_trait]
impl Managed for Snapshot {
    const NOUN: &'static str = "snapshot";

    fn resource_id(&self, context: &Context, model: &Model) -> Result<ResourceId, Diagnostic> {
        let subscription = context.subscription(model.subscription_id.as_deref())?;
        Ok(ResourceId::new(SNAPSHOT, subscription, &model.resource_group_name, &[&model.name]))
    }

    async fn expand_new(&self, task: &Task<'_>, plan: &Model) -> Result<Json, Diagnostics> {
        Ok(json!({
            "location": plan.location,
            "tags": tags::merged(task.context, plan.tags.as_ref()),
            "properties": {"creationData": {"createOption": "Copy", "sourceResourceId": plan.disk_id}},
        }))
    }

    // only the tags can change in place
    fn steps<'s>(&'s self, update: Update<'s, Model>, _current: &Json) -> Vec<Step<'s>> {
        vec![Box::new(move |_| {
            Change::Patch(json!({"tags": tags::merged(update.context, update.plan.tags.as_ref())}))
        })]
    }

    async fn flatten(
        &self,
        task: &Task<'_>,
        object: &Json,
        id: &ResourceId,
        known: &Model,
    ) -> Result<Model, Error> {
        let all = tags::all(object);
        let source = body::text(object, "properties.creationData.sourceResourceId");
        Ok(Model {
            id: Some(id.to_string()),
            name: id.name().to_owned(),
            resource_group_name: id.resource_group().to_owned(),
            subscription_id: Some(id.subscription_id().to_owned()),
            location: body::text(object, "location").unwrap_or_else(|| known.location.clone()),
            disk_id: source.unwrap_or_else(|| known.disk_id.clone()),
            tags: tags::own(task.context, &all, known.tags.as_ref(), known.tags_all.as_ref()),
            tags_all: Some(all),
            provisioning_state: body::text(object, "properties.provisioningState"),
            timeouts: known.timeouts.clone(),
        })
    }
}
