//! Calls other than resource life cycles: moves, sizes, batches, name checks and keys of storage accounts.

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
    assert_eq!((unknown.status, unknown.code()), (501, "NotEmulated"));
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

#[test]
fn exported_template_deploys_to_another_group() {
    let mut world = World::new();
    world.gallery();
    world.definition();
    world.done(
        "PUT",
        &gal("/images/img?api-version=2026-03-03"),
        r#"{"location":"eastus","properties":{"description":"[draft]","osType":"Linux","osState":"Generalized","hyperVGeneration":"V2","identifier":{"publisher":"p","offer":"o","sku":"s"}}}"#,
    );
    let export = format!("{S}/resourceGroups/my-rg/exportTemplate?api-version=2022-09-01");
    assert_eq!(world.ask("POST", &export, r#"{"resources":[]}"#).status, 400);
    assert_eq!(world.ask("POST", &export, r#"{"resources":["*"],"options":"Everything"}"#).status, 400);
    assert_eq!(world.ask("POST", &export, r#"{"resources":["*"],"outputFormat":"Bicep"}"#).status, 501);
    let body = format!(r#"{{"resources":["{}"],"options":"IncludeParameterDefaultValue"}}"#, gal(""));
    let exported = world.ask("POST", &export, &body);
    let template = exported.body.get("template").unwrap();
    assert_eq!(template.text("parameters.galleries_gal_name.defaultValue"), Some("gal"), "{}", exported.raw);
    let names: Vec<&str> = template.list("resources").iter().map(|one| one.text("name").unwrap()).collect();
    assert_eq!(
        names,
        ["[parameters('galleries_gal_name')]", "[concat(parameters('galleries_gal_name'), '/img')]"]
    );
    assert!(
        !exported.raw.contains("provisioningState") && exported.raw.contains("[[draft]"),
        "{}",
        exported.raw
    );
    let deployment = Json::object().with(
        "properties",
        Json::object().with("mode", "Incremental").with("template", template).with(
            "parameters",
            Json::object().with("galleries_gal_name", Json::object().with("value", "copy")),
        ),
    );
    let url =
        format!("{S}/resourceGroups/rg/providers/Microsoft.Resources/deployments/d?api-version=2022-09-01");
    world.done("PUT", &url, &deployment.compact());
    let copy = gal("/images/img?api-version=2026-03-03").replace("my-rg", "rg").replace("/gal/", "/copy/");
    assert_eq!(world.ask("GET", &copy, "").body.text("properties.description"), Some("[draft]"));
    let literal = format!(r#"{{"resources":["{}"],"options":"SkipAllParameterization"}}"#, gal(""));
    assert!(world.ask("POST", &export, &literal).raw.contains(r#""name":"gal/img""#));
}

#[test]
fn rejected_gallery_is_not_listed() {
    let mut world = World::new();
    let other = S.replace("5d1f0c4e", "11111111");
    let consumer = other.rsplit('/').next().unwrap().to_owned();
    let body = r#"{"location":"eastus","properties":{"sharingProfile":{"permissions":"Groups"}}}"#;
    world.done("PUT", &gal("?api-version=2026-03-03"), body);
    let answer = |what: &str| {
        let owner = S.rsplit('/').next().unwrap();
        format!(
            "{other}/providers/Microsoft.Compute/locations/eastus/sharedGallerySubscriptions/{owner}/sharedGalleries/gal/{what}?api-version=2026-03-03"
        )
    };
    assert_eq!(world.ask("POST", &answer("accept"), "").code(), "NotFound");
    let share =
        format!(r#"{{"operationType":"Add","groups":[{{"type":"Subscriptions","ids":["{consumer}"]}}]}}"#);
    world.done("POST", &gal("/share?api-version=2026-03-03"), &share);
    let listed = |world: &World| {
        let list = "/providers/Microsoft.Compute/locations/eastus/sharedGalleries?api-version=2026-03-03";
        world.ask("GET", &format!("{other}{list}"), "").body.list("value").len()
    };
    assert_eq!(listed(&world), 1);
    assert_eq!(world.done("POST", &answer("reject"), "").status, 202);
    assert_eq!(listed(&world), 0);
    world.done("POST", &answer("accept"), "");
    assert_eq!(listed(&world), 1);
    assert_eq!(
        world.ask("POST", &answer("accept").replace("2026-03-03", "2025-03-03"), "").code(),
        "NoRegisteredProviderFound"
    );
}

#[test]
fn head_says_whether_a_resource_exists() {
    let mut world = World::new();
    world.gallery();
    for (path, status) in [
        (gal("?api-version=2026-03-03"), 204),
        (gal("x?api-version=2026-03-03"), 404),
        (format!("{S}/resourceGroups/my-rg?api-version=2022-09-01"), 204),
        (format!("{S}/resourceGroups/none?api-version=2022-09-01"), 404),
        (format!("{S}/nothing?api-version=2022-09-01"), 501),
    ] {
        assert_eq!(world.ask("HEAD", &path, "").status, status, "{path}");
    }
}

#[test]
fn permissions_are_those_of_the_callers_roles() {
    let world = World::new();
    let url = format!(
        "{S}/resourceGroups/my-rg/providers/Microsoft.Authorization/permissions?api-version=2022-04-01"
    );
    let got = world.ask("GET", &url, "");
    assert_eq!(got.body.list("value")[0].list("actions")[0].as_str(), Some("*"), "{}", got.raw);
}

#[test]
fn gallery_scripts_have_operations_parents_and_versions() {
    let mut world = World::new();
    let url = |tail: &str| gal(&format!("/scripts/s{tail}?api-version=2026-03-03"));
    let body = r#"{"location":"eastus","properties":{"supportedOSType":"Linux"}}"#;
    let version = r#"{"location":"eastus","properties":{"publishingProfile":{"source":{"scriptLink":"https://x/a.sh"}}}}"#;
    assert_eq!(world.ask("PUT", &url(""), body).code(), "ParentResourceNotFound");
    world.gallery();
    let made = world.done("PUT", &url(""), body);
    assert!(made.status == 201 && !made.header("location").is_empty());
    assert_eq!(world.ask("PUT", &url("/versions/one"), version).code(), "InvalidParameter");
    let changed = body.replace("Linux", "Windows");
    assert_eq!(world.ask("PUT", &url(""), &changed).code(), "PropertyChangeNotAllowed");
    world.done("PUT", &url("/versions/1.0.0"), version);
    let shown = world.ask("GET", &url("/versions/1.0.0"), "");
    let regions = shown.body.list("properties.publishingProfile.targetRegions");
    assert_eq!(regions[0].text("name"), Some("East US"), "{}", shown.raw);
    assert_eq!(world.ask("DELETE", &url(""), "").code(), "CannotDeleteResource");
    let deleted = world.done("DELETE", &url("/versions/1.0.0"), "");
    assert_eq!((deleted.status, deleted.raw.as_str()), (202, ""));
    assert!(!deleted.header("location").is_empty());
    world.wait(3_600.0);
    assert_eq!(world.done("DELETE", &url(""), "").status, 202);
    assert_eq!(world.ask("DELETE", &url(""), "").status, 204);
    assert_eq!(world.ask("PUT", &url("").replace("2026-03-03", "2023-07-03"), body).status, 400);
}
