//! Members of a request that older API versions of a resource type do not have.

use serde_json::Value as Json;

use crate::arm::Target;

/// A member that not every API version has.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    attribute: &'static str,
    path: &'static str,
    since: &'static str,
}

impl Member {
    /// The member at `path` below `properties`, which `attribute` sets and which exists since API version `since`.
    pub const fn new(attribute: &'static str, path: &'static str, since: &'static str) -> Member {
        Member { attribute, path, since }
    }
}

/// `target`, refused where the cloud has only API versions that lack a member of `body`.
pub fn requiring(target: &Target, body: &Json, members: &[Member]) -> Target {
    let properties = body.get("properties").unwrap_or(&Json::Null);
    let present = members.iter().filter(|member| contains(properties, member.path));
    present.fold(target.clone(), |target, member| target.needs(member.since, member.attribute))
}

// Whether the body sets the member at a dotted path, in any element of the lists on the way. False means the same as absent.
fn contains(json: &Json, path: &str) -> bool {
    match json {
        Json::Array(items) => items.iter().any(|item| contains(item, path)),
        _ if path.is_empty() => !matches!(json, Json::Null | Json::Bool(false)),
        Json::Object(members) => {
            let (name, rest) = path.split_once('.').unwrap_or((path, ""));
            members.get(name).is_some_and(|member| contains(member, rest))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_members_in_lists_and_ignores_false() {
        let body =
            json!({"regions": [{"name": "a"}, {"name": "b", "exclude": true}], "safety": {"block": false}});
        for (path, present) in
            [("regions.exclude", true), ("regions.other", false), ("safety.block", false), ("safety", true)]
        {
            assert_eq!(contains(&body, path), present, "{path}");
        }
    }
}
