//! Many concurrent calls to a service that fails in every way for a while: nothing hangs, leaks or is lost.
//!
//! Runs a few seconds with a few hundred objects; `AZIMAGE_LOAD=600` runs ten minutes with ten thousand.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/cli.rs"]
mod cli;
#[path = "support/core.rs"]
mod core;
#[path = "support/external.rs"]
mod external;
#[path = "load/host.rs"]
mod host;
#[path = "support/plugin_client.rs"]
mod plugin_client;
#[path = "load/service.rs"]
mod service;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use azimage::schema::Value;
use host::{Host, Outcome};
use serde_json::json;
use service::Service;

/// The number of calls in flight.
const CONCURRENT_CALLS: usize = 200;
/// The maximum duration of a call: the `timeouts` of all objects are shorter.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// One object: its configuration, and its state in Terraform.
#[derive(Clone, Default)]
struct Slot {
    note: u64,
    held: Option<host::Held>,
}

/// Totals over all calls.
#[derive(Default)]
struct Tally {
    calls: AtomicU64,
    failed: AtomicU64,
    changes: AtomicU64,
    reads: AtomicU64,
}

impl Tally {
    fn count(&self, outcome: &Outcome) {
        self.calls.fetch_add(outcome.calls, Ordering::Relaxed);
        self.failed.fetch_add(u64::from(outcome.failed), Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_under_load() {
    let seconds = std::env::var("AZIMAGE_LOAD").ok().and_then(|text| text.parse().ok());
    let (objects, time) = match seconds {
        Some(seconds) => (10_000, Duration::from_secs(seconds)),
        None => (300, Duration::from_secs(5)),
    };
    let service = Service::start().await;
    let host = Arc::new(Host::start(&service, objects).await);
    let begun = Instant::now();
    let mut slots: Vec<Slot> = vec![Slot::default(); objects];
    let tally = Arc::new(Tally::default());

    // every object is created, while the service is healthy
    slots = each(slots, &host, &tally, Duration::MAX, |_| Some(1)).await;
    assert!(slots.iter().all(|slot| slot.held.is_some()), "an object could not be created");
    assert_eq!(tally.failed.load(Ordering::Relaxed), 0);
    println!("{objects} objects created in {:?}", begun.elapsed());

    // then, while the service fails, all objects are read, updated, deleted and recreated repeatedly
    let (calls_before, storm) = (tally.calls.load(Ordering::Relaxed), Instant::now());
    service.set_failing(true);
    let memory = host.watch();
    while storm.elapsed() < time {
        let left = time.saturating_sub(storm.elapsed());
        slots = each(slots, &host, &tally, left, |random| match random.u8(0..10) {
            0 => None,
            1..4 => Some(random.u64(2..1_000_000)),
            _ => Some(0),
        })
        .await;
    }
    service.set_failing(false);
    let (calls, took) = (tally.calls.load(Ordering::Relaxed) - calls_before, storm.elapsed());
    let memory = memory.end().await;
    println!(
        "{calls} calls in {took:?} ({:.0} a second): {} of the changes and {} of the reads; {} of them failed in the end; of {} requests {} failed",
        calls as f64 / took.as_secs_f64(),
        tally.changes.load(Ordering::Relaxed),
        tally.reads.load(Ordering::Relaxed),
        tally.failed.load(Ordering::Relaxed),
        service.call_counts().0,
        service.call_counts().1,
    );
    assert!(service.call_counts().1 > 10, "the service did not fail");
    println!("memory in MiB: {memory:?}");
    assert_flat(&memory);

    // finally, everything converges: exactly the desired objects exist
    let last: Vec<u64> = slots.iter().map(|slot| slot.note).collect();
    slots = each(slots, &host, &tally, Duration::MAX, |_| Some(0)).await;
    let there = service.objects(host::galleries(objects));
    let mut known = BTreeMap::new();
    for (number, slot) in slots.iter().enumerate() {
        assert_eq!(slot.note, last[number], "object {number} is not in the desired state");
        if let Some(held) = &slot.held {
            assert_eq!(held.state.get("tags"), &Value::map([(&"note".to_owned(), &slot.note.to_string())]));
            known.insert(host::name(number), slot.note.to_string());
        }
    }
    assert_eq!(known, there, "the state differs from the objects in Azure");
    host.end().await;
}

// Detects leaks: the memory in the last quarter must equal the memory in the second, within the tolerance of an
// allocator.
fn assert_flat(memory: &[f64]) {
    assert!(memory.len() >= 4, "too few samples");
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let quarter = memory.len() / 4;
    let (second, last) = (mean(&memory[quarter..2 * quarter]), mean(&memory[3 * quarter..]));
    assert!(last < second * 1.25 + 16.0, "from {second:.1} MiB to {last:.1} MiB: {memory:?}");
}

/// Processes every slot once, [`CONCURRENT_CALLS`] at a time, until the time has passed. `want` returns the desired
/// state of an object: `None` means absent, a number is its note, and 0 keeps the current note.
async fn each(
    slots: Vec<Slot>,
    host: &Arc<Host>,
    tally: &Arc<Tally>,
    time: Duration,
    want: impl Fn(&mut fastrand::Rng) -> Option<u64> + Copy + Send + 'static,
) -> Vec<Slot> {
    let (begun, next) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let slots: Arc<Vec<tokio::sync::Mutex<Slot>>> = Arc::new(slots.into_iter().map(Into::into).collect());
    let workers = (0..CONCURRENT_CALLS).map(|worker| {
        let (host, tally, next, slots) = (host.clone(), tally.clone(), next.clone(), slots.clone());
        let mut random = fastrand::Rng::with_seed(worker as u64 + tally.calls.load(Ordering::Relaxed));
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(slot) = slots.get(number).filter(|_| begun.elapsed() < time) else { return };
                let mut slot = slot.lock().await;
                let work = visit(&host, &tally, number, &mut slot, want(&mut random));
                tokio::time::timeout(CALL_TIMEOUT * 4, work)
                    .await
                    .unwrap_or_else(|_| panic!("object {number} hangs"));
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    let Ok(slots) = Arc::try_unwrap(slots) else { panic!("a worker is still running") };
    slots.into_iter().map(tokio::sync::Mutex::into_inner).collect()
}

/// A Terraform run over one object: refresh, plan, apply.
async fn visit(host: &Host, tally: &Tally, number: usize, slot: &mut Slot, want: Option<u64>) {
    // an object that should be absent has the note 0
    slot.note = match want {
        None => 0,
        Some(0) => slot.note,
        Some(note) => note,
    };
    let mut outcome = Outcome::default();
    if let Some(held) = slot.held.take() {
        tally.reads.fetch_add(1, Ordering::Relaxed);
        // nothing else deletes objects here, so no object may leave the state
        let read = host.refresh(held, &mut outcome).await;
        slot.held = Some(read.unwrap_or_else(|| panic!("object {number} left the state")));
    }
    if slot.note != 0 || slot.held.is_some() {
        let tags = (slot.note != 0).then(|| json!({"note": slot.note.to_string()}));
        slot.held = host.converge(number, slot.held.take(), tags, &mut outcome).await;
        tally.changes.fetch_add(u64::from(outcome.changed), Ordering::Relaxed);
    }
    tally.count(&outcome);
}
