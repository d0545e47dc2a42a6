//! The data source `azimage_marketplace_catalog`: the names in the Marketplace, one level at a time.

use async_trait::async_trait;
use regex_lite::Regex;

use super::finding::check_regex;
use crate::azure::Context;
use crate::azure::attributes::check_location;
use crate::azure::marketplace::{Market, check_offer, check_publisher};
use crate::framework::timeouts::ReadTimeouts;
use crate::framework::{DataSource, Op};
use crate::model;
use crate::schema::spec::{block, computed, optional, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Value};

model! {
    /// Lists names in the Marketplace: the publishers of a location; with `publisher`, its offers; with `offer` too, the
    /// SKUs of that offer. The list is empty for a publisher or offer that does not exist.
    pub struct Model {
        /// The location whose Marketplace is read, in any spelling.
        pub location: String = required().check_text(check_location),
        /// The publisher whose offers are listed.
        pub publisher: Option<String> = optional().check_text(check_publisher),
        /// The offer whose SKUs are listed. Requires `publisher`.
        pub offer: Option<String> = optional().check_text(check_offer),
        /// A regular expression that the names must match somewhere. Begin it with `(?i)` to ignore case.
        pub name_regex: Option<String> = optional().check_text(check_regex),
        /// The names, sorted.
        pub names: Vec<String> = computed(),
        /// How long reading may take.
        pub timeouts: Option<ReadTimeouts> = block(),
    }
}

/// The data source.
pub struct MarketplaceCatalog;

#[async_trait]
impl DataSource<Context> for MarketplaceCatalog {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_marketplace_catalog"
    }

    fn validate(&self, config: &Value, found: &mut Diagnostics) {
        if !config.get("offer").is_null() && config.get("publisher").is_null() {
            found.error(
                Path::attribute("publisher"),
                "publisher is missing",
                "Set the publisher of the offer too.",
            );
        }
    }

    async fn read(&self, context: &Context, op: &Op, config: Model) -> Result<Model, Diagnostics> {
        let regex = config.name_regex.as_deref().map(Regex::new).transpose().map_err(|error| {
            Diagnostic::error("Invalid value for name_regex", error.to_string())
                .at(Path::attribute("name_regex"))
        })?;
        let parents: Vec<&str> = config.publisher.iter().chain(&config.offer).map(String::as_str).collect();
        let what = match parents.as_slice() {
            [] => "publishers".to_owned(),
            [publisher] => format!("offers of {publisher}"),
            [publisher, offer, ..] => format!("skus of {publisher}:{offer}"),
        };
        let market =
            Market::open(context, op, &config.location, format!("listing Marketplace {what}")).await?;
        let mut names = market.names(&parents).await.map_err(|error| market.fault(&error, &what))?;
        names.retain(|name| regex.as_ref().is_none_or(|regex| regex.is_match(name)));
        Ok(Model { names, ..config })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::azure::testing::{FakeArm, op};
    use crate::schema::Slot;

    const PUBLISHERS: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/providers/Microsoft.Compute/locations/westus/publishers";

    #[tokio::test]
    async fn lists_each_level_and_an_empty_list_for_missing_parents() {
        let arm = FakeArm::new();
        arm.get(PUBLISHERS, json!([{"name": "RedHat"}, {"name": "Canonical"}]))
            .get(
                &format!("{PUBLISHERS}/Canonical/artifacttypes/vmimage/offers"),
                json!([{"name": "jammy"}, {"name": "noble"}]),
            )
            .get(
                &format!("{PUBLISHERS}/Canonical/artifacttypes/vmimage/offers/jammy/skus"),
                json!([{"name": "22_04-lts-gen2"}, {"name": "22_04-lts"}, {"name": "minimal"}]),
            );
        let context = arm.context();
        let rows: &[(&[&str], Option<&str>, &[&str])] = &[
            (&[], None, &["Canonical", "RedHat"]),
            (&[], Some("(?i)redhat"), &["RedHat"]),
            (&["Canonical"], None, &["jammy", "noble"]),
            (&["Canonical", "jammy"], Some("^22_04.*gen2$"), &["22_04-lts-gen2"]),
            (&["Nobody"], None, &[]),
            (&["Canonical", "nothing"], None, &[]),
        ];
        for (parents, regex, names) in rows {
            let config = Model {
                location: "westus".to_owned(),
                publisher: parents.first().map(|name| name.to_string()),
                offer: parents.get(1).map(|name| name.to_string()),
                name_regex: regex.map(str::to_owned),
                ..Model::default()
            };
            assert_eq!(MarketplaceCatalog.read(&context, &op(), config).await.unwrap().names, *names);
        }
    }

    #[test]
    fn refuses_an_offer_without_a_publisher_and_an_invalid_regex() {
        let mut config =
            Model { location: "westus".to_owned(), offer: Some("o".to_owned()), ..Model::default() }.encode();
        let mut found = Diagnostics::new();
        MarketplaceCatalog.validate(&config, &mut found);
        assert_eq!(found.0[0].path, Path::attribute("publisher"));
        config.set("publisher", Value::Unknown);
        let mut found = Diagnostics::new();
        MarketplaceCatalog.validate(&config, &mut found);
        assert!(found.0.is_empty());
        assert!(check_regex("a[").is_err());
    }
}
