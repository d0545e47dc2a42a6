//! Conversions between messages and our own types: values, paths, diagnostics, identities.

use super::proto::tfplugin5 as pb;
use crate::framework::{FunctionError, Provider, Server};
use crate::schema::{
    Diagnostic, Diagnostics, Path, Severity, Step, Type, Value, json as state_json, msgpack,
};

/// The value of type `ty` in a message, null if absent. `what` names it in errors.
pub fn value(dynamic: &Option<pb::DynamicValue>, ty: &Type, what: &str) -> Result<Value, Diagnostics> {
    let Some(dynamic) = dynamic else {
        return Ok(Value::Null);
    };
    if dynamic.msgpack.is_empty() && !dynamic.json.is_empty() {
        return json_value(&dynamic.json, ty, what);
    }
    msgpack::decode(&dynamic.msgpack, ty).map_err(|error| unreadable(what, &error.to_string()))
}

/// Whether a message holds null, without knowing its type.
pub fn absent(dynamic: &Option<pb::DynamicValue>) -> bool {
    dynamic.as_ref().is_none_or(|dynamic| match dynamic.msgpack.as_slice() {
        [] => dynamic.json.is_empty() || dynamic.json == b"null",
        [0xc0, ..] => true,
        _ => false,
    })
}

/// A value as a message.
pub fn dynamic(value: &Value, ty: &Type) -> Option<pb::DynamicValue> {
    Some(pb::DynamicValue { msgpack: msgpack::encode(value, ty), json: Vec::new() })
}

/// A JSON value of type `ty`.
pub fn json_value(bytes: &[u8], ty: &Type, what: &str) -> Result<Value, Diagnostics> {
    state_json::decode(&json(bytes, what)?, ty).map_err(|error| unreadable(what, &error.to_string()))
}

/// JSON of any shape.
pub fn json(bytes: &[u8], what: &str) -> Result<serde_json::Value, Diagnostics> {
    serde_json::from_slice(bytes).map_err(|error| unreadable(what, &error.to_string()))
}

/// The JSON of a stored state; the format of Terraform 0.11 is refused.
pub fn raw_json(raw: Option<pb::RawState>, what: &str) -> Result<Vec<u8>, Diagnostics> {
    let raw = raw.unwrap_or_default();
    if raw.json.is_empty() {
        let why = if raw.flatmap.is_empty() {
            "There is none."
        } else {
            "It has the format of Terraform 0.11, which this provider never used."
        };
        return Err(unreadable(&format!("the stored state of {what}"), why));
    }
    Ok(raw.json)
}

fn unreadable(what: &str, why: &str) -> Diagnostics {
    Diagnostic::error(format!("Reading {what} from Terraform failed"), why).into()
}

/// Messages for the user.
pub fn diagnostics(found: Diagnostics) -> Vec<pb::Diagnostic> {
    found
        .into_iter()
        .map(|diagnostic| pb::Diagnostic {
            severity: match diagnostic.severity {
                Severity::Error => pb::diagnostic::Severity::Error,
                Severity::Warning => pb::diagnostic::Severity::Warning,
            } as i32,
            attribute: path(&diagnostic.path),
            summary: diagnostic.summary,
            detail: diagnostic.detail,
        })
        .collect()
}

/// Converts paths, and leaves out empty ones.
pub fn paths(paths: &[Path]) -> Vec<pb::AttributePath> {
    paths.iter().filter_map(path).collect()
}

fn path(path: &Path) -> Option<pb::AttributePath> {
    use pb::attribute_path::{Step as PbStep, step::Selector};
    let steps: Vec<PbStep> = path
        .addressable()
        .iter()
        .map(|step| PbStep {
            selector: match step {
                Step::Attribute(name) => Some(Selector::AttributeName(name.to_string())),
                Step::Key(key) => Some(Selector::ElementKeyString(key.clone())),
                Step::Index(index) => Some(Selector::ElementKeyInt(*index)),
                Step::Element => None,
            },
        })
        .collect();
    (!steps.is_empty()).then_some(pb::AttributePath { steps })
}

/// An identity; `None` for an object that does not exist.
pub fn identity(value: &Value, ty: Type) -> Option<pb::ResourceIdentityData> {
    (!value.is_null()).then(|| pb::ResourceIdentityData { identity_data: dynamic(value, &ty) })
}

/// The value of an identity.
pub fn identity_value(data: &pb::ResourceIdentityData, ty: &Type, what: &str) -> Result<Value, Diagnostics> {
    value(&data.identity_data, ty, &format!("the identity of {what}"))
}

/// The arguments of a call, decoded as the types of the function's parameters.
pub fn arguments<P: Provider>(
    server: &Server<P>,
    request: &pb::call_function::Request,
) -> Result<Vec<Value>, FunctionError> {
    let Some(function) = server.function(&request.name) else {
        return Ok(Vec::new());
    };
    let parameters = function.signature().parameters;
    if parameters.len() != request.arguments.len() {
        return Err(FunctionError {
            text: format!(
                "{} takes {} arguments, but {} were given.",
                request.name,
                parameters.len(),
                request.arguments.len()
            ),
            argument: None,
        });
    }
    parameters
        .iter()
        .zip(&request.arguments)
        .enumerate()
        .map(|(index, (parameter, argument))| {
            msgpack::decode(&argument.msgpack, &parameter.ty)
                .map_err(|error| FunctionError::argument(index as i64, error.to_string()))
        })
        .collect()
}

/// Why a function failed.
pub fn function_error(error: FunctionError) -> pb::FunctionError {
    pb::FunctionError { text: error.text, function_argument: error.argument }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognises_null_in_every_form() {
        let dv = |msgpack: &[u8], json: &[u8]| {
            Some(pb::DynamicValue { msgpack: msgpack.to_vec(), json: json.to_vec() })
        };
        for none in [None, dv(&[], &[]), dv(&[0xc0], &[]), dv(&[], b"null")] {
            assert!(absent(&none));
            assert_eq!(value(&none, &Type::Bool, "x"), Ok(Value::Null));
        }
        assert_eq!(value(&dv(&[], b"true"), &Type::Bool, "x"), Ok(Value::Bool(true)));
        assert_eq!(value(&dv(&[0xc2], b"true"), &Type::Bool, "x"), Ok(Value::Bool(false)));
    }

    #[test]
    fn paths_end_before_set_elements() {
        let found = paths(&[
            Path::attribute("target_region").element().then("name"),
            Path::root(),
            Path::attribute("a").index(1).key("k"),
        ]);
        assert_eq!(found.iter().map(|p| p.steps.len()).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn refuses_states_of_terraform_0_11() {
        let raw = pb::RawState { json: vec![], flatmap: [("id".to_owned(), "1".to_owned())].into() };
        let found = raw_json(Some(raw), "azimage_gallery").unwrap_err();
        assert!(found.0[0].detail.contains("0.11"));
    }
}
