//! `Microsoft.VirtualMachineImages/imageTemplates`: templates, their runs, and the outputs of runs.
//!
//! Recorded in 2023 (2022-07-01): the shapes of templates, operations, run states and outputs. Taken from public
//! reports, not recorded: the errors of a template that is busy, of a second PUT and of failed builds.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::operations::stable;
use super::super::resource::{Resource, Verb};
use super::super::settings::Work;
use super::super::store::{guid, resource_key};
use super::build_operations::{
    KIND, accepted, begin, child, compact, lower_group, poll_url, require, to_nanoseconds,
};
use super::build_outputs::{self, Artifact};
use super::build_runs::{self, busy, is_running, run_state};
use super::{build_triggers, groups, put_location, storage, take_tags};

/// The end of a run that is still running.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Routes requests below the namespace; `words` holds the segments after it.
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
            if *action == "run" {
                build_runs::run(call, template)
            } else {
                build_runs::cancel(call, template)
            }
        }
        ["imagetemplates", _, "runoutputs", rest @ ..] if call.method == Method::Get => {
            let template = require(call, group, &id)?;
            outputs(call, group, &template, rest.first().map(|_| words[3].as_str()))
        }
        ["imagetemplates", _, "triggers", rest @ ..] => {
            let template = require(call, group, &id)?;
            build_triggers::route(call, group, &template, rest.first().map(|_| words[3].as_str()))
        }
        _ => Err(ArmError::no_method(call.method.name(), KIND)),
    }
}

/// The templates of the subscription.
pub fn list(call: &mut Call<'_, '_>) -> Outcome {
    Ok(compact(call.subscription_answer(KIND, |template| show(call, template))))
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
                call.state.delete(&resource_key(output.id()));
            }
            let now = call.now;
            let operation = begin(call, &template, "delete", (Work::TemplateDelete, now), None);
            if operation.error.is_none() {
                delete_staging(call, &template);
            }
            super::save_deleting(call, template, &operation);
            Ok(accepted(call, &operation))
        }
        _ => Err(ArmError::no_method(call.method.name(), KIND)),
    }
}

fn invalid(message: &str) -> ArmError {
    ArmError::new(400, "ValidationFailed", format!("Validation failed: {message}"))
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
    make_staging(call, group, &mut template);
    let source = sent.get("source").cloned().unwrap_or_default();
    if let Some(exact) = build_outputs::exact_source(call, &source) {
        template.hide("exact", exact);
    }
    let missing = build_outputs::missing_source(call, &sent);
    let failure = call.effects.failure.clone().or(missing);
    if let Some((_, message)) = &failure {
        template.hide("provisioningError", message.as_str());
    }
    let now = call.now;
    let operation = begin(call, &template, "create", (Work::TemplatePut, now), failure);
    template.bind(&operation, Verb::Create, 0);
    if let Some(end) = operation.end {
        template.hide("created", end);
    }
    call.save(&template);
    let starts = sent.text("autoRun.state") == Some("Enabled") && operation.error.is_none();
    if let (true, Some(end)) = (starts, operation.end) {
        build_runs::start(call, template.clone(), end);
        template = require(call, group, id)?;
    }
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
        template.doc.set("identity", without_removed(identity));
    }
    for (name, value) in sent.pairs() {
        template.properties().set(name, value);
    }
    let now = call.now;
    let operation = begin(call, &template, "update", (Work::TemplatePatch, now), None);
    template.bind(&operation, Verb::Update, 0);
    call.save(&template);
    Ok(accepted(call, &operation))
}

/// An identity without the entries that a null removes.
fn without_removed(identity: &Json) -> Json {
    let mut identity = identity.clone();
    if let Some(users) = identity.get("userAssignedIdentities").cloned() {
        let kept = users.pairs().iter().filter(|(_, entry)| !entry.is_null());
        let kept = kept.fold(Json::object(), |kept, (id, _)| kept.with(id, Json::object()));
        identity.set("userAssignedIdentities", kept);
    }
    identity
}

/// Creates the storage account of a staging group, and the group itself unless the template names an existing one.
fn make_staging(call: &mut Call<'_, '_>, group: &str, template: &mut Resource) {
    let given = template.property_text("stagingResourceGroup").unwrap_or_default().to_owned();
    let staging = if given.is_empty() {
        let mut name = format!("IT_{group}_{}", template.name());
        name.truncate(90 - 37);
        groups::id_of(&call.subscription, &format!("{name}_{}", call.state.guid()))
    } else {
        format!("/{}", given.trim_start_matches('/'))
    };
    let is_missing = call.find(&staging).is_none();
    if is_missing {
        let mut made = Resource::new(&staging, groups::KIND, template.location());
        if let Some(tags) = template.property("managedResourceTags") {
            made.doc.set("tags", tags.clone());
        }
        call.save(&made);
    }
    if given.is_empty() || is_missing {
        template.hide("owns_staging", true);
    }
    let account = build_outputs::account_id(&staging);
    let mut made = Resource::new(&account, storage::KIND, template.location());
    let name = made.name().to_owned();
    let endpoints = Json::object().with("blob", format!("{}/blobs/{name}/", call.base));
    let properties =
        Json::object().with("primaryEndpoints", endpoints).with("provisioningState", "Succeeded");
    made.doc.set("properties", properties);
    call.save(&made);
    template.hide("staging", staging);
}

/// Deletes a staging group that the service created. In any other group it deletes only its own resources.
fn delete_staging(call: &mut Call<'_, '_>, template: &Resource) {
    let staging = build_outputs::staging(template);
    call.state.delete(&resource_key(&build_outputs::account_id(&staging)));
    if template.hidden("owns_staging").is_some() {
        call.state.delete(&resource_key(&staging));
    }
}

/// Stores the output of a run.
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

/// A template as clients see it: the members of its parts in alphabetical order, completed by the service.
pub fn show(call: &Call<'_, '_>, template: &Resource) -> Json {
    let sent = template.doc.get("properties").cloned().unwrap_or_default();
    let created = template.doc.int("_.created").is_some_and(|end| end <= call.now);
    let mut source = sent.get("source").cloned().unwrap_or_default();
    let given = source.text("version").or(source.text("imageVersionId")).map(str::to_owned);
    if let Some(given) = given {
        let exact = template.hidden("exact").and_then(Json::as_str).filter(|_| created);
        let exact = exact.map_or(given, str::to_owned);
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
                // Recorded: the response omits versioning.
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
            .with("startTime", to_nanoseconds(run.start))
            .with("endTime", run.end.map_or_else(|| NEVER.to_owned(), to_nanoseconds))
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

/// The members that the service adds to a customizer.
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
