//! Calls beside resource life cycles: moves, sizes, batches, name checks and keys of storage accounts.

use super::*;

#[test]
fn moves_resources_to_another_group() {
    let mut world = World::new();
    let act = |action: &str| format!("{S}/resourceGroups/my-rg/{action}?api-version=2022-09-01");
    let disk = rg("disks/d");
    let body =
        r#"{"location":"eastus","properties":{"creationData":{"createOption":"Empty"},"diskSizeGB":8}}"#;
    world.done("PUT", &format!("{disk}?api-version=2023-04-02"), body);
    world.gallery();
    let wanted = |id: &str, group: &str| {
        format!(r#"{{"resources":["{id}"],"targetResourceGroup":"{S}/resourceGroups/{group}"}}"#)
    };
    for (id, group, code) in [
        (disk.as_str(), "none", "ResourceGroupNotFound"),
        (disk.as_str(), "my-rg", "ResourceMoveNotEmulated"),
        (rg("disks/none").as_str(), "rg", "ResourceNotFound"),
        (gal("").as_str(), "rg", "ResourceMoveNotSupported"),
    ] {
        for action in ["validateMoveResources", "moveResources"] {
            assert_eq!(world.ask("POST", &act(action), &wanted(id, group)).code(), code, "{id} {group}");
        }
    }
    assert_eq!(world.ask("POST", &act("validateMoveResources"), &wanted(&disk, "rg")).status, 204);
    let url = format!("{disk}?api-version=2023-04-02");
    assert_eq!(world.ask("GET", &url, "").status, 200);
    assert_eq!(world.ask("POST", &act("moveResources"), &wanted(&disk, "rg")).status, 204);
    assert_eq!(world.ask("GET", &url, "").status, 404);
    let moved = world.ask("GET", &url.replace("my-rg", "rg"), "");
    assert!(moved.status == 200 && moved.body.text("id").unwrap().contains("/rg/"), "{}", moved.raw);
}

#[test]
fn supports_name_checks_sizes_and_keys() {
    let world = World::new();
    let compute = |tail: &str| format!("{S}/providers/Microsoft.Compute/{tail}?api-version=2024-03-01");
    let skus = world.ask(
        "GET",
        &(compute("skus").replace("2024-03-01", "2021-07-01") + "&$filter=location%20eq%20%27eastus%27"),
        "",
    );
    assert!(
        skus.body.list("value").iter().all(|sku| sku.list("locations")[0].as_str() == Some("eastus")),
        "{}",
        skus.raw
    );
    assert!(!skus.body.list("value").is_empty());
    for list in ["locations/eastus/vmSizes", "locations/eastus/usages", "locations/eastus/virtualMachines"] {
        assert!(!world.ask("GET", &compute(list), "").body.list("value").is_empty(), "{list}");
    }
    assert!(world.ask("GET", &compute("locations/westus/virtualMachines"), "").body.list("value").is_empty());
    let storage = |tail: &str| format!("{tail}?api-version=2023-05-01");
    let free = |name: &str| {
        let url = storage(&format!("{S}/providers/Microsoft.Storage/checkNameAvailability"));
        world
            .ask("POST", &url, &format!(r#"{{"name":"{name}","type":"Microsoft.Storage/storageAccounts"}}"#))
            .body
            .flag("nameAvailable")
    };
    assert_eq!((free("images01"), free("No")), (Some(true), Some(false)));
    let account = format!("{S}/resourceGroups/my-rg/providers/Microsoft.Storage/storageAccounts/images01");
    let keys = |world: &World| world.ask("POST", &storage(&format!("{account}/listKeys")), "");
    assert_eq!(keys(&world).status, 404);
    assert_eq!(world.ask("PUT", &storage(&account), r#"{"location":"eastus"}"#).status, 201);
    assert_eq!(keys(&world).body.list("keys").len(), 2);
    assert_eq!(free("images01"), Some(false));
    let unknown = world.ask("POST", &storage(&format!("{account}/failover")), "");
    assert_eq!((unknown.status, unknown.code()), (400, "NotEmulated"));
}

#[test]
fn batch_returns_a_response_to_each_request() {
    let world = World::new();
    let requests = format!(
        r#"{{"requests":[{{"name":"a","httpMethod":"GET","url":"{S}/resourceGroups/my-rg?api-version=2022-09-01"}},{{"name":"b","httpMethod":"GET","url":"{S}/resourceGroups/none?api-version=2022-09-01"}},{{"httpMethod":"GET","url":"/batch?api-version=2020-06-01"}}]}}"#
    );
    let got = world.ask("POST", "/batch?api-version=2020-06-01", &requests);
    let codes: Vec<_> =
        got.body.list("responses").iter().map(|one| one.int("httpStatusCode").unwrap()).collect();
    assert_eq!(codes, [200, 404, 400], "{}", got.raw);
    assert_eq!(got.body.list("responses")[0].text("content.name"), Some("my-rg"));
}
