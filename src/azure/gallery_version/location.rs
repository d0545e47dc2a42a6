//! The home region of a new object: the configured one, or else that of its parent.

use super::Kind;
use crate::arm::Target;
use crate::azure::pipeline::Task;
use crate::azure::{body, fault};
use crate::schema::{Diagnostic, Diagnostics, Path};

/// The home region of a new version: `configured`, or else that of the parent with the ID `parent`.
pub async fn location(
    task: &Task<'_>,
    kind: &Kind,
    configured: Option<&str>,
    parent: &str,
) -> Result<String, Diagnostics> {
    match configured {
        Some(location) => Ok(location.to_owned()),
        None => parent_location(task, kind.noun, kind.parent_noun, kind.parent, parent).await,
    }
}

/// The region of the `parent` of a new `noun`. `attribute` contains the parent's ID.
pub async fn parent_location(
    task: &Task<'_>,
    noun: &str,
    parent_noun: &str,
    attribute: &'static str,
    parent: &str,
) -> Result<String, Diagnostics> {
    let error = match task.context.run.parent(task.client(), &task.scope, &Target::at(parent)).await {
        Ok(Some(parent)) => return Ok(body::text(&parent, "location").unwrap_or_default()),
        Ok(None) => Diagnostic::error(
            format!("The {parent_noun} of the {noun} does not exist"),
            format!("Create it first, or correct {attribute}.\n\n{parent}"),
        ),
        Err(error) => fault::diagnostic(&error, &format!("reading the {parent_noun} of the {noun}"), parent),
    };
    Err(error.at(Path::attribute(attribute)).into())
}
