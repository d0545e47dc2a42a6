//! `Microsoft.Resources/deployments`: validates, deploys, compares and exports templates.

mod run;
mod what_if;

use super::super::call::{Answer, Call, Handler, Method, Outcome};
use super::super::clock;
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::operations::stable;
use super::super::regions;
use super::super::resource::Resource;
use super::super::store::resource_key;
use super::super::template::place::Place;
use super::super::template::scope::Bounds;
use super::super::template::{self, Reading, ids};
use super::{filters, groups, identity};

/// The type's name.
pub const KIND: &str = "Microsoft.Resources/deployments";
/// The supported members of a deployment's `properties`. Others are refused, because ignoring them would go unnoticed.
const PROPERTIES: &[&str] = &[
    "template",
    "parameters",
    "mode",
    "debugSetting",
    "expressionEvaluationOptions",
    "validationLevel",
    "whatIfSettings",
];

/// The deployment that a request describes.
struct Plan {
    id: String,
    name: String,
    /// The resource group; `None` at subscription scope.
    group: Option<String>,
    template: Json,
    given: Json,
    complete: bool,
    place: Place,
}

/// Routes requests to deployments. `words` holds the lower-case segments from `deployments` on; `handler` handles the requests
/// for the template's resources.
pub fn route(call: &mut Call<'_, '_>, handler: Handler, group: Option<&str>, words: &[&str]) -> Outcome {
    let scope = match group {
        Some(group) => ids::group_scope(&call.subscription, group),
        None => format!("/subscriptions/{}", call.subscription),
    };
    let collection = format!("{scope}/providers/{KIND}");
    let [_, rest @ ..] = words else {
        return if call.method == Method::Get { list(call, &collection) } else { Err(no_method(call)) };
    };
    let at = call.segments.len() - words.len();
    let name = call.segments[at].clone();
    let id = format!("{collection}/{name}");
    let existing = call.find(&id);
    let absent =
        || ArmError::gateway(404, "DeploymentNotFound", format!("Deployment '{name}' could not be found."));
    match (call.method, rest) {
        (Method::Get, []) => Ok(Answer::compact(200, show(call, &existing.ok_or_else(absent)?))),
        (Method::Get, ["operationstatuses", _]) => status(call, &existing.ok_or_else(absent)?),
        (Method::Get, ["operations"]) => {
            let values = run::operations(call, &existing.ok_or_else(absent)?);
            Ok(Answer::compact(200, Json::object().with("value", values)))
        }
        (Method::Get, ["operations", wanted]) => run::operations(call, &existing.ok_or_else(absent)?)
            .into_iter()
            .find(|operation| {
                operation.text("operationId").is_some_and(|known| known.eq_ignore_ascii_case(wanted))
            })
            .map(|operation| Answer::compact(200, operation))
            .ok_or_else(|| {
                let message = format!("Deployment operation '{wanted}' could not be found.");
                ArmError::gateway(404, "DeploymentOperationNotFound", message)
            }),
        (Method::Put, []) => {
            let plan = plan(call, group, &name, &id)?;
            put(call, handler, &plan, existing.as_ref())
        }
        (Method::Post, ["validate"]) => {
            let plan = plan(call, group, &name, &id)?;
            validate(call, handler, &plan)
        }
        (Method::Post, ["whatif"]) => {
            let plan = plan(call, group, &name, &id)?;
            what_if::answer(call, handler, &plan)
        }
        (Method::Post, ["cancel"]) => cancel(call, existing.ok_or_else(absent)?),
        (Method::Post, ["exporttemplate"]) => {
            let template = existing.ok_or_else(absent)?.hidden("template").cloned();
            Ok(Answer::compact(200, Json::object().maybe("template", template)))
        }
        (Method::Delete, []) => {
            let Some(deployment) = existing else { return Ok(Answer::empty(204)) };
            refuse_while_active(call, &deployment)?;
            call.state.delete(&resource_key(deployment.id()));
            Ok(Answer::empty(204))
        }
        _ => Err(no_method(call)),
    }
}

fn no_method(call: &Call<'_, '_>) -> ArmError {
    ArmError::no_method(call.method.name(), KIND)
}

fn invalid(code: &str, why: impl Into<String>) -> ArmError {
    ArmError::gateway(400, code, why)
}

/// Parses a request: the template, its parameters, the mode and the scope.
fn plan(call: &mut Call<'_, '_>, group: Option<&str>, name: &str, id: &str) -> Result<Plan, ArmError> {
    let characters_are_valid = name.chars().all(|c| c.is_alphanumeric() || "_-.()".contains(c));
    if name.chars().count() > 64 || !characters_are_valid || name.ends_with('.') {
        return Err(invalid(
            "InvalidDeploymentName",
            format!(
                "The deployment name '{name}' is invalid. It has at most 64 letters, digits, '_', '-', '.', '(' and ')'."
            ),
        ));
    }
    let found = group.map(|group| groups::require(call, group)).transpose()?;
    let body = call.body.clone();
    let location = match (&found, body.text("location")) {
        (Some(group), _) => group.location().to_owned(),
        (None, Some(location)) => {
            regions::find(location).map(|region| region.name.to_owned()).ok_or_else(|| {
                invalid(
                    "LocationNotAvailableForDeployment",
                    format!("The provided location '{location}' is not available for deployment."),
                )
            })?
        }
        (None, None) => {
            return Err(invalid(
                "InvalidDeployment",
                format!(
                    "The 'location' property must be specified for '{name}'. Please see https://aka.ms/deploy-to-subscription for usage details."
                ),
            ));
        }
    };
    let properties = body.get("properties").cloned().unwrap_or_default();
    for (key, value) in properties.pairs() {
        if !PROPERTIES.contains(&key.as_str()) && !value.is_null() {
            return Err(invalid(
                "NotEmulated",
                format!("The emulator does not support '{key}' in the properties of a deployment."),
            ));
        }
    }
    let complete = match properties.text("mode").unwrap_or("Incremental").to_ascii_lowercase().as_str() {
        "incremental" => false,
        "complete" if group.is_some() => true,
        other => {
            return Err(invalid(
                "InvalidDeploymentMode",
                format!("The deployment mode '{other}' is not valid at this scope."),
            ));
        }
    };
    let template = properties.get("template").cloned().ok_or_else(|| {
        invalid(
            "InvalidTemplate",
            "The deployment has no template; the emulator does not follow links to templates.",
        )
    })?;
    let shown_group = found.map(|found| {
        Json::object()
            .with("id", found.id())
            .with("name", found.name())
            .with("type", groups::KIND)
            .with("location", found.location())
            .maybe("tags", found.doc.get("tags"))
            .with("properties", Json::object().with("provisioningState", "Succeeded"))
    });
    let described = Json::object()
        .with("template", Json::object().maybe("contentVersion", template.get("contentVersion")))
        .with("parameters", properties.get("parameters").cloned().unwrap_or_else(Json::object))
        .with("mode", if complete { "Complete" } else { "Incremental" })
        .with("provisioningState", "Accepted");
    let place = Place {
        subscription: call.subscription.clone(),
        tenant: call.tenant.clone(),
        object: call.object.clone(),
        group: shown_group,
        deployment: Json::object()
            .with("name", name)
            .with("location", location)
            .with("properties", described),
        environment: identity::environment(&call.base),
        now: call.now / clock::SECOND,
        seed: call.state.guid(),
    };
    Ok(Plan {
        id: id.to_owned(),
        name: name.to_owned(),
        group: group.map(str::to_owned),
        given: properties.get("parameters").cloned().unwrap_or_else(Json::object),
        template,
        complete,
        place,
    })
}

impl Plan {
    /// Reads the template and the parameters.
    fn read<'a>(&'a self, bounds: &'a Bounds) -> Result<Reading<'a>, ArmError> {
        template::read(&self.template, &self.given, &self.place, bounds)
            .map_err(|why| invalid("InvalidTemplate", why))
    }

    /// The error of a template that a resource provider refuses during validation.
    fn refused(&self, inner: Vec<Json>) -> ArmError {
        let mut error = invalid(
            "InvalidTemplateDeployment",
            format!(
                "The template deployment '{}' is not valid according to the validation procedure. The tracking id is '{}'. See inner errors for details.",
                self.name, self.place.seed
            ),
        );
        error.details = Some(Box::new(Json::Array(inner)));
        error
    }

    /// The properties that all responses about this deployment share.
    fn properties(&self, reading: &Reading<'_>, now: clock::Ticks, duration: clock::Ticks) -> Json {
        let mut providers: Vec<Json> = Vec::new();
        for item in reading.items.iter().filter(|item| item.deployed) {
            let (namespace, kind) = item.kind.split_once('/').unwrap_or((&item.kind, ""));
            let location = self.place.deployment.get("location").cloned().unwrap_or_default();
            let entry = Json::object().with("resourceType", kind).with("locations", vec![location]);
            match providers.iter_mut().find(|known| known.text("namespace") == Some(namespace)) {
                Some(known) => {
                    let mut types = known.list("resourceTypes").to_vec();
                    if !types.iter().any(|known| known.text("resourceType") == Some(kind)) {
                        types.push(entry);
                        known.set("resourceTypes", types);
                    }
                }
                None => providers
                    .push(Json::object().with("namespace", namespace).with("resourceTypes", vec![entry])),
            }
        }
        let dependencies: Vec<Json> = reading
            .items
            .iter()
            .filter(|item| item.deployed && !item.depends_on.is_empty())
            .map(|item| {
                let on = item.depends_on.iter().map(|at| reading.items[*at].reference()).collect::<Vec<_>>();
                Json::object()
                    .with("dependsOn", on)
                    .with("id", item.id.as_str())
                    .with("resourceType", item.kind.as_str())
                    .with("resourceName", item.name.as_str())
            })
            .collect();
        Json::object()
            .with("templateHash", template::hash::of_template(&self.template))
            .with("parameters", reading.parameters())
            .with("mode", if self.complete { "Complete" } else { "Incremental" })
            .with("provisioningState", "Accepted")
            .with("timestamp", clock::format_z(now))
            .with("duration", iso_duration(duration))
            .with("correlationId", self.place.seed.as_str())
            .with("providers", providers)
            .with("dependencies", dependencies)
    }
}

/// `PT2.4S`.
fn iso_duration(ticks: clock::Ticks) -> String {
    format!("PT{}S", Json::from(ticks as f64 / clock::SECOND as f64).compact().trim_end_matches(".0"))
}

fn list(call: &mut Call<'_, '_>, collection: &str) -> Outcome {
    let filter = call.query("$filter").unwrap_or_default().to_owned();
    let filter = filters::parse(&filter, &["provisioningState"])?;
    let shown: Vec<Json> = call
        .children(collection)
        .iter()
        .map(|deployment| show(call, deployment))
        .filter(|deployment| {
            let state = deployment.text("properties.provisioningState").unwrap_or_default();
            filter.passes(|term| term.matches(state))
        })
        .collect();
    call.paged_answer(shown)
}

/// The end of a deployment; `None` if it never ends.
fn end_of(deployment: &Resource) -> Option<clock::Ticks> {
    deployment.doc.int("_.end")
}

/// `Running` until the deployment ends, and then its result.
fn state_of(call: &Call<'_, '_>, deployment: &Resource) -> String {
    match end_of(deployment) {
        Some(end) if call.now >= end => deployment.doc.text("_.state").unwrap_or("Succeeded").to_owned(),
        _ => "Running".to_owned(),
    }
}

fn show(call: &Call<'_, '_>, deployment: &Resource) -> Json {
    let mut shown = Json::clone(&deployment.doc);
    let hidden = shown.remove("_").unwrap_or_default();
    if deployment.location().is_empty() {
        shown.remove("location");
    }
    let state = state_of(call, deployment);
    let properties = shown.entry("properties");
    match state.as_str() {
        "Succeeded" => {
            for key in ["outputs", "outputResources"] {
                properties.set(key, hidden.get(key).cloned().unwrap_or_default());
            }
        }
        "Failed" => properties.set("error", hidden.get("error").cloned().unwrap_or_default()),
        _ => {}
    }
    properties.set("provisioningState", state);
    shown
}

fn status(call: &Call<'_, '_>, deployment: &Resource) -> Outcome {
    let state = state_of(call, deployment);
    let error = deployment.hidden("error").filter(|_| state == "Failed").cloned();
    let answer = Answer::compact(200, Json::object().with("status", state.as_str()).maybe("error", error));
    Ok(if state == "Running" { answer.poll_hint(call, None) } else { answer })
}

fn refuse_while_active(call: &Call<'_, '_>, deployment: &Resource) -> Result<(), ArmError> {
    if state_of(call, deployment) != "Running" {
        return Ok(());
    }
    let since = deployment.property_text("timestamp").unwrap_or_default();
    Err(ArmError::gateway(
        409,
        "DeploymentActive",
        format!(
            "Unable to edit or replace deployment '{}': previous deployment from '{since}' is still active. Please see https://aka.ms/arm-deploy for usage details.",
            deployment.name()
        ),
    ))
}

fn put(call: &mut Call<'_, '_>, handler: Handler, plan: &Plan, existing: Option<&Resource>) -> Outcome {
    if let Some(existing) = existing {
        refuse_while_active(call, existing)?;
        let location = plan.place.deployment.text("location").unwrap_or_default();
        if plan.group.is_none() && existing.location() != location {
            return Err(ArmError::gateway(
                409,
                "InvalidDeploymentLocation",
                format!(
                    "Invalid deployment location '{location}'. The deployment '{}' already exists in location '{}'.",
                    plan.name,
                    existing.location()
                ),
            ));
        }
    }
    let bounds = Bounds::default();
    let reading = plan.read(&bounds)?;
    let ran = run::run(call, handler, plan, &reading)?;
    let location =
        plan.place.deployment.text("location").filter(|_| plan.group.is_none()).unwrap_or_default();
    let mut deployment = Resource::new(&plan.id, KIND, location);
    let duration = ran.end.map_or(0, |end| end - call.now);
    deployment.doc.set("properties", plan.properties(&reading, call.now, duration));
    if let Some(tags) = call.body.get("tags").cloned() {
        deployment.doc.set("tags", tags);
    }
    deployment.hide("template", plan.template.clone());
    deployment.hide("state", if ran.error.is_some() { "Failed" } else { "Succeeded" });
    if let Some(end) = ran.end {
        deployment.hide("end", end);
    }
    deployment.hide("error", ran.error.unwrap_or_default());
    deployment.hide("outputs", ran.outputs);
    deployment.hide("outputResources", ran.resources);
    deployment.hide("operations", ran.operations);
    call.save(&deployment);
    let mut shown = show(call, &deployment);
    let first = shown.entry("properties");
    first.set("provisioningState", "Accepted");
    for key in ["outputs", "outputResources", "error"] {
        first.remove(key);
    }
    let poll = format!(
        "{}{}/operationStatuses/{:020}?api-version={}",
        call.base,
        plan.id.replace("/resourceGroups/", "/resourcegroups/"),
        stable(&plan.id),
        call.api
    );
    let status = if existing.is_some() { 200 } else { 201 };
    Ok(Answer::compact(status, shown).header("Azure-AsyncOperation", poll).poll_hint(call, None))
}

/// `POST /providers/Microsoft.Resources/calculateTemplateHash`.
pub fn calculate_hash(call: &Call<'_, '_>) -> Outcome {
    if !matches!(call.body, Json::Object(_)) {
        return Err(invalid("InvalidTemplate", "The body must be a template, which is a JSON object."));
    }
    Ok(Answer::compact(
        200,
        Json::object()
            .with("minifiedTemplate", call.body.compact())
            .with("templateHash", template::hash::of_template(&call.body)),
    ))
}

fn validate(call: &mut Call<'_, '_>, handler: Handler, plan: &Plan) -> Outcome {
    let bounds = Bounds::default();
    let reading = plan.read(&bounds)?;
    let ran = run::run(call, handler, plan, &reading);
    call.state.undo();
    let ran = ran?;
    let properties = plan
        .properties(&reading, call.now, 0)
        .with("provisioningState", "Succeeded")
        .with("validatedResources", ran.resources);
    Ok(Answer::compact(
        200,
        Json::object()
            .with("id", plan.id.as_str())
            .with("name", plan.name.as_str())
            .with("type", KIND)
            .with("properties", properties),
    ))
}

/// Stops a running deployment. Resources whose creation has not started are not created.
fn cancel(call: &mut Call<'_, '_>, mut deployment: Resource) -> Outcome {
    if state_of(call, &deployment) != "Running" {
        return Err(ArmError::gateway(
            409,
            "DeploymentNotRunning",
            format!("The deployment '{}' is not running, and cannot be cancelled.", deployment.name()),
        ));
    }
    let mut begun = Vec::new();
    for operation in deployment.doc.list("_.operations").to_vec() {
        if operation.int("start").is_some_and(|start| start > call.now) {
            let id = operation.text("id").unwrap_or_default();
            if operation.flag("created") == Some(true) {
                call.state.delete(&resource_key(id));
            }
        } else {
            begun.push(operation);
        }
    }
    deployment.hide("operations", begun);
    deployment.hide("state", "Canceled");
    deployment.hide("end", call.now);
    call.save(&deployment);
    Ok(Answer::empty(204))
}
