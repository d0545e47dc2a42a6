//! Identities and resource IDs in imports, moves and plans, and the subscription and region of a plan.

use std::collections::BTreeMap;

use super::Context;
use super::context::scope;
use crate::arm::{ResourceId, Target, region};
use crate::framework::{Draft, IdentityField, ImportFrom, MoveFrom, Op};
use crate::schema::{Diagnostic, Diagnostics, Path, Value};

const fn field(name: &'static str, required: bool, doc: &'static str) -> IdentityField {
    IdentityField { name, required, doc }
}

/// The subscription; defaults to the provider's.
pub const SUBSCRIPTION_ID: IdentityField =
    field("subscription_id", false, "The subscription. Defaults to the provider's.");
/// The resource group.
pub const RESOURCE_GROUP_NAME: IdentityField = field("resource_group_name", true, "The resource group.");
/// The gallery.
pub const GALLERY_NAME: IdentityField = field("gallery_name", true, "The Compute Gallery.");
/// The image definition.
pub const IMAGE_NAME: IdentityField = field("image_name", true, "The image definition.");
/// The gallery application.
pub const APPLICATION_NAME: IdentityField = field("application_name", true, "The gallery application.");
/// The resource itself.
pub const NAME: IdentityField = field("name", true, "The name of the resource itself.");

/// The identity of a resource in a resource group.
pub const IN_GROUP: &[IdentityField] = &[SUBSCRIPTION_ID, RESOURCE_GROUP_NAME, NAME];
/// The identity of a resource in a gallery.
pub const IN_GALLERY: &[IdentityField] = &[SUBSCRIPTION_ID, RESOURCE_GROUP_NAME, GALLERY_NAME, NAME];

/// The value of `field` in an identity. It is empty if absent, which the framework allows only for optional fields.
pub fn text<'i>(identity: &'i BTreeMap<String, String>, field: &IdentityField) -> &'i str {
    identity.get(field.name).map(String::as_str).unwrap_or_default()
}

/// The values of an identity that consists of the subscription, the resource group and the names in the ID, as many as
/// `fields`. All are `None` without an ID.
pub fn values(fields: &[IdentityField], id: Option<&ResourceId>) -> Vec<Option<String>> {
    let Some(id) = id else { return vec![None; fields.len()] };
    let names = id.names();
    let parts = [id.subscription_id(), id.resource_group()].into_iter().chain(names);
    parts.map(|part| (!part.is_empty()).then(|| part.to_owned())).collect()
}

/// The ID of the resource of type `kind` that an import names, by its ID or by the identity of [`values`].
pub fn import(
    context: Option<&Context>,
    from: &ImportFrom,
    fields: &[IdentityField],
    kind: &str,
    type_name: &str,
) -> Result<ResourceId, Diagnostic> {
    match from {
        ImportFrom::Id(id) => parse(id, kind, type_name),
        ImportFrom::Identity(given) => {
            let names: Vec<&str> = fields.iter().skip(2).map(|field| text(given, field)).collect();
            let group = text(given, &RESOURCE_GROUP_NAME);
            Ok(ResourceId::new(kind, subscription(context, given)?, group, &names))
        }
    }
}

/// Parses the ID of an import of a resource of type `kind`.
pub fn parse(id: &str, kind: &str, type_name: &str) -> Result<ResourceId, Diagnostic> {
    ResourceId::parse_as(id.trim(), kind).map_err(|error| {
        Diagnostic::error(format!("Importing {type_name}: {id:?} is not a valid ID"), error.to_string())
    })
}

/// The subscription of an identity, or else the provider's.
pub fn subscription<'c>(
    context: Option<&'c Context>,
    identity: &'c BTreeMap<String, String>,
) -> Result<&'c str, Diagnostic> {
    let own = text(identity, &SUBSCRIPTION_ID);
    match context {
        Some(context) => context.subscription(Some(own)),
        None if !own.is_empty() => Ok(own),
        None => Err(Diagnostic::error(
            "The identity has no subscription_id",
            "Set subscription_id in the identity or in the provider block.",
        )),
    }
}

/// The objects that a `moved` block can move to a resource: azurerm's type `azurerm`, and azapi's with a `type` in
/// `kinds`.
pub fn moves_from(azurerm: &'static str, kinds: &[&'static str]) -> Vec<MoveFrom> {
    let azapi = kinds.iter().map(|kind| MoveFrom { type_name: "azapi_resource", kind: Some(kind) });
    std::iter::once(MoveFrom { type_name: azurerm, kind: None }).chain(azapi).collect()
}

/// Plans `subscription_id`: defaults to the provider's.
pub fn prepare_subscription(context: Option<&Context>, draft: &mut Draft<'_>) {
    if draft.config.get("subscription_id").is_null()
        && draft.planned.get("subscription_id").is_null()
        && let Some(subscription) = context.and_then(|context| context.subscription_id.as_deref())
    {
        draft.planned.set("subscription_id", Value::string(subscription));
    }
}

/// Plans the `location` of a new object without a configured one: that of the planned or existing parent. It is
/// unknown if neither is known.
pub async fn resolve_location(context: &Context, op: &Op, draft: &mut Draft<'_>, parent: &str) {
    let is_open = draft.config.get("location").is_null() && !draft.planned.get("location").is_known();
    let Some(parent) = draft.planned.get(parent).as_str().filter(|_| draft.is_create() && is_open) else {
        return;
    };
    let location = match op.planned_object(parent) {
        Some(planned) => planned.get("location").as_str().map(str::to_owned),
        None => {
            let scope = scope(op, "reading the parent's location");
            let found = context.run.parent(&context.client, &scope, &Target::at(parent)).await;
            found.ok().flatten().and_then(|body| super::body::text(&body, "location"))
        }
    };
    if let Some(location) = location {
        draft.planned.set("location", Value::string(region::normalise(&location)));
    }
}

/// Adds an error for a location that the subscription does not have, if that is known at plan, and for a plan without
/// a subscription.
pub async fn check_location(context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
    let subscription = match context.subscription(draft.planned.get("subscription_id").as_str()) {
        Ok(subscription) => subscription,
        Err(_)
            if draft.planned.get("subscription_id").is_unknown()
                && !draft.config.get("subscription_id").is_null() =>
        {
            return;
        }
        Err(error) => return found.push(error),
    };
    if let Some(location) = draft.planned.get("location").as_str()
        && let Some(why) = context.unknown_location(op, subscription, location).await
    {
        found.error(Path::attribute("location"), "Invalid value for location", why);
    }
}

/// The ID in the service's spelling; an import may have used another case.
pub fn id_as_returned_by_azure(id: &ResourceId, body: &serde_json::Value) -> ResourceId {
    super::body::text(body, "id")
        .and_then(|read| ResourceId::parse(&read).ok())
        .filter(|read| read.key() == id.key())
        .unwrap_or_else(|| id.clone())
}

/// The error for an object that was deleted between the plan and its update.
pub fn deleted_since_plan(noun: &str, id: &ResourceId) -> Diagnostic {
    Diagnostic::error(
        format!("The {noun} {:?} no longer exists", id.name()),
        format!("It was deleted since the plan was made. Plan again to create it.\n\n{id}"),
    )
}
