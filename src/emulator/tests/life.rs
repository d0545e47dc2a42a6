//! Resource Graph queries, roles, prices and the activity log, across all resources of the emulator.

use super::*;

const GRAPH: &str = "/providers/Microsoft.ResourceGraph/resources?api-version=2021-03-01";
const OTHER: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f99";
const READER: &str = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
const CONTRIBUTOR: &str = "b24988ac-6180-42a0-ab88-20f7382dd24c";
const IMAGE_READER: &str = "cf7c76d2-98a3-4358-a134-615aa78bf44d";

fn query(world: &World, text: &str, options: &str) -> Got {
    let text = Json::from(text).compact();
    world.ask("POST", GRAPH, &format!(r#"{{"query":{text},"options":{options}}}"#))
}

fn names(got: &Got) -> Vec<&str> {
    got.body.list("data").iter().filter_map(|row| row.text("name")).collect()
}

fn machine(subscription: &str, name: &str, image: &str) -> (String, String) {
    let url = format!(
        "{subscription}/resourceGroups/my-rg/providers/Microsoft.Compute/virtualMachines/{name}?api-version=2026-03-01"
    );
    let body = format!(
        r#"{{"location":"eastus","properties":{{"storageProfile":{{"imageReference":{{"id":"{image}"}},"osDisk":{{"createOption":"FromImage"}}}}}}}}"#
    );
    (url, body)
}

/// A gallery image in two versions, and machines made from it in two subscriptions.
fn fleet() -> World {
    let mut world = World::new();
    world.image();
    world.gallery();
    world.definition();
    for number in ["1.0.0", "1.1.0"] {
        let url = gal(&format!("/images/img/versions/{number}?api-version=2026-03-03"));
        world.done("PUT", &url, &version_body(r#"{"name":"eastus"}"#, ""));
    }
    for (subscription, name, image) in [
        (S, "a", gal("/images/img/versions/1.0.0")),
        (OTHER, "b", gal("/images/img")),
        (OTHER, "c", rg("images/captured")),
    ] {
        let (url, body) = machine(subscription, name, &image);
        world.done("PUT", &url, &body);
    }
    world
}

/// The query of the usage of one definition.
fn usage() -> String {
    let definition = gal("/images/img").to_lowercase();
    format!(
        "resources\n| where type in~ ('microsoft.compute/virtualmachines','microsoft.compute/virtualmachinescalesets')\n| extend r = iff(type =~ 'microsoft.compute/virtualmachines', properties.storageProfile.imageReference, properties.virtualMachineProfile.storageProfile.imageReference)\n| extend ref = tolower(coalesce(tostring(r.id), tostring(r.sharedGalleryImageId), tostring(r.communityGalleryImageId))), exact = tostring(r.exactVersion)\n| where ref startswith '{definition}/' or ref == '{definition}'\n| project id, name, type, location, subscriptionId, ref, exact, since = tostring(properties.timeCreated)\n| order by id asc"
    )
}

#[test]
fn query_finds_machines_of_a_definition_across_subscriptions() {
    let world = fleet();
    let got = query(&world, &usage(), r#"{"resultFormat":"objectArray","$top":1000}"#);
    assert_eq!(got.status, 200, "{}", got.raw);
    assert_eq!(names(&got), ["a", "b"]);
    assert_eq!(got.body.list("data")[1].text("exact"), Some("1.1.0"));
    assert_eq!(got.body.text("resultTruncated"), Some("false"));
    assert_eq!(got.header("x-ms-user-quota-remaining"), "14");
    let one = format!(
        r#"{{"subscriptions":["{}"],"query":{},"options":{{}}}}"#,
        &OTHER[15..],
        Json::from(usage()).compact()
    );
    assert_eq!(names(&world.ask("POST", GRAPH, &one)), ["b"]);
    // The OS disks refer to the version that they were created from.
    let disks = query(
        &world,
        "resources | where type =~ 'microsoft.compute/disks' | where tostring(properties.creationData.imageReference.id) endswith '/versions/1.1.0' | project managedBy",
        "{}",
    );
    assert_eq!(disks.body.int("totalRecords"), Some(1), "{}", disks.raw);
}

#[test]
fn query_pages_by_offset_and_reports_truncation() {
    let world = fleet();
    let text = "resources | where type =~ 'microsoft.compute/virtualmachines' | project id, name | order by name asc";
    let first = query(&world, text, r#"{"$top":2}"#);
    assert_eq!((names(&first), first.body.int("totalRecords")), (vec!["a", "b"], Some(7)));
    let token = first.body.text("$skipToken").unwrap();
    // A machine is deleted between two pages, which shifts the rows under the offset.
    world.ask("DELETE", &rg("virtualMachines/a?api-version=2026-03-01"), "");
    world.ask("POST", "/_emulator/clock/advance", r#"{"seconds":60}"#);
    let second = query(&world, text, &format!(r#"{{"$skipToken":"{token}"}}"#));
    assert_eq!((names(&second)[0], second.body.int("totalRecords")), ("golden-vm", Some(6)));
    let cut = query(&world, "resources | project name", r#"{"$top":1}"#);
    assert_eq!((cut.body.text("resultTruncated"), cut.body.get("$skipToken")), (Some("true"), None));
    let table =
        query(&world, "resources | where name == 'b' | project name, n = 1", r#"{"resultFormat":"table"}"#);
    assert_eq!(table.body.at("data.rows").unwrap().compact(), r#"[["b",1]]"#);
    for (text, code) in [
        ("resources | where nothing == 1", "UnresolvedColumn"),
        ("resources | join (x) on id", "NotEmulated"),
        ("elsewhere | count", "DisallowedLogicalTableName"),
        ("resources | where name ==", "ParserFailure"),
    ] {
        let got = query(&world, text, "{}");
        assert_eq!((got.status, got.code()), (400, "BadRequest"));
        assert_eq!(got.body.list("error.details")[1].text("code"), Some(code), "{text}");
    }
}

#[test]
fn settings_enable_query_throttling_and_lag() {
    let mut world = fleet();
    world.wait(60.0);
    world.ask(
        "PUT",
        "/_emulator/settings",
        r#"{"throttling":true,"eventual_consistency":true,"time_scale":1}"#,
    );
    for left in (0..15).rev() {
        let got = query(&world, "resources | count", "{}");
        assert_eq!((got.status, got.header("x-ms-user-quota-remaining")), (200, left.to_string().as_str()));
    }
    let refused = query(&world, "resources | count", "{}");
    assert_eq!((refused.status, refused.code()), (429, "RateLimiting"));
    world.wait(5.0);
    let (url, body) = machine(S, "new", &gal("/images/img"));
    assert_eq!(world.ask("PUT", &url, &body).status, 201);
    assert_eq!(names(&query(&world, &usage(), "{}")), ["a", "b"]);
    world.wait(31.0);
    assert_eq!(names(&query(&world, &usage(), "{}")), ["a", "new", "b"]);
}

fn assign(world: &World, scope: &str, role: &str, principal: &str, number: u32) -> Got {
    let url = format!(
        "{scope}/providers/Microsoft.Authorization/roleAssignments/0d9a0000-0000-0000-0000-{number:012}?api-version=2022-04-01"
    );
    let body = format!(
        r#"{{"properties":{{"roleDefinitionId":"{S}/providers/Microsoft.Authorization/roleDefinitions/{role}","principalId":"{principal}","principalType":"ServicePrincipal"}}}}"#
    );
    world.ask("PUT", &url, &body)
}

/// A token for this object ID.
fn token(object: &str) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"oid":"{object}"}}"#));
    format!("Bearer x.{claims}.x")
}

fn ask_as(world: &World, object: &str, method: &str, url: &str, body: &str) -> Got {
    let request = Request {
        method: method.to_owned(),
        url: url.to_owned(),
        headers: vec![("Authorization".into(), token(object))],
        body: body.as_bytes().to_vec(),
    };
    let response = world.emulator.handle(&request, world.now);
    let raw = String::from_utf8(response.body).unwrap();
    let body = Json::parse(raw.as_bytes()).unwrap_or_default();
    Got { status: response.status, headers: response.headers, body, raw }
}

#[test]
fn setting_enables_role_enforcement() {
    const TEAM: &str = "0d9a0000-0000-0000-0000-00000000aaaa";
    let world = fleet();
    world.ask("PUT", "/_emulator/settings", r#"{"enforce_roles":true}"#);
    let version = gal("/images/img/versions/1.0.0?api-version=2026-03-03");
    let refused = ask_as(&world, TEAM, "GET", &version, "");
    assert_eq!((refused.status, refused.code()), (403, "AuthorizationFailed"));
    assert!(refused.raw.contains("'Microsoft.Compute/galleries/images/versions/read'"), "{}", refused.raw);
    assert_eq!(assign(&world, &gal("/images/img"), IMAGE_READER, TEAM, 1).status, 201);
    assert_eq!(ask_as(&world, TEAM, "GET", &version, "").status, 200);
    // The role covers neither the gallery nor writes.
    assert_eq!(ask_as(&world, TEAM, "GET", &gal("?api-version=2026-03-03"), "").status, 403);
    assert_eq!(ask_as(&world, TEAM, "DELETE", &version, "").status, 403);
    // In its own subscription the team may do everything, but only with images that it may read.
    assert_eq!(assign(&world, OTHER, CONTRIBUTOR, TEAM, 2).status, 201);
    let (url, body) = machine(OTHER, "own", &gal("/images/img"));
    assert_eq!(ask_as(&world, TEAM, "PUT", &url, &body).status, 201);
    let (url, body) = machine(OTHER, "captured", &rg("images/captured"));
    let linked = ask_as(&world, TEAM, "PUT", &url, &body);
    assert_eq!((linked.status, linked.code()), (403, "LinkedAuthorizationFailed"));
    let share = format!(
        "{OTHER}/resourceGroups/rg/providers/Microsoft.Authorization/roleAssignments/0d9a0000-0000-0000-0000-000000000009?api-version=2022-04-01"
    );
    assert_eq!(ask_as(&world, TEAM, "PUT", &share, "{}").status, 403);
    // Queries and the subscription list show only readable resources, and no hint of others.
    let seen =
        ask_as(&world, TEAM, "POST", GRAPH, &format!(r#"{{"query":{}}}"#, Json::from(usage()).compact()));
    assert_eq!(names(&seen), ["b", "own"]);
    let readable = ask_as(
        &world,
        TEAM,
        "POST",
        GRAPH,
        r#"{"query":"resourcecontainers | where type =~ 'microsoft.resources/subscriptions' | project subscriptionId"}"#,
    );
    assert_eq!(readable.body.int("totalRecords"), Some(1), "{}", readable.raw);
    assert_eq!(
        ask_as(&world, TEAM, "GET", "/subscriptions?api-version=2022-12-01", "").body.list("value").len(),
        2
    );
    // The emulator's owner is not restricted.
    assert_eq!(world.ask("GET", &gal("?api-version=2026-03-03"), "").status, 200);
}

#[test]
fn a_role_on_an_application_covers_it_and_its_versions() {
    const TEAM: &str = "0d9a0000-0000-0000-0000-00000000aaaa";
    let mut world = World::new();
    world.gallery();
    let url = |tail: &str| gal(&format!("/applications{tail}?api-version=2026-03-03"));
    let application = r#"{"location":"eastus","properties":{"supportedOSType":"Linux"}}"#;
    let version = r#"{"location":"eastus","properties":{"publishingProfile":{"source":{"mediaLink":"https://a/x"},"manageActions":{"install":"i","remove":"r"}}}}"#;
    for name in ["app", "other"] {
        world.done("PUT", &url(&format!("/{name}")), application);
    }
    world.done("PUT", &url("/app/versions/1.0.0"), version);
    world.ask("PUT", "/_emulator/settings", r#"{"enforce_roles":true}"#);
    assert_eq!(assign(&world, &gal("/applications/app"), READER, TEAM, 1).status, 201);
    for (method, tail, status) in [
        ("GET", "/app", 200),
        ("GET", "/app/versions/1.0.0", 200),
        ("DELETE", "/app/versions/1.0.0", 403),
        ("GET", "/other", 403),
        ("GET", "", 403),
    ] {
        assert_eq!(ask_as(&world, TEAM, method, &url(tail), "").status, status, "{method} {tail}");
    }
}

#[test]
fn role_assignments_are_unique_and_deleted_with_their_scope() {
    const PRINCIPAL: &str = "0d9a0000-0000-0000-0000-00000000bbbb";
    let mut world = World::new();
    world.gallery();
    let gallery = gal("");
    let made = assign(&world, &gallery, READER, PRINCIPAL, 1);
    assert_eq!((made.status, made.body.at("properties.createdBy")), (201, Some(&Json::Null)));
    let twice = assign(&world, &gallery, READER, PRINCIPAL, 2);
    assert_eq!((twice.status, twice.code()), (409, "RoleAssignmentExists"));
    assert!(twice.raw.contains("is 0d9a0000000000000000000000000001."), "{}", twice.raw);
    let other = assign(&world, &gallery, CONTRIBUTOR, PRINCIPAL, 1);
    assert_eq!((other.status, other.code()), (400, "RoleAssignmentUpdateNotPermitted"));
    assert_eq!(
        assign(&world, &gallery, "00000000-0000-0000-0000-000000000001", PRINCIPAL, 3).code(),
        "RoleDefinitionDoesNotExist"
    );
    assert_eq!(assign(&world, &gal("x"), READER, PRINCIPAL, 3).code(), "ResourceNotFound");
    assert_eq!(assign(&world, S, READER, PRINCIPAL, 4).status, 201);
    let list = |scope: &str, filter: &str| {
        let url = format!(
            "{scope}/providers/Microsoft.Authorization/roleAssignments?$filter={filter}&api-version=2022-04-01"
        );
        world.ask("GET", &url, "").body.list("value").len()
    };
    let principal = format!("principalId eq '{PRINCIPAL}'");
    assert_eq!((list(&gallery, "atScope()"), list(S, "atScope()"), list(S, &principal)), (2, 1, 2));
    let unknown = world.ask(
        "GET",
        &format!(
            "{S}/providers/Microsoft.Authorization/roleAssignments?$filter=x eq 'y'&api-version=2022-04-01"
        ),
        "",
    );
    assert_eq!(unknown.status, 400);
    let one = format!(
        "{gallery}/providers/Microsoft.Authorization/roleAssignments/0d9a0000-0000-0000-0000-000000000001?api-version=2022-04-01"
    );
    assert_eq!(
        world.ask("GET", &one, "").body.text("properties.createdBy"),
        Some(providers::identity::OBJECT)
    );
    world.done("DELETE", &gal("?api-version=2026-03-03"), "");
    world.gallery();
    assert_eq!((world.ask("GET", &one, "").status, world.ask("DELETE", &one, "").status), (404, 204));
}

#[test]
fn new_principals_are_found_after_a_delay() {
    let mut world = World::new();
    world.gallery();
    world.ask("PUT", "/_emulator/settings", r#"{"eventual_consistency":true,"time_scale":1}"#);
    let url = gal(
        "/providers/Microsoft.Authorization/roleAssignments/0d9a0000-0000-0000-0000-000000000001?api-version=2022-04-01",
    );
    let body = format!(
        r#"{{"properties":{{"roleDefinitionId":"/x/{READER}","principalId":"0d9a0000-0000-0000-0000-00000000cccc"}}}}"#
    );
    for (seconds, status) in [(0.0, 400), (36.0, 400), (1.0, 201)] {
        world.wait(seconds);
        let got = world.ask("PUT", &url, &body);
        assert_eq!(got.status, status, "{}", got.raw);
        assert!(status == 201 || got.code() == "PrincipalNotFound");
    }
    let known = body.replace("cccc\"", "dddd\",\"principalType\":\"ServicePrincipal\"");
    assert_eq!(world.ask("PUT", &url.replace("0001?", "0002?"), &known).status, 201);
}

#[test]
fn activity_log_shows_how_long_machines_took() {
    let mut world = fleet();
    world.ask("PUT", "/_emulator/faults", r#"{"method":"PUT","path":"/virtualMachines/","fail_operation":{"code":"OSProvisioningTimedOut","message":"too long"}}"#);
    let (url, body) = machine(S, "late", &gal("/images/img"));
    assert_eq!(world.ask("PUT", &url, &body).status, 201);
    world.wait(10.0);
    let log = |filter: &str| {
        world.ask("GET", &format!("{S}/providers/Microsoft.Insights/eventtypes/management/values?api-version=2015-04-01&$filter={filter}"), "")
    };
    let got = log("eventTimestamp ge 2026-11-01T00:00:00Z and resourceProvider eq 'Microsoft.Compute'");
    let writes: Vec<(&str, &str)> = got
        .body
        .list("value")
        .iter()
        .filter(|event| event.text("operationName.value") == Some("Microsoft.Compute/virtualMachines/write"))
        .map(|event| {
            (
                event.text("resourceId").unwrap().rsplit('/').next().unwrap(),
                event.text("status.value").unwrap(),
            )
        })
        .collect();
    let expected = [
        ("late", "Failed"),
        ("late", "Accepted"),
        ("late", "Started"),
        ("a", "Accepted"),
        ("a", "Succeeded"),
        ("a", "Started"),
    ];
    let sorted = |mut rows: Vec<(&'static str, &'static str)>| {
        rows.sort();
        rows
    };
    let mut found: Vec<(String, String)> =
        writes.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    found.sort();
    let wanted: Vec<(String, String)> =
        sorted(expected.to_vec()).into_iter().map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
    assert_eq!(found, wanted);
    assert!(got.raw.contains("OSProvisioningTimedOut"));
    let old = log("eventTimestamp ge 2026-01-01T00:00:00Z");
    assert_eq!(
        (old.status, old.raw.as_str()),
        (400, r#"{"code":"BadRequest","message":"The start time cannot be more than 90 days in the past."}"#)
    );
}

#[test]
fn prices_require_no_token() {
    let world = World::new();
    world.ask("PUT", "/_emulator/settings", r#"{"require_token":true}"#);
    let got = world.ask("GET", "/api/retail/prices?api-version=2023-01-01-preview&$filter=armRegionName eq 'eastus' and skuName eq 'Snapshots ZRS'", "");
    assert_eq!((got.status, got.body.text("BillingCurrency")), (200, Some("USD")));
    assert_eq!(world.ask("GET", "/subscriptions?api-version=2022-12-01", "").status, 401);
}
