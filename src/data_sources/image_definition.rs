//! `azimage_image_definition` as data: what all versions of one image share.

use async_trait::async_trait;
use serde_json::{Value as Json, json};

use super::finding::{self, absent, argument};
use crate::arm::id::GALLERY;
use crate::arm::{ResourceId, Target};
use crate::azure::attributes::{check_definition_name, id_of};
use crate::azure::context::scope;
use crate::azure::tags::{self, Tags};
use crate::azure::{Context, GALLERY_API, body, fault};
use crate::framework::timeouts::ReadTimeouts;
use crate::framework::{DataSource, Op};
use crate::model;
use crate::schema::spec::{block, computed, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Set};

model! {
    /// Reads an image definition of a Compute Gallery.
    pub struct Model {
        /// The name of the image definition.
        pub name: String = required().check_text(check_definition_name),
        /// The id of the gallery that the definition is in, in any subscription.
        pub gallery_id: String = argument(id_of(required(), GALLERY)),
        /// The ARM id of the image definition.
        pub id: Option<String> = computed(),
        /// The region that the definition is in.
        pub location: Option<String> = computed(),
        /// The operating system of the image, `Linux` or `Windows`.
        pub os_type: Option<String> = computed(),
        /// `Generalized` or `Specialized`.
        pub os_state: Option<String> = computed(),
        /// The generation of virtual machines that the image boots on, `V1` or `V2`.
        pub hyper_v_generation: Option<String> = computed(),
        /// The processor architecture of the image, `x64` or `Arm64`.
        pub architecture: Option<String> = computed(),
        /// What the image is for.
        pub description: Option<String> = computed(),
        /// The end-user licence agreement, or where it stands.
        pub eula: Option<String> = computed(),
        /// Where the privacy statement stands.
        pub privacy_statement_uri: Option<String> = computed(),
        /// Where the release notes stand.
        pub release_note_uri: Option<String> = computed(),
        /// When the image should no longer be used.
        pub end_of_life_date: Option<String> = computed(),
        /// Disk types that machines made from the image should not use.
        pub disallowed_disk_types: Set<String> = computed(),
        /// The security that the image supports.
        pub security_type: Option<String> = computed(),
        /// Whether the image supports accelerated networking; null when it does not say.
        pub accelerated_networking_enabled: Option<bool> = computed(),
        /// Whether machines made from the image can hibernate; null when it does not say.
        pub hibernation_enabled: Option<bool> = computed(),
        /// The disk controllers that the image has drivers for, `SCSI` and `NVMe`.
        pub disk_controller_types: Set<String> = computed(),
        /// Any other features of the image, by the service's names.
        pub features: Tags = computed(),
        /// Tags of the image definition.
        pub tags: Tags = computed(),
        /// Tags of the image definition: the same as `tags`, under the name that the resource has for all of them.
        pub tags_all: Tags = computed(),
        /// State of the last operation on the definition, `Succeeded` when all is well.
        pub provisioning_state: Option<String> = computed(),
        /// Publisher, offer and sku.
        pub identifier: Option<Identifier> = computed(),
        /// The Marketplace plan that the image was made from; null when there is none.
        pub purchase_plan: Option<PurchasePlan> = computed(),
        /// The size of machine that the image is meant for; null when it does not say.
        pub recommended: Option<Recommended> = computed(),
        /// How long reading may take.
        pub timeouts: Option<ReadTimeouts> = block(),
    }
}

model! {
    /// Publisher, offer and sku.
    pub struct Identifier {
        /// Who publishes the image.
        pub publisher: String = computed(),
        /// What the image is offered as.
        pub offer: String = computed(),
        /// Which variant of the offer it is.
        pub sku: String = computed(),
    }
}

model! {
    /// The Marketplace plan that the image was made from.
    pub struct PurchasePlan {
        /// The name of the plan.
        pub name: String = computed(),
        /// The publisher of the plan.
        pub publisher: Option<String> = computed(),
        /// The product that the plan belongs to.
        pub product: Option<String> = computed(),
    }
}

model! {
    /// The size of machine that the image is meant for.
    pub struct Recommended {
        /// The fewest virtual processors.
        pub minimum_vcpus: Option<i64> = computed(),
        /// The most virtual processors.
        pub maximum_vcpus: Option<i64> = computed(),
        /// The least memory, in GB.
        pub minimum_memory_gb: Option<i64> = computed(),
        /// The most memory, in GB.
        pub maximum_memory_gb: Option<i64> = computed(),
    }
}

/// The data source.
pub struct ImageDefinition;

#[async_trait]
impl DataSource<Context> for ImageDefinition {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_image_definition"
    }

    async fn read(&self, context: &Context, op: &Op, config: Model) -> Result<Model, Diagnostics> {
        let gallery = ResourceId::parse_as(&config.gallery_id, GALLERY).map_err(|error| {
            Diagnostic::error("gallery_id cannot be read", error.to_string())
                .at(Path::attribute("gallery_id"))
        })?;
        let id = gallery.child("images", &config.name);
        let scope = scope(op, format!("reading image definition {:?}", config.name));
        let found = context.client.get_opt(&scope, &Target::new(id.to_string(), GALLERY_API)).await;
        let found = found.map_err(|error| fault::diagnostic(&error, scope.what(), &id.to_string()))?;
        match found {
            Some(definition) => Ok(flatten(config, &id, &definition)),
            None => {
                let siblings = Target::new(format!("{gallery}/images"), GALLERY_API);
                let names = finding::names(context, &scope, &siblings).await;
                Err(absent(
                    format!("There is no image definition {:?} in gallery {:?}", config.name, gallery.name()),
                    Path::attribute("name"),
                    &config.name,
                    &names,
                    &format!("The gallery {gallery}"),
                )
                .into())
            }
        }
    }
}

fn flatten(config: Model, id: &ResourceId, definition: &Json) -> Model {
    let properties = body::at(definition, "properties").cloned().unwrap_or_else(|| json!({}));
    let text = |path: &str| body::text(&properties, path).filter(|text| !text.is_empty());
    let tags = tags::all(definition);
    let mut features: Tags = body::items(&properties, "features")
        .iter()
        .filter_map(|feature| Some((body::text(feature, "name")?, body::text(feature, "value")?)))
        .collect();
    // the features that have an attribute of their own, whatever their case
    let mut take = |own: &str| {
        let name = features.keys().find(|name| name.eq_ignore_ascii_case(own))?.clone();
        features.remove(&name)
    };
    let security_type = take("SecurityType").map_or("Standard".to_owned(), security);
    let [accelerated, hibernation] = ["IsAcceleratedNetworkSupported", "IsHibernateSupported"]
        .map(|name| take(name).map(|value| value.eq_ignore_ascii_case("true")));
    let controllers = take("DiskControllerTypes").unwrap_or_default();
    let recommended = Recommended {
        minimum_vcpus: body::int(&properties, "recommended.vCPUs.min"),
        maximum_vcpus: body::int(&properties, "recommended.vCPUs.max"),
        minimum_memory_gb: body::int(&properties, "recommended.memory.min"),
        maximum_memory_gb: body::int(&properties, "recommended.memory.max"),
    };
    Model {
        id: Some(id.to_string()),
        location: body::text(definition, "location"),
        os_type: text("osType"),
        os_state: text("osState"),
        hyper_v_generation: text("hyperVGeneration").or_else(|| Some("V1".to_owned())),
        architecture: text("architecture").or_else(|| Some("x64".to_owned())),
        description: text("description"),
        eula: text("eula"),
        privacy_statement_uri: text("privacyStatementUri"),
        release_note_uri: text("releaseNoteUri"),
        end_of_life_date: text("endOfLifeDate"),
        disallowed_disk_types: Set(body::texts(&properties, "disallowed.diskTypes").unwrap_or_default()),
        security_type: Some(security_type),
        accelerated_networking_enabled: accelerated,
        hibernation_enabled: hibernation,
        disk_controller_types: controllers
            .split(',')
            .map(str::trim)
            .filter(|kind| !kind.is_empty())
            .map(str::to_owned)
            .collect(),
        features,
        tags_all: tags.clone(),
        tags,
        provisioning_state: text("provisioningState"),
        identifier: body::at(&properties, "identifier").map(|identifier| Identifier {
            publisher: body::text(identifier, "publisher").unwrap_or_default(),
            offer: body::text(identifier, "offer").unwrap_or_default(),
            sku: body::text(identifier, "sku").unwrap_or_default(),
        }),
        purchase_plan: text("purchasePlan.name").map(|name| PurchasePlan {
            name,
            publisher: text("purchasePlan.publisher"),
            product: text("purchasePlan.product"),
        }),
        recommended: (recommended != Recommended::default()).then_some(recommended),
        ..config
    }
}

// The one value that the service spells otherwise than the rest.
fn security(value: String) -> String {
    match value.eq_ignore_ascii_case("TrustedLaunchAndConfidentialVMSupported") {
        true => "TrustedLaunchAndConfidentialVMSupported".to_owned(),
        false => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::testing::{FakeArm, op};

    const IMAGES: &str =
        "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries/gal/images";

    fn config(name: &str) -> Model {
        Model {
            name: name.to_owned(),
            gallery_id: IMAGES.trim_end_matches("/images").to_uppercase(),
            ..Model::default()
        }
    }

    #[tokio::test]
    async fn reads_what_the_resource_would_have() {
        let arm = FakeArm::new();
        arm.get(
            &format!("{IMAGES}/web"),
            json!({"name": "web", "location": "westeurope", "tags": {"a": "b"}, "properties": {
                "osType": "Linux", "osState": "Generalized", "hyperVGeneration": "V2", "architecture": "x64",
                "description": "", "disallowed": {"diskTypes": ["Standard_LRS"]},
                "identifier": {"publisher": "p", "offer": "o", "sku": "s"},
                "purchasePlan": {"name": "payg", "publisher": "acme"},
                "recommended": {"vCPUs": {"min": 2}},
                "features": [
                    {"name": "SecurityType", "value": "TrustedLaunchAndConfidentialVmSupported"},
                    {"name": "isAcceleratedNetworkSupported", "value": "True"},
                    {"name": "DiskControllerTypes", "value": "SCSI, NVMe"},
                    {"name": "IsSecureBootSupported", "value": "True"},
                ],
            }}),
        );
        let got = ImageDefinition.read(&arm.context(), &op(), config("web")).await.unwrap();
        assert_eq!(got.security_type.as_deref(), Some("TrustedLaunchAndConfidentialVMSupported"));
        assert_eq!((got.accelerated_networking_enabled, got.hibernation_enabled), (Some(true), None));
        assert_eq!(got.disk_controller_types.0, ["SCSI", "NVMe"]);
        assert_eq!(got.features.keys().collect::<Vec<_>>(), ["IsSecureBootSupported"]);
        assert_eq!(got.description, None);
        assert_eq!(got.identifier.unwrap().offer, "o");
        assert_eq!(got.purchase_plan.unwrap().product, None);
        assert_eq!(got.recommended.unwrap().minimum_vcpus, Some(2));
        assert_eq!(got.tags["a"], "b");
    }

    #[tokio::test]
    async fn a_missing_one_is_told_with_its_neighbours() {
        let arm = FakeArm::new();
        arm.get(IMAGES, json!({"value": [{"name": "ubuntu-web"}, {"name": "windows"}]}));
        let told = ImageDefinition.read(&arm.context(), &op(), config("ubuntu_web")).await.unwrap_err().0;
        assert_eq!(told[0].path, Path::attribute("name"));
        assert!(told[0].detail.contains("\"ubuntu-web\""), "{}", told[0]);
    }
}
