//! An image version in the pipeline: what is sent, how long is waited, and what the state is afterwards.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value as Json;

use super::model::{Model, id_of, label, location, progress, target};
use super::{ImageVersion, deletion, json, recycle_bin, uefi};
use crate::arm::id::same_id;
use crate::arm::{Error, ResourceId, Target};
use crate::azure::gallery_version::unfinished::wait_until;
use crate::azure::gallery_version::{IMAGE_VERSION as KIND, regions, retain, steps};
use crate::azure::objects::source;
use crate::azure::pipeline::{self, Ended, Managed, Member, Start, Step, Task, Update, WaitUntil};
use crate::azure::{Call, Context, body, fault};
use crate::framework::Private;
use crate::schema::{Diagnostic, Diagnostics, Set};

#[async_trait]
impl Managed for ImageVersion {
    const NOUN: &'static str = "image version";

    const MEMBERS: &'static [Member] = &[
        Member::new("source.virtual_machine_id", "2023-07-03"),
        Member::new("source.community_image_id", "2022-03-03"),
        Member::new("source.os_disk.storage_account_id", "2022-03-03"),
        Member::new("source.data_disk.storage_account_id", "2022-03-03"),
        Member::new("source.os_disk.vhd_uri", "2020-09-30"),
        Member::new("source.data_disk.vhd_uri", "2020-09-30"),
        Member::value("replication_mode", "Shallow", "2021-07-01"),
        Member::new("target_region.exclude_from_latest", "2022-03-03"),
        Member::value("target_region.storage_account_type", "Premium_LRS", "2019-12-01"),
        Member::value("target_region.storage_account_type", "PremiumV2_LRS", "2025-03-03"),
        Member::new("target_region.encryption", "2019-12-01"),
        Member::new("target_region.encryption.confidential_vm", "2021-10-01"),
        Member::value(
            "target_region.encryption.confidential_vm.encryption_type",
            "NonPersistedTPM",
            "2022-08-03",
        ),
        regions::REMOVAL_PERMISSION,
        Member::new("block_deletion_before_end_of_life", "2025-03-03"),
        Member::new("uefi_settings_json", "2022-08-03"),
    ];

    fn resource_id(&self, _context: &Context, model: &Model) -> Result<ResourceId, Diagnostic> {
        id_of(model)
    }

    fn target(&self, id: &ResourceId) -> Target {
        target(id)
    }

    fn read_target(&self, id: &ResourceId) -> Target {
        target(id).query("$expand", "ReplicationStatus")
    }

    fn label(&self, id: &ResourceId) -> String {
        label(id)
    }

    fn diagnose(error: &Error, what: &str, id: &str) -> Diagnostic {
        fault::at(error, what, id, attribute_of(error.target.as_deref()))
    }

    async fn before_create(&self, task: &Task<'_>, plan: &mut Model) -> Result<Start, Diagnostics> {
        recycle_bin::before_create(task, plan).await
    }

    async fn expand_new(&self, task: &Task<'_>, plan: &Model) -> Result<Json, Diagnostics> {
        Ok(json::expand_new(task.context, plan, &location(task, plan).await?))
    }

    fn steps<'s>(&'s self, update: Update<'s, Model>, current: &Json) -> Vec<Step<'s>> {
        let Update { context, prior, plan } = update;
        let needs_permission = regions::needs_permission(context, &plan.image_definition_id);
        let body = move |current: &Json| json::expand_change(context, plan, current);
        steps::requests(plan.target_region.to_vec(), &prior.target_region, current, needs_permission, body)
    }

    fn wait_until(&self, context: &Context, plan: &Model, object: &Json) -> WaitUntil {
        wait_until(context, plan.wait_for_replication.as_deref(), plan.location.as_deref(), object)
    }

    fn can_adopt(&self, plan: &Model, object: &Json, is_retained: bool) -> bool {
        is_retained && is_same_image(object, plan)
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

    // UEFI settings are returned only on request, and missing ones would look like a reason to replace
    async fn complete_import(&self, task: &Task<'_>, state: &mut Model) {
        state.uefi_settings_json = uefi::settings(task.context, &task.scope, &target(&task.id)).await;
    }

    fn adjust(&self, task: &Task<'_>, plan: &Model, prior: Option<&Model>, ended: &Ended, state: &mut Model) {
        steps::keep_end_of_life_date(task, plan.end_of_life_date.as_ref(), &mut state.end_of_life_date);
        let prior = prior.map(|prior| prior.target_region.0.as_slice());
        let read = std::mem::take(&mut state.target_region.0);
        state.target_region =
            Set(steps::regions_after_write(task, &KIND, &plan.target_region, prior, read, ended));
    }

    async fn read(&self, call: Call<'_>, state: Model) -> Result<Option<Model>, Diagnostics> {
        let context = call.context;
        if let Ok(id) = id_of(&state) {
            retain::remember(context, &id, state.deletion_policy.as_deref());
        }
        let read = pipeline::read(self, call, state.clone()).await?;
        if let Some(read) = &read
            && let Some(id) = read.id.as_deref().filter(|_| state.provisioning_state.is_some())
        {
            regions::remember_added(context, id, &state.target_region, &read.target_region);
        }
        Ok(read)
    }

    async fn remove(
        &self,
        task: &Task<'_>,
        prior: &Model,
        _private: &mut Private,
    ) -> Result<(), Diagnostics> {
        deletion::delete(task, prior).await
    }
}

/// Whether the version has the content and the place that are planned, so that an update can do the rest.
pub fn is_same_image(left: &Json, plan: &Model) -> bool {
    let profile = body::at(left, "properties.storageProfile").cloned().unwrap_or_default();
    let (Some(have), Some(want)) = (source::read(&profile, None), &plan.source) else {
        return false;
    };
    let same = |a: &Option<String>, b: &Option<String>| match (a, b) {
        (Some(a), Some(b)) => same_id(a, b),
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
        && plan.location.as_deref().is_none_or(|location| body::is_in_region(left, location))
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
#[path = "managed_tests.rs"]
mod tests;
