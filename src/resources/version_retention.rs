//! `azimage_version_retention`: which versions of an image definition are kept, and which ones the next apply deletes.

use std::collections::BTreeMap;

use async_trait::async_trait;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::arm::id::IMAGE_DEFINITION;
use crate::arm::{Error, ResourceId};
use crate::azure::attributes::id_of;
use crate::azure::context::scope;
use crate::azure::retention::{self, Arguments, KEEP_RULES, Policy, Survey, lines, managed};
use crate::azure::tags::Tags;
use crate::azure::{Call, Context, fault, identity};
use crate::framework::timeouts::Defaults;
use crate::framework::{Draft, Failed, IdentityField, ImportFrom, Op, Operations, Resource, Timeouts};
use crate::image::retention::Decision;
use crate::model;
use crate::schema::spec::{block, computed, optional, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Set, Slot, Value};

model! {
    /// Keeps the versions of an image definition that its rules name, and deletes the others if `delete_versions` is true.
    ///
    /// Creating this resource deletes nothing. Each refresh computes `prunable`; with `delete_versions = true` the plan lists
    /// these versions as those that the next apply deletes, with the reason why every other one is kept. The apply deletes
    /// no others: a version that came into use, was tagged or stopped matching since the plan is spared and reported, and
    /// a version that was published since is not touched. Destroying this resource deletes no version.
    ///
    /// Usage is found with Azure Resource Graph, which learns of a new machine after some minutes. So before each deletion the
    /// virtual machines and scale sets are also listed directly: in `usage_subscription_ids`, or in all subscriptions if the
    /// identity can read no more than 50, or else in the gallery's own and those with users.
    pub struct Model {
        /// The resource ID of the image definition, which is also the ID of this resource.
        pub id: Option<String> = computed(),
        /// The ID of the image definition.
        pub image_definition_id: String = id_of(required().force_new(), IMAGE_DEFINITION),
        /// Keeps the newest versions, up to this number, that were created successfully and are not excluded from latest.
        pub keep_latest: Option<i64> = retention::keep_latest(optional()),
        /// Keeps versions published within this time, such as `90d` or `720h`.
        pub keep_newer_than: Option<String> = retention::keep_newer_than(optional()),
        /// Keeps these versions, written exactly (`1.2.0`) or as constraints (`~> 1.2`).
        pub keep_versions: Option<Set<String>> = retention::keep_versions(optional()),
        /// Keeps versions that carry one of these tags with its value.
        pub keep_tagged: Option<Tags> = optional(),
        /// Whether to keep versions that are in use: by virtual machines, models and instances of scale sets, disks, managed
        /// images or other versions.
        pub keep_in_use: Option<bool> = optional().default(true),
        /// The IDs of the subscriptions in which to look for usage. Defaults to all that the identity can read.
        pub usage_subscription_ids: Option<Set<String>> = retention::usage_subscription_ids(optional()),
        /// Whether versions may be deleted although the gallery is shared with other tenants or the community, whose usage
        /// cannot be seen.
        pub ignore_users_outside_tenant: Option<bool> = optional().default(false),
        /// Whether to delete what `prunable` lists. When false, it is only reported.
        pub delete_versions: Option<bool> = optional().default(false),
        /// The versions that are kept, and why.
        pub kept: BTreeMap<String, String> = computed(),
        /// The versions that no rule keeps, oldest first. The next apply deletes them when `delete_versions` is true.
        pub prunable: Vec<String> = computed(),
        /// The versions that this resource has deleted, and when.
        pub pruned: BTreeMap<String, String> = computed(),
        /// The versions that could not be deleted, and why. They are tried again after an argument changes.
        pub blocked: BTreeMap<String, String> = computed(),
        /// How long each operation may take.
        pub timeouts: Option<Timeouts> = block(),
    }
}

const RESULTS: [&str; 4] = ["kept", "prunable", "pruned", "blocked"];
/// The resource type.
pub struct VersionRetention;

const IDENTITY: &[IdentityField] =
    &[identity::SUBSCRIPTION_ID, identity::RESOURCE_GROUP_NAME, identity::GALLERY_NAME, identity::IMAGE_NAME];

#[async_trait]
impl Resource<Context> for VersionRetention {
    type Model = Model;

    const TYPE_NAME: &'static str = "azimage_version_retention";

    fn identity(&self) -> &'static [IdentityField] {
        IDENTITY
    }

    fn identify(&self, model: &Model) -> Vec<Option<String>> {
        let id = ResourceId::parse_as(&model.image_definition_id, IMAGE_DEFINITION);
        identity::values(IDENTITY, id.ok().as_ref())
    }

    fn timeouts(&self) -> Defaults {
        Defaults::minutes(10, 10, 120, 5)
    }

    fn import(&self, context: Option<&Context>, from: &ImportFrom) -> Result<Model, Diagnostic> {
        let id = identity::import(context, from, IDENTITY, IMAGE_DEFINITION, Self::TYPE_NAME)?;
        Ok(Model {
            id: Some(id.to_string()),
            image_definition_id: id.to_string(),
            keep_in_use: Some(true),
            ignore_users_outside_tenant: Some(false),
            delete_versions: Some(false),
            ..Model::default()
        })
    }

    fn validate(&self, config: &Value, diagnostics: &mut Diagnostics) {
        retention::require_rule(config, diagnostics);
    }

    fn prepare(&self, _context: Option<&Context>, draft: &mut Draft<'_>) {
        if draft.is_create() {
            let id =
                draft.planned.get("image_definition_id").as_str().and_then(|id| ResourceId::parse(id).ok());
            draft.planned.set("id", id.map_or(Value::Unknown, |id| Value::String(id.to_string())));
            return;
        }
        let others = ["usage_subscription_ids", "ignore_users_outside_tenant", "delete_versions"];
        let changed = KEEP_RULES.iter().chain(&others).any(|name| draft.changes(name));
        if changed || deletes(draft) {
            for name in RESULTS {
                draft.planned.set(name, Value::Unknown);
            }
        }
    }

    async fn check(&self, context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
        let Some(definition) = planned_definition(draft) else { return };
        if draft.is_create() || !deletes(draft) {
            return;
        }
        let going = listed(draft.prior.get("prunable"));
        let managed = managed(context, &definition);
        let both: Vec<&str> =
            going.iter().map(String::as_str).filter(|version| managed.contains(*version)).collect();
        if !both.is_empty() {
            found.error(
                Path::attribute("keep_versions"),
                "A version to delete is managed in this configuration",
                format!(
                    "{} would be deleted, and another resource of this configuration manages it. Add depends_on with that resource, so that it is read before the versions to delete are chosen, or list the version in keep_versions.",
                    both.join(", ")
                ),
            );
            return;
        }
        let kept = lines(&BTreeMap::decode(draft.prior.get("kept")));
        let scope = scope(op, "reading the gallery's soft delete policy");
        let bin = match retention::has_soft_delete(context, &scope, &definition).await {
            true => {
                "\n\nThe gallery has soft delete: the versions stay in its recycle bin and cost as much as before until it empties."
            }
            false => "",
        };
        let s = if going.len() == 1 { "" } else { "s" };
        found.push(
            Diagnostic::warning(
                format!("The next apply deletes {} version{s} of {:?}", going.len(), definition.name()),
                format!("To be deleted: {}.\n\nKept:\n{}{bin}", going.join(", "), kept),
            )
            .at(Path::attribute("delete_versions")),
        );
    }

    /// An import knows no rule: the generated configuration keeps what is in use.
    fn generate(&self, config: &mut Value) {
        config.set("keep_in_use", Value::Bool(true));
    }
}

#[async_trait]
impl Operations<Context> for VersionRetention {
    async fn read(&self, call: Call<'_>, state: Model) -> Result<Option<Model>, Diagnostics> {
        let Call { context, op, .. } = call;
        let definition = definition(&state)?;
        let doing = format!("reading the versions of {:?}", definition.name());
        let scope = scope(op, &doing);
        let policy = policy_of(&state);
        let decided = match Survey::read(context, &scope, &definition, &policy, &BTreeMap::new()).await {
            Ok(survey) => survey.decision,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(fault::diagnostic(&error, &doing, &definition.to_string()).into()),
        };
        let blocked = state.blocked.clone();
        Ok(Some(with_decision(state, decided, blocked)))
    }

    async fn create(&self, call: Call<'_>, plan: Model) -> Result<Model, Failed<Model>> {
        let Call { context, op, .. } = call;
        let definition = definition(&plan)?;
        let doing = format!("choosing among the versions of {:?}", definition.name());
        let (scope, policy) = (scope(op, &doing), policy_of(&plan));
        let decided = Survey::read(context, &scope, &definition, &policy, &BTreeMap::new())
            .await
            .map_err(|error| fault::diagnostic(&error, &doing, &definition.to_string()))?
            .decision;
        let plan = Model { id: Some(definition.to_string()), ..plan };
        Ok(with_decision(plan, decided, BTreeMap::new()))
    }

    async fn update(&self, call: Call<'_>, prior: Model, plan: Model) -> Result<Model, Failed<Model>> {
        let Call { context, op, .. } = call;
        let definition = definition(&plan)?;
        let doing = format!("pruning the versions of {:?}", definition.name());
        let scope = scope(op, &doing);
        let failed = |error: &Error| fault::diagnostic(error, &doing, &definition.to_string());
        let policy = policy_of(&plan);
        let survey = Survey::read(context, &scope, &definition, &policy, &prior.kept)
            .await
            .map_err(|error| failed(&error))?;
        let rules_changed = policy_of(&prior) != policy || prior.delete_versions != plan.delete_versions;
        let mut blocked = if rules_changed { BTreeMap::new() } else { prior.blocked.clone() };
        let (going, mut spared) = match plan.delete_versions {
            Some(true) => still_prunable(&prior.prunable, &survey.decision),
            _ => Default::default(),
        };
        let ended = survey.prune(going, &|line| tracing::info!("{line}")).await;
        let at = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let at = at.format(&Rfc3339).unwrap_or_default();
        let mut pruned = prior.pruned.clone();
        pruned.extend(ended.deleted.iter().map(|version| (version.clone(), at.clone())));
        let mut decided = survey.decision;
        decided
            .prunable
            .retain(|version| !pruned.contains_key(version) && !ended.spared.contains_key(version));
        for (version, why) in &ended.spared {
            decided.kept.insert(version.clone(), why.clone());
        }
        spared.extend(ended.spared);
        let deleted = "somebody else has deleted it";
        spared.extend(ended.gone.iter().map(|version| (version.clone(), deleted.to_owned())));
        let is_gone = |version: &String| ended.gone.contains(version);
        decided.prunable.retain(|version| !is_gone(version));
        blocked.extend(ended.blocked);
        if !spared.is_empty() {
            op.warn(Diagnostic::warning(
                "Some versions were spared since the plan was made",
                format!("They were to be deleted, and are kept now:\n{}", lines(&spared)),
            ));
        }
        if !blocked.is_empty() {
            op.warn(Diagnostic::warning(
                format!("Some versions of {:?} could not be deleted", definition.name()),
                format!("They stay, and are tried again after an argument changes:\n{}", lines(&blocked)),
            ));
        }
        let state =
            with_decision(Model { id: Some(definition.to_string()), pruned, ..plan }, decided, blocked);
        match ended.interrupted {
            Some(error) => Err(Failed::with(state, failed(&error))),
            None => Ok(state),
        }
    }

    async fn delete(&self, _call: Call<'_>, _prior: Model) -> Result<(), Diagnostics> {
        Ok(())
    }
}

/// Whether the planned apply deletes versions.
fn deletes(draft: &Draft<'_>) -> bool {
    draft.planned.get("delete_versions").as_bool() == Some(true)
        && !draft.prior.get("prunable").elements().is_empty()
}

fn listed(value: &Value) -> Vec<String> {
    value.elements().iter().filter_map(|version| version.as_str().map(str::to_owned)).collect()
}

fn planned_definition(draft: &Draft<'_>) -> Option<ResourceId> {
    ResourceId::parse_as(draft.planned.get("image_definition_id").as_str()?, IMAGE_DEFINITION).ok()
}

fn definition(model: &Model) -> Result<ResourceId, Diagnostic> {
    ResourceId::parse_as(&model.image_definition_id, IMAGE_DEFINITION).map_err(|error| {
        Diagnostic::error("Invalid value for image_definition_id", error.to_string())
            .at(Path::attribute("image_definition_id"))
    })
}

fn policy_of(model: &Model) -> Policy {
    Policy::from(Arguments {
        keep_latest: model.keep_latest,
        keep_newer_than: model.keep_newer_than.as_deref(),
        keep_versions: model.keep_versions.as_deref().map_or(&[], Vec::as_slice),
        keep_tagged: model.keep_tagged.as_ref(),
        keep_in_use: model.keep_in_use,
        usage_subscription_ids: model.usage_subscription_ids.as_deref().map_or(&[], Vec::as_slice),
        ignore_users_outside_tenant: model.ignore_users_outside_tenant,
    })
}

fn with_decision(model: Model, decided: Decision, mut blocked: BTreeMap<String, String>) -> Model {
    // A version is no longer blocked once it is gone or a rule keeps it.
    blocked.retain(|version, _| decided.prunable.contains(version));
    let prunable = decided.prunable.into_iter().filter(|version| !blocked.contains_key(version)).collect();
    Model { kept: decided.kept, prunable, blocked, ..model }
}

/// Which planned versions can still be deleted, and why the others are kept.
fn still_prunable(planned: &[String], decided: &Decision) -> (Vec<String>, BTreeMap<String, String>) {
    let (going, spared): (Vec<String>, Vec<String>) =
        planned.iter().cloned().partition(|version| decided.prunable.contains(version));
    let why = |version: String| Some((version.clone(), decided.kept.get(&version)?.clone()));
    (going, spared.into_iter().filter_map(why).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::arm::Method;
    use crate::azure::run_log::Event;
    use crate::azure::testing::{FakeArm, op};
    use crate::framework::Private;

    const GALLERY: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/resourceGroups/rg/providers/Microsoft.Compute/galleries/gal";
    const GRAPH: &str = "/providers/Microsoft.ResourceGraph/resources";

    fn definition_id() -> String {
        format!("{GALLERY}/images/web")
    }

    fn version(name: &str) -> Json {
        json!({"name": name, "properties": {"provisioningState": "Succeeded", "publishingProfile": {"publishedDate": "2026-01-01T00:00:00Z"}}})
    }

    fn versions(arm: &FakeArm, names: &[&str]) {
        let items: Vec<Json> = names.iter().map(|name| version(name)).collect();
        arm.get(&format!("{}/versions", definition_id()), json!({"value": items}));
        for name in names {
            let id = format!("{}/versions/{name}", definition_id());
            arm.get(&id, version(name));
            arm.on(Method::Delete, &id, 204, Json::Null);
        }
    }

    /// The answer of Resource Graph to each query: the readable subscription, and the users.
    fn rows(users: &[Json]) -> Json {
        let subscription = json!({"id": "/s", "subscriptionId": "5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10"});
        let rows: Vec<&Json> = std::iter::once(&subscription).chain(users).collect();
        json!({"totalRecords": rows.len(), "count": rows.len(), "data": rows, "facets": [], "resultTruncated": "false"})
    }

    fn graph(arm: &FakeArm, users: &[Json]) {
        arm.on(Method::Post, GRAPH, 200, rows(users));
        arm.get(GALLERY, json!({"name": "gal", "properties": {}}));
    }

    fn machine(version: &str) -> Json {
        json!({"id": "/vm", "name": "vm", "type": "microsoft.compute/virtualmachines", "location": "eastus", "subscriptionId": "s",
            "ref": definition_id().to_lowercase(), "exact": version, "since": ""})
    }

    fn model() -> Model {
        Model {
            id: Some(definition_id()),
            image_definition_id: definition_id(),
            keep_latest: Some(1),
            keep_in_use: Some(true),
            delete_versions: Some(true),
            ..Model::default()
        }
    }

    fn prunable(model: &Model) -> String {
        model.prunable.join(" ")
    }

    #[tokio::test]
    async fn create_deletes_nothing_and_lists_prunable_versions() {
        let arm = FakeArm::new();
        versions(&arm, &["1.0.0", "1.1.0", "1.2.0"]);
        graph(&arm, &[machine("1.0.0")]);
        let made = VersionRetention
            .create(Call::new(&arm.context(), &op(), &mut Private::default()), model())
            .await
            .unwrap();
        assert_eq!(prunable(&made), "1.1.0");
        assert_eq!(made.kept["1.0.0"], "in use by 1 resource");
        assert!(!arm.calls().iter().any(|call| call.starts_with("DELETE")));
    }

    #[tokio::test]
    async fn apply_deletes_planned_versions_except_those_in_use_by_now() {
        let arm = FakeArm::new();
        // 1.0.5 was published since the plan, 1.1.0 came into use, 1.0.2 is locked.
        versions(&arm, &["1.0.0", "1.0.1", "1.0.2", "1.0.5", "1.1.0", "1.2.0"]);
        graph(&arm, &[machine("1.1.0")]);
        let locked = json!({"error": {"code": "ScopeLocked", "message": "it is locked"}});
        arm.on(Method::Delete, &format!("{}/versions/1.0.2", definition_id()), 409, locked);
        let prior =
            Model { prunable: ["1.0.0", "1.0.1", "1.0.2", "1.1.0"].map(str::to_owned).into(), ..model() };
        let frame = op();
        let state = VersionRetention
            .update(Call::new(&arm.context(), &frame, &mut Private::default()), prior.clone(), model())
            .await
            .unwrap();
        assert_eq!(state.pruned.keys().map(String::as_str).collect::<Vec<_>>(), ["1.0.0", "1.0.1"]);
        assert!(state.blocked["1.0.2"].contains("locked"), "{:?}", state.blocked);
        assert_eq!(prunable(&state), "1.0.5");
        let message: String = frame.take_warnings().0.iter().map(ToString::to_string).collect();
        assert!(message.contains("1.1.0: in use by 1 resource") && message.contains("1.0.2"), "{message}");
    }

    #[tokio::test]
    async fn looks_again_at_each_version_and_its_usage_before_deleting_it() {
        let arm = FakeArm::new();
        versions(&arm, &["1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.2.0"]);
        // The first look finds no user; after it a machine of 1.0.0 appears, 1.0.1 is tagged, and 1.0.2 is deleted.
        graph(&arm, &[machine("1.0.0")]);
        arm.next(3, Method::Post, GRAPH, 200, rows(&[]));
        let mut tagged = version("1.0.1");
        tagged["tags"] = json!({"keep": "yes"});
        arm.get(&format!("{}/versions/1.0.1", definition_id()), tagged);
        let gone = json!({"error": {"code": "ResourceNotFound", "message": "gone"}});
        arm.on(Method::Get, &format!("{}/versions/1.0.2", definition_id()), 404, gone);
        let plan = Model { keep_tagged: Some([("keep".to_owned(), "yes".to_owned())].into()), ..model() };
        let prior = Model {
            prunable: ["1.0.0", "1.0.1", "1.0.2", "1.0.3"].map(str::to_owned).into(),
            ..plan.clone()
        };
        let frame = op();
        let state = VersionRetention
            .update(Call::new(&arm.context(), &frame, &mut Private::default()), prior, plan)
            .await
            .unwrap();
        let deleted: Vec<String> =
            arm.calls().into_iter().filter(|call| call.starts_with("DELETE")).collect();
        assert_eq!(deleted, [format!("DELETE {}/versions/1.0.3", definition_id())]);
        assert_eq!(state.pruned.keys().collect::<Vec<_>>(), ["1.0.3"]);
        assert_eq!(state.kept["1.0.0"], "in use by 1 resource");
        assert_eq!(state.kept["1.0.1"], "tagged keep = \"yes\"");
        assert!(prunable(&state).is_empty() && !state.kept.contains_key("1.0.2"), "{state:?}");
        let message: String = frame.take_warnings().0.iter().map(ToString::to_string).collect();
        for part in
            ["1.0.0: in use by 1 resource", "1.0.1: tagged keep", "1.0.2: somebody else has deleted it"]
        {
            assert!(message.contains(part), "{part} in {message}");
        }
    }

    #[tokio::test]
    async fn unknown_usage_keeps_everything() {
        let arm = FakeArm::new();
        versions(&arm, &["1.0.0", "1.1.0"]);
        arm.get(GALLERY, json!({"name": "gal", "properties": {}}));
        arm.on(Method::Post, GRAPH, 403, json!({"error": {"code": "AuthorizationFailed", "message": "no"}}));
        let made = VersionRetention
            .create(Call::new(&arm.context(), &op(), &mut Private::default()), model())
            .await
            .unwrap();
        assert_eq!(prunable(&made), "");
        assert!(made.kept["1.0.0"].contains("usage could not be read"), "{:?}", made.kept);
    }

    #[tokio::test]
    async fn keeps_versions_that_this_run_manages() {
        let arm = FakeArm::new();
        versions(&arm, &["1.0.0", "1.1.0", "1.2.0"]);
        let context = arm.context();
        context.run.record(&format!("{}/versions/1.0.0", definition_id()), Event::Read);
        let plan = Model { keep_in_use: Some(false), ..model() };
        let made =
            VersionRetention.create(Call::new(&context, &op(), &mut Private::default()), plan).await.unwrap();
        assert_eq!(prunable(&made), "1.1.0");
        assert_eq!(made.kept["1.0.0"], "managed in this configuration");
    }

    #[tokio::test]
    async fn keeps_all_versions_of_a_community_gallery_unless_configured() {
        for (ignored, expected) in [(false, ""), (true, "1.0.0")] {
            let arm = FakeArm::new();
            versions(&arm, &["1.0.0", "1.1.0"]);
            graph(&arm, &[]);
            arm.get(
                GALLERY,
                json!({"name": "gal", "properties": {"sharingProfile": {"permissions": "Community"}}}),
            );
            let plan = Model { ignore_users_outside_tenant: Some(ignored), ..model() };
            let made = VersionRetention
                .create(Call::new(&arm.context(), &op(), &mut Private::default()), plan)
                .await
                .unwrap();
            assert_eq!(prunable(&made), expected);
        }
    }

    #[test]
    fn blocked_versions_are_not_prunable_until_they_are_free() {
        let decided =
            Decision { prunable: vec!["1.0.0".to_owned(), "1.1.0".to_owned()], ..Decision::default() };
        let blocked =
            [("1.0.0", "locked"), ("0.9.0", "gone")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        let state = with_decision(model(), decided, blocked);
        assert_eq!((prunable(&state), state.blocked.len()), ("1.1.0".to_owned(), 1));
    }
}
