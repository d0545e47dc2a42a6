//! `deletion_policy` where a version is replaced: what destroys the old one knows only what was applied before.

use crate::framework::Draft;
use crate::schema::{Diagnostics, Path, Value};

/// Objects to a replacement that deletes what is to be retained from now on, or that needs the number of what is retained.
pub fn check(draft: &Draft<'_>, found: &mut Diagnostics) {
    if draft.is_create() || draft.replace.is_empty() {
        return;
    }
    let version = draft.prior.get("version").as_str().unwrap_or_default();
    let because: Vec<String> = draft.replace.iter().map(Path::to_string).collect();
    let because = because.join(", ");
    let retains = |value: &Value| value.get("deletion_policy").as_str() == Some("retain");
    if retains(&draft.planned) && !retains(draft.prior) {
        found.error(
            Path::attribute("deletion_policy"),
            format!("Version {version:?} would be deleted, not retained"),
            format!(
                "The plan replaces it (because of {because}), and a version is destroyed by the deletion_policy that was \
                 applied before. Apply deletion_policy = \"retain\" alone first, then what replaces the version."
            ),
        );
    }
    if retains(draft.prior) && !draft.changes("version") && !draft.changes("image_definition_id") {
        found.error(
            Path::attribute("version"),
            format!("Version {version:?} is retained, so its number stays taken"),
            format!(
                "The plan replaces the version (because of {because}), and deletion_policy = \"retain\" keeps the old one in \
                 Azure. Choose another version number; or apply deletion_policy = \"delete\" first, which lets the old one go."
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_retained_is_neither_deleted_nor_made_anew() {
        let model = |policy: &str, version: Value| {
            Value::object([
                ("deletion_policy", policy.into()),
                ("version", version),
                ("image_definition_id", "d".into()),
            ])
        };
        let (old, new) = (|| Value::from("1.0.0"), || Value::from("1.1.0"));
        let deleted = Some("deletion_policy");
        let rows = [
            ("delete", "retain", new(), true, deleted),
            ("delete", "retain", old(), true, deleted),
            ("delete", "retain", Value::Unknown, true, deleted),
            ("delete", "retain", old(), false, None),
            ("delete", "delete", old(), true, None),
            ("retain", "retain", new(), true, None),
            ("retain", "delete", new(), true, None),
            ("retain", "retain", Value::Unknown, true, None),
            ("retain", "retain", old(), true, Some("version")),
            ("retain", "delete", old(), true, Some("version")),
            ("retain", "delete", old(), false, None),
        ];
        for (before, after, version, replaced, path) in rows {
            let prior = model(before, old());
            let planned = model(after, version);
            let draft = Draft {
                config: &planned,
                prior: &prior,
                planned: planned.clone(),
                replace: if replaced { vec![Path::attribute("source")] } else { Vec::new() },
                diagnostics: Diagnostics::new(),
            };
            let mut found = Diagnostics::new();
            check(&draft, &mut found);
            let paths: Vec<String> = found.into_iter().map(|told| told.path.to_string()).collect();
            assert_eq!(paths, path.into_iter().collect::<Vec<_>>(), "{before} to {after}: {planned:?}");
        }
    }
}
