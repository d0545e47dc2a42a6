//! What all Azure resources and data sources share: the configured context, attributes of Azure's kind, errors told to users, writes that lose nothing.
//!
//! [`context`] is what the provider block made; [`attributes`] are the locations, ids, dates and names of every schema;
//! [`tags`] merges default tags; [`body`] reads the service's JSON; [`writing`] creates, updates and deletes so that
//! nothing the service accepted is ever forgotten; [`fault`] tells a failed call as a diagnostic; [`marketplace`] reads the Marketplace; [`guardrails`] are the
//! rules a team sets itself.

pub mod attributes;
pub mod body;
pub mod context;
pub mod fault;
pub mod guardrails;
pub mod identity;
pub mod marketplace;
pub mod replication;
pub mod siblings;
pub mod tags;
#[cfg(test)]
pub mod testing;
pub mod writing;

pub use context::Context;

/// Newest stable API version of galleries, definitions, versions, sharing and soft-deleted artifacts.
pub const GALLERY_API: &str = "2026-03-03";

/// Newest stable API version of managed images, virtual machines and Marketplace images.
pub const COMPUTE_API: &str = "2026-03-01";

/// Newest stable API version of disks, snapshots and disk encryption sets.
pub const DISK_API: &str = "2026-03-02";

/// Newest stable API version of Marketplace agreements.
pub const ORDERING_API: &str = "2021-01-01";

/// API version of subscriptions and their locations.
pub const SUBSCRIPTION_API: &str = "2022-12-01";
