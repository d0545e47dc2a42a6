//! Remembers a failure that all calls share, such as a failed sign-in, for a short time, so that it is explained only once.

use std::sync::RwLock;
use std::time::Duration;

use tokio::time::Instant;

use super::error::Error;
use crate::sync::{read, write};

/// How long further calls fail immediately before the next attempt.
pub const RETRY_PAUSE: Duration = Duration::from_secs(30);

/// The last failure.
#[derive(Default)]
pub struct FailureMemory(RwLock<Option<(Error, Instant)>>);

impl FailureMemory {
    /// The failure, if it is recent enough to fail further calls.
    pub fn recent(&self) -> Option<Error> {
        self.last().filter(|(_, retry)| Instant::now() < *retry).map(|(error, _)| error)
    }

    /// Stores `error`. If it equals the last one, it counts as the same failure, which is not explained again.
    pub fn remember(&self, mut error: Error) -> Error {
        let before = self.last().filter(|(last, _)| last.message == error.message);
        error.shared = Some(before.and_then(|(last, _)| last.shared).unwrap_or_default());
        self.set(Some((error.clone(), Instant::now() + RETRY_PAUSE)));
        error
    }

    /// Clears the failure after a success.
    pub fn clear(&self) {
        self.set(None);
    }

    fn last(&self) -> Option<(Error, Instant)> {
        read(&self.0).clone()
    }

    fn set(&self, failure: Option<(Error, Instant)>) {
        *write(&self.0) = failure;
    }
}
