//! The report as Markdown, for the description or a comment of a pull request.

use std::fmt::Write as _;

use super::model::{Definition, Report, Version};

/// Renders the report.
pub fn render(report: &Report) -> String {
    let totals: Vec<String> =
        report.totals().iter().map(|(number, what)| format!("**{number}** {what}")).collect();
    let mut text = format!("# Azure VM images\n\n{}\n\n{}\n", report.generated_at, totals.join(" · "));
    for note in &report.notes {
        let _ = write!(text, "\n> {}\n", cell(note));
    }
    for gallery in &report.galleries {
        let _ = write!(text, "\n## {}\n\n`{}`\n", cell(&gallery.name), gallery.id);
        for definition in &gallery.definitions {
            text += &section(definition);
        }
        if gallery.definitions.is_empty() {
            text += "\nNo image definitions.\n";
        }
    }
    text
}

fn section(definition: &Definition) -> String {
    let facts: Vec<&str> =
        [&definition.os_type, &definition.generation, &definition.architecture, &definition.security_type]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
    let mut text = format!("\n### {}\n\n{}\n", cell(&definition.name), facts.join(", "));
    if let Some(note) = &definition.usage_note {
        let _ = write!(text, "\n> {}\n", cell(note));
    }
    let versions = &definition.versions;
    if versions.is_empty() {
        return text + "\nNo image versions.\n";
    }
    type Column = (&'static str, fn(&Version) -> Option<String>);
    let columns: &[Column] = &[
        ("version", |version| Some(version.version.clone())),
        ("state", state),
        ("regions", |version| Some(regions(version))),
        ("published", |version| version.published_date.as_deref().map(day)),
        ("end of life", |version| version.end_of_life_date.as_deref().map(day)),
        ("GB", |version| version.size_gb.map(|size| size.to_string())),
        ("cost a month", |version| version.monthly_cost.clone()),
        ("used by", |version| version.users.as_ref().map(|users| users.len().to_string())),
        ("base image", base_image),
        ("tags", tags),
        ("retention", retention),
    ];
    let shown: Vec<&Column> =
        columns.iter().filter(|(_, value)| versions.iter().any(|version| value(version).is_some())).collect();
    let heads: Vec<&str> = shown.iter().map(|(head, _)| *head).collect();
    let _ = write!(text, "\n| {} |\n|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
    for version in versions {
        let cells: Vec<String> =
            shown.iter().map(|(_, value)| cell(&value(version).unwrap_or_default())).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

fn state(version: &Version) -> Option<String> {
    let excluded = version.exclude_from_latest.then_some("excluded from latest");
    let parts: Vec<&str> = version.state.as_deref().into_iter().chain(excluded).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn regions(version: &Version) -> String {
    let one = |region: &super::model::Region| {
        let state = match region.state.as_str() {
            "Completed" => String::new(),
            "Replicating" => format!(" ({} %)", region.progress),
            other => format!(" ({})", other.to_lowercase()),
        };
        format!("{} ×{}{state}", region.name, region.replicas)
    };
    version.regions.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn base_image(version: &Version) -> Option<String> {
    let base = version.base_image.as_ref()?;
    Some(match &base.warning {
        Some(warning) => format!("{} ({warning})", base.urn),
        None => base.urn.clone(),
    })
}

fn tags(version: &Version) -> Option<String> {
    let tags: Vec<String> = version.tags.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    (!tags.is_empty()).then(|| tags.join(", "))
}

fn retention(version: &Version) -> Option<String> {
    version.retention.as_ref().map(|retention| format!("{}: {}", retention.action, retention.reason))
}

fn day(date: &str) -> String {
    date.chars().take(10).collect()
}

/// Escapes a text so that it neither ends a table cell nor is HTML.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace(['\r', '\n'], " ")
}

#[cfg(test)]
mod tests {
    use super::super::model::sample;
    use super::*;

    #[test]
    fn has_a_row_for_each_version_and_no_empty_column() {
        let text = render(&sample::report());
        let expected = "### web

Linux

| version | state | regions | published | end of life | GB | cost a month | used by | tags | retention |
|---|---|---|---|---|---|---|---|---|---|
| 1.10.0 | Succeeded | eastus ×2 | 2026-01-01 |  | 30 | 3.00 | 1 | team = a\\|b &lt;c> | keep: in use |
| 1.9.0 | Succeeded | eastus ×2 | 2026-01-01 | 2026-02-01 | 30 | 3.00 | 0 |  | remove: no rule keeps it |
";
        assert!(text.ends_with(expected), "{text}");
        assert!(text.contains("> Subscription b is not readable."));
    }

    #[test]
    fn escapes_text_in_tables() {
        assert_eq!(cell("a|b\n<c>"), "a\\|b &lt;c>");
    }
}
