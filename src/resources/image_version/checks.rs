//! What can be said against a planned image version before half an hour is spent on it.

use serde_json::Value as Json;
use time::OffsetDateTime;

use super::regions::check_duplicates;
use crate::arm::id::{IMAGE_DEFINITION, IMAGE_VERSION, MANAGED_IMAGE, VIRTUAL_MACHINE};
use crate::arm::{ResourceId, Scope, Target, region};
use crate::azure::attributes::instant;
use crate::azure::context::scope;
use crate::azure::objects::source::{DISK, SNAPSHOT};
use crate::azure::objects::target_region::region_key;
use crate::azure::run_log::Event;
use crate::azure::{COMPUTE_API, Context, DISK_API, GALLERY_API, body};
use crate::framework::{Draft, Op};
use crate::image::Version;
use crate::schema::{Diagnostics, Path, Value};

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

/// Checks of a plan, with what the service can tell.
pub async fn plan(context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
    replicas(context, draft, found);
    let planned = &draft.planned;
    let definition = planned
        .get("image_definition_id")
        .as_str()
        .and_then(|id| ResourceId::parse_as(id, IMAGE_DEFINITION).ok());
    let Some(definition) = definition else { return };
    let mut regions: Vec<(Path, String)> = Vec::new();
    if let Some(location) = planned.get("location").as_str() {
        regions.push((Path::attribute("location"), location.to_owned()));
    }
    for target in planned.get("target_region").elements() {
        if let Some(name) = target.get("name").as_str() {
            regions.push((Path::attribute("target_region"), name.to_owned()));
        }
    }
    for (path, name) in regions {
        if let Some(why) = context.unknown_location(op, definition.subscription_id(), &name).await {
            found.error(path, "There is no such region", why);
        }
    }
    if !draft.is_create() {
        note_replaced(context, draft);
        return;
    }
    dates(planned, found);
    let scope = scope(op, "checking the plan of an image version");
    // what cannot be read now is judged by the service later; a plan does not fail for that
    let target = Target::new(definition.to_string(), GALLERY_API);
    let parent = context.client.get_opt(&scope, &target).await.ok().flatten();
    let location = match planned.get("location").as_str() {
        Some(location) => Some(location.to_owned()),
        // it was written, and may become any region
        None if draft.config.get("location").is_unknown() => None,
        None => parent.as_ref().and_then(|parent| body::text(parent, "location")),
    };
    if let Some(location) = &location {
        home(planned, location, found);
    }
    others(context, &scope, &definition, planned, found).await;
    if let Some(parent) = parent {
        let location = location.as_deref();
        let checker = SourceCheck { context, scope: &scope, definition: &parent, location };
        checker.run(planned.get("source"), found).await;
    }
}

// A version that this run deletes, to put another in its place, takes no room from that one.
fn note_replaced(context: &Context, draft: &Draft<'_>) {
    if draft.replace.is_empty() || draft.prior.get("deletion_policy").as_str() == Some("retain") {
        return;
    }
    let id = draft.prior.get("id").as_str().and_then(|id| ResourceId::parse_as(id, IMAGE_VERSION).ok());
    if let Some(id) = id {
        context.run.record(&id.to_string(), Event::Replaced);
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
            "end_of_life_date lies in the past",
            "The service protects a version only until a date that is still to come.",
        );
    }
}

// The version's own region is among its target regions.
fn home(planned: &Value, location: &str, found: &mut Diagnostics) {
    let targets = planned.get("target_region");
    if targets.is_unknown() || targets.elements().is_empty() {
        return;
    }
    let names: Option<Vec<String>> = targets.elements().iter().map(region_key).collect();
    if names.is_some_and(|names| !names.contains(&region::normalise(location))) {
        found.error(
            Path::attribute("target_region"),
            format!("The version's own region {location:?} is missing"),
            format!(
                "The service keeps a version in its own region first, and copies it from there. Add target_region \
                 {{ name = {location:?} }}, or set location to one of the target regions."
            ),
        );
    }
}

// Guardrails that need to know the definition's other versions.
async fn others(
    context: &Context,
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
    let target = Target::new(format!("{definition}/versions"), GALLERY_API);
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
    let id = definition.child("versions", new);
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
        let existing_ids = existing.iter().map(|(_, name)| definition.child("versions", name));
        let mut all: Vec<String> = existing_ids
            .filter(|id| !context.run.has(&id.to_string(), Event::Replaced))
            .map(|id| id.key())
            .collect();
        context.run.record(&id.to_string(), Event::Planned);
        all.extend(context.run.below(definition, Event::Planned));
        all.sort();
        all.dedup();
        if all.len() as i64 > maximum {
            let oldest: Vec<&str> = existing.iter().take(3).map(|(_, name)| name.as_str()).collect();
            found.push(rules.violation(
                "maximum_versions_per_definition",
                Path::attribute("version"),
                &format!("{new} would be version {} of {:?}, and {maximum} are allowed", all.len(), definition.name()),
                &format!(
                    "Remove versions that nobody uses; the oldest are {}. azimage_version_retention is meant to do that by rule.",
                    oldest.join(", ")
                ),
            ));
        }
    }
}

fn next(version: &str) -> String {
    crate::image::bump(version, crate::image::Part::Patch).unwrap_or_else(|_| version.to_owned())
}

// Compares a source that can be read with the definition.
struct SourceCheck<'a> {
    context: &'a Context,
    scope: &'a Scope,
    definition: &'a Json,
    // unknown until apply when there is none
    location: Option<&'a str>,
}

// What a source says of itself; `None` where it says nothing.
#[derive(Default)]
struct SourceFacts {
    os_type: Option<String>,
    os_state: Option<String>,
    generation: Option<String>,
    architecture: Option<String>,
    regions: Vec<String>,
}

impl SourceCheck<'_> {
    async fn run(&self, source: &Value, found: &mut Diagnostics) {
        for (attribute, kind, api) in [
            ("managed_image_id", MANAGED_IMAGE, COMPUTE_API),
            ("virtual_machine_id", VIRTUAL_MACHINE, COMPUTE_API),
            ("image_version_id", IMAGE_VERSION, GALLERY_API),
        ] {
            let path = Path::attribute("source").then(attribute);
            self.one(source.get(attribute), kind, api, path, found).await;
        }
        let disk = source.get("os_disk");
        for (attribute, kind) in [("snapshot_id", SNAPSHOT), ("disk_id", DISK)] {
            let path = Path::attribute("source").then("os_disk").then(attribute);
            self.one(disk.get(attribute), kind, DISK_API, path, found).await;
            for disk in source.get("data_disk").elements() {
                let path = Path::attribute("source").then("data_disk").element().then(attribute);
                self.one(disk.get(attribute), kind, DISK_API, path, found).await;
            }
        }
    }

    async fn one(&self, id: &Value, kind: &str, api: &'static str, path: Path, found: &mut Diagnostics) {
        let Some(id) = id.as_str().and_then(|id| ResourceId::parse_as(id, kind).ok()) else {
            return;
        };
        let mut target = Target::new(id.to_string(), api);
        if kind == VIRTUAL_MACHINE {
            target = target.query("$expand", "instanceView");
        }
        // it may come to be in this very run, or be hidden from this identity: no reason to object
        let Ok(Some(source)) = self.context.client.get_opt(self.scope, &target).await else {
            return;
        };
        let mut told = self.told(kind, &id, &source).await;
        if path.addressable().len() < path.0.len() {
            // a data disk has no operating system of its own
            told = SourceFacts { regions: told.regions, ..SourceFacts::default() };
        }
        self.compare(&id, told, &path, found);
        if kind == VIRTUAL_MACHINE {
            self.generalized(&id, &source, path, found);
        }
    }

    async fn told(&self, kind: &str, id: &ResourceId, source: &Json) -> SourceFacts {
        let text = |path: &str| body::text(source, path);
        let regions = text("location").into_iter().collect();
        match kind {
            MANAGED_IMAGE => SourceFacts {
                os_type: text("properties.storageProfile.osDisk.osType"),
                os_state: text("properties.storageProfile.osDisk.osState"),
                generation: text("properties.hyperVGeneration"),
                regions,
                ..SourceFacts::default()
            },
            VIRTUAL_MACHINE => SourceFacts {
                os_type: text("properties.storageProfile.osDisk.osType"),
                generation: text("properties.instanceView.hyperVGeneration"),
                regions,
                ..SourceFacts::default()
            },
            IMAGE_VERSION => {
                let regions = body::items(source, "properties.publishingProfile.targetRegions")
                    .iter()
                    .filter_map(|target| body::text(target, "name"))
                    .collect();
                let definition = id.parent().map(|id| Target::new(id.to_string(), GALLERY_API));
                let definition = match definition {
                    Some(target) => self.context.client.get_opt(self.scope, &target).await.ok().flatten(),
                    None => None,
                };
                let text =
                    |path: &str| definition.as_ref().and_then(|definition| body::text(definition, path));
                SourceFacts {
                    os_type: text("properties.osType"),
                    os_state: text("properties.osState"),
                    generation: text("properties.hyperVGeneration"),
                    architecture: text("properties.architecture"),
                    regions,
                }
            }
            _ => SourceFacts {
                os_type: text("properties.osType"),
                generation: text("properties.hyperVGeneration"),
                architecture: text("properties.supportedCapabilities.architecture"),
                regions,
                ..SourceFacts::default()
            },
        }
    }

    fn compare(&self, id: &ResourceId, told: SourceFacts, path: &Path, found: &mut Diagnostics) {
        let name = id.name();
        for (what, property, attribute, have) in [
            ("operating system", "osType", "os_type", told.os_type),
            ("operating system state", "osState", "os_state", told.os_state),
            ("generation", "hyperVGeneration", "hyper_v_generation", told.generation),
            ("architecture", "architecture", "architecture", told.architecture),
        ] {
            let want = body::text(self.definition, &format!("properties.{property}"));
            if let (Some(have), Some(want)) = (have, want)
                && !have.eq_ignore_ascii_case(&want)
            {
                found.error(
                    path.clone(),
                    format!("The source does not fit its definition: {what}"),
                    format!(
                        "{name:?} is {have}, and the image definition says {attribute} = {want:?}. Use another source, or \
                         another definition; the service would refuse this one.\n\n{id}"
                    ),
                );
            }
        }
        if let Some(location) = self.location
            && !told.regions.is_empty()
            && !told.regions.iter().any(|have| region::same_region(have, location))
        {
            found.error(
                path.clone(),
                "The source is not in the version's region",
                format!(
                    "{name:?} is in {}, and the version is at home in {location}. Set location to a region of the source (and name it in \
                     target_region).\n\n{id}",
                    told.regions.join(", ")
                ),
            );
        }
    }

    fn generalized(&self, id: &ResourceId, machine: &Json, path: Path, found: &mut Diagnostics) {
        let wants = body::text(self.definition, "properties.osState").as_deref() == Some("Generalized");
        let statuses = body::items(machine, "properties.instanceView.statuses");
        let is = statuses
            .iter()
            .any(|status| body::text(status, "code").as_deref() == Some("OSState/generalized"));
        if !wants && is {
            found.warning(
                path,
                format!("The machine {:?} is generalized", id.name()),
                format!(
                    "The image definition says os_state = \"Specialized\": machines would be copies of this one, which \
                     has given its identity up. Use a definition with os_state = \"Generalized\".\n\n{id}"
                ),
            );
            return;
        }
        if !wants || is || statuses.is_empty() {
            return;
        }
        let rules = &self.context.guardrails;
        if rules.require_generalized_source == Some(true) {
            found.push(rules.violation(
                "require_generalized_source",
                path,
                &format!("the machine {:?} is not generalized", id.name()),
                "Deprovision it, then az vm deallocate and az vm generalize it; or use an azimage_managed_image with capture, which does both.",
            ));
        } else {
            found.warning(
                path,
                format!("The machine {:?} is not generalized", id.name()),
                format!(
                    "The image definition says os_state = \"Generalized\": machines made from this version would share one \
                     identity. Generalize it first, or use a definition with os_state = \"Specialized\".\n\n{id}"
                ),
            );
        }
    }
}
