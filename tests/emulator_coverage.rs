//! The guide's coverage table lists the emulator's routes; UPDATE=1 rewrites it.

#![cfg(feature = "emulator")]
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::path::Path;

use azimage::emulator::cli::usage::tables;
use azimage::emulator::coverage::{ROUTES, coverage_table, gaps_table};

/// The text between a comment that starts with `name` and the comment that ends it.
fn marked<'a>(guide: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = guide.split_once(&format!("<!-- {name}"))?;
    let (_, rest) = rest.split_once("-->")?;
    rest.split_once(&format!("<!-- end of {name} -->")).map(|(text, _)| text.trim())
}

#[test]
fn guide_contains_the_generated_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guides/testing-with-the-emulator.md");
    let mut guide = std::fs::read_to_string(&path).unwrap();
    for (name, table) in [("coverage", coverage_table()), ("gaps", gaps_table()), ("commands", tables())] {
        let shown = marked(&guide, name).unwrap().to_owned();
        if std::env::var_os("UPDATE").is_some() {
            guide = guide.replacen(&shown, table.trim(), 1);
            std::fs::write(&path, &guide).unwrap();
        } else {
            assert!(
                shown == table.trim(),
                "the table of {name} in {} is out of date; rewrite it with UPDATE=1 cargo test --test emulator_coverage",
                path.display()
            );
        }
    }
}

#[test]
fn table_lists_every_route_once() {
    let table = coverage_table();
    assert_eq!(table.lines().count(), ROUTES.len() + 2);
    assert!(table.lines().all(|line| line.matches('|').count() == 4), "a cell contains a bar");
    let paths: std::collections::HashSet<_> = ROUTES.iter().map(|route| route.path).collect();
    assert_eq!(paths.len(), ROUTES.len(), "a path is listed twice");
    assert_eq!(marked("a <!-- x: why -->\n\n| x |\n<!-- end of x --> b", "x"), Some("| x |"));
    assert_eq!(marked("nothing", "x"), None);
}
