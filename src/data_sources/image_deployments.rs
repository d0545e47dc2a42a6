//! The data source `azimage_image_deployments`: durations and failures of deployments from an image.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value as Json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::finding::argument;
use super::gallery_version;
use crate::arm::id::IMAGE_DEFINITION;
use crate::arm::{Error, Scope, Target};
use crate::azure::attributes::{id_of, instant};
use crate::azure::context::scope;
use crate::azure::usage::Kind;
use crate::azure::{Context, body, fault, resource_graph, usage};
use crate::framework::timeouts::{ReadTimeouts, parse_period};
use crate::framework::{DataSource, Op};
use crate::image::sort_newest_first;
use crate::model;
use crate::schema::Diagnostics;
use crate::schema::spec::{block, computed, optional, required};

model! {
    /// Reports how long virtual machines from an image definition took to deploy and how many deployments failed, from the
    /// Activity Log of their subscriptions.
    ///
    /// The log does not contain images. A machine that has been deleted since cannot be matched to an image any more, and
    /// counts in `unknown_image_count`. The log does not contain instances of uniform scale sets.
    pub struct Model {
        /// The ID of the image definition.
        pub image_definition_id: String = argument(id_of(required(), IMAGE_DEFINITION)),
        /// How far to look back, at most `90d`. Defaults to `30d`.
        pub since: Option<String> = optional().check_text(check_since),
        /// The number of machines whose deployment began in that time.
        pub deployment_count: i64 = computed(),
        /// How many of these deployments failed.
        pub failures: i64 = computed(),
        /// The median duration of successful deployments, in seconds. Null if there are none.
        pub p50_seconds: Option<i64> = computed(),
        /// The 90th percentile of the duration of successful deployments, in seconds. Null if there are none.
        pub p90_seconds: Option<i64> = computed(),
        /// The deployments of each version, newest first.
        pub by_version: Vec<OfVersion> = computed(),
        /// The number of deployments in the same subscriptions whose machine no longer exists, so that its image is unknown.
        pub unknown_image_count: i64 = computed(),
        /// How long reading may take.
        pub timeouts: Option<ReadTimeouts> = block(),
    }
}

model! {
    /// The deployments of one version.
    pub struct OfVersion {
        /// The version.
        pub version: String = computed(),
        /// The number of machines whose deployment began in that time.
        pub count: i64 = computed(),
        /// How many of these deployments failed.
        pub failures: i64 = computed(),
        /// The median duration of successful deployments, in seconds. Null if there are none.
        pub p50_seconds: Option<i64> = computed(),
        /// The 90th percentile of the duration of successful deployments, in seconds. Null if there are none.
        pub p90_seconds: Option<i64> = computed(),
    }
}

const DEFAULT_SINCE: Duration = Duration::from_secs(30 * 86_400);
const LONGEST_SINCE: Duration = Duration::from_secs(90 * 86_400);

/// The data source.
pub struct ImageDeployments;

#[async_trait]
impl DataSource<Context> for ImageDeployments {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_image_deployments"
    }

    async fn read(&self, context: &Context, op: &Op, config: Model) -> Result<Model, Diagnostics> {
        let definition = gallery_version::definition(&config.image_definition_id)?;
        let doing = format!("reading the deployments of {:?}", definition.name());
        let scope = scope(op, &doing);
        let failed = |error: Error| fault::diagnostic(&error, &doing, &definition.to_string());
        let found = usage::of_image(context, &scope, &definition, &[]).await.map_err(failed)?;
        let machines: BTreeMap<String, String> = found
            .users
            .iter()
            .filter(|user| user.kind == Kind::VirtualMachine)
            .map(|user| (user.id.to_lowercase(), user.version.clone().unwrap_or_default()))
            .collect();
        let subscriptions: BTreeSet<String> = std::iter::once(definition.subscription_id().to_lowercase())
            .chain(found.users.iter().map(|user| user.subscription_id.to_lowercase()))
            .collect();
        let subscriptions: Vec<String> = subscriptions.into_iter().collect();
        let existing = existing(context, &scope, &subscriptions).await.map_err(failed)?;
        let since = config.since.as_deref().and_then(parse_period).unwrap_or(DEFAULT_SINCE);
        // A minute less than the maximum, so that the start is not too old when the request arrives.
        let since = since.min(LONGEST_SINCE - Duration::from_secs(60));
        let now = OffsetDateTime::now_utc();
        let mut deployments = Vec::new();
        for subscription in &subscriptions {
            let events = events(context, &scope, subscription, now - since, now).await.map_err(failed)?;
            deployments.extend(creations(&events));
        }
        Ok(summarize(config, &deployments, &machines, &existing))
    }
}

/// The IDs of all machines of the subscriptions, in lower case.
async fn existing(
    context: &Context,
    scope: &Scope,
    subscriptions: &[String],
) -> Result<BTreeSet<String>, Error> {
    const ALL: &str =
        "resources | where type =~ 'microsoft.compute/virtualmachines' | project id | order by id asc";
    let found = resource_graph::query(&context.client, scope, ALL, subscriptions).await?;
    Ok(found.rows.iter().filter_map(|row| Some(body::text(row, "id")?.to_lowercase())).collect())
}

async fn events(
    context: &Context,
    scope: &Scope,
    subscription: &str,
    from: OffsetDateTime,
    to: OffsetDateTime,
) -> Result<Vec<Json>, Error> {
    let path =
        format!("/subscriptions/{subscription}/providers/Microsoft.Insights/eventtypes/management/values");
    let members = "eventTimestamp,operationName,resourceId,correlationId,status,subStatus";
    let target = Target::at(path).query("$filter", events_filter(from, to)).query("$select", members);
    context.client.list(scope, &target).await
}

/// The filter for the events of a period, in whole seconds. The end is rounded up: rounded down, it would leave out the
/// events of the current second.
fn events_filter(from: OffsetDateTime, to: OffsetDateTime) -> String {
    let second = |at: OffsetDateTime| at.replace_nanosecond(0).unwrap_or(at);
    let write = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
    format!(
        "eventTimestamp ge '{}' and eventTimestamp le '{}' and resourceProvider eq 'Microsoft.Compute'",
        write(second(from)),
        write(second(to) + Duration::from_secs(1))
    )
}

/// The deployment of a machine.
#[derive(Clone, Debug, PartialEq)]
struct Deployment {
    machine: String,
    /// `None` while it is running.
    ended: Option<(bool, Duration)>,
}

/// The creations among the events. The events of one creation share their correlation ID; their operation IDs differ.
fn creations(events: &[Json]) -> Vec<Deployment> {
    #[derive(Default)]
    struct Traces {
        started: Option<OffsetDateTime>,
        created: bool,
        ended: Option<(bool, OffsetDateTime)>,
    }
    let mut found: BTreeMap<(String, String), Traces> = BTreeMap::new();
    for event in events {
        let text = |path: &str| body::text(event, path).unwrap_or_default();
        let is_write =
            text("operationName.value").eq_ignore_ascii_case("Microsoft.Compute/virtualMachines/write");
        let Some(at) = instant(&text("eventTimestamp")).filter(|_| is_write) else { continue };
        let key = (text("resourceId").to_lowercase(), text("correlationId"));
        let traces = found.entry(key).or_default();
        match text("status.value").as_str() {
            "Started" => traces.started = Some(traces.started.map_or(at, |known| known.min(at))),
            "Accepted" => traces.created |= text("subStatus.value") == "Created",
            // An update in the same deployment ends later, so the first end is that of the creation.
            end @ ("Succeeded" | "Failed") if traces.ended.is_none_or(|(_, known)| at < known) => {
                traces.ended = Some((end == "Succeeded", at));
            }
            _ => {}
        }
    }
    found
        .into_iter()
        .filter(|(_, traces)| traces.created)
        .filter_map(|((machine, _), traces)| {
            let started = traces.started?;
            let ended = traces
                .ended
                .map(|(succeeded, at)| (succeeded, Duration::try_from(at - started).unwrap_or_default()));
            Some(Deployment { machine, ended })
        })
        .collect()
}

fn summarize(
    config: Model,
    deployments: &[Deployment],
    machines: &BTreeMap<String, String>,
    existing: &BTreeSet<String>,
) -> Model {
    let mut by_version: BTreeMap<&str, Vec<&Deployment>> = BTreeMap::new();
    let mut unknown = 0;
    for deployment in deployments {
        match machines.get(&deployment.machine) {
            Some(version) => by_version.entry(version).or_default().push(deployment),
            None if !existing.contains(&deployment.machine) => unknown += 1,
            None => {}
        }
    }
    let all: Vec<&Deployment> = by_version.values().flatten().copied().collect();
    let of_version = |version: &str| {
        let these = by_version.get(version).map(Vec::as_slice).unwrap_or_default();
        OfVersion {
            version: version.to_owned(),
            count: these.len() as i64,
            failures: failures(these),
            p50_seconds: percentile(these, 50),
            p90_seconds: percentile(these, 90),
        }
    };
    let newest_first = sort_newest_first(by_version.keys().copied());
    Model {
        deployment_count: all.len() as i64,
        failures: failures(&all),
        p50_seconds: percentile(&all, 50),
        p90_seconds: percentile(&all, 90),
        by_version: newest_first.into_iter().map(of_version).collect(),
        unknown_image_count: unknown,
        ..config
    }
}

fn failures(deployments: &[&Deployment]) -> i64 {
    deployments.iter().filter(|deployment| matches!(deployment.ended, Some((false, _)))).count() as i64
}

/// A percentile of the duration of successful deployments, in whole seconds.
fn percentile(deployments: &[&Deployment], percent: usize) -> Option<i64> {
    let mut seconds: Vec<i64> = deployments
        .iter()
        .filter_map(|deployment| match deployment.ended {
            Some((true, duration)) => Some(duration.as_secs_f64().round() as i64),
            _ => None,
        })
        .collect();
    seconds.sort_unstable();
    let rank = (seconds.len() * percent).div_ceil(100);
    seconds.get(rank.checked_sub(1)?).copied()
}

fn check_since(text: &str) -> Result<(), String> {
    match parse_period(text) {
        Some(since) if since <= LONGEST_SINCE && !since.is_zero() => Ok(()),
        Some(_) => {
            Err("must be more than zero and at most 90d, which is how long the Activity Log is kept"
                .to_owned())
        }
        None => Err("is not a valid duration; use 45m, 12h or 30d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(machine: &str, correlation: &str, status: &str, sub: &str, second: u32) -> Json {
        json!({
            "operationName": {"value": "Microsoft.Compute/virtualMachines/write"},
            "resourceId": format!("/VM/{machine}"), "correlationId": correlation,
            "status": {"value": status}, "subStatus": {"value": sub},
            "eventTimestamp": format!("2026-11-02T12:{:02}:{:02}.1234567Z", second / 60, second % 60),
        })
    }

    #[test]
    fn the_filter_includes_the_current_second() {
        let from = instant("2026-11-01T12:00:00.9Z").unwrap();
        let to = instant("2026-11-02T23:59:59.5Z").unwrap();
        assert_eq!(
            events_filter(from, to),
            "eventTimestamp ge '2026-11-01T12:00:00Z' and eventTimestamp le '2026-11-03T00:00:00Z' \
             and resourceProvider eq 'Microsoft.Compute'"
        );
    }

    fn creation(machine: &str, begin: u32, end: Option<(&str, u32)>) -> Vec<Json> {
        let mut events = vec![
            event(machine, machine, "Accepted", "Created", begin + 1),
            event(machine, machine, "Started", "", begin),
        ];
        if let Some((status, at)) = end {
            events.insert(0, event(machine, machine, "Accepted", "", begin + 10));
            events.insert(0, event(machine, machine, status, "", at));
        }
        events
    }

    #[test]
    fn a_creation_ends_with_its_first_final_event() {
        let mut events = creation("a", 0, Some(("Succeeded", 40)));
        events.insert(0, event("a", "a", "Succeeded", "", 90));
        events.extend(creation("b", 0, Some(("Failed", 70))));
        events.extend(creation("c", 0, None));
        // An update of a machine is the same operation with another status.
        events.extend([
            event("d", "d", "Accepted", "OK", 1),
            event("d", "d", "Started", "", 0),
            event("d", "d", "Succeeded", "", 9),
        ]);
        let found = creations(&events);
        let seconds = Duration::from_secs;
        assert_eq!(
            found,
            [
                Deployment { machine: "/vm/a".to_owned(), ended: Some((true, seconds(40))) },
                Deployment { machine: "/vm/b".to_owned(), ended: Some((false, seconds(70))) },
                Deployment { machine: "/vm/c".to_owned(), ended: None },
            ]
        );
    }

    #[test]
    fn deleted_machines_have_an_unknown_image() {
        let mut events = Vec::new();
        for (number, seconds) in [(1, 30), (2, 40), (3, 50), (4, 200)] {
            events.extend(creation(&format!("a{number}"), 0, Some(("Succeeded", seconds))));
        }
        events.extend(creation("b", 0, Some(("Failed", 70))));
        events.extend(creation("gone", 0, Some(("Succeeded", 70))));
        events.extend(creation("other", 0, Some(("Succeeded", 70))));
        let machines: BTreeMap<String, String> = ["a1", "a2", "a3", "a4", "b"]
            .map(|name| (format!("/vm/{name}"), if name == "b" { "1.10.0" } else { "1.9.0" }.to_owned()))
            .into();
        let existing: BTreeSet<String> = machines.keys().cloned().chain(["/vm/other".to_owned()]).collect();
        let found = summarize(Model::default(), &creations(&events), &machines, &existing);
        assert_eq!((found.deployment_count, found.failures, found.unknown_image_count), (5, 1, 1));
        assert_eq!((found.p50_seconds, found.p90_seconds), (Some(40), Some(200)));
        let versions: Vec<(&str, i64, Option<i64>)> =
            found.by_version.iter().map(|of| (of.version.as_str(), of.failures, of.p50_seconds)).collect();
        assert_eq!(versions, [("1.10.0", 1, None), ("1.9.0", 0, Some(40))]);
    }

    #[test]
    fn checks_periods() {
        for (text, valid) in
            [("90d", true), ("720h", true), ("91d", false), ("0s", false), ("month", false), ("d", false)]
        {
            assert_eq!(check_since(text).is_ok(), valid, "{text}");
        }
    }
}
