//! Run Command on virtual machines: the action (`runCommand`) and the resource (`runCommands/{name}`).
//!
//! Recorded in 2023 (2022-11-01). Scripts are not executed: [`scripts`] determines their output and exit code.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::clock::{self, Ticks};
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::operations::{Begin, Family, Operation, begin};
use super::super::resource::{Resource, Verb};
use super::super::settings::Work;
use super::scripts::{self, Ran};
use super::{head, machine_power, machines, save_deleting};

/// The type's name.
pub const KIND: &str = "Microsoft.Compute/virtualMachines/runCommands";
/// The end of a script that starts now, on the emulator's clock.
fn end_of(call: &Call<'_, '_>, seconds: Option<f64>) -> Option<Ticks> {
    Some(call.now + call.duration(Work::RunCommand) + call.settings.scaled(seconds?))
}

fn begin_on(
    call: &mut Call<'_, '_>,
    machine: &Resource,
    resource: &str,
    action: &str,
    end: Option<Ticks>,
    output: Option<Json>,
) -> Operation {
    if end.is_none() {
        call.effects.stuck = true;
    }
    let begin_now = Begin {
        output,
        ..Begin::new(Family::Compute, machine.location(), resource, action, end.unwrap_or(call.now))
    };
    begin(call, begin_now)
}

/// `POST …/runCommand`: the operation's document contains the result, which has no exit code.
pub fn act(call: &mut Call<'_, '_>, machine: &Resource) -> Outcome {
    call.meter = Some("UpdateVM");
    if call.method != Method::Post {
        return Err(ArmError::no_method(call.method.name(), machines::KIND));
    }
    require_running(call, machine)?;
    let known = ["RunShellScript", "RunPowerShellScript"];
    let command = call.body.text("commandId").unwrap_or_default().to_owned();
    if !known.iter().any(|known| known.eq_ignore_ascii_case(&command)) {
        return Err(ArmError::new(
            404,
            "NotFound",
            format!("The entity was not found in this Azure location: run command '{command}'."),
        ));
    }
    if machine.doc.int("_.running_until").is_some_and(|until| call.now < until) {
        return Err(ArmError::new(
            409,
            "Conflict",
            "Run command extension execution is in progress. Please wait for completion before invoking a run command.",
        ));
    }
    let lines = call.body.list("script").iter().filter_map(Json::as_str).collect::<Vec<_>>().join("\n");
    // Parameters are positional here, in the order of the request.
    let values = call.body.list("parameters").iter().filter_map(|parameter| parameter.text("value"));
    let script = values.enumerate().fold(
        lines.replace("$0", "/var/lib/waagent/run-command/download/0/script.sh"),
        |script, (index, value)| script.replace(&format!("${}", index + 1), value),
    );
    let ran = scripts::run_in(call, machine, &script);
    let status = |code: &str, message: String| {
        Json::object()
            .with("code", code)
            .with("level", "Info")
            .with("displayStatus", "Provisioning succeeded")
            .with("message", message)
    };
    let value = if command.eq_ignore_ascii_case("RunShellScript") {
        let message = format!("Enable succeeded: \n[stdout]\n{}\n[stderr]\n{}", ran.output, ran.error);
        vec![status("ProvisioningState/succeeded", message)]
    } else {
        vec![
            status("ComponentStatus/StdOut/succeeded", ran.output.clone()),
            status("ComponentStatus/StdErr/succeeded", ran.error.clone()),
        ]
    };
    let end = end_of(call, ran.seconds);
    let output = Json::object().with("value", value);
    let operation = begin_on(call, machine, machine.id(), "runCommand", end, Some(output));
    let mut machine = machine.clone();
    machine.hide("running_until", operation.end.unwrap_or(Ticks::MAX));
    call.save(&machine);
    Ok(Answer::empty(202).asynchronous(call, &operation, true))
}

fn require_running(call: &Call<'_, '_>, machine: &Resource) -> Result<(), ArmError> {
    match machine_power::power_state(machine, call.now) {
        "running" => Ok(()),
        _ => Err(ArmError::new(
            409,
            "OperationNotAllowed",
            "The operation requires the VM to be running (or set to run).",
        )),
    }
}

/// `…/virtualMachines/{vm}/runCommands` and one of them.
pub fn route(call: &mut Call<'_, '_>, group: &str, machine: &Resource, name: Option<&str>) -> Outcome {
    let collection = format!("{}/runCommands", machine.id());
    call.meter = Some(if call.method == Method::Get { "LowCostGet" } else { "UpdateVM" });
    let Some(name) = name else {
        return match call.method {
            Method::Get => Ok(call.list_answer(&collection, |command| show(call, command, false))),
            _ => Err(ArmError::no_method(call.method.name(), KIND)),
        };
    };
    let id = format!("{collection}/{name}");
    let existing = call.find(&id);
    let absent = || ArmError::no_resource(&format!("{KIND}/{}/{name}", machine.name()), group);
    match call.method {
        Method::Get => {
            let command = existing.ok_or_else(absent)?;
            Ok(Answer::pretty(200, show(call, &command, call.expands("instanceView"))))
        }
        Method::Put => put(call, machine, &id, existing),
        Method::Patch => {
            let command = existing.ok_or_else(absent)?;
            let mut merged = command.doc.get("properties").cloned().unwrap_or_default();
            merged.merge_patch(&call.body.get("properties").cloned().unwrap_or_else(Json::object));
            call.body = Json::object()
                .with("location", command.location())
                .maybe("tags", call.body.get("tags").or_else(|| command.doc.get("tags")).cloned())
                .with("properties", merged);
            put(call, machine, &id, Some(command))
        }
        Method::Delete => {
            let Some(command) = existing else { return Ok(Answer::empty(204)) };
            let end = Some(call.now + call.duration(Work::RunCommand));
            let operation = begin_on(call, machine, &id, "delete", end, None);
            save_deleting(call, command, &operation);
            Ok(Answer::empty(202).asynchronous(call, &operation, true))
        }
        _ => Err(ArmError::no_method(call.method.name(), KIND)),
    }
}

fn put(call: &mut Call<'_, '_>, machine: &Resource, id: &str, existing: Option<Resource>) -> Outcome {
    require_running(call, machine)?;
    let created = existing.is_none();
    let mut command = existing.unwrap_or_else(|| Resource::new(id, KIND, machine.location()));
    super::take_tags(&call.body, &mut command)?;
    let sent = call.body.get("properties").cloned().unwrap_or_default();
    let script = sent.text("source.script").map(str::to_owned);
    let ran = match &script {
        Some(script) => scripts::run_in(call, machine, &with_parameters(script, &sent)),
        None if sent.text("source.scriptUri").is_some() => scripts::run_in(call, machine, ""),
        None => Ran { exit: 3, output: String::new(), error: String::new(), seconds: Some(0.0) },
    };
    let message = if script.is_none() && sent.text("source.scriptUri").is_none() {
        "Execution failed: failed to get configuration: invalid configuration: Either 'source.script' or 'source.scriptUri' has to be specified"
    } else if ran.exit == 0 {
        "Execution completed"
    } else {
        "Execution failed: command terminated with exit status"
    };
    // The operation of an asynchronous command ends when the script has started.
    let wait = sent.flag("asyncExecution") != Some(true);
    let ended = end_of(call, ran.seconds);
    // The timeout of a command ends its script.
    let limit = sent.int("timeoutInSeconds").filter(|seconds| *seconds > 0).unwrap_or(90 * 60);
    let until = call.now + call.duration(Work::RunCommand) + call.settings.scaled(limit as f64);
    let timed_out = ended.is_none_or(|ended| ended > until);
    let ended = ended.unwrap_or(until).min(until);
    let started = call.now + call.duration(Work::RunCommand);
    let end = if wait { ended } else { started };
    let properties = Json::object()
        .with("source", sent.get("source").cloned().unwrap_or_else(Json::object))
        .maybe("parameters", sent.get("parameters"))
        .maybe("runAsUser", sent.get("runAsUser"))
        .with("timeoutInSeconds", sent.int("timeoutInSeconds").unwrap_or(0))
        .with("provisioningState", "Succeeded")
        .with("asyncExecution", !wait)
        .maybe("treatFailureAsDeploymentFailure", sent.get("treatFailureAsDeploymentFailure"));
    command.doc.set("properties", properties);
    let result = Json::object()
        .with("exitCode", if timed_out { -1 } else { ran.exit })
        .with(
            "state",
            match (timed_out, ran.exit) {
                (true, _) => "TimedOut",
                (false, 0) => "Succeeded",
                _ => "Failed",
            },
        )
        .with("message", if timed_out { "Execution timed out" } else { message })
        .with("output", ran.output)
        .with("error", ran.error)
        .with("started", started)
        .with("ended", ended);
    command.hide("result", result);
    let failure = sent.flag("treatFailureAsDeploymentFailure") == Some(true) && (timed_out || ran.exit != 0);
    if failure && call.effects.failure.is_none() {
        call.effects.failure = Some((
            "VMExtensionProvisioningError".to_owned(),
            format!("VM has reported a failure when processing run command '{}'.", command.name()),
        ));
    }
    let operation = begin_on(call, machine, id, if created { "create" } else { "update" }, Some(end), None);
    command.bind(&operation, if created { Verb::Create } else { Verb::Update }, 0);
    call.save(&command);
    let shown = show(call, &command, false);
    Ok(Answer::pretty(if created { 201 } else { 200 }, shown).asynchronous(call, &operation, false))
}

/// On Linux named parameters are environment variables, and those without a name are positional.
fn with_parameters(script: &str, sent: &Json) -> String {
    let mut position = 0;
    let mut script = script.to_owned();
    for parameter in sent.list("parameters").iter().chain(sent.list("protectedParameters")) {
        let value = parameter.text("value").unwrap_or_default();
        match parameter.text("name").filter(|name| !name.is_empty()) {
            Some(name) => script = script.replace(&format!("${name}"), value),
            None => {
                position += 1;
                script = script.replace(&format!("${position}"), value);
            }
        }
    }
    script
}

fn show(call: &Call<'_, '_>, command: &Resource, view: bool) -> Json {
    let mut properties = command.doc.get("properties").cloned().unwrap_or_default();
    properties.set("provisioningState", command.state(call.now));
    if let Some(result) = command.hidden("result").filter(|_| view) {
        let time = |key: &str| {
            let at = result.int(key).unwrap_or_default();
            clock::format(at - at.rem_euclid(clock::SECOND))
        };
        let started = result.int("started").is_some_and(|at| at <= call.now);
        let ended = result.int("ended").is_some_and(|at| at <= call.now);
        let instance = match (started, ended) {
            (false, _) => Json::object().with("executionState", "Pending"),
            (true, false) => Json::object()
                .with("executionState", "Running")
                .with("output", "")
                .with("error", "")
                .with("startTime", time("started")),
            (true, true) => Json::object()
                .maybe("exitCode", result.get("exitCode"))
                .maybe("executionState", result.get("state"))
                .maybe("executionMessage", result.get("message"))
                .maybe("output", result.get("output"))
                .maybe("error", result.get("error"))
                .with("startTime", time("started"))
                .with("endTime", time("ended")),
        };
        properties.set("instanceView", instance);
    }
    head(command).with("properties", properties)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_parameters_are_variables_and_others_are_positional() {
        let sent =
            Json::parse(br#"{"parameters":[{"name":"WHO","value":"me"},{"name":"","value":"first"}]}"#)
                .unwrap();
        assert_eq!(with_parameters("echo $WHO $1", &sent), "echo me first");
    }
}
