//! Actions: what can be started from a configuration or by `-invoke`, and leaves nothing in the state (Terraform 1.14 and later).

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::Op;
use super::registered::Registered;
use crate::schema::{Body, Diagnostics, Model, Slot, Value};

/// An action. It must be repeatable: a failed one is started again by hand, with `-invoke`.
#[async_trait]
pub trait Action<C: Send + Sync>: Send + Sync + 'static {
    /// The arguments of its `config` block.
    type Model: Model;

    /// Its name in HCL.
    fn type_name(&self) -> &'static str;

    /// How long it may take.
    fn timeout(&self) -> Duration {
        Duration::from_secs(3600)
    }

    /// Checks a configuration beyond its schema; values may be unknown, which is no error.
    fn validate(&self, _config: &Value, _found: &mut Diagnostics) {}

    /// Looks, when a run is planned, for what would make the action fail; values may be unknown.
    async fn plan(&self, _context: &C, _op: &Op, _config: &Value, _found: &mut Diagnostics) {}

    /// Does it.
    async fn invoke(
        &self,
        context: &C,
        op: &Op,
        progress: &Progress,
        config: Self::Model,
    ) -> Result<(), Diagnostics>;
}

/// Tells the user how far an action is.
pub struct Progress(mpsc::UnboundedSender<String>);

impl Progress {
    /// A progress, and the end at which its lines arrive.
    pub fn channel() -> (Progress, mpsc::UnboundedReceiver<String>) {
        let (send, receive) = mpsc::unbounded_channel();
        (Progress(send), receive)
    }

    /// Shows a line of text. Lines that follow each other within seconds are shown together.
    pub fn report(&self, text: impl AsRef<str>) {
        let text = text.as_ref().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        // An error means that nobody listens any more.
        let _ = self.0.send(text);
    }
}

/// An [`Action`] in values, so that all of them fit in one list.
#[async_trait]
pub trait AnyAction<C: Send + Sync>: Send + Sync {
    /// See [`Action::type_name`].
    fn type_name(&self) -> &'static str;
    /// The schema of the `config` block.
    fn body(&self) -> Body;
    /// See [`Action::timeout`].
    fn timeout(&self) -> Duration;
    /// See [`Action::validate`].
    fn validate(&self, config: &Value, found: &mut Diagnostics);
    /// See [`Action::plan`].
    async fn plan(&self, context: &C, op: &Op, config: &Value, found: &mut Diagnostics);
    /// See [`Action::invoke`].
    async fn invoke(
        &self,
        context: &C,
        op: &Op,
        progress: &Progress,
        config: &Value,
    ) -> Result<(), Diagnostics>;
}

#[async_trait]
impl<C: Send + Sync, A: Action<C>> AnyAction<C> for A {
    fn type_name(&self) -> &'static str {
        Action::type_name(self)
    }

    fn body(&self) -> Body {
        <A::Model as Model>::body()
    }

    fn timeout(&self) -> Duration {
        Action::timeout(self)
    }

    fn validate(&self, config: &Value, found: &mut Diagnostics) {
        Action::validate(self, config, found);
    }

    async fn plan(&self, context: &C, op: &Op, config: &Value, found: &mut Diagnostics) {
        Action::plan(self, context, op, config, found).await;
    }

    async fn invoke(
        &self,
        context: &C,
        op: &Op,
        progress: &Progress,
        config: &Value,
    ) -> Result<(), Diagnostics> {
        Action::invoke(self, context, op, progress, A::Model::decode(config)).await
    }
}

/// A registered action.
pub type ActionEntry<C> = Registered<dyn AnyAction<C>>;

/// What the host hears of an action that runs.
#[derive(Debug, PartialEq)]
pub enum ActionEvent {
    /// It goes on.
    Progress(String),
    /// It has ended; with an error among the diagnostics it has failed.
    Completed(Diagnostics),
}
