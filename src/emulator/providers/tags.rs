//! `Microsoft.Resources/tags`: the tags of any resource, group or subscription, and the tag names of a subscription.

use std::collections::BTreeMap;

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::resource::Resource;
use super::super::store::resource_key;
use super::{locks, take_tags};

const SUFFIX: usize = 4;

/// `{scope}/providers/Microsoft.Resources/tags/default`.
pub fn route(call: &mut Call<'_, '_>) -> Outcome {
    let scope = format!("/{}", call.segments[..call.segments.len() - SUFFIX].join("/"));
    let Some(before) = read(call, &scope) else {
        return Err(absent(call, &scope));
    };
    let sent = call.body.at("properties.tags").map_or(&[][..], Json::pairs).to_vec();
    let after = match call.method {
        Method::Get => return Ok(Answer::compact(200, show(&scope, &before))),
        Method::Put => sent,
        Method::Patch => patch(before, &sent, call.body.text("operation").unwrap_or("Merge")),
        Method::Delete => Vec::new(),
        _ => return Err(ArmError::no_method(call.method.name(), "Microsoft.Resources/tags")),
    };
    locks::check(call, &scope)?;
    write(call, &scope, &after)?;
    Ok(match call.method {
        Method::Delete => Answer::empty(200),
        _ => Answer::compact(200, show(&scope, &after)),
    })
}

type Pairs = Vec<(String, Json)>;

/// The tags of a subscription; `None` if it has none.
pub fn of_subscription(call: &Call<'_, '_>, subscription: &str) -> Option<Json> {
    let key = subscription_key(&format!("/subscriptions/{subscription}"));
    call.record(&key).map(|tags| Json::clone(&tags)).filter(|tags| !tags.is_empty())
}

/// The tags of a scope; `None` if it does not exist.
fn read(call: &Call<'_, '_>, scope: &str) -> Option<Pairs> {
    let tags = match is_subscription(scope) {
        true => call.record(&subscription_key(scope)).map(|record| Json::clone(&record)),
        false => call.find(scope)?.doc.get("tags").cloned(),
    };
    Some(tags.map(|tags| tags.pairs().to_vec()).unwrap_or_default())
}

fn write(call: &mut Call<'_, '_>, scope: &str, tags: &[(String, Json)]) -> Result<(), ArmError> {
    super::check_tags(tags)?;
    let tags = Json::Object(tags.to_vec());
    if is_subscription(scope) {
        call.state.put(&subscription_key(scope), tags);
        return Ok(());
    }
    let mut resource = call.find(scope).ok_or_else(|| absent(call, scope))?;
    take_tags(&Json::object().with("tags", tags), &mut resource)?;
    call.state.put(&resource_key(resource.id()), Json::clone(&resource.doc));
    Ok(())
}

fn is_subscription(scope: &str) -> bool {
    scope.matches('/').count() == 2
}

fn subscription_key(scope: &str) -> String {
    format!("tags|{}", scope.to_ascii_lowercase())
}

fn absent(call: &Call<'_, '_>, scope: &str) -> ArmError {
    let group = call.segments.get(3).cloned().unwrap_or_default();
    match scope.rsplit_once("/providers/") {
        Some((_, path)) => ArmError::no_resource(path, &group),
        None => ArmError::no_group(&group),
    }
}

/// The tags after a PATCH. Names compare without case; a deletion with a value deletes only that value.
fn patch(mut tags: Pairs, sent: &[(String, Json)], operation: &str) -> Pairs {
    if operation.eq_ignore_ascii_case("Replace") {
        return sent.to_vec();
    }
    let deletes = operation.eq_ignore_ascii_case("Delete");
    for (name, value) in sent {
        let at = tags.iter().position(|(known, _)| known.eq_ignore_ascii_case(name));
        match at {
            Some(at) if deletes => {
                if value.as_str().is_none_or(str::is_empty) || tags[at].1 == *value {
                    tags.remove(at);
                }
            }
            Some(at) => tags[at].1 = value.clone(),
            None if deletes => {}
            None => tags.push((name.clone(), value.clone())),
        }
    }
    tags
}

fn show(scope: &str, tags: &[(String, Json)]) -> Json {
    Json::object()
        .with("id", format!("{scope}/providers/Microsoft.Resources/tags/default"))
        .with("name", "default")
        .with("type", "Microsoft.Resources/tags")
        .with("properties", Json::object().with("tags", Json::Object(tags.to_vec())))
}

/// `/subscriptions/{s}/tagNames[/{name}[/tagValues/{value}]]`; `rest` holds the segments after `tagNames`.
pub fn names(call: &mut Call<'_, '_>, rest: &[String]) -> Outcome {
    let known = every_name(call);
    let defined = |call: &Call<'_, '_>, name: &str| call.record(&name_key(call, name));
    match (call.method, rest) {
        (Method::Get, []) => {
            let names: Vec<Json> = known.iter().map(|(name, values)| show_name(call, name, values)).collect();
            Ok(Answer::compact(200, Json::object().with("value", names)))
        }
        (Method::Put, [name]) => {
            let exists = known.contains_key(name);
            let record = defined(call, name).map_or_else(
                || Json::object().with("name", name.as_str()).with("values", Vec::new()),
                |record| Json::clone(&record),
            );
            let key = name_key(call, name);
            call.state.put(&key, record);
            let values = known.get(name).cloned().unwrap_or_default();
            Ok(Answer::compact(if exists { 200 } else { 201 }, show_name(call, name, &values)))
        }
        (Method::Put, [name, _, value]) => {
            let Some(record) = defined(call, name) else {
                return Err(ArmError::gateway(
                    404,
                    "TagNotFound",
                    format!("The tag '{name}' was not found."),
                ));
            };
            let count = known.get(name).and_then(|values| values.get(value)).copied();
            let mut values = record.list("values").to_vec();
            if !values.contains(&Json::from(value.as_str())) {
                values.push(value.as_str().into());
            }
            let key = name_key(call, name);
            call.state.put(&key, Json::clone(&record).with("values", values));
            let status = if count.is_some() { 200 } else { 201 };
            Ok(Answer::compact(status, show_value(call, name, value, count.unwrap_or_default())))
        }
        (Method::Delete, [name]) => {
            if known.get(name).is_some_and(|values| values.values().any(|count| *count > 0)) {
                return Err(in_use(name));
            }
            let status = if defined(call, name).is_some() { 200 } else { 204 };
            let key = name_key(call, name);
            call.state.delete(&key);
            Ok(Answer::empty(status))
        }
        (Method::Delete, [name, _, value]) => {
            if known.get(name).and_then(|values| values.get(value)).is_some_and(|count| *count > 0) {
                return Err(in_use(&format!("{name}/{value}")));
            }
            let Some(record) = defined(call, name) else { return Ok(Answer::empty(204)) };
            let mut values = record.list("values").to_vec();
            let before = values.len();
            values.retain(|known| known.as_str() != Some(value));
            let status = if values.len() < before { 200 } else { 204 };
            let key = name_key(call, name);
            call.state.put(&key, Json::clone(&record).with("values", values));
            Ok(Answer::empty(status))
        }
        _ => Err(ArmError::no_method(call.method.name(), "tagNames")),
    }
}

/// The error of deleting a tag that is in use. Not recorded.
fn in_use(what: &str) -> ArmError {
    ArmError::gateway(409, "TagInUse", format!("The tag '{what}' is in use and cannot be deleted."))
}

fn name_key(call: &Call<'_, '_>, name: &str) -> String {
    format!("tagname|{}|{}", call.subscription, name).to_ascii_lowercase()
}

type Values = BTreeMap<String, i64>;

/// The tag names of the subscription, defined or in use, each with its values and how often they are used.
fn every_name(call: &Call<'_, '_>) -> BTreeMap<String, Values> {
    let mut names: BTreeMap<String, Values> = BTreeMap::new();
    let prefix = format!("tagname|{}|", call.subscription.to_ascii_lowercase());
    call.state.scan(&prefix, None, |_, record| {
        let values = names.entry(record.text("name").unwrap_or_default().to_owned()).or_default();
        for value in record.list("values").iter().filter_map(Json::as_str) {
            values.entry(value.to_owned()).or_default();
        }
        true
    });
    let prefix = format!("r|/subscriptions/{}/", call.subscription.to_ascii_lowercase());
    call.state.scan(&prefix, None, |_, record| {
        let resource = Resource::from_record(record);
        if resource.exists(call.now) {
            for (name, value) in resource.doc.get("tags").map_or(&[][..], Json::pairs) {
                let value = value.as_str().unwrap_or_default().to_owned();
                *names.entry(name.clone()).or_default().entry(value).or_default() += 1;
            }
        }
        true
    });
    names
}

fn show_name(call: &Call<'_, '_>, name: &str, values: &Values) -> Json {
    let shown: Vec<Json> =
        values.iter().map(|(value, count)| show_value(call, name, value, *count)).collect();
    Json::object()
        .with("id", format!("/subscriptions/{}/tagNames/{name}", call.subscription))
        .with("tagName", name)
        .with("count", show_count(values.values().sum()))
        .with("values", shown)
}

fn show_value(call: &Call<'_, '_>, name: &str, value: &str, count: i64) -> Json {
    Json::object()
        .with("id", format!("/subscriptions/{}/tagNames/{name}/tagValues/{value}", call.subscription))
        .with("tagValue", value)
        .with("count", show_count(count))
}

fn show_count(count: i64) -> Json {
    Json::object().with("type", "Total").with("value", count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patch_merges_replaces_and_deletes() {
        let pairs = |text: &str| Json::parse(text.as_bytes()).unwrap().pairs().to_vec();
        for (operation, sent, after) in [
            ("Merge", r#"{"A":"2","c":"3"}"#, r#"{"a":"2","b":"1","c":"3"}"#),
            ("Replace", r#"{"c":"3"}"#, r#"{"c":"3"}"#),
            ("Delete", r#"{"A":"1","b":"other"}"#, r#"{"b":"1"}"#),
            ("Delete", r#"{"b":""}"#, r#"{"a":"1"}"#),
        ] {
            let tags = patch(pairs(r#"{"a":"1","b":"1"}"#), &pairs(sent), operation);
            assert_eq!(Json::Object(tags).compact(), after, "{operation} {sent}");
        }
    }
}
