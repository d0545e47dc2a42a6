//! The state of a virtual machine, as far as images depend on it.

use serde_json::Value as Json;

use super::body;

/// What a machine that was read with `$expand=instanceView` says of its state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineState {
    /// `running`, `stopped`, `deallocated` and so on; empty when the service does not say.
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

    /// Whether the machine does not run.
    pub fn is_off(&self) -> bool {
        matches!(self.power.as_str(), "stopped" | "deallocated")
    }
}
