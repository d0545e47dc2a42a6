//! An image template in the pipeline: what is sent, how an answer is read, and how a template is deleted.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::{BuilderTemplate, Model, id_of_template};
use crate::arm::id::IMAGE_TEMPLATE;
use crate::arm::{Error, ResourceId};
use crate::azure::builds;
use crate::azure::objects::build_step::{
    expand_customizers, expand_validate, read_customizers, read_validate,
};
use crate::azure::objects::build_target;
use crate::azure::objects::image_template::{
    DEFAULT_BUILD_TIMEOUT, ImageTemplate, expand_identity, expand_source, expand_vm_profile, same_duration,
};
use crate::azure::pipeline::{self, Change, Managed, Member, Step, Task, Update};
use crate::azure::provisioning::is_failed;
use crate::azure::{Call, Context, body, fault, tags};
use crate::framework::timeouts::parse_duration;
use crate::framework::{Failed, Private};
use crate::schema::{Diagnostic, Diagnostics};

#[async_trait]
impl Managed for BuilderTemplate {
    const NOUN: &'static str = "image template";
    const MEMBERS: &'static [Member] = &[
        Member::value("error_handling.on_customizer_error", "abort", "2023-07-01"),
        Member::value("error_handling.on_validation_error", "abort", "2023-07-01"),
        Member::new("auto_run", "2024-02-01"),
        Member::new("managed_resource_tags", "2024-02-01"),
        Member::new("vm_profile.container_instance_subnet_id", "2024-02-01"),
    ];
    // versions before 2024-02-01 return null
    const UNREPORTED: &'static [&'static str] = &["properties.distribute.versioning"];
    const RECREATES_FAILED: bool = true;

    fn resource_id(&self, context: &Context, model: &Model) -> Result<ResourceId, Diagnostic> {
        let subscription = context.subscription(model.subscription_id.as_deref())?;
        Ok(ResourceId::new(IMAGE_TEMPLATE, subscription, &model.resource_group_name, &[&model.name]))
    }

    fn diagnose(error: &Error, what: &str, id: &str) -> Diagnostic {
        advise(fault::diagnostic(error, what, id), error)
    }

    async fn expand_new(&self, task: &Task<'_>, plan: &Model) -> Result<Json, Diagnostics> {
        Ok(expand(task.context, plan))
    }

    fn steps<'s>(&'s self, update: Update<'s, Model>, _current: &Json) -> Vec<Step<'s>> {
        vec![Box::new(move |current| Change::Difference(difference(&update, current)))]
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

    // A role assignment that was made just before, such as in the same apply, takes a while to act.
    async fn create(&self, call: Call<'_>, plan: Model) -> Result<Model, Failed<Model>> {
        let Call { context, op, private } = call;
        let task = self.task(context, op, "creating", self.resource_id(context, &plan)?);
        let begun = Instant::now();
        loop {
            let call = Call::new(context, op, private);
            let failed = match pipeline::create(self, call, plan.clone()).await {
                Err(failed) if lacks_role(&failed) && begun.elapsed() < ROLE_DELAY => failed,
                ended => return ended,
            };
            // The caller itself may lack a role for good; only an assignment of this run is a reason to wait for it.
            if failed.state.is_none() && !context.run.has_published("/roleassignments/") {
                return Err(failed);
            }
            tracing::info!(template = %task.id, "waiting for a role assignment to act");
            if task.scope.sleep(ROLE_PAUSE).await.is_err() {
                return Err(failed);
            }
            // A template whose creation failed blocks its name.
            let target = self.target(&task.id);
            if failed.state.is_some() && pipeline::remove(context, &task.scope, &target).await.is_err() {
                return Err(failed);
            }
        }
    }

    async fn update(&self, call: Call<'_>, prior: Model, plan: Model) -> Result<Model, Failed<Model>> {
        // the service changes no template while a run goes on
        let task = self.task(call.context, call.op, "updating", id_of_template(&prior));
        builds::wait_until_idle(&task).await?;
        pipeline::update(self, call, prior, plan).await
    }

    async fn remove(
        &self,
        task: &Task<'_>,
        _prior: &Model,
        _private: &mut Private,
    ) -> Result<(), Diagnostics> {
        // nor does it delete one
        builds::cancel_and_wait(task).await?;
        let target = self.target(&task.id);
        pipeline::remove(task.context, &task.scope, &target).await.map_err(|error| task.failed(&error).into())
    }
}

// What helps when the service refuses a template for reasons of its own.
fn advise(mut diagnostic: Diagnostic, error: &Error) -> Diagnostic {
    let advice = match error.code() {
        "Unauthorized" => {
            "Give the identity of the template the roles that it needs on the source, the image definition and the subnet. The \
             provider has tried for some minutes, since a new role assignment takes a while to act."
        }
        "Conflict" => "The service cannot replace a template: delete the one that exists, or import it.",
        _ => return diagnostic,
    };
    diagnostic.detail = format!("{}\n\n{advice}", diagnostic.detail);
    diagnostic
}

// The body of a new template. What is the service's choice is not sent.
fn expand(context: &Context, plan: &Model) -> Json {
    let enabled = |on: Option<bool>| (on == Some(true)).then(|| json!({"state": "Enabled"}));
    let minutes =
        plan.build_timeout.as_deref().and_then(parse_duration).map(|timeout| timeout.as_secs() / 60);
    let handling = plan.error_handling.as_ref().map(|handling| {
        json!({
            "onCustomizerError": handling.on_customizer_error, "onValidationError": handling.on_validation_error,
        })
    });
    let optimize = enabled(plan.optimize_vm_boot).map(|state| json!({"vmBoot": state}));
    let steps = (!plan.customize.is_empty()).then(|| expand_customizers(&plan.customize));
    let properties = json!({
        "source": plan.source.as_ref().map(expand_source),
        "customize": steps,
        "validate": plan.validate.as_ref().map(expand_validate),
        "optimize": optimize,
        "distribute": build_target::expand(&plan.distribute),
        "buildTimeoutInMinutes": minutes,
        "vmProfile": plan.vm_profile.as_ref().map(|profile| expand_vm_profile(Some(profile))),
        "errorHandling": handling,
        "stagingResourceGroup": plan.staging_resource_group_id,
        "managedResourceTags": plan.managed_resource_tags,
        "autoRun": enabled(plan.auto_run),
    });
    json!({
        "location": plan.location,
        "tags": tags::merged(context, plan.tags.as_ref()),
        "identity": plan.identity.as_ref().map(|identity| expand_identity(identity, None)),
        "properties": body::without_nulls(properties),
    })
}

// The members of a template that differ from the plan. One whose last update failed is sent its tags in any case.
fn difference(update: &Update<'_, Model>, current: &Json) -> Json {
    let Update { context, prior, plan } = update;
    let mut difference = json!({});
    let all = tags::merged(context, plan.tags.as_ref());
    if all != tags::all(current) || is_failed(current) {
        difference["tags"] = json!(all);
    }
    if let Some(identity) = &plan.identity {
        let wanted = json!({"identity": expand_identity(identity, Some(current))});
        if !body::covers(current, &wanted) {
            difference["identity"] = wanted["identity"].clone();
        }
    }
    // the service does not return all of it, so the prior state decides too
    let wanted = build_target::expand(&plan.distribute);
    let actual = build_target::expand(&build_target::read(current, &prior.distribute));
    if plan.distribute != prior.distribute || !body::covers(&actual, &wanted) {
        body::set(&mut difference, "properties.distribute", wanted);
    }
    let known = plan.vm_profile.as_ref();
    let [actual, wanted] =
        [ImageTemplate::read(current, known).vm_profile.as_ref(), known].map(expand_vm_profile);
    if actual != wanted {
        body::set(&mut difference, "properties.vmProfile", wanted);
    }
    difference
}

/// The members of a template that the service never changes.
const UNCHANGEABLE: &[&str] = &[
    "source",
    "customize",
    "validate",
    "optimize",
    "buildTimeoutInMinutes",
    "errorHandling",
    "stagingResourceGroup",
    "managedResourceTags",
    "autoRun",
];

// The answer with the unchangeable members that it leaves out, as in `known`: an answer that says less replaces nothing.
fn completed(context: &Context, answer: &Json, known: &Model) -> Json {
    let mut answer = answer.clone();
    // an import knows nothing yet
    if known.source.is_some() {
        let mut known = expand(context, known);
        body::keep_only(&mut known["properties"], UNCHANGEABLE);
        body::fill(&mut answer, &json!({"properties": known["properties"]}));
    }
    answer
}

/// The template in the model. What the answer does not say stays as in `known`.
pub fn flatten(context: &Context, answer: &Json, id: &ResourceId, known: &Model) -> Model {
    let whole = completed(context, answer, known);
    let template = ImageTemplate::read(&whole, known.vm_profile.as_ref());
    // an answer without properties is what was sent, or says nothing
    let says = body::at(answer, "properties.source").is_some();
    let or_known = |read: Option<String>, known: &Option<String>| read.or_else(|| known.clone());
    let run = template.last_run.as_ref();
    let minutes = template.build_timeout.as_secs() / 60;
    let read_timeout =
        if minutes.is_multiple_of(60) { format!("{}h", minutes / 60) } else { format!("{minutes}m") };
    let says_timeout = body::at(answer, "properties.buildTimeoutInMinutes").is_some();
    let build_timeout = match &known.build_timeout {
        Some(known) if same_duration(known, &read_timeout) || !says_timeout => known.clone(),
        None if !says_timeout => DEFAULT_BUILD_TIMEOUT.to_owned(),
        _ => read_timeout,
    };
    let unless_silent = |read: bool, known: Option<bool>| if says { Some(read) } else { known };
    Model {
        id: Some(id.to_string()),
        name: id.name().to_owned(),
        resource_group_name: id.resource_group().to_owned(),
        subscription_id: Some(id.subscription_id().to_owned()),
        location: template.location.clone().unwrap_or_else(|| known.location.clone()),
        build_timeout: Some(build_timeout),
        optimize_vm_boot: unless_silent(template.optimize_vm_boot, known.optimize_vm_boot),
        auto_run: unless_silent(template.auto_run, known.auto_run),
        staging_resource_group_id: match says {
            true => template.staging_resource_group_id.clone(),
            false => known.staging_resource_group_id.clone(),
        },
        managed_resource_tags: or_else(
            template.managed_resource_tags.clone(),
            &known.managed_resource_tags,
            says,
        ),
        tags: tags::own(context, &template.tags, known.tags.as_ref(), known.tags_all.as_ref()),
        exact_staging_resource_group_id: or_known(
            template.exact_staging_resource_group_id.clone(),
            &known.exact_staging_resource_group_id,
        ),
        provisioning_state: or_known(template.provisioning_state.clone(), &known.provisioning_state),
        last_run_state: Some(run.map(|run| run.word.clone()).unwrap_or_default()),
        last_run_message: Some(run.and_then(|run| run.message.clone()).unwrap_or_default()),
        source: or_else(template.source.clone(), &known.source, says),
        identity: or_else(template.identity.clone(), &known.identity, says),
        customize: if says { read_customizers(&whole, &known.customize) } else { known.customize.clone() },
        validate: or_else(read_validate(&whole), &known.validate, says),
        distribute: if says {
            build_target::read(answer, &known.distribute)
        } else {
            known.distribute.clone()
        },
        vm_profile: or_else(template.vm_profile.clone(), &known.vm_profile, says),
        error_handling: or_else(template.error_handling.clone(), &known.error_handling, says),
        tags_all: Some(template.tags),
        timeouts: known.timeouts.clone(),
    }
}

fn or_else<T: Clone>(read: Option<T>, known: &Option<T>, says: bool) -> Option<T> {
    if says { read } else { known.clone() }
}

/// How long a role assignment may take to act: a creation that lacks one is repeated for this time.
const ROLE_DELAY: Duration = Duration::from_secs(300);
/// How long to wait before a creation that lacked a role is repeated.
const ROLE_PAUSE: Duration = Duration::from_secs(20);

// The service reports it as the error of the operation, which the diagnostic quotes.
fn lacks_role(failed: &Failed<Model>) -> bool {
    let codes = ["Unauthorized", "AuthorizationFailed"];
    failed.diagnostics.0.iter().any(|told| codes.iter().any(|code| told.detail.contains(code)))
}
