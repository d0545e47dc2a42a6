//! `Microsoft.Resources/validateResources`: predicts the response to the PUT of each resource without creating it.

use super::super::call::{Answer, Call, Handler, Method, Outcome};
use super::super::errors::{ArmError, invalid_content};
use super::super::json::Json;

/// Returns the response that the PUT of each resource would get, and stores nothing. Parents may be missing, because a resource
/// is validated before its parents are created.
pub fn validate(call: &mut Call<'_, '_>, handler: Handler) -> Outcome {
    if call.method != Method::Post {
        return Err(ArmError::no_method(call.method.name(), "Microsoft.Resources/validateResources"));
    }
    let body = call.body.clone();
    let text = |name: &str| {
        body.text(name)
            .map(str::to_owned)
            .ok_or_else(|| invalid_content(&format!("Required property '{name}' not found in JSON")))
    };
    let (namespace, kind, scope) = (text("provider")?, text("type")?, text("scope")?);
    let location = body.get("location");
    let mut refused = None;
    for resource in body.list("resources") {
        // A template expression is a value that is not known yet.
        if resource.compact().contains("\"[") {
            continue;
        }
        let mut id = format!("{}/providers/{namespace}", scope.trim_end_matches('/'));
        for (kind, name) in kind.split('/').zip(resource.text("name").unwrap_or_default().split('/')) {
            id += &format!("/{kind}/{name}");
        }
        let mut sent = resource.clone();
        let api = sent.remove("apiVersion").and_then(|api| api.as_str().map(str::to_owned));
        sent.remove("name");
        if let (None, Some(location)) = (sent.get("location"), location) {
            sent.set("location", location);
        }
        if let Err(error) = call.inner(handler, Method::Put, &id, &api.unwrap_or_default(), sent)
            && error.status != 404
        {
            refused = Some(error.target(&id));
            break;
        }
    }
    call.state.undo();
    match refused {
        Some(error) => Err(error),
        None => Ok(Answer::compact(200, Json::object())),
    }
}
