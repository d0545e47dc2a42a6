//! The defaults that the service adds to a machine's properties, and the order of the properties, as recorded in 2023 and 2025.

use super::super::json::Json;

/// Properties that only the service sets, or that `machines.rs` completes.
const COMPLETED_ELSEWHERE: &[&str] =
    &["hardwareProfile", "storageProfile", "provisioningState", "vmId", "timeCreated", "instanceView"];
/// The order of the properties that a client sends; others follow.
const SENT: &[&str] = &["osProfile", "securityProfile", "networkProfile", "diagnosticsProfile"];

/// The properties that are stored as sent, and those of `before` that the request omits.
pub fn kept(sent: &Json, before: &Json) -> Vec<(String, Json)> {
    let given = |key: &str| sent.get(key).or_else(|| before.get(key));
    let others = sent.pairs().iter().chain(before.pairs()).map(|(key, _)| key.as_str());
    let mut kept: Vec<(String, Json)> = Vec::new();
    for key in SENT.iter().copied().chain(others) {
        if COMPLETED_ELSEWHERE.contains(&key) || kept.iter().any(|(known, _)| known == key) {
            continue;
        }
        match given(key) {
            // Clients with typed models always send this property, even if it is empty.
            Some(value) if key == "additionalCapabilities" && has_no_values(value) => {}
            Some(value) if !value.is_null() => kept.push((key.to_owned(), value.clone())),
            _ => {}
        }
    }
    kept
}

fn has_no_values(value: &Json) -> bool {
    value.pairs().iter().all(|(_, value)| value.is_null())
}

/// Completes the OS profile and removes its secrets.
pub fn complete_system(profile: &mut Json, os: &str) {
    let default = |object: &mut Json, key: &str, value: Json| {
        if object.get(key).is_none_or(Json::is_null) {
            object.set(key, value);
        }
    };
    profile.remove("adminPassword");
    profile.remove("customData");
    // Not recorded: the members that are filled in for Windows.
    if os == "Windows" {
        let windows = profile.entry("windowsConfiguration");
        default(windows, "provisionVMAgent", true.into());
        default(windows, "enableAutomaticUpdates", true.into());
        let patches = windows.entry("patchSettings");
        default(patches, "patchMode", "AutomaticByOS".into());
        default(patches, "assessmentMode", "ImageDefault".into());
        default(windows, "enableVMAgentPlatformUpdates", false.into());
        in_order(windows, &["provisionVMAgent", "enableAutomaticUpdates", "timeZone", "patchSettings"]);
    }
    if os == "Linux" {
        let linux = profile.entry("linuxConfiguration");
        default(linux, "disablePasswordAuthentication", false.into());
        default(linux, "provisionVMAgent", true.into());
        let patches = linux.entry("patchSettings");
        default(patches, "patchMode", "ImageDefault".into());
        default(patches, "assessmentMode", "ImageDefault".into());
        default(linux, "enableVMAgentPlatformUpdates", false.into());
        in_order(linux, &["disablePasswordAuthentication", "ssh", "provisionVMAgent", "patchSettings"]);
    }
    default(profile, "secrets", Vec::<Json>::new().into());
    default(profile, "allowExtensionOperations", true.into());
    default(profile, "requireGuestProvisionSignal", true.into());
    in_order(
        profile,
        &[
            "computerName",
            "adminUsername",
            "windowsConfiguration",
            "linuxConfiguration",
            "secrets",
            "allowExtensionOperations",
            "requireGuestProvisionSignal",
        ],
    );
}

/// Removes the properties that only older api-versions have.
pub fn remove_older_properties(properties: &mut Json) {
    for system in ["linuxConfiguration", "windowsConfiguration"] {
        if properties.at(&format!("osProfile.{system}")).is_some() {
            properties.entry("osProfile").entry(system).remove("enableVMAgentPlatformUpdates");
        }
    }
}

/// Puts the properties into the order of older api-versions.
pub fn in_older_order(properties: &mut Json) {
    let last: Vec<(&str, Option<Json>)> = ["provisioningState", "instanceView", "timeCreated"]
        .iter()
        .map(|key| (*key, properties.remove(key)))
        .collect();
    in_order(properties, &["vmId", "hardwareProfile", "storageProfile"]);
    for (key, value) in last {
        if let Some(value) = value {
            properties.set(key, value);
        }
    }
}

/// Moves these members to the front.
pub fn in_order(object: &mut Json, first: &[&str]) {
    if let Json::Object(pairs) = object {
        let place = |key: &String| first.iter().position(|known| known == key).unwrap_or(first.len());
        pairs.sort_by_key(|(key, _)| place(key));
    }
}

/// The OS version in a Marketplace reference, such as `20.04` in `20_04-lts-gen2`.
pub fn os_version(reference: &Json) -> Option<String> {
    let text = format!("{} {}", reference.text("sku")?, reference.text("offer").unwrap_or_default());
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    (0..text.len().saturating_sub(4)).find_map(|at| {
        let part = text.get(at..at + 5)?;
        let (year, month) = part.split_once(['_', '.'])?;
        (digits(year) && digits(month)).then(|| format!("{year}.{month}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn versions_are_in_the_names_of_images() {
        for (reference, version) in [
            (r#"{"offer":"0001-com-ubuntu-server-focal","sku":"20_04-lts-gen2"}"#, Some("20.04")),
            (r#"{"offer":"UbuntuServer","sku":"18.04-LTS"}"#, Some("18.04")),
            (r#"{"offer":"ubuntu-24_04-lts","sku":"server"}"#, Some("24.04")),
            (r#"{"offer":"debian-12","sku":"12-gen2"}"#, None),
        ] {
            assert_eq!(os_version(&json(reference)).as_deref(), version, "{reference}");
        }
    }

    #[test]
    fn keeps_sent_and_previous_properties() {
        let sent = json(r#"{"userData":"x","osProfile":{"a":1},"vmId":"v","additionalCapabilities":{}}"#);
        let before = json(r#"{"licenseType":"None","osProfile":{"a":2},"timeCreated":"t"}"#);
        let kept: Vec<String> =
            kept(&sent, &before).iter().map(|(key, value)| format!("{key}={}", value.compact())).collect();
        assert_eq!(kept, [r#"osProfile={"a":1}"#, r#"userData="x""#, r#"licenseType="None""#]);
    }

    #[test]
    fn windows_profile_is_completed() {
        let mut profile = json(
            r#"{"adminUsername":"a","adminPassword":"p","computerName":"c","windowsConfiguration":{"enableAutomaticUpdates":false,"patchSettings":{"patchMode":"Manual"}}}"#,
        );
        complete_system(&mut profile, "Windows");
        assert_eq!(
            profile.compact(),
            r#"{"computerName":"c","adminUsername":"a","windowsConfiguration":{"provisionVMAgent":true,"enableAutomaticUpdates":false,"patchSettings":{"patchMode":"Manual","assessmentMode":"ImageDefault"},"enableVMAgentPlatformUpdates":false},"secrets":[],"allowExtensionOperations":true,"requireGuestProvisionSignal":true}"#
        );
    }

    #[test]
    fn system_is_completed_without_its_secrets() {
        let mut profile = json(r#"{"adminUsername":"a","adminPassword":"p","computerName":"c"}"#);
        complete_system(&mut profile, "Linux");
        assert_eq!(
            profile.compact(),
            r#"{"computerName":"c","adminUsername":"a","linuxConfiguration":{"disablePasswordAuthentication":false,"provisionVMAgent":true,"patchSettings":{"patchMode":"ImageDefault","assessmentMode":"ImageDefault"},"enableVMAgentPlatformUpdates":false},"secrets":[],"allowExtensionOperations":true,"requireGuestProvisionSignal":true}"#
        );
    }
}
