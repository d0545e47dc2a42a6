//! Gallery applications: tokens in links, regions, retention, and parents that are not empty.

use crate::cases::{self, rg};
use crate::core::{Action, Core, Json, json, patched};

const APPLICATION: &str = "azimage_gallery_application";
const VERSION: &str = "azimage_gallery_application_version";

async fn with_applications() -> Core {
    let core = Core::new().await;
    cases::with_applications(&core);
    core
}

fn version(patch: Json) -> Json {
    patched(&cases::gallery_application_version().small, &patch)
}

fn with_token(token: &str) -> Json {
    json!({"source": {"media_link": format!("https://contoso.blob.core.windows.net/agent/agent.tar.gz?sig={token}")}})
}

fn regions(names: &[&str]) -> Json {
    json!({"target_region": names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()})
}

#[tokio::test(start_paused = true)]
async fn a_new_sas_token_plans_no_changes_and_is_sent_with_the_next_update() {
    let core = with_applications().await;
    let held = core.create(VERSION, &version(with_token("one"))).await;
    let held = core.change(&held, &version(with_token("two")), Action::NoOp).await;
    let tagged = patched(&version(with_token("two")), &json!({"tags": {"a": "b"}}));
    let held = core.change(&held, &tagged, Action::Update).await;
    let link = |body: Json| body["properties"]["publishingProfile"]["source"]["mediaLink"].clone();
    let sent = link(core.azure_object(held.text("id")));
    assert!(sent.as_str().unwrap().ends_with("sig=two"), "{sent}");
    // a service that returns no token changes nothing
    let no_prerequisites = sent.as_str().unwrap().split('?').next().unwrap();
    core.tamper(
        held.text("id"),
        json!({"properties": {"publishingProfile": {"source": {"mediaLink": no_prerequisites}}}}),
    );
    let held = core.refresh(&held).await.unwrap().unwrap();
    core.change(&held, &tagged, Action::NoOp).await;
}

#[tokio::test(start_paused = true)]
async fn errors_about_a_link_do_not_contain_it() {
    let core = with_applications().await;
    let wrong = version(json!({"source": {"media_link": "ftp://contoso/agent.tar.gz?sig=secret"}}));
    let diagnostics = core.plan_refused(VERSION, None, &wrong).await;
    diagnostics.assert_error(&["source.media_link", "must be a web address"]);
    assert!(!format!("{diagnostics:?}").contains("secret"), "{diagnostics:?}");
}

// A version of another tool does not allow the removal of regions.
#[tokio::test(start_paused = true)]
async fn removes_a_region_in_place_from_a_version_of_another_tool() {
    let core = with_applications().await;
    let id = cases::gallery_application_version().id.unwrap();
    let profile = json!({
        "source": {"mediaLink": "https://contoso.blob.core.windows.net/agent/agent.tar.gz"},
        "manageActions": {"install": "./install.sh", "remove": "./remove.sh"},
        "targetRegions": [{"name": "eastus"}, {"name": "westeurope"}],
    });
    cases::put(&core, &id, json!({"location": "eastus", "properties": {"publishingProfile": profile}}));
    let held = core.import(VERSION, &id, None).await.unwrap();
    let held = core.change(&held, &version(regions(&["East US"])), Action::Update).await;
    assert_eq!(held.get("target_region").elements().len(), 1);
    // without target regions, the version stays in its own region
    core.change(&held, &version(json!({})), Action::NoOp).await;
}

#[tokio::test(start_paused = true)]
async fn rejects_plans_without_the_home_region_or_with_an_unknown_region() {
    let core = with_applications().await;
    for (names, expected) in [
        (&["westeurope"][..], "own region \"eastus\" is missing"),
        (&["eastus", "westeurop"], "There is no such region"),
        (&["eastus", "East US"], "given twice"),
    ] {
        let diagnostics = core.plan_refused(VERSION, None, &version(regions(names))).await;
        diagnostics.assert_error(&[expected]);
        assert_eq!(diagnostics.error_paths(), ["target_region"], "{names:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn keeps_reports_and_repairs_a_failed_region() {
    let core = with_applications().await;
    let config = version(regions(&["eastus", "westeurope"]));
    core.fault(json!({"method": "PUT", "path": "/versions/1\\.0\\.0$", "fail_region": "westeurope"}));
    let plan = core.plan(VERSION, None, &config).await;
    let applied = core.apply(&plan).await;
    applied.diagnostics.assert_warning(&["was kept although its replication failed", "westeurope"]);
    let held = applied.held.unwrap();
    assert!(!held.tainted);
    let held = core.refresh(&held).await.unwrap().unwrap();
    let plan = core.plan(VERSION, Some(&held), &config).await;
    plan.diagnostics.assert_warning(&["The application version has failed in a region", "westeurope Failed"]);
    core.change(&held, &config, Action::Update).await;
}

#[tokio::test(start_paused = true)]
async fn a_retained_version_stays_in_azure_and_reserves_its_number() {
    let core = with_applications().await;
    let config = version(json!({"deletion_policy": "retain"}));
    let held = core.create(VERSION, &config).await;
    let other_package = patched(&config, &json!({"manage_action": {"install": "./other.sh"}}));
    let diagnostics = core.plan_refused(VERSION, Some(&held), &other_package).await;
    diagnostics.assert_error(&["Version \"1.0.0\" is retained, so its number stays taken"]);
    assert_eq!(diagnostics.error_paths(), ["name"]);
    let next = patched(&other_package, &json!({"name": "1.1.0"}));
    let plan = core.plan(VERSION, Some(&held), &next).await;
    plan.diagnostics.assert_warning(&["Version 1.0.0 stays in Azure", "Its gallery application"]);
    core.change(&held, &next, Action::Replace).await;
    assert!(core.exists(held.text("id")));
}

#[tokio::test(start_paused = true)]
async fn does_not_destroy_parents_with_children() {
    let core = Core::new().await;
    let gallery = core.create("azimage_gallery", &cases::gallery().small).await;
    let application = core.create(APPLICATION, &cases::gallery_application().small).await;
    let version = core.create(VERSION, &version(json!({}))).await;
    let refused = core.destroy(&application).await;
    refused.diagnostics.assert_error(&["it still contains 1 application version", version.text("id")]);
    let definition = rg("galleries/gal/images/def");
    cases::put(&core, &definition, cases::definition("def"));
    let refused = core.destroy(&gallery).await;
    let both = "it still contains 1 image definition and 1 gallery application";
    refused.diagnostics.assert_error(&[both, &definition, application.text("id")]);
    let (status, _) = core.azure("DELETE", &definition, Json::Null);
    assert!(status < 300);
    for held in [&version, &application, &gallery] {
        let gone = core.destroy(held).await;
        assert!(gone.held.is_none(), "{:?}", gone.diagnostics);
    }
}

#[tokio::test(start_paused = true)]
async fn uses_the_subscription_of_the_gallery() {
    let core = Core::new().await;
    let other = rg("galleries/gal").replace(crate::core::SUBSCRIPTION, cases::GUID_A);
    cases::put(&core, &other, json!({"location": "westeurope", "properties": {}}));
    let config = patched(&cases::gallery_application().small, &json!({"gallery_id": other}));
    let held = core.create(APPLICATION, &config).await;
    assert_eq!(held.text("id"), format!("{other}/applications/agent"));
    assert_eq!(held.text("location"), "westeurope");
}
