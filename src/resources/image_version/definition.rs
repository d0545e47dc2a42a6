//! What the checks of a plan know about the image definition: from its own plan in this run, else from the service.

use crate::arm::{ResourceId, Scope, Target};
use crate::azure::Context;
use crate::azure::objects::definition;
use crate::framework::Op;
use crate::schema::Value;

/// An image definition; `None` where nothing is known yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definition {
    /// The region.
    pub location: Option<String>,
    /// The operating system.
    pub os_type: Option<String>,
    /// `Generalized` or `Specialized`.
    pub os_state: Option<String>,
    /// The generation of virtual machines.
    pub hyper_v_generation: Option<String>,
    /// The processor architecture.
    pub architecture: Option<String>,
    /// The security type.
    pub security_type: Option<String>,
}

impl Definition {
    /// The definition `id`; `None` when nothing is known about it. The service judges later what cannot be read now.
    pub async fn of(context: &Context, op: &Op, scope: &Scope, id: &ResourceId) -> Option<Definition> {
        if let Some(planned) = op.planned_object(&id.to_string()) {
            return Some(Definition::planned(&planned));
        }
        let found = context.run.parent(&context.client, scope, &Target::at(id.to_string())).await;
        let read = definition::Definition::read(&found.ok()??);
        Some(Definition {
            location: read.location,
            os_type: read.os_type,
            os_state: read.os_state,
            hyper_v_generation: read.hyper_v_generation,
            architecture: read.architecture,
            security_type: read.features.security_type,
        })
    }

    fn planned(planned: &Value) -> Definition {
        let text = |name: &str| planned.get(name).as_str().map(str::to_owned);
        Definition {
            location: text("location"),
            os_type: text("os_type"),
            os_state: text("os_state"),
            hyper_v_generation: text("hyper_v_generation"),
            architecture: text("architecture"),
            security_type: text("security_type"),
        }
    }
}
