//! `azimage_builder_run`: builds the images of an image template and waits for them.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::arm::id::IMAGE_TEMPLATE;
use crate::arm::{Error, ResourceId, Target};
use crate::azure::attributes::id_of;
use crate::azure::builds::{self, Built, Unbuilt};
use crate::azure::objects::image_template::LastRun;
use crate::azure::pipeline::{Task, unfinished};
use crate::azure::{Call, Context, fault, identity};
use crate::framework::timeouts::Defaults;
use crate::framework::{Draft, Failed, IdentityField, ImportFrom, Op, Operations, Resource, Timeouts};
use crate::model;
use crate::schema::spec::{block, computed, optional, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Value};

const ON_INTERRUPT: &[&str] = &["keep", "cancel"];

model! {
    /// Builds the images of an image template once, and again when `keepers` change. Destroying it leaves the images as they
    /// are.
    pub struct Model {
        /// The ARM ID of the template.
        pub id: Option<String> = computed(),
        /// The ID of the template.
        pub template_id: String = id_of(required(), IMAGE_TEMPLATE).force_new(),
        /// Any values. A change of one builds the images again. After an import the first values only take effect in the state,
        /// since the service does not know with which ones the images were built.
        pub keepers: Option<BTreeMap<String, String>> = optional().or_empty(),
        /// What happens to the build when an apply is interrupted or runs out of time: `keep` lets it go on, and the next apply
        /// waits for it; `cancel` cancels it.
        pub on_interrupt: Option<String> = optional().default("keep").one_of(ON_INTERRUPT).local(),
        /// What the build made, by the `run_output_name`: the IDs of image versions and managed images, and the URIs of VHDs.
        pub artifacts: Option<BTreeMap<String, String>> = computed(),
        /// The IDs of the image versions that the build made, sorted by number.
        pub image_version_ids: Option<Vec<String>> = computed(),
        /// The ID of the container with the logs of the build. Empty where it cannot be read.
        pub log_location: Option<String> = computed(),
        /// When the build started.
        pub started_at: Option<String> = computed(),
        /// When the build ended. Empty while it goes on.
        pub ended_at: Option<String> = computed(),
        /// How long each operation may take.
        pub timeouts: Option<Timeouts> = block(),
    }
}

/// The resource type.
pub struct BuilderRun;

/// The private state of an imported run, whose keepers are not known.
const IMPORTED: &str = "imported";

const IDENTITY: &[IdentityField] =
    &[IdentityField { name: "template_id", required: true, doc: "The ID of the image template." }];

/// The results of a run, which the service reports once it has ended.
const RESULTS: [&str; 4] = ["artifacts", "image_version_ids", "log_location", "ended_at"];

#[async_trait]
impl Resource<Context> for BuilderRun {
    type Model = Model;

    const TYPE_NAME: &'static str = "azimage_builder_run";

    fn identity(&self) -> &'static [IdentityField] {
        IDENTITY
    }

    fn identify(&self, model: &Model) -> Vec<Option<String>> {
        // the ID, because template_id may have another spelling
        vec![model.id.clone().or_else(|| Some(model.template_id.clone()))]
    }

    fn timeouts(&self) -> Defaults {
        // a build takes 4 hours unless the template says otherwise, and may have to wait for another
        Defaults::minutes(540, 5, 540, 60)
    }

    fn import(&self, _context: Option<&Context>, from: &ImportFrom) -> Result<Model, Diagnostic> {
        let id = match from {
            ImportFrom::Id(id) => id,
            ImportFrom::Identity(given) => identity::text(given, &IDENTITY[0]),
        };
        let id = identity::parse(id, IMAGE_TEMPLATE, Self::TYPE_NAME)?;
        Ok(Model { id: Some(id.to_string()), template_id: id.to_string(), ..Model::default() })
    }

    fn prepare(&self, _context: Option<&Context>, draft: &mut Draft<'_>) {
        if let Some(Ok(id)) = draft.planned.get("template_id").as_str().map(ResourceId::parse) {
            draft.planned.set("id", Value::string(id.to_string()));
        }
        // the next apply waits for a run that goes on
        if !draft.is_create() && draft.prior.get("ended_at").is_unset() {
            for name in RESULTS {
                draft.planned.set(name, Value::Unknown);
            }
        }
    }

    async fn resolve(&self, _context: &Context, op: &Op, draft: &mut Draft<'_>) {
        if !draft.is_create() && draft.changes("keepers") && op.private().get(IMPORTED) != Some(true) {
            draft.replace.push(Path::attribute("keepers"));
        }
    }

    async fn check(&self, context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
        let id = draft.planned.get("template_id").as_str().and_then(|id| ResourceId::parse(id).ok());
        let (Some(id), true) = (id, draft.is_create() || !draft.replace.is_empty()) else { return };
        let task = task(context, op, id);
        // a template that this run creates has no run yet, and one that cannot be read is reported by the apply
        if let Ok(template) = context.client.get_opt(&task.scope, &Target::at(task.id.to_string())).await {
            let last = template.as_ref().and_then(LastRun::read);
            context.builds.plan(&task.id.to_string(), last.as_ref());
            if template.is_none() && op.planned_object(&task.id.to_string()).is_none() {
                found.error(
                    Path::attribute("template_id"),
                    "The image template does not exist",
                    format!("Create it first, or correct template_id.\n\n{}", task.id),
                );
            }
        }
    }
}

#[async_trait]
impl Operations<Context> for BuilderRun {
    async fn read(&self, call: Call<'_>, state: Model) -> Result<Option<Model>, Diagnostics> {
        let Call { context, op, private } = call;
        let task = task(context, op, id_of_template(&state)?);
        if state.started_at.is_none() {
            private.set(IMPORTED, &true);
            return imported(&task, state).await;
        }
        if state.ended_at.is_none() {
            return unended(&task, state).await;
        }
        report_missing(&task, &state).await?;
        Ok(Some(state))
    }

    async fn create(&self, call: Call<'_>, plan: Model) -> Result<Model, Failed<Model>> {
        let Call { context, op, .. } = call;
        let task = task(context, op, id_of_template(&plan)?);
        let run = builds::start(&task, &|_| {}).await?;
        build(&task, run, &plan).await
    }

    async fn update(&self, call: Call<'_>, prior: Model, plan: Model) -> Result<Model, Failed<Model>> {
        let Call { context, op, private } = call;
        private.remove(IMPORTED);
        let (None, Some(started_at)) = (&prior.ended_at, &prior.started_at) else {
            return Ok(plan);
        };
        let task = task(context, op, id_of_template(&plan)?);
        let run = LastRun::read(&builds::read_template(&task).await?);
        match run.filter(|run| run.started_at == *started_at) {
            Some(run) => build(&task, run, &plan).await,
            None => Err(Diagnostic::error(
                "The build that was waited for is gone",
                format!(
                    "Another build of the template has begun since the plan. Apply again.\n\n{}",
                    task.id
                ),
            )
            .into()),
        }
    }

    async fn delete(&self, call: Call<'_>, prior: Model) -> Result<(), Diagnostics> {
        let Call { context, op, .. } = call;
        let (None, Some(started_at), Some("cancel")) =
            (&prior.ended_at, &prior.started_at, prior.on_interrupt.as_deref())
        else {
            return Ok(());
        };
        let task = task(context, op, id_of_template(&prior)?);
        builds::cancel(&task, started_at).await.map_err(|error| task.failed(&error).into())
    }
}

fn id_of_template(model: &Model) -> Result<ResourceId, Diagnostic> {
    ResourceId::parse_as(&model.template_id, IMAGE_TEMPLATE).map_err(|error| {
        Diagnostic::error("template_id names no image template", error.to_string())
            .at(Path::attribute("template_id"))
    })
}

fn task<'a>(context: &'a Context, op: &'a Op, id: ResourceId) -> Task<'a> {
    let what = format!("building image template {:?}", id.name());
    Task::new(context, op, what, id, diagnose)
}

fn diagnose(error: &Error, what: &str, id: &str) -> Diagnostic {
    fault::at(error, what, id, Some("template_id"))
}

// Follows a run to its end. A run that has not ended when this process must stop is kept in the state, or cancelled.
async fn build(task: &Task<'_>, run: LastRun, plan: &Model) -> Result<Model, Failed<Model>> {
    match builds::finish(task, run, &|_| {}).await {
        Ok(built) => Ok(built_state(task, plan, built)),
        Err(Unbuilt::Failed(diagnostics)) => Err(diagnostics.into()),
        Err(Unbuilt::GoesOn(run, error)) => {
            if plan.on_interrupt.as_deref() == Some("cancel") {
                return Err(cancelled(task, &run, &error).await.into());
            }
            let label = format!("the build of image template {:?}", task.id.name());
            task.op.warn(unfinished(&label, &task.id.to_string(), &error, &progress(&run)));
            Ok(Model {
                id: Some(task.id.to_string()),
                started_at: Some(run.started_at.clone()),
                artifacts: Some(BTreeMap::new()),
                image_version_ids: Some(Vec::new()),
                log_location: Some(String::new()),
                ended_at: Some(String::new()),
                ..plan.clone()
            })
        }
    }
}

fn progress(run: &LastRun) -> String {
    format!("it is {}", run.stage.as_deref().unwrap_or(&run.word).to_lowercase())
}

async fn cancelled(task: &Task<'_>, run: &LastRun, error: &Error) -> Diagnostic {
    let mut told = task.failed(error);
    let outcome = match builds::cancel(task, &run.started_at).await {
        Ok(()) => {
            "The build was cancelled, as on_interrupt says. The next apply starts another one.".to_owned()
        }
        Err(why) => format!("The build could not be cancelled and goes on: {why}"),
    };
    told.detail = format!("{}\n\n{outcome}", told.detail);
    told
}

fn built_state(task: &Task<'_>, plan: &Model, built: Built) -> Model {
    Model {
        id: Some(task.id.to_string()),
        image_version_ids: Some(built.image_version_ids()),
        artifacts: Some(built.artifacts),
        log_location: Some(built.log_location),
        started_at: Some(built.run.started_at),
        ended_at: Some(built.run.ended_at.unwrap_or_default()),
        ..plan.clone()
    }
}

// An import takes the last run of the template, which must have ended well.
async fn imported(task: &Task<'_>, state: Model) -> Result<Option<Model>, Diagnostics> {
    let found = task.client().get_opt(&task.scope, &Target::at(task.id.to_string())).await;
    let Some(template) = found.map_err(|error| task.failed(&error))? else { return Ok(None) };
    let Some(run) = LastRun::read(&template) else { return Ok(None) };
    let mut state = Model { id: Some(task.id.to_string()), template_id: task.id.to_string(), ..state };
    state.on_interrupt = state.on_interrupt.or_else(|| Some("keep".to_owned()));
    if run.is_going() {
        let started_at = Some(run.started_at);
        return Ok(Some(Model { started_at, ended_at: Some(String::new()), ..state }));
    }
    ended(task, run, state).await
}

// A run that had not ended when an earlier apply stopped. If it has failed since, or its result is lost, it is built again.
async fn unended(task: &Task<'_>, state: Model) -> Result<Option<Model>, Diagnostics> {
    let found = task.client().get_opt(&task.scope, &Target::at(task.id.to_string())).await;
    let run = found.map_err(|error| task.failed(&error))?.as_ref().and_then(LastRun::read);
    match run.filter(|run| Some(&run.started_at) == state.started_at.as_ref()) {
        Some(run) if run.is_going() => Ok(Some(state)),
        Some(run) => ended(task, run, state).await,
        None => {
            task.op.warn(Diagnostic::warning(
                "The result of a build is lost",
                format!(
                    "The build that an earlier apply started is no longer the last one of the template, so what it made is not \
                     known. The next apply builds again.\n\n{}",
                    task.id
                ),
            ));
            Ok(None)
        }
    }
}

async fn ended(task: &Task<'_>, run: LastRun, state: Model) -> Result<Option<Model>, Diagnostics> {
    match builds::result(task, run).await {
        Ok(built) => Ok(Some(built_state(task, &state, built))),
        Err(Unbuilt::Failed(failed)) if task.scope.check().is_ok() => {
            for failed in failed {
                task.op.warn(Diagnostic::warning(failed.summary, failed.detail));
            }
            Ok(None)
        }
        Err(Unbuilt::Failed(failed)) => Err(failed),
        Err(Unbuilt::GoesOn(_, error)) => Err(task.failed(&error).into()),
    }
}

// An artifact that is gone is reported and not built again.
async fn report_missing(task: &Task<'_>, state: &Model) -> Result<(), Diagnostics> {
    let mut missing = Vec::new();
    for (name, id) in state.artifacts.iter().flatten().filter(|(_, id)| ResourceId::parse(id).is_ok()) {
        let found = task.client().get_opt(&task.scope, &Target::at(id.as_str())).await;
        match found {
            Ok(Some(_)) => {}
            Ok(None) => missing.push(format!("{name}: {id}")),
            Err(error) if error.is_stopped() || error.is_timed_out() => {
                return Err(task.failed(&error).into());
            }
            Err(error) => tracing::debug!(%error, id, "it is not known whether the artifact exists"),
        }
    }
    if !missing.is_empty() {
        task.op.warn(Diagnostic::warning(
            format!("Images that image template {:?} made are gone", task.id.name()),
            format!(
                "They are not built again. To build them, change keepers, or run terraform apply -replace=ADDRESS.\n\n  {}",
                missing.join("\n  ")
            ),
        ));
    }
    Ok(())
}
