//! Image versions: changing regions, waiting, retention, and errors before a long creation starts.

use super::galleries::DEFINITION;
use crate::cases::{self, rg};
use crate::core::{Action, Core, Json, UNKNOWN, changed, json, patched};
use crate::interrupts::interrupted;
use std::time::Duration;

pub const VERSION: &str = "azimage_image_version";

pub async fn with_sources(provider: Json) -> Core {
    let core = Core::with(provider).await;
    cases::with_sources(&core);
    core
}

pub fn version(patch: Json) -> Json {
    patched(&cases::image_version().small, &patch)
}

fn regions(names: &[&str]) -> Json {
    json!(names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>())
}

#[tokio::test(start_paused = true)]
async fn region_is_removed_only_with_permission() {
    let core = with_sources(json!({})).await;
    let held = core.create(VERSION, &version(json!({}))).await;
    let one = json!({"target_region": regions(&["East US"])});
    let diagnostics = core.plan_refused(VERSION, Some(&held), &version(one.clone())).await;
    diagnostics.assert_error(&["removes the region westeurope", "allow_deletion_of_replicated_locations"]);
    assert_eq!(diagnostics.error_paths(), ["target_region"]);
    // permission and removal in one apply, in the right order
    let both = patched(&version(one.clone()), &json!({"allow_deletion_of_replicated_locations": true}));
    let held = core.change(&held, &both, Action::Update).await;
    assert_eq!(held.get("target_region").elements().len(), 1);
    let held = core.change(&held, &version(one), Action::Update).await;
    // and back
    core.change(&held, &version(json!({})), Action::Update).await;
}

// Without target regions the version stays in its own region only.
#[tokio::test(start_paused = true)]
async fn version_without_target_regions_keeps_its_own_region() {
    let core = with_sources(json!({})).await;
    let held = core.create(VERSION, &version(json!({}))).await;
    let none = json!({"target_region": []});
    let diagnostics = core.plan_refused(VERSION, Some(&held), &version(none.clone())).await;
    diagnostics.assert_error(&["removes the region westeurope\n"]);
    let allowed = patched(&version(none.clone()), &json!({"allow_deletion_of_replicated_locations": true}));
    let held = core.change(&held, &allowed, Action::Update).await;
    let azure = core.azure_object(held.text("id"));
    assert_eq!(azure["properties"]["publishingProfile"]["targetRegions"].as_array().unwrap().len(), 1);
    // configuring the version's own region is equivalent
    let named = patched(&allowed, &json!({"target_region": regions(&["eastus"])}));
    let held = core.change(&held, &named, Action::NoOp).await;
    core.change(
        &held,
        &version(json!({"target_region": [], "allow_deletion_of_replicated_locations": false})),
        Action::Update,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn immutable_region_settings_force_replacement_and_name_the_region() {
    let core = with_sources(json!({})).await;
    let held = core.create(VERSION, &version(json!({}))).await;
    let stored = version(json!({"target_region": [
        {"name": "East US"}, {"name": "westeurope", "regional_replica_count": 2, "storage_account_type": "Premium_LRS"},
    ]}));
    let plan = core.plan(VERSION, Some(&held), &stored).await;
    assert_eq!((plan.action, plan.replace.clone()), (Action::Replace, vec!["target_region".to_owned()]));
    plan.diagnostics.assert_warning(&["replaced", "storage_account_type of westeurope"]);
    let held = core.change(&held, &stored, Action::Replace).await;
    let keyed = |name: &str| {
        let encryption = json!({"os_disk_encryption_set_id": rg(&format!("diskEncryptionSets/{name}"))});
        version(json!({"version": "1.0.2", "target_region": [{"name": "East US", "encryption": encryption}]}))
    };
    let plan = core
        .plan(
            VERSION,
            Some(&held),
            &patched(
                &keyed("des"),
                &json!({"version": "1.0.0", "allow_deletion_of_replicated_locations": true}),
            ),
        )
        .await;
    assert_eq!(plan.action, Action::Replace);
    plan.diagnostics.assert_warning(&["encryption of East US"]);
    let held = core.create(VERSION, &keyed("des")).await;
    let other_case = rg("diskEncryptionSets/DES");
    let same = patched(
        &keyed("des"),
        &json!({"target_region": [{"name": "eastus", "encryption": {"os_disk_encryption_set_id": other_case}}]}),
    );
    assert_eq!(core.plan(VERSION, Some(&held), &same).await.action, Action::NoOp);
    let plan = core.plan(VERSION, Some(&held), &keyed("des2")).await;
    assert_eq!(plan.action, Action::Replace);
}

#[tokio::test(start_paused = true)]
async fn encryption_sets_of_other_regions_are_errors_at_plan() {
    let core = with_sources(json!({})).await;
    // the set is in eastus
    let encryption = json!({"os_disk_encryption_set_id": rg("diskEncryptionSets/des")});
    let keyed = |names: &[&str]| {
        let regions = names.iter().map(|name| json!({"name": name, "encryption": encryption}));
        version(json!({"target_region": regions.collect::<Vec<_>>()}))
    };
    let both = keyed(&["eastus", "westeurope"]);
    let wrong = ["disk encryption set of westeurope is in eastus"];
    core.plan_refused(VERSION, None, &both).await.assert_error(&wrong);
    let held = core.create(VERSION, &keyed(&["eastus"])).await;
    core.plan_refused(VERSION, Some(&held), &both).await.assert_error(&wrong);
}

// The service has no ETags: an update must not remove regions that other clients added.
#[tokio::test(start_paused = true)]
async fn update_keeps_properties_outside_the_schema() {
    let core = with_sources(json!({})).await;
    let held = core.create(VERSION, &version(json!({}))).await;
    core.tamper(held.text("id"), json!({"tags": {"by": "hand"}}));
    let read = core.refresh(&held).await.unwrap().unwrap();
    assert_eq!(changed(&held.state, &read.state), ["tags", "tags_all"]);
    core.change(&read, &version(json!({})), Action::Update).await;
    assert_eq!(core.azure_object(held.text("id"))["tags"], json!({}));
}

#[tokio::test(start_paused = true)]
async fn retained_version_outlives_its_resource() {
    let core = with_sources(json!({})).await;
    let retain = version(json!({"deletion_policy": "retain"}));
    let held = core.create(VERSION, &retain).await;
    let id = held.text("id").to_owned();
    // replaced under another number: the old version stays for a rollback
    let next = core.change(&held, &patched(&retain, &json!({"version": "1.1.0"})), Action::Replace).await;
    assert!(core.exists(&id) && core.exists(next.text("id")));
    assert!(core.destroy(&next).await.held.is_none());
    assert!(core.exists(next.text("id")));
    let definition = core.import(DEFINITION, &rg("galleries/gal/images/def"), None).await.unwrap();
    core.destroy(&definition).await.diagnostics.assert_error(&[
        "2 image versions",
        "retain",
        &id,
        next.text("id"),
    ]);
    // an import brings it back so that it can be deleted
    let held = core.import(VERSION, &id, None).await.unwrap();
    assert_eq!(held.text("deletion_policy"), "delete");
    assert!(core.destroy(&held).await.held.is_none());
    assert!(!core.exists(&id));
}

// Destroying the old version uses the policy that was last applied.
#[tokio::test(start_paused = true)]
async fn deletion_policy_must_be_applied_before_the_replacement() {
    let core = with_sources(json!({})).await;
    let held = core.create(VERSION, &version(json!({}))).await;
    let id = held.text("id").to_owned();
    let retain = version(json!({"deletion_policy": "retain"}));
    let next = patched(&retain, &json!({"version": "1.1.0"}));
    let diagnostics = core.plan_refused(VERSION, Some(&held), &next).await;
    diagnostics.assert_error(&["would be deleted, not retained", "because of version", "alone first"]);
    assert_eq!(diagnostics.error_paths(), ["deletion_policy"]);
    let held = core.change(&held, &retain, Action::Update).await;
    // the number of a retained version is reserved
    let again =
        patched(&retain, &json!({"replication_mode": "Shallow", "target_region": [{"name": "eastus"}]}));
    let diagnostics = core.plan_refused(VERSION, Some(&held), &again).await;
    diagnostics.assert_error(&["is retained, so its number stays taken", "replication_mode"]);
    assert_eq!(diagnostics.error_paths(), ["version"]);
    core.change(&held, &next, Action::Replace).await;
    assert!(core.exists(&id));
}

// The definition's location does not apply while the version's location is unknown.
#[tokio::test(start_paused = true)]
async fn unknown_location_is_checked_at_apply() {
    let core = with_sources(json!({})).await;
    let base = version(
        json!({"target_region": regions(&["westus"]), "source": {"managed_image_id": rg("images/img")}}),
    );
    let open = core.config(VERSION, &patched(&base, &json!({"location": UNKNOWN})));
    let plan = core.try_plan(VERSION, None, &open).await.unwrap();
    let known = core.config(VERSION, &patched(&base, &json!({"location": "eastus"})));
    core.apply_as(&plan, &known).await.diagnostics.assert_error(&["own region \"eastus\" is missing"]);
    let known = core.config(VERSION, &patched(&base, &json!({"location": "westus"})));
    core.apply_as(&plan, &known).await.diagnostics.assert_error(&["not in the version's region"]);
}

#[tokio::test(start_paused = true)]
async fn deleting_a_protected_version_names_the_protection() {
    let core = with_sources(json!({})).await;
    let protected = version(
        json!({"block_deletion_before_end_of_life": true, "end_of_life_date": "2031-01-01T00:00:00Z"}),
    );
    let held = core.create(VERSION, &protected).await;
    let applied = core.destroy(&held).await;
    applied.diagnostics.assert_error(&["block_deletion_before_end_of_life = false", held.text("id")]);
    let held = core.change(&held, &version(json!({})), Action::Update).await;
    assert!(core.destroy(&held).await.held.is_none());
}

// How long apply waits, and what later plans report.
#[tokio::test(start_paused = true)]
async fn version_without_waiting_shows_its_progress() {
    let core = with_sources(json!({})).await;
    core.slow_operations();
    let none = version(json!({"wait_for_replication": "none"}));
    let plan = core.plan(VERSION, None, &none).await;
    let applied = core.apply(&plan).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    let held = applied.held.unwrap();
    assert!(!held.tainted);
    // without waiting there is nothing to do
    let read = core.refresh(&held).await.unwrap().unwrap();
    assert_eq!(core.plan(VERSION, Some(&read), &none).await.action, Action::NoOp);
    // when waiting for all regions, the next plan shows the progress and the next apply waits
    let all = version(json!({}));
    let plan = core.plan(VERSION, Some(&read), &all).await;
    assert_eq!(plan.action, Action::Update);
    plan.diagnostics.assert_warning(&["not replicated everywhere yet", "westeurope Replicating"]);
    let advance = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        core.control("POST", "clock/advance", json!({"seconds": 1e8}));
    };
    let (applied, ()) = tokio::join!(core.apply(&plan), advance);
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    let held = core.assert_no_changes(&applied.held.unwrap(), &all).await;
    assert_eq!(
        held.get("replication_state")
            .entries()
            .filter(|(_, state)| state.as_str() == Some("Completed"))
            .count(),
        2
    );
    // azimage_image_replication sees the same result
    let waiting = json!({"image_version_id": held.text("id"), "regions": ["West Europe"]});
    core.create("azimage_image_replication", &waiting).await;
}

// A failed region causes a warning, the version stays, and the next apply removes and re-adds the region.
#[tokio::test(start_paused = true)]
async fn next_apply_repairs_a_failed_region() {
    let core = with_sources(json!({})).await;
    core.fault(json!({"method": "PUT", "path": "/versions/1\\.0\\.0$", "fail_region": "westeurope"}));
    let config = version(json!({}));
    let plan = core.plan(VERSION, None, &config).await;
    let applied = core.apply(&plan).await;
    applied.diagnostics.assert_warning(&["westeurope"]);
    let held = applied.held.unwrap();
    assert!(!held.tainted);
    let read = core.refresh(&held).await.unwrap().unwrap();
    let plan = core.plan(VERSION, Some(&read), &config).await;
    assert_eq!(plan.action, Action::Update);
    plan.diagnostics.assert_warning(&["failed in a region", "westeurope Failed"]);
    let applied = core.apply(&plan).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    let held = core.assert_no_changes(&applied.held.unwrap(), &config).await;
    assert_eq!(held.get("replication_state").entries().count(), 2);
    assert!(held.get("replication_state").entries().all(|(_, state)| state.as_str() == Some("Completed")));
    // during an update it is an error, with the version kept
    core.fault(json!({"method": "PUT", "path": "/versions/1\\.0\\.0$", "fail_region": "northeurope"}));
    let three = version(
        json!({"target_region": [{"name": "East US"}, {"name": "westeurope", "regional_replica_count": 2}, {"name": "northeurope"}]}),
    );
    let plan = core.plan(VERSION, Some(&held), &three).await;
    let applied = core.apply(&plan).await;
    applied.diagnostics.assert_error(&["northeurope"]);
    let read = core.refresh(&applied.held.unwrap()).await.unwrap().unwrap();
    assert!(!read.tainted);
    core.change(&read, &three, Action::Update).await;
}

// The service drops an end-of-life date that is removed explicitly.
#[tokio::test(start_paused = true)]
async fn removing_the_end_of_life_date_removes_it_in_azure() {
    let core = with_sources(json!({})).await;
    let date = json!({"end_of_life_date": "2031-01-01T00:00:00Z"});
    let held = core.create(VERSION, &version(date.clone())).await;
    core.change(&held, &version(json!({})), Action::Update).await;
    assert!(
        core.azure_object(held.text("id"))["properties"]["publishingProfile"].get("endOfLifeDate").is_none()
    );
    let base =
        patched(&cases::image_definition().small, &json!({"name": "dated", "identifier": {"sku": "dated"}}));
    let held = core.create(DEFINITION, &patched(&base, &date)).await;
    core.change(&held, &base, Action::Update).await;
    assert!(core.azure_object(held.text("id"))["properties"].get("endOfLifeDate").is_none());
}

#[tokio::test(start_paused = true)]
async fn guardrail_errors_name_rule_attribute_and_fix() {
    let rows: Vec<(Json, Json, &[&str], &str)> = vec![
        (
            json!({"minimum_replicas": 2}),
            json!({}),
            &["minimum_replicas", "East US", "regional_replica_count = 2"],
            "target_region",
        ),
        (
            json!({"required_regions": ["uksouth"]}),
            json!({}),
            &["required_regions", "uksouth"],
            "target_region",
        ),
        (json!({"required_tags": ["approved-by"]}), json!({}), &["required_tags", "approved-by"], "tags"),
        (
            json!({"versions_must_increase": true}),
            json!({"image_definition_id": rg("galleries/gal/images/def2"), "version": "0.0.0"}),
            &["versions_must_increase", "0.0.1"],
            "version",
        ),
        (
            json!({"maximum_versions_per_definition": 1}),
            json!({"image_definition_id": rg("galleries/gal/images/def2")}),
            &["maximum_versions_per_definition", "0.0.1"],
            "version",
        ),
    ];
    for (rule, patch, says, path) in rows {
        let core = with_sources(json!({"guardrails": rule})).await;
        let diagnostics = core.plan_refused(VERSION, None, &version(patch.clone())).await;
        diagnostics.assert_error(says);
        assert_eq!(diagnostics.error_paths(), [path]);
        // as a warning the same rule does not block
        let core = core.new_run(json!({"guardrails": patched(&rule, &json!({"mode": "warn"}))})).await;
        let plan = core.plan(VERSION, None, &version(patch)).await;
        plan.diagnostics.assert_warning(says);
    }
    // a compliant version is accepted, twice, because core plans again at apply
    let rules = json!({"guardrails": {
        "minimum_replicas": 2, "required_regions": ["East US"], "required_tags": ["team"], "versions_must_increase": true,
        "maximum_versions_per_definition": 2,
    }, "default_tags": {"team": "x"}});
    let core = with_sources(rules).await;
    let fine = json!({"target_region": [{"name": "eastus", "regional_replica_count": 2}]});
    let held = core.create(VERSION, &version(fine.clone())).await;
    let second = core.create(VERSION, &patched(&version(fine.clone()), &json!({"version": "1.0.1"}))).await;
    core.plan_refused(VERSION, None, &patched(&version(fine), &json!({"version": "1.0.2"}))).await;
    for held in [held, second] {
        assert!(core.destroy(&held).await.held.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn incompatible_source_is_rejected_at_plan() {
    let core = with_sources(json!({})).await;
    let windows = patched(&cases::definition("win"), &json!({"properties": {"osType": "Windows"}}));
    cases::put(&core, &rg("galleries/gal/images/win"), windows);
    let rows: Vec<(Json, &[&str], &str)> = vec![
        (
            json!({"image_definition_id": rg("galleries/gal/images/win")}),
            &["operating system", "Linux", "Windows"],
            "source.managed_image_id",
        ),
        (
            json!({"source": {"managed_image_id": rg("images/west")}}),
            &["not in the version's region", "westeurope"],
            "source.managed_image_id",
        ),
        (json!({"target_region": regions(&["westeurope"])}), &["own region", "eastus"], "target_region"),
        (
            json!({"target_region": regions(&["eastus", "westeurpe"])}),
            &["no region", "westeurope"],
            "target_region",
        ),
    ];
    for (patch, says, path) in rows {
        let diagnostics = core.plan_refused(VERSION, None, &version(patch)).await;
        diagnostics.assert_error(says);
        assert!(diagnostics.error_paths().contains(&path.to_owned()), "{:?}", diagnostics.error_paths());
    }
    // a missing source is also rejected when the version is replaced: nothing is destroyed for it
    let later = json!({"source": {"managed_image_id": rg("images/later")}});
    let held = core.create(VERSION, &version(json!({}))).await;
    for held in [None, Some(&held)] {
        let diagnostics = core.plan_refused(VERSION, held, &version(later.clone())).await;
        diagnostics.assert_error(&["\"later\" does not exist", "ignore_changes"]);
        assert_eq!(diagnostics.error_paths(), ["source.managed_image_id"]);
    }
    let latest = rg("galleries/gal/images/def2/versions/latest");
    let diagnostics =
        core.plan_refused(VERSION, None, &version(json!({"source": {"image_version_id": latest}}))).await;
    diagnostics.assert_error(&["\"latest\" is not a version number", "data \"azimage_image_version\""]);
}

fn keep_deleted_versions(core: &Core) {
    core.tamper(
        &rg("galleries/gal"),
        json!({"properties": {"softDeletePolicy": {"isSoftDeleteEnabled": true}}}),
    );
}

fn recycle_bin(core: &Core) -> usize {
    core.azure_object(&rg("galleries/gal/softDeletedArtifactTypes/Images/artifacts/def/versions"))["value"]
        .as_array()
        .unwrap()
        .len()
}

#[tokio::test(start_paused = true)]
async fn soft_deleted_version_number_requires_a_decision() {
    let core = with_sources(json!({})).await;
    keep_deleted_versions(&core);
    let held = core.create(VERSION, &version(json!({}))).await;
    let id = held.text("id").to_owned();
    assert!(core.destroy(&held).await.held.is_none());
    assert_eq!(recycle_bin(&core), 1);
    let next = core.new_run(json!({})).await;
    let plan = next.plan(VERSION, None, &version(json!({}))).await;
    let applied = next.apply(&plan).await;
    applied.diagnostics.assert_error(&[
        "recycle bin",
        &id,
        "restore_soft_deleted = true",
        "bypassSoftDelete",
    ]);
    assert_eq!(applied.diagnostics.error_paths(), ["version"]);
    assert!(applied.held.is_none());
    next.create(VERSION, &version(json!({"version": "1.0.1"}))).await;
    // restored, with the currently configured tags
    let restored = next
        .create(VERSION, &version(json!({"restore_soft_deleted": true, "tags": {"restored": "yes"}})))
        .await;
    assert_eq!((restored.text("id"), recycle_bin(&core)), (id.as_str(), 0));
    assert_eq!(core.azure_object(&id)["tags"], json!({"restored": "yes"}));
    // and purged
    let purge = version(
        json!({"deletion_policy": "purge", "tags": {"restored": "yes"}, "restore_soft_deleted": true}),
    );
    let restored = next.change(&restored, &purge, Action::Update).await;
    assert!(next.destroy(&restored).await.held.is_none());
    assert_eq!(recycle_bin(&core), 0);
}

#[tokio::test(start_paused = true)]
async fn replacement_with_the_same_number_gets_new_content_despite_soft_delete() {
    let core = with_sources(json!({})).await;
    keep_deleted_versions(&core);
    let held = core.create(VERSION, &version(json!({}))).await;
    let other = version(json!({"source": {"managed_image_id": rg("images/img2")}}));
    let held = core.change(&held, &other, Action::Replace).await;
    let azure = core.azure_object(held.text("id"));
    assert_eq!(azure["properties"]["storageProfile"]["source"]["id"], rg("images/img2"));
    assert_eq!(recycle_bin(&core), 0, "the replaced version is purged");
}

// Soft delete also retains failed versions.
#[tokio::test(start_paused = true)]
async fn failed_version_without_content_is_purged() {
    let core = with_sources(json!({})).await;
    keep_deleted_versions(&core);
    let config = version(json!({"target_region": [{"name": "East US"}]}));
    core.fault(json!({"method": "PUT", "path": "/versions/1\\.0\\.0$", "fail_region": "eastus"}));
    let plan = core.plan(VERSION, None, &config).await;
    let held = core.apply(&plan).await.held.unwrap();
    assert!(held.tainted);
    assert!(core.destroy(&held).await.held.is_none());
    assert!(!core.exists(held.text("id")));
}

#[tokio::test(start_paused = true)]
async fn version_that_never_succeeded_is_not_retained() {
    let core = with_sources(json!({})).await;
    let config = version(json!({"deletion_policy": "retain", "target_region": [{"name": "East US"}]}));
    core.fault(json!({"method": "PUT", "path": "/versions/1\\.0\\.0$", "fail_region": "eastus"}));
    let plan = core.plan(VERSION, None, &config).await;
    let applied = core.apply(&plan).await;
    let held = applied.held.unwrap();
    assert!(held.tainted, "{:?}", applied.diagnostics);
    let held = core.change(&held, &config, Action::Replace).await;
    assert_eq!(held.text("provisioning_state"), "Succeeded");
}

// -replace, taint and replace_triggered_by force a replacement without a changed attribute.
#[tokio::test(start_paused = true)]
async fn replacing_an_unchanged_retained_version_adopts_it_again() {
    let core = with_sources(json!({})).await;
    let config = version(json!({"deletion_policy": "retain"}));
    let mut held = core.create(VERSION, &config).await;
    let published = held.text("published_date").to_owned();
    held.tainted = true;
    let tagged = patched(&config, &json!({"tags": {"a": "b"}}));
    let held = core.change(&held, &tagged, Action::Replace).await;
    assert_eq!(held.text("published_date"), published, "it is the same version");
    assert_eq!(core.azure_object(held.text("id"))["tags"], json!({"a": "b"}));
}

// A finished version is final, regardless of later responses of its operation URL.
#[tokio::test(start_paused = true)]
async fn update_ignores_a_dead_operation_url() {
    let dead = [
        json!({"status": 410, "code": "Gone", "message": "?"}),
        json!({"status": 400, "code": "InvalidParameter", "message": "?"}),
        json!({"status": 403, "code": "AuthorizationFailed", "message": "?"}),
        json!({"status": 200, "body": "<html>sign in</html>"}),
    ];
    for wait in ["none", "home"] {
        for answer in &dead {
            let core = with_sources(json!({})).await;
            core.slow_operations();
            let config = version(json!({"wait_for_replication": wait}));
            let plan = core.plan(VERSION, None, &config).await;
            let advance = async {
                tokio::time::sleep(Duration::from_secs(60)).await;
                core.control("POST", "clock/advance", json!({"seconds": 1e8}));
            };
            let (applied, ()) = tokio::join!(core.apply(&plan), advance);
            core.control("PUT", "settings", json!({"time_scale": 0}));
            core.fault(patched(answer, &json!({"method": "GET", "path": "perations/", "count": 0})));
            let next = core.new_run(json!({})).await;
            let tagged = patched(&config, &json!({"tags": {"a": "b"}}));
            let plan = next.plan(VERSION, applied.held.as_ref(), &tagged).await;
            let applied = next.apply(&plan).await;
            assert!(!applied.diagnostics.has_errors(), "{wait} {answer}: {:?}", applied.diagnostics);
            assert_eq!(core.azure_object(applied.held.unwrap().text("id"))["tags"], json!({"a": "b"}));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn update_honours_wait_for_replication() {
    let core = with_sources(json!({})).await;
    let none = json!({"wait_for_replication": "none"});
    let held = core.create(VERSION, &version(none.clone())).await;
    core.slow_operations();
    let more = json!({"target_region": [
        {"name": "East US"}, {"name": "westeurope", "regional_replica_count": 2}, {"name": "northeurope"},
    ]});
    let plan = core.plan(VERSION, Some(&held), &patched(&version(none), &more)).await;
    let begun = tokio::time::Instant::now();
    let applied = core.apply(&plan).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_update_that_keeps_the_regions_plans_no_new_replication() {
    let core = with_sources(json!({})).await;
    let held = core.create(VERSION, &version(json!({}))).await;
    const VOLATILE: [&str; 3] = ["provisioning_state", "replication_state", "replication_progress"];
    let tagged = version(json!({"tags": {"a": "b"}, "exclude_from_latest": true}));
    let plan = core.plan(VERSION, Some(&held), &tagged).await;
    for name in VOLATILE {
        assert_eq!(plan.state.get(name), held.get(name), "{name}");
    }
    // an interrupted update keeps the promise, and the next refresh shows what is unfinished
    core.control("PUT", "settings", json!({"time_scale": 0.0001}));
    let (applied, reached) = interrupted(&core, 2, core.apply(&plan)).await;
    assert!(reached);
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    let unfinished = core.refresh(&applied.held.unwrap()).await.unwrap().unwrap();
    assert_eq!(unfinished.text("provisioning_state"), "Updating");
    core.control("PUT", "settings", json!({"time_scale": 0}));
    core.control("POST", "clock/advance", json!({"seconds": 1_000_000_000}));
    let held = core.refresh(&unfinished).await.unwrap().unwrap();
    core.assert_no_changes(&held, &tagged).await;
    // these may change the replication
    for patch in [
        json!({"target_region": [
            {"name": "East US"}, {"name": "westeurope", "regional_replica_count": 2}, {"name": "northeurope"},
        ]}),
        json!({"wait_for_replication": "none", "tags": {"a": "c"}}),
    ] {
        let plan = core.plan(VERSION, Some(&held), &patched(&tagged, &patch)).await;
        for name in VOLATILE {
            assert!(plan.state.get(name).is_unknown(), "{name} {patch}");
        }
    }
}

// A creation by another run is joined only if both configurations are equal, and always with a warning.
#[tokio::test(start_paused = true)]
async fn running_creation_is_joined_only_if_identical() {
    let core = with_sources(json!({})).await;
    core.slow_operations();
    let none = version(json!({"wait_for_replication": "none", "tags": {"run": "a"}}));
    let plan = core.plan(VERSION, None, &none).await;
    assert!(!core.apply(&plan).await.diagnostics.has_errors());
    let other = core.new_run(json!({})).await;
    for patch in [
        json!({"tags": {"run": "b"}}),
        json!({"tags": null}),
        json!({"exclude_from_latest": true}),
        json!({"target_region": [{"name": "East US"}]}),
        json!({"end_of_life_date": "2031-01-01T00:00:00Z"}),
    ] {
        let plan = other.plan(VERSION, None, &patched(&none, &patch)).await;
        let applied = other.apply(&plan).await;
        assert!(applied.held.is_none(), "{patch}: {:?}", applied.diagnostics);
        applied.diagnostics.assert_error(&["already exists"]);
    }
    let plan = other.plan(VERSION, None, &none).await;
    let applied = other.apply(&plan).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    applied.diagnostics.assert_warning(&["was already being created"]);
}

// The service may return regions in another order and spelling each time.
#[tokio::test(start_paused = true)]
async fn order_of_regions_is_not_drift() {
    let core = with_sources(json!({})).await;
    let held = core.create(VERSION, &version(json!({}))).await;
    let mut regions =
        core.azure_object(held.text("id"))["properties"]["publishingProfile"]["targetRegions"].clone();
    regions.as_array_mut().unwrap().reverse();
    core.tamper(held.text("id"), json!({"properties": {"publishingProfile": {"targetRegions": regions}}}));
    let returned =
        core.azure_object(held.text("id"))["properties"]["publishingProfile"]["targetRegions"].clone();
    assert_eq!(returned, regions, "the order has changed");
    core.assert_no_changes(&held, &version(json!({}))).await;
}

// An update waits for an earlier run's update and builds on its result.
#[tokio::test(start_paused = true)]
async fn update_waits_for_and_builds_on_a_running_update() {
    let core = with_sources(json!({})).await;
    let held = core.create(VERSION, &version(json!({}))).await;
    let three = json!({"target_region": [
        {"name": "East US"}, {"name": "westeurope", "regional_replica_count": 2}, {"name": "northeurope"},
    ]});
    let short = patched(&version(three.clone()), &json!({"timeouts": {"update": "1s"}}));
    core.slow_operations();
    let plan = core.plan(VERSION, Some(&held), &short).await;
    let applied = core.apply(&plan).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    applied.diagnostics.assert_warning(&["not finished yet"]);
    let held = applied.held.unwrap();
    // the next run makes another change: while the first update is running, it times out with an error and keeps the
    // prior state
    let more = patched(&short, &json!({"tags": {"a": "b"}}));
    let read = core.refresh(&held).await.unwrap().unwrap();
    let plan = core.plan(VERSION, Some(&read), &more).await;
    let applied = core.apply(&plan).await;
    applied.diagnostics.assert_error(&[held.text("id")]);
    assert!(applied.held.as_ref().unwrap().get("tags").is_empty());
    core.finish_operations();
    core.change(&applied.held.unwrap(), &more, Action::Update).await;
}

/// The provider rejects a source of the other generation where it can detect it; otherwise the service accepts it and the
/// operation fails.
#[tokio::test(start_paused = true)]
async fn generation_mismatch_fails_the_operation_and_taints_the_version() {
    let core = with_sources(json!({})).await;
    let message = "The resource with id 'x' has a different Hypervisor generation ['V2'] than the parent gallery image Hypervisor generation ['V1'].";
    let failure = json!({"code": "Conflict", "message": message});
    core.fault(json!({"method": "PUT", "path": "/versions/1\\.0\\.0$", "fail_operation": failure, "fail_region": "eastus"}));
    let plan = core.plan(VERSION, None, &version(json!({}))).await;
    let applied = core.apply(&plan).await;
    applied.diagnostics.assert_error(&["Conflict", message]);
    let held = applied.held.unwrap();
    assert!(held.tainted);
    assert_eq!(core.azure_object(held.text("id"))["properties"]["provisioningState"], "Failed");
}
