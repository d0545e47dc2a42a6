//! `azimage_version_retention`: which versions of an image definition are kept, and which ones the next apply deletes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::arm::id::IMAGE_DEFINITION;
use crate::arm::{Error, ResourceId, Scope, Target};
use crate::azure::attributes::{check_guid, id_of, instant};
use crate::azure::context::scope;
use crate::azure::objects::version::Version as Object;
use crate::azure::run_log::Event;
use crate::azure::tags::Tags;
use crate::azure::usage::{self, Kind};
use crate::azure::{Context, body, fault, identity};
use crate::framework::timeouts::{Defaults, parse_period};
use crate::framework::{Draft, Failed, IdentityField, ImportFrom, Op, Private, Resource, Timeouts};
use crate::image::Constraint;
use crate::image::retention::{Candidate, Decision, InUse, Rules, decide};
use crate::model;
use crate::schema::spec::{block, computed, optional, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Set, Value};

model! {
    /// Keeps the versions of an image definition that its rules name, and deletes the others when told to.
    ///
    /// Creating this resource deletes nothing. Each refresh computes `prunable`; with `delete_versions = true` the plan lists
    /// these versions as those that the next apply deletes, with the reason why every other one is kept. The apply deletes
    /// no others: a version that came into use, was tagged or stopped matching since the plan is spared and reported, and
    /// a version that was published since is not touched. Destroying this resource deletes no version.
    pub struct Model {
        /// The resource ID of the image definition, which is also the ID of this resource.
        pub id: Option<String> = computed(),
        /// The ID of the image definition.
        pub image_definition_id: String = id_of(required().force_new(), IMAGE_DEFINITION),
        /// Keeps the newest versions, up to this number, that were created successfully and are not excluded from latest.
        pub keep_latest: Option<i64> = optional().between(1, 10_000),
        /// Keeps versions published within this time, such as `90d` or `720h`.
        pub keep_newer_than: Option<String> = optional().check_text(check_period),
        /// Keeps these versions, written exactly (`1.2.0`) or as constraints (`~> 1.2`).
        pub keep_versions: Option<Set<String>> = optional().check_text(check_constraint),
        /// Keeps versions that carry one of these tags with its value.
        pub keep_tagged: Option<Tags> = optional(),
        /// Whether to keep versions that are in use: by virtual machines, models and instances of scale sets, disks, managed
        /// images or other versions.
        pub keep_in_use: Option<bool> = optional().default(true),
        /// The IDs of the subscriptions in which to look for usage. Defaults to all that the identity can read.
        pub usage_subscription_ids: Option<Set<String>> = optional().check_text(check_guid),
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

/// The arguments that decide what is kept.
const RULES: [&str; 7] = [
    "keep_latest",
    "keep_newer_than",
    "keep_versions",
    "keep_tagged",
    "keep_in_use",
    "usage_subscription_ids",
    "ignore_users_outside_tenant",
];
const RESULTS: [&str; 4] = ["kept", "prunable", "pruned", "blocked"];
/// How many versions are deleted at the same time.
const AT_ONCE: usize = 8;

/// The resource type.
pub struct VersionRetention;

#[async_trait]
impl Resource<Context> for VersionRetention {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_version_retention"
    }

    fn identity(&self) -> &'static [IdentityField] {
        &[
            identity::SUBSCRIPTION_ID,
            identity::RESOURCE_GROUP_NAME,
            identity::GALLERY_NAME,
            identity::IMAGE_NAME,
        ]
    }

    fn identify(&self, model: &Model) -> Vec<Option<String>> {
        let id = ResourceId::parse_as(&model.image_definition_id, IMAGE_DEFINITION).ok();
        let part = |read: fn(&ResourceId) -> Option<&str>| id.as_ref().and_then(read).map(str::to_owned);
        vec![
            part(|id| Some(id.subscription_id())),
            part(|id| Some(id.resource_group())),
            part(|id| id.name_of("galleries")),
            part(|id| id.name_of("images")),
        ]
    }

    fn timeouts(&self) -> Defaults {
        Defaults::minutes(10, 10, 120, 5)
    }

    fn import(&self, context: Option<&Context>, from: &ImportFrom) -> Result<Model, Diagnostic> {
        let id = match from {
            ImportFrom::Id(id) => identity::parse(id, IMAGE_DEFINITION, self.type_name())?,
            ImportFrom::Identity(given) => ResourceId::image_definition(
                identity::subscription(context, given)?,
                identity::text(given, &identity::RESOURCE_GROUP_NAME),
                identity::text(given, &identity::GALLERY_NAME),
                identity::text(given, &identity::IMAGE_NAME),
            ),
        };
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
        if RULES[..5].iter().all(|rule| config.get(rule).is_null()) {
            diagnostics.error(
                Path::attribute("keep_latest"),
                "No rule says what to keep",
                "Set at least one of keep_latest, keep_newer_than, keep_versions, keep_tagged and keep_in_use.",
            );
        }
    }

    fn prepare(&self, _context: Option<&Context>, draft: &mut Draft<'_>) {
        if draft.is_create() {
            let id =
                draft.planned.get("image_definition_id").as_str().and_then(|id| ResourceId::parse(id).ok());
            draft.planned.set("id", id.map_or(Value::Unknown, |id| Value::String(id.to_string())));
            return;
        }
        let changed = RULES.iter().chain(&["delete_versions"]).any(|name| draft.changes(name));
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
        let kept: Vec<String> = draft
            .prior
            .get("kept")
            .entries()
            .map(|(version, why)| format!("  {version}: {}", why.as_str().unwrap_or_default()))
            .collect();
        let bin = match has_soft_delete(context, op, &definition).await {
            true => {
                "\n\nThe gallery has soft delete: the versions stay in its recycle bin and cost as much as before until it empties."
            }
            false => "",
        };
        let s = if going.len() == 1 { "" } else { "s" };
        found.push(
            Diagnostic::warning(
                format!("The next apply deletes {} version{s} of {:?}", going.len(), definition.name()),
                format!("To be deleted: {}.\n\nKept:\n{}{bin}", going.join(", "), kept.join("\n")),
            )
            .at(Path::attribute("delete_versions")),
        );
    }

    async fn read(
        &self,
        context: &Context,
        op: &Op,
        state: Model,
        _private: &mut Private,
    ) -> Result<Option<Model>, Diagnostics> {
        let definition = definition(&state)?;
        let doing = format!("reading the versions of {:?}", definition.name());
        let scope = scope(op, &doing);
        let decided = match decision(context, &scope, &definition, &state).await {
            Ok(decided) => decided,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(fault::diagnostic(&error, &doing, &definition.to_string()).into()),
        };
        let blocked = state.blocked.clone();
        Ok(Some(with_decision(state, decided, blocked)))
    }

    async fn create(
        &self,
        context: &Context,
        op: &Op,
        plan: Model,
        _private: &mut Private,
    ) -> Result<Model, Failed<Model>> {
        let definition = definition(&plan)?;
        let doing = format!("choosing among the versions of {:?}", definition.name());
        let decided = decision(context, &scope(op, &doing), &definition, &plan)
            .await
            .map_err(|error| fault::diagnostic(&error, &doing, &definition.to_string()))?;
        let plan = Model { id: Some(definition.to_string()), ..plan };
        Ok(with_decision(plan, decided, BTreeMap::new()))
    }

    async fn update(
        &self,
        context: &Context,
        op: &Op,
        prior: Model,
        plan: Model,
        _private: &mut Private,
    ) -> Result<Model, Failed<Model>> {
        let definition = definition(&plan)?;
        let doing = format!("pruning the versions of {:?}", definition.name());
        let scope = scope(op, &doing);
        let failed = |error: &Error| fault::diagnostic(error, &doing, &definition.to_string());
        let decided = decision(context, &scope, &definition, &plan).await.map_err(|error| failed(&error))?;
        let rules_changed =
            rules_of(&prior) != rules_of(&plan) || prior.delete_versions != plan.delete_versions;
        let mut blocked = if rules_changed { BTreeMap::new() } else { prior.blocked.clone() };
        let mut pruned = prior.pruned.clone();
        let going = match plan.delete_versions {
            Some(true) => spare(op, &prior.prunable, &decided),
            _ => Vec::new(),
        };
        let mut deletions = stream::iter(going)
            .map(|version| {
                let id = definition.child("versions", &version);
                let scope = &scope;
                async move { (version, remove(context, scope, &id).await) }
            })
            .buffer_unordered(AT_ONCE);
        let mut interrupted = None;
        while let Some((version, result)) = deletions.next().await {
            match result {
                Ok(()) => {
                    let at =
                        OffsetDateTime::now_utc().replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
                    pruned.insert(version, at.format(&Rfc3339).unwrap_or_default());
                }
                Err(error) if error.is_stopped() || error.is_timed_out() => interrupted = Some(error),
                Err(error) => {
                    blocked.insert(version, error.message.lines().next().unwrap_or_default().to_owned());
                }
            }
        }
        let mut decided = decided;
        decided.prunable.retain(|version| !pruned.contains_key(version));
        if !blocked.is_empty() {
            let lines: Vec<String> =
                blocked.iter().map(|(version, why)| format!("  {version}: {why}")).collect();
            op.warn(Diagnostic::warning(
                format!("Some versions of {:?} could not be deleted", definition.name()),
                format!("They stay, and are tried again after an argument changes:\n{}", lines.join("\n")),
            ));
        }
        let state =
            with_decision(Model { id: Some(definition.to_string()), pruned, ..plan }, decided, blocked);
        match interrupted {
            Some(error) => Err(Failed::with(state, failed(&error))),
            None => Ok(state),
        }
    }

    async fn delete(
        &self,
        _context: &Context,
        _op: &Op,
        _prior: Model,
        _private: &mut Private,
    ) -> Result<(), Diagnostics> {
        Ok(())
    }

    /// An import knows no rule: the generated configuration keeps what is in use.
    fn generate(&self, config: &mut Value) {
        config.set("keep_in_use", Value::Bool(true));
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

/// The versions that other resources of this configuration manage, as far as this run has met them.
fn managed(context: &Context, definition: &ResourceId) -> BTreeSet<String> {
    let prefix = format!("{}/versions/", definition.key());
    [Event::Read, Event::Planned, Event::Published]
        .into_iter()
        .flat_map(|event| context.run.below(definition, event))
        .filter_map(|id| Some(id.strip_prefix(&prefix)?.to_owned()))
        .collect()
}

fn rules_of(model: &Model) -> Rules {
    let constraints = model.keep_versions.clone().unwrap_or_default();
    Rules {
        latest: model.keep_latest.and_then(|latest| usize::try_from(latest).ok()),
        newer_than: model.keep_newer_than.as_deref().and_then(parse_period),
        versions: constraints.iter().filter_map(|text| Constraint::parse(text).ok()).collect(),
        tagged: model.keep_tagged.clone().unwrap_or_default(),
        in_use: model.keep_in_use != Some(false),
    }
}

/// What the rules of `model` say of the versions that exist now.
async fn decision(
    context: &Context,
    scope: &Scope,
    definition: &ResourceId,
    model: &Model,
) -> Result<Decision, Error> {
    let rules = rules_of(model);
    let target = Target::at(format!("{definition}/versions"));
    let listing = context.client.list(scope, &target);
    let (versions, in_use) = match rules.in_use {
        true => tokio::join!(listing, in_use(context, scope, definition, model)),
        false => (listing.await, InUse::default()),
    };
    let candidates: Vec<Candidate> =
        versions?.iter().map(|version| candidate(&Object::read(version))).collect();
    // After the requests, so that the resources that are refreshed at the same time have been met.
    let managed = managed(context, definition);
    Ok(decide(&candidates, &rules, &in_use, &managed, OffsetDateTime::now_utc()))
}

fn candidate(version: &Object) -> Candidate {
    Candidate {
        version: version.name.clone(),
        published: version.published_date.as_deref().and_then(instant),
        excluded: version.exclude_from_latest.unwrap_or_default(),
        state: version.provisioning_state.clone().unwrap_or_default(),
        tags: version.tags.clone(),
    }
}

/// The usage of the definition; what cannot be read is unknown, and unknown keeps everything.
async fn in_use(context: &Context, scope: &Scope, definition: &ResourceId, model: &Model) -> InUse {
    let subscriptions = model.usage_subscription_ids.clone().unwrap_or_default();
    match usage::of_image(context, scope, definition, &subscriptions).await {
        Ok(found) => {
            let outside = found.outside.clone().filter(|_| model.ignore_users_outside_tenant != Some(true));
            let latest = found.users.iter().any(|user| user.kind == Kind::ScaleSet && user.version.is_none());
            InUse {
                versions: found.by_version(),
                latest,
                unknown: found.gaps.into_iter().chain(outside).collect(),
            }
        }
        Err(error) => InUse {
            unknown: vec![format!(
                "its usage could not be read ({})",
                error.message.lines().next().unwrap_or_default()
            )],
            ..InUse::default()
        },
    }
}

fn with_decision(model: Model, decided: Decision, mut blocked: BTreeMap<String, String>) -> Model {
    // A blocked version that is gone, or that a rule keeps by now, is blocked no longer.
    blocked.retain(|version, _| decided.prunable.contains(version));
    let prunable = decided.prunable.into_iter().filter(|version| !blocked.contains_key(version)).collect();
    Model { kept: decided.kept, prunable, blocked, ..model }
}

/// What of the planned versions may still be deleted; a warning names those that are spared, and why.
fn spare(op: &Op, planned: &[String], decided: &Decision) -> Vec<String> {
    let (going, spared): (Vec<String>, Vec<String>) =
        planned.iter().cloned().partition(|version| decided.prunable.contains(version));
    let lines: Vec<String> = spared
        .iter()
        .filter_map(|version| Some(format!("  {version}: {}", decided.kept.get(version)?)))
        .collect();
    if !lines.is_empty() {
        op.warn(Diagnostic::warning(
            "Some versions were spared since the plan was made",
            format!("They were to be deleted, and are kept now:\n{}", lines.join("\n")),
        ));
    }
    going
}

async fn remove(context: &Context, scope: &Scope, id: &ResourceId) -> Result<(), Error> {
    let key = id.to_string();
    let _guard = context.lock(&key).await;
    let accepted = context.client.delete(scope, &Target::at(key.clone())).await?;
    context.run.record(&key, Event::Deleted);
    if let Some(operation) = &accepted.operation {
        context.client.wait(scope, operation).await?;
    }
    Ok(())
}

async fn has_soft_delete(context: &Context, op: &Op, definition: &ResourceId) -> bool {
    let Some(gallery) = definition.parent() else { return false };
    let scope = scope(op, "reading the gallery's soft delete policy");
    let scope = scope.anew(scope.remaining().min(Duration::from_secs(30)), scope.what());
    let found = context.run.parent(&context.client, &scope, &Target::at(gallery.to_string())).await;
    found.ok().flatten().is_some_and(|gallery| {
        body::bool(&gallery, "properties.softDeletePolicy.isSoftDeleteEnabled") == Some(true)
    })
}

fn check_period(text: &str) -> Result<(), String> {
    parse_period(text).map(drop).ok_or_else(|| "is not a valid duration; use 12h, 90d or 1h30m".to_owned())
}

fn check_constraint(text: &str) -> Result<(), String> {
    Constraint::parse(text).map(drop).map_err(|error| format!("is not a version or a constraint: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::arm::Method;
    use crate::azure::testing::{FakeArm, op};

    const GALLERY: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/resourceGroups/rg/providers/Microsoft.Compute/galleries/gal";
    const GRAPH: &str = "/providers/Microsoft.ResourceGraph/resources";

    fn definition_id() -> String {
        format!("{GALLERY}/images/web")
    }

    fn versions(arm: &FakeArm, names: &[&str]) {
        let items: Vec<Json> = names
            .iter()
            .map(|name| {
                json!({"name": name, "properties": {"provisioningState": "Succeeded", "publishingProfile": {"publishedDate": "2026-01-01T00:00:00Z"}}})
            })
            .collect();
        arm.get(&format!("{}/versions", definition_id()), json!({"value": items}));
    }

    fn rows(arm: &FakeArm, times: usize, rows: &[Json]) {
        let answer = json!({"totalRecords": rows.len(), "count": rows.len(), "data": rows, "facets": [], "resultTruncated": "false"});
        arm.next(times, Method::Post, GRAPH, 200, answer);
    }

    /// Answers of Resource Graph in the order of the queries: readable subscriptions, users, instances, and images where
    /// a machine was found.
    fn graph(arm: &FakeArm, users: &[Json]) {
        if !users.is_empty() {
            rows(arm, 1, &[]);
        }
        rows(arm, 1, &[]);
        rows(arm, 1, users);
        rows(arm, 1, &[json!({"id": "/s", "subscriptionId": "5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10"})]);
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
    async fn creating_deletes_nothing_and_lists_what_could_be_deleted() {
        let arm = FakeArm::new();
        versions(&arm, &["1.0.0", "1.1.0", "1.2.0"]);
        graph(&arm, &[machine("1.0.0")]);
        let made =
            VersionRetention.create(&arm.context(), &op(), model(), &mut Private::default()).await.unwrap();
        assert_eq!(prunable(&made), "1.1.0");
        assert_eq!(made.kept["1.0.0"], "in use by 1 resource");
        assert!(!arm.calls().iter().any(|call| call.starts_with("DELETE")));
    }

    #[tokio::test]
    async fn apply_deletes_what_was_planned_and_spares_what_came_into_use() {
        let arm = FakeArm::new();
        // 1.0.5 was published since the plan, 1.1.0 came into use, 1.0.2 is locked.
        versions(&arm, &["1.0.0", "1.0.1", "1.0.2", "1.0.5", "1.1.0", "1.2.0"]);
        graph(&arm, &[machine("1.1.0")]);
        for version in ["1.0.0", "1.0.1"] {
            arm.on(Method::Delete, &format!("{}/versions/{version}", definition_id()), 204, Json::Null);
        }
        let locked = json!({"error": {"code": "ScopeLocked", "message": "it is locked"}});
        arm.on(Method::Delete, &format!("{}/versions/1.0.2", definition_id()), 409, locked);
        let prior =
            Model { prunable: ["1.0.0", "1.0.1", "1.0.2", "1.1.0"].map(str::to_owned).into(), ..model() };
        let frame = op();
        let state = VersionRetention
            .update(&arm.context(), &frame, prior.clone(), model(), &mut Private::default())
            .await
            .unwrap();
        assert_eq!(state.pruned.keys().map(String::as_str).collect::<Vec<_>>(), ["1.0.0", "1.0.1"]);
        assert!(state.blocked["1.0.2"].contains("locked"), "{:?}", state.blocked);
        assert_eq!(prunable(&state), "1.0.5");
        let told: String = frame.take_warnings().0.iter().map(ToString::to_string).collect();
        assert!(told.contains("1.1.0: in use by 1 resource") && told.contains("1.0.2"), "{told}");
    }

    #[tokio::test]
    async fn unknown_usage_keeps_everything() {
        let arm = FakeArm::new();
        versions(&arm, &["1.0.0", "1.1.0"]);
        arm.get(GALLERY, json!({"name": "gal", "properties": {}}));
        arm.on(Method::Post, GRAPH, 403, json!({"error": {"code": "AuthorizationFailed", "message": "no"}}));
        let made =
            VersionRetention.create(&arm.context(), &op(), model(), &mut Private::default()).await.unwrap();
        assert_eq!(prunable(&made), "");
        assert!(made.kept["1.0.0"].contains("usage could not be read"), "{:?}", made.kept);
    }

    #[tokio::test]
    async fn what_this_run_manages_is_kept() {
        let arm = FakeArm::new();
        versions(&arm, &["1.0.0", "1.1.0", "1.2.0"]);
        let context = arm.context();
        context.run.record(&format!("{}/versions/1.0.0", definition_id()), Event::Read);
        let plan = Model { keep_in_use: Some(false), ..model() };
        let made = VersionRetention.create(&context, &op(), plan, &mut Private::default()).await.unwrap();
        assert_eq!(prunable(&made), "1.1.0");
        assert_eq!(made.kept["1.0.0"], "managed in this configuration");
    }

    #[tokio::test]
    async fn a_gallery_shared_with_the_community_keeps_everything_unless_told_otherwise() {
        for (ignored, expected) in [(false, ""), (true, "1.0.0")] {
            let arm = FakeArm::new();
            versions(&arm, &["1.0.0", "1.1.0"]);
            graph(&arm, &[]);
            arm.get(
                GALLERY,
                json!({"name": "gal", "properties": {"sharingProfile": {"permissions": "Community"}}}),
            );
            let plan = Model { ignore_users_outside_tenant: Some(ignored), ..model() };
            let made =
                VersionRetention.create(&arm.context(), &op(), plan, &mut Private::default()).await.unwrap();
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
