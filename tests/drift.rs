//! A list of siblings and a GET return the same state, for every attribute that can drift.

#[path = "support/cases.rs"]
mod cases;
#[path = "support/core.rs"]
mod core;

use cases::Case;
use core::{Core, Held, Json, differences, json, patched};

/// The IDs of two siblings of the tested object.
fn sibling_ids(id: &str) -> Vec<String> {
    let (parent, name) = id.rsplit_once('/').expect("an id has slashes");
    let twin = |n: usize| match name.split_once('.') {
        Some(_) => format!("{parent}/9.9.{n}"),
        None => format!("{parent}/{name}_twin{n}"),
    };
    vec![twin(0), twin(1)]
}

/// A new run in which two siblings were read just before: the next read of a sibling is answered by their list.
async fn after_siblings(core: &Core, siblings: &[Held]) -> Core {
    let run = core.new_run(json!({})).await;
    for sibling in siblings {
        run.read(sibling).await.expect("siblings can be read");
    }
    run
}

/// GETs of this id fail, so only a list can answer.
fn without_gets(core: &Core, id: &str) {
    let path = format!("{}$", id.replace('.', "\\."));
    core.fault(
        json!({"method": "GET", "path": path, "count": 0, "status": 403, "code": "AuthorizationFailed"}),
    );
}

/// The tested resource, two siblings, and their emulator.
async fn prepared(case: &Case, id: &str) -> (Core, Held, Vec<Held>) {
    // the sharing of a gallery always needs an additional GET
    let mut config = patched(&case.small, &case.full);
    config.as_object_mut().expect("a configuration is an object").remove("sharing");
    let core = Core::new().await;
    (case.prepare)(&core);
    let held = core.create(case.type_name, &config).await;
    let mut siblings = Vec::new();
    for twin in sibling_ids(id) {
        let mut body = core.azure_object(id);
        if case.type_name == "azimage_image_definition" {
            // definitions of one gallery must have different identifiers
            body["properties"]["identifier"]["sku"] = json!(twin.rsplit('/').next());
        }
        let (status, answer) = core.azure("PUT", &twin, body);
        assert!(status < 300, "{twin}: {answer}");
        siblings.push(core.import(case.type_name, &twin, None).await.expect("a sibling can be imported"));
    }
    (core, held, siblings)
}

async fn check(case: Case) {
    let id = case.id.as_deref().expect("the object is in Azure");
    unchanged_and_deleted(&case, id).await;
    for (patch, names) in &case.drifts {
        if !names.contains(&"sharing") {
            changed(&case, id, patch).await;
        }
    }
}

async fn unchanged_and_deleted(case: &Case, id: &str) {
    let (core, held, siblings) = prepared(case, id).await;
    // unchanged: the list alone is sufficient
    without_gets(&core, id);
    let run = after_siblings(&core, &siblings).await;
    let (listed, _) = run
        .read(&held)
        .await
        .unwrap_or_else(|diagnostics| panic!("{}: a GET was needed: {diagnostics:?}", case.name));
    let listed = listed.expect("the object exists");
    assert!(listed.state == held.state, "{}: {}", case.name, differences(&held.state, &listed.state));
    core.clear_faults();
    // deleted, with certainty
    if case.type_name == "azimage_image_version" {
        core.tamper(id, json!({"properties": {"safetyProfile": {"blockDeletionBeforeEndOfLife": false}}}));
    }
    let (status, _) = core.azure("DELETE", id, Json::Null);
    assert!(status < 300);
    let run = after_siblings(&core, &siblings).await;
    assert!(run.read(&held).await.expect("a missing object is not an error").0.is_none(), "{}", case.name);
    // an object that is missing from a list is not removed before a GET has confirmed it
    without_gets(&core, id);
    let run = after_siblings(&core, &siblings).await;
    run.read(&held).await.expect_err("the object was removed because a list lacked it");
}

async fn changed(case: &Case, id: &str, patch: &Json) {
    let (core, held, siblings) = prepared(case, id).await;
    core.tamper(id, patch.clone());
    let refreshed = core
        .new_run(json!({}))
        .await
        .read(&held)
        .await
        .expect("the GET succeeds")
        .0
        .expect("the object exists");
    let run = after_siblings(&core, &siblings).await;
    let listed = run.read(&held).await.expect("the list and the GET succeed").0.expect("the object exists");
    assert!(refreshed.state != held.state, "{}: {patch} changes nothing", case.name);
    let difference = differences(&refreshed.state, &listed.state);
    assert!(listed.state == refreshed.state, "{}: after {patch}: {difference}", case.name);
    // the list alone confirms the state that the GET returned, and detects that the prior state is outdated
    without_gets(&core, id);
    let run = after_siblings(&core, &siblings).await;
    let confirmed = match run.read(&refreshed).await {
        Ok((confirmed, _)) => confirmed.expect("the object exists"),
        Err(why) => panic!("{}: after {patch} the list differs: {why:?}", case.name),
    };
    assert!(confirmed.state == refreshed.state);
    let run = after_siblings(&core, &siblings).await;
    run.read(&held).await.expect_err("the list detects no change");
}

macro_rules! cases {
    ($($name:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $name() {
            check(cases::$name()).await;
        }
    )*};
}

cases!(gallery, image_definition, image_version, version_of_disks, captured_image, image_of_disks);
