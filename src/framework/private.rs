//! Private state: values that a resource stores beside its attributes and that only the provider can read.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

/// Named JSON values that travel with a resource's state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Private(BTreeMap<String, Json>);

impl Private {
    /// Decodes stored bytes. Bytes that this provider did not write are dropped, so that they never fail a run.
    pub fn from_bytes(bytes: &[u8]) -> Private {
        Private(serde_json::from_slice(bytes).unwrap_or_default())
    }

    /// The bytes to store; empty if there are no values.
    pub fn to_bytes(&self) -> Vec<u8> {
        if self.0.is_empty() {
            return Vec::new();
        }
        serde_json::to_vec(&self.0).unwrap_or_default()
    }

    /// The value of `key`, if there is one of type `T`.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_value(self.0.get(key)?.clone()).ok()
    }

    /// Stores `value` as `key`.
    pub fn set<T: Serialize>(&mut self, key: &str, value: &T) {
        if let Ok(json) = serde_json::to_value(value) {
            self.0.insert(key.to_owned(), json);
        }
    }

    /// Removes `key`.
    pub fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_ignores_foreign_bytes() {
        let mut private = Private::default();
        assert!(private.to_bytes().is_empty());
        private.set("operation", &"https://x");
        let back = Private::from_bytes(&private.to_bytes());
        assert_eq!(back.get::<String>("operation").as_deref(), Some("https://x"));
        assert_eq!(Private::from_bytes(b"\xff{not json"), Private::default());
        assert_eq!(Private::from_bytes(b"[1]"), Private::default());
    }
}
