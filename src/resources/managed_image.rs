//! `azimage_managed_image`: an image in one region, captured from a virtual machine or made of disks.

mod capture;
mod disks;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use serde_json::{Value as Json, json};

use crate::arm::id::MANAGED_IMAGE;
use crate::arm::{Error, ResourceId, Scope, Target, id};
use crate::azure::attributes::{self, check_image_name};
use crate::azure::context::scope;
use crate::azure::tags::{self, Tags};
use crate::azure::writing::{self, Outcome, Written};
use crate::azure::{COMPUTE_API, Context, body, fault, identity};
use crate::framework::spelling::is_unchanged;
use crate::framework::timeouts::Defaults;
use crate::framework::{
    Draft, Failed, IdentityField, ImportFrom, MoveSource, Op, Private, Resource, Timeouts,
};
use crate::model;
use crate::schema::spec::{block, computed, optional, optional_computed, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Set, Value};
use capture::Capture;
use disks::{DataDisk, OsDisk, check_sources};

model! {
    /// Manages a managed image: an image in one region, captured from a virtual machine or made of disks. For images
    /// in many regions, and for machines with Trusted Launch, use an image version in a gallery.
    pub struct Model {
        /// The ARM id of the image.
        pub id: Option<String> = computed(),
        /// The name of the image, unique in the resource group: letters, digits, underscores, full stops and hyphens.
        pub name: String = required().force_new().equivalent_if(attributes::eq_ignore_case).check_text(check_image_name),
        /// The resource group that the image is in.
        pub resource_group_name: String = attributes::resource_group_name(),
        /// The subscription that the image is in. The provider's unless set.
        pub subscription_id: Option<String> = attributes::subscription_id(),
        /// The region that the image is in, in any spelling: that of its virtual machine or its disks.
        pub location: String = attributes::location(),
        /// The generation of the virtual machines that the image is for, `V1` or `V2`. That of the captured virtual
        /// machine unless set; `V1` for an image made of disks.
        pub hyper_v_generation: Option<String> = optional_computed().force_new().one_of(&["V1", "V2"]),
        /// Whether the image is kept in several zones of its region, which must have some.
        pub zone_resilient: Option<bool> = optional().default(false).force_new(),
        /// Tags of the image.
        pub tags: Option<Tags> = attributes::tags(),
        /// All tags of the image, the provider's `default_tags` included.
        pub tags_all: Option<Tags> = computed(),
        /// State of the last operation on the image, `Succeeded` when all is well.
        pub provisioning_state: Option<String> = computed().volatile(),
        /// Makes the image from a virtual machine. Exactly one of `capture` and `os_disk` must stand.
        pub capture: Option<Capture> = block(),
        /// Makes the image of disks: the one with the operating system. Exactly one of `capture` and `os_disk` must
        /// stand.
        pub os_disk: Option<OsDisk> = block().check(check_sources),
        /// Makes the image of disks: those with data.
        pub data_disk: Set<DataDisk> = block().key(disks::key).check(check_sources).force_new(),
        /// How long each operation may take.
        pub timeouts: Option<Timeouts> = block(),
    }
}

/// The resource type.
pub struct ManagedImage;

const IDENTITY: &[IdentityField] =
    &[identity::SUBSCRIPTION_ID, identity::RESOURCE_GROUP_NAME, identity::NAME];

const NOUN: &str = "managed image";

#[async_trait]
impl Resource<Context> for ManagedImage {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_managed_image"
    }

    fn identity(&self) -> &'static [IdentityField] {
        IDENTITY
    }

    fn identify(&self, model: &Model) -> Vec<Option<String>> {
        vec![model.subscription_id.clone(), Some(model.resource_group_name.clone()), Some(model.name.clone())]
    }

    fn id(&self, model: &Model) -> Option<String> {
        Some(id_of(model).to_string())
    }

    fn timeouts(&self) -> Defaults {
        Defaults::minutes(90, 5, 90, 90)
    }

    fn import(&self, context: Option<&Context>, from: &ImportFrom) -> Result<Model, Diagnostic> {
        let id = match from {
            ImportFrom::Id(id) => identity::parse(id, MANAGED_IMAGE, Resource::type_name(self))?,
            ImportFrom::Identity(given) => ResourceId::managed_image(
                identity::subscription(context, given)?,
                identity::text(given, &identity::RESOURCE_GROUP_NAME),
                identity::text(given, &identity::NAME),
            ),
        };
        Ok(stub(&id))
    }

    fn validate(&self, config: &Value, found: &mut Diagnostics) {
        let (capture, os_disk, data_disks) =
            (config.get("capture"), config.get("os_disk"), config.get("data_disk"));
        if capture.is_known() && os_disk.is_known() {
            found.error(
                Path::attribute("os_disk"),
                "The image has two sources",
                "Keep either the capture block, which makes it from a virtual machine, or the os_disk block, which makes it of disks.",
            );
        }
        if capture.is_null() && os_disk.is_null() {
            found.error(
                Path::root(),
                "The image has no source",
                "Add a capture block to make it from a virtual machine, or an os_disk block to make it of disks.",
            );
        }
        if capture.is_known() && !data_disks.elements().is_empty() {
            found.error(
                Path::attribute("data_disk"),
                "data_disk does not go with capture",
                "A captured virtual machine brings its data disks along: remove the data_disk blocks.",
            );
        }
        disks::check_luns(data_disks, found);
    }

    fn prepare(&self, context: Option<&Context>, draft: &mut Draft<'_>) {
        tags::prepare(context, draft);
        identity::prepare_subscription(context, draft);
        disks::prepare(draft);
        // a captured machine tells its generation only when it is captured
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
        // what an earlier run left unfinished or broken is taken up again
        let state = draft.prior.get("provisioning_state").as_str();
        if matches!(state, Some("Creating" | "Updating" | "Failed")) {
            draft.planned.set("provisioning_state", Value::Unknown);
        }
    }

    async fn check(&self, context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
        tags::check_required(context, draft, found);
        if draft.is_create() {
            identity::check_location(context, op, draft, found).await;
            capture::check(context, op, draft, found).await;
            disks::check(context, op, draft, found).await;
        }
    }

    async fn read(
        &self,
        context: &Context,
        op: &Op,
        state: Model,
        _private: &mut Private,
    ) -> Result<Option<Model>, Diagnostics> {
        let id = id_of(&state);
        let doing = format!("reading managed image {:?}", state.name);
        let (scope, target) = (scope(op, &doing), target(&id));
        let turn = context.read(&scope, &target).await;
        let listed = turn.listed.as_ref().map(|body| flatten(context, body, &id, &state));
        if let Some(listed) = listed.filter(|listed| is_unchanged(listed, &state)) {
            return Ok(Some(listed));
        }
        let found = context.client.get_opt(&scope, &target).await;
        let body = found.map_err(|error| fault::diagnostic(&error, &doing, &id.to_string()))?;
        Ok(body.map(|body| {
            // an import may have spelt it in any way
            let id = if state.location.is_empty() { identity::as_told(&id, &body) } else { id };
            flatten(context, &body, &id, &state)
        }))
    }

    async fn create(
        &self,
        context: &Context,
        op: &Op,
        mut plan: Model,
        private: &mut Private,
    ) -> Result<Model, Failed<Model>> {
        let subscription = context.subscription(plan.subscription_id.as_deref())?;
        let id = ResourceId::managed_image(subscription, &plan.resource_group_name, &plan.name);
        let scope = scope(op, format!("creating managed image {:?}", plan.name));
        let _guard = context.lock(&id.to_string()).await;
        // looked at before anything is done to the machine: a generalized one can never be started again
        let type_name = Resource::type_name(self);
        if let Some(left) = writing::existing(context, &scope, &target(&id), NOUN, type_name).await? {
            if !is_same(&left, &plan) {
                return Err(writing::already_exists(&id.to_string(), NOUN, type_name).into());
            }
            let settled = writing::settled(&context.client, &scope, &target(&id)).await;
            let settled =
                settled.map_err(|error| fault::diagnostic(&error, scope.what(), &id.to_string()))?;
            // an image that did come to be is ours; one that did not, or vanished, is made anew below
            if let Some(written) = settled
                && body::text(&written.body, "properties.provisioningState").as_deref() != Some("Failed")
                && tags::all(&written.body) == tags::merged(context, plan.tags.as_ref())
            {
                return conclude(context, op, &scope, &id, &plan, written);
            }
        }
        if let Some(capture) = plan.capture.clone() {
            let generation = capture::ready(context, op, &scope, &plan, &capture).await?;
            plan.hyper_v_generation = plan.hyper_v_generation.or(generation);
        }
        let body = expand(context, &plan);
        let written = writing::create(&context.client, &scope, &target(&id), &body, private).await.map_err(
            |error| capture::refused(fault::diagnostic(&error, scope.what(), &id.to_string()), &error),
        )?;
        conclude(context, op, &scope, &id, &plan, written)
    }

    async fn update(
        &self,
        context: &Context,
        op: &Op,
        prior: Model,
        plan: Model,
        private: &mut Private,
    ) -> Result<Model, Failed<Model>> {
        let id = id_of(&prior);
        let scope = scope(op, format!("updating managed image {:?}", plan.name));
        let failed = |error: Error| fault::diagnostic(&error, scope.what(), &id.to_string());
        let _guard = context.lock(&id.to_string()).await;
        let Some(current) =
            writing::resume(&context.client, &scope, &target(&id), private).await.map_err(failed)?
        else {
            return Err(identity::vanished(NOUN, &id).into());
        };
        let wanted = tags::merged(context, plan.tags.as_ref());
        let broken = body::text(&current.body, "properties.provisioningState").as_deref() == Some("Failed");
        // of a finished image only the tags change: what is in the capture block tells how it was made
        let same_tags = tags::all(&current.body) == wanted;
        if let Outcome::Unfinished(error) = &current.outcome
            && !same_tags
        {
            // nothing of this change was sent
            return Err(fault::diagnostic(error, scope.what(), &id.to_string()).into());
        }
        if same_tags && !broken || matches!(current.outcome, Outcome::Unfinished(_)) {
            return conclude(context, op, &scope, &id, &plan, current);
        }
        let desired = retagged(&current.body, &wanted);
        let written = match writing::put(&context.client, &scope, &target(&id), &desired, private).await {
            Ok(written) => written,
            // the whole body names sources that may be long gone; tags alone do not
            Err(error) if !broken && matches!(error.status, Some(400 | 404 | 409)) => {
                tracing::debug!(%error, "the whole image is refused; sending its tags alone");
                patch_tags(context, &scope, &id, &wanted).await.map_err(|_| failed(error))?
            }
            Err(error) => return Err(failed(error).into()),
        };
        conclude(context, op, &scope, &id, &plan, written)
    }

    async fn delete(
        &self,
        context: &Context,
        op: &Op,
        prior: Model,
        _private: &mut Private,
    ) -> Result<(), Diagnostics> {
        let id = id_of(&prior);
        let scope = scope(op, format!("deleting managed image {:?}", prior.name));
        let _guard = context.lock(&id.to_string()).await;
        writing::delete(context, &scope, &target(&id))
            .await
            .map_err(|error| fault::diagnostic(&error, scope.what(), &id.to_string()).into())
    }

    fn move_from(&self, source: &MoveSource) -> Option<Result<Model, Diagnostic>> {
        identity::moved(source, "azurerm_image", MANAGED_IMAGE).map(|id| id.map(|id| stub(&id)))
    }
}

fn target(id: &ResourceId) -> Target {
    Target::new(id.to_string(), COMPUTE_API)
}

fn id_of(model: &Model) -> ResourceId {
    ResourceId::managed_image(
        model.subscription_id.as_deref().unwrap_or_default(),
        &model.resource_group_name,
        &model.name,
    )
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

// The body of a new image.
fn expand(context: &Context, plan: &Model) -> Json {
    let mut body = json!({
        "location": plan.location,
        "tags": tags::merged(context, plan.tags.as_ref()),
        "properties": {},
    });
    if let Some(generation) = &plan.hyper_v_generation {
        body::set(&mut body, "properties.hyperVGeneration", json!(generation));
    }
    if let Some(capture) = &plan.capture {
        body::set(&mut body, "properties.sourceVirtualMachine.id", json!(capture.virtual_machine_id));
    }
    if let Some(os_disk) = &plan.os_disk {
        body::set(&mut body, "properties.storageProfile", disks::expand(os_disk, &plan.data_disk));
    }
    if plan.zone_resilient == Some(true) {
        body::set(&mut body, "properties.storageProfile.zoneResilient", json!(true));
    }
    body
}

// What the service has, with other tags: a PUT leaves nothing out.
fn retagged(current: &Json, tags: &Tags) -> Json {
    let mut body = current.clone();
    body::keep_only(&mut body, &["location", "extendedLocation", "properties"]);
    body::set(&mut body, "properties.provisioningState", Json::Null);
    body["tags"] = json!(tags);
    body
}

async fn patch_tags(
    context: &Context,
    scope: &Scope,
    id: &ResourceId,
    tags: &Tags,
) -> Result<Written, Error> {
    let accepted = context.client.patch(scope, &target(id), &json!({"tags": tags})).await?;
    if let Some(operation) = accepted.operation {
        context.client.wait(scope, &operation).await?;
    }
    let body = context.client.get(scope, &target(id)).await?;
    Ok(Written { body, outcome: Outcome::Done })
}

// Whether an image that is coming to be is the one that is planned: left by a run that was killed.
fn is_same(left: &Json, plan: &Model) -> bool {
    let machine = body::text(left, "properties.sourceVirtualMachine.id");
    let same_source = match (&plan.capture, &plan.os_disk, machine) {
        (Some(capture), _, Some(machine)) => id::same_id(&machine, &capture.virtual_machine_id),
        (None, Some(os_disk), None) => {
            disks::flatten_os_disk(left, Some(os_disk)).is_some_and(|left| {
                let same = |a: &Option<String>, b: &Option<String>| match (a, b) {
                    (Some(a), Some(b)) => id::same_id(a, b),
                    (a, b) => a == b,
                };
                same(&left.managed_disk_id, &os_disk.managed_disk_id)
                    && same(&left.snapshot_id, &os_disk.snapshot_id)
                    && left.blob_uri == os_disk.blob_uri
            }) && {
                let have = body::items(left, "properties.storageProfile.dataDisks");
                let lun = |disk: &Json| body::int(disk, "lun");
                have.len() == plan.data_disk.len()
                    && plan.data_disk.iter().all(|disk| have.iter().any(|have| lun(have) == Some(disk.lun)))
            }
        }
        _ => false,
    };
    let zones = body::bool(left, "properties.storageProfile.zoneResilient") == Some(true);
    same_source
        && attributes::same_region(left, &plan.location)
        && zones == (plan.zone_resilient == Some(true))
}

// The state after a write, however far it came.
fn conclude(
    context: &Context,
    op: &Op,
    scope: &Scope,
    id: &ResourceId,
    plan: &Model,
    written: Written,
) -> Result<Model, Failed<Model>> {
    let mut state = flatten(context, &written.body, id, plan);
    match written.outcome {
        Outcome::Done => Ok(state),
        Outcome::Unfinished(error) => {
            state.tags = plan.tags.clone();
            state.tags_all = Some(tags::merged(context, plan.tags.as_ref()));
            op.warn(writing::unfinished(NOUN, &id.to_string(), &error, ""));
            Ok(state)
        }
        Outcome::Failed(error) => {
            let told = capture::refused(fault::diagnostic(&error, scope.what(), &id.to_string()), &error);
            Err(Failed::with(state, told))
        }
    }
}

// The image in the words of the schema; `known` is what was known of it before.
fn flatten(context: &Context, body: &Json, id: &ResourceId, known: &Model) -> Model {
    let all = tags::all(body);
    let machine = body::text(body, "properties.sourceVirtualMachine.id");
    // a captured image tells its disks too: they follow from the machine, and are nobody's to configure
    let capture = match (&known.capture, machine) {
        (Some(known), machine) => Some(Capture {
            virtual_machine_id: machine.unwrap_or_else(|| known.virtual_machine_id.clone()),
            ..known.clone()
        }),
        (None, Some(machine)) if known.os_disk.is_none() => Some(Capture::imported(machine)),
        (None, _) => None,
    };
    // right after a write that was interrupted, the service's answer may say nothing of disks at all
    let silent = body::at(body, "properties.storageProfile").is_none();
    let (os_disk, data_disk) = match &capture {
        Some(_) => (None, Set::default()),
        None if silent => (known.os_disk.clone(), known.data_disk.clone()),
        None => (
            disks::flatten_os_disk(body, known.os_disk.as_ref()),
            disks::flatten_data_disks(body, &known.data_disk),
        ),
    };
    let zone_resilient = match body::bool(body, "properties.storageProfile.zoneResilient") {
        None if silent => known.zone_resilient,
        told => Some(told.unwrap_or_default()),
    };
    Model {
        id: Some(id.to_string()),
        name: id.name().to_owned(),
        resource_group_name: id.resource_group().to_owned(),
        subscription_id: Some(id.subscription_id().to_owned()),
        location: body::text(body, "location").unwrap_or_else(|| known.location.clone()),
        hyper_v_generation: body::text(body, "properties.hyperVGeneration")
            .or_else(|| known.hyper_v_generation.clone()),
        zone_resilient,
        tags: tags::own(context, &all, known.tags.as_ref(), known.tags_all.as_ref()),
        tags_all: Some(all),
        provisioning_state: body::text(body, "properties.provisioningState"),
        capture,
        os_disk,
        data_disk,
        timeouts: known.timeouts.clone(),
    }
}
