//! What all Azure resources and data sources share: the configured context, attributes of Azure's kind, errors told to users, writes that lose nothing.
//!
//! [`context`] is what the provider block made; [`attributes`] are the locations, ids, dates and names of every schema;
//! [`tags`] merges default tags; [`body`] reads the service's JSON; [`pipeline`] is the one way in which resources create,
//! read, update and delete; [`run_log`] is what this run has done; [`fault`] tells a failed call as a diagnostic; [`marketplace`] reads the Marketplace; [`guardrails`] are the
//! rules a team sets itself.

pub mod attributes;
pub mod body;
pub mod context;
pub mod fault;
pub mod guardrails;
pub mod identity;
pub mod machine;
pub mod marketplace;
pub mod marketplace_cache;
pub mod objects;
pub mod pipeline;
pub mod prices;
pub mod provisioning;
pub mod replication;
pub mod resource_graph;
pub mod retention;
pub mod run_log;
pub mod siblings;
pub mod tags;
#[cfg(test)]
pub mod testing;
pub mod usage;

pub use context::Context;

use crate::arm::versions;

// The API versions live in `arm::versions`; `Target::at` finds the one for a path, and then needs none of these.
/// The API version that galleries, definitions and versions are called with first.
pub const GALLERY_API: &str = versions::GALLERY[0];
/// The API version that managed images, virtual machines and Marketplace images are called with first.
pub const COMPUTE_API: &str = versions::COMPUTE[0];
/// The API version that disks, snapshots and disk encryption sets are called with first.
pub const DISK_API: &str = versions::DISK[0];
/// The API version that Marketplace agreements are called with first.
pub const ORDERING_API: &str = versions::ORDERING[0];
/// The API version that subscriptions and their locations are called with first.
pub const SUBSCRIPTION_API: &str = versions::SUBSCRIPTION[0];
