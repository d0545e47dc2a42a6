//! The state that a write leaves, compared with and completed from the plan.

use super::write::Task;
use crate::arm::{Error, Kind};
use crate::azure::fault;
use crate::framework::spelling::{NullAndEmpty, find_match, keep_prior_spelling};
use crate::schema::spec::{Body, Nesting};
use crate::schema::{Diagnostic, Model, Value};

/// The state of an accepted but unfinished object: the planned values, and for unplanned values those in `read`.
/// `provisioning_state` is never empty, so that the next plan sees that the object is unfinished.
pub fn accepted_state<M: Model>(plan: &M, read: &M, provisioning: &str) -> M {
    let mut state = plan.encode();
    complete(M::schema(), &mut state, &read.encode());
    if state.get("provisioning_state").is_null() {
        state.set("provisioning_state", provisioning.into());
    }
    M::decode(&state)
}

fn complete(body: &Body, state: &mut Value, read: &Value) {
    for attribute in body.attributes.iter().filter(|attribute| attribute.is_computed()) {
        if state.get(attribute.name).is_null() {
            state.set(attribute.name, read.get(attribute.name).clone());
        }
    }
    for block in &body.blocks {
        let mut inner = state.get(block.name).clone();
        match (&mut inner, read.get(block.name)) {
            (Value::Set(elements), Value::Set(read)) => {
                for element in elements {
                    if let Some(read) = find_match(block.key, element, read) {
                        complete(&block.body, element, read);
                    }
                }
            }
            (Value::List(elements), Value::List(read)) => {
                for (element, read) in elements.iter_mut().zip(read) {
                    complete(&block.body, element, read);
                }
            }
            (inner, read)
                if matches!(block.nesting, Nesting::Single | Nesting::Group)
                    && inner.is_known()
                    && read.is_known() =>
            {
                complete(&block.body, inner, read);
            }
            _ => continue,
        }
        state.set(block.name, inner);
    }
}

/// Whether `read` equals `plan`, except for unknown planned values.
pub fn is_as_planned<M: Model>(plan: &M, read: &M) -> bool {
    let (plan, read) = (plan.encode(), read.encode());
    let read = keep_prior_spelling(M::schema(), read, &plan, NullAndEmpty::Equal);
    let mut planned = plan;
    complete(M::schema(), &mut planned, &read);
    planned == read
}

/// The warning about an accepted but unfinished object.
pub fn unfinished(noun: &str, id: &str, error: &Error, progress: &str) -> Diagnostic {
    let why = match error.kind {
        Kind::Stopped => "the run was interrupted".to_owned(),
        _ => error.to_string(),
    };
    let progress = match progress {
        "" => String::new(),
        progress => format!("\n\nSo far: {progress}."),
    };
    Diagnostic::warning(
        format!("{} is not finished yet", fault::capital(noun)),
        format!(
            "The service accepted it and continues on its own; this run did not see the end: {why}.{progress}\n\n\
             It is kept in the state. The next plan shows what is unfinished, and the next apply goes on waiting.\n\n{id}"
        ),
    )
}

/// The error for a creation that the service may have accepted.
pub fn may_exist(task: &Task<'_>, noun: &str, error: &Error) -> Diagnostic {
    let mut diagnostic = task.failed(error);
    diagnostic.summary = format!("It is unknown whether {noun} was created");
    diagnostic.detail = format!(
        "The answer to the request was lost, and the object could not be read: {}\n\nIt is kept in the state with its ID. \
         The next plan reads it, and creates it when it is not there.",
        diagnostic.detail
    );
    diagnostic
}
