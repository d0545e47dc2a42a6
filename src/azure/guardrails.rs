//! `guardrails {}`: the rules a team sets itself against the mistakes that image teams make.

use crate::arm::region;
use crate::model;
use crate::schema::spec::optional;
use crate::schema::{Diagnostic, Diagnostics, Path, Set, Severity};

model! {
    /// Rules that stop the mistakes of image teams at plan time. Each is off until set; a violation names the
    /// attribute, the rule and the fix.
    pub struct Guardrails {
        /// What a violation is: an `error` that stops the run, or a `warn`ing.
        pub mode: Option<String> = optional().one_of(&["error", "warn"]),
        /// Forbids Marketplace lookups that ask for `latest` instead of a version or a constraint.
        pub deny_latest: Option<bool> = optional(),
        /// The fewest replicas that an image version may have in a target region.
        pub minimum_replicas: Option<i64> = optional().between(1, 100),
        /// Regions that every image version must be replicated to.
        pub required_regions: Option<Set<String>> = optional().equivalent_if(region::same_region),
        /// Tags that every image definition, image version and managed image must carry, default tags included.
        pub required_tags: Option<Set<String>> = optional(),
        /// Demands that a new image version is greater than the newest that exists in its definition.
        pub versions_must_increase: Option<bool> = optional(),
        /// The most versions that an image definition may hold.
        pub maximum_versions_per_definition: Option<i64> = optional().between(1, 10_000),
        /// Forbids Marketplace images that are deprecated, scheduled for it, or withdrawn.
        pub deny_deprecated: Option<bool> = optional(),
        /// Demands that a virtual machine that becomes a generalized image is generalized.
        pub require_generalized_source: Option<bool> = optional(),
    }
}

impl Guardrails {
    /// The diagnostic of a violation of `rule` at `path`.
    pub fn violation(&self, rule: &str, path: Path, what: &str, fix: &str) -> Diagnostic {
        let severity = match self.mode.as_deref() {
            Some("warn") => Severity::Warning,
            _ => Severity::Error,
        };
        Diagnostic {
            severity,
            summary: format!("Guardrail {rule}: {what}"),
            detail: format!("{fix}\n\nThe rule stands in the provider's guardrails {{}} block."),
            path,
        }
    }

    /// `deny_latest`, for a lookup whose version stands at `path`.
    pub fn latest(&self, path: Path, found: &mut Diagnostics) {
        if self.deny_latest == Some(true) {
            found.push(self.violation(
                "deny_latest",
                path,
                "\"latest\" is not allowed",
                "Name an exact version, or a constraint such as \"~> 22.04.202501010\", and pin what it resolves to with azimage_marketplace_pin.",
            ));
        }
    }

    /// `required_tags`, over the names of a resource's merged tags.
    pub fn tags(&self, all: &[&str], found: &mut Diagnostics) {
        // tag names in any case are the same name to Azure
        let is_missing = |name: &&String| !all.iter().any(|have| have.eq_ignore_ascii_case(name));
        let required = self.required_tags.iter().flat_map(|names| names.iter());
        let missing: Vec<String> = required.filter(is_missing).map(|name| format!("{name:?}")).collect();
        if !missing.is_empty() {
            let (noun, verb) = if missing.len() == 1 { ("tag", "is") } else { ("tags", "are") };
            let missing = missing.join(", ");
            found.push(self.violation(
                "required_tags",
                Path::attribute("tags"),
                &format!("the {noun} {missing} {verb} missing"),
                &format!("Add {missing} to tags, or to the provider's default_tags."),
            ));
        }
    }

    /// `deny_deprecated`, for a Marketplace image in `state`; `alternative` is what the publisher proposes instead.
    pub fn deprecated(
        &self,
        path: Path,
        image: &str,
        state: &str,
        alternative: Option<&str>,
        found: &mut Diagnostics,
    ) {
        if self.deny_deprecated == Some(true) && state != "Active" {
            let fix = match alternative {
                Some(alternative) => format!("The publisher proposes {alternative} instead."),
                None => "Choose a newer version, or another image.".to_owned(),
            };
            found.push(self.violation("deny_deprecated", path, &format!("{image} is {state}"), &fix));
        }
    }
}
