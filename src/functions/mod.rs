//! The provider's functions, one file each: pure, offline, and usable without a provider configuration.

mod format_urn;
mod packer_artifact;
mod parse_image_id;
mod parse_release;
mod parse_urn;
mod version_bump;
mod version_latest;
mod version_satisfies;
mod version_sort;

use crate::framework::{Function, FunctionError, Parameter};
use crate::schema::{Type, Value};

/// Every function of this provider.
pub fn all() -> Vec<Box<dyn Function>> {
    vec![
        Box::new(format_urn::FormatUrn),
        Box::new(packer_artifact::PackerArtifact),
        Box::new(parse_image_id::ParseImageId),
        Box::new(parse_release::ParseRelease),
        Box::new(parse_urn::ParseUrn),
        Box::new(version_bump::VersionBump),
        Box::new(version_latest::VersionLatest),
        Box::new(version_satisfies::VersionSatisfies),
        Box::new(version_sort::VersionSort),
    ]
}

const fn text(name: &'static str, doc: &'static str) -> Parameter {
    Parameter { name, ty: Type::String, doc }
}

fn texts(name: &'static str, doc: &'static str) -> Parameter {
    Parameter { name, ty: Type::list(Type::String), doc }
}

/// The text argument at `index`; core has already checked its type.
fn argument(arguments: &[Value], index: usize) -> &str {
    arguments.get(index).and_then(Value::as_str).unwrap_or_default()
}

/// The texts in the list argument at `index`. A null element is an error.
fn elements(arguments: &[Value], index: usize) -> Result<Vec<&str>, FunctionError> {
    let list = arguments.get(index).map_or(&[][..], Value::elements);
    list.iter()
        .enumerate()
        .map(|(position, element)| {
            element.as_str().ok_or_else(|| {
                FunctionError::argument(
                    index as i64,
                    format!("element {position} is null, and every element must be a version"),
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_named_and_documented() {
        let mut names = Vec::new();
        for function in all() {
            let signature = function.signature();
            assert!(signature.summary.ends_with('.') && !signature.doc.is_empty(), "{}", function.name());
            assert!(
                signature.doc.contains(&format!("provider::azimage::{}(", function.name())),
                "{}",
                function.name()
            );
            assert!(signature.parameters.iter().all(|parameter| parameter.doc.ends_with('.')));
            names.push(function.name());
        }
        assert_eq!(
            names,
            [
                "format_urn",
                "packer_artifact",
                "parse_image_id",
                "parse_release",
                "parse_urn",
                "version_bump",
                "version_latest",
                "version_satisfies",
                "version_sort"
            ]
        );
    }

    #[test]
    fn wrong_arguments_give_errors_only() {
        for function in all() {
            for value in [Value::Null, Value::string(""), Value::List(vec![Value::Null]), Value::int(3)] {
                let arguments = vec![value; function.signature().parameters.len()];
                let _ = function.call(&arguments);
            }
            let _ = function.call(&[]);
            // Terraform shows the text between a colon and a full stop.
            let error = function.call(&vec![Value::string("?"); function.signature().parameters.len()]);
            if let Err(FunctionError { text, argument }) = error {
                assert!(argument.is_some() && !text.ends_with(['.', '?']), "{}: {text}", function.name());
            }
        }
    }
}
