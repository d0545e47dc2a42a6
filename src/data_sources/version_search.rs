//! Selects one version in a gallery: an exact one, or the newest that qualifies.

use std::collections::{BTreeMap, HashSet};

use time::OffsetDateTime;

use super::finding;
use super::gallery_version::{self, GalleryVersion, candidate};
use crate::arm::{ResourceId, Target, region};
use crate::azure::context::scope;
use crate::azure::gallery_version::Kind;
use crate::azure::tags::Tags;
use crate::azure::{Context, fault};
use crate::framework::Op;
use crate::image::{Selected, Selection, Wanted, did_you_mean, nearest_versions, newest, select};
use crate::schema::{Diagnostic, Diagnostics, Path};

/// The versions of one parent.
pub struct Search<'a> {
    /// The configured provider.
    pub context: &'a Context,
    /// The framework's operation.
    pub op: &'a Op,
    /// The names of the kind of version.
    pub kind: &'a Kind,
    /// The image definition or the gallery application.
    pub parent: &'a ResourceId,
}

/// The arguments of a data source that select a version.
pub struct Query<'a> {
    /// An exact version, `latest` or a constraint. Defaults to `latest`.
    pub version: Option<&'a str>,
    /// The region that the version must be replicated to, in any spelling.
    pub location: Option<&'a str>,
    /// Tags that the version must have.
    pub tags: Option<&'a Tags>,
    /// Whether to include versions that are excluded from latest.
    pub include_excluded: Option<bool>,
    /// Whether to include versions that are not replicated to `location`.
    pub include_unreplicated: Option<bool>,
}

impl Search<'_> {
    /// The version that `query` selects, and why each other version was not selected.
    pub async fn find<V: GalleryVersion>(
        &self,
        query: Query<'_>,
    ) -> Result<(V, BTreeMap<String, String>), Diagnostics> {
        let wanted = finding::wanted(self.kind.number, query.version)?;
        let location = query.location.map(region::normalise);
        let no_tags = Tags::new();
        let selection = &Selection {
            wanted: &wanted,
            location: location.as_deref(),
            tags: query.tags.unwrap_or(&no_tags),
            include_excluded: query.include_excluded.unwrap_or_default(),
            include_unreplicated: query.include_unreplicated.unwrap_or_default(),
            now: OffsetDateTime::now_utc(),
        };
        let mut looked_at = HashSet::new();
        let mut versions = match selection.wanted {
            Wanted::Exact(exact) => {
                let found: V = self.exact(exact.as_str(), selection.wanted).await?;
                looked_at.insert(found.common().name.clone());
                vec![found]
            }
            _ => self.list().await?,
        };
        loop {
            let candidates: Vec<_> = versions.iter().map(|version: &V| candidate(version.common())).collect();
            let selected = select(&candidates, selection);
            let Some(index) = selected.chosen else {
                return Err(self.nothing(selection, &selected).into());
            };
            let name = candidates[index].version.clone();
            if !looked_at.insert(name.clone()) {
                return Ok((versions.swap_remove(index), selected.skipped));
            }
            // lists do not contain the replication status: read the version that would be selected, then select again
            match self.look(&name).await? {
                Some(version) => versions[index] = version,
                None => drop(versions.remove(index)),
            }
        }
    }

    async fn exact<V: GalleryVersion>(&self, name: &str, wanted: &Wanted) -> Result<V, Diagnostics> {
        if let Some(found) = self.look(name).await? {
            return Ok(found);
        }
        let listed: Vec<V> = self.list().await?;
        let names: Vec<String> = listed.iter().map(|version| version.common().name.clone()).collect();
        // 1.02.0 is 1.2.0
        if let Some(other) = newest(names.iter().map(String::as_str), wanted)
            && other != name
            && let Some(found) = self.look(other).await?
        {
            return Ok(found);
        }
        let near = nearest_versions(wanted, names.iter().map(String::as_str));
        let mut detail = did_you_mean(&near).unwrap_or_else(|| "it has no versions at all.".to_owned());
        detail[..1].make_ascii_uppercase();
        let what = format!("There is no version {name} of {}", self.parent());
        Err(Diagnostic::error(what, format!("{detail}\n\n{}", self.parent))
            .at(Path::attribute(self.kind.number))
            .into())
    }

    async fn list<V: GalleryVersion>(&self) -> Result<Vec<V>, Diagnostics> {
        gallery_version::list(self.context, self.op, self.kind, self.parent).await
    }

    // The parent in messages: `image definition "web"`.
    fn parent(&self) -> String {
        format!("{} {:?}", self.kind.parent_noun, self.parent.name())
    }

    async fn look<V: GalleryVersion>(&self, name: &str) -> Result<Option<V>, Diagnostics> {
        let id = self.parent.child("versions", name);
        let scope = scope(self.op, format!("reading version {name} of {}", self.parent()));
        let target = Target::at(id.to_string()).query("$expand", "ReplicationStatus");
        let found = self.context.client.get_opt(&scope, &target).await;
        let found = found.map_err(|error| fault::diagnostic(&error, scope.what(), &id.to_string()))?;
        Ok(found.as_ref().map(V::read))
    }

    fn nothing(&self, selection: &Selection<'_>, selected: &Selected) -> Diagnostic {
        let parent = self.parent();
        if selected.skipped.is_empty() {
            let what = format!("{} has no versions", fault::capital(&parent));
            return Diagnostic::error(what, self.parent.to_string()).at(Path::attribute(self.kind.parent));
        }
        let what = match selection.wanted {
            Wanted::Exact(version) => format!("Version {version} of {parent} is not what is asked for"),
            Wanted::Latest => format!("No version of {parent} qualifies"),
            Wanted::Constraint(constraint) => {
                format!("No version of {parent} that satisfies \"{constraint}\" qualifies")
            }
        };
        Diagnostic::error(what, format!("{}\n{}", selected.explain(10), self.parent))
            .at(Path::attribute(self.kind.number))
    }
}
