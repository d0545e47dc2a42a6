//! Optional difficulties for clients: faults, limits, delays, locks, a changing catalogue, long lists.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

#[test]
fn faults_have_their_documented_effects() {
    let mut world = World::new();
    world.image();
    world.gallery();
    world.definition();
    let version = |n: u32| gal(&format!("/images/img/versions/{n}.0.0?api-version=2026-03-03"));
    let both = version_body(r#"{"name":"eastus"},{"name":"westeurope"}"#, "");
    let script = |world: &World, text: &str| {
        let got = world.ask("PUT", "/_emulator/faults", text);
        assert_eq!(got.status, 200, "{}", got.raw);
    };
    script(&world, r#"{"method":"PUT","path":"/versions/","status":503,"headers":{"Retry-After":"7"}}"#);
    let refused = world.ask("PUT", &version(1), &both);
    assert_eq!((refused.status, refused.header("retry-after")), (503, "7"));
    assert_eq!(world.ask("GET", &version(1), "").status, 404);
    script(&world, r#"{"method":"PUT","path":"/versions/","fail_region":"West Europe"}"#);
    let failing = world.ask("PUT", &version(1), &both);
    assert_eq!(failing.status, 201);
    world.wait(5.0);
    let operation = world.ask("GET", failing.header("azure-asyncoperation"), "");
    assert_eq!(operation.body.text("status"), Some("Failed"));
    assert_eq!(operation.body.text("error.code"), Some("GalleryReplicationJobFailed"));
    let shown = world.ask("GET", &format!("{}&$expand=ReplicationStatus", version(1)), "");
    assert_eq!(shown.body.text("properties.provisioningState"), Some("Failed"));
    assert_eq!(shown.body.text("properties.replicationStatus.aggregatedState"), Some("Failed"));
    assert!(shown.raw.contains("\"Completed\"") && shown.raw.contains("\"Failed\""));
    script(&world, r#"{"method":"PUT","path":"/versions/","stuck_operation":true}"#);
    let stuck = world.ask("PUT", &version(2), &both);
    world.wait(1e6);
    let operation = world.ask("GET", stuck.header("azure-asyncoperation"), "");
    assert_eq!(operation.body.text("status"), Some("InProgress"));
    script(&world, r#"{"method":"DELETE","path":"/versions/","drop":"after"}"#);
    let request = Request { method: "DELETE".into(), url: version(1), ..Request::default() };
    assert_eq!(world.emulator.handle(&request, world.now).fault, Fault::Drop);
    world.wait(5.0);
    assert_eq!(world.ask("GET", &version(1), "").status, 404);
    script(&world, r#"[{"method":"GET","malformed":true},{"method":"GET","skip":1,"expired_token":true}]"#);
    assert!(world.ask("GET", &version(2), "").raw.starts_with("<html>"));
    assert_eq!(world.ask("GET", &version(2), "").status, 401);
    assert_eq!(world.ask("GET", &version(2), "").status, 200);
}

#[test]
fn faults_fail_delay_and_move_operations() {
    let mut world = World::new();
    world.image();
    world.gallery();
    world.definition();
    let version = |n: u32| gal(&format!("/images/img/versions/{n}.0.0?api-version=2026-03-03"));
    let body = version_body(r#"{"name":"eastus"}"#, "");
    let script = |world: &World, text: &str| {
        let got = world.ask("PUT", "/_emulator/faults", text);
        assert_eq!(got.status, 200, "{}", got.raw);
    };
    script(
        &world,
        r#"{"method":"PUT","fail_operation":{"code":"Preempted","message":"No.","status":"Canceled"}}"#,
    );
    let cancelled = world.ask("PUT", &version(1), &body);
    world.wait(5.0);
    let operation = world.ask("GET", cancelled.header("azure-asyncoperation"), "").body;
    assert_eq!(
        (operation.text("status"), operation.text("error.code")),
        (Some("Canceled"), Some("Preempted"))
    );

    script(
        &world,
        r#"[{"method":"PUT","slow_operation":100},{"method":"GET","path":"Operations/","move_operation":true}]"#,
    );
    let slow = world.ask("PUT", &version(2), &body);
    let first = slow.header("azure-asyncoperation");
    world.wait(50.0);
    let moving = world.ask("GET", first, "");
    assert_eq!(moving.body.text("status"), Some("InProgress"), "slow_operation takes effect");
    let second = moving.header("azure-asyncoperation");
    assert_ne!(first, second);
    assert_eq!(world.ask("GET", first, "").status, 404, "the old URL is no longer found");
    world.wait(60.0);
    assert_eq!(world.ask("GET", second, "").body.text("status"), Some("Succeeded"));

    script(&world, r#"{"method":"PUT","lose_resource":true}"#);
    let lost = world.ask("PUT", &version(3), &body);
    assert_eq!(world.ask("GET", &version(3), "").status, 200);
    world.wait(5.0);
    assert_eq!(
        world.ask("GET", lost.header("azure-asyncoperation"), "").body.text("status"),
        Some("Succeeded")
    );
    assert_eq!(world.ask("GET", &version(3), "").status, 404);

    for (kind, starts, is) in [
        ("\"html\"", "<html>", "text/html"),
        ("\"json\"", "{\"id\": \"x\"", "application/json; charset=utf-8"),
        ("\"empty\"", "", "application/json; charset=utf-8"),
        ("\"text\"", "{", "text/plain"),
    ] {
        script(&world, &format!(r#"{{"method":"GET","malformed":{kind}}}"#));
        let got = world.ask("GET", &version(2), "");
        assert!(got.status == 200 && got.raw.starts_with(starts), "{kind}: {}", got.raw);
        assert_eq!(got.header("content-type"), is);
        assert_eq!(got.raw.is_empty(), starts.is_empty());
    }
}

#[test]
fn deleted_resources_are_readable_for_a_moment() {
    let mut world = World::new();
    world.gallery();
    world.ask("PUT", "/_emulator/settings", r#"{"eventual_consistency":true,"time_scale":1}"#);
    world.wait(60.0);
    let url = gal("?api-version=2026-03-03");
    assert_eq!(world.ask("DELETE", &url, "").status, 202);
    world.wait(1.0);
    assert_eq!(world.ask("GET", &url, "").status, 200);
    world.wait(5.0);
    assert_eq!(world.ask("GET", &url, "").status, 404);
}

#[test]
fn setting_enables_throttling() {
    let world = World::new();
    let statuses = |world: &World| -> Vec<u16> {
        (0..70)
            .map(|n| {
                let url = rg(&format!("galleries/g{n}?api-version=2026-03-03"));
                world.ask("PUT", &url, r#"{"location":"eastus"}"#).status
            })
            .collect()
    };
    assert!(statuses(&world).iter().all(|status| *status == 201));
    let strict = World::new();
    strict.ask("PUT", "/_emulator/settings", r#"{"throttling":true}"#);
    let seen = statuses(&strict);
    assert_eq!(seen.iter().filter(|status| **status == 429).count(), 20, "{seen:?}");
    let refused = strict.ask("PUT", &rg("galleries/more?api-version=2026-03-03"), r#"{"location":"eastus"}"#);
    assert_eq!(refused.body.text("code"), Some("OperationNotAllowed"));
    assert!(refused.header("retry-after").parse::<u32>().is_ok());
}

#[test]
fn a_page_of_a_long_list_takes_as_long_as_one_of_a_short_list() {
    let mut world = World::new();
    world.image();
    world.gallery();
    world.definition();
    world.ask("PUT", "/_emulator/settings", r#"{"time_scale":0}"#);
    let body = version_body(r#"{"name":"eastus"}"#, "");
    let create = |world: &mut World, numbers: std::ops::Range<usize>| {
        for n in numbers {
            let url = gal(&format!("/images/img/versions/1.{}.{}?api-version=2026-03-03", n / 100, n % 100));
            assert_eq!(world.ask("PUT", &url, &body).status, 201);
        }
    };
    create(&mut world, 0..1_000);
    let (seen, pages, short) = pages_of_versions(&mut world);
    assert_eq!((seen, pages), (1_000, 20));
    create(&mut world, 1_000..10_000);
    let (seen, pages, long) = pages_of_versions(&mut world);
    assert_eq!((seen, pages), (10_000, 200));
    assert!(long < 5 * short, "{long:?} a page, and {short:?} in a list of a tenth of the length");
}

// The number of versions, the number of pages, and the time of the quickest page, which other processes disturb least.
fn pages_of_versions(world: &mut World) -> (usize, usize, std::time::Duration) {
    let mut url = gal("/images/img/versions?api-version=2026-03-03");
    let (mut seen, mut pages, mut quickest) = (0, 0, std::time::Duration::MAX);
    loop {
        let begun = std::time::Instant::now();
        let page = world.ask("GET", &url, "");
        quickest = quickest.min(begun.elapsed());
        seen += page.body.list("value").len();
        pages += 1;
        match page.body.text("nextLink") {
            Some(next) => url = next.to_owned(),
            None => return (seen, pages, quickest),
        }
    }
}

#[test]
fn supports_locks_and_role_assignments() {
    let mut world = World::new();
    world.gallery();
    let lock = gal("/providers/Microsoft.Authorization/locks/keep?api-version=2020-05-01");
    assert_eq!(world.ask("PUT", &lock, r#"{"properties":{"level":"CanNotDelete"}}"#).status, 201);
    let refused = world.ask("DELETE", &gal("?api-version=2026-03-03"), "");
    assert_eq!((refused.status, refused.code()), (409, "ScopeLocked"));
    assert_eq!(world.ask("PUT", &gal("?api-version=2026-03-03"), r#"{"location":"eastus"}"#).status, 200);
    assert_eq!(world.ask("DELETE", &lock, "").status, 200);
    let role = |name: &str| {
        gal(&format!("/providers/Microsoft.Authorization/roleAssignments/{name}?api-version=2022-04-01"))
    };
    let body = r#"{"properties":{"roleDefinitionId":"/x/acdd72a7-3385-48ef-bd42-f606fba81ae7","principalId":"0d9a0000-0000-0000-0000-0000000000aa"}}"#;
    let made = world.ask("PUT", &role("0d9a0000-0000-0000-0000-000000000001"), body);
    assert_eq!((made.status, made.body.text("properties.scope")), (201, Some(gal("").as_str())));
    let again = world.ask("PUT", &role("0d9a0000-0000-0000-0000-000000000002"), body);
    assert_eq!((again.status, again.code()), (409, "RoleAssignmentExists"));
    assert!(again.raw.contains("0d9a0000000000000000000000000001."));
}

#[test]
fn settings_enable_delays_lag_and_eventual_consistency() {
    let mut world = World::new();
    world.image();
    world.ask(
        "PUT",
        "/_emulator/settings",
        r#"{"eventual_consistency":true,"time_scale":1,"latency":[{"method":"GET","path":"/galleries/","milliseconds":250}]}"#,
    );
    let created = world.ask("PUT", &gal("?api-version=2026-03-03"), r#"{"location":"eastus"}"#);
    assert_eq!((created.status, created.header("retry-after")), (201, ""));
    let get = Request { method: "GET".into(), url: gal("?api-version=2026-03-03"), ..Request::default() };
    let early = world.emulator.handle(&get, world.now);
    assert_eq!((early.status, early.fault), (404, Fault::Delay(Duration::from_millis(250))));
    world.wait(5.0);
    assert_eq!(world.emulator.handle(&get, world.now).status, 200);
    world.ask("PUT", "/_emulator/settings", r#"{"eventual_consistency":null,"latency":null}"#);
    world.definition();
    let url = gal("/images/img/versions/1.0.0?api-version=2026-03-03");
    world.wait(100.0);
    let version = world.ask("PUT", &url, &version_body(r#"{"name":"eastus"},{"name":"westeurope"}"#, ""));
    assert_eq!((version.status, version.header("retry-after")), (201, "60"));
    world.wait(60.0);
    assert_eq!(world.ask("GET", &url, "").body.text("properties.provisioningState"), Some("Creating"));
    world.ask("POST", "/_emulator/clock/advance", r#"{"seconds":2400}"#);
    assert_eq!(world.ask("GET", &url, "").body.text("properties.provisioningState"), Some("Succeeded"));
    let wrong = world.ask("PUT", "/_emulator/settings", r#"{"sped":2}"#);
    assert_eq!(wrong.status, 400);
    assert!(wrong.raw.contains("'sped' is not a setting"));
}

#[test]
fn control_calls_change_the_marketplace() {
    let world = World::new();
    let versions = |query: &str| {
        let url = format!(
            "{S}/providers/Microsoft.Compute/locations/eastus/publishers/redhat/artifacttypes/vmimage/offers/rhel/skus/9-lvm-gen2/versions?api-version=2024-07-01{query}"
        );
        world.ask("GET", &url, "").body
    };
    let names = |list: &Json| -> Vec<String> {
        match list {
            Json::Array(items) => items.iter().map(|item| item.text("name").unwrap().to_owned()).collect(),
            _ => panic!("a bare array"),
        }
    };
    let before = names(&versions(""));
    let mut sorted = before.clone();
    sorted.sort();
    assert_eq!(before, sorted, "the service sorts as text");
    assert!(
        before.iter().position(|name| name.starts_with("9.10."))
            < before.iter().position(|name| name.starts_with("9.2."))
    );
    let change = |what: &str, extra: &str| {
        let body = format!(r#"{{"publisher":"RedHat","offer":"RHEL","sku":"9-lvm-gen2"{extra}}}"#);
        let got = world.ask("POST", &format!("/_emulator/marketplace/{what}"), &body);
        assert_eq!(got.status, 200, "{}", got.raw);
    };
    change("publish", r#","version":"9.99.2027010100""#);
    change("withdraw", &format!(r#","version":"{}""#, before[0]));
    change("deprecate", &format!(r#","version":"{}","time":"2027-01-01T00:00:00+00:00""#, before[1]));
    let after = versions("&$expand=properties/imageDeprecationStatus");
    let now = names(&after);
    assert!(now.contains(&"9.99.2027010100".to_owned()) && !now.contains(&before[0]));
    let Json::Array(items) = &after else { panic!() };
    assert_eq!(
        items[0].text("properties.imageDeprecationStatus.imageState"),
        Some("ScheduledForDeprecation")
    );
    assert_eq!(names(&versions("&$top=1&$orderby=name%20desc")), ["9.99.2027010100"]);
    assert!(names(&versions("&$top=0")).is_empty());
}

// Absurd numbers must get a response and must not break later requests.
#[test]
fn survives_absurd_numbers() {
    let mut world = World::new();
    for (method, path, body) in [
        ("PUT", "settings", r#"{"time_scale":1e-300,"latency":[{"milliseconds":18446744073709551615}]}"#),
        ("POST", "clock/advance", r#"{"seconds":1e308}"#),
        ("POST", "clock/advance", r#"{"seconds":1e308}"#),
        (
            "PUT",
            "faults",
            r#"[{"delay_ms":9223372036854775807,"count":2},{"delay_ms":9223372036854775807,"seen":9223372036854775807}]"#,
        ),
    ] {
        assert_eq!(world.ask(method, &format!("/_emulator/{path}"), body).status, 200, "{body}");
    }
    for _ in 0..3 {
        let made = world.ask("PUT", &gal("?api-version=2026-03-03"), r#"{"location":"eastus"}"#);
        assert!(made.status < 300 || made.status == 409, "{}", made.raw);
        world.wait(1.0);
    }
    // a token whose lifetime exceeds the range of ticks
    let claims = URL_SAFE_NO_PAD.encode(r#"{"exp":9223372036854775807}"#);
    let request = Request {
        method: "GET".into(),
        url: "/subscriptions?api-version=2022-12-01".into(),
        headers: vec![("Authorization".into(), format!("Bearer a.{claims}.b"))],
        body: Vec::new(),
    };
    assert_eq!(world.emulator.handle(&request, world.now).status, 200);
}
