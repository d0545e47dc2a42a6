//! The service's objects as typed structs. Only this module reads their JSON, for resources and data sources.
//!
//! Reading is lenient: a member that is missing, null or of another type is `None`, so that callers keep the known
//! value. Enumerated values get their documented spelling, regardless of the case in the response. Blocks that a
//! resource and its data source share are declared next to the code that reads them.

use serde_json::Value as Json;

use super::body;

pub mod application;
pub mod application_version;
pub mod build_step;
pub mod build_target;
pub mod definition;
pub mod gallery;
pub mod image_template;
pub mod managed_image;
pub mod soft_deleted;
pub mod source;
pub mod target_region;
pub mod version;

/// Host caching of disks.
pub const CACHING: &[&str] = &["None", "ReadOnly", "ReadWrite"];

const PROVISIONING_STATES: &[&str] =
    &["Creating", "Updating", "Migrating", "Deleting", "Succeeded", "Failed", "Canceled"];

/// The value at a dotted path, in its `documented` spelling. An undocumented value stays unchanged.
pub fn word(json: &Json, path: &str, documented: &[&str]) -> Option<String> {
    let value = body::text(json, path).filter(|value| !value.is_empty())?;
    Some(
        documented
            .iter()
            .find(|word| word.eq_ignore_ascii_case(&value))
            .map_or(value, |word| word.to_string()),
    )
}

/// The provisioning state of an object, in its documented spelling.
pub fn provisioning_state(object: &Json) -> Option<String> {
    word(object, "properties.provisioningState", PROVISIONING_STATES)
}

/// The text at a dotted path, unless it is empty: the service treats empty texts as absent.
pub fn filled(json: &Json, path: &str) -> Option<String> {
    body::text(json, path).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn enumerated_values_get_their_documented_spelling() {
        for (json, word) in [
            (json!({"properties": {"provisioningState": "succeeded"}}), Some("Succeeded")),
            (json!({"properties": {"provisioningState": "InterestinglyNew"}}), Some("InterestinglyNew")),
            (json!({"properties": {"provisioningState": ""}}), None),
            (json!({"properties": {"provisioningState": {}}}), None),
            (json!({"properties": null}), None),
        ] {
            assert_eq!(provisioning_state(&json).as_deref(), word, "{json}");
        }
    }
}
