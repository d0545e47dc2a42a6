//! The end of the process: signals, shutdown, and a host that is gone.

use super::{connections::Open, otlp, socket::Files};
use std::{io, process, sync::Arc, thread, time::Duration};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The time for running calls after Shutdown. The host kills the process after two seconds, and a killed process leaves
/// its socket behind.
const GRACE: Duration = Duration::from_millis(500);
/// How often a process without connections checks that its host still exists.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// How long a process without connections waits before it considers its host gone, where it cannot check.
#[cfg(any(not(unix), test))]
const HOST_TIMEOUT: Duration = Duration::from_secs(60);

/// The end of the process, shared by everything that causes it or waits for it.
#[derive(Debug, Clone)]
pub struct Lifetime {
    ended: CancellationToken,
    stop_calls: Arc<Notify>,
    files: Arc<Files>,
}

impl Lifetime {
    /// With the listener's files, which are removed at the end.
    pub fn new(files: Files) -> Self {
        Self { ended: CancellationToken::new(), stop_calls: Arc::default(), files: Arc::new(files) }
    }

    /// Without files, for tests.
    #[cfg(test)]
    pub fn for_tests() -> Self {
        Self::new(Files::default())
    }

    /// Cancelled once the end has begun.
    pub fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// Notified when running operations should stop: at the end of the process, and when a signal arrives.
    pub fn stop_calls(&self) -> Arc<Notify> {
        self.stop_calls.clone()
    }

    /// Begins the end: streams close, and calls that watch for cancellation return. The rest is cut off soon, by a thread
    /// that does not depend on the runtime.
    pub fn end(&self) {
        if self.ended.is_cancelled() {
            return;
        }
        self.ended.cancel();
        self.stop_calls.notify_one();
        otlp::flush_soon();
        let files = self.files.clone();
        let deadline = thread::Builder::new().name("deadline".into()).spawn(move || {
            // Existing connections stay open; new ones are no longer possible.
            files.remove();
            thread::sleep(GRACE);
            process::exit(0);
        });
        if let Err(error) = deadline {
            tracing::warn!(%error, "starting the thread that ends the process; the host will have to kill it");
        }
    }

    /// Removes the files; nothing runs after this.
    pub fn clean_up(&self) {
        self.files.remove();
    }
}

/// The owner of the process, who may end it by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Terraform. Ctrl-C reaches the whole process group, but the host decides what to stop.
    Host,
    /// The person at the terminal.
    Person,
}

/// Signals, caught until the process ends.
///
/// They are caught rather than ignored, because child processes such as the Azure CLI would inherit ignored signals.
pub struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
}

impl Signals {
    /// Begins to catch them. Must be called inside a runtime.
    #[cfg(unix)]
    pub fn catch() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Begins to catch them. Must be called inside a runtime.
    #[cfg(windows)]
    pub fn catch() -> io::Result<Self> {
        Ok(Self { interrupt: tokio::signal::windows::ctrl_c()? })
    }

    /// Waits for a signal that ends the process, and returns the exit code that shells report for it.
    ///
    /// A signal to the whole process group, as when a job is cancelled, also reaches the host, which then stops the run and
    /// ends this process. So while the host is connected, the first signal only stops running operations.
    pub async fn wait_for_exit_code(mut self, owner: Owner, open: &Open, stop_calls: &Notify) -> u8 {
        let mut exit_code = None;
        loop {
            #[cfg(unix)]
            let code = tokio::select! {
                _ = self.interrupt.recv() => None,
                _ = self.terminate.recv() => Some(128 + 15),
                _ = self.hangup.recv() => Some(128 + 1),
                () = wait_until_disconnected(open), if exit_code.is_some() => exit_code,
            };
            #[cfg(windows)]
            let code = self.interrupt.recv().await.and(None);
            match (owner, code) {
                (Owner::Host, None) => tracing::debug!("interrupt ignored: the host decides what to stop"),
                (Owner::Host, Some(code)) if open.none() || exit_code.is_some() => return code,
                (Owner::Host, Some(code)) => {
                    tracing::info!("signal received: stopping running operations and waiting for the host");
                    stop_calls.notify_one();
                    exit_code = Some(code);
                }
                (Owner::Person, _) => return 0,
            }
        }
    }
}

/// Waits until there is no connection.
#[cfg(unix)]
async fn wait_until_disconnected(open: &Open) {
    while !open.none() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until the parent process has died and no connection is open: a killed Terraform cannot end this process in
/// any other way. `parent` is the parent's ID at the start.
#[cfg(unix)]
pub async fn wait_until_orphaned(parent: u32, open: &Open) {
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        if open.none() && parent_id() != parent {
            return;
        }
    }
}

/// Waits until the host has gone, on systems where the death of a parent cannot be seen. A host keeps its streams
/// open, so a host that was connected and has had no connection for a minute is gone.
#[cfg(any(not(unix), test))]
pub async fn wait_until_host_is_gone(open: &Open) {
    let (mut was_connected, mut idle) = (false, Duration::ZERO);
    while idle < HOST_TIMEOUT {
        tokio::time::sleep(CHECK_INTERVAL).await;
        was_connected |= !open.none();
        idle = if was_connected && open.none() { idle + CHECK_INTERVAL } else { Duration::ZERO };
    }
}

/// The ID of the parent process, or of the process that adopted this one.
#[cfg(unix)]
pub fn parent_id() -> u32 {
    std::os::unix::process::parent_id()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn host_is_gone_after_a_minute_without_connections() {
        let open = Open::default();
        let gone = tokio::spawn({
            let open = open.clone();
            async move { wait_until_host_is_gone(&open).await }
        });
        tokio::time::sleep(HOST_TIMEOUT * 3).await;
        assert!(!gone.is_finished(), "no connection so far");
        let there = open.count();
        tokio::time::sleep(HOST_TIMEOUT * 3).await;
        drop(there);
        tokio::time::sleep(HOST_TIMEOUT / 2).await;
        assert!(!gone.is_finished());
        let there = open.count();
        tokio::time::sleep(CHECK_INTERVAL).await;
        drop(there);
        tokio::time::sleep(HOST_TIMEOUT - CHECK_INTERVAL).await;
        assert!(!gone.is_finished(), "the minute starts again");
        tokio::time::sleep(CHECK_INTERVAL * 2).await;
        assert!(gone.is_finished());
    }
}
