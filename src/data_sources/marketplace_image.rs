//! The data source `azimage_marketplace_image`: resolves a Marketplace URN, `latest` or a constraint to one exact image.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value as Json;
use time::OffsetDateTime;

use super::finding::report;
use crate::azure::attributes::check_location;
use crate::azure::marketplace::{
    Market, Pick, Status, check_offer, check_publisher, check_sku, check_urn, check_version, is_newer,
};
use crate::azure::{Context, body};
use crate::framework::timeouts::ReadTimeouts;
use crate::framework::{DataSource, Op};
use crate::image::{Urn, UrnPart, Wanted};
use crate::model;
use crate::schema::spec::{block, computed, optional, optional_computed, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Value};

model! {
    /// Resolves a Marketplace image (an exact version, `latest`, or a constraint) to one exact version, and reads its
    /// properties. Versions are compared by number, with any number of segments.
    ///
    /// Set either `urn`, or `publisher`, `offer`, `sku` and `version`. In both cases, `urn` and `version` of the result are
    /// exact.
    pub struct Model {
        /// The location whose Marketplace is read, in any spelling.
        pub location: String = required().check_text(check_location),
        /// The image as `publisher:offer:sku:version`. Its version may be exact, `latest`, or a constraint. The result is always
        /// the exact URN.
        pub urn: Option<String> = optional_computed().resolved().check_text(check_urn),
        /// The publisher, such as `Canonical`.
        pub publisher: Option<String> = optional_computed().check_text(check_publisher),
        /// The offer, such as `0001-com-ubuntu-server-jammy`.
        pub offer: Option<String> = optional_computed().check_text(check_offer),
        /// The SKU, such as `22_04-lts-gen2`.
        pub sku: Option<String> = optional_computed().check_text(check_sku),
        /// An exact version, `latest`, or a constraint such as `~> 22.04.202501010`. Defaults to `latest`. The result is always
        /// the exact version.
        pub version: Option<String> = optional_computed().resolved().or_empty().check_text(check_version),
        /// Whether `latest` and constraints may select versions that the publisher has deprecated. Defaults to `false`.
        pub include_deprecated: Option<bool> = optional(),
        /// The same as `version`, but unknown while reading is deferred to apply.
        pub exact_version: Option<String> = computed(),
        /// The same as `urn`, but unknown while reading is deferred to apply.
        pub exact_urn: Option<String> = computed(),
        /// The ARM ID of the exact version in this location.
        pub id: Option<String> = computed(),
        /// `Linux` or `Windows`.
        pub os_type: Option<String> = computed(),
        /// `x64` or `Arm64`.
        pub architecture: Option<String> = computed(),
        /// `V1` or `V2`.
        pub hyper_v_generation: Option<String> = computed(),
        /// Further features by name, such as `SecurityType` or `IsAcceleratedNetworkSupported`.
        pub features: BTreeMap<String, String> = computed(),
        /// The size of the operating system disk in GiB.
        pub os_disk_size_gb: Option<i64> = computed(),
        /// The number of data disks in the image.
        pub data_disk_count: Option<i64> = computed(),
        /// The logical unit numbers of the data disks in the image, in ascending order. A virtual machine from the image gets
        /// these disks; additional disks need other numbers.
        pub data_disk_luns: Vec<i64> = computed(),
        /// The purchase plan that a virtual machine from the image must name. Null if the image has no terms to accept.
        pub plan: Option<Plan> = computed(),
        /// The newest version. Deprecated versions count only with `include_deprecated`.
        pub newest_version: Option<String> = computed(),
        /// Whether there is no newer version.
        pub is_newest: Option<bool> = computed(),
        /// `Active`, `ScheduledForDeprecation` or `Deprecated`.
        pub deprecation_state: Option<String> = computed(),
        /// When the version is, or was, deprecated.
        pub scheduled_deprecation_time: Option<String> = computed(),
        /// The publisher's proposed replacement of a deprecated image, as a URN.
        pub alternative_urn: Option<String> = computed(),
        /// How long reading may take.
        pub timeouts: Option<ReadTimeouts> = block(),
    }
}

model! {
    /// A Marketplace purchase plan.
    pub struct Plan {
        /// The plan's name.
        pub name: String = computed(),
        /// The plan's publisher.
        pub publisher: String = computed(),
        /// The plan's product.
        pub product: String = computed(),
    }
}

/// The data source.
pub struct MarketplaceImage;

#[async_trait]
impl DataSource<Context> for MarketplaceImage {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_marketplace_image"
    }

    fn validate(&self, config: &Value, found: &mut Diagnostics) {
        let parts = ["publisher", "offer", "sku"];
        let urn = config.get("urn");
        if urn.is_null() {
            if parts.iter().all(|part| config.get(part).is_null()) {
                found.error(
                    Path::attribute("urn"),
                    "No image is named",
                    "Set urn, or publisher, offer and sku.",
                );
                return;
            }
            for part in parts.iter().filter(|part| config.get(part).is_null()) {
                found.error(
                    Path::attribute(*part),
                    format!("{part} is missing"),
                    "Set either urn, or all of publisher, offer and sku.",
                );
            }
        } else if urn.is_known() {
            for part in ["publisher", "offer", "sku", "version"] {
                if !config.get(part).is_null() {
                    found.error(
                        Path::attribute(part),
                        format!("{part} cannot be used with urn"),
                        format!("The urn already contains the {part}: remove one of them."),
                    );
                }
            }
        }
    }

    async fn read(&self, context: &Context, op: &Op, config: Model) -> Result<Model, Diagnostics> {
        let asked = Asked::read(&config)?;
        let Asked { urn, wanted, .. } = &asked;
        let mut found = Diagnostics::new();
        if wanted.is_latest() {
            context.guardrails.latest(asked.path(UrnPart::Version), &mut found);
        }
        report(op, std::mem::take(&mut found))?;

        let now = OffsetDateTime::now_utc();
        let include_deprecated = config.include_deprecated.unwrap_or_default();
        let market =
            Market::open(context, op, &config.location, format!("reading Marketplace image \"{urn}\""))
                .await?;
        let fault = |error| Diagnostics::from(market.fault(&error, &urn.to_string()));
        let mut listed = market.versions(urn).await.map_err(fault)?;
        let pick = market.pick(urn, &mut listed, wanted, include_deprecated, now).await.map_err(fault)?;
        let version = match (pick, wanted) {
            (Pick::One(version), _) => version,
            // the service may have a version that it does not list
            (Pick::Nothing, Wanted::Exact(version)) => version.to_string(),
            (Pick::Deprecated(version), _) => return Err(asked.deprecated(&version).into()),
            (Pick::Nothing, _) => String::new(),
        };
        let exact = urn.with_version(&version);
        let image = if version.is_empty() { None } else { market.image(&exact).await.map_err(fault)? };
        let Some(image) = image else {
            let missing = market.missing(urn, wanted).await.map_err(fault)?;
            let path = asked.path(missing.part);
            return Err(missing.diagnostic(path).into());
        };

        let in_list =
            listed.iter().find(|listed| listed.version == version).and_then(|listed| listed.status.clone());
        let status = Status::read(&image).or(in_list).unwrap_or_default();
        let alternative_urn = status.alternative_urn(&exact);
        context.guardrails.deprecated(
            asked.path(UrnPart::Version),
            &exact.to_string(),
            &status.state,
            alternative_urn.as_deref(),
            &mut found,
        );
        report(op, found)?;

        let newest = match market
            .pick(urn, &mut listed, &Wanted::Latest, include_deprecated, now)
            .await
            .map_err(fault)?
        {
            Pick::One(newest) | Pick::Deprecated(newest) => newest,
            Pick::Nothing => version.clone(),
        };
        let id = market.image_id(&exact);
        Ok(Model {
            is_newest: Some(!is_newer(&newest, &version)),
            newest_version: Some(newest),
            deprecation_state: Some(status.state),
            scheduled_deprecation_time: status.time,
            alternative_urn,
            id: Some(id),
            ..flatten(config, &exact, &image)
        })
    }
}

/// The requested image, and the arguments that name it.
struct Asked {
    urn: Urn,
    wanted: Wanted,
    by_urn: bool,
}

impl Asked {
    fn read(config: &Model) -> Result<Asked, Diagnostic> {
        let by_urn = config.urn.is_some();
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        let urn = match &config.urn {
            Some(urn) => Urn::parse(urn),
            None => {
                let version = config.version.as_deref().unwrap_or("latest");
                Urn::new(&text(&config.publisher), &text(&config.offer), &text(&config.sku), version)
            }
        };
        let urn = urn.map_err(|error| {
            let part = error.part.unwrap_or(UrnPart::Version);
            Diagnostic::error("Invalid Marketplace image", error.to_string()).at(path(by_urn, part))
        })?;
        let wanted = Wanted::parse(&urn.version).map_err(|error| {
            Diagnostic::error("Invalid value for version", error.to_string())
                .at(path(by_urn, UrnPart::Version))
        })?;
        Ok(Asked { urn, wanted, by_urn })
    }

    fn path(&self, part: UrnPart) -> Path {
        path(self.by_urn, part)
    }

    fn deprecated(&self, newest: &str) -> Diagnostic {
        let Urn { publisher, offer, sku, .. } = &self.urn;
        let image = format!("{publisher}:{offer}:{sku}");
        let what = match &self.wanted {
            Wanted::Constraint(constraint) => {
                format!("Every version of {image} that satisfies \"{constraint}\" is deprecated")
            }
            _ => format!("Every version of {image} is deprecated"),
        };
        Diagnostic::error(
            what,
            format!(
                "The newest of them is {newest}. No new virtual machine can be created from it: choose another image. \
                 To read it nevertheless, set include_deprecated = true, or name it exactly."
            ),
        )
        .at(self.path(UrnPart::Version))
    }
}

fn path(by_urn: bool, part: UrnPart) -> Path {
    Path::attribute(match part {
        _ if by_urn => "urn",
        UrnPart::Publisher => "publisher",
        UrnPart::Offer => "offer",
        UrnPart::Sku => "sku",
        UrnPart::Version => "version",
    })
}

fn flatten(config: Model, urn: &Urn, image: &Json) -> Model {
    let plan = body::at(image, "properties.plan").map(|plan| Plan {
        name: body::text(plan, "name").unwrap_or_default(),
        publisher: body::text(plan, "publisher").unwrap_or_default(),
        product: body::text(plan, "product").unwrap_or_default(),
    });
    let features = body::items(image, "properties.features")
        .iter()
        .filter_map(|feature| {
            Some((body::text(feature, "name")?, body::text(feature, "value").unwrap_or_default()))
        })
        .collect();
    let data_disks = body::items(image, "properties.dataDiskImages");
    let mut data_disk_luns: Vec<i64> = data_disks.iter().filter_map(|disk| body::int(disk, "lun")).collect();
    data_disk_luns.sort_unstable();
    let size = body::int(image, "properties.osDiskImage.sizeInGb")
        .or_else(|| body::int(image, "properties.osDiskImage.sizeInBytes").map(gibibytes));
    Model {
        urn: Some(urn.to_string()),
        publisher: Some(urn.publisher.clone()),
        offer: Some(urn.offer.clone()),
        sku: Some(urn.sku.clone()),
        version: Some(urn.version.clone()),
        exact_version: Some(urn.version.clone()),
        exact_urn: Some(urn.to_string()),
        os_type: body::text(image, "properties.osDiskImage.operatingSystem"),
        architecture: body::text(image, "properties.architecture"),
        hyper_v_generation: body::text(image, "properties.hyperVGeneration"),
        features,
        os_disk_size_gb: size,
        data_disk_count: Some(data_disks.len() as i64),
        data_disk_luns,
        plan: plan.filter(|plan| *plan != Plan::default()),
        location: config.location,
        include_deprecated: config.include_deprecated,
        timeouts: config.timeouts,
        ..Model::default()
    }
}

// The VHD of a fixed disk is up to 2 MiB larger than the disk: 32213303808 bytes are 30 GiB.
fn gibibytes(bytes: i64) -> i64 {
    const GIB: i64 = 1 << 30;
    const FOOTER: i64 = 2 << 20;
    (bytes - FOOTER).max(0) / GIB + i64::from((bytes - FOOTER).max(0) % GIB > 0)
}

#[cfg(test)]
#[path = "marketplace_image_tests.rs"]
mod tests;
