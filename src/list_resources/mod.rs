//! The list resources of `terraform query`: one entry a type, over the search that fits where its objects lie.

pub mod image_version;
pub mod in_gallery;
pub mod top_level;

mod search;

use crate::arm::id::{GALLERY, GALLERY_APPLICATION, IMAGE_DEFINITION, MANAGED_IMAGE};
use crate::azure::Context;
use crate::framework::list::AnyListResource;
use in_gallery::InGallery;
use top_level::TopLevel;

/// Every list resource of this provider.
pub fn all() -> Vec<Box<dyn AnyListResource<Context>>> {
    vec![
        Box::new(TopLevel {
            type_name: "azimage_gallery",
            kind: GALLERY,
            noun: "galleries",
            doc: "Lists Compute Galleries.",
        }),
        Box::new(InGallery {
            type_name: "azimage_gallery_application",
            kind: GALLERY_APPLICATION,
            segment: "applications",
            noun: "gallery applications",
            doc: "Lists gallery applications.",
        }),
        Box::new(InGallery {
            type_name: "azimage_image_definition",
            kind: IMAGE_DEFINITION,
            segment: "images",
            noun: "image definitions",
            doc: "Lists image definitions.",
        }),
        Box::new(image_version::ImageVersions),
        Box::new(TopLevel {
            type_name: "azimage_managed_image",
            kind: MANAGED_IMAGE,
            noun: "managed images",
            doc: "Lists managed images.",
        }),
    ]
}
