//! The context in which a template is deployed.

use super::super::json::Json;

/// The context in which a template is deployed.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The subscription's id.
    pub subscription: String,
    /// The caller's tenant.
    pub tenant: String,
    /// The caller's object id.
    pub object: String,
    /// The value of `resourceGroup()`; none at the scope of a subscription.
    pub group: Option<Json>,
    /// The value of `deployment()`.
    pub deployment: Json,
    /// The value of `environment()`.
    pub environment: Json,
    /// The time, in seconds since 1970.
    pub now: i64,
    /// The seed of `newGuid()`.
    pub seed: String,
}

impl Place {
    /// The name of the resource group.
    pub fn group_name(&self) -> Option<&str> {
        self.group.as_ref().and_then(|group| group.text("name"))
    }
}
