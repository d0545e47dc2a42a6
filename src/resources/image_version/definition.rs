//! What the checks of a plan know about the image definition: from its own plan in this run, else from the service.

use crate::arm::{ResourceId, Scope, Target};
use crate::azure::Context;
use crate::azure::objects::definition::{Definition, Features};
use crate::framework::Op;
use crate::schema::Value;

/// The definition `id`; `None` when nothing is known about it. The service judges later what cannot be read now.
pub async fn find(context: &Context, op: &Op, scope: &Scope, id: &ResourceId) -> Option<Definition> {
    if let Some(planned) = op.planned_object(&id.to_string()) {
        return Some(from_plan(&planned));
    }
    let found = context.run.parent(&context.client, scope, &Target::at(id.to_string())).await;
    Some(Definition::read(&found.ok()??))
}

fn from_plan(planned: &Value) -> Definition {
    let text = |name: &str| planned.get(name).as_str().map(str::to_owned);
    Definition {
        location: text("location"),
        os_type: text("os_type"),
        os_state: text("os_state"),
        hyper_v_generation: text("hyper_v_generation"),
        architecture: text("architecture"),
        features: Features { security_type: text("security_type"), ..Features::default() },
        ..Definition::default()
    }
}
