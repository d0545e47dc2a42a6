//! Marketplace URNs: `publisher:offer:sku:version` identifies an image of the Azure Marketplace.

use super::constraint::Wanted;
use std::fmt;
use std::str::FromStr;

/// The four parts of a Marketplace URN in their original spelling.
///
/// Azure compares all of them without regard to case. `==` does not, so that a different spelling stays visible in
/// the state. [`Urn::is_same_image`] compares as Azure does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Urn {
    /// The publisher: `Canonical`.
    pub publisher: String,
    /// The product: `0001-com-ubuntu-server-jammy`.
    pub offer: String,
    /// The plan of the product: `22_04-lts-gen2`.
    pub sku: String,
    /// An exact version, `latest`, or a constraint.
    pub version: String,
}

impl Urn {
    /// Reads four parts separated by colons; the version may be exact, `latest`, or a constraint such as `~> 22.04.2025`.
    ///
    /// # Errors
    /// The part that is missing or wrong. Recognises frequent mistakes: slashes, three parts, spaces, a resource ID.
    pub fn parse(text: &str) -> Result<Urn, UrnError> {
        let parts: Vec<&str> = text.split(':').collect();
        let [publisher, offer, sku, version] = parts.as_slice() else {
            return Err(wrong_number_of_parts(text, &parts));
        };
        Urn::check(text, [publisher, offer, sku, version])
    }

    /// Like [`Urn::parse`], but refuses `latest` and constraints.
    ///
    /// # Errors
    /// As for [`Urn::parse`], and advice for a version that is not exact.
    pub fn parse_exact(text: &str) -> Result<Urn, UrnError> {
        let urn = Urn::parse(text)?;
        if urn.is_exact() {
            return Ok(urn);
        }
        let moving = if urn.is_latest() { "latest" } else { "a constraint" };
        let reason = format!(
            "the version is {moving}, which changes over time; use an exact version, or resolve it with the data source azimage_marketplace_image"
        );
        Err(UrnError { input: text.to_owned(), part: Some(UrnPart::Version), reason })
    }

    /// Joins the four parts, and checks them as [`Urn::parse`] does.
    ///
    /// # Errors
    /// The part that is wrong.
    pub fn new(publisher: &str, offer: &str, sku: &str, version: &str) -> Result<Urn, UrnError> {
        Urn::check(&format!("{publisher}:{offer}:{sku}:{version}"), [publisher, offer, sku, version])
    }

    fn check(input: &str, parts: [&str; 4]) -> Result<Urn, UrnError> {
        for (value, part) in parts.into_iter().zip(UrnPart::ALL) {
            if let Some(reason) = find_problem(value, part) {
                return Err(UrnError { input: input.to_owned(), part: Some(part), reason });
            }
        }
        let [publisher, offer, sku, version] = parts.map(str::to_owned);
        Ok(Urn { publisher, offer, sku, version })
    }

    /// Whether its version is `latest`.
    pub fn is_latest(&self) -> bool {
        self.version.eq_ignore_ascii_case("latest")
    }

    /// Whether it has an exact version, as a pin requires.
    pub fn is_exact(&self) -> bool {
        Wanted::parse(&self.version).is_ok_and(|wanted| wanted.is_exact())
    }

    /// The same image with another version, which is not checked.
    #[must_use]
    pub fn with_version(&self, version: impl fmt::Display) -> Urn {
        Urn { version: version.to_string(), ..self.clone() }
    }

    /// Whether publisher, offer and SKU are equal without regard to case.
    pub fn is_same_image(&self, other: &Urn) -> bool {
        self.publisher.eq_ignore_ascii_case(&other.publisher)
            && self.offer.eq_ignore_ascii_case(&other.offer)
            && self.sku.eq_ignore_ascii_case(&other.sku)
    }
}

impl fmt::Display for Urn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:{}", self.publisher, self.offer, self.sku, self.version)
    }
}

impl FromStr for Urn {
    type Err = UrnError;

    fn from_str(text: &str) -> Result<Urn, UrnError> {
        Urn::parse(text)
    }
}

/// One of the four parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrnPart {
    /// The first.
    Publisher,
    /// The second.
    Offer,
    /// The third.
    Sku,
    /// The fourth.
    Version,
}

impl UrnPart {
    /// All parts, in the order of the URN.
    pub const ALL: [UrnPart; 4] = [UrnPart::Publisher, UrnPart::Offer, UrnPart::Sku, UrnPart::Version];
}

impl fmt::Display for UrnPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UrnPart::Publisher => "publisher",
            UrnPart::Offer => "offer",
            UrnPart::Sku => "sku",
            UrnPart::Version => "version",
        })
    }
}

/// Why a text is not a URN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{input:?} is not a Marketplace URN (publisher:offer:sku:version): {reason}")]
pub struct UrnError {
    /// The whole text.
    pub input: String,
    /// The part that is wrong or missing; `None` if the overall form is wrong.
    pub part: Option<UrnPart>,
    /// The mistake, and the correct form if it is known.
    pub reason: String,
}

/// The mistake in one part, if there is one.
fn find_problem(value: &str, part: UrnPart) -> Option<String> {
    if value.is_empty() {
        return Some(format!("the {part} is empty"));
    }
    if value.trim() != value {
        return Some(format!("the {part} {value:?} has spaces around it; remove them"));
    }
    if part == UrnPart::Version {
        return Wanted::parse(value).err().map(|error| format!("the version is wrong: {error}"));
    }
    // The rules for these names are not published, but they cannot contain a character that a request path cannot
    // contain.
    let bad = value.chars().find(|c| !c.is_ascii_graphic() || "/\\?#%&<>\"':;,|".contains(*c))?;
    Some(match bad {
        c if c.is_whitespace() => {
            format!("the {part} {value:?} contains a space, which Marketplace names do not have")
        }
        c => {
            format!("the {part} {value:?} contains the character {c:?}, which Marketplace names do not have")
        }
    })
}

fn wrong_number_of_parts(text: &str, parts: &[&str]) -> UrnError {
    let error = |part, reason: String| UrnError { input: text.to_owned(), part, reason };
    // Skus such as "9" and "8.10" are common, versions of fewer than three segments are not.
    let is_surely_version = |value: &str| match Wanted::parse(value) {
        Ok(Wanted::Exact(version)) => version.segment_count() >= 3,
        other => other.is_ok(),
    };
    if text.trim().is_empty() {
        return error(None, "it is empty".to_owned());
    }
    if text.trim_start().to_ascii_lowercase().starts_with("/subscriptions/") {
        return error(None, "this is a resource ID; write the four names separated by colons".to_owned());
    }
    let count = parts.len();
    if count > 4 {
        return error(None, format!("it has {count} parts instead of four; no part contains a colon"));
    }
    if count == 3 {
        let (part, reason) = if is_surely_version(parts[2]) {
            (
                None,
                format!(
                    "it has three parts and ends in the version {:?}, so the publisher, the offer or the sku is missing",
                    parts[2]
                ),
            )
        } else {
            let reason = format!(
                "the version is missing; write {}:latest or, better, an exact version after the sku",
                text.trim()
            );
            (Some(UrnPart::Version), reason)
        };
        return error(part, reason);
    }
    for (separator, name) in
        [('/', "slashes"), (';', "semicolons"), (',', "commas"), (' ', "spaces"), ('|', "bars")]
    {
        let others: Vec<&str> = text.trim().split(separator).collect();
        if count == 1 && others.len() == 4 && others.iter().all(|part| !part.is_empty()) {
            return error(None, format!("its parts are separated by {name}; write {}", others.join(":")));
        }
    }
    if count == 2 {
        let (part, missing) = if is_surely_version(parts[1]) {
            (None, "two of publisher, offer and sku")
        } else {
            (Some(UrnPart::Sku), "the sku and the version")
        };
        return error(part, format!("it has two parts instead of four: {missing} are missing"));
    }
    error(
        None,
        "it has one part instead of four; short names such as Ubuntu2204 belong to the Azure CLI (az vm image list shows the URN of each)".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const JAMMY: &str = "Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2:22.04.202601140";

    #[test]
    fn parses_and_displays() {
        let urn = Urn::parse(JAMMY).expect(JAMMY);
        assert_eq!(urn.publisher, "Canonical");
        assert_eq!(urn.offer, "0001-com-ubuntu-server-jammy");
        assert_eq!(urn.sku, "22_04-lts-gen2");
        assert_eq!(urn.version, "22.04.202601140");
        assert_eq!(urn.to_string(), JAMMY);
        assert_eq!(
            urn,
            Urn::new(&urn.publisher, &urn.offer, &urn.sku, &urn.version).expect("the same parts")
        );
        for (text, latest, exact) in [
            ("a:b:c:latest", true, false),
            ("a:b:c:LATEST", true, false),
            ("a:b:c:1.2", false, true),
            ("a:b:c:1.2.3.4.5", false, true),
            ("a:b:c:~> 1.2", false, false),
            ("a:b:c:>= 1.2, < 2", false, false),
        ] {
            let urn = Urn::parse(text).expect(text);
            assert_eq!((urn.is_latest(), urn.is_exact()), (latest, exact), "{text}");
            assert_eq!(urn.to_string(), text);
            assert_eq!(Urn::parse_exact(text).is_ok(), exact, "{text}");
        }
    }

    #[test]
    fn compares_images_without_case_and_knows_exact_versions() {
        let urn = Urn::parse(JAMMY).expect(JAMMY);
        let newer = urn.with_version("22.04.202602010");
        assert_eq!(newer.to_string(), JAMMY.replace("202601140", "202602010"));
        assert!(urn.is_same_image(&newer));
        assert!(urn.is_same_image(&Urn::parse(&JAMMY.to_lowercase()).expect("lower case")));
        assert!(!urn.is_same_image(&Urn::parse(&JAMMY.replace("gen2", "gen1")).expect("another sku")));
    }

    #[test]
    fn errors_point_at_the_wrong_part() {
        use UrnPart::{Offer, Publisher, Sku, Version};
        for (text, part, says) in [
            ("", None, "empty"),
            ("  ", None, "empty"),
            (":b:c:1.0", Some(Publisher), "the publisher is empty"),
            ("a::c:1.0", Some(Offer), "the offer is empty"),
            ("a:b::1.0", Some(Sku), "the sku is empty"),
            ("a:b:c:", Some(Version), "the version is empty"),
            ("a:b:c", Some(Version), "a:b:c:latest"),
            ("a:b:1.2.3", None, "publisher, the offer or the sku is missing"),
            ("a:b:latest", None, "ends in the version \"latest\""),
            ("a:b", Some(Sku), "the sku and the version"),
            ("a:1.0.0", None, "two of publisher"),
            ("RedHat:RHEL:8.10", Some(Version), "RedHat:RHEL:8.10:latest"),
            ("a:b:c:d:1.0", None, "5 parts"),
            ("a/b/c/1.0.0", None, "separated by slashes; write a:b:c:1.0.0"),
            ("a b c 1.0.0", None, "separated by spaces; write a:b:c:1.0.0"),
            ("/subscriptions/0/providers/x", None, "resource ID"),
            ("Ubuntu2204", None, "az vm image list"),
            (" a:b:c:1.0", Some(Publisher), "spaces around"),
            ("a:b :c:1.0", Some(Offer), "spaces around"),
            ("a:b:c:1.0 ", Some(Version), "spaces around"),
            ("a:b c:d:1.0", Some(Offer), "contains a space"),
            ("a:b/c:d:1.0", Some(Offer), "the character '/'"),
            ("a:b:ç:1.0", Some(Sku), "the character 'ç'"),
            ("a:b:c:newest", Some(Version), "not a digit"),
            ("a:b:c:1.x", Some(Version), "character 3"),
            ("a:b:c:v1.0", Some(Version), "leading 'v'"),
            ("a:b:c:~> 1.", Some(Version), "segment 2 is empty"),
        ] {
            let error = Urn::parse(text).expect_err(text);
            assert_eq!(error.part, part, "{text:?}: {error}");
            assert!(error.to_string().contains(says), "{text:?} says {error}, not {says:?}");
        }
        let error = Urn::parse_exact("a:b:c:latest").expect_err("it moves");
        assert_eq!(error.part, Some(Version));
        assert!(error.reason.contains("latest, which changes over time"), "{error}");
        let error = Urn::new("a", "b:c", "d", "1.0").expect_err("a colon inside");
        assert_eq!(error.part, Some(Offer), "{error}");
    }

    proptest! {
        #[test]
        fn display_and_parse_round_trip(text in "[A-Za-z0-9._-]{1,8}:[A-Za-z0-9._-]{1,8}:[A-Za-z0-9._-]{1,8}:([0-9]{1,9}(\\.[0-9]{1,20}){0,4}|latest|~> 1\\.2)") {
            prop_assert_eq!(Urn::parse(&text).expect("well formed").to_string(), text);
        }

        #[test]
        fn any_text_parses_or_fails_without_panic(text in "[a-c1.:/ é]{0,12}") {
            if let Ok(urn) = Urn::parse(&text) {
                prop_assert_eq!(urn.to_string(), text);
            }
        }
    }
}
