//! A gallery in the pipeline: what is sent, how an answer is read, and how a gallery is deleted.

use async_trait::async_trait;
use serde_json::{Value as Json, json};

use super::{Gallery, Model, SoftDelete, sharing};
use crate::arm::id::{GALLERY, same_id};
use crate::arm::{Error, ResourceId, Target};
use crate::azure::objects::gallery::{Gallery as Object, Identity};
use crate::azure::pipeline::{self, Change, Managed, Member, Step, Task, Update};
use crate::azure::run_log::Event;
use crate::azure::{Call, Context, body, fault, tags};
use crate::framework::{Failed, Private};
use crate::schema::{Diagnostic, Diagnostics};

#[async_trait]
impl Managed for Gallery {
    const NOUN: &'static str = "gallery";
    const IS_PARENT: bool = true;

    const MEMBERS: &'static [Member] = &[
        Member::new("soft_delete.enabled", "2021-07-01"),
        Member::new("soft_delete.retention_days", "2026-03-03"),
        Member::new("soft_delete.grace_period_days", "2026-03-03"),
        Member::new("identity", "2025-03-03"),
        Member::value("sharing.permission", "Groups", "2020-09-30"),
        Member::value("sharing.permission", "Community", "2022-01-03"),
    ];

    fn resource_id(&self, context: &Context, model: &Model) -> Result<ResourceId, Diagnostic> {
        let subscription = context.subscription(model.subscription_id.as_deref())?;
        Ok(ResourceId::new(GALLERY, subscription, &model.resource_group_name, &[&model.name]))
    }

    async fn expand_new(&self, task: &Task<'_>, plan: &Model) -> Result<Json, Diagnostics> {
        Ok(expand(task.context, plan, None))
    }

    fn steps<'s>(&'s self, update: Update<'s, Model>, _current: &Json) -> Vec<Step<'s>> {
        vec![Box::new(move |current| Change::Put(expand(update.context, update.plan, Some(current))))]
    }

    async fn flatten(
        &self,
        task: &Task<'_>,
        object: &Json,
        id: &ResourceId,
        known: &Model,
    ) -> Result<Model, Error> {
        let gallery = Object::read(object);
        let sharing = sharing::read(task, id, &gallery, known.sharing.as_ref()).await?;
        Ok(Model {
            id: Some(id.to_string()),
            name: id.name().to_owned(),
            resource_group_name: id.resource_group().to_owned(),
            subscription_id: Some(id.subscription_id().to_owned()),
            location: gallery.location.unwrap_or_else(|| known.location.clone()),
            description: gallery.description,
            tags: tags::own(task.context, &gallery.tags, known.tags.as_ref(), known.tags_all.as_ref()),
            tags_all: Some(gallery.tags),
            unique_name: gallery.unique_name.or_else(|| known.unique_name.clone()),
            provisioning_state: gallery.provisioning_state.or_else(|| known.provisioning_state.clone()),
            soft_delete: flatten_soft_delete(gallery.soft_delete, known.soft_delete.as_ref()),
            identity: gallery.identity,
            sharing,
            timeouts: known.timeouts.clone(),
        })
    }

    async fn after_write(
        &self,
        task: &Task<'_>,
        plan: &Model,
        prior: Option<&Model>,
        state: Model,
    ) -> Result<Model, Failed<Model>> {
        note_purge(task.context, plan);
        sharing::after_write(self, task, plan, prior, state).await
    }

    async fn read(&self, call: Call<'_>, state: Model) -> Result<Option<Model>, Diagnostics> {
        let context = call.context;
        let read = pipeline::read(self, call, state).await?;
        Ok(read.inspect(|state| note_purge(context, state)))
    }

    async fn remove(
        &self,
        task: &Task<'_>,
        prior: &Model,
        _private: &mut Private,
    ) -> Result<(), Diagnostics> {
        let children = [
            (Target::at(format!("{}/images", task.id)), "image definition"),
            (Target::at(format!("{}/applications", task.id)), "gallery application"),
        ];
        // the service deletes no gallery that is shared
        if prior.sharing.as_ref().is_some_and(|sharing| !sharing.is_private()) {
            // unsharing a gallery that cannot be deleted would only harm its users
            pipeline::refuse_with_children(task, &children).await?;
            sharing::reset(task)
                .await
                .map_err(|error| fault::diagnostic(&error, "unsharing the gallery", &task.id.to_string()))?;
        }
        pipeline::delete_parent(task, &self.target(&task.id), &children).await
    }
}

// A policy that is off is the same as none.
fn flatten_soft_delete(
    policy: Option<crate::azure::objects::gallery::SoftDeletePolicy>,
    known: Option<&SoftDelete>,
) -> Option<SoftDelete> {
    let Some(policy) = policy else { return known.cloned() };
    let old = known.cloned().unwrap_or_default();
    // the service's own choice is not the user's
    let days = |days: Option<i64>, old: Option<i64>| match known {
        Some(known) if known.enabled && old.is_none() => None,
        _ => days.or(old),
    };
    let read = SoftDelete {
        enabled: policy.enabled.unwrap_or(old.enabled),
        retention_days: days(policy.retention_days, old.retention_days),
        grace_period_days: days(policy.grace_period_days, old.grace_period_days),
        purge_on_destroy: old.purge_on_destroy,
    };
    (read.enabled || known.is_some()).then_some(read)
}

/// The body to send: the existing gallery with the planned members.
pub fn expand(context: &Context, plan: &Model, current: Option<&Json>) -> Json {
    let mut body = current.cloned().unwrap_or_else(|| json!({}));
    body::keep_only(&mut body, &["location", "tags", "identity", "properties"]);
    body["location"] =
        current.and_then(|current| current.get("location").cloned()).unwrap_or_else(|| json!(plan.location));
    body["tags"] = json!(tags::merged(context, plan.tags.as_ref()));
    for read_only in ["provisioningState", "identifier", "sharingStatus"] {
        body::set(&mut body, &format!("properties.{read_only}"), Json::Null);
    }
    let description = plan.description.as_deref().unwrap_or_default();
    // an empty text removes a description; a missing one keeps it
    if !description.is_empty() || current.is_some_and(|c| body::at(c, "properties.description").is_some()) {
        body::set(&mut body, "properties.description", json!(description));
    }
    let was_enabled = body::bool(&body, "properties.softDeletePolicy.isSoftDeleteEnabled") == Some(true);
    match &plan.soft_delete {
        // off is the service's default
        Some(policy) if policy.enabled => {
            let mut set = |name: &str, value: Json| {
                body::set(&mut body, &format!("properties.softDeletePolicy.{name}"), value);
            };
            set("isSoftDeleteEnabled", json!(true));
            for (name, days) in [
                ("retentionPeriodInDays", policy.retention_days),
                ("gracePeriodInDays", policy.grace_period_days),
            ] {
                if let Some(days) = days {
                    set(name, json!(days));
                }
            }
        }
        _ if was_enabled => {
            body::set(&mut body, "properties.softDeletePolicy.isSoftDeleteEnabled", json!(false))
        }
        _ => {}
    }
    let had_identity = current.is_some_and(|current| body::at(current, "identity").is_some());
    match &plan.identity {
        Some(identity) => body["identity"] = expand_identity(identity, current),
        None if had_identity => body["identity"] = json!({"type": "None"}),
        None => {}
    }
    if body::at(&body, "properties").is_none() {
        body["properties"] = json!({});
    }
    sharing::expand(&mut body, plan.sharing.as_ref(), current);
    body
}

fn expand_identity(identity: &Identity, current: Option<&Json>) -> Json {
    let wanted: Vec<&String> = identity.identity_ids.iter().flat_map(|ids| ids.iter()).collect();
    let mut ids: serde_json::Map<String, Json> =
        wanted.iter().map(|id| (id.to_string(), json!({}))).collect();
    // null removes an identity; a missing one stays
    let old = current.and_then(|current| body::at(current, "identity.userAssignedIdentities"));
    for name in old.and_then(Json::as_object).into_iter().flat_map(|old| old.keys()) {
        if !wanted.iter().any(|wanted| same_id(wanted, name)) {
            ids.insert(name.clone(), Json::Null);
        }
    }
    let mut body = json!({"type": identity.r#type});
    if !ids.is_empty() {
        body["userAssignedIdentities"] = Json::Object(ids);
    }
    body
}

/// Records for the definitions in the gallery whether destroying one purges its deleted versions.
pub fn note_purge(context: &Context, gallery: &Model) {
    let purge = gallery.soft_delete.as_ref().is_some_and(|policy| policy.enabled && policy.purge_on_destroy);
    let event = if purge { Event::PurgeOnDestroy } else { Event::KeepOnDestroy };
    if let Some(id) = &gallery.id {
        context.run.record(id, event);
    }
}
