//! Requests to the compute provider: PATCH semantics, identities, operating systems, incompatible sources, old api-versions.

use super::*;

const APP: &str =
    r#"{"location":"eastus","tags":{"a":"b"},"properties":{"supportedOSType":"Linux","description":"d"}}"#;
const APP_VERSION: &str = r#"{"location":"eastus","properties":{"publishingProfile":{"source":{"mediaLink":"https://x/y"},"manageActions":{"install":"i","remove":"r"},"targetRegions":[{"name":"eastus"},{"name":"westus"}]}}}"#;
const DISK: &str = r#"{"location":"eastus","sku":{"name":"Premium_LRS"},"properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":64}}"#;

/// `golden-vm` of `my-rg`.
fn machine_id() -> String {
    rg("virtualMachines/golden-vm")
}

fn definition_body(generation: &str, features: &str) -> String {
    format!(
        r#"{{"location":"eastus","properties":{{"osType":"Linux","osState":"Generalized","hyperVGeneration":"{generation}","features":[{features}],"identifier":{{"publisher":"p","offer":"o","sku":"s{generation}"}}}}}}"#
    )
}

fn source_body(source: &str) -> String {
    format!(
        r#"{{"location":"eastus","properties":{{"publishingProfile":{{"targetRegions":[{{"name":"eastus"}}]}},"storageProfile":{{{source}}}}}}}"#
    )
}

fn without_state(body: &Json) -> String {
    let mut shown = body.clone();
    shown.remove("tags");
    shown.remove("etag");
    shown.entry("properties").remove("provisioningState");
    shown.compact()
}

#[test]
fn patch_without_properties_changes_nothing() {
    let mut world = World::new();
    world.gallery();
    world.definition();
    world.image();
    world.done(
        "PUT",
        &gal("/images/img/versions/1.0.0?api-version=2026-03-03"),
        &version_body(r#"{"name":"eastus"}"#, ""),
    );
    world.done("PUT", &gal("/applications/app?api-version=2026-03-03"), APP);
    world.done("PUT", &gal("/applications/app/versions/1.0.0?api-version=2026-03-03"), APP_VERSION);
    world.done("PUT", &rg("disks/d?api-version=2026-03-02"), DISK);
    let snapshot = format!(
        r#"{{"location":"eastus","properties":{{"creationData":{{"createOption":"Copy","sourceResourceId":"{}"}}}}}}"#,
        rg("disks/d")
    );
    world.done("PUT", &rg("snapshots/s?api-version=2026-03-02"), &snapshot);
    world.done("DELETE", &rg("disks/d?api-version=2026-03-02"), "");
    world.done("PUT", &rg("disks/e?api-version=2026-03-02"), DISK);
    for (url, api) in [
        (gal(""), "2026-03-03"),
        (gal("/images/img"), "2026-03-03"),
        (gal("/images/img/versions/1.0.0"), "2026-03-03"),
        (gal("/applications/app"), "2026-03-03"),
        (gal("/applications/app/versions/1.0.0"), "2026-03-03"),
        (rg("images/captured"), "2026-03-01"),
        (rg("disks/e"), "2026-03-02"),
        (rg("snapshots/s"), "2026-03-02"),
        (machine_id(), "2026-03-01"),
    ] {
        world.wait(3_600.0);
        let url = format!("{url}?api-version={api}");
        let before = world.ask("GET", &url, "").body;
        let got = world.ask("PATCH", &url, r#"{"tags":{"changed":"yes"}}"#);
        assert!(got.status < 300, "{url}: {} {}", got.status, got.raw);
        world.wait(3_600.0);
        let after = world.ask("GET", &url, "").body;
        assert_eq!(after.text("tags.changed"), Some("yes"), "{url}");
        assert_eq!(without_state(&after), without_state(&before), "{url}");
    }
}

#[test]
fn tags_api_updates_resources_and_groups() {
    let mut world = World::new();
    world.gallery();
    let tags =
        |scope: &str| format!("{scope}/providers/Microsoft.Resources/tags/default?api-version=2025-04-01");
    let group = format!("{S}/resourceGroups/my-rg");
    for (scope, own) in [
        (gal(""), gal("?api-version=2026-03-03")),
        (group.clone(), format!("{group}?api-version=2022-09-01")),
    ] {
        let url = tags(&scope);
        let put = world.ask("PUT", &url, r#"{"properties":{"tags":{"env":"dev","team":"a"}}}"#);
        assert_eq!(put.status, 200);
        assert_eq!(put.body.text("id"), Some(url.split('?').next().unwrap()));
        assert_eq!(put.body.text("type"), Some("Microsoft.Resources/tags"));
        let merge = r#"{"operation":"Merge","properties":{"tags":{"ENV":"prod"}}}"#;
        assert_eq!(world.ask("PATCH", &url, merge).body.text("properties.tags.env"), Some("prod"));
        assert_eq!(world.ask("GET", &own, "").body.text("tags.env"), Some("prod"));
        let delete = r#"{"operation":"Delete","properties":{"tags":{"team":"a"}}}"#;
        assert_eq!(world.ask("PATCH", &url, delete).body.at("properties.tags.team"), None);
        let removed = world.ask("DELETE", &url, "");
        assert_eq!((removed.status, removed.raw.as_str()), (200, ""));
        assert!(world.ask("GET", &own, "").body.get("tags").is_none_or(Json::is_empty));
    }
    let subscription = tags(S);
    world.ask("PUT", &subscription, r#"{"properties":{"tags":{"owner":"a"}}}"#);
    let shown = world.ask("GET", &format!("{S}?api-version=2022-12-01"), "").body;
    assert_eq!(shown.text("tags.owner"), Some("a"));
    let reserved = r#"{"properties":{"tags":{"a/b":"1"}}}"#;
    assert_eq!(world.ask("PUT", &subscription, reserved).code(), "InvalidTagNameCharacters");
    assert_eq!(world.ask("GET", &tags(&gal("/images/none")), "").code(), "ResourceNotFound");
    assert_eq!(world.ask("PATCH", &tags(&group), r#"{"operation":"Add"}"#).status, 400);
}

#[test]
fn tag_names_count_their_uses_and_cannot_be_deleted_while_used() {
    let world = World::new();
    let names = |tail: &str| format!("{S}/tagNames{tail}?api-version=2021-04-01");
    assert_eq!(world.ask("PUT", &names("/cost"), "").status, 201);
    assert_eq!(world.ask("PUT", &names("/cost"), "").status, 200);
    assert_eq!(world.ask("PUT", &names("/cost/tagValues/low"), "").status, 201);
    let group = format!("{S}/resourceGroups/my-rg?api-version=2022-09-01");
    assert_eq!(world.ask("PATCH", &group, r#"{"tags":{"cost":"high"}}"#).status, 200);
    let list = world.ask("GET", &names(""), "");
    assert_eq!(list.body.list("value")[0].int("count.value"), Some(1));
    assert_eq!(list.body.list("value")[0].list("values").len(), 2);
    assert_eq!(world.ask("DELETE", &names("/cost"), "").code(), "TagInUse");
    assert_eq!(world.ask("DELETE", &names("/cost/tagValues/low"), "").status, 200);
    assert_eq!(world.ask("DELETE", &names("/other"), "").status, 204);
}

#[test]
fn user_assigned_identities_have_consistent_ids() {
    let mut world = World::new();
    let id = format!("{S}/resourceGroups/my-rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/u");
    let made = world.ask("PUT", &format!("{id}?api-version=2023-01-31"), r#"{"location":"eastus"}"#);
    let client = made.body.text("properties.clientId").unwrap().to_owned();
    let body = format!(
        r#"{{"location":"eastus","identity":{{"type":"SystemAssigned,UserAssigned","userAssignedIdentities":{{"{id}":{{}}}}}}}}"#
    );
    let gallery = world.done("PUT", &gal("?api-version=2026-03-03"), &body).body;
    assert_eq!(gallery.text("identity.type"), Some("SystemAssigned, UserAssigned"));
    assert!(gallery.text("identity.principalId").is_some());
    let users = gallery.at("identity.userAssignedIdentities").unwrap();
    assert_eq!(users.get(&id).unwrap().text("clientId"), Some(client.as_str()));
    assert!(users.get(&id).unwrap().text("principalId").is_some());
    world.wait(60.0);
    let body = body.replace(r#""location":"eastus","#, "");
    let got = world.ask("PATCH", &format!("{}?api-version=2026-03-01", machine_id()), &body);
    let users = got.body.at("identity.userAssignedIdentities");
    let user = users.and_then(|users| users.get(&id)).unwrap_or_else(|| panic!("{}", got.raw));
    assert_eq!(user.text("clientId"), Some(client.as_str()));
}

#[test]
fn patch_adds_and_removes_user_assigned_identities() {
    let mut world = World::new();
    let id = |name: &str| {
        format!("{S}/resourceGroups/my-rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}")
    };
    let url = format!("{}?api-version=2026-03-01", machine_id());
    let mut patch = |users: &str| {
        let body =
            format!(r#"{{"identity":{{"type":"UserAssigned","userAssignedIdentities":{{{users}}}}}}}"#);
        let got = world.ask("PATCH", &url, &body);
        world.wait(60.0);
        got
    };
    assert_eq!(patch("").code(), "MissingIdentityIds");
    patch(&format!(r#""{}":{{}}"#, id("a")));
    let got = patch(&format!(r#""{}":{{}}"#, id("b")));
    let users = |got: &Got| -> Vec<String> {
        let users = got.body.at("identity.userAssignedIdentities").unwrap();
        users.pairs().iter().map(|(id, _)| id.clone()).collect()
    };
    assert_eq!(users(&got), [id("a"), id("b")], "{}", got.raw);
    let got = patch(&format!(r#""{}":null"#, id("a")));
    assert_eq!(users(&got), [id("b")], "{}", got.raw);
}

#[test]
fn machines_check_size_and_image() {
    let mut world = World::new();
    let body = |size: &str, reference: &str| {
        format!(
            r#"{{"location":"eastus","properties":{{"hardwareProfile":{{"vmSize":"{size}"}},"storageProfile":{{"imageReference":{{{reference}}},"osDisk":{{"createOption":"FromImage"}}}}}}}}"#
        )
    };
    let url = rg("virtualMachines/vm?api-version=2026-03-01");
    let debian = r#""publisher":"Debian","offer":"debian-12","sku":"12-gen2","version":"latest""#;
    for (size, reference, code, target) in [
        ("nonsense", debian, "InvalidParameter", "vmSize"),
        ("Standard_B1s", "", "InvalidParameter", "imageReference"),
        ("Standard_B1s", r#""publisher":"Debian""#, "InvalidParameter", "imageReference"),
        ("Standard_B1s", &format!(r#""id":"{}""#, rg("disks/x")), "InvalidParameter", "imageReference.id"),
        (
            "Standard_B1s",
            r#""communityGalleryImageId":"/CommunityGalleries/none/Images/i/Versions/1.0.0""#,
            "GalleryImageNotFound",
            "imageReference",
        ),
        (
            "Standard_B1s",
            r#""sharedGalleryImageId":"/SharedGalleries/none/Images/i""#,
            "GalleryImageNotFound",
            "imageReference",
        ),
    ] {
        let got = world.ask("PUT", &url, &body(size, reference));
        let target_of = got.body.text("error.target");
        assert_eq!((got.code(), target_of), (code, Some(target)), "{size} {reference}: {}", got.raw);
    }
    world.done("PUT", &url, &body("Standard_B1s", debian));
    world.done("PUT", &url, &body("Standard_B2s", debian));
    let got = world.ask("PUT", &url, &body("Standard_B2s", &debian.replace("12-gen2", "12-arm64")));
    assert_eq!((got.status, got.code()), (409, "PropertyChangeNotAllowed"));
    assert_eq!(got.body.text("error.message"), Some("Changing property 'imageReference' is not allowed."));
}

#[test]
fn machines_start_from_shared_galleries() {
    let mut world = World::new();
    let sharing = r#"{"location":"eastus","properties":{"sharingProfile":{"permissions":"Groups"}}}"#;
    world.done("PUT", &gal("?api-version=2026-03-03"), sharing);
    world.definition();
    world.image();
    let version = gal("/images/img/versions/1.2.0?api-version=2026-03-03");
    world.done("PUT", &version, &version_body(r#"{"name":"eastus"}"#, ""));
    let unique = world.ask("GET", &gal("?api-version=2026-03-03"), "").body;
    let unique = unique.text("properties.identifier.uniqueName").unwrap().to_owned();
    let body = |tail: &str| {
        format!(
            r#"{{"location":"eastus","properties":{{"storageProfile":{{"imageReference":{{"sharedGalleryImageId":"/SharedGalleries/{unique}/Images/img{tail}"}},"osDisk":{{"createOption":"FromImage"}}}}}}}}"#
        )
    };
    for (name, tail) in [("a", "/Versions/1.2.0"), ("b", "/Versions/latest"), ("c", "")] {
        let url = rg(&format!("virtualMachines/{name}?api-version=2026-03-01"));
        let made = world.done("PUT", &url, &body(tail)).body;
        let image = made.at("properties.storageProfile.imageReference").unwrap();
        assert_eq!(image.text("exactVersion"), Some("1.2.0"), "{tail}");
        assert_eq!(made.text("properties.storageProfile.osDisk.osType"), Some("Linux"), "{tail}");
    }
    let absent = rg("virtualMachines/d?api-version=2026-03-01");
    assert_eq!(world.ask("PUT", &absent, &body("/Versions/1.2.1")).code(), "GalleryImageNotFound");
}

/// The URL of boot diagnostics ends with `core.windows.net`, which must not be mistaken for the operating system.
#[test]
fn os_type_comes_from_the_image() {
    let mut world = World::new();
    let machine = |reference: &str| {
        format!(
            r#"{{"location":"eastus","properties":{{"diagnosticsProfile":{{"bootDiagnostics":{{"enabled":true,"storageUri":"https://x.blob.core.windows.net/"}}}},"storageProfile":{{"imageReference":{reference},"osDisk":{{"createOption":"FromImage"}}}}}}}}"#
        )
    };
    for (reference, os) in [
        (r#"{"publisher":"Debian","offer":"debian-12","sku":"12-gen2","version":"latest"}"#, "Linux"),
        (
            r#"{"publisher":"MicrosoftWindowsServer","offer":"WindowsServer","sku":"2022-datacenter-g2","version":"latest"}"#,
            "Windows",
        ),
    ] {
        let url = rg(&format!("virtualMachines/{os}?api-version=2026-03-01"));
        world.done("PUT", &url, &machine(reference));
        let shown = world.ask("GET", &url, "").body;
        assert_eq!(shown.text("properties.storageProfile.osDisk.osType"), Some(os));
    }
    let absent = r#"{"publisher":"Debian","offer":"debian-12","sku":"12-gen2","version":"1.2.3"}"#;
    let got = world.ask("PUT", &rg("virtualMachines/x?api-version=2026-03-01"), &machine(absent));
    assert_eq!((got.status, got.code()), (404, "PlatformImageNotFound"));
}

#[test]
fn source_of_another_generation_fails_the_operation() {
    let mut world = World::new();
    world.gallery();
    world.done("PUT", &gal("/images/old?api-version=2026-03-03"), &definition_body("V1", ""));
    world.capture();
    let url = gal("/images/old/versions/1.0.0?api-version=2026-03-03");
    let body = source_body(&format!(r#""source":{{"virtualMachineId":"{}"}}"#, machine_id()));
    let got = world.ask("PUT", &url, &body);
    assert_eq!(got.status, 201, "{}", got.raw);
    world.wait(10.0);
    let operation = world.ask("GET", got.header("Azure-AsyncOperation"), "").body;
    assert_eq!(operation.text("status"), Some("Failed"));
    assert_eq!(operation.text("error.code"), Some("Conflict"));
    assert_eq!(
        operation.text("error.message"),
        Some(format!("The resource with id '{}' has a different Hypervisor generation ['V2'] than the parent gallery image Hypervisor generation ['V1'].", machine_id()).as_str())
    );
    let shown = world.ask("GET", &format!("{url}&$expand=ReplicationStatus"), "").body;
    assert_eq!(shown.text("properties.provisioningState"), Some("Failed"));
    assert_eq!(shown.text("properties.replicationStatus.aggregatedState"), Some("Failed"));
}

#[test]
fn trusted_launch_supported_definitions_reject_machines_and_disks() {
    let mut world = World::new();
    world.gallery();
    let feature = r#"{"name":"SecurityType","value":"TrustedLaunchSupported"}"#;
    world.done("PUT", &gal("/images/tl?api-version=2026-03-03"), &definition_body("V2", feature));
    world.image();
    let disk = r#"{"location":"eastus","properties":{"osType":"Linux","hyperVGeneration":"V2","creationData":{"createOption":"Empty"},"diskSizeGB":30}}"#;
    world.done("PUT", &rg("disks/os?api-version=2026-03-02"), disk);
    let url = gal("/images/tl/versions/1.0.0?api-version=2026-03-03");
    for (source, id) in [
        (r#""source":{"virtualMachineId":"ID"}"#, machine_id()),
        (r#""source":{"id":"ID"}"#, machine_id()),
        (r#""osDiskImage":{"source":{"id":"ID"}}"#, rg("disks/os")),
    ] {
        let got = world.ask("PUT", &url, &source_body(&source.replace("ID", &id)));
        assert_eq!((got.status, got.code()), (400, "InvalidParameter"), "{}", got.raw);
        assert_eq!(
            got.body.text("error.message"),
            Some(format!("The security type 'TrustedLaunchSupported' is not supported for the source id '{id}'. Currently only Vhd Blob, User Image and Gallery Image Version sources are supported for 'TrustedLaunchSupported' images.").as_str())
        );
    }
    let image = source_body(&format!(r#""source":{{"id":"{}"}}"#, rg("images/captured")));
    assert_eq!(world.ask("PUT", &url, &image).status, 201);
}

#[test]
fn managed_image_errors_name_the_mismatch() {
    let mut world = World::new();
    world.capture();
    let image = |machine: &str, generation: &str| {
        format!(
            r#"{{"location":"eastus","properties":{{"hyperVGeneration":"{generation}","sourceVirtualMachine":{{"id":"{machine}"}}}}}}"#
        )
    };
    let url = rg("images/i?api-version=2026-03-01");
    let got = world.ask("PUT", &url, &image(&machine_id(), "V1"));
    assert_eq!((got.status, got.code()), (400, "InvalidParameter"));
    assert_eq!(
        got.body.text("error.message"),
        Some(
            "The Input HyperVGeneration property: 'V1' does not match with the HyperVGeneration property: 'Gen2' belonging to source: 'sourceVirtualMachine'."
        )
    );
    let got = world.ask("PUT", &url, &image(&rg("virtualMachines/none"), "V2"));
    assert_eq!((got.status, got.code()), (404, "NotFound"));
    assert_eq!(
        got.body.text("error.message"),
        Some("Source Virtual Machine 'none' specified in the request does not exist in this Azure location.")
    );
}

#[test]
fn oldest_api_versions_take_the_source_from_the_publishing_profile() {
    let mut world = World::new();
    world.gallery();
    world.definition();
    world.image();
    let url = gal("/images/img/versions/1.0.0?api-version=2018-06-01");
    let body = |storage: &str| {
        format!(
            r#"{{"location":"eastus","properties":{{"publishingProfile":{{"targetRegions":[{{"name":"eastus"}}],"source":{{"managedImage":{{"id":"{}"}}}}}}{storage}}}}}"#,
            rg("images/captured")
        )
    };
    let refused = world.ask("PUT", &url, &body(r#","storageProfile":{"source":{"id":"x"}}"#));
    assert_eq!(
        refused.body.text("error.message"),
        Some("Parameter 'galleryImageVersion.properties.storageProfile' is not allowed.")
    );
    world.done("PUT", &url, &body(""));
    let old = world.ask("GET", &url, "").body;
    assert_eq!(
        old.text("properties.publishingProfile.source.managedImage.id"),
        Some(rg("images/captured").as_str())
    );
    assert_eq!(old.at("properties.storageProfile.source"), None);
    let new = world.ask("GET", &url.replace("2018-06-01", "2026-03-03"), "").body;
    assert_eq!(new.text("properties.storageProfile.source.id"), Some(rg("images/captured").as_str()));
    assert_eq!(new.at("properties.publishingProfile.source"), None);
}

#[test]
fn versions_show_their_platform_image() {
    let mut world = World::new();
    world.gallery();
    world.definition();
    world.image();
    let url = gal("/images/img/versions/1.0.0?api-version=");
    world.done("PUT", &format!("{url}2026-03-03"), &version_body(r#"{"name":"eastus"}"#, ""));
    world.wait(3_600.0);
    let shown = world.ask("GET", &format!("{url}2024-03-03"), "").body;
    let validations = shown.at("properties.validationsProfile").unwrap();
    assert_eq!(
        validations.compact(),
        r#"{"validationOperationStatus":"NotExecuted","platformAttributes":[{"name":"source_image_publisher","value":"Canonical"},{"name":"source_image_offer","value":"ubuntu-24_04-lts"},{"name":"source_image_sku","value":"server"}]}"#
    );
    assert_eq!(
        world.ask("GET", &format!("{url}2023-07-03"), "").body.at("properties.validationsProfile"),
        None
    );
}

#[test]
fn marketplace_version_properties_depend_on_generation() {
    let world = World::new();
    let url = |tail: &str| {
        format!("{S}/providers/Microsoft.Compute/locations/eastus/publishers/{tail}?api-version=2026-03-01")
    };
    let skus = "canonical/artifacttypes/vmimage/offers/0001-com-ubuntu-server-jammy/skus";
    for (sku, replicas, size) in
        [("22_04-lts-gen2", "Managed", "sizeInGb"), ("22_04-lts", "Unmanaged", "sizeInBytes")]
    {
        let got = world.ask("GET", &url(&format!("{skus}/{sku}/versions/22.04.202401010")), "");
        assert_eq!(got.status, 200, "{}", got.raw);
        assert_eq!(got.body.text("properties.replicaType"), Some(replicas));
        let disk = got.body.at("properties.osDiskImage").unwrap();
        assert_eq!(
            disk.pairs().iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["operatingSystem", size]
        );
        assert!(got.body.text("id").unwrap().contains("/Publishers/canonical/"));
    }
    let list = world.ask("GET", &url(skus), "");
    assert!(list.raw.contains("/Publishers/canonical/"), "{}", list.raw);
    for absent in ["canonical/artifacttypes/vmimage/offers/none/skus", &format!("{skus}/none/versions")] {
        let got = world.ask("GET", &url(absent), "");
        assert_eq!(got.status, 404);
        assert_eq!(got.raw.matches("Artifact: VMImage was not found.").count(), 1);
    }
    let urn = r#"{"publisher":"Contoso","offer":"linux","sku":"base-gen2","version":"1.0.0"}"#;
    assert_eq!(world.ask("POST", "/_emulator/marketplace/withdraw", urn).status, 400);
    assert_eq!(world.ask("POST", "/_emulator/marketplace/publish", urn).status, 200);
    let got = world.ask(
        "GET",
        &url("contoso/artifacttypes/vmimage/offers/linux/skus/base-gen2/versions/1.0.0"),
        "",
    );
    assert_eq!(got.body.text("properties.hyperVGeneration"), Some("V2"), "{}", got.raw);
}
