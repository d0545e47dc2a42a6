//! `azimage_gallery` as data: a Compute Gallery and the image definitions in it.

use async_trait::async_trait;
use serde_json::Value as Json;

use super::finding::{self, absent, argument};
use crate::arm::{ResourceId, Target};
use crate::azure::attributes::{self, check_gallery_name};
use crate::azure::context::scope;
use crate::azure::tags::{self, Tags};
use crate::azure::{Context, GALLERY_API, body, fault};
use crate::framework::timeouts::ReadTimeouts;
use crate::framework::{DataSource, Op};
use crate::model;
use crate::schema::spec::{block, computed, required};
use crate::schema::{Diagnostics, Path, Set};

model! {
    /// Reads a Compute Gallery, whom it is shared with, and the names of its image definitions.
    pub struct Model {
        /// The name of the gallery.
        pub name: String = required().check_text(check_gallery_name),
        /// The resource group that the gallery is in.
        pub resource_group_name: String = argument(attributes::resource_group_name()),
        /// The subscription that the gallery is in. The provider's unless set.
        pub subscription_id: Option<String> = argument(attributes::subscription_id()),
        /// The ARM id of the gallery.
        pub id: Option<String> = computed(),
        /// The region that the gallery is in.
        pub location: Option<String> = computed(),
        /// What the gallery is for.
        pub description: Option<String> = computed(),
        /// Tags of the gallery.
        pub tags: Tags = computed(),
        /// Tags of the gallery: the same as `tags`, under the name that the resource has for all of them.
        pub tags_all: Tags = computed(),
        /// The name by which a directly shared gallery is addressed.
        pub unique_name: Option<String> = computed(),
        /// State of the last operation on the gallery, `Succeeded` when all is well.
        pub provisioning_state: Option<String> = computed(),
        /// How long deleted image versions are kept; null when they are not.
        pub soft_delete: Option<SoftDelete> = computed(),
        /// The managed identity of the gallery; null when it has none.
        pub identity: Option<Identity> = computed(),
        /// Whom the gallery is shared with.
        pub sharing: Option<Sharing> = computed(),
        /// The names of the image definitions in the gallery, sorted.
        pub image_definition_names: Vec<String> = computed(),
        /// How long reading may take.
        pub timeouts: Option<ReadTimeouts> = block(),
    }
}

model! {
    /// How long deleted image versions are kept.
    pub struct SoftDelete {
        /// Whether deleted image versions are kept.
        pub enabled: bool = computed(),
        /// For how many days they are kept.
        pub retention_days: Option<i64> = computed(),
    }
}

model! {
    /// The managed identity of the gallery.
    pub struct Identity {
        /// Which sorts of identity the gallery has.
        pub r#type: String = computed(),
        /// The ids of its user-assigned identities.
        pub identity_ids: Set<String> = computed(),
        /// The principal of the system-assigned identity.
        pub principal_id: Option<String> = computed(),
        /// The tenant of the system-assigned identity.
        pub tenant_id: Option<String> = computed(),
    }
}

model! {
    /// Whom the gallery is shared with.
    pub struct Sharing {
        /// `Private`, `Groups` or `Community`.
        pub permission: String = computed(),
        /// Subscriptions that may use the images.
        pub subscription_ids: Set<String> = computed(),
        /// Tenants that may use the images.
        pub tenant_ids: Set<String> = computed(),
        /// How the gallery presents itself to everybody.
        pub community: Option<Community> = computed(),
    }
}

model! {
    /// How the gallery presents itself to everybody.
    pub struct Community {
        /// Where the publisher can be found on the web.
        pub publisher_uri: Option<String> = computed(),
        /// Where the publisher can be written to.
        pub publisher_email: Option<String> = computed(),
        /// The end-user licence agreement, or where it stands.
        pub eula: Option<String> = computed(),
        /// What the public name begins with.
        pub public_name_prefix: Option<String> = computed(),
        /// The public name by which everybody finds the gallery.
        pub public_name: Option<String> = computed(),
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
        let id = ResourceId::gallery(subscription, &config.resource_group_name, &config.name);
        let scope = scope(op, format!("reading gallery {:?}", config.name));
        let fault = |error| fault::diagnostic(&error, scope.what(), &id.to_string());
        let target = Target::new(id.to_string(), GALLERY_API);
        let Some(gallery) = context.client.get_opt(&scope, &target).await.map_err(fault)? else {
            let group = &config.resource_group_name;
            let siblings = Target::new(
                format!("{}/providers/Microsoft.Compute/galleries", ResourceId::group(subscription, group)),
                GALLERY_API,
            );
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
        // groups are told only to those who ask for them
        let groups = match permission(&gallery) {
            "Groups" => context
                .client
                .get(&scope, &target.clone().query("$select", "Permissions"))
                .await
                .map_err(fault)?,
            _ => Json::Null,
        };
        let images = Target::new(format!("{id}/images"), GALLERY_API);
        let definitions = finding::list(context, &scope, &images).await.map_err(fault)?;
        let mut image_definition_names: Vec<String> =
            definitions.iter().filter_map(|definition| body::text(definition, "name")).collect();
        image_definition_names.sort();
        let subscription_id = Some(subscription.to_owned());
        Ok(Model { image_definition_names, subscription_id, ..flatten(config, &id, &gallery, &groups) })
    }
}

fn permission(gallery: &Json) -> &str {
    body::at(gallery, "properties.sharingProfile.permissions").and_then(Json::as_str).unwrap_or("Private")
}

fn flatten(config: Model, id: &ResourceId, gallery: &Json, groups: &Json) -> Model {
    let text = |path: &str| body::text(gallery, path);
    let tags = tags::all(gallery);
    let ids = |kind: &str| -> Set<String> {
        body::items(groups, "properties.sharingProfile.groups")
            .iter()
            .filter(|group| body::text(group, "type").is_some_and(|have| have.eq_ignore_ascii_case(kind)))
            .flat_map(|group| body::texts(group, "ids").unwrap_or_default())
            .collect()
    };
    let info = "properties.sharingProfile.communityGalleryInfo";
    let community = body::at(gallery, info).map(|info| Community {
        publisher_uri: body::text(info, "publisherUri"),
        publisher_email: body::text(info, "publisherContact"),
        eula: body::text(info, "eula"),
        public_name_prefix: body::text(info, "publicNamePrefix"),
        public_name: body::texts(info, "publicNames").and_then(|names| names.into_iter().next()),
    });
    let identity_ids = body::at(gallery, "identity.userAssignedIdentities")
        .and_then(Json::as_object)
        .into_iter()
        .flat_map(|ids| ids.keys().cloned())
        .collect();
    Model {
        id: Some(id.to_string()),
        location: text("location"),
        description: text("properties.description"),
        tags_all: tags.clone(),
        tags,
        unique_name: text("properties.identifier.uniqueName"),
        provisioning_state: text("properties.provisioningState"),
        soft_delete: body::at(gallery, "properties.softDeletePolicy").map(|policy| SoftDelete {
            enabled: body::bool(policy, "isSoftDeleteEnabled").unwrap_or_default(),
            retention_days: body::int(policy, "retentionPeriodInDays"),
        }),
        identity: text("identity.type").filter(|kind| kind != "None").map(|kind| Identity {
            r#type: kind,
            identity_ids,
            principal_id: text("identity.principalId"),
            tenant_id: text("identity.tenantId"),
        }),
        sharing: Some(Sharing {
            permission: permission(gallery).to_owned(),
            subscription_ids: ids("Subscriptions"),
            tenant_ids: ids("AADTenants"),
            community,
        }),
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
    async fn reads_all_there_is_and_pages_to_the_end() {
        let arm = FakeArm::new();
        let gallery = json!({
            "name": "gal", "location": "westeurope", "tags": {"team": "images"},
            "properties": {
                "identifier": {"uniqueName": "X-GAL"}, "provisioningState": "Succeeded",
                "sharingProfile": {"permissions": "Groups"},
                "softDeletePolicy": {"isSoftDeleteEnabled": true, "retentionPeriodInDays": 14},
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
            (sharing.permission.as_str(), &sharing.subscription_ids.0, &sharing.tenant_ids.0),
            ("Groups", &vec!["s1".to_owned()], &vec!["t1".to_owned()])
        );
        assert_eq!(got.soft_delete.unwrap().retention_days, Some(14));
        assert_eq!(got.identity.unwrap().identity_ids.0, ["/id/a"]);
        assert_eq!(got.unique_name.as_deref(), Some("X-GAL"));
    }

    #[tokio::test]
    async fn a_plain_gallery_is_private_and_a_missing_one_is_told() {
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
        let told = Gallery.read(&context, &op(), config("galgolden")).await.unwrap_err().0;
        assert_eq!(told[0].path, Path::attribute("name"));
        assert!(told[0].detail.contains("gal_golden"), "{}", told[0]);
    }
}
