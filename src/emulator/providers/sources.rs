//! Sources of images: machines, managed images, image versions, disks and snapshots, and their contents.

use super::super::call::Call;
use super::super::errors::ArmError;
use super::super::ids::{self, version_number};
use super::super::json::Json;
use super::super::regions;
use super::super::resource::Resource;
use super::{replication, seeds, sharing};

/// The facts about a source that matter to an image created from it.
pub struct Source {
    /// `Linux` or `Windows`; `None` if unknown (a blob).
    pub os_type: Option<String>,
    /// `Generalized` or `Specialized`, if known.
    pub os_state: Option<String>,
    /// `V1` or `V2`, if known.
    pub generation: Option<String>,
    /// `Standard`, `TrustedLaunch`, `ConfidentialVM`.
    pub security: Option<String>,
    /// Size and caching of the OS disk.
    pub os_disk: (i64, String),
    /// Data disks: LUN, size, caching.
    pub data_disks: Vec<(i64, i64, String)>,
    /// `x64` or `Arm64`, if known.
    pub architecture: Option<String>,
    /// Publisher, offer and SKU of the underlying platform image, as attributes of an image version.
    pub origin: Option<Json>,
    /// Whether it was captured from a machine that nobody deprovisioned.
    pub keeps_identity: bool,
}

/// Whether machines that are created from an image keep the host keys and accounts of the machine that it was captured from.
pub fn keeps_identity(image: &Resource) -> bool {
    image.hidden("keeps_identity") == Some(&Json::Bool(true))
}

/// Resolves a managed image, virtual machine or gallery image version as the source of a version in `location`.
pub fn image(
    call: &mut Call<'_, '_>,
    id: &str,
    location: &str,
    wanted_state: &str,
    target: &str,
) -> Result<Source, ArmError> {
    ids::check(id, "properties.storageProfile.source.id")?;
    match ids::type_of(id).as_str() {
        "microsoft.compute/images" => managed_image(call, id, location),
        "microsoft.compute/virtualmachines" => {
            let machine = seeds::find_machine(call, id).ok_or_else(|| ArmError::no_entity(id))?;
            require_location(&machine, location, id)?;
            if wanted_state == "Generalized" && machine.hidden("generalized") != Some(&Json::Bool(true)) {
                return Err(ArmError::new(
                    409,
                    "OperationNotAllowed",
                    format!(
                        "The operation 'Create Gallery Image Version' requires the Virtual Machine '{}' to be Generalized.",
                        machine.name()
                    ),
                ));
            }
            Ok(of_machine(call, &machine))
        }
        "microsoft.compute/galleries/images/versions" => version(call, id, location),
        _ => Err(ArmError::parameter(
            target,
            format!(
                "The source id: {id} must either be a managed image, virtual machine or another gallery image version."
            ),
        )),
    }
}

fn managed_image(call: &Call<'_, '_>, id: &str, location: &str) -> Result<Source, ArmError> {
    let image = call.find(id).ok_or_else(|| ArmError::no_entity(id))?;
    require_location(&image, location, id)?;
    if !image.ready(call.now) {
        return Err(not_ready(&image, call));
    }
    let disk = |disk: &Json| {
        (disk.int("diskSizeGB").unwrap_or(30), disk.text("caching").unwrap_or("None").to_owned())
    };
    let stored = image.property("storageProfile.osDisk").cloned().unwrap_or_default();
    Ok(Source {
        os_type: stored.text("osType").map(str::to_owned),
        os_state: stored.text("osState").map(str::to_owned),
        generation: image.property_text("hyperVGeneration").map(str::to_owned),
        security: None,
        os_disk: {
            let (size, caching) = disk(&stored);
            (size, if caching == "None" { "ReadWrite".to_owned() } else { caching })
        },
        data_disks: image
            .property("storageProfile")
            .map(|profile| profile.list("dataDisks").to_vec())
            .unwrap_or_default()
            .iter()
            .map(|data| {
                let (size, caching) = disk(data);
                (data.int("lun").unwrap_or(0), size, caching)
            })
            .collect(),
        architecture: None,
        origin: image.hidden("origin").cloned(),
        keeps_identity: keeps_identity(&image),
    })
}

fn version(call: &Call<'_, '_>, id: &str, location: &str) -> Result<Source, ArmError> {
    let version = call.find(id).ok_or_else(|| ArmError::no_entity(id))?;
    if replication::target_region(&version, location).is_none() {
        return Err(ArmError::no_entity(id));
    }
    if !version.ready(call.now) {
        return Err(not_ready(&version, call));
    }
    let definition_id = id.rsplitn(3, '/').last().unwrap_or_default();
    let definition = call.find(definition_id);
    let of = |key: &str| {
        definition.as_ref().and_then(|definition| definition.property_text(key)).map(str::to_owned)
    };
    Ok(Source {
        os_type: of("osType"),
        os_state: of("osState"),
        generation: of("hyperVGeneration"),
        security: None,
        os_disk: (
            version.doc.int("_.sizes.os.sizeInGB").unwrap_or(30),
            version.doc.text("_.sizes.os.hostCaching").unwrap_or("ReadWrite").to_owned(),
        ),
        data_disks: version
            .hidden("sizes")
            .map(|sizes| sizes.list("data").to_vec())
            .unwrap_or_default()
            .iter()
            .map(|data| {
                (
                    data.int("lun").unwrap_or(0),
                    data.int("sizeInGB").unwrap_or(10),
                    data.text("hostCaching").unwrap_or("None").to_owned(),
                )
            })
            .collect(),
        architecture: of("architecture"),
        origin: version.hidden("origin").cloned(),
        keeps_identity: keeps_identity(&version),
    })
}

/// The contents of a machine's disks.
pub fn of_machine(call: &Call<'_, '_>, machine: &Resource) -> Source {
    let os = machine.property("storageProfile.osDisk").cloned().unwrap_or_default();
    Source {
        os_type: os.text("osType").map(str::to_owned),
        os_state: None,
        generation: machine.hidden("generation").and_then(Json::as_str).map(str::to_owned),
        security: machine.property_text("securityProfile.securityType").map(str::to_owned),
        os_disk: (os.int("diskSizeGB").unwrap_or(30), os.text("caching").unwrap_or("ReadWrite").to_owned()),
        data_disks: machine
            .property("storageProfile")
            .map(|profile| profile.list("dataDisks").to_vec())
            .unwrap_or_default()
            .iter()
            .map(|data| {
                (
                    data.int("lun").unwrap_or(0),
                    data.int("diskSizeGB").unwrap_or(10),
                    data.text("caching").unwrap_or("None").to_owned(),
                )
            })
            .collect(),
        architecture: machine.hidden("architecture").and_then(Json::as_str).map(str::to_owned),
        origin: origin_of_machine(call, machine),
        keeps_identity: machine.hidden("deprovisioned") != Some(&Json::Bool(true)),
    }
}

/// The platform image of a machine, directly or through the image version or managed image that it was created from.
fn origin_of_machine(call: &Call<'_, '_>, machine: &Resource) -> Option<Json> {
    let reference = machine.property("storageProfile.imageReference")?;
    if let Some(id) = reference.text("id") {
        let exact = reference.text("exactVersion").filter(|_| !id.contains("/versions/"));
        let id = exact.map_or_else(|| id.to_owned(), |version| format!("{id}/versions/{version}"));
        return call.find(&id)?.hidden("origin").cloned();
    }
    let attributes: Option<Vec<Json>> = ["publisher", "offer", "sku"]
        .into_iter()
        .map(|part| {
            let name = format!("source_image_{part}");
            Some(Json::object().with("name", name).with("value", reference.text(part)?))
        })
        .collect();
    attributes.map(Json::Array)
}

/// Resolves a disk or snapshot as the source of one disk of an image.
pub fn disk(call: &Call<'_, '_>, id: &str, location: &str) -> Result<Resource, ArmError> {
    ids::check(id, "properties.storageProfile.osDiskImage.source.id")?;
    let disk = call.find(id).ok_or_else(|| ArmError::no_entity(id))?;
    require_location(&disk, location, id)?;
    Ok(disk)
}

/// Resolves a version of a community gallery of this emulator as the source of a version or a disk.
pub fn community(call: &Call<'_, '_>, id: &str, location: &str) -> Result<Source, ArmError> {
    if !id.to_ascii_lowercase().starts_with("/communitygalleries/") {
        return Err(ArmError::parameter(
            "galleryImageVersion.properties.storageProfile.source.communityGalleryImageId",
            format!("The community gallery image id '{id}' is invalid."),
        ));
    }
    let found = published_version(call, id, location).ok_or_else(|| ArmError::no_entity(id))?;
    version(call, found.id(), location)
}

/// The version in a region that the ID of a community image or of a shared image stands for:
/// `/communityGalleries/{name}/images/{image}[/versions/{version}]`.
pub fn published_version(call: &Call<'_, '_>, id: &str, location: &str) -> Option<Resource> {
    let (definition, version) = published_definition(call, id)?;
    let version = match is(version, "latest") {
        true => latest(call, &definition, location)?,
        false => version.to_owned(),
    };
    call.find(&format!("{definition}/versions/{version}"))
}

/// The ID of the definition that the ID of a community image or of a shared image stands for, and the version, or `latest`.
pub fn published_definition<'i>(call: &Call<'_, '_>, id: &'i str) -> Option<(String, &'i str)> {
    let segments: Vec<&'i str> = id.trim_matches('/').split('/').collect();
    let (root, name, image, version) = match segments.as_slice() {
        [root, name, images, image] if is(images, "images") => (root, name, image, "latest"),
        [root, name, images, image, versions, version]
            if is(images, "images") && is(versions, "versions") =>
        {
            (root, name, image, *version)
        }
        _ => return None,
    };
    let gallery = match root.to_ascii_lowercase().as_str() {
        "communitygalleries" => sharing::community_gallery(call, name),
        "sharedgalleries" => sharing::shared_gallery(call, name),
        _ => None,
    }?;
    Some((format!("{}/images/{image}", gallery.id()), version))
}

/// Resolves `latest` of a definition in a region: the highest version number that is replicated there, ready, and not excluded.
/// A region's own exclusion setting takes precedence over the version's.
pub fn latest(call: &Call<'_, '_>, definition: &str, location: &str) -> Option<String> {
    call.children(&format!("{definition}/versions"))
        .iter()
        .filter(|version| version.ready(call.now))
        .filter(|version| {
            replication::target_region(version, location).is_some_and(|region| {
                let everywhere =
                    version.property("publishingProfile.excludeFromLatest") == Some(&Json::Bool(true));
                !region.flag("excludeFromLatest").unwrap_or(everywhere)
            })
        })
        .max_by_key(|version| version_number(version.name()))
        .map(|version| version.name().to_owned())
}

fn is(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
}

fn require_location(resource: &Resource, location: &str, id: &str) -> Result<(), ArmError> {
    if regions::normalize(resource.location()) == location { Ok(()) } else { Err(ArmError::no_entity(id)) }
}

fn not_ready(resource: &Resource, call: &Call<'_, '_>) -> ArmError {
    ArmError::new(
        409,
        "OperationNotAllowed",
        format!(
            "The source '{}' cannot be used since its provisioning state is '{}'. It must be 'Succeeded'.",
            resource.id(),
            resource.state(call.now)
        ),
    )
}

/// The security type among the features of a definition.
pub fn security_type(definition: &Resource) -> &str {
    let features = match definition.property("features") {
        Some(Json::Array(features)) => features.as_slice(),
        _ => &[],
    };
    let feature = features.iter().find(|feature| feature.text("name") == Some("SecurityType"));
    feature.and_then(|feature| feature.text("value")).unwrap_or("Standard")
}

/// Rejects machines and disks as sources of a definition whose images also support Trusted Launch. Recorded: snapshots are
/// accepted.
pub fn check_security(kind: &str, id: &str, definition: &Resource, target: &str) -> Result<(), ArmError> {
    let refused = ["microsoft.compute/virtualmachines", "microsoft.compute/disks"];
    if security_type(definition) != "TrustedLaunchSupported" || !refused.contains(&kind) {
        return Ok(());
    }
    Err(ArmError::parameter(
        target,
        format!(
            "The security type 'TrustedLaunchSupported' is not supported for the source id '{id}'. Currently only Vhd Blob, User Image and Gallery Image Version sources are supported for 'TrustedLaunchSupported' images."
        ),
    ))
}

/// Compares a source with the definition of the new version. The service accepts a source of the other generation and lets the
/// operation fail; that failure's message is returned.
pub fn fits(
    source: &Source,
    id: &str,
    definition: &Resource,
    target: &str,
) -> Result<Option<String>, ArmError> {
    let wanted = |key: &str| definition.property_text(key).unwrap_or_default();
    let differs = |key: &str, value: &Option<String>| {
        let value = value.as_deref()?;
        let differs = !wanted(key).is_empty() && !value.eq_ignore_ascii_case(wanted(key));
        differs.then(|| value.to_owned())
    };
    let refused = |what: &str, value: &str, wanted: &str| {
        ArmError::parameter(
            target,
            format!(
                "The resource with id '{id}' has a different {what} ['{value}'] than the parent gallery image {what} ['{wanted}']."
            ),
        )
    };
    for (key, what, value) in [
        ("osType", "OS type", &source.os_type),
        ("osState", "OS state", &source.os_state),
        ("architecture", "architecture", &source.architecture),
    ] {
        if let Some(value) = differs(key, value) {
            return Err(refused(what, &value, wanted(key)));
        }
    }
    let security = security_type(definition);
    if source.security.as_deref() == Some("TrustedLaunch") && !security.contains("TrustedLaunch") {
        return Err(refused("SecurityType", "TrustedLaunch", security));
    }
    Ok(differs("hyperVGeneration", &source.generation)
        .map(|generation| refused("Hypervisor generation", &generation, wanted("hyperVGeneration")).message))
}
