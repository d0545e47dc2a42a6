//! `Microsoft.Compute/galleries`: galleries.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::operations::{Begin, Family, begin};
use super::super::resource::Resource;
use super::super::settings::Work;
use super::super::shapes;
use super::{
    GALLERY, deleting, gallery_head, identities, is_not_visible_yet, merge_stored, no_children, one_of,
    put_answer, put_location, save_deleting, save_written, take_tags, upper_group, valid_entity_name,
};

/// Handles one gallery by name.
pub fn one(call: &mut Call<'_, '_>, group: &str, name: &str) -> Outcome {
    let id =
        format!("/subscriptions/{}/resourceGroups/{group}/providers/{GALLERY}/{name}", call.subscription);
    let existing = call.find(&id);
    call.meter = Some(match call.method {
        Method::Put | Method::Patch => "CreateUpdateGallery",
        Method::Delete => "DeleteGallery",
        _ => "GetGallery",
    });
    match call.method {
        Method::Get => {
            let gallery = existing
                .filter(|gallery| !is_not_visible_yet(call, gallery))
                .ok_or_else(|| ArmError::no_resource(&format!("{GALLERY}/{name}"), group))?;
            Ok(Answer::pretty(200, show(call, &gallery)))
        }
        Method::Put => put(call, group, &id, existing),
        Method::Patch => {
            let gallery =
                existing.ok_or_else(|| ArmError::no_resource(&format!("{GALLERY}/{name}"), group))?;
            merge_stored(call, &gallery, &["properties"]);
            put(call, group, &id, Some(gallery))
        }
        Method::Delete => delete(call, existing),
        _ => Err(ArmError::no_method(call.method.name(), GALLERY)),
    }
}

/// Lists the galleries of a resource group or of the subscription.
pub fn list(call: &mut Call<'_, '_>, group: Option<&str>) -> Outcome {
    match group {
        Some(group) => {
            let collection =
                format!("/subscriptions/{}/resourceGroups/{group}/providers/{GALLERY}", call.subscription);
            if call.children(&collection).is_empty() {
                // An empty group list comes from ARM's own cache, without the provider's rate header.
                return Ok(Answer::compact(200, Json::object().with("value", Vec::new())));
            }
            call.meter = Some("ListGalleryInResourceGroup");
            Ok(call.list_answer(&collection, |gallery| upper_group(show(call, gallery))))
        }
        None => {
            call.meter = Some("ListGallery");
            Ok(call.subscription_answer(GALLERY, |gallery| upper_group(show(call, gallery))))
        }
    }
}

fn put(call: &mut Call<'_, '_>, group: &str, id: &str, existing: Option<Resource>) -> Outcome {
    let name = id.rsplit('/').next().unwrap_or_default().to_owned();
    if !valid_entity_name(&name, false) {
        return Err(ArmError::parameter(
            "galleryName",
            r"The entity name 'galleryName' is invalid according to its validation rule: ^[^_\W][\w-._]{0,79}(?<![-.])$.",
        ));
    }
    let location = put_location(call, GALLERY, existing.as_ref(), group)?;
    if let Some(gallery) = &existing
        && gallery.state(call.now) == "Deleting"
    {
        return Err(deleting("Update Gallery", &name));
    }
    if existing.is_none() {
        unique_name(call, id, &name)?;
    }
    let created = existing.is_none();
    let mut gallery = existing.clone().unwrap_or_else(|| Resource::new(id, GALLERY, &location));
    take_tags(&call.body, &mut gallery)?;
    match identities::assign(call, gallery.doc.get("identity")) {
        Some(identity) => gallery.doc.set("identity", identity),
        None => {
            gallery.doc.remove("identity");
        }
    }
    let sharing = take_sharing(call, &name, existing.as_ref())?;
    let soft_delete = take_soft_delete(call, existing.as_ref())?;
    let description = call.body.at("properties.description").cloned().filter(|text| !text.is_null());
    let properties = Json::object()
        .maybe("description", description)
        .maybe("sharingProfile", sharing)
        .maybe("softDeletePolicy", soft_delete);
    gallery.doc.set("properties", properties);
    if created {
        gallery.hide("created", call.now);
    }
    let end = call.now + call.duration(Work::GalleryPut);
    let operation =
        begin(call, Begin::new(Family::Caps, &location, id, if created { "create" } else { "update" }, end));
    let shown = save_written(call, gallery, &operation, created, show);
    Ok(put_answer(call, created, shown, &operation))
}

fn unique_name(call: &Call<'_, '_>, id: &str, name: &str) -> Result<(), ArmError> {
    let taken =
        call.state.of_type(&call.subscription, GALLERY).iter().map(Resource::from_record).any(|other| {
            other.exists(call.now)
                && other.name().eq_ignore_ascii_case(name)
                && !other.id().eq_ignore_ascii_case(id)
        });
    if taken {
        return Err(ArmError::new(
            409,
            "Conflict",
            format!("A gallery named '{name}' already exists in the subscription '{}'. Gallery names are unique within a subscription.", call.subscription),
        )
        .target("galleryName"));
    }
    Ok(())
}

fn take_sharing(
    call: &mut Call<'_, '_>,
    name: &str,
    existing: Option<&Resource>,
) -> Result<Option<Json>, ArmError> {
    const TARGET: &str = "gallery.properties.sharingProfile.permissions";
    let old = existing.and_then(|gallery| gallery.property("sharingProfile")).cloned();
    let Some(sent) = call.body.at("properties.sharingProfile").filter(|sent| !sent.is_null()).cloned() else {
        return Ok(old);
    };
    let wanted = match sent.text("permissions") {
        Some(permissions) => one_of(permissions, &["Private", "Groups", "Community"], TARGET)?,
        None => return Ok(old),
    };
    if existing.is_some() {
        let current = old.as_ref().and_then(|old| old.text("permissions")).unwrap_or("Private");
        // A private gallery can become a community gallery: <https://github.com/Azure/azure-cli/pull/23592>.
        if current != wanted && !(current == "Private" && wanted == "Community") {
            return Err(ArmError::parameter(
                TARGET,
                // Recorded: the service's message lacks a quote.
                format!(
                    "Cannot update the gallery '{name}' sharing permissions from '{current}' to '{wanted}. Permissions can only be changed by a POST ShareGallery call. Currently, gallery permissions can only be set to 'Groups' or 'Community' during creation."
                ),
            ));
        }
    }
    let mut profile = old.clone().unwrap_or_else(Json::object);
    profile.set("permissions", wanted);
    if wanted == "Community" {
        let base = "gallery.properties.sharingProfile.communityGalleryInfo";
        let info = sent.get("communityGalleryInfo").cloned().unwrap_or_default();
        let before =
            old.as_ref().and_then(|old| old.get("communityGalleryInfo")).cloned().unwrap_or_default();
        let field = |key: &str| -> Result<String, ArmError> {
            info.text(key)
                .or_else(|| before.text(key))
                .map(str::to_owned)
                .ok_or_else(|| ArmError::missing(&format!("{base}.{key}")))
        };
        let prefix = field("publicNamePrefix")?;
        if !(5..=16).contains(&prefix.len()) || !prefix.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(ArmError::parameter(
                &format!("{base}.publicNamePrefix"),
                format!(
                    "The public name prefix '{prefix}' is invalid. It must have 5 to 16 alphanumeric characters."
                ),
            ));
        }
        let names = match before.get("publicNames") {
            Some(names) => names.clone(),
            None => Json::Array(vec![format!("{prefix}-{}", call.state.guid()).into()]),
        };
        let shown = Json::object()
            .with("communityGalleryEnabled", before.flag("communityGalleryEnabled").unwrap_or(false))
            .with("publisherUri", field("publisherUri")?)
            .with("publisherContact", field("publisherContact")?)
            .with("eula", field("eula")?)
            .with("publicNamePrefix", prefix)
            .with("publicNames", names);
        profile.set("communityGalleryInfo", shown);
    }
    Ok(Some(profile))
}

fn take_soft_delete(call: &Call<'_, '_>, existing: Option<&Resource>) -> Result<Option<Json>, ArmError> {
    let old = existing.and_then(|gallery| gallery.property("softDeletePolicy")).cloned();
    let Some(sent) = call.body.at("properties.softDeletePolicy").filter(|sent| !sent.is_null()) else {
        return Ok(old);
    };
    let mut policy = Json::object();
    let enabled = sent
        .flag("isSoftDeleteEnabled")
        .or_else(|| old.as_ref().and_then(|old| old.flag("isSoftDeleteEnabled")));
    if let Some(enabled) = enabled {
        policy.set("isSoftDeleteEnabled", enabled);
    }
    for key in ["retentionPeriodInDays", "gracePeriodInDays"] {
        let days = sent.int(key).or_else(|| old.as_ref().and_then(|old| old.int(key)));
        if days.is_some_and(|days| days < 0) {
            let target = format!("gallery.properties.softDeletePolicy.{key}");
            let message =
                format!("The value '{}' of parameter '{target}' is invalid.", days.unwrap_or_default());
            return Err(ArmError::parameter(&target, message));
        }
        policy = policy.maybe(key, days);
    }
    Ok(Some(policy))
}

fn delete(call: &mut Call<'_, '_>, existing: Option<Resource>) -> Outcome {
    let Some(gallery) = existing else {
        return Ok(Answer::empty(204));
    };
    no_children(call, gallery.id(), &["images", "applications", "scripts", "inVMAccessControlProfiles"])?;
    if super::soft_delete::is_on(call, gallery.id()) && super::soft_delete::holds(call, gallery.id()) {
        return Err(ArmError::new(
            409,
            "CannotDeleteResource",
            "Can not delete resource before nested resources are deleted.",
        ));
    }
    let community = gallery.property("sharingProfile.communityGalleryInfo.communityGalleryEnabled");
    if community == Some(&Json::Bool(true)) {
        return Err(ArmError::new(
            409,
            "OperationNotAllowed",
            format!(
                "Gallery '{}' is shared to the community. Reset its sharing before deleting it.",
                gallery.name()
            ),
        ));
    }
    let end = call.now + call.duration(Work::GalleryDelete);
    let operation = begin(call, Begin::new(Family::Caps, gallery.location(), gallery.id(), "delete", end));
    save_deleting(call, gallery, &operation);
    Ok(Answer::empty(202).asynchronous(call, &operation, true))
}

/// The gallery in the format of this request's api-version.
pub fn show(call: &Call<'_, '_>, gallery: &Resource) -> Json {
    let subscription = gallery.id().split('/').nth(2).unwrap_or_default();
    let unique = format!("{subscription}-{}", gallery.name().to_uppercase());
    let mut properties = Json::object()
        .maybe("description", gallery.property("description"))
        .with("identifier", Json::object().with("uniqueName", unique));
    if let Some(profile) = gallery.property("sharingProfile") {
        properties.set("sharingProfile", show_sharing(call, profile));
    }
    properties.set("provisioningState", gallery.state(call.now));
    properties = properties.maybe("softDeletePolicy", gallery.property("softDeletePolicy"));
    if wants_groups(call)
        && let Some(profile) = gallery.property("sharingProfile")
        && profile.text("permissions") != Some("Private")
    {
        properties.set("sharingStatus", super::sharing::status(call, gallery));
    }
    let mut shown = gallery_head(call, gallery)
        .with("properties", properties)
        .maybe("identity", gallery.doc.get("identity"));
    shapes::hide_newer("gallery", &call.api, &mut shown);
    shown
}

fn wants_groups(call: &Call<'_, '_>) -> bool {
    call.query("$select").is_some_and(|select| select.eq_ignore_ascii_case("Permissions"))
        || call.expands("SharingProfile/Groups")
}

fn show_sharing(call: &Call<'_, '_>, profile: &Json) -> Json {
    let mut shown = profile.clone();
    let groups = shown.remove("groups").unwrap_or_default();
    if wants_groups(call) && !groups.is_empty() {
        shown.set("groups", groups);
    }
    shown
}
