//! `version_latest(versions, constraint)`: the newest version that satisfies a constraint.

use super::{argument, elements, text, texts, version_sort};
use crate::framework::{Function, FunctionError, Signature};
use crate::image::{Wanted, nearest_versions, newest};
use crate::schema::{Type, Value};

/// The function.
pub struct VersionLatest;

impl Function for VersionLatest {
    fn name(&self) -> &'static str {
        "version_latest"
    }

    fn signature(&self) -> Signature {
        Signature {
            summary: "Finds the newest version that satisfies a constraint.",
            doc: "Returns the greatest version by number, with the spelling in the list. The constraint may also be `latest`, for \
                  any. It is an error when no version satisfies it, since a null would silently mean \"latest\" elsewhere; \
                  `try(…, null)` turns that into a null.\n\n\
                  ```terraform\n\
                  provider::azimage::version_latest([\"1.0.9\", \"1.0.12\", \"2.0.0\"], \"~> 1.0\") # \"1.0.12\"\n\
                  ```",
            parameters: vec![
                texts("versions", "The versions, in any order."),
                text("constraint", "A constraint such as `~> 1.0`, an exact version, or `latest`."),
            ],
            returns: Type::String,
        }
    }

    fn call(&self, arguments: &[Value]) -> Result<Value, FunctionError> {
        let versions = elements(arguments, 0)?;
        version_sort::parse(versions.clone())?;
        let wanted = Wanted::parse(argument(arguments, 1))
            .map_err(|error| FunctionError::argument(1, error.to_string()))?;
        if let Some(version) = newest(versions.iter().copied(), &wanted) {
            return Ok(version.into());
        }
        if versions.is_empty() {
            return Err(FunctionError::argument(
                0,
                "the list is empty, so there is no version to choose from",
            ));
        }
        let near = nearest_versions(&wanted, versions).join(", ");
        Err(FunctionError::argument(
            1,
            format!("none of the versions satisfies \"{wanted}\"; the nearest are {near}"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(versions: &[&str], constraint: &str) -> Result<Value, FunctionError> {
        let versions = versions.iter().map(|version| Value::from(*version)).collect();
        VersionLatest.call(&[Value::List(versions), constraint.into()])
    }

    #[test]
    fn returns_the_version_with_the_greatest_number() {
        let versions = ["1.0.12", "1.0.9", "2.0.0", "9.2.20", "9.10.3"];
        for (constraint, version) in [
            ("~> 1.0", "1.0.12"),
            ("latest", "9.10.3"),
            (">= 1, < 9", "2.0.0"),
            ("9.2.20", "9.2.20"),
            ("< 1.0.12", "1.0.9"),
        ] {
            assert_eq!(call(&versions, constraint), Ok(version.into()), "{constraint}");
        }
    }

    #[test]
    fn error_points_at_the_wrong_argument() {
        for (versions, constraint, argument, text) in [
            (&["1.0.0"][..], "~> 2.0", 1, "1.0.0"),
            (&[], "latest", 0, "empty"),
            (&["1.x"], "latest", 0, "element 0"),
            (&["1.0"], "=> 1", 1, "write >="),
        ] {
            let error = call(versions, constraint).unwrap_err();
            assert_eq!(error.argument, Some(argument), "{}", error.text);
            assert!(error.text.contains(text), "{}", error.text);
        }
    }
}
