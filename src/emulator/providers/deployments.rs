//! `Microsoft.Resources/deployments`: templates whose resources are made in the order in which they are listed.
//!
//! Enough for what command lines send, which is templates without loops, conditions or nesting. Of the expressions there are
//! `parameters`, `variables`, `concat`, `resourceId`, `resourceGroup().location`/`.id` and `subscription().subscriptionId`.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::clock;
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::operations::stable;
use super::super::resource::Resource;
use super::super::router;
use super::super::settings::Work;
use super::groups;

const KIND: &str = "Microsoft.Resources/deployments";

/// A deployment by name, its validation, and its progress; `rest` is what follows the name.
pub fn route(call: &mut Call<'_, '_>, group: &str, name: &str, rest: &[&str]) -> Outcome {
    let id = format!("/subscriptions/{}/resourceGroups/{group}/providers/{KIND}/{name}", call.subscription);
    let existing = call.find(&id);
    let absent =
        || ArmError::gateway(404, "DeploymentNotFound", format!("Deployment '{name}' could not be found."));
    match (call.method, rest) {
        (Method::Get, []) => Ok(Answer::compact(200, show(call, &existing.ok_or_else(absent)?))),
        (Method::Get, ["operationstatuses", _]) => {
            let deployment = existing.ok_or_else(absent)?;
            let status = if over(call, &deployment) { "Succeeded" } else { "Running" };
            let answer = Answer::compact(200, Json::object().with("status", status));
            Ok(if status == "Running" { answer.poll_hint(call, None) } else { answer })
        }
        (Method::Post, ["validate"]) => {
            template(call, group)?;
            Ok(Answer::compact(200, Json::object().with("id", id).with("name", name).with("type", KIND)))
        }
        (Method::Put, []) => put(call, group, &id),
        (Method::Delete, []) => {
            let Some(deployment) = existing else { return Ok(Answer::empty(204)) };
            let key = super::super::store::resource_key(deployment.id());
            call.state.delete(&key);
            Ok(Answer::empty(204))
        }
        _ => Err(ArmError::no_method(call.method.name(), KIND)),
    }
}

fn over(call: &Call<'_, '_>, deployment: &Resource) -> bool {
    deployment.doc.int("_.end").is_none_or(|end| call.now >= end)
}

fn show(call: &Call<'_, '_>, deployment: &Resource) -> Json {
    let mut shown = Json::clone(&deployment.doc);
    shown.remove("_");
    shown.remove("location");
    let state = if over(call, deployment) { "Succeeded" } else { "Running" };
    shown.entry("properties").set("provisioningState", state);
    shown
}

fn put(call: &mut Call<'_, '_>, group: &str, id: &str) -> Outcome {
    let resources = template(call, group)?;
    let mut made = Vec::new();
    let mut work = Work::DiskPut;
    for resource in resources {
        if resource.kind.eq_ignore_ascii_case(super::machines::KIND) {
            work = Work::MachinePut;
        }
        made.push(Json::object().with("id", resource.id(&call.subscription, group)));
        if let Err(error) = create(call, group, &resource) {
            // As if it had failed before anything was made, which for most templates is what the service does as well.
            call.state.undo();
            let inner = error.body().get("error").cloned().unwrap_or_default();
            let message = format!(
                "The template deployment '{}' is not valid: {}",
                id.rsplit('/').next().unwrap_or_default(),
                inner.text("message").unwrap_or_default()
            );
            let mut refused = ArmError::gateway(400, "InvalidTemplateDeployment", message);
            refused.status = if error.status >= 500 { error.status } else { 400 };
            return Err(refused);
        }
    }
    let mut deployment = Resource::new(id, KIND, "");
    let properties = Json::object()
        .with("templateHash", stable(&call.body.compact()).to_string())
        .with("parameters", Json::object())
        .with("mode", "Incremental")
        .with("provisioningState", "Accepted")
        .with("timestamp", clock::format_z(call.now))
        .with("duration", "PT0S")
        .with("correlationId", call.state.guid())
        .with("providers", Vec::new())
        .with("dependencies", Vec::new())
        .with("outputs", Json::object())
        .with("outputResources", made);
    deployment.doc.set("properties", properties);
    let end = call.now + call.duration(work);
    deployment.hide("end", end);
    call.save(&deployment);
    let mut shown = show(call, &deployment);
    let first = shown.entry("properties");
    first.set("provisioningState", "Accepted");
    first.remove("outputs");
    first.remove("outputResources");
    let poll = format!(
        "{}{}/operationStatuses/{:020}?api-version={}",
        call.base,
        id.replace("/resourceGroups/", "/resourcegroups/"),
        stable(id),
        call.api
    );
    let answer = Answer::compact(201, shown).header("Azure-AsyncOperation", poll);
    Ok(answer.poll_hint(call, None))
}

/// One resource of a template, without expressions.
struct Wanted {
    kind: String,
    name: String,
    api: String,
    body: Json,
}

impl Wanted {
    fn id(&self, subscription: &str, group: &str) -> String {
        resource_id(subscription, group, &self.kind, &self.name)
    }
}

/// `A.B/c/d` and `x/y` make `…/providers/A.B/c/x/d/y`.
fn resource_id(subscription: &str, group: &str, kind: &str, name: &str) -> String {
    let mut types = kind.split('/');
    let mut id = format!(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/{}",
        types.next().unwrap_or_default()
    );
    for (kind, name) in types.zip(name.split('/')) {
        id += &format!("/{kind}/{name}");
    }
    id
}

/// Makes one resource as a request of its own would.
fn create(call: &mut Call<'_, '_>, group: &str, resource: &Wanted) -> Result<(), ArmError> {
    let id = resource.id(&call.subscription, group);
    put_at(call, &id, &resource.api, resource.body.clone()).map(|_| ())
}

/// What a PUT of a body at an id would be answered, within this request.
pub fn put_at(call: &mut Call<'_, '_>, id: &str, api: &str, body: Json) -> Outcome {
    let segments = id.trim_start_matches('/').split('/').map(str::to_owned).collect();
    let outer = (
        std::mem::replace(&mut call.method, Method::Put),
        std::mem::replace(&mut call.segments, segments),
        std::mem::replace(&mut call.api, api.to_ascii_lowercase()),
        std::mem::replace(&mut call.body, body),
        std::mem::take(&mut call.query),
        call.meter,
    );
    let outcome = router::route(call);
    (call.method, call.segments, call.api, call.body, call.query, call.meter) = outer;
    outcome
}

fn template(call: &mut Call<'_, '_>, group: &str) -> Result<Vec<Wanted>, ArmError> {
    let invalid = |why: String| ArmError::gateway(400, "InvalidTemplate", why);
    let template = call.body.at("properties.template").cloned().ok_or_else(|| {
        invalid("The deployment has no template; links to templates are not followed.".into())
    })?;
    let location = groups::require(call, group)?.location().to_owned();
    let given = call.body.at("properties.parameters").cloned().unwrap_or_default();
    let mut parameters = Json::object();
    for (name, parameter) in template.get("parameters").map_or(&[][..], Json::pairs) {
        if let Some(value) = parameter.get("defaultValue") {
            parameters.set(name, value);
        }
    }
    for (name, parameter) in given.pairs() {
        parameters.set(name, parameter.get("value").cloned().unwrap_or_default());
    }
    let scope = Scope {
        subscription: call.subscription.clone(),
        group: group.to_owned(),
        location,
        parameters,
        variables: template.get("variables").cloned().unwrap_or_default(),
    };
    template
        .list("resources")
        .iter()
        .map(|resource| {
            let mut body = scope.resolve(resource).map_err(invalid)?;
            let take = |body: &mut Json, key: &str| {
                let value = body.remove(key);
                value.as_ref().and_then(Json::as_str).map(str::to_owned).unwrap_or_default()
            };
            let (kind, name, api) =
                (take(&mut body, "type"), take(&mut body, "name"), take(&mut body, "apiVersion"));
            if name.is_empty() || kind.matches('/').count() != name.matches('/').count() + 1 {
                return Err(invalid(format!(
                    "The template resource '{name}' of type '{kind}' is not valid."
                )));
            }
            for other in ["dependsOn", "comments", "condition", "scope"] {
                body.remove(other);
            }
            dress(&kind, &mut body);
            Ok(Wanted { kind, name, api, body })
        })
        .collect()
}

/// Addresses that a network would have given out; those of documentation.
fn dress(kind: &str, body: &mut Json) {
    if kind.eq_ignore_ascii_case("Microsoft.Network/publicIPAddresses") {
        body.entry("properties").set("ipAddress", "203.0.113.4");
    } else if kind.eq_ignore_ascii_case("Microsoft.Network/networkInterfaces") {
        let properties = body.entry("properties");
        let mut configurations = properties.list("ipConfigurations").to_vec();
        for configuration in &mut configurations {
            configuration.entry("properties").set("privateIPAddress", "10.0.0.4");
        }
        properties.set("ipConfigurations", configurations);
        properties.set("macAddress", "00-0D-3A-00-00-04");
    }
}

/// What expressions can speak of.
struct Scope {
    subscription: String,
    group: String,
    location: String,
    parameters: Json,
    variables: Json,
}

impl Scope {
    /// A value with its expressions worked out and without its nulls.
    fn resolve(&self, value: &Json) -> Result<Json, String> {
        Ok(match value {
            Json::Object(pairs) => {
                let mut shown = Json::object();
                for (key, value) in pairs.iter().filter(|(_, value)| !value.is_null()) {
                    shown.set(key, self.resolve(value)?);
                }
                shown
            }
            Json::Array(items) => {
                Json::Array(items.iter().map(|item| self.resolve(item)).collect::<Result<_, _>>()?)
            }
            Json::String(text) => match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
                Some(escaped) if escaped.starts_with('[') => Json::from(format!("{escaped}]")),
                Some(expression) => {
                    let mut rest = expression.trim();
                    let value = self.expression(&mut rest)?;
                    if !rest.trim().is_empty() {
                        return Err(format!("The template expression '{text}' is not understood here."));
                    }
                    value
                }
                None => value.clone(),
            },
            _ => value.clone(),
        })
    }

    /// Reads one expression from the front of `rest`.
    fn expression(&self, rest: &mut &str) -> Result<Json, String> {
        *rest = rest.trim_start();
        if let Some(text) = rest.strip_prefix('\'') {
            let end = text.find('\'').ok_or("A text in a template expression has no end.")?;
            *rest = &text[end + 1..];
            return Ok(Json::from(&text[..end]));
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let name = rest[..end].to_ascii_lowercase();
        let mut inside = rest[end..]
            .trim_start()
            .strip_prefix('(')
            .ok_or_else(|| format!("The template expression '{rest}' is not understood here."))?;
        let mut arguments = Vec::new();
        loop {
            inside = inside.trim_start();
            if let Some(after) = inside.strip_prefix(')') {
                *rest = after;
                break;
            }
            if inside.is_empty() {
                return Err("A template expression has no end.".to_owned());
            }
            arguments.push(self.expression(&mut inside)?);
            inside = inside.trim_start();
            inside = inside.strip_prefix(',').unwrap_or(inside);
        }
        let texts: Vec<&str> = arguments.iter().filter_map(Json::as_str).collect();
        let mut value = match (name.as_str(), texts.as_slice()) {
            ("parameters", [name]) => self.parameters.get(name).cloned().unwrap_or_default(),
            ("variables", [name]) => self.resolve(&self.variables.get(name).cloned().unwrap_or_default())?,
            ("concat", texts) => Json::from(texts.concat()),
            ("resourceid", [kind, names @ ..]) => {
                Json::from(resource_id(&self.subscription, &self.group, kind, &names.join("/")))
            }
            ("resourcegroup", []) => Json::object()
                .with("location", self.location.as_str())
                .with("name", self.group.as_str())
                .with("id", format!("/subscriptions/{}/resourceGroups/{}", self.subscription, self.group)),
            ("subscription", []) => Json::object()
                .with("subscriptionId", self.subscription.as_str())
                .with("id", format!("/subscriptions/{}", self.subscription)),
            _ => return Err(format!("The template function '{name}' is not understood here.")),
        };
        while let Some(path) = rest.strip_prefix('.') {
            let end = path.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(path.len());
            value = value.get(&path[..end]).cloned().unwrap_or_default();
            *rest = &path[end..];
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope {
            subscription: "s".to_owned(),
            group: "g".to_owned(),
            location: "eastus".to_owned(),
            parameters: Json::object().with("p", "one"),
            variables: Json::object().with("v", "[concat(parameters('p'), '-two')]"),
        }
    }

    #[test]
    fn expressions_are_worked_out() {
        for (text, wanted) in [
            ("plain", "plain"),
            ("[[not one]", "[not one]"),
            ("[parameters('p')]", "one"),
            ("[variables('v')]", "one-two"),
            ("[resourceGroup().location]", "eastus"),
            (
                "[resourceId('N.A/b/c', 'x', concat('y', parameters('p')))]",
                "/subscriptions/s/resourceGroups/g/providers/N.A/b/x/c/yone",
            ),
        ] {
            assert_eq!(scope().resolve(&Json::from(text)).unwrap(), Json::from(wanted), "{text}");
        }
        for text in ["[copyIndex()]", "[parameters('p']", "[parameters('p') x]", "['a]", "[f(]", "[1]"] {
            assert!(scope().resolve(&Json::from(text)).is_err(), "{text}");
        }
        let nulls = Json::parse(br#"{"a":null,"b":[{"c":null}]}"#).unwrap();
        assert_eq!(scope().resolve(&nulls).unwrap().compact(), r#"{"b":[{}]}"#);
    }
}
