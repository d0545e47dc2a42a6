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
    // one that is unknown yet may turn out to be null, and then is no tag
    let open = own.is_unknown() || own.entries().any(|(_, value)| value.is_unknown());
    let all = match context {
        Some(context) if !open => {
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

/// Applies the guardrail on required tags to a plan whose tags are known by name; a value may still be unknown.
pub fn check_required(context: &Context, draft: &Draft<'_>, found: &mut Diagnostics) {
    let own = draft.planned.get("tags");
    if !own.is_unknown() {
        let given = own.entries().filter(|(_, value)| !value.is_null()).map(|(name, _)| name.as_str());
        let names: Vec<&str> = context.default_tags.keys().map(String::as_str).chain(given).collect();
        context.guardrails.tags(&names, found);
    }
}

/// The default tags with `own` over them: what is sent to the service.
pub fn merged(context: &Context, own: Option<&Tags>) -> Tags {
    let mut all = context.default_tags.clone();
    all.extend(own.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
    all
}

/// Whether `tags` contain all of `filter`: names without regard to case, values exactly.
pub fn has_all(tags: &Tags, filter: Option<&Tags>) -> bool {
    filter.into_iter().flatten().all(|(name, value)| {
        tags.iter().any(|(have, found)| have.eq_ignore_ascii_case(name) && found == value)
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::guardrails::Guardrails;
    use crate::azure::testing::FakeArm;
    use crate::schema::Set;

    fn draft<'a>(config: &'a Value, prior: &'a Value) -> Draft<'a> {
        Draft { config, prior, planned: config.clone(), replace: Vec::new(), diagnostics: Diagnostics::new() }
    }

    fn map<const N: usize>(tags: [(&str, Value); N]) -> Value {
        Value::Map(tags.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    #[test]
    fn all_tags_are_known_when_each_is() {
        let mut context = FakeArm::new().context();
        context.default_tags = Tags::from([("team".to_owned(), "images".to_owned())]);
        let team = ("team", Value::from("images"));
        let rows = [
            (Value::Null, map([team.clone()])),
            (map([("os", "linux".into())]), map([team.clone(), ("os", "linux".into())])),
            (map([("os", Value::Null)]), map([team])),
            // null in the end, and it would have vanished from the plan
            (map([("os", Value::Unknown)]), Value::Unknown),
            (Value::Unknown, Value::Unknown),
        ];
        for (own, all) in rows {
            let config = Value::object([("tags", own)]);
            let mut draft = draft(&config, &Value::Null);
            prepare(Some(&context), &mut draft);
            assert_eq!(*draft.planned.get("tags_all"), all, "{config:?}");
        }
    }

    #[test]
    fn a_required_tag_is_missed_while_others_are_unknown() {
        let mut context = FakeArm::new().context();
        let required = Some(Set(vec!["os".to_owned()]));
        context.guardrails = Guardrails { required_tags: required, ..Guardrails::default() };
        let rows = [
            (map([("owner", Value::Unknown)]), true),
            (map([("OS", Value::Unknown)]), false),
            (map([("os", Value::Null)]), true),
            (Value::Null, true),
            (Value::Unknown, false),
        ];
        for (own, missed) in rows {
            let config = Value::object([("tags", own)]);
            let mut found = Diagnostics::new();
            check_required(&context, &draft(&config, &Value::Null), &mut found);
            assert_eq!(found.has_errors(), missed, "{config:?}");
        }
    }
}
