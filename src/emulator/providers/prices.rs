//! `GET /api/retail/prices`: the public price list, which in Azure has its own host and requires no token.
//!
//! Not recorded. Members, filter and paging are documented. The prices of eastus are public; those of other regions are made
//! up. As in the real list, some rows of a meter must be ignored: older prices, other types, and regions that are not the
//! meter's primary one.

use super::super::call::{Answer, Outcome};
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::operations::stable;
use super::super::regions::REGIONS;

/// Items in one page. The real list returns 1,000, and returned 100 before; the smaller number makes clients page.
const PAGE: usize = 100;

/// Product, sku, meter, price in eastus in thousandths of a US dollar.
const METERS: &[(&str, &str, &str, i64)] = &[
    ("Standard HDD Managed Disks", "Snapshots LRS", "LRS Snapshots", 50),
    ("Standard HDD Managed Disks", "Snapshots ZRS", "ZRS Snapshots", 50),
    ("Premium SSD Managed Disks", "Snapshots LRS", "LRS Snapshots", 132),
    ("Premium SSD Managed Disks", "Snapshots ZRS", "ZRS Snapshots", 198),
    ("Standard SSD Managed Disks", "Snapshots LRS", "Snapshots LRS Snapshots", 132),
    ("Standard SSD Managed Disks", "Snapshots ZRS", "Snapshots ZRS Snapshots", 198),
];

/// Currencies, and the value of a US dollar in hundredths of each.
const CURRENCIES: &[(&str, i64)] = &[("USD", 100), ("EUR", 92), ("GBP", 79), ("CHF", 88), ("JPY", 15_000)];

/// Handles a request; `base` is the emulator's address, for the link to the next page.
pub fn list(query: &[(String, String)], base: &str) -> Outcome {
    let value = |name: &str| {
        query.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    let bad = |message: String| ArmError::new(400, "BadRequest", message);
    let currency = value("currencyCode").unwrap_or_default();
    let currency = match currency.trim_matches('\'') {
        "" => "USD".to_owned(),
        currency => currency.to_owned(),
    };
    let Some((_, rate)) = CURRENCIES.iter().find(|(known, _)| *known == currency) else {
        return Err(bad(format!("The currency code '{currency}' is not supported.")));
    };
    let filter = match value("$filter") {
        Some(text) if !text.is_empty() => Some(
            Filter::parse(&text).ok_or_else(|| bad(format!("Invalid OData parameters supplied: {text}")))?,
        ),
        _ => None,
    };
    let skip: usize = value("$skip").and_then(|skip| skip.parse().ok()).unwrap_or(0);
    let found: Vec<Json> = items(*rate, &currency)
        .into_iter()
        .filter(|item| filter.as_ref().is_none_or(|filter| filter.admits(item)))
        .collect();
    let page: Vec<Json> = found.iter().skip(skip).take(PAGE).cloned().collect();
    let count = page.len();
    let next = (found.len() > skip + count).then(|| next_page(query, base, skip + count));
    Ok(Answer::compact(
        200,
        Json::object()
            .with("BillingCurrency", currency)
            .with("CustomerEntityId", "Default")
            .with("CustomerEntityType", "Retail")
            .with("Items", page)
            .with("NextPageLink", next.map_or(Json::Null, Json::from))
            .with("Count", count as i64),
    ))
}

/// The base of the link to the next page. Like the real link, it contains the port even if that is the default one.
fn next_page(query: &[(String, String)], base: &str, skip: usize) -> String {
    let port = if base.matches(':').count() == 1 && base.starts_with("https:") { ":443" } else { "" };
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in query.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("$skip")) {
        text.append_pair(name, value);
    }
    text.append_pair("$skip", &skip.to_string());
    format!("{base}{port}/api/retail/prices?{}", text.finish())
}

fn items(rate: i64, currency: &str) -> Vec<Json> {
    let mut items = Vec::new();
    for region in REGIONS.iter().filter(|region| !region.name.ends_with("stg")) {
        for (product, sku, meter, thousandths) in METERS {
            // A region is up to 30 % more expensive.
            let percent = match region.name {
                "eastus" => 100,
                name => 100 + (stable(name) % 4) as i64 * 10,
            };
            let units = thousandths * percent * rate;
            let row = |units: i64, kind: &str, primary: bool, since: &str| {
                let price = decimal(units);
                Json::object()
                    .with("currencyCode", currency)
                    .with("tierMinimumUnits", 0_i64)
                    .with("retailPrice", price.clone())
                    .with("unitPrice", price)
                    .with("armRegionName", region.name)
                    .with("location", region.display)
                    .with("effectiveStartDate", since)
                    .with("meterId", identifier(&[product, sku, region.name]))
                    .with("meterName", *meter)
                    .with("productId", format!("DZH318Z0{:04X}", stable(product) % 0x1_0000))
                    .with(
                        "skuId",
                        format!("DZH318Z0{:04X}/00{:02X}", stable(product) % 0x1_0000, stable(sku) % 0x100),
                    )
                    .with("productName", *product)
                    .with("skuName", *sku)
                    .with("serviceName", "Storage")
                    .with("serviceId", "DZH317F1HKN0")
                    .with("serviceFamily", "Storage")
                    .with("unitOfMeasure", "1 GB/Month")
                    .with("type", kind)
                    .with("isPrimaryMeterRegion", primary)
                    .with("armSkuName", "")
            };
            items.push(row(units, "Consumption", true, "2021-05-01T00:00:00Z"));
            if region.name == "eastus" {
                items.push(row(units * 2, "Consumption", true, "2018-01-01T00:00:00Z"));
                items.push(row(units * 3, "Consumption", false, "2021-05-01T00:00:00Z"));
                items.push(row(units / 2, "DevTestConsumption", true, "2021-05-01T00:00:00Z"));
            }
        }
    }
    items
}

/// Converts ten-millionths of a currency unit to a number without rounding errors.
fn decimal(units: i64) -> Json {
    let text = format!("{}.{:07}", units / 10_000_000, units % 10_000_000);
    text.parse::<f64>().map_or(Json::Null, Json::from)
}

fn identifier(parts: &[&str]) -> String {
    super::super::store::guid(stable(&parts.join("|")), 3, 3)
}

/// `eq` comparisons joined by `and` and `or`.
#[derive(Debug, PartialEq)]
enum Filter {
    Equal(String, String),
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
}

const FIELDS: &[&str] = &[
    "armRegionName",
    "location",
    "meterId",
    "meterName",
    "productId",
    "productName",
    "skuId",
    "skuName",
    "serviceName",
    "serviceId",
    "serviceFamily",
    "priceType",
    "armSkuName",
];

impl Filter {
    fn parse(text: &str) -> Option<Filter> {
        let (filter, rest) = Filter::either(text.trim_start())?;
        rest.trim().is_empty().then_some(filter)
    }

    fn either(text: &str) -> Option<(Filter, &str)> {
        let (mut left, mut rest) = Filter::both(text)?;
        while let Some(after) = rest.trim_start().strip_prefix("or ") {
            let (right, more) = Filter::both(after)?;
            (left, rest) = (Filter::Or(Box::new(left), Box::new(right)), more);
        }
        Some((left, rest))
    }

    fn both(text: &str) -> Option<(Filter, &str)> {
        let (mut left, mut rest) = Filter::one(text)?;
        while let Some(after) = rest.trim_start().strip_prefix("and ") {
            let (right, more) = Filter::one(after)?;
            (left, rest) = (Filter::And(Box::new(left), Box::new(right)), more);
        }
        Some((left, rest))
    }

    fn one(text: &str) -> Option<(Filter, &str)> {
        let text = text.trim_start();
        if let Some(inner) = text.strip_prefix('(') {
            let (filter, rest) = Filter::either(inner)?;
            return Some((filter, rest.trim_start().strip_prefix(')')?));
        }
        let (field, rest) = text.split_once(" eq '")?;
        let (value, rest) = rest.split_once('\'')?;
        FIELDS.contains(&field).then(|| (Filter::Equal(field.to_owned(), value.to_owned()), rest))
    }

    /// Values compare with case, as since 2023-01-01-preview.
    fn admits(&self, item: &Json) -> bool {
        match self {
            Filter::Equal(field, value) => {
                let member = if field == "priceType" { "type" } else { field };
                item.text(member) == Some(value)
            }
            Filter::And(left, right) => left.admits(item) && right.admits(item),
            Filter::Or(left, right) => left.admits(item) || right.admits(item),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::call::Body;
    use super::*;

    fn ask(filter: &str, skip: &str) -> Json {
        let query = [("$filter", filter), ("currencyCode", "'USD'"), ("$skip", skip)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        match list(&query, "https://prices.azure.com").unwrap().body {
            Body::Compact(body) => body,
            _ => panic!(),
        }
    }

    #[test]
    fn filters_and_pages() {
        let filter = "serviceName eq 'Storage' and (productName eq 'Standard HDD Managed Disks' or productName eq 'Premium SSD Managed Disks') and priceType eq 'Consumption' and armRegionName eq 'eastus' and skuName eq 'Snapshots LRS'";
        let found = ask(filter, "0");
        let prices: Vec<String> =
            found.list("Items").iter().map(|item| item.get("retailPrice").unwrap().compact()).collect();
        assert_eq!(prices, ["0.05", "0.1", "0.15", "0.132", "0.264", "0.396"]);
        let all = ask("serviceName eq 'Storage'", "0");
        assert_eq!(all.list("Items").len(), PAGE);
        let next = all.text("NextPageLink").unwrap();
        assert!(next.starts_with("https://prices.azure.com:443/api/retail/prices?"), "{next}");
        assert!(next.ends_with("skip=100"), "{next}");
        assert!(ask("serviceName eq 'storage'", "0").list("Items").is_empty());
        assert_eq!(Filter::parse("price eq '1'"), None);
        assert_eq!(Filter::parse("skuName gt '1'"), None);
        assert_eq!(Filter::parse("skuName eq 'a' and"), None);
    }
}
