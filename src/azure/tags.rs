//! Tags and the provider's default tags. A resource's own tags take precedence, and `tags_all` contains both. As in Azure,
//! names are compared without case.

use std::collections::{BTreeMap, BTreeSet};

use super::Context;
use crate::framework::Draft;
use crate::schema::{Diagnostics, Slot, Value};

/// Tags by name.
pub type Tags = BTreeMap<String, String>;

/// Plans `tags_all`: the default tags, overridden by the resource's own. If that changes nothing, `tags` keeps its prior
/// value even if the same tags are now split differently between the resource and the defaults.
pub fn prepare(context: Option<&Context>, draft: &mut Draft<'_>) {
    let own = draft.planned.get("tags");
    // an unknown value may turn out to be null, and then the tag does not exist
    let is_open = own.is_unknown() || own.entries().any(|(_, value)| value.is_unknown());
    let (Some(context), false) = (context, is_open) else {
        draft.planned.set("tags_all", Value::Unknown);
        return;
    };
    let all = merged(context, Some(&Tags::decode(own)));
    let (prior_own, prior_all) = (draft.prior.get("tags"), draft.prior.get("tags_all"));
    if !prior_all.is_known() || !is_same(&all, &Tags::decode(prior_all)) {
        draft.planned.set("tags_all", all.encode());
        return;
    }
    draft.planned.set("tags_all", prior_all.clone());
    if prior_own.is_known() && is_same(&all, &merged(context, Some(&Tags::decode(prior_own)))) {
        draft.planned.set("tags", prior_own.clone());
    }
}

/// Applies the guardrail `required_tags` to a plan. Tag names must be known; values may be unknown.
pub fn check_required(context: &Context, draft: &Draft<'_>, found: &mut Diagnostics) {
    let own = draft.planned.get("tags");
    if !own.is_unknown() {
        let given = own.entries().filter(|(_, value)| !value.is_null()).map(|(name, _)| name.as_str());
        let names: Vec<&str> = context.default_tags.keys().map(String::as_str).chain(given).collect();
        context.guardrails.tags(&names, found);
    }
}

/// The tags to send: the default tags, overridden by `own`.
pub fn merged(context: &Context, own: Option<&Tags>) -> Tags {
    let own = own.into_iter().flatten();
    let mut all = context.default_tags.clone();
    all.retain(|name, _| !own.clone().any(|(own, _)| same_name(own, name)));
    all.extend(own.map(|(name, value)| (name.clone(), value.clone())));
    all
}

/// Whether `tags` contain all of `filter`, ignoring the case of names.
pub fn has_all(tags: &Tags, filter: Option<&Tags>) -> bool {
    filter.into_iter().flatten().all(|(name, value)| {
        tags.iter().any(|(have, found)| have.eq_ignore_ascii_case(name) && found == value)
    })
}

/// All tags in a response body.
pub fn all(body: &serde_json::Value) -> Tags {
    body.get("tags")
        .and_then(serde_json::Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}

/// The resource's own tags among `all`, given its last known `tags` and `tags_all`. A tag comes from the default tags if it
/// was in `tags_all` but not in `tags`, or if it is new and equals a default tag.
pub fn own(context: &Context, all: &Tags, known: Option<&Tags>, known_all: Option<&Tags>) -> Option<Tags> {
    let find = |tags: Option<&Tags>, name: &str| {
        tags.into_iter().flatten().map(|(known, _)| known.clone()).find(|known| same_name(known, name))
    };
    let mut own = Tags::new();
    for (name, value) in all {
        if let Some(known) = find(known, name) {
            own.insert(known, value.clone());
        } else if find(known_all, name).is_none() && !is_default(context, name, value) {
            own.insert(name.clone(), value.clone());
        }
    }
    (!own.is_empty() || known.is_some()).then_some(own)
}

fn is_default(context: &Context, name: &str, value: &str) -> bool {
    context.default_tags.iter().any(|(default, text)| same_name(default, name) && text == value)
}

fn same_name(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

fn is_same(a: &Tags, b: &Tags) -> bool {
    let has = |(name, value): (&String, &String)| {
        b.iter().any(|(other, text)| same_name(name, other) && value == text)
    };
    a.len() == b.len() && a.iter().all(has)
}

/// Checks tags against Azure's limits.
pub fn check(value: &Value) -> Result<(), String> {
    if value.entries().count() > 50 {
        return Err("contains more than the 50 tags that Azure allows".to_owned());
    }
    let mut names = BTreeSet::new();
    for (name, value) in value.entries() {
        if !names.insert(name.to_lowercase()) {
            return Err(format!("contains {name:?} twice; Azure ignores the case of tag names"));
        }
        if name.is_empty() || name.chars().count() > 512 {
            return Err(format!(
                "contains a tag name of {} characters; 1 to 512 are allowed",
                name.chars().count()
            ));
        }
        if let Some(bad) = name.chars().find(|c| "<>%&\\?/".contains(*c)) {
            return Err(format!(
                "contains the tag name {name:?} with the character {bad:?}, which Azure does not allow"
            ));
        }
        if value.as_str().is_some_and(|value| value.chars().count() > 256) {
            return Err(format!("contains a value of more than 256 characters for {name:?}"));
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
        Draft::new(config, prior, config.clone())
    }

    fn map<const N: usize>(tags: [(&str, Value); N]) -> Value {
        Value::Map(tags.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    #[test]
    fn tags_all_is_known_once_every_tag_is() {
        let mut context = FakeArm::new().context();
        context.default_tags = Tags::from([("team".to_owned(), "images".to_owned())]);
        let team = ("team", Value::from("images"));
        let rows = [
            (Value::Null, map([team.clone()])),
            (map([("os", "linux".into())]), map([team.clone(), ("os", "linux".into())])),
            (map([("os", Value::Null)]), map([team])),
            // the unknown value may become null, and the tag would then be missing
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

    fn tags<const N: usize>(tags: [(&str, &str); N]) -> Tags {
        tags.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn a_tag_that_was_only_in_tags_all_is_a_default_tag() {
        let mut context = FakeArm::new().context();
        context.default_tags = tags([("team", "new")]);
        let own = |all: Tags, known: Tags, known_all: Tags| {
            super::own(&context, &all, Some(&known), Some(&known_all)).unwrap()
        };
        let os = tags([("os", "linux")]);
        // the defaults have changed since the last apply
        let old = tags([("team", "old"), ("os", "linux")]);
        assert_eq!(own(old.clone(), os.clone(), old.clone()), os);
        // one of the resource's own tags equals a default
        let both = tags([("team", "new"), ("os", "linux")]);
        assert_eq!(own(both.clone(), both.clone(), both.clone()), both);
        // another client adds a tag
        let more = tags([("team", "old"), ("os", "linux"), ("by", "hand")]);
        assert_eq!(own(more, os.clone(), old.clone()), tags([("by", "hand"), ("os", "linux")]));
        // the service returns another case
        assert_eq!(own(tags([("TEAM", "old"), ("OS", "linux")]), os.clone(), old), os);
        // after an import, nothing is known yet
        assert_eq!(super::own(&context, &both, None, None), Some(os));
    }

    #[test]
    fn compares_names_without_case() {
        let mut context = FakeArm::new().context();
        context.default_tags = tags([("Env", "default"), ("team", "images")]);
        let all = merged(&context, Some(&tags([("env", "own")])));
        assert_eq!(all, tags([("env", "own"), ("team", "images")]));
        assert!(check(&map([("Env", "a".into()), ("env", "a".into())])).unwrap_err().contains("twice"));
    }

    #[test]
    fn splitting_the_same_tags_differently_plans_no_change() {
        let mut context = FakeArm::new().context();
        context.default_tags = tags([("team", "images")]);
        let (team, os) = (("team", Value::from("images")), ("os", Value::from("linux")));
        let rows = [
            (map([os.clone()]), map([os.clone(), team.clone()])),
            (map([os.clone(), team.clone()]), map([os.clone()])),
            (map([("OS", "linux".into())]), map([os.clone()])),
            (map([os.clone(), ("none", Value::Null)]), map([os.clone()])),
        ];
        for (written, had) in rows {
            let config = Value::object([("tags", written)]);
            let prior =
                Value::object([("tags", had), ("tags_all", map([os.clone(), ("Team", "images".into())]))]);
            let mut draft = draft(&config, &prior);
            prepare(Some(&context), &mut draft);
            assert_eq!(draft.planned, prior, "{config:?}");
        }
    }

    #[test]
    fn reports_a_missing_required_tag_while_other_tags_are_unknown() {
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
