//! The replication of an image version: reading its progress, describing it, and waiting for it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;

use super::provisioning::is_in_flight;
use super::{body, fault};
use crate::arm::{Client, Error, Scope, Target, region};
use crate::schema::Diagnostic;

/// What applying an image version waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// All target regions have their replicas.
    #[default]
    All,
    /// The version's home region has its replicas.
    Home,
    /// The service has accepted the version.
    None,
}

impl Wait {
    /// The values in HCL.
    pub const WORDS: &'static [&'static str] = &["all", "home", "none"];

    /// Parses one of [`Wait::WORDS`]; anything else is the default.
    pub fn parse(word: &str) -> Wait {
        match word {
            "home" => Wait::Home,
            "none" => Wait::None,
            _ => Wait::All,
        }
    }
}

/// The replication state of one region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// No known state.
    #[default]
    Unknown,
    /// The replicas are being created.
    Replicating,
    /// All replicas exist.
    Completed,
    /// Creating the replicas failed.
    Failed,
}

impl State {
    /// The service's name of the state.
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

/// The replication of one region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// Its state.
    pub state: State,
    /// The progress in percent, 0 to 100.
    pub progress: i64,
    /// Details from the service, or empty.
    pub details: String,
}

/// The replication of an image version, by the short names of its target regions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replication {
    /// The target regions.
    pub regions: BTreeMap<String, Region>,
    /// The version's own provisioning state.
    pub provisioning_state: String,
    /// Whether the response contained a replication status.
    pub reported: bool,
    /// The aggregated state from the service, if there is one.
    pub aggregated: Option<String>,
}

/// Wanted regions that are not complete, by short name, in the order of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outstanding {
    /// Regions that are still replicating.
    pub unfinished: Vec<String>,
    /// Regions that failed.
    pub failed: Vec<String>,
    /// Regions that are not target regions of the version.
    pub not_targets: Vec<String>,
}

/// The regions to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All target regions that the version has at the time of each read.
    All,
    /// These regions, in any spelling.
    Regions(Vec<String>),
}

impl Replication {
    /// Parses a response to a GET with `$expand=ReplicationStatus`.
    ///
    /// If the response contains no replication status at all, a version that is `Succeeded` counts as complete: otherwise
    /// every plan would show a change. [`wait_until`] reads the version several times before it relies on that.
    pub fn parse(version: &Json) -> Replication {
        let provisioning_state = body::text(version, "properties.provisioningState").unwrap_or_default();
        let reported = body::at(version, "properties.replicationStatus.summary")
            .is_some_and(|summary| summary.as_array().is_some_and(|summary| !summary.is_empty()));
        let aggregated = body::text(version, "properties.replicationStatus.aggregatedState");
        let reads_without_status = match aggregated.as_deref().map(State::parse) {
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
                    let progress = if reads_without_status == State::Completed { 100 } else { 0 };
                    (
                        region::normalise(&name),
                        Region { state: reads_without_status, progress, details: String::new() },
                    )
                })
                .collect();
        let only_targets = !regions.is_empty();
        for entry in body::items(version, "properties.replicationStatus.summary") {
            let Some(name) = body::text(entry, "region").map(|name| region::normalise(&name)) else {
                continue;
            };
            // the summary still contains a removed region for a while
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

    /// The state of each region, by the service's name.
    pub fn states(&self) -> BTreeMap<String, String> {
        self.regions.iter().map(|(name, region)| (name.clone(), region.state.as_str().to_owned())).collect()
    }

    /// The progress of each region in percent.
    pub fn progress(&self) -> BTreeMap<String, i64> {
        self.regions.iter().map(|(name, region)| (name.clone(), region.progress)).collect()
    }

    /// Whether the service reports that every `wanted` region is complete. While the version is `in_flight`, target regions
    /// may still be missing from the response.
    pub fn has_reached(&self, wanted: &Wanted, in_flight: bool) -> bool {
        let complete = self.reported && self.outstanding(wanted).is_empty();
        complete && (*wanted != Wanted::All || !in_flight)
    }

    /// The `wanted` regions that are not complete.
    pub fn outstanding(&self, wanted: &Wanted) -> Outstanding {
        let mut left = Outstanding::default();
        let names: Vec<String> = match wanted {
            Wanted::All => self.regions.keys().cloned().collect(),
            Wanted::Regions(names) => names.iter().map(|name| region::normalise(name)).collect(),
        };
        for name in names {
            match self.regions.get(&name).map(|region| region.state) {
                None => left.not_targets.push(name),
                Some(State::Completed) => {}
                Some(State::Failed) => left.failed.push(name),
                Some(State::Unknown | State::Replicating) => left.unfinished.push(name),
            }
        }
        left
    }

    /// `westeurope 40 %, eastus Completed`: unfinished regions come first.
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

    /// A line `northeurope: the service's detail` for each region of `failed`.
    pub fn reasons(&self, failed: &[String]) -> String {
        let each: Vec<String> = failed
            .iter()
            .map(|name| match self.regions.get(name).map(|region| region.details.as_str()) {
                Some(details) if !details.is_empty() => format!("{name}: {details}"),
                _ => format!("{name}: the service gave no reason"),
            })
            .collect();
        each.join("\n")
    }
}

impl Outstanding {
    /// Whether all wanted regions are complete.
    pub fn is_empty(&self) -> bool {
        self.unfinished.is_empty() && self.failed.is_empty() && self.not_targets.is_empty()
    }
}

/// Whether the version's home region has its replicas, so that the version can be used even if other regions failed.
pub fn home_is_complete(version: &Json) -> bool {
    let replication = Replication::parse(version);
    let home = body::text(version, "location").map(|home| region::normalise(&home)).unwrap_or_default();
    replication.reported
        && replication.regions.get(&home).is_some_and(|region| region.state == State::Completed)
}

/// One read of a version.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The response.
    pub body: Json,
    /// The replication in it.
    pub replication: Replication,
}

/// Why a wait ended early.
#[derive(Debug)]
pub enum Unready {
    /// Wanted regions have failed, and the service is not working on them.
    Failed(Box<Snapshot>, Vec<String>),
    /// The version's last operation failed, or the version is being deleted, and nothing is being replicated any more.
    Halted(Box<Snapshot>),
    /// Wanted regions are not target regions of the version.
    NotTargets(Box<Snapshot>, Vec<String>),
    /// The timeout passed, the user interrupted, or the service failed; with the last snapshot, if there is one.
    Interrupted(Box<Error>, Option<Box<Snapshot>>),
    /// The version does not exist.
    Gone,
}

impl Unready {
    /// The last snapshot of the version.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        match self {
            Unready::Failed(snapshot, _) | Unready::Halted(snapshot) | Unready::NotTargets(snapshot, _) => {
                Some(snapshot)
            }
            Unready::Interrupted(_, snapshot) => snapshot.as_deref(),
            Unready::Gone => None,
        }
    }

    /// The diagnostic, which failed `doing` something with the version `id`.
    pub fn diagnostic(&self, doing: &str, id: &str) -> Diagnostic {
        let error = |what: &str, why: String| {
            Diagnostic::error(fault::capital(&format!("{doing}: {what}")), format!("{why}\n\n{id}"))
        };
        match self {
            Unready::Failed(snapshot, failed) => error(
                &format!("the replication failed in {}", failed.join(", ")),
                format!(
                    "{}\n\nAll regions: {}.\n\nThe version itself is not endangered. To try again, take the failed regions out of \
                     the version, apply, put them back, and apply again.",
                    snapshot.replication.reasons(failed),
                    snapshot.replication.describe()
                ),
            ),
            Unready::Halted(snapshot) if snapshot.replication.provisioning_state == "Deleting" => {
                error("the version is being deleted", "Nothing more will be replicated.".to_owned())
            }
            Unready::Halted(snapshot) => error(
                "the version's last operation failed",
                format!(
                    "The version is in state {:?}, and nothing is being replicated: {}. Apply the version again first.",
                    snapshot.replication.provisioning_state,
                    snapshot.replication.describe()
                ),
            ),
            Unready::NotTargets(snapshot, not_targets) => {
                let targets: Vec<&str> = snapshot.replication.regions.keys().map(String::as_str).collect();
                error(
                    &format!("the version is not replicated to {}", not_targets.join(", ")),
                    format!(
                        "Its target regions are {}. Add the missing ones to the version, or do not wait for them.",
                        targets.join(", ")
                    ),
                )
            }
            Unready::Interrupted(why, snapshot) => {
                let mut diagnostic = fault::diagnostic(why, doing, id);
                if let Some(snapshot) = snapshot {
                    diagnostic.detail =
                        format!("{}\n\nSo far: {}.", diagnostic.detail, snapshot.replication.describe());
                }
                diagnostic
            }
            Unready::Gone => {
                error("the version does not exist", "Create it first, or correct the ID.".to_owned())
            }
        }
    }
}

// The number of consecutive reads after which an unexpected response counts.
const CONFIRMING_READS: u32 = 4;

/// Polls the version at `target` (without query options) until every `wanted` region has its replicas.
pub async fn wait_until(
    client: &Client,
    scope: &Scope,
    target: &Target,
    wanted: &Wanted,
) -> Result<Snapshot, Unready> {
    let target = target.clone().query("$expand", "ReplicationStatus");
    let mut last: Option<Box<Snapshot>> = None;
    let mut last_progress = String::new();
    // the number of consecutive reads with the same unexpected response
    let (mut absent, mut reads_without_status, mut failing) = (0, 0, 0);
    for wait in waits() {
        match client.get_opt(scope, &target).await {
            Ok(Some(body)) => {
                absent = 0;
                let snapshot = Snapshot { replication: Replication::parse(&body), body };
                let progress = snapshot.replication.describe();
                if progress != last_progress {
                    tracing::info!(id = target.path(), "{}: {progress}", scope.what());
                    last_progress = progress;
                }
                let left = snapshot.replication.outstanding(wanted);
                // while an operation is running, a failure may be that of an earlier operation
                let in_flight = is_in_flight(&snapshot.body);
                reads_without_status =
                    if snapshot.replication.reported || in_flight { 0 } else { reads_without_status + 1 };
                failing = if left.failed.is_empty() { 0 } else { failing + 1 };
                if !left.not_targets.is_empty() && !snapshot.replication.regions.is_empty() {
                    return Err(Unready::NotTargets(Box::new(snapshot), left.not_targets));
                }
                if !left.failed.is_empty() && (!in_flight || failing > CONFIRMING_READS) {
                    return Err(Unready::Failed(Box::new(snapshot), left.failed));
                }
                // while an operation is running, target regions may be missing from the response
                let is_complete = *wanted != Wanted::All || !in_flight;
                if left.is_empty()
                    && is_complete
                    && (snapshot.replication.reported || reads_without_status >= CONFIRMING_READS)
                {
                    return Ok(snapshot);
                }
                let is_replicating =
                    snapshot.replication.regions.values().any(|region| region.state == State::Replicating);
                match snapshot.replication.provisioning_state.as_str() {
                    "Failed" if !is_replicating && !left.is_empty() => {
                        return Err(Unready::Halted(Box::new(snapshot)));
                    }
                    "Deleting" => return Err(Unready::Halted(Box::new(snapshot))),
                    _ => {}
                }
                last = Some(Box::new(snapshot));
            }
            // shortly after a create, reads may not find the object
            Ok(None) => {
                absent += 1;
                if absent > CONFIRMING_READS {
                    return Err(Unready::Gone);
                }
            }
            Err(error) => return Err(Unready::Interrupted(Box::new(error), last)),
        }
        // a long wait ends before the deadline, so that a last read decides
        let last_read = scope.remaining().saturating_sub(Duration::from_secs(1));
        let nap = if last_read.is_zero() { wait } else { wait.min(last_read) };
        if let Err(error) = scope.sleep(nap).await {
            return Err(Unready::Interrupted(Box::new(error), last));
        }
    }
    Err(Unready::Gone)
}

// 1 s, growing to 15 s. The waits never end, so the scope must limit them.
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
    fn parses_every_spelling_and_adds_missing_regions() {
        let read = Replication::parse(&version(
            "Updating",
            &[("West Europe", "replicating", 40), ("UK South", "Completed", 100)],
        ));
        assert_eq!(read.describe(), "eastus not begun, westeurope 40 %");
        assert_eq!(read.states()["eastus"], "Unknown");
        assert_eq!(read.progress()["westeurope"], 40);
        assert!(!read.regions.contains_key("uksouth"), "it is not a target region any more");
        let read = Replication::parse(&version(
            "Succeeded",
            &[("eastus", "Completed", 0), ("westeurope", "Failed", 7)],
        ));
        assert_eq!(read.describe(), "westeurope Failed, eastus Completed");
        assert_eq!(read.progress()["eastus"], 100);
        assert_eq!(read.reasons(&["westeurope".to_owned()]), "westeurope: Failed there");
    }

    #[test]
    fn a_succeeded_version_without_a_replication_status_is_complete() {
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
    fn lists_outstanding_regions() {
        let read = Replication::parse(&version(
            "Updating",
            &[("East US", "Completed", 100), ("West Europe", "Failed", 3)],
        ));
        let rows = [
            (Wanted::All, (0, 1, 0)),
            (regions(&["EAST US"]), (0, 0, 0)),
            (regions(&["westeurope", "uksouth"]), (0, 1, 1)),
        ];
        for (wanted, (unfinished, failed, not_targets)) in rows {
            let left = read.outstanding(&wanted);
            assert_eq!(
                (left.unfinished.len(), left.failed.len(), left.not_targets.len()),
                (unfinished, failed, not_targets),
                "{wanted:?}"
            );
        }
    }

    // Waits with the responses in order; the last one repeats.
    async fn wait(answers: &[Json], wanted: Wanted, seconds: u64) -> (Result<Snapshot, Unready>, usize) {
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
    async fn waits_until_the_requested_regions_are_complete() {
        let running =
            version("Updating", &[("East US", "Completed", 100), ("West Europe", "Replicating", 40)]);
        let done = version("Succeeded", &[("East US", "Completed", 100), ("West Europe", "Completed", 100)]);
        let stale = version("Updating", &[("East US", "Failed", 0), ("West Europe", "Completed", 100)]);
        let rows: &[(&[Json], Wanted, usize)] = &[
            (&[running.clone(), done.clone()], Wanted::All, 2),
            (std::slice::from_ref(&running), regions(&["eastus"]), 1),
            (&[Json::Null, Json::Null, done.clone()], Wanted::All, 3),
            (&[stale.clone(), stale, done.clone()], Wanted::All, 3),
            (
                &[version("Updating", &[]), version("Succeeded", &[])],
                Wanted::All,
                1 + CONFIRMING_READS as usize,
            ),
        ];
        for (answers, wanted, calls) in rows {
            let (ended, seen) = wait(answers, wanted.clone(), 600).await;
            assert!(ended.is_ok(), "{ended:?}");
            assert_eq!(seen, *calls);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_all_regions_includes_the_end_of_the_operation() {
        let all = [("East US", "Completed", 100), ("West Europe", "Completed", 100)];
        let answers = [version("Updating", &all), version("Succeeded", &all)];
        assert_eq!(wait(&answers, Wanted::All, 600).await.1, 2);
        assert_eq!(wait(&answers, regions(&["eastus", "westeurope"]), 600).await.1, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn ends_early_with_the_cause() {
        let (ended, _) = wait(
            &[version("Succeeded", &[("East US", "Failed", 0), ("West Europe", "Replicating", 1)])],
            Wanted::All,
            600,
        )
        .await;
        let diagnostic = ended.unwrap_err().diagnostic("creating x", ID);
        assert!(diagnostic.summary.contains("Creating x: the replication failed in eastus"), "{diagnostic}");
        assert!(
            diagnostic.detail.contains("eastus: Failed there")
                && diagnostic.detail.contains("westeurope 1 %"),
            "{diagnostic}"
        );

        let (ended, _) = wait(&[version("Updating", &[("East US", "Failed", 0)])], Wanted::All, 600).await;
        assert!(matches!(ended, Err(Unready::Failed(..))), "a repeated failure counts");
        let (ended, _) = wait(&[version("Failed", &[("East US", "Completed", 100)])], Wanted::All, 600).await;
        assert!(matches!(ended, Err(Unready::Halted(_))));
        let deleting = version("Deleting", &[("East US", "Completed", 100)]);
        let (ended, calls) = wait(&[deleting], regions(&["westeurope"]), 600).await;
        assert!(matches!(&ended, Err(Unready::Halted(_))), "{ended:?}");
        assert_eq!(calls, 1);
        assert!(ended.unwrap_err().diagnostic("waiting", ID).summary.contains("is being deleted"));
        let (ended, _) = wait(&[version("Succeeded", &[])], regions(&["uksouth", "eastus"]), 600).await;
        assert!(matches!(ended, Err(Unready::NotTargets(_, not_targets)) if not_targets == ["uksouth"]));
        let (ended, _) = wait(&[Json::Null], Wanted::All, 600).await;
        assert!(matches!(ended, Err(Unready::Gone)));
    }

    #[tokio::test(start_paused = true)]
    async fn reads_once_more_before_the_deadline() {
        let begun = tokio::time::Instant::now();
        let running =
            version("Updating", &[("East US", "Completed", 100), ("West Europe", "Replicating", 40)]);
        let (ended, calls) = wait(&[running], Wanted::All, 100).await;
        let Err(unready) = ended else { panic!("{ended:?}") };
        assert!(matches!(&unready, Unready::Interrupted(error, Some(_)) if error.kind == Kind::TimedOut));
        assert_eq!(begun.elapsed(), Duration::from_secs(100));
        assert_eq!(calls, 13, "reads 1 s apart, growing to 15 s, and one a second before the deadline");
        let diagnostic = unready.diagnostic("creating x", ID);
        assert!(diagnostic.detail.contains("westeurope 40 %, eastus Completed"), "{diagnostic}");
    }
}
