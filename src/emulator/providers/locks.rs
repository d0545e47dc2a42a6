//! `Microsoft.Authorization/locks`: they reject changes to the locked resources.

use super::super::call::{Call, Method};
use super::super::errors::ArmError;

/// Rejects a change to a resource that has a lock on it or on one of its ancestors.
pub fn check(call: &Call<'_, '_>, id: &str) -> Result<(), ArmError> {
    let (wanted, verb): (&[&str], &str) = match call.method {
        Method::Get | Method::Head => return Ok(()),
        Method::Delete => (&["CanNotDelete", "ReadOnly"], "delete"),
        _ => (&["ReadOnly"], "write"),
    };
    let segments: Vec<&str> = id.trim_matches('/').split('/').collect();
    let locked = (2..=segments.len()).step_by(2).find_map(|length| {
        let scope = format!("/{}", segments[..length].join("/"));
        let lock = call
            .children(&format!("{scope}/providers/Microsoft.Authorization/locks"))
            .into_iter()
            .find(|lock| {
                lock.property_text("level")
                    .is_some_and(|level| wanted.iter().any(|name| name.eq_ignore_ascii_case(level)))
            });
        lock.map(|_| scope)
    });
    match locked {
        None => Ok(()),
        Some(scope) => Err(ArmError::gateway(
            409,
            "ScopeLocked",
            format!(
                "The scope '{id}' cannot perform {verb} operation because following scope(s) are locked: '{scope}'. Please remove the lock and try again."
            ),
        )),
    }
}
