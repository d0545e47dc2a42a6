//! `azimage_image_test`: starts a throw-away machine from an image version, runs checks in it, and deletes everything.

mod cleanup;
mod deprovisioned;
mod machine;
mod model;
mod place;
mod run_command;
mod run_mark;
mod serial_log;
mod session;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::BTreeSet;

use async_trait::async_trait;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::arm::id::VIRTUAL_MACHINE;
use crate::arm::{ResourceId, Target};
use crate::azure::context::scope;
use crate::azure::objects::version::Version;
use crate::azure::{Call, Context, identity};
use crate::framework::timeouts::Defaults;
use crate::framework::{Draft, Failed, IdentityField, ImportFrom, Op, Operations, Private, Resource};
use crate::schema::{Diagnostic, Diagnostics, Path, Value};
use model::{Model, id_of_test, planned_definition_id, planned_test_id};
use place::Place;
use run_mark::RunMark;
use session::{Findings, Session};
use verdict::Trouble;

/// The resource type.
pub struct ImageTest;

#[async_trait]
impl Resource<Context> for ImageTest {
    type Model = Model;

    const TYPE_NAME: &'static str = "azimage_image_test";

    fn identity(&self) -> &'static [IdentityField] {
        identity::IN_GROUP
    }

    fn identify(&self, model: &Model) -> Vec<Option<String>> {
        identity::values(identity::IN_GROUP, id_of_test(model).as_ref())
    }

    fn timeouts(&self) -> Defaults {
        Defaults::minutes(60, 5, 5, 20)
    }

    fn import(&self, _context: Option<&Context>, _from: &ImportFrom) -> Result<Model, Diagnostic> {
        Err(Diagnostic::error(
            "An azimage_image_test cannot be imported",
            "Nothing of a test remains in Azure. Leave out the import: the next apply runs the test.",
        ))
    }

    fn validate(&self, config: &Value, diagnostics: &mut Diagnostics) {
        let mut names = BTreeSet::new();
        for (index, check) in config.get("check").elements().iter().enumerate() {
            if let Some(name) = check.get("name").as_str()
                && !names.insert(name)
            {
                diagnostics.error(
                    Path::attribute("check").index(index).then("name"),
                    "Two checks have the same name",
                    format!("{name:?} is the name of an earlier check. Give each check a name of its own."),
                );
            }
        }
    }

    fn prepare(&self, _context: Option<&Context>, draft: &mut Draft<'_>) {
        let id = planned_test_id(&draft.planned);
        draft.planned.set("id", id);
    }

    async fn resolve(&self, context: &Context, op: &Op, draft: &mut Draft<'_>) {
        let scope = scope(op, "reading what is tested");
        let is_open = |draft: &Draft<'_>, name: &str| {
            draft.is_create() && draft.config.get(name).is_null() && !draft.planned.get(name).is_known()
                || draft.planned.get(name).is_null()
        };
        if is_open(draft, "vm_size")
            && let Some(id) = planned_definition_id(&draft.planned)
            && let Some(definition) = place::definition(context, op, &scope, &id).await
        {
            draft.planned.set("vm_size", Value::string(machine::default_size(&definition)));
        }
        if is_open(draft, "location")
            && let Ok(subnet) = model::subnet_id(&model_of(&draft.planned))
        {
            match place::of_subnet(context, &scope, &subnet).await {
                Place::Region(location) => draft.planned.set("location", Value::String(location)),
                Place::NotYet => {}
                Place::Unreadable => {
                    identity::resolve_location(context, op, draft, "image_version_id").await;
                }
            }
        }
        let id = planned_test_id(&draft.planned);
        draft.planned.set("id", id);
    }

    async fn check(&self, context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
        let model = model_of(&draft.planned);
        let (Ok(version), Some(location)) = (model::version_id(&model), model.location.as_deref()) else {
            return;
        };
        if !draft.is_create() && !draft.changes("image_version_id") && !draft.changes("location") {
            return;
        }
        if let Some(why) = context.unknown_location(op, version.subscription_id(), location).await {
            return found.error(Path::attribute("location"), "Invalid value for location", why);
        }
        if op.planned_object(&version.to_string()).is_some() {
            return;
        }
        let scope = scope(op, "reading the version to test");
        // The apply reports a version that cannot be read now.
        if let Ok(Some(body)) = context.client.get_opt(&scope, &Target::at(version.to_string())).await {
            found.extend(place::not_replicated(&Version::read(&body), location, &version));
        }
    }
}

#[async_trait]
impl Operations<Context> for ImageTest {
    /// A result stays what it was: nothing in Azure can change it.
    async fn read(&self, _call: Call<'_>, state: Model) -> Result<Option<Model>, Diagnostics> {
        Ok(Some(state))
    }

    async fn create(&self, call: Call<'_>, plan: Model) -> Result<Model, Failed<Model>> {
        let Call { context, op, private } = call;
        run_test(context, op, plan, private, &run_mark::new_id()).await
    }

    /// Changes in place do not affect a test that has ended.
    async fn update(&self, _call: Call<'_>, _prior: Model, plan: Model) -> Result<Model, Failed<Model>> {
        Ok(plan)
    }

    async fn delete(&self, call: Call<'_>, _prior: Model) -> Result<(), Diagnostics> {
        let Call { context, op, private } = call;
        // Most tests leave nothing behind.
        let Some(id) = private.get::<String>(MACHINE) else { return Ok(()) };
        let Ok(id) = ResourceId::parse_as(&id, VIRTUAL_MACHINE) else { return Ok(()) };
        let scope = scope(op, "deleting the test machine");
        let _guard = context.lock(&id.to_string()).await;
        cleanup::remove_machine(context, op, &scope, &id).await.map_err(Diagnostics::from)
    }
}

/// The key in private state of the ID of a machine that a test has left in Azure.
const MACHINE: &str = "machine";

async fn remove_leftovers(context: &Context, op: &Op, session: &Session<'_>) {
    let scope = session.scope.anew(session.scope.remaining(), "removing leftovers of earlier tests");
    if let Some(group) = session.machine.parent() {
        cleanup::remove_leftovers(context, op, &scope, &group).await;
    }
}

/// Runs the test with the run ID `run`, and removes its machine.
async fn run_test(
    context: &Context,
    op: &Op,
    plan: Model,
    private: &mut Private,
    run: &str,
) -> Result<Model, Failed<Model>> {
    let session = Session::open(context, op, &plan, run).await?;
    remove_leftovers(context, op, &session).await;
    let mark = RunMark::hold(run);
    let mut findings = Findings::default();
    let ended = session.conduct(&mut findings).await;
    let is_kept = plan.keep_on_failure
        && !session.scope.stopped()
        && ended.as_ref().is_err_and(|trouble| trouble.was_judged);
    let removal = match is_kept {
        true => Ok(()),
        false => {
            let removing = session.scope.anew(session.scope.remaining(), "deleting the test machine");
            cleanup::remove_machine(context, op, &removing, &session.machine).await
        }
    };
    // Once more: objects that a killed run has requested may have appeared meanwhile.
    remove_leftovers(context, op, &session).await;
    if is_kept || removal.is_err() {
        private.set(MACHINE, &session.machine.to_string());
    }
    // An interrupted run may not have removed everything, so the next run looks again.
    if removal.is_ok() && !session.scope.stopped() {
        mark.finish();
    }
    let state = |result: &str| Model {
        id: Some(session.id.to_string()),
        location: Some(session.location().to_owned()),
        vm_size: Some(session.size().to_owned()),
        result: Some(result.to_owned()),
        boot_seconds: findings.boot_seconds,
        agent_ready_seconds: findings.agent_ready_seconds,
        check_results: findings.check_results.clone(),
        tested_at: Some(now()),
        ..plan.clone()
    };
    match (ended, removal) {
        (Ok(()), Ok(())) => Ok(state("passed")),
        (Ok(()), Err(message)) => Err(Failed::with(state("passed"), message)),
        (Err(Trouble { was_judged: true, mut diagnostics }), removal) => {
            if is_kept && let Some(first) = diagnostics.0.first_mut() {
                first.detail += &format!(
                    "\n\nThe machine is kept, because keep_on_failure is set; the next apply removes it:\n{}",
                    session.machine
                );
            }
            diagnostics.extend(removal.err());
            Err(Failed::with(state("failed"), diagnostics))
        }
        (Err(Trouble { was_judged: false, mut diagnostics }), removal) => {
            diagnostics.extend(removal.err());
            Err(diagnostics.into())
        }
    }
}

fn model_of(planned: &Value) -> Model {
    use crate::schema::Slot;
    Model::decode(planned)
}

fn now() -> String {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339).unwrap_or_default()
}
