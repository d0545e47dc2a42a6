//! One write of one object: sends it, stores its operation, waits for it and reads the object back.

use std::time::Duration;

use serde_json::Value as Json;
use tokio::time::Instant;

use crate::arm::{Accepted, Client, Error, Kind, Operation, ResourceId, Scope, Target};
use crate::azure::context::{self, Context};
use crate::azure::provisioning::{Provisioning, is_failed, is_in_flight, pauses};
use crate::azure::replication::{self, Replication, Unready, Wanted};
use crate::azure::{body, fault};
use crate::framework::{Op, Private};
use crate::schema::Diagnostic;

/// The key in private state of an operation whose end has not been seen.
const OPERATION: &str = "operation";

/// How long an object may stay invisible after the service reported its creation.
pub const INVISIBLE_TOLERATED: Duration = Duration::from_secs(300);

/// How long reads of the object may fail during a wait.
const OUTAGE_TOLERATED: Duration = Duration::from_secs(300);

/// How often an object is read after the response to its creation was lost.
const LOOKS_AFTER_LOST_ANSWER: usize = 4;

/// How often a difference is sent again after its response was lost.
const DIFFERENCE_REPEATED: usize = 6;

/// The operation on an object, with its limits.
pub struct Task<'a> {
    /// The configured provider.
    pub context: &'a Context,
    /// The framework's operation: time limit, interrupt and warnings.
    pub op: &'a Op,
    /// The client's scope, with the name of the operation: `creating image version "1.0.0" of "i"`.
    pub scope: Scope,
    /// The object.
    pub id: ResourceId,
    /// Converts the error of a failed call to a diagnostic.
    diagnose: fn(&Error, &str, &str) -> Diagnostic,
}

impl<'a> Task<'a> {
    /// A task that does `what` to `id`, and converts errors with `diagnose` (of the error, `what` and the ID).
    pub fn new(
        context: &'a Context,
        op: &'a Op,
        what: impl Into<String>,
        id: ResourceId,
        diagnose: fn(&Error, &str, &str) -> Diagnostic,
    ) -> Task<'a> {
        Task { context, op, scope: context::scope(op, what), id, diagnose }
    }

    /// The client.
    pub fn client(&self) -> &'a Client {
        &self.context.client
    }

    /// The diagnostic for a failed call.
    pub fn failed(&self, error: &Error) -> Diagnostic {
        (self.diagnose)(error, self.scope.what(), &self.id.to_string())
    }
}

/// How long to wait after the service has accepted a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitUntil {
    /// Not at all.
    Accepted,
    /// Until this region, the image version's home region, has its replicas.
    Home(String),
    /// Until every target region has its replicas.
    AllRegions,
    /// Until the provisioning state is final.
    Final,
}

/// A request that changes an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Replaces the object.
    Put(Json),
    /// Changes the members in the body.
    Patch(Json),
    /// Replaces the object with the first body. If the service refuses that, changes the members in the second.
    PutOrPatch(Json, Json),
    /// Changes the members in the body, which are those that differ. An empty one changes nothing.
    Difference(Json),
}

impl Change {
    /// The body to send.
    pub fn body(&self) -> &Json {
        match self {
            Change::Put(body)
            | Change::Patch(body)
            | Change::PutOrPatch(body, _)
            | Change::Difference(body) => body,
        }
    }

    /// Whether `object` needs no write.
    pub fn is_up_to_date(&self, object: &Json) -> bool {
        match self {
            Change::Difference(body) => body.as_object().is_none_or(serde_json::Map::is_empty),
            change => body::is_up_to_date(object, change.body()),
        }
    }
}

/// The result of a write.
#[derive(Debug)]
pub struct Ended {
    /// The object as the service last returned it, or the sent body if it could not be read.
    pub body: Json,
    /// The outcome, as far as this run knows it.
    pub outcome: Outcome,
}

/// The outcome of an accepted write.
#[derive(Debug)]
pub enum Outcome {
    /// It succeeded, as far as the wait requires.
    Done,
    /// It is unfinished: the wait was interrupted or timed out, or the service could not be reached.
    Unfinished(Error),
    /// Replication failed in some regions; the object itself is usable.
    RegionsFailed(Diagnostic),
    /// The object exists in a failed state, or does not appear.
    Failed(Diagnostic),
    /// The response was lost and the object could not be read, so it may exist.
    Unknown(Error),
}

/// Why a write could not begin.
#[derive(Debug)]
pub struct NotBegun {
    /// The first error.
    pub error: Error,
    /// Whether the service may have accepted the request nevertheless.
    pub may_exist: bool,
}

/// The writes to one object.
pub struct Write<'t, 'a> {
    task: &'t Task<'a>,
    target: Target,
    // the same, with the query options for reads
    read: Target,
    private: &'t mut Private,
}

/// Removes a stored operation once the object shows that it has ended.
pub fn forget_if_final(private: &mut Private, object: &Json) {
    if !is_in_flight(object) {
        private.remove(OPERATION);
    }
}

/// The scope of a last short read after the timeout of `scope` or an interrupt.
pub fn final_read_scope(scope: &Scope) -> Scope {
    scope.for_final_read()
}

impl<'t, 'a> Write<'t, 'a> {
    /// The writes of `task` to `target`, which is read back as `read`.
    pub fn new(task: &'t Task<'a>, target: Target, read: Target, private: &'t mut Private) -> Self {
        Write { task, target, read, private }
    }

    /// Reads the object; `None` if it does not exist. A final state removes the stored operation.
    pub async fn look(&mut self) -> Result<Option<Json>, Error> {
        let found = self.task.client().get_opt(&self.task.scope, &self.read).await?;
        forget_if_final(self.private, found.as_ref().unwrap_or(&Json::Null));
        Ok(found)
    }

    /// Sends `change` and stores the operation in the response. `prior` is the previous object, `None` for a
    /// creation. Returns the resulting body.
    pub async fn begin(&mut self, change: &Change, prior: Option<&Json>) -> Result<Json, NotBegun> {
        let (client, scope) = (self.task.client(), &self.task.scope);
        self.private.remove(OPERATION);
        let target = &self.target;
        let sent = match change {
            Change::Put(body) => client.put(scope, target, body).await,
            Change::Patch(body) | Change::Difference(body) => client.patch(scope, target, body).await,
            Change::PutOrPatch(body, part) => match client.put(scope, target, body).await {
                Err(refused) if matches!(refused.status, Some(400 | 404 | 409)) => {
                    tracing::debug!(%refused, "the whole object is refused; sending the change alone");
                    client.patch(scope, target, part).await.map_err(|_| refused)
                }
                other => other,
            },
        };
        self.task.context.run.forget(self.target.path());
        let error = match sent {
            Ok(accepted) => return Ok(self.accept(accepted, change)),
            Err(error) => error,
        };
        if !may_have_acted(&error) {
            return Err(NotBegun { error, may_exist: false });
        }
        match prior {
            None => self.look_after_lost_creation(error).await,
            Some(prior) if matches!(change, Change::Difference(_)) => {
                self.repeat_difference(change, prior, error).await
            }
            Some(_) => self.look_after_lost_update(change, error).await,
        }
    }

    fn accept(&mut self, accepted: Accepted, change: &Change) -> Json {
        if let Some(operation) = &accepted.operation {
            self.private.set(OPERATION, operation);
        }
        if accepted.body.is_object() { accepted.body } else { change.body().clone() }
    }

    // Repeating the same difference has the same effect.
    async fn repeat_difference(
        &mut self,
        change: &Change,
        prior: &Json,
        error: Error,
    ) -> Result<Json, NotBegun> {
        for pause in pauses().take(DIFFERENCE_REPEATED) {
            match self.task.client().get_opt(&self.usable_scope(), &self.read).await {
                Ok(Some(body)) if is_in_flight(&body) || has_changed(&body, prior, change.body()) => {
                    return Ok(body);
                }
                Ok(Some(_)) if self.task.scope.sleep(pause).await.is_ok() => {}
                _ => break,
            }
            match self.task.client().patch(&self.task.scope, &self.target, change.body()).await {
                Ok(accepted) => return Ok(self.accept(accepted, change)),
                Err(again) if may_have_acted(&again) => {}
                Err(refused) => return Err(NotBegun { error: refused, may_exist: false }),
            }
        }
        Err(NotBegun { error, may_exist: true })
    }

    // The object did not exist before, so an existing object is the one that was sent.
    async fn look_after_lost_creation(&mut self, error: Error) -> Result<Json, NotBegun> {
        let scope = self.usable_scope();
        for pause in pauses().take(LOOKS_AFTER_LOST_ANSWER) {
            match self.task.client().get_opt(&scope, &self.read).await {
                Ok(Some(body)) => return Ok(body),
                Ok(None) if scope.sleep(pause).await.is_ok() => {}
                Ok(None) => break,
                Err(why) => {
                    tracing::debug!(%why, "it is unknown whether the object was created");
                    return Err(NotBegun { error, may_exist: true });
                }
            }
        }
        Err(NotBegun { error, may_exist: false })
    }

    // The object existed before: the service has acted if it equals the sent body.
    async fn look_after_lost_update(&mut self, change: &Change, error: Error) -> Result<Json, NotBegun> {
        let scope = self.usable_scope();
        let mut wanted = change.body().clone();
        // the region cannot change, so it proves nothing
        body::set(&mut wanted, "location", Json::Null);
        for pause in pauses() {
            match self.task.client().get_opt(&scope, &self.read).await {
                Ok(Some(body)) if body::is_up_to_date(&body, &wanted) => return Ok(body),
                Ok(Some(body)) if is_in_flight(&body) && scope.sleep(pause).await.is_ok() => {}
                _ => break,
            }
        }
        Err(NotBegun { error, may_exist: true })
    }

    // The scope, or that of a last read after its timeout.
    fn usable_scope(&self) -> Scope {
        match self.task.scope.check() {
            Ok(()) => self.task.scope.clone(),
            Err(_) => final_read_scope(&self.task.scope),
        }
    }

    /// Waits for the operation, starting with the object in `body`, and reads the object back.
    pub async fn wait(&mut self, until: &WaitUntil, body: Json) -> Ended {
        let ended = match until {
            WaitUntil::Accepted => {
                let seen = self.task.client().get_opt(&self.task.scope, &self.read).await;
                let body = seen.ok().flatten().unwrap_or(body);
                if is_failed(&body) { self.wait_until_final(body).await } else { done(body) }
            }
            WaitUntil::Final => self.wait_until_final(body).await,
            WaitUntil::AllRegions => match self.wait_until_final(body).await {
                Ended { body, outcome: Outcome::Done } => self.wait_for_regions(&Wanted::All, body).await,
                ended => ended,
            },
            WaitUntil::Home(region) => {
                let wanted = Wanted::Regions(vec![region.clone()]);
                match self.poll(body, |_| true).await {
                    Ended { body, outcome: Outcome::Done } => self.wait_for_regions(&wanted, body).await,
                    // the operation contains the reason
                    Ended { body, .. } if is_failed(&body) => self.wait_until_final(body).await,
                    ended => ended,
                }
            }
        };
        // a body without an ID is the request's own
        if body::text(&ended.body, "id").is_some() {
            forget_if_final(self.private, &ended.body);
        }
        ended
    }

    async fn wait_until_final(&mut self, body: Json) -> Ended {
        let mut failure = None;
        if let Some(operation) = self.private.get::<Operation>(OPERATION) {
            match self.task.client().wait(&self.task.scope, &operation).await {
                Ok(_) => {}
                Err(error) if error.is_stopped() || error.is_timed_out() => {
                    return self.interrupted(body, error).await;
                }
                Err(error) if error.kind == Kind::Operation => failure = Some(error),
                Err(error) => {
                    tracing::debug!(id = self.target.path(), why = %error, "polling the object, not its operation");
                }
            }
            self.private.remove(OPERATION);
        }
        match failure {
            None => self.poll(body, |object| !is_in_flight(object)).await,
            // the operation contains the reason; the object shows only that it failed
            Some(error) => {
                let seen = self.task.client().get_opt(&self.usable_scope(), &self.read).await;
                let body = seen.ok().flatten().unwrap_or(body);
                let diagnostic = self.task.failed(&error);
                let outcome = match replication::home_is_complete(&body) {
                    true => Outcome::RegionsFailed(diagnostic),
                    false => Outcome::Failed(diagnostic),
                };
                Ended { body, outcome }
            }
        }
    }

    // Reads the object until `enough` of it exists.
    async fn poll(&mut self, body: Json, enough: fn(&Json) -> bool) -> Ended {
        let begun = Instant::now();
        let (mut last, mut seen) = (body, false);
        let mut outage: Option<(Instant, Error)> = None;
        for pause in pauses() {
            match self.task.client().get_opt(&self.task.scope, &self.read).await {
                Ok(Some(body)) => {
                    (last, seen, outage) = (body, true, None);
                    if enough(&last) {
                        return self.judged(last);
                    }
                }
                // shortly after a creation, the service may not find its own object
                Ok(None) if begun.elapsed() < INVISIBLE_TOLERATED && !seen => {}
                Ok(None) => {
                    return Ended { outcome: Outcome::Failed(self.invisible(seen)), body: last };
                }
                Err(error) if error.is_stopped() || error.is_timed_out() => {
                    return self.interrupted(last, error).await;
                }
                Err(error) => {
                    let (since, first) = outage.get_or_insert((Instant::now(), error));
                    if since.elapsed() > OUTAGE_TOLERATED {
                        return Ended { body: last, outcome: Outcome::Unfinished(first.clone()) };
                    }
                }
            }
            if let Err(error) = self.task.scope.sleep(pause).await {
                let first = outage.map_or(error, |(_, first)| first);
                return self.interrupted(last, first).await;
            }
        }
        Ended { body: last, outcome: Outcome::Done }
    }

    // The outcome that a final object shows.
    fn judged(&self, body: Json) -> Ended {
        if Provisioning::of(&body) != Provisioning::Failed {
            return Ended { body, outcome: Outcome::Done };
        }
        let state = body::text(&body, "properties.provisioningState").unwrap_or_default();
        let mut why = format!("the operation ended and left the object in state {state:?}");
        if let Some(reason) = body::text(&body, "properties.provisioningError.message") {
            why = format!("{why}: {reason}");
        }
        let diagnostic = self.task.failed(&Error::new(Kind::Operation, why));
        let outcome = if replication::home_is_complete(&body) {
            Outcome::RegionsFailed(diagnostic)
        } else {
            Outcome::Failed(diagnostic)
        };
        Ended { body, outcome }
    }

    fn invisible(&self, seen: bool) -> Diagnostic {
        let what = self.task.scope.what();
        let why = if seen {
            "The object was there and has disappeared: somebody deleted it meanwhile.".to_owned()
        } else {
            let minutes = INVISIBLE_TOLERATED.as_secs() / 60;
            format!("The service said that it was done and has not shown the object for {minutes} minutes.")
        };
        Diagnostic::error(
            format!("{}: the object does not appear", fault::capital(what)),
            format!(
                "{why} It is kept in the state. The next plan reads it again, and creates it when it is not there.\n\n{}",
                self.task.id
            ),
        )
    }

    // The wait ended early. A last read shows the object, if possible; the first error remains the reason.
    async fn interrupted(&mut self, body: Json, error: Error) -> Ended {
        let seen = self.task.client().get_opt(&final_read_scope(&self.task.scope), &self.read).await;
        match seen {
            Ok(Some(seen)) if Provisioning::of(&seen) == Provisioning::Failed => self.judged(seen),
            Ok(Some(seen)) => Ended { body: seen, outcome: Outcome::Unfinished(error) },
            _ => Ended { body, outcome: Outcome::Unfinished(error) },
        }
    }

    async fn wait_for_regions(&mut self, wanted: &Wanted, body: Json) -> Ended {
        let replication = Replication::parse(&body);
        // a finished object without a replication status will not get one
        let silent = *wanted == Wanted::All && !replication.reported && !is_in_flight(&body);
        if silent || replication.has_reached(wanted, is_in_flight(&body)) {
            return done(body);
        }
        let task = self.task;
        match replication::wait_until(task.client(), &task.scope, &self.target, wanted).await {
            Ok(look) => Ended { body: look.body, outcome: Outcome::Done },
            Err(Unready::Interrupted(error, look)) => {
                let body = look.map_or(body, |look| look.body);
                Ended { body, outcome: Outcome::Unfinished(*error) }
            }
            Err(Unready::Gone) => Ended { body, outcome: Outcome::Failed(self.invisible(true)) },
            Err(unready) => {
                let diagnostic = unready.diagnostic(task.scope.what(), &task.id.to_string());
                let body = unready.snapshot().map_or(body, |snapshot| snapshot.body.clone());
                let outcome = match unready {
                    Unready::Failed(..) => Outcome::RegionsFailed(diagnostic),
                    _ => Outcome::Failed(diagnostic),
                };
                Ended { body, outcome }
            }
        }
    }
}

// Whether every member of `difference`, including those below properties, has changed.
fn has_changed(now: &Json, prior: &Json, difference: &Json) -> bool {
    let Json::Object(members) = difference else { return false };
    members.iter().all(|(name, difference)| {
        let (now, prior) = (now.get(name), prior.get(name));
        match (name.as_str(), now, prior) {
            ("properties", Some(now), Some(prior)) => has_changed(now, prior, difference),
            _ => now != prior,
        }
    })
}

fn done(body: Json) -> Ended {
    Ended { body, outcome: Outcome::Done }
}

// Whether the service may have carried out a request that ended with `error`. An HTML error page comes from a proxy
// or gateway, whatever its status, so it does not show whether the service acted.
fn may_have_acted(error: &Error) -> bool {
    error.may_have_acted() || error.kind == Kind::Malformed || error.status.is_some() && error.code.is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_is_applied_once_every_member_has_changed() {
        let object = |tags: &str, size: &str| json!({"tags": {"a": tags}, "properties": {"vmProfile": {"vmSize": size}, "x": 1}});
        let prior = object("1", "small");
        let both = json!({"tags": {"a": "2"}, "properties": {"vmProfile": {"vmSize": "large"}}});
        let size = json!({"properties": {"vmProfile": {"vmSize": "large"}}});
        for (now, difference, expected) in [
            (object("2", "large"), &both, true),
            (object("2", "small"), &both, false),
            (object("1", "large"), &both, false),
            (object("1", "large"), &size, true),
            (prior.clone(), &size, false),
        ] {
            assert_eq!(has_changed(&now, &prior, difference), expected, "{now} {difference}");
        }
        assert!(Change::Difference(json!({})).is_up_to_date(&prior));
        assert!(!Change::Difference(size).is_up_to_date(&prior));
    }
}
