//! The resources of a template: expands loops and children, evaluates conditions, and determines the order of creation.

use std::collections::BTreeSet;

use super::super::json::Json;
use super::expression::{self, Expression, Text};
use super::ids;
use super::scope::Scope;

/// The type of a nested deployment.
pub const DEPLOYMENT: &str = "Microsoft.Resources/deployments";
/// The maximum number of resources of a template.
const MOST: usize = 800;
/// Members of a template resource that are not part of the resource's body.
const ABOUT_DEPLOYMENT: &[&str] = &[
    "type",
    "apiVersion",
    "name",
    "dependsOn",
    "condition",
    "copy",
    "scope",
    "resources",
    "comments",
    "metadata",
    "existing",
    "resourceGroup",
    "subscriptionId",
    "asserts",
    "@options",
];

/// One resource, after its loops are expanded.
pub struct Item<'a> {
    /// Its symbolic name, in templates whose resources are an object.
    pub symbol: Option<String>,
    /// The name of its loop, and its index in the loop.
    pub copy: Option<(String, i64)>,
    /// `Microsoft.Compute/galleries/images`.
    pub kind: String,
    /// `gallery/image`.
    pub name: String,
    /// The API version.
    pub api: String,
    /// Its resource ID.
    pub id: String,
    /// False if its condition is false, or the template only refers to it.
    pub deployed: bool,
    /// The indices of the resources that must be created before it.
    pub depends_on: Vec<usize>,
    /// The scope in which it is evaluated.
    pub scope: Scope<'a>,
    raw: Json,
}

impl Item<'_> {
    /// The body with unevaluated expressions.
    pub fn raw_body(&self) -> Json {
        let mut body = self.raw.clone();
        for key in ABOUT_DEPLOYMENT {
            body.remove(key);
        }
        body
    }
}

impl Item<'_> {
    /// The body, without the template of a nested deployment that evaluates its own expressions.
    fn own_expressions(&self) -> Json {
        let mut body = self.raw_body();
        let scope = body.text("properties.expressionEvaluationOptions.scope").unwrap_or_default();
        if self.kind.eq_ignore_ascii_case(DEPLOYMENT) && scope.eq_ignore_ascii_case("inner") {
            body.entry("properties").remove("template");
        }
        body
    }
}

/// Parses the resources of a template.
pub fn read<'a>(template: &Json, scope: &Scope<'a>) -> Result<Vec<Item<'a>>, String> {
    let mut items = Vec::new();
    match template.get("resources") {
        None => {}
        Some(Json::Array(resources)) => {
            for resource in resources {
                expand(&mut items, None, resource, scope, None)?;
            }
        }
        Some(Json::Object(resources)) => {
            for (symbol, resource) in resources {
                expand(&mut items, Some(symbol), resource, scope, None)?;
            }
        }
        Some(_) => return Err("The template's 'resources' must be an array or an object.".to_owned()),
    }
    let mut seen = BTreeSet::new();
    for item in items.iter().filter(|item| item.deployed) {
        if !seen.insert(item.id.to_ascii_lowercase()) {
            return Err(format!(
                "The resource '{}' is defined multiple times in a template. Please see https://aka.ms/arm-syntax-resources for usage details.",
                item.id
            ));
        }
    }
    for at in 0..items.len() {
        items[at].depends_on = dependencies(&items, at)?;
    }
    Ok(items)
}

/// Adds a resource, once for each repetition of its loop, and its children.
fn expand<'a>(
    items: &mut Vec<Item<'a>>,
    symbol: Option<&str>,
    raw: &Json,
    scope: &Scope<'a>,
    parent: Option<(&str, &str)>,
) -> Result<(), String> {
    let Some(copy) = raw.get("copy") else {
        return add(items, symbol, raw, scope, parent, None);
    };
    let name = copy.text("name").ok_or("A copy loop of a resource has no 'name'.")?;
    for index in 0..scope.copy_count(copy)? {
        add(items, symbol, raw, &scope.in_copy(name, index), parent, Some((name.to_owned(), index)))?;
    }
    Ok(())
}

fn add<'a>(
    items: &mut Vec<Item<'a>>,
    symbol: Option<&str>,
    raw: &Json,
    scope: &Scope<'a>,
    parent: Option<(&str, &str)>,
    copy: Option<(String, i64)>,
) -> Result<(), String> {
    if items.len() >= MOST {
        return Err(format!("The template has more than {MOST} resources."));
    }
    let text = |key: &str| match raw.get(key).map(|value| scope.resolve(value)).transpose()? {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("The '{key}' of a template resource must be a string.")),
    };
    let required = |key: &str| {
        let named = symbol.or(raw.text("name")).unwrap_or("?");
        text(key)?
            .filter(|value| !value.is_empty())
            .ok_or_else(|| format!("The template resource '{named}' must have the property '{key}'."))
    };
    for unsupported in ["import", "extension"] {
        if raw.get(unsupported).is_some() {
            return Err(format!("The emulator does not support template resources with '{unsupported}'."));
        }
    }
    let (mut kind, mut name) = (required("type")?, required("name")?);
    if let Some((parent_kind, parent_name)) = parent {
        (kind, name) = (format!("{parent_kind}/{kind}"), format!("{parent_name}/{name}"));
    }
    let condition = match raw.get("condition").map(|value| scope.resolve(value)).transpose()? {
        None => true,
        Some(Json::Bool(condition)) => condition,
        Some(_) => return Err(format!("The condition of the template resource '{name}' must be a boolean.")),
    };
    let existing = raw.flag("existing") == Some(true);
    let id = id_of(scope, &kind, &name, text("scope")?, text("subscriptionId")?, text("resourceGroup")?)?;
    let api = required("apiVersion")?;
    items.push(Item {
        symbol: symbol.map(str::to_owned),
        copy,
        kind: kind.clone(),
        name: name.clone(),
        api,
        id,
        deployed: condition && !existing,
        depends_on: Vec::new(),
        scope: scope.clone(),
        raw: raw.clone(),
    });
    for child in raw.list("resources") {
        expand(items, None, child, scope, Some((&kind, &name)))?;
    }
    Ok(())
}

fn id_of(
    scope: &Scope<'_>,
    kind: &str,
    name: &str,
    of: Option<String>,
    subscription: Option<String>,
    group: Option<String>,
) -> Result<String, String> {
    let place = scope.place();
    let subscription = subscription.as_deref().unwrap_or(&place.subscription);
    let base = match (of, group) {
        (Some(of), _) if of == "/" => String::new(),
        (Some(of), _) if of.starts_with('/') => of,
        // `Type/name`, as in `Microsoft.Compute/galleries/g`.
        (Some(of), _) => {
            let segments: Vec<&str> = of.split('/').collect();
            let names: Vec<&str> = segments.iter().skip(2).step_by(2).copied().collect();
            let types: Vec<&str> = segments.iter().skip(1).step_by(2).copied().collect();
            let kind = format!("{}/{}", segments[0], types.join("/"));
            ids::below(&ids::scope_of(place), &kind, &names.join("/"))?
        }
        (None, Some(group)) => ids::group_scope(subscription, &group),
        (None, None) if subscription != place.subscription => format!("/subscriptions/{subscription}"),
        (None, None) => ids::scope_of(place),
    };
    ids::below(&base, kind, name)
}

/// The dependencies of an item: the resources that its `dependsOn` names and that its expressions refer to.
fn dependencies(items: &[Item<'_>], at: usize) -> Result<Vec<usize>, String> {
    let item = &items[at];
    let mut found = BTreeSet::new();
    for wanted in item.raw.list("dependsOn") {
        let Json::String(wanted) = item.scope.resolve(wanted)? else {
            return Err(format!(
                "The 'dependsOn' of the template resource '{}' must contain strings.",
                item.name
            ));
        };
        let matching = find(items, &wanted);
        if matching.is_empty() {
            return Err(format!(
                "The resource '{wanted}' is not defined in the template. Please see https://aka.ms/arm-syntax for usage details."
            ));
        }
        found.extend(matching);
    }
    let body = item.own_expressions();
    let mut is_static = true;
    visit_expressions(&body, &mut |read| {
        if let Expression::Call(name, arguments) = read
            && (name.starts_with("list") || name.starts_with("reference"))
        {
            is_static = false;
            if let Some(first) = arguments.first()
                && let Ok(Json::String(target)) = item.scope.evaluate(first)
            {
                found.extend(find(items, &target));
            }
        }
    })?;
    // Evaluate items that do not depend on existing resources, so that errors are found before anything is created.
    if is_static && item.deployed {
        item.scope.resolve(&body).map_err(|why| {
            format!(
                "Deployment template validation failed: 'The template resource '{}' is not valid: {why}'.",
                item.name
            )
        })?;
    }
    found.remove(&at);
    Ok(found.into_iter().collect())
}

/// Visits every expression in a value, including nested ones.
fn visit_expressions(value: &Json, visitor: &mut impl FnMut(&Expression)) -> Result<(), String> {
    match value {
        Json::Object(pairs) => pairs.iter().try_for_each(|(_, value)| visit_expressions(value, visitor)),
        Json::Array(items) => items.iter().try_for_each(|item| visit_expressions(item, visitor)),
        Json::String(text) => {
            if let Text::Expression(read) = expression::read(text)? {
                read.visit(visitor);
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The items of a reference: a symbolic name, a loop, `symbol[0]`, an ID, `Type/name` or a name.
pub fn find(items: &[Item<'_>], wanted: &str) -> Vec<usize> {
    let same = |text: &str| text.eq_ignore_ascii_case(wanted);
    let all = |matches: &dyn Fn(&Item<'_>) -> bool| -> Vec<usize> {
        items.iter().enumerate().filter(|(_, item)| matches(item)).map(|(at, _)| at).collect()
    };
    let by_symbol = all(&|item| {
        let indexed =
            |symbol: &str| item.copy.as_ref().is_some_and(|(_, index)| same(&format!("{symbol}[{index}]")));
        item.symbol.as_deref().is_some_and(|symbol| same(symbol) || indexed(symbol))
            || item.copy.as_ref().is_some_and(|(name, _)| same(name))
    });
    let id = |item: &Item<'_>| {
        same(&item.id)
            || item
                .id
                .to_ascii_lowercase()
                .ends_with(&format!("/providers/{}", wanted.trim_start_matches('/').to_ascii_lowercase()))
    };
    let by_id = if by_symbol.is_empty() && wanted.contains('/') { all(&id) } else { by_symbol };
    if by_id.is_empty() { all(&|item| same(&item.name)) } else { by_id }
}

/// The order of creation: each item after its dependencies, otherwise in the template's order.
pub fn order(items: &[Item<'_>]) -> Result<Vec<usize>, String> {
    let mut order: Vec<usize> = Vec::new();
    let mut done = vec![false; items.len()];
    while order.len() < items.len() {
        let next = (0..items.len()).find(|at| !done[*at] && items[*at].depends_on.iter().all(|on| done[*on]));
        let Some(next) = next else {
            let stuck: Vec<&str> =
                (0..items.len()).filter(|at| !done[*at]).map(|at| items[at].id.as_str()).collect();
            return Err(format!(
                "Circular dependency detected on resource: '{}'. Please see https://aka.ms/arm-syntax-resources for usage details.",
                stuck.join("', '")
            ));
        };
        done[next] = true;
        order.push(next);
    }
    Ok(order)
}
