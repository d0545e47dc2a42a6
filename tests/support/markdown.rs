//! Helpers for Markdown and Rust sources: links, headings, differences, string literals.

use std::collections::BTreeSet;

/// The differing lines, with two lines of context.
pub fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    // the longest common rest from each pair of lines on
    let mut common = vec![vec![0u32; new.len() + 1]; old.len() + 1];
    for a in (0..old.len()).rev() {
        for b in (0..new.len()).rev() {
            common[a][b] = if old[a] == new[b] {
                common[a + 1][b + 1] + 1
            } else {
                common[a + 1][b].max(common[a][b + 1])
            };
        }
    }
    let (mut a, mut b) = (0, 0);
    let mut lines = Vec::new();
    while a < old.len() || b < new.len() {
        if a < old.len() && b < new.len() && old[a] == new[b] {
            lines.push((' ', old[a]));
            (a, b) = (a + 1, b + 1);
        } else if b == new.len() || a < old.len() && common[a + 1][b] >= common[a][b + 1] {
            lines.push(('-', old[a]));
            a += 1;
        } else {
            lines.push(('+', new[b]));
            b += 1;
        }
    }
    let near =
        |at: usize| lines[at.saturating_sub(2)..lines.len().min(at + 3)].iter().any(|(mark, _)| *mark != ' ');
    let shown = (0..lines.len()).filter(|at| near(*at)).map(|at| format!("{}{}", lines[at].0, lines[at].1));
    shown.collect::<Vec<_>>().join("\n")
}

/// The targets of a page's links, excluding code blocks.
pub fn links(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let mut rest = if fenced { "" } else { line };
        while let Some((_, after)) = rest.split_once("](") {
            let (link, after) = after.split_once(')').unwrap_or((after, ""));
            found.push(link.split(' ').next().unwrap_or_default().to_owned());
            rest = after;
        }
    }
    found
}

/// The link targets on a page: headings, as the Registry and GitHub derive them, and anchors.
pub fn anchors(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix('#') {
            let heading = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
            found.insert(heading.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect());
        }
        if let Some((_, rest)) = line.split_once("<a id=\"") {
            found.extend(rest.split('"').next().map(str::to_owned));
        }
    }
    found
}

pub fn joined(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The string literals of a Rust file as users see them: unescaped, with continued lines joined.
pub fn unescaped(source: &str) -> String {
    let mut joined = String::new();
    let mut goes_on = false;
    for line in source.lines() {
        let line = if goes_on { line.trim_start() } else { line };
        goes_on = line.ends_with('\\');
        joined.push_str(line.trim_end_matches('\\'));
        if !goes_on {
            joined.push('\n');
        }
    }
    joined.replace("\\\"", "\"")
}

#[test]
fn difference_shows_only_differing_lines() {
    let old = "a\nb\nc\nd\ne\nf";
    let new = "a\nb\nc\nX\nd\ne\n";
    assert_eq!(difference(old, new), " b\n c\n+X\n d\n e\n-f");
}

#[test]
fn finds_headings_and_links() {
    let text =
        "# A `thing`: named\n[x](a.md#b) and [y](#c)\n```\n[no](no.md)\n```\n<a id=\"nestedblock--x\"></a>\n";
    assert_eq!(links(text), ["a.md#b", "#c"]);
    assert_eq!(anchors(text), BTreeSet::from(["a-thing-named".to_owned(), "nestedblock--x".to_owned()]));
    assert_eq!(joined("docs/guides/a.md", "../resources/b.md"), "docs/resources/b.md");
}
