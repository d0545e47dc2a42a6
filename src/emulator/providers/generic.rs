//! All other resource types: stored and returned as sent, which is sufficient for the networks of image workflows.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::resource::Resource;
use super::{access, filters, identities, lists, network, put_location, roles, take_tags};

/// Resource providers whose types all have a location, except those of children.
const LOCATED: &[&str] =
    &["Microsoft.Network", "Microsoft.Storage", "Microsoft.ManagedIdentity", "Microsoft.KeyVault"];

/// Resource providers whose resources have no provisioning state.
const STATELESS: &[&str] = &["Microsoft.Authorization", "Microsoft.ResourceGraph"];

/// Dispatches by the shape of the path: an odd number of segments after the namespace is a collection, an even number a
/// resource.
pub fn route(call: &mut Call<'_, '_>) -> Outcome {
    let at = call.segments.iter().rposition(|segment| segment.eq_ignore_ascii_case("providers")).unwrap_or(0);
    let tail = call.segments[at + 1..].to_vec();
    let id = format!("/{}", call.segments.join("/"));
    if tail.len() < 2 {
        return Err(ArmError::gateway(
            404,
            "InvalidResourceType",
            format!("The resource type could not be found in '{id}'."),
        ));
    }
    let kind = std::iter::once(tail[0].as_str())
        .chain(tail.iter().skip(1).step_by(2).map(String::as_str))
        .collect::<Vec<_>>()
        .join("/");
    if call.method == Method::Get && kind.eq_ignore_ascii_case("Microsoft.Authorization/roleDefinitions") {
        return roles::read(call, &id, tail.get(2).map(String::as_str));
    }
    if call.method == Method::Get && kind.eq_ignore_ascii_case("Microsoft.Authorization/permissions") {
        access::require_scope(call, at)?;
        return Ok(access::permissions(call, &format!("/{}", call.segments[..at].join("/"))));
    }
    if kind.eq_ignore_ascii_case(access::KIND) {
        access::require_scope(call, at)?;
        return access::route(call, at);
    }
    if tail.len() >= 4
        && let Some(outcome) =
            network::children(call, &format!("/{}", call.segments[..=at + 3].join("/")), &tail)
    {
        return outcome;
    }
    if tail.len().is_multiple_of(2) {
        return match call.method {
            Method::Get if kind.eq_ignore_ascii_case("Microsoft.Authorization/locks") => {
                let scope = format!("/{}", call.segments[..at].join("/"));
                lists::locks(call, &scope, show)
            }
            Method::Get => {
                filters::parse(call.query("$filter").unwrap_or_default(), &[])?;
                let values: Vec<Json> = call.children(&id).iter().map(show).collect();
                Ok(Answer::compact(200, Json::object().with("value", values)))
            }
            Method::Post => Err(ArmError::not_emulated(&format!("{kind}/action"), "")),
            _ => Err(ArmError::no_method(call.method.name(), &kind)),
        };
    }
    let existing = call.find(&id);
    let in_group = call.segments.get(2).is_some_and(|word| word.eq_ignore_ascii_case("resourceGroups"));
    let group = if in_group { call.segments[3].clone() } else { "<null>".to_owned() };
    let absent = || ArmError::no_resource(&format!("{}/{}", tail[0], tail[1..].join("/")), &group);
    match call.method {
        Method::Get => Ok(Answer::compact(200, show(&existing.ok_or_else(absent)?))),
        Method::Delete => {
            let Some(resource) = existing else {
                return Ok(Answer::empty(204));
            };
            let key = super::super::store::resource_key(resource.id());
            call.state.delete(&key);
            // Recorded for role assignments; locks are described without a body.
            Ok(match kind.eq_ignore_ascii_case("Microsoft.Authorization/locks") {
                true => Answer::empty(200),
                false => Answer::compact(200, show(&resource)),
            })
        }
        Method::Put | Method::Patch => {
            let created = existing.is_none();
            let before = existing.clone();
            if created && call.method == Method::Patch {
                return Err(absent());
            }
            let location = location_of(call, &kind, existing.as_ref(), &group)?;
            let mut resource = existing.unwrap_or_else(|| Resource::new(&id, &kind, &location));
            if created {
                resource.hide("created", call.now);
            }
            if call.method == Method::Put {
                take_tags(&call.body, &mut resource)?;
                resource.doc.remove("properties");
            }
            let mut body = call.body.clone();
            match identities::assign(call, resource.doc.get("identity")) {
                Some(identity) => resource.doc.set("identity", identity),
                None => {
                    resource.doc.remove("identity");
                }
            }
            for fixed in ["identity", "id", "name", "type", "location"] {
                body.remove(fixed);
            }
            resource.doc.merge_patch(&body);
            let namespace = kind.split('/').next().unwrap_or_default();
            if !STATELESS.iter().any(|stateless| stateless.eq_ignore_ascii_case(namespace)) {
                network::complete(&kind, before.as_ref(), &mut resource);
                resource.doc.entry("properties").set("provisioningState", "Succeeded");
            }
            if kind.eq_ignore_ascii_case(identities::USER_ASSIGNED) {
                let (principal, client) = identities::ids_of(&id);
                let tenant = call.tenant.clone();
                let properties = resource.properties();
                properties.set("tenantId", tenant);
                properties.set("principalId", principal);
                properties.set("clientId", client);
            }
            call.save(&resource);
            // Role definitions are described with 201 for every write.
            let status = if created || kind.eq_ignore_ascii_case(roles::KIND) { 201 } else { 200 };
            Ok(Answer::compact(status, show(&resource)))
        }
        Method::Head | Method::Post => Err(ArmError::not_emulated(&format!("POST {kind}"), "")),
    }
}

/// The region of a resource. Types that the emulator does not know may have none, or the region `global`.
fn location_of(
    call: &Call<'_, '_>,
    kind: &str,
    existing: Option<&Resource>,
    group: &str,
) -> Result<String, ArmError> {
    let given = call.body.text("location").unwrap_or_default();
    let (namespace, types) = kind.split_once('/').unwrap_or((kind, ""));
    let is_required =
        !types.contains('/') && LOCATED.iter().any(|located| located.eq_ignore_ascii_case(namespace));
    match given {
        "" if !is_required => Ok(String::new()),
        _ if given.eq_ignore_ascii_case("global") => Ok("global".to_owned()),
        _ => put_location(call, kind, existing, group),
    }
}

fn show(resource: &Resource) -> Json {
    let mut shown = Json::clone(&resource.doc);
    shown.remove("_");
    if resource.location().is_empty() {
        shown.remove("location");
    }
    shown
}
