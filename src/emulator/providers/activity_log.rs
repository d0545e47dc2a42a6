//! `Microsoft.Insights/eventtypes/management/values`: the events of virtual machines and scale sets, derived from the stored
//! operations.
//!
//! The format of the events was recorded in 2019. Events contain no image, and requests without an operation, such as role
//! assignments, create no event.

use std::sync::Arc;

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::clock::{self, Ticks};
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::operations::stable;
use super::super::settings::Work;
use super::super::store::guid;

/// The retention of the log.
const RETENTION: Ticks = 90 * clock::DAY;
/// Events in one page.
const PAGE: usize = 200;

/// Lists the events of a subscription, newest first.
pub fn list(call: &mut Call<'_, '_>) -> Outcome {
    if call.method != Method::Get {
        return Err(ArmError::no_method(call.method.name(), "eventtypes/management/values"));
    }
    let filter = match Filter::parse(call.query("$filter").unwrap_or_default()) {
        Ok(filter) => filter,
        Err(message) => return Ok(refusal(&message)),
    };
    if filter.from < call.now - RETENTION {
        return Ok(refusal("The start time cannot be more than 90 days in the past."));
    }
    let skip: usize = call.query("$skiptoken").and_then(|token| token.parse().ok()).unwrap_or(0);
    let lag = if call.settings.eventual_consistency { call.duration(Work::LogLag) } else { 0 };
    let mut moments: Vec<(Ticks, Stage, Arc<Json>)> = Vec::new();
    call.state.scan("o|", None, |_, record| {
        let own = record.text("subscription").is_some_and(|id| id.eq_ignore_ascii_case(&call.subscription));
        if own && is_logged(record) && filter.admits_operation(record) {
            for (at, stage) in stages(record, call.now) {
                if at >= filter.from && at <= filter.to && at + lag <= call.now {
                    moments.push((at, stage, Arc::clone(record)));
                }
            }
        }
        true
    });
    moments.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
    let more = moments.len() > skip + PAGE;
    let page = moments.iter().skip(skip).take(PAGE);
    let values: Vec<Json> = page.map(|(at, stage, record)| event(call, record, *stage, *at)).collect();
    let next = more.then(|| call.next_link(&(skip + PAGE).to_string()));
    Ok(Answer::compact(200, Json::object().with("value", values).maybe("nextLink", next)))
}

/// Recorded: these errors have no `error` wrapper.
fn refusal(message: &str) -> Answer {
    Answer::compact(400, Json::object().with("code", "BadRequest").with("message", message))
}

/// The events of an operation.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Started,
    Accepted,
    Ended,
}

/// Whether an operation concerns a machine or scale set itself rather than a child of it.
fn is_logged(record: &Json) -> bool {
    let resource = record.text("resource").unwrap_or_default();
    let Some((_, tail)) = resource.split_once("/providers/") else { return false };
    let words: Vec<&str> = tail.split('/').collect();
    words.len() == 3
        && ["virtualMachines", "virtualMachineScaleSets"]
            .iter()
            .any(|kind| kind.eq_ignore_ascii_case(words[1]))
}

fn stages(record: &Json, now: Ticks) -> Vec<(Ticks, Stage)> {
    let start = record.int("start").unwrap_or_default();
    let end = record.int("end").filter(|end| *end <= now);
    let accepted = end.unwrap_or(Ticks::MAX).min(start + clock::SECOND);
    let mut stages = vec![(start, Stage::Started), (accepted, Stage::Accepted)];
    stages.extend(end.map(|end| (end, Stage::Ended)));
    stages
}

fn event(call: &Call<'_, '_>, record: &Json, stage: Stage, at: Ticks) -> Json {
    let resource = record.text("resource").unwrap_or_default();
    let tail = resource.split_once("/providers/").map_or("", |(_, tail)| tail);
    let mut words = tail.split('/');
    let namespace = words.next().unwrap_or_default();
    let kind = format!("{namespace}/{}", words.next().unwrap_or_default());
    let action = record.text("action").unwrap_or_default();
    let name = match action {
        "create" | "update" => format!("{kind}/write"),
        "delete" => format!("{kind}/delete"),
        other => format!("{kind}/{other}/action"),
    };
    let accepted = match action {
        "create" => ("Created", "Created (HTTP Status Code: 201)"),
        "update" => ("OK", "OK (HTTP Status Code: 200)"),
        _ => ("Accepted", "Accepted (HTTP Status Code: 202)"),
    };
    let operation = record.text("guid").unwrap_or_default();
    let unique = |number: u64, of: u64| guid(stable(operation), number, of);
    let (status, sub, properties) = match (stage, record.get("error")) {
        (Stage::Started, _) => ("Started", ("", ""), None),
        (Stage::Accepted, _) => {
            let request = unique(2, 12);
            let properties = Json::object().with("statusCode", accepted.0).with("serviceRequestId", request);
            ("Accepted", accepted, Some(properties))
        }
        (Stage::Ended, None) => ("Succeeded", ("", ""), None),
        (Stage::Ended, Some(error)) => {
            let message = Json::object().with("error", error).with("status", "Failed").compact();
            let properties = Json::object().with("statusCode", "Conflict").with("statusMessage", message);
            ("Failed", ("", ""), Some(properties))
        }
    };
    let localized =
        |value: &str, text: &str| Json::object().with("value", value).with("localizedValue", text);
    let id = unique(stage as u64 + 1, 11);
    let scope = resource.replace("/resourceGroups/", "/resourcegroups/");
    // Recorded: the end event of an operation has a different identifier.
    let operation_id = unique(if stage == Stage::Ended { 3 } else { 2 }, 13);
    let machine_write = name.ends_with("/virtualMachines/write");
    Json::object()
        .with("authorization", Json::object().with("action", name.as_str()).with("scope", scope.as_str()))
        .with("caller", call.object.as_str())
        .with("channels", "Operation")
        .with("correlationId", unique(1, 12))
        .with("description", "")
        .with("eventDataId", id.as_str())
        .with(
            "eventName",
            match stage {
                Stage::Started => localized("BeginRequest", "Begin request"),
                _ => localized("EndRequest", "End request"),
            },
        )
        .with("category", localized("Administrative", "Administrative"))
        .with("id", format!("{scope}/events/{id}/ticks/{}", at + clock::DOTNET_EPOCH))
        .with("level", if status == "Failed" { "Error" } else { "Informational" })
        .with("resourceGroupName", resource.split('/').nth(4).unwrap_or_default())
        .with("resourceProviderName", localized(namespace, namespace))
        .with("resourceId", scope.as_str())
        .with("resourceType", localized(&kind, &kind))
        .with("operationId", operation_id)
        .with(
            "operationName",
            localized(&name, if machine_write { "Create or Update Virtual Machine" } else { &name }),
        )
        .maybe("properties", properties)
        .with("status", localized(status, status))
        .with("subStatus", localized(sub.0, sub.1))
        .with("eventTimestamp", clock::format_z(at))
        .with("submissionTimestamp", clock::format_z(at + 20 * clock::SECOND))
        .with("subscriptionId", call.subscription.as_str())
        .with("tenantId", call.tenant.as_str())
}

/// `eventTimestamp ge … and eventTimestamp le …`, and at most one other condition.
#[derive(Debug, PartialEq)]
struct Filter {
    from: Ticks,
    to: Ticks,
    more: Option<(String, String)>,
}

const CONDITIONS: &[&str] = &["resourceGroupName", "resourceUri", "resourceProvider", "correlationId"];

impl Filter {
    fn parse(text: &str) -> Result<Filter, String> {
        let mut filter = Filter { from: Ticks::MIN, to: Ticks::MAX, more: None };
        let mut started = false;
        for part in text.split(" and ").map(str::trim).filter(|part| !part.is_empty()) {
            let words: Vec<&str> = part.splitn(3, ' ').collect();
            let [field, operator, value] = words[..] else {
                return Err(format!("The filter '{part}' is not valid."));
            };
            let value = value.trim_matches('\'');
            let time = || clock::parse(value).ok_or_else(|| format!("The time '{value}' is not valid."));
            match (field, operator) {
                ("eventTimestamp", "ge") => (filter.from, started) = (time()?, true),
                ("eventTimestamp", "le") => filter.to = time()?,
                (field, "eq") if CONDITIONS.contains(&field) && filter.more.is_none() => {
                    filter.more = Some((field.to_owned(), value.to_owned()));
                }
                _ => return Err(format!("The filter '{part}' is not supported.")),
            }
        }
        if started {
            Ok(filter)
        } else {
            Err("The filter must have a start time: 'eventTimestamp ge'.".to_owned())
        }
    }

    fn admits_operation(&self, record: &Json) -> bool {
        let Some((field, wanted)) = &self.more else { return true };
        let resource = record.text("resource").unwrap_or_default();
        let segment = |index: usize| resource.split('/').nth(index).unwrap_or_default();
        match field.as_str() {
            "resourceGroupName" => segment(4).eq_ignore_ascii_case(wanted),
            "resourceUri" => resource.eq_ignore_ascii_case(wanted),
            "resourceProvider" => segment(6).eq_ignore_ascii_case(wanted),
            _ => guid(stable(record.text("guid").unwrap_or_default()), 1, 12) == *wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_requires_a_start_and_allows_one_condition() {
        let day = "2026-11-02T00:00:00Z";
        let good =
            Filter::parse(&format!("eventTimestamp ge '{day}' and resourceProvider eq 'Microsoft.Compute'"));
        assert_eq!(good.unwrap().more, Some(("resourceProvider".to_owned(), "Microsoft.Compute".to_owned())));
        for wrong in [
            "resourceProvider eq 'Microsoft.Compute'".to_owned(),
            format!("eventTimestamp ge {day} and operationName eq 'x'"),
            format!("eventTimestamp ge {day} and resourceUri eq 'x' and correlationId eq 'y'"),
            "eventTimestamp ge yesterday".to_owned(),
        ] {
            assert!(Filter::parse(&wrong).is_err(), "{wrong}");
        }
    }
}
