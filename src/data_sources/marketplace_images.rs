//! The data source `azimage_marketplace_images`: the versions of one Marketplace image.

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::azure::Context;
use crate::azure::attributes::check_location;
use crate::azure::marketplace::{Market, Pick, check_offer, check_publisher, check_sku};
use crate::framework::timeouts::ReadTimeouts;
use crate::framework::{DataSource, Op};
use crate::image::{Constraint, Urn, Version, Wanted, sort_newest_first};
use crate::model;
use crate::schema::spec::{block, computed, optional, required};
use crate::schema::{Diagnostic, Diagnostics, Path};

model! {
    /// Lists the versions of a Marketplace image, newest first by number. The list is empty for an image that does not exist.
    pub struct Model {
        /// The location whose Marketplace is read, in any spelling.
        pub location: String = required().check_text(check_location),
        /// The publisher, such as `Canonical`.
        pub publisher: String = required().check_text(check_publisher),
        /// The offer, such as `0001-com-ubuntu-server-jammy`.
        pub offer: String = required().check_text(check_offer),
        /// The SKU, such as `22_04-lts-gen2`.
        pub sku: String = required().check_text(check_sku),
        /// A constraint that the versions must satisfy, such as `~> 22.04.202501010`.
        pub constraint: Option<String> = optional().check_text(check_constraint),
        /// The maximum number of versions; the newest are listed. Defaults to all.
        pub limit: Option<i64> = optional().between(1, 100_000),
        /// The versions, newest first, including deprecated ones.
        pub versions: Vec<String> = computed(),
        /// The newest version that is not deprecated, which `azimage_marketplace_image` selects. Null if there is none.
        pub newest_version: Option<String> = computed(),
        /// How long reading may take.
        pub timeouts: Option<ReadTimeouts> = block(),
    }
}

/// The data source.
pub struct MarketplaceImages;

#[async_trait]
impl DataSource<Context> for MarketplaceImages {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_marketplace_images"
    }

    async fn read(&self, context: &Context, op: &Op, config: Model) -> Result<Model, Diagnostics> {
        let Model { publisher, offer, sku, .. } = &config;
        let image = format!("{publisher}:{offer}:{sku}");
        let urn = Urn::new(publisher, offer, sku, "latest")
            .map_err(|error| Diagnostic::error("Invalid Marketplace image", error.to_string()))?;
        let wanted = match config.constraint.as_deref().map(Constraint::parse) {
            None => Wanted::Latest,
            Some(Ok(constraint)) => Wanted::Constraint(constraint),
            Some(Err(error)) => {
                let diagnostic = Diagnostic::error("Invalid value for constraint", error.to_string());
                return Err(diagnostic.at(Path::attribute("constraint")).into());
            }
        };
        let market = Market::open(
            context,
            op,
            &config.location,
            format!("listing versions of Marketplace image \"{image}\""),
        )
        .await?;
        let fault = |error| Diagnostics::from(market.fault(&error, &image));
        let mut listed = market.versions(&urn).await.map_err(fault)?;
        let matching: Vec<&str> = listed
            .iter()
            .map(|listed| listed.version.as_str())
            .filter(|version| match &wanted {
                Wanted::Constraint(constraint) => {
                    Version::parse(version).is_ok_and(|version| constraint.matches(&version))
                }
                _ => true,
            })
            .collect();
        let mut versions: Vec<String> = sort_newest_first(matching).into_iter().map(str::to_owned).collect();
        versions.truncate(config.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX));
        let newest =
            market.pick(&urn, &mut listed, &wanted, false, OffsetDateTime::now_utc()).await.map_err(fault)?;
        let newest_version = match newest {
            Pick::One(version) => Some(version),
            Pick::Deprecated(_) | Pick::Nothing => None,
        };
        Ok(Model { versions, newest_version, ..config })
    }
}

fn check_constraint(text: &str) -> Result<(), String> {
    Constraint::parse(text).map(drop).map_err(|error| format!("is not a constraint: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::azure::testing::{FakeArm, op};

    const VERSIONS: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/providers/Microsoft.Compute/locations/westus/publishers/p/artifacttypes/vmimage/offers/o/skus/s/versions";

    #[tokio::test]
    async fn lists_newest_first_and_an_empty_list_for_a_missing_image() {
        let arm = FakeArm::new();
        let item = |version: &str, state: &str| json!({"name": version, "properties": {"imageDeprecationStatus": {"imageState": state}}});
        arm.get(
            VERSIONS,
            json!([
                item("1.0.12", "Active"),
                item("1.0.9", "Active"),
                item("9.10.3", "Active"),
                item("9.2.20", "Active"),
                item("9.11.0", "Deprecated"),
            ]),
        );
        let context = arm.context();
        type Row<'a> = (&'a str, Option<&'a str>, Option<i64>, &'a [&'a str], Option<&'a str>);
        let rows: &[Row<'_>] = &[
            ("s", None, None, &["9.11.0", "9.10.3", "9.2.20", "1.0.12", "1.0.9"], Some("9.10.3")),
            ("s", Some("< 9"), None, &["1.0.12", "1.0.9"], Some("1.0.12")),
            ("s", None, Some(2), &["9.11.0", "9.10.3"], Some("9.10.3")),
            ("s", Some("> 9.10.3"), None, &["9.11.0"], None),
            ("s", Some("> 10"), None, &[], None),
            ("other", None, None, &[], None),
        ];
        for (sku, constraint, limit, versions, newest) in rows {
            let config = Model {
                location: "West US".to_owned(),
                publisher: "p".to_owned(),
                offer: "o".to_owned(),
                sku: sku.to_string(),
                constraint: constraint.map(str::to_owned),
                limit: *limit,
                ..Model::default()
            };
            let got = MarketplaceImages.read(&context, &op(), config).await.unwrap();
            assert_eq!(got.versions, *versions);
            assert_eq!(got.newest_version.as_deref(), *newest);
        }
    }
}
