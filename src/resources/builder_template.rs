//! `azimage_builder_template`: a template from which Image Builder builds images.

mod checks;
mod managed;

use async_trait::async_trait;

use crate::arm::ResourceId;
use crate::arm::id::{IMAGE_TEMPLATE, same_id};
use crate::azure::attributes;
use crate::azure::objects::build_step::{Customizer, Validate, check_customizer};
use crate::azure::objects::build_target::{self, Distribute, check_distribute, output_key};
use crate::azure::objects::image_template::{
    DEFAULT_BUILD_TIMEOUT, ErrorHandling, Identity, Source, VmProfile, check_build_timeout, check_source,
    check_vm_profile, same_duration,
};
use crate::azure::tags::{self, Tags};
use crate::azure::{Context, identity, pipeline, provisioning};
use crate::framework::timeouts::Defaults;
use crate::framework::{Draft, IdentityField, ImportFrom, MoveFrom, Op, Resource, Timeouts};
use crate::model;
use crate::schema::spec::{block, computed, optional, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Set, Value};

model! {
    /// Manages an image template of Azure VM Image Builder. Build its images with `azimage_builder_run`, or with the action
    /// `azimage_run_builder`. The service changes only the identity, the tags, `distribute` and `vm_profile` of a template in
    /// place.
    pub struct Model {
        /// The ARM ID of the template.
        pub id: Option<String> = computed(),
        /// The name of the template, unique in the resource group: letters, digits, underscores, full stops and hyphens.
        pub name: String = required().force_new().equivalent_if(attributes::eq_ignore_case).check_text(check_name),
        /// The name of the resource group of the template.
        pub resource_group_name: String = attributes::resource_group_name(),
        /// The ID of the subscription of the template. Defaults to the provider's.
        pub subscription_id: Option<String> = attributes::subscription_id(),
        /// The region in which images are built, in any spelling.
        pub location: String = attributes::location(),
        /// How long a build may take, in whole minutes between `6m` and `16h`.
        pub build_timeout: Option<String> =
            optional().default(DEFAULT_BUILD_TIMEOUT).force_new().equivalent_if(same_duration).check_text(check_build_timeout),
        /// Whether builds optimize the time that machines made from the image take to boot.
        pub optimize_vm_boot: Option<bool> = optional().default(false).force_new(),
        /// Whether a build starts when the template has been created. An `azimage_builder_run` of the same apply joins it.
        pub auto_run: Option<bool> = optional().default(false).force_new(),
        /// The ID of the resource group for the resources that builds need. It must be empty. Defaults to a group that the service
        /// creates, and deletes with the template.
        pub staging_resource_group_id: Option<String> = optional().or_empty().force_new().equivalent_if(same_id).check_text(check_group_id),
        /// The tags of the resources that builds need.
        pub managed_resource_tags: Option<Tags> = attributes::tags().force_new(),
        /// The tags of the template.
        pub tags: Option<Tags> = attributes::tags(),
        /// All tags of the template, the provider's `default_tags` included.
        pub tags_all: Option<Tags> = computed(),
        /// The ID of the resource group for the resources that builds need.
        pub exact_staging_resource_group_id: Option<String> = computed(),
        /// The state of the last operation on the template. `Succeeded` when the template can be built.
        pub provisioning_state: Option<String> = computed().volatile(),
        /// The state of the last build, such as `Running`, `Succeeded` or `Failed`. Empty before the first one.
        pub last_run_state: Option<String> = computed().volatile(),
        /// What the service reports about the last build.
        pub last_run_message: Option<String> = computed().volatile(),
        /// What the images are made from.
        pub source: Option<Source> = block().required().check(check_source),
        /// The identity with which Image Builder reads the source and writes the images.
        pub identity: Option<Identity> = block().required(),
        /// A step that changes the image. Steps run in the order in which they are written.
        pub customize: Vec<Customizer> = block().check(check_customizer).force_new(),
        /// Checks of the image after its customizers have run.
        pub validate: Option<Validate> = block().group().force_new(),
        /// An image that each build makes.
        pub distribute: Set<Distribute> = block().required().key(output_key).check(check_distribute),
        /// The machine that builds the images.
        pub vm_profile: Option<VmProfile> = block().group().check(check_vm_profile),
        /// What a build does when a step fails.
        pub error_handling: Option<ErrorHandling> = block().group().force_new(),
        /// How long each operation may take.
        pub timeouts: Option<Timeouts> = block(),
    }
}

/// The resource type.
pub struct BuilderTemplate;

#[async_trait]
impl Resource<Context> for BuilderTemplate {
    type Model = Model;

    const TYPE_NAME: &'static str = "azimage_builder_template";

    fn identity(&self) -> &'static [IdentityField] {
        identity::IN_GROUP
    }

    fn identify(&self, model: &Model) -> Vec<Option<String>> {
        identity::values(identity::IN_GROUP, Some(&id_of_template(model)))
    }

    fn id(&self, model: &Model) -> Option<String> {
        Some(id_of_template(model).to_string())
    }

    fn timeouts(&self) -> Defaults {
        Defaults::minutes(30, 5, 60, 60)
    }

    fn import(&self, context: Option<&Context>, from: &ImportFrom) -> Result<Model, Diagnostic> {
        let id = identity::import(context, from, identity::IN_GROUP, IMAGE_TEMPLATE, Self::TYPE_NAME)?;
        Ok(stub(&id))
    }

    fn validate(&self, config: &Value, found: &mut Diagnostics) {
        build_target::check_names(config.get("distribute"), found);
    }

    fn prepare(&self, context: Option<&Context>, draft: &mut Draft<'_>) {
        tags::prepare(context, draft);
        identity::prepare_subscription(context, draft);
        provisioning::plan_retry_if_unfinished(draft);
        for name in ["customize", "validate"] {
            let mut steps = draft.planned.get(name).clone();
            plan_no_checksum_of_commands(&mut steps);
            draft.planned.set(name, steps);
        }
        if has_failed_before_its_first_run(draft.prior) {
            draft.replace.push(Path::attribute("provisioning_state"));
        }
    }

    async fn check(&self, context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
        tags::check_required(context, draft, found);
        if draft.is_create() {
            identity::check_location(context, op, draft, found).await;
        }
        // nothing is destroyed before it is certain that the new template can be created
        checks::plan(context, op, draft, found).await;
        pipeline::check_api_version(self, context, &draft.planned, found);
    }

    // hashicorp/azurerm is going to add this type
    fn moves_from(&self) -> Vec<MoveFrom> {
        identity::moves_from("azurerm_image_builder_template", &[IMAGE_TEMPLATE])
    }
}

// A template whose creation failed can neither be built nor repaired. If it has been built before, an update failed, which
// can be sent again.
fn has_failed_before_its_first_run(prior: &Value) -> bool {
    let state = prior.get("provisioning_state").as_str().unwrap_or_default();
    provisioning::Provisioning::parse(state) == provisioning::Provisioning::Failed
        && prior.get("last_run_state").is_unset()
}

// Inline commands have no checksum, so a plan shows none instead of an unknown one.
fn plan_no_checksum_of_commands(steps: &mut Value) {
    match steps {
        Value::List(elements) => elements.iter_mut().for_each(plan_no_checksum_of_commands),
        Value::Object(fields) => {
            let is_commands = fields.get("script_uri").is_some_and(Value::is_unset);
            if let Some(checksum) = fields.get_mut("sha256").filter(|sum| is_commands && sum.is_null()) {
                *checksum = "".into();
            }
            fields.values_mut().for_each(plan_no_checksum_of_commands);
        }
        _ => {}
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > 64 {
        return Err(format!("must have 1 to 64 characters, and has {}", name.chars().count()));
    }
    match name.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_.".contains(*c)) {
        Some(bad) => Err(format!(
            "must not contain {bad:?}: allowed are letters, digits, underscores, full stops and hyphens"
        )),
        None => Ok(()),
    }
}

fn check_group_id(text: &str) -> Result<(), String> {
    let id = ResourceId::parse(text).map_err(|error| error.to_string())?;
    if id.provider().is_empty() && !id.resource_group().is_empty() {
        return Ok(());
    }
    Err("is not the ID of a resource group: use /subscriptions/SUBSCRIPTION_ID/resourceGroups/GROUP"
        .to_owned())
}

fn id_of_template(model: &Model) -> ResourceId {
    let subscription = model.subscription_id.as_deref().unwrap_or_default();
    ResourceId::new(IMAGE_TEMPLATE, subscription, &model.resource_group_name, &[&model.name])
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
