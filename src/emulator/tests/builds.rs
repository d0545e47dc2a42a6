//! Image Builder, Run Command, boot diagnostics and inline network interfaces: the features that image tests need.

use super::*;

const BUILDER: &str = "/providers/Microsoft.VirtualMachineImages/imageTemplates";

fn template(tail: &str) -> String {
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    let more = if query.is_empty() { String::new() } else { format!("&{query}") };
    format!("{S}/resourceGroups/my-rg{BUILDER}/t{path}?api-version=2025-10-01{more}")
}

fn body(customize: &str, distribute: &str) -> String {
    format!(
        r#"{{"location":"eastus","identity":{{"type":"UserAssigned","userAssignedIdentities":{{"{S}/resourceGroups/my-rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/builder":{{}}}}}},"properties":{{"source":{{"type":"PlatformImage","publisher":"Canonical","offer":"ubuntu-24_04-lts","sku":"server","version":"latest"}},"customize":[{customize}],"distribute":[{distribute}]}}}}"#
    )
}

fn to_gallery() -> String {
    format!(
        r#"{{"type":"SharedImage","runOutputName":"gallery","galleryImageId":"{}","artifactTags":{{"a":"b"}},"targetRegions":[{{"name":"West Europe","replicaCount":2}}],"versioning":{{"scheme":"Latest","major":2}}}}"#,
        gal("/images/img")
    )
}

fn world() -> World {
    let mut world = World::new();
    world.gallery();
    world.definition();
    world
}

#[test]
fn run_takes_time_and_creates_a_version() {
    let mut world = world();
    let shell = r#"{"type":"Shell","name":"greet","inline":["echo hello"]}"#;
    let made = world.done("PUT", &template(""), &body(shell, &to_gallery()));
    assert_eq!((made.status, made.header("content-type")), (201, "application/json"));
    assert!(
        made.raw.contains("\"versioning\":null") && made.raw.contains("/resourcegroups/"),
        "{}",
        made.raw
    );
    let shown = world.ask("GET", &template(""), "");
    assert!(shown.body.text("properties.source.exactVersion").is_some_and(|version| version != "latest"));
    assert!(shown.body.text("properties.exactStagingResourceGroup").unwrap().contains("/IT_my-rg_t_"));
    let again = world.ask("PUT", &template(""), &body(shell, &to_gallery()));
    assert_eq!((again.status, again.code()), (409, "Conflict"));
    let started = world.ask("POST", &template("/run"), "");
    assert_eq!((started.status, started.header("location")), (202, started.header("azure-asyncoperation")));
    let running = world.ask("GET", &template(""), "");
    assert_eq!(running.body.text("properties.lastRunStatus.runState"), Some("Running"));
    assert_eq!(running.body.text("properties.lastRunStatus.endTime"), Some("0001-01-01T00:00:00Z"));
    for (method, tail) in [("POST", "/run"), ("DELETE", "")] {
        let busy = world.ask(method, &template(tail), "");
        assert_eq!((busy.status, busy.code()), (409, "OperationNotAllowed"));
        assert!(busy.raw.contains("run state: running"), "{}", busy.raw);
    }
    assert_eq!(world.ask("GET", &template("/runOutputs/gallery"), "").status, 404);
    world.wait(5.0);
    let poll = world.ask("GET", started.header("azure-asyncoperation"), "");
    assert_eq!(poll.body.text("status"), Some("Succeeded"), "{}", poll.raw);
    let output = world.ask("GET", &template("/runOutputs/gallery"), "");
    let id = output.body.text("properties.artifactId").unwrap().to_owned();
    assert!(id.ends_with("/images/img/versions/2.0.0"), "{id}");
    let version = world.ask("GET", &format!("{id}?api-version=2026-03-03"), "");
    assert_eq!(version.body.text("properties.provisioningState"), Some("Succeeded"), "{}", version.raw);
    assert_eq!(version.body.text("tags.a"), Some("b"));
    assert!(version.body.text("tags.VMImageBuilderSource").unwrap().starts_with("PlatformImage Canonical::"));
    let regions: Vec<&str> = version
        .body
        .list("properties.publishingProfile.targetRegions")
        .iter()
        .filter_map(|region| region.text("name"))
        .collect();
    assert_eq!(regions, ["East US", "West Europe"]);
    // A second run gets the next version number.
    world.done("POST", &template("/run"), "");
    let output = world.ask("GET", &template("/runOutputs"), "");
    assert!(output.raw.contains("/versions/2.0.1"), "{}", output.raw);
    world.done("DELETE", &template(""), "");
    assert_eq!(world.ask("GET", &template(""), "").status, 404);
}

#[test]
fn failures_are_reported_at_their_stage() {
    let mut world = world();
    let broken = r#"{"type":"Shell","name":"break","inline":["echo no","exit 4"]}"#;
    world.done("PUT", &template(""), &body(broken, &to_gallery()));
    let started = world.ask("POST", &template("/run"), "");
    world.wait(5.0);
    let poll = world.ask("GET", started.header("location"), "");
    assert_eq!((poll.status, poll.body.text("status")), (200, Some("Failed")));
    assert_eq!(poll.body.text("error.code"), Some("PackerBuildFailed"));
    let message = poll.body.text("error.message").unwrap();
    assert!(message.contains("/packerlogs/") && message.contains("customization.log"), "{message}");
    let shown = world.ask("GET", &template(""), "");
    assert_eq!(shown.body.text("properties.lastRunStatus.runState"), Some("Failed"));
    assert_eq!(world.ask("GET", &template("/runOutputs"), "").body.list("value").len(), 0);
    world.done("DELETE", &template(""), "");
    // A template whose creation fails still exists and blocks its name.
    let fault = r#"{"method":"PUT","path":"/imageTemplates/","fail_operation":{"code":"Unauthorized","message":"Not authorized"}}"#;
    world.ask("PUT", "/_emulator/faults", fault);
    assert_eq!(world.ask("PUT", &template(""), &body("", &to_gallery())).status, 201);
    world.wait(5.0);
    let failed = world.ask("GET", &template(""), "");
    assert_eq!(failed.body.text("properties.provisioningState"), Some("Failed"));
    assert_eq!(failed.body.text("properties.provisioningError.provisioningErrorCode"), Some("Other"));
    assert_eq!(world.ask("POST", &template("/run"), "").status, 409);
    let whole = body("", &to_gallery());
    for field in ["identity", "source"] {
        let without = whole.replace(&format!("\"{field}\":"), &format!("\"no{field}\":"));
        let refused = world.ask("PUT", &template("").replace("/t?", "/other?"), &without);
        assert_eq!(refused.status, 400, "{}", refused.raw);
    }
}

#[test]
fn runs_can_be_cancelled_and_templates_updated() {
    let mut world = world();
    let image = format!(
        r#"{{"type":"ManagedImage","runOutputName":"image","imageId":"{}","location":"eastus"}}"#,
        rg("images/built")
    );
    world.done("PUT", &template(""), &body("", &image));
    let started = world.ask("POST", &template("/run"), "");
    let cancel = world.ask("POST", &template("/cancel"), "");
    assert_eq!((cancel.status, cancel.header("location")), (204, ""));
    let canceling = world.ask("GET", &template(""), "");
    assert_eq!(canceling.body.text("properties.lastRunStatus.runState"), Some("Canceling"));
    assert_eq!(canceling.body.at("properties.lastRunStatus.runSubState"), None);
    assert_eq!(world.ask("POST", &template("/cancel"), "").status, 409);
    world.wait(5.0);
    assert_eq!(world.ask("GET", started.header("location"), "").body.text("status"), Some("Canceled"));
    assert_eq!(world.ask("GET", &rg("images/built?api-version=2026-03-01"), "").status, 404);
    let patched = world.ask("PATCH", &template(""), r#"{"tags":{"x":"y"}}"#);
    assert_eq!((patched.status, patched.raw.as_str()), (202, ""));
    world.wait(1.0);
    assert_eq!(world.ask("GET", &template(""), "").body.text("tags.x"), Some("y"));
    assert_eq!(world.ask("PATCH", &template(""), r#"{"properties":{"customize":[]}}"#).status, 400);
    world.done("POST", &template("/run"), "");
    assert_eq!(world.ask("GET", &rg("images/built?api-version=2026-03-01"), "").status, 200);
    // The next build replaces the image.
    world.done("POST", &template("/run"), "");
    assert_eq!(world.ask("GET", &template("/runOutputs/image"), "").status, 200);
}

#[test]
fn log_of_a_run_is_read_with_a_signature_once_it_has_ended() {
    let mut world = world();
    let steps = r#"{"type":"Shell","name":"fine","inline":["echo hello"]},{"type":"Shell","name":"broken","scriptUri":"https://example.com/setup.sh"}"#;
    let script =
        r#"{"scripts":[{"contains":"setup.sh","machine":"t","exit_code":7,"error":"no such package\n"}]}"#;
    world.ask("PUT", "/_emulator/scripts", script);
    world.done("PUT", &template(""), &body(steps, &to_gallery()));
    world.ask("POST", &template("/run"), "");
    world.wait(5.0);
    let shown = world.ask("GET", &template(""), "");
    let message = shown.body.text("properties.lastRunStatus.message").unwrap().to_owned();
    assert!(message.contains("broken ended with exit code 7"), "{message}");
    let at = message.find("/subscriptions/").unwrap();
    let location = message[at..].split_whitespace().next().unwrap().to_owned();
    let (account, blob) = location.split_once("/blobServices/default/containers/").unwrap();
    let run = blob.split('/').nth(1).unwrap();
    let found = world.ask("GET", &format!("{account}?api-version=2023-01-01"), "");
    let url = format!(
        "{}{}",
        found.body.text("properties.primaryEndpoints.blob").unwrap(),
        blob.trim_end_matches('.')
    );
    assert!(url.ends_with(&format!("/packerlogs/{run}/customization.log")), "{url}");
    let refused = world.ask("GET", &url, "");
    assert_eq!(refused.status, 409, "{}", refused.raw);
    let resource = r#"{"canonicalizedResource":"/blob/x/packerlogs","signedResource":"c","signedPermission":"r","signedExpiry":"2030-01-01T00:00:00Z"}"#;
    let sas = world.ask("POST", &format!("{account}/ListServiceSas?api-version=2023-01-01"), resource);
    let log = world.ask("GET", &format!("{url}?{}", sas.body.text("serviceSasToken").unwrap()), "");
    assert_eq!(log.status, 200, "{}", log.raw);
    for part in ["azure-arm: hello", "azure-arm: no such package", "Starting provisioner Shell"] {
        assert!(log.raw.contains(part), "{part} in {}", log.raw);
    }
    world.done("DELETE", &template(""), "");
    let staging = account.split("/providers/").next().unwrap();
    assert_eq!(world.ask("GET", &format!("{staging}?api-version=2022-09-01"), "").status, 404);
}

#[test]
fn failed_validation_can_distribute_images() {
    let mut world = world();
    for (goes_on, state, outputs) in [(false, "Failed", 0), (true, "PartiallySucceeded", 1)] {
        let validate = format!(
            r#""validate":{{"continueDistributeOnFailure":{goes_on},"inVMValidations":[{{"type":"Shell","inline":["exit 1"]}}]}},"distribute""#
        );
        let body = body("", &to_gallery()).replace("\"distribute\"", &validate);
        world.done("PUT", &template(""), &body);
        world.ask("POST", &template("/run"), "");
        world.wait(5.0);
        let shown = world.ask("GET", &template(""), "");
        assert_eq!(shown.body.text("properties.lastRunStatus.runState"), Some(state));
        assert_eq!(world.ask("GET", &template("/runOutputs"), "").body.list("value").len(), outputs);
        world.done("DELETE", &template(""), "");
    }
}

#[test]
fn automatic_run_begins_once_the_template_exists() {
    let mut world = world();
    let body =
        body("", &to_gallery()).replace("\"distribute\"", r#""autoRun":{"state":"Enabled"},"distribute""#);
    let made = world.ask("PUT", &template(""), &body);
    assert_eq!(made.body.at("properties.lastRunStatus"), None);
    world.wait(1.0);
    let state = |world: &World| {
        world.ask("GET", &template(""), "").body.text("properties.lastRunStatus.runState").map(str::to_owned)
    };
    assert_eq!(state(&world).as_deref(), Some("Running"));
    assert_eq!(world.ask("POST", &template("/run"), "").status, 409);
    world.wait(5.0);
    assert_eq!(state(&world).as_deref(), Some("Succeeded"));
}

#[test]
fn new_version_of_the_source_starts_the_run_of_a_trigger() {
    let mut world = world();
    let image = format!(
        r#"{{"type":"ManagedImage","runOutputName":"image","imageId":"{}","location":"eastus"}}"#,
        rg("images/built")
    );
    world.done("PUT", &template(""), &body("", &to_gallery()));
    world.done("POST", &template("/run"), "");
    let source = format!(
        r#""source":{{"type":"SharedImageVersion","imageVersionId":"{}/versions/latest"}}"#,
        gal("/images/img")
    );
    let whole = body("", &image);
    let (before, rest) = whole.split_once("\"source\":").unwrap();
    let watching = format!("{before}{source}{}", &rest[rest.find('}').unwrap() + 1..]);
    let other = |tail: &str| template(tail).replace("/t/", "/w/").replace("/t?", "/w?");
    let made = world.done("PUT", &other(""), &watching);
    assert_eq!(made.status, 201, "{}", made.raw);
    let trigger = world.done("PUT", &other("/triggers/source"), r#"{"properties":{"kind":"SourceImage"}}"#);
    assert_eq!((trigger.status, trigger.body.at("properties.status")), (201, None));
    let shown = world.ask("GET", &other("/triggers/source"), "");
    assert_eq!(shown.body.text("properties.status.code"), Some("Healthy"));
    world.wait(5.0);
    assert_eq!(world.ask("GET", &other(""), "").body.at("properties.lastRunStatus"), None);
    world.done("POST", &template("/run"), "");
    world.ask("GET", &other(""), "");
    world.wait(5.0);
    let shown = world.ask("GET", &other(""), "");
    assert_eq!(shown.body.text("properties.lastRunStatus.runState"), Some("Succeeded"), "{}", shown.raw);
}

fn tested(world: &mut World) {
    let body = r#"{"location":"eastus","properties":{"hardwareProfile":{"vmSize":"Standard_D2s_v5"},"storageProfile":{"imageReference":{"publisher":"Canonical","offer":"ubuntu-24_04-lts","sku":"server","version":"latest"},"osDisk":{"createOption":"FromImage","deleteOption":"Delete"}},"osProfile":{"computerName":"azt","adminUsername":"azimage"},"networkProfile":{"networkApiVersion":"2020-11-01","networkInterfaceConfigurations":[{"name":"nic","properties":{"primary":true,"deleteOption":"Delete","ipConfigurations":[{"name":"ip","properties":{"primary":true,"subnet":{"id":"/x"}}}]}}]},"diagnosticsProfile":{"bootDiagnostics":{"enabled":true}}}}"#;
    let made = world.ask("PUT", &rg("virtualMachines/azt?api-version=2026-03-01"), body);
    assert_eq!(made.status, 201, "{}", made.raw);
}

#[test]
fn agent_becomes_ready_after_the_machine_and_log_after_the_agent() {
    let mut world = World::new();
    world.ask("PUT", "/_emulator/settings", r#"{"time_scale":1}"#);
    tested(&mut world);
    let view = |world: &World| {
        let shown =
            world.ask("GET", &rg("virtualMachines/azt?api-version=2026-03-01&$expand=instanceView"), "");
        let agent = shown.body.at("properties.instanceView.vmAgent").cloned().unwrap_or_default();
        agent.list("statuses").first().and_then(|status| status.text("displayStatus")).map(str::to_owned)
    };
    world.wait(31.0);
    assert_eq!(view(&world).as_deref(), Some("Not Ready"));
    let links =
        world.ask("POST", &rg("virtualMachines/azt/retrieveBootDiagnosticsData?api-version=2026-03-01"), "");
    let log = links.body.text("serialConsoleLogBlobUri").unwrap().to_owned();
    let early = world.ask("GET", &log, "");
    assert_eq!(early.status, 404);
    assert!(early.raw.starts_with('\u{feff}') && early.raw.contains("BlobNotFound"), "{}", early.raw);
    world.wait(20.0);
    assert_eq!(view(&world).as_deref(), Some("Ready"));
    world.wait(31.0);
    let log = world.ask("GET", &log, "");
    assert!(log.status == 200 && log.raw.ends_with("azt login: "), "{}", log.raw);
    assert_eq!(
        world
            .ask(
                "POST",
                &rg("virtualMachines/golden-vm/retrieveBootDiagnosticsData?api-version=2026-03-01"),
                ""
            )
            .status,
        409
    );
}

#[test]
fn deleting_a_machine_deletes_its_inline_interfaces_and_disks() {
    let mut world = World::new();
    tested(&mut world);
    world.wait(5.0);
    let shown = world.ask("GET", &rg("virtualMachines/azt?api-version=2026-03-01"), "");
    let interface =
        shown.body.list("properties.networkProfile.networkInterfaces")[0].text("id").unwrap().to_owned();
    assert!(shown.body.at("properties.networkProfile.networkInterfaceConfigurations").is_none());
    let url = format!("{interface}?api-version=2023-09-01");
    assert_eq!(world.ask("GET", &url, "").status, 200);
    world.done("DELETE", &rg("virtualMachines/azt?api-version=2026-03-01"), "");
    assert_eq!(world.ask("GET", &url, "").status, 404);
    let disks = world.ask("GET", &rg("disks?api-version=2026-03-02"), "");
    assert!(!disks.raw.contains("azt_"), "{}", disks.raw);
}

#[test]
fn run_commands_return_scripted_results() {
    let mut world = World::new();
    tested(&mut world);
    world.wait(5.0);
    let scripts = r#"{"scripts":[{"contains":"systemctl","exit_code":3,"output":"failed units: 1\n"},{"contains":"sleep","stuck":true}]}"#;
    assert_eq!(world.ask("PUT", "/_emulator/scripts", scripts).status, 200);
    assert_eq!(world.ask("PUT", "/_emulator/scripts", r#"{"scripts":[{"exit":3}]}"#).status, 400);
    let command = |name: &str| rg(&format!("virtualMachines/azt/runCommands/{name}?api-version=2026-03-01"));
    let script = |text: &str, limit: i64| {
        format!(
            r#"{{"location":"eastus","properties":{{"source":{{"script":"{text}"}},"timeoutInSeconds":{limit}}}}}"#
        )
    };
    world.done("PUT", &command("units"), &script("systemctl --failed", 60));
    let view = |world: &World, name: &str| {
        let url = format!("{}&$expand=instanceView", command(name));
        world.ask("GET", &url, "").body.at("properties.instanceView").cloned().unwrap_or_default()
    };
    let units = view(&world, "units");
    assert_eq!((units.int("exitCode"), units.text("executionState")), (Some(3), Some("Failed")));
    assert_eq!(units.text("output"), Some("failed units: 1\n"));
    world.done("PUT", &command("fine"), &script("echo yes", 60));
    assert_eq!(view(&world, "fine").text("executionState"), Some("Succeeded"));
    assert_eq!(world.ask("PUT", &command("slow"), &script("sleep 9999", 30)).status, 201);
    world.wait(10.0);
    assert_eq!(view(&world, "slow").text("executionState"), Some("Running"));
    world.wait(30.0);
    assert_eq!(view(&world, "slow").text("executionState"), Some("TimedOut"));
    assert_eq!(world.done("DELETE", &command("slow"), "").status, 202);
    let list = world.ask("GET", &rg("virtualMachines/azt/runCommands?api-version=2026-03-01"), "");
    assert_eq!(list.body.list("value").len(), 2);
    // The action returns no exit code, and only one may run at a time.
    let act = rg("virtualMachines/azt/runCommand?api-version=2026-03-01");
    let started = world.ask("POST", &act, r#"{"commandId":"RunShellScript","script":["echo hi","exit 5"]}"#);
    let second = world.ask("POST", &act, r#"{"commandId":"RunShellScript","script":["echo hi"]}"#);
    assert_eq!((started.status, second.status, second.code()), (202, 409, "Conflict"));
    world.wait(5.0);
    let document = world.ask("GET", started.header("azure-asyncoperation"), "");
    assert_eq!(document.body.text("status"), Some("Succeeded"));
    assert!(document.raw.contains(r#"[stdout]\nhi\n\n[stderr]\n"#), "{}", document.raw);
}
