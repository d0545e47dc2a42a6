//! Removing test machines with their disks and network interfaces: this run's, those of killed runs, and those whose time is over.

use std::time::Duration;

use serde_json::Value as Json;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::machine::{TAG, UNTIL_TAG};
use super::model::NAME_START;
use super::run_mark;
use crate::arm::id::VIRTUAL_MACHINE;
use crate::arm::{Error, ResourceId, Scope, Target};
use crate::azure::attributes::instant;
use crate::azure::pipeline::{Task, remove};
use crate::azure::{Context, body, fault, tags};
use crate::framework::Op;
use crate::schema::Diagnostic;

/// How long removing a machine may take, regardless of the test's timeout.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// How long an interrupted run may take to have its machine deleted.
const INTERRUPTED_LIMIT: Duration = Duration::from_secs(15);

/// The types of what a machine leaves behind when its creation fails halfway.
const PARTS: [&str; 2] = ["Microsoft.Compute/disks", "Microsoft.Network/networkInterfaces"];

/// Removes the machine `id` and what belongs to it. An interrupted run has it deleted and does not wait for the end.
pub async fn remove_machine(
    context: &Context,
    op: &Op,
    scope: &Scope,
    id: &ResourceId,
) -> Result<(), Diagnostic> {
    let failed = |error: &Error| not_removed(error, scope.what(), id);
    if !scope.stopped() {
        let mut task = Task::new(context, op, scope.what(), id.clone(), fault::diagnostic);
        task.scope = scope.anew(LIMIT, scope.what());
        match remove_with_parts(&task).await {
            Err(error) if error.is_stopped() => {}
            ended => return ended.map_err(|error| failed(&error)),
        }
    }
    let scope = Scope::new(INTERRUPTED_LIMIT, CancellationToken::new(), scope.what());
    context.client.delete(&scope, &deletion(id)).await.map(drop).map_err(|error| failed(&error))
}

/// Removes the leftovers of earlier tests in `group`: machines of runs that were killed on this computer, machines whose time is
/// over, and disks and network interfaces of machines that are gone. A leftover that cannot be removed is a warning, because it
/// does not affect other tests: no two runs share a machine.
pub async fn remove_leftovers(context: &Context, op: &Op, scope: &Scope, group: &ResourceId) {
    // Parts are listed before machines: a part in this list without a machine in the later list belongs to no machine.
    let mut parts = Vec::new();
    for kind in PARTS {
        parts.extend(listed(context, scope, group, kind).await);
    }
    let machines = listed(context, scope, group, VIRTUAL_MACHINE).await;
    let now = OffsetDateTime::now_utc();
    let leftovers = machines.iter().filter(|machine| is_leftover(machine, now));
    for id in leftovers.filter_map(id_of) {
        let Ok(id) = ResourceId::parse_as(&id, VIRTUAL_MACHINE) else { continue };
        tracing::info!(%id, "removing the machine that an earlier test left behind");
        let _guard = context.lock(&id.to_string()).await;
        match remove_machine(context, op, scope, &id).await {
            Ok(()) => run_of(id.name()).iter().for_each(|run| run_mark::forget(run)),
            Err(told) => op.warn(Diagnostic::warning(
                "A machine of an earlier test could not be deleted",
                format!("{}\n\n{id}", told.detail),
            )),
        }
    }
    let have: Vec<String> = machines
        .iter()
        .filter_map(|machine| body::text(machine, "name"))
        .map(|name| name.to_lowercase())
        .collect();
    for part in parts.iter().filter(|part| is_orphan(part, &have)).filter_map(id_of) {
        tracing::info!(id = part, "removing what the machine of an earlier test left behind");
        if let Err(error) = remove(context, scope, &Target::at(part)).await {
            tracing::debug!(%error, "it cannot be removed");
        }
    }
}

/// The objects of `kind` in `group`; none if the caller may not list them, since a test does not need them.
async fn listed(context: &Context, scope: &Scope, group: &ResourceId, kind: &str) -> Vec<Json> {
    let target = Target::at(format!("{group}/providers/{kind}"));
    context.client.list(scope, &target).await.unwrap_or_else(|error| {
        tracing::debug!(%error, kind, "leftovers of tests cannot be looked for");
        Vec::new()
    })
}

fn id_of(object: &Json) -> Option<String> {
    body::text(object, "id")
}

/// The run in the name of a machine, or of a part of it.
fn run_of(name: &str) -> Option<&str> {
    let mut rest = name.strip_prefix(NAME_START)?.splitn(3, '-');
    rest.next()?;
    rest.next().filter(|run| run_mark::is_id(run))
}

/// Whether a disk or network interface belongs to the machine of a test, and that machine is not among `machines`.
fn is_orphan(part: &Json, machines: &[String]) -> bool {
    let name = body::text(part, "name").unwrap_or_default().to_lowercase();
    run_of(&name).is_some() && !machines.iter().any(|machine| is_part(&name, machine))
}

/// Whether `name` is a disk or network interface of `machine`; both are in lower case.
fn is_part(name: &str, machine: &str) -> bool {
    name.strip_prefix(machine).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn deletion(id: &ResourceId) -> Target {
    Target::at(id.to_string()).query("forceDeletion", "true")
}

async fn remove_with_parts(task: &Task<'_>) -> Result<(), Error> {
    remove(task.context, &task.scope, &deletion(&task.id)).await?;
    for kind in PARTS {
        for part in parts(task, kind).await? {
            tracing::info!(id = part, "removing what the machine left behind");
            remove(task.context, &task.scope, &Target::at(part)).await?;
        }
    }
    Ok(())
}

/// The IDs of the objects of `kind` that are named after the machine.
async fn parts(task: &Task<'_>, kind: &str) -> Result<Vec<String>, Error> {
    let Some(group) = task.id.parent() else { return Ok(Vec::new()) };
    let listed = task.client().list(&task.scope, &Target::at(format!("{group}/providers/{kind}"))).await;
    let listed = match listed {
        // Who may not see network interfaces relies on their deletion with the machine.
        Err(error) if matches!(error.status, Some(403 | 404)) => Vec::new(),
        listed => listed?,
    };
    let machine = task.id.name().to_lowercase();
    let belongs = |object: &&Json| {
        body::text(object, "name").is_some_and(|name| is_part(&name.to_lowercase(), &machine))
    };
    Ok(listed.iter().filter(belongs).filter_map(id_of).collect())
}

fn tag(machine: &Json, name: &str) -> Option<String> {
    let all = tags::all(machine);
    all.into_iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Whether a machine belongs to a test that has ended.
fn is_leftover(machine: &Json, now: OffsetDateTime) -> bool {
    let was_killed = || {
        let name = body::text(machine, "name").unwrap_or_default().to_lowercase();
        run_of(&name).is_some_and(run_mark::was_killed)
    };
    tag(machine, TAG).is_some() && (is_expired(machine, now) || was_killed())
}

fn is_expired(machine: &Json, now: OffsetDateTime) -> bool {
    tag(machine, UNTIL_TAG).and_then(|until| instant(&until)).is_some_and(|until| until < now)
}

fn not_removed(error: &Error, doing: &str, id: &ResourceId) -> Diagnostic {
    let told = fault::diagnostic(error, doing, &id.to_string());
    Diagnostic::error(
        "The test machine could not be deleted",
        format!(
            "{}\n\nIt costs money until it is gone. The next apply of this configuration tries again; otherwise delete it and the disks and network interfaces whose names begin with {:?} by hand.",
            told.detail,
            id.name()
        ),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn only_machines_of_tests_that_are_over_are_leftovers() {
        let now = datetime!(2026-11-02 12:00:00 UTC);
        let killed = run_mark::new_id();
        drop(run_mark::RunMark::hold(&killed));
        let other = run_mark::new_id();
        for (name, tags, expected) in [
            (
                &other,
                json!({"azimage-test": "g/i/1.0.0", "azimage-test-until": "2026-11-02T11:59:59Z"}),
                true,
            ),
            (
                &other,
                json!({"AZIMAGE-TEST": "g/i/1.0.0", "Azimage-Test-Until": "2026-11-02T11:59:59Z"}),
                true,
            ),
            (
                &other,
                json!({"azimage-test": "g/i/1.0.0", "azimage-test-until": "2026-11-02T12:00:01Z"}),
                false,
            ),
            (
                &killed,
                json!({"azimage-test": "g/i/1.0.0", "azimage-test-until": "2026-11-02T12:00:01Z"}),
                true,
            ),
            (&other, json!({"azimage-test": "g/i/1.0.0"}), false),
            (&other, json!({"azimage-test-until": "2026-11-02T11:59:59Z"}), false),
            (&killed, json!({}), false),
            (&other, json!({"azimage-test": "x", "azimage-test-until": "soon"}), false),
        ] {
            let machine = json!({"name": format!("azimage-test-0123456789-{name}"), "tags": tags});
            assert_eq!(is_leftover(&machine, now), expected, "{machine}");
        }
        run_mark::forget(&killed);
    }

    #[test]
    fn orphans_are_parts_of_test_machines_that_are_gone() {
        let machines = ["azimage-test-0123456789-aaaaaaaaaaaa".to_owned()];
        for (name, expected) in [
            ("azimage-test-0123456789-aaaaaaaaaaaa-os", false),
            ("azimage-test-0123456789-aaaaaaaaaaaa", false),
            ("AZIMAGE-TEST-0123456789-BBBBBBBBBBBB-os", true),
            ("azimage-test-0123456789-bbbbbbbbbbbb", true),
            ("azimage-test-mine", false),
            ("azimage-test-0123456789-os", false),
            ("data", false),
        ] {
            assert_eq!(is_orphan(&json!({"name": name}), &machines), expected, "{name}");
        }
    }
}
