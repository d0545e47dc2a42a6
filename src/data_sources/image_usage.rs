//! The data source `azimage_image_usage`: the users of an image.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::finding::argument;
use crate::arm::ResourceId;
use crate::arm::id::{IMAGE_DEFINITION, IMAGE_VERSION, MANAGED_IMAGE};
use crate::azure::attributes::{check_exactly_one, check_guid, id_of};
use crate::azure::context::scope;
use crate::azure::{Context, fault, usage};
use crate::framework::timeouts::ReadTimeouts;
use crate::framework::{DataSource, Op};
use crate::model;
use crate::schema::spec::{block, computed, optional};
use crate::schema::{Diagnostic, Diagnostics, Path, Set, Value};

model! {
    /// Finds what uses an image definition, an image version or a managed image: virtual machines, scale sets, disks,
    /// managed images captured from such machines, and image versions made from it, in every subscription that the
    /// identity can read.
    ///
    /// A scale set counts with its model, from which it creates new instances, and each instance of a uniform scale
    /// set counts as well. Azure Resource Graph, which this data source queries, shows changes after seconds to
    /// minutes.
    pub struct Model {
        /// The ID of an image definition. Exactly one of the three IDs must be set.
        pub image_definition_id: Option<String> = argument(id_of(optional(), IMAGE_DEFINITION)),
        /// The ID of an image version.
        pub image_version_id: Option<String> = argument(id_of(optional(), IMAGE_VERSION)),
        /// The ID of a managed image.
        pub managed_image_id: Option<String> = argument(id_of(optional(), MANAGED_IMAGE)),
        /// The IDs of the subscriptions to search. Defaults to all that the identity can read.
        pub subscription_ids: Option<Set<String>> = optional().check_text(check_guid),
        /// The users of the image, sorted by ID.
        pub users: Vec<User> = computed(),
        /// The number of users of each used version.
        pub versions_in_use: BTreeMap<String, i64> = computed(),
        /// Whether `users` is certainly complete.
        pub complete: bool = computed(),
        /// Why users may be missing. Null when `complete` is true.
        pub incomplete_reason: Option<String> = computed(),
        /// How long reading may take.
        pub timeouts: Option<ReadTimeouts> = block(),
    }
}

model! {
    /// A user of the image.
    pub struct User {
        /// The resource ID.
        pub id: String = computed(),
        /// The name.
        pub name: String = computed(),
        /// The kind: `virtual_machine`, `scale_set`, `scale_set_instance`, `disk`, `managed_image` or `image_version`.
        pub kind: String = computed(),
        /// The region.
        pub location: String = computed(),
        /// The subscription ID.
        pub subscription_id: String = computed(),
        /// The version in use. Null for a scale set that uses the latest version, and for users of a managed image.
        pub version: Option<String> = computed(),
        /// When the user was created, where Azure reports it.
        pub since: Option<String> = computed(),
    }
}

/// The data source.
pub struct ImageUsage;

#[async_trait]
impl DataSource<Context> for ImageUsage {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_image_usage"
    }

    fn validate(&self, config: &Value, diagnostics: &mut Diagnostics) {
        check_exactly_one(
            config,
            &["image_definition_id", "image_version_id", "managed_image_id"],
            diagnostics,
        );
    }

    async fn read(&self, context: &Context, op: &Op, config: Model) -> Result<Model, Diagnostics> {
        let given = [
            ("image_definition_id", &config.image_definition_id),
            ("image_version_id", &config.image_version_id),
            ("managed_image_id", &config.managed_image_id),
        ];
        let (attribute, id) = given
            .into_iter()
            .find_map(|(name, id)| Some((name, id.as_deref()?)))
            .unwrap_or(("image_definition_id", ""));
        let image = ResourceId::parse(id).map_err(|error| {
            Diagnostic::error("The ID is not valid", error.to_string()).at(Path::attribute(attribute))
        })?;
        let doing = format!("reading the usage of {:?}", image.name());
        let subscriptions = config.subscription_ids.clone().unwrap_or_default();
        let found = usage::of_image(context, &scope(op, &doing), &image, &subscriptions)
            .await
            .map_err(|error| fault::diagnostic(&error, &doing, &image.to_string()))?;
        let reasons: Vec<String> = found
            .gaps
            .iter()
            .cloned()
            .chain(
                found
                    .outside
                    .iter()
                    .map(|why| format!("{why}, and machines in other tenants cannot be listed")),
            )
            .collect();
        Ok(Model {
            versions_in_use: found.by_version(),
            users: found.users.into_iter().map(show).collect(),
            complete: reasons.is_empty(),
            incomplete_reason: (!reasons.is_empty())
                .then(|| format!("{}.", fault::capital(&reasons.join("; ")))),
            ..config
        })
    }
}

fn show(user: usage::User) -> User {
    User {
        id: user.id,
        name: user.name,
        kind: user.kind.as_str().to_owned(),
        location: user.location,
        subscription_id: user.subscription_id,
        version: user.version,
        since: user.since,
    }
}
