//! Writes that lose nothing: what the service accepted is remembered until it is settled, whatever interrupts the run.

use std::time::Duration;

use serde_json::Value as Json;
use tokio::time::Instant;

use super::run_log::Event;
use super::{Context, body, fault};
use crate::arm::{Accepted, Client, Error, Kind, Operation, ResourceId, Scope, Target};
use crate::framework::{Draft, Private};
use crate::schema::{Diagnostic, Diagnostics, Value};

/// Key in private state of the operation that a run did not see end.
const OPERATION: &str = "operation";

/// Remembers an operation, so that a later run can go on waiting for it.
pub fn remember(private: &mut Private, operation: &Operation) {
    private.set(OPERATION, operation);
}

/// Forgets the remembered operation: it is settled.
pub fn forget(private: &mut Private) {
    private.remove(OPERATION);
}

/// How often a parent's deletion is tried while the service still believes in children that are gone: some 90 s, where
/// the service has been seen to need 20.
const PATIENCE: u32 = 24;

/// How long an object may stay unseen after its creation has succeeded, or seen after its deletion has.
const UNSEEN_TOLERATED: Duration = Duration::from_secs(300);

/// What a write came to.
#[derive(Debug)]
pub struct Written {
    /// The object as the service last told it.
    pub body: Json,
    /// How the operation ended, as far as this run saw.
    pub outcome: Outcome,
}

/// How an accepted write ended.
#[derive(Debug)]
pub enum Outcome {
    /// Well.
    Done,
    /// Not yet: the run was interrupted, its time passed, or the service could not be asked any more. The operation's
    /// URL lies in private state.
    Unfinished(Error),
    /// Badly: the object exists, in a failed state.
    Failed(Error),
}

/// Puts `body` at `target`, waits for the operation, and reads the result. An error means that the service did not
/// accept the write, as far as can be known.
pub async fn put(
    client: &Client,
    scope: &Scope,
    target: &Target,
    body: &Json,
    private: &mut Private,
) -> Result<Written, Error> {
    let error = match client.put(scope, target, body).await {
        Ok(accepted) => return Ok(follow(client, scope, target, accepted, private).await),
        Err(error) => error,
    };
    // where an object is, and how it came there, does not tell one write from another
    let mut telling = body.clone();
    body::set(&mut telling, "location", Json::Null);
    match after_lost_answer(client, scope, target, &error).await {
        Some(written) if body::settled(&written.body, &telling) => Ok(written),
        _ => Err(error),
    }
}

/// The same for something new. Nothing was there before, so what is there after an answer that got lost is ours.
pub async fn create(
    client: &Client,
    scope: &Scope,
    target: &Target,
    body: &Json,
    private: &mut Private,
) -> Result<Written, Error> {
    match client.put(scope, target, body).await {
        Ok(accepted) => Ok(follow(client, scope, target, accepted, private).await),
        Err(error) => after_lost_answer(client, scope, target, &error).await.ok_or(error),
    }
}

async fn follow(
    client: &Client,
    scope: &Scope,
    target: &Target,
    accepted: Accepted,
    private: &mut Private,
) -> Written {
    let mut outcome = match accepted.operation {
        Some(operation) => wait(client, scope, operation, private).await,
        None => Outcome::Done,
    };
    if let Outcome::Unfinished(error) = &outcome
        && error.status == Some(404)
    {
        // the service has forgotten the operation: the object itself tells how it stands
        tracing::debug!(id = target.path(), why = %error, "the operation is not known any more");
        forget(private);
        outcome = Outcome::Done;
    }
    read_back(client, scope, target, accepted.body, outcome).await
}

/// What there is after `error` ended a write whose answer got lost on its way: the service may have acted, and nobody
/// would know. `None` when it has not, or when the error says that it refused.
pub async fn after_lost_answer(
    client: &Client,
    scope: &Scope,
    target: &Target,
    error: &Error,
) -> Option<Written> {
    if !error.may_have_acted() && error.kind != Kind::Malformed {
        return None;
    }
    let mut written = match settled(client, scope, target).await {
        Ok(written) => written?,
        // the run is over: one look is still due
        Err(_) => settled(client, &patient(scope), target).await.ok()??,
    };
    tracing::debug!(id = target.path(), why = %error, "the answer got lost, and the object is there");
    if is_broken(&written.body) {
        written.outcome = Outcome::Failed(error.clone());
    }
    Some(written)
}

/// Whether the last operation on the object failed, so that it wants to be written again even if it looks right.
pub fn is_broken(object: &Json) -> bool {
    body::text(object, "properties.provisioningState").as_deref() == Some("Failed")
}

/// Plans an update for what an earlier run left unfinished or broken, so that the next one takes it up.
pub fn take_up(draft: &mut Draft<'_>) {
    let state = draft.prior.get("provisioning_state").as_str();
    if matches!(state, Some("Creating" | "Updating" | "Failed")) {
        draft.planned.set("provisioning_state", Value::Unknown);
    }
}

/// Sends `body` to an action, such as `…/share`, and waits for it.
pub async fn act(client: &Client, scope: &Scope, target: &Target, body: Option<&Json>) -> Result<(), Error> {
    let accepted = client.post(scope, target, body).await?;
    let Some(operation) = accepted.operation else { return Ok(()) };
    match client.wait(scope, &operation).await {
        // the service has forgotten the operation: whoever needs its effect looks for that
        Err(error) if error.status == Some(404) => {
            tracing::warn!(action = target.path(), why = %error, "the action's operation is not known any more");
            Ok(())
        }
        other => other.map(drop),
    }
}

/// Goes on with what an earlier run left unfinished: waits for its operation, then until the object says that it is
/// settled. `None` when the object is gone.
pub async fn resume(
    client: &Client,
    scope: &Scope,
    target: &Target,
    private: &mut Private,
) -> Result<Option<Written>, Error> {
    if let Some(operation) = private.get::<Operation>(OPERATION) {
        match wait(client, scope, operation, private).await {
            Outcome::Done => {}
            Outcome::Failed(error) if !error.is_not_found() => {
                let body = client.get_opt(scope, target).await?;
                return Ok(body.map(|body| Written { body, outcome: Outcome::Failed(error) }));
            }
            // the service forgets operations after a while: then the object itself is asked
            Outcome::Failed(_) => private.remove(OPERATION),
            Outcome::Unfinished(error) if error.is_not_found() => private.remove(OPERATION),
            Outcome::Unfinished(error) => {
                let body = client.get_opt(&patient(scope), target).await?;
                return Ok(body.map(|body| Written { body, outcome: Outcome::Unfinished(error) }));
            }
        }
    }
    settled(client, scope, target).await
}

/// Polls the object at `target` until its provisioning state is final. `None` when it is gone.
pub async fn settled(client: &Client, scope: &Scope, target: &Target) -> Result<Option<Written>, Error> {
    let mut last = Json::Null;
    for wait in waits() {
        match client.get_opt(scope, target).await {
            Ok(None) => return Ok(None),
            Ok(Some(body)) => last = body,
            Err(error) if is_interruption(&error) && !last.is_null() => {
                return Ok(Some(Written { body: last, outcome: Outcome::Unfinished(error) }));
            }
            Err(error) => return Err(error),
        }
        if !is_in_flight(&last) {
            break;
        }
        if let Err(error) = scope.sleep(wait).await {
            return Ok(Some(Written { body: last, outcome: Outcome::Unfinished(error) }));
        }
    }
    Ok(Some(Written { body: last, outcome: Outcome::Done }))
}

/// Deletes what `target` names and waits; fine when it is gone.
pub async fn delete(context: &Context, scope: &Scope, target: &Target) -> Result<(), Error> {
    let client = &context.client;
    let accepted = client.delete(scope, target).await?;
    if let Some(operation) = accepted.operation {
        match client.wait(scope, &operation).await {
            // the service has forgotten the operation: the object itself tells how it stands
            Err(error) if error.status == Some(404) => match settled(client, scope, target).await? {
                None => {}
                Some(_) => return Err(error),
            },
            other => drop(other?),
        }
    }
    context.run.record(target.path(), Event::Deleted);
    Ok(())
}

/// Fails when `children` lists anything that would be lost with its parent.
pub async fn refuse_with_children(
    client: &Client,
    scope: &Scope,
    id: &ResourceId,
    children: &Target,
    child_noun: &str,
) -> Result<(), Diagnostics> {
    let left = remaining(client, scope, children)
        .await
        .map_err(|error| fault::diagnostic(&error, scope.what(), &id.to_string()))?;
    if left.is_empty() { Ok(()) } else { Err(still_holds(scope, child_noun, &left, &id.to_string()).into()) }
}

/// Deletes a parent. Just after its last child went, the service still believes in the child for some seconds: that
/// conflict is retried. Children that really remain are named by the error. `children` lists them.
pub async fn delete_parent(
    context: &Context,
    scope: &Scope,
    target: &Target,
    children: &Target,
    child_noun: &str,
) -> Result<(), Diagnostics> {
    let id = target.path().to_owned();
    let mut patience = 0;
    for wait in waits() {
        let error = match delete(context, scope, target).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if !is_nested(&error) {
            return Err(fault::diagnostic(&error, scope.what(), &id).into());
        }
        let left = remaining(&context.client, scope, children)
            .await
            .map_err(|error| fault::diagnostic(&error, scope.what(), &id))?;
        if !left.is_empty() {
            return Err(still_holds(scope, child_noun, &left, &id).into());
        }
        patience += 1;
        if patience > PATIENCE {
            return Err(fault::diagnostic(&error, scope.what(), &id).into());
        }
        scope.sleep(wait).await.map_err(|error| fault::diagnostic(&error, scope.what(), &id))?;
    }
    Ok(())
}

/// The object that already stands where one is to be created: an error with a ready import block, unless it is still
/// coming to be, which is what a killed run leaves behind: then its body, for the caller to join when it is the same.
/// What is going is waited for, and so is what this run has deleted and the service still shows.
pub async fn existing(
    context: &Context,
    scope: &Scope,
    target: &Target,
    noun: &str,
    type_name: &str,
) -> Result<Option<Json>, Diagnostics> {
    let id = target.path();
    let failed = |error: Error| Diagnostics::from(fault::diagnostic(&error, scope.what(), id));
    let begun = Instant::now();
    for wait in waits() {
        let Some(body) = context.client.get_opt(scope, target).await.map_err(failed)? else { break };
        let going = match body::text(&body, "properties.provisioningState").as_deref() {
            Some("Creating") => return Ok(Some(body)),
            Some("Deleting") => true,
            _ => context.run.has(id, Event::Deleted) && begun.elapsed() < UNSEEN_TOLERATED,
        };
        if !going {
            return Err(already_exists(id, noun, type_name).into());
        }
        scope.sleep(wait).await.map_err(failed)?;
    }
    Ok(None)
}

/// Tells that something exists which this state does not know, and how to take it over.
pub fn already_exists(id: &str, noun: &str, type_name: &str) -> Diagnostic {
    let name = ResourceId::parse(id).map(|id| id.name().to_owned()).unwrap_or_default();
    Diagnostic::error(
        format!("{} {name:?} already exists", fault::capital(noun)),
        format!(
            "It is not in this state, so it is left alone. To manage it here, import it and apply again (put the \
             resource's own address after \"to\"):\n\n  import {{\n    to = {type_name}.{}\n    id = \"{id}\"\n  }}\n",
            label(&name)
        ),
    )
}

/// The warning that goes with something accepted but not finished.
pub fn unfinished(noun: &str, id: &str, error: &Error, progress: &str) -> Diagnostic {
    let why = match error.kind {
        Kind::Stopped => "the run was interrupted".to_owned(),
        _ => error.to_string(),
    };
    Diagnostic::warning(
        format!("{} is not finished yet", fault::capital(noun)),
        format!(
            "The service accepted it and goes on by itself; this run did not see the end: {why}.{progress}\n\n\
             It is kept in the state. The next plan shows what is unfinished, and the next apply goes on waiting.\n\n{id}"
        ),
    )
}

/// Whether the service is still at work on the object.
pub fn is_in_flight(object: &Json) -> bool {
    matches!(
        body::text(object, "properties.provisioningState").as_deref(),
        Some("Creating" | "Updating" | "Deleting" | "Migrating")
    )
}

async fn wait(client: &Client, scope: &Scope, operation: Operation, private: &mut Private) -> Outcome {
    private.set(OPERATION, &operation);
    match client.wait(scope, &operation).await {
        Ok(_) => {
            private.remove(OPERATION);
            Outcome::Done
        }
        Err(error) if error.kind == Kind::Operation => {
            private.remove(OPERATION);
            Outcome::Failed(error)
        }
        Err(error) => Outcome::Unfinished(error),
    }
}

// The object after a write. It exists: whatever keeps us from reading it makes the write unfinished, not failed.
async fn read_back(
    client: &Client,
    scope: &Scope,
    target: &Target,
    accepted: Json,
    outcome: Outcome,
) -> Written {
    let scope = if matches!(outcome, Outcome::Done) { scope.clone() } else { patient(scope) };
    let begun = Instant::now();
    for wait in waits() {
        match client.get_opt(&scope, target).await {
            // it says itself that it is not finished, whatever its operation said
            Ok(Some(body)) if matches!(outcome, Outcome::Done) && is_in_flight(&body) => {
                if let Err(error) = scope.sleep(wait).await {
                    return Written { body, outcome: Outcome::Unfinished(error) };
                }
            }
            Ok(Some(body)) => return Written { body, outcome },
            // shortly after a create the service may not see its own object
            Ok(None) if begun.elapsed() < UNSEEN_TOLERATED => {
                if let Err(error) = scope.sleep(wait).await {
                    return unread(accepted, outcome, error);
                }
            }
            Ok(None) => {
                let mut error = Error::new(
                    Kind::Malformed,
                    format!(
                        "the service said that it was done, and has not shown the object for {} minutes",
                        UNSEEN_TOLERATED.as_secs() / 60
                    ),
                );
                error.elapsed = begun.elapsed();
                return unread(accepted, outcome, error);
            }
            Err(error) => return unread(accepted, outcome, error),
        }
    }
    Written { body: accepted, outcome }
}

fn unread(body: Json, outcome: Outcome, error: Error) -> Written {
    let outcome = match outcome {
        Outcome::Done => Outcome::Unfinished(error),
        other => other,
    };
    Written { body, outcome }
}

/// The frame of a last short look, after the time of `scope` has passed or the user has called a halt.
pub fn patient(scope: &Scope) -> Scope {
    Scope::new(Duration::from_secs(5), Default::default(), scope.what())
}

async fn remaining(client: &Client, scope: &Scope, children: &Target) -> Result<Vec<String>, Error> {
    let mut ids = Vec::new();
    for child in client.list(scope, children).await? {
        let (Some(id), Some(name)) = (body::text(&child, "id"), body::text(&child, "name")) else {
            continue;
        };
        // lists lag behind too: what a GET does not find is gone, what is being deleted is going
        let target = Target::new(format!("{}/{name}", children.path()), children.api_version());
        match client.get_opt(scope, &target).await? {
            Some(found)
                if body::text(&found, "properties.provisioningState").as_deref() != Some("Deleting") =>
            {
                ids.push(id);
            }
            _ => {}
        }
    }
    Ok(ids)
}

fn still_holds(scope: &Scope, child_noun: &str, left: &[String], id: &str) -> Diagnostic {
    Diagnostic::error(
        format!("{} failed: it still holds {} {child_noun}", fault::capital(scope.what()), left.len()),
        format!(
            "These are not in this state, or are kept by deletion_policy = \"retain\", and would be lost with it:\n\n  {}\n\n\
             Delete them, or import them into this state, and apply again. To forget the parent without \
             deleting it: terraform state rm.\n\n{id}",
            left.join("\n  ")
        ),
    )
}

fn is_nested(error: &Error) -> bool {
    error.is_conflict()
        && (error.code == "CannotDeleteResource" || error.message.to_lowercase().contains("nested resource"))
}

fn is_interruption(error: &Error) -> bool {
    matches!(error.kind, Kind::Stopped | Kind::TimedOut | Kind::Transport { .. })
}

/// How long to wait between looks: 0.2 s, growing to 5 s. The scope ends it.
pub fn waits() -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(Duration::from_millis(200)), |wait| {
        Some((*wait * 3 / 2).min(Duration::from_secs(5)))
    })
}

// A name that HCL takes as a resource's label.
fn label(name: &str) -> String {
    let label: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    if label.starts_with(|c: char| c.is_ascii_alphabetic()) { label } else { format!("this_{label}") }
}
