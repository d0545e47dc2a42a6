//! Resource IDs and names taken apart: the type in an ID, whether a text is an ID, the numbers of a version.

use super::errors::ArmError;

/// The type part of an ID in lower case: `microsoft.compute/virtualmachines`; `resourcegroups` for a group,
/// `resourcegroups/moveresources` for an action on a group, and an empty text for anything else.
pub fn type_of(id: &str) -> String {
    let lower = id.to_ascii_lowercase();
    let Some((_, rest)) = lower.rsplit_once("/providers/") else {
        return match lower.split('/').collect::<Vec<_>>()[..] {
            ["", "subscriptions", _, "resourcegroups", _] => "resourcegroups".to_owned(),
            ["", "subscriptions", _, "resourcegroups", _, action] => format!("resourcegroups/{action}"),
            _ => String::new(),
        };
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

/// `Major.Minor.Patch`, each a 32-bit whole number, for sorting.
pub fn version_number(name: &str) -> Option<(u32, u32, u32)> {
    let mut parts = name.split('.').map(|part| {
        let plain = !part.is_empty() && part.len() <= 10 && part.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| part.parse::<u32>().ok().filter(|n| *n <= i32::MAX as u32)).flatten()
    });
    let number = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_names() {
        for (name, valid) in [
            ("1.0.0", true),
            ("2018.12.1", true),
            ("2147483647.0.0", true),
            ("2147483648.0.0", false),
            ("1.0", false),
            ("1.0.0.0", false),
            ("v1.0.0", false),
            ("1..0", false),
            ("latest", false),
        ] {
            assert_eq!(version_number(name).is_some(), valid, "{name}");
        }
        assert!(version_number("1.10.0") > version_number("1.9.9"));
    }

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
            ("/subscriptions/s/resourceGroups/r/moveResources", "resourcegroups/moveresources"),
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
