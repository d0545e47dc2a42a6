//! Every resource type while the service rejects requests, fails, returns invalid responses, closes connections or
//! times out: the error names the object, the state stays correct, and the next run completes.

use crate::cases::{self, Case, rg};
use crate::core::{Action, Applied, Core, Held, Json, differences, json, patched};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

// Runs a test for every case with an ARM object and reports all that fail.
pub async fn each(test: impl AsyncFn(&Case, &str)) {
    let mut failed = Vec::new();
    for case in cases::all() {
        let Some(id) = &case.id else { continue };
        if AssertUnwindSafe(test(&case, id)).catch_unwind().await.is_err() {
            failed.push(case.name);
        }
    }
    assert!(failed.is_empty(), "failed for {failed:?}; see above");
}

// The same for types whose writes start an operation.
pub async fn each_with_operations(test: impl AsyncFn(&Case, &str)) {
    each(async |case, id| {
        if !case.is_synchronous() {
            test(case, id).await;
        }
    })
    .await;
}

pub async fn prepared(case: &Case) -> (Core, Json) {
    let core = Core::new().await;
    (case.prepare)(&core);
    (core, patched(&case.small, &case.full))
}

// Possible failures of a request, and whether the service has executed the request.
fn request_failures() -> Vec<(&'static str, Json, bool)> {
    let refused = "The client 'x' does not have authorization to perform the action.";
    vec![
        ("403", json!({"status": 403, "code": "AuthorizationFailed", "message": refused}), false),
        ("500", json!({"status": 500, "code": "InternalServerError", "message": "Something broke."}), false),
        ("503 with HTML", json!({"status": 503, "body": "<html>down</html>"}), false),
        ("400", json!({"status": 400, "code": "InvalidParameter", "message": "No."}), false),
        ("hung up before", json!({"drop": "before"}), false),
        ("hung up after", json!({"drop": "after"}), true),
        ("nonsense", json!({"malformed": true}), true),
        ("cut short", json!({"truncate": 20}), true),
    ]
}

// A fault for all requests of a method to exactly this ID.
pub fn always(method: &str, id: &str, fault: &Json) -> Json {
    times(0, method, id, fault)
}

// A fault for the next `count` requests of a method to exactly this ID.
pub fn times(count: u32, method: &str, id: &str, fault: &Json) -> Json {
    let path = format!("{}$", id.replace('.', r"\."));
    patched(fault, &json!({"method": method, "path": path, "count": count}))
}

fn allocation_failure() -> Json {
    json!({"fail_operation": {"code": "AllocationFailed", "message": "No room."}})
}

// The full configuration with an update of the tags.
pub fn with_other_tags(case: &Case, full: &Json) -> Json {
    let (patch, _) = case.updates.iter().find(|(_, names)| names.contains(&"tags")).unwrap();
    patched(full, patch)
}

// Interrupts `work` after two seconds.
async fn interrupted_soon(core: &Core, work: impl Future<Output = Applied>) -> Applied {
    let interrupt = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        core.stop().await;
    };
    tokio::join!(work, interrupt).0
}

// The next run completes, regardless of the existing objects and the necessary steps.
pub async fn finish(core: &Core, case: &Case, held: Option<Held>, config: &Json) -> Held {
    let held = match held {
        Some(held) => {
            core.refresh(&held).await.unwrap_or_else(|diagnostics| panic!("{}: {diagnostics:?}", case.name))
        }
        None => None,
    };
    let plan = core.plan(case.type_name, held.as_ref(), config).await;
    let applied = core.apply(&plan).await;
    assert!(
        !applied.diagnostics.has_errors(),
        "{}: the next run fails: {:?}",
        case.name,
        applied.diagnostics
    );
    core.assert_no_changes(&applied.held.unwrap(), config).await
}

pub fn assert_reported(applied: &Applied, case: &Case, what: &str, id: &str) {
    let errors = applied.diagnostics.errors();
    assert!(applied.diagnostics.has_errors(), "{} {what}: no error is reported", case.name);
    assert!(errors.contains(id), "{} {what}: the error does not name the object: {errors}", case.name);
}

#[tokio::test(start_paused = true)]
async fn a_failed_create_is_reported_and_can_be_repeated() {
    each(async |case, id| {
        for (what, fault, done) in request_failures() {
            let (core, full) = prepared(case).await;
            let plan = core.plan(case.type_name, None, &full).await;
            core.fault(always("PUT", id, &fault));
            let applied = core.apply(&plan).await;
            if done {
                // the response was lost, but the object exists
                assert!(applied.held.is_some(), "{} {what}: {:?}", case.name, applied.diagnostics);
            } else {
                assert_reported(&applied, case, what, id);
                assert!(
                    applied.held.is_none(),
                    "{} {what}: no object was created, but the state contains one",
                    case.name
                );
            }
            core.clear_faults();
            let held = finish(&core, case, applied.held, &full).await;
            assert!(core.destroy(&held).await.held.is_none(), "{} {what}", case.name);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_create_operation_leaves_a_tainted_object() {
    each_with_operations(async |case, id| {
        let (core, full) = prepared(case).await;
        let plan = core.plan(case.type_name, None, &full).await;
        core.fault(times(1, "PUT", id, &allocation_failure()));
        let applied = core.apply(&plan).await;
        let held = applied.held.clone().expect("the object is in the state");
        assert_eq!(held.text("id"), id);
        assert_eq!(held.text("provisioning_state"), "Failed", "{}", case.name);
        let read = core.refresh(&held).await.unwrap().unwrap();
        if case.is_version() {
            // the data exists in the version's own region and must not be destroyed, so this is a warning, not an
            // error
            applied.diagnostics.assert_warning(&["AllocationFailed", "No room.", id]);
            assert!(!held.tainted);
            let plan = core.plan(case.type_name, Some(&read), &full).await;
            assert_eq!(plan.action, Action::Update, "{}", case.name);
            finish(&core, case, Some(read), &full).await;
            return;
        }
        assert_reported(&applied, case, "failed operation", id);
        applied.diagnostics.assert_error(&["AllocationFailed", "No room."]);
        assert!(held.tainted);
        let plan = core.plan(case.type_name, Some(&read), &full).await;
        assert_eq!(plan.action, Action::Replace, "{}", case.name);
        finish(&core, case, Some(read), &full).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_update_keeps_the_prior_values() {
    each(async |case, id| {
        for (what, fault, done) in request_failures() {
            let (core, full) = prepared(case).await;
            let held = core.create(case.type_name, &full).await;
            let config = with_other_tags(case, &full);
            let plan = core.plan(case.type_name, Some(&held), &config).await;
            core.fault(always("PUT", id, &fault));
            core.fault(always("PATCH", id, &fault));
            let applied = core.apply(&plan).await;
            if !done {
                assert_reported(&applied, case, what, id);
            }
            let kept = applied.held.expect("a failed update keeps the object");
            assert!(!kept.tainted);
            if !done {
                assert_eq!(
                    kept.state,
                    held.state,
                    "{} {what}: {}",
                    case.name,
                    differences(&held.state, &kept.state)
                );
            }
            core.clear_faults();
            finish(&core, case, Some(kept), &config).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_next_run_repairs_an_object_after_a_failed_update_operation() {
    each_with_operations(async |case, id| {
        let (core, full) = prepared(case).await;
        let held = core.create(case.type_name, &full).await;
        let config = with_other_tags(case, &full);
        let plan = core.plan(case.type_name, Some(&held), &config).await;
        for method in ["PUT", "PATCH"] {
            core.fault(times(1, method, id, &allocation_failure()));
        }
        let applied = core.apply(&plan).await;
        assert_reported(&applied, case, "failed operation", id);
        let kept = applied.held.expect("a failed update keeps the object");
        assert!(!kept.tainted);
        core.clear_faults();
        let kept = finish(&core, case, Some(kept), &config).await;
        assert_eq!(kept.text("provisioning_state"), "Succeeded", "{}", case.name);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_delete_keeps_the_object_in_the_state() {
    each(async |case, id| {
        for (what, fault, done) in request_failures() {
            let (core, full) = prepared(case).await;
            let held = core.create(case.type_name, &full).await;
            core.fault(always("DELETE", id, &fault));
            let applied = core.destroy(&held).await;
            if !done {
                assert_reported(&applied, case, what, id);
                assert!(core.exists(id));
            }
            core.clear_faults();
            if let Some(held) = applied.held {
                assert!(core.destroy(&held).await.held.is_none(), "{} {what}", case.name);
            }
            assert!(!core.exists(id), "{} {what}", case.name);
        }
        if case.is_synchronous() {
            return;
        }
        let (core, full) = prepared(case).await;
        let held = core.create(case.type_name, &full).await;
        core.fault(times(
            1,
            "DELETE",
            id,
            &json!({"fail_operation": {"code": "Busy", "message": "Not now."}}),
        ));
        let applied = core.destroy(&held).await;
        assert_reported(&applied, case, "failed operation", id);
        applied.diagnostics.assert_error(&["Busy", "Not now."]);
        assert!(core.destroy(&applied.held.unwrap()).await.held.is_none());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn only_certainly_missing_objects_leave_the_state() {
    each(async |case, id| {
        let (core, full) = prepared(case).await;
        let held = core.create(case.type_name, &full).await;
        for (what, fault, _) in request_failures() {
            core.fault(always("GET", id, &fault));
            match core.refresh(&held).await {
                Ok(read) => panic!("{} {what}: read {read:?}", case.name),
                Err(diagnostics) => diagnostics.assert_error(&[id]),
            }
            core.clear_faults();
        }
        for code in ["ResourceNotFound", "ParentResourceNotFound", "ResourceGroupNotFound"] {
            core.fault(always("GET", id, &json!({"status": 404, "code": code, "message": "Not found."})));
            assert!(core.refresh(&held).await.unwrap().is_none(), "{} {code}", case.name);
            core.clear_faults();
        }
        // a wrong subscription or tenant does not prove that an object was deleted
        for code in ["SubscriptionNotFound", "InvalidSubscriptionId"] {
            core.fault(always(
                "GET",
                id,
                &json!({"status": 404, "code": code, "message": "No such subscription."}),
            ));
            assert!(core.refresh(&held).await.is_err(), "{} {code}", case.name);
            core.clear_faults();
        }
        core.assert_no_changes(&held, &full).await;
    })
    .await;
}

// An object that the service accepted stays in the state.
#[tokio::test(start_paused = true)]
async fn the_next_run_finishes_a_create_that_timed_out() {
    each_with_operations(async |case, id| {
        let (core, full) = prepared(case).await;
        let short = patched(&full, &json!({"timeouts": {"create": "1s"}}));
        let plan = core.plan(case.type_name, None, &short).await;
        core.slow_operations();
        let applied = core.apply(&plan).await;
        assert!(
            !applied.diagnostics.has_errors() || case.name == "captured image",
            "{}: {:?}",
            case.name,
            applied.diagnostics
        );
        core.finish_operations();
        match &applied.held {
            Some(held) => {
                applied.diagnostics.assert_warning(&["not finished yet", id]);
                assert!(!held.tainted, "{}", case.name);
            }
            // the machine is prepared first, and has no state
            None => assert_eq!(case.name, "captured image"),
        }
        finish(&core, case, applied.held, &full).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_run_ends_immediately_and_loses_nothing() {
    each_with_operations(async |case, id| {
        if case.name == "captured image" {
            return;
        }
        let (core, full) = prepared(case).await;
        let plan = core.plan(case.type_name, None, &full).await;
        core.slow_operations();
        let begun = tokio::time::Instant::now();
        let applied = interrupted_soon(&core, core.apply(&plan)).await;
        assert!(begun.elapsed() < Duration::from_secs(3), "{}: {:?}", case.name, begun.elapsed());
        assert!(!applied.diagnostics.has_errors(), "{}: {:?}", case.name, applied.diagnostics);
        applied.diagnostics.assert_warning(&["not finished yet", "interrupted", id]);
        let held = applied.held.unwrap();
        assert!(!held.tainted);
        assert_eq!(held.text("id"), id);
        // the same process can continue normally
        core.finish_operations();
        let held = finish(&core, case, Some(held), &full).await;
        // an interrupted update
        let config = with_other_tags(case, &full);
        let plan = core.plan(case.type_name, Some(&held), &config).await;
        core.slow_operations();
        let applied = interrupted_soon(&core, core.apply(&plan)).await;
        assert!(!applied.diagnostics.has_errors(), "{}: {:?}", case.name, applied.diagnostics);
        core.finish_operations();
        let held = finish(&core, case, applied.held, &config).await;
        // an interrupted deletion keeps the object, and the next one finds it deleted
        core.slow_operations();
        let applied = interrupted_soon(&core, core.destroy(&held)).await;
        assert_reported(&applied, case, "interrupted", id);
        core.finish_operations();
        assert!(core.destroy(&applied.held.unwrap()).await.held.is_none(), "{}", case.name);
    })
    .await;
}

// A killed process leaves neither private data nor state, so the next creation joins the running operation.
#[tokio::test(start_paused = true)]
async fn joins_a_create_that_a_killed_run_started() {
    each_with_operations(async |case, id| {
        if case.name == "captured image" {
            return;
        }
        let (core, full) = prepared(case).await;
        let plan = core.plan(case.type_name, None, &full).await;
        core.slow_operations();
        let killed = tokio::time::timeout(Duration::from_secs(5), core.apply(&plan)).await;
        assert!(killed.is_err());
        // a separate process would end here; this one must be stopped
        core.stop().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let next = core.new_run(json!({})).await;
        let plan = next.plan(case.type_name, None, &full).await;
        let advance = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            core.finish_operations();
        };
        let (applied, ()) = tokio::join!(next.apply(&plan), advance);
        assert!(!applied.diagnostics.has_errors(), "{} {id}: {:?}", case.name, applied.diagnostics);
        next.assert_no_changes(&applied.held.unwrap(), &full).await;
    })
    .await;
}

// An existing object that is not in the state is not modified, and the error contains the import block.
#[tokio::test(start_paused = true)]
async fn does_not_adopt_existing_objects_silently() {
    each(async |case, id| {
        let (core, full) = prepared(case).await;
        let held = core.create(case.type_name, &case.small).await;
        let before = core.azure_object(id);
        let plan = core.plan(case.type_name, None, &full).await;
        let applied = core.apply(&plan).await;
        assert!(applied.held.is_none());
        applied.diagnostics.assert_error(&[
            "already exists",
            "import {",
            &format!("to = {}", case.type_name),
            &format!("id = \"{id}\""),
        ]);
        assert_eq!(core.azure_object(id), before, "{}", case.name);
        core.assert_no_changes(&held, &case.small).await;
    })
    .await;
}

// If the object is deleted before its update, the apply fails, and the next run recreates it.
#[tokio::test(start_paused = true)]
async fn reports_an_object_that_was_deleted_after_the_plan() {
    each(async |case, id| {
        let (core, full) = prepared(case).await;
        let held = core.create(case.type_name, &full).await;
        let config = with_other_tags(case, &full);
        let plan = core.plan(case.type_name, Some(&held), &config).await;
        core.azure("DELETE", id, Json::Null);
        let applied = core.apply(&plan).await;
        assert_reported(&applied, case, "vanished", id);
        applied.diagnostics.assert_error(&["no longer exists"]);
        finish(&core, case, applied.held, &config).await;
    })
    .await;
}

// A missing parent is an error, and nothing is stored in the state.
#[tokio::test(start_paused = true)]
async fn missing_parent_is_reported() {
    let core = Core::new().await;
    let definition = cases::image_definition();
    let plan = core.plan(definition.type_name, None, &definition.small).await;
    let applied = core.apply(&plan).await;
    assert!(applied.held.is_none());
    applied.diagnostics.assert_error(&["gallery", &rg("galleries/gal")]);
    let version = cases::image_version();
    (version.prepare)(&core);
    let nowhere = rg("galleries/gal/images/nowhere");
    let small = patched(&version.small, &json!({"image_definition_id": nowhere}));
    let plan = core.plan(version.type_name, None, &small).await;
    let applied = core.apply(&plan).await;
    assert!(applied.held.is_none());
    applied.diagnostics.assert_error(&[&nowhere]);
}

// Resources that exist in the state only also report read errors.
#[tokio::test(start_paused = true)]
async fn state_only_resources_survive_read_errors() {
    let case = cases::image_replication();
    let (core, full) = prepared(&case).await;
    let held = core.create(case.type_name, &full).await;
    let id = held.text("id").to_owned();
    core.fault(always("GET", &id, &json!({"status": 403, "code": "AuthorizationFailed", "message": "No."})));
    core.refresh(&held).await.unwrap_err().assert_error(&[&id, "AuthorizationFailed"]);
    core.clear_faults();
    core.azure("DELETE", &id, Json::Null);
    assert!(core.refresh(&held).await.unwrap().is_none());

    let case = cases::agreement();
    let (core, full) = prepared(&case).await;
    let held = core.create(case.type_name, &full).await;
    core.fault(json!({"path": "agreements", "count": 0, "status": 500, "code": "InternalServerError", "message": "Broken."}));
    core.refresh(&held).await.unwrap_err().assert_error(&["Broken", held.text("id")]);
    core.clear_faults();
    assert!(core.destroy(&held).await.held.is_none());
    assert!(core.refresh(&held).await.unwrap().is_none(), "cancelled, since cancel_on_destroy is set");
}

// Retry-After of the service is honoured and does not cause a failure.
#[tokio::test(start_paused = true)]
async fn honours_retry_after() {
    each(async |case, id| {
        let (core, full) = prepared(case).await;
        let busy =
            json!({"status": 429, "code": "TooManyRequests", "headers": {"Retry-After": "7"}, "count": 3});
        core.fault(times(3, "PUT", id, &busy));
        let begun = tokio::time::Instant::now();
        let held = core.create(case.type_name, &full).await;
        assert!(begun.elapsed() >= Duration::from_secs(21), "{}: {:?}", case.name, begun.elapsed());
        core.fault(times(2, "GET", id, &busy));
        assert!(core.refresh(&held).await.unwrap().is_some(), "{}", case.name);
    })
    .await;
}

// An interrupted read does not report a deletion.
#[tokio::test(start_paused = true)]
async fn stop_ends_a_read_at_once() {
    each(async |case, id| {
        let (core, full) = prepared(case).await;
        let held = core.create(case.type_name, &full).await;
        core.fault(always("GET", id, &json!({"status": 503})));
        let begun = tokio::time::Instant::now();
        let interrupt = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            core.stop().await;
        };
        let (read, ()) = tokio::join!(core.refresh(&held), interrupt);
        assert!(read.is_err(), "{}", case.name);
        assert!(begun.elapsed() < Duration::from_secs(4), "{}: {:?}", case.name, begun.elapsed());
        core.clear_faults();
        core.assert_no_changes(&held, &full).await;
    })
    .await;
}

// For example, a policy adds a tag to every write. The stored object keeps the planned values and is not tainted.
#[tokio::test(start_paused = true)]
async fn reports_values_that_the_service_adds_without_tainting() {
    let core = Core::new().await;
    let (type_name, id) = ("azimage_gallery", rg("galleries/gal"));
    let body = json!({"id": id, "name": "gal", "location": "eastus", "tags": {"a": "b", "policy": "inherited"},
        "properties": {"provisioningState": "Succeeded"}});
    let answer = |method: &str, status: u16| {
        let headers = json!({"Content-Type": "application/json", "x-ms-request-id": "1"});
        always(method, &id, &json!({"status": status, "body": body.to_string(), "headers": headers}))
    };
    core.fault(answer("PUT", 201));
    core.fault(patched(&answer("GET", 200), &json!({"skip": 1})));
    let config =
        json!({"name": "gal", "resource_group_name": "rg", "location": "eastus", "tags": {"a": "b"}});
    let plan = core.plan(type_name, None, &config).await;
    let applied = core.apply(&plan).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    applied.diagnostics.assert_warning(&["tags_all", "is not what was planned", "the next plan shows"]);
    let held = applied.held.unwrap();
    assert!(!held.tainted);
    // the next plan shows the difference
    let seen = core.refresh(&held).await.unwrap().unwrap();
    assert_eq!(core.plan(type_name, Some(&seen), &config).await.action, Action::Update);
}

// The state of an imported or moved object has little more than the ID. Without a read, a plan would show
// replacements that are not needed.
#[tokio::test(start_paused = true)]
async fn does_not_compare_imported_objects_before_they_are_read() {
    each(async |case, _| {
        let (core, full) = prepared(case).await;
        let held = core.create(case.type_name, &full).await;
        let mut private = azimage::framework::Private::default();
        private.set("unwritten", &true);
        let config = core.config(case.type_name, &full);
        let (_, diagnostics) = core
            .plan_once(case.type_name, &held.state, &config, &private.to_bytes(), held.identity.as_ref())
            .await;
        diagnostics.assert_error(&[case.type_name, "has not been read yet", "-refresh=false"]);
    })
    .await;
}
