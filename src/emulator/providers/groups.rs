//! Resource groups: created explicitly, by the first write to them where that is allowed, or present from the start.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::clock;
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::operations;
use super::super::resource::{Resource, Verb};
use super::super::settings::Work;
use super::super::store::EXPIRES;
use super::{put_location, take_tags};

/// The resource type.
pub const KIND: &str = "Microsoft.Resources/resourceGroups";
/// The default region of a group.
pub const DEFAULT_LOCATION: &str = "eastus";
/// The ID of a group.
pub fn id_of(subscription: &str, group: &str) -> String {
    format!("/subscriptions/{subscription}/resourceGroups/{group}")
}

/// Stores a group; `automatic` marks a group that was created by a write to one of its resources.
pub fn make(call: &mut Call<'_, '_>, subscription: &str, group: &str, location: &str, automatic: bool) {
    let mut made = Resource::new(&id_of(subscription, group), KIND, location);
    if automatic {
        made.hide("automatic", true);
    }
    made.hide("created", call.now);
    made.hide("changed", call.now);
    call.save(&made);
}

/// The group that a request works in; created on the first write where that is allowed.
pub fn require(call: &mut Call<'_, '_>, group: &str) -> Result<Resource, ArmError> {
    let id = id_of(&call.subscription, group);
    if let Some(found) = call.find(&id) {
        if found.state(call.now) == "Deleting" && matches!(call.method, Method::Put | Method::Patch) {
            return Err(ArmError::gateway(
                409,
                "ResourceGroupBeingDeleted",
                format!(
                    "The resource group '{group}' is in deprovisioning state and cannot perform this operation."
                ),
            ));
        }
        return Ok(found);
    }
    if call.settings.auto_create_resource_groups && call.method == Method::Put && valid_name(group) {
        let location = call
            .body
            .text("location")
            .and_then(super::super::regions::find)
            .map_or(DEFAULT_LOCATION, |region| region.name);
        let subscription = call.subscription.clone();
        make(call, &subscription, group, location, true);
    }
    call.find(&id).ok_or_else(|| ArmError::no_group(group))
}

fn valid_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().count() <= 90
        && name.chars().all(|c| c.is_alphanumeric() || "_-.()".contains(c))
        && !name.ends_with('.')
}

/// Handles one group by name.
pub fn one(call: &mut Call<'_, '_>, name: &str) -> Outcome {
    let id = id_of(&call.subscription, name);
    let existing = call.find(&id);
    match call.method {
        Method::Get => {
            let found = existing.ok_or_else(|| ArmError::no_group(name))?;
            Ok(Answer::compact(200, show(call.now, &found)))
        }
        Method::Put => put(call, name, existing),
        Method::Patch => {
            let mut found = existing.ok_or_else(|| ArmError::no_group(name))?;
            if call.body.get("tags").is_some() {
                take_tags(&call.body, &mut found)?;
            }
            found.hide("changed", call.now);
            call.save(&found);
            Ok(Answer::compact(200, show(call.now, &found)))
        }
        Method::Delete => delete(call, existing.ok_or_else(|| ArmError::no_group(name))?),
        Method::Head | Method::Post => Err(ArmError::no_method(call.method.name(), KIND)),
    }
}

fn put(call: &mut Call<'_, '_>, name: &str, existing: Option<Resource>) -> Outcome {
    if !valid_name(name) {
        return Err(ArmError::gateway(
            400,
            "InvalidResourceGroup",
            format!(
                "The provided resource group name '{name}' has these invalid characters or an invalid length. The name can only be a letter, digit, '-', '.', '(', ')' or '_', at most 90 of them, and cannot end with '.'."
            ),
        ));
    }
    if let Some(found) = &existing
        && call
            .body
            .text("location")
            .is_some_and(|given| super::super::regions::normalize(given) != found.location())
    {
        return Err(ArmError::gateway(
            409,
            "InvalidResourceGroupLocation",
            format!(
                "Invalid resource group location '{}'. The Resource group already exists in location '{}'.",
                call.body.text("location").unwrap_or_default(),
                found.location()
            ),
        ));
    }
    let location = put_location(call, KIND, existing.as_ref(), name)?;
    let created = existing.is_none();
    let mut group =
        existing.unwrap_or_else(|| Resource::new(&id_of(&call.subscription, name), KIND, &location));
    take_tags(&call.body, &mut group)?;
    if let Some(manager) = call.body.get("managedBy") {
        group.doc.set("managedBy", manager);
    }
    if created {
        group.hide("created", call.now);
    }
    group.hide("changed", call.now);
    call.save(&group);
    Ok(Answer::compact(if created { 201 } else { 200 }, show(call.now, &group)))
}

/// Deletes everything in the group.
fn delete(call: &mut Call<'_, '_>, mut group: Resource) -> Outcome {
    let end = call.now + call.duration(Work::GroupDelete);
    let guid = call.state.guid();
    call.state.put(
        &operations::key(&guid),
        Json::object()
            .with("guid", guid.as_str())
            .with("family", "group")
            .with("subscription", call.subscription.as_str())
            .with("resource", group.id())
            .with("action", "delete")
            .with("start", call.now)
            .with("end", end)
            .with(EXPIRES, end + clock::DAY),
    );
    let operation = operations::Operation {
        guid: guid.clone(),
        family: operations::Family::Compute,
        location: group.location().to_owned(),
        start: call.now,
        end: Some(end),
        error: None,
        output: None,
        retry_after: None,
        loses: false,
    };
    let mut inside = Vec::new();
    call.state.scan(&format!("r|{}/", group.id().to_ascii_lowercase()), None, |_, record| {
        inside.push(Resource::from_record(record));
        true
    });
    for mut resource in inside {
        if resource.exists(call.now) {
            resource.bind(&operation, Verb::Delete, 0);
            call.save(&resource);
        }
    }
    super::soft_delete::forget(call, group.id());
    group.bind(&operation, Verb::Delete, 0);
    call.save(&group);
    Ok(poll_answer(call, &guid))
}

fn poll_answer(call: &Call<'_, '_>, guid: &str) -> Answer {
    Answer::empty(202)
        .header(
            "Location",
            format!(
                "{}/subscriptions/{}/operationresults/{guid}?api-version={}",
                call.base, call.subscription, call.api
            ),
        )
        .poll_hint(call, Some(15))
}

/// `GET /subscriptions/{s}/operationresults/{guid}`.
pub fn poll(call: &mut Call<'_, '_>, guid: &str) -> Outcome {
    let record = call.record(&operations::key(guid)).ok_or_else(|| {
        ArmError::gateway(404, "NotFound", format!("The operation '{guid}' was not found."))
    })?;
    if record.int("end").is_some_and(|end| call.now >= end) {
        Ok(Answer::empty(200))
    } else {
        Ok(poll_answer(call, guid))
    }
}

/// Lists the groups of the subscription.
pub fn list(call: &mut Call<'_, '_>) -> Outcome {
    let now = call.now;
    super::lists::groups(call, |group| show(now, group))
}

fn show(now: clock::Ticks, group: &Resource) -> Json {
    Json::object()
        .with("id", group.id())
        .with("name", group.name())
        .with("type", KIND)
        .with("location", group.location())
        .maybe("managedBy", group.doc.get("managedBy"))
        .maybe("tags", group.doc.get("tags"))
        .with("properties", Json::object().with("provisioningState", group.state(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_names_are_validated() {
        for (name, valid) in [("my-rg", true), ("a(b)_c.d", true), ("x.", false), ("", false), ("a/b", false)]
        {
            assert_eq!(valid_name(name), valid, "{name}");
        }
    }
}
