//! The requests for reads of siblings: concurrent, consecutive, before a write and after it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::arm::Method;
use crate::arm::versions::GALLERY;
use crate::azure::Context;
use crate::azure::context::scope;
use crate::azure::testing::{FakeArm, op};
use crate::framework::Op;

const LATENCY: Duration = Duration::from_millis(50);

fn definition(name: &str) -> String {
    format!("/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries/g/images/{name}")
}

fn child(number: usize) -> Json {
    json!({"name": format!("1.0.{number}"), "tags": {"n": number.to_string()}})
}

/// A definition with `count` versions, listed in pages of ten.
fn with_versions(arm: &Arc<FakeArm>, name: &str, count: usize) {
    let list = format!("{}/versions", definition(name));
    let pages = count.div_ceil(10).max(1);
    // later responses take precedence: the first page has no query of its own, so it comes first
    for page in 0..pages {
        let items: Vec<Json> = (page * 10..count.min(page * 10 + 10)).map(child).collect();
        let mut body = json!({"value": items});
        if page + 1 < pages {
            let link =
                format!("https://management.azure.com{list}?api-version={}&page={}.", GALLERY[0], page + 1);
            body["nextLink"] = json!(link);
        }
        let query = if page == 0 { String::new() } else { format!("?page={page}.") };
        arm.get(&format!("{list}{query}"), body);
    }
    for number in 0..count {
        arm.get(&format!("{list}/1.0.{number}"), child(number));
    }
}

fn world(versions: &[(&str, usize)]) -> (Arc<FakeArm>, Arc<Context>) {
    let arm = FakeArm::new();
    for (name, count) in versions {
        with_versions(&arm, name, *count);
    }
    arm.takes(LATENCY);
    let context = Arc::new(arm.context());
    (arm, context)
}

/// Reads like a resource: confirmed by a list, or by a GET. Returns whether a list confirmed it.
async fn read(context: &Context, name: &str, number: usize) -> bool {
    let scope = scope(&op(), "reading a version");
    let target = Target::at(format!("{}/versions/1.0.{number}", definition(name)));
    let guard = context.read(&scope, &target).await;
    if guard.listed.as_ref() == Some(&child(number)) {
        return true;
    }
    let mut got = context.client.get(&scope, &target).await.unwrap();
    got.as_object_mut().unwrap().remove("id");
    assert_eq!(got, child(number));
    false
}

/// Reads ten at a time, in this order. Returns how many reads a list answered.
async fn read_all(context: &Arc<Context>, reads: Vec<(String, usize)>) -> usize {
    let places = Arc::new(tokio::sync::Semaphore::new(10));
    let mut tasks = Vec::new();
    for (name, number) in reads {
        let (context, place) = (context.clone(), places.clone().acquire_owned().await.unwrap());
        tasks.push(tokio::spawn(async move {
            let listed = read(&context, &name, number).await;
            drop(place);
            listed
        }));
    }
    let mut listed = 0;
    for task in tasks {
        listed += usize::from(task.await.unwrap());
    }
    listed
}

fn lists(arm: &FakeArm) -> usize {
    arm.calls().iter().filter(|call| call.ends_with("/versions")).count()
}

#[tokio::test(start_paused = true)]
async fn a_single_read_is_one_get() {
    let (arm, context) = world(&[("a", 30)]);
    assert!(!read(&context, "a", 7).await);
    assert_eq!(arm.calls(), [format!("GET {}/versions/1.0.7", definition("a"))]);
    // much later, another read is a single one again
    sleep(PAUSE * 2).await;
    assert!(!read(&context, "a", 8).await);
    assert_eq!(lists(&arm), 0);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_reads_need_a_few_dozen_requests() {
    let names: Vec<String> = (0..20).map(|n| format!("d{n}")).collect();
    let (arm, context) = world(&names.iter().map(|name| (name.as_str(), 10)).collect::<Vec<_>>());
    let reads = (0..10).flat_map(|number| names.iter().map(move |name| (name.clone(), number))).collect();
    let listed = read_all(&context, reads).await;
    assert!(listed >= 180, "{listed} were listed");
    assert_eq!(lists(&arm), 20);
    assert!(arm.calls().len() <= 40, "{}", arm.calls().len());
}

#[tokio::test(start_paused = true)]
async fn reads_many_pages_for_many_children() {
    let (arm, context) = world(&[("a", 300)]);
    let listed = read_all(&context, (0..300).map(|number| ("a".to_owned(), number)).collect()).await;
    assert_eq!(lists(&arm), 30);
    assert!(listed > 280, "{listed} were listed");
}

#[tokio::test(start_paused = true)]
async fn reads_a_few_of_many_children_with_gets() {
    let (arm, context) = world(&[("a", 500)]);
    read_all(&context, (0..5).map(|n| ("a".to_owned(), n * 97 + 40)).collect()).await;
    assert!(arm.calls().len() <= 10, "{:?}", arm.calls());
}

#[tokio::test(start_paused = true)]
async fn a_second_read_of_a_child_is_a_get() {
    let (arm, context) = world(&[("a", 10)]);
    read(&context, "a", 0).await;
    assert!(read(&context, "a", 1).await);
    arm.forget();
    assert!(!read(&context, "a", 1).await);
    assert_eq!(arm.calls(), [format!("GET {}/versions/1.0.1", definition("a"))]);
}

#[tokio::test(start_paused = true)]
async fn lists_expire_with_age_and_after_a_pause() {
    let (arm, context) = world(&[("a", 10), ("b", 10)]);
    read(&context, "a", 0).await;
    assert!(read(&context, "a", 1).await);
    sleep(PAUSE * 2).await;
    assert!(!read(&context, "a", 2).await, "a pause drops the list");
    assert!(read(&context, "a", 3).await);
    assert_eq!(lists(&arm), 2);
    // one read or another is always in progress, so there is no pause, but the list becomes too old
    let scope = scope(&op(), "reading");
    let guard = context.read(&scope, &Target::at(format!("{}/versions/1.0.0", definition("b")))).await;
    sleep(FRESH / 2).await;
    assert!(read(&context, "a", 4).await);
    assert_eq!(lists(&arm), 2);
    sleep(FRESH).await;
    assert!(read(&context, "a", 5).await);
    assert_eq!(lists(&arm), 3, "an old list is read again");
    drop(guard);
}

#[tokio::test(start_paused = true)]
async fn long_lists_stay_valid_longer() {
    // ten pages each: five times the small number
    let names: Vec<String> = (0..10).map(|n| format!("d{n}")).collect();
    let (arm, context) = world(&names.iter().map(|name| (name.as_str(), 100)).collect::<Vec<_>>());
    let few = |from: usize, to: usize| -> Vec<(String, usize)> {
        (from..to).flat_map(|number| names.iter().map(move |name| (name.clone(), number))).collect()
    };
    read_all(&context, few(0, 90)).await;
    assert_eq!(lists(&arm), 100);
    // a read of another object is in progress all the time, so there is no pause
    let scope = scope(&op(), "reading");
    let _guard = context.read(&scope, &Target::at(definition("d0"))).await;
    sleep(FRESH * 2).await;
    assert_eq!(read_all(&context, few(90, 95)).await, 50);
    assert_eq!(lists(&arm), 100, "the old lists still answer");
    sleep(OLDEST).await;
    read_all(&context, few(95, 100)).await;
    assert!(lists(&arm) > 100, "lists expire in the end");
}

#[tokio::test(start_paused = true)]
async fn writes_invalidate_lists() {
    let (arm, context) = world(&[("a", 10)]);
    read(&context, "a", 0).await;
    assert!(read(&context, "a", 1).await);
    let guard = context.lock(&definition("other")).await;
    assert!(!read(&context, "a", 2).await);
    assert!(!read(&context, "a", 3).await);
    assert_eq!(lists(&arm), 1);
    // a read that waits for a list when a write begins is answered by a GET too
    drop(guard);
    read(&context, "a", 4).await;
    let waiting = tokio::spawn({
        let context = context.clone();
        async move { read(&context, "a", 5).await }
    });
    sleep(LATENCY / 2).await;
    let guard = context.lock(&definition("other")).await;
    assert!(!waiting.await.unwrap());
    drop(guard);
    assert!(!read(&context, "a", 6).await);
    assert!(read(&context, "a", 7).await);
}

#[tokio::test(start_paused = true)]
async fn reads_with_gets_without_permission_to_list() {
    let (arm, context) = world(&[("a", 10)]);
    let forbidden = json!({"error": {"code": "AuthorizationFailed", "message": "no"}});
    arm.on(Method::Get, &format!("{}/versions", definition("a")), 403, forbidden);
    let listed = read_all(&context, (0..10).map(|number| ("a".to_owned(), number)).collect()).await;
    assert_eq!(listed, 0);
    assert_eq!(lists(&arm), 1);
    sleep(PAUSE * 2).await;
    read_all(&context, (0..10).map(|number| ("a".to_owned(), number)).collect()).await;
    assert_eq!(lists(&arm), 1, "not listed again");
}

fn ten_of(name: &str) -> Vec<(String, usize)> {
    (0..10).map(|number| (name.to_owned(), number)).collect()
}

#[tokio::test(start_paused = true)]
async fn abandons_lists_without_a_response() {
    let budget = ("x-ms-ratelimit-remaining-resource", "Microsoft.Compute/ListGalleryImageVersion3Min;0");
    let throttled = |after: &'static str| {
        move |arm: &FakeArm, list: &str| {
            let body = json!({"error": {"code": "TooManyRequests", "message": "no"}});
            arm.on_with(Method::Get, list, 429, &[("retry-after", after), budget], body);
        }
    };
    type Trouble = Box<dyn Fn(&FakeArm, &str)>;
    let troubles: [(&str, Trouble); 4] = [
        ("silent", Box::new(|arm, list| _ = arm.is_silent_at(list))),
        ("throttled for long", Box::new(throttled("600"))),
        ("throttled", Box::new(throttled("200"))),
        ("failing", Box::new(|arm, list| _ = arm.on(Method::Get, list, 500, json!({})))),
    ];
    for (trouble, make) in troubles {
        let (arm, context) = world(&[("a", 10), ("b", 10)]);
        for name in ["a", "b"] {
            make(&arm, &format!("{}/versions", definition(name)));
        }
        let begun = Instant::now();
        assert_eq!(read_all(&context, ten_of("a")).await, 0, "{trouble}");
        assert!(begun.elapsed() <= PATIENCE + LATENCY * 3, "{trouble}: {:?}", begun.elapsed());
        // other lists of this kind are waited for at most once
        assert_eq!(read_all(&context, ten_of("b")).await, 0, "{trouble}");
        let begun = Instant::now();
        assert_eq!(read_all(&context, ten_of("a")).await, 0, "{trouble}");
        assert_eq!(read_all(&context, ten_of("b")).await, 0, "{trouble}");
        assert!(begun.elapsed() <= LATENCY * 8, "{trouble}: {:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn starts_one_list_per_refresh_if_lists_do_not_respond() {
    let (arm, context) = world(&[("a", 10), ("b", 10)]);
    arm.is_silent_at(&format!("{}/versions", definition("a")));
    read_all(&context, ten_of("a")).await;
    read_all(&context, ten_of("a")).await;
    read_all(&context, ten_of("b")).await;
    assert_eq!(lists(&arm), 1);
    sleep(PAUSE * 2).await;
    assert_eq!(read_all(&context, ten_of("b")).await, 9, "a new refresh tries again");
}

#[tokio::test(start_paused = true)]
async fn abandoned_lists_release_their_concurrency_slots() {
    let names: Vec<String> = (0..10).map(|n| format!("d{n}")).collect();
    let (arm, context) = world(&names.iter().map(|name| (name.as_str(), 10)).collect::<Vec<_>>());
    for name in &names {
        arm.is_silent_at(&format!("{}/versions", definition(name)));
    }
    let begun = Instant::now();
    read_all(
        &context,
        (0..10).flat_map(|number| names.iter().map(move |name| (name.clone(), number))).collect(),
    )
    .await;
    assert!(begun.elapsed() <= PATIENCE + LATENCY * 40, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn waiting_leaves_half_of_the_time_for_the_get() {
    let (arm, context) = world(&[("a", 10)]);
    arm.is_silent_at(&format!("{}/versions", definition("a")));
    let _first = read(&context, "a", 0).await;
    let hurried = Op::new(Duration::from_secs(4), CancellationToken::new());
    let target = Target::at(format!("{}/versions/1.0.1", definition("a")));
    let scope = scope(&hurried, "reading a version");
    let guard = context.read(&scope, &target).await;
    assert_eq!((guard.listed.as_ref(), scope.remaining()), (None, Duration::from_secs(2)));
    assert_eq!(context.client.get(&scope, &target).await.unwrap()["tags"], child(1)["tags"]);
}

#[tokio::test(start_paused = true)]
async fn does_not_wait_for_pages_that_arrive_too_late() {
    let (arm, context) = world(&[("a", 40)]);
    let latency = FRESH * 2 / 3;
    arm.takes(latency);
    let begun = Instant::now();
    // four reads are worth four pages, of which one arrives in time
    assert_eq!(read_all(&context, (0..5).map(|n| ("a".to_owned(), n * 8)).collect()).await, 1);
    assert!(begun.elapsed() <= FRESH + latency + LATENCY, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn compares_names_without_case_and_gets_missing_children() {
    let arm = FakeArm::new();
    let gallery = definition("x").rsplit_once("/images").map(|(gallery, _)| gallery.to_owned()).unwrap();
    let group = gallery.rsplit_once('/').map(|(group, _)| group.to_owned()).unwrap();
    arm.get(&group, json!({"value": [{"name": "GAL"}, {"name": "other"}]}));
    arm.get(&format!("{group}/other"), json!({"name": "other"}));
    let context = arm.context();
    let scope = scope(&op(), "reading");
    let listed = async |name: &str| {
        let guard = context.read(&scope, &Target::at(format!("{group}/{name}"))).await;
        guard.listed.as_ref().and_then(|body| body::text(body, "name"))
    };
    assert_eq!(listed("other").await, None, "the first is a GET");
    assert_eq!(listed("gal").await.as_deref(), Some("GAL"));
    assert_eq!(listed("gone").await, None);
    assert_eq!(arm.calls().len(), 1);
}
