//! Data sources and pins over large catalogues: galleries of several pages, Marketplace images with thousands of versions,
//! misleading sort orders, and versions that are excluded, failed, deprecated or withdrawn.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/cases.rs"]
mod cases;
#[path = "support/core.rs"]
mod core;
#[path = "support/data_reads.rs"]
mod data_reads;

use crate::core::{Action, Core, Json, json, merge, patched};
use azimage::schema::Value;
use cases::{put, rg};
use std::collections::BTreeMap;

const ONE: &str = "azimage_image_version";
const MANY: &str = "azimage_image_versions";
const LOOKUP: &str = "azimage_marketplace_image";
const LIST: &str = "azimage_marketplace_images";
const NAMES: &str = "azimage_marketplace_catalog";
const PIN: &str = "azimage_marketplace_pin";

fn definition() -> String {
    rg("galleries/gal/images/def")
}

fn version_id(number: &str) -> String {
    format!("{}/versions/{number}", definition())
}

fn publish(core: &Core, number: &str, patch: Json) {
    let body = json!({"location": "eastus", "tags": {"stage": "ga"}, "properties": {
        "publishingProfile": {"targetRegions": [{"name": "eastus"}, {"name": "westeurope"}]},
        "storageProfile": {"source": {"id": rg("images/img")}},
    }});
    put(core, &version_id(number), patched(&body, &patch));
}

fn profile(patch: Json) -> Json {
    json!({"properties": {"publishingProfile": patch}})
}

// 1.0.0 to 1.0.129, and newer versions that are all unusable for some reason.
async fn gallery() -> Core {
    const YEARS: i64 = 4 * 365 * 24 * 3600;
    let core = Core::new().await;
    // all versions were published years ago, when the end-of-life date that has now passed was still in the future
    core.control("POST", "clock/advance", json!({"seconds": -YEARS}));
    cases::with_sources(&core);
    core.control("PUT", "settings", json!({"page_size": 50}));
    for patch in 0..130 {
        publish(&core, &format!("1.0.{patch}"), json!({}));
    }
    publish(&core, "2.0.0", profile(json!({"excludeFromLatest": true})));
    let regional = json!([{"name": "eastus"}, {"name": "West Europe", "excludeFromLatest": true}]);
    publish(&core, "1.9.0", profile(json!({"targetRegions": regional})));
    publish(&core, "1.8.0", profile(json!({"targetRegions": [{"name": "eastus"}]})));
    publish(&core, "1.10.0", profile(json!({"endOfLifeDate": "2024-02-01T00:00:00Z"})));
    publish(&core, "1.11.0", json!({"tags": {"stage": "preview"}}));
    core.control("POST", "clock/advance", json!({"seconds": YEARS}));
    core.fault(json!({"method": "PUT", "path": "versions/3\\.0\\.0$", "fail_operation": {"code": "AllocationFailed", "message": "No room."}}));
    let failing = json!({
        "version": "3.0.0", "image_definition_id": definition(), "source": {"managed_image_id": rg("images/img")},
        "target_region": [{"name": "eastus"}, {"name": "westeurope"}],
    });
    let plan = core.plan(ONE, None, &failing).await;
    core.apply(&plan).await.diagnostics.assert_warning(&["AllocationFailed"]);
    core.clear_faults();
    assert_eq!(core.azure_object(&version_id("3.0.0"))["properties"]["provisioningState"], "Failed");
    core
}

async fn one(core: &Core, patch: Json) -> Value {
    let config = patched(&json!({"image_definition_id": definition()}), &patch);
    core.data(ONE, &config).await.unwrap_or_else(|diagnostics| panic!("{config}: {diagnostics:?}"))
}

fn skipped(found: &Value) -> BTreeMap<String, String> {
    let entries = found.get("skipped").entries();
    entries.map(|(name, why)| (name.clone(), why.as_str().unwrap().to_owned())).collect()
}

fn texts(value: &Value) -> Vec<&str> {
    value.elements().iter().map(|value| value.as_str().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn finds_the_newest_usable_version_across_pages() {
    let core = gallery().await;
    // the query, the expected version, and the reasons for skipping other versions
    let rows = [
        (
            json!({}),
            "1.11.0",
            vec![
                ("3.0.0", "its provisioning state is Failed, not Succeeded"),
                ("2.0.0", "excluded from latest"),
                ("1.10.0", "past its end of life, 2024-02-01T00:00:00Z"),
                ("1.9.0", "older than 1.11.0"),
                ("1.0.129", "older than 1.11.0"),
                ("1.0.0", "older than 1.11.0"),
            ],
        ),
        (
            json!({"location": "West Europe", "tags": {"STAGE": "ga"}}),
            "1.0.129",
            vec![
                ("3.0.0", "Failed"),
                ("2.0.0", "excluded from latest"),
                ("1.11.0", "its tag STAGE is \"preview\", not \"ga\""),
                ("1.9.0", "excluded from latest in westeurope"),
                ("1.8.0", "not replicated to westeurope"),
            ],
        ),
        (
            json!({"location": "EASTUS", "tags": {"stage": "ga"}}),
            "1.9.0",
            vec![("1.8.0", "older than 1.9.0"), ("2.0.0", "excluded from latest")],
        ),
        (
            json!({"include_excluded": true}),
            "2.0.0",
            vec![("3.0.0", "Failed"), ("1.11.0", "older than 2.0.0")],
        ),
        (
            json!({"location": "westeurope", "include_unreplicated": true, "version": "< 1.9"}),
            "1.8.0",
            vec![("1.9.0", "does not satisfy < 1.9"), ("1.0.100", "older than 1.8.0")],
        ),
        (
            json!({"version": "< 1.0.100"}),
            "1.0.99",
            vec![
                ("1.0.100", "does not satisfy"),
                ("1.0.12", "older than 1.0.99"),
                ("1.0.9", "older than 1.0.99"),
            ],
        ),
        (json!({"version": "~> 1.0.9"}), "1.0.129", vec![("1.8.0", "does not satisfy ~> 1.0.9")]),
    ];
    for (query, expected, reasons) in rows {
        let found = one(&core, query.clone()).await;
        assert_eq!(found.get("exact_version").as_str(), Some(expected), "{query}");
        assert_eq!(found.get("version").as_str(), Some(expected), "{query}");
        assert_eq!(found.get("id").as_str(), Some(version_id(expected).as_str()));
        let skipped = skipped(&found);
        assert_eq!(skipped.len(), 135, "every other version has a reason: {query}");
        for (version, why) in reasons {
            assert!(skipped[version].contains(why), "{query}: {version}: {}", skipped[version]);
        }
    }
    // an exact version is returned even if the rules would skip it
    for exact in ["1.0.9", "2.0.0", "1.10.0", "3.0.0"] {
        let found = one(&core, json!({"version": exact})).await;
        assert_eq!((found.get("exact_version").as_str(), skipped(&found).len()), (Some(exact), 0));
    }
    for (version, says) in [
        ("1.0.130", vec!["There is no version 1.0.130", "Did you mean", "\"1.0.129\""]),
        ("> 3", vec!["that satisfies \"> 3\" qualifies", "does not satisfy"]),
        (">= 3", vec!["3.0.0: its provisioning state is Failed"]),
    ] {
        let config = json!({"image_definition_id": definition(), "version": version});
        let diagnostics = core.data(ONE, &config).await.unwrap_err();
        diagnostics.assert_error(&says);
        assert_eq!(diagnostics.error_paths(), ["version"]);
    }
}

#[tokio::test(start_paused = true)]
async fn lists_read_every_page_and_sort_by_number() {
    let core = gallery().await;
    let list = async |patch: Json| {
        let config = patched(&json!({"image_definition_id": definition()}), &patch);
        let found = core.data(MANY, &config).await.unwrap();
        let listed = found.get("versions").elements().iter();
        listed.map(|listed| listed.get("version").as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = list(json!({})).await;
    assert_eq!(all.len(), 136);
    assert_eq!(all[..8], ["3.0.0", "2.0.0", "1.11.0", "1.10.0", "1.9.0", "1.8.0", "1.0.129", "1.0.128"]);
    let place = |name: &str| all.iter().position(|listed| listed == name).unwrap();
    assert!(place("1.0.100") < place("1.0.12") && place("1.0.12") < place("1.0.9"));
    assert_eq!(list(json!({"constraint": "< 1.0.3"})).await, ["1.0.2", "1.0.1", "1.0.0"]);
    assert_eq!(list(json!({"tags": {"Stage": "preview"}})).await, ["1.11.0"]);
    assert!(list(json!({"constraint": "> 3"})).await.is_empty());
    assert!(list(json!({"tags": {"stage": "GA"}})).await.is_empty());
    // the page size does not change the result
    core.control("PUT", "settings", json!({"page_size": 7}));
    assert_eq!(list(json!({})).await, all);
    // no versions: an empty list, but an error in the singular data source; no definition: an error in both
    put(&core, &rg("galleries/gal/images/empty"), cases::definition("empty"));
    let empty = json!({"image_definition_id": rg("galleries/gal/images/empty")});
    assert!(core.data(MANY, &empty).await.unwrap().get("versions").elements().is_empty());
    core.data(ONE, &empty).await.unwrap_err().assert_error(&["\"empty\" has no versions"]);
    let none = json!({"image_definition_id": rg("galleries/gal/images/deff")});
    for type_name in [ONE, MANY] {
        let diagnostics = core.data(type_name, &none).await.unwrap_err();
        diagnostics.assert_error(&["There is no image definition \"deff\"", "Did you mean", "\"def\""]);
        assert_eq!(diagnostics.error_paths(), ["image_definition_id"]);
    }
}

fn change(core: &Core, change: &str, (offer, sku): (&str, &str), version: &str, more: Json) {
    let mut body = json!({"publisher": "contoso", "offer": offer, "sku": sku, "version": version});
    merge(&mut body, &more);
    core.control("POST", &format!("marketplace/{change}"), body);
}

const LINUX: (&str, &str) = ("contoso-linux", "9-gen2");
const DEEP: (&str, &str) = ("contoso-linux", "deep");
const GONE: (&str, &str) = ("contoso-windows", "2019");

// Two thousand versions of one image, some of them unusable; another image whose versions have two to five segments.
async fn market() -> Core {
    let core = Core::new().await;
    for minor in 0..20 {
        for build in 0..100 {
            change(&core, "publish", LINUX, &format!("9.{minor}.{build}"), json!({}));
        }
    }
    change(&core, "withdraw", LINUX, "9.19.99", json!({}));
    change(&core, "deprecate", LINUX, "9.19.98", json!({"alternative": {"type": "Plan", "value": "deep"}}));
    change(&core, "deprecate", LINUX, "9.19.97", json!({"time": "2039-01-01T00:00:00Z"}));
    for version in
        ["1.0.9", "1.0.12", "1.0.100", "9.2.20", "9.10.3", "10.1", "9.10.3.1", "9.10.3.0.5", "9.9.9.9.9"]
    {
        change(&core, "publish", DEEP, version, json!({}));
    }
    for version in ["1.0.0", "1.1.0"] {
        change(&core, "publish", GONE, version, json!({}));
        change(&core, "deprecate", GONE, version, json!({}));
    }
    core
}

fn image((offer, sku): (&str, &str), version: &str) -> Json {
    json!({"location": "East US", "publisher": "contoso", "offer": offer, "sku": sku, "version": version})
}

#[tokio::test(start_paused = true)]
async fn sorts_thousands_of_marketplace_versions_by_number() {
    let core = market().await;
    for (of, query, exact, newest) in [
        // a version scheduled for deprecation is still usable
        (LINUX, "latest", "9.19.97", "9.19.97"),
        (LINUX, "~> 9.2.9", "9.2.99", "9.19.97"),
        (LINUX, "< 9.10", "9.9.99", "9.19.97"),
        (LINUX, "9.19.98", "9.19.98", "9.19.97"),
        (LINUX, "9.10.3", "9.10.3", "9.19.97"),
        (DEEP, "latest", "10.1", "10.1"),
        (DEEP, "< 10", "9.10.3.1", "10.1"),
        (DEEP, "< 9.10.3.1", "9.10.3.0.5", "10.1"),
        (DEEP, "~> 9.10.3.0", "9.10.3.1", "10.1"),
        (DEEP, "< 9.10", "9.9.9.9.9", "10.1"),
        (DEEP, "< 9.9", "9.2.20", "10.1"),
        (DEEP, "~> 1.0", "1.0.100", "10.1"),
        (DEEP, "< 1.0.100", "1.0.12", "10.1"),
    ] {
        let config = image(of, query);
        let found = core
            .data(LOOKUP, &config)
            .await
            .unwrap_or_else(|diagnostics| panic!("{config}: {diagnostics:?}"));
        let urn = format!("contoso:{}:{}:{exact}", of.0, of.1);
        assert_eq!(found.get("exact_urn").as_str(), Some(urn.as_str()), "{query}");
        assert_eq!(found.get("newest_version").as_str(), Some(newest), "{query}");
        // a deprecated version may have the highest number
        let is_newest = exact == newest || exact == "9.19.98";
        assert_eq!(found.get("is_newest"), &Value::Bool(is_newest), "{query}");
        let by_urn = json!({"location": "eastus", "urn": urn.replace(exact, query)});
        assert_eq!(core.data(LOOKUP, &by_urn).await.unwrap().get("urn").as_str(), Some(urn.as_str()));
    }
    let (found, diagnostics) = core.read_data_source(LOOKUP, &image(LINUX, "9.19.98")).await;
    assert!(
        diagnostics.0.is_empty(),
        "an exact version without a matching rule reports its state in attributes: {diagnostics:?}"
    );
    let found = found.unwrap();
    assert_eq!(found.get("deprecation_state").as_str(), Some("Deprecated"));
    assert_eq!(found.get("alternative_urn").as_str(), Some("contoso:contoso-linux:deep:latest"));
    let found = core.data(LOOKUP, &image(LINUX, "latest")).await.unwrap();
    assert_eq!(found.get("deprecation_state").as_str(), Some("ScheduledForDeprecation"));
    assert!(found.get("scheduled_deprecation_time").as_str().unwrap().starts_with("2039-01-01"));
    let deprecated = patched(&image(LINUX, "latest"), &json!({"include_deprecated": true}));
    let found = core.data(LOOKUP, &deprecated).await.unwrap();
    assert_eq!(found.get("exact_version").as_str(), Some("9.19.98"));
    let diagnostics = core.data(LOOKUP, &image(GONE, "latest")).await.unwrap_err();
    diagnostics.assert_error(&[
        "Every version of contoso:contoso-windows:2019 is deprecated",
        "1.1.0",
        "include_deprecated",
    ]);
}

#[tokio::test(start_paused = true)]
async fn not_found_errors_list_existing_names() {
    let core = market().await;
    for (patch, path, says) in [
        (
            json!({"publisher": "contosso"}),
            "publisher",
            vec!["no publisher \"contosso\"", "Did you mean", "\"contoso\""],
        ),
        (
            json!({"offer": "contoso-linus"}),
            "offer",
            vec!["no offer \"contoso-linus\"", "Did you mean", "\"contoso-linux\""],
        ),
        (json!({"sku": "9-gen1"}), "sku", vec!["no sku \"9-gen1\"", "Did you mean", "\"9-gen2\""]),
        (
            json!({"version": "9.19.100"}),
            "version",
            vec!["no version 9.19.100", "Did you mean", "\"9.19.98\""],
        ),
        (json!({"version": "9.19.99"}), "version", vec!["no version 9.19.99", "Did you mean", "\"9.19.98\""]),
        (json!({"version": "> 9.20"}), "version", vec!["satisfies \"> 9.20\"", "Did you mean", "9.19.9"]),
    ] {
        let config = patched(&image(LINUX, "9.1.1"), &patch);
        let diagnostics = core.data(LOOKUP, &config).await.unwrap_err();
        diagnostics.assert_error(&says);
        assert_eq!(diagnostics.error_paths(), [path], "{patch}");
        // a pin fails with the same error
        let text = |name: &str| config[name].as_str().unwrap().to_owned();
        if !text("version").starts_with('>') {
            let urn = format!("{}:{}:{}:{}", text("publisher"), text("offer"), text("sku"), text("version"));
            let diagnostics = core.plan_refused(PIN, None, &json!({"location": "eastus", "urn": urn})).await;
            diagnostics.assert_error(&says);
            assert_eq!(diagnostics.error_paths(), ["urn"], "{patch}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn catalogues_list_every_level_and_allow_empty_results() {
    let core = market().await;
    let list = async |of, patch: Json| {
        let mut config = patched(&image(of, "x"), &json!({"version": null}));
        merge(&mut config, &patch);
        config.as_object_mut().unwrap().remove("version");
        core.data(LIST, &config).await.unwrap()
    };
    let found = list(LINUX, json!({})).await;
    let all = texts(found.get("versions"));
    assert_eq!(all.len(), 1999, "all versions except the withdrawn one");
    assert_eq!(all[..2], ["9.19.98", "9.19.97"]);
    assert_eq!(found.get("newest_version").as_str(), Some("9.19.97"));
    let found = list(LINUX, json!({"constraint": "~> 9.10.0", "limit": 3})).await;
    assert_eq!(texts(found.get("versions")), ["9.10.99", "9.10.98", "9.10.97"]);
    let found = list(DEEP, json!({})).await;
    assert_eq!(
        texts(found.get("versions")),
        ["10.1", "9.10.3.1", "9.10.3.0.5", "9.10.3", "9.9.9.9.9", "9.2.20", "1.0.100", "1.0.12", "1.0.9"]
    );
    for (of, patch) in [(LINUX, json!({"constraint": "> 10"})), (("contoso-linux", "none"), json!({}))] {
        let found = list(of, patch).await;
        assert!(found.get("versions").elements().is_empty() && found.get("newest_version").is_null());
    }
    let found = list(GONE, json!({})).await;
    assert_eq!(texts(found.get("versions")), ["1.1.0", "1.0.0"]);
    assert!(found.get("newest_version").is_null());
    for (patch, names) in [
        (json!({"name_regex": "^contos"}), vec!["contoso"]),
        (json!({"publisher": "contoso"}), vec!["contoso-linux", "contoso-windows"]),
        (json!({"publisher": "contoso", "offer": "contoso-linux"}), vec!["9-gen2", "deep"]),
        (json!({"publisher": "contoso", "offer": "contoso-linux", "name_regex": "(?i)GEN"}), vec!["9-gen2"]),
        (json!({"publisher": "contoso", "offer": "none"}), vec![]),
        (json!({"publisher": "nobody-at-all"}), vec![]),
        (json!({"name_regex": "^nobody-at-all$"}), vec![]),
    ] {
        let config = patched(&json!({"location": "eastus"}), &patch);
        let found = core.data(NAMES, &config).await.unwrap();
        assert_eq!(texts(found.get("names")), names, "{patch}");
    }
}

// A pin applies and keeps the planned version, even if newer versions are published.
#[tokio::test(start_paused = true)]
async fn pin_stays_while_new_versions_are_published() {
    let core = market().await;
    let urn = async |core: &Core| {
        let found = core.data(LOOKUP, &image(LINUX, "~> 9.10")).await.unwrap();
        found.get("exact_urn").as_str().unwrap().to_owned()
    };
    let pin =
        |urn: &str, keeper: &str| json!({"location": "eastus", "urn": urn, "keepers": {"release": keeper}});
    let first = urn(&core).await;
    let plan = core.plan(PIN, None, &pin(&first, "1")).await;
    assert_eq!(plan.action, Action::Create);
    // published between plan and apply
    change(&core, "publish", LINUX, "9.19.100", json!({}));
    let applied = core.apply(&plan).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    let held = applied.held.unwrap();
    assert_eq!(held.text("urn"), first);
    assert_eq!(held.text("version"), "9.19.97");
    // a week later, with and without a refresh
    for build in 101..=120 {
        change(&core, "publish", LINUX, &format!("9.19.{build}"), json!({}));
    }
    let next = core.new_run(json!({})).await;
    let newer = urn(&next).await;
    assert_eq!(newer, "contoso:contoso-linux:9-gen2:9.19.120");
    // core compares a plan without changes byte by byte
    assert_eq!(next.plan(PIN, Some(&held), &pin(&newer, "1")).await.action, Action::NoOp);
    let (read, diagnostics) = next.read(&held).await.unwrap();
    let read = read.unwrap();
    diagnostics.assert_warning(&["has a newer version", "9.19.120 is available"]);
    diagnostics.assert_warning(&["will be deprecated", "2039-01-01"]);
    assert_eq!(read.get("upgrade_available"), &Value::Bool(true));
    assert_eq!(read.text("newest_version"), "9.19.120");
    assert_eq!((read.text("urn"), read.get("withdrawn")), (first.as_str(), &Value::Bool(false)));
    assert_eq!(next.plan(PIN, Some(&read), &pin(&newer, "1")).await.action, Action::NoOp);
    // deprecated, then withdrawn: a warning each time, and no change
    for (what, warning) in [("deprecate", "is deprecated"), ("withdraw", "is withdrawn")] {
        change(&core, what, LINUX, "9.19.97", json!({}));
        let next = core.new_run(json!({})).await;
        let (read, diagnostics) = next.read(&held).await.unwrap();
        let read = read.unwrap();
        diagnostics.assert_warning(&[warning, &first, "keepers"]);
        assert!(!diagnostics.has_errors());
        assert_eq!(read.get("withdrawn"), &Value::Bool(what == "withdraw"));
        assert_eq!(next.plan(PIN, Some(&read), &pin(&newer, "1")).await.action, Action::NoOp);
    }
    // a changed keeper moves the pin, and the plan shows the old and the new version
    let next = core.new_run(json!({})).await;
    let read = next.refresh(&held).await.unwrap().unwrap();
    let plan = next.plan(PIN, Some(&read), &pin(&newer, "2")).await;
    assert_eq!(plan.action, Action::Update);
    assert_eq!((read.text("urn"), plan.state.get("urn").as_str()), (first.as_str(), Some(newer.as_str())));
    change(&core, "publish", LINUX, "9.19.121", json!({}));
    let moved = next.apply(&plan).await.held.unwrap();
    assert_eq!((moved.text("urn"), moved.text("id")), (newer.as_str(), held.text("id")));
}
