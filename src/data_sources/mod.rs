//! The data sources, one file each; what they share is in [`azure`](crate::azure).

pub mod marketplace_image;

use crate::azure::Context;
use crate::framework::data_source::AnyDataSource;

/// Every data source of this provider.
pub fn all() -> Vec<Box<dyn AnyDataSource<Context>>> {
    vec![Box::new(marketplace_image::MarketplaceImage)]
}
