//! Resource IDs in templates: those that functions return and those of the template's resources.

use super::super::json::Json;
use super::place::Place;

/// The ID of a resource below a scope: `A.B/c/d` and `x/y` give `<scope>/providers/A.B/c/x/d/y`.
pub fn below(scope: &str, kind: &str, name: &str) -> Result<String, String> {
    let (mut types, names) = (kind.split('/'), name.split('/'));
    let namespace = types.next().unwrap_or_default();
    if !namespace.contains('.')
        || kind.matches('/').count() != name.matches('/').count() + 1
        || name.is_empty()
    {
        return Err(format!(
            "The template resource '{name}' for type '{kind}' has incorrect segment lengths. A nested resource type must have identical number of segments as its resource name. A root resource type must have segment length one greater than its resource name. Please see https://aka.ms/arm-syntax-resources for usage details."
        ));
    }
    if namespace.eq_ignore_ascii_case("Microsoft.Resources")
        && kind.to_ascii_lowercase().ends_with("/resourcegroups")
    {
        return Ok(format!("{scope}/resourceGroups/{name}"));
    }
    let path: String = types.zip(names).map(|(kind, name)| format!("/{kind}/{name}")).collect();
    Ok(format!("{}/providers/{namespace}{path}", scope.trim_end_matches('/')))
}

/// The scope of a deployment: its resource group, or its subscription.
pub fn scope_of(place: &Place) -> String {
    match place.group_name() {
        Some(group) => group_scope(&place.subscription, group),
        None => format!("/subscriptions/{}", place.subscription),
    }
}

/// `/subscriptions/{s}/resourceGroups/{g}`.
pub fn group_scope(subscription: &str, group: &str) -> String {
    format!("/subscriptions/{subscription}/resourceGroups/{group}")
}

/// `resourceId()` and similar functions. The type is the first argument with a slash; those before it name the scope.
pub fn from_function(function: &str, place: &Place, texts: &[&str]) -> Result<Json, String> {
    let wrong = || format!("The arguments of the template function '{function}' are not valid.");
    let (scope, texts) = match function {
        "extensionresourceid" => {
            let (scope, rest) = texts.split_first().ok_or_else(wrong)?;
            ((*scope).to_owned(), rest)
        }
        "tenantresourceid" => (String::new(), texts),
        _ => {
            let at = texts.iter().position(|text| text.contains('/')).ok_or_else(wrong)?;
            let (before, rest) = texts.split_at(at);
            let scope = match (function, before) {
                ("resourceid", []) => scope_of(place),
                ("resourceid", [group]) if uuid::Uuid::parse_str(group).is_err() => {
                    group_scope(&place.subscription, group)
                }
                ("resourceid", [subscription, group]) => group_scope(subscription, group),
                (_, []) => format!("/subscriptions/{}", place.subscription),
                (_, [subscription]) => format!("/subscriptions/{subscription}"),
                _ => return Err(wrong()),
            };
            (scope, rest)
        }
    };
    let (kind, names) = texts.split_first().ok_or_else(wrong)?;
    below(&scope, kind, &names.join("/")).map(Json::from)
}

/// `Microsoft.Compute/galleries/images` and `g/i` of an id.
pub fn kind_and_name(id: &str) -> Option<(String, String)> {
    let tail = id.rsplit_once("/providers/").map(|(_, tail)| tail)?;
    let mut segments = tail.split('/');
    let namespace = segments.next()?;
    let (mut kind, mut names) = (namespace.to_owned(), Vec::new());
    while let (Some(next), Some(name)) = (segments.next(), segments.next()) {
        kind = format!("{kind}/{next}");
        names.push(name);
    }
    Some((kind, names.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_return_ids() {
        const OTHER: &str = "11111111-2222-3333-4444-555555555555";
        let group = Json::object().with("name", "g");
        let place = Place { subscription: "s".to_owned(), group: Some(group), ..Place::default() };
        let outside = Place { group: None, ..place.clone() };
        let call = |place: &Place, function: &str, texts: &[&str]| {
            from_function(function, place, texts).ok().and_then(|id| id.as_str().map(str::to_owned))
        };
        let in_group = "/subscriptions/s/resourceGroups/g/providers/N.A/b/x/c/y";
        assert_eq!(call(&place, "resourceid", &["N.A/b/c", "x", "y"]).as_deref(), Some(in_group));
        assert_eq!(call(&place, "resourceid", &["N.A/b/c", "x/y"]).as_deref(), Some(in_group));
        let far = format!("/subscriptions/{OTHER}/resourceGroups/h/providers/N.A/b/x");
        assert_eq!(call(&place, "resourceid", &[OTHER, "h", "N.A/b", "x"]), Some(far));
        let outer = Some("/subscriptions/s/providers/N.A/b/x".to_owned());
        assert_eq!(call(&outside, "resourceid", &["N.A/b", "x"]), outer);
        assert_eq!(call(&place, "subscriptionresourceid", &["N.A/b", "x"]), outer);
        assert_eq!(call(&place, "tenantresourceid", &["N.A/b", "x"]).as_deref(), Some("/providers/N.A/b/x"));
        assert_eq!(
            call(&place, "extensionresourceid", &[in_group, "N.L/locks", "l"]),
            Some(format!("{in_group}/providers/N.L/locks/l"))
        );
        for texts in [&["N.A/b"][..], &["N.A/b", "x", "y"], &[], &["x"], &["a", "b", "c", "N.A/b", "x"]] {
            assert_eq!(call(&place, "resourceid", texts), None, "{texts:?}");
        }
        assert_eq!(kind_and_name(in_group), Some(("N.A/b/c".to_owned(), "x/y".to_owned())));
    }
}
