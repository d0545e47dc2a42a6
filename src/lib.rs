//! `terraform-provider-azimage`: a Terraform and OpenTofu provider for Azure VM images.
//!
//! The map of the house, in reading order:
//!
//! 1. [`schema`]: the value world of Terraform, pure: types, values with unknowns, paths, msgpack, and `model!`,
//!    the one list of fields that schema, planning, validation and documentation all read.
//! 2. [`framework`]: what a resource, a data source, a function and a provider are, and how they are planned, applied,
//!    read, imported and moved. Never heard of Azure.
//! 3. [`rpc`]: plugin protocol 5 on the wire, one short function an RPC. Decides nothing.
//! 4. [`plugin`]: the process that Terraform starts: handshake, mutual TLS, signals, logs, shutdown.
//! 5. [`arm`]: a small client for Azure Resource Manager. Never heard of Terraform.
//! 6. [`image`]: versions, constraints, URNs and what "latest" means, pure.
//! 7. [`azure`]: what all Azure resources and data sources share: the configured context, attributes, writes that lose
//!    nothing, errors told to people, guardrails.
//! 8. [`resources`], [`data_sources`], [`functions`]: one file each for everything that users write.
//! 9. [`provider`]: the provider's own block, and the lists that register all of these.
//! 10. [`docs`]: the Registry's pages, made from the schemas.
//! 11. `emulator` (feature `emulator`, on by default): a pretend Resource Manager, in the process or served.
//!
//! Adding a resource is one file in [`resources`] and one line in its `all()`.
//!
//! Who may look at whom is written down, and checked, in `tests/tidy.rs`.

// standard output carries the handshake, and bad input is an error, not a panic
#![warn(clippy::print_stdout, clippy::unwrap_used)]

pub mod arm;
pub mod azure;
pub mod data_sources;
pub mod docs;
#[cfg(feature = "emulator")]
pub mod emulator;
pub mod framework;
pub mod functions;
pub mod image;
pub mod plugin;
pub mod provider;
pub mod resources;
pub mod rpc;
pub mod schema;
