//! The data sources, one file each; what they share is in [`azure`](crate::azure).

pub mod community_image_version;
pub mod gallery;
pub mod gallery_application;
pub mod gallery_application_version;
pub mod image_cost;
pub mod image_definition;
pub mod image_deployments;
pub mod image_usage;
pub mod image_version;
pub mod image_versions;
pub mod managed_image;
pub mod managed_images;
pub mod marketplace_catalog;
pub mod marketplace_image;
pub mod marketplace_images;
pub mod shared_image_version;
pub mod soft_deleted_versions;

mod finding;
mod gallery_version;
mod managed;
mod published;
mod version_search;

use crate::azure::Context;
use crate::framework::data_source::AnyDataSource;

/// Every data source of this provider.
pub fn all() -> Vec<Box<dyn AnyDataSource<Context>>> {
    vec![
        Box::new(community_image_version::CommunityImageVersion),
        Box::new(gallery::Gallery),
        Box::new(gallery_application::GalleryApplication),
        Box::new(gallery_application_version::GalleryApplicationVersion),
        Box::new(image_cost::ImageCost),
        Box::new(image_definition::ImageDefinition),
        Box::new(image_deployments::ImageDeployments),
        Box::new(image_usage::ImageUsage),
        Box::new(image_version::ImageVersion),
        Box::new(image_versions::ImageVersions),
        Box::new(managed_image::ManagedImage),
        Box::new(managed_images::ManagedImages),
        Box::new(marketplace_catalog::MarketplaceCatalog),
        Box::new(marketplace_image::MarketplaceImage),
        Box::new(marketplace_images::MarketplaceImages),
        Box::new(shared_image_version::SharedImageVersion),
        Box::new(soft_deleted_versions::SoftDeletedVersions),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::spec::Mode;

    #[test]
    fn every_data_source_is_named_and_documented() {
        let mut names: Vec<&str> = Vec::new();
        for source in all() {
            let body = source.body();
            assert!(!body.doc.is_empty(), "{}", source.type_name());
            for attribute in &body.attributes {
                assert!(attribute.doc.ends_with('.'), "{}.{}", source.type_name(), attribute.name);
                assert!(!attribute.force_new, "{}.{}", source.type_name(), attribute.name);
            }
            assert!(body.attributes.iter().any(|attribute| attribute.mode == Mode::Computed));
            assert!(body.block("timeouts").is_some(), "{}", source.type_name());
            names.push(source.type_name());
        }
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
    }
}
