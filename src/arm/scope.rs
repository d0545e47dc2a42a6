//! Scopes: the deadline, interrupt signal and name of a task, and the grace period after an interrupt.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::duration::readable;
use super::error::{Error, Kind};

/// A task, such as creating one resource: its deadline, interrupt signal, and name in messages. Clones share all three.
///
/// After an interrupt, no new request is begun, and reads end immediately. A write that was sent may take up to
/// [`WRITE_GRACE`], so that it is known whether the service accepted it, and the last reads that record its result end
/// [`GRACE`] after the interrupt. So the whole process ends within half a minute.
#[derive(Clone, Debug)]
pub struct Scope {
    timeout: Duration,
    deadline: Instant,
    stop: CancellationToken,
    stopped_at: Arc<OnceLock<Instant>>,
    what: String,
}

/// How long after an interrupt a sent write may take.
pub const WRITE_GRACE: Duration = Duration::from_secs(20);
/// How long after an interrupt the last reads may take.
pub const GRACE: Duration = Duration::from_secs(28);
/// The time limit of the last read after a timeout or an interrupt.
const FINAL_READ: Duration = Duration::from_secs(5);

impl Scope {
    /// A scope that begins now. `what` completes "while …": `creating Image Version "1.0.0"`.
    pub fn new(timeout: Duration, stop: CancellationToken, what: impl Into<String>) -> Self {
        Self::since(Instant::now(), timeout, stop, what)
    }

    /// A scope for part of a task that began at `begun`.
    pub fn since(
        begun: Instant,
        timeout: Duration,
        stop: CancellationToken,
        what: impl Into<String>,
    ) -> Self {
        // A century is long enough and does not overflow.
        let deadline = begun + timeout.min(Duration::from_secs(3_000_000_000));
        Self { timeout, deadline, stop, stopped_at: Arc::default(), what: what.into() }
    }

    /// A scope that begins now, with the same interrupt signal but its own timeout and name.
    pub fn anew(&self, timeout: Duration, what: impl Into<String>) -> Self {
        Self { stopped_at: self.stopped_at.clone(), ..Self::new(timeout, self.stop.clone(), what) }
    }

    /// A scope for the last short read after the timeout or an interrupt. An interrupt does not end it, but the end of the
    /// grace period does.
    #[must_use]
    pub fn for_final_read(&self) -> Self {
        let timeout = match self.stopped_at() {
            Some(stopped) => FINAL_READ.min((stopped + GRACE).saturating_duration_since(Instant::now())),
            None => FINAL_READ,
        };
        Self::new(timeout, CancellationToken::new(), self.what.clone())
    }

    /// Runs a write that must not be dropped halfway; `None` if it has not ended within [`WRITE_GRACE`] after an interrupt.
    pub async fn run_write<T>(&self, write: impl Future<Output = T>) -> Option<T> {
        let grace_over = async {
            self.stop.cancelled().await;
            let stopped = self.stopped_at().unwrap_or_else(Instant::now);
            tokio::time::sleep_until(stopped + WRITE_GRACE).await;
        };
        tokio::select! {
            biased;
            done = write => Some(done),
            () = grace_over => None,
        }
    }

    /// When the interrupt was first noticed.
    fn stopped_at(&self) -> Option<Instant> {
        self.stopped().then(|| *self.stopped_at.get_or_init(Instant::now))
    }

    /// The time until the deadline; zero after it.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// True once the run was interrupted.
    pub fn stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// The name, as passed to [`Scope::new`].
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Fails if the run was interrupted or the deadline has passed.
    pub fn check(&self) -> Result<(), Error> {
        if self.stopped() {
            Err(self.stopped_error())
        } else if self.remaining().is_zero() {
            Err(self.timed_out_error())
        } else {
            Ok(())
        }
    }

    /// Waits for `duration`; fails immediately if the run is interrupted or the deadline passes.
    pub async fn sleep(&self, duration: Duration) -> Result<(), Error> {
        self.run(tokio::time::sleep(duration)).await
    }

    /// Runs `work`; drops it and fails if the run is interrupted or the deadline passes.
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
        self.stopped_at();
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
    async fn ends_at_the_deadline_or_the_interrupt() {
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
    async fn parts_share_the_deadline_of_the_task() {
        let (begun, stop) = (Instant::now(), CancellationToken::new());
        tokio::time::sleep(Duration::from_secs(40)).await;
        let scope = Scope::since(begun, Duration::from_secs(60), stop.clone(), "looking");
        assert_eq!(scope.remaining(), Duration::from_secs(20));
        let late = scope.sleep(Duration::from_secs(21)).await.unwrap_err();
        assert!(late.to_string().contains("the timeout of 1m passed while looking"), "{late}");
        assert!(Scope::since(begun, Duration::from_secs(60), stop, "looking again").check().is_err());
    }

    #[tokio::test]
    async fn a_very_long_timeout_does_not_overflow() {
        assert!(Scope::new(Duration::MAX, CancellationToken::new(), "x").check().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn all_scopes_share_the_grace_period_of_an_interrupt() {
        let stop = CancellationToken::new();
        let scope = Scope::new(Duration::from_secs(600), stop.clone(), "creating Gallery \"g\"");
        let begun = Instant::now();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            stop.cancel();
        });
        let slow = tokio::time::sleep(Duration::from_secs(15));
        assert_eq!(
            scope
                .run_write(async {
                    slow.await;
                    7
                })
                .await,
            Some(7),
            "it ends within the grace period"
        );
        assert_eq!(scope.run_write(std::future::pending::<()>()).await, None);
        assert_eq!(begun.elapsed(), Duration::from_secs(1) + WRITE_GRACE);
        let mut reads = 0;
        loop {
            let last = scope.anew(Duration::from_secs(60), "looking").for_final_read();
            if last.remaining().is_zero() {
                break;
            }
            last.sleep(Duration::from_secs(60)).await.unwrap_err();
            reads += 1;
        }
        assert_eq!((reads, begun.elapsed()), (2, Duration::from_secs(1) + GRACE));
    }
}
