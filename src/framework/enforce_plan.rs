//! What core demands of an applied change: whatever the plan knew is what comes out. A service that makes something else of
//! it (a policy adds a tag, somebody else is faster) would have core call a new object broken and replace it; so the
//! state keeps what was planned, the user is told, and the next plan shows what is there.

use super::spelling::partner;
use crate::schema::{Block, Body, Nesting, Path, Value};

/// `state` with all that `planned` knew, and where it said something else. Both are of `body`, and nothing in `state` is
/// unknown.
pub fn enforce_plan(body: &Body, planned: &Value, state: Value) -> (Value, Vec<Path>) {
    let mut differing = Vec::new();
    let state = object(body, planned, state, &Path::root(), &mut differing);
    (state, differing)
}

fn object(body: &Body, planned: &Value, state: Value, path: &Path, differing: &mut Vec<Path>) -> Value {
    let Value::Object(mut fields) = state else {
        return state;
    };
    for attribute in &body.attributes {
        if let Some(slot) = fields.get_mut(attribute.name) {
            let planned = planned.get(attribute.name);
            if planned.is_wholly_known() && planned != slot {
                differing.push(path.then(attribute.name));
                *slot = planned.clone();
            }
        }
    }
    for block in &body.blocks {
        if let Some(slot) = fields.get_mut(block.name) {
            let state = std::mem::replace(slot, Value::Null);
            *slot = nested(block, planned.get(block.name), state, &path.then(block.name), differing);
        }
    }
    Value::Object(fields)
}

fn nested(block: &Block, planned: &Value, state: Value, path: &Path, differing: &mut Vec<Path>) -> Value {
    if planned.is_wholly_known() {
        if *planned != state {
            differing.push(path.clone());
        }
        return planned.clone();
    }
    match (block.nesting, planned, state) {
        (Nesting::Single, Value::Object(_), state @ Value::Object(_)) => {
            object(&block.body, planned, state, path, differing)
        }
        (Nesting::List, Value::List(planned), Value::List(state)) if planned.len() == state.len() => {
            let pairs = planned.iter().zip(state).enumerate();
            let elements = pairs.map(|(index, (planned, state))| {
                object(&block.body, planned, state, &path.index(index), differing)
            });
            Value::List(elements.collect())
        }
        (Nesting::Set, Value::Set(planned), Value::Set(state)) if planned.len() == state.len() => {
            let elements = state.into_iter().map(|state| match partner(block.key, &state, planned) {
                Some(planned) => object(&block.body, planned, state, path, differing),
                None => state,
            });
            Value::Set(elements.collect())
        }
        (_, _, state) => state,
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

    // The plan of `thing`, with what the service tells unknown.
    fn planned(mut thing: Value) -> Value {
        let unknown = |value: &Value| {
            let mut value = value.clone();
            value.set("state", Value::Unknown);
            value
        };
        let regions = thing.get("region").elements().iter().map(unknown).collect();
        thing.set("region", Value::Set(regions));
        thing.set("id", Value::Unknown);
        thing
    }

    #[test]
    fn what_was_planned_stays_and_what_was_open_is_told() {
        let body = <Thing as Model>::body();
        let done = thing("a", vec![region("x", Some("up")), region("y", Some("up"))], None);
        let plan = planned(thing("a", vec![region("y", None), region("x", None)], None));
        assert_eq!(enforce_plan(&body, &plan, done.clone()), (done.clone(), vec![]));
        let plan = planned(thing("b", vec![region("x", None), region("y", None)], Some(region("i", None))));
        let (state, differing) = enforce_plan(&body, &plan, done);
        assert_eq!(differing, [Path::attribute("note"), Path::attribute("inner")]);
        assert_eq!(state.get("note").as_str(), Some("b"));
        assert_eq!(state.get("inner").get("name").as_str(), Some("i"));
        assert_eq!(state.get("id").as_str(), Some("1"));
        assert!(
            state.get("region").elements().iter().all(|region| region.get("state").as_str() == Some("up"))
        );
    }
}
