//! From a path to the file that answers it, with the checks that ARM makes before any provider is asked.

use super::call::{Call, Method, Outcome};
use super::errors::ArmError;
use super::json::Json;
use super::operations;
use super::providers::{
    agreements, definitions, disks, galleries, generic, groups, images, machines, marketplace, sharing, soft_delete,
    subscriptions, versions,
};
use super::providers::applications;
use super::versions_known;

/// The routes there are: resource type, verbs. Read by the documentation, and by a test that tries each.
pub const ROUTES: &[(&str, &str, &str)] = &[
    ("Subscriptions", "GET", "/subscriptions, /subscriptions/{s}, …/locations, …/resources, …/operationresults/{id}"),
    ("Tenants", "GET", "/tenants"),
    ("Resource providers", "GET, POST register, POST unregister", "/subscriptions/{s}/providers[/{namespace}]"),
    ("Resource groups", "GET, HEAD, PUT, PATCH, DELETE, list", "/subscriptions/{s}/resourceGroups[/{rg}]"),
    ("Galleries", "GET, PUT, PATCH, DELETE, list, POST share", "Microsoft.Compute/galleries"),
    ("Image definitions", "GET, PUT, PATCH, DELETE, list", "Microsoft.Compute/galleries/images"),
    ("Image versions", "GET, PUT, PATCH, DELETE, list", "Microsoft.Compute/galleries/images/versions"),
    ("Gallery applications", "GET, PUT, PATCH, DELETE, list", "Microsoft.Compute/galleries/applications[/versions]"),
    ("Soft-deleted versions", "list", "Microsoft.Compute/galleries/softDeletedArtifactTypes/Images/artifacts/{i}/versions"),
    ("Managed images", "GET, PUT, PATCH, DELETE, list", "Microsoft.Compute/images"),
    (
        "Virtual machines",
        "GET, PUT, PATCH, DELETE, list, GET instanceView, POST deallocate, powerOff, start, restart, redeploy, reapply, generalize, capture",
        "Microsoft.Compute/virtualMachines",
    ),
    ("Disks, snapshots, disk encryption sets", "GET, PUT, PATCH, DELETE, list", "Microsoft.Compute/disks, snapshots, diskEncryptionSets"),
    ("Marketplace images", "GET publishers, offers, skus, versions, one version", "Microsoft.Compute/locations/{l}/publishers/…"),
    ("Shared galleries", "GET galleries, images, versions", "Microsoft.Compute/locations/{l}/sharedGalleries"),
    ("Community galleries", "GET one gallery, its images, versions", "Microsoft.Compute/locations/{l}/communityGalleries"),
    ("Operations", "GET", "Microsoft.Compute/locations/{l}/capsOperations, operations, DiskOperations"),
    ("Marketplace terms", "GET, PUT, POST sign, POST cancel, list", "Microsoft.MarketplaceOrdering"),
    ("Everything else", "GET, PUT, PATCH, DELETE, list", "any other namespace: stored and shown again, nothing more"),
];

/// Answers one ARM request.
pub fn route(call: &mut Call<'_, '_>) -> Outcome {
    let lower: Vec<String> = call.segments.iter().map(|segment| segment.to_ascii_lowercase()).collect();
    let words: Vec<&str> = lower.iter().map(String::as_str).collect();
    check_api(call)?;
    let [first, rest @ ..] = words.as_slice() else {
        return Err(unknown(call));
    };
    match (*first, rest) {
        ("tenants", []) => subscriptions::tenants(call),
        ("subscriptions", []) => subscriptions::list(call),
        ("subscriptions", [id, rest @ ..]) => {
            if uuid::Uuid::parse_str(id).is_err() {
                return Err(ArmError::gateway(
                    400,
                    "InvalidSubscriptionId",
                    format!("The provided subscription identifier '{}' is malformed or invalid.", call.segments[1]),
                ));
            }
            call.subscription = call.segments[1].clone();
            groups::ensure_subscription(call);
            in_subscription(call, rest)
        }
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
    ArmError::gateway(
        404,
        "NotFound",
        format!("No resource is known at '/{}'.", call.segments.join("/")),
    )
}

fn in_subscription(call: &mut Call<'_, '_>, words: &[&str]) -> Outcome {
    match words {
        [] => subscriptions::one(call),
        ["locations"] => subscriptions::locations(call),
        ["resources"] => groups::resources(call, None),
        ["operationresults", id] => groups::poll(call, id),
        ["resourcegroups"] => groups::list(call),
        ["resourcegroups", _] => {
            let group = call.segments[3].clone();
            groups::one(call, &group)
        }
        ["resourcegroups", _, "resources"] => {
            let group = call.segments[3].clone();
            groups::require(call, &group)?;
            groups::resources(call, Some(&group))
        }
        ["resourcegroups", _, "providers", "microsoft.compute", rest @ ..] => {
            subscriptions::check_registered(call, "Microsoft.Compute")?;
            in_group(call, rest)
        }
        ["resourcegroups", _, "providers", _, _, ..] => {
            let group = call.segments[3].clone();
            groups::require(call, &group)?;
            generic::route(call)
        }
        ["providers"] => subscriptions::providers(call, None),
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
        versions_known::check(&call.api, kind)?;
    }
    match words {
        ["galleries"] => galleries::list(call, None),
        ["images"] => images::list(call, None),
        ["virtualmachines"] => machines::list(call, None),
        [kind @ ("disks" | "snapshots" | "diskencryptionsets")] => disks::list(call, None, kind),
        ["skus"] => Ok(super::call::Answer::pretty(200, Json::object().with("value", Vec::new()))),
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
    if let [kind, ..] = words {
        versions_known::check(&call.api, &type_path(words, kind))?;
    }
    let group = call.segments[3].clone();
    let name = |call: &Call<'_, '_>, index: usize| call.segments.get(6 + index).cloned().unwrap_or_default();
    if let ["virtualmachines", machines::GOLDEN, ..] = words {
        let subscription = call.subscription.clone();
        groups::golden(call, &subscription, &group);
    }
    groups::require(call, &group)?;
    if matches!(call.method, Method::Put | Method::Patch) && !matches!(call.body, Json::Object(_)) {
        return Err(super::providers::invalid_content("The request body must be a JSON object"));
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
        ["virtualmachines", _] => machines::one(call, &group, &first),
        ["virtualmachines", _, action] => {
            let action = (*action).to_owned();
            machines::act(call, &group, &first, &action)
        }
        [kind @ ("disks" | "snapshots" | "diskencryptionsets")] => disks::list(call, Some(&group), kind),
        [kind @ ("disks" | "snapshots" | "diskencryptionsets"), _] => disks::one(call, &group, kind, &first),
        _ => generic::route(call),
    }
}

fn type_path(words: &[&str], kind: &str) -> String {
    if words.len() <= 1 {
        return kind.to_owned();
    }
    words.iter().step_by(2).copied().collect::<Vec<_>>().join("/")
}
