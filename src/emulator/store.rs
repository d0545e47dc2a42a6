//! The state: an append-only log of JSON lines that several processes share, with an in-memory index.
//!
//! One line holds all changes of one request, so a process killed at any moment leaves either all of them or none: readers
//! ignore a last line without a newline, and the next writer truncates it. Writers hold an exclusive lock on a file beside the
//! log (`<state>.lock`); readers take none. Before each request a process reads what others appended. When most of the log is
//! obsolete it is rewritten under a new generation and renamed into place; other processes notice the new generation and
//! reload.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::EmulatorError;
use super::clock::Ticks;
use super::files;
use super::json::Json;

/// The format number in a state file's first line. Files of another format are rejected.
const FORMAT: i64 = 1;
/// The log is rewritten when it exceeds twice the live records plus this many lines.
const SLACK: u64 = 5_000;
/// The suffix of a new log until it replaces the old one.
const FRESH: &str = ".new";
/// The field of a record that holds its expiry.
pub const EXPIRES: &str = "_exp";

/// The state of one emulator, in a file or in memory.
pub struct Store {
    path: Option<PathBuf>,
    view: Mutex<View>,
}

#[derive(Default)]
struct View {
    generation: String,
    seed: u64,
    offset: u64,
    sequence: u64,
    puts: u64,
    records: BTreeMap<String, Arc<Json>>,
    /// (subscription and type, key): the index for subscription-wide lists.
    types: BTreeSet<(String, String)>,
    expiry: BTreeSet<(Ticks, String)>,
}

impl Store {
    /// Opens or creates the state file and its parent folders.
    pub fn open(path: &Path) -> Result<Store, EmulatorError> {
        let path = files::resolve(path).map_err(|error| EmulatorError::io("opening", path, error))?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent)
                .map_err(|error| EmulatorError::io("creating the folder of", &path, error))?;
        }
        let store = Store { path: Some(path.clone()), view: Mutex::default() };
        if !path.exists() {
            let _lock = lock(&path)?;
            let mut view = store.view();
            view.catch_up_for_writing(&path)?;
        } else {
            store.view().catch_up(&path)?;
        }
        Ok(store)
    }

    /// Creates an in-memory state; its random numbers are reproducible.
    pub fn in_memory() -> Store {
        let view = View { generation: "memory".to_owned(), seed: 0x5eed, ..View::default() };
        Store { path: None, view: Mutex::new(view) }
    }

    /// Runs one request. `body` sees the newest state, and its staged changes are written as one line. If a body that was
    /// called for reading stages a change, it is called again under the lock.
    pub fn run<R>(
        &self,
        write: bool,
        now: Ticks,
        mut body: impl FnMut(&mut Transaction<'_>) -> R,
    ) -> Result<R, EmulatorError> {
        let mut view = self.view();
        let Some(path) = &self.path else {
            let mut transaction = Transaction::new(&view);
            let result = body(&mut transaction);
            let staged = transaction.finish(now);
            view.apply(staged);
            return Ok(result);
        };
        if !write {
            view.catch_up(path)?;
            let mut transaction = Transaction::new(&view);
            let result = body(&mut transaction);
            if transaction.staged.is_empty() {
                return Ok(result);
            }
        }
        let _lock = lock(path)?;
        view.catch_up_for_writing(path)?;
        let mut transaction = Transaction::new(&view);
        let result = body(&mut transaction);
        if transaction.staged.is_empty() {
            return Ok(result);
        }
        let staged = transaction.finish(now);
        view.append(path, staged)?;
        if view.puts > 2 * view.records.len() as u64 + SLACK {
            // The change is already written. If rewriting the log fails, for example on a full disk, a later request retries
            // it.
            if view.compact(path).is_err() {
                let _ = fs::remove_file(files::beside(path, FRESH));
                view.puts = view.records.len() as u64;
            }
        }
        Ok(result)
    }

    /// The state file.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn view(&self) -> MutexGuard<'_, View> {
        // A panic inside a request cannot leave the view half changed: changes are applied after the request.
        crate::sync::lock(&self.view)
    }
}

/// Changes by key: a record, or `None` to remove it.
type Staged = BTreeMap<String, Option<Json>>;

/// One request's view of the state and its staged changes.
pub struct Transaction<'a> {
    view: &'a View,
    staged: Staged,
    drawn: u64,
}

impl<'a> Transaction<'a> {
    fn new(view: &'a View) -> Transaction<'a> {
        Transaction { view, staged: BTreeMap::new(), drawn: 0 }
    }

    /// The record under a key.
    pub fn get(&self, key: &str) -> Option<Arc<Json>> {
        match self.staged.get(key) {
            Some(change) => change.clone().map(Arc::new),
            None => self.view.records.get(key).cloned(),
        }
    }

    /// Stages a write.
    pub fn put(&mut self, key: &str, value: Json) {
        self.staged.insert(key.to_owned(), Some(value));
    }

    /// Stages a removal if the record exists.
    pub fn delete(&mut self, key: &str) {
        if self.view.records.contains_key(key) {
            self.staged.insert(key.to_owned(), None);
        } else {
            self.staged.remove(key);
        }
    }

    /// Calls `visit` for each record whose key starts with `prefix`, in key order, starting after `after`, until it returns
    /// false.
    pub fn scan(&self, prefix: &str, after: Option<&str>, mut visit: impl FnMut(&str, &Arc<Json>) -> bool) {
        let start = match after {
            Some(key) => Bound::Excluded(key.to_owned()),
            None => Bound::Included(prefix.to_owned()),
        };
        let range = (start, Bound::Unbounded);
        let mut fresh =
            self.staged.range(range.clone()).take_while(|(key, _)| key.starts_with(prefix)).peekable();
        let mut stored =
            self.view.records.range(range).take_while(|(key, _)| key.starts_with(prefix)).peekable();
        loop {
            let from_staged = match (fresh.peek(), stored.peek()) {
                (None, None) => return,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some((left, _)), Some((right, _))) => left <= right,
            };
            let go_on = if from_staged {
                let Some((key, change)) = fresh.next() else { return };
                if stored.peek().is_some_and(|(other, _)| *other == key) {
                    stored.next();
                }
                match change {
                    Some(value) => visit(key, &Arc::new(value.clone())),
                    None => true,
                }
            } else {
                let Some((key, value)) = stored.next() else { return };
                visit(key, value)
            };
            if !go_on {
                return;
            }
        }
    }

    /// The records of one resource type in one subscription, in key order.
    pub fn of_type(&self, subscription: &str, kind: &str) -> Vec<Arc<Json>> {
        let index = type_index(subscription, kind);
        let mut keys: BTreeSet<&str> = self
            .view
            .types
            .range((index.clone(), String::new())..)
            .take_while(|(found, _)| *found == index)
            .map(|(_, key)| key.as_str())
            .collect();
        for (key, change) in &self.staged {
            if type_of_key(key).as_deref() == Some(index.as_str()) && change.is_some() {
                keys.insert(key);
            }
        }
        keys.into_iter().filter_map(|key| self.get(key)).collect()
    }

    /// A new GUID, reproducible from the state's seed and its number of changes.
    pub fn guid(&mut self) -> String {
        self.drawn += 1;
        guid(self.view.seed, self.view.sequence.wrapping_add(1), self.drawn)
    }

    /// The number of records, for summaries.
    pub fn record_count(&self) -> usize {
        self.view.records.len()
    }

    /// Discards the staged changes.
    pub fn undo(&mut self) {
        self.staged.clear();
    }

    /// Removes every record.
    pub fn clear(&mut self) {
        self.staged.clear();
        for key in self.view.records.keys() {
            self.staged.insert(key.clone(), None);
        }
    }

    /// Takes the staged changes, and removes a few expired records with them.
    fn finish(mut self, now: Ticks) -> Staged {
        for (at, key) in self.view.expiry.iter().take(200) {
            if *at > now {
                break;
            }
            self.staged.entry(key.clone()).or_insert(None);
        }
        self.staged
    }
}

impl View {
    /// Reads what other processes appended, or everything if the file was replaced.
    fn catch_up(&mut self, path: &Path) -> Result<u64, EmulatorError> {
        let reading = |error| EmulatorError::io("reading", path, error);
        let mut file = match files::open_regular(path, OpenOptions::new().read(true)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                *self = View::default();
                return Ok(0);
            }
            Err(error) => return Err(reading(error)),
        };
        let mut head = [0_u8; 256];
        let mut filled = 0;
        while filled < head.len() {
            match file.read(&mut head[filled..]).map_err(reading)? {
                0 => break,
                count => filled += count,
            }
        }
        if filled == 0 {
            *self = View::default();
            return Ok(0);
        }
        let end = head[..filled]
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or_else(|| EmulatorError::format(path, "its first line is not a header"))?;
        let header = Json::parse(&head[..end])
            .map_err(|_| EmulatorError::format(path, "its first line is not a header"))?;
        if header.int("azimage_emulator_state") != Some(FORMAT) {
            return Err(EmulatorError::format(path, "its format is not known"));
        }
        let length = file.metadata().map_err(reading)?.len();
        let generation = header.text("generation").unwrap_or_default();
        if generation != self.generation || length < self.offset {
            *self = View {
                generation: generation.to_owned(),
                seed: header.int("seed").unwrap_or_default() as u64,
                sequence: header.int("sequence").unwrap_or_default() as u64,
                offset: end as u64 + 1,
                ..View::default()
            };
        }
        if length > self.offset {
            file.seek(SeekFrom::Start(self.offset)).map_err(reading)?;
            let mut text = Vec::new();
            file.read_to_end(&mut text).map_err(reading)?;
            self.read_lines(&text).map_err(|why| EmulatorError::format(path, &why))?;
        }
        Ok(length)
    }

    fn read_lines(&mut self, text: &[u8]) -> Result<(), String> {
        let mut start = 0;
        while let Some(length) = text[start..].iter().position(|byte| *byte == b'\n') {
            let line = &text[start..start + length];
            let change = Json::parse(line)
                .map_err(|why| format!("the entry at byte {} is damaged: {why}", self.offset))?;
            start += length + 1;
            self.offset += length as u64 + 1;
            let mut staged = Staged::new();
            if let Json::Object(pairs) = change {
                for (name, value) in pairs {
                    match (name.as_str(), value) {
                        ("put", Json::Object(records)) => {
                            staged.extend(records.into_iter().map(|(key, value)| (key, Some(value))));
                        }
                        ("del", Json::Array(keys)) => {
                            staged.extend(
                                keys.iter().filter_map(Json::as_str).map(|key| (key.to_owned(), None)),
                            );
                        }
                        _ => {}
                    }
                }
            }
            self.apply(staged);
        }
        Ok(())
    }

    /// Under the lock: creates the file if absent, catches up, and truncates a torn last line.
    fn catch_up_for_writing(&mut self, path: &Path) -> Result<(), EmulatorError> {
        let length = self.catch_up(path)?;
        if self.generation.is_empty() {
            *self = View { seed: fastrand::u64(..) >> 1, ..View::default() };
            return self.compact(path);
        }
        if length > self.offset {
            files::open_regular(path, OpenOptions::new().write(true))
                .and_then(|file| file.set_len(self.offset))
                .map_err(|error| EmulatorError::io("repairing", path, error))?;
        }
        Ok(())
    }

    fn append(&mut self, path: &Path, staged: Staged) -> Result<(), EmulatorError> {
        let line = line(&staged);
        let mut file = files::open_regular(path, OpenOptions::new().append(true))
            .map_err(|error| EmulatorError::io("opening", path, error))?;
        if let Err(error) = file.write_all(line.as_bytes()) {
            // Best effort: the next writer truncates a torn line anyway.
            let _ = file.set_len(self.offset);
            return Err(EmulatorError::io("writing", path, error));
        }
        self.offset += line.len() as u64;
        self.apply(staged);
        Ok(())
    }

    /// Writes the live records to a new file and renames it over the old one.
    fn compact(&mut self, path: &Path) -> Result<(), EmulatorError> {
        let writing = |error| EmulatorError::io("rewriting", path, error);
        let generation = format!("{:016x}{:016x}", fastrand::u64(..), self.sequence);
        let header = Json::object()
            .with("azimage_emulator_state", FORMAT)
            .with("generation", generation.as_str())
            .with("seed", self.seed)
            .with("sequence", self.sequence);
        let mut text = header.compact();
        text.push('\n');
        for (key, value) in &self.records {
            let one = Staged::from([(key.clone(), Some(Json::clone(value)))]);
            text.push_str(&line(&one));
        }
        let mut file = files::create_beside(path, FRESH).map_err(writing)?;
        file.write_all(text.as_bytes()).map_err(writing)?;
        file.sync_all().map_err(writing)?;
        drop(file);
        fs::rename(files::beside(path, FRESH), path).map_err(writing)?;
        // Reading back the new file keeps this process's counters equal to those of any other.
        self.generation = String::new();
        self.catch_up(path).map(|_| ())
    }

    fn apply(&mut self, staged: Staged) {
        if staged.is_empty() {
            return;
        }
        self.sequence = self.sequence.wrapping_add(1);
        for (key, change) in staged {
            if let Some(old) = self.records.get(&key)
                && let Some(at) = old.int(EXPIRES)
            {
                self.expiry.remove(&(at, key.clone()));
            }
            let index = type_of_key(&key);
            match change {
                Some(value) => {
                    self.puts += 1;
                    if let Some(at) = value.int(EXPIRES) {
                        self.expiry.insert((at, key.clone()));
                    }
                    if let Some(index) = index {
                        self.types.insert((index, key.clone()));
                    }
                    self.records.insert(key, Arc::new(value));
                }
                None => {
                    if let Some(index) = index {
                        self.types.remove(&(index, key.clone()));
                    }
                    self.records.remove(&key);
                }
            }
        }
    }
}

/// The key of a resource: `r|<collection>|<name>` in lower case. Siblings are adjacent in key order, and their children do not
/// come between them.
pub fn resource_key(id: &str) -> String {
    let id = id.trim_end_matches('/').to_ascii_lowercase();
    match id.rsplit_once('/') {
        Some((collection, name)) => format!("r|{collection}|{name}"),
        None => format!("r||{id}"),
    }
}

fn type_index(subscription: &str, kind: &str) -> String {
    format!("{}|{}", subscription.to_ascii_lowercase(), kind.to_ascii_lowercase())
}

/// The subscription and type of a resource's key.
fn type_of_key(key: &str) -> Option<String> {
    let collection = key.strip_prefix("r|")?.rsplit_once('|')?.0;
    let mut segments = collection.split('/').skip(1);
    if segments.next() != Some("subscriptions") {
        return None;
    }
    let subscription = segments.next()?;
    let rest: Vec<&str> = segments.collect();
    let kind = match rest.iter().rposition(|segment| *segment == "providers") {
        Some(at) => {
            let tail = rest.get(at + 1..)?;
            let types = tail.iter().skip(1).step_by(2).copied();
            std::iter::once(*tail.first()?).chain(types).collect::<Vec<_>>().join("/")
        }
        None => (*rest.last()?).to_owned(),
    };
    Some(type_index(subscription, &kind))
}

fn line(staged: &Staged) -> String {
    let mut put = Json::object();
    let mut del = Vec::new();
    if let Json::Object(pairs) = &mut put {
        for (key, change) in staged {
            match change {
                Some(value) => pairs.push((key.clone(), value.clone())),
                None => del.push(Json::from(key.as_str())),
            }
        }
    }
    let mut change = Json::object();
    if !put.is_empty() {
        change.set("put", put);
    }
    if !del.is_empty() {
        change.set("del", del);
    }
    let mut text = change.compact();
    text.push('\n');
    text
}

/// A lock held while writing; released on drop or when the process dies.
fn lock(path: &Path) -> Result<File, EmulatorError> {
    let file = files::open_beside(path, ".lock", false)
        .map_err(|error| EmulatorError::io("locking", path, error))?;
    file.lock().map_err(|error| EmulatorError::io("locking", path, error))?;
    Ok(file)
}

/// Builds a version 4 GUID from three numbers.
pub fn guid(seed: u64, sequence: u64, drawn: u64) -> String {
    let mut state = seed ^ sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ drawn.rotate_left(40);
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let number = (u128::from(next()) << 64) | u128::from(next());
    uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(store: &Store, key: &str, value: &str) {
        store.run(true, 0, |transaction| transaction.put(key, Json::from(value))).unwrap();
    }

    fn get(store: &Store, key: &str) -> Option<Json> {
        store.run(false, 0, |transaction| transaction.get(key).map(|value| Json::clone(&value))).unwrap()
    }

    #[test]
    fn two_openers_see_each_others_changes_and_truncate_a_torn_tail() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/state.json");
        let first = Store::open(&path).unwrap();
        let second = Store::open(&path).unwrap();
        put(&first, "a", "1");
        assert_eq!(get(&second, "a"), Some("1".into()));
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole[..], b"{\"put\":{\"a\":\"torn\""].concat()).unwrap();
        assert_eq!(get(&second, "a"), Some("1".into()));
        put(&second, "b", "2");
        assert_eq!(get(&first, "b"), Some("2".into()));
        assert_eq!(get(&Store::open(&path).unwrap(), "a"), Some("1".into()));
        assert!(!String::from_utf8(fs::read(&path).unwrap()).unwrap().contains("torn"));
    }

    #[test]
    fn sequence_wraps_to_one_after_its_maximum() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        fs::write(&path, "{\"azimage_emulator_state\":1,\"generation\":\"g\",\"sequence\":-1}\n").unwrap();
        let store = Store::open(&path).unwrap();
        put(&store, "a", "1");
        store.run(true, 0, |transaction| transaction.guid()).unwrap();
        assert_eq!(get(&Store::open(&path).unwrap(), "a"), Some("1".into()));
    }

    #[test]
    fn other_processes_reload_a_rewritten_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let first = Store::open(&path).unwrap();
        let second = Store::open(&path).unwrap();
        put(&second, "kept", "yes");
        for round in 0..6_000 {
            put(&first, "busy", &round.to_string());
        }
        assert!(fs::metadata(&path).unwrap().len() < 60_000);
        assert_eq!(get(&second, "busy"), Some("5999".into()));
        assert_eq!(get(&second, "kept"), Some("yes".into()));
        put(&second, "after", "1");
        assert_eq!(get(&first, "after"), Some("1".into()));
    }

    #[test]
    fn rejects_files_of_other_programs_and_leaves_them_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("terraform.tfstate");
        fs::write(&path, "{\n \"version\": 4\n}\n").unwrap();
        let error = Store::open(&path).err().unwrap().to_string();
        assert!(error.contains("terraform.tfstate"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\n \"version\": 4\n}\n");
    }

    #[test]
    fn concurrent_threads_lose_no_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    let store = Store::open(path).unwrap();
                    for round in 0..50 {
                        store
                            .run(true, 0, |transaction| {
                                let count = transaction.get("n").and_then(|n| n.int("v")).unwrap_or(0);
                                transaction.put("n", Json::object().with("v", count + 1));
                                transaction.put(&format!("{thread}-{round}"), Json::Null);
                            })
                            .unwrap();
                    }
                });
            }
        });
        let store = Store::open(&path).unwrap();
        assert_eq!(get(&store, "n").unwrap().int("v"), Some(200));
        assert_eq!(store.run(false, 0, |t| t.record_count()).unwrap(), 201);
    }

    #[test]
    fn keys_group_resources_by_parent_and_type() {
        let version = "/subscriptions/S/resourceGroups/rg/providers/Microsoft.Compute/galleries/g/images/i/versions/1.0.0";
        let key = resource_key(version);
        assert!(key.ends_with("/images/i/versions|1.0.0"));
        assert_eq!(type_of_key(&key).as_deref(), Some("s|microsoft.compute/galleries/images/versions"));
        assert_eq!(
            type_of_key(&resource_key("/subscriptions/S/resourceGroups/rg")).as_deref(),
            Some("s|resourcegroups")
        );
        assert_eq!(type_of_key("o|guid"), None);
    }

    /// The test below runs this in separate processes: it writes until it is killed, and prints each completed write.
    #[test]
    fn writer_process() {
        use std::io::Write;
        let Some(path) = std::env::var_os("AZIMAGE_TEST_WRITER") else {
            return;
        };
        let name = std::env::var("AZIMAGE_TEST_NAME").unwrap();
        let store = Store::open(Path::new(&path)).unwrap();
        let filler = "x".repeat(3_000);
        for round in 0_i64.. {
            store
                .run(true, 0, |state| {
                    let total = state.get("total").and_then(|total| total.int("n")).unwrap_or(0);
                    state.put("total", Json::object().with("n", total + 1).with("fill", filler.as_str()));
                    state.put(&name, Json::object().with("round", round));
                })
                .unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "wrote {round}").unwrap();
            out.flush().unwrap();
        }
    }

    #[test]
    fn killed_writers_lose_no_acknowledged_write() {
        use std::io::{BufRead, BufReader};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let test = module_path!().split_once("::").unwrap().1.to_owned() + "::writer_process";
        let mut acknowledged = 0;
        for wave in 0..3 {
            let mut children: Vec<_> = (0..4)
                .map(|child| {
                    std::process::Command::new(std::env::current_exe().unwrap())
                        .args(["--exact", &test, "--nocapture"])
                        .env("AZIMAGE_TEST_WRITER", &path)
                        .env("AZIMAGE_TEST_NAME", format!("w{wave}-{child}"))
                        .stdout(std::process::Stdio::piped())
                        .stderr(std::process::Stdio::null())
                        .spawn()
                        .unwrap()
                })
                .collect();
            let lines: Vec<i64> = children
                .iter_mut()
                .enumerate()
                .map(|(index, child)| {
                    let reader = BufReader::new(child.stdout.take().unwrap());
                    let wanted = 20 + 7 * index;
                    let last = reader
                        .lines()
                        .map_while(Result::ok)
                        .filter_map(|line| line.strip_prefix("wrote ").and_then(|n| n.parse().ok()))
                        .nth(wanted)
                        .unwrap();
                    child.kill().unwrap();
                    child.wait().unwrap();
                    last
                })
                .collect();
            let store = Store::open(&path).unwrap();
            for (child, last) in lines.iter().enumerate() {
                let written = get(&store, &format!("w{wave}-{child}")).unwrap().int("round").unwrap();
                assert!(written >= *last, "child {child} had {last} acknowledged, {written} is there");
            }
            acknowledged += lines.iter().map(|last| last + 1).sum::<i64>();
        }
        let store = Store::open(&path).unwrap();
        let rounds: i64 = (0..3)
            .flat_map(|wave| (0..4).map(move |child| format!("w{wave}-{child}")))
            .map(|name| get(&store, &name).unwrap().int("round").unwrap() + 1)
            .sum();
        assert_eq!(get(&store, "total").unwrap().int("n"), Some(rounds));
        assert!(rounds >= acknowledged);
    }

    #[test]
    fn next_change_removes_expired_records() {
        let store = Store::in_memory();
        store.run(true, 0, |t| t.put("old", Json::object().with(EXPIRES, 10_i64))).unwrap();
        store.run(true, 9, |t| t.put("x", Json::Null)).unwrap();
        assert!(get(&store, "old").is_some());
        store.run(true, 10, |t| t.put("y", Json::Null)).unwrap();
        assert!(get(&store, "old").is_none());
    }
}
