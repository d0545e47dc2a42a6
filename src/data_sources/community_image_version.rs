//! `azimage_community_image_version`: one version of an image in a community gallery.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::published::{Asked, Found, Sort, find};
use crate::azure::Context;
use crate::azure::attributes::{check_definition_name, check_filled, check_location};
use crate::azure::marketplace::check_version;
use crate::framework::timeouts::ReadTimeouts;
use crate::framework::{DataSource, Op};
use crate::model;
use crate::schema::Diagnostics;
use crate::schema::spec::{block, computed, optional_computed, required};

model! {
    /// Finds one version of an image that somebody publishes to everybody, in a community gallery:
    /// an exact one, or the greatest by number that is not excluded from latest and not past its end of life.
    pub struct Model {
        /// The location that the image is to be used in, in any spelling.
        pub location: String = required().check_text(check_location),
        /// The public name of the gallery, as its publisher tells it.
        pub public_gallery_name: String = required().check_text(check_filled),
        /// The name of the image.
        pub image_name: String = required().check_text(check_definition_name),
        /// An exact version, `latest`, or a constraint such as `~> 1.2`. `latest` unless set. The
        /// result is always the version that was found.
        pub version: Option<String> = optional_computed().resolved().check_text(check_version),
        /// The same as `version`, but unknown, and not what you wrote, while reading waits for apply.
        pub exact_version: Option<String> = computed(),
        /// The id of the version, which virtual machines and image versions take as their source.
        pub id: Option<String> = computed(),
        /// When the version was published.
        pub published_date: Option<String> = computed(),
        /// When the version should no longer be used.
        pub end_of_life_date: Option<String> = computed(),
        /// Whether the version is passed over by who asks for the latest one.
        pub exclude_from_latest: Option<bool> = computed(),
        /// The size of the operating system disk, in GB.
        pub os_disk_size_gb: Option<i64> = computed(),
        /// Why each other version was passed over, by version. Empty after an exact version.
        pub skipped: BTreeMap<String, String> = computed(),
        /// How long reading may take.
        pub timeouts: Option<ReadTimeouts> = block(),
    }
}

/// The data source.
pub struct CommunityImageVersion;

const SORT: Sort = Sort {
    segment: "communityGalleries",
    id_segment: "CommunityGalleries",
    noun: "community gallery",
    attribute: "public_gallery_name",
};

#[async_trait]
impl DataSource<Context> for CommunityImageVersion {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_community_image_version"
    }

    async fn read(&self, context: &Context, op: &Op, config: Model) -> Result<Model, Diagnostics> {
        let asked = Asked {
            location: &config.location,
            gallery: &config.public_gallery_name,
            image: &config.image_name,
            version: config.version.as_deref(),
        };
        let found = find(context, op, &SORT, &asked).await?;
        let Found {
            id,
            version,
            published_date,
            end_of_life_date,
            exclude_from_latest,
            os_disk_size_gb,
            skipped,
        } = found;
        Ok(Model {
            version: Some(version.clone()),
            exact_version: Some(version),
            id: Some(id),
            published_date,
            end_of_life_date,
            exclude_from_latest: Some(exclude_from_latest),
            os_disk_size_gb,
            skipped,
            ..config
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::azure::testing::{FakeArm, op};

    #[tokio::test]
    async fn finds_exactly_one() {
        let arm = FakeArm::new();
        let versions = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/providers/Microsoft.Compute/locations/westus/communityGalleries/g-1/images/base/versions";
        arm.get(versions, json!({"value": [{"name": "1.0.9"}, {"name": "1.0.10"}, {"name": "2.0.0"}]}));
        for (version, exact) in [(None, "2.0.0"), (Some("~> 1.0"), "1.0.10")] {
            let config = Model {
                location: "West US".to_owned(),
                public_gallery_name: "g-1".to_owned(),
                image_name: "base".to_owned(),
                version: version.map(str::to_owned),
                ..Model::default()
            };
            let got = CommunityImageVersion.read(&arm.context(), &op(), config).await.unwrap();
            assert_eq!(got.exact_version.as_deref(), Some(exact));
            assert_eq!(got.version.as_deref(), Some(exact));
            assert_eq!(got.id, Some(format!("/CommunityGalleries/g-1/Images/base/Versions/{exact}")));
            assert_eq!(got.skipped.len(), 2);
        }
    }
}
