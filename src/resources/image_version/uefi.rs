//! `uefi_settings_json`: the UEFI settings in the service's JSON.

use serde_json::Value as Json;

use crate::azure::body;

/// The UEFI settings of a version got with `$expand=UefiSettings`.
pub fn uefi_settings(version: &Json) -> Option<String> {
    body::at(version, "properties.securityProfile.uefiSettings").map(Json::to_string)
}

/// Equal but for blanks and order of members.
pub fn same_json(a: &str, b: &str) -> bool {
    let parse = |text: &str| serde_json::from_str::<Json>(text).ok();
    a == b || parse(a).is_some_and(|a| Some(a) == parse(b))
}

/// A JSON object.
pub fn check_json(text: &str) -> Result<(), String> {
    match serde_json::from_str::<Json>(text) {
        Ok(json) if json.is_object() => Ok(()),
        Ok(_) => Err("must be a JSON object: write it with jsonencode({ … })".to_owned()),
        Err(error) => Err(format!("is no JSON ({error}): write it with jsonencode({{ … }})")),
    }
}
