//! The power state of a machine, and the resulting state of its disks.

use super::super::call::Call;
use super::super::clock::Ticks;
use super::super::json::Json;
use super::super::operation::Operation;
use super::super::resource::Resource;

/// The record of a power state change: the transitional state and the final one.
pub fn power(via: &str, to: &str, operation: &Operation) -> Json {
    Json::object().with("via", via).with("to", to).maybe("end", operation.end)
}

/// The power state at a time, such as `running` or `deallocated`.
pub fn power_state(machine: &Resource, now: Ticks) -> &str {
    let power = machine.hidden("power").unwrap_or(&Json::Null);
    let moving = power.text("via").is_some() && power.int("end").is_none_or(|end| now < end);
    let shown = if moving { power.text("via") } else { power.text("to") };
    shown.unwrap_or("running")
}

/// The machine that a disk is attached to, if it exists.
pub fn holder(call: &Call<'_, '_>, disk: &Resource) -> Option<Resource> {
    call.find(disk.doc.text("managedBy")?)
}

/// The state of an attached disk: `Reserved` if the machine is deallocated.
pub fn disk_state(call: &Call<'_, '_>, holder: &Resource) -> &'static str {
    if power_state(holder, call.now) == "deallocated" { "Reserved" } else { "Attached" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_follows_the_clock() {
        let mut machine = Resource::new("/x/vm", "Microsoft.Compute/virtualMachines", "eastus");
        assert_eq!(power_state(&machine, 5), "running");
        machine.hide("power", power("deallocating", "deallocated", &Operation::for_tests(0, Some(10))));
        assert_eq!(power_state(&machine, 9), "deallocating");
        assert_eq!(power_state(&machine, 10), "deallocated");
        machine.hide("power", power("deallocating", "deallocated", &Operation::for_tests(0, None)));
        assert_eq!(power_state(&machine, i64::MAX), "deallocating");
    }
}
