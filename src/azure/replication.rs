//! How far an image version has spread: read from the service's answer, told to people, and waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;

use super::provisioning::is_in_flight;
use super::{body, fault};
use crate::arm::{Client, Error, Scope, Target, region};
use crate::schema::Diagnostic;

/// How long applying an image version waits for its replication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// Until every region has its replicas.
    #[default]
    All,
    /// Until the version's own region has them.
    Home,
    /// Not at all.
    None,
}

impl Wait {
    /// The words allowed in HCL.
    pub const WORDS: &'static [&'static str] = &["all", "home", "none"];

    /// Reads one of [`Wait::WORDS`]; anything else is the default.
    pub fn parse(word: &str) -> Wait {
        match word {
            "home" => Wait::Home,
            "none" => Wait::None,
            _ => Wait::All,
        }
    }
}

/// What the service says of one region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing certain.
    #[default]
    Unknown,
    /// The replicas are being made.
    Replicating,
    /// The replicas are there.
    Completed,
    /// The replicas could not be made.
    Failed,
}

impl State {
    /// The service's word.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Unknown => "Unknown",
            State::Replicating => "Replicating",
            State::Completed => "Completed",
            State::Failed => "Failed",
        }
    }

    fn parse(word: &str) -> State {
        [State::Replicating, State::Completed, State::Failed]
            .into_iter()
            .find(|state| state.as_str().eq_ignore_ascii_case(word))
            .unwrap_or_default()
    }
}

/// One region's share of a replication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// Where it stands.
    pub state: State,
    /// Percent, 0 to 100.
    pub progress: i64,
    /// The service's remarks; empty when there are none.
    pub details: String,
}

/// How far an image version has spread, by the short names of its target regions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replication {
    /// The target regions.
    pub regions: BTreeMap<String, Region>,
    /// The version's own provisioning state.
    pub provisioning_state: String,
    /// Whether the service said anything about replication.
    pub reported: bool,
    /// The state of the whole, in the service's word, when it gave one.
    pub aggregated: Option<String>,
}

/// What keeps a wish from being fulfilled; short names, in the wish's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outstanding {
    /// Regions that are not done yet.
    pub unfinished: Vec<String>,
    /// Regions that failed.
    pub failed: Vec<String>,
    /// Regions that are no target regions of the version.
    pub foreign: Vec<String>,
}

/// Which regions to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All target regions, whichever the version has when it is looked at.
    All,
    /// These, in any spelling.
    Regions(Vec<String>),
}

impl Replication {
    /// Reads a version got with `$expand=ReplicationStatus`.
    ///
    /// Where the service says nothing of replication at all, a version that is `Succeeded` counts as complete: it is
    /// all that can be known, and to call it unfinished would make a change out of silence for ever. [`wait_until`]
    /// looks more than once before it believes that.
    pub fn parse(version: &Json) -> Replication {
        let provisioning_state = body::text(version, "properties.provisioningState").unwrap_or_default();
        let reported = body::at(version, "properties.replicationStatus.summary")
            .is_some_and(|summary| summary.as_array().is_some_and(|summary| !summary.is_empty()));
        let aggregated = body::text(version, "properties.replicationStatus.aggregatedState");
        let silent = match aggregated.as_deref().map(State::parse) {
            _ if reported => State::Unknown,
            Some(State::Completed) => State::Completed,
            Some(_) => State::Unknown,
            None if provisioning_state == "Succeeded" => State::Completed,
            None => State::Unknown,
        };
        let mut regions: BTreeMap<String, Region> =
            body::items(version, "properties.publishingProfile.targetRegions")
                .iter()
                .filter_map(|target| body::text(target, "name"))
                .map(|name| {
                    let progress = if silent == State::Completed { 100 } else { 0 };
                    (region::normalise(&name), Region { state: silent, progress, details: String::new() })
                })
                .collect();
        let only_targets = !regions.is_empty();
        for entry in body::items(version, "properties.replicationStatus.summary") {
            let Some(name) = body::text(entry, "region").map(|name| region::normalise(&name)) else {
                continue;
            };
            // a region that was taken out lingers in the summary for a while
            if only_targets && !regions.contains_key(&name) {
                continue;
            }
            let state = State::parse(&body::text(entry, "state").unwrap_or_default());
            let progress = match state {
                State::Completed => 100,
                _ => body::int(entry, "progress").unwrap_or_default().clamp(0, 100),
            };
            let details = body::text(entry, "details").unwrap_or_default().trim().to_owned();
            regions.insert(name, Region { state, progress, details });
        }
        Replication { regions, provisioning_state, reported: reported || aggregated.is_some(), aggregated }
    }

    /// State by region, in the service's words.
    pub fn states(&self) -> BTreeMap<String, String> {
        self.regions.iter().map(|(name, region)| (name.clone(), region.state.as_str().to_owned())).collect()
    }

    /// Percent by region.
    pub fn progress(&self) -> BTreeMap<String, i64> {
        self.regions.iter().map(|(name, region)| (name.clone(), region.progress)).collect()
    }

    /// Whether every `wanted` region has its replicas, and the service has said so. While the version is `in_flight`,
    /// target regions may still be missing from the answer.
    pub fn has_reached(&self, wanted: &Wanted, in_flight: bool) -> bool {
        let complete = self.reported && self.outstanding(wanted).is_empty();
        complete && (*wanted != Wanted::All || !in_flight)
    }

    /// What of `wanted` is not fulfilled.
    pub fn outstanding(&self, wanted: &Wanted) -> Outstanding {
        let mut left = Outstanding::default();
        let names: Vec<String> = match wanted {
            Wanted::All => self.regions.keys().cloned().collect(),
            Wanted::Regions(names) => names.iter().map(|name| region::normalise(name)).collect(),
        };
        for name in names {
            match self.regions.get(&name).map(|region| region.state) {
                None => left.foreign.push(name),
                Some(State::Completed) => {}
                Some(State::Failed) => left.failed.push(name),
                Some(State::Unknown | State::Replicating) => left.unfinished.push(name),
            }
        }
        left
    }

    /// `westeurope 40 %, eastus Completed`: what is unfinished first.
    pub fn describe(&self) -> String {
        let mut regions: Vec<_> = self.regions.iter().collect();
        regions.sort_by_key(|(_, region)| match region.state {
            State::Failed => 0,
            State::Unknown | State::Replicating => 1,
            State::Completed => 2,
        });
        let each: Vec<String> = regions
            .into_iter()
            .map(|(name, region)| match region.state {
                State::Replicating => format!("{name} {} %", region.progress),
                State::Unknown => format!("{name} not begun"),
                state => format!("{name} {}", state.as_str()),
            })
            .collect();
        each.join(", ")
    }

    /// `northeurope: the service's detail`, a line for each failed region of `failed`.
    pub fn reasons(&self, failed: &[String]) -> String {
        let each: Vec<String> = failed
            .iter()
            .map(|name| match self.regions.get(name).map(|region| region.details.as_str()) {
                Some(details) if !details.is_empty() => format!("{name}: {details}"),
                _ => format!("{name}: the service gives no reason"),
            })
            .collect();
        each.join("\n")
    }
}

impl Outstanding {
    /// Nothing is.
    pub fn is_empty(&self) -> bool {
        self.unfinished.is_empty() && self.failed.is_empty() && self.foreign.is_empty()
    }
}

/// Whether the version's own region has its replicas, so that the version is usable whatever failed elsewhere.
pub fn home_is_complete(version: &Json) -> bool {
    let replication = Replication::parse(version);
    let home = body::text(version, "location").map(|home| region::normalise(&home)).unwrap_or_default();
    replication.reported
        && replication.regions.get(&home).is_some_and(|region| region.state == State::Completed)
}

/// One look at a version.
#[derive(Clone, Debug)]
pub struct Look {
    /// What the service answered.
    pub body: Json,
    /// The same, read.
    pub replication: Replication,
}

/// Why a wait ended without its wish.
#[derive(Debug)]
pub enum Unready {
    /// Regions that were waited for have failed, and the service is not at work on them.
    Failed(Box<Look>, Vec<String>),
    /// The version's last operation failed, or the version is being deleted, and nothing is being replicated any more.
    Halted(Box<Look>),
    /// Regions that were waited for are no target regions of the version.
    NotTargets(Box<Look>, Vec<String>),
    /// Time passed, the user interrupted, or the service cannot be asked; with the last look, when there was one.
    Interrupted(Box<Error>, Option<Box<Look>>),
    /// There is no such version.
    Gone,
}

impl Unready {
    /// The last that was seen of the version.
    pub fn look(&self) -> Option<&Look> {
        match self {
            Unready::Failed(look, _) | Unready::Halted(look) | Unready::NotTargets(look, _) => Some(look),
            Unready::Interrupted(_, look) => look.as_deref(),
            Unready::Gone => None,
        }
    }

    /// The error to show, of `doing` something with the version `id`.
    pub fn diagnostic(&self, doing: &str, id: &str) -> Diagnostic {
        let error = |what: &str, why: String| {
            Diagnostic::error(fault::capital(&format!("{doing}: {what}")), format!("{why}\n\n{id}"))
        };
        match self {
            Unready::Failed(look, failed) => error(
                &format!("the replication failed in {}", failed.join(", ")),
                format!(
                    "{}\n\nAll regions: {}.\n\nThe version itself is not endangered. To try again, take the failed regions out of \
                     the version, apply, put them back, and apply again.",
                    look.replication.reasons(failed),
                    look.replication.describe()
                ),
            ),
            Unready::Halted(look) if look.replication.provisioning_state == "Deleting" => {
                error("the version is being deleted", "Nothing more will be replicated.".to_owned())
            }
            Unready::Halted(look) => error(
                "the version's last operation failed",
                format!(
                    "The version is in state {:?}, and nothing is being replicated: {}. Apply the version again first.",
                    look.replication.provisioning_state,
                    look.replication.describe()
                ),
            ),
            Unready::NotTargets(look, foreign) => {
                let targets: Vec<&str> = look.replication.regions.keys().map(String::as_str).collect();
                error(
                    &format!("the version is not replicated to {}", foreign.join(", ")),
                    format!(
                        "Its target regions are {}. Add the missing ones to the version, or do not wait for them.",
                        targets.join(", ")
                    ),
                )
            }
            Unready::Interrupted(why, look) => {
                let mut told = fault::diagnostic(why, doing, id);
                if let Some(look) = look {
                    told.detail = format!("{}\n\nSo far: {}.", told.detail, look.replication.describe());
                }
                told
            }
            Unready::Gone => {
                error("there is no such version", "Create it first, or correct the id.".to_owned())
            }
        }
    }
}

// Looks in a row after which something odd is believed.
const CERTAIN: u32 = 4;

/// Looks at the version at `target` (without query options) until every `wanted` region has its replicas.
pub async fn wait_until(
    client: &Client,
    scope: &Scope,
    target: &Target,
    wanted: &Wanted,
) -> Result<Look, Unready> {
    let target = target.clone().query("$expand", "ReplicationStatus");
    let mut last: Option<Box<Look>> = None;
    let mut told = String::new();
    // how often in a row the same odd thing was seen
    let (mut absent, mut silent, mut failing) = (0, 0, 0);
    for wait in waits() {
        match client.get_opt(scope, &target).await {
            Ok(Some(body)) => {
                absent = 0;
                let look = Look { replication: Replication::parse(&body), body };
                let progress = look.replication.describe();
                if progress != told {
                    tracing::info!(id = target.path(), "{}: {progress}", scope.what());
                    told = progress;
                }
                let left = look.replication.outstanding(wanted);
                // while the service is at work, a failure may be that of an earlier operation
                let in_flight = is_in_flight(&look.body);
                silent = if look.replication.reported || in_flight { 0 } else { silent + 1 };
                failing = if left.failed.is_empty() { 0 } else { failing + 1 };
                if !left.foreign.is_empty() && !look.replication.regions.is_empty() {
                    return Err(Unready::NotTargets(Box::new(look), left.foreign));
                }
                if !left.failed.is_empty() && (!in_flight || failing > CERTAIN) {
                    return Err(Unready::Failed(Box::new(look), left.failed));
                }
                // before the operation has ended, target regions may still be missing from what the service tells
                let whole = *wanted != Wanted::All || !in_flight;
                if left.is_empty() && whole && (look.replication.reported || silent >= CERTAIN) {
                    return Ok(look);
                }
                let at_work =
                    look.replication.regions.values().any(|region| region.state == State::Replicating);
                match look.replication.provisioning_state.as_str() {
                    "Failed" if !at_work && !left.is_empty() => return Err(Unready::Halted(Box::new(look))),
                    "Deleting" => return Err(Unready::Halted(Box::new(look))),
                    _ => {}
                }
                last = Some(Box::new(look));
            }
            // shortly after a create the service may not see its own object
            Ok(None) => {
                absent += 1;
                if absent > CERTAIN {
                    return Err(Unready::Gone);
                }
            }
            Err(error) => return Err(Unready::Interrupted(Box::new(error), last)),
        }
        // a long wait is cut short of the deadline, so that the last word is a look and not a guess
        let last_look = scope.remaining().saturating_sub(Duration::from_secs(1));
        let nap = if last_look.is_zero() { wait } else { wait.min(last_look) };
        if let Err(error) = scope.sleep(nap).await {
            return Err(Unready::Interrupted(Box::new(error), last));
        }
    }
    Err(Unready::Gone)
}

// 1 s, growing to 15 s. The scope ends it.
fn waits() -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(Duration::from_secs(1)), |wait| {
        Some((*wait * 3 / 2).min(Duration::from_secs(15)))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::arm::{Kind, Method};
    use crate::azure::testing::FakeArm;

    const ID: &str =
        "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries/g/images/i/versions/1.0.0";

    // A version with target regions East US and West Europe, and a summary of `(region, state, progress)`.
    fn version(provisioning: &str, summary: &[(&str, &str, i64)]) -> Json {
        let mut version = json!({"properties": {
            "provisioningState": provisioning,
            "publishingProfile": {"targetRegions": [{"name": "East US"}, {"name": "West Europe"}]}}});
        if !summary.is_empty() {
            let summary: Vec<Json> = summary
                .iter()
                .map(|(region, state, progress)| {
                    json!({"region": region, "state": state, "progress": progress, "details": format!("{state} there")})
                })
                .collect();
            version["properties"]["replicationStatus"] =
                json!({"aggregatedState": "InProgress", "summary": summary});
        }
        version
    }

    fn regions(names: &[&str]) -> Wanted {
        Wanted::Regions(names.iter().map(|name| name.to_string()).collect())
    }

    #[test]
    fn reads_every_spelling_and_fills_what_is_missing() {
        let read = Replication::parse(&version(
            "Updating",
            &[("West Europe", "replicating", 40), ("UK South", "Completed", 100)],
        ));
        assert_eq!(read.describe(), "eastus not begun, westeurope 40 %");
        assert_eq!(read.states()["eastus"], "Unknown");
        assert_eq!(read.progress()["westeurope"], 40);
        assert!(!read.regions.contains_key("uksouth"), "no target region any more");
        let read = Replication::parse(&version(
            "Succeeded",
            &[("eastus", "Completed", 0), ("westeurope", "Failed", 7)],
        ));
        assert_eq!(read.describe(), "westeurope Failed, eastus Completed");
        assert_eq!(read.progress()["eastus"], 100);
        assert_eq!(read.reasons(&["westeurope".to_owned()]), "westeurope: Failed there");
    }

    #[test]
    fn silence_of_a_version_that_succeeded_is_consent() {
        for (provisioning, describe) in [
            ("Succeeded", "eastus Completed, westeurope Completed"),
            ("Creating", "eastus not begun, westeurope not begun"),
            ("Failed", "eastus not begun, westeurope not begun"),
        ] {
            let read = Replication::parse(&version(provisioning, &[]));
            assert_eq!(read.describe(), describe);
            assert!(!read.reported);
        }
        let mut half = version("Succeeded", &[]);
        half["properties"]["replicationStatus"] = json!({"aggregatedState": "InProgress", "summary": []});
        assert_eq!(Replication::parse(&half).describe(), "eastus not begun, westeurope not begun");
        assert_eq!(Replication::parse(&json!({})), Replication::default());
    }

    #[test]
    fn what_is_outstanding() {
        let read = Replication::parse(&version(
            "Updating",
            &[("East US", "Completed", 100), ("West Europe", "Failed", 3)],
        ));
        let rows = [
            (Wanted::All, (0, 1, 0)),
            (regions(&["EAST US"]), (0, 0, 0)),
            (regions(&["westeurope", "uksouth"]), (0, 1, 1)),
        ];
        for (wanted, (unfinished, failed, foreign)) in rows {
            let left = read.outstanding(&wanted);
            assert_eq!(
                (left.unfinished.len(), left.failed.len(), left.foreign.len()),
                (unfinished, failed, foreign),
                "{wanted:?}"
            );
        }
    }

    // Waits with the answers in order; the last one stays.
    async fn wait(answers: &[Json], wanted: Wanted, seconds: u64) -> (Result<Look, Unready>, usize) {
        let arm = FakeArm::new();
        for (index, body) in answers.iter().enumerate().rev() {
            let times = if index + 1 == answers.len() { usize::MAX } else { 1 };
            let status = if body.is_null() { 404 } else { 200 };
            let body = if body.is_null() {
                json!({"error": {"code": "NotFound", "message": "gone"}})
            } else {
                body.clone()
            };
            arm.next(times, Method::Get, ID, status, body);
        }
        let scope = Scope::new(
            Duration::from_secs(seconds),
            Default::default(),
            "waiting for the replication of image version \"1.0.0\"",
        );
        let ended =
            wait_until(&Arc::clone(&arm).client(), &scope, &Target::new(ID, "2026-03-03"), &wanted).await;
        assert!(arm.seen().iter().all(|seen| seen.query.contains("ReplicationStatus")));
        (ended, arm.calls().len())
    }

    #[tokio::test(start_paused = true)]
    async fn waits_until_the_wish_is_fulfilled() {
        let running =
            version("Updating", &[("East US", "Completed", 100), ("West Europe", "Replicating", 40)]);
        let done = version("Succeeded", &[("East US", "Completed", 100), ("West Europe", "Completed", 100)]);
        let stale = version("Updating", &[("East US", "Failed", 0), ("West Europe", "Completed", 100)]);
        let rows: &[(&[Json], Wanted, usize)] = &[
            (&[running.clone(), done.clone()], Wanted::All, 2),
            (std::slice::from_ref(&running), regions(&["eastus"]), 1),
            (&[Json::Null, Json::Null, done.clone()], Wanted::All, 3),
            (&[stale.clone(), stale, done.clone()], Wanted::All, 3),
            (&[version("Updating", &[]), version("Succeeded", &[])], Wanted::All, 1 + CERTAIN as usize),
        ];
        for (answers, wanted, calls) in rows {
            let (ended, seen) = wait(answers, wanted.clone(), 600).await;
            assert!(ended.is_ok(), "{ended:?}");
            assert_eq!(seen, *calls);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_means_that_the_operation_has_ended_too() {
        let all = [("East US", "Completed", 100), ("West Europe", "Completed", 100)];
        let answers = [version("Updating", &all), version("Succeeded", &all)];
        assert_eq!(wait(&answers, Wanted::All, 600).await.1, 2);
        assert_eq!(wait(&answers, regions(&["eastus", "westeurope"]), 600).await.1, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn ends_early_with_the_reason() {
        let (ended, _) = wait(
            &[version("Succeeded", &[("East US", "Failed", 0), ("West Europe", "Replicating", 1)])],
            Wanted::All,
            600,
        )
        .await;
        let told = ended.unwrap_err().diagnostic("creating x", ID);
        assert!(told.summary.contains("Creating x: the replication failed in eastus"), "{told}");
        assert!(
            told.detail.contains("eastus: Failed there") && told.detail.contains("westeurope 1 %"),
            "{told}"
        );

        let (ended, _) = wait(&[version("Updating", &[("East US", "Failed", 0)])], Wanted::All, 600).await;
        assert!(matches!(ended, Err(Unready::Failed(..))), "a failure that stays is believed");
        let (ended, _) = wait(&[version("Failed", &[("East US", "Completed", 100)])], Wanted::All, 600).await;
        assert!(matches!(ended, Err(Unready::Halted(_))));
        let deleting = version("Deleting", &[("East US", "Completed", 100)]);
        let (ended, calls) = wait(&[deleting], regions(&["westeurope"]), 600).await;
        assert!(matches!(&ended, Err(Unready::Halted(_))), "{ended:?}");
        assert_eq!(calls, 1);
        assert!(ended.unwrap_err().diagnostic("waiting", ID).summary.contains("is being deleted"));
        let (ended, _) = wait(&[version("Succeeded", &[])], regions(&["uksouth", "eastus"]), 600).await;
        assert!(matches!(ended, Err(Unready::NotTargets(_, foreign)) if foreign == ["uksouth"]));
        let (ended, _) = wait(&[Json::Null], Wanted::All, 600).await;
        assert!(matches!(ended, Err(Unready::Gone)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_word_before_the_deadline_is_a_look() {
        let begun = tokio::time::Instant::now();
        let running =
            version("Updating", &[("East US", "Completed", 100), ("West Europe", "Replicating", 40)]);
        let (ended, calls) = wait(&[running], Wanted::All, 100).await;
        let Err(unready) = ended else { panic!("{ended:?}") };
        assert!(matches!(&unready, Unready::Interrupted(error, Some(_)) if error.kind == Kind::TimedOut));
        assert_eq!(begun.elapsed(), Duration::from_secs(100));
        assert_eq!(calls, 13, "1 s apart at first, then 15 s, and one a second before the end");
        let told = unready.diagnostic("creating x", ID);
        assert!(told.detail.contains("westeurope 40 %, eastus Completed"), "{told}");
    }
}
