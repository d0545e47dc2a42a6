//! Scale sets: image checks, and instances that keep their image version until they are upgraded.

use super::*;

const API: &str = "?api-version=2024-07-01";

fn set(image: &str, capacity: u32, mode: &str) -> String {
    format!(
        r#"{{"location":"eastus","sku":{{"name":"Standard_D2s_v5","capacity":{capacity}}},"properties":{{"additionalCapabilities":{{}},"upgradePolicy":{{"mode":"{mode}"}},"virtualMachineProfile":{{"osProfile":{{"computerNamePrefix":"web","adminUsername":"a","adminPassword":"Hunter2"}},"storageProfile":{{"imageReference":{image},"osDisk":{{"createOption":"FromImage"}}}},"networkProfile":{{"networkInterfaceConfigurations":[{{"name":"nic","properties":{{"primary":true,"ipConfigurations":[{{"name":"ip","properties":{{}}}}]}}}}]}}}}}}}}"#
    )
}

fn url(tail: &str) -> String {
    rg(&format!("virtualMachineScaleSets/web{tail}{API}"))
}

/// A gallery with 1.0.0 in eastus.
fn world() -> World {
    let mut world = World::new();
    world.gallery();
    world.definition();
    world.image();
    publish(&mut world, "1.0.0");
    world
}

fn publish(world: &mut World, version: &str) {
    let url = gal(&format!("/images/img/versions/{version}?api-version=2026-03-03"));
    world.done("PUT", &url, &version_body(r#"{"name":"eastus"}"#, ""));
    world.wait(3_600.0);
}

fn definition_id() -> String {
    format!(r#"{{"id":"{}"}}"#, gal("/images/img"))
}

/// Instance, exact version, whether the latest model is applied.
fn instances(world: &World) -> Vec<(String, String, bool)> {
    let listed = world.ask("GET", &url("/virtualMachines"), "");
    assert_eq!(listed.status, 200, "{}", listed.raw);
    let text = |one: &Json, path: &str| one.text(path).unwrap_or_default().to_owned();
    let row = |one: &Json| {
        (
            text(one, "instanceId"),
            text(one, "properties.storageProfile.imageReference.exactVersion"),
            one.flag("properties.latestModelApplied").unwrap(),
        )
    };
    listed.body.list("value").iter().map(row).collect()
}

fn rows(rows: &[(&str, &str, bool)]) -> Vec<(String, String, bool)> {
    rows.iter().map(|(id, version, latest)| ((*id).to_owned(), (*version).to_owned(), *latest)).collect()
}

#[test]
fn image_must_exist_in_the_region() {
    let world = world();
    let absent = gal("/images/img/versions/9.9.9");
    for (image, location, status, code) in [
        (definition_id(), "eastus", 201, ""),
        (format!(r#"{{"id":"{absent}"}}"#), "eastus", 404, "NotFound"),
        (
            format!(r#"{{"id":"{}"}}"#, gal("/images/img/versions/1.0.0")),
            "westus",
            404,
            "GalleryImageNotFound",
        ),
        (definition_id(), "westus", 404, "NotFound"),
        (
            r#"{"publisher":"Canonical","offer":"none","sku":"server","version":"latest"}"#.to_owned(),
            "eastus",
            404,
            "PlatformImageNotFound",
        ),
    ] {
        let name = format!("set{status}{code}{location}");
        let body = set(&image, 1, "Manual")
            .replace(r#""location":"eastus""#, &format!(r#""location":"{location}""#));
        let got = world.ask("PUT", &rg(&format!("virtualMachineScaleSets/{name}{API}")), &body);
        assert_eq!((got.status, got.code()), (status, code), "{image} {location}: {}", got.raw);
    }
}

#[test]
fn instances_keep_their_version_until_they_are_upgraded() {
    let mut world = world();
    let made = world.done("PUT", &url(""), &set(&definition_id(), 2, "Manual"));
    assert_eq!(made.status, 201);
    let shown = world.ask("GET", &url(""), "");
    assert!(!shown.raw.contains("additionalCapabilities") && !shown.raw.contains("Hunter2"), "{}", shown.raw);
    assert!(!shown.raw.contains("exactVersion") && shown.raw.contains("uniqueId"), "{}", shown.raw);
    assert_eq!(instances(&world), rows(&[("0", "1.0.0", true), ("1", "1.0.0", true)]));
    publish(&mut world, "1.1.0");
    // New instances get the newest version of the same model.
    world.done("PATCH", &url(""), r#"{"sku":{"name":"Standard_D2s_v5","capacity":3}}"#);
    assert_eq!(instances(&world), rows(&[("0", "1.0.0", true), ("1", "1.0.0", true), ("2", "1.1.0", true)]));
    world.done("POST", &url("/virtualMachines/1/reimage"), "");
    assert_eq!(instances(&world)[1].1, "1.1.0");
    // A changed model is applied only by a manual upgrade.
    let pinned = format!(r#"{{"id":"{}"}}"#, gal("/images/img/versions/1.1.0"));
    world.done("PUT", &url(""), &set(&pinned, 3, "Manual"));
    assert!(instances(&world).iter().all(|(.., latest)| !latest));
    assert_eq!(world.ask("POST", &url("/manualupgrade"), "{}").code(), "InvalidParameter");
    assert_eq!(
        world.ask("POST", &url("/manualupgrade"), r#"{"instanceIds":["7"]}"#).code(),
        "InvalidParameter"
    );
    world.done("POST", &url("/manualupgrade"), r#"{"instanceIds":["0"]}"#);
    assert_eq!(instances(&world)[0], ("0".to_owned(), "1.1.0".to_owned(), true));
    assert!(!instances(&world)[1].2);
    world.done("POST", &url("/delete"), r#"{"instanceIds":["1"]}"#);
    assert_eq!(world.ask("GET", &url(""), "").body.int("sku.capacity"), Some(2));
    // With automatic upgrades, instances follow the model.
    let automatic = set(&pinned, 2, "Automatic");
    world.done("PUT", &url(""), &automatic);
    world.done("PUT", &url(""), &automatic.replace("\"web\"", "\"new\""));
    assert_eq!(instances(&world), rows(&[("0", "1.1.0", true), ("2", "1.1.0", true)]));
}

#[test]
fn instances_start_and_stop() {
    let mut world = world();
    world.done("PUT", &url(""), &set(&definition_id(), 2, "Manual"));
    let power = |world: &World, number: u8| {
        let view = world.ask("GET", &url(&format!("/virtualMachines/{number}/instanceView")), "");
        view.body.list("statuses").last().unwrap().text("code").unwrap().to_owned()
    };
    for (action, state) in [
        ("powerOff", "PowerState/stopped"),
        ("start", "PowerState/running"),
        ("deallocate", "PowerState/deallocated"),
        ("restart", "PowerState/running"),
    ] {
        let started = world.done("POST", &url(&format!("/{action}")), r#"{"instanceIds":["1"]}"#);
        assert_eq!(started.status, 202);
        assert_eq!((power(&world, 0).as_str(), power(&world, 1).as_str()), ("PowerState/running", state));
    }
    let view = world.ask("GET", &url("/instanceView"), "");
    assert_eq!(view.body.list("virtualMachine.statusesSummary")[0].int("count"), Some(2), "{}", view.raw);
    assert_eq!(world.ask("GET", &url("/rollingUpgrades/latest"), "").status, 404);
    let unknown = world.ask("POST", &url("/convertToSinglePlacementGroup"), "{}");
    assert_eq!((unknown.status, unknown.code()), (501, "NotEmulated"));
    let disks = |world: &World| {
        let listed = world.ask("GET", &rg("disks?api-version=2024-03-02"), "");
        listed.body.list("value").iter().filter(|disk| disk.text("name").unwrap().starts_with("web_")).count()
    };
    assert_eq!(disks(&world), 2);
    world.done("DELETE", &url(""), "");
    assert_eq!((disks(&world), world.ask("GET", &url("/virtualMachines"), "").status), (0, 404));
}

#[test]
fn autoscale_settings_are_kept() {
    let world = World::new();
    let url = format!(
        "{S}/resourceGroups/my-rg/providers/Microsoft.Insights/autoscaleSettings/web?api-version=2022-10-01"
    );
    let body = r#"{"location":"eastus","properties":{"enabled":true,"profiles":[{"name":"p","capacity":{"minimum":"1","maximum":"3","default":"1"},"rules":[]}],"notifications":[]}}"#;
    assert_eq!(world.ask("PUT", &url, body).status, 201);
    let shown = world.ask("GET", &url, "").body;
    assert_eq!(shown.list("properties.profiles")[0].text("capacity.maximum"), Some("3"));
    assert_eq!(shown.list("properties.notifications").len(), 0);
}
