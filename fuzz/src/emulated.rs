//! Fuzzes the emulator with arbitrary requests and state files.

use std::sync::OnceLock;

use azimage::emulator::json::{Json, same};
use azimage::emulator::{Emulator, Fault, Request, Response};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

use super::messages;

fn at(second: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_793_000_000).expect("a time") + Duration::seconds(second)
}

/// Sends the same requests to two emulators, whose responses must be equal.
pub fn emulator(data: &[u8]) {
    let (one, other) = (Emulator::in_memory(), Emulator::in_memory());
    let mut scripted = false;
    for (second, message) in messages::read(data, 16).into_iter().enumerate() {
        let (method, url) = message.first.split_once(' ').unwrap_or(("GET", message.first));
        let request = Request {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: message.headers,
            body: message.body.to_vec(),
        };
        // faults may request any response
        scripted |= url.contains("_emulator");
        let now = at(second as i64);
        let answer = one.handle(&request, now);
        assert_eq!(answer, other.handle(&request, now), "equal requests get equal responses");
        if !scripted {
            well_formed(&request, &answer);
        }
    }
}

fn well_formed(request: &Request, answer: &Response) {
    assert!((200..600).contains(&answer.status) && answer.status != 500, "{request:?}: {answer:?}");
    assert_eq!(answer.fault, Fault::None);
    let header = |name: &str| {
        let found = answer.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    };
    if header("content-type").is_some_and(|kind| kind.contains("json")) {
        let body = Json::parse(&answer.body).unwrap_or_else(|why| panic!("{request:?}: {why}"));
        assert!(answer.status < 400 || body.get("error").is_some(), "{request:?}: {}", body.compact());
    }
    if let Some(length) = header("content-length") {
        assert_eq!(length, answer.body.len().to_string());
    }
    for (name, value) in &answer.headers {
        assert!(!value.contains(['\r', '\n', '\0']), "{request:?}: {name}: {value:?}");
    }
}

/// The input is a state file. It is also parsed as JSON.
pub fn store(data: &[u8]) {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder"));
    let path = folder.path().join("state.json");
    std::fs::write(&path, data).expect("the folder is writable");
    match Emulator::open(&path) {
        Ok(emulator) => {
            let before = responses(&emulator);
            let group = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/made";
            let status = send(
                &emulator,
                "PUT",
                &format!("{group}?api-version=2024-07-01"),
                "{\"location\":\"eastus\"}",
            );
            let after = responses(&emulator);
            let reopened =
                Emulator::open(&path).unwrap_or_else(|error| panic!("reading the written file: {error}"));
            assert_eq!(responses(&reopened), after, "the written state is read back");
            assert!(status < 500 || before == after);
        }
        Err(error) => assert!(error.to_string().contains("state.json")),
    }
    let serde = serde_json::from_slice::<serde_json::Value>(data);
    let ours = Json::parse(data);
    assert_eq!(ours.is_ok(), serde.is_ok(), "{ours:?} and {serde:?}");
    if let Ok(json) = ours {
        for text in [json.compact(), json.pretty()] {
            let again = Json::parse(text.as_bytes()).unwrap_or_else(|why| panic!("{why}: {text}"));
            assert_eq!(again, json);
            assert!(same(&again, &json) || text.matches('"').count() > 4, "{text}");
        }
        let mut merged = json.clone();
        merged.merge_patch(&json);
        let once = merged.clone();
        merged.merge_patch(&json);
        assert_eq!(merged, once, "merging is idempotent");
    }
}

fn send(emulator: &Emulator, method: &str, url: &str, body: &str) -> u16 {
    let request = Request {
        method: method.to_owned(),
        url: url.to_owned(),
        headers: vec![("authorization".to_owned(), "Bearer emulator".to_owned())],
        body: body.as_bytes().to_vec(),
    };
    emulator.handle(&request, at(0)).status
}

// The responses to a few reads, which are equal as long as the state is.
fn responses(emulator: &Emulator) -> Vec<(u16, Vec<u8>)> {
    let subscription = "/subscriptions/00000000-0000-0000-0000-000000000000";
    [
        "",
        "/resourceGroups",
        "/resources",
        "/providers/Microsoft.Compute/galleries",
        "/providers/Microsoft.Compute/images",
    ]
    .iter()
    .map(|rest| {
        let request = Request {
            method: "GET".to_owned(),
            url: format!("{subscription}{rest}?api-version=2024-03-03"),
            headers: vec![("authorization".to_owned(), "Bearer emulator".to_owned())],
            body: Vec::new(),
        };
        let answer = emulator.handle(&request, at(1));
        (answer.status, answer.body)
    })
    .collect()
}
