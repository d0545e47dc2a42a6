//! The scope of one request: its timeout, cancellation and warnings, and the objects that the run has planned so far.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Private;
use super::run_ids::RunIds;
use crate::schema::{Diagnostic, Diagnostics, Value};
use crate::sync::lock;

/// The scope in which a resource plans, reads, creates, updates or deletes.
pub struct Op {
    /// The timeout, from the `timeouts` block or the resource's default.
    pub timeout: Duration,
    /// A token that is cancelled when the user interrupts the run.
    pub stop: CancellationToken,
    /// The start of `timeout`.
    pub begun: Instant,
    warnings: Mutex<Diagnostics>,
    run_ids: Arc<RunIds>,
    private: Private,
}

impl Op {
    /// A scope that begins now, lasts for `timeout`, and ends early with `stop`.
    pub fn new(timeout: Duration, stop: CancellationToken) -> Op {
        Op {
            timeout,
            stop,
            begun: Instant::now(),
            warnings: Mutex::default(),
            run_ids: Arc::default(),
            private: Private::default(),
        }
    }

    /// Sets the objects of the run.
    pub fn with_run_ids(self, run_ids: &Arc<RunIds>) -> Op {
        Op { run_ids: run_ids.clone(), ..self }
    }

    /// Sets the private state of the object that is planned.
    pub fn with_private(self, private: &Private) -> Op {
        Op { private: private.clone(), ..self }
    }

    /// The private state of the object that is planned; empty for a new one.
    pub fn private(&self) -> &Private {
        &self.private
    }

    /// The planned state of the object `id`, if this run has planned it: for example a parent or source that does not exist
    /// yet. Values in it may be unknown.
    pub fn planned_object(&self, id: &str) -> Option<Arc<Value>> {
        self.run_ids.object(id)
    }

    /// Whether Terraform applies a plan, as far as is known: not before it has applied the first change.
    pub fn is_applying(&self) -> bool {
        self.run_ids.is_applying()
    }

    /// Adds a warning to the response.
    pub fn warn(&self, diagnostic: Diagnostic) {
        lock(&self.warnings).push(diagnostic);
    }

    /// Takes the warnings so far.
    pub fn take_warnings(&self) -> Diagnostics {
        std::mem::take(&mut *lock(&self.warnings))
    }
}
