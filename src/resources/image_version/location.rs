//! Where a new image version has its home region.

use super::model::Model;
use crate::arm::Target;
use crate::azure::pipeline::Task;
use crate::azure::{body, fault};
use crate::schema::{Diagnostic, Diagnostics, Path};

/// The home region: as configured, else the definition's.
pub async fn location(task: &Task<'_>, plan: &Model) -> Result<String, Diagnostics> {
    if let Some(location) = &plan.location {
        return Ok(location.clone());
    }
    let definition = plan.image_definition_id.as_str();
    let found = task.context.run.parent(task.client(), &task.scope, &Target::at(definition)).await;
    let error = match found {
        Ok(Some(definition)) => return Ok(body::text(&definition, "location").unwrap_or_default()),
        Ok(None) => Diagnostic::error(
            "The image definition does not exist",
            format!("Create it first, or correct image_definition_id.\n\n{definition}"),
        ),
        Err(error) => fault::diagnostic(&error, "reading the definition of the image version", definition),
    };
    Err(error.at(Path::attribute("image_definition_id")).into())
}
