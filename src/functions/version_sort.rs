//! `version_sort(versions)`: sorts versions by number.

use super::{elements, texts};
use crate::framework::{Function, FunctionError, Signature};
use crate::image::Version;
use crate::schema::{Type, Value};

/// The function.
pub struct VersionSort;

impl Function for VersionSort {
    fn name(&self) -> &'static str {
        "version_sort"
    }

    fn signature(&self) -> Signature {
        Signature {
            summary: "Sorts versions by number, oldest first.",
            doc: "Sorts as Terraform's `sort` does, lowest first, but by number instead of by letter; `reverse()` puts the \
                  newest first. Versions keep their spelling.\n\n\
                  ```terraform\n\
                  provider::azimage::version_sort([\"1.0.12\", \"1.0.9\", \"1.0.10\"]) # [\"1.0.9\", \"1.0.10\", \"1.0.12\"]\n\
                  ```",
            parameters: vec![texts("versions", "The versions, in any order.")],
            returns: Type::list(Type::String),
        }
    }

    fn call(&self, arguments: &[Value]) -> Result<Value, FunctionError> {
        let mut versions = parse(elements(arguments, 0)?)?;
        versions.sort_by(Version::cmp_with_spelling);
        Ok(Value::List(versions.iter().map(|version| version.as_str().into()).collect()))
    }
}

/// Parses each of `texts` as a version; errors point at argument 0.
pub(super) fn parse(texts: Vec<&str>) -> Result<Vec<Version>, FunctionError> {
    texts
        .into_iter()
        .enumerate()
        .map(|(position, text)| {
            Version::parse(text)
                .map_err(|error| FunctionError::argument(0, format!("element {position}: {error}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(versions: &[&str]) -> Result<Value, FunctionError> {
        VersionSort.call(&[Value::List(versions.iter().map(|version| Value::from(*version)).collect())])
    }

    #[test]
    fn sorts_by_number() {
        for (given, sorted) in [
            (&["1.0.12", "1.0.9", "1.0.10"][..], &["1.0.9", "1.0.10", "1.0.12"][..]),
            (&["9.10.3", "9.2.20", "9.2"], &["9.2", "9.2.20", "9.10.3"]),
            (&["1.2.0", "1.2", "1.2.0"], &["1.2", "1.2.0", "1.2.0"]),
            (&[], &[]),
        ] {
            let sorted = Value::List(sorted.iter().map(|version| Value::from(*version)).collect());
            assert_eq!(call(given), Ok(sorted));
        }
    }

    #[test]
    fn error_points_at_the_element_that_is_not_a_version() {
        let error = call(&["1.0.0", "1.0.x"]).unwrap_err();
        assert_eq!(error.argument, Some(0));
        assert!(error.text.contains("element 1") && error.text.contains("1.0.x"), "{}", error.text);
        let error = VersionSort.call(&[Value::List(vec![Value::Null])]).unwrap_err();
        assert!(error.text.contains("element 0 is null"), "{}", error.text);
    }
}
