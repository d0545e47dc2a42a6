//! Planning a change of a resource: the pure plan, values that depend on other objects, and the resource's checks.

use super::import::UNREAD;
use super::plan::{self, Draft};
use super::provider::{Entry, Provider, Server};
use super::run_ids::{Creation, PLANNED_FROM};
use super::{Op, Private};
use crate::schema::{Diagnostic, Diagnostics, Path, Value};

/// A change to plan, as Terraform sends it.
pub struct Change {
    /// The prior state; null when there is no object.
    pub prior: Value,
    /// The configuration; null to destroy.
    pub config: Value,
    /// The private state of the prior object.
    pub private: Private,
}

/// A planned change.
pub struct Planned {
    /// The planned state; null to destroy.
    pub state: Value,
    /// Paths that force a replacement.
    pub replace: Vec<Path>,
    /// Private state for apply.
    pub private: Private,
    /// The identity; null while it is not known.
    pub identity: Value,
    /// Errors and warnings.
    pub diagnostics: Diagnostics,
}

impl<P: Provider> Server<P> {
    /// Plans a change. Errors of a plan that precedes a destroy are dropped.
    pub async fn plan(&self, entry: &Entry<P::Context>, change: Change) -> Planned {
        let planned = self.plan_change(entry, change).await;
        let found = self.unless_destroying(planned.diagnostics);
        Planned { diagnostics: self.without_repeats(found).await, ..planned }
    }

    async fn plan_change(&self, entry: &Entry<P::Context>, change: Change) -> Planned {
        let Change { prior, config, mut private } = change;
        let mut found = Diagnostics::new();
        if config.is_null() {
            private.remove(PLANNED_FROM);
            self.note_existing(entry, &prior, &mut found);
            if !prior.is_null() {
                entry.resource.check_destroy(self.context().as_deref(), &prior, &mut found);
            }
            return Planned {
                state: Value::Null,
                replace: Vec::new(),
                private,
                identity: Value::Null,
                diagnostics: found,
            };
        }
        if !prior.is_null() && private.get(UNREAD) == Some(true) {
            return Planned {
                identity: entry.resource.identify(&prior),
                state: prior,
                replace: Vec::new(),
                private,
                diagnostics: unread(entry.resource.type_name()).into(),
            };
        }
        let planned_from: Option<String> = private.get(PLANNED_FROM);
        if let Some(id) = self.note_existing(entry, &prior, &mut found) {
            private.set(PLANNED_FROM, &id);
        } else if prior.is_null() {
            // Terraform passes the private state of a replaced object to the plan of its replacement
            private = Private::default();
        }
        let body = entry.body();
        let context = self.context();
        let mut draft =
            Draft { diagnostics: found, ..Draft::new(&config, &prior, plan::begin(body, &config, &prior)) };
        entry.resource.prepare(context.as_deref(), &mut draft);
        if draft.is_create() {
            self.plan_id(entry, planned_from.as_deref(), &mut draft);
        }
        let timeout = entry.resource.timeouts().configured(&config).read;
        let op = Op::new(timeout, self.stop_token()).with_run_ids(self.run_ids()).with_private(&private);
        if let Some(context) = &context
            && !draft.diagnostics.has_errors()
        {
            entry.resource.resolve(context, &op, &mut draft).await;
        }
        let plan = plan::finish(body, &mut draft);
        draft.planned = plan.planned;
        draft.replace = plan.replace;
        let mut found = std::mem::take(&mut draft.diagnostics);
        if let Some(context) = &context
            && !found.has_errors()
        {
            if draft.is_create() {
                self.check_provider(context, &op, &mut found).await;
            }
            if !found.has_errors() {
                entry.resource.check(context, &op, &draft, &mut found).await;
            }
        }
        found.extend(op.take_warnings());
        if let Some(id) = entry.resource.object_id(&draft.planned) {
            self.run_ids().set_object(&id, draft.planned.clone());
        }
        // An unknown identity of a new object would be allowed, but Terraform 1.15 cannot show a plan that holds one.
        let identity = if prior.is_null() || !draft.replace.is_empty() {
            Value::Null
        } else {
            entry.resource.identify(&prior)
        };
        Planned { state: draft.planned, replace: draft.replace, private, identity, diagnostics: found }
    }

    // Notes that `prior` is planned, and returns its ID when its type claims IDs.
    fn note_existing(
        &self,
        entry: &Entry<P::Context>,
        prior: &Value,
        found: &mut Diagnostics,
    ) -> Option<String> {
        let id = entry.resource.object_id(prior)?;
        if !self.run_ids().plan_existing(&id) {
            found.push(already_managed(entry.resource.type_name(), &id));
        }
        Some(id)
    }

    // Plans the ID of a new object. If the object with that ID is replaced, the ID stays unknown, so that Terraform also
    // replaces the objects that refer to it.
    fn plan_id(&self, entry: &Entry<P::Context>, planned_from: Option<&str>, draft: &mut Draft<'_>) {
        let Some(id) = entry.resource.object_id(&draft.planned) else { return };
        match self.run_ids().plan_create(&id, planned_from) {
            Creation::New => draft.planned.set("id", Value::String(id)),
            Creation::Replacement => {}
            Creation::Duplicate => {
                draft.diagnostics.push(already_managed(entry.resource.type_name(), &id));
            }
        }
    }
}

// Before an imported or moved object is read, only its ID is known, so a plan would show differences that do not exist.
fn unread(type_name: &str) -> Diagnostic {
    Diagnostic::error(
        format!("{type_name} was imported or moved and has not been read yet"),
        "The provider cannot compare the configuration with an object that it has not read. Plan once without \
         -refresh=false, and with known values in the provider block.",
    )
}

fn already_managed(type_name: &str, id: &str) -> Diagnostic {
    Diagnostic::error(
        format!("This {type_name} is already managed in this configuration"),
        format!(
            "Two resource addresses name the same object, {id}, and nothing has been changed. With count or for_each, give \
             each instance its own name or version number. If an address was renamed, add a moved block from the old \
             address to the new one. To stop managing the object at the other address, use a removed block and apply it first."
        ),
    )
}
