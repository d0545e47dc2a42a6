//! `azimage_marketplace_pin`: pins an exact Marketplace version until the pin's keepers change.

use std::collections::BTreeMap;

use async_trait::async_trait;
use time::OffsetDateTime;

use crate::arm::{Kind, ResourceId, region};
use crate::azure::attributes::{check_location, eq_ignore_case, location};
use crate::azure::identity;
use crate::azure::marketplace::{Market, Pick, Status, image_id, is_newer};
use crate::azure::{Call, Context, guardrails::Guardrails};
use crate::framework::timeouts::Defaults;
use crate::framework::{Draft, Failed, IdentityField, ImportFrom, Op, Operations, Resource, Timeouts};
use crate::image::{Urn, Wanted};
use crate::model;
use crate::schema::spec::{block, computed, optional, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Value};

model! {
    /// Pins a Marketplace image to one exact version.
    ///
    /// The pin keeps its `urn`, and plans show no changes, until `keepers` change or the configured URN has another
    /// publisher, offer or SKU. The plan then shows the old and the new URN, and the apply pins the version that the
    /// plan showed.
    ///
    /// Look up the newest version with the data source `azimage_marketplace_image`, and pin its result. The resource
    /// exists only in the Terraform state; nothing is written to Azure. A refresh reports newer versions, deprecation
    /// and withdrawal in warnings and attributes, and does not move the pin.
    pub struct Model {
        /// The ID of the pin: its location and its first URN, as `LOCATION|URN`. It does not change when the pin
        /// moves.
        pub id: Option<String> = computed(),
        /// The location whose Marketplace is read, in any spelling.
        pub location: String = location(),
        /// The image, as `publisher:offer:sku:version` with an exact version. The pin takes this value when it is
        /// created and when `keepers` change, and keeps it otherwise.
        pub urn: String = required().check_text(check_exact),
        /// Arbitrary values. The pin moves to the configured `urn` when a value is changed, added or removed. A value
        /// that is known only after apply counts as changed.
        pub keepers: Option<BTreeMap<String, String>> = optional().or_empty().check(check_keepers),
        /// The publisher of the pinned image.
        pub publisher: Option<String> = computed(),
        /// The offer of the pinned image.
        pub offer: Option<String> = computed(),
        /// The SKU of the pinned image.
        pub sku: Option<String> = computed(),
        /// The pinned version.
        pub version: Option<String> = computed(),
        /// The ARM ID of the pinned version.
        pub image_id: Option<String> = computed(),
        /// The newest version in the Marketplace at the last refresh, without deprecated versions.
        pub newest_version: Option<String> = computed(),
        /// Whether a newer version was available at the last refresh.
        pub upgrade_available: Option<bool> = computed(),
        /// Whether the publisher had withdrawn the pinned version at the last refresh.
        pub withdrawn: Option<bool> = computed(),
        /// The deprecation state at the last refresh: `Active`, `ScheduledForDeprecation` or `Deprecated`. Null if
        /// the version was withdrawn.
        pub deprecation_state: Option<String> = computed(),
        /// The date from which the pinned version is deprecated.
        pub scheduled_deprecation_time: Option<String> = computed(),
        /// How long each operation may take.
        pub timeouts: Option<Timeouts> = block(),
    }
}

/// The resource type.
pub struct MarketplacePin;

const LOCATION: IdentityField =
    IdentityField { name: "location", required: true, doc: "The location that the pin was made for." };
const URN: IdentityField =
    IdentityField { name: "urn", required: true, doc: "The exact URN that the pin was made with." };

// values that follow from the URN
const DERIVED: [&str; 5] = ["publisher", "offer", "sku", "version", "image_id"];
// values that only the Marketplace knows
const SEEN: [&str; 5] =
    ["newest_version", "upgrade_available", "withdrawn", "deprecation_state", "scheduled_deprecation_time"];

#[async_trait]
impl Resource<Context> for MarketplacePin {
    type Model = Model;

    const TYPE_NAME: &'static str = "azimage_marketplace_pin";

    fn identity(&self) -> &'static [IdentityField] {
        &[LOCATION, URN]
    }

    // from the ID, which does not change, and not from the URN, which does
    fn identify(&self, model: &Model) -> Vec<Option<String>> {
        let parts = model.id.as_deref().and_then(|id| id.split_once('|'));
        vec![parts.map(|(location, _)| location.to_owned()), parts.map(|(_, urn)| urn.to_owned())]
    }

    fn timeouts(&self) -> Defaults {
        Defaults::minutes(5, 5, 5, 5)
    }

    fn import(&self, _context: Option<&Context>, from: &ImportFrom) -> Result<Model, Diagnostic> {
        let wrong = |given: &str, why: String| {
            Diagnostic::error(
                format!("Importing azimage_marketplace_pin: {given:?} is not a valid ID"),
                format!(
                    "{why}. Write LOCATION|PUBLISHER:OFFER:SKU:VERSION with an exact version, or the ARM ID of a Marketplace image."
                ),
            )
        };
        let (location, text) = match from {
            ImportFrom::Identity(given) => {
                (identity::text(given, &LOCATION).to_owned(), identity::text(given, &URN).to_owned())
            }
            ImportFrom::Id(id) if id.trim_start().starts_with('/') => from_image_id(id)
                .ok_or_else(|| wrong(id, "It is not the ID of a Marketplace image".to_owned()))?,
            ImportFrom::Id(id) => id
                .split_once('|')
                .map(|(location, urn)| (location.trim().to_owned(), urn.trim().to_owned()))
                .ok_or_else(|| wrong(id, "There is no | between location and URN".to_owned()))?,
        };
        check_location(&location).map_err(|why| wrong(&location, format!("The location {why}")))?;
        let urn = Urn::parse_exact(&text).map_err(|error| wrong(&text, error.to_string()))?;
        Ok(Model { id: Some(pin_id(&location, &text)), location, urn: urn.to_string(), ..Model::default() })
    }

    // Terraform plans again at apply, and the result must match the first plan, so this depends only on the draft.
    fn prepare(&self, context: Option<&Context>, draft: &mut Draft<'_>) {
        match disposition(draft) {
            Disposition::Keep => {
                let urn = draft.prior.get("urn").clone();
                draft.planned.set("urn", urn);
            }
            Disposition::Undecided => {
                for name in DERIVED.iter().chain(&SEEN) {
                    draft.planned.set(name, Value::Unknown);
                }
                draft.planned.set("urn", Value::Unknown);
                if draft.is_create() {
                    draft.planned.set("id", Value::Unknown);
                }
            }
            Disposition::Move(urn) => {
                let location = draft.planned.get("location").as_str().map(str::to_owned);
                let subscription = context.and_then(|context| context.subscription_id.as_deref());
                let known = |text: Option<String>| text.map_or(Value::Unknown, Value::String);
                let image_id = location
                    .as_deref()
                    .zip(subscription)
                    .map(|(location, subscription)| image_id(subscription, location, &urn));
                draft.planned.set("image_id", known(image_id));
                if draft.is_create() {
                    draft
                        .planned
                        .set("id", known(location.map(|location| pin_id(&location, &urn.to_string()))));
                }
                for name in SEEN {
                    draft.planned.set(name, Value::Unknown);
                }
                for (name, text) in [
                    ("publisher", urn.publisher),
                    ("offer", urn.offer),
                    ("sku", urn.sku),
                    ("version", urn.version),
                ] {
                    draft.planned.set(name, Value::String(text));
                }
            }
        }
    }

    async fn check(&self, context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
        let planned = &draft.planned;
        let (Some(urn), Some(location)) = (exact(planned), planned.get("location").as_str()) else {
            return;
        };
        if !draft.is_create() && !draft.changes("urn") {
            let state = match planned.get("withdrawn").as_bool() {
                Some(true) => Some("withdrawn"),
                _ => planned.get("deprecation_state").as_str(),
            };
            context.guardrails.deprecated(
                Path::attribute("urn"),
                &urn.to_string(),
                state.unwrap_or("Active"),
                None,
                found,
            );
            return;
        }
        match look(context, op, location, &urn).await {
            Ok(seen) => seen.guard(&context.guardrails, &urn, found),
            Err(objections) => found.extend(objections),
        }
    }
}

#[async_trait]
impl Operations<Context> for MarketplacePin {
    async fn read(&self, call: Call<'_>, state: Model) -> Result<Option<Model>, Diagnostics> {
        let Call { context, op, .. } = call;
        let urn = parse(&state.urn)?;
        let state = derived(context, state, &urn)?;
        match look_back(context, op, &state.location, &urn).await {
            Ok(seen) => {
                seen.tell(op, &urn, &state.location);
                Ok(Some(seen.into_state(state)))
            }
            Err(Unseen::Ended(diagnostic)) => Err(diagnostic.into()),
            // a pin stays valid even if the Marketplace cannot be read
            Err(Unseen::Failed(diagnostic)) => {
                op.warn(Diagnostic::warning(
                    "A pinned Marketplace image could not be looked up",
                    format!("The pin of {urn} stays as it is. {}: {}", diagnostic.summary, diagnostic.detail),
                ));
                Ok(Some(state))
            }
        }
    }

    async fn create(&self, call: Call<'_>, plan: Model) -> Result<Model, Failed<Model>> {
        let Call { context, op, .. } = call;
        let urn = parse(&plan.urn)?;
        let seen = look(context, op, &plan.location, &urn).await?;
        let id = pin_id(&plan.location, &plan.urn);
        let state = derived(context, Model { id: Some(id), ..plan }, &urn)?;
        Ok(seen.into_state(state))
    }

    async fn update(&self, call: Call<'_>, prior: Model, plan: Model) -> Result<Model, Failed<Model>> {
        let Call { context, op, .. } = call;
        if plan.urn == prior.urn {
            return Ok(Model {
                location: prior.location,
                keepers: plan.keepers,
                timeouts: plan.timeouts,
                ..prior
            });
        }
        let urn = parse(&plan.urn)?;
        let seen = look(context, op, &plan.location, &urn).await?;
        Ok(seen.into_state(derived(context, plan, &urn)?))
    }

    async fn delete(&self, _call: Call<'_>, _prior: Model) -> Result<(), Diagnostics> {
        Ok(())
    }
}

/// What a plan does with a pin.
enum Disposition {
    /// The pin keeps its URN and all derived values.
    Keep,
    /// The pin moves to the configured URN.
    Move(Urn),
    /// Whether the pin moves, or to which URN, is known only at apply.
    Undecided,
}

fn disposition(draft: &Draft<'_>) -> Disposition {
    let planned = &draft.planned;
    let configured = match planned.get("urn") {
        Value::String(text) => Urn::parse(text).ok(),
        _ => None,
    };
    if draft.is_create() {
        return configured.map_or(Disposition::Undecided, Disposition::Move);
    }
    let pinned = exact(draft.prior);
    let same_image = |urn: &Urn| pinned.as_ref().is_some_and(|pinned| pinned.is_same_image(urn));
    let same_urn = planned
        .get("urn")
        .as_str()
        .zip(draft.prior.get("urn").as_str())
        .is_some_and(|(a, b)| eq_ignore_case(a, b));
    let kept = same_keepers(planned.get("keepers"), draft.prior.get("keepers"));
    match configured {
        // the pin is already at the configured URN
        Some(_) if same_urn => Disposition::Keep,
        Some(urn) if kept && same_image(&urn) => Disposition::Keep,
        Some(urn) => Disposition::Move(urn),
        // If nothing else changes, Terraform does not plan again, and the pin stays regardless of the URN. Otherwise
        // it plans again once the URN is known, which may be the URN of another image.
        None if kept && only_urn_differs(draft) => Disposition::Keep,
        None => Disposition::Undecided,
    }
}

// An unknown value counts as changed: it usually is, and the final plan must match the first one.
fn same_keepers(planned: &Value, prior: &Value) -> bool {
    planned == prior || planned.is_empty() && prior.is_empty()
}

fn only_urn_differs(draft: &Draft<'_>) -> bool {
    let mut planned = draft.planned.clone();
    planned.set("urn", draft.prior.get("urn").clone());
    planned == *draft.prior
}

/// The state of a pinned version in the Marketplace.
struct Seen {
    newest: Option<String>,
    upgrade: bool,
    /// `None` if the version is withdrawn.
    status: Option<Status>,
}

/// Why the Marketplace could not be read.
enum Unseen {
    /// The run was interrupted, or the provider is not configured for it.
    Ended(Diagnostic),
    /// The service returned an error.
    Failed(Diagnostic),
}

// Reads a version that is about to be pinned: it must exist.
async fn look(context: &Context, op: &Op, location: &str, urn: &Urn) -> Result<Seen, Diagnostics> {
    let seen = look_back(context, op, location, urn).await.map_err(|unseen| match unseen {
        Unseen::Ended(diagnostic) | Unseen::Failed(diagnostic) => Diagnostics::from(diagnostic),
    })?;
    if seen.status.is_some() {
        return Ok(seen);
    }
    let market = Market::open(context, op, location, format!("reading Marketplace image \"{urn}\"")).await?;
    let wanted = Wanted::parse(&urn.version)
        .map_err(|error| Diagnostic::error("Invalid value for version", error.to_string()))?;
    let missing =
        market.missing(urn, &wanted).await.map_err(|error| market.fault(&error, &urn.to_string()))?;
    Err(missing.diagnostic(Path::attribute("urn")).into())
}

// Reads a version that is already pinned: it may be withdrawn.
async fn look_back(context: &Context, op: &Op, location: &str, urn: &Urn) -> Result<Seen, Unseen> {
    let doing = format!("reading Marketplace image \"{urn}\"");
    let market = Market::open(context, op, location, doing).await.map_err(Unseen::Ended)?;
    let unseen = |error: crate::arm::Error| {
        let diagnostic = market.fault(&error, &urn.to_string());
        if error.kind == Kind::Stopped { Unseen::Ended(diagnostic) } else { Unseen::Failed(diagnostic) }
    };
    let mut listed = market.versions(urn).await.map_err(unseen)?;
    let entry = listed.iter().find(|listed| listed.version == urn.version);
    let status = match entry.and_then(|listed| listed.status.clone()) {
        Some(status) if status.is_active() => Some(status),
        // not every deployable version is listed, not every list has deprecation states, and no list has alternatives
        in_list => market
            .image(urn)
            .await
            .map_err(unseen)?
            .map(|image| Status::read(&image).or(in_list.clone()).unwrap_or_default())
            .or(in_list),
    };
    let pick = market
        .pick(urn, &mut listed, &Wanted::Latest, false, OffsetDateTime::now_utc())
        .await
        .map_err(unseen)?;
    let newest = match pick {
        Pick::One(version) => Some(version),
        Pick::Deprecated(_) | Pick::Nothing => None,
    };
    let upgrade = newest.as_deref().is_some_and(|newest| is_newer(newest, &urn.version));
    Ok(Seen { newest, upgrade, status })
}

impl Seen {
    fn into_state(self, state: Model) -> Model {
        Model {
            newest_version: self.newest,
            upgrade_available: Some(self.upgrade),
            withdrawn: Some(self.status.is_none()),
            scheduled_deprecation_time: self.status.as_ref().and_then(|status| status.time.clone()),
            deprecation_state: self.status.map(|status| status.state),
            ..state
        }
    }

    fn guard(&self, guardrails: &Guardrails, urn: &Urn, found: &mut Diagnostics) {
        let state = self.status.as_ref().map_or("withdrawn", |status| &status.state);
        let alternative = self.status.as_ref().and_then(|status| status.alternative_urn(urn));
        guardrails.deprecated(Path::attribute("urn"), &urn.to_string(), state, alternative.as_deref(), found);
    }

    // One short warning per finding. Terraform groups warnings with equal summaries.
    fn tell(&self, op: &Op, urn: &Urn, location: &str) {
        let warn = |summary: &str, detail: String| {
            op.warn(Diagnostic::warning(summary, detail).at(Path::attribute("urn")))
        };
        let way_out = "Change the pin's keepers to move it.";
        let time =
            |status: &Status| status.time.clone().map(|time| format!(" at {time}")).unwrap_or_default();
        match &self.status {
            None => warn(
                "A pinned Marketplace image is withdrawn",
                format!(
                    "{urn} is no longer offered in {location}: no new virtual machine can be created from it. {way_out}"
                ),
            ),
            Some(status) if status.is_over(OffsetDateTime::now_utc()) => warn(
                "A pinned Marketplace image is deprecated",
                format!(
                    "{urn} was deprecated{}: no new virtual machine can be created from it. {way_out}",
                    time(status)
                ),
            ),
            Some(status) if !status.is_active() => warn(
                "A pinned Marketplace image will be deprecated",
                format!(
                    "{urn} will be deprecated{}: no new virtual machine can be created from it then. {way_out}",
                    time(status)
                ),
            ),
            Some(_) => {}
        }
        if let Some(newest) = self.newest.as_deref().filter(|_| self.upgrade) {
            warn(
                "A pinned Marketplace image has a newer version",
                format!("{urn} is pinned, and {newest} is available. {way_out}"),
            );
        }
    }
}

fn derived(context: &Context, model: Model, urn: &Urn) -> Result<Model, Diagnostic> {
    let image_id = match model.image_id {
        Some(id) => id,
        None => image_id(context.subscription(None)?, &model.location, urn),
    };
    Ok(Model {
        image_id: Some(image_id),
        publisher: Some(urn.publisher.clone()),
        offer: Some(urn.offer.clone()),
        sku: Some(urn.sku.clone()),
        version: Some(urn.version.clone()),
        ..model
    })
}

fn exact(value: &Value) -> Option<Urn> {
    Urn::parse_exact(value.get("urn").as_str()?).ok()
}

fn parse(urn: &str) -> Result<Urn, Diagnostic> {
    Urn::parse_exact(urn).map_err(|error| {
        Diagnostic::error("The URN cannot be pinned", error.to_string()).at(Path::attribute("urn"))
    })
}

fn pin_id(location: &str, urn: &str) -> String {
    format!("{}|{urn}", region::normalise(location))
}

fn from_image_id(id: &str) -> Option<(String, String)> {
    let id = ResourceId::parse(id).ok()?;
    let [publisher, offer, sku, version] =
        ["publishers", "offers", "skus", "versions"].map(|kind| id.name_of(kind).unwrap_or_default());
    let urn = Urn::new(publisher, offer, sku, version).ok()?;
    Some((id.name_of("locations")?.to_owned(), urn.to_string()))
}

fn check_exact(text: &str) -> Result<(), String> {
    Urn::parse_exact(text).map(drop).map_err(|error| format!("cannot be pinned: {}", error.reason))
}

// A null would be removed from the state and cause a permanent difference.
fn check_keepers(value: &Value) -> Result<(), String> {
    match value.entries().find(|(_, value)| value.is_null()) {
        Some((name, _)) => Err(format!("has a null under {name:?}: give it a value, or leave it out")),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "marketplace_pin_tests.rs"]
mod tests;
