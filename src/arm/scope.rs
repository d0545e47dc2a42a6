//! How long a piece of work may take, whether it was called off, and what it is called.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::duration::readable;
use super::error::{Error, Kind};

/// The frame around one piece of work, such as creating one resource: its deadline, its stop signal and
/// its name for messages. Clones share all three.
#[derive(Clone, Debug)]
pub struct Scope {
    timeout: Duration,
    deadline: Instant,
    stop: CancellationToken,
    what: String,
}

impl Scope {
    /// A scope that begins now. `what` completes "while …": `creating Image Version "1.0.0"`.
    pub fn new(timeout: Duration, stop: CancellationToken, what: impl Into<String>) -> Self {
        Self::since(Instant::now(), timeout, stop, what)
    }

    /// The same, for a part of something longer whose time began to count at `begun`.
    pub fn since(
        begun: Instant,
        timeout: Duration,
        stop: CancellationToken,
        what: impl Into<String>,
    ) -> Self {
        // A century is for ever; it also keeps the sum from overflowing.
        let deadline = begun + timeout.min(Duration::from_secs(3_000_000_000));
        Self { timeout, deadline, stop, what: what.into() }
    }

    /// A scope that begins now and ends with the same signal, but has its own time and name.
    pub fn anew(&self, timeout: Duration, what: impl Into<String>) -> Self {
        Self::new(timeout, self.stop.clone(), what)
    }

    /// What is left of the time; zero once it has passed.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// True once the work was called off.
    pub fn stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// What is being done, as given to [`Scope::new`].
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Fails when the work was called off or its time has passed.
    pub fn check(&self) -> Result<(), Error> {
        if self.stopped() {
            Err(self.stopped_error())
        } else if self.remaining().is_zero() {
            Err(self.timed_out_error())
        } else {
            Ok(())
        }
    }

    /// Waits for `duration`; ends at once, with an error, when the work is called off or its time passes.
    pub async fn sleep(&self, duration: Duration) -> Result<(), Error> {
        self.run(tokio::time::sleep(duration)).await
    }

    /// Runs `work`; drops it, with an error, when this scope is called off or its time passes.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        self.check()?;
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(self.stopped_error()),
            done = work => Ok(done),
            () = tokio::time::sleep_until(self.deadline) => Err(self.timed_out_error()),
        }
    }

    fn stopped_error(&self) -> Error {
        Error::new(Kind::Stopped, format!("stopped while {}", self.what))
    }

    fn timed_out_error(&self) -> Error {
        let timeout = readable(self.timeout);
        Error::new(Kind::TimedOut, format!("the timeout of {timeout} passed while {}", self.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ends_at_the_deadline_or_the_signal() {
        let stop = CancellationToken::new();
        let scope = Scope::new(Duration::from_secs(60), stop.clone(), "creating Gallery \"g\"");
        scope.sleep(Duration::from_secs(10)).await.unwrap();
        assert_eq!(scope.remaining(), Duration::from_secs(50));
        let late = scope.sleep(Duration::from_secs(100)).await.unwrap_err();
        assert!(late.is_timed_out());
        assert!(late.to_string().contains("the timeout of 1m passed while creating Gallery \"g\""), "{late}");
        let scope = Scope::new(Duration::from_secs(60), stop.clone(), "x");
        let signal = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            stop.cancel();
        });
        let begun = Instant::now();
        assert!(scope.sleep(Duration::from_secs(50)).await.unwrap_err().is_stopped());
        assert_eq!(begun.elapsed(), Duration::from_secs(1));
        signal.await.unwrap();
        assert!(scope.check().unwrap_err().is_stopped());
    }

    #[tokio::test(start_paused = true)]
    async fn parts_share_the_time_of_the_whole() {
        let (begun, stop) = (Instant::now(), CancellationToken::new());
        tokio::time::sleep(Duration::from_secs(40)).await;
        let scope = Scope::since(begun, Duration::from_secs(60), stop.clone(), "looking");
        assert_eq!(scope.remaining(), Duration::from_secs(20));
        let late = scope.sleep(Duration::from_secs(21)).await.unwrap_err();
        assert!(late.to_string().contains("the timeout of 1m passed while looking"), "{late}");
        assert!(Scope::since(begun, Duration::from_secs(60), stop, "looking again").check().is_err());
    }

    #[tokio::test]
    async fn a_very_long_timeout_is_fine() {
        assert!(Scope::new(Duration::MAX, CancellationToken::new(), "x").check().is_ok());
    }
}
