//! Sharing of galleries (`POST …/share`), and reading shared and community galleries as a consumer.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::operations::{Begin, Family, begin};
use super::super::regions;
use super::super::resource::Resource;
use super::super::settings::Work;
use super::{GALLERY, invitations, replication};

const TARGET: &str = "sharingUpdate.operationType";

/// `POST …/galleries/{g}/share`.
pub fn share(call: &mut Call<'_, '_>, group: &str, name: &str) -> Outcome {
    call.meter = Some("PostShareGallery");
    if call.method != Method::Post {
        return Err(ArmError::no_method(call.method.name(), "Microsoft.Compute/galleries/share"));
    }
    let id =
        format!("/subscriptions/{}/resourceGroups/{group}/providers/{}/{name}", call.subscription, GALLERY);
    let mut gallery =
        call.find(&id).ok_or_else(|| ArmError::no_resource(&format!("{}/{name}", GALLERY), group))?;
    let mut profile = gallery
        .property("sharingProfile")
        .cloned()
        .unwrap_or_else(|| Json::object().with("permissions", "Private"));
    let permissions = profile.text("permissions").unwrap_or("Private").to_owned();
    let body = call.body.clone();
    let operation_type = body.text("operationType").ok_or_else(|| ArmError::missing(TARGET))?;
    match operation_type.to_ascii_lowercase().as_str() {
        "add" | "remove" => {
            if permissions != "Groups" {
                return Err(ArmError::parameter(
                    TARGET,
                    format!(
                        "The operation '{operation_type}' requires the gallery's sharing permissions to be 'Groups'; they are '{permissions}'."
                    ),
                ));
            }
            let groups =
                change_groups(profile.list("groups"), &body, operation_type.eq_ignore_ascii_case("add"))?;
            profile.set("groups", groups);
        }
        "reset" => profile = Json::object().with("permissions", "Private"),
        "enablecommunity" => {
            if permissions != "Community" {
                return Err(ArmError::parameter(
                    TARGET,
                    format!(
                        "The operation 'EnableCommunity' requires the gallery's sharing permissions to be 'Community'; they are '{permissions}'."
                    ),
                ));
            }
            profile.entry("communityGalleryInfo").set("communityGalleryEnabled", true);
        }
        _ => {
            return Err(ArmError::parameter(
                TARGET,
                format!(
                    "The value '{operation_type}' of parameter '{TARGET}' is not allowed. Allowed values are: Add, Remove, Reset, EnableCommunity."
                ),
            ));
        }
    }
    let end = call.now + call.duration(Work::Share);
    let operation = begin(call, Begin::new(Family::Caps, gallery.location(), &id, "share", end));
    if operation.error.is_none() {
        gallery.properties().set("sharingProfile", profile);
        gallery.hide("shared", operation.end.unwrap_or(i64::MAX));
        call.save(&gallery);
    }
    Ok(Answer::empty(202).asynchronous(call, &operation, true))
}

fn change_groups(before: &[Json], body: &Json, add: bool) -> Result<Vec<Json>, ArmError> {
    let mut groups: Vec<(String, Vec<String>)> = before
        .iter()
        .map(|group| {
            let ids = group.list("ids").iter().filter_map(|id| id.as_str().map(str::to_owned)).collect();
            (group.text("type").unwrap_or_default().to_owned(), ids)
        })
        .collect();
    let asked = body.list("groups");
    if asked.is_empty() {
        return Err(ArmError::missing("sharingUpdate.groups"));
    }
    for group in asked {
        let kind = super::one_of(
            group.text("type").unwrap_or_default(),
            &["Subscriptions", "AADTenants"],
            "sharingUpdate.groups.type",
        )?;
        if !groups.iter().any(|(name, _)| name == kind) {
            groups.push((kind.to_owned(), Vec::new()));
        }
        let Some((_, ids)) = groups.iter_mut().find(|(name, _)| name == kind) else {
            continue;
        };
        for id in group.list("ids").iter().filter_map(Json::as_str) {
            ids.retain(|known| !known.eq_ignore_ascii_case(id));
            if add {
                ids.push(id.to_owned());
            }
        }
        let most = if kind == "Subscriptions" { 30 } else { 5 };
        if ids.len() > most {
            return Err(ArmError::parameter(
                "sharingUpdate.groups.ids",
                format!("A gallery can be shared to at most {most} {kind}."),
            ));
        }
    }
    Ok(groups
        .into_iter()
        .filter(|(_, ids)| !ids.is_empty())
        .map(|(kind, ids)| {
            let ids: Vec<Json> = ids.into_iter().map(Json::from).collect();
            Json::object().with("type", kind).with("ids", ids)
        })
        .collect())
}

/// `sharingStatus` of a gallery: its regions follow the progress of the share operation.
pub fn status(call: &Call<'_, '_>, gallery: &Resource) -> Json {
    let until = gallery.doc.int("_.shared");
    let state = match until {
        Some(end) if call.now < end => "InProgress",
        _ => "Succeeded",
    };
    let summary = Json::object().with("region", regions::display(gallery.location())).with("state", state);
    Json::object().with("aggregatedState", state).with("summary", vec![summary])
}

/// A community gallery that is enabled, by its public name.
pub fn community_gallery(call: &Call<'_, '_>, public: &str) -> Option<Resource> {
    every_gallery(call).into_iter().find(|gallery| {
        let info = gallery.property("sharingProfile.communityGalleryInfo").cloned().unwrap_or_default();
        info.flag("communityGalleryEnabled") == Some(true)
            && info
                .list("publicNames")
                .iter()
                .any(|name| name.as_str().is_some_and(|name| name.eq_ignore_ascii_case(public)))
    })
}

/// The galleries of all subscriptions of this emulator.
pub fn every_gallery(call: &Call<'_, '_>) -> Vec<Resource> {
    let mut subscriptions = Vec::new();
    call.state.scan("sub|", None, |_, record| {
        subscriptions.extend(record.text("subscriptionId").map(str::to_owned));
        true
    });
    subscriptions
        .iter()
        .flat_map(|subscription| call.state.of_type(subscription, GALLERY))
        .map(|record| Resource::from_record(&record))
        .filter(|gallery| gallery.exists(call.now))
        .collect()
}

fn shared_to_caller(call: &Call<'_, '_>, gallery: &Resource) -> bool {
    is_shared_to(gallery, &call.subscription, &call.tenant) && !invitations::is_rejected(call, gallery)
}

/// Whether a gallery belongs to a subscription, or is shared with it or its tenant.
pub fn is_shared_to(gallery: &Resource, subscription: &str, tenant: &str) -> bool {
    let profile = gallery.property("sharingProfile").cloned().unwrap_or_default();
    if profile.text("permissions") != Some("Groups") {
        return false;
    }
    let own = gallery.id().split('/').nth(2).unwrap_or_default().eq_ignore_ascii_case(subscription);
    own || profile.list("groups").iter().any(|group| {
        let wanted = match group.text("type") {
            Some("AADTenants") => tenant,
            _ => subscription,
        };
        group.list("ids").iter().any(|id| id.as_str().is_some_and(|id| id.eq_ignore_ascii_case(wanted)))
    })
}

/// A gallery that is shared with the caller, by its unique name.
pub fn shared_gallery(call: &Call<'_, '_>, name: &str) -> Option<Resource> {
    every_gallery(call)
        .into_iter()
        .find(|gallery| unique_name(gallery).eq_ignore_ascii_case(name) && shared_to_caller(call, gallery))
}

fn unique_name(gallery: &Resource) -> String {
    let subscription = gallery.id().split('/').nth(2).unwrap_or_default();
    format!("{subscription}-{}", gallery.name().to_uppercase())
}

/// Routes `…/locations/{loc}/sharedGalleries…` and `…/communityGalleries…`; `rest` holds the segments after that word.
pub fn read(call: &mut Call<'_, '_>, location: &str, community: bool, rest: &[String]) -> Outcome {
    if call.method != Method::Get {
        return Err(ArmError::no_method(call.method.name(), "sharedGalleries"));
    }
    let lower: Vec<String> = rest.iter().map(|segment| segment.to_ascii_lowercase()).collect();
    let words: Vec<&str> = lower.iter().map(String::as_str).collect();
    call.meter = Some(match words.as_slice() {
        [] | [_] => "GetGallery",
        [_, "images"] => "ListGalleryArtifact",
        [_, "images", _] => "GetGalleryArtifact",
        [_, "images", _, "versions"] => "ListGalleryArtifactVersion",
        _ => "GetGalleryArtifactVersion",
    });
    let side = Side { community, location: location.to_owned() };
    if words.is_empty() {
        if community {
            return Err(ArmError::no_method("GET", "locations/communityGalleries"));
        }
        call.meter = Some("ListGallery");
        let values: Vec<Json> = every_gallery(call)
            .iter()
            .filter(|gallery| shared_to_caller(call, gallery))
            .map(|gallery| side.gallery(gallery, &unique_name(gallery), false))
            .collect();
        return Ok(Answer::pretty(200, Json::object().with("value", values)));
    }
    let absent = |target: &str| ArmError::no_entity(target);
    let gallery = match community {
        true => community_gallery(call, &rest[0]),
        false => shared_gallery(call, &rest[0]),
    }
    .ok_or_else(|| absent("galleryUniqueName"))?;
    let name = if community {
        gallery
            .property("sharingProfile.communityGalleryInfo")
            .and_then(|info| info.list("publicNames").first().and_then(Json::as_str).map(str::to_owned))
            .unwrap_or_default()
    } else {
        unique_name(&gallery)
    };
    let images = format!("{}/images", gallery.id());
    match words.as_slice() {
        [_] => Ok(Answer::pretty(200, side.gallery(&gallery, &name, true))),
        [_, "images"] => Ok(call.list_answer(&images, |image| side.image(call, image, &name))),
        [_, "images", _] => {
            let image =
                call.find(&format!("{images}/{}", rest[2])).ok_or_else(|| absent("galleryImage.name"))?;
            Ok(Answer::pretty(200, side.image(call, &image, &name)))
        }
        [_, "images", _, "versions"] => {
            let image =
                call.find(&format!("{images}/{}", rest[2])).ok_or_else(|| absent("galleryImage.name"))?;
            Ok(call.list_answer(&format!("{}/versions", image.id()), |version| {
                side.version(call, version, &name, image.name())
            }))
        }
        [_, "images", _, "versions", _] => {
            let image =
                call.find(&format!("{images}/{}", rest[2])).ok_or_else(|| absent("galleryImage.name"))?;
            let region = regions::normalize(location);
            let version = call
                .find(&format!("{}/versions/{}", image.id(), rest[4]))
                .filter(|version| replication::target_region(version, &region).is_some())
                .ok_or_else(|| absent("galleryImageVersion.name"))?;
            Ok(Answer::pretty(200, side.version(call, &version, &name, image.name())))
        }
        _ => Err(absent("galleryUniqueName")),
    }
}

/// The kind of gallery that is read, and the region.
struct Side {
    community: bool,
    location: String,
}

impl Side {
    fn unique(&self, tail: &str) -> Json {
        let root = if self.community { "CommunityGalleries" } else { "SharedGalleries" };
        Json::object().with("uniqueId", format!("/{root}/{tail}"))
    }

    fn place(&self) -> String {
        if self.community {
            // Recorded: the internal casing of the region.
            regions::in_poll_url(&self.location)
        } else {
            self.location.clone()
        }
    }

    fn gallery(&self, gallery: &Resource, name: &str, single: bool) -> Json {
        let mut shown = Json::object();
        if self.community {
            let info = gallery.property("sharingProfile.communityGalleryInfo").cloned().unwrap_or_default();
            let metadata = Json::object()
                .maybe("publisherUri", info.get("publisherUri"))
                .maybe("publisherContact", info.get("publisherContact"))
                .maybe("eula", info.get("eula"))
                .maybe("publicNames", info.get("publicNames"));
            shown = shown
                .with(
                    "properties",
                    Json::object()
                        .with("communityMetadata", metadata.clone())
                        .with("disclaimer", "https://aka.ms/community-gallery-disclaimer"),
                )
                .with("communityMetadata", metadata);
        } else if single {
            shown.set("properties", Json::object());
        }
        shown.with("location", self.place()).with("name", name).with("identifier", self.unique(name))
    }

    fn image(&self, call: &Call<'_, '_>, image: &Resource, gallery: &str) -> Json {
        let blank = Json::object().with("publisher", "").with("offer", "").with("sku", "");
        let mut properties = Json::object();
        if self.community {
            properties.set("disclaimer", "https://aka.ms/community-gallery-disclaimer");
        }
        properties = properties
            .maybe("osType", image.property("osType"))
            .maybe("osState", image.property("osState"))
            .maybe("endOfLifeDate", image.property("endOfLifeDate"))
            .with("recommended", image.property("recommended").cloned().unwrap_or_else(Json::object))
            .maybe("disallowed", image.property("disallowed"))
            .maybe("hyperVGeneration", image.property("hyperVGeneration"));
        if call.since("2022-08-03") || call.since("2023-07-03") {
            properties = properties
                .maybe("features", image.property("features"))
                .maybe("purchasePlan", image.property("purchasePlan"))
                .maybe("eula", image.property("eula"))
                .maybe("privacyStatementUri", image.property("privacyStatementUri"));
        }
        properties = properties.maybe("architecture", image.property("architecture"));
        properties = if self.community {
            properties.with("identifier", blank)
        } else {
            properties.maybe("identifier", image.property("identifier"))
        };
        Json::object()
            .with("properties", properties)
            .with("location", self.place())
            .with("name", image.name())
            .with("identifier", self.unique(&format!("{gallery}/Images/{}", image.name())))
    }

    fn version(&self, call: &Call<'_, '_>, version: &Resource, gallery: &str, image: &str) -> Json {
        let sizes = version.hidden("sizes").cloned().unwrap_or_default();
        let mut storage = Json::object().with(
            "osDiskImage",
            Json::object()
                .maybe("diskSizeGB", sizes.at("os.sizeInGB"))
                .maybe("hostCaching", sizes.at("os.hostCaching")),
        );
        let data: Vec<Json> = sizes
            .list("data")
            .iter()
            .map(|disk| {
                Json::object()
                    .maybe("lun", disk.get("lun"))
                    .maybe("diskSizeGB", disk.get("sizeInGB"))
                    .maybe("hostCaching", disk.get("hostCaching"))
            })
            .collect();
        if !data.is_empty() {
            storage.set("dataDiskImages", data);
        }
        let profile = version.property("publishingProfile").cloned().unwrap_or_default();
        let mut properties = Json::object();
        if self.community {
            properties.set("disclaimer", "https://aka.ms/community-gallery-disclaimer");
        }
        properties = properties
            .maybe("publishedDate", profile.get("publishedDate"))
            .maybe("endOfLifeDate", profile.get("endOfLifeDate"))
            .maybe("excludeFromLatest", profile.get("excludeFromLatest"))
            .with("storageProfile", storage);
        if call.since("2026-03-03") {
            properties.set("imageState", "Active");
        }
        Json::object()
            .with("properties", properties)
            .with("location", self.place())
            .with("name", version.name())
            .with("identifier", self.unique(&format!("{gallery}/Images/{image}/Versions/{}", version.name())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_adds_and_removes_groups() {
        let body = |text: &str| Json::parse(text.as_bytes()).unwrap();
        let add = body(
            r#"{"groups":[{"type":"Subscriptions","ids":["a","b"]},{"type":"AADTenants","ids":["t"]}]}"#,
        );
        let groups = change_groups(&[], &add, true).unwrap();
        let again =
            change_groups(&groups, &body(r#"{"groups":[{"type":"subscriptions","ids":["A"]}]}"#), true)
                .unwrap();
        assert_eq!(again[0].list("ids").len(), 2);
        let fewer = change_groups(
            &groups,
            &body(r#"{"groups":[{"type":"AADTenants","ids":["t"]},{"type":"Subscriptions","ids":["a"]}]}"#),
            false,
        )
        .unwrap();
        assert_eq!(Json::Array(fewer).compact(), r#"[{"type":"Subscriptions","ids":["b"]}]"#);
        assert!(change_groups(&[], &body("{}"), true).is_err());
    }
}
