//! The published pages are what the schemas say, and every example and guide is formatted and valid Terraform.
//!
//! `UPDATE=1 cargo test --test docs` writes the pages anew.

#[path = "support/blocks.rs"]
mod blocks;
#[cfg(feature = "emulator")]
#[path = "support/seed.rs"]
mod seed;
#[path = "support/terraform.rs"]
mod terraform;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use azimage::docs::{self, Written};
use azimage::framework::Server;
use azimage::provider::Provider;
use blocks::{Case, Fence};
use terraform::Terraform;

/// What the Registry takes of one page.
const LARGEST_PAGE: usize = 500 * 1024;

const COMMANDS: [&str; 4] = ["resource.tf", "import.sh", "import-by-string-id.tf", "import-by-identity.tf"];

#[test]
fn pages_are_what_the_schemas_say() {
    assert!(COMPARED.is_empty(), "\n{}\nRun UPDATE=1 cargo test --test docs.\n", COMPARED.join("\n"));
}

/// How the files differ from what they should be. With `UPDATE=1` they do not, any more: who reads files asks this first.
static COMPARED: LazyLock<Vec<String>> = LazyLock::new(|| {
    let pages = docs::pages(&Server::new(Provider), &read_written());
    let update = std::env::var_os("UPDATE").is_some_and(|value| value == "1");
    let mut wrong = Vec::new();
    for (path, page) in &pages {
        let file = root().join(path);
        let have = fs::read_to_string(&file).unwrap_or_default();
        if have == *page {
            continue;
        }
        if update {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, page).unwrap();
        } else {
            wrong.push(format!("--- {path}\n+++ {path} as the schema says\n{}", difference(&have, page)));
        }
    }
    #[cfg(feature = "emulator")]
    {
        let file = root().join(COVERED);
        let have = fs::read_to_string(&file).unwrap();
        let page = covered(&have);
        if have != page && update {
            fs::write(&file, page).unwrap();
        } else if have != page {
            wrong.push(format!(
                "--- {COVERED}\n+++ as the emulator's routes say\n{}",
                difference(&have, &page)
            ));
        }
    }
    // a page of what is registered no more
    for folder in ["docs/resources", "docs/data-sources", "docs/functions"] {
        for file in files(&root().join(folder)).into_iter().filter(|file| !pages.contains_key(&name(file))) {
            if update {
                fs::remove_file(&file).unwrap();
            } else {
                wrong.push(format!("{} is a page of nothing that is registered", name(&file)));
            }
        }
    }
    wrong
});

/// The guide with the table of what the emulator covers.
#[cfg(feature = "emulator")]
const COVERED: &str = "docs/guides/testing-with-the-emulator.md";

/// The guide with its table made anew from the emulator's routes.
#[cfg(feature = "emulator")]
fn covered(guide: &str) -> String {
    let (before, rest) = guide.split_once("<!-- coverage:").expect("the guide has a place for the table");
    let (opening, rest) = rest.split_once("-->\n").expect("the comment ends");
    let (_, after) = rest.split_once("<!-- end of coverage -->").expect("the table has an end");
    let rows: String = azimage::emulator::router::ROUTES
        .iter()
        .map(|route| format!("| {} | `{}` | {} |\n", route.what, route.path, route.verbs.join(", ")))
        .collect();
    format!(
        "{before}<!-- coverage:{opening}-->\n\n| what | path | verbs |\n|---|---|---|\n{rows}\n<!-- end of coverage -->{after}"
    )
}

#[test]
fn whatever_is_registered_has_examples_and_a_heading() {
    let server = Server::new(Provider);
    let written = written();
    let mut wrong = Vec::new();
    let mut expected = BTreeSet::from(["provider".to_owned()]);
    let mut need = |path: String| {
        if !written.examples.contains_key(&path) {
            wrong.push(format!("examples/{path} is missing"));
        }
    };
    need("provider/provider.tf".to_owned());
    for (name, _) in server.resources() {
        COMMANDS.iter().for_each(|file| need(format!("resources/{name}/{file}")));
        expected.insert(format!("resources/{name}"));
    }
    for (name, _) in server.data_sources() {
        need(format!("data-sources/{name}/data-source.tf"));
        expected.insert(format!("data-sources/{name}"));
    }
    for function in server.functions() {
        need(format!("functions/{}/function.tf", function.name()));
        expected.insert(format!("functions/{}", function.name()));
    }
    for path in written.examples.keys() {
        let folder = path.rsplit_once('/').unwrap().0;
        if !expected.contains(folder) {
            wrong.push(format!("examples/{path} is an example of nothing that is registered"));
        }
    }
    let types = server.resources().map(|(name, _)| name).chain(server.data_sources().map(|(name, _)| name));
    for name in types.filter(|name| docs::subcategory(name).is_empty()) {
        wrong.push(format!("src/docs.rs has no subcategory for {name}"));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn everything_that_a_user_meets_is_explained() {
    let server = Server::new(Provider);
    let mut wrong = Vec::new();
    let mut bodies = vec![("provider".to_owned(), server.body().clone())];
    bodies.extend(server.resources().map(|(name, entry)| (name.to_owned(), entry.body().clone())));
    bodies.extend(server.data_sources().map(|(name, entry)| (format!("data.{name}"), entry.body().clone())));
    while let Some((path, body)) = bodies.pop() {
        let docs = body.attributes.iter().map(|attribute| (attribute.name, &attribute.doc));
        for (name, doc) in docs.chain(body.blocks.iter().map(|block| (block.name, &block.body.doc))) {
            let whole = doc.ends_with('.') && doc.starts_with(|c: char| c.is_uppercase() || c == '`');
            if !whole {
                wrong.push(format!("{path}.{name}: no whole sentence says what it is: {doc:?}"));
            }
        }
        bodies.extend(body.blocks.into_iter().map(|block| (format!("{path}.{}", block.name), block.body)));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn pages_are_as_the_registry_wants_them() {
    let mut wrong = Vec::new();
    for (path, text) in pages_on_disk() {
        let front = text
            .strip_prefix("---\n")
            .and_then(|rest| rest.split_once("\n---\n"))
            .map_or("", |(front, _)| front);
        for key in ["page_title: \"", "description: |-\n  "] {
            if !front.contains(key) {
                wrong.push(format!(
                    "{path}: its frontmatter has no {}",
                    key.split(':').next().unwrap_or_default()
                ));
            }
        }
        // without one the Registry puts resources under no heading at all
        if (path.starts_with("docs/resources/") || path.starts_with("docs/data-sources/"))
            && !front
                .lines()
                .any(|line| line.starts_with("subcategory: \"") && line.len() > "subcategory: \"\"".len())
        {
            wrong.push(format!("{path}: its frontmatter has no subcategory"));
        }
        if text.len() > LARGEST_PAGE {
            wrong.push(format!("{path}: {} bytes, more than the Registry takes", text.len()));
        }
        if text.lines().filter(|line| line.starts_with("# ")).count() == 0 {
            wrong.push(format!("{path}: no title"));
        }
        if text.matches("\n```").count() % 2 != 0 {
            wrong.push(format!("{path}: a fence is not closed"));
        }
    }
    let manifest = fs::read_to_string(root().join("terraform-registry-manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest, serde_json::json!({"version": 1, "metadata": {"protocol_versions": ["5.0"]}}));
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn the_troubleshooting_guide_quotes_errors_as_they_are() {
    let guide = fs::read_to_string(root().join("docs/guides/troubleshooting.md")).unwrap();
    let source: String = files(&root().join("src"))
        .iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
        .map(|file| unescaped(&fs::read_to_string(file).unwrap()))
        .collect();
    let mut wrong = Vec::new();
    let headings: Vec<&str> = guide.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert!(headings.len() > 20);
    for heading in headings {
        // what stands between the names that change from case to case
        for part in heading.split('…').map(str::trim).filter(|part| part.len() > 2) {
            if !source.contains(part) {
                wrong.push(format!("{heading:?}: nothing in src says {part:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// The texts of a Rust file as people see them: escaped quotes plain, lines that go on joined.
fn unescaped(source: &str) -> String {
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
fn promises_are_held_by_tests_that_exist() {
    let guide = fs::read_to_string(root().join("docs/guides/reliability.md")).unwrap();
    let mut wrong = Vec::new();
    let mut promises = 0;
    for line in guide.lines().filter(|line| line.starts_with("| ") && line.contains("`: `")) {
        let proof = line.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap_or_default();
        let words: Vec<&str> = proof.split('`').collect();
        let [_, file, _, test, ..] = words[..] else { panic!("{line}") };
        promises += 1;
        let text = fs::read_to_string(root().join(file)).unwrap_or_default();
        if !text.contains(&format!("fn {test}(")) {
            wrong.push(format!("docs/guides/reliability.md: there is no test {test} in {file}"));
        }
    }
    assert!(promises > 20);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn links_lead_somewhere() {
    let pages: BTreeMap<String, String> = pages_on_disk().into_iter().collect();
    let mut wrong = Vec::new();
    for guide in written().guides.keys() {
        if !pages["docs/index.md"].contains(&format!("(guides/{guide}.md)")) {
            wrong.push(format!("docs/index.md does not link the guide {guide}"));
        }
    }
    let others = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
        .iter()
        .filter_map(|path| Some(((*path).to_owned(), fs::read_to_string(root().join(path)).ok()?)));
    for (path, text) in pages.clone().into_iter().chain(others) {
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let to = if file.is_empty() { path.clone() } else { joined(&path, file) };
            if !root().join(&to).exists() {
                wrong.push(format!("{path}: {link} leads to {to}, which is not there"));
            } else if !anchor.is_empty()
                && let Ok(target) = fs::read_to_string(root().join(&to))
                && !anchors(&target).contains(anchor)
            {
                wrong.push(format!("{path}: {link} leads to no heading of {to}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn terraform_is_formatted() {
    let Some(terraform) = Terraform::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    for fence in fences() {
        let file = folder.path().join(fence.file_name());
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, &fence.text).unwrap();
    }
    for (path, text) in written().examples.iter().filter(|(path, _)| path.ends_with(".tf")) {
        let file = folder.path().join("examples").join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let (good, told) = terraform.run(folder.path(), &["fmt", "-check", "-diff", "-recursive"]);
    assert!(good, "\n{told}\nThe names are those of the files, and of the lines that blocks start at.\n");
}

#[test]
fn terraform_is_valid() {
    let Some(terraform) = Terraform::find() else { return };
    let mut cases = example_cases(&terraform);
    cases.extend(blocks::cases(fences()));
    assert!(cases.len() > 20, "only {} cases: are the examples where they should be?", cases.len());
    let wrong = terraform::in_pairs(cases, |case| {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in &case.files {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let (good, told) = terraform.run(folder.path(), &["validate", "-no-color"]);
        (!good).then(|| format!("{}:\n{told}", case.name))
    });
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Cases that are not applied on the emulator, by the beginning of their name, and why.
#[cfg(feature = "emulator")]
const NOT_APPLIED: &[(&str, &str)] = &[
    ("examples/provider/", "nothing but a provider block"),
    ("examples/data-sources/azimage_community_image_version", "the gallery is somebody else's"),
    ("examples/data-sources/azimage_shared_image_version", "the gallery is somebody else's"),
    ("docs/guides/authentication", "it is about other clouds"),
    ("docs/guides/migrating-from-azurerm", "it imports what azurerm made"),
];

/// Cases that must fail, and what they say.
#[cfg(feature = "emulator")]
const REFUSED: &[(&str, &str)] =
    &[("docs/guides/guardrails", "Guardrail deny_latest: \"latest\" is not allowed")];

#[cfg(feature = "emulator")]
#[test]
fn terraform_applies_and_then_has_nothing_to_do() {
    let Some(terraform) = Terraform::find() else { return };
    let mut cases = example_cases(&terraform);
    cases.extend(blocks::cases(fences()));
    cases.retain(|case| {
        !case.name.contains("/import-by-")
            && !NOT_APPLIED.iter().any(|(start, _)| case.name.starts_with(start))
    });
    let wrong = terraform::in_pairs(cases, |case| {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in &case.files {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let text: String = case.files.iter().map(|(_, text)| text.as_str()).collect();
        seed::seed(folder.path(), &text);
        let is_test = case.files.iter().any(|(file, _)| file.ends_with(".tftest.hcl"));
        let steps: &[&[&str]] = if is_test {
            &[&["test", "-no-color"]]
        } else {
            &[&["apply", "-auto-approve", "-no-color"], &["plan", "-detailed-exitcode", "-no-color"]]
        };
        for step in steps {
            let (good, told) = terraform.run(folder.path(), step);
            match REFUSED.iter().find(|(start, _)| case.name.starts_with(start)) {
                Some((_, why)) if !good && told.contains(why) => return None,
                Some((_, why)) => return Some(format!("{}: it does not say {why:?}\n{told}", case.name)),
                None if !good => {
                    return Some(format!("{}: terraform {}:\n{told}", case.name, step.join(" ")));
                }
                None => {}
            }
        }
        None
    });
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Each example by itself; functions, which share nothing, all at once.
fn example_cases(terraform: &Terraform) -> Vec<Case> {
    let written = written();
    let mut cases = Vec::new();
    let mut functions = Case::new("examples/functions");
    for (path, text) in written.examples.iter().filter(|(path, _)| path.ends_with(".tf")) {
        let (folder, file) = path.rsplit_once('/').unwrap();
        if folder.starts_with("functions/") {
            functions.add(&format!("{}.tf", folder.replace('/', "-")), text);
            continue;
        }
        let mut case = Case::new(&format!("examples/{path}"));
        case.add(file, text);
        if let Some(import) = file.strip_prefix("import-by-") {
            if import == "identity.tf" && !terraform.at_least(1, 12) {
                println!("examples/{path}: not validated, since {} knows no identities", terraform.version());
                continue;
            }
            case.add("resource.tf", &written.examples[&format!("{folder}/resource.tf")]);
        }
        cases.push(case);
    }
    if terraform.at_least(1, 8) {
        cases.push(functions);
    } else {
        println!(
            "examples/functions: not validated, since {} knows no provider functions",
            terraform.version()
        );
    }
    cases
}

/// Every ```terraform block of the guides.
fn fences() -> Vec<Fence> {
    written().guides.iter().flat_map(|(guide, text)| blocks::fences(guide, text)).collect()
}

fn written() -> Written {
    LazyLock::force(&COMPARED);
    read_written()
}

fn read_written() -> Written {
    let examples = root().join("examples");
    let folders = ["provider", "resources", "data-sources", "functions"].map(|folder| examples.join(folder));
    let examples = folders
        .iter()
        .flat_map(|folder| files(folder))
        .map(|file| {
            let path = name(&file).strip_prefix("examples/").unwrap().to_owned();
            (path, fs::read_to_string(&file).unwrap())
        })
        .collect();
    let guides = files(&root().join("docs/guides"))
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "md"))
        .map(|file| {
            (file.file_stem().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&file).unwrap())
        })
        .collect();
    Written { examples, guides }
}

/// The pages as they lie there, those that follow from nothing too.
fn pages_on_disk() -> Vec<(String, String)> {
    LazyLock::force(&COMPARED);
    let pages: Vec<(String, String)> = files(&root().join("docs"))
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "md"))
        .map(|file| (name(&file), fs::read_to_string(&file).unwrap()))
        .collect();
    assert!(pages.iter().any(|(path, _)| path == "docs/index.md"), "there are no pages: UPDATE=1 makes them");
    pages
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

fn name(file: &Path) -> String {
    file.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where the links of a page lead, those in fences left out.
fn links(text: &str) -> Vec<String> {
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

/// What a link may name on a page: headings, as the Registry and GitHub spell them, and anchors.
fn anchors(text: &str) -> BTreeSet<String> {
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

fn joined(from: &str, link: &str) -> String {
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

/// The lines that differ, with two around them.
fn difference(old: &str, new: &str) -> String {
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

#[test]
fn a_difference_shows_only_what_differs() {
    let old = "a\nb\nc\nd\ne\nf";
    let new = "a\nb\nc\nX\nd\ne\n";
    assert_eq!(difference(old, new), " b\n c\n+X\n d\n e\n-f");
}

#[test]
fn headings_and_links_are_found() {
    let text =
        "# A `thing`: told\n[x](a.md#b) and [y](#c)\n```\n[no](no.md)\n```\n<a id=\"nestedblock--x\"></a>\n";
    assert_eq!(links(text), ["a.md#b", "#c"]);
    assert_eq!(anchors(text), BTreeSet::from(["a-thing-told".to_owned(), "nestedblock--x".to_owned()]));
    assert_eq!(joined("docs/guides/a.md", "../resources/b.md"), "docs/resources/b.md");
}
