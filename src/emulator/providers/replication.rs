//! Replication of an image version: when each region starts and ends, its progress, and the aggregated state.

use super::super::call::Call;
use super::super::clock::Ticks;
use super::super::json::Json;
use super::super::operations::stable;
use super::super::regions;
use super::super::resource::Resource;

/// A replication plan.
pub struct Plan {
    /// Hidden records, one per region: `region, replicas, start, end, failed`.
    pub regions: Vec<Json>,
    /// When the last region completes.
    pub end: Ticks,
    /// The failure of the operation, if a region fails.
    pub error: Option<(String, String)>,
}

impl Plan {
    /// Makes all regions fail immediately.
    pub fn fail(&mut self, now: Ticks) {
        self.end = now;
        for region in &mut self.regions {
            region.set("failed", true);
            region.set("end", now);
        }
    }
}

/// The target region of a version, if it is replicated to `location`.
pub fn target_region<'v>(version: &'v Resource, location: &str) -> Option<&'v Json> {
    version
        .property("publishingProfile")?
        .list("targetRegions")
        .iter()
        .find(|region| regions::normalize(region.text("name").unwrap_or_default()) == location)
}

/// Plans the copies of a version to its target regions. Existing copies are kept unless `anew` is set.
pub fn plan_version(call: &Call<'_, '_>, version: &Resource, base: Ticks, anew: bool) -> Plan {
    let profile = version.property("publishingProfile").cloned().unwrap_or_default();
    let wanted: Vec<(String, i64)> = profile
        .list("targetRegions")
        .iter()
        .map(|region| {
            let name = regions::normalize(region.text("name").unwrap_or_default());
            (name, region.int("regionalReplicaCount").unwrap_or(1))
        })
        .collect();
    let before = match version.hidden("replication") {
        Some(Json::Array(entries)) if !anew => entries.clone(),
        _ => Vec::new(),
    };
    plan(call, &regions::normalize(version.location()), &wanted, &before, base)
}

// Plans the copies. Regions that already have as many replicas stay unchanged. The home region is copied first; the others
// start when it is done. Each region has a constant speed between 0.7 and 1.2 times `base`, derived from its name.
fn plan(call: &Call<'_, '_>, home: &str, wanted: &[(String, i64)], before: &[Json], base: Ticks) -> Plan {
    let mut plan = Plan { regions: Vec::new(), end: call.now + base / 8, error: None };
    let mut failed = Vec::new();
    let kept_of = |name: &str, replicas: i64| {
        before.iter().find(|old| {
            old.text("region") == Some(name)
                && old.int("replicas") == Some(replicas)
                && old.flag("failed") != Some(true)
        })
    };
    let is_new = |(name, replicas): &&(String, i64)| kept_of(name, *replicas).is_none();
    let takes = |name: &str, part: f64| {
        let share = 0.7 + (stable(name) % 51) as f64 / 100.0;
        (base as f64 * share * part) as Ticks
    };
    let new_home = wanted.iter().filter(is_new).any(|(name, _)| name == home);
    let new_others = wanted.iter().filter(is_new).any(|(name, _)| name != home);
    let (home_part, other_part) = if new_home && new_others { (0.4, 0.6) } else { (1.0, 1.0) };
    let home_end = call.now + if new_home { takes(home, home_part) } else { 0 };
    for (name, replicas) in wanted {
        let failing = call.effects.fails_region(name);
        let kept = kept_of(name, *replicas);
        let mut entry = match kept {
            Some(old) if !failing => old.clone(),
            _ => {
                let (start, end) = match name == home {
                    true => (call.now, home_end),
                    false => (home_end, home_end + takes(name, other_part)),
                };
                Json::object()
                    .with("region", name.as_str())
                    .with("replicas", *replicas)
                    .with("start", start)
                    .with("end", end)
            }
        };
        if failing {
            entry.set("failed", true);
            failed.push(name.clone());
        }
        if call.effects.stuck {
            entry.remove("end");
        }
        plan.end = plan.end.max(entry.int("end").unwrap_or(plan.end));
        plan.regions.push(entry);
    }
    if !failed.is_empty() {
        let details: Vec<String> = failed
            .iter()
            .map(|name| format!("{{region:{name}, detail:The replication job failed in this region.}}"))
            .collect();
        plan.error = Some((
            "GalleryReplicationJobFailed".to_owned(),
            format!(
                "Gallery replication jobs failed in one or more regions. The failing regions' details are as follows: '{}'. If retry does not work, then please do an update by removing the failed regions and update again by adding them back.",
                details.join(", ")
            ),
        ));
    }
    plan
}

/// State and progress of one region: `Replicating` with 0 to 99, `Completed` with 100, or `Failed`.
pub fn progress(entry: &Json, now: Ticks) -> (&'static str, i64) {
    let start = entry.int("start").unwrap_or(now);
    let failed = entry.flag("failed") == Some(true);
    match entry.int("end") {
        Some(end) if now >= end => {
            if failed {
                ("Failed", 0)
            } else {
                ("Completed", 100)
            }
        }
        Some(end) => {
            let span = (end - start).max(1);
            ("Replicating", (i128::from((now - start).max(0)) * 100 / i128::from(span)).clamp(0, 99) as i64)
        }
        None => ("Replicating", 37),
    }
}

/// `replicationStatus` as `$expand=ReplicationStatus` shows it. Recordings up to 2019 have short region names and no details;
/// later api-versions show display names, like target regions.
pub fn status(call: &Call<'_, '_>, entries: &[Json]) -> Json {
    let modern = call.since("2021-07-01");
    let mut states = Vec::new();
    let summary: Vec<Json> = entries
        .iter()
        .map(|entry| {
            let name = entry.text("region").unwrap_or_default();
            let (state, percent) = progress(entry, call.now);
            states.push(state);
            let shown = Json::object()
                .with("region", if modern { regions::display(name) } else { name.to_owned() })
                .with("state", state);
            let shown = if modern {
                shown.with(
                    "details",
                    if state == "Failed" { "The replication job failed in this region." } else { "" },
                )
            } else {
                shown
            };
            shown.with("progress", percent)
        })
        .collect();
    let aggregated = if states.contains(&"Failed") {
        "Failed"
    } else if states.contains(&"Replicating") {
        "InProgress"
    } else {
        "Completed"
    };
    Json::object().with("aggregatedState", aggregated).with("summary", summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_follows_the_clock() {
        let entry = Json::object().with("start", 100_i64).with("end", 200_i64);
        assert_eq!(progress(&entry, 100), ("Replicating", 0));
        assert_eq!(progress(&entry, 150), ("Replicating", 50));
        assert_eq!(progress(&entry, 199), ("Replicating", 99));
        assert_eq!(progress(&entry, 200), ("Completed", 100));
        let failed = entry.with("failed", true);
        assert_eq!(progress(&failed, 150).0, "Replicating");
        assert_eq!(progress(&failed, 200).0, "Failed");
        assert_eq!(progress(&Json::object().with("start", 0_i64), 999).0, "Replicating");
    }
}
