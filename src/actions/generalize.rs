//! `azimage_generalize`: marks a virtual machine as generalized, after deallocating it.

use async_trait::async_trait;

use crate::arm::id::VIRTUAL_MACHINE;
use crate::arm::{Error, Scope, Target};
use crate::azure::attributes::id_of;
use crate::azure::context::scope;
use crate::azure::machine::MachineState;
use crate::azure::{Context, fault, pipeline};
use crate::framework::Op;
use crate::framework::action::{Action, Progress};
use crate::model;
use crate::schema::spec::{optional, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Value};

model! {
    /// Marks a virtual machine as generalized, so that images can be made from it. Steps that are already done are skipped. A
    /// generalized machine can never be started again.
    pub struct Model {
        /// The ID of the virtual machine. Before this action, run `waagent -deprovision+user` or Sysprep in the machine to remove
        /// its machine-specific data.
        pub virtual_machine_id: String = id_of(required(), VIRTUAL_MACHINE),
        /// Whether to stop and deallocate a machine that is running. Defaults to `true`.
        pub deallocate: Option<bool> = optional(),
    }
}

/// The action.
pub struct Generalize;

const MACHINE: &str = "virtual_machine_id";

#[async_trait]
impl Action<Context> for Generalize {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_generalize"
    }

    async fn plan(&self, context: &Context, op: &Op, config: &Value, found: &mut Diagnostics) {
        let Some(id) = config.get(MACHINE).as_str() else { return };
        let scope = scope(op, format!("reading virtual machine {id}"));
        // A missing machine may be created by the same run, and an unknown argument cannot be checked.
        if let Ok(Some(machine)) = read(context, &scope, id).await
            && config.get("deallocate").as_bool() == Some(false)
        {
            found.extend(refusal(&machine, id));
        }
    }

    async fn invoke(
        &self,
        context: &Context,
        op: &Op,
        progress: &Progress,
        config: Model,
    ) -> Result<(), Diagnostics> {
        let id = config.virtual_machine_id.trim_end_matches('/');
        let scope = scope(op, format!("generalizing virtual machine {id}"));
        let failed = |error: Error| fault::diagnostic(&error, scope.what(), id).at(Path::attribute(MACHINE));
        let _guard = context.lock(id).await;
        let Some(machine) = read(context, &scope, id).await.map_err(failed)? else {
            return Err(Diagnostic::error(
                "The virtual machine does not exist",
                format!("Create it first, or correct virtual_machine_id.\n\n{id}"),
            )
            .at(Path::attribute(MACHINE))
            .into());
        };
        if machine.is_generalized {
            progress.report("the virtual machine is generalized already");
            return Ok(());
        }
        if config.deallocate.unwrap_or(true) {
            if !machine.is_off() {
                progress.report("deallocating the virtual machine");
                act(context, &scope, id, "deallocate").await.map_err(failed)?;
            }
        } else if let Some(refusal) = refusal(&machine, id) {
            return Err(refusal.into());
        }
        progress.report("marking the virtual machine as generalized");
        act(context, &scope, id, "generalize").await.map_err(failed)?;
        Ok(())
    }
}

/// The error if a machine is running and must not be deallocated.
fn refusal(machine: &MachineState, id: &str) -> Option<Diagnostic> {
    let runs = !machine.is_generalized && !machine.power.is_empty() && !machine.is_off();
    runs.then(|| {
        Diagnostic::error(
            format!("The virtual machine is {} and cannot be generalized", machine.power),
            format!("The service only generalizes stopped machines. Set deallocate = true, or stop the machine first.\n\n{id}"),
        )
        .at(Path::attribute("deallocate"))
    })
}

async fn read(context: &Context, scope: &Scope, id: &str) -> Result<Option<MachineState>, Error> {
    let target = Target::at(id.trim_end_matches('/')).query("$expand", "instanceView");
    Ok(context.client.get_opt(scope, &target).await?.map(|body| MachineState::parse(&body)))
}

async fn act(context: &Context, scope: &Scope, id: &str, action: &str) -> Result<(), Error> {
    let target = Target::at(format!("{id}/{action}"));
    pipeline::act(&context.client, scope, &target, None).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::arm::Method;
    use crate::azure::testing::{FakeArm, op};
    use crate::framework::action::Progress;

    const VM: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm";

    /// The requests for a machine with these states, and the result.
    async fn invoked(states: &[&str], deallocate: Option<bool>) -> (Vec<String>, Result<(), String>) {
        let arm = FakeArm::new();
        let statuses: Vec<_> = states.iter().map(|code| json!({"code": code})).collect();
        arm.get(VM, json!({"id": VM, "properties": {"instanceView": {"statuses": statuses}}}));
        for action in ["deallocate", "generalize"] {
            arm.on(Method::Post, &format!("{VM}/{action}"), 200, json!({}));
        }
        let config = Model { virtual_machine_id: VM.to_owned(), deallocate };
        let (progress, _reports) = Progress::channel();
        let ended = Generalize.invoke(&arm.context(), &op(), &progress, config).await;
        let sent = arm.calls().into_iter().filter(|call| call.starts_with("POST"));
        let sent =
            sent.filter_map(|call| Some(call.split('?').next()?.rsplit_once('/')?.1.to_owned())).collect();
        (sent, ended.map_err(|errors| errors.0[0].to_string()))
    }

    #[tokio::test]
    async fn skips_steps_that_are_done() {
        for (states, deallocate, sent) in [
            (&["PowerState/running"][..], None, &["deallocate", "generalize"][..]),
            (&["PowerState/running"], Some(true), &["deallocate", "generalize"]),
            (&["PowerState/stopped"], None, &["generalize"]),
            (&["PowerState/deallocated"], Some(false), &["generalize"]),
            (&["PowerState/deallocated", "OSState/generalized"], None, &[]),
        ] {
            assert_eq!(
                invoked(states, deallocate).await,
                (sent.iter().map(|s| (*s).to_owned()).collect(), Ok(()))
            );
        }
    }

    #[tokio::test]
    async fn refuses_to_stop_a_machine_unless_allowed() {
        let (sent, ended) = invoked(&["PowerState/running"], Some(false)).await;
        assert!(sent.is_empty());
        assert!(ended.unwrap_err().contains("is running and cannot be generalized"));
    }
}
