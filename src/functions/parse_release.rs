//! `parse_release(tag)`: splits a release tag into parts that can name a gallery image version.

use semver::Version;

use super::{argument, text};
use crate::framework::{Function, FunctionError, Signature};
use crate::image::check_gallery_version;
use crate::schema::{Type, Value};

/// The function.
pub struct ParseRelease;

impl Function for ParseRelease {
    fn name(&self) -> &'static str {
        "parse_release"
    }

    fn signature(&self) -> Signature {
        Signature {
            summary: "Splits a release tag into a gallery image version and the rest.",
            doc: "Reads a semantic version (2.0), with or without a leading `v`. A gallery image version has three numbers and \
                  no room for a prerelease or a build, so this function takes a tag apart:\n\n\
                  - `version`: the three numbers, such as `1.4.0`\n\
                  - `prerelease`: such as `rc.1`; null if there is none\n\
                  - `build`: such as `build.5`; null if there is none\n\
                  - `is_prerelease`: whether there is a prerelease, for `exclude_from_latest`\n\n\
                  ```terraform\n\
                  provider::azimage::parse_release(\"v1.4.0-rc.1+build.5\").version # \"1.4.0\"\n\
                  ```",
            parameters: vec![text("tag", "The tag, such as `v1.4.0-rc.1`.")],
            returns: Type::object([
                ("version", Type::String),
                ("prerelease", Type::String),
                ("build", Type::String),
                ("is_prerelease", Type::Bool),
            ]),
        }
    }

    fn call(&self, arguments: &[Value]) -> Result<Value, FunctionError> {
        let tag = argument(arguments, 0);
        let wrong = |why: String| FunctionError::argument(0, why);
        let parsed = Version::parse(tag.strip_prefix(['v', 'V']).unwrap_or(tag)).map_err(|error| {
            wrong(format!("{tag:?} is not a semantic version such as v1.4.0 or 1.4.0-rc.1+build.5: {error}"))
        })?;
        let version = format!("{}.{}.{}", parsed.major, parsed.minor, parsed.patch);
        check_gallery_version(&version).map_err(wrong)?;
        let part = |text: &str| if text.is_empty() { Value::Null } else { Value::string(text) };
        Ok(Value::object([
            ("version", Value::String(version)),
            ("prerelease", part(&parsed.pre)),
            ("build", part(&parsed.build)),
            ("is_prerelease", Value::Bool(!parsed.pre.is_empty())),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_tags() {
        for (tag, version, prerelease, build) in [
            ("v1.4.0-rc.1+build.5", "1.4.0", Some("rc.1"), Some("build.5")),
            ("1.4.0", "1.4.0", None, None),
            ("V2.0.0-beta", "2.0.0", Some("beta"), None),
            ("0.0.1+7", "0.0.1", None, Some("7")),
            ("1.1.0--x", "1.1.0", Some("-x"), None),
        ] {
            let got = ParseRelease.call(&[tag.into()]).unwrap();
            assert_eq!(got.get("version").as_str(), Some(version), "{tag}");
            assert_eq!(got.get("prerelease").as_str(), prerelease, "{tag}");
            assert_eq!(got.get("build").as_str(), build, "{tag}");
            assert_eq!(got.get("is_prerelease").as_bool(), Some(prerelease.is_some()), "{tag}");
        }
    }

    #[test]
    fn errors_describe_why_a_tag_is_not_a_release() {
        for (tag, why) in [
            ("", "not a semantic version"),
            ("1.4", "not a semantic version"),
            ("release-1.4.0", "not a semantic version"),
            ("vv1.4.0", "not a semantic version"),
            ("01.4.0", "leading zero"),
            ("1.4.0-rc..1", "empty identifier"),
            ("1.4.0 ", "not a semantic version"),
            ("1.4.2147483648", "2147483647"),
        ] {
            let error = ParseRelease.call(&[tag.into()]).unwrap_err();
            assert_eq!(error.argument, Some(0));
            assert!(error.text.contains(why), "{tag}: {}", error.text);
        }
    }
}
