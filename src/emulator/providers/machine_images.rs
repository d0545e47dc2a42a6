//! The images of machines: checks whether an image is available in the machine's region, and resolves `latest` there.

use super::super::call::Call;
use super::super::errors::ArmError;
use super::super::ids;
use super::super::json::Json;
use super::super::regions;
use super::super::resource::Resource;
use super::{agreements, marketplace, replication, sizes, sources};

/// The properties that a machine derives from its image or disk.
pub struct Kind {
    /// `Linux` or `Windows`.
    pub os: String,
    /// `V1` or `V2`.
    pub generation: String,
    /// `x64` or `Arm64`.
    pub architecture: String,
}

/// Takes the properties from the image, else from the disk, else from the profiles; the default is Linux, generation 1.
pub fn kind(call: &Call<'_, '_>, body: &Json) -> Kind {
    let by_profile = match body.at("properties.osProfile.windowsConfiguration") {
        Some(_) => "Windows",
        None => "Linux",
    };
    let found = of_image(call, body).or_else(|| of_disk(call, body));
    let mut kind = found.unwrap_or_else(|| {
        let secured = body.at("properties.securityProfile.securityType").is_some();
        Kind {
            os: by_profile.to_owned(),
            generation: if secured { "V2" } else { "V1" }.to_owned(),
            architecture: "x64".to_owned(),
        }
    });
    if let Some(os) = body.text("properties.storageProfile.osDisk.osType") {
        kind.os = os.to_owned();
    }
    kind
}

fn of_image(call: &Call<'_, '_>, body: &Json) -> Option<Kind> {
    let reference = body.at("properties.storageProfile.imageReference")?;
    let image = match (reference.text("id"), published_id(reference)) {
        (Some(id), _) => {
            let definition = id.split("/versions/").next().unwrap_or(id);
            Some(call.find(definition).or_else(|| call.find(id))?)
        }
        (None, Some(id)) => call.find(&sources::published_definition(call, id)?.0),
        (None, None) => None,
    };
    if let Some(image) = image {
        let of = |path: &str, default: &str| image.property_text(path).unwrap_or(default).to_owned();
        let managed = of("storageProfile.osDisk.osType", "Linux");
        return Some(Kind {
            os: of("osType", &managed),
            generation: of("hyperVGeneration", "V1"),
            architecture: of("architecture", "x64"),
        });
    }
    let [publisher, offer, sku] = ["publisher", "offer", "sku"].map(|part| reference.text(part));
    let facts = marketplace::facts(call.state, publisher?, offer?, sku?)?;
    Some(Kind {
        os: facts.os.to_owned(),
        generation: facts.generation.to_owned(),
        architecture: facts.architecture.to_owned(),
    })
}

/// The ID in a reference to an image of a shared gallery or a community gallery.
fn published_id(reference: &Json) -> Option<&str> {
    reference.text("sharedGalleryImageId").or_else(|| reference.text("communityGalleryImageId"))
}

fn of_disk(call: &Call<'_, '_>, body: &Json) -> Option<Kind> {
    let disk = call.find(body.text("properties.storageProfile.osDisk.managedDisk.id")?)?;
    Some(Kind {
        os: disk.property_text("osType")?.to_owned(),
        generation: disk.property_text("hyperVGeneration").unwrap_or("V1").to_owned(),
        architecture: disk.property_text("supportedCapabilities.architecture").unwrap_or("x64").to_owned(),
    })
}

/// Rejects images that do not exist, are not replicated to the machine's region, or whose terms are not accepted.
pub fn check(call: &Call<'_, '_>, body: &Json, location: &str) -> Result<(), ArmError> {
    let Some(reference) = body.at("properties.storageProfile.imageReference") else {
        return Ok(());
    };
    let not_available = |id: &str| {
        ArmError::new(
            404,
            "GalleryImageNotFound",
            format!(
                "The gallery image {id} is not available in {location} region. Please contact image owner to replicate to this region, or change your requested region."
            ),
        )
        .target("imageReference")
    };
    if let Some(id) = published_id(reference) {
        // A change by hand may refer to a gallery of a tenant that the emulator does not have.
        let found = sources::published_version(call, id, location)
            .filter(|version| replication::target_region(version, location).is_some());
        return match found.is_some() || call.settings.by_hand {
            true => Ok(()),
            false => Err(not_available(id)),
        };
    }
    if let Some(id) = reference.text("id") {
        return match ids::type_of(id).as_str() {
            "microsoft.compute/galleries/images/versions" => {
                let version = call.find(id).ok_or_else(|| ArmError::no_entity("imageReference"))?;
                replication::target_region(&version, location).map(|_| ()).ok_or_else(|| not_available(id))
            }
            "microsoft.compute/galleries/images" => match sources::latest(call, id, location) {
                Some(_) => Ok(()),
                None => Err(ArmError::new(
                    404,
                    "NotFound",
                    format!("There is no latest image version exists for \"{id}\""),
                )
                .target("imageReference")),
            },
            "microsoft.compute/images" => call
                .find(id)
                .filter(|image| regions::normalize(image.location()) == location)
                .map(|_| ())
                .ok_or_else(|| ArmError::no_entity("imageReference")),
            _ => Err(ArmError::parameter(
                "imageReference.id",
                "The value of parameter imageReference.id is invalid.",
            )),
        };
    }
    let (Some(publisher), Some(offer), Some(sku)) =
        (reference.text("publisher"), reference.text("offer"), reference.text("sku"))
    else {
        return Err(ArmError::parameter(
            "imageReference",
            "The value of parameter imageReference is invalid.",
        ));
    };
    let version = reference.text("version").unwrap_or("latest");
    let exists = match version.eq_ignore_ascii_case("latest") {
        true => marketplace::latest(call.state, publisher, offer, sku).is_some(),
        false => marketplace::versions(call.state, publisher, offer, sku)
            .iter()
            .any(|known| known.name.eq_ignore_ascii_case(version)),
    };
    if !exists {
        return Err(ArmError::new(
            404,
            "PlatformImageNotFound",
            format!(
                "The platform image '{publisher}:{offer}:{sku}:{version}' is not available. Verify that all fields in the storage profile are correct. For more details about storage profile information, please refer to https://aka.ms/storageprofile"
            ),
        )
        .target("imageReference"));
    }
    if marketplace::has_plan(publisher, offer, sku) == Some(true)
        && !agreements::accepted(call, publisher, offer, sku)
    {
        let inner = Json::object().with(
            "error",
            Json::object()
                .with("code", "ResourcePurchaseValidationFailed")
                .with(
                    "message",
                    format!("User failed validation to purchase resources. Error message: 'You have not accepted the legal terms on this subscription: '{}' for this plan. Before the subscription can be used, you need to accept the legal terms of the image.'", call.subscription),
                ),
        );
        let mut error = ArmError::new(
            400,
            "MarketplacePurchaseEligibilityFailed",
            "Marketplace purchase eligibilty check returned errors. See inner errors for details. ",
        );
        error.details = Some(Box::new(Json::Array(vec![
            Json::object().with("code", "BadRequest").with("message", inner.compact()),
        ])));
        return Err(error);
    }
    Ok(())
}

/// Refuses another image for an existing machine. Null and absent members are equal, and the service sets `exactVersion`.
pub fn check_unchanged(body: &Json, before: Option<&Json>) -> Result<(), ArmError> {
    let members = |reference: &Json| -> Vec<(String, String)> {
        let mut members: Vec<_> = reference
            .pairs()
            .iter()
            .filter(|(name, value)| name != "exactVersion" && !value.is_null())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.compact().to_ascii_lowercase()))
            .collect();
        members.sort();
        members
    };
    let sent = body.at("properties.storageProfile.imageReference").filter(|sent| !sent.is_null());
    let stored = before.and_then(|before| before.at("storageProfile.imageReference"));
    match (sent, stored) {
        (Some(sent), Some(stored)) if members(sent) != members(stored) => {
            Err(ArmError::unchangeable("imageReference"))
        }
        _ => Ok(()),
    }
}

/// Rejects machines that an image of a gallery cannot be started as: with an account for a specialized image, without the plan
/// of the image, without the security type that it needs, or on processors of the other architecture.
pub fn check_shape(call: &Call<'_, '_>, body: &Json) -> Result<(), ArmError> {
    let reference = body.text("properties.storageProfile.imageReference.id").unwrap_or_default();
    let Some(definition) = reference.split("/versions/").next().and_then(|id| call.find(id)) else {
        return Ok(());
    };
    if ids::type_of(definition.id()) != "microsoft.compute/galleries/images" {
        return Ok(());
    }
    let refused = |what: &str, message: String| Err(ArmError::parameter(what, message));
    if definition.property_text("osState") == Some("Specialized") && body.at("properties.osProfile").is_some()
    {
        return refused("osProfile", "Parameter 'osProfile' is not allowed.".to_owned());
    }
    if definition.property("purchasePlan.name").is_some() && body.text("plan.name").is_none() {
        return Err(ArmError::new(
            400,
            "VMMarketplaceInvalidInput",
            "Creating a virtual machine from Marketplace image or a custom image sourced from a Marketplace image requires Plan information in the request.",
        ));
    }
    let asked = body.text("properties.securityProfile.securityType");
    if definition.property_text("hyperVGeneration") == Some("V1") && asked.is_some() {
        let message = "The provided securityType is not supported for images of Hypervisor Generation 1.";
        return refused("securityProfile.securityType", message.to_owned());
    }
    let needed = sources::security_type(&definition);
    if matches!(needed, "TrustedLaunch" | "ConfidentialVM") && asked != Some(needed) {
        let message = format!("The image requires the security type '{needed}'.");
        return refused("securityProfile.securityType", message);
    }
    let architecture = definition.property_text("architecture").unwrap_or("x64");
    let size = body.text("properties.hardwareProfile.vmSize").unwrap_or_default();
    match sizes::architecture(size) {
        Some(of_size) if of_size != architecture => refused(
            "vmSize",
            format!("The size '{size}' cannot start images of the architecture '{architecture}'."),
        ),
        _ => Ok(()),
    }
}

/// The image that a machine's OS disk refers to: the version, even if the machine refers to a definition.
pub fn exact_id(call: &Call<'_, '_>, storage: &Json, location: &str) -> Option<String> {
    let reference = storage.get("imageReference")?;
    let version = reference.text("exactVersion");
    if let Some(id) = reference.text("id") {
        let definition = ids::type_of(id) == "microsoft.compute/galleries/images";
        return Some(match version.filter(|_| definition) {
            Some(version) => format!("{id}/versions/{version}"),
            None => id.to_owned(),
        });
    }
    Some(format!(
        "/Subscriptions/{}/Providers/Microsoft.Compute/Locations/{location}/Publishers/{}/ArtifactTypes/VMImage/Offers/{}/Skus/{}/Versions/{}",
        call.subscription,
        reference.text("publisher")?,
        reference.text("offer")?,
        reference.text("sku")?,
        version?
    ))
}

/// The image version or managed image that a machine's OS disk is created from.
pub fn image_of(call: &Call<'_, '_>, storage: &Json, location: &str) -> Option<Resource> {
    match storage.get("imageReference").and_then(published_id) {
        Some(id) => sources::published_version(call, id, location),
        None => call.find(&exact_id(call, storage, location)?),
    }
}

/// The version that a machine's image reference resolves to.
pub fn exact_version(call: &Call<'_, '_>, storage: &Json, location: &str) -> Option<String> {
    let reference = storage.get("imageReference")?;
    if let Some(id) = reference.text("id") {
        return match id.split_once("/versions/") {
            Some((_, version)) => Some(version.to_owned()),
            None => sources::latest(call, id, location),
        };
    }
    if let Some(id) = published_id(reference) {
        if let Some(version) = sources::published_version(call, id, location) {
            return Some(version.name().to_owned());
        }
        let at = id.to_ascii_lowercase().find("/versions/")?;
        return Some(id[at + "/versions/".len()..].to_owned());
    }
    let (publisher, offer, sku) =
        (reference.text("publisher")?, reference.text("offer")?, reference.text("sku")?);
    match reference.text("version")? {
        "latest" => marketplace::latest(call.state, publisher, offer, sku),
        version => Some(version.to_owned()),
    }
}
