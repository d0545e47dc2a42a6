//! Managed identities of resources: the `identity` block, with the principal and client IDs that the service fills in.

use super::super::call::{Call, Method};
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::operations::stable;
use super::super::store::guid;

/// The type of a user-assigned identity in lower case.
pub const USER_ASSIGNED: &str = "microsoft.managedidentity/userassignedidentities";

/// Principal and client ID of a user-assigned identity: the same ones wherever the identity is shown.
pub fn ids_of(id: &str) -> (String, String) {
    let seed = stable(&id.to_ascii_lowercase());
    (guid(seed, 11, 1), guid(seed, 12, 2))
}

/// Refuses a body with user-assigned identities in its type and none in its list, unless a PATCH keeps those that are stored.
pub fn check(call: &Call<'_, '_>, stored: Option<&Json>) -> Result<(), ArmError> {
    let Some(sent) = call.body.get("identity").filter(|_| matches!(call.method, Method::Put | Method::Patch))
    else {
        return Ok(());
    };
    let kind = sent.text("type").unwrap_or_default();
    let sent = sent.get("userAssignedIdentities").map_or(&[][..], Json::pairs);
    let is_kept = call.method == Method::Patch
        && stored.is_some_and(|stored| stored.get("userAssignedIdentities").is_some());
    if !kind.to_ascii_lowercase().contains("userassigned") || !sent.is_empty() || is_kept {
        return Ok(());
    }
    Err(ArmError::gateway(
        400,
        "MissingIdentityIds",
        format!("The identity ids must not be null or empty for '{kind}' identity type."),
    ))
}

/// The identity of a resource after a request: the members of the body over the stored ones. `None` is no identity. A PATCH
/// adds user-assigned identities, and removes those that it sets to null; a PUT replaces them.
pub fn assign(call: &mut Call<'_, '_>, stored: Option<&Json>) -> Option<Json> {
    let Some(sent) = call.body.get("identity").filter(|sent| !sent.is_null()) else {
        return stored.cloned();
    };
    // Types without a described shape may spell it without the blank.
    let kind = sent.text("type").or_else(|| stored?.text("type")).unwrap_or_default().to_ascii_lowercase();
    let has = |word: &str| kind.contains(word);
    let (system, user) = (has("systemassigned"), has("userassigned"));
    let kind = match (system, user) {
        (true, true) => "SystemAssigned, UserAssigned",
        (true, false) => "SystemAssigned",
        (false, true) => "UserAssigned",
        (false, false) => return None,
    };
    let sent_users = sent.get("userAssignedIdentities").map_or(&[][..], Json::pairs).to_vec();
    let mut shown = Json::object();
    if system {
        let known = stored.and_then(|stored| stored.text("principalId")).map(str::to_owned);
        shown.set("principalId", known.unwrap_or_else(|| call.state.guid()));
        shown.set("tenantId", call.tenant.as_str());
    }
    shown.set("type", kind);
    if user {
        let mut users = Json::object();
        let is_sent = |id: &str| sent_users.iter().any(|(sent, _)| sent.eq_ignore_ascii_case(id));
        let kept =
            stored.and_then(|stored| stored.get("userAssignedIdentities")).map_or(&[][..], Json::pairs);
        let kept = kept.iter().filter(|(id, _)| call.method == Method::Patch && !is_sent(id));
        for (id, _) in kept.chain(sent_users.iter().filter(|(_, entry)| !entry.is_null())) {
            let (principal, client) = ids_of(id);
            users.set(id, Json::object().with("principalId", principal).with("clientId", client));
        }
        shown.set("userAssignedIdentities", users);
    }
    Some(shown)
}
