//! Which versions of an image definition are kept, each with its reason, and which ones may be deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use time::OffsetDateTime;

use super::{Constraint, Version};

/// A version, with the properties that affect the decision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidate {
    /// The version number.
    pub version: String,
    /// When it was published, if that is known.
    pub published: Option<OffsetDateTime>,
    /// Whether it is excluded when resolving `latest`.
    pub excluded: bool,
    /// The state of the last operation on it.
    pub state: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Candidate {
    fn has_succeeded(&self) -> bool {
        self.state.eq_ignore_ascii_case("Succeeded")
    }

    /// Whether no operation on it is running.
    fn is_at_rest(&self) -> bool {
        self.has_succeeded() || self.state.eq_ignore_ascii_case("Failed")
    }
}

/// The rules for keeping versions. A version that satisfies one of them is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// How many of the newest versions, by number, that have succeeded and are not excluded from latest.
    pub latest: Option<usize>,
    /// Versions published within this time.
    pub newer_than: Option<Duration>,
    /// Versions that satisfy one of these constraints.
    pub versions: Vec<Constraint>,
    /// Versions with one of these tags and values.
    pub tagged: BTreeMap<String, String>,
    /// Whether versions in use are kept.
    pub in_use: bool,
}

/// The users of each version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InUse {
    /// The number of users of each version.
    pub versions: BTreeMap<String, i64>,
    /// Whether a resource, such as a scale set, always uses the latest version.
    pub latest: bool,
    /// Why users may be missing; empty if all are known.
    pub unknown: Vec<String>,
}

/// The decision for each version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// The kept versions and their reasons.
    pub kept: BTreeMap<String, String>,
    /// Versions that no rule keeps, oldest first.
    pub prunable: Vec<String>,
}

/// The reason for keeping a version that no rule keeps but another resource manages.
pub const MANAGED: &str = "managed in this configuration";

/// Applies `rules` to `candidates`. `managed` are the versions that other resources of the configuration manage.
pub fn decide(
    candidates: &[Candidate],
    rules: &Rules,
    in_use: &InUse,
    managed: &BTreeSet<String>,
    now: OffsetDateTime,
) -> Decision {
    let mut order: Vec<(Option<Version>, &Candidate)> =
        candidates.iter().map(|candidate| (Version::parse(&candidate.version).ok(), candidate)).collect();
    order.sort_by(|(a, _), (b, _)| a.cmp(b));
    let newest: Vec<&str> = order
        .iter()
        .rev()
        .filter(|(number, candidate)| number.is_some() && candidate.has_succeeded() && !candidate.excluded)
        .map(|(_, candidate)| candidate.version.as_str())
        .collect();
    let mut decision = Decision::default();
    for (number, candidate) in &order {
        let reason = reason(candidate, number.as_ref(), &newest, rules, in_use, managed, now);
        match reason {
            Some(reason) => {
                decision.kept.insert(candidate.version.clone(), reason);
            }
            None => decision.prunable.push(candidate.version.clone()),
        }
    }
    decision
}

fn reason(
    candidate: &Candidate,
    number: Option<&Version>,
    newest: &[&str],
    rules: &Rules,
    in_use: &InUse,
    managed: &BTreeSet<String>,
    now: OffsetDateTime,
) -> Option<String> {
    let version = candidate.version.as_str();
    if !candidate.is_at_rest() {
        return Some(format!("an operation on it is running ({})", candidate.state));
    }
    let Some(number) = number else {
        return Some("its name is not a version number".to_owned());
    };
    let place = newest.iter().position(|newest| *newest == version);
    if let Some((place, latest)) = place.zip(rules.latest).filter(|(place, latest)| place < latest) {
        return Some(match (place, latest) {
            (0, _) => "the latest version".to_owned(),
            _ => format!("one of the {latest} latest versions"),
        });
    }
    if let Some(time) = rules.newer_than {
        match candidate.published {
            None => return Some("its published date is not known".to_owned()),
            Some(published) if now - published < time => {
                return Some(format!("published on {}", published.date()));
            }
            Some(_) => {}
        }
    }
    if rules.versions.iter().any(|constraint| constraint.matches(number)) {
        return Some("listed in keep_versions".to_owned());
    }
    let tag = rules.tagged.iter().find(|(name, value)| {
        candidate.tags.iter().any(|(have, found)| have.eq_ignore_ascii_case(name) && found == *value)
    });
    if let Some((name, value)) = tag {
        return Some(format!("tagged {name} = {value:?}"));
    }
    if let Some(users) = in_use.versions.get(version).filter(|_| rules.in_use) {
        return Some(format!("in use by {users} resource{}", if *users == 1 { "" } else { "s" }));
    }
    if rules.in_use && in_use.latest && place == Some(0) {
        return Some("a scale set creates its instances from the latest version".to_owned());
    }
    // Checked after the rules: not every step of a run knows the managed versions, and the reason must not depend on
    // the step.
    if managed.contains(version) {
        return Some(MANAGED.to_owned());
    }
    (rules.in_use && !in_use.unknown.is_empty())
        .then(|| format!("it may be in use, since not all usage is known: {}", in_use.unknown.join("; ")))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-02 12:00:00 UTC);

    fn version(number: &str, days: i64) -> Candidate {
        Candidate {
            version: number.to_owned(),
            published: Some(NOW - time::Duration::days(days)),
            state: "Succeeded".to_owned(),
            ..Candidate::default()
        }
    }

    fn prunable(candidates: &[Candidate], rules: &Rules, in_use: &InUse, managed: &[&str]) -> String {
        let managed = managed.iter().map(|version| (*version).to_owned()).collect();
        let decision = decide(candidates, rules, in_use, &managed, NOW);
        assert_eq!(decision.kept.len() + decision.prunable.len(), candidates.len());
        decision.prunable.join(" ")
    }

    #[test]
    fn each_rule_keeps_the_versions_that_satisfy_it() {
        let mut versions = vec![
            version("1.10.0", 5),
            version("1.9.0", 20),
            version("1.2.0", 100),
            version("1.1.0", 200),
            version("1.0.0", 300),
        ];
        versions[2].tags.insert("Keep".to_owned(), "yes".to_owned());
        let constraint = |text: &str| Constraint::parse(text).unwrap();
        let none = InUse::default();
        let in_use = InUse { versions: [("1.1.0".to_owned(), 3)].into(), ..InUse::default() };
        let latest = InUse { latest: true, ..InUse::default() };
        let unknown = InUse { unknown: vec!["denied".to_owned()], ..InUse::default() };
        let rules = Rules { latest: Some(1), ..Rules::default() };
        for (rules, usage, managed, expected) in [
            (rules.clone(), &none, &[][..], "1.0.0 1.1.0 1.2.0 1.9.0"),
            (Rules { latest: Some(9), ..rules.clone() }, &none, &[], ""),
            (
                Rules { newer_than: Some(Duration::from_secs(86_400 * 101)), ..rules.clone() },
                &none,
                &[],
                "1.0.0 1.1.0",
            ),
            (
                Rules { versions: vec![constraint("~> 1.1.0"), constraint("1.0.0")], ..rules.clone() },
                &none,
                &[],
                "1.2.0 1.9.0",
            ),
            (
                Rules { tagged: [("keep".to_owned(), "yes".to_owned())].into(), ..rules.clone() },
                &none,
                &[],
                "1.0.0 1.1.0 1.9.0",
            ),
            (
                Rules { tagged: [("keep".to_owned(), "no".to_owned())].into(), ..rules.clone() },
                &none,
                &[],
                "1.0.0 1.1.0 1.2.0 1.9.0",
            ),
            (Rules { in_use: true, ..rules.clone() }, &in_use, &[], "1.0.0 1.2.0 1.9.0"),
            (Rules { in_use: true, ..Rules::default() }, &latest, &[], "1.0.0 1.1.0 1.2.0 1.9.0"),
            (Rules { in_use: true, ..rules.clone() }, &unknown, &[], ""),
            (rules.clone(), &unknown, &["1.0.0"], "1.1.0 1.2.0 1.9.0"),
            (
                Rules { newer_than: Some(Duration::ZERO), ..Rules::default() },
                &none,
                &[],
                "1.0.0 1.1.0 1.2.0 1.9.0 1.10.0",
            ),
        ] {
            assert_eq!(prunable(&versions, &rules, usage, managed), expected, "{rules:?}");
        }
    }

    #[test]
    fn only_good_versions_count_as_latest_and_running_operations_prevent_pruning() {
        let mut versions = vec![
            version("1.0.0", 9),
            version("1.1.0", 8),
            version("1.2.0", 7),
            version("1.3.0", 6),
            version("1.4.0", 5),
        ];
        versions[4].state = "Creating".to_owned();
        versions[3].state = "Failed".to_owned();
        versions[2].excluded = true;
        let rules = Rules { latest: Some(1), ..Rules::default() };
        let decision = decide(&versions, &rules, &InUse::default(), &BTreeSet::new(), NOW);
        assert_eq!(decision.prunable, ["1.0.0", "1.2.0", "1.3.0"]);
        assert_eq!(decision.kept["1.1.0"], "the latest version");
        assert!(decision.kept["1.4.0"].contains("Creating"));
    }

    #[test]
    fn a_rule_takes_precedence_over_the_configuration_as_the_reason() {
        let versions = vec![version("1.0.0", 9), version("1.1.0", 8), version("1.2.0", 7)];
        let rules = Rules { latest: Some(1), ..Rules::default() };
        let managed = ["1.1.0", "1.2.0"].map(str::to_owned).into();
        let decision = decide(&versions, &rules, &InUse::default(), &managed, NOW);
        assert_eq!(decision.prunable, ["1.0.0"]);
        assert_eq!(
            (decision.kept["1.1.0"].as_str(), decision.kept["1.2.0"].as_str()),
            (MANAGED, "the latest version")
        );
    }

    #[test]
    fn keeps_versions_whose_usage_is_unknown() {
        let mut versions = vec![version("1.0.0", 900), version("1.1.0", 800)];
        versions[0].published = None;
        let rules = Rules { newer_than: Some(Duration::from_secs(86_400)), ..Rules::default() };
        assert_eq!(prunable(&versions, &rules, &InUse::default(), &[]), "1.1.0");
    }

    #[test]
    fn reasons_state_the_rule() {
        let versions = vec![version("1.0.0", 30), version("1.1.0", 8), version("1.2.0", 7)];
        let rules = Rules { latest: Some(2), in_use: true, ..Rules::default() };
        let usage = InUse { versions: [("1.0.0".to_owned(), 1)].into(), ..InUse::default() };
        let decision = decide(&versions, &rules, &usage, &BTreeSet::new(), NOW);
        let reasons: Vec<&str> = decision.kept.values().map(String::as_str).collect();
        assert_eq!(reasons, ["in use by 1 resource", "one of the 2 latest versions", "the latest version"]);
    }

    #[test]
    fn decides_on_two_thousand_versions_quickly() {
        let versions: Vec<Candidate> =
            (0..2_000).map(|patch| version(&format!("1.0.{patch}"), 2_000 - patch)).collect();
        let rules = Rules {
            latest: Some(10),
            newer_than: Some(Duration::from_secs(86_400 * 30)),
            ..Rules::default()
        };
        let decision = decide(&versions, &rules, &InUse::default(), &BTreeSet::new(), NOW);
        assert_eq!(decision.prunable.len(), 2_000 - 29);
        assert_eq!((decision.prunable[0].as_str(), decision.prunable[1].as_str()), ("1.0.0", "1.0.1"));
    }
}
