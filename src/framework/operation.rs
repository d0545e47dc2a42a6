//! The scope of one request: its deadline, its cancellation, its warnings, and what the walk has planned so far.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::run_ids::RunIds;
use crate::schema::{Diagnostic, Diagnostics, Value};
use crate::sync::lock;

/// The scope in which a resource plans, reads, creates, updates or deletes.
pub struct Op {
    /// How long it may take, from the `timeouts` block or the resource's default.
    pub timeout: Duration,
    /// Cancelled when the user interrupts the run.
    pub stop: CancellationToken,
    /// When `timeout` began.
    pub begun: Instant,
    warnings: Mutex<Diagnostics>,
    walk: Arc<RunIds>,
}

impl Op {
    /// A scope that begins now, lasts for `timeout`, and ends early with `stop`.
    pub fn new(timeout: Duration, stop: CancellationToken) -> Op {
        Op { timeout, stop, begun: Instant::now(), warnings: Mutex::default(), walk: Arc::default() }
    }

    /// The same scope as part of a walk.
    pub fn of_walk(self, walk: &Arc<RunIds>) -> Op {
        Op { walk: walk.clone(), ..self }
    }

    /// The planned state of the object `id` when this walk has planned it: a parent or a source that may not exist yet.
    /// Values in it may be unknown.
    pub fn planned_object(&self, id: &str) -> Option<Arc<Value>> {
        self.walk.object(id)
    }

    /// Adds a warning to the answer.
    pub fn warn(&self, diagnostic: Diagnostic) {
        lock(&self.warnings).push(diagnostic);
    }

    /// Takes the warnings so far.
    pub fn take_warnings(&self) -> Diagnostics {
        std::mem::take(&mut *lock(&self.warnings))
    }
}
