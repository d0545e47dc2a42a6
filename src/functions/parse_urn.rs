//! `parse_urn(urn)`: splits a Marketplace URN into its four parts.

use super::{argument, text};
use crate::framework::{Function, FunctionError, Signature};
use crate::image::Urn;
use crate::schema::{Type, Value};

/// The function.
pub struct ParseUrn;

impl Function for ParseUrn {
    fn name(&self) -> &'static str {
        "parse_urn"
    }

    fn signature(&self) -> Signature {
        Signature {
            summary: "Splits a Marketplace URN into its parts.",
            doc: "Splits `publisher:offer:sku:version` into an object with the attributes `publisher`, `offer`, `sku` and \
                  `version`, as they are spelt. The version may be exact, `latest`, or a constraint.\n\n\
                  ```terraform\n\
                  provider::azimage::parse_urn(\"Canonical:ubuntu-24_04-lts:server:24.04.202511010\")\n\
                  # { offer = \"ubuntu-24_04-lts\", publisher = \"Canonical\", sku = \"server\", version = \"24.04.202511010\" }\n\
                  ```",
            parameters: vec![text("urn", "The URN, as publisher:offer:sku:version.")],
            returns: Type::object(["publisher", "offer", "sku", "version"].map(|name| (name, Type::String))),
        }
    }

    fn call(&self, arguments: &[Value]) -> Result<Value, FunctionError> {
        let urn = Urn::parse(argument(arguments, 0))
            .map_err(|error| FunctionError::argument(0, error.to_string()))?;
        Ok(Value::object([
            ("publisher", Value::String(urn.publisher)),
            ("offer", Value::String(urn.offer)),
            ("sku", Value::String(urn.sku)),
            ("version", Value::String(urn.version)),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_a_urn() {
        let parts = ParseUrn.call(&["Canonical:o:s_1:22.04.202601140".into()]).unwrap();
        let names =
            ["publisher", "offer", "sku", "version"].map(|name| parts.get(name).as_str().unwrap().to_owned());
        assert_eq!(names, ["Canonical", "o", "s_1", "22.04.202601140"]);
        for version in ["latest", "~> 1.2"] {
            let parts = ParseUrn.call(&[format!("a:b:c:{version}").as_str().into()]).unwrap();
            assert_eq!(parts.get("version").as_str(), Some(version));
        }
    }

    #[test]
    fn errors_describe_the_mistake() {
        for (urn, text) in [
            ("a:b:c", "version is missing"),
            ("", "empty"),
            ("a/b/c/1.0", "slashes"),
            ("a::c:1.0", "offer is empty"),
        ] {
            let error = ParseUrn.call(&[urn.into()]).unwrap_err();
            assert_eq!(error.argument, Some(0));
            assert!(error.text.contains(text), "{}", error.text);
        }
    }
}
