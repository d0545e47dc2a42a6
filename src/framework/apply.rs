//! Planning and applying one change of a resource: the pure plan, the resource's objections, and then what was planned.

use super::enforce_plan::enforce_plan;
use super::import::{UNWRITTEN, empty_blocks};
use super::plan::{self, Draft};
use super::provider::{Entry, Provider, Server};
use super::spelling::{NullAndEmpty, keep_prior_spelling};
use super::{Op, Private};
use crate::schema::{Diagnostic, Diagnostics, Path, Value};

/// What Terraform knows of a change.
pub struct Change {
    /// What exists; null when nothing does.
    pub prior: Value,
    /// What the user wrote; null to destroy.
    pub config: Value,
    /// What is remembered of the prior state.
    pub private: Private,
}

/// A planned change.
pub struct Planned {
    /// What will be; null to destroy.
    pub state: Value,
    /// Paths that force a replacement.
    pub replace: Vec<Path>,
    /// What apply is to remember.
    pub private: Private,
    /// The identity; null while it is not known.
    pub identity: Value,
    /// What to tell the user.
    pub diagnostics: Diagnostics,
}

/// An applied change.
pub struct Applied {
    /// What exists now.
    pub state: Value,
    /// The identity.
    pub identity: Value,
    /// What to remember.
    pub private: Private,
    /// What to tell the user.
    pub diagnostics: Diagnostics,
}

impl<P: Provider> Server<P> {
    /// Plans a change.
    pub async fn plan(&self, entry: &Entry<P::Context>, change: Change) -> Planned {
        let Change { prior, config, mut private } = change;
        if config.is_null() {
            return Planned {
                state: Value::Null,
                replace: Vec::new(),
                private,
                identity: Value::Null,
                diagnostics: Diagnostics::new(),
            };
        }
        if !prior.is_null() && private.get(UNWRITTEN) == Some(true) {
            return Planned {
                identity: entry.resource.identify(&prior),
                state: prior,
                replace: Vec::new(),
                private,
                diagnostics: unread(entry.resource.type_name()).into(),
            };
        }
        if prior.is_null() {
            // core hands the private state of a replaced object to the plan of its replacement
            private = Private::default();
        }
        let body = entry.body();
        let context = self.context();
        let mut draft = Draft {
            config: &config,
            prior: &prior,
            planned: plan::begin(body, &config, &prior),
            replace: Vec::new(),
            diagnostics: Diagnostics::new(),
        };
        entry.resource.prepare(context.as_deref(), &mut draft);
        let plan = plan::finish(body, &mut draft);
        draft.planned = plan.planned;
        draft.replace = plan.replace;
        let mut found = std::mem::take(&mut draft.diagnostics);
        if let Some(context) = &context
            && !found.has_errors()
        {
            let timeout = entry.resource.timeouts().configured(&config).read;
            let op = Op::new(timeout, self.stop_token());
            if draft.is_create() {
                self.check_provider(context, &op, &mut found).await;
            }
            if !found.has_errors() {
                entry.resource.check(context, &op, &draft, &mut found).await;
            }
            found.extend(op.take_warnings());
        }
        // the identity of what exists stays; that of what is to come is told once it is there: an unknown one would be
        // allowed, but Terraform 1.15 cannot show a plan that holds one
        let identity = if prior.is_null() || !draft.replace.is_empty() {
            Value::Null
        } else {
            entry.resource.identify(&prior)
        };
        Planned { state: draft.planned, replace: draft.replace, private, identity, diagnostics: found }
    }

    /// Applies a planned change. `planned` is null to destroy.
    pub async fn apply(
        &self,
        entry: &Entry<P::Context>,
        prior: Value,
        planned: Value,
        config: &Value,
        mut private: Private,
    ) -> Applied {
        let context = match self.ready() {
            Ok(context) => context,
            Err(found) => {
                return Applied {
                    identity: identity_of(entry, &prior),
                    state: prior,
                    private,
                    diagnostics: found,
                };
            }
        };
        let timeouts = entry.resource.timeouts();
        let resource = &entry.resource;
        // the configuration is the newest word on timeouts; a destroy has only the state's
        let timeouts = timeouts.configured(if planned.is_null() { &prior } else { config });
        let timeout = if planned.is_null() {
            timeouts.delete
        } else if prior.is_null() {
            timeouts.create
        } else {
            timeouts.update
        };
        let op = Op::new(timeout, self.stop_token());
        let (state, errors) = if planned.is_null() {
            match resource.delete(&context, &op, &prior, &mut private).await {
                Ok(()) => (Value::Null, Diagnostics::new()),
                Err(errors) => (prior, errors),
            }
        } else {
            let result = if prior.is_null() {
                private = Private::default();
                resource.create(&context, &op, &planned, &mut private).await
            } else {
                resource.update(&context, &op, &prior, &planned, &mut private).await
            };
            match result {
                Ok(state) => {
                    let state = finished(entry, state, &planned);
                    let (state, differing) = enforce_plan(entry.body(), &planned, state);
                    for path in differing {
                        op.warn(made_other(entry.resource.type_name(), path));
                    }
                    (state, Diagnostics::new())
                }
                // what is known to exist, else what existed: a failure loses nothing
                Err((Some(state), errors)) => (finished(entry, state, &planned), errors),
                Err((None, errors)) => (prior, errors),
            }
        };
        let mut found = op.take_warnings();
        found.extend(errors);
        Applied { identity: identity_of(entry, &state), state, private, diagnostics: found }
    }
}

// Of what was imported or moved here only the id is known until it is read: every difference from it would be an invention.
fn unread(type_name: &str) -> Diagnostic {
    Diagnostic::error(
        format!("{type_name} was imported or moved here and has not been read yet"),
        "What it is now is not known, so it cannot be compared with the configuration. Plan once without \
         -refresh=false, with a provider block whose values are known.",
    )
}

// What is there differs from what was planned, although it was done.
fn made_other(type_name: &str, path: Path) -> Diagnostic {
    Diagnostic::warning(
        format!("{type_name} was applied, and {path} is not what was planned"),
        "The service, a policy of it or somebody else made something else of it. The state holds what was planned, so \
         that nothing is replaced for that; the next plan shows what is there.",
    )
    .at(path)
}

// A new state in the words of the plan, with nothing unknown left.
fn finished<C: Send + Sync>(entry: &Entry<C>, state: Value, planned: &Value) -> Value {
    let state = empty_blocks(entry.body(), state.unknown_to_null());
    keep_prior_spelling(entry.body(), state, planned, NullAndEmpty::Equal)
}

fn identity_of<C: Send + Sync>(entry: &Entry<C>, state: &Value) -> Value {
    if state.is_null() { Value::Null } else { entry.resource.identify(state) }
}
