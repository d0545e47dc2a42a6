//! The emulator from the outside: whole lives of resources, driven by requests and a clock in the test's hand.

use super::*;

const S: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10";

/// An emulator and a clock.
struct World {
    emulator: Emulator,
    now: OffsetDateTime,
}

/// An answer with its body read.
struct Got {
    status: u16,
    headers: Vec<(String, String)>,
    body: Json,
    raw: String,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value)
    }

    fn code(&self) -> &str {
        self.body.text("error.code").unwrap_or("")
    }
}

impl World {
    fn new() -> World {
        World {
            emulator: Emulator::in_memory(),
            now: time::macros::datetime!(2026-11-02 09:14:03.1177421 UTC),
        }
    }

    fn ask(&self, method: &str, url: &str, body: &str) -> Got {
        let request = Request {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: vec![("Host".into(), "management.azure.com".into())],
            body: body.as_bytes().to_vec(),
        };
        let response = self.emulator.handle(&request, self.now);
        let raw = String::from_utf8(response.body).unwrap();
        Got {
            status: response.status,
            headers: response.headers,
            body: Json::parse(raw.as_bytes()).unwrap_or_default(),
            raw,
        }
    }

    fn wait(&mut self, seconds: f64) {
        self.now += time::Duration::seconds_f64(seconds);
    }

    /// Sends and lets the operation end.
    fn done(&mut self, method: &str, url: &str, body: &str) -> Got {
        let got = self.ask(method, url, body);
        assert!(got.status < 300, "{method} {url}: {} {}", got.status, got.raw);
        self.wait(10.0);
        let poll = got.header("Azure-AsyncOperation").to_owned();
        if !poll.is_empty() {
            let status = self.ask("GET", &poll, "");
            assert_eq!(status.body.text("status"), Some("Succeeded"), "{}", status.raw);
        }
        got
    }

    fn gallery(&mut self) {
        self.done("PUT", &gal("?api-version=2026-03-03"), r#"{"location":"eastus"}"#);
    }

    fn definition(&mut self) {
        self.done(
            "PUT",
            &gal("/images/img?api-version=2026-03-03"),
            r#"{"location":"East US","properties":{"osType":"Linux","osState":"Generalized","hyperVGeneration":"V2","identifier":{"publisher":"p","offer":"o","sku":"s"}}}"#,
        );
    }

    fn capture(&mut self) {
        self.done("POST", &rg("virtualMachines/golden-vm/deallocate?api-version=2026-03-01"), "");
        let got = self.ask("POST", &rg("virtualMachines/golden-vm/generalize?api-version=2026-03-01"), "");
        assert_eq!((got.status, got.raw.as_str()), (200, ""));
    }

    fn image(&mut self) {
        self.capture();
        self.done(
            "PUT",
            &rg("images/captured?api-version=2026-03-01"),
            &format!(r#"{{"location":"eastus","properties":{{"hyperVGeneration":"V2","sourceVirtualMachine":{{"id":"{S}/resourceGroups/my-rg/providers/Microsoft.Compute/virtualMachines/golden-vm"}}}}}}"#),
        );
    }
}

fn rg(tail: &str) -> String {
    format!("{S}/resourceGroups/my-rg/providers/Microsoft.Compute/{tail}")
}

fn gal(tail: &str) -> String {
    rg(&format!("galleries/gal{tail}"))
}

fn version_body(regions: &str, extra: &str) -> String {
    format!(
        r#"{{"location":"eastus","tags":{{"a":"b"}},"properties":{{"publishingProfile":{{"replicaCount":2,"targetRegions":[{regions}]}},"storageProfile":{{"source":{{"id":"{S}/resourceGroups/my-rg/providers/Microsoft.Compute/images/captured"}}}}{extra}}}}}"#
    )
}

#[test]
fn a_gallery_lives_as_recorded() {
    let mut world = World::new();
    let got = world.ask("PUT", &gal("?api-version=2021-10-01"), r#"{"location": "eastus2"}"#);
    assert_eq!(got.status, 201);
    let expected = format!(
        "{{\r\n  \"name\": \"gal\",\r\n  \"id\": \"{}\",\r\n  \"type\": \"Microsoft.Compute/galleries\",\r\n  \"location\": \"eastus2\",\r\n  \"properties\": {{\r\n    \"identifier\": {{\r\n      \"uniqueName\": \"5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10-GAL\"\r\n    }},\r\n    \"provisioningState\": \"Creating\"\r\n  }}\r\n}}",
        gal("")
    );
    assert_eq!(got.raw, expected);
    assert!(got.header("location").is_empty());
    let poll = got.header("azure-asyncoperation").to_owned();
    assert!(poll.len() > 2_500 && poll.contains("/locations/eastus2/capsOperations/"), "{poll}");
    assert!(poll.contains(got.header("x-ms-request-id")));
    assert_eq!(
        got.header("x-ms-ratelimit-remaining-resource"),
        "Microsoft.Compute/CreateUpdateGallery3Min;49,Microsoft.Compute/CreateUpdateGallery30Min;299"
    );
    assert_eq!(world.ask("GET", &poll, "").body.text("status"), Some("InProgress"));
    world.wait(1.0);
    let status = world.ask("GET", &poll, "");
    assert_eq!(status.body.text("status"), Some("Succeeded"));
    assert_eq!(world.ask("GET", &poll.replace("2021-10-01", "2026-03-03"), "").status, 403);
    let got = world.ask("GET", &gal("?api-version=2021-10-01").to_uppercase().replace("?API-VERSION", "?api-version"), "");
    assert_eq!(got.body.text("properties.provisioningState"), Some("Succeeded"));
    let list = world.ask("GET", &rg("galleries?api-version=2021-10-01"), "");
    assert!(list.raw.contains("/resourceGroups/MY-RG/"), "{}", list.raw);
    let gone = world.done("DELETE", &gal("?api-version=2021-10-01"), "");
    assert_eq!((gone.status, gone.raw.as_str()), (202, ""));
    assert_eq!(world.ask("GET", gone.header("location"), "").status, 200);
    let got = world.ask("GET", &gal("?api-version=2021-10-01"), "");
    assert_eq!((got.status, got.code(), got.header("x-ms-failure-cause")), (404, "ResourceNotFound", "gateway"));
    assert_eq!(world.ask("DELETE", &gal("?api-version=2021-10-01"), "").status, 204);
    assert_eq!(world.ask("GET", &rg("galleries?api-version=2021-10-01"), "").raw, r#"{"value":[]}"#);
}

#[test]
fn a_golden_image_from_the_machine_to_two_regions() {
    let mut world = World::new();
    let early = world.ask(
        "POST",
        &rg("virtualMachines/golden-vm/generalize?api-version=2026-03-01"),
        "",
    );
    assert_eq!((early.status, early.code()), (409, "OperationNotAllowed"));
    world.image();
    let view = world.ask("GET", &rg("virtualMachines/golden-vm?$expand=instanceView&api-version=2026-03-01"), "");
    assert!(view.raw.contains("OSState/generalized") && view.raw.contains("PowerState/deallocated"));
    assert_eq!(
        world.ask("POST", &rg("virtualMachines/golden-vm/start?api-version=2026-03-01"), "").status,
        409
    );
    let image = world.ask("GET", &rg("images/captured?api-version=2026-03-01"), "");
    assert_eq!(image.body.int("properties.storageProfile.osDisk.diskSizeGB"), Some(30));
    world.gallery();
    world.definition();
    let definition = world.ask("GET", &gal("/images/img?api-version=2026-03-03"), "");
    assert!(definition.raw.contains("TrustedLaunchSupported"));
    let url = gal("/images/img/versions/1.0.0?api-version=2023-07-03");
    let created = world.ask("PUT", &url, &version_body(r#"{"name":"eastus"},{"name":"West Europe","regionalReplicaCount":3}"#, ""));
    assert_eq!(created.status, 201, "{}", created.raw);
    assert!(!created.raw.contains("osDiskImage"));
    let regions = created.body.list("properties.publishingProfile.targetRegions");
    assert_eq!(regions[0].text("name"), Some("East US"));
    assert_eq!(regions[0].int("regionalReplicaCount"), Some(2));
    assert_eq!(regions[1].int("regionalReplicaCount"), Some(3));
    world.wait(1.0);
    let during = world.ask("GET", &format!("{url}&$expand=ReplicationStatus"), "");
    assert_eq!(during.body.text("properties.replicationStatus.aggregatedState"), Some("InProgress"));
    assert_eq!(during.body.text("properties.provisioningState"), Some("Creating"));
    world.wait(3.0);
    let after = world.ask("GET", &format!("{url}&$expand=ReplicationStatus"), "");
    assert_eq!(after.body.text("properties.replicationStatus.aggregatedState"), Some("Completed"));
    assert_eq!(after.body.int("properties.storageProfile.osDiskImage.sizeInGB"), Some(30));
    assert_eq!(after.body.text("properties.provisioningState"), Some("Succeeded"));
}

#[test]
fn what_cannot_change_and_what_must_go_first() {
    let mut world = World::new();
    world.image();
    world.gallery();
    world.definition();
    let url = gal("/images/img/versions/1.0.0?api-version=2026-03-03");
    let both = r#"{"name":"eastus"},{"name":"westeurope"}"#;
    world.done("PUT", &url, &version_body(both, ""));
    let check = |got: Got, status: u16, code: &str, target: &str| {
        assert_eq!((got.status, got.code()), (status, code), "{}", got.raw);
        assert_eq!(got.body.text("error.target").unwrap_or(""), target);
    };
    check(
        world.ask("PUT", &url, &version_body(r#"{"name":"eastus"}"#, "")),
        409,
        "OperationNotAllowed",
        "galleryImageVersion.properties.safetyProfile.allowDeletionOfReplicatedLocations",
    );
    check(
        world.ask("PUT", &url, &version_body(r#"{"name":"westus2"}"#, "")),
        400,
        "InvalidParameter",
        "galleryImageVersion.properties.publishingProfile.targetRegions",
    );
    check(
        world.ask("PUT", &url, &version_body(both, "").replace("images/captured", "images/other")),
        409,
        "PropertyChangeNotAllowed",
        "galleryImageVersion.properties.storageProfile.source.id",
    );
    let fewer = world.done(
        "PUT",
        &url,
        &version_body(r#"{"name":"eastus"}"#, r#","safetyProfile":{"allowDeletionOfReplicatedLocations":true}"#),
    );
    assert_eq!(fewer.status, 200);
    check(
        world.ask(
            "PUT",
            &gal("/images/img?api-version=2026-03-03"),
            r#"{"location":"eastus","properties":{"osType":"Windows","osState":"Generalized","identifier":{"publisher":"p","offer":"o","sku":"s"}}}"#,
        ),
        409,
        "PropertyChangeNotAllowed",
        "galleryImage.properties.osType",
    );
    check(
        world.ask("PUT", &gal("/images/img/versions/1.0?api-version=2026-03-03"), &version_body(both, "")),
        400,
        "InvalidParameter",
        "galleryImageVersionName",
    );
    check(
        world.ask(
            "PUT",
            &gal("/images/img/versions/2.0.0?api-version=2026-03-03"),
            &version_body(both, "").replace("images/captured", "images/other"),
        ),
        404,
        "NotFound",
        &rg("images/other"),
    );
    let nested = world.ask("DELETE", &gal("/images/img?api-version=2026-03-03"), "");
    assert_eq!((nested.status, nested.code()), (409, "CannotDeleteResource"));
    assert!(nested.raw.contains("'Microsoft.Compute/galleries/gal/images/img/versions/1.0.0'"));
    world.ask("DELETE", &url, "");
    world.wait(0.5);
    assert_eq!(world.ask("GET", &url, "").status, 404);
    assert_eq!(world.ask("DELETE", &gal("/images/img?api-version=2026-03-03"), "").status, 409);
    world.wait(0.5);
    assert_eq!(world.ask("DELETE", &gal("/images/img?api-version=2026-03-03"), "").status, 202);
}

#[test]
fn the_gateway_speaks_first() {
    let world = World::new();
    for (method, url, status, code) in [
        ("GET", gal(""), 400, "MissingApiVersionParameter"),
        ("GET", gal("?api-version=soon"), 400, "InvalidApiVersionParameter"),
        ("GET", gal("?api-version=2031-01-01"), 400, "NoRegisteredProviderFound"),
        ("GET", gal("/images/i?api-version=2026-03-03"), 404, "ParentResourceNotFound"),
        (
            "GET",
            format!("{S}/resourceGroups/nowhere/providers/Microsoft.Compute/galleries/g?api-version=2026-03-03"),
            404,
            "ResourceGroupNotFound",
        ),
        ("GET", "/subscriptions/nonsense?api-version=2022-09-01".to_owned(), 400, "InvalidSubscriptionId"),
        ("PUT", gal("?api-version=2026-03-03"), 400, "InvalidRequestContent"),
    ] {
        let got = world.ask(method, &url, if method == "PUT" { "{" } else { "" });
        assert_eq!((got.status, got.code()), (status, code), "{url}: {}", got.raw);
    }
    let served = World {
        emulator: Emulator::in_memory().with_options(Options::served()),
        now: world.now,
    };
    assert_eq!(served.ask("GET", &gal("?api-version=2026-03-03"), "").status, 401);
}

#[test]
fn the_same_requests_get_the_same_answers() {
    let run = || {
        let mut world = World::new();
        world.image();
        world.gallery();
        world.definition();
        world
            .ask("PUT", &gal("/images/img/versions/1.0.0?api-version=2026-03-03"), &version_body(r#"{"name":"eastus"}"#, ""))
            .raw
    };
    assert_eq!(run(), run());
}
