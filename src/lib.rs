//! `terraform-provider-azimage`: a Terraform and OpenTofu provider for Azure VM images.
//!
//! The modules, in reading order:
//!
//! 1. [`schema`]: Terraform's types and values (with unknowns), paths, diagnostics, msgpack, and `model!`: one list of
//!    fields that schema, planning, validation and documentation all read. Pure.
//! 2. [`framework`]: what a resource, a data source, a function and a provider are, and how they are planned, applied,
//!    read, imported and moved. Knows nothing of Azure.
//! 3. [`rpc`]: plugin protocol 5 on the wire, one short function per RPC. Makes no decisions.
//! 4. [`plugin`]: the process that Terraform starts: handshake, mutual TLS, signals, logs, shutdown.
//! 5. [`arm`]: a small client for Azure Resource Manager. Knows nothing of Terraform.
//! 6. [`image`]: versions, constraints, URNs and what "latest" means. Pure.
//! 7. [`azure`]: what Azure resources and data sources share: the configured context, attributes, the write pipeline,
//!    diagnostics, guardrails.
//!    [`sync`]: locks for all modules.
//! 8. [`resources`], [`data_sources`], [`list_resources`], [`actions`], [`functions`]: one file for each type that users write.
//! 9. [`provider`]: the provider block, and the lists that register all of these.
//! 10. [`docs`]: the Registry's pages, generated from the schemas.
//! 11. [`report`]: the `report` command; [`page`]: the style and script of its page and of the emulator's.
//! 12. `emulator` (feature `emulator`, on by default): an emulated Resource Manager, in the process or as a server.
//!
//! A new resource is one file in [`resources`] and one line in its `all()`.
//!
//! `tests/tidy.rs` lists which module may use which, and checks it.

// stdout carries the handshake, and bad input is an error, never a panic
#![warn(clippy::print_stdout, clippy::unwrap_used)]

pub mod actions;
pub mod arm;
pub mod azure;
pub mod data_sources;
pub mod docs;
#[cfg(feature = "emulator")]
pub mod emulator;
pub mod framework;
pub mod functions;
pub mod image;
pub mod list_resources;
pub mod page;
pub mod plugin;
pub mod provider;
pub mod report;
pub mod resources;
pub mod rpc;
pub mod schema;
pub mod sync;
