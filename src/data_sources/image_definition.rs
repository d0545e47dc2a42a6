//! The data source `azimage_image_definition`.

use async_trait::async_trait;

use super::finding::{self, absent, argument};
use crate::arm::id::GALLERY;
use crate::arm::{ResourceId, Target};
use crate::azure::attributes::{check_definition_name, id_of};
use crate::azure::context::scope;
use crate::azure::objects::definition::{Definition, Identifier, PurchasePlan, Recommended};
use crate::azure::tags::Tags;
use crate::azure::{Context, fault};
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
        /// The ID of the gallery of the definition, in any subscription.
        pub gallery_id: String = argument(id_of(required(), GALLERY)),
        /// The ARM ID of the image definition.
        pub id: Option<String> = computed(),
        /// The region that the definition is in.
        pub location: Option<String> = computed(),
        /// The operating system of the image, `Linux` or `Windows`.
        pub os_type: Option<String> = computed(),
        /// `Generalized` or `Specialized`.
        pub os_state: Option<String> = computed(),
        /// The generation of virtual machines that can boot the image, `V1` or `V2`.
        pub hyper_v_generation: Option<String> = computed(),
        /// The processor architecture of the image, `x64` or `Arm64`.
        pub architecture: Option<String> = computed(),
        /// The description of the image.
        pub description: Option<String> = computed(),
        /// The end-user licence agreement, or its URI.
        pub eula: Option<String> = computed(),
        /// The URI of the privacy statement.
        pub privacy_statement_uri: Option<String> = computed(),
        /// The URI of the release notes.
        pub release_note_uri: Option<String> = computed(),
        /// The end-of-life date of the image.
        pub end_of_life_date: Option<String> = computed(),
        /// Disk types that virtual machines made from the image must not use.
        pub disallowed_disk_types: Set<String> = computed(),
        /// The security that the image supports.
        pub security_type: Option<String> = computed(),
        /// Whether the image supports accelerated networking. Null if the definition does not specify it.
        pub accelerated_networking_enabled: Option<bool> = computed(),
        /// Whether virtual machines made from the image can hibernate. Null if the definition does not specify it.
        pub hibernation_enabled: Option<bool> = computed(),
        /// The disk controllers that the image has drivers for, `SCSI` and `NVMe`.
        pub disk_controller_types: Set<String> = computed(),
        /// All other features of the image, by the service's names.
        pub features: Tags = computed(),
        /// The tags of the image definition.
        pub tags: Tags = computed(),
        /// The same as `tags`, under the name that the resource uses for all tags.
        pub tags_all: Tags = computed(),
        /// The state of the last operation on the definition. `Succeeded` when the definition is healthy.
        pub provisioning_state: Option<String> = computed(),
        /// Publisher, offer and SKU.
        pub identifier: Option<Identifier> = computed(),
        /// The Marketplace plan of the image. Null if it has none.
        pub purchase_plan: Option<PurchasePlan> = computed(),
        /// The recommended size of virtual machines. Null if the definition does not specify it.
        pub recommended: Option<Recommended> = computed(),
        /// How long reading may take.
        pub timeouts: Option<ReadTimeouts> = block(),
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
            Diagnostic::error("Invalid value for gallery_id", error.to_string())
                .at(Path::attribute("gallery_id"))
        })?;
        let id = gallery.child("images", &config.name);
        let scope = scope(op, format!("reading image definition {:?}", config.name));
        let found = context.client.get_opt(&scope, &Target::at(id.to_string())).await;
        let found = found.map_err(|error| fault::diagnostic(&error, scope.what(), &id.to_string()))?;
        match found {
            Some(found) => Ok(flatten(config, &id, Definition::read(&found))),
            None => {
                let siblings = Target::at(format!("{gallery}/images"));
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

fn flatten(config: Model, id: &ResourceId, definition: Definition) -> Model {
    let features = definition.features;
    Model {
        id: Some(id.to_string()),
        location: definition.location,
        os_type: definition.os_type,
        os_state: definition.os_state,
        hyper_v_generation: definition.hyper_v_generation.or_else(|| Some("V1".to_owned())),
        architecture: definition.architecture.or_else(|| Some("x64".to_owned())),
        description: definition.description,
        eula: definition.eula,
        privacy_statement_uri: definition.privacy_statement_uri,
        release_note_uri: definition.release_note_uri,
        end_of_life_date: definition.end_of_life_date,
        disallowed_disk_types: Set(definition.disallowed_disk_types),
        security_type: features.security_type.or_else(|| Some("Standard".to_owned())),
        accelerated_networking_enabled: features.accelerated_networking_enabled,
        hibernation_enabled: features.hibernation_enabled,
        disk_controller_types: Set(features.disk_controller_types),
        features: features.others,
        tags_all: definition.tags.clone(),
        tags: definition.tags,
        provisioning_state: definition.provisioning_state,
        identifier: definition.identifier,
        purchase_plan: definition.purchase_plan,
        recommended: definition.recommended,
        ..config
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
    async fn reads_every_attribute() {
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
    async fn suggests_names_for_a_missing_definition() {
        let arm = FakeArm::new();
        arm.get(IMAGES, json!({"value": [{"name": "ubuntu-web"}, {"name": "windows"}]}));
        let error = ImageDefinition.read(&arm.context(), &op(), config("ubuntu_web")).await.unwrap_err().0;
        assert_eq!(error[0].path, Path::attribute("name"));
        assert!(error[0].detail.contains("\"ubuntu-web\""), "{}", error[0]);
    }
}
