//! Checks of the disks that a managed image is made from.

use serde_json::Value as Json;

use crate::arm::{Target, region};
use crate::azure::context::scope;
use crate::azure::{Context, body};
use crate::framework::{Draft, Op};
use crate::schema::{Diagnostics, Path, Value};

/// Plans the default of `caching`.
pub fn prepare(draft: &mut Draft<'_>) {
    let silent = |mut disk: Value| {
        if disk.is_known() && disk.get("caching").is_null() {
            disk.set("caching", "None".into());
        }
        disk
    };
    let os_disk = silent(draft.planned.get("os_disk").clone());
    draft.planned.set("os_disk", os_disk);
    if let Value::Set(disks) = draft.planned.get("data_disk").clone() {
        draft.planned.set("data_disk", Value::Set(disks.into_iter().map(silent).collect()));
    }
}

/// Checks that a disk has exactly one source.
pub fn check_sources(disk: &Value, path: &Path, found: &mut Diagnostics) {
    const SOURCES: [&str; 3] = ["managed_disk_id", "snapshot_id", "blob_uri"];
    if !disk.is_known() {
        return;
    }
    let given: Vec<&str> = SOURCES.into_iter().filter(|name| disk.get(name).is_known()).collect();
    let open = SOURCES.iter().any(|name| disk.get(name).is_unknown());
    match given.as_slice() {
        [] if !open => found.error(
            path.clone(),
            format!("{path} has no source"),
            "Set one of managed_disk_id, snapshot_id and blob_uri.",
        ),
        [] | [_] => {}
        [_, extra, ..] => found.error(
            path.then(*extra),
            format!("{path} has more than one source"),
            format!("{} are set. Keep one of them.", given.join(" and ")),
        ),
    }
}

/// Checks that no two data disks share a logical unit number.
pub fn check_luns(disks: &Value, found: &mut Diagnostics) {
    let mut seen = Vec::new();
    for lun in disks.elements().iter().filter_map(|disk| disk.get("lun").as_i64()) {
        if seen.contains(&lun) {
            found.error(
                Path::attribute("data_disk"),
                format!("Two data disks have lun {lun}"),
                "Give each data_disk block its own lun.",
            );
        }
        seen.push(lun);
    }
}

/// Checks the disks, snapshots and disk encryption sets of a planned image, as far as they are known and can be read.
pub async fn check(context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
    let os_disk = draft.planned.get("os_disk");
    let path = Path::attribute("os_disk");
    if let Some((disk, id)) = check_disk(context, op, draft, os_disk, &path, found).await {
        compare(&disk, &id, &draft.planned, found);
    }
    for disk in draft.planned.get("data_disk").elements() {
        check_disk(context, op, draft, disk, &Path::attribute("data_disk").element(), found).await;
    }
}

// Checks what one disk refers to. Returns the source and its ID.
async fn check_disk(
    context: &Context,
    op: &Op,
    draft: &Draft<'_>,
    disk: &Value,
    path: &Path,
    found: &mut Diagnostics,
) -> Option<(Json, String)> {
    let mut source = None;
    for (name, noun) in [
        ("managed_disk_id", "disk"),
        ("snapshot_id", "snapshot"),
        ("disk_encryption_set_id", "disk encryption set"),
    ] {
        let Some(id) = disk.get(name).as_str() else { continue };
        let scope = scope(op, format!("reading {id}"));
        let target = Target::at(id.trim_end_matches('/'));
        let read = match context.run.parent(&context.client, &scope, &target).await {
            Ok(Some(read)) => read,
            Ok(None) => {
                found.error(
                    path.then(name),
                    format!("The {noun} {:?} does not exist", id.rsplit('/').next().unwrap_or(id)),
                    format!("Create it first, or correct {name}. Nothing was destroyed.\n\n{id}"),
                );
                continue;
            }
            Err(error) => {
                tracing::debug!(%error, "cannot be read while planning");
                continue;
            }
        };
        check_region(&read, id, noun, path.then(name), draft, found);
        if name != "disk_encryption_set_id" {
            source = Some((read, id.to_owned()));
        }
    }
    source
}

fn check_region(object: &Json, id: &str, noun: &str, path: Path, draft: &Draft<'_>, found: &mut Diagnostics) {
    if let (Some(wanted), Some(has)) =
        (draft.planned.get("location").as_str(), body::text(object, "location"))
        && !region::same_region(wanted, &has)
    {
        found.error(
            path,
            format!("The {noun} {:?} is in {has}", id.rsplit('/').next().unwrap_or(id)),
            format!("Azure makes a managed image in the region of its disks, and the image is planned in {wanted:?}. Set location = {has:?}, or use a {noun} in that region."),
        );
    }
}

// The service refuses another region. It believes the rest, and virtual machines made from the image may then not start.
fn compare(disk: &Json, id: &str, planned: &Value, found: &mut Diagnostics) {
    let name = id.rsplit('/').next().unwrap_or(id);
    let rows = [
        (
            "hyperVGeneration",
            Path::attribute("hyper_v_generation"),
            planned.get("hyper_v_generation"),
            "generation",
        ),
        (
            "osType",
            Path::attribute("os_disk").then("os_type"),
            planned.get("os_disk").get("os_type"),
            "operating system",
        ),
    ];
    for (property, path, wanted, what) in rows {
        if let (Some(wanted), Some(has)) =
            (wanted.as_str(), body::text(disk, &format!("properties.{property}")))
            && !wanted.eq_ignore_ascii_case(&has)
        {
            let summary = format!("The disk {name:?} has {what} {has}, and the image {wanted}");
            let detail = format!(
                "Virtual machines made from the image may not start, and image versions made of it may be refused. Set {path} = {has:?}."
            );
            found.warning(path, summary, detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::azure::objects::managed_image::{DataDisk, OsDisk};
    use crate::schema::Slot;

    const ID: &str =
        "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/resourceGroups/rg/providers/Microsoft.Compute";

    fn os_disk() -> OsDisk {
        OsDisk {
            os_type: Some("Linux".into()),
            os_state: Some("Generalized".into()),
            managed_disk_id: Some(format!("{ID}/disks/os")),
            caching: Some("None".into()),
            ..OsDisk::default()
        }
    }

    #[test]
    fn compares_the_plan_with_the_disk() {
        let planned = Value::object([
            ("location", "West Europe".into()),
            ("hyper_v_generation", "V1".into()),
            ("os_disk", os_disk().encode()),
        ]);
        let rows = [
            (
                json!({"location": "westeurope", "properties": {"hyperVGeneration": "V1", "osType": "linux"}}),
                "",
            ),
            (json!({}), ""),
            (json!({"properties": {"hyperVGeneration": "V2"}}), "Set hyper_v_generation = \"V2\"."),
            (json!({"properties": {"osType": "Windows"}}), "Set os_disk.os_type = \"Windows\"."),
        ];
        for (disk, expected) in rows {
            let mut found = Diagnostics::new();
            compare(&disk, &format!("{ID}/disks/os"), &planned, &mut found);
            let text = found.0.iter().map(ToString::to_string).collect::<String>();
            if expected.is_empty() {
                assert_eq!(text, "")
            } else {
                assert!(text.contains(expected), "{text}")
            }
        }
    }

    #[test]
    fn checks() {
        let disk = |fields: &[(&'static str, Value)]| {
            let mut disk = DataDisk { lun: 1, ..DataDisk::default() }.encode();
            for (name, value) in fields {
                disk.set(name, value.clone());
            }
            disk
        };
        let rows: &[(&[(&'static str, Value)], usize)] = &[
            (&[], 1),
            (&[("managed_disk_id", "m".into())], 0),
            (&[("managed_disk_id", "m".into()), ("blob_uri", "b".into())], 1),
            (&[("managed_disk_id", "m".into()), ("blob_uri", Value::Unknown)], 0),
            (&[("snapshot_id", Value::Unknown)], 0),
        ];
        for (fields, errors) in rows {
            let mut found = Diagnostics::new();
            check_sources(&disk(fields), &Path::attribute("os_disk"), &mut found);
            assert_eq!(found.0.len(), *errors, "{fields:?}");
        }
        let mut found = Diagnostics::new();
        check_luns(
            &Value::Set(vec![disk(&[]), disk(&[("lun", Value::Unknown)]), disk(&[("lun", 2.into())])]),
            &mut found,
        );
        assert!(found.0.is_empty());
        check_luns(&Value::Set(vec![disk(&[]), disk(&[("blob_uri", "b".into())])]), &mut found);
        assert_eq!(found.0.len(), 1);
    }
}
