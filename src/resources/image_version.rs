//! `azimage_image_version`: one version of an image, where it is replicated to, and everything that must not be lost.

mod changes;
mod checks;
mod json;
mod regions;
mod retain;
mod steps;

use async_trait::async_trait;
use serde_json::Value as Json;
use std::collections::BTreeMap;

use crate::arm::id::{IMAGE_DEFINITION, IMAGE_VERSION};
use crate::arm::{ResourceId, Target, region};
use crate::azure::attributes::{self, date};
use crate::azure::context::{Wait, scope};
use crate::azure::objects::source::{self, Source};
use crate::azure::objects::target_region::{TargetRegion, region_key};
use crate::azure::replication::Replication;
use crate::azure::tags::{self, Tags};
use crate::azure::writing;
use crate::azure::{Context, GALLERY_API, body, fault, identity};
use crate::framework::spelling::is_unchanged;
use crate::framework::timeouts::Defaults;
use crate::framework::{
    Draft, Failed, IdentityField, ImportFrom, MoveSource, Op, Private, Resource, Timeouts,
};
use crate::image::check_gallery_version;
use crate::model;
use crate::schema::spec::{block, computed, optional, optional_computed, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Set, Value};

model! {
    /// Manages a version of an image definition: its bits, and the regions that they are replicated to.
    ///
    /// What the service has accepted is never thrown away: an interrupted or timed-out apply keeps the version in
    /// state, untainted, and the next apply goes on waiting.
    pub struct Model {
        /// The ARM id of the image version.
        pub id: Option<String> = computed(),
        /// The version: three numbers such as `1.2.0`.
        pub version: String = required().force_new().check_text(check_gallery_version),
        /// The id of the image definition that this is a version of, in any subscription.
        pub image_definition_id: String = attributes::id_of(required().force_new(), IMAGE_DEFINITION),
        /// The region that the version is at home in. The definition's unless set.
        pub location: Option<String> = optional_computed()
            .force_new()
            .equivalent_if(region::same_region)
            .check_text(attributes::check_location),
        /// Whether regions may be taken out of `target_region`. While this is false, a plan that drops a region fails.
        pub allow_deletion_of_replicated_locations: Option<bool> = optional().default(false),
        /// Whether the service refuses to delete the version before its end-of-life date.
        pub block_deletion_before_end_of_life: Option<bool> = optional().default(false),
        /// When the version should no longer be used, as an RFC 3339 date. Can be set, moved and removed.
        pub end_of_life_date: Option<String> = date(optional()),
        /// Whether the version is passed over by who asks for the latest one.
        pub exclude_from_latest: Option<bool> = optional().default(false),
        /// `Full` copies the bits to every region; `Shallow` leaves them where they are, for quick tests.
        pub replication_mode: Option<String> =
            optional().default("Full").force_new().one_of(&["Full", "Shallow"]),
        /// How long apply waits for replication: for `all` regions, for the `home` region only, or not at all (`none`).
        /// The provider's setting unless set, which is `all` unless set. An unfinished replication is shown by later
        /// plans and never lost.
        pub wait_for_replication: Option<String> = optional().one_of(Wait::WORDS),
        /// What destroying does: `delete` the version, or `retain` it in Azure and only forget it here, so that a
        /// rebuilt image does not destroy the version that production can roll back to.
        pub deletion_policy: Option<String> =
            optional().default("delete").one_of(&["delete", "retain"]),
        /// UEFI settings in the service's JSON: `signatureTemplateNames` and `additionalSignatures`.
        pub uefi_settings_json: Option<String> =
            optional().force_new().equivalent_if(json::same_json).check_text(json::check_json),
        /// Tags of the image version.
        pub tags: Option<Tags> = attributes::tags(),
        /// All tags of the image version, the provider's `default_tags` included.
        pub tags_all: Option<Tags> = computed(),
        /// State of the last operation on the version, `Succeeded` when all is well.
        pub provisioning_state: Option<String> = computed().volatile(),
        /// When the version was published.
        pub published_date: Option<String> = computed(),
        /// Replication by region: `Completed`, `Replicating`, `Failed` or `Unknown`. Regions in short spelling.
        pub replication_state: Option<BTreeMap<String, String>> = computed().volatile(),
        /// Replication by region, in percent. Regions in short spelling.
        pub replication_progress: Option<BTreeMap<String, i64>> = computed().volatile(),
        /// The size of the operating system disk, in GB.
        pub os_disk_size_gb: Option<i64> = computed(),
        /// Where the bits come from, in exactly one way. Whichever way, they cannot be exchanged later.
        pub source: Option<Source> = block().required().check(source::check_source),
        /// A region that the version is replicated to. The version's own region must be among them. Without any,
        /// the service keeps the version in its own region only. Regions are added, removed and recounted in place.
        pub target_region: Set<TargetRegion> = block().key(region_key),
        /// How long each operation may take.
        pub timeouts: Option<Timeouts> = block(),
    }
}

/// The resource type.
pub struct ImageVersion;

const IDENTITY: &[IdentityField] = &[
    identity::SUBSCRIPTION_ID,
    identity::RESOURCE_GROUP_NAME,
    identity::GALLERY_NAME,
    identity::IMAGE_NAME,
    identity::NAME,
];

const NOUN: &str = "image version";

#[async_trait]
impl Resource<Context> for ImageVersion {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_image_version"
    }

    fn identity(&self) -> &'static [IdentityField] {
        IDENTITY
    }

    fn identify(&self, model: &Model) -> Vec<Option<String>> {
        match ResourceId::parse_as(&model.image_definition_id, IMAGE_DEFINITION) {
            Ok(definition) => vec![
                Some(definition.subscription_id().to_owned()),
                Some(definition.resource_group().to_owned()),
                definition.name_of("galleries").map(str::to_owned),
                Some(definition.name().to_owned()),
                Some(model.version.clone()),
            ],
            Err(_) => vec![None; IDENTITY.len()],
        }
    }

    /// Many regions or large disks take far longer than other resources do.
    fn timeouts(&self) -> Defaults {
        Defaults::minutes(180, 5, 180, 60)
    }

    fn import(&self, context: Option<&Context>, from: &ImportFrom) -> Result<Model, Diagnostic> {
        let id = match from {
            ImportFrom::Id(id) => identity::parse(id, IMAGE_VERSION, Resource::type_name(self))?,
            ImportFrom::Identity(given) => ResourceId::image_version(
                identity::subscription(context, given)?,
                identity::text(given, &identity::RESOURCE_GROUP_NAME),
                identity::text(given, &identity::GALLERY_NAME),
                identity::text(given, &identity::IMAGE_NAME),
                identity::text(given, &identity::NAME),
            ),
        };
        Ok(stub(&id))
    }

    fn validate(&self, config: &Value, found: &mut Diagnostics) {
        checks::config(config, found);
    }

    fn prepare(&self, context: Option<&Context>, draft: &mut Draft<'_>) {
        tags::prepare(context, draft);
        regions::prepare(draft);
        changes::unfinished(context, draft);
    }

    async fn check(&self, context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
        tags::check_required(context, draft, found);
        retain::check(draft, found);
        checks::plan(context, op, draft, found).await;
    }

    async fn read(
        &self,
        context: &Context,
        op: &Op,
        state: Model,
        _private: &mut Private,
    ) -> Result<Option<Model>, Diagnostics> {
        let id = id_of(&state)?;
        let doing = format!("reading image version {}", label(&id));
        let scope = scope(op, &doing);
        let failed = |error| Diagnostics::from(fault::diagnostic(&error, &doing, &id.to_string()));
        let target = target(&id);
        // replication costs a request of its own, and is asked for only while it can have moved
        if changes::may_be_complete(&state) {
            let turn = context.read(&scope, &target).await;
            let flat = |body: &Json| {
                let replication = changes::known_complete(&state, body)?;
                Some(json::flatten(context, body, &replication, &id, &state))
            };
            let listed = turn.listed.as_ref().and_then(flat);
            if let Some(listed) = listed.filter(|listed| is_unchanged(listed, &state)) {
                return Ok(Some(listed));
            }
            match context.client.get_opt(&scope, &target).await.map_err(failed)?.as_ref().map(flat) {
                Some(Some(found)) => return Ok(Some(found)),
                Some(None) => {}
                None => return Ok(None),
            }
        }
        let expanded = target.clone().query("$expand", "ReplicationStatus");
        let Some(body) = context.client.get_opt(&scope, &expanded).await.map_err(failed)? else {
            return Ok(None);
        };
        // an import may have spelt it in any way
        let told = if state.location.is_none() { identity::as_told(&id, &body) } else { id.clone() };
        let mut model = json::flatten(context, &body, &Replication::parse(&body), &told, &state);
        // it knows nothing yet either, and what is told only on request would look like a reason to replace
        if state.provisioning_state.is_none() && state.uefi_settings_json.is_none() {
            let expanded = target.query("$expand", "UefiSettings");
            let expanded = context.client.get_opt(&scope, &expanded).await.ok().flatten();
            model.uefi_settings_json = expanded.as_ref().and_then(json::uefi_settings);
        }
        Ok(Some(model))
    }

    async fn create(
        &self,
        context: &Context,
        op: &Op,
        plan: Model,
        private: &mut Private,
    ) -> Result<Model, Failed<Model>> {
        changes::create(context, op, plan, private).await
    }

    async fn update(
        &self,
        context: &Context,
        op: &Op,
        prior: Model,
        plan: Model,
        private: &mut Private,
    ) -> Result<Model, Failed<Model>> {
        changes::update(context, op, prior, plan, private).await
    }

    async fn delete(
        &self,
        context: &Context,
        op: &Op,
        prior: Model,
        _private: &mut Private,
    ) -> Result<(), Diagnostics> {
        let id = id_of(&prior)?;
        if prior.deletion_policy.as_deref() == Some("retain") {
            tracing::info!(id = %id, "image version retained in Azure: deletion_policy = \"retain\"");
            return Ok(());
        }
        let scope = scope(op, format!("deleting image version {}", label(&id)));
        let _guard = context.lock(&id.to_string()).await;
        writing::delete(context, &scope, &target(&id)).await.map_err(|error| {
            let mut told = fault::diagnostic(&error, scope.what(), &id.to_string());
            if prior.block_deletion_before_end_of_life == Some(true) {
                told.detail += "\n\nThe version is protected until its end-of-life date: set \
                                block_deletion_before_end_of_life = false, apply, and destroy it then.";
            }
            told.into()
        })
    }

    fn move_from(&self, source: &MoveSource) -> Option<Result<Model, Diagnostic>> {
        identity::moved(source, "azurerm_shared_image_version", IMAGE_VERSION)
            .map(|id| id.map(|id| stub(&id)))
    }
}

fn target(id: &ResourceId) -> Target {
    Target::new(id.to_string(), GALLERY_API)
}

fn id_of(model: &Model) -> Result<ResourceId, Diagnostic> {
    ResourceId::parse_as(&model.image_definition_id, IMAGE_DEFINITION)
        .map(|definition| definition.child("versions", &model.version))
        .map_err(|error| {
            Diagnostic::error("image_definition_id names no image definition", error.to_string())
                .at(Path::attribute("image_definition_id"))
        })
}

fn stub(id: &ResourceId) -> Model {
    Model {
        id: Some(id.to_string()),
        version: id.name().to_owned(),
        image_definition_id: id.parent().map(|definition| definition.to_string()).unwrap_or_default(),
        ..Model::default()
    }
}

// How messages name it: definition and version.
fn label(id: &ResourceId) -> String {
    format!("\"{}\" of {:?}", id.name(), id.name_of("images").unwrap_or_default())
}

// Where the version is at home, when neither plan nor state says: where its definition is.
async fn definition_location(
    context: &Context,
    scope: &crate::arm::Scope,
    definition: &str,
) -> Result<String, Diagnostic> {
    let found = context.client.get(scope, &Target::new(definition, GALLERY_API)).await;
    let found = found.map_err(|error| {
        fault::diagnostic(&error, "reading the definition of the image version", definition)
            .at(Path::attribute("image_definition_id"))
    })?;
    Ok(body::text(&found, "location").unwrap_or_default())
}
