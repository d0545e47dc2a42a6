//! Generates configurations from schemas for property tests: any combination of values that the attributes' own validation
//! accepts.

use std::collections::BTreeMap;

use azimage::schema::spec::Mode;
use azimage::schema::{Attribute, Body, Nesting, Type, Value, json as state_json};
use proptest::prelude::*;
use proptest::sample::select;

use crate::cases::{self, Case, rg};
use crate::core::Json;

/// The attribute values used by the test cases, by attribute name regardless of the path, and sample strings.
pub struct Pool {
    seen: BTreeMap<String, Vec<Json>>,
    texts: Vec<String>,
}

impl Pool {
    /// Collects all values in `case`.
    pub fn of(case: &Case) -> Pool {
        let mut seen = BTreeMap::new();
        for json in [&case.small, &case.full].into_iter().chain(case.updates.iter().map(|(json, _)| json)) {
            collect(json, &mut seen);
        }
        for json in case.forces.iter().map(|(json, _)| json).chain(&case.same) {
            collect(json, &mut seen);
        }
        let mut texts: Vec<String> = [
            "x",
            "eastus",
            "East US",
            "West Europe",
            "westeurope",
            "30m",
            "1h30m",
            "1.0.0",
            "2.0.1",
            "~> 1.0",
            "{}",
            "2039-04-30T00:00:00Z",
            "2039-04-30T02:00:00+02:00",
            "https://example.com/a",
            "not valid anywhere: \u{1}",
            "A Text With Spaces.",
            "Linux",
            "V2",
            cases::GUID_A,
            cases::GUID_B,
            cases::URN,
        ]
        .map(str::to_owned)
        .into();
        for rest in [
            "galleries/gal",
            "galleries/gal2",
            "galleries/gal/images/def",
            "galleries/gal/images/def/versions/1.0.0",
            "galleries/gal/applications/agent",
            "images/img",
            "disks/os",
            "snapshots/os",
            "virtualMachines/golden-vm",
            "diskEncryptionSets/des",
        ] {
            texts.push(rg(rest));
        }
        Pool { seen, texts }
    }

    // Valid values of `attribute`; empty only if the pool has no valid value for it.
    fn candidates(&self, attribute: &Attribute) -> Vec<Value> {
        let mut all: Vec<Value> = self
            .seen
            .get(attribute.name)
            .into_iter()
            .flatten()
            .filter_map(|json| state_json::decode(json, &attribute.ty).ok())
            .filter(|value| !value.is_null())
            .collect();
        let words: Vec<String> = if attribute.one_of.is_empty() {
            self.texts.clone()
        } else {
            attribute.one_of.iter().map(|word| (*word).to_owned()).collect()
        };
        all.extend(of_type(&attribute.ty, &words));
        all.retain(|value| {
            let texts = value.elements().iter().chain([value]).filter_map(Value::as_str);
            attribute.checks.iter().all(|check| check(value).is_ok())
                && (attribute.one_of.is_empty()
                    || texts.into_iter().all(|text| attribute.one_of.contains(&text)))
        });
        all
    }
}

fn collect(json: &Json, seen: &mut BTreeMap<String, Vec<Json>>) {
    match json {
        Json::Object(fields) => {
            for (name, value) in fields {
                let known = seen.entry(name.clone()).or_default();
                if !known.contains(value) {
                    known.push(value.clone());
                }
                collect(value, seen);
            }
        }
        Json::Array(items) => items.iter().for_each(|item| collect(item, seen)),
        _ => {}
    }
}

fn of_type(ty: &Type, texts: &[String]) -> Vec<Value> {
    let text = |text: &String| Value::string(text.as_str());
    match ty {
        Type::String => texts.iter().map(text).collect(),
        Type::Bool => vec![false.into(), true.into()],
        Type::Number => [0, 1, 2, 5, 14, 30, 100, 1023, 2048].map(Value::int).into(),
        Type::List(inner) | Type::Set(inner) => {
            let inner = of_type(inner, texts);
            let mut all: Vec<Vec<Value>> = vec![Vec::new()];
            all.extend(inner.iter().map(|value| vec![value.clone()]));
            all.extend(inner.windows(2).map(<[Value]>::to_vec));
            let list = matches!(ty, Type::List(_));
            all.into_iter()
                .map(|values| if list { Value::List(values) } else { Value::Set(values) })
                .collect()
        }
        Type::Map(_) => [&[][..], &[("a", "b")], &[("team", "images"), ("Cost", "1")]]
            .map(|entries| {
                Value::Map(entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect())
            })
            .into(),
        _ => Vec::new(),
    }
}

/// Configurations of `body`; with `open`, some values are unknown.
pub fn configurations(body: &Body, pool: &Pool, open: bool) -> BoxedStrategy<Value> {
    let mut fields: Vec<BoxedStrategy<Value>> = Vec::new();
    let mut names = Vec::new();
    for attribute in &body.attributes {
        names.push(attribute.name);
        fields.push(values(attribute, pool, open));
    }
    for block in &body.blocks {
        names.push(block.name);
        let inner = configurations(&block.body, pool, open);
        let (min, most) = (block.min as usize, if block.max == 0 { 3 } else { block.max as usize });
        let given = block.body.attributes.iter().any(Attribute::is_configurable);
        fields.push(match block.nesting {
            Nesting::Single if min > 0 => inner,
            Nesting::Group => inner,
            Nesting::Single if given => prop_oneof![2 => Just(Value::Null), 1 => inner].boxed(),
            Nesting::Single => Just(Value::Null).boxed(),
            Nesting::List => prop::collection::vec(inner, min..=most).prop_map(Value::List).boxed(),
            Nesting::Set => prop::collection::vec(inner, min..=most).prop_map(Value::Set).boxed(),
        });
    }
    fields.prop_map(move |values| Value::object(names.iter().copied().zip(values))).boxed()
}

fn values(attribute: &Attribute, pool: &Pool, open: bool) -> BoxedStrategy<Value> {
    let candidates = pool.candidates(attribute);
    if !attribute.is_configurable() || candidates.is_empty() && attribute.mode != Mode::Required {
        return Just(Value::Null).boxed();
    }
    assert!(!candidates.is_empty(), "no valid value is known for {}", attribute.name);
    let known = select(candidates);
    match (attribute.mode == Mode::Required, open) {
        (true, false) => known.boxed(),
        (true, true) => prop_oneof![8 => known, 1 => Just(Value::Unknown)].boxed(),
        (false, false) => prop_oneof![1 => Just(Value::Null), 1 => known].boxed(),
        (false, true) => prop_oneof![4 => Just(Value::Null), 4 => known, 1 => Just(Value::Unknown)].boxed(),
    }
}

/// Configurations that mostly use values of `bases`, with arbitrary values in some places, so that most of them are valid.
pub fn around(body: &Body, bases: Vec<Value>, pool: &Pool, open: bool) -> BoxedStrategy<Value> {
    let anything = configurations(body, pool, open);
    let count = body.attributes.len() + body.blocks.len();
    (select(bases), anything, prop::collection::vec(prop::bool::weighted(0.15), count))
        .prop_map(|(base, anything, other)| {
            let (Value::Object(base), Value::Object(anything)) = (base, anything) else { return Value::Null };
            let pairs = base.into_iter().zip(other);
            Value::object(pairs.map(|((name, value), other)| {
                let value = if other { anything.get(&name).cloned().unwrap_or(Value::Null) } else { value };
                (name, value)
            }))
        })
        .boxed()
}
