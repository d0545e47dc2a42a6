//! Keeps the prior spelling of values whose meaning has not changed, so that case, order and spaces never cause a diff.

use crate::schema::{Attribute, Body, Model, Nesting, Value};

/// How null and empty values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullAndEmpty {
    /// Null and empty differ: a plan must contain exactly what the user wrote.
    Distinct,
    /// Null, `""` and empty collections are equal: services add and remove them.
    Equal,
}

/// `new`, in the spelling of `old` wherever their meaning is the same. Unknown values of `old` are ignored.
pub fn keep_prior_spelling(body: &Body, new: Value, old: &Value, null_and_empty: NullAndEmpty) -> Value {
    let Value::Object(mut fields) = new else {
        return new;
    };
    if !old.is_known() {
        return Value::Object(fields);
    }
    for attribute in &body.attributes {
        if let Some(new) = fields.get_mut(attribute.name) {
            let old = old.get(attribute.name);
            if !old.is_unknown() {
                keep_prior_attribute_spelling(attribute, new, old, null_and_empty);
            }
        }
    }
    for block in &body.blocks {
        let Some(slot) = fields.get_mut(block.name) else {
            continue;
        };
        let new = std::mem::replace(slot, Value::Null);
        let old = old.get(block.name);
        *slot = match (block.nesting, new, old) {
            (Nesting::Single | Nesting::Group, new, old) if new.is_known() && old.is_known() => {
                keep_prior_spelling(&block.body, new, old, null_and_empty)
            }
            (Nesting::List, Value::List(elements), Value::List(olds)) => Value::List(
                elements
                    .into_iter()
                    .enumerate()
                    .map(|(i, element)| match olds.get(i) {
                        Some(old) => keep_prior_spelling(&block.body, element, old, null_and_empty),
                        None => element,
                    })
                    .collect(),
            ),
            (Nesting::Set, Value::Set(elements), Value::Set(olds)) => {
                let result: Vec<Value> = elements
                    .into_iter()
                    .map(|element| match find_match(block.key, &element, olds) {
                        Some(old) => keep_prior_spelling(&block.body, element, old, null_and_empty),
                        None => element,
                    })
                    .collect();
                let result = Value::Set(result);
                // keep the old order too, so that an unchanged set is also unchanged byte for byte
                if result == *old { old.clone() } else { result }
            }
            (_, new, _) => new,
        };
    }
    Value::Object(fields)
}

/// Whether a read of `new` leaves the state `old` unchanged.
pub fn is_unchanged<M: Model>(new: &M, old: &M) -> bool {
    new == old || {
        let old = old.encode();
        // a decoded state has `None` for an empty map, and a read may have an empty one
        let new = M::decode(&new.encode());
        keep_prior_spelling(M::schema(), new.encode(), &old, NullAndEmpty::Equal) == old
    }
}

/// The element of `candidates` that has the same key as `element`, or without a key function the one that equals it.
pub fn find_match<'v>(
    key: Option<fn(&Value) -> Option<String>>,
    element: &Value,
    candidates: &'v [Value],
) -> Option<&'v Value> {
    match key.and_then(|key| Some((key, key(element)?))) {
        Some((key, name)) => candidates.iter().find(|old| key(old).as_deref() == Some(&name)),
        None => candidates.iter().find(|old| *old == element),
    }
}

fn keep_prior_attribute_spelling(
    attribute: &Attribute,
    new: &mut Value,
    old: &Value,
    null_and_empty: NullAndEmpty,
) {
    let has_old = attribute.is_configurable() || !old.is_null();
    if null_and_empty == NullAndEmpty::Equal && has_old && new.is_unset() && old.is_unset() {
        *new = old.clone();
        return;
    }
    if let (Value::Map(new), Value::Map(old), NullAndEmpty::Equal) = (&mut *new, old, null_and_empty) {
        // services drop map elements that are null, but the state must keep them as the user wrote them
        for name in old.iter().filter(|(_, value)| value.is_null()).map(|(name, _)| name) {
            new.entry(name.clone()).or_insert(Value::Null);
        }
    }
    if new == old {
        // equal sets may differ in order
        *new = old.clone();
        return;
    }
    let Some(same) = attribute.equivalence else { return };
    let written = new.clone();
    match (&mut *new, old) {
        (Value::String(a), Value::String(b)) if same(a, b) => *a = b.clone(),
        (Value::Set(elements), Value::Set(olds)) | (Value::List(elements), Value::List(olds)) => {
            for element in elements.iter_mut() {
                let Some(text) = element.as_str() else { continue };
                if let Some(old) = olds.iter().find(|old| old.as_str().is_some_and(|old| same(text, old))) {
                    *element = old.clone();
                }
            }
        }
        (Value::Map(entries), Value::Map(olds)) => {
            for (name, value) in entries.iter_mut() {
                if let (Some(text), Some(old)) = (value.as_str(), olds.get(name))
                    && old.as_str().is_some_and(|old| same(text, old))
                {
                    *value = old.clone();
                }
            }
        }
        _ => {}
    }
    if new == old {
        *new = old.clone();
    } else if null_and_empty == NullAndEmpty::Distinct {
        // Terraform Core accepts the configured or the prior value, but not a mixture of both
        *new = written;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model;
    use crate::schema::spec::*;
    use crate::schema::{Model, Set, Slot};
    use std::collections::BTreeMap;

    model! {
        pub struct Region {
            pub name: String = required().equivalent_if(same),
            pub count: Option<i64> = optional(),
        }
    }
    model! {
        pub struct Thing {
            pub location: Option<String> = optional().equivalent_if(same),
            pub ids: Option<Set<String>> = optional().equivalent_if(same),
            pub tags: Option<BTreeMap<String, String>> = optional(),
            pub region: Set<Region> = block().key(key),
        }
    }

    fn same(a: &str, b: &str) -> bool {
        a.eq_ignore_ascii_case(b)
    }

    fn key(value: &Value) -> Option<String> {
        value.get("name").as_str().map(str::to_lowercase)
    }

    fn thing(location: &str, ids: &[&str], regions: &[(&str, i64)]) -> Thing {
        Thing {
            location: Some(location.into()),
            ids: Some(ids.iter().map(|s| s.to_string()).collect()),
            tags: None,
            region: regions
                .iter()
                .map(|(name, count)| Region { name: name.to_string(), count: Some(*count) })
                .collect(),
        }
    }

    #[test]
    fn keeps_the_prior_spelling_and_takes_new_values() {
        let body = <Thing as Model>::body();
        let old = thing("West", &["A", "b"], &[("East", 1), ("West", 2)]);
        let new = thing("WEST", &["B", "a", "c"], &[("WEST", 3), ("east", 1)]);
        let result =
            Thing::decode(&keep_prior_spelling(&body, new.encode(), &old.encode(), NullAndEmpty::Equal));
        assert_eq!(result, thing("West", &["b", "A", "c"], &[("West", 3), ("East", 1)]));
        // in a plan, a set is either the prior or the configured one
        let result =
            Thing::decode(&keep_prior_spelling(&body, new.encode(), &old.encode(), NullAndEmpty::Distinct));
        assert_eq!(result, thing("West", &["B", "a", "c"], &[("West", 3), ("East", 1)]));
        let same = thing("WEST", &["B", "a"], &[("west", 2), ("east", 1)]);
        assert_eq!(
            keep_prior_spelling(&body, same.encode(), &old.encode(), NullAndEmpty::Distinct),
            old.encode()
        );
    }

    #[test]
    fn keeps_map_elements_that_are_null() {
        let body = <Thing as Model>::body();
        let tags = |entries: &[(&str, Value)]| {
            let mut thing = Thing::default().encode();
            thing.set("tags", Value::Map(entries.iter().map(|(k, v)| (k.to_string(), v.clone())).collect()));
            thing
        };
        let (old, new) = (tags(&[("a", Value::Null), ("b", "1".into())]), tags(&[("b", "2".into())]));
        let both = tags(&[("a", Value::Null), ("b", "2".into())]);
        assert_eq!(keep_prior_spelling(&body, new.clone(), &old, NullAndEmpty::Equal), both);
        assert_eq!(keep_prior_spelling(&body, new.clone(), &old, NullAndEmpty::Distinct), new);
    }

    #[test]
    fn null_and_empty_are_equal_only_when_requested() {
        let body = <Thing as Model>::body();
        let old = Thing { tags: Some(BTreeMap::new()), ..Default::default() }.encode();
        let new = Thing::default().encode();
        assert_eq!(keep_prior_spelling(&body, new.clone(), &old, NullAndEmpty::Equal), old);
        assert_eq!(keep_prior_spelling(&body, new.clone(), &old, NullAndEmpty::Distinct), new);
    }
    model! {
        pub struct Disks {
            pub sizes: Option<BTreeMap<String, i64>> = computed(),
        }
    }

    #[test]
    fn an_empty_map_is_no_change_for_a_decoded_state() {
        let disks = |sizes: &[(&str, i64)]| {
            let sizes = sizes.iter().map(|(lun, size)| (lun.to_string(), *size)).collect();
            Disks { sizes: Some(sizes) }
        };
        let state = Disks::decode(&disks(&[]).encode());
        assert!(is_unchanged(&disks(&[]), &state));
        assert!(!is_unchanged(&disks(&[("0", 30)]), &state));
    }
}
