//! Problems that users of other tools reported and that no other test covers, each with the public issue that describes it.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/cases.rs"]
mod cases;
#[path = "support/core.rs"]
mod core;

use crate::core::{Action, Core, Held, Json, SUBSCRIPTION, changed, differences, json, patched};
use azimage::schema::json::encode;
use cases::{GUID_A, GUID_C, definition, put, rg};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;

const GALLERY: &str = "azimage_gallery";
const DEFINITION: &str = "azimage_image_definition";
const VERSION: &str = "azimage_image_version";

async fn with_sources() -> Core {
    let core = Core::new().await;
    cases::with_sources(&core);
    core
}

fn version(patch: Json) -> Json {
    patched(&cases::image_version().small, &patch)
}

fn version_of(source: Json) -> Json {
    patched(&version(json!({"source": {"managed_image_id": null}})), &json!({"source": source}))
}

fn define(patch: Json) -> Json {
    patched(&cases::image_definition().small, &patch)
}

// Creates, imports, plans no changes and destroys.
async fn has_a_normal_lifecycle(core: &Core, type_name: &str, config: &Json, not_imported: &[&str]) -> Held {
    let held = core.create(type_name, config).await;
    let brought = core.import(type_name, held.text("id"), None).await.unwrap();
    let plan = core.plan(type_name, Some(&brought), config).await;
    assert_ne!(plan.action, Action::Replace, "{:?}", plan.replace);
    let mut differ = changed(&brought.state, &plan.state);
    differ.retain(|name| !not_imported.contains(&name.as_str()));
    differ.retain(|name| !plan.state.get(name).is_unknown());
    assert!(differ.is_empty(), "{}", differences(&brought.state, &plan.state));
    held
}

// hashicorp/terraform-provider-azurerm#20749 and #27665 (1.0.9 instead of 1.0.10), #10581 (only the first page was
// read).
#[tokio::test(start_paused = true)]
async fn latest_version_has_the_highest_number_on_any_page() {
    let core = with_sources().await;
    core.control("PUT", "settings", json!({"page_size": 1}));
    for number in ["1.0.9", "1.0.12", "1.0.10", "0.9.99"] {
        core.create(VERSION, &version(json!({"version": number}))).await;
    }
    let found = core
        .data(VERSION, &json!({"image_definition_id": rg("galleries/gal/images/def")}))
        .await
        .unwrap_or_else(|diagnostics| panic!("{diagnostics:?}"));
    assert_eq!(found.get("exact_version").as_str(), Some("1.0.12"));
    assert!(!found.get("published_date").is_null(), "hashicorp/terraform-provider-azurerm#19684");
}

// Azure/AgentBaker#8374: the operation succeeded, but the region had no image.
#[tokio::test(start_paused = true)]
async fn latest_skips_versions_that_are_not_replicated_to_the_region() {
    let core = with_sources().await;
    core.create(VERSION, &version(json!({}))).await;
    core.fault(json!({"method": "PUT", "path": "/versions/1\\.1\\.0$", "fail_region": "westeurope"}));
    let config = version(json!({"version": "1.1.0"}));
    let plan = core.plan(VERSION, None, &config).await;
    assert!(core.apply(&plan).await.held.is_some());
    let there = json!({"image_definition_id": rg("galleries/gal/images/def"), "location": "West Europe"});
    let found = core.data(VERSION, &there).await.unwrap_or_else(|diagnostics| panic!("{diagnostics:?}"));
    assert_eq!(found.get("exact_version").as_str(), Some("1.0.0"));
    assert!(encode(found.get("skipped"))["1.1.0"].is_string(), "the reason is reported: {found:?}");
}

// hashicorp/terraform-provider-azurerm#5569, for regions encrypted with customer-managed keys.
#[tokio::test(start_paused = true)]
async fn encrypted_regions_change_in_place() {
    let core = with_sources().await;
    let keyed = |name: &str, key: &str| json!({"name": name, "encryption": {"os_disk_encryption_set_id": rg(&format!("diskEncryptionSets/{key}"))}});
    let [east, europe, west] =
        [keyed("eastus", "des"), keyed("westeurope", "des-west"), keyed("West US", "des-westus")];
    let in_regions = |regions: Vec<Json>| {
        version(json!({"target_region": regions, "allow_deletion_of_replicated_locations": true}))
    };
    let held = core.create(VERSION, &in_regions(vec![east.clone(), europe.clone()])).await;
    let three = in_regions(vec![west.clone(), europe, east.clone()]);
    let held = core.change(&held, &three, Action::Update).await;
    let held = core.change(&held, &in_regions(vec![west, east]), Action::Update).await;
    assert_eq!(held.get("target_region").elements().len(), 2);
}

// hashicorp/terraform-provider-azurerm#12332 and #7751: impossible regions are rejected at plan, and their order does not
// matter.
#[tokio::test(start_paused = true)]
async fn duplicate_regions_and_invalid_counts_fail_at_plan() {
    let core = with_sources().await;
    for (regions, says) in [
        (json!([{"name": "East US"}, {"name": "eastus"}]), "given twice"),
        (json!([{"name": "East US", "regional_replica_count": 0}]), "regional_replica_count"),
        (json!([{"name": "East US", "regional_replica_count": 101}]), "regional_replica_count"),
    ] {
        let diagnostics = core.plan_refused(VERSION, None, &version(json!({"target_region": regions}))).await;
        diagnostics.assert_error(&[says]);
    }
    // a region added outside Terraform is shown, and not removed without permission
    let held = core.create(VERSION, &version(json!({}))).await;
    let more =
        json!([{"name": "eastus"}, {"name": "westeurope", "regionalReplicaCount": 2}, {"name": "westus"}]);
    core.tamper(held.text("id"), json!({"properties": {"publishingProfile": {"targetRegions": more}}}));
    let read = core.refresh(&held).await.unwrap().unwrap();
    assert_eq!(read.get("target_region").elements().len(), 3);
    core.plan_refused(VERSION, Some(&read), &version(json!({})))
        .await
        .assert_error(&["removes the region West US", "added outside Terraform"]);
}

// hashicorp/terraform-provider-azurerm#28962.
#[tokio::test(start_paused = true)]
async fn version_can_be_created_from_another_version() {
    let core = with_sources().await;
    let from = rg("galleries/gal/images/def2/versions/0.0.1");
    let held =
        has_a_normal_lifecycle(&core, VERSION, &version_of(json!({"image_version_id": from})), &[]).await;
    assert_eq!(core.azure_object(held.text("id"))["properties"]["storageProfile"]["source"]["id"], from);
    assert_eq!(held.get("source").get("image_version_id").as_str(), Some(from.as_str()));
}

// hashicorp/terraform-provider-azurerm#10433: a machine source has its own attribute instead of "managed image id".
#[tokio::test(start_paused = true)]
async fn version_from_a_machine_shows_its_source() {
    let core = with_sources().await;
    let machine = rg("virtualMachines/golden-vm");
    let held =
        has_a_normal_lifecycle(&core, VERSION, &version_of(json!({"virtual_machine_id": machine})), &[])
            .await;
    assert!(held.get("source").get("managed_image_id").is_null());
    assert_eq!(held.get("source").get("virtual_machine_id").as_str(), Some(machine.as_str()));
    let found = core
        .data(VERSION, &json!({"image_definition_id": rg("galleries/gal/images/def")}))
        .await
        .unwrap_or_else(|diagnostics| panic!("{diagnostics:?}"));
    assert!(found.get("source").get("managed_image_id").is_null());
}

// hashicorp/terraform-provider-azurerm#21671 (data disks), #29256 (the account of a VHD is sent as storageAccountId).
#[tokio::test(start_paused = true)]
async fn version_supports_data_disks_of_every_kind() {
    let core = with_sources().await;
    let account = format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/a"
    );
    let vhd = |name: &str| json!({"vhd_uri": format!("https://a.blob.core.windows.net/v/{name}.vhd"), "storage_account_id": account});
    let config = version_of(json!({
        "os_disk": vhd("os"),
        "data_disk": [
            {"lun": 0, "snapshot_id": rg("snapshots/data")},
            {"lun": 5, "disk_id": rg("disks/data2"), "host_caching": "ReadOnly"},
            patched(&vhd("data"), &json!({"lun": 63})),
        ],
    }));
    let held = has_a_normal_lifecycle(&core, VERSION, &config, &[]).await;
    let profile = core.azure_object(held.text("id"))["properties"]["storageProfile"].clone();
    assert_eq!(profile["osDiskImage"]["source"]["storageAccountId"], account.as_str());
    assert!(profile["osDiskImage"]["source"]["uri"].as_str().unwrap().ends_with("/os.vhd"));
    assert_eq!(profile["dataDiskImages"].as_array().unwrap().len(), 3);
}

// hashicorp/terraform-provider-azurerm#18663 and #21036: a community image as the source.
#[tokio::test(start_paused = true)]
async fn version_can_be_created_from_a_community_image() {
    let core = with_sources().await;
    let everybody = json!({"name": "everybody", "resource_group_name": "rg", "location": "eastus", "sharing": {
        "permission": "Community", "community": {
            "publisher_uri": "https://img.example", "publisher_email": "img@example.com",
            "eula": "https://img.example/eula", "public_name_prefix": "goldimg",
    }}});
    let gallery = core.create(GALLERY, &everybody).await;
    put(&core, &rg("galleries/everybody/images/web"), definition("web"));
    let body = json!({"location": "eastus", "properties": {
        "publishingProfile": {"targetRegions": [{"name": "eastus"}]}, "storageProfile": {"source": {"id": rg("images/img")}},
    }});
    put(&core, &rg("galleries/everybody/images/web/versions/1.0.0"), body);
    let public = gallery.get("sharing").get("community").get("public_name").as_str().unwrap().to_owned();
    let from = format!("/communityGalleries/{public}/images/web/versions/1.0.0");
    let held =
        has_a_normal_lifecycle(&core, VERSION, &version_of(json!({"community_image_id": from})), &[]).await;
    assert_eq!(held.get("source").get("community_image_id").as_str(), Some(from.as_str()));
}

// hashicorp/terraform-provider-azurerm#224.
#[tokio::test(start_paused = true)]
async fn managed_image_supports_disks_of_every_kind() {
    let core = with_sources().await;
    let vhd = |name: &str| format!("https://a.blob.core.windows.net/v/{name}.vhd");
    let config = json!({
        "name": "image", "resource_group_name": "rg", "location": "East US", "hyper_v_generation": "V2", "zone_resilient": true,
        "os_disk": {
            "os_type": "Linux", "os_state": "Specialized", "snapshot_id": rg("snapshots/os"), "caching": "ReadWrite",
            "storage_account_type": "Premium_LRS", "size_gb": 64, "disk_encryption_set_id": rg("diskEncryptionSets/des"),
        },
        "data_disk": [
            {"lun": 0, "managed_disk_id": rg("disks/data"), "disk_encryption_set_id": rg("diskEncryptionSets/des2")},
            {"lun": 1, "snapshot_id": rg("snapshots/data2"), "size_gb": 100, "storage_account_type": "StandardSSD_LRS"},
            {"lun": 9, "blob_uri": vhd("data"), "caching": "ReadOnly"},
        ],
    });
    let held = has_a_normal_lifecycle(&core, "azimage_managed_image", &config, &[]).await;
    let profile = core.azure_object(held.text("id"))["properties"]["storageProfile"].clone();
    assert_eq!(profile["osDisk"]["snapshot"]["id"], rg("snapshots/os"));
    assert_eq!(profile["dataDisks"].as_array().unwrap().len(), 3);
    assert!(core.destroy(&held).await.held.is_none());
}

// Azure/bicep-types-az#2430 (reordering was a change), Azure/azure-cli#33172 (changes needed a new definition).
#[tokio::test(start_paused = true)]
async fn order_of_disk_controllers_does_not_matter() {
    let core = Core::new().await;
    cases::with_gallery(&core);
    let both = define(json!({"disk_controller_types": ["SCSI", "NVMe"]}));
    let held = core.create(DEFINITION, &both).await;
    let mut definition = core.azure_object(held.text("id"));
    for feature in definition["properties"]["features"].as_array_mut().unwrap() {
        if feature["name"] == "DiskControllerTypes" {
            feature["value"] = json!("NVMe, SCSI");
        }
    }
    assert!(definition.to_string().contains("NVMe, SCSI"), "the order has changed: {definition}");
    core.fault(
        json!({"method": "GET", "path": "/images/def$", "count": 0, "status": 200, "body": definition.to_string()}),
    );
    let held = core.assert_no_changes(&held, &both).await;
    let brought = core.import(DEFINITION, held.text("id"), None).await.unwrap();
    assert_eq!(core.plan(DEFINITION, Some(&brought), &both).await.action, Action::NoOp);
    core.clear_faults();
    core.change(&held, &define(json!({"disk_controller_types": ["SCSI"]})), Action::Update).await;
}

// Azure/azure-cli#26632, and every other security type.
#[tokio::test(start_paused = true)]
async fn definition_supports_trusted_launch_and_confidential_machines() {
    for wanted in [
        "Standard",
        "TrustedLaunchSupported",
        "TrustedLaunch",
        "ConfidentialVMSupported",
        "ConfidentialVM",
        "TrustedLaunchAndConfidentialVMSupported",
    ] {
        let core = Core::new().await;
        cases::with_gallery(&core);
        let held =
            has_a_normal_lifecycle(&core, DEFINITION, &define(json!({"security_type": wanted})), &[]).await;
        assert_eq!(held.text("security_type"), wanted);
    }
}

// hashicorp/packer-plugin-azure#372.
#[tokio::test(start_paused = true)]
async fn confidential_version_has_a_key_per_region() {
    let core = with_sources().await;
    let mut body = definition("cvm");
    body["properties"]["features"] = json!([{"name": "SecurityType", "value": "ConfidentialVMSupported"}]);
    put(&core, &rg("galleries/gal/images/cvm"), body);
    let keyed = |name: &str, key: &str| {
        json!({"name": name, "encryption": {"confidential_vm": {
            "encryption_type": "EncryptedWithCmk", "secure_vm_disk_encryption_set_id": rg(&format!("diskEncryptionSets/{key}")),
        }}})
    };
    let config = version(json!({
        "image_definition_id": rg("galleries/gal/images/cvm"),
        "target_region": [keyed("East US", "des"), keyed("westeurope", "des-west")],
    }));
    let held = has_a_normal_lifecycle(&core, VERSION, &config, &[]).await;
    let regions =
        core.azure_object(held.text("id"))["properties"]["publishingProfile"]["targetRegions"].clone();
    for region in regions.as_array().unwrap() {
        let profile = &region["encryption"]["osDiskImage"]["securityProfile"];
        assert_eq!(profile["confidentialVMEncryptionType"], "EncryptedWithCmk", "{region}");
        assert!(profile["secureVMDiskEncryptionSetId"].as_str().is_some(), "{region}");
    }
    // the service cannot change a key in place
    let other = patched(
        &config,
        &json!({"target_region": [keyed("East US", "des2"), keyed("westeurope", "des-west")]}),
    );
    let plan = core.plan(VERSION, Some(&held), &other).await;
    assert_eq!(plan.action, Action::Replace);
    plan.diagnostics.assert_warning(&["encryption of East US"]);
}

// hashicorp/terraform-provider-azurerm#18326: an import includes the subscriptions and tenants that a gallery is shared with.
#[tokio::test(start_paused = true)]
async fn import_of_a_shared_gallery_includes_its_sharing() {
    let community = json!({"permission": "Community", "community": {
        "publisher_uri": "https://img.example", "publisher_email": "img@example.com",
        "eula": "https://img.example/eula", "public_name_prefix": "goldimg",
    }});
    let groups = json!({"permission": "Groups", "subscription_ids": [GUID_A], "tenant_ids": [GUID_C]});
    for sharing in [community, groups] {
        let core = Core::new().await;
        let config = patched(&cases::gallery().small, &json!({"sharing": sharing}));
        let held = has_a_normal_lifecycle(&core, GALLERY, &config, &[]).await;
        assert!(core.destroy(&held).await.held.is_none());
    }
}

// Azure/azure-cli#22223: the public profile of a community gallery changes in place, and drift is detected.
#[tokio::test(start_paused = true)]
async fn community_gallery_profile_changes_in_place() {
    let core = Core::new().await;
    let config = patched(
        &cases::gallery().small,
        &json!({"sharing": {"permission": "Community", "community": {
            "publisher_uri": "https://img.example", "publisher_email": "img@example.com",
            "eula": "https://img.example/eula", "public_name_prefix": "goldimg",
        }}}),
    );
    let mut held = core.create(GALLERY, &config).await;
    for (name, to) in [
        ("publisher_uri", "https://other.example"),
        ("publisher_email", "other@example.com"),
        ("eula", "https://other.example/eula"),
        ("public_name_prefix", "otherimg"),
    ] {
        let other = patched(&config, &json!({"sharing": {"community": {name: to}}}));
        held = core.change(&held, &other, Action::Update).await;
        assert_eq!(held.get("sharing").get("community").get(name).as_str(), Some(to));
        held = core.change(&held, &config, Action::Update).await;
    }
    for (name, attribute) in
        [("publisherUri", "publisher_uri"), ("publisherContact", "publisher_email"), ("eula", "eula")]
    {
        let info = json!({"properties": {"sharingProfile": {"communityGalleryInfo": {name: "https://hand.example"}}}});
        core.tamper(held.text("id"), info);
        let read = core.refresh(&held).await.unwrap().unwrap();
        let seen = read.get("sharing").get("community").get(attribute).as_str();
        assert_eq!(seen, Some("https://hand.example"), "{name}");
        held = core.change(&read, &config, Action::Update).await;
    }
}

// Azure/azure-cli#30820, #33172 and #18633: an import reads the less common settings too.
#[tokio::test(start_paused = true)]
async fn import_includes_less_common_settings() {
    let core = with_sources().await;
    let capable = json!({
        "name": "capable", "identifier": {"sku": "capable"}, "hibernation_enabled": true,
        "features": {"IsSecureBootSupported": "True", "Custom": "a"},
    });
    has_a_normal_lifecycle(&core, DEFINITION, &define(capable), &[]).await;
    let protected =
        json!({"block_deletion_before_end_of_life": true, "end_of_life_date": "2031-01-01T00:00:00Z"});
    has_a_normal_lifecycle(&core, VERSION, &version(protected), &[]).await;
    let region = |name: &str, key: &str| {
        json!({
            "name": name, "regional_replica_count": 2, "storage_account_type": "Premium_LRS", "exclude_from_latest": true,
            "encryption": {
                "os_disk_encryption_set_id": rg(&format!("diskEncryptionSets/{key}")),
                "data_disk": [{"lun": 3, "disk_encryption_set_id": rg(&format!("diskEncryptionSets/{key}"))}],
            },
        })
    };
    let places = [("East US", "des"), ("westeurope", "des-west")];
    let regions = places.map(|(name, key)| region(name, key));
    let source = json!({"os_disk": {"snapshot_id": rg("snapshots/os")}, "data_disk": [{"lun": 3, "snapshot_id": rg("snapshots/data")}]});
    let config = patched(&version_of(source), &json!({"version": "3.0.0", "target_region": regions}));
    let held = has_a_normal_lifecycle(&core, VERSION, &config, &[]).await;
    let plan = |name: &str, to: Json| {
        let regions = regions.clone().map(|region| patched(&region, &json!({name: to})));
        patched(&config, &json!({"target_region": regions}))
    };
    // settings of an existing region: keys and storage force a replacement, the rest changes in place
    for (name, to, action) in [
        ("encryption", json!({"data_disk": []}), Action::Replace),
        ("storage_account_type", json!("Standard_ZRS"), Action::Replace),
        ("exclude_from_latest", json!(false), Action::Update),
        ("regional_replica_count", json!(3), Action::Update),
    ] {
        assert_eq!(core.plan(VERSION, Some(&held), &plan(name, to)).await.action, action, "{name}");
    }
    // drift in them is detected as well
    let mut regions =
        core.azure_object(held.text("id"))["properties"]["publishingProfile"]["targetRegions"].clone();
    for region in regions.as_array_mut().unwrap() {
        region["regionalReplicaCount"] = json!(5);
        region["excludeFromLatest"] = json!(false);
    }
    core.tamper(held.text("id"), json!({"properties": {"publishingProfile": {"targetRegions": regions}}}));
    let read = core.refresh(&held).await.unwrap().unwrap();
    let first = &read.get("target_region").elements()[0];
    assert_eq!(first.get("regional_replica_count").as_i64(), Some(5));
    assert_eq!(first.get("exclude_from_latest").as_bool(), Some(false));
    core.change(&read, &config, Action::Update).await;
}

// theforeman/foreman_azure_rm#101 and hashicorp/packer-plugin-azure#321: a gallery in another subscription needs no additional
// provider.
#[tokio::test(start_paused = true)]
async fn children_of_a_gallery_use_its_subscription() {
    let core = Core::with(json!({"subscription_id": GUID_A})).await;
    cases::with_sources(&core);
    let held = has_a_normal_lifecycle(
        &core,
        DEFINITION,
        &define(json!({"name": "far", "identifier": {"sku": "far"}})),
        &[],
    )
    .await;
    assert!(held.text("id").contains(SUBSCRIPTION));
    let held = has_a_normal_lifecycle(&core, VERSION, &version(json!({})), &[]).await;
    assert!(held.text("id").contains(SUBSCRIPTION));
    let found = core
        .data(VERSION, &json!({"image_definition_id": rg("galleries/gal/images/def")}))
        .await
        .unwrap_or_else(|diagnostics| panic!("{diagnostics:?}"));
    assert_eq!(found.get("id").as_str(), Some(held.text("id")));
}

// hashicorp/terraform-provider-azurerm#21020 and #23195: works without permission to register resource providers.
#[tokio::test(start_paused = true)]
async fn registers_and_lists_no_resource_providers() {
    let core = Core::new().await;
    for path in ["/register$", "/providers$", "/providers/Microsoft.Compute$"] {
        core.fault(
            json!({"path": path, "count": 0, "status": 403, "code": "AuthorizationFailed", "message": "No."}),
        );
    }
    let held = core.create(GALLERY, &cases::gallery().small).await;
    assert!(core.destroy(&held).await.held.is_none());
}

// hashicorp/terraform-provider-azurerm#28797: machines created from such an image need the plan, so the definition stores it.
#[tokio::test(start_paused = true)]
async fn definition_keeps_its_purchase_plan() {
    let core = Core::new().await;
    cases::with_gallery(&core);
    let plan = json!({"name": "payg", "publisher": "acmefw", "product": "acme-firewall"});
    let held = has_a_normal_lifecycle(&core, DEFINITION, &define(json!({"purchase_plan": plan})), &[]).await;
    assert_eq!(encode(held.get("purchase_plan")), plan);
    let found = core
        .data(DEFINITION, &json!({"gallery_id": rg("galleries/gal"), "name": "def"}))
        .await
        .unwrap_or_else(|diagnostics| panic!("{diagnostics:?}"));
    assert_eq!(encode(found.get("purchase_plan")), plan);
}

// hashicorp/terraform-provider-azurerm#23326: concurrent writes to one object are serialized, and neither fails.
#[tokio::test(start_paused = true)]
async fn concurrent_writes_to_one_object_are_serialized() {
    let core = with_sources().await;
    let held = core.create(VERSION, &version(json!({}))).await;
    core.slow_operations();
    let [one, two] = [json!({"tags": {"writer": "one"}}), json!({"tags": {"writer": "two"}})].map(version);
    let one = core.plan(VERSION, Some(&held), &one).await;
    let two = core.plan(VERSION, Some(&held), &two).await;
    let advance = async {
        for _ in 0..20 {
            tokio::time::sleep(std::time::Duration::from_secs(30)).await;
            core.control("POST", "clock/advance", json!({"seconds": 1e8}));
        }
    };
    let (one, two, ()) = tokio::join!(core.apply(&one), core.apply(&two), advance);
    for applied in [&one, &two] {
        assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    }
    let last = core.azure_object(held.text("id"));
    assert!(["one", "two"].contains(&last["tags"]["writer"].as_str().unwrap()), "{last}");
    assert_eq!(last["properties"]["publishingProfile"]["targetRegions"].as_array().unwrap().len(), 2);
}

// MicrosoftDocs/azure-docs#118774 and Azure/terraform-provider-azapi#405: a mismatch fails at plan instead of after half an
// hour.
#[tokio::test(start_paused = true)]
async fn source_with_another_generation_or_os_state_is_rejected_at_plan() {
    let core = with_sources().await;
    let change = |name: &str, properties: Json| {
        put(
            &core,
            &rg(&format!("galleries/gal/images/{name}")),
            patched(&definition(name), &json!({"properties": properties})),
        );
        rg(&format!("galleries/gal/images/{name}"))
    };
    let first = change("first", json!({"hyperVGeneration": "V1"}));
    let special = change("special", json!({"osState": "Specialized"}));
    let sources = [
        json!({"managed_image_id": rg("images/img")}),
        json!({"virtual_machine_id": rg("virtualMachines/golden-vm")}),
        json!({"image_version_id": rg("galleries/gal/images/def2/versions/0.0.1")}),
        json!({"os_disk": {"snapshot_id": rg("snapshots/os")}}),
        json!({"os_disk": {"disk_id": rg("disks/os")}}),
    ];
    for source in sources {
        let config = patched(&version_of(source.clone()), &json!({"image_definition_id": first}));
        let diagnostics = core.plan_refused(VERSION, None, &config).await;
        diagnostics.assert_error(&["generation", "V1", "V2"]);
        // a disk does not show its OS state, and the OS state of a machine is not read
        if source.get("os_disk").is_none() && source.get("virtual_machine_id").is_none() {
            let config = patched(&version_of(source), &json!({"image_definition_id": special}));
            core.plan_refused(VERSION, None, &config).await.assert_error(&["Generalized", "Specialized"]);
        }
    }
}

// hashicorp/terraform-provider-azurerm#7707 and #224: every value that forces a replacement can be set at creation, is read
// back unchanged, and is imported without a difference.
#[tokio::test(start_paused = true)]
async fn values_that_force_a_replacement_can_be_set_at_creation() {
    let mut failed = Vec::new();
    for case in cases::all() {
        if case.id.is_none() {
            continue;
        }
        for (patch, paths) in &case.forces {
            // one names a gallery that does not exist; the other leaves the data disks in another region
            let elsewhere = case.name == "image of disks" && paths.contains(&"location");
            if paths.contains(&"source.community_image_id") || elsewhere {
                continue;
            }
            let run = async {
                let core = Core::new().await;
                (case.prepare)(&core);
                let config = patched(&patched(&case.small, &case.full), patch);
                let held = has_a_normal_lifecycle(&core, case.type_name, &config, case.not_imported).await;
                let gone = core.destroy(&held).await;
                assert!(gone.held.is_none(), "{:?}", gone.diagnostics);
            };
            if AssertUnwindSafe(run).catch_unwind().await.is_err() {
                failed.push(format!("{}: {patch}", case.name));
            }
        }
    }
    assert!(failed.is_empty(), "failed for {failed:#?}; see above");
}
