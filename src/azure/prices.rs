//! Prices of image replicas, from the public Retail Prices API. It has its own host, to which no token is sent.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value as Json;
use time::OffsetDateTime;
use tokio::sync::{Mutex, OnceCell};
use url::Url;

use super::{attributes, body};
use crate::arm::{Client, Cloud, Error, Kind, Scope, region};
use crate::image::Decimal;

const HOST: &str = "https://prices.azure.com";
const API: &str = "2023-01-01-preview";
/// The maximum number of pages, far more than the list has.
const MOST_PAGES: usize = 100;

/// The meter that a replica is billed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Meter {
    /// Standard storage, locally redundant.
    StandardLrs,
    /// Standard storage, zone-redundant.
    StandardZrs,
    /// Premium storage, locally redundant.
    PremiumLrs,
}

impl Meter {
    /// The meter of a storage type.
    pub fn of_storage(storage_account_type: &str) -> Meter {
        match storage_account_type {
            kind if kind.eq_ignore_ascii_case("Standard_ZRS") => Meter::StandardZrs,
            kind if kind.to_ascii_lowercase().starts_with("premium") => Meter::PremiumLrs,
            _ => Meter::StandardLrs,
        }
    }

    /// Product and SKU, which together identify the meter.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Meter::StandardLrs => ("Standard HDD Managed Disks", "Snapshots LRS"),
            Meter::StandardZrs => ("Standard HDD Managed Disks", "Snapshots ZRS"),
            Meter::PremiumLrs => ("Premium SSD Managed Disks", "Snapshots LRS"),
        }
    }

    /// The display name of the meter: `Standard HDD Managed Disks, Snapshots LRS`.
    pub fn describe(self) -> String {
        let (product, sku) = self.names();
        format!("{product}, {sku}")
    }
}

/// Prices per GB and month, by region (normalised name) and meter.
pub type Prices = BTreeMap<(String, Meter), Decimal>;

/// The price lists of a run, by currency.
#[derive(Default)]
pub struct Cache {
    lists: Mutex<HashMap<String, Arc<OnceCell<Arc<Prices>>>>>,
}

/// The prices of all regions in `currency`, requested once per run. `None` for a cloud without a public price list.
pub async fn all(
    client: &Client,
    cache: &Cache,
    scope: &Scope,
    currency: &str,
) -> Result<Option<Arc<Prices>>, Error> {
    let Some(host) = host(&client.cloud(scope).await?) else { return Ok(None) };
    let cell = cache.lists.lock().await.entry(currency.to_owned()).or_default().clone();
    let prices = cell.get_or_try_init(|| async { read(client, scope, &host, currency).await.map(Arc::new) });
    scope.run(prices).await?.map(|prices| Some(Arc::clone(prices)))
}

/// The host of the price list. Only the public cloud and the emulator have one.
fn host(cloud: &Cloud) -> Option<String> {
    let url = Url::parse(&cloud.resource_manager).ok()?;
    let emulated = crate::arm::clouds::is_loopback(&url) || url.host_str()?.ends_with(".invalid");
    match emulated {
        true => Some(cloud.resource_manager.trim_end_matches('/').to_owned()),
        false => (cloud.resource_manager == Cloud::public().resource_manager).then(|| HOST.to_owned()),
    }
}

async fn read(client: &Client, scope: &Scope, host: &str, currency: &str) -> Result<Prices, Error> {
    let mut url = first_page(host, currency);
    let mut items = Vec::new();
    for _ in 0..MOST_PAGES {
        let page = client.get_public(scope, &url).await?;
        items.extend(body::items(&page, "Items").iter().cloned());
        match body::text(&page, "NextPageLink").filter(|link| !link.is_empty()) {
            None => break,
            Some(link) if same_host(host, &link) => url = link,
            Some(link) => {
                let why = format!("the price list continues at {link:?}, which is another host");
                return Err(Error::new(Kind::Malformed, why));
            }
        }
    }
    select(&items, OffsetDateTime::now_utc()).map_err(|why| Error::new(Kind::Malformed, why))
}

fn first_page(host: &str, currency: &str) -> String {
    // The filter is case-sensitive.
    let filter = "serviceName eq 'Storage' and (productName eq 'Standard HDD Managed Disks' or productName eq 'Premium SSD Managed Disks') and (skuName eq 'Snapshots LRS' or skuName eq 'Snapshots ZRS') and priceType eq 'Consumption'";
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("api-version", API)
        .append_pair("currencyCode", &format!("'{currency}'"))
        .append_pair("$filter", filter)
        .finish()
        .replace('+', "%20");
    format!("{host}/api/retail/prices?{query}")
}

/// Whether a link is on `host`. Links to further pages contain the default port of the scheme.
fn same_host(host: &str, link: &str) -> bool {
    match (Url::parse(host), Url::parse(link)) {
        (Ok(a), Ok(b)) => a.origin() == b.origin(),
        _ => false,
    }
}

/// Selects the current price of each region and meter.
fn select(items: &[Json], now: OffsetDateTime) -> Result<Prices, String> {
    let mut found: BTreeMap<(String, Meter), (OffsetDateTime, Decimal)> = BTreeMap::new();
    for item in items {
        let text = |name: &str| body::text(item, name);
        let meter = [Meter::StandardLrs, Meter::StandardZrs, Meter::PremiumLrs].into_iter().find(|meter| {
            let (product, sku) = meter.names();
            text("productName").as_deref() == Some(product) && text("skuName").as_deref() == Some(sku)
        });
        let applies = text("type").as_deref() == Some("Consumption")
            && body::bool(item, "isPrimaryMeterRegion").unwrap_or(true)
            && number(item, "tierMinimumUnits") == Some(Decimal::default());
        let since = text("effectiveStartDate").and_then(|date| attributes::instant(&date));
        let (Some(meter), true, Some(since)) = (meter, applies, since.filter(|since| *since <= now)) else {
            continue;
        };
        let Some((region, price)) = text("armRegionName").zip(number(item, "retailPrice")) else { continue };
        let key = (region::normalise(&region), meter);
        match found.get(&key) {
            Some((known, _)) if *known > since => {}
            Some((known, other)) if *known == since && *other != price => {
                return Err(format!(
                    "the price list has two prices for {} in {region}: {other} and {price}",
                    meter.describe()
                ));
            }
            _ => {
                found.insert(key, (since, price));
            }
        }
    }
    Ok(found.into_iter().map(|(key, (_, price))| (key, price)).collect())
}

/// A number in the JSON, exactly as written.
fn number(json: &Json, name: &str) -> Option<Decimal> {
    match json.get(name)? {
        Json::Number(number) => Decimal::parse(&number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-02 12:00:00 UTC);

    fn item(region: &str, price: f64, change: Json) -> Json {
        let mut item = json!({
            "type": "Consumption", "isPrimaryMeterRegion": true, "tierMinimumUnits": 0.0, "retailPrice": price,
            "armRegionName": region, "effectiveStartDate": "2021-05-01T00:00:00Z",
            "productName": "Standard HDD Managed Disks", "skuName": "Snapshots LRS",
        });
        for (name, value) in change.as_object().unwrap() {
            item[name] = value.clone();
        }
        item
    }

    #[test]
    fn selects_the_current_price() {
        let items = [
            item("eastus", 0.05, json!({})),
            item("eastus", 0.9, json!({"effectiveStartDate": "2018-01-01T00:00:00Z"})),
            item("eastus", 0.9, json!({"effectiveStartDate": "2027-01-01T00:00:00Z"})),
            item("eastus", 0.9, json!({"isPrimaryMeterRegion": false})),
            item("eastus", 0.9, json!({"type": "DevTestConsumption"})),
            item("eastus", 0.9, json!({"tierMinimumUnits": 100.0})),
            item("eastus", 0.9, json!({"productName": "Standard SSD Managed Disks"})),
            item("eastus", 0.132, json!({"productName": "Premium SSD Managed Disks"})),
            item("eastus", 0.06, json!({"skuName": "Snapshots ZRS"})),
        ];
        let prices = select(&items, NOW).unwrap();
        let shown: Vec<(Meter, String)> =
            prices.iter().map(|((_, meter), price)| (*meter, price.to_string())).collect();
        assert_eq!(
            shown,
            [
                (Meter::StandardLrs, "0.05".to_owned()),
                (Meter::StandardZrs, "0.06".to_owned()),
                (Meter::PremiumLrs, "0.132".to_owned()),
            ]
        );
        let two = [item("eastus", 0.05, json!({})), item("eastus", 0.06, json!({}))];
        assert!(select(&two, NOW).unwrap_err().contains("two prices"));
    }

    #[test]
    fn follows_links_to_the_same_host_only() {
        assert!(same_host(HOST, "https://prices.azure.com:443/api/retail/prices?x=1"));
        assert!(!same_host(HOST, "https://prices.azure.com.evil.example/api"));
        assert!(!same_host(HOST, "http://prices.azure.com/api"));
    }

    #[test]
    fn only_the_public_cloud_and_the_emulator_have_a_price_list() {
        let emulated = Cloud { resource_manager: "http://127.0.0.1:8080/".to_owned(), ..Cloud::public() };
        assert_eq!(host(&Cloud::public()).as_deref(), Some(HOST));
        assert_eq!(host(&emulated).as_deref(), Some("http://127.0.0.1:8080"));
        assert_eq!(host(&Cloud::china()), None);
    }

    #[test]
    fn maps_storage_types_to_meters() {
        for (storage, meter) in [
            ("Standard_LRS", Meter::StandardLrs),
            ("standard_zrs", Meter::StandardZrs),
            ("Premium_LRS", Meter::PremiumLrs),
            ("PremiumV2_LRS", Meter::PremiumLrs),
        ] {
            assert_eq!(Meter::of_storage(storage), meter);
        }
    }
}
