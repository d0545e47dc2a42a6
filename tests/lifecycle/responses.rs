//! Responses that are not what was requested, that omit members, or that spell values in another case: they cause no
//! replacement and no loss.

use super::failures::{always, each, prepared};
use super::versions::{VERSION, version, with_sources};
use crate::cases::{Case, rg};
use crate::core::{Action, Core, Held, Json, json};

const IMAGE: &str = "azimage_managed_image";

// A GET of the object returns `body`.
fn respond_to_get(core: &Core, id: &str, body: &Json) {
    core.clear_faults();
    core.fault(always("GET", id, &json!({"status": 200, "body": body})));
}

async fn reread(core: &Core, case: &Case, held: &Held, what: &str) -> Held {
    let read = core.refresh(held).await;
    let read = read.unwrap_or_else(|diagnostics| panic!("{} {what}: {diagnostics:?}", case.name));
    read.unwrap_or_else(|| panic!("{} {what}: forgotten", case.name))
}

// Values with a documented spelling, which the service returns in any case.
const KEYWORDS: &[&str] = &[
    "provisioningState",
    "osType",
    "supportedOSType",
    "scriptBehaviorAfterReboot",
    "osState",
    "hyperVGeneration",
    "architecture",
    "storageAccountType",
    "replicationMode",
    "hostCaching",
    "caching",
    "permissions",
    "state",
    "aggregatedState",
];

fn shout(json: &mut Json) {
    match json {
        Json::Object(members) => {
            for (name, value) in members {
                match value {
                    Json::String(word) if KEYWORDS.contains(&name.as_str()) => *word = word.to_uppercase(),
                    value => shout(value),
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(shout),
        _ => {}
    }
}

#[tokio::test(start_paused = true)]
async fn values_in_another_case_plan_no_changes() {
    each(async |case, id| {
        let (core, full) = prepared(case).await;
        let held = core.create(case.type_name, &full).await;
        let whole = core.azure_object(&format!("{id}?$expand=ReplicationStatus"));
        let mut body = whole.clone();
        shout(&mut body);
        assert!(["agreement", "role assignment"].contains(&case.name) || body != whole, "{}", case.name);
        respond_to_get(&core, id, &body);
        let read = reread(&core, case, &held, "in capitals").await;
        let plan = core.plan(case.type_name, Some(&read), &full).await;
        assert_eq!(plan.action, Action::NoOp, "{}: {:?}", case.name, plan.state);
    })
    .await;
}

// The paths of all members below `properties`, and of `location`.
fn members(json: &Json, path: &str, found: &mut Vec<String>) {
    for (name, value) in json.as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        members(value, &path, found);
        found.push(path);
    }
}

fn without(json: &Json, path: &str) -> Json {
    let mut json = json.clone();
    let (parent, name) = path.rsplit_once('/').unwrap();
    json.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
    json
}

#[tokio::test(start_paused = true)]
async fn a_member_missing_from_a_response_forces_no_replacement() {
    each(async |case, id| {
        let (core, full) = prepared(case).await;
        let held = core.create(case.type_name, &full).await;
        let body = core.azure_object(id);
        let mut paths = vec!["/location".to_owned(), "/properties".to_owned(), "/tags".to_owned()];
        members(&body["properties"], "/properties", &mut paths);
        for path in paths.iter().filter(|path| body.pointer(path).is_some()) {
            respond_to_get(&core, id, &without(&body, path));
            // terms without an accepted flag are not an agreement
            if case.name == "agreement" {
                continue;
            }
            let read = reread(&core, case, &held, path).await;
            let plan = core.plan(case.type_name, Some(&read), &full).await;
            assert!(
                matches!(plan.action, Action::NoOp | Action::Update),
                "{} without {path}: {:?} because of {:?}",
                case.name,
                plan.action,
                plan.replace
            );
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_response_without_the_object_is_an_error_and_keeps_the_state() {
    each(async |case, id| {
        let (core, full) = prepared(case).await;
        let held = core.create(case.type_name, &full).await;
        let other = rg("galleries/other/images/other");
        for body in [
            json!({}),
            json!({"error": {"code": "Maintenance", "message": "later"}}),
            json!({"message": "maintenance"}),
            json!({"value": []}),
            json!([]),
            json!({"id": other, "name": "other", "location": "westus", "properties": {"osType": "Windows"}}),
        ] {
            respond_to_get(&core, id, &body);
            let read = core.refresh(&held).await;
            assert!(read.is_err(), "{} after {body}: {read:?}", case.name);
        }
        core.clear_faults();
        let read = reread(&core, case, &held, "healed").await;
        assert_eq!(core.plan(case.type_name, Some(&read), &full).await.action, Action::NoOp);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_source_does_not_replace_the_version() {
    let core = with_sources(json!({})).await;
    let image = json!({"name": "mine", "resource_group_name": "rg", "location": "eastus",
        "os_disk": {"os_type": "Linux", "os_state": "Generalized", "managed_disk_id": rg("disks/os")},
        "hyper_v_generation": "V2"});
    let of_image = version(json!({"version": "4.0.0", "source": {"managed_image_id": rg("images/mine")}}));
    let source = core.create(IMAGE, &image).await;
    let held = core.create(VERSION, &of_image).await;
    let (status, _) = core.azure("DELETE", &rg("images/mine"), Json::Null);
    assert!(status < 300);
    core.begin_graph_walk();
    assert!(core.refresh(&source).await.unwrap().is_none());
    let read = core.refresh(&held).await.unwrap().unwrap();
    let again = core.try_plan_in_graph_walk(IMAGE, None, &core.config(IMAGE, &image)).await.unwrap();
    assert_eq!(
        (again.action, again.state.get("id").as_str()),
        (Action::Create, Some(rg("images/mine").as_str()))
    );
    let plan =
        core.try_plan_in_graph_walk(VERSION, Some(&read), &core.config(VERSION, &of_image)).await.unwrap();
    assert_eq!(plan.action, Action::NoOp);
}
