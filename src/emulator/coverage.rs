//! The operations that the emulator supports, and those that it refuses: the tables of the guide, and the refusals.

use super::call::Call;
use super::errors::ArmError;

/// One row of the coverage table.
pub struct Route {
    /// A description of the resource type or call.
    pub what: &'static str,
    /// Its path; `{…}` stands for a name.
    pub path: &'static str,
    /// The supported methods.
    pub verbs: &'static [&'static str],
}

/// An operation of Azure that the emulator refuses.
pub struct Gap {
    /// The method; `*` is any.
    pub method: &'static str,
    /// Its path. `{…}` is any one segment, a leading `…` anything before it, a trailing `…` anything after it.
    pub path: &'static str,
    /// Why, or what to do instead: a sentence.
    pub instead: &'static str,
}

const fn line(what: &'static str, path: &'static str, verbs: &'static [&'static str]) -> Route {
    Route { what, path, verbs }
}

const READ: &[&str] = &["GET"];
const DO: &[&str] = &["POST"];
const WHOLE: &[&str] = &["GET", "PUT", "PATCH", "DELETE"];

/// The supported operations. The guide's coverage table is generated from them, and a test tries each of them.
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
    line("Export a template of a group", "/subscriptions/{s}/resourceGroups/{rg}/exportTemplate", DO),
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
    line("Hash of a template", "/providers/Microsoft.Resources/calculateTemplateHash", DO),
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
    line("Gallery scripts, and their versions", "{compute}/galleries/{g}/scripts/{t}", WHOLE),
    line(
        "Access control profiles of a gallery, and their versions",
        "{compute}/galleries/{g}/inVMAccessControlProfiles/{t}",
        WHOLE,
    ),
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
    line(
        "Scale sets of a subscription",
        "/subscriptions/{s}/providers/Microsoft.Compute/virtualMachineScaleSets",
        READ,
    ),
    line("Scale sets of a group", "{compute}/virtualMachineScaleSets", READ),
    line("Scale set", "{compute}/virtualMachineScaleSets/{ss}", WHOLE),
    line("Instances of a scale set", "{compute}/virtualMachineScaleSets/{ss}/virtualMachines", READ),
    line(
        "Instance of a scale set",
        "{compute}/virtualMachineScaleSets/{ss}/virtualMachines/{n}",
        &["GET", "DELETE"],
    ),
    line("Instance views of a scale set", "{compute}/virtualMachineScaleSets/{ss}/instanceView", READ),
    line(
        "Actions on instances: manualupgrade, reimage, reimageall, start, restart, redeploy, powerOff, deallocate, delete",
        "{compute}/virtualMachineScaleSets/{ss}/manualupgrade",
        DO,
    ),
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
    line(
        "Disks and snapshots of an encryption set",
        "{compute}/diskEncryptionSets/{d}/associatedResources",
        READ,
    ),
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
    line("Marketplace versions in an edge zone", "{location}/edgeZones/{z}/vmimages", READ),
    line(
        "Accept or reject the sharing of a gallery",
        "{location}/sharedGallerySubscriptions/{s}/sharedGalleries/{g}/accept",
        DO,
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
        "Permissions of the caller in a scope",
        "/subscriptions/{s}/resourceGroups/{rg}/providers/Microsoft.Authorization/permissions",
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

/// The coverage table of the guide: [`ROUTES`] as Markdown, with a trailing newline.
pub fn coverage_table() -> String {
    let mut table = String::from("| what | path | verbs |\n|---|---|---|\n");
    for route in ROUTES {
        table += &format!("| {} | `{}` | {} |\n", route.what, route.path, route.verbs.join(", "));
    }
    table
}

const NO_GROUPS: &str = "There are no management groups. Use a subscription or a resource group.";
const NO_SYSTEM: &str = "An emulated machine has no operating system to patch.";
const NOT_ABOVE: &str = "Deploy to a subscription or a resource group.";

const fn gap(method: &'static str, path: &'static str, instead: &'static str) -> Gap {
    Gap { method, path, instead }
}

/// The described operations that the emulator refuses with 501 `NotEmulated`. The guide lists them, and a test compares them
/// with the descriptions.
pub const GAPS: &[Gap] = &[
    gap("POST", "…/Microsoft.Compute/virtualMachines/{vm}/assessPatches", NO_SYSTEM),
    gap("POST", "…/Microsoft.Compute/virtualMachines/{vm}/installPatches", NO_SYSTEM),
    gap(
        "POST",
        "…/Microsoft.Compute/virtualMachines/{vm}/attachDetachDataDisks",
        "Update the machine with other dataDisks.",
    ),
    gap(
        "POST",
        "…/Microsoft.Compute/virtualMachines/{vm}/convertToManagedDisks",
        "Create the machine with managed disks.",
    ),
    gap("POST", "…/Microsoft.Compute/virtualMachines/{vm}/performMaintenance", "Restart the machine."),
    gap(
        "POST",
        "…/Microsoft.Compute/virtualMachines/{vm}/reimage",
        "Delete the machine and create it again.",
    ),
    gap("POST", "…/Microsoft.Compute/virtualMachines/{vm}/simulateEviction", "Deallocate the machine."),
    gap(
        "POST",
        "…/Microsoft.Compute/virtualMachines/{vm}/migrateToVirtualMachineScaleSet",
        "Create a scale set.",
    ),
    gap(
        "POST",
        "…/Microsoft.Compute/snapshots/{d}/updateImmutabilityPolicy",
        "Lock the snapshot with Microsoft.Authorization/locks.",
    ),
    gap(
        "POST",
        "…/Microsoft.Compute/snapshots/{d}/updateImmutabilityPolicyLock",
        "Lock the snapshot with Microsoft.Authorization/locks.",
    ),
    gap("*", "/providers/Microsoft.Management/managementGroups/…", NO_GROUPS),
    gap("*", "/providers/Microsoft.Resources/deployments/…", NOT_ABOVE),
    gap(
        "POST",
        "/providers/Microsoft.Resources/checkResourceName",
        "Create the resource: a name that is not valid is an error.",
    ),
    gap(
        "POST",
        "/subscriptions/{s}/providers/Microsoft.Resources/checkZonePeers",
        "All subscriptions have the same zones.",
    ),
    gap(
        "GET",
        "/subscriptions/{s}/providers/{namespace}/providerPermissions",
        "Resource providers have no permissions in the emulator.",
    ),
    gap(
        "GET",
        "/providers/Microsoft.Authorization/operations",
        "The emulator has no list of the actions of resource providers.",
    ),
    gap(
        "GET",
        "/providers/Microsoft.Authorization/providerOperations/…",
        "The emulator has no list of the actions of resource providers.",
    ),
];

/// The guide's table of [`GAPS`] as Markdown.
pub fn gaps_table() -> String {
    let mut table = String::from("| operation | why, or what to do instead |\n|---|---|\n");
    for gap in GAPS {
        let method = if gap.method == "*" { "any" } else { gap.method };
        table += &format!("| {method} `{}` | {} |\n", gap.path, gap.instead);
    }
    table
}

/// Refuses an operation of [`GAPS`].
pub fn check(call: &Call<'_, '_>) -> Result<(), ArmError> {
    let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
    let method = call.method.name();
    let found =
        GAPS.iter().find(|gap| (gap.method == "*" || gap.method == method) && matches(gap.path, &segments));
    match found {
        Some(gap) => Err(ArmError::not_emulated(&format!("{method} {}", gap.path), gap.instead)),
        None => Ok(()),
    }
}

fn matches(pattern: &str, segments: &[&str]) -> bool {
    let (anything_before, pattern) = match pattern.strip_prefix("…/") {
        Some(rest) => (true, rest),
        None => (false, pattern.trim_start_matches('/')),
    };
    let (anything_after, pattern) = match pattern.strip_suffix("/…") {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let wanted: Vec<&str> = pattern.split('/').collect();
    let found = match (anything_before, anything_after) {
        (true, _) => segments.len().checked_sub(wanted.len()).map(|at| &segments[at..]),
        (false, true) => segments.get(..wanted.len()),
        (false, false) => (segments.len() == wanted.len()).then_some(segments),
    };
    found.is_some_and(|found| {
        wanted
            .iter()
            .zip(found)
            .all(|(wanted, found)| wanted.starts_with('{') || wanted.eq_ignore_ascii_case(found))
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Emulator, Request};
    use super::*;
    use time::OffsetDateTime;

    #[test]
    fn paths_match_patterns() {
        for (pattern, path, wanted) in [
            ("…/A.B/c/{x}/act", "s/1/providers/a.b/C/name/ACT", true),
            ("…/A.B/c/{x}/act", "s/1/providers/a.b/c/name/other", false),
            ("…/A.B/c/{x}/act", "act", false),
            ("/a/b/…", "a/b", true),
            ("/a/b/…", "a/b/c/d", true),
            ("/a/b/…", "a", false),
            ("/a/{x}/b", "a/1/b", true),
            ("/a/{x}/b", "a/1/b/c", false),
        ] {
            let segments: Vec<&str> = path.split('/').collect();
            assert_eq!(matches(pattern, &segments), wanted, "{pattern} {path}");
        }
    }

    /// No row of the table is refused as an unknown path or method.
    #[test]
    fn every_route_of_the_table_is_known() {
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
                        && !text.contains("NotEmulated")
                        && !text.contains("NoRegisteredProvider"),
                    "{verb} {path}: {} {text}",
                    response.status
                );
            }
            assert!(!route.what.is_empty());
        }
    }
}
