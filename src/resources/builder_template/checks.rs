//! Checks of the plan of an image template: its source, and the definitions that it distributes to, must fit.

use serde_json::Value as Json;

use crate::arm::id::{IMAGE_VERSION, same_id};
use crate::arm::{ResourceId, Scope, Target, region};
use crate::azure::context::scope;
use crate::azure::run_log::Event;
use crate::azure::{Context, body};
use crate::framework::{Draft, Op};
use crate::schema::{Diagnostics, Path, Value};

/// Looks at what the plan of a new or replaced template names, as far as it is known. What cannot be read is left to the
/// service.
pub async fn plan(context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
    let look = Look { context, op, scope: scope(op, "checking the plan of an image template") };
    if draft.is_create() || !draft.replace.is_empty() {
        look.source(&draft.planned, found).await;
    }
    if draft.changes("distribute") {
        look.targets(&draft.planned, found).await;
    }
}

struct Look<'a> {
    context: &'a Context,
    op: &'a Op,
    scope: Scope,
}

/// What is known of an object that a template names.
enum Seen {
    /// It is planned in this run, or cannot be read.
    Unknown,
    Missing,
    There(Json),
}

impl Look<'_> {
    async fn at(&self, id: &str) -> Seen {
        if self.op.planned_object(id).is_some() || self.context.run.has(id, Event::Published) {
            return Seen::Unknown;
        }
        match self.context.client.get_opt(&self.scope, &Target::at(id.trim_end_matches('/'))).await {
            Ok(Some(object)) => Seen::There(object),
            Ok(None) => Seen::Missing,
            Err(error) => {
                tracing::debug!(%error, id, "what the template names cannot be read, so it is not checked");
                Seen::Unknown
            }
        }
    }

    async fn source(&self, planned: &Value, found: &mut Diagnostics) {
        let (source, location) = (planned.get("source"), planned.get("location").as_str());
        if let Some(id) = source.get("managed_image_id").as_str() {
            let path = Path::attribute("source").then("managed_image_id");
            match self.at(id).await {
                Seen::There(image) => {
                    if let (Some(location), Some(have)) = (location, body::text(&image, "location"))
                        && !region::same_region(&have, location)
                    {
                        found.error(
                            path.clone(),
                            "The source is in another region",
                            format!("The managed image is in {have}, and builds read one in the region of the template, {location}."),
                        );
                    }
                    let state = body::text(&image, "properties.storageProfile.osDisk.osState");
                    if state.is_some_and(|state| state.eq_ignore_ascii_case("Specialized")) {
                        specialized(path, found);
                    }
                }
                Seen::Missing => missing(path, id, found),
                Seen::Unknown => {}
            }
        }
        if let Some(id) = source.get("image_version_id").as_str()
            && let Ok(version) = ResourceId::parse_as(id, IMAGE_VERSION)
        {
            self.source_version(&version, location, found).await;
        }
    }

    async fn source_version(&self, version: &ResourceId, location: Option<&str>, found: &mut Diagnostics) {
        let path = Path::attribute("source").then("image_version_id");
        let Some(definition) = version.parent() else { return };
        match self.at(&definition.to_string()).await {
            Seen::Missing => return missing(path, &definition.to_string(), found),
            Seen::There(definition) if is_specialized(&definition) => return specialized(path, found),
            _ => {}
        }
        if version.name().eq_ignore_ascii_case("latest") {
            return;
        }
        match self.at(&version.to_string()).await {
            Seen::Missing => missing(path, &version.to_string(), found),
            Seen::There(version) => {
                let regions: Vec<String> =
                    body::items(&version, "properties.publishingProfile.targetRegions")
                        .iter()
                        .filter_map(|region| body::text(region, "name"))
                        .collect();
                if let Some(location) = location
                    && !regions.is_empty()
                    && !regions.iter().any(|have| region::same_region(have, location))
                {
                    found.error(
                        path,
                        "The source is not replicated to the region of the template",
                        format!(
                            "Builds read it in {location}, and it is in {}. Add the region to the version, or build in another.",
                            regions.join(", ")
                        ),
                    );
                }
            }
            Seen::Unknown => {}
        }
    }

    async fn targets(&self, planned: &Value, found: &mut Diagnostics) {
        let path = Path::attribute("distribute");
        let mut seen: Vec<&str> = Vec::new();
        for target in planned.get("distribute").elements() {
            let Some(id) = target.get("image_version").get("image_definition_id").as_str() else { continue };
            if seen.iter().any(|seen| same_id(seen, id)) {
                continue;
            }
            seen.push(id);
            match self.at(id).await {
                Seen::Missing => missing(path.clone(), id, found),
                Seen::There(definition) if is_specialized(&definition) => found.error(
                    path.clone(),
                    "The image definition is specialized",
                    format!("Builds make generalized images. Distribute to a definition with os_state = \"Generalized\".\n\n{id}"),
                ),
                _ => {}
            }
        }
    }
}

fn is_specialized(definition: &Json) -> bool {
    body::text(definition, "properties.osState")
        .is_some_and(|state| state.eq_ignore_ascii_case("Specialized"))
}

fn missing(path: Path, id: &str, found: &mut Diagnostics) {
    found.error(path, "The image does not exist", format!("Create it first, or correct the ID.\n\n{id}"));
}

fn specialized(path: Path, found: &mut Diagnostics) {
    found.error(path, "The source is specialized", "Image Builder builds from generalized images only.");
}
