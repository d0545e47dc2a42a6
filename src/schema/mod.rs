//! Terraform's type system without I/O: types, values with unknowns, paths, diagnostics, schemas, msgpack and JSON.

pub mod diagnostic;
pub mod json;
pub mod model;
pub mod msgpack;
pub mod number;
pub mod path;
pub mod spec;
pub mod types;
pub mod value;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use model::{Model, Set, Slot};
pub use number::Number;
pub use path::{Path, Step};
pub use spec::{Attribute, Block, Body, Nesting};
pub use types::Type;
pub use value::Value;
