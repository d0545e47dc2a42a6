//! The Registry's pages, generated from the schemas of everything that is registered. Pure: texts in, pages out.
//!
//! Types, defaults, allowed values, what forces a replacement, timeouts and import IDs are read from the registered schemas.
//! Examples, notes and guides are written by hand and passed in as [`Written`]. `tests/docs.rs` reads and writes the files,
//! and fails when a page on disk differs from what is generated.

mod import;
mod index;
mod schema;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::framework::action::ActionEntry;
use crate::framework::data_source::READ_TIMEOUT;
use crate::framework::list::ListEntry;
use crate::framework::provider::{DataEntry, Entry};
use crate::framework::{Function, Provider, Server};
use crate::schema::Type;
use schema::{Timeouts, one_line};

/// The provider's name, which is the prefix of every type.
pub const NAME: &str = "azimage";

/// The hand-written parts of the pages.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// Files below `examples/`, by their path from there, such as `resources/azimage_gallery/resource.tf`.
    pub examples: BTreeMap<String, String>,
    /// Guides below `docs/guides/`, by their name without `.md`.
    pub guides: BTreeMap<String, String>,
}

impl Written {
    /// The examples in `folder` whose names begin with `stem` and end in `.tf`, ordered by name.
    fn examples(&self, folder: &str, stem: &str) -> Vec<&str> {
        let shown = |path: &str| {
            let rest = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
            rest.and_then(|name| name.strip_prefix(stem)).is_some_and(|rest| {
                let extension = [".tfquery.hcl", ".tf"].into_iter().find_map(|end| rest.strip_suffix(end));
                extension.is_some_and(|more| more.is_empty() || more.starts_with('-') && !more.contains('/'))
            })
        };
        // without this, "resource-more.tf" would sort before "resource.tf"
        let mut found: Vec<(&String, &String)> =
            self.examples.iter().filter(|(path, _)| shown(path)).collect();
        found.sort_by_key(|(path, _)| path.trim_end_matches(".tf"));
        found.into_iter().map(|(_, text)| text.as_str()).collect()
    }
}

/// Every generated file by its path from the root of the repository: the pages of `docs/`, and the import examples that
/// follow from the identities in `examples/resources/<type>/import-by-identity.tf`.
pub fn pages<P: Provider>(server: &Server<P>, written: &Written) -> BTreeMap<String, String> {
    let mut pages = BTreeMap::from([("docs/index.md".to_owned(), index::page(server, written))]);
    for (name, entry) in server.resources() {
        pages.insert(format!("docs/resources/{}.md", short(name)), resource(name, entry, written));
        pages.extend(import::examples(name, entry, written));
    }
    for (name, entry) in server.data_sources() {
        pages.insert(format!("docs/data-sources/{}.md", short(name)), data_source(name, entry, written));
    }
    for (name, entry) in server.list_resources() {
        pages.insert(format!("docs/list-resources/{}.md", short(name)), list_resource(name, entry, written));
    }
    for (name, entry) in server.actions() {
        pages.insert(format!("docs/actions/{}.md", short(name)), action(name, entry, written));
    }
    for function in server.functions() {
        pages.insert(format!("docs/functions/{}.md", function.name()), function_page(function, written));
    }
    pages
}

/// The heading under which the Registry lists a type; empty when it has none.
pub fn subcategory(type_name: &str) -> &'static str {
    match short(type_name) {
        name if name.starts_with("marketplace_") => "Marketplace",
        name if name.starts_with("managed_image") || name == "generalize" => "Managed images",
        name if name.starts_with("builder_") || name == "run_builder" => "Image Builder",
        "gallery" | "role_assignment" | "version_retention" | "prune_versions" => "Compute Gallery",
        name if ["image_", "community_image", "shared_image", "gallery_", "soft_deleted_"]
            .iter()
            .any(|start| name.starts_with(start)) =>
        {
            "Compute Gallery"
        }
        _ => "",
    }
}

fn resource<C: Send + Sync>(name: &str, entry: &Entry<C>, written: &Written) -> String {
    let body = entry.body();
    let mut page = frontmatter(&format!("{name} Resource - {NAME}"), subcategory(name), &body.doc);
    let _ = writeln!(page, "# {name} (Resource)\n\n{}", body.doc);
    usage(&mut page, &written.examples(&format!("resources/{name}"), "resource"));
    notes(&mut page, written.examples.get(&format!("resources/{name}/notes.md")));
    let defaults = entry.resource.timeouts();
    let timeouts = Timeouts(&[
        ("create", defaults.create),
        ("read", defaults.read),
        ("update", defaults.update),
        ("delete", defaults.delete),
    ]);
    page += &schema::section(body, &timeouts);
    page += &import::section(name, entry, written);
    page
}

fn data_source<C: Send + Sync>(name: &str, entry: &DataEntry<C>, written: &Written) -> String {
    let body = entry.body();
    let mut page = frontmatter(&format!("{name} Data Source - {NAME}"), subcategory(name), &body.doc);
    let _ = writeln!(page, "# {name} (Data Source)\n\n{}", body.doc);
    usage(&mut page, &written.examples(&format!("data-sources/{name}"), "data-source"));
    page += &schema::section(body, &Timeouts(&[("read", READ_TIMEOUT)]));
    page
}

fn list_resource<C: Send + Sync>(name: &str, entry: &ListEntry<C>, written: &Written) -> String {
    let body = entry.body();
    let mut page = frontmatter(&format!("{name} List Resource - {NAME}"), subcategory(name), &body.doc);
    let _ = writeln!(
        page,
        "# {name} (List Resource)\n\n{}\n\nFor `terraform query` in a `.tfquery.hcl` file, which needs Terraform 1.14 or \
         later; OpenTofu does not read such files. The order is by ID, versions by number, so that \
         `-generate-config-out` numbers the blocks alike each time. The generated configuration plans to no change. The arguments below are those of the `config` block.",
        body.doc
    );
    usage(&mut page, &written.examples(&format!("list-resources/{name}"), "list-resource"));
    page += &schema::section(body, &Timeouts(&[]));
    page
}

fn action<C: Send + Sync>(name: &str, entry: &ActionEntry<C>, written: &Written) -> String {
    let body = entry.body();
    let mut page = frontmatter(&format!("{name} Action - {NAME}"), subcategory(name), &body.doc);
    let _ = writeln!(
        page,
        "# {name} (Action)\n\n{}\n\nActions need Terraform 1.14 or later; OpenTofu does not have them. A failed action is not \
         repeated by the next apply: run it again with `terraform apply -invoke=action.{name}.NAME`. The arguments below are those of the `config` block.",
        body.doc
    );
    usage(&mut page, &written.examples(&format!("actions/{name}"), "action"));
    page += &schema::section(body, &Timeouts(&[]));
    page
}

fn function_page(function: &dyn Function, written: &Written) -> String {
    let name = function.name();
    let signature = function.signature();
    let mut page = frontmatter(&format!("{name} function - {NAME}"), "", signature.summary);
    let _ = writeln!(
        page,
        "# function: {name}\n\n{}\n\nProvider functions need Terraform 1.8 or OpenTofu 1.7, or later. They need no provider configuration.",
        signature.doc
    );
    usage(&mut page, &written.examples(&format!("functions/{name}"), "function"));
    let parameters: Vec<String> =
        signature.parameters.iter().map(|p| format!("{} {}", p.name, hcl_type(&p.ty))).collect();
    let _ = write!(
        page,
        "\n## Signature\n\n```text\n{name}({}) {}\n```\n",
        parameters.join(", "),
        hcl_type(&signature.returns)
    );
    page += "\n## Arguments\n\n";
    for (index, parameter) in signature.parameters.iter().enumerate() {
        let _ = writeln!(
            page,
            "{}. `{}` ({}) {}",
            index + 1,
            parameter.name,
            parameter.ty.friendly(),
            parameter.doc
        );
    }
    let _ = write!(
        page,
        "\n## Return Type\n\nThe return type of `{name}` is {}.\n",
        returned(&signature.returns)
    );
    page
}

fn returned(ty: &Type) -> String {
    match ty {
        Type::Object(fields) => {
            let names: Vec<String> =
                fields.iter().map(|(name, ty)| format!("`{name}` ({})", ty.friendly())).collect();
            format!("an object with {}", names.join(", "))
        }
        ty => format!("`{}`", hcl_type(ty)),
    }
}

/// A type in HCL notation.
fn hcl_type(ty: &Type) -> String {
    match ty {
        Type::String => "string".to_owned(),
        Type::Number => "number".to_owned(),
        Type::Bool => "bool".to_owned(),
        Type::Dynamic => "dynamic".to_owned(),
        Type::List(element) => format!("list({})", hcl_type(element)),
        Type::Set(element) => format!("set({})", hcl_type(element)),
        Type::Map(element) => format!("map({})", hcl_type(element)),
        Type::Object(_) => "object".to_owned(),
        Type::Tuple(_) => "tuple".to_owned(),
    }
}

/// The frontmatter that the Registry reads, and a comment that says how the file is generated.
fn frontmatter(title: &str, subcategory: &str, doc: &str) -> String {
    // tfplugindocs refuses the key on the index page
    let subcategory = match subcategory {
        "" => String::new(),
        some => format!("subcategory: \"{some}\"\n"),
    };
    format!(
        "---\npage_title: \"{title}\"\n{subcategory}description: |-\n  {}\n---\n\n\
         <!-- Generated by tests/docs.rs. To change it, edit the schema, the examples or the notes and run UPDATE=1 cargo test --test docs -->\n\n",
        summary(doc)
    )
}

/// The first sentence of `doc`, on one line.
fn summary(doc: &str) -> String {
    let text = one_line(doc.split("\n\n").next().unwrap_or_default());
    match text.split_once(". ") {
        Some((first, _)) => format!("{first}."),
        None => text,
    }
}

fn usage(page: &mut String, examples: &[&str]) {
    if !examples.is_empty() {
        *page += "\n## Example Usage\n";
    }
    for example in examples {
        let _ = write!(page, "\n{}", terraform(example));
    }
}

fn notes(page: &mut String, notes: Option<&String>) {
    if let Some(notes) = notes {
        let _ = write!(page, "\n## Notes\n\n{}\n", notes.trim());
    }
}

fn terraform(text: &str) -> String {
    format!("```terraform\n{}\n```\n", text.trim_end())
}

fn short(type_name: &str) -> &str {
    type_name.strip_prefix(NAME).map_or(type_name, |rest| rest.trim_start_matches('_'))
}

/// A duration as it is written in `timeouts`, in the largest unit that divides it.
fn duration_text(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{}ms", duration.as_millis()),
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_is_the_first_sentence_on_one_line() {
        let rows = [
            (
                "Manages a gallery: the place\nwhere images live. And more.",
                "Manages a gallery: the place where images live.",
            ),
            ("One sentence.\n\nAnother paragraph.", "One sentence."),
            ("", ""),
        ];
        for (doc, expected) in rows {
            assert_eq!(summary(doc), expected);
        }
    }

    #[test]
    fn durations_use_the_largest_unit() {
        for (seconds, expected) in [(10_800, "3h"), (1_800, "30m"), (5_400, "90m"), (45, "45s"), (90, "90s")]
        {
            assert_eq!(duration_text(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn the_plain_example_sorts_first() {
        let examples = [
            ("resources/azimage_x/resource-more.tf", "more"),
            ("resources/azimage_x/resource.tf", "plain"),
            ("resources/azimage_x/resources.tf", "no"),
            ("resources/azimage_xy/resource.tf", "no"),
            ("resources/azimage_x/import.sh", "no"),
        ];
        let examples = examples.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
        let written = Written { examples, ..Written::default() };
        assert_eq!(written.examples("resources/azimage_x", "resource"), ["plain", "more"]);
    }

    #[test]
    fn subcategory_of_each_type() {
        let rows = [
            ("azimage_gallery", "Compute Gallery"),
            ("azimage_image_versions", "Compute Gallery"),
            ("azimage_community_image_version", "Compute Gallery"),
            ("azimage_managed_images", "Managed images"),
            ("azimage_marketplace_pin", "Marketplace"),
            ("azimage_role_assignment", "Compute Gallery"),
            ("azimage_unknown", ""),
        ];
        for (name, expected) in rows {
            assert_eq!(subcategory(name), expected, "{name}");
        }
    }
}
