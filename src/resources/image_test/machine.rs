//! The test machine as a request: what it must look like follows from the image definition.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use crate::azure::objects::definition::Definition;
use crate::azure::tags::Tags;

/// The name of the administrator's account.
pub const ADMINISTRATOR: &str = "azimage";

/// The tag by which test machines are found; its value is the tested version.
pub const TAG: &str = "azimage-test";
/// The tag with the time after which a test machine is a leftover for certain.
pub const UNTIL_TAG: &str = "azimage-test-until";

/// The security type of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// None is requested.
    Standard,
    /// Trusted Launch, with Secure Boot and a virtual TPM.
    TrustedLaunch,
    /// A confidential machine.
    Confidential,
}

/// The security type of machines that are made from images of `definition`. An image that supports several is tested with
/// the strictest one that needs no special hardware.
pub fn security(definition: &Definition) -> Security {
    if definition.hyper_v_generation.as_deref() == Some("V1") {
        return Security::Standard;
    }
    match definition.features.security_type.as_deref() {
        Some("TrustedLaunch" | "TrustedLaunchSupported" | "TrustedLaunchAndConfidentialVMSupported") => {
            Security::TrustedLaunch
        }
        Some("ConfidentialVM" | "ConfidentialVMSupported") => Security::Confidential,
        _ => Security::Standard,
    }
}

/// Whether images of `definition` are started without an account of their own.
pub fn is_specialized(definition: &Definition) -> bool {
    definition.os_state.as_deref() == Some("Specialized")
}

/// Whether images of `definition` run Windows.
pub fn is_windows(definition: &Definition) -> bool {
    definition.os_type.as_deref() == Some("Windows")
}

/// Whether images of `definition` are for Arm processors.
pub fn is_arm(definition: &Definition) -> bool {
    definition.architecture.as_deref() == Some("Arm64")
}

/// Whether images of `definition` can only be started from NVMe disks.
fn is_nvme_only(definition: &Definition) -> bool {
    definition.features.disk_controller_types == ["NVMe"]
}

/// The smallest usual size that can start images of `definition`.
pub fn default_size(definition: &Definition) -> &'static str {
    match (is_arm(definition), security(definition), is_nvme_only(definition)) {
        (true, _, true) => "Standard_D2ps_v6",
        (true, _, false) => "Standard_D2ps_v5",
        (false, Security::Confidential, true) => "Standard_DC2as_v6",
        (false, Security::Confidential, false) => "Standard_DC2as_v5",
        (false, _, true) => "Standard_D2s_v6",
        (false, _, false) => "Standard_D2s_v5",
    }
}

/// What a test machine is made from.
pub struct Request<'a> {
    /// Its name, which the names of its disks and network interface begin with.
    pub name: &'a str,
    /// Its region.
    pub location: &'a str,
    /// Its size.
    pub size: &'a str,
    /// The ID of the image version.
    pub version_id: &'a str,
    /// The ID of the subnet.
    pub subnet_id: &'a str,
    /// All of its tags.
    pub tags: Tags,
    /// The image definition.
    pub definition: &'a Definition,
    /// The logical unit numbers of the data disks in the image version.
    pub luns: &'a [i64],
}

impl Request<'_> {
    /// The names of the machine's disks, the system disk first.
    pub fn disk_names(&self) -> Vec<String> {
        disk_names(self.name, self.luns)
    }

    /// The body of the request. The disks and the network interface are deleted with the machine; there is no public
    /// address. Nobody can sign in with `secret`: the key pair or password is not stored.
    pub fn body(&self, secret: &Secret) -> Json {
        let definition = self.definition;
        let disk_type = disk_type(definition);
        let names = self.disk_names();
        let mut os_disk = json!({
            "name": names[0], "createOption": "FromImage", "deleteOption": "Delete",
            "managedDisk": {"storageAccountType": disk_type},
        });
        if security(definition) == Security::Confidential {
            os_disk["managedDisk"]["securityProfile"] = json!({"securityEncryptionType": "VMGuestStateOnly"});
        }
        let data_disks: Vec<Json> = self
            .luns
            .iter()
            .zip(&names[1..])
            .map(|(lun, name)| {
                json!({
                    "lun": lun, "name": name, "createOption": "FromImage", "deleteOption": "Delete",
                    "managedDisk": {"storageAccountType": disk_type},
                })
            })
            .collect();
        let mut storage = json!({
            "imageReference": {"id": self.version_id}, "osDisk": os_disk, "dataDisks": data_disks,
        });
        if is_nvme_only(definition) {
            storage["diskControllerType"] = json!("NVMe");
        }
        let ip = json!({"name": "ip", "properties": {"primary": true, "subnet": {"id": self.subnet_id}}});
        let nic = json!({
            "name": self.name,
            "properties": {"primary": true, "deleteOption": "Delete", "ipConfigurations": [ip]},
        });
        let mut properties = json!({
            "hardwareProfile": {"vmSize": self.size},
            "storageProfile": storage,
            "networkProfile": {"networkApiVersion": "2020-11-01", "networkInterfaceConfigurations": [nic]},
            "diagnosticsProfile": {"bootDiagnostics": {"enabled": true}},
        });
        if !is_specialized(definition) {
            properties["osProfile"] = os_profile(definition, secret);
        }
        let security = match security(definition) {
            Security::Standard => None,
            Security::TrustedLaunch => Some("TrustedLaunch"),
            Security::Confidential => Some("ConfidentialVM"),
        };
        if let Some(security) = security {
            properties["securityProfile"] = json!({
                "securityType": security, "uefiSettings": {"secureBootEnabled": true, "vTpmEnabled": true},
            });
        }
        let mut body = json!({"location": self.location, "tags": self.tags, "properties": properties});
        if let Some(plan) = &definition.purchase_plan {
            body["plan"] = json!({"name": plan.name, "publisher": plan.publisher, "product": plan.product});
        }
        body
    }
}

/// The names of a machine's disks, the system disk first.
pub fn disk_names(machine: &str, luns: &[i64]) -> Vec<String> {
    let data = luns.iter().map(|lun| format!("{machine}-data-{lun}"));
    std::iter::once(format!("{machine}-os")).chain(data).collect()
}

fn os_profile(definition: &Definition, secret: &Secret) -> Json {
    let mut profile = json!({"computerName": "azimage-test", "adminUsername": ADMINISTRATOR});
    if is_windows(definition) {
        profile["adminPassword"] = json!(secret.password);
        profile["windowsConfiguration"] = json!({"provisionVMAgent": true, "enableAutomaticUpdates": false});
        return profile;
    }
    let path = format!("/home/{ADMINISTRATOR}/.ssh/authorized_keys");
    profile["linuxConfiguration"] = json!({
        "disablePasswordAuthentication": true, "provisionVMAgent": true,
        "ssh": {"publicKeys": [{"path": path, "keyData": secret.public_key}]},
    });
    profile
}

/// The cheapest type of disk that the definition allows.
fn disk_type(definition: &Definition) -> &'static str {
    let is_allowed = |name: &&str| {
        !definition.disallowed_disk_types.iter().any(|disallowed| disallowed.eq_ignore_ascii_case(name))
    };
    ["StandardSSD_LRS", "Standard_LRS", "Premium_LRS"]
        .into_iter()
        .find(is_allowed)
        .unwrap_or("StandardSSD_LRS")
}

/// A password, and a public key whose private key exists nowhere.
pub struct Secret {
    password: String,
    public_key: String,
}

impl Secret {
    /// A new one.
    pub fn generate() -> Result<Secret, String> {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(|error| error.to_string())?;
        let mut blob = Vec::new();
        for field in [&b"ssh-ed25519"[..], pair.public_key_raw()] {
            blob.extend((field.len() as u32).to_be_bytes());
            blob.extend(field);
        }
        Ok(Secret {
            // Windows asks for three kinds of characters.
            password: format!("Az9-{}", uuid::Uuid::new_v4()),
            public_key: format!("ssh-ed25519 {} {ADMINISTRATOR}", STANDARD.encode(blob)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::body;
    use crate::azure::objects::definition::{Features, PurchasePlan};

    fn definition(security: &str, controllers: &[&str]) -> Definition {
        Definition {
            os_type: Some("Linux".to_owned()),
            os_state: Some("Generalized".to_owned()),
            hyper_v_generation: Some("V2".to_owned()),
            architecture: Some("x64".to_owned()),
            features: Features {
                security_type: Some(security.to_owned()),
                disk_controller_types: controllers.iter().map(|kind| (*kind).to_owned()).collect(),
                ..Features::default()
            },
            ..Definition::default()
        }
    }

    fn body_of(definition: &Definition, luns: &[i64]) -> Json {
        let request = Request {
            name: "azt-1",
            location: "eastus",
            size: default_size(definition),
            version_id: "/v",
            subnet_id: "/s",
            tags: [("a".to_owned(), "b".to_owned())].into(),
            definition,
            luns,
        };
        request.body(&Secret::generate().unwrap())
    }

    #[test]
    fn security_and_size_follow_the_definition() {
        let v1 = Definition { hyper_v_generation: Some("V1".to_owned()), ..definition("TrustedLaunch", &[]) };
        let arm = Definition { architecture: Some("Arm64".to_owned()), ..definition("Standard", &[]) };
        for (definition, security, size) in [
            (definition("Standard", &[]), None, "Standard_D2s_v5"),
            (
                definition("TrustedLaunchSupported", &["SCSI", "NVMe"]),
                Some("TrustedLaunch"),
                "Standard_D2s_v5",
            ),
            (definition("TrustedLaunch", &["NVMe"]), Some("TrustedLaunch"), "Standard_D2s_v6"),
            (
                definition("TrustedLaunchAndConfidentialVMSupported", &[]),
                Some("TrustedLaunch"),
                "Standard_D2s_v5",
            ),
            (definition("ConfidentialVM", &[]), Some("ConfidentialVM"), "Standard_DC2as_v5"),
            (v1, None, "Standard_D2s_v5"),
            (arm, None, "Standard_D2ps_v5"),
        ] {
            let sent = body_of(&definition, &[]);
            assert_eq!(body::text(&sent, "properties.securityProfile.securityType").as_deref(), security);
            assert_eq!(body::text(&sent, "properties.hardwareProfile.vmSize").as_deref(), Some(size));
            let encryption = body::text(
                &sent,
                "properties.storageProfile.osDisk.managedDisk.securityProfile.securityEncryptionType",
            );
            assert_eq!(encryption.is_some(), security == Some("ConfidentialVM"));
            let nvme = body::text(&sent, "properties.storageProfile.diskControllerType");
            assert_eq!(nvme.is_some(), size.ends_with("_v6"));
        }
    }

    #[test]
    fn everything_is_deleted_with_the_machine_and_nothing_is_public() {
        let sent = body_of(&definition("Standard", &[]), &[0, 3]);
        let storage = &sent["properties"]["storageProfile"];
        let disks: Vec<&Json> =
            std::iter::once(&storage["osDisk"]).chain(body::items(storage, "dataDisks")).collect();
        let names: Vec<&str> = disks.iter().filter_map(|disk| disk["name"].as_str()).collect();
        assert_eq!(names, ["azt-1-os", "azt-1-data-0", "azt-1-data-3"]);
        assert!(
            disks.iter().all(|disk| disk["deleteOption"] == "Delete" && disk["createOption"] == "FromImage")
        );
        let nics = body::items(&sent, "properties.networkProfile.networkInterfaceConfigurations");
        assert_eq!(nics.len(), 1);
        assert_eq!(nics[0]["properties"]["deleteOption"], "Delete");
        assert!(!sent.to_string().contains("publicIPAddress"));
        assert_eq!(sent["tags"], json!({"a": "b"}));
    }

    #[test]
    fn accounts_follow_the_operating_system_and_specialized_images_have_none() {
        let linux = body_of(&definition("Standard", &[]), &[]);
        let key = &linux["properties"]["osProfile"]["linuxConfiguration"]["ssh"]["publicKeys"][0]["keyData"];
        let blob = key.as_str().unwrap().split(' ').nth(1).unwrap();
        let blob = STANDARD.decode(blob).unwrap();
        assert_eq!((blob.len(), &blob[..4], &blob[4..15]), (51, &[0, 0, 0, 11][..], &b"ssh-ed25519"[..]));
        let windows = Definition { os_type: Some("Windows".to_owned()), ..definition("Standard", &[]) };
        let windows = body_of(&windows, &[]);
        assert!(windows["properties"]["osProfile"]["adminPassword"].as_str().unwrap().len() > 12);
        assert!(windows["properties"]["osProfile"]["linuxConfiguration"].is_null());
        let specialized =
            Definition { os_state: Some("Specialized".to_owned()), ..definition("Standard", &[]) };
        assert!(body_of(&specialized, &[])["properties"]["osProfile"].is_null());
    }

    #[test]
    fn plans_and_disallowed_disk_types_are_respected() {
        let plan = PurchasePlan { name: "n".to_owned(), publisher: Some("p".to_owned()), product: None };
        let definition = Definition {
            purchase_plan: Some(plan),
            disallowed_disk_types: vec!["standardssd_lrs".to_owned(), "Standard_LRS".to_owned()],
            ..definition("Standard", &[])
        };
        let sent = body_of(&definition, &[]);
        assert_eq!(sent["plan"], json!({"name": "n", "publisher": "p", "product": null}));
        let kind = &sent["properties"]["storageProfile"]["osDisk"]["managedDisk"]["storageAccountType"];
        assert_eq!(kind, "Premium_LRS");
    }
}
