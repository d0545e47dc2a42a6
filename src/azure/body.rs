//! Reads the service's JSON by dotted paths, leniently: a member of an unexpected type counts as absent.

use serde_json::{Map, Value as Json};

use super::attributes::same_instant;
use super::link::is_same_blob;
use crate::arm::{id, region};

/// The value at a dotted path, such as `properties.identifier.sku`.
pub fn at<'j>(json: &'j Json, path: &str) -> Option<&'j Json> {
    path.split('.').try_fold(json, |json, name| json.get(name)).filter(|json| !json.is_null())
}

/// The text at a dotted path; numbers and booleans become text.
pub fn text(json: &Json, path: &str) -> Option<String> {
    match at(json, path)? {
        Json::String(text) => Some(text.clone()),
        other @ (Json::Number(_) | Json::Bool(_)) => Some(other.to_string()),
        _ => None,
    }
}

/// The integer at a dotted path.
pub fn int(json: &Json, path: &str) -> Option<i64> {
    at(json, path)?.as_i64()
}

/// The truth value at a dotted path; `"True"` and `"false"` count.
pub fn bool(json: &Json, path: &str) -> Option<bool> {
    match at(json, path)? {
        Json::Bool(bool) => Some(*bool),
        Json::String(text) => text.to_ascii_lowercase().parse().ok(),
        _ => None,
    }
}

/// The elements at a dotted path; none when there is no array.
pub fn items<'j>(json: &'j Json, path: &str) -> &'j [Json] {
    at(json, path).and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

/// The texts of an array at a dotted path; `None` when there is none.
pub fn texts(json: &Json, path: &str) -> Option<Vec<String>> {
    let items = at(json, path)?.as_array()?;
    Some(items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect())
}

/// Whether the object is in `location`, in any spelling.
pub fn is_in_region(object: &Json, location: &str) -> bool {
    text(object, "location").is_some_and(|have| region::same_region(&have, location))
}

/// Sets the value at a dotted path, and creates objects on the way; null removes the member.
pub fn set(json: &mut Json, path: &str, value: Json) {
    let (parents, name) = path.rsplit_once('.').map_or(("", path), |(parents, name)| (parents, name));
    let mut here = json;
    for parent in parents.split('.').filter(|parent| !parent.is_empty()) {
        if !here.get(parent).is_some_and(Json::is_object) {
            if !here.is_object() {
                *here = Json::Object(Map::new());
            }
            here[parent] = Json::Object(Map::new());
        }
        here = &mut here[parent];
    }
    match (here.as_object_mut(), value) {
        (Some(object), Json::Null) => {
            object.remove(name);
        }
        (Some(object), value) => {
            object.insert(name.to_owned(), value);
        }
        (None, _) => {}
    }
}

/// Removes the member at a dotted path, in each element of the lists on the way.
pub fn remove(json: &mut Json, path: &str) {
    match json {
        Json::Array(items) => items.iter_mut().for_each(|item| remove(item, path)),
        Json::Object(members) => match path.split_once('.') {
            Some((name, rest)) => {
                if let Some(member) = members.get_mut(name) {
                    remove(member, rest);
                }
            }
            None => {
                members.remove(path);
            }
        },
        _ => {}
    }
}

/// Adds the members of `more` that `json` lacks, at any depth of objects.
pub fn fill(json: &mut Json, more: &Json) {
    let (Some(fields), Some(more)) = (json.as_object_mut(), more.as_object()) else { return };
    for (name, value) in more {
        let field = fields.entry(name.as_str()).or_insert(Json::Null);
        match field.is_null() {
            true => *field = value.clone(),
            false => fill(field, value),
        }
    }
}

/// Removes every member except the named ones.
pub fn keep_only(json: &mut Json, names: &[&str]) {
    if let Some(object) = json.as_object_mut() {
        object.retain(|name, _| names.contains(&name.as_str()));
    }
}

/// Whether `have` already contains everything in `want`. Members that `want` does not have are ignored, absent and
/// empty members are equal, and another order or the service's own spelling of a date, an ID or a region is not a
/// difference.
pub fn covers(have: &Json, want: &Json) -> bool {
    match (have, want) {
        (Json::Object(have), Json::Object(want)) => want.iter().all(|(name, want)| {
            let have = have.get(name).unwrap_or(&Json::Null);
            match name.as_str() {
                "userAssignedIdentities" if !want.is_array() => same_identities(have, want),
                // members of these objects that the user omits are removed
                "advancedSettings" | "customActions" => is_all_of(have, want),
                _ => covers(have, want) || means_same(name, have, want),
            }
        }),
        (Json::Array(have), Json::Array(want)) => {
            have.len() == want.len() && want.iter().all(|want| have.iter().any(|have| covers(have, want)))
        }
        (Json::Null, Json::Object(want)) => want.values().all(|want| covers(&Json::Null, want)),
        (Json::Null, Json::Array(want)) => want.is_empty(),
        (Json::Null, Json::String(want)) => want.is_empty(),
        (have, want) => have == want,
    }
}

// Whether `have` contains the same as `want` and nothing more. Members that are empty or false are ignored.
fn is_all_of(have: &Json, want: &Json) -> bool {
    match (have, want) {
        (Json::Array(have), Json::Array(want)) => {
            have.len() == want.len() && want.iter().all(|want| have.iter().any(|have| is_all_of(have, want)))
        }
        (Json::Object(have), Json::Object(want)) => {
            let member = |object: &Map<String, Json>, name| object.get(name).cloned().unwrap_or_default();
            have.keys().chain(want.keys()).all(|name| is_all_of(&member(have, name), &member(want, name)))
        }
        (have, want) => have == want || says_nothing(have) && says_nothing(want),
    }
}

fn says_nothing(json: &Json) -> bool {
    match json {
        Json::Null | Json::Bool(false) => true,
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(members) => members.is_empty(),
        _ => false,
    }
}

// Whether each identity exists, or does not exist where null removes it. Its value is ignored.
fn same_identities(have: &Json, want: &Json) -> bool {
    let has = |id: &str| have.as_object().is_some_and(|have| have.keys().any(|have| id::same_id(have, id)));
    want.as_object().is_none_or(|want| want.iter().all(|(id, value)| has(id) != value.is_null()))
}

// Whether two texts of a member with this name are equivalent.
fn means_same(name: &str, have: &Json, want: &Json) -> bool {
    let (Some(have), Some(want)) = (have.as_str(), want.as_str()) else { return false };
    match name {
        "id" => id::same_id(have, want),
        "name" | "location" => region::same_region(have, want),
        _ if name.ends_with("Id") => id::same_id(have, want),
        _ if name.ends_with("Date") => same_instant(have, want),
        _ if name.ends_with("Link") => is_same_blob(have, want),
        _ => false,
    }
}

/// Whether the object `have` needs no write to become `want`: it contains everything in `want`, and exactly its tags.
pub fn is_up_to_date(have: &Json, want: &Json) -> bool {
    let none = Json::Object(Map::new());
    let tags = |json: &Json| json.get("tags").filter(|tags| !tags.is_null()).unwrap_or(&none).clone();
    covers(have, want) && (want.get("tags").is_none() || tags(have) == tags(want))
}

/// Removes members that are null, at any depth, because the service distinguishes null from absent.
pub fn without_nulls(json: Json) -> Json {
    match json {
        Json::Object(object) => Json::Object(
            object
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, without_nulls(value)))
                .collect(),
        ),
        Json::Array(items) => Json::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn adds_missing_members() {
        let mut json = json!({"a": {"b": 1}, "n": null, "l": [1]});
        fill(&mut json, &json!({"a": {"b": 2, "c": 3}, "n": "x", "l": [2, 3], "m": {"o": true}}));
        assert_eq!(json, json!({"a": {"b": 1, "c": 3}, "n": "x", "l": [1], "m": {"o": true}}));
    }

    #[test]
    fn reads_leniently() {
        let json = json!({"a": {"b": "x", "n": 3, "t": "True", "l": ["p", 1, "q"], "z": null}});
        assert_eq!(text(&json, "a.b").as_deref(), Some("x"));
        assert_eq!(text(&json, "a.n").as_deref(), Some("3"));
        assert_eq!(text(&json, "a.z"), None);
        assert_eq!(text(&json, "a.b.c"), None);
        assert_eq!(int(&json, "a.n"), Some(3));
        assert_eq!(bool(&json, "a.t"), Some(true));
        assert_eq!(texts(&json, "a.l"), Some(vec!["p".to_owned(), "q".to_owned()]));
        assert_eq!(items(&json, "a.b").len(), 0);
    }

    #[test]
    fn covering_ignores_additional_members() {
        let have = json!({"a": {"b": 1, "c": 2}, "l": [1], "r": [{"name": "East US"}, {"name": "West US", "n": 1}],
            "endOfLifeDate": "2031-01-01T00:00:00Z", "d": {"diskId": "/subscriptions/s/X"}, "description": "text",
            "userAssignedIdentities": {"/ids/A": {"clientId": "c"}}, "mediaLink": "https://a/x?sig=1",
            "advancedSettings": {"x": "1", "y": "2"},
            "customActions": [{"name": "n", "description": "d", "parameters": [{"name": "p", "required": false}]}]});
        let rows = [
            (json!({"a": {"b": 1}}), true),
            (json!({"a": {"b": 2}}), false),
            (json!({"userAssignedIdentities": {"/ids/a": {}}}), true),
            (json!({"userAssignedIdentities": {"/ids/a": null}}), false),
            (json!({"userAssignedIdentities": {"/ids/A": {}, "/ids/B": {}}}), false),
            (json!({"userAssignedIdentities": {"/ids/B": null}}), true),
            (json!({"n": {"m": {}, "e": ""}, "z": []}), true),
            (json!({"n": {"m": false}}), false),
            (json!({"l": [1, 2]}), false),
            (json!({"r": [{"name": "westus"}, {"name": "eastus"}]}), true),
            (json!({"r": [{"name": "westus"}, {"name": "uksouth"}]}), false),
            (json!({"endOfLifeDate": "2031-01-01T01:00:00+01:00"}), true),
            (json!({"endOfLifeDate": "2031-01-02T01:00:00+01:00"}), false),
            (json!({"d": {"diskId": "/subscriptions/S/x"}}), true),
            (json!({"description": "TEXT"}), false),
            (json!({"mediaLink": "https://a/x?sig=2"}), true),
            (json!({"mediaLink": "https://a/y?sig=1"}), false),
            (json!({"advancedSettings": {"y": "2", "x": "1"}}), true),
            (json!({"advancedSettings": {"x": "1"}}), false),
            (json!({"advancedSettings": {}}), false),
            (
                json!({"customActions": [{"name": "n", "description": "d", "parameters": [{"name": "p"}]}]}),
                true,
            ),
            (json!({"customActions": [{"name": "n", "parameters": [{"name": "p"}]}]}), false),
            (json!({"customActions": [{"name": "n", "description": "d"}]}), false),
            (json!({"customActions": []}), false),
        ];
        for (want, covered) in rows {
            assert_eq!(covers(&have, &want), covered, "{want}");
        }
    }

    #[test]
    fn an_additional_tag_needs_a_write() {
        let have = json!({"tags": {"a": "1", "b": "2"}, "x": 1});
        assert!(!is_up_to_date(&have, &json!({"tags": {"a": "1"}})));
        assert!(is_up_to_date(&have, &json!({"x": 1})));
        assert!(is_up_to_date(&json!({}), &json!({"tags": {}})));
    }

    #[test]
    fn sets_and_removes() {
        let mut json = json!({"a": 1});
        set(&mut json, "b.c", json!(2));
        set(&mut json, "a", Json::Null);
        assert_eq!(json, json!({"b": {"c": 2}}));
        let mut json = json!({"a": [{"b": 1, "c": 2}, {"c": 3}, 4], "d": 5});
        remove(&mut json, "a.c");
        remove(&mut json, "x.y");
        remove(&mut json, "d");
        assert_eq!(json, json!({"a": [{"b": 1}, {}, 4]}));
        assert_eq!(without_nulls(json!({"x": null, "y": [{"z": null}]})), json!({"y": [{}]}));
    }
}
