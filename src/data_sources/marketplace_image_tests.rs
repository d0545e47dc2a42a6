//! Resolving images by URN and by parts, and errors.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::azure::testing::{FakeArm, op};
use crate::schema::{Severity, Slot};

const VERSIONS: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/providers/Microsoft.Compute/locations/westus/publishers/acmefw/artifacttypes/vmimage/offers/acme-firewall/skus/payg/versions";

fn item(version: &str, state: &str) -> Json {
    json!({
        "name": version,
        "location": "westus",
        "properties": {"imageDeprecationStatus": {"imageState": state, "scheduledDeprecationTime": null}},
    })
}

fn image(version: &str, state: &str) -> Json {
    json!({
        "name": version,
        "properties": {
            "hyperVGeneration": "V2",
            "architecture": "x64",
            "imageDeprecationStatus": {
                "imageState": state,
                "scheduledDeprecationTime": "2027-02-01T00:00:00+00:00",
                "alternativeOption": {"type": "Plan", "value": "payg-v9"},
            },
            "plan": {"publisher": "acmefw", "name": "payg", "product": "acme-firewall"},
            "features": [{"name": "IsAcceleratedNetworkSupported", "value": "True"}],
            "osDiskImage": {"operatingSystem": "Linux", "sizeInBytes": 32_213_303_808_i64},
            "dataDiskImages": [{"lun": 3}, {"lun": 0}],
        },
    })
}

fn service() -> Arc<FakeArm> {
    let arm = FakeArm::new();
    arm.get(
        VERSIONS,
        json!([
            item("8.10.3", "Active"),
            item("8.2.20", "Active"),
            item("8.4.2", "ScheduledForDeprecation"),
            item("9.0.0", "Deprecated"),
        ]),
    );
    for (version, state) in [
        ("8.10.3", "Active"),
        ("8.2.20", "Active"),
        ("8.4.2", "ScheduledForDeprecation"),
        ("9.0.0", "Deprecated"),
    ] {
        arm.get(&format!("{VERSIONS}/{version}"), image(version, state));
    }
    arm
}

fn by_parts(version: Option<&str>) -> Model {
    Model {
        location: "West US".to_owned(),
        publisher: Some("acmefw".to_owned()),
        offer: Some("acme-firewall".to_owned()),
        sku: Some("payg".to_owned()),
        version: version.map(str::to_owned),
        ..Model::default()
    }
}

fn by_urn(urn: &str) -> Model {
    Model { location: "westus".to_owned(), urn: Some(urn.to_owned()), ..Model::default() }
}

async fn read(context: &Context, config: Model) -> Result<Model, Diagnostics> {
    MarketplaceImage.read(context, &op(), config).await
}

#[tokio::test]
async fn resolves_urns_and_parts_to_an_exact_image() {
    let arm = service();
    let context = arm.context();
    let rows: &[(Model, &str, bool)] = &[
        (by_parts(None), "8.10.3", true),
        (by_parts(Some("latest")), "8.10.3", true),
        (by_parts(Some("~> 8.2.0")), "8.2.20", false),
        (by_parts(Some("8.4.2")), "8.4.2", false),
        (by_parts(Some("9.0.0")), "9.0.0", true),
        (by_urn("acmefw:acme-firewall:payg:latest"), "8.10.3", true),
        (by_urn("acmefw:acme-firewall:payg:< 8.10"), "8.4.2", false),
        (Model { include_deprecated: Some(true), ..by_parts(None) }, "9.0.0", true),
    ];
    for (config, version, newest) in rows {
        let got = read(&context, config.clone()).await.unwrap();
        let exact = format!("acmefw:acme-firewall:payg:{version}");
        assert_eq!(got.exact_urn.as_deref(), Some(exact.as_str()));
        assert_eq!(got.exact_version.as_deref(), Some(*version));
        assert_eq!(got.urn, Some(exact));
        assert_eq!(got.version.as_deref(), Some(*version));
        assert_eq!(got.is_newest, Some(*newest), "{version}");
        assert_eq!(got.publisher.as_deref(), Some("acmefw"));
        assert_eq!(got.id.as_deref(), Some(format!("{VERSIONS}/{version}").as_str()));
    }
}

#[tokio::test]
async fn reads_every_property() {
    let arm = service();
    let context = arm.context();
    let got = read(&context, by_parts(Some("8.4.2"))).await.unwrap();
    assert_eq!(got.os_type.as_deref(), Some("Linux"));
    assert_eq!(got.architecture.as_deref(), Some("x64"));
    assert_eq!(got.hyper_v_generation.as_deref(), Some("V2"));
    assert_eq!(got.features["IsAcceleratedNetworkSupported"], "True");
    assert_eq!(got.os_disk_size_gb, Some(30));
    assert_eq!((got.data_disk_count, got.data_disk_luns.as_slice()), (Some(2), &[0, 3][..]));
    assert_eq!(got.newest_version.as_deref(), Some("8.10.3"));
    assert_eq!(got.deprecation_state.as_deref(), Some("ScheduledForDeprecation"));
    assert_eq!(got.scheduled_deprecation_time.as_deref(), Some("2027-02-01T00:00:00+00:00"));
    assert_eq!(got.alternative_urn.as_deref(), Some("acmefw:acme-firewall:payg-v9:latest"));
    let value = got.encode();
    assert_eq!(value.get("plan").get("name").as_str(), Some("payg"));
    assert_eq!(value.get("plan").get("product").as_str(), Some("acme-firewall"));
}

#[tokio::test]
async fn reads_responses_with_missing_members() {
    let arm = FakeArm::new();
    arm.get(VERSIONS, json!([{"name": "1.0.9"}, {"name": "1.0.12"}]))
        .get(&format!("{VERSIONS}/1.0.12"), json!({"name": "1.0.12"}));
    let got = read(&arm.context(), by_parts(None)).await.unwrap();
    assert_eq!(got.exact_version.as_deref(), Some("1.0.12"));
    assert_eq!((got.plan, got.os_type, got.os_disk_size_gb), (None, None, None));
    assert_eq!(got.deprecation_state.as_deref(), Some("Active"));
}

#[tokio::test]
async fn finds_an_unlisted_version_by_its_exact_name() {
    let arm = service();
    arm.get(&format!("{VERSIONS}/7.0.0"), image("7.0.0", "Active"));
    let got = read(&arm.context(), by_parts(Some("7.0.0"))).await.unwrap();
    assert_eq!(got.exact_version.as_deref(), Some("7.0.0"));
}

#[tokio::test]
async fn errors_point_at_the_wrong_argument() {
    let arm = service();
    let context = arm.context();
    let rows: &[(Model, &str, &str)] = &[
        (by_parts(Some("8.4.3")), "version", "8.4.2"),
        (by_parts(Some("~> 10.0")), "version", "satisfies"),
        (by_parts(Some("~> 9.0")), "version", "include_deprecated"),
        (by_urn("acmefw:acme-firewall:payg:8.4.3"), "urn", "8.4.2"),
        (Model { publisher: Some("acme".to_owned()), ..by_parts(None) }, "publisher", "no publisher"),
    ];
    for (config, path, text) in rows {
        let found = read(&context, config.clone()).await.unwrap_err().0;
        assert_eq!(found[0].path, Path::attribute(*path), "{}", found[0]);
        assert!(found[0].to_string().contains(text), "{}", found[0]);
    }
}

#[tokio::test]
async fn guardrails_are_errors_or_warnings() {
    let arm = service();
    let rows: &[(Model, &str, Option<&str>)] = &[
        (by_parts(None), "version", Some("deny_latest")),
        (by_urn("acmefw:acme-firewall:payg:LATEST"), "urn", Some("deny_latest")),
        (by_parts(Some("8.10.3")), "", None),
        (by_parts(Some("~> 8.10")), "", None),
        (by_parts(Some("8.4.2")), "version", Some("deny_deprecated")),
        (by_parts(Some("9.0.0")), "version", Some("deny_deprecated")),
    ];
    for mode in [None, Some("error"), Some("warn")] {
        let mut context = arm.context();
        context.guardrails.mode = mode.map(str::to_owned);
        context.guardrails.deny_latest = Some(true);
        context.guardrails.deny_deprecated = Some(true);
        for (config, path, rule) in rows {
            let op = op();
            let result = MarketplaceImage.read(&context, &op, config.clone()).await;
            let warned = op.take_warnings().0;
            let found = match (&result, rule, mode) {
                (Err(found), Some(_), None | Some("error")) => &found.0,
                (Ok(_), Some(_), Some("warn")) => &warned,
                (Ok(_), None, _) => {
                    assert!(warned.is_empty());
                    continue;
                }
                _ => panic!("{mode:?} {rule:?}: {result:?}"),
            };
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].summary.contains(rule.unwrap()), "{}", found[0]);
            assert_eq!(found[0].path, Path::attribute(*path));
            assert_eq!(found[0].severity == Severity::Error, mode != Some("warn"));
        }
    }
}

#[test]
fn validation_refuses_conflicting_arguments() {
    type Row<'a> = (&'a [(&'a str, Value)], &'a [&'a str]);
    let rows: &[Row<'_>] = &[
        (&[("urn", "a:b:c:latest".into())], &[]),
        (&[("urn", Value::Unknown)], &[]),
        (&[("urn", Value::Unknown), ("sku", "x".into())], &[]),
        (&[("publisher", "a".into()), ("offer", Value::Unknown), ("sku", "c".into())], &[]),
        (&[], &["urn"]),
        (&[("publisher", "a".into())], &["offer", "sku"]),
        (&[("urn", "a:b:c:1.0".into()), ("version", "1.0".into())], &["version"]),
        (&[("urn", "a:b:c".into())], &["urn"]),
        (&[("urn", "a:b:c:==1".into())], &["urn"]),
        (&[("publisher", "a b".into()), ("offer", "b".into()), ("sku", "c".into())], &["publisher"]),
        (
            &[
                ("publisher", "a".into()),
                ("offer", "b".into()),
                ("sku", "c".into()),
                ("version", "newest".into()),
            ],
            &["version"],
        ),
    ];
    let body = <Model as crate::schema::Model>::body();
    for (set, paths) in rows {
        let mut config = Model { location: "westus".to_owned(), ..Model::default() }.encode();
        for name in body.attributes.iter().map(|a| a.name).filter(|name| *name != "location") {
            config.set(name, Value::Null);
        }
        for (name, value) in *set {
            config.set(name, value.clone());
        }
        let mut found = Diagnostics::new();
        body.validate(&config, &Path::root(), &mut found);
        MarketplaceImage.validate(&config, &mut found);
        let at: Vec<String> = found.0.iter().map(|d| d.path.to_string()).collect();
        assert_eq!(at, *paths, "{set:?}: {found:?}");
    }
}

#[test]
fn reports_sizes_of_disks() {
    for (bytes, size) in
        [(32_213_303_808, 30), (2_147_484_160, 2), (34_359_738_368, 32), (136_365_212_160, 127), (0, 0)]
    {
        assert_eq!(gibibytes(bytes), size, "{bytes}");
    }
}
