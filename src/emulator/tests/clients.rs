//! The requests of clients with typed models: properties that they always send, and responses that they rely on.

use super::*;

const API: &str = "?api-version=2024-03-01";
const DISK: &str = "?api-version=2023-04-02";

fn machine(os_disk: &str, data: &str, interfaces: &str) -> String {
    format!(
        r#"{{"location":"eastus","properties":{{"hardwareProfile":{{"vmSize":"Standard_D2s_v5"}},"storageProfile":{{"imageReference":{{"publisher":"Canonical","offer":"ubuntu-24_04-lts","sku":"server","version":"latest"}},"osDisk":{{"name":"os","createOption":"FromImage"{os_disk}}},"dataDisks":[{data}]}},"networkProfile":{{"networkInterfaces":[{interfaces}]}}}}}}"#
    )
}

impl World {
    fn disk(&mut self, name: &str) -> String {
        let body =
            r#"{"location":"eastus","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":8}}"#;
        self.done("PUT", &rg(&format!("disks/{name}{DISK}")), body);
        format!(
            r#"{{"lun":0,"createOption":"Attach","managedDisk":{{"id":"{}"}}}}"#,
            rg(&format!("disks/{name}"))
        )
    }

    fn disk_state(&self, name: &str) -> (u16, String, bool) {
        let got = self.ask("GET", &rg(&format!("disks/{name}{DISK}")), "");
        let state = got.body.text("properties.diskState").unwrap_or_default().to_owned();
        (got.status, state, got.body.get("managedBy").is_some())
    }
}

#[test]
fn deleting_a_machine_deletes_resources_with_delete_option() {
    let mut world = World::new();
    let data = world.disk("data");
    let nic = format!("{S}/resourceGroups/my-rg/providers/Microsoft.Network/networkInterfaces/nic");
    let network = format!("{nic}?api-version=2024-01-01");
    world.done("PUT", &network, r#"{"location":"eastus","properties":{}}"#);
    let vm = rg(&format!("virtualMachines/vm{API}"));
    let interfaces = format!(r#"{{"id":"{nic}","properties":{{"deleteOption":"Delete"}}}}"#);
    world.done("PUT", &vm, &machine(r#","deleteOption":"Delete""#, &data, &interfaces));
    assert_eq!(world.disk_state("os"), (200, "Attached".to_owned(), true));
    assert_eq!(world.disk_state("data"), (200, "Attached".to_owned(), true));
    let refused = world.ask("DELETE", &rg(&format!("disks/data{DISK}")), "");
    assert_eq!((refused.status, refused.code()), (409, "OperationNotAllowed"));

    let deleting = world.ask("DELETE", &vm, "");
    assert_eq!(deleting.status, 202);
    assert_eq!(world.disk_state("os").0, 200, "until the machine is deleted");
    world.wait(5.0);
    assert_eq!(world.disk_state("os").0, 404);
    assert_eq!(world.ask("GET", &network, "").status, 404);
    assert_eq!(world.disk_state("data"), (200, "Unattached".to_owned(), false));
    assert_eq!(world.ask("DELETE", &rg(&format!("disks/data{DISK}")), "").status, 202);
}

#[test]
fn disk_attaches_to_one_machine() {
    let mut world = World::new();
    let data = world.disk("data");
    let [first, second] = ["one", "two"].map(|name| rg(&format!("virtualMachines/{name}{API}")));
    world.done("PUT", &first, &machine("", &data, ""));
    let taken = world.ask("PUT", &second, &machine("", &data, "").replace("\"os\"", "\"os2\""));
    assert_eq!((taken.status, taken.code()), (409, "ConflictingUserInput"));
    world.done("POST", &rg(&format!("virtualMachines/one/deallocate{API}")), "");
    assert_eq!(world.disk_state("data"), (200, "Reserved".to_owned(), true));
    // a PUT without the disk detaches it
    world.done("PUT", &first, &machine("", "", ""));
    assert_eq!(world.disk_state("data"), (200, "Unattached".to_owned(), false));
    world.done("PUT", &second, &machine("", &data, "").replace("\"os\"", "\"os2\""));
    assert_eq!(world.disk_state("data"), (200, "Attached".to_owned(), true));
}

#[test]
fn preflight_returns_the_result_of_a_put_and_creates_nothing() {
    let mut world = World::new();
    let ask = |world: &World, kind: &str, name: &str, properties: &str| {
        let body = format!(
            r#"{{"provider":"Microsoft.Compute","type":"{kind}","location":"eastus","scope":"{S}/resourceGroups/my-rg","resources":[{{"name":"{name}","apiVersion":"2026-03-03","properties":{properties}}}],"performPreflightWithoutRbacWriteCheck":true}}"#
        );
        world.ask("POST", "/providers/Microsoft.Resources/validateResources?api-version=2020-10-01", &body)
    };
    assert_eq!(ask(&world, "galleries", "gal", "{}").status, 200);
    assert_eq!(world.ask("GET", &gal("?api-version=2026-03-03"), "").status, 404);
    let refused = ask(&world, "galleries", "g-a-l", "{}");
    assert_eq!(refused.status, 400);
    assert!(
        refused.body.text("error.target").unwrap_or_default().ends_with("/galleries/g-a-l"),
        "{}",
        refused.raw
    );
    let image = |os: &str| {
        format!(
            r#"{{"osType":"{os}","osState":"Generalized","hyperVGeneration":"V2","identifier":{{"publisher":"p","offer":"o","sku":"s"}}}}"#
        )
    };
    // neither parents nor unknown values are required
    assert_eq!(ask(&world, "galleries/images", "gal/img", &image("Linux")).status, 200);
    assert_eq!(ask(&world, "galleries/images", "gal/img", r#"{"osType":"[length('foo')]"}"#).status, 200);
    world.gallery();
    world.definition();
    assert_eq!(ask(&world, "galleries/images", "gal/img", &image("Linux")).status, 200);
    assert_eq!(
        ask(&world, "galleries/images", "gal/img", &image("Windows")).code(),
        "PropertyChangeNotAllowed"
    );
}

/// The empty properties that azurerm always sends for a machine and an image.
#[test]
fn empty_properties_equal_absent_ones() {
    let mut world = World::new();
    let vm = rg(&format!("virtualMachines/vm{API}"));
    let body = machine("", "", "")
        .replacen(
            "\"properties\":{",
            "\"identity\":{\"type\":\"None\",\"userAssignedIdentities\":null},\"properties\":{\"additionalCapabilities\":{},",
            1,
        );
    world.done("PUT", &vm, &body);
    let shown = world.ask("GET", &vm, "");
    assert!(shown.body.get("identity").is_none(), "{}", shown.raw);
    assert!(shown.body.at("properties.additionalCapabilities").is_none(), "{}", shown.raw);
    let changed = body.replace("{},", "{\"ultraSSDEnabled\":true},");
    world.done("PUT", &vm, &changed);
    assert!(world.ask("GET", &vm, "").raw.contains("ultraSSDEnabled"));

    world.disk("data");
    let disk = format!(
        r#"{{"managedDisk":{{"id":"{}"}},"blobUri":"","caching":"None","storageAccountType":"Standard_LRS""#,
        rg("disks/data")
    );
    let image = rg(&format!("images/img{API}"));
    world.done(
        "PUT",
        &image,
        &format!(
            r#"{{"location":"eastus","properties":{{"hyperVGeneration":"V2","storageProfile":{{"osDisk":{disk},"osType":"Linux","osState":"Generalized"}},"dataDisks":[{disk},"lun":0}}]}}}}}}"#
        ),
    );
    assert!(!world.ask("GET", &image, "").raw.contains("blobUri"));
}

#[test]
fn role_definitions_have_names() {
    let mut world = World::new();
    world.gallery();
    let at =
        |scope: &str, tail: &str| format!("{scope}/providers/Microsoft.Authorization/roleDefinitions{tail}");
    let gallery = gal("");
    let named = at(&gallery, "?api-version=2022-04-01&$filter=roleName%20eq%20'Reader'");
    let got = world.ask("GET", &named, "");
    let reader = got.body.list("value")[0].text("id").unwrap_or_default().to_owned();
    assert_eq!(
        (got.body.list("value").len(), reader.as_str()),
        (1, at(S, "/acdd72a7-3385-48ef-bd42-f606fba81ae7").as_str())
    );
    let one = world.ask("GET", &format!("{reader}?api-version=2022-04-01"), "");
    assert_eq!(one.body.text("properties.roleName"), Some("Reader"));
    let own = at(S, "/11111111-1111-1111-1111-111111111111?api-version=2022-04-01");
    assert_eq!(world.ask("GET", &own, "").code(), "RoleDefinitionDoesNotExist");
    world.ask("PUT", &own, r#"{"properties":{"roleName":"Baker","type":"CustomRole"}}"#);
    assert_eq!(world.ask("GET", &own, "").body.text("properties.roleName"), Some("Baker"));
    let listed = world.ask("GET", &at(S, "?api-version=2022-04-01&$filter=roleName%20eq%20'Baker'"), "");
    assert_eq!(listed.body.list("value").len(), 1);
}

#[test]
fn application_version_patch_keeps_omitted_properties() {
    let mut world = World::new();
    world.gallery();
    world.ask(
        "PUT",
        &gal("/applications/app?api-version=2022-03-03"),
        r#"{"location":"eastus","properties":{"supportedOSType":"Linux"}}"#,
    );
    let url = gal("/applications/app/versions/0.0.1?api-version=2022-03-03");
    assert_eq!(world.ask("PATCH", &url, r#"{"tags":{}}"#).status, 404);
    world.done(
        "PUT",
        &url,
        r#"{"location":"eastus","tags":{"a":"b"},"properties":{"publishingProfile":{"source":{"mediaLink":"https://x/a.zip"},"manageActions":{"install":"i","remove":"r"},"targetRegions":[{"name":"eastus","excludeFromLatest":true}]}}}"#,
    );
    world.done(
        "PATCH",
        &url,
        r#"{"properties":{"publishingProfile":{"source":{"mediaLink":""},"excludeFromLatest":true}}}"#,
    );
    let shown = world.ask("GET", &url, "");
    let profile = shown.body.at("properties.publishingProfile").unwrap();
    assert_eq!(profile.text("source.mediaLink"), Some("https://x/a.zip"), "{}", shown.raw);
    assert_eq!(profile.text("manageActions.install"), Some("i"));
    assert_eq!(profile.flag("excludeFromLatest"), Some(true));
    assert_eq!(profile.list("targetRegions")[0].flag("excludeFromLatest"), Some(true));
    assert_eq!(shown.body.text("tags.a"), Some("b"));
}
