//! The error at the end of a test: the image failed, or the test was inconclusive.

use super::run_command::Ran;
use crate::arm::{Error, ResourceId};
use crate::azure::fault;
use crate::schema::{Diagnostic, Diagnostics};

/// The most lines of output in an error.
const LINES: usize = 20;
/// The most characters of a line of output in an error.
const WIDTH: usize = 240;

/// Why a test did not pass.
#[derive(Debug)]
pub struct Trouble {
    /// Whether the image is to blame. Otherwise it was not judged.
    pub was_judged: bool,
    /// What to tell the user.
    pub diagnostics: Diagnostics,
}

impl Trouble {
    /// The image failed.
    pub fn failed(diagnostics: impl Into<Diagnostics>) -> Trouble {
        Trouble { was_judged: true, diagnostics: diagnostics.into() }
    }

    /// The image was not judged.
    pub fn inconclusive(diagnostics: impl Into<Diagnostics>) -> Trouble {
        Trouble { was_judged: false, diagnostics: diagnostics.into() }
    }
}

/// The words for the results of one version's test.
pub struct Verdict {
    version: String,
}

impl Verdict {
    /// For a test of `version`.
    pub fn new(version: &ResourceId) -> Verdict {
        Verdict { version: version.names().join("/") }
    }

    /// The error of an image that failed: it `does not become ready`.
    pub fn failed(&self, how: &str, why: &str) -> Diagnostic {
        Diagnostic::error(format!("The tested image {how}"), format!("{}: {why}", self.version))
    }

    /// The error of a check that failed, with the end of its output.
    pub fn failed_check(&self, what: &str, why: &str, ran: &Ran) -> Diagnostic {
        let mut detail = format!("{}: {why}", self.version);
        for (name, text) in [("output", &ran.output), ("error output", &ran.error)] {
            let tail = tail(text);
            if !tail.is_empty() {
                detail += &format!("\n\nThe end of its {name}:\n{tail}");
            }
        }
        Diagnostic::error(format!("The tested image fails {what}"), detail)
    }

    /// The error of a test that says nothing about the image.
    pub fn not_judged(&self, why: &str) -> Diagnostic {
        Diagnostic::error(
            "The image test is inconclusive",
            format!("inconclusive: the image was not judged.\n\n{}: {why}", self.version),
        )
    }

    /// The same for a failed call.
    pub fn inconclusive(&self, error: &Error, doing: &str, id: &str) -> Diagnostic {
        if error.is_stopped() {
            let why = "The run was interrupted. The next apply tests again, and removes what this run may have left.";
            return self.not_judged(why);
        }
        let told = fault::diagnostic(error, doing, id);
        let remedy = remedy(error).map(|remedy| format!("\n\n{remedy}")).unwrap_or_default();
        self.not_judged(&format!("{}. {}{remedy}", told.summary, told.detail))
    }

    /// What a failed call says about the image: nothing, unless the machine ran and its first start did not end.
    pub fn of(&self, error: &Error, doing: &str, id: &str) -> Trouble {
        if !error.code().starts_with("OSProvisioning") {
            return Trouble::inconclusive(self.inconclusive(error, doing, id));
        }
        let told = fault::diagnostic(error, doing, id);
        let why = format!(
            "{}\n\nThe machine runs, and its first start did not end well. The usual reason is an image that was captured without `waagent -deprovision+user` (Linux) or Sysprep (Windows), or that lacks cloud-init or the agent.",
            told.detail
        );
        Trouble::failed(self.failed("does not start", &why))
    }
}

fn remedy(error: &Error) -> Option<&'static str> {
    let is_quota = error.message.to_ascii_lowercase().contains("quota");
    Some(match error.code() {
        "QuotaExceeded" => QUOTA,
        "OperationNotAllowed" if is_quota => QUOTA,
        "SkuNotAvailable" => "Choose another vm_size or location.",
        "AllocationFailed"
        | "ZonalAllocationFailed"
        | "OverconstrainedAllocationRequest"
        | "OverconstrainedZonalAllocationRequest" => {
            "The region has no capacity for this size at the moment: apply again later, or choose another vm_size."
        }
        "GalleryImageNotFound" => {
            "The version is not replicated to the machine's region: add the region to the version, or choose another location."
        }
        "SubnetIsFull" => "The subnet has no free address: choose another subnet_id.",
        "InvalidResourceReference" | "NetcfgInvalidSubnet" | "InvalidParameter" | "SubnetNotFound" => {
            "Check subnet_id, and that its virtual network is in the machine's region and subscription."
        }
        "VMMarketplaceInvalidInput"
        | "MarketplacePurchaseEligibilityFailed"
        | "ResourcePurchaseValidationFailed" => {
            "The image carries a Marketplace plan: accept its terms in this subscription with an azimage_marketplace_agreement, and set purchase_plan in the image definition."
        }
        _ => return None,
    })
}

const QUOTA: &str = "Ask for more quota, or choose another vm_size or location.";

/// The last lines of a text, without control characters.
pub fn tail(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            // a terminal's escape sequence ends with a letter
            '\u{1b}' if characters.next_if_eq(&'[').is_some() => {
                while characters.next().is_some_and(|c| !c.is_ascii_alphabetic()) {}
            }
            '\n' => plain.push('\n'),
            '\t' => plain.push(' '),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    let lines: Vec<&str> = plain.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let last = lines.len().saturating_sub(LINES);
    let short = lines[last..].iter().map(|line| line.chars().take(WIDTH).collect::<String>());
    short.map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arm::Kind;

    const ID: &str = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries/g/images/web/versions/1.0.0";

    fn of(code: &str, message: &str) -> Trouble {
        let mut error = Error::new(Kind::Operation, message);
        code.clone_into(&mut error.code);
        Verdict::new(&ResourceId::parse(ID).unwrap()).of(&error, "starting a machine", "/vm")
    }

    #[test]
    fn only_a_first_start_that_fails_judges_the_image() {
        for (code, message, was_judged, says) in [
            ("OSProvisioningTimedOut", "OS Provisioning did not finish", true, "deprovision"),
            ("OSProvisioningClientError", "x", true, "g/web/1.0.0"),
            ("QuotaExceeded", "x", false, "more quota"),
            ("OperationNotAllowed", "exceeding approved Quota", false, "more quota"),
            ("OperationNotAllowed", "x", false, "inconclusive: the image was not judged"),
            ("SkuNotAvailable", "x", false, "another vm_size"),
            ("AllocationFailed", "x", false, "no capacity"),
            ("GalleryImageNotFound", "x", false, "not replicated"),
            ("InternalServerError", "x", false, "inconclusive: the image was not judged"),
        ] {
            let trouble = of(code, message);
            let told = trouble.diagnostics.0[0].to_string();
            assert_eq!(trouble.was_judged, was_judged, "{code}");
            assert!(told.contains(says) && told.contains(code), "{told}");
            assert_eq!(told.contains("inconclusive"), !was_judged, "{told}");
        }
    }

    #[test]
    fn tails_are_short_and_without_control_characters() {
        let text: String = (0..100).map(|line| format!("\u{1b}[31mline {line}\u{1b}[0m\r\n")).collect();
        let shown = tail(&text);
        assert_eq!(shown.lines().count(), LINES);
        assert!(shown.starts_with("  line 80") && shown.ends_with("line 99"), "{shown}");
        assert_eq!(tail(&"x".repeat(1000)).len(), WIDTH + 2);
        assert_eq!(tail("\n\n"), "");
    }
}
