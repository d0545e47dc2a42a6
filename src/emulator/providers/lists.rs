//! Lists across types and scopes: the resources of a group or subscription, resource groups, and locks.

use super::super::call::{Call, Outcome};
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::resource::Resource;
use super::super::template::ids;
use super::filters::{self, Term};

/// The fields that `/resources` can be filtered by.
const RESOURCE_FIELDS: &[&str] =
    &["resourceType", "resourceGroup", "name", "location", "tagName", "tagValue"];
/// The members that `$expand` adds to resources.
const EXPANSIONS: &[&str] = &["createdTime", "changedTime", "provisioningState"];
/// The members that `$expand` adds to resource groups.
const GROUP_EXPANSIONS: &[&str] = &["createdTime", "changedTime"];

/// `GET …/resources` of a group or of the subscription.
pub fn resources(call: &mut Call<'_, '_>, group: Option<&str>) -> Outcome {
    let base = match group {
        Some(group) => ids::group_scope(&call.subscription, group),
        None => format!("/subscriptions/{}/resourceGroups", call.subscription),
    };
    let filter = filters::parse(call.query("$filter").unwrap_or_default(), RESOURCE_FIELDS)?;
    check_expand(call, EXPANSIONS)?;
    let mut values = Vec::new();
    call.state.scan(&format!("r|{}/", base.to_ascii_lowercase()), None, |_, record| {
        let resource = Resource::from_record(record);
        let kind = resource.doc.text("type").unwrap_or_default();
        let namespace = kind.split('/').next().unwrap_or_default();
        // Locks, role assignments and deployments are not listed among resources.
        let listed = !["Microsoft.Authorization", "Microsoft.Resources"]
            .iter()
            .any(|of| of.eq_ignore_ascii_case(namespace));
        if !listed || !resource.exists(call.now) {
            return true;
        }
        let field = |name: &str| match name {
            "resourceType" => kind.to_owned(),
            "resourceGroup" => resource.id().split('/').nth(4).unwrap_or_default().to_owned(),
            "name" => whole_name(resource.id()),
            _ => resource.location().to_owned(),
        };
        let passes = filter.alternatives().iter().any(|terms| {
            let (tags, others): (Vec<&Term>, Vec<&Term>) =
                terms.iter().partition(|term| term.field.starts_with("tag"));
            others.iter().all(|term| term.matches(&field(term.field))) && tags_match(&resource, &tags)
        });
        if passes {
            let state = call.expands("provisioningState").then(|| resource.state(call.now));
            let created = call.expands("createdTime").then(|| when(call, &resource, "created"));
            let changed = call.expands("changedTime").then(|| when(call, &resource, "operation.start"));
            let mut shown = Json::object()
                .with("id", resource.id())
                .with("name", whole_name(resource.id()))
                .with("type", kind);
            for member in ["sku", "kind", "managedBy", "plan", "zones", "identity"] {
                if let Some(value) = resource.doc.get(member) {
                    shown.set(member, value);
                }
            }
            values.push(
                shown
                    .with("location", resource.location())
                    .maybe("tags", resource.doc.get("tags"))
                    .maybe("createdTime", created)
                    .maybe("changedTime", changed)
                    .maybe("provisioningState", state),
            );
        }
        true
    });
    call.paged_answer(values)
}

/// Refuses an `$expand` of members that the list does not have.
fn check_expand(call: &Call<'_, '_>, known: &[&str]) -> Result<(), ArmError> {
    let unknown = call.query("$expand").and_then(|list| {
        list.split(',').find(|word| !known.iter().any(|known| known.eq_ignore_ascii_case(word.trim())))
    });
    match unknown {
        Some(unknown) => Err(ArmError::gateway(
            400,
            "InvalidExpandInQueryString",
            format!("Invalid $expand '{unknown}' specified in the query string."),
        )),
        None => Ok(()),
    }
}

/// A time stored with a resource; otherwise the start of its last operation, or now.
fn when(call: &Call<'_, '_>, resource: &Resource, key: &str) -> String {
    let kept = resource.doc.int(&format!("_.{key}")).or_else(|| resource.started());
    super::super::clock::format_z(kept.unwrap_or(call.now))
}

/// Whether one tag matches all terms on a tag's name and value.
fn tags_match(resource: &Resource, terms: &[&Term]) -> bool {
    let tags = resource.doc.get("tags").map_or(&[][..], Json::pairs);
    let holds = |name: &str, value: &str| {
        terms.iter().all(|term| term.matches(if term.field == "tagName" { name } else { value }))
    };
    terms.is_empty() || tags.iter().any(|(name, value)| holds(name, value.as_str().unwrap_or_default()))
}

/// `gallery/image/1.0.0`: in lists of resources, the name of a child includes those of its parents.
fn whole_name(id: &str) -> String {
    let after = id.rsplit("/providers/").next().unwrap_or_default();
    after.split('/').skip(2).step_by(2).collect::<Vec<_>>().join("/")
}

/// `GET …/resourcegroups`.
pub fn groups(call: &mut Call<'_, '_>, show: impl Fn(&Resource) -> Json) -> Outcome {
    check_expand(call, GROUP_EXPANSIONS)?;
    let filter = filters::parse(
        call.query("$filter").unwrap_or_default(),
        &["tagName", "tagValue", "name", "location"],
    )?;
    let found = call.children(&format!("/subscriptions/{}/resourceGroups", call.subscription));
    let passes = |group: &&Resource| {
        filter.alternatives().iter().any(|terms| {
            let (tags, others): (Vec<&Term>, Vec<&Term>) =
                terms.iter().partition(|term| term.field.starts_with("tag"));
            let field = |name: &str| if name == "name" { group.name() } else { group.location() };
            others.iter().all(|term| term.matches(field(term.field))) && tags_match(group, &tags)
        })
    };
    let expanded = |group: &Resource| {
        let created = call.expands("createdTime").then(|| when(call, group, "created"));
        let changed = call.expands("changedTime").then(|| when(call, group, "changed"));
        show(group).maybe("createdTime", created).maybe("changedTime", changed)
    };
    call.paged_answer(found.iter().filter(passes).map(expanded).collect())
}

/// The locks at a scope and below it; with `atScope()`, those at it and above it.
pub fn locks(call: &mut Call<'_, '_>, scope: &str, show: impl Fn(&Resource) -> Json) -> Outcome {
    let filter = filters::parse(call.query("$filter").unwrap_or_default(), &["atScope()"])?;
    let upwards = filter.alternatives().iter().any(|terms| !terms.is_empty());
    let scope = scope.trim_end_matches('/').to_ascii_lowercase();
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut values = Vec::new();
    call.state.scan("r|/subscriptions/", None, |_, record| {
        let lock = Resource::from_record(record);
        let id = lock.id().to_ascii_lowercase();
        if let Some((own, _)) = id.rsplit_once("/providers/microsoft.authorization/locks/")
            && lock.exists(call.now)
            && if upwards { within(&scope, own) } else { within(own, &scope) }
        {
            values.push(show(&lock));
        }
        true
    });
    call.paged_answer(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_lists_of_resources() {
        let image = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries/g/images/i";
        assert_eq!(whole_name(image), "g/i");
        assert_eq!(whole_name(&format!("{image}/providers/Microsoft.Authorization/locks/l")), "l");
    }
}
