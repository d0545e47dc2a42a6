//! Target regions: a set keyed by region that changes in place. Only changes that the service refuses for an existing
//! region replace the version.

use serde_json::{Value as Json, json};

use super::Kind;
use crate::arm::{Target, region};
use crate::azure::objects::target_region::{TargetRegion, is_empty_encryption, region_key};
use crate::azure::pipeline::Member;
use crate::azure::run_log::Event;
use crate::azure::{Context, body};
use crate::framework::{Draft, Op};
use crate::schema::{Diagnostics, Path, Set, Value};

/// The permission to remove regions. Older API versions remove them without one.
pub const REMOVAL_PERMISSION: Member = Member::new("allow_deletion_of_replicated_locations", "2022-03-03");

/// Whether the cloud removes a region of the version at `path` only with permission, as far as is known.
pub fn needs_permission(context: &Context, path: &str) -> bool {
    let using = context.client.api_version_of(&Target::at(path));
    !using.is_confirmed || using.has(REMOVAL_PERMISSION.since())
}

/// Rejects the removal of a region without permission, and plans a replacement if the service refuses a change.
pub fn prepare(context: Option<&Context>, draft: &mut Draft<'_>, kind: &Kind) {
    keep_home_only(draft);
    keep_storage(draft);
    let planned = draft.planned.get("target_region").clone();
    let prior = draft.prior.get("target_region").clone();
    if draft.is_create() || planned.is_unknown() || prior.elements().is_empty() {
        return;
    }
    let find =
        |key: &str| planned.elements().iter().find(|region| region_key(region).as_deref() == Some(key));
    // without target regions, the version stays in its own region
    let home = draft.prior.get("location").as_str().map(region::normalise);
    let stays = |key: &str| planned.is_empty() && home.as_deref() == Some(key);
    // a region with an unknown name may be any of the regions that seem to be removed
    let all_named = planned.elements().iter().all(|region| region_key(region).is_some());
    let (mut dropped, mut refused) = (Vec::new(), Vec::new());
    for old in prior.elements() {
        let Some(key) = region_key(old) else { continue };
        let name = old.get("name").as_str().unwrap_or_default().to_owned();
        match find(&key) {
            None if all_named && !stays(&key) => dropped.push(name),
            None => {}
            Some(new) => {
                for attribute in ["storage_account_type", "encryption"] {
                    if !means_same(attribute, new.get(attribute), old.get(attribute)) {
                        refused.push(format!("{attribute} of {name}"));
                    }
                }
            }
        }
    }
    let path = Path::attribute("target_region");
    if !refused.is_empty() {
        draft.replace.push(path.clone());
        draft.diagnostics.warning(
            path.clone(),
            format!("The {} is replaced", kind.noun),
            format!(
                "The service changes no {} in place. To avoid the replacement, take the change back, or drop the \
                 region in one apply and add it anew in the next.",
                refused.join(" and no ")
            ),
        );
        return;
    }
    // removals matter only for a version that is not replaced
    let allowed = draft.planned.get("allow_deletion_of_replicated_locations");
    if !dropped.is_empty()
        && allowed.as_bool() == Some(false)
        && !kind.immutable.iter().any(|name| draft.changes(name))
    {
        let id = draft.prior.get("id").as_str().unwrap_or_default();
        let by_others = |name: &&String| {
            context.is_some_and(|context| context.run.has(&region_id(id, name), Event::AddedByOthers))
        };
        let added: Vec<&str> = dropped.iter().filter(by_others).map(String::as_str).collect();
        let origin = match added.as_slice() {
            [] => String::new(),
            added => format!("{} was added outside Terraform. ", added.join(" and ")),
        };
        let summary = format!("The plan removes the region {}", dropped.join(" and "));
        if context.is_some_and(|context| !needs_permission(context, id)) {
            draft.diagnostics.warning(
                path,
                summary,
                format!(
                    "{origin}The API versions of this cloud do not protect regions, so apply removes it. Keep the region by \
                     a target_region block, or leave regions alone by lifecycle {{ ignore_changes = [target_region] }}."
                ),
            );
            return;
        }
        draft.diagnostics.error(
            path,
            summary,
            format!(
                "{origin}allow_deletion_of_replicated_locations is false, so the service would refuse. Keep the region by a \
                 target_region block, or set allow_deletion_of_replicated_locations = true (both can be applied together), or \
                 leave regions alone by lifecycle {{ ignore_changes = [target_region] }}."
            ),
        );
    }
}

/// Records the regions of the version `id` that a refresh has found and that the state did not contain.
pub fn remember_added(context: &Context, id: &str, state: &[TargetRegion], read: &[TargetRegion]) {
    for target in read {
        if !state.iter().any(|old| region::same_region(&old.name, &target.name)) {
            context.run.record(&region_id(id, &target.name), Event::AddedByOthers);
        }
    }
}

fn region_id(id: &str, region: &str) -> String {
    format!("{id}/targetRegions/{}", region::normalise(region))
}

// An existing region keeps its storage type if the configuration does not set one. The default applies to new regions
// only; otherwise versions of other tools would be replaced.
fn keep_storage(draft: &mut Draft<'_>) {
    const STORAGE: &str = "storage_account_type";
    let Value::Set(mut regions) = draft.planned.get("target_region").clone() else { return };
    let (config, prior) = (draft.config.get("target_region"), draft.prior.get("target_region"));
    // for a version without target regions, the state does not contain the storage type that the service chose for
    // the home region
    let home = draft.prior.get("location").as_str().map(region::normalise);
    let chosen_by_service = home.filter(|_| prior.is_known() && prior.is_empty());
    for region in &mut regions {
        let Some(key) = region_key(region) else { continue };
        let find = |set: &Value| {
            set.elements().iter().find(|other| region_key(other).as_ref() == Some(&key)).cloned()
        };
        if !find(config).is_some_and(|written| written.get(STORAGE).is_null()) {
            continue;
        }
        let existing = find(prior).map(|existing| existing.get(STORAGE).clone());
        if let Some(storage) = existing.filter(Value::is_known) {
            region.set(STORAGE, storage);
        } else if chosen_by_service.as_ref() == Some(&key) {
            region.set(STORAGE, Value::Unknown);
        }
    }
    draft.planned.set("target_region", Value::Set(regions));
}

fn means_same(attribute: &str, new: &Value, old: &Value) -> bool {
    attribute == "encryption" && is_empty_encryption(new) && is_empty_encryption(old) || new == old
}

/// Regions that occur twice, in any spelling.
pub fn check_duplicates(targets: &Value, found: &mut Diagnostics) {
    let mut seen: Vec<String> = Vec::new();
    for target in targets.elements() {
        if let Some(key) = region_key(target) {
            if seen.contains(&key) {
                let name = target.get("name").as_str().unwrap_or_default();
                found.error(
                    Path::attribute("target_region"),
                    format!("The region {name:?} is given twice"),
                    format!("Spelling aside, two target_region blocks name {key}: keep one of them."),
                );
            }
            seen.push(key);
        }
    }
}

/// Checks that the home region and the target regions exist in the subscription, if the plan changes them.
pub async fn check_exist(
    context: &Context,
    op: &Op,
    draft: &Draft<'_>,
    subscription: &str,
    found: &mut Diagnostics,
) {
    if !draft.changes("target_region") && !draft.changes("location") {
        return;
    }
    let location = draft.planned.get("location").as_str().map(|name| ("location", name));
    let targets = draft.planned.get("target_region").elements().iter();
    let targets = targets.filter_map(|target| Some(("target_region", target.get("name").as_str()?)));
    for (attribute, name) in location.into_iter().chain(targets) {
        if let Some(why) = context.unknown_location(op, subscription, name).await {
            found.error(Path::attribute(attribute), "There is no such region", why);
        }
    }
}

/// Checks that the home region `location` is among the target regions.
pub fn check_home(targets: &Value, location: &str, found: &mut Diagnostics) {
    if targets.is_unknown() || targets.elements().is_empty() {
        return;
    }
    let names: Option<Vec<String>> = targets.elements().iter().map(region_key).collect();
    if names.is_some_and(|names| !names.contains(&region::normalise(location))) {
        found.error(
            Path::attribute("target_region"),
            format!("The version's own region {location:?} is missing"),
            format!(
                "The service keeps a version in its own region first, and copies it from there. Add target_region \
                 {{ name = {location:?} }}, or set location to one of the target regions."
            ),
        );
    }
}

// A version without target regions has one replica in its own region, with the storage type that the service chooses.
// Adding or removing a block for that region, without other settings, changes nothing.
fn keep_home_only(draft: &mut Draft<'_>) {
    let (planned, prior) = (draft.planned.get("target_region"), draft.prior.get("target_region"));
    let Some(home) = draft.prior.get("location").as_str().map(region::normalise) else { return };
    let is_home_only = |regions: &Value, any_storage: bool| match regions.elements() {
        [] => regions.is_known(),
        [region] => is_plain(region, &home, any_storage),
        _ => false,
    };
    if planned.is_empty() != prior.is_empty() && is_home_only(planned, false) && is_home_only(prior, true) {
        let prior = prior.clone();
        draft.planned.set("target_region", prior);
    }
}

// Whether a target region is the version's own region with default settings.
fn is_plain(region: &Value, home: &str, any_storage: bool) -> bool {
    let Value::Object(members) = region else { return false };
    members.iter().all(|(name, value)| match name.as_str() {
        "name" => region_key(region).as_deref() == Some(home),
        "regional_replica_count" => value.as_i64() == Some(1),
        "storage_account_type" => any_storage || value.as_str() == Some("Standard_LRS"),
        _ => value.is_unset() || value.as_bool() == Some(false),
    })
}

/// The target regions of the state, of those that were `read`. If none can be configured and the version is only in its home
/// region `location`, the state has none either.
pub fn in_state(
    mut read: Set<TargetRegion>,
    may_be_configured: bool,
    location: Option<&str>,
) -> Set<TargetRegion> {
    if !may_be_configured
        && let ([only], Some(location)) = (read.0.as_slice(), location)
        && region::same_region(location, &only.name)
    {
        read.0.clear();
    }
    read
}

/// The target regions to send if the configuration has none: the home region, with its current settings.
pub fn only_home(current: &[Json], location: Option<&str>) -> Json {
    let is_home = |target: &&Json| {
        location.zip(body::text(target, "name")).is_some_and(|(home, name)| region::same_region(home, &name))
    };
    match current.iter().find(is_home) {
        Some(home) => json!([home]),
        None => json!(current),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_region_keeps_its_storage_by_default() {
        let set = |rows: &[(&str, Option<&str>)]| {
            Value::object([(
                "target_region",
                Value::Set(
                    rows.iter()
                        .map(|(name, storage)| {
                            Value::object([
                                ("name", Value::from(*name)),
                                ("storage_account_type", storage.map_or(Value::Null, Value::from)),
                            ])
                        })
                        .collect(),
                ),
            )])
        };
        let prior = set(&[("East US", Some("Standard_ZRS")), ("westus", Some("Standard_ZRS"))]);
        let config = set(&[("eastus", None), ("westus", Some("Premium_LRS")), ("northeurope", None)]);
        let lrs = Some("Standard_LRS");
        let mut draft = Draft::new(
            &config,
            &prior,
            set(&[("East US", lrs), ("westus", Some("Premium_LRS")), ("northeurope", lrs)]),
        );
        prepare(None, &mut draft, &super::super::IMAGE_VERSION);
        let wanted =
            set(&[("East US", Some("Standard_ZRS")), ("westus", Some("Premium_LRS")), ("northeurope", lrs)]);
        assert_eq!(draft.planned, wanted);
        assert_eq!(draft.replace, [Path::attribute("target_region")], "westus changes its storage type");
    }

    #[test]
    fn home_region_without_a_block_keeps_the_storage_that_the_service_chose() {
        let set = |rows: &[(&str, Value)]| {
            let region = |(name, storage): &(&str, Value)| {
                Value::object([("name", Value::from(*name)), ("storage_account_type", storage.clone())])
            };
            Value::object([
                ("location", Value::from("eastus")),
                ("target_region", Value::Set(rows.iter().map(region).collect())),
            ])
        };
        let (lrs, zrs) = (Value::from("Standard_LRS"), Value::from("Standard_ZRS"));
        for (written, planned, expected) in
            [(Value::Null, lrs.clone(), Value::Unknown), (zrs.clone(), zrs.clone(), zrs)]
        {
            let (config, prior) = (set(&[("East US", written), ("westus", Value::Null)]), set(&[]));
            let mut draft =
                Draft::new(&config, &prior, set(&[("East US", planned), ("westus", lrs.clone())]));
            prepare(None, &mut draft, &super::super::IMAGE_VERSION);
            assert_eq!(draft.planned, set(&[("East US", expected), ("westus", lrs.clone())]));
            assert_eq!(draft.replace, []);
        }
    }
}
