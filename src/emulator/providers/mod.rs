//! The resource providers: one file per type, and the rules that all of them share.

pub mod access;
pub mod activity_log;
pub mod agreements;
pub mod applications;
pub mod batch;
pub mod boot_diagnostics;
pub mod build_operations;
pub mod build_outputs;
pub mod build_runs;
pub mod build_triggers;
pub mod catalogue;
pub mod definitions;
pub mod deployments;
pub mod directory;
pub mod disks;
pub mod export;
pub mod filters;
pub mod galleries;
pub mod gallery_parts;
pub mod generic;
pub mod groups;
pub mod identities;
pub mod identity;
pub mod image_builder;
pub mod images;
pub mod invitations;
pub mod lists;
pub mod locks;
pub mod machine_disks;
pub mod machine_images;
pub mod machine_network;
pub mod machine_power;
pub mod machine_profile;
pub mod machines;
pub mod marketplace;
pub mod moves;
pub mod network;
pub mod preflight;
pub mod prices;
pub mod replication;
pub mod resource_graph;
pub mod roles;
pub mod run_commands;
pub mod scale_set_instances;
pub mod scale_sets;
pub mod scripts;
pub mod seeds;
pub mod sharing;
pub mod sizes;
pub mod soft_delete;
pub mod sources;
pub mod storage;
pub mod subscriptions;
pub mod tags;
pub mod version_profile;
pub mod versions;

use super::call::{Answer, Call, Method};
use super::errors::{ArmError, invalid_content};
use super::json::Json;
use super::operations::Operation;
use super::regions;
use super::resource::{Resource, Verb};
use super::settings::Work;

/// The type of a gallery.
pub const GALLERY: &str = "Microsoft.Compute/galleries";

/// Validates the `location` of a PUT: it must be present and known, and cannot change. Returns it in the spelling of responses
/// (lower case, no spaces).
pub fn put_location(
    call: &Call<'_, '_>,
    kind: &str,
    existing: Option<&Resource>,
    group: &str,
) -> Result<String, ArmError> {
    let Some(given) = call.body.text("location").filter(|location| !location.is_empty()) else {
        return match existing {
            Some(resource) => Ok(resource.location().to_owned()),
            None => Err(ArmError::gateway(
                400,
                "LocationRequired",
                "The location property is required for this definition.",
            )),
        };
    };
    let Some(region) = regions::find(given) else {
        let known: Vec<&str> = regions::REGIONS.iter().map(|region| region.name).collect();
        return Err(ArmError::gateway(
            400,
            "LocationNotAvailableForResourceType",
            format!(
                "The provided location '{given}' is not available for resource type '{kind}'. List of available regions for the resource type is '{}'.",
                known.join(",")
            ),
        ));
    };
    if let Some(resource) = existing
        && regions::normalize(resource.location()) != region.name
    {
        return Err(ArmError::gateway(
            409,
            "InvalidResourceLocation",
            format!(
                "The resource '{}' already exists in location '{}' in resource group '{group}'. A resource with the same name cannot be created in location '{}'. Please select a new resource name.",
                resource.name(),
                resource.location(),
                region.name
            ),
        ));
    }
    Ok(region.name.to_owned())
}

/// Replaces the tags of a resource by those of a body, which must be an object of strings. Absent tags remain absent.
pub fn take_tags(body: &Json, resource: &mut Resource) -> Result<(), ArmError> {
    match body.get("tags") {
        None | Some(Json::Null) => {
            resource.doc.remove("tags");
        }
        Some(Json::Object(pairs)) => {
            check_tags(pairs)?;
            let mut text = Json::object();
            for (name, value) in pairs {
                match value {
                    Json::String(value) => text.set(name, value.as_str()),
                    Json::Null => text.set(name, ""),
                    Json::Object(_) | Json::Array(_) => {
                        return Err(invalid_content("a tag's value must be a string"));
                    }
                    other => text.set(name, other.compact()),
                }
            }
            // Tags come between location and properties.
            let properties = resource.doc.remove("properties").unwrap_or_else(Json::object);
            resource.doc.remove("tags");
            resource.doc.set("tags", text);
            resource.doc.set("properties", properties);
        }
        Some(_) => return Err(invalid_content("tags must be an object of strings")),
    }
    Ok(())
}

/// Checks the number, names and values of tags. Not recorded: the codes and messages.
pub fn check_tags(tags: &[(String, Json)]) -> Result<(), ArmError> {
    const MOST: usize = 50;
    const LONGEST_NAME: usize = 512;
    const LONGEST_VALUE: usize = 256;
    const RESERVED: &str = "<>%&\\?/";
    let refused = |code: &str, message: String| Err(ArmError::gateway(400, code, message));
    if tags.len() > MOST {
        return refused("InvalidTags", format!("The number of tags exceeds the maximum of {MOST}."));
    }
    for (index, (name, value)) in tags.iter().enumerate() {
        if name.trim().is_empty() {
            return refused("InvalidTagName", "The name of a tag must not be empty.".to_owned());
        }
        if name.contains(|c: char| RESERVED.contains(c) || c.is_control()) {
            return refused(
                "InvalidTagNameCharacters",
                format!(
                    "The tag names '{name}' have reserved characters '<,>,%,&,\\,?,/' or control characters."
                ),
            );
        }
        if name.chars().count() > LONGEST_NAME {
            return refused(
                "TagNameTooLarge",
                format!("The tag name '{name}' exceeds the maximum length of {LONGEST_NAME} characters."),
            );
        }
        if value.as_str().is_some_and(|value| value.chars().count() > LONGEST_VALUE) {
            return refused(
                "TagValueTooLarge",
                format!(
                    "The value of the tag '{name}' exceeds the maximum length of {LONGEST_VALUE} characters."
                ),
            );
        }
        if tags[..index].iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return refused(
                "DuplicateTagName",
                format!("The tag name '{name}' occurs more than once. Tag names are case-insensitive."),
            );
        }
    }
    Ok(())
}

/// `name, id, type, location, tags`: the first members of a response, in the order of the compute provider.
pub fn head(resource: &Resource) -> Json {
    Json::object()
        .with("name", resource.name())
        .with("id", resource.id())
        .with("type", resource.doc.text("type").unwrap_or_default())
        .with("location", resource.location())
        .maybe("tags", resource.doc.get("tags"))
}

/// The first members of a response of the gallery types, which had another order before 2019-12-01.
pub fn gallery_head(call: &Call<'_, '_>, resource: &Resource) -> Json {
    if call.since("2019-12-01") {
        return head(resource);
    }
    Json::object()
        .with("type", resource.doc.text("type").unwrap_or_default())
        .with("location", resource.location())
        .maybe("tags", resource.doc.get("tags"))
        .with("id", resource.id())
        .with("name", resource.name())
}

/// The response to a PUT of the gallery types: 201 or 200 without Location; updates at 2018-06-01 were 202 with one.
pub fn put_answer(call: &Call<'_, '_>, created: bool, shown: Json, operation: &Operation) -> Answer {
    let (status, location) = match created {
        true => (201, false),
        false if call.since("2019-03-01") => (200, false),
        false => (202, true),
    };
    Answer::pretty(status, shown).asynchronous(call, operation, location)
}

/// Replaces the body of a PATCH by that of a PUT with the same effect: the members of the body over the stored ones. Besides
/// tags, the stored `members` are merged. The identity is not, because nulls in it remove user-assigned identities.
pub fn merge_stored(call: &mut Call<'_, '_>, stored: &Resource, members: &[&str]) {
    let mut merged = Json::object().with("location", stored.location());
    for member in ["tags"].iter().chain(members) {
        merged = merged.maybe(member, stored.doc.get(member));
    }
    merged.merge_patch(&call.body);
    if let Some(identity) = call.body.get("identity") {
        merged.set("identity", identity);
    }
    call.body = merged;
}

/// Stores a resource that a PUT or PATCH has written, with its operation. Returns the body of the response, whose state is
/// `Creating` or `Updating`, even if the operation takes no time.
pub fn save_written(
    call: &mut Call<'_, '_>,
    mut resource: Resource,
    operation: &Operation,
    created: bool,
    show: impl Fn(&Call<'_, '_>, &Resource) -> Json,
) -> Json {
    resource.bind(operation, if created { Verb::Create } else { Verb::Update }, 0);
    call.save(&resource);
    let mut shown = show(call, &resource);
    first_state(&mut shown, created);
    shown
}

/// Sets the state of the first response to a PUT.
pub fn first_state(shown: &mut Json, created: bool) {
    shown.entry("properties").set("provisioningState", if created { "Creating" } else { "Updating" });
}

/// 409 for a change to something that is being deleted.
pub fn deleting(action: &str, name: &str) -> ArmError {
    ArmError::new(
        409,
        "OperationNotAllowed",
        format!(
            "Operation '{action}' is not allowed on {name} since it is marked for deletion. You can only retry the Delete operation (or wait for an ongoing one to complete)."
        ),
    )
}

/// Puts the resource group of the ID in upper case, as lists of galleries and images do.
pub fn upper_group(mut shown: Json) -> Json {
    let Some(id) = shown.text("id").map(str::to_owned) else {
        return shown;
    };
    shown.set("id", upper_group_of(&id));
    shown
}

/// An ID with its resource group in upper case.
pub fn upper_group_of(id: &str) -> String {
    let mut segments: Vec<String> = id.split('/').map(str::to_owned).collect();
    if let Some(group) = segments.get_mut(4) {
        *group = group.to_uppercase();
    }
    segments.join("/")
}

/// Checks an enum and returns its canonical spelling.
pub fn one_of<'x>(value: &str, allowed: &[&'x str], target: &str) -> Result<&'x str, ArmError> {
    allowed.iter().find(|candidate| candidate.eq_ignore_ascii_case(value)).copied().ok_or_else(|| {
        ArmError::parameter(
            target,
            format!(
                "The value '{value}' of parameter '{target}' is not allowed. Allowed values are: {}.",
                allowed.join(", ")
            ),
        )
    })
}

/// Refuses to delete a parent that has children, or whose children were deleted a moment ago.
pub fn no_children(call: &Call<'_, '_>, id: &str, collections: &[&str]) -> Result<(), ArmError> {
    let lag = call.duration(Work::NestedLag);
    let mut found = Vec::new();
    for collection in collections {
        let prefix = format!("r|{}/{collection}|", id.to_ascii_lowercase());
        call.state.scan(&prefix, None, |_, record| {
            let child = Resource::from_record(record);
            let lingering = child.ended().is_none_or(|end| call.now < end + lag);
            if child.exists(call.now) || lingering {
                found.push(child.id().to_owned());
            }
            found.len() < 5
        });
    }
    if found.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> =
        found.iter().map(|id| id.split_once("/providers/").map_or(id.as_str(), |(_, rest)| rest)).collect();
    Err(ArmError::gateway(
        409,
        "CannotDeleteResource",
        format!(
            "Cannot delete resource while nested resources exist. Some existing nested resource IDs include: '{}'. Please delete all nested resources before deleting this resource.",
            names.join(", ")
        ),
    ))
}

/// Binds the resource to a delete operation and stores it. Role assignments and locks on it are deleted with it.
pub fn save_deleting(call: &mut Call<'_, '_>, mut resource: Resource, operation: &Operation) {
    let keep = call.duration(Work::NestedLag);
    let mut on_it = Vec::new();
    call.state.scan(&format!("r|{}/providers/", resource.id().to_ascii_lowercase()), None, |_, record| {
        on_it.push(Resource::from_record(record));
        true
    });
    for mut extension in on_it {
        extension.bind(operation, Verb::Delete, 0);
        call.save(&extension);
    }
    resource.bind(operation, Verb::Delete, keep);
    call.save(&resource);
}

/// With eventual consistency, a resource that was created a moment ago is not found yet.
pub fn is_not_visible_yet(call: &Call<'_, '_>, resource: &Resource) -> bool {
    call.settings.eventual_consistency
        && call.method == Method::Get
        && resource
            .hidden("created")
            .and_then(|created| match created {
                Json::Number(number) => number.as_i64(),
                _ => None,
            })
            .is_some_and(|created| call.now < created + call.duration(Work::ReadLag))
}

/// Whether a name of a gallery or definition is valid: starts with a letter or digit, ends with neither `-` nor `.`, 1 to 80 of `\w . -`.
pub fn valid_entity_name(name: &str, dash: bool) -> bool {
    let word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let mut characters = name.chars();
    let starts = characters.next().is_some_and(|first| first.is_ascii_alphanumeric());
    starts
        && name.len() <= 80
        && name.chars().all(|character| word(character) || character == '.' || (dash && character == '-'))
        && !name.ends_with(['-', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, dash, valid) in [
            ("gal", false, true),
            ("gal_1.x", false, true),
            ("gal-1", false, false),
            ("img-1", true, true),
            ("_x", true, false),
            ("x.", true, false),
            ("", true, false),
        ] {
            assert_eq!(valid_entity_name(name, dash), valid, "{name}");
        }
    }

    #[test]
    fn tags_are_limited() {
        let long = |length: usize| "x".repeat(length);
        for (tags, code) in [
            (vec![("env", "prod"), ("Owner:x", "")], None),
            (vec![(long(512).as_str(), long(256).as_str())], None),
            (vec![(long(513).as_str(), "")], Some("TagNameTooLarge")),
            (vec![("a", long(257).as_str())], Some("TagValueTooLarge")),
            (vec![("a/b", "")], Some("InvalidTagNameCharacters")),
            (vec![("", "")], Some("InvalidTagName")),
            (vec![("env", "1"), ("Env", "2")], Some("DuplicateTagName")),
        ] {
            let tags: Vec<_> =
                tags.iter().map(|(name, value)| ((*name).to_owned(), Json::from(*value))).collect();
            assert_eq!(check_tags(&tags).err().map(|error| error.code).as_deref(), code, "{tags:?}");
        }
    }

    #[test]
    fn lists_show_the_group_in_upper_case() {
        let shown = Json::object().with("id", "/subscriptions/s/resourceGroups/my-rg/providers/p");
        assert_eq!(upper_group(shown).text("id"), Some("/subscriptions/s/resourceGroups/MY-RG/providers/p"));
    }
}
