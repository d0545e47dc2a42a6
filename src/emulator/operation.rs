//! A long-running operation as a record: its name, where it runs, when it ends and how.

use super::clock::Ticks;
use super::json::Json;

/// Which part of the compute provider runs an operation; it decides the poll URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Galleries and everything in them.
    Caps,
    /// Virtual machines and managed images.
    Compute,
    /// Disks and snapshots.
    Disk,
}

impl Family {
    /// The path segment of its poll URL.
    pub fn segment(self) -> &'static str {
        match self {
            Family::Caps => "capsOperations",
            Family::Compute => "operations",
            Family::Disk => "DiskOperations",
        }
    }
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Its name, and the request id of the answer that began it.
    pub guid: String,
    /// Who runs it.
    pub family: Family,
    /// Where it runs, for the URL.
    pub location: String,
    /// Begin.
    pub start: Ticks,
    /// End; `None` for one that never ends.
    pub end: Option<Ticks>,
    /// Code and message, when it is to fail.
    pub error: Option<(String, String)>,
    /// `properties.output`.
    pub output: Option<Json>,
    /// The Retry-After that the service sends with the first answer and while it runs.
    pub retry_after: Option<u32>,
    /// What it makes is not there in the end.
    pub loses: bool,
}

impl Operation {
    #[cfg(test)]
    pub(super) fn for_tests(start: Ticks, end: Option<Ticks>) -> Operation {
        Operation {
            guid: "g".to_owned(),
            family: Family::Caps,
            location: "eastus".to_owned(),
            start,
            end,
            error: None,
            output: None,
            retry_after: None,
            loses: false,
        }
    }
}
