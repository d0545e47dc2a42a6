//! From a path to the file that answers it, with the checks that ARM makes before any provider is asked.

use super::call::{Call, Method, Outcome};
use super::errors::ArmError;
use super::json::Json;
use super::operations;
use super::providers::applications;
use super::providers::{
    access, activity_log, agreements, batch, build_operations, build_outputs, build_runs, build_triggers,
    definitions, deployments, disks, galleries, generic, groups, image_builder, images, lists, locks,
    machines, marketplace, moves, preflight, resource_graph, run_commands, seeds, sharing, sizes,
    soft_delete, storage, subscriptions, tags, versions,
};
use super::{shapes, versions_known};

/// One line of the coverage table: what it is, an example of its path, and the verbs it has there.
pub struct Route {
    /// The resource type or call, for people.
    pub what: &'static str,
    /// Its path; `{…}` stands for a name.
    pub path: &'static str,
    /// The verbs.
    pub verbs: &'static [&'static str],
}

const fn line(what: &'static str, path: &'static str, verbs: &'static [&'static str]) -> Route {
    Route { what, path, verbs }
}

const READ: &[&str] = &["GET"];
const DO: &[&str] = &["POST"];
const WHOLE: &[&str] = &["GET", "PUT", "PATCH", "DELETE"];

/// What the emulator answers; the documentation's coverage table is made of it, and a test tries every line.
pub const ROUTES: &[Route] = &[
    line("Subscriptions", "/subscriptions", READ),
    line("Subscription", "/subscriptions/{s}", READ),
    line("Tenants", "/tenants", READ),
    line("Locations", "/subscriptions/{s}/locations", READ),
    line("Resource providers", "/subscriptions/{s}/providers", READ),
    line("Resource provider", "/subscriptions/{s}/providers/Microsoft.Compute", READ),
    line("Register a provider", "/subscriptions/{s}/providers/Microsoft.Compute/register", DO),
    line("Unregister a provider", "/subscriptions/{s}/providers/Microsoft.Storage/unregister", DO),
    line("Resources of a subscription", "/subscriptions/{s}/resources", READ),
    line("Resource groups", "/subscriptions/{s}/resourceGroups", READ),
    line(
        "Resource group",
        "/subscriptions/{s}/resourceGroups/{rg}",
        &["GET", "HEAD", "PUT", "PATCH", "DELETE"],
    ),
    line("Move resources", "/subscriptions/{s}/resourceGroups/{rg}/moveResources", DO),
    line("Check a move of resources", "/subscriptions/{s}/resourceGroups/{rg}/validateMoveResources", DO),
    line("Several requests in one", "/batch", DO),
    line("Resource providers of a tenant", "/providers", READ),
    line(
        "Whether the name of a storage account is free",
        "/subscriptions/{s}/providers/Microsoft.Storage/checkNameAvailability",
        DO,
    ),
    line(
        "Keys of a storage account",
        "/subscriptions/{s}/resourceGroups/{rg}/providers/Microsoft.Storage/storageAccounts/{sa}/listKeys",
        DO,
    ),
    line(
        "Signature for the blobs of a storage account",
        "/subscriptions/{s}/resourceGroups/{rg}/providers/Microsoft.Storage/storageAccounts/{sa}/ListServiceSas",
        DO,
    ),
    line("Resources of a group", "/subscriptions/{s}/resourceGroups/{rg}/resources", READ),
    line("Deployments of a group", "{deployments}", READ),
    line("Deployment of a template", "{deployments}/{d}", &["GET", "HEAD", "PUT", "DELETE"]),
    line("Validate a template", "{deployments}/{d}/validate", DO),
    line("What a template would change", "{deployments}/{d}/whatIf", DO),
    line("Cancel a deployment", "{deployments}/{d}/cancel", DO),
    line("The template of a deployment", "{deployments}/{d}/exportTemplate", DO),
    line("Operations of a deployment", "{deployments}/{d}/operations", READ),
    line(
        "Deployment to a subscription, with the same calls",
        "/subscriptions/{s}/providers/Microsoft.Resources/deployments/{d}",
        &["GET", "HEAD", "PUT", "DELETE"],
    ),
    line(
        "Tags of a resource, group or subscription",
        "{scope}/providers/Microsoft.Resources/tags/default",
        WHOLE,
    ),
    line("Tag names", "/subscriptions/{s}/tagNames", READ),
    line("Tag name", "/subscriptions/{s}/tagNames/{t}", &["PUT", "DELETE"]),
    line("Value of a tag name", "/subscriptions/{s}/tagNames/{t}/tagValues/{tv}", &["PUT", "DELETE"]),
    line(
        "Validation of resources before they are made",
        "/providers/Microsoft.Resources/validateResources",
        DO,
    ),
    line("Galleries of a subscription", "/subscriptions/{s}/providers/Microsoft.Compute/galleries", READ),
    line("Galleries of a group", "{compute}/galleries", READ),
    line("Gallery", "{compute}/galleries/{g}", WHOLE),
    line("Share a gallery", "{compute}/galleries/{g}/share", DO),
    line("Image definitions", "{compute}/galleries/{g}/images", READ),
    line("Image definition", "{compute}/galleries/{g}/images/{i}", WHOLE),
    line("Image versions", "{compute}/galleries/{g}/images/{i}/versions", READ),
    line("Image version", "{compute}/galleries/{g}/images/{i}/versions/{v}", WHOLE),
    line(
        "Soft-deleted image versions",
        "{compute}/galleries/{g}/softDeletedArtifactTypes/Images/artifacts/{i}/versions",
        READ,
    ),
    line("Gallery applications", "{compute}/galleries/{g}/applications", READ),
    line("Gallery application", "{compute}/galleries/{g}/applications/{a}", WHOLE),
    line("Gallery application versions", "{compute}/galleries/{g}/applications/{a}/versions", READ),
    line("Gallery application version", "{compute}/galleries/{g}/applications/{a}/versions/{v}", WHOLE),
    line("Managed images of a subscription", "/subscriptions/{s}/providers/Microsoft.Compute/images", READ),
    line("Managed images of a group", "{compute}/images", READ),
    line("Managed image", "{compute}/images/{n}", WHOLE),
    line(
        "Virtual machines of a subscription",
        "/subscriptions/{s}/providers/Microsoft.Compute/virtualMachines",
        READ,
    ),
    line(
        "Virtual machines of a region",
        "/subscriptions/{s}/providers/Microsoft.Compute/locations/{l}/virtualMachines",
        READ,
    ),
    line("Sizes in a region", "{location}/vmSizes", READ),
    line("Usages in a region", "{location}/usages", READ),
    line("SKUs", "/subscriptions/{s}/providers/Microsoft.Compute/skus", READ),
    line("Virtual machines of a group", "{compute}/virtualMachines", READ),
    line("Virtual machine", "{compute}/virtualMachines/{vm}", WHOLE),
    line("Instance view", "{compute}/virtualMachines/{vm}/instanceView", READ),
    line("Deallocate", "{compute}/virtualMachines/{vm}/deallocate", DO),
    line("Power off", "{compute}/virtualMachines/{vm}/powerOff", DO),
    line("Start", "{compute}/virtualMachines/{vm}/start", DO),
    line("Restart", "{compute}/virtualMachines/{vm}/restart", DO),
    line("Redeploy", "{compute}/virtualMachines/{vm}/redeploy", DO),
    line("Reapply", "{compute}/virtualMachines/{vm}/reapply", DO),
    line("Generalize", "{compute}/virtualMachines/{vm}/generalize", DO),
    line("Capture (unmanaged disks)", "{compute}/virtualMachines/{vm}/capture", DO),
    line("Retrieve boot diagnostics", "{compute}/virtualMachines/{vm}/retrieveBootDiagnosticsData", DO),
    line("Run command (action)", "{compute}/virtualMachines/{vm}/runCommand", DO),
    line("Run commands of a machine", "{compute}/virtualMachines/{vm}/runCommands", READ),
    line("Run command", "{compute}/virtualMachines/{vm}/runCommands/{c}", WHOLE),
    line("Disks", "{compute}/disks", READ),
    line("Disk", "{compute}/disks/{d}", WHOLE),
    line("Grant access to a disk", "{compute}/disks/{d}/beginGetAccess", DO),
    line("Revoke access to a disk", "{compute}/disks/{d}/endGetAccess", DO),
    line("Snapshots", "{compute}/snapshots", READ),
    line("Snapshot", "{compute}/snapshots/{d}", WHOLE),
    line("Grant access to a snapshot", "{compute}/snapshots/{d}/beginGetAccess", DO),
    line("Revoke access to a snapshot", "{compute}/snapshots/{d}/endGetAccess", DO),
    line("Disk encryption sets", "{compute}/diskEncryptionSets", READ),
    line("Disk encryption set", "{compute}/diskEncryptionSets/{d}", WHOLE),
    line("Marketplace publishers", "{location}/publishers", READ),
    line("Marketplace offers", "{location}/publishers/{p}/artifacttypes/vmimage/offers", READ),
    line("Marketplace skus", "{location}/publishers/{p}/artifacttypes/vmimage/offers/{o}/skus", READ),
    line(
        "Marketplace versions",
        "{location}/publishers/{p}/artifacttypes/vmimage/offers/{o}/skus/{k}/versions",
        READ,
    ),
    line(
        "Marketplace version",
        "{location}/publishers/{p}/artifacttypes/vmimage/offers/{o}/skus/{k}/versions/{mv}",
        READ,
    ),
    line("Shared galleries", "{location}/sharedGalleries", READ),
    line("Shared gallery", "{location}/sharedGalleries/{u}", READ),
    line("Shared image definitions", "{location}/sharedGalleries/{u}/images", READ),
    line("Shared image definition", "{location}/sharedGalleries/{u}/images/{i}", READ),
    line("Shared image versions", "{location}/sharedGalleries/{u}/images/{i}/versions", READ),
    line("Shared image version", "{location}/sharedGalleries/{u}/images/{i}/versions/{v}", READ),
    line("Community gallery", "{location}/communityGalleries/{c}", READ),
    line("Community image definitions", "{location}/communityGalleries/{c}/images", READ),
    line("Community image definition", "{location}/communityGalleries/{c}/images/{i}", READ),
    line("Community image versions", "{location}/communityGalleries/{c}/images/{i}/versions", READ),
    line("Community image version", "{location}/communityGalleries/{c}/images/{i}/versions/{v}", READ),
    line(
        "Marketplace terms",
        "/subscriptions/{s}/providers/Microsoft.MarketplaceOrdering/offerTypes/virtualmachine/publishers/{p}/offers/{o}/plans/{k}/agreements/current",
        &["GET", "PUT"],
    ),
    line("Signed agreements", "/subscriptions/{s}/providers/Microsoft.MarketplaceOrdering/agreements", READ),
    line(
        "Signed agreement",
        "/subscriptions/{s}/providers/Microsoft.MarketplaceOrdering/agreements/{p}/offers/{o}/plans/{k}",
        READ,
    ),
    line(
        "Sign an agreement",
        "/subscriptions/{s}/providers/Microsoft.MarketplaceOrdering/agreements/{p}/offers/{o}/plans/{k}/sign",
        DO,
    ),
    line(
        "Cancel an agreement",
        "/subscriptions/{s}/providers/Microsoft.MarketplaceOrdering/agreements/{p}/offers/{o}/plans/{k}/cancel",
        DO,
    ),
    line(
        "Role definitions (a few that are built in, and stored ones)",
        "/subscriptions/{s}/providers/Microsoft.Authorization/roleDefinitions",
        READ,
    ),
    line(
        "Role assignments of a scope",
        "/subscriptions/{s}/providers/Microsoft.Authorization/roleAssignments",
        READ,
    ),
    line(
        "Role assignment, on any scope",
        "/subscriptions/{s}/resourceGroups/{rg}/providers/Microsoft.Authorization/roleAssignments/{r}",
        &["GET", "PUT", "DELETE"],
    ),
    line(
        "Image templates of a subscription",
        "/subscriptions/{s}/providers/Microsoft.VirtualMachineImages/imageTemplates",
        READ,
    ),
    line("Image templates of a group", "{builder}/imageTemplates", READ),
    line("Image template", "{builder}/imageTemplates/{t}", WHOLE),
    line("Run a template", "{builder}/imageTemplates/{t}/run", DO),
    line("Cancel the run of a template", "{builder}/imageTemplates/{t}/cancel", DO),
    line("Outputs of a run", "{builder}/imageTemplates/{t}/runOutputs", READ),
    line("Output of a run", "{builder}/imageTemplates/{t}/runOutputs/{o}", READ),
    line("Triggers of a template", "{builder}/imageTemplates/{t}/triggers", READ),
    line("Trigger of a template", "{builder}/imageTemplates/{t}/triggers/{k}", &["GET", "PUT", "DELETE"]),
    line(
        "Activity log of machines and scale sets",
        "/subscriptions/{s}/providers/Microsoft.Insights/eventtypes/management/values",
        READ,
    ),
    line(
        "Resource Graph queries (filters, projections, sorting and counts)",
        "/providers/Microsoft.ResourceGraph/resources",
        DO,
    ),
];

/// The table of the documentation: [`ROUTES`] as Markdown, with a line's end at its end.
pub fn coverage_table() -> String {
    let mut table = String::from("| what | path | verbs |\n|---|---|---|\n");
    for route in ROUTES {
        table += &format!("| {} | `{}` | {} |\n", route.what, route.path, route.verbs.join(", "));
    }
    table
}

/// Answers one ARM request, after the runs of Image Builder that have ended by now have made their images.
pub fn route(call: &mut Call<'_, '_>) -> Outcome {
    for due in build_outputs::due(call) {
        for (artifact, request) in due.artifacts {
            let refused = match request {
                Some((url, body)) => make(call, &url, body).err(),
                None => None,
            };
            match refused {
                Some(error) => build_runs::fail(call, &due.template, &error.message),
                None => image_builder::keep_output(call, &due.template, &artifact),
            }
        }
    }
    build_triggers::fire(call);
    route_one(call)
}

/// Sends a PUT on the emulator's own behalf, as work that takes no time.
fn make(call: &mut Call<'_, '_>, url: &str, body: Json) -> Outcome {
    let (path, api) = url.split_once("?api-version=").unwrap_or((url, ""));
    let mut settings = call.settings.clone();
    settings.by_hand = true;
    settings.time_scale = Some(0.0);
    let mut inner = Call {
        method: Method::Put,
        segments: path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect(),
        query: vec![("api-version".to_owned(), api.to_owned())],
        api: api.to_owned(),
        body,
        now: call.now,
        base: call.base.clone(),
        subscription: String::new(),
        tenant: call.tenant.clone(),
        object: call.object.clone(),
        settings: &settings,
        effects: super::faults::Effects::default(),
        state: &mut *call.state,
        meter: None,
    };
    route_one(&mut inner)
}

fn route_one(call: &mut Call<'_, '_>) -> Outcome {
    let lower: Vec<String> = call.segments.iter().map(|segment| segment.to_ascii_lowercase()).collect();
    let words: Vec<&str> = lower.iter().map(String::as_str).collect();
    check_api(call)?;
    let id = format!("/{}", call.segments.join("/"));
    // A body that restores a deleted version need not repeat what is kept of it.
    let restores = soft_delete::has(call, &id);
    let complete = !restores && shapes::must_be_complete(call.method, call.find(&id).is_some(), &call.body);
    shapes::check(call, complete)?;
    let [first, rest @ ..] = words.as_slice() else {
        return Err(unknown(call));
    };
    match (*first, rest) {
        ("tenants", []) => subscriptions::tenants(call),
        ("batch", []) => batch::route(call, route),
        ("providers", []) => subscriptions::providers(call, None),
        ("subscriptions", []) => subscriptions::list(call),
        ("subscriptions", [id, rest @ ..]) => {
            if uuid::Uuid::parse_str(id).is_err() {
                return Err(ArmError::gateway(
                    400,
                    "InvalidSubscriptionId",
                    format!(
                        "The provided subscription identifier '{}' is malformed or invalid.",
                        call.segments[1]
                    ),
                ));
            }
            call.subscription = call.segments[1].clone();
            seeds::ensure_subscription(call);
            access::check(call)?;
            in_subscription(call, rest)
        }
        ("providers", ["microsoft.resourcegraph", "resources"]) => resource_graph::query(call),
        ("providers", ["microsoft.resources", "validateresources"]) => preflight::validate(call, route),
        ("providers", ["microsoft.resources", "deployments" | "operations", ..]) => Err(unknown(call)),
        ("providers", [_, ..]) => generic::route(call),
        _ => Err(unknown(call)),
    }
}

fn check_api(call: &Call<'_, '_>) -> Result<(), ArmError> {
    if call.api.is_empty() {
        return Err(ArmError::gateway(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        ));
    }
    if !versions_known::well_formed(&call.api) {
        return Err(ArmError::gateway(
            400,
            "InvalidApiVersionParameter",
            format!("The api-version '{}' is invalid. It must be a date such as '2026-03-03'.", call.api),
        ));
    }
    Ok(())
}

fn unknown(call: &Call<'_, '_>) -> ArmError {
    ArmError::gateway(404, "NotFound", format!("No resource is known at '/{}'.", call.segments.join("/")))
}

fn in_subscription(call: &mut Call<'_, '_>, words: &[&str]) -> Outcome {
    match words {
        [] => subscriptions::one(call),
        ["locations"] => subscriptions::locations(call),
        ["resources"] => lists::resources(call, None),
        ["tagnames", ..] => {
            let rest = call.segments[3..].to_vec();
            tags::names(call, &rest)
        }
        [.., "providers", "microsoft.resources", "tags", "default"] => tags::route(call),
        ["operationresults", id] => groups::poll(call, id),
        ["resourcegroups"] => groups::list(call),
        ["resourcegroups", _] => {
            let group = call.segments[3].clone();
            if call.method == Method::Delete {
                locks::check(call, &format!("/{}", call.segments.join("/")))?;
            }
            groups::one(call, &group)
        }
        ["resourcegroups", _, action @ ("moveresources" | "validatemoveresources")] => {
            let (group, carry_out) = (call.segments[3].clone(), *action == "moveresources");
            moves::route(call, &group, carry_out)
        }
        ["resourcegroups", _, "resources"] => {
            let group = call.segments[3].clone();
            groups::require(call, &group)?;
            lists::resources(call, Some(&group))
        }
        ["resourcegroups", _, "providers", "microsoft.compute", rest @ ..] => {
            subscriptions::check_registered(call, "Microsoft.Compute")?;
            in_group(call, rest)
        }
        ["resourcegroups", _, "providers", "microsoft.resources", "deployments", rest @ ..] => {
            let group = call.segments[3].clone();
            groups::require(call, &group)?;
            deployments::route(call, route, Some(&group), rest)
        }
        ["providers", "microsoft.resources", "deployments", rest @ ..] => {
            deployments::route(call, route, None, rest)
        }
        ["resourcegroups", _, "providers", "microsoft.storage", "storageaccounts", _, "listkeys"]
            if call.method == Method::Post =>
        {
            storage::keys(call, &format!("/{}", call.segments[..8].join("/")))
        }
        ["resourcegroups", _, "providers", "microsoft.storage", "storageaccounts", _, "listservicesas"]
            if call.method == Method::Post =>
        {
            storage::service_sas(call, &format!("/{}", call.segments[..8].join("/")))
        }
        ["resourcegroups", _, "providers", "microsoft.virtualmachineimages", rest @ ..]
            if !rest.contains(&"providers") =>
        {
            let group = call.segments[3].clone();
            groups::require(call, &group)?;
            locks::check(call, &format!("/{}", call.segments.join("/")))?;
            let words = call.segments[6..].to_vec();
            image_builder::route(call, &group, &words)
        }
        ["resourcegroups", _, "providers", _, _, ..] => {
            let group = call.segments[3].clone();
            groups::require(call, &group)?;
            generic::route(call)
        }
        ["providers"] => subscriptions::providers(call, None),
        ["providers", "microsoft.storage", "checknameavailability"] => storage::check_name(call),
        ["providers", namespace] => {
            let namespace = (*namespace).to_owned();
            subscriptions::providers(call, Some(&namespace))
        }
        ["providers", _, action @ ("register" | "unregister")] => {
            let on = *action == "register";
            let namespace = call.segments[3].clone();
            subscriptions::register(call, &namespace, on)
        }
        ["providers", "microsoft.compute", rest @ ..] => compute(call, rest),
        ["providers", "microsoft.marketplaceordering", ..] => {
            let rest = call.segments[4..].to_vec();
            agreements::route(call, &rest)
        }
        ["providers", "microsoft.virtualmachineimages", "imagetemplates"] => image_builder::list(call),
        ["providers", "microsoft.virtualmachineimages", "locations", _, "operations", name] => {
            let name = (*name).to_owned();
            build_operations::poll(call, &name)
        }
        ["providers", "microsoft.insights", "eventtypes", "management", "values"] => activity_log::list(call),
        ["providers", _, ..] => generic::route(call),
        _ => Err(unknown(call)),
    }
}

/// `/subscriptions/{s}/providers/Microsoft.Compute/…`.
fn compute(call: &mut Call<'_, '_>, words: &[&str]) -> Outcome {
    let kind = match words {
        ["locations", _, kind, ..] => *kind,
        [kind, ..] => *kind,
        [] => return Err(unknown(call)),
    };
    let polling = matches!(kind, "capsoperations" | "operations" | "diskoperations");
    if !polling {
        versions_known::check(&call.api, kind, call.settings.newest_api_version.as_deref())?;
    }
    match words {
        ["galleries"] => galleries::list(call, None),
        ["images"] => images::list(call, None),
        ["virtualmachines"] => machines::list(call, None),
        [kind @ ("disks" | "snapshots" | "diskencryptionsets")] => disks::list(call, None, kind),
        ["skus"] => sizes::skus(call),
        ["locations", location, "vmsizes"] => sizes::list(location),
        ["locations", location, "usages"] => sizes::usages(location),
        ["locations", location, "virtualmachines"] => {
            let region = super::regions::normalize(location);
            machines::list_in(call, &region)
        }
        ["locations", _, segment, guid] if polling => {
            let (segment, guid) = ((*segment).to_owned(), (*guid).to_owned());
            operations::poll(call, &segment, &guid)
        }
        ["locations", _, "publishers", ..] => {
            let location = call.segments[5].clone();
            let rest = call.segments[7..].to_vec();
            marketplace::route(call, &location, None, &rest)
        }
        ["locations", _, "edgezones", _, "publishers", ..] => {
            let (location, zone) = (call.segments[5].clone(), call.segments[7].clone());
            let rest = call.segments[9..].to_vec();
            marketplace::route(call, &location, Some(&zone), &rest)
        }
        ["locations", _, side @ ("sharedgalleries" | "communitygalleries"), ..] => {
            let community = *side == "communitygalleries";
            let location = call.segments[5].clone();
            let rest = call.segments[7..].to_vec();
            sharing::read(call, &location, community, &rest)
        }
        _ => Err(unknown(call)),
    }
}

/// `/subscriptions/{s}/resourceGroups/{rg}/providers/Microsoft.Compute/…`.
fn in_group(call: &mut Call<'_, '_>, words: &[&str]) -> Outcome {
    if words.contains(&"providers") {
        // A resource on a resource, such as a role assignment: another namespace, with api-versions of its own.
        let group = call.segments[3].clone();
        groups::require(call, &group)?;
        return generic::route(call);
    }
    if let [kind, ..] = words {
        let newest = call.settings.newest_api_version.as_deref();
        versions_known::check(&call.api, &type_path(words, kind), newest)?;
    }
    let group = call.segments[3].clone();
    let name = |call: &Call<'_, '_>, index: usize| call.segments.get(6 + index).cloned().unwrap_or_default();
    if let ["virtualmachines", seeds::MACHINE, ..] = words {
        let subscription = call.subscription.clone();
        seeds::ensure_machine(call, &subscription, &group);
    }
    groups::require(call, &group)?;
    locks::check(call, &format!("/{}", call.segments.join("/")))?;
    if matches!(call.method, Method::Put | Method::Patch) && !matches!(call.body, Json::Object(_)) {
        return Err(super::errors::invalid_content("The request body must be a JSON object"));
    }
    let (first, second, third) = (name(call, 1), name(call, 3), name(call, 5));
    match words {
        ["galleries"] => galleries::list(call, Some(&group)),
        ["galleries", _] => galleries::one(call, &group, &first),
        ["galleries", _, "share"] => sharing::share(call, &group, &first),
        ["galleries", _, "images"] => definitions::list(call, &group, &first),
        ["galleries", _, "images", _] => definitions::one(call, &group, &first, &second),
        ["galleries", _, "images", _, "versions"] => versions::list(call, &group, &first, &second),
        ["galleries", _, "images", _, "versions", _] => versions::one(call, &group, &first, &second, &third),
        ["galleries", _, "softdeletedartifacttypes", "images", "artifacts", _, "versions"] => {
            let image = name(call, 5);
            soft_delete::list(call, &group, &first, &image)
        }
        ["galleries", _, "applications", ..] => {
            let rest = call.segments[6..].to_vec();
            applications::route(call, &group, &rest)
        }
        ["images"] => images::list(call, Some(&group)),
        ["images", _] => images::one(call, &group, &first),
        ["virtualmachines"] => machines::list(call, Some(&group)),
        ["virtualmachines", _, "vmsizes"] if call.method == Method::Get => sizes::list("eastus"),
        ["virtualmachines", _] => machines::one(call, &group, &first),
        ["virtualmachines", _, action @ ("runcommand" | "runcommands"), rest @ ..] => {
            let id = format!("/{}", call.segments[..8].join("/"));
            let machine = seeds::find_machine(call, &id)
                .ok_or_else(|| ArmError::no_resource(&format!("{}/{first}", machines::KIND), &group))?;
            if *action == "runcommand" {
                return run_commands::act(call, &machine);
            }
            let command = rest.first().map(|_| name(call, 3));
            run_commands::route(call, &group, &machine, command.as_deref())
        }
        ["virtualmachines", _, action] => {
            let action = (*action).to_owned();
            machines::act(call, &group, &first, &action)
        }
        [kind @ ("disks" | "snapshots" | "diskencryptionsets")] => disks::list(call, Some(&group), kind),
        [kind @ ("disks" | "snapshots" | "diskencryptionsets"), _] => disks::one(call, &group, kind, &first),
        [kind @ ("disks" | "snapshots"), _, action @ ("begingetaccess" | "endgetaccess")] => {
            disks::access(call, &group, kind, &first, *action == "begingetaccess")
        }
        _ => generic::route(call),
    }
}

fn type_path(words: &[&str], kind: &str) -> String {
    if words.len() <= 1 {
        return kind.to_owned();
    }
    words.iter().step_by(2).copied().collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::super::{Emulator, Request};
    use super::*;
    use time::OffsetDateTime;

    /// Every line of the table leads somewhere: no verb of it is answered as a path or a method that is not known.
    #[test]
    fn every_route_of_the_table_is_there() {
        const S: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10";
        let emulator = Emulator::in_memory();
        let values = [
            ("{compute}", format!("{S}/resourceGroups/my-rg/providers/Microsoft.Compute")),
            ("{builder}", format!("{S}/resourceGroups/my-rg/providers/Microsoft.VirtualMachineImages")),
            ("{location}", format!("{S}/providers/Microsoft.Compute/locations/eastus")),
            ("{scope}", format!("{S}/resourceGroups/my-rg")),
            ("/subscriptions/{s}", S.to_owned()),
            ("{deployments}", format!("{S}/resourceGroups/my-rg/providers/Microsoft.Resources/deployments")),
            ("{l}", "eastus".to_owned()),
            ("{sa}", "account".to_owned()),
            ("{rg}", "my-rg".to_owned()),
            ("{g}", "gal".to_owned()),
            ("{i}", "img".to_owned()),
            ("{v}", "1.0.0".to_owned()),
            ("{vm}", "golden-vm".to_owned()),
            ("{p}", "fortinet".to_owned()),
            ("{o}", "fortinet_fortigate-vm_v5".to_owned()),
            ("{k}", "fortinet_fg-vm_payg".to_owned()),
            ("{mv}", "5.6.5".to_owned()),
            ("{r}", "5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f11".to_owned()),
        ];
        for route in ROUTES {
            let path = values
                .iter()
                .fold(route.path.to_owned(), |path, (name, value)| path.replace(name, value))
                .replace(['{', '}'], "");
            let api = match &path {
                path if path.contains("MarketplaceOrdering") => "2021-01-01",
                path if path.contains("Microsoft.Authorization") => "2022-04-01",
                path if ["galleries", "Galleries"].iter().any(|word| path.contains(word)) => "2026-03-03",
                path if path.contains("Compute/") => "2026-03-01",
                _ => "2022-09-01",
            };
            for verb in route.verbs {
                let request = Request {
                    method: (*verb).to_owned(),
                    url: format!("{path}?api-version={api}"),
                    headers: Vec::new(),
                    body: match *verb {
                        "GET" => Vec::new(),
                        _ if path.ends_with("tags/default") => br#"{"properties":{"tags":{}}}"#.to_vec(),
                        _ => br#"{"location":"eastus"}"#.to_vec(),
                    },
                };
                let response = emulator.handle(&request, OffsetDateTime::UNIX_EPOCH);
                let text = String::from_utf8(response.body).unwrap();
                assert!(
                    response.status != 405
                        && !text.contains("No resource is known")
                        && !text.contains("NoRegisteredProvider"),
                    "{verb} {path}: {} {text}",
                    response.status
                );
            }
            assert!(!route.what.is_empty());
        }
    }
}
