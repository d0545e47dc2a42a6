//! `guardrails {}`: rules that a team sets for its own configurations.

use crate::arm::region;
use crate::model;
use crate::schema::spec::optional;
use crate::schema::{Diagnostic, Diagnostics, Path, Set};

model! {
    /// Rules that plans must satisfy. Each rule is off unless it is set. A violation names the attribute, the rule and the fix.
    pub struct Guardrails {
        /// Whether a violation is an `error`, which stops the run, or a warning (`warn`).
        pub mode: Option<String> = optional().one_of(&["error", "warn"]),
        /// Whether Marketplace lookups of `latest` are forbidden. A version or a constraint is required instead.
        pub deny_latest: Option<bool> = optional(),
        /// The minimum number of replicas of an image version in each target region.
        pub minimum_replicas: Option<i64> = optional().between(1, 100),
        /// Regions that every image version must be replicated to.
        pub required_regions: Option<Set<String>> = optional().equivalent_if(region::same_region),
        /// Tags that every image definition, image version and managed image must have. Default tags count.
        pub required_tags: Option<Set<String>> = optional(),
        /// Whether a new image version must be greater than the newest one in its image definition.
        pub versions_must_increase: Option<bool> = optional(),
        /// The maximum number of versions in an image definition.
        pub maximum_versions_per_definition: Option<i64> = optional().between(1, 10_000),
        /// Whether Marketplace images that are deprecated, scheduled for deprecation or withdrawn are forbidden.
        pub deny_deprecated: Option<bool> = optional(),
        /// Whether a virtual machine that is the source of a generalized image must be generalized.
        pub require_generalized_source: Option<bool> = optional(),
    }
}

impl Guardrails {
    /// The diagnostic of a violation of `rule` at `path`.
    pub fn violation(&self, rule: &str, path: Path, what: &str, fix: &str) -> Diagnostic {
        let diagnostic = match self.mode.as_deref() {
            Some("warn") => Diagnostic::warning,
            _ => Diagnostic::error,
        };
        let detail = format!("{fix}\n\nThe rule is set in the provider's guardrails {{}} block.");
        diagnostic(format!("Guardrail {rule}: {what}"), detail).at(path)
    }

    /// Applies `deny_latest` to a lookup whose version is at `path`.
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

    /// Applies `required_tags` to the names of a resource's merged tags.
    pub fn tags(&self, all: &[&str], found: &mut Diagnostics) {
        // Azure ignores the case of tag names
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

    /// Applies `deny_deprecated` to a Marketplace image in `state`; `alternative` is the publisher's proposed replacement.
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
