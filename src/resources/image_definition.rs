//! `azimage_image_definition`: what the versions of an image have in common: OS, generation, identifier, features.

mod features;

use async_trait::async_trait;
use serde_json::{Value as Json, json};

use crate::arm::id::{GALLERY, IMAGE_DEFINITION};
use crate::arm::{Error, ResourceId, Scope, Target, region};
use crate::azure::attributes::{
    self, check_definition_name, check_filled, check_identifier, check_uri, date,
};
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
use crate::schema::spec::{block, computed, optional, optional_computed, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Set, Value};
use features::check_features;

model! {
    /// Manages an image definition of a Compute Gallery: the description that all versions of one image share, and
    /// that virtual machines name to get the latest of them.
    pub struct Model {
        /// The ARM id of the image definition.
        pub id: Option<String> = computed(),
        /// The name of the image definition.
        pub name: String = required().force_new().equivalent_if(attributes::eq_ignore_case).check_text(check_definition_name),
        /// The id of the gallery that the definition is in, in any subscription.
        pub gallery_id: String = attributes::id_of(required().force_new(), GALLERY),
        /// The region that the definition is in. The gallery's unless set.
        pub location: Option<String> = optional_computed()
            .force_new()
            .equivalent_if(region::same_region)
            .check_text(attributes::check_location),
        /// The operating system of the image.
        pub os_type: String = required().force_new().one_of(&["Linux", "Windows"]),
        /// Whether images are `Generalized` (made anew for each machine) or `Specialized` (copied as they are).
        pub os_state: Option<String> = optional()
            .default("Generalized")
            .force_new()
            .one_of(&["Generalized", "Specialized"]),
        /// The generation of virtual machines that the image boots on.
        pub hyper_v_generation: String = required().force_new().one_of(&["V1", "V2"]),
        /// The processor architecture of the image.
        pub architecture: Option<String> =
            optional().default("x64").force_new().one_of(&["x64", "Arm64"]),
        /// What the image is for.
        pub description: Option<String> = optional().or_empty(),
        /// The end-user licence agreement, or where it stands.
        pub eula: Option<String> = optional().or_empty(),
        /// Where the privacy statement stands.
        pub privacy_statement_uri: Option<String> = optional().or_empty().check_text(check_uri),
        /// Where the release notes stand.
        pub release_note_uri: Option<String> = optional().or_empty().check_text(check_uri),
        /// When the image should no longer be used, as an RFC 3339 date. Informational; can be moved and removed.
        pub end_of_life_date: Option<String> = date(optional().or_empty()),
        /// Disk types that machines made from the image should not use.
        pub disallowed_disk_types: Option<Set<String>> = optional().or_empty().check_text(check_filled),
        /// The security that the image supports. Unless set, a new definition gets what the service would choose:
        /// `TrustedLaunchSupported` for `V2`, `Standard` for `V1`. Updated in place.
        pub security_type: Option<String> = optional_computed().one_of(features::SECURITY_TYPES),
        /// Whether the image supports accelerated networking. Updated in place.
        pub accelerated_networking_enabled: Option<bool> = optional().default(false),
        /// Whether machines made from the image can hibernate. Updated in place.
        pub hibernation_enabled: Option<bool> = optional().default(false),
        /// The disk controllers that the image has drivers for. Updated in place.
        pub disk_controller_types: Option<Set<String>> = optional().or_empty().one_of(&["SCSI", "NVMe"]),
        /// Any other features of the image, by the service's names. Updated in place.
        pub features: Option<Tags> = optional().or_empty().equivalent_if(attributes::eq_ignore_case).check(features::check_names),
        /// Tags of the image definition.
        pub tags: Option<Tags> = attributes::tags(),
        /// All tags of the image definition, the provider's `default_tags` included.
        pub tags_all: Option<Tags> = computed(),
        /// State of the last operation on the definition, `Succeeded` when all is well.
        pub provisioning_state: Option<String> = computed().volatile(),
        /// Publisher, offer and sku: unique together in the gallery.
        pub identifier: Option<Identifier> = block().required(),
        /// The Marketplace plan that the image was made from; machines need it.
        pub purchase_plan: Option<PurchasePlan> = block().force_new(),
        /// The size of machine that the image is meant for.
        pub recommended: Option<Recommended> = block().group().check(check_recommended),
        /// How long each operation may take.
        pub timeouts: Option<Timeouts> = block(),
    }
}

model! {
    /// Publisher, offer and sku: unique together in the gallery.
    pub struct Identifier {
        /// Who publishes the image.
        pub publisher: String = required().force_new().check_text(|text| check_identifier(text, 128)),
        /// What the image is offered as.
        pub offer: String = required().force_new().check_text(|text| check_identifier(text, 64)),
        /// Which variant of the offer it is.
        pub sku: String = required().force_new().check_text(|text| check_identifier(text, 64)),
    }
}

model! {
    /// The Marketplace plan that the image was made from; machines need it.
    pub struct PurchasePlan {
        /// The name of the plan.
        pub name: String = required().check_text(check_filled),
        /// The publisher of the plan.
        pub publisher: Option<String> = optional().or_empty().check_text(check_filled),
        /// The product that the plan belongs to.
        pub product: Option<String> = optional().or_empty().check_text(check_filled),
    }
}

model! {
    /// The size of machine that the image is meant for.
    pub struct Recommended {
        /// The fewest virtual processors.
        pub minimum_vcpus: Option<i64> = optional().between(1, 1000),
        /// The most virtual processors.
        pub maximum_vcpus: Option<i64> = optional().between(1, 1000),
        /// The least memory, in GB.
        pub minimum_memory_gb: Option<i64> = optional().between(1, 32_000),
        /// The most memory, in GB.
        pub maximum_memory_gb: Option<i64> = optional().between(1, 32_000),
    }
}

/// The resource type.
pub struct ImageDefinition;

const IDENTITY: &[IdentityField] =
    &[identity::SUBSCRIPTION_ID, identity::RESOURCE_GROUP_NAME, identity::GALLERY_NAME, identity::NAME];

const NOUN: &str = "image definition";

#[async_trait]
impl Resource<Context> for ImageDefinition {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_image_definition"
    }

    fn identity(&self) -> &'static [IdentityField] {
        IDENTITY
    }

    fn identify(&self, model: &Model) -> Vec<Option<String>> {
        match ResourceId::parse_as(&model.gallery_id, GALLERY) {
            Ok(gallery) => vec![
                Some(gallery.subscription_id().to_owned()),
                Some(gallery.resource_group().to_owned()),
                Some(gallery.name().to_owned()),
                Some(model.name.clone()),
            ],
            Err(_) => vec![None; IDENTITY.len()],
        }
    }

    fn id(&self, model: &Model) -> Option<String> {
        id_of(model).ok().map(|id| id.to_string())
    }

    fn timeouts(&self) -> Defaults {
        Defaults::minutes(30, 5, 30, 30)
    }

    fn import(&self, context: Option<&Context>, from: &ImportFrom) -> Result<Model, Diagnostic> {
        let id = match from {
            ImportFrom::Id(id) => identity::parse(id, IMAGE_DEFINITION, Resource::type_name(self))?,
            ImportFrom::Identity(given) => ResourceId::image_definition(
                identity::subscription(context, given)?,
                identity::text(given, &identity::RESOURCE_GROUP_NAME),
                identity::text(given, &identity::GALLERY_NAME),
                identity::text(given, &identity::NAME),
            ),
        };
        Ok(stub(&id))
    }

    fn validate(&self, config: &Value, found: &mut Diagnostics) {
        check_features(config, found);
    }

    fn prepare(&self, context: Option<&Context>, draft: &mut Draft<'_>) {
        tags::prepare(context, draft);
        writing::take_up(draft);
        // what exists keeps its type when nobody names one; a new definition gets the service's choice, known already
        if draft.is_create() && draft.config.get("security_type").is_null() {
            let chosen = match draft.planned.get("hyper_v_generation").as_str() {
                Some("V1") => Value::from("Standard"),
                Some(_) => Value::from("TrustedLaunchSupported"),
                None => Value::Unknown,
            };
            draft.planned.set("security_type", chosen);
        }
    }

    async fn resolve(&self, context: &Context, op: &Op, draft: &mut Draft<'_>) {
        identity::resolve_location(context, op, draft, "gallery_id").await;
    }

    async fn check(&self, context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
        tags::check_required(context, draft, found);
        if let (true, Some(location), Some(Ok(gallery))) = (
            draft.is_create(),
            draft.planned.get("location").as_str(),
            draft.planned.get("gallery_id").as_str().map(ResourceId::parse),
        ) && let Some(why) = context.unknown_location(op, gallery.subscription_id(), location).await
        {
            found.error(Path::attribute("location"), "Invalid value for location", why);
        }
    }

    async fn read(
        &self,
        context: &Context,
        op: &Op,
        state: Model,
        _private: &mut Private,
    ) -> Result<Option<Model>, Diagnostics> {
        let id = id_of(&state)?;
        let doing = format!("reading image definition {:?}", state.name);
        let (scope, target) = (scope(op, &doing), target(&id));
        let turn = context.read(&scope, &target).await;
        let listed = turn.listed.as_ref().map(|body| flatten(context, body, &id, &state));
        if let Some(listed) = listed.filter(|listed| is_unchanged(listed, &state)) {
            return Ok(Some(listed));
        }
        let found = context.client.get_opt(&scope, &target).await;
        let body = found.map_err(|error| fault::diagnostic(&error, &doing, &id.to_string()))?;
        Ok(body.map(|body| {
            // an import may have spelt it in any way
            let id = if state.location.is_none() { identity::as_told(&id, &body) } else { id };
            flatten(context, &body, &id, &state)
        }))
    }

    async fn create(
        &self,
        context: &Context,
        op: &Op,
        plan: Model,
        private: &mut Private,
    ) -> Result<Model, Failed<Model>> {
        let id = id_of(&plan)?;
        let scope = scope(op, format!("creating image definition {:?}", plan.name));
        let _guard = context.lock(&id.to_string()).await;
        let left = writing::existing(context, &scope, &target(&id), NOUN, Resource::type_name(self)).await?;
        if left.is_some_and(|left| !is_same(&left, &plan)) {
            let type_name = Resource::type_name(self);
            return Err(writing::already_exists(&id.to_string(), NOUN, type_name).into());
        }
        let location = match &plan.location {
            Some(location) => location.clone(),
            None => gallery_location(context, &scope, &plan.gallery_id).await?,
        };
        let body = expand(context, &plan, &location, None);
        let written = writing::create(&context.client, &scope, &target(&id), &body, private).await;
        write(context, op, &scope, &id, &plan, written)
    }

    async fn update(
        &self,
        context: &Context,
        op: &Op,
        prior: Model,
        plan: Model,
        private: &mut Private,
    ) -> Result<Model, Failed<Model>> {
        let id = id_of(&prior)?;
        let scope = scope(op, format!("updating image definition {:?}", plan.name));
        let _guard = context.lock(&id.to_string()).await;
        let current = writing::resume(&context.client, &scope, &target(&id), private)
            .await
            .map_err(|error| fault::diagnostic(&error, scope.what(), &id.to_string()))?;
        let Some(current) = current else {
            return Err(identity::vanished(NOUN, &id).into());
        };
        let desired = expand(context, &plan, "", Some(&current.body));
        let covered = body::settled(&current.body, &desired);
        if let (Outcome::Unfinished(error), false) = (&current.outcome, covered) {
            // what was not even sent must not look as if it were true
            return Err(fault::diagnostic(error, scope.what(), &id.to_string()).into());
        }
        if covered && !writing::is_broken(&current.body) {
            return conclude(context, op, &scope, &id, &plan, current);
        }
        let written = writing::put(&context.client, &scope, &target(&id), &desired, private).await;
        write(context, op, &scope, &id, &plan, written)
    }

    async fn delete(
        &self,
        context: &Context,
        op: &Op,
        prior: Model,
        _private: &mut Private,
    ) -> Result<(), Diagnostics> {
        let id = id_of(&prior)?;
        let scope = scope(op, format!("deleting image definition {:?}", prior.name));
        let _guard = context.lock(&id.to_string()).await;
        let children = Target::new(format!("{id}/versions"), GALLERY_API);
        let deleted =
            writing::delete_parent(context, &scope, &target(&id), &children, "image versions").await;
        let Err(mut found) = deleted else { return Ok(()) };
        let bin = recycle_bin(context, &scope, &id).await;
        if !bin.is_empty() {
            found.push(Diagnostic::error(
                format!("Image definition {:?} still has deleted versions in the gallery's recycle bin", prior.name),
                format!(
                    "The gallery's soft delete keeps {} for a while, and with them their definition. Wait until they are \
                     gone, or purge each one (DELETE …/versions/VERSION?bypassSoftDelete=true), and apply again.",
                    bin.join(", ")
                ),
            ));
        }
        Err(found)
    }

    fn move_from(&self, source: &MoveSource) -> Option<Result<Model, Diagnostic>> {
        identity::moved(source, "azurerm_shared_image", IMAGE_DEFINITION).map(|id| id.map(|id| stub(&id)))
    }
}

fn target(id: &ResourceId) -> Target {
    Target::new(id.to_string(), GALLERY_API)
}

fn id_of(model: &Model) -> Result<ResourceId, Diagnostic> {
    ResourceId::parse_as(&model.gallery_id, GALLERY)
        .map(|gallery| gallery.child("images", &model.name))
        .map_err(|error| {
            Diagnostic::error("gallery_id names no gallery", error.to_string())
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

// Whether what a killed run left is what is wanted now.
fn is_same(left: &Json, plan: &Model) -> bool {
    let same =
        |path: &str, want: &str| body::text(left, path).is_some_and(|have| have.eq_ignore_ascii_case(want));
    let identifier = plan.identifier.clone().unwrap_or_default();
    same("properties.osType", &plan.os_type)
        && same("properties.hyperVGeneration", &plan.hyper_v_generation)
        && same("properties.identifier.publisher", &identifier.publisher)
        && same("properties.identifier.offer", &identifier.offer)
        && same("properties.identifier.sku", &identifier.sku)
}

// The versions of the definition that soft delete still keeps; none where it cannot be asked.
async fn recycle_bin(context: &Context, scope: &Scope, id: &ResourceId) -> Vec<String> {
    let Some(gallery) = id.parent() else { return Vec::new() };
    let path = format!("{gallery}/softDeletedArtifactTypes/Images/artifacts/{}/versions", id.name());
    let kept = context.client.list(scope, &Target::new(path, GALLERY_API)).await.unwrap_or_default();
    kept.iter().filter_map(|version| body::text(version, "name")).collect()
}

async fn gallery_location(context: &Context, scope: &Scope, gallery: &str) -> Result<String, Diagnostic> {
    let body = context.client.get(scope, &Target::new(gallery, GALLERY_API)).await;
    let body = body.map_err(|error| {
        fault::diagnostic(&error, "reading the gallery of the image definition", gallery)
            .at(Path::attribute("gallery_id"))
    })?;
    Ok(body::text(&body, "location").unwrap_or_default())
}

fn write(
    context: &Context,
    op: &Op,
    scope: &Scope,
    id: &ResourceId,
    plan: &Model,
    written: Result<Written, Error>,
) -> Result<Model, Failed<Model>> {
    let written = written.map_err(|error| {
        fault::at(&error, scope.what(), &id.to_string(), attribute_of(error.target.as_deref()))
    })?;
    conclude(context, op, scope, id, plan, written)
}

// The state after a write, however far it came.
fn conclude(
    context: &Context,
    op: &Op,
    scope: &Scope,
    id: &ResourceId,
    plan: &Model,
    written: Written,
) -> Result<Model, Failed<Model>> {
    let mut state = flatten(context, &written.body, id, plan);
    if plan.end_of_life_date.is_none() && state.end_of_life_date.is_some() {
        op.warn(
            Diagnostic::warning(
                "The service kept the end-of-life date",
                format!("Taking it back was asked for and not refused, but {id} still has one. The next plan shows it."),
            )
            .at(Path::attribute("end_of_life_date")),
        );
        state.end_of_life_date = None;
    }
    match written.outcome {
        Outcome::Done => Ok(state),
        Outcome::Unfinished(error) => {
            op.warn(writing::unfinished(NOUN, &id.to_string(), &error, ""));
            Ok(state)
        }
        Outcome::Failed(error) => Err(Failed::with(
            state,
            fault::at(&error, scope.what(), &id.to_string(), attribute_of(error.target.as_deref())),
        )),
    }
}

// The attribute behind the service's name for a property.
fn attribute_of(target: Option<&str>) -> Option<&'static str> {
    let property = target?.strip_prefix("galleryImage.")?;
    let property = property.strip_prefix("properties.").unwrap_or(property);
    Some(match property.split('.').next()? {
        "name" => "name",
        "location" => "location",
        "osType" => "os_type",
        "osState" => "os_state",
        "hyperVGeneration" => "hyper_v_generation",
        "architecture" => "architecture",
        "identifier" => "identifier",
        "purchasePlan" => "purchase_plan",
        "recommended" => "recommended",
        "endOfLifeDate" => "end_of_life_date",
        "features" => "features",
        "description" => "description",
        _ => return None,
    })
}

// The body to put: the plan, over what the service has and this provider does not manage.
fn expand(context: &Context, plan: &Model, location: &str, current: Option<&Json>) -> Json {
    let mut body = current.cloned().unwrap_or_else(|| json!({}));
    body::keep_only(&mut body, &["location", "properties"]);
    if current.is_none() {
        body["location"] = json!(location);
    }
    body["tags"] = json!(tags::merged(context, plan.tags.as_ref()));
    let had = |path: &str| {
        current.is_some_and(|current| body::at(current, &format!("properties.{path}")).is_some())
    };
    let mut properties = body.get("properties").cloned().unwrap_or_else(|| json!({}));
    body::set(&mut properties, "provisioningState", Json::Null);
    body::set(&mut properties, "osType", json!(plan.os_type));
    body::set(&mut properties, "osState", json!(plan.os_state));
    body::set(&mut properties, "hyperVGeneration", json!(plan.hyper_v_generation));
    body::set(&mut properties, "architecture", json!(plan.architecture));
    if let Some(identifier) = &plan.identifier {
        let identifier =
            json!({"publisher": identifier.publisher, "offer": identifier.offer, "sku": identifier.sku});
        body::set(&mut properties, "identifier", identifier);
    }
    if let Some(purchase) = &plan.purchase_plan {
        let purchase =
            json!({"name": purchase.name, "publisher": purchase.publisher, "product": purchase.product});
        body::set(&mut properties, "purchasePlan", body::without_nulls(purchase));
    }
    // an empty text takes a text back; absence would keep it
    for (name, text) in [
        ("description", &plan.description),
        ("eula", &plan.eula),
        ("privacyStatementUri", &plan.privacy_statement_uri),
        ("releaseNoteUri", &plan.release_note_uri),
    ] {
        match text {
            Some(text) => body::set(&mut properties, name, json!(text)),
            None if had(name) => body::set(&mut properties, name, json!("")),
            None => {}
        }
    }
    match &plan.end_of_life_date {
        Some(date) => body::set(&mut properties, "endOfLifeDate", json!(date)),
        // written, not left out: null takes the date back
        None if had("endOfLifeDate") => properties["endOfLifeDate"] = Json::Null,
        None => {}
    }
    match &plan.disallowed_disk_types {
        Some(types) => body::set(&mut properties, "disallowed", json!({"diskTypes": types.0})),
        None if had("disallowed") => body::set(&mut properties, "disallowed", json!({"diskTypes": []})),
        None => {}
    }
    match &plan.recommended {
        Some(recommended) => {
            let range = |min: Option<i64>, max: Option<i64>| json!({"min": min, "max": max});
            let recommended = json!({
                "vCPUs": range(recommended.minimum_vcpus, recommended.maximum_vcpus),
                "memory": range(recommended.minimum_memory_gb, recommended.maximum_memory_gb),
            });
            // null takes a bound of an existing definition back
            properties["recommended"] =
                if had("recommended") { recommended } else { body::without_nulls(recommended) };
        }
        None if had("recommended") => {
            let nothing = json!({"min": null, "max": null});
            properties["recommended"] = json!({"vCPUs": nothing, "memory": nothing});
        }
        None => {}
    }
    features::expand(&mut properties, plan, current);
    body["properties"] = properties;
    body
}

fn flatten(context: &Context, body: &Json, id: &ResourceId, known: &Model) -> Model {
    let properties = body::at(body, "properties").cloned().unwrap_or_else(|| json!({}));
    let text = |path: &str| body::text(&properties, path);
    let filled = |path: &str| text(path).filter(|text| !text.is_empty());
    let all = tags::all(body);
    let recommended = Recommended {
        minimum_vcpus: body::int(&properties, "recommended.vCPUs.min"),
        maximum_vcpus: body::int(&properties, "recommended.vCPUs.max"),
        minimum_memory_gb: body::int(&properties, "recommended.memory.min"),
        maximum_memory_gb: body::int(&properties, "recommended.memory.max"),
    };
    let disk_types = body::texts(&properties, "disallowed.diskTypes").filter(|types| !types.is_empty());
    let mut model = Model {
        id: Some(id.to_string()),
        name: id.name().to_owned(),
        gallery_id: id.parent().map(|gallery| gallery.to_string()).unwrap_or_default(),
        location: body::text(body, "location"),
        os_type: text("osType").unwrap_or_else(|| known.os_type.clone()),
        os_state: text("osState").or_else(|| known.os_state.clone()),
        hyper_v_generation: text("hyperVGeneration").unwrap_or_else(|| "V1".to_owned()),
        architecture: text("architecture").or_else(|| Some("x64".to_owned())),
        description: filled("description"),
        eula: filled("eula"),
        privacy_statement_uri: filled("privacyStatementUri"),
        release_note_uri: filled("releaseNoteUri"),
        end_of_life_date: filled("endOfLifeDate"),
        disallowed_disk_types: disk_types.map(Set),
        tags: tags::own(context, &all, known.tags.as_ref(), known.tags_all.as_ref()),
        tags_all: Some(all),
        provisioning_state: text("provisioningState"),
        identifier: body::at(&properties, "identifier").map(|identifier| Identifier {
            publisher: body::text(identifier, "publisher").unwrap_or_default(),
            offer: body::text(identifier, "offer").unwrap_or_default(),
            sku: body::text(identifier, "sku").unwrap_or_default(),
        }),
        purchase_plan: body::at(&properties, "purchasePlan")
            .filter(|plan| body::text(plan, "name").is_some())
            .map(|plan| PurchasePlan {
                name: body::text(plan, "name").unwrap_or_default(),
                publisher: body::text(plan, "publisher"),
                product: body::text(plan, "product"),
            }),
        recommended: (recommended != Recommended::default() || known.recommended.is_some())
            .then_some(recommended),
        timeouts: known.timeouts.clone(),
        ..Model::default()
    };
    features::flatten(&mut model, &properties, known);
    model
}

fn check_recommended(recommended: &Value, path: &Path, found: &mut Diagnostics) {
    for (low, high) in [("minimum_vcpus", "maximum_vcpus"), ("minimum_memory_gb", "maximum_memory_gb")] {
        if let (Some(min), Some(max)) = (recommended.get(low).as_i64(), recommended.get(high).as_i64())
            && min > max
        {
            found.error(
                path.then(low),
                format!("{low} is greater than {high}"),
                format!("{min} is more than {max}: exchange them, or leave one out."),
            );
        }
    }
}
