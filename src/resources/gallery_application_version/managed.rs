//! An application version in the pipeline: what is sent, how long is waited, and what destroying does.

use async_trait::async_trait;
use serde_json::Value as Json;

use super::GalleryApplicationVersion;
use super::json::{self, own_regions};
use super::model::{Model, id_of, label};
use crate::arm::{Error, ResourceId, Target};
use crate::azure::gallery_version::location::location;
use crate::azure::gallery_version::unfinished::{Progress, wait_until};
use crate::azure::gallery_version::{APPLICATION_VERSION as KIND, regions, retain, steps};
use crate::azure::pipeline::{self, Ended, Managed, Member, Step, Task, Update, WaitUntil};
use crate::azure::{Call, Context, fault};
use crate::framework::Private;
use crate::schema::{Diagnostic, Diagnostics};

#[async_trait]
impl Managed for GalleryApplicationVersion {
    const NOUN: &'static str = KIND.noun;

    const MEMBERS: &'static [Member] = &[
        Member::new("custom_action", "2022-03-03"),
        Member::new("target_region.exclude_from_latest", "2022-03-03"),
        Member::new("script_behavior_after_reboot", "2024-03-03"),
    ];

    fn resource_id(&self, _context: &Context, model: &Model) -> Result<ResourceId, Diagnostic> {
        id_of(model)
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

    fn steps<'s>(&'s self, update: Update<'s, Model>, current: &Json) -> Vec<Step<'s>> {
        let Update { context, prior, plan } = update;
        let needs_permission = regions::needs_permission(context, &plan.gallery_application_id);
        let body = move |current: &Json| json::expand(context, plan, "", Some(current));
        steps::requests(plan.target_regions(), &prior.target_regions(), current, needs_permission, body)
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
        progress(state).is_complete(object)
    }

    fn adjust(&self, task: &Task<'_>, plan: &Model, prior: Option<&Model>, ended: &Ended, state: &mut Model) {
        steps::keep_end_of_life_date(task, plan.end_of_life_date.as_ref(), &mut state.end_of_life_date);
        let prior = prior.map(Model::target_regions);
        let (planned, read) = (plan.target_regions(), state.target_regions());
        let regions = steps::regions_after_write(task, &KIND, &planned, prior.as_deref(), read, ended);
        state.target_region = own_regions(regions);
    }

    async fn read(&self, call: Call<'_>, state: Model) -> Result<Option<Model>, Diagnostics> {
        if let Ok(id) = id_of(&state) {
            retain::remember(call.context, &id, state.deletion_policy.as_deref());
        }
        pipeline::read(self, call, state).await
    }

    async fn remove(
        &self,
        task: &Task<'_>,
        prior: &Model,
        _private: &mut Private,
    ) -> Result<(), Diagnostics> {
        let policy = prior.deletion_policy.as_deref();
        if retain::leaves(task, &KIND, policy, progress(prior), &self.read_target(&task.id)).await? {
            return Ok(());
        }
        let target = self.target(&task.id);
        pipeline::remove(task.context, &task.scope, &target).await.map_err(|error| task.failed(&error).into())
    }
}

fn progress(state: &Model) -> Progress<'_> {
    Progress {
        provisioning_state: state.provisioning_state.as_deref(),
        replication_state: state.replication_state.as_ref(),
    }
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
