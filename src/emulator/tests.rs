//! Complete life cycles of resources, driven by requests and a clock that the test controls.

use super::*;

const S: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10";

mod applications;
mod builds;
mod clients;
mod compute;
mod deployments;
mod life;
mod lists;
mod network;
mod nuisances;
mod operations;
mod scale_sets;

/// An emulator and a clock.
struct World {
    emulator: Emulator,
    now: OffsetDateTime,
}

/// A response with its parsed body.
struct Got {
    status: u16,
    headers: Vec<(String, String)>,
    body: Json,
    raw: String,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
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

    /// Sends a request and waits for its operation to end.
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
fn gallery_life_cycle_matches_the_recording() {
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
    let got = world.ask(
        "GET",
        &gal("?api-version=2021-10-01").to_uppercase().replace("?API-VERSION", "?api-version"),
        "",
    );
    assert_eq!(got.body.text("properties.provisioningState"), Some("Succeeded"));
    let list = world.ask("GET", &rg("galleries?api-version=2021-10-01"), "");
    assert!(list.raw.contains("/resourceGroups/MY-RG/"), "{}", list.raw);
    let gone = world.done("DELETE", &gal("?api-version=2021-10-01"), "");
    assert_eq!((gone.status, gone.raw.as_str()), (202, ""));
    assert_eq!(world.ask("GET", gone.header("location"), "").status, 200);
    let got = world.ask("GET", &gal("?api-version=2021-10-01"), "");
    assert_eq!(
        (got.status, got.code(), got.header("x-ms-failure-cause")),
        (404, "ResourceNotFound", "gateway")
    );
    assert_eq!(world.ask("DELETE", &gal("?api-version=2021-10-01"), "").status, 204);
    assert_eq!(world.ask("GET", &rg("galleries?api-version=2021-10-01"), "").raw, r#"{"value":[]}"#);
}

#[test]
fn publishes_a_captured_machine_to_two_regions() {
    let mut world = World::new();
    let early = world.ask("POST", &rg("virtualMachines/golden-vm/generalize?api-version=2026-03-01"), "");
    assert_eq!((early.status, early.code()), (409, "OperationNotAllowed"));
    world.image();
    let view =
        world.ask("GET", &rg("virtualMachines/golden-vm?$expand=instanceView&api-version=2026-03-01"), "");
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
    let created = world.ask(
        "PUT",
        &url,
        &version_body(r#"{"name":"eastus"},{"name":"West Europe","regionalReplicaCount":3}"#, ""),
    );
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
fn rejects_immutable_changes_and_deletions_with_children() {
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
        &version_body(
            r#"{"name":"eastus"}"#,
            r#","safetyProfile":{"allowDeletionOfReplicatedLocations":true}"#,
        ),
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
    world.ask("PUT", "/_emulator/settings", r#"{"eventual_consistency":true}"#);
    world.ask("DELETE", &url, "");
    world.wait(0.5);
    assert_eq!(world.ask("GET", &url, "").status, 200);
    assert_eq!(world.ask("DELETE", &gal("/images/img?api-version=2026-03-03"), "").status, 409);
    world.wait(1.0);
    assert_eq!(world.ask("GET", &url, "").status, 404);
    assert_eq!(world.ask("DELETE", &gal("/images/img?api-version=2026-03-03"), "").status, 202);
}

#[test]
fn gateway_errors_come_first() {
    let world = World::new();
    for (method, url, status, code) in [
        ("GET", gal(""), 400, "MissingApiVersionParameter"),
        ("GET", gal("?api-version=soon"), 400, "InvalidApiVersionParameter"),
        ("GET", gal("?api-version=2031-01-01"), 400, "NoRegisteredProviderFound"),
        ("GET", gal("/images/i?api-version=2026-03-03"), 404, "ParentResourceNotFound"),
        (
            "GET",
            format!(
                "{S}/resourceGroups/nowhere/providers/Microsoft.Compute/galleries/g?api-version=2026-03-03"
            ),
            404,
            "ResourceGroupNotFound",
        ),
        ("GET", "/subscriptions/nonsense?api-version=2022-09-01".to_owned(), 400, "InvalidSubscriptionId"),
        ("PUT", gal("?api-version=2026-03-03"), 400, "InvalidRequestContent"),
    ] {
        let got = world.ask(method, &url, if method == "PUT" { "{" } else { "" });
        assert_eq!((got.status, got.code()), (status, code), "{url}: {}", got.raw);
    }
    let served = World { emulator: Emulator::in_memory().with_options(Options::served()), now: world.now };
    assert_eq!(served.ask("GET", &gal("?api-version=2026-03-03"), "").status, 401);
}

#[test]
fn same_requests_get_the_same_responses() {
    let run = || {
        let mut world = World::new();
        world.image();
        world.gallery();
        world.definition();
        world
            .ask(
                "PUT",
                &gal("/images/img/versions/1.0.0?api-version=2026-03-03"),
                &version_body(r#"{"name":"eastus"}"#, ""),
            )
            .raw
    };
    assert_eq!(run(), run());
}

#[test]
fn soft_deleted_versions_can_be_restored() {
    let mut world = World::new();
    world.image();
    world.done(
        "PUT",
        &gal("?api-version=2026-03-03"),
        r#"{"location":"eastus","properties":{"softDeletePolicy":{"isSoftDeleteEnabled":true,"retentionPeriodInDays":30,"gracePeriodInDays":7}}}"#,
    );
    world.definition();
    let url = gal("/images/img/versions/1.0.0?api-version=2026-03-03");
    let created = world.done("PUT", &url, &version_body(r#"{"name":"eastus"}"#, ""));
    let published = created.body.text("properties.publishingProfile.publishedDate").unwrap().to_owned();
    let bin = gal("/softDeletedArtifactTypes/Images/artifacts/img/versions?api-version=2026-03-03");
    assert!(world.ask("GET", &bin, "").body.list("value").is_empty());
    world.done("DELETE", &url, "");
    assert_eq!(world.ask("GET", &url, "").status, 404);
    let listed = world.ask("GET", &bin, "");
    let entry = &listed.body.list("value")[0];
    assert_eq!(entry.text("properties.softDeletedTime"), Some("2026-11-02T09:14:53.5177421+00:00"));
    assert_eq!(entry.text("properties.consumptionEndTime"), Some("2026-12-02T09:14:53.5177421+00:00"));
    assert_eq!(entry.text("properties.hardDeletionTargetTime"), Some("2026-12-09T09:14:53.5177421+00:00"));
    let stuck = world.ask("DELETE", &gal("/images/img?api-version=2026-03-03"), "");
    assert_eq!((stuck.status, stuck.code()), (409, "CannotDeleteResource"));
    let restored = world.done("PUT", &url, r#"{"location":"eastus","tags":{}}"#);
    assert_eq!(restored.status, 200);
    assert_eq!(restored.body.text("properties.provisioningState"), Some("Updating"));
    assert_eq!(restored.body.text("properties.publishingProfile.publishedDate"), Some(published.as_str()));
    assert!(world.ask("GET", &bin, "").body.list("value").is_empty());
    world.done("DELETE", &url, "");
    world.done("DELETE", &gal("/images/img/versions/1.0.0?api-version=2026-03-03&bypassSoftDelete=true"), "");
    assert!(world.ask("GET", &bin, "").body.list("value").is_empty());
    world.done("PUT", &url, &version_body(r#"{"name":"eastus"}"#, ""));
    world.done("DELETE", &url, "");
    world.wait(38.0 * 86_400.0);
    assert!(world.ask("GET", &bin, "").body.list("value").is_empty());
    assert_eq!(world.ask("PUT", &url, &version_body(r#"{"name":"eastus"}"#, "")).status, 201);
}

#[test]
fn first_write_creates_a_group_if_enabled() {
    let mut world = World::new();
    let group = format!("{S}/resourceGroups/fresh");
    let url = format!("{group}/providers/Microsoft.Compute/galleries/g?api-version=2026-03-03");
    assert_eq!(world.ask("GET", &url, "").code(), "ResourceGroupNotFound");
    assert_eq!(world.ask("PUT", &url, r#"{"location":"westeurope"}"#).status, 201);
    let machine =
        format!("{group}/providers/Microsoft.Compute/virtualMachines/golden-vm?api-version=2026-03-01");
    let found = world.ask("GET", &machine, "");
    assert_eq!((found.status, found.body.text("location")), (200, Some("westeurope")));
    world.done("DELETE", &machine, "");
    assert_eq!(world.ask("GET", &machine, "").status, 404);
    let elsewhere = machine.replace("fresh", "other");
    assert_eq!(world.ask("GET", &elsewhere, "").body.text("location"), Some("eastus"));
    let gone = world.ask("DELETE", &format!("{group}?api-version=2022-09-01"), "");
    assert_eq!(gone.status, 202);
    world.wait(5.0);
    assert_eq!(world.ask("GET", gone.header("location"), "").status, 200);
    assert_eq!(world.ask("GET", &url, "").code(), "ResourceGroupNotFound");
    assert_eq!(
        world.ask("PUT", &format!("{group}?api-version=2022-09-01"), r#"{"location":"eastus"}"#).status,
        201
    );
    assert_eq!(world.ask("GET", &url, "").code(), "ResourceNotFound");
    let served = World {
        emulator: Emulator::in_memory().with_options(Options { require_token: false, ..Options::served() }),
        now: world.now,
    };
    assert_eq!(served.ask("PUT", &url, r#"{"location":"westeurope"}"#).code(), "ResourceGroupNotFound");
}

#[test]
fn machines_require_existing_images() {
    let mut world = World::new();
    world.image();
    world.gallery();
    world.definition();
    let put = |world: &World, location: &str, reference: &str| {
        let body = format!(
            r#"{{"location":"{location}","properties":{{"storageProfile":{{"imageReference":{reference}}}}}}}"#
        );
        world.ask("PUT", &rg("virtualMachines/new?api-version=2024-07-01"), &body)
    };
    let definition = format!(r#"{{"id":"{}"}}"#, gal("/images/img"));
    let version = format!(r#"{{"id":"{}"}}"#, gal("/images/img/versions/1.9.0"));
    assert_eq!(put(&world, "eastus", &definition).status, 404);
    let url = |name: &str| gal(&format!("/images/img/versions/{name}?api-version=2026-03-03"));
    world.done("PUT", &url("1.9.0"), &version_body(r#"{"name":"eastus"}"#, ""));
    world.done("PUT", &url("1.10.0"), &version_body(r#"{"name":"eastus"}"#, ""));
    world.done("PUT", &url("2.0.0"), &version_body(r#"{"name":"eastus","excludeFromLatest":true}"#, ""));
    let elsewhere = put(&world, "westeurope", &version);
    assert_eq!((elsewhere.status, elsewhere.code()), (404, "GalleryImageNotFound"));
    let made = put(&world, "eastus", &definition);
    assert_eq!(made.status, 201, "{}", made.raw);
    assert_eq!(made.body.text("properties.storageProfile.imageReference.exactVersion"), Some("1.10.0"));
    let plan = r#"{"publisher":"resf","offer":"rockylinux-x86_64","sku":"9-lvm","version":"latest"}"#;
    world.done("DELETE", &rg("virtualMachines/new?api-version=2024-07-01"), "");
    let refused = put(&world, "eastus", plan);
    assert_eq!((refused.status, refused.code()), (400, "MarketplacePurchaseEligibilityFailed"));
    let terms = format!(
        "{S}/providers/Microsoft.MarketplaceOrdering/offerTypes/virtualmachine/publishers/resf/offers/rockylinux-x86_64/plans/9-lvm/agreements/current?api-version=2021-01-01"
    );
    let mut read = world.ask("GET", &terms, "").body;
    read.entry("properties").set("accepted", true);
    assert_eq!(world.ask("PUT", &terms, &read.compact()).status, 200);
    let made = put(&world, "eastus", plan);
    assert_eq!(
        made.body.text("properties.storageProfile.imageReference.exactVersion"),
        Some("9.10.20260510")
    );
}

#[test]
fn responses_depend_on_the_api_version() {
    let mut world = World::new();
    world.image();
    world.done(
        "PUT",
        &gal("?api-version=2026-03-03"),
        r#"{"location":"eastus","identity":{"type":"SystemAssigned"},"properties":{"softDeletePolicy":{"isSoftDeleteEnabled":true,"retentionPeriodInDays":9}}}"#,
    );
    world.definition();
    world.done(
        "PUT",
        &gal("/images/img/versions/1.0.0?api-version=2026-03-03"),
        &version_body(
            r#"{"name":"eastus","excludeFromLatest":true,"additionalReplicaSets":[{"storageAccountType":"Premium_LRS","regionalReplicaCount":1}]}"#,
            r#","safetyProfile":{"blockDeletionBeforeEndOfLife":false},"securityProfile":{"uefiSettings":{"signatureTemplateNames":["NoSignatureTemplate"]}}"#,
        ),
    );
    let shows = |url: &str, api: &str, word: &str| {
        let got = world.ask(
            "GET",
            &format!("{url}{}api-version={api}", if url.contains('?') { "&" } else { "?" }),
            "",
        );
        assert_eq!(got.status, 200, "{}", got.raw);
        got.raw.contains(word)
    };
    let (gallery, image, version) = (gal(""), gal("/images/img"), gal("/images/img/versions/1.0.0"));
    let uefi = format!("{version}?$expand=UefiSettings");
    for (url, word, since, before) in [
        (&gallery, "identity", "2024-03-03", "2023-07-03"),
        (&gallery, "isSoftDeleteEnabled", "2021-10-01", "2019-12-01"),
        (&gallery, "retentionPeriodInDays", "2026-03-03", "2025-12-03"),
        (&image, "architecture", "2021-10-01", "2021-07-01"),
        (&image, "hyperVGeneration", "2019-07-01", "2019-03-01"),
        (&version, "\"safetyProfile", "2022-01-03", "2021-10-01"),
        (&version, "allowDeletionOfReplicatedLocations", "2022-03-03", "2022-01-03"),
        (&version, "blockDeletionBeforeEndOfLife", "2024-03-03", "2023-07-03"),
        (&version, "additionalReplicaSets", "2024-03-03", "2023-07-03"),
        (&version, "validationsProfile", "2024-03-03", "2023-07-03"),
        (&uefi, "uefiSettings", "2022-08-03", "2022-03-03"),
    ] {
        assert!(shows(url, since, word), "{word} at {since}");
        assert!(!shows(url, before, word), "{word} at {before}");
    }
    assert!(!shows(&version, "2026-03-03", "uefiSettings"));
    let old = world.ask("GET", &format!("{gallery}?api-version=2019-03-01"), "");
    let keys: Vec<&str> = old.body.pairs().iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["type", "location", "id", "name", "properties"]);
    let update = world.ask("PUT", &format!("{gallery}?api-version=2018-06-01"), r#"{"location":"eastus"}"#);
    assert_eq!((update.status, update.header("location").is_empty()), (202, false));
}
