//! Picking versions, suggestions for missing names, and caching of lists.

use serde_json::json;
use time::macros::datetime;

use std::time::Duration;

use super::*;
use crate::azure::marketplace_cache::KEEP;
use crate::azure::testing::{FakeArm, SUBSCRIPTION, op};

const NOW: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

fn listed(rows: &[(&str, &str, Option<&str>)]) -> Vec<Listed> {
    rows.iter()
        .map(|(version, state, time)| Listed {
            version: version.to_string(),
            status: (*state != "?").then(|| Status {
                state: state.to_string(),
                time: time.map(str::to_owned),
                alternative: None,
            }),
        })
        .collect()
}

#[test]
fn picks_the_greatest_version_that_is_not_deprecated() {
    let all = listed(&[
        ("1.0.12", "Active", None),
        ("1.0.9", "Active", None),
        ("22.04.202601140", "Deprecated", None),
        ("22.04.20251", "ScheduledForDeprecation", Some("2026-11-23T11:59:59Z")),
        ("9.10.3", "ScheduledForDeprecation", Some("2027-01-01T00:00:00+00:00")),
        ("9.2.20", "?", None),
        ("nonsense", "Active", None),
    ]);
    let one = |version: &str| Pick::One(version.to_owned());
    let rows: &[(&str, bool, Pick)] = &[
        ("latest", false, one("9.10.3")),
        ("latest", true, one("22.04.202601140")),
        ("~> 1.0.0", false, one("1.0.12")),
        ("~> 9.2.0", false, one("9.2.20")),
        ("< 1.0.12", false, one("1.0.9")),
        ("~> 22.04", false, Pick::Deprecated("22.04.202601140".to_owned())),
        ("~> 22.04", true, one("22.04.202601140")),
        ("22.04.20251", false, one("22.04.20251")),
        ("9.10.3.0", false, one("9.10.3")),
        ("3.0.0", false, Pick::Nothing),
        ("> 30", false, Pick::Nothing),
    ];
    for (wanted, include, expected) in rows {
        let wanted = Wanted::parse(wanted).unwrap();
        assert_eq!(pick(&all, &wanted, *include, NOW), *expected, "{wanted} {include}");
    }
    assert_eq!(pick(&[], &Wanted::Latest, false, NOW), Pick::Nothing);
}

#[test]
fn reads_the_status_leniently() {
    let item = |status: Json| json!({"name": "1", "properties": {"imageDeprecationStatus": status}});
    assert_eq!(Status::read(&json!({"name": "1"})), None);
    assert_eq!(
        Status::read(&item(json!({"imageState": "Active", "scheduledDeprecationTime": null}))),
        Some(Status::default())
    );
    let urn = Urn::parse("acmefw:acme-firewall:payg-v8:8.4.2").unwrap();
    for (kind, value, alternative) in [
        ("Plan", "payg-v9", Some("acmefw:acme-firewall:payg-v9:latest")),
        ("Offer", "acme-wall", Some("acmefw:acme-wall:payg-v8:latest")),
        ("Plan", "a:b:c:latest", Some("a:b:c:latest")),
        ("None", "x", None),
        ("Plan", "", None),
    ] {
        let status = Status::read(&item(json!({
            "imageState": "Deprecated", "alternativeOption": {"type": kind, "value": value},
        })));
        assert_eq!(status.unwrap().alternative_urn(&urn).as_deref(), alternative, "{kind} {value}");
    }
}

const BASE: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/providers/Microsoft.Compute/locations/eastus/publishers";

fn names(names: &[&str]) -> Json {
    names.iter().map(|name| json!({"location": "eastus", "name": name})).collect()
}

fn catalogue() -> std::sync::Arc<FakeArm> {
    let arm = FakeArm::new();
    arm.get(BASE, names(&["RedHat", "Canonical", "canonical-test"]))
        .get(&format!("{BASE}/Canonical/artifacttypes/vmimage/offers"), names(&["ubuntu-24_04-lts", "0001-com-ubuntu-server-jammy"]))
        .get(&format!("{BASE}/Canonical/artifacttypes/vmimage/offers/nothing/skus"), names(&[]))
        .get(
            &format!("{BASE}/Canonical/artifacttypes/vmimage/offers/0001-com-ubuntu-server-jammy/skus"),
            names(&["22_04-lts", "22_04-lts-gen2", "empty"]),
        )
        .get(
            &format!("{BASE}/Canonical/artifacttypes/vmimage/offers/0001-com-ubuntu-server-jammy/skus/22_04-lts-gen2/versions"),
            names(&["22.04.202601140", "22.04.202512010"]),
        );
    arm
}

#[tokio::test]
async fn errors_contain_the_missing_part_and_similar_names() {
    let arm = catalogue();
    let context = arm.context();
    let op = op();
    let market = Market::open(&context, &op, "East US", "reading").await.unwrap();
    let rows: &[(&str, UrnPart, &str, &str)] = &[
        (
            "Canonica:a:b:latest",
            UrnPart::Publisher,
            "no publisher \"Canonica\"",
            "Did you mean \"Canonical\"",
        ),
        (
            "Canonical:ubuntu-24_04:b:latest",
            UrnPart::Offer,
            "no offer \"ubuntu-24_04\"",
            "\"ubuntu-24_04-lts\"",
        ),
        (
            "Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen3:latest",
            UrnPart::Sku,
            "no sku \"22_04-lts-gen3\"",
            "\"22_04-lts-gen2\"",
        ),
        ("Canonical:0001-com-ubuntu-server-jammy:empty:latest", UrnPart::Sku, "has no versions", "withdrawn"),
        (
            "Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2:22.04.202601141",
            UrnPart::Version,
            "no version 22.04.202601141",
            "\"22.04.202601140\"",
        ),
        (
            "canonical:0001-COM-ubuntu-server-jammy:22_04-lts-gen2:~> 23.04",
            UrnPart::Version,
            "satisfies \"~> 23.04\"",
            "22.04.202601140",
        ),
    ];
    for (urn, part, what, detail) in rows {
        let urn = Urn::parse(urn).unwrap();
        let missing = market.missing(&urn, &Wanted::parse(&urn.version).unwrap()).await.unwrap();
        assert_eq!(missing.part, *part, "{urn}: {missing:?}");
        assert!(missing.what.contains(what), "{urn}: {missing:?}");
        assert!(missing.detail.contains(detail), "{urn}: {missing:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_each_list_once_until_it_expires() {
    let arm = catalogue();
    arm.takes(Duration::from_millis(100));
    let context = arm.context();
    let first = op();
    let market = Market::open(&context, &first, "eastus", "reading").await.unwrap();
    let urn = Urn::parse("Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2:latest").unwrap();
    let other = Urn { publisher: "CANONICAL".to_owned(), ..urn.clone() };
    let (a, b, c) = tokio::join!(market.versions(&urn), market.versions(&other), market.versions(&urn));
    assert_eq!(a.unwrap(), b.unwrap());
    assert_eq!(c.unwrap().len(), 2);
    assert_eq!(arm.calls().len(), 1);
    assert_eq!(arm.seen()[0].query, "$expand=properties/imageDeprecationStatus");
    tokio::time::advance(KEEP).await;
    let later = op();
    let market = Market::open(&context, &later, "eastus", "reading").await.unwrap();
    market.versions(&urn).await.unwrap();
    assert_eq!(arm.calls().len(), 2);
}

#[tokio::test]
async fn does_not_cache_failures() {
    let arm = catalogue();
    arm.next(
        1,
        crate::arm::Method::Get,
        BASE,
        403,
        json!({"error": {"code": "AuthorizationFailed", "message": "no"}}),
    );
    let context = arm.context();
    let op = op();
    let market = Market::open(&context, &op, "eastus", "reading").await.unwrap();
    assert_eq!(market.names(&[]).await.unwrap_err().code, "AuthorizationFailed");
    assert_eq!(market.names(&[]).await.unwrap(), ["Canonical", "canonical-test", "RedHat"]);
}

#[tokio::test]
async fn requests_candidates_if_the_list_has_no_deprecation_states() {
    let arm = catalogue();
    let image = |state: &str| json!({"properties": {"imageDeprecationStatus": {"imageState": state}}});
    let versions = format!("{BASE}/p/artifacttypes/vmimage/offers/o/skus/s/versions");
    arm.get(&versions, names(&["1.0.9", "1.0.10", "1.0.11", "1.0.12"]))
        .get(&format!("{versions}/1.0.12"), image("Deprecated"))
        .get(&format!("{versions}/1.0.10"), image("Active"));
    let context = arm.context();
    let op = op();
    let market = Market::open(&context, &op, "eastus", "reading").await.unwrap();
    let urn = Urn::parse("p:o:s:latest").unwrap();
    let mut listed = market.versions(&urn).await.unwrap();
    let picked = market.pick(&urn, &mut listed, &Wanted::Latest, false, NOW).await.unwrap();
    assert_eq!(picked, Pick::One("1.0.10".to_owned()));
    assert_eq!(listed.len(), 3, "a withdrawn version is no longer listed");
}

#[tokio::test]
async fn refuses_a_missing_subscription_and_an_unknown_location() {
    let arm = catalogue();
    arm.get(&format!("/subscriptions/{SUBSCRIPTION}/locations"), json!({"value": [{"name": "eastus"}]}));
    let mut context = arm.context();
    let wrong = Market::open(&context, &op(), "eastsu", "reading").await.err().unwrap();
    assert!(wrong.detail.contains("eastus"), "{wrong}");
    assert_eq!(wrong.path, Path::attribute("location"));
    context.subscription_id = None;
    let wrong = Market::open(&context, &op(), "eastus", "reading").await.err().unwrap();
    assert!(wrong.detail.contains("ARM_SUBSCRIPTION_ID"), "{wrong}");
}
