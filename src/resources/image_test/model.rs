//! The arguments and results of an image test, and the IDs that follow from them.

use std::collections::BTreeMap;
use std::time::Duration;

use ring::digest::{SHA256, digest};
use serde_json::json;

use crate::arm::id::{IMAGE_DEFINITION, IMAGE_VERSION, VIRTUAL_MACHINE};
use crate::arm::{ResourceId, region};
use crate::azure::attributes::{check_filled, check_location, eq_ignore_case, id_of, resource_group_name};
use crate::framework::Timeouts;
use crate::framework::timeouts::parse_duration;
use crate::model;
use crate::schema::spec::{block, computed, optional, optional_computed, required};
use crate::schema::{Diagnostic, Path, Slot, Value};

/// The type of a subnet.
const SUBNET: &str = "Microsoft.Network/virtualNetworks/subnets";

model! {
    /// Tests an image version: starts a throw-away virtual machine from it, runs checks in the machine, and deletes
    /// everything again.
    ///
    /// The machine has no public address, and its disks and network interface are deleted with it, whether the test
    /// passes, fails or is interrupted. Several runs of the same test do not disturb each other. What a killed run leaves
    /// behind is removed by the next apply on the same computer, and by the next test in the resource group once the run's
    /// time is over (`timeouts.create`). The generation, security type, architecture, disk controller and purchase plan of the
    /// machine follow from the image definition.
    pub struct Model {
        /// The ID of the test, in the form of a virtual machine ID. Each run has its own machine, whose name is this name with a
        /// random ending.
        pub id: Option<String> = computed(),
        /// The ID of the image version to test. It must be replicated to `location`, and may be excluded from latest.
        pub image_version_id: String = id_of(required().force_new(), IMAGE_VERSION),
        /// The resource group that the virtual machine is created in, in the subscription of the subnet.
        pub resource_group_name: String = resource_group_name(),
        /// The ID of the subnet that the virtual machine is connected to. Run Command needs outbound access to Azure.
        pub subnet_id: String = id_of(required().force_new(), SUBNET),
        /// The region of the virtual machine. Defaults to that of the subnet's virtual network.
        pub location: Option<String> = optional_computed().force_new().equivalent_if(region::same_region).check_text(check_location),
        /// The size of the virtual machine. Defaults to one with two CPUs that can start the image.
        pub vm_size: Option<String> = optional_computed().force_new().equivalent_if(eq_ignore_case).check_text(check_filled),
        /// Values that start the test again when they change.
        pub keepers: Option<BTreeMap<String, String>> = optional().force_new(),
        /// A script that must end with the expected exit code. The scripts run one after the other, as root (Linux) or
        /// SYSTEM (Windows). All of them run, also after one has failed.
        pub check: Vec<Check> = block().force_new(),
        /// Whether to check that the machine kept nothing of the machine that the image was captured from: SSH host keys,
        /// the machine ID, accounts that can sign in; on Windows, that Sysprep has run. Specialized images are not checked.
        pub check_deprovisioned: bool = optional().default(true).force_new(),
        /// Whether to keep the virtual machine when the image fails, so that somebody can look at it. The next apply
        /// removes it.
        pub keep_on_failure: bool = optional().default(false).local(),
        /// `passed`, or `failed` until the next apply has tested again.
        pub result: Option<String> = computed(),
        /// How long the virtual machine took to start, in seconds.
        pub boot_seconds: Option<i64> = computed(),
        /// How long it took until the agent in the virtual machine was ready, in seconds.
        pub agent_ready_seconds: Option<i64> = computed(),
        /// How each check ended, such as `exit 0`.
        pub check_results: BTreeMap<String, String> = computed(),
        /// When the image was tested.
        pub tested_at: Option<String> = computed(),
        /// How long each operation may take.
        pub timeouts: Option<Timeouts> = block(),
    }
}

model! {
    /// A script that must end with the expected exit code.
    pub struct Check {
        /// The name of the check, which is unique in the test.
        pub name: String = required().check_text(check_filled),
        /// The script: a shell script, or one that names its interpreter in its first line; PowerShell on Windows.
        pub script: String = required().check_text(check_filled),
        /// How long the script may run, up to 90 minutes. Defaults to `10m`.
        pub timeout: Option<String> = optional().check_text(check_timeout),
        /// The exit code of a script that passes.
        pub expect_exit_code: Option<i64> = optional().default(0),
    }
}

/// How long a script may run that does not say.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(600);
/// How long the service lets a script run.
const LONGEST: Duration = Duration::from_secs(90 * 60);

fn check_timeout(text: &str) -> Result<(), String> {
    match parse_duration(text) {
        Some(limit) if !limit.is_zero() && limit <= LONGEST => Ok(()),
        Some(_) => Err("must be between 1s and 90m".to_owned()),
        None => Err("is not a valid duration; use 45s, 30m or 1h30m".to_owned()),
    }
}

/// The ID of the tested version.
pub fn version_id(model: &Model) -> Result<ResourceId, Diagnostic> {
    parse(&model.image_version_id, IMAGE_VERSION, "image_version_id")
}

/// The ID of a version's image definition.
pub fn definition_id(version: &ResourceId) -> ResourceId {
    let part = |kind| version.name_of(kind).unwrap_or_default();
    let names = [part("galleries"), part("images")];
    ResourceId::new(IMAGE_DEFINITION, version.subscription_id(), version.resource_group(), &names)
}

/// The ID of the subnet.
pub fn subnet_id(model: &Model) -> Result<ResourceId, Diagnostic> {
    parse(&model.subnet_id, SUBNET, "subnet_id")
}

fn parse(id: &str, kind: &str, attribute: &'static str) -> Result<ResourceId, Diagnostic> {
    ResourceId::parse_as(id, kind).map_err(|error| {
        Diagnostic::error(format!("Invalid value for {attribute}"), error.to_string())
            .at(Path::attribute(attribute))
    })
}

/// The prefix of the names of test machines.
pub const NAME_START: &str = "azimage-test-";

/// The ID of the machine of one run of the test.
pub fn machine_id(model: &Model, run: &str) -> Result<ResourceId, Diagnostic> {
    let id = test_id(model)?;
    let name = format!("{}-{run}", id.name());
    Ok(ResourceId::new(VIRTUAL_MACHINE, id.subscription_id(), id.resource_group(), &[&name]))
}

/// The ID of the test, which follows from the arguments that determine what is tested and how.
pub fn test_id(model: &Model) -> Result<ResourceId, Diagnostic> {
    let (version, subnet) = (version_id(model)?, subnet_id(model)?);
    let facts = json!([
        version.key(),
        subnet.key(),
        model.vm_size.as_deref().map(str::to_lowercase),
        model.keepers,
        model
            .check
            .iter()
            .map(|check| (&check.name, &check.script, &check.timeout, check.expect_exit_code))
            .collect::<Vec<_>>(),
        model.check_deprovisioned,
    ]);
    let hash = digest(&SHA256, facts.to_string().as_bytes());
    let short: String = hash.as_ref()[..5].iter().map(|byte| format!("{byte:02x}")).collect();
    let name = format!("{NAME_START}{short}");
    Ok(ResourceId::new(VIRTUAL_MACHINE, subnet.subscription_id(), &model.resource_group_name, &[&name]))
}

/// The arguments that determine the ID of the test.
const DECIDING: [&str; 7] = [
    "image_version_id",
    "resource_group_name",
    "subnet_id",
    "vm_size",
    "keepers",
    "check",
    "check_deprovisioned",
];

/// The ID of a planned test, if the arguments that determine it are known.
pub fn planned_test_id(planned: &Value) -> Value {
    let is_known =
        DECIDING.iter().all(|name| planned.get(name).is_wholly_known()) && !planned.get("vm_size").is_null();
    match test_id(&Model::decode(planned)) {
        Ok(id) if is_known => Value::String(id.to_string()),
        _ => Value::Unknown,
    }
}

/// The ID of the test of a state.
pub fn id_of_test(model: &Model) -> Option<ResourceId> {
    ResourceId::parse_as(model.id.as_deref()?, VIRTUAL_MACHINE).ok()
}

/// The ID of the image definition of a plan, while it is known.
pub fn planned_definition_id(planned: &Value) -> Option<ResourceId> {
    let version = ResourceId::parse_as(planned.get("image_version_id").as_str()?, IMAGE_VERSION).ok()?;
    let definition = definition_id(&version);
    debug_assert!(definition.is_a(IMAGE_DEFINITION));
    Some(definition)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Model {
        let base = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/resourceGroups/rg/providers";
        Model {
            image_version_id: format!("{base}/Microsoft.Compute/galleries/g/images/web/versions/1.0.0"),
            resource_group_name: "tests".to_owned(),
            subnet_id: format!("{base}/Microsoft.Network/virtualNetworks/net/subnets/tests"),
            vm_size: Some("Standard_D2s_v5".to_owned()),
            ..Model::default()
        }
    }

    #[test]
    fn one_test_has_one_id_in_every_spelling() {
        let own = test_id(&model()).unwrap();
        assert!(own.to_string().contains("/resourceGroups/tests/"), "{own}");
        assert!(own.name().starts_with("azimage-test-") && own.name().len() < 30, "{own}");
        let machine = machine_id(&model(), "0123456789ab").unwrap();
        assert_eq!(machine.name(), format!("{}-0123456789ab", own.name()));
        let same = Model {
            image_version_id: model()
                .image_version_id
                .to_uppercase()
                .replace("/SUBSCRIPTIONS", "/subscriptions"),
            vm_size: Some("STANDARD_D2S_V5".to_owned()),
            location: Some("eastus".to_owned()),
            keep_on_failure: true,
            ..model()
        };
        assert_eq!(test_id(&same).unwrap(), own);
        let check = Check { name: "a".to_owned(), script: "true".to_owned(), ..Check::default() };
        for other in [
            Model { vm_size: Some("Standard_D4s_v5".to_owned()), ..model() },
            Model { keepers: Some([("a".to_owned(), "b".to_owned())].into()), ..model() },
            Model { check: vec![check], ..model() },
            Model { check_deprovisioned: true, ..model() },
            Model { image_version_id: model().image_version_id.replace("1.0.0", "1.0.1"), ..model() },
        ] {
            assert_ne!(test_id(&other).unwrap(), own, "{other:?}");
        }
    }

    #[test]
    fn the_id_is_known_if_its_arguments_are_known() {
        let mut planned = model().encode();
        assert!(planned_test_id(&planned).as_str().is_some());
        planned.set("keepers", Value::Map([("a".to_owned(), Value::Unknown)].into()));
        assert!(planned_test_id(&planned).is_unknown());
        let mut planned = model().encode();
        planned.set("vm_size", Value::Null);
        assert!(planned_test_id(&planned).is_unknown());
    }

    #[test]
    fn scripts_may_run_as_long_as_the_service_allows() {
        for (text, is_valid) in [("90m", true), ("1s", true), ("91m", false), ("0s", false), ("10", false)] {
            assert_eq!(check_timeout(text).is_ok(), is_valid, "{text}");
        }
    }
}
