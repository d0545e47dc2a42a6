//! Network interfaces that are written inside a machine: made with it and, where their `deleteOption` says so, deleted with it.
//!
//! What the service shows of them afterwards was not recorded: references, as for interfaces that were there before.

use super::super::call::Call;
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::resource::Resource;

const KIND: &str = "Microsoft.Network/networkInterfaces";

/// Rejects interfaces that are written inside a machine without saying in which form.
pub fn check(body: &Json) -> Result<(), ArmError> {
    let Some(profile) = body.at("properties.networkProfile") else { return Ok(()) };
    if profile.list("networkInterfaceConfigurations").is_empty()
        || profile.text("networkApiVersion").is_some()
    {
        return Ok(());
    }
    Err(ArmError::missing("networkProfile.networkApiVersion"))
}

/// Makes the interfaces of `networkInterfaceConfigurations` and puts references in their place.
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
