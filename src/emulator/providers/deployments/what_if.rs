//! The changes that a deployment would make: it is run, compared with the previous state, and discarded.

use super::super::super::call::{Answer, Call, Handler, Method, Outcome};
use super::super::super::json::{Json, same};
use super::super::super::template::scope::Bounds;
use super::super::super::versions_known;
use super::{Plan, run};

/// Handles `POST …/whatIf`.
pub fn answer(call: &mut Call<'_, '_>, handler: Handler, plan: &Plan) -> Outcome {
    let ids_only = call.body.text("properties.whatIfSettings.resultFormat") == Some("ResourceIdOnly");
    let bounds = Bounds::default();
    let changes = plan.read(&bounds).and_then(|reading| {
        let before: Vec<Option<Json>> =
            reading.items.iter().map(|item| look(call, handler, &item.id, &item.api)).collect();
        let others = run::others(call, plan, &reading);
        let ran = run::run(call, handler, plan, &reading)?;
        let begin = call.now;
        call.now = ran.end.unwrap_or(begin);
        let mut changes = Vec::new();
        for (item, before) in reading.items.iter().zip(before).filter(|(item, _)| item.deployed) {
            let after = look(call, handler, &item.id, &item.api);
            changes.push(change(&item.id, before, after, ids_only));
        }
        call.now = begin;
        let kind = if plan.complete { "Delete" } else { "Ignore" };
        for id in others {
            changes.push(Json::object().with("resourceId", id).with("changeType", kind));
        }
        Ok(changes)
    });
    call.state.undo();
    Ok(Answer::compact(
        200,
        match changes {
            Ok(changes) => Json::object().with("status", "Succeeded").with(
                "properties",
                Json::object().with("correlationId", plan.place.seed.as_str()).with("changes", changes),
            ),
            Err(error) => Json::object().with("status", "Failed").maybe("error", error.body().get("error")),
        },
    ))
}

/// A resource as a GET returns it, without the members that a template cannot set.
fn look(call: &mut Call<'_, '_>, handler: Handler, id: &str, api: &str) -> Option<Json> {
    let api = if api.is_empty() { versions_known::newest(id) } else { api };
    let mut shown = run::content(call.inner(handler, Method::Get, id, api, Json::Null).ok()?);
    if !matches!(shown, Json::Object(_)) {
        return None;
    }
    for read_only in
        ["provisioningState", "timeCreated", "timestamp", "duration", "correlationId", "uniqueId", "vmId"]
    {
        if let Some(Json::Object(_)) = shown.get("properties") {
            shown.entry("properties").remove(read_only);
        }
    }
    Some(shown.with("apiVersion", api))
}

fn change(id: &str, before: Option<Json>, after: Option<Json>, ids_only: bool) -> Json {
    let delta = match (&before, &after) {
        (Some(before), Some(after)) => differences(before, after),
        _ => Vec::new(),
    };
    let kind = match (&before, &after) {
        (None, _) => "Create",
        (Some(_), None) => "Delete",
        _ if delta.is_empty() => "NoChange",
        _ => "Modify",
    };
    let change =
        Json::object().with("resourceId", id).with("changeType", if ids_only { "Deploy" } else { kind });
    if ids_only {
        return change;
    }
    change.maybe("before", before).maybe("after", after).maybe("delta", (kind == "Modify").then_some(delta))
}

/// The members that differ, as `[{"path", "propertyChangeType", "before", "after", "children"}]`.
fn differences(before: &Json, after: &Json) -> Vec<Json> {
    let mut found = Vec::new();
    let mut names: Vec<&str> =
        before.pairs().iter().chain(after.pairs()).map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let entry = |kind: &str| Json::object().with("path", name).with("propertyChangeType", kind);
        match (before.get(name), after.get(name)) {
            (None, Some(after)) => found.push(entry("Create").with("after", after)),
            (Some(before), None) => found.push(entry("Delete").with("before", before)),
            (Some(before), Some(after)) if same(before, after) => {}
            (Some(before @ Json::Object(_)), Some(after @ Json::Object(_))) => {
                found.push(entry("Modify").with("children", differences(before, after)));
            }
            (Some(before), Some(after)) => {
                found.push(entry("Modify").with("before", before).with("after", after))
            }
            (None, None) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_what_changes() {
        let read = |text: &str| Json::parse(text.as_bytes()).unwrap();
        let before = read(r#"{"a":1,"b":{"x":1,"y":[1]},"c":1,"same":{"z":null}}"#);
        let after = read(r#"{"a":2,"b":{"x":1,"y":[2]},"d":1,"same":{"z":null}}"#);
        assert_eq!(
            Json::Array(differences(&before, &after)).compact(),
            r#"[{"path":"a","propertyChangeType":"Modify","before":1,"after":2},{"path":"b","propertyChangeType":"Modify","children":[{"path":"y","propertyChangeType":"Modify","before":[1],"after":[2]}]},{"path":"c","propertyChangeType":"Delete","before":1},{"path":"d","propertyChangeType":"Create","after":1}]"#
        );
    }
}
