//! The actions, one file each. None uses another.

pub mod generalize;
pub mod prune_versions;
pub mod run_builder;

use crate::azure::Context;
use crate::framework::action::AnyAction;

/// Every action of this provider.
pub fn all() -> Vec<Box<dyn AnyAction<Context>>> {
    vec![
        Box::new(generalize::Generalize),
        Box::new(prune_versions::PruneVersions),
        Box::new(run_builder::RunBuilder),
    ]
}
