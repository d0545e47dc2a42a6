//! Makes the result of an apply consistent with its plan, because Terraform rejects any other result.
//!
//! Without this, Terraform would taint and replace an object when a policy adds a tag or an attribute is missing from the
//! response. Instead, the state keeps the planned values, a warning names the difference, and the next plan shows the
//! actual object.

use std::collections::BTreeMap;

use super::spelling::find_match;
use crate::schema::{Block, Body, Nesting, Path, Value};

/// Returns `state` with all known values of `planned`, and the paths where `state` differed. The result satisfies
/// Terraform's rules for any two values: it contains each known value, exactly the planned blocks and exactly the planned
/// elements. `state` must be wholly known.
pub fn enforce_plan(body: &Body, planned: &Value, state: Value) -> (Value, Vec<Path>) {
    let mut differing = Vec::new();
    let state = object(body, planned, state, &Path::root(), &mut differing);
    (state, differing)
}

type Differing = Vec<Path>;

fn object(body: &Body, planned: &Value, state: Value, path: &Path, differing: &mut Differing) -> Value {
    if !matches!(planned, Value::Object(_)) || planned.is_wholly_known() && *planned == state {
        return value(planned, state, path, differing);
    }
    if !state.is_known() {
        differing.push(path.clone());
    }
    let attributes = body.attributes.iter().map(|attribute| {
        let actual = state.get(attribute.name).clone();
        let path = path.then(attribute.name);
        (attribute.name, value(planned.get(attribute.name), actual, &path, differing))
    });
    let mut fields: Vec<_> = attributes.collect();
    for block in &body.blocks {
        let actual = state.get(block.name).clone();
        let path = path.then(block.name);
        fields.push((block.name, nested(block, planned.get(block.name), actual, &path, differing)));
    }
    Value::object(fields)
}

fn nested(block: &Block, planned: &Value, state: Value, path: &Path, differing: &mut Differing) -> Value {
    if planned.is_wholly_known() {
        return value(planned, state, path, differing);
    }
    let body = &block.body;
    match (block.nesting, planned) {
        (Nesting::Single | Nesting::Group, planned) => object(body, planned, state, path, differing),
        (Nesting::List, Value::List(planned)) => {
            list(planned, state, path, differing, |planned, state, path, out| {
                object(body, planned, state, path, out)
            })
        }
        (Nesting::Set, Value::Set(planned)) => {
            set(planned, state, block.key, path, differing, |planned, state, path, out| {
                object(body, planned, state, path, out)
            })
        }
        (_, planned) => value(planned, state, path, differing),
    }
}

// Any value, by the shape of the planned one.
fn value(planned: &Value, state: Value, path: &Path, differing: &mut Differing) -> Value {
    if planned.is_unknown() {
        return state;
    }
    if planned.is_wholly_known() {
        if *planned == state {
            return state;
        }
        differing.push(path.clone());
        return planned.clone();
    }
    match planned {
        Value::Object(planned) => Value::Object(entries(planned, state, path, differing)),
        Value::Map(planned) => Value::Map(entries(planned, state, path, differing)),
        Value::List(planned) => list(planned, state, path, differing, value),
        Value::Set(planned) => set(planned, state, None, path, differing, value),
        planned => {
            differing.push(path.clone());
            planned.clone().unknown_to_null()
        }
    }
}

fn entries(
    planned: &BTreeMap<String, Value>,
    state: Value,
    path: &Path,
    differing: &mut Differing,
) -> BTreeMap<String, Value> {
    let mut actual = match state {
        Value::Object(entries) | Value::Map(entries) => entries,
        _ => BTreeMap::new(),
    };
    if !planned.keys().eq(actual.keys()) {
        differing.push(path.clone());
    }
    planned
        .iter()
        .map(|(name, planned)| {
            let actual = actual.remove(name).unwrap_or(Value::Null);
            (name.clone(), value(planned, actual, &path.key(name.clone()), differing))
        })
        .collect()
}

fn list(
    planned: &[Value],
    state: Value,
    path: &Path,
    differing: &mut Differing,
    fit: impl Fn(&Value, Value, &Path, &mut Differing) -> Value,
) -> Value {
    if planned.len() != state.elements().len() {
        differing.push(path.clone());
    }
    let mut actual = state.elements().iter().cloned();
    let fitted = planned.iter().enumerate().map(|(index, planned)| {
        fit(planned, actual.next().unwrap_or(Value::Null), &path.index(index), differing)
    });
    Value::List(fitted.collect())
}

// Pairs each planned element with its element of `state`. The order matters: known elements come first, then partly known
// ones; an unknown element takes any remaining one.
fn set(
    planned: &[Value],
    state: Value,
    key: Option<fn(&Value) -> Option<String>>,
    path: &Path,
    differing: &mut Differing,
    fit: impl Fn(&Value, Value, &Path, &mut Differing) -> Value,
) -> Value {
    let mut unused = state.elements().to_vec();
    let mut fitted: Vec<Value> = Vec::new();
    let (known, open): (Vec<&Value>, Vec<&Value>) = planned.iter().partition(|p| p.is_wholly_known());
    let (unknown, partial): (Vec<&Value>, Vec<&Value>) = open.into_iter().partition(|p| p.is_unknown());
    let mut missing = false;
    for planned in known.into_iter().chain(partial).chain(unknown) {
        let found = find_match(key, planned, &unused)
            .and_then(|matching| unused.iter().position(|actual| actual == matching))
            .or_else(|| unused.iter().position(|actual| is_compatible(planned, actual)));
        let element = match found {
            Some(at) => fit(planned, unused.remove(at), path, differing),
            // elements may turn out to be equal once they are known
            None if planned.is_unknown() && !fitted.is_empty() => continue,
            None => {
                missing = true;
                fit(planned, Value::Null, path, &mut Vec::new())
            }
        };
        if !fitted.contains(&element) {
            fitted.push(element);
        }
    }
    if missing || !unused.is_empty() {
        differing.push(path.clone());
    }
    Value::Set(fitted)
}

// Whether `actual` is a possible result of `planned`.
fn is_compatible(planned: &Value, actual: &Value) -> bool {
    match (planned, actual) {
        (Value::Unknown, _) => true,
        (Value::Object(planned), Value::Object(actual)) | (Value::Map(planned), Value::Map(actual)) => {
            planned.keys().eq(actual.keys())
                && planned.iter().all(|(name, planned)| is_compatible(planned, &actual[name]))
        }
        (Value::List(planned), Value::List(actual)) => {
            planned.len() == actual.len() && planned.iter().zip(actual).all(|(p, a)| is_compatible(p, a))
        }
        (Value::Set(planned), Value::Set(actual)) => {
            planned.len() >= actual.len()
                && planned.iter().all(|p| actual.iter().any(|a| is_compatible(p, a)))
                && actual.iter().all(|a| planned.iter().any(|p| is_compatible(p, a)))
        }
        (planned, actual) => planned == actual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model;
    use crate::schema::spec::*;
    use crate::schema::{Model, Set, Slot};

    model! {
        pub struct Region {
            pub name: String = required(),
            pub state: Option<String> = computed(),
        }
    }
    model! {
        pub struct Thing {
            pub id: Option<String> = computed(),
            pub note: Option<String> = optional(),
            pub region: Set<Region> = block().key(key),
            pub inner: Option<Region> = block(),
        }
    }

    fn key(value: &Value) -> Option<String> {
        value.get("name").as_str().map(str::to_lowercase)
    }

    fn region(name: &str, state: Option<&str>) -> Region {
        Region { name: name.into(), state: state.map(str::to_owned) }
    }

    fn thing(note: &str, region: Vec<Region>, inner: Option<Region>) -> Value {
        Thing { id: Some("1".into()), note: Some(note.into()), region: Set(region), inner }.encode()
    }

    // The plan of `thing`, with every computed value unknown.
    fn planned(mut thing: Value) -> Value {
        let unknown = |value: &Value| {
            let mut value = value.clone();
            value.set("state", Value::Unknown);
            value
        };
        let regions = thing.get("region").elements().iter().map(unknown).collect();
        thing.set("region", Value::Set(regions));
        if thing.get("inner").is_known() {
            let inner = unknown(thing.get("inner"));
            thing.set("inner", inner);
        }
        thing.set("id", Value::Unknown);
        thing
    }

    #[test]
    fn keeps_planned_values_and_takes_unknown_ones_from_the_result() {
        let body = <Thing as Model>::body();
        let done = thing("a", vec![region("x", Some("up")), region("y", Some("up"))], None);
        let plan = planned(thing("a", vec![region("y", None), region("x", None)], None));
        assert_eq!(enforce_plan(&body, &plan, done.clone()), (done.clone(), vec![]));
        let plan = planned(thing("b", vec![region("x", None), region("y", None)], None));
        let (state, differing) = enforce_plan(&body, &plan, done);
        assert_eq!(differing, [Path::attribute("note")]);
        assert_eq!(state.get("note").as_str(), Some("b"));
        assert_eq!(state.get("id").as_str(), Some("1"));
        assert!(
            state.get("region").elements().iter().all(|region| region.get("state").as_str() == Some("up"))
        );
    }

    #[test]
    fn rebuilds_a_partly_unknown_block_that_the_result_lacks() {
        let body = <Thing as Model>::body();
        let plan = planned(thing("a", vec![region("x", None)], Some(region("i", None))));
        let (state, differing) = enforce_plan(&body, &plan, thing("a", vec![], None));
        assert!(differing.contains(&Path::attribute("inner")), "{differing:?}");
        assert!(differing.contains(&Path::attribute("region")), "{differing:?}");
        assert_eq!(state.get("inner").get("name").as_str(), Some("i"));
        assert!(state.get("inner").get("state").is_null());
        assert_eq!(state.get("region").elements().len(), 1);
    }
}
