//! Deletes objects, and parents whose deleted children the service still counts for a while.

use serde_json::Value as Json;
use tokio::time::Instant;

use super::write::{INVISIBLE_TOLERATED, Task};
use crate::arm::{Client, Error, Kind, Scope, Target};
use crate::azure::provisioning::{is_deleting, is_failed, pauses};
use crate::azure::run_log::Event;
use crate::azure::{Context, body, fault};
use crate::schema::{Diagnostic, Diagnostics};

/// How often the deletion of a parent is repeated while the service still counts deleted children: for about 90 s,
/// although 20 s were observed.
const ATTEMPTS: usize = 25;

/// Deletes the object at `target` and waits until it no longer exists. Succeeds if it does not exist.
pub async fn remove(context: &Context, scope: &Scope, target: &Target) -> Result<(), Error> {
    let client = &context.client;
    context.run.forget(target.path());
    let accepted = client.delete(scope, target).await?;
    if let Some(operation) = accepted.operation {
        match client.wait(scope, &operation).await {
            Ok(_) => {}
            Err(error) if error.is_stopped() || error.is_timed_out() || error.kind == Kind::Operation => {
                return Err(error);
            }
            // the operation's URL cannot be read, so read the object
            Err(error) => wait_until_gone(client, scope, target, error).await?,
        }
    }
    context.run.record(target.path(), Event::Deleted);
    Ok(())
}

async fn wait_until_gone(client: &Client, scope: &Scope, target: &Target, error: Error) -> Result<(), Error> {
    let begun = Instant::now();
    // a GET has no options such as bypassSoftDelete
    let target = Target::at(target.path());
    for pause in pauses() {
        match client.get_opt(scope, &target).await {
            Ok(None) => return Ok(()),
            Ok(Some(object)) if is_failed(&object) => return Err(error),
            // the service may still return a deleted object for a while
            Ok(Some(object)) if !is_deleting(&object) && begun.elapsed() > INVISIBLE_TOLERATED => {
                return Err(error);
            }
            Ok(Some(_)) => {}
            Err(_) if begun.elapsed() < INVISIBLE_TOLERATED && scope.check().is_ok() => {}
            Err(_) => return Err(error),
        }
        scope.sleep(pause).await?;
    }
    Ok(())
}

/// Where the children are listed, and their name in messages ("image version").
pub type Children = (Target, &'static str);

/// Fails if one of the lists contains an object that would be lost with its parent.
pub async fn refuse_with_children(task: &Task<'_>, lists: &[Children]) -> Result<(), Diagnostics> {
    let (mut counts, mut ids) = (Vec::new(), Vec::new());
    for (list, noun) in lists {
        let left = remaining(task, list).await.map_err(|error| task.failed(&error))?;
        if !left.is_empty() {
            let plural = if left.len() == 1 { "" } else { "s" };
            counts.push(format!("{} {noun}{plural}", left.len()));
            ids.extend(left);
        }
    }
    if ids.is_empty() { Ok(()) } else { Err(still_contains(task, &counts.join(" and "), &ids).into()) }
}

/// Deletes a parent. For some seconds after the deletion of its last child, the service still counts the child; that
/// conflict is retried. Children that really remain in one of the lists are named in the error.
pub async fn delete_parent(task: &Task<'_>, target: &Target, lists: &[Children]) -> Result<(), Diagnostics> {
    let mut last = None;
    for pause in pauses().take(ATTEMPTS) {
        let error = match remove(task.context, &task.scope, target).await {
            Ok(()) => return Ok(()),
            Err(error) if is_nested(&error) => error,
            Err(error) => return Err(task.failed(&error).into()),
        };
        refuse_with_children(task, lists).await?;
        last = Some(error);
        task.scope.sleep(pause).await.map_err(|error| task.failed(&error))?;
    }
    match last {
        Some(error) => Err(task.failed(&error).into()),
        None => Ok(()),
    }
}

async fn remaining(task: &Task<'_>, children: &Target) -> Result<Vec<String>, Error> {
    let (client, scope) = (task.client(), &task.scope);
    let mut ids = Vec::new();
    let listed = match client.list(scope, children).await {
        Err(error) if error.is_not_found() => Vec::new(),
        listed => listed?,
    };
    for child in listed {
        let (Some(id), Some(name)) = (body::text(&child, "id"), body::text(&child, "name")) else {
            continue;
        };
        // lists are outdated too, so a GET shows whether the child exists
        let target = Target::at(format!("{}/{name}", children.path()));
        if client.get_opt(scope, &target).await?.is_some_and(|found: Json| !is_deleting(&found)) {
            ids.push(id);
        }
    }
    Ok(ids)
}

fn still_contains(task: &Task<'_>, what: &str, left: &[String]) -> Diagnostic {
    Diagnostic::error(
        format!("{} failed: it still contains {what}", fault::capital(task.scope.what())),
        format!(
            "These are not in this state, or are kept by deletion_policy = \"retain\", and would be lost with it:\n\n  {}\n\n\
             Delete them, or import them into this state, and apply again. To forget the parent without \
             deleting it: terraform state rm.\n\n{}",
            left.join("\n  "),
            task.id
        ),
    )
}

fn is_nested(error: &Error) -> bool {
    error.is_conflict()
        && (error.code == "CannotDeleteResource" || error.message.to_lowercase().contains("nested resource"))
}
