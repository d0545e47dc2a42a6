//! List resources of objects that lie directly in a Compute Gallery.

use async_trait::async_trait;

use super::search::{Filter, Search, check_one_place};
use crate::arm::id::GALLERY;
use crate::azure::Context;
use crate::azure::attributes::{check_guid, check_regex, check_resource_group, id_of};
use crate::azure::tags::{self, Tags};
use crate::framework::Op;
use crate::framework::list::{Found, ListResource};
use crate::model;
use crate::schema::spec::optional;
use crate::schema::{Body, Diagnostics, Model as _, Value};

model! {
    /// Lists objects of galleries.
    pub struct Model {
        /// The ID of the gallery to search. Defaults to all galleries of the resource group or subscription.
        pub gallery_id: Option<String> = id_of(optional(), GALLERY),
        /// The subscription to search. Defaults to the provider's.
        pub subscription_id: Option<String> = optional().check_text(check_guid),
        /// The resource group to search. Defaults to all of the subscription.
        pub resource_group_name: Option<String> = optional().check_text(check_resource_group),
        /// A regular expression that the name must match somewhere.
        pub name_regex: Option<String> = optional().check_text(check_regex),
        /// Tags that the object must have, with these values.
        pub tags: Option<Tags> = optional().check(tags::check),
    }
}

/// The list resource of one resource type.
pub struct InGallery {
    /// The name of the resource type.
    pub type_name: &'static str,
    /// Its ARM type.
    pub kind: &'static str,
    /// The last segment of the ARM type: `images`.
    pub segment: &'static str,
    /// What the objects are called: `image definitions`.
    pub noun: &'static str,
    /// Its documentation.
    pub doc: &'static str,
}

#[async_trait]
impl ListResource<Context> for InGallery {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn body(&self) -> Body {
        Body { doc: self.doc.into(), ..Model::body() }
    }

    fn validate(&self, config: &Value, found: &mut Diagnostics) {
        check_one_place(config, "gallery_id", &["subscription_id", "resource_group_name"], found);
    }

    async fn list(&self, context: &Context, op: &Op, config: Model) -> Result<Vec<Found>, Diagnostics> {
        let filter = Filter::new(config.name_regex.as_deref(), config.tags)?;
        let search = Search::new(context, op, &format!("listing {}", self.noun));
        let (gallery, subscription, group) = (
            config.gallery_id.as_deref(),
            config.subscription_id.as_deref(),
            config.resource_group_name.as_deref(),
        );
        let found = search.in_galleries(self.segment, gallery, subscription, group).await?;
        Ok(filter.found(&found, self.kind))
    }
}
