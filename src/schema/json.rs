//! The JSON of stored states, decoded leniently with the current schema, and of DynamicValue.

use serde_json::Value as Json;

use super::msgpack::DecodeError;
use super::{Number, Path, Type, Value};

/// Decodes a value of type `ty`. Object attributes that the type lacks are dropped, missing ones are null, and numbers and
/// bools may be strings, as in old states.
pub fn decode(json: &Json, ty: &Type) -> Result<Value, DecodeError> {
    read(json, ty, &Path::root())
}

/// Encodes `value` as state JSON; unknown becomes null.
pub fn encode(value: &Value) -> Json {
    match value {
        Value::Null | Value::Unknown => Json::Null,
        Value::Bool(bool) => Json::Bool(*bool),
        Value::Number(Number::Int(int)) => Json::from(*int),
        // a string keeps it exact; readers of states accept strings as numbers
        Value::Number(number @ (Number::Float(_) | Number::Decimal(_))) => Json::String(number.exact()),
        Value::String(text) => Json::String(text.clone()),
        Value::List(elements) | Value::Set(elements) => elements.iter().map(encode).collect(),
        Value::Map(entries) | Value::Object(entries) => {
            Json::Object(entries.iter().map(|(k, v)| (k.clone(), encode(v))).collect())
        }
        Value::Dynamic(ty, value) => {
            serde_json::json!({"type": ty.to_json(), "value": encode(value)})
        }
    }
}

fn read(json: &Json, ty: &Type, path: &Path) -> Result<Value, DecodeError> {
    let wrong = |what: &str| DecodeError { path: path.clone(), reason: format!("{what} is required") };
    match (ty, json) {
        (_, Json::Null) => Ok(Value::Null),
        (Type::Bool, Json::Bool(bool)) => Ok(Value::Bool(*bool)),
        (Type::Bool, Json::String(text)) => text.parse().map(Value::Bool).map_err(|_| wrong("a bool")),
        (Type::Number, Json::Number(number)) => {
            Number::parse(&number.to_string()).map(Value::Number).ok_or_else(|| wrong("a number"))
        }
        (Type::Number, Json::String(text)) => {
            Number::parse(text).map(Value::Number).ok_or_else(|| wrong("a number"))
        }
        (Type::String, Json::String(text)) => Ok(Value::string(text.as_str())),
        (Type::String, Json::Bool(_) | Json::Number(_)) => Ok(Value::string(json.to_string())),
        (Type::List(element), Json::Array(items)) => items
            .iter()
            .enumerate()
            .map(|(i, item)| read(item, element, &path.index(i)))
            .collect::<Result<_, _>>()
            .map(Value::List),
        (Type::Set(element), Json::Array(items)) => items
            .iter()
            .map(|item| read(item, element, &path.element()))
            .collect::<Result<_, _>>()
            .map(Value::Set),
        (Type::Tuple(types), Json::Array(items)) if types.len() == items.len() => types
            .iter()
            .zip(items)
            .enumerate()
            .map(|(i, (ty, item))| read(item, ty, &path.index(i)))
            .collect::<Result<_, _>>()
            .map(Value::List),
        (Type::Map(element), Json::Object(fields)) => fields
            .iter()
            .map(|(k, v)| Ok((k.clone(), read(v, element, &path.key(k.as_str()))?)))
            .collect::<Result<_, _>>()
            .map(Value::Map),
        (Type::Object(attributes), Json::Object(fields)) => attributes
            .iter()
            .map(|(name, ty)| {
                let json = fields.get(name).unwrap_or(&Json::Null);
                Ok((name.clone(), read(json, ty, &path.then(name.clone()))?))
            })
            .collect::<Result<_, _>>()
            .map(Value::Object),
        (Type::Dynamic, Json::Object(fields)) => {
            let ty = fields
                .get("type")
                .and_then(Type::from_json)
                .ok_or_else(|| wrong("a dynamic value with its type"))?;
            let value = read(fields.get("value").unwrap_or(&Json::Null), &ty, path)?;
            Ok(Value::Dynamic(ty, Box::new(value)))
        }
        (ty, _) => Err(wrong(&format!("a value of type {}", ty.to_json()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn decodes_states_leniently() {
        let ty = Type::object([
            ("n", Type::Number),
            ("b", Type::Bool),
            ("s", Type::set(Type::String)),
            ("new", Type::String),
        ]);
        let json = json!({"n": "0.1", "b": "true", "s": ["x"], "gone": 1});
        let value = decode(&json, &ty).unwrap();
        assert_eq!(value.get("n"), &Value::Number(Number::parse("0.1").unwrap()));
        assert_eq!(value.get("b"), &Value::Bool(true));
        assert!(value.get("new").is_null());
        assert_eq!(decode(&encode(&value), &ty).unwrap(), value);
    }

    #[test]
    fn stores_numbers_exactly() {
        for number in
            [Number::from_f64(0.1), Number::from_f64(-1e300), Number::parse("Inf"), Number::parse("0.5")]
        {
            let value = Value::Number(number.unwrap());
            assert_eq!(decode(&encode(&value), &Type::Number), Ok(value));
        }
    }

    #[test]
    fn errors_name_the_path() {
        let ty = Type::object([("a", Type::list(Type::object([("b", Type::Bool)])))]);
        let error = decode(&json!({"a": [{"b": 1}]}), &ty).unwrap_err();
        assert_eq!(error.to_string(), "a[0].b: a value of type \"bool\" is required");
    }
}
