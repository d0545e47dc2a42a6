//! Running actions: validation, the check at plan, and the invocation with its progress.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Op;
use super::action::{ActionEntry, ActionEvent, Progress};
use super::provider::{Provider, Server, unsupported};
use crate::schema::{Diagnostic, Diagnostics, Path, Value};

/// The timeout of the check at plan.
const PLAN_TIMEOUT: Duration = Duration::from_secs(300);
/// The minimum time between progress messages.
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

    /// Validates the `config` block of an action. Unknown values are not an error.
    pub fn validate_action(&self, entry: &ActionEntry<P::Context>, config: &Value) -> Diagnostics {
        let mut found = Diagnostics::new();
        if config.is_known() {
            entry.body().validate(config, &Path::root(), &mut found);
            entry.item.validate(config, &mut found);
        }
        found
    }

    /// Checks whether the action would fail, as far as its configuration is known.
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

    /// Runs the action `name` and sends its progress and then its completion to `out`. Stops the action, like an interrupt,
    /// when the receiver is dropped.
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
                    // An error means that the receiver is gone, which is handled below.
                    let _ = out.send(ActionEvent::Progress(std::mem::take(&mut waiting).join("; "))).await;
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

/// Adds the argument to the text of each diagnostic, because Terraform drops the attribute paths of a triggered action.
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
    fn adds_the_argument_to_the_text() {
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
