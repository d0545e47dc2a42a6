//! Diagnostics of failed calls: what was being done to which object, why it failed, and what to do.

use crate::arm::{Error, Kind};
use crate::schema::{Diagnostic, Path};

/// The diagnostic of `error`, which failed `doing` ("creating gallery \"g\"") with the object `id`.
pub fn diagnostic(error: &Error, doing: &str, id: &str) -> Diagnostic {
    tell(error, doing, &[&error.to_string(), id])
}

/// The diagnostic of an error that concerns no single object.
pub fn bare(error: &Error, doing: &str) -> Diagnostic {
    tell(error, doing, &[&error.to_string()])
}

/// `text` with its first letter in upper case.
pub fn capital(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(first) = text.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    text
}

fn tell(error: &Error, doing: &str, paragraphs: &[&str]) -> Diagnostic {
    let summary = format!("{} failed", capital(doing));
    // a cause that many errors have in common is explained only in the first of them
    if error.shared.as_ref().is_some_and(|shared| !shared.is_first_report()) {
        let cause = match error.kind {
            Kind::Credential { .. } => "Signing in to Azure failed.",
            _ => "The endpoints of the cloud could not be found.",
        };
        return Diagnostic::error(
            summary,
            format!("{cause} See the other error of this run for the reason."),
        )
        .repeated();
    }
    let paragraphs: Vec<&str> = paragraphs.iter().copied().chain(remedy(error)).collect();
    Diagnostic::error(summary, paragraphs.join("\n\n"))
}

/// The same as [`diagnostic`], at `attribute` if the error is about the object that it names.
pub fn at(error: &Error, doing: &str, id: &str, attribute: Option<&'static str>) -> Diagnostic {
    let diagnostic = diagnostic(error, doing, id);
    match attribute {
        Some(attribute) => diagnostic.at(Path::attribute(attribute)),
        None => diagnostic,
    }
}

// The remedy, by error code if there is one.
fn remedy(error: &Error) -> Option<&'static str> {
    match error.kind {
        Kind::Stopped => {
            return Some(
                "The run was interrupted. The state contains everything that the service accepted; apply again to continue.",
            );
        }
        Kind::TimedOut => {
            return Some("Increase the timeout in the timeouts block, or apply again to continue waiting.");
        }
        Kind::Transport { .. } => {
            return Some(
                "Check that the endpoint is correct and reachable (proxy, firewall, DNS, trusted certificates).",
            );
        }
        _ => {}
    }
    Some(match error.code.as_str() {
        "AuthorizationFailed" | "LinkedAuthorizationFailed" => {
            "Give the identity a role that allows this action on that scope; a new role assignment takes a few minutes to take effect."
        }
        "ResourceGroupNotFound" => {
            "Create the resource group first, or correct its name and the subscription."
        }
        "SubscriptionNotFound" => {
            "Correct subscription_id, and check that the identity belongs to the subscription's tenant."
        }
        "ParentResourceNotFound" => "The parent does not exist: create it first, or correct its id.",
        "MissingSubscriptionRegistration" => {
            "Register the resource provider once for the subscription: az provider register --namespace Microsoft.Compute"
        }
        "RequestDisallowedByPolicy" => {
            "An Azure Policy denies the request: comply with the policy, or request an exemption."
        }
        "ScopeLocked" => "A management lock protects the resource: remove the lock first.",
        "PropertyChangeNotAllowed" => {
            "The service cannot change this in place: replace the resource, or revert the change."
        }
        "LocationNotAvailableForResourceType" => "Choose one of the regions that the message lists.",
        "InvalidAuthenticationToken" | "ExpiredAuthenticationToken" | "InvalidAuthenticationTokenTenant" => {
            "Sign in again, or correct tenant_id and the credentials of the provider block."
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arm::error::Shared;

    #[test]
    fn explains_a_shared_failure_once() {
        let mut error = Error::new(Kind::Credential { transient: false }, "All sign-in methods failed.");
        error.shared = Some(Shared::default());
        let first = bare(&error, "reading gallery \"a\"");
        assert!(first.detail.contains("All sign-in methods failed."), "{}", first.detail);
        let second = bare(&error.clone(), "reading gallery \"b\"");
        assert_eq!(second.summary, "Reading gallery \"b\" failed");
        assert_eq!(
            second.detail,
            "Signing in to Azure failed. See the other error of this run for the reason."
        );
    }

    #[test]
    fn diagnostic_contains_action_cause_attribute_and_remedy() {
        let mut error = Error::new(Kind::Service, "The client may not.");
        error.code = "AuthorizationFailed".to_owned();
        error.status = Some(403);
        let told = diagnostic(&error, "creating gallery \"g\"", "/subscriptions/1/…/g");
        assert_eq!(told.summary, "Creating gallery \"g\" failed");
        for part in ["The client may not.", "/subscriptions/1/…/g", "AuthorizationFailed", "role"] {
            assert!(told.detail.contains(part), "{part} in {}", told.detail);
        }
    }
}
