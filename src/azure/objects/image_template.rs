//! An image template of Image Builder in the service's format, with its source, build machine and last run.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{filled, provisioning_state, word};
use crate::arm::id::{IMAGE_VERSION, MANAGED_IMAGE, SUBNET, USER_ASSIGNED_IDENTITY, same_id};
use crate::azure::attributes::{check_filled, id_of};
use crate::azure::body;
use crate::azure::tags::{self, Tags};
use crate::framework::timeouts::parse_duration;
use crate::image::Urn;
use crate::model;
use crate::schema::spec::{block, optional, required};
use crate::schema::{Attribute, Diagnostics, Path, Set, Value};

/// The size of the proxy machine that the service chooses.
const DEFAULT_PROXY_SIZE: &str = "Standard_A1_v2";
/// The service's own build timeout.
pub const DEFAULT_BUILD_TIMEOUT: &str = "4h";
const ON_ERROR: &[&str] = &["cleanup", "abort"];

model! {
    /// The source of the images. Set exactly one of `marketplace_urn`, `managed_image_id` and `image_version_id`.
    pub struct Source {
        /// The URN of a Marketplace image, `publisher:offer:sku:version`. With the version `latest`, each build uses
        /// the newest version.
        pub marketplace_urn: Option<String> = optional().force_new().equivalent_if(same_urn).check_text(check_urn),
        /// The ID of a managed image in the region of the template. It must be generalized.
        pub managed_image_id: Option<String> = id_of(optional().force_new(), MANAGED_IMAGE),
        /// The ID of an image version that is replicated to the region of the template. It must be generalized. With
        /// `…/versions/latest`, each build uses the newest version.
        pub image_version_id: Option<String> = id_of(optional().force_new(), IMAGE_VERSION),
        /// The purchase plan of a Marketplace image that has one.
        pub plan: Option<Plan> = block().force_new(),
    }
}

model! {
    /// The purchase plan of a Marketplace image.
    pub struct Plan {
        /// The name of the plan.
        pub name: String = required().check_text(check_filled),
        /// The publisher of the plan.
        pub publisher: String = required().check_text(check_filled),
        /// The product that the plan belongs to.
        pub product: String = required().check_text(check_filled),
    }
}

model! {
    /// The identity with which Image Builder reads the source and writes the images.
    pub struct Identity {
        /// The ID of the user-assigned identity. The service requires exactly one.
        pub identity_ids: Set<String> = id_of(required(), USER_ASSIGNED_IDENTITY).check(check_identities),
    }
}

model! {
    /// The machine that builds the images.
    pub struct VmProfile {
        /// The size of the machine. Defaults to the service's choice.
        pub vm_size: Option<String> = optional().or_empty(),
        /// The size of its operating system disk in GB, which cannot be smaller than the source's. Defaults to the source's.
        pub os_disk_size_gb: Option<i64> = optional().between(1, 4095),
        /// The IDs of user-assigned identities that the steps of a build can use.
        pub identity_ids: Option<Set<String>> = id_of(optional().or_empty(), USER_ASSIGNED_IDENTITY),
        /// The ID of the subnet of the machine. Defaults to a virtual network that each build creates.
        pub subnet_id: Option<String> = id_of(optional().or_empty(), SUBNET),
        /// The size of the proxy machine in `subnet_id`. Defaults to the service's choice.
        pub proxy_vm_size: Option<String> = optional().or_empty(),
        /// The ID of a subnet for the container of the build. With it, no proxy machine is needed.
        pub container_instance_subnet_id: Option<String> = id_of(optional().or_empty(), SUBNET),
    }
}

model! {
    /// What a build does when a step fails.
    pub struct ErrorHandling {
        /// What happens when a customizer fails: `cleanup` deletes the build machine, `abort` keeps it for inspection.
        pub on_customizer_error: Option<String> = on_error(),
        /// What happens when a validator fails: `cleanup` deletes the build machine, `abort` keeps it for inspection.
        pub on_validation_error: Option<String> = on_error(),
    }
}

fn on_error() -> Attribute {
    optional().default("cleanup").one_of(ON_ERROR)
}

fn same_urn(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

fn check_urn(text: &str) -> Result<(), String> {
    let urn = Urn::parse(text).map_err(|error| error.to_string())?;
    if urn.is_exact() || urn.is_latest() {
        return Ok(());
    }
    Err("must end in an exact version or in latest; resolve a constraint with the data source azimage_marketplace_image"
        .to_owned())
}

fn check_identities(ids: &Value) -> Result<(), String> {
    match ids.elements().len() {
        1 => Ok(()),
        count => Err(format!("must hold exactly one identity, and holds {count}")),
    }
}

/// Whether two spellings are the same duration.
pub fn same_duration(a: &str, b: &str) -> bool {
    match (parse_duration(a), parse_duration(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// Checks a build timeout: whole minutes within the limits of the service.
pub fn check_build_timeout(text: &str) -> Result<(), String> {
    let duration = parse_duration(text).ok_or("is not a valid duration; use 90m or 4h")?;
    let seconds = duration.as_secs();
    if seconds % 60 != 0 || duration.subsec_nanos() != 0 {
        return Err("must be whole minutes".to_owned());
    }
    if (6..=960).contains(&(seconds / 60)) { Ok(()) } else { Err("must be between 6m and 16h".to_owned()) }
}

/// Checks that exactly one source is set, and a plan only for a Marketplace image.
pub fn check_source(source: &Value, path: &Path, found: &mut Diagnostics) {
    const WAYS: [&str; 3] = ["marketplace_urn", "managed_image_id", "image_version_id"];
    let set = WAYS.iter().filter(|way| source.get(way).is_known()).count();
    let is_open = WAYS.iter().any(|way| source.get(way).is_unknown());
    if set > 1 || set == 0 && !is_open {
        let summary =
            if set == 0 { "The source is empty" } else { "The source block sets more than one source" };
        found.error(path.clone(), summary, format!("Set exactly one of {}.", WAYS.join(", ")));
    }
    if source.get("plan").is_known() && source.get("marketplace_urn").is_null() {
        found.error(
            path.then("plan"),
            "Unexpected plan",
            "Only a Marketplace image takes a purchase plan. Remove the block, or set marketplace_urn.",
        );
    }
}

/// Checks that the subnets and the proxy of a build machine are consistent.
pub fn check_vm_profile(profile: &Value, path: &Path, found: &mut Diagnostics) {
    let set = |name: &str| profile.get(name).is_known() && !profile.get(name).is_unset();
    let unset = |name: &str| !profile.get(name).is_unknown() && profile.get(name).is_unset();
    for name in ["proxy_vm_size", "container_instance_subnet_id"] {
        if set(name) && unset("subnet_id") {
            let detail =
                format!("{name} is used with a subnet of your own only. Set subnet_id, or remove it.");
            found.error(path.then("subnet_id"), "subnet_id is missing", detail);
        }
    }
    if set("proxy_vm_size") && set("container_instance_subnet_id") {
        found.error(
            path.then("proxy_vm_size"),
            "Unexpected proxy_vm_size",
            "A build with container_instance_subnet_id has no proxy machine. Remove one of the two.",
        );
    }
}

/// An image template. `None` means that the response does not contain the value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageTemplate {
    /// Its region.
    pub location: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// The state of the last operation.
    pub provisioning_state: Option<String>,
    /// The error of the last operation.
    pub provisioning_error: Option<String>,
    /// The source.
    pub source: Option<Source>,
    /// The identity.
    pub identity: Option<Identity>,
    /// The build machine; `None` if the service chooses everything.
    pub vm_profile: Option<VmProfile>,
    /// The error handling; `None` if the service chooses it.
    pub error_handling: Option<ErrorHandling>,
    /// The build timeout, never zero.
    pub build_timeout: Duration,
    /// Whether boot is optimized.
    pub optimize_vm_boot: bool,
    /// Whether a build starts when the template is created.
    pub auto_run: bool,
    /// The configured staging group.
    pub staging_resource_group_id: Option<String>,
    /// The staging group in use.
    pub exact_staging_resource_group_id: Option<String>,
    /// The tags of the resources that builds create.
    pub managed_resource_tags: Option<Tags>,
    /// The last run.
    pub last_run: Option<LastRun>,
}

impl ImageTemplate {
    /// Reads a response. `known` contains the configured build machine; `None` after an import.
    pub fn read(template: &Json, known: Option<&VmProfile>) -> ImageTemplate {
        let properties = |path: &str| body::at(template, &format!("properties.{path}"));
        let minutes = body::int(template, "properties.buildTimeoutInMinutes").filter(|minutes| *minutes > 0);
        ImageTemplate {
            location: filled(template, "location"),
            tags: tags::all(template),
            provisioning_state: provisioning_state(template),
            provisioning_error: filled(template, "properties.provisioningError.message"),
            source: properties("source").and_then(read_source),
            identity: read_identity(template),
            vm_profile: properties("vmProfile").and_then(|profile| read_vm_profile(profile, known)),
            error_handling: properties("errorHandling").and_then(read_error_handling),
            build_timeout: Duration::from_secs(minutes.unwrap_or(240) as u64 * 60),
            optimize_vm_boot: is_enabled(template, "properties.optimize.vmBoot.state"),
            auto_run: is_enabled(template, "properties.autoRun.state"),
            staging_resource_group_id: filled(template, "properties.stagingResourceGroup").map(with_slash),
            exact_staging_resource_group_id: filled(template, "properties.exactStagingResourceGroup")
                .map(with_slash),
            managed_resource_tags: properties("managedResourceTags").and_then(Json::as_object).map(|tags| {
                let tags = tags.iter();
                tags.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
                    .collect()
            }),
            last_run: LastRun::read(template),
        }
    }
}

fn is_enabled(template: &Json, path: &str) -> bool {
    body::text(template, path).is_some_and(|state| state.eq_ignore_ascii_case("Enabled"))
}

// the service returns a group as it was sent, possibly without the leading slash
fn with_slash(id: String) -> String {
    if id.starts_with('/') { id } else { format!("/{id}") }
}

fn read_source(source: &Json) -> Option<Source> {
    let plan = body::at(source, "planInfo").map(|plan| Plan {
        name: body::text(plan, "planName").unwrap_or_default(),
        publisher: body::text(plan, "planPublisher").unwrap_or_default(),
        product: body::text(plan, "planProduct").unwrap_or_default(),
    });
    let names = ["publisher", "offer", "sku", "version"].map(|name| filled(source, name));
    let urn = names.into_iter().collect::<Option<Vec<String>>>().map(|names| names.join(":"));
    let read = Source {
        marketplace_urn: urn,
        managed_image_id: filled(source, "imageId"),
        image_version_id: filled(source, "imageVersionId"),
        plan,
    };
    (read != Source::default()).then_some(read)
}

fn read_identity(template: &Json) -> Option<Identity> {
    let ids = body::at(template, "identity.userAssignedIdentities")?.as_object()?;
    (!ids.is_empty()).then(|| Identity { identity_ids: ids.keys().cloned().collect() })
}

fn read_vm_profile(profile: &Json, known: Option<&VmProfile>) -> Option<VmProfile> {
    let proxy = filled(profile, "vnetConfig.proxyVmSize");
    let chosen = known.is_some_and(|known| known.proxy_vm_size.is_some());
    let ids = body::texts(profile, "userAssignedIdentities").filter(|ids| !ids.is_empty());
    let read = VmProfile {
        vm_size: filled(profile, "vmSize"),
        os_disk_size_gb: body::int(profile, "osDiskSizeGB").filter(|size| *size > 0),
        identity_ids: ids.map(Set),
        subnet_id: filled(profile, "vnetConfig.subnetId"),
        proxy_vm_size: proxy.filter(|size| chosen || size != DEFAULT_PROXY_SIZE),
        container_instance_subnet_id: filled(profile, "vnetConfig.containerInstanceSubnetId"),
    };
    (read != VmProfile::default()).then_some(read)
}

fn read_error_handling(handling: &Json) -> Option<ErrorHandling> {
    let choice = |name: &str| Some(word(handling, name, ON_ERROR).unwrap_or_else(|| "cleanup".to_owned()));
    let [customizer, validation] = ["onCustomizerError", "onValidationError"].map(choice);
    let read = ErrorHandling { on_customizer_error: customizer, on_validation_error: validation };
    let is_default = |choice: &Option<String>| choice.as_deref() == Some("cleanup");
    (!is_default(&read.on_customizer_error) || !is_default(&read.on_validation_error)).then_some(read)
}

/// The `source` member of a template.
pub fn expand_source(source: &Source) -> Json {
    if let Some(id) = &source.managed_image_id {
        return json!({"type": "ManagedImage", "imageId": id});
    }
    if let Some(id) = &source.image_version_id {
        return json!({"type": "SharedImageVersion", "imageVersionId": id});
    }
    let urn = source.marketplace_urn.as_deref().unwrap_or_default();
    let mut names = urn.split(':');
    let mut name = || names.next().unwrap_or_default();
    let plan = source.plan.as_ref().map(
        |plan| json!({"planName": plan.name, "planPublisher": plan.publisher, "planProduct": plan.product}),
    );
    body::without_nulls(json!({
        "type": "PlatformImage", "publisher": name(), "offer": name(), "sku": name(), "version": name(), "planInfo": plan,
    }))
}

/// The `identity` member of a template. `current` are its present identities; null removes one.
pub fn expand_identity(identity: &Identity, current: Option<&Json>) -> Json {
    let wanted = &identity.identity_ids;
    let mut ids: serde_json::Map<String, Json> = wanted.iter().map(|id| (id.clone(), json!({}))).collect();
    let old = current.and_then(|current| body::at(current, "identity.userAssignedIdentities"));
    for id in old.and_then(Json::as_object).into_iter().flat_map(|old| old.keys()) {
        if !wanted.iter().any(|wanted| same_id(wanted, id)) {
            ids.insert(id.clone(), Json::Null);
        }
    }
    json!({"type": "UserAssigned", "userAssignedIdentities": ids})
}

/// The `vmProfile` member of a template.
pub fn expand_vm_profile(profile: Option<&VmProfile>) -> Json {
    let profile = profile.cloned().unwrap_or_default();
    let network = body::without_nulls(json!({
        "subnetId": profile.subnet_id, "proxyVmSize": profile.proxy_vm_size,
        "containerInstanceSubnetId": profile.container_instance_subnet_id,
    }));
    let network = network.as_object().is_some_and(|network| !network.is_empty()).then_some(network);
    body::without_nulls(json!({
        "vmSize": profile.vm_size.unwrap_or_default(), "osDiskSizeGB": profile.os_disk_size_gb.unwrap_or(0),
        "userAssignedIdentities": profile.identity_ids.map(|ids| ids.0), "vnetConfig": network,
    }))
}

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// It is running, or in an unknown state.
    Running,
    /// It is being cancelled.
    Canceling,
    /// Every image was made.
    Succeeded,
    /// Some images were created, and others failed.
    PartiallySucceeded,
    /// It failed.
    Failed,
    /// It was cancelled.
    Canceled,
}

/// The last run of a template.
#[derive(Clone, Debug, PartialEq)]
pub struct LastRun {
    /// The state.
    pub state: RunState,
    /// The service's name of the state.
    pub word: String,
    /// The current stage of a running build.
    pub stage: Option<String>,
    /// The service's message.
    pub message: Option<String>,
    /// When it started, which identifies it.
    pub started_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
}

impl LastRun {
    /// Reads the last run of a template; `None` before the first one.
    pub fn read(template: &Json) -> Option<LastRun> {
        let text = |name: &str| filled(template, &format!("properties.lastRunStatus.{name}"));
        let word = text("runState")?;
        Some(LastRun {
            state: match word.to_ascii_lowercase().as_str() {
                "canceling" | "cancelling" => RunState::Canceling,
                "succeeded" => RunState::Succeeded,
                "partiallysucceeded" => RunState::PartiallySucceeded,
                "failed" => RunState::Failed,
                "canceled" | "cancelled" => RunState::Canceled,
                _ => RunState::Running,
            },
            word,
            stage: text("runSubState"),
            message: text("message"),
            started_at: text("startTime").unwrap_or_default(),
            // year 1 means that it is still running
            ended_at: text("endTime").filter(|time| !time.starts_with("0001-")),
        })
    }

    /// Whether it is running.
    pub fn is_going(&self) -> bool {
        matches!(self.state, RunState::Running | RunState::Canceling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg/providers";

    #[test]
    fn expand_and_flatten_round_trip() {
        let plan = Plan { name: "n".into(), publisher: "p".into(), product: "o".into() };
        for source in [
            Source { marketplace_urn: Some("Canonical:ubuntu:server:latest".into()), ..Source::default() },
            Source { marketplace_urn: Some("a:b:c:1.0.0".into()), plan: Some(plan), ..Source::default() },
            Source {
                managed_image_id: Some(format!("{ID}/Microsoft.Compute/images/i")),
                ..Source::default()
            },
            Source { image_version_id: Some(format!("{ID}/x/versions/latest")), ..Source::default() },
        ] {
            assert_eq!(read_source(&expand_source(&source)), Some(source));
        }
        let whole = VmProfile {
            vm_size: Some("Standard_D2s_v5".into()),
            os_disk_size_gb: Some(64),
            identity_ids: Some(Set(vec!["a".into()])),
            subnet_id: Some("s".into()),
            proxy_vm_size: Some(DEFAULT_PROXY_SIZE.into()),
            container_instance_subnet_id: None,
        };
        let json = expand_vm_profile(Some(&whole));
        assert_eq!(read_vm_profile(&json, Some(&whole)), Some(whole.clone()));
        let unset = VmProfile { proxy_vm_size: None, ..whole };
        assert_eq!(
            read_vm_profile(&json, Some(&unset)),
            Some(unset),
            "the service's choice is no difference"
        );
        assert_eq!(read_vm_profile(&expand_vm_profile(None), None), None);
    }

    #[test]
    fn reads_defaults_of_the_service_as_none() {
        let read = ImageTemplate::read(
            &json!({"location": "westus", "properties": {
                "buildTimeoutInMinutes": 0, "vmProfile": {"vmSize": "", "osDiskSizeGB": 0}, "stagingResourceGroup": "",
                "exactStagingResourceGroup": "", "errorHandling": {"onCustomizerError": "cleanup"},
            }}),
            None,
        );
        let expected = ImageTemplate {
            location: Some("westus".into()),
            build_timeout: Duration::from_secs(4 * 3600),
            ..ImageTemplate::default()
        };
        assert_eq!(read, expected);
        let group = json!({"properties": {"stagingResourceGroup": "subscriptions/s/resourceGroups/g"}});
        let read = ImageTemplate::read(&group, None).staging_resource_group_id;
        assert_eq!(read.as_deref(), Some("/subscriptions/s/resourceGroups/g"));
    }

    #[test]
    fn reads_the_last_run() {
        let run = |state: &str, end: &str| {
            let status = json!({"startTime": "2023-04-26T04:54:34.611826263Z", "endTime": end, "runState": state,
                "runSubState": "Queued", "message": ""});
            LastRun::read(&json!({"properties": {"lastRunStatus": status}})).unwrap()
        };
        let going = run("Running", "0001-01-01T00:00:00Z");
        assert_eq!(
            (going.state, going.stage.as_deref(), going.is_going()),
            (RunState::Running, Some("Queued"), true)
        );
        assert_eq!((going.ended_at, going.message), (None, None));
        let ended = run("succeeded", "2023-04-26T05:54:34Z");
        assert_eq!(
            (ended.state, ended.is_going(), ended.ended_at.is_some()),
            (RunState::Succeeded, false, true)
        );
        assert!(run("Reticulating", "0001-01-01T00:00:00Z").is_going(), "an unknown state may still end");
        assert_eq!(LastRun::read(&json!({"properties": {}})), None);
    }

    #[test]
    fn removes_the_identity_that_another_replaces() {
        let identity = Identity { identity_ids: Set(vec!["/b".into()]) };
        let current = json!({"identity": {"userAssignedIdentities": {"/A": {}, "/B": {}}}});
        let ids = &expand_identity(&identity, Some(&current))["userAssignedIdentities"];
        assert_eq!(*ids, json!({"/b": {}, "/A": null}));
    }

    #[test]
    fn build_timeouts_are_whole_minutes() {
        for (text, good) in [
            ("4h", true),
            ("6m", true),
            ("16h", true),
            ("5m", false),
            ("16h1m", false),
            ("90s", false),
            ("x", false),
        ] {
            assert_eq!(check_build_timeout(text).is_ok(), good, "{text}");
        }
        assert!(same_duration("4h", "240m") && !same_duration("4h", "241m"));
    }

    #[test]
    fn a_marketplace_image_needs_an_exact_version_or_latest() {
        for (urn, good) in
            [("a:b:c:1.0.0", true), ("a:b:c:latest", true), ("a:b:c:~> 1.0", false), ("a:b:c", false)]
        {
            assert_eq!(check_urn(urn).is_ok(), good, "{urn}");
        }
    }
}
