//! Template functions whose value depends only on their arguments: strings, numbers, logic and comparison.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest;

use super::super::json::{Json, same};
use super::arguments::{Arguments, as_int, text_of};
use super::{collections, dates, hash};

/// The namespace of the identifiers that `guid()` returns.
const GUIDS: [u8; 16] = 0x11fb_06fb_712d_4ddd_98c7_e71b_bd58_8830_u128.to_be_bytes();
/// The maximum length of a string that a function returns.
const LONGEST: i64 = 131_072;

/// Calls a function; `None` if it is not in this file.
pub fn call(name: &str, values: &[Json]) -> Option<Result<Json, String>> {
    let arguments = Arguments { name, values };
    strings(&arguments)
        .or_else(|| numbers_and_logic(&arguments))
        .or_else(|| collections::call(&arguments))
        .or_else(|| dates::call(&arguments))
}

fn strings(it: &Arguments<'_>) -> Option<Result<Json, String>> {
    let one = |change: fn(&str) -> String| {
        it.count(1, 1)?;
        it.text(0).map(|text| Json::from(change(text)))
    };
    Some(match it.name {
        "tolower" => one(|text| text.to_lowercase()),
        "toupper" => one(|text| text.to_uppercase()),
        "trim" => one(|text| text.trim().to_owned()),
        "base64" => one(|text| STANDARD.encode(text)),
        "datauri" => one(|text| format!("data:text/plain;charset=utf8;base64,{}", STANDARD.encode(text))),
        "uricomponent" => one(encode_component),
        "uricomponenttostring" => one(|text| {
            let plain = text.replace('+', "%2B").replace('=', "%3D").replace('&', "%26");
            url::form_urlencoded::parse(plain.as_bytes()).map(|(name, _)| name.into_owned()).collect()
        }),
        "base64tostring" => decoded(it).map(Json::from),
        "base64tojson" => decoded(it).and_then(|text| json(it, &text)),
        "json" => it.count(1, 1).and_then(|()| it.text(0)).and_then(|text| json(it, text)),
        "string" => it.count(1, 1).map(|()| {
            Json::from(match &it.values[0] {
                Json::Bool(_) | Json::String(_) => text_of(&it.values[0]),
                other => other.compact(),
            })
        }),
        "startswith" => pair(it).map(|(text, part)| lower(text).starts_with(&lower(part)).into()),
        "endswith" => pair(it).map(|(text, part)| lower(text).ends_with(&lower(part)).into()),
        "uri" => pair(it).and_then(|(base, relative)| {
            let joined = url::Url::parse(base).and_then(|base| base.join(relative));
            joined.map(|url| Json::from(url.to_string())).map_err(|why| it.fault(&why.to_string()))
        }),
        "replace" => (|| {
            it.count(3, 3)?;
            Ok(it.text(0)?.replace(it.text(1)?, it.text(2)?).into())
        })(),
        "substring" => substring(it),
        "padleft" => pad_left(it),
        "split" => split(it),
        "format" => format(it),
        "guid" => joined(it).map(|text| Json::from(name_guid(&text))),
        "uniquestring" => joined(it).map(|text| Json::from(hash::unique_string(&text))),
        _ => return None,
    })
}

fn lower(text: &str) -> String {
    text.to_lowercase()
}

fn pair<'a>(it: &'a Arguments<'_>) -> Result<(&'a str, &'a str), String> {
    it.count(2, 2)?;
    Ok((it.text(0)?, it.text(1)?))
}

fn encode_component(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn decoded(it: &Arguments<'_>) -> Result<String, String> {
    it.count(1, 1)?;
    let bytes = STANDARD.decode(it.text(0)?).map_err(|why| it.fault(&why.to_string()))?;
    String::from_utf8(bytes).map_err(|why| it.fault(&why.to_string()))
}

fn json(it: &Arguments<'_>, text: &str) -> Result<Json, String> {
    Json::parse(text.as_bytes()).map_err(|why| it.fault(&why))
}

fn substring(it: &Arguments<'_>) -> Result<Json, String> {
    it.count(2, 3)?;
    let characters: Vec<char> = it.text(0)?.chars().collect();
    let start = it.size(1)?;
    let length = if it.values.len() == 3 { it.size(2)? } else { characters.len().saturating_sub(start) };
    match start.checked_add(length).and_then(|end| characters.get(start..end)) {
        Some(part) => Ok(Json::from(part.iter().collect::<String>())),
        None => Err(it.fault("the index and length must refer to a location within the string.")),
    }
}

fn pad_left(it: &Arguments<'_>) -> Result<Json, String> {
    it.count(2, 3)?;
    let text = text_of(&it.values[0]);
    let width = it.size(1)?;
    let fill = if it.values.len() == 3 { it.text(2)?.to_owned() } else { " ".to_owned() };
    if width as i64 > LONGEST || fill.chars().count() != 1 {
        return Err(it.fault("the width is too large, or the padding is not one character."));
    }
    Ok(Json::from(fill.repeat(width.saturating_sub(text.chars().count())) + &text))
}

fn split(it: &Arguments<'_>) -> Result<Json, String> {
    it.count(2, 2)?;
    let delimiters: Vec<&str> = match &it.values[1] {
        Json::Array(items) => items.iter().filter_map(Json::as_str).collect(),
        _ => vec![it.text(1)?],
    };
    let mut parts = vec![it.text(0)?];
    for delimiter in delimiters.into_iter().filter(|delimiter| !delimiter.is_empty()) {
        parts = parts.into_iter().flat_map(|part| part.split(delimiter)).collect();
    }
    Ok(Json::Array(parts.into_iter().map(Json::from).collect()))
}

/// .NET's composite format, with `{0}`, `{0:D4}` and `{0:0000}`.
fn format(it: &Arguments<'_>) -> Result<Json, String> {
    it.count(1, usize::MAX)?;
    let mut text = String::new();
    let mut rest = it.text(0)?;
    while let Some(at) = rest.find(['{', '}']) {
        text += &rest[..at];
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            text += brace;
            rest = after;
            continue;
        }
        let end = rest.find('}').filter(|_| brace == "{");
        let end = end.ok_or_else(|| it.fault("the format string has a brace without its partner."))?;
        let (index, style) = rest[..end].split_once(':').unwrap_or((&rest[..end], ""));
        let value = index
            .trim()
            .parse::<usize>()
            .ok()
            .and_then(|index| it.values.get(index + 1))
            .ok_or_else(|| it.fault(&format!("there is no argument for '{{{}}}'.", &rest[..end])))?;
        text += &styled(it, value, style)?;
        rest = &rest[end + 1..];
    }
    text += rest;
    Ok(Json::from(text))
}

fn styled(it: &Arguments<'_>, value: &Json, style: &str) -> Result<String, String> {
    if style.is_empty() {
        return Ok(text_of(value));
    }
    let zeros = style.chars().all(|c| c == '0').then_some(style.len());
    let digits = zeros.or_else(|| style.strip_prefix(['D', 'd']).and_then(|width| width.parse().ok()));
    match (digits, as_int(Some(value))) {
        (Some(width), Some(number)) if width <= 64 => {
            let sign = if number < 0 { "-" } else { "" };
            Ok(format!("{sign}{:0width$}", number.unsigned_abs()))
        }
        _ => Err(it.fault(&format!("the emulator does not know the format '{style}'."))),
    }
}

fn joined(it: &Arguments<'_>) -> Result<String, String> {
    it.count(1, usize::MAX)?;
    let texts: Result<Vec<&str>, String> = (0..it.values.len()).map(|at| it.text(at)).collect();
    Ok(texts?.join("-"))
}

/// A version 5 UUID.
fn name_guid(text: &str) -> String {
    let name = [&GUIDS, text.as_bytes()].concat();
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &name);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_ref()[..16]);
    uuid::Builder::from_sha1_bytes(bytes).into_uuid().to_string()
}

fn numbers_and_logic(it: &Arguments<'_>) -> Option<Result<Json, String>> {
    let arithmetic = |calculate: fn(i64, i64) -> Option<i64>| {
        it.count(2, 2)?;
        let result = calculate(it.int(0)?, it.int(1)?);
        result.map(Json::from).ok_or_else(|| it.fault("the result is not a 64-bit integer."))
    };
    let compare = |holds: fn(std::cmp::Ordering) -> bool| {
        it.count(2, 2)?;
        let order = match (&it.values[0], &it.values[1]) {
            (Json::String(left), Json::String(right)) => left.cmp(right),
            _ => it.int(0)?.cmp(&it.int(1)?),
        };
        Ok(Json::from(holds(order)))
    };
    Some(match it.name {
        "add" => arithmetic(i64::checked_add),
        "sub" => arithmetic(i64::checked_sub),
        "mul" => arithmetic(i64::checked_mul),
        "div" => arithmetic(i64::checked_div),
        "mod" => arithmetic(i64::checked_rem),
        "less" => compare(|order| order.is_lt()),
        "lessorequals" => compare(|order| order.is_le()),
        "greater" => compare(|order| order.is_gt()),
        "greaterorequals" => compare(|order| order.is_ge()),
        "equals" => it.count(2, 2).map(|()| same(&it.values[0], &it.values[1]).into()),
        "not" => it.count(1, 1).and_then(|()| it.flag(0)).map(|value| Json::from(!value)),
        "true" => it.count(0, 0).map(|()| true.into()),
        "false" => it.count(0, 0).map(|()| false.into()),
        "null" => it.count(0, 0).map(|()| Json::Null),
        "bool" => it.count(1, 1).and_then(|()| match (&it.values[0], as_int(it.values.first())) {
            (Json::Bool(value), _) => Ok(Json::from(*value)),
            (Json::String(text), _) if text.eq_ignore_ascii_case("true") => Ok(true.into()),
            (Json::String(text), _) if text.eq_ignore_ascii_case("false") => Ok(false.into()),
            (_, Some(number)) => Ok(Json::from(number != 0)),
            _ => Err(it.fault("the argument is not a boolean.")),
        }),
        "int" => it.count(1, 1).and_then(|()| {
            let read = it.values[0].as_str().and_then(|text| text.trim().parse::<i64>().ok());
            read.or_else(|| as_int(it.values.first()))
                .map(Json::from)
                .ok_or_else(|| it.fault("the argument is not an integer."))
        }),
        "float" => it.count(1, 1).and_then(|()| match &it.values[0] {
            number @ Json::Number(_) => Ok(number.clone()),
            Json::String(text) => text
                .trim()
                .parse::<f64>()
                .map(Json::from)
                .map_err(|_| it.fault("the argument is not a number.")),
            _ => Err(it.fault("the argument is not a number.")),
        }),
        "min" => extreme(it, i64::min),
        "max" => extreme(it, i64::max),
        _ => return None,
    })
}

fn extreme(it: &Arguments<'_>, choose: fn(i64, i64) -> i64) -> Result<Json, String> {
    it.count(1, usize::MAX)?;
    let values = match it.values {
        [Json::Array(items)] => items.as_slice(),
        values => values,
    };
    let inner = Arguments { name: it.name, values };
    let numbers: Result<Vec<i64>, String> = (0..values.len()).map(|at| inner.int(at)).collect();
    numbers?.into_iter().reduce(choose).map(Json::from).ok_or_else(|| it.fault("the array is empty."))
}
