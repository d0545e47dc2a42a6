//! The consecutive writes that change a version, in the order that the service requires. Each is created from the
//! current object.

use serde_json::{Value as Json, json};

use super::Kind;
use crate::arm::{ResourceId, region};
use crate::azure::body;
use crate::azure::objects::target_region::TargetRegion;
use crate::azure::pipeline::{Change, Ended, Outcome, Step as Request, Task};
use crate::azure::provisioning::kept_end_of_life_date;
use crate::azure::replication::{Replication, Wanted};
use crate::schema::{Diagnostic, Path};

const REGIONS: &str = "properties.publishingProfile.targetRegions";
const ALLOW: &str = "properties.safetyProfile.allowDeletionOfReplicatedLocations";

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Sets the permission to remove regions, and all other changes.
    AllowRemoval,
    /// Writes the planned state without these failed regions; the next step adds them again.
    DropFailed(Vec<String>),
    /// Writes the planned state.
    Apply,
}

impl Step {
    /// The body to send: `body` with all planned values. Regions that were added after the plan stay.
    fn body(&self, planned: &[TargetRegion], known: &[String], current: &Json, mut body: Json) -> Json {
        let targets = match self {
            Step::AllowRemoval => body::at(current, REGIONS).cloned().unwrap_or_default(),
            _ => {
                let failed = if let Step::DropFailed(failed) = self { failed.as_slice() } else { &[] };
                let wanted = body::items(&body, REGIONS).to_vec();
                let foreign = foreign(planned, known, current);
                let (wanted, foreign) = (wanted.iter(), foreign.iter());
                let kept = |target: &&Json| name(target).is_none_or(|name| !failed.contains(&name));
                wanted.filter(kept).chain(foreign).cloned().collect()
            }
        };
        body::set(&mut body, REGIONS, targets);
        let needs_permission = *self == Step::AllowRemoval
            || matches!(self, Step::DropFailed(_)) && body::at(current, ALLOW).is_some();
        if needs_permission {
            body::set(&mut body, ALLOW, json!(true));
        }
        body
    }
}

/// The steps from `current` to `plan`. The permission to remove regions is set before regions are removed, unless the service
/// needs none, and a failed region is removed before it is added again.
fn steps(
    planned: &[TargetRegion],
    known: &[String],
    current: &Json,
    replication: &Replication,
    needs_permission: bool,
) -> Vec<Step> {
    let home = body::text(current, "location").map(|home| region::normalise(&home)).unwrap_or_default();
    let wanted: Vec<String> = match planned {
        [] => vec![home.clone()],
        targets => targets.iter().map(|target| region::normalise(&target.name)).collect(),
    };
    let foreign = foreign(planned, known, current);
    let drops = body::items(current, REGIONS)
        .iter()
        .any(|target| !foreign.contains(target) && name(target).is_some_and(|name| !wanted.contains(&name)));
    let failed: Vec<String> = replication
        .outstanding(&Wanted::All)
        .failed
        .into_iter()
        .filter(|name| wanted.contains(name) && *name != home)
        .collect();
    let mut steps = Vec::new();
    if needs_permission && (drops || !failed.is_empty()) && body::bool(current, ALLOW) != Some(true) {
        steps.push(Step::AllowRemoval);
    }
    if !failed.is_empty() {
        steps.push(Step::DropFailed(failed));
    }
    steps.push(Step::Apply);
    steps
}

/// The requests that turn the version `current` into the plan, given its `prior` regions. `body` adds all planned values to
/// the current version. `needs_permission`: see [`regions::needs_permission`](super::regions::needs_permission).
pub fn requests<'s>(
    planned: Vec<TargetRegion>,
    prior: &[TargetRegion],
    current: &Json,
    needs_permission: bool,
    body: impl Fn(&Json) -> Json + Clone + Send + Sync + 's,
) -> Vec<Request<'s>> {
    let known = known(prior);
    let steps = steps(&planned, &known, current, &Replication::parse(current), needs_permission);
    steps
        .into_iter()
        .map(|step| {
            let (planned, known, body) = (planned.clone(), known.clone(), body.clone());
            let request =
                move |current: &Json| Change::Put(step.body(&planned, &known, current, body(current)));
            Box::new(request) as Request<'s>
        })
        .collect()
}

// The regions that the plan was based on.
fn known(prior: &[TargetRegion]) -> Vec<String> {
    prior.iter().map(|target| region::normalise(&target.name)).collect()
}

/// The regions in the state after a write: the planned regions among those that were `read`. `prior` are the regions that
/// the plan was based on, `None` for a creation. Warns about regions that other clients have added.
pub fn regions_after_write(
    task: &Task<'_>,
    kind: &Kind,
    planned: &[TargetRegion],
    prior: Option<&[TargetRegion]>,
    mut read: Vec<TargetRegion>,
    ended: &Ended,
) -> Vec<TargetRegion> {
    let added = drop_unplanned_regions(&mut read, planned, &known(prior.unwrap_or_default()));
    if prior.is_some() && !added.is_empty() {
        task.op.warn(regions_added_by_others(kind.noun, &added, &task.id));
    }
    // replication_state shows which regions failed; the plan's regions are what the service has accepted
    if matches!(ended.outcome, Outcome::RegionsFailed(_)) { planned.to_vec() } else { read }
}

/// Removes an unplanned end-of-life date that the service keeps from the state, with a warning.
pub fn keep_end_of_life_date(task: &Task<'_>, planned: Option<&String>, state: &mut Option<String>) {
    if planned.is_none() && state.take().is_some() {
        task.op.warn(kept_end_of_life_date(&task.id));
    }
}

/// Keeps only the planned regions in `actual`, as Terraform requires. Returns the removed regions that the prior state did
/// not have.
fn drop_unplanned_regions(
    actual: &mut Vec<TargetRegion>,
    planned: &[TargetRegion],
    known: &[String],
) -> Vec<String> {
    let is_planned =
        |target: &TargetRegion| planned.iter().any(|other| region::same_region(&other.name, &target.name));
    let foreign = actual
        .iter()
        .filter(|target| !is_planned(target) && !known.contains(&region::normalise(&target.name)))
        .map(|target| target.name.clone())
        .collect();
    // without configured regions, the service chooses them
    if !planned.is_empty() {
        actual.retain(is_planned);
    }
    foreign
}

/// The warning about regions of the version `id` that other clients added.
fn regions_added_by_others(noun: &str, added: &[String], id: &ResourceId) -> Diagnostic {
    Diagnostic::warning(
        format!("The {noun} has regions that the plan did not know"),
        format!(
            "{} was added after the plan was made, so this apply left it as it is. The next plan shows it.\n\n{id}",
            added.join(" and ")
        ),
    )
    .at(Path::attribute("target_region"))
}

// Regions that others added after the plan: they are in neither the plan nor its prior state.
fn foreign(planned: &[TargetRegion], known: &[String], current: &Json) -> Vec<Json> {
    let home = body::text(current, "location").map(|home| region::normalise(&home));
    body::items(current, REGIONS)
        .iter()
        .filter(|target| {
            name(target).is_some_and(|name| {
                !known.contains(&name)
                    && Some(&name) != home.as_ref()
                    && !planned.iter().any(|planned| region::normalise(&planned.name) == name)
            })
        })
        .cloned()
        .collect()
}

fn name(target: &Json) -> Option<String> {
    body::text(target, "name").map(|name| region::normalise(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> TargetRegion {
        TargetRegion {
            name: name.to_owned(),
            regional_replica_count: Some(1),
            storage_account_type: Some("Standard_LRS".to_owned()),
            exclude_from_latest: Some(false),
            encryption: None,
        }
    }

    fn current(regions: &[&str], allow: bool) -> Json {
        let regions: Vec<Json> = regions
            .iter()
            .map(
                |name| json!({"name": name, "regionalReplicaCount": 1, "storageAccountType": "Standard_LRS"}),
            )
            .collect();
        json!({"location": "eastus", "tags": {}, "properties": {
            "publishingProfile": {"targetRegions": regions, "excludeFromLatest": false},
            "storageProfile": {},
            "safetyProfile": {"allowDeletionOfReplicatedLocations": allow},
        }})
    }

    fn shape(steps: &[Json]) -> Vec<String> {
        steps
            .iter()
            .map(|step| {
                let names: Vec<String> = body::items(step, "properties.publishingProfile.targetRegions")
                    .iter()
                    .filter_map(|target| body::text(target, "name"))
                    .map(|name| region::normalise(&name))
                    .collect();
                let allow = body::bool(step, "properties.safetyProfile.allowDeletionOfReplicatedLocations");
                format!("{} {}", names.join("+"), allow.unwrap_or_default())
            })
            .collect()
    }

    // The body with all other changes, and the target regions.
    fn change(planned: &[TargetRegion], allow: bool) -> Json {
        let names: Vec<Json> = planned.iter().map(|region| json!({"name": region.name})).collect();
        json!({"properties": {
            "publishingProfile": {"targetRegions": names},
            "safetyProfile": {"allowDeletionOfReplicatedLocations": allow},
        }})
    }

    #[test]
    fn sets_the_permission_before_removing_regions_and_re_adds_failed_regions() {
        let plan = |regions: &[&str], allow: bool| -> (Vec<TargetRegion>, bool) {
            (regions.iter().map(|name| region(name)).collect(), allow)
        };
        let failed = |name: &str| {
            Replication::parse(&json!({"properties": {"replicationStatus": {"summary": [
                {"region": name, "state": "Failed", "progress": 0, "details": "no capacity"},
            ]}}}))
        };
        let none = Replication::default();
        let all = ["East US", "West US", "North Europe"];
        let rows = [
            (
                plan(&["eastus", "westus", "northeurope"], false),
                current(&all, false),
                none.clone(),
                vec!["eastus+westus+northeurope false"],
            ),
            (
                plan(&["eastus", "westus"], true),
                current(&all, false),
                none.clone(),
                vec!["eastus+westus+northeurope true", "eastus+westus true"],
            ),
            (plan(&["eastus", "westus"], true), current(&all, true), none, vec!["eastus+westus true"]),
            (
                plan(&["eastus", "westus"], false),
                current(&["East US", "West US"], false),
                failed("West US"),
                vec!["eastus+westus true", "eastus true", "eastus+westus false"],
            ),
            (plan(&["eastus"], false), current(&["East US"], false), failed("East US"), vec!["eastus false"]),
        ];
        for ((planned, allow), current, replication, expected) in rows {
            let known: Vec<String> = all.iter().map(|name| region::normalise(name)).collect();
            let bodies: Vec<Json> = steps(&planned, &known, &current, &replication, true)
                .iter()
                .map(|step| step.body(&planned, &known, &current, change(&planned, allow)))
                .collect();
            assert_eq!(shape(&bodies), expected);
        }
    }

    #[test]
    fn sends_no_permission_that_the_service_does_not_know() {
        let planned = [region("eastus"), region("westus")];
        let mut current = current(&["East US", "West US", "UK South"], false);
        body::remove(&mut current, "properties.safetyProfile");
        let failed = Replication::parse(&json!({"properties": {"replicationStatus": {"summary": [
            {"region": "West US", "state": "Failed", "progress": 0},
        ]}}}));
        let known = known(&[region("East US"), region("West US"), region("UK South")]);
        let mut change = change(&planned, false);
        body::remove(&mut change, "properties.safetyProfile");
        let bodies: Vec<Json> = steps(&planned, &known, &current, &failed, false)
            .iter()
            .map(|step| step.body(&planned, &known, &current, change.clone()))
            .collect();
        assert_eq!(shape(&bodies), ["eastus false", "eastus+westus false"]);
        assert!(bodies.iter().all(|body| body::at(body, "properties.safetyProfile").is_none()));
    }

    #[test]
    fn keeps_regions_that_were_added_after_the_plan() {
        let planned = [region("eastus"), region("uksouth")];
        let known = known(&[region("East US"), region("West US")]);
        let current = current(&["East US", "West US", "North Europe"], true);
        let steps = steps(&planned, &known, &current, &Replication::default(), true);
        let bodies: Vec<Json> =
            steps.iter().map(|step| step.body(&planned, &known, &current, change(&planned, true))).collect();
        assert_eq!(shape(&bodies), ["eastus+uksouth+northeurope true"]);
        let mut actual =
            vec![region("East US"), region("UK South"), region("North Europe"), region("West US")];
        assert_eq!(drop_unplanned_regions(&mut actual, &planned, &known), ["North Europe"]);
        assert_eq!(
            actual.iter().map(|region| region.name.as_str()).collect::<Vec<_>>(),
            ["East US", "UK South"]
        );
    }
}
