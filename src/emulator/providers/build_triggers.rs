//! Triggers of image templates: a new version of the source starts a run.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::clock::Ticks;
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::resource::{Resource, Verb};
use super::super::settings::Work;
use super::super::store::resource_key;
use super::build_operations::{KIND, accepted, begin, child, compact, poll_url, require, to_nanoseconds};
use super::{build_outputs, build_runs};

/// Handles `…/triggers` and `…/triggers/{name}`.
pub fn route(call: &mut Call<'_, '_>, group: &str, template: &Resource, name: Option<&str>) -> Outcome {
    let collection = format!("{}/triggers", template.id());
    let Some(name) = name else {
        let now = call.now;
        return Ok(compact(call.list_answer(&collection, |trigger| show(trigger, now))));
    };
    let id = format!("{collection}/{name}");
    match call.method {
        Method::Get => {
            let found = require(call, group, &id)?;
            Ok(compact(Answer::compact(200, show(&found, call.now))))
        }
        Method::Put => put(call, template, &id),
        Method::Delete => {
            let Some(found) = call.find(&id) else { return Ok(Answer::empty(204)) };
            call.state.delete(&resource_key(found.id()));
            call.state.delete(&key(template.id()));
            let now = call.now;
            let operation = begin(call, template, "delete trigger", (Work::TemplatePatch, now), None);
            Ok(accepted(call, &operation))
        }
        _ => Err(ArmError::no_method(call.method.name(), KIND)),
    }
}

fn put(call: &mut Call<'_, '_>, template: &Resource, id: &str) -> Outcome {
    let mut made = Resource::new(id, &format!("{KIND}/triggers"), "");
    let kind = call.body.text("properties.kind").unwrap_or("SourceImage").to_owned();
    made.doc.set("properties", Json::object().with("kind", kind));
    let now = call.now;
    let operation = begin(call, template, "trigger", (Work::TemplatePatch, now), None);
    made.bind(&operation, Verb::Create, 0);
    call.save(&made);
    let source = template.property("source").cloned().unwrap_or_default();
    let seen = build_outputs::exact_source(call, &source).unwrap_or_default();
    call.state.put(&key(template.id()), Json::object().with("template", template.id()).with("seen", seen));
    let mut shown = show(&made, now);
    // Recorded: the trigger has no status yet in this response.
    let properties = shown.entry("properties");
    properties.set("provisioningState", "Creating");
    properties.remove("status");
    let url = poll_url(call, &operation);
    Ok(compact(Answer::compact(201, shown)).header("Azure-AsyncOperation", url))
}

fn key(template: &str) -> String {
    format!("ibt|{}", template.to_ascii_lowercase())
}

fn show(trigger: &Resource, now: Ticks) -> Json {
    let state = trigger.state(now);
    let mut shown = child(trigger);
    let properties = shown.entry("properties");
    properties.set("provisioningState", state);
    if state == "Succeeded" {
        let status = Json::object()
            .with("code", "Healthy")
            .with("message", "Trigger is active")
            .with("time", to_nanoseconds(trigger.ended().unwrap_or(now)));
        properties.set("status", status);
    }
    shown
}

/// Starts a run of each template with a trigger whose source has a new version.
pub fn fire(call: &mut Call<'_, '_>) {
    let mut watched = Vec::new();
    call.state.scan("ibt|", None, |key, record| {
        watched.push((key.to_owned(), Json::clone(record)));
        true
    });
    for (key, record) in watched {
        let Some(template) = record.text("template").and_then(|id| call.find(id)) else {
            call.state.delete(&key);
            continue;
        };
        let source = template.property("source").cloned().unwrap_or_default();
        let Some(newest) = build_outputs::exact_source(call, &source) else { continue };
        let is_idle = !build_runs::is_running(call, &template) && template.state(call.now) == "Succeeded";
        if is_idle && record.text("seen") != Some(newest.as_str()) {
            call.state.put(&key, record.clone().with("seen", newest));
            call.subscription = template.id().split('/').nth(2).unwrap_or_default().to_owned();
            let now = call.now;
            build_runs::start(call, template, now);
        }
    }
}
