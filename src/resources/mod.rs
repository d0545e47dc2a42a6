//! The resource types, one file each; what they share is in [`azure`](crate::azure). None looks at another.

pub mod gallery;
pub mod image_definition;
pub mod image_version;
pub mod managed_image;

use crate::azure::Context;
use crate::framework::resource::AnyResource;

/// Every resource type of this provider.
pub fn all() -> Vec<Box<dyn AnyResource<Context>>> {
    vec![
        Box::new(gallery::Gallery),
        Box::new(image_definition::ImageDefinition),
        Box::new(image_version::ImageVersion),
        Box::new(managed_image::ManagedImage),
    ]
}
