//! Routes requests to the resource providers, after the checks that ARM makes first.

use super::call::{Answer, Call, Method, Outcome};
use super::errors::ArmError;
use super::json::Json;
use super::operations;
use super::providers::applications;
use super::providers::{
    access, activity_log, agreements, batch, build_operations, build_outputs, build_runs, build_triggers,
    definitions, deployments, disks, export, filters, galleries, gallery_parts, generic, groups, identities,
    image_builder, images, invitations, lists, locks, machines, marketplace, moves, preflight,
    resource_graph, run_commands, scale_sets, seeds, sharing, sizes, soft_delete, storage, subscriptions,
    tags, versions,
};
use super::{coverage, shapes, versions_known};

/// Handles one ARM request. First, the Image Builder runs that have ended create their images.
pub fn route(call: &mut Call<'_, '_>) -> Outcome {
    for due in build_outputs::due(call) {
        for (artifact, request) in due.artifacts {
            if artifact.is_managed_image() {
                // A build replaces the image of the previous build.
                call.state.delete(&super::store::resource_key(&artifact.location));
            }
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

/// Sends a PUT on behalf of the emulator itself; it completes at once.
fn make(call: &mut Call<'_, '_>, url: &str, body: Json) -> Outcome {
    let (path, api) = url.split_once("?api-version=").unwrap_or((url, ""));
    let mut settings = call.settings.clone();
    settings.by_hand = true;
    settings.time_scale = Some(0.0);
    settings.newest_api_version = None;
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

/// Responds to HEAD by the status of a GET.
fn head(call: &mut Call<'_, '_>) -> Outcome {
    call.method = Method::Get;
    match route_one(call) {
        Ok(_) => Ok(Answer::empty(204)),
        Err(error) if error.status == 404 => Ok(Answer::empty(404)),
        Err(error) => Err(error),
    }
}

fn route_one(call: &mut Call<'_, '_>) -> Outcome {
    let lower: Vec<String> = call.segments.iter().map(|segment| segment.to_ascii_lowercase()).collect();
    let words: Vec<&str> = lower.iter().map(String::as_str).collect();
    check_api(call)?;
    coverage::check(call)?;
    if call.method == Method::Head {
        return head(call);
    }
    let id = format!("/{}", call.segments.join("/"));
    // A body that restores a deleted version may omit required members.
    let restores = soft_delete::has(call, &id);
    let existing = call.find(&id);
    let complete = !restores && shapes::must_be_complete(call.method, existing.is_some(), &call.body);
    shapes::check(call, complete)?;
    identities::check(call, existing.as_ref().and_then(|existing| existing.doc.get("identity")))?;
    let [first, rest @ ..] = words.as_slice() else {
        return Err(unknown(call));
    };
    match (*first, rest) {
        ("tenants", []) => subscriptions::tenants(call),
        ("batch", []) => batch::route(call, route),
        ("providers", []) => subscriptions::providers(call, None),
        ("providers", [_]) => {
            let namespace = call.segments[1].clone();
            subscriptions::providers(call, Some(&namespace))
        }
        (
            "providers",
            [
                "microsoft.compute",
                "locations",
                _,
                "tenantlevelsharedgallerysubscriptions",
                _,
                "sharedgalleries",
                _,
                answer @ ("accept" | "reject"),
            ],
        ) => {
            let newest = call.settings.newest_api_version.as_deref();
            versions_known::check(&call.api, "sharedgallerysubscriptions", newest)?;
            let (owner, name) = (call.segments[5].clone(), call.segments[7].clone());
            let galleries = sharing::every_gallery(call);
            invitations::answer_for_tenant(call, &galleries, &owner, &name, *answer == "accept")
        }
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
        ("providers", ["microsoft.resources", "calculatetemplatehash"]) if call.method == Method::Post => {
            deployments::calculate_hash(call)
        }
        ("providers", ["microsoft.resources", "validateresources"]) => preflight::validate(call, route),
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

/// The error for an unknown path. A 404 would mean that a resource is absent.
fn unknown(call: &Call<'_, '_>) -> ArmError {
    let path = format!("/{}", call.segments.join("/"));
    if matches!(call.segments.first(), Some(first) if first.eq_ignore_ascii_case("subscriptions")) {
        return ArmError::not_emulated(&format!("{} {path}", call.method.name()), "");
    }
    ArmError::gateway(404, "NotFound", format!("'{path}' is not a path of Resource Manager."))
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
            let (group, is_move) = (call.segments[3].clone(), *action == "moveresources");
            moves::route(call, &group, is_move)
        }
        ["resourcegroups", _, "exporttemplate"] => {
            let group = call.segments[3].clone();
            groups::require(call, &group)?;
            export::route(call, &group)
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
        // The description also has the operations of a deployment below the group itself.
        ["resourcegroups", _, "deployments", _, "operations", ..] => {
            let group = call.segments[3].clone();
            groups::require(call, &group)?;
            deployments::route(call, route, Some(&group), &words[3..])
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
        ["providers", _, "resourcetypes"] => {
            let namespace = call.segments[3].clone();
            subscriptions::resource_types(call, &namespace)
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
    let filters_itself = matches!(words, ["skus"] | ["locations", _, "publishers" | "edgezones", ..]);
    if !filters_itself {
        refuse_filter(call)?;
    }
    match words {
        ["galleries"] => galleries::list(call, None),
        ["images"] => images::list(call, None),
        ["virtualmachines"] => machines::list(call, None),
        ["virtualmachinescalesets"] => scale_sets::list(call, None),
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
        ["locations", _, "edgezones", _, "vmimages"] => {
            let (location, zone) = (call.segments[5].clone(), call.segments[7].clone());
            marketplace::list_in_zone(call, &location, &zone)
        }
        ["locations", _, "edgezones", _, "publishers", ..] => {
            let (location, zone) = (call.segments[5].clone(), call.segments[7].clone());
            let rest = call.segments[9..].to_vec();
            marketplace::route(call, &location, Some(&zone), &rest)
        }
        [
            "locations",
            _,
            "sharedgallerysubscriptions",
            _,
            "sharedgalleries",
            _,
            answer @ ("accept" | "reject"),
        ] => {
            let (owner, name) = (call.segments[7].clone(), call.segments[9].clone());
            let galleries = sharing::every_gallery(call);
            invitations::answer(call, &galleries, &owner, &name, *answer == "accept")
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
        // An extension resource, such as a role assignment: another namespace, with its own api-versions.
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
    refuse_filter(call)?;
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
        ["galleries", _, "scripts" | "invmaccesscontrolprofiles", ..] => {
            let rest = call.segments[6..].to_vec();
            gallery_parts::route(call, &group, &rest)
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
        ["virtualmachinescalesets"] => scale_sets::list(call, Some(&group)),
        // Extensions of the model are stored like any other resource.
        ["virtualmachinescalesets", _, "extensions", ..] => generic::route(call),
        ["virtualmachinescalesets", _, rest @ ..] => scale_sets::route(call, &group, &first, rest),
        [kind @ ("disks" | "snapshots" | "diskencryptionsets")] => disks::list(call, Some(&group), kind),
        [kind @ ("disks" | "snapshots" | "diskencryptionsets"), _] => disks::one(call, &group, kind, &first),
        ["diskencryptionsets", _, "associatedresources"] => disks::encrypted_by(call, &group, &first),
        [kind @ ("disks" | "snapshots"), _, action @ ("begingetaccess" | "endgetaccess")] => {
            disks::access(call, &group, kind, &first, *action == "begingetaccess")
        }
        _ => generic::route(call),
    }
}

/// Refuses a filter of a list that does not support filters; an unfiltered list would look like the result.
fn refuse_filter(call: &Call<'_, '_>) -> Result<(), ArmError> {
    filters::parse(call.query("$filter").unwrap_or_default(), &[]).map(|_| ())
}

fn type_path(words: &[&str], kind: &str) -> String {
    if words.len() <= 1 {
        return kind.to_owned();
    }
    words.iter().step_by(2).copied().collect::<Vec<_>>().join("/")
}
