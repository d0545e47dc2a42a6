//! Searches of list resources: lists below a subscription, a resource group or a parent, filtered and in a stable order.

use std::cmp::Ordering;

use futures_util::{StreamExt, TryStreamExt, stream};
use regex_lite::Regex;
use serde_json::Value as Json;

use crate::arm::id::{GALLERY, IMAGE_DEFINITION};
use crate::arm::{ResourceId, Scope, Target};
use crate::azure::context::scope;
use crate::azure::tags::{self, Tags};
use crate::azure::{Context, body, fault};
use crate::framework::Op;
use crate::framework::list::Found;
use crate::image::Version;
use crate::schema::{Diagnostic, Diagnostics, Path, Value};

/// How many parents are listed concurrently.
const LISTS_AT_ONCE: usize = 8;

/// The objects of one query.
pub struct Search<'a> {
    context: &'a Context,
    scope: Scope,
}

impl<'a> Search<'a> {
    /// A search with a description for messages, such as "listing galleries".
    pub fn new(context: &'a Context, op: &Op, doing: &str) -> Self {
        Self { context, scope: scope(op, doing) }
    }

    /// The objects of `kind`, such as `Microsoft.Compute/images`, in a resource group, or in the whole subscription.
    pub async fn top_level(
        &self,
        kind: &str,
        subscription: Option<&str>,
        group: Option<&str>,
    ) -> Result<Vec<Json>, Diagnostics> {
        let subscription = self.context.subscription(subscription)?;
        let group = group.map(|group| format!("/resourceGroups/{group}")).unwrap_or_default();
        self.list(format!("/subscriptions/{subscription}{group}/providers/{kind}")).await
    }

    /// The `kind` of objects (`images`, `applications`) in one gallery, or in all of a resource group or subscription.
    pub async fn in_galleries(
        &self,
        kind: &str,
        gallery: Option<&str>,
        subscription: Option<&str>,
        group: Option<&str>,
    ) -> Result<Vec<Json>, Diagnostics> {
        if let Some(gallery) = gallery {
            return self.list(format!("{}/{kind}", gallery.trim_end_matches('/'))).await;
        }
        let galleries = self.top_level(GALLERY, subscription, group).await?;
        self.children(&ids(&galleries, GALLERY), kind).await
    }

    /// The image versions of one image definition, or of all in a gallery, resource group or subscription.
    pub async fn versions(
        &self,
        definition: Option<&str>,
        gallery: Option<&str>,
        subscription: Option<&str>,
        group: Option<&str>,
    ) -> Result<Vec<Json>, Diagnostics> {
        if let Some(definition) = definition {
            return self.list(format!("{}/versions", definition.trim_end_matches('/'))).await;
        }
        let definitions = self.in_galleries("images", gallery, subscription, group).await?;
        self.children(&ids(&definitions, IMAGE_DEFINITION), "versions").await
    }

    /// The children of type `kind` of all `parents`. A parent that no longer exists has none.
    async fn children(&self, parents: &[ResourceId], kind: &str) -> Result<Vec<Json>, Diagnostics> {
        let paths: Vec<String> = parents.iter().map(|parent| format!("{parent}/{kind}")).collect();
        let lists = stream::iter(paths.into_iter().map(|path| self.list_or_none(path)));
        let lists: Vec<Vec<Json>> = lists.buffered(LISTS_AT_ONCE).try_collect().await?;
        Ok(lists.into_iter().flatten().collect())
    }

    async fn list_or_none(&self, path: String) -> Result<Vec<Json>, Diagnostic> {
        match self.context.client.list(&self.scope, &Target::at(path.as_str())).await {
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            listed => listed.map_err(|error| fault::diagnostic(&error, self.scope.what(), &path)),
        }
    }

    async fn list(&self, path: String) -> Result<Vec<Json>, Diagnostics> {
        let listed = self.context.client.list(&self.scope, &Target::at(path.as_str())).await;
        Ok(listed.map_err(|error| fault::diagnostic(&error, self.scope.what(), &path))?)
    }
}

fn ids(items: &[Json], kind: &str) -> Vec<ResourceId> {
    let parse = |item| ResourceId::parse_as(&body::text(item, "id")?, kind).ok();
    items.iter().filter_map(parse).collect()
}

/// The filter of the listed objects.
pub struct Filter {
    name: Option<Regex>,
    tags: Option<Tags>,
}

impl Filter {
    /// A filter from the arguments `name_regex` and `tags`.
    pub fn new(name_regex: Option<&str>, tags: Option<Tags>) -> Result<Self, Diagnostic> {
        let name = name_regex.map(Regex::new).transpose().map_err(|error| {
            Diagnostic::error("Invalid value for name_regex", error.to_string())
                .at(Path::attribute("name_regex"))
        })?;
        Ok(Self { name, tags })
    }

    /// The matching objects of type `kind`, sorted by ID, and versions by number.
    pub fn found(&self, items: &[Json], kind: &str) -> Vec<Found> {
        let mut ids: Vec<ResourceId> = items
            .iter()
            .filter(|item| tags::has_all(&tags::all(item), self.tags.as_ref()))
            .filter_map(|item| ResourceId::parse_as(&body::text(item, "id")?, kind).ok())
            .filter(|id| self.name.as_ref().is_none_or(|regex| regex.is_match(id.name())))
            .collect();
        ids.sort_by(by_id);
        ids.dedup_by_key(|id| id.key());
        ids.into_iter().map(|id| Found { id: id.to_string(), display_name: id.names().join("/") }).collect()
    }
}

fn by_id(a: &ResourceId, b: &ResourceId) -> Ordering {
    let parent = |id: &ResourceId| id.parent().map(|parent| parent.key());
    let version = |id: &ResourceId| id.name().parse::<Version>().ok();
    parent(a).cmp(&parent(b)).then_with(|| version(a).cmp(&version(b))).then_with(|| a.key().cmp(&b.key()))
}

/// Checks that no argument for the scope is set together with the argument `parent`, which determines it.
pub fn check_one_place(
    config: &Value,
    parent: &'static str,
    others: &[&'static str],
    found: &mut Diagnostics,
) {
    for name in others.iter().filter(|_| config.get(parent).is_known()) {
        if config.get(name).is_known() {
            found.error(
                Path::attribute(*name),
                format!("{name} cannot be used together with {parent}"),
                format!("{parent} already determines where to search: remove {name}."),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::arm::id::IMAGE_VERSION;

    #[test]
    fn sorts_by_id_with_versions_by_number() {
        let id = |rest: &str| json!({"id": format!("/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries/{rest}")});
        let items = [
            id("b/images/i/versions/1.0.0"),
            id("a/images/i/versions/1.10.0"),
            id("A/images/I/versions/1.9.0"),
            id("a/images/i/versions/1.9.0"),
            id("a/images/i"),
        ];
        let found = Filter::new(None, None).unwrap().found(&items, IMAGE_VERSION);
        let names: Vec<&str> = found.iter().map(|found| found.display_name.as_str()).collect();
        assert_eq!(names, ["A/I/1.9.0", "a/i/1.10.0", "b/i/1.0.0"]);
    }

    #[test]
    fn filters_by_name_and_tags() {
        let gallery = |name: &str, tags: Json| json!({"id": format!("/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries/{name}"), "tags": tags});
        let items = [
            gallery("prod", json!({"Team": "a"})),
            gallery("dev", json!({"team": "b"})),
            gallery("test", json!({})),
        ];
        let found = |regex, tags: &[(&str, &str)]| {
            let tags = tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let found = Filter::new(regex, Some(tags)).unwrap().found(&items, GALLERY);
            found.into_iter().map(|found| found.display_name).collect::<Vec<_>>()
        };
        assert_eq!(found(None, &[]), ["dev", "prod", "test"]);
        assert_eq!(found(Some("^(p|d)"), &[]), ["dev", "prod"]);
        assert_eq!(found(None, &[("team", "a")]), ["prod"]);
        assert_eq!(found(Some("^t"), &[("team", "a")]), Vec::<String>::new());
        assert!(Filter::new(Some("("), None).is_err());
    }
}
