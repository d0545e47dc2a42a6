//! `Microsoft.Compute/virtualMachineScaleSets` of uniform machines: the model, and the actions on its instances.
//!
//! Models and lists of instances are as recorded in 2022-11-01. Not recorded: answers to writes and actions.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::clock;
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::operations::{Begin, Family, Operation, begin};
use super::super::resource::Resource;
use super::super::settings::Work;
use super::machine_profile::in_order;
use super::scale_set_instances as instances;
use super::{
    head, identities, machine_images, merge_stored, put_location, save_deleting, save_written, sizes,
    take_tags, upper_group,
};

/// The resource type.
pub const KIND: &str = "Microsoft.Compute/virtualMachineScaleSets";
/// Members beside the properties.
const MEMBERS: &[&str] = &["sku", "plan", "zones", "identity", "extendedLocation"];
const MOST: i64 = 1_000;

/// Lists the scale sets of a resource group or of the subscription.
pub fn list(call: &mut Call<'_, '_>, group: Option<&str>) -> Outcome {
    if call.method != Method::Get {
        return Err(ArmError::no_method(call.method.name(), KIND));
    }
    Ok(match group {
        Some(group) => {
            let collection =
                format!("/subscriptions/{}/resourceGroups/{group}/providers/{KIND}", call.subscription);
            call.list_answer(&collection, |set| upper_group(show(call, set)))
        }
        None => call.subscription_answer(KIND, |set| upper_group(show(call, set))),
    })
}

/// Handles one scale set; `words` holds the lower-case segments after its name.
pub fn route(call: &mut Call<'_, '_>, group: &str, name: &str, words: &[&str]) -> Outcome {
    let id = format!("/subscriptions/{}/resourceGroups/{group}/providers/{KIND}/{name}", call.subscription);
    let existing = call.find(&id);
    let absent = || ArmError::no_resource(&format!("{KIND}/{name}"), group);
    match (call.method, words) {
        (Method::Put, []) => put(call, group, &id, existing),
        (Method::Patch, []) => {
            let set = existing.ok_or_else(absent)?;
            merge_stored(call, &set, &["properties", "sku", "plan", "zones", "extendedLocation"]);
            put(call, group, &id, Some(set))
        }
        (Method::Delete, []) => {
            let Some(set) = existing else { return Ok(Answer::empty(204)) };
            let operation = work(call, &set, "delete", Work::MachineDelete);
            for instance in instances::of(call, &set) {
                instances::delete(call, instance, &operation);
            }
            save_deleting(call, set, &operation);
            Ok(Answer::empty(202).asynchronous(call, &operation, true))
        }
        (Method::Get, []) => {
            call.meter = Some("GetVMScaleSet");
            Ok(Answer::pretty(200, show(call, &existing.ok_or_else(absent)?)))
        }
        (_, rest) => within(call, existing.ok_or_else(absent)?, rest),
    }
}

/// Handles the instances and actions of a scale set.
fn within(call: &mut Call<'_, '_>, set: Resource, words: &[&str]) -> Outcome {
    let nothing_runs = || ArmError::new(404, "NotFound", "The entity was not found in this Azure location.");
    match (call.method, words) {
        (Method::Get, ["virtualmachines"]) => {
            call.meter = Some("HighCostGetVMScaleSet");
            let values =
                instances::of(call, &set).iter().map(|one| instances::show(call, &set, one)).collect();
            call.paged_answer(values)
        }
        (_, ["virtualmachines", number, rest @ ..]) => {
            let found = instances::of(call, &set);
            let instance = found.into_iter().find(|one| one.doc.text("instanceId") == Some(number));
            let instance = instance.ok_or_else(|| {
                let message = format!(
                    "The provided instanceId {number} is not an active Virtual Machine Scale Set VM instanceId."
                );
                ArmError::new(404, "NotFound", message)
            })?;
            match (call.method, rest) {
                (Method::Get, []) => Ok(Answer::pretty(200, instances::show(call, &set, &instance))),
                (Method::Get, ["instanceview"]) => {
                    Ok(Answer::pretty(200, super::machines::instance_view(call, &instance)))
                }
                (Method::Get, ["networkinterfaces"]) => call.paged_answer(instances::interfaces(&instance)),
                (Method::Delete, []) => act(call, set, "delete", vec![instance]),
                (Method::Post, [action]) => act(call, set, action, vec![instance]),
                _ => Err(ArmError::not_emulated(
                    &format!("{} {KIND}/virtualMachines", call.method.name()),
                    "Change the scale set, and upgrade its instances with manualupgrade.",
                )),
            }
        }
        (Method::Get, ["networkinterfaces"]) => {
            let all = instances::of(call, &set).iter().flat_map(instances::interfaces).collect();
            call.paged_answer(all)
        }
        (Method::Get, ["instanceview"]) => Ok(Answer::pretty(200, instance_view(call, &set))),
        (Method::Get, ["skus"]) => {
            let capacity = Json::object()
                .with("minimum", 0_i64)
                .with("maximum", MOST)
                .with("defaultCapacity", 1_i64)
                .with("scaleType", "Automatic");
            let one = |name: &str| {
                Json::object()
                    .with("resourceType", KIND)
                    .with("sku", Json::object().with("name", name).with("tier", "Standard"))
                    .with("capacity", capacity.clone())
            };
            call.paged_answer(sizes::names().map(one).collect())
        }
        (Method::Get, ["osupgradehistory"]) => call.paged_answer(Vec::new()),
        (Method::Get, ["rollingupgrades", "latest"]) => Err(nothing_runs()),
        (Method::Post, ["rollingupgrades", "cancel"]) => {
            Err(ArmError::new(409, "OperationNotAllowed", "There is no ongoing Rolling Upgrade to cancel."))
        }
        (Method::Post, [action]) => {
            let chosen = chosen(call, &set, action)?;
            act(call, set, action, chosen)
        }
        _ => {
            let what = format!("{} {KIND}/{}", call.method.name(), words.join("/"));
            Err(ArmError::not_emulated(&what, ""))
        }
    }
}

/// The instances that the body of an action names; all of them if it names none.
fn chosen(call: &Call<'_, '_>, set: &Resource, action: &str) -> Result<Vec<Resource>, ArmError> {
    let all = instances::of(call, set);
    let wanted: Vec<&str> = call.body.list("instanceIds").iter().filter_map(Json::as_str).collect();
    if wanted.is_empty() && matches!(action, "manualupgrade" | "delete") {
        return Err(ArmError::missing("instanceIds"));
    }
    if wanted.is_empty() || wanted.contains(&"*") {
        return Ok(all);
    }
    let one = |number: &&str| {
        all.iter().find(|one| one.doc.text("instanceId") == Some(number)).cloned().ok_or_else(|| {
            let message = format!(
                "The provided instanceId {number} is not an active Virtual Machine Scale Set VM instanceId."
            );
            ArmError::parameter("instanceIds", message)
        })
    };
    wanted.iter().map(one).collect()
}

fn act(call: &mut Call<'_, '_>, mut set: Resource, action: &str, chosen: Vec<Resource>) -> Outcome {
    let (verb, kind) = match action {
        "manualupgrade" => ("manualUpgrade", Work::MachinePut),
        "reimage" => ("reimage", Work::MachinePut),
        "reimageall" => ("reimageAll", Work::MachinePut),
        "start" => ("start", Work::Start),
        "restart" => ("restart", Work::Start),
        "redeploy" => ("redeploy", Work::Start),
        "poweroff" => ("powerOff", Work::PowerOff),
        "deallocate" => ("deallocate", Work::Deallocate),
        "delete" => ("delete", Work::MachineDelete),
        _ => return Err(ArmError::not_emulated(&format!("{KIND}/{action}/action"), "")),
    };
    let operation = work(call, &set, verb, kind);
    if operation.error.is_some() {
        return Ok(Answer::empty(202).asynchronous(call, &operation, true));
    }
    let removed = chosen.len() as i64;
    for instance in chosen {
        match action {
            "delete" => instances::delete(call, instance, &operation),
            "manualupgrade" => instances::upgrade(call, &set, instance, &operation),
            "reimage" | "reimageall" => instances::reimage(call, instance, &operation),
            _ => instances::switch(call, instance, action, &operation),
        }
    }
    if action == "delete" {
        let capacity = set.doc.int("sku.capacity").unwrap_or_default();
        set.doc.entry("sku").set("capacity", (capacity - removed).max(0));
        call.save(&set);
    }
    Ok(Answer::empty(202).asynchronous(call, &operation, true))
}

fn put(call: &mut Call<'_, '_>, group: &str, id: &str, existing: Option<Resource>) -> Outcome {
    let location = put_location(call, KIND, existing.as_ref(), group)?;
    let created = existing.is_none();
    let body = call.body.clone();
    let capacity = body
        .int("sku.capacity")
        .or_else(|| existing.as_ref().and_then(|set| set.doc.int("sku.capacity")))
        .unwrap_or_default();
    if !(0..=MOST).contains(&capacity) {
        let message = format!("The capacity {capacity} is not between 0 and {MOST}.");
        return Err(ArmError::parameter("sku.capacity", message));
    }
    let flexible =
        body.text("properties.orchestrationMode").is_some_and(|mode| mode.eq_ignore_ascii_case("Flexible"));
    if flexible && capacity > 0 {
        return Err(ArmError::not_emulated(
            "instances of a scale set with orchestrationMode Flexible",
            "Use Uniform.",
        ));
    }
    if created && !flexible && body.at("properties.virtualMachineProfile").is_none() {
        return Err(ArmError::missing("virtualMachineProfile"));
    }
    if created && body.text("sku.name").is_none() && !flexible {
        return Err(ArmError::missing("sku.name"));
    }
    sizes::check(body.text("sku.name"))?;
    let before = existing.as_ref().and_then(|set| set.doc.get("properties")).cloned().unwrap_or_default();
    let as_machine = machine_of(&body);
    let image = "virtualMachineProfile.storageProfile.imageReference";
    if body.at(&format!("properties.{image}")) != before.at(image) {
        machine_images::check(call, &as_machine, &location)?;
    }
    let kind = machine_images::kind(call, &as_machine);
    let properties = fill(call, &body, &before, &kind);
    let mut set = existing.unwrap_or_else(|| Resource::new(id, KIND, &location));
    take_tags(&body, &mut set)?;
    let changed = properties.get("virtualMachineProfile") != before.get("virtualMachineProfile")
        || body.text("sku.name").is_some_and(|name| set.doc.text("sku.name") != Some(name));
    set.doc.set("properties", properties);
    for member in MEMBERS.iter().filter(|member| **member != "identity") {
        if let Some(value) = body.get(member).filter(|value| !value.is_null()) {
            set.doc.set(member, value);
        }
    }
    match identities::assign(call, set.doc.get("identity")) {
        Some(identity) => set.doc.set("identity", identity),
        None => {
            set.doc.remove("identity");
        }
    }
    if !flexible {
        let sku = set.doc.entry("sku");
        sku.set("capacity", capacity);
        if sku.get("tier").is_none() {
            sku.set("tier", "Standard");
        }
    }
    set.hide("generation", kind.generation.as_str());
    let model = set.doc.int("_.model").unwrap_or_default() + i64::from(changed);
    set.hide("model", model);
    let operation = work(call, &set, if created { "create" } else { "update" }, Work::MachinePut);
    if operation.error.is_none() {
        scale(call, &mut set, capacity, changed && !created, &operation);
    }
    let shown = save_written(call, set, &operation, created, show);
    Ok(Answer::pretty(if created { 201 } else { 200 }, shown).asynchronous(call, &operation, false))
}

/// Creates or deletes instances to reach the capacity, and upgrades the others unless the upgrade policy is manual.
fn scale(call: &mut Call<'_, '_>, set: &mut Resource, capacity: i64, changed: bool, operation: &Operation) {
    let mut all = instances::of(call, set);
    while all.len() as i64 > capacity {
        if let Some(last) = all.pop() {
            instances::delete(call, last, operation);
        }
    }
    let by_hand =
        set.property_text("upgradePolicy.mode").is_none_or(|mode| mode.eq_ignore_ascii_case("Manual"));
    let missing = capacity - all.len() as i64;
    if changed && !by_hand {
        for instance in all {
            instances::upgrade(call, set, instance, operation);
        }
    }
    for _ in 0..missing {
        let number = set.doc.int("_.next").unwrap_or_default();
        set.hide("next", number + 1);
        instances::create(call, set, number, operation);
    }
}

/// The profile of a scale set in the shape of a machine.
fn machine_of(body: &Json) -> Json {
    let profile = body.at("properties.virtualMachineProfile").cloned().unwrap_or_else(Json::object);
    Json::object().with("properties", profile)
}

/// Completes the properties of a scale set as recorded.
fn fill(call: &mut Call<'_, '_>, body: &Json, before: &Json, kind: &machine_images::Kind) -> Json {
    let mut properties = body.get("properties").cloned().unwrap_or_else(Json::object);
    let default = |object: &mut Json, key: &str, value: Json| {
        if object.get(key).is_none_or(Json::is_null) {
            object.set(key, value);
        }
    };
    default(&mut properties, "singlePlacementGroup", true.into());
    default(&mut properties, "orchestrationMode", "Uniform".into());
    default(properties.entry("upgradePolicy"), "mode", "Manual".into());
    default(&mut properties, "overprovision", true.into());
    default(&mut properties, "doNotRunExtensionsOnOverprovisionedVMs", false.into());
    // Clients with typed models always send this property, even if it is empty.
    if properties
        .get("additionalCapabilities")
        .is_some_and(|sent| sent.pairs().iter().all(|(_, value)| value.is_null()))
    {
        properties.remove("additionalCapabilities");
    }
    if properties.get("virtualMachineProfile").is_some() {
        let profile = properties.entry("virtualMachineProfile");
        let disk = profile.entry("storageProfile").entry("osDisk");
        default(disk, "osType", kind.os.as_str().into());
        default(disk, "createOption", "FromImage".into());
        default(disk.entry("managedDisk"), "storageAccountType", "Premium_LRS".into());
        default(disk, "diskSizeGB", 30_i64.into());
        in_order(disk, &["osType", "createOption", "caching", "managedDisk", "diskSizeGB"]);
        if profile.get("osProfile").is_some() {
            let system = profile.entry("osProfile");
            system.remove("adminPassword");
            system.remove("customData");
            if system.get("linuxConfiguration").is_some() {
                let linux = system.entry("linuxConfiguration");
                default(linux, "provisionVMAgent", true.into());
                default(linux, "enableVMAgentPlatformUpdates", false.into());
            }
            default(system, "secrets", Vec::<Json>::new().into());
            default(system, "allowExtensionOperations", true.into());
            default(system, "requireGuestProvisionSignal", true.into());
        }
        let mut configurations = profile.list("networkProfile.networkInterfaceConfigurations").to_vec();
        for configuration in &mut configurations {
            let properties = configuration.entry("properties");
            default(properties, "disableTcpStateTracking", false.into());
            default(properties.entry("dnsSettings"), "dnsServers", Vec::<Json>::new().into());
            default(properties, "enableIPForwarding", false.into());
            let mut addresses = properties.list("ipConfigurations").to_vec();
            for address in &mut addresses {
                let properties = address.entry("properties");
                default(properties, "privateIPAddressVersion", "IPv4".into());
                in_order(properties, &["subnet", "privateIPAddressVersion"]);
            }
            properties.set("ipConfigurations", addresses);
            in_order(
                properties,
                &[
                    "primary",
                    "enableAcceleratedNetworking",
                    "disableTcpStateTracking",
                    "dnsSettings",
                    "enableIPForwarding",
                ],
            );
        }
        if !configurations.is_empty() {
            profile.entry("networkProfile").set("networkInterfaceConfigurations", configurations);
        }
    }
    for (key, new) in [("uniqueId", call.state.guid()), ("timeCreated", clock::format(call.now))] {
        let kept = before.text(key).map_or(new, str::to_owned);
        properties.set(key, kept);
    }
    properties
}

fn work(call: &mut Call<'_, '_>, set: &Resource, action: &str, work: Work) -> Operation {
    let end = call.now + call.duration(work);
    begin(
        call,
        Begin { retry_after: Some(10), ..Begin::new(Family::Compute, set.location(), set.id(), action, end) },
    )
}

/// The number of instances in each state.
fn instance_view(call: &Call<'_, '_>, set: &Resource) -> Json {
    let mut counts: Vec<(String, i64)> = Vec::new();
    for instance in instances::of(call, set) {
        let code = match instance.state(call.now) {
            "Succeeded" => "ProvisioningState/succeeded".to_owned(),
            state => format!("ProvisioningState/{}", state.to_lowercase()),
        };
        match counts.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count += 1,
            None => counts.push((code, 1)),
        }
    }
    let summary: Vec<Json> = counts
        .into_iter()
        .map(|(code, count)| Json::object().with("code", code).with("count", count))
        .collect();
    let state = set.state(call.now).to_lowercase();
    let status = Json::object()
        .with("code", format!("ProvisioningState/{state}"))
        .with("level", "Info")
        .with("displayStatus", format!("Provisioning {state}"))
        .with("time", clock::format(set.started().unwrap_or(call.now)));
    Json::object()
        .with("virtualMachine", Json::object().with("statusesSummary", summary))
        .with("statuses", vec![status])
}

/// The scale set in the format of this request.
fn show(call: &Call<'_, '_>, set: &Resource) -> Json {
    let mut properties = set.doc.get("properties").cloned().unwrap_or_default();
    properties.set("provisioningState", set.state(call.now));
    in_order(
        &mut properties,
        &[
            "singlePlacementGroup",
            "orchestrationMode",
            "upgradePolicy",
            "virtualMachineProfile",
            "provisioningState",
            "overprovision",
            "doNotRunExtensionsOnOverprovisionedVMs",
            "uniqueId",
            "timeCreated",
        ],
    );
    let mut shown = head(set);
    for member in MEMBERS {
        if let Some(value) = set.doc.get(member) {
            shown.set(member, value);
        }
    }
    shown.with("properties", properties)
}
