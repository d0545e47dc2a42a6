//! The outputs of an image template: schema, request JSON and responses.

use serde_json::{Value as Json, json};

use super::{filled, word};
use crate::arm::id::{IMAGE_DEFINITION, MANAGED_IMAGE};
use crate::arm::region;
use crate::azure::attributes::{self, check_filled, check_location, id_of};
use crate::azure::body;
use crate::azure::tags::Tags;
use crate::image::check_gallery_version;
use crate::model;
use crate::schema::spec::{block, optional, required};
use crate::schema::{Diagnostics, Path, Set, Value};

const STORAGE_ACCOUNT_TYPES: &[&str] = &["Standard_LRS", "Standard_ZRS", "Premium_LRS"];
const REPLICATION_MODES: &[&str] = &["Full", "Shallow"];

model! {
    /// An image that each build creates. Set exactly one of `image_version`, `managed_image` and `vhd`.
    pub struct Distribute {
        /// The name of the output, unique in the template. Builds return their results under this name.
        pub run_output_name: String = required().check_text(check_filled),
        /// The tags of the image.
        pub artifact_tags: Option<Tags> = attributes::tags(),
        /// Creates a version of an image definition.
        pub image_version: Option<ImageVersion> = block().check(check_versioning),
        /// Creates a managed image.
        pub managed_image: Option<ManagedImage> = block(),
        /// Creates a VHD. Without a `uri`, it is in the staging resource group, which is deleted with the template.
        pub vhd: Option<Vhd> = block(),
    }
}

model! {
    /// A version of an image definition.
    pub struct ImageVersion {
        /// The ID of the image definition.
        pub image_definition_id: String = id_of(required(), IMAGE_DEFINITION),
        /// The exact number of the version, such as `1.2.0`. A template with it can be built only once.
        pub version: Option<String> = optional().check_text(check_version),
        /// How each build chooses the number of the version: `latest` for the highest existing number plus one, or
        /// `source` for the number of the source. Defaults to `latest`.
        pub versioning: Option<String> = optional().one_of(&["latest", "source"]),
        /// The major number of versions that are numbered by `latest`.
        pub major: Option<i64> = optional().between(0, i32::MAX as i64),
        /// Whether the versions are excluded when resolving `latest`.
        pub exclude_from_latest: Option<bool> = optional().default(false),
        /// How versions are replicated: `Full` or `Shallow`.
        pub replication_mode: Option<String> = optional().default("Full").one_of(REPLICATION_MODES),
        /// A region that versions are replicated to. Defaults to the region of the image definition.
        pub target_region: Set<TargetRegion> = block().key(region_key),
    }
}

model! {
    /// A region that versions are replicated to.
    pub struct TargetRegion {
        /// The region, in any spelling.
        pub name: String = required().equivalent_if(region::same_region).check_text(check_location),
        /// The number of replicas in the region.
        pub replica_count: Option<i64> = optional().default(1).between(1, 100),
        /// The storage type of the replicas.
        pub storage_account_type: Option<String> =
            optional().default("Standard_LRS").one_of(STORAGE_ACCOUNT_TYPES),
    }
}

model! {
    /// A managed image.
    pub struct ManagedImage {
        /// The ID of the managed image. Each build replaces the image.
        pub image_id: String = id_of(required(), MANAGED_IMAGE),
        /// The region of the managed image, in any spelling.
        pub location: String = required().equivalent_if(region::same_region).check_text(check_location),
    }
}

model! {
    /// A VHD.
    pub struct Vhd {
        /// The URI of the blob. Defaults to a blob in the staging resource group.
        pub uri: Option<String> = optional().or_empty().check_text(attributes::check_uri),
    }
}

/// The key of an output within its set: its name.
pub fn output_key(target: &Value) -> Option<String> {
    target.get("run_output_name").as_str().map(str::to_lowercase)
}

fn region_key(target: &Value) -> Option<String> {
    target.get("name").as_str().map(region::normalise)
}

fn check_version(text: &str) -> Result<(), String> {
    check_gallery_version(text).map_err(|why| format!("{text:?} {why}"))
}

fn check_versioning(version: &Value, path: &Path, found: &mut Diagnostics) {
    let numbered = version.get("version").is_known();
    for name in ["versioning", "major"].into_iter().filter(|name| numbered && version.get(name).is_known()) {
        found.error(
            path.then(name),
            format!("{name} does not go with version"),
            "A version with an exact number is not numbered by a build. Remove one of the two.",
        );
    }
    if version.get("versioning").as_str() == Some("source") && version.get("major").is_known() {
        found.error(
            path.then("major"),
            "major does not go with versioning = \"source\"",
            "The major number is that of the source. Remove major, or set versioning = \"latest\".",
        );
    }
}

/// Checks that an output is of exactly one kind.
pub fn check_distribute(target: &Value, path: &Path, found: &mut Diagnostics) {
    const KINDS: [&str; 3] = ["image_version", "managed_image", "vhd"];
    if target.is_unknown() || KINDS.iter().any(|kind| target.get(kind).is_unknown()) {
        return;
    }
    if KINDS.iter().filter(|kind| target.get(kind).is_known()).count() != 1 {
        found.error(
            path.clone(),
            "A distribute block must be of exactly one kind",
            format!("It contains exactly one of {}.", KINDS.join(", ")),
        );
    }
}

/// Checks that no two outputs have the same name.
pub fn check_names(targets: &Value, found: &mut Diagnostics) {
    let mut seen: Vec<String> = Vec::new();
    for name in targets.elements().iter().filter_map(output_key) {
        if seen.contains(&name) {
            found.error(
                Path::attribute("distribute"),
                format!("Duplicate run_output_name {name:?}"),
                "Each distribute block needs its own run_output_name.",
            );
        }
        seen.push(name);
    }
}

/// The `distribute` member of a template, in the order of the names.
pub fn expand(targets: &[Distribute]) -> Json {
    let mut targets: Vec<&Distribute> = targets.iter().collect();
    targets.sort_by(|a, b| a.run_output_name.cmp(&b.run_output_name));
    targets.into_iter().map(expand_one).collect()
}

fn expand_one(target: &Distribute) -> Json {
    let mut json = if let Some(it) = &target.image_version {
        let id = match &it.version {
            Some(version) => format!("{}/versions/{version}", it.image_definition_id.trim_end_matches('/')),
            None => it.image_definition_id.clone(),
        };
        json!({
            "type": "SharedImage",
            "galleryImageId": id,
            "excludeFromLatest": it.exclude_from_latest.filter(|excluded| *excluded),
            "replicationMode": it.replication_mode.as_ref().filter(|mode| *mode != "Full"),
            "versioning": versioning(it),
            "targetRegions": regions(&it.target_region),
        })
    } else if let Some(it) = &target.managed_image {
        json!({"type": "ManagedImage", "imageId": it.image_id, "location": it.location})
    } else {
        json!({"type": "VHD", "uri": target.vhd.as_ref().and_then(|vhd| vhd.uri.clone())})
    };
    json["runOutputName"] = json!(target.run_output_name);
    json["artifactTags"] = json!(target.artifact_tags);
    body::without_nulls(json)
}

fn versioning(version: &ImageVersion) -> Json {
    match (version.versioning.as_deref(), version.major) {
        (Some("source"), _) => json!({"scheme": "Source"}),
        (None, None) => Json::Null,
        (_, major) => json!({"scheme": "Latest", "major": major}),
    }
}

fn regions(targets: &[TargetRegion]) -> Json {
    if targets.is_empty() {
        return Json::Null;
    }
    let mut targets: Vec<&TargetRegion> = targets.iter().collect();
    targets.sort_by_key(|target| region::normalise(&target.name));
    targets
        .into_iter()
        .map(|target| {
            json!({
                "name": target.name, "replicaCount": target.replica_count,
                "storageAccountType": target.storage_account_type,
            })
        })
        .collect()
}

/// Reads the outputs of a template. `known` contains values that the service does not return; `None` after an import.
pub fn read(template: &Json, known: &[Distribute]) -> Set<Distribute> {
    let targets = body::items(template, "properties.distribute").iter();
    targets
        .map(|target| {
            let name = body::text(target, "runOutputName").unwrap_or_default();
            let known = known.iter().find(|known| known.run_output_name.eq_ignore_ascii_case(&name));
            read_one(target, name, known)
        })
        .collect()
}

fn read_one(target: &Json, run_output_name: String, known: Option<&Distribute>) -> Distribute {
    let artifact_tags: Tags = body::at(target, "artifactTags")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    let mut read = Distribute {
        run_output_name,
        artifact_tags: (!artifact_tags.is_empty()).then_some(artifact_tags),
        ..Distribute::default()
    };
    match body::text(target, "type").unwrap_or_default().as_str() {
        "SharedImage" => {
            let known = known.and_then(|known| known.image_version.as_ref());
            read.image_version = Some(read_version(target, known));
        }
        "ManagedImage" => {
            read.managed_image = Some(ManagedImage {
                image_id: body::text(target, "imageId").unwrap_or_default(),
                location: body::text(target, "location").unwrap_or_default(),
            });
        }
        _ => read.vhd = Some(Vhd { uri: filled(target, "uri") }),
    }
    read
}

fn read_version(target: &Json, known: Option<&ImageVersion>) -> ImageVersion {
    let id = body::text(target, "galleryImageId").unwrap_or_default();
    let at = id.to_lowercase().find("/versions/");
    let (definition, version) = match at {
        Some(at) => (id[..at].to_owned(), Some(id[at + "/versions/".len()..].to_owned())),
        None => (id, None),
    };
    // the service does not return the choice in every API version
    let (mut versioning, mut major) =
        known.map_or((None, None), |known| (known.versioning.clone(), known.major));
    match word(target, "versioning.scheme", &["Latest", "Source"]).as_deref() {
        Some("Source") => (versioning, major) = (Some("source".to_owned()), None),
        Some("Latest") => {
            major = body::int(target, "versioning.major").filter(|major| *major >= 0);
            versioning = match known {
                Some(known) if known.versioning.is_none() => None,
                None if major.is_none() => None,
                _ => Some("latest".to_owned()),
            };
        }
        _ => {}
    }
    ImageVersion {
        image_definition_id: definition,
        version,
        versioning,
        major,
        exclude_from_latest: Some(body::bool(target, "excludeFromLatest") == Some(true)),
        replication_mode: Some(
            word(target, "replicationMode", REPLICATION_MODES).unwrap_or_else(|| "Full".to_owned()),
        ),
        target_region: read_regions(target),
    }
}

// older templates have their regions in another member, with one storage type for all
fn read_regions(target: &Json) -> Set<TargetRegion> {
    let storage = |json: &Json| {
        Some(
            word(json, "storageAccountType", STORAGE_ACCOUNT_TYPES)
                .unwrap_or_else(|| "Standard_LRS".to_owned()),
        )
    };
    let new = body::items(target, "targetRegions").iter().filter_map(|region| {
        Some(TargetRegion {
            name: body::text(region, "name")?,
            replica_count: Some(body::int(region, "replicaCount").unwrap_or(1)),
            storage_account_type: storage(region),
        })
    });
    let old = body::texts(target, "replicationRegions")
        .unwrap_or_default()
        .into_iter()
        .map(|name| TargetRegion { name, replica_count: Some(1), storage_account_type: storage(target) });
    let mut regions: Vec<TargetRegion> = new.collect();
    for region in old {
        if !regions.iter().any(|known| region::same_region(&known.name, &region.name)) {
            regions.push(region);
        }
    }
    Set(regions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Slot;

    const DEFINITION: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers/Microsoft.Compute/galleries/g/images/i";

    fn version(versioning: Option<&str>, major: Option<i64>) -> Distribute {
        let region = TargetRegion {
            name: "West Europe".into(),
            replica_count: Some(2),
            storage_account_type: Some("Standard_ZRS".into()),
        };
        Distribute {
            run_output_name: "web".into(),
            artifact_tags: Some([("a".to_owned(), "b".to_owned())].into()),
            image_version: Some(ImageVersion {
                image_definition_id: DEFINITION.into(),
                versioning: versioning.map(str::to_owned),
                major,
                exclude_from_latest: Some(true),
                replication_mode: Some("Shallow".into()),
                target_region: Set(vec![region]),
                ..ImageVersion::default()
            }),
            ..Distribute::default()
        }
    }

    #[test]
    fn expand_and_flatten_round_trip() {
        let image = ManagedImage {
            image_id: DEFINITION.replace("galleries/g/images", "images"),
            location: "eastus".into(),
        };
        let mut exact = version(None, None);
        exact.image_version.as_mut().unwrap().version = Some("1.2.3".into());
        for target in [
            version(Some("source"), None),
            version(Some("latest"), Some(2)),
            exact,
            Distribute {
                managed_image: Some(image),
                ..Distribute { image_version: None, ..version(None, None) }
            },
            Distribute { run_output_name: "v".into(), vhd: Some(Vhd::default()), ..Distribute::default() },
        ] {
            let json = expand(std::slice::from_ref(&target));
            let template = json!({"properties": {"distribute": json}});
            assert_eq!(read(&template, &[]).0, std::slice::from_ref(&target));
            assert_eq!(read(&template, std::slice::from_ref(&target)).0, [target]);
        }
    }

    #[test]
    fn keeps_values_that_the_service_does_not_return() {
        let known = version(Some("latest"), Some(2));
        let mut json = expand(std::slice::from_ref(&known));
        json[0]["versioning"] = Json::Null;
        let template = json!({"properties": {"distribute": json}});
        assert_eq!(read(&template, std::slice::from_ref(&known)).0, [known]);
        assert_eq!(read(&template, &[]).0, [version(None, None)], "an import knows nothing");
        // the service's defaults for omitted values
        json[0]["versioning"] = json!({"scheme": "Latest", "major": -1});
        let template = json!({"properties": {"distribute": json}});
        assert_eq!(read(&template, &[version(None, None)]).0, [version(None, None)]);
    }

    #[test]
    fn reads_regions_of_older_templates() {
        let template = json!({"properties": {"distribute": [{"type": "SharedImage", "runOutputName": "o",
            "galleryImageId": DEFINITION, "replicationRegions": ["westus", "East US"], "storageAccountType": "standard_zrs"}]}});
        let regions = read(&template, &[])[0].image_version.clone().unwrap().target_region;
        let names: Vec<&str> = regions.iter().map(|region| region.name.as_str()).collect();
        assert_eq!(names, ["westus", "East US"]);
        assert_eq!(regions[0].storage_account_type.as_deref(), Some("Standard_ZRS"));
    }

    #[test]
    fn version_number_arguments_are_consistent() {
        let check = |version: Value| {
            let mut found = Diagnostics::new();
            check_versioning(&version, &Path::root(), &mut found);
            found.0.len()
        };
        for (number, versioning, major, errors) in [
            (Some("1.0.0"), None, None, 0),
            (Some("1.0.0"), Some("latest"), Some(1), 2),
            (None, Some("source"), Some(1), 1),
            (None, Some("latest"), Some(1), 0),
            (None, None, Some(1), 0),
        ] {
            let version = ImageVersion {
                version: number.map(str::to_owned),
                versioning: versioning.map(str::to_owned),
                major,
                ..ImageVersion::default()
            };
            assert_eq!(check(version.encode()), errors, "{version:?}");
        }
    }
}
