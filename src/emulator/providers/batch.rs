//! `POST /batch`: several requests in one. Not recorded.

use super::super::call::{Answer, Body, Call, Handler, Method, Outcome};
use super::super::errors::{ArmError, invalid_content};
use super::super::json::Json;

/// The maximum number of requests in a batch.
const MOST: usize = 20;

/// Handles each request as if it had been sent alone.
pub fn route(call: &mut Call<'_, '_>, handler: Handler) -> Outcome {
    if call.method != Method::Post {
        return Err(ArmError::no_method(call.method.name(), "batch"));
    }
    let requests = call.body.list("requests").to_vec();
    if requests.is_empty() || requests.len() > MOST {
        return Err(invalid_content(&format!("'requests' must contain 1 to {MOST} requests")));
    }
    let mut responses = Vec::new();
    for request in requests {
        let outcome = one(call, handler, &request);
        let (status, headers, content) = match outcome {
            Ok(answer) => {
                let content = match answer.body {
                    Body::Pretty(body) | Body::Compact(body) => Some(body),
                    Body::None | Body::Bytes(..) => None,
                };
                (answer.status, answer.headers, content)
            }
            Err(error) => (error.status, error.headers.clone(), Some(error.body())),
        };
        let headers =
            headers.iter().fold(Json::object(), |all, (name, value)| all.with(name, value.as_str()));
        let response = Json::object()
            .maybe("name", request.get("name"))
            .with("httpStatusCode", i64::from(status))
            .with("headers", headers)
            .maybe("content", content);
        responses.push(response);
    }
    Ok(Answer::compact(200, Json::object().with("responses", responses)))
}

fn one(call: &mut Call<'_, '_>, handler: Handler, request: &Json) -> Outcome {
    let wrong = || invalid_content("each request needs 'httpMethod' and 'url'");
    let method = request.text("httpMethod").and_then(Method::parse).ok_or_else(wrong)?;
    let base = url::Url::parse(&call.base).map_err(|_| wrong())?;
    let url = base.join(request.text("url").ok_or_else(wrong)?).map_err(|_| wrong())?;
    let api = url.query_pairs().find(|(name, _)| name.eq_ignore_ascii_case("api-version"));
    let api = api.map(|(_, value)| value.into_owned()).unwrap_or_default();
    if url.path().trim_matches('/').eq_ignore_ascii_case("batch") {
        return Err(invalid_content("a batch cannot contain another batch"));
    }
    let query = url.query_pairs().into_owned().collect();
    let body = request.get("content").cloned().unwrap_or_default();
    call.inner_with_query(handler, method, url.path(), &api, query, body)
}
