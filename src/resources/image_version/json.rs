//! The image version in the service's JSON: what is sent, and how an answer is read.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::model::Model;
use crate::arm::ResourceId;
use crate::azure::gallery_version::regions;
use crate::azure::objects::version::Version;
use crate::azure::objects::{source, target_region};
use crate::azure::provisioning::is_failed;
use crate::azure::{Context, body, tags};

/// The body of a new version.
pub fn expand_new(context: &Context, plan: &Model, location: &str) -> Json {
    let mut body = json!({
        "location": location,
        "tags": tags::merged(context, plan.tags.as_ref()),
        "properties": {
            "publishingProfile": {"excludeFromLatest": plan.exclude_from_latest == Some(true)},
            "storageProfile": storage_profile(plan),
        },
    });
    let mut set = |path: &str, value: Json| body::set(&mut body, &format!("properties.{path}"), value);
    if !plan.target_region.is_empty() {
        set("publishingProfile.targetRegions", target_region::expand(&plan.target_region, &[]));
    }
    if let Some(date) = &plan.end_of_life_date {
        set("publishingProfile.endOfLifeDate", json!(date));
    }
    if plan.replication_mode.as_deref() == Some("Shallow") {
        set("publishingProfile.replicationMode", json!("Shallow"));
    }
    for (name, value) in safety(plan) {
        if value {
            set(&format!("safetyProfile.{name}"), json!(true));
        }
    }
    if let Some(settings) =
        plan.uefi_settings_json.as_deref().and_then(|text| serde_json::from_str(text).ok())
    {
        set("securityProfile.uefiSettings", settings);
    }
    body
}

fn storage_profile(plan: &Model) -> Json {
    plan.source.as_ref().map(source::expand).unwrap_or_else(|| json!({}))
}

fn safety(plan: &Model) -> [(&'static str, bool); 2] {
    [
        ("allowDeletionOfReplicatedLocations", plan.allow_deletion_of_replicated_locations == Some(true)),
        ("blockDeletionBeforeEndOfLife", plan.block_deletion_before_end_of_life == Some(true)),
    ]
}

/// The body that changes the version `current` into the plan. Members that this schema does not have are kept; read-only
/// ones are not sent.
pub fn expand_change(context: &Context, plan: &Model, current: &Json) -> Json {
    const WRITABLE: [&str; 5] = [
        "excludeFromLatest",
        "replicaCount",
        "replicationMode",
        "storageAccountType",
        "targetExtendedLocations",
    ];
    let mut publishing =
        body::at(current, "properties.publishingProfile").cloned().unwrap_or_else(|| json!({}));
    let had_date = body::at(&publishing, "endOfLifeDate").is_some();
    body::keep_only(&mut publishing, &WRITABLE);
    publishing["excludeFromLatest"] = json!(plan.exclude_from_latest == Some(true));
    let regions = body::items(current, "properties.publishingProfile.targetRegions");
    publishing["targetRegions"] = if plan.target_region.is_empty() {
        regions::only_home(regions, body::text(current, "location").as_deref())
    } else {
        target_region::expand(&plan.target_region, regions)
    };
    match &plan.end_of_life_date {
        Some(date) => publishing["endOfLifeDate"] = json!(date),
        // null removes the date; an absent member would keep it
        None if had_date => publishing["endOfLifeDate"] = Json::Null,
        None => {}
    }
    // the content of a version never changes, and recorded updates leave it out; one that failed may have none yet
    let storage = if is_failed(current) { storage_profile(plan) } else { json!({}) };
    let mut body = json!({
        "location": current.get("location"),
        "tags": tags::merged(context, plan.tags.as_ref()),
        "properties": {"publishingProfile": publishing, "storageProfile": storage},
    });
    for (name, value) in safety(plan) {
        let path = format!("properties.safetyProfile.{name}");
        if value || body::at(current, &path).is_some() {
            body::set(&mut body, &path, json!(value));
        }
    }
    body
}

/// The version in the model. What the answer does not say stays as `known`.
pub fn flatten(context: &Context, object: &Json, id: &ResourceId, known: &Model) -> Model {
    let version = Version::read_over(object, known.source.as_ref(), &known.target_region);
    let location = version.location.clone().or_else(|| known.location.clone());
    let is_imported = known.provisioning_state.is_none() && known.source.is_none();
    let may_be_configured = !known.target_region.is_empty() || is_imported;
    let target_region = regions::in_state(version.target_regions(), may_be_configured, location.as_deref());
    let sizes: BTreeMap<String, i64> =
        version.data_disk.iter().filter_map(|disk| Some((disk.lun.to_string(), disk.size_gb?))).collect();
    let silent = version.replication.regions.is_empty();
    let (states, progress) = (version.replication.states(), version.replication.progress());
    let os_disk_size_gb = version.os_disk_size_gb().or(known.os_disk_size_gb);
    let flag = |read: Option<bool>, known: Option<bool>| Some(read.or(known).unwrap_or_default());
    Model {
        id: Some(id.to_string()),
        version: id.name().to_owned(),
        image_definition_id: id.parent().map(|definition| definition.to_string()).unwrap_or_default(),
        location,
        // a missing member is false, unless the answer has no safety profile at all
        allow_deletion_of_replicated_locations: flag(
            version.allow_deletion_of_replicated_locations,
            known.allow_deletion_of_replicated_locations.filter(|_| silent),
        ),
        block_deletion_before_end_of_life: flag(
            version.block_deletion_before_end_of_life,
            known.block_deletion_before_end_of_life.filter(|_| silent),
        ),
        end_of_life_date: version.end_of_life_date.unwrap_or_else(|| known.end_of_life_date.clone()),
        exclude_from_latest: flag(version.exclude_from_latest, known.exclude_from_latest.filter(|_| silent)),
        replication_mode: version
            .replication_mode
            .or_else(|| known.replication_mode.clone())
            .or_else(|| Some("Full".to_owned())),
        wait_for_replication: known.wait_for_replication.clone(),
        deletion_policy: Some(known.deletion_policy.clone().unwrap_or_else(|| "delete".to_owned())),
        restore_soft_deleted: Some(known.restore_soft_deleted == Some(true)),
        // returned only on request, and immutable: what was sent stays true
        uefi_settings_json: known.uefi_settings_json.clone(),
        tags: tags::own(context, &version.tags, known.tags.as_ref(), known.tags_all.as_ref()),
        tags_all: Some(version.tags),
        provisioning_state: version.provisioning_state.or_else(|| known.provisioning_state.clone()),
        published_date: version.published_date.or_else(|| known.published_date.clone()),
        replication_state: if silent { known.replication_state.clone() } else { None }.or(Some(states)),
        replication_progress: if silent { known.replication_progress.clone() } else { None }
            .or(Some(progress)),
        os_disk_size_gb,
        data_disk_sizes_gb: Some(sizes),
        source: version.source,
        target_region,
        timeouts: known.timeouts.clone(),
    }
}
