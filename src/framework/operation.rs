//! One request being carried out: how long it may take, whether the user wants it to end, and what it warns of.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::schema::{Diagnostic, Diagnostics};

/// The frame in which a resource reads, creates, updates or deletes.
pub struct Op {
    /// How long it may take, from the `timeouts` block or the resource's default.
    pub timeout: Duration,
    /// Cancelled when the user interrupts the run.
    pub stop: CancellationToken,
    /// Since when `timeout` counts.
    pub begun: Instant,
    warnings: Mutex<Diagnostics>,
}

impl Op {
    /// A frame that begins now, of `timeout`, and ends early with `stop`.
    pub fn new(timeout: Duration, stop: CancellationToken) -> Op {
        Op { timeout, stop, begun: Instant::now(), warnings: Mutex::default() }
    }

    /// Tells the user something without failing.
    pub fn warn(&self, diagnostic: Diagnostic) {
        self.warnings.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(diagnostic);
    }

    /// What was warned of so far, taken out.
    pub fn take_warnings(&self) -> Diagnostics {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}
