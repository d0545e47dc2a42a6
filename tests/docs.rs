//! Checks that the published pages match the schemas, and that every example and guide is formatted and valid
//! Terraform.
//!
//! `UPDATE=1 cargo test --test docs` regenerates the pages.

#[path = "support/external.rs"]
#[macro_use]
mod external;
#[path = "support/blocks.rs"]
mod blocks;
#[path = "support/markdown.rs"]
mod markdown;
#[path = "support/release.rs"]
mod release;
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
use azimage::schema::Body;
use blocks::{Case, Fence};
use markdown::{anchors, difference, joined, links, unescaped};
use terraform::Terraform;

/// The Registry's size limit for a page.
const LARGEST_PAGE: usize = 500 * 1024;

const COMMANDS: [&str; 4] = ["resource.tf", "import.sh", "import-by-string-id.tf", "import-by-identity.tf"];
/// Types that leave nothing in Azure that could be imported.
const NOT_IMPORTABLE: [&str; 1] = ["azimage_image_test"];

fn generated_pages_are_current() {
    assert!(COMPARED.is_empty(), "\n{}\nRun UPDATE=1 cargo test --test docs.\n", COMPARED.join("\n"));
}

/// The differences between the generated files and the files on disk. With `UPDATE=1` the files are updated instead.
/// Everything that reads the pages evaluates this first.
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
            wrong.push(format!(
                "--- {path}\n+++ {path} as generated from the schema\n{}",
                difference(&have, page)
            ));
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
                "--- {COVERED}\n+++ as generated from the emulator's routes\n{}",
                difference(&have, &page)
            ));
        }
    }
    // a page of a type that is no longer registered
    for folder in
        ["docs/resources", "docs/data-sources", "docs/list-resources", "docs/actions", "docs/functions"]
    {
        for file in files(&root().join(folder)).into_iter().filter(|file| !pages.contains_key(&name(file))) {
            if update {
                fs::remove_file(&file).unwrap();
            } else {
                wrong.push(format!("{} is a page of a type that is not registered", name(&file)));
            }
        }
    }
    wrong
});

/// The guide with the table of the operations that the emulator covers.
#[cfg(feature = "emulator")]
const COVERED: &str = "docs/guides/testing-with-the-emulator.md";

/// The guide with its table regenerated from the emulator's routes.
#[cfg(feature = "emulator")]
fn covered(guide: &str) -> String {
    let (before, rest) = guide.split_once("<!-- coverage:").expect("the guide has a marker for the table");
    let (opening, rest) = rest.split_once("-->\n").expect("the comment ends");
    let (_, after) = rest.split_once("<!-- end of coverage -->").expect("the table has an end");
    let rows: String = azimage::emulator::coverage::ROUTES
        .iter()
        .map(|route| format!("| {} | `{}` | {} |\n", route.what, route.path, route.verbs.join(", ")))
        .collect();
    format!(
        "{before}<!-- coverage:{opening}-->\n\n| what | path | verbs |\n|---|---|---|\n{rows}\n<!-- end of coverage -->{after}"
    )
}

fn everything_registered_has_examples_and_a_heading() {
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
        let has_file = |file: &&&str| !file.starts_with("import") || !NOT_IMPORTABLE.contains(&name);
        COMMANDS.iter().filter(has_file).for_each(|file| need(format!("resources/{name}/{file}")));
        expected.insert(format!("resources/{name}"));
    }
    for (name, _) in server.data_sources() {
        need(format!("data-sources/{name}/data-source.tf"));
        expected.insert(format!("data-sources/{name}"));
    }
    for (name, _) in server.list_resources() {
        need(format!("list-resources/{name}/list-resource.tfquery.hcl"));
        expected.insert(format!("list-resources/{name}"));
    }
    for (name, _) in server.actions() {
        need(format!("actions/{name}/action.tf"));
        expected.insert(format!("actions/{name}"));
    }
    for function in server.functions() {
        need(format!("functions/{}/function.tf", function.name()));
        expected.insert(format!("functions/{}", function.name()));
    }
    for path in written.examples.keys() {
        let folder = path.rsplit_once('/').unwrap().0;
        if !expected.contains(folder) {
            wrong.push(format!("examples/{path} is an example of a type that is not registered"));
        }
    }
    let types = server
        .resources()
        .map(|(name, _)| name)
        .chain(server.data_sources().map(|(name, _)| name))
        .chain(server.list_resources().map(|(name, _)| name))
        .chain(server.actions().map(|(name, _)| name));
    for name in types.filter(|name| docs::subcategory(name).is_empty()) {
        wrong.push(format!("src/docs.rs has no subcategory for {name}"));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn every_error_is_explained() {
    let server = Server::new(Provider);
    let mut wrong = Vec::new();
    let mut bodies = vec![("provider".to_owned(), server.body().clone())];
    bodies.extend(server.resources().map(|(name, entry)| (name.to_owned(), entry.body().clone())));
    bodies.extend(server.data_sources().map(|(name, entry)| (format!("data.{name}"), entry.body().clone())));
    bodies
        .extend(server.list_resources().map(|(name, entry)| (format!("list.{name}"), entry.body().clone())));
    bodies.extend(server.actions().map(|(name, entry)| (format!("action.{name}"), entry.body().clone())));
    while let Some((path, body)) = bodies.pop() {
        let docs = body.attributes.iter().map(|attribute| (attribute.name, &attribute.doc));
        for (name, doc) in docs.chain(body.blocks.iter().map(|block| (block.name, &block.body.doc))) {
            let whole = doc.ends_with('.') && doc.starts_with(|c: char| c.is_uppercase() || c == '`');
            if !whole {
                wrong.push(format!("{path}.{name}: its description is not a complete sentence: {doc:?}"));
            }
        }
        bodies.extend(body.blocks.into_iter().map(|block| (format!("{path}.{}", block.name), block.body)));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn pages_satisfy_the_registrys_rules() {
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
        if path == "docs/index.md" && front.contains("subcategory:") {
            wrong.push(format!("{path}: its frontmatter has a subcategory, which tfplugindocs rejects"));
        }
        // without a subcategory, the Registry shows resources under no heading
        if (path.starts_with("docs/resources/") || path.starts_with("docs/data-sources/"))
            && !front
                .lines()
                .any(|line| line.starts_with("subcategory: \"") && line.len() > "subcategory: \"\"".len())
        {
            wrong.push(format!("{path}: its frontmatter has no subcategory"));
        }
        if text.len() > LARGEST_PAGE {
            wrong.push(format!("{path}: {} bytes, more than the Registry accepts", text.len()));
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

fn the_troubleshooting_guide_quotes_existing_errors() {
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
        // the fixed parts between the names that vary
        for part in heading.split('…').map(str::trim).filter(|part| part.len() > 2) {
            if !source.contains(part) {
                wrong.push(format!("{heading:?}: no text in src contains {part:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn the_migration_guide_names_existing_attributes() {
    let guide = fs::read_to_string(root().join("docs/guides/migrating-from-azurerm.md")).unwrap();
    let server = Server::new(Provider);
    let mut wrong = Vec::new();
    let mut rows = 0;
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for line in guide.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            let ours = heading.split_once(" → ").map(|(_, ours)| ours);
            known = ours.map(|name| names(server.resource(name).unwrap().body())).unwrap_or_default();
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let ([theirs, ours, ..], false) = (&cells[..], known.is_empty()) else { continue };
        let ours = if ours.starts_with("the same") { theirs } else { ours };
        // inside backticks, words outside quotes; a value after = is not a name
        for code in ours.split('`').skip(1).step_by(2) {
            for word in code
                .split('=')
                .next()
                .unwrap_or_default()
                .split(|c: char| !c.is_ascii_lowercase() && c != '_')
            {
                rows += 1;
                if !word.is_empty() && !known.contains(word) {
                    wrong.push(format!("{word} is not a name of this provider: {line}"));
                }
            }
        }
    }
    assert!(rows > 50);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// The arguments that azurerm's documentation lists for each type, with members of blocks after a dot. The Registry
/// shows the same list.
const THEIRS: [(&str, &str); 5] = [
    (
        "azurerm_shared_image_gallery",
        "name resource_group_name location description sharing tags sharing.permission sharing.community_gallery eula \
         prefix publisher_email publisher_uri unique_name",
    ),
    (
        "azurerm_shared_image",
        "name gallery_name resource_group_name location identifier os_type purchase_plan description \
         disk_types_not_allowed end_of_life_date eula specialized architecture hyper_v_generation \
         max_recommended_vcpu_count min_recommended_vcpu_count max_recommended_memory_in_gb \
         min_recommended_memory_in_gb privacy_statement_uri release_note_uri trusted_launch_supported \
         trusted_launch_enabled confidential_vm_supported confidential_vm_enabled \
         accelerated_network_support_enabled hibernation_enabled disk_controller_type_nvme_enabled tags",
    ),
    (
        "azurerm_shared_image_version",
        "name gallery_name image_name location resource_group_name target_region blob_uri end_of_life_date \
         exclude_from_latest managed_image_id os_disk_snapshot_id deletion_of_replicated_locations_enabled \
         replication_mode storage_account_id tags regional_replica_count disk_encryption_set_id \
         exclude_from_latest_enabled storage_account_type",
    ),
    (
        "azurerm_image",
        "name resource_group_name location source_virtual_machine_id os_disk data_disk hyper_v_generation \
         zone_resilient tags storage_type os_type os_state managed_disk_id blob_uri caching size_gb \
         disk_encryption_set_id lun",
    ),
    ("azurerm_marketplace_agreement", "publisher offer plan"),
];

fn the_migration_guide_covers_every_attribute_of_azurerm() {
    let guide = fs::read_to_string(root().join("docs/guides/migrating-from-azurerm.md")).unwrap();
    let mut wrong = Vec::new();
    for (theirs, arguments) in THEIRS {
        let section =
            guide.split("\n## ").find(|section| section.starts_with(&format!("{theirs} → "))).unwrap();
        let first = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
        let told: BTreeSet<&str> = first
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .map(|code| code.split(' ').next().unwrap_or_default())
            .collect();
        for argument in arguments.split_whitespace().filter(|argument| !told.contains(argument)) {
            wrong.push(format!("{theirs}: the guide does not mention {argument}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// All names in a body, at any depth.
fn names(body: &Body) -> BTreeSet<&str> {
    let own = body.attributes.iter().map(|attribute| attribute.name);
    own.chain(body.blocks.iter().flat_map(|block| names(&block.body).into_iter().chain([block.name])))
        .collect()
}

/// Variables in the pages that other programs read: the Azure CLI.
const READ_BY_OTHERS: [&str; 1] = ["AZURE_CONFIG_DIR"];

fn the_provider_reads_every_variable_that_pages_name() {
    let source: String =
        files(&root().join("src")).iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
    let mut wrong = Vec::new();
    for (path, text) in pages_on_disk() {
        for word in text.split(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_') {
            let ours = ["ARM_", "ACTIONS_", "SYSTEM_", "AZURE_"].iter().any(|start| word.starts_with(start));
            let ours = ours && word.len() > 5 && !READ_BY_OTHERS.contains(&word);
            if ours && !source.contains(&format!("{word}\"")) {
                wrong.push(format!("{path}: no code reads {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn promises_name_existing_tests() {
    let guide = fs::read_to_string(root().join("docs/guides/reliability.md")).unwrap();
    let mut wrong = Vec::new();
    let mut promises = 0;
    for line in guide.lines().filter(|line| line.starts_with("| ") && line.contains("`: `")) {
        let proof = line.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap_or_default();
        promises += 1;
        for proof in proof.split("; ") {
            let words: Vec<&str> = proof.split('`').collect();
            let [_, file, _, test, _] = words[..] else { panic!("{line}") };
            let text = fs::read_to_string(root().join(file)).unwrap_or_default();
            if !text.contains(&format!("fn {test}(")) {
                wrong.push(format!("docs/guides/reliability.md: there is no test {test} in {file}"));
            }
        }
    }
    assert!(promises > 20);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn links_have_targets() {
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
                wrong.push(format!("{path}: {link} leads to {to}, which does not exist"));
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

fn contributing_names_existing_files() {
    let mut wrong = Vec::new();
    let mut named = 0;
    for page in ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/guides/performance.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        for code in text.split('`').skip(1).step_by(2) {
            let path = code.split_whitespace().next().unwrap_or_default();
            let ours = ["src/", "tests/", "examples/", "docs/", "benches/", ".ci/", ".github/", "proto/"];
            // the worked example creates these files
            let made = path.contains("snapshot") || path.contains('…');
            if made || !ours.iter().any(|folder| path.starts_with(folder)) {
                continue;
            }
            named += 1;
            if !root().join(path).exists() {
                wrong.push(format!("{page}: there is no {path}"));
            }
        }
    }
    assert!(named > 20);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn terraform_is_formatted() {
    let terraform = Terraform::find();
    let folder = tempfile::tempdir().unwrap();
    for fence in fences().into_iter().filter(|fence| terraform.too_old_for(&fence.text).is_none()) {
        let file = folder.path().join(fence.file_name());
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, &fence.text).unwrap();
    }
    let examples = written().examples;
    let readable = |path: &str, text: &str| {
        (path.ends_with(".tf") || path.ends_with(".tfquery.hcl")) && terraform.too_old_for(text).is_none()
    };
    for (path, text) in examples.iter().filter(|(path, text)| readable(path, text)) {
        let file = folder.path().join("examples").join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let (good, told) = terraform.run(folder.path(), &["fmt", "-check", "-diff", "-recursive"]);
    assert!(good, "\n{told}\nThe names are file names, with the first line of a block.\n");
}

fn terraform_is_valid() {
    let terraform = Terraform::find();
    let cases = cases(&terraform);
    assert!(cases.len() > 20, "only {} cases: are the examples where they should be?", cases.len());
    let wrong = terraform::two_at_a_time(cases, |case| {
        let folder = case.write();
        let is_query = case.has_file(".tfquery.hcl");
        let validate =
            if is_query { &["validate", "-query", "-no-color"][..] } else { &["validate", "-no-color"] };
        let (good, told) = terraform.run(folder.path(), validate);
        (!good).then(|| format!("{}:\n{told}", case.name))
    });
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Cases that are not applied on the emulator, by the beginning of their name, with the reason.
#[cfg(feature = "emulator")]
const NOT_APPLIED: &[(&str, &str)] = &[
    ("examples/provider/", "contains only a provider block"),
    ("examples/data-sources/azimage_community_image_version", "the gallery belongs to another tenant"),
    ("examples/data-sources/azimage_shared_image_version", "the gallery belongs to another tenant"),
    ("docs/guides/authentication", "configures other clouds"),
    ("docs/guides/migrating-from-azurerm", "imports objects of azurerm"),
];

/// Cases that must fail, with their error.
#[cfg(feature = "emulator")]
const REFUSED: &[(&str, &str)] =
    &[("docs/guides/guardrails", "Guardrail deny_latest: \"latest\" is not allowed")];

#[cfg(feature = "emulator")]
fn terraform_applies_to_an_empty_plan() {
    let terraform = Terraform::find();
    let mut cases = cases(&terraform);
    cases.retain(|case| {
        !case.name.contains("/import-by-")
            && !NOT_APPLIED.iter().any(|(start, _)| case.name.starts_with(start))
    });
    let wrong = terraform::two_at_a_time(cases, |case| {
        let folder = case.write();
        let text: String = case.files.iter().map(|(_, text)| text.as_str()).collect();
        seed::seed(folder.path(), &text);
        let is_test = case.has_file(".tftest.hcl");
        let is_query = case.has_file(".tfquery.hcl");
        let steps: &[&[&str]] = if is_test {
            &[&["test", "-no-color"]]
        } else if is_query {
            &[&["query", "-no-color"]]
        } else {
            &[&["apply", "-auto-approve", "-no-color"], &["plan", "-detailed-exitcode", "-no-color"]]
        };
        for step in steps {
            let (good, told) = terraform.run(folder.path(), step);
            match REFUSED.iter().find(|(start, _)| case.name.starts_with(start)) {
                Some((_, why)) if !good && told.contains(why) => return None,
                Some((_, why)) => return Some(format!("{}: the output lacks {why:?}\n{told}", case.name)),
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

#[cfg(feature = "emulator")]
fn the_guardrails_guide_quotes_a_violation() {
    const BROKEN: &str = r#"
provider "azimage" {
  environment = "emulator"
  guardrails {
    minimum_replicas = 2
  }
}
resource "azimage_image_version" "web" {
  version             = "1.0.0"
  image_definition_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/web"
  source {
    managed_image_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/images/web-1.0.0"
  }
  target_region {
    name = "eastus"
  }
}
"#;
    let terraform = Terraform::find();
    let guide = &written().guides["guardrails"];
    let (_, shown) = guide.split_once("```text\n").expect("the guide shows a violation");
    let (shown, _) = shown.split_once("\n```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut case = Case::new("guardrails");
    case.add("main.tf", BROKEN);
    for (file, text) in &case.files {
        fs::write(folder.path().join(file), text).unwrap();
    }
    seed::seed(folder.path(), BROKEN);
    let (good, told) = terraform.run(folder.path(), &["plan", "-no-color"]);
    let plain =
        |text: &str| text.replace(['│', '╷', '╵'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
    let told = plain(&told);
    assert!(!good, "{told}");
    // the position in the file differs
    for paragraph in shown.split("\n\n").filter(|paragraph| !paragraph.trim_start().starts_with("with ")) {
        assert!(told.contains(&plain(paragraph)), "{paragraph:?} is not in:\n{told}");
    }
}

/// Each example separately, all functions together, because they share nothing, and the guides; without features that
/// `terraform` is too old for.
fn cases(terraform: &Terraform) -> Vec<Case> {
    let written = written();
    let mut cases = Vec::new();
    let mut functions = Case::new("examples/functions");
    for (path, text) in
        written.examples.iter().filter(|(path, _)| path.ends_with(".tf") || path.ends_with(".tfquery.hcl"))
    {
        let (folder, file) = path.rsplit_once('/').unwrap();
        if folder.starts_with("functions/") {
            functions.add(&format!("{}.tf", folder.replace('/', "-")), text);
            continue;
        }
        let mut case = Case::new(&format!("examples/{path}"));
        case.add(file, text);
        if file.starts_with("import-by-") {
            case.add("resource.tf", &written.examples[&format!("{folder}/resource.tf")]);
        }
        cases.push(case);
    }
    cases.push(functions);
    cases.extend(blocks::cases(fences()));
    cases.retain(|case| {
        let why = case.files.iter().find_map(|(_, text)| terraform.too_old_for(text));
        if let Some(why) = why {
            println!("{}: skipped, because {} does not support {why}", case.name, terraform.version());
        }
        why.is_none()
    });
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
    let folders = ["provider", "resources", "data-sources", "list-resources", "actions", "functions"]
        .map(|folder| examples.join(folder));
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

/// The pages on disk, including pages that nothing generates.
fn pages_on_disk() -> Vec<(String, String)> {
    LazyLock::force(&COMPARED);
    let pages: Vec<(String, String)> = files(&root().join("docs"))
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "md"))
        .map(|file| (name(&file), fs::read_to_string(&file).unwrap()))
        .collect();
    assert!(pages.iter().any(|(path, _)| path == "docs/index.md"), "there are no pages: run with UPDATE=1");
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

tests!(
    generated_pages_are_current,
    everything_registered_has_examples_and_a_heading,
    every_error_is_explained,
    pages_satisfy_the_registrys_rules,
    the_troubleshooting_guide_quotes_existing_errors,
    the_migration_guide_names_existing_attributes,
    the_migration_guide_covers_every_attribute_of_azurerm,
    the_provider_reads_every_variable_that_pages_name,
    promises_name_existing_tests,
    links_have_targets,
    contributing_names_existing_files,
    terraform_is_formatted,
    terraform_is_valid,
    #[cfg(feature = "emulator")]
    terraform_applies_to_an_empty_plan,
    #[cfg(feature = "emulator")]
    the_guardrails_guide_quotes_a_violation,
);
