//! The service's errors as values: status, code, message, target, and whether the gateway or the resource provider raised it.

use super::json::Json;

/// An error response.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmError {
    /// HTTP status.
    pub status: u16,
    /// `error.code`.
    pub code: String,
    /// `error.message`.
    pub message: String,
    /// `error.target`, if the resource provider sets one.
    pub target: Option<String>,
    /// Whether ARM's front door raised it: compact body and `x-ms-failure-cause: gateway`.
    pub gateway: bool,
    /// Whether the body has no `error` wrapper (compute throttling).
    pub flat: bool,
    /// `details[]`, verbatim.
    pub details: Option<Box<Json>>,
    /// Additional headers such as Retry-After.
    pub headers: Vec<(String, String)>,
}

impl ArmError {
    /// An error raised by a resource provider.
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> ArmError {
        ArmError {
            status,
            code: code.to_owned(),
            message: message.into(),
            target: None,
            gateway: false,
            flat: false,
            details: None,
            headers: Vec::new(),
        }
    }

    /// An error raised by ARM's front door.
    pub fn gateway(status: u16, code: &str, message: impl Into<String>) -> ArmError {
        ArmError { gateway: true, ..ArmError::new(status, code, message) }
    }

    /// 400 InvalidParameter.
    pub fn parameter(target: &str, message: impl Into<String>) -> ArmError {
        ArmError::new(400, "InvalidParameter", message).target(target)
    }

    /// 400 for a missing required property.
    pub fn missing(target: &str) -> ArmError {
        ArmError::parameter(target, format!("Required parameter '{target}' is missing (null)."))
    }

    /// 409 for a property that cannot change after creation.
    pub fn unchangeable(target: &str) -> ArmError {
        ArmError::new(
            409,
            "PropertyChangeNotAllowed",
            format!("Changing property '{target}' is not allowed."),
        )
        .target(target)
    }

    /// The same error about another kind of object: replaces each old name by its new one.
    pub fn renamed(mut self, names: &[(&str, &str)]) -> ArmError {
        for (old, new) in names {
            self.message = self.message.replace(old, new);
            self.target = self.target.map(|target| target.replace(old, new));
        }
        self
    }

    /// 404 of the resource provider for a source that does not exist in the region.
    pub fn no_entity(target: &str) -> ArmError {
        ArmError::new(404, "NotFound", "The entity was not found in this Azure location.").target(target)
    }

    /// The gateway's 404 for a resource: `Microsoft.Compute/galleries/g` in group `rg`.
    pub fn no_resource(path: &str, group: &str) -> ArmError {
        ArmError::gateway(
            404,
            "ResourceNotFound",
            format!(
                "The Resource '{path}' under resource group '{group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"
            ),
        )
    }

    /// The gateway's 404 for a resource group.
    pub fn no_group(group: &str) -> ArmError {
        ArmError::gateway(
            404,
            "ResourceGroupNotFound",
            format!("Resource group '{group}' could not be found."),
        )
    }

    /// The gateway's 404 for a child of a missing parent.
    pub fn no_parent(parent: &str) -> ArmError {
        ArmError::gateway(
            404,
            "ParentResourceNotFound",
            format!(
                "Can not perform requested operation on nested resource. Parent resource '{parent}' not found."
            ),
        )
    }

    /// 501 for an operation that Azure carries out and the emulator does not. `instead` is a sentence on what to do, or empty.
    pub fn not_emulated(operation: &str, instead: &str) -> ArmError {
        let message = format!("The emulator does not support the operation '{operation}'. {instead}");
        ArmError::gateway(501, "NotEmulated", message.trim_end())
    }

    /// 405 for a method that a type does not support.
    pub fn no_method(method: &str, what: &str) -> ArmError {
        ArmError::gateway(
            405,
            "MethodNotAllowed",
            format!("The requested resource '{what}' does not support http method '{method}'."),
        )
    }

    /// Sets the target.
    pub fn target(mut self, target: &str) -> ArmError {
        self.target = Some(target.to_owned());
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> ArmError {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The body.
    pub fn body(&self) -> Json {
        let mut inner =
            Json::object().with("code", self.code.as_str()).with("message", self.message.as_str());
        if let Some(target) = &self.target {
            inner.set("target", target.as_str());
        }
        if let Some(details) = &self.details {
            inner.set("details", Json::clone(details));
        }
        if self.flat { inner } else { Json::object().with("error", inner) }
    }
}

/// ARM's 400 for a body that it cannot parse.
pub fn invalid_content(why: &str) -> ArmError {
    ArmError::gateway(
        400,
        "InvalidRequestContent",
        format!("The request content was invalid and could not be deserialized: '{why}'."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_errors_as_recorded() {
        assert_eq!(
            ArmError::no_resource("Microsoft.Compute/images/i", "rg").body().compact(),
            r#"{"error":{"code":"ResourceNotFound","message":"The Resource 'Microsoft.Compute/images/i' under resource group 'rg' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"}}"#
        );
        assert_eq!(
            ArmError::unchangeable("galleryImage.properties.osType").body().compact(),
            r#"{"error":{"code":"PropertyChangeNotAllowed","message":"Changing property 'galleryImage.properties.osType' is not allowed.","target":"galleryImage.properties.osType"}}"#
        );
    }
}
