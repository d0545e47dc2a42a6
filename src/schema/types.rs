//! Terraform's type constraints and their JSON spelling, as used in attribute schemas.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

/// A type of a value. JSON: `"string"`, `["list","string"]`, `["object",{"a":"bool"}]`, `["tuple",[…]]`, `"dynamic"`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Type {
    /// UTF-8 text.
    String,
    /// An arbitrary-precision number.
    Number,
    /// True or false.
    Bool,
    /// Any type: each value carries its own.
    Dynamic,
    /// Ordered, one element type.
    List(Box<Type>),
    /// Unordered, no duplicates, one element type.
    Set(Box<Type>),
    /// String keys, one element type.
    Map(Box<Type>),
    /// Fixed attributes.
    Object(BTreeMap<String, Type>),
    /// Fixed length, with a type for each position.
    Tuple(Vec<Type>),
}

impl Type {
    /// `list(element)`.
    pub fn list(element: Type) -> Type {
        Type::List(Box::new(element))
    }

    /// `set(element)`.
    pub fn set(element: Type) -> Type {
        Type::Set(Box::new(element))
    }

    /// `map(element)`.
    pub fn map(element: Type) -> Type {
        Type::Map(Box::new(element))
    }

    /// `object({…})`.
    pub fn object<K: Into<String>>(attributes: impl IntoIterator<Item = (K, Type)>) -> Type {
        Type::Object(attributes.into_iter().map(|(name, ty)| (name.into(), ty)).collect())
    }

    /// The JSON form of protocol 5.
    pub fn to_json(&self) -> Json {
        match self {
            Type::String => json!("string"),
            Type::Number => json!("number"),
            Type::Bool => json!("bool"),
            Type::Dynamic => json!("dynamic"),
            Type::List(element) => json!(["list", element.to_json()]),
            Type::Set(element) => json!(["set", element.to_json()]),
            Type::Map(element) => json!(["map", element.to_json()]),
            Type::Object(attributes) => {
                let fields: serde_json::Map<String, Json> =
                    attributes.iter().map(|(name, ty)| (name.clone(), ty.to_json())).collect();
                json!(["object", fields])
            }
            Type::Tuple(elements) => {
                json!(["tuple", elements.iter().map(Type::to_json).collect::<Vec<_>>()])
            }
        }
    }

    /// The bytes of `Schema.Attribute.type`.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_json().to_string().into_bytes()
    }

    /// Parses the JSON form; `None` if it is not a type.
    pub fn from_json(json: &Json) -> Option<Type> {
        match json {
            Json::String(name) => match name.as_str() {
                "string" => Some(Type::String),
                "number" => Some(Type::Number),
                "bool" => Some(Type::Bool),
                "dynamic" => Some(Type::Dynamic),
                _ => None,
            },
            Json::Array(parts) => match (parts.first()?.as_str()?, parts.get(1)?) {
                ("list", element) => Some(Type::list(Type::from_json(element)?)),
                ("set", element) => Some(Type::set(Type::from_json(element)?)),
                ("map", element) => Some(Type::map(Type::from_json(element)?)),
                ("object", Json::Object(fields)) => fields
                    .iter()
                    .map(|(name, ty)| Some((name.clone(), Type::from_json(ty)?)))
                    .collect::<Option<BTreeMap<_, _>>>()
                    .map(Type::Object),
                ("tuple", Json::Array(elements)) => {
                    elements.iter().map(Type::from_json).collect::<Option<Vec<_>>>().map(Type::Tuple)
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// The name in documentation: `string`, `set(string)`, `map(string)`, `list(object)`.
    pub fn friendly(&self) -> String {
        match self {
            Type::String => "String".into(),
            Type::Number => "Number".into(),
            Type::Bool => "Boolean".into(),
            Type::Dynamic => "Dynamic".into(),
            Type::List(element) => format!("List of {}", element.friendly()),
            Type::Set(element) => format!("Set of {}", element.friendly()),
            Type::Map(element) => format!("Map of {}", element.friendly()),
            Type::Object(_) => "Object".into(),
            Type::Tuple(_) => "Tuple".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_round_trips() {
        let ty = Type::object([
            ("a", Type::String),
            ("b", Type::list(Type::set(Type::Number))),
            ("c", Type::map(Type::Bool)),
            ("d", Type::Tuple(vec![Type::Dynamic, Type::String])),
        ]);
        assert_eq!(Type::from_json(&ty.to_json()), Some(ty.clone()));
        assert_eq!(
            String::from_utf8_lossy(&ty.to_bytes()),
            r#"["object",{"a":"string","b":["list",["set","number"]],"c":["map","bool"],"d":["tuple",["dynamic","string"]]}]"#
        );
    }

    #[test]
    fn rejects_json_that_is_not_a_type() {
        for text in [r#""text""#, "[]", r#"["list"]"#, r#"["object",[]]"#, "3", r#"["map",["x"]]"#] {
            let json: Json = serde_json::from_str(text).unwrap();
            assert_eq!(Type::from_json(&json), None, "{text}");
        }
    }
}
