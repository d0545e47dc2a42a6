//! The resource types, one file each. Shared code is in [`azure`](crate::azure); no resource type uses another.

pub mod builder_run;
pub mod builder_template;
pub mod gallery;
pub mod gallery_application;
pub mod gallery_application_version;
pub mod image_definition;
pub mod image_replication;
pub mod image_test;
pub mod image_version;
pub mod managed_image;
pub mod marketplace_agreement;
pub mod marketplace_pin;
pub mod role_assignment;
pub mod version_retention;

use crate::azure::Context;
use crate::framework::resource::AnyResource;

/// Every resource type of this provider.
pub fn all() -> Vec<Box<dyn AnyResource<Context>>> {
    vec![
        Box::new(builder_run::BuilderRun),
        Box::new(builder_template::BuilderTemplate),
        Box::new(gallery::Gallery),
        Box::new(gallery_application::GalleryApplication),
        Box::new(gallery_application_version::GalleryApplicationVersion),
        Box::new(image_definition::ImageDefinition),
        Box::new(image_version::ImageVersion),
        Box::new(image_replication::ImageReplication),
        Box::new(image_test::ImageTest),
        Box::new(managed_image::ManagedImage),
        Box::new(marketplace_agreement::MarketplaceAgreement),
        Box::new(marketplace_pin::MarketplacePin),
        Box::new(role_assignment::RoleAssignment),
        Box::new(version_retention::VersionRetention),
    ]
}
