//! Lists and their filters: the matching entries, and an error for an unknown filter instead of a complete list.

use super::*;

fn names(got: &Got) -> Vec<String> {
    assert_eq!(got.status, 200, "{}", got.raw);
    let name = |one: &Json| one.text("name").unwrap_or_default().to_owned();
    got.body.list("value").iter().map(name).filter(|name| !name.contains("OsDisk")).collect()
}

#[test]
fn filters_resources_and_groups() {
    let mut world = World::new();
    for (name, tags) in [("one", r#"{"env":"test","team":"web"}"#), ("two", r#"{"env":"prod"}"#)] {
        let body = format!(r#"{{"location":"eastus","tags":{tags}}}"#);
        world.done("PUT", &rg(&format!("galleries/{name}?api-version=2026-03-03")), &body);
    }
    let ask = |path: &str, query: &str| {
        let query = query.replace(' ', "%20").replace('\'', "%27");
        world.ask("GET", &format!("{S}/{path}?api-version=2022-09-01&{query}"), "")
    };
    for (query, wanted) in [
        ("$filter=tagName eq 'env' and tagValue eq 'test'", &["one"][..]),
        ("$filter=tagName eq 'env'", &["one", "two"]),
        ("$filter=tagName eq 'team' and tagValue eq 'test'", &[]),
        ("$filter=startswith(tagName, 'te')", &["one"]),
        ("$filter=name eq 'two'", &["two"]),
        ("$filter=substringof('w', name) and resourceType eq 'microsoft.compute/galleries'", &["two"]),
        (
            "$filter=resourceType eq 'Microsoft.Compute/virtualMachines' or name eq 'one'",
            &["one", "golden-vm"],
        ),
        ("$filter=location eq 'westeurope'", &[]),
    ] {
        assert_eq!(names(&ask("resourceGroups/my-rg/resources", query)), wanted, "{query}");
    }
    for query in ["$filter=nope eq 'x'", "$filter=tagName", "$filter=name gt 'x'"] {
        for path in ["resources", "resourceGroups/my-rg/resources", "resourcegroups"] {
            assert_eq!(ask(path, query).code(), "InvalidFilterInQueryString", "{path} {query}");
        }
    }
    assert_eq!(ask("resources", "$expand=everything").code(), "InvalidExpandInQueryString");
    assert_eq!(ask("resources", "$top=none").code(), "InvalidTopInQueryString");
    let expanded = ask("resources", "$expand=createdTime,provisioningState&$filter=name eq 'one'");
    assert_eq!(expanded.body.list("value")[0].text("provisioningState"), Some("Succeeded"));
    assert!(expanded.raw.contains("createdTime") && !expanded.raw.contains("changedTime"));
    let first = ask("resourcegroups", "$top=1");
    assert_eq!(names(&first), ["my-rg"]);
    assert_eq!(names(&world.ask("GET", first.body.text("nextLink").unwrap(), "")), ["rg"]);
    let expanded = ask("resourcegroups", "$expand=createdTime&$top=1");
    assert!(expanded.raw.contains("createdTime") && !expanded.raw.contains("changedTime"));
    assert_eq!(ask("resourcegroups", "$expand=everything").code(), "InvalidExpandInQueryString");
    let tagged = format!("{S}/resourceGroups/rg?api-version=2022-09-01");
    assert_eq!(world.ask("PATCH", &tagged, r#"{"tags":{"a":"b"}}"#).status, 200);
    assert_eq!(names(&ask("resourcegroups", "$filter=tagName eq 'a' and tagValue eq 'b'")), ["rg"]);
}

#[test]
fn lists_locks_across_scopes() {
    let mut world = World::new();
    world.gallery();
    let scopes = [S.to_owned(), format!("{S}/resourceGroups/my-rg"), gal("")];
    let at = |scope: &str, what: &str, query: &str| {
        format!("{scope}/providers/Microsoft.Authorization/{what}?api-version=2022-04-01&{query}")
            .replace(' ', "%20")
    };
    for (number, scope) in scopes.iter().enumerate() {
        let lock = world.ask(
            "PUT",
            &at(scope, &format!("locks/l{number}"), ""),
            r#"{"properties":{"level":"CanNotDelete"}}"#,
        );
        assert_eq!(lock.status, 201, "{}", lock.raw);
    }
    let ends = |what: &str, scope: usize, query: &str| -> String {
        let got = world.ask("GET", &at(&scopes[scope], what, query), "");
        let mut ends: Vec<char> = names(&got).iter().map(|name| name.chars().last().unwrap()).collect();
        ends.sort_unstable();
        ends.into_iter().collect()
    };
    for (what, scope, query, wanted) in [
        ("locks", 0, "", "012"),
        ("locks", 1, "", "12"),
        ("locks", 2, "", "2"),
        ("locks", 2, "$filter=atScope()", "012"),
    ] {
        assert_eq!(ends(what, scope, query), wanted, "{what} {scope} {query}");
    }
    assert_eq!(
        world.ask("GET", &at(S, "locks", "$filter=level eq 'x'"), "").code(),
        "InvalidFilterInQueryString"
    );
    let deleted = world.ask("DELETE", &at(S, "locks/l0", ""), "");
    assert_eq!((deleted.status, deleted.raw.as_str()), (200, ""));
}

#[test]
fn lists_without_filters_refuse_them() {
    let mut world = World::new();
    world.gallery();
    for list in [
        rg("galleries?api-version=2026-03-03"),
        rg("virtualMachines?api-version=2024-03-01"),
        format!("{S}/providers/Microsoft.Compute/virtualMachines?api-version=2024-03-01"),
        format!(
            "{S}/resourceGroups/my-rg/providers/Microsoft.Network/virtualNetworks?api-version=2024-05-01"
        ),
        format!("{S}/providers/Microsoft.Authorization/roleDefinitions?api-version=2022-04-01"),
    ] {
        assert_eq!(world.ask("GET", &list, "").status, 200, "{list}");
        let filtered = world.ask("GET", &format!("{list}&$filter=colour%20eq%20%27red%27"), "");
        assert_eq!(filtered.code(), "InvalidFilterInQueryString", "{list}");
    }
    let custom = "$filter=type%20eq%20%27CustomRole%27";
    let roles =
        format!("{S}/providers/Microsoft.Authorization/roleDefinitions?api-version=2022-04-01&{custom}");
    assert_eq!(world.ask("GET", &roles, "").body.list("value").len(), 0);
}

#[test]
fn directory_knows_clients_and_managed_identities_only() {
    let world = World::new();
    let identity = format!(
        "{S}/resourceGroups/my-rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/builder?api-version=2023-01-31"
    );
    let made = world.ask("PUT", &identity, r#"{"location":"eastus"}"#);
    let principal = made.body.text("properties.principalId").unwrap().to_owned();
    let client = made.body.text("properties.clientId").unwrap().to_owned();
    let one = world.ask("GET", &format!("/v1.0/servicePrincipals/{principal}"), "");
    assert_eq!(one.body.text("servicePrincipalType"), Some("ManagedIdentity"), "{}", one.raw);
    let absent = "5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f99";
    let unknown = world.ask("GET", &format!("/v1.0/servicePrincipals/{absent}"), "");
    assert_eq!((unknown.status, unknown.code()), (404, "Request_ResourceNotFound"));
    let find = |filter: &str| {
        let filter = filter.replace(' ', "%20").replace('\'', "%27");
        world.ask("GET", &format!("/v1.0/servicePrincipals?$filter={filter}"), "")
    };
    let id = |got: &Got| got.body.list("value").first().and_then(|one| one.text("id")).map(str::to_owned);
    assert_eq!(id(&find(&format!("appId eq '{client}'"))), Some(principal.clone()));
    // A client has the object ID that its tokens name.
    let object = super::providers::identity::object_of(absent);
    assert_eq!(id(&find(&format!("servicePrincipalNames/any(c:c eq '{absent}')"))), Some(object));
    assert_eq!(id(&find(&format!("id eq '{absent}'"))), None);
    assert_eq!(find("colour eq 'red'").code(), "Request_UnsupportedQuery");
    let ids = format!(r#"{{"ids":["{absent}","{principal}"]}}"#);
    let got = world.ask("POST", "/v1.0/directoryObjects/getByIds", &ids);
    assert_eq!((got.body.list("value").len(), id(&got)), (1, Some(principal)));
    assert_eq!(world.ask("GET", "/v1.0/users", "").body.list("value").len(), 0);
    assert_eq!(world.ask("GET", "/v1.0/policies", "").status, 501);
}
