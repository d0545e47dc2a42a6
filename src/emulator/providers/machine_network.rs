//! Network interfaces that are defined inside a machine: created with it and, depending on their `deleteOption`, deleted with it.
//!
//! Not recorded: the response of the machine, which contains references, as for existing interfaces.

use super::super::call::Call;
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::resource::Resource;

const KIND: &str = "Microsoft.Network/networkInterfaces";

/// Rejects interfaces that are defined inside a machine without `networkApiVersion`.
pub fn check(body: &Json) -> Result<(), ArmError> {
    let Some(profile) = body.at("properties.networkProfile") else { return Ok(()) };
    if profile.list("networkInterfaceConfigurations").is_empty()
        || profile.text("networkApiVersion").is_some()
    {
        return Ok(());
    }
    Err(ArmError::missing("networkProfile.networkApiVersion"))
}

/// Creates the interfaces of `networkInterfaceConfigurations` and replaces them by references.
pub fn complete(call: &mut Call<'_, '_>, profile: &mut Json, machine: &str, location: &str) {
    let configurations = profile.list("networkInterfaceConfigurations").to_vec();
    if configurations.is_empty() {
        return;
    }
    profile.remove("networkInterfaceConfigurations");
    profile.remove("networkApiVersion");
    let base = machine.split_once("/providers/").map_or(machine, |(base, _)| base).to_owned();
    let mut references = profile.list("networkInterfaces").to_vec();
    for configuration in configurations {
        let unique: String = call.state.guid().chars().take(8).collect();
        let name = format!("{}-{unique}", configuration.text("name").unwrap_or("nic"));
        let id = format!("{base}/providers/{KIND}/{name}");
        let mut interface = Resource::new(&id, KIND, location);
        let properties = Json::object()
            .with("provisioningState", "Succeeded")
            .maybe("primary", configuration.at("properties.primary"))
            .maybe("ipConfigurations", configuration.at("properties.ipConfigurations"))
            .with("virtualMachine", Json::object().with("id", machine));
        interface.doc.set("properties", properties);
        call.save(&interface);
        let properties = Json::object()
            .with("primary", configuration.flag("properties.primary").unwrap_or(true))
            .with("deleteOption", configuration.text("properties.deleteOption").unwrap_or("Detach"));
        references.push(Json::object().with("id", id).with("properties", properties));
    }
    profile.set("networkInterfaces", references);
}
