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
