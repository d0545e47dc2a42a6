//! The fuzz targets, one function each. `tests/corpus.rs` runs the same functions over the committed corpora.

pub mod clouds;
pub mod emulated;
pub mod messages;
pub mod service;
pub mod texts;
pub mod values;
pub mod wire;

/// Every fuzzer: the name of the fuzzer and its corpus, and its function.
pub const TARGETS: [(&str, fn(&[u8])); 13] = [
    ("arm", service::arm),
    ("constraint", texts::constraint),
    ("duration", texts::duration),
    ("emulator", emulated::emulator),
    ("id", texts::id),
    ("metadata", clouds::metadata),
    ("msgpack", values::msgpack),
    ("pfx", clouds::pfx),
    ("retry_after", texts::retry_after),
    ("rpc", wire::rpc),
    ("state", values::state),
    ("store", emulated::store),
    ("urn", texts::urn),
];

/// Runs the fuzzer `name` on `data`.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    target.unwrap_or_else(|| panic!("there is no fuzzer {name}")).1(data);
}
