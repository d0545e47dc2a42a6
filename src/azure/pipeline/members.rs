//! Attributes whose members in a request do not exist in older API versions of a resource type.

use crate::arm::Target;
use crate::schema::{Path, Value};

/// An attribute, or one of its values, that older API versions do not have.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Dotted, such as `target_region.exclude_from_latest`.
    attribute: &'static str,
    since: &'static str,
    only: Option<&'static str>,
}

impl Member {
    /// An attribute or a block that exists since API version `since`. A false or empty one is not sent.
    pub const fn new(attribute: &'static str, since: &'static str) -> Member {
        Member { attribute, since, only: None }
    }

    /// A value of an attribute that exists since API version `since`.
    pub const fn value(attribute: &'static str, value: &'static str, since: &'static str) -> Member {
        Member { attribute, since, only: Some(value) }
    }

    /// The oldest API version that has it.
    pub fn since(&self) -> &'static str {
        self.since
    }

    /// The argument of the configuration.
    pub fn path(&self) -> Path {
        Path::attribute(self.attribute.split('.').next().unwrap_or_default())
    }

    /// The attribute, or the attribute with its value if only the value is missing, as the user wrote it.
    pub fn name(&self) -> String {
        match self.only {
            Some(value) => format!("{} = {value:?}", self.attribute),
            None => self.attribute.to_owned(),
        }
    }

    /// What to do in a cloud that lacks it.
    pub fn remedy(&self) -> &'static str {
        if self.attribute.starts_with("source.") { "Use another kind of source." } else { "Remove it." }
    }

    /// Whether the plan sets it, in any element of the enclosing blocks. An unknown value counts as not set.
    pub fn is_in(&self, plan: &Value) -> bool {
        self.is_at(plan, self.attribute)
    }

    fn is_at(&self, value: &Value, path: &str) -> bool {
        match value {
            Value::List(elements) | Value::Set(elements) if !path.is_empty() => {
                elements.iter().any(|element| self.is_at(element, path))
            }
            value if path.is_empty() => match self.only {
                Some(only) => value.as_str() == Some(only),
                None => value.is_known() && !value.is_unset() && value.as_bool() != Some(false),
            },
            value => {
                let (name, rest) = path.split_once('.').unwrap_or((path, ""));
                self.is_at(value.get(name), rest)
            }
        }
    }
}

/// `target` with a requirement for each member of `plan`, so that clouds without it refuse the call.
pub fn requiring(target: Target, plan: &Value, members: &[Member]) -> Target {
    let present = members.iter().filter(|member| member.is_in(plan));
    present.fold(target, |target, member| target.needs(member.since, member.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_members_of_blocks_and_ignores_false_and_empty_ones() {
        let region = |exclude: bool| Value::object([("exclude", exclude.into())]);
        let plan = Value::object([
            ("region", Value::Set(vec![region(false), region(true)])),
            ("mode", "Shallow".into()),
            ("block", false.into()),
            ("text", "".into()),
            ("open", Value::Unknown),
            ("features", Value::Map([("a".to_owned(), "b".into())].into())),
            ("none", Value::Map(Default::default())),
            ("identity", Value::object([("type", "None".into())])),
            ("absent", Value::Null),
        ]);
        for (attribute, expected) in [
            ("region.exclude", true),
            ("region.other", false),
            ("region", true),
            ("mode", true),
            ("block", false),
            ("text", false),
            ("open", false),
            ("open.inner", false),
            ("features", true),
            ("none", false),
            ("identity", true),
            ("absent", false),
            ("absent.inner", false),
        ] {
            assert_eq!(Member::new(attribute, "2021-10-01").is_in(&plan), expected, "{attribute}");
        }
        assert!(Member::value("mode", "Shallow", "2021-07-01").is_in(&plan));
        assert!(!Member::value("mode", "Full", "2021-07-01").is_in(&plan));
        assert_eq!(Member::value("mode", "Full", "2021-07-01").name(), "mode = \"Full\"");
    }
}
