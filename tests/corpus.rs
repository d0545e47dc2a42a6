//! Runs the corpora of the fuzzers in `fuzz/` through the same functions as regression tests, with any Rust toolchain.
//!
//! `UPDATE=1` regenerates the seeds from the cases, fixtures and responses of the other tests.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/cases.rs"]
mod cases;
#[path = "support/core.rs"]
mod core;
#[path = "../fuzz/src/lib.rs"]
mod fuzz;
#[path = "corpus/seeds.rs"]
mod seeds;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name)
}

fn corpus(name: &str) -> BTreeMap<String, Vec<u8>> {
    let read = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
    };
    let entries =
        std::fs::read_dir(folder(name)).unwrap_or_else(|error| panic!("the corpus of {name}: {error}"));
    entries.map(|entry| read(entry.unwrap())).collect()
}

// Also covers every input that is added to a corpus after a fuzzer found it.
#[test]
fn accepts_every_seed() {
    for (name, _) in fuzz::TARGETS {
        let seeds = corpus(name);
        assert!(!seeds.is_empty(), "{name} has no seed");
        for (seed, data) in seeds {
            println!("{name}/{seed}");
            fuzz::run(name, &data);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn seeds_match_the_generated_ones() {
    let update = std::env::var_os("UPDATE").is_some();
    for (target, name, data) in seeds::all().await {
        assert!(data.len() < 16 * 1024, "{target}/{name} is large");
        let path = folder(target).join(&name);
        if update {
            std::fs::create_dir_all(folder(target)).unwrap();
            std::fs::write(&path, &data).unwrap();
        } else {
            assert!(path.exists(), "{target}/{name} is missing: UPDATE=1 cargo test --test corpus");
        }
        // dates and random names differ between runs and are ignored
        tokio::task::spawn_blocking(move || fuzz::run(target, &data)).await.unwrap();
    }
}

// Every fuzzer is built under its own name and runs every week.
#[test]
fn every_fuzzer_is_built_and_scheduled() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(root.join("fuzz/Cargo.toml")).unwrap();
    let workflow = std::fs::read_to_string(root.join(".github/workflows/test.yml")).unwrap();
    let mut files: Vec<String> = std::fs::read_dir(root.join("fuzz/fuzz_targets"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let names: Vec<String> = fuzz::TARGETS.iter().map(|(name, _)| format!("{name}.rs")).collect();
    assert_eq!(files, names);
    for (name, _) in fuzz::TARGETS {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
        let body = std::fs::read_to_string(root.join(format!("fuzz/fuzz_targets/{name}.rs"))).unwrap();
        assert!(body.contains(&format!("azimage_fuzz::run(\"{name}\", data)")), "{body}");
        assert!(workflow.contains(&format!("          - {name}\n")), "no workflow runs {name}");
    }
}
