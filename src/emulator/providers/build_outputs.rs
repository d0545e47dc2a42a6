//! The outputs of an Image Builder run: the requests that create its images when it ends, and the location of its log.

use super::super::call::Call;
use super::super::clock::Ticks;
use super::super::json::Json;
use super::super::operations::stable;
use super::super::resource::Resource;
use super::marketplace;

/// An output of a run.
pub struct Artifact {
    /// The name of the run output.
    pub output: String,
    /// Its resource ID or URI.
    pub location: String,
    /// Whether it is a URI.
    pub is_uri: bool,
}

impl Artifact {
    /// Whether it is a managed image.
    pub fn is_managed_image(&self) -> bool {
        !self.is_uri && !self.location.contains("/versions/")
    }
}

/// A run that has ended and whose images must be created.
pub struct Due {
    /// The template's ID.
    pub template: String,
    /// Its outputs, each with the URL and body of the request that creates it; a VHD needs no request.
    pub artifacts: Vec<(Artifact, Option<(String, Json)>)>,
}

fn key(template: &str) -> String {
    format!("ib|{}", template.to_ascii_lowercase())
}

/// Records that the run of `template` ends at `end`.
pub fn schedule(call: &mut Call<'_, '_>, template: &Resource, run: &str, end: Ticks) {
    let record = Json::object().with("template", template.id()).with("run", run).with("end", end);
    call.state.put(&key(template.id()), record);
}

/// Removes the record of a cancelled run, so that it creates no images.
pub fn forget(call: &mut Call<'_, '_>, template: &str) {
    call.state.delete(&key(template));
}

/// The runs that have ended and whose images must be created. Each run is returned only once.
pub fn due(call: &mut Call<'_, '_>) -> Vec<Due> {
    let mut ended = Vec::new();
    call.state.scan("ib|", None, |_, record| {
        if record.int("end").is_some_and(|end| end <= call.now) {
            ended.push((
                record.text("template").unwrap_or_default().to_owned(),
                record.text("run").unwrap_or_default().to_owned(),
            ));
        }
        true
    });
    let mut due = Vec::new();
    for (id, run) in ended {
        forget(call, &id);
        if let Some(template) = call.find(&id) {
            let targets = template.property("distribute").cloned().unwrap_or_default();
            let Json::Array(targets) = targets else { continue };
            let artifacts =
                targets.iter().filter_map(|target| artifact(call, &template, &run, target)).collect();
            due.push(Due { template: id, artifacts });
        }
    }
    due
}

type Made = (Artifact, Option<(String, Json)>);

fn artifact(call: &Call<'_, '_>, template: &Resource, run: &str, target: &Json) -> Option<Made> {
    let output = target.text("runOutputName")?.to_owned();
    let mut tags = tags(template, target);
    let account_id = account_id(&staging(template));
    let account = account_id.rsplit('/').next().unwrap_or_default();
    let vhd = format!("https://{account}.blob.core.windows.net/vhds/{run}.vhd");
    match target.text("type")? {
        "VHD" => {
            let location = target.text("uri").filter(|uri| !uri.is_empty()).unwrap_or(&vhd).to_owned();
            Some((Artifact { output, location, is_uri: true }, None))
        }
        "ManagedImage" => {
            let id = target.text("imageId")?.to_owned();
            // Recorded: only image versions have this tag.
            tags.remove("correlationId");
            let disk = Json::object()
                .with("osType", os_type(template))
                .with("osState", "Generalized")
                .with("blobUri", vhd)
                .with("caching", "None");
            let properties = Json::object()
                .with("storageProfile", Json::object().with("osDisk", disk))
                .with("hyperVGeneration", generation(call, template));
            let body = Json::object()
                .with("location", target.text("location").unwrap_or(template.location()))
                .with("tags", tags)
                .with("properties", properties);
            let url = format!("{id}?api-version=2022-03-01");
            Some((Artifact { output, location: id, is_uri: false }, Some((url, body))))
        }
        _ => {
            let id = target.text("galleryImageId")?;
            let (definition, given) = match id.split_once("/versions/") {
                Some((definition, version)) => (definition, Some(version.to_owned())),
                None => (id, None),
            };
            let location = call
                .find(definition)
                .map_or_else(|| template.location().to_owned(), |it| it.location().to_owned());
            let number = given.unwrap_or_else(|| next_number(call, template, definition, target));
            let mut profile = Json::object()
                .with("targetRegions", target_regions(target, &location))
                .with("excludeFromLatest", target.flag("excludeFromLatest").unwrap_or(false));
            if let Some(mode) = target.get("replicationMode") {
                profile.set("replicationMode", mode);
            }
            let source = Json::object().with("uri", vhd).with("id", account_id);
            let disk = Json::object().with("hostCaching", "ReadWrite").with("source", source);
            let properties = Json::object()
                .with("publishingProfile", profile)
                .with("storageProfile", Json::object().with("osDiskImage", disk))
                .with("safetyProfile", Json::object().with("allowDeletionOfReplicatedLocations", true));
            let body =
                Json::object().with("location", location).with("tags", tags).with("properties", properties);
            let location = format!("{definition}/versions/{number}");
            let url = format!("{location}?api-version=2022-03-03");
            Some((Artifact { output, location, is_uri: false }, Some((url, body))))
        }
    }
}

/// The tags of the images: those of the template, and two that the service adds.
fn tags(template: &Resource, target: &Json) -> Json {
    let source = template.property("source").cloned().unwrap_or_default();
    let text = |name: &str| source.text(name).unwrap_or_default();
    let from = match text("type") {
        "PlatformImage" => {
            let exact = template.hidden("exact").and_then(Json::as_str).unwrap_or_default();
            let exact = if text("version") == "latest" { format!(" ({exact})") } else { String::new() };
            let names = ["publisher", "offer", "sku", "version"].map(text).join("::");
            format!("PlatformImage {names}{exact}")
        }
        "ManagedImage" => format!("ManagedImage {}", text("imageId")),
        kind => format!("{kind} {}", text("imageVersionId")),
    };
    let tags = target.get("artifactTags").cloned().unwrap_or_else(Json::object);
    let run = template.hidden("run.guid").and_then(Json::as_str).unwrap_or_default();
    tags.with("VMImageBuilderSource", from.chars().take(256).collect::<String>()).with("correlationId", run)
}

fn target_regions(target: &Json, home: &str) -> Vec<Json> {
    use super::super::regions::normalize;
    let mut regions: Vec<Json> = target
        .list("targetRegions")
        .iter()
        .map(|region| {
            Json::object()
                .maybe("name", region.get("name"))
                .with("regionalReplicaCount", region.int("replicaCount").unwrap_or(1))
                .with("storageAccountType", region.text("storageAccountType").unwrap_or("Standard_LRS"))
        })
        .chain(target.list("replicationRegions").iter().map(|name| {
            Json::object()
                .with("name", name)
                .with("regionalReplicaCount", 1_i64)
                .with("storageAccountType", target.text("storageAccountType").unwrap_or("Standard_LRS"))
        }))
        .collect();
    if !regions.iter().any(|region| normalize(region.text("name").unwrap_or_default()) == home) {
        regions.insert(0, Json::object().with("name", home).with("regionalReplicaCount", 1_i64));
    }
    regions
}

/// The highest existing version with its patch number incremented, within `versioning.major` if it is set; otherwise 1.0.0.
fn next_number(call: &Call<'_, '_>, template: &Resource, definition: &str, target: &Json) -> String {
    let major = target.int("versioning.major").filter(|major| *major >= 0);
    if target.text("versioning.scheme") == Some("Source")
        && let Some(version) =
            template.property_text("source.exactVersion").or(template.property_text("source.version"))
        && version != "latest"
    {
        return version.to_owned();
    }
    let numbers = call.children(&format!("{definition}/versions")).into_iter().filter_map(|version| {
        let parts: Vec<i64> = version.name().split('.').filter_map(|part| part.parse().ok()).collect();
        let [first, second, third] = parts[..] else { return None };
        major.is_none_or(|major| major == first).then_some((first, second, third))
    });
    match numbers.max() {
        Some((first, second, third)) => format!("{first}.{second}.{}", third + 1),
        None => format!("{}.0.0", major.unwrap_or(1)),
    }
}

/// The resource ID of a run's customization log, in the format of 2024.
pub fn log_location(staging: &str, run: &str) -> String {
    format!("{}/blobServices/default/containers/packerlogs/{run}/customization.log", account_id(staging))
}

/// The staging group of a template.
pub fn staging(template: &Resource) -> String {
    template.hidden("staging").and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// The storage account in a staging group.
pub fn account_id(staging: &str) -> String {
    let name = format!("ib{:016x}", stable(&staging.to_lowercase()));
    format!("{staging}/providers/Microsoft.Storage/storageAccounts/{name}")
}

/// The error of a template whose source does not exist.
pub fn missing_source(call: &Call<'_, '_>, sent: &Json) -> Option<(String, String)> {
    let source = sent.get("source")?;
    let id = source.text("imageVersionId").or(source.text("imageId"))?;
    let id = id.strip_suffix("/versions/latest").unwrap_or(id);
    call.find(id)
        .is_none()
        .then(|| ("ResourceNotFound".to_owned(), format!("The source image '{id}' was not found.")))
}

/// The version that the source of a template currently resolves to, in the format of `exactVersion`; `None` for a managed
/// image, and if there is no version.
pub fn exact_source(call: &Call<'_, '_>, source: &Json) -> Option<String> {
    if let Some(id) = source.text("imageVersionId") {
        let Some(definition) = id.strip_suffix("/versions/latest") else { return Some(id.to_owned()) };
        let versions = call.children(&format!("{definition}/versions"));
        let newest = versions
            .iter()
            .filter(|version| version.state(call.now) == "Succeeded")
            .max_by_key(|version| marketplace::numeric(version.name()))?;
        return Some(format!("{definition}/versions/{}", newest.name()));
    }
    match source.text("version")? {
        "latest" => marketplace::latest(
            call.state,
            source.text("publisher")?,
            source.text("offer")?,
            source.text("sku")?,
        ),
        version => Some(version.to_owned()),
    }
}

fn os_type(template: &Resource) -> &'static str {
    let steps = template.doc.get("properties").map(|properties| properties.list("customize").to_vec());
    let windows = steps.unwrap_or_default().iter().any(|step| {
        step.text("type").is_some_and(|kind| kind.starts_with("Windows") || kind == "PowerShell")
    });
    let publisher = template.property_text("source.publisher").unwrap_or_default();
    if windows || publisher.starts_with("MicrosoftWindows") { "Windows" } else { "Linux" }
}

fn generation(call: &Call<'_, '_>, template: &Resource) -> String {
    let text = |name: &str| template.property_text(&format!("source.{name}")).unwrap_or_default();
    match text("type") {
        "PlatformImage" => marketplace::facts(call.state, text("publisher"), text("offer"), text("sku"))
            .map_or_else(|| "V1".to_owned(), |facts| facts.generation.to_string()),
        _ => {
            let id =
                template.property_text("source.imageVersionId").or(template.property_text("source.imageId"));
            let id = id.unwrap_or_default();
            let definition = id.split("/versions/").next().unwrap_or(id);
            let found = call.find(definition);
            found
                .and_then(|image| image.property_text("hyperVGeneration").map(str::to_owned))
                .unwrap_or_else(|| "V1".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_region_is_always_a_target() {
        let target = Json::parse(br#"{"targetRegions":[{"name":"West Europe","replicaCount":2}],"replicationRegions":["uksouth"]}"#).unwrap();
        let names: Vec<String> = target_regions(&target, "eastus")
            .iter()
            .map(|region| region.text("name").unwrap_or_default().to_owned())
            .collect();
        assert_eq!(names, ["eastus", "West Europe", "uksouth"]);
        assert_eq!(target_regions(&target, "westeurope").len(), 2);
    }
}
