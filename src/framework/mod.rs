//! The meaning of a provider: resource types, data sources and functions, and what Terraform may ask of them. Never heard of Azure.
//!
//! A provider implements [`Provider`]; [`Server`] answers every request of the protocol from it, in Terraform's own values.
//! Decisions are pure and stand in [`plan`] and [`settle`]; what reaches out is in the resources themselves.

pub mod apply;
pub mod data_source;
pub mod enforce_plan;
pub mod function;
pub mod import;
pub mod operation;
pub mod plan;
pub mod private;
pub mod provider;
pub mod read;
pub mod resource;
pub mod spelling;
pub mod timeouts;

pub use data_source::DataSource;
pub use function::{Function, FunctionError, Parameter, Signature};
pub use operation::Op;
pub use plan::Draft;
pub use private::Private;
pub use provider::{Provider, Server};
pub use resource::{Failed, IdentityField, ImportFrom, MoveSource, Resource};
pub use timeouts::Timeouts;
