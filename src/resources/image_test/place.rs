//! The region of a test's machine, and whether the version is replicated to it.

use crate::arm::{ResourceId, Scope, Target, region};
use crate::azure::objects::definition::{Definition, Features};
use crate::azure::objects::version::Version;
use crate::azure::{Context, body};
use crate::framework::Op;
use crate::schema::{Diagnostic, Path, Value};

/// The region of a subnet's virtual network.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// It is this one.
    Region(String),
    /// The network does not exist yet.
    NotYet,
    /// The network cannot be read.
    Unreadable,
}

/// Reads the region of a subnet's virtual network.
pub async fn of_subnet(context: &Context, scope: &Scope, subnet: &ResourceId) -> Place {
    let Some(network) = subnet.parent() else { return Place::Unreadable };
    let target = Target::at(network.to_string());
    match context.run.parent(&context.client, scope, &target).await {
        Ok(Some(network)) => body::text(&network, "location")
            .map_or(Place::Unreadable, |location| Place::Region(region::normalise(&location))),
        Ok(None) => Place::NotYet,
        Err(error) => {
            tracing::debug!(%error, "the virtual network cannot be read");
            Place::Unreadable
        }
    }
}

/// The error about a version that is not replicated to the machine's region.
pub fn not_replicated(version: &Version, location: &str, id: &ResourceId) -> Option<Diagnostic> {
    let regions: Vec<String> =
        version.target_region.iter().map(|region| region::normalise(&region.name)).collect();
    if regions.is_empty() || regions.iter().any(|region| region == &region::normalise(location)) {
        return None;
    }
    Some(
        Diagnostic::error(
            format!("The version to test is not in {location}"),
            format!(
                "A machine can only be started where the version is replicated: {}. Set location and subnet_id to one of these regions, or add {location} to the version.\n\n{id}",
                regions.join(", ")
            ),
        )
        .at(Path::attribute("image_version_id")),
    )
}

/// The image definition `id`: as this run plans it, or else as it exists. `None` if neither is known.
pub async fn definition(context: &Context, op: &Op, scope: &Scope, id: &ResourceId) -> Option<Definition> {
    if let Some(planned) = op.planned_object(&id.to_string()) {
        return planned_definition(&planned);
    }
    let found = context.run.parent(&context.client, scope, &Target::at(id.to_string())).await;
    Some(Definition::read(&found.ok()??))
}

/// What a plan says of the definition that decides the size of a machine; `None` while that is not known.
fn planned_definition(planned: &Value) -> Option<Definition> {
    let names = ["hyper_v_generation", "architecture", "security_type", "disk_controller_types"];
    if names.iter().any(|name| !planned.get(name).is_wholly_known()) {
        return None;
    }
    let text = |name: &str| planned.get(name).as_str().map(str::to_owned);
    let controllers = planned.get("disk_controller_types").elements();
    Some(Definition {
        hyper_v_generation: text("hyper_v_generation"),
        architecture: text("architecture"),
        features: Features {
            security_type: text("security_type"),
            disk_controller_types: controllers.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            ..Features::default()
        },
        ..Definition::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_test_needs_a_replica_in_its_region() {
        let id = ResourceId::parse("/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries/g/images/i/versions/1.0.0").unwrap();
        let version = |regions: &[&str]| {
            let regions: Vec<_> = regions.iter().map(|name| json!({"name": name})).collect();
            Version::read(&json!({"properties": {"publishingProfile": {"targetRegions": regions}}}))
        };
        assert!(not_replicated(&version(&["East US", "West Europe"]), "westeurope", &id).is_none());
        assert!(not_replicated(&version(&[]), "westeurope", &id).is_none(), "an answer that does not say");
        let told = not_replicated(&version(&["East US"]), "westeurope", &id).unwrap();
        assert!(told.detail.contains("eastus") && told.summary.contains("westeurope"), "{told}");
    }
}
