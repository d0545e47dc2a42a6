//! The Import section of a page and its examples: the ID and the command follow from one hand-written identity.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Written, terraform};
use crate::framework::ImportFrom;
use crate::framework::provider::Entry;

const BY_IDENTITY: &str = "import-by-identity.tf";
const BY_ID: &str = "import-by-string-id.tf";
const COMMAND: &str = "import.sh";

/// The import examples of a resource that follow from its `import-by-identity.tf`, by path from the repository's root.
pub fn examples<C: Send + Sync>(name: &str, entry: &Entry<C>, written: &Written) -> Vec<(String, String)> {
    let Some(id) = id(name, entry, written) else { return Vec::new() };
    let by_id = format!("import {{\n  to = {name}.example\n  id = \"{id}\"\n}}\n");
    // single quotes: an ID may contain characters that a shell interprets
    let quoted = if id.contains('|') { format!("'{id}'") } else { id.clone() };
    let command = format!("terraform import {name}.example {quoted}\n");
    vec![(path(name, BY_ID), by_id), (path(name, COMMAND), command)]
        .into_iter()
        .map(|(path, text)| (format!("examples/{path}"), text))
        .collect()
}

/// The Import section, and the section on `moved` blocks.
pub fn section<C: Send + Sync>(name: &str, entry: &Entry<C>, written: &Written) -> String {
    let mut page = String::new();
    let by_identity = written.examples.get(&path(name, BY_IDENTITY));
    let made: BTreeMap<String, String> = examples(name, entry, written).into_iter().collect();
    let made = |file: &str| made.get(&format!("examples/{}", path(name, file)));
    if let (Some(by_identity), Some(by_id), Some(command)) = (by_identity, made(BY_ID), made(COMMAND)) {
        page += "\n## Import\n\nImport an existing object with an `import` block and its identity (Terraform 1.12, OpenTofu 1.12, and later):\n\n";
        page += &terraform(by_identity);
        page += "\n### Identity Schema\n";
        for (title, required) in [("Required", true), ("Optional", false)] {
            let fields: Vec<String> = entry
                .resource
                .identity()
                .iter()
                .filter(|field| field.required == required)
                .map(|field| format!("- `{}` (String) {}", field.name, field.doc))
                .collect();
            if !fields.is_empty() {
                let _ = write!(page, "\n#### {title}\n\n{}\n", fields.join("\n"));
            }
        }
        page += "\nWith its ID (Terraform 1.5, OpenTofu 1.6, and later):\n\n";
        page += &terraform(by_id);
        let _ = write!(page, "\nOr with the command:\n\n```shell\n{}\n```\n", command.trim_end());
    }
    let sources = moved(entry);
    if !sources.is_empty() {
        let _ = write!(
            page,
            "\n## Moving From Other Providers\n\nA `moved` block (Terraform 1.8, OpenTofu 1.10, and later) takes over the state of {}. The next \
             plan is empty if the configuration matches. See [Migrating from azurerm](../guides/migrating-from-azurerm.md).\n",
            sources.join(" and ")
        );
    }
    page
}

/// The ID of the object that the example's identity names.
fn id<C: Send + Sync>(name: &str, entry: &Entry<C>, written: &Written) -> Option<String> {
    let identity = identity(written.examples.get(&path(name, BY_IDENTITY))?);
    let state = entry.resource.import(None, &ImportFrom::Identity(identity)).ok()?;
    state.get("id").as_str().map(str::to_owned)
}

/// The attributes of `identity = { … }` in an import block.
fn identity(example: &str) -> BTreeMap<String, String> {
    let inside = example.split_once("identity = {").map_or("", |(_, rest)| rest);
    let lines = inside.lines().take_while(|line| line.trim() != "}");
    lines
        .filter_map(|line| {
            let (name, value) = line.split_once('=')?;
            let value = value.trim().strip_prefix('"')?.strip_suffix('"')?;
            Some((name.trim().to_owned(), value.to_owned()))
        })
        .collect()
}

/// The types that can be moved into this one, in the page's wording.
fn moved<C: Send + Sync>(entry: &Entry<C>) -> Vec<String> {
    let sources = entry.resource.moves_from().into_iter();
    sources
        .map(|from| match from.kind {
            Some(kind) => format!("`{}` of type `{kind}`", from.type_name),
            None => format!("`{}`", from.type_name),
        })
        .collect()
}

fn path(name: &str, file: &str) -> String {
    format!("resources/{name}/{file}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_identity_of_an_example() {
        let example = "import {\n  to = x.example\n  identity = {\n    name     = \"a\"\n    location = \"b = c\"\n  }\n}\n";
        let expected =
            [("name", "a"), ("location", "b = c")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(identity(example), BTreeMap::from(expected));
        assert!(identity("import {\n  id = \"x\"\n}\n").is_empty());
    }
}
