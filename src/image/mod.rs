//! Image versions, constraints, Marketplace URNs, the meaning of "latest", and suggestions for misspelt names.
//!
//! All of it is pure: callers pass names and `now`, and get a decision. It does not depend on Terraform or ARM.
//!
//! - [`version`] – dotted integers of any length, ordered by number
//! - [`constraint`] – `~> 1.2, != 1.2.7`, and what a configuration can request ([`Wanted`])
//! - [`urn`] – `publisher:offer:sku:version`
//! - [`latest`] – which of many versions is chosen, and why the others are not
//! - [`retention`] – which versions are kept, and why, and which may be deleted
//! - [`decimal`] – numbers for money
//! - [`nearest`] – existing names similar to one that does not exist

pub mod constraint;
pub mod decimal;
pub mod latest;
pub mod nearest;
pub mod retention;
pub mod urn;
pub mod version;

pub use constraint::{Constraint, ConstraintError, Wanted, WantedError};
pub use decimal::Decimal;
pub use latest::{Candidate, RegionState, Selected, Selection, newest, select, sort_newest_first};
pub use nearest::{did_you_mean, nearest_names, nearest_versions};
pub use urn::{Urn, UrnError, UrnPart};
pub use version::{Part, Version, VersionError, VersionProblem, bump, check_gallery_version};
