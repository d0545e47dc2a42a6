//! Measures the resource usage of a binary's processes (Linux only; zero elsewhere).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The usage of all processes of the binary.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Their total CPU time in seconds.
    pub cpu: f64,
    /// The largest resident memory of one of them, in MiB.
    pub mebibytes: f64,
}

/// A thread that reads `/proc` periodically.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Usage>,
}

/// Starts watching the processes of `binary`.
pub fn watch(binary: &Path) -> Watch {
    let stop = Arc::new(AtomicBool::new(false));
    let binary = std::fs::canonicalize(binary).unwrap_or_else(|_| binary.to_owned());
    let thread = std::thread::spawn({
        let stop = stop.clone();
        move || sample(&binary, &stop)
    });
    Watch { stop, thread }
}

impl Watch {
    /// Stops watching and returns the usage.
    pub fn end(self) -> Usage {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

fn sample(binary: &PathBuf, stop: &AtomicBool) -> Usage {
    let own = std::process::id();
    let mut seen: HashMap<u32, Usage> = HashMap::new();
    // ignores processes that were already running, such as an emulator of the same build
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
    // nanoseconds of each thread; threads that have ended are missing, but the provider's threads live as long as the
    // process
    let mut nanoseconds = 0.0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        nanoseconds += text.split(' ').next().and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
    }
    Some(Usage { cpu: nanoseconds / 1e9, mebibytes: kibibytes / 1024.0 })
}
