//! The mark of a running test: a locked file on this computer. The lock ends with the process, so a later run recognises the
//! machine of a run that was killed here, and does not touch the machine of a run that is still running.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The prefix and suffix of the names of marks.
const PREFIX: &str = "azimage-test-";
const SUFFIX: &str = ".lock";
/// How long the mark of a killed run is kept.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// The length of the ID of a run, in characters.
const LENGTH: usize = 12;

/// A new, random run ID, in hexadecimal digits.
pub fn new_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()[..LENGTH].to_owned()
}

/// Whether `text` is the ID of a run.
pub fn is_id(text: &str) -> bool {
    text.len() == LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Marks a run as running until this value is dropped or the process ends.
pub struct RunMark {
    path: PathBuf,
    // `None` if files cannot be written or locked; then only the time limit of the machine counts.
    file: Option<File>,
}

impl RunMark {
    /// Marks the run `id`.
    pub fn hold(id: &str) -> RunMark {
        let path = path_of(id);
        remove_old(path.parent());
        let file = File::create_new(&path).ok().filter(|file| file.try_lock().is_ok());
        RunMark { path, file }
    }

    /// Removes the mark of a run that left nothing behind. A mark that remains means that its run was killed.
    pub fn finish(self) {
        if self.file.is_some() {
            drop(self.file);
            remove(&self.path);
        }
    }
}

/// Whether the run `id` was started on this computer and its process ended without removing its machine.
pub fn was_killed(id: &str) -> bool {
    is_id(id) && File::open(path_of(id)).is_ok_and(|file| file.try_lock().is_ok())
}

/// Removes the mark of a killed run.
pub fn forget(id: &str) {
    if was_killed(id) {
        remove(&path_of(id));
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::debug!(%error, path = %path.display(), "the mark of a test cannot be removed");
    }
}

/// Removes the marks of runs that were killed long ago, whose machines have been removed by their own time limit.
fn remove_old(folder: Option<&Path>) {
    let Some(entries) = folder.and_then(|folder| std::fs::read_dir(folder).ok()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
        let modified = entry.metadata().and_then(|metadata| metadata.modified()).ok();
        let is_old = modified.and_then(|time| time.elapsed().ok()).is_some_and(|age| age > KEPT);
        if let Some(id) = id.filter(|_| is_old) {
            forget(id);
        }
    }
}

/// The folder of the marks, in the user's home: the temporary folder may differ between runs.
fn path_of(id: &str) -> PathBuf {
    let folder = std::env::home_dir().map(|home| home.join(".cache").join("terraform-provider-azimage"));
    let folder =
        folder.filter(|folder| std::fs::create_dir_all(folder).is_ok()).unwrap_or_else(std::env::temp_dir);
    folder.join(format!("{PREFIX}{}{SUFFIX}", id.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_that_ended_without_finishing_was_killed() {
        let (going, finished, killed) = (new_id(), new_id(), new_id());
        let mark = RunMark::hold(&going);
        RunMark::hold(&finished).finish();
        drop(RunMark::hold(&killed));
        assert!(!was_killed(&going), "it is going");
        assert!(!was_killed(&finished), "it is unknown here");
        assert!(was_killed(&killed));
        forget(&killed);
        assert!(!was_killed(&killed));
        mark.finish();
        assert!(!was_killed("../../etc/passwd") && !was_killed(&new_id()));
    }
}
