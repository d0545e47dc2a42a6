//! `Microsoft.Authorization/roleDefinitions`: the built-in roles that people give on galleries and machines, beside those that are stored.

use super::super::call::{Answer, Call, Outcome};
use super::super::errors::ArmError;
use super::super::json::Json;

/// Name in ids, name for people, what it is for, and its actions.
type Role = (&'static str, &'static str, &'static str, &'static [&'static str]);

const BUILT_IN: &[Role] = &[
    ("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner", "Everything, and giving roles to others.", &["*"]),
    ("b24988ac-6180-42a0-ab88-20f7382dd24c", "Contributor", "Everything but giving roles to others.", &["*"]),
    ("acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader", "Reads everything, changes nothing.", &["*/read"]),
    (
        "9980e02c-c2be-4d73-94e8-173b1dc7cf3c",
        "Virtual Machine Contributor",
        "Makes and manages virtual machines.",
        &["Microsoft.Compute/virtualMachines/*", "Microsoft.Compute/disks/*"],
    ),
    (
        "f1a07417-d97a-45cb-824c-7a7467783830",
        "Managed Identity Operator",
        "Reads and assigns user-assigned identities.",
        &[
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/read",
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action",
        ],
    ),
    (
        "1ef6a3be-d0ac-425d-8c01-acb62866290b",
        "Compute Gallery Sharing Admin",
        "Shares galleries with others.",
        &["Microsoft.Compute/galleries/share/action"],
    ),
    (
        "cf7c76d2-98a3-4358-a134-615aa78bf44d",
        "Compute Gallery Image Reader",
        "Reads the images of galleries.",
        &["Microsoft.Compute/galleries/images/read", "Microsoft.Compute/galleries/images/versions/read"],
    ),
    (
        "85a2d0d9-2eba-4c9c-b355-11c2cc0788ab",
        "Compute Gallery Artifacts Publisher",
        "Publishes images and applications to galleries.",
        &["Microsoft.Compute/galleries/*"],
    ),
];

/// The definitions that may be given in a scope, or the one of that name. `id` is the path that was asked.
pub fn read(call: &Call<'_, '_>, id: &str, name: Option<&str>) -> Outcome {
    if let Some(name) = name {
        let built_in = BUILT_IN.iter().find(|(guid, ..)| guid.eq_ignore_ascii_case(name));
        let found =
            built_in.map(|role| show(call, role)).or_else(|| call.find(id).map(|role| stored(&role.doc)));
        return found.map(|role| Answer::compact(200, role)).ok_or_else(|| {
            ArmError::gateway(
                404,
                "RoleDefinitionDoesNotExist",
                format!("The specified role definition with ID '{}' does not exist.", name.replace('-', "")),
            )
        });
    }
    let filter = call.query("$filter").unwrap_or_default().to_owned();
    let wanted = filter.split_once("roleName eq '").and_then(|(_, rest)| rest.split('\'').next());
    let custom = call.children(id).into_iter().map(|role| stored(&role.doc));
    let values: Vec<Json> = BUILT_IN
        .iter()
        .map(|role| show(call, role))
        .chain(custom)
        .filter(|role| {
            wanted.is_none_or(|wanted| {
                role.text("properties.roleName").is_some_and(|name| name.eq_ignore_ascii_case(wanted))
            })
        })
        .collect();
    Ok(Answer::compact(200, Json::object().with("value", values)))
}

fn stored(document: &Json) -> Json {
    let mut shown = document.clone();
    shown.remove("_");
    shown
}

fn show(call: &Call<'_, '_>, (guid, name, purpose, actions): &Role) -> Json {
    let base = match call.subscription.as_str() {
        "" => String::new(),
        subscription => format!("/subscriptions/{subscription}"),
    };
    let actions: Vec<Json> = actions.iter().map(|action| (*action).into()).collect();
    let permission = Json::object()
        .with("actions", actions)
        .with("notActions", Vec::new())
        .with("dataActions", Vec::new())
        .with("notDataActions", Vec::new());
    let properties = Json::object()
        .with("roleName", *name)
        .with("type", "BuiltInRole")
        .with("description", *purpose)
        .with("assignableScopes", vec![Json::from("/")])
        .with("permissions", vec![permission])
        .with("createdOn", "2015-02-02T00:00:00.0000000Z")
        .with("updatedOn", "2015-02-02T00:00:00.0000000Z")
        .with("createdBy", Json::Null)
        .with("updatedBy", Json::Null);
    Json::object()
        .with("properties", properties)
        .with("id", format!("{base}/providers/Microsoft.Authorization/roleDefinitions/{guid}"))
        .with("type", "Microsoft.Authorization/roleDefinitions")
        .with("name", *guid)
}
