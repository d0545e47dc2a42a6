//! `azimage_gallery_application`: software that is installed on virtual machines from a Compute Gallery.

use async_trait::async_trait;
use serde_json::{Value as Json, json};

use crate::arm::id::{GALLERY, GALLERY_APPLICATION};
use crate::arm::{Error, ResourceId, Target, region};
use crate::azure::attributes::{self, check_application_name, check_uri, date};
use crate::azure::gallery_version::location::parent_location;
use crate::azure::objects::application::{Application, CustomAction, expand_actions, name_key};
use crate::azure::objects::definition::OS_TYPES;
use crate::azure::pipeline::{self, Change, Ended, Managed, Member, Step, Task, Update};
use crate::azure::provisioning::is_in_flight;
use crate::azure::tags::{self, Tags};
use crate::azure::{Context, body, fault, identity, provisioning};
use crate::framework::timeouts::Defaults;
use crate::framework::{Draft, IdentityField, ImportFrom, MoveFrom, Op, Private, Resource, Timeouts};
use crate::model;
use crate::schema::spec::{block, computed, optional, optional_computed, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Set};

model! {
    /// Manages an application in a Compute Gallery: software that is installed on virtual machines and scale sets. Its
    /// packages are the versions of the application.
    pub struct Model {
        /// The resource ID of the application.
        pub id: Option<String> = computed(),
        /// The name of the application.
        pub name: String =
            required().force_new().equivalent_if(attributes::eq_ignore_case).check_text(check_application_name),
        /// The ID of the gallery of the application, in any subscription.
        pub gallery_id: String = attributes::id_of(required().force_new(), GALLERY),
        /// The region of the application. Defaults to the gallery's.
        pub location: Option<String> = optional_computed()
            .force_new()
            .equivalent_if(region::same_region)
            .check_text(attributes::check_location),
        /// The operating system that the application is for.
        pub supported_os_type: String = required().force_new().one_of(OS_TYPES),
        /// The description of the application.
        pub description: Option<String> = optional().or_empty(),
        /// The end-user licence agreement, or its URI.
        pub eula: Option<String> = optional().or_empty(),
        /// The URI of the privacy statement.
        pub privacy_statement_uri: Option<String> = optional().or_empty().check_text(check_uri),
        /// The URI of the release notes.
        pub release_note_uri: Option<String> = optional().or_empty().check_text(check_uri),
        /// The end-of-life date of the application, in RFC 3339 format. Informational. It can be changed and removed in
        /// place.
        pub end_of_life_date: Option<String> = date(optional().or_empty()),
        /// The tags of the application.
        pub tags: Option<Tags> = attributes::tags(),
        /// All tags of the application, the provider's `default_tags` included.
        pub tags_all: Option<Tags> = computed(),
        /// The state of the last operation on the application. `Succeeded` when the application is healthy.
        pub provisioning_state: Option<String> = computed().volatile_unless("Succeeded"),
        /// A script that can be run on machines that have any version of the application.
        pub custom_action: Set<CustomAction> = block().key(name_key),
        /// How long each operation may take.
        pub timeouts: Option<Timeouts> = block(),
    }
}

/// The resource type.
pub struct GalleryApplication;

#[async_trait]
impl Resource<Context> for GalleryApplication {
    type Model = Model;

    const TYPE_NAME: &'static str = "azimage_gallery_application";

    fn identity(&self) -> &'static [IdentityField] {
        identity::IN_GALLERY
    }

    fn identify(&self, model: &Model) -> Vec<Option<String>> {
        identity::values(identity::IN_GALLERY, id_of(model).ok().as_ref())
    }

    fn id(&self, model: &Model) -> Option<String> {
        id_of(model).ok().map(|id| id.to_string())
    }

    fn timeouts(&self) -> Defaults {
        Defaults::minutes(30, 5, 30, 30)
    }

    fn import(&self, context: Option<&Context>, from: &ImportFrom) -> Result<Model, Diagnostic> {
        let id = identity::import(context, from, identity::IN_GALLERY, GALLERY_APPLICATION, Self::TYPE_NAME)?;
        Ok(stub(&id))
    }

    fn prepare(&self, context: Option<&Context>, draft: &mut Draft<'_>) {
        tags::prepare(context, draft);
        provisioning::plan_retry_if_unfinished(draft);
    }

    async fn resolve(&self, context: &Context, op: &Op, draft: &mut Draft<'_>) {
        identity::resolve_location(context, op, draft, "gallery_id").await;
    }

    async fn check(&self, context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
        if let (true, Some(location), Some(Ok(gallery))) = (
            draft.is_create(),
            draft.planned.get("location").as_str(),
            draft.planned.get("gallery_id").as_str().map(ResourceId::parse),
        ) && let Some(why) = context.unknown_location(op, gallery.subscription_id(), location).await
        {
            found.error(Path::attribute("location"), "Invalid value for location", why);
        }
        pipeline::check_api_version(self, context, &draft.planned, found);
    }

    fn moves_from(&self) -> Vec<MoveFrom> {
        identity::moves_from("azurerm_gallery_application", &[GALLERY_APPLICATION])
    }
}

#[async_trait]
impl Managed for GalleryApplication {
    const NOUN: &'static str = "gallery application";
    const IS_PARENT: bool = true;

    const MEMBERS: &'static [Member] = &[Member::new("custom_action", "2022-03-03")];

    fn resource_id(&self, _context: &Context, model: &Model) -> Result<ResourceId, Diagnostic> {
        id_of(model)
    }

    fn diagnose(error: &Error, what: &str, id: &str) -> Diagnostic {
        fault::at(error, what, id, attribute_of(error.target.as_deref()))
    }

    async fn expand_new(&self, task: &Task<'_>, plan: &Model) -> Result<Json, Diagnostics> {
        let location = match &plan.location {
            Some(location) => location.clone(),
            None => parent_location(task, Self::NOUN, "gallery", "gallery_id", &plan.gallery_id).await?,
        };
        Ok(expand(task.context, plan, &location, None))
    }

    fn steps<'s>(&'s self, update: Update<'s, Model>, _current: &Json) -> Vec<Step<'s>> {
        vec![Box::new(move |current| Change::Put(expand(update.context, update.plan, "", Some(current))))]
    }

    async fn flatten(
        &self,
        task: &Task<'_>,
        object: &Json,
        id: &ResourceId,
        known: &Model,
    ) -> Result<Model, Error> {
        Ok(flatten(task.context, Application::read(object), id, known))
    }

    fn adjust(
        &self,
        task: &Task<'_>,
        plan: &Model,
        _prior: Option<&Model>,
        ended: &Ended,
        state: &mut Model,
    ) {
        if plan.end_of_life_date.is_none() && state.end_of_life_date.is_some() && !is_in_flight(&ended.body) {
            task.op.warn(provisioning::kept_end_of_life_date(&task.id));
            state.end_of_life_date = None;
        }
    }

    async fn remove(
        &self,
        task: &Task<'_>,
        _prior: &Model,
        _private: &mut Private,
    ) -> Result<(), Diagnostics> {
        let versions = (Target::at(format!("{}/versions", task.id)), "application version");
        pipeline::delete_parent(task, &self.target(&task.id), &[versions]).await
    }
}

fn id_of(model: &Model) -> Result<ResourceId, Diagnostic> {
    ResourceId::parse_as(&model.gallery_id, GALLERY)
        .map(|gallery| gallery.child("applications", &model.name))
        .map_err(|error| {
            Diagnostic::error("Invalid value for gallery_id", error.to_string())
                .at(Path::attribute("gallery_id"))
        })
}

fn stub(id: &ResourceId) -> Model {
    Model {
        id: Some(id.to_string()),
        name: id.name().to_owned(),
        gallery_id: id.parent().map(|gallery| gallery.to_string()).unwrap_or_default(),
        ..Model::default()
    }
}

// The body to send: the existing application with the planned members.
fn expand(context: &Context, plan: &Model, location: &str, current: Option<&Json>) -> Json {
    let none = json!({});
    let had = current.and_then(|current| body::at(current, "properties")).unwrap_or(&none);
    let mut properties = had.clone();
    body::set(&mut properties, "provisioningState", Json::Null);
    properties["supportedOSType"] = json!(plan.supported_os_type);
    // an empty text removes a text; a missing one keeps it
    for (name, text) in [
        ("description", &plan.description),
        ("eula", &plan.eula),
        ("privacyStatementUri", &plan.privacy_statement_uri),
        ("releaseNoteUri", &plan.release_note_uri),
    ] {
        match text.as_ref().filter(|text| !text.is_empty()) {
            Some(text) => properties[name] = json!(text),
            None if body::at(had, name).is_some() => properties[name] = json!(""),
            None => {}
        }
    }
    match &plan.end_of_life_date {
        Some(date) => properties["endOfLifeDate"] = json!(date),
        // null removes the date; a missing member keeps it
        None if body::at(had, "endOfLifeDate").is_some() => properties["endOfLifeDate"] = Json::Null,
        None => {}
    }
    if !plan.custom_action.is_empty() || body::at(had, "customActions").is_some() {
        properties["customActions"] = expand_actions(&plan.custom_action);
    }
    let location = current.and_then(|current| body::text(current, "location")).unwrap_or(location.to_owned());
    json!({
        "location": location,
        "tags": tags::merged(context, plan.tags.as_ref()),
        "properties": properties,
    })
}

fn flatten(context: &Context, application: Application, id: &ResourceId, known: &Model) -> Model {
    Model {
        id: Some(id.to_string()),
        name: id.name().to_owned(),
        gallery_id: id.parent().map(|gallery| gallery.to_string()).unwrap_or_default(),
        location: application.location.or_else(|| known.location.clone()),
        supported_os_type: application.supported_os_type.unwrap_or_else(|| known.supported_os_type.clone()),
        description: application.description,
        eula: application.eula,
        privacy_statement_uri: application.privacy_statement_uri,
        release_note_uri: application.release_note_uri,
        end_of_life_date: application.end_of_life_date,
        tags: tags::own(context, &application.tags, known.tags.as_ref(), known.tags_all.as_ref()),
        tags_all: Some(application.tags),
        // the service returns the state only of applications that are not healthy
        provisioning_state: application.provisioning_state.or_else(|| Some("Succeeded".to_owned())),
        custom_action: application.custom_action,
        timeouts: known.timeouts.clone(),
    }
}

// The attribute of a property that the service names in an error.
fn attribute_of(target: Option<&str>) -> Option<&'static str> {
    let property = target?.strip_prefix("galleryApplication.")?;
    let property = property.strip_prefix("properties.").unwrap_or(property);
    Some(match property.split('.').next()? {
        "name" => "name",
        "location" => "location",
        "supportedOSType" => "supported_os_type",
        "description" => "description",
        "eula" => "eula",
        "privacyStatementUri" => "privacy_statement_uri",
        "releaseNoteUri" => "release_note_uri",
        "endOfLifeDate" => "end_of_life_date",
        "customActions" => "custom_action",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arm::Method;
    use crate::azure::Call;
    use crate::azure::testing::{FakeArm, op};

    #[tokio::test]
    async fn an_update_removes_unset_members_and_keeps_unmanaged_ones() {
        let context = FakeArm::new().context();
        let current = json!({
            "name": "a", "location": "westeurope", "tags": {"a": "b"},
            "properties": {
                "supportedOSType": "Linux", "description": "old", "endOfLifeDate": "2031-01-01T00:00:00+00:00",
                "provisioningState": "Succeeded", "futureMember": 1, "customActions": [{"name": "x", "script": "y"}],
            },
        });
        let plan = Model { supported_os_type: "Linux".to_owned(), ..Model::default() };
        let sent = expand(&context, &plan, "", Some(&current));
        let properties = json!({
            "supportedOSType": "Linux", "description": "", "endOfLifeDate": null, "futureMember": 1,
            "customActions": [],
        });
        assert_eq!(sent, json!({"location": "westeurope", "tags": {}, "properties": properties}));
        let sent = expand(&context, &plan, "eastus", None);
        assert_eq!(
            sent,
            json!({"location": "eastus", "tags": {}, "properties": {"supportedOSType": "Linux"}})
        );
    }

    // Recorded creations are synchronous; the published description allows an operation.
    #[tokio::test(start_paused = true)]
    async fn waits_for_a_creation_that_is_accepted_with_an_operation() {
        const GALLERY: &str = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries/g";
        let id = format!("{GALLERY}/applications/a");
        let object =
            json!({"id": id, "name": "a", "location": "eastus", "properties": {"supportedOSType": "Linux"}});
        let arm = FakeArm::new();
        let poll = "/subscriptions/s/providers/Microsoft.Compute/locations/eastus/capsOperations/1";
        let location = format!("https://management.azure.com{poll}?api-version=2026-03-03");
        arm.on_with(Method::Put, &id, 202, &[("location", &location)], Json::Null);
        arm.on(Method::Get, poll, 200, object.clone());
        arm.next(3, Method::Get, poll, 202, Json::Null);
        arm.get(&id, object);
        arm.next(1, Method::Get, &id, 404, json!({"error": {"code": "ResourceNotFound", "message": "none"}}));
        let plan = Model {
            name: "a".to_owned(),
            gallery_id: GALLERY.to_owned(),
            location: Some("eastus".to_owned()),
            supported_os_type: "Linux".to_owned(),
            ..Model::default()
        };
        let (context, op, mut private) = (arm.context(), op(), Private::default());
        let made = pipeline::create(&GalleryApplication, Call::new(&context, &op, &mut private), plan).await;
        let made = made.unwrap_or_else(|failed| panic!("{:?}", failed.diagnostics));
        assert_eq!(made.provisioning_state.as_deref(), Some("Succeeded"));
        assert_eq!(arm.calls().iter().filter(|call| call.contains("capsOperations")).count(), 4);
    }

    #[test]
    fn errors_point_at_the_attribute() {
        for (target, attribute) in [
            ("galleryApplication.properties.endOfLifeDate", Some("end_of_life_date")),
            ("galleryApplication.properties.customActions.script", Some("custom_action")),
            ("galleryApplication.name", Some("name")),
            ("galleryApplicationVersion.name", None),
        ] {
            assert_eq!(attribute_of(Some(target)), attribute, "{target}");
        }
    }
}
