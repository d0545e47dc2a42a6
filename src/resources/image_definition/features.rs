//! Features of an image definition: a list of names and values in Azure, attributes in HCL.

use serde_json::{Value as Json, json};

use super::Model;
use crate::azure::body;
use crate::azure::objects::definition::{
    ACCELERATED, CONTROLLERS, Features, HIBERNATE, OWN_FEATURES, SECURITY, feature,
};
use crate::azure::tags::Tags;
use crate::schema::{Diagnostics, Path, Set, Value};

/// Checks that `features` has no feature with an attribute of its own.
pub fn check_names(features: &Value) -> Result<(), String> {
    for (name, _) in features.entries() {
        if let Some((_, attribute)) = OWN_FEATURES.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)) {
            return Err(format!("must not contain {name:?}: use the attribute {attribute}"));
        }
    }
    Ok(())
}

/// Checks which features the generation of virtual machines allows.
pub fn check_features(config: &Value, found: &mut Diagnostics) {
    if config.get("hyper_v_generation").as_str() != Some("V1") {
        return;
    }
    let mut need_v2 = |attribute: &'static str, what: &str| {
        found.error(
            Path::attribute(attribute),
            format!("{what} needs generation 2"),
            format!("{what} requires hyper_v_generation = \"V2\", and this definition has \"V1\"."),
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

/// Writes the features of `plan` into `properties`. A change in an existing definition needs `allowUpdateImage`.
pub fn expand(properties: &mut Json, plan: &Model, current: Option<&Json>) {
    let old = current.map_or(&[][..], |current| body::items(current, "properties.features"));
    let mut wanted: Vec<(String, String)> = Vec::new();
    if let Some(security) = &plan.security_type {
        // Standard is the only type of generation 1; older definitions with it lack the feature
        let said = feature(old, SECURITY).is_some();
        if security != "Standard" || said || (current.is_none() && plan.hyper_v_generation == "V2") {
            wanted.push((SECURITY.to_owned(), service_spelling(security).to_owned()));
        }
    }
    for (name, value) in
        [(ACCELERATED, plan.accelerated_networking_enabled), (HIBERNATE, plan.hibernation_enabled)]
    {
        // off is the default, and is said only where the definition says something
        if value == Some(true) || feature(old, name).is_some() {
            let value = if value == Some(true) { "True" } else { "False" };
            wanted.push((name.to_owned(), value.to_owned()));
        }
    }
    if let Some(types) = plan.disk_controller_types.as_ref().filter(|types| !types.is_empty()) {
        // the service accepts these two texts only
        let text = if types.iter().any(|kind| kind == "NVMe") { "SCSI, NVMe" } else { "SCSI" };
        wanted.push((CONTROLLERS.to_owned(), text.to_owned()));
    }
    wanted.extend(plan.features.iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
    let same = wanted.len() == old.len()
        && wanted.iter().all(|(name, value)| {
            feature(old, name).is_some_and(|old| {
                body::text(old, "value").is_some_and(|have| same_value(name, &have, value))
            })
        });
    if same {
        return;
    }
    let list: Vec<Json> = wanted
        .iter()
        .map(|(name, value)| match feature(old, name) {
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

/// The features in the attributes of a model, in the spelling that is `known`.
pub fn flatten(features: Features, known: &Model) -> Model {
    let types: Set<String> = features.disk_controller_types.into_iter().collect();
    let others: Tags = features
        .others
        .into_iter()
        .map(|(name, value)| {
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
    Model {
        security_type: features.security_type.or_else(|| Some("Standard".to_owned())),
        accelerated_networking_enabled: features.accelerated_networking_enabled.or(Some(false)),
        hibernation_enabled: features.hibernation_enabled.or(Some(false)),
        disk_controller_types: match &known.disk_controller_types {
            // the service adds SCSI to NVMe
            Some(known) if known.0 == ["NVMe"] && types.contains(&"NVMe".to_owned()) => Some(known.clone()),
            _ => Some(types).filter(|types| !types.is_empty()),
        },
        features: (!others.is_empty() || known.features.is_some()).then_some(others),
        ..Model::default()
    }
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

    #[test]
    fn keeps_the_known_spelling_of_features() {
        let known = Model {
            features: Some([("IsX".to_owned(), "true".to_owned())].into()),
            disk_controller_types: Some(Set(vec!["NVMe".to_owned()])),
            ..Model::default()
        };
        let features = Features {
            disk_controller_types: vec!["SCSI".to_owned(), "NVMe".to_owned()],
            others: [("isx".to_owned(), "True".to_owned())].into(),
            ..Features::default()
        };
        let model = flatten(features, &known);
        assert_eq!(
            (model.features, model.disk_controller_types),
            (known.features, known.disk_controller_types)
        );
        assert_eq!(model.security_type.as_deref(), Some("Standard"));
        assert_eq!(
            (model.accelerated_networking_enabled, model.hibernation_enabled),
            (Some(false), Some(false))
        );
    }

    #[test]
    fn false_and_omitted_switches_send_the_same() {
        let on = json!({"properties": {"features": [{"name": "IsHibernateSupported", "value": "True"}]}});
        for current in [None, Some(&on)] {
            let sent = [None, Some(false)].map(|hibernation_enabled| {
                let mut properties = json!({});
                expand(&mut properties, &Model { hibernation_enabled, ..Model::default() }, current);
                properties
            });
            assert_eq!(sent[0], sent[1], "{current:?}");
            assert_eq!(sent[0].get("features").is_some(), current.is_some());
        }
    }

    #[test]
    fn only_a_real_change_sets_allow_update_image() {
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
