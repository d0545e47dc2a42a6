//! The data source `azimage_image_versions`: the versions of a gallery image.

use std::collections::HashMap;

use async_trait::async_trait;

use super::finding::{argument, has_tags};
use super::gallery_version;
use crate::arm::ResourceId;
use crate::arm::id::IMAGE_DEFINITION;
use crate::azure::Context;
use crate::azure::attributes::id_of;
use crate::azure::gallery_version::IMAGE_VERSION;
use crate::azure::objects::target_region::TargetRegion;
use crate::azure::objects::version::Version as ImageVersion;
use crate::azure::tags::Tags;
use crate::framework::timeouts::ReadTimeouts;
use crate::framework::{DataSource, Op};
use crate::image::{Constraint, Version, sort_newest_first};
use crate::model;
use crate::schema::spec::{block, computed, optional, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Set};

model! {
    /// Lists the versions of an image definition, newest first by number, in any state. An empty list is not an error.
    pub struct Model {
        /// The ID of the image definition, in any subscription.
        pub image_definition_id: String = argument(id_of(required(), IMAGE_DEFINITION)),
        /// A constraint that the versions must satisfy, such as `~> 1.2`.
        pub constraint: Option<String> = optional().check_text(check_constraint),
        /// Tags that the versions must have, with these values.
        pub tags: Option<Tags> = optional(),
        /// The versions, newest first.
        pub versions: Vec<Listed> = computed(),
        /// How long reading may take.
        pub timeouts: Option<ReadTimeouts> = block(),
    }
}

model! {
    /// One version.
    pub struct Listed {
        /// The version.
        pub version: String = computed(),
        /// Its ARM ID.
        pub id: String = computed(),
        /// Its home region.
        pub location: Option<String> = computed(),
        /// When it was published.
        pub published_date: Option<String> = computed(),
        /// Its end-of-life date.
        pub end_of_life_date: Option<String> = computed(),
        /// Whether it is excluded when resolving `latest`.
        pub exclude_from_latest: bool = computed(),
        /// The state of the last operation on it. `Succeeded` when it is healthy.
        pub provisioning_state: Option<String> = computed(),
        /// The size of the operating system disk, in GB.
        pub os_disk_size_gb: Option<i64> = computed(),
        /// Its tags.
        pub tags: Tags = computed(),
        /// The regions that it is replicated to.
        pub target_region: Set<TargetRegion> = computed(),
    }
}

/// The data source.
pub struct ImageVersions;

#[async_trait]
impl DataSource<Context> for ImageVersions {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_image_versions"
    }

    async fn read(&self, context: &Context, op: &Op, config: Model) -> Result<Model, Diagnostics> {
        let definition = gallery_version::definition(&config.image_definition_id)?;
        let constraint =
            config.constraint.as_deref().map(Constraint::parse).transpose().map_err(|error| {
                Diagnostic::error("Invalid value for constraint", error.to_string())
                    .at(Path::attribute("constraint"))
            })?;
        let fits = |listed: &Listed| match &constraint {
            Some(constraint) => {
                Version::parse(&listed.version).is_ok_and(|version| constraint.matches(&version))
            }
            None => true,
        };
        let mut found: Vec<Listed> =
            gallery_version::list::<ImageVersion>(context, op, &IMAGE_VERSION, &definition)
                .await?
                .into_iter()
                .map(|version| flatten(&definition, version))
                .filter(|listed| fits(listed) && has_tags(&listed.tags, config.tags.as_ref()))
                .collect();
        let names: Vec<String> = found.iter().map(|listed| listed.version.clone()).collect();
        let order: HashMap<&str, usize> = sort_newest_first(names.iter().map(String::as_str))
            .into_iter()
            .enumerate()
            .map(|(place, name)| (name, place))
            .collect();
        found.sort_by_key(|listed| order.get(listed.version.as_str()).copied());
        Ok(Model { versions: found, ..config })
    }
}

fn flatten(definition: &ResourceId, version: ImageVersion) -> Listed {
    Listed {
        id: definition.child("versions", &version.name).to_string(),
        os_disk_size_gb: version.os_disk_size_gb(),
        target_region: version.target_regions(),
        version: version.name,
        location: version.location,
        published_date: version.published_date,
        end_of_life_date: version.end_of_life_date.flatten(),
        exclude_from_latest: version.exclude_from_latest.unwrap_or_default(),
        provisioning_state: version.provisioning_state,
        tags: version.tags,
    }
}

fn check_constraint(text: &str) -> Result<(), String> {
    Constraint::parse(text).map(drop).map_err(|error| format!("is not a constraint: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::azure::testing::{FakeArm, op};

    const DEFINITION: &str =
        "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries/gal/images/web";

    #[tokio::test]
    async fn lists_newest_first_over_all_pages() {
        let arm = FakeArm::new();
        // 130 versions in pages of 50, sorted as text
        let mut all: Vec<String> = (0..130).map(|patch| format!("1.0.{patch}")).collect();
        all.sort();
        let pages: Vec<&[String]> = all.chunks(50).collect();
        for (number, page) in pages.iter().enumerate() {
            let items: Vec<Json> = page
                .iter()
                .map(|name| json!({"name": name, "tags": if name == "1.0.99" { json!({"stage": "ga"}) } else { Json::Null }}))
                .collect();
            let mut answer = json!({"value": items});
            if number + 1 < pages.len() {
                answer["nextLink"] = json!(format!(
                    "https://management.azure.com{DEFINITION}/versions?api-version=x&page={}",
                    number + 1
                ));
            }
            let query = if number == 0 { String::new() } else { format!("?page={number}") };
            arm.get(&format!("{DEFINITION}/versions{query}"), answer);
        }
        let context = arm.context();
        let ga: Tags = [("stage".to_owned(), "ga".to_owned())].into();
        for (constraint, tags, count, first) in [
            (None, None, 130, Some("1.0.129")),
            (Some("< 1.0.100"), None, 100, Some("1.0.99")),
            (None, Some(ga), 1, Some("1.0.99")),
            (Some("> 2"), None, 0, None),
        ] {
            let config = Model {
                image_definition_id: DEFINITION.to_uppercase().replace("/SUBSCRIPTIONS", "/subscriptions"),
                constraint: constraint.map(str::to_owned),
                tags,
                ..Model::default()
            };
            let got = ImageVersions.read(&context, &op(), config).await.unwrap().versions;
            assert_eq!((got.len(), got.first().map(|listed| listed.version.as_str())), (count, first));
        }
    }

    #[tokio::test]
    async fn an_empty_list_is_not_an_error_but_a_missing_definition_is() {
        let arm = FakeArm::new();
        arm.get(&format!("{DEFINITION}/versions"), json!({"value": []}));
        let config = |id: &str| Model { image_definition_id: id.to_owned(), ..Model::default() };
        let context = arm.context();
        assert!(ImageVersions.read(&context, &op(), config(DEFINITION)).await.unwrap().versions.is_empty());
        let missing = DEFINITION.replace("/web", "/none");
        let message = ImageVersions.read(&context, &op(), config(&missing)).await.unwrap_err().0;
        assert_eq!(message[0].path, Path::attribute("image_definition_id"));
    }
}
