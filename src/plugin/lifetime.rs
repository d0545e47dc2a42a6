//! The end of the process: signals, shutdown, and a host that is gone.

use super::{connections::Open, otlp, socket::Files};
use std::{io, process, sync::Arc, thread, time::Duration};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The time for running calls after Shutdown. The host kills the process after two seconds, and a killed process leaves
/// its socket behind.
const GRACE: Duration = Duration::from_millis(500);
/// How often a process without connections checks that its host still exists.
const WATCH: Duration = Duration::from_secs(5);

/// How long a process without connections waits before it considers its host gone, where it cannot check.
#[cfg(any(not(unix), test))]
const DESERTED: Duration = Duration::from_secs(60);

/// The end of the process, shared by everything that causes it or waits for it.
#[derive(Debug, Clone)]
pub struct Lifetime {
    ended: CancellationToken,
    calls_off: Arc<Notify>,
    files: Arc<Files>,
}

impl Lifetime {
    /// With the listener's files, which are removed at the end.
    pub fn new(files: Files) -> Self {
        Self { ended: CancellationToken::new(), calls_off: Arc::default(), files: Arc::new(files) }
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

    /// Notified when running operations should end: at the end of the process, and before it by a signal.
    pub fn calls_off(&self) -> Arc<Notify> {
        self.calls_off.clone()
    }

    /// Begins the end: streams close, and calls that watch for cancellation return. The rest is cut off soon, by a thread
    /// that does not depend on the runtime.
    pub fn end(&self) {
        if self.ended.is_cancelled() {
            return;
        }
        self.ended.cancel();
        self.calls_off.notify_one();
        otlp::hurry();
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
/// They are caught rather than ignored because children such as the Azure CLI would inherit ignoring them.
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
    pub async fn ending(mut self, owner: Owner, open: &Open, calls_off: &Notify) -> u8 {
        let mut asked = None;
        loop {
            #[cfg(unix)]
            let code = tokio::select! {
                _ = self.interrupt.recv() => None,
                _ = self.terminate.recv() => Some(128 + 15),
                _ = self.hangup.recv() => Some(128 + 1),
                () = nobody(open), if asked.is_some() => asked,
            };
            #[cfg(windows)]
            let code = self.interrupt.recv().await.and(None);
            match (owner, code) {
                (Owner::Host, None) => tracing::debug!("interrupt seen and left to the host"),
                (Owner::Host, Some(code)) if open.none() || asked.is_some() => return code,
                (Owner::Host, Some(code)) => {
                    tracing::info!("signal received: stopping running operations and waiting for the host");
                    calls_off.notify_one();
                    asked = Some(code);
                }
                (Owner::Person, _) => return 0,
            }
        }
    }
}

/// Waits until there is no connection.
#[cfg(unix)]
async fn nobody(open: &Open) {
    while !open.none() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until the parent process has died and there is no connection: a killed Terraform cannot end this process
/// otherwise. `parent` is the parent's ID at the start.
#[cfg(unix)]
pub async fn orphaned(parent: u32, open: &Open) {
    loop {
        tokio::time::sleep(WATCH).await;
        if open.none() && parent_id() != parent {
            return;
        }
    }
}

/// On other systems the death of a parent cannot be seen this way. A host keeps its streams open while it lives, so one that
/// was connected and is not for a minute is gone.
#[cfg(any(not(unix), test))]
pub async fn deserted(open: &Open) {
    let (mut was_there, mut alone) = (false, Duration::ZERO);
    while alone < DESERTED {
        tokio::time::sleep(WATCH).await;
        was_there |= !open.none();
        alone = if was_there && open.none() { alone + WATCH } else { Duration::ZERO };
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
            async move { deserted(&open).await }
        });
        tokio::time::sleep(DESERTED * 3).await;
        assert!(!gone.is_finished(), "no connection so far");
        let there = open.count();
        tokio::time::sleep(DESERTED * 3).await;
        drop(there);
        tokio::time::sleep(DESERTED / 2).await;
        assert!(!gone.is_finished());
        let there = open.count();
        tokio::time::sleep(WATCH).await;
        drop(there);
        tokio::time::sleep(DESERTED - WATCH).await;
        assert!(!gone.is_finished(), "the minute starts again");
        tokio::time::sleep(WATCH * 2).await;
        assert!(gone.is_finished());
    }
}
