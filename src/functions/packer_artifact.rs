//! `packer_artifact(manifest_json)`: the images that the last run of Packer built.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use super::{argument, text};
use crate::arm::ResourceId;
use crate::arm::id::{IMAGE_VERSION, MANAGED_IMAGE};
use crate::framework::{Function, FunctionError, Signature};
use crate::schema::{Type, Value};

/// The function.
pub struct PackerArtifact;

/// The texts of one build, in the order of the documentation.
const TEXTS: [&str; 7] =
    ["kind", "id", "subscription_id", "resource_group_name", "gallery", "image", "version"];

impl Function for PackerArtifact {
    fn name(&self) -> &'static str {
        "packer_artifact"
    }

    fn signature(&self) -> Signature {
        let mut build: BTreeMap<String, Type> =
            TEXTS.into_iter().map(|name| (name.to_owned(), Type::String)).collect();
        build.insert("build_time".to_owned(), Type::Number);
        build.insert("custom_data".to_owned(), Type::map(Type::String));
        Signature {
            summary: "Returns the images that the last run of Packer built.",
            doc: "Reads the file that Packer's `manifest` post-processor writes. Packer appends to it, so only the builds of \
                  the last run count, of which there may be several. Builds that are not for Azure are left out.\n\n\
                  The result has `builds`, a map by the name of the source (`ubuntu` for `source.azure-arm.ubuntu`). All \
                  attributes of a build are always there, and null where the manifest does not say:\n\n\
                  - `kind`: `image_version`, `managed_image`, `vhd`, `os_disk`, or `none` if the artifact is none of them\n\
                  - `id`: the ID of the image, or the URL of a VHD\n\
                  - `subscription_id`, `resource_group_name`, `gallery`, `image`, `version`: the parts of the ID\n\
                  - `build_time`: in seconds since 1970\n\
                  - `custom_data`: the map of the template, empty if there is none\n\n\
                  A build that makes a managed image *and* a gallery version records the managed image only. Write the ID of \
                  the version into the post-processor's `custom_data` as `image_version_id`: where that is the ID of an image \
                  version it takes precedence.\n\n\
                  ```terraform\n\
                  provider::azimage::packer_artifact(file(\"packer-manifest.json\")).builds[\"ubuntu\"].id\n\
                  ```",
            parameters: vec![text("manifest_json", "The content of the manifest file.")],
            returns: Type::object([("builds", Type::map(Type::Object(build)))]),
        }
    }

    fn call(&self, arguments: &[Value]) -> Result<Value, FunctionError> {
        let builds = last_run(argument(arguments, 0)).map_err(|why| FunctionError::argument(0, why))?;
        let builds = builds.into_iter().map(|(name, build)| (name, build.encode())).collect();
        Ok(Value::object([("builds", Value::Map(builds))]))
    }
}

/// The members of the manifest that are used. Packer omits members or writes null.
#[derive(Deserialize)]
struct Manifest {
    builds: Vec<Build>,
    last_run_uuid: Option<String>,
}

#[derive(Clone, Deserialize, PartialEq)]
struct Build {
    name: Option<String>,
    builder_type: Option<String>,
    build_time: Option<i64>,
    artifact_id: Option<String>,
    packer_run_uuid: Option<String>,
    custom_data: Option<BTreeMap<String, Json>>,
}

/// The Azure builds of the last run, by name.
fn last_run(manifest: &str) -> Result<BTreeMap<String, Build>, String> {
    let manifest: Manifest = serde_json::from_str(manifest.trim_start_matches('\u{feff}'))
        .map_err(|error| format!("this is not a Packer manifest: {error}"))?;
    let run = |build: &Build| build.packer_run_uuid.clone().filter(|run| !run.is_empty());
    let last =
        manifest.last_run_uuid.filter(|run| !run.is_empty()).or_else(|| manifest.builds.last().and_then(run));
    let mut builds = BTreeMap::new();
    for build in manifest.builds {
        let builder = build.builder_type.as_deref().unwrap_or("azure-arm");
        if run(&build) != last || !builder.starts_with("azure-") {
            continue;
        }
        let name = build.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| builder.to_owned());
        match builds.get(&name) {
            Some(other) if *other != build => {
                return Err(format!(
                    "the last run has two different builds with the name {name:?}: give their sources different names"
                ));
            }
            _ => builds.insert(name, build),
        };
    }
    Ok(builds)
}

impl Build {
    fn encode(&self) -> Value {
        let found = self.artifact();
        let mut build: BTreeMap<String, Value> = TEXTS
            .into_iter()
            .map(|name| {
                let text = found.iter().find(|(have, _)| *have == name);
                (name.to_owned(), text.map_or(Value::Null, |(_, text)| Value::string(text.as_str())))
            })
            .collect();
        // strip_time omits it, and 0 means the same
        let time = self.build_time.filter(|time| *time != 0);
        build.insert("build_time".to_owned(), time.map_or(Value::Null, Value::int));
        let custom_data = self.custom_data.iter().flatten().filter_map(|(name, value)| {
            let text = match value {
                Json::Null => return None,
                Json::String(text) => text.clone(),
                other => other.to_string(),
            };
            Some((name.clone(), Value::String(text)))
        });
        build.insert("custom_data".to_owned(), Value::Map(custom_data.collect()));
        Value::Object(build)
    }

    /// The kind of the artifact, its ID, and the parts of the ID.
    fn artifact(&self) -> Vec<(&'static str, String)> {
        let given = self.custom_data.as_ref().and_then(|data| data.get("image_version_id")?.as_str());
        let version = |text: &str| ResourceId::parse_as(text, IMAGE_VERSION).ok();
        if let Some(id) = given.and_then(version) {
            return parts("image_version", &id);
        }
        let artifact = self.artifact_id.as_deref().unwrap_or_default().trim();
        if let Some(id) = version(artifact) {
            return parts("image_version", &id);
        }
        if let Ok(id) = ResourceId::parse_as(artifact, MANAGED_IMAGE) {
            return parts("managed_image", &id);
        }
        let kind = match ResourceId::parse_as(artifact, "Microsoft.Compute/disks") {
            Ok(_) => "os_disk",
            Err(_) if artifact.to_ascii_lowercase().starts_with("https://") => "vhd",
            Err(_) => return vec![("kind", "none".to_owned())],
        };
        vec![("kind", kind.to_owned()), ("id", artifact.to_owned())]
    }
}

fn parts(kind: &str, id: &ResourceId) -> Vec<(&'static str, String)> {
    let mut parts = vec![
        ("kind", kind.to_owned()),
        ("id", id.to_string()),
        ("subscription_id", id.subscription_id().to_owned()),
        ("resource_group_name", id.resource_group().to_owned()),
    ];
    let names = [("gallery", "galleries"), ("image", "images"), ("version", "versions")];
    parts.extend(names.into_iter().filter_map(|(key, kind)| Some((key, id.name_of(kind)?.to_owned()))));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const GROUP: &str = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute";

    fn builds(manifest: &Json) -> Result<BTreeMap<String, Value>, String> {
        let result = PackerArtifact.call(&[manifest.to_string().as_str().into()]);
        let result = result.map_err(|error| error.text)?;
        Ok(result.get("builds").entries().map(|(name, build)| (name.clone(), build.clone())).collect())
    }

    fn build(name: &str, run: &str, artifact: &str) -> Json {
        json!({
            "name": name, "builder_type": "azure-arm", "build_time": 1787302650, "files": null,
            "artifact_id": artifact, "packer_run_uuid": run, "custom_data": {"git": "3f9c2ab"},
        })
    }

    #[test]
    fn returns_all_builds_of_the_last_run_only() {
        let version = format!("{GROUP}/galleries/g/images/web/versions/1.4.2");
        let manifest = json!({
            "builds": [
                build("old", "run-1", &version),
                build("ubuntu", "run-2", &version),
                build("ubuntu", "run-1", "UNKNOWN ID"),
                build("windows", "run-2", &format!("{GROUP}/images/win")),
                {"name": "aws", "builder_type": "amazon-ebs", "artifact_id": "ami", "packer_run_uuid": "run-2"},
                build("late", "run-1", ""),
            ],
            "last_run_uuid": "run-2",
        });
        let builds = builds(&manifest).unwrap();
        assert_eq!(builds.keys().collect::<Vec<_>>(), ["ubuntu", "windows"]);
        let ubuntu = &builds["ubuntu"];
        for (name, expected) in [
            ("kind", "image_version"),
            ("id", version.as_str()),
            ("subscription_id", "s"),
            ("resource_group_name", "rg"),
            ("gallery", "g"),
            ("image", "web"),
            ("version", "1.4.2"),
        ] {
            assert_eq!(ubuntu.get(name).as_str(), Some(expected), "{name}");
        }
        assert_eq!(ubuntu.get("build_time").as_i64(), Some(1_787_302_650));
        let custom_data: Vec<_> = ubuntu.get("custom_data").entries().collect();
        assert_eq!(custom_data, [(&"git".to_owned(), &Value::string("3f9c2ab"))]);
        assert_eq!(builds["windows"].get("kind").as_str(), Some("managed_image"));
        assert_eq!(builds["windows"].get("image").as_str(), Some("win"));
    }

    #[test]
    fn recognises_every_artifact() {
        let version = format!("{GROUP}/galleries/g/images/i/versions/1.0.0");
        let vhd = "https://acc.blob.core.windows.net/images/web.vhd";
        let disk = format!("{GROUP}/disks/os");
        let upper = format!("{GROUP}/images/x").to_uppercase();
        for (artifact, given, kind, id) in [
            (version.as_str(), None, "image_version", Some(version.as_str())),
            (
                upper.as_str(),
                None,
                "managed_image",
                Some("/subscriptions/S/resourceGroups/RG/providers/Microsoft.Compute/images/X"),
            ),
            (upper.as_str(), Some(version.as_str()), "image_version", Some(version.as_str())),
            (vhd, Some("web"), "vhd", Some(vhd)),
            (disk.as_str(), None, "os_disk", Some(disk.as_str())),
            ("UNKNOWN ID", None, "none", None),
            ("", None, "none", None),
            ("", Some(version.as_str()), "image_version", Some(version.as_str())),
        ] {
            let mut one = build("b", "r", artifact);
            if let Some(given) = given {
                one["custom_data"]["image_version_id"] = json!(given);
            }
            let found = builds(&json!({"builds": [one], "last_run_uuid": "r"})).unwrap();
            assert_eq!(found["b"].get("kind").as_str(), Some(kind), "{artifact}");
            assert_eq!(found["b"].get("id").as_str(), id, "{artifact}");
        }
    }

    #[test]
    fn tolerates_missing_members() {
        let found = builds(&json!({"builds": [{"artifact_id": format!("{GROUP}/images/i")}]})).unwrap();
        let build = &found["azure-arm"];
        assert_eq!(build.get("kind").as_str(), Some("managed_image"));
        assert!(build.get("build_time").is_null() && build.get("custom_data").is_empty());
        let found = builds(&json!({"builds": [{"name": "n", "custom_data": null, "files": null}]})).unwrap();
        assert_eq!(found["n"].get("kind").as_str(), Some("none"));
        assert!(builds(&json!({"builds": []})).unwrap().is_empty());
        let unfinished = json!({"builds": [build_of("a", "run-1")], "last_run_uuid": "run-2"});
        assert!(builds(&unfinished).unwrap().is_empty(), "the last run has built nothing");
        let without_last = json!({"builds": [build_of("a", "run-1"), build_of("b", "run-2")]});
        assert_eq!(builds(&without_last).unwrap().keys().collect::<Vec<_>>(), ["b"]);
    }

    fn build_of(name: &str, run: &str) -> Json {
        build(name, run, "")
    }

    #[test]
    fn errors_describe_the_mistake() {
        for (manifest, why) in [
            (json!([]), "not a Packer manifest"),
            (json!({"last_run_uuid": "r"}), "builds"),
            (
                json!({"builds": [build("a", "r", "UNKNOWN ID"), build("a", "r", "")], "last_run_uuid": "r"}),
                "two different builds with the name \"a\"",
            ),
        ] {
            let error = builds(&manifest).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert!(PackerArtifact.call(&["".into()]).unwrap_err().text.contains("not a Packer manifest"));
        let with_mark = "\u{feff}{\"builds\": []}";
        assert!(PackerArtifact.call(&[with_mark.into()]).is_ok());
    }
}
