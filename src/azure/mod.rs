//! The code that all Azure resources and data sources share.
//!
//! [`context`] is the configured provider; [`attributes`] declares locations, IDs, dates and names for every schema; [`tags`]
//! merges default tags; [`body`] reads the service's JSON, and [`objects`] its typed objects; [`pipeline`] is the one way in
//! which resources create, read, update and delete; [`run_log`] records what this run has done; [`fault`] turns a failed call
//! into a diagnostic; [`marketplace`] reads the Marketplace; [`guardrails`] are the rules that a team sets.

pub mod attributes;
pub mod body;
pub mod build_log;
pub mod builds;
pub mod context;
pub mod fault;
pub mod gallery_version;
pub mod guardrails;
pub mod identity;
pub mod link;
pub mod machine;
pub mod marketplace;
pub mod marketplace_cache;
pub mod objects;
pub mod pipeline;
pub mod prices;
pub mod provisioning;
pub mod recycle_bin;
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

/// What an operation of a resource gets besides the values of the object.
pub type Call<'a> = crate::framework::Call<'a, Context>;
