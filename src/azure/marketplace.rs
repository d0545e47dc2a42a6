//! Reading the Azure Marketplace: lists that are cached for a run, deprecation, and suggestions for missing names.

use std::sync::Arc;

use serde_json::Value as Json;
use time::OffsetDateTime;

use super::attributes::instant;
use super::context::scope;
use super::{Context, body, fault};
use crate::arm::{Error, Scope, Target, region};
use crate::framework::Op;
use crate::image::{
    Urn, UrnError, UrnPart, Version, Wanted, did_you_mean, nearest_names, nearest_versions, newest,
};
use crate::schema::{Diagnostic, Path};

/// The Marketplace of one location, for one operation.
pub struct Market<'a> {
    context: &'a Context,
    scope: Scope,
    subscription: &'a str,
    location: String,
}

impl<'a> Market<'a> {
    /// Opens the Marketplace of `location` (in any spelling), as the provider's subscription sees it, for `doing`
    /// something ("reading Marketplace image \"…\""). Fails without a subscription, and for an unknown location.
    pub async fn open(
        context: &'a Context,
        op: &Op,
        location: &str,
        doing: impl Into<String>,
    ) -> Result<Market<'a>, Diagnostic> {
        let subscription = context.subscription(None).map_err(|diagnostic| Diagnostic {
            detail:
                "Set subscription_id in the provider block, or the environment variable ARM_SUBSCRIPTION_ID."
                    .to_owned(),
            path: Path::root(),
            ..diagnostic
        })?;
        if let Some(why) = context.unknown_location(op, subscription, location).await {
            return Err(Diagnostic::error("Invalid value for location", why).at(Path::attribute("location")));
        }
        Ok(Market { context, scope: scope(op, doing), subscription, location: region::normalise(location) })
    }

    /// The names one level below `parents`: publishers, a publisher's offers, or an offer's SKUs. Sorted, ignoring case.
    /// Empty if the parent does not exist.
    pub async fn names(&self, parents: &[&str]) -> Result<Vec<String>, Error> {
        let items = self.list(&list_path(self.subscription, &self.location, parents), false).await?;
        let mut names: Vec<String> = items.iter().filter_map(|item| body::text(item, "name")).collect();
        names.sort_by_key(|name| (name.to_lowercase(), name.clone()));
        names.dedup();
        Ok(names)
    }

    /// The versions of an image, in the service's order: sorted as text, not by number.
    pub async fn versions(&self, image: &Urn) -> Result<Vec<Listed>, Error> {
        let parents = [image.publisher.as_str(), &image.offer, &image.sku];
        let items = self.list(&list_path(self.subscription, &self.location, &parents), true).await?;
        Ok(items
            .iter()
            .filter_map(|item| {
                Some(Listed { version: body::text(item, "name")?, status: Status::read(item) })
            })
            .collect())
    }

    /// Reads one exact version in the service's format.
    pub async fn image(&self, urn: &Urn) -> Result<Option<Json>, Error> {
        let target = Target::at(self.image_id(urn));
        let found = self
            .once(target.path(), async {
                Ok(self.context.client.get_opt(&self.scope, &target).await?.into_iter().collect())
            })
            .await?;
        Ok(found.first().cloned())
    }

    /// Picks a version of `listed`. If the list does not contain deprecation states, each candidate is requested, newest
    /// first, and its state is stored in `listed`.
    pub async fn pick(
        &self,
        image: &Urn,
        listed: &mut Vec<Listed>,
        wanted: &Wanted,
        include_deprecated: bool,
        now: OffsetDateTime,
    ) -> Result<Pick, Error> {
        loop {
            let pick = pick(listed, wanted, include_deprecated, now);
            let Pick::One(version) = &pick else {
                return Ok(pick);
            };
            let Some(index) = listed.iter().position(|listed| listed.version == *version) else {
                return Ok(pick);
            };
            if listed[index].status.is_some() || include_deprecated || wanted.is_exact() {
                return Ok(pick);
            }
            match self.image(&image.with_version(version)).await? {
                Some(found) => listed[index].status = Some(Status::read(&found).unwrap_or_default()),
                // withdrawn after it was listed
                None => drop(listed.remove(index)),
            }
        }
    }

    /// Finds the part of `urn` that does not exist, and similar names that do.
    pub async fn missing(&self, urn: &Urn, wanted: &Wanted) -> Result<Missing, Error> {
        let Urn { publisher, offer, sku, .. } = urn;
        let place = &self.location;
        let image = format!("{publisher}:{offer}:{sku}");
        let listed = self.versions(urn).await?;
        if !listed.is_empty() {
            // a list may still contain a version that has just been withdrawn
            let others =
                listed.iter().map(|listed| listed.version.as_str()).filter(|name| *name != urn.version);
            let names = nearest_versions(wanted, others);
            let what = match wanted {
                Wanted::Constraint(_) => format!("No version of {image} in {place} satisfies \"{wanted}\""),
                _ => format!("There is no version {wanted} of {image} in {place}"),
            };
            let detail = hint(&names, &[]).unwrap_or_default();
            return Ok(Missing { part: UrnPart::Version, what, detail });
        }
        let skus = self.names(&[publisher, offer]).await?;
        if skus.iter().any(|name| name.eq_ignore_ascii_case(sku)) {
            return Ok(Missing {
                part: UrnPart::Sku,
                what: format!("{image} has no versions in {place}"),
                detail: "The publisher offers none there, or has withdrawn them all. Try another location or another SKU.".to_owned(),
            });
        }
        if !skus.is_empty() {
            let what = format!("There is no sku {sku:?} of {publisher}:{offer} in {place}");
            return Ok(Missing::of(UrnPart::Sku, what, sku, &skus));
        }
        let offers = self.names(&[publisher]).await?;
        if offers.iter().any(|name| name.eq_ignore_ascii_case(offer)) {
            return Ok(Missing {
                part: UrnPart::Offer,
                what: format!("{publisher}:{offer} has no skus in {place}"),
                detail: "Try another location or another offer.".to_owned(),
            });
        }
        if !offers.is_empty() {
            let what = format!("There is no offer {offer:?} of publisher {publisher:?} in {place}");
            return Ok(Missing::of(UrnPart::Offer, what, offer, &offers));
        }
        let publishers = self.names(&[]).await?;
        let what = if publishers.iter().any(|name| name.eq_ignore_ascii_case(publisher)) {
            format!("Publisher {publisher:?} has no virtual machine images in {place}")
        } else {
            format!("There is no publisher {publisher:?} in {place}")
        };
        Ok(Missing::of(UrnPart::Publisher, what, publisher, &publishers))
    }

    /// The ARM ID of an exact version in this location.
    pub fn image_id(&self, urn: &Urn) -> String {
        image_id(self.subscription, &self.location, urn)
    }

    /// The diagnostic of a failed call.
    pub fn fault(&self, error: &Error, image: &str) -> Diagnostic {
        fault::diagnostic(error, self.scope.what(), &format!("{image} in {}", self.location))
    }

    async fn list(&self, path: &str, with_deprecation: bool) -> Result<Arc<Vec<Json>>, Error> {
        let target = Target::at(path);
        let target = match with_deprecation {
            true => target.query("$expand", "properties/imageDeprecationStatus"),
            false => target,
        };
        self.once(path, async {
            match self.context.client.list(&self.scope, &target).await {
                Err(error) if error.is_not_found() => Ok(Vec::new()),
                other => other,
            }
        })
        .await
    }

    // The response for `path`. Concurrent callers share one request; failures are not cached.
    async fn once(
        &self,
        path: &str,
        ask: impl Future<Output = Result<Vec<Json>, Error>>,
    ) -> Result<Arc<Vec<Json>>, Error> {
        let cell = self.context.marketplace.cell(path);
        let waiting = cell.get_or_try_init(|| async { ask.await.map(Arc::new) });
        // waiting for another caller's request ends with the caller's own timeout or interrupt
        self.scope.run(waiting).await?.cloned()
    }
}

/// One version in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Its name, such as `22.04.202501010`.
    pub version: String,
    /// Its deprecation; `None` if the list does not contain it.
    pub status: Option<Status>,
}

/// The deprecation of a version.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// `Active`, `ScheduledForDeprecation` or `Deprecated`.
    pub state: String,
    /// The deprecation date, in RFC 3339.
    pub time: Option<String>,
    /// The publisher's proposed replacement: `Offer` or `Plan`, and its name.
    pub alternative: Option<(String, String)>,
}

impl Default for Status {
    fn default() -> Status {
        Status { state: "Active".to_owned(), time: None, alternative: None }
    }
}

impl Status {
    /// Reads the status of a list item or an image; `None` if there is none.
    pub fn read(item: &Json) -> Option<Status> {
        let status = body::at(item, "properties.imageDeprecationStatus")?;
        let alternative = body::text(status, "alternativeOption.type")
            .zip(body::text(status, "alternativeOption.value"))
            .filter(|(kind, value)| !kind.eq_ignore_ascii_case("None") && !value.is_empty());
        Some(Status {
            state: body::text(status, "imageState").unwrap_or_else(|| Status::default().state),
            time: body::text(status, "scheduledDeprecationTime"),
            alternative,
        })
    }

    /// Whether it is neither deprecated nor scheduled for deprecation.
    pub fn is_active(&self) -> bool {
        self.state.eq_ignore_ascii_case("Active")
    }

    /// Whether it can no longer be deployed at `now`.
    pub fn is_over(&self, now: OffsetDateTime) -> bool {
        self.state.eq_ignore_ascii_case("Deprecated")
            || self.state.eq_ignore_ascii_case("ScheduledForDeprecation")
                && self.time.as_deref().and_then(instant).is_some_and(|time| time <= now)
    }

    /// The URN, with version `latest`, of the publisher's proposed replacement of `urn`.
    pub fn alternative_urn(&self, urn: &Urn) -> Option<String> {
        let (kind, value) = self.alternative.as_ref()?;
        if Urn::parse(value).is_ok() {
            return Some(value.clone());
        }
        let Urn { publisher, offer, sku, .. } = urn;
        match kind.to_ascii_lowercase().as_str() {
            "plan" => Some(format!("{publisher}:{offer}:{value}:latest")),
            "offer" => Some(format!("{publisher}:{value}:{sku}:latest")),
            _ => None,
        }
    }
}

/// The result of picking a version.
#[derive(Clone, Debug, PartialEq)]
pub enum Pick {
    /// This version.
    One(String),
    /// Only deprecated versions match; this is the newest of them.
    Deprecated(String),
    /// No version matches.
    Nothing,
}

/// The greatest wanted version by number. Deprecated versions are excluded unless `include_deprecated` is set or the version
/// is named exactly.
pub fn pick(listed: &[Listed], wanted: &Wanted, include_deprecated: bool, now: OffsetDateTime) -> Pick {
    let everything = include_deprecated || wanted.is_exact();
    let usable = listed
        .iter()
        .filter(|listed| everything || !listed.status.as_ref().is_some_and(|status| status.is_over(now)))
        .map(|listed| listed.version.as_str());
    if let Some(version) = newest(usable, wanted) {
        return Pick::One(version.to_owned());
    }
    match newest(listed.iter().map(|listed| listed.version.as_str()), wanted) {
        Some(version) => Pick::Deprecated(version.to_owned()),
        None => Pick::Nothing,
    }
}

/// Whether version `a` is greater by number than `b`.
pub fn is_newer(a: &str, b: &str) -> bool {
    match (Version::parse(a), Version::parse(b)) {
        (Ok(a), Ok(b)) => a > b,
        _ => false,
    }
}

/// A part of a URN that does not exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Missing {
    /// The part.
    pub part: UrnPart,
    /// The summary of the error.
    pub what: String,
    /// Names that do exist.
    pub detail: String,
}

impl Missing {
    fn of(part: UrnPart, what: String, name: &str, names: &[String]) -> Missing {
        let near = nearest_names(name, names.iter().map(String::as_str));
        let mut detail = hint(&near, names).unwrap_or_default();
        if !detail.is_empty() {
            detail.push(' ');
        }
        detail.push_str("The data source azimage_marketplace_catalog lists all of them.");
        Missing { part, what, detail }
    }

    /// The diagnostic, at the attribute with the part.
    pub fn diagnostic(self, path: Path) -> Diagnostic {
        Diagnostic::error(self.what, self.detail).at(path)
    }
}

/// The maximum number of names that an error lists if none is similar.
const LISTED_NAMES: usize = 12;

fn hint(near: &[&str], all: &[String]) -> Option<String> {
    if let Some(mut hint) = did_you_mean(near) {
        hint[..1].make_ascii_uppercase();
        return Some(hint);
    }
    (!all.is_empty() && all.len() <= LISTED_NAMES).then(|| format!("There are: {}.", all.join(", ")))
}

/// The ARM ID of a Marketplace image version. `location` may have any spelling.
pub fn image_id(subscription: &str, location: &str, urn: &Urn) -> String {
    let parents = [urn.publisher.as_str(), &urn.offer, &urn.sku];
    format!("{}/{}", list_path(subscription, &region::normalise(location), &parents), urn.version)
}

// The path of the list below `parents`: of publishers, offers, SKUs or versions.
fn list_path(subscription: &str, location: &str, parents: &[&str]) -> String {
    const LEVELS: [&str; 3] = ["artifacttypes/vmimage/offers", "skus", "versions"];
    let mut path =
        format!("/subscriptions/{subscription}/providers/Microsoft.Compute/locations/{location}/publishers");
    for (name, level) in parents.iter().zip(LEVELS) {
        path.push_str(&format!("/{name}/{level}"));
    }
    path
}

/// Checks a URN with any version.
pub fn check_urn(text: &str) -> Result<(), String> {
    Urn::parse(text)
        .map(drop)
        .map_err(|error| format!("is not a Marketplace URN (publisher:offer:sku:version): {}", error.reason))
}

/// Checks a publisher's name.
pub fn check_publisher(text: &str) -> Result<(), String> {
    check_part(Urn::new(text, "o", "s", "latest"))
}

/// Checks an offer's name.
pub fn check_offer(text: &str) -> Result<(), String> {
    check_part(Urn::new("p", text, "s", "latest"))
}

/// Checks a SKU's name.
pub fn check_sku(text: &str) -> Result<(), String> {
    check_part(Urn::new("p", "o", text, "latest"))
}

/// Checks a version: exact, `latest`, or a constraint.
pub fn check_version(text: &str) -> Result<(), String> {
    Wanted::parse(text)
        .map(drop)
        .map_err(|error| format!("is not a version, \"latest\" or a constraint: {error}"))
}

fn check_part(urn: Result<Urn, UrnError>) -> Result<(), String> {
    urn.map(drop).map_err(|error| format!("is not a valid Marketplace name: {}", error.reason))
}

#[cfg(test)]
#[path = "marketplace_tests.rs"]
mod tests;
