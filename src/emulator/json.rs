//! JSON whose objects keep the order of their keys, because the service's responses have a fixed order that clients print.

use std::fmt;
use std::io;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// A JSON value. `Object` is a list of pairs in their original order.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Json {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, kept in its original notation.
    Number(serde_json::Number),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object, keys in order.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// An empty object, to which [`Json::with`] adds members.
    pub fn object() -> Json {
        Json::Object(Vec::new())
    }

    /// Parses a document. Errors are serde's text with line and column.
    pub fn parse(text: &[u8]) -> Result<Json, String> {
        serde_json::from_slice(text).map_err(|error| error.to_string())
    }

    /// The value under `key`, if this is an object that contains it.
    pub fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Object(pairs) => pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The value at a dotted path such as `properties.identifier.offer`.
    pub fn at(&self, path: &str) -> Option<&Json> {
        path.split('.').try_fold(self, |value, segment| value.get(segment))
    }

    /// The string at a dotted path.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.at(path).and_then(Json::as_str)
    }

    /// The whole number at a dotted path.
    pub fn int(&self, path: &str) -> Option<i64> {
        match self.at(path) {
            Some(Json::Number(number)) => number.as_i64(),
            _ => None,
        }
    }

    /// The boolean at a dotted path.
    pub fn flag(&self, path: &str) -> Option<bool> {
        match self.at(path) {
            Some(Json::Bool(value)) => Some(*value),
            _ => None,
        }
    }

    /// The array at a dotted path; empty when absent.
    pub fn list(&self, path: &str) -> &[Json] {
        match self.at(path) {
            Some(Json::Array(items)) => items,
            _ => &[],
        }
    }

    /// This value as a string slice.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    /// The pairs of an object; empty for anything else.
    pub fn pairs(&self) -> &[(String, Json)] {
        match self {
            Json::Object(pairs) => pairs,
            _ => &[],
        }
    }

    /// True for `null`, `{}`, `[]`.
    pub fn is_empty(&self) -> bool {
        match self {
            Json::Null => true,
            Json::Array(items) => items.is_empty(),
            Json::Object(pairs) => pairs.is_empty(),
            _ => false,
        }
    }

    /// True for `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Json::Null)
    }

    /// Adds a pair at the end, or replaces the value if the key exists.
    pub fn with(mut self, key: &str, value: impl Into<Json>) -> Json {
        self.set(key, value);
        self
    }

    /// [`Json::with`] if there is a value; otherwise unchanged.
    pub fn maybe<T: Into<Json>>(self, key: &str, value: Option<T>) -> Json {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Sets one key in place. A value that is not an object becomes one.
    pub fn set(&mut self, key: &str, value: impl Into<Json>) {
        if !matches!(self, Json::Object(_)) {
            *self = Json::object();
        }
        if let Json::Object(pairs) = self {
            match pairs.iter_mut().find(|(name, _)| name == key) {
                Some((_, slot)) => *slot = value.into(),
                None => pairs.push((key.to_owned(), value.into())),
            }
        }
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &str) -> Option<Json> {
        match self {
            Json::Object(pairs) => {
                let index = pairs.iter().position(|(name, _)| name == key)?;
                Some(pairs.remove(index).1)
            }
            _ => None,
        }
    }

    /// A mutable reference to the value under `key`, which is created as an empty object if absent.
    pub fn entry(&mut self, key: &str) -> &mut Json {
        if self.get(key).is_none() {
            self.set(key, Json::object());
        }
        match self {
            Json::Object(pairs) => match pairs.iter_mut().position(|(name, _)| name == key) {
                Some(index) => &mut pairs[index].1,
                None => unreachable!("the key was set above"),
            },
            _ => unreachable!("set makes an object"),
        }
    }

    /// JSON merge patch (RFC 7396): `null` removes, objects merge, anything else replaces.
    pub fn merge_patch(&mut self, patch: &Json) {
        let Json::Object(changes) = patch else {
            *self = patch.clone();
            return;
        };
        if !matches!(self, Json::Object(_)) {
            *self = Json::object();
        }
        for (key, change) in changes {
            if change.is_null() {
                self.remove(key);
            } else {
                if self.get(key).is_none() {
                    self.set(key, Json::Null);
                }
                self.entry(key).merge_patch(change);
            }
        }
    }

    /// Serializes on one line without spaces, like ARM's own responses.
    pub fn compact(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Serializes with two spaces of indent and CRLF line endings, like the compute resource provider.
    pub fn pretty(&self) -> String {
        let mut bytes = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Crlf::default());
        if self.serialize(&mut serializer).is_err() {
            return String::new();
        }
        String::from_utf8(bytes).unwrap_or_default()
    }
}

/// Compares two values, ignoring the order of object keys.
pub fn same(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| right.get(key).is_some_and(|other| same(value, other)))
        }
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(x, y)| same(x, y)),
        _ => left == right,
    }
}

impl From<&str> for Json {
    fn from(value: &str) -> Json {
        Json::String(value.to_owned())
    }
}

impl From<String> for Json {
    fn from(value: String) -> Json {
        Json::String(value)
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Json {
        Json::Bool(value)
    }
}

impl From<i64> for Json {
    fn from(value: i64) -> Json {
        Json::Number(value.into())
    }
}

impl From<u64> for Json {
    fn from(value: u64) -> Json {
        Json::Number(value.into())
    }
}

impl From<f64> for Json {
    fn from(value: f64) -> Json {
        serde_json::Number::from_f64(value).map_or(Json::Null, Json::Number)
    }
}

impl From<Vec<Json>> for Json {
    fn from(value: Vec<Json>) -> Json {
        Json::Array(value)
    }
}

impl From<&Json> for Json {
    fn from(value: &Json) -> Json {
        value.clone()
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(value) => serializer.serialize_bool(*value),
            Json::Number(value) => value.serialize(serializer),
            Json::String(value) => serializer.serialize_str(value),
            Json::Array(items) => items.serialize(serializer),
            Json::Object(pairs) => {
                let mut map = serializer.serialize_map(Some(pairs.len()))?;
                for (key, value) in pairs {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut pairs: Vec<(String, Json)> = Vec::new();
        while let Some((key, value)) = entries.next_entry::<String, Json>()? {
            match pairs.iter_mut().find(|(name, _)| *name == key) {
                Some((_, slot)) => *slot = value,
                None => pairs.push((key, value)),
            }
        }
        Ok(Json::Object(pairs))
    }
}

/// serde_json's pretty printer with CRLF line endings.
#[derive(Default)]
struct Crlf {
    depth: usize,
    has_value: bool,
}

impl Crlf {
    fn line<W: ?Sized + io::Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"\r\n")?;
        for _ in 0..self.depth {
            writer.write_all(b"  ")?;
        }
        Ok(())
    }

    fn open<W: ?Sized + io::Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.has_value = false;
        writer.write_all(bracket)
    }

    fn close<W: ?Sized + io::Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.has_value {
            self.line(writer)?;
        }
        self.has_value = true;
        writer.write_all(bracket)
    }

    fn item<W: ?Sized + io::Write>(&self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        self.line(writer)
    }
}

impl serde_json::ser::Formatter for Crlf {
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.item(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.item(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_order() {
        let text = r#"{"b":1,"a":{"z":true,"y":null},"c":[1.5,"x"]}"#;
        assert_eq!(Json::parse(text.as_bytes()).unwrap().compact(), text);
    }

    #[test]
    fn an_operation_document_has_the_recorded_length() {
        let body = Json::object()
            .with("startTime", "2025-01-07T05:52:23.9501544+00:00")
            .with("endTime", "2025-01-07T05:52:24.1532805+00:00")
            .with("status", "Succeeded")
            .with("name", "7b8ac804-f18e-4a2f-a808-ddcd462aa5b9");
        assert_eq!(body.pretty().len(), 184);
        assert_eq!(Json::object().with("value", Vec::new()).pretty(), "{\r\n  \"value\": []\r\n}");
    }

    #[test]
    fn merge_patch_removes_and_merges() {
        let mut value = Json::parse(br#"{"tags":{"a":"1","b":"2"},"x":[1]}"#).unwrap();
        value.merge_patch(&Json::parse(br#"{"tags":{"a":null,"c":"3"},"x":[2,3],"n":{"m":1}}"#).unwrap());
        assert_eq!(value.compact(), r#"{"tags":{"b":"2","c":"3"},"x":[2,3],"n":{"m":1}}"#);
    }
}
