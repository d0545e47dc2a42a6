//! API versions for clouds that lag behind: the newest that both sides know.
//!
//! A sovereign or private cloud answers `NoRegisteredProviderFound` to a version that it does not have yet,
//! and lists those that it has.

use std::collections::HashMap;

use super::error::{Error, Kind};

/// What was learned about a cloud's versions, by kind of resource.
#[derive(Default)]
pub struct Versions {
    learned: HashMap<String, &'static str>,
}

impl Versions {
    /// The version to use for `kind` when `wanted` is preferred.
    pub fn choose(&self, kind: &str, wanted: &'static str) -> &'static str {
        self.learned.get(kind).copied().unwrap_or(wanted)
    }

    /// Looks whether `error` says that the cloud does not have the version `tried`; if so, remembers and
    /// returns the newest of `acceptable` that it does have.
    pub fn learn(
        &mut self,
        kind: &str,
        tried: &str,
        acceptable: &[&'static str],
        error: &Error,
    ) -> Option<&'static str> {
        let offered = supported(error)?;
        let best = acceptable
            .iter()
            .filter(|version| **version != tried && offered.iter().any(|have| have == *version))
            .max()?;
        self.learned.insert(kind.to_owned(), best);
        Some(best)
    }
}

/// The versions that a `NoRegisteredProviderFound` (or `InvalidResourceType`) error lists.
///
/// The text is "… The supported api-versions are '2021-07-01, 2022-03-03'. The supported locations are …".
pub fn supported(error: &Error) -> Option<Vec<String>> {
    let about_versions = ["NoRegisteredProviderFound", "InvalidResourceType", "InvalidApiVersionParameter"];
    if error.kind != Kind::Service || !about_versions.contains(&error.code()) {
        return None;
    }
    let lower = error.message.to_ascii_lowercase();
    let (_, rest) = lower.split_once("api-versions are")?;
    let list = rest.split('\'').nth(1).unwrap_or(rest);
    let versions: Vec<String> = list
        .split([',', ' '])
        .map(|version| version.trim_matches(|c: char| !c.is_ascii_alphanumeric()))
        .filter(|version| version.len() >= 10 && version.as_bytes()[4] == b'-')
        .map(str::to_owned)
        .collect();
    (!versions.is_empty()).then_some(versions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str, message: &str) -> Error {
        let mut error = Error::new(Kind::Service, message);
        code.clone_into(&mut error.code);
        error
    }

    const MESSAGE: &str = "No registered resource provider found for location 'local' and API version '2026-03-03' for type 'galleries'. The supported api-versions are '2020-09-30, 2021-07-01, 2022-03-03, 2022-03-03-preview'. The supported locations are 'local'.";

    #[test]
    fn lists() {
        assert_eq!(
            supported(&error("NoRegisteredProviderFound", MESSAGE)).unwrap(),
            ["2020-09-30", "2021-07-01", "2022-03-03", "2022-03-03-preview"]
        );
        assert_eq!(supported(&error("AuthorizationFailed", MESSAGE)), None);
        assert_eq!(supported(&error("NoRegisteredProviderFound", "nothing")), None);
    }

    #[test]
    fn the_newest_that_both_know() {
        let mut versions = Versions::default();
        let refused = error("NoRegisteredProviderFound", MESSAGE);
        let known = ["2026-03-03", "2022-03-03", "2021-07-01"];
        assert_eq!(versions.choose("galleries", "2026-03-03"), "2026-03-03");
        assert_eq!(versions.learn("galleries", "2026-03-03", &known, &refused), Some("2022-03-03"));
        assert_eq!(versions.choose("galleries", "2026-03-03"), "2022-03-03");
        assert_eq!(versions.choose("images", "2026-03-03"), "2026-03-03");
        assert_eq!(versions.learn("images", "2026-03-03", &["2026-03-03"], &refused), None);
        // The one that was just refused is not tried again.
        assert_eq!(versions.learn("galleries", "2022-03-03", &["2022-03-03"], &refused), None);
    }
}
