//! The plan of a pin for each kind of change of its configuration, and the warnings of a refresh.

use serde_json::{Value as Json, json};

use super::*;
use crate::azure::testing::{FakeArm, op};
use crate::framework::Private;
use crate::framework::plan::{self, Plan};
use crate::schema::{Body, Slot};

const OLD: &str = "Canonical:jammy:gen2:22.04.202511010";
const NEW: &str = "Canonical:jammy:gen2:22.04.202601140";
const OTHER: &str = "Canonical:noble:server:24.04.202511010";

fn body() -> Body {
    <Model as crate::schema::Model>::body()
}

fn configuration(urn: Value, keepers: Value) -> Value {
    let mut config = Model { location: "East US".to_owned(), ..Model::default() }.encode();
    for attribute in body().attributes {
        if attribute.is_computed() {
            config.set(attribute.name, Value::Null);
        }
    }
    config.set("urn", urn);
    config.set("keepers", keepers);
    config
}

fn keepers(value: Value) -> Value {
    Value::Map([("rebuild".to_owned(), value)].into())
}

fn state() -> Value {
    Model {
        id: Some(format!("eastus|{OLD}")),
        location: "East US".to_owned(),
        urn: OLD.to_owned(),
        keepers: Some([("rebuild".to_owned(), "1".to_owned())].into()),
        publisher: Some("Canonical".to_owned()),
        offer: Some("jammy".to_owned()),
        sku: Some("gen2".to_owned()),
        version: Some("22.04.202511010".to_owned()),
        image_id: Some(versions("jammy", "gen2") + "/22.04.202511010"),
        newest_version: Some("22.04.202511010".to_owned()),
        upgrade_available: Some(false),
        withdrawn: Some(false),
        deprecation_state: Some("Active".to_owned()),
        ..Model::default()
    }
    .encode()
}

fn run(context: Option<&Context>, config: &Value, prior: &Value) -> Plan {
    let body = body();
    let mut draft = Draft::new(config, prior, plan::begin(&body, config, prior));
    MarketplacePin.prepare(context, &mut draft);
    let plan = plan::finish(&body, &mut draft);
    // Terraform's rules for every plan
    for attribute in body.attributes.iter().filter(|attribute| !attribute.is_computed()) {
        let (planned, config) = (plan.planned.get(attribute.name), config.get(attribute.name));
        let kept =
            !prior.get(attribute.name).is_null() && !config.is_null() && planned == prior.get(attribute.name);
        assert!(planned == config || kept, "{}: {planned:?} for {config:?}", attribute.name);
    }
    plan
}

// Terraform's rule for a second plan: known values do not change.
fn holds(first: &Value, second: &Value) {
    for attribute in body().attributes {
        let (first, second) = (first.get(attribute.name), second.get(attribute.name));
        assert!(
            first.is_unknown() || !first.is_wholly_known() || first == second,
            "{}: {first:?} {second:?}",
            attribute.name
        );
    }
}

fn versions(offer: &str, sku: &str) -> String {
    format!(
        "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/providers/Microsoft.Compute/locations/eastus/publishers/Canonical/artifacttypes/vmimage/offers/{offer}/skus/{sku}/versions"
    )
}

#[test]
fn a_plan_knows_a_new_pin() {
    let context = FakeArm::new().context();
    let plan = run(Some(&context), &configuration(NEW.into(), Value::Null), &Value::Null);
    let image_id = versions("jammy", "gen2") + "/22.04.202601140";
    for (name, value) in [
        ("urn", NEW),
        ("publisher", "Canonical"),
        ("offer", "jammy"),
        ("sku", "gen2"),
        ("version", "22.04.202601140"),
        ("image_id", &image_id),
        ("id", &format!("eastus|{NEW}")),
    ] {
        assert_eq!(plan.planned.get(name).as_str(), Some(value), "{name}");
    }
    for name in SEEN {
        assert!(plan.planned.get(name).is_unknown(), "{name}");
    }
    // while the provider is not configured, only the subscription is missing
    let plan = run(None, &configuration(NEW.into(), Value::Null), &Value::Null);
    assert!(plan.planned.get("image_id").is_unknown());
    assert_eq!(plan.planned.get("version").as_str(), Some("22.04.202601140"));
    let plan = run(Some(&context), &configuration(Value::Unknown, Value::Null), &Value::Null);
    for name in DERIVED.iter().chain(&SEEN).chain(&["id", "urn"]) {
        assert!(plan.planned.get(name).is_unknown(), "{name}");
    }
}

#[test]
fn a_pin_moves_only_with_its_keepers_or_its_image() {
    let context = FakeArm::new().context();
    let same = keepers("1".into());
    let changed = keepers("2".into());
    let two = Value::Map([("rebuild".to_owned(), "1".into()), ("more".to_owned(), Value::Unknown)].into());
    // None: no difference at all
    let rows: &[(&str, Value, Value, Option<Value>)] = &[
        ("nothing moved", OLD.into(), same.clone(), None),
        ("the URN moved", NEW.into(), same.clone(), None),
        ("the URN moved back in time", "Canonical:jammy:gen2:1.0".into(), same.clone(), None),
        ("another spelling", "canonical:JAMMY:Gen2:22.04.202601140".into(), same.clone(), None),
        ("the URN is not known yet", Value::Unknown, same.clone(), None),
        ("a keeper changed", NEW.into(), changed.clone(), Some(NEW.into())),
        ("a keeper changed, the URN did not", OLD.into(), changed.clone(), Some(OLD.into())),
        (
            "a keeper changed and the URN is not known yet",
            Value::Unknown,
            changed.clone(),
            Some(Value::Unknown),
        ),
        ("a keeper went", NEW.into(), Value::Null, Some(NEW.into())),
        ("a keeper is not known yet", NEW.into(), keepers(Value::Unknown), Some(NEW.into())),
        ("a keeper came that is not known yet", NEW.into(), two, Some(NEW.into())),
        ("the keepers are not known yet", NEW.into(), Value::Unknown, Some(NEW.into())),
        ("nothing is known yet", Value::Unknown, Value::Unknown, Some(Value::Unknown)),
        ("another image", OTHER.into(), same.clone(), Some(OTHER.into())),
    ];
    for (what, urn, keepers, moved) in rows {
        let plan = run(Some(&context), &configuration(urn.clone(), keepers.clone()), &state());
        assert!(plan.replace.is_empty(), "{what}");
        match moved {
            None => assert_eq!(plan.planned, state(), "{what}"),
            Some(urn) => {
                assert_eq!(plan.planned.get("urn"), urn, "{what}");
                assert_eq!(plan.planned.get("id"), state().get("id"), "{what}");
                let version = urn.as_str().map(|urn| urn.rsplit(':').next().unwrap().to_owned());
                assert_eq!(plan.planned.get("version").as_str(), version.as_deref(), "{what}");
                assert_eq!(
                    plan.planned.get("newest_version").is_unknown(),
                    urn.as_str() != Some(OLD),
                    "{what}"
                );
            }
        }
    }
}

#[test]
fn no_keepers_and_empty_keepers_are_the_same() {
    let mut prior = state();
    prior.set("keepers", Value::Null);
    let plan = run(None, &configuration(NEW.into(), Value::Map(BTreeMap::new())), &prior);
    assert_eq!(plan.planned.get("urn").as_str(), Some(OLD));
}

#[test]
fn the_second_plan_keeps_known_values_of_the_first() {
    let context = FakeArm::new().context();
    let with_timeouts = |config: &mut Value| {
        config.set("timeouts", Timeouts { read: Some("9m".to_owned()), ..Timeouts::default() }.encode());
    };
    for (urn, kept) in [
        (Value::Unknown, keepers("1".into())),
        (Value::Unknown, keepers("2".into())),
        (Value::Unknown, keepers(Value::Unknown)),
        (Value::Unknown, Value::Unknown),
        (NEW.into(), keepers(Value::Unknown)),
        (NEW.into(), Value::Unknown),
        (NEW.into(), keepers("1".into())),
    ] {
        for timeouts in [false, true] {
            let mut config = configuration(urn.clone(), kept.clone());
            if timeouts {
                with_timeouts(&mut config);
            }
            let first = run(Some(&context), &config, &state());
            if first.planned == state() {
                continue;
            }
            let urns = if urn.is_unknown() { vec![OLD, NEW, OTHER] } else { vec![NEW] };
            // a keeper that is unknown and then the same as before breaks its promise only where the URN was known
            let values = match (kept.is_wholly_known(), urn.is_unknown()) {
                (true, _) => vec![kept.clone()],
                (false, true) => vec![keepers("1".into()), keepers("3".into())],
                (false, false) => vec![keepers("3".into())],
            };
            for urn in urns {
                for value in &values {
                    let mut config = configuration(urn.into(), value.clone());
                    if timeouts {
                        with_timeouts(&mut config);
                    }
                    holds(&first.planned, &run(Some(&context), &config, &state()).planned);
                }
            }
        }
    }
}

#[test]
fn another_location_replaces_the_pin() {
    let mut config = configuration(NEW.into(), keepers("1".into()));
    config.set("location", "eastus".into());
    assert_eq!(run(None, &config, &state()).planned, state());
    config.set("location", "westus".into());
    assert_eq!(run(None, &config, &state()).replace, [Path::attribute("location")]);
}

#[test]
fn only_an_exact_urn_and_whole_keepers_are_accepted() {
    for (urn, kept, text) in [
        (OLD.into(), keepers("1".into()), None),
        (Value::Unknown, keepers(Value::Unknown), None),
        ("a:b:c:latest".into(), Value::Null, Some("azimage_marketplace_image")),
        ("a:b:c:~> 1.2".into(), Value::Null, Some("azimage_marketplace_image")),
        ("a:b:c".into(), Value::Null, Some("version is missing")),
        (OLD.into(), keepers(Value::Null), Some("null")),
    ] {
        let mut found = Diagnostics::new();
        body().validate(&configuration(urn, kept), &Path::root(), &mut found);
        match text {
            None => assert!(found.0.is_empty(), "{found:?}"),
            Some(text) => assert!(found.0.len() == 1 && found.0[0].to_string().contains(text), "{found:?}"),
        }
    }
}

#[test]
fn imports_by_text_by_image_and_by_identity() {
    let id = ImportFrom::Id(format!("East US|{OLD}"));
    let image = ImportFrom::Id(versions("jammy", "gen2").replace("eastus", "EastUS") + "/22.04.202511010");
    let identity = ImportFrom::Identity(
        [("location".to_owned(), "eastus".to_owned()), ("urn".to_owned(), OLD.to_owned())].into(),
    );
    for from in [id, image, identity] {
        let stub = MarketplacePin.import(None, &from).unwrap();
        assert_eq!(stub.urn, OLD);
        assert_eq!(MarketplacePin.identify(&stub), [Some("eastus".to_owned()), Some(OLD.to_owned())]);
    }
    for (id, text) in [
        (OLD.to_owned(), "no |"),
        ("eastus|a:b:c:latest".to_owned(), "latest"),
        ("east-us|a:b:c:1.0.0".to_owned(), "location"),
        ("/subscriptions/s/resourceGroups/r".to_owned(), "Marketplace image"),
    ] {
        let error = MarketplacePin.import(None, &ImportFrom::Id(id)).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
}

fn listed(rows: &[(&str, &str)]) -> Json {
    rows.iter()
        .map(|(version, state)| {
            json!({"name": version, "properties": {"imageDeprecationStatus": {"imageState": state, "scheduledDeprecationTime": null}}})
        })
        .collect()
}

#[tokio::test]
async fn create_and_update_pin_the_planned_version_and_report_newer_ones() {
    let arm = FakeArm::new();
    arm.get(
        &versions("jammy", "gen2"),
        listed(&[("22.04.202511010", "Active"), ("22.04.202601140", "Active"), ("22.04.20269", "Active")]),
    );
    let context = arm.context();
    let planned =
        |urn: &str| Model { location: "East US".to_owned(), urn: urn.to_owned(), ..Model::default() };
    let made = MarketplacePin
        .create(Call::new(&context, &op(), &mut Private::default()), planned(OLD))
        .await
        .unwrap();
    assert_eq!(made.version.as_deref(), Some("22.04.202511010"));
    assert_eq!(made.newest_version.as_deref(), Some("22.04.202601140"));
    assert_eq!((made.upgrade_available, made.withdrawn), (Some(true), Some(false)));
    assert_eq!(made.deprecation_state.as_deref(), Some("Active"));
    let plan = Model { id: made.id.clone(), image_id: None, ..planned(NEW) };
    let moved = MarketplacePin
        .update(Call::new(&context, &op(), &mut Private::default()), made.clone(), plan)
        .await
        .unwrap();
    assert_eq!(moved.image_id, Some(versions("jammy", "gen2") + "/22.04.202601140"));
    assert_eq!(moved.upgrade_available, Some(false));
    assert_eq!(MarketplacePin.identify(&moved), MarketplacePin.identify(&made));
    let failed = MarketplacePin
        .create(Call::new(&context, &op(), &mut Private::default()), planned("Canonical:jammy:gen2:22.04.1"))
        .await;
    let message = failed.unwrap_err().diagnostics.0;
    assert_eq!(message[0].path, Path::attribute("urn"));
    assert!(message[0].detail.contains("22.04.20269"), "{}", message[0]);
}

#[tokio::test]
async fn a_refresh_reports_changes_without_moving_the_pin() {
    let soon = json!({"properties": {"imageDeprecationStatus": {
        "imageState": "ScheduledForDeprecation", "scheduledDeprecationTime": "2999-01-01T00:00:00+00:00"}}});
    let over = json!({"properties": {"imageDeprecationStatus": {"imageState": "Deprecated"}}});
    let old = "22.04.202511010";
    type Row<'a> = (Option<Json>, Option<Json>, &'a [&'a str], [Option<bool>; 2]);
    let rows: &[Row<'_>] = &[
        (Some(listed(&[(old, "Active")])), None, &[], [Some(false), Some(false)]),
        (
            Some(listed(&[(old, "Active"), ("22.04.202601140", "Active")])),
            None,
            &["newer version"],
            [Some(true), Some(false)],
        ),
        (
            Some(listed(&[(old, "Active"), ("22.04.202601140", "Deprecated")])),
            None,
            &[],
            [Some(false), Some(false)],
        ),
        (
            Some(listed(&[(old, "ScheduledForDeprecation")])),
            Some(soon),
            &["will be deprecated"],
            [Some(false), Some(false)],
        ),
        (
            Some(listed(&[(old, "Deprecated"), ("22.05.1", "Active")])),
            Some(over),
            &["is deprecated", "newer version"],
            [Some(true), Some(false)],
        ),
        (
            Some(listed(&[("22.05.1", "Active")])),
            None,
            &["is withdrawn", "newer version"],
            [Some(true), Some(true)],
        ),
        (None, None, &["is withdrawn"], [Some(false), Some(true)]),
    ];
    for (list, image, warnings, [upgrade, withdrawn]) in rows {
        let arm = FakeArm::new();
        if let Some(list) = list {
            arm.get(&versions("jammy", "gen2"), list.clone());
        }
        if let Some(image) = image {
            arm.get(&(versions("jammy", "gen2") + "/" + old), image.clone());
        }
        let op = op();
        let before = Model::decode(&state());
        let after = MarketplacePin
            .read(Call::new(&arm.context(), &op, &mut Private::default()), before.clone())
            .await
            .unwrap()
            .unwrap();
        let message: Vec<String> = op.take_warnings().0.into_iter().map(|message| message.summary).collect();
        assert_eq!(message.len(), warnings.len(), "{message:?}");
        assert!(
            message
                .iter()
                .zip(*warnings)
                .all(|(message, text)| message.ends_with(text) || message.contains(text)),
            "{message:?}"
        );
        assert_eq!((after.upgrade_available, after.withdrawn), (*upgrade, *withdrawn));
        assert_eq!(after.urn, before.urn);
        // the results of a refresh cause no change in a plan
        let config = configuration(NEW.into(), keepers("1".into()));
        assert_eq!(run(None, &config, &after.encode()).planned, after.encode());
    }
}

#[tokio::test]
async fn a_failed_refresh_keeps_the_pin() {
    let arm = FakeArm::new();
    arm.on(
        crate::arm::Method::Get,
        &versions("jammy", "gen2"),
        403,
        json!({"error": {"code": "AuthorizationFailed", "message": "no"}}),
    );
    let op = op();
    let before = Model::decode(&state());
    let after = MarketplacePin
        .read(Call::new(&arm.context(), &op, &mut Private::default()), before.clone())
        .await
        .unwrap();
    assert_eq!(after, Some(before));
    assert!(op.take_warnings().0[0].detail.contains("AuthorizationFailed"));
    op.stop.cancel();
    assert!(
        MarketplacePin
            .read(Call::new(&arm.context(), &op, &mut Private::default()), Model::decode(&state()))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn the_guardrail_checks_the_current_and_the_planned_pin() {
    let arm = FakeArm::new();
    arm.get(
        &versions("jammy", "gen2"),
        listed(&[("22.04.202511010", "Active"), ("22.04.202601140", "Deprecated")]),
    );
    let mut context = arm.context();
    context.guardrails.deny_deprecated = Some(true);
    let mut deprecated = state();
    deprecated.set("deprecation_state", "Deprecated".into());
    let mut withdrawn = state();
    withdrawn.set("withdrawn", true.into());
    let rows = [
        (NEW, keepers("1".into()), state(), None),
        (NEW, keepers("2".into()), state(), Some("is Deprecated")),
        (OLD, keepers("2".into()), Value::Null, None),
        (NEW, keepers("2".into()), Value::Null, Some("is Deprecated")),
        (NEW, keepers("1".into()), deprecated, Some("is Deprecated")),
        (NEW, keepers("1".into()), withdrawn, Some("is withdrawn")),
        ("Canonical:jammy:gen2:22.04.3", Value::Null, Value::Null, Some("There is no version")),
    ];
    for (urn, kept, prior, text) in rows {
        let config = configuration(urn.into(), kept);
        let planned = run(Some(&context), &config, &prior).planned;
        let draft = Draft::new(&config, &prior, planned);
        let mut found = Diagnostics::new();
        MarketplacePin.check(&context, &op(), &draft, &mut found).await;
        match text {
            None => assert!(found.0.is_empty(), "{urn}: {found:?}"),
            Some(text) => {
                assert_eq!(found.0.len(), 1, "{urn}: {found:?}");
                assert!(found.0[0].summary.contains(text), "{}", found.0[0]);
                assert_eq!(found.0[0].path, Path::attribute("urn"));
            }
        }
    }
}
