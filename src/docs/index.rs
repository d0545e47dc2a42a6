//! The index page: what the provider is, an example, the guides, every type, and the provider block.

use std::fmt::Write as _;

use super::schema::{self, Timeouts};
use super::{NAME, Written, frontmatter, short, subcategory, summary, usage};
use crate::framework::{Provider, Server};

/// The page.
pub fn page<P: Provider>(server: &Server<P>, written: &Written) -> String {
    let body = server.body();
    let mut page = frontmatter(&format!("Provider: {NAME}"), "", &body.doc);
    let _ = writeln!(page, "# {NAME} Provider\n\n{}", body.doc);
    usage(&mut page, &written.examples("provider", "provider"));
    guides(&mut page, written);
    page += "\n## Resources\n\n";
    for (name, entry) in server.resources() {
        item(&mut page, name, "resources", &entry.body().doc);
    }
    page += "\n## Data sources\n\n";
    for (name, entry) in server.data_sources() {
        item(&mut page, name, "data-sources", &entry.body().doc);
    }
    page += "\n## List resources\n\n";
    for (name, entry) in server.list_resources() {
        item(&mut page, name, "list-resources", &entry.body().doc);
    }
    page += "\n## Actions\n\n";
    for (name, entry) in server.actions() {
        item(&mut page, name, "actions", &entry.body().doc);
    }
    page += "\n## Functions\n\n";
    for function in server.functions() {
        let name = function.name();
        let _ = writeln!(page, "- [{name}](functions/{name}.md): {}", function.signature().summary);
    }
    page += &schema::section(body, &Timeouts(&[]));
    page
}

fn item(page: &mut String, name: &str, folder: &str, doc: &str) {
    let category = subcategory(name);
    let _ = writeln!(page, "- [{name}]({folder}/{}.md) ({category}): {}", short(name), summary(doc));
}

// In the order given by their frontmatter; guides without one come last.
fn guides(page: &mut String, written: &Written) {
    let mut guides: Vec<(&String, Guide)> =
        written.guides.iter().map(|(name, text)| (name, Guide::read(text))).collect();
    guides.sort_by_key(|(name, guide)| (guide.order, (*name).clone()));
    if !guides.is_empty() {
        *page += "\n## Guides\n\n";
    }
    for (name, guide) in guides {
        let _ = writeln!(page, "- [{}](guides/{name}.md): {}", guide.title, guide.description);
    }
}

/// The frontmatter of a guide.
#[derive(Debug, PartialEq)]
struct Guide {
    title: String,
    description: String,
    order: u32,
}

impl Guide {
    fn read(text: &str) -> Guide {
        let front = text
            .strip_prefix("---\n")
            .and_then(|rest| rest.split_once("\n---"))
            .map_or("", |(front, _)| front);
        let mut lines = front.lines();
        let mut guide = Guide { title: String::new(), description: String::new(), order: u32::MAX };
        while let Some(line) = lines.next() {
            if let Some(title) = line.strip_prefix("page_title:") {
                guide.title = title.trim().trim_matches('"').to_owned();
            } else if let Some(rest) = line.strip_prefix("description:") {
                let block = rest.trim().starts_with('|');
                let text = if block { lines.next().unwrap_or_default() } else { rest };
                guide.description = text.trim().trim_matches('"').to_owned();
            } else if let Some(order) = line.strip_prefix("# order:") {
                guide.order = order.trim().parse().unwrap_or(u32::MAX);
            }
        }
        guide
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_frontmatter_of_a_guide() {
        let text = "---\npage_title: \"Getting started\"\n# order: 1\ndescription: |-\n  Your first image.\n---\n\n# x\n";
        let expected = Guide {
            title: "Getting started".to_owned(),
            description: "Your first image.".to_owned(),
            order: 1,
        };
        assert_eq!(Guide::read(text), expected);
        assert_eq!(Guide::read("# no frontmatter").order, u32::MAX);
    }
}
