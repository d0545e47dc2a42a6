//! The provider framework: resource types, data sources and functions, and Terraform's requests. Independent of Azure.
//!
//! A provider implements [`Provider`], and [`Server`] uses it to answer every request of the protocol with Terraform values.
//! Decisions are pure functions, mostly in [`plan`] and [`spelling`]; only resources and data sources call a service.

pub mod action;
pub mod apply;
pub mod change;
pub mod data_source;
pub mod enforce_plan;
pub mod function;
pub mod import;
pub mod invoke;
pub mod list;
pub mod operation;
pub mod plan;
pub mod private;
pub mod provider;
pub mod query;
pub mod read;
pub mod registered;
pub mod resource;
pub mod run_ids;
pub mod spelling;
pub mod timeouts;

pub use action::{Action, Progress};
pub use data_source::DataSource;
pub use function::{Function, FunctionError, Parameter, Signature};
pub use list::ListResource;
pub use operation::Op;
pub use plan::Draft;
pub use private::Private;
pub use provider::{Provider, Server};
pub use resource::{Call, Failed, IdentityField, ImportFrom, MoveFrom, MoveSource, Operations, Resource};
pub use timeouts::Timeouts;
