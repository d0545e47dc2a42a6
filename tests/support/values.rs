//! Converts Terraform values from JSON and messages, and merges, compares and reads them.

use super::oracle::{no_block, nothing, type_of};
use super::{Core, Json, UNKNOWN, pb};
use azimage::schema::{Type, Value, json as state_json, msgpack};
use pb::schema::nested_block::NestingMode;
use pb::schema::{Block, NestedBlock};

/// A configuration of `block` from JSON.
pub fn value(block: &Block, json: &Json) -> Value {
    if json == UNKNOWN {
        return Value::Unknown;
    }
    let object = json.as_object().unwrap_or_else(|| panic!("a block is an object, not {json}"));
    for name in object.keys() {
        let known = block.attributes.iter().any(|a| a.name == *name)
            || block.block_types.iter().any(|b| b.type_name == *name);
        assert!(known, "there is no {name} here");
    }
    let mut value = nothing(block);
    for attribute in &block.attributes {
        if let Some(json) = object.get(&attribute.name) {
            value.set(&attribute.name, typed(json, &type_of(attribute)));
        }
    }
    for nested in &block.block_types {
        if let Some(json) = object.get(&nested.type_name).filter(|json| !json.is_null()) {
            value.set(&nested.type_name, nested_value(nested, json));
        }
    }
    value
}

fn nested_value(nested: &NestedBlock, json: &Json) -> Value {
    let block = nested.block.as_ref().unwrap();
    if json == UNKNOWN {
        return Value::Unknown;
    }
    match (nested.nesting(), json) {
        (NestingMode::List, Json::Array(items)) => {
            Value::List(items.iter().map(|json| value(block, json)).collect())
        }
        (NestingMode::Set, Json::Array(items)) => {
            Value::Set(items.iter().map(|json| value(block, json)).collect())
        }
        (_, json) => value(block, json),
    }
}

/// A value of a type from JSON.
pub fn typed(json: &Json, ty: &Type) -> Value {
    match (ty, json) {
        (_, json) if json == UNKNOWN => Value::Unknown,
        (Type::List(element), Json::Array(items)) => {
            Value::List(items.iter().map(|json| typed(json, element)).collect())
        }
        (Type::Set(element), Json::Array(items)) => {
            Value::Set(items.iter().map(|json| typed(json, element)).collect())
        }
        (Type::Map(element), Json::Object(entries)) => {
            Value::Map(entries.iter().map(|(key, json)| (key.clone(), typed(json, element))).collect())
        }
        (ty, json) => state_json::decode(json, ty).unwrap_or_else(|error| panic!("{json}: {error}")),
    }
}

/// Applies a merge patch: null removes, arrays replace.
pub fn merge(target: &mut Json, patch: &Json) {
    match (target, patch) {
        (Json::Object(target), Json::Object(patch)) => {
            for (key, patch) in patch {
                if patch.is_null() {
                    target.remove(key);
                } else {
                    merge(target.entry(key.clone()).or_insert(Json::Null), patch);
                }
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

/// `base` with a merge patch.
pub fn patched(base: &Json, patch: &Json) -> Json {
    let mut json = base.clone();
    merge(&mut json, patch);
    json
}

/// The differences at the root of two objects.
pub fn differences(a: &Value, b: &Value) -> String {
    let (Value::Object(left), Value::Object(right)) = (a, b) else {
        return format!("{a:?} and {b:?}");
    };
    let names = left.keys().chain(right.keys().filter(|name| !left.contains_key(*name)));
    names
        .filter(|name| a.get(name) != b.get(name))
        .map(|name| format!("\n  {name}: {:?}\n    -> {:?}", a.get(name), b.get(name)))
        .collect()
}

/// Names of the root attributes and blocks in which two objects differ.
pub fn changed(a: &Value, b: &Value) -> Vec<String> {
    let (Value::Object(left), Value::Object(right)) = (a, b) else {
        return Vec::new();
    };
    left.keys().filter(|name| left.get(*name) != right.get(*name)).cloned().collect()
}

pub fn dynamic(value: &Value, ty: &Type) -> Option<pb::DynamicValue> {
    Some(pb::DynamicValue { msgpack: msgpack::encode(value, ty), json: Vec::new() })
}

#[track_caller]
pub fn decode(value: &Option<pb::DynamicValue>, ty: &Type) -> Value {
    match value {
        None => Value::Null,
        Some(value) => {
            assert!(value.json.is_empty(), "answers are msgpack");
            msgpack::decode(&value.msgpack, ty).unwrap()
        }
    }
}

/// The value at a path; `None` if the path does not exist.
pub fn at<'v>(value: &'v Value, path: &pb::AttributePath) -> Option<&'v Value> {
    use pb::attribute_path::step::Selector;
    path.steps.iter().try_fold(value, |value, step| match step.selector.as_ref()? {
        Selector::AttributeName(name) => Some(value.get(name)),
        Selector::ElementKeyInt(index) => value.elements().get(usize::try_from(*index).ok()?),
        Selector::ElementKeyString(key) => match value {
            Value::Map(entries) => entries.get(key),
            _ => None,
        },
    })
}

/// Collections of blocks are empty, never null.
#[track_caller]
pub fn no_null_blocks(block: &Block, value: &Value) {
    if !value.is_known() {
        return;
    }
    for nested in &block.block_types {
        let inner = value.get(&nested.type_name);
        if !no_block(nested).is_null() {
            assert!(!inner.is_null(), "the blocks {} are null", nested.type_name);
        }
        let body = nested.block.as_ref().unwrap();
        if matches!(inner, Value::Object(_)) {
            no_null_blocks(body, inner);
        }
        for element in inner.elements() {
            no_null_blocks(body, element);
        }
    }
}

impl Core {
    pub(super) fn identity_data(
        &self,
        type_name: &str,
        identity: Option<&Value>,
    ) -> Option<pb::ResourceIdentityData> {
        let identity = identity?;
        let ty = self.identity_type(type_name);
        Some(pb::ResourceIdentityData { identity_data: dynamic(identity, &ty) })
    }

    pub(super) fn identity_value(
        &self,
        type_name: &str,
        data: Option<&pb::ResourceIdentityData>,
    ) -> Option<Value> {
        Some(decode(&data?.identity_data, &self.identity_type(type_name)))
    }
}
