//! `Microsoft.Compute/galleries/applications` and their versions: VM applications.
//!
//! Recorded: applications are synchronous and have no provisioning state; the defaults of target regions are those of image
//! versions. Everything else follows the documentation and image versions.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::clock;
use super::super::errors::ArmError;
use super::super::ids::version_number;
use super::super::json::{Json, same};
use super::super::operations::{Begin, Family, begin};
use super::super::resource::Resource;
use super::super::settings::Work;
use super::{
    deleting, head, is_not_visible_yet, no_children, put_location, replication, save_deleting, save_written,
    take_tags, version_profile,
};

const KIND: &str = "Microsoft.Compute/galleries/applications";
const VERSION_KIND: &str = "Microsoft.Compute/galleries/applications/versions";
const PROFILE: &str = "galleryApplicationVersion.properties.publishingProfile";

/// Routes requests to applications and their versions; `rest` holds the segments from `galleries` on.
pub fn route(call: &mut Call<'_, '_>, group: &str, rest: &[String]) -> Outcome {
    let base = format!(
        "/subscriptions/{}/resourceGroups/{group}/providers/Microsoft.Compute/galleries/{}",
        call.subscription, rest[1]
    );
    let gallery = call.find(&base).ok_or_else(|| ArmError::no_parent(&rest[1]))?;
    let apps = format!("{}/applications", gallery.id());
    let put = matches!(call.method, Method::Put | Method::Patch);
    let delete = call.method == Method::Delete;
    match rest {
        [_, _, _] => {
            if call.children(&apps).is_empty() {
                return Ok(Answer::compact(200, Json::object().with("value", Vec::new())));
            }
            call.meter = Some("ListGalleryApplicationsInGallery");
            Ok(call.list_answer(&apps, show_application))
        }
        [_, _, _, name] => {
            call.meter = Some(if put {
                "CreateUpdateGalleryApplication"
            } else if delete {
                "DeleteGalleryApplication"
            } else {
                "GetGalleryApplication"
            });
            application(call, group, &gallery, &format!("{apps}/{name}"))
        }
        [_, _, _, name, _, more @ ..] => {
            let application = call
                .find(&format!("{apps}/{name}"))
                .ok_or_else(|| ArmError::no_parent(&format!("{}/{name}", rest[1])))?;
            let collection = format!("{}/versions", application.id());
            match more {
                [] => {
                    call.meter = Some("ListGalleryApplicationVersionsInGalleryApplication");
                    Ok(call.list_answer(&collection, |version| show_version(call, version)))
                }
                [version, ..] => {
                    call.meter = Some(if put {
                        "CreateUpdateGalleryApplicationVersion"
                    } else if delete {
                        "DeleteGalleryApplicationVersion"
                    } else {
                        "GetGalleryApplicationVersion"
                    });
                    one_version(call, group, &application, &format!("{collection}/{version}"))
                }
            }
        }
        _ => Err(ArmError::no_method(call.method.name(), KIND)),
    }
}

/// Operations on applications are synchronous.
fn application(call: &mut Call<'_, '_>, group: &str, gallery: &Resource, id: &str) -> Outcome {
    let existing = call.find(id);
    let absent = || ArmError::no_resource(id.split_once("/providers/").map_or(id, |(_, path)| path), group);
    match call.method {
        Method::Get => {
            let application = existing.filter(|found| !is_not_visible_yet(call, found)).ok_or_else(absent)?;
            Ok(Answer::pretty(200, show_application(&application)))
        }
        Method::Put | Method::Patch => {
            let created = existing.is_none();
            if created && call.method == Method::Patch {
                return Err(absent());
            }
            put_application(call, group, gallery, id, existing)
        }
        Method::Delete => {
            let Some(application) = existing else {
                return Ok(Answer::empty(204));
            };
            no_children(call, application.id(), &["versions"])?;
            let key = super::super::store::resource_key(application.id());
            call.state.delete(&key);
            Ok(Answer::empty(200))
        }
        _ => Err(ArmError::no_method(call.method.name(), KIND)),
    }
}

fn put_application(
    call: &mut Call<'_, '_>,
    group: &str,
    gallery: &Resource,
    id: &str,
    existing: Option<Resource>,
) -> Outcome {
    let name = id.rsplit('/').next().unwrap_or_default();
    if !is_application_name(name) {
        return Err(ArmError::parameter(
            "galleryApplicationName",
            "The gallery application name is invalid. It can have up to 117 letters, digits, '-', '_' and '.', and cannot end with '.'.",
        ));
    }
    if gallery.state(call.now) == "Deleting" {
        return Err(deleting("Create Gallery Application", gallery.name()));
    }
    let created = existing.is_none();
    let location = put_location(call, KIND, existing.as_ref(), group)?;
    let mut application = existing.unwrap_or_else(|| Resource::new(id, KIND, &location));
    let properties = application_properties(&call.body, &application)?;
    if call.body.get("tags").is_some() || call.method == Method::Put {
        take_tags(&call.body, &mut application)?;
    }
    application.doc.set("properties", properties);
    if created {
        application.hide("created", call.now);
    }
    call.save(&application);
    Ok(Answer::pretty(if created { 201 } else { 200 }, show_application(&application)))
}

/// Merges the properties of a body over the stored ones. An absent member keeps its value; null and an empty string remove it.
fn application_properties(body: &Json, application: &Resource) -> Result<Json, ArmError> {
    const BASE: &str = "galleryApplication.properties";
    let stored = application.doc.get("properties").cloned().unwrap_or_default();
    let mut merged = stored.clone();
    if let Some(sent) = body.get("properties").filter(|sent| !sent.is_null()) {
        merged.merge_patch(sent);
    }
    let os_type = merged.text("supportedOSType");
    let os_type = os_type.ok_or_else(|| ArmError::missing(&format!("{BASE}.supportedOSType")))?;
    let os_type =
        super::one_of(os_type, &["Windows", "Linux"], &format!("{BASE}.supportedOSType"))?.to_owned();
    if stored.text("supportedOSType").is_some_and(|stored| stored != os_type) {
        return Err(ArmError::unchangeable(&format!("{BASE}.supportedOSType")));
    }
    if let Some(date) = merged.text("endOfLifeDate") {
        let target = format!("{BASE}.endOfLifeDate");
        let at = clock::parse(date).ok_or_else(|| {
            ArmError::parameter(&target, format!("The value '{date}' of parameter '{target}' is not a date."))
        })?;
        merged.set("endOfLifeDate", clock::format(at));
    }
    check_actions(&merged, BASE)?;
    let mut properties = Json::object().with("supportedOSType", os_type.as_str());
    for (key, value) in merged.pairs() {
        let is_empty = value.as_str() == Some("") || matches!(value, Json::Array(items) if items.is_empty());
        if key != "supportedOSType" && !is_empty {
            properties.set(key, value);
        }
    }
    Ok(properties)
}

fn is_application_name(name: &str) -> bool {
    (1..=117).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && !name.ends_with('.')
}

fn show_application(application: &Resource) -> Json {
    head(application).maybe("properties", application.doc.get("properties"))
}

/// Requires unique names of custom actions, and of the parameters of each action.
fn check_actions(parent: &Json, base: &str) -> Result<(), ArmError> {
    let unique = |items: &[Json], target: &str| {
        let mut names: Vec<&str> = items.iter().filter_map(|item| item.text("name")).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        match names.len() == all {
            true => Ok(()),
            false => Err(ArmError::parameter(target, "Duplicate names are not allowed.")),
        }
    };
    let actions = parent.list("customActions");
    unique(actions, &format!("{base}.customActions"))?;
    actions
        .iter()
        .try_for_each(|action| unique(action.list("parameters"), &format!("{base}.customActions.parameters")))
}

fn one_version(call: &mut Call<'_, '_>, group: &str, application: &Resource, id: &str) -> Outcome {
    let existing = call.find(id);
    let absent = || ArmError::no_resource(id.split_once("/providers/").map_or(id, |(_, path)| path), group);
    match call.method {
        Method::Get => {
            let version = existing.filter(|found| !is_not_visible_yet(call, found)).ok_or_else(absent)?;
            Ok(Answer::pretty(200, show_version(call, &version)))
        }
        Method::Put => put_version(call, group, application, id, existing),
        Method::Patch => {
            let version = existing.ok_or_else(absent)?;
            // Clients whose model requires a link send an empty one if the source does not change.
            if call.body.text("properties.publishingProfile.source.mediaLink") == Some("") {
                call.body.entry("properties").entry("publishingProfile").remove("source");
            }
            if call.body.get("tags").is_none()
                && let Some(tags) = version.doc.get("tags")
            {
                call.body.set("tags", tags);
            }
            put_version(call, group, application, id, Some(version))
        }
        Method::Delete => {
            let Some(version) = existing else {
                return Ok(Answer::empty(204));
            };
            let end = call.now + call.duration(Work::VersionDelete);
            let operation = begin(call, plan(version.location(), version.id(), "delete", end, None));
            save_deleting(call, version, &operation);
            Ok(Answer::empty(202).asynchronous(call, &operation, true))
        }
        _ => Err(ArmError::no_method(call.method.name(), VERSION_KIND)),
    }
}

fn put_version(
    call: &mut Call<'_, '_>,
    group: &str,
    application: &Resource,
    id: &str,
    existing: Option<Resource>,
) -> Outcome {
    let name = id.rsplit('/').next().unwrap_or_default();
    if version_number(name).is_none() {
        return Err(ArmError::parameter(
            "galleryApplicationVersionName",
            "The gallery application version name is invalid. It should follow Major(int).Minor(int).Patch(int) format, for e.g: 1.0.0, 2018.12.1 etc",
        ));
    }
    if existing.as_ref().unwrap_or(application).state(call.now) == "Deleting" {
        let action = if existing.is_some() { "Update" } else { "Create" };
        return Err(deleting(&format!("{action} Gallery Application Version"), name));
    }
    let created = existing.is_none();
    let location = put_location(call, VERSION_KIND, existing.as_ref(), group)?;
    let stored = existing.as_ref().and_then(|version| version.doc.get("properties")).cloned();
    let properties = version_properties(call, stored.as_ref(), name, &location)
        // The rules of target regions are those of image versions, whose errors are recorded.
        .map_err(|error| {
            error.renamed(&[
                ("galleryImageVersion", "galleryApplicationVersion"),
                ("Gallery image version", "Gallery application version"),
                ("gallery image version", "gallery application version"),
                ("image version", "application version"),
            ])
        })?;
    let mut version = existing.unwrap_or_else(|| Resource::new(id, VERSION_KIND, &location));
    take_tags(&call.body, &mut version)?;
    version.doc.set("properties", properties);
    if created {
        version.hide("created", call.now);
    }
    let work = if created { Work::VersionCreate } else { Work::VersionUpdate };
    let copies = replication::plan_version(call, &version, call.duration(work), false);
    version.hide("replication", copies.regions);
    let action = if created { "create" } else { "update" };
    let operation = begin(call, plan(&location, id, action, copies.end, copies.error));
    let shown = save_written(call, version, &operation, created, show_version);
    Ok(Answer::pretty(if created { 201 } else { 200 }, shown).asynchronous(call, &operation, false))
}

fn plan<'a>(
    location: &'a str,
    resource: &'a str,
    action: &'a str,
    end: i64,
    error: Option<(String, String)>,
) -> Begin<'a> {
    Begin { family: Family::Caps, location, resource, action, end, error, output: None, retry_after: None }
}

/// The properties of a version: those of the body over the stored ones, with the service's defaults.
fn version_properties(
    call: &Call<'_, '_>,
    stored: Option<&Json>,
    name: &str,
    location: &str,
) -> Result<Json, ArmError> {
    let none = Json::object();
    let sent = call.body.get("properties").filter(|sent| !sent.is_null()).unwrap_or(&none);
    let profile = sent.get("publishingProfile").filter(|sent| !sent.is_null()).unwrap_or(&none);
    let old = stored.and_then(|stored| stored.get("publishingProfile"));
    let before = old.unwrap_or(&none);
    let member = |name: &str| {
        let sent = profile.get(name).filter(|sent| !sent.is_null());
        sent.or_else(|| before.get(name)).filter(|value| !value.is_empty()).cloned()
    };
    let source = member("source");
    let media_link = source.as_ref().and_then(|source| source.text("mediaLink")).unwrap_or_default();
    if media_link.is_empty() {
        return Err(ArmError::missing(&format!("{PROFILE}.source.mediaLink")));
    }
    if old.is_some() {
        check_immutable(profile, before)?;
    }
    for script in ["install", "remove", "update"] {
        let text = profile.text(&format!("manageActions.{script}")).unwrap_or_default();
        if text.chars().count() > 4096 {
            return Err(ArmError::parameter(
                &format!("{PROFILE}.manageActions.{script}"),
                "A script can have up to 4096 characters.",
            ));
        }
    }
    check_actions(profile, PROFILE)?;
    let regions = version_profile::publishing(call, sent, old, location)?;
    let safety = match (sent.get("safetyProfile"), stored.and_then(|stored| stored.get("safetyProfile"))) {
        (Some(sent), Some(stored)) => {
            let mut merged = stored.clone();
            merged.merge_patch(sent);
            Some(merged)
        }
        (sent, stored) => sent.or(stored).cloned(),
    };
    let allowed =
        safety.as_ref().and_then(|safety| safety.flag("allowDeletionOfReplicatedLocations")) == Some(true);
    version_profile::regions_may_go(call, name, before, &regions, allowed)?;
    let mut shown = Json::object()
        .maybe("source", source)
        .maybe("manageActions", member("manageActions"))
        .maybe("settings", member("settings").as_ref().map(ordered_settings))
        .with(
            "enableHealthCheck",
            profile.flag("enableHealthCheck").or_else(|| before.flag("enableHealthCheck")).unwrap_or(false),
        );
    for (key, value) in regions.pairs() {
        shown.set(key, value);
    }
    let shown = shown
        .maybe("advancedSettings", member("advancedSettings"))
        .maybe("customActions", member("customActions"));
    Ok(Json::object().with("publishingProfile", shown).maybe("safetyProfile", safety))
}

/// Refuses changes to the source (except the access token in a link), the scripts and the settings.
fn check_immutable(sent: &Json, stored: &Json) -> Result<(), ArmError> {
    for link in ["source.mediaLink", "source.defaultConfigurationLink"] {
        let blob = |profile: &Json| {
            profile.text(link).map(|link| link.split('?').next().unwrap_or_default().to_owned())
        };
        if blob(sent).is_some_and(|sent| Some(sent) != blob(stored)) {
            return Err(ArmError::unchangeable(&format!("{PROFILE}.{link}")));
        }
    }
    for member in ["manageActions", "settings"] {
        let old = stored.get(member).cloned().unwrap_or_default();
        let differs = |sent: &Json| {
            let mut merged = old.clone();
            merged.merge_patch(sent);
            !same(&merged, &old)
        };
        if sent.get(member).filter(|sent| !sent.is_empty()).is_some_and(differs) {
            return Err(ArmError::unchangeable(&format!("{PROFILE}.{member}")));
        }
    }
    Ok(())
}

fn ordered_settings(settings: &Json) -> Json {
    let mut shown = Json::object()
        .maybe("packageFileName", settings.get("packageFileName"))
        .maybe("configFileName", settings.get("configFileName"));
    for (key, value) in settings.pairs() {
        shown.set(key, value);
    }
    shown
}

fn show_version(call: &Call<'_, '_>, version: &Resource) -> Json {
    let mut properties = version.doc.get("properties").cloned().unwrap_or_default();
    properties.set("provisioningState", version.state(call.now));
    if call.expands("ReplicationStatus")
        && let Some(Json::Array(entries)) = version.hidden("replication")
    {
        properties.set("replicationStatus", replication::status(call, entries));
    }
    head(version).with("properties", properties)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_of_a_link_may_change() {
        let json = |text: &str| Json::parse(text.as_bytes()).unwrap();
        let stored = json(
            r#"{"source":{"mediaLink":"https://a/x?sig=1"},"manageActions":{"install":"i"},"settings":{"packageFileName":"p"}}"#,
        );
        for (sent, allowed) in [
            (r#"{}"#, true),
            (r#"{"source":{"mediaLink":"https://a/x?sig=2"}}"#, true),
            (r#"{"source":{"mediaLink":"https://a/y?sig=1"}}"#, false),
            (r#"{"source":{"mediaLink":"https://a/x","defaultConfigurationLink":"https://a/c"}}"#, false),
            (r#"{"manageActions":{"install":"i"}}"#, true),
            (r#"{"manageActions":{"install":"i","update":"u"}}"#, false),
            (r#"{"settings":{"packageFileName":"q"}}"#, false),
        ] {
            assert_eq!(check_immutable(&json(sent), &stored).is_ok(), allowed, "{sent}");
        }
    }
}
