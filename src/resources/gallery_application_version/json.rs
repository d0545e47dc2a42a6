//! The application version in the service's JSON: what is sent, and how an answer is read.

use serde_json::{Value as Json, json};

use super::model::Model;
use crate::arm::ResourceId;
use crate::azure::gallery_version::regions;
use crate::azure::link::is_same_blob;
use crate::azure::objects::application::expand_actions;
use crate::azure::objects::application_version::{
    ApplicationVersion, ManageAction, Source, TargetRegion, expand_scripts, expand_source,
};
use crate::azure::objects::target_region;
use crate::azure::{Context, body, tags};
use crate::schema::Set;

/// Members of the publishing profile that are sent back as they are.
const KEPT: [&str; 5] = [
    "replicaCount",
    "replicationMode",
    "storageAccountType",
    "storageAccountStrategy",
    "targetExtendedLocations",
];

/// The body of the planned version: a new one in `location`, or one that changes `current`. Members that this schema does
/// not have are kept; read-only ones are not sent.
pub fn expand(context: &Context, plan: &Model, location: &str, current: Option<&Json>) -> Json {
    let none = json!({});
    let had = current.and_then(|current| body::at(current, "properties.publishingProfile")).unwrap_or(&none);
    let mut publishing = had.clone();
    body::keep_only(&mut publishing, &KEPT);
    let mut set = |name: &str, value: Json| body::set(&mut publishing, name, value);
    set("source", plan.source.as_ref().map(expand_source).unwrap_or_default());
    set("manageActions", plan.manage_action.as_ref().map(expand_scripts).unwrap_or_default());
    let settings = body::without_nulls(json!({
        "packageFileName": plan.package_file,
        "configFileName": plan.config_file,
        "scriptBehaviorAfterReboot": plan.script_behavior_after_reboot,
    }));
    if settings != none {
        set("settings", settings);
    }
    set("enableHealthCheck", json!(plan.enable_health_check == Some(true)));
    set("excludeFromLatest", json!(plan.exclude_from_latest == Some(true)));
    let is_there = |name: &str| body::at(had, name).is_some();
    let advanced = plan.advanced_settings.as_ref().filter(|settings| !settings.is_empty());
    if advanced.is_some() || is_there("advancedSettings") {
        set("advancedSettings", json!(advanced.cloned().unwrap_or_default()));
    }
    if !plan.custom_action.is_empty() || is_there("customActions") {
        set("customActions", expand_actions(&plan.custom_action));
    }
    let regions = body::items(had, "targetRegions");
    if !plan.target_region.is_empty() {
        set("targetRegions", target_region::expand(&plan.target_regions(), regions));
    } else if let Some(current) = current {
        set("targetRegions", regions::only_home(regions, body::text(current, "location").as_deref()));
    }
    match &plan.end_of_life_date {
        Some(date) => publishing["endOfLifeDate"] = json!(date),
        // null removes the date; a missing member keeps it
        None if is_there("endOfLifeDate") => publishing["endOfLifeDate"] = Json::Null,
        None => {}
    }
    let location = current.and_then(|current| body::text(current, "location")).unwrap_or(location.to_owned());
    let mut properties = json!({"publishingProfile": publishing});
    if regions::needs_permission(context, &plan.gallery_application_id) {
        properties["safetyProfile"] = json!({"allowDeletionOfReplicatedLocations": true});
    }
    json!({"location": location, "tags": tags::merged(context, plan.tags.as_ref()), "properties": properties})
}

/// The version in the model. What the answer does not say stays as `known`.
pub fn flatten(context: &Context, object: &Json, id: &ResourceId, known: &Model) -> Model {
    let version = ApplicationVersion::read_over(object, &known.target_regions());
    let common = &version.common;
    let location = common.location.clone().or_else(|| known.location.clone());
    let is_imported = known.provisioning_state.is_none() && known.source.is_none();
    let may_be_configured = !known.target_region.is_empty() || is_imported;
    let read = regions::in_state(common.target_regions(), may_be_configured, location.as_deref());
    let silent = common.replication.regions.is_empty();
    let (states, progress) = (common.replication.states(), common.replication.progress());
    let flag = |read: Option<bool>, known: Option<bool>| Some(read.or(known).unwrap_or_default());
    Model {
        id: Some(id.to_string()),
        name: id.name().to_owned(),
        gallery_application_id: id.parent().map(|application| application.to_string()).unwrap_or_default(),
        location,
        package_file: version.package_file.clone().or_else(|| known.package_file.clone()),
        config_file: version.config_file.clone().or_else(|| known.config_file.clone()),
        script_behavior_after_reboot: version
            .script_behavior_after_reboot
            .clone()
            .or_else(|| known.script_behavior_after_reboot.clone()),
        enable_health_check: flag(version.enable_health_check, known.enable_health_check.filter(|_| silent)),
        exclude_from_latest: flag(common.exclude_from_latest, known.exclude_from_latest.filter(|_| silent)),
        end_of_life_date: common.end_of_life_date.clone().unwrap_or_else(|| known.end_of_life_date.clone()),
        advanced_settings: Some(version.advanced_settings.clone()).filter(|settings| !settings.is_empty()),
        wait_for_replication: known.wait_for_replication.clone(),
        deletion_policy: Some(known.deletion_policy.clone().unwrap_or_else(|| "delete".to_owned())),
        tags: tags::own(context, &common.tags, known.tags.as_ref(), known.tags_all.as_ref()),
        tags_all: Some(common.tags.clone()),
        provisioning_state: common.provisioning_state.clone().or_else(|| known.provisioning_state.clone()),
        published_date: common.published_date.clone().or_else(|| known.published_date.clone()),
        replication_state: if silent { known.replication_state.clone() } else { None }.or(Some(states)),
        replication_progress: if silent { known.replication_progress.clone() } else { None }
            .or(Some(progress)),
        source: read_source(version.source, known.source.as_ref()),
        manage_action: read_scripts(version.manage_action, known.manage_action.as_ref()),
        custom_action: version.custom_action,
        target_region: own_regions(read.0),
        timeouts: known.timeouts.clone(),
    }
}

// What an answer leaves out of the package is as it was: it cannot change. Neither is a missing token a difference.
fn read_source(read: Option<Source>, known: Option<&Source>) -> Option<Source> {
    let (Some(read), Some(known)) = (&read, known) else { return read.or_else(|| known.cloned()) };
    let link = |read: &str, known: &str| {
        if is_same_blob(read, known) { known.to_owned() } else { read.to_owned() }
    };
    let configuration = match (&read.default_configuration_link, &known.default_configuration_link) {
        (Some(read), Some(known)) => Some(link(read, known)),
        (read, known) => read.clone().or_else(|| known.clone()),
    };
    Some(Source {
        media_link: link(&read.media_link, &known.media_link),
        default_configuration_link: configuration,
    })
}

fn read_scripts(read: Option<ManageAction>, known: Option<&ManageAction>) -> Option<ManageAction> {
    let (Some(mut read), Some(known)) = (read.clone(), known) else { return read.or(known.cloned()) };
    if read.remove.is_empty() {
        read.remove = known.remove.clone();
    }
    read.update = read.update.or_else(|| known.update.clone());
    Some(read)
}

/// Whether the version `left` has the package, the scripts and the place that are planned, so that an update can do the
/// rest.
pub fn is_same_package(left: &Json, plan: &Model) -> bool {
    let have = ApplicationVersion::read(left);
    let link = |a: Option<&String>, b: Option<&String>| match (a, b) {
        (Some(a), Some(b)) => is_same_blob(a, b),
        (a, b) => a.is_none() && b.is_none(),
    };
    let (Some(source), Some(wanted)) = (&have.source, &plan.source) else { return false };
    let unset_or_same = |wanted: &Option<String>, have: &Option<String>| wanted.is_none() || wanted == have;
    is_same_blob(&source.media_link, &wanted.media_link)
        && link(source.default_configuration_link.as_ref(), wanted.default_configuration_link.as_ref())
        && have.manage_action == plan.manage_action
        && unset_or_same(&plan.package_file, &have.package_file)
        && unset_or_same(&plan.config_file, &have.config_file)
        && unset_or_same(&plan.script_behavior_after_reboot, &have.script_behavior_after_reboot)
        && plan.location.as_deref().is_none_or(|location| body::is_in_region(left, location))
}

/// The target regions of the schema among those that all kinds of versions have in common.
pub fn own_regions(regions: Vec<target_region::TargetRegion>) -> Set<TargetRegion> {
    regions.into_iter().map(TargetRegion::from).collect()
}
