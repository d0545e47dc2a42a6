//! Helpers of data sources: the wanted version, suggestions for missing objects, and natural order of names.

use std::cmp::Ordering;

use serde_json::Value as Json;

use crate::arm::{Error, Scope, Target};
pub use crate::azure::attributes::check_regex;
pub use crate::azure::tags::has_all as has_tags;
use crate::azure::{Context, body};
use crate::framework::Op;
use crate::image::{Wanted, did_you_mean, nearest_names};
use crate::schema::{Attribute, Diagnostic, Diagnostics, Path};

/// The version in `attribute`; `latest` if it is omitted.
pub fn wanted(attribute: &'static str, version: Option<&str>) -> Result<Wanted, Diagnostic> {
    Wanted::parse(version.unwrap_or("latest")).map_err(|error| {
        Diagnostic::error("Invalid value for version", error.to_string()).at(Path::attribute(attribute))
    })
}

/// An attribute of a resource for a data source: without replacement and equivalence.
pub fn argument(mut attribute: Attribute) -> Attribute {
    attribute.force_new = false;
    attribute.equivalence = None;
    attribute
}

/// Adds warnings to the operation; an error ends the read.
pub fn report(op: &Op, found: Diagnostics) -> Result<(), Diagnostics> {
    if found.has_errors() {
        return Err(found);
    }
    for warning in found {
        op.warn(warning);
    }
    Ok(())
}

/// The error that `what` does not exist, with suggestions for `name` from `names`.
pub fn absent(what: String, path: Path, name: &str, names: &[String], among: &str) -> Diagnostic {
    let near = nearest_names(name, names.iter().map(String::as_str));
    let detail = match did_you_mean(&near) {
        Some(mut hint) => {
            hint[..1].make_ascii_uppercase();
            hint
        }
        None if names.is_empty() => format!("{among} contains none, or does not exist itself."),
        None => format!("{among} contains: {}.", some(names)),
    };
    Diagnostic::error(what, detail).at(path)
}

/// The first of `names`, for a message.
pub fn some(names: &[String]) -> String {
    const SHOWN_NAMES: usize = 10;
    let shown = names.iter().take(SHOWN_NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len() {
        0..=SHOWN_NAMES => shown,
        more => format!("{shown} and {} more", more - SHOWN_NAMES),
    }
}

/// The names in the list at `target`, sorted, for suggestions only: empty if the list cannot be read.
pub async fn names(context: &Context, scope: &Scope, target: &Target) -> Vec<String> {
    let items = context.client.list(scope, target).await.unwrap_or_default();
    let mut names: Vec<String> = items.iter().filter_map(|item| body::text(item, "name")).collect();
    names.sort();
    names
}

/// The items of the list at `target`; empty if it or its parent does not exist.
pub async fn list(context: &Context, scope: &Scope, target: &Target) -> Result<Vec<Json>, Error> {
    match context.client.list(scope, target).await {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        other => other,
    }
}

/// Natural order: `web-9` before `web-10`. Names are equal only if they are identical.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    while let (Some(one), Some(two)) = (left.chars().next(), right.chars().next()) {
        let order = if one.is_ascii_digit() && two.is_ascii_digit() {
            let (number, rest) = digits(left);
            let (other, others) = digits(right);
            (left, right) = (rest, others);
            number.len().cmp(&other.len()).then_with(|| number.cmp(other))
        } else {
            (left, right) = (&left[one.len_utf8()..], &right[two.len_utf8()..]);
            one.to_lowercase().cmp(two.to_lowercase())
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

// The number at the beginning of `text`, without leading zeros, and the rest.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].trim_start_matches('0'), &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::tags::Tags;

    #[test]
    fn orders_names_naturally() {
        let mut names = ["web-10", "web-9", "web", "Web-9b", "web-009", "db-2026.11.2", "db-2026.2.11", "ü1"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(
            names,
            ["db-2026.2.11", "db-2026.11.2", "web", "web-009", "web-9", "Web-9b", "web-10", "ü1"]
        );
    }

    #[test]
    fn a_missing_tag_never_matches() {
        let tags = |rows: &[(&str, &str)]| {
            rows.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect::<Tags>()
        };
        for (have, filter, matches) in [
            (&[("Stage", "ga")][..], &[("stage", "ga")][..], true),
            (&[("stage", "GA")], &[("stage", "ga")], false),
            (&[], &[("stage", "ga")], false),
            (&[], &[], true),
        ] {
            assert_eq!(has_tags(&tags(have), Some(&tags(filter))), matches, "{have:?} {filter:?}");
        }
        assert!(has_tags(&tags(&[]), None));
    }

    #[test]
    fn errors_suggest_existing_names() {
        let names = ["golden-web".to_owned(), "golden-db".to_owned()];
        let message = absent("There is no image".to_owned(), Path::root(), "goldenweb", &names, "Gallery g");
        assert!(message.detail.starts_with("Did you mean \"golden-web\""), "{message}");
        let message = absent(String::new(), Path::root(), "zzz", &names, "Gallery g");
        assert_eq!(message.detail, "Gallery g contains: golden-web, golden-db.");
        assert!(absent(String::new(), Path::root(), "zzz", &[], "Gallery g").detail.contains("none"));
        let many: Vec<String> = (0..12).map(|number| number.to_string()).collect();
        assert!(some(&many).ends_with("9 and 2 more"));
    }
}
