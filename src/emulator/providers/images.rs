//! `Microsoft.Compute/images`: managed images, captured from machines or created from disks.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::errors::ArmError;
use super::super::ids;
use super::super::json::{Json, same};
use super::super::operations::{Begin, Family, begin};
use super::super::regions;
use super::super::resource::{Resource, Verb};
use super::super::settings::Work;
use super::{
    first_state, head, is_not_visible_yet, merge_stored, one_of, put_location, save_deleting, seeds, sources,
    take_tags, upper_group,
};

/// The resource type.
pub const KIND: &str = "Microsoft.Compute/images";

/// Handles one image by name.
pub fn one(call: &mut Call<'_, '_>, group: &str, name: &str) -> Outcome {
    let id = format!("/subscriptions/{}/resourceGroups/{group}/providers/{KIND}/{name}", call.subscription);
    call.meter = Some(match call.method {
        Method::Put | Method::Patch => "CreateImagesSubscriptionMaximum",
        Method::Delete => "DeleteImagesSubscriptionMaximum",
        _ => "GetImagesSubscriptionMaximum",
    });
    let existing = call.find(&id);
    let absent = || ArmError::no_resource(&format!("{KIND}/{name}"), group);
    match call.method {
        Method::Get => {
            let image = existing.filter(|image| !is_not_visible_yet(call, image)).ok_or_else(absent)?;
            Ok(Answer::pretty(200, show(call, &image)))
        }
        Method::Put => put(call, group, &id, existing),
        Method::Patch => {
            let image = existing.ok_or_else(absent)?;
            merge_stored(call, &image, &[]);
            put(call, group, &id, Some(image))
        }
        Method::Delete => {
            let Some(image) = existing else {
                return Ok(Answer::empty(204));
            };
            let end = call.now + call.duration(Work::ImageDelete);
            let operation = begin(call, plan(image.location(), image.id(), "delete", end));
            save_deleting(call, image, &operation);
            Ok(Answer::empty(202).asynchronous(call, &operation, true))
        }
        _ => Err(ArmError::no_method(call.method.name(), KIND)),
    }
}

/// Lists the images of a resource group or of the subscription.
pub fn list(call: &mut Call<'_, '_>, group: Option<&str>) -> Outcome {
    match group {
        Some(group) => {
            let collection =
                format!("/subscriptions/{}/resourceGroups/{group}/providers/{KIND}", call.subscription);
            if call.children(&collection).is_empty() {
                return Ok(Answer::compact(200, Json::object().with("value", Vec::new())));
            }
            call.meter = Some("HighCostGetImagesSubscriptionMaximum");
            Ok(call.list_answer(&collection, |image| upper_group(show(call, image))))
        }
        None => {
            call.meter = Some("HighCostGetImagesSubscriptionMaximum");
            Ok(call.subscription_answer(KIND, |image| upper_group(show(call, image))))
        }
    }
}

fn plan<'a>(location: &'a str, resource: &'a str, action: &'a str, end: i64) -> Begin<'a> {
    Begin::new(Family::Compute, location, resource, action, end)
}

fn put(call: &mut Call<'_, '_>, group: &str, id: &str, existing: Option<Resource>) -> Outcome {
    let name = id.rsplit('/').next().unwrap_or_default();
    if !valid_name(name) {
        return Err(ArmError::parameter(
            "image.name",
            format!(
                "The entity name 'image.name' is invalid: '{name}' must have 1 to 80 letters, digits, '_', '.' or '-', begin with a letter or digit and end with a letter, digit or '_'."
            ),
        ));
    }
    let location = put_location(call, KIND, existing.as_ref(), group)?;
    if let Some(image) = &existing
        && image.state(call.now) == "Deleting"
    {
        return Err(super::deleting("Update Image", name));
    }
    let created = existing.is_none();
    let mut image = match existing {
        Some(image) => {
            unchanged(&call.body, &image)?;
            image
        }
        None => create(call, id, &location)?,
    };
    take_tags(&call.body, &mut image)?;
    let end = call.now + call.duration(Work::ImagePut);
    let action = if created { "create" } else { "update" };
    let operation = begin(call, plan(&location, id, action, end));
    image.bind(&operation, if created { Verb::Create } else { Verb::Update }, 0);
    call.save(&image);
    let mut shown = show(call, &image);
    first_state(&mut shown, created);
    if created {
        let storage = visible_storage(&image, false);
        shown.entry("properties").set("storageProfile", storage);
    }
    Ok(Answer::pretty(if created { 201 } else { 200 }, shown).asynchronous(call, &operation, false))
}

fn valid_name(name: &str) -> bool {
    name.len() <= 80
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
}

/// Only the tags of an image can change; a request that repeats its properties is accepted.
fn unchanged(body: &Json, image: &Resource) -> Result<(), ArmError> {
    let sent = body.get("properties").cloned().unwrap_or_default();
    for path in [
        "sourceVirtualMachine.id",
        "hyperVGeneration",
        "storageProfile.osDisk.osType",
        "storageProfile.osDisk.osState",
        "storageProfile.osDisk.managedDisk.id",
        "storageProfile.osDisk.snapshot.id",
        "storageProfile.osDisk.blobUri",
        "storageProfile.osDisk.caching",
        "storageProfile.osDisk.storageAccountType",
    ] {
        // The disks of a captured image derive from its machine, so only the machine is compared.
        if path.ends_with("managedDisk.id") && image.property("sourceVirtualMachine").is_some() {
            continue;
        }
        if let Some(value) = sent.text(path)
            && !image.property_text(path).unwrap_or_default().eq_ignore_ascii_case(value)
        {
            return Err(ArmError::unchangeable(&format!("image.properties.{path}")));
        }
    }
    if let Some(zonal) = sent.at("storageProfile.zoneResilient")
        && !same(zonal, image.property("storageProfile.zoneResilient").unwrap_or(&Json::Bool(false)))
    {
        return Err(ArmError::unchangeable("image.properties.storageProfile.zoneResilient"));
    }
    Ok(())
}

fn create(call: &mut Call<'_, '_>, id: &str, location: &str) -> Result<Resource, ArmError> {
    let sent = call.body.get("properties").cloned().unwrap_or_default();
    let generation = match sent.text("hyperVGeneration") {
        Some(value) => Some(one_of(value, &["V1", "V2"], "image.properties.hyperVGeneration")?),
        None => None,
    };
    let zonal = sent.flag("storageProfile.zoneResilient");
    if zonal == Some(true) && regions::find(location).is_some_and(|region| !region.zones) {
        return Err(ArmError::parameter(
            "image.properties.storageProfile.zoneResilient",
            format!("Zone resilient images are not supported in region '{location}'."),
        ));
    }
    let machine = sent.text("sourceVirtualMachine.id").map(str::to_owned);
    let (storage, generation, source) = match &machine {
        Some(machine) => {
            let (storage, generation, source) = from_machine(call, machine, generation, location)?;
            (storage, generation, Some(source))
        }
        None => (from_disks(call, &sent, location)?, generation.unwrap_or("V1").to_owned(), None),
    };
    let mut image = Resource::new(id, KIND, location);
    let properties = Json::object()
        .maybe("sourceVirtualMachine", machine.map(|id| Json::object().with("id", id)))
        .with("storageProfile", storage.maybe("zoneResilient", zonal))
        .with("hyperVGeneration", generation);
    image.doc.set("properties", properties);
    if let Some(edge) = call.body.get("extendedLocation") {
        image.doc.set("extendedLocation", edge);
    }
    image.hide("created", call.now);
    if let Some(source) = source {
        image.hide("keeps_identity", source.keeps_identity);
        if let Some(origin) = source.origin {
            image.hide("origin", origin);
        }
    }
    Ok(image)
}

fn from_machine(
    call: &mut Call<'_, '_>,
    id: &str,
    generation: Option<&str>,
    location: &str,
) -> Result<(Json, String, sources::Source), ArmError> {
    ids::check(id, "properties.sourceVirtualMachine.id")?;
    let machine = seeds::find_machine(call, id)
        .filter(|machine| regions::normalize(machine.location()) == location)
        .ok_or_else(|| {
            let name = id.rsplit('/').next().unwrap_or_default();
            let message = format!(
                "Source Virtual Machine '{name}' specified in the request does not exist in this Azure location."
            );
            ArmError::new(404, "NotFound", message).target("sourceVirtualMachine")
        })?;
    if let Some(security) = machine.property_text("securityProfile.securityType")
        && security != "Standard"
    {
        return Err(ArmError::new(
            400,
            "BadRequest",
            format!("Managed Images are not supported for virtual machines with security type {security}."),
        ));
    }
    if machine.hidden("generalized") != Some(&Json::Bool(true)) {
        return Err(ArmError::new(
            409,
            "OperationNotAllowed",
            format!(
                "The operation 'Create Image' requires the Virtual Machine '{}' to be Generalized.",
                machine.name()
            ),
        ));
    }
    let source = sources::of_machine(call, &machine);
    let of_machine = source.generation.clone().unwrap_or_else(|| "V1".to_owned());
    if generation.is_some_and(|wanted| wanted != of_machine) {
        return Err(ArmError::parameter(
            "image.properties.hyperVGeneration",
            format!(
                "The Input HyperVGeneration property: '{}' does not match with the HyperVGeneration property: 'Gen{}' belonging to source: 'sourceVirtualMachine'.",
                generation.unwrap_or_default(),
                of_machine.trim_start_matches('V')
            ),
        ));
    }
    // Without a generation in the body the service returns V1, regardless of the machine's generation.
    let shown = generation.unwrap_or("V1").to_owned();
    let shown = if of_machine == "V2" { of_machine } else { shown };
    let os = machine.property("storageProfile.osDisk").cloned().unwrap_or_default();
    let disk = |disk: &Json| {
        let blob = disk.at("vhd.uri");
        let kind = match blob {
            Some(_) => "Standard_LRS",
            None => disk.text("managedDisk.storageAccountType").unwrap_or("Premium_LRS"),
        };
        Json::object()
            .maybe("managedDisk", disk.at("managedDisk.id").map(|id| Json::object().with("id", id)))
            .maybe("blobUri", blob)
            .with("caching", disk.text("caching").unwrap_or("None"))
            .with("storageAccountType", kind)
            .with("diskSizeGB", disk.int("diskSizeGB").unwrap_or(30))
            // The size of a blob is known immediately.
            .maybe("_sized", blob.map(|_| true))
    };
    let mut os_disk =
        Json::object().with("osType", os.text("osType").unwrap_or("Linux")).with("osState", "Generalized");
    for (key, value) in disk(&os).pairs() {
        os_disk.set(key, value);
    }
    let data: Vec<Json> = machine
        .property("storageProfile")
        .map(|profile| profile.list("dataDisks").to_vec())
        .unwrap_or_default()
        .iter()
        .map(|data| {
            let mut shown = Json::object().with("lun", data.int("lun").unwrap_or(0));
            for (key, value) in disk(data).pairs() {
                shown.set(key, value);
            }
            shown
        })
        .collect();
    Ok((Json::object().with("osDisk", os_disk).with("dataDisks", data), shown, source))
}

fn from_disks(call: &Call<'_, '_>, sent: &Json, location: &str) -> Result<Json, ArmError> {
    let base = "image.properties.storageProfile.osDisk";
    let os = sent
        .at("storageProfile.osDisk")
        .filter(|os| !os.is_empty())
        .cloned()
        .ok_or_else(|| ArmError::missing(base))?;
    let field = |key: &str| os.text(key).ok_or_else(|| ArmError::missing(&format!("{base}.{key}")));
    let mut shown = Json::object()
        .with(
            "osType",
            one_of(field("osType")?, &["Windows", "Linux"], "image.properties.storageProfile.osDisk.osType")?,
        )
        .with(
            "osState",
            one_of(
                field("osState")?,
                &["Generalized", "Specialized"],
                "image.properties.storageProfile.osDisk.osState",
            )?,
        );
    for (key, value) in one_disk(call, &os, location, base)?.pairs() {
        shown.set(key, value);
    }
    let mut data = Vec::new();
    for disk in sent.at("storageProfile").map(|profile| profile.list("dataDisks")).unwrap_or_default() {
        let base = "image.properties.storageProfile.dataDisks";
        let lun = disk.int("lun").ok_or_else(|| ArmError::missing(&format!("{base}.lun")))?;
        let mut shown = Json::object().with("lun", lun);
        for (key, value) in one_disk(call, disk, location, base)?.pairs() {
            shown.set(key, value);
        }
        data.push(shown);
    }
    Ok(Json::object().with("osDisk", shown).with("dataDisks", data))
}

/// `diskSizeGB` is stored last and moved to its place in responses when the image is shown.
fn one_disk(call: &Call<'_, '_>, disk: &Json, location: &str, base: &str) -> Result<Json, ArmError> {
    // Clients with typed models send empty strings for unset values.
    let given = |path: &str| disk.text(path).filter(|text| !text.is_empty());
    let (snapshot, managed, blob) = (given("snapshot.id"), given("managedDisk.id"), given("blobUri"));
    let source = match (snapshot, managed, blob) {
        (Some(id), None, None) | (None, Some(id), None) => Some(sources::disk(call, id, location)?),
        (None, None, Some(_)) => None,
        _ => {
            return Err(ArmError::parameter(
                base,
                "One and only one of managedDisk, snapshot and blobUri must be specified.",
            ));
        }
    };
    let caching = match disk.text("caching") {
        Some(value) => one_of(value, &["None", "ReadOnly", "ReadWrite"], &format!("{base}.caching"))?,
        None => "None",
    };
    // Recorded: by default an image uses the cheapest storage, regardless of the storage of its disk or snapshot.
    let kind = disk.text("storageAccountType").unwrap_or("Standard_LRS").to_owned();
    let known = source.as_ref().and_then(|disk| disk.doc.int("properties.diskSizeGB"));
    let sent = disk.int("diskSizeGB");
    if let (Some(sent), Some(known)) = (sent, known)
        && sent < known
    {
        return Err(ArmError::parameter(
            &format!("{base}.diskSizeGB"),
            "Disks or snapshot cannot be resized down.",
        ));
    }
    Ok(Json::object()
        .maybe("snapshot", snapshot.map(|id| Json::object().with("id", id)))
        .maybe("managedDisk", managed.map(|id| Json::object().with("id", id)))
        .maybe("blobUri", blob)
        .with("caching", caching)
        .with("storageAccountType", kind)
        .maybe("diskEncryptionSet", disk.get("diskEncryptionSet"))
        .with("diskSizeGB", sent.or(known).unwrap_or(30))
        .maybe("_sized", (sent.is_some() || blob.is_some()).then_some(true)))
}

/// The storage profile. Sizes follow `osState` or `lun`; unless they were sent, they appear after the first success.
fn visible_storage(image: &Resource, done: bool) -> Json {
    let stored = image.property("storageProfile").cloned().unwrap_or_default();
    let disk = |disk: &Json| {
        let mut shown = Json::object();
        let sized = done || disk.flag("_sized") == Some(true);
        let mut pending = disk.get("diskSizeGB").filter(|_| sized).cloned();
        for (key, value) in disk.pairs() {
            if key == "_sized" || key == "diskSizeGB" {
                continue;
            }
            if !["osType", "osState", "lun"].contains(&key.as_str())
                && let Some(size) = pending.take()
            {
                shown.set("diskSizeGB", size);
            }
            shown.set(key, value);
        }
        shown
    };
    Json::object()
        .with("osDisk", disk(stored.get("osDisk").unwrap_or(&Json::Null)))
        .with("dataDisks", stored.list("dataDisks").iter().map(disk).collect::<Vec<_>>())
        .maybe("zoneResilient", stored.get("zoneResilient"))
}

/// The image in the format of this request's api-version.
pub fn show(call: &Call<'_, '_>, image: &Resource) -> Json {
    let state = image.state(call.now);
    let created = image.hidden("operation.verb").and_then(Json::as_str) != Some("create");
    let mut properties = Json::object()
        .maybe("sourceVirtualMachine", image.property("sourceVirtualMachine"))
        .with("storageProfile", visible_storage(image, created || state == "Succeeded"))
        .with("provisioningState", state);
    if call.since("2019-03-01") {
        properties = properties.maybe("hyperVGeneration", image.property("hyperVGeneration"));
    }
    head(image).with("properties", properties).maybe("extendedLocation", image.doc.get("extendedLocation"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_names_are_validated() {
        for (name, valid) in [("img-1_", true), ("a", true), ("-a", false), ("a.", false), ("a b", false)] {
            assert_eq!(valid_name(name), valid, "{name}");
        }
    }

    #[test]
    fn size_follows_state_and_is_hidden_until_known() {
        let mut image = Resource::new("/x/y", KIND, "eastus");
        image.doc.set(
            "properties",
            Json::parse(br#"{"storageProfile":{"osDisk":{"osType":"Linux","osState":"Generalized","caching":"None","diskSizeGB":32},"dataDisks":[]}}"#).unwrap(),
        );
        assert_eq!(
            visible_storage(&image, true).compact(),
            r#"{"osDisk":{"osType":"Linux","osState":"Generalized","diskSizeGB":32,"caching":"None"},"dataDisks":[]}"#
        );
        assert!(!visible_storage(&image, false).compact().contains("diskSizeGB"));
    }
}
