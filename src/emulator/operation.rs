//! A long-running operation: its name, region, end and result.

use super::clock::Ticks;
use super::json::Json;

/// The part of the compute provider that runs an operation, which determines the poll URL.
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
    /// Its name, which is also the request ID of the response that started it.
    pub guid: String,
    /// The part of the provider that runs it.
    pub family: Family,
    /// The region, for the URL.
    pub location: String,
    /// Its start.
    pub start: Ticks,
    /// Its end; `None` if it never ends.
    pub end: Option<Ticks>,
    /// The code and message with which it fails.
    pub error: Option<(String, String)>,
    /// `properties.output`.
    pub output: Option<Json>,
    /// The Retry-After of the first response and of polls while it runs.
    pub retry_after: Option<u32>,
    /// Whether the resource is absent when it ends.
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
