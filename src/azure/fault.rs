//! A failed call told to the user: what was being done to which thing, why it failed, and what to do.

use crate::arm::{Error, Kind};
use crate::schema::{Diagnostic, Path};

/// The diagnostic of `error`, which ended `doing` ("creating gallery \"g\"") something to `id`.
pub fn diagnostic(error: &Error, doing: &str, id: &str) -> Diagnostic {
    tell(error, doing, &[&error.to_string(), id])
}

/// The same for what concerns no single thing.
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
    // One reason for many errors is explained in the first of them.
    if error.shared.as_ref().is_some_and(|shared| !shared.is_first_report()) {
        let cause = match error.kind {
            Kind::Credential { .. } => "Signing in to Azure failed.",
            _ => "The endpoints of the cloud could not be found.",
        };
        return Diagnostic::error(summary, format!("{cause} Another error of this run says why."));
    }
    let paragraphs: Vec<&str> = paragraphs.iter().copied().chain(remedy(error)).collect();
    Diagnostic::error(summary, paragraphs.join("\n\n"))
}

/// The same, pointing at `attribute` when the error is about what it names.
pub fn at(error: &Error, doing: &str, id: &str, attribute: Option<&'static str>) -> Diagnostic {
    let diagnostic = diagnostic(error, doing, id);
    match attribute {
        Some(attribute) => diagnostic.at(Path::attribute(attribute)),
        None => diagnostic,
    }
}

// What helps, by the code where there is one.
fn remedy(error: &Error) -> Option<&'static str> {
    match error.kind {
        Kind::Stopped => {
            return Some(
                "The run was interrupted. What the service accepted is kept in the state; apply again to go on.",
            );
        }
        Kind::TimedOut => {
            return Some("Allow more time in the timeouts block, or apply again to go on waiting.");
        }
        Kind::Transport { .. } => {
            return Some(
                "Check that the endpoint is right and can be reached from here (proxy, firewall, DNS, trusted certificates).",
            );
        }
        _ => {}
    }
    Some(match error.code.as_str() {
        "AuthorizationFailed" | "LinkedAuthorizationFailed" => {
            "Give the identity a role that allows this action on that scope; a new role assignment takes some minutes to act."
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
            "An Azure Policy forbids it: meet the policy, or have an exemption made."
        }
        "ScopeLocked" => "A management lock protects it: remove the lock first.",
        "PropertyChangeNotAllowed" => {
            "The service does not change this in place: replace the resource, or take the change back."
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
        assert_eq!(second.detail, "Signing in to Azure failed. Another error of this run says why.");
    }

    #[test]
    fn says_what_why_where_and_what_to_do() {
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
