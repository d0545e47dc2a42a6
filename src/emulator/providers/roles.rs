//! `Microsoft.Authorization/roleDefinitions`: the built-in roles that are relevant to galleries and machines, and custom roles.

use super::super::call::{Answer, Call, Outcome};
use super::super::errors::ArmError;
use super::super::json::Json;
use super::filters;

/// The resource type.
pub const KIND: &str = "Microsoft.Authorization/roleDefinitions";

/// The name of the role Owner.
pub const OWNER: &str = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";

struct Role {
    guid: &'static str,
    name: &'static str,
    purpose: &'static str,
    actions: &'static [&'static str],
    not_actions: &'static [&'static str],
}

/// The actions that the built-in roles allow, limited to those that the emulator supports.
const BUILT_IN: &[Role] = &[
    Role {
        guid: OWNER,
        name: "Owner",
        purpose: "Grants full access to manage all resources, including the ability to assign roles in Azure RBAC.",
        actions: &["*"],
        not_actions: &[],
    },
    Role {
        guid: "b24988ac-6180-42a0-ab88-20f7382dd24c",
        name: "Contributor",
        purpose: "Grants full access to manage all resources, but does not allow you to assign roles in Azure RBAC, manage assignments in Azure Blueprints, or share image galleries.",
        actions: &["*"],
        not_actions: &[
            "Microsoft.Authorization/*/Delete",
            "Microsoft.Authorization/*/Write",
            "Microsoft.Authorization/elevateAccess/Action",
            "Microsoft.Blueprint/blueprintAssignments/write",
            "Microsoft.Blueprint/blueprintAssignments/delete",
            "Microsoft.Compute/galleries/share/action",
        ],
    },
    Role {
        guid: "acdd72a7-3385-48ef-bd42-f606fba81ae7",
        name: "Reader",
        purpose: "View all resources, but does not allow you to make any changes.",
        actions: &["*/read"],
        not_actions: &[],
    },
    Role {
        guid: "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
        name: "User Access Administrator",
        purpose: "Lets you manage user access to Azure resources.",
        actions: &["*/read", "Microsoft.Authorization/*", "Microsoft.Support/*"],
        not_actions: &[],
    },
    Role {
        guid: "f58310d9-a9f6-439a-9e8d-f62e7b41a168",
        name: "Role Based Access Control Administrator",
        purpose: "Manages access to Azure resources by assigning roles.",
        actions: &[
            "Microsoft.Authorization/roleAssignments/write",
            "Microsoft.Authorization/roleAssignments/delete",
            "*/read",
            "Microsoft.Support/*",
        ],
        not_actions: &[],
    },
    Role {
        guid: "43d0d8ad-25c7-4714-9337-8ba259a9fe05",
        name: "Monitoring Reader",
        purpose: "Can read all monitoring data.",
        actions: &["*/read", "Microsoft.OperationalInsights/workspaces/search/action", "Microsoft.Support/*"],
        not_actions: &[],
    },
    Role {
        guid: "9980e02c-c2be-4d73-94e8-173b1dc7cf3c",
        name: "Virtual Machine Contributor",
        purpose: "Lets you manage virtual machines, but not access to them, and not the virtual network or storage account they're connected to.",
        actions: &[
            "Microsoft.Authorization/*/read",
            "Microsoft.Compute/availabilitySets/*",
            "Microsoft.Compute/locations/*",
            "Microsoft.Compute/virtualMachines/*",
            "Microsoft.Compute/virtualMachineScaleSets/*",
            "Microsoft.Compute/disks/write",
            "Microsoft.Compute/disks/read",
            "Microsoft.Compute/disks/delete",
            "Microsoft.Network/networkInterfaces/*",
            "Microsoft.Network/publicIPAddresses/join/action",
            "Microsoft.Network/publicIPAddresses/read",
            "Microsoft.Network/virtualNetworks/read",
            "Microsoft.Network/virtualNetworks/subnets/join/action",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
        ],
        not_actions: &[],
    },
    Role {
        guid: "e40ec5ca-96e0-45a2-b4ff-59039f2c2b59",
        name: "Managed Identity Contributor",
        purpose: "Create, Read, Update, and Delete User Assigned Identity.",
        actions: &[
            "Microsoft.ManagedIdentity/userAssignedIdentities/read",
            "Microsoft.ManagedIdentity/userAssignedIdentities/write",
            "Microsoft.ManagedIdentity/userAssignedIdentities/delete",
            "Microsoft.Authorization/*/read",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
        ],
        not_actions: &[],
    },
    Role {
        guid: "f1a07417-d97a-45cb-824c-7a7467783830",
        name: "Managed Identity Operator",
        purpose: "Read and Assign User Assigned Identity.",
        actions: &[
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/read",
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action",
            "Microsoft.Authorization/*/read",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
        ],
        not_actions: &[],
    },
    Role {
        guid: "1ef6a3be-d0ac-425d-8c01-acb62866290b",
        name: "Compute Gallery Sharing Admin",
        purpose: "This role allows user to share gallery to another subscription/tenant or share it to the public.",
        actions: &["Microsoft.Compute/galleries/share/action"],
        not_actions: &[],
    },
    Role {
        guid: "cf7c76d2-98a3-4358-a134-615aa78bf44d",
        name: "Compute Gallery Image Reader",
        purpose: "This is the role for reading gallery images.",
        actions: &[
            "Microsoft.Compute/galleries/images/read",
            "Microsoft.Compute/galleries/images/versions/read",
        ],
        not_actions: &[],
    },
    Role {
        guid: "85a2d0d9-2eba-4c9c-b355-11c2cc0788ab",
        name: "Compute Gallery Artifacts Publisher",
        purpose: "This is the role for publishing gallery artifacts.",
        actions: &[
            "Microsoft.Authorization/*/read",
            "Microsoft.Compute/galleries/*",
            "Microsoft.Compute/locations/capsOperations/read",
            "Microsoft.Compute/locations/communityGalleries/*",
            "Microsoft.Compute/locations/sharedGalleries/*",
            "Microsoft.Compute/images/*",
            "Microsoft.Compute/virtualMachines/write",
            "Microsoft.Compute/disks/write",
            "Microsoft.Compute/snapshots/read",
            "Microsoft.Compute/disks/read",
            "Microsoft.Compute/virtualMachines/read",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
        ],
        not_actions: &["Microsoft.Compute/galleries/share/action"],
    },
];

/// Whether a role exists: built in, or stored in a scope of the call's subscription.
pub fn exists(call: &Call<'_, '_>, guid: &str) -> bool {
    BUILT_IN.iter().any(|role| role.guid.eq_ignore_ascii_case(guid)) || custom(call, guid).is_some()
}

/// A custom role, in any scope.
fn custom(call: &Call<'_, '_>, guid: &str) -> Option<Json> {
    let end = format!("/providers/{KIND}|{guid}").to_ascii_lowercase();
    let mut found = None;
    call.state.scan("r|", None, |key, record| {
        if key.ends_with(&end) {
            found = Some(stored(record));
        }
        found.is_none()
    });
    found
}

/// Whether a role allows an action, such as `Microsoft.Compute/galleries/read`.
pub fn allows(call: &Call<'_, '_>, guid: &str, action: &str) -> bool {
    if let Some(role) = BUILT_IN.iter().find(|role| role.guid.eq_ignore_ascii_case(guid)) {
        let any = |patterns: &[&str]| patterns.iter().any(|pattern| matches(pattern, action));
        return any(role.actions) && !any(role.not_actions);
    }
    custom(call, guid).is_some_and(|role| {
        let permissions = role.get("properties").map(|properties| properties.list("permissions"));
        permissions.unwrap_or_default().iter().any(|permission| {
            let any = |key: &str| {
                permission.list(key).iter().filter_map(Json::as_str).any(|pattern| matches(pattern, action))
            };
            any("actions") && !any("notActions")
        })
    })
}

/// The `permissions` of a role.
pub fn permissions(call: &Call<'_, '_>, guid: &str) -> Vec<Json> {
    let built_in = BUILT_IN.iter().find(|role| role.guid.eq_ignore_ascii_case(guid));
    let role = built_in.map(|role| show(call, role)).or_else(|| custom(call, guid));
    role.map(|role| role.list("properties.permissions").to_vec()).unwrap_or_default()
}

/// Whether an action matches a pattern, in which `*` matches any text; case is ignored.
fn matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = action.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Lists the definitions that are assignable in a scope, or returns the one with this name. `id` is the request's path.
pub fn read(call: &Call<'_, '_>, id: &str, name: Option<&str>) -> Outcome {
    if let Some(name) = name {
        let built_in = BUILT_IN.iter().find(|role| role.guid.eq_ignore_ascii_case(name));
        let found =
            built_in.map(|role| show(call, role)).or_else(|| call.find(id).map(|role| stored(&role.doc)));
        return found.map(|role| Answer::compact(200, role)).ok_or_else(|| does_not_exist(name));
    }
    let filter = call.query("$filter").unwrap_or_default().to_owned();
    let filter = filters::parse(&filter, &["roleName", "type", "atScope()", "atScopeAndBelow()"])?;
    let custom = call.children(id).into_iter().map(|role| stored(&role.doc));
    let values: Vec<Json> = BUILT_IN
        .iter()
        .map(|role| show(call, role))
        .chain(custom)
        .filter(|role| {
            filter.passes(|term| match term.field {
                "roleName" => term.matches(role.text("properties.roleName").unwrap_or_default()),
                "type" => term.matches(role.text("properties.type").unwrap_or_default()),
                _ => true,
            })
        })
        .collect();
    Ok(Answer::compact(200, Json::object().with("value", values)))
}

/// 404 for an unknown role.
pub fn does_not_exist(name: &str) -> ArmError {
    ArmError::gateway(
        404,
        "RoleDefinitionDoesNotExist",
        format!("The specified role definition with ID '{}' does not exist.", name.replace('-', "")),
    )
}

fn stored(document: &Json) -> Json {
    let mut shown = document.clone();
    shown.remove("_");
    shown.remove("location");
    shown
}

fn show(call: &Call<'_, '_>, role: &Role) -> Json {
    let base = match call.subscription.as_str() {
        "" => String::new(),
        subscription => format!("/subscriptions/{subscription}"),
    };
    let texts = |actions: &[&str]| actions.iter().map(|action| Json::from(*action)).collect::<Vec<_>>();
    let permission = Json::object()
        .with("actions", texts(role.actions))
        .with("notActions", texts(role.not_actions))
        .with("dataActions", Vec::new())
        .with("notDataActions", Vec::new());
    let properties = Json::object()
        .with("roleName", role.name)
        .with("type", "BuiltInRole")
        .with("description", role.purpose)
        .with("assignableScopes", vec![Json::from("/")])
        .with("permissions", vec![permission])
        .with("createdOn", "2015-02-02T21:55:09.8806423Z")
        .with("updatedOn", "2021-11-11T20:13:47.8628684Z")
        .with("createdBy", Json::Null)
        .with("updatedBy", Json::Null);
    Json::object()
        .with("properties", properties)
        .with("id", format!("{base}/providers/{KIND}/{}", role.guid))
        .with("type", KIND)
        .with("name", role.guid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_match_patterns() {
        for (pattern, action, fits) in [
            ("*", "Microsoft.Compute/galleries/read", true),
            ("*/read", "microsoft.compute/galleries/READ", true),
            ("*/read", "Microsoft.Compute/galleries/write", false),
            ("Microsoft.Compute/galleries/*", "Microsoft.Compute/galleries/images/versions/write", true),
            (
                "Microsoft.Compute/galleries/images/read",
                "Microsoft.Compute/galleries/images/versions/read",
                false,
            ),
            ("Microsoft.Authorization/*/Write", "Microsoft.Authorization/roleAssignments/write", true),
            ("Microsoft.Authorization/*/Write", "Microsoft.Authorization/roleAssignments/read", false),
            (
                "Microsoft.ManagedIdentity/userAssignedIdentities/*/read",
                "Microsoft.ManagedIdentity/userAssignedIdentities/read",
                false,
            ),
        ] {
            assert_eq!(matches(pattern, action), fits, "{pattern} {action}");
        }
    }
}
