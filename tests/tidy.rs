//! Checks of the source tree: module dependencies, file sizes and headers, and no writes to stdout.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of `src/`, each with the modules that it may use. `main` may use all of them. Changing the table is a normal
/// edit when the design changes.
const MAY_USE: &[(&str, &[&str])] = &[
    ("schema", &[]),
    ("framework", &["schema", "sync"]),
    ("rpc", &["framework", "plugin", "schema", "sync"]),
    ("plugin", &["sync"]),
    ("arm", &["sync"]),
    ("image", &[]),
    ("sync", &[]),
    ("azure", &["framework", "arm", "schema", "image", "sync"]),
    ("resources", &["azure", "framework", "arm", "schema", "image"]),
    ("data_sources", &["azure", "framework", "arm", "schema", "image"]),
    ("list_resources", &["azure", "framework", "arm", "schema", "image"]),
    ("actions", &["azure", "framework", "arm", "schema", "image"]),
    ("functions", &["azure", "framework", "arm", "schema", "image"]),
    (
        "provider",
        &[
            "resources",
            "data_sources",
            "list_resources",
            "actions",
            "functions",
            "azure",
            "framework",
            "arm",
            "schema",
            "image",
            "sync",
            "emulator",
        ],
    ),
    ("docs", &["framework", "schema"]),
    ("page", &[]),
    ("report", &["page", "provider", "data_sources", "azure", "framework", "arm", "schema", "image"]),
    ("emulator", &["page", "sync"]),
];

/// Modules whose public submodules must not use each other: no resource uses another resource.
const INDEPENDENT: &[&str] = &["resources", "data_sources", "list_resources", "actions"];

/// The size in bytes above which a file probably has two subjects.
const LARGEST: usize = 32 * 1024;

#[test]
fn modules_use_only_what_they_may() {
    let table: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let mut found = Vec::new();
    for file in files("src").into_iter().filter(|file| file.area != "main" && file.area != "lib") {
        let Some(allowed) = table.get(file.area.as_str()) else {
            found.push(format!(
                "{}: the module {:?} is not in the table of tests/tidy.rs",
                file.name, file.area
            ));
            continue;
        };
        for (line, seen) in file.uses() {
            // the macro that declares models belongs to schema, but macros are exported from the crate root
            let seen = if seen == "model" { "schema".to_owned() } else { seen };
            if seen != file.area && !allowed.contains(&seen.as_str()) {
                found.push(format!("{}:{line}: {} may not use {seen}", file.name, file.area));
            }
        }
    }
    assert_none(&found);
}

#[test]
fn the_table_lists_every_module_and_has_no_cycle() {
    let exist: BTreeSet<String> = files("src")
        .into_iter()
        .map(|file| file.area)
        .filter(|area| area != "main" && area != "lib")
        .collect();
    let listed: BTreeSet<String> = MAY_USE.iter().map(|(area, _)| (*area).to_owned()).collect();
    assert_eq!(listed, exist);
    for (area, _) in MAY_USE {
        let mut reached = BTreeSet::new();
        let mut ahead = vec![*area];
        while let Some(next) = ahead.pop() {
            let uses = MAY_USE.iter().find(|(name, _)| *name == next).map_or(&[][..], |(_, uses)| uses);
            ahead.extend(uses.iter().filter(|used| reached.insert(**used)));
        }
        assert!(!reached.contains(area), "{area} uses itself through other modules");
    }
}

#[test]
fn contributing_shows_the_table() {
    let text = read(&root().join("CONTRIBUTING.md"));
    let names =
        |cell: &str| -> BTreeSet<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let rows = text.lines().skip_while(|line| !line.starts_with("| module |")).skip(2);
    let shown: BTreeMap<String, BTreeSet<String>> = rows
        .take_while(|line| line.starts_with('|'))
        .flat_map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            let used = names(cells[2]);
            names(cells[0]).into_iter().map(move |module| (module, used.clone()))
        })
        .collect();
    let table = MAY_USE
        .iter()
        .map(|(module, used)| ((*module).to_owned(), used.iter().map(|name| (*name).to_owned()).collect()))
        .collect();
    assert_eq!(shown, table);
}

#[test]
fn independent_modules_do_not_use_each_other() {
    let mut found = Vec::new();
    for file in files("src").into_iter().filter(|file| INDEPENDENT.contains(&file.area.as_str())) {
        // a private submodule is a helper that several may use
        let listed = read(&root().join("src").join(&file.area).join("mod.rs"));
        let neighbours: BTreeSet<&str> =
            listed.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
        assert!(!neighbours.is_empty(), "src/{}/mod.rs lists nothing", file.area);
        let Some(own) = file.module.get(1).cloned() else { continue };
        let own = own.trim_end_matches("_tests");
        for (line, path) in file.paths() {
            if path.first() == Some(&file.area)
                && let Some(other) = path.get(1)
                && neighbours.contains(other.as_str())
                && other != own
            {
                found.push(format!("{}:{line}: {own} uses {other}", file.name));
            }
        }
    }
    assert_none(&found);
}

#[test]
fn no_two_files_import_each_other() {
    let all = files("src");
    let by_module: BTreeMap<&[String], &str> =
        all.iter().map(|file| (file.module.as_slice(), file.name.as_str())).collect();
    let reexports: BTreeMap<Vec<String>, Vec<String>> = all.iter().flat_map(File::reexports).collect();
    let imports: BTreeMap<&str, BTreeSet<&str>> = all
        .iter()
        .map(|file| {
            // the longest prefix of a path that is a file
            let target = |path: &[String]| {
                let path = reexports.get(path).map_or(path, Vec::as_slice);
                (1..=path.len()).rev().find_map(|length| by_module.get(&path[..length]).copied())
            };
            let paths = file.all_paths(true);
            (file.name.as_str(), paths.iter().filter_map(|(_, path)| target(path)).collect())
        })
        .collect();
    let mutual: BTreeSet<(&str, &str)> = imports
        .iter()
        .flat_map(|(from, to)| to.iter().map(move |to| (*from, *to)))
        .filter(|(from, to)| from < to && imports.get(to).is_some_and(|back| back.contains(from)))
        .collect();
    let found: Vec<String> =
        mutual.iter().map(|(a, b)| format!("{a} and {b} import each other: move what both need")).collect();
    assert_none(&found);
}

#[test]
fn every_file_starts_with_a_description() {
    let mut found = Vec::new();
    for file in files("src").into_iter().chain(files("tests")) {
        let first = file.text.lines().next().unwrap_or_default();
        if !first.starts_with("//! ") || first.len() < 20 {
            found.push(format!("{}: does not start with a sentence after //!", file.name));
        }
    }
    assert_none(&found);
}

#[test]
fn no_file_is_too_large() {
    let found: Vec<String> = files("src")
        .into_iter()
        .filter(|file| file.text.len() > LARGEST)
        .map(|file| format!("{}: {} bytes, more than {LARGEST}", file.name, file.text.len()))
        .collect();
    assert_none(&found);
}

#[test]
fn nothing_writes_to_stdout() {
    let mut found = Vec::new();
    for file in files("src").into_iter().filter(|file| file.area != "main" && file.area != "emulator") {
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
fn only_the_pipeline_changes_objects_in_azure() {
    let areas = ["azure", "resources", "data_sources", "list_resources", "actions"];
    let mut found = Vec::new();
    for file in files("src").into_iter().filter(|file| areas.contains(&file.area.as_str())) {
        let code: String = code(&file.text).split_whitespace().collect();
        // a POST is an action, and some actions only read
        for verb in ["put", "patch", "delete"] {
            let calls = [format!("client.{verb}("), format!("client().{verb}(")];
            // image tests create machines only to delete them, and follow their own rules
            let is_exempt = ["src/azure/pipeline", "src/resources/image_test/"]
                .iter()
                .any(|start| file.name.starts_with(start));
            if !is_exempt && calls.iter().any(|call| code.contains(call)) {
                found.push(format!("{}: changes an object in Azure; use azure::pipeline", file.name));
            }
        }
    }
    assert_none(&found);
}

#[test]
fn the_crate_documentation_links_every_module() {
    let map: String =
        read(&root().join("src/lib.rs")).lines().filter(|line| line.starts_with("//!")).collect();
    for (area, _) in MAY_USE {
        // a link would be broken in a build without the emulator
        let shown = if *area == "emulator" {
            map.contains("`emulator`")
        } else {
            map.contains(&format!("[`{area}`]"))
        };
        assert!(shown, "src/lib.rs does not link {area}");
    }
}

#[test]
fn finds_uses_in_every_notation() {
    let check = |name: &str, text: &str, expected: &[&str]| {
        let file = File::new(name, text.to_owned());
        let seen: Vec<String> = file.uses().into_iter().map(|(_, area)| area).collect();
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

#[test]
fn resolves_paths_within_a_module() {
    let paths = |name: &str, text: &str| -> Vec<String> {
        File::new(name, text.to_owned()).all_paths(true).iter().map(|(_, path)| path.join("/")).collect()
    };
    assert_eq!(paths("src/arm/send.rs", "use super::client::Options;"), ["arm/client/Options"]);
    assert_eq!(paths("src/arm/a/b.rs", "use super::super::{c, d::E};"), ["arm/c", "arm/d/E"]);
    assert_eq!(paths("src/arm/a_tests.rs", "use super::super::c;"), ["arm/c"]);
    assert_eq!(
        paths("src/arm/a.rs", "mod inner { use super::b; } mod tests { use super::super::c; }"),
        ["arm/a/b"]
    );
    let reexports = File::new("src/arm/mod.rs", "pub use a::{B, c::D};".to_owned()).reexports();
    let shown: Vec<String> =
        reexports.iter().map(|(from, to)| format!("{} {}", from.join("/"), to.join("/"))).collect();
    assert_eq!(shown, ["arm/B arm/a/B", "arm/D arm/a/c/D"]);
}

/// A Rust file.
struct File {
    /// From the root of the repository.
    name: String,
    /// The first part of its module path: the top-level module.
    area: String,
    /// Its module path.
    module: Vec<String>,
    text: String,
    /// The text without comments and without the contents of literals. Line numbers are unchanged.
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
        File { name: name.to_owned(), area: module.first().cloned().unwrap_or_default(), module, text, code }
    }

    /// The modules in its paths, each with its line.
    fn uses(&self) -> Vec<(usize, String)> {
        self.paths().into_iter().filter_map(|(line, path)| Some((line, path.into_iter().next()?))).collect()
    }

    /// Its paths out of its own top-level module, from the crate root, each with its line. Paths within it are included
    /// when it is in [`INDEPENDENT`].
    fn paths(&self) -> Vec<(usize, Vec<String>)> {
        let mut found = self.all_paths(false);
        found.retain(|(_, path)| {
            INDEPENDENT.contains(&self.area.as_str()) || path.first() != Some(&self.area)
        });
        found
    }

    /// What it re-exports from its own submodules: the path that others use, and the path of the item itself.
    fn reexports(&self) -> Vec<(Vec<String>, Vec<String>)> {
        let tokens = tokens(&self.code);
        let mut found = Vec::new();
        for at in 0..tokens.len() {
            let word = |at: usize| tokens.get(at).map_or("", |(_, token)| token.as_str());
            if word(at) == "pub"
                && word(at + 1) == "use"
                && !matches!(word(at + 2), "crate" | "super" | "self")
            {
                branches(&tokens, at + 2, self.module.clone(), tokens[at].0, &mut found);
            }
        }
        let named = |path: Vec<String>| {
            let name = path.last()?.clone();
            Some((self.module.iter().cloned().chain([name]).collect(), path))
        };
        found.into_iter().filter_map(|(_, path)| named(path)).collect()
    }

    /// Its paths that start with `crate` or `super`, from the crate root, each with its line. `crate::{a, b::c}`
    /// counts as two. With `skip_tests`, paths in modules named `tests` are omitted.
    fn all_paths(&self, skip_tests: bool) -> Vec<(usize, Vec<String>)> {
        let tokens = tokens(&self.code);
        let mut found = Vec::new();
        let mut module = self.module.clone();
        // a file `x_tests.rs` is a child module of `x`
        if module.len() > 1
            && let Some(subject) =
                module.last().and_then(|last| last.strip_suffix("_tests")).map(str::to_owned)
        {
            module.insert(module.len() - 1, subject);
        }
        // the open braces, with a name for those of modules
        let mut braces: Vec<Option<String>> = Vec::new();
        let word = |at: usize| tokens.get(at).map_or("", |(_, token)| token.as_str());
        let mut at = 0;
        while at < tokens.len() {
            let line = tokens[at].0;
            match word(at) {
                "{" => {
                    let is_module = at >= 2 && word(at - 2) == "mod";
                    braces.push(is_module.then(|| word(at - 1).to_owned()));
                }
                "}" => {
                    braces.pop();
                }
                _ if skip_tests && braces.iter().any(|name| name.as_deref() == Some("tests")) => {}
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
                    let mut start: Vec<String> =
                        module.iter().chain(braces.iter().flatten()).cloned().collect();
                    start.truncate(start.len().saturating_sub(up));
                    branches(&tokens, at, start, line, &mut found);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        found
    }
}

/// Parses a path, or a tree of paths in braces, that starts at `at`; returns its end.
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
        // skip `x as y`
        if word(at) == "as" {
            at += 2;
        }
        // a token that cannot be part of a path ends it, and must not be read twice
        if path.is_empty() {
            at += 1;
        } else {
            found.push((line, path));
        }
        return at;
    }
}

/// Words, `::` and single characters, each with its line.
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

/// The code without comments and without the contents of literals. Line numbers are unchanged.
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

/// The number of hashes of the raw literal that `text` starts with.
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

/// All Rust files below `folder`, sorted.
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
