//! The two calls with a streamed response: listing a resource type and running an action.

use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tracing::Instrument;

use super::answer::panicked;
use super::convert::{diagnostics, dynamic, identity, value};
use super::proto::tfplugin5 as pb;
use crate::framework::action::ActionEvent;
use crate::framework::list::Listed;
use crate::framework::{Provider, Server};
use crate::plugin::{panics, traces};
use crate::schema::Diagnostics;

/// How many events are buffered for a slow receiver.
const QUEUE: usize = 16;

/// The objects that a list resource finds, one event each.
pub fn listed<P: Provider>(
    server: Arc<Server<P>>,
    request: pb::list_resource::Request,
) -> impl Stream<Item = pb::list_resource::Event> {
    traces::about(&request.type_name);
    let types = server.resource(&request.type_name).map(|entry| (entry.ty().clone(), entry.identity_ty()));
    let (out, events) = mpsc::channel(QUEUE);
    let name = request.type_name;
    spawn(name.clone(), out.clone(), Err, async move {
        let config = value(&request.config, server.list_resource(&name)?.ty(), &name)?;
        let limit = usize::try_from(request.limit).unwrap_or(0);
        server.clone().list(&name, &config, request.include_resource_object, limit, out).await;
        Ok(())
    });
    ReceiverStream::new(events).map(move |listed: Result<Listed, Diagnostics>| match (listed, &types) {
        (Ok(listed), Ok((ty, identity_ty))) => pb::list_resource::Event {
            identity: identity(&listed.identity, identity_ty.clone()),
            display_name: listed.display_name,
            resource_object: listed.state.and_then(|state| dynamic(&state, ty)),
            diagnostic: Vec::new(),
        },
        (Err(found), _) => failed_list(found),
        (Ok(_), Err(found)) => failed_list(found.clone()),
    })
}

fn failed_list(found: Diagnostics) -> pb::list_resource::Event {
    pb::list_resource::Event { diagnostic: diagnostics(found), ..Default::default() }
}

/// The progress events of an action, and its result.
pub fn invoked<P: Provider>(
    server: Arc<Server<P>>,
    request: pb::invoke_action::Request,
) -> impl Stream<Item = pb::invoke_action::Event> {
    traces::about(&request.action_type);
    let (out, events) = mpsc::channel(QUEUE);
    let name = request.action_type;
    spawn(name.clone(), out.clone(), ActionEvent::Completed, async move {
        let config = value(&request.config, server.action(&name)?.ty(), &name)?;
        server.clone().invoke_action(&name, &config, out).await;
        Ok(())
    });
    ReceiverStream::new(events).map(|event| {
        use pb::invoke_action::event::{Completed, Progress, Type};
        let event = match event {
            ActionEvent::Progress(message) => Type::Progress(Progress { message }),
            ActionEvent::Completed(found) => Type::Completed(Completed { diagnostics: diagnostics(found) }),
        };
        pb::invoke_action::Event { r#type: Some(event) }
    })
}

// Runs `work` on the type `name` in the background, and sends its errors or its panic to `out` as a last event.
fn spawn<T: Send + 'static>(
    name: String,
    out: mpsc::Sender<T>,
    failure: fn(Diagnostics) -> T,
    work: impl Future<Output = Result<(), Diagnostics>> + Send + 'static,
) {
    let work = async move {
        let found = match panics::catch(work).await {
            Ok(Ok(())) => return,
            Ok(Err(found)) => found,
            Err(panic) => panicked(&name, &panic),
        };
        traces::failed();
        // an error means that the host has disconnected
        let _ = out.send(failure(found)).await;
    };
    tokio::spawn(work.in_current_span());
}
