//! The one way in which resources write to the service: begin, wait, read back, decide the state.
//!
//! A resource type implements [`Managed`] and gets its operations from it. It never sends a PUT, PATCH, POST or DELETE itself.
//!
//! * **begin** ([`Write::begin`]): the request is sent and the operation that answers it is stored in private state
//!   before anything else happens. When the answer is lost, the object is read to find out whether the service acted.
//! * **wait** ([`Write::wait`]): until accepted, until the home region or all regions are replicated, or until final.
//! * **read back**: the wait ends with a read of the object, which is the [`Ended::body`].
//! * **state**: the object in the model, with a warning or an error if the outcome needs one.
//!
//! **The object decides; an operation URL is only a hint.** To resume, the object is read first. If its provisioning
//! state is final, the URL is forgotten. If it is in flight, the URL is polled. Any result of a poll other than "still
//! running", a deadline or a cancellation means that the URL is forgotten and the object is polled instead.

mod actions;
mod existing;
mod members;
mod parents;
mod state;
mod verbs;
mod write;

pub use actions::{act, start_action};
pub use existing::already_exists;
pub use members::Member;
pub use parents::{delete_parent, refuse_with_children, remove};
pub use state::unfinished;
pub use verbs::{Managed, Start, Step, Update, check_api_version, create, read, update};
pub use write::{
    Change, Ended, INVISIBLE_TOLERATED, Outcome, Task, WaitUntil, Write, final_read_scope, forget_if_final,
};

#[cfg(test)]
mod tests;
