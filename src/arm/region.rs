//! Azure regions: normalised names, display names, and suggestions for misspelt names.

/// The short name of a region in any spelling: `West Europe` is `westeurope`.
pub fn normalise(name: &str) -> String {
    name.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}

/// True if `a` and `b` are spellings of the same region.
pub fn same_region(a: &str, b: &str) -> bool {
    normalise(a) == normalise(b)
}

/// The display name of a region in any spelling; `None` if it is not in the table, for example because it is newer.
pub fn display_name(name: &str) -> Option<&'static str> {
    let short = normalise(name);
    REGIONS.iter().find(|(known, _)| *known == short).map(|(_, display)| *display)
}

/// The short name of the known region that is most similar to `name`. `None` if `name` is a known region, or none is similar.
pub fn nearest(name: &str) -> Option<&'static str> {
    let short = normalise(name);
    if short.is_empty() || display_name(&short).is_some() {
        return None;
    }
    // "east-us", "us-east" and "useast" have the same letters.
    let letters = |text: &str| {
        let mut letters: Vec<char> = text.chars().filter(|c| c.is_alphanumeric()).collect();
        letters.sort_unstable();
        letters
    };
    if let Some((known, _)) = REGIONS.iter().find(|(known, _)| letters(known) == letters(&short)) {
        return Some(known);
    }
    let allowed = if short.len() < 8 { 2 } else { 3 };
    REGIONS
        .iter()
        .map(|(known, _)| (strsim::osa_distance(&short, known), *known))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= allowed)
        .map(|(_, known)| known)
}

/// Short and display names of the physical regions of all clouds.
pub const REGIONS: &[(&str, &str)] = &[
    ("australiacentral", "Australia Central"),
    ("australiacentral2", "Australia Central 2"),
    ("australiaeast", "Australia East"),
    ("australiasoutheast", "Australia Southeast"),
    ("austriaeast", "Austria East"),
    ("belgiumcentral", "Belgium Central"),
    ("brazilsouth", "Brazil South"),
    ("brazilsoutheast", "Brazil Southeast"),
    ("canadacentral", "Canada Central"),
    ("canadaeast", "Canada East"),
    ("centralindia", "Central India"),
    ("centralus", "Central US"),
    ("centraluseuap", "Central US EUAP"),
    ("chilecentral", "Chile Central"),
    ("chinaeast", "China East"),
    ("chinaeast2", "China East 2"),
    ("chinaeast3", "China East 3"),
    ("chinanorth", "China North"),
    ("chinanorth2", "China North 2"),
    ("chinanorth3", "China North 3"),
    ("denmarkeast", "Denmark East"),
    ("eastasia", "East Asia"),
    ("eastus", "East US"),
    ("eastus2", "East US 2"),
    ("eastus2euap", "East US 2 EUAP"),
    ("francecentral", "France Central"),
    ("francesouth", "France South"),
    ("germanynorth", "Germany North"),
    ("germanywestcentral", "Germany West Central"),
    ("indonesiacentral", "Indonesia Central"),
    ("israelcentral", "Israel Central"),
    ("italynorth", "Italy North"),
    ("japaneast", "Japan East"),
    ("japanwest", "Japan West"),
    ("jioindiacentral", "Jio India Central"),
    ("jioindiawest", "Jio India West"),
    ("koreacentral", "Korea Central"),
    ("koreasouth", "Korea South"),
    ("malaysiawest", "Malaysia West"),
    ("mexicocentral", "Mexico Central"),
    ("newzealandnorth", "New Zealand North"),
    ("northcentralus", "North Central US"),
    ("northeurope", "North Europe"),
    ("norwayeast", "Norway East"),
    ("norwaywest", "Norway West"),
    ("polandcentral", "Poland Central"),
    ("qatarcentral", "Qatar Central"),
    ("southafricanorth", "South Africa North"),
    ("southafricawest", "South Africa West"),
    ("southcentralus", "South Central US"),
    ("southeastasia", "Southeast Asia"),
    ("southindia", "South India"),
    ("spaincentral", "Spain Central"),
    ("swedencentral", "Sweden Central"),
    ("swedensouth", "Sweden South"),
    ("switzerlandnorth", "Switzerland North"),
    ("switzerlandwest", "Switzerland West"),
    ("uaecentral", "UAE Central"),
    ("uaenorth", "UAE North"),
    ("uksouth", "UK South"),
    ("ukwest", "UK West"),
    ("usdodcentral", "US DoD Central"),
    ("usdodeast", "US DoD East"),
    ("usgovarizona", "US Gov Arizona"),
    ("usgovtexas", "US Gov Texas"),
    ("usgovvirginia", "US Gov Virginia"),
    ("westcentralus", "West Central US"),
    ("westeurope", "West Europe"),
    ("westindia", "West India"),
    ("westus", "West US"),
    ("westus2", "West US 2"),
    ("westus3", "West US 3"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises_every_spelling() {
        for (given, short) in [
            ("West Europe", "westeurope"),
            ("westeurope", "westeurope"),
            ("EAST us 2", "eastus2"),
            (" UK\tSouth ", "uksouth"),
        ] {
            assert_eq!(normalise(given), short);
        }
        assert!(same_region("CentralUSEUAP", "Central US EUAP"));
        assert!(!same_region("eastus", "eastus2"));
        assert_eq!(display_name("EastUS2"), Some("East US 2"));
        assert_eq!(display_name("moonbase"), None);
    }

    #[test]
    fn suggests_similar_regions() {
        for (given, meant) in [
            ("westeuorpe", Some("westeurope")),
            ("west-europe", Some("westeurope")),
            ("useast", Some("eastus")),
            ("eastus4", Some("eastus")),
            ("North Eurpe", Some("northeurope")),
            ("germanywestcentrall", Some("germanywestcentral")),
            ("moonbase", None),
            ("eastus", None),
            ("", None),
        ] {
            assert_eq!(nearest(given), meant, "{given}");
        }
    }

    #[test]
    fn the_table_is_sorted_and_consistent() {
        for (short, display) in REGIONS {
            assert_eq!(normalise(display), *short);
        }
        assert!(REGIONS.windows(2).all(|pair| pair[0].0 < pair[1].0), "sorted, without duplicates");
    }
}
