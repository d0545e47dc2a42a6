//! Gallery applications and their versions: names, immutable properties, replication, and the machines that install them.

use super::*;

const APP: &str = r#"{"location":"eastus","properties":{"supportedOSType":"Linux","description":"d","endOfLifeDate":"2031-01-01T00:00:00Z"}}"#;

/// A version; `more` holds further members of the publishing profile.
fn version(link: &str, more: &str) -> String {
    format!(
        r#"{{"location":"eastus","properties":{{"publishingProfile":{{"source":{{"mediaLink":"{link}"}},"manageActions":{{"install":"i","remove":"r"}}{more}}}}}}}"#
    )
}

fn app(tail: &str) -> String {
    gal(&format!("/applications/app{tail}?api-version=2026-03-03"))
}

#[test]
fn keeps_what_an_update_omits_and_removes_what_it_empties() {
    let mut world = World::new();
    world.gallery();
    let made = world.ask("PUT", &app(""), APP);
    assert_eq!((made.status, made.header("Azure-AsyncOperation")), (201, ""));
    assert_eq!(made.body.at("properties.provisioningState"), None);
    let body = |properties: &str| {
        format!(r#"{{"location":"eastus","properties":{{"supportedOSType":"Linux"{properties}}}}}"#)
    };
    let kept = world.ask("PUT", &app(""), &body(""));
    assert_eq!((kept.status, kept.body.text("properties.description")), (200, Some("d")));
    let emptied = world.ask("PUT", &app(""), &body(r#","description":"","endOfLifeDate":null"#));
    let properties = emptied.body.at("properties").unwrap().compact();
    assert_eq!(properties, r#"{"supportedOSType":"Linux"}"#);
    let other = world.ask("PUT", &app(""), &body("").replace("Linux", "Windows"));
    assert_eq!((other.status, other.code()), (409, "PropertyChangeNotAllowed"));
}

#[test]
fn rejects_invalid_names() {
    let mut world = World::new();
    world.gallery();
    world.done("PUT", &app(""), APP);
    for (url, body) in [
        (gal("/applications/app.?api-version=2026-03-03"), APP.to_owned()),
        (gal(&format!("/applications/{}?api-version=2026-03-03", "a".repeat(118))), APP.to_owned()),
        (app("/versions/latest"), version("https://a/x", "")),
        (app("/versions/1.0.0"), version("", "")),
        (app("/versions/1.0.0"), version("https://a/x", r#","targetRegions":[{"name":"westus"}]"#)),
        (
            app("/versions/1.0.0"),
            version("https://a/x", r#","targetRegions":[{"name":"eastus"},{"name":"East US"}]"#),
        ),
    ] {
        let got = world.ask("PUT", &url, &body);
        assert_eq!((got.status, got.code()), (400, "InvalidParameter"), "{url} {}", got.raw);
        assert!(!got.raw.to_lowercase().contains("image version"), "{}", got.raw);
    }
}

#[test]
fn replicates_a_version_and_protects_its_content_and_regions() {
    let mut world = World::new();
    world.ask("PUT", "/_emulator/settings", r#"{"time_scale":1}"#);
    world.gallery();
    world.done("PUT", &app(""), APP);
    let url = app("/versions/1.0.0");
    let two = r#","targetRegions":[{"name":"eastus"},{"name":"westeurope"}]"#;
    let made = world.ask("PUT", &url, &version("https://a/x?sig=1", two));
    assert_eq!((made.status, made.body.text("properties.provisioningState")), (201, Some("Creating")));
    let expanded = format!("{url}&$expand=ReplicationStatus");
    let aggregated = |world: &World| {
        let got = world.ask("GET", &expanded, "");
        got.body.text("properties.replicationStatus.aggregatedState").map(str::to_owned)
    };
    assert_eq!(aggregated(&world).as_deref(), Some("InProgress"));
    world.wait(3_600.0);
    assert_eq!(aggregated(&world).as_deref(), Some("Completed"));
    world.ask("PUT", "/_emulator/settings", r#"{"time_scale":0}"#);
    // Another token is accepted; another blob, script or file name is not.
    world.done("PUT", &url, &version("https://a/x?sig=2", two));
    for other in [
        version("https://a/y", two),
        version("https://a/x", &format!(r#"{two},"settings":{{"packageFileName":"p"}}"#)),
        version("https://a/x", two).replace(r#""install":"i""#, r#""install":"j""#),
    ] {
        let got = world.ask("PUT", &url, &other);
        assert_eq!((got.status, got.code()), (409, "PropertyChangeNotAllowed"), "{}", got.raw);
    }
    let one = version("https://a/x", r#","targetRegions":[{"name":"eastus"}]"#);
    let got = world.ask("PUT", &url, &one);
    assert_eq!((got.status, got.code()), (409, "OperationNotAllowed"), "{}", got.raw);
    let allowed = one.replace(
        r#""properties":{"#,
        r#""properties":{"safetyProfile":{"allowDeletionOfReplicatedLocations":true},"#,
    );
    let got = world.done("PUT", &url, &allowed);
    assert_eq!(got.body.list("properties.publishingProfile.targetRegions").len(), 1, "{}", got.raw);
    let refused = world.ask("DELETE", &app(""), "");
    assert_eq!((refused.status, refused.code()), (409, "CannotDeleteResource"));
}

#[test]
fn machine_keeps_its_applications() {
    let mut world = World::new();
    world.gallery();
    let url = rg("virtualMachines/golden-vm?api-version=2026-03-01");
    let reference = format!("{}/applications/app/versions/latest", gal(""));
    let profile = format!(
        r#"{{"properties":{{"applicationProfile":{{"galleryApplications":[{{"packageReferenceId":"{reference}","order":1}}]}}}}}}"#
    );
    world.done("PATCH", &url, &profile);
    let got = world.ask("GET", &url, "");
    let installed = got.body.list("properties.applicationProfile.galleryApplications");
    assert_eq!(installed[0].text("packageReferenceId"), Some(reference.as_str()), "{}", got.raw);
}
