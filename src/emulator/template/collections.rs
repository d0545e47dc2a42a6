//! The functions of template expressions on arrays and objects, and those that take strings as well.

use super::super::json::{Json, same};
use super::arguments::{Arguments, text_of};

/// The maximum number of elements that a function returns.
const MOST: i64 = 10_000;

/// Calls a function; `None` if it is not in this file.
pub fn call(it: &Arguments<'_>) -> Option<Result<Json, String>> {
    let result = match it.name {
        "array" => it.count(1, 1).map(|()| match &it.values[0] {
            array @ Json::Array(_) => array.clone(),
            other => Json::Array(vec![other.clone()]),
        }),
        "createarray" => Ok(Json::Array(it.values.to_vec())),
        "createobject" => create_object(it),
        "concat" => concat(it),
        "contains" => contains(it),
        "empty" => it.count(1, 1).map(|()| match &it.values[0] {
            Json::String(text) => text.is_empty().into(),
            other => other.is_empty().into(),
        }),
        "length" => it.count(1, 1).and_then(|()| length(it).map(|length| Json::from(length as i64))),
        "first" => it.count(1, 1).and_then(|()| edge(it, true)),
        "last" => it.count(1, 1).and_then(|()| edge(it, false)),
        "indexof" => index_of(it, false),
        "lastindexof" => index_of(it, true),
        "skip" => part(it, |size, count| (count.min(size), size)),
        "take" => part(it, |size, count| (0, count.min(size))),
        "range" => range(it),
        "flatten" => it.count(1, 1).and_then(|()| it.array(0)).map(|items| {
            let flat = items.iter().flat_map(|item| match item {
                Json::Array(inner) => inner.clone(),
                other => vec![other.clone()],
            });
            Json::Array(flat.collect())
        }),
        "join" => it.count(2, 2).and_then(|()| {
            let texts: Vec<String> = it.array(0)?.iter().map(text_of).collect();
            Ok(Json::from(texts.join(it.text(1)?)))
        }),
        "items" => it.count(1, 1).and_then(|()| it.object(0)).map(|pairs| {
            let mut sorted: Vec<&(String, Json)> = pairs.iter().collect();
            sorted.sort_by_key(|(key, _)| key.to_lowercase());
            let item = |(key, value): &&(String, Json)| {
                Json::object().with("key", key.as_str()).with("value", value)
            };
            Json::Array(sorted.iter().map(item).collect())
        }),
        "objectkeys" => it.count(1, 1).and_then(|()| it.object(0)).map(|pairs| {
            let mut keys: Vec<&str> = pairs.iter().map(|(key, _)| key.as_str()).collect();
            keys.sort_by_key(|key| key.to_lowercase());
            Json::Array(keys.into_iter().map(Json::from).collect())
        }),
        "union" => union(it),
        "shallowmerge" => it.count(1, 1).and_then(|()| it.array(0)).map(|objects| {
            let mut merged = Json::object();
            for (key, value) in objects.iter().flat_map(Json::pairs) {
                set(&mut merged, key, value.clone());
            }
            merged
        }),
        "intersection" => intersection(it),
        "coalesce" => it
            .count(1, usize::MAX)
            .map(|()| it.values.iter().find(|value| !value.is_null()).cloned().unwrap_or_default()),
        "tryget" => it.count(2, usize::MAX).map(|()| {
            it.values[1..]
                .iter()
                .try_fold(&it.values[0], |value, key| member(value, key))
                .cloned()
                .unwrap_or_default()
        }),
        "tryindexfromend" => it.count(2, 2).and_then(|()| {
            let items = it.array(0)?;
            let at = usize::try_from(it.int(1)?).ok().and_then(|back| items.len().checked_sub(back));
            Ok(at.and_then(|at| items.get(at)).cloned().unwrap_or_default())
        }),
        _ => return None,
    };
    Some(result)
}

/// A member of an object, ignoring case, or an element of an array.
pub fn member<'a>(value: &'a Json, key: &Json) -> Option<&'a Json> {
    match (value, key) {
        (Json::Object(pairs), Json::String(key)) => pairs
            .iter()
            .find(|(name, _)| name == key)
            .or_else(|| pairs.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)))
            .map(|(_, value)| value),
        (Json::Array(items), Json::Number(at)) => items.get(usize::try_from(at.as_u64()?).ok()?),
        _ => None,
    }
}

/// Sets a member, ignoring case.
fn set(object: &mut Json, key: &str, value: Json) {
    let known = object.pairs().iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
    let name = known.map_or(key, |(name, _)| name).to_owned();
    object.set(&name, value);
}

fn create_object(it: &Arguments<'_>) -> Result<Json, String> {
    if !it.values.len().is_multiple_of(2) {
        return Err(it.fault("it takes pairs of keys and values."));
    }
    let mut object = Json::object();
    for at in (0..it.values.len()).step_by(2) {
        object.set(it.text(at)?, it.values[at + 1].clone());
    }
    Ok(object)
}

fn concat(it: &Arguments<'_>) -> Result<Json, String> {
    it.count(1, usize::MAX)?;
    if matches!(it.values[0], Json::Array(_)) {
        let mut all = Vec::new();
        for at in 0..it.values.len() {
            all.extend_from_slice(it.array(at)?);
        }
        return Ok(Json::Array(all));
    }
    if it.values.iter().any(|value| matches!(value, Json::Array(_) | Json::Object(_))) {
        return Err(it.fault("the arguments must be all strings or all arrays."));
    }
    Ok(Json::from(it.values.iter().map(text_of).collect::<String>()))
}

fn contains(it: &Arguments<'_>) -> Result<Json, String> {
    it.count(2, 2)?;
    Ok(Json::from(match &it.values[0] {
        Json::String(text) => text.contains(&text_of(&it.values[1])),
        Json::Array(items) => items.iter().any(|item| same(item, &it.values[1])),
        object @ Json::Object(_) => member(object, &Json::from(it.text(1)?)).is_some(),
        _ => return Err(it.fault("the first argument must be an array, an object or a string.")),
    }))
}

fn length(it: &Arguments<'_>) -> Result<usize, String> {
    Ok(match &it.values[0] {
        Json::String(text) => text.chars().count(),
        Json::Array(items) => items.len(),
        Json::Object(pairs) => pairs.len(),
        _ => return Err(it.fault("the argument must be an array, an object or a string.")),
    })
}

fn edge(it: &Arguments<'_>, first: bool) -> Result<Json, String> {
    Ok(match &it.values[0] {
        Json::String(text) => {
            let character = if first { text.chars().next() } else { text.chars().last() };
            Json::from(character.map(String::from).unwrap_or_default())
        }
        _ => {
            let items = it.array(0)?;
            if first { items.first() } else { items.last() }.cloned().unwrap_or_default()
        }
    })
}

fn index_of(it: &Arguments<'_>, last: bool) -> Result<Json, String> {
    it.count(2, 2)?;
    let at = match &it.values[0] {
        Json::String(text) => {
            let (text, wanted) = (text.to_lowercase(), it.text(1)?.to_lowercase());
            let at = if last { text.rfind(&wanted) } else { text.find(&wanted) };
            at.map(|at| text[..at].chars().count())
        }
        _ => {
            let items = it.array(0)?;
            let is_wanted = |item: &Json| same(item, &it.values[1]);
            if last { items.iter().rposition(is_wanted) } else { items.iter().position(is_wanted) }
        }
    };
    Ok(Json::from(at.map_or(-1, |at| at as i64)))
}

fn part(it: &Arguments<'_>, bounds: fn(usize, usize) -> (usize, usize)) -> Result<Json, String> {
    it.count(2, 2)?;
    let count = usize::try_from(it.int(1)?).unwrap_or(0);
    Ok(match &it.values[0] {
        Json::String(text) => {
            let characters: Vec<char> = text.chars().collect();
            let (start, end) = bounds(characters.len(), count);
            Json::from(characters[start..end].iter().collect::<String>())
        }
        _ => {
            let items = it.array(0)?;
            let (start, end) = bounds(items.len(), count);
            Json::Array(items[start..end].to_vec())
        }
    })
}

fn range(it: &Arguments<'_>) -> Result<Json, String> {
    it.count(2, 2)?;
    let (start, count) = (it.int(0)?, it.int(1)?);
    if !(0..=MOST).contains(&count) || start.checked_add(count).is_none_or(|end| end > i64::from(i32::MAX)) {
        return Err(it.fault("the count must be between 0 and 10000, and the end at most 2147483647."));
    }
    Ok(Json::Array((start..start + count).map(Json::from).collect()))
}

fn union(it: &Arguments<'_>) -> Result<Json, String> {
    it.count(1, usize::MAX)?;
    if matches!(it.values[0], Json::Array(_)) {
        let mut all: Vec<Json> = Vec::new();
        for at in 0..it.values.len() {
            for item in it.array(at)? {
                if !all.iter().any(|known| same(known, item)) {
                    all.push(item.clone());
                }
            }
        }
        return Ok(Json::Array(all));
    }
    let mut merged = Json::object();
    for at in 0..it.values.len() {
        merge(&mut merged, it.object(at)?);
    }
    Ok(merged)
}

fn merge(into: &mut Json, pairs: &[(String, Json)]) {
    for (key, value) in pairs {
        let merged = match (member(into, &Json::from(key.as_str())), value) {
            (Some(old @ Json::Object(_)), Json::Object(inner)) => {
                let mut old = old.clone();
                merge(&mut old, inner);
                old
            }
            _ => value.clone(),
        };
        set(into, key, merged);
    }
}

fn intersection(it: &Arguments<'_>) -> Result<Json, String> {
    it.count(1, usize::MAX)?;
    if matches!(it.values[0], Json::Array(_)) {
        let mut common = it.array(0)?.to_vec();
        for at in 1..it.values.len() {
            let other = it.array(at)?;
            common.retain(|item| other.iter().any(|known| same(known, item)));
        }
        return Ok(Json::Array(common));
    }
    let mut common = it.object(0)?.to_vec();
    for at in 1..it.values.len() {
        it.object(at)?;
        common.retain(|(key, value)| {
            member(&it.values[at], &Json::from(key.as_str())).is_some_and(|other| same(other, value))
        });
    }
    Ok(Json::Object(common))
}
