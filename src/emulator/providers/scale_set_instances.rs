//! The instances of a uniform scale set: each with the model and the exact image version of its creation or last upgrade.

use super::super::call::Call;
use super::super::clock;
use super::super::json::Json;
use super::super::operation::Operation;
use super::super::resource::{Resource, Verb};
use super::super::settings::Work;
use super::machine_power::power;
use super::machine_profile::in_order;
use super::{disks, head, machine_images};

const KIND: &str = "Microsoft.Compute/virtualMachineScaleSets/virtualMachines";

/// The instances that exist, lowest number first.
pub fn of(call: &Call<'_, '_>, set: &Resource) -> Vec<Resource> {
    let mut found = call.children(&format!("{}/virtualMachines", set.id()));
    found.sort_by_key(|one| one.doc.text("instanceId").and_then(|number| number.parse::<i64>().ok()));
    found
}

/// Creates an instance from the current model.
pub fn create(call: &mut Call<'_, '_>, set: &Resource, number: i64, operation: &Operation) {
    let id = format!("{}/virtualMachines/{number}", set.id());
    let mut instance = Resource::new(&id, KIND, set.location());
    instance.doc.set("name", format!("{}_{number}", set.name()));
    instance.doc.set("instanceId", number.to_string());
    let vm_id = call.state.guid();
    let properties = instance.properties();
    properties.set("vmId", vm_id);
    properties.set("timeCreated", clock::format(call.now));
    instance.hide("power", power("creating", "running", operation));
    let ready = operation.end.unwrap_or(clock::LONGEST);
    instance.hide("agentFrom", ready.saturating_add(call.duration(Work::AgentStart)));
    apply(call, set, &mut instance);
    instance.bind(operation, Verb::Create, 0);
    call.save(&instance);
}

/// Gives an instance the current model, with the newest version of its image.
pub fn upgrade(call: &mut Call<'_, '_>, set: &Resource, mut instance: Resource, operation: &Operation) {
    apply(call, set, &mut instance);
    instance.bind(operation, Verb::Update, 0);
    call.save(&instance);
}

/// Reimages an instance with the newest version that its reference resolves to.
pub fn reimage(call: &mut Call<'_, '_>, mut instance: Resource, operation: &Operation) {
    let mut storage = instance.property("storageProfile").cloned().unwrap_or_default();
    let location = instance.location().to_owned();
    resolve(call, &mut storage, &location);
    instance.properties().set("storageProfile", storage);
    instance.hide("power", power("starting", "running", operation));
    instance.bind(operation, Verb::Update, 0);
    call.save(&instance);
}

/// Starts or stops an instance.
pub fn switch(call: &mut Call<'_, '_>, mut instance: Resource, action: &str, operation: &Operation) {
    let (via, to) = match action {
        "poweroff" => ("stopping", "stopped"),
        "deallocate" => ("deallocating", "deallocated"),
        _ => ("starting", "running"),
    };
    instance.hide("power", power(via, to, operation));
    call.save(&instance);
}

/// Deletes an instance and its disks.
pub fn delete(call: &mut Call<'_, '_>, mut instance: Resource, operation: &Operation) {
    let storage = instance.property("storageProfile").cloned().unwrap_or_default();
    let disks = storage.get("osDisk").into_iter().chain(storage.list("dataDisks"));
    for id in disks.filter_map(|disk| disk.text("managedDisk.id")) {
        if let Some(mut disk) = call.find(id) {
            disk.bind(operation, Verb::Delete, 0);
            call.save(&disk);
        }
    }
    instance.bind(operation, Verb::Delete, 0);
    call.save(&instance);
}

/// Copies the model of the scale set to an instance.
fn apply(call: &mut Call<'_, '_>, set: &Resource, instance: &mut Resource) {
    let profile = set.property("virtualMachineProfile").cloned().unwrap_or_default();
    let mut storage = profile.get("storageProfile").cloned().unwrap_or_else(Json::object);
    let location = set.location().to_owned();
    resolve(call, &mut storage, &location);
    let known = instance.property("storageProfile").cloned().unwrap_or_default();
    let image = machine_images::exact_id(call, &storage, &location);
    let disk = Disk { set, instance, image: image.as_deref() };
    let os = storage.entry("osDisk");
    disk.complete(call, os, known.get("osDisk"), 1);
    let mut data = storage.list("dataDisks").to_vec();
    for (at, one) in data.iter_mut().enumerate() {
        let lun = one.int("lun");
        let kept = known.list("dataDisks").iter().find(|disk| disk.int("lun") == lun);
        disk.complete(call, one, kept, at + 2);
    }
    in_order(
        storage.entry("osDisk"),
        &["osType", "name", "createOption", "caching", "managedDisk", "diskSizeGB"],
    );
    let mut shown = Json::object().maybe("imageReference", storage.get("imageReference"));
    shown = shown.maybe("osDisk", storage.get("osDisk")).with("dataDisks", data);
    let number = instance.doc.text("instanceId").unwrap_or_default().to_owned();
    let interfaces: Vec<Json> = profile
        .list("networkProfile.networkInterfaceConfigurations")
        .iter()
        .filter_map(|configuration| configuration.text("name"))
        .map(|name| Json::object().with("id", format!("{}/networkInterfaces/{name}", instance.id())))
        .collect();
    if let Some(sku) = set.doc.get("sku") {
        let sku = Json::object().maybe("name", sku.get("name")).maybe("tier", sku.get("tier"));
        instance.doc.set("sku", sku);
    }
    match set.doc.get("tags") {
        Some(tags) => instance.doc.set("tags", tags),
        None => {
            instance.doc.remove("tags");
        }
    }
    instance.hide("generation", set.hidden("generation").cloned().unwrap_or_default());
    instance.hide("model", set.hidden("model").cloned().unwrap_or_default());
    let properties = instance.properties();
    let configurations = profile.at("networkProfile.networkInterfaceConfigurations");
    if let Some(configurations) = configurations {
        let network = Json::object().with("networkInterfaceConfigurations", configurations);
        properties.set("networkProfileConfiguration", network);
    }
    properties.set("hardwareProfile", Json::object().maybe("vmSize", set.doc.at("sku.name")));
    properties.set("storageProfile", shown);
    if let Some(system) = profile.get("osProfile") {
        let mut system = system.clone();
        let prefix = system.text("computerNamePrefix").unwrap_or(set.name()).to_owned();
        system.remove("computerNamePrefix");
        let mut named = Json::object().with("computerName", computer_name(&prefix, &number));
        named.merge_patch(&system);
        properties.set("osProfile", named);
    }
    properties.set("networkProfile", Json::object().with("networkInterfaces", interfaces));
}

/// Finds the exact version of the image of a storage profile.
fn resolve(call: &Call<'_, '_>, storage: &mut Json, location: &str) {
    if let Some(version) = machine_images::exact_version(call, storage, location) {
        storage.entry("imageReference").set("exactVersion", version);
    }
}

/// The prefix and the instance's number, as six digits to the base of 36.
fn computer_name(prefix: &str, number: &str) -> String {
    let mut number: u32 = number.parse().unwrap_or_default();
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(number % 36) as usize];
        number /= 36;
    }
    format!("{prefix}{}", String::from_utf8_lossy(&digits))
}

/// A disk of an instance.
struct Disk<'a> {
    set: &'a Resource,
    instance: &'a Resource,
    image: Option<&'a str>,
}

impl Disk<'_> {
    /// Creates a disk with a name, or keeps the instance's existing one.
    fn complete(&self, call: &mut Call<'_, '_>, disk: &mut Json, kept: Option<&Json>, number: usize) {
        if let Some(kept) = kept {
            for key in ["name", "managedDisk"] {
                if let Some(value) = kept.get(key) {
                    disk.set(key, value);
                }
            }
            return;
        }
        let (set, instance) = (self.set, self.instance);
        let unique = call.state.guid().replace('-', "");
        let role = if number == 1 { "OsDisk".to_owned() } else { format!("disk{number}") };
        let name = format!("{}_{}_{role}_{number}_{unique}", set.name(), instance.name());
        let base = set.id().split("/virtualMachineScaleSets/").next().unwrap_or_default();
        let id = format!("{base}/disks/{name}");
        let size = disk.int("diskSizeGB").unwrap_or(30);
        let sku = disk.text("managedDisk.storageAccountType").unwrap_or("Premium_LRS").to_owned();
        let os = disk.text("osType").unwrap_or("Linux").to_owned();
        let generation = set.hidden("generation").and_then(Json::as_str).unwrap_or("V1").to_owned();
        let with = disks::Attached {
            machine: instance.id(),
            size,
            sku: &sku,
            system: (number == 1).then_some((os.as_str(), generation.as_str())),
            image: self.image.filter(|_| number == 1),
        };
        disks::attach(call, &id, set.location(), &with);
        disk.set("name", name);
        disk.set("managedDisk", Json::object().with("storageAccountType", sku).with("id", id));
    }
}

/// The network interfaces of an instance.
pub fn interfaces(instance: &Resource) -> Vec<Json> {
    let configurations = instance
        .property("networkProfileConfiguration")
        .map(|profile| profile.list("networkInterfaceConfigurations"))
        .unwrap_or_default();
    configurations
        .iter()
        .map(|configuration| {
            let name = configuration.text("name").unwrap_or_default();
            let mut properties = configuration.get("properties").cloned().unwrap_or_else(Json::object);
            let mut addresses = properties.list("ipConfigurations").to_vec();
            for address in &mut addresses {
                address.entry("properties").set("privateIPAddress", "10.0.0.4");
            }
            properties.set("ipConfigurations", addresses);
            properties.set("provisioningState", "Succeeded");
            properties.set("virtualMachine", Json::object().with("id", instance.id()));
            Json::object()
                .with("name", name)
                .with("id", format!("{}/networkInterfaces/{name}", instance.id()))
                .with("properties", properties)
        })
        .collect()
}

/// An instance in the format of this request.
pub fn show(call: &Call<'_, '_>, set: &Resource, instance: &Resource) -> Json {
    let stored = instance.doc.get("properties").cloned().unwrap_or_default();
    let latest = instance.hidden("model") == set.hidden("model");
    let mut properties = Json::object()
        .with("latestModelApplied", latest)
        .with("modelDefinitionApplied", "VirtualMachineScaleSet")
        .maybe("networkProfileConfiguration", stored.get("networkProfileConfiguration"))
        .maybe("vmId", stored.get("vmId"))
        .maybe("hardwareProfile", stored.get("hardwareProfile"))
        .maybe("storageProfile", stored.get("storageProfile"))
        .maybe("osProfile", stored.get("osProfile"))
        .maybe("networkProfile", stored.get("networkProfile"))
        .with("provisioningState", instance.state(call.now));
    if call.expands("instanceView") {
        properties.set("instanceView", super::machines::instance_view(call, instance));
    }
    head(instance)
        .maybe("instanceId", instance.doc.get("instanceId"))
        .maybe("sku", instance.doc.get("sku"))
        .with("properties", properties.maybe("timeCreated", stored.get("timeCreated")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computer_names_are_numbered_in_base_36() {
        for (number, wanted) in [("2", "web000002"), ("35", "web00000Z"), ("36", "web000010")] {
            assert_eq!(computer_name("web", number), wanted);
        }
    }
}
