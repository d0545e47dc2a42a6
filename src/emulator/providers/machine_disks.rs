//! The disks of a machine: created with it, attached while it exists, and deleted or detached with it.

use super::super::call::Call;
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::operations::Operation;
use super::super::resource::{Resource, Verb};
use super::disks;
use super::machine_power::holder;

/// The disks in a machine's properties, the OS disk first.
fn all(properties: &Json) -> impl Iterator<Item = &Json> {
    let data = properties.get("storageProfile").map(|storage| storage.list("dataDisks")).unwrap_or_default();
    properties.at("storageProfile.osDisk").into_iter().chain(data)
}

fn ids(properties: &Json) -> impl Iterator<Item = &str> {
    all(properties).filter_map(|disk| disk.text("managedDisk.id"))
}

/// Rejects disks that are attached to another machine.
pub fn check(call: &Call<'_, '_>, body: &Json, machine: &str) -> Result<(), ArmError> {
    let none = Json::object();
    for id in ids(body.get("properties").unwrap_or(&none)) {
        if let Some(disk) = call.find(id)
            && let Some(other) = holder(call, &disk)
            && !other.id().eq_ignore_ascii_case(machine)
        {
            return Err(ArmError::new(
                409,
                "ConflictingUserInput",
                format!(
                    "Disk '{}' cannot be attached as the disk is already owned by VM '{}'.",
                    disk.id(),
                    other.id()
                ),
            ));
        }
    }
    Ok(())
}

/// Attaches the machine's current disks and detaches its former ones.
pub fn hold(call: &mut Call<'_, '_>, machine: &str, before: Option<&Json>, now: &Json) {
    for id in ids(now) {
        if let Some(mut disk) = call.find(id) {
            disk.doc.set("managedBy", machine);
            call.save(&disk);
        }
    }
    for id in before.into_iter().flat_map(ids) {
        if !ids(now).any(|kept| kept.eq_ignore_ascii_case(id))
            && let Some(mut disk) = call.find(id)
        {
            disk.doc.remove("managedBy");
            disk.properties().set("diskState", "Unattached");
            call.save(&disk);
        }
    }
}

/// Deletes, with a machine, its run commands, and its disks and network interfaces whose `deleteOption` requests it.
pub fn release(call: &mut Call<'_, '_>, machine: &Resource, operation: &Operation) {
    if operation.error.is_some() {
        return;
    }
    let Some(properties) = machine.doc.get("properties").cloned() else { return };
    let interfaces = properties.get("networkProfile").map(|profile| profile.list("networkInterfaces"));
    let leaving = |option: Option<&str>| option.is_some_and(|option| option.eq_ignore_ascii_case("Delete"));
    let going: Vec<&str> = all(&properties)
        .filter(|disk| leaving(disk.text("deleteOption")))
        .filter_map(|disk| disk.text("managedDisk.id"))
        .chain(
            interfaces
                .unwrap_or_default()
                .iter()
                .filter(|interface| leaving(interface.text("properties.deleteOption")))
                .filter_map(|interface| interface.text("id")),
        )
        .collect();
    let commands = call.children(&format!("{}/runCommands", machine.id()));
    let commands: Vec<String> = commands.iter().map(|command| command.id().to_owned()).collect();
    for id in going.into_iter().chain(commands.iter().map(String::as_str)) {
        if let Some(mut resource) = call.find(id) {
            resource.bind(operation, Verb::Delete, 0);
            call.save(&resource);
        }
    }
}

/// The defaults of a machine's disk.
pub struct New<'a> {
    /// The machine's ID.
    pub machine: &'a str,
    /// The prefix of its name.
    pub stem: &'a str,
    /// The machine's region.
    pub location: &'a str,
    /// Size in GB.
    pub size: i64,
    /// The caching mode, such as `ReadWrite`.
    pub caching: &'a str,
    /// `V1` or `V2`.
    pub generation: &'a str,
    /// The image that the machine is created from.
    pub image: Option<&'a str>,
}

/// Sets the name, ID and size of a machine's disk, and creates the disk if it does not exist.
pub fn complete(call: &mut Call<'_, '_>, disk: &mut Json, group_base: &str, new: &New<'_>) {
    let given = disk.text("managedDisk.id").map(str::to_owned);
    let known = given.as_deref().and_then(|id| call.find(id));
    let name = match (disk.text("name"), &given) {
        (Some(name), _) => name.to_owned(),
        (None, Some(id)) => id.rsplit('/').next().unwrap_or_default().to_owned(),
        (None, None) => format!("{}_{}", new.stem, call.state.guid().replace('-', "")),
    };
    let size = disk
        .int("diskSizeGB")
        .or_else(|| known.as_ref().and_then(|disk| disk.doc.int("properties.diskSizeGB")))
        .unwrap_or(new.size);
    let sku = disk.text("managedDisk.storageAccountType").unwrap_or("Premium_LRS").to_owned();
    let id = given.unwrap_or_else(|| format!("{}/disks/{name}", group_base));
    let managed = Json::object()
        .maybe("diskEncryptionSet", disk.at("managedDisk.diskEncryptionSet"))
        .maybe("securityProfile", disk.at("managedDisk.securityProfile"))
        .with("storageAccountType", sku.as_str())
        .with("id", id.as_str());
    if known.is_none() && disk.get("vhd").is_none() {
        let made = disks::Attached {
            machine: new.machine,
            size,
            sku: &sku,
            system: disk.text("osType").map(|os| (os, new.generation)),
            image: disk.text("osType").and(new.image),
        };
        disks::attach(call, &id, new.location, &made);
    }
    let vhd = disk.get("vhd");
    let option = disk.text("createOption").unwrap_or("FromImage");
    let option = ["FromImage", "Empty", "Attach", "Copy", "Restore"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(option))
        .unwrap_or(option);
    *disk = Json::object()
        .maybe("lun", disk.get("lun"))
        .maybe("osType", disk.get("osType"))
        .with("name", name)
        .with("createOption", option)
        .maybe("vhd", vhd)
        .with("caching", disk.text("caching").unwrap_or(new.caching))
        .maybe("managedDisk", vhd.is_none().then_some(managed))
        .with("deleteOption", disk.text("deleteOption").unwrap_or("Detach"))
        .with("diskSizeGB", size)
        .maybe("toBeDetached", disk.get("toBeDetached"));
}
