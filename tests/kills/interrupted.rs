//! Runs interrupted by the user: once, twice in a row, and while a version is being replicated.

use std::time::{Duration, Instant};

use super::boundaries::{Boundary, Goal, Series, StateFile, ids, restore, state, tainted};
use super::stage::{Running, Stage};
use super::{Workspace, chosen, each, support};

/// How long an interrupted run may take to end after the service has answered its open requests.
const END_TIMEOUT: Duration = Duration::from_secs(20);

// Ctrl-C reaches every process in the terminal.
fn interrupt(running: &Running) {
    running.signal_group("INT");
}

// Every object that the service accepted is in the state, and every object in the state exists.
fn assert_truthful(goal: Goal, stage: &Stage, workspace: &Workspace) {
    stage.advance();
    let state = state(workspace);
    assert!(tainted(&state).is_empty(), "tainted: {:?}", tainted(&state));
    let there = stage.objects();
    let held = ids(&state);
    for object in &there {
        let id = object.split(' ').next().unwrap();
        assert!(held.contains(id), "{id} exists, but is not in the state");
    }
    if goal == Goal::Create {
        for id in held.iter().filter(|id| !id.contains("/agreements/")) {
            assert!(
                there.iter().any(|object| object.split(' ').next() == Some(id)),
                "{id} is in the state only"
            );
        }
    }
}

// Interrupts at a boundary and checks that nothing is lost. Returns whether the boundary was reached.
fn once(series: &Series, boundary: &Boundary) -> bool {
    by("INT", series, boundary)
}

// The same with SIGTERM, which ends jobs and which terraform treats as an interrupt.
fn terminated(series: &Series, boundary: &Boundary) -> bool {
    by("TERM", series, boundary)
}

fn by(signal: &str, series: &Series, boundary: &Boundary) -> bool {
    let Some((stage, workspace, mut running)) = series.reach(boundary) else { return false };
    running.signal_group(signal);
    // the interrupt must arrive before the response
    std::thread::sleep(Duration::from_millis(300));
    stage.release("go");
    let ran = running.end(END_TIMEOUT);
    assert!(ran.text.contains("Interrupt received"), "{}", ran.text);
    running.assert_nothing_remains(Duration::from_secs(2));
    assert_truthful(series.goal, &stage, &workspace);
    assert_eq!(series.converge(&stage, &workspace, None), 0, "an import was needed:\n{}", ran.text);
    true
}

// The second interrupt makes terraform exit immediately.
fn twice(series: &Series, boundary: &Boundary) -> bool {
    let Some((stage, workspace, mut running)) = series.reach(boundary) else { return false };
    interrupt(&running);
    std::thread::sleep(Duration::from_millis(50));
    interrupt(&running);
    std::thread::sleep(Duration::from_millis(300));
    stage.release("go");
    let ran = running.end(END_TIMEOUT);
    // or the run had already finished
    let quick = ran.text.contains("Two interrupts received") || ran.text.contains("Interrupt received");
    assert!(quick, "{}", ran.text);
    running.assert_nothing_remains(Duration::from_secs(10));
    let left = restore(&workspace);
    if left != StateFile::Whole {
        println!("terraform exited while it wrote its state, as it warns that it may: {left:?}");
    }
    if left == StateFile::Nothing && series.goal != Goal::Create {
        series.adopt(&stage, &workspace);
    }
    assert!(tainted(&state(&workspace)).is_empty(), "tainted: {}", ran.text);
    if series.goal != Goal::Create {
        let held = ids(&state(&workspace));
        for object in stage.objects() {
            let id = object.split(' ').next().unwrap();
            assert!(held.contains(id), "{id} exists, but is not in the state:\n{}", ran.text);
        }
    }
    series.converge(&stage, &workspace, None);
    true
}

fn interrupting(some: usize, offset: usize, test: fn(&Series, &Boundary) -> bool) {
    let terraform = support::terraform("");
    for goal in Goal::ALL {
        let series = Series::new(&terraform, goal);
        let some = if goal == Goal::Create { some } else { 1 };
        each(goal, &chosen(&series.boundaries, some, offset), |boundary| test(&series, boundary));
    }
}

pub fn an_interrupt_at_any_request_loses_nothing() {
    interrupting(3, 0, once);
}

pub fn a_termination_of_the_process_group_loses_nothing() {
    interrupting(2, 1, terminated);
}

pub fn recovers_after_two_interrupts() {
    interrupting(2, 2, twice);
}

pub fn an_interrupt_while_replicating_keeps_the_version() {
    let terraform = support::terraform("");
    let series = Series::new(&terraform, Goal::Create);
    let version = series
        .boundaries
        .iter()
        .find(|boundary| {
            boundary.method == "PUT" && boundary.path.contains("versions") && boundary.side == "after"
        })
        .expect("a version is created");
    let (stage, workspace, mut running) = series.reach(version).expect("the version is created");
    let last = stage.last_request();
    stage.release("go");
    let begun = Instant::now();
    while !stage.is_polled(&last) {
        assert!(begun.elapsed() < Duration::from_secs(20), "the interrupted run waited for the version");
        std::thread::sleep(Duration::from_millis(50));
    }
    interrupt(&running);
    let interrupted = Instant::now();
    let ran =
        running.end(END_TIMEOUT).assert_contains("is not finished yet").assert_contains("kept in the state");
    println!("ended {:?} after the interrupt", interrupted.elapsed());
    running.assert_nothing_remains(Duration::from_secs(2));
    assert_truthful(Goal::Create, &stage, &workspace);
    assert_eq!(series.converge(&stage, &workspace, None), 0, "{}", ran.text);
}
