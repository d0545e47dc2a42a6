//! `azimage_gallery_application_version`: one package of a gallery application, and the regions that it is replicated to.

mod json;
mod managed;
mod model;

use async_trait::async_trait;

use crate::arm::id::GALLERY_APPLICATION_VERSION;
use crate::azure::gallery_version::{APPLICATION_VERSION as KIND, regions, retain, unfinished};
use crate::azure::pipeline;
use crate::azure::{Context, identity, tags};
use crate::framework::timeouts::Defaults;
use crate::framework::{Draft, IdentityField, ImportFrom, MoveFrom, Op, Resource};
use crate::schema::{Diagnostic, Diagnostics, Slot, Value};
use model::{Model, id_of, stub};

/// The resource type.
pub struct GalleryApplicationVersion;

const IDENTITY: &[IdentityField] = &[
    identity::SUBSCRIPTION_ID,
    identity::RESOURCE_GROUP_NAME,
    identity::GALLERY_NAME,
    identity::APPLICATION_NAME,
    identity::NAME,
];

#[async_trait]
impl Resource<Context> for GalleryApplicationVersion {
    type Model = Model;

    const TYPE_NAME: &'static str = "azimage_gallery_application_version";

    fn identity(&self) -> &'static [IdentityField] {
        IDENTITY
    }

    fn identify(&self, model: &Model) -> Vec<Option<String>> {
        identity::values(IDENTITY, id_of(model).ok().as_ref())
    }

    fn id(&self, model: &Model) -> Option<String> {
        id_of(model).ok().map(|id| id.to_string())
    }

    /// Packages are up to 2 GB, and the service copies them to every region.
    fn timeouts(&self) -> Defaults {
        Defaults::minutes(60, 5, 60, 30)
    }

    fn import(&self, context: Option<&Context>, from: &ImportFrom) -> Result<Model, Diagnostic> {
        let id = identity::import(context, from, IDENTITY, GALLERY_APPLICATION_VERSION, Self::TYPE_NAME)?;
        Ok(stub(&id))
    }

    fn validate(&self, config: &Value, found: &mut Diagnostics) {
        regions::check_duplicates(config.get("target_region"), found);
    }

    fn prepare(&self, context: Option<&Context>, draft: &mut Draft<'_>) {
        tags::prepare(context, draft);
        regions::prepare(context, draft, &KIND);
        unfinished::prepare(context, draft, &KIND);
        renew_tokens(draft);
    }

    async fn resolve(&self, context: &Context, op: &Op, draft: &mut Draft<'_>) {
        identity::resolve_location(context, op, draft, KIND.parent).await;
    }

    async fn check(&self, context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
        retain::check(draft, &KIND, found);
        let plan = Model::decode(&draft.planned);
        let Ok(id) = id_of(&plan) else { return };
        let is_same = |object: &_| json::is_same_package(object, &plan);
        retain::check_creation(context, op, draft, &KIND, &id, is_same, found).await;
        regions::check_exist(context, op, draft, id.subscription_id(), found).await;
        if let (true, Some(location)) =
            (draft.changes("target_region"), draft.planned.get("location").as_str())
        {
            regions::check_home(draft.planned.get("target_region"), location, found);
        }
        pipeline::check_api_version(self, context, &draft.planned, found);
    }

    fn check_destroy(&self, _context: Option<&Context>, prior: &Model, found: &mut Diagnostics) {
        if prior.deletion_policy.as_deref() == Some("retain") {
            retain::stays(&KIND, &prior.name, found);
        }
    }

    fn moves_from(&self) -> Vec<MoveFrom> {
        identity::moves_from("azurerm_gallery_application_version", &[GALLERY_APPLICATION_VERSION])
    }
}

// A new token in a link does not cause a change. If something else changes, the request contains the new token.
fn renew_tokens(draft: &mut Draft<'_>) {
    const LOCAL: [&str; 4] = ["timeouts", "wait_for_replication", "deletion_policy", "source"];
    let Value::Object(planned) = &draft.planned else { return };
    let is_sent = planned.keys().any(|name| !LOCAL.contains(&name.as_str()) && draft.changes(name));
    let config = draft.config.get("source");
    if draft.is_create() || !is_sent || !config.is_known() {
        return;
    }
    let mut source = draft.planned.get("source").clone();
    for link in ["media_link", "default_configuration_link"] {
        if config.get(link).is_known() {
            source.set(link, config.get(link).clone());
        }
    }
    draft.planned.set("source", source);
}

#[cfg(test)]
#[path = "gallery_application_version_tests.rs"]
mod tests;
