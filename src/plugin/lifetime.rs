//! When the process ends, and how it makes sure that it does.

use super::{connections::Open, otlp, socket::Files};
use std::{io, process, sync::Arc, thread, time::Duration};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What is left to running calls after Shutdown. The host kills after two seconds; a process that is
/// killed leaves its socket behind.
const GRACE: Duration = Duration::from_millis(500);
/// How often an unconnected process looks whether its host is still there.
const WATCH: Duration = Duration::from_secs(5);

/// After how long alone a process takes its host for gone, where it cannot see that.
#[cfg(any(not(unix), test))]
const DESERTED: Duration = Duration::from_secs(60);

/// The end of the process, shared by all who bring it about or wait for it.
#[derive(Debug, Clone)]
pub struct Lifetime {
    ended: CancellationToken,
    calls_off: Arc<Notify>,
    files: Arc<Files>,
}

impl Lifetime {
    /// Begins with the listener's files, which go at the end, however it comes.
    pub fn new(files: Files) -> Self {
        Self { ended: CancellationToken::new(), calls_off: Arc::default(), files: Arc::new(files) }
    }

    /// Without files, for tests of what ends with it.
    #[cfg(test)]
    pub fn for_tests() -> Self {
        Self::new(Files::default())
    }

    /// Cancelled once the end has begun.
    pub fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// Notified whenever what is under way is to end soon, truthfully: at the end, and when a signal asks for it before.
    pub fn calls_off(&self) -> Arc<Notify> {
        self.calls_off.clone()
    }

    /// Begins the end: streams close, calls that heed cancellation return. Whatever has not finished
    /// soon is cut off, by a thread that no blocked runtime can hold up.
    pub fn end(&self) {
        if self.ended.is_cancelled() {
            return;
        }
        self.ended.cancel();
        self.calls_off.notify_one();
        otlp::hurry();
        let files = self.files.clone();
        let deadline = thread::Builder::new().name("deadline".into()).spawn(move || {
            // whoever is connected stays so, and nobody is to come any more
            files.remove();
            thread::sleep(GRACE);
            process::exit(0);
        });
        if let Err(error) = deadline {
            tracing::warn!(%error, "starting the thread that ends the process; the host will have to kill it");
        }
    }

    /// Removes the files now: nothing runs after this.
    pub fn clean_up(&self) {
        self.files.remove();
    }
}

/// Who may end the process by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Terraform: Ctrl-C reaches the whole group, but what to stop is the host's to say.
    Host,
    /// The person at the terminal.
    Person,
}

/// Signals, caught from the moment this is made until the process ends.
///
/// Caught and not ignored, since children (such as the Azure CLI) would inherit the latter.
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

    /// Waits for a signal that ends the process and gives the exit code, which for a signal that
    /// usually kills is the one shells report then.
    ///
    /// A signal that reaches a host's whole group, as when a job is cancelled, reaches the host too, which then stops what
    /// runs and ends us. So while it is connected the first one only calls off what is under way.
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
                    tracing::info!(
                        "asked to end: what is under way is called off, and the host has the last word"
                    );
                    calls_off.notify_one();
                    asked = Some(code);
                }
                (Owner::Person, _) => return 0,
            }
        }
    }
}

// Until no one is connected.
#[cfg(unix)]
async fn nobody(open: &Open) {
    while !open.none() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until the process that started us has died without a word and no one is connected, which a
/// killed Terraform cannot tell us otherwise. `parent` is the starter's id, read at the start.
#[cfg(unix)]
pub async fn orphaned(parent: u32, open: &Open) {
    loop {
        tokio::time::sleep(WATCH).await;
        if open.none() && parent_id() != parent {
            return;
        }
    }
}

/// Elsewhere a parent's death cannot be seen this way, but a host keeps its streams open for as long as it lives: who was
/// connected, and is not for a minute, is gone.
#[cfg(any(not(unix), test))]
pub async fn deserted(open: &Open) {
    let (mut was_there, mut alone) = (false, Duration::ZERO);
    while alone < DESERTED {
        tokio::time::sleep(WATCH).await;
        was_there |= !open.none();
        alone = if was_there && open.none() { alone + WATCH } else { Duration::ZERO };
    }
}

/// The id of the process that started this one, or of whoever inherited it.
#[cfg(unix)]
pub fn parent_id() -> u32 {
    std::os::unix::process::parent_id()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_was_left_alone_for_a_minute_is_deserted() {
        let open = Open::default();
        let gone = tokio::spawn({
            let open = open.clone();
            async move { deserted(&open).await }
        });
        tokio::time::sleep(DESERTED * 3).await;
        assert!(!gone.is_finished(), "nobody came yet");
        let there = open.count();
        tokio::time::sleep(DESERTED * 3).await;
        drop(there);
        tokio::time::sleep(DESERTED / 2).await;
        assert!(!gone.is_finished());
        let there = open.count();
        tokio::time::sleep(WATCH).await;
        drop(there);
        tokio::time::sleep(DESERTED - WATCH).await;
        assert!(!gone.is_finished(), "a minute begins anew");
        tokio::time::sleep(WATCH * 2).await;
        assert!(gone.is_finished());
    }
}
