//! Whether the source of a planned version exists and fits its image definition.

use serde_json::Value as Json;

use super::definition;
use crate::arm::id::{IMAGE_VERSION, MANAGED_IMAGE, VIRTUAL_MACHINE};
use crate::arm::{ResourceId, Scope, Target, region};
use crate::azure::objects::definition::Definition;
use crate::azure::objects::source::{DISK, SNAPSHOT};
use crate::azure::objects::version::Version;
use crate::azure::{Context, body, fault};
use crate::framework::Op;
use crate::schema::{Diagnostic, Diagnostics, Path, Value};

/// The checks of one plan's source.
pub struct SourceCheck<'a> {
    /// The configured provider.
    pub context: &'a Context,
    /// The framework's frame, which knows what this run plans.
    pub op: &'a Op,
    /// The frame of the requests.
    pub scope: &'a Scope,
    /// The definition, when anything is known about it.
    pub definition: Option<&'a Definition>,
    /// The home region, when it is known.
    pub location: Option<&'a str>,
}

/// What a source says about itself; `None` where it says nothing.
#[derive(Debug, Default)]
struct SourceFacts {
    os_type: Option<String>,
    os_state: Option<String>,
    generation: Option<String>,
    architecture: Option<String>,
    regions: Vec<String>,
}

impl SourceCheck<'_> {
    /// Checks every source that is named by a known ID.
    pub async fn run(&self, source: &Value, found: &mut Diagnostics) {
        let path = Path::attribute("source");
        for (attribute, kind) in [
            ("managed_image_id", MANAGED_IMAGE),
            ("virtual_machine_id", VIRTUAL_MACHINE),
            ("image_version_id", IMAGE_VERSION),
        ] {
            self.one(source.get(attribute), kind, path.then(attribute), found).await;
        }
        for (attribute, kind) in [("snapshot_id", SNAPSHOT), ("disk_id", DISK)] {
            let os_disk = path.then("os_disk").then(attribute);
            self.one(source.get("os_disk").get(attribute), kind, os_disk, found).await;
            for disk in source.get("data_disk").elements() {
                let data_disk = path.then("data_disk").element().then(attribute);
                self.one(disk.get(attribute), kind, data_disk, found).await;
            }
        }
    }

    async fn one(&self, id: &Value, kind: &str, path: Path, found: &mut Diagnostics) {
        let Some(id) = id.as_str().and_then(|id| ResourceId::parse_as(id, kind).ok()) else { return };
        self.security_type(&id, kind, &path, found);
        // a data disk has no operating system
        let is_data_disk = path.addressable().len() < path.0.len();
        if let Some(planned) = self.op.planned_object(&id.to_string()) {
            let facts = self.planned_facts(kind, &id, &planned).await;
            return self.compare(&id, facts, is_data_disk, &path, found);
        }
        let mut target = Target::at(id.to_string());
        if kind == VIRTUAL_MACHINE {
            target = target.query("$expand", "instanceView");
        }
        let source = match self.context.client.get_opt(self.scope, &target).await {
            Ok(Some(source)) => source,
            Ok(None) => return missing(&id, path, found),
            // it may be hidden from this identity, which is no reason to object
            Err(error) => return tracing::debug!(%error, %id, "the source cannot be read while planning"),
        };
        let facts = self.facts(kind, &id, &source).await;
        self.compare(&id, facts, is_data_disk, &path, found);
        if kind == VIRTUAL_MACHINE {
            self.generalized(&id, &source, path, found);
        }
    }

    // What the service says about the source.
    async fn facts(&self, kind: &str, id: &ResourceId, source: &Json) -> SourceFacts {
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
                let version = Version::read(source);
                let regions = version.target_region.iter().map(|target| target.name.clone()).collect();
                self.version_facts(id, regions).await
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

    // What this run plans for a source that it creates or manages.
    async fn planned_facts(&self, kind: &str, id: &ResourceId, planned: &Value) -> SourceFacts {
        let text = |value: &Value, name: &str| value.get(name).as_str().map(str::to_owned);
        if kind == IMAGE_VERSION {
            let targets = planned.get("target_region");
            let names = targets.elements().iter().map(|target| text(target, "name"));
            let mut regions: Vec<String> = names.collect::<Option<_>>().unwrap_or_default();
            if !targets.is_unknown() && targets.is_empty() {
                regions.extend(text(planned, "location"));
            }
            return self.version_facts(id, regions).await;
        }
        let os_disk = planned.get("os_disk");
        SourceFacts {
            os_type: text(os_disk, "os_type"),
            os_state: text(os_disk, "os_state"),
            generation: text(planned, "hyper_v_generation"),
            regions: text(planned, "location").into_iter().collect(),
            ..SourceFacts::default()
        }
    }

    // A version has the properties of its definition.
    async fn version_facts(&self, id: &ResourceId, regions: Vec<String>) -> SourceFacts {
        let definition = match id.parent() {
            Some(parent) => definition::find(self.context, self.op, self.scope, &parent).await,
            None => None,
        };
        let definition = definition.unwrap_or_default();
        SourceFacts {
            os_type: definition.os_type,
            os_state: definition.os_state,
            generation: definition.hyper_v_generation,
            architecture: definition.architecture,
            regions,
        }
    }

    fn compare(
        &self,
        id: &ResourceId,
        facts: SourceFacts,
        is_data_disk: bool,
        path: &Path,
        found: &mut Diagnostics,
    ) {
        let name = id.name();
        let nothing = Definition::default();
        let wanted = self.definition.filter(|_| !is_data_disk).unwrap_or(&nothing);
        for (what, attribute, have, want) in [
            ("operating system", "os_type", facts.os_type, &wanted.os_type),
            ("operating system state", "os_state", facts.os_state, &wanted.os_state),
            ("generation", "hyper_v_generation", facts.generation, &wanted.hyper_v_generation),
            ("architecture", "architecture", facts.architecture, &wanted.architecture),
        ] {
            if let (Some(have), Some(want)) = (have, want)
                && !have.eq_ignore_ascii_case(want)
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
            && !facts.regions.is_empty()
            && !facts.regions.iter().any(|have| region::same_region(have, location))
        {
            found.error(
                path.clone(),
                "The source is not in the version's region",
                format!(
                    "{name:?} is in {}, and the home region of the version is {location}. Set location to a region of the \
                     source, and add it to target_region.\n\n{id}",
                    facts.regions.join(", ")
                ),
            );
        }
    }

    // The service says "Currently only Vhd Blob, User Image and Gallery Image Version sources are supported", and accepts
    // snapshots nevertheless.
    fn security_type(&self, id: &ResourceId, kind: &str, path: &Path, found: &mut Diagnostics) {
        let supported = self.definition.and_then(|definition| definition.features.security_type.as_deref());
        if supported == Some("TrustedLaunchSupported") && [VIRTUAL_MACHINE, DISK].contains(&kind) {
            found.warning(
                path.clone(),
                "The service may refuse this kind of source",
                format!(
                    "The image definition has security_type = \"TrustedLaunchSupported\", for which the service accepts a \
                     managed image, another image version, a snapshot or a VHD, but no virtual machine or disk. Use such a \
                     source, or a definition with another security_type, such as \"TrustedLaunch\" or \"Standard\".\n\n{id}"
                ),
            );
        }
    }

    fn generalized(&self, id: &ResourceId, machine: &Json, path: Path, found: &mut Diagnostics) {
        let Some(state) = self.definition.and_then(|definition| definition.os_state.as_deref()) else {
            return;
        };
        let statuses = body::items(machine, "properties.instanceView.statuses");
        let is_generalized = statuses.iter().any(|status| {
            body::text(status, "code").is_some_and(|code| code.eq_ignore_ascii_case("OSState/generalized"))
        });
        match (state, is_generalized) {
            ("Specialized", true) => found.warning(
                path,
                format!("Virtual machine {:?} is generalized", id.name()),
                format!(
                    "The image definition has os_state = \"Specialized\": virtual machines made from this version would be \
                     copies of one that has no identity any more. Use a definition with os_state = \"Generalized\".\n\n{id}"
                ),
            ),
            ("Generalized", false) if !statuses.is_empty() => found.push(self.not_generalized(id, path)),
            _ => {}
        }
    }

    fn not_generalized(&self, id: &ResourceId, path: Path) -> Diagnostic {
        let what = format!("virtual machine {:?} is not generalized", id.name());
        let fix = format!(
            "The image definition has os_state = \"Generalized\", so the service would refuse it. Deprovision and generalize \
             it first (az vm deallocate, az vm generalize), use an azimage_managed_image with capture, which does both, or \
             use a definition with os_state = \"Specialized\".\n\n{id}"
        );
        let rules = &self.context.guardrails;
        match rules.require_generalized_source {
            Some(true) => rules.violation("require_generalized_source", path, &what, &fix),
            _ => Diagnostic::error(fault::capital(&what), fix).at(path),
        }
    }
}

fn missing(id: &ResourceId, path: Path, found: &mut Diagnostics) {
    found.error(
        path,
        format!("The source {:?} does not exist", id.name()),
        format!(
            "No version can be created from it. Correct the ID, or create the source first. A version that exists already does \
             not need its source: to keep it, use lifecycle {{ ignore_changes = [source] }}.\n\n{id}"
        ),
    );
}
