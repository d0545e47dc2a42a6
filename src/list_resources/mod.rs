//! The list resources of `terraform query`, one file each. None uses another.

pub mod gallery;
pub mod gallery_application;
pub mod image_definition;
pub mod image_version;
pub mod managed_image;

mod search;

use crate::azure::Context;
use crate::framework::list::AnyListResource;

/// Every list resource of this provider.
pub fn all() -> Vec<Box<dyn AnyListResource<Context>>> {
    vec![
        Box::new(gallery::Galleries),
        Box::new(gallery_application::GalleryApplications),
        Box::new(image_definition::ImageDefinitions),
        Box::new(image_version::ImageVersions),
        Box::new(managed_image::ManagedImages),
    ]
}
