//! Deploying a template: each resource is one PUT, sent as soon as its dependencies are complete.

use std::cell::RefCell;

use super::super::super::call::{Answer, Body, Call, Handler, Method};
use super::super::super::clock::Ticks;
use super::super::super::errors::ArmError;
use super::super::super::json::Json;
use super::super::super::resource::Resource;
use super::super::super::store::resource_key;
use super::super::super::template::Reading;
use super::super::super::template::resources::{self, Item};
use super::super::super::template::scope::Lookup;
use super::super::super::{clock, operations as running};
use super::{KIND, Plan, iso_duration};

/// The result of a deployment.
pub struct Ran {
    /// Its end; `None` if it never ends.
    pub end: Option<Ticks>,
    /// Its error, if it failed.
    pub error: Option<Json>,
    /// The outputs in the format of a response.
    pub outputs: Json,
    /// `[{"id": …}]`.
    pub resources: Vec<Json>,
    /// One record for each resource: `id`, `start`, `end`, `status`, `error`, `created`.
    pub operations: Vec<Json>,
}

/// The state of one item while the template is deployed.
#[derive(Clone)]
enum Progress {
    /// It exists from this time on.
    Done(Ticks),
    /// It failed, or one of its dependencies did.
    Failed,
    /// Its operation never ends.
    Stuck,
}

/// Deploys a template. An error means that validation failed; the caller must then discard the staged changes.
pub fn run(
    call: &mut Call<'_, '_>,
    handler: Handler,
    plan: &Plan,
    reading: &Reading<'_>,
) -> Result<Ran, ArmError> {
    let begin = call.now;
    let mut progress: Vec<Progress> = vec![Progress::Done(begin); reading.items.len()];
    let mut ran = Ran {
        end: Some(begin),
        error: None,
        outputs: Json::object(),
        resources: Vec::new(),
        operations: Vec::new(),
    };
    let mut errors = Vec::new();
    for at in reading.order.iter().copied() {
        let item = &reading.items[at];
        let before = latest(item.depends_on.iter().map(|on| &progress[*on]), begin);
        progress[at] = match before {
            Progress::Done(start) if item.deployed => {
                call.now = start;
                let made = make(call, handler, plan, reading, item);
                call.now = begin;
                record(&mut ran, &mut errors, item, start, made?)
            }
            other => other,
        };
    }
    let end = latest(progress.iter().filter(|one| !matches!(one, Progress::Failed)), begin);
    ran.end = match end {
        Progress::Done(end) => Some(end),
        _ => None,
    };
    if plan.complete && errors.is_empty() {
        ran.end = remove_others(call, handler, plan, reading, &mut errors).max(ran.end);
    }
    if let (Some(end), true) = (ran.end, errors.is_empty()) {
        call.now = end;
        let outputs = with_live(call, handler, reading, |live| reading.outputs(live));
        call.now = begin;
        match outputs {
            Ok(outputs) => ran.outputs = outputs,
            Err(why) => errors.push(detail("DeploymentOutputEvaluationFailed", &why)),
        }
    }
    if !errors.is_empty() {
        ran.error = Some(
            Json::object()
                .with("code", "DeploymentFailed")
                .with("target", plan.id.as_str())
                .with("message", "At least one resource deployment operation failed. Please list deployment operations for details. Please see https://aka.ms/arm-deployment-operations for usage details.")
                .with("details", errors),
        );
    }
    Ok(ran)
}

/// The combined progress of dependencies: the latest end, unless one of them failed or never ends.
fn latest<'p>(progress: impl Iterator<Item = &'p Progress>, begin: Ticks) -> Progress {
    progress.fold(Progress::Done(begin), |latest, one| match (latest, one) {
        (Progress::Failed, _) | (_, Progress::Failed) => Progress::Failed,
        (Progress::Stuck, _) | (_, Progress::Stuck) => Progress::Stuck,
        (Progress::Done(left), Progress::Done(right)) => Progress::Done(left.max(*right)),
    })
}

fn detail(code: &str, message: &str) -> Json {
    Json::object().with("code", code).with("message", message)
}

/// The result of the PUT of one resource.
struct Made {
    status: u16,
    created: bool,
    end: Option<Ticks>,
    error: Option<Json>,
}

fn record(ran: &mut Ran, errors: &mut Vec<Json>, item: &Item<'_>, start: Ticks, made: Made) -> Progress {
    ran.operations.push(
        Json::object()
            .with("id", item.id.as_str())
            .with("kind", item.kind.as_str())
            .with("name", item.name.as_str())
            .with("start", start)
            .maybe("end", made.end)
            .with("status", i64::from(made.status))
            .with("created", made.created)
            .maybe("error", made.error.clone()),
    );
    if let Some(error) = made.error {
        errors.push(error);
        return Progress::Failed;
    }
    ran.resources.push(Json::object().with("id", item.id.as_str()));
    made.end.map_or(Progress::Stuck, Progress::Done)
}

/// Creates one resource as a separate request would.
fn make(
    call: &mut Call<'_, '_>,
    handler: Handler,
    plan: &Plan,
    reading: &Reading<'_>,
    item: &Item<'_>,
) -> Result<Made, ArmError> {
    let start = call.now;
    let body = match body_of(call, handler, reading, item) {
        Ok(body) => body,
        Err(why) => {
            let why = format!(
                "Unable to process template language expressions for resource '{}'. '{why}'",
                item.id
            );
            return Ok(Made {
                status: 400,
                created: false,
                end: Some(start),
                error: Some(detail("InvalidTemplate", &why)),
            });
        }
    };
    let created = call.find(&item.id).is_none();
    match call.inner(handler, Method::Put, &item.id, &item.api, body) {
        Ok(answer) => {
            let (end, error) = operation_end(call, &item.id, start);
            Ok(Made { status: answer.status, created, end, error })
        }
        // Resource providers report these errors during validation, before anything is created.
        Err(error) if matches!(error.status, 400 | 404) => {
            let inner = error.target(&item.id).body();
            Err(plan.refused(vec![inner.get("error").cloned().unwrap_or(inner)]))
        }
        Err(error) => {
            let inner = error.body();
            let inner = inner.get("error").cloned().unwrap_or(inner);
            Ok(Made { status: error.status, created: false, end: Some(start), error: Some(inner) })
        }
    }
}

/// The end of the operation that a PUT started, and its error.
fn operation_end(call: &Call<'_, '_>, id: &str, start: Ticks) -> (Option<Ticks>, Option<Json>) {
    let Some(record) = call.state.get(&resource_key(id)) else { return (Some(start), None) };
    let resource = Resource::from_record(&record);
    if resource.doc.text("type") == Some(KIND) {
        let error = resource.hidden("error").filter(|error| !error.is_null()).cloned();
        return (super::end_of(&resource), error);
    }
    if resource.hidden("operation").is_none() {
        return (Some(start), None);
    }
    let failed = resource.hidden("operation.failed").is_some();
    let guid = resource.hidden("operation.guid").and_then(Json::as_str).unwrap_or_default();
    let error = call.record(&running::key(guid)).and_then(|operation| operation.get("error").cloned());
    (resource.ended().map(|end| end.max(start)), error.filter(|_| failed))
}

/// The body of a resource with its expressions evaluated, without nulls.
fn body_of(
    call: &mut Call<'_, '_>,
    handler: Handler,
    reading: &Reading<'_>,
    item: &Item<'_>,
) -> Result<Json, String> {
    let mut raw = item.raw_body();
    if !item.kind.eq_ignore_ascii_case(KIND) {
        return with_live(call, handler, reading, |live| item.scope.live(live).resolve(&raw))
            .map(without_nulls);
    }
    let properties = raw.entry("properties");
    let template = properties.remove("template").unwrap_or_default();
    let options = properties.remove("expressionEvaluationOptions").unwrap_or_default();
    let inner = options.text("scope").is_some_and(|scope| scope.eq_ignore_ascii_case("inner"));
    let (mut body, template) = with_live(call, handler, reading, |live| {
        let scope = item.scope.live(live);
        let template = if inner { template } else { escaped(scope.resolve(&template)?) };
        Ok((scope.resolve(&raw)?, template))
    })?;
    body.entry("properties").set("template", template);
    Ok(body)
}

/// Escapes the strings of an evaluated template that look like expressions.
fn escaped(value: Json) -> Json {
    match value {
        Json::Object(pairs) => {
            Json::Object(pairs.into_iter().map(|(key, value)| (key, escaped(value))).collect())
        }
        Json::Array(items) => Json::Array(items.into_iter().map(escaped).collect()),
        Json::String(text) if text.starts_with('[') && text.ends_with(']') => {
            Json::String(format!("[{text}"))
        }
        other => other,
    }
}

fn without_nulls(value: Json) -> Json {
    match value {
        Json::Object(pairs) => Json::Object(
            pairs
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, without_nulls(value)))
                .collect(),
        ),
        Json::Array(items) => Json::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// Runs an evaluation that can read existing resources.
fn with_live<T>(
    call: &mut Call<'_, '_>,
    handler: Handler,
    reading: &Reading<'_>,
    work: impl FnOnce(&dyn Fn(&Lookup<'_>) -> Result<Json, String>) -> Result<T, String>,
) -> Result<T, String> {
    let call = RefCell::new(call);
    work(&|lookup| look_up(&mut call.borrow_mut(), handler, reading, lookup))
}

fn look_up(
    call: &mut Call<'_, '_>,
    handler: Handler,
    reading: &Reading<'_>,
    lookup: &Lookup<'_>,
) -> Result<Json, String> {
    let read = |call: &mut Call<'_, '_>, id: &str, api: &str, full: bool| {
        let shown = ask(call, handler, Method::Get, id, api)?;
        let whole = shown.clone().with("apiVersion", api);
        Ok::<_, String>(if full {
            whole
        } else {
            shown.get("properties").cloned().unwrap_or_else(Json::object)
        })
    };
    match lookup {
        Lookup::Reference { target, api, full } => {
            match resources::find(&reading.items, target).first().map(|at| &reading.items[*at]) {
                Some(item) => read(call, &item.id, api.unwrap_or(&item.api), *full),
                None => {
                    let api = api.ok_or_else(|| format!("The resource '{target}' is not defined in the template, and 'reference' needs an API version for others."))?;
                    if !target.starts_with('/') {
                        return Err(format!(
                            "'{target}' is neither a resource of the template nor a resource ID."
                        ));
                    }
                    read(call, target, api, *full)
                }
            }
        }
        Lookup::References(name) => {
            let found = resources::find(&reading.items, name);
            found
                .into_iter()
                .filter(|at| reading.items[*at].deployed)
                .map(|at| read(call, &reading.items[at].id, &reading.items[at].api, false))
                .collect::<Result<_, _>>()
                .map(Json::Array)
        }
        Lookup::List { action, target, api } => {
            let found = resources::find(&reading.items, target);
            let id = found.first().map_or(*target, |at| &reading.items[*at].id);
            ask(call, handler, Method::Post, &format!("{id}/{action}"), api)
        }
    }
}

fn ask(
    call: &mut Call<'_, '_>,
    handler: Handler,
    method: Method,
    id: &str,
    api: &str,
) -> Result<Json, String> {
    match call.inner(handler, method, id, api, Json::Null) {
        Ok(answer) => Ok(content(answer)),
        Err(error) => Err(format!("{}: {}", error.code, error.message)),
    }
}

/// The JSON of an answer.
pub fn content(answer: Answer) -> Json {
    match answer.body {
        Body::Pretty(body) | Body::Compact(body) => body,
        Body::None | Body::Bytes(..) => Json::Null,
    }
}

/// The IDs of the resources that a deployment in Complete mode deletes: those with a location in its group that the template
/// does not mention. Children come before their parents.
pub fn others(call: &Call<'_, '_>, plan: &Plan, reading: &Reading<'_>) -> Vec<String> {
    let Some(group) = &plan.group else { return Vec::new() };
    let prefix = format!("{}/", super::super::super::template::ids::group_scope(&call.subscription, group));
    let mut found = Vec::new();
    call.state.scan(&format!("r|{}", prefix.to_ascii_lowercase()), None, |_, record| {
        let resource = Resource::from_record(record);
        let id = resource.id();
        let kind = resource.doc.text("type").unwrap_or_default();
        // Children without a location, such as subnets, are deleted with their parents.
        let is_top = kind.matches('/').count() == 1;
        let is_tracked =
            id.matches("/providers/").count() == 1 && (is_top || !resource.location().is_empty());
        let mentioned = reading.items.iter().any(|item| item.deployed && item.id.eq_ignore_ascii_case(id));
        if is_tracked
            && !mentioned
            && kind != KIND
            && resource.exists(call.now)
            && resource.state(call.now) != "Deleting"
        {
            found.push(id.to_owned());
        }
        true
    });
    found.sort_by_key(|id| std::cmp::Reverse(id.matches('/').count()));
    found
}

/// Deletes the resources that the template does not mention. A refused deletion is retried after the others.
fn remove_others(
    call: &mut Call<'_, '_>,
    handler: Handler,
    plan: &Plan,
    reading: &Reading<'_>,
    errors: &mut Vec<Json>,
) -> Option<Ticks> {
    let begin = call.now;
    let mut end = begin;
    let mut left = others(call, plan, reading);
    loop {
        let (mut refused, before) = (Vec::new(), left.len());
        for id in left {
            call.now = end;
            let api = super::super::super::versions_known::newest(&id);
            let deleted = call.inner(handler, Method::Delete, &id, api, Json::Null);
            match deleted {
                Ok(_) => end = operation_end(call, &id, end).0.unwrap_or(end).max(end),
                Err(error) => refused.push((id, error)),
            }
        }
        call.now = begin;
        if refused.is_empty() {
            return Some(end);
        }
        if refused.len() == before {
            errors.extend(
                refused.into_iter().map(|(id, error)| detail(&error.code, &error.message).with("target", id)),
            );
            return Some(end);
        }
        left = refused.into_iter().map(|(id, _)| id).collect();
    }
}

/// The operations of a deployment that have started, in the format of a response.
pub fn operations(call: &Call<'_, '_>, deployment: &Resource) -> Vec<Json> {
    deployment
        .doc
        .list("_.operations")
        .iter()
        .filter(|operation| operation.int("start").is_none_or(|start| start <= call.now))
        .map(|operation| {
            let (start, end) = (operation.int("start").unwrap_or(call.now), operation.int("end"));
            let over = end.filter(|end| *end <= call.now);
            let error = operation.get("error").filter(|_| over.is_some());
            let state = match (over, error) {
                (None, _) => "Running",
                (Some(_), None) => "Succeeded",
                (Some(_), Some(_)) => "Failed",
            };
            let status = match (operation.int("status"), error) {
                (Some(201), _) => "Created",
                (Some(409), _) => "Conflict",
                (Some(200 | 202), None) => "OK",
                _ => "BadRequest",
            };
            let name = format!("{:016X}", running::stable(operation.text("id").unwrap_or_default()));
            let target = Json::object()
                .maybe("id", operation.get("id"))
                .maybe("resourceType", operation.get("kind"))
                .maybe("resourceName", operation.text("name").and_then(|name| name.rsplit('/').next()));
            let properties = Json::object()
                .with("provisioningOperation", "Create")
                .with("provisioningState", state)
                .with("timestamp", clock::format_z(over.unwrap_or(start)))
                .with("duration", iso_duration(over.unwrap_or(call.now) - start))
                .with("trackingId", deployment.property_text("correlationId").unwrap_or_default())
                .with("statusCode", status)
                .maybe("statusMessage", error.map(|error| Json::object().with("error", error)))
                .with("targetResource", target);
            Json::object()
                .with("id", format!("{}/operations/{name}", deployment.id()))
                .with("operationId", name)
                .with("properties", properties)
        })
        .collect()
}

impl Item<'_> {
    /// `{"id", "resourceType", "resourceName"}`.
    pub(super) fn reference(&self) -> Json {
        Json::object()
            .with("id", self.id.as_str())
            .with("resourceType", self.kind.as_str())
            .with("resourceName", self.name.as_str())
    }
}
