//! Actions: what can be started from a configuration or by `-invoke`, and leaves nothing in the state (Terraform 1.14 and later).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Op;
use super::provider::{Provider, Server, unsupported};
use super::registered::Registered;
use crate::schema::{Body, Diagnostic, Diagnostics, Model, Path, Slot, Value};

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

/// How long looking ahead may take.
const PLAN_TIMEOUT: Duration = Duration::from_secs(300);
/// Progress is shown no more often than this.
const PROGRESS_PAUSE: Duration = Duration::from_secs(3);

impl<P: Provider> Server<P> {
    /// The action `name`.
    pub fn action(&self, name: &str) -> Result<&ActionEntry<P::Context>, Diagnostics> {
        self.actions.get(name).ok_or_else(|| unsupported("action", name))
    }

    /// All actions, by name.
    pub fn actions(&self) -> impl Iterator<Item = (&'static str, &ActionEntry<P::Context>)> {
        self.actions.iter().map(|(name, entry)| (*name, entry))
    }

    /// Checks the `config` block of an action; unknown is no error.
    pub fn validate_action(&self, entry: &ActionEntry<P::Context>, config: &Value) -> Diagnostics {
        let mut found = Diagnostics::new();
        if config.is_known() {
            entry.body().validate(config, &Path::root(), &mut found);
            entry.item.validate(config, &mut found);
        }
        found
    }

    /// Looks for what would make the action fail, as far as its configuration is known.
    pub async fn plan_action(&self, entry: &ActionEntry<P::Context>, config: &Value) -> Diagnostics {
        let mut found = self.validate_action(entry, config);
        if let (false, Some(context)) = (found.has_errors(), self.context()) {
            let op = Op::new(PLAN_TIMEOUT, self.stop_token());
            self.check_provider(&context, &op, &mut found).await;
            if !found.has_errors() {
                entry.item.plan(&context, &op, config, &mut found).await;
            }
            found.extend(op.take_warnings());
        }
        with_arguments_in_text(found)
    }

    /// Runs the action `name` and sends its progress to `out`, then that it has ended. When nobody receives that any
    /// more, the action is stopped, as by an interrupt.
    pub async fn invoke_action(self: Arc<Self>, name: &str, config: &Value, out: mpsc::Sender<ActionEvent>) {
        let (progress, mut reports) = Progress::channel();
        let stop = self.stop_token().child_token();
        let stopped = stop.clone();
        let mut work = std::pin::pin!(async move {
            let entry = self.action(name)?;
            let context = self.ready()?;
            let op = Op::new(entry.item.timeout(), stop);
            let mut found = match entry.item.invoke(&context, &op, &progress, config).await {
                Ok(()) => Diagnostics::new(),
                Err(errors) => errors,
            };
            found.extend(op.take_warnings());
            Ok::<_, Diagnostics>(found)
        });
        let mut waiting: Vec<String> = Vec::new();
        let mut next = Instant::now();
        let ended = loop {
            tokio::select! {
                ended = &mut work => break ended.unwrap_or_else(|errors| errors),
                Some(report) = reports.recv() => waiting.push(report),
                () = tokio::time::sleep_until(next), if !waiting.is_empty() => {
                    // An error means that nobody listens, which is handled below.
                    let _ = out.send(ActionEvent::Progress(waiting.drain(..).collect::<Vec<_>>().join("; "))).await;
                    next = Instant::now() + PROGRESS_PAUSE;
                }
                () = out.closed(), if !stopped.is_cancelled() => stopped.cancel(),
            }
        };
        while let Ok(report) = reports.try_recv() {
            waiting.push(report);
        }
        if !waiting.is_empty() {
            let _ = out.send(ActionEvent::Progress(waiting.join("; "))).await;
        }
        let _ = out.send(ActionEvent::Completed(with_arguments_in_text(ended))).await;
    }
}

/// The diagnostics with the argument in their text: Terraform drops the paths of a triggered action.
fn with_arguments_in_text(found: Diagnostics) -> Diagnostics {
    let named = found.into_iter().map(|diagnostic| {
        let argument = diagnostic.path.to_string();
        if argument.is_empty() || diagnostic.detail.contains(&argument) {
            return diagnostic;
        }
        Diagnostic { detail: format!("{}\n\nArgument: {argument}", diagnostic.detail), ..diagnostic }
    });
    Diagnostics(named.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_argument_in_the_text() {
        let found = Diagnostics(vec![
            Diagnostic::error("s", "It is gone.").at(Path::attribute("virtual_machine_id")),
            Diagnostic::error("s", "Set wait = true.").at(Path::attribute("wait")),
            Diagnostic::error("s", "No subscription."),
        ]);
        let details: Vec<String> =
            with_arguments_in_text(found).into_iter().map(|diagnostic| diagnostic.detail).collect();
        assert_eq!(
            details,
            ["It is gone.\n\nArgument: virtual_machine_id", "Set wait = true.", "No subscription."]
        );
    }
}
