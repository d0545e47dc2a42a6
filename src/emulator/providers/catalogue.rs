//! The Marketplace as data: the available images, and the naming schemes of their versions.

use super::super::json::Json;

/// The naming scheme of an image's versions.
#[allow(missing_docs)]
pub enum Naming {
    /// `22.04.202401010`: a prefix, a date and a suffix. There are `count` versions, `days` apart, starting in a year and month.
    Dated { prefix: &'static str, suffix: &'static str, from: (u16, u8), count: u16, days: u16 },
    /// Red Hat and similar: minor releases with a few dated builds each. The lexicographic order is wrong once a minor release
    /// has two digits.
    Minor { major: u8, minors: (u8, u8), builds: u8, year: u16 },
    /// Windows: build, an increasing revision, and `yymmdd` of each month's second Tuesday.
    Windows { build: u32, revision: u32, from: (u16, u8), count: u16 },
    /// A fixed list of names.
    List(&'static [&'static str]),
}

/// The deprecation status of an image.
pub enum Deprecation {
    /// Active.
    Active,
    /// Scheduled for deprecation, with an alternative plan.
    Scheduled(&'static str, &'static str),
    /// Deprecated.
    Deprecated(&'static str, &'static str),
}

impl Deprecation {
    /// State, time and alternative.
    pub fn show(&self) -> (&'static str, Option<String>, Option<Json>) {
        let (state, time, plan) = match self {
            Deprecation::Active => return ("Active", None, None),
            Deprecation::Scheduled(time, plan) => ("ScheduledForDeprecation", time, plan),
            Deprecation::Deprecated(time, plan) => ("Deprecated", time, plan),
        };
        let alternative = Json::object().with("type", "Plan").with("value", *plan);
        (state, Some((*time).to_owned()), Some(alternative))
    }
}

/// One SKU.
pub struct Image {
    /// Publisher.
    pub publisher: &'static str,
    /// Offer, which is also the product of the plan.
    pub offer: &'static str,
    /// SKU, which is also the name of the plan.
    pub sku: &'static str,
    /// `Linux` or `Windows`.
    pub os: &'static str,
    /// `V1` or `V2`.
    pub generation: &'static str,
    /// `x64` or `Arm64`.
    pub architecture: &'static str,
    /// Whether its terms must be accepted.
    pub plan: bool,
    /// OS disk size in GB.
    pub size_gb: i64,
    /// Features as the GET of a version shows them.
    pub features: &'static [(&'static str, &'static str)],
    /// Version names.
    pub naming: Naming,
    /// Deprecation.
    pub deprecation: Deprecation,
}

impl Image {
    /// The version names, oldest first.
    pub fn versions(&self) -> Vec<String> {
        match self.naming {
            Naming::List(names) => names.iter().map(|name| (*name).to_owned()).collect(),
            Naming::Dated { prefix, suffix, from, count, days } => (0..count)
                .map(|index| {
                    let (year, month, day) = later(from, u32::from(index) * u32::from(days));
                    format!("{prefix}{year:04}{month:02}{day:02}{suffix}")
                })
                .collect(),
            Naming::Minor { major, minors, builds, year } => {
                let mut names = Vec::new();
                for minor in minors.0..=minors.1 {
                    for build in 0..builds {
                        let months = u32::from(minor - minors.0) * 6 + u32::from(build) * 2;
                        let (year, month, day) = later((year, 1), months * 30 + 7);
                        names.push(format!("{major}.{minor}.{year:04}{month:02}{day:02}{:02}", 10 + build));
                    }
                }
                names
            }
            Naming::Windows { build, revision, from, count } => (0..count)
                .map(|index| {
                    let (year, month, _) = later(from, u32::from(index) * 30 + u32::from(index) / 2);
                    format!(
                        "{build}.{}.{:02}{month:02}{:02}",
                        revision + u32::from(index) * 171,
                        year % 100,
                        9 + index % 6
                    )
                })
                .collect(),
        }
    }
}

/// The year, month and day a number of days after the first of a month.
fn later((year, month): (u16, u8), days: u32) -> (i32, u8, u8) {
    let first = time::Month::try_from(month)
        .ok()
        .and_then(|month| time::Date::from_calendar_date(i32::from(year), month, 1).ok());
    match first.and_then(|date| date.checked_add(time::Duration::days(i64::from(days)))) {
        Some(date) => (date.year(), u8::from(date.month()), date.day()),
        None => (i32::from(year), month, 1),
    }
}

const TRUSTED: &[(&str, &str)] = &[
    ("SecurityType", "TrustedLaunchSupported"),
    ("IsAcceleratedNetworkSupported", "True"),
    ("DiskControllerTypes", "SCSI, NVMe"),
    ("IsHibernateSupported", "True"),
];
const CONFIDENTIAL: &[(&str, &str)] = &[
    ("SecurityType", "TrustedLaunchAndConfidentialVmSupported"),
    ("IsAcceleratedNetworkSupported", "True"),
    ("DiskControllerTypes", "SCSI, NVMe"),
    ("IsHibernateSupported", "True"),
];
const FIRST: &[(&str, &str)] = &[("IsAcceleratedNetworkSupported", "True"), ("IsHibernateSupported", "True")];
const PLAIN: &[(&str, &str)] = &[];

type Row = (&'static str, &'static str, &'static str);

const fn linux(
    (publisher, offer, sku): Row,
    generation: &'static str,
    size_gb: i64,
    naming: Naming,
) -> Image {
    Image {
        publisher,
        offer,
        sku,
        os: "Linux",
        generation,
        architecture: "x64",
        plan: false,
        size_gb,
        features: if generation.len() == 2 && generation.as_bytes()[1] == b'2' { TRUSTED } else { FIRST },
        naming,
        deprecation: Deprecation::Active,
    }
}

const fn windows(row: Row, naming: Naming) -> Image {
    let mut image = linux(row, "V2", 127, naming);
    image.os = "Windows";
    image.features = CONFIDENTIAL;
    image
}

const fn arm(mut image: Image) -> Image {
    image.architecture = "Arm64";
    image
}

const fn with_plan(mut image: Image) -> Image {
    image.plan = true;
    image.features = PLAIN;
    image
}

const fn featureless(mut image: Image) -> Image {
    image.features = PLAIN;
    image
}

const fn sized(mut image: Image, size_gb: i64) -> Image {
    image.size_gb = size_gb;
    image
}

const fn with_deprecation(mut image: Image, deprecation: Deprecation) -> Image {
    image.deprecation = deprecation;
    image
}

const fn ubuntu(prefix: &'static str, from: (u16, u8), count: u16) -> Naming {
    Naming::Dated { prefix, suffix: "0", from, count, days: 23 }
}

/// The whole catalogue.
pub const IMAGES: &[Image] = &[
    linux(
        ("Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2"),
        "V2",
        30,
        ubuntu("22.04.", (2024, 1), 44),
    ),
    linux(
        ("Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts"),
        "V1",
        30,
        ubuntu("22.04.", (2024, 1), 44),
    ),
    arm(linux(
        ("Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-arm64"),
        "V2",
        30,
        ubuntu("22.04.", (2024, 1), 44),
    )),
    linux(("Canonical", "ubuntu-24_04-lts", "server"), "V2", 30, ubuntu("24.04.", (2024, 5), 38)),
    linux(("Canonical", "ubuntu-24_04-lts", "server-gen1"), "V1", 30, ubuntu("24.04.", (2024, 5), 38)),
    arm(linux(("Canonical", "ubuntu-24_04-lts", "server-arm64"), "V2", 30, ubuntu("24.04.", (2024, 5), 38))),
    linux(("Canonical", "ubuntu-24_04-lts", "minimal"), "V2", 30, ubuntu("24.04.", (2024, 5), 38)),
    with_deprecation(
        linux(
            ("Canonical", "0001-com-ubuntu-server-focal", "20_04-lts-gen2"),
            "V2",
            30,
            ubuntu("20.04.", (2023, 1), 36),
        ),
        Deprecation::Scheduled("2027-05-31T00:00:00+00:00", "22_04-lts-gen2"),
    ),
    with_deprecation(
        linux(
            ("Canonical", "UbuntuServer", "18.04-LTS"),
            "V1",
            30,
            Naming::List(&["18.04.202002180", "18.04.202306070", "18.04.202401161"]),
        ),
        Deprecation::Active,
    ),
    with_deprecation(
        linux(
            ("Canonical", "UbuntuServer", "16.04-LTS"),
            "V1",
            30,
            Naming::List(&["16.04.202106110", "16.04.202109280"]),
        ),
        Deprecation::Deprecated("2024-06-01T00:00:00+00:00", "22_04-lts-gen2"),
    ),
    linux(
        ("RedHat", "RHEL", "9-lvm-gen2"),
        "V2",
        64,
        Naming::Minor { major: 9, minors: (1, 11), builds: 3, year: 2022 },
    ),
    linux(
        ("RedHat", "RHEL", "8-lvm-gen2"),
        "V2",
        64,
        Naming::Minor { major: 8, minors: (4, 10), builds: 4, year: 2021 },
    ),
    linux(
        ("RedHat", "RHEL", "96-gen2"),
        "V2",
        64,
        Naming::Minor { major: 9, minors: (6, 6), builds: 9, year: 2025 },
    ),
    linux(
        ("suse", "sles-15-sp6", "gen2"),
        "V2",
        30,
        Naming::Dated { prefix: "", suffix: "", from: (2024, 7), count: 24, days: 34 },
    ),
    linux(
        ("suse", "sles-15-sp5", "gen2"),
        "V2",
        30,
        Naming::List(&["2024.01.17", "2024.02.05", "2024.06.14", "2024.10.29", "2025.03.11", "2025.12.02"]),
    ),
    linux(
        ("Debian", "debian-12", "12-gen2"),
        "V2",
        30,
        Naming::Dated { prefix: "0.", suffix: ".1811", from: (2024, 2), count: 36, days: 26 },
    ),
    arm(linux(
        ("Debian", "debian-12", "12-arm64"),
        "V2",
        30,
        Naming::Dated { prefix: "0.", suffix: ".1811", from: (2024, 2), count: 36, days: 26 },
    )),
    linux(
        ("Debian", "debian-13", "13-gen2"),
        "V2",
        30,
        Naming::Dated { prefix: "0.", suffix: ".2210", from: (2025, 8), count: 14, days: 29 },
    ),
    windows(
        ("MicrosoftWindowsServer", "WindowsServer", "2022-datacenter-g2"),
        Naming::Windows { build: 20_348, revision: 2_113, from: (2023, 11), count: 34 },
    ),
    windows(
        ("MicrosoftWindowsServer", "WindowsServer", "2022-datacenter-azure-edition"),
        Naming::Windows { build: 20_348, revision: 2_113, from: (2023, 11), count: 34 },
    ),
    sized(
        windows(
            ("MicrosoftWindowsServer", "WindowsServer", "2022-datacenter-smalldisk-g2"),
            Naming::List(&["20348.2762.241006", "20348.2849.241105", "20348.2966.241205"]),
        ),
        30,
    ),
    windows(
        ("MicrosoftWindowsServer", "WindowsServer", "2025-datacenter-g2"),
        Naming::Windows { build: 26_100, revision: 2_033, from: (2024, 11), count: 22 },
    ),
    with_deprecation(
        windows(
            ("MicrosoftWindowsServer", "WindowsServer", "2016-datacenter-gensecond"),
            Naming::Windows { build: 14_393, revision: 6_452, from: (2023, 11), count: 24 },
        ),
        Deprecation::Scheduled("2027-01-12T00:00:00+00:00", "2022-datacenter-g2"),
    ),
    windows(
        ("MicrosoftWindowsDesktop", "windows-11", "win11-24h2-ent"),
        Naming::Windows { build: 26_100, revision: 1_742, from: (2024, 9), count: 24 },
    ),
    windows(
        ("MicrosoftWindowsDesktop", "office-365", "win11-24h2-avd-m365"),
        Naming::Windows { build: 26_100, revision: 1_742, from: (2024, 9), count: 24 },
    ),
    linux(
        ("almalinux", "almalinux-x86_64", "9-gen2"),
        "V2",
        30,
        Naming::Minor { major: 9, minors: (2, 10), builds: 3, year: 2023 },
    ),
    linux(
        ("almalinux", "almalinux-x86_64", "8-gen2"),
        "V2",
        30,
        Naming::Minor { major: 8, minors: (6, 10), builds: 4, year: 2022 },
    ),
    with_plan(linux(
        ("resf", "rockylinux-x86_64", "9-lvm"),
        "V2",
        10,
        Naming::List(&[
            "9.1.20221130",
            "9.2.20230513",
            "9.3.20231113",
            "9.4.20240509",
            "9.5.20241118",
            "9.6.20250531",
            "9.7.20251123",
            "9.10.20260510",
        ]),
    )),
    with_plan(linux(
        ("resf", "rockylinux-x86_64", "8-base"),
        "V2",
        10,
        Naming::List(&["8.6.20220702", "8.7.20221130", "8.8.20230519", "8.9.20231119", "8.10.20240528"]),
    )),
    with_plan(linux(
        ("fortinet", "fortinet_fortigate-vm_v5", "fortinet_fg-vm_payg_2023"),
        "V1",
        2,
        Naming::List(&[
            "7.0.12", "7.0.13", "7.0.14", "7.0.15", "7.2.5", "7.2.6", "7.2.7", "7.2.8", "7.2.9", "7.2.10",
            "7.4.1", "7.4.2", "7.4.3", "7.4.4", "7.4.5", "7.4.6", "7.4.7", "7.4.8", "7.4.9", "7.4.10",
            "7.6.0", "7.6.1", "7.6.2", "7.6.3",
        ]),
    )),
    with_plan(linux(
        ("fortinet", "fortinet_fortigate-vm_v5", "fortinet_fg-vm_payg"),
        "V1",
        2,
        Naming::List(&["5.6.4", "5.6.5", "6.0.02", "6.2.3", "6.4.2", "6.4.10"]),
    )),
    with_plan(linux(
        ("kinvolk", "flatcar-container-linux", "stable"),
        "V1",
        30,
        Naming::List(&[
            "3374.2.5", "3510.2.8", "3602.2.3", "3760.2.0", "3815.2.5", "3975.2.1", "4081.2.0", "4152.2.3",
            "4230.2.4",
        ]),
    )),
    linux(
        ("kinvolk", "flatcar-container-linux-free", "stable-gen2"),
        "V2",
        30,
        Naming::List(&[
            "3374.2.5", "3510.2.8", "3602.2.3", "3760.2.0", "3815.2.0", "3815.2.5", "3975.2.0", "3975.2.1",
            "4081.2.0", "4081.2.1", "4152.2.0", "4152.2.3", "4230.2.0", "4230.2.4", "4459.2.0",
        ]),
    ),
    with_plan(linux(
        ("paloaltonetworks", "vmseries-flex", "byol"),
        "V1",
        60,
        Naming::List(&[
            "10.1.9", "10.2.3", "10.2.4", "10.2.901", "11.0.0", "11.0.3", "11.1.0", "11.1.2", "11.1.202",
            "11.2.3",
        ]),
    )),
    with_plan(linux(
        ("cisco", "cisco-csr-1000v", "17_3_4a-byol"),
        "V1",
        16,
        Naming::List(&["17.3.420210424", "17.3.420210701", "17.3.820230503"]),
    )),
    with_plan(linux(
        ("barracudanetworks", "barracuda-ng-firewall", "byol"),
        "V1",
        80,
        Naming::List(&["8.3.0.205", "8.3.1.086", "9.0.0.324", "9.0.2.051", "9.0.10.012"]),
    )),
    featureless(linux(
        ("OpenLogic", "CentOS", "7.5"),
        "V1",
        30,
        Naming::List(&["7.5.201805150", "7.5.201808150"]),
    )),
    featureless(linux(
        ("OpenLogic", "CentOS", "7.7"),
        "V1",
        30,
        Naming::List(&["7.7.201912090", "7.7.2020042900", "7.7.2021020400"]),
    )),
    linux(
        ("Debian", "debian-10", "10"),
        "V1",
        30,
        Naming::List(&["0.20230802.1460", "0.20240204.1647", "0.20240430.1733", "0.20240703.1797"]),
    ),
    linux(
        ("Debian", "debian-11", "11-backports-gen2"),
        "V2",
        30,
        Naming::Dated { prefix: "0.", suffix: ".1811", from: (2024, 2), count: 24, days: 26 },
    ),
    linux(
        ("OpenLogic", "CentOS-HPC", "7.9-gen2"),
        "V2",
        30,
        Naming::List(&["7.9.2024.05.1", "7.9.2024.08.2", "7.9.2024.11.10", "7.9.2025.02.1"]),
    ),
    linux(("bitnami", "nginxstack", "1-9"), "V1", 30, Naming::List(&["1.22", "1.24", "1.26", "1.27"])),
];
