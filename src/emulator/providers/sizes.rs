//! Machine sizes, SKUs and usages: a small fixed list, the same in every region. Not recorded.

use super::super::call::{Answer, Call, Outcome};
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::regions;

/// Name, family, vCPUs, memory in GB, most data disks, architecture.
const SIZES: &[(&str, &str, i64, i64, i64, &str)] = &[
    ("Standard_B1s", "standardBSFamily", 1, 1, 2, "x64"),
    ("Standard_B2s", "standardBSFamily", 2, 4, 4, "x64"),
    ("Standard_D2s_v3", "standardDSv3Family", 2, 8, 4, "x64"),
    ("Standard_D2s_v6", "standardDSv6Family", 2, 8, 4, "x64"),
    ("Standard_D2ps_v6", "standardDPSv6Family", 2, 8, 4, "Arm64"),
    ("Standard_DC2as_v6", "standardDCASv6Family", 2, 8, 4, "x64"),
    ("Standard_D2s_v5", "standardDSv5Family", 2, 8, 4, "x64"),
    ("Standard_D4s_v5", "standardDSv5Family", 4, 16, 8, "x64"),
    ("Standard_D2ps_v5", "standardDPSv5Family", 2, 8, 4, "Arm64"),
    ("Standard_DS1_v2", "standardDSv2Family", 1, 3, 4, "x64"),
    ("Standard_DC2as_v5", "standardDCASv5Family", 2, 8, 4, "x64"),
    ("Standard_E2s_v5", "standardESv5Family", 2, 16, 4, "x64"),
];

/// The architecture of a size that is known.
pub fn architecture(size: &str) -> Option<&'static str> {
    SIZES.iter().find(|(name, ..)| name.eq_ignore_ascii_case(size)).map(|(.., architecture)| *architecture)
}

/// Refuses a text that cannot be the name of a size. The emulator does not have a list of all sizes.
pub fn check(size: Option<&str>) -> Result<(), ArmError> {
    let is_possible = |size: &str| {
        let tier = ["Standard_", "Basic_"]
            .iter()
            .find(|tier| size.get(..tier.len()).is_some_and(|start| start.eq_ignore_ascii_case(tier)));
        let rest = tier.map_or("", |tier| &size[tier.len()..]);
        rest.starts_with(|c: char| c.is_ascii_alphabetic())
            && rest.contains(|c: char| c.is_ascii_digit())
            && rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    match size {
        Some(size) if !is_possible(size) => {
            let known: Vec<&str> = names().collect();
            Err(ArmError::parameter(
                "vmSize",
                format!(
                    "The value {size} provided for the VM size is not valid. The valid sizes in the current region are: {}. Find out more on the available VM sizes in each region at https://aka.ms/azure-regions.",
                    known.join(",")
                ),
            ))
        }
        _ => Ok(()),
    }
}

fn region(given: &str) -> Result<&'static regions::Region, ArmError> {
    regions::find(given).ok_or_else(|| {
        let message = format!("The provided location '{given}' is not available.");
        ArmError::new(400, "InvalidParameter", message).target("location")
    })
}

/// `GET …/vmSizes` of a region or of a machine.
pub fn list(location: &str) -> Outcome {
    region(location)?;
    let values: Vec<Json> = SIZES
        .iter()
        .map(|(name, _, cores, memory, disks, _)| {
            Json::object()
                .with("name", *name)
                .with("numberOfCores", *cores)
                .with("osDiskSizeInMB", 1_047_552_i64)
                .with("resourceDiskSizeInMB", 16_384_i64)
                .with("memoryInMB", memory * 1_024)
                .with("maxDataDiskCount", *disks)
        })
        .collect();
    Ok(Answer::pretty(200, Json::object().with("value", values)))
}

/// The names of the sizes.
pub fn names() -> impl Iterator<Item = &'static str> {
    SIZES.iter().map(|(name, ..)| *name)
}

/// `GET …/usages`: all counters are zero, and the limits are high.
pub fn usages(location: &str) -> Outcome {
    region(location)?;
    let usage = |name: &str, display: &str| {
        Json::object()
            .with("limit", 10_000_i64)
            .with("unit", "Count")
            .with("currentValue", 0_i64)
            .with("name", Json::object().with("value", name).with("localizedValue", display))
    };
    let mut values =
        vec![usage("cores", "Total Regional vCPUs"), usage("virtualMachines", "Virtual Machines")];
    for (_, family, ..) in SIZES {
        if !values.iter().any(|known| known.text("name.value") == Some(family)) {
            values.push(usage(family, family));
        }
    }
    Ok(Answer::pretty(200, Json::object().with("value", values)))
}

/// `GET …/skus`, with `$filter=location eq '…'`.
pub fn skus(call: &Call<'_, '_>) -> Outcome {
    let filter = super::filters::parse(call.query("$filter").unwrap_or_default(), &["location"])?;
    let mut values = Vec::new();
    for region in regions::REGIONS.iter().filter(|region| filter.passes(|term| term.matches(region.name))) {
        for (name, family, cores, memory, disks, architecture) in SIZES {
            let capability = |name: &str, value: &str| Json::object().with("name", name).with("value", value);
            let capabilities = vec![
                capability("vCPUs", &cores.to_string()),
                capability("MemoryGB", &memory.to_string()),
                capability("MaxDataDiskCount", &disks.to_string()),
                capability("CpuArchitectureType", architecture),
                capability("HyperVGenerations", if *architecture == "x64" { "V1,V2" } else { "V2" }),
                capability("PremiumIO", "True"),
            ];
            let info = Json::object().with("location", region.name).with("zones", Vec::new());
            values.push(
                Json::object()
                    .with("resourceType", "virtualMachines")
                    .with("name", *name)
                    .with("tier", "Standard")
                    .with("size", name.trim_start_matches("Standard_"))
                    .with("family", *family)
                    .with("locations", vec![Json::from(region.name)])
                    .with("locationInfo", vec![info])
                    .with("capabilities", capabilities)
                    .with("restrictions", Vec::new()),
            );
        }
    }
    Ok(Answer::pretty(200, Json::object().with("value", values)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_tier_and_a_number() {
        for (size, valid) in [
            ("Standard_D2s_v3", true),
            ("standard_b1s", true),
            ("Basic_A0", true),
            ("Standard_M416-208s_v2", true),
            ("B1ls", false),
            ("nonsense", false),
            ("Standard_", false),
            ("", false),
        ] {
            assert_eq!(check(Some(size)).is_ok(), valid, "{size}");
        }
        assert!(check(None).is_ok());
    }
}
