//! The recycle bin of a gallery with soft delete: image versions that can be restored until their retention ends.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::clock::{self, DAY, Ticks};
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::resource::Resource;
use super::super::store::EXPIRES;

fn key(id: &str) -> String {
    let id = id.to_ascii_lowercase();
    match id.rsplit_once("/versions/") {
        Some((image, version)) => format!("d|{image}|{version}"),
        None => format!("d|{id}|"),
    }
}

fn gallery_of(id: &str) -> String {
    id.split('/').take(9).collect::<Vec<_>>().join("/")
}

/// Whether deleted versions of this gallery are retained.
pub fn is_on(call: &Call<'_, '_>, id: &str) -> bool {
    call.find(&gallery_of(id))
        .and_then(|gallery| gallery.property("softDeletePolicy.isSoftDeleteEnabled").cloned())
        == Some(Json::Bool(true))
}

/// Retains a version from the end of its deletion.
pub fn put(call: &mut Call<'_, '_>, version: &Resource, at: Ticks) {
    let policy = call
        .find(&gallery_of(version.id()))
        .and_then(|gallery| gallery.property("softDeletePolicy").cloned())
        .unwrap_or_default();
    let retention = policy.int("retentionPeriodInDays").unwrap_or(7);
    let grace = policy.int("gracePeriodInDays").unwrap_or(0);
    let mut kept = version.clone();
    kept.settle();
    let record = Json::object()
        .with("id", version.id())
        .with("at", at)
        .with("consumable", at + retention * DAY)
        .with("gone", at + (retention + grace) * DAY)
        .with("version", &*kept.doc)
        .with(EXPIRES, at + (retention + grace) * DAY);
    call.state.put(&key(version.id()), record);
}

fn live(call: &Call<'_, '_>, record: &Json) -> bool {
    record.int("at").is_some_and(|at| call.now >= at)
        && record.int("gone").is_some_and(|gone| call.now < gone)
}

/// Whether the recycle bin contains a version.
pub fn has(call: &Call<'_, '_>, id: &str) -> bool {
    id.contains("/versions/") && call.record(&key(id)).is_some_and(|record| live(call, &record))
}

/// Removes a version from the recycle bin, to restore or purge it.
pub fn take(call: &mut Call<'_, '_>, id: &str) -> Option<Resource> {
    let key = key(id);
    let record = call.record(&key).filter(|record| live(call, record))?;
    call.state.delete(&key);
    record.get("version").map(|doc| Resource { doc: doc.clone().into() })
}

/// Whether the recycle bin contains versions of a gallery or a definition.
pub fn holds(call: &Call<'_, '_>, id: &str) -> bool {
    let mut found = false;
    for prefix in [format!("d|{}/", id.to_ascii_lowercase()), format!("d|{}|", id.to_ascii_lowercase())] {
        call.state.scan(&prefix, None, |_, record| {
            found |= live(call, record);
            !found
        });
    }
    found
}

/// Purges everything below a resource group.
pub fn forget(call: &mut Call<'_, '_>, group: &str) {
    let mut keys = Vec::new();
    call.state.scan(&format!("d|{}/", group.to_ascii_lowercase()), None, |key, _| {
        keys.push(key.to_owned());
        true
    });
    for key in keys {
        call.state.delete(&key);
    }
}

/// `GET …/galleries/{g}/softDeletedArtifactTypes/Images/artifacts/{i}/versions`.
pub fn list(call: &mut Call<'_, '_>, group: &str, gallery: &str, image: &str) -> Outcome {
    call.meter = Some("ListSoftDeletedResourcesInGallery");
    if call.method != Method::Get {
        return Err(ArmError::no_method(call.method.name(), "galleries/softDeletedArtifactTypes"));
    }
    let base = format!(
        "/subscriptions/{}/resourceGroups/{group}/providers/Microsoft.Compute/galleries/{gallery}",
        call.subscription
    );
    if call.find(&base).is_none() {
        return Err(ArmError::no_parent(gallery));
    }
    let mut values = Vec::new();
    call.state.scan(&key(&format!("{base}/images/{image}/versions/")), None, |_, record| {
        if live(call, record) {
            values.push(show(call, record, image));
        }
        true
    });
    Ok(Answer::pretty(200, Json::object().with("value", values)))
}

fn show(call: &Call<'_, '_>, record: &Json, image: &str) -> Json {
    let id = record.text("id").unwrap_or_default();
    let name = id.rsplit('/').next().unwrap_or_default();
    let time = |key: &str| clock::format(record.int(key).unwrap_or_default());
    let mut properties = Json::object()
        .with("resourceArmId", id)
        .with("softDeletedTime", time("at"))
        .with("softDeletedArtifactType", "Images");
    if call.since("2026-03-03") {
        properties.set("consumptionEndTime", time("consumable"));
        properties.set("hardDeletionTargetTime", time("gone"));
    }
    Json::object()
        .with("name", name)
        .with(
            "id",
            format!("{}/softDeletedArtifactTypes/Images/artifacts/{image}/versions/{name}", gallery_of(id)),
        )
        .with("type", "Microsoft.Compute/galleries/softDeletedArtifactTypes/artifacts/versions")
        .with("location", record.text("version.location").unwrap_or_default())
        .with("properties", properties)
}
