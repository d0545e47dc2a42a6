//! `Microsoft.Compute/galleries/images/versions`: image versions.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::clock;
use super::super::errors::ArmError;
use super::super::ids::{self, version_number};
use super::super::json::{Json, same};
use super::super::operations::{Begin, Family, begin};
use super::super::resource::Resource;
use super::super::settings::Work;
use super::super::shapes;
use super::sources::{self, Source};
use super::version_profile as profile;
use super::{
    deleting, gallery_head, is_not_visible_yet, merge_stored, put_answer, put_location, replication,
    save_deleting, save_written, soft_delete, take_tags,
};

/// The resource type.
pub const KIND: &str = "Microsoft.Compute/galleries/images/versions";
const STORAGE: &str = "galleryImageVersion.properties.storageProfile";
/// The first api-version whose storage profile contains the source.
const SOURCE_IN_STORAGE: &str = "2019-07-01";

fn definition_id(call: &Call<'_, '_>, group: &str, gallery: &str, image: &str) -> String {
    format!(
        "/subscriptions/{}/resourceGroups/{group}/providers/Microsoft.Compute/galleries/{gallery}/images/{image}",
        call.subscription
    )
}

/// Handles one version by name.
pub fn one(call: &mut Call<'_, '_>, group: &str, gallery: &str, image: &str, name: &str) -> Outcome {
    let parent = definition_id(call, group, gallery, image);
    let id = format!("{parent}/versions/{name}");
    call.meter = Some(match call.method {
        Method::Put | Method::Patch => "CreateUpdateGalleryImageVersion",
        Method::Delete => "DeleteGalleryImageVersion",
        _ => "GetGalleryImageVersion",
    });
    let Some(definition) = call.find(&parent) else {
        return match call.method {
            Method::Delete => Ok(Answer::empty(204)),
            _ => Err(ArmError::no_parent(&format!("{gallery}/{image}"))),
        };
    };
    let existing = call.find(&id);
    let absent = || {
        ArmError::no_resource(
            &format!("Microsoft.Compute/galleries/{gallery}/images/{image}/versions/{name}"),
            group,
        )
    };
    match call.method {
        Method::Get => {
            let version = existing.filter(|version| !is_not_visible_yet(call, version)).ok_or_else(absent)?;
            Ok(Answer::pretty(200, show(call, &version)))
        }
        Method::Put => put(call, group, &definition, &id, existing),
        Method::Patch => {
            let version = existing.ok_or_else(absent)?;
            merge_stored(call, &version, &[]);
            put(call, group, &definition, &id, Some(version))
        }
        Method::Delete => delete(call, &id, existing),
        _ => Err(ArmError::no_method(call.method.name(), KIND)),
    }
}

/// Lists the versions of a definition.
pub fn list(call: &mut Call<'_, '_>, group: &str, gallery: &str, image: &str) -> Outcome {
    let parent = definition_id(call, group, gallery, image);
    call.meter = Some("ListGalleryImageVersionsInGalleryImage");
    if call.find(&parent).is_none() {
        return Err(ArmError::no_parent(&format!("{gallery}/{image}")));
    }
    Ok(call.list_answer(&format!("{parent}/versions"), |version| show(call, version)))
}

fn put(
    call: &mut Call<'_, '_>,
    group: &str,
    definition: &Resource,
    id: &str,
    existing: Option<Resource>,
) -> Outcome {
    let name = id.rsplit('/').next().unwrap_or_default().to_owned();
    if version_number(&name).is_none() {
        return Err(ArmError::parameter(
            "galleryImageVersionName",
            "The image version name is invalid. The image version name should follow Major(int).Minor(int).Patch(int) format, for e.g: 1.0.0, 2018.12.1 etc",
        ));
    }
    if definition.state(call.now) == "Deleting" {
        return Err(deleting("Create Gallery Image Version", definition.name()));
    }
    if let Some(version) = &existing
        && version.state(call.now) == "Deleting"
    {
        return Err(deleting("Update Gallery Image Version", &name));
    }
    let recycled = match existing {
        None => soft_delete::take(call, id),
        Some(_) => None,
    };
    let restoring = recycled.is_some();
    let existing = existing.or(recycled);
    if existing.is_none() && call.body.flag("properties.restore") == Some(true) {
        return Err(ArmError::no_entity("galleryImageVersion.properties.restore"));
    }
    let location = put_location(call, KIND, existing.as_ref(), group)?;
    let created = existing.is_none();
    let mut version = match existing {
        Some(version) => change(call, version, restoring)?,
        None => create(call, definition, id, &location)?,
    };
    take_tags(&call.body, &mut version)?;
    let base = call.duration(match (created, restoring) {
        (true, _) if version.property_text("publishingProfile.replicationMode") == Some("Shallow") => {
            Work::ImagePut
        }
        (true, _) => Work::VersionCreate,
        (false, true) => Work::VersionRestore,
        (false, false) => Work::VersionUpdate,
    });
    let mut plan = replication::plan_version(call, &version, base, restoring);
    let conflict = version.hidden("conflict").and_then(Json::as_str).map(str::to_owned);
    let error = match conflict {
        // Such an operation fails before anything is copied.
        Some(message) => {
            plan.fail(call.now);
            Some(("Conflict".to_owned(), message))
        }
        None => plan.error,
    };
    version.hide("replication", plan.regions);
    // An update's operation may end while added regions are still replicating.
    let end = if !created && call.settings.eventual_consistency {
        call.now + (plan.end - call.now) / 2
    } else {
        plan.end
    };
    let operation = begin(
        call,
        Begin {
            family: Family::Caps,
            location: &location,
            resource: id,
            action: match (created, restoring) {
                (true, _) => "create",
                (_, true) => "restore",
                _ => "update",
            },
            end,
            error,
            output: None,
            retry_after: Some(60),
        },
    );
    let mut shown = save_written(call, version.clone(), &operation, created, show);
    let properties = shown.entry("properties");
    properties.remove("validationsProfile");
    if created {
        // Sizes appear when the work ends, even if it takes no time.
        properties.set("storageProfile", version.property("storageProfile").cloned().unwrap_or_default());
    }
    Ok(put_answer(call, created, shown, &operation))
}

fn create(
    call: &mut Call<'_, '_>,
    definition: &Resource,
    id: &str,
    location: &str,
) -> Result<Resource, ArmError> {
    let sent = call.body.get("properties").cloned().unwrap_or_default();
    let storage = sent_storage(call, &sent)?;
    let publishing = profile::publishing(call, &sent, None, location)?;
    let taken = take_sources(call, &storage, definition, location)?;
    profile::encryption_fits(&publishing, &taken.sizes)?;
    let safety = profile::safety(&sent, None);
    profile::block_needs_date(&publishing, &safety)?;
    let security = sent.get("securityProfile").filter(|security| !security.is_empty());
    let mut version = Resource::new(id, KIND, location);
    let properties = Json::object()
        .with("publishingProfile", publishing)
        .with("storageProfile", taken.stored)
        .with("safetyProfile", safety)
        .maybe("securityProfile", security);
    version.doc.set("properties", properties);
    version.hide("sizes", taken.sizes);
    version.hide("keeps_identity", taken.keeps_identity);
    if let Some(origin) = taken.origin {
        version.hide("origin", origin);
    }
    if let Some(message) = taken.conflict {
        version.hide("conflict", message);
    }
    version.hide("created", call.now);
    Ok(version)
}

/// The storage profile of a new version. Up to 2019-03-01 the source is part of the publishing profile.
fn sent_storage(call: &Call<'_, '_>, sent: &Json) -> Result<Json, ArmError> {
    if call.since(SOURCE_IN_STORAGE) {
        let storage = sent.get("storageProfile").filter(|storage| !storage.is_null()).cloned();
        return storage.ok_or_else(|| ArmError::missing(STORAGE));
    }
    const OLD: &str = "publishingProfile.source.managedImage.id";
    let id =
        sent.text(OLD).ok_or_else(|| ArmError::missing(&format!("galleryImageVersion.properties.{OLD}")))?;
    Ok(Json::object().with("source", Json::object().with("id", id)))
}

fn change(call: &Call<'_, '_>, mut version: Resource, restoring: bool) -> Result<Resource, ArmError> {
    if restoring {
        return Ok(version);
    }
    let sent = call.body.get("properties").cloned().unwrap_or_default();
    let old = version.doc.get("properties").cloned().unwrap_or_default();
    same_source(sent.get("storageProfile"), old.get("storageProfile").unwrap_or(&Json::Null))?;
    let safety = profile::safety(&sent, old.get("safetyProfile"));
    let publishing = profile::publishing(call, &sent, old.get("publishingProfile"), version.location())?;
    profile::regions_may_go(
        call,
        version.name(),
        old.get("publishingProfile").unwrap_or(&Json::Null),
        &publishing,
        safety.flag("allowDeletionOfReplicatedLocations") == Some(true),
    )?;
    profile::block_needs_date(&publishing, &safety)?;
    let properties = version.properties();
    properties.set("publishingProfile", publishing);
    properties.set("safetyProfile", safety);
    Ok(version)
}

/// Rejects changed sources. An update may omit or repeat them.
fn same_source(sent: Option<&Json>, old: &Json) -> Result<(), ArmError> {
    let Some(sent) = sent else { return Ok(()) };
    let differs = |path: &str| {
        sent.at(path)
            .and_then(Json::as_str)
            .is_some_and(|value| !old.text(path).unwrap_or_default().eq_ignore_ascii_case(value))
    };
    for path in [
        "source.id",
        "source.virtualMachineId",
        "source.communityGalleryImageId",
        "osDiskImage.source.id",
        "osDiskImage.source.uri",
        "osDiskImage.source.storageAccountId",
    ] {
        if differs(path) {
            return Err(ArmError::unchangeable(&format!("{STORAGE}.{path}")));
        }
    }
    for disk in sent.list("dataDiskImages") {
        let Some(source) = disk.get("source").filter(|source| !source.is_empty()) else {
            continue;
        };
        let lun = disk.int("lun");
        let known = old.list("dataDiskImages").iter().find(|other| other.int("lun") == lun);
        if known.and_then(|known| known.get("source")).is_none_or(|other| !same(other, source)) {
            return Err(ArmError::unchangeable(&format!("{STORAGE}.dataDiskImages.source.id")));
        }
    }
    Ok(())
}

/// The facts that a new version takes from its sources.
#[derive(Default)]
struct Taken {
    /// The storage profile as stored.
    stored: Json,
    /// The sizes that appear once the version exists.
    sizes: Json,
    /// Publisher, offer and SKU of the source's platform image, as attributes.
    origin: Option<Json>,
    /// Why the operation will fail although the request is accepted.
    conflict: Option<String>,
    /// See [`Source::keeps_identity`].
    keeps_identity: bool,
}

/// Validates the sources of a new version.
fn take_sources(
    call: &mut Call<'_, '_>,
    storage: &Json,
    definition: &Resource,
    location: &str,
) -> Result<Taken, ArmError> {
    let whole: Vec<(&str, String)> = ["id", "virtualMachineId", "communityGalleryImageId"]
        .into_iter()
        .filter_map(|key| storage.text(&format!("source.{key}")).map(|value| (key, value.to_owned())))
        .collect();
    let by_disk = storage.at("osDiskImage.source").is_some_and(|source| !source.is_empty());
    if whole.len() + usize::from(by_disk) != 1 {
        return Err(ArmError::parameter(
            STORAGE,
            "The gallery artifact version source can only be specified either directly under storageProfile or within individual OS or data disks. One and only one source type (Image, Community Gallery Image, Virtual Machine, Disk, Snapshot or Blob) can be specified.",
        ));
    }
    let wanted_state = definition.property_text("osState").unwrap_or("Generalized").to_owned();
    if let Some((key, id)) = whole.first() {
        let target = format!("{STORAGE}.source.{key}");
        let source = match *key {
            "communityGalleryImageId" => sources::community(call, id, location)?,
            "virtualMachineId" if ids::type_of(id) != "microsoft.compute/virtualmachines" => {
                return Err(ArmError::parameter(
                    &target,
                    format!("The source id: {id} must be a virtual machine."),
                ));
            }
            _ => sources::image(call, id, location, &wanted_state, &target)?,
        };
        sources::check_security(ids::type_of(id).as_str(), id, definition, &target)?;
        let conflict = sources::fits(&source, id, definition, &target)?;
        let shallow = call.body.text("properties.publishingProfile.replicationMode") == Some("Shallow");
        if source.os_disk.0 > 2048 && !shallow {
            return Err(ArmError::new(
                400,
                "GallerySourceResourceExceedsMaxSize",
                format!(
                    "The source '{id}' has a disk of {} GB. The largest size is 2048 GB.",
                    source.os_disk.0
                ),
            ));
        }
        let stored = Json::object().with("source", Json::object().with(key, id.as_str()));
        let (sizes, keeps_identity) = (sizes_of(&source), source.keeps_identity);
        return Ok(Taken { stored, sizes, origin: source.origin, conflict, keeps_identity });
    }
    if let Some(id) = storage.text("osDiskImage.source.id") {
        sources::check_security(
            &ids::type_of(id),
            id,
            definition,
            &format!("{STORAGE}.osDiskImage.source.id"),
        )?;
    }
    let mut lun_seen = Vec::new();
    let os = storage.get("osDiskImage").cloned().unwrap_or_default();
    let (os_stored, os_size) = one_disk(call, &os, "osDiskImage", "ReadWrite", location)?;
    let mut stored = Json::object().with("osDiskImage", os_stored);
    let os_caching = stored.text("osDiskImage.hostCaching").unwrap_or("ReadWrite").to_owned();
    let mut sizes =
        Json::object().with("os", Json::object().with("sizeInGB", os_size).with("hostCaching", os_caching));
    let mut data = Vec::new();
    let mut data_sizes = Vec::new();
    for disk in storage.list("dataDiskImages").to_vec() {
        let lun =
            disk.int("lun").ok_or_else(|| ArmError::missing(&format!("{STORAGE}.dataDiskImages.lun")))?;
        if lun_seen.contains(&lun) {
            return Err(ArmError::parameter(
                &format!("{STORAGE}.dataDiskImages.lun"),
                format!("Duplicate data disk lun '{lun}' is not allowed."),
            ));
        }
        lun_seen.push(lun);
        let (one, size) = one_disk(call, &disk, "dataDiskImages", "ReadOnly", location)?;
        let mut with_lun = Json::object().with("lun", lun);
        for (key, value) in one.pairs() {
            with_lun.set(key, value);
        }
        data_sizes.push(
            Json::object()
                .with("lun", lun)
                .with("sizeInGB", size)
                .maybe("hostCaching", one.get("hostCaching")),
        );
        data.push(with_lun);
    }
    if !data.is_empty() {
        stored.set("dataDiskImages", data);
    }
    sizes.set("data", data_sizes);
    sizes.set("disks", true);
    Ok(Taken { stored, sizes, ..Taken::default() })
}

fn one_disk(
    call: &Call<'_, '_>,
    disk: &Json,
    place: &str,
    caching: &str,
    location: &str,
) -> Result<(Json, i64), ArmError> {
    let target = format!("{STORAGE}.{place}.source.id");
    let source = disk.get("source").cloned().unwrap_or_default();
    let caching = match disk.text("hostCaching") {
        Some(value) => super::one_of(
            value,
            &["None", "ReadOnly", "ReadWrite"],
            &format!("{STORAGE}.{place}.hostCaching"),
        )?,
        None => caching,
    };
    let size = if source.text("uri").is_some() {
        // A blob, whose contents the emulator does not know.
        30
    } else {
        let id = source.text("id").ok_or_else(|| ArmError::missing(&target))?;
        if !["microsoft.compute/disks", "microsoft.compute/snapshots"].contains(&ids::type_of(id).as_str()) {
            ids::check(id, "properties.storageProfile.osDiskImage.source.id")?;
            return Err(ArmError::parameter(
                &target,
                format!("The source id: {id} must be a managed disk or snapshot."),
            ));
        }
        sources::disk(call, id, location)?
            .property("diskSizeGB")
            .map_or(30, |size| Json::object().with("n", size).int("n").unwrap_or(30))
    };
    let shown = Json::object()
        .maybe("uri", source.get("uri"))
        .maybe("id", source.get("id"))
        .maybe("storageAccountId", source.get("storageAccountId"));
    Ok((Json::object().with("hostCaching", caching).with("source", shown), size))
}

fn sizes_of(source: &Source) -> Json {
    let data: Vec<Json> = source
        .data_disks
        .iter()
        .map(|(lun, size, caching)| {
            Json::object().with("lun", *lun).with("sizeInGB", *size).with("hostCaching", caching.as_str())
        })
        .collect();
    Json::object()
        .with(
            "os",
            Json::object().with("sizeInGB", source.os_disk.0).with("hostCaching", source.os_disk.1.as_str()),
        )
        .with("data", data)
}

fn delete(call: &mut Call<'_, '_>, id: &str, existing: Option<Resource>) -> Outcome {
    let bypass = call.since("2026-03-03")
        && call.query("bypassSoftDelete").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let Some(version) = existing else {
        if bypass && let Some(version) = soft_delete::take(call, id) {
            return end_version(call, version);
        }
        return Ok(Answer::empty(204));
    };
    if version.property("safetyProfile.blockDeletionBeforeEndOfLife") == Some(&Json::Bool(true))
        && let Some(end) = version.property_text("publishingProfile.endOfLifeDate").and_then(clock::parse)
        && call.now < end
    {
        return Err(ArmError::new(
            409,
            "DeleteGalleryImageVersionBlockedBeforeEndOfLife",
            format!(
                "Deletion of the gallery image version '{}' is blocked before its end of life date '{}'. Set safetyProfile.blockDeletionBeforeEndOfLife to false to delete it.",
                version.name(),
                clock::format(end)
            ),
        ));
    }
    if !bypass && soft_delete::is_on(call, id) && !version.busy(call.now) {
        let at = call.now + call.duration(Work::VersionDelete);
        soft_delete::put(call, &version, at);
    }
    end_version(call, version)
}

fn end_version(call: &mut Call<'_, '_>, version: Resource) -> Outcome {
    let end = call.now + call.duration(Work::VersionDelete);
    let operation = begin(
        call,
        Begin {
            retry_after: Some(60),
            ..Begin::new(Family::Caps, version.location(), version.id(), "delete", end)
        },
    );
    save_deleting(call, version, &operation);
    Ok(Answer::empty(202).asynchronous(call, &operation, true))
}

/// The version in the format of this request's api-version and `$expand`.
pub fn show(call: &Call<'_, '_>, version: &Resource) -> Json {
    let state = version.state(call.now);
    let mut properties = Json::object()
        .with("publishingProfile", show_publishing(call, version))
        .with("storageProfile", show_storage(call, version));
    properties = properties.maybe("safetyProfile", version.property("safetyProfile"));
    if let Some(security) = version.property("securityProfile") {
        let mut shown = security.clone();
        if !call.expands("UefiSettings") {
            shown.remove("uefiSettings");
        }
        if !shown.is_empty() {
            properties.set("securityProfile", shown);
        }
    }
    if state == "Succeeded" {
        let validations = Json::object()
            .with("validationOperationStatus", "NotExecuted")
            .maybe("platformAttributes", version.hidden("origin"));
        properties.set("validationsProfile", validations);
    }
    properties.set("provisioningState", state);
    if call.expands("ReplicationStatus")
        && let Some(Json::Array(entries)) = version.hidden("replication")
    {
        properties.set("replicationStatus", replication::status(call, entries));
    }
    let mut shown = gallery_head(call, version).with("properties", properties);
    shapes::hide_newer("galleryImageVersion", &call.api, &mut shown);
    shown
}

/// Before 2019-07-01 the source is part of the publishing profile. Its position there is not recorded.
fn show_publishing(call: &Call<'_, '_>, version: &Resource) -> Json {
    let stored = version.property("publishingProfile").cloned().unwrap_or_default();
    match version.property_text("storageProfile.source.id") {
        Some(id) if !call.since(SOURCE_IN_STORAGE) => {
            let image = Json::object().with("id", id);
            stored.with("source", Json::object().with("managedImage", image))
        }
        _ => stored,
    }
}

fn show_storage(call: &Call<'_, '_>, version: &Resource) -> Json {
    let stored = version.property("storageProfile").cloned().unwrap_or_default();
    // Sizes are known since the first copy, so a version being updated keeps showing them.
    let first_work = version.hidden("operation.verb").and_then(Json::as_str) == Some("create");
    if first_work && version.state(call.now) != "Succeeded" {
        return stored;
    }
    let sizes = version.hidden("sizes").cloned().unwrap_or_default();
    let os = Json::object()
        .maybe("sizeInGB", sizes.at("os.sizeInGB"))
        .maybe("hostCaching", sizes.at("os.hostCaching"))
        .with("source", stored.at("osDiskImage.source").cloned().unwrap_or_else(Json::object));
    let data: Vec<Json> = sizes
        .list("data")
        .iter()
        .map(|disk| {
            let source = stored
                .list("dataDiskImages")
                .iter()
                .find(|other| other.int("lun") == disk.int("lun"))
                .and_then(|other| other.get("source"));
            disk.clone().maybe("source", source)
        })
        .collect();
    Json::object()
        .maybe("source", stored.get("source"))
        .with("osDiskImage", os)
        .maybe("dataDiskImages", (!data.is_empty()).then_some(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_changed_sources() {
        let old = Json::parse(br#"{"source":{"id":"/a/B"}}"#).unwrap();
        for (sent, allowed) in [
            (r#"{}"#, true),
            (r#"{"source":{"id":"/A/b"}}"#, true),
            (r#"{"source":{"id":"/a/c"}}"#, false),
            (r#"{"osDiskImage":{"sizeInGB":30,"source":{}}}"#, true),
        ] {
            let sent = Json::parse(sent.as_bytes()).unwrap();
            assert_eq!(same_source(Some(&sent), &old).is_ok(), allowed, "{}", sent.compact());
        }
    }
}
