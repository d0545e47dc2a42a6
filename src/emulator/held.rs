//! Requests that wait until a control call releases them, so that a test can act at a precise moment.

use super::Request;
use super::clock::{self, Ticks};
use super::faults::When;
use super::json::Json;
use super::store::Transaction;

/// The record that names the held requests.
pub const KEY: &str = "s|held";

/// The state of a held request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It is waiting.
    Still,
    /// It may continue.
    Go,
    /// Its connection must be closed.
    Drop,
}

/// Holds a request; returns its number.
pub fn hold(state: &mut Transaction<'_>, request: &Request, path: &str, when: When, wall: Ticks) -> i64 {
    let mut record = state.get(KEY).map(|record| Json::clone(&record)).unwrap_or_default();
    let number = record.int("last").unwrap_or(0) + 1;
    let entry = Json::object()
        .with("number", number)
        .with("method", request.method.as_str())
        .with("path", path)
        .with("held", if when == When::Before { "before" } else { "after" })
        .with("since", clock::format(wall));
    let mut entries = record.list("held").to_vec();
    entries.push(entry);
    record.set("last", number);
    record.set("held", entries);
    state.put(KEY, record);
    number
}

/// The state of the request with this number.
pub fn ask(state: &Transaction<'_>, number: i64) -> Held {
    let Some(record) = state.get(KEY) else { return Held::Go };
    if record.list("held").iter().any(|entry| entry.int("number") == Some(number)) {
        Held::Still
    } else if number <= record.int("dropped").unwrap_or(0) {
        Held::Drop
    } else {
        Held::Go
    }
}

/// The requests currently held.
pub fn list(state: &Transaction<'_>) -> Json {
    let entries = state.get(KEY).map(|record| record.list("held").to_vec()).unwrap_or_default();
    Json::object().with("held", entries)
}

/// Releases all held requests, or closes their connections.
pub fn release(state: &mut Transaction<'_>, drop: bool) {
    let Some(record) = state.get(KEY) else { return };
    let mut record = Json::clone(&record);
    record.set("held", Vec::new());
    if drop {
        record.set("dropped", record.int("last").unwrap_or(0));
    }
    state.put(KEY, record);
}

#[cfg(test)]
mod tests {
    use super::super::store::Store;
    use super::*;

    #[test]
    fn requests_wait_until_released() {
        let store = Store::in_memory();
        let hold = || {
            let request = Request { method: "PUT".into(), ..Request::default() };
            store.run(true, 0, |state| super::hold(state, &request, "/x", When::Before, 0)).unwrap()
        };
        let ask = |number| store.run(false, 0, |state| super::ask(state, number)).unwrap();
        let release = |drop| store.run(true, 0, |state| super::release(state, drop)).unwrap();
        let first = hold();
        assert_eq!(ask(first), Held::Still);
        release(false);
        assert_eq!(ask(first), Held::Go);
        let second = hold();
        assert_ne!(first, second);
        release(true);
        assert_eq!(ask(second), Held::Drop);
        let third = hold();
        release(false);
        assert_eq!(ask(third), Held::Go);
    }
}
