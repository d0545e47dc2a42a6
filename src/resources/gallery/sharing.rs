//! Whom a gallery is shared with: moved from any permission to any other in place, through the share action.

use serde_json::{Value as Json, json};

use crate::arm::{Error, Scope, Target};
use crate::azure::attributes::{check_filled, check_guid, eq_ignore_case};
use crate::azure::{Context, GALLERY_API, body, writing};
use crate::framework::Draft;
use crate::model;
use crate::schema::spec::{block, computed, optional, required};
use crate::schema::{Diagnostics, Path, Set, Value};

model! {
    /// Whom the gallery is shared with.
    pub struct Sharing {
        /// `Private` (nobody beyond access control), `Groups` (the subscriptions and tenants named here) or
        /// `Community` (everybody).
        pub permission: String = optional().default("Private").one_of(&["Private", "Groups", "Community"]),
        /// Subscriptions that may use the images, for `Groups`. At most 30.
        pub subscription_ids: Option<Set<String>> = optional().or_empty().equivalent_if(eq_ignore_case).check_text(check_guid),
        /// Tenants that may use the images, for `Groups`. At most 5.
        pub tenant_ids: Option<Set<String>> = optional().or_empty().equivalent_if(eq_ignore_case).check_text(check_guid),
        /// How the gallery presents itself to everybody, for `Community`.
        pub community: Option<Community> = block(),
    }
}

model! {
    /// How the gallery presents itself to everybody.
    pub struct Community {
        /// Where the publisher can be found on the web.
        pub publisher_uri: String = required().check_text(check_filled),
        /// Where the publisher can be written to.
        pub publisher_email: String = required().check_text(check_filled),
        /// The end-user licence agreement, or where it stands.
        pub eula: String = required().check_text(check_filled),
        /// What the public name begins with: 5 to 16 letters and digits.
        pub public_name_prefix: String = required().check_text(check_prefix),
        /// The public name by which everybody finds the gallery.
        pub public_name: Option<String> = computed(),
    }
}

/// Tells when sharing ends on the way; and a new community identity means a new public name.
pub fn prepare(draft: &mut Draft<'_>) {
    let path = |sharing: &Value| sharing.get("community").get("public_name_prefix").clone();
    let (planned, prior) = (draft.planned.get("sharing").clone(), draft.prior.get("sharing").clone());
    if let (Some(new), Some(old)) = (planned.get("permission").as_str(), prior.get("permission").as_str())
        && new != old
        && new != "Private"
        && old != "Private"
    {
        draft.diagnostics.warning(
            Path::attribute("sharing"),
            "The gallery is shared with nobody for a moment",
            format!(
                "The service goes from {old} to {new} by way of Private: what {old} shared ends first. A service that \
                 shares with {new} only what was made so refuses the second step; the gallery is Private then, and \
                 the next plan shows it."
            ),
        );
    }
    let community = planned.get("community").clone();
    if community.is_known() && path(&planned) != path(&prior) && prior.is_known() {
        let (mut planned, mut community) = (planned, community);
        community.set("public_name", Value::Unknown);
        planned.set("community", community);
        draft.planned.set("sharing", planned);
    }
}

/// Checks what goes with which permission.
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
            "The community block does not go with the permission",
            format!(
                "permission = {permission:?} takes no community {{}} block: remove it, or set \"Community\"."
            ),
        );
    }
    for (name, most) in [("subscription_ids", 30), ("tenant_ids", 5)] {
        let ids = sharing.get(name);
        if permission != "Groups" && ids.is_known() && !ids.is_empty() {
            found.error(
                path.then(name),
                format!("{name} does not go with the permission"),
                format!("permission = {permission:?} takes no {name}: remove them, or set \"Groups\"."),
            );
        }
        if ids.elements().len() > most {
            found.error(
                path.then(name),
                format!("Too many {name}"),
                format!(
                    "A gallery can be shared with {most} of them at most; {} are given.",
                    ids.elements().len()
                ),
            );
        }
    }
}

/// Puts the sharing profile into the body of a gallery: all of it for a new one; for one that exists only what the
/// service takes in a PUT, since the permission itself moves by the share action.
pub fn expand(gallery: &mut Json, wanted: Option<&Sharing>, current: Option<&Json>) {
    let have = current.map(|current| permission(current).to_owned());
    let Some(wanted) = wanted else {
        return;
    };
    let becomes = have.as_deref().is_none_or(|have| have == wanted.permission);
    if becomes && (wanted.permission != "Private" || have.is_some()) {
        body::set(gallery, "properties.sharingProfile.permissions", json!(wanted.permission));
    }
    if let (Some(community), true) = (&wanted.community, becomes) {
        for (name, text) in [
            ("publisherUri", &community.publisher_uri),
            ("publisherContact", &community.publisher_email),
            ("eula", &community.eula),
            ("publicNamePrefix", &community.public_name_prefix),
        ] {
            body::set(
                gallery,
                &format!("properties.sharingProfile.communityGalleryInfo.{name}"),
                json!(text),
            );
        }
    }
}

/// Moves the gallery at `target` from what it has to what is `wanted`; says whether anything had to be done.
pub async fn change(
    context: &Context,
    scope: &Scope,
    target: &Target,
    wanted: Option<&Sharing>,
) -> Result<bool, Error> {
    let current =
        context.client.get(scope, &target.clone().query("$expand", "SharingProfile/Groups")).await?;
    let has_permission = permission(&current).to_owned();
    let wanted_permission = wanted.map_or("Private", |wanted| wanted.permission.as_str());
    let mut changed = false;
    if has_permission != "Private" && has_permission != wanted_permission {
        reset(context, scope, target).await?;
        changed = true;
    }
    let Some(wanted) = wanted else {
        return Ok(changed);
    };
    match wanted.permission.as_str() {
        "Groups" => {
            let mut refused = None;
            if has_permission != "Groups" {
                refused = enter(context, scope, target, wanted).await?;
                changed = true;
            }
            let (have_subscriptions, have_tenants) =
                if has_permission == "Groups" { groups(&current) } else { Default::default() };
            let sets = [
                ("Subscriptions", &have_subscriptions, wanted.subscription_ids.as_ref()),
                ("AADTenants", &have_tenants, wanted.tenant_ids.as_ref()),
            ];
            let (mut add, mut remove) = (Vec::new(), Vec::new());
            for (kind, have, want) in sets {
                let want: Vec<&String> = want.iter().flat_map(|ids| ids.iter()).collect();
                let missing: Vec<&&String> =
                    want.iter().filter(|id| !have.iter().any(|have| eq_ignore_case(have, id))).collect();
                let surplus: Vec<&String> =
                    have.iter().filter(|id| !want.iter().any(|want| eq_ignore_case(want, id))).collect();
                if !missing.is_empty() {
                    add.push(json!({"type": kind, "ids": missing}));
                }
                if !surplus.is_empty() {
                    remove.push(json!({"type": kind, "ids": surplus}));
                }
            }
            if let (Some(refused), true) = (&refused, add.is_empty()) {
                return Err(refused.clone());
            }
            for (operation, groups) in [("Add", add), ("Remove", remove)] {
                if !groups.is_empty() {
                    let update = json!({"operationType": operation, "groups": groups});
                    // why the permission was refused tells more than that it is missing now
                    share(context, scope, target, &update)
                        .await
                        .map_err(|error| refused.clone().unwrap_or(error))?;
                    changed = true;
                }
            }
        }
        "Community" => {
            let mut refused = None;
            if has_permission != "Community" {
                refused = enter(context, scope, target, wanted).await?;
                changed = true;
            }
            let enabled = "properties.sharingProfile.communityGalleryInfo.communityGalleryEnabled";
            if has_permission != "Community" || body::bool(&current, enabled) != Some(true) {
                let update = json!({"operationType": "EnableCommunity"});
                share(context, scope, target, &update).await.map_err(|error| refused.unwrap_or(error))?;
                changed = true;
            }
        }
        _ => {}
    }
    if changed {
        propagated(context, scope, target).await?;
    }
    Ok(changed)
}

/// Takes back all sharing.
pub async fn reset(context: &Context, scope: &Scope, target: &Target) -> Result<(), Error> {
    share(context, scope, target, &json!({"operationType": "Reset"})).await
}

/// What the service says about sharing, in the words of the schema. Groups are asked for only where there are some.
pub async fn flatten(
    context: &Context,
    scope: &Scope,
    target: &Target,
    gallery: &Json,
    known: Option<&Sharing>,
) -> Result<Option<Sharing>, Error> {
    let permission = permission(gallery).to_owned();
    // a private gallery says so, or says nothing
    if permission == "Private" && known.is_none() {
        return Ok(None);
    }
    let mut sharing = Sharing { permission, ..Sharing::default() };
    match sharing.permission.as_str() {
        "Groups" => {
            let answer = context.client.get(scope, &target.clone().query("$select", "Permissions")).await?;
            let (subscriptions, tenants) = groups(&answer);
            let ids = |ids: Vec<String>| (!ids.is_empty()).then_some(Set(ids));
            (sharing.subscription_ids, sharing.tenant_ids) = (ids(subscriptions), ids(tenants));
        }
        "Community" => {
            let info = body::at(gallery, "properties.sharingProfile.communityGalleryInfo");
            let old = known.and_then(|known| known.community.clone()).unwrap_or_default();
            let text = |name: &str, old: String| info.and_then(|info| body::text(info, name)).unwrap_or(old);
            sharing.community = Some(Community {
                publisher_uri: text("publisherUri", old.publisher_uri),
                publisher_email: text("publisherContact", old.publisher_email),
                eula: text("eula", old.eula),
                public_name_prefix: text("publicNamePrefix", old.public_name_prefix),
                public_name: info
                    .and_then(|info| body::texts(info, "publicNames"))
                    .and_then(|names| names.into_iter().next()),
            });
        }
        _ => {}
    }
    Ok(Some(sharing))
}

// Gives a private gallery the wanted permission. New ones get it at creation; for one that exists the service may
// want it by PUT or only by the share action, so a refused PUT, which is returned, leaves the decision to the action
// that follows.
async fn enter(
    context: &Context,
    scope: &Scope,
    target: &Target,
    wanted: &Sharing,
) -> Result<Option<Error>, Error> {
    let current = context.client.get(scope, target).await?;
    let mut gallery = current.clone();
    body::keep_only(&mut gallery, &["location", "tags", "identity", "properties"]);
    body::set(&mut gallery, "properties.provisioningState", Json::Null);
    body::set(&mut gallery, "properties.identifier", Json::Null);
    body::set(&mut gallery, "properties.sharingStatus", Json::Null);
    body::set(&mut gallery, "properties.sharingProfile", json!({"permissions": wanted.permission}));
    expand(&mut gallery, Some(wanted), None);
    let accepted = match context.client.put(scope, target, &gallery).await {
        Ok(accepted) => accepted,
        Err(error) if error.status == Some(400) || error.is_conflict() => return Ok(Some(error)),
        Err(error) => return Err(error),
    };
    match accepted.operation {
        Some(operation) => context.client.wait(scope, &operation).await.map(|_| None),
        None => Ok(None),
    }
}

async fn share(context: &Context, scope: &Scope, target: &Target, update: &Json) -> Result<(), Error> {
    let action = Target::new(format!("{}/share", target.path()), GALLERY_API);
    writing::act(&context.client, scope, &action, Some(update)).await
}

// Waits until the change has reached every region.
async fn propagated(context: &Context, scope: &Scope, target: &Target) -> Result<(), Error> {
    for wait in writing::waits() {
        let gallery =
            context.client.get(scope, &target.clone().query("$expand", "SharingProfile/Groups")).await?;
        match body::text(&gallery, "properties.sharingStatus.aggregatedState").as_deref() {
            Some("InProgress") => scope.sleep(wait).await?,
            Some("Failed") => {
                let regions =
                    body::at(&gallery, "properties.sharingStatus.summary").cloned().unwrap_or_default();
                return Err(Error::new(
                    crate::arm::Kind::Operation,
                    format!("sharing did not reach every region: {regions}"),
                ));
            }
            _ => return Ok(()),
        }
    }
    Ok(())
}

fn permission(gallery: &Json) -> &str {
    body::at(gallery, "properties.sharingProfile.permissions").and_then(Json::as_str).unwrap_or("Private")
}

// Subscriptions and tenants that the gallery is shared with.
fn groups(gallery: &Json) -> (Vec<String>, Vec<String>) {
    let ids = |kind: &str| {
        body::items(gallery, "properties.sharingProfile.groups")
            .iter()
            .filter(|group| body::text(group, "type").is_some_and(|have| eq_ignore_case(&have, kind)))
            .flat_map(|group| body::texts(group, "ids").unwrap_or_default())
            .collect()
    };
    (ids("Subscriptions"), ids("AADTenants"))
}

fn check_prefix(text: &str) -> Result<(), String> {
    if (5..=16).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric()) {
        Ok(())
    } else {
        Err("must have 5 to 16 letters and digits, and nothing else".to_owned())
    }
}
