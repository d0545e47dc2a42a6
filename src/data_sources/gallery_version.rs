//! Lists the versions of an image definition or a gallery application, with the properties that determine the
//! selection.

use serde_json::Value as Json;

use crate::arm::{ResourceId, Target, id, region};
use crate::azure::attributes::instant;
use crate::azure::context::scope;
use crate::azure::gallery_version::Kind;
use crate::azure::objects::application_version::ApplicationVersion;
use crate::azure::objects::target_region::TargetRegion;
use crate::azure::objects::version::Version;
use crate::azure::{Context, fault};
use crate::framework::Op;
use crate::image::{Candidate, RegionState};
use crate::schema::{Diagnostic, Diagnostics, Path};

use super::finding::{self, absent};

/// The properties of a version that determine whether it is selected.
pub fn candidate(version: &Version) -> Candidate {
    let replication = &version.replication;
    let state_in = |name: &str| {
        let region = replication.regions.get(&region::normalise(name));
        region.map(|region| region.state).unwrap_or_default().as_str().to_owned()
    };
    let state = |target: &TargetRegion| RegionState {
        excluded: target.exclude_from_latest,
        state: replication.reported.then(|| state_in(&target.name)),
    };
    Candidate {
        version: version.name.clone(),
        excluded_globally: version.exclude_from_latest.unwrap_or_default(),
        regions: version
            .target_region
            .iter()
            .map(|target| (region::normalise(&target.name), state(target)))
            .collect(),
        provisioning_state: version.provisioning_state.clone().unwrap_or_default(),
        end_of_life_date: version.end_of_life_date.iter().flatten().find_map(|date| instant(date)),
        tags: version.tags.clone(),
    }
}

/// A version of an image definition or of a gallery application.
pub trait GalleryVersion: Send + Sync {
    /// Reads a response.
    fn read(version: &Json) -> Self;
    /// The properties that all kinds of versions have.
    fn common(&self) -> &Version;
}

impl GalleryVersion for Version {
    fn read(version: &Json) -> Version {
        Version::read(version)
    }

    fn common(&self) -> &Version {
        self
    }
}

impl GalleryVersion for ApplicationVersion {
    fn read(version: &Json) -> ApplicationVersion {
        ApplicationVersion::read(version)
    }

    fn common(&self) -> &Version {
        &self.common
    }
}

/// Lists the versions of `parent`, an image definition or a gallery application.
pub async fn list<V: GalleryVersion>(
    context: &Context,
    op: &Op,
    kind: &Kind,
    parent: &ResourceId,
) -> Result<Vec<V>, Diagnostics> {
    let scope = scope(op, format!("listing versions of {} {:?}", kind.parent_noun, parent.name()));
    match context.client.list(&scope, &versions(parent)).await {
        Ok(versions) => Ok(versions.iter().map(V::read).collect()),
        Err(error) if error.is_not_found() => {
            let gallery = parent.parent().map(|gallery| gallery.to_string()).unwrap_or_default();
            let siblings = parent.types().last().copied().unwrap_or_default();
            let siblings = Target::at(format!("{gallery}/{siblings}"));
            let names = finding::names(context, &scope, &siblings).await;
            Err(absent(
                format!("There is no {} {:?}", kind.parent_noun, parent.name()),
                Path::attribute(kind.parent),
                parent.name(),
                &names,
                &format!("The gallery {gallery}"),
            )
            .into())
        }
        Err(error) => Err(fault::diagnostic(&error, scope.what(), &parent.to_string()).into()),
    }
}

/// The target that lists the versions of `parent`.
pub fn versions(parent: &ResourceId) -> Target {
    Target::at(format!("{parent}/versions"))
}

/// Parses the attribute `image_definition_id`.
pub fn definition(id: &str) -> Result<ResourceId, Diagnostic> {
    ResourceId::parse_as(id, id::IMAGE_DEFINITION).map_err(|error| {
        Diagnostic::error("Invalid value for image_definition_id", error.to_string())
            .at(Path::attribute("image_definition_id"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_the_state_of_each_region_in_any_spelling() {
        let version = json!({"name": "1.0.0", "tags": {"a": "b"}, "properties": {
            "provisioningState": "Succeeded",
            "publishingProfile": {
                "excludeFromLatest": true, "endOfLifeDate": "2027-01-01T00:00:00-07:00",
                "targetRegions": [{"name": "East US 2", "excludeFromLatest": false}, {"name": "West US"}],
            },
            "replicationStatus": {"summary": [{"region": "eastus2", "state": "Replicating"}]},
        }});
        let candidate = candidate(&Version::read(&version));
        assert!(candidate.excluded_globally && candidate.end_of_life_date.is_some());
        let east = &candidate.regions["eastus2"];
        assert_eq!((east.excluded, east.state.as_deref()), (Some(false), Some("Replicating")));
        assert_eq!(candidate.regions["westus"].state.as_deref(), Some("Unknown"));
    }

    #[test]
    fn candidate_and_replication_state_are_consistent() {
        for (status, state) in [
            (serde_json::Value::Null, None),
            (json!({"aggregatedState": "Completed", "summary": []}), Some("Completed")),
            (json!({"aggregatedState": "InProgress", "summary": []}), Some("Unknown")),
            (json!({"summary": [{"region": "westus", "state": "Completed"}]}), Some("Unknown")),
            (json!({"summary": [{"region": "East US", "state": "completed"}]}), Some("Completed")),
        ] {
            let version = json!({"name": "1.0.0", "properties": {
                "provisioningState": "Succeeded", "replicationStatus": status,
                "publishingProfile": {"targetRegions": [{"name": "eastus"}]},
            }});
            let version = Version::read(&version);
            let region = &candidate(&version).regions["eastus"];
            assert_eq!(region.state.as_deref(), state, "{status}");
            let shown = version.replication.states();
            assert_eq!(shown["eastus"], state.unwrap_or("Completed"), "{status}");
        }
    }
}
