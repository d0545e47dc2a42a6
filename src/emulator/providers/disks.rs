//! `disks`, `snapshots` and `diskEncryptionSets`: bare records, so that images can have them as sources.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::clock;
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::operations::{Begin, Family, begin};
use super::super::resource::{Resource, Verb};
use super::super::settings::Work;
use super::{head, put_location, save_deleting, sources, take_tags, upper_group};

/// The type's proper name for its lower-case path segment.
pub fn kind(segment: &str) -> Option<&'static str> {
    Some(match segment {
        "disks" => "Microsoft.Compute/disks",
        "snapshots" => "Microsoft.Compute/snapshots",
        "diskencryptionsets" => "Microsoft.Compute/diskEncryptionSets",
        _ => return None,
    })
}

/// A disk that came with a machine.
pub fn attach(call: &mut Call<'_, '_>, id: &str, location: &str, size: i64, sku: &str) {
    let mut disk = Resource::new(id, "Microsoft.Compute/disks", location);
    disk.doc.set("sku", show_sku(sku));
    let unique = call.state.guid();
    let body = Json::object()
        .with("creationData", Json::object().with("createOption", "FromImage"))
        .with("diskSizeGB", size);
    let properties = complete(call, &body, size, &unique, "Attached");
    disk.doc.set("properties", properties);
    call.save(&disk);
}

/// One disk, snapshot or encryption set by name.
pub fn one(call: &mut Call<'_, '_>, group: &str, segment: &str, name: &str) -> Outcome {
    let Some(kind) = kind(segment) else {
        return Err(ArmError::no_method(call.method.name(), segment));
    };
    let id = format!(
        "/subscriptions/{}/resourceGroups/{group}/providers/{kind}/{name}",
        call.subscription
    );
    let set = segment == "diskencryptionsets";
    call.meter = Some(match call.method {
        Method::Put | Method::Patch | Method::Delete if !set => "HighCostSnapshotCreateHydrate",
        _ => "LowCostGet",
    });
    let existing = call.find(&id);
    match call.method {
        Method::Get => {
            let disk = existing.ok_or_else(|| ArmError::no_resource(&format!("{kind}/{name}"), group))?;
            Ok(Answer::pretty(200, show(call, &disk)))
        }
        Method::Put => put(call, group, kind, &id, existing),
        Method::Patch => {
            let disk = existing.ok_or_else(|| ArmError::no_resource(&format!("{kind}/{name}"), group))?;
            let mut merged = Json::object()
                .with("location", disk.location())
                .maybe("sku", disk.doc.get("sku"))
                .maybe("tags", disk.doc.get("tags"))
                .maybe("properties", disk.doc.get("properties"));
            merged.merge_patch(&call.body.clone());
            call.body = merged;
            put(call, group, kind, &id, Some(disk))
        }
        Method::Delete => {
            let Some(disk) = existing else {
                return Ok(Answer::empty(204));
            };
            if disk.property_text("diskState") == Some("Attached") && attached(call, &disk) {
                return Err(ArmError::new(
                    409,
                    "OperationNotAllowed",
                    format!("Disk {} is attached to a virtual machine and cannot be deleted.", disk.name()),
                ));
            }
            let end = call.now + call.duration(Work::DiskDelete);
            let operation = begin(call, plan(disk.location(), disk.id(), "delete", end, None));
            save_deleting(call, disk, &operation);
            Ok(Answer::empty(202).asynchronous(call, &operation, true))
        }
        _ => Err(ArmError::no_method(call.method.name(), kind)),
    }
}

fn attached(call: &Call<'_, '_>, disk: &Resource) -> bool {
    call.state
        .of_type(&call.subscription, super::machines::KIND)
        .iter()
        .map(Resource::from_record)
        .any(|machine| {
            machine.exists(call.now)
                && machine.doc.compact().to_ascii_lowercase().contains(&disk.id().to_ascii_lowercase())
        })
}

fn plan<'a>(location: &'a str, resource: &'a str, action: &'a str, end: i64, output: Option<Json>) -> Begin<'a> {
    Begin {
        family: Family::Disk,
        location,
        resource,
        action,
        end,
        error: None,
        output,
        retry_after: Some(2),
    }
}

/// The disks, snapshots or encryption sets of a group or the subscription.
pub fn list(call: &mut Call<'_, '_>, group: Option<&str>, segment: &str) -> Outcome {
    let Some(kind) = kind(segment) else {
        return Err(ArmError::no_method(call.method.name(), segment));
    };
    call.meter = Some("LowCostGet");
    Ok(match group {
        Some(group) => {
            let collection = format!(
                "/subscriptions/{}/resourceGroups/{group}/providers/{kind}",
                call.subscription
            );
            call.list_answer(&collection, |disk| upper_group(show(call, disk)))
        }
        None => call.subscription_answer(kind, |disk| upper_group(show(call, disk))),
    })
}

fn put(call: &mut Call<'_, '_>, group: &str, kind: &str, id: &str, existing: Option<Resource>) -> Outcome {
    let location = put_location(call, kind, existing.as_ref(), group)?;
    let created = existing.is_none();
    let body = call.body.clone();
    let sent = body.get("properties").cloned().unwrap_or_default();
    let mut disk = existing.unwrap_or_else(|| Resource::new(id, kind, &location));
    take_tags(&call.body, &mut disk)?;
    if kind.ends_with("diskEncryptionSets") {
        return put_set(call, disk, &sent, created);
    }
    let mut size = sent.int("diskSizeGB");
    for key in ["sourceResourceId", "imageReference.id"] {
        if let Some(source) = sent.text(&format!("creationData.{key}"))
            && sources::kind_of(source).contains("/")
            && (sources::kind_of(source).ends_with("/disks") || sources::kind_of(source).ends_with("/snapshots"))
        {
            let source = sources::disk(call, source, &location)?;
            size = size.or_else(|| source.doc.int("properties.diskSizeGB"));
        }
    }
    let sku = body
        .text("sku.name")
        .or_else(|| disk.doc.text("sku.name"))
        .unwrap_or("Standard_LRS")
        .to_owned();
    disk.doc.set("sku", show_sku(&sku));
    let unique = match disk.property_text("uniqueId") {
        Some(unique) => unique.to_owned(),
        None => call.state.guid(),
    };
    let properties = complete(call, &sent, size.unwrap_or(30), &unique, "Unattached");
    disk.doc.set("properties", properties);
    let end = call.now + call.duration(Work::DiskPut);
    let output = show_settled(&disk);
    let operation = begin(
        call,
        plan(&location, id, if created { "create" } else { "update" }, end, Some(output)),
    );
    disk.bind(&operation, if created { Verb::Create } else { Verb::Update }, 0);
    call.save(&disk);
    // The first answer has little more than what was sent.
    let shown = head(&disk).maybe("sku", body.get("sku")).with(
        "properties",
        sent.with("provisioningState", "Updating"),
    );
    Ok(Answer::pretty(202, shown).asynchronous(call, &operation, true))
}

fn put_set(call: &mut Call<'_, '_>, mut set: Resource, sent: &Json, created: bool) -> Outcome {
    if sent.at("activeKey.keyUrl").is_none() && created {
        return Err(ArmError::missing("diskEncryptionSet.properties.activeKey"));
    }
    let identity = call.body.get("identity").cloned();
    let properties = Json::object()
        .maybe("activeKey", sent.get("activeKey"))
        .with("encryptionType", sent.text("encryptionType").unwrap_or("EncryptionAtRestWithCustomerKey"))
        .with(
            "rotationToLatestKeyVersionEnabled",
            sent.flag("rotationToLatestKeyVersionEnabled").unwrap_or(false),
        );
    set.doc.set("properties", properties);
    if let Some(identity) = identity {
        let principal = call.state.guid();
        set.doc.set(
            "identity",
            identity.with("principalId", principal).with("tenantId", call.tenant.as_str()),
        );
    }
    call.save(&set);
    Ok(Answer::pretty(if created { 201 } else { 200 }, show_settled(&set)))
}

fn show_sku(name: &str) -> Json {
    let tier = if name.starts_with("Premium") { "Premium" } else { "Standard" };
    Json::object().with("name", name).with("tier", tier)
}

fn complete(call: &Call<'_, '_>, sent: &Json, size: i64, unique: &str, state: &str) -> Json {
    Json::object()
        .maybe("osType", sent.get("osType"))
        .maybe("hyperVGeneration", sent.get("hyperVGeneration"))
        .maybe("securityProfile", sent.get("securityProfile"))
        .with(
            "creationData",
            sent.get("creationData")
                .cloned()
                .unwrap_or_else(|| Json::object().with("createOption", "Empty")),
        )
        .with("diskSizeGB", size)
        .with(
            "encryption",
            sent.get("encryption")
                .cloned()
                .unwrap_or_else(|| Json::object().with("type", "EncryptionAtRestWithPlatformKey")),
        )
        .with("incremental", sent.flag("incremental").unwrap_or(false))
        .with("networkAccessPolicy", sent.text("networkAccessPolicy").unwrap_or("AllowAll"))
        .with("timeCreated", sent.text("timeCreated").map_or_else(|| clock::format(call.now), str::to_owned))
        .with("provisioningState", "Succeeded")
        .with("diskState", state)
        .with("diskSizeBytes", size * 1_073_741_824)
        .with("uniqueId", unique)
}

fn show_settled(disk: &Resource) -> Json {
    let mut properties = disk.doc.get("properties").cloned().unwrap_or_default();
    if disk.doc.text("type").is_some_and(|kind| kind.ends_with("/disks")) {
        properties.remove("incremental");
    }
    properties.set("provisioningState", "Succeeded");
    head(disk)
        .maybe("sku", disk.doc.get("sku"))
        .maybe("identity", disk.doc.get("identity"))
        .with("properties", properties)
}

fn show(call: &Call<'_, '_>, disk: &Resource) -> Json {
    let mut shown = show_settled(disk);
    shown.entry("properties").set("provisioningState", disk.state(call.now));
    shown
}
