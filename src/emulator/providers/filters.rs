//! The `$filter` syntax of Resource Manager. An unsupported filter is an error instead of an unfiltered list.

use super::super::errors::ArmError;

/// How a field is compared with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operator {
    Equal,
    NotEqual,
    Contains,
    StartsWith,
    EndsWith,
}

/// One comparison, or a function without a field such as `atScope()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The field, in the spelling of the list of known fields.
    pub field: &'static str,
    /// The comparison.
    pub operator: Operator,
    /// The value, without its quotes.
    pub value: String,
}

impl Term {
    /// Whether a field's value matches, ignoring case.
    pub fn matches(&self, text: &str) -> bool {
        let (text, value) = (text.to_lowercase(), self.value.to_lowercase());
        match self.operator {
            Operator::Equal => text == value,
            Operator::NotEqual => text != value,
            Operator::Contains => text.contains(&value),
            Operator::StartsWith => text.starts_with(&value),
            Operator::EndsWith => text.ends_with(&value),
        }
    }
}

/// A filter: alternatives, each of which is a list of terms that must all match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(Vec<Vec<Term>>);

impl Filter {
    /// Whether an item passes; `holds` evaluates one term.
    pub fn passes(&self, holds: impl Fn(&Term) -> bool) -> bool {
        self.0.iter().any(|terms| terms.iter().all(&holds))
    }

    /// The alternatives.
    pub fn alternatives(&self) -> &[Vec<Term>] {
        &self.0
    }
}

/// Parses a filter over the fields of `known`; everything passes an empty filter. A name that ends with `()` is a function
/// without a comparison, whose argument is the value.
pub fn parse(filter: &str, known: &[&'static str]) -> Result<Filter, ArmError> {
    if filter.trim().is_empty() {
        return Ok(Filter(vec![Vec::new()]));
    }
    read(filter, known).ok_or_else(|| {
        let supported = match known {
            [] => "The emulator does not filter this list.".to_owned(),
            known => format!("The emulator filters by {}.", known.join(", ")),
        };
        ArmError::gateway(
            400,
            "InvalidFilterInQueryString",
            format!("Invalid $filter '{filter}' specified in the query string. {supported}"),
        )
    })
}

fn read(filter: &str, known: &[&'static str]) -> Option<Filter> {
    let tokens = tokens(filter)?;
    let words: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let alternatives = words.split(|word| word.eq_ignore_ascii_case("or"));
    let read = |words: &[&str]| {
        let terms = words.split(|word| word.eq_ignore_ascii_case("and"));
        terms.map(|words| term(words, known)).collect::<Option<Vec<Term>>>()
    };
    alternatives.map(read).collect::<Option<Vec<_>>>().map(Filter)
}

/// Names, quoted values with their first quote, and parentheses.
fn tokens(filter: &str) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut rest = filter.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '\'' => {
                let mut end = 1;
                loop {
                    end += rest[end..].find('\'')? + 1;
                    // A doubled quote is a literal quote.
                    if !rest[end..].starts_with('\'') {
                        break end;
                    }
                    end += 1;
                }
            }
            '(' | ')' | ',' => 1,
            _ => rest.find(|c: char| c.is_whitespace() || "(),'".contains(c)).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(end);
        found.push(token.to_owned());
        rest = after.trim_start();
    }
    Some(found)
}

fn term(words: &[&str], known: &[&'static str]) -> Option<Term> {
    let field = |name: &str| known.iter().copied().find(|known| known.eq_ignore_ascii_case(name));
    let value = |word: &str| Some(word.strip_prefix('\'')?.strip_suffix('\'')?.replace("''", "'"));
    let (name, operator, given) = match words {
        ["(", inner @ .., ")"] => return term(inner, known),
        [name, operator, given] => {
            let operator = match operator.to_ascii_lowercase().as_str() {
                "eq" => Operator::Equal,
                "ne" => Operator::NotEqual,
                _ if (*operator, *given) == ("(", ")") => {
                    return Some(Term {
                        field: field(&format!("{name}()"))?,
                        operator: Operator::Equal,
                        value: String::new(),
                    });
                }
                _ => return None,
            };
            (field(name)?, operator, value(given)?)
        }
        [name, "(", given, ")"] => (field(&format!("{name}()"))?, Operator::Equal, value(given)?),
        [function, "(", first, ",", second, ")"] => match function.to_ascii_lowercase().as_str() {
            "substringof" => (field(second)?, Operator::Contains, value(first)?),
            "startswith" => (field(first)?, Operator::StartsWith, value(second)?),
            "endswith" => (field(first)?, Operator::EndsWith, value(second)?),
            _ => return None,
        },
        _ => return None,
    };
    Some(Term { field: name, operator, value: given })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_or_refused() {
        const KNOWN: &[&str] = &["resourceType", "tagName", "tagValue", "atScope()", "assignedTo()"];
        let show = |filter: &str| {
            let Filter(alternatives) = parse(filter, KNOWN).ok()?;
            let show = |term: &Term| format!("{} {:?} {}", term.field, term.operator, term.value);
            let all = alternatives.iter().map(|terms| terms.iter().map(show).collect::<Vec<_>>().join(" & "));
            Some(all.collect::<Vec<_>>().join(" | "))
        };
        for (filter, wanted) in [
            ("", Some("")),
            ("ResourceType eq 'A.B/c'", Some("resourceType Equal A.B/c")),
            (
                "tagName eq 'it''s' and tagValue eq 'a or b'",
                Some("tagName Equal it's & tagValue Equal a or b"),
            ),
            (
                "resourceType eq 'a' or resourceType eq 'b'",
                Some("resourceType Equal a | resourceType Equal b"),
            ),
            ("substringof('x', resourceType)", Some("resourceType Contains x")),
            ("startswith(tagName, 'x')", Some("tagName StartsWith x")),
            ("(tagName ne '')", Some("tagName NotEqual ")),
            ("atScope()", Some("atScope() Equal ")),
            ("atScope() and assignedTo('x')", Some("atScope() Equal  & assignedTo() Equal x")),
            ("nope eq 'x'", None),
            ("resourceType", None),
            ("resourceType eq x", None),
            ("resourceType eq 'x", None),
            ("resourceType gt 'x'", None),
            ("resourceType eq 'x' and", None),
            ("substringof(resourceType, 'x')", None),
            ("not (tagName eq 'x')", None),
        ] {
            assert_eq!(show(filter).as_deref(), wanted, "{filter}");
        }
        let filter = parse("resourceType eq 'A' or tagName ne 'x'", KNOWN).unwrap();
        let passes = |kind: &str, tag: &str| {
            filter.passes(|term| term.matches(if term.field == "tagName" { tag } else { kind }))
        };
        assert!(passes("a", "x") && passes("b", "y") && !passes("b", "X"));
    }
}
