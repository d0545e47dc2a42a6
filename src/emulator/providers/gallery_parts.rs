//! Scripts and access control profiles of galleries, and their versions. They follow the description; not recorded.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::clock;
use super::super::errors::ArmError;
use super::super::ids::version_number;
use super::super::json::Json;
use super::super::operations::{Begin, Family, Operation, begin};
use super::super::regions;
use super::super::resource::Resource;
use super::super::settings::Work;
use super::{GALLERY, head, merge_stored, no_children, put_location, save_deleting, save_written, take_tags};

/// One of the four types.
struct Part {
    /// Its path within the gallery, such as `scripts/versions`.
    path: &'static str,
    /// How errors name its body.
    target: &'static str,
    /// Properties that cannot change.
    fixed: &'static [&'static str],
    /// The path of the target regions of a version; empty for the parent types.
    regions: &'static str,
}

const PARTS: &[Part] = &[
    Part { path: "scripts", target: "galleryScript", fixed: &["supportedOSType"], regions: "" },
    Part {
        path: "scripts/versions",
        target: "galleryScriptVersion",
        fixed: &[],
        regions: "publishingProfile.targetRegions",
    },
    Part {
        path: "inVMAccessControlProfiles",
        target: "galleryInVMAccessControlProfile",
        fixed: &["osType", "applicableHostEndpoint"],
        regions: "",
    },
    Part {
        path: "inVMAccessControlProfiles/versions",
        target: "galleryInVMAccessControlProfileVersion",
        fixed: &[],
        regions: "targetLocations",
    },
];

/// Routes requests to these types; `rest` holds the segments from `galleries` on.
pub fn route(call: &mut Call<'_, '_>, group: &str, rest: &[String]) -> Outcome {
    let types: Vec<&str> = rest.iter().skip(2).step_by(2).map(String::as_str).collect();
    let Some(part) = PARTS.iter().find(|part| part.path.eq_ignore_ascii_case(&types.join("/"))) else {
        return Err(ArmError::not_emulated(&format!("{GALLERY}/{}", types.join("/")), ""));
    };
    let mut id = format!("/subscriptions/{}/resourceGroups/{group}/providers/{GALLERY}", call.subscription);
    let mut types = part.path.split('/');
    for (at, name) in rest.iter().enumerate().skip(1).filter(|(at, _)| at % 2 == 1) {
        if at > 1 {
            id = format!("{id}/{}", types.next().unwrap_or_default());
        }
        id = format!("{id}/{name}");
        let last = at + 2 > rest.len();
        if !last && call.find(&id).is_none() && call.method != Method::Delete {
            let names: Vec<&str> = rest[..=at].iter().skip(1).step_by(2).map(String::as_str).collect();
            return Err(ArmError::no_parent(&names.join("/")));
        }
    }
    if rest.len().is_multiple_of(2) {
        return one(call, group, part, &id);
    }
    let collection = format!("{id}/{}", types.next().unwrap_or_default());
    match call.method {
        Method::Get => Ok(call.list_answer(&collection, |part| show(call, part))),
        _ => Err(ArmError::no_method(call.method.name(), &format!("{GALLERY}/{}", part.path))),
    }
}

fn one(call: &mut Call<'_, '_>, group: &str, part: &Part, id: &str) -> Outcome {
    let kind = format!("{GALLERY}/{}", part.path);
    let existing = call.find(id);
    let absent = || ArmError::no_resource(id.split_once("/providers/").map_or(id, |(_, path)| path), group);
    match call.method {
        Method::Get => Ok(Answer::pretty(200, show(call, &existing.ok_or_else(absent)?))),
        Method::Put => put(call, group, part, id, existing),
        Method::Patch => {
            let stored = existing.ok_or_else(absent)?;
            merge_stored(call, &stored, &["properties"]);
            put(call, group, part, id, Some(stored))
        }
        Method::Delete => {
            let Some(stored) = existing else { return Ok(Answer::empty(204)) };
            no_children(call, stored.id(), &["versions"])?;
            let operation = work(call, stored.location(), stored.id(), "delete", Work::DefinitionDelete);
            save_deleting(call, stored, &operation);
            Ok(Answer::empty(202).asynchronous(call, &operation, true))
        }
        _ => Err(ArmError::no_method(call.method.name(), &kind)),
    }
}

fn put(call: &mut Call<'_, '_>, group: &str, part: &Part, id: &str, existing: Option<Resource>) -> Outcome {
    let kind = format!("{GALLERY}/{}", part.path);
    let name = id.rsplit('/').next().unwrap_or_default();
    if !part.regions.is_empty() && version_number(name).is_none() {
        let target = format!("{}Name", part.target);
        return Err(ArmError::parameter(
            &target,
            format!("The version '{name}' must have the form Major.Minor.Patch, such as 1.0.0."),
        ));
    }
    let location = put_location(call, &kind, existing.as_ref(), group)?;
    let mut properties = call.body.get("properties").cloned().unwrap_or_default();
    if let Some(stored) = &existing {
        for fixed in part.fixed {
            let (before, after) = (stored.property_text(fixed), properties.text(fixed));
            if after.is_some() && before != after {
                return Err(ArmError::unchangeable(&format!("{}.properties.{fixed}", part.target)));
            }
        }
    }
    if !part.regions.is_empty() {
        let published = existing.as_ref().and_then(|stored| stored.hidden("published")).cloned();
        let published = published.unwrap_or_else(|| clock::format(call.now).into());
        complete(&mut properties, part, &location, &published);
    }
    let created = existing.is_none();
    let mut stored = existing.unwrap_or_else(|| Resource::new(id, &kind, &location));
    take_tags(&call.body, &mut stored)?;
    stored.doc.set("properties", properties);
    if created {
        stored.hide("published", clock::format(call.now));
    }
    let action = if created { "create" } else { "update" };
    let operation = work(call, &location, id, action, Work::DefinitionPut);
    let shown = save_written(call, stored, &operation, created, show);
    Ok(Answer::pretty(if created { 201 } else { 200 }, shown).asynchronous(call, &operation, created))
}

/// Adds the service's defaults to a version: its regions and its published date.
fn complete(properties: &mut Json, part: &Part, location: &str, published: &Json) {
    let (profile, member) = match part.regions.split_once('.') {
        Some((outer, member)) => (properties.entry(outer), member),
        None => (properties, part.regions),
    };
    let mut regions = profile.list(member).to_vec();
    if regions.is_empty() {
        regions.push(Json::object().with("name", location));
    }
    for region in &mut regions {
        let name = regions::display(region.text("name").unwrap_or_default());
        region.set("name", name);
        for (key, value) in
            [("regionalReplicaCount", Json::from(1_i64)), ("storageAccountType", Json::from("Standard_LRS"))]
        {
            if region.get(key).is_none() {
                region.set(key, value);
            }
        }
    }
    profile.set(member, regions);
    if profile.get("excludeFromLatest").is_none() {
        profile.set("excludeFromLatest", false);
    }
    profile.set("publishedDate", published);
}

fn work(call: &mut Call<'_, '_>, location: &str, id: &str, action: &str, work: Work) -> Operation {
    let end = call.now + call.duration(work);
    begin(call, Begin::new(Family::Caps, location, id, action, end))
}

fn show(call: &Call<'_, '_>, stored: &Resource) -> Json {
    let mut properties = stored.doc.get("properties").cloned().unwrap_or_default();
    properties.set("provisioningState", stored.state(call.now));
    head(stored).with("properties", properties)
}
