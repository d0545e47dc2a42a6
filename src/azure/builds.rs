//! Builds of image templates: a run is started, joined or waited for, never started twice, and followed until it ends.
//!
//! The template decides: its last run is identified by when it started. The operation of a request is not needed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value as Json;
use tokio::time::Instant;

use super::objects::filled;
use super::objects::image_template::{ImageTemplate, LastRun, RunState};
use super::pipeline::{INVISIBLE_TOLERATED, Task, final_read_scope, start_action};
use super::provisioning::{is_failed, is_in_flight, pauses};
use super::run_log::Event;
use super::{build_log, fault};
use crate::arm::id::IMAGE_VERSION;
use crate::arm::{Error, ResourceId, Target};
use crate::image::Version;
use crate::schema::{Diagnostic, Diagnostics};
use crate::sync::lock;

/// How long a run may be in state Canceling. The service has been observed to leave runs there for most of a day.
const CANCELING_TOLERATED: Duration = Duration::from_secs(3600);
/// How long reads of the template may fail while a run is followed.
const OUTAGE_TOLERATED: Duration = Duration::from_secs(300);
/// The longest pause between two reads of a template. Builds take many minutes.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The runs that this process knows, by template ID in lower case.
#[derive(Default)]
pub struct KnownRuns(Mutex<HashMap<String, Known>>);

#[derive(Clone, Default)]
struct Known {
    /// When the last run in the plan started; `None` for a template that had no run. Absent before a plan.
    planned: Option<Option<String>>,
    /// The runs whose result this process has used.
    used: Vec<String>,
}

impl KnownRuns {
    /// Records the last run at the time of the plan of a new run. Terraform plans again while it applies, so the first plan counts.
    pub fn plan(&self, template: &str, last: Option<&LastRun>) {
        let mut known = lock(&self.0);
        let known = known.entry(template.to_lowercase()).or_default();
        known.planned.get_or_insert_with(|| last.map(|run| run.started_at.clone()));
    }

    fn get(&self, template: &str) -> Known {
        lock(&self.0).get(&template.to_lowercase()).cloned().unwrap_or_default()
    }

    fn mark_used(&self, template: &str, started_at: &str) {
        let mut known = lock(&self.0);
        let known = known.entry(template.to_lowercase()).or_default();
        known.planned = None;
        known.used.push(started_at.to_owned());
    }
}

/// The next step for a template that is to be built.
#[derive(Clone, Debug, PartialEq)]
enum Next {
    /// Start a run.
    Start,
    /// Follow this one, or take its result.
    Join(String),
    /// Wait for the end of this one first.
    Wait(String),
}

// A run that began after the plan is the one that was asked for, whoever started it. `is_new` is a template that this
// process has created with auto_run: Terraform plans its run once more after the automatic one has started.
fn next(last: Option<&LastRun>, known: &Known, is_new: bool) -> Next {
    let Some(run) = last else { return Next::Start };
    let began_after_plan =
        is_new || known.planned.as_ref().is_some_and(|seen| seen.as_ref() != Some(&run.started_at));
    match run.state {
        RunState::Running if began_after_plan => Next::Join(run.started_at.clone()),
        RunState::Running | RunState::Canceling => Next::Wait(run.started_at.clone()),
        RunState::Succeeded if began_after_plan && !known.used.contains(&run.started_at) => {
            Next::Join(run.started_at.clone())
        }
        _ => Next::Start,
    }
}

/// A run that has ended well.
#[derive(Clone, Debug, PartialEq)]
pub struct Built {
    /// The run.
    pub run: LastRun,
    /// What it made, by the name of the output: resource IDs, and URIs of VHDs.
    pub artifacts: BTreeMap<String, String>,
    /// Where its log is.
    pub log_location: String,
}

impl Built {
    /// The IDs of the image versions that it made, sorted by number.
    pub fn image_version_ids(&self) -> Vec<String> {
        let mut versions: Vec<(Option<Version>, &String)> = self
            .artifacts
            .values()
            .filter_map(|id| {
                let version = ResourceId::parse_as(id, IMAGE_VERSION).ok()?;
                Some((Version::parse(version.name()).ok(), id))
            })
            .collect();
        versions.sort();
        versions.into_iter().map(|(_, id)| id.clone()).collect()
    }
}

/// Why a run gave no result.
#[derive(Debug)]
pub enum Unbuilt {
    /// It did not start, or it failed.
    Failed(Diagnostics),
    /// It goes on, and this process does not see its end: it was interrupted, or out of time.
    GoesOn(Box<LastRun>, Box<Error>),
}

impl<D: Into<Diagnostics>> From<D> for Unbuilt {
    fn from(diagnostics: D) -> Unbuilt {
        Unbuilt::Failed(diagnostics.into())
    }
}

/// Reports the progress of a run.
pub type Report<'r> = &'r (dyn Fn(&str) + Send + Sync);

/// The template of `task`; an error when it does not exist.
pub async fn read_template(task: &Task<'_>) -> Result<Json, Diagnostics> {
    let found = task.client().get_opt(&task.scope, &target(task)).await;
    match found.map_err(|error| task.failed(&error))? {
        Some(template) => Ok(template),
        None => Err(Diagnostic::error(
            format!("Image template {:?} does not exist", task.id.name()),
            format!("Create it first, or correct template_id.\n\n{}", task.id),
        )
        .into()),
    }
}

fn target(task: &Task<'_>) -> Target {
    Target::at(task.id.to_string())
}

/// Starts a run of the template of `task`, or joins the one that began after the plan. A run that began before is waited
/// for, and then another one starts. Returns as soon as the run goes on.
pub async fn start(task: &Task<'_>, report: Report<'_>) -> Result<LastRun, Diagnostics> {
    // requests for one template are serialized, so that two resources of one configuration do not fail each other
    let _guard = task.context.lock(&task.id.to_string()).await;
    let id = task.id.to_string();
    let mut waited: Option<String> = None;
    loop {
        let template = ready(task).await?;
        let last = LastRun::read(&template);
        let is_new =
            ImageTemplate::read(&template, None).auto_run && task.context.run.has(&id, Event::Published);
        match next(last.as_ref(), &task.context.builds.get(&id), is_new) {
            Next::Join(_) => {
                let run = last.ok_or_else(|| lost(task))?;
                if run.is_going() {
                    tell(task, report, "a build that began after the plan is already running; joining it");
                }
                return Ok(run);
            }
            Next::Wait(started_at) => {
                if waited.as_ref() != Some(&started_at) {
                    tell(task, report, "waiting for a build that began before the plan");
                    waited = Some(started_at.clone());
                }
                wait_for_end(task, &started_at, report).await?;
            }
            Next::Start => {
                if let Some(run) = send(task, last.as_ref()).await? {
                    tell(task, report, "the build has started");
                    return Ok(run);
                }
            }
        }
    }
}

fn tell(task: &Task<'_>, report: Report<'_>, text: &str) {
    tracing::info!(template = %task.id, "{text}");
    report(text);
}

/// Whether another run can start only when this one has ended.
pub fn must_be_waited_for(task: &Task<'_>, run: &LastRun) -> bool {
    let known = task.context.builds.get(&task.id.to_string());
    matches!(next(Some(run), &known, false), Next::Wait(_))
}

// The template once no operation works on it.
async fn ready(task: &Task<'_>) -> Result<Json, Diagnostics> {
    for pause in pauses() {
        let template = read_template(task).await?;
        if is_failed(&template) {
            let why = ImageTemplate::read(&template, None).provisioning_error.unwrap_or_default();
            return Err(Diagnostic::error(
                format!("Image template {:?} cannot be built", task.id.name()),
                format!(
                    "Its last operation failed: {why}\n\nCorrect the cause and apply the template again, which repairs or \
                     replaces it.\n\n{}",
                    task.id
                ),
            )
            .into());
        }
        if !is_in_flight(&template) {
            return Ok(template);
        }
        task.scope.sleep(pause).await.map_err(|error| task.failed(&error))?;
    }
    Err(lost(task).into())
}

// Sends the request. `None` when another run was faster, and the template must be looked at again.
async fn send(task: &Task<'_>, before: Option<&LastRun>) -> Result<Option<LastRun>, Diagnostics> {
    let action = Target::at(format!("{}/run", task.id));
    let refused = match start_action(task.client(), &task.scope, &action, None).await {
        Ok(_) => None,
        Err(error) if is_busy(&error) => {
            // so that a service that always refuses does not receive requests without a pause
            task.scope.sleep(LONGEST_PAUSE).await.map_err(|error| task.failed(&error))?;
            return Ok(None);
        }
        Err(error) if error.may_have_acted() || error.status.is_some_and(|status| status >= 500) => {
            Some(error)
        }
        Err(error) => return Err(task.failed(&error).into()),
    };
    // the request must not be repeated before it is known that it had no effect
    let scope = if task.scope.check().is_ok() { task.scope.clone() } else { final_read_scope(&task.scope) };
    let begun = Instant::now();
    for pause in pauses() {
        let found = task.client().get_opt(&scope, &target(task)).await;
        match found {
            Ok(Some(template)) => {
                let run = LastRun::read(&template);
                if let Some(run) =
                    run.filter(|run| before.is_none_or(|before| before.started_at != run.started_at))
                {
                    return Ok(Some(run));
                }
            }
            Ok(None) => return Err(lost(task).into()),
            Err(error) if scope.check().is_err() => return Err(task.failed(&error).into()),
            Err(_) => {}
        }
        let patience = if refused.is_some() { Duration::from_secs(30) } else { INVISIBLE_TOLERATED };
        if begun.elapsed() > patience || scope.sleep(pause).await.is_err() {
            break;
        }
    }
    match refused {
        Some(error) => Err(task.failed(&error).into()),
        None => Err(lost(task).into()),
    }
}

/// Whether the service refuses a request because of what the template is doing.
fn is_busy(error: &Error) -> bool {
    error.code() == "OperationNotAllowed" || error.is_conflict()
}

fn lost(task: &Task<'_>) -> Diagnostic {
    Diagnostic::error(
        format!("{}: the build does not appear", fault::capital(task.scope.what())),
        format!(
            "The service accepted the build, and the template does not show it. Look at the template in Azure, and apply \
             again.\n\n{}",
            task.id
        ),
    )
}

/// Why the end of a followed run is unknown.
enum NoEnd {
    /// This process stopped following; the run goes on.
    Unseen(Box<Error>),
    /// Another run began before the end was seen.
    Superseded,
    /// The template is gone.
    Gone,
    /// It stays in state Canceling.
    Stuck,
}

impl NoEnd {
    fn diagnostic(&self, task: &Task<'_>) -> Diagnostic {
        match self {
            NoEnd::Unseen(error) => task.failed(error),
            NoEnd::Superseded => superseded(task),
            NoEnd::Gone => gone(task),
            NoEnd::Stuck => stuck(task),
        }
    }
}

// Waits until the run that started at `started_at` is over, however it ends.
async fn wait_for_end(task: &Task<'_>, started_at: &str, report: Report<'_>) -> Result<(), Diagnostics> {
    match follow(task, started_at, report).await {
        Ok(_) | Err(NoEnd::Superseded) => Ok(()),
        Err(none) => Err(none.diagnostic(task).into()),
    }
}

// Follows the run that started at `started_at` until it has ended, and returns its end.
async fn follow(task: &Task<'_>, started_at: &str, report: Report<'_>) -> Result<LastRun, NoEnd> {
    let mut stage = String::new();
    let mut canceling: Option<Instant> = None;
    let mut outage: Option<(Instant, Error)> = None;
    for pause in pauses().map(|pause| (pause * 3).min(LONGEST_PAUSE)) {
        match task.client().get_opt(&task.scope, &target(task)).await {
            Ok(Some(template)) => {
                outage = None;
                let Some(run) = LastRun::read(&template).filter(|run| run.started_at == started_at) else {
                    return Err(NoEnd::Superseded);
                };
                if !run.is_going() {
                    return Ok(run);
                }
                let seen = run.stage.clone().unwrap_or_else(|| run.word.clone());
                if seen != stage {
                    tell(task, report, &format!("the build is {}", seen.to_lowercase()));
                    stage = seen;
                }
                canceling =
                    (run.state == RunState::Canceling).then(|| canceling.unwrap_or_else(Instant::now));
                if canceling.is_some_and(|since| since.elapsed() > CANCELING_TOLERATED) {
                    return Err(NoEnd::Stuck);
                }
            }
            Ok(None) => return Err(NoEnd::Gone),
            Err(error) if error.is_stopped() || error.is_timed_out() => {
                return Err(NoEnd::Unseen(Box::new(error)));
            }
            Err(error) => {
                let (since, first) = outage.get_or_insert((Instant::now(), error));
                if since.elapsed() > OUTAGE_TOLERATED {
                    return Err(NoEnd::Unseen(Box::new(first.clone())));
                }
            }
        }
        if let Err(error) = task.scope.sleep(pause).await {
            return Err(NoEnd::Unseen(Box::new(outage.map_or(error, |(_, first)| first))));
        }
    }
    Err(NoEnd::Superseded)
}

fn superseded(task: &Task<'_>) -> Diagnostic {
    Diagnostic::error(
        format!("{}: another build has begun", fault::capital(task.scope.what())),
        format!(
            "The build ended, and another one began before its result could be read: a trigger or another client started \
             it. The service keeps the result of the last build only. Apply again.\n\n{}",
            task.id
        ),
    )
}

fn gone(task: &Task<'_>) -> Diagnostic {
    Diagnostic::error(
        format!("{}: the template is gone", fault::capital(task.scope.what())),
        format!("Somebody deleted the template while it was built.\n\n{}", task.id),
    )
}

fn stuck(task: &Task<'_>) -> Diagnostic {
    Diagnostic::error(
        format!("{}: a build does not end", fault::capital(task.scope.what())),
        format!(
            "The build has been in state Canceling for more than {} minutes. The service has been seen to leave builds there \
             for most of a day, and refuses to build or delete the template meanwhile. Apply again later, or use a template of \
             another name.\n\n{}",
            CANCELING_TOLERATED.as_secs() / 60,
            task.id
        ),
    )
}

/// Follows the run to its end, and reads what it made.
pub async fn finish(task: &Task<'_>, run: LastRun, report: Report<'_>) -> Result<Built, Unbuilt> {
    match follow(task, &run.started_at, report).await {
        Ok(ended) => result(task, ended).await,
        Err(NoEnd::Unseen(error)) => Err(Unbuilt::GoesOn(Box::new(run), error)),
        Err(none) => Err(none.diagnostic(task).into()),
    }
}

/// What a run that has ended made; the error of one that failed.
pub async fn result(task: &Task<'_>, run: LastRun) -> Result<Built, Unbuilt> {
    task.context.builds.mark_used(&task.id.to_string(), &run.started_at);
    match run.state {
        RunState::Succeeded | RunState::PartiallySucceeded => {}
        _ => return Err(failed(task, &run).await.into()),
    }
    let artifacts = match artifacts(task).await {
        Ok(artifacts) => artifacts,
        Err(error) if error.is_stopped() || error.is_timed_out() => {
            return Err(Unbuilt::GoesOn(Box::new(run), Box::new(error)));
        }
        Err(error) => return Err(task.failed(&error).into()),
    };
    if run.state == RunState::PartiallySucceeded {
        task.op.warn(partly(task, &run, &artifacts));
    }
    let log_location = build_log::folder(task).await;
    Ok(Built { run, artifacts, log_location })
}

async fn artifacts(task: &Task<'_>) -> Result<BTreeMap<String, String>, Error> {
    let outputs = task.client().list(&task.scope, &Target::at(format!("{}/runOutputs", task.id))).await?;
    let artifact = |output: &Json| {
        let made =
            filled(output, "properties.artifactId").or_else(|| filled(output, "properties.artifactUri"))?;
        Some((filled(output, "name")?, made))
    };
    Ok(outputs.iter().filter_map(artifact).collect())
}

async fn failed(task: &Task<'_>, run: &LastRun) -> Diagnostic {
    let message = run.message.as_deref().unwrap_or("The service gives no reason.");
    let what = match run.state {
        RunState::Canceled => "was cancelled",
        _ => "failed",
    };
    let log = match build_log::tail(task, message).await {
        Some(tail) => format!("\n\nThe end of the log:\n\n{tail}"),
        None => String::new(),
    };
    Diagnostic::error(
        format!("The build of image template {:?} {what}", task.id.name()),
        format!("{message}{log}\n\n{}", task.id),
    )
}

fn partly(task: &Task<'_>, run: &LastRun, artifacts: &BTreeMap<String, String>) -> Diagnostic {
    let made: Vec<&str> = artifacts.keys().map(String::as_str).collect();
    Diagnostic::warning(
        format!("The build of image template {:?} succeeded partially", task.id.name()),
        format!(
            "{}\n\nIt made {}.\n\n{}",
            run.message.as_deref().unwrap_or("The service gives no reason."),
            if made.is_empty() { "nothing".to_owned() } else { made.join(", ") },
            task.id
        ),
    )
}

/// Cancels the run that goes on, if it is the one that started at `started_at`, in the short time that an interrupt leaves.
pub async fn cancel(task: &Task<'_>, started_at: &str) -> Result<(), Error> {
    let scope = final_read_scope(&task.scope);
    let template = task.client().get_opt(&scope, &target(task)).await?;
    let run = template.as_ref().and_then(LastRun::read);
    if run.is_none_or(|run| run.started_at != started_at || run.state != RunState::Running) {
        return Ok(());
    }
    let action = Target::at(format!("{}/cancel", task.id));
    match start_action(task.client(), &final_read_scope(&task.scope), &action, None).await {
        Err(error) if !is_busy(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Waits until no run of the template goes on.
pub async fn wait_until_idle(task: &Task<'_>) -> Result<(), Diagnostics> {
    let found = task.client().get_opt(&task.scope, &target(task)).await;
    let Some(run) = found.map_err(|error| task.failed(&error))?.as_ref().and_then(LastRun::read) else {
        return Ok(());
    };
    if run.is_going() {
        tracing::info!(template = %task.id, "waiting for the build that goes on");
        wait_for_end(task, &run.started_at, &|_| {}).await?;
    }
    Ok(())
}

/// Cancels the run of the template that goes on, and waits until it has ended. Succeeds when there is no template.
pub async fn cancel_and_wait(task: &Task<'_>) -> Result<(), Diagnostics> {
    let failed = |error: Error| Diagnostics::from(task.failed(&error));
    let mut cancelled: Option<String> = None;
    loop {
        let Some(template) = task.client().get_opt(&task.scope, &target(task)).await.map_err(failed)? else {
            return Ok(());
        };
        let Some(run) = LastRun::read(&template).filter(LastRun::is_going) else { return Ok(()) };
        if run.state == RunState::Running && cancelled.as_ref() != Some(&run.started_at) {
            cancelled = Some(run.started_at.clone());
            task.op.warn(Diagnostic::warning(
                format!("A build of image template {:?} was cancelled", task.id.name()),
                format!("The service deletes no template while it is built.\n\n{}", task.id),
            ));
            let action = Target::at(format!("{}/cancel", task.id));
            match start_action(task.client(), &task.scope, &action, None).await {
                Err(error) if !is_busy(&error) => return Err(failed(error)),
                _ => {}
            }
        }
        match follow(task, &run.started_at, &|_| {}).await {
            Ok(_) | Err(NoEnd::Superseded | NoEnd::Gone) => {}
            Err(none) => return Err(none.diagnostic(task).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(state: RunState) -> LastRun {
        LastRun {
            state,
            word: String::new(),
            stage: None,
            message: None,
            started_at: "2".to_owned(),
            ended_at: None,
        }
    }

    #[test]
    fn joins_builds_that_began_after_the_plan_and_waits_for_earlier_ones() {
        use RunState::{Canceled, Canceling, Failed, Running, Succeeded};
        let planned = |seen: Option<&str>| Known { planned: Some(seen.map(str::to_owned)), used: Vec::new() };
        let used = Known { used: vec!["2".to_owned()], ..planned(Some("1")) };
        let (join, wait) = (Next::Join("2".to_owned()), Next::Wait("2".to_owned()));
        let rows = [
            (None, planned(None), false, Next::Start),
            (Some(Running), planned(None), false, join.clone()),
            (Some(Running), planned(Some("1")), false, join.clone()),
            (Some(Running), planned(Some("2")), false, wait.clone()),
            (Some(Running), planned(Some("2")), true, join.clone()),
            (Some(Running), Known::default(), false, wait.clone()),
            (Some(Canceling), planned(Some("1")), false, wait.clone()),
            (Some(Canceling), planned(Some("1")), true, wait),
            (Some(Succeeded), planned(Some("1")), false, join.clone()),
            (Some(Succeeded), planned(Some("2")), false, Next::Start),
            (Some(Succeeded), planned(Some("2")), true, join),
            (Some(Succeeded), used, true, Next::Start),
            (Some(Failed), planned(Some("1")), true, Next::Start),
            (Some(Canceled), planned(Some("1")), true, Next::Start),
        ];
        for (state, known, is_new, expected) in rows {
            let last = state.map(run);
            assert_eq!(next(last.as_ref(), &known, is_new), expected, "{state:?} {is_new}");
        }
    }

    #[test]
    fn versions_are_sorted_by_number() {
        let id = |version: &str| {
            format!(
                "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.Compute/galleries/g/images/i/versions/{version}"
            )
        };
        let artifacts = [("a", id("1.10.0")), ("b", id("1.9.0")), ("c", "https://x/y.vhd".to_owned())];
        let built = Built {
            run: run(RunState::Succeeded),
            artifacts: artifacts.into_iter().map(|(name, id)| (name.to_owned(), id)).collect(),
            log_location: String::new(),
        };
        assert_eq!(built.image_version_ids(), [id("1.9.0"), id("1.10.0")]);
    }
}
