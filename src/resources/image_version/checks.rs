//! Checks of a configuration and of a plan, before the service spends half an hour on it.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;

use super::definition;
use super::source_check::SourceCheck;
use crate::arm::id::{IMAGE_DEFINITION, IMAGE_VERSION};
use crate::arm::{ResourceId, Scope, Target, region};
use crate::azure::attributes::instant;
use crate::azure::context::scope;
use crate::azure::gallery_version::regions::{check_duplicates, check_exist, check_home};
use crate::azure::objects::target_region::region_key;
use crate::azure::run_log::Event;
use crate::azure::{Context, body};
use crate::framework::{Draft, Op};
use crate::image::{Version, check_gallery_version};
use crate::schema::{Diagnostics, Path, Value};

/// How long nothing must have been planned before a plan counts as having too many versions.
const QUIET: Duration = Duration::from_secs(2);

/// Checks of the configuration alone.
pub fn config(config: &Value, found: &mut Diagnostics) {
    let targets = config.get("target_region");
    check_duplicates(targets, found);
    if config.get("block_deletion_before_end_of_life").as_bool() == Some(true)
        && config.get("end_of_life_date").is_null()
    {
        found.error(
            Path::attribute("end_of_life_date"),
            "end_of_life_date is missing",
            "block_deletion_before_end_of_life protects the version until its end-of-life date, so it needs one.",
        );
    }
    if config.get("replication_mode").as_str() == Some("Shallow") {
        shallow(config, found);
    }
    exact_source_version(config, found);
    // a key of one's own in one region is demanded of all
    let encrypted = |target: &&Value| target.get("encryption").is_known();
    let count = targets.elements().iter().filter(encrypted).count();
    if count > 0 && targets.elements().iter().any(|target| target.get("encryption").is_null()) {
        found.error(
            Path::attribute("target_region"),
            "Encryption is given for some regions only",
            "The service wants a disk encryption set in every target region, or in none.",
        );
    }
}

// The service takes the ID of one version as a source, never "latest".
fn exact_source_version(config: &Value, found: &mut Diagnostics) {
    let id = config.get("source").get("image_version_id").as_str();
    let Some(id) = id.and_then(|id| ResourceId::parse_as(id, IMAGE_VERSION).ok()) else { return };
    if let Err(why) = check_gallery_version(id.name()) {
        found.error(
            Path::attribute("source").then("image_version_id"),
            format!("{:?} is not a version number", id.name()),
            format!(
                "The version {why}. To use the newest version, take the id of data \"azimage_image_version\", which \
                 resolves \"latest\" and constraints to one version."
            ),
        );
    }
}

fn shallow(config: &Value, found: &mut Diagnostics) {
    let targets = config.get("target_region");
    let mut refuse = |what: &str| {
        found.error(
            Path::attribute("replication_mode"),
            "Shallow replication does not go with this version",
            format!("{what}: \"Shallow\" leaves the bits where they are. Use \"Full\", or change that."),
        );
    };
    if targets.elements().len() > 1 {
        refuse("It has more than one target region");
    }
    for target in targets.elements() {
        if target.get("regional_replica_count").as_i64().is_some_and(|count| count > 1) {
            refuse("It has more than one replica");
        }
        if target.get("encryption").is_known() {
            refuse("It is encrypted with keys of one's own");
        }
    }
}

/// Checks of a plan, with what the service and the plans of other objects say. All of them run for a creation and for a
/// replacement: nothing good is destroyed before it is certain that the new version can be created.
pub async fn plan(context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
    replicas(context, draft, found);
    let planned = &draft.planned;
    let definition = planned
        .get("image_definition_id")
        .as_str()
        .and_then(|id| ResourceId::parse_as(id, IMAGE_DEFINITION).ok());
    let Some(definition) = definition else { return };
    check_exist(context, op, draft, definition.subscription_id(), found).await;
    let scope = scope(op, "checking the plan of an image version");
    if !draft.is_create() {
        note_replaced(context, draft);
        if draft.replace.is_empty() {
            if draft.changes("target_region") {
                if let Some(location) = planned.get("location").as_str() {
                    check_home(planned.get("target_region"), location, found);
                }
                encryption_sets(context, &scope, planned, found).await;
            }
            return;
        }
    }
    if let Some(version) = planned.get("version").as_str() {
        context.run.record(&definition.child("versions", version).to_string(), Event::Planned);
    }
    dates(planned, found);
    let facts = definition::find(context, op, &scope, &definition).await;
    let location = match planned.get("location").as_str() {
        Some(location) => Some(location.to_owned()),
        // it is configured, and may become any region
        None if draft.config.get("location").is_unknown() => None,
        None => facts.as_ref().and_then(|definition| definition.location.clone()),
    };
    if let Some(location) = &location {
        check_home(planned.get("target_region"), location, found);
    }
    others(context, op, &scope, &definition, planned, found).await;
    encryption_sets(context, &scope, planned, found).await;
    let (definition, location) = (facts.as_ref(), location.as_deref());
    let check = SourceCheck { context, op, scope: &scope, definition, location };
    check.run(planned.get("source"), found).await;
}

// A version that is replaced makes room for its replacement.
fn note_replaced(context: &Context, draft: &Draft<'_>) {
    let retained = draft.prior.get("deletion_policy").as_str() == Some("retain");
    if let (false, false, Some(id)) = (draft.replace.is_empty(), retained, draft.prior.get("id").as_str()) {
        context.run.record(id, Event::PlannedAway);
    }
}

// The service encrypts replicas only with a disk encryption set of their own region.
async fn encryption_sets(context: &Context, scope: &Scope, planned: &Value, found: &mut Diagnostics) {
    for target in planned.get("target_region").elements() {
        let Some(region) = target.get("name").as_str() else { continue };
        let encryption = target.get("encryption");
        let disks = encryption.get("data_disk").elements().iter();
        let sets = [
            encryption.get("os_disk_encryption_set_id"),
            encryption.get("confidential_vm").get("secure_vm_disk_encryption_set_id"),
        ];
        let sets = sets.into_iter().chain(disks.map(|disk| disk.get("disk_encryption_set_id")));
        for id in sets.filter_map(Value::as_str) {
            let set = context.run.parent(&context.client, scope, &Target::at(id)).await;
            let has = set.ok().flatten().and_then(|set| body::text(&set, "location"));
            if let Some(has) = has.filter(|has| !region::same_region(has, region)) {
                found.error(
                    Path::attribute("target_region"),
                    format!("The disk encryption set of {region} is in {has}"),
                    format!("Each target_region needs a disk encryption set in its own region.\n\n{id}"),
                );
            }
        }
    }
}

fn replicas(context: &Context, draft: &Draft<'_>, found: &mut Diagnostics) {
    let rules = &context.guardrails;
    let targets = draft.planned.get("target_region");
    let path = Path::attribute("target_region");
    if let Some(minimum) = rules.minimum_replicas {
        for target in targets.elements() {
            let count = target.get("regional_replica_count").as_i64();
            if let (Some(count), Some(name)) = (count, target.get("name").as_str())
                && count < minimum
            {
                found.push(rules.violation(
                    "minimum_replicas",
                    path.clone(),
                    &format!("{name} has {count} of {minimum} replicas"),
                    &format!(
                        "Set regional_replica_count = {minimum} or more in the target_region of {name}."
                    ),
                ));
            }
        }
        if !targets.is_unknown() && targets.elements().is_empty() && minimum > 1 {
            found.push(rules.violation(
                "minimum_replicas",
                path.clone(),
                "without a target_region the version has one replica",
                &format!("Add a target_region for the version's own region with regional_replica_count = {minimum}."),
            ));
        }
    }
    let names: Option<Vec<String>> =
        (!targets.is_unknown()).then(|| targets.elements().iter().map(region_key).collect()).flatten();
    // a name that is not known yet may be the one that is missed
    let Some(names) = names else { return };
    for required in rules.required_regions.iter().flat_map(|regions| regions.iter()) {
        if !names.contains(&region::normalise(required)) {
            found.push(rules.violation(
                "required_regions",
                path.clone(),
                &format!("the version is not replicated to {required}"),
                &format!("Add target_region {{ name = {required:?} }}."),
            ));
        }
    }
}

fn dates(planned: &Value, found: &mut Diagnostics) {
    // only the protection makes the service insist on the future; an old date alone is a statement
    if planned.get("block_deletion_before_end_of_life").as_bool() == Some(true)
        && let Some(date) = planned.get("end_of_life_date").as_str().and_then(instant)
        && date <= OffsetDateTime::now_utc()
    {
        found.error(
            Path::attribute("end_of_life_date"),
            "end_of_life_date is in the past",
            "The service protects a version only until a date that is still to come.",
        );
    }
}

// Guardrails that need to know the definition's other versions.
async fn others(
    context: &Context,
    op: &Op,
    scope: &Scope,
    definition: &ResourceId,
    planned: &Value,
    found: &mut Diagnostics,
) {
    let rules = &context.guardrails;
    if rules.versions_must_increase != Some(true) && rules.maximum_versions_per_definition.is_none() {
        return;
    }
    let Some(new) = planned.get("version").as_str() else { return };
    let target = Target::at(format!("{definition}/versions"));
    let listed = match context.client.list(scope, &target).await {
        Ok(listed) => listed,
        Err(error) if error.is_not_found() => Vec::new(),
        Err(error) => {
            found.push(crate::azure::fault::diagnostic(
                &error,
                "checking guardrails on the other versions",
                &definition.to_string(),
            ));
            return;
        }
    };
    let mut existing: Vec<(Version, String)> = listed
        .iter()
        .filter_map(|version| body::text(version, "name"))
        .filter_map(|name| Some((Version::parse(&name).ok()?, name)))
        .collect();
    existing.sort();
    if rules.versions_must_increase == Some(true)
        && let Ok(number) = Version::parse(new)
        // whether the very same may be joined, or is in the way, is decided when it is made
        && let Some((newest, name)) = existing.iter().rev().find(|(have, name)| {
            *have != number && !context.run.has(&definition.child("versions", name).to_string(), Event::Published)
        })
        && number < *newest
    {
        found.push(rules.violation(
            "versions_must_increase",
            Path::attribute("version"),
            &format!("{new} is not greater than {name}, the newest version of {:?}", definition.name()),
            &format!("Choose a greater version, such as {}.", next(name)),
        ));
    }
    if let Some(maximum) = rules.maximum_versions_per_definition {
        let exceeded = exceeded(context, op, scope, definition, &existing, maximum);
        if let Some(count) = context.run.alone(definition, exceeded).await {
            let oldest: Vec<&str> = existing.iter().take(3).map(|(_, name)| name.as_str()).collect();
            found.push(rules.violation(
                "maximum_versions_per_definition",
                Path::attribute("version"),
                &format!(
                    "{new} would be version {count} of {:?}, and {maximum} are allowed",
                    definition.name()
                ),
                &match oldest.as_slice() {
                    [] => "Plan fewer versions in one run.".to_owned(),
                    oldest => {
                        format!("Delete versions that nobody uses; the oldest are {}.", oldest.join(", "))
                    }
                },
            ));
        }
    }
}

// The number of versions once everything planned is applied, if it exceeds `maximum`.
//
// Terraform plans in any order, a few objects at a time, so removals may be planned later. One call waits for them on behalf
// of all new versions of the definition, so that those do not keep Terraform from planning removals.
async fn exceeded(
    context: &Context,
    op: &Op,
    scope: &Scope,
    definition: &ResourceId,
    existing: &[(Version, String)],
    maximum: i64,
) -> Option<i64> {
    let run = &context.run;
    let planned = || run.below(definition, Event::Planned);
    let count = || {
        let ids = existing.iter().map(|(_, name)| definition.child("versions", name));
        let staying = ids.filter(|id| !run.has(&id.to_string(), Event::PlannedAway));
        let mut all: Vec<String> = staying.map(|id| id.key()).chain(planned()).collect();
        all.sort();
        all.dedup();
        all.len() as i64
    };
    let (mut events, mut since) = (run.event_count(), Instant::now());
    while since.elapsed() < QUIET {
        // during apply, the other new versions of a plan that was allowed may come before its removals
        if count() <= maximum || op.is_applying() && planned().len() > 1 {
            return None;
        }
        scope.sleep(Duration::from_millis(100)).await.ok()?;
        if run.event_count() != events {
            (events, since) = (run.event_count(), Instant::now());
        }
    }
    Some(count())
}

fn next(version: &str) -> String {
    crate::image::bump(version, crate::image::Part::Patch).unwrap_or_else(|_| version.to_owned())
}
