//! Moving resources to another resource group of the subscription. Not recorded.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::errors::{ArmError, invalid_content};
use super::super::json::Json;
use super::super::resource::Resource;
use super::super::store::resource_key;
use super::super::template::ids;
use super::groups;

/// Types that cannot move, and whose children cannot move either.
const UNMOVABLE: &[&str] = &["Microsoft.Compute/galleries", "Microsoft.VirtualMachineImages/imageTemplates"];

/// `POST …/moveResources`, or only its check. IDs inside the properties of resources are not rewritten.
pub fn route(call: &mut Call<'_, '_>, group: &str, is_move: bool) -> Outcome {
    if call.method != Method::Post {
        return Err(ArmError::no_method(call.method.name(), groups::KIND));
    }
    let source = groups::require(call, group)?.id().to_owned();
    let target = call.body.text("targetResourceGroup").unwrap_or_default().trim_end_matches('/').to_owned();
    let wanted: Vec<String> =
        call.body.list("resources").iter().filter_map(Json::as_str).map(str::to_owned).collect();
    if wanted.is_empty() || target.is_empty() {
        return Err(invalid_content("'resources' and 'targetResourceGroup' are required"));
    }
    let refused = |code: &str, message: String| Err(ArmError::gateway(409, code, message));
    let name = target.rsplit('/').next().unwrap_or_default().to_owned();
    let here = ids::group_scope(&call.subscription, &name);
    if !target.eq_ignore_ascii_case(&here) || target.eq_ignore_ascii_case(&source) {
        return refused(
            "ResourceMoveNotEmulated",
            format!(
                "The emulator cannot move resources to '{target}', only to another resource group of the same subscription."
            ),
        );
    }
    let target = groups::require(call, &name)?.id().to_owned();
    let mut moved = Vec::new();
    for id in &wanted {
        let found = call.find(id).filter(|found| {
            found.id().to_ascii_lowercase().starts_with(&(source.to_ascii_lowercase() + "/"))
        });
        let Some(found) = found else {
            return Err(ArmError::gateway(
                404,
                "ResourceNotFound",
                format!("The resource '{id}' was not found in resource group '{group}'."),
            ));
        };
        let kind = found.doc.text("type").unwrap_or_default().to_owned();
        let inside =
            UNMOVABLE.iter().any(|known| kind.to_ascii_lowercase().starts_with(&known.to_ascii_lowercase()));
        if inside || kind.matches('/').count() != 1 {
            return refused(
                "ResourceMoveNotSupported",
                format!("Resource move is not supported for resource types '{kind}'."),
            );
        }
        let prefix = found.id().to_ascii_lowercase();
        call.state.scan("r|", None, |_, record| {
            let resource = Resource::from_record(record);
            let id = resource.id().to_ascii_lowercase();
            if id.strip_prefix(&prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                moved.push(resource);
            }
            true
        });
    }
    for resource in &moved {
        let id = target.clone() + &resource.id()[source.len()..];
        if call.find(&id).is_some() {
            return refused("ResourceMoveConflict", format!("The resource '{id}' exists already."));
        }
    }
    if !is_move {
        return Ok(Answer::empty(204));
    }
    for mut resource in moved {
        call.state.delete(&resource_key(resource.id()));
        let id = target.clone() + &resource.id()[source.len()..];
        resource.doc.set("id", id);
        call.save(&resource);
    }
    Ok(Answer::empty(204))
}
