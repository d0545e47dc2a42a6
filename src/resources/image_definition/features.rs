//! Features of an image definition: a list of name and value in the service, attributes of their own in HCL.

use serde_json::{Value as Json, json};

use super::Model;
use crate::azure::body;
use crate::azure::tags::Tags;
use crate::schema::{Diagnostics, Path, Set, Value};

/// Security types in the spelling of HCL.
pub const SECURITY_TYPES: &[&str] = &[
    "Standard",
    "TrustedLaunchSupported",
    "TrustedLaunch",
    "ConfidentialVMSupported",
    "ConfidentialVM",
    "TrustedLaunchAndConfidentialVMSupported",
];

const SECURITY: &str = "SecurityType";
const ACCELERATED: &str = "IsAcceleratedNetworkSupported";
const HIBERNATE: &str = "IsHibernateSupported";
const CONTROLLERS: &str = "DiskControllerTypes";

/// Features that have an attribute of their own.
const OWN: &[(&str, &str)] = &[
    (SECURITY, "security_type"),
    (ACCELERATED, "accelerated_networking_enabled"),
    (HIBERNATE, "hibernation_enabled"),
    (CONTROLLERS, "disk_controller_types"),
];

/// The free features may not repeat what has an attribute of its own.
pub fn check_names(features: &Value) -> Result<(), String> {
    for (name, _) in features.entries() {
        if let Some((_, attribute)) = OWN.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)) {
            return Err(format!("must not hold {name:?}: use the attribute {attribute}"));
        }
    }
    Ok(())
}

/// Checks what goes with which generation.
pub fn check_features(config: &Value, found: &mut Diagnostics) {
    if config.get("hyper_v_generation").as_str() != Some("V1") {
        return;
    }
    let mut need_v2 = |attribute: &'static str, what: &str| {
        found.error(
            Path::attribute(attribute),
            format!("{what} needs generation 2"),
            format!("{what} is only there for hyper_v_generation = \"V2\", and this definition is \"V1\"."),
        );
    };
    if config.get("architecture").as_str() == Some("Arm64") {
        need_v2("architecture", "Arm64");
    }
    if let Some(security) = config.get("security_type").as_str()
        && security != "Standard"
    {
        need_v2("security_type", security);
    }
    if config.get("disk_controller_types").elements().iter().any(|kind| kind.as_str() == Some("NVMe")) {
        need_v2("disk_controller_types", "NVMe");
    }
}

/// Writes the features of `plan` into `properties`; those of an existing definition need the service's leave to change.
pub fn expand(properties: &mut Json, plan: &Model, current: Option<&Json>) {
    let old = current.map_or(&[][..], |current| body::items(current, "properties.features"));
    let mut wanted: Vec<(String, String)> = Vec::new();
    if let Some(security) = &plan.security_type {
        // Standard is what generation 1 is anyway, and absence of the feature says it for older definitions
        let said = find(old, SECURITY).is_some();
        if security != "Standard" || said || (current.is_none() && plan.hyper_v_generation == "V2") {
            wanted.push((SECURITY.to_owned(), service_spelling(security).to_owned()));
        }
    }
    for (name, value) in
        [(ACCELERATED, plan.accelerated_networking_enabled), (HIBERNATE, plan.hibernation_enabled)]
    {
        // absent and "False" mean the same
        if let Some(value) = value.filter(|value| *value || find(old, name).is_some()) {
            wanted.push((name.to_owned(), if value { "True" } else { "False" }.to_owned()));
        }
    }
    if let Some(types) = plan.disk_controller_types.as_ref().filter(|types| !types.is_empty()) {
        // the service knows two orders only, and compares them as text
        let text = if types.iter().any(|kind| kind == "NVMe") { "SCSI, NVMe" } else { "SCSI" };
        wanted.push((CONTROLLERS.to_owned(), text.to_owned()));
    }
    wanted.extend(plan.features.iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
    let same = wanted.len() == old.len()
        && wanted.iter().all(|(name, value)| {
            find(old, name).is_some_and(|old| {
                body::text(old, "value").is_some_and(|have| same_value(name, &have, value))
            })
        });
    if same {
        return;
    }
    let list: Vec<Json> = wanted
        .iter()
        .map(|(name, value)| match find(old, name) {
            Some(old) if body::text(old, "value").is_some_and(|have| same_value(name, &have, value)) => {
                old.clone()
            }
            _ => json!({"name": name, "value": value}),
        })
        .collect();
    properties["features"] = json!(list);
    if current.is_some() {
        properties["allowUpdateImage"] = json!(true);
    }
}

/// Reads the features in `properties` into `model`, in the words of what is `known`.
pub fn flatten(model: &mut Model, properties: &Json, known: &Model) {
    let features = body::items(properties, "features");
    let value = |name: &str| find(features, name).and_then(|feature| body::text(feature, "value"));
    let switch = |name: &str, known: Option<bool>| match value(name) {
        Some(value) => match value.eq_ignore_ascii_case("true") {
            true => Some(true),
            // "False" and absent are the same
            false => known.map(|_| false),
        },
        None => known.filter(|known| !known),
    };
    model.security_type = Some(value(SECURITY).map_or("Standard".to_owned(), |value| {
        SECURITY_TYPES
            .iter()
            .find(|known| known.eq_ignore_ascii_case(&value))
            .map_or(value, |known| known.to_string())
    }));
    model.accelerated_networking_enabled = switch(ACCELERATED, known.accelerated_networking_enabled);
    model.hibernation_enabled = switch(HIBERNATE, known.hibernation_enabled);
    model.disk_controller_types = value(CONTROLLERS).map(|value| {
        let types: Set<String> = value
            .split(',')
            .map(|kind| kind.trim())
            .map(|kind| if kind.eq_ignore_ascii_case("nvme") { "NVMe" } else { "SCSI" }.to_owned())
            .collect();
        // NVMe comes with SCSI in the service; who wrote NVMe alone meant that
        match &known.disk_controller_types {
            Some(known) if known.0 == ["NVMe"] && types.contains(&"NVMe".to_owned()) => known.clone(),
            _ => types,
        }
    });
    let free: Tags = features
        .iter()
        .filter_map(|feature| Some((body::text(feature, "name")?, body::text(feature, "value")?)))
        .filter(|(name, _)| !OWN.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)))
        .map(|(name, value)| {
            // the user's spelling stays where only the case differs
            let written =
                known.features.iter().flatten().find(|(known, _)| known.eq_ignore_ascii_case(&name));
            match written {
                Some((known_name, known_value)) if known_value.eq_ignore_ascii_case(&value) => {
                    (known_name.clone(), known_value.clone())
                }
                Some((known_name, _)) => (known_name.clone(), value),
                None => (name, value),
            }
        })
        .collect();
    model.features = (!free.is_empty() || known.features.is_some()).then_some(free);
}

fn find<'j>(features: &'j [Json], name: &str) -> Option<&'j Json> {
    features
        .iter()
        .find(|feature| body::text(feature, "name").is_some_and(|have| have.eq_ignore_ascii_case(name)))
}

fn same_value(name: &str, a: &str, b: &str) -> bool {
    if name != CONTROLLERS {
        return a.eq_ignore_ascii_case(b);
    }
    let parts = |text: &str| {
        let mut parts: Vec<String> = text.split(',').map(|part| part.trim().to_ascii_lowercase()).collect();
        parts.sort();
        parts
    };
    parts(a) == parts(b)
}

fn service_spelling(security: &str) -> &str {
    if security == "TrustedLaunchAndConfidentialVMSupported" {
        "TrustedLaunchAndConfidentialVmSupported"
    } else {
        security
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(features: Json, known: &Model) -> Model {
        let mut model = Model::default();
        flatten(&mut model, &json!({"features": features}), known);
        model
    }

    #[test]
    fn the_services_spelling_is_read_in_ours() {
        let known =
            Model { features: Some([("IsX".to_owned(), "true".to_owned())].into()), ..Model::default() };
        let model = read(
            json!([
                {"name": "SecurityType", "value": "TrustedLaunchAndConfidentialVmSupported"},
                {"name": "DiskControllerTypes", "value": "SCSI, NVMe"},
                {"name": "IsHibernateSupported", "value": "True"},
                {"name": "IsAcceleratedNetworkSupported", "value": "False"},
                {"name": "isx", "value": "True"},
            ]),
            &known,
        );
        assert_eq!(model.security_type.as_deref(), Some("TrustedLaunchAndConfidentialVMSupported"));
        assert_eq!(model.disk_controller_types, Some(Set(vec!["SCSI".to_owned(), "NVMe".to_owned()])));
        assert_eq!(model.hibernation_enabled, Some(true));
        assert_eq!(model.accelerated_networking_enabled, None);
        assert_eq!(model.features, known.features);
        assert_eq!(read(json!([]), &Model::default()).security_type.as_deref(), Some("Standard"));
    }

    #[test]
    fn only_a_real_change_asks_for_leave_to_change() {
        let current = json!({"properties": {"features": [
            {"startsAtVersion": "2.0.0", "name": "SecurityType", "value": "TrustedLaunch"},
            {"name": "DiskControllerTypes", "value": "NVMe, SCSI"},
        ]}});
        let mut plan = Model {
            security_type: Some("TrustedLaunch".to_owned()),
            disk_controller_types: Some(Set(vec!["NVMe".to_owned(), "SCSI".to_owned()])),
            hyper_v_generation: "V2".to_owned(),
            ..Model::default()
        };
        let mut properties = current["properties"].clone();
        expand(&mut properties, &plan, Some(&current));
        assert_eq!(properties, current["properties"]);
        plan.hibernation_enabled = Some(true);
        expand(&mut properties, &plan, Some(&current));
        assert_eq!(properties["allowUpdateImage"], json!(true));
        assert_eq!(properties["features"][0]["startsAtVersion"], json!("2.0.0"));
        assert_eq!(properties["features"].as_array().map(Vec::len), Some(3));
    }
}
