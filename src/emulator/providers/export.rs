//! `POST …/resourceGroups/{rg}/exportTemplate`: a template that recreates the resources of a group. Not recorded.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::errors::{ArmError, invalid_content};
use super::super::json::Json;
use super::super::resource::Resource;
use super::super::template::ids::{group_scope, kind_and_name};
use super::super::{shapes, versions_known};

const OPTIONS: &[&str] = &[
    "IncludeComments",
    "IncludeParameterDefaultValue",
    "SkipAllParameterization",
    "SkipResourceNameParameterization",
];
/// The members besides the properties that a template contains.
const MEMBERS: &[&str] = &["location", "tags", "sku", "kind", "plan", "zones"];
/// Properties that the emulator fills in for types without a description.
const FILLED_IN: &[&str] =
    &["provisioningState", "virtualMachine", "macAddress", "principalId", "clientId", "tenantId", "uniqueId"];

/// Exports the resources that the body lists; `*` means all.
pub fn route(call: &mut Call<'_, '_>, group: &str) -> Outcome {
    if call.method != Method::Post {
        return Err(ArmError::no_method(call.method.name(), "resourceGroups/exportTemplate"));
    }
    if call.body.text("outputFormat").is_some_and(|format| !format.eq_ignore_ascii_case("Json")) {
        return Err(ArmError::not_emulated("exportTemplate as Bicep", "Export JSON and decompile it."));
    }
    let options = call.body.text("options").unwrap_or_default().to_owned();
    let options: Vec<&str> = options.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    if let Some(unknown) =
        options.iter().find(|word| !OPTIONS.iter().any(|known| known.eq_ignore_ascii_case(word)))
    {
        return Err(invalid_content(&format!(
            "'{unknown}' is not an option of exportTemplate. The options are {}",
            OPTIONS.join(", ")
        )));
    }
    let has = |option: &str| options.iter().any(|word| word.eq_ignore_ascii_case(option));
    let scope = group_scope(&call.subscription, group);
    let found = chosen(call, &scope)?;
    let export = Export {
        named: !has("SkipAllParameterization") && !has("SkipResourceNameParameterization"),
        ids: found.iter().map(|resource| resource.id().to_owned()).collect(),
    };
    let (mut parameters, mut resources) = (Json::object(), Vec::new());
    for resource in &found {
        let comment =
            has("IncludeComments").then(|| format!("Generalized from resource: '{}'.", resource.id()));
        resources.push(export.resource(resource, comment));
        let Some((kind, name)) = kind_and_name(resource.id()) else { continue };
        if export.named {
            let root = name.split('/').next().unwrap_or_default();
            let default = has("IncludeParameterDefaultValue").then_some(root);
            let parameter = Json::object().maybe("defaultValue", default).with("type", "String");
            parameters.set(&parameter_of(&kind, &name), parameter);
        }
    }
    let template = Json::object()
        .with("$schema", "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#")
        .with("contentVersion", "1.0.0.0")
        .with("parameters", parameters)
        .with("variables", Json::object())
        .with("resources", resources);
    Ok(Answer::compact(200, Json::object().with("template", template)))
}

/// The resources to export, parents before children.
fn chosen(call: &Call<'_, '_>, scope: &str) -> Result<Vec<Resource>, ArmError> {
    let wanted: Vec<String> =
        call.body.list("resources").iter().filter_map(Json::as_str).map(str::to_ascii_lowercase).collect();
    if wanted.is_empty() {
        return Err(invalid_content("'resources' must contain resource IDs or '*'"));
    }
    let all = wanted.iter().any(|id| id == "*");
    let mut found = Vec::new();
    call.state.scan(&format!("r|{}/", scope.to_ascii_lowercase()), None, |_, record| {
        let resource = Resource::from_record(record);
        let id = resource.id().to_ascii_lowercase();
        let kind = resource.doc.text("type").unwrap_or_default().to_ascii_lowercase();
        let inside = |outer: &String| {
            id.strip_prefix(outer.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let listed =
            !kind.starts_with("microsoft.authorization/") && !kind.starts_with("microsoft.resources/");
        if listed && resource.exists(call.now) && (all || wanted.iter().any(inside)) {
            found.push(resource);
        }
        true
    });
    found.sort_by_key(|resource| resource.id().to_ascii_lowercase());
    let absent = wanted
        .iter()
        .find(|id| *id != "*" && !found.iter().any(|resource| resource.id().eq_ignore_ascii_case(id)));
    match absent {
        Some(id) => Err(ArmError::gateway(
            404,
            "ResourceNotFound",
            format!("The resource '{id}' was not found in the resource group."),
        )),
        None => Ok(found),
    }
}

/// `galleries_golden_name`: the parameter for the name of a resource, or of the parent of a child.
fn parameter_of(kind: &str, name: &str) -> String {
    let (kind, name) =
        (kind.split('/').nth(1).unwrap_or_default(), name.split('/').next().unwrap_or_default());
    format!("{kind}_{name}_name").replace(|letter: char| !letter.is_ascii_alphanumeric(), "_")
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

struct Export {
    /// Whether names are parameters.
    named: bool,
    /// The IDs of all exported resources.
    ids: Vec<String>,
}

impl Export {
    fn resource(&self, resource: &Resource, comment: Option<String>) -> Json {
        let (kind, name) = kind_and_name(resource.id()).unwrap_or_default();
        let mut body = Json::object().maybe("identity", resource.doc.get("identity").map(identity));
        let mut properties = resource.doc.get("properties").cloned().unwrap_or_else(Json::object);
        FILLED_IN.iter().for_each(|key| {
            properties.remove(key);
        });
        body.set("properties", properties);
        shapes::drop_read_only(&kind.to_ascii_lowercase(), &mut body);
        let mut depends_on = Vec::new();
        if let Some((parent, _)) =
            resource.id().rsplit_once('/').and_then(|(collection, _)| collection.rsplit_once('/'))
        {
            self.reference(parent, resource.id(), &mut depends_on);
        }
        self.rewrite(&mut body, resource.id(), &mut depends_on);
        let mut shown = Json::object()
            .maybe("comments", comment)
            .with("type", kind.as_str())
            .with("apiVersion", versions_known::newest(resource.id()))
            .with("name", self.name(&kind, &name));
        for member in MEMBERS {
            if let Some(value) = resource.doc.get(member).filter(|value| value.as_str() != Some("")) {
                let mut value = value.clone();
                self.rewrite(&mut value, resource.id(), &mut depends_on);
                shown.set(member, value);
            }
        }
        if !depends_on.is_empty() {
            shown.set("dependsOn", depends_on);
        }
        for (key, value) in body.pairs() {
            shown.set(key, value);
        }
        shown
    }

    /// The name of a resource in the template.
    fn name(&self, kind: &str, name: &str) -> String {
        let parameter = format!("parameters({})", quoted(&parameter_of(kind, name)));
        match (self.named, name.split_once('/')) {
            (false, _) => name.to_owned(),
            (true, None) => format!("[{parameter}]"),
            (true, Some((_, rest))) => format!("[concat({parameter}, {})]", quoted(&format!("/{rest}"))),
        }
    }

    /// The expression for the ID of an exported resource or of its child; `None` for other IDs. An expression for a resource
    /// other than `own` is a dependency.
    fn reference(&self, id: &str, own: &str, depends_on: &mut Vec<Json>) -> Option<String> {
        let lower = id.to_ascii_lowercase();
        let exported = self.ids.iter().filter(|known| {
            lower
                .strip_prefix(&known.to_ascii_lowercase())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        let known = exported.max_by_key(|known| known.len())?;
        let (kind, name) = kind_and_name(known)?;
        let mut names: Vec<String> = name.split('/').map(quoted).collect();
        if self.named {
            names[0] = format!("parameters({})", quoted(&parameter_of(&kind, &name)));
        }
        let resource_id = format!("resourceId({}, {})", quoted(&kind), names.join(", "));
        let dependency = Json::from(format!("[{resource_id}]"));
        if !known.eq_ignore_ascii_case(own) && !depends_on.contains(&dependency) {
            depends_on.push(dependency);
        }
        Some(match &id[known.len()..] {
            "" => format!("[{resource_id}]"),
            rest => format!("[concat({resource_id}, {})]", quoted(rest)),
        })
    }

    /// Replaces the IDs of exported resources by expressions, and escapes text that would be an expression.
    fn rewrite(&self, value: &mut Json, own: &str, depends_on: &mut Vec<Json>) {
        match value {
            Json::Object(pairs) => {
                pairs.iter_mut().for_each(|(_, value)| self.rewrite(value, own, depends_on));
            }
            Json::Array(items) => items.iter_mut().for_each(|item| self.rewrite(item, own, depends_on)),
            Json::String(text) => match self.reference(text, own, depends_on) {
                Some(expression) => *text = expression,
                None if text.starts_with('[') => text.insert(0, '['),
                None => {}
            },
            _ => {}
        }
    }
}

/// The part of an identity that a client chooses.
fn identity(shown: &Json) -> Json {
    let users = shown
        .get("userAssignedIdentities")
        .map(|users| users.pairs().iter().fold(Json::object(), |all, (id, _)| all.with(id, Json::object())));
    Json::object().maybe("type", shown.get("type")).maybe("userAssignedIdentities", users)
}
