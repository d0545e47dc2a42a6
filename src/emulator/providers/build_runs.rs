//! Runs of Image Builder: the results of their steps, their progress, their end, and their log.
//!
//! No machine is built: [`scripts`] determines the result of each step. The log is a blob in the storage account of the
//! staging group. It exists once the run has ended, and reading it requires a signature.

use super::super::call::{Answer, Body, Call, Outcome};
use super::super::clock::{self, Ticks};
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::operations::Operation;
use super::super::resource::Resource;
use super::super::settings::Work;
use super::super::store::{EXPIRES, Transaction};
use super::build_operations::{KIND, accepted, amend, begin};
use super::{build_outputs, scripts};

/// The current state of a template's run.
pub struct Run {
    /// Its `runState`.
    pub state: &'static str,
    /// Its `runSubState` while it is running.
    pub sub_state: Option<&'static str>,
    /// Its message.
    pub message: String,
    /// Its start.
    pub start: Ticks,
    /// Its end.
    pub end: Option<Ticks>,
    /// Whether it is running.
    pub is_running: bool,
}

/// The last run of a template; `None` if it has never run.
pub fn run_state(call: &Call<'_, '_>, template: &Resource) -> Option<Run> {
    let run = template.hidden("run")?;
    let start = run.int("start").filter(|start| *start <= call.now)?;
    let end = run.int("end");
    let is_running = end.is_none_or(|end| call.now < end);
    let message = run.text("message").unwrap_or_default().to_owned();
    let canceled = run.int("canceled").is_some();
    let passed = end.map_or(50, |end| (call.now - start) * 100 / (end - start).max(1));
    let (state, sub_state, message) = match (is_running, canceled) {
        (true, true) => ("Canceling", None, "Canceling image build".to_owned()),
        (false, true) => ("Canceled", None, "Image build was canceled".to_owned()),
        (true, false) => {
            let stage = match passed {
                ..=2 => "Queued",
                3..=19 => "Building",
                20..=59 => "Customizing",
                60..=64 if template.property("validate").is_some() => "Validating",
                60..=64 => "Customizing",
                _ => "Distributing",
            };
            ("Running", Some(stage), String::new())
        }
        (false, false) if run.flag("partly") == Some(true) => ("PartiallySucceeded", None, message),
        (false, false) if !message.is_empty() => ("Failed", None, message),
        (false, false) => ("Succeeded", None, message),
    };
    Some(Run { state, sub_state, message, start, end: end.filter(|_| !is_running), is_running })
}

/// Whether a run of the template is in progress.
pub fn is_running(call: &Call<'_, '_>, template: &Resource) -> bool {
    run_state(call, template).is_some_and(|run| run.is_running)
}

/// The error of an action that is not allowed in the template's state.
pub fn busy(call: &Call<'_, '_>, template: &Resource, action: &str) -> ArmError {
    let state = match template.state(call.now) {
        "Succeeded" | "Failed" => "provisioned".to_owned(),
        state => state.to_lowercase(),
    };
    let run = run_state(call, template).map_or("none".to_owned(), |run| run.state.to_lowercase());
    ArmError::new(
        409,
        "OperationNotAllowed",
        format!(
            "Operation {KIND}/{action} is not allowed in provisioning state: {state} or run state: {run}."
        ),
    )
}

/// `POST …/run`.
pub fn run(call: &mut Call<'_, '_>, template: Resource) -> Outcome {
    if is_running(call, &template) || template.state(call.now) != "Succeeded" {
        return Err(busy(call, &template, "run/action"));
    }
    let now = call.now;
    let operation = start(call, template, now);
    Ok(accepted(call, &operation))
}

/// Starts a run of `template` at `at`. Failures of its steps are determined now; its images are created when it ends.
pub fn start(call: &mut Call<'_, '_>, mut template: Resource, at: Ticks) -> Operation {
    let steps = Steps::of(call, &template);
    call.effects.stuck |= steps.never_end;
    let failure = call.effects.failure.clone().or_else(|| {
        let why = steps.failure.clone().filter(|_| !steps.distributes)?;
        Some(("PackerBuildFailed".to_owned(), why))
    });
    let operation = begin(call, &template, "run", (Work::TemplateRun, at), failure.clone());
    let guid = operation.guid.as_str();
    let log = build_outputs::log_location(&build_outputs::staging(&template), guid);
    let message = failure.as_ref().map(|(_, why)| {
        format!("During the image build a failure has occurred. Packer build logs are at location {log}. Packer build failed: {why}.")
    });
    if let Some(message) = &message {
        amend(call, guid, |record| record.entry("error").set("message", message.as_str()));
    }
    for output in call.children(&format!("{}/runOutputs", template.id())) {
        call.state.delete(&super::super::store::resource_key(output.id()));
    }
    let mut run = Json::object()
        .with("guid", guid)
        .with("start", operation.start)
        .maybe("end", operation.end)
        .maybe("message", message);
    if let (None, Some(why)) = (&failure, &steps.failure) {
        run.set("partly", true);
        run.set("message", format!("A validation failed: {why}. Packer build logs are at location {log}."));
    }
    template.hide("run", run);
    call.save(&template);
    let lines = steps.log.iter().map(|line| format!("[{guid}] {line}\n")).collect::<String>();
    let record = Json::object().with("text", lines).maybe("from", operation.end);
    let expires = operation.end.map(|end| end + 30 * clock::DAY);
    call.state.put(&log_key(guid), record.maybe(EXPIRES, expires));
    if let (Some(end), None) = (operation.end, &failure) {
        build_outputs::schedule(call, &template, guid, end);
    }
    operation
}

/// `POST …/cancel`.
pub fn cancel(call: &mut Call<'_, '_>, mut template: Resource) -> Outcome {
    let running = run_state(call, &template).filter(|run| run.is_running && run.state != "Canceling");
    if running.is_none() {
        return Err(busy(call, &template, "cancel/action"));
    }
    let mut run = template.hidden("run").cloned().unwrap_or_default();
    let end = (!call.effects.stuck).then(|| call.now + call.duration(Work::TemplateCancel));
    run.set("canceled", call.now);
    run.set("end", end.map_or(Json::Null, Json::from));
    amend(call, run.text("guid").unwrap_or_default(), |record| {
        let error = Json::object().with("code", "Canceled").with("message", "The image build was canceled.");
        record.set("error", error);
        record.set("failedAs", "Canceled");
        match end {
            Some(end) => record.set("end", end),
            None => {
                record.remove("end");
            }
        }
    });
    build_outputs::forget(call, template.id());
    template.hide("run", run);
    call.save(&template);
    // Recorded: there is no operation to poll.
    Ok(Answer::empty(204))
}

/// Records that a run failed to distribute its images.
pub fn fail(call: &mut Call<'_, '_>, template: &str, why: &str) {
    let Some(mut template) = call.find(template) else { return };
    let mut run = template.hidden("run").cloned().unwrap_or_default();
    let message = format!("Failed in distributing 1 images out of total 1: {why}");
    run.set("message", message.as_str());
    run.remove("partly");
    amend(call, run.text("guid").unwrap_or_default(), |record| {
        let error = Json::object().with("code", "ImageBuilderDistributeError").with("message", message);
        record.set("error", error);
    });
    template.hide("run", run);
    call.save(&template);
}

/// The results of the steps of a run.
struct Steps {
    log: Vec<String>,
    /// The first failure.
    failure: Option<String>,
    /// Whether the images are created despite the failure.
    distributes: bool,
    never_end: bool,
}

impl Steps {
    fn of(call: &Call<'_, '_>, template: &Resource) -> Steps {
        let none = Json::Null;
        let properties = template.doc.get("properties").unwrap_or(&none);
        let customizers = properties.list("customize").iter().map(|step| ("customizer", step));
        let validators = properties.list("validate.inVMValidations").iter().map(|step| ("validator", step));
        let mut steps = Steps { log: Vec::new(), failure: None, distributes: false, never_end: false };
        for (role, step) in customizers.chain(validators) {
            let kind = step.text("type").unwrap_or_default();
            let name = step.text("name").filter(|name| !name.is_empty()).unwrap_or(kind);
            let ran = scripts::run(call, template.name(), &text(step));
            steps.log.push(format!("PACKER ERR (telemetry) Starting provisioner {kind}"));
            steps.log.push(format!("PACKER OUT ==> azure-arm: Running {role} {name}"));
            for (stream, text) in [("OUT", &ran.output), ("ERR", &ran.error)] {
                steps.log.extend(text.lines().map(|line| format!("PACKER {stream}     azure-arm: {line}")));
            }
            steps.log.push(format!("PACKER ERR (telemetry) ending {kind}"));
            steps.never_end |= ran.seconds.is_none();
            if !is_success(step, ran.exit) {
                let why = format!("{role} {name} ended with exit code {}", ran.exit);
                steps.log.push(format!("PACKER OUT Build 'azure-arm' errored: {why}"));
                steps.distributes = role == "validator"
                    && properties.flag("validate.continueDistributeOnFailure") == Some(true);
                steps.failure = Some(why);
                return steps;
            }
        }
        steps.log.push("PACKER OUT Build 'azure-arm' finished.".to_owned());
        steps
    }
}

/// The text that scripted results are matched against: the commands of a step, or the URIs of its scripts.
fn text(step: &Json) -> String {
    let lines = step.list("inline").iter().filter_map(Json::as_str);
    let sources = ["scriptUri", "sourceUri", "restartCommand", "searchCriteria"];
    lines.chain(sources.iter().filter_map(|name| step.text(name))).collect::<Vec<_>>().join("\n")
}

fn is_success(step: &Json, exit: i64) -> bool {
    let valid = step.list("validExitCodes");
    if valid.is_empty() { exit == 0 } else { valid.iter().any(|code| *code == Json::from(exit)) }
}

fn log_key(guid: &str) -> String {
    format!("iblog|{}", guid.to_ascii_lowercase())
}

/// `GET /blobs/{account}/packerlogs/{run}/customization.log`, as the storage service responds.
pub fn read_log(state: &Transaction<'_>, run: &str, is_signed: bool, now: Ticks) -> Answer {
    let record = state.get(&log_key(run)).filter(|record| record.int("from").is_some_and(|from| from <= now));
    let (status, kind, text) = match (is_signed, record) {
        (false, _) => (
            409,
            "application/xml",
            error("PublicAccessNotPermitted", "Public access is not permitted on this storage account."),
        ),
        (true, None) => (404, "application/xml", error("BlobNotFound", "The specified blob does not exist.")),
        (true, Some(record)) => (200, "text/plain", record.text("text").unwrap_or_default().to_owned()),
    };
    let mut answer = Answer::empty(status);
    answer.body = Body::Bytes(kind, text.into_bytes());
    answer
}

fn error(code: &str, message: &str) -> String {
    format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    )
}
