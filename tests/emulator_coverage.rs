//! The guide's coverage table lists the emulator's routes; UPDATE=1 rewrites it.

#![cfg(feature = "emulator")]
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::ops::Range;
use std::path::Path;

use azimage::emulator::cli::usage::tables;
use azimage::emulator::coverage::{ROUTES, coverage_table, gaps_table};

/// The range of the text between a comment that starts with `name` and the comment that ends it.
fn marked(guide: &str, name: &str) -> Option<Range<usize>> {
    let begin = guide.find(&format!("<!-- {name}"))?;
    let start = begin + guide[begin..].find("-->")? + "-->".len();
    let end = start + guide[start..].find(&format!("<!-- end of {name} -->"))?;
    Some(start..end)
}

#[test]
fn guide_contains_the_generated_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guides/testing-with-the-emulator.md");
    let mut guide = std::fs::read_to_string(&path).unwrap();
    for (name, table) in [("coverage", coverage_table()), ("gaps", gaps_table()), ("commands", tables())] {
        let range = marked(&guide, name).unwrap();
        if std::env::var_os("UPDATE").is_some() {
            guide.replace_range(range, &format!("\n\n{}\n\n", table.trim()));
            std::fs::write(&path, &guide).unwrap();
        } else {
            assert!(
                guide[range].trim() == table.trim(),
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
}

#[test]
fn finds_the_text_between_the_markers() {
    let guide = "| x | <!-- x: why -->\n\n| x |\n<!-- end of x --> b";
    assert_eq!(marked(guide, "x").map(|range| &guide[range]), Some("\n\n| x |\n"));
    assert_eq!(marked("nothing", "x"), None);
}
