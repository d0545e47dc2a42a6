//! `azimage_gallery`: a Compute Gallery, its soft delete, its identity and whom it is shared with.

mod sharing;

use async_trait::async_trait;
use serde_json::{Value as Json, json};

use crate::arm::id::GALLERY;
use crate::arm::{ResourceId, Scope, Target, id};
use crate::azure::attributes::{self, check_gallery_name};
use crate::azure::context::scope;
use crate::azure::tags::{self, Tags};
use crate::azure::writing::{self, Outcome, Written};
use crate::azure::{Context, GALLERY_API, body, fault, identity};
use crate::framework::spelling::is_unchanged;
use crate::framework::timeouts::Defaults;
use crate::framework::{
    Draft, Failed, IdentityField, ImportFrom, MoveSource, Op, Private, Resource, Timeouts,
};
use crate::model;
use crate::schema::spec::{block, computed, optional, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Set, Value};
use sharing::{Sharing, check_sharing};

model! {
    /// Manages a Compute Gallery: the place where image definitions and their versions live, and from which they are
    /// shared with other subscriptions, other tenants, or everybody.
    pub struct Model {
        /// The ARM id of the gallery.
        pub id: Option<String> = computed(),
        /// The name of the gallery, unique in the subscription: letters, digits, underscores and full stops.
        pub name: String = required().force_new().equivalent_if(attributes::eq_ignore_case).check_text(check_gallery_name),
        /// The resource group that the gallery is in.
        pub resource_group_name: String = attributes::resource_group_name(),
        /// The subscription that the gallery is in. The provider's unless set.
        pub subscription_id: Option<String> = attributes::subscription_id(),
        /// The region that the gallery is in, in any spelling.
        pub location: String = attributes::location(),
        /// What the gallery is for.
        pub description: Option<String> = optional().or_empty(),
        /// Tags of the gallery.
        pub tags: Option<Tags> = attributes::tags(),
        /// All tags of the gallery, the provider's `default_tags` included.
        pub tags_all: Option<Tags> = computed(),
        /// The name by which a directly shared gallery is addressed: subscription id and name.
        pub unique_name: Option<String> = computed().equivalent_if(attributes::eq_ignore_case),
        /// State of the last operation on the gallery, `Succeeded` when all is well.
        pub provisioning_state: Option<String> = computed().volatile(),
        /// Keeps deleted image versions for a while, so that they can be restored.
        pub soft_delete: Option<SoftDelete> = block().group(),
        /// The managed identity of the gallery.
        pub identity: Option<Identity> = block().check(check_identity),
        /// Whom the gallery is shared with. Every change is made in place, by the service's share action.
        pub sharing: Option<Sharing> = block().group().check(check_sharing),
        /// How long each operation may take.
        pub timeouts: Option<Timeouts> = block(),
    }
}

model! {
    /// Keeps deleted image versions for a while, so that they can be restored.
    pub struct SoftDelete {
        /// Whether deleted image versions are kept.
        pub enabled: bool = optional().default(false),
        /// For how many days they are kept. The service's own choice unless set.
        pub retention_days: Option<i64> = optional().between(1, 3650),
    }
}

model! {
    /// The managed identity of the gallery.
    pub struct Identity {
        /// Which sorts of identity the gallery has.
        pub r#type: String = required()
            .one_of(&["SystemAssigned", "UserAssigned", "SystemAssigned, UserAssigned"])
            .equivalent_if(same_identity_type),
        /// The ids of its user-assigned identities.
        pub identity_ids: Option<Set<String>> = optional().or_empty().equivalent_if(id::same_id),
        /// The principal of the system-assigned identity.
        pub principal_id: Option<String> = computed(),
        /// The tenant of the system-assigned identity.
        pub tenant_id: Option<String> = computed(),
    }
}

/// The resource type.
pub struct Gallery;

const IDENTITY: &[IdentityField] =
    &[identity::SUBSCRIPTION_ID, identity::RESOURCE_GROUP_NAME, identity::NAME];

#[async_trait]
impl Resource<Context> for Gallery {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_gallery"
    }

    fn identity(&self) -> &'static [IdentityField] {
        IDENTITY
    }

    fn identify(&self, model: &Model) -> Vec<Option<String>> {
        vec![model.subscription_id.clone(), Some(model.resource_group_name.clone()), Some(model.name.clone())]
    }

    fn id(&self, model: &Model) -> Option<String> {
        Some(id_of(model).to_string())
    }

    fn timeouts(&self) -> Defaults {
        Defaults::minutes(30, 5, 30, 30)
    }

    fn import(&self, context: Option<&Context>, from: &ImportFrom) -> Result<Model, Diagnostic> {
        let id = match from {
            ImportFrom::Id(id) => identity::parse(id, GALLERY, "azimage_gallery")?,
            ImportFrom::Identity(given) => ResourceId::gallery(
                identity::subscription(context, given)?,
                identity::text(given, &identity::RESOURCE_GROUP_NAME),
                identity::text(given, &identity::NAME),
            ),
        };
        Ok(stub(&id))
    }

    fn prepare(&self, context: Option<&Context>, draft: &mut Draft<'_>) {
        tags::prepare(context, draft);
        identity::prepare_subscription(context, draft);
        prepare_identity(draft);
        prepare_unique_name(draft);
        writing::take_up(draft);
        sharing::prepare(draft);
    }

    async fn check(&self, context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
        if draft.is_create() {
            identity::check_location(context, op, draft, found).await;
        }
    }

    async fn read(
        &self,
        context: &Context,
        op: &Op,
        state: Model,
        _private: &mut Private,
    ) -> Result<Option<Model>, Diagnostics> {
        let id = id_of(&state);
        let doing = format!("reading gallery {:?}", state.name);
        let (scope, target) = (scope(op, &doing), target(&id));
        let failed = |error| Diagnostics::from(fault::diagnostic(&error, &doing, &id.to_string()));
        let turn = context.read(&scope, &target).await;
        // a list decides nothing, nor does what is asked because of it
        if let Some(body) = &turn.listed
            && let Ok(listed) = flatten(context, &scope, body, &id, &state).await
            && is_unchanged(&listed, &state)
        {
            return Ok(Some(listed));
        }
        let found = context.client.get_opt(&scope, &target).await;
        let Some(body) = found.map_err(failed)? else {
            return Ok(None);
        };
        // an import may have spelt it in any way
        let id = if state.location.is_empty() { identity::as_told(&id, &body) } else { id.clone() };
        match flatten(context, &scope, &body, &id, &state).await {
            // deleted before its groups were asked for
            Err(error) if error.is_not_found() => Ok(None),
            told => told.map(Some).map_err(failed),
        }
    }

    async fn create(
        &self,
        context: &Context,
        op: &Op,
        plan: Model,
        private: &mut Private,
    ) -> Result<Model, Failed<Model>> {
        let subscription = context.subscription(plan.subscription_id.as_deref())?;
        let id = ResourceId::gallery(subscription, &plan.resource_group_name, &plan.name);
        let scope = scope(op, format!("creating gallery {:?}", plan.name));
        let _guard = context.lock(&id.to_string()).await;
        let left = writing::existing(context, &scope, &target(&id), "gallery", "azimage_gallery").await?;
        if let Some(left) = left
            && !attributes::same_region(&left, &plan.location)
        {
            return Err(writing::already_exists(&id.to_string(), "gallery", "azimage_gallery").into());
        }
        let body = expand(context, &plan, None);
        let written = writing::create(&context.client, &scope, &target(&id), &body, private)
            .await
            .map_err(|error| fault::diagnostic(&error, scope.what(), &id.to_string()))?;
        let unfinished = matches!(written.outcome, Outcome::Unfinished(_));
        let state = conclude(context, op, &scope, &id, &plan, written).await?;
        // nobody has shared a new gallery yet
        if unfinished || state.provisioning_state.as_deref() != Some("Succeeded") || plan.sharing.is_none() {
            return Ok(state);
        }
        let shared = match sharing::change(context, &scope, &target(&id), plan.sharing.as_ref()).await {
            Ok(false) => return Ok(state),
            Ok(true) => reread(context, &scope, &id, &plan).await,
            Err(error) => Err(error),
        };
        match shared {
            Ok(state) => Ok(state),
            // an error would make Terraform throw the gallery away; what is not shared yet, the next plan shows
            Err(error) if error.is_stopped() || error.is_timed_out() => {
                op.warn(writing::unfinished("gallery", &id.to_string(), &error, ""));
                Ok(Model { sharing: plan.sharing, ..state })
            }
            Err(error) => Err(Failed::with(
                state,
                fault::at(&error, "sharing the gallery", &id.to_string(), Some("sharing")),
            )),
        }
    }

    async fn update(
        &self,
        context: &Context,
        op: &Op,
        prior: Model,
        plan: Model,
        private: &mut Private,
    ) -> Result<Model, Failed<Model>> {
        let id = id_of(&prior);
        let scope = scope(op, format!("updating gallery {:?}", plan.name));
        let failed = |error| fault::diagnostic(&error, scope.what(), &id.to_string());
        let _guard = context.lock(&id.to_string()).await;
        let Some(current) =
            writing::resume(&context.client, &scope, &target(&id), private).await.map_err(failed)?
        else {
            return Err(identity::vanished("gallery", &id).into());
        };
        let desired = expand(context, &plan, Some(&current.body));
        let covered = body::settled(&current.body, &desired) && has_identities(&current.body, &plan);
        if let (Outcome::Unfinished(error), false) = (&current.outcome, covered) {
            // what was not even sent must not look as if it were true
            return Err(fault::diagnostic(error, scope.what(), &id.to_string()).into());
        }
        let mut state = if covered && !writing::is_broken(&current.body) {
            conclude(context, op, &scope, &id, &plan, current).await?
        } else {
            let written = writing::put(&context.client, &scope, &target(&id), &desired, private)
                .await
                .map_err(failed)?;
            conclude(context, op, &scope, &id, &plan, written).await?
        };
        if state.provisioning_state.as_deref() != Some("Succeeded") {
            return Ok(state);
        }
        // what the service has decides which steps are needed, not what an older state remembers
        let changed = sharing::change(context, &scope, &target(&id), plan.sharing.as_ref())
            .await
            .map_err(|error| fault::at(&error, "sharing the gallery", &id.to_string(), Some("sharing")))?;
        if changed {
            state = reread(context, &scope, &id, &plan).await.map_err(|error| {
                let state = Model { id: Some(id.to_string()), ..plan.clone() };
                Failed::with(state, failed(error))
            })?;
        }
        Ok(state)
    }

    async fn delete(
        &self,
        context: &Context,
        op: &Op,
        prior: Model,
        _private: &mut Private,
    ) -> Result<(), Diagnostics> {
        let id = id_of(&prior);
        let scope = scope(op, format!("deleting gallery {:?}", prior.name));
        let _guard = context.lock(&id.to_string()).await;
        let children = Target::new(format!("{id}/images"), GALLERY_API);
        // the service deletes no gallery that is still shared, and unsharing one that cannot be deleted harms its users
        if prior.sharing.as_ref().is_some_and(|sharing| sharing.permission != "Private") {
            writing::refuse_with_children(&context.client, &scope, &id, &children, "image definitions")
                .await?;
            sharing::reset(context, &scope, &target(&id))
                .await
                .map_err(|error| fault::diagnostic(&error, "unsharing the gallery", &id.to_string()))?;
        }
        writing::delete_parent(context, &scope, &target(&id), &children, "image definitions").await
    }

    fn move_from(&self, source: &MoveSource) -> Option<Result<Model, Diagnostic>> {
        identity::moved(source, "azurerm_shared_image_gallery", GALLERY).map(|id| id.map(|id| stub(&id)))
    }
}

// The service makes it of the subscription and the name.
fn prepare_unique_name(draft: &mut Draft<'_>) {
    let parts = ["subscription_id", "name"].map(|name| draft.planned.get(name).as_str());
    if let (true, [Some(subscription), Some(name)]) = (draft.is_create(), parts) {
        let unique_name = format!("{}-{}", subscription.to_lowercase(), name.to_uppercase());
        draft.planned.set("unique_name", Value::String(unique_name));
    }
}

fn target(id: &ResourceId) -> Target {
    Target::new(id.to_string(), GALLERY_API)
}

fn id_of(model: &Model) -> ResourceId {
    ResourceId::gallery(
        model.subscription_id.as_deref().unwrap_or_default(),
        &model.resource_group_name,
        &model.name,
    )
}

fn stub(id: &ResourceId) -> Model {
    Model {
        id: Some(id.to_string()),
        name: id.name().to_owned(),
        resource_group_name: id.resource_group().to_owned(),
        subscription_id: Some(id.subscription_id().to_owned()),
        ..Model::default()
    }
}

// The body to put: the plan, over what the service has and this provider does not manage.
fn expand(context: &Context, plan: &Model, current: Option<&Json>) -> Json {
    let mut body = current.cloned().unwrap_or_else(|| json!({}));
    body::keep_only(&mut body, &["location", "tags", "identity", "properties"]);
    body["location"] =
        current.and_then(|current| current.get("location").cloned()).unwrap_or_else(|| json!(plan.location));
    body["tags"] = json!(tags::merged(context, plan.tags.as_ref()));
    for read_only in ["provisioningState", "identifier", "sharingStatus"] {
        body::set(&mut body, &format!("properties.{read_only}"), Json::Null);
    }
    let description = plan.description.as_deref().unwrap_or_default();
    // an empty text takes a description back; absence would keep it
    if !description.is_empty() || current.is_some_and(|c| body::at(c, "properties.description").is_some()) {
        body::set(&mut body, "properties.description", json!(description));
    }
    match &plan.soft_delete {
        Some(soft_delete) => {
            body::set(
                &mut body,
                "properties.softDeletePolicy.isSoftDeleteEnabled",
                json!(soft_delete.enabled),
            );
            if let Some(days) = soft_delete.retention_days {
                body::set(&mut body, "properties.softDeletePolicy.retentionPeriodInDays", json!(days));
            }
        }
        None if body::bool(&body, "properties.softDeletePolicy.isSoftDeleteEnabled") == Some(true) => {
            body::set(&mut body, "properties.softDeletePolicy.isSoftDeleteEnabled", json!(false));
        }
        None => {}
    }
    let had_identity = current.is_some_and(|current| body::at(current, "identity").is_some());
    match &plan.identity {
        Some(identity) => body["identity"] = expand_identity(identity, current),
        None if had_identity => body["identity"] = json!({"type": "None"}),
        None => {}
    }
    sharing::expand(&mut body, plan.sharing.as_ref(), current);
    if body::at(&body, "properties").is_none() {
        body["properties"] = json!({});
    }
    body
}

fn expand_identity(identity: &Identity, current: Option<&Json>) -> Json {
    let wanted: Vec<&String> = identity.identity_ids.iter().flat_map(|ids| ids.iter()).collect();
    let mut ids: serde_json::Map<String, Json> =
        wanted.iter().map(|id| (id.to_string(), json!({}))).collect();
    // null takes an identity away; left out it would stay
    let old = current.and_then(|current| body::at(current, "identity.userAssignedIdentities"));
    for name in old.and_then(Json::as_object).into_iter().flat_map(|old| old.keys()) {
        if !wanted.iter().any(|wanted| id::same_id(wanted, name)) {
            ids.insert(name.clone(), Json::Null);
        }
    }
    let mut body = json!({"type": identity.r#type});
    if !ids.is_empty() {
        body["userAssignedIdentities"] = Json::Object(ids);
    }
    body
}

// Whether each identity of the plan is there: an identity is sent as an empty object, which says nothing to compare.
fn has_identities(current: &Json, plan: &Model) -> bool {
    let have = body::at(current, "identity.userAssignedIdentities").and_then(Json::as_object);
    let mut wanted =
        plan.identity.iter().flat_map(|identity| &identity.identity_ids).flat_map(|ids| ids.iter());
    wanted.all(|wanted| have.is_some_and(|have| have.keys().any(|have| id::same_id(have, wanted))))
}

// The state after a write, however far it came.
async fn conclude(
    context: &Context,
    op: &Op,
    scope: &Scope,
    id: &ResourceId,
    plan: &Model,
    written: Written,
) -> Result<Model, Failed<Model>> {
    let mut state = match flatten(context, scope, &written.body, id, plan).await {
        Ok(state) => state,
        Err(_) => Model { id: Some(id.to_string()), ..plan.clone() },
    };
    match written.outcome {
        Outcome::Done => Ok(state),
        Outcome::Unfinished(error) => {
            // what was accepted will be true; where it is not, the next plan shows it
            state.tags = plan.tags.clone();
            state.tags_all = Some(tags::merged(context, plan.tags.as_ref()));
            state.description = plan.description.clone();
            state.soft_delete = plan.soft_delete.clone();
            state.sharing = plan.sharing.clone();
            op.warn(writing::unfinished("gallery", &id.to_string(), &error, ""));
            Ok(state)
        }
        Outcome::Failed(error) => {
            Err(Failed::with(state, fault::diagnostic(&error, scope.what(), &id.to_string())))
        }
    }
}

async fn reread(
    context: &Context,
    scope: &Scope,
    id: &ResourceId,
    plan: &Model,
) -> Result<Model, crate::arm::Error> {
    let body = context.client.get(scope, &target(id)).await?;
    flatten(context, scope, &body, id, plan).await
}

async fn flatten(
    context: &Context,
    scope: &Scope,
    body: &Json,
    id: &ResourceId,
    known: &Model,
) -> Result<Model, crate::arm::Error> {
    let all = tags::all(body);
    let soft_delete = body::at(body, "properties.softDeletePolicy").map(|policy| SoftDelete {
        enabled: body::bool(policy, "isSoftDeleteEnabled").unwrap_or_default(),
        // the service fills in its own choice; only what the user chose is the user's
        retention_days: match &known.soft_delete {
            Some(SoftDelete { retention_days: None, .. }) => None,
            _ => body::int(policy, "retentionPeriodInDays"),
        },
    });
    Ok(Model {
        id: Some(id.to_string()),
        name: id.name().to_owned(),
        resource_group_name: id.resource_group().to_owned(),
        subscription_id: Some(id.subscription_id().to_owned()),
        location: body::text(body, "location").unwrap_or_default(),
        description: body::text(body, "properties.description"),
        tags: tags::own(context, &all, known.tags.as_ref(), known.tags_all.as_ref()),
        tags_all: Some(all),
        unique_name: body::text(body, "properties.identifier.uniqueName"),
        provisioning_state: body::text(body, "properties.provisioningState"),
        // a policy that is off is the same as none
        soft_delete: soft_delete.filter(|policy| policy.enabled || known.soft_delete.is_some()),
        identity: flatten_identity(body),
        sharing: sharing::flatten(context, scope, &target(id), body, known.sharing.as_ref()).await?,
        timeouts: known.timeouts.clone(),
    })
}

fn flatten_identity(body: &Json) -> Option<Identity> {
    let kind = body::text(body, "identity.type").filter(|kind| kind != "None")?;
    let ids: Set<String> = body::at(body, "identity.userAssignedIdentities")
        .and_then(Json::as_object)
        .into_iter()
        .flat_map(|ids| ids.keys().cloned())
        .collect();
    Some(Identity {
        r#type: kind,
        identity_ids: (!ids.is_empty()).then_some(ids),
        principal_id: body::text(body, "identity.principalId"),
        tenant_id: body::text(body, "identity.tenantId"),
    })
}

// Another sort of identity has another principal, or none.
fn prepare_identity(draft: &mut Draft<'_>) {
    let mut planned = draft.planned.get("identity").clone();
    let prior = draft.prior.get("identity");
    if planned.is_known() && prior.is_known() && planned.get("type") != prior.get("type") {
        for name in ["principal_id", "tenant_id"] {
            planned.set(name, Value::Unknown);
        }
        draft.planned.set("identity", planned);
    }
}

fn same_identity_type(a: &str, b: &str) -> bool {
    let parts = |text: &str| {
        let mut parts: Vec<String> = text.split(',').map(|part| part.trim().to_ascii_lowercase()).collect();
        parts.sort();
        parts
    };
    parts(a) == parts(b)
}

fn check_identity(identity: &Value, path: &Path, found: &mut Diagnostics) {
    let (Some(kind), ids) = (identity.get("type").as_str(), identity.get("identity_ids")) else {
        return;
    };
    let user = kind.contains("UserAssigned");
    if user && ids.is_empty() {
        found.error(
            path.then("identity_ids"),
            "User-assigned identities are missing",
            format!("type = {kind:?} needs the ids of the identities in identity_ids."),
        );
    }
    if !user && !ids.is_empty() && !ids.is_unknown() {
        found.error(
            path.then("identity_ids"),
            "identity_ids does not go with type",
            format!("type = {kind:?} takes no identity_ids; use \"UserAssigned\" or \"SystemAssigned, UserAssigned\"."),
        );
    }
}

#[cfg(test)]
#[path = "gallery_tests.rs"]
mod tests;
