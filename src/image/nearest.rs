//! Suggestions ("did you mean"): existing names similar to one that does not exist.

use super::constraint::Wanted;
use super::latest::{newest, sort_newest_first};
use super::version::Version;

/// The largest number of suggestions.
pub const LIMIT: usize = 5;

/// Up to five names similar to `wanted`, best first, without duplicates. Names that differ only in case, separators
/// or one letter come first, then prefixes, substrings, names with a few different letters, and names with a common
/// word.
pub fn nearest_names<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = Folded::of(wanted);
    let mut ranked: Vec<(Rank, &str)> =
        names.into_iter().filter_map(|name| Some((rank(&wanted, &Folded::of(name))?, name))).collect();
    ranked.sort_unstable();
    ranked.dedup();
    ranked.into_iter().take(LIMIT).map(|(_, name)| name).collect()
}

/// Up to five versions close to `wanted`: for each version in `wanted`, the equal one, the greatest below it and the
/// smallest above it; then the newest of all.
pub fn nearest_versions<'a>(wanted: &Wanted, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let sorted = sort_newest_first(names);
    let versions: Vec<(Version, &str)> =
        sorted.iter().filter_map(|name| Some((Version::parse(name).ok()?, *name))).collect();
    let anchors: Vec<&Version> = match wanted {
        Wanted::Exact(version) => vec![version],
        Wanted::Latest => vec![],
        Wanted::Constraint(constraint) => constraint.versions().collect(),
    };
    let mut found: Vec<&str> = Vec::new();
    let mut add = |candidate: Option<&'a str>| {
        if let Some(name) = candidate.filter(|name| !found.contains(name)) {
            found.push(name);
        }
    };
    for anchor in anchors {
        // Newest first, so the first version below is the greatest below, and the last version above is the smallest
        // above.
        add(versions.iter().find(|(version, _)| version == anchor).map(|(_, name)| *name));
        add(versions.iter().find(|(version, _)| version < anchor).map(|(_, name)| *name));
        add(versions.iter().rfind(|(version, _)| version > anchor).map(|(_, name)| *name));
    }
    let newest = newest(sorted.iter().copied(), &Wanted::Latest);
    if let Some(newest) = newest.filter(|newest| !found.contains(newest)) {
        found.truncate(LIMIT - 1);
        found.push(newest);
    }
    found.truncate(LIMIT);
    found
}

/// `did you mean "a", "b" or "c"?`, for the end of an error; `None` if there are no suggestions.
pub fn did_you_mean(names: &[&str]) -> Option<String> {
    let (last, others) = names.split_last()?;
    if others.is_empty() {
        return Some(format!("did you mean {last:?}?"));
    }
    let others: Vec<String> = others.iter().map(|name| format!("{name:?}")).collect();
    Some(format!("did you mean {} or {last:?}?", others.join(", ")))
}

/// How similar a name is: the kind of similarity, then two distances. Smaller is more similar.
type Rank = (Kind, usize, usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    SameButForCase,
    SameButForSeparators,
    /// Before `Beginning`, so that `22_04-lts-gen3` suggests `22_04-lts-gen2` before `22_04-lts`.
    OneLetterOff,
    Beginning,
    Inside,
    FewLettersOff,
    SharedWord,
}

/// A name in the forms that are compared.
struct Folded {
    lower: String,
    /// Without separators.
    letters: Vec<char>,
    compact: String,
}

impl Folded {
    fn of(name: &str) -> Folded {
        let lower = name.to_lowercase();
        let letters: Vec<char> = lower.chars().filter(|c| c.is_alphanumeric()).collect();
        let compact = letters.iter().collect();
        Folded { lower, letters, compact }
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.lower.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() >= SHORTEST_PIECE)
    }
}

/// Shorter pieces occur in almost any name and do not show similarity.
const SHORTEST_PIECE: usize = 3;

fn rank(wanted: &Folded, name: &Folded) -> Option<Rank> {
    if wanted.lower == name.lower {
        return Some((Kind::SameButForCase, 0, 0));
    }
    if wanted.compact == name.compact && !wanted.compact.is_empty() {
        return Some((Kind::SameButForSeparators, 0, 0));
    }
    let difference = wanted.letters.len().abs_diff(name.letters.len());
    let distance = strsim::osa_distance(&wanted.compact, &name.compact);
    let (short, long) =
        if wanted.letters.len() <= name.letters.len() { (wanted, name) } else { (name, wanted) };
    if short.letters.len() >= SHORTEST_PIECE {
        if distance == 1 {
            return Some((Kind::OneLetterOff, 0, difference));
        }
        if long.compact.starts_with(&short.compact) {
            return Some((Kind::Beginning, difference, distance));
        }
        if long.compact.contains(&short.compact) {
            return Some((Kind::Inside, difference, distance));
        }
    }
    // A third of the letters may differ: one in three, five in sixteen.
    let cutoff = long.letters.len().div_ceil(3).min(long.letters.len().saturating_sub(1));
    if distance <= cutoff {
        return Some((Kind::FewLettersOff, distance, difference));
    }
    let shared = wanted
        .words()
        .filter(|word| name.words().any(|other| other == *word))
        .map(|word| word.chars().count())
        .sum::<usize>();
    // More letters in shared words mean more similarity.
    (shared > 0).then_some((Kind::SharedWord, usize::MAX - shared, distance))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn suggests_names() {
        let publishers = [
            "Canonical",
            "MicrosoftWindowsServer",
            "MicrosoftWindowsDesktop",
            "MicrosoftSQLServer",
            "RedHat",
            "debian",
            "SUSE",
            "a10networks",
            "Oracle",
        ];
        let offers = [
            "0001-com-ubuntu-server-jammy",
            "0001-com-ubuntu-server-focal",
            "ubuntu-24_04-lts",
            "UbuntuServer",
            "WindowsServer",
        ];
        let skus =
            ["22_04-lts", "22_04-lts-gen2", "22_04-lts-arm64", "20_04-lts", "20_04-lts-gen2", "server"];
        let table: &[(&str, &[&str], &[&str])] = &[
            ("canonical", &publishers, &["Canonical"]),
            ("Cannonical", &publishers, &["Canonical"]),
            ("Canoncial", &publishers, &["Canonical"]),
            ("Microsoft-Windows-Server", &publishers, &["MicrosoftWindowsServer", "MicrosoftWindowsDesktop"]),
            ("Redhat", &publishers, &["RedHat"]),
            ("Debain", &publishers, &["debian"]),
            ("Suse", &publishers, &["SUSE"]),
            ("zzzz", &publishers, &[]),
            ("", &publishers, &[]),
            (
                "ubuntu-server",
                &offers,
                &["UbuntuServer", "0001-com-ubuntu-server-focal", "0001-com-ubuntu-server-jammy"],
            ),
            ("ubuntu-24_04", &offers, &["ubuntu-24_04-lts"]),
            ("22_04-lts-gen3", &skus, &["22_04-lts-gen2", "22_04-lts"]),
            ("windows-server-ubuntu", &offers, &["WindowsServer", "0001-com-ubuntu-server-focal"]),
            ("2204-lts", &skus, &["22_04-lts", "20_04-lts", "22_04-lts-gen2"]),
        ];
        for (wanted, names, expected) in table {
            let found = nearest_names(wanted, names.iter().copied());
            // The first suggestions must be these; the order of the others is not tested.
            assert_eq!(
                found.iter().take(expected.len()).copied().collect::<Vec<_>>(),
                *expected,
                "{wanted}: {found:?}"
            );
            assert!(!expected.is_empty() || found.is_empty(), "{wanted}: {found:?}");
        }
    }

    #[test]
    fn suggests_at_most_five_without_duplicates() {
        let names: Vec<String> = (0..40).map(|number| format!("ubuntu-{number}")).collect();
        let found = nearest_names("ubuntu", names.iter().map(String::as_str).chain(["Ubuntu", "Ubuntu"]));
        assert_eq!(found.len(), LIMIT);
        assert_eq!(found[..2], ["Ubuntu", "ubuntu-0"]);
    }

    #[test]
    fn two_letters_do_not_match_every_name() {
        assert!(nearest_names("ab", ["cabal", "abacus", "zz"]).is_empty());
        assert_eq!(nearest_names("ab", ["AB", "ba", "cabal"]), ["AB", "ba"]);
    }

    #[test]
    fn suggests_versions() {
        let names = ["1.0.10", "1.0.12", "1.0.9", "9.10.3", "9.2.20", "odd"];
        let table: &[(&str, &[&str])] = &[
            ("1.0.11", &["1.0.10", "1.0.12", "9.10.3"]),
            ("1.0.1", &["1.0.9", "9.10.3"]),
            ("9.3", &["9.2.20", "9.10.3"]),
            ("99", &["9.10.3"]),
            ("9.10.3", &["9.10.3", "9.2.20"]),
            ("~> 2.0", &["1.0.12", "9.2.20", "9.10.3"]),
            ("> 2, < 3", &["1.0.12", "9.2.20", "9.10.3"]),
            ("latest", &["9.10.3"]),
        ];
        for (wanted, expected) in table {
            let wanted = Wanted::parse(wanted).expect(wanted);
            assert_eq!(nearest_versions(&wanted, names), *expected, "{wanted}");
        }
        assert!(nearest_versions(&Wanted::Latest, []).is_empty());
        assert!(nearest_versions(&Wanted::Latest, ["odd"]).is_empty());
        let many: Vec<String> = (0..50).map(|number| format!("1.{number}")).collect();
        let wanted = Wanted::parse("!= 1.10, != 1.20, != 1.30").expect("a constraint");
        let found = nearest_versions(&wanted, many.iter().map(String::as_str));
        assert_eq!(found, ["1.10", "1.9", "1.11", "1.20", "1.49"], "the newest keeps its place");
    }

    #[test]
    fn writes_a_question() {
        assert_eq!(did_you_mean(&[]), None);
        assert_eq!(did_you_mean(&["a"]).as_deref(), Some("did you mean \"a\"?"));
        assert_eq!(did_you_mean(&["a", "b"]).as_deref(), Some("did you mean \"a\" or \"b\"?"));
        assert_eq!(did_you_mean(&["a", "b", "c"]).as_deref(), Some("did you mean \"a\", \"b\" or \"c\"?"));
    }

    proptest! {
        #[test]
        fn an_existing_name_is_the_first_suggestion(names in prop::collection::vec("[A-Za-z0-9_-]{1,12}", 1..20), index in any::<prop::sample::Index>()) {
            let name = index.get(&names).clone();
            let found = nearest_names(&name.to_uppercase(), names.iter().map(String::as_str));
            prop_assert!(found.first().is_some_and(|first| first.eq_ignore_ascii_case(&name)));
            prop_assert!(found.len() <= LIMIT);
        }

        #[test]
        fn suggests_the_versions_directly_below_and_above(numbers in prop::collection::btree_set(0u32..200, 1..30), wanted in 0u32..200) {
            let names: Vec<String> = numbers.iter().map(|number| format!("1.{number}")).collect();
            let exact = Wanted::parse(&format!("1.{wanted}")).expect("exact");
            let found = nearest_versions(&exact, names.iter().map(String::as_str));
            let below = numbers.range(..wanted).next_back();
            let above = numbers.range(wanted + 1..).next();
            for neighbour in below.into_iter().chain(above).chain(numbers.last()) {
                prop_assert!(found.contains(&format!("1.{neighbour}").as_str()), "{found:?} lacks {neighbour}");
            }
        }
    }
}
