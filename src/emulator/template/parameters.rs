//! The parameters of a template: values, defaults, and checks of types and limits.

use super::super::json::{Json, same};
use super::arguments::kind_of;
use super::collections::member;
use super::scope::Scope;

/// Adds the parameters to a scope in the order of their declarations. A default may use parameters before it.
pub fn fill(scope: &mut Scope<'_>, template: &Json, given: &Json) -> Result<(), String> {
    let declared = template.get("parameters").cloned().unwrap_or_else(Json::object);
    let unknown: Vec<&str> = given
        .pairs()
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| member(&declared, &Json::from(*name)).is_none())
        .collect();
    if !unknown.is_empty() {
        return Err(format!(
            "Deployment template validation failed: 'The template parameters '{}' in the parameters file are not valid; they are not present in the original template and can therefore not be provided at deployment time. The only supported parameters for this template are '{}'. Please see https://aka.ms/arm-pass-parameter-values for usage details.'.",
            unknown.join(", "),
            declared.pairs().iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
        ));
    }
    let mut later = Vec::new();
    for (name, declaration) in declared.pairs() {
        match member(given, &Json::from(name.as_str())) {
            Some(given) => {
                let value = value_given(name, given)?;
                check(name, declaration, template, &value)?;
                scope.set_parameter(name, value);
            }
            None => later.push((name, declaration)),
        }
    }
    let mut missing = Vec::new();
    for (name, declaration) in later {
        let nullable = declaration.flag("nullable") == Some(true);
        let value = match declaration.get("defaultValue") {
            Some(default) => scope.for_default().resolve(default)?,
            None if nullable => Json::Null,
            None => {
                missing.push(name.as_str());
                continue;
            }
        };
        check(name, declaration, template, &value)?;
        scope.set_parameter(name, value);
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "Deployment template validation failed: 'The value for the template parameter '{}' is not provided. Please see https://aka.ms/arm-create-parameter-file for usage details.'.",
        missing.join("', '")
    ))
}

fn value_given(name: &str, given: &Json) -> Result<Json, String> {
    if given.get("reference").is_some() {
        return Err(format!(
            "The template parameter '{name}' refers to a key vault, and the emulator has none; give its value."
        ));
    }
    given.get("value").cloned().ok_or_else(|| {
        format!("Deployment template validation failed: 'The template parameter '{name}' has neither a value nor a reference.'.")
    })
}

/// Resolves `$ref` to the definition of a type.
fn definition<'a>(declaration: &'a Json, template: &'a Json) -> &'a Json {
    let mut found = declaration;
    for _ in 0..20 {
        let Some(name) = found.text("$ref").and_then(|path| path.strip_prefix("#/definitions/")) else {
            break;
        };
        match template.get("definitions").and_then(|all| all.get(name)) {
            Some(next) => found = next,
            None => break,
        }
    }
    found
}

/// The type of a declaration, with references resolved, in lower case.
pub fn kind(declaration: &Json, template: &Json) -> String {
    definition(declaration, template).text("type").unwrap_or_default().to_ascii_lowercase()
}

/// Whether the values of a type are secret.
pub fn is_secure(kind: &str) -> bool {
    kind.starts_with("secure")
}

fn check(name: &str, declaration: &Json, template: &Json, value: &Json) -> Result<(), String> {
    let invalid = |why: String| format!("Deployment template validation failed: '{why}'.");
    let kind = kind(declaration, template);
    if value.is_null() && declaration.flag("nullable") == Some(true) {
        return Ok(());
    }
    let fits = match kind.as_str() {
        "string" | "securestring" => matches!(value, Json::String(_)),
        "int" => matches!(value, Json::Number(number) if number.is_i64() || number.is_u64()),
        "bool" => matches!(value, Json::Bool(_)),
        "array" => matches!(value, Json::Array(_)),
        "object" | "secureobject" => matches!(value, Json::Object(_)),
        other => {
            return Err(invalid(format!(
                "The template parameter '{name}' has the type '{other}', which is not valid."
            )));
        }
    };
    if !fits {
        return Err(invalid(format!(
            "Template parameter JToken type is not valid. Expected '{kind}'. Actual {}. Parameter '{name}'. Please see https://aka.ms/arm-deploy/#parameter-file for usage details.",
            kind_of(value)
        )));
    }
    for declaration in [declaration, definition(declaration, template)] {
        check_limits(name, declaration, value).map_err(invalid)?;
    }
    Ok(())
}

fn check_limits(name: &str, declaration: &Json, value: &Json) -> Result<(), String> {
    let allowed = declaration.list("allowedValues");
    let listed = |value: &Json| allowed.iter().any(|allowed| same(allowed, value));
    let is_allowed = allowed.is_empty()
        || listed(value)
        // An array may contain several of the allowed values.
        || matches!(value, Json::Array(items) if items.iter().all(listed));
    if !is_allowed {
        let texts: Vec<String> = allowed.iter().map(super::arguments::text_of).collect();
        return Err(format!(
            "The provided value for the template parameter '{name}' is not valid. The value '{}' is not part of the allowed value(s): '{}'.",
            super::arguments::text_of(value),
            texts.join(",")
        ));
    }
    let size = match value {
        Json::Number(number) => return check_range(name, declaration, number.as_i64().unwrap_or(i64::MAX)),
        Json::String(text) => text.chars().count(),
        Json::Array(items) => items.len(),
        _ => return Ok(()),
    };
    let limit = |key: &str| declaration.int(key).and_then(|limit| usize::try_from(limit).ok());
    if limit("minLength").is_some_and(|least| size < least)
        || limit("maxLength").is_some_and(|most| size > most)
    {
        return Err(format!(
            "The provided value for the template parameter '{name}' is not valid. Length of the value should be greater than or equal to '{}' and less than or equal to '{}'.",
            limit("minLength").unwrap_or(0),
            limit("maxLength").map_or("any".to_owned(), |most| most.to_string())
        ));
    }
    Ok(())
}

fn check_range(name: &str, declaration: &Json, value: i64) -> Result<(), String> {
    let (least, most) = (declaration.int("minValue"), declaration.int("maxValue"));
    if least.is_none_or(|least| value >= least) && most.is_none_or(|most| value <= most) {
        return Ok(());
    }
    Err(format!(
        "The provided value for the template parameter '{name}' is not valid. The value '{value}' should be between '{}' and '{}'.",
        least.unwrap_or(i64::MIN),
        most.unwrap_or(i64::MAX)
    ))
}
