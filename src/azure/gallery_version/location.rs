//! The home region of a new version: as configured, else that of its parent.

use super::Kind;
use crate::arm::Target;
use crate::azure::pipeline::Task;
use crate::azure::{body, fault};
use crate::schema::{Diagnostic, Diagnostics, Path};

/// The home region: `configured`, else that of the parent with the ID `parent`.
pub async fn location(
    task: &Task<'_>,
    kind: &Kind,
    configured: Option<&str>,
    parent: &str,
) -> Result<String, Diagnostics> {
    if let Some(location) = configured {
        return Ok(location.to_owned());
    }
    let error = match task.context.run.parent(task.client(), &task.scope, &Target::at(parent)).await {
        Ok(Some(parent)) => return Ok(body::text(&parent, "location").unwrap_or_default()),
        Ok(None) => Diagnostic::error(
            format!("The {} does not exist", kind.parent_noun),
            format!("Create it first, or correct {}.\n\n{parent}", kind.parent),
        ),
        Err(error) => {
            let what = format!("reading the {} of the {}", kind.parent_noun, kind.noun);
            fault::diagnostic(&error, &what, parent)
        }
    };
    Err(error.at(Path::attribute(kind.parent)).into())
}
