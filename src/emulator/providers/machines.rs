//! `Microsoft.Compute/virtualMachines`: the subset needed to capture images from machines.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::clock;
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::operations::{Begin, Family, Operation, begin, stable};
use super::super::resource::Resource;
use super::super::settings::Work;
use super::machine_disks::New;
use super::machine_power::{power, power_state};
use super::{
    boot_diagnostics, head, identities, is_not_visible_yet, machine_disks, machine_images, machine_network,
    machine_profile, merge_stored, put_location, save_deleting, save_written, sizes, sources, take_tags,
    upper_group,
};

/// The resource type.
pub const KIND: &str = "Microsoft.Compute/virtualMachines";
/// Handles one machine by name.
pub fn one(call: &mut Call<'_, '_>, group: &str, name: &str) -> Outcome {
    let id = id_of(call, group, name);
    call.meter = Some(match call.method {
        Method::Put => "PutVMResource",
        Method::Patch => "UpdateVMResource",
        Method::Delete => "DeleteVMResource",
        _ => "LowCostGetResource",
    });
    let existing = call.find(&id);
    let absent = || ArmError::no_resource(&format!("{KIND}/{name}"), group);
    match call.method {
        Method::Get => {
            let machine = existing.filter(|machine| !is_not_visible_yet(call, machine)).ok_or_else(absent)?;
            Ok(Answer::pretty(200, show(call, &machine)))
        }
        Method::Put => put(call, group, &id, existing),
        Method::Patch => {
            let machine = existing.ok_or_else(absent)?;
            merge_stored(call, &machine, &["properties"]);
            put(call, group, &id, Some(machine))
        }
        Method::Delete => {
            let Some(machine) = existing else {
                return Ok(Answer::empty(204));
            };
            let operation = work(call, &machine, "delete", Work::MachineDelete, None);
            machine_disks::release(call, &machine, &operation);
            save_deleting(call, machine, &operation);
            Ok(Answer::empty(202).asynchronous(call, &operation, true))
        }
        _ => Err(ArmError::no_method(call.method.name(), KIND)),
    }
}

fn id_of(call: &Call<'_, '_>, group: &str, name: &str) -> String {
    format!("/subscriptions/{}/resourceGroups/{group}/providers/{KIND}/{name}", call.subscription)
}

/// Lists the machines of a resource group or of the subscription.
pub fn list(call: &mut Call<'_, '_>, group: Option<&str>) -> Outcome {
    call.meter = Some("HighCostGetVMSubscriptionMaximum");
    Ok(match group {
        Some(group) => {
            let collection =
                format!("/subscriptions/{}/resourceGroups/{group}/providers/{KIND}", call.subscription);
            call.list_answer(&collection, |machine| upper_group(show(call, machine)))
        }
        None => call.subscription_answer(KIND, |machine| upper_group(show(call, machine))),
    })
}

/// Lists the machines of the subscription in a region.
pub fn list_in(call: &mut Call<'_, '_>, region: &str) -> Outcome {
    call.meter = Some("HighCostGetVMSubscriptionMaximum");
    let found: Vec<Json> = call
        .state
        .of_type(&call.subscription, KIND)
        .iter()
        .map(Resource::from_record)
        .filter(|machine| machine.exists(call.now) && machine.location() == region)
        .map(|machine| upper_group(show(call, &machine)))
        .collect();
    call.paged_answer(found)
}

fn put(call: &mut Call<'_, '_>, group: &str, id: &str, existing: Option<Resource>) -> Outcome {
    let location = put_location(call, KIND, existing.as_ref(), group)?;
    let created = existing.is_none();
    let body = call.body.clone();
    if created && body.at("properties.storageProfile").is_none() {
        return Err(ArmError::missing("storageProfile"));
    }
    let before = existing.as_ref().and_then(|machine| machine.doc.get("properties")).cloned();
    let mut machine = existing.unwrap_or_else(|| Resource::new(id, KIND, &location));
    take_tags(&call.body, &mut machine)?;
    sizes::check(body.text("properties.hardwareProfile.vmSize"))?;
    if created {
        machine_images::check(call, &body, &location)?;
        machine_images::check_shape(call, &body)?;
        machine_network::check(&body)?;
    } else {
        machine_images::check_unchanged(&body, before.as_ref())?;
    }
    machine_disks::check(call, &body, id)?;
    let kind = machine_images::kind(call, &body);
    let properties = fill(call, id, &location, &body, before.as_ref(), &kind);
    machine_disks::hold(call, id, before.as_ref(), &properties);
    machine.doc.set("properties", properties);
    for key in ["plan", "zones", "extendedLocation"] {
        if let Some(value) = body.get(key) {
            machine.doc.set(key, value);
        }
    }
    match identities::assign(call, machine.doc.get("identity")) {
        Some(identity) => machine.doc.set("identity", identity),
        None => {
            machine.doc.remove("identity");
        }
    }
    if created {
        machine.hide("generation", kind.generation);
        machine.hide("architecture", kind.architecture);
        machine.hide("created", call.now);
        let image = machine
            .property("storageProfile")
            .and_then(|storage| machine_images::image_of(call, storage, &location));
        machine.hide("keeps_identity", image.as_ref().is_some_and(sources::keeps_identity));
    }
    let operation =
        work(call, &machine, if created { "create" } else { "update" }, Work::MachinePut, Some(10));
    if created {
        let ready = operation.end.unwrap_or(clock::LONGEST);
        machine.hide("agentFrom", ready.saturating_add(call.duration(Work::AgentStart)));
        machine.hide("power", power("creating", "running", &operation));
    }
    let shown = save_written(call, machine, &operation, created, show);
    Ok(Answer::pretty(if created { 201 } else { 200 }, shown).asynchronous(call, &operation, false))
}

/// Completes a machine's properties: vmId, exact image version, and names, IDs and sizes of disks.
pub fn fill(
    call: &mut Call<'_, '_>,
    id: &str,
    location: &str,
    body: &Json,
    before: Option<&Json>,
    kind: &machine_images::Kind,
) -> Json {
    let sent = body.get("properties").cloned().unwrap_or_default();
    let none = Json::object();
    let before = before.unwrap_or(&none);
    let group_base = id.rsplit_once("/virtualMachines/").map_or(id, |(base, _)| base).to_owned();
    let name = id.rsplit('/').next().unwrap_or_default().to_owned();
    let mut storage =
        sent.get("storageProfile").or_else(|| before.get("storageProfile")).cloned().unwrap_or_default();
    // Recorded: an update that leaves out the image keeps it.
    if let (None, Some(image)) =
        (storage.get("imageReference"), before.at("storageProfile.imageReference").cloned())
    {
        storage.set("imageReference", image);
    }
    // `latest` is resolved once, when the machine is created.
    let known = before.text("storageProfile.imageReference.exactVersion").map(str::to_owned);
    if let Some(version) = known.or_else(|| machine_images::exact_version(call, &storage, location)) {
        let reference = storage.entry("imageReference");
        reference.set("exactVersion", version);
        if reference.get("publisher").is_none() && reference.get("id").is_none() {
            machine_profile::in_order(reference, &["exactVersion"]);
        }
    }
    let image = machine_images::exact_id(call, &storage, location);
    let image = image.as_deref();
    let mut os = storage.get("osDisk").cloned().unwrap_or_else(Json::object);
    // The service numbers all disks consecutively if there is more than one.
    let stem = if storage.list("dataDisks").is_empty() { "OsDisk_1" } else { "disk1" };
    let os_type = os.text("osType").unwrap_or(&kind.os).to_owned();
    os.set("osType", os_type.as_str());
    let generation = kind.generation.as_str();
    let stem = format!("{name}_{stem}");
    let new = New { machine: id, stem: &stem, location, size: 30, caching: "ReadWrite", generation, image };
    machine_disks::complete(call, &mut os, &group_base, &new);
    let mut data = Vec::new();
    for (index, disk) in storage.list("dataDisks").to_vec().into_iter().enumerate() {
        let mut disk = disk;
        let stem = format!("{name}_disk{}", index + 2);
        let new = New { machine: id, stem: &stem, location, size: 10, caching: "None", generation, image };
        machine_disks::complete(call, &mut disk, &group_base, &new);
        let leaving = disk.flag("toBeDetached").unwrap_or(false);
        disk.set("toBeDetached", leaving);
        data.push(disk);
    }
    // Recorded: machines of older sizes and of generation 1 do not show their disk controller type.
    let size = sent.text("hardwareProfile.vmSize").or_else(|| before.text("hardwareProfile.vmSize"));
    let newer = generation == "V2"
        || size.is_some_and(|size| ["_v5", "_v6", "_v7"].iter().any(|end| size.ends_with(end)));
    let scsi = Json::from("SCSI");
    let storage = Json::object()
        .maybe("imageReference", storage.get("imageReference"))
        .with("osDisk", os)
        .with("dataDisks", data)
        .maybe("diskControllerType", storage.get("diskControllerType").or(newer.then_some(&scsi)));
    let vm_id = match before.text("vmId") {
        Some(id) => id.to_owned(),
        None => call.state.guid(),
    };
    let mut properties = Json::object()
        .with(
            "hardwareProfile",
            sent.get("hardwareProfile")
                .or_else(|| before.get("hardwareProfile"))
                .cloned()
                .unwrap_or_else(|| Json::object().with("vmSize", "Standard_D2s_v5")),
        )
        .with("provisioningState", "Succeeded")
        .with("vmId", vm_id)
        .with("storageProfile", storage);
    for (key, mut value) in machine_profile::kept(&sent, before) {
        match key.as_str() {
            "networkProfile" => machine_network::complete(call, &mut value, id, location),
            "osProfile" => machine_profile::complete_system(&mut value, &os_type),
            _ => {}
        }
        properties.set(&key, value);
    }
    properties.set(
        "timeCreated",
        before.text("timeCreated").map_or_else(|| clock::format(call.now), str::to_owned),
    );
    properties
}

fn work(
    call: &mut Call<'_, '_>,
    machine: &Resource,
    action: &str,
    work: Work,
    retry_after: Option<u32>,
) -> Operation {
    let end = call.now + call.duration(work);
    begin(
        call,
        Begin { retry_after, ..Begin::new(Family::Compute, machine.location(), machine.id(), action, end) },
    )
}

/// Deallocate, powerOff, start, restart, generalize, capture, redeploy, instanceView.
pub fn act(call: &mut Call<'_, '_>, group: &str, name: &str, action: &str) -> Outcome {
    let id = id_of(call, group, name);
    let get = action == "instanceview";
    call.meter = Some(match action {
        "deallocate" => "DeleteVMResource",
        _ if get => "LowCostGetResource",
        _ => "UpdateVMResource",
    });
    if get != (call.method == Method::Get) || !get && call.method != Method::Post {
        return Err(ArmError::no_method(call.method.name(), KIND));
    }
    let mut machine =
        call.find(&id).ok_or_else(|| ArmError::no_resource(&format!("{KIND}/{name}"), group))?;
    let now = power_state(&machine, call.now);
    let generalized = machine.hidden("generalized") == Some(&Json::Bool(true));
    let refused = |action: &str, why: &str| {
        ArmError::new(
            409,
            "OperationNotAllowed",
            format!("Operation '{action}' is not allowed on VM '{name}' since the VM is {why}."),
        )
    };
    let (verb, via, to, work_kind) = match action {
        "instanceview" => return Ok(Answer::pretty(200, instance_view(call, &machine))),
        "generalize" => {
            if !matches!(now, "deallocated" | "stopped") {
                return Err(ArmError::new(
                    409,
                    "OperationNotAllowed",
                    format!(
                        "Operation 'generalize' is not allowed on VM '{name}' since the VM is running. Please power off explicitly in case you shut down the VM from inside the guest operating system."
                    ),
                ));
            }
            machine.hide("generalized", true);
            call.save(&machine);
            return Ok(Answer::empty(200));
        }
        "capture" => return capture(call, &machine, generalized),
        "retrievebootdiagnosticsdata" => {
            call.meter = Some("LowCostGetResource");
            return boot_diagnostics::retrieve(call, &machine);
        }
        "deallocate" => ("deallocate", "deallocating", "deallocated", Work::Deallocate),
        "poweroff" => ("powerOff", "stopping", "stopped", Work::PowerOff),
        "start" if generalized => return Err(refused("start", "generalized")),
        "start" => ("start", "starting", "running", Work::Start),
        "restart" if generalized => return Err(refused("restart", "generalized")),
        "restart" => ("restart", "starting", "running", Work::Start),
        "redeploy" | "reapply" => ("redeploy", "starting", "running", Work::Start),
        _ => return Err(ArmError::not_emulated(&format!("{KIND}/{action}/action"), "")),
    };
    if call.query("hibernate").is_some_and(|wanted| wanted.eq_ignore_ascii_case("true")) {
        return Err(ArmError::not_emulated("hibernate", "Deallocate the machine without hibernate."));
    }
    let kind = if now == to { Work::Capture } else { work_kind };
    let operation = work(call, &machine, verb, kind, Some(10));
    let before = power_state(&machine, call.now).to_owned();
    let target = if operation.error.is_some() { before.as_str() } else { to };
    machine.hide("power", power(via, target, &operation));
    if target == "running" && action != "reapply" {
        // A booted machine is provisioned again, and its agent becomes ready.
        machine.hide("deprovisioned", false);
    }
    call.save(&machine);
    Ok(Answer::empty(202).asynchronous(call, &operation, true))
}

/// The legacy capture of unmanaged disks: the operation's output is a template.
fn capture(call: &mut Call<'_, '_>, machine: &Resource, generalized: bool) -> Outcome {
    if !generalized {
        return Err(ArmError::new(
            409,
            "OperationNotAllowed",
            format!(
                "The operation 'Capture' requires the Virtual Machine '{}' to be Generalized.",
                machine.name()
            ),
        ));
    }
    let text = |kind: &str| Json::object().with("type", kind);
    let prefix = call.body.text("vhdPrefix").unwrap_or("vm").to_owned();
    let container = call.body.text("destinationContainerName").unwrap_or("vhds").to_owned();
    let vhd = format!("{prefix}-osDisk.{}.vhd", call.state.guid());
    let store = format!("https://vhdstorage{:x}.blob.core.windows.net", stable(machine.id()));
    let os = Json::object()
        .with("osType", machine.property_text("storageProfile.osDisk.osType").unwrap_or("Linux"))
        .with("name", vhd.as_str())
        .with("createOption", "FromImage")
        .with(
            "image",
            Json::object().with("uri", format!("{store}/system/Microsoft.Compute/Images/{container}/{vhd}")),
        )
        .with("vhd", Json::object().with("uri", format!("{store}/vmcontainer/{vhd}")))
        .with("caching", "ReadWrite");
    let resource = Json::object()
        .with("name", "[parameters('vmName')]")
        .with("type", KIND)
        .with("location", machine.location())
        .with("apiVersion", call.api.as_str())
        .with(
            "properties",
            Json::object()
                .with("hardwareProfile", Json::object().with("vmSize", "[parameters('vmSize')]"))
                .with("provisioningState", 0_i64)
                .with("storageProfile", Json::object().with("osDisk", os))
                .with(
                    "osProfile",
                    Json::object()
                        .with("computerName", "[parameters('vmName')]")
                        .with("adminUsername", "[parameters('adminUsername')]")
                        .with("adminPassword", "[parameters('adminPassword')]"),
                )
                .with(
                    "networkProfile",
                    Json::object().with(
                        "networkInterfaces",
                        vec![Json::object().with("id", "[parameters('networkInterfaceId')]")],
                    ),
                ),
        );
    let output = Json::object()
        .with("$schema", "http://schema.management.azure.com/schemas/2014-04-01-preview/VM_IP.json")
        .with("contentVersion", "1.0.0.0")
        .with(
            "parameters",
            Json::object()
                .with("vmName", text("string"))
                .with(
                    "vmSize",
                    text("string").with(
                        "defaultValue",
                        machine.property_text("hardwareProfile.vmSize").unwrap_or("Standard_DS1_v2"),
                    ),
                )
                .with("adminUserName", text("string"))
                .with("adminPassword", text("securestring"))
                .with("networkInterfaceId", text("string")),
        )
        .with("resources", vec![resource]);
    let end = call.now + call.duration(Work::Capture);
    let operation = begin(
        call,
        Begin {
            output: Some(output),
            ..Begin::new(Family::Compute, machine.location(), machine.id(), "capture", end)
        },
    );
    Ok(Answer::empty(202).asynchronous(call, &operation, true))
}

/// The instance view of a machine, or of an instance of a scale set.
pub fn instance_view(call: &Call<'_, '_>, machine: &Resource) -> Json {
    let state = machine.state(call.now);
    let power = power_state(machine, call.now);
    let at = clock::format(machine.ended().filter(|end| *end <= call.now).unwrap_or(call.now));
    let status = |code: String, display: String, time: Option<String>| {
        Json::object()
            .with("code", code)
            .with("level", "Info")
            .with("displayStatus", display)
            .maybe("time", time)
    };
    let (code, display) = match state {
        "Succeeded" => ("ProvisioningState/succeeded", "Provisioning succeeded"),
        "Failed" => ("ProvisioningState/failed/InternalOperationError", "Provisioning failed"),
        "Creating" => ("ProvisioningState/creating", "Creating"),
        "Deleting" => ("ProvisioningState/deleting", "Deleting"),
        _ => ("ProvisioningState/updating", "Updating"),
    };
    let provisioning = status(code.to_owned(), display.to_owned(), Some(at));
    let mut statuses = Vec::new();
    if machine.hidden("generalized") == Some(&Json::Bool(true)) {
        statuses.push(status("OSState/generalized".to_owned(), "VM generalized".to_owned(), None));
    } else if machine.property("osProfile").is_none()
        && machine.property_text("storageProfile.osDisk.createOption") == Some("FromImage")
    {
        statuses.push(status("OSState/specialized".to_owned(), "VM specialized".to_owned(), None));
    }
    statuses.push(provisioning.clone());
    statuses.push(status(format!("PowerState/{power}"), format!("VM {power}"), None));
    let data =
        machine.property("storageProfile").map(|profile| profile.list("dataDisks")).unwrap_or_default();
    let disks: Vec<Json> = machine
        .property("storageProfile.osDisk")
        .into_iter()
        .chain(data)
        .map(|disk| {
            Json::object().maybe("name", disk.get("name")).with("statuses", vec![provisioning.clone()])
        })
        .collect();
    let mut view = Json::object();
    if power == "running" {
        let linux = machine.property_text("storageProfile.osDisk.osType") != Some("Windows");
        if agent_is_ready(call, machine) {
            let named = machine.property_text("osProfile.computerName");
            let image = machine.property("storageProfile.imageReference");
            let version = image.and_then(machine_profile::os_version);
            let version = version.as_deref().unwrap_or("24.04");
            view = view
                .with("computerName", named.unwrap_or(machine.name()))
                .with("osName", if linux { "ubuntu" } else { "Windows Server 2022 Datacenter" })
                .with("osVersion", if linux { version } else { "10.0.20348" });
        }
        view = view.with("vmAgent", agent(call, machine));
    }
    let boot = boot_diagnostics::enabled(machine).then(Json::object);
    view.with("disks", disks)
        .maybe("bootDiagnostics", boot)
        .maybe("hyperVGeneration", machine.hidden("generation"))
        .with("statuses", statuses)
}

/// The agent of a new machine starts after the machine; the agent of a deprovisioned machine does not start again.
fn agent_is_ready(call: &Call<'_, '_>, machine: &Resource) -> bool {
    let started = machine.doc.int("_.agentFrom").is_none_or(|from| from <= call.now);
    started && machine.hidden("deprovisioned") != Some(&Json::Bool(true))
}

/// The agent's status on a running machine. A deprovisioned machine has none.
fn agent(call: &Call<'_, '_>, machine: &Resource) -> Json {
    let is_unavailable = !agent_is_ready(call, machine);
    let (version, code, level, display, message) = if is_unavailable {
        (
            "Unknown",
            "ProvisioningState/Unavailable",
            "Warning",
            "Not Ready",
            "VM status blob is found but not yet populated.",
        )
    } else {
        ("2.11.1.4", "ProvisioningState/succeeded", "Info", "Ready", "Guest Agent is running")
    };
    let second = call.now - call.now.rem_euclid(clock::SECOND);
    let status = Json::object()
        .with("code", code)
        .with("level", level)
        .with("displayStatus", display)
        .with("message", message)
        .with("time", clock::format(second).replace(".0000000", ""));
    let view = Json::object().with("vmAgentVersion", version).with("statuses", vec![status]);
    if is_unavailable { view } else { view.with("extensionHandlers", Vec::new()) }
}

/// The machine in the format of this request.
pub fn show(call: &Call<'_, '_>, machine: &Resource) -> Json {
    let mut properties = machine.doc.get("properties").cloned().unwrap_or_default();
    properties.set("provisioningState", machine.state(call.now));
    if power_state(machine, call.now) == "deallocated" {
        // Recorded: a deallocated machine shows only the IDs of its managed disks.
        let storage = properties.entry("storageProfile");
        let hide = |disk: &mut Json| {
            if disk.get("managedDisk").is_some() {
                disk.remove("diskSizeGB");
                disk.entry("managedDisk").remove("storageAccountType");
            }
        };
        hide(storage.entry("osDisk"));
        let mut data = storage.list("dataDisks").to_vec();
        data.iter_mut().for_each(hide);
        storage.set("dataDisks", data);
    }
    let status = call.query("statusOnly").is_some_and(|only| only.eq_ignore_ascii_case("true"));
    if call.expands("instanceView") || status {
        let created = properties.remove("timeCreated");
        properties.set("instanceView", instance_view(call, machine));
        if let Some(created) = created {
            properties.set("timeCreated", created);
        }
    }
    if !call.expands("userData") {
        properties.remove("userData");
    }
    // Recorded: the order changed between 2022-11-01 and 2024-07-01, and a property was removed.
    if call.since("2024-03-01") {
        machine_profile::remove_older_properties(&mut properties);
    } else {
        machine_profile::in_older_order(&mut properties);
    }
    let mut shown = head(machine);
    for key in ["plan", "zones", "identity", "extendedLocation"] {
        if let Some(value) = machine.doc.get(key) {
            shown.set(key, value);
        }
    }
    shown.set("properties", properties);
    if call.since("2024-03-01") {
        let number = machine.started().unwrap_or_default() / clock::SECOND % 1_000 + 1;
        shown.set("etag", format!("\"{number}\""));
    }
    shown
}
