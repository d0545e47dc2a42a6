//! The data source `azimage_image_cost`: the monthly cost of an image's replicas.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde_json::Value as Json;

use super::finding::argument;
use crate::arm::id::{IMAGE_DEFINITION, IMAGE_VERSION};
use crate::arm::{ResourceId, Scope, Target, region};
use crate::azure::attributes::{check_exactly_one, id_of};
use crate::azure::context::scope;
use crate::azure::prices::{self, Meter, Prices};
use crate::azure::{Context, body, fault};
use crate::framework::timeouts::ReadTimeouts;
use crate::framework::{DataSource, Op};
use crate::image::Decimal;
use crate::model;
use crate::schema::spec::{block, computed, optional};
use crate::schema::{Diagnostic, Diagnostics, Number, Path, Value};

model! {
    /// Computes the monthly cost of the replicas of an image definition's versions, or of one version: size in GB × replicas
    /// × the price per GB and month in each region, from Azure's public retail prices.
    ///
    /// Azure bills the occupied size but reports only the size of the disks, which is often many times larger. So the
    /// figures are an upper bound unless `used_gb` is set. Network traffic between regions, discounts, and soft-deleted
    /// versions are not included.
    pub struct Model {
        /// The ID of an image definition, all of whose versions are counted. Exactly one of the two IDs must be set.
        pub image_definition_id: Option<String> = argument(id_of(optional(), IMAGE_DEFINITION)),
        /// The ID of an image version.
        pub image_version_id: Option<String> = argument(id_of(optional(), IMAGE_VERSION)),
        /// The currency, such as `EUR`. Defaults to `USD`. Microsoft lists other currencies for reference only.
        pub currency: Option<String> = optional().check_text(check_currency),
        /// The price per GB and month by region. Takes precedence over the public price list, which is not requested if all
        /// regions are set. Required in other clouds than the public one.
        pub prices: Option<BTreeMap<String, Number>> = optional(),
        /// The occupied size of one version in GB. Defaults to the sum of the sizes of its disks.
        pub used_gb: Option<Number> = optional(),
        /// The cost per month, rounded to two decimals.
        pub monthly_cost: Number = computed(),
        /// The cost per month in each region.
        pub by_region: BTreeMap<String, Number> = computed(),
        /// The cost per month of each version.
        pub by_version: BTreeMap<String, Number> = computed(),
        /// The size of all replicas in GB.
        pub replica_gb: Number = computed(),
        /// Whether the figures are an upper bound, because `used_gb` is not set.
        pub upper_bound: bool = computed(),
        /// The meters and prices that were used.
        pub meters: Vec<String> = computed(),
        /// How long reading may take.
        pub timeouts: Option<ReadTimeouts> = block(),
    }
}

/// The data source.
pub struct ImageCost;

#[async_trait]
impl DataSource<Context> for ImageCost {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_image_cost"
    }

    fn validate(&self, config: &Value, diagnostics: &mut Diagnostics) {
        check_exactly_one(config, &["image_definition_id", "image_version_id"], diagnostics);
    }

    async fn read(&self, context: &Context, op: &Op, config: Model) -> Result<Model, Diagnostics> {
        let (attribute, id) = match &config.image_definition_id {
            Some(id) => ("image_definition_id", id.clone()),
            None => ("image_version_id", config.image_version_id.clone().unwrap_or_default()),
        };
        let image = ResourceId::parse(&id).map_err(|error| {
            Diagnostic::error("The ID is not valid", error.to_string()).at(Path::attribute(attribute))
        })?;
        let doing = format!("computing the cost of {:?}", image.name());
        let scope = scope(op, &doing);
        let versions = versions(context, &scope, &image).await.map_err(|error| {
            fault::at(&error, &doing, &image.to_string(), error.is_not_found().then_some(attribute))
        })?;
        let currency = config.currency.as_deref().unwrap_or("USD");
        let mut holdings = Vec::new();
        for version in &versions {
            holdings.extend(holdings_of(version, decimal(config.used_gb.as_ref())).map_err(|why| {
                Diagnostic::error("The size of a version is not known", why).at(Path::attribute("used_gb"))
            })?);
        }
        let own = own_prices(config.prices.as_ref())?;
        let listed = match holdings.iter().all(|holding| own.contains_key(&holding.region)) {
            true => None,
            false => prices::all(&context.client, &context.prices, &scope, currency)
                .await
                .map_err(|error| fault::bare(&error, "reading Azure's retail prices"))?,
        };
        let cost = cost(&holdings, &own, listed.as_deref(), currency)?;
        Ok(Model {
            monthly_cost: number(cost.by_version.values().copied().sum::<Decimal>().round(2)),
            by_region: numbers(&cost.by_region),
            by_version: numbers(&cost.by_version),
            replica_gb: number(cost.replica_gb),
            upper_bound: config.used_gb.is_none(),
            meters: cost.meters.into_iter().collect(),
            ..config
        })
    }
}

async fn versions(
    context: &Context,
    scope: &Scope,
    image: &ResourceId,
) -> Result<Vec<Json>, crate::arm::Error> {
    match image.name_of("versions") {
        Some(_) => Ok(vec![context.client.get(scope, &Target::at(image.to_string())).await?]),
        None => context.client.list(scope, &Target::at(format!("{image}/versions"))).await,
    }
}

/// The replicas of one version in one region on one kind of storage.
#[derive(Clone, Debug, PartialEq)]
struct Holding {
    version: String,
    region: String,
    meter: Meter,
    gb: Decimal,
}

/// The replicas of a version. Their size is `used`, the occupied size, or else that of the disks.
fn holdings_of(version: &Json, used: Option<Decimal>) -> Result<Vec<Holding>, String> {
    let name = body::text(version, "name").unwrap_or_default();
    let publishing = "properties.publishingProfile";
    // A shallow version has no replicas of its own.
    let shallow = body::text(version, &format!("{publishing}.replicationMode"))
        .is_some_and(|mode| mode.eq_ignore_ascii_case("Shallow"));
    let size = match (shallow, used) {
        (true, _) => Some(Decimal::default()),
        (false, Some(used)) => Some(used),
        (false, None) => disks(version),
    };
    let Some(size) = size else {
        let state = body::text(version, "properties.provisioningState").unwrap_or_default();
        if !state.eq_ignore_ascii_case("Succeeded") {
            return Ok(Vec::new());
        }
        return Err(format!(
            "Azure does not report the size of version {name}. Set used_gb to the occupied size in GB."
        ));
    };
    let mut holdings = Vec::new();
    for target in body::items(version, &format!("{publishing}.targetRegions")) {
        let Some(region) = body::text(target, "name") else { continue };
        for set in std::iter::once(target).chain(body::items(target, "additionalReplicaSets")) {
            let replicas = body::int(set, "regionalReplicaCount").unwrap_or(1);
            let storage = body::text(set, "storageAccountType");
            let gb = size.times(Decimal::from(replicas)).ok_or("The size is too large.")?;
            holdings.push(Holding {
                version: name.clone(),
                region: region::normalise(&region),
                meter: Meter::of_storage(storage.as_deref().unwrap_or("Standard_LRS")),
                gb,
            });
        }
    }
    Ok(holdings)
}

/// The size of a version's disks; `None` if that of the operating system disk is not reported.
fn disks(version: &Json) -> Option<Decimal> {
    let system = body::int(version, "properties.storageProfile.osDiskImage.sizeInGB")?;
    let data: i64 = body::items(version, "properties.storageProfile.dataDiskImages")
        .iter()
        .filter_map(|disk| body::int(disk, "sizeInGB"))
        .sum();
    Some(Decimal::from(system) + Decimal::from(data))
}

#[derive(Debug, Default, PartialEq)]
struct Cost {
    by_region: BTreeMap<String, Decimal>,
    by_version: BTreeMap<String, Decimal>,
    replica_gb: Decimal,
    meters: BTreeSet<String>,
}

fn cost(
    holdings: &[Holding],
    own: &BTreeMap<String, Decimal>,
    listed: Option<&Prices>,
    currency: &str,
) -> Result<Cost, Diagnostic> {
    let mut cost = Cost::default();
    let mut without = BTreeSet::new();
    for holding in holdings {
        let (price, source) = match own.get(&holding.region) {
            Some(price) => (*price, "the argument prices".to_owned()),
            None => match listed.and_then(|prices| prices.get(&(holding.region.clone(), holding.meter))) {
                Some(price) => (*price, holding.meter.describe()),
                None => {
                    without.insert(holding.region.clone());
                    continue;
                }
            },
        };
        let amount = holding.gb.times(price).ok_or_else(|| {
            Diagnostic::error(
                "The cost cannot be computed",
                format!("{} GB at {price} has too many digits.", holding.gb),
            )
        })?;
        cost.meters.insert(format!("{}: {price} {currency} per GB and month ({source})", holding.region));
        for (sums, key) in [(&mut cost.by_region, &holding.region), (&mut cost.by_version, &holding.version)]
        {
            let sum = sums.entry(key.clone()).or_default();
            *sum = *sum + amount;
        }
        cost.replica_gb = cost.replica_gb + holding.gb;
    }
    if without.is_empty() {
        return Ok(cost);
    }
    let regions = without.into_iter().collect::<Vec<_>>();
    let example: Vec<String> = regions.iter().map(|region| format!("{region} = 0.05")).collect();
    Err(Diagnostic::error(
        format!("There is no price for {}", regions.join(", ")),
        format!(
            "Azure's public price list has no price for image replicas there. Set the price per GB and month: prices = {{ {} }}",
            example.join(", ")
        ),
    )
    .at(Path::attribute("prices")))
}

fn own_prices(prices: Option<&BTreeMap<String, Number>>) -> Result<BTreeMap<String, Decimal>, Diagnostic> {
    let mut found = BTreeMap::new();
    for (region, price) in prices.into_iter().flatten() {
        let price = decimal(Some(price)).ok_or_else(|| {
            Diagnostic::error("A price is not valid", format!("{region}: {price} has too many digits."))
                .at(Path::attribute("prices"))
        })?;
        found.insert(region::normalise(region), price);
    }
    Ok(found)
}

fn decimal(number: Option<&Number>) -> Option<Decimal> {
    Decimal::parse(&number?.to_string())
}

fn number(decimal: Decimal) -> Number {
    Number::parse(&decimal.to_string()).unwrap_or_default()
}

fn numbers(sums: &BTreeMap<String, Decimal>) -> BTreeMap<String, Number> {
    sums.iter().map(|(key, sum)| (key.clone(), number(*sum))).collect()
}

fn check_currency(text: &str) -> Result<(), String> {
    match text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        true => Ok(()),
        false => Err("must be a currency code of three capital letters, such as USD".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn version(name: &str, regions: &[(&str, i64, &str)], gb: i64) -> Json {
        let targets: Vec<Json> = regions
            .iter()
            .map(|(name, count, storage)| json!({"name": name, "regionalReplicaCount": count, "storageAccountType": storage}))
            .collect();
        json!({"name": name, "properties": {
            "provisioningState": "Succeeded",
            "publishingProfile": {"targetRegions": targets},
            "storageProfile": {"osDiskImage": {"sizeInGB": gb}},
        }})
    }

    fn price(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn five_regions_with_two_replicas_cost_ten_times_the_size() {
        let regions: Vec<(&str, i64, &str)> = ["East US", "westeurope", "northeurope", "uksouth", "eastus2"]
            .map(|name| (name, 2, "Standard_LRS"))
            .into();
        let holdings = holdings_of(&version("1.0.0", &regions, 40), None).unwrap();
        let own = holdings.iter().map(|holding| (holding.region.clone(), price("0.05"))).collect();
        let cost = cost(&holdings, &own, None, "USD").unwrap();
        assert_eq!(cost.replica_gb, Decimal::from(400));
        assert_eq!(cost.by_version["1.0.0"], Decimal::from(20));
        assert_eq!((cost.by_region.len(), cost.by_region["eastus"]), (5, Decimal::from(4)));
    }

    #[test]
    fn uses_the_price_of_each_kind_of_storage() {
        let mut one = version("1.0.0", &[("eastus", 1, "Standard_ZRS"), ("westus", 1, "Premium_LRS")], 10);
        one["properties"]["publishingProfile"]["targetRegions"][0]["additionalReplicaSets"] =
            json!([{"regionalReplicaCount": 3, "storageAccountType": "Premium_LRS"}]);
        let listed: Prices = [
            (("eastus".to_owned(), Meter::StandardZrs), price("0.06")),
            (("eastus".to_owned(), Meter::PremiumLrs), price("0.132")),
            (("westus".to_owned(), Meter::PremiumLrs), price("0.14")),
        ]
        .into();
        let holdings = holdings_of(&one, None).unwrap();
        let cost = cost(&holdings, &BTreeMap::new(), Some(&listed), "USD").unwrap();
        assert_eq!(cost.by_region["eastus"], price("4.56"));
        assert_eq!(cost.by_region["westus"], price("1.4"));
        assert!(
            cost.meters
                .contains("eastus: 0.132 USD per GB and month (Premium SSD Managed Disks, Snapshots LRS)")
        );
    }

    #[test]
    fn the_occupied_size_takes_precedence_and_shallow_versions_are_free() {
        let one = version("1.0.0", &[("eastus", 6, "Standard_LRS")], 127);
        assert_eq!(holdings_of(&one, Some(Decimal::from(10))).unwrap()[0].gb, Decimal::from(60));
        let mut shallow = one.clone();
        shallow["properties"]["publishingProfile"]["replicationMode"] = json!("Shallow");
        assert_eq!(holdings_of(&shallow, Some(Decimal::from(10))).unwrap()[0].gb, Decimal::default());
        let mut data = one.clone();
        data["properties"]["storageProfile"]["dataDiskImages"] = json!([{"lun": 0, "sizeInGB": 32}]);
        assert_eq!(holdings_of(&data, None).unwrap()[0].gb, Decimal::from(954));
    }

    #[test]
    fn a_missing_size_is_an_error_for_published_versions_only() {
        let mut one = version("1.0.0", &[("eastus", 1, "Standard_LRS")], 10);
        one["properties"]["storageProfile"] = json!({});
        assert!(holdings_of(&one, None).unwrap_err().contains("used_gb"));
        one["properties"]["provisioningState"] = json!("Creating");
        assert_eq!(holdings_of(&one, None).unwrap(), []);
    }

    #[test]
    fn errors_name_a_region_without_a_price() {
        let holdings = holdings_of(&version("1.0.0", &[("chinaeast", 1, "Standard_LRS")], 10), None).unwrap();
        let error = cost(&holdings, &BTreeMap::new(), None, "USD").unwrap_err();
        assert!(error.summary.contains("chinaeast") && error.detail.contains("chinaeast = 0.05"), "{error}");
    }
}
