//! Reads galleries, definitions and versions with their usage and cost.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value as Json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::model::{BaseImage, Definition, Gallery, Region, Report, Retention, User, Version};
use crate::arm::id::GALLERY;
use crate::arm::{Error, ResourceId, Scope, Target, region};
use crate::azure::attributes::instant;
use crate::azure::context::scope;
use crate::azure::marketplace::{Market, Status};
use crate::azure::objects;
use crate::azure::usage::{self, Usage};
use crate::azure::{Context, body, fault};
use crate::data_sources::image_cost::{self, ImageCost};
use crate::framework::{DataSource, Op};
use crate::image::retention::{self, Candidate, InUse, Rules};
use crate::image::{Decimal, Urn, sort_newest_first};
use crate::schema::{Diagnostic, Diagnostics, Number};

/// How many definitions or versions are read concurrently. The client limits concurrent requests too.
const AT_ONCE: usize = 8;

/// What to report on.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// IDs of galleries.
    pub galleries: Vec<String>,
    /// IDs of subscriptions whose galleries are all reported on.
    pub subscriptions: Vec<String>,
    /// Whether to find out what uses each version.
    pub usage: bool,
    /// The currency of the costs; `None` for a report without costs.
    pub currency: Option<String>,
    /// Prices per GB and month by region, instead of the public price list.
    pub prices: BTreeMap<String, Number>,
    /// The retention policy to simulate.
    pub rules: Option<Rules>,
}

/// Creates the report. An unreadable gallery is an error; other missing information becomes a note.
pub async fn collect(context: &Context, op: &Op, request: &Request) -> Result<Report, Diagnostics> {
    let now = OffsetDateTime::now_utc();
    let scope = scope(op, "reading the galleries");
    let mut galleries: Vec<Json> = Vec::new();
    for subscription in &request.subscriptions {
        let path = format!("/subscriptions/{subscription}/providers/Microsoft.Compute/galleries");
        galleries.extend(list(context, &scope, path).await?);
    }
    for id in &request.galleries {
        let id = ResourceId::parse_as(id, GALLERY)
            .map_err(|error| Diagnostic::error("The ID of a gallery is not valid", error.to_string()))?;
        let target = Target::at(id.to_string());
        galleries.push(
            context
                .client
                .get(&scope, &target)
                .await
                .map_err(|error| failed(&error, &scope, &id.to_string()))?,
        );
    }
    let mut report = Report {
        generated_at: now.format(&Rfc3339).unwrap_or_default(),
        currency: request.currency.clone(),
        ..Report::default()
    };
    let reader = Reader { context, op, scope, request, now };
    let mut total = Decimal::default();
    let mut seen = BTreeSet::new();
    for object in &galleries {
        let Some(id) = body::text(object, "id").and_then(|id| ResourceId::parse(&id).ok()) else { continue };
        if !seen.insert(id.key()) {
            continue;
        }
        report.galleries.push(reader.gallery(&id, object, &mut report.notes, &mut total).await?);
    }
    report.galleries.sort_by_key(|gallery| gallery.id.to_lowercase());
    report.monthly_cost = request.currency.as_ref().map(|_| money(total));
    report.notes.sort();
    report.notes.dedup();
    Ok(report)
}

struct Reader<'r> {
    context: &'r Context,
    op: &'r Op,
    scope: Scope,
    request: &'r Request,
    now: OffsetDateTime,
}

impl Reader<'_> {
    async fn gallery(
        &self,
        id: &ResourceId,
        object: &Json,
        notes: &mut Vec<String>,
        total: &mut Decimal,
    ) -> Result<Gallery, Diagnostics> {
        let read = objects::gallery::Gallery::read(object);
        let mut objects = list(self.context, &self.scope, format!("{id}/images")).await?;
        objects.sort_by_key(|object| body::text(object, "name").map(|name| name.to_lowercase()));
        let found: Vec<(Definition, Vec<String>, Decimal)> = stream::iter(&objects)
            .map(|object| self.definition(id, object))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let mut definitions = Vec::new();
        for (definition, more, cost) in found {
            definitions.push(definition);
            notes.extend(more);
            *total = *total + cost;
        }
        Ok(Gallery {
            id: id.to_string(),
            name: id.name().to_owned(),
            resource_group: id.resource_group().to_owned(),
            location: read.location.unwrap_or_default(),
            state: read.provisioning_state,
            sharing: Some(read.sharing.permission),
            soft_delete: read.soft_delete.is_some_and(|policy| policy.enabled == Some(true)),
            definitions,
        })
    }

    async fn definition(
        &self,
        gallery: &ResourceId,
        object: &Json,
    ) -> Result<(Definition, Vec<String>, Decimal), Diagnostics> {
        let read = objects::definition::Definition::read(object);
        let id = gallery.child("images", &body::text(object, "name").unwrap_or_default());
        let mut notes = Vec::new();
        let listed = list(self.context, &self.scope, format!("{id}/versions")).await?;
        let mut versions: Vec<Version> = stream::iter(&listed)
            .map(|object| self.version(&id, object))
            .buffered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        let names: Vec<String> = versions.iter().map(|version| version.version.clone()).collect();
        let order: Vec<&str> = sort_newest_first(names.iter().map(String::as_str)).into_iter().collect();
        versions.sort_by_key(|version| order.iter().position(|name| *name == version.version));
        let mut definition = Definition {
            id: id.to_string(),
            name: id.name().to_owned(),
            os_type: read.os_type,
            generation: read.hyper_v_generation,
            architecture: read.architecture,
            security_type: read.features.security_type,
            versions,
            ..Definition::default()
        };
        if self.request.usage && !definition.versions.is_empty() {
            self.add_usage(&id, &mut definition).await;
        }
        let cost = match &self.request.currency {
            Some(currency) => self.add_cost(&id, currency, &mut definition, &mut notes).await,
            None => Decimal::default(),
        };
        self.add_base_images(&mut definition, &mut notes).await;
        Ok((definition, notes, cost))
    }

    async fn version(&self, definition: &ResourceId, listed: &Json) -> Version {
        let name = body::text(listed, "name").unwrap_or_default();
        let id = definition.child("versions", &name);
        // lists do not contain the replication status
        let target = Target::at(id.to_string()).query("$expand", "ReplicationStatus");
        let expanded = self.context.client.get_opt(&self.scope, &target).await.ok().flatten();
        let read = objects::version::Version::read(expanded.as_ref().unwrap_or(listed));
        let states = read.replication.states();
        let progress = read.replication.progress();
        let regions = read
            .target_regions()
            .iter()
            .map(|target| {
                let name = region::normalise(&target.name);
                Region {
                    replicas: target.regional_replica_count.unwrap_or(1),
                    storage_account_type: target.storage_account_type.clone(),
                    state: states.get(&name).cloned().unwrap_or_else(|| "Unknown".to_owned()),
                    progress: progress.get(&name).copied().unwrap_or_default(),
                    exclude_from_latest: target.exclude_from_latest == Some(true),
                    name,
                }
            })
            .collect();
        let data: i64 = read.data_disk.iter().filter_map(|disk| disk.size_gb).sum();
        let end_of_life_date = read.end_of_life_date.clone().flatten();
        Version {
            id: id.to_string(),
            version: name,
            state: read.provisioning_state.clone(),
            published_date: read.published_date.clone(),
            is_past_end_of_life: end_of_life_date
                .as_deref()
                .and_then(instant)
                .is_some_and(|date| date <= self.now),
            end_of_life_date,
            exclude_from_latest: read.exclude_from_latest == Some(true),
            size_gb: read.os_disk_size_gb().map(|size| size + data),
            tags: read.tags,
            regions,
            ..Version::default()
        }
    }

    async fn add_usage(&self, id: &ResourceId, definition: &mut Definition) {
        let usage = match usage::of_image(self.context, &self.scope, id, &[]).await {
            Ok(usage) => usage,
            Err(error) => Usage { gaps: vec![error.to_string()], ..Usage::default() },
        };
        let in_use = InUse {
            versions: usage.by_version(),
            latest: usage.users.iter().any(|user| user.version.is_none()),
            unknown: usage.gaps.iter().chain(&usage.outside).cloned().collect(),
        };
        if !in_use.unknown.is_empty() {
            definition.usage_note = Some(format!("Not all users are known: {}.", in_use.unknown.join("; ")));
        }
        let latest = definition
            .versions
            .iter()
            .find(|version| version.state.as_deref() == Some("Succeeded") && !version.exclude_from_latest)
            .map(|version| version.version.clone());
        for version in &mut definition.versions {
            let uses = |user: &&usage::User| match &user.version {
                Some(used) => *used == version.version,
                None => latest.as_ref() == Some(&version.version),
            };
            version.users = Some(usage.users.iter().filter(uses).map(user).collect());
        }
        if let Some(rules) = &self.request.rules {
            let candidates: Vec<Candidate> = definition.versions.iter().map(candidate).collect();
            let decision = retention::decide(&candidates, rules, &in_use, &BTreeSet::new(), self.now);
            for version in &mut definition.versions {
                version.retention = Some(match decision.kept.get(&version.version) {
                    Some(reason) => Retention { action: "keep", reason: reason.clone() },
                    None => Retention { action: "remove", reason: "no rule keeps it".to_owned() },
                });
            }
        }
    }

    async fn add_cost(
        &self,
        id: &ResourceId,
        currency: &str,
        definition: &mut Definition,
        notes: &mut Vec<String>,
    ) -> Decimal {
        let config = image_cost::Model {
            image_definition_id: Some(id.to_string()),
            currency: Some(currency.to_owned()),
            prices: (!self.request.prices.is_empty()).then(|| self.request.prices.clone()),
            ..image_cost::Model::default()
        };
        let cost = match ImageCost.read(self.context, self.op, config).await {
            Ok(cost) => cost,
            Err(errors) => {
                let why: Vec<String> =
                    errors.into_iter().map(|error| format!("{}. {}", error.summary, error.detail)).collect();
                notes.push(format!("The cost of {} is not known. {}", id.name(), why.join(" ")));
                return Decimal::default();
            }
        };
        for version in &mut definition.versions {
            version.monthly_cost = cost.by_version.get(&version.version).and_then(amount).map(money);
        }
        let sum = amount(&cost.monthly_cost).unwrap_or_default();
        definition.monthly_cost = Some(money(sum));
        sum
    }

    /// Adds the base image of each version: the Marketplace image whose URN is the value of a tag.
    async fn add_base_images(&self, definition: &mut Definition, notes: &mut Vec<String>) {
        for version in &mut definition.versions {
            let Some(urn) = version.tags.values().find_map(|value| Urn::parse(value).ok()) else { continue };
            let Some(location) = version.regions.first().map(|region| region.name.clone()) else { continue };
            let found = match Market::open(self.context, self.op, &location, "reading a base image").await {
                Ok(market) => market.image(&urn).await.map_err(|error| error.to_string()),
                Err(error) => Err(error.detail),
            };
            let warning = match found {
                Ok(None) => Some("no longer in the Marketplace".to_owned()),
                Ok(Some(image)) => Status::read(&image).as_ref().and_then(warning),
                Err(why) => {
                    notes.push(format!("The base image {urn} could not be looked up: {why}"));
                    None
                }
            };
            version.base_image = Some(BaseImage { urn: urn.to_string(), warning });
        }
    }
}

fn warning(status: &Status) -> Option<String> {
    if status.is_active() {
        return None;
    }
    let date: Option<String> = status.time.as_ref().map(|time| time.chars().take(10).collect());
    Some(match (status.state.as_str(), date) {
        ("Deprecated", _) => "deprecated".to_owned(),
        (_, Some(date)) => format!("will be deprecated on {date}"),
        (state, None) => state.to_owned(),
    })
}

fn user(user: &usage::User) -> User {
    User { id: user.id.clone(), name: user.name.clone(), kind: user.kind.as_str().replace('_', " ") }
}

fn candidate(version: &Version) -> Candidate {
    Candidate {
        version: version.version.clone(),
        published: version.published_date.as_deref().and_then(instant),
        excluded: version.exclude_from_latest,
        state: version.state.clone().unwrap_or_default(),
        tags: version.tags.clone(),
    }
}

fn amount(number: &Number) -> Option<Decimal> {
    Decimal::parse(&number.to_string())
}

/// An amount with two decimals, such as `6.00`.
fn money(amount: Decimal) -> String {
    let text = amount.round(2).to_string();
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let point = if decimals == 0 { "." } else { "" };
    format!("{text}{point}{}", "0".repeat(2_usize.saturating_sub(decimals)))
}

async fn list(context: &Context, scope: &Scope, path: String) -> Result<Vec<Json>, Diagnostics> {
    let found = context.client.list(scope, &Target::at(path.clone())).await;
    found.map_err(|error| failed(&error, scope, &path).into())
}

fn failed(error: &Error, scope: &Scope, id: &str) -> Diagnostic {
    fault::diagnostic(error, scope.what(), id)
}
