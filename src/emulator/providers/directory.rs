//! The part of Microsoft Graph that tools use: service principals, which are the clients that have signed in and the managed
//! identities of resources. There are no users and groups. Not recorded.

use super::super::call::{Answer, Outcome};
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::resource::Resource;
use super::super::store::Transaction;
use super::identity;

/// A service principal.
struct Principal {
    id: String,
    app: String,
    name: String,
    kind: &'static str,
}

/// Handles a request to Microsoft Graph: path segments in lower case, query, body. `None` for any other request.
pub fn answer(
    state: &Transaction<'_>,
    segments: &[&str],
    query: &[(String, String)],
    body: &[u8],
) -> Option<Outcome> {
    let ["v1.0", rest @ ..] = segments else { return None };
    Some(match rest {
        ["me"] => Err(ArmError::new(
            400,
            "BadRequest",
            "/me request is only valid with delegated authentication flow.",
        )),
        ["serviceprincipals"] => list(state, query),
        ["serviceprincipals" | "directoryobjects", id] if *id != "getbyids" => known(state)
            .iter()
            .find(|principal| principal.id.eq_ignore_ascii_case(id))
            .map(|principal| Answer::compact(200, show(principal)))
            .ok_or_else(|| absent(id)),
        ["directoryobjects", "getbyids"] => {
            let sent = Json::parse(body).unwrap_or_default();
            let wanted: Vec<&str> = sent.list("ids").iter().filter_map(Json::as_str).collect();
            let found = known(state);
            let found =
                found.iter().filter(|known| wanted.iter().any(|id| known.id.eq_ignore_ascii_case(id)));
            Ok(values(found.map(show).collect()))
        }
        ["users" | "groups" | "applications"] => Ok(values(Vec::new())),
        ["users" | "groups" | "applications", id] => Err(absent(id)),
        _ => Err(ArmError::not_emulated(&format!("/{} of Microsoft Graph", segments.join("/")), "")),
    })
}

fn values(values: Vec<Json>) -> Answer {
    Answer::compact(200, Json::object().with("value", values))
}

fn absent(id: &str) -> ArmError {
    let message = format!(
        "Resource '{id}' does not exist or one of its queried reference-property objects are not present."
    );
    ArmError::new(404, "Request_ResourceNotFound", message)
}

/// The service principals that match a filter. Any client ID is found, because any client can sign in.
fn list(state: &Transaction<'_>, query: &[(String, String)]) -> Outcome {
    let filter = query.iter().find(|(name, _)| name.eq_ignore_ascii_case("$filter"));
    let all = known(state);
    let Some((_, filter)) = filter else { return Ok(values(all.iter().map(show).collect())) };
    let mut parts = filter.splitn(2, '\'');
    let field = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let wanted = parts.next().unwrap_or_default().trim_end_matches(')').trim_end_matches('\'');
    let by: fn(&Principal) -> &str = match field.as_str() {
        "appid eq" | "serviceprincipalnames/any(c:c eq" => |principal| &principal.app,
        "id eq" => |principal| &principal.id,
        "displayname eq" => |principal| &principal.name,
        _ => {
            let message = format!("The emulator does not support the filter '{filter}'.");
            return Err(ArmError::new(400, "Request_UnsupportedQuery", message));
        }
    };
    let mut found: Vec<Json> =
        all.iter().filter(|principal| by(principal).eq_ignore_ascii_case(wanted)).map(show).collect();
    let client = field.starts_with("appid") || field.starts_with("serviceprincipalnames");
    if found.is_empty() && client && uuid::Uuid::parse_str(wanted).is_ok() {
        found.push(show(&of_client(wanted)));
    }
    Ok(values(found))
}

fn of_client(client: &str) -> Principal {
    Principal {
        id: identity::object_of(client),
        app: client.to_owned(),
        name: client.to_owned(),
        kind: "Application",
    }
}

/// The principals that always exist: the caller without a token, and the managed identities.
fn known(state: &Transaction<'_>) -> Vec<Principal> {
    let mut found = vec![
        Principal {
            id: identity::OBJECT.to_owned(),
            app: identity::CLIENT.to_owned(),
            name: "emulator".to_owned(),
            kind: "Application",
        },
        of_client(identity::CLIENT),
    ];
    state.scan("r|", None, |_, record| {
        let resource = Resource::from_record(record);
        let of_itself = resource.property_text("principalId").zip(resource.property_text("clientId"));
        let of_resource = resource.doc.text("identity.principalId").map(|principal| (principal, principal));
        if let Some((principal, client)) = of_itself.or(of_resource) {
            found.push(Principal {
                id: principal.to_owned(),
                app: client.to_owned(),
                name: resource.name().to_owned(),
                kind: "ManagedIdentity",
            });
        }
        true
    });
    found
}

fn show(principal: &Principal) -> Json {
    Json::object()
        .with("@odata.type", "#microsoft.graph.servicePrincipal")
        .with("id", principal.id.as_str())
        .with("appId", principal.app.as_str())
        .with("displayName", principal.name.as_str())
        .with("servicePrincipalNames", vec![Json::from(principal.app.as_str())])
        .with("servicePrincipalType", principal.kind)
}
