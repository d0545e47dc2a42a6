//! Kills or interrupts terraform or the provider at any request, and runs them concurrently: checks the resulting
//! state and the behaviour of the next run.
//!
//! Tests a sample of the requests; `AZIMAGE_KILLS=all` tests all, which takes most of an hour. Any other value selects the
//! requests whose printed names contain it.

#![cfg(all(feature = "emulator", target_os = "linux"))]
#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "support/external.rs"]
#[macro_use]
mod external;
#[path = "support/cli.rs"]
mod support;

#[path = "support/boundaries.rs"]
mod boundaries;
#[path = "kills/concurrency.rs"]
mod concurrency;
#[path = "support/golden.rs"]
mod golden;
#[path = "kills/image_tests.rs"]
mod image_tests;
#[path = "kills/interrupted.rs"]
mod interrupted;
#[path = "kills/killed.rs"]
mod killed;
#[path = "support/stage.rs"]
mod stage;

use boundaries::{Boundary, Goal};
use support::{BINARY, HEAD, Ran, SUBSCRIPTION, Workspace};

/// Whether all boundaries are tested.
fn all() -> bool {
    std::env::var_os("AZIMAGE_KILLS").is_some()
}

/// The boundaries to test: all, or a sample of the writes; `offset` makes the samples of different tests differ.
fn chosen(boundaries: &[Boundary], some: usize, offset: usize) -> Vec<Boundary> {
    if let Ok(wanted) = std::env::var("AZIMAGE_KILLS") {
        let is_wanted = |boundary: &&Boundary| wanted == "all" || boundary.to_string().contains(&wanted);
        return boundaries.iter().filter(is_wanted).cloned().collect();
    }
    let writes: Vec<&Boundary> = boundaries.iter().filter(|boundary| boundary.writes()).collect();
    let step = writes.len().div_ceil(some).max(1);
    writes.into_iter().skip(offset % step).step_by(step).cloned().collect()
}

/// Continues with the next boundary after a failure, and reports all failures at the end.
fn each(goal: Goal, boundaries: &[Boundary], mut test: impl FnMut(&Boundary) -> bool) {
    let mut failed = Vec::new();
    let mut missed = 0;
    for boundary in boundaries {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(boundary)));
        match result {
            Ok(true) => println!("{goal:?} {boundary}: fine"),
            Ok(false) => {
                println!("{goal:?} {boundary}: not reached");
                missed += 1;
            }
            Err(_) => failed.push(boundary.to_string()),
        }
    }
    println!("{goal:?}: {} boundaries, {missed} not reached, {} failed", boundaries.len(), failed.len());
    assert!(failed.is_empty(), "{goal:?}: {failed:#?}");
    assert!(missed * 5 <= boundaries.len(), "{goal:?}: {missed} of {} were not reached", boundaries.len());
}

tests!(
    image_tests::a_killed_image_test_is_cleaned_up_by_the_next_apply,
    image_tests::an_interrupted_image_test_leaves_nothing,
    interrupted::an_interrupt_at_any_request_loses_nothing,
    interrupted::a_termination_of_the_process_group_loses_nothing,
    interrupted::recovers_after_two_interrupts,
    interrupted::an_interrupt_while_replicating_keeps_the_version,
    killed::recovers_after_the_provider_is_killed,
    killed::recovers_after_terraform_and_the_provider_are_killed,
    killed::recovers_after_terraform_is_killed_and_its_provider_is_not,
    concurrency::two_aliases_and_two_runs_on_one_gallery,
    concurrency::a_region_that_another_run_adds_after_the_plan_is_kept,
    concurrency::a_hanging_run_does_not_delay_others,
);
