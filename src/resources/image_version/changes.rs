//! Creating and changing an image version in the order that the service needs, waiting as long as wanted, losing nothing.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::steps::{self, Step};
use super::{Model, NOUN, definition_location, id_of, json as words, label, target};
use crate::arm::{Error, Kind, ResourceId, Scope, Target, region};
use crate::azure::context::{Wait, scope};
use crate::azure::objects::source;
use crate::azure::replication::{self, Replication, Unready, Wanted};
use crate::azure::writing::{self, Outcome, Written};
use crate::azure::{Context, attributes, body, fault, identity};
use crate::framework::{Draft, Failed, Op, Private};
use crate::schema::{Diagnostic, Diagnostics, Path, Value};

/// Plans an update for a version that is not finished, so that apply goes on waiting, or repairs a failed region.
pub fn unfinished(context: Option<&Context>, draft: &mut Draft<'_>) {
    if draft.is_create() {
        return;
    }
    let wait = wait_of(context, draft.planned.get("wait_for_replication").as_str());
    let states = draft.prior.get("replication_state");
    let has = |wanted: &[&str]| {
        states.entries().any(|(_, state)| state.as_str().is_some_and(|state| wanted.contains(&state)))
    };
    let home = draft.prior.get("location").as_str().map(region::normalise).unwrap_or_default();
    let home_unfinished =
        states.entries().any(|(name, state)| *name == home && state.as_str() != Some("Completed"));
    let state = draft.prior.get("provisioning_state").as_str();
    let failed = has(&["Failed"]) || state == Some("Failed");
    let open = match wait {
        Wait::All => has(&["Replicating", "Unknown"]) || state.is_some_and(|state| state != "Succeeded"),
        Wait::Home => home_unfinished,
        Wait::None => false,
    };
    if !failed && !open {
        return;
    }
    for name in ["provisioning_state", "replication_state", "replication_progress"] {
        draft.planned.set(name, Value::Unknown);
    }
    let progress: Vec<String> = states
        .entries()
        .filter(|(_, state)| state.as_str() != Some("Completed"))
        .map(|(name, state)| {
            let percent = draft.prior.get("replication_progress").entries().find(|(have, _)| *have == name);
            let percent = percent.and_then(|(_, percent)| percent.as_i64()).unwrap_or_default();
            format!("{name} {} ({percent} %)", state.as_str().unwrap_or_default())
        })
        .collect();
    let what = if failed { "has failed in a region" } else { "is not replicated everywhere yet" };
    let next = if failed {
        "Apply takes the failed regions out and puts them in again; the others stay."
    } else {
        "Apply goes on waiting."
    };
    draft.diagnostics.warning(
        Path::attribute("replication_state"),
        format!("The image version {what}"),
        format!(
            "{}. {next}",
            if progress.is_empty() {
                format!("It is {}", state.unwrap_or_default())
            } else {
                progress.join(", ")
            }
        ),
    );
}

/// Whether replication was complete when `state` was told, so that a version without changes need not be asked for it.
pub fn may_be_complete(state: &Model) -> bool {
    state.provisioning_state.as_deref() == Some("Succeeded")
        && state
            .replication_state
            .as_ref()
            .is_some_and(|known| known.values().all(|state| state == "Completed"))
}

/// The replication that a state knows to be complete, when the version in `body` gives no reason to look again.
pub fn known_complete(state: &Model, body: &Json) -> Option<Replication> {
    let silent = Replication::parse(body);
    let complete = may_be_complete(state)
        && body::text(body, "properties.provisioningState").as_deref() == Some("Succeeded")
        && state.replication_state.iter().flat_map(|known| known.keys()).eq(silent.regions.keys());
    complete.then_some(silent)
}

/// Makes the version.
pub async fn create(
    context: &Context,
    op: &Op,
    plan: Model,
    private: &mut Private,
) -> Result<Model, Failed<Model>> {
    let id = id_of(&plan)?;
    let scope = scope(op, format!("creating image version {}", label(&id)));
    let _guard = context.lock(&id.to_string()).await;
    let left = writing::existing(context, &scope, &target(&id), NOUN, "azimage_image_version").await?;
    let joined = left.is_some();
    if left.is_some_and(|left| !is_same(&left, &plan)) {
        return Err(writing::already_exists(&id.to_string(), NOUN, "azimage_image_version").into());
    }
    let location = match &plan.location {
        Some(location) => location.clone(),
        None => definition_location(context, &scope, &plan.image_definition_id).await?,
    };
    // before the write: what is planned again meanwhile may see the version before this run has its answer
    context.published(&id);
    let accepted = if joined {
        // a run that was killed made it: it is what is wanted, so this run waits for it
        json!({})
    } else {
        refuse_soft_deleted(context, &scope, &id).await?;
        let body = words::expand_new(context, &plan, &location);
        match context.client.put(&scope, &target(&id), &body).await {
            Ok(accepted) => {
                if let Some(operation) = &accepted.operation {
                    writing::remember(private, operation);
                }
                accepted.body
            }
            Err(error) => {
                match writing::after_lost_answer(&context.client, &scope, &target(&id), &error).await {
                    Some(written) => written.body,
                    None => {
                        let attribute = attribute_of(error.target.as_deref());
                        return Err(fault::at(&error, scope.what(), &id.to_string(), attribute).into());
                    }
                }
            }
        }
    };
    let wait = wait_of(Some(context), plan.wait_for_replication.as_deref());
    let end = finish(context, &scope, &id, &location, wait, accepted, private).await;
    conclude(context, op, &id, &plan, end, None)
}

/// Changes the version in place.
pub async fn update(
    context: &Context,
    op: &Op,
    prior: Model,
    plan: Model,
    private: &mut Private,
) -> Result<Model, Failed<Model>> {
    let id = id_of(&prior)?;
    let scope = scope(op, format!("updating image version {}", label(&id)));
    let target = target(&id);
    let failed = |error: Error| {
        fault::at(&error, scope.what(), &id.to_string(), attribute_of(error.target.as_deref()))
    };
    let known = steps::known(&prior);
    let _guard = context.lock(&id.to_string()).await;
    // what an earlier run began comes to its end first, and what is there now counts, not what was there
    let resumed = writing::resume(&context.client, &scope, &target, private).await.map_err(failed)?;
    let Some(Written { body: current, outcome }) = resumed else {
        return Err(identity::vanished(NOUN, &id).into());
    };
    if let Outcome::Unfinished(error) = outcome {
        // what was not even sent must not look as if it were true
        if !body::settled(&current, &Step::Wanted.body(context, &plan, &known, &current)) {
            return Err(failed(error).into());
        }
        let replication = Replication::parse(&current);
        return conclude(
            context,
            op,
            &id,
            &plan,
            End { body: current, replication, trouble: Some(Trouble::Unfinished(error)) },
            Some(&known),
        );
    }
    let location = body::text(&current, "location").unwrap_or_default();
    // the last look before the write: what somebody else changes after it is lost
    let mut current = expanded(context, &scope, &target).await.map_err(failed)?.unwrap_or(current);
    let replication = Replication::parse(&current);
    for step in steps::steps(&plan, &known, &current, &replication) {
        let body = step.body(context, &plan, &known, &current);
        if body::settled(&current, &body) && !writing::is_broken(&current) {
            continue;
        }
        let written = writing::put(&context.client, &scope, &target, &body, private).await.map_err(failed)?;
        current = written.body;
        match written.outcome {
            Outcome::Done => {}
            Outcome::Unfinished(error) => {
                let replication = Replication::parse(&current);
                let end = End { body: current, replication, trouble: Some(Trouble::Unfinished(error)) };
                return conclude(context, op, &id, &plan, end, Some(&known));
            }
            Outcome::Failed(error) => {
                let replication = replicated(context, &scope, &target, &current).await.unwrap_or_default();
                let end = End { body: current, replication, trouble: Some(Trouble::Failed(failed(error))) };
                return conclude(context, op, &id, &plan, end, Some(&known));
            }
        }
    }
    let wait = wait_of(Some(context), plan.wait_for_replication.as_deref());
    let end = finish(context, &scope, &id, &location, wait, current, private).await;
    conclude(context, op, &id, &plan, end, Some(&known))
}

// How far a write came.
struct End {
    body: Json,
    replication: Replication,
    trouble: Option<Trouble>,
}

enum Trouble {
    // accepted, and still going on
    Unfinished(Error),
    // regions failed; the version is there
    Regions(Diagnostic),
    // the version failed
    Failed(Diagnostic),
}

// Waits as long as is wanted, and tells how things stand then.
async fn finish(
    context: &Context,
    scope: &Scope,
    id: &ResourceId,
    location: &str,
    wait: Wait,
    accepted: Json,
    private: &mut Private,
) -> End {
    let target = target(id);
    let Some(wanted) = Wanted::new(wait, location) else {
        let body = expanded(context, scope, &target).await.ok().flatten().unwrap_or(accepted);
        return End { replication: Replication::parse(&body), body, trouble: None };
    };
    if wait == Wait::All {
        match writing::resume(&context.client, scope, &target, private).await {
            Ok(Some(Written { body, outcome })) => match outcome {
                Outcome::Done => {}
                Outcome::Unfinished(error) => {
                    let seen = expanded(context, &writing::patient(scope), &target).await.ok().flatten();
                    let body = seen.unwrap_or(body);
                    let replication = Replication::parse(&body);
                    return End { body, replication, trouble: Some(Trouble::Unfinished(error)) };
                }
                Outcome::Failed(error) => return halted(context, scope, id, body, error).await,
            },
            // not readable yet: it was accepted, so it exists
            Ok(None) => {}
            Err(error) => {
                let replication = Replication::parse(&accepted);
                return End { body: accepted, replication, trouble: Some(Trouble::Unfinished(error)) };
            }
        }
        // a service that is done and says nothing of replication has nothing more to say
        if let Ok(Some(body)) = expanded(context, scope, &target).await {
            let replication = Replication::parse(&body);
            if !replication.reported && replication.provisioning_state == "Succeeded" {
                return End { body, replication, trouble: None };
            }
        }
    }
    match replication::wait_until(&context.client, scope, &target, &wanted).await {
        Ok(look) => {
            if wait == Wait::All {
                writing::forget(private);
            } else if writing::is_broken(&look.body)
                && let Ok(Some(Written { body, outcome: Outcome::Failed(error) })) =
                    writing::resume(&context.client, scope, &target, private).await
            {
                // the regions that were waited for are there, and the rest has failed already
                return halted(context, scope, id, body, error).await;
            }
            End { body: look.body, replication: look.replication, trouble: None }
        }
        Err(unready) => {
            let told = unready.diagnostic(scope.what(), &id.to_string());
            let (body, replication) = match unready.look() {
                Some(look) => (look.body.clone(), look.replication.clone()),
                None => (accepted.clone(), Replication::parse(&accepted)),
            };
            let trouble = match unready {
                Unready::Interrupted(error, _) => Trouble::Unfinished(*error),
                // it was accepted: who is not sure that it is gone must not say so, for what is gone is made anew
                Unready::Gone => {
                    let why = "the service accepted the version, and does not show it";
                    Trouble::Unfinished(Error::new(Kind::Malformed, why))
                }
                Unready::Failed(..) => Trouble::Regions(told),
                _ => Trouble::Failed(told),
            };
            End { body, replication, trouble: Some(trouble) }
        }
    }
}

// A failed operation: of some regions only, or of the version.
async fn halted(context: &Context, scope: &Scope, id: &ResourceId, body: Json, error: Error) -> End {
    let target = target(id);
    let replication = replicated(context, scope, &target, &body).await.unwrap_or_default();
    let told = fault::diagnostic(&error, scope.what(), &id.to_string());
    let home = body::text(&body, "location").map(|home| region::normalise(&home)).unwrap_or_default();
    let home_stands =
        replication.reported && replication.states().get(&home).is_some_and(|state| state == "Completed");
    let trouble = if home_stands { Trouble::Regions(told) } else { Trouble::Failed(told) };
    End { body, replication, trouble: Some(trouble) }
}

// The state after a write, and what to tell of it. `known` are the regions that the version had, none when it is new.
fn conclude(
    context: &Context,
    op: &Op,
    id: &ResourceId,
    plan: &Model,
    end: End,
    known: Option<&[String]>,
) -> Result<Model, Failed<Model>> {
    let mut state = words::flatten(context, &end.body, &end.replication, id, plan);
    if body::at(&end.body, "properties").is_none() {
        state = Model {
            id: Some(id.to_string()),
            provisioning_state: Some("Creating".to_owned()),
            ..plan.clone()
        };
    }
    if plan.end_of_life_date.is_none() && state.end_of_life_date.is_some() {
        state.end_of_life_date = None;
        op.warn(
            Diagnostic::warning(
                "The service kept the end-of-life date",
                format!("Taking it back was asked for and not refused, but {id} still has one. The next plan shows it."),
            )
            .at(Path::attribute("end_of_life_date")),
        );
    }
    let strangers =
        steps::keep_planned(&mut state.target_region, &plan.target_region, known.unwrap_or_default());
    if known.is_some() && !strangers.is_empty() {
        op.warn(
            Diagnostic::warning(
                "The image version has regions that the plan did not know",
                format!(
                    "{} came to it after the plan was made, so this apply left that as it is. The next plan shows it.\n\n{id}",
                    strangers.join(" and ")
                ),
            )
            .at(Path::attribute("target_region")),
        );
    }
    // what the service is still doing shows in replication_state; the plan's regions are what it has accepted
    if matches!(end.trouble, Some(Trouble::Unfinished(_) | Trouble::Regions(_))) {
        state.target_region = plan.target_region.clone();
    }
    match end.trouble {
        None => Ok(state),
        Some(Trouble::Unfinished(error)) => {
            let progress = match end.replication.describe() {
                progress if progress.is_empty() => String::new(),
                progress => format!("\n\nSo far: {progress}."),
            };
            op.warn(writing::unfinished(
                &format!("image version {}", label(id)),
                &id.to_string(),
                &error,
                &progress,
            ));
            state.allow_deletion_of_replicated_locations = plan.allow_deletion_of_replicated_locations;
            state.block_deletion_before_end_of_life = plan.block_deletion_before_end_of_life;
            state.exclude_from_latest = plan.exclude_from_latest;
            state.end_of_life_date = plan.end_of_life_date.clone();
            Ok(state)
        }
        // an error while creating would make Terraform destroy the version at the next apply: half an hour's work, and
        // every region that is fine
        Some(Trouble::Regions(told)) if known.is_none() => {
            op.warn(Diagnostic::warning(
                told.summary,
                format!(
                    "{}\n\nThe version is kept. The next apply takes the failed regions out and puts them in again. To make a \
                     run fail on this, put an azimage_image_replication after the version.",
                    told.detail
                ),
            ));
            Ok(state)
        }
        Some(Trouble::Regions(told) | Trouble::Failed(told)) => Err(Failed::with(state, told)),
    }
}

async fn expanded(context: &Context, scope: &Scope, target: &Target) -> Result<Option<Json>, Error> {
    context.client.get_opt(scope, &target.clone().query("$expand", "ReplicationStatus")).await
}

async fn replicated(
    context: &Context,
    scope: &Scope,
    target: &Target,
    body: &Json,
) -> Result<Replication, Error> {
    let expanded = expanded(context, scope, target).await?;
    Ok(Replication::parse(expanded.as_ref().unwrap_or(body)))
}

// A version whose name lies in the gallery's recycle bin would not be made: the old one would come back.
async fn refuse_soft_deleted(context: &Context, scope: &Scope, id: &ResourceId) -> Result<(), Diagnostics> {
    let (Some(definition), Some(image)) = (id.parent(), id.name_of("images")) else {
        return Ok(());
    };
    let Some(gallery) = definition.parent() else {
        return Ok(());
    };
    let gallery_target = Target::new(gallery.to_string(), crate::azure::GALLERY_API);
    let soft_delete = match context.client.get_opt(scope, &gallery_target).await {
        Ok(Some(body)) => body::bool(&body, "properties.softDeletePolicy.isSoftDeleteEnabled") == Some(true),
        // a missing gallery is told better by the write itself
        Ok(None) | Err(_) => false,
    };
    if !soft_delete {
        return Ok(());
    }
    let path = format!("{gallery}/softDeletedArtifactTypes/Images/artifacts/{image}/versions");
    let bin =
        context.client.list(scope, &Target::new(path, crate::azure::GALLERY_API)).await.unwrap_or_default();
    if bin.iter().any(|item| body::text(item, "name").as_deref() == Some(id.name())) {
        return Err(Diagnostic::error(
            format!("Image version {} lies in the gallery's recycle bin", label(id)),
            format!(
                "Making it anew would bring back the deleted bits instead of these. Choose another version number, or \
                 purge the deleted one first (DELETE {id}?bypassSoftDelete=true)."
            ),
        )
        .at(Path::attribute("version"))
        .into());
    }
    Ok(())
}

// Whether what a killed run left is what is wanted now.
fn is_same(left: &Json, plan: &Model) -> bool {
    let profile = body::at(left, "properties.storageProfile").cloned().unwrap_or_default();
    let (Some(have), Some(want)) = (source::read(&profile, None), &plan.source) else {
        return false;
    };
    let same = |a: &Option<String>, b: &Option<String>| match (a, b) {
        (Some(a), Some(b)) => crate::arm::id::same_id(a, b),
        (a, b) => a.is_none() && b.is_none(),
    };
    let os = |source: &source::Source| {
        source.os_disk.clone().map(|disk| disk.snapshot_id.or(disk.disk_id).or(disk.vhd_uri))
    };
    let data = |source: &source::Source| -> BTreeMap<i64, Option<String>> {
        let disks = source.data_disk.iter().cloned();
        disks.map(|disk| (disk.lun, disk.snapshot_id.or(disk.disk_id).or(disk.vhd_uri))).collect()
    };
    let (have_data, want_data) = (data(&have), data(want));
    let shallow = |mode: Option<&str>| mode == Some("Shallow");
    same(&have.managed_image_id, &want.managed_image_id)
        && same(&have.virtual_machine_id, &want.virtual_machine_id)
        && same(&have.image_version_id, &want.image_version_id)
        && same(&have.community_image_id, &want.community_image_id)
        && same(&os(&have).flatten(), &os(want).flatten())
        && have_data.len() == want_data.len()
        && want_data.iter().all(|(lun, want)| have_data.get(lun).is_some_and(|have| same(have, want)))
        && shallow(body::text(left, "properties.publishingProfile.replicationMode").as_deref())
            == shallow(plan.replication_mode.as_deref())
        && plan.location.as_deref().is_none_or(|location| attributes::same_region(left, location))
}

fn wait_of(context: Option<&Context>, own: Option<&str>) -> Wait {
    match own {
        Some(word) => Wait::parse(word),
        None => context.map(|context| context.wait_for_replication).unwrap_or_default(),
    }
}

// The attribute behind the service's name for a property.
fn attribute_of(target: Option<&str>) -> Option<&'static str> {
    let property = target?.strip_prefix("galleryImageVersion.")?;
    if property.contains("endOfLifeDate") {
        return Some("end_of_life_date");
    }
    let property = property.strip_prefix("properties.").unwrap_or(property);
    Some(match property.split('.').next()? {
        "publishingProfile" => "target_region",
        "storageProfile" => "source",
        "safetyProfile" => "allow_deletion_of_replicated_locations",
        "location" => "location",
        "name" => "version",
        _ => return None,
    })
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
