//! Terraform values, including the unknown values of a plan.

use std::collections::BTreeMap;

use super::{Number, Type};

/// A value of any type. The schema determines which type it must have.
#[derive(Clone, Debug, Eq)]
pub enum Value {
    /// Absent.
    Null,
    /// Known only after apply.
    Unknown,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    String(String),
    /// Elements of a list or a tuple.
    List(Vec<Value>),
    /// Elements of a set, in the order in which they arrived. Sets are equal in any order.
    Set(Vec<Value>),
    /// Elements of a map.
    Map(BTreeMap<String, Value>),
    /// Attributes of an object or a block.
    Object(BTreeMap<String, Value>),
    /// A value of a dynamic attribute, with its own type.
    Dynamic(Type, Box<Value>),
}

const NULL: Value = Value::Null;

impl Value {
    /// Text.
    pub fn string(text: impl Into<String>) -> Value {
        Value::String(text.into())
    }

    /// The empty string or collection; null for any other type.
    pub fn empty(ty: &Type) -> Value {
        match ty {
            Type::String => Value::string(""),
            Type::List(_) => Value::List(Vec::new()),
            Type::Set(_) => Value::Set(Vec::new()),
            Type::Map(_) => Value::Map(BTreeMap::new()),
            _ => Value::Null,
        }
    }

    /// An integer.
    pub fn int(int: i64) -> Value {
        Value::Number(Number::Int(int))
    }

    /// An object.
    pub fn object<K: Into<String>>(fields: impl IntoIterator<Item = (K, Value)>) -> Value {
        Value::Object(fields.into_iter().map(|(k, v)| (k.into(), v)).collect())
    }

    /// A map of text.
    pub fn map<'a>(entries: impl IntoIterator<Item = (&'a String, &'a String)>) -> Value {
        Value::Map(entries.into_iter().map(|(k, v)| (k.clone(), Value::string(v.as_str()))).collect())
    }

    /// The attribute of an object: null when it is missing, unknown when the object is unknown.
    pub fn get(&self, name: &str) -> &Value {
        match self {
            Value::Object(fields) => fields.get(name).unwrap_or(&NULL),
            Value::Unknown => &Value::Unknown,
            _ => &NULL,
        }
    }

    /// Sets an attribute of an object; does nothing on anything else.
    pub fn set(&mut self, name: &str, value: Value) {
        if let Value::Object(fields) = self {
            fields.insert(name.to_owned(), value);
        }
    }

    /// The text, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// The bool, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(bool) => Some(*bool),
            _ => None,
        }
    }

    /// Elements of a list or a set; none for anything else.
    pub fn elements(&self) -> &[Value] {
        match self {
            Value::List(elements) | Value::Set(elements) => elements,
            _ => &[],
        }
    }

    /// The entries of a map; none for anything else.
    pub fn entries(&self) -> impl Iterator<Item = (&String, &Value)> {
        let map = match self {
            Value::Map(entries) => Some(entries),
            _ => None,
        };
        map.into_iter().flatten()
    }

    /// Null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Unknown as a whole; an unknown nested value does not count.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Value::Unknown)
    }

    /// Known and not null.
    pub fn is_known(&self) -> bool {
        !self.is_null() && !self.is_unknown()
    }

    /// No unknown at any depth.
    pub fn is_wholly_known(&self) -> bool {
        match self {
            Value::Unknown => false,
            Value::List(elements) | Value::Set(elements) => elements.iter().all(Value::is_wholly_known),
            Value::Map(entries) | Value::Object(entries) => entries.values().all(Value::is_wholly_known),
            Value::Dynamic(_, value) => value.is_wholly_known(),
            _ => true,
        }
    }

    /// Null or an empty collection.
    pub fn is_empty(&self) -> bool {
        match self {
            Value::Null => true,
            Value::List(elements) | Value::Set(elements) => elements.is_empty(),
            Value::Map(entries) => entries.is_empty(),
            _ => false,
        }
    }

    /// Null, an empty collection or an empty string.
    pub fn is_unset(&self) -> bool {
        self.is_empty() || self.as_str() == Some("")
    }

    /// Replaces every unknown by null.
    pub fn unknown_to_null(self) -> Value {
        match self {
            Value::Unknown => Value::Null,
            Value::List(elements) => Value::List(elements.into_iter().map(Value::unknown_to_null).collect()),
            Value::Set(elements) => Value::Set(elements.into_iter().map(Value::unknown_to_null).collect()),
            Value::Map(entries) => {
                Value::Map(entries.into_iter().map(|(k, v)| (k, v.unknown_to_null())).collect())
            }
            Value::Object(entries) => {
                Value::Object(entries.into_iter().map(|(k, v)| (k, v.unknown_to_null())).collect())
            }
            Value::Dynamic(ty, value) => Value::Dynamic(ty, Box::new(value.unknown_to_null())),
            other => other,
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) | (Value::Unknown, Value::Unknown) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Number(a), Value::Number(b)) => a == b,
            (Value::String(a), Value::String(b)) => a == b,
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Set(a), Value::Set(b)) => {
                a.len() == b.len()
                    && (a.iter().zip(b).all(|(a, b)| a == b)
                        || a.iter().all(|a| b.contains(a)) && b.iter().all(|b| a.contains(b)))
            }
            (Value::Map(a), Value::Map(b)) | (Value::Object(a), Value::Object(b)) => a == b,
            (Value::Dynamic(s, a), Value::Dynamic(t, b)) => s == t && a == b,
            _ => false,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::string(text)
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Value {
        Value::int(int)
    }
}

impl From<bool> for Value {
    fn from(bool: bool) -> Value {
        Value::Bool(bool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_equal_in_any_order() {
        let a = Value::Set(vec!["x".into(), "y".into()]);
        let b = Value::Set(vec!["y".into(), "x".into()]);
        assert_eq!(a, b);
        assert_ne!(a, Value::Set(vec!["x".into()]));
        assert_ne!(Value::List(vec!["x".into(), "y".into()]), Value::List(vec!["y".into(), "x".into()]));
    }

    #[test]
    fn finds_unknown_at_any_depth() {
        let value = Value::object([("a", Value::List(vec![Value::object([("b", Value::Unknown)])]))]);
        assert!(!value.is_wholly_known());
        assert!(value.unknown_to_null().is_wholly_known());
    }
}
