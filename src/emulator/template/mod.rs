//! Azure Resource Manager templates, parsed and evaluated without creating anything: see [`Reading`].

mod arguments;
mod collections;
mod dates;
pub mod expression;
pub mod functions;
pub mod hash;
pub mod ids;
mod parameters;
pub mod place;
pub mod relaxed;
pub mod resources;
pub mod scope;

use super::json::Json;
use place::Place;
use resources::Item;
use scope::{Bounds, Live, Scope};

/// The members that a template may contain.
const MEMBERS: &[&str] = &[
    "$schema",
    "contentVersion",
    "apiProfile",
    "languageVersion",
    "definitions",
    "parameters",
    "variables",
    "functions",
    "resources",
    "outputs",
    "metadata",
];

/// A template with the values of its parameters, and its resources in the order in which they are created.
pub struct Reading<'a> {
    /// The resources, in the template's order.
    pub items: Vec<Item<'a>>,
    /// Indices of `items`, in the order of creation.
    pub order: Vec<usize>,
    template: &'a Json,
    scope: Scope<'a>,
}

/// Parses a template. The error is the message of an `InvalidTemplate`.
pub fn read<'a>(
    template: &'a Json,
    given: &Json,
    place: &'a Place,
    bounds: &'a Bounds,
) -> Result<Reading<'a>, String> {
    check_members(template)?;
    let mut scope = Scope::new(place, template, bounds);
    parameters::fill(&mut scope, template, given)?;
    let items = resources::read(template, &scope)?;
    let order = resources::order(&items)?;
    Ok(Reading { items, order, template, scope })
}

fn check_members(template: &Json) -> Result<(), String> {
    if !matches!(template, Json::Object(_)) {
        return Err("The template must be a JSON object.".to_owned());
    }
    for (name, _) in template.pairs() {
        if !MEMBERS.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Err(format!(
                "The emulator does not support the member '{name}' of a template; it knows {}.",
                MEMBERS.join(", ")
            ));
        }
    }
    for required in ["$schema", "contentVersion", "resources"] {
        if template.get(required).is_none() {
            return Err(format!(
                "Deployment template validation failed: 'Required property '{required}' not found in JSON.'."
            ));
        }
    }
    if template.text("languageVersion").is_some_and(|version| !version.starts_with("2.") && version != "1.0")
    {
        return Err(format!(
            "The emulator does not support the template language version '{}'.",
            template.text("languageVersion").unwrap_or_default()
        ));
    }
    Ok(())
}

impl Reading<'_> {
    /// The parameters in the form of a deployment's response: secure ones have no value.
    pub fn parameters(&self) -> Json {
        let mut shown = Json::object();
        for (name, declaration) in self.template.get("parameters").map_or(&[][..], Json::pairs) {
            let kind = parameters::kind(declaration, self.template);
            let value = self.scope.parameter(name).filter(|_| !parameters::is_secure(&kind));
            shown.set(name, Json::object().with("type", display_kind(&kind)).maybe("value", value));
        }
        shown
    }

    /// The outputs in the form of a deployment's response.
    pub fn outputs(&self, live: Live<'_>) -> Result<Json, String> {
        let scope = self.scope.live(live);
        let mut shown = Json::object();
        for (name, output) in self.template.get("outputs").map_or(&[][..], Json::pairs) {
            if let Some(condition) = output.get("condition")
                && scope.resolve(condition)? != Json::Bool(true)
            {
                continue;
            }
            let kind = parameters::kind(output, self.template);
            let value = match (output.get("copy"), output.get("value")) {
                (Some(copy), _) => scope.repeat(copy, "output")?,
                (None, Some(value)) => scope.resolve(value)?,
                (None, None) => return Err(format!("The template output '{name}' has no value.")),
            };
            let value = (!parameters::is_secure(&kind)).then_some(value);
            shown.set(name, Json::object().with("type", display_kind(&kind)).maybe("value", value));
        }
        Ok(shown)
    }
}

/// A type in the service's spelling: `securestring` is `SecureString`.
fn display_kind(kind: &str) -> &str {
    match kind {
        "string" => "String",
        "securestring" => "SecureString",
        "int" => "Int",
        "bool" => "Bool",
        "array" => "Array",
        "object" => "Object",
        "secureobject" => "SecureObject",
        other => other,
    }
}

#[cfg(test)]
mod tests;
