//! List resources of objects that lie directly in a resource group.

use async_trait::async_trait;

use super::search::{Filter, Search};
use crate::azure::Context;
use crate::azure::attributes::{check_guid, check_regex, check_resource_group};
use crate::azure::tags::{self, Tags};
use crate::framework::Op;
use crate::framework::list::{Found, ListResource};
use crate::model;
use crate::schema::spec::optional;
use crate::schema::{Body, Diagnostics, Model as _};

model! {
    /// Lists objects of a subscription or resource group.
    pub struct Model {
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
pub struct TopLevel {
    /// The name of the resource type.
    pub type_name: &'static str,
    /// Its ARM type.
    pub kind: &'static str,
    /// What the objects are called: `galleries`.
    pub noun: &'static str,
    /// Its documentation.
    pub doc: &'static str,
}

#[async_trait]
impl ListResource<Context> for TopLevel {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn body(&self) -> Body {
        Body { doc: self.doc.into(), ..Model::body() }
    }

    async fn list(&self, context: &Context, op: &Op, config: Model) -> Result<Vec<Found>, Diagnostics> {
        let filter = Filter::new(config.name_regex.as_deref(), config.tags)?;
        let search = Search::new(context, op, &format!("listing {}", self.noun));
        let (subscription, group) =
            (config.subscription_id.as_deref(), config.resource_group_name.as_deref());
        Ok(filter.found(&search.top_level(self.kind, subscription, group).await?, self.kind))
    }
}
