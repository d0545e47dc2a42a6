//! Changes that a configuration makes to what exists, one story each: sharing, regions, default tags, retention, parents.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/cases.rs"]
mod cases;
#[path = "support/core.rs"]
mod core;

use crate::core::{Action, Core, Held, Json, SUBSCRIPTION, changed, json, patched};
use azimage::schema::Value;
use cases::{GUID_A, GUID_B, GUID_C, rg};
use std::time::Duration;

const GALLERY: &str = "azimage_gallery";
const DEFINITION: &str = "azimage_image_definition";
const VERSION: &str = "azimage_image_version";

fn gallery(patch: Json) -> Json {
    patched(&cases::gallery().small, &patch)
}

fn groups(subscriptions: &[&str], tenants: &[&str]) -> Json {
    gallery(json!({"sharing": {"permission": "Groups", "subscription_ids": subscriptions, "tenant_ids": tenants}}))
}

async fn with_sources(provider: Json) -> Core {
    let core = Core::with(provider).await;
    cases::with_sources(&core);
    core
}

fn version(patch: Json) -> Json {
    patched(&cases::image_version().small, &patch)
}

fn regions(names: &[&str]) -> Json {
    json!(names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>())
}

fn shared_with(core: &Core) -> Json {
    let (_, body) = core.azure("GET", &format!("{}?$select=Permissions", rg("galleries/gal")), Json::Null);
    body["properties"]["sharingProfile"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_gallery_is_shared_with_more_and_fewer_in_place() {
    let core = Core::new().await;
    let held = core.create(GALLERY, &groups(&[GUID_A, GUID_B], &[GUID_C])).await;
    // order and case say nothing
    for same in [groups(&[GUID_B, GUID_A], &[GUID_C]), groups(&[&GUID_A.to_uppercase(), GUID_B], &[GUID_C])] {
        assert_eq!(core.plan(GALLERY, Some(&held), &same).await.action, Action::NoOp);
    }
    let held = core.change(&held, &groups(&[GUID_C, GUID_A], &[GUID_C]), Action::Update).await;
    let none: &[&str] = &[];
    let held = core.change(&held, &gallery(json!({"sharing": {"permission": "Groups", "subscription_ids": [GUID_C]}})), Action::Update).await;
    assert_eq!(shared_with(&core)["groups"], json!([{"type": "Subscriptions", "ids": [GUID_C]}]));
    let held = core.change(&held, &groups(&[GUID_A], none), Action::Update).await;
    // somebody else shares it with one more
    let body = json!({"operationType": "Add", "groups": [{"type": "AADTenants", "ids": [GUID_B]}]});
    assert!(core.azure("POST", &format!("{}/share", rg("galleries/gal")), body).0 < 300);
    let read = core.refresh(&held).await.unwrap().unwrap();
    assert_eq!(changed(&held.state, &read.state), ["sharing"]);
    let held = core.change(&read, &groups(&[GUID_A], none), Action::Update).await;
    assert_eq!(shared_with(&core)["groups"], json!([{"type": "Subscriptions", "ids": [GUID_A]}]));
    // nobody any more, by word or by silence
    let private = gallery(json!({"sharing": {"permission": "Private"}}));
    let held = core.change(&held, &private, Action::Update).await;
    assert_eq!(shared_with(&core)["permissions"], "Private");
    core.change(&held, &gallery(json!({})), Action::Update).await;
}

#[tokio::test(start_paused = true)]
async fn sharing_that_is_taken_out_of_the_configuration_is_taken_back() {
    let core = Core::new().await;
    let held = core.create(GALLERY, &groups(&[GUID_A], &[GUID_C])).await;
    core.change(&held, &gallery(json!({})), Action::Update).await;
    assert_eq!(shared_with(&core)["permissions"], "Private");
}

// The service gives a permission at creation only: that is told, nothing is replaced and nothing lost.
#[tokio::test(start_paused = true)]
async fn a_permission_that_the_service_refuses_is_told_and_changes_nothing() {
    let core = Core::new().await;
    let held = core.create(GALLERY, &gallery(json!({"description": "old"}))).await;
    let community = json!({"sharing": {"permission": "Community", "community": {
        "publisher_uri": "https://img.example", "publisher_email": "img@example.com", "eula": "https://img.example/eula",
        "public_name_prefix": "goldimg",
    }}});
    for wanted in [groups(&[GUID_A], &[GUID_C]), gallery(community), gallery(json!({"sharing": {"permission": "Groups"}}))] {
        let plan = core.plan(GALLERY, Some(&held), &wanted).await;
        assert_eq!(plan.action, Action::Update, "never a replacement");
        let applied = core.apply(&plan).await;
        applied.told.assert_error(&["during creation", &rg("galleries/gal")]);
        assert_eq!(applied.told.error_paths(), ["sharing"]);
        let kept = core.refresh(&applied.held.unwrap()).await.unwrap().unwrap();
        assert!(kept.get("sharing").is_null());
    }
}

#[tokio::test(start_paused = true)]
async fn a_community_gallery_has_a_public_name_and_becomes_private_again() {
    let core = Core::new().await;
    let community = |uri: &str| {
        gallery(json!({"sharing": {"permission": "Community", "community": {
            "publisher_uri": uri, "publisher_email": "img@example.com", "eula": "https://img.example/eula",
            "public_name_prefix": "goldimg",
        }}}))
    };
    let held = core.create(GALLERY, &community("https://img.example")).await;
    let name = held.get("sharing").get("community").get("public_name").as_str().unwrap().to_owned();
    assert!(name.starts_with("goldimg-"));
    let info = &core.look(&rg("galleries/gal"))["properties"]["sharingProfile"]["communityGalleryInfo"];
    assert_eq!(info["communityGalleryEnabled"], true);
    let held = core.change(&held, &community("https://other.example"), Action::Update).await;
    assert_eq!(held.get("sharing").get("community").get("public_name").as_str(), Some(name.as_str()));
    let held = core.change(&held, &gallery(json!({"sharing": {"permission": "Private"}})), Action::Update).await;
    assert!(core.destroy(&held).await.held.is_none());
    // a shared one goes too, being unshared first
    let held = core.create(GALLERY, &community("https://img.example")).await;
    assert!(core.destroy(&held).await.held.is_none());
    let held = core.create(GALLERY, &groups(&[GUID_A], &[GUID_C])).await;
    assert!(core.destroy(&held).await.held.is_none());
}

// Issue text: children that are in no state are named, and a gallery that cannot go is not unshared either.
#[tokio::test(start_paused = true)]
async fn a_parent_with_children_of_others_stays_and_names_them() {
    let core = Core::new().await;
    let shared = core.create(GALLERY, &groups(&[GUID_A], &[GUID_C])).await;
    for name in ["one", "two"] {
        cases::put(&core, &rg(&format!("galleries/gal/images/{name}")), cases::definition(name));
    }
    let applied = core.destroy(&shared).await;
    applied.told.assert_error(&["2 image definitions", &rg("galleries/gal/images/one"), &rg("galleries/gal/images/two")]);
    assert_eq!(shared_with(&core)["permissions"], "Groups");
    for name in ["one", "two"] {
        core.azure("DELETE", &rg(&format!("galleries/gal/images/{name}")), Json::Null);
    }
    assert!(core.destroy(&applied.held.unwrap()).await.held.is_none());

    let core = with_sources(json!({})).await;
    let definition = core.import(DEFINITION, &rg("galleries/gal/images/def2"), None).await.unwrap();
    let applied = core.destroy(&definition).await;
    applied.told.assert_error(&["1 image versions", &rg("galleries/gal/images/def2/versions/0.0.1")]);
}

// Right after the last child went, the service still believes in it for a while.
#[tokio::test(start_paused = true)]
async fn a_parent_goes_soon_after_its_last_child() {
    let core = with_sources(json!({})).await;
    let version = core.create(VERSION, &version(json!({}))).await;
    let definition = core.import(DEFINITION, &rg("galleries/gal/images/def"), None).await.unwrap();
    assert!(core.destroy(&version).await.held.is_none());
    let nested = json!({"status": 409, "code": "CannotDeleteResource", "message": "Can not delete resource before nested resources are deleted."});
    core.fault(patched(&nested, &json!({"method": "DELETE", "path": "/images/def$", "count": 5})));
    let gone = core.destroy(&definition).await;
    assert!(gone.held.is_none(), "{:?}", gone.told);
}

#[tokio::test(start_paused = true)]
async fn a_region_is_dropped_only_with_leave_and_by_name() {
    let core = with_sources(json!({})).await;
    let held = core.create(VERSION, &version(json!({}))).await;
    let one = json!({"target_region": regions(&["East US"])});
    let told = core.plan_refused(VERSION, Some(&held), &version(one.clone())).await;
    told.assert_error(&["drops the region westeurope", "allow_deletion_of_replicated_locations"]);
    assert_eq!(told.error_paths(), ["target_region"]);
    // leave and drop in one apply, in the right order
    let both = patched(&version(one.clone()), &json!({"allow_deletion_of_replicated_locations": true}));
    let held = core.change(&held, &both, Action::Update).await;
    assert_eq!(held.get("target_region").elements().len(), 1);
    let held = core.change(&held, &version(one), Action::Update).await;
    // and all of it back again
    core.change(&held, &version(json!({})), Action::Update).await;
}

// Item 49: no block at all leaves the version in its own region.
#[tokio::test(start_paused = true)]
async fn without_target_regions_only_the_own_region_is_left() {
    let core = with_sources(json!({})).await;
    let held = core.create(VERSION, &version(json!({}))).await;
    let none = json!({"target_region": []});
    let told = core.plan_refused(VERSION, Some(&held), &version(none.clone())).await;
    told.assert_error(&["drops the region westeurope\n"]);
    let allowed = patched(&version(none.clone()), &json!({"allow_deletion_of_replicated_locations": true}));
    let held = core.change(&held, &allowed, Action::Update).await;
    let azure = core.look(held.text("id"));
    assert_eq!(azure["properties"]["publishingProfile"]["targetRegions"].as_array().unwrap().len(), 1);
    // who names the own region again changes nothing there
    let named = patched(&allowed, &json!({"target_region": regions(&["eastus"])}));
    let held = core.change(&held, &named, Action::Update).await;
    core.change(&held, &version(json!({"target_region": [], "allow_deletion_of_replicated_locations": false})), Action::Update).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_service_refuses_on_a_region_that_stays_replaces_and_says_which() {
    let core = with_sources(json!({})).await;
    let held = core.create(VERSION, &version(json!({}))).await;
    let stored = version(json!({"target_region": [
        {"name": "East US"}, {"name": "westeurope", "regional_replica_count": 2, "storage_account_type": "Premium_LRS"},
    ]}));
    let plan = core.plan(VERSION, Some(&held), &stored).await;
    assert_eq!((plan.action, plan.replace.clone()), (Action::Replace, vec!["target_region".to_owned()]));
    plan.told.assert_warning(&["replaced", "storage_account_type of westeurope"]);
    let held = core.change(&held, &stored, Action::Replace).await;
    let keyed = |name: &str| {
        let encryption = json!({"os_disk_encryption_set_id": rg(&format!("diskEncryptionSets/{name}"))});
        version(json!({"version": "1.0.2", "target_region": [{"name": "East US", "encryption": encryption}]}))
    };
    let plan = core.plan(VERSION, Some(&held), &patched(&keyed("des"), &json!({"version": "1.0.0", "allow_deletion_of_replicated_locations": true}))).await;
    assert_eq!(plan.action, Action::Replace);
    plan.told.assert_warning(&["encryption of East US"]);
    let held = core.create(VERSION, &keyed("des")).await;
    let other_case = rg("diskEncryptionSets/DES");
    let same = patched(&keyed("des"), &json!({"target_region": [{"name": "eastus", "encryption": {"os_disk_encryption_set_id": other_case}}]}));
    assert_eq!(core.plan(VERSION, Some(&held), &same).await.action, Action::NoOp);
    let plan = core.plan(VERSION, Some(&held), &keyed("des2")).await;
    assert_eq!(plan.action, Action::Replace);
}

// The service has no ETag: what somebody else added must not go with the next update.
#[tokio::test(start_paused = true)]
async fn an_update_keeps_what_the_service_has_beyond_the_schema() {
    let core = with_sources(json!({})).await;
    let held = core.create(VERSION, &version(json!({}))).await;
    core.tamper(held.text("id"), json!({"tags": {"by": "hand"}}));
    let read = core.refresh(&held).await.unwrap().unwrap();
    assert_eq!(changed(&held.state, &read.state), ["tags", "tags_all"]);
    core.change(&read, &version(json!({})), Action::Update).await;
    assert_eq!(core.look(held.text("id"))["tags"], json!({}));
}

#[tokio::test(start_paused = true)]
async fn default_tags_lie_under_the_resources_own() {
    let defaults = json!({"default_tags": {"team": "platform", "cost": "1"}});
    for case in cases::all() {
        let core = Core::with(defaults.clone()).await;
        if !core.block(case.type_name).attributes.iter().any(|a| a.name == "tags_all") {
            continue;
        }
        (case.prepare)(&core);
        let id = case.id.clone().unwrap();
        let all = |held: &Held| azimage::schema::json::encode(held.get("tags_all"));
        // none of its own, one that repeats a default, one that overrides
        let held = core.create(case.type_name, &case.small).await;
        assert!(held.get("tags").is_null());
        assert_eq!(all(&held), json!({"team": "platform", "cost": "1"}), "{}", case.name);
        assert_eq!(core.look(&id)["tags"], json!({"team": "platform", "cost": "1"}));
        let with = |tags: Json| patched(&case.small, &json!({"tags": tags}));
        let held = core.change(&held, &with(json!({"team": "platform"})), Action::Update).await;
        let held = core.change(&held, &with(json!({"team": "images", "os": "linux"})), Action::Update).await;
        assert_eq!(all(&held), json!({"team": "images", "cost": "1", "os": "linux"}));
        // an import tells them apart too
        let brought = core.import(case.type_name, &id, None).await.unwrap();
        assert_eq!(azimage::schema::json::encode(brought.get("tags")), json!({"team": "images", "os": "linux"}));
        let held = core.change(&held, &case.small, Action::Update).await;
        // somebody takes a default away
        core.tamper(&id, json!({"tags": {"cost": null}}));
        let read = core.refresh(&held).await.unwrap().unwrap();
        assert_eq!(changed(&held.state, &read.state), ["tags_all"], "{}", case.name);
        let held = core.change(&read, &case.small, Action::Update).await;
        // the defaults themselves change
        let next = core.again(json!({"default_tags": {"team": "other"}})).await;
        let read = next.refresh(&held).await.unwrap().unwrap();
        let plan = next.plan(case.type_name, Some(&read), &case.small).await;
        assert_eq!(plan.action, Action::Update);
        let applied = next.apply(&plan).await;
        assert!(!applied.told.has_errors(), "{}: {:?}", case.name, applied.told);
        let held = next.settled(&applied.held.unwrap(), &case.small).await;
        assert_eq!(next.look(&id)["tags"], json!({"team": "other"}), "{}", case.name);
        assert_eq!(all(&held), json!({"team": "other"}));
    }
}

// In HCL a map may hold a key whose value is null: no tag to the service, and no difference ever after.
#[tokio::test(start_paused = true)]
async fn a_tag_without_a_value_is_no_tag_and_no_difference() {
    for case in cases::all() {
        let core = Core::new().await;
        if !core.block(case.type_name).attributes.iter().any(|a| a.name == "tags_all") {
            continue;
        }
        (case.prepare)(&core);
        let mut config = case.small.clone();
        config["tags"] = json!({"os": "linux", "owner": null});
        let held = core.create(case.type_name, &config).await;
        assert_eq!(azimage::schema::json::encode(held.get("tags_all")), json!({"os": "linux"}), "{}", case.name);
        config["tags"] = json!({"os": "unix", "owner": null, "more": null});
        let held = core.change(&held, &config, Action::Update).await;
        config["tags"] = json!({"os": "unix"});
        core.change(&held, &config, Action::Update).await;
    }
}

// But an element of a set has to be something.
#[tokio::test(start_paused = true)]
async fn a_null_in_a_set_is_refused() {
    let core = Core::new().await;
    let told = core.plan_refused(GALLERY, None, &gallery(json!({"sharing": {"permission": "Groups", "tenant_ids": [null]}}))).await;
    told.assert_error(&["holds a null"]);
    assert_eq!(told.error_paths(), ["sharing.tenant_ids"]);
}

#[tokio::test(start_paused = true)]
async fn a_retained_version_outlives_its_resource() {
    let core = with_sources(json!({})).await;
    let retain = version(json!({"deletion_policy": "retain"}));
    let held = core.create(VERSION, &retain).await;
    let id = held.text("id").to_owned();
    // replaced by another number: the old one stays to roll back to
    let next = core.change(&held, &patched(&retain, &json!({"version": "1.1.0"})), Action::Replace).await;
    assert!(core.exists(&id) && core.exists(next.text("id")));
    assert!(core.destroy(&next).await.held.is_none());
    assert!(core.exists(next.text("id")));
    let definition = core.import(DEFINITION, &rg("galleries/gal/images/def"), None).await.unwrap();
    core.destroy(&definition).await.told.assert_error(&["2 image versions", "retain", &id, next.text("id")]);
    // and comes back by import, to be deleted after all
    let held = core.import(VERSION, &id, None).await.unwrap();
    assert_eq!(held.text("deletion_policy"), "delete");
    assert!(core.destroy(&held).await.held.is_none());
    assert!(!core.exists(&id));
}

#[tokio::test(start_paused = true)]
async fn a_protected_version_is_told_apart_from_one_that_cannot_be_deleted() {
    let core = with_sources(json!({})).await;
    let protected = version(json!({"block_deletion_before_end_of_life": true, "end_of_life_date": "2031-01-01T00:00:00Z"}));
    let held = core.create(VERSION, &protected).await;
    let applied = core.destroy(&held).await;
    applied.told.assert_error(&["block_deletion_before_end_of_life = false", held.text("id")]);
    let held = core.change(&held, &version(json!({})), Action::Update).await;
    assert!(core.destroy(&held).await.held.is_none());
}

// How long apply waits, and what later plans say of it.
#[tokio::test(start_paused = true)]
async fn a_version_that_is_not_waited_for_shows_how_far_it_is() {
    let core = with_sources(json!({})).await;
    core.control("PUT", "settings", json!({"time_scale": 0.0001}));
    let none = version(json!({"wait_for_replication": "none"}));
    let plan = core.plan(VERSION, None, &none).await;
    let applied = core.apply(&plan).await;
    assert!(!applied.told.has_errors(), "{:?}", applied.told);
    let held = applied.held.unwrap();
    assert!(!held.tainted);
    // who waits for nothing has nothing to do
    let read = core.refresh(&held).await.unwrap().unwrap();
    assert_eq!(core.plan(VERSION, Some(&read), &none).await.action, Action::NoOp);
    // who waits for all has: the next plan says where it stands, and the next apply waits
    let all = version(json!({}));
    let plan = core.plan(VERSION, Some(&read), &all).await;
    assert_eq!(plan.action, Action::Update);
    plan.told.assert_warning(&["not replicated everywhere yet", "westeurope Replicating"]);
    let advance = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        core.control("POST", "clock/advance", json!({"seconds": 1e8}));
    };
    let (applied, ()) = tokio::join!(core.apply(&plan), advance);
    assert!(!applied.told.has_errors(), "{:?}", applied.told);
    let held = core.settled(&applied.held.unwrap(), &all).await;
    assert_eq!(held.get("replication_state").entries().filter(|(_, state)| state.as_str() == Some("Completed")).count(), 2);
    // a replication that is waited for by itself sees the same
    let waiting = json!({"image_version_id": held.text("id"), "regions": ["West Europe"]});
    core.create("azimage_image_replication", &waiting).await;
}

// A failed region is told, the version stays, and the next apply takes the region out and puts it in again.
#[tokio::test(start_paused = true)]
async fn a_failed_region_is_repaired_by_the_next_apply() {
    let core = with_sources(json!({})).await;
    core.fault(json!({"method": "PUT", "path": "/versions/1\\.0\\.0$", "fail_region": "westeurope"}));
    let config = version(json!({}));
    let plan = core.plan(VERSION, None, &config).await;
    let applied = core.apply(&plan).await;
    applied.told.assert_warning(&["westeurope"]);
    let held = applied.held.unwrap();
    assert!(!held.tainted);
    let read = core.refresh(&held).await.unwrap().unwrap();
    let plan = core.plan(VERSION, Some(&read), &config).await;
    assert_eq!(plan.action, Action::Update);
    plan.told.assert_warning(&["failed in a region", "westeurope Failed"]);
    let applied = core.apply(&plan).await;
    assert!(!applied.told.has_errors(), "{:?}", applied.told);
    let held = core.settled(&applied.held.unwrap(), &config).await;
    assert_eq!(held.get("replication_state").entries().count(), 2);
    assert!(held.get("replication_state").entries().all(|(_, state)| state.as_str() == Some("Completed")));
    // while updating it is an error, with the version kept
    core.fault(json!({"method": "PUT", "path": "/versions/1\\.0\\.0$", "fail_region": "northeurope"}));
    let three = version(json!({"target_region": [{"name": "East US"}, {"name": "westeurope", "regional_replica_count": 2}, {"name": "northeurope"}]}));
    let plan = core.plan(VERSION, Some(&held), &three).await;
    let applied = core.apply(&plan).await;
    applied.told.assert_error(&["northeurope"]);
    let read = core.refresh(&applied.held.unwrap()).await.unwrap().unwrap();
    assert!(!read.tainted);
    core.change(&read, &three, Action::Update).await;
}

#[tokio::test(start_paused = true)]
async fn features_change_in_place_and_keep_the_users_spelling() {
    let core = Core::new().await;
    cases::with_gallery(&core);
    let base = cases::image_definition().small;
    let with = |features: Json| patched(&base, &json!({"features": features}));
    let held = core.create(DEFINITION, &with(json!({"IsSecureBootSupported": "true", "Custom": "a"}))).await;
    assert_eq!(azimage::schema::json::encode(held.get("features")), json!({"IsSecureBootSupported": "true", "Custom": "a"}));
    let held = core.change(&held, &with(json!({"IsSecureBootSupported": "False", "Other": "b"})), Action::Update).await;
    let held = core.change(&held, &base, Action::Update).await;
    let features = core.look(held.text("id"))["properties"]["features"].clone();
    assert_eq!(features, json!([{"name": "SecurityType", "value": "TrustedLaunchSupported"}]));
    // by hand
    let all = json!([{"name": "SecurityType", "value": "TrustedLaunchSupported"}, {"name": "Extra", "value": "x"}]);
    core.tamper(held.text("id"), json!({"properties": {"allowUpdateImage": true, "features": all}}));
    let read = core.refresh(&held).await.unwrap().unwrap();
    assert_eq!(changed(&held.state, &read.state), ["features"]);
    core.change(&read, &base, Action::Update).await;
}

// The service keeps no date that is taken out by hand, and a removed one is really gone.
#[tokio::test(start_paused = true)]
async fn an_end_of_life_date_that_was_removed_is_gone_in_azure() {
    let core = with_sources(json!({})).await;
    let date = json!({"end_of_life_date": "2031-01-01T00:00:00Z"});
    let held = core.create(VERSION, &version(date.clone())).await;
    core.change(&held, &version(json!({})), Action::Update).await;
    assert!(core.look(held.text("id"))["properties"]["publishingProfile"].get("endOfLifeDate").is_none());
    let base = patched(&cases::image_definition().small, &json!({"name": "dated", "identifier": {"sku": "dated"}}));
    let held = core.create(DEFINITION, &patched(&base, &date)).await;
    core.change(&held, &base, Action::Update).await;
    assert!(core.look(held.text("id"))["properties"].get("endOfLifeDate").is_none());
}

#[tokio::test(start_paused = true)]
async fn subscriptions_beside_the_providers_own_are_kept_apart() {
    let core = Core::with(json!({"subscription_id": GUID_B})).await;
    let held = core.create(GALLERY, &gallery(json!({"subscription_id": GUID_A.to_uppercase()}))).await;
    assert!(held.text("id").starts_with(&format!("/subscriptions/{}", GUID_A.to_uppercase())), "{}", held.text("id"));
    assert_eq!(core.plan(GALLERY, Some(&held), &gallery(json!({"subscription_id": GUID_A}))).await.action, Action::NoOp);
    let other = core.create(GALLERY, &gallery(json!({}))).await;
    assert_eq!(other.text("subscription_id"), GUID_B);
    assert!(!core.exists(&rg("galleries/gal")), "{SUBSCRIPTION} is nobody's");
    // another default does not move what exists
    let next = core.again(json!({"subscription_id": GUID_C})).await;
    let read = next.refresh(&other).await.unwrap().unwrap();
    assert_eq!(next.plan(GALLERY, Some(&read), &gallery(json!({}))).await.action, Action::NoOp);
}

#[tokio::test(start_paused = true)]
async fn guardrails_stop_a_plan_and_name_rule_attribute_and_fix() {
    let rows: Vec<(Json, Json, &[&str], &str)> = vec![
        (json!({"minimum_replicas": 2}), json!({}), &["minimum_replicas", "East US", "regional_replica_count = 2"], "target_region"),
        (json!({"required_regions": ["uksouth"]}), json!({}), &["required_regions", "uksouth"], "target_region"),
        (json!({"required_tags": ["approved-by"]}), json!({}), &["required_tags", "approved-by"], "tags"),
        (json!({"versions_must_increase": true}), json!({"image_definition_id": rg("galleries/gal/images/def2"), "version": "0.0.0"}), &["versions_must_increase", "0.0.1"], "version"),
        (json!({"maximum_versions_per_definition": 1}), json!({"image_definition_id": rg("galleries/gal/images/def2")}), &["maximum_versions_per_definition", "0.0.1"], "version"),
    ];
    for (rule, patch, says, path) in rows {
        let core = with_sources(json!({"guardrails": rule})).await;
        let told = core.plan_refused(VERSION, None, &version(patch.clone())).await;
        told.assert_error(says);
        assert_eq!(told.error_paths(), [path]);
        // the same as a warning lets it pass
        let core = core.again(json!({"guardrails": patched(&rule, &json!({"mode": "warn"}))})).await;
        let plan = core.plan(VERSION, None, &version(patch)).await;
        plan.told.assert_warning(says);
    }
    // and what keeps to the rules is let through, twice, since core plans again at apply
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
async fn a_source_that_does_not_fit_is_refused_before_anything_is_made() {
    let core = with_sources(json!({})).await;
    let windows = patched(&cases::definition("win"), &json!({"properties": {"osType": "Windows"}}));
    cases::put(&core, &rg("galleries/gal/images/win"), windows);
    let rows: Vec<(Json, &[&str], &str)> = vec![
        (json!({"image_definition_id": rg("galleries/gal/images/win")}), &["operating system", "Linux", "Windows"], "source.managed_image_id"),
        (json!({"source": {"managed_image_id": rg("images/west")}}), &["not in the version's region", "westeurope"], "source.managed_image_id"),
        (json!({"target_region": regions(&["westeurope"])}), &["own region", "eastus"], "target_region"),
        (json!({"target_region": regions(&["eastus", "westeurpe"])}), &["no region", "westeurope"], "target_region"),
    ];
    for (patch, says, path) in rows {
        let told = core.plan_refused(VERSION, None, &version(patch)).await;
        told.assert_error(says);
        assert!(told.error_paths().contains(&path.to_owned()), "{:?}", told.error_paths());
    }
    // a source that cannot be read yet is no reason to object
    let plan = core.plan(VERSION, None, &version(json!({"source": {"managed_image_id": rg("images/later")}}))).await;
    assert_eq!(plan.action, Action::Create);
}

// A pin moves with its keepers, and shows both ends of the way.
#[tokio::test(start_paused = true)]
async fn a_pin_moves_only_with_its_keepers() {
    const PIN: &str = "azimage_marketplace_pin";
    let core = Core::new().await;
    let newer = cases::URN.replace("3374.2.5", "4081.2.1");
    let at = |urn: &str, keeper: &str| json!({"location": "eastus", "urn": urn, "keepers": {"build": keeper}});
    let held = core.create(PIN, &at(cases::URN, "1")).await;
    assert_eq!(core.plan(PIN, Some(&held), &at(&newer, "1")).await.action, Action::NoOp);
    let plan = core.plan(PIN, Some(&held), &at(&newer, "2")).await;
    assert_eq!(plan.action, Action::Update);
    assert_eq!(plan.state.get("urn").as_str(), Some(newer.as_str()));
    assert_eq!(plan.state.get("version").as_str(), Some("4081.2.1"));
    let moved = core.change(&held, &at(&newer, "2"), Action::Update).await;
    assert_eq!(moved.text("id"), held.text("id"), "the identity stays");
    // it is withdrawn: told, and kept
    let withdraw = json!({"publisher": "kinvolk", "offer": "flatcar-container-linux-free", "sku": "stable-gen2", "version": "4081.2.1"});
    core.control("POST", "marketplace/withdraw", withdraw);
    let next = core.again(json!({})).await;
    let (read, told) = next.read(&moved).await.unwrap();
    told.assert_warning(&["withdrawn", "4081.2.1"]);
    let read = read.unwrap();
    assert_eq!(read.get("withdrawn"), &Value::Bool(true));
    assert_eq!(next.plan(PIN, Some(&read), &at(&newer, "2")).await.action, Action::NoOp);
}
