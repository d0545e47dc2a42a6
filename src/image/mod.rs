//! The words of the trade, pure: image versions, constraints on them, Marketplace URNs, what "latest" means, and "did you mean".
//!
//! Nothing here waits, reads a clock or knows of Terraform or ARM: a caller passes names and `now`, and gets a decision back.
//!
//! - [`version`] – dotted integers of any length, ordered by number
//! - [`constraint`] – `~> 1.2, != 1.2.7`, and what a configuration may ask for ([`Wanted`])
//! - [`urn`] – `publisher:offer:sku:version`
//! - [`latest`] – which of many versions is the one, and why each other is not
//! - [`retention`] – which versions are kept, and why, and which may be deleted
//! - [`decimal`] – numbers for money
//! - [`nearest`] – what does exist, for a name that does not

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
