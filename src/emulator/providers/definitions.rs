//! `Microsoft.Compute/galleries/images`: image definitions.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::clock;
use super::super::errors::ArmError;
use super::super::json::{Json, same};
use super::super::operations::{Begin, Family, begin};
use super::super::resource::Resource;
use super::super::settings::Work;
use super::super::shapes;
use super::{
    deleting, gallery_head, is_not_visible_yet, merge_stored, no_children, one_of, put_answer, put_location,
    save_deleting, save_written, take_tags, valid_entity_name,
};

/// The resource type.
pub const KIND: &str = "Microsoft.Compute/galleries/images";
const BASE: &str = "galleryImage.properties";

/// Handles one definition by name.
pub fn one(call: &mut Call<'_, '_>, group: &str, gallery: &str, name: &str) -> Outcome {
    let parent = gallery_id(call, group, gallery);
    let id = format!("{parent}/images/{name}");
    call.meter = Some(match call.method {
        Method::Put | Method::Patch => "CreateUpdateGalleryImage",
        Method::Delete => "DeleteGalleryImage",
        _ => "GetGalleryImage",
    });
    let Some(gallery_found) = call.find(&parent) else {
        return match call.method {
            Method::Delete => Ok(Answer::empty(204)),
            _ => Err(ArmError::no_parent(gallery)),
        };
    };
    let existing = call.find(&id);
    let absent =
        || ArmError::no_resource(&format!("Microsoft.Compute/galleries/{gallery}/images/{name}"), group);
    match call.method {
        Method::Get => {
            let definition =
                existing.filter(|definition| !is_not_visible_yet(call, definition)).ok_or_else(absent)?;
            Ok(Answer::pretty(200, show(call, &definition)))
        }
        Method::Put => {
            if gallery_found.state(call.now) == "Deleting" {
                return Err(deleting("Create Gallery Image", gallery));
            }
            put(call, group, &gallery_found, &id, existing)
        }
        Method::Patch => {
            let definition = existing.ok_or_else(absent)?;
            merge_stored(call, &definition, &["properties"]);
            put(call, group, &gallery_found, &id, Some(definition))
        }
        Method::Delete => delete(call, existing),
        _ => Err(ArmError::no_method(call.method.name(), KIND)),
    }
}

/// Lists the definitions of a gallery.
pub fn list(call: &mut Call<'_, '_>, group: &str, gallery: &str) -> Outcome {
    let parent = gallery_id(call, group, gallery);
    call.meter = Some("ListGalleryImagesInGallery");
    if call.find(&parent).is_none() {
        return Err(ArmError::no_parent(gallery));
    }
    Ok(call.list_answer(&format!("{parent}/images"), |definition| show(call, definition)))
}

fn gallery_id(call: &Call<'_, '_>, group: &str, gallery: &str) -> String {
    format!(
        "/subscriptions/{}/resourceGroups/{group}/providers/Microsoft.Compute/galleries/{gallery}",
        call.subscription
    )
}

fn put(
    call: &mut Call<'_, '_>,
    group: &str,
    gallery: &Resource,
    id: &str,
    existing: Option<Resource>,
) -> Outcome {
    let name = id.rsplit('/').next().unwrap_or_default().to_owned();
    if !valid_entity_name(&name, true) {
        return Err(ArmError::parameter(
            "galleryImageName",
            r"The entity name 'galleryImageName' is invalid according to its validation rule: ^[^_\W][\w-._]{0,79}(?<![-.])$.",
        ));
    }
    let location = put_location(call, KIND, existing.as_ref(), group)?;
    if let Some(definition) = &existing
        && definition.state(call.now) == "Deleting"
    {
        return Err(deleting("Update Gallery Image", &name));
    }
    let community = gallery.property_text("sharingProfile.permissions") == Some("Community");
    if existing.is_none() && community && gallery.location() != location {
        return Err(ArmError::parameter(
            "galleryImage.location",
            format!(
                "The gallery image must be in the same region as its community gallery, '{}'.",
                gallery.location()
            ),
        ));
    }
    let properties = match &existing {
        None => create(call, gallery, &name)?,
        Some(definition) => update(call, definition)?,
    };
    let created = existing.is_none();
    let mut definition = existing.unwrap_or_else(|| Resource::new(id, KIND, &location));
    take_tags(&call.body, &mut definition)?;
    definition.doc.set("properties", properties);
    if created {
        definition.hide("created", call.now);
    }
    let end = call.now + call.duration(Work::DefinitionPut);
    let operation =
        begin(call, Begin::new(Family::Caps, &location, id, if created { "create" } else { "update" }, end));
    let shown = save_written(call, definition, &operation, created, show);
    Ok(put_answer(call, created, shown, &operation))
}

fn create(call: &Call<'_, '_>, gallery: &Resource, name: &str) -> Result<Json, ArmError> {
    let sent = call.body.get("properties").cloned().unwrap_or_default();
    let required = |path: &str| {
        sent.text(path)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
            .ok_or_else(|| ArmError::missing(&format!("{BASE}.{path}")))
    };
    let os_type = one_of(&required("osType")?, &["Windows", "Linux"], "galleryImage.properties.osType")?;
    let os_state =
        one_of(&required("osState")?, &["Generalized", "Specialized"], "galleryImage.properties.osState")?;
    let identifier = Json::object()
        .with("publisher", identifier_part(&required("identifier.publisher")?, "publisher", 128)?)
        .with("offer", identifier_part(&required("identifier.offer")?, "offer", 64)?)
        .with("sku", identifier_part(&required("identifier.sku")?, "sku", 64)?);
    unique_identifier(call, gallery, name, &identifier)?;
    let generation = match sent.text("hyperVGeneration") {
        Some(value) => one_of(value, &["V1", "V2"], "galleryImage.properties.hyperVGeneration")?,
        None if call.since("2025-03-03") => "V2",
        None => "V1",
    };
    let architecture = match sent.text("architecture") {
        Some(value) => one_of(value, &["x64", "Arm64"], "galleryImage.properties.architecture")?,
        None => "x64",
    };
    if architecture == "Arm64" && generation == "V1" {
        return Err(ArmError::parameter(
            "galleryImage.properties.architecture",
            "The architecture 'Arm64' requires hyperVGeneration 'V2'.",
        ));
    }
    let mut features = features(&sent, generation)?;
    let names_security = features.iter().any(|feature| feature.text("name") == Some("SecurityType"));
    if call.since("2025-03-03") && generation == "V2" && !names_security {
        features.push(Json::object().with("name", "SecurityType").with("value", "TrustedLaunchSupported"));
    }
    let plan = sent.get("purchasePlan").filter(|plan| !plan.is_empty()).cloned();
    if let Some(plan) = &plan
        && plan.text("name").is_none()
    {
        return Err(ArmError::missing("galleryImage.properties.purchasePlan.name"));
    }
    let fixed = Json::object()
        .with("hyperVGeneration", generation)
        .with("architecture", architecture)
        .maybe("features", (!features.is_empty()).then_some(features))
        .with("osType", os_type)
        .with("osState", os_state)
        .with("identifier", identifier)
        .maybe(
            "purchasePlan",
            plan.map(|plan| {
                Json::object()
                    .maybe("name", plan.get("name"))
                    .maybe("publisher", plan.get("publisher"))
                    .maybe("product", plan.get("product"))
            }),
        );
    changeable(call, &sent, None, fixed)
}

fn update(call: &Call<'_, '_>, definition: &Resource) -> Result<Json, ArmError> {
    let sent = call.body.get("properties").cloned().unwrap_or_default();
    let old = definition.doc.get("properties").cloned().unwrap_or_default();
    for path in [
        "osType",
        "osState",
        "hyperVGeneration",
        "architecture",
        "identifier.publisher",
        "identifier.offer",
        "identifier.sku",
        "purchasePlan.name",
        "purchasePlan.publisher",
        "purchasePlan.product",
    ] {
        if let Some(value) = sent.text(path)
            && !old.text(path).unwrap_or_default().eq_ignore_ascii_case(value)
        {
            return Err(ArmError::unchangeable(&format!("{BASE}.{path}")));
        }
    }
    let generation = old.text("hyperVGeneration").unwrap_or("V1");
    let mut fixed = Json::object();
    for key in
        ["hyperVGeneration", "architecture", "features", "osType", "osState", "identifier", "purchasePlan"]
    {
        if let Some(value) = old.get(key) {
            fixed.set(key, value);
        }
    }
    if sent.get("features").is_some_and(|features| !features.is_null()) {
        let wanted = features(&sent, generation)?;
        if !same_features(old.list("features"), &wanted) {
            let allowed = sent.flag("allowUpdateImage") == Some(true);
            if !allowed {
                return Err(ArmError::unchangeable("galleryImage.properties.features"));
            }
            fixed.set("features", wanted);
            if fixed.list("features").is_empty() {
                fixed.remove("features");
            }
        }
    }
    changeable(call, &sent, Some(&old), fixed)
}

/// Adds the properties that a PUT replaces: texts, dates, recommendations, disallowed disk types.
fn changeable(
    call: &Call<'_, '_>,
    sent: &Json,
    old: Option<&Json>,
    mut properties: Json,
) -> Result<Json, ArmError> {
    for key in ["eula", "privacyStatementUri", "releaseNoteUri"] {
        if let Some(Json::String(text)) = sent.get(key) {
            properties.set(key, text.as_str());
        }
    }
    let before = old.and_then(|old| old.text("endOfLifeDate"));
    match sent.get("endOfLifeDate") {
        Some(Json::String(text)) => {
            let date = end_of_life(call, text, before, "galleryImage.properties.endOfLifeDate")?;
            properties.set("endOfLifeDate", date);
        }
        Some(_) => {}
        None => {
            if let Some(before) = before {
                properties.set("endOfLifeDate", before);
            }
        }
    }
    if let Some(recommended) = sent.get("recommended").filter(|value| !value.is_empty()) {
        properties.set("recommended", recommended_machine(recommended)?);
    }
    if let Some(disallowed) = sent.get("disallowed") {
        let types = disallowed.list("diskTypes");
        if !types.is_empty() {
            properties.set("disallowed", Json::object().with("diskTypes", types.to_vec()));
        }
    }
    if let Some(Json::String(text)) = sent.get("description") {
        properties.set("description", text.as_str());
    }
    Ok(properties)
}

/// Parses an end-of-life date, which must be in the future if it is new. Returns it in the service's format.
pub fn end_of_life(
    call: &Call<'_, '_>,
    text: &str,
    before: Option<&str>,
    target: &str,
) -> Result<String, ArmError> {
    let at = clock::parse(text).ok_or_else(|| {
        ArmError::parameter(target, format!("The value '{text}' of parameter '{target}' is not a date."))
    })?;
    let shown = clock::format(at);
    if at <= call.now && before != Some(shown.as_str()) {
        return Err(ArmError::parameter(
            // The service uses this target for image versions too.
            "galleryImage.properties.endOfLifeDate",
            "EndOfLifeDate must be set to a future date.",
        ));
    }
    Ok(shown)
}

fn recommended_machine(sent: &Json) -> Result<Json, ArmError> {
    let mut shown = Json::object();
    for (resource, most) in [("vCPUs", 2048), ("memory", 32_768)] {
        let Some(range) = sent.get(resource).filter(|range| !range.is_empty()) else {
            continue;
        };
        let base = format!("{BASE}.recommended.{resource}");
        let mut bounds = Json::object();
        for bound in ["min", "max"] {
            match range.int(bound) {
                Some(value) if (1..=most).contains(&value) => bounds.set(bound, value),
                Some(value) => {
                    return Err(ArmError::parameter(
                        &format!("{base}.{bound}"),
                        format!(
                            "The value '{value}' of parameter {base}.{bound} is out of range. The value must be between '1' and '{most}', inclusive."
                        ),
                    ));
                }
                None => {}
            }
        }
        if let (Some(min), Some(max)) = (bounds.int("min"), bounds.int("max"))
            && min > max
        {
            return Err(ArmError::parameter(
                &format!("{base}.min"),
                format!(
                    "The value '{min}' of parameter {base}.min is out of range. The value must be between '1' and '{max}', inclusive."
                ),
            ));
        }
        shown.set(resource, bounds);
    }
    Ok(shown)
}

fn identifier_part(text: &str, part: &str, longest: usize) -> Result<String, ArmError> {
    let fits = text.len() <= longest
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        && !text.ends_with('.');
    if fits {
        Ok(text.to_owned())
    } else {
        Err(ArmError::parameter(
            &format!("{BASE}.identifier.{part}"),
            format!(
                "The value '{text}' of parameter '{BASE}.identifier.{part}' is invalid. It must have 1 to {longest} letters, digits, '.', '_' or '-' and must not end with '.'."
            ),
        ))
    }
}

fn unique_identifier(
    call: &Call<'_, '_>,
    gallery: &Resource,
    name: &str,
    identifier: &Json,
) -> Result<(), ArmError> {
    let key = |value: &Json| {
        ["publisher", "offer", "sku"].map(|part| value.text(part).unwrap_or_default().to_lowercase())
    };
    let taken = call
        .children(&format!("{}/images", gallery.id()))
        .into_iter()
        .find(|other| other.property("identifier").map(key) == Some(key(identifier)));
    match taken {
        Some(other) if !other.name().eq_ignore_ascii_case(name) => Err(ArmError::new(
            409,
            "Conflict",
            format!(
                "Gallery image: {} identified by (publisher:{}, offer:{}, sku:{}) already exists. Choose a different publisher, offer, sku combination.",
                other.name(),
                identifier.text("publisher").unwrap_or_default(),
                identifier.text("offer").unwrap_or_default(),
                identifier.text("sku").unwrap_or_default()
            ),
        )
        .target("galleryImage.properties.identifier")),
        _ => Ok(()),
    }
}

fn features(sent: &Json, generation: &str) -> Result<Vec<Json>, ArmError> {
    const TARGET: &str = "galleryImage.properties.features";
    let mut shown: Vec<Json> = Vec::new();
    for feature in sent.list("features") {
        let name = feature.text("name").ok_or_else(|| ArmError::missing(&format!("{TARGET}.name")))?;
        let value = feature.text("value").ok_or_else(|| ArmError::missing(&format!("{TARGET}.value")))?;
        let value = canonical_feature(name, value)?;
        if name.eq_ignore_ascii_case("SecurityType") && value != "Standard" && generation == "V1" {
            return Err(ArmError::parameter(
                TARGET,
                format!("The feature 'SecurityType' with value '{value}' requires hyperVGeneration 'V2'."),
            ));
        }
        if shown.iter().any(|other| other.text("name") == Some(name)) {
            return Err(ArmError::parameter(
                TARGET,
                format!("The feature '{name}' is given more than once."),
            ));
        }
        shown.push(
            Json::object()
                .maybe("startsAtVersion", feature.get("startsAtVersion").filter(|v| !v.is_null()))
                .with("name", name)
                .with("value", value),
        );
    }
    Ok(shown)
}

/// The service's own spelling of a feature's value. Unknown names pass unchanged.
fn canonical_feature(name: &str, value: &str) -> Result<String, ArmError> {
    let target = format!("galleryImage.properties.features.{name}");
    Ok(match name.to_ascii_lowercase().as_str() {
        "securitytype" => one_of(
            value,
            &[
                "TrustedLaunch",
                "TrustedLaunchSupported",
                "ConfidentialVM",
                "ConfidentialVMSupported",
                "TrustedLaunchAndConfidentialVmSupported",
                "Standard",
            ],
            &target,
        )?
        .to_owned(),
        "isacceleratednetworksupported"
        | "ishibernatesupported"
        | "issecurebootsupported"
        | "ismeasuredbootsupported" => one_of(value, &["True", "False"], &target)?.to_owned(),
        "diskcontrollertypes" => {
            let mut types: Vec<&str> = value
                .split(',')
                .map(|kind| one_of(kind.trim(), &["SCSI", "NVMe"], &target))
                .collect::<Result<_, _>>()?;
            types.sort_by_key(|kind| *kind != "SCSI");
            types.dedup();
            types.join(", ")
        }
        _ => value.to_owned(),
    })
}

fn same_features(left: &[Json], right: &[Json]) -> bool {
    left.len() == right.len() && left.iter().all(|feature| right.iter().any(|other| same(feature, other)))
}

fn delete(call: &mut Call<'_, '_>, existing: Option<Resource>) -> Outcome {
    let Some(definition) = existing else {
        return Ok(Answer::empty(204));
    };
    no_children(call, definition.id(), &["versions"])?;
    if super::soft_delete::is_on(call, definition.id()) && super::soft_delete::holds(call, definition.id()) {
        return Err(ArmError::new(
            409,
            "CannotDeleteResource",
            "Can not delete resource before nested resources are deleted.",
        ));
    }
    let end = call.now + call.duration(Work::DefinitionDelete);
    let operation =
        begin(call, Begin::new(Family::Caps, definition.location(), definition.id(), "delete", end));
    save_deleting(call, definition, &operation);
    Ok(Answer::empty(202).asynchronous(call, &operation, true))
}

/// The definition in the format of this request's api-version.
pub fn show(call: &Call<'_, '_>, definition: &Resource) -> Json {
    let stored = definition.doc.get("properties").cloned().unwrap_or_default();
    let features = stored.get("features").filter(|features| !features.is_empty());
    let properties = Json::object()
        .maybe("hyperVGeneration", stored.get("hyperVGeneration"))
        .maybe("architecture", stored.get("architecture"))
        .maybe("features", features)
        .maybe("osType", stored.get("osType"))
        .maybe("osState", stored.get("osState"))
        .maybe("endOfLifeDate", stored.get("endOfLifeDate"))
        .maybe("identifier", stored.get("identifier"))
        .maybe("recommended", stored.get("recommended"))
        .maybe("disallowed", stored.get("disallowed"))
        .maybe("purchasePlan", stored.get("purchasePlan"))
        .maybe("eula", stored.get("eula"))
        .maybe("privacyStatementUri", stored.get("privacyStatementUri"))
        .maybe("releaseNoteUri", stored.get("releaseNoteUri"))
        .with("provisioningState", definition.state(call.now))
        .maybe("description", stored.get("description"));
    let mut shown = gallery_head(call, definition).with("properties", properties);
    shapes::hide_newer("galleryImage", &call.api, &mut shown);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feature_values_are_normalized_to_the_services_spelling() {
        for (name, sent, shown) in [
            ("IsAcceleratedNetworkSupported", "true", "True"),
            ("SecurityType", "ConfidentialVm", "ConfidentialVM"),
            ("DiskControllerTypes", "NVMe, SCSI", "SCSI, NVMe"),
            ("DiskControllerTypes", "scsi", "SCSI"),
            ("SomethingNew", "as is", "as is"),
        ] {
            assert_eq!(canonical_feature(name, sent).unwrap(), shown);
        }
        assert!(canonical_feature("SecurityType", "Medium").is_err());
    }

    #[test]
    fn identifiers_are_validated() {
        assert!(identifier_part("Contoso.Base-1_x", "offer", 64).is_ok());
        for bad in ["a b", "x.", &"y".repeat(65)] {
            let error = identifier_part(bad, "offer", 64).unwrap_err();
            assert_eq!(error.target.as_deref(), Some("galleryImage.properties.identifier.offer"));
        }
    }
}
