//! The contents of a new subscription: two resource groups, each with a machine that can be captured.

use super::super::call::Call;
use super::super::json::Json;
use super::super::resource::Resource;
use super::{groups, machine_images, machines};

/// The name of the machine in a new group.
pub const MACHINE: &str = "golden-vm";
/// The groups of a new subscription.
const GROUPS: [&str; 2] = ["my-rg", "rg"];

/// The record that marks a subscription as initialized.
pub fn subscription_key(subscription: &str) -> String {
    format!("sub|{}", subscription.to_ascii_lowercase())
}

/// Initializes a subscription at the first request to it. Every subscription ID exists.
pub fn ensure_subscription(call: &mut Call<'_, '_>) {
    let subscription = call.subscription.clone();
    let key = subscription_key(&subscription);
    if call.record(&key).is_some() {
        return;
    }
    call.state.put(&key, Json::object().with("subscriptionId", subscription.to_ascii_lowercase()));
    for group in GROUPS {
        groups::make(call, &subscription, group, groups::DEFAULT_LOCATION, false);
        add_machine(call, &subscription, group, groups::DEFAULT_LOCATION);
    }
}

/// Adds the machine to a group that the emulator created automatically, and creates that group if necessary. A deleted machine
/// is not added again. Returns whether the machine was added.
pub fn ensure_machine(call: &mut Call<'_, '_>, subscription: &str, group: &str) -> bool {
    if !call.settings.auto_create_resource_groups {
        return false;
    }
    let id = groups::id_of(subscription, group);
    if call.find(&id).is_none() {
        groups::make(call, subscription, group, groups::DEFAULT_LOCATION, true);
    }
    let Some(mut found) = call.find(&id) else {
        return false;
    };
    if found.hidden("automatic").is_none() || found.hidden("seeded").is_some() {
        return false;
    }
    found.hide("seeded", true);
    call.save(&found);
    let location = found.location().to_owned();
    add_machine(call, subscription, group, &location);
    true
}

/// Finds a machine by ID, after adding the machine of a new group.
pub fn find_machine(call: &mut Call<'_, '_>, id: &str) -> Option<Resource> {
    if let Some(machine) = call.find(id) {
        return Some(machine);
    }
    let segments: Vec<String> = id.split('/').map(str::to_owned).collect();
    if !segments.last()?.eq_ignore_ascii_case(MACHINE) || segments.len() != 9 {
        return None;
    }
    ensure_machine(call, &segments[2], &segments[4]).then(|| call.find(id))?
}

/// Stores the machine: Linux, second generation, 30 GB, running, standard security.
fn add_machine(call: &mut Call<'_, '_>, subscription: &str, group: &str, location: &str) {
    let base = format!("/subscriptions/{subscription}/resourceGroups/{group}/providers");
    let id = format!("{base}/{}/{MACHINE}", machines::KIND);
    let body = Json::object().with(
        "properties",
        Json::object()
            .with("hardwareProfile", Json::object().with("vmSize", "Standard_D2s_v5"))
            .with(
                "storageProfile",
                Json::object()
                    .with(
                        "imageReference",
                        Json::object()
                            .with("publisher", "Canonical")
                            .with("offer", "ubuntu-24_04-lts")
                            .with("sku", "server")
                            .with("version", "latest"),
                    )
                    .with(
                        "osDisk",
                        Json::object()
                            .with("createOption", "FromImage")
                            .with("caching", "ReadWrite")
                            .with("diskSizeGB", 30_i64),
                    ),
            )
            .with(
                "osProfile",
                Json::object().with("computerName", MACHINE).with("adminUsername", "azureuser"),
            ),
    );
    let mut machine = Resource::new(&id, machines::KIND, location);
    let properties = machines::fill(call, &id, location, &body, None, &machine_images::kind(call, &body));
    machine.doc.set("properties", properties);
    machine.hide("generation", "V2");
    machine.hide("deprovisioned", true);
    machine.hide("architecture", "x64");
    machine.hide("power", Json::object().with("to", "running"));
    call.save(&machine);
}
