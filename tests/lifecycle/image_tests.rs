//! Image tests: results, properties of the machine, and cleanup of machines, disks and network interfaces.

use super::interrupts::{MANY, interrupted};
use crate::cases::{self, put, rg, subnet};
use crate::core::{Action, Applied, Core, Held, Json, json, patched};
use std::time::Duration;

const TYPE: &str = "azimage_image_test";

async fn prepared() -> Core {
    let core = Core::new().await;
    cases::with_network(&core);
    core
}

/// A test of version 1.0.0 with two checks.
fn config(patch: Json) -> Json {
    let checks = json!([{"name": "boots", "script": "echo hello"}, {"name": "service", "script": "systemctl is-active web"}]);
    patched(&cases::image_test().small, &patched(&json!({"check": checks}), &patch))
}

async fn apply(core: &Core, config: &Json, held: Option<&Held>) -> Applied {
    let plan = core.plan(TYPE, held, config).await;
    if let (Some(held), Action::Replace) = (held, plan.action) {
        let gone = core.destroy(held).await;
        assert!(gone.held.is_none(), "{:?}", gone.diagnostics);
        return core.apply(&core.plan(TYPE, None, config).await).await;
    }
    core.apply(&plan).await
}

/// All existing resources of tests: machines, their run commands, disks and network interfaces.
fn remaining(core: &Core) -> Vec<String> {
    let summary = core.control("GET", "summary?all=true", json!({}));
    let resources = summary["resources"].as_array().unwrap();
    resources
        .iter()
        .filter_map(|object| object["id"].as_str().map(str::to_owned))
        .filter(|id| id.contains("azimage-test-"))
        .collect()
}

fn assert_nothing_remains(core: &Core, what: &str) {
    assert_eq!(remaining(core), Vec::<String>::new(), "{what}");
}

/// The result of a check.
fn result_of(held: &Held, check: &str) -> String {
    let mut ends = held.get("check_results").entries().filter(|(name, _)| *name == check);
    ends.next().and_then(|(_, end)| end.as_str()).unwrap_or_default().to_owned()
}

/// Sets the results of scripts in the emulator.
fn script(core: &Core, rules: Json) {
    core.control("PUT", "scripts", json!({"scripts": rules}));
}

fn failing_service() -> Json {
    json!([{"contains": "is-active", "exit_code": 3, "output": "inactive", "error": "unit web is not loaded"}])
}

#[tokio::test(start_paused = true)]
async fn a_good_image_passes_and_leaves_no_resources() {
    let core = prepared().await;
    let held = core.create(TYPE, &config(json!({}))).await;
    assert_eq!(held.text("result"), "passed");
    let results: Vec<String> = held
        .get("check_results")
        .entries()
        .map(|(name, end)| format!("{name}: {}", end.as_str().unwrap()))
        .collect();
    assert_eq!(results, ["boots: exit 0", "service: exit 0"]);
    assert_eq!((held.text("location"), held.text("vm_size")), ("eastus", "Standard_D2s_v5"));
    assert_nothing_remains(&core, "after a test that passed");
}

#[tokio::test(start_paused = true)]
async fn a_failed_check_is_an_error_and_the_next_apply_repeats_the_test() {
    let core = prepared().await;
    script(&core, failing_service());
    let applied = apply(&core, &config(json!({})), None).await;
    applied.diagnostics.assert_error(&[
        "check \"service\"",
        "exit code 3; 0 was expected",
        "inactive",
        "unit web is not loaded",
        "gal/def/1.0.0",
    ]);
    assert!(applied.diagnostics.error_paths().contains(&"check[1]".to_owned()), "{:?}", applied.diagnostics);
    let held = applied.held.unwrap();
    assert!(held.tainted);
    assert_eq!(held.text("result"), "failed");
    assert_eq!(result_of(&held, "boots"), "exit 0", "the others run too");
    assert_nothing_remains(&core, "after a test that failed");
    // as if the service were repaired in the image
    script(&core, json!([]));
    let applied = apply(&core, &config(json!({})), Some(&held)).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    assert_eq!(applied.held.unwrap().text("result"), "passed");
    assert_nothing_remains(&core, "after the second test");
}

#[tokio::test(start_paused = true)]
async fn supports_expected_exit_codes_and_limits_script_duration() {
    let core = prepared().await;
    let checks =
        |code: i64| json!({"check": [{"name": "refuses", "script": "exit 4", "expect_exit_code": code}]});
    let held = core.create(TYPE, &config(checks(4))).await;
    assert_eq!(result_of(&held, "refuses"), "exit 4");
    let applied = apply(&core, &config(checks(0)), None).await;
    applied.diagnostics.assert_error(&["exit code 4; 0 was expected"]);
    core.control("PUT", "settings", json!({"time_scale": 1}));
    script(&core, json!([{"contains": "sleep", "stuck": true}]));
    let checks = json!({"check": [{"name": "slow", "script": "sleep infinity", "timeout": "1m"}]});
    let applied = ticking(&core, apply(&core, &config(checks), None)).await;
    applied.diagnostics.assert_error(&["did not end in time"]);
    assert_eq!(result_of(&applied.held.unwrap(), "slow"), "timed out");
    assert_nothing_remains(&core, "after a script that does not end");
}

/// Advances the emulator's clock with tokio's paused clock.
async fn ticking(core: &Core, work: impl Future<Output = Applied>) -> Applied {
    let clock = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            core.control("POST", "clock/advance", json!({"seconds": 1}));
        }
    };
    tokio::select! { applied = work => applied, () = clock => unreachable!() }
}

/// A version that contains an image of `machine`.
fn captured(core: &Core, machine: &str) -> String {
    for step in ["deallocate", "generalize"] {
        let (status, body) = core.azure("POST", &rg(&format!("virtualMachines/{machine}/{step}")), json!({}));
        assert!(status < 300, "{body}");
    }
    let source = json!({"sourceVirtualMachine": {"id": rg(&format!("virtualMachines/{machine}"))}, "hyperVGeneration": "V2"});
    put(core, &rg("images/captured"), json!({"location": "eastus", "properties": source}));
    let id = rg("galleries/gal/images/def/versions/3.0.0");
    let properties = json!({
        "publishingProfile": {"targetRegions": [{"name": "eastus"}]},
        "storageProfile": {"source": {"id": rg("images/captured")}},
    });
    put(core, &id, json!({"location": "eastus", "properties": properties}));
    id
}

#[tokio::test(start_paused = true)]
async fn an_image_that_was_not_deprovisioned_fails() {
    let core = prepared().await;
    // the machine was not deprovisioned
    let disk = json!({"createOption": "FromImage", "osType": "Linux"});
    let reference =
        json!({"publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest"});
    let properties = json!({"storageProfile": {"imageReference": reference, "osDisk": disk}});
    put(&core, &rg("virtualMachines/builder"), json!({"location": "eastus", "properties": properties}));
    let version = captured(&core, "builder");
    let applied = apply(&core, &config(json!({"image_version_id": version})), None).await;
    applied.diagnostics.assert_error(&[
        "was not deprovisioned",
        "SSH host key",
        "machine ID",
        "waagent -deprovision+user",
    ]);
    assert!(applied.held.unwrap().tainted);
    assert_nothing_remains(&core, "after an image that was not deprovisioned");
    let unchecked = config(json!({"image_version_id": version, "check_deprovisioned": false}));
    core.create(TYPE, &unchecked).await;
}

#[tokio::test(start_paused = true)]
async fn falls_back_to_the_first_version_of_run_command() {
    for refusal in [
        json!({"status": 400, "code": "NoRegisteredProviderFound", "message": "none"}),
        json!({"status": 403, "code": "AuthorizationFailed", "message": "runCommands/write"}),
    ] {
        let core = prepared().await;
        let refused = patched(&refusal, &json!({"method": "PUT", "path": "/runCommands/", "count": 0}));
        core.fault(refused.clone());
        core.create(TYPE, &config(json!({}))).await;
        script(&core, failing_service());
        let applied = apply(&core, &config(json!({"keepers": {"a": "b"}})), None).await;
        applied.diagnostics.assert_error(&["check \"service\"", "exit code 3", "unit web is not loaded"]);
        assert_nothing_remains(&core, "after checks by the first version");
        // a response without an exit code is never a success
        let sample = json!({"status": 200, "body": "{\"value\":[{\"code\":\"ProvisioningState/succeeded\",\"message\":\"Enable succeeded: \\n[stdout]\\nThis is a sample script\\n\\n[stderr]\\n\"}]}",
            "headers": {"Content-Type": "application/json"}, "method": "POST", "path": "/runCommand$", "count": 0});
        script(&core, json!([]));
        core.fault(sample);
        let sampled = config(json!({"keepers": {"a": "c"}, "check_deprovisioned": false}));
        let applied = apply(&core, &sampled, None).await;
        applied.diagnostics.assert_error(&["does not tell the exit code"]);
    }
}

#[tokio::test(start_paused = true)]
async fn capacity_and_network_errors_leave_the_result_inconclusive() {
    let machine = "/virtualMachines/azimage-test-[^/]*$";
    let put_fault = |fault: Json| patched(&fault, &json!({"method": "PUT", "path": machine, "count": 0}));
    for (fault, says) in [
        (
            json!({"status": 409, "code": "OperationNotAllowed", "message": "exceeding approved standardDSv5Family Cores quota"}),
            "more quota",
        ),
        (json!({"status": 409, "code": "SkuNotAvailable", "message": "not here"}), "another vm_size"),
        (json!({"fail_operation": {"code": "AllocationFailed", "message": "No room."}}), "no capacity"),
        (
            json!({"fail_operation": {"code": "OverconstrainedAllocationRequest", "message": "No room."}}),
            "no capacity",
        ),
        (
            json!({"fail_operation": {"code": "InternalExecutionError", "message": "Oh."}}),
            "InternalExecutionError",
        ),
        (
            json!({"status": 403, "code": "LinkedAuthorizationFailed", "message": "subnets/join/action"}),
            "role",
        ),
    ] {
        let core = prepared().await;
        core.fault(put_fault(fault));
        let applied = apply(&core, &config(json!({})), None).await;
        applied.diagnostics.assert_error(&["inconclusive: the image was not judged", says]);
        assert!(applied.held.is_none(), "{says}");
        assert_nothing_remains(&core, says);
        core.clear_faults();
        core.create(TYPE, &config(json!({}))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_that_does_not_start_fails_with_the_serial_log() {
    let core = prepared().await;
    let timed_out = json!({"code": "OSProvisioningTimedOut", "message": "OS Provisioning for VM 'x' did not finish in the allotted time."});
    core.fault(
        json!({"method": "PUT", "path": "/virtualMachines/azimage-test-[^/]*$", "fail_operation": timed_out}),
    );
    let applied = apply(&core, &config(json!({})), None).await;
    applied.diagnostics.assert_error(&[
        "does not start",
        "OSProvisioningTimedOut",
        "serial console",
        "login:",
        "deprovision",
    ]);
    assert!(!applied.diagnostics.errors().contains("sig="), "the log's address is a secret");
    let held = applied.held.unwrap();
    assert!(held.tainted && held.text("result") == "failed");
    assert_nothing_remains(&core, "after an image that does not start");
}

#[tokio::test(start_paused = true)]
async fn a_kept_machine_is_removed_by_the_next_apply_and_by_destroy() {
    let core = prepared().await;
    script(&core, failing_service());
    let keeping = config(json!({"keep_on_failure": true}));
    let applied = apply(&core, &keeping, None).await;
    let held = applied.held.unwrap();
    applied.diagnostics.assert_error(&["The machine is kept", held.text("id")]);
    assert_eq!(
        remaining(&core).len(),
        6,
        "a machine with three commands, its disk and its interface: {:?}",
        remaining(&core)
    );
    let gone = core.destroy(&held).await;
    assert!(gone.held.is_none(), "{:?}", gone.diagnostics);
    assert_nothing_remains(&core, "after the destroy");
    let kept = apply(&core, &keeping, None).await.held.unwrap();
    script(&core, json!([]));
    let applied = apply(&core, &keeping, Some(&kept)).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    assert_nothing_remains(&core, "after the next apply");
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_test_leaves_no_resources() {
    let core = prepared().await;
    for at in 0..MANY {
        let config = config(json!({"keepers": {"at": at.to_string()}}));
        let plan = core.plan(TYPE, None, &config).await;
        let (applied, reached) = interrupted(&core, at, core.apply(&plan)).await;
        if !reached {
            assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
            return assert_nothing_remains(&core, "after a run without an interrupt");
        }
        assert_nothing_remains(&core, &format!("interrupted at request {at}: {:?}", applied.diagnostics));
        let passed = applied.held.is_some_and(|held| held.text("result") == "passed");
        assert!(passed || applied.diagnostics.has_errors(), "request {at}: {:?}", applied.diagnostics);
    }
    panic!("the number of requests is unbounded");
}

#[tokio::test(start_paused = true)]
async fn the_next_apply_removes_leftovers_of_a_killed_test() {
    let core = prepared().await;
    let mut seen = 0;
    for at in 0..MANY {
        let config = config(json!({"keepers": {"at": at.to_string()}}));
        let plan = core.plan(TYPE, None, &config).await;
        core.fault(json!({"skip": at, "count": 1, "delay_ms": 30_000}));
        let met = || core.control("GET", "faults", json!({}))["faults"][0]["done"] == 1;
        let killed = async {
            while !met() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let applied = tokio::select! { applied = core.apply(&plan) => Some(applied), () = killed => None };
        core.clear_faults();
        if let Some(applied) = applied {
            assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
            assert!(seen > 3, "a killed run leaves a machine");
            return;
        }
        seen += usize::from(!remaining(&core).is_empty());
        end_marks_of_runs(&core);
        let next = core.new_run(json!({})).await;
        next.create(TYPE, &config).await;
        assert_nothing_remains(&core, &format!("killed at request {at}"));
    }
    panic!("the number of requests is unbounded");
}

/// Ends the locks of the runs that have left machines, as the end of their process would.
fn end_marks_of_runs(core: &Core) {
    for id in
        remaining(core).iter().filter(|id| id.contains("/virtualMachines/") && !id.contains("/runCommands/"))
    {
        let run = id.rsplit('-').next().unwrap();
        let folder = std::env::home_dir().unwrap().join(".cache/terraform-provider-azimage");
        let mark = folder.join(format!("azimage-test-{run}.lock"));
        std::fs::remove_file(&mark).unwrap();
        std::fs::File::create_new(&mark).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn removes_leftovers_of_other_tests_after_their_timeout() {
    let core = prepared().await;
    let machine = |name: &str, until: &str| {
        let nic = json!([{"name": name, "properties": {"deleteOption": "Delete", "ipConfigurations": [{"name": "ip", "properties": {"subnet": {"id": subnet("tests")}}}]}}]);
        let disk =
            json!({"name": format!("{name}-os"), "createOption": "FromImage", "deleteOption": "Delete"});
        let image = json!({"id": cases::image_test().small["image_version_id"]});
        let body = json!({"location": "eastus", "tags": {"azimage-test": "gal/def/0.9.0", "azimage-test-until": until}, "properties": {
            "storageProfile": {"imageReference": image, "osDisk": disk},
            "networkProfile": {"networkApiVersion": "2020-11-01", "networkInterfaceConfigurations": nic},
        }});
        put(&core, &rg(&format!("virtualMachines/{name}")), body);
    };
    machine("azimage-test-old", "2020-01-01T00:00:00Z");
    machine("azimage-test-running", "2999-01-01T00:00:00Z");
    core.create(TYPE, &config(json!({}))).await;
    let left = remaining(&core);
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(left.iter().all(|id| id.contains("azimage-test-running")), "{left:?}");
}

/// Two pipelines test the same version, with the same configuration and states of their own.
#[tokio::test(start_paused = true)]
async fn two_runs_of_the_same_test_do_not_share_a_machine() {
    let core = prepared().await;
    core.control("PUT", "settings", json!({"time_scale": 1}));
    let other = core.new_run(json!({})).await;
    let plans =
        (core.plan(TYPE, None, &config(json!({}))).await, other.plan(TYPE, None, &config(json!({}))).await);
    let (mut first, mut second) = (None, None);
    let both = async {
        let later = async {
            // the first one has its machine by now
            tokio::time::sleep(Duration::from_secs(20)).await;
            assert!(!remaining(&core).is_empty(), "the first run has no machine yet");
            second = Some(other.apply(&plans.1).await);
        };
        let earlier = async { first = Some(core.apply(&plans.0).await) };
        tokio::join!(earlier, later);
        core.apply(&core.plan(TYPE, None, &config(json!({"keepers": {"a": "b"}}))).await).await
    };
    ticking(&core, both).await;
    for applied in [first.unwrap(), second.unwrap()] {
        assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
        assert_eq!(applied.held.unwrap().text("result"), "passed");
    }
    assert_nothing_remains(&core, "after both");
}

#[tokio::test(start_paused = true)]
async fn never_deletes_a_machine_that_it_did_not_create() {
    let core = prepared().await;
    let id = rg("virtualMachines/azimage-test-0123456789-0123456789ab");
    let disk = json!({"createOption": "FromImage", "osType": "Linux"});
    let tags = json!({"azimage-test-until": "2020-01-01T00:00:00Z"});
    put(
        &core,
        &id,
        json!({"location": "eastus", "tags": tags, "properties": {"storageProfile": {"osDisk": disk}}}),
    );
    core.create(TYPE, &config(json!({}))).await;
    assert!(core.exists(&id), "it lacks the tag of a test");
}

#[tokio::test(start_paused = true)]
async fn reports_a_machine_that_cannot_be_deleted_and_retries_in_the_next_run() {
    let core = prepared().await;
    let locked = json!({"status": 409, "code": "ScopeLocked", "message": "locked", "method": "DELETE", "path": "/virtualMachines/azimage-test-[^/]*$", "count": 0});
    core.fault(locked);
    let applied = apply(&core, &config(json!({})), None).await;
    applied.diagnostics.assert_error(&["could not be deleted", "ScopeLocked", "costs money"]);
    let held = applied.held.unwrap();
    assert!(held.tainted && held.text("result") == "passed" && !remaining(&core).is_empty());
    core.clear_faults();
    let applied = apply(&core, &config(json!({})), Some(&held)).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    assert_nothing_remains(&core, "after the second run");
}

/// Definitions of every kind. Like the service, the emulator rejects machines that do not match them.
#[tokio::test(start_paused = true)]
async fn the_machine_matches_the_definition() {
    let feature = |value: &str| json!([{"name": "SecurityType", "value": value}]);
    let shapes = [
        ("v1", json!({"hyperVGeneration": "V1", "features": null}), "Standard_D2s_v5"),
        ("trusted", json!({"features": feature("TrustedLaunch")}), "Standard_D2s_v5"),
        ("supported", json!({"features": feature("TrustedLaunchSupported")}), "Standard_D2s_v5"),
        ("confidential", json!({"features": feature("ConfidentialVM")}), "Standard_DC2as_v5"),
        ("special", json!({"osState": "Specialized"}), "Standard_D2s_v5"),
        ("windows", json!({"osType": "Windows"}), "Standard_D2s_v5"),
        ("arm", json!({"architecture": "Arm64", "features": null}), "Standard_D2ps_v5"),
        ("plan", json!({"purchasePlan": {"name": "n", "publisher": "p", "product": "o"}}), "Standard_D2s_v5"),
    ];
    for (name, properties, size) in shapes {
        let core = prepared().await;
        let definition = patched(&cases::definition(name), &json!({"properties": properties}));
        put(&core, &rg(&format!("galleries/gal/images/{name}")), definition);
        let id = rg(&format!("galleries/gal/images/{name}/versions/1.0.0"));
        let source = json!({"osDiskImage": {"source": {"id": rg("snapshots/os")}}, "dataDiskImages": [{"lun": 4, "source": {"id": rg("snapshots/data")}}]});
        let regions = json!({"targetRegions": [{"name": "eastus"}]});
        let properties = json!({"publishingProfile": regions, "storageProfile": source});
        put(&core, &id, json!({"location": "eastus", "properties": properties}));
        let held = core.create(TYPE, &config(json!({"image_version_id": id}))).await;
        assert_eq!((held.text("result"), held.text("vm_size")), ("passed", size), "{name}");
        assert_nothing_remains(&core, name);
    }
}

#[tokio::test(start_paused = true)]
async fn plan_rejects_a_version_in_another_region() {
    let core = prepared().await;
    let far = config(json!({"location": "uksouth", "subnet_id": subnet("tests")}));
    let refused = core.try_plan(TYPE, None, &core.config(TYPE, &far)).await.unwrap_err();
    refused.assert_error(&["is not in uksouth", "eastus, westeurope"]);
    let twice = config(json!({"check": [{"name": "a", "script": "x"}, {"name": "a", "script": "y"}]}));
    core.validate(TYPE, &core.config(TYPE, &twice)).await.assert_error(&["same name"]);
}

/// Every kind of request while the service returns invalid responses, temporarily and permanently.
#[tokio::test(start_paused = true)]
async fn leaves_no_resources_when_requests_fail() {
    let faults = [
        json!({"status": 503}),
        json!({"status": 429, "code": "TooManyRequests", "headers": {"Retry-After": "2"}}),
        json!({"drop": "before"}),
        json!({"drop": "after"}),
        json!({"malformed": "html"}),
        json!({"truncate": 20}),
    ];
    for (method, path) in [
        ("PUT", "/virtualMachines/azimage-test-[^/]*$"),
        ("GET", "/virtualMachines/azimage-test-[^/]*$"),
        ("PUT", "/runCommands/"),
        ("GET", "/runCommands/"),
        ("GET", "perations/"),
        ("DELETE", "/virtualMachines/azimage-test-[^/]*$"),
    ] {
        for fault in &faults {
            let core = prepared().await;
            let what = format!("{method} {path} {fault}");
            let config = config(json!({"timeouts": {"create": "30m"}}));
            core.fault(patched(fault, &json!({"method": method, "path": path, "count": 2})));
            let applied = apply(&core, &config, None).await;
            assert!(!applied.diagnostics.has_errors(), "{what}: {:?}", applied.diagnostics);
            assert_nothing_remains(&core, &what);
            core.clear_faults();
            core.fault(patched(fault, &json!({"method": method, "path": path, "count": 0})));
            let applied = apply(&core, &patched(&config, &json!({"keepers": {"a": "b"}})), None).await;
            core.clear_faults();
            if method == "DELETE" && !remaining(&core).is_empty() {
                applied.diagnostics.assert_error(&["could not be deleted"]);
            } else {
                assert_nothing_remains(&core, &what);
            }
        }
    }
}
