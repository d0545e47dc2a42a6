//! `disks`, `snapshots` and `diskEncryptionSets`: minimal resources that can serve as sources of images.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::clock;
use super::super::errors::ArmError;
use super::super::ids;
use super::super::json::Json;
use super::super::operations::{Begin, Family, begin};
use super::super::resource::{Resource, Verb};
use super::super::settings::Work;
use super::{
    head, identities, machine_power, marketplace, merge_stored, put_location, save_deleting, sources,
    take_tags, upper_group,
};

/// The resource type for its lower-case path segment.
pub fn kind(segment: &str) -> Option<&'static str> {
    Some(match segment {
        "disks" => "Microsoft.Compute/disks",
        "snapshots" => "Microsoft.Compute/snapshots",
        "diskencryptionsets" => "Microsoft.Compute/diskEncryptionSets",
        _ => return None,
    })
}

/// A disk that is created with a machine.
pub struct Attached<'a> {
    /// The machine's ID.
    pub machine: &'a str,
    /// GB.
    pub size: i64,
    /// The SKU, such as `Premium_LRS`.
    pub sku: &'a str,
    /// Operating system and generation of an OS disk.
    pub system: Option<(&'a str, &'a str)>,
    /// The image that it is copied from.
    pub image: Option<&'a str>,
}

/// Stores a disk that is created with a machine.
pub fn attach(call: &mut Call<'_, '_>, id: &str, location: &str, with: &Attached<'_>) {
    let mut disk = Resource::new(id, "Microsoft.Compute/disks", location);
    disk.doc.set("sku", show_sku(with.sku));
    disk.doc.set("managedBy", with.machine);
    let unique = call.state.guid();
    let option = if with.system.is_some() { "FromImage" } else { "Empty" };
    let body = Json::object()
        .maybe("osType", with.system.map(|(os, _)| os))
        .maybe("hyperVGeneration", with.system.map(|(_, generation)| generation))
        .with(
            "creationData",
            Json::object()
                .with("createOption", option)
                .maybe("imageReference", with.image.map(|id| Json::object().with("id", id))),
        )
        .with("diskSizeGB", with.size);
    let made = Made {
        size: with.size,
        sku: with.sku,
        unique: &unique,
        state: "Attached",
        snapshot: false,
        from: None,
        family: None,
    };
    let properties = complete(call, &body, &made);
    disk.doc.set("properties", properties);
    call.save(&disk);
}

/// `GET …/diskEncryptionSets/{d}/associatedResources`: the IDs of the disks and snapshots that it encrypts. Not recorded.
pub fn encrypted_by(call: &mut Call<'_, '_>, group: &str, name: &str) -> Outcome {
    const KIND: &str = "Microsoft.Compute/diskEncryptionSets";
    if call.method != Method::Get {
        return Err(ArmError::no_method(call.method.name(), KIND));
    }
    let id = format!("/subscriptions/{}/resourceGroups/{group}/providers/{KIND}/{name}", call.subscription);
    let set = call.find(&id).ok_or_else(|| ArmError::no_resource(&format!("{KIND}/{name}"), group))?;
    let encrypted: Vec<Json> = ["Microsoft.Compute/disks", "Microsoft.Compute/snapshots"]
        .iter()
        .flat_map(|kind| call.state.of_type(&call.subscription, kind))
        .map(|record| Resource::from_record(&record))
        .filter(|disk| {
            let by = disk.property_text("encryption.diskEncryptionSetId");
            disk.exists(call.now) && by.is_some_and(|by| by.eq_ignore_ascii_case(set.id()))
        })
        .map(|disk| Json::from(disk.id()))
        .collect();
    call.paged_answer(encrypted)
}

/// Handles one disk, snapshot or encryption set by name.
pub fn one(call: &mut Call<'_, '_>, group: &str, segment: &str, name: &str) -> Outcome {
    let Some(kind) = kind(segment) else {
        return Err(ArmError::no_method(call.method.name(), segment));
    };
    let id = format!("/subscriptions/{}/resourceGroups/{group}/providers/{kind}/{name}", call.subscription);
    let set = segment == "diskencryptionsets";
    call.meter = Some(match call.method {
        Method::Put | Method::Patch if segment == "snapshots" => "HighCostSnapshotCreateHydrate",
        Method::Put | Method::Patch if !set => "CreateUpdateDisks",
        Method::Put | Method::Patch => "CreateUpdateHighCostDiskEncryptionSet",
        Method::Delete if !set => "DeleteDisks",
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
            merge_stored(call, &disk, &["sku", "properties"]);
            put(call, group, kind, &id, Some(disk))
        }
        Method::Delete => {
            let Some(disk) = existing else {
                return Ok(Answer::empty(204));
            };
            if machine_power::holder(call, &disk).is_some() {
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

fn plan<'a>(
    location: &'a str,
    resource: &'a str,
    action: &'a str,
    end: i64,
    output: Option<Json>,
) -> Begin<'a> {
    Begin { family: Family::Disk, location, resource, action, end, error: None, output, retry_after: Some(2) }
}

/// Lists the disks, snapshots or encryption sets of a group or the subscription.
pub fn list(call: &mut Call<'_, '_>, group: Option<&str>, segment: &str) -> Outcome {
    let Some(kind) = kind(segment) else {
        return Err(ArmError::no_method(call.method.name(), segment));
    };
    call.meter = Some("HighCostGet");
    Ok(match group {
        Some(group) => {
            let collection =
                format!("/subscriptions/{}/resourceGroups/{group}/providers/{kind}", call.subscription);
            call.list_answer(&collection, |disk| show(call, disk))
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
    let mut from = None;
    for key in [
        "sourceResourceId",
        "imageReference.id",
        "galleryImageReference.id",
        "galleryImageReference.communityGalleryImageId",
        "galleryImageReference.sharedGalleryImageId",
    ] {
        // An update does not check the source again, which may have been deleted.
        let Some(source) = sent.text(&format!("creationData.{key}")).filter(|_| created) else {
            continue;
        };
        let of = ids::type_of(source);
        if of.ends_with("/disks") || of.ends_with("/snapshots") {
            // A `CopyStart` accepts a source from any region.
            let source = match sent.text("creationData.createOption") {
                Some("CopyStart") => call.find(source).ok_or_else(|| ArmError::no_entity(source))?,
                _ => sources::disk(call, source, &location)?,
            };
            size = size.or_else(|| source.doc.int("properties.diskSizeGB"));
            from = source.doc.get("properties").cloned();
        } else if key.starts_with("gallery") {
            let (properties, large) = of_gallery(call, source, key, &location);
            size = size.or(Some(large));
            from = Some(properties);
        } else if let Some((properties, large)) = of_marketplace(source) {
            size = size.or(Some(large));
            from = Some(properties);
        }
    }
    let sku =
        body.text("sku.name").or_else(|| disk.doc.text("sku.name")).unwrap_or("Standard_LRS").to_owned();
    disk.doc.set("sku", show_sku(&sku));
    if let Some(zones) = body.get("zones") {
        disk.doc.set("zones", zones);
    }
    let unique = match disk.property_text("uniqueId") {
        Some(unique) => unique.to_owned(),
        None => call.state.guid(),
    };
    let family = (sent.flag("incremental") == Some(true)).then(|| {
        disk.property_text("incrementalSnapshotFamilyId").map_or_else(|| call.state.guid(), str::to_owned)
    });
    let made = Made {
        size: size.unwrap_or(30),
        sku: &sku,
        unique: &unique,
        state: if created { "Unattached" } else { disk.property_text("diskState").unwrap_or("Unattached") },
        snapshot: kind.ends_with("snapshots"),
        from,
        family,
    };
    let properties = complete(call, &sent, &made);
    disk.doc.set("properties", properties);
    let end = call.now + call.duration(Work::DiskPut);
    let output = show(call, &disk);
    let operation =
        begin(call, plan(&location, id, if created { "create" } else { "update" }, end, Some(output)));
    disk.bind(&operation, if created { Verb::Create } else { Verb::Update }, 0);
    call.save(&disk);
    // The first response contains little more than the request.
    let shown = head(&disk).maybe("sku", body.get("sku")).with("properties", first_properties(&sent));
    Ok(Answer::pretty(202, shown).asynchronous(call, &operation, true))
}

/// The request's properties in the service's order.
fn first_properties(sent: &Json) -> Json {
    const ORDER: &[&str] = &[
        "osType",
        "hyperVGeneration",
        "supportsHibernation",
        "supportedCapabilities",
        "creationData",
        "diskSizeGB",
        "encryption",
        "incremental",
        "diskAccessId",
        "burstingEnabled",
    ];
    // Properties derived from size and SKU are not echoed.
    const LEFT_OUT: &[&str] = &["diskIOPSReadWrite", "diskMBpsReadWrite", "tier"];
    let mut shown = ORDER.iter().fold(Json::object(), |shown, key| shown.maybe(key, sent.get(key)));
    for (key, value) in sent.pairs() {
        if !LEFT_OUT.contains(&key.as_str()) {
            shown.set(key, value);
        }
    }
    if sent.at("creationData.provisionedBandwidthCopySpeed").is_some() {
        shown.entry("creationData").remove("provisionedBandwidthCopySpeed");
    }
    shown.with("provisioningState", "Updating").maybe("tier", sent.get("tier"))
}

fn put_set(call: &mut Call<'_, '_>, mut set: Resource, sent: &Json, created: bool) -> Outcome {
    if sent.at("activeKey.keyUrl").is_none() && created {
        return Err(ArmError::missing("diskEncryptionSet.properties.activeKey"));
    }
    let identity = identities::assign(call, set.doc.get("identity"));
    let properties = Json::object()
        .maybe("activeKey", sent.get("activeKey"))
        .with("encryptionType", sent.text("encryptionType").unwrap_or("EncryptionAtRestWithCustomerKey"))
        .maybe("rotationToLatestKeyVersionEnabled", sent.get("rotationToLatestKeyVersionEnabled"));
    set.doc.set("properties", properties);
    if let Some(identity) = identity {
        set.doc.set("identity", identity);
    }
    let end = call.now + call.duration(Work::DiskPut);
    let (location, id) = (set.location().to_owned(), set.id().to_owned());
    let output = show_final(&set);
    let operation =
        begin(call, plan(&location, &id, if created { "create" } else { "update" }, end, Some(output)));
    set.bind(&operation, if created { Verb::Create } else { Verb::Update }, 0);
    call.save(&set);
    // Recorded: the first response is the request without a name.
    let properties = Json::object()
        .maybe("activeKey", sent.get("activeKey"))
        .maybe("encryptionType", sent.get("encryptionType"))
        .maybe("rotationToLatestKeyVersionEnabled", sent.get("rotationToLatestKeyVersionEnabled"))
        .with("provisioningState", "Updating");
    let mut shown = call.body.clone();
    shown.set("properties", properties);
    Ok(Answer::pretty(202, shown).asynchronous(call, &operation, true))
}

fn show_sku(name: &str) -> Json {
    let tier = if name.starts_with("Premium") { "Premium" } else { "Standard" };
    Json::object().with("name", name).with("tier", tier)
}

/// The properties of a disk or snapshot, with the service's order and defaults.
fn complete(call: &Call<'_, '_>, sent: &Json, made: &Made<'_>) -> Json {
    let inherited = |key: &str| {
        sent.get(key).cloned().or_else(|| made.from.as_ref().and_then(|from| from.get(key)).cloned())
    };
    let mut creation =
        sent.get("creationData").cloned().unwrap_or_else(|| Json::object().with("createOption", "Empty"));
    // The service also shows the source of a disk in its legacy format.
    if let Some(reference) = creation.get("galleryImageReference").cloned()
        && creation.get("imageReference").is_none()
    {
        let id = reference.pairs().iter().find_map(|(_, id)| id.as_str()).unwrap_or_default();
        creation = Json::object()
            .maybe("createOption", creation.get("createOption"))
            .with("imageReference", Json::object().with("id", id))
            .with("galleryImageReference", reference);
    }
    if let Some(unique) = made.from.as_ref().and_then(|from| from.text("uniqueId")) {
        creation.set("sourceUniqueId", unique);
    }
    let (tier, operations, throughput) = performance(made.sku, made.size);
    let system = inherited("osType").is_some();
    let mut properties = Json::object()
        .maybe("osType", inherited("osType"))
        .maybe("hyperVGeneration", inherited("hyperVGeneration"))
        .maybe("supportsHibernation", inherited("supportsHibernation"))
        .maybe("supportedCapabilities", inherited("supportedCapabilities"))
        .with("creationData", creation)
        .with("diskSizeGB", made.size);
    if !made.snapshot {
        properties.set("diskIOPSReadWrite", operations);
        properties.set("diskMBpsReadWrite", throughput);
    }
    let encryption = match inherited("encryption") {
        Some(given) => {
            let own = given.at("diskEncryptionSetId").is_some();
            let kind =
                if own { "EncryptionAtRestWithCustomerKey" } else { "EncryptionAtRestWithPlatformKey" };
            Json::object()
                .with("type", given.text("type").unwrap_or(kind))
                .maybe("diskEncryptionSetId", given.text("diskEncryptionSetId").map(super::upper_group_of))
        }
        None => Json::object().with("type", "EncryptionAtRestWithPlatformKey"),
    };
    properties.set("encryption", encryption);
    if made.snapshot {
        properties.set("incremental", sent.flag("incremental").unwrap_or(false));
    }
    let bursting = sent.flag("burstingEnabled") == Some(true);
    properties = properties
        .maybe("diskAccessId", sent.get("diskAccessId"))
        .maybe("burstingEnabled", sent.get("burstingEnabled"))
        .with("networkAccessPolicy", sent.text("networkAccessPolicy").unwrap_or("AllowAll"))
        .maybe("securityProfile", inherited("securityProfile"))
        .with("publicNetworkAccess", sent.text("publicNetworkAccess").unwrap_or("Enabled"))
        .maybe("dataAccessAuthMode", sent.get("dataAccessAuthMode"))
        .maybe("optimizedForFrequentAttach", sent.get("optimizedForFrequentAttach"))
        .with("timeCreated", sent.text("timeCreated").map_or_else(|| clock::format(call.now), str::to_owned))
        .maybe("burstingEnabledTime", bursting.then(|| clock::format(call.now)))
        .with("provisioningState", "Succeeded")
        .with("diskState", made.state)
        // Recorded: disks created from an image are two megabytes larger than their nominal size.
        .with("diskSizeBytes", made.size * 1_073_741_824 + if system { 2_097_152 } else { 0 })
        .with("uniqueId", made.unique);
    if made.snapshot {
        let started = sent.text("creationData.createOption") == Some("CopyStart");
        properties = properties
            .maybe("completionPercent", started.then_some(100_i64))
            .maybe("incrementalSnapshotFamilyId", made.family.as_deref());
    } else if made.sku.starts_with("Premium") {
        properties.set("tier", tier);
    }
    properties
}

/// Facts about a new disk besides the request's properties.
struct Made<'a> {
    size: i64,
    sku: &'a str,
    unique: &'a str,
    state: &'a str,
    snapshot: bool,
    /// The properties of its source.
    from: Option<Json>,
    /// The family ID of an incremental snapshot.
    family: Option<String>,
}

/// Performance tier, IOPS and megabytes per second by SKU and size.
fn performance(sku: &str, size: i64) -> (&'static str, i64, i64) {
    const PREMIUM: &[(i64, &str, i64, i64)] = &[
        (4, "P1", 120, 25),
        (8, "P2", 120, 25),
        (16, "P3", 120, 25),
        (32, "P4", 120, 25),
        (64, "P6", 240, 50),
        (128, "P10", 500, 100),
        (256, "P15", 1_100, 125),
        (512, "P20", 2_300, 150),
        (1_024, "P30", 5_000, 200),
        (2_048, "P40", 7_500, 250),
        (i64::MAX, "P50", 7_500, 250),
    ];
    const STANDARD: &[(i64, &str)] = &[
        (32, "S4"),
        (64, "S6"),
        (128, "S10"),
        (256, "S15"),
        (512, "S20"),
        (1_024, "S30"),
        (2_048, "S40"),
        (i64::MAX, "S50"),
    ];
    if sku.starts_with("Premium") {
        for (largest, tier, operations, throughput) in PREMIUM {
            if size <= *largest {
                return (tier, *operations, *throughput);
            }
        }
    }
    let tier = STANDARD.iter().find(|(largest, _)| size <= *largest).map_or("S50", |(_, tier)| tier);
    (tier, 500, 60)
}

/// The properties that a disk inherits from a Marketplace image.
fn of_marketplace(id: &str) -> Option<(Json, i64)> {
    let segments: Vec<&str> = id.split('/').collect();
    let after = |word: &str| {
        segments
            .iter()
            .position(|segment| segment.eq_ignore_ascii_case(word))
            .and_then(|at| segments.get(at + 1))
            .copied()
    };
    let image = marketplace::image(after("publishers")?, after("offers")?, after("skus")?)?;
    let controllers =
        image.features.iter().find(|(name, _)| *name == "DiskControllerTypes").map(|(_, types)| *types);
    let properties = Json::object()
        .with("osType", image.os)
        .with("hyperVGeneration", image.generation)
        .with("supportsHibernation", image.features.iter().any(|(name, _)| *name == "IsHibernateSupported"))
        .with(
            "supportedCapabilities",
            Json::object()
                .maybe("diskControllerTypes", controllers)
                .with("acceleratedNetwork", true)
                .with("architecture", image.architecture),
        );
    Some((properties, image.size_gb))
}

/// The properties that a disk inherits from a gallery image version.
fn of_gallery(call: &mut Call<'_, '_>, id: &str, key: &str, location: &str) -> (Json, i64) {
    let source = if key.ends_with("communityGalleryImageId") {
        sources::community(call, id, location).ok()
    } else {
        sources::image(call, id, location, "", "galleryImageReference").ok()
    };
    let Some(source) = source else {
        return (Json::object(), 30);
    };
    let capabilities = Json::object().with("architecture", source.architecture.as_deref().unwrap_or("x64"));
    let properties = Json::object()
        .maybe("osType", source.os_type.as_deref())
        .maybe("hyperVGeneration", source.generation.as_deref())
        .with("supportedCapabilities", capabilities);
    (properties, source.os_disk.0)
}

/// `beginGetAccess` and `endGetAccess`: set the matching disk state and return a SAS URL that resolves nowhere.
pub fn access(call: &mut Call<'_, '_>, group: &str, segment: &str, name: &str, begins: bool) -> Outcome {
    let kind = kind(segment).unwrap_or("Microsoft.Compute/disks");
    if call.method != Method::Post {
        return Err(ArmError::no_method(call.method.name(), kind));
    }
    call.meter =
        Some(if segment == "snapshots" { "HighCostSnapshotCreateHydrate" } else { "CreateUpdateDisks" });
    let id = format!("/subscriptions/{}/resourceGroups/{group}/providers/{kind}/{name}", call.subscription);
    let mut disk = call.find(&id).ok_or_else(|| ArmError::no_resource(&format!("{kind}/{name}"), group))?;
    let state = if begins { "ActiveSAS" } else { "Unattached" };
    disk.doc.entry("properties").set("diskState", state);
    let (path, identifier) = (call.state.guid().replace('-', ""), call.state.guid());
    let link = format!(
        "https://md-{}.blob.storage.azure.net/{}/abcd?sv=2018-03-28&sr=b&si={identifier}&sig=none",
        &path[..12],
        &path[12..24]
    );
    let output = begins.then(|| Json::object().with("accessSAS", link));
    let end = call.now + call.duration(Work::DiskPut);
    let action = if begins { "beginGetAccess" } else { "endGetAccess" };
    let operation = begin(call, plan(disk.location(), disk.id(), action, end, output));
    call.save(&disk);
    Ok(Answer::empty(202).asynchronous(call, &operation, true))
}

fn show_final(disk: &Resource) -> Json {
    let mut properties = disk.doc.get("properties").cloned().unwrap_or_default();
    properties.set("provisioningState", "Succeeded");
    head(disk)
        .maybe("zones", disk.doc.get("zones"))
        .maybe("managedBy", disk.doc.get("managedBy"))
        .maybe("sku", disk.doc.get("sku"))
        .maybe("identity", disk.doc.get("identity"))
        .with("properties", properties)
}

fn show(call: &Call<'_, '_>, disk: &Resource) -> Json {
    let mut shown = show_final(disk);
    if !call.since("2021-04-01") {
        shown.entry("properties").remove("publicNetworkAccess");
    }
    shown.entry("properties").set("provisioningState", disk.state(call.now));
    if disk.doc.get("managedBy").is_some() {
        let holder = machine_power::holder(call, disk);
        let state = holder.as_ref().map_or("Unattached", |holder| machine_power::disk_state(call, holder));
        shown.entry("properties").set("diskState", state);
        if holder.is_none() {
            shown.remove("managedBy");
        }
    }
    shown
}
