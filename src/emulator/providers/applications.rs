//! `Microsoft.Compute/galleries/applications` and their versions: VM applications, as far as clients list and store them.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::clock;
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::operations::{Begin, Family, begin};
use super::super::regions;
use super::super::resource::{Resource, Verb};
use super::super::settings::Work;
use super::{first_state, head, no_children, put_location, save_deleting, take_tags};

const KIND: &str = "Microsoft.Compute/galleries/applications";

/// `rest` starts with `galleries`.
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
            application(call, group, &format!("{apps}/{name}"))
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
                    one_version(call, group, &format!("{collection}/{version}"))
                }
            }
        }
        _ => Err(ArmError::no_method(call.method.name(), KIND)),
    }
}

/// Operations on applications are synchronous.
fn application(call: &mut Call<'_, '_>, group: &str, id: &str) -> Outcome {
    let existing = call.find(id);
    let absent = || ArmError::no_resource(id.split_once("/providers/").map_or(id, |(_, path)| path), group);
    match call.method {
        Method::Get => Ok(Answer::pretty(200, show_application(&existing.ok_or_else(absent)?))),
        Method::Put | Method::Patch => {
            let created = existing.is_none();
            if created && call.method == Method::Patch {
                return Err(absent());
            }
            let location = put_location(call, KIND, existing.as_ref(), group)?;
            let mut application = existing.unwrap_or_else(|| Resource::new(id, KIND, &location));
            let sent = merged_properties(call, &application);
            if sent.text("supportedOSType").is_none() {
                return Err(ArmError::missing("galleryApplication.properties.supportedOSType"));
            }
            if call.body.get("tags").is_some() || call.method == Method::Put {
                take_tags(&call.body, &mut application)?;
            }
            let mut properties = Json::object().maybe("supportedOSType", sent.get("supportedOSType"));
            for (key, value) in sent.pairs() {
                properties.set(key, value);
            }
            application.doc.set("properties", properties);
            call.save(&application);
            Ok(Answer::pretty(if created { 201 } else { 200 }, show_application(&application)))
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

/// The properties of a PUT, or those of the resource with the changes of a PATCH applied.
fn merged_properties(call: &Call<'_, '_>, resource: &Resource) -> Json {
    let sent = call.body.get("properties").filter(|sent| !sent.is_null());
    let kept = (call.method == Method::Patch).then(|| resource.doc.get("properties").cloned()).flatten();
    match (kept, sent) {
        (Some(mut properties), Some(changes)) => {
            properties.merge_patch(changes);
            properties
        }
        (Some(properties), None) => properties,
        (None, sent) => sent.cloned().unwrap_or_default(),
    }
}

fn show_application(application: &Resource) -> Json {
    head(application).maybe("properties", application.doc.get("properties"))
}

fn one_version(call: &mut Call<'_, '_>, group: &str, id: &str) -> Outcome {
    let existing = call.find(id);
    let kind = "Microsoft.Compute/galleries/applications/versions";
    let absent = || ArmError::no_resource(id.split_once("/providers/").map_or(id, |(_, path)| path), group);
    match call.method {
        Method::Get => {
            let version = existing.ok_or_else(absent)?;
            Ok(Answer::pretty(200, show_version(call, &version)))
        }
        Method::Put | Method::Patch => {
            let created = existing.is_none();
            let patch = call.method == Method::Patch;
            if created && patch {
                return Err(absent());
            }
            let location = put_location(call, kind, existing.as_ref(), group)?;
            // Clients whose model requires a link send an empty one for an unchanged source.
            if patch && call.body.text("properties.publishingProfile.source.mediaLink") == Some("") {
                call.body.entry("properties").entry("publishingProfile").remove("source");
            }
            let mut version = existing.unwrap_or_else(|| Resource::new(id, kind, &location));
            let mut properties = merged_properties(call, &version);
            let published = version
                .property_text("publishingProfile.publishedDate")
                .map_or_else(|| clock::format(call.now), str::to_owned);
            complete(&mut properties, &location, published);
            if call.body.get("tags").is_some() || !patch {
                take_tags(&call.body, &mut version)?;
            }
            version.doc.set("properties", properties);
            let end = call.now + call.duration(Work::ImagePut);
            let operation = begin(call, plan(&location, id, if created { "create" } else { "update" }, end));
            version.bind(&operation, if created { Verb::Create } else { Verb::Update }, 0);
            call.save(&version);
            let mut shown = show_version(call, &version);
            first_state(&mut shown, created);
            Ok(Answer::pretty(if created { 201 } else { 200 }, shown).asynchronous(call, &operation, false))
        }
        Method::Delete => {
            let Some(version) = existing else {
                return Ok(Answer::empty(204));
            };
            let end = call.now + call.duration(Work::ImageDelete);
            let operation = begin(call, plan(version.location(), version.id(), "delete", end));
            save_deleting(call, version, &operation);
            Ok(Answer::empty(202).asynchronous(call, &operation, true))
        }
        _ => Err(ArmError::no_method(call.method.name(), kind)),
    }
}

fn plan<'a>(location: &'a str, resource: &'a str, action: &'a str, end: i64) -> Begin<'a> {
    Begin {
        family: Family::Caps,
        location,
        resource,
        action,
        end,
        error: None,
        output: None,
        retry_after: None,
    }
}

fn complete(properties: &mut Json, location: &str, published: String) {
    let sent = properties.get("publishingProfile").cloned().unwrap_or_default();
    let replicas = sent.int("replicaCount").unwrap_or(1);
    let mut regions_sent = sent.list("targetRegions").to_vec();
    if regions_sent.is_empty() {
        regions_sent.push(Json::object().with("name", location));
    }
    let target_regions: Vec<Json> = regions_sent
        .iter()
        .map(|region| {
            Json::object()
                .with("name", regions::display(region.text("name").unwrap_or_default()))
                .with("regionalReplicaCount", region.int("regionalReplicaCount").unwrap_or(replicas))
                .with("storageAccountType", region.text("storageAccountType").unwrap_or("Standard_LRS"))
                .maybe("excludeFromLatest", region.get("excludeFromLatest"))
        })
        .collect();
    let mut profile = Json::object()
        .maybe("source", sent.get("source"))
        .maybe("manageActions", sent.get("manageActions"))
        .maybe(
            "settings",
            sent.get("settings").map(|settings| {
                let mut shown = Json::object()
                    .maybe("packageFileName", settings.get("packageFileName"))
                    .maybe("configFileName", settings.get("configFileName"));
                for (key, value) in settings.pairs() {
                    shown.set(key, value);
                }
                shown
            }),
        )
        .with("enableHealthCheck", sent.flag("enableHealthCheck").unwrap_or(false))
        .with("targetRegions", target_regions)
        .with("replicaCount", replicas)
        .with("excludeFromLatest", sent.flag("excludeFromLatest").unwrap_or(false))
        .with("publishedDate", published)
        .with("storageAccountType", sent.text("storageAccountType").unwrap_or("Standard_LRS"));
    for (key, value) in sent.pairs() {
        if profile.get(key).is_none() {
            profile.set(key, value);
        }
    }
    let safety = properties.get("safetyProfile").cloned();
    *properties = Json::object().with("publishingProfile", profile).maybe("safetyProfile", safety);
}

fn show_version(call: &Call<'_, '_>, version: &Resource) -> Json {
    let mut properties = version.doc.get("properties").cloned().unwrap_or_default();
    properties.set("provisioningState", version.state(call.now));
    head(version).with("properties", properties)
}
