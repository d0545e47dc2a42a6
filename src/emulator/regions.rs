//! The regions of the public cloud: name, display name, geography, availability zones and paired region.

use super::json::Json;

/// One region: name, display name, group, has availability zones, paired region.
pub struct Region {
    /// Lower-case name such as `westeurope`.
    pub name: &'static str,
    /// The display name in portals and target regions, such as `West Europe`.
    pub display: &'static str,
    group: &'static str,
    /// Whether zone-redundant storage is available.
    pub zones: bool,
    pair: &'static str,
}

const fn region(
    name: &'static str,
    display: &'static str,
    group: &'static str,
    zones: bool,
    pair: &'static str,
) -> Region {
    Region { name, display, group, zones, pair }
}

/// Every region known to the emulator.
pub const REGIONS: &[Region] = &[
    region("eastus", "East US", "US", true, "westus"),
    region("eastus2", "East US 2", "US", true, "centralus"),
    region("eastus3", "East US 3", "US", true, ""),
    region("southcentralus", "South Central US", "US", true, "northcentralus"),
    region("westus2", "West US 2", "US", true, "westcentralus"),
    region("westus3", "West US 3", "US", true, "eastus"),
    region("australiaeast", "Australia East", "Asia Pacific", true, "australiasoutheast"),
    region("southeastasia", "Southeast Asia", "Asia Pacific", true, "eastasia"),
    region("northeurope", "North Europe", "Europe", true, "westeurope"),
    region("swedencentral", "Sweden Central", "Europe", true, "swedensouth"),
    region("uksouth", "UK South", "Europe", true, "ukwest"),
    region("westeurope", "West Europe", "Europe", true, "northeurope"),
    region("centralus", "Central US", "US", true, "eastus2"),
    region("southafricanorth", "South Africa North", "Africa", true, "southafricawest"),
    region("centralindia", "Central India", "Asia Pacific", true, "southindia"),
    region("eastasia", "East Asia", "Asia Pacific", true, "southeastasia"),
    region("indonesiacentral", "Indonesia Central", "Asia Pacific", true, ""),
    region("japaneast", "Japan East", "Asia Pacific", true, "japanwest"),
    region("japanwest", "Japan West", "Asia Pacific", true, "japaneast"),
    region("koreacentral", "Korea Central", "Asia Pacific", true, "koreasouth"),
    region("malaysiawest", "Malaysia West", "Asia Pacific", true, ""),
    region("newzealandnorth", "New Zealand North", "Asia Pacific", true, ""),
    region("canadacentral", "Canada Central", "Canada", true, "canadaeast"),
    region("austriaeast", "Austria East", "Europe", true, ""),
    region("belgiumcentral", "Belgium Central", "Europe", true, ""),
    region("denmarkeast", "Denmark East", "Europe", true, ""),
    region("francecentral", "France Central", "Europe", true, "francesouth"),
    region("germanywestcentral", "Germany West Central", "Europe", true, "germanynorth"),
    region("italynorth", "Italy North", "Europe", true, ""),
    region("norwayeast", "Norway East", "Europe", true, "norwaywest"),
    region("polandcentral", "Poland Central", "Europe", true, ""),
    region("spaincentral", "Spain Central", "Europe", true, ""),
    region("switzerlandnorth", "Switzerland North", "Europe", true, "switzerlandwest"),
    region("mexicocentral", "Mexico Central", "Mexico", true, ""),
    region("chilecentral", "Chile Central", "South America", true, ""),
    region("uaenorth", "UAE North", "Middle East", true, "uaecentral"),
    region("brazilsouth", "Brazil South", "South America", true, "southcentralus"),
    region("israelcentral", "Israel Central", "Middle East", true, ""),
    region("qatarcentral", "Qatar Central", "Middle East", true, ""),
    region("northcentralus", "North Central US", "US", false, "southcentralus"),
    region("westus", "West US", "US", false, "eastus"),
    region("westcentralus", "West Central US", "US", false, "westus2"),
    region("southafricawest", "South Africa West", "Africa", false, "southafricanorth"),
    region("australiacentral", "Australia Central", "Asia Pacific", false, "australiacentral2"),
    region("australiacentral2", "Australia Central 2", "Asia Pacific", false, "australiacentral"),
    region("australiasoutheast", "Australia Southeast", "Asia Pacific", false, "australiaeast"),
    region("koreasouth", "Korea South", "Asia Pacific", false, "koreacentral"),
    region("southindia", "South India", "Asia Pacific", false, "centralindia"),
    region("westindia", "West India", "Asia Pacific", false, "southindia"),
    region("jioindiawest", "Jio India West", "Asia Pacific", false, "jioindiacentral"),
    region("jioindiacentral", "Jio India Central", "Asia Pacific", false, "jioindiawest"),
    region("canadaeast", "Canada East", "Canada", false, "canadacentral"),
    region("francesouth", "France South", "Europe", false, "francecentral"),
    region("germanynorth", "Germany North", "Europe", false, "germanywestcentral"),
    region("norwaywest", "Norway West", "Europe", false, "norwayeast"),
    region("swedensouth", "Sweden South", "Europe", false, "swedencentral"),
    region("switzerlandwest", "Switzerland West", "Europe", false, "switzerlandnorth"),
    region("ukwest", "UK West", "Europe", false, "uksouth"),
    region("uaecentral", "UAE Central", "Middle East", false, "uaenorth"),
    region("brazilsoutheast", "Brazil Southeast", "South America", false, "brazilsouth"),
    region("brazilus", "Brazil US", "South America", false, "brazilsoutheast"),
    region("centraluseuap", "Central US EUAP", "US", false, "eastus2euap"),
    region("eastus2euap", "East US 2 EUAP", "US", true, "centraluseuap"),
    region("eastusstg", "East US STG", "US", false, "southcentralusstg"),
    region("southcentralusstg", "South Central US STG", "US", false, "eastusstg"),
];

/// Lower case without spaces: `West Europe` becomes `westeurope`.
pub fn normalize(location: &str) -> String {
    location.chars().filter(|character| !character.is_whitespace()).flat_map(char::to_lowercase).collect()
}

/// Finds a region by any spelling.
pub fn find(location: &str) -> Option<&'static Region> {
    let name = normalize(location);
    REGIONS.iter().find(|region| region.name == name)
}

/// The display name, or the text itself for an unknown region.
pub fn display(location: &str) -> String {
    find(location).map_or_else(|| location.to_owned(), |region| region.display.to_owned())
}

/// The resource provider's own spelling of a region in poll URLs (recorded: three regions differ from plain lower case).
pub fn in_poll_url(location: &str) -> String {
    match normalize(location).as_str() {
        "centraluseuap" => "CentralUSEUAP".to_owned(),
        "eastus2euap" => "EastUS2EUAP".to_owned(),
        "francecentral" => "FranceCentral".to_owned(),
        other => other.to_owned(),
    }
}

/// One entry of `GET /subscriptions/{s}/locations`.
pub fn describe(region: &Region, subscription: &str) -> Json {
    let id = |name: &str| format!("/subscriptions/{subscription}/locations/{name}");
    let paired = if region.pair.is_empty() {
        Vec::new()
    } else {
        vec![Json::object().with("name", region.pair).with("id", id(region.pair))]
    };
    let zones = (1..=3)
        .map(|zone| {
            Json::object()
                .with("logicalZone", zone.to_string())
                .with("physicalZone", format!("{}-az{zone}", region.name))
        })
        .collect::<Vec<_>>();
    Json::object()
        .with("id", id(region.name))
        .with("name", region.name)
        .with("type", "Region")
        .with("displayName", region.display)
        .with("regionalDisplayName", format!("({}) {}", region.group, region.display))
        .with(
            "metadata",
            Json::object()
                .with("regionType", "Physical")
                .with("regionCategory", if region.zones { "Recommended" } else { "Other" })
                .with("geography", region.group)
                .with("geographyGroup", region.group)
                .with("longitude", "0")
                .with("latitude", "0")
                .with("physicalLocation", region.display)
                .with("pairedRegion", paired),
        )
        .maybe("availabilityZoneMappings", region.zones.then_some(zones))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_regions_by_any_spelling() {
        for (given, name, shown) in [
            ("eastus2", "eastus2", "East US 2"),
            ("CentralUSEUAP", "centraluseuap", "Central US EUAP"),
            ("West Europe", "westeurope", "West Europe"),
        ] {
            assert_eq!(normalize(given), name);
            assert_eq!(display(given), shown);
        }
        for region in REGIONS {
            assert_eq!(normalize(region.display), region.name);
        }
        assert!(find("westeuropa").is_none());
    }
}
