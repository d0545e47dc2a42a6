//! The data source `azimage_community_image_version`.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::published::{Kind, Query, find, published_version};
use crate::azure::Context;
use crate::azure::attributes::{check_definition_name, check_filled, check_location};
use crate::azure::marketplace::check_version;
use crate::framework::timeouts::ReadTimeouts;
use crate::framework::{DataSource, Op};
use crate::schema::Diagnostics;
use crate::schema::spec::{block, computed, optional_computed, required};

const KIND: Kind = Kind {
    segment: "communityGalleries",
    id_segment: "CommunityGalleries",
    noun: "community gallery",
    attribute: "public_gallery_name",
};

published_version! {
    /// Finds one version of an image in a community gallery, which is shared with everybody:
    /// an exact one, or the greatest by number that is neither excluded from `latest` nor past its end of life.
    CommunityImageVersion = "azimage_community_image_version", KIND;
    /// The public name of the gallery.
    public_gallery_name;
    /// The ID of the version, which virtual machines and image versions use as their source.
    id
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::azure::testing::{FakeArm, op};

    #[tokio::test]
    async fn finds_latest_and_the_newest_that_satisfies_a_constraint() {
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
