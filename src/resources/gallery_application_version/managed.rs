//! An application version in the pipeline: what is sent, how long is waited, and what destroying does.

use async_trait::async_trait;
use serde_json::Value as Json;

use super::GalleryApplicationVersion;
use super::json::{self, own_regions};
use super::model::{Model, id_of, label};
use crate::arm::{Error, ResourceId, Target};
use crate::azure::gallery_version::APPLICATION_VERSION as KIND;
use crate::azure::gallery_version::location::location;
use crate::azure::gallery_version::retain::is_to_stay;
use crate::azure::gallery_version::steps::{self, drop_unplanned_regions, regions_added_by_others};
use crate::azure::gallery_version::unfinished::{Progress, wait_until};
use crate::azure::pipeline::{self, Change, Ended, Managed, Member, Outcome, Step, Task, WaitUntil};
use crate::azure::provisioning::kept_end_of_life_date;
use crate::azure::replication::Replication;
use crate::azure::run_log::Event;
use crate::azure::{Context, fault};
use crate::framework::Op;
use crate::schema::{Diagnostic, Diagnostics};

#[async_trait]
impl Managed for GalleryApplicationVersion {
    type Model = Model;

    const NOUN: &'static str = KIND.noun;
    const TYPE_NAME: &'static str = "azimage_gallery_application_version";

    const MEMBERS: &'static [Member] = &[
        Member::new("custom_action", "2022-03-03"),
        Member::new("target_region.exclude_from_latest", "2022-03-03"),
        Member::new("script_behavior_after_reboot", "2024-03-03"),
    ];

    fn id(&self, _context: &Context, model: &Model) -> Result<ResourceId, Diagnostic> {
        id_of(model)
    }

    fn target(&self, id: &ResourceId) -> Target {
        Target::at(id.to_string())
    }

    fn read_target(&self, id: &ResourceId) -> Target {
        self.target(id).query("$expand", "ReplicationStatus")
    }

    fn label(&self, id: &ResourceId) -> String {
        label(id)
    }

    fn diagnose(error: &Error, what: &str, id: &str) -> Diagnostic {
        fault::at(error, what, id, attribute_of(error.target.as_deref()))
    }

    async fn expand_new(&self, task: &Task<'_>, plan: &Model) -> Result<Json, Diagnostics> {
        let location = location(task, &KIND, plan.location.as_deref(), &plan.gallery_application_id).await?;
        Ok(json::expand(task.context, plan, &location, None))
    }

    fn steps<'s>(
        &'s self,
        context: &'s Context,
        prior: &'s Model,
        plan: &'s Model,
        current: &Json,
    ) -> Vec<Step<'s>> {
        let (planned, known) = (plan.target_regions(), steps::known(&prior.target_regions()));
        steps::steps(&planned, &known, current, &Replication::parse(current))
            .into_iter()
            .map(|step| {
                let (planned, known) = (planned.clone(), known.clone());
                let step = move |current: &Json| {
                    let body = json::expand(context, plan, "", Some(current));
                    Change::Put(step.body(&planned, &known, current, body))
                };
                Box::new(step) as Step<'s>
            })
            .collect()
    }

    fn wait_until(&self, context: &Context, plan: &Model, object: &Json) -> WaitUntil {
        wait_until(context, plan.wait_for_replication.as_deref(), plan.location.as_deref(), object)
    }

    fn can_adopt(&self, plan: &Model, object: &Json, is_retained: bool) -> bool {
        is_retained && json::is_same_package(object, plan)
    }

    async fn flatten(
        &self,
        task: &Task<'_>,
        object: &Json,
        id: &ResourceId,
        known: &Model,
    ) -> Result<Model, Error> {
        Ok(json::flatten(task.context, object, id, known))
    }

    // replication costs a request of its own, and is asked for only while it can have moved
    fn plain_read_suffices(&self, state: &Model, object: Option<&Json>) -> bool {
        let progress = Progress {
            provisioning_state: state.provisioning_state.as_deref(),
            replication_state: state.replication_state.as_ref(),
        };
        match object {
            None => progress.may_be_complete(),
            Some(object) => progress.is_complete(object),
        }
    }

    fn adjust(&self, task: &Task<'_>, plan: &Model, prior: Option<&Model>, ended: &Ended, state: &mut Model) {
        if plan.end_of_life_date.is_none() && state.end_of_life_date.is_some() {
            state.end_of_life_date = None;
            task.op.warn(kept_end_of_life_date(&task.id));
        }
        let known = prior.map(|prior| steps::known(&prior.target_regions()));
        let mut regions = state.target_regions();
        let added = drop_unplanned_regions(
            &mut regions,
            &plan.target_regions(),
            known.as_deref().unwrap_or_default(),
        );
        state.target_region = own_regions(regions);
        if known.is_some() && !added.is_empty() {
            task.op.warn(regions_added_by_others(KIND.noun, &added, &task.id));
        }
        // replication_state shows which regions failed; the plan's regions are what the service has accepted
        if matches!(ended.outcome, Outcome::RegionsFailed(_)) {
            state.target_region = plan.target_region.clone();
        }
    }
}

/// Deletes or retains the version, as its `deletion_policy` says.
pub async fn delete(context: &Context, op: &Op, prior: &Model) -> Result<(), Diagnostics> {
    let id = id_of(prior)?;
    let what = format!("deleting {}", label(&id));
    let task = Task::new(context, op, what, id, GalleryApplicationVersion::diagnose);
    let _guard = context.lock(&task.id.to_string()).await;
    let progress = Progress {
        provisioning_state: prior.provisioning_state.as_deref(),
        replication_state: prior.replication_state.as_ref(),
    };
    let target = GalleryApplicationVersion.read_target(&task.id);
    if prior.deletion_policy.as_deref() == Some("retain")
        && is_to_stay(&task, progress, &target).await.map_err(|error| task.failed(&error))?
    {
        tracing::info!(id = %task.id, "application version retained in Azure: deletion_policy = \"retain\"");
        context.run.record(&task.id.to_string(), Event::Retained);
        return Ok(());
    }
    let target = GalleryApplicationVersion.target(&task.id);
    pipeline::remove(context, &task.scope, &target).await.map_err(|error| task.failed(&error).into())
}

// The attribute of a property that the service names in an error.
fn attribute_of(target: Option<&str>) -> Option<&'static str> {
    let property = target?.strip_prefix("galleryApplicationVersion.")?;
    let property = property.strip_prefix("properties.").unwrap_or(property);
    let member = property.strip_prefix("publishingProfile.").unwrap_or(property);
    Some(match member.split('.').next()? {
        "name" => "name",
        "location" => "location",
        "source" => "source",
        "manageActions" => "manage_action",
        "settings" => "package_file",
        "advancedSettings" => "advanced_settings",
        "customActions" => "custom_action",
        "enableHealthCheck" => "enable_health_check",
        "excludeFromLatest" => "exclude_from_latest",
        "endOfLifeDate" => "end_of_life_date",
        "targetRegions" | "replicaCount" | "storageAccountType" => "target_region",
        _ => return None,
    })
}

#[cfg(test)]
#[path = "managed_tests.rs"]
mod tests;
