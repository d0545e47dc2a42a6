//! `list "azimage_managed_image"`: the managed images of a subscription or resource group.

use async_trait::async_trait;

use super::search::{Filter, Search};
use crate::arm::id::MANAGED_IMAGE;
use crate::azure::Context;
use crate::azure::attributes::{check_guid, check_regex, check_resource_group};
use crate::azure::tags::{self, Tags};
use crate::framework::Op;
use crate::framework::list::{Found, ListResource};
use crate::model;
use crate::schema::Diagnostics;
use crate::schema::spec::optional;

model! {
    /// Lists managed images.
    pub struct Model {
        /// The subscription to search. Defaults to the provider's.
        pub subscription_id: Option<String> = optional().check_text(check_guid),
        /// The resource group to search. Defaults to all of the subscription.
        pub resource_group_name: Option<String> = optional().check_text(check_resource_group),
        /// A regular expression that the name must match somewhere.
        pub name_regex: Option<String> = optional().check_text(check_regex),
        /// Tags that the image must have, with these values.
        pub tags: Option<Tags> = optional().check(tags::check),
    }
}

/// The list resource.
pub struct ManagedImages;

#[async_trait]
impl ListResource<Context> for ManagedImages {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_managed_image"
    }

    async fn list(&self, context: &Context, op: &Op, config: Model) -> Result<Vec<Found>, Diagnostics> {
        let filter = Filter::new(config.name_regex.as_deref(), config.tags)?;
        let search = Search::new(context, op, "listing managed images");
        let (subscription, group) =
            (config.subscription_id.as_deref(), config.resource_group_name.as_deref());
        Ok(filter.found(&search.top_level(MANAGED_IMAGE, subscription, group).await?, MANAGED_IMAGE))
    }
}
