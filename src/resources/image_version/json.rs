//! The image version in the service's JSON: what is sent, and how an answer is read.

use serde_json::{Value as Json, json};

use super::model::Model;
use super::regions;
use crate::arm::{ResourceId, region};
use crate::azure::objects::source;
use crate::azure::objects::target_region::{self, TargetRegion};
use crate::azure::replication::Replication;
use crate::azure::{Context, body, tags};
use crate::schema::Set;

/// The body of a new version.
pub fn expand_new(context: &Context, plan: &Model, location: &str) -> Json {
    let mut body = json!({
        "location": location,
        "tags": tags::merged(context, plan.tags.as_ref()),
        "properties": {
            "publishingProfile": {"excludeFromLatest": plan.exclude_from_latest == Some(true)},
            "storageProfile": plan.source.as_ref().map(source::expand).unwrap_or_else(|| json!({})),
            "safetyProfile": {
                "allowDeletionOfReplicatedLocations": plan.allow_deletion_of_replicated_locations == Some(true),
            },
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
    if plan.block_deletion_before_end_of_life == Some(true) {
        set("safetyProfile.blockDeletionBeforeEndOfLife", json!(true));
    }
    if let Some(settings) =
        plan.uefi_settings_json.as_deref().and_then(|text| serde_json::from_str(text).ok())
    {
        set("securityProfile.uefiSettings", settings);
    }
    body
}

/// The body that changes what the service has into what is planned.
pub fn expand_change(context: &Context, plan: &Model, current: &Json) -> Json {
    let mut body = current.clone();
    body::keep_only(&mut body, &["location", "properties"]);
    body["tags"] = json!(tags::merged(context, plan.tags.as_ref()));
    let mut properties = body.get("properties").cloned().unwrap_or_else(|| json!({}));
    body::keep_only(&mut properties, &["publishingProfile", "storageProfile", "safetyProfile"]);
    body::set(&mut properties, "publishingProfile.publishedDate", Json::Null);
    for read_only in ["reportedForPolicyViolation", "policyViolations"] {
        body::set(&mut properties, &format!("safetyProfile.{read_only}"), Json::Null);
    }
    let exclude = plan.exclude_from_latest == Some(true);
    body::set(&mut properties, "publishingProfile.excludeFromLatest", json!(exclude));
    let regions = body::items(current, "properties.publishingProfile.targetRegions");
    let targets = if plan.target_region.is_empty() {
        regions::only_home(regions, body::text(current, "location").as_deref())
    } else {
        target_region::expand(&plan.target_region, regions)
    };
    body::set(&mut properties, "publishingProfile.targetRegions", targets);
    match &plan.end_of_life_date {
        Some(date) => body::set(&mut properties, "publishingProfile.endOfLifeDate", json!(date)),
        // written, not left out: null takes the date back
        None if body::at(&properties, "publishingProfile.endOfLifeDate").is_some() => {
            properties["publishingProfile"]["endOfLifeDate"] = Json::Null;
        }
        None => {}
    }
    let allow = plan.allow_deletion_of_replicated_locations == Some(true);
    body::set(&mut properties, "safetyProfile.allowDeletionOfReplicatedLocations", json!(allow));
    let block = plan.block_deletion_before_end_of_life == Some(true);
    if block || body::at(&properties, "safetyProfile.blockDeletionBeforeEndOfLife").is_some() {
        body::set(&mut properties, "safetyProfile.blockDeletionBeforeEndOfLife", json!(block));
    }
    body["properties"] = properties;
    body
}

/// The state that a version in the service's words stands for.
pub fn flatten(
    context: &Context,
    version: &Json,
    replication: &Replication,
    id: &ResourceId,
    known: &Model,
) -> Model {
    let properties = body::at(version, "properties").cloned().unwrap_or_else(|| json!({}));
    let publishing = body::at(&properties, "publishingProfile").cloned().unwrap_or_else(|| json!({}));
    let storage = body::at(&properties, "storageProfile").cloned().unwrap_or_else(|| json!({}));
    let location = body::text(version, "location");
    let all = tags::all(version);
    let mut target_region: Set<TargetRegion> = target_region::read(&publishing, &known.target_region)
        .iter()
        .map(TargetRegion::with_defaults)
        .collect();
    // who left replication to the service sees its choice only where it is more than the version's own region
    let left_to_service = known.target_region.is_empty() && known.provisioning_state.is_some()
        || known.target_region.is_empty() && known.source.is_some();
    if left_to_service
        && let [only] = target_region.as_slice()
        && location.as_deref().is_some_and(|location| region::same_region(location, &only.name))
    {
        target_region.clear();
    }
    Model {
        id: Some(id.to_string()),
        version: id.name().to_owned(),
        image_definition_id: id.parent().map(|definition| definition.to_string()).unwrap_or_default(),
        location,
        allow_deletion_of_replicated_locations: Some(
            body::bool(&properties, "safetyProfile.allowDeletionOfReplicatedLocations").unwrap_or_default(),
        ),
        block_deletion_before_end_of_life: Some(
            body::bool(&properties, "safetyProfile.blockDeletionBeforeEndOfLife").unwrap_or_default(),
        ),
        end_of_life_date: body::text(&publishing, "endOfLifeDate").filter(|date| !date.is_empty()),
        exclude_from_latest: Some(body::bool(&publishing, "excludeFromLatest").unwrap_or_default()),
        replication_mode: Some(
            body::text(&publishing, "replicationMode").unwrap_or_else(|| "Full".to_owned()),
        ),
        wait_for_replication: known.wait_for_replication.clone(),
        deletion_policy: Some(known.deletion_policy.clone().unwrap_or_else(|| "delete".to_owned())),
        // told only on request, and fixed for good: what was sent stays true
        uefi_settings_json: known.uefi_settings_json.clone(),
        tags: tags::own(context, &all, known.tags.as_ref(), known.tags_all.as_ref()),
        tags_all: Some(all),
        provisioning_state: body::text(&properties, "provisioningState"),
        published_date: body::text(&publishing, "publishedDate"),
        replication_state: Some(replication.states()),
        replication_progress: Some(replication.progress()),
        os_disk_size_gb: body::int(&storage, "osDiskImage.sizeInGB"),
        source: source::read(&storage, known.source.as_ref()),
        target_region,
        timeouts: known.timeouts.clone(),
    }
}
