//! The Marketplace's virtual machine images: publishers, offers, SKUs, versions and their properties.

use std::collections::HashMap;

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::clock;
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::regions;
use super::super::store::Transaction;
use super::catalogue::{self, Image};

/// A version with the changes made to it through control calls.
pub struct Version {
    /// The version number.
    pub name: String,
    /// `Active`, `ScheduledForDeprecation`, `Deprecated`.
    pub state: String,
    /// When it is or was deprecated.
    pub time: Option<String>,
    /// `{type, value}`.
    pub alternative: Option<Json>,
}

/// The key of a change to a version or, with an empty version, to a whole SKU.
pub fn change_key(publisher: &str, offer: &str, sku: &str, version: &str) -> String {
    format!("m|{publisher}|{offer}|{sku}|{version}").to_ascii_lowercase()
}

/// The catalogue entry of a SKU.
pub fn image(publisher: &str, offer: &str, sku: &str) -> Option<&'static Image> {
    catalogue::IMAGES.iter().find(|image| {
        image.publisher.eq_ignore_ascii_case(publisher)
            && image.offer.eq_ignore_ascii_case(offer)
            && image.sku.eq_ignore_ascii_case(sku)
    })
}

/// The properties that all versions of a SKU share.
pub struct Facts {
    /// `Linux` or `Windows`.
    pub os: &'static str,
    /// `V1` or `V2`.
    pub generation: &'static str,
    /// `x64` or `Arm64`.
    pub architecture: &'static str,
    plan: bool,
    size_gb: i64,
    features: &'static [(&'static str, &'static str)],
}

/// The properties of a SKU. For one that was published through a control call they are inferred from its name.
pub fn facts(state: &Transaction<'_>, publisher: &str, offer: &str, sku: &str) -> Option<Facts> {
    if let Some(image) = image(publisher, offer, sku) {
        return Some(Facts {
            os: image.os,
            generation: image.generation,
            architecture: image.architecture,
            plan: image.plan,
            size_gb: image.size_gb,
            features: image.features,
        });
    }
    if versions(state, publisher, offer, sku).is_empty() {
        return None;
    }
    let sku = sku.to_ascii_lowercase();
    let words: Vec<&str> = sku.split(['-', '_', '.']).collect();
    let has = |names: &[&str]| names.iter().any(|name| words.contains(name));
    let arm = has(&["arm64", "aarch64"]);
    let second = arm || has(&["gen2", "g2", "v2", "gensecond"]);
    let windows = format!("{publisher}:{offer}").to_ascii_lowercase().contains("windows");
    Some(Facts {
        os: if windows { "Windows" } else { "Linux" },
        generation: if second { "V2" } else { "V1" },
        architecture: if arm { "Arm64" } else { "x64" },
        plan: false,
        size_gb: if windows { 127 } else { 30 },
        features: &[],
    })
}

/// The versions of a SKU in the service's lexicographic order.
pub fn versions(state: &Transaction<'_>, publisher: &str, offer: &str, sku: &str) -> Vec<Version> {
    let new = |name: &str| Version {
        name: name.to_owned(),
        state: "Active".to_owned(),
        time: None,
        alternative: None,
    };
    // Keyed by the lower-case name, because thousands of versions may have been published.
    let mut found: HashMap<String, Version> = HashMap::new();
    if let Some(image) = image(publisher, offer, sku) {
        let (state, time, alternative) = image.deprecation.show();
        for name in image.versions() {
            let version = Version {
                state: state.to_owned(),
                time: time.clone(),
                alternative: alternative.clone(),
                ..new(&name)
            };
            found.insert(name.to_ascii_lowercase(), version);
        }
    }
    state.scan(&change_key(publisher, offer, sku, ""), None, |_, change| {
        let name = change.text("version").unwrap_or_default();
        let key = name.to_ascii_lowercase();
        if name.is_empty() {
            found.values_mut().for_each(|version| apply(version, change));
        } else if change.text("state") == Some("Withdrawn") {
            found.remove(&key);
        } else {
            apply(found.entry(key).or_insert_with(|| new(name)), change);
        }
        true
    });
    let mut found: Vec<Version> = found.into_values().collect();
    found.sort_by(|left, right| left.name.cmp(&right.name));
    found
}

fn apply(version: &mut Version, change: &Json) {
    if let Some(state) = change.text("state") {
        version.state = state.to_owned();
        version.time = change.text("time").map(str::to_owned);
        version.alternative = change.get("alternative").filter(|value| !value.is_null()).cloned();
    }
}

/// The numbers of a version, for numeric ordering.
pub fn numeric(name: &str) -> Vec<u64> {
    name.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// The newest version that is not deprecated.
pub fn latest(state: &Transaction<'_>, publisher: &str, offer: &str, sku: &str) -> Option<String> {
    versions(state, publisher, offer, sku)
        .into_iter()
        .filter(|version| version.state != "Deprecated")
        .max_by_key(|version| numeric(&version.name))
        .map(|version| version.name)
}

/// Routes `…/locations/{loc}[/edgeZones/{zone}]/publishers/…`; `rest` holds the segments after `publishers`.
pub fn route(call: &mut Call<'_, '_>, location: &str, zone: Option<&str>, rest: &[String]) -> Outcome {
    if call.method != Method::Get {
        return Err(ArmError::no_method(call.method.name(), "locations/publishers"));
    }
    if regions::find(location).is_none() {
        return Err(ArmError::gateway(
            400,
            "NoRegisteredProviderFound",
            format!(
                "No registered resource provider found for location '{location}' and API version '{}' for type 'locations/publishers'.",
                call.api
            ),
        ));
    }
    let lower: Vec<String> = rest.iter().map(|segment| segment.to_ascii_lowercase()).collect();
    let words: Vec<&str> = lower.iter().map(String::as_str).collect();
    let internal = regions::in_poll_url(location);
    // Three regions have a canonical casing; all others are echoed in the caller's spelling.
    let location = if internal == regions::normalize(location) { location } else { internal.as_str() };
    let place = Place { location, zone, subscription: call.subscription.clone() };
    match words.as_slice() {
        [] => Ok(publishers(call, &place)),
        [_, "artifacttypes", "vmimage", "offers"] => {
            call.meter = Some("ListVMImageOffersFromLocation");
            let publisher = &rest[0];
            check_publisher(call, publisher)?;
            let list =
                distinct(call, |image| image.0.eq_ignore_ascii_case(publisher), |image| image.1.clone());
            Ok(names(
                &list,
                &place,
                |name| format!("/Publishers/{publisher}/ArtifactTypes/VMImage/Offers/{name}"),
                None,
            ))
        }
        [_, "artifacttypes", "vmimage", "offers", _, "skus"] => {
            call.meter = Some("ListVMImageSkusFromLocation");
            let publisher = &rest[0];
            check_publisher(call, publisher)?;
            let offer = everything(call)
                .into_iter()
                .find(|image| {
                    image.0.eq_ignore_ascii_case(publisher) && image.1.eq_ignore_ascii_case(&rest[4])
                })
                .map(|image| image.1)
                .ok_or_else(no_artifact)?;
            let list = distinct(
                call,
                |image| image.0.eq_ignore_ascii_case(publisher) && image.1.eq_ignore_ascii_case(&offer),
                |image| image.2.clone(),
            );
            let automatic = Json::object().with(
                "automaticOSUpgradeProperties",
                Json::object().with("automaticOSUpgradeSupported", false),
            );
            Ok(names(
                &list,
                &place,
                |name| format!("/Publishers/{publisher}/ArtifactTypes/VMImage/Offers/{offer}/Skus/{name}"),
                call.since("2019-03-01").then_some(automatic),
            ))
        }
        [_, "artifacttypes", "vmimage", "offers", _, "skus", _, "versions"] => {
            call.meter = Some("ListVMImagesVersionsFromLocation");
            list_versions(call, &place, &rest[0], &rest[4], &rest[6])
        }
        [_, "artifacttypes", "vmimage", "offers", _, "skus", _, "versions", _] => {
            call.meter = Some("GetVMImageFromLocation");
            one_version(call, &place, [&rest[0], &rest[4], &rest[6], &rest[8]])
        }
        [_, "artifacttypes", "vmextension", "types"] => Ok(Answer::pretty(200, Json::Array(Vec::new()))),
        _ => Err(no_artifact()),
    }
}

/// `GET …/locations/{l}/edgeZones/{zone}/vmimages`: every version of every image. Not recorded.
pub fn list_in_zone(call: &mut Call<'_, '_>, location: &str, zone: &str) -> Outcome {
    if call.method != Method::Get {
        return Err(ArmError::no_method(call.method.name(), "locations/edgeZones/vmimages"));
    }
    let place = Place { location, zone: Some(zone), subscription: call.subscription.clone() };
    let mut found = Vec::new();
    for (publisher, offer, sku) in everything(call) {
        for version in versions(call.state, &publisher, &offer, &sku) {
            let tail = format!(
                "/Publishers/{publisher}/ArtifactTypes/VMImage/Offers/{offer}/Skus/{sku}/Versions/{}",
                version.name
            );
            found.push(place.item(&version.name, &tail, None));
        }
    }
    call.paged_answer(found)
}

/// 404 for an offer, SKU or version that does not exist.
fn no_artifact() -> ArmError {
    ArmError::new(404, "NotFound", "Artifact: VMImage was not found.")
}

struct Place<'a> {
    location: &'a str,
    zone: Option<&'a str>,
    subscription: String,
}

impl Place<'_> {
    fn id(&self, tail: &str) -> String {
        format!(
            "/Subscriptions/{}/Providers/Microsoft.Compute/Locations/{}{tail}",
            self.subscription, self.location
        )
    }

    fn item(&self, name: &str, tail: &str, properties: Option<Json>) -> Json {
        let zone = self.zone.map(|zone| Json::object().with("type", "EdgeZone").with("name", zone));
        Json::object()
            .maybe("properties", properties)
            .with("location", self.location)
            .maybe("extendedLocation", zone)
            .with("name", name)
            .with("id", self.id(tail))
    }
}

type Names = (String, String, String);

/// Publisher, offer and SKU of every image, including those published through control calls.
fn everything(call: &Call<'_, '_>) -> Vec<Names> {
    let mut all: Vec<Names> = catalogue::IMAGES
        .iter()
        .map(|image| (image.publisher.to_owned(), image.offer.to_owned(), image.sku.to_owned()))
        .collect();
    call.state.scan("m|", None, |_, change| {
        let text = |key: &str| change.text(key).unwrap_or_default().to_owned();
        let names = (text("publisher"), text("offer"), text("sku"));
        let known = all.iter().any(|other| {
            other.0.eq_ignore_ascii_case(&names.0)
                && other.1.eq_ignore_ascii_case(&names.1)
                && other.2.eq_ignore_ascii_case(&names.2)
        });
        if !known {
            all.push(names);
        }
        true
    });
    all
}

fn distinct(
    call: &Call<'_, '_>,
    keep: impl Fn(&Names) -> bool,
    name: impl Fn(&Names) -> String,
) -> Vec<String> {
    let mut list: Vec<String> = everything(call).iter().filter(|names| keep(names)).map(name).collect();
    list.sort();
    list.dedup();
    list
}

fn check_publisher(call: &Call<'_, '_>, name: &str) -> Result<(), ArmError> {
    if everything(call).iter().any(|image| image.0.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    Err(ArmError::new(404, "NotFound", format!("Publisher: {name} was not found.")))
}

fn publishers(call: &Call<'_, '_>, place: &Place<'_>) -> Answer {
    let mut list = distinct(call, |_| true, |image| image.0.clone());
    // The service does not sort publishers.
    list.sort_by_key(|name| super::super::operations::stable(name));
    names(&list, place, |name| format!("/Publishers/{name}"), None)
}

fn names(
    list: &[String],
    place: &Place<'_>,
    tail: impl Fn(&str) -> String,
    properties: Option<Json>,
) -> Answer {
    let items = list.iter().map(|name| place.item(name, &tail(name), properties.clone())).collect();
    Answer::pretty(200, Json::Array(items))
}

fn list_versions(call: &Call<'_, '_>, place: &Place<'_>, publisher: &str, offer: &str, sku: &str) -> Outcome {
    if call.query("$filter").is_some() {
        return Ok(Answer::pretty(
            400,
            Json::object().with(
                "Message",
                "The query specified in the URI is not valid. Query option 'Filter' is not allowed. To allow it, set the 'AllowedQueryOptions' property on EnableQueryAttribute or QueryValidationSettings.",
            ),
        ));
    }
    check_publisher(call, publisher)?;
    let (_, offer, sku) = everything(call)
        .into_iter()
        .find(|image| {
            image.0.eq_ignore_ascii_case(publisher)
                && image.1.eq_ignore_ascii_case(offer)
                && image.2.eq_ignore_ascii_case(sku)
        })
        .ok_or_else(no_artifact)?;
    let mut list = versions(call.state, publisher, &offer, &sku);
    let descending =
        call.query("$orderby").is_some_and(|order| order.to_ascii_lowercase().ends_with(" desc"));
    if descending {
        list.reverse();
    }
    if let Some(top) = call.query("$top").and_then(|top| top.parse::<usize>().ok()) {
        list.truncate(top);
    }
    let facts = facts(call.state, publisher, &offer, &sku);
    let expand =
        call.query("$expand").is_some_and(|expand| expand.to_ascii_lowercase().starts_with("properties"));
    let items = list
        .iter()
        .map(|version| {
            let tail = format!(
                "/Publishers/{publisher}/ArtifactTypes/VMImage/Offers/{offer}/Skus/{sku}/Versions/{}",
                version.name
            );
            if expand {
                expanded(place, version, facts.as_ref(), &tail)
            } else {
                place.item(&version.name, &tail, None)
            }
        })
        .collect();
    Ok(Answer::pretty(200, Json::Array(items)))
}

/// The service writes nulls only here.
fn expanded(place: &Place<'_>, version: &Version, facts: Option<&Facts>, tail: &str) -> Json {
    let zone = place.zone.map(|zone| Json::object().with("type", "EdgeZone").with("name", zone));
    let mut status = Json::object()
        .with("imageState", version.state.as_str())
        .with("scheduledDeprecationTime", version.time.as_deref().map_or(Json::Null, Json::from));
    if let Some(alternative) = &version.alternative {
        status.set("alternativeOption", alternative);
    }
    let generation = facts.map_or("V1", |facts| facts.generation);
    let replicas = replica_count(generation, zone.is_some());
    let properties = Json::object()
        .with("imageDeprecationStatus", status)
        .with("hyperVGeneration", generation)
        .with("architecture", facts.map_or("x64", |facts| facts.architecture))
        .with("replicaType", if replicas.is_some() { "Managed" } else { "Unmanaged" })
        .with("replicaCount", replicas.map_or(Json::Null, Json::from))
        .with("goLiveDate", Json::Null);
    Json::object()
        .with("properties", properties)
        .with("extendedLocation", zone.unwrap_or(Json::Null))
        .with("location", place.location)
        .with("name", version.name.as_str())
        .with("id", place.id(tail))
}

/// The number of managed copies of a version. Recorded: generation 1 images are stored in storage accounts.
fn replica_count(generation: &str, edge: bool) -> Option<i64> {
    match (edge, generation) {
        (true, _) => Some(1),
        (false, "V2") => Some(10),
        _ => None,
    }
}

fn one_version(
    call: &Call<'_, '_>,
    place: &Place<'_>,
    [publisher, offer, sku, wanted]: [&String; 4],
) -> Outcome {
    check_publisher(call, publisher)?;
    let list = versions(call.state, publisher, offer, sku);
    let name = if wanted.eq_ignore_ascii_case("latest") {
        latest(call.state, publisher, offer, sku).ok_or_else(no_artifact)?
    } else {
        wanted.clone()
    };
    let version =
        list.iter().find(|version| version.name.eq_ignore_ascii_case(&name)).ok_or_else(no_artifact)?;
    let facts = facts(call.state, publisher, offer, sku).ok_or_else(no_artifact)?;
    let replicas = replica_count(facts.generation, place.zone.is_some());
    let managed = replicas.is_some();
    // Recorded: a footer of 512 bytes, plus a megabyte on Canonical's images.
    let canonical = publisher.eq_ignore_ascii_case("Canonical");
    let bytes = facts.size_gb * 1_073_741_824 + 512 + if canonical { 1_048_576 } else { 0 };
    let os = Json::object()
        .with("operatingSystem", facts.os)
        .maybe("sizeInGb", (facts.plan || managed).then_some(facts.size_gb))
        .maybe("sizeInBytes", (!managed).then_some(bytes));
    // This response keeps the request's casing; lists do not.
    let tail = format!(
        "/Publishers/{publisher}/ArtifactTypes/VMImage/Offers/{offer}/Skus/{sku}/Versions/{}",
        version.name
    );
    let none = Vec::<Json>::new();
    let properties = if call.since("2020-06-01") {
        let features: Vec<Json> = facts
            .features
            .iter()
            .map(|(name, value)| Json::object().with("name", *name).with("value", *value))
            .collect();
        let mut status = Json::object().with("imageState", version.state.as_str());
        if let Some(time) = &version.time {
            status.set("scheduledDeprecationTime", time.as_str());
        }
        if let Some(alternative) = &version.alternative {
            status.set("alternativeOption", alternative);
        }
        let plan = image(publisher, offer, sku).filter(|image| image.plan).map(|image| {
            Json::object()
                .with("publisher", image.publisher)
                .with("name", image.sku)
                .with("product", image.offer)
        });
        let upgrades = !facts.plan && facts.os == "Linux";
        Json::object()
            .with("hyperVGeneration", facts.generation)
            .with("architecture", facts.architecture)
            .with("replicaType", if managed { "Managed" } else { "Unmanaged" })
            .maybe("replicaCount", replicas)
            .with("disallowed", Json::object().with("vmDiskType", if managed { "Unmanaged" } else { "None" }))
            .with(
                "automaticOSUpgradeProperties",
                Json::object().with("automaticOSUpgradeSupported", upgrades),
            )
            .with("imageDeprecationStatus", status)
            .maybe("features", (!features.is_empty()).then_some(features))
            .maybe("plan", plan)
            .with("osDiskImage", os)
            .with("dataDiskImages", none)
            .maybe("goLiveDate", managed.then(|| go_live(&version.name)))
    } else {
        Json::object().with("osDiskImage", os).with("dataDiskImages", none)
    };
    Ok(Answer::pretty(200, place.item(&version.name, &tail, Some(properties))))
}

/// The date in the last part of a version, such as `241205` or `202410020`; the start of 2024 if there is none.
fn go_live(name: &str) -> String {
    let digits = name.rsplit('.').next().unwrap_or_default();
    let digits = digits.strip_prefix("20").filter(|_| digits.len() > 6).unwrap_or(digits);
    let parts = (digits.get(..2), digits.get(2..4), digits.get(4..6));
    if let (Some(year), Some(month), Some(day)) = parts {
        let date = format!("20{year}-{month}-{day}T00:00:00+00:00");
        if clock::parse(&date).is_some() {
            return date;
        }
    }
    "2024-01-01T00:00:00+00:00".to_owned()
}

/// The plan of a SKU, if it has one; `None` for an unknown SKU.
pub fn has_plan(publisher: &str, offer: &str, plan: &str) -> Option<bool> {
    image(publisher, offer, plan).map(|image| image.plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_version_is_chosen_by_number() {
        assert!("9.10.1" < "9.2.1");
        assert!(numeric("9.10.1") > numeric("9.2.1"));
        assert!(numeric("22.04.202410020") > numeric("22.04.202409180"));
    }

    #[test]
    fn skus_have_versions_with_unique_names() {
        for image in catalogue::IMAGES {
            let mut names = image.versions();
            assert!(!names.is_empty(), "{}", image.sku);
            let count = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), count, "{} {}", image.offer, image.sku);
        }
    }
}
