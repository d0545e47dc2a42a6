//! An image definition in the pipeline: what is sent, how an answer is read, and how a definition is deleted.

use async_trait::async_trait;
use serde_json::{Value as Json, json};

use super::{ImageDefinition, Model, features, id_of, recycle_bin};
use crate::arm::{Error, ResourceId, Target};
use crate::azure::gallery_version::location::parent_location;
use crate::azure::objects::definition::{Definition, Recommended};
use crate::azure::pipeline::{self, Change, Ended, Managed, Member, Step, Task, Update};
use crate::azure::{Call, Context, body, fault, provisioning, tags};
use crate::framework::{Failed, Private};
use crate::schema::{Diagnostic, Diagnostics, Set};

#[async_trait]
impl Managed for ImageDefinition {
    const NOUN: &'static str = "image definition";
    const IS_PARENT: bool = true;

    const MEMBERS: &'static [Member] = &[
        Member::value("architecture", "Arm64", "2021-10-01"),
        Member::new("features", "2020-09-30"),
        Member::new("accelerated_networking_enabled", "2020-09-30"),
        Member::new("hibernation_enabled", "2020-09-30"),
        Member::new("disk_controller_types", "2020-09-30"),
    ];

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
        Ok(flatten(task.context, Definition::read(object), id, known))
    }

    fn adjust(
        &self,
        task: &Task<'_>,
        plan: &Model,
        _prior: Option<&Model>,
        ended: &Ended,
        state: &mut Model,
    ) {
        let in_flight = provisioning::is_in_flight(&ended.body);
        if plan.end_of_life_date.is_none() && state.end_of_life_date.is_some() && !in_flight {
            task.op.warn(provisioning::kept_end_of_life_date(&task.id));
            state.end_of_life_date = None;
        }
    }

    async fn read(&self, call: Call<'_>, state: Model) -> Result<Option<Model>, Diagnostics> {
        recycle_bin::remember_choice(call.context, &state, call.private);
        pipeline::read(self, call, state).await
    }

    async fn create(&self, call: Call<'_>, plan: Model) -> Result<Model, Failed<Model>> {
        recycle_bin::remember_choice(call.context, &plan, call.private);
        pipeline::create(self, call, plan).await
    }

    async fn update(&self, call: Call<'_>, prior: Model, plan: Model) -> Result<Model, Failed<Model>> {
        recycle_bin::remember_choice(call.context, &plan, call.private);
        pipeline::update(self, call, prior, plan).await
    }

    async fn remove(
        &self,
        task: &Task<'_>,
        _prior: &Model,
        private: &mut Private,
    ) -> Result<(), Diagnostics> {
        recycle_bin::empty(task, private).await?;
        let versions = (Target::at(format!("{}/versions", task.id)), "image version");
        pipeline::delete_parent(task, &self.target(&task.id), &[versions]).await
    }
}

// The body to send: the existing definition with the planned members.
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
    // clouds with an older API version know no other architecture than x64, and no member for it
    let using = context.client.api_version_of(&Target::at(plan.gallery_id.as_str()));
    if plan.architecture.as_deref() != Some("x64") || using.has("2021-10-01") {
        body::set(&mut properties, "architecture", json!(plan.architecture));
    }
    if let Some(identifier) = &plan.identifier {
        let identifier =
            json!({"publisher": identifier.publisher, "offer": identifier.offer, "sku": identifier.sku});
        body::set(&mut properties, "identifier", identifier);
    }
    if let Some(purchase) = &plan.purchase_plan {
        let purchase = json!({"name": purchase.name, "publisher": filled(&purchase.publisher), "product": filled(&purchase.product)});
        body::set(&mut properties, "purchasePlan", body::without_nulls(purchase));
    }
    // an empty text removes a text; a missing one keeps it
    for (name, text) in [
        ("description", &plan.description),
        ("eula", &plan.eula),
        ("privacyStatementUri", &plan.privacy_statement_uri),
        ("releaseNoteUri", &plan.release_note_uri),
    ] {
        match text.as_ref().filter(|text| !text.is_empty()) {
            Some(text) => body::set(&mut properties, name, json!(text)),
            None if had(name) => body::set(&mut properties, name, json!("")),
            None => {}
        }
    }
    match &plan.end_of_life_date {
        Some(date) => body::set(&mut properties, "endOfLifeDate", json!(date)),
        // null removes the date; a missing member keeps it
        None if had("endOfLifeDate") => properties["endOfLifeDate"] = Json::Null,
        None => {}
    }
    match plan.disallowed_disk_types.as_ref().filter(|types| !types.is_empty()) {
        Some(types) => body::set(&mut properties, "disallowed", json!({"diskTypes": types.0})),
        None if had("disallowed") => body::set(&mut properties, "disallowed", json!({"diskTypes": []})),
        None => {}
    }
    match plan.recommended.as_ref().filter(|bounds| **bounds != Recommended::default()) {
        Some(recommended) => {
            let range = |min: Option<i64>, max: Option<i64>| json!({"min": min, "max": max});
            let recommended = json!({
                "vCPUs": range(recommended.minimum_vcpus, recommended.maximum_vcpus),
                "memory": range(recommended.minimum_memory_gb, recommended.maximum_memory_gb),
            });
            // null removes a bound of an existing definition
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
    if !using.has("2025-03-03") {
        body::set(&mut properties, "allowUpdateImage", Json::Null);
    }
    body["properties"] = properties;
    body
}

// An empty text is none.
fn filled(text: &Option<String>) -> Option<&String> {
    text.as_ref().filter(|text| !text.is_empty())
}

fn flatten(context: &Context, definition: Definition, id: &ResourceId, known: &Model) -> Model {
    let features = features::flatten(definition.features, known);
    Model {
        id: Some(id.to_string()),
        name: id.name().to_owned(),
        gallery_id: id.parent().map(|gallery| gallery.to_string()).unwrap_or_default(),
        location: definition.location.or_else(|| known.location.clone()),
        os_type: definition.os_type.unwrap_or_else(|| known.os_type.clone()),
        os_state: definition.os_state.or_else(|| known.os_state.clone()),
        hyper_v_generation: definition.hyper_v_generation.unwrap_or_else(|| {
            match known.hyper_v_generation.as_str() {
                "" => "V1".to_owned(),
                known => known.to_owned(),
            }
        }),
        architecture: definition
            .architecture
            .or_else(|| known.architecture.clone())
            .or_else(|| Some("x64".to_owned())),
        description: definition.description,
        eula: definition.eula,
        privacy_statement_uri: definition.privacy_statement_uri,
        release_note_uri: definition.release_note_uri,
        end_of_life_date: definition.end_of_life_date,
        disallowed_disk_types: Some(Set(definition.disallowed_disk_types)).filter(|types| !types.is_empty()),
        tags: tags::own(context, &definition.tags, known.tags.as_ref(), known.tags_all.as_ref()),
        tags_all: Some(definition.tags),
        provisioning_state: definition.provisioning_state.or_else(|| known.provisioning_state.clone()),
        identifier: definition.identifier.or_else(|| known.identifier.clone()),
        purchase_plan: definition.purchase_plan.or_else(|| known.purchase_plan.clone()),
        recommended: definition
            .recommended
            .or_else(|| known.recommended.as_ref().map(|_| Recommended::default())),
        timeouts: known.timeouts.clone(),
        ..features
    }
}

// The attribute of a property that the service names in an error.
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
