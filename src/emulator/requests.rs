//! The last requests, for the page: in memory, or in a file beside the state to which all processes append.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::clock::{self, Ticks};
use super::files;
use super::json::Json;
use crate::sync::lock;

/// How many requests are shown.
const SHOWN: usize = 50;
/// The size at which the file is truncated to the requests that are shown.
const LARGEST: u64 = 256 * 1024;
/// The suffix of the file, beside the state.
const SUFFIX: &str = ".requests";

/// The last requests to one state.
pub struct Requests {
    state: Option<PathBuf>,
    memory: Mutex<VecDeque<Json>>,
}

impl Requests {
    /// Creates the list for a state in a file or in memory.
    pub fn of(state: Option<&Path>) -> Requests {
        Requests { state: state.map(Path::to_owned), memory: Mutex::default() }
    }

    /// Adds a request. Write errors are ignored, because they must not fail the request.
    pub fn add(&self, at: Ticks, method: &str, path: &str, status: u16) {
        let entry = Json::object()
            .with("at", clock::format(at))
            .with("method", method)
            .with("path", path)
            .with("status", i64::from(status));
        match &self.state {
            Some(state) => drop(append(state, &entry)),
            None => {
                let mut memory = lock(&self.memory);
                memory.push_back(entry);
                if memory.len() > SHOWN {
                    memory.pop_front();
                }
            }
        }
    }

    /// The newest first.
    pub fn newest(&self) -> Vec<Json> {
        match &self.state {
            Some(state) => last(state).unwrap_or_default().into_iter().rev().collect(),
            None => {
                let memory = lock(&self.memory);
                memory.iter().rev().cloned().collect()
            }
        }
    }

    /// Removes all requests.
    pub fn clear(&self) {
        lock(&self.memory).clear();
        if let Some(state) = &self.state {
            let _ = fs::remove_file(files::beside(state, SUFFIX));
        }
    }
}

fn append(state: &Path, entry: &Json) -> io::Result<()> {
    let mut file = files::open_beside(state, SUFFIX, true)?;
    // One write, so that the lines of several processes do not mix.
    file.write_all((entry.compact() + "\n").as_bytes())?;
    if file.metadata()?.len() > LARGEST {
        let path = files::beside(state, SUFFIX);
        let kept: String = last(state)?.iter().map(|entry| entry.compact() + "\n").collect();
        files::create_beside(&path, ".new")?.write_all(kept.as_bytes())?;
        // Lines that other processes append meanwhile are lost, which affects only the page.
        fs::rename(files::beside(&path, ".new"), path)?;
    }
    Ok(())
}

/// The last entries, oldest first.
fn last(state: &Path) -> io::Result<Vec<Json>> {
    let mut file = files::open_regular(&files::beside(state, SUFFIX), OpenOptions::new().read(true))?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(64 * 1024)))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let mut entries: Vec<Json> = text
        .split(|byte| *byte == b'\n')
        .rev()
        .filter_map(|line| Json::parse(line).ok())
        .take(SHOWN)
        .collect();
    entries.reverse();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_see_each_others_requests_and_the_file_stays_small() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state.json");
        let (one, two) = (Requests::of(Some(&state)), Requests::of(Some(&state)));
        assert!(one.newest().is_empty());
        for number in 0..3_000 {
            let by = if number % 2 == 0 { &one } else { &two };
            by.add(0, "GET", &format!("/{number}/{}", "x".repeat(100)), 200);
        }
        let newest = two.newest();
        assert_eq!(newest.len(), SHOWN);
        assert!(newest[0].text("path").unwrap().starts_with("/2999/"));
        assert_eq!(one.newest(), newest);
        assert!(fs::metadata(files::beside(&state, SUFFIX)).unwrap().len() <= LARGEST + 1_000);
        one.clear();
        assert!(two.newest().is_empty());
        let alone = Requests::of(None);
        for number in 0..60 {
            alone.add(0, "PUT", &format!("/{number}"), 201);
        }
        assert_eq!((alone.newest().len(), alone.newest()[0].text("path")), (SHOWN, Some("/59")));
    }
}
