//! Image versions: dotted integers of any length, compared as numbers.
//!
//! Marketplace versions have two to five segments, and dates in them exceed 32 bits (`22.04.202601140`). Gallery versions have
//! exactly three 32-bit integers. Both are a [`Version`]; [`check_gallery_version`] checks the narrower rule.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// A version in its original spelling, ordered by number.
///
/// Missing segments at the end count as 0, and leading zeros are ignored: `1.2`, `1.2.0` and `1.02` are equal in
/// `Ord`, `Eq` and `Hash` alike. The spelling is kept for display and for requests, because the service identifies a
/// version by its spelling. A segment may have any number of digits.
#[derive(Clone)]
pub struct Version {
    text: String,
}

impl Version {
    /// Parses digits separated by single dots; one segment is enough. Surrounding spaces are an error.
    ///
    /// # Errors
    /// The mistake and its position: see [`VersionProblem`].
    pub fn parse(text: &str) -> Result<Version, VersionError> {
        match find_problem(text) {
            None => Ok(Version { text: text.to_owned() }),
            Some((offset, problem)) => Err(VersionError { input: text.to_owned(), offset, problem }),
        }
    }

    /// The original spelling.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The number of segments in the spelling: 3 for `1.2.0`.
    pub fn segment_count(&self) -> usize {
        self.text.split('.').count()
    }

    /// The digits of each segment without leading zeros; `0` is the empty string, so that it equals a missing
    /// segment.
    fn numbers(&self) -> impl Iterator<Item = &str> {
        self.text.split('.').map(|digits| digits.trim_start_matches('0'))
    }

    /// Orders by number, then by spelling, so that the order of `1.2` and `1.2.0` does not depend on the input.
    pub fn cmp_with_spelling(&self, other: &Version) -> Ordering {
        self.cmp(other).then_with(|| self.text.cmp(&other.text))
    }

    /// The first version above the range of `~>` with this version: `22.04.2025` → `22.05`, `1.9` → `2`. `None` for a
    /// single segment, which has no segment to its left and therefore no upper bound.
    pub(super) fn pessimistic_limit(&self) -> Option<Version> {
        let (kept, _last) = self.text.rsplit_once('.')?;
        let (head, bumped) = match kept.rsplit_once('.') {
            Some((head, segment)) => (Some(head), increment(segment)),
            None => (None, increment(kept)),
        };
        let text = match head {
            Some(head) => format!("{head}.{bumped}"),
            None => bumped,
        };
        Some(Version { text })
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        let (mut ours, mut theirs) = (self.numbers(), other.numbers());
        loop {
            let (a, b) = match (ours.next(), theirs.next()) {
                (None, None) => return Ordering::Equal,
                (a, b) => (a.unwrap_or_default(), b.unwrap_or_default()),
            };
            // Without leading zeros the longer number is the greater, and equal lengths compare as text.
            match a.len().cmp(&b.len()).then_with(|| a.cmp(b)) {
                Ordering::Equal => {}
                unequal => return unequal,
            }
        }
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Version) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut zeros = 0;
        for number in self.numbers() {
            if number.is_empty() {
                zeros += 1;
                continue;
            }
            // Zeros count only if another digit follows, so that 1.2 and 1.2.0 have the same hash.
            for _ in 0..zeros {
                "".hash(state);
            }
            zeros = 0;
            number.hash(state);
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.text)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Version, VersionError> {
        Version::parse(text)
    }
}

/// Why a text is not a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionError {
    /// The whole text.
    pub input: String,
    /// The position of the mistake, in characters from 0.
    pub offset: usize,
    /// The mistake.
    pub problem: VersionProblem,
}

/// A mistake in a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionProblem {
    /// The text is empty.
    Empty,
    /// A segment is empty; counted from 1.
    EmptySegment(usize),
    /// A space, tab or line break.
    Whitespace,
    /// A `+` or `-` before the digits of a segment.
    Sign(char),
    /// A `v` before the first digit, as in release tags.
    Prefix(char),
    /// Digits followed by a `-` or `+` suffix, as in semantic versions.
    Suffix(char),
    /// Any other character that is not an ASCII digit.
    NotADigit(char),
}

impl fmt::Display for VersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.input;
        match self.problem {
            VersionProblem::Empty => {
                return f.write_str("the version is empty: write integers separated by dots, such as 1.2.0");
            }
            VersionProblem::EmptySegment(segment) => {
                write!(f, "{shown:?} is not a version: segment {segment} is empty")?;
            }
            VersionProblem::Whitespace => {
                write!(f, "{shown:?} is not a version: it has a space at character {}", self.offset + 1)?
            }
            VersionProblem::Sign(sign) => {
                write!(f, "{shown:?} is not a version: a segment has the sign {sign:?}")?
            }
            VersionProblem::Prefix(letter) => {
                return write!(f, "{shown:?} is not a version: remove the leading {letter:?}");
            }
            VersionProblem::Suffix(sign) => {
                write!(f, "{shown:?} is not a version: Azure does not support a suffix after {sign:?}")?;
            }
            VersionProblem::NotADigit(found) => {
                write!(
                    f,
                    "{shown:?} is not a version: {found:?} at character {} is not a digit",
                    self.offset + 1
                )?;
            }
        }
        f.write_str("; write integers separated by dots, such as 1.2.0")
    }
}

impl std::error::Error for VersionError {}

/// The first mistake in `text`, and its offset in characters.
fn find_problem(text: &str) -> Option<(usize, VersionProblem)> {
    if text.is_empty() {
        return Some((0, VersionProblem::Empty));
    }
    let mut segment = 1;
    let mut digits = 0;
    for (offset, found) in text.chars().enumerate() {
        let problem = match found {
            '0'..='9' => {
                digits += 1;
                continue;
            }
            '.' if digits > 0 => {
                segment += 1;
                digits = 0;
                continue;
            }
            '.' => VersionProblem::EmptySegment(segment),
            '+' | '-' if digits == 0 => VersionProblem::Sign(found),
            '+' | '-' => VersionProblem::Suffix(found),
            'v' | 'V' if offset == 0 => VersionProblem::Prefix(found),
            _ if found.is_whitespace() => VersionProblem::Whitespace,
            _ => VersionProblem::NotADigit(found),
        };
        return Some((offset, problem));
    }
    (digits == 0).then(|| (text.chars().count(), VersionProblem::EmptySegment(segment)))
}

/// Adds one to a string of digits, keeping its width if possible: `04` → `05`, `99` → `100`.
fn increment(digits: &str) -> String {
    let mut result: Vec<u8> = digits.bytes().collect();
    for digit in result.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return result.into_iter().map(char::from).collect();
        }
        *digit = b'0';
    }
    result.insert(0, b'1');
    result.into_iter().map(char::from).collect()
}

/// The greatest number in a segment of a gallery version: the service reads each as a signed 32-bit integer.
pub const GALLERY_SEGMENT_MAXIMUM: u32 = 2_147_483_647;

/// Checks that `text` can name a gallery image version: exactly three integers, each from 0 to 2147483647.
///
/// Source: the service's naming rule "Major.Minor.Patch, each a 32-bit integer". Leading zeros would allow two names
/// for one version.
///
/// # Errors
/// The segment that is wrong and the allowed values; for a release tag, the function that splits it.
pub fn check_gallery_version(text: &str) -> Result<(), String> {
    gallery_segments(text).map(drop).map_err(|why| {
        let is_tag = text.starts_with(['v', 'V']) || text.contains(['-', '+']);
        if is_tag { format!("{why}; split a release tag with provider::azimage::parse_release") } else { why }
    })
}

/// A number of a gallery version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The first: `1.2.3` → `2.0.0`.
    Major,
    /// The second: `1.2.3` → `1.3.0`.
    Minor,
    /// The third: `1.2.3` → `1.2.4`.
    Patch,
}

impl Part {
    /// Reads `major`, `minor` or `patch`.
    ///
    /// # Errors
    /// One sentence with the three allowed words.
    pub fn parse(text: &str) -> Result<Part, String> {
        match text {
            "major" => Ok(Part::Major),
            "minor" => Ok(Part::Minor),
            "patch" => Ok(Part::Patch),
            _ => Err(format!("{text:?} is not a part of a version; write \"major\", \"minor\" or \"patch\"")),
        }
    }
}

/// The next gallery version: increments one number and sets the numbers to its right to 0.
///
/// # Errors
/// `text` is not a gallery version, or the number is already the greatest possible.
pub fn bump(text: &str, part: Part) -> Result<String, String> {
    let [major, minor, patch] = gallery_segments(text)?;
    let raised = |name: &str, number: u32| {
        if number < GALLERY_SEGMENT_MAXIMUM {
            Ok(number + 1)
        } else {
            Err(format!(
                "the {name} number of {text:?} is already the greatest that a gallery version can have, {GALLERY_SEGMENT_MAXIMUM}"
            ))
        }
    };
    Ok(match part {
        Part::Major => format!("{}.0.0", raised("major", major)?),
        Part::Minor => format!("{major}.{}.0", raised("minor", minor)?),
        Part::Patch => format!("{major}.{minor}.{}", raised("patch", patch)?),
    })
}

fn gallery_segments(text: &str) -> Result<[u32; 3], String> {
    let version = Version::parse(text).map_err(|error| error.to_string())?;
    let mut numbers = [0; 3];
    let count = version.segment_count();
    if count != numbers.len() {
        return Err(format!(
            "{text:?} is not a gallery image version: it has {count} segment{}, but exactly three are required, such as 1.2.0",
            if count == 1 { "" } else { "s" }
        ));
    }
    if let Some(padded) = text.split('.').find(|segment| segment.len() > 1 && segment.starts_with('0')) {
        return Err(format!(
            "{text:?} is not a gallery image version: {padded} has a leading zero, which a version must not have"
        ));
    }
    for ((number, digits), name) in numbers.iter_mut().zip(version.numbers()).zip(["major", "minor", "patch"])
    {
        *number = match digits {
            "" => 0,
            digits => digits.parse().ok().filter(|number| *number <= GALLERY_SEGMENT_MAXIMUM).ok_or_else(|| {
                format!("{text:?} is not a gallery image version: its {name} number {digits} is greater than {GALLERY_SEGMENT_MAXIMUM}")
            })?,
        };
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::hash::DefaultHasher;

    fn version(text: &str) -> Version {
        Version::parse(text).expect(text)
    }

    fn hash_of(version: &Version) -> u64 {
        let mut hasher = DefaultHasher::new();
        version.hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn orders_by_number() {
        let huge = format!("1.{}", "9".repeat(200));
        let huger = format!("1.1{}", "0".repeat(200));
        let ascending: &[(&str, &str)] = &[
            ("1.0.9", "1.0.10"),
            ("1.0.9", "1.0.12"),
            ("9.2.20", "9.10.3"),
            ("8.9", "8.10"),
            ("0.0.991", "0.0.1015"),
            ("0.0.999", "0.0.1015"),
            ("9", "10"),
            ("1.2", "1.2.0.0.1"),
            ("1.2.3.4", "1.2.3.10"),
            ("1.2.3.4.9", "1.2.3.4.11"),
            ("1.2.9.9.9", "1.3"),
            ("7.7.2020062400", "7.7.2020062401"),
            ("22.04.202401010", "22.04.202601140"),
            ("22.04.99999999", "22.04.202401010"),
            ("20348.1.9", "20348.1.10"),
            ("0.18446744073709551615", "0.18446744073709551616"),
            (&huge, &huger),
        ];
        for (less, more) in ascending {
            assert_eq!(version(less).cmp(&version(more)), Ordering::Less, "{less} < {more}");
            assert_eq!(version(more).cmp(&version(less)), Ordering::Greater, "{more} > {less}");
        }
    }

    #[test]
    fn versions_that_differ_only_in_zeros_are_equal_and_have_the_same_hash() {
        for (a, b) in [
            ("1.2", "1.2.0"),
            ("1.2", "1.2.0.0.0"),
            ("1.02", "1.2"),
            ("0", "0.0.0"),
            ("000", "0"),
            ("22.04.1", "22.4.01"),
        ] {
            assert_eq!(version(a), version(b), "{a} == {b}");
            assert_eq!(hash_of(&version(a)), hash_of(&version(b)), "hash of {a} and {b}");
            assert_ne!(
                version(a).cmp_with_spelling(&version(b)),
                Ordering::Equal,
                "{a} and {b} are spelt differently"
            );
        }
        for (a, b) in [("1.0.2", "1.2"), ("1.2", "12"), ("1.20", "1.2"), ("0.1", "1")] {
            assert_ne!(version(a), version(b), "{a} != {b}");
            assert_ne!(hash_of(&version(a)), hash_of(&version(b)), "hash of {a} and {b}");
        }
    }

    #[test]
    fn reports_each_kind_of_mistake() {
        use VersionProblem::{Empty, EmptySegment, NotADigit, Prefix, Sign, Suffix, Whitespace};
        for (text, offset, problem) in [
            ("", 0, Empty),
            (".", 0, EmptySegment(1)),
            ("1..2", 2, EmptySegment(2)),
            ("1.2.", 4, EmptySegment(3)),
            (".1", 0, EmptySegment(1)),
            (" 1.2", 0, Whitespace),
            ("1. 2", 2, Whitespace),
            ("1.2\n", 3, Whitespace),
            ("-1.2", 0, Sign('-')),
            ("1.+2", 2, Sign('+')),
            ("v1.2.3", 0, Prefix('v')),
            ("1.2.3-beta", 5, Suffix('-')),
            ("1.2.3+build", 5, Suffix('+')),
            ("1.x", 2, NotADigit('x')),
            ("latest", 0, NotADigit('l')),
            ("1,2", 1, NotADigit(',')),
            ("é.1", 0, NotADigit('é')),
            ("1.٣", 2, NotADigit('٣')),
            ("1.2v", 3, NotADigit('v')),
        ] {
            let error = Version::parse(text).expect_err(text);
            assert_eq!((error.offset, error.problem), (offset, problem), "{text:?}");
        }
        let error = Version::parse("1.x").expect_err("a letter").to_string();
        assert_eq!(
            error,
            "\"1.x\" is not a version: 'x' at character 3 is not a digit; write integers separated by dots, such as 1.2.0"
        );
    }

    #[test]
    fn computes_pessimistic_limits() {
        for (text, limit) in [
            ("22.04.2025", Some("22.05")),
            ("1.2", Some("2")),
            ("1.9.3", Some("1.10")),
            ("1.99.3.4", Some("1.99.4")),
            ("099.1", Some("100")),
            ("7", None),
        ] {
            assert_eq!(version(text).pessimistic_limit().map(|v| v.text), limit.map(str::to_owned), "{text}");
        }
        let nines = format!("{}.1", "9".repeat(40));
        let limit = version(&nines).pessimistic_limit().map(|v| v.text);
        assert_eq!(limit, Some(format!("1{}", "0".repeat(40))));
    }

    #[test]
    fn checks_gallery_versions() {
        for good in ["0.0.0", "1.2.0", "2147483647.2147483647.2147483647", "1234567890.1234567890.1234567890"]
        {
            assert_eq!(check_gallery_version(good), Ok(()), "{good}");
        }
        for (bad, says) in [
            ("", "empty"),
            ("1", "1 segment,"),
            ("1.2", "2 segments"),
            ("1.2.3.4", "4 segments"),
            ("1.2147483648.0", "minor number 2147483648"),
            ("1.2.99999999999999999999", "patch number"),
            ("4294967296.0.0", "major number"),
            ("1.2.-3", "sign"),
            ("1.2.3-rc1", "suffix"),
            ("1.2.3-rc1", "provider::azimage::parse_release"),
            ("v1.2.3", "leading 'v'"),
            ("v1.2.3", "provider::azimage::parse_release"),
            ("01.0.0", "01 has a leading zero"),
            ("1.0.00", "00 has a leading zero"),
            ("latest", "not a digit"),
            ("1.2. 3", "space"),
        ] {
            let error = check_gallery_version(bad).expect_err(bad);
            assert!(error.contains(says), "{bad:?} says {error:?}, not {says:?}");
        }
    }

    #[test]
    fn increments_one_number() {
        for (text, part, result) in [
            ("1.2.3", "major", "2.0.0"),
            ("1.2.3", "minor", "1.3.0"),
            ("1.2.3", "patch", "1.2.4"),
            ("0.0.9", "patch", "0.0.10"),
            ("1.9.3", "minor", "1.10.0"),
            ("2147483647.1.2147483647", "minor", "2147483647.2.0"),
        ] {
            let part = Part::parse(part).expect(part);
            assert_eq!(bump(text, part), Ok(result.to_owned()), "{text} {part:?}");
        }
        assert!(bump("1.2.2147483647", Part::Patch).is_err_and(|error| error.contains("patch number")));
        assert!(bump("1.2", Part::Patch).is_err_and(|error| error.contains("exactly three")));
        assert!(Part::parse("Major").is_err_and(|error| error.contains("\"minor\"")));
    }

    /// Typical versions: few digits, zeros at both ends, and sometimes a huge number.
    fn any_version() -> impl Strategy<Value = String> {
        let segment = prop_oneof![4 => "[0-2]", 2 => "0?[0-9]{1,2}", 1 => "[0-9]{18,24}"];
        prop::collection::vec(segment, 1..6).prop_map(|segments| segments.join("."))
    }

    proptest! {
        #[test]
        fn order_is_total(a in any_version(), b in any_version(), c in any_version()) {
            let (a, b, c) = (version(&a), version(&b), version(&c));
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
            if a == b {
                prop_assert_eq!(hash_of(&a), hash_of(&b));
                prop_assert_eq!(a.cmp(&c), b.cmp(&c));
            }
            prop_assert_eq!(a.cmp_with_spelling(&b).is_eq(), a.as_str() == b.as_str());
        }

        #[test]
        fn order_is_that_of_integers(a in prop::array::uniform4(0u64..300), b in prop::array::uniform4(0u64..300)) {
            let text = |numbers: [u64; 4]| numbers.map(|number| number.to_string()).join(".");
            prop_assert_eq!(version(&text(a)).cmp(&version(&text(b))), a.cmp(&b));
        }

        #[test]
        fn display_returns_the_original_spelling(text in any_version()) {
            prop_assert_eq!(version(&text).to_string(), text);
        }

        #[test]
        fn any_text_parses_or_fails_without_panic(text in ".{0,12}") {
            match Version::parse(&text) {
                Ok(version) => prop_assert_eq!(version.as_str(), text),
                Err(error) => prop_assert!(error.offset <= text.chars().count() && !error.to_string().is_empty()),
            }
        }

        #[test]
        fn a_bumped_version_is_greater(numbers in prop::array::uniform3(0u32..GALLERY_SEGMENT_MAXIMUM)) {
            let text = numbers.map(|number| number.to_string()).join(".");
            for part in [Part::Major, Part::Minor, Part::Patch] {
                let next = bump(&text, part).expect("below the maximum");
                prop_assert!(version(&next) > version(&text));
                prop_assert_eq!(check_gallery_version(&next), Ok(()));
            }
        }
    }
}
