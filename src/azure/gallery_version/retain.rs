//! `deletion_policy = "retain"` in plans that replace a version: which policy applies, and which number is reserved.

use serde_json::Value as Json;

use super::Kind;
use super::unfinished::Progress;
use crate::arm::{ResourceId, Target};
use crate::azure::Context;
use crate::azure::context::scope;
use crate::azure::pipeline::Task;
use crate::azure::provisioning::is_failed;
use crate::azure::replication::{Replication, State};
use crate::azure::run_log::Event;
use crate::framework::{Draft, Op};
use crate::schema::{Diagnostics, Path, Value};

/// Checks a replacement for two errors: it would delete a version whose policy changes to retain, or it needs the
/// number of a retained version.
pub fn check(draft: &Draft<'_>, kind: &Kind, found: &mut Diagnostics) {
    if draft.is_create() || draft.replace.is_empty() {
        return;
    }
    let version = draft.prior.get(kind.number).as_str().unwrap_or_default();
    let unknown = unknown_causes(draft, kind);
    let because: Vec<String> = draft
        .replace
        .iter()
        .map(|path| match unknown.iter().any(|unknown| path.to_string().starts_with(unknown)) {
            true => format!("{path}, which is not known before apply"),
            false => path.to_string(),
        })
        .collect();
    let because = because.join(", ");
    let retains = |value: &Value| value.get("deletion_policy").as_str() == Some("retain");
    if let Some(first) = unknown.first() {
        let what = if retains(draft.prior) {
            "the version will leave this state and another will be created"
        } else {
            "the version will be destroyed and created again"
        };
        found.warning(
            Path::attribute(*first),
            "The replacement is planned for an unknown value",
            format!(
                "{} is not known before apply: {what} even if the value turns out to be the same. To avoid that, make the \
                 value known at plan (a literal, a variable, or an ID that does not depend on a resource that changes), or \
                 use lifecycle {{ ignore_changes = [{first}] }}.",
                unknown.join(" and ")
            ),
        );
    }
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
    if !retains(draft.prior) {
        return;
    }
    if !draft.changes(kind.number) && !draft.changes(kind.parent) {
        found.error(
            Path::attribute(kind.number),
            format!("Version {version:?} is retained, so its number stays taken"),
            format!(
                "The plan replaces the version (because of {because}), and deletion_policy = \"retain\" keeps the old one in \
                 Azure. Choose another version number; or apply deletion_policy = \"delete\" first, which deletes the old one."
            ),
        );
    } else {
        stays(kind, version, found);
    }
}

/// Warns that the version stays in Azure although Terraform shows "destroy".
pub fn stays(kind: &Kind, version: &str, found: &mut Diagnostics) {
    found.warning(
        Path::attribute("deletion_policy"),
        format!("Version {version} stays in Azure; it only leaves this state"),
        format!(
            "deletion_policy = \"retain\" keeps it. Its {} and its gallery cannot be destroyed while it exists.",
            kind.parent_noun
        ),
    );
}

/// Records a version whose destroy keeps it in Azure. Terraform plans -replace and taint as a creation.
pub fn remember(context: &Context, id: &ResourceId, deletion_policy: Option<&str>) {
    if deletion_policy == Some("retain") {
        context.run.record(&id.to_string(), Event::KeptOnDestroy);
    }
}

/// Checks a creation with the number of a version that this state retains, as planned by -replace and taint. The
/// retained version is adopted again if `is_same` confirms that it has the planned content.
pub async fn check_creation(
    context: &Context,
    op: &Op,
    draft: &Draft<'_>,
    kind: &Kind,
    id: &ResourceId,
    is_same: impl FnOnce(&Json) -> bool,
    found: &mut Diagnostics,
) {
    let is_known = |name: &&str| draft.planned.get(name).is_wholly_known();
    if !draft.is_create()
        || ![kind.number, kind.parent, kind.source].iter().all(is_known)
        || !context.run.has(&id.to_string(), Event::KeptOnDestroy)
    {
        return;
    }
    let scope = scope(op, format!("reading a retained {}", kind.noun));
    let Ok(Some(object)) = context.client.get_opt(&scope, &Target::at(id.to_string())).await else { return };
    if is_same(&object) {
        found.warning(
            Path::attribute("deletion_policy"),
            format!("Version {} stays in Azure, and this state keeps it", id.name()),
            format!(
                "deletion_policy = \"retain\" keeps it when Terraform destroys it, and its source and place are the planned \
                 ones, so apply manages it again instead of creating it. To create it anew, apply deletion_policy = \
                 \"delete\" first.\n\n{id}"
            ),
        );
    } else {
        found.error(
            Path::attribute(kind.number),
            format!("Version {:?} is retained, so its number stays taken", id.name()),
            format!(
                "The plan replaces the version by one with another source or place, and deletion_policy = \"retain\" keeps \
                 the old one in Azure. Choose another version number.\n\n{id}"
            ),
        );
    }
}

/// Keeps a version with `deletion_policy = "retain"` in Azure, unless its creation failed in every region. Returns whether
/// it stays. `target` reads the version with its replication.
pub async fn leaves(
    task: &Task<'_>,
    kind: &Kind,
    policy: Option<&str>,
    prior: Progress<'_>,
    target: &Target,
) -> Result<bool, Diagnostics> {
    if policy != Some("retain") {
        return Ok(false);
    }
    if !prior.has_content() {
        let object = task.client().get_opt(&task.scope, target).await.map_err(|error| task.failed(&error))?;
        if object.is_some_and(|object| is_without_content(&object)) {
            return Ok(false);
        }
    }
    tracing::info!(id = %task.id, "{} retained in Azure: deletion_policy = \"retain\"", kind.noun);
    task.context.run.record(&task.id.to_string(), Event::Retained);
    Ok(true)
}

/// Whether the version failed and no region has its content.
pub fn is_without_content(object: &Json) -> bool {
    is_failed(object)
        && Replication::parse(object).regions.values().all(|region| region.state != State::Completed)
}

// The attributes with unknown planned values that therefore force a replacement.
fn unknown_causes(draft: &Draft<'_>, kind: &Kind) -> Vec<&'static str> {
    kind.immutable
        .iter()
        .copied()
        .filter(|name| {
            let forces = draft.replace.iter().any(|path| path.to_string().starts_with(name));
            let value = draft.planned.get(name);
            forces && has_unknown_input(value, draft.config.get(name))
        })
        .collect()
}

// Whether a configured value is unknown, ignoring computed members of blocks.
fn has_unknown_input(planned: &Value, config: &Value) -> bool {
    match config {
        Value::Unknown => planned.is_unknown(),
        Value::Object(fields) => fields.values().any(|value| !value.is_wholly_known()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Severity;

    #[test]
    fn a_retained_version_is_neither_deleted_nor_created_again() {
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
                replace: if replaced { vec![Path::attribute("source")] } else { Vec::new() },
                ..Draft::new(&planned, &prior, planned.clone())
            };
            let mut found = Diagnostics::new();
            check(&draft, &super::super::IMAGE_VERSION, &mut found);
            let errors = found.into_iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
            let paths: Vec<String> = errors.map(|error| error.path.to_string()).collect();
            assert_eq!(paths, path.into_iter().collect::<Vec<_>>(), "{before} to {after}: {planned:?}");
        }
    }
}
