//! `format_urn(publisher, offer, sku, version)`: joins the parts of a Marketplace URN.

use super::{argument, text};
use crate::framework::{Function, FunctionError, Signature};
use crate::image::{Urn, UrnPart};
use crate::schema::{Type, Value};

/// The function.
pub struct FormatUrn;

impl Function for FormatUrn {
    fn name(&self) -> &'static str {
        "format_urn"
    }

    fn signature(&self) -> Signature {
        Signature {
            summary: "Joins the parts of a Marketplace URN.",
            doc: "Returns `publisher:offer:sku:version` after checking each part.\n\n\
                  ```terraform\n\
                  provider::azimage::format_urn(\"Canonical\", \"ubuntu-24_04-lts\", \"server\", \"24.04.202511010\")\n\
                  # \"Canonical:ubuntu-24_04-lts:server:24.04.202511010\"\n\
                  ```",
            parameters: vec![
                text("publisher", "The publisher."),
                text("offer", "The offer."),
                text("sku", "The sku."),
                text("version", "An exact version, `latest`, or a constraint."),
            ],
            returns: Type::String,
        }
    }

    fn call(&self, arguments: &[Value]) -> Result<Value, FunctionError> {
        let [publisher, offer, sku, version] = [0, 1, 2, 3].map(|index| argument(arguments, index));
        let urn = Urn::new(publisher, offer, sku, version).map_err(|error| FunctionError {
            text: error.reason,
            argument: UrnPart::ALL
                .iter()
                .position(|part| error.part == Some(*part))
                .map(|index| index as i64),
        })?;
        Ok(Value::String(urn.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(parts: [&str; 4]) -> Result<Value, FunctionError> {
        FormatUrn.call(&parts.map(Value::from))
    }

    #[test]
    fn joins_the_parts() {
        assert_eq!(call(["Canonical", "o", "s", "1.2.3"]), Ok("Canonical:o:s:1.2.3".into()));
        assert_eq!(call(["Canonical", "o", "s", "latest"]), Ok("Canonical:o:s:latest".into()));
    }

    #[test]
    fn error_points_at_the_wrong_part() {
        let rows: &[([&str; 4], i64)] = &[
            (["", "o", "s", "1.0.0"], 0),
            (["p", "o:x", "s", "1.0.0"], 1),
            (["p", "o", "s ", "1.0.0"], 2),
            (["p", "o", "s", "newest"], 3),
            (["p", "o", "s", ""], 3),
        ];
        for (parts, argument) in rows {
            let error = call(*parts).unwrap_err();
            assert_eq!(error.argument, Some(*argument), "{}", error.text);
        }
    }
}
