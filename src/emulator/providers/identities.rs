//! Managed identities of resources: the `identity` block, with the principal and client IDs that the service fills in.

use super::super::call::Call;
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

/// The identity that a resource has after a request: what the body says, over what is stored. `None` is no identity.
/// A null entry among the user-assigned ones takes that one away.
pub fn assign(call: &mut Call<'_, '_>, stored: Option<&Json>) -> Option<Json> {
    let Some(sent) = call.body.get("identity").filter(|sent| !sent.is_null()) else {
        return stored.cloned();
    };
    // Types without a described shape may spell it without the blank.
    let has = |word: &str| sent.text("type").is_some_and(|kind| kind.to_ascii_lowercase().contains(word));
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
        for (id, _) in sent_users.iter().filter(|(_, entry)| !entry.is_null()) {
            let (principal, client) = ids_of(id);
            users.set(id, Json::object().with("principalId", principal).with("clientId", client));
        }
        shown.set("userAssignedIdentities", users);
    }
    Some(shown)
}
