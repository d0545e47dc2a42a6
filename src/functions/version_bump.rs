//! `version_bump(version, part)`: increments a gallery version.

use super::{argument, text};
use crate::framework::{Function, FunctionError, Signature};
use crate::image::version::{Part, bump, check_gallery_version};
use crate::schema::{Type, Value};

/// The function.
pub struct VersionBump;

impl Function for VersionBump {
    fn name(&self) -> &'static str {
        "version_bump"
    }

    fn signature(&self) -> Signature {
        Signature {
            summary: "Increments one number of a gallery image version.",
            doc: "Increments the major, minor or patch number and sets the numbers to its right to 0.\n\n\
                  ```terraform\n\
                  provider::azimage::version_bump(\"1.4.2\", \"minor\") # \"1.5.0\"\n\
                  ```",
            parameters: vec![
                text("version", "A gallery image version: three integers, such as 1.4.2."),
                text("part", "Which number to increment: `major`, `minor` or `patch`."),
            ],
            returns: Type::String,
        }
    }

    fn call(&self, arguments: &[Value]) -> Result<Value, FunctionError> {
        let (version, part) = (argument(arguments, 0), argument(arguments, 1));
        let wrong = |index| move |text: String| FunctionError::argument(index, text);
        check_gallery_version(version).map_err(wrong(0))?;
        let part = Part::parse(part).map_err(wrong(1))?;
        bump(version, part).map(Value::String).map_err(wrong(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn increments_one_number() {
        for (version, part, next) in [
            ("1.4.2", "major", "2.0.0"),
            ("1.4.2", "minor", "1.5.0"),
            ("1.4.9", "patch", "1.4.10"),
            ("2026.11.23", "patch", "2026.11.24"),
        ] {
            assert_eq!(VersionBump.call(&[version.into(), part.into()]), Ok(next.into()));
        }
    }

    #[test]
    fn error_points_at_the_wrong_argument() {
        for (version, part, argument) in [
            ("1.0", "patch", 0),
            ("1.0.0.0", "patch", 0),
            ("v1.0.0", "patch", 0),
            ("1.0.2147483647", "patch", 0),
            ("1.0.0", "Minor", 1),
            ("1.0.0", "build", 1),
        ] {
            let error = VersionBump.call(&[version.into(), part.into()]).unwrap_err();
            assert_eq!(error.argument, Some(argument), "{}", error.text);
        }
    }
}
