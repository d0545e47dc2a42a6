//! A managed image in the pipeline: what is sent, and how an answer is read.

use async_trait::async_trait;
use serde_json::{Value as Json, json};

use super::capture::{self, Capture};
use super::{ManagedImage, Model};
use crate::arm::id::MANAGED_IMAGE;
use crate::arm::{Error, ResourceId};
use crate::azure::objects::managed_image::{self as object, DataDisk};
use crate::azure::pipeline::{Change, Managed, Start, Step, Task, Update};
use crate::azure::provisioning::is_failed;
use crate::azure::{Context, body, fault, tags};
use crate::schema::{Diagnostic, Diagnostics, Set};

#[async_trait]
impl Managed for ManagedImage {
    const NOUN: &'static str = "managed image";

    fn resource_id(&self, context: &Context, model: &Model) -> Result<ResourceId, Diagnostic> {
        let subscription = context.subscription(model.subscription_id.as_deref())?;
        Ok(ResourceId::new(MANAGED_IMAGE, subscription, &model.resource_group_name, &[&model.name]))
    }

    fn diagnose(error: &Error, what: &str, id: &str) -> Diagnostic {
        capture::advise(fault::diagnostic(error, what, id), error)
    }

    // the machine is prepared only when nothing of that name exists: a generalized machine cannot be started again
    async fn before_create(&self, task: &Task<'_>, plan: &mut Model) -> Result<Start, Diagnostics> {
        if let Some(capture) = plan.capture.clone() {
            let generation = capture::prepare_machine(task, plan, &capture).await?;
            plan.hyper_v_generation = plan.hyper_v_generation.take().or(generation);
        }
        Ok(Start::New)
    }

    async fn expand_new(&self, task: &Task<'_>, plan: &Model) -> Result<Json, Diagnostics> {
        Ok(expand(task.context, plan))
    }

    // only the tags of an image change; the capture block says how the image was made
    fn steps<'s>(&'s self, update: Update<'s, Model>, _current: &Json) -> Vec<Step<'s>> {
        let tags = json!(tags::merged(update.context, update.plan.tags.as_ref()));
        vec![Box::new(move |current| {
            let mut whole = current.clone();
            body::keep_only(&mut whole, &["location", "extendedLocation", "properties"]);
            body::set(&mut whole, "properties.provisioningState", Json::Null);
            whole["tags"] = tags.clone();
            match is_failed(current) {
                true => Change::Put(whole),
                // the service may refuse the whole image when its sources are gone
                false => Change::PutOrPatch(whole, json!({"tags": tags})),
            }
        })]
    }

    async fn flatten(
        &self,
        task: &Task<'_>,
        object: &Json,
        id: &ResourceId,
        known: &Model,
    ) -> Result<Model, Error> {
        Ok(flatten(task.context, object, id, known))
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
        body::set(&mut body, "properties.storageProfile", object::expand(os_disk, &plan.data_disk));
    }
    if plan.zone_resilient == Some(true) {
        body::set(&mut body, "properties.storageProfile.zoneResilient", json!(true));
    }
    body
}

/// The image in the model. Whatever the answer does not say stays as in `known`.
pub fn flatten(context: &Context, answer: &Json, id: &ResourceId, known: &Model) -> Model {
    // an import knows no disks, and a known image without data disks has none
    let known_disks: Option<&[DataDisk]> = known.os_disk.as_ref().map(|_| known.data_disk.as_slice());
    let image = object::ManagedImage::read_over(answer, known.os_disk.as_ref(), known_disks);
    let capture = match (&known.capture, image.source_virtual_machine_id) {
        (Some(known), machine) => Some(Capture {
            virtual_machine_id: machine.unwrap_or_else(|| known.virtual_machine_id.clone()),
            ..known.clone()
        }),
        (None, Some(machine)) if known.os_disk.is_none() => Some(Capture::imported(machine)),
        (None, _) => None,
    };
    // the disks of a captured image follow from its machine and cannot be configured
    let (os_disk, data_disk) = match &capture {
        Some(_) => (None, Set::default()),
        None => (image.os_disk, image.data_disk),
    };
    Model {
        id: Some(id.to_string()),
        name: id.name().to_owned(),
        resource_group_name: id.resource_group().to_owned(),
        subscription_id: Some(id.subscription_id().to_owned()),
        location: image.location.unwrap_or_else(|| known.location.clone()),
        hyper_v_generation: image.hyper_v_generation.or_else(|| known.hyper_v_generation.clone()),
        zone_resilient: image.zone_resilient.or(known.zone_resilient).or(Some(false)),
        tags: tags::own(context, &image.tags, known.tags.as_ref(), known.tags_all.as_ref()),
        tags_all: Some(image.tags),
        provisioning_state: image.provisioning_state.or_else(|| known.provisioning_state.clone()),
        capture,
        os_disk,
        data_disk,
        timeouts: known.timeouts.clone(),
    }
}
