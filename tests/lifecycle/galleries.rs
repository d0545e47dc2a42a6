//! Galleries and image definitions: sharing, children and features.

use super::versions::{VERSION, version, with_sources};
use crate::cases::{self, GUID_A, GUID_B, GUID_C, rg};
use crate::core::{Action, Core, Json, SUBSCRIPTION, changed, json, patched};

pub const GALLERY: &str = "azimage_gallery";

pub const DEFINITION: &str = "azimage_image_definition";

pub fn gallery(patch: Json) -> Json {
    patched(&cases::gallery().small, &patch)
}

fn groups(subscriptions: &[&str], tenants: &[&str]) -> Json {
    gallery(
        json!({"sharing": {"permission": "Groups", "subscription_ids": subscriptions, "tenant_ids": tenants}}),
    )
}

fn shared_with(core: &Core) -> Json {
    let (_, body) = core.azure("GET", &format!("{}?$select=Permissions", rg("galleries/gal")), Json::Null);
    body["properties"]["sharingProfile"].clone()
}

#[tokio::test(start_paused = true)]
async fn sharing_changes_in_place() {
    let core = Core::new().await;
    let held = core.create(GALLERY, &groups(&[GUID_A, GUID_B], &[GUID_C])).await;
    // order and case do not matter
    for same in [groups(&[GUID_B, GUID_A], &[GUID_C]), groups(&[&GUID_A.to_uppercase(), GUID_B], &[GUID_C])] {
        assert_eq!(core.plan(GALLERY, Some(&held), &same).await.action, Action::NoOp);
    }
    let held = core.change(&held, &groups(&[GUID_C, GUID_A], &[GUID_C]), Action::Update).await;
    let none: &[&str] = &[];
    let held = core
        .change(
            &held,
            &gallery(json!({"sharing": {"permission": "Groups", "subscription_ids": [GUID_C]}})),
            Action::Update,
        )
        .await;
    assert_eq!(shared_with(&core)["groups"], json!([{"type": "Subscriptions", "ids": [GUID_C]}]));
    let held = core.change(&held, &groups(&[GUID_A], none), Action::Update).await;
    // another client adds a subscription
    let body = json!({"operationType": "Add", "groups": [{"type": "AADTenants", "ids": [GUID_B]}]});
    assert!(core.azure("POST", &format!("{}/share", rg("galleries/gal")), body).0 < 300);
    let read = core.refresh(&held).await.unwrap().unwrap();
    assert_eq!(changed(&held.state, &read.state), ["sharing"]);
    let held = core.change(&read, &groups(&[GUID_A], none), Action::Update).await;
    assert_eq!(shared_with(&core)["groups"], json!([{"type": "Subscriptions", "ids": [GUID_A]}]));
    // shared with no one: an explicit empty list, or no list
    let private = gallery(json!({"sharing": {"permission": "Private"}}));
    let held = core.change(&held, &private, Action::Update).await;
    assert_eq!(shared_with(&core)["permissions"], "Private");
    core.change(&held, &gallery(json!({})), Action::NoOp).await;
}

#[tokio::test(start_paused = true)]
async fn user_assigned_identities_can_be_added() {
    let core = Core::new().await;
    let id = |name: &str| {
        rg(&format!("userAssignedIdentities/{name}"))
            .replace("Microsoft.Compute", "Microsoft.ManagedIdentity")
    };
    let with = |names: &[&str]| {
        let ids: Vec<String> = names.iter().map(|name| id(name)).collect();
        gallery(json!({"identity": {"type": "UserAssigned", "identity_ids": ids}}))
    };
    (cases::gallery().prepare)(&core);
    let held = core.create(GALLERY, &with(&["one"])).await;
    let held = core.change(&held, &with(&["one", "two"]), Action::Update).await;
    assert_eq!(held.get("identity").get("identity_ids").elements().len(), 2);
    core.change(&held, &with(&["two"]), Action::Update).await;
}

#[tokio::test(start_paused = true)]
async fn removing_the_sharing_block_unshares_the_gallery() {
    let core = Core::new().await;
    let held = core.create(GALLERY, &groups(&[GUID_A], &[GUID_C])).await;
    core.change(&held, &gallery(json!({})), Action::Update).await;
    assert_eq!(shared_with(&core)["permissions"], "Private");
}

fn community() -> Json {
    gallery(json!({"sharing": {"permission": "Community", "community": {
        "publisher_uri": "https://img.example", "publisher_email": "img@example.com", "eula": "https://img.example/eula",
        "public_name_prefix": "goldimg",
    }}}))
}

// Azure accepts Groups at creation only.
#[tokio::test(start_paused = true)]
async fn changing_the_permission_to_groups_fails_the_plan() {
    for (before, permission) in
        [(gallery(json!({"description": "old"})), "Private"), (community(), "Community")]
    {
        let core = Core::new().await;
        let held = core.create(GALLERY, &before).await;
        for wanted in [groups(&[GUID_A], &[GUID_C]), gallery(json!({"sharing": {"permission": "Groups"}}))] {
            let refused = core.plan_refused(GALLERY, Some(&held), &wanted).await;
            refused.assert_error(&[&format!("from {permission} to Groups"), "-replace"]);
            assert_eq!(refused.error_paths(), ["sharing.permission"]);
        }
        // a gallery that is replaced anyway can get any permission
        let replaced = patched(&groups(&[GUID_A], &[GUID_C]), &json!({"location": "eastus"}));
        assert_eq!(core.plan(GALLERY, Some(&held), &replaced).await.action, Action::Replace);
    }
}

#[tokio::test(start_paused = true)]
async fn private_gallery_becomes_a_community_gallery_in_place() {
    let core = Core::new().await;
    let held = core.create(GALLERY, &gallery(json!({"description": "old"}))).await;
    let held = core.change(&held, &community(), Action::Update).await;
    assert!(
        held.get("sharing").get("community").get("public_name").as_str().unwrap().starts_with("goldimg-")
    );
    assert_eq!(shared_with(&core)["communityGalleryInfo"]["communityGalleryEnabled"], true);
}

// Whether Azure accepts this change is unknown; the emulator rejects it.
#[tokio::test(start_paused = true)]
async fn rejected_conversion_keeps_the_old_sharing() {
    let core = Core::new().await;
    let held = core.create(GALLERY, &groups(&[GUID_A], &[GUID_C])).await;
    let plan = core.plan(GALLERY, Some(&held), &community()).await;
    assert_eq!(plan.action, Action::Update);
    plan.diagnostics.assert_warning(&["may refuse"]);
    let applied = core.apply(&plan).await;
    applied.diagnostics.assert_error(&["Permissions can only be changed"]);
    let kept = core.refresh(&applied.held.unwrap()).await.unwrap().unwrap();
    assert_eq!(kept.get("sharing").get("permission").as_str(), Some("Groups"));
    assert_eq!(shared_with(&core)["groups"].as_array().map(Vec::len), Some(2));
}

#[tokio::test(start_paused = true)]
async fn community_gallery_gets_a_public_name_and_can_become_private() {
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
    let info =
        &core.azure_object(&rg("galleries/gal"))["properties"]["sharingProfile"]["communityGalleryInfo"];
    assert_eq!(info["communityGalleryEnabled"], true);
    let held = core.change(&held, &community("https://other.example"), Action::Update).await;
    assert_eq!(held.get("sharing").get("community").get("public_name").as_str(), Some(name.as_str()));
    let held =
        core.change(&held, &gallery(json!({"sharing": {"permission": "Private"}})), Action::Update).await;
    assert!(core.destroy(&held).await.held.is_none());
    // deleting a shared gallery unshares it first
    let held = core.create(GALLERY, &community("https://img.example")).await;
    assert!(core.destroy(&held).await.held.is_none());
    let held = core.create(GALLERY, &groups(&[GUID_A], &[GUID_C])).await;
    assert!(core.destroy(&held).await.held.is_none());
}

// The error names children that are not in the state, and a gallery that cannot be deleted stays shared.
#[tokio::test(start_paused = true)]
async fn deleting_a_parent_with_unmanaged_children_fails_and_names_them() {
    let core = Core::new().await;
    let shared = core.create(GALLERY, &groups(&[GUID_A], &[GUID_C])).await;
    for name in ["one", "two"] {
        cases::put(&core, &rg(&format!("galleries/gal/images/{name}")), cases::definition(name));
    }
    // on all pages of the list
    core.control("PUT", "settings", json!({"page_size": 1}));
    let applied = core.destroy(&shared).await;
    applied.diagnostics.assert_error(&[
        "2 image definitions",
        &rg("galleries/gal/images/one"),
        &rg("galleries/gal/images/two"),
    ]);
    assert_eq!(shared_with(&core)["permissions"], "Groups");
    for name in ["one", "two"] {
        core.azure("DELETE", &rg(&format!("galleries/gal/images/{name}")), Json::Null);
    }
    assert!(core.destroy(&applied.held.unwrap()).await.held.is_none());

    let core = with_sources(json!({})).await;
    let definition = core.import(DEFINITION, &rg("galleries/gal/images/def2"), None).await.unwrap();
    let applied = core.destroy(&definition).await;
    applied.diagnostics.assert_error(&["1 image version", &rg("galleries/gal/images/def2/versions/0.0.1")]);
}

// The service still counts the last child for a while after its deletion.
#[tokio::test(start_paused = true)]
async fn parent_is_deleted_soon_after_its_last_child() {
    let core = with_sources(json!({})).await;
    let version = core.create(VERSION, &version(json!({}))).await;
    let definition = core.import(DEFINITION, &rg("galleries/gal/images/def"), None).await.unwrap();
    assert!(core.destroy(&version).await.held.is_none());
    let nested = json!({"status": 409, "code": "CannotDeleteResource", "message": "Can not delete resource before nested resources are deleted."});
    core.fault(patched(&nested, &json!({"method": "DELETE", "path": "/images/def$", "count": 5})));
    let gone = core.destroy(&definition).await;
    assert!(gone.held.is_none(), "{:?}", gone.diagnostics);
}

// Azure does not delete a definition with versions in the recycle bin of its gallery.
#[tokio::test(start_paused = true)]
async fn definition_with_soft_deleted_versions_is_deleted_only_after_a_purge() {
    let core = with_sources(json!({})).await;
    let id = rg("galleries/gal/images/def");
    let shared = core.import(GALLERY, &rg("galleries/gal"), None).await.unwrap();
    let soft_delete = |purge: bool| {
        gallery(json!({
            "location": shared.text("location"),
            "soft_delete": {"enabled": true, "retention_days": 30, "grace_period_days": 7, "purge_on_destroy": purge},
        }))
    };
    let shared = core.change(&shared, &soft_delete(false), Action::Update).await;
    let made = core.create(VERSION, &version(json!({}))).await;
    assert!(core.destroy(&made).await.held.is_none());
    let listed =
        core.data("azimage_soft_deleted_versions", &json!({"image_definition_id": id})).await.unwrap();
    let deleted = &listed.get("versions").elements()[0];
    assert_eq!(deleted.get("version").as_str(), Some(made.text("version")));
    assert!(deleted.get("gone_at").as_str() > deleted.get("restorable_until").as_str());

    let definition = core.import(DEFINITION, &id, None).await.unwrap();
    let applied = core.destroy(&definition).await;
    applied.diagnostics.assert_error(&[
        "has soft-deleted versions",
        made.text("version"),
        "purge_on_destroy = true",
    ]);
    assert!(core.exists(&id));

    let shared = core.change(&shared, &soft_delete(true), Action::Update).await;
    // the next run refreshes the gallery before its definitions
    let next = core.new_run(json!({})).await;
    next.refresh(&shared).await.unwrap();
    let definition = next.refresh(&applied.held.unwrap()).await.unwrap().unwrap();
    assert!(next.destroy(&definition).await.held.is_none());
    assert!(!next.exists(&id));
}

#[tokio::test(start_paused = true)]
async fn features_change_in_place_and_keep_their_spelling() {
    let core = Core::new().await;
    cases::with_gallery(&core);
    let base = cases::image_definition().small;
    let with = |features: Json| patched(&base, &json!({"features": features}));
    let held = core.create(DEFINITION, &with(json!({"IsSecureBootSupported": "true", "Custom": "a"}))).await;
    assert_eq!(
        azimage::schema::json::encode(held.get("features")),
        json!({"IsSecureBootSupported": "true", "Custom": "a"})
    );
    let held = core
        .change(&held, &with(json!({"IsSecureBootSupported": "False", "Other": "b"})), Action::Update)
        .await;
    let held = core.change(&held, &base, Action::Update).await;
    let features = core.azure_object(held.text("id"))["properties"]["features"].clone();
    assert_eq!(features, json!([{"name": "SecurityType", "value": "TrustedLaunchSupported"}]));
    // a change made outside Terraform
    let all =
        json!([{"name": "SecurityType", "value": "TrustedLaunchSupported"}, {"name": "Extra", "value": "x"}]);
    core.tamper(held.text("id"), json!({"properties": {"allowUpdateImage": true, "features": all}}));
    let read = core.refresh(&held).await.unwrap().unwrap();
    assert_eq!(changed(&held.state, &read.state), ["features"]);
    core.change(&read, &base, Action::Update).await;
}

#[tokio::test(start_paused = true)]
async fn supports_subscriptions_other_than_the_providers() {
    let core = Core::with(json!({"subscription_id": GUID_B})).await;
    let held = core.create(GALLERY, &gallery(json!({"subscription_id": GUID_A.to_uppercase()}))).await;
    assert!(
        held.text("id").starts_with(&format!("/subscriptions/{}", GUID_A.to_uppercase())),
        "{}",
        held.text("id")
    );
    assert_eq!(
        core.plan(GALLERY, Some(&held), &gallery(json!({"subscription_id": GUID_A}))).await.action,
        Action::NoOp
    );
    let other = core.create(GALLERY, &gallery(json!({}))).await;
    assert_eq!(other.text("subscription_id"), GUID_B);
    assert!(!core.exists(&rg("galleries/gal")), "nothing is created in {SUBSCRIPTION}");
    // a new default does not move existing objects
    let next = core.new_run(json!({"subscription_id": GUID_C})).await;
    let read = next.refresh(&other).await.unwrap().unwrap();
    assert_eq!(next.plan(GALLERY, Some(&read), &gallery(json!({}))).await.action, Action::NoOp);
}
