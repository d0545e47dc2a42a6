//! `uefi_settings_json`: the UEFI settings in the service's JSON, checked at plan.

use serde_json::Value as Json;

use crate::arm::{Scope, Target};
use crate::azure::Context;
use crate::azure::objects::version::Version;

const TEMPLATES: &[&str] =
    &["NoSignatureTemplate", "MicrosoftUefiCertificateAuthorityTemplate", "MicrosoftWindowsTemplate"];
const KEY_TYPES: &[&str] = &["sha256", "x509"];

/// The UEFI settings of the version at `target`, which the service returns on request only.
pub async fn settings(context: &Context, scope: &Scope, target: &Target) -> Option<String> {
    let expanded = target.clone().query("$expand", "UefiSettings");
    let version = context.client.get_opt(scope, &expanded).await.ok()??;
    Version::read(&version).uefi_settings_json
}

/// Whether two JSON texts have the same meaning.
pub fn same_json(a: &str, b: &str) -> bool {
    let parse = |text: &str| serde_json::from_str::<Json>(text).ok();
    a == b || parse(a).is_some_and(|a| Some(a) == parse(b))
}

/// Checks the names and shapes that the service documents.
pub fn check_json(text: &str) -> Result<(), String> {
    let settings: Json = serde_json::from_str(text)
        .map_err(|error| format!("is not valid JSON ({error}); use jsonencode({{ … }})"))?;
    let settings = members(&settings, "the settings", &["signatureTemplateNames", "additionalSignatures"])?;
    if let Some(names) = settings.get("signatureTemplateNames") {
        for name in list(names, "signatureTemplateNames")? {
            if !name.as_str().is_some_and(|name| TEMPLATES.contains(&name)) {
                return Err(format!("signatureTemplateNames contains {name}; use {}", TEMPLATES.join(", ")));
            }
        }
    }
    let Some(signatures) = settings.get("additionalSignatures") else { return Ok(()) };
    let signatures = members(signatures, "additionalSignatures", &["pk", "kek", "db", "dbx"])?;
    for (name, keys) in signatures {
        if name == "pk" {
            check_key(keys, "additionalSignatures.pk")?;
        } else {
            let place = format!("additionalSignatures.{name}");
            for key in list(keys, &place)? {
                check_key(key, &place)?;
            }
        }
    }
    Ok(())
}

fn check_key(key: &Json, place: &str) -> Result<(), String> {
    let key = members(key, place, &["type", "value"])?;
    if !key.get("type").and_then(Json::as_str).is_some_and(|ty| KEY_TYPES.contains(&ty)) {
        return Err(format!("{place} needs a type: {}", KEY_TYPES.join(" or ")));
    }
    let values = list(key.get("value").unwrap_or(&Json::Null), &format!("{place}.value"))?;
    if values.is_empty() || !values.iter().all(|value| value.as_str().is_some_and(is_base64)) {
        return Err(format!("{place}.value must be a list of base64 texts; use filebase64(\"…\")"));
    }
    Ok(())
}

fn members<'j>(
    json: &'j Json,
    place: &str,
    allowed: &[&str],
) -> Result<&'j serde_json::Map<String, Json>, String> {
    let object = json.as_object().ok_or_else(|| format!("{place} must be a JSON object"))?;
    match object.keys().find(|name| !allowed.contains(&name.as_str())) {
        None => Ok(object),
        Some(unknown) => Err(format!("{place} must not contain {unknown:?}; use {}", allowed.join(", "))),
    }
}

fn list<'j>(json: &'j Json, place: &str) -> Result<&'j Vec<Json>, String> {
    json.as_array().ok_or_else(|| format!("{place} must be a list"))
}

fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    !digits.is_empty()
        && text.len().is_multiple_of(4)
        && text.len() - digits.len() <= 2
        && digits.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_documented_settings() {
        let rows = [
            (r#"{"signatureTemplateNames":["MicrosoftWindowsTemplate"]}"#, None),
            (
                r#"{"additionalSignatures":{"pk":{"type":"x509","value":["AAAA"]},"db":[{"type":"sha256","value":["AA=="]}]}}"#,
                None,
            ),
            ("{}", None),
            ("[]", Some("must be a JSON object")),
            ("{", Some("is not valid JSON")),
            (r#"{"foo":1}"#, Some("must not contain \"foo\"")),
            (r#"{"signatureTemplateNames":"MicrosoftWindowsTemplate"}"#, Some("must be a list")),
            (r#"{"signatureTemplateNames":["Windows"]}"#, Some("MicrosoftWindowsTemplate")),
            (
                r#"{"additionalSignatures":{"pk":[{"type":"x509","value":["AAAA"]}]}}"#,
                Some("pk must be a JSON object"),
            ),
            (
                r#"{"additionalSignatures":{"kek":{"type":"x509","value":["AAAA"]}}}"#,
                Some("kek must be a list"),
            ),
            (r#"{"additionalSignatures":{"db":[{"type":"md5","value":["AAAA"]}]}}"#, Some("sha256 or x509")),
            (r#"{"additionalSignatures":{"db":[{"type":"x509","value":["-----BEGIN"]}]}}"#, Some("base64")),
            (r#"{"additionalSignatures":{"db":[{"type":"x509","value":[]}]}}"#, Some("base64")),
        ];
        for (text, says) in rows {
            let checked = check_json(text);
            match says {
                None => assert_eq!(checked, Ok(()), "{text}"),
                Some(says) => {
                    assert!(checked.clone().is_err_and(|why| why.contains(says)), "{text}: {checked:?}")
                }
            }
        }
    }
}
