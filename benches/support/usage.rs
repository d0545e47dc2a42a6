//! What the processes of one binary use, seen from outside (Linux only; elsewhere nothing is told).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What all processes of the binary used together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Seconds of processor time, of all of them.
    pub cpu: f64,
    /// The most that one of them had in memory.
    pub mebibytes: f64,
}

/// A look at `/proc`, again and again.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Usage>,
}

/// Begins to watch the processes of `binary`.
pub fn watch(binary: &Path) -> Watch {
    let stop = Arc::new(AtomicBool::new(false));
    let binary = std::fs::canonicalize(binary).unwrap_or_else(|_| binary.to_owned());
    let thread = std::thread::spawn({
        let stop = stop.clone();
        move || look(&binary, &stop)
    });
    Watch { stop, thread }
}

impl Watch {
    /// What was seen.
    pub fn end(self) -> Usage {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

fn look(binary: &PathBuf, stop: &AtomicBool) -> Usage {
    let own = std::process::id();
    let mut seen: HashMap<u32, Usage> = HashMap::new();
    // an emulator of the same build may run beside: what was there before is not looked at
    let before: Vec<u32> = processes().collect();
    while !stop.load(Ordering::Relaxed) {
        for pid in processes().filter(|pid| *pid != own && !before.contains(pid)) {
            if !seen.contains_key(&pid)
                && std::fs::read_link(format!("/proc/{pid}/exe")).ok().as_ref() != Some(binary)
            {
                continue;
            }
            if let Some(usage) = usage(pid) {
                seen.insert(pid, usage);
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    seen.values().fold(Usage::default(), |sum, one| Usage {
        cpu: sum.cpu + one.cpu,
        mebibytes: sum.mebibytes.max(one.mebibytes),
    })
}

fn processes() -> impl Iterator<Item = u32> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn usage(pid: u32) -> Option<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = peak.trim().trim_end_matches(" kB").parse().ok()?;
    // nanoseconds of each thread; those that have ended are missing, and the provider's live as long as it does
    let mut nanoseconds = 0.0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        nanoseconds += text.split(' ').next().and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
    }
    Some(Usage { cpu: nanoseconds / 1e9, mebibytes: kibibytes / 1024.0 })
}
