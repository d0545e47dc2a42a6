//! Role assignments, and permission checks if the settings enforce roles.
//!
//! Role assignments are as recorded (2022-04-01). The messages of the permission errors are documented, not recorded.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::clock;
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::resource::Resource;
use super::super::settings::Work;
use super::super::store::resource_key;
use super::{groups, identity, roles};

/// The type's name.
pub const KIND: &str = "Microsoft.Authorization/roleAssignments";

/// Handles requests for role assignments; `at` is the index of their `providers` segment.
pub fn route(call: &mut Call<'_, '_>, at: usize) -> Outcome {
    let scope = format!("/{}", call.segments[..at].join("/"));
    match call.segments.get(at + 3).cloned() {
        None if call.method == Method::Get => list(call, &scope),
        None => Err(ArmError::no_method(call.method.name(), KIND)),
        // Recorded: these errors do not come from ARM's front door.
        Some(name) => {
            one(call, &scope, &name).or_else(|error| Ok(Answer::compact(error.status, error.body())))
        }
    }
}

fn collection(scope: &str) -> String {
    format!("{}/providers/{KIND}", scope.trim_end_matches('/'))
}

fn one(call: &mut Call<'_, '_>, scope: &str, name: &str) -> Outcome {
    let id = format!("{}/{name}", collection(scope));
    let existing = call.find(&id);
    match call.method {
        Method::Get => {
            let found = existing.ok_or_else(|| {
                ArmError::gateway(
                    404,
                    "RoleAssignmentNotFound",
                    format!("The role assignment '{name}' is not found."),
                )
            })?;
            Ok(Answer::compact(200, show(&found)))
        }
        Method::Delete => {
            let Some(found) = existing else { return Ok(Answer::empty(204)) };
            call.state.delete(&resource_key(found.id()));
            Ok(Answer::compact(200, show(&found)))
        }
        Method::Put => put(call, scope, name, existing),
        _ => Err(ArmError::no_method(call.method.name(), KIND)),
    }
}

fn put(call: &mut Call<'_, '_>, scope: &str, name: &str, existing: Option<Resource>) -> Outcome {
    let bad = |code: &str, message: String| ArmError::gateway(400, code, message);
    if uuid::Uuid::parse_str(name).is_err() {
        let message =
            format!("The role assignment ID '{name}' is not valid. The role assignment ID must be a GUID.");
        return Err(bad("InvalidRoleAssignmentId", message));
    }
    let sent = call.body.get("properties").cloned().unwrap_or_default();
    let text = |key: &str| sent.text(key).unwrap_or_default().to_owned();
    let (role, principal) = (text("roleDefinitionId"), text("principalId"));
    if role.is_empty() || uuid::Uuid::parse_str(&principal).is_err() {
        let message = "The role assignment requires the properties 'roleDefinitionId' and 'principalId', which must be a GUID.";
        return Err(bad("InvalidCreateRoleAssignmentRequest", message.to_owned()));
    }
    let role = last_segment(&role).to_ascii_lowercase();
    if !roles::exists(call, &role) {
        return Err(roles::does_not_exist(&role));
    }
    let same = |other: &Resource| {
        other.property_text("principalId").is_some_and(|id| id.eq_ignore_ascii_case(&principal))
            && last_segment(other.property_text("roleDefinitionId").unwrap_or_default()) == role
    };
    if existing.as_ref().is_some_and(|existing| !same(existing)) {
        let message = "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.";
        return Err(bad("RoleAssignmentUpdateNotPermitted", message.to_owned()));
    }
    let other = call.children(&collection(scope)).into_iter().find(same);
    if let Some(other) = other.filter(|other| !other.name().eq_ignore_ascii_case(name)) {
        return Err(ArmError::gateway(
            409,
            "RoleAssignmentExists",
            format!(
                "The role assignment already exists. The ID of the existing role assignment is {}.",
                other.name().replace('-', "")
            ),
        ));
    }
    require_principal(call, &principal, &text("principalType"))?;
    let now = clock::format_z(call.now);
    let given = |key: &str| sent.get(key).cloned().unwrap_or_default();
    let before = |key: &str| existing.as_ref().and_then(|existing| existing.property(key)).cloned();
    let base = match scope.trim_matches('/').split('/').nth(1) {
        Some(subscription) if call.subscription == subscription => format!("/subscriptions/{subscription}"),
        _ => String::new(),
    };
    let properties = Json::object()
        .with("roleDefinitionId", format!("{base}/providers/{}/{role}", roles::KIND))
        .with("principalId", principal)
        .with(
            "principalType",
            match text("principalType") {
                given if given.is_empty() => "ServicePrincipal".to_owned(),
                given => given,
            },
        )
        .with("scope", scope)
        .with("condition", given("condition"))
        .with("conditionVersion", given("conditionVersion"))
        .with("createdOn", before("createdOn").unwrap_or_else(|| now.as_str().into()))
        .with("updatedOn", now.as_str())
        .with("createdBy", before("createdBy").unwrap_or_else(|| call.object.as_str().into()))
        .with("updatedBy", call.object.as_str())
        .with("delegatedManagedIdentityResourceId", given("delegatedManagedIdentityResourceId"))
        .with("description", given("description"));
    let id = format!("{}/{name}", collection(scope));
    let mut assignment = existing.unwrap_or_else(|| Resource::new(&id, KIND, ""));
    assignment.doc.set("properties", properties);
    call.save(&assignment);
    // Recorded: the response to a PUT always looks like a creation.
    let mut shown = show(&assignment);
    shown.entry("properties").set("createdOn", now.as_str());
    shown.entry("properties").set("createdBy", Json::Null);
    Ok(Answer::compact(201, shown))
}

/// With eventual consistency, a principal that is used for the first time counts as new: the directory finds it only after a
/// delay, unless the request contains its type.
fn require_principal(call: &mut Call<'_, '_>, principal: &str, kind: &str) -> Result<(), ArmError> {
    let has_type = !kind.is_empty() && !kind.eq_ignore_ascii_case("Group");
    if !call.settings.eventual_consistency || has_type {
        return Ok(());
    }
    let key = format!("p|{}", principal.to_ascii_lowercase());
    let seen = call.record(&key).and_then(|record| record.int("seen"));
    if seen.is_none() {
        call.state.put(&key, Json::object().with("seen", call.now));
    }
    if seen.is_some_and(|seen| seen + call.duration(Work::PrincipalLag) <= call.now) {
        return Ok(());
    }
    Err(ArmError::gateway(
        400,
        "PrincipalNotFound",
        format!(
            "Principal {} does not exist in the directory {}. Check that you have the correct principal ID. If you are creating this principal and then immediately assigning a role, this error might be related to a replication delay. In this case, set the role assignment principalType property to a value, such as ServicePrincipal, User, or Group.  See https://aka.ms/docs-principaltype",
            principal.replace('-', ""),
            call.tenant
        ),
    ))
}

fn last_segment(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

fn show(assignment: &Resource) -> Json {
    Json::object()
        .maybe("properties", assignment.doc.get("properties"))
        .with("id", assignment.id())
        .with("type", KIND)
        .with("name", assignment.name())
}

/// The filter of a list.
#[derive(Debug, Default, PartialEq)]
struct Filter {
    at_or_above: bool,
    principal: Option<String>,
}

impl Filter {
    fn parse(text: &str) -> Option<Filter> {
        let mut filter = Filter::default();
        for part in text.split(" and ").map(str::trim).filter(|part| !part.is_empty()) {
            let lower = part.to_ascii_lowercase();
            let quoted = || Some(part.split('\'').nth(1)?.to_owned());
            if lower == "atscope()" {
                filter.at_or_above = true;
            } else if lower.starts_with("principalid eq '") {
                filter.principal = quoted();
            } else if lower.starts_with("assignedto('") {
                (filter.at_or_above, filter.principal) = (true, quoted());
            } else {
                return None;
            }
        }
        Some(filter)
    }
}

/// The assignments at a scope, above it and, unless `atScope()` excludes them, below it.
fn list(call: &mut Call<'_, '_>, scope: &str) -> Outcome {
    let text = call.query("$filter").unwrap_or_default().to_owned();
    let Some(filter) = Filter::parse(&text) else {
        return Err(ArmError::gateway(
            400,
            "UnsupportedQuery",
            format!(
                "The filter '{text}' is not supported. Supported filters are either 'atScope()' or 'principalId eq '{{value}}' or assignedTo('{{value}}')'."
            ),
        ));
    };
    let mut found: Vec<Resource> =
        scopes_of(scope).iter().flat_map(|scope| call.children(&collection(scope))).collect();
    if !filter.at_or_above {
        let end = format!("/providers/{}|", KIND.to_ascii_lowercase());
        let own = format!("r|{}|", collection(scope).to_ascii_lowercase());
        call.state.scan(
            &format!("r|{}/", scope.trim_end_matches('/').to_ascii_lowercase()),
            None,
            |key, record| {
                let resource = Resource::from_record(record);
                if key.contains(&end) && !key.starts_with(&own) && resource.exists(call.now) {
                    found.push(resource);
                }
                true
            },
        );
    }
    let values: Vec<Json> = found
        .iter()
        .filter(|assignment| {
            let principal = assignment.property_text("principalId").unwrap_or_default();
            filter.principal.as_ref().is_none_or(|wanted| principal.eq_ignore_ascii_case(wanted))
        })
        .map(show)
        .collect();
    Ok(Answer::compact(200, Json::object().with("value", values)))
}

/// A scope and every scope above it, from `/` down.
fn scopes_of(scope: &str) -> Vec<String> {
    let segments: Vec<&str> = scope.split('/').filter(|segment| !segment.is_empty()).collect();
    let mut scopes = vec!["/".to_owned()];
    for length in 1..=segments.len() {
        // A scope ends after a name: `subscriptions/s`, `resourceGroups/rg`, `providers/ns/type/name`.
        let providers = segments[..length].iter().rposition(|word| word.eq_ignore_ascii_case("providers"));
        let complete = match providers {
            Some(at) => length > at + 3 && (length - at).is_multiple_of(2),
            None => length.is_multiple_of(2),
        };
        if complete {
            scopes.push(format!("/{}", segments[..length].join("/")));
        }
    }
    scopes
}

/// Whether the caller may do `action` to `id`. Always true unless the settings enforce roles.
pub fn allows(call: &Call<'_, '_>, id: &str, action: &str) -> bool {
    is_owner(call)
        || scopes_of(id).iter().flat_map(|scope| call.children(&collection(scope))).any(|assignment| {
            is_of_caller(call, &assignment) && roles::allows(call, role_of(&assignment), action)
        })
}

/// Whether the caller may do everything without an assignment.
fn is_owner(call: &Call<'_, '_>) -> bool {
    let settings = call.settings;
    !settings.enforce_roles
        || settings.by_hand
        || call.object == identity::OBJECT
        || settings.owners.iter().any(|owner| owner.eq_ignore_ascii_case(&call.object))
}

fn is_of_caller(call: &Call<'_, '_>, assignment: &Resource) -> bool {
    assignment.property_text("principalId").is_some_and(|id| id.eq_ignore_ascii_case(&call.object))
}

fn role_of(assignment: &Resource) -> &str {
    last_segment(assignment.property_text("roleDefinitionId").unwrap_or_default())
}

/// `GET …/permissions`: the caller's permissions at a scope, one entry for each role.
pub fn permissions(call: &Call<'_, '_>, scope: &str) -> Answer {
    let values: Vec<Json> = match is_owner(call) {
        true => roles::permissions(call, roles::OWNER),
        false => scopes_of(scope)
            .iter()
            .flat_map(|scope| call.children(&collection(scope)))
            .filter(|assignment| is_of_caller(call, assignment))
            .flat_map(|assignment| roles::permissions(call, role_of(&assignment)))
            .collect(),
    };
    Answer::compact(200, Json::object().with("value", values))
}

/// Refuses a request that no role of the caller allows, or that uses images which the caller may not read.
pub fn check(call: &Call<'_, '_>) -> Result<(), ArmError> {
    let Some((scope, action)) = action_of(call.method, &call.segments) else { return Ok(()) };
    if !allows(call, &scope, &action) {
        return Err(ArmError::gateway(
            403,
            "AuthorizationFailed",
            format!(
                "The client '{0}' with object id '{0}' does not have authorization to perform action '{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.",
                call.object
            ),
        ));
    }
    if !matches!(call.method, Method::Put | Method::Patch) {
        return Ok(());
    }
    let mut linked = Vec::new();
    images_in(&call.body, &mut linked);
    for image in linked {
        let kind = type_of(&image);
        let read = format!("{kind}/read");
        if !allows(call, &image, &read) {
            return Err(ArmError::gateway(
                403,
                "LinkedAuthorizationFailed",
                format!(
                    "The client '{0}' with object id '{0}' has permission to perform action '{action}' on scope '{scope}'; however, it does not have permission to perform action(s) '{read}' on the linked scope(s) '{image}' (respectively) or the linked scope(s) are invalid.",
                    call.object
                ),
            ));
        }
    }
    Ok(())
}

/// The IDs of the images that a body uses as sources.
fn images_in(body: &Json, found: &mut Vec<String>) {
    match body {
        Json::Object(pairs) => {
            for (key, value) in pairs {
                match value.as_str() {
                    Some(id)
                        if key == "id"
                            && type_of(id).to_ascii_lowercase().starts_with("microsoft.compute/") =>
                    {
                        let kind = type_of(id).to_ascii_lowercase();
                        let image = kind == "microsoft.compute/images"
                            || kind.starts_with("microsoft.compute/galleries/images");
                        if image {
                            found.push(id.to_owned());
                        }
                    }
                    _ => images_in(value, found),
                }
            }
        }
        Json::Array(items) => items.iter().for_each(|item| images_in(item, found)),
        _ => {}
    }
}

/// `Microsoft.Compute/galleries/images` of an id.
fn type_of(id: &str) -> String {
    let tail = id.rsplit("/providers/").next().unwrap_or_default();
    let words: Vec<&str> = tail.split('/').collect();
    let types = words.iter().skip(1).step_by(2).copied();
    words.first().copied().into_iter().chain(types).collect::<Vec<_>>().join("/")
}

/// The scope and the action of a request; `None` for requests that need no permission: reading tenants and the caller's
/// subscriptions, polling operations at their signed URLs, and Resource Graph queries.
fn action_of(method: Method, segments: &[String]) -> Option<(String, String)> {
    let is = |index: usize, word: &str| {
        segments.get(index).is_some_and(|segment| segment.eq_ignore_ascii_case(word))
    };
    if !is(0, "subscriptions") || segments.len() <= 2 {
        return None;
    }
    let verb = match method {
        Method::Get | Method::Head => "read",
        Method::Put | Method::Patch => "write",
        Method::Delete => "delete",
        Method::Post => "action",
    };
    let path = |length: usize| format!("/{}", segments[..length].join("/"));
    let providers = segments.iter().rposition(|word| word.eq_ignore_ascii_case("providers"));
    let Some(at) = providers.filter(|at| segments.len() > at + 2) else {
        if providers.is_some() || is(2, "locations") || is(2, "operationresults") {
            return None;
        }
        let in_group = is(2, "resourceGroups") && segments.len() >= 4;
        let scope = path(if in_group { 4 } else { 2 });
        return Some((scope, format!("Microsoft.Resources/subscriptions/resourceGroups/{verb}")));
    };
    let tail = &segments[at + 1..];
    if tail[1].eq_ignore_ascii_case("locations")
        && tail.iter().any(|word| word.to_ascii_lowercase().ends_with("operations"))
    {
        return None;
    }
    let types: Vec<&str> = tail.iter().skip(1).step_by(2).map(String::as_str).collect();
    let action = format!("{}/{}/{verb}", tail[0], types.join("/"));
    // The scope of a collection or an action is the resource before it.
    let scope = match tail.len().is_multiple_of(2) {
        true if tail.len() == 2 => path(at),
        true => path(segments.len() - 1),
        false => path(segments.len()),
    };
    Some((scope, action))
}

/// The subscriptions that the caller has any role in; all of them unless the settings enforce roles.
pub fn sees_subscription(call: &Call<'_, '_>, subscription: &str) -> bool {
    let scope = format!("/subscriptions/{subscription}");
    if allows(call, &scope, "Microsoft.Resources/subscriptions/read") {
        return true;
    }
    let end = format!("/providers/{}|", KIND.to_ascii_lowercase());
    let mut found = false;
    call.state.scan(&format!("r|{scope}/"), None, |key, record| {
        found = key.contains(&end)
            && record
                .text("properties.principalId")
                .is_some_and(|principal| principal.eq_ignore_ascii_case(&call.object));
        !found
    });
    found
}

/// Requires that the resource group of a scope exists, and the resource itself if the emulator stores its type.
pub fn require_scope(call: &mut Call<'_, '_>, at: usize) -> Result<(), ArmError> {
    let in_group = call.segments.get(2).is_some_and(|word| word.eq_ignore_ascii_case("resourceGroups"));
    if !in_group || at < 4 {
        return Ok(());
    }
    let group = call.segments[3].clone();
    groups::require(call, &group)?;
    let scope = format!("/{}", call.segments[..at].join("/"));
    if at > 4 && call.find(&scope).is_none() {
        let path = call.segments[5..at].join("/");
        return Err(ArmError::no_resource(&path, &group));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(path: &str) -> Vec<String> {
        path.split('/').filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn scopes_end_after_names() {
        let id = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries/g/images/i";
        let names: Vec<String> = scopes_of(id);
        assert_eq!(names[0], "/");
        assert_eq!(names[1], "/subscriptions/s");
        assert_eq!(names[2], "/subscriptions/s/resourceGroups/rg");
        assert!(names[3].ends_with("/galleries/g") && names[4] == id && names.len() == 5);
    }

    #[test]
    fn requests_have_an_action_and_a_scope() {
        let compute = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute";
        for (method, path, expected) in [
            (
                Method::Get,
                format!("{compute}/galleries/g"),
                Some((format!("{compute}/galleries/g"), "galleries/read")),
            ),
            (
                Method::Get,
                format!("{compute}/galleries"),
                Some(("/subscriptions/s/resourceGroups/rg".into(), "galleries/read")),
            ),
            (
                Method::Get,
                format!("{compute}/galleries/g/images"),
                Some((format!("{compute}/galleries/g"), "galleries/images/read")),
            ),
            (
                Method::Put,
                format!("{compute}/galleries/g/images/i/versions/1"),
                Some((
                    format!("{compute}/galleries/g/images/i/versions/1"),
                    "galleries/images/versions/write",
                )),
            ),
            (
                Method::Post,
                format!("{compute}/galleries/g/share"),
                Some((format!("{compute}/galleries/g"), "galleries/share/action")),
            ),
            (
                Method::Get,
                "/subscriptions/s/providers/Microsoft.Compute/images".into(),
                Some(("/subscriptions/s".into(), "images/read")),
            ),
            (
                Method::Get,
                "/subscriptions/s/providers/Microsoft.Compute/locations/l/capsOperations/x".into(),
                None,
            ),
            (Method::Get, "/subscriptions".into(), None),
            (Method::Get, "/subscriptions/s".into(), None),
            (Method::Get, "/subscriptions/s/providers/Microsoft.Compute".into(), None),
        ] {
            let expected = expected.map(|(scope, action)| (scope, format!("Microsoft.Compute/{action}")));
            assert_eq!(action_of(method, &segments(&path)), expected, "{path}");
        }
        let group = action_of(Method::Delete, &segments("/subscriptions/s/resourceGroups/rg"));
        let expected =
            ("/subscriptions/s/resourceGroups/rg", "Microsoft.Resources/subscriptions/resourceGroups/delete");
        assert_eq!(group, Some((expected.0.to_owned(), expected.1.to_owned())));
        let list = action_of(Method::Get, &segments("/subscriptions/s/resourceGroups"));
        assert_eq!(list.map(|(scope, _)| scope).as_deref(), Some("/subscriptions/s"));
    }

    #[test]
    fn filters() {
        let filter = |at_or_above, principal: Option<&str>| {
            Some(Filter { at_or_above, principal: principal.map(str::to_owned) })
        };
        assert_eq!(Filter::parse(""), filter(false, None));
        assert_eq!(Filter::parse("atScope()"), filter(true, None));
        assert_eq!(Filter::parse("principalId eq 'p'"), filter(false, Some("p")));
        assert_eq!(Filter::parse("atScope() and principalId eq 'p'"), filter(true, Some("p")));
        assert_eq!(Filter::parse("assignedTo('p')"), filter(true, Some("p")));
        assert_eq!(Filter::parse("roleName eq 'x'"), None);
    }
}
