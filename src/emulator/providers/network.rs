//! The values that the network provider adds to resources: addresses, the arrays that clients expect, and children that are
//! elements of an array of their parent. Everything else is stored as sent.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::resource::Resource;

/// Types whose children are elements of an array in their properties. The array has the name of the children's type.
const CHILDREN: &[(&str, &[&str])] = &[
    (
        "loadBalancers",
        &[
            "frontendIPConfigurations",
            "backendAddressPools",
            "loadBalancingRules",
            "probes",
            "inboundNatRules",
            "outboundRules",
            "inboundNatPools",
        ],
    ),
    ("networkInterfaces", &["ipConfigurations"]),
    ("networkSecurityGroups", &["securityRules"]),
    ("routeTables", &["routes"]),
    ("virtualNetworks", &["subnets"]),
];

/// Children that a PUT of their own can write; the others are written with their parent only.
const WRITABLE: &[&str] = &["backendAddressPools", "inboundNatRules", "routes", "securityRules", "subnets"];

fn arrays(kind: &str) -> &'static [&'static str] {
    let name =
        kind.rsplit_once('/').filter(|(namespace, _)| namespace.eq_ignore_ascii_case("Microsoft.Network"));
    CHILDREN
        .iter()
        .find(|(known, _)| name.is_some_and(|(_, name)| name.eq_ignore_ascii_case(known)))
        .map_or(&[], |(_, arrays)| arrays)
}

/// Completes a resource that was just written; `before` is its previous state.
pub fn complete(kind: &str, before: Option<&Resource>, resource: &mut Resource) {
    if kind.eq_ignore_ascii_case("Microsoft.Network/publicIPAddresses")
        && resource.property("ipAddress").is_none()
    {
        // Addresses from the ranges reserved for documentation.
        resource.properties().set("ipAddress", "203.0.113.4");
    }
    if kind.eq_ignore_ascii_case("Microsoft.Network/networkInterfaces") {
        resource.properties().set("macAddress", "00-0D-3A-00-00-04");
    }
    let id = resource.id().to_owned();
    for array in arrays(kind) {
        // A virtual network keeps its subnets if the request omits them.
        let kept = before.filter(|_| *array == "subnets").and_then(|before| before.property(array));
        let sent = resource.property(array).or(kept);
        let items = match sent {
            Some(Json::Array(items)) => items.clone(),
            _ => Vec::new(),
        };
        let items: Vec<Json> = items.into_iter().map(|item| child(&id, kind, array, item)).collect();
        resource.properties().set(array, items);
    }
}

/// A child with its ID, type and state.
fn child(parent: &str, kind: &str, array: &str, mut item: Json) -> Json {
    let name = item.text("name").unwrap_or_default().to_owned();
    item.set("id", format!("{parent}/{array}/{name}"));
    item.set("type", format!("{kind}/{array}"));
    let properties = item.entry("properties");
    properties.set("provisioningState", "Succeeded");
    if array == "ipConfigurations" && properties.get("privateIPAddress").is_none() {
        properties.set("privateIPAddress", "10.0.0.4");
    }
    item
}

/// Handles a child that is an element of its parent, or the list of such children; `None` for anything else. `tail` is the
/// path from the namespace on.
pub fn children(call: &mut Call<'_, '_>, parent: &str, tail: &[String]) -> Option<Outcome> {
    let [namespace, kind, _, array, rest @ ..] = tail else { return None };
    let kind = format!("{namespace}/{kind}");
    let array = arrays(&kind).iter().find(|known| known.eq_ignore_ascii_case(array))?;
    match rest {
        [] | [_] => Some(one_or_all(call, parent, &kind, array, rest.first())),
        _ => None,
    }
}

fn one_or_all(
    call: &mut Call<'_, '_>,
    parent: &str,
    kind: &str,
    array: &str,
    name: Option<&String>,
) -> Outcome {
    let Some(mut parent) = call.find(parent) else {
        return Err(ArmError::no_parent(parent.rsplit_once("/providers/").map_or(parent, |(_, path)| path)));
    };
    let mut items = match parent.property(array) {
        Some(Json::Array(items)) => items.clone(),
        _ => Vec::new(),
    };
    let Some(name) = name else {
        return match call.method {
            Method::Get => Ok(Answer::compact(200, Json::object().with("value", items))),
            _ => Err(ArmError::no_method(call.method.name(), kind)),
        };
    };
    let at =
        items.iter().position(|item| item.text("name").is_some_and(|known| known.eq_ignore_ascii_case(name)));
    match (call.method, at) {
        (Method::Get, Some(at)) => Ok(Answer::compact(200, items[at].clone())),
        (Method::Get, None) => {
            let message = format!("Resource {}/{array}/{name} not found.", parent.id());
            Err(ArmError::new(404, "NotFound", message))
        }
        (Method::Put, _) if WRITABLE.contains(&array) => {
            let sent = call.body.clone().with("name", name.as_str());
            let item = child(parent.id(), kind, array, sent);
            match at {
                Some(at) => items[at] = item.clone(),
                None => items.push(item.clone()),
            }
            parent.properties().set(array, items);
            call.save(&parent);
            Ok(Answer::compact(if at.is_some() { 200 } else { 201 }, item))
        }
        (Method::Delete, Some(at)) if WRITABLE.contains(&array) => {
            items.remove(at);
            parent.properties().set(array, items);
            call.save(&parent);
            Ok(Answer::empty(200))
        }
        (Method::Delete, None) if WRITABLE.contains(&array) => Ok(Answer::empty(204)),
        _ => Err(ArmError::no_method(call.method.name(), &format!("{kind}/{array}"))),
    }
}
