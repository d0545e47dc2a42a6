//! The data source `azimage_gallery`: a Compute Gallery and the names of its image definitions.

use async_trait::async_trait;

use super::finding::{self, absent, argument};
use crate::arm::id::GALLERY;
use crate::arm::{ResourceId, Target};
use crate::azure::attributes::{self, check_gallery_name};
use crate::azure::context::scope;
use crate::azure::objects::filled;
use crate::azure::objects::gallery::{self, Identity, Sharing, SoftDeletePolicy};
use crate::azure::tags::Tags;
use crate::azure::{Context, fault};
use crate::framework::timeouts::ReadTimeouts;
use crate::framework::{DataSource, Op};
use crate::model;
use crate::schema::spec::{block, computed, required};
use crate::schema::{Diagnostics, Path};

model! {
    /// Reads a Compute Gallery, whom it is shared with, and the names of its image definitions.
    pub struct Model {
        /// The name of the gallery.
        pub name: String = required().check_text(check_gallery_name),
        /// The resource group that the gallery is in.
        pub resource_group_name: String = argument(attributes::resource_group_name()),
        /// The ID of the subscription of the gallery. Defaults to the provider's.
        pub subscription_id: Option<String> = argument(attributes::subscription_id()),
        /// The ARM ID of the gallery.
        pub id: Option<String> = computed(),
        /// The region that the gallery is in.
        pub location: Option<String> = computed(),
        /// The description of the gallery.
        pub description: Option<String> = computed(),
        /// The tags of the gallery.
        pub tags: Tags = computed(),
        /// The same as `tags`, under the name that the resource uses for all tags.
        pub tags_all: Tags = computed(),
        /// The name by which a directly shared gallery is addressed.
        pub unique_name: Option<String> = computed(),
        /// The state of the last operation on the gallery. `Succeeded` when the gallery is healthy.
        pub provisioning_state: Option<String> = computed(),
        /// The soft delete policy of the gallery. Null if the gallery never had one.
        pub soft_delete: Option<SoftDeletePolicy> = computed(),
        /// The managed identity of the gallery. Null if it has none.
        pub identity: Option<Identity> = computed(),
        /// Whom the gallery is shared with.
        pub sharing: Option<Sharing> = computed(),
        /// The names of the image definitions in the gallery, sorted.
        pub image_definition_names: Vec<String> = computed(),
        /// How long reading may take.
        pub timeouts: Option<ReadTimeouts> = block(),
    }
}

/// The data source.
pub struct Gallery;

#[async_trait]
impl DataSource<Context> for Gallery {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_gallery"
    }

    async fn read(&self, context: &Context, op: &Op, config: Model) -> Result<Model, Diagnostics> {
        let subscription = context.subscription(config.subscription_id.as_deref())?;
        let id = ResourceId::new(GALLERY, subscription, &config.resource_group_name, &[&config.name]);
        let scope = scope(op, format!("reading gallery {:?}", config.name));
        let fault = |error| fault::diagnostic(&error, scope.what(), &id.to_string());
        let target = Target::at(id.to_string());
        let Some(found) = context.client.get_opt(&scope, &target).await.map_err(fault)? else {
            let group = &config.resource_group_name;
            let group_id = ResourceId::group(subscription, group);
            let siblings = Target::at(format!("{group_id}/providers/Microsoft.Compute/galleries"));
            let names = finding::names(context, &scope, &siblings).await;
            return Err(absent(
                format!("There is no gallery {:?} in resource group {group:?}", config.name),
                Path::attribute("name"),
                &config.name,
                &names,
                &format!("Resource group {group:?} of subscription {subscription}"),
            )
            .into());
        };
        let mut gallery = gallery::Gallery::read(&found);
        // the service returns groups only on request
        if gallery.sharing.permission == "Groups" {
            let found =
                context.client.get(&scope, &target.query("$select", "Permissions")).await.map_err(fault)?;
            gallery.sharing = Sharing::read(&found);
        }
        let images = Target::at(format!("{id}/images"));
        let definitions = finding::list(context, &scope, &images).await.map_err(fault)?;
        let mut image_definition_names: Vec<String> =
            definitions.iter().filter_map(|definition| filled(definition, "name")).collect();
        image_definition_names.sort();
        let subscription_id = Some(subscription.to_owned());
        Ok(Model { image_definition_names, subscription_id, ..flatten(config, &id, gallery) })
    }
}

fn flatten(config: Model, id: &ResourceId, mut gallery: gallery::Gallery) -> Model {
    // empty sets rather than null, so that expressions need not handle null
    gallery.sharing.subscription_ids.get_or_insert_default();
    gallery.sharing.tenant_ids.get_or_insert_default();
    if let Some(identity) = &mut gallery.identity {
        identity.identity_ids.get_or_insert_default();
    }
    Model {
        id: Some(id.to_string()),
        location: gallery.location,
        description: gallery.description,
        tags_all: gallery.tags.clone(),
        tags: gallery.tags,
        unique_name: gallery.unique_name,
        provisioning_state: gallery.provisioning_state,
        soft_delete: gallery.soft_delete,
        identity: gallery.identity,
        sharing: Some(gallery.sharing),
        ..config
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::azure::testing::{FakeArm, SUBSCRIPTION, op};

    const GALLERIES: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/resourceGroups/rg/providers/Microsoft.Compute/galleries";

    fn config(name: &str) -> Model {
        Model { name: name.to_owned(), resource_group_name: "rg".to_owned(), ..Model::default() }
    }

    #[tokio::test]
    async fn reads_every_attribute_and_every_page() {
        let arm = FakeArm::new();
        let gallery = json!({
            "name": "gal", "location": "westeurope", "tags": {"team": "images"},
            "properties": {
                "identifier": {"uniqueName": "X-GAL"}, "provisioningState": "Succeeded",
                "sharingProfile": {"permissions": "Groups"},
                "softDeletePolicy": {"isSoftDeleteEnabled": true, "retentionPeriodInDays": 14, "gracePeriodInDays": 7},
            },
            "identity": {"type": "UserAssigned", "userAssignedIdentities": {"/id/a": {}}},
        });
        let mut with_groups = gallery.clone();
        with_groups["properties"]["sharingProfile"]["groups"] =
            json!([{"type": "Subscriptions", "ids": ["s1"]}, {"type": "AADTenants", "ids": ["t1"]}]);
        arm.get(&format!("{GALLERIES}/gal"), gallery)
            .get(&format!("{GALLERIES}/gal?$select=Permissions"), with_groups)
            .get(
                &format!("{GALLERIES}/gal/images"),
                json!({"value": [{"name": "web"}], "nextLink": format!("https://management.azure.com{GALLERIES}/gal/images?api-version=x&page=2")}),
            )
            .get(&format!("{GALLERIES}/gal/images?page=2"), json!({"value": [{"name": "db"}]}));
        let got = Gallery.read(&arm.context(), &op(), config("gal")).await.unwrap();
        assert_eq!(got.image_definition_names, ["db", "web"]);
        assert_eq!(got.subscription_id.as_deref(), Some(SUBSCRIPTION));
        assert_eq!(got.tags["team"], "images");
        let sharing = got.sharing.unwrap();
        assert_eq!(
            (sharing.permission.as_str(), sharing.subscription_ids.unwrap().0, sharing.tenant_ids.unwrap().0),
            ("Groups", vec!["s1".to_owned()], vec!["t1".to_owned()])
        );
        let policy = got.soft_delete.unwrap();
        assert_eq!(
            (policy.enabled, policy.retention_days, policy.grace_period_days),
            (Some(true), Some(14), Some(7))
        );
        assert_eq!(got.identity.unwrap().identity_ids.unwrap().0, ["/id/a"]);
        assert_eq!(got.unique_name.as_deref(), Some("X-GAL"));
    }

    #[tokio::test]
    async fn reads_a_minimal_gallery_as_private_and_suggests_names_for_a_missing_one() {
        let arm = FakeArm::new();
        arm.get(
            &format!("{GALLERIES}/gal"),
            json!({"name": "gal", "location": "westeurope", "properties": {}}),
        )
        .get(GALLERIES, json!({"value": [{"name": "gal_golden"}]}));
        let context = arm.context();
        let got = Gallery.read(&context, &op(), config("gal")).await.unwrap();
        assert_eq!(got.sharing.unwrap().permission, "Private");
        assert!(got.identity.is_none() && got.soft_delete.is_none() && got.image_definition_names.is_empty());
        let error = Gallery.read(&context, &op(), config("galgolden")).await.unwrap_err().0;
        assert_eq!(error[0].path, Path::attribute("name"));
        assert!(error[0].detail.contains("gal_golden"), "{}", error[0]);
    }
}
