//! Operations of Image Builder: starting them, and the responses to polls.
//!
//! Recorded in 2023 (2022-07-01): polls are always 200, and both headers of a 202 contain the same URL.

use super::super::call::{Answer, Body, Call, Outcome};
use super::super::clock::{self, Ticks};
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::operations::{self, Family, Operation};
use super::super::resource::Resource;
use super::super::settings::Work;
use super::super::store::EXPIRES;

/// The type's name.
pub const KIND: &str = "Microsoft.VirtualMachineImages/imageTemplates";

/// Starts work on a template at `start`. Scripted faults may make it fail or never end.
pub fn begin(
    call: &mut Call<'_, '_>,
    template: &Resource,
    action: &str,
    (work, start): (Work, Ticks),
    error: Option<(String, String)>,
) -> Operation {
    let end = start + call.duration(work) + call.effects.slow.saturating_mul(clock::SECOND);
    let operation = Operation {
        guid: call.state.guid(),
        family: Family::Compute,
        location: template.location().to_owned(),
        start,
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

/// Changes the record of an operation, if it still exists.
pub fn amend(call: &mut Call<'_, '_>, guid: &str, change: impl FnOnce(&mut Json)) {
    let key = operations::key(guid);
    if let Some(record) = call.record(&key) {
        let mut record = Json::clone(&record);
        change(&mut record);
        call.state.put(&key, record);
    }
}

/// The URL at which an operation is polled.
pub fn poll_url(call: &Call<'_, '_>, operation: &Operation) -> String {
    format!(
        "{}/subscriptions/{}/providers/Microsoft.VirtualMachineImages/locations/{}/operations/{}?api-version={}&{}",
        call.base,
        call.subscription,
        operation.location,
        operation.guid,
        call.api,
        operations::signature(call, operation, false)
    )
}

/// 202 with the same URL in both headers.
pub fn accepted(call: &Call<'_, '_>, operation: &Operation) -> Answer {
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
    operations::verify(call, &record, false)?;
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

/// A response in Image Builder's format: without line breaks, and with a content type without a charset.
pub fn compact(answer: Answer) -> Answer {
    let body = match answer.body {
        Body::Pretty(body) => Body::Compact(body),
        other => other,
    };
    Answer { body, ..answer }.header("Content-Type", "application/json")
}

/// An instant with nine fraction digits, as Image Builder formats those of runs and triggers.
pub fn to_nanoseconds(at: Ticks) -> String {
    let whole = clock::format_z(at - at.rem_euclid(clock::SECOND));
    format!("{}.{:07}11Z", whole.trim_end_matches('Z'), at.rem_euclid(clock::SECOND))
}

/// An ID as Image Builder returns it.
pub fn lower_group(id: &str) -> String {
    id.replacen("/resourceGroups/", "/resourcegroups/", 1)
}

/// Finds a template, or a resource below one.
pub fn require(call: &Call<'_, '_>, group: &str, id: &str) -> Result<Resource, ArmError> {
    call.find(id).ok_or_else(|| {
        let path = id.split_once("/providers/").map_or(id, |(_, path)| path);
        ArmError::no_resource(path, group)
    })
}

/// A run output or a trigger as clients see it.
pub fn child(resource: &Resource) -> Json {
    Json::object()
        .maybe("properties", resource.doc.get("properties"))
        .with("id", lower_group(resource.id()))
        .with("name", resource.name())
        .with("type", resource.doc.text("type").unwrap_or_default())
}
