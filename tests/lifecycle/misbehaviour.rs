//! Every resource type with every kind of service failure, temporary and permanent: diagnostics are correct, nothing
//! is lost or created twice, and the next run completes.

use super::failures::{
    always, assert_reported, each, each_with_operations, finish, prepared, times, with_other_tags,
};
use crate::cases::Case;
use crate::core::{Action, Core, Json, json, patched};
use std::time::Duration;

const FUTURE: &str = "Mon, 02 Nov 2026 10:00:10 GMT";
const PRESENT: &str = "Mon, 02 Nov 2026 10:00:00 GMT";

/// Faulty responses, with whether the service has executed the request, and whether a retry helps.
fn rows() -> Vec<(&'static str, Json, bool, bool)> {
    let refusal = |status: u16, headers: Json| json!({"status": status, "code": "Busy", "message": "Later.", "headers": headers});
    vec![
        ("429", refusal(429, json!({})), false, true),
        ("429 in seconds", refusal(429, json!({"Retry-After": "9"})), false, true),
        ("503 by date", refusal(503, json!({"Retry-After": FUTURE, "Date": PRESENT})), false, true),
        ("503 in x-ms-retry-after-ms", refusal(503, json!({"x-ms-retry-after-ms": "4000"})), false, true),
        ("503 in retry-after-ms", refusal(503, json!({"retry-after-ms": "4000"})), false, true),
        ("502 with a page", json!({"status": 502, "body": "<html>Bad Gateway</html>"}), false, true),
        ("no connection", json!({"drop": "connect"}), false, true),
        ("reset before it was sent", json!({"drop": "before"}), false, true),
        ("reset after it was sent", json!({"drop": "after"}), true, true),
        ("no response, not executed", json!({"stall": "before"}), false, true),
        ("no answer, done", json!({"stall": "after"}), true, true),
        ("truncated JSON", json!({"truncate": 25}), true, true),
        ("malformed JSON", json!({"malformed": "json"}), true, true),
        ("a page", json!({"malformed": "html"}), true, true),
        ("another type", json!({"malformed": "text"}), true, true),
        ("no body", json!({"malformed": "empty"}), true, true),
        (
            "a redirect",
            json!({"status": 307, "headers": {"Location": "https://login.example/"}, "body": ""}),
            false,
            false,
        ),
        (
            "busy",
            json!({"status": 409, "code": "AnotherOperationInProgress", "message": "Busy."}),
            false,
            true,
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn every_verb_survives_temporary_failures() {
    each(async |case, id| {
        let (core, full) = prepared(case).await;
        let full = patched(
            &full,
            &json!({"timeouts": {"create": "20m", "update": "20m", "delete": "20m", "read": "10m"}}),
        );
        for (what, fault, ..) in rows().into_iter().filter(|row| row.3) {
            let fine = |diagnostics: &crate::core::Diagnostics, verb: &str| {
                assert!(!diagnostics.has_errors(), "{} {verb} {what}: {diagnostics:?}", case.name);
            };
            core.fault(times(2, "PUT", id, &fault));
            let applied = core.apply(&core.plan(case.type_name, None, &full).await).await;
            fine(&applied.diagnostics, "creating");
            let held = applied.held.unwrap();
            assert!(!held.tainted);
            core.clear_faults();
            core.fault(times(2, "GET", id, &fault));
            let read = core
                .refresh(&held)
                .await
                .unwrap_or_else(|diagnostics| panic!("{} reading {what}: {diagnostics:?}", case.name));
            let held = read.unwrap_or_else(|| panic!("{} reading {what}: forgotten", case.name));
            core.clear_faults();
            let config = with_other_tags(case, &full);
            core.fault(times(2, "PUT", id, &fault));
            core.fault(times(2, "PATCH", id, &fault));
            let applied = core.apply(&core.plan(case.type_name, Some(&held), &config).await).await;
            fine(&applied.diagnostics, "updating");
            core.clear_faults();
            let held = finish(&core, case, applied.held, &config).await;
            core.fault(times(2, "DELETE", id, &fault));
            let applied = core.destroy(&held).await;
            fine(&applied.diagnostics, "deleting");
            assert!(applied.held.is_none() && !core.exists(id), "{} {what}", case.name);
            core.clear_faults();
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn permanent_failures_are_reported_and_lose_nothing() {
    each(async |case, id| {
        let (core, full) = prepared(case).await;
        let short = json!({"timeouts": {"create": "20m", "update": "20m", "delete": "20m", "read": "5m"}});
        let full = patched(&full, &short);
        for (what, fault, done, _) in rows() {
            core.fault(always("PUT", id, &fault));
            let applied = core.apply(&core.plan(case.type_name, None, &full).await).await;
            if done {
                assert!(!applied.diagnostics.has_errors(), "{} {what}: {:?}", case.name, applied.diagnostics);
            } else {
                assert_reported(&applied, case, what, id);
            }
            assert_eq!(applied.held.is_some(), done, "{} {what}", case.name);
            assert_eq!(core.exists(id), done, "{} {what}", case.name);
            core.clear_faults();
            let held = finish(&core, case, applied.held, &full).await;

            core.fault(always("GET", id, &fault));
            match core.refresh(&held).await {
                Err(diagnostics) => diagnostics.assert_error(&[id]),
                // an object with another spelling is still read
                Ok(read) => assert!(what == "another type" && read.is_some(), "{} {what}", case.name),
            }
            core.clear_faults();

            let config = with_other_tags(case, &full);
            core.fault(always("PUT", id, &fault));
            core.fault(always("PATCH", id, &fault));
            let applied = core.apply(&core.plan(case.type_name, Some(&held), &config).await).await;
            assert_eq!(
                applied.diagnostics.has_errors(),
                !done,
                "{} {what}: {:?}",
                case.name,
                applied.diagnostics
            );
            let kept = applied.held.expect("a failed update keeps the object");
            assert!(!kept.tainted, "{} {what}", case.name);
            core.clear_faults();
            let held = finish(&core, case, Some(kept), &config).await;

            core.fault(always("DELETE", id, &fault));
            let applied = core.destroy(&held).await;
            core.clear_faults();
            if let Some(held) = applied.held {
                assert_reported_or_deleted(&core, case, what, id, done, &applied.diagnostics);
                assert!(core.destroy(&held).await.held.is_none(), "{} {what}", case.name);
            }
            assert!(!core.exists(id), "{} {what}", case.name);
        }
    })
    .await;
}

fn assert_reported_or_deleted(
    core: &Core,
    case: &Case,
    what: &str,
    id: &str,
    done: bool,
    diagnostics: &crate::core::Diagnostics,
) {
    assert!(diagnostics.has_errors(), "{} {what}: no error is reported", case.name);
    assert!(done || core.exists(id), "{} {what}", case.name);
}

/// Faults of a creation's operation and of the created object, with whether they cause an error and whether the
/// object exists afterwards.
fn operations() -> Vec<(&'static str, Vec<Json>, bool, bool)> {
    let polls = |fault: Json| patched(&fault, &json!({"method": "GET", "path": "perations/"}));
    vec![
        (
            "is cancelled",
            vec![json!({"fail_operation": {"code": "Preempted", "message": "No.", "status": "Canceled"}})],
            true,
            true,
        ),
        ("changes its URL", vec![polls(json!({"move_operation": true, "count": 3}))], false, true),
        (
            "cannot be found for a while",
            vec![polls(json!({"status": 404, "code": "NotFound", "message": "?", "count": 4}))],
            false,
            true,
        ),
        (
            "can never be found",
            vec![polls(json!({"status": 404, "code": "NotFound", "message": "?", "count": 0}))],
            false,
            true,
        ),
        ("cannot be polled for a while", vec![polls(json!({"status": 503, "count": 12}))], false, true),
        (
            "returns HTML pages for a while",
            vec![polls(json!({"malformed": "html", "count": 6}))],
            false,
            true,
        ),
        ("ends without the created object", vec![json!({"lose_resource": true})], false, false),
    ]
}

// Advances the emulator's clock by one second for each second of real time.
async fn tick(core: &Core, until: impl Future<Output = crate::core::Applied>) -> crate::core::Applied {
    let clock = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            core.control("POST", "clock/advance", json!({"seconds": 1}));
        }
    };
    tokio::select! { applied = until => applied, () = clock => unreachable!() }
}

#[tokio::test(start_paused = true)]
async fn abnormal_operations_leave_a_correct_state() {
    each_with_operations(async |case, id| {
        for (what, faults, fails, there) in operations() {
            let (core, full) = prepared(case).await;
            let full = patched(&full, &json!({"timeouts": {"create": "20m"}}));
            core.control("PUT", "settings", json!({"time_scale": 10}));
            let plan = core.plan(case.type_name, None, &full).await;
            for fault in faults {
                let own = fault.get("method").is_none();
                core.fault(if own { times(1, "PUT", id, &fault) } else { fault });
            }
            let applied = tick(&core, core.apply(&plan)).await;
            let version = case.is_version();
            let held = applied
                .held
                .clone()
                .unwrap_or_else(|| panic!("{} {what}: {:?}", case.name, applied.diagnostics));
            assert_eq!(held.text("id"), id, "{} {what}", case.name);
            if !there {
                // the object was accepted, so it stays in the state; its absence fails the run
                applied.diagnostics.assert_error(&["does not appear", id]);
            } else if fails && !version {
                assert_reported(&applied, case, what, id);
                applied.diagnostics.assert_error(&["Preempted"]);
            } else {
                assert!(
                    !applied.diagnostics.has_errors() && !held.tainted,
                    "{} {what}: {:?}",
                    case.name,
                    applied.diagnostics
                );
            }
            if there && !fails {
                assert_eq!(
                    held.text("provisioning_state"),
                    "Succeeded",
                    "{} {what}: {:?}",
                    case.name,
                    applied.diagnostics
                );
            }
            assert_eq!(core.exists(id), there, "{} {what}", case.name);
            core.clear_faults();
            core.control("PUT", "settings", json!({"time_scale": 0}));
            core.control("POST", "clock/advance", json!({"seconds": 1e6}));
            finish(&core, case, applied.held, &full).await;
        }
    })
    .await;
}

/// The same for updates and deletions, where polling fails but the work itself succeeds.
#[tokio::test(start_paused = true)]
async fn abnormal_operations_of_updates_and_deletes_leave_a_correct_state() {
    each(async |case, id| {
        let (core, full) = prepared(case).await;
        let full = patched(&full, &json!({"timeouts": {"update": "20m", "delete": "20m"}}));
        for (what, faults, ..) in operations() {
            let polls: Vec<Json> = faults.into_iter().filter(|fault| fault.get("method").is_some()).collect();
            if polls.is_empty() {
                continue;
            }
            core.control("PUT", "settings", json!({"time_scale": 0}));
            let held = core.create(case.type_name, &full).await;
            core.control("PUT", "settings", json!({"time_scale": 10}));
            let config = with_other_tags(case, &full);
            let plan = core.plan(case.type_name, Some(&held), &config).await;
            polls.iter().for_each(|fault| core.fault(fault.clone()));
            let applied = tick(&core, core.apply(&plan)).await;
            assert!(
                !applied.diagnostics.has_errors(),
                "{} updating {what}: {:?}",
                case.name,
                applied.diagnostics
            );
            core.clear_faults();
            let held = finish(&core, case, applied.held, &config).await;
            polls.iter().for_each(|fault| core.fault(fault.clone()));
            let applied = tick(&core, core.destroy(&held)).await;
            assert!(applied.held.is_none(), "{} deleting {what}: {:?}", case.name, applied.diagnostics);
            assert!(!core.exists(id), "{} {what}", case.name);
            core.clear_faults();
        }
    })
    .await;
}

/// New objects are not found yet, and deleted ones are still found.
#[tokio::test(start_paused = true)]
async fn waits_until_the_service_sees_its_own_changes() {
    each(async |case, id| {
        let (core, full) = prepared(case).await;
        // the dependencies are old enough to be found
        core.control("POST", "clock/advance", json!({"seconds": 60}));
        core.control("PUT", "settings", json!({"time_scale": 1, "eventual_consistency": true}));
        let applied =
            tick(&core, async { core.apply(&core.plan(case.type_name, None, &full).await).await }).await;
        assert!(!applied.diagnostics.has_errors(), "{}: {:?}", case.name, applied.diagnostics);
        let held = applied.held.unwrap();
        assert_eq!(held.text("provisioning_state"), "Succeeded", "{}", case.name);
        // deleted and recreated at once by the same run, as in a replacement
        let applied = tick(&core, core.destroy(&held)).await;
        assert!(applied.held.is_none(), "{}: {:?}", case.name, applied.diagnostics);
        let plan = core.plan(case.type_name, None, &full).await;
        assert_eq!(plan.action, Action::Create);
        let applied = tick(&core, core.apply(&plan)).await;
        assert!(!applied.diagnostics.has_errors(), "{} {id}: {:?}", case.name, applied.diagnostics);
        core.control("POST", "clock/advance", json!({"seconds": 1e6}));
        core.assert_no_changes(&applied.held.unwrap(), &full).await;
    })
    .await;
}
