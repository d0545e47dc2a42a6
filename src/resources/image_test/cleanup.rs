//! Removing test machines with their disks and network interfaces: this run's, those of killed runs, and those whose time is over.

use std::time::Duration;

use serde_json::Value as Json;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::machine::{TAG, UNTIL_TAG};
use crate::arm::id::VIRTUAL_MACHINE;
use crate::arm::{Error, ResourceId, Scope, Target};
use crate::azure::attributes::instant;
use crate::azure::pipeline::{Task, remove};
use crate::azure::{Context, body, fault, tags};
use crate::framework::Op;
use crate::schema::Diagnostic;

/// How long removing a machine may take, whatever time the test has left.
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

/// Removes what earlier tests have left in the machine's resource group: the machine of this very test, which a killed run
/// has left or a failed one has kept, and the machines of any test whose time is over.
pub async fn remove_leftovers(
    context: &Context,
    op: &Op,
    scope: &Scope,
    own: &ResourceId,
) -> Result<(), Diagnostic> {
    let failed = |error: &Error| fault::diagnostic(error, "looking for leftovers of tests", &own.to_string());
    let target = Target::at(own.to_string());
    let found = context.client.get_opt(scope, &target).await.map_err(|error| failed(&error))?;
    if let Some(machine) = &found
        && !is_of_a_test(machine)
    {
        return Err(Diagnostic::error(
            format!("A virtual machine {:?} exists already", own.name()),
            format!(
                "It does not carry the tag {TAG}, so this provider has not made it, and does not delete it.\n\n{own}"
            ),
        ));
    }
    let now = OffsetDateTime::now_utc();
    let listed = match own.parent() {
        Some(group) => {
            context.client.list(scope, &Target::at(format!("{group}/providers/{VIRTUAL_MACHINE}"))).await
        }
        None => Ok(Vec::new()),
    };
    // Who may not list machines still tests.
    let listed = listed.unwrap_or_else(|error| {
        tracing::debug!(%error, "the machines of the resource group cannot be listed");
        Vec::new()
    });
    let expired = listed.iter().filter(|machine| is_expired(machine, now));
    let mut leftovers: Vec<ResourceId> = expired
        .filter_map(|machine| ResourceId::parse_as(&body::text(machine, "id")?, VIRTUAL_MACHINE).ok())
        .filter(|id| id.key() != own.key())
        .collect();
    // Also without the machine: its disk and network interface may have outlived it.
    leftovers.push(own.clone());
    for id in leftovers {
        if found.is_some() || id.key() != own.key() {
            tracing::info!(%id, "removing the leftover of an earlier test");
        }
        let _guard = if id.key() == own.key() { None } else { Some(context.lock(&id.to_string()).await) };
        remove_machine(context, op, scope, &id).await?;
    }
    Ok(())
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

/// The IDs of the objects of `kind` whose names begin with the machine's.
async fn parts(task: &Task<'_>, kind: &str) -> Result<Vec<String>, Error> {
    let Some(group) = task.id.parent() else { return Ok(Vec::new()) };
    let listed = task.client().list(&task.scope, &Target::at(format!("{group}/providers/{kind}"))).await;
    let listed = match listed {
        // Who may not see network interfaces relies on their deletion with the machine.
        Err(error) if matches!(error.status, Some(403 | 404)) => Vec::new(),
        listed => listed?,
    };
    let start = format!("{}-", task.id.name()).to_lowercase();
    let belongs = |object: &&Json| {
        body::text(object, "name").is_some_and(|name| name.to_lowercase().starts_with(&start))
    };
    Ok(listed.iter().filter(belongs).filter_map(|object| body::text(object, "id")).collect())
}

fn tag(machine: &Json, name: &str) -> Option<String> {
    let all = tags::all(machine);
    all.into_iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn is_of_a_test(machine: &Json) -> bool {
    tag(machine, TAG).is_some()
}

fn is_expired(machine: &Json, now: OffsetDateTime) -> bool {
    is_of_a_test(machine)
        && tag(machine, UNTIL_TAG).and_then(|until| instant(&until)).is_some_and(|until| until < now)
}

fn not_removed(error: &Error, doing: &str, id: &ResourceId) -> Diagnostic {
    let told = fault::diagnostic(error, doing, &id.to_string());
    Diagnostic::error(
        "The test machine could not be deleted",
        format!(
            "{}\n\nIt costs money until it is gone. The next apply or destroy of this test tries again; otherwise delete it and the disks and network interfaces whose names begin with {:?} by hand.",
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
    fn only_machines_of_tests_whose_time_is_over_are_leftovers_of_others() {
        let now = datetime!(2026-11-02 12:00:00 UTC);
        for (tags, expired) in [
            (json!({"azimage-test": "g/i/1.0.0", "azimage-test-until": "2026-11-02T11:59:59Z"}), true),
            (json!({"AZIMAGE-TEST": "g/i/1.0.0", "Azimage-Test-Until": "2026-11-02T11:59:59Z"}), true),
            (json!({"azimage-test": "g/i/1.0.0", "azimage-test-until": "2026-11-02T12:00:01Z"}), false),
            (json!({"azimage-test": "g/i/1.0.0"}), false),
            (json!({"azimage-test-until": "2026-11-02T11:59:59Z"}), false),
            (json!({"azimage-test": "x", "azimage-test-until": "soon"}), false),
        ] {
            assert_eq!(is_expired(&json!({"tags": tags}), now), expired, "{tags}");
        }
    }
}
