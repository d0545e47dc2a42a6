//! Resource IDs taken apart: the type in an ID, and whether a text is an ID at all.

use super::errors::ArmError;

/// The type part of an ID in lower case: `microsoft.compute/virtualmachines`; `resourcegroups` for a group, and an empty
/// text for anything else.
pub fn type_of(id: &str) -> String {
    let lower = id.to_ascii_lowercase();
    let Some((_, rest)) = lower.rsplit_once("/providers/") else {
        let group =
            matches!(lower.split('/').collect::<Vec<_>>()[..], ["", "subscriptions", _, "resourcegroups", _]);
        return if group { "resourcegroups".to_owned() } else { String::new() };
    };
    let segments: Vec<&str> = rest.split('/').collect();
    let types = segments.iter().skip(1).step_by(2).copied();
    std::iter::once(segments[0]).chain(types).collect::<Vec<_>>().join("/")
}

/// Refuses a text at a path of a body that is not a resource ID.
pub fn check(id: &str, path: &str) -> Result<(), ArmError> {
    let lower = id.to_ascii_lowercase();
    let complete = lower.starts_with("/subscriptions/") && lower.matches('/').count() >= 8;
    if complete || lower.starts_with("/providers/") {
        return Ok(());
    }
    Err(ArmError::gateway(
        400,
        "LinkedInvalidPropertyId",
        format!(
            "Property id '{id}' at path '{path}' is invalid. Expect fully qualified resource Id that start with '/subscriptions/{{subscriptionId}}' or '/providers/{{resourceProviderNamespace}}/'."
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_of_an_id() {
        for (id, kind) in [
            (
                "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/virtualMachines/v",
                "microsoft.compute/virtualmachines",
            ),
            (
                "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/galleries/g/images/i/versions/1.0.0",
                "microsoft.compute/galleries/images/versions",
            ),
            ("/subscriptions/s/resourceGroups/r", "resourcegroups"),
            ("nonsense", ""),
        ] {
            assert_eq!(type_of(id), kind);
        }
    }

    #[test]
    fn names_are_not_ids() {
        assert!(check("golden-vm", "p").is_err());
        assert_eq!(check("images/x", "p").unwrap_err().code, "LinkedInvalidPropertyId");
    }
}
