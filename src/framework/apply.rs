//! Applying a planned change: the new state contains every planned value that was known.

use super::enforce_plan::enforce_plan;
use super::import::complete;
use super::provider::{Entry, Provider, Server};
use super::run_ids::PLANNED_FROM;
use super::spelling::{NullAndEmpty, keep_prior_spelling};
use super::{Call, Op, Private};
use crate::schema::{Body, Diagnostic, Diagnostics, Path, Value};

/// An applied change.
pub struct Applied {
    /// The object that exists now; null when there is none.
    pub state: Value,
    /// Its identity.
    pub identity: Value,
    /// Its private state.
    pub private: Private,
    /// Errors and warnings.
    pub diagnostics: Diagnostics,
}

impl<P: Provider> Server<P> {
    /// Applies a planned change. `planned` is null to destroy.
    pub async fn apply(
        &self,
        entry: &Entry<P::Context>,
        prior: Value,
        planned: Value,
        config: &Value,
        mut private: Private,
    ) -> Applied {
        private.remove(PLANNED_FROM);
        self.run_ids().begin_apply();
        let resource = &entry.resource;
        let context = match self.ready() {
            Ok(context) => context,
            Err(found) => {
                let identity = identity_of(entry, &prior);
                return Applied { identity, state: prior, private, diagnostics: found };
            }
        };
        // timeouts come from the configuration; a destroy has only those of the prior state
        let timeouts = resource.timeouts().configured(if planned.is_null() { &prior } else { config });
        let timeout = match (prior.is_null(), planned.is_null()) {
            (_, true) => timeouts.delete,
            (true, false) => timeouts.create,
            (false, false) => timeouts.update,
        };
        let op = Op::new(timeout, self.stop_token()).with_run_ids(self.run_ids());
        let (state, errors) = if planned.is_null() {
            match resource.delete(Call::new(&context, &op, &mut private), &prior).await {
                Ok(()) => {
                    if let Some(id) = resource.object_id(&prior) {
                        self.run_ids().found_missing(&id);
                    }
                    (Value::Null, Diagnostics::new())
                }
                Err(errors) => (prior, errors),
            }
        } else {
            let result = if prior.is_null() {
                private = Private::default();
                resource.create(Call::new(&context, &op, &mut private), &planned).await
            } else {
                resource.update(Call::new(&context, &op, &mut private), &prior, &planned).await
            };
            match result {
                Ok(state) => {
                    let state = in_planned_spelling(entry, state, &planned);
                    let (state, differing) = enforce_plan(entry.body(), &planned, state);
                    for path in differing.into_iter().filter(|path| !is_volatile(entry.body(), path)) {
                        op.warn(differs_from_plan(resource.type_name(), path));
                    }
                    (state, Diagnostics::new())
                }
                // a failure must not lose an object: keep the one that is known to exist, else the prior one
                Err((Some(state), errors)) => (in_planned_spelling(entry, state, &planned), errors),
                Err((None, errors)) => (prior, errors),
            }
        };
        // dependent objects are planned again and may need it before the service returns it
        if let Some(id) = resource.object_id(&state) {
            self.run_ids().set_applied(&id, state.clone());
        }
        let mut found = op.take_warnings();
        found.extend(errors);
        Applied { identity: identity_of(entry, &state), state, private, diagnostics: found }
    }
}

// An unfinished change has its own warning; the next refresh reads the actual value.
fn is_volatile(body: &Body, path: &Path) -> bool {
    let volatile = body.attributes.iter().filter(|attribute| attribute.volatile);
    volatile.map(|attribute| attribute.name).any(|name| *path == Path::attribute(name))
}

fn differs_from_plan(type_name: &str, path: Path) -> Diagnostic {
    Diagnostic::warning(
        format!("{type_name} was applied, but {path} is not what was planned"),
        "The service, a policy or another client changed it. The state keeps the planned value, so that nothing is \
         replaced; the next plan shows the actual one.",
    )
    .at(path)
}

// The new state in the plan's spelling, wholly known.
fn in_planned_spelling<C: Send + Sync>(entry: &Entry<C>, state: Value, planned: &Value) -> Value {
    let state = complete(entry.body(), state.unknown_to_null());
    keep_prior_spelling(entry.body(), state, planned, NullAndEmpty::Equal)
}

fn identity_of<C: Send + Sync>(entry: &Entry<C>, state: &Value) -> Value {
    if state.is_null() { Value::Null } else { entry.resource.identify(state) }
}
