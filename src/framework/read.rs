//! Reading a resource: refreshes its state, and keeps the spelling of values that have not changed.

use std::collections::BTreeMap;

use super::import::{UNREAD, complete};
use super::provider::{Entry, Provider, Server};
use super::run_ids::PLANNED_FROM;
use super::spelling::{NullAndEmpty, keep_prior_spelling};
use super::{Call, Op, Private};
use crate::schema::{Diagnostic, Diagnostics, Value};

/// The result of a read.
pub struct Read {
    /// The object as it is now; null if it certainly does not exist, and the prior state if the read failed.
    pub state: Value,
    /// The identity.
    pub identity: Value,
    /// The private state to store.
    pub private: Private,
    /// Errors and warnings.
    pub diagnostics: Diagnostics,
}

impl<P: Provider> Server<P> {
    /// Reads the object that `state` describes.
    pub async fn read(&self, entry: &Entry<P::Context>, state: Value, mut private: Private) -> Read {
        let name = entry.resource.type_name();
        let answer = |state: Value, private, diagnostics| Read {
            identity: if state.is_null() { Value::Null } else { entry.resource.identify(&state) },
            state,
            private,
            diagnostics,
        };
        if state.is_null() {
            return answer(state, private, Diagnostics::new());
        }
        let context = match self.ready() {
            Ok(context) => context,
            // a plan must be possible while the provider's configuration is unknown
            Err(_) if self.is_unknown() => {
                let warning = Diagnostic::warning(
                    format!("{name} was not refreshed"),
                    "The provider block depends on values that are known only after apply, so the last known state is used.",
                );
                return answer(state, private, warning.into());
            }
            Err(found) => return answer(state, private, found),
        };
        let timeout = entry.resource.timeouts().configured(&state).read;
        let op = Op::new(timeout, self.stop_token()).with_run_ids(self.run_ids());
        let id = entry.resource.object_id(&state);
        let result = entry.resource.read(Call::new(&context, &op, &mut private), &state).await;
        let mut found = op.take_warnings();
        private.remove(PLANNED_FROM);
        match (&id, &result) {
            (Some(id), Ok(Some(_))) => self.run_ids().found_in_state(id),
            (Some(id), Ok(None)) => self.run_ids().found_missing(id),
            _ => {}
        }
        match result {
            Ok(Some(new)) => {
                let new = complete(entry.body(), new);
                let is_import = private.get(UNREAD) == Some(true);
                private.remove(UNREAD);
                // after an import, the service's spelling applies, not that of the import ID
                let old = if is_import { Value::Object(BTreeMap::new()) } else { state };
                let new = keep_prior_spelling(entry.body(), new, &old, NullAndEmpty::Equal);
                // keeping the prior spelling may have restored a null of an old state
                answer(complete(entry.body(), new), private, found)
            }
            Ok(None) => answer(Value::Null, private, found),
            // an imported object that was not read must not look as if it had been
            Err(errors) => {
                let is_import = private.get(UNREAD) == Some(true);
                found.extend(if is_import { errors } else { self.without_repeats(errors).await });
                answer(state, private, found)
            }
        }
    }
}
