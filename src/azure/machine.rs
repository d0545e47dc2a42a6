//! The state of a virtual machine that is the source of an image.

use serde_json::Value as Json;

use super::body;

/// The state in a response to a GET with `$expand=instanceView`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineState {
    /// `running`, `stopped`, `deallocated` and so on; empty if the response does not contain it.
    pub power: String,
    /// Whether it is marked as generalized.
    pub is_generalized: bool,
}

impl MachineState {
    /// Reads the machine's instance view.
    pub fn parse(machine: &Json) -> Self {
        let statuses = body::items(machine, "properties.instanceView.statuses");
        let status = |kind: &str| {
            statuses.iter().filter_map(|status| body::text(status, "code")).find_map(|code| {
                let (start, value) = code.split_once('/')?;
                start.eq_ignore_ascii_case(kind).then(|| value.to_lowercase())
            })
        };
        Self {
            power: status("PowerState").unwrap_or_default(),
            is_generalized: status("OSState").as_deref() == Some("generalized"),
        }
    }

    /// Whether the machine is stopped or deallocated.
    pub fn is_off(&self) -> bool {
        matches!(self.power.as_str(), "stopped" | "deallocated")
    }
}
