//! Evaluates the expressions, variables and loops of a template in the context of its deployment.

use std::cell::Cell;

use time::OffsetDateTime;

use super::super::json::Json;
use super::arguments::{kind_of, text_of};
use super::collections::member;
use super::expression::{self, Expression, Text};
use super::place::Place;
use super::{dates, functions, ids};

/// The maximum nesting depth of expressions, variables and functions.
const MAXIMUM_DEPTH: u32 = 150;
/// The maximum number of evaluation steps of a template.
const STEPS: u32 = 2_000_000;
/// The maximum number of iterations of a loop.
pub const MOST_COPIES: i64 = 800;

/// A query of existing resources.
pub enum Lookup<'x> {
    /// `reference()`: the resource in the form of a GET, or only its properties.
    Reference {
        /// An ID, or the name of a resource of the template.
        target: &'x str,
        /// The API version, which is optional for resources of the template.
        api: Option<&'x str>,
        /// Whether the whole resource is returned.
        full: bool,
    },
    /// `references()`: the properties of each resource of a loop.
    References(&'x str),
    /// `listKeys()` and similar functions: a POST.
    List {
        /// The action, as written.
        action: &'x str,
        /// The resource's id.
        target: &'x str,
        /// The API version.
        api: &'x str,
    },
}

/// Performs a [`Lookup`]. Absent while the template is only parsed.
pub type Live<'a> = &'a dyn Fn(&Lookup<'_>) -> Result<Json, String>;

/// Everything that the expressions of a template can refer to.
#[derive(Clone)]
pub struct Scope<'a> {
    place: &'a Place,
    template: &'a Json,
    parameters: Json,
    live: Option<Live<'a>>,
    /// Enclosing loops, the innermost last: name and index.
    copies: Vec<(String, i64)>,
    /// Arguments of lambdas, the innermost last.
    lambdas: Vec<(String, Json)>,
    /// Whether this is the default of a parameter, where `utcNow()` and `newGuid()` are allowed.
    in_default: bool,
    /// Whether this is a function that the template defines, which can use only its own parameters.
    in_function: bool,
    depth: &'a Cell<u32>,
    steps: &'a Cell<u32>,
}

/// The counters that limit an evaluation.
#[derive(Default)]
pub struct Bounds {
    depth: Cell<u32>,
    steps: Cell<u32>,
}

impl<'a> Scope<'a> {
    /// The scope of a template without parameters.
    pub fn new(place: &'a Place, template: &'a Json, bounds: &'a Bounds) -> Scope<'a> {
        Scope {
            place,
            template,
            parameters: Json::object(),
            live: None,
            copies: Vec::new(),
            lambdas: Vec::new(),
            in_default: false,
            in_function: false,
            depth: &bounds.depth,
            steps: &bounds.steps,
        }
    }

    /// The context of the deployment.
    pub fn place(&self) -> &'a Place {
        self.place
    }

    /// Adds a parameter.
    pub fn set_parameter(&mut self, name: &str, value: Json) {
        self.parameters.set(name, value);
    }

    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&Json> {
        self.parameters.get(name)
    }

    /// The same scope, for the default of a parameter.
    pub fn for_default(&self) -> Scope<'a> {
        Scope { in_default: true, ..self.clone() }
    }

    /// The same scope in one iteration of a loop.
    pub fn in_copy(&self, name: &str, index: i64) -> Scope<'a> {
        let mut scope = self.clone();
        scope.copies.push((name.to_owned(), index));
        scope
    }

    /// The same scope, with access to existing resources.
    pub fn live<'b>(&self, live: Live<'b>) -> Scope<'b>
    where
        'a: 'b,
    {
        Scope { live: Some(live), ..self.clone() }
    }

    /// The number of iterations of a loop.
    pub fn copy_count(&self, copy: &Json) -> Result<i64, String> {
        let count = copy.get("count").ok_or("A copy loop has no 'count'.")?;
        match self.resolve(count)? {
            Json::Number(number) => {
                number.as_i64().filter(|count| (0..=MOST_COPIES).contains(count)).ok_or_else(|| {
                    format!("The copy count must be between 0 and {MOST_COPIES}, but is {number}.")
                })
            }
            other => Err(format!("The copy count must be an integer, but is {}.", kind_of(&other))),
        }
    }

    fn deeper<T>(&self, work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
        self.steps.set(self.steps.get() + 1);
        if self.depth.get() >= MAXIMUM_DEPTH {
            return Err(
                "The template's expressions are nested too deeply, or refer to themselves.".to_owned()
            );
        }
        if self.steps.get() > STEPS {
            return Err("The template takes too many steps to evaluate.".to_owned());
        }
        self.depth.set(self.depth.get() + 1);
        let result = work();
        self.depth.set(self.depth.get() - 1);
        result
    }

    /// A value with all its expressions evaluated.
    pub fn resolve(&self, value: &Json) -> Result<Json, String> {
        self.deeper(|| match value {
            Json::Object(pairs) => {
                let mut resolved = Json::object();
                for (key, value) in pairs {
                    match value {
                        Json::Array(loops) if key.eq_ignore_ascii_case("copy") && is_loops(loops) => {
                            for each in loops {
                                let name = each.text("name").unwrap_or_default();
                                resolved.set(name, self.repeat(each, name)?);
                            }
                        }
                        _ => {
                            let key = match expression::read(key)? {
                                Text::Plain(key) => key,
                                Text::Expression(read) => text_of(&self.evaluate(&read)?),
                            };
                            resolved.set(&key, self.resolve(value)?);
                        }
                    }
                }
                Ok(resolved)
            }
            Json::Array(items) => {
                items.iter().map(|item| self.resolve(item)).collect::<Result<_, _>>().map(Json::Array)
            }
            Json::String(text) => match expression::read(text)? {
                Text::Plain(text) => Ok(Json::String(text)),
                Text::Expression(read) => self.evaluate(&read),
            },
            other => Ok(other.clone()),
        })
    }

    /// The values of a loop: `{"count": …, "input": …}`.
    pub fn repeat(&self, copy: &Json, name: &str) -> Result<Json, String> {
        let input = copy.get("input").ok_or("A copy loop has no 'input'.")?;
        (0..self.copy_count(copy)?)
            .map(|index| self.in_copy(name, index).resolve(input))
            .collect::<Result<_, _>>()
            .map(Json::Array)
    }

    /// The value of an expression.
    pub fn evaluate(&self, expression: &Expression) -> Result<Json, String> {
        self.deeper(|| match expression {
            Expression::Literal(value) => Ok(value.clone()),
            Expression::Member(object, key) => {
                let (object, key) = (self.evaluate(object)?, self.evaluate(key)?);
                member(&object, &key).cloned().ok_or_else(|| no_member(&object, &key))
            }
            Expression::Call(name, arguments) => self.call(name, arguments),
        })
    }

    fn call(&self, name: &str, arguments: &[Expression]) -> Result<Json, String> {
        // Functions that do not evaluate all their arguments.
        match (name, arguments) {
            ("if", [condition, yes, no]) => {
                return self.evaluate(if self.flag(name, condition)? { yes } else { no });
            }
            ("and" | "or", all) if all.len() >= 2 => {
                let decisive = name == "or";
                for argument in all {
                    if self.flag(name, argument)? == decisive {
                        return Ok(decisive.into());
                    }
                }
                return Ok((!decisive).into());
            }
            (
                "filter" | "map" | "reduce" | "sort" | "toobject" | "groupby" | "mapvalues",
                [subject, rest @ ..],
            ) => {
                return self.with_lambdas(name, self.evaluate(subject)?, rest);
            }
            ("lambda", _) => {
                return Err("A lambda is not an argument of a function that takes one.".to_owned());
            }
            _ => {}
        }
        let values: Vec<Json> =
            arguments.iter().map(|argument| self.evaluate(argument)).collect::<Result<_, _>>()?;
        if name.contains('.') {
            return self.own_function(name, &values);
        }
        if let Some(result) = functions::call(name, &values) {
            return result;
        }
        self.contextual(name, &values)
    }

    fn flag(&self, name: &str, condition: &Expression) -> Result<bool, String> {
        match self.evaluate(condition)? {
            Json::Bool(value) => Ok(value),
            other => Err(format!(
                "Unable to evaluate the template language function '{name}': a boolean is needed, not {}.",
                kind_of(&other)
            )),
        }
    }

    /// Functions that depend on the deployment or on existing resources.
    fn contextual(&self, name: &str, values: &[Json]) -> Result<Json, String> {
        let texts: Vec<&str> = values.iter().filter_map(Json::as_str).collect();
        let all_texts = texts.len() == values.len();
        let place = self.place;
        if self.in_function && !matches!(name, "parameters" | "lambdavariables") {
            return Err(format!(
                "The function '{name}' cannot be used in a function that the template defines."
            ));
        }
        match (name, texts.as_slice()) {
            ("parameters", [name]) => member(&self.parameters, &Json::from(*name))
                .cloned()
                .ok_or_else(|| format!("The template parameter '{name}' is not found.")),
            ("variables", [name]) => self.variable(name),
            ("lambdavariables", [name]) => {
                let found = self.lambdas.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(name));
                found
                    .map(|(_, value)| value.clone())
                    .ok_or_else(|| format!("The lambda variable '{name}' is not found."))
            }
            ("copyindex", _) => self.copy_index(values),
            ("resourcegroup", []) => place.group.clone().ok_or_else(|| {
                "The function 'resourceGroup' is not available at the scope of a subscription.".to_owned()
            }),
            ("subscription", []) => Ok(Json::object()
                .with("id", format!("/subscriptions/{}", place.subscription))
                .with("subscriptionId", place.subscription.as_str())
                .with("tenantId", place.tenant.as_str())
                .with("displayName", "Emulated subscription")),
            ("tenant", []) => Ok(Json::object()
                .with("id", format!("/tenants/{}", place.tenant))
                .with("tenantId", place.tenant.as_str())
                .with("displayName", "Emulated tenant")),
            ("deployer", []) => Ok(Json::object()
                .with("objectId", place.object.as_str())
                .with("tenantId", place.tenant.as_str())
                .with("userPrincipalName", "")),
            ("deployment", []) => Ok(place.deployment.clone()),
            ("environment", []) => Ok(place.environment.clone()),
            ("resourceid" | "subscriptionresourceid" | "tenantresourceid" | "extensionresourceid", texts)
                if all_texts =>
            {
                ids::from_function(name, place, texts)
            }
            ("utcnow", _) if self.in_default && all_texts && texts.len() < 2 => {
                let now =
                    OffsetDateTime::from_unix_timestamp(place.now).unwrap_or(OffsetDateTime::UNIX_EPOCH);
                dates::format(now, texts.first().unwrap_or(&"yyyyMMddTHHmmssZ")).map(Json::from)
            }
            ("newguid", []) if self.in_default => {
                let seed = format!("{}-{}", place.seed, self.parameters.pairs().len());
                functions::call("guid", &[Json::from(seed)]).unwrap_or(Ok(Json::Null))
            }
            ("utcnow" | "newguid", _) => {
                Err(format!("The function '{name}' can be used in the default value of a parameter only."))
            }
            ("pickzones", _) => {
                let count = values.get(3).and_then(|count| match count {
                    Json::Number(count) => count.as_i64(),
                    _ => None,
                });
                Ok(Json::Array(
                    (1..=count.unwrap_or(1).clamp(0, 3)).map(|zone| Json::from(zone.to_string())).collect(),
                ))
            }
            ("reference", [target, rest @ ..]) if all_texts && rest.len() < 3 => {
                self.look_up(&Lookup::Reference {
                    target,
                    api: rest.first().copied(),
                    full: rest.get(1).is_some_and(|full| full.eq_ignore_ascii_case("full")),
                })
            }
            ("references", [target]) => self.look_up(&Lookup::References(target)),
            (action, [target, api, ..]) if action.starts_with("list") => {
                self.look_up(&Lookup::List { action, target, api })
            }
            _ => Err(format!(
                "The template function '{name}' with {} argument(s) of these types is not valid, or the emulator does not support it.",
                values.len()
            )),
        }
    }

    fn look_up(&self, lookup: &Lookup<'_>) -> Result<Json, String> {
        let live = self.live.ok_or(
            "The functions 'reference' and 'list*' can be used in the properties of resources and in outputs only.",
        )?;
        live(lookup)
    }

    fn variable(&self, name: &str) -> Result<Json, String> {
        let variables = self.template.get("variables").cloned().unwrap_or_default();
        if let Some(value) = member(&variables, &Json::from(name)) {
            return self.resolve(value);
        }
        let copy = variables
            .list("copy")
            .iter()
            .find(|copy| copy.text("name").is_some_and(|known| known.eq_ignore_ascii_case(name)));
        match copy {
            Some(copy) => self.repeat(copy, name),
            None => Err(format!("The template variable '{name}' is not found.")),
        }
    }

    /// `copyIndex()`, `copyIndex(offset)`, `copyIndex('loop')`, `copyIndex('loop', offset)`.
    fn copy_index(&self, values: &[Json]) -> Result<Json, String> {
        let (name, offset) = match values {
            [Json::String(name), rest @ ..] => (Some(name), rest.first()),
            rest => (None, rest.first()),
        };
        let offset = match offset {
            None => 0,
            Some(Json::Number(number)) if values.len() <= 2 => number.as_i64().unwrap_or(0),
            Some(_) => {
                return Err("The arguments of 'copyIndex' are a loop's name and an integer.".to_owned());
            }
        };
        let found = match name {
            Some(name) => self.copies.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(name)),
            None => self.copies.last(),
        };
        let (_, index) =
            found.ok_or("The function 'copyIndex' is used outside of a copy loop of that name.")?;
        Ok(Json::from(index.saturating_add(offset)))
    }

    /// A function that the template defines: `namespace.name`.
    fn own_function(&self, name: &str, values: &[Json]) -> Result<Json, String> {
        let (namespace, short) = name.rsplit_once('.').unwrap_or(("", name));
        let function = self
            .template
            .list("functions")
            .iter()
            .filter(|known| {
                known.text("namespace").is_some_and(|known| known.eq_ignore_ascii_case(namespace))
            })
            .find_map(|known| member(known.get("members")?, &Json::from(short)))
            .ok_or_else(|| format!("The template function '{name}' is not defined."))?;
        let wanted = function.list("parameters");
        if wanted.len() != values.len() {
            return Err(format!(
                "The function '{name}' takes {} argument(s), not {}.",
                wanted.len(),
                values.len()
            ));
        }
        let mut parameters = Json::object();
        for (parameter, value) in wanted.iter().zip(values) {
            parameters.set(parameter.text("name").unwrap_or_default(), value.clone());
        }
        let body =
            function.at("output.value").ok_or_else(|| format!("The function '{name}' has no output."))?;
        Scope { parameters, in_function: true, copies: Vec::new(), lambdas: Vec::new(), ..self.clone() }
            .resolve(body)
    }

    fn with_lambdas(&self, name: &str, subject: Json, rest: &[Expression]) -> Result<Json, String> {
        let wrong = || format!("The arguments of the template function '{name}' are not valid.");
        let apply = |lambda: &Expression, arguments: &[Json]| {
            let Expression::Call(called, parts) = lambda else { return Err(wrong()) };
            let (Some((body, names)), "lambda") = (parts.split_last(), called.as_str()) else {
                return Err(wrong());
            };
            let mut scope = self.clone();
            for (name, value) in names.iter().zip(arguments) {
                let Expression::Literal(Json::String(name)) = name else { return Err(wrong()) };
                scope.lambdas.push((name.clone(), value.clone()));
            }
            if names.len() > arguments.len() { Err(wrong()) } else { scope.evaluate(body) }
        };
        if name == "mapvalues" {
            let ([lambda], Json::Object(pairs)) = (rest, &subject) else { return Err(wrong()) };
            let mut mapped = Json::object();
            for (key, value) in pairs {
                mapped.set(key, apply(lambda, std::slice::from_ref(value))?);
            }
            return Ok(mapped);
        }
        let Json::Array(items) = subject else { return Err(wrong()) };
        let indexed = || items.iter().enumerate().map(|(at, item)| [item.clone(), Json::from(at as i64)]);
        let truth = |value: Json| match value {
            Json::Bool(value) => Ok(value),
            _ => Err(wrong()),
        };
        match (name, rest) {
            ("map", [lambda]) => {
                indexed().map(|pair| apply(lambda, &pair)).collect::<Result<_, _>>().map(Json::Array)
            }
            ("filter", [lambda]) => {
                let mut kept = Vec::new();
                for pair in indexed() {
                    if truth(apply(lambda, &pair)?)? {
                        kept.extend(pair.into_iter().next());
                    }
                }
                Ok(Json::Array(kept))
            }
            ("reduce", [initial, lambda]) => {
                let mut result = self.evaluate(initial)?;
                for [item, at] in indexed() {
                    result = apply(lambda, &[result, item, at])?;
                }
                Ok(result)
            }
            ("sort", [lambda]) => {
                // An insertion sort, because the comparison can fail.
                let mut sorted: Vec<Json> = Vec::new();
                for item in &items {
                    let mut at = sorted.len();
                    while at > 0 && truth(apply(lambda, &[item.clone(), sorted[at - 1].clone()])?)? {
                        at -= 1;
                    }
                    sorted.insert(at, item.clone());
                }
                Ok(Json::Array(sorted))
            }
            ("toobject", [key, rest @ ..]) if rest.len() < 2 => {
                let mut object = Json::object();
                for item in &items {
                    let value = rest
                        .first()
                        .map_or(Ok(item.clone()), |lambda| apply(lambda, std::slice::from_ref(item)))?;
                    object.set(&text_of(&apply(key, std::slice::from_ref(item))?), value);
                }
                Ok(object)
            }
            ("groupby", [key]) => {
                let mut groups = Json::object();
                for item in &items {
                    let key = text_of(&apply(key, std::slice::from_ref(item))?);
                    let mut group = groups.get(&key).map_or_else(Vec::new, |group| match group {
                        Json::Array(items) => items.clone(),
                        _ => Vec::new(),
                    });
                    group.push(item.clone());
                    groups.set(&key, group);
                }
                Ok(groups)
            }
            _ => Err(wrong()),
        }
    }
}

fn is_loops(loops: &[Json]) -> bool {
    !loops.is_empty()
        && loops.iter().all(|each| ["name", "count", "input"].iter().all(|key| each.get(key).is_some()))
}

fn no_member(object: &Json, key: &Json) -> String {
    match object {
        Json::Object(pairs) => format!(
            "The language expression property '{}' doesn't exist, available properties are '{}'.",
            text_of(key),
            pairs.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
        ),
        Json::Array(_) => {
            format!("The language expression property array index '{}' is out of bounds.", text_of(key))
        }
        other => format!(
            "The language expression property '{}' can't be evaluated, because its object is {}.",
            text_of(key),
            kind_of(other)
        ),
    }
}
