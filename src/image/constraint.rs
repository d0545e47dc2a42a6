//! Version constraints in Terraform's notation (`>= 1.2, < 2.0`, `~> 1.2`), and what a configuration can request.
//!
//! The operators mean the same as in `required_version`, but versions can have any length and any size.

use super::version::{Version, VersionError};
use std::fmt;

/// One or more comparisons that must all hold, in the order in which they are written.
///
/// `~>` allows only the rightmost segment to increase: `~> 22.04.2025` is `>= 22.04.2025, < 22.05`, and `~> 1.2` is `>= 1.2, < 2`.
/// A single segment has no segment to its left, so `~> 1` is the same as `>= 1`, as in Terraform
/// (<https://github.com/hashicorp/go-version/blob/main/constraint.go>, `constraintPessimistic`).
/// One deliberate difference: Terraform refuses a version with fewer segments than the constraint (`1.2.0` for `~> 1.2.0.0`);
/// here missing segments are 0 in every comparison.
///
/// Segments that look like dates are compared as numbers: `~> 22.04.2025` allows `22.04.202401010`, since 202401010 is above 2025.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Constraint {
    comparisons: Vec<Comparison>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Comparison {
    operator: Operator,
    version: Version,
    /// The first version above the range; only with `~>`. It also distinguishes `~> 1.0` from `~> 1.0.0` in comparisons for equality.
    limit: Option<Version>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Pessimistic,
}

const OPERATORS: [(&str, Operator); 7] = [
    ("=", Operator::Equal),
    ("!=", Operator::NotEqual),
    (">", Operator::Greater),
    (">=", Operator::GreaterOrEqual),
    ("<", Operator::Less),
    ("<=", Operator::LessOrEqual),
    ("~>", Operator::Pessimistic),
];

/// Operators of other tools, and their replacements.
const FOREIGN_OPERATORS: [(&str, &str); 9] = [
    ("==", "write = for equality"),
    ("=>", "write >= for \"at least\""),
    ("=<", "write <= for \"at most\""),
    ("<>", "write != for \"not equal\""),
    ("!", "write != for \"not equal\""),
    ("~", "write ~>"),
    ("~=", "write ~>"),
    ("^", "write ~> with a version of two segments, such as ~> 1.2"),
    ("*", "there are no wildcards; write ~> 1.2 for any version 1.x from 1.2"),
];

impl Constraint {
    /// Reads comparisons separated by commas, each an operator and a version; a version alone means `=`.
    /// Spaces are allowed around operators, versions and commas.
    ///
    /// # Errors
    /// The position, and what to write instead if that is known.
    pub fn parse(text: &str) -> Result<Constraint, ConstraintError> {
        let mut comparisons = Vec::new();
        let mut start = 0;
        for piece in text.split(',') {
            comparisons.push(parse_comparison(text, start, piece)?);
            start += piece.len() + 1;
        }
        Ok(Constraint { comparisons })
    }

    /// Whether `version` passes every comparison.
    pub fn matches(&self, version: &Version) -> bool {
        self.comparisons.iter().all(|comparison| comparison.matches(version))
    }

    /// Its versions, in the order written.
    pub fn versions(&self) -> impl Iterator<Item = &Version> {
        self.comparisons.iter().map(|comparison| &comparison.version)
    }
}

impl Comparison {
    fn matches(&self, version: &Version) -> bool {
        match self.operator {
            Operator::Equal => *version == self.version,
            Operator::NotEqual => *version != self.version,
            Operator::Greater => *version > self.version,
            Operator::GreaterOrEqual => *version >= self.version,
            Operator::Less => *version < self.version,
            Operator::LessOrEqual => *version <= self.version,
            Operator::Pessimistic => {
                *version >= self.version && self.limit.as_ref().is_none_or(|limit| version < limit)
            }
        }
    }
}

impl fmt::Display for Constraint {
    /// One space after each operator, `, ` between comparisons, `=` always written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, comparison) in self.comparisons.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{} {}", comparison.operator, comparison.version)?;
        }
        Ok(())
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = OPERATORS.iter().find(|(_, operator)| operator == self).map_or("=", |(sign, _)| sign);
        f.write_str(sign)
    }
}

/// Why a text is not a constraint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{input:?} is not a version constraint: at character {position}, {reason}")]
pub struct ConstraintError {
    /// The whole text.
    pub input: String,
    /// The position of the mistake, in characters from 1.
    pub position: usize,
    /// The mistake, and what to write instead if that is known.
    pub reason: String,
}

/// Reads the comparison `piece`, which starts at byte `start` of `text`.
fn parse_comparison(text: &str, start: usize, piece: &str) -> Result<Comparison, ConstraintError> {
    let fail = |byte: usize, reason: String| {
        let position = text[..byte].chars().count() + 1;
        Err(ConstraintError { input: text.to_owned(), position, reason })
    };
    let trimmed = piece.trim_start();
    let sign_at = start + piece.len() - trimmed.len();
    if trimmed.is_empty() {
        let reason = if text.trim().is_empty() {
            "the constraint is empty; write for example ~> 1.2"
        } else if start == 0 {
            "there is nothing before the comma"
        } else {
            "there is nothing after the comma"
        };
        return fail(start, reason.to_owned());
    }

    let sign_length = trimmed.find(|c| !is_operator_character(c)).unwrap_or(trimmed.len());
    let (sign, rest) = trimmed.split_at(sign_length);
    let operator = if sign.is_empty() {
        Operator::Equal
    } else if let Some((_, operator)) = OPERATORS.iter().find(|(known, _)| *known == sign) {
        *operator
    } else {
        let known = OPERATORS.map(|(sign, _)| sign).join(" ");
        let advice = FOREIGN_OPERATORS.iter().find(|(foreign, _)| *foreign == sign).map_or_else(
            || format!("the operators are {known}, and a comma means \"and\""),
            |(_, advice)| (*advice).to_owned(),
        );
        return fail(sign_at, format!("{sign:?} is not an operator; {advice}"));
    };

    let number = rest.trim();
    let number_at = sign_at + sign_length + rest.len() - rest.trim_start().len();
    if number.is_empty() {
        return fail(number_at, format!("there is no version after {sign}"));
    }
    if number.starts_with(is_operator_character) {
        return fail(
            number_at,
            format!("a second operator follows {sign}; an operator is written without a space inside"),
        );
    }
    if number.eq_ignore_ascii_case("latest") {
        return fail(number_at, "latest cannot be part of a constraint; use it alone".to_owned());
    }
    match Version::parse(number) {
        Ok(version) => {
            let limit = if operator == Operator::Pessimistic { version.pessimistic_limit() } else { None };
            Ok(Comparison { operator, version, limit })
        }
        Err(error) => {
            let bad = number.char_indices().nth(error.offset).map_or(number.len(), |(byte, _)| byte);
            let tail = number[bad..].trim_start();
            if bad > 0 && tail.starts_with(is_operator_character) {
                return fail(
                    number_at + bad,
                    "a second comparison begins without a comma before it".to_owned(),
                );
            }
            fail(number_at + bad, error.to_string())
        }
    }
}

fn is_operator_character(c: char) -> bool {
    matches!(c, '=' | '!' | '<' | '>' | '~' | '^' | '|' | '&' | '*')
}

/// The version that a configuration requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// One version, by number: `1.2` finds `1.2.0` when nothing is spelt `1.2`.
    Exact(Version),
    /// The greatest version.
    Latest,
    /// The greatest version that satisfies a constraint.
    Constraint(Constraint),
}

impl Wanted {
    /// Parses `latest` (in any case), a version, or a constraint. Surrounding spaces are ignored.
    ///
    /// # Errors
    /// Describes the mistake in the form that was most likely intended.
    pub fn parse(text: &str) -> Result<Wanted, WantedError> {
        let trimmed = text.trim();
        if trimmed.eq_ignore_ascii_case("latest") {
            return Ok(Wanted::Latest);
        }
        if trimmed.eq_ignore_ascii_case("recent") {
            return Err(WantedError::Recent);
        }
        let is_constraint =
            trimmed.contains(|c: char| is_operator_character(c) || c == ',' || c.is_whitespace());
        if is_constraint {
            Ok(Wanted::Constraint(Constraint::parse(text)?))
        } else {
            Ok(Wanted::Exact(Version::parse(trimmed)?))
        }
    }

    /// Whether `version` matches. `latest` matches every version.
    pub fn matches(&self, version: &Version) -> bool {
        match self {
            Wanted::Exact(wanted) => wanted == version,
            Wanted::Latest => true,
            Wanted::Constraint(constraint) => constraint.matches(version),
        }
    }

    /// Whether this is `latest`, which a guardrail may forbid.
    pub fn is_latest(&self) -> bool {
        matches!(self, Wanted::Latest)
    }

    /// Whether this is one exact version, which cannot move.
    pub fn is_exact(&self) -> bool {
        matches!(self, Wanted::Exact(_))
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Exact(version) => version.fmt(f),
            Wanted::Latest => f.write_str("latest"),
            Wanted::Constraint(constraint) => constraint.fmt(f),
        }
    }
}

/// Why a text cannot be parsed as a request for a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WantedError {
    /// It looks like an exact version, but is not valid.
    #[error("{0}. An exact version, \"latest\", or a constraint such as \"~> 1.2\" is expected")]
    Version(#[from] VersionError),
    /// It looks like a constraint, but is not valid.
    #[error(transparent)]
    Constraint(#[from] ConstraintError),
    /// azurerm's word for the version that was published last.
    #[error(
        "\"recent\" is not supported, because versions are not compared by publishing date: use \"latest\" for the greatest version"
    )]
    Recent,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        Version::parse(text).expect(text)
    }

    fn constraint(text: &str) -> Constraint {
        Constraint::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn matches_versions() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("1.2.3", &["1.2.3", "1.2.3.0", "1.02.3"], &["1.2.4", "1.2", "1.2.30"]),
            ("= 1.2", &["1.2", "1.2.0"], &["1.2.1"]),
            ("!= 1.2", &["1.2.1", "1.1"], &["1.2", "1.2.0"]),
            ("> 1.0.9", &["1.0.10", "1.0.12", "2"], &["1.0.9", "1.0.8", "1.0.9.0"]),
            (">= 9.10", &["9.10.0", "9.10.3", "10.0"], &["9.2.20", "9.9"]),
            ("< 9.10.3", &["9.2.20", "9.10.2"], &["9.10.3", "9.11"]),
            ("<= 1.2", &["1.2.0", "0.9"], &["1.2.0.1", "1.10"]),
            (
                "~> 22.04.2025",
                &["22.04.2025", "22.04.202601140", "22.04.202401010", "22.4.2026"],
                &["22.04.2024", "22.05", "22.05.1", "22.10.1"],
            ),
            ("~> 1.2", &["1.2", "1.2.3", "1.10", "1.99.99.99"], &["1.1.9", "2", "2.0", "0.9"]),
            ("~> 1.2.0", &["1.2", "1.2.0", "1.2.99"], &["1.3", "1.10", "1.1"]),
            ("~> 1.0.9.5", &["1.0.9.5", "1.0.9.6", "1.0.9.5.1"], &["1.0.9.4", "1.0.9", "1.0.10", "1.0.10.5"]),
            ("~> 1.0.7", &["1.0.7.5", "1.0.8.0"], &["1.0.6.99", "1.1.0"]),
            ("~> 1.9", &["1.9", "1.10"], &["2.0", "1.8"]),
            ("~> 1.2.0.0", &["1.2", "1.2.0.7"], &["1.2.1"]),
            ("~> 1", &["1", "1.5", "2", "99.0"], &["0.9", "0"]),
            (">= 1.0, < 2.0, != 1.5", &["1.0", "1.5.1", "1.99"], &["1.5", "1.5.0", "2.0", "0.9"]),
            ("> 2, < 1", &[], &["0", "1", "1.5", "2", "3"]),
            ("> 18446744073709551615.0", &["18446744073709551616"], &["18446744073709551615", "9"]),
        ];
        for (text, yes, no) in table {
            let parsed = constraint(text);
            for candidate in *yes {
                assert!(parsed.matches(&version(candidate)), "{text} must match {candidate}");
            }
            for candidate in *no {
                assert!(!parsed.matches(&version(candidate)), "{text} must not match {candidate}");
            }
        }
    }

    #[test]
    fn displays_normalised_text() {
        for (text, shown) in [
            ("1.2", "= 1.2"),
            ("=1.2", "= 1.2"),
            ("  >=1.2,<2.0 ", ">= 1.2, < 2.0"),
            ("~>\t22.04.2025", "~> 22.04.2025"),
            (">= 1.0 ,\n < 02.0,!=1.5", ">= 1.0, < 02.0, != 1.5"),
            ("<=3", "<= 3"),
            (">3", "> 3"),
        ] {
            assert_eq!(constraint(text).to_string(), shown, "{text:?}");
        }
        assert_eq!(constraint(">=1.2"), constraint(">= 1.2.0"));
        assert_ne!(constraint("~> 1.2"), constraint("~> 1.2.0"), "they differ in what may grow");
    }

    #[test]
    fn errors_give_position_and_reason() {
        for (text, position, says) in [
            ("", 1, "is empty"),
            ("   ", 1, "is empty"),
            (", 1.0", 1, "before the comma"),
            ("1.0,", 5, "after the comma"),
            ("1.0, , 2.0", 5, "after the comma"),
            (">=", 3, "no version after >="),
            (">= 1.x", 6, "not a digit"),
            (">= 1.0 < 2.0", 7, "without a comma"),
            (">= 1.0< 2.0", 7, "without a comma"),
            (">= 1.0, 2.0 3.0", 12, "space"),
            ("> = 1.0", 3, "without a space inside"),
            ("== 1.0", 1, "write ="),
            (">= 1.0, => 2.0", 9, "write >="),
            ("=< 1.0", 1, "write <="),
            ("<> 1.0", 1, "write !="),
            ("~ 1.0", 1, "write ~>"),
            ("^1.0", 1, "write ~>"),
            ("*", 1, "wildcards"),
            ("1.*", 3, "without a comma"),
            (">>> 1", 1, "the operators are = != > >= < <= ~>"),
            ("1.0 || 2.0", 4, "without a comma"),
            (">= latest", 4, "use it alone"),
            (">= -1", 4, "sign"),
            ("é", 1, "not a digit"),
            ("!= 1.0, é", 9, "not a digit"),
            ("~> 1..2", 6, "segment 2 is empty"),
            (">= v1.2", 4, "leading 'v'"),
        ] {
            let error = Constraint::parse(text).expect_err(text);
            assert_eq!(error.position, position, "{text:?}: {error}");
            assert!(error.reason.contains(says), "{text:?} says {:?}, not {says:?}", error.reason);
        }
        assert_eq!(
            Constraint::parse("== 1.0").expect_err("foreign").to_string(),
            "\"== 1.0\" is not a version constraint: at character 1, \"==\" is not an operator; write = for equality"
        );
    }

    #[test]
    fn parses_requests() {
        assert_eq!(Wanted::parse("latest"), Ok(Wanted::Latest));
        assert_eq!(Wanted::parse(" Latest "), Ok(Wanted::Latest));
        assert_eq!(Wanted::parse(" 1.2.3 "), Ok(Wanted::Exact(version("1.2.3"))));
        assert_eq!(
            Wanted::parse("22.04.202601140").map(|wanted| wanted.to_string()),
            Ok("22.04.202601140".to_owned())
        );
        for (text, shown) in [
            ("~>1.2", "~> 1.2"),
            ("=1.2.3", "= 1.2.3"),
            (">= 1, < 2", ">= 1, < 2"),
            ("1.2, != 1.2.3", "= 1.2, != 1.2.3"),
        ] {
            let wanted = Wanted::parse(text).expect(text);
            assert!(matches!(wanted, Wanted::Constraint(_)), "{text}");
            assert_eq!(wanted.to_string(), shown);
        }
        for (text, says) in [
            ("", "empty"),
            ("newest", "\"latest\", or a constraint"),
            ("1..2", "segment 2"),
            ("recent", "use \"latest\""),
            ("1.2 1.3", "character 4"),
            ("1.2.*", "at character 5"),
        ] {
            let error = Wanted::parse(text).expect_err(text).to_string();
            assert!(error.contains(says), "{text:?} says {error:?}, not {says:?}");
        }
    }

    fn any_version() -> impl Strategy<Value = String> {
        prop::collection::vec(prop_oneof!["[0-3]", "0?[0-9]{1,2}", "[0-9]{20}"], 1..6)
            .prop_map(|segments| segments.join("."))
    }

    fn any_constraint() -> impl Strategy<Value = String> {
        let comparison = (
            prop::sample::select(vec!["", "=", "!=", ">", ">=", "<", "<=", "~>"]),
            " {0,2}",
            any_version(),
            " {0,2}",
        )
            .prop_map(|(sign, before, version, after)| format!("{after}{sign}{before}{version}{after}"));
        prop::collection::vec(comparison, 1..4).prop_map(|comparisons| comparisons.join(","))
    }

    proptest! {
        #[test]
        fn display_and_parse_round_trip(text in any_constraint()) {
            let parsed = constraint(&text);
            prop_assert_eq!(&constraint(&parsed.to_string()), &parsed);
            prop_assert_eq!(constraint(&parsed.to_string()).to_string(), parsed.to_string());
        }

        #[test]
        fn operators_are_consistent(bound in any_version(), candidate in any_version()) {
            let v = version(&candidate);
            let holds = |sign: &str| constraint(&format!("{sign} {bound}")).matches(&v);
            prop_assert_eq!(holds("="), !holds("!="));
            prop_assert_eq!(holds(">="), !holds("<"));
            prop_assert_eq!(holds("<="), !holds(">"));
            prop_assert_eq!(holds("="), holds(">=") && holds("<="));
            prop_assert!(!holds("~>") || holds(">="));
            prop_assert!(!holds("=") || holds("~>"));
        }

        #[test]
        fn pessimistic_keeps_all_but_the_last_segment(bound in prop::collection::vec(0u32..4, 1..5), candidate in prop::collection::vec(0u32..4, 1..6)) {
            let text = |numbers: &[u32]| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
            let at = |index: usize| candidate.get(index).copied().unwrap_or_default();
            let held = (0..bound.len() - 1).all(|index| at(index) == bound[index]);
            let v = version(&text(&candidate));
            let expected = held && v >= version(&text(&bound));
            // A single segment has no segment to its left, so the constraint is just "at least".
            prop_assert_eq!(constraint(&format!("~> {}", text(&bound))).matches(&v), expected);
        }

        #[test]
        fn a_comma_combines_with_and(left in any_constraint(), right in any_constraint(), candidate in any_version()) {
            let v = version(&candidate);
            let both = constraint(&format!("{left},{right}")).matches(&v);
            prop_assert_eq!(both, constraint(&left).matches(&v) && constraint(&right).matches(&v));
        }

        #[test]
        fn any_text_parses_or_fails_without_panic(text in "[0-9.<>=~!, a-zé*|]{0,14}") {
            if let Err(error) = Constraint::parse(&text) {
                prop_assert!((1..=text.chars().count() + 1).contains(&error.position));
            }
            let _ = Wanted::parse(&text);
        }
    }
}
