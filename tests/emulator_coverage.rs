//! The guide's coverage table lists the emulator's routes; UPDATE=1 writes it anew.

#![cfg(feature = "emulator")]
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::path::Path;

use azimage::emulator::router::{ROUTES, coverage_table};

/// What stands between the two comments of a guide, if they are there; the first may say more than its first word.
fn marked(guide: &str) -> Option<&str> {
    let start = guide.find("<!-- coverage")?;
    let rest = &guide[start..];
    let rest = &rest[rest.find("-->")? + 3..];
    let end = rest.find("<!-- /coverage -->").or_else(|| rest.find("<!-- end of coverage -->"))?;
    Some(rest[..end].trim())
}

#[test]
fn the_guide_has_the_table_of_routes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guides/testing-with-the-emulator.md");
    let guide = std::fs::read_to_string(&path).unwrap();
    let shown = marked(&guide).unwrap();
    let table = coverage_table();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, guide.replacen(shown, table.trim(), 1)).unwrap();
        return;
    }
    assert!(
        shown == table.trim(),
        "the coverage table of {} is not that of the routes; write it anew with UPDATE=1 cargo test --test emulator_coverage",
        path.display()
    );
}

#[test]
fn the_table_has_a_line_for_every_route() {
    let table = coverage_table();
    assert_eq!(table.lines().count(), ROUTES.len() + 2);
    assert!(table.lines().all(|line| line.matches('|').count() == 4), "a cell has a bar in it");
    let paths: std::collections::HashSet<_> = ROUTES.iter().map(|route| route.path).collect();
    assert_eq!(paths.len(), ROUTES.len(), "a path stands twice");
    assert_eq!(marked("a <!-- coverage -->\n\n| x |\n<!-- /coverage --> b"), Some("| x |"));
    assert_eq!(marked("nothing"), None);
}
