//! Answering queries: finding the objects of a list resource and reading them as an import does.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use super::Op;
use super::list::{Found, ListEntry, Listed};
use super::provider::{Provider, Server, unsupported};
use crate::schema::{Diagnostic, Diagnostics, Path, Value};

/// The timeout of finding the objects.
const LIST_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// How many objects are read concurrently.
const READ_AT_ONCE: usize = 8;

impl<P: Provider> Server<P> {
    /// The list resource `name`.
    pub fn list_resource(&self, name: &str) -> Result<&ListEntry<P::Context>, Diagnostics> {
        self.lists.get(name).ok_or_else(|| unsupported("list resource", name))
    }

    /// All list resources, by name.
    pub fn list_resources(&self) -> impl Iterator<Item = (&'static str, &ListEntry<P::Context>)> {
        self.lists.iter().map(|(name, entry)| (*name, entry))
    }

    /// Validates the `config` block of a list resource. Unknown values are not an error.
    pub fn validate_list(&self, entry: &ListEntry<P::Context>, config: &Value) -> Diagnostics {
        let mut found = Diagnostics::new();
        if config.is_known() {
            entry.body().validate(config, &Path::root(), &mut found);
            entry.item.validate(config, &mut found);
        }
        found
    }

    /// Sends at most `limit` objects of the type `name` to `out`, with their states if `with_states`. Ends early when the
    /// receiver is dropped. An error is sent last, because it invalidates the whole list.
    pub async fn list(
        self: Arc<Self>,
        name: &str,
        config: &Value,
        with_states: bool,
        limit: usize,
        out: mpsc::Sender<Result<Listed, Diagnostics>>,
    ) {
        let found = tokio::select! {
            found = self.find(name, config) => found,
            () = out.closed() => return,
        };
        let found = match found {
            Ok(found) => found,
            Err(errors) => return drop(out.send(Err(errors)).await),
        };
        let listed = stream::iter(found)
            .map(|found| self.look_at(name, found, with_states))
            .buffered(READ_AT_ONCE)
            .filter_map(|listed| async { listed.transpose() });
        let mut listed = std::pin::pin!(listed.take(limit));
        while let Some(listed) = listed.next().await {
            let failed = listed.is_err();
            if out.send(listed).await.is_err() || failed {
                return;
            }
        }
    }

    async fn find(&self, name: &str, config: &Value) -> Result<Vec<Found>, Diagnostics> {
        let entry = self.list_resource(name)?;
        let context = self.ready()?;
        let op = Op::new(LIST_TIMEOUT, self.stop_token());
        entry.item.list(&context, &op, config).await
    }

    /// Reads the object as an import does; `None` if it no longer exists.
    async fn look_at(
        &self,
        name: &str,
        found: Found,
        with_state: bool,
    ) -> Result<Option<Listed>, Diagnostics> {
        let entry = self.resource(name)?;
        let imported = self.import(entry, &found.id, None)?;
        let display_name = found.display_name;
        if !with_state {
            return Ok(Some(Listed { display_name, identity: imported.identity, state: None }));
        }
        let read = self.read(entry, imported.state, imported.private).await;
        // Warnings are left out: Terraform silently drops the results after one.
        let errors: Vec<Diagnostic> = read.diagnostics.into_iter().filter(Diagnostic::is_error).collect();
        if !errors.is_empty() {
            return Err(Diagnostics(errors));
        }
        let exists = !read.state.is_null();
        Ok(exists.then_some(Listed { display_name, identity: read.identity, state: Some(read.state) }))
    }
}
