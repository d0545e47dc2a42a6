//! Builds of image templates: started, joined, awaited, interrupted, cancelled and failed.

use super::cases::{self, builder, rg, with_templates};
use crate::core::{Action, Applied, Core, Held, Json, json, patched};
use std::time::Duration;

const RUN: &str = "azimage_builder_run";
const TEMPLATE: &str = "azimage_builder_template";
const VERSIONS: &str = "galleries/gal/images/def/versions";

async fn prepared() -> Core {
    let core = Core::new().await;
    with_templates(&core);
    core
}

fn run(patch: Json) -> Json {
    patched(&json!({"template_id": builder("t")}), &patch)
}

fn action(name: &str) -> String {
    format!("{}/{name}?api-version=2025-10-01", builder("t"))
}

// Operations take time until the clock is advanced.
fn slow(core: &Core) {
    core.control("PUT", "settings", json!({"time_scale": 1}));
}

fn advance(core: &Core, seconds: f64) {
    core.control("POST", "clock/advance", json!({"seconds": seconds}));
}

// Applies while the emulator's clock runs: one hour for every minute.
async fn applied_in_time(core: &Core, applying: impl Future<Output = Applied>) -> Applied {
    let clock = async {
        loop {
            tokio::time::sleep(Duration::from_secs(60)).await;
            advance(core, 3600.0);
        }
    };
    tokio::select! { applied = applying => applied, () = clock => unreachable!() }
}

fn versions(core: &Core) -> Vec<String> {
    let (status, list) = core.azure("GET", &rg(VERSIONS), Json::Null);
    assert_eq!(status, 200);
    let names = list["value"].as_array().unwrap().iter();
    names.map(|version| version["name"].as_str().unwrap().to_owned()).collect()
}

fn run_state(core: &Core) -> String {
    core.azure_object(&builder("t"))["properties"]["lastRunStatus"]["runState"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn made(held: &Held) -> Vec<String> {
    held.get("image_version_ids").elements().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn build_creates_a_version_and_changed_keepers_create_another() {
    let core = prepared().await;
    let held = core.create(RUN, &run(json!({}))).await;
    assert_eq!(made(&held), [rg(&format!("{VERSIONS}/1.0.0"))]);
    assert_eq!(held.get("artifacts").entries().count(), 1);
    assert!(held.text("log_location").ends_with("/containers/packerlogs"), "{}", held.text("log_location"));
    assert!(held.text("ended_at") >= held.text("started_at"));
    let again = core.change(&held, &run(json!({"keepers": {"month": "2026-12"}})), Action::Replace).await;
    assert_eq!(made(&again), [rg(&format!("{VERSIONS}/1.0.1"))]);
    // a destroy keeps the images
    assert!(core.destroy(&again).await.held.is_none());
    assert_eq!(versions(&core), ["1.0.0", "1.0.1"]);
}

// The service does not know with which keepers an image was built.
#[tokio::test(start_paused = true)]
async fn import_with_keepers_builds_nothing() {
    let core = prepared().await;
    let config = |month: &str| run(json!({"keepers": {"month": month}}));
    core.create(RUN, &config("2026-11")).await;
    let imported = core.import(RUN, &builder("t"), None).await.unwrap();
    let imported = core.read(&imported).await.unwrap().0.unwrap();
    let held = core.change(&imported, &config("2026-11"), Action::Update).await;
    assert_eq!(versions(&core), ["1.0.0"]);
    assert_eq!(made(&held), [rg(&format!("{VERSIONS}/1.0.0"))]);
    assert_eq!(core.plan(RUN, Some(&held), &config("2026-11")).await.action, Action::NoOp);
    // from now on they decide
    core.change(&held, &config("2026-12"), Action::Replace).await;
    assert_eq!(versions(&core), ["1.0.0", "1.0.1"]);
}

#[tokio::test(start_paused = true)]
async fn failed_build_shows_the_end_of_its_log() {
    let core = prepared().await;
    let config = patched(
        &cases::builder_template().small,
        &json!({"name": "broken", "customize": [
            {"name": "hello", "shell": {"inline": ["echo hello"]}},
            {"name": "setup", "shell": {"script_uri": "https://example.com/setup.sh"}},
        ]}),
    );
    core.create(TEMPLATE, &config).await;
    let script = json!({"contains": "setup.sh", "exit_code": 100, "error": "Unable to locate package nginx"});
    core.control("PUT", "scripts", json!({"scripts": [script]}));
    let config = json!({"template_id": builder("broken")});
    let plan = core.plan(RUN, None, &config).await;
    let failed = core.apply(&plan).await;
    assert!(failed.held.is_none());
    failed.diagnostics.assert_error(&[
        "The build of image template \"broken\" failed",
        "setup ended with exit code 100",
        "The end of the log",
        "azure-arm: hello",
        "Unable to locate package nginx",
        &builder("broken"),
    ]);
    // if the log cannot be read, the message contains its location
    let refused = json!({"status": 403, "code": "AuthorizationFailed", "message": "No.", "count": 0});
    core.fault(patched(&refused, &json!({"method": "POST", "path": "ListServiceSas"})));
    let plan = core.plan(RUN, None, &config).await;
    let failed = core.apply(&plan).await;
    failed.diagnostics.assert_error(&["packerlogs/", "customization.log", "setup ended with exit code 100"]);
    assert!(!failed.diagnostics.errors().contains("The end of the log"), "{:?}", failed.diagnostics);
    core.clear_faults();
    core.control("PUT", "scripts", json!({"scripts": []}));
    core.create(RUN, &config).await;
}

#[tokio::test(start_paused = true)]
async fn joins_a_build_that_began_after_the_plan() {
    let core = prepared().await;
    let plan = core.plan(RUN, None, &run(json!({}))).await;
    slow(&core);
    assert_eq!(core.client_request("POST", &action("run"), Json::Null).0, 202);
    let applied = applied_in_time(&core, core.apply(&plan)).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    assert_eq!(made(&applied.held.unwrap()), [rg(&format!("{VERSIONS}/1.0.0"))]);
    assert_eq!(versions(&core), ["1.0.0"]);
}

#[tokio::test(start_paused = true)]
async fn waits_for_a_build_that_began_before_the_plan() {
    let core = prepared().await;
    slow(&core);
    assert_eq!(core.client_request("POST", &action("run"), Json::Null).0, 202);
    let plan = core.plan(RUN, None, &run(json!({}))).await;
    let applied = applied_in_time(&core, core.apply(&plan)).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    assert_eq!(made(&applied.held.unwrap()), [rg(&format!("{VERSIONS}/1.0.1"))]);
    assert_eq!(versions(&core), ["1.0.0", "1.0.1"]);
}

#[tokio::test(start_paused = true)]
async fn joins_an_automatic_build() {
    let core = prepared().await;
    let config = patched(&cases::builder_template().small, &json!({"name": "auto", "auto_run": true}));
    slow(&core);
    let plan = core.plan(TEMPLATE, None, &config).await;
    let template = applied_in_time(&core, core.apply(&plan)).await;
    assert!(!template.diagnostics.has_errors(), "{:?}", template.diagnostics);
    let plan = core.plan(RUN, None, &json!({"template_id": builder("auto")})).await;
    let applied = applied_in_time(&core, core.apply(&plan)).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    assert_eq!(versions(&core), ["1.0.0"]);
}

// The run continues, and its result is not lost.
#[tokio::test(start_paused = true)]
async fn interrupted_build_stays_in_the_state_and_the_next_apply_waits_for_it() {
    for finished_by_refresh in [false, true] {
        for timeouts in [json!({}), json!({"timeouts": {"create": "5s"}})] {
            let core = prepared().await;
            let config = run(timeouts.clone());
            let plan = core.plan(RUN, None, &config).await;
            slow(&core);
            let applied = core.apply(&plan);
            let stop = async {
                tokio::time::sleep(Duration::from_secs(20)).await;
                core.stop().await;
            };
            let (applied, ()) = tokio::join!(applied, stop);
            assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
            applied.diagnostics.assert_warning(&["not finished yet", &builder("t")]);
            let held = applied.held.unwrap();
            assert!(!held.tainted && held.text("ended_at").is_empty() && !held.text("started_at").is_empty());
            if finished_by_refresh {
                advance(&core, 3600.0);
                let read = core.refresh(&held).await.unwrap().unwrap();
                assert_eq!(made(&read), [rg(&format!("{VERSIONS}/1.0.0"))]);
                assert_eq!(core.plan(RUN, Some(&read), &config).await.action, Action::NoOp);
            } else {
                let read = core.refresh(&held).await.unwrap().unwrap();
                let plan = core.plan(RUN, Some(&read), &config).await;
                assert_eq!(plan.action, Action::Update);
                let applied = applied_in_time(&core, core.apply(&plan)).await;
                assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
                assert_eq!(made(&applied.held.unwrap()), [rg(&format!("{VERSIONS}/1.0.0"))]);
            }
            assert_eq!(versions(&core), ["1.0.0"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn interrupted_build_that_failed_afterwards_is_repeated() {
    let core = prepared().await;
    let config = run(json!({}));
    let plan = core.plan(RUN, None, &config).await;
    slow(&core);
    core.fault(json!({"method": "POST", "path": "/run$", "fail_operation": {"code": "PackerBuildFailed", "message": "Broken."}}));
    let stop = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        core.stop().await;
    };
    let (applied, ()) = tokio::join!(core.apply(&plan), stop);
    let held = applied.held.unwrap();
    advance(&core, 3600.0);
    assert!(core.refresh(&held).await.unwrap().is_none(), "a failed build leaves the state");
    let plan = core.plan(RUN, None, &config).await;
    let applied = applied_in_time(&core, core.apply(&plan)).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
}

#[tokio::test(start_paused = true)]
async fn interrupted_build_is_cancelled_if_configured() {
    let core = prepared().await;
    let config = run(json!({"on_interrupt": "cancel"}));
    let plan = core.plan(RUN, None, &config).await;
    slow(&core);
    let stop = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        core.stop().await;
    };
    let begun = tokio::time::Instant::now();
    let (applied, ()) = tokio::join!(core.apply(&plan), stop);
    assert!(begun.elapsed() < Duration::from_secs(48), "{:?}", begun.elapsed());
    assert!(applied.held.is_none());
    applied.diagnostics.assert_error(&["was cancelled, as on_interrupt says"]);
    assert_eq!(run_state(&core), "Canceling");
    // the next apply waits until the cancellation is complete
    let plan = core.plan(RUN, None, &config).await;
    let applied = applied_in_time(&core, core.apply(&plan)).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    assert_eq!(versions(&core), ["1.0.0"]);
}

#[tokio::test(start_paused = true)]
async fn apply_and_destroy_fail_if_a_build_stays_in_canceling() {
    let core = prepared().await;
    let template = core.import(TEMPLATE, &builder("t"), None).await.unwrap();
    slow(&core);
    assert_eq!(core.client_request("POST", &action("run"), Json::Null).0, 202);
    core.fault(json!({"method": "POST", "path": "/cancel$", "stuck_operation": true}));
    assert_eq!(core.client_request("POST", &action("cancel"), Json::Null).0, 204);
    let plan = core.plan(RUN, None, &run(json!({}))).await;
    let begun = tokio::time::Instant::now();
    let applied = applied_in_time(&core, core.apply(&plan)).await;
    applied.diagnostics.assert_error(&["a build does not end", "Canceling", &builder("t")]);
    assert!(begun.elapsed() < Duration::from_secs(5000), "{:?}", begun.elapsed());
    let gone = applied_in_time(&core, core.destroy(&template)).await;
    assert!(gone.held.is_some());
    gone.diagnostics.assert_error(&[&builder("t")]);
}

#[tokio::test(start_paused = true)]
async fn destroying_a_template_cancels_its_build() {
    let core = prepared().await;
    let template = core.import(TEMPLATE, &builder("t"), None).await.unwrap();
    slow(&core);
    assert_eq!(core.client_request("POST", &action("run"), Json::Null).0, 202);
    let gone = applied_in_time(&core, core.destroy(&template)).await;
    assert!(gone.held.is_none(), "{:?}", gone.diagnostics);
    gone.diagnostics.assert_warning(&["was cancelled", &builder("t")]);
    assert!(!core.exists(&builder("t")));
    assert_eq!(versions(&core), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn template_update_waits_for_its_build() {
    let core = prepared().await;
    let template = core.import(TEMPLATE, &builder("t"), None).await.unwrap();
    let config = patched(&cases::builder_template().small, &json!({"tags": {"a": "b"}}));
    slow(&core);
    assert_eq!(core.client_request("POST", &action("run"), Json::Null).0, 202);
    let read = core.refresh(&template).await.unwrap().unwrap();
    let plan = core.plan(TEMPLATE, Some(&read), &config).await;
    assert_eq!(plan.action, Action::Update, "{:?}", plan.replace);
    let applied = applied_in_time(&core, core.apply(&plan)).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    assert_eq!(run_state(&core), "Succeeded");
    assert_eq!(core.azure_object(&builder("t"))["tags"]["a"], "b");
}

// Whenever the response to the request is lost, there is exactly one build.
#[tokio::test(start_paused = true)]
async fn lost_response_starts_no_second_build() {
    for (fault, built) in [
        (json!({"drop": "after"}), true),
        (json!({"malformed": true}), true),
        (json!({"status": 504, "body": "<html>gateway</html>"}), false),
        (json!({"drop": "before"}), false),
        (json!({"status": 403, "code": "AuthorizationFailed", "message": "No."}), false),
    ] {
        let core = prepared().await;
        let plan = core.plan(RUN, None, &run(json!({}))).await;
        core.fault(patched(&fault, &json!({"method": "POST", "path": "/run$", "count": 1})));
        let applied = core.apply(&plan).await;
        assert_eq!(applied.held.is_some(), built, "{fault} {:?}", applied.diagnostics);
        assert_eq!(applied.diagnostics.has_errors(), !built, "{fault}");
        assert_eq!(versions(&core).len(), usize::from(built), "{fault}");
        core.clear_faults();
        if !built {
            core.create(RUN, &run(json!({}))).await;
            assert_eq!(versions(&core), ["1.0.0"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn deleted_image_is_reported_and_not_rebuilt() {
    let core = prepared().await;
    let held = core.create(RUN, &run(json!({}))).await;
    core.azure("DELETE", &made(&held)[0], Json::Null);
    let (read, warnings) = core.read(&held).await.unwrap();
    let read = read.unwrap();
    assert_eq!(read.state, held.state);
    warnings.assert_warning(&["are gone", &made(&held)[0]]);
    assert_eq!(core.plan(RUN, Some(&read), &run(json!({}))).await.action, Action::NoOp);
}

#[tokio::test(start_paused = true)]
async fn template_that_cannot_be_built_is_an_error() {
    let core = prepared().await;
    let config = patched(&cases::builder_template().small, &json!({"name": "failed"}));
    core.fault(json!({"method": "PUT", "path": "/failed$", "count": 0, "fail_operation": {"code": "Unauthorized", "message": "Not authorized to read the subnet."}}));
    let plan = core.plan(TEMPLATE, None, &config).await;
    let template = core.apply(&plan).await;
    template.diagnostics.assert_error(&["Unauthorized", "Not authorized to read the subnet.", "role"]);
    let plan = core.plan(RUN, None, &json!({"template_id": builder("failed")})).await;
    let applied = core.apply(&plan).await;
    applied.diagnostics.assert_error(&["cannot be built", "Not authorized to read the subnet."]);
    assert!(
        core.try_plan(RUN, None, &core.config(RUN, &json!({"template_id": builder("none")}))).await.is_err()
    );
}

// The identity's roles were assigned in the same apply, and act after a while.
#[tokio::test(start_paused = true)]
async fn creation_waits_for_a_new_role_assignment_to_act() {
    let core = prepared().await;
    let config = patched(&cases::builder_template().small, &json!({"name": "new"}));
    for code in ["Unauthorized", "AuthorizationFailed"] {
        let refusal = json!({"code": code, "message": "Not authorized to access the resource."});
        core.fault(json!({"method": "PUT", "path": "/new$", "count": 4, "fail_operation": refusal}));
        let held = core.create(TEMPLATE, &config).await;
        assert_eq!(held.text("provisioning_state"), "Succeeded");
        assert!(core.destroy(&held).await.held.is_none());
        core.clear_faults();
    }
    // the wait has an end, and the failed template can be repaired by the next apply
    let refusal = json!({"code": "Unauthorized", "message": "Not authorized to access the resource."});
    core.fault(json!({"method": "PUT", "path": "/new$", "count": 0, "fail_operation": refusal}));
    let begun = tokio::time::Instant::now();
    let failed = core.apply(&core.plan(TEMPLATE, None, &config).await).await;
    failed.diagnostics.assert_error(&["Unauthorized", "has tried for some minutes"]);
    let waited = begun.elapsed().as_secs();
    assert!((240..=400).contains(&waited), "{waited}");
    assert!(failed.held.unwrap().tainted && core.exists(&builder("new")));
    core.clear_faults();
    // a request that the caller may not make is refused at once
    let refused = json!({"status": 403, "code": "AuthorizationFailed", "message": "imageTemplates/write"});
    core.fault(patched(&refused, &json!({"method": "PUT", "path": "/other$", "count": 0})));
    let other = patched(&config, &json!({"name": "other"}));
    let begun = tokio::time::Instant::now();
    let failed = core.apply(&core.plan(TEMPLATE, None, &other).await).await;
    failed.diagnostics.assert_error(&["AuthorizationFailed"]);
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

// A run was killed while the service created the template, and the creation failed afterwards.
#[tokio::test(start_paused = true)]
async fn template_whose_creation_failed_in_a_killed_run_is_recreated() {
    let core = prepared().await;
    let config = patched(&cases::builder_template().full, &cases::builder_template().small);
    let config = patched(
        &config,
        &json!({"name": "left", "customize": [{"shell": {"script_uri": "https://example.com/s.sh"}}]}),
    );
    let plan = core.plan(TEMPLATE, None, &config).await;
    core.slow_operations();
    core.fault(json!({"method": "PUT", "path": "/left$", "fail_operation": {"code": "Unauthorized", "message": "No."}}));
    let killed = tokio::time::timeout(Duration::from_secs(5), core.apply(&plan)).await;
    assert!(killed.is_err());
    core.stop().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    advance(&core, 1e8);
    core.control("PUT", "settings", json!({"time_scale": 0}));
    assert_eq!(core.azure_object(&builder("left"))["properties"]["provisioningState"], "Failed");
    let next = core.new_run(json!({})).await;
    // a failed template of another configuration is left unchanged
    let other = patched(&config, &json!({"location": "westus"}));
    let plan = next.plan(TEMPLATE, None, &other).await;
    next.apply(&plan).await.diagnostics.assert_error(&["already exists"]);
    let plan = next.plan(TEMPLATE, None, &config).await;
    let applied = next.apply(&plan).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    applied.diagnostics.assert_warning(&["in state Failed and was created again"]);
    next.assert_no_changes(&applied.held.unwrap(), &config).await;
}

// The references of a template are checked before anything is replaced.
#[tokio::test(start_paused = true)]
async fn plan_checks_the_references_of_a_template() {
    let core = prepared().await;
    let small = cases::builder_template().small;
    let source =
        |patch: Json| patched(&json!({"source": {"marketplace_urn": null}}), &json!({"source": patch}));
    core.azure(
        "PUT",
        &rg("galleries/gal/images/special"),
        patched(&cases::definition("special"), &json!({"properties": {"osState": "Specialized"}})),
    );
    for (patch, text) in [
        (source(json!({"managed_image_id": rg("images/none")})), "does not exist"),
        (source(json!({"managed_image_id": rg("images/west")})), "is in another region"),
        (
            source(json!({"image_version_id": rg("galleries/gal/images/def2/versions/9.9.9")})),
            "does not exist",
        ),
        (
            source(json!({"image_version_id": rg("galleries/gal/images/special/versions/latest")})),
            "is specialized",
        ),
        (
            patched(
                &source(json!({"image_version_id": rg("galleries/gal/images/def2/versions/0.0.1")})),
                &json!({"location": "westus"}),
            ),
            "not replicated to the region",
        ),
        (
            json!({"distribute": [{"run_output_name": "o", "image_version": {"image_definition_id": rg("galleries/gal/images/none")}}]}),
            "does not exist",
        ),
        (
            json!({"distribute": [{"run_output_name": "o", "image_version": {"image_definition_id": rg("galleries/gal/images/special")}}]}),
            "is specialized",
        ),
    ] {
        let config = core.config(TEMPLATE, &patched(&small, &patch));
        match core.try_plan(TEMPLATE, None, &config).await {
            Ok(_) => panic!("{patch} is planned"),
            Err(diagnostics) => diagnostics.assert_error(&[text]),
        }
    }
}
