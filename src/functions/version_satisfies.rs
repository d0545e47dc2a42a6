//! `version_satisfies(version, constraint)`: whether a version satisfies a constraint.

use super::{argument, text};
use crate::framework::{Function, FunctionError, Signature};
use crate::image::{Constraint, Version};
use crate::schema::{Type, Value};

/// The function.
pub struct VersionSatisfies;

impl Function for VersionSatisfies {
    fn name(&self) -> &'static str {
        "version_satisfies"
    }

    fn signature(&self) -> Signature {
        Signature {
            summary: "Reports whether a version satisfies a constraint.",
            doc: "Constraints are Terraform's own: `=`, `!=`, `>`, `>=`, `<`, `<=` and `~>`, with commas for \"and\". Versions \
                  are integers separated by dots, as many as there are, and are compared by number; missing ones count as 0.\n\n\
                  ```terraform\n\
                  provider::azimage::version_satisfies(\"1.0.12\", \"~> 1.0.9\") # true\n\
                  ```",
            parameters: vec![
                text("version", "The version, such as 1.0.12."),
                text("constraint", "The constraint, such as `>= 1.0.9, < 2`."),
            ],
            returns: Type::Bool,
        }
    }

    fn call(&self, arguments: &[Value]) -> Result<Value, FunctionError> {
        let version = Version::parse(argument(arguments, 0))
            .map_err(|error| FunctionError::argument(0, error.to_string()))?;
        let constraint = Constraint::parse(argument(arguments, 1))
            .map_err(|error| FunctionError::argument(1, error.to_string()))?;
        Ok(Value::Bool(constraint.matches(&version)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_by_number() {
        for (version, constraint, passes) in [
            ("1.0.12", "~> 1.0.9", true),
            ("1.0.9", "> 1.0.12", false),
            ("9.10.3", ">= 9.2.20, < 10", true),
            ("22.04.202601140", "~> 22.04.202501010", true),
            ("1.2", "1.2.0", true),
            ("1.2.7", "~> 1.2, != 1.2.7", false),
        ] {
            let result = VersionSatisfies.call(&[version.into(), constraint.into()]);
            assert_eq!(result, Ok(Value::Bool(passes)), "{version} {constraint}");
        }
    }

    #[test]
    fn error_points_at_the_wrong_argument() {
        for (version, constraint, argument) in [
            ("1.x", ">= 1", 0),
            ("latest", ">= 1", 0),
            ("1.0", "=> 1", 1),
            ("1.0", "", 1),
            ("1.0", "latest", 1),
        ] {
            let error = VersionSatisfies.call(&[version.into(), constraint.into()]).unwrap_err();
            assert_eq!(error.argument, Some(argument), "{}", error.text);
        }
    }
}
