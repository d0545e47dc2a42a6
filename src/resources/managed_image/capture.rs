//! Capturing a virtual machine: its state, the next step, and the steps that lead to the image.

use serde_json::Value as Json;

use super::Model;
use crate::arm::id::VIRTUAL_MACHINE;
use crate::arm::{Error, ResourceId, Scope, Target, region};
use crate::azure::attributes::id_of;
use crate::azure::context::scope;
use crate::azure::machine::MachineState;
use crate::azure::pipeline::{Task, act};
use crate::azure::{Context, body, fault};
use crate::framework::{Draft, Op};
use crate::model;
use crate::schema::spec::{optional, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Slot};

model! {
    /// Captures the image from a virtual machine: deallocates the machine, generalizes it, and takes the image. A step that is
    /// already done is skipped. A generalized machine can never be started again. Later changes of the machine, including its
    /// deletion, do not affect the image.
    pub struct Capture {
        /// The ID of the virtual machine, which must be in the image's region.
        pub virtual_machine_id: String = id_of(required(), VIRTUAL_MACHINE).force_new(),
        /// Whether a running machine is stopped and deallocated.
        pub deallocate: bool = optional().default(true),
        /// Whether a machine that is not generalized is marked as generalized. This does not change the machine itself: run
        /// `waagent -deprovision+user` or Sysprep in it before.
        pub generalize: bool = optional().default(true),
        /// Whether to fail instead of warn when the machine's agent still reports that it is ready, which means that the
        /// machine was not deprovisioned and shut down.
        pub require_deprovisioned: bool = optional().default(false),
    }
}

impl Capture {
    /// The capture of an imported image.
    pub fn imported(virtual_machine_id: String) -> Capture {
        Capture { virtual_machine_id, deallocate: true, generalize: true, require_deprovisioned: false }
    }
}

/// The attribute that names the machine.
const SOURCE: &str = "virtual_machine_id";

/// The facts about a virtual machine that matter for a capture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    name: String,
    location: String,
    /// `running`, `stopped`, `deallocated` and others; empty when it is not reported.
    power: String,
    generalized: bool,
    /// The status of the agent; `None` when it reports none.
    agent: Option<String>,
    security_type: Option<String>,
    generation: Option<String>,
    os_disk_id: Option<String>,
}

/// The next step of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Stop the machine and release its hardware.
    Deallocate,
    /// Mark the machine as generalized.
    Generalize,
    /// The machine is ready for its image.
    Image,
}

/// Whether the machine was deprovisioned, as far as Azure reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deprovisioned {
    /// It is generalized.
    Yes,
    /// Its agent reports that it is ready.
    No,
    /// The machine is off, or has no agent.
    Unknown,
}

impl Machine {
    /// Reads a machine got with `$expand=instanceView`.
    pub fn parse(machine: &Json) -> Machine {
        let state = MachineState::parse(machine);
        Machine {
            name: body::text(machine, "name").unwrap_or_default(),
            location: body::text(machine, "location").unwrap_or_default(),
            power: state.power,
            generalized: state.is_generalized,
            agent: body::items(machine, "properties.instanceView.vmAgent.statuses")
                .iter()
                .find_map(|status| body::text(status, "displayStatus")),
            security_type: body::text(machine, "properties.securityProfile.securityType"),
            generation: body::text(machine, "properties.instanceView.hyperVGeneration"),
            os_disk_id: body::text(machine, "properties.storageProfile.osDisk.managedDisk.id"),
        }
    }

    fn is_off(&self) -> bool {
        matches!(self.power.as_str(), "stopped" | "deallocated")
    }

    fn deprovisioned(&self) -> Deprovisioned {
        if self.generalized {
            return Deprovisioned::Yes;
        }
        match self.agent.as_deref() {
            Some(agent) if agent.eq_ignore_ascii_case("Ready") && !self.is_off() => Deprovisioned::No,
            _ => Deprovisioned::Unknown,
        }
    }

    /// The next step towards an image.
    pub fn next(&self, capture: &Capture) -> Step {
        if capture.deallocate && !self.is_off() {
            Step::Deallocate
        } else if capture.generalize && !self.generalized {
            Step::Generalize
        } else {
            Step::Image
        }
    }

    /// Adds the errors that no step of the capture can remove.
    fn refusals(&self, capture: &Capture, found: &mut Diagnostics) {
        let path = Path::attribute("capture");
        if let Some(kind) = self.security_type.as_deref()
            && !kind.eq_ignore_ascii_case("Standard")
        {
            found.error(
                path.then(SOURCE),
                format!("Virtual machine {:?} cannot become a managed image", self.name),
                format!(
                    "Managed images are not supported for virtual machines with security type {kind}. Publish it to a gallery \
                     instead: an azimage_image_version whose source block names it by virtual_machine_id, of an \
                     azimage_image_definition whose security_type allows {kind}."
                ),
            );
        }
        if capture.generalize
            && !self.generalized
            && !capture.deallocate
            && !self.power.is_empty()
            && !self.is_off()
        {
            found.error(
                path.then("deallocate"),
                format!("Virtual machine {:?} is {} and cannot be generalized", self.name, self.power),
                "The service generalizes only machines that are stopped. Leave deallocate at true, or stop the machine first.",
            );
        }
    }

    fn violation(&self, context: &Context) -> Diagnostic {
        context.guardrails.violation(
            "require_generalized_source",
            Path::attribute("capture").then("generalize"),
            &format!("virtual machine {:?} is not generalized", self.name),
            "Set generalize = true, or generalize the machine before it is captured.",
        )
    }

    fn not_generalized(&self) -> Diagnostic {
        Diagnostic::error(
            format!("Virtual machine {:?} is not generalized", self.name),
            "Azure makes managed images of generalized machines only. Set generalize = true, or generalize the machine first. \
             Nothing was done to it.",
        )
        .at(Path::attribute("capture").then("generalize"))
    }

    // The warning (or the error, with require_deprovisioned) for a machine that may not be deprovisioned.
    fn deprovisioning(&self, capture: &Capture, planning: bool) -> Option<Diagnostic> {
        if !capture.generalize && !self.generalized {
            return None;
        }
        let cleaned = "Run `waagent -deprovision+user` (Linux) or Sysprep with /generalize /shutdown (Windows) in it, and shut it down.";
        let diagnostic = match self.deprovisioned() {
            Deprovisioned::Yes => return None,
            Deprovisioned::Unknown if !capture.require_deprovisioned => return None,
            Deprovisioned::Unknown => Diagnostic::warning(
                format!("It is unknown whether virtual machine {:?} was deprovisioned", self.name),
                format!(
                    "It is {} and its agent reports nothing. That is so after a deprovisioning and shutdown, and also after a shutdown \
                     alone. It is captured as it is.",
                    if self.power.is_empty() { "in an unknown power state" } else { &self.power }
                ),
            ),
            Deprovisioned::No => {
                let seen = "Its agent reports Ready. A machine that was deprovisioned and shut down no longer reports, so machines \
                     made from this image would share its accounts, keys and host name.";
                if capture.require_deprovisioned && !planning {
                    Diagnostic::error(
                        format!("Virtual machine {:?} was not deprovisioned", self.name),
                        format!(
                            "{seen}\n\n{cleaned} Nothing was done to the machine. To capture it anyway, set require_deprovisioned = false."
                        ),
                    )
                } else {
                    let then = if capture.require_deprovisioned {
                        "With require_deprovisioned, the apply fails unless that changes before."
                    } else {
                        "It is captured anyway; require_deprovisioned = true makes this an error."
                    };
                    Diagnostic::warning(
                        format!("Virtual machine {:?} does not look deprovisioned", self.name),
                        format!("{seen}\n\n{cleaned} {then}"),
                    )
                }
            }
        };
        Some(diagnostic.at(Path::attribute("capture")))
    }
}

/// Adds errors for a planned capture that cannot succeed, as far as the machine is known and can be read.
pub async fn check(context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
    let planned = draft.planned.get("capture");
    let Some(id) = planned.get(SOURCE).as_str() else {
        return;
    };
    let scope = scope(op, format!("looking at virtual machine {id}"));
    let machine = match read(context, &scope, id).await {
        Ok(Some(machine)) => machine,
        Ok(None) => {
            return found.error(
                Path::attribute("capture").then(SOURCE),
                "The virtual machine to capture does not exist",
                format!("Create it first, or correct virtual_machine_id. Nothing was destroyed.\n\n{id}"),
            );
        }
        Err(error) => return tracing::debug!(%error, "the machine to capture cannot be read while planning"),
    };
    // unknown arguments are not checked
    if ["deallocate", "generalize"].iter().all(|name| planned.get(name).is_known()) {
        let capture = Capture::decode(planned);
        machine.refusals(&capture, found);
        if planned.get("require_deprovisioned").is_known() {
            found.extend(machine.deprovisioning(&capture, true));
        }
        if !capture.generalize && !machine.generalized {
            let rule = context.guardrails.require_generalized_source == Some(true);
            let violation = rule.then(|| machine.violation(context));
            if !violation.as_ref().is_some_and(Diagnostic::is_error) {
                found.push(machine.not_generalized());
            }
            found.extend(violation);
        }
    }
    if let Some(location) = draft.planned.get("location").as_str()
        && !machine.location.is_empty()
        && !region::same_region(location, &machine.location)
    {
        found.error(
            Path::attribute("location"),
            format!("Virtual machine {:?} is in {}", machine.name, machine.location),
            format!(
                "A managed image is made in its machine's region, and {location:?} is another. Set location = {:?}.",
                region::normalise(&machine.location)
            ),
        );
    }
    if let (Some(wanted), Some(has)) = (draft.config.get("hyper_v_generation").as_str(), &machine.generation)
        && !wanted.eq_ignore_ascii_case(has)
    {
        found.error(
            Path::attribute("hyper_v_generation"),
            format!("Virtual machine {:?} is of generation {has}", machine.name),
            format!("An image of it cannot be of generation {wanted}. Leave hyper_v_generation out: it follows the machine."),
        );
    }
}

/// Deallocates and generalizes the machine of `plan`. Returns the generation of the image, if it is known. Steps that are
/// already done are skipped.
pub async fn prepare_machine(
    task: &Task<'_>,
    plan: &Model,
    capture: &Capture,
) -> Result<Option<String>, Diagnostics> {
    let (context, op, outer) = (task.context, task.op, &task.scope);
    let id = capture.virtual_machine_id.as_str();
    let failed =
        |error: &Error, doing: &str| fault::diagnostic(error, doing, id).at(Path::attribute("capture"));
    let _guard = context.lock(id).await;
    let mut machine = found(context, outer, id).await?;
    let mut refusals = Diagnostics::new();
    machine.refusals(capture, &mut refusals);
    if !machine.generalized && !capture.generalize {
        refusals.push(machine.not_generalized());
    }
    if let Some(diagnostic) = machine.deprovisioning(capture, false) {
        if diagnostic.is_error() { refusals.push(diagnostic) } else { op.warn(diagnostic) }
    }
    if refusals.has_errors() {
        return Err(refusals);
    }
    // each step runs once at most; Azure may show its effect late
    for step in [Step::Deallocate, Step::Generalize] {
        if machine.next(capture) != step {
            continue;
        }
        let doing = match step {
            Step::Deallocate => {
                format!("deallocating virtual machine {:?} for managed image {:?}", machine.name, plan.name)
            }
            _ => format!("generalizing virtual machine {:?} for managed image {:?}", machine.name, plan.name),
        };
        tracing::info!(id, "{doing}");
        let action = if step == Step::Deallocate { "deallocate" } else { "generalize" };
        let target = Target::at(format!("{}/{action}", id.trim_end_matches('/')));
        if let Err(error) = act(&context.client, outer, &target, None).await {
            return Err(with_advice(failed(&error, &doing), &error, step).into());
        }
        machine = found(context, outer, id).await?;
        match step {
            Step::Deallocate if !machine.is_off() => machine.power = "deallocated".to_owned(),
            Step::Generalize => machine.generalized = true,
            _ => {}
        }
    }
    if machine.generation.is_none()
        && let Some(disk) = &machine.os_disk_id
    {
        // without access to the disk, the service chooses the generation
        let disk = context.client.get(outer, &Target::at(disk.clone())).await;
        machine.generation = disk.ok().and_then(|disk| body::text(&disk, "properties.hyperVGeneration"));
    }
    Ok(machine.generation)
}

/// Adds advice to the error of a refused image.
pub fn advise(diagnostic: Diagnostic, error: &Error) -> Diagnostic {
    let message = error.message.to_lowercase();
    if message.contains("security type") || message.contains("trustedlaunch") {
        return with_hint(
            diagnostic,
            "Publish the machine to a gallery instead: an azimage_image_version whose source block names it by virtual_machine_id.",
        );
    }
    if message.contains("generalized") {
        return with_hint(
            diagnostic,
            "Set generalize = true in the capture block, or generalize the machine first.",
        );
    }
    diagnostic
}

fn with_advice(diagnostic: Diagnostic, error: &Error, step: Step) -> Diagnostic {
    if step == Step::Generalize && error.is_conflict() {
        return with_hint(
            diagnostic,
            "The service generalizes only machines that are stopped: set deallocate = true, or stop the machine first.",
        );
    }
    with_hint(diagnostic, "The next apply skips the steps that are done.")
}

fn with_hint(diagnostic: Diagnostic, hint: &str) -> Diagnostic {
    Diagnostic { detail: format!("{}\n\n{hint}", diagnostic.detail), ..diagnostic }
}

async fn found(context: &Context, scope: &Scope, id: &str) -> Result<Machine, Diagnostics> {
    match read(context, scope, id).await {
        Ok(Some(machine)) => Ok(machine),
        Ok(None) => Err(Diagnostic::error(
            fault::capital(&format!("{}: the virtual machine to capture does not exist", scope.what())),
            format!("Create it first, or correct virtual_machine_id.\n\n{id}"),
        )
        .at(Path::attribute("capture").then(SOURCE))
        .into()),
        Err(error) => Err(fault::diagnostic(&error, scope.what(), id).at(Path::attribute("capture")).into()),
    }
}

async fn read(context: &Context, scope: &Scope, id: &str) -> Result<Option<Machine>, Error> {
    let target = Target::at(id.trim_end_matches('/')).query("$expand", "instanceView");
    let body = context.client.get_opt(scope, &target).await?;
    Ok(body.map(|body| {
        let mut machine = Machine::parse(&body);
        if machine.name.is_empty() {
            machine.name = ResourceId::parse(id).map(|id| id.name().to_owned()).unwrap_or_default();
        }
        machine
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn machine(codes: &[&str], agent: Option<&str>) -> Machine {
        let statuses: Vec<Json> = codes.iter().map(|code| json!({"code": code})).collect();
        let mut machine = json!({"name": "vm", "properties": {"instanceView": {"statuses": statuses}}});
        if let Some(agent) = agent {
            machine["properties"]["instanceView"]["vmAgent"] =
                json!({"statuses": [{"displayStatus": agent}]});
        }
        Machine::parse(&machine)
    }

    #[test]
    fn skips_steps_that_are_done() {
        let rows: &[(&[&str], bool, bool, Step)] = &[
            (&["PowerState/running"], true, true, Step::Deallocate),
            (&["PowerState/stopping"], true, true, Step::Deallocate),
            (&["PowerState/running"], false, true, Step::Generalize),
            (&["powerstate/Stopped"], true, true, Step::Generalize),
            (&["PowerState/deallocated", "ProvisioningState/succeeded"], true, false, Step::Image),
            (&["OSState/generalized", "PowerState/deallocated"], true, true, Step::Image),
            (&["OSState/generalized"], true, true, Step::Deallocate),
            (&["OSState/generalized"], false, true, Step::Image),
            (&[], false, true, Step::Generalize),
        ];
        for (codes, deallocate, generalize, step) in rows {
            let capture = Capture { deallocate: *deallocate, generalize: *generalize, ..Capture::default() };
            assert_eq!(machine(codes, None).next(&capture), *step, "{codes:?}");
        }
    }

    #[test]
    fn recognises_machines_that_were_not_deprovisioned() {
        let rows: &[(&[&str], Option<&str>, Deprovisioned)] = &[
            (&["PowerState/running"], Some("Ready"), Deprovisioned::No),
            (&["PowerState/running"], Some("Not Ready"), Deprovisioned::Unknown),
            (&["PowerState/running"], None, Deprovisioned::Unknown),
            // the last report of a machine that is off is outdated
            (&["PowerState/deallocated"], Some("Ready"), Deprovisioned::Unknown),
            (&["PowerState/running", "OSState/generalized"], Some("Ready"), Deprovisioned::Yes),
        ];
        for (codes, agent, seen) in rows {
            assert_eq!(machine(codes, *agent).deprovisioned(), *seen, "{codes:?} {agent:?}");
        }
        assert_eq!(Machine::parse(&json!({})), Machine::default());
    }
}
