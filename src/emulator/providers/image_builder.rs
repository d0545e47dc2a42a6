//! `Microsoft.VirtualMachineImages/imageTemplates`: templates, runs that take time and end in images, and what runs leave behind.
//!
//! Recorded in 2023 (2022-07-01): the shapes of templates, operations, run states and outputs. From public reports and not
//! recorded: the errors of a template that is busy, of a second PUT and of failed builds. No machine is built: whether a
//! customizer fails is what [`scripts`] says of its inline commands.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::clock::{self, Ticks};
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::operations::{self, Family, Operation, stable};
use super::super::resource::{Resource, Verb};
use super::super::settings::Work;
use super::super::store::{EXPIRES, guid};
use super::build_outputs::{self, Artifact};
use super::{put_location, scripts, take_tags};

/// The type's name.
pub const KIND: &str = "Microsoft.VirtualMachineImages/imageTemplates";
/// A template's create that takes long enough to be seen.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Answers a request; `words` is what follows the namespace.
pub fn route(call: &mut Call<'_, '_>, group: &str, words: &[String]) -> Outcome {
    let lower: Vec<String> = words.iter().map(|word| word.to_ascii_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let collection = format!("/subscriptions/{}/resourceGroups/{group}/providers/{KIND}", call.subscription);
    let id = format!("{collection}/{}", words.get(1).map_or("", String::as_str));
    match lower.as_slice() {
        ["imagetemplates"] => Ok(compact(call.list_answer(&collection, |template| show(call, template)))),
        ["imagetemplates", _] => one(call, group, &id),
        ["imagetemplates", _, action @ ("run" | "cancel")] if call.method == Method::Post => {
            let template = require(call, group, &id)?;
            if *action == "run" { run(call, template) } else { cancel(call, template) }
        }
        ["imagetemplates", _, "runoutputs", rest @ ..] if call.method == Method::Get => {
            let template = require(call, group, &id)?;
            outputs(call, group, &template, rest.first().map(|_| words[3].as_str()))
        }
        ["imagetemplates", _, "triggers", rest @ ..] => {
            let template = require(call, group, &id)?;
            trigger(call, group, &template, rest.first().map(|_| words[3].as_str()))
        }
        _ => Err(ArmError::no_method(call.method.name(), KIND)),
    }
}

/// The templates of the subscription.
pub fn list(call: &mut Call<'_, '_>) -> Outcome {
    Ok(compact(call.subscription_answer(KIND, |template| show(call, template))))
}

fn compact(answer: Answer) -> Answer {
    use super::super::call::Body;
    let body = match answer.body {
        Body::Pretty(body) => Body::Compact(body),
        other => other,
    };
    Answer { body, ..answer }.header("Content-Type", "application/json")
}

fn require(call: &Call<'_, '_>, group: &str, id: &str) -> Result<Resource, ArmError> {
    call.find(id).ok_or_else(|| {
        let path = id.split_once("/providers/").map_or(id, |(_, path)| path);
        ArmError::no_resource(path, group)
    })
}

fn one(call: &mut Call<'_, '_>, group: &str, id: &str) -> Outcome {
    match call.method {
        Method::Get => {
            let template = require(call, group, id)?;
            Ok(compact(Answer::compact(200, show(call, &template))))
        }
        Method::Put => put(call, group, id),
        Method::Patch => {
            let template = require(call, group, id)?;
            patch(call, template)
        }
        Method::Delete => {
            let Some(template) = call.find(id) else { return Ok(Answer::empty(204)) };
            let state = template.state(call.now);
            if is_running(call, &template) || matches!(state, "Creating" | "Updating" | "Deleting") {
                return Err(busy(call, &template, "delete"));
            }
            for output in call.children(&format!("{}/runOutputs", template.id())) {
                call.state.delete(&super::super::store::resource_key(output.id()));
            }
            let operation = begin(call, &template, "delete", Work::TemplateDelete, None);
            super::save_deleting(call, template, &operation);
            Ok(accepted(call, &operation))
        }
        _ => Err(ArmError::no_method(call.method.name(), KIND)),
    }
}

fn invalid(message: &str) -> ArmError {
    ArmError::new(400, "ValidationFailed", format!("Validation failed: {message}"))
}

fn busy(call: &Call<'_, '_>, template: &Resource, action: &str) -> ArmError {
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

fn put(call: &mut Call<'_, '_>, group: &str, id: &str) -> Outcome {
    if call.find(id).is_some() {
        return Err(ArmError::new(
            409,
            "Conflict",
            "Update/Upgrade of image templates is currently not supported",
        ));
    }
    let sent = call.body.get("properties").cloned().unwrap_or_default();
    if call.body.at("identity.type").is_none() {
        return Err(invalid("'ImageTemplate': Missing field 'identity'"));
    }
    if sent.text("source.type").is_none() {
        return Err(invalid("'ImageTemplate.properties': Missing field 'source'"));
    }
    if sent.list("distribute").is_empty() {
        return Err(invalid("'ImageTemplate.properties': Missing field 'distribute'"));
    }
    for (index, target) in sent.list("distribute").iter().enumerate() {
        if target.text("runOutputName").is_none_or(str::is_empty) {
            return Err(invalid(&format!(
                "'ImageTemplate.properties.distribute[{index}]': Missing field 'runOutputName'"
            )));
        }
    }
    let location = put_location(call, KIND, None, group)?;
    let mut template = Resource::new(id, KIND, &location);
    take_tags(&call.body, &mut template)?;
    if template.doc.get("tags").is_none() {
        template.doc.set("tags", Json::object());
    }
    template.doc.set("identity", call.body.get("identity").cloned().unwrap_or_default());
    template.doc.set("properties", sent.clone());
    let staging = sent.text("stagingResourceGroup").unwrap_or_default().to_owned();
    let exact = if staging.is_empty() {
        let mut name = format!("IT_{group}_{}", template.name());
        name.truncate(90 - 37);
        format!("/subscriptions/{}/resourceGroups/{name}_{}", call.subscription, call.state.guid())
    } else {
        format!("/{}", staging.trim_start_matches('/'))
    };
    template.hide("staging", exact);
    template.hide("created", call.now);
    let missing = build_outputs::missing_source(call, &sent);
    let failure = call.effects.failure.clone().or(missing);
    if let Some((_, message)) = &failure {
        template.hide("provisioningError", message.as_str());
    }
    let operation = begin(call, &template, "create", Work::TemplatePut, failure);
    template.bind(&operation, Verb::Create, 0);
    call.save(&template);
    let mut shown = show(call, &template);
    shown.entry("properties").set("provisioningState", "Creating");
    Ok(compact(Answer::compact(201, shown)).header("Azure-AsyncOperation", poll_url(call, &operation)))
}

fn patch(call: &mut Call<'_, '_>, mut template: Resource) -> Outcome {
    if is_running(call, &template) || template.busy(call.now) {
        return Err(busy(call, &template, "write"));
    }
    let allowed = ["distribute", "vmProfile"];
    let sent = call.body.get("properties").cloned().unwrap_or_default();
    if let Some((name, _)) = sent.pairs().iter().find(|(name, _)| !allowed.contains(&name.as_str())) {
        return Err(invalid(&format!("'ImageTemplateUpdateParameters.properties': Unknown field '{name}'")));
    }
    if call.body.get("tags").is_some() {
        take_tags(&call.body, &mut template)?;
    }
    if let Some(identity) = call.body.get("identity") {
        template.doc.set("identity", identity);
    }
    for (name, value) in sent.pairs() {
        template.properties().set(name, value);
    }
    let operation = begin(call, &template, "update", Work::TemplatePatch, None);
    template.bind(&operation, Verb::Update, 0);
    call.save(&template);
    Ok(accepted(call, &operation))
}

fn run(call: &mut Call<'_, '_>, mut template: Resource) -> Outcome {
    if is_running(call, &template) || template.state(call.now) != "Succeeded" {
        return Err(busy(call, &template, "run/action"));
    }
    let failure = call.effects.failure.clone().or_else(|| {
        let script = build_outputs::inline_commands(&template);
        let ran = scripts::run(call, template.name(), &script);
        let stuck = ran.seconds.is_none();
        call.effects.stuck |= stuck;
        (ran.exit != 0).then(|| {
            ("PackerBuildFailed".to_owned(), format!("a customizer ended with exit code {}", ran.exit))
        })
    });
    let operation = begin(call, &template, "run", Work::TemplateRun, failure.clone());
    let staging = template.hidden("staging").and_then(Json::as_str).unwrap_or_default().to_owned();
    let log = build_outputs::log_location(&staging, &operation.guid);
    let message = failure.as_ref().map(|(_, why)| {
        format!("During the image build a failure has occurred. Packer build logs are at location {log}. Packer build failed: {why}.")
    });
    if let Some(message) = &message {
        let key = operations::key(&operation.guid);
        if let Some(record) = call.record(&key) {
            let mut record = Json::clone(&record);
            record.entry("error").set("message", message.as_str());
            call.state.put(&key, record);
        }
    }
    for output in call.children(&format!("{}/runOutputs", template.id())) {
        call.state.delete(&super::super::store::resource_key(output.id()));
    }
    let run = Json::object()
        .with("guid", operation.guid.as_str())
        .with("start", operation.start)
        .maybe("end", operation.end)
        .maybe("message", message);
    template.hide("run", run);
    call.save(&template);
    if let (Some(end), None) = (operation.end, &failure) {
        build_outputs::schedule(call, &template, &operation.guid, end);
    }
    Ok(accepted(call, &operation))
}

fn cancel(call: &mut Call<'_, '_>, mut template: Resource) -> Outcome {
    let Some(state) = run_state(call, &template).filter(|run| run.is_running) else {
        return Err(busy(call, &template, "cancel/action"));
    };
    if state.state == "Canceling" {
        return Err(busy(call, &template, "cancel/action"));
    }
    let mut run = template.hidden("run").cloned().unwrap_or_default();
    let end = (!call.effects.stuck).then(|| call.now + call.duration(Work::TemplateCancel));
    run.set("canceled", call.now);
    run.set("end", end.map_or(Json::Null, Json::from));
    let key = operations::key(run.text("guid").unwrap_or_default());
    if let Some(record) = call.record(&key) {
        let mut record = Json::clone(&record);
        let error = Json::object().with("code", "Canceled").with("message", "The image build was canceled.");
        record.set("error", error);
        record.set("failedAs", "Canceled");
        match end {
            Some(end) => record.set("end", end),
            None => {
                record.remove("end");
            }
        }
        call.state.put(&key, record);
    }
    build_outputs::forget(call, template.id());
    template.hide("run", run);
    call.save(&template);
    // Recorded: nothing to poll.
    Ok(Answer::empty(204))
}

/// The run of a template at this moment.
struct Run {
    state: &'static str,
    sub_state: Option<&'static str>,
    message: String,
    start: Ticks,
    end: Option<Ticks>,
    is_running: bool,
}

fn run_state(call: &Call<'_, '_>, template: &Resource) -> Option<Run> {
    let run = template.hidden("run")?;
    let start = run.int("start")?;
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
        (false, false) if !message.is_empty() => ("Failed", None, message),
        (false, false) => ("Succeeded", None, message),
    };
    Some(Run { state, sub_state, message, start, end: end.filter(|_| !is_running), is_running })
}

fn is_running(call: &Call<'_, '_>, template: &Resource) -> bool {
    run_state(call, template).is_some_and(|run| run.is_running)
}

/// A run that could not distribute its images after all.
pub fn fail_run(call: &mut Call<'_, '_>, template: &str, why: &str) {
    let Some(mut template) = call.find(template) else { return };
    let mut run = template.hidden("run").cloned().unwrap_or_default();
    let message = format!("Failed in distributing 1 images out of total 1: {why}");
    run.set("message", message.as_str());
    let key = operations::key(run.text("guid").unwrap_or_default());
    if let Some(record) = call.record(&key) {
        let error = Json::object().with("code", "ImageBuilderDistributeError").with("message", message);
        let record = Json::clone(&record).with("error", error);
        call.state.put(&key, record);
    }
    template.hide("run", run);
    call.save(&template);
}

/// Keeps what a run made.
pub fn keep_output(call: &mut Call<'_, '_>, template: &str, artifact: &Artifact) {
    let kind = format!("{KIND}/runOutputs");
    let mut output = Resource::new(&format!("{template}/runOutputs/{}", artifact.output), &kind, "");
    let key = if artifact.is_uri { "artifactUri" } else { "artifactId" };
    let properties =
        Json::object().with(key, artifact.location.as_str()).with("provisioningState", "Succeeded");
    output.doc.set("properties", properties);
    call.save(&output);
}

fn outputs(call: &mut Call<'_, '_>, group: &str, template: &Resource, name: Option<&str>) -> Outcome {
    let collection = format!("{}/runOutputs", template.id());
    let show = |output: &Resource| child(output);
    match name {
        None => Ok(compact(call.list_answer(&collection, show))),
        Some(name) => {
            let output = require(call, group, &format!("{collection}/{name}"))?;
            Ok(compact(Answer::compact(200, show(&output))))
        }
    }
}

fn child(resource: &Resource) -> Json {
    Json::object()
        .maybe("properties", resource.doc.get("properties"))
        .with("id", lower_group(resource.id()))
        .with("name", resource.name())
        .with("type", resource.doc.text("type").unwrap_or_default())
}

fn trigger(call: &mut Call<'_, '_>, group: &str, template: &Resource, name: Option<&str>) -> Outcome {
    let collection = format!("{}/triggers", template.id());
    let Some(name) = name else {
        return Ok(compact(call.list_answer(&collection, child)));
    };
    let id = format!("{collection}/{name}");
    match call.method {
        Method::Get => {
            let found = require(call, group, &id)?;
            Ok(compact(Answer::compact(200, child(&found))))
        }
        Method::Put => {
            let mut made = Resource::new(&id, &format!("{KIND}/triggers"), "");
            let kind = call.body.text("properties.kind").unwrap_or("SourceImage").to_owned();
            let status = Json::object()
                .with("code", "Healthy")
                .with("message", "Trigger is active")
                .with("time", clock::format_z(call.now));
            let properties = Json::object()
                .with("kind", kind)
                .with("status", status)
                .with("provisioningState", "Succeeded");
            made.doc.set("properties", properties);
            call.save(&made);
            let operation = begin(call, template, "trigger", Work::TemplatePatch, None);
            let url = poll_url(call, &operation);
            Ok(compact(Answer::compact(201, child(&made))).header("Azure-AsyncOperation", url))
        }
        Method::Delete => {
            let Some(found) = call.find(&id) else { return Ok(Answer::empty(204)) };
            call.state.delete(&super::super::store::resource_key(found.id()));
            let operation = begin(call, template, "delete trigger", Work::TemplatePatch, None);
            Ok(accepted(call, &operation))
        }
        _ => Err(ArmError::no_method(call.method.name(), KIND)),
    }
}

fn begin(
    call: &mut Call<'_, '_>,
    template: &Resource,
    action: &str,
    work: Work,
    error: Option<(String, String)>,
) -> Operation {
    let end = call.now + call.duration(work) + call.effects.slow.saturating_mul(clock::SECOND);
    let operation = Operation {
        guid: call.state.guid(),
        family: Family::Compute,
        location: template.location().to_owned(),
        start: call.now,
        end: (!call.effects.stuck).then_some(end),
        error: error.or_else(|| call.effects.failure.clone()),
        output: None,
        retry_after: None,
        loses: call.effects.loses,
    };
    let mut record = Json::object()
        .with("guid", operation.guid.as_str())
        .with("family", "imageBuilder")
        .with("subscription", call.subscription.as_str())
        .with("location", template.location())
        .with("resource", template.id())
        .with("action", action)
        .with("start", operation.start)
        .maybe("end", operation.end);
    if let Some((code, message)) = &operation.error {
        record.set("error", Json::object().with("code", code.as_str()).with("message", message.as_str()));
    }
    if let Some(end) = operation.end {
        record.set(EXPIRES, end + 7 * clock::DAY);
    }
    call.state.put(&operations::key(&operation.guid), record);
    operation
}

fn poll_url(call: &Call<'_, '_>, operation: &Operation) -> String {
    format!(
        "{}/subscriptions/{}/providers/Microsoft.VirtualMachineImages/locations/{}/operations/{}?api-version={}",
        call.base, call.subscription, operation.location, operation.guid, call.api
    )
}

/// 202 with the same URL in both headers.
fn accepted(call: &Call<'_, '_>, operation: &Operation) -> Answer {
    let url = poll_url(call, operation);
    Answer::empty(202)
        .header("Azure-AsyncOperation", url.as_str())
        .header("Location", url)
        .poll_hint(call, None)
}

/// `GET …/locations/{location}/operations/{guid}`: always 200 with the operation's document.
pub fn poll(call: &mut Call<'_, '_>, name: &str) -> Outcome {
    let record = call
        .record(&operations::key(name))
        .filter(|record| record.text("family") == Some("imageBuilder"))
        .ok_or_else(|| ArmError::new(404, "NotFound", format!("The operation '{name}' was not found.")))?;
    let end = record.int("end").filter(|end| *end <= call.now);
    let status = match (end, record.get("error")) {
        (None, _) => "InProgress",
        (Some(_), Some(_)) => record.text("failedAs").unwrap_or("Failed"),
        (Some(_), None) => "Succeeded",
    };
    let document = Json::object()
        .with("name", name.to_uppercase())
        .with("status", status)
        .with("startTime", clock::format_z(record.int("start").unwrap_or_default()))
        .maybe("endTime", end.map(clock::format_z))
        .maybe("error", record.get("error").filter(|_| end.is_some()));
    let answer = compact(Answer::compact(200, document));
    Ok(if end.is_none() { answer.poll_hint(call, None) } else { answer })
}

fn lower_group(id: &str) -> String {
    id.replacen("/resourceGroups/", "/resourcegroups/", 1)
}

/// A template as clients see it: members of its parts in alphabetical order, with what the service fills in.
pub fn show(call: &Call<'_, '_>, template: &Resource) -> Json {
    let sent = template.doc.get("properties").cloned().unwrap_or_default();
    let created = template.ended().is_some_and(|end| end <= call.now);
    let mut source = sent.get("source").cloned().unwrap_or_default();
    if source.text("type") == Some("PlatformImage") {
        let version = source.text("version").unwrap_or_default().to_owned();
        let exact = match (version.as_str(), created) {
            ("latest", true) => build_outputs::latest(call, &source).unwrap_or(version),
            _ => version,
        };
        source.set("exactVersion", exact);
    }
    let customize: Vec<Json> =
        sent.list("customize").iter().map(|step| sorted(&filled_in(step, created))).collect();
    let distribute: Vec<Json> = sent
        .list("distribute")
        .iter()
        .map(|target| {
            let mut target = target.clone();
            if target.get("artifactTags").is_none() {
                target.set("artifactTags", Json::object());
            }
            if target.text("type") == Some("SharedImage") {
                if target.get("excludeFromLatest").is_none() {
                    target.set("excludeFromLatest", false);
                }
                // Recorded: versioning is forgotten.
                target.set("versioning", Json::Null);
            }
            sorted(&target)
        })
        .collect();
    let mut profile = Json::object()
        .with("vmSize", sent.text("vmProfile.vmSize").unwrap_or_default())
        .with("osDiskSizeGB", sent.int("vmProfile.osDiskSizeGB").unwrap_or(0));
    for (name, value) in sent.get("vmProfile").map_or(&[][..], Json::pairs) {
        profile.set(name, value);
    }
    let state = template.state(call.now);
    let error = template
        .hidden("provisioningError")
        .filter(|_| state == "Failed")
        .map(|message| Json::object().with("provisioningErrorCode", "Other").with("message", message));
    let last_run = run_state(call, template).map(|run| {
        Json::object()
            .with("startTime", clock::format_z(run.start))
            .with("endTime", run.end.map_or_else(|| NEVER.to_owned(), clock::format_z))
            .with("runState", run.state)
            .maybe("runSubState", run.sub_state)
            .with("message", run.message)
    });
    let staging = template.hidden("staging").and_then(Json::as_str).filter(|_| created).unwrap_or_default();
    let properties = Json::object()
        .with("source", sorted(&source))
        .maybe("customize", (!customize.is_empty()).then_some(customize))
        .maybe("optimize", sent.get("optimize"))
        .maybe("validate", sent.get("validate"))
        .maybe("errorHandling", sent.get("errorHandling"))
        .with("distribute", distribute)
        .with("provisioningState", state)
        .maybe("provisioningError", error)
        .maybe("lastRunStatus", last_run)
        .with("buildTimeoutInMinutes", sent.int("buildTimeoutInMinutes").unwrap_or(0))
        .with("vmProfile", profile)
        .with("stagingResourceGroup", sent.text("stagingResourceGroup").unwrap_or_default())
        .with("exactStagingResourceGroup", staging)
        .maybe("autoRun", sent.get("autoRun"))
        .maybe("managedResourceTags", sent.get("managedResourceTags"));
    Json::object()
        .with("properties", properties)
        .maybe("identity", template.doc.get("identity").map(|identity| identities(call, identity, created)))
        .maybe("tags", template.doc.get("tags"))
        .with("location", template.location())
        .with("id", lower_group(template.id()))
        .with("name", template.name())
        .with("type", KIND)
}

/// What the service adds to a customizer.
fn filled_in(step: &Json, created: bool) -> Json {
    let mut step = step.clone();
    match step.text("type") {
        Some("WindowsRestart") if step.get("restartCommand").is_none() => step.set("restartCommand", ""),
        Some("PowerShell") => {
            for name in ["runAsSystem", "runElevated"] {
                if step.get(name).is_none() {
                    step.set(name, false);
                }
            }
        }
        _ => {}
    }
    let fetched = step.text("scriptUri").or(step.text("sourceUri")).map(str::to_owned);
    if step.text("sha256Checksum").is_none_or(str::is_empty) {
        step.remove("sha256Checksum");
        if let Some(uri) = fetched.filter(|_| created) {
            let sum =
                (0..4).map(|part| format!("{:016x}", stable(&format!("{uri}{part}")))).collect::<String>();
            step.set("sha256Checksum", sum);
        }
    }
    step
}

fn identities(call: &Call<'_, '_>, identity: &Json, created: bool) -> Json {
    let users = identity.get("userAssignedIdentities").map_or(&[][..], Json::pairs);
    if users.is_empty() {
        return Json::object().maybe("type", identity.get("type"));
    }
    let shown = users.iter().fold(Json::object(), |shown, (id, _)| {
        let known = call.find(id);
        let value = |key: &str, number: u64| {
            let stored = known.as_ref().and_then(|identity| identity.property_text(key)).map(str::to_owned);
            stored.unwrap_or_else(|| guid(stable(&id.to_lowercase()), number, 5))
        };
        let inner = Json::object()
            .with("principalId", value("principalId", 1))
            .with("clientId", value("clientId", 2));
        shown.with(id, if created { inner } else { Json::object() })
    });
    Json::object().maybe("type", identity.get("type")).with("userAssignedIdentities", shown)
}

fn sorted(object: &Json) -> Json {
    let mut pairs = object.pairs().to_vec();
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    Json::Object(pairs)
}
