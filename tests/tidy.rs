//! The house stays tidy: rooms look only at the rooms they may, files say what they are, stdout belongs to the handshake.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Who may look at whom: a room of `src/`, and the rooms whose names may stand in it. `main` may look at all of them.
/// To change it is a normal edit when the design changes.
const MAY_LOOK_AT: &[(&str, &[&str])] = &[
    ("schema", &[]),
    ("framework", &["schema"]),
    ("rpc", &["framework", "plugin", "schema"]),
    ("plugin", &[]),
    ("arm", &[]),
    ("image", &[]),
    ("azure", &["framework", "arm", "schema", "image"]),
    ("resources", &["azure", "framework", "arm", "schema", "image"]),
    ("data_sources", &["azure", "framework", "arm", "schema", "image"]),
    ("functions", &["azure", "framework", "arm", "schema", "image"]),
    (
        "provider",
        &[
            "resources",
            "data_sources",
            "functions",
            "azure",
            "framework",
            "arm",
            "schema",
            "image",
            "emulator",
        ],
    ),
    ("docs", &["framework", "schema"]),
    ("emulator", &[]),
];

/// Rooms of which each public file stands for itself: no resource looks at another.
const APART: &[&str] = &["resources", "data_sources"];

/// Above this a file has two subjects.
const LARGEST: usize = 32 * 1024;

#[test]
fn rooms_look_only_where_they_may() {
    let table: BTreeMap<&str, &[&str]> = MAY_LOOK_AT.iter().copied().collect();
    let mut found = Vec::new();
    for file in files("src").into_iter().filter(|file| file.room != "main" && file.room != "lib") {
        let Some(allowed) = table.get(file.room.as_str()) else {
            found.push(format!(
                "{}: the room {:?} is not in the table of tests/tidy.rs",
                file.name, file.room
            ));
            continue;
        };
        for (line, seen) in file.looks() {
            // the macro that declares models is schema's, though macros live at the top of a crate
            let seen = if seen == "model" { "schema".to_owned() } else { seen };
            if seen != file.room && !allowed.contains(&seen.as_str()) {
                found.push(format!("{}:{line}: {} may not look at {seen}", file.name, file.room));
            }
        }
    }
    assert_none(&found);
}

#[test]
fn the_table_is_of_the_rooms_that_exist() {
    let exist: BTreeSet<String> = files("src")
        .into_iter()
        .map(|file| file.room)
        .filter(|room| room != "main" && room != "lib")
        .collect();
    let told: BTreeSet<String> = MAY_LOOK_AT.iter().map(|(room, _)| (*room).to_owned()).collect();
    assert_eq!(told, exist);
    // an arrow one way forbids the arrow back, however long the way
    for (room, _) in MAY_LOOK_AT {
        let mut reached = BTreeSet::new();
        let mut ahead = vec![*room];
        while let Some(next) = ahead.pop() {
            let looks =
                MAY_LOOK_AT.iter().find(|(name, _)| *name == next).map_or(&[][..], |(_, looks)| looks);
            ahead.extend(looks.iter().filter(|look| reached.insert(**look)));
        }
        assert!(!reached.contains(room), "{room} looks at itself by way of others");
    }
}

#[test]
fn nothing_that_stands_for_itself_looks_at_its_neighbour() {
    let mut found = Vec::new();
    for file in files("src").into_iter().filter(|file| APART.contains(&file.room.as_str())) {
        // what is not public there is a helper of several, and nobody's neighbour
        let listed = read(&root().join("src").join(&file.room).join("mod.rs"));
        let neighbours: BTreeSet<&str> =
            listed.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
        assert!(!neighbours.is_empty(), "src/{}/mod.rs lists nothing", file.room);
        let Some(own) = file.module.get(1).cloned() else { continue };
        let own = own.trim_end_matches("_tests");
        for (line, path) in file.paths() {
            if path.first() == Some(&file.room)
                && let Some(other) = path.get(1)
                && neighbours.contains(other.as_str())
                && other != own
            {
                found.push(format!("{}:{line}: {own} looks at {other}", file.name));
            }
        }
    }
    assert_none(&found);
}

#[test]
fn every_file_says_what_it_is() {
    let mut found = Vec::new();
    for file in files("src").into_iter().chain(files("tests")) {
        let first = file.text.lines().next().unwrap_or_default();
        if !first.starts_with("//! ") || first.len() < 20 {
            found.push(format!("{}: does not open with a sentence after //!", file.name));
        }
    }
    assert_none(&found);
}

#[test]
fn no_file_has_two_subjects() {
    let found: Vec<String> = files("src")
        .into_iter()
        .filter(|file| file.text.len() > LARGEST)
        .map(|file| format!("{}: {} bytes, more than {LARGEST}", file.name, file.text.len()))
        .collect();
    assert_none(&found);
}

#[test]
fn stdout_belongs_to_the_handshake() {
    let mut found = Vec::new();
    for file in files("src").into_iter().filter(|file| file.room != "main" && file.room != "emulator") {
        for (number, line) in file.code.lines().enumerate() {
            let mut words = line.match_indices("print").map(|(at, _)| &line[..at]);
            let prints = line.contains("println!") || line.contains("print!");
            // eprintln! goes to stderr, which Terraform shows as a log
            if prints && words.any(|before| !before.ends_with(|c: char| c.is_alphanumeric() || c == '_')) {
                found.push(format!(
                    "{}:{}: writes to stdout, which carries the handshake",
                    file.name,
                    number + 1
                ));
            }
        }
    }
    assert_none(&found);
}

#[test]
fn the_map_shows_every_room() {
    let map: String =
        read(&root().join("src/lib.rs")).lines().filter(|line| line.starts_with("//!")).collect();
    for (room, _) in MAY_LOOK_AT {
        // the emulator can be left out of a build, and a link to it would then be broken
        let shown = if *room == "emulator" {
            map.contains("`emulator`")
        } else {
            map.contains(&format!("[`{room}`]"))
        };
        assert!(shown, "src/lib.rs does not link {room}");
    }
}

#[test]
fn looks_are_found_however_they_are_written() {
    let check = |name: &str, text: &str, expected: &[&str]| {
        let file = File::new(name, text.to_owned());
        let seen: Vec<String> = file.looks().into_iter().map(|(_, room)| room).collect();
        assert_eq!(seen, expected, "{name}: {text}");
    };
    check("src/arm/id.rs", "use crate::schema::Value;", &["schema"]);
    check("src/provider.rs", "use crate::{arm::{self, id}, docs};", &["arm", "arm", "docs"]);
    check("src/arm/id.rs", "let x = super::super::image::parse(crate::rpc::Y);", &["image", "rpc"]);
    check("src/arm/mod.rs", "use super::image;", &["image"]);
    check("src/arm/id.rs", "use super::send; mod tests { use super::super::send; use super::*; }", &[]);
    check("src/arm/id.rs", "mod tests { use super::super::super::image; }", &["image"]);
    check(
        "src/arm/id.rs",
        "// use crate::docs\n/* crate::docs */ let x = \"crate::docs\"; // see [`x`](crate::docs)",
        &[],
    );
    check("src/arm/id_tests.rs", "use super::super::send;", &[]);
    check(
        "src/arm/id.rs",
        "$crate::schema::Type; let c = '\"'; crate::docs::x; let d = 'a';",
        &["schema", "docs"],
    );
    check(
        "src/docs.rs",
        "use azimage::schema; pub(crate) fn f<'a>() {} pub(in crate::arm) fn g() {}",
        &["arm"],
    );
    check("src/docs.rs", "let x = r#\"a \" crate::arm\"#; crate::rpc::y();", &["rpc"]);
}

/// A Rust file.
struct File {
    /// From the root of the repository.
    name: String,
    /// The first part of its module path.
    room: String,
    /// Its module path.
    module: Vec<String>,
    text: String,
    /// The text without comments and the insides of literals, with the same lines.
    code: String,
}

impl File {
    fn new(name: &str, text: String) -> File {
        let inner = name.strip_prefix("src/").or(name.strip_prefix("tests/")).unwrap_or(name);
        let mut module: Vec<String> = inner.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        let code = code(&text);
        File { name: name.to_owned(), room: module.first().cloned().unwrap_or_default(), module, text, code }
    }

    /// The rooms that its paths name, each with its line.
    fn looks(&self) -> Vec<(usize, String)> {
        self.paths().into_iter().filter_map(|(line, path)| Some((line, path.into_iter().next()?))).collect()
    }

    /// Its paths that start with `crate` or `super`, from the top of the crate, each with its line. `crate::{a, b::c}` is
    /// two. Those within its own room are left out, unless the room's files stand apart.
    fn paths(&self) -> Vec<(usize, Vec<String>)> {
        let tokens = tokens(&self.code);
        let mut found = Vec::new();
        // a file of tests that stands beside its subject is a child of it
        let beside = usize::from(
            self.module.len() > 1 && self.module.last().is_some_and(|last| last.ends_with("_tests")),
        );
        let mut braces: Vec<bool> = Vec::new();
        let word = |at: usize| tokens.get(at).map_or("", |(_, token)| token.as_str());
        let mut at = 0;
        while at < tokens.len() {
            let line = tokens[at].0;
            match word(at) {
                "{" => {
                    let is_module = at >= 2 && word(at - 2) == "mod";
                    braces.push(is_module);
                }
                "}" => {
                    braces.pop();
                }
                "crate" if word(at + 1) == "::" => {
                    branches(&tokens, at + 2, Vec::new(), line, &mut found);
                    at += 1;
                }
                "super" if word(at + 1) == "::" && (at == 0 || word(at - 1) != "::") => {
                    let mut up = 0;
                    while word(at) == "super" && word(at + 1) == "::" {
                        up += 1;
                        at += 2;
                    }
                    let depth = self.module.len() + beside + braces.iter().filter(|module| **module).count();
                    let left = depth.saturating_sub(up);
                    if left == 0 {
                        branches(&tokens, at, Vec::new(), line, &mut found);
                    } else if left == 1 {
                        branches(&tokens, at, vec![self.room.clone()], line, &mut found);
                    }
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        found
            .into_iter()
            .filter(|(_, path)| APART.contains(&self.room.as_str()) || path.first() != Some(&self.room))
            .collect()
    }
}

/// Reads a path, or a tree of them in braces, that goes on at `at`; returns where it ends.
fn branches(
    tokens: &[(usize, String)],
    mut at: usize,
    start: Vec<String>,
    line: usize,
    found: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let word = |at: usize| tokens.get(at).map_or("", |(_, token)| token.as_str());
    let mut path = start;
    loop {
        if word(at) == "{" {
            at += 1;
            while !matches!(word(at), "}" | "") {
                at = branches(tokens, at, path.clone(), line, found);
                if word(at) == "," {
                    at += 1;
                }
            }
            return at + 1;
        }
        if word(at).starts_with(|c: char| c.is_alphabetic() || c == '_') {
            path.push(word(at).to_owned());
            at += 1;
        } else if word(at) == "*" {
            at += 1;
        }
        if word(at) == "::" {
            at += 1;
            continue;
        }
        // `x as y`
        if word(at) == "as" {
            at += 2;
        }
        // a token that is none of a path ends it, and must not be met twice
        if path.is_empty() {
            at += 1;
        } else {
            found.push((line, path));
        }
        return at;
    }
}

/// Words, `::` and single marks, each with its line.
fn tokens(code: &str) -> Vec<(usize, String)> {
    let mut tokens: Vec<(usize, String)> = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            let length = if first.is_alphanumeric() || first == '_' {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            if !first.is_whitespace() {
                tokens.push((number + 1, rest[..length].to_owned()));
            }
            rest = &rest[length..];
        }
    }
    tokens
}

/// Rust without its comments and without the insides of its literals; lines stay where they are.
fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let blank = |out: &mut String, part: &str| out.extend(part.chars().filter(|c| *c == '\n'));
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first == '"' {
            quoted(rest)
        } else if let Some(hashes) =
            raw(rest).filter(|_| !out.ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        {
            let close = format!("\"{}", "#".repeat(hashes));
            let open = hashes + 2;
            rest[open..].find(&close).map_or(rest.len(), |end| open + end + close.len())
        } else if first == '\'' {
            character(rest)
        } else {
            0
        };
        if skipped > 0 {
            blank(&mut out, &rest[..skipped]);
            out.push(' ');
            rest = &rest[skipped..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// The length of the literal in double quotes that `text` starts with.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// How many hashes the raw literal has that `text` starts with.
fn raw(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('r')?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    rest[hashes..].starts_with('"').then_some(hashes)
}

/// The length of the character literal that `text` starts with; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((at, c))) => {
            text[at + c.len_utf8()..].find('\'').map_or(0, |end| at + c.len_utf8() + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

/// All Rust files below `folder`, in order.
fn files(folder: &str) -> Vec<File> {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "there are no files in {folder}");
    found
        .into_iter()
        .map(|path| {
            let name =
                path.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/");
            File::new(&name, read(&path))
        })
        .collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}
