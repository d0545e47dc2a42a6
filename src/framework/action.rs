//! Actions (Terraform 1.14 and later): operations that a configuration or `-invoke` starts and that have no state.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::Op;
use super::registered::Registered;
use crate::schema::{Body, Diagnostics, Model, Slot, Value};

/// An action. It must be repeatable, because users start a failed action again with `-invoke`.
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

    /// Validates a configuration beyond its schema. Unknown values are not an error.
    fn validate(&self, _config: &Value, _found: &mut Diagnostics) {}

    /// Checks at plan whether the action would fail. Values may be unknown.
    async fn plan(&self, _context: &C, _op: &Op, _config: &Value, _found: &mut Diagnostics) {}

    /// Runs the action.
    async fn invoke(
        &self,
        context: &C,
        op: &Op,
        progress: &Progress,
        config: Self::Model,
    ) -> Result<(), Diagnostics>;
}

/// Reports the progress of an action to the user.
pub struct Progress(mpsc::UnboundedSender<String>);

impl Progress {
    /// A progress, and the receiver of its lines.
    pub fn channel() -> (Progress, mpsc::UnboundedReceiver<String>) {
        let (send, receive) = mpsc::unbounded_channel();
        (Progress(send), receive)
    }

    /// Shows a line of text. Lines within a few seconds of each other are shown together.
    pub fn report(&self, text: impl AsRef<str>) {
        let text = text.as_ref().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        // An error means that the receiver is gone.
        let _ = self.0.send(text);
    }
}

/// An [`Action`] without its model type, so that one list can contain all actions.
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

/// An event of a running action.
#[derive(Debug, PartialEq)]
pub enum ActionEvent {
    /// A progress message.
    Progress(String),
    /// The action has ended. It failed if the diagnostics contain an error.
    Completed(Diagnostics),
}
