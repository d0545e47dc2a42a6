//! `list "azimage_gallery_application"`: the applications of a gallery, resource group or subscription.

use async_trait::async_trait;

use super::search::{Filter, Search, check_one_place};
use crate::arm::id::{GALLERY, GALLERY_APPLICATION};
use crate::azure::Context;
use crate::azure::attributes::{check_guid, check_regex, check_resource_group, id_of};
use crate::azure::tags::{self, Tags};
use crate::framework::Op;
use crate::framework::list::{Found, ListResource};
use crate::model;
use crate::schema::spec::optional;
use crate::schema::{Diagnostics, Value};

model! {
    /// Lists gallery applications.
    pub struct Model {
        /// The ID of the gallery to search. Defaults to all galleries of the resource group or subscription.
        pub gallery_id: Option<String> = id_of(optional(), GALLERY),
        /// The subscription to search. Defaults to the provider's.
        pub subscription_id: Option<String> = optional().check_text(check_guid),
        /// The resource group to search. Defaults to all of the subscription.
        pub resource_group_name: Option<String> = optional().check_text(check_resource_group),
        /// A regular expression that the name must match somewhere.
        pub name_regex: Option<String> = optional().check_text(check_regex),
        /// Tags that the application must have, with these values.
        pub tags: Option<Tags> = optional().check(tags::check),
    }
}

/// The list resource.
pub struct GalleryApplications;

#[async_trait]
impl ListResource<Context> for GalleryApplications {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_gallery_application"
    }

    fn validate(&self, config: &Value, found: &mut Diagnostics) {
        check_one_place(config, "gallery_id", &["subscription_id", "resource_group_name"], found);
    }

    async fn list(&self, context: &Context, op: &Op, config: Model) -> Result<Vec<Found>, Diagnostics> {
        let filter = Filter::new(config.name_regex.as_deref(), config.tags)?;
        let search = Search::new(context, op, "listing gallery applications");
        let applications = search
            .in_galleries(
                "applications",
                config.gallery_id.as_deref(),
                config.subscription_id.as_deref(),
                config.resource_group_name.as_deref(),
            )
            .await?;
        Ok(filter.found(&applications, GALLERY_APPLICATION))
    }
}
