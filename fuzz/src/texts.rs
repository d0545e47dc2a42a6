//! Fuzzes texts in configurations and headers of services: parsed values are displayed as they were written, and
//! compare consistently.

use std::cmp::Ordering;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use azimage::arm::duration::readable;
use azimage::arm::retry_after::retry_after as read_retry_after;
use azimage::arm::{ResourceId, Response, id as ids};
use azimage::framework::timeouts::parse_duration;
use azimage::image::latest::{newest, sort_newest_first};
use azimage::image::nearest::{did_you_mean, nearest_names, nearest_versions};
use azimage::image::version::{Part, Version, bump, check_gallery_version};
use azimage::image::{Constraint, Urn, Wanted};
use time::OffsetDateTime;

fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The input is a URN, and optionally a second line with a URN to compare it with.
pub fn urn(data: &[u8]) {
    let Some(all) = text(data) else { return };
    let (one, other) = all.split_once('\n').unwrap_or((all, "Canonical:ubuntu:22_04:latest"));
    let urn = match Urn::parse(one) {
        Ok(urn) => urn,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(Urn::parse_exact(one).is_err());
            return;
        }
    };
    assert_eq!(urn.to_string(), one, "a URN keeps its spelling");
    assert_eq!(Urn::new(&urn.publisher, &urn.offer, &urn.sku, &urn.version).as_ref(), Ok(&urn));
    assert_eq!(Urn::parse_exact(one).is_ok(), urn.is_exact());
    assert!(!(urn.is_latest() && urn.is_exact()));
    assert!(urn.is_same_image(&urn));
    let pinned = urn.with_version("1.2.3");
    assert!(pinned.is_exact() && pinned.is_same_image(&urn));
    assert_eq!(Urn::parse(&pinned.to_string()), Ok(pinned));
    if let Ok(other) = Urn::parse(other) {
        assert_eq!(urn.is_same_image(&other), other.is_same_image(&urn));
    }
}

/// The input is an ARM ID, and optionally a second line with an ID to compare it with.
pub fn id(data: &[u8]) {
    let Some(all) = text(data) else { return };
    let (one, other) = all.split_once('\n').unwrap_or((all, all));
    assert_eq!(ids::same_id(one, other), ids::same_id(other, one));
    let id = match ResourceId::parse(one) {
        Ok(id) => id,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let canonical = id.to_string();
    let again = ResourceId::parse(&canonical).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again.to_string(), canonical, "the canonical form is stable");
    assert_eq!((&again, hash(&again)), (&id, hash(&id)));
    assert!(ids::same_id(one, &canonical), "{one:?} and {canonical:?}");
    let upper = ResourceId::parse(&one.to_ascii_uppercase()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(upper, id, "case is ignored");
    assert_eq!(id.types().len(), id.names().len());
    let kind = id.resource_type();
    if !id.types().is_empty() {
        assert!(id.is_a(&kind) && ResourceId::parse_as(one, &kind).is_ok());
        assert_eq!(id.child("images", "i").parent().as_ref(), Some(&id));
    }
    assert!(!ids::shape(&kind).is_empty());
    let (mut above, mut steps) = (id.parent(), 0);
    while let Some(parent) = above {
        assert!(canonical.to_lowercase().starts_with(&parent.to_string().to_lowercase()));
        assert_eq!(ResourceId::parse(&parent.to_string()).as_ref(), Ok(&parent));
        above = parent.parent();
        steps += 1;
        assert!(steps <= id.types().len() + 2, "the chain of parents ends");
    }
    if let Ok(other) = ResourceId::parse(other) {
        assert_eq!(id.eq(&other), other.eq(&id));
        assert!(id != other || hash(&id) == hash(&other));
    }
}

/// The input is a constraint, followed by lines with versions.
pub fn constraint(data: &[u8]) {
    let Some(all) = text(data) else { return };
    let mut lines = all.split('\n');
    let first = lines.next().unwrap_or_default();
    let names: Vec<&str> = lines.take(12).collect();
    let versions: Vec<Version> = names.iter().filter_map(|name| Version::parse(name).ok()).collect();
    assert_ordered(&versions);
    for version in &versions {
        check_bumps(version);
    }
    let constraint = Constraint::parse(first);
    if let Ok(constraint) = &constraint {
        let written = constraint.to_string();
        let again = Constraint::parse(&written).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((&again, again.to_string()), (constraint, written));
        for version in &versions {
            let other = Version::parse(&format!("0{version}.0")).expect("zeros are ignored");
            assert_eq!(constraint.matches(version), again.matches(&other));
        }
    }
    match Wanted::parse(first) {
        Ok(wanted) => {
            assert_eq!(Wanted::parse(&wanted.to_string()).as_ref(), Ok(&wanted));
            let best = newest(names.iter().copied(), &wanted);
            if let Some(best) = best.and_then(|best| Version::parse(best).ok()) {
                assert!(wanted.matches(&best));
                for version in versions.iter().filter(|version| wanted.matches(version)) {
                    assert!(*version <= best, "{version} is newer than {best}");
                }
            }
            assert!(nearest_versions(&wanted, names.iter().copied()).len() <= names.len());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let sorted = sort_newest_first(names.iter().copied());
    assert_eq!(sort_newest_first(sorted.iter().copied()), sorted, "sorting is idempotent");
    let near = nearest_names(first, names.iter().copied());
    assert!(near.iter().all(|name| names.contains(name)));
    did_you_mean(&near);
}

// Fails unless the order is total and consistent with equality and hashes.
fn assert_ordered(versions: &[Version]) {
    for a in versions {
        assert_eq!(
            Version::parse(a.as_str()).map(|again| again.as_str().to_owned()),
            Ok(a.as_str().to_owned())
        );
        assert_eq!(a.cmp_with_spelling(a), Ordering::Equal);
        for b in versions {
            assert_eq!(a.cmp(b), b.cmp(a).reverse());
            assert_eq!(a == b, a.cmp(b).is_eq());
            assert!(a != b || hash(a) == hash(b), "{a} and {b} are equal but have different hashes");
            assert_eq!(a.cmp_with_spelling(b).is_eq(), a.as_str() == b.as_str());
            for c in versions {
                assert!(!(a <= b && b <= c) || a <= c, "{a} <= {b} <= {c}");
            }
        }
    }
}

fn check_bumps(version: &Version) {
    for part in [Part::Major, Part::Minor, Part::Patch] {
        if let Ok(raised) = bump(version.as_str(), part) {
            check_gallery_version(version.as_str()).expect("only gallery versions can be bumped");
            check_gallery_version(&raised).expect("the result is a gallery version");
            assert!(Version::parse(&raised).is_ok_and(|raised| raised > *version));
        }
    }
}

/// The input is a duration, as in a `timeouts` block.
pub fn duration(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let Some(duration) = parse_duration(text) else { return };
    assert!(duration <= Duration::from_secs(3_200_000_000));
    assert!(!readable(duration).is_empty());
    let close = |a: Duration, b: Duration| a.abs_diff(b) <= Duration::from_micros(1) + b / 1_000_000_000;
    let written = format!("{}s{}ns", duration.as_secs(), duration.subsec_nanos());
    let again = parse_duration(&written).unwrap_or_else(|| panic!("{written} is not a duration"));
    assert!(close(again, duration), "{text} is {duration:?}, and {written} is {again:?}");
    if let Some(twice) = parse_duration(&format!("{text}{text}")) {
        // parsing stops at a century
        let expected = (duration * 2).min(Duration::from_secs(3_200_000_000));
        assert!(close(twice, expected), "{text} twice is {twice:?}");
    }
}

/// The input is the headers of a response, one per line, with all ways in which services request a wait.
pub fn retry_after(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let headers: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.to_owned()))
        .collect();
    let now = OffsetDateTime::from_unix_timestamp(1_793_000_000).expect("a time");
    let wait = |headers: Vec<(String, String)>| {
        read_retry_after(&Response { status: 429, headers, body: Vec::new() }, now)
    };
    let found = wait(headers.clone());
    assert!(found.is_none_or(|wait| wait <= Duration::from_secs(86_400)), "{found:?} is longer than a day");
    let uppercase =
        headers.iter().map(|(name, value)| (name.to_uppercase(), format!(" {value}\t"))).collect();
    assert_eq!(wait(uppercase), found, "case and spaces are ignored");
    let without = headers.into_iter().filter(|(name, _)| !name.to_lowercase().ends_with("-ms")).collect();
    if let Some(wait) = wait(without) {
        assert!(found.is_some(), "{wait:?} is lost because of a header in milliseconds");
    }
}
