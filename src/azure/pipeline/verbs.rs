//! Create, read, update and delete for all resources; a resource adds only what is special to it.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value as Json;

use super::existing::{Found, already_exists, find};
use super::members::{Member, requiring};
use super::parents;
use super::state::{accepted_state, is_as_planned, may_exist, unfinished};
use super::write::{Change, Ended, NotBegun, Outcome, Task, WaitUntil, Write, forget_if_final};
use crate::arm::{Error, ResourceId, Target};
use crate::azure::provisioning::{is_failed, is_in_flight};
use crate::azure::replication::Replication;
use crate::azure::run_log::Event;
use crate::azure::{Call, Context, body, fault, identity};
use crate::framework::spelling::is_unchanged;
use crate::framework::{Failed, Op, Operations, Private, Resource};
use crate::schema::{Diagnostic, Diagnostics, Slot, Value};

/// One step of an update: makes the request from the current object.
pub type Step<'s> = Box<dyn Fn(&Json) -> Change + Send + Sync + 's>;

/// A planned update.
pub struct Update<'s, M> {
    /// The configured provider.
    pub context: &'s Context,
    /// The prior state.
    pub prior: &'s M,
    /// The plan.
    pub plan: &'s M,
}

/// How a creation starts.
pub enum Start {
    /// With the body of [`expand_new`](Managed::expand_new).
    New,
    /// With this body, which restores a deleted object. The steps of an update follow.
    Restore(Json),
}

/// A resource type whose objects are in Resource Manager, as the pipeline sees it. Implements [`Operations`].
#[async_trait]
pub trait Managed: Resource<Context> {
    /// Its name in messages: `image version`.
    const NOUN: &'static str;

    /// Whether it has child resources, which need its body: the run keeps the last one.
    const IS_PARENT: bool = false;

    /// The attributes that older API versions lack.
    const MEMBERS: &'static [Member] = &[];

    /// Dotted paths, also through lists, of members that the service may not return as they were sent.
    const UNREPORTED: &'static [&'static str] = &[];

    /// Whether an object whose creation failed cannot be repaired, so that it is deleted before it is created again.
    const RECREATES_FAILED: bool = false;

    /// The ID of the object that `model` describes, a plan or a state.
    fn resource_id(&self, context: &Context, model: &Self::Model) -> Result<ResourceId, Diagnostic>;

    /// The target of writes.
    fn target(&self, id: &ResourceId) -> Target {
        Target::at(id.to_string())
    }

    /// The target of reads, if they need query options.
    fn read_target(&self, id: &ResourceId) -> Target {
        self.target(id)
    }

    /// The object in messages: `image version "1.0.0" of "web"`.
    fn label(&self, id: &ResourceId) -> String {
        format!("{} {:?}", Self::NOUN, id.name())
    }

    /// A task for messages such as "creating image version …", where `verb` is "creating".
    fn task<'a>(&self, context: &'a Context, op: &'a Op, verb: &str, id: ResourceId) -> Task<'a> {
        Task::new(context, op, format!("{verb} {}", self.label(&id)), id, Self::diagnose)
    }

    /// The error to show for a failed call, which may point at an attribute and add advice.
    fn diagnose(error: &Error, what: &str, id: &str) -> Diagnostic {
        fault::diagnostic(error, what, id)
    }

    /// Prepares a creation once it is certain that nothing is there: checks, or steps that must come first.
    async fn before_create(&self, _task: &Task<'_>, _plan: &mut Self::Model) -> Result<Start, Diagnostics> {
        Ok(Start::New)
    }

    /// The body of a new object.
    async fn expand_new(&self, task: &Task<'_>, plan: &Self::Model) -> Result<Json, Diagnostics>;

    /// The requests that turn the object `current` into the plan, in order. One that changes nothing is not sent.
    fn steps<'s>(&'s self, update: Update<'s, Self::Model>, current: &Json) -> Vec<Step<'s>>;

    /// How long to wait for the last request. `object` is what was sent or read last.
    fn wait_until(&self, _context: &Context, _plan: &Self::Model, _object: &Json) -> WaitUntil {
        WaitUntil::Final
    }

    /// Whether a creation manages a finished object that is there already, and changes it to `plan`. `is_retained`: this run
    /// has dropped it from the state and left it in Azure.
    fn can_adopt(&self, _plan: &Self::Model, _object: &Json, _is_retained: bool) -> bool {
        false
    }

    /// How long to wait before a request that was refused with `error` is made again, from the object as it is then. `attempt`
    /// counts from 1. `None` gives up.
    fn retry_after(&self, _error: &Error, _attempt: usize) -> Option<Duration> {
        None
    }

    /// The error to show for a refused creation, which may look up more about it.
    async fn explain(&self, task: &Task<'_>, _plan: &Self::Model, error: &Error) -> Diagnostic {
        task.failed(error)
    }

    /// The object in the model. `known` is the state or the plan, for values that the service does not return.
    async fn flatten(
        &self,
        task: &Task<'_>,
        object: &Json,
        id: &ResourceId,
        known: &Self::Model,
    ) -> Result<Self::Model, Error>;

    /// Whether a body read without the options of [`read_target`](Managed::read_target) suffices to refresh `state`;
    /// asked before there is a body, and again with it.
    fn plain_read_suffices(&self, _state: &Self::Model, _object: Option<&Json>) -> bool {
        true
    }

    /// Whether nothing but the ID is known of the object yet, as after an import or a move.
    fn is_imported(&self, state: &Self::Model) -> bool {
        state.encode().get("provisioning_state").is_null()
    }

    /// Completes the first read after an import.
    async fn complete_import(&self, _task: &Task<'_>, _state: &mut Self::Model) {}

    /// Adjusts the state after a write, with warnings for what the service did differently. `prior` is the state
    /// before, `None` for a creation.
    fn adjust(
        &self,
        _task: &Task<'_>,
        _plan: &Self::Model,
        _prior: Option<&Self::Model>,
        _ended: &Ended,
        _state: &mut Self::Model,
    ) {
    }

    /// Does what follows a write that ended well, such as sharing a gallery.
    async fn after_write(
        &self,
        _task: &Task<'_>,
        _plan: &Self::Model,
        _prior: Option<&Self::Model>,
        state: Self::Model,
    ) -> Result<Self::Model, Failed<Self::Model>> {
        Ok(state)
    }

    /// Removes the object `prior`, which is locked meanwhile.
    async fn remove(
        &self,
        task: &Task<'_>,
        _prior: &Self::Model,
        _private: &mut Private,
    ) -> Result<(), Diagnostics> {
        let target = self.target(&task.id);
        parents::remove(task.context, &task.scope, &target).await.map_err(|error| task.failed(&error).into())
    }

    /// See [`Operations::read`].
    async fn read(&self, call: Call<'_>, state: Self::Model) -> Result<Option<Self::Model>, Diagnostics> {
        read(self, call, state).await
    }

    /// See [`Operations::create`].
    async fn create(&self, call: Call<'_>, plan: Self::Model) -> Result<Self::Model, Failed<Self::Model>> {
        create(self, call, plan).await
    }

    /// See [`Operations::update`].
    async fn update(
        &self,
        call: Call<'_>,
        prior: Self::Model,
        plan: Self::Model,
    ) -> Result<Self::Model, Failed<Self::Model>> {
        update(self, call, prior, plan).await
    }

    /// See [`Operations::delete`].
    async fn delete(&self, call: Call<'_>, prior: Self::Model) -> Result<(), Diagnostics> {
        let id = self.resource_id(call.context, &prior)?;
        let task = self.task(call.context, call.op, "deleting", id);
        let _guard = call.context.lock(&task.id.to_string()).await;
        self.remove(&task, &prior, call.private).await
    }
}

#[async_trait]
impl<R: Managed> Operations<Context> for R {
    async fn read(&self, call: Call<'_>, state: R::Model) -> Result<Option<R::Model>, Diagnostics> {
        Managed::read(self, call, state).await
    }

    async fn create(&self, call: Call<'_>, plan: R::Model) -> Result<R::Model, Failed<R::Model>> {
        Managed::create(self, call, plan).await
    }

    async fn update(
        &self,
        call: Call<'_>,
        prior: R::Model,
        plan: R::Model,
    ) -> Result<R::Model, Failed<R::Model>> {
        Managed::update(self, call, prior, plan).await
    }

    async fn delete(&self, call: Call<'_>, prior: R::Model) -> Result<(), Diagnostics> {
        Managed::delete(self, call, prior).await
    }
}

// Where the object of `plan` is written, with an API version that has everything in the plan.
fn write_target<R: Managed + ?Sized>(resource: &R, id: &ResourceId, plan: &R::Model) -> Target {
    requiring(resource.target(id), &plan.encode(), R::MEMBERS)
}

/// Adds an error for each attribute of `plan` that the API version in use lacks, once that version is known.
pub fn check_api_version<R: Managed + ?Sized>(
    resource: &R,
    context: &Context,
    plan: &Value,
    found: &mut Diagnostics,
) {
    let Ok(id) = resource.resource_id(context, &R::Model::decode(plan)) else { return };
    let using = context.client.api_version_of(&resource.target(&id));
    let missing = R::MEMBERS.iter().filter(|member| !using.has(member.since()) && member.is_in(plan));
    for member in missing.filter(|_| using.is_confirmed) {
        found.error(
            member.path(),
            format!("{} is not available in this cloud", member.name()),
            format!(
                "It needs API version {} or newer, and this cloud has {} at most. {}",
                member.since(),
                using.version,
                member.remedy()
            ),
        );
    }
}

/// Reads the object of `state`, from a list of its siblings where that only confirms the state. `None` when it is gone.
pub async fn read<R: Managed + ?Sized>(
    resource: &R,
    Call { context, op, private }: Call<'_>,
    state: R::Model,
) -> Result<Option<R::Model>, Diagnostics> {
    let task = resource.task(context, op, "reading", resource.resource_id(context, &state)?);
    context.run.record(&task.id.to_string(), Event::Read);
    let (client, target) = (&context.client, resource.target(&task.id));
    let failed = |error: Error| Diagnostics::from(task.failed(&error));
    if resource.plain_read_suffices(&state, None) {
        let read = context.read(&task.scope, &target).await;
        // a list only confirms the state; anything else needs a GET
        if let Some(object) = &read.listed
            && resource.plain_read_suffices(&state, Some(object))
            && let Ok(listed) = resource.flatten(&task, object, &task.id, &state).await
            && is_unchanged(&listed, &state)
        {
            remember::<R>(&task, object);
            return Ok(Some(listed));
        }
        let Some(object) = client.get_opt(&task.scope, &target).await.map_err(failed)? else {
            return Ok(None);
        };
        if resource.plain_read_suffices(&state, Some(&object)) {
            return finish_read(resource, &task, object, state, private).await;
        }
    }
    match client.get_opt(&task.scope, &resource.read_target(&task.id)).await.map_err(failed)? {
        Some(object) => finish_read(resource, &task, object, state, private).await,
        None => Ok(None),
    }
}

async fn finish_read<R: Managed + ?Sized>(
    resource: &R,
    task: &Task<'_>,
    object: Json,
    state: R::Model,
    private: &mut Private,
) -> Result<Option<R::Model>, Diagnostics> {
    forget_if_final(private, &object);
    remember::<R>(task, &object);
    // an import may have spelt the ID in any way
    let imported = resource.is_imported(&state);
    let id = if imported { identity::id_as_returned_by_azure(&task.id, &object) } else { task.id.clone() };
    match resource.flatten(task, &object, &id, &state).await {
        Ok(mut read) => {
            if imported {
                resource.complete_import(task, &mut read).await;
            }
            Ok(Some(read))
        }
        // deleted between the two reads
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(task.failed(&error).into()),
    }
}

fn remember<R: Managed + ?Sized>(task: &Task<'_>, object: &Json) {
    if R::IS_PARENT {
        task.context.run.remember(&task.id.to_string(), object);
    }
}

/// Creates the object, or joins a creation under way that is exactly what is planned.
pub async fn create<R: Managed + ?Sized>(
    resource: &R,
    Call { context, op, private }: Call<'_>,
    mut plan: R::Model,
) -> Result<R::Model, Failed<R::Model>> {
    let task = resource.task(context, op, "creating", resource.resource_id(context, &plan)?);
    let id = task.id.to_string();
    let target = write_target(resource, &task.id, &plan);
    let _guard = context.lock(&id).await;
    let mut found = find(&task, &target).await?;
    if let Found::Finished(object) = &found
        && R::RECREATES_FAILED
        && is_failed(object)
        && is_planned(resource, &task, &plan, object).await?
    {
        op.warn(recreated_warning(&resource.label(&task.id), &id));
        parents::remove(context, &task.scope, &target).await.map_err(|error| task.failed(&error))?;
        found = Found::Nothing;
    }
    let mut write = Write::new(&task, target, resource.read_target(&task.id), private);
    let (begun, joined) = match found {
        Found::Nothing => {
            let (body, restores) = match resource.before_create(&task, &mut plan).await? {
                Start::New => (resource.expand_new(&task, &plan).await?, false),
                Start::Restore(body) => (body, true),
            };
            // before the request: a plan made meanwhile may see the object before this run has its answer
            context.run.record(&id, Event::Published);
            let put = |_: &Json| Change::Put(body.clone());
            match send(resource, &task, &mut write, &put, None).await {
                Ok(begun) if restores => {
                    let ended = write.wait(&WaitUntil::Final, begun).await;
                    if !matches!(ended.outcome, Outcome::Done) {
                        return state_after_write(resource, &task, &plan, None, ended).await;
                    }
                    return adopt(resource, &task, &plan, ended.body, write).await;
                }
                Ok(begun) => (begun, false),
                Err(lost) if lost.may_exist => {
                    let ended = Ended { body, outcome: Outcome::Unknown(lost.error) };
                    return state_after_write(resource, &task, &plan, None, ended).await;
                }
                Err(refused) => return Err(resource.explain(&task, &plan, &refused.error).await.into()),
            }
        }
        Found::InFlight(object) if is_planned(resource, &task, &plan, &object).await? => (object, true),
        Found::Retained(object) if resource.can_adopt(&plan, &object, true) => {
            return adopt(resource, &task, &plan, object, write).await;
        }
        Found::Finished(object) if resource.can_adopt(&plan, &object, false) => {
            return adopt(resource, &task, &plan, object, write).await;
        }
        Found::InFlight(_) | Found::Retained(_) | Found::Finished(_) => {
            return Err(already_exists(&id, R::NOUN, R::TYPE_NAME).into());
        }
    };
    if joined {
        op.warn(joined_warning(&resource.label(&task.id), &id));
    }
    let ended = write.wait(&resource.wait_until(context, &plan, &begun), begun).await;
    state_after_write(resource, &task, &plan, None, ended).await
}

// Sends the change that `step` makes of `current`, and again where the resource says that this can help.
async fn send<R: Managed + ?Sized>(
    resource: &R,
    task: &Task<'_>,
    write: &mut Write<'_, '_>,
    step: &(dyn Fn(&Json) -> Change + Send + Sync),
    current: Option<&Json>,
) -> Result<Json, NotBegun> {
    let (mut current, mut attempt) = (current.cloned(), 0);
    loop {
        attempt += 1;
        let change = step(current.as_ref().unwrap_or(&Json::Null));
        let refused = match write.begin(&change, current.as_ref()).await {
            Ok(begun) => return Ok(begun),
            Err(refused) => refused,
        };
        let pause = match resource.retry_after(&refused.error, attempt) {
            Some(pause) if task.scope.remaining() > pause => pause,
            _ => return Err(refused),
        };
        tracing::info!(error = %refused.error, "trying again");
        if task.scope.sleep(pause).await.is_err() {
            return Err(refused);
        }
        if current.is_some() {
            match write.look().await {
                Ok(Some(object)) => current = Some(object),
                _ => return Err(refused),
            }
        }
    }
}

// Manages an object that is there already, with the steps that turn it into the plan.
async fn adopt<R: Managed + ?Sized>(
    resource: &R,
    task: &Task<'_>,
    plan: &R::Model,
    object: Json,
    write: Write<'_, '_>,
) -> Result<R::Model, Failed<R::Model>> {
    let prior = resource.flatten(task, &object, &task.id, plan).await;
    let prior = prior.map_err(|error| task.failed(&error))?;
    send_steps(resource, task, &prior, plan, object, write).await
}

// Whether a creation under way is what the configuration says, in every part.
async fn is_planned<R: Managed + ?Sized>(
    resource: &R,
    task: &Task<'_>,
    plan: &R::Model,
    object: &Json,
) -> Result<bool, Diagnostics> {
    let mut wanted = resource.expand_new(task, plan).await?;
    for path in R::UNREPORTED {
        body::remove(&mut wanted, path);
    }
    if !body::is_up_to_date(object, &wanted) {
        return Ok(false);
    }
    let read = resource.flatten(task, object, &task.id, plan).await;
    Ok(read.is_ok_and(|read| is_as_planned(plan, &read)))
}

fn joined_warning(label: &str, id: &str) -> Diagnostic {
    Diagnostic::warning(
        format!("{} was already being created", fault::capital(label)),
        format!(
            "It is exactly what the configuration says, as an interrupted run leaves it behind, so this run waits for it and \
             manages it from now on. If another configuration creates it at the same time, both will manage it: remove it \
             from one of them.\n\n{id}"
        ),
    )
}

fn recreated_warning(label: &str, id: &str) -> Diagnostic {
    Diagnostic::warning(
        format!("{} existed in state Failed and was created again", fault::capital(label)),
        format!(
            "It was exactly what the configuration says, as an interrupted run leaves it behind when its creation fails. It \
             could not be used, so this run deleted it.\n\n{id}"
        ),
    )
}

/// Changes the object in place.
pub async fn update<R: Managed + ?Sized>(
    resource: &R,
    Call { context, op, private }: Call<'_>,
    prior: R::Model,
    plan: R::Model,
) -> Result<R::Model, Failed<R::Model>> {
    let task = resource.task(context, op, "updating", resource.resource_id(context, &prior)?);
    let _guard = context.lock(&task.id.to_string()).await;
    let target = write_target(resource, &task.id, &plan);
    let mut write = Write::new(&task, target, resource.read_target(&task.id), private);
    let Some(mut current) = write.look().await.map_err(|error| task.failed(&error))? else {
        return Err(identity::deleted_since_plan(R::NOUN, &task.id).into());
    };
    // wait for an earlier write, unless nothing more needs to be sent
    if is_in_flight(&current)
        && !is_sent(&resource.steps(Update { context, prior: &prior, plan: &plan }, &current), &current)
    {
        let ended = write.wait(&WaitUntil::Final, current).await;
        if let Outcome::Unfinished(error) = &ended.outcome {
            // the state must not claim what was not sent
            return Err(task.failed(error).into());
        }
        current = ended.body;
    }
    send_steps(resource, &task, &prior, &plan, current, write).await
}

// Whether the object already is what the last step makes of it.
fn is_sent(steps: &[Step<'_>], object: &Json) -> bool {
    steps.last().is_none_or(|step| step(object).is_up_to_date(object))
}

// Sends the steps from `current` to the plan, and waits for the last as long as is wanted.
async fn send_steps<R: Managed + ?Sized>(
    resource: &R,
    task: &Task<'_>,
    prior: &R::Model,
    plan: &R::Model,
    current: Json,
    mut write: Write<'_, '_>,
) -> Result<R::Model, Failed<R::Model>> {
    let steps = resource.steps(Update { context: task.context, prior, plan }, &current);
    let until = resource.wait_until(task.context, plan, &current);
    let mut ended = Ended { body: current, outcome: Outcome::Done };
    let mut sent = false;
    for (index, step) in steps.iter().enumerate() {
        let change = step(&ended.body);
        if change.is_up_to_date(&ended.body) && !is_failed(&ended.body) {
            continue;
        }
        let begun = match send(resource, task, &mut write, step.as_ref(), Some(&ended.body)).await {
            Ok(begun) => begun,
            Err(refused) => return Err(task.failed(&refused.error).into()),
        };
        // each step needs the effect of the one before, so only the wait for the last one is configurable
        sent = index + 1 == steps.len();
        ended = write.wait(if sent { &until } else { &WaitUntil::Final }, begun).await;
        if !matches!(ended.outcome, Outcome::Done) {
            return state_after_write(resource, task, plan, Some(prior), ended).await;
        }
    }
    // an object that was just read and is final needs no further read
    if !sent && (until != WaitUntil::Final || is_in_flight(&ended.body)) {
        ended = write.wait(&until, ended.body).await;
    }
    state_after_write(resource, task, plan, Some(prior), ended).await
}

// The state after a write, with its warnings or errors.
async fn state_after_write<R: Managed + ?Sized>(
    resource: &R,
    task: &Task<'_>,
    plan: &R::Model,
    prior: Option<&R::Model>,
    ended: Ended,
) -> Result<R::Model, Failed<R::Model>> {
    let in_flight = if prior.is_none() { "Creating" } else { "Updating" };
    let mut state = match resource.flatten(task, &ended.body, &task.id, plan).await {
        Ok(state) => state,
        Err(error) => {
            tracing::debug!(%error, "the object cannot be read completely; the state holds what was planned");
            plan.clone()
        }
    };
    resource.adjust(task, plan, prior, &ended, &mut state);
    let accepted = || {
        let mut accepted = accepted_state(plan, &state, in_flight).encode();
        if accepted.get("id").is_null() {
            accepted.set("id", Value::String(task.id.to_string()));
        }
        R::Model::decode(&accepted)
    };
    match ended.outcome {
        Outcome::Done => {
            remember::<R>(task, &ended.body);
            resource.after_write(task, plan, prior, state).await
        }
        Outcome::Unfinished(error) => {
            let progress = Replication::parse(&ended.body).describe();
            task.op.warn(unfinished(&resource.label(&task.id), &task.id.to_string(), &error, &progress));
            Ok(accepted())
        }
        Outcome::Unknown(error) => {
            let diagnostic = may_exist(task, &resource.label(&task.id), &error);
            // an interrupted run fails anyway; an error would have Terraform replace the object
            if error.is_stopped() {
                task.op.warn(Diagnostic::warning(diagnostic.summary, diagnostic.detail));
                return Ok(accepted());
            }
            Err(Failed::with(accepted(), diagnostic))
        }
        // an error while creating would taint the version, and the next apply would replace it in every region
        Outcome::RegionsFailed(diagnostic) if prior.is_none() => {
            task.op.warn(regions_failed(&resource.label(&task.id), diagnostic));
            Ok(state)
        }
        Outcome::RegionsFailed(diagnostic) | Outcome::Failed(diagnostic) => {
            let state = if state.encode().get("provisioning_state").is_null() { accepted() } else { state };
            Err(Failed::with(state, diagnostic))
        }
    }
}

fn regions_failed(label: &str, diagnostic: Diagnostic) -> Diagnostic {
    Diagnostic::warning(
        format!("{} was kept although its replication failed", fault::capital(label)),
        format!(
            "{}\n\n{}\n\nThe next apply removes the failed regions and adds them again. To make a run fail when a region \
             does, put an azimage_image_replication after the version.",
            diagnostic.summary, diagnostic.detail
        ),
    )
}
