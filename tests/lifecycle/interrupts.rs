//! Interrupts every resource type at each of its requests: accepted objects stay in the state, nothing is tainted,
//! and the next run completes.

use super::failures::{each, finish, prepared};
use crate::core::{Applied, Core, json, patched};
use std::time::Duration;

// Runs `work` and interrupts it while request number `at` waits for a response. Returns whether there was such a
// request.
pub async fn interrupted(core: &Core, at: usize, work: impl Future<Output = Applied>) -> (Applied, bool) {
    core.fault(json!({"skip": at, "count": 1, "delay_ms": 30_000}));
    let met = || core.control("GET", "faults", json!({}))["faults"][0]["done"] == 1;
    let halt = async {
        while !met() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        core.stop().await;
        std::future::pending::<()>().await
    };
    let begun = tokio::time::Instant::now();
    let applied = tokio::select! { applied = work => applied, () = halt => unreachable!() };
    let reached = met();
    core.clear_faults();
    assert!(!reached || begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
    (applied, reached)
}

// More than the number of requests of any case.
pub const MANY: usize = 60;

#[tokio::test(start_paused = true)]
async fn interrupts_during_create_lose_nothing() {
    each(async |case, id| {
        let (core, full) = prepared(case).await;
        for at in 0..MANY {
            let plan = core.plan(case.type_name, None, &full).await;
            let (applied, reached) = interrupted(&core, at, core.apply(&plan)).await;
            let what = format!("{} at request {at}: {:?}", case.name, applied.diagnostics);
            assert_eq!(applied.held.is_some(), core.exists(id), "{what}");
            if let Some(held) = &applied.held {
                assert!(!held.tainted && !applied.diagnostics.has_errors(), "{what}");
            }
            let held = finish(&core, case, applied.held, &full).await;
            assert!(core.destroy(&held).await.held.is_none(), "{what}");
            if !reached {
                return;
            }
        }
        panic!("{}: the number of requests is unbounded", case.name);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn interrupts_during_update_lose_nothing() {
    each(async |case, id| {
        let (core, full) = prepared(case).await;
        let mut held = core.create(case.type_name, &full).await;
        // changes that need several requests, and one that needs one request
        const NAMES: [&str; 3] = ["tags", "target_region", "sharing"];
        let changes =
            NAMES.iter().filter_map(|name| case.updates.iter().find(|(_, names)| names.contains(name)));
        for (patch, names) in changes {
            let config = patched(&full, patch);
            for at in 0..MANY {
                let plan = core.plan(case.type_name, Some(&held), &config).await;
                let (applied, reached) = interrupted(&core, at, core.apply(&plan)).await;
                let what = format!("{} {names:?} at request {at}: {:?}", case.name, applied.diagnostics);
                let kept = applied.held.unwrap_or_else(|| panic!("{what}"));
                assert!(!kept.tainted && core.exists(id), "{what}");
                let kept = finish(&core, case, Some(kept), &config).await;
                // and back
                held = finish(&core, case, Some(kept), &full).await;
                if !reached {
                    break;
                }
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn interrupts_during_delete_lose_nothing() {
    each(async |case, id| {
        for at in 0..MANY {
            let (core, full) = prepared(case).await;
            let held = core.create(case.type_name, &full).await;
            let (applied, reached) = interrupted(&core, at, core.destroy(&held)).await;
            let what = format!("{} at request {at}: {:?}", case.name, applied.diagnostics);
            assert!(applied.held.is_some() || !core.exists(id), "{what}");
            if let Some(held) = applied.held {
                assert!(!held.tainted && applied.diagnostics.has_errors(), "{what}");
                assert!(core.destroy(&held).await.held.is_none(), "{what}");
            }
            assert!(!core.exists(id), "{what}");
            if !reached {
                return;
            }
        }
        panic!("{}: the number of requests is unbounded", case.name);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_during_a_stalled_write_ends_soon_and_keeps_the_accepted_object() {
    each(async |case, id| {
        for stall in ["before", "after"] {
            let (core, full) = prepared(case).await;
            let plan = core.plan(case.type_name, None, &full).await;
            core.fault(json!({"method": "PUT", "stall": stall, "count": 0}));
            let begun = tokio::time::Instant::now();
            let halt = async {
                tokio::time::sleep(Duration::from_secs(5)).await;
                core.stop().await;
                std::future::pending::<()>().await
            };
            let applied =
                tokio::select! { applied = core.apply(&plan) => applied, () = halt => unreachable!() };
            core.clear_faults();
            let what = format!("{} stalled {stall}: {:?}", case.name, applied.diagnostics);
            assert!(begun.elapsed() <= Duration::from_secs(5 + 30), "{:?}: {what}", begun.elapsed());
            if core.exists(id) {
                let held = applied.held.as_ref().unwrap_or_else(|| panic!("lost: {what}"));
                assert_eq!(held.text("id").to_lowercase(), id.to_lowercase(), "{what}");
                assert!(!held.tainted, "{what}");
            }
            finish(&core, case, applied.held, &full).await;
        }
    })
    .await;
}
