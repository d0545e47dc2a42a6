//! SIGKILL of the provider alone, terraform alone, or both.

use std::time::Duration;

use super::boundaries::{Boundary, Goal, Series};
use super::stage::Running;
use super::{all, chosen, each, support};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Provider,
    Terraform,
    Both,
}

impl Victim {
    fn kill(self, running: &mut Running) {
        match self {
            Victim::Provider => running.signal("KILL", &running.providers()),
            Victim::Terraform => running.signal("KILL", &[running.terraform()]),
            Victim::Both => running.signal_group("KILL"),
        }
    }
}

// Kills at a boundary and checks that the next runs complete. Returns the number of imports, or `None` if the
// boundary was not reached.
fn kill(series: &Series, victim: Victim, boundary: &Boundary) -> Option<usize> {
    let (stage, workspace, mut running) = series.reach(boundary)?;
    victim.kill(&mut running);
    let ran = running.end(Duration::from_secs(30));
    assert_ne!(ran.code, 0, "{}", ran.text);
    stage.release("drop");
    if victim != Victim::Provider {
        // an orphaned provider detects that within five seconds and exits
        let begun = std::time::Instant::now();
        while !running.providers().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(15), "a provider outlives its terraform");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    let begins = series.goal == Goal::Create && boundary.starts_operation();
    let imports = series.converge(&stage, &workspace, Some(boundary).filter(|_| begins));
    if begins {
        assert_eq!(imports, 0, "the next apply joins the running operation of a killed one");
    }
    if series.goal != Goal::Create {
        assert_eq!(imports, 0, "objects in the state need no import");
    }
    Some(imports)
}

fn killing(victim: Victim, offset: usize) {
    let terraform = support::terraform("");
    for goal in Goal::ALL {
        let series = Series::new(&terraform, goal);
        let some = if goal == Goal::Create { 3 } else { 1 };
        let mut imports = 0;
        let mut tried = chosen(&series.boundaries, some, offset);
        if goal == Goal::Create && !all() {
            // created and completed, but not in the state yet: must be imported
            tried.extend(
                series
                    .boundaries
                    .iter()
                    .rfind(|boundary| boundary.path.ends_with(r"/versions/1\.0\.0$"))
                    .cloned(),
            );
        }
        each(goal, &tried, |boundary| {
            let pasted = kill(&series, victim, boundary);
            imports += pasted.unwrap_or_default();
            pasted.is_some()
        });
        if std::env::var("AZIMAGE_KILLS").is_ok_and(|wanted| wanted != "all") {
            continue;
        }
        assert!(goal != Goal::Create || imports > 0, "no boundary left a finished object outside the state");
        println!("{victim:?} killed during {goal:?}: {imports} imports pasted");
    }
}

pub fn recovers_after_the_provider_is_killed() {
    killing(Victim::Provider, 1);
}

pub fn recovers_after_terraform_and_the_provider_are_killed() {
    killing(Victim::Both, 3);
}

pub fn recovers_after_terraform_is_killed_and_its_provider_is_not() {
    if all() {
        return killing(Victim::Terraform, 0);
    }
    // an orphaned provider needs five seconds to detect that
    let terraform = support::terraform("");
    let series = Series::new(&terraform, Goal::Create);
    let tried = series.boundaries.iter().find(|boundary| boundary.starts_operation()).cloned();
    each(Goal::Create, tried.as_slice(), |boundary| kill(&series, Victim::Terraform, boundary).is_some());
}
