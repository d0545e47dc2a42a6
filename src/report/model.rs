//! The contents of a report. Its JSON is the output of `report --format json` and the data of the HTML page.

use std::collections::BTreeMap;

use serde::Serialize;

/// A report on the galleries of one or more subscriptions.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// When the report was created, as an RFC 3339 date.
    pub generated_at: String,
    /// The currency of all costs; absent if costs were not requested.
    pub currency: Option<String>,
    /// The sum of all costs per month, in decimal notation.
    pub monthly_cost: Option<String>,
    /// Notes on missing information, as complete sentences.
    pub notes: Vec<String>,
    /// The galleries, by ID.
    pub galleries: Vec<Gallery>,
}

/// A gallery.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Gallery {
    /// Its ARM ID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its resource group.
    pub resource_group: String,
    /// Its region.
    pub location: String,
    /// Its provisioning state.
    pub state: Option<String>,
    /// `Private`, `Groups` or `Community`.
    pub sharing: Option<String>,
    /// Whether soft delete is enabled.
    pub soft_delete: bool,
    /// Its image definitions, by name.
    pub definitions: Vec<Definition>,
}

/// An image definition.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Definition {
    /// Its ARM ID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `Linux` or `Windows`.
    pub os_type: Option<String>,
    /// `V1` or `V2`.
    pub generation: Option<String>,
    /// `x64` or `Arm64`.
    pub architecture: Option<String>,
    /// The security type, such as `TrustedLaunchSupported`.
    pub security_type: Option<String>,
    /// The cost of all its versions per month.
    pub monthly_cost: Option<String>,
    /// Why some users of its versions may be missing.
    pub usage_note: Option<String>,
    /// Its versions, newest first.
    pub versions: Vec<Version>,
}

/// An image version.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Version {
    /// Its ARM ID.
    pub id: String,
    /// The version number.
    pub version: String,
    /// Its provisioning state.
    pub state: Option<String>,
    /// When it was published.
    pub published_date: Option<String>,
    /// When it should no longer be used.
    pub end_of_life_date: Option<String>,
    /// Whether the end-of-life date has passed.
    pub is_past_end_of_life: bool,
    /// Whether it is excluded when resolving `latest`.
    pub exclude_from_latest: bool,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The size of all its disks, in GB.
    pub size_gb: Option<i64>,
    /// Its cost per month.
    pub monthly_cost: Option<String>,
    /// The regions with replicas.
    pub regions: Vec<Region>,
    /// Its users; absent if usage was not requested.
    pub users: Option<Vec<User>>,
    /// The Marketplace image in one of its tags.
    pub base_image: Option<BaseImage>,
    /// The result of a retention policy; absent without a policy.
    pub retention: Option<Retention>,
}

/// A region that a version is replicated to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Region {
    /// Its short name.
    pub name: String,
    /// The number of replicas.
    pub replicas: i64,
    /// The storage account type of the replicas.
    pub storage_account_type: Option<String>,
    /// `Completed`, `Replicating`, `Failed` or `Unknown`.
    pub state: String,
    /// The replication progress in percent.
    pub progress: i64,
    /// Whether the version is excluded when resolving `latest` in this region.
    pub exclude_from_latest: bool,
}

/// A user of a version.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct User {
    /// Its ARM ID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its kind, such as `virtual machine`.
    pub kind: String,
}

/// A Marketplace image that a version was built from.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BaseImage {
    /// Its URN.
    pub urn: String,
    /// Why it should no longer be used.
    pub warning: Option<String>,
}

/// What a retention policy would do with a version.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Retention {
    /// `keep` or `remove`.
    pub action: &'static str,
    /// Why.
    pub reason: String,
}

impl Report {
    /// All versions.
    pub fn versions(&self) -> impl Iterator<Item = &Version> {
        self.definitions().flat_map(|definition| &definition.versions)
    }

    /// All image definitions.
    pub fn definitions(&self) -> impl Iterator<Item = &Definition> {
        self.galleries.iter().flat_map(|gallery| &gallery.definitions)
    }

    /// The figures at the beginning of the report, each with its label.
    pub fn totals(&self) -> Vec<(String, String)> {
        let count = |number: usize, noun: &str| (number.to_string(), plural(number, noun));
        let versions = self.versions().count();
        let mut totals = vec![
            count(self.galleries.len(), "gallery"),
            count(self.definitions().count(), "image definition"),
            count(versions, "image version"),
        ];
        if self.versions().any(|version| version.users.is_some()) {
            let unused =
                self.versions().filter(|version| version.users.as_ref().is_some_and(Vec::is_empty)).count();
            totals.push((unused.to_string(), "without a known user".to_owned()));
        }
        if self.versions().any(|version| version.retention.is_some()) {
            let removed = self.versions().filter(|version| version.would_be_removed()).count();
            totals.push((removed.to_string(), "would be removed".to_owned()));
        }
        if let (Some(cost), Some(currency)) = (&self.monthly_cost, &self.currency) {
            totals.push((cost.clone(), format!("{currency} a month at most")));
        }
        totals
    }
}

impl Version {
    /// Whether a retention policy would remove it.
    pub fn would_be_removed(&self) -> bool {
        self.retention.as_ref().is_some_and(|retention| retention.action == "remove")
    }
}

fn plural(number: usize, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => noun.to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        (_, None) => format!("{noun}s"),
    }
}

#[cfg(test)]
pub mod sample {
    //! A report for the tests of the formats.

    use super::*;

    /// One gallery with two versions: one in use, one that would be removed.
    pub fn report() -> Report {
        let gallery =
            "/subscriptions/s/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden";
        let version = |name: &str| Version {
            id: format!("{gallery}/images/web/versions/{name}"),
            version: name.to_owned(),
            state: Some("Succeeded".to_owned()),
            published_date: Some("2026-01-01T00:00:00Z".to_owned()),
            size_gb: Some(30),
            monthly_cost: Some("3.00".to_owned()),
            regions: vec![Region {
                name: "eastus".to_owned(),
                replicas: 2,
                state: "Completed".to_owned(),
                progress: 100,
                ..Region::default()
            }],
            users: Some(Vec::new()),
            ..Version::default()
        };
        let used = Version {
            users: Some(vec![User {
                id: "/vm/web-1".to_owned(),
                name: "web-1".to_owned(),
                kind: "virtual machine".to_owned(),
            }]),
            tags: BTreeMap::from([("team".to_owned(), "a|b <c>".to_owned())]),
            retention: Some(Retention { action: "keep", reason: "in use".to_owned() }),
            ..version("1.10.0")
        };
        let removed = Version {
            end_of_life_date: Some("2026-02-01T00:00:00Z".to_owned()),
            is_past_end_of_life: true,
            retention: Some(Retention { action: "remove", reason: "no rule keeps it".to_owned() }),
            ..version("1.9.0")
        };
        Report {
            generated_at: "2026-11-28T12:00:00Z".to_owned(),
            currency: Some("USD".to_owned()),
            monthly_cost: Some("6.00".to_owned()),
            notes: vec!["Subscription b is not readable.".to_owned()],
            galleries: vec![Gallery {
                id: gallery.to_owned(),
                name: "golden".to_owned(),
                resource_group: "images-rg".to_owned(),
                location: "eastus".to_owned(),
                sharing: Some("Private".to_owned()),
                definitions: vec![Definition {
                    id: format!("{gallery}/images/web"),
                    name: "web".to_owned(),
                    os_type: Some("Linux".to_owned()),
                    monthly_cost: Some("6.00".to_owned()),
                    versions: vec![used, removed],
                    ..Definition::default()
                }],
                ..Gallery::default()
            }],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_contain_only_requested_figures() {
        let totals: Vec<String> =
            sample::report().totals().into_iter().map(|(number, what)| format!("{number} {what}")).collect();
        assert_eq!(
            totals,
            [
                "1 gallery",
                "1 image definition",
                "2 image versions",
                "1 without a known user",
                "1 would be removed",
                "6.00 USD a month at most"
            ]
        );
        let totals = Report::default().totals();
        assert_eq!(totals[0], ("0".to_owned(), "galleries".to_owned()));
        assert_eq!(totals.len(), 3, "figures that were not requested are omitted");
    }
}
