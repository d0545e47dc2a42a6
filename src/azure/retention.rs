//! Keeping and deleting the versions of an image definition by rules: what the retention resource and the prune action share.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use time::OffsetDateTime;

use super::attributes::{check_guid, instant};
use super::objects::version::Version as Object;
use super::run_log::Event;
use super::tags::Tags;
use super::usage::{self, Kind, Usage};
use super::{Context, pipeline, recycle_bin};
use crate::arm::{Error, ResourceId, Scope, Target};
use crate::framework::timeouts::parse_period;
use crate::image::Constraint;
use crate::image::retention::{Candidate, Decision, InUse, MANAGED, Rules, decide};
use crate::schema::{Attribute, Diagnostics, Path, Value};

/// How many versions are deleted at the same time, after one look for their usage.
const AT_ONCE: usize = 25;

/// The arguments that say what to keep.
pub const KEEP_RULES: [&str; 5] =
    ["keep_latest", "keep_newer_than", "keep_versions", "keep_tagged", "keep_in_use"];

/// What is kept, and where to look for usage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// The rules.
    pub rules: Rules,
    /// The subscriptions in which to look for usage; empty for all that can be read.
    pub usage_subscription_ids: Vec<String>,
    /// Whether versions may be deleted although others may use them whose usage cannot be seen.
    pub ignore_users_outside_tenant: bool,
}

/// The arguments of a policy, as they are configured.
#[derive(Clone, Debug, Default)]
pub struct Arguments<'a> {
    /// `keep_latest`.
    pub keep_latest: Option<i64>,
    /// `keep_newer_than`.
    pub keep_newer_than: Option<&'a str>,
    /// `keep_versions`.
    pub keep_versions: &'a [String],
    /// `keep_tagged`.
    pub keep_tagged: Option<&'a Tags>,
    /// `keep_in_use`.
    pub keep_in_use: Option<bool>,
    /// `usage_subscription_ids`.
    pub usage_subscription_ids: &'a [String],
    /// `ignore_users_outside_tenant`.
    pub ignore_users_outside_tenant: Option<bool>,
}

impl From<Arguments<'_>> for Policy {
    fn from(given: Arguments<'_>) -> Policy {
        let constraints = given.keep_versions.iter().filter_map(|text| Constraint::parse(text).ok());
        Policy {
            rules: Rules {
                latest: given.keep_latest.and_then(|latest| usize::try_from(latest).ok()),
                newer_than: given.keep_newer_than.and_then(parse_period),
                versions: constraints.collect(),
                tagged: given.keep_tagged.cloned().unwrap_or_default(),
                in_use: given.keep_in_use != Some(false),
            },
            usage_subscription_ids: given.usage_subscription_ids.to_vec(),
            ignore_users_outside_tenant: given.ignore_users_outside_tenant == Some(true),
        }
    }
}

/// `keep_latest`: how many of the newest versions are kept.
pub fn keep_latest(attribute: Attribute) -> Attribute {
    attribute.between(1, 10_000)
}

/// `keep_newer_than`: a period.
pub fn keep_newer_than(attribute: Attribute) -> Attribute {
    attribute.check_text(|text| {
        parse_period(text)
            .map(drop)
            .ok_or_else(|| "is not a valid duration; use 12h, 90d or 1h30m".to_owned())
    })
}

/// `keep_versions`: versions and constraints.
pub fn keep_versions(attribute: Attribute) -> Attribute {
    attribute.check_text(|text| {
        Constraint::parse(text)
            .map(drop)
            .map_err(|error| format!("is not a version or a constraint: {error}"))
    })
}

/// `usage_subscription_ids`: where to look for usage.
pub fn usage_subscription_ids(attribute: Attribute) -> Attribute {
    attribute.check_text(check_guid)
}

/// Adds an error unless at least one rule says what to keep.
pub fn require_rule(config: &Value, found: &mut Diagnostics) {
    if KEEP_RULES.iter().all(|rule| config.get(rule).is_null()) {
        found.error(
            Path::attribute("keep_latest"),
            "No rule says what to keep",
            "Set at least one of keep_latest, keep_newer_than, keep_versions, keep_tagged and keep_in_use.",
        );
    }
}

/// The versions that other resources of this configuration manage, as far as this run knows them.
pub fn managed(context: &Context, definition: &ResourceId) -> BTreeSet<String> {
    let prefix = format!("{}/versions/", definition.key());
    [Event::Read, Event::Planned, Event::Published]
        .into_iter()
        .flat_map(|event| context.run.below(definition, event))
        .filter_map(|id| Some(id.strip_prefix(&prefix)?.to_owned()))
        .collect()
}

/// Whether deleted versions stay in the gallery's recycle bin for some time.
pub async fn has_soft_delete(context: &Context, scope: &Scope, definition: &ResourceId) -> bool {
    let Some(gallery) = definition.parent() else { return false };
    let scope = scope.anew(scope.remaining().min(Duration::from_secs(30)), scope.what());
    recycle_bin::is_on(context, &scope, &gallery).await
}

/// The versions of a definition, and what a policy does with them.
pub struct Survey<'a> {
    context: &'a Context,
    scope: &'a Scope,
    definition: &'a ResourceId,
    policy: &'a Policy,
    /// Managed versions according to the plan. The apply is another process, which may not know their resources.
    planned_managed: BTreeSet<String>,
    candidates: Vec<Candidate>,
    in_use: InUse,
    /// What is kept, and what is not.
    pub decision: Decision,
}

/// The result of a deletion.
#[derive(Debug, Default)]
pub struct Pruned {
    /// Deleted versions.
    pub deleted: Vec<String>,
    /// Versions that a rule keeps by now, and why.
    pub spared: BTreeMap<String, String>,
    /// Versions that other clients have deleted.
    pub gone: Vec<String>,
    /// Versions that could not be deleted, and why.
    pub blocked: BTreeMap<String, String>,
    /// Why the remaining versions were not tried.
    pub interrupted: Option<Error>,
}

/// The result for one version.
enum Fate {
    Deleted,
    Gone,
    Spared(String),
    Failed(Error),
}

impl<'a> Survey<'a> {
    /// Reads the versions and their usage. `kept_by_plan` is what the plan of this run keeps, and why.
    pub async fn read(
        context: &'a Context,
        scope: &'a Scope,
        definition: &'a ResourceId,
        policy: &'a Policy,
        kept_by_plan: &BTreeMap<String, String>,
    ) -> Result<Survey<'a>, Error> {
        let target = Target::at(format!("{definition}/versions"));
        let listing = context.client.list(scope, &target);
        let (versions, in_use) = match policy.rules.in_use {
            true => tokio::join!(listing, async {
                in_use(
                    usage::of_image(context, scope, definition, &policy.usage_subscription_ids).await,
                    policy,
                )
            }),
            false => (listing.await, InUse::default()),
        };
        let candidates = versions?.iter().map(|version| candidate(&Object::read(version))).collect();
        let mut survey = Survey {
            context,
            scope,
            definition,
            policy,
            planned_managed: kept_by_plan
                .iter()
                .filter(|(_, why)| why.as_str() == MANAGED)
                .map(|(version, _)| version.clone())
                .collect(),
            candidates,
            in_use,
            decision: Decision::default(),
        };
        survey.decision = survey.decide(&survey.candidates, &survey.in_use);
        Ok(survey)
    }

    fn decide(&self, candidates: &[Candidate], in_use: &InUse) -> Decision {
        // Managed versions come last, so that resources that are refreshed at the same time are included.
        let mut managed = managed(self.context, self.definition);
        managed.extend(self.planned_managed.iter().cloned());
        decide(candidates, &self.policy.rules, in_use, &managed, OffsetDateTime::now_utc())
    }

    /// The decision of the rules alone, without the versions that this run manages.
    pub fn decision_without_managed(&self) -> Decision {
        let none = BTreeSet::new();
        decide(&self.candidates, &self.policy.rules, &self.in_use, &none, OffsetDateTime::now_utc())
    }

    /// Deletes `versions`, after reading each of them and their usage again.
    pub async fn prune(&self, versions: Vec<String>, report: &(dyn Fn(String) + Sync)) -> Pruned {
        let mut pruned = Pruned::default();
        for batch in versions.chunks(AT_ONCE) {
            let in_use = match self.usage_now().await {
                Ok(in_use) => in_use,
                Err(error) => {
                    pruned.interrupted = Some(error);
                    break;
                }
            };
            let in_use = &in_use;
            let mut deletions = stream::iter(batch.to_vec())
                .map(|version| async move {
                    let fate = self.delete(&version, in_use, report).await;
                    (version, fate.unwrap_or_else(Fate::Failed))
                })
                .buffer_unordered(AT_ONCE);
            while let Some((version, fate)) = deletions.next().await {
                pruned.add(version, fate);
            }
            if pruned.interrupted.is_some() {
                break;
            }
        }
        pruned
    }

    async fn delete(
        &self,
        version: &str,
        in_use: &InUse,
        report: &(dyn Fn(String) + Sync),
    ) -> Result<Fate, Error> {
        let (context, scope) = (self.context, self.scope);
        let id = self.definition.child("versions", version).to_string();
        let _guard = context.lock(&id).await;
        // The version is read last: its tags take effect immediately, while usage is known with a delay anyway.
        let Some(found) = context.client.get_opt(scope, &Target::at(id.clone())).await? else {
            return Ok(Fate::Gone);
        };
        let found = candidate(&Object::read(&found));
        let candidates: Vec<Candidate> = self
            .candidates
            .iter()
            .map(|known| if known.version == version { found.clone() } else { known.clone() })
            .collect();
        if let Some(why) = self.decide(&candidates, in_use).kept.remove(version) {
            return Ok(Fate::Spared(why));
        }
        report(format!("deleting version {version}"));
        pipeline::remove(context, scope, &Target::at(id)).await?;
        Ok(Fate::Deleted)
    }

    /// The usage of the definition at this moment.
    async fn usage_now(&self) -> Result<InUse, Error> {
        if !self.policy.rules.in_use {
            return Ok(InUse::default());
        }
        let subscriptions = &self.policy.usage_subscription_ids;
        let found = usage::of_image_now(self.context, self.scope, self.definition, subscriptions).await;
        // Usage that could not be read because of an interrupt is not a reason to keep a version.
        self.scope.check()?;
        Ok(in_use(found, self.policy))
    }
}

impl Pruned {
    fn add(&mut self, version: String, fate: Fate) {
        match fate {
            Fate::Deleted => self.deleted.push(version),
            Fate::Gone => self.gone.push(version),
            Fate::Spared(why) => {
                self.spared.insert(version, why);
            }
            Fate::Failed(error) if error.is_stopped() || error.is_timed_out() => {
                self.interrupted = Some(error);
            }
            Fate::Failed(error) => {
                let why = error.message.lines().next().unwrap_or_default().to_owned();
                self.blocked.insert(version, why);
            }
        }
    }
}

fn candidate(version: &Object) -> Candidate {
    Candidate {
        version: version.name.clone(),
        published: version.published_date.as_deref().and_then(instant),
        excluded: version.exclude_from_latest.unwrap_or_default(),
        state: version.provisioning_state.clone().unwrap_or_default(),
        tags: version.tags.clone(),
    }
}

/// The usage of the definition; what cannot be read is unknown, and unknown keeps everything.
fn in_use(found: Result<Usage, Error>, policy: &Policy) -> InUse {
    match found {
        Ok(found) => {
            let outside = found.outside.clone().filter(|_| !policy.ignore_users_outside_tenant);
            let latest = found.users.iter().any(|user| user.kind == Kind::ScaleSet && user.version.is_none());
            InUse {
                versions: found.by_version(),
                latest,
                unknown: found.gaps.into_iter().chain(outside).collect(),
            }
        }
        Err(error) => InUse {
            unknown: vec![format!(
                "its usage could not be read ({})",
                error.message.lines().next().unwrap_or_default()
            )],
            ..InUse::default()
        },
    }
}

/// One line for each version, with its reason.
pub fn lines(versions: &BTreeMap<String, String>) -> String {
    versions.iter().map(|(version, why)| format!("  {version}: {why}")).collect::<Vec<_>>().join("\n")
}
