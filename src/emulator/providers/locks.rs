//! Locks and role assignments: the two things of `Microsoft.Authorization` that change how other requests end.

use super::super::call::{Call, Method};
use super::super::clock;
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::resource::Resource;

/// Refuses a change to something that is locked, itself or anything above it.
pub fn check(call: &Call<'_, '_>, id: &str) -> Result<(), ArmError> {
    let (wanted, verb): (&[&str], &str) = match call.method {
        Method::Get | Method::Head => return Ok(()),
        Method::Delete => (&["CanNotDelete", "ReadOnly"], "delete"),
        _ => (&["ReadOnly"], "write"),
    };
    let segments: Vec<&str> = id.trim_matches('/').split('/').collect();
    let locked = (2..=segments.len()).step_by(2).find_map(|length| {
        let scope = format!("/{}", segments[..length].join("/"));
        let lock = call
            .children(&format!("{scope}/providers/Microsoft.Authorization/locks"))
            .into_iter()
            .find(|lock| {
                lock.property_text("level")
                    .is_some_and(|level| wanted.iter().any(|name| name.eq_ignore_ascii_case(level)))
            });
        lock.map(|_| scope)
    });
    match locked {
        None => Ok(()),
        Some(scope) => Err(ArmError::gateway(
            409,
            "ScopeLocked",
            format!(
                "The scope '{id}' cannot perform {verb} operation because following scope(s) are locked: '{scope}'. Please remove the lock and try again."
            ),
        )),
    }
}

/// Completes a new role assignment, or refuses one that says what another says already.
pub fn role_assignment(
    call: &Call<'_, '_>,
    scope: &str,
    name: &str,
    assignment: &mut Resource,
) -> Result<(), ArmError> {
    let of = |resource: &Resource| {
        ["roleDefinitionId", "principalId"]
            .map(|key| resource.property_text(key).unwrap_or_default().to_ascii_lowercase())
    };
    let wanted = of(assignment);
    let same = call
        .children(&format!("{scope}/providers/Microsoft.Authorization/roleAssignments"))
        .into_iter()
        .find(|other| of(other) == wanted && !other.name().eq_ignore_ascii_case(name));
    if let Some(other) = same {
        return Err(ArmError::gateway(
            409,
            "RoleAssignmentExists",
            format!(
                "The role assignment already exists. The ID of the existing role assignment is {}.",
                other.name().replace('-', "")
            ),
        ));
    }
    let text = |key: &str| assignment.property(key).cloned().unwrap_or_default();
    let now = clock::format_z(call.now);
    let properties = Json::object()
        .with("roleDefinitionId", text("roleDefinitionId"))
        .with("principalId", text("principalId"))
        .with("principalType", assignment.property_text("principalType").unwrap_or("ServicePrincipal"))
        .with("scope", scope)
        .with("condition", text("condition"))
        .with("conditionVersion", text("conditionVersion"))
        .with("createdOn", now.as_str())
        .with("updatedOn", now.as_str())
        .with("createdBy", call.object.as_str())
        .with("updatedBy", call.object.as_str())
        .with("delegatedManagedIdentityResourceId", text("delegatedManagedIdentityResourceId"))
        .with("description", text("description"));
    assignment.doc.set("properties", properties);
    Ok(())
}
