//! Tags and default tags, as AWS users know them: the provider's lie under the resource's own, and `tags_all` shows both.

use std::collections::BTreeMap;

use super::Context;
use crate::framework::Draft;
use crate::schema::{Diagnostics, Value};

/// Tags as the models hold them.
pub type Tags = BTreeMap<String, String>;

/// Plans `tags_all`: the default tags with the resource's own over them.
pub fn prepare(context: Option<&Context>, draft: &mut Draft<'_>) {
    let own = draft.planned.get("tags");
    let all = match (context, own) {
        (Some(context), own) if !own.is_unknown() => {
            let mut all: BTreeMap<String, Value> = context
                .default_tags
                .iter()
                .map(|(name, value)| (name.clone(), Value::string(value.as_str())))
                .collect();
            // a tag without a value is no tag
            let given = own.entries().filter(|(_, value)| !value.is_null());
            all.extend(given.map(|(name, value)| (name.clone(), value.clone())));
            Value::Map(all)
        }
        _ => Value::Unknown,
    };
    draft.planned.set("tags_all", all);
}

/// Applies the guardrail on required tags to a plan whose tags are known.
pub fn check_required(context: &Context, draft: &Draft<'_>, found: &mut Diagnostics) {
    let all = draft.planned.get("tags_all");
    if !all.is_unknown() {
        let names: Vec<&str> = all.entries().map(|(name, _)| name.as_str()).collect();
        context.guardrails.tags(&names, found);
    }
}

/// The default tags with `own` over them: what is sent to the service.
pub fn merged(context: &Context, own: Option<&Tags>) -> Tags {
    let mut all = context.default_tags.clone();
    all.extend(own.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
    all
}

/// All tags in a body of the service.
pub fn all(body: &serde_json::Value) -> Tags {
    body.get("tags")
        .and_then(serde_json::Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}

/// The resource's own tags among `all`: without those that only the default tags put there.
pub fn own(context: &Context, all: &Tags, known: Option<&Tags>) -> Option<Tags> {
    let own: Tags = all
        .iter()
        .filter(|(name, value)| {
            known.is_some_and(|known| known.contains_key(*name))
                || context.default_tags.get(*name) != Some(*value)
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    (!own.is_empty() || known.is_some()).then_some(own)
}

/// What is wrong with a set of tags: Azure's limits.
pub fn check(value: &Value) -> Result<(), String> {
    if value.entries().count() > 50 {
        return Err("holds more than the 50 tags that Azure allows".to_owned());
    }
    for (name, value) in value.entries() {
        if name.is_empty() || name.chars().count() > 512 {
            return Err(format!(
                "has a tag name of {} characters: 1 to 512 are allowed",
                name.chars().count()
            ));
        }
        if let Some(bad) = name.chars().find(|c| "<>%&\\?/".contains(*c)) {
            return Err(format!("has the tag name {name:?} with {bad:?}, which Azure does not allow"));
        }
        if value.as_str().is_some_and(|value| value.chars().count() > 256) {
            return Err(format!("has a value of more than 256 characters under {name:?}"));
        }
    }
    Ok(())
}
