//! Sharing of a gallery: which changes Azure makes, and the requests that make them.
//!
//! Azure sets the permission `Groups` only when a gallery is created, converts between `Private` and `Community`, and
//! resets any gallery to `Private`. Whether it converts `Groups` to `Community` is not documented. That conversion is
//! tried without ending the old sharing first, so a refusal changes nothing.
//! <https://github.com/Azure/azure-cli/issues/22223>

use serde_json::{Value as Json, json};

use super::{Gallery, Model};
use crate::arm::{Error, Kind, ResourceId, Target};
use crate::azure::attributes::eq_ignore_case;
use crate::azure::objects::gallery::{Gallery as Object, Sharing};
use crate::azure::pipeline::{self, Managed, Task};
use crate::azure::provisioning::pauses;
use crate::azure::{body, fault};
use crate::framework::{Draft, Failed};
use crate::schema::{Diagnostics, Path, Set, Value};

/// How the permission of an existing gallery changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transition {
    /// Not at all.
    Keep,
    /// By a share action.
    Reset,
    /// By writing the gallery.
    Convert,
    /// Azure refuses it.
    Refused,
}

fn transition(have: &str, wanted: &str) -> Transition {
    match (have, wanted) {
        (have, wanted) if have == wanted => Transition::Keep,
        (_, "Private") => Transition::Reset,
        (_, "Groups") => Transition::Refused,
        _ => Transition::Convert,
    }
}

/// Plans a new public name for a new prefix.
pub fn prepare(draft: &mut Draft<'_>) {
    let prefix = |sharing: &Value| sharing.get("community").get("public_name_prefix").clone();
    let (mut planned, prior) = (draft.planned.get("sharing").clone(), draft.prior.get("sharing").clone());
    let mut community = planned.get("community").clone();
    if community.is_known() && prefix(&planned) != prefix(&prior) && prior.is_known() {
        community.set("public_name", Value::Unknown);
        planned.set("community", community);
        draft.planned.set("sharing", planned);
    }
}

/// Refuses a planned change of the permission that Azure is known to refuse.
pub fn check_transition(draft: &Draft<'_>, found: &mut Diagnostics) {
    if draft.is_create() || !draft.replace.is_empty() {
        return;
    }
    let permission = |gallery: &Value| match gallery.get("sharing") {
        sharing if sharing.is_null() => Some("Private".to_owned()),
        sharing => sharing.get("permission").as_str().map(str::to_owned),
    };
    let (Some(have), Some(wanted)) = (permission(draft.prior), permission(&draft.planned)) else { return };
    let path = Path::attribute("sharing").then("permission");
    match transition(&have, &wanted) {
        Transition::Refused => found.error(
            path,
            format!("The gallery cannot change from {have} to {wanted}"),
            format!(
                "Azure sets the permission {wanted} only when a gallery is created, and this gallery exists with the permission \
                 {have}. Nothing was changed. To share it with {wanted}, replace the gallery with terraform apply -replace and \
                 the address of this resource. That deletes the gallery with its image definitions and versions, and \
                 creates them again. Otherwise set permission = {have:?}."
            ),
        ),
        Transition::Convert if have != "Private" => found.warning(
            path,
            format!("Azure may refuse to change from {have} to {wanted}"),
            "It is not documented whether Azure makes this change. If it does not, the apply fails and the gallery stays \
                 shared as before.",
        ),
        _ => {}
    }
}

/// Checks which arguments go with which permission.
pub fn check_sharing(sharing: &Value, path: &Path, found: &mut Diagnostics) {
    let permission = match sharing.get("permission") {
        Value::Unknown => return,
        permission => permission.as_str().unwrap_or("Private"),
    };
    let community = sharing.get("community");
    if permission == "Community" && community.is_null() {
        found.error(
            path.then("community"),
            "The community block is missing",
            "permission = \"Community\" needs a community {} block with publisher_uri, publisher_email, eula and public_name_prefix.",
        );
    }
    if permission != "Community" && community.is_known() {
        found.error(
            path.then("community"),
            "Unexpected community block",
            format!(
                "permission = {permission:?} allows no community {{}} block. Remove it, or set \"Community\"."
            ),
        );
    }
    for (name, most) in [("subscription_ids", 30), ("tenant_ids", 5)] {
        let ids = sharing.get(name);
        if permission != "Groups" && ids.is_known() && !ids.is_empty() {
            found.error(
                path.then(name),
                format!("Unexpected {name}"),
                format!("permission = {permission:?} allows no {name}. Remove them, or set \"Groups\"."),
            );
        }
        if ids.elements().len() > most {
            found.error(
                path.then(name),
                format!("Too many {name}"),
                format!("Azure allows {most} at most; {} are set.", ids.elements().len()),
            );
        }
    }
}

/// Puts the sharing profile into the body of a gallery: the members that Azure takes in a PUT.
pub fn expand(gallery: &mut Json, wanted: Option<&Sharing>, current: Option<&Json>) {
    let have = current.map(|current| Sharing::read(current).permission);
    let wanted = wanted.filter(|wanted| match have.as_deref() {
        None => !wanted.is_private(),
        Some(have) => matches!(transition(have, &wanted.permission), Transition::Keep | Transition::Convert),
    });
    let (permission, community) = match (wanted, &have) {
        (Some(wanted), _) => (wanted.permission.clone(), wanted.community.clone()),
        // unchanged by this request
        (None, Some(have)) if have != "Private" => {
            (have.clone(), current.and_then(|current| Sharing::read(current).community))
        }
        (None, _) => return body::set(gallery, "properties.sharingProfile", Json::Null),
    };
    let mut profile = json!({"permissions": permission});
    if let Some(community) = community.filter(|_| permission == "Community") {
        profile["communityGalleryInfo"] = body::without_nulls(json!({
            "publisherUri": community.publisher_uri,
            "publisherContact": community.publisher_email,
            "eula": community.eula,
            "publicNamePrefix": community.public_name_prefix,
        }));
    }
    body::set(gallery, "properties.sharingProfile", profile);
}

/// The sharing of the gallery in state. Groups are requested only where there can be some.
pub async fn read(
    task: &Task<'_>,
    id: &ResourceId,
    gallery: &Object,
    known: Option<&Sharing>,
) -> Result<Option<Sharing>, Error> {
    let mut sharing = gallery.sharing.clone();
    if sharing.is_private() && known.is_none() {
        return Ok(None);
    }
    if sharing.permission == "Groups" {
        // groups are added after the creation, by this run or the next
        let groups = match (gallery.provisioning_state.as_deref(), known) {
            (Some("Creating"), Some(known)) => known.clone(),
            _ => {
                let target = Target::at(id.to_string()).query("$select", "Permissions");
                Sharing::read(&task.client().get(&task.scope, &target).await?)
            }
        };
        (sharing.subscription_ids, sharing.tenant_ids) = (groups.subscription_ids, groups.tenant_ids);
    }
    if let (Some(community), Some(known)) =
        (&mut sharing.community, known.and_then(|known| known.community.clone()))
    {
        // older API versions do not return all of it
        community.publisher_uri = community.publisher_uri.take().or(known.publisher_uri);
        community.publisher_email = community.publisher_email.take().or(known.publisher_email);
        community.eula = community.eula.take().or(known.eula);
        community.public_name_prefix = community.public_name_prefix.take().or(known.public_name_prefix);
    }
    Ok(Some(sharing))
}

/// Makes the changes of sharing that follow a write of the gallery, which left it in `state`.
pub async fn after_write(
    gallery: &Gallery,
    task: &Task<'_>,
    plan: &Model,
    prior: Option<&Model>,
    state: Model,
) -> Result<Model, Failed<Model>> {
    let is_private = |sharing: Option<&Sharing>| sharing.is_none_or(Sharing::is_private);
    if is_private(plan.sharing.as_ref()) && is_private(state.sharing.as_ref()) {
        return Ok(state);
    }
    let id = task.id.to_string();
    let error = match change(task, state.sharing.as_ref(), plan.sharing.as_ref()).await {
        Ok(false) => return Ok(state),
        Ok(true) => {
            let reread = async {
                let body = task.client().get(&task.scope, &Target::at(id.as_str())).await?;
                gallery.flatten(task, &body, &task.id, plan).await
            };
            match reread.await {
                Ok(state) => return Ok(state),
                Err(error) => error,
            }
        }
        Err(error) => error,
    };
    // an error would have Terraform replace a new gallery; the next plan shows what is not shared yet
    if prior.is_none() && (error.is_stopped() || error.is_timed_out()) {
        task.op.warn(pipeline::unfinished("sharing the gallery", &id, &error, ""));
        return Ok(Model { sharing: plan.sharing.clone(), ..state });
    }
    Err(Failed::with(state, fault::at(&error, "sharing the gallery", &id, Some("sharing"))))
}

// Sends the share actions that lead from `have` to `wanted`. Returns whether there were any.
async fn change(task: &Task<'_>, have: Option<&Sharing>, wanted: Option<&Sharing>) -> Result<bool, Error> {
    let mut changed = false;
    match wanted.map_or("Private", |wanted| wanted.permission.as_str()) {
        "Groups" => {
            let none = Sharing::default();
            let (have, wanted) = (have.unwrap_or(&none), wanted.unwrap_or(&none));
            let sets = [
                ("Subscriptions", &have.subscription_ids, &wanted.subscription_ids),
                ("AADTenants", &have.tenant_ids, &wanted.tenant_ids),
            ];
            let added = sets.map(|(kind, have, want)| group(kind, want, have));
            let removed = sets.map(|(kind, have, want)| group(kind, have, want));
            for (operation, groups) in [("Add", added), ("Remove", removed)] {
                let groups: Vec<Json> = groups.into_iter().flatten().collect();
                if !groups.is_empty() {
                    share(task, &json!({"operationType": operation, "groups": groups})).await?;
                    changed = true;
                }
            }
        }
        "Community" => {
            let gallery = task.client().get(&task.scope, &Target::at(task.id.to_string())).await?;
            let enabled = "properties.sharingProfile.communityGalleryInfo.communityGalleryEnabled";
            if body::bool(&gallery, enabled) != Some(true) {
                share(task, &json!({"operationType": "EnableCommunity"})).await?;
                changed = true;
            }
        }
        _ => {
            reset(task).await?;
            changed = true;
        }
    }
    if changed {
        wait_until_propagated(task).await?;
    }
    Ok(changed)
}

// The group of those IDs in `ids` that are not in `others`.
fn group(kind: &str, ids: &Option<Set<String>>, others: &Option<Set<String>>) -> Option<Json> {
    let is_new =
        |id: &&String| !others.iter().flat_map(|ids| ids.iter()).any(|other| eq_ignore_case(other, id));
    let ids: Vec<&String> = ids.iter().flat_map(|ids| ids.iter()).filter(is_new).collect();
    (!ids.is_empty()).then(|| json!({"type": kind, "ids": ids}))
}

/// Ends all sharing.
pub async fn reset(task: &Task<'_>) -> Result<(), Error> {
    share(task, &json!({"operationType": "Reset"})).await
}

async fn share(task: &Task<'_>, update: &Json) -> Result<(), Error> {
    let action = Target::at(format!("{}/share", task.id));
    pipeline::act(task.client(), &task.scope, &action, Some(update)).await
}

async fn wait_until_propagated(task: &Task<'_>) -> Result<(), Error> {
    let target = Target::at(task.id.to_string()).query("$expand", "SharingProfile/Groups");
    for pause in pauses() {
        let gallery = task.client().get(&task.scope, &target).await?;
        let state = body::text(&gallery, "properties.sharingStatus.aggregatedState").unwrap_or_default();
        if state.eq_ignore_ascii_case("Failed") {
            let regions = body::at(&gallery, "properties.sharingStatus.summary").cloned().unwrap_or_default();
            return Err(Error::new(Kind::Operation, format!("sharing failed in some regions: {regions}")));
        }
        if !state.eq_ignore_ascii_case("InProgress") {
            break;
        }
        task.scope.sleep(pause).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn azure_decides_each_transition() {
        let rows = [
            ("Private", "Private", Transition::Keep),
            ("Private", "Groups", Transition::Refused),
            ("Private", "Community", Transition::Convert),
            ("Groups", "Private", Transition::Reset),
            ("Groups", "Groups", Transition::Keep),
            ("Groups", "Community", Transition::Convert),
            ("Community", "Private", Transition::Reset),
            ("Community", "Groups", Transition::Refused),
        ];
        for (have, wanted, expected) in rows {
            assert_eq!(transition(have, wanted), expected, "{have} to {wanted}");
        }
    }

    #[test]
    fn the_body_has_only_writable_members() {
        let shared = |permission: &str| {
            json!({"properties": {"sharingProfile": {
                "permissions": permission, "groups": [{"type": "Subscriptions", "ids": ["s"]}],
                "communityGalleryInfo": {"publisherUri": "u", "communityGalleryEnabled": true, "publicNames": ["n"]},
            }}})
        };
        let wanted = |permission: &str| Sharing { permission: permission.to_owned(), ..Sharing::default() };
        let community = json!({"permissions": "Community", "communityGalleryInfo": {"publisherUri": "u"}});
        let rows = [
            (None, None, Json::Null),
            (None, Some("Private"), Json::Null),
            (None, Some("Groups"), json!({"permissions": "Groups"})),
            (Some("Private"), Some("Community"), json!({"permissions": "Community"})),
            (Some("Community"), Some("Private"), community.clone()),
            (Some("Community"), None, community),
            (Some("Groups"), Some("Private"), json!({"permissions": "Groups"})),
            (Some("Groups"), Some("Groups"), json!({"permissions": "Groups"})),
            (Some("Groups"), Some("Community"), json!({"permissions": "Community"})),
        ];
        for (have, want, profile) in rows {
            let current = have.map(shared);
            let mut body = current.clone().unwrap_or_else(|| json!({"properties": {}}));
            expand(&mut body, want.map(wanted).as_ref(), current.as_ref());
            let sent = body["properties"].get("sharingProfile").cloned().unwrap_or_default();
            assert_eq!(sent, profile, "{have:?} to {want:?}");
        }
    }
}
