//! The meaning of "latest": chooses a version of an image, and explains why each other version was not chosen.

use super::constraint::Wanted;
use super::version::Version;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// Chooses one gallery version.
///
/// For `latest` and for a constraint it is the version with the greatest number, regardless of its published date,
/// that
/// - satisfies the constraint and has every tag of the filter,
/// - is provisioned (`Succeeded`),
/// - is not past its end of life,
/// - is not excluded from latest: the flag of the requested location takes precedence over the global flag,
/// - is replicated to the requested location, if there is one.
///
/// For an exact version only the number, the tags and the location count. A version that is excluded from latest, unfinished
/// or past its end of life can still be requested by number.
///
/// Source for exclusion and order:
/// <https://learn.microsoft.com/azure/virtual-machines/shared-image-galleries>.
pub fn select(candidates: &[Candidate], selection: &Selection<'_>) -> Selected {
    let mut skipped = BTreeMap::new();
    let mut passed: Vec<(usize, Version)> = Vec::new();
    for (index, candidate) in candidates.iter().enumerate() {
        let version = match Version::parse(&candidate.version) {
            Ok(version) => version,
            Err(error) => {
                skipped.insert(candidate.version.clone(), error.to_string());
                continue;
            }
        };
        if selection.wanted.is_exact() && !selection.wanted.matches(&version) {
            continue;
        }
        match why_not(candidate, &version, selection) {
            Some(reason) => {
                skipped.insert(candidate.version.clone(), reason);
            }
            None => passed.push((index, version)),
        }
    }

    let best = passed.iter().max_by(|(_, a), (_, b)| by_preference(a, b, selection.wanted));
    if let Some((_, best)) = best {
        for (index, version) in &passed {
            let name = &candidates[*index].version;
            if version.as_str() != best.as_str() {
                let relation = if version == best { "equal in number to" } else { "older than" };
                skipped.insert(name.clone(), format!("{relation} {best}"));
            }
        }
    }
    Selected { chosen: best.map(|(index, _)| *index), skipped }
}

/// The properties of a gallery image version that affect the choice.
#[derive(Debug, Clone, Default)]
pub struct Candidate {
    /// Its name, `1.2.0`.
    pub version: String,
    /// `publishingProfile.excludeFromLatest`.
    pub excluded_globally: bool,
    /// Its target regions, by short name such as `westeurope`.
    pub regions: BTreeMap<String, RegionState>,
    /// `provisioningState`, `Succeeded` in any case of letters.
    pub provisioning_state: String,
    /// `publishingProfile.endOfLifeDate`.
    pub end_of_life_date: Option<OffsetDateTime>,
    /// Its tags; null and empty are the same.
    pub tags: BTreeMap<String, String>,
}

/// A version in one target region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegionState {
    /// `targetRegions[].excludeFromLatest`, which takes precedence over the global flag.
    pub excluded: Option<bool>,
    /// `replicationStatus.summary[].state`; `None` if the response does not contain it, as in lists. A target region
    /// of a version that succeeded then counts as replicated.
    pub state: Option<String>,
}

/// The requested version and filters.
#[derive(Debug, Clone)]
pub struct Selection<'a> {
    /// Exact, latest, or a constraint.
    pub wanted: &'a Wanted,
    /// The short name of the region in which the version will be used.
    pub location: Option<&'a str>,
    /// Tags that the version must have: names are compared without regard to case, values exactly.
    pub tags: &'a BTreeMap<String, String>,
    /// Whether to include versions that are excluded from latest.
    pub include_excluded: bool,
    /// Whether to include versions that are not (yet) replicated to `location`.
    pub include_unreplicated: bool,
    /// The time for comparing the end of life.
    pub now: OffsetDateTime,
}

/// The result of a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// An index into the candidates; `None` if no version qualifies.
    pub chosen: Option<usize>,
    /// Why each other version was not chosen, by version; several reasons are separated by `; `. For an exact
    /// version, only that version itself can appear.
    pub skipped: BTreeMap<String, String>,
}

impl Selected {
    /// The first `limit` skipped versions with their reasons, newest first, one per line: `1.0.13: excluded from latest`.
    pub fn explain(&self, limit: usize) -> String {
        let names: Vec<&str> = self.skipped.keys().map(String::as_str).collect();
        let mut text = String::new();
        for name in sort_newest_first(names).into_iter().take(limit) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}: {}", self.skipped[name]);
        }
        if self.skipped.len() > limit {
            let _ = writeln!(text, "and {} more", self.skipped.len() - limit);
        }
        text
    }
}

/// The reasons against a version; `None` if it qualifies.
fn why_not(candidate: &Candidate, version: &Version, selection: &Selection<'_>) -> Option<String> {
    if !selection.wanted.matches(version) {
        return Some(format!("does not satisfy {}", selection.wanted));
    }
    let is_exact = selection.wanted.is_exact();
    let mut reasons = Vec::new();
    for (name, value) in selection.tags {
        let found =
            candidate.tags.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        match found {
            Some(found) if found == value => {}
            Some(found) => reasons.push(format!("its tag {name} is {found:?}, not {value:?}")),
            None => reasons.push(format!("it has no tag {name}")),
        }
    }
    if !is_exact {
        if !candidate.provisioning_state.eq_ignore_ascii_case("Succeeded") {
            let state = if candidate.provisioning_state.is_empty() {
                "unknown"
            } else {
                &candidate.provisioning_state
            };
            reasons.push(format!("its provisioning state is {state}, not Succeeded"));
        }
        if let Some(end) = candidate.end_of_life_date.filter(|end| *end <= selection.now) {
            let end = end.to_offset(UtcOffset::UTC).format(&Rfc3339).unwrap_or_else(|_| end.to_string());
            reasons.push(format!("past its end of life, {end}"));
        }
    }
    let region = selection.location.map(|location| (location, candidate.regions.get(location)));
    if !is_exact && !selection.include_excluded {
        let regional = region.and_then(|(location, state)| Some((location, state.and_then(|s| s.excluded)?)));
        match regional {
            Some((location, true)) => reasons.push(format!("excluded from latest in {location}")),
            None if candidate.excluded_globally => reasons.push("excluded from latest".to_owned()),
            Some((_, false)) | None => {}
        }
    }
    if !selection.include_unreplicated {
        match region {
            Some((location, None)) => reasons.push(format!("not replicated to {location}")),
            Some((location, Some(RegionState { state: Some(state), .. })))
                if !state.eq_ignore_ascii_case("Completed") =>
            {
                reasons.push(format!("its replication to {location} is {state}, not Completed"));
            }
            _ => {}
        }
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// Prefers the greater number; of equal numbers, the requested spelling; otherwise the order is always the same.
fn by_preference(a: &Version, b: &Version, wanted: &Wanted) -> Ordering {
    let as_asked =
        |version: &Version| matches!(wanted, Wanted::Exact(exact) if exact.as_str() == version.as_str());
    a.cmp(b).then_with(|| as_asked(a).cmp(&as_asked(b))).then_with(|| a.cmp_with_spelling(b))
}

/// Chooses a Marketplace version by its name alone: the greatest number among those that `wanted` matches.
/// Names that are not versions are skipped. The service sorts names as text, so their order is meaningless.
pub fn newest<'a>(names: impl IntoIterator<Item = &'a str>, wanted: &Wanted) -> Option<&'a str> {
    names
        .into_iter()
        .filter_map(|name| Some((name, Version::parse(name).ok()?)))
        .filter(|(_, version)| wanted.matches(version))
        .max_by(|(_, a), (_, b)| by_preference(a, b, wanted))
        .map(|(name, _)| name)
}

/// Sorts version names by number, newest first. Names that are not versions come last, sorted as text.
pub fn sort_newest_first<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut keyed: Vec<(Option<Version>, &str)> =
        names.into_iter().map(|name| (Version::parse(name).ok(), name)).collect();
    keyed.sort_by(|(a, a_name), (b, b_name)| match (a, b) {
        (Some(a), Some(b)) => b.cmp_with_spelling(a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a_name.cmp(b_name),
    });
    keyed.into_iter().map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

    /// A version in West Europe and North Europe that qualifies.
    fn good(version: &str) -> Candidate {
        let completed = RegionState { excluded: None, state: Some("Completed".to_owned()) };
        Candidate {
            version: version.to_owned(),
            provisioning_state: "Succeeded".to_owned(),
            regions: [("westeurope", completed.clone()), ("northeurope", completed)]
                .map(|(name, state)| (name.to_owned(), state))
                .into(),
            tags: [("channel".to_owned(), "prod".to_owned())].into(),
            ..Candidate::default()
        }
    }

    fn changed(version: &str, change: impl FnOnce(&mut Candidate)) -> Candidate {
        let mut candidate = good(version);
        change(&mut candidate);
        candidate
    }

    fn in_west(candidate: &mut Candidate) -> &mut RegionState {
        candidate.regions.get_mut("westeurope").expect("it is there")
    }

    struct Asked {
        wanted: &'static str,
        location: Option<&'static str>,
        tags: &'static [(&'static str, &'static str)],
        include_excluded: bool,
        include_unreplicated: bool,
    }

    const LATEST: Asked = Asked {
        wanted: "latest",
        location: None,
        tags: &[],
        include_excluded: false,
        include_unreplicated: false,
    };
    const LATEST_WEST: Asked = Asked { location: Some("westeurope"), ..LATEST };

    fn ask(candidates: &[Candidate], asked: &Asked) -> (Option<String>, BTreeMap<String, String>) {
        let wanted = Wanted::parse(asked.wanted).expect(asked.wanted);
        let tags = asked.tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let selected = select(
            candidates,
            &Selection {
                wanted: &wanted,
                location: asked.location,
                tags: &tags,
                include_excluded: asked.include_excluded,
                include_unreplicated: asked.include_unreplicated,
                now: NOW,
            },
        );
        (selected.chosen.map(|index| candidates[index].version.clone()), selected.skipped)
    }

    #[test]
    fn chooses_the_greatest_number_in_any_order() {
        for (names, latest) in [
            (vec!["1.0.12", "1.0.9", "1.0.10"], "1.0.12"),
            (vec!["9.10.3", "9.2.20"], "9.10.3"),
            (vec!["9.2.20", "9.10.3"], "9.10.3"),
            (vec!["0.0.9", "0.0.10"], "0.0.10"),
            (vec!["1234567890.1234567890.1234567890", "2.0.0"], "1234567890.1234567890.1234567890"),
        ] {
            let candidates: Vec<Candidate> = names.iter().map(|name| good(name)).collect();
            let (chosen, skipped) = ask(&candidates, &LATEST);
            assert_eq!(chosen.as_deref(), Some(latest));
            assert_eq!(skipped.len(), names.len() - 1, "each other version has a reason");
            assert!(skipped.values().all(|why| *why == format!("older than {latest}")), "{skipped:?}");
        }
        assert_eq!(ask(&[], &LATEST), (None, BTreeMap::new()));
    }

    /// Checks the result for `candidate` (2.0.0) next to a good 1.0.0: chosen (`None`), or skipped with the reason
    /// `why`.
    fn check(asked: &Asked, candidate: Candidate, why: Option<&str>) {
        let (chosen, skipped) = ask(&[good("1.0.0"), candidate], asked);
        match why {
            None => assert_eq!((chosen.as_deref(), skipped.get("2.0.0")), (Some("2.0.0"), None)),
            Some(why) => {
                assert_eq!(skipped.get("2.0.0").map(String::as_str), Some(why));
                assert_eq!(chosen.as_deref(), Some("1.0.0"), "{why}");
            }
        }
    }

    #[test]
    fn respects_exclusion_from_latest() {
        let global = || changed("2.0.0", |c| c.excluded_globally = true);
        let west = || changed("2.0.0", |c| in_west(c).excluded = Some(true));
        let all_but_west = || {
            changed("2.0.0", |c| {
                c.excluded_globally = true;
                in_west(c).excluded = Some(false);
            })
        };
        let north = Asked { location: Some("northeurope"), ..LATEST };
        let anyway = Asked { include_excluded: true, ..LATEST_WEST };

        check(&LATEST, global(), Some("excluded from latest"));
        check(&LATEST_WEST, global(), Some("excluded from latest"));
        check(&LATEST, west(), None);
        check(&LATEST_WEST, west(), Some("excluded from latest in westeurope"));
        check(&north, west(), None);
        check(&LATEST_WEST, all_but_west(), None);
        check(&north, all_but_west(), Some("excluded from latest"));
        check(&LATEST, all_but_west(), Some("excluded from latest"));
        check(&anyway, global(), None);
        check(&anyway, west(), None);
    }

    #[test]
    fn requires_replication_to_the_location() {
        let absent = || changed("2.0.0", |c| drop(c.regions.remove("westeurope")));
        let with = |state: Option<&str>| changed("2.0.0", |c| in_west(c).state = state.map(str::to_owned));
        let anyway = Asked { include_unreplicated: true, ..LATEST_WEST };

        check(&LATEST, absent(), None);
        check(&LATEST_WEST, absent(), Some("not replicated to westeurope"));
        check(&LATEST_WEST, with(Some("Completed")), None);
        check(&LATEST_WEST, with(Some("completed")), None);
        check(&LATEST_WEST, with(None), None);
        check(
            &LATEST_WEST,
            with(Some("Replicating")),
            Some("its replication to westeurope is Replicating, not Completed"),
        );
        check(
            &LATEST_WEST,
            with(Some("Failed")),
            Some("its replication to westeurope is Failed, not Completed"),
        );
        check(&LATEST, with(Some("Failed")), None);
        check(&anyway, absent(), None);
        check(&anyway, with(Some("Replicating")), None);
    }

    #[test]
    fn requires_success_and_no_end_of_life() {
        let provisioning = |state: &str| changed("2.0.0", |c| c.provisioning_state = state.to_owned());
        let ends = |date| changed("2.0.0", |c| c.end_of_life_date = Some(date));
        let everything = Asked { include_excluded: true, include_unreplicated: true, ..LATEST };

        check(&LATEST, provisioning("succeeded"), None);
        check(
            &everything,
            provisioning("Creating"),
            Some("its provisioning state is Creating, not Succeeded"),
        );
        check(&LATEST, provisioning("Failed"), Some("its provisioning state is Failed, not Succeeded"));
        check(&LATEST, provisioning(""), Some("its provisioning state is unknown, not Succeeded"));
        check(&LATEST, ends(NOW + time::Duration::SECOND), None);
        check(&LATEST, ends(NOW), Some("past its end of life, 2026-11-23T12:00:00Z"));
        check(
            &everything,
            ends(datetime!(2026-01-01 01:00 +2)),
            Some("past its end of life, 2025-12-31T23:00:00Z"),
        );
    }

    #[test]
    fn filters_by_tags_and_constraints() {
        let prod = Asked { tags: &[("Channel", "prod")], ..LATEST };
        let tagged =
            |value: &str| changed("2.0.0", |c| drop(c.tags.insert("channel".to_owned(), value.to_owned())));
        check(&prod, tagged("prod"), None);
        check(&prod, tagged("Prod"), Some("its tag Channel is \"Prod\", not \"prod\""));
        check(&prod, changed("2.0.0", |c| c.tags.clear()), Some("it has no tag Channel"));
        check(&Asked { wanted: "~> 1.0", ..LATEST }, good("2.0.0"), Some("does not satisfy ~> 1.0"));
        check(&Asked { wanted: "> 1", ..LATEST }, good("2.0.0"), None);
        let wrong_twice = changed("2.0.0", |c| {
            c.excluded_globally = true;
            c.provisioning_state = "Failed".to_owned();
        });
        check(
            &LATEST,
            wrong_twice,
            Some("its provisioning state is Failed, not Succeeded; excluded from latest"),
        );
    }

    #[test]
    fn exact_version_ignores_exclusion_and_state() {
        let exact = Asked { wanted: "2.0.0", ..LATEST };
        let hidden = || {
            changed("2.0.0", |c| {
                c.excluded_globally = true;
                c.end_of_life_date = Some(datetime!(2020-01-01 0:00 UTC));
                c.provisioning_state = "Updating".to_owned();
            })
        };
        assert_eq!(ask(&[good("3.0.0"), hidden()], &exact), (Some("2.0.0".to_owned()), BTreeMap::new()));
        assert_eq!(ask(&[good("3.0.0")], &exact), (None, BTreeMap::new()));
        // What the caller adds to the name still counts.
        let elsewhere = Asked { location: Some("eastus"), ..exact };
        let (chosen, skipped) = ask(&[hidden()], &elsewhere);
        assert_eq!(chosen, None);
        assert_eq!(skipped["2.0.0"], "not replicated to eastus");
    }

    #[test]
    fn explanation_is_newest_first_and_limited() {
        let candidates: Vec<Candidate> =
            ["1.0.9", "1.0.10", "1.0.2"].map(|name| changed(name, |c| c.excluded_globally = true)).into();
        let (wanted, tags) = (Wanted::Latest, BTreeMap::new());
        let selection = Selection {
            wanted: &wanted,
            location: None,
            tags: &tags,
            include_excluded: false,
            include_unreplicated: false,
            now: NOW,
        };
        let selected = select(&candidates, &selection);
        assert_eq!(selected.chosen, None);
        assert_eq!(
            selected.explain(2),
            "1.0.10: excluded from latest\n1.0.9: excluded from latest\nand 1 more\n"
        );
    }

    #[test]
    fn chooses_marketplace_versions_by_name() {
        let names = ["1.0.10", "1.0.12", "1.0.9", "odd", "9.10.3", "9.2.20", "9.2", "0.0.1015", "0.0.991"];
        for (wanted, found) in [
            ("latest", Some("9.10.3")),
            ("~> 1.0.0", Some("1.0.12")),
            ("~> 9.2.0", Some("9.2.20")),
            ("< 1", Some("0.0.1015")),
            ("1.0.9", Some("1.0.9")),
            ("9.2.0", Some("9.2")),
            ("1.0.11", None),
            ("> 10", None),
        ] {
            let wanted = Wanted::parse(wanted).expect(wanted);
            assert_eq!(newest(names, &wanted), found, "{wanted}");
        }
        let exact = Wanted::parse("1.2").expect("exact");
        assert_eq!(newest(["1.2.0", "1.2", "1.02"], &exact), Some("1.2"), "the requested spelling");
        assert_eq!(newest(["1.2.0", "1.2"], &Wanted::Latest), newest(["1.2", "1.2.0"], &Wanted::Latest));
        assert_eq!(
            sort_newest_first(names),
            ["9.10.3", "9.2.20", "9.2", "1.0.12", "1.0.10", "1.0.9", "0.0.1015", "0.0.991", "odd"]
        );
    }

    proptest! {
        #[test]
        fn chosen_version_is_the_greatest_that_qualifies(numbers in prop::collection::vec((0u32..3, 0u32..12, 0u32..12, any::<bool>()), 0..20)) {
            let candidates: Vec<Candidate> =
                numbers.iter().map(|(a, b, c, excluded)| changed(&format!("{a}.{b}.{c}"), |v| v.excluded_globally = *excluded)).collect();
            let greatest = numbers.iter().filter(|(.., excluded)| !excluded).map(|(a, b, c, _)| (a, b, c)).max();
            let (chosen, _) = ask(&candidates, &LATEST);
            prop_assert_eq!(chosen, greatest.map(|(a, b, c)| format!("{a}.{b}.{c}")));
        }

        #[test]
        fn sorting_keeps_every_name_and_starts_with_the_newest(names in prop::collection::vec("[0-9]{1,3}(\\.[0-9]{1,12}){1,4}", 1..30)) {
            let sorted = sort_newest_first(names.iter().map(String::as_str));
            prop_assert_eq!(newest(names.iter().map(String::as_str), &Wanted::Latest), sorted.first().copied());
            let (mut before, mut after) = (names.clone(), sorted.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
            before.sort();
            after.sort();
            prop_assert_eq!(before, after);
        }
    }
}
