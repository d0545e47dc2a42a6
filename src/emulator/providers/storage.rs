//! The actions of storage accounts that tools call. Not recorded.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::errors::{ArmError, invalid_content};
use super::super::json::Json;
use super::super::operations::stable;
use super::super::resource::Resource;

/// The type's name.
pub const KIND: &str = "Microsoft.Storage/storageAccounts";

/// `POST …/checkNameAvailability`.
pub fn check_name(call: &Call<'_, '_>) -> Outcome {
    if call.method != Method::Post {
        return Err(ArmError::no_method(call.method.name(), KIND));
    }
    let name = call.body.text("name").ok_or_else(|| invalid_content("'name' is required"))?;
    let valid =
        (3..=24).contains(&name.len()) && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let mut taken = false;
    call.state.scan("r|/subscriptions/", None, |_, record| {
        let found = Resource::from_record(record);
        taken |= found.exists(call.now)
            && found.name().eq_ignore_ascii_case(name)
            && found.doc.text("type").is_some_and(|kind| kind.eq_ignore_ascii_case(KIND));
        !taken
    });
    let answer = Json::object().with("nameAvailable", valid && !taken);
    Ok(Answer::compact(
        200,
        match (valid, taken) {
            (false, _) => answer.with("reason", "AccountNameInvalid").with(
                "message",
                format!("{name} is not a valid storage account name. Storage account name must be between 3 and 24 characters in length and use numbers and lower-case letters only."),
            ),
            (true, true) => answer
                .with("reason", "AlreadyExists")
                .with("message", format!("The storage account named {name} is already taken.")),
            (true, false) => answer,
        },
    ))
}

/// `POST …/storageAccounts/{n}/listKeys`: two keys that give access to nothing.
pub fn keys(call: &Call<'_, '_>, account: &str) -> Outcome {
    let Some(found) = call.find(account) else {
        return Err(ArmError::no_parent(
            account.rsplit_once("/providers/").map_or(account, |(_, path)| path),
        ));
    };
    let key = |number: u64| {
        let bytes: Vec<u8> =
            (0..8).flat_map(|at| stable(&format!("{}{number}{at}", found.id())).to_be_bytes()).collect();
        Json::object()
            .with("creationTime", "2026-01-01T00:00:00.0000000Z")
            .with("keyName", format!("key{number}"))
            .with("value", STANDARD.encode(bytes))
            .with("permissions", "FULL")
    };
    Ok(Answer::compact(200, Json::object().with("keys", vec![key(1), key(2)])))
}

/// `POST …/storageAccounts/{n}/ListServiceSas`: a signature that gives access to the emulator's blobs only.
pub fn service_sas(call: &Call<'_, '_>, account: &str) -> Outcome {
    let Some(found) = call.find(account) else {
        return Err(ArmError::no_parent(
            account.rsplit_once("/providers/").map_or(account, |(_, path)| path),
        ));
    };
    let resource = call
        .body
        .text("canonicalizedResource")
        .ok_or_else(|| invalid_content("'canonicalizedResource' is required"))?;
    let text = |name: &str| call.body.text(name).unwrap_or_default();
    let signature = format!("{:016x}", stable(&format!("{}{resource}", found.id())));
    let token = format!(
        "sv=2015-04-05&sr={}&se={}&sp={}&sig={signature}",
        text("signedResource"),
        text("signedExpiry").replace(':', "%3A"),
        text("signedPermission")
    );
    Ok(Answer::compact(200, Json::object().with("serviceSasToken", token)))
}
