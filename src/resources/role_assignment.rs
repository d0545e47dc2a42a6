//! `azimage_role_assignment`: a role on a gallery, an image definition or version, an application or a managed image.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value as Json, json};

use crate::arm::id::{
    GALLERY, GALLERY_APPLICATION, GALLERY_APPLICATION_VERSION, IMAGE_DEFINITION, IMAGE_VERSION, MANAGED_IMAGE,
};
use crate::arm::{Error, ResourceId, Target};
use crate::azure::attributes::{check_exactly_one, check_guid, eq_ignore_case};
use crate::azure::context::scope;
use crate::azure::pipeline::{self, Change, Managed, Step, Task, Update, already_exists};
use crate::azure::{Call, Context, body, fault, identity};
use crate::framework::timeouts::Defaults;
use crate::framework::{
    Draft, Failed, IdentityField, ImportFrom, MoveFrom, MoveSource, Op, Resource, Timeouts,
};
use crate::model;
use crate::schema::spec::{block, computed, optional, optional_computed, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Value};

model! {
    /// Assigns a role on a gallery, an image definition, an image version, a gallery application or a managed image to a user,
    /// group or service principal.
    ///
    /// The name of the assignment is derived from scope, principal and role, so that equal assignments have equal
    /// IDs. Principals that only create machines from images need `Compute Gallery Image Reader`; principals that
    /// publish images need `Compute Gallery Artifacts Publisher`.
    pub struct Model {
        /// The resource ID of the role assignment.
        pub id: Option<String> = computed(),
        /// The ID of the gallery, image definition, image version, gallery application, application version or managed image.
        pub scope_id: String = required().force_new().equivalent_if(crate::arm::id::same_id).check_text(check_scope),
        /// The name of the role, in any case. Exactly one of `role_name` and `role_definition_id` must be set.
        pub role_name: Option<String> = optional_computed().force_new().equivalent_if(eq_ignore_case),
        /// The ID of the role definition. Role definitions are compared by the GUID at the end of the ID.
        pub role_definition_id: Option<String> =
            optional_computed().force_new().equivalent_if(same_role).check_text(check_role_id),
        /// The object ID of the principal.
        pub principal_id: String = required().force_new().equivalent_if(eq_ignore_case).check_text(check_guid),
        /// The type of the principal. Azure determines it if it is omitted, except for a principal that was just
        /// created.
        pub principal_type: Option<String> = optional_computed().force_new().one_of(PRINCIPAL_TYPES),
        /// The description of the assignment.
        pub description: Option<String> = optional(),
        /// The condition that limits the assignment.
        pub condition: Option<String> = optional(),
        /// The version of the condition's syntax, such as `2.0`. Required with `condition`.
        pub condition_version: Option<String> = optional(),
        /// Whether Azure should skip the check that the principal exists, for a service principal that was just
        /// created. Has no effect if `principal_type` is set.
        pub skip_principal_check: Option<bool> = optional().default(false),
        /// How long each operation may take.
        pub timeouts: Option<Timeouts> = block(),
    }
}

const PRINCIPAL_TYPES: &[&str] = &["ServicePrincipal", "User", "Group", "ForeignGroup", "Device"];

const TYPE_NAME: &str = "azimage_role_assignment";
const KIND: &str = "Microsoft.Authorization/roleAssignments";
const SCOPES: [&str; 6] = [
    GALLERY,
    IMAGE_DEFINITION,
    IMAGE_VERSION,
    GALLERY_APPLICATION,
    GALLERY_APPLICATION_VERSION,
    MANAGED_IMAGE,
];

/// The built-in roles that are commonly assigned on images, so that the ID of an assignment is known at plan.
const ROLES: &[(&str, &str)] = &[
    ("Owner", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"),
    ("Contributor", "b24988ac-6180-42a0-ab88-20f7382dd24c"),
    ("Reader", "acdd72a7-3385-48ef-bd42-f606fba81ae7"),
    ("Compute Gallery Sharing Admin", "1ef6a3be-d0ac-425d-8c01-acb62866290b"),
    ("Compute Gallery Artifacts Publisher", "85a2d0d9-2eba-4c9c-b355-11c2cc0788ab"),
    ("Compute Gallery Image Reader", "cf7c76d2-98a3-4358-a134-615aa78bf44d"),
    ("Virtual Machine Contributor", "9980e02c-c2be-4d73-94e8-173b1dc7cf3c"),
    ("User Access Administrator", "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"),
    ("Role Based Access Control Administrator", "f58310d9-a9f6-439a-9e8d-f62e7b41a168"),
];

/// The namespace of the generated names.
const NAMESPACE: uuid::Uuid = uuid::uuid!("7d3f5ad0-5b0c-4a29-9a53-2c1f0f5c8e41");

/// How long to wait before the next attempt if Azure does not find the principal.
const PRINCIPAL_PAUSE: Duration = Duration::from_secs(5);

/// The resource type.
pub struct RoleAssignment;

const SCOPE_ID: IdentityField = IdentityField {
    name: "scope_id",
    required: true,
    doc: "The ID of the resource that the role is assigned on.",
};
const NAME: IdentityField =
    IdentityField { name: "name", required: true, doc: "The GUID that is the name of the assignment." };

#[async_trait]
impl Resource<Context> for RoleAssignment {
    type Model = Model;

    const TYPE_NAME: &'static str = TYPE_NAME;

    fn identity(&self) -> &'static [IdentityField] {
        &[SCOPE_ID, NAME]
    }

    fn identify(&self, model: &Model) -> Vec<Option<String>> {
        let parts = model.id.as_deref().and_then(split);
        vec![parts.map(|(scope, _)| scope.to_owned()), parts.map(|(_, name)| name.to_owned())]
    }

    fn timeouts(&self) -> Defaults {
        Defaults::minutes(30, 5, 30, 30)
    }

    fn import(&self, _context: Option<&Context>, from: &ImportFrom) -> Result<Model, Diagnostic> {
        let id = match from {
            ImportFrom::Id(id) => id.trim().to_owned(),
            ImportFrom::Identity(given) => {
                format!(
                    "{}/providers/{KIND}/{}",
                    identity::text(given, &SCOPE_ID),
                    identity::text(given, &NAME)
                )
            }
        };
        stub(&id).ok_or_else(|| {
            Diagnostic::error(
                format!("Importing {TYPE_NAME}: {id:?} is not a valid ID"),
                format!(
                    "Expected SCOPE_ID/providers/{KIND}/GUID, where SCOPE_ID is the ID of one of: {}.",
                    SCOPES.join(", ")
                ),
            )
        })
    }

    fn validate(&self, config: &Value, diagnostics: &mut Diagnostics) {
        check_exactly_one(config, &["role_name", "role_definition_id"], diagnostics);
        let (condition, version) = (config.get("condition"), config.get("condition_version"));
        if condition.is_unknown() || version.is_unknown() {
            return;
        }
        if condition.is_null() != version.is_null() {
            diagnostics.error(
                Path::attribute("condition"),
                "condition and condition_version belong together",
                "Set both, or neither. The current version is \"2.0\".",
            );
        }
    }

    fn prepare(&self, _context: Option<&Context>, draft: &mut Draft<'_>) {
        let text = |draft: &Draft<'_>, name: &str| draft.planned.get(name).as_str().map(str::to_owned);
        if draft.config.get("role_definition_id").is_null() {
            let named = text(draft, "role_name");
            let kept = !draft.is_create()
                && named
                    .as_deref()
                    .zip(draft.prior.get("role_name").as_str())
                    .is_some_and(|(a, b)| eq_ignore_case(a, b));
            if !kept {
                // An import has the role's ID only.
                let known = draft.prior.get("role_definition_id").as_str().map(last_segment);
                let guid = named.as_deref().and_then(built_in);
                let planned = match (guid, known) {
                    (Some(guid), Some(known)) if guid.eq_ignore_ascii_case(known) => {
                        draft.prior.get("role_definition_id").clone()
                    }
                    (Some(guid), _) => {
                        match draft.planned.get("scope_id").as_str().and_then(|id| ResourceId::parse(id).ok())
                        {
                            Some(id) => Value::String(role_id(id.subscription_id(), guid)),
                            None => Value::Unknown,
                        }
                    }
                    (None, _) => Value::Unknown,
                };
                draft.planned.set("role_definition_id", planned);
            }
        }
        if draft.config.get("role_name").is_null()
            && (draft.is_create() || draft.changes("role_definition_id"))
        {
            let name = match draft.planned.get("role_definition_id") {
                Value::String(id) => name_of(id).map_or(Value::Null, Value::string),
                _ => Value::Unknown,
            };
            draft.planned.set("role_name", name);
        }
        if draft.is_create()
            || ["scope_id", "role_definition_id", "principal_id"].iter().any(|name| draft.changes(name))
        {
            let parts = text(draft, "scope_id")
                .zip(text(draft, "role_definition_id"))
                .zip(text(draft, "principal_id"));
            let id = match parts {
                Some(((scope, role), principal)) => Value::String(derived_id(&scope, &role, &principal)),
                None => Value::Unknown,
            };
            // An assignment with another name keeps its name.
            let same = !draft.is_create()
                && [
                    ("scope_id", crate::arm::id::same_id as fn(&str, &str) -> bool),
                    ("role_definition_id", same_role),
                    ("principal_id", eq_ignore_case),
                ]
                .iter()
                .all(|(name, same)| {
                    text(draft, name)
                        .zip(draft.prior.get(name).as_str())
                        .is_some_and(|(planned, prior)| same(&planned, prior))
                });
            if !same {
                draft.planned.set("id", id);
            }
        }
    }

    fn moves_from(&self) -> Vec<MoveFrom> {
        identity::moves_from("azurerm_role_assignment", &[KIND])
    }

    fn move_from(&self, source: &MoveSource) -> Result<Model, Diagnostic> {
        // azurerm may append a tenant to the ID
        let id = source.text("id").unwrap_or_default().split('|').next().unwrap_or_default();
        let mut model = self.import(None, &ImportFrom::Id(id.to_owned()))?;
        // Azure does not return it
        let skipped = source.state.get("skip_service_principal_aad_check").and_then(Json::as_bool);
        model.skip_principal_check = Some(skipped.unwrap_or_default());
        Ok(model)
    }

    /// An import has the role's name and ID; one of them is sufficient.
    fn generate(&self, config: &mut Value) {
        if !config.get("role_name").is_null() {
            config.set("role_definition_id", Value::Null);
        }
    }
}

fn last_segment(id: &str) -> &str {
    id.trim_end_matches('/').rsplit('/').next().unwrap_or(id)
}

/// Scope and name of an assignment's ID.
fn split(id: &str) -> Option<(&str, &str)> {
    let marker = format!("/providers/{KIND}/").to_lowercase();
    let at = id.to_lowercase().rfind(&marker)?;
    Some((&id[..at], &id[at + marker.len()..]))
}

fn stub(id: &str) -> Option<Model> {
    let (scope, name) = split(id)?;
    uuid::Uuid::parse_str(name).ok()?;
    check_scope(scope).ok()?;
    let scope = ResourceId::parse(scope).ok()?.to_string();
    Some(Model {
        id: Some(format!("{scope}/providers/{KIND}/{}", name.to_lowercase())),
        scope_id: scope,
        skip_principal_check: Some(false),
        ..Model::default()
    })
}

/// The ID of an assignment: its name is a version 5 UUID of scope, principal and role, in lower case.
fn derived_id(scope: &str, role: &str, principal: &str) -> String {
    let scope = ResourceId::parse(scope).map_or_else(|_| scope.to_owned(), |id| id.to_string());
    let text = format!("{scope}|{principal}|{}", last_segment(role)).to_lowercase();
    let mut bytes = NAMESPACE.as_bytes().to_vec();
    bytes.extend(text.as_bytes());
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    let mut half = [0_u8; 16];
    half.copy_from_slice(&digest.as_ref()[..16]);
    let name = uuid::Builder::from_sha1_bytes(half).into_uuid();
    format!("{scope}/providers/{KIND}/{name}")
}

fn role_id(subscription: &str, guid: &str) -> String {
    format!("/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{guid}")
}

fn built_in(name: &str) -> Option<&'static str> {
    ROLES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, guid)| *guid)
}

fn name_of(role: &str) -> Option<&'static str> {
    ROLES.iter().find(|(_, guid)| guid.eq_ignore_ascii_case(last_segment(role))).map(|(name, _)| *name)
}

/// Role definitions have IDs at many scopes; they are compared by the GUID at the end.
fn same_role(a: &str, b: &str) -> bool {
    last_segment(a).eq_ignore_ascii_case(last_segment(b))
}

fn check_scope(text: &str) -> Result<(), String> {
    if SCOPES.iter().any(|kind| ResourceId::parse_as(text, kind).is_ok()) {
        return Ok(());
    }
    Err("must be the ID of a gallery, an image definition, an image version, a gallery application, an application version or a managed image".to_owned())
}

fn check_role_id(text: &str) -> Result<(), String> {
    let known = text.to_lowercase().contains("/providers/microsoft.authorization/roledefinitions/");
    match known && check_guid(last_segment(text)).is_ok() {
        true => Ok(()),
        false => Err("must be the ID of a role definition, such as /subscriptions/SUBSCRIPTION_ID/providers/Microsoft.Authorization/roleDefinitions/GUID".to_owned()),
    }
}

#[async_trait]
impl Managed for RoleAssignment {
    const NOUN: &'static str = "role assignment";

    fn resource_id(&self, _context: &Context, model: &Model) -> Result<ResourceId, Diagnostic> {
        let id = match (&model.id, &model.role_definition_id) {
            (Some(id), _) => id.clone(),
            (None, role) => {
                let role = role.as_deref().unwrap_or_default();
                derived_id(&model.scope_id, role, &model.principal_id)
            }
        };
        ResourceId::parse(&id).map_err(|error| {
            Diagnostic::error("Invalid value for scope_id", error.to_string()).at(Path::attribute("scope_id"))
        })
    }

    fn diagnose(error: &Error, what: &str, id: &str) -> Diagnostic {
        advise(fault::diagnostic(error, what, id), error)
    }

    async fn expand_new(&self, _task: &Task<'_>, plan: &Model) -> Result<Json, Diagnostics> {
        Ok(expand(plan))
    }

    fn steps<'s>(&'s self, update: Update<'s, Model>, _current: &Json) -> Vec<Step<'s>> {
        vec![Box::new(move |current| Change::Put(expand_change(update.plan, current)))]
    }

    // for a while, some regions do not know a new principal
    fn retry_after(&self, error: &Error, _attempt: usize) -> Option<Duration> {
        (error.code() == "PrincipalNotFound").then_some(PRINCIPAL_PAUSE)
    }

    async fn explain(&self, task: &Task<'_>, plan: &Model, error: &Error) -> Diagnostic {
        match error.code() {
            "RoleAssignmentExists" => exists_under_another_name(task, plan, error).await,
            _ => task.failed(error),
        }
    }

    fn is_imported(&self, state: &Model) -> bool {
        state.principal_id.is_empty()
    }

    // an import has the role's ID only
    async fn complete_import(&self, task: &Task<'_>, state: &mut Model) {
        state.role_name = role_name(task, state).await;
    }

    async fn flatten(
        &self,
        _task: &Task<'_>,
        object: &Json,
        id: &ResourceId,
        known: &Model,
    ) -> Result<Model, Error> {
        Ok(flatten(Model { id: Some(id.to_string()), ..known.clone() }, object))
    }

    async fn create(&self, call: Call<'_>, plan: Model) -> Result<Model, Failed<Model>> {
        // the ID depends on the role
        let role = resolve_role(call.context, call.op, &plan).await?;
        let role_name = plan.role_name.clone().or_else(|| name_of(&role).map(str::to_owned));
        let plan = Model { role_definition_id: Some(role), role_name, ..plan };
        pipeline::create(self, call, plan).await
    }

    async fn update(&self, call: Call<'_>, prior: Model, plan: Model) -> Result<Model, Failed<Model>> {
        let plan = Model { id: prior.id.clone(), ..plan };
        pipeline::update(self, call, prior, plan).await
    }
}

fn expand(plan: &Model) -> Json {
    let kind = match (&plan.principal_type, plan.skip_principal_check) {
        (Some(kind), _) => Some(kind.clone()),
        (None, Some(true)) => Some("ServicePrincipal".to_owned()),
        (None, _) => None,
    };
    json!({"properties": body::without_nulls(json!({
        "roleDefinitionId": plan.role_definition_id,
        "principalId": plan.principal_id,
        "principalType": kind,
        "description": plan.description,
        "condition": plan.condition,
        "conditionVersion": plan.condition_version,
    }))})
}

// The existing assignment with the description and condition of the plan, which are all that can change.
fn expand_change(plan: &Model, current: &Json) -> Json {
    let kept = |name: &str| body::at(current, &format!("properties.{name}")).cloned().unwrap_or_default();
    json!({"properties": {
        "roleDefinitionId": kept("roleDefinitionId"),
        "principalId": kept("principalId"),
        "principalType": kept("principalType"),
        "description": plan.description,
        "condition": plan.condition,
        "conditionVersion": plan.condition_version,
    }})
}

fn flatten(known: Model, found: &Json) -> Model {
    let text = |name: &str| body::text(found, &format!("properties.{name}")).filter(|text| !text.is_empty());
    let keep = |have: Option<String>, read: Option<String>, same: fn(&str, &str) -> bool| match (have, read) {
        (Some(have), Some(read)) if same(&have, &read) => Some(have),
        (have, None) => have,
        (_, read) => read,
    };
    let principal = Some(known.principal_id).filter(|id| !id.is_empty());
    Model {
        role_definition_id: keep(known.role_definition_id, text("roleDefinitionId"), same_role),
        principal_id: keep(principal, text("principalId"), eq_ignore_case).unwrap_or_default(),
        principal_type: text("principalType").or(known.principal_type),
        description: text("description"),
        condition: text("condition"),
        condition_version: text("conditionVersion"),
        ..known
    }
}

/// The ID of the planned role. The name of a role that is not built in is looked up at the scope.
async fn resolve_role(context: &Context, op: &Op, plan: &Model) -> Result<String, Diagnostic> {
    if let Some(id) = &plan.role_definition_id {
        return Ok(id.clone());
    }
    let name = plan.role_name.as_deref().unwrap_or_default();
    let scope = scope(op, format!("looking up role {name:?}"));
    let filter = format!("roleName eq '{}'", name.replace('\'', "''"));
    let path = format!("{}/providers/Microsoft.Authorization/roleDefinitions", plan.scope_id);
    let found = context
        .client
        .list(&scope, &Target::at(path).query("$filter", filter))
        .await
        .map_err(|error| fault::bare(&error, scope.what()))?;
    found
        .iter()
        .find(|role| body::text(role, "properties.roleName").is_some_and(|have| have.eq_ignore_ascii_case(name)))
        .and_then(|role| body::text(role, "id"))
        .ok_or_else(|| {
            Diagnostic::error(
                format!("There is no role {name:?}"),
                format!("No role of that name can be assigned on {}. Correct role_name, or set role_definition_id.", plan.scope_id),
            )
            .at(Path::attribute("role_name"))
        })
}

/// The name of an imported assignment's role, if it can be read.
async fn role_name(task: &Task<'_>, model: &Model) -> Option<String> {
    let id = model.role_definition_id.as_deref()?;
    if let Some(name) = name_of(id) {
        return Some(name.to_owned());
    }
    let found = task.client().get_opt(&task.scope, &Target::at(id.to_owned())).await.ok().flatten()?;
    body::text(&found, "properties.roleName")
}

/// The error for an assignment that exists under another name, with an import block for it.
async fn exists_under_another_name(task: &Task<'_>, plan: &Model, error: &Error) -> Diagnostic {
    let id = match name_in(&error.message) {
        Some(name) => Some(format!("{}/providers/{KIND}/{name}", plan.scope_id)),
        None => look_up(task, plan).await,
    };
    match id {
        Some(id) => already_exists(&id, RoleAssignment::NOUN, TYPE_NAME),
        None => task.failed(error),
    }
}

/// "The ID of the existing role assignment is 32 hexadecimal digits."
fn name_in(message: &str) -> Option<uuid::Uuid> {
    message
        .split(|c: char| !c.is_ascii_hexdigit())
        .find(|word| word.len() == 32)
        .and_then(|word| uuid::Uuid::try_parse(word).ok())
}

async fn look_up(task: &Task<'_>, plan: &Model) -> Option<String> {
    let path = format!("{}/providers/{KIND}", plan.scope_id);
    let filter = format!("principalId eq '{}'", plan.principal_id);
    let found = task.client().list(&task.scope, &Target::at(path).query("$filter", filter)).await.ok()?;
    let role = plan.role_definition_id.as_deref().unwrap_or_default();
    found
        .iter()
        .find(|other| {
            let text = |name: &str| body::text(other, &format!("properties.{name}")).unwrap_or_default();
            crate::arm::id::same_id(&text("scope"), &plan.scope_id)
                && same_role(&text("roleDefinitionId"), role)
        })
        .and_then(|other| body::text(other, "id"))
}

/// Adds to a refusal which roles are needed to assign roles.
fn advise(mut diagnostic: Diagnostic, error: &Error) -> Diagnostic {
    if error.code() == "AuthorizationFailed" {
        diagnostic.detail.push_str("\n\nRoles can be assigned by those who have Owner, User Access Administrator or Role Based Access Control Administrator on the scope.");
    }
    diagnostic
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arm::Method;
    use crate::azure::testing::{FakeArm, op};
    use crate::framework::Private;

    const SCOPE: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/resourceGroups/rg/providers/Microsoft.Compute/galleries/gal";
    const PRINCIPAL: &str = "0d9a0000-0000-0000-0000-00000000aaaa";

    fn plan() -> Model {
        let role = role_id("5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10", built_in("reader").unwrap());
        Model {
            scope_id: SCOPE.to_owned(),
            role_name: Some("reader".to_owned()),
            role_definition_id: Some(role),
            principal_id: PRINCIPAL.to_owned(),
            ..Model::default()
        }
    }

    fn id() -> String {
        derived_id(SCOPE, built_in("Reader").unwrap(), PRINCIPAL)
    }

    #[test]
    fn names_follow_from_scope_principal_and_role_in_any_spelling() {
        let one = id();
        assert_eq!(
            one,
            derived_id(
                &SCOPE.replace("galleries", "GALLERIES"),
                &role_id("x", built_in("Reader").unwrap()),
                &PRINCIPAL.to_uppercase()
            )
        );
        assert_ne!(one, derived_id(SCOPE, built_in("Owner").unwrap(), PRINCIPAL));
        assert_ne!(one, derived_id(&format!("{SCOPE}2"), built_in("Reader").unwrap(), PRINCIPAL));
        let (_, name) = split(&one).unwrap();
        assert_eq!(uuid::Uuid::parse_str(name).unwrap().get_version_num(), 5);
    }

    #[test]
    fn imports_know_scope_and_name() {
        let stubbed = stub(&id().to_uppercase().replace("/SUBSCRIPTIONS", "/subscriptions")).unwrap();
        assert_eq!(stubbed.id.as_deref().map(str::to_lowercase), Some(id().to_lowercase()));
        for wrong in [
            "",
            SCOPE,
            "/subscriptions/s/providers/Microsoft.Authorization/roleAssignments/0d9a0000-0000-0000-0000-000000000001",
        ] {
            assert!(stub(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn moves_keep_attributes_that_azure_does_not_return() {
        for (state, skipped) in [
            (json!({}), false),
            (json!({"skip_service_principal_aad_check": null}), false),
            (json!({"skip_service_principal_aad_check": false}), false),
            (json!({"skip_service_principal_aad_check": true}), true),
        ] {
            let mut source = MoveSource {
                provider: "registry.terraform.io/hashicorp/azurerm".to_owned(),
                type_name: "azurerm_role_assignment".to_owned(),
                schema_version: 0,
                state,
            };
            source.state["id"] = json!(format!("{}|11111111-1111-1111-1111-111111111111", id()));
            let moved = RoleAssignment.move_from(&source).unwrap();
            assert_eq!((moved.id, moved.skip_principal_check), (Some(id()), Some(skipped)));
        }
    }

    #[test]
    fn the_existing_name_is_found_in_the_message() {
        let message = "The role assignment already exists. The ID of the existing role assignment is 0d9a0000000000000000000000000001.";
        assert_eq!(name_in(message).unwrap().to_string(), "0d9a0000-0000-0000-0000-000000000001");
        assert_eq!(name_in("The role assignment already exists."), None);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_the_principal() {
        let arm = FakeArm::new();
        let refused = json!({"error": {"code": "PrincipalNotFound", "message": "m"}});
        arm.on(Method::Put, &id(), 201, json!({"properties": {}}));
        arm.next(7, Method::Put, &id(), 400, refused);
        let made = RoleAssignment
            .create(Call::new(&arm.context(), &op(), &mut Private::default()), plan())
            .await
            .unwrap();
        assert_eq!(made.id, Some(id()));
        assert_eq!(arm.calls().iter().filter(|call| call.starts_with("PUT")).count(), 8);
    }

    #[tokio::test]
    async fn proposes_an_import_block_for_an_assignment_with_another_name() {
        const OTHER: &str = "0d9a0000-0000-0000-0000-000000000001";
        let other = format!("{SCOPE}/providers/{KIND}/{OTHER}");
        for message in [
            "It exists. The ID of the existing role assignment is 0d9a0000000000000000000000000001.",
            "It exists.",
        ] {
            let arm = FakeArm::new();
            arm.on(
                Method::Put,
                &id(),
                409,
                json!({"error": {"code": "RoleAssignmentExists", "message": message}}),
            );
            let row = |scope: &str, name: &str| json!({"id": format!("{scope}/providers/{KIND}/{name}"), "properties": {"scope": scope, "roleDefinitionId": built_in("Reader")}});
            arm.get(
                &format!("{SCOPE}/providers/{KIND}"),
                json!({"value": [row("/", "x"), row(SCOPE, OTHER)]}),
            );
            let failed = RoleAssignment
                .create(Call::new(&arm.context(), &op(), &mut Private::default()), plan())
                .await
                .unwrap_err();
            let message: String = failed.diagnostics.0.iter().map(ToString::to_string).collect();
            assert!(message.contains(&other) && message.contains("import {"), "{message}");
        }
    }

    #[tokio::test]
    async fn reverts_changes_of_other_clients() {
        let arm = FakeArm::new();
        let stored = |description: &str| {
            json!({"id": id(), "properties": {
                "roleDefinitionId": built_in("Reader"), "principalId": PRINCIPAL, "principalType": "Group",
                "description": description, "condition": null, "conditionVersion": null,
            }})
        };
        arm.get(&id(), stored("theirs"));
        let state = Model { id: Some(id()), description: Some("ours".to_owned()), ..plan() };
        let read = RoleAssignment
            .read(Call::new(&arm.context(), &op(), &mut Private::default()), state.clone())
            .await;
        let read = read.unwrap().unwrap();
        assert_eq!(read.description.as_deref(), Some("theirs"));
        assert_eq!(read.role_definition_id, state.role_definition_id);
        // The principal type that Azure determined is sent again, because an update cannot change it.
        arm.on(Method::Put, &id(), 201, stored("ours"));
        RoleAssignment
            .update(Call::new(&arm.context(), &op(), &mut Private::default()), read, state)
            .await
            .unwrap();
        let sent = arm.seen().into_iter().find(|seen| seen.call.starts_with("PUT")).unwrap().body;
        assert_eq!(sent["properties"]["description"], "ours");
        assert_eq!(sent["properties"]["principalType"], "Group");
    }

    #[test]
    fn sends_only_configured_members() {
        let sent = expand(&plan());
        assert_eq!(sent["properties"].as_object().unwrap().len(), 2);
        let skipped = expand(&Model { skip_principal_check: Some(true), ..plan() });
        assert_eq!(skipped["properties"]["principalType"], "ServicePrincipal");
    }
}
