//! Versions of images in community galleries and directly shared galleries: the data source for both kinds of gallery.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use time::OffsetDateTime;

use super::finding::{self, absent};
use crate::arm::{Target, region};
use crate::azure::attributes::instant;
use crate::azure::context::scope;
use crate::azure::objects::filled;
use crate::azure::{Context, body, fault};
use crate::framework::Op;
use crate::image::{Candidate, Selection, Wanted, did_you_mean, nearest_versions, select};
use crate::schema::{Diagnostic, Diagnostics, Path};

/// A kind of gallery.
pub struct Kind {
    /// Its segment in ARM paths.
    pub segment: &'static str,
    /// Its segment in the IDs of images.
    pub id_segment: &'static str,
    /// Its name in messages.
    pub noun: &'static str,
    /// The attribute with its name.
    pub attribute: &'static str,
}

/// What to find.
pub struct Query<'a> {
    /// The location to search.
    pub location: &'a str,
    /// The gallery.
    pub gallery: &'a str,
    /// The image.
    pub image: &'a str,
    /// The version, `latest` or a constraint; `latest` when absent.
    pub version: Option<&'a str>,
}

/// The version that was found.
#[derive(Debug)]
pub struct Found {
    /// The ID for virtual machines and image versions.
    pub id: String,
    /// The version number.
    pub version: String,
    /// When it was published.
    pub published_date: Option<String>,
    /// Its end-of-life date.
    pub end_of_life_date: Option<String>,
    /// Whether it is excluded when resolving `latest`.
    pub exclude_from_latest: bool,
    /// The size of the operating system disk in GB.
    pub os_disk_size_gb: Option<i64>,
    /// Why each other version was not selected.
    pub skipped: BTreeMap<String, String>,
}

/// Declares the data source of one kind of gallery, whose name is the argument `$gallery`.
macro_rules! published_version {
    (
        $(#[doc = $about:literal])*
        $name:ident = $type_name:literal, $kind:expr;
        $(#[doc = $gallery_doc:literal])*
        $gallery:ident;
        $(#[doc = $id_doc:literal])*
        id
    ) => {
        $crate::model! {
            $(#[doc = $about])*
            pub struct Model {
                /// The location in which the image will be used, in any spelling.
                pub location: String = required().check_text(check_location),
                $(#[doc = $gallery_doc])*
                pub $gallery: String = required().check_text(check_filled),
                /// The name of the image.
                pub image_name: String = required().check_text(check_definition_name),
                /// An exact version, `latest`, or a constraint such as `~> 1.2`. Defaults to `latest`. The result is always
                /// the version that was found.
                pub version: Option<String> = optional_computed().resolved().or_empty().check_text(check_version),
                /// The same as `version`, but unknown while reading is deferred to apply.
                pub exact_version: Option<String> = computed(),
                $(#[doc = $id_doc])*
                pub id: Option<String> = computed(),
                /// When the version was published.
                pub published_date: Option<String> = computed(),
                /// The end-of-life date of the version.
                pub end_of_life_date: Option<String> = computed(),
                /// Whether the version is excluded when resolving `latest`.
                pub exclude_from_latest: Option<bool> = computed(),
                /// The size of the operating system disk in GB.
                pub os_disk_size_gb: Option<i64> = computed(),
                /// Why each other version was not selected, by version. Empty if `version` is an exact version.
                pub skipped: BTreeMap<String, String> = computed(),
                /// How long reading may take.
                pub timeouts: Option<ReadTimeouts> = block(),
            }
        }

        /// The data source.
        pub struct $name;

        #[async_trait]
        impl DataSource<Context> for $name {
            type Model = Model;

            fn type_name(&self) -> &'static str {
                $type_name
            }

            async fn read(&self, context: &Context, op: &Op, config: Model) -> Result<Model, Diagnostics> {
                let query = Query {
                    location: &config.location,
                    gallery: &config.$gallery,
                    image: &config.image_name,
                    version: config.version.as_deref(),
                };
                let found = find(context, op, &$kind, &query).await?;
                Ok(Model {
                    version: Some(found.version.clone()),
                    exact_version: Some(found.version),
                    id: Some(found.id),
                    published_date: found.published_date,
                    end_of_life_date: found.end_of_life_date,
                    exclude_from_latest: Some(found.exclude_from_latest),
                    os_disk_size_gb: found.os_disk_size_gb,
                    skipped: found.skipped,
                    ..config
                })
            }
        }
    };
}
pub(super) use published_version;

/// Finds one version.
pub async fn find(context: &Context, op: &Op, kind: &Kind, query: &Query<'_>) -> Result<Found, Diagnostics> {
    let wanted = finding::wanted("version", query.version)?;
    let subscription = context.subscription(None)?;
    if let Some(why) = context.unknown_location(op, subscription, query.location).await {
        let error = Diagnostic::error("Invalid value for location", why);
        return Err(error.at(Path::attribute("location")).into());
    }
    let location = region::normalise(query.location);
    let images = format!(
        "/subscriptions/{subscription}/providers/Microsoft.Compute/locations/{location}/{}/{}/images",
        kind.segment, query.gallery
    );
    let what = format!("image {:?} of {} {:?} in {location}", query.image, kind.noun, query.gallery);
    let scope = scope(op, format!("listing versions of {what}"));
    let path = format!("{images}/{}/versions", query.image);
    let listed = match context.client.list(&scope, &Target::at(path.as_str())).await {
        Ok(listed) => listed,
        Err(error) if error.is_not_found() => {
            let names = finding::names(context, &scope, &Target::at(images)).await;
            let attribute = if names.is_empty() { kind.attribute } else { "image_name" };
            let among = format!("The {} {:?} in {location}", kind.noun, query.gallery);
            let what = format!("There is no {what}");
            return Err(absent(what, Path::attribute(attribute), query.image, &names, &among).into());
        }
        Err(error) => return Err(fault::diagnostic(&error, scope.what(), &path).into()),
    };
    let candidates: Vec<Candidate> = listed.iter().map(candidate).collect();
    let tags = BTreeMap::new();
    let selection = Selection {
        wanted: &wanted,
        // a version that is listed in a location is replicated to it
        location: None,
        tags: &tags,
        include_excluded: false,
        include_unreplicated: true,
        now: OffsetDateTime::now_utc(),
    };
    let selected = select(&candidates, &selection);
    let Some(index) = selected.chosen else {
        let names = candidates.iter().map(|candidate| candidate.version.as_str());
        let why = match &wanted {
            Wanted::Exact(_) => did_you_mean(&nearest_versions(&wanted, names)).map(|mut hint| {
                hint[..1].make_ascii_uppercase();
                hint
            }),
            _ => Some(selected.explain(10)).filter(|text| !text.is_empty()),
        };
        let summary = match &wanted {
            Wanted::Exact(version) => format!("There is no version {version} of {what}"),
            Wanted::Latest => format!("No version of {what} qualifies"),
            Wanted::Constraint(constraint) => {
                format!("No version of {what} that satisfies \"{constraint}\" qualifies")
            }
        };
        let why = why.unwrap_or_else(|| "It has no versions.".to_owned());
        return Err(Diagnostic::error(summary, why).at(Path::attribute("version")).into());
    };
    let version = &listed[index];
    let name = candidates[index].version.clone();
    let id = body::text(version, "identifier.uniqueId").unwrap_or_else(|| {
        format!("/{}/{}/Images/{}/Versions/{name}", kind.id_segment, query.gallery, query.image)
    });
    Ok(Found {
        id,
        version: name,
        published_date: filled(version, "properties.publishedDate"),
        end_of_life_date: filled(version, "properties.endOfLifeDate"),
        exclude_from_latest: candidates[index].excluded_globally,
        os_disk_size_gb: body::int(version, "properties.storageProfile.osDiskImage.diskSizeGB"),
        skipped: selected.skipped,
    })
}

// A version that consumers can list is ready, unless it is marked as deleted.
fn candidate(version: &Json) -> Candidate {
    let state =
        body::text(version, "properties.imageState").filter(|state| !state.eq_ignore_ascii_case("Active"));
    Candidate {
        version: body::text(version, "name").unwrap_or_default(),
        excluded_globally: body::bool(version, "properties.excludeFromLatest").unwrap_or_default(),
        provisioning_state: state.unwrap_or_else(|| "Succeeded".to_owned()),
        end_of_life_date: body::text(version, "properties.endOfLifeDate").as_deref().and_then(instant),
        ..Candidate::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::azure::testing::{FakeArm, op};

    const KIND: Kind = Kind {
        segment: "communityGalleries",
        id_segment: "CommunityGalleries",
        noun: "community gallery",
        attribute: "public_gallery_name",
    };
    const IMAGES: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/providers/Microsoft.Compute/locations/westus/communityGalleries/pub-1/images";

    fn service() -> std::sync::Arc<FakeArm> {
        let item = |name: &str, properties: Json| json!({"name": name, "location": "westus", "properties": properties});
        let arm = FakeArm::new();
        let mut newest = item(
            "1.0.10",
            json!({"publishedDate": "2026-11-02T09:14:03+00:00", "excludeFromLatest": false, "storageProfile": {"osDiskImage": {"diskSizeGB": 30}}}),
        );
        newest["identifier"] = json!({"uniqueId": "/CommunityGalleries/pub-1/Images/base/Versions/1.0.10"});
        arm.get(
            &format!("{IMAGES}/base/versions"),
            json!({"value": [
                newest,
                item("1.0.11", json!({"excludeFromLatest": true})),
                item("1.0.12", json!({"imageState": "SoftDeleted"})),
                item("1.0.13", json!({"endOfLifeDate": "2020-01-01T00:00:00Z"})),
                item("1.0.9", json!({"imageState": "Active"})),
            ]}),
        )
        .get(IMAGES, json!({"value": [{"name": "base"}]}))
        .get(&format!("{IMAGES}/empty/versions"), json!({"value": []}));
        arm
    }

    fn query<'a>(image: &'a str, version: Option<&'a str>) -> Query<'a> {
        Query { location: "West US", gallery: "pub-1", image, version }
    }

    #[tokio::test]
    async fn finds_the_newest_usable_version() {
        let context = service().context();
        for (version, found) in [
            (None, "1.0.10"),
            (Some("latest"), "1.0.10"),
            (Some("< 1.0.10"), "1.0.9"),
            (Some("1.0.11"), "1.0.11"),
        ] {
            let got = find(&context, &op(), &KIND, &query("base", version)).await.unwrap();
            assert_eq!(got.version, found);
            assert_eq!(got.id, format!("/CommunityGalleries/pub-1/Images/base/Versions/{found}"));
        }
        let got = find(&context, &op(), &KIND, &query("base", None)).await.unwrap();
        assert_eq!((got.os_disk_size_gb, got.published_date.is_some()), (Some(30), true));
        for (version, why) in
            [("1.0.11", "excluded"), ("1.0.12", "SoftDeleted"), ("1.0.13", "end of life"), ("1.0.9", "older")]
        {
            assert!(got.skipped[version].contains(why), "{version}: {}", got.skipped[version]);
        }
    }

    #[tokio::test]
    async fn errors_point_at_the_argument_without_a_match() {
        let context = service().context();
        for (query, path, text) in [
            (query("bas", None), "image_name", "\"base\""),
            (query("base", Some("1.0.8")), "version", "\"1.0.9\""),
            (query("base", Some("> 2")), "version", "does not satisfy"),
            (query("empty", None), "version", "no versions"),
            (
                Query { gallery: "nobody", ..query("base", None) },
                "public_gallery_name",
                "does not exist itself",
            ),
        ] {
            let error = find(&context, &op(), &KIND, &query).await.unwrap_err().0;
            assert_eq!(error[0].path, Path::attribute(path), "{}", error[0]);
            assert!(error[0].to_string().contains(text), "{}", error[0]);
        }
    }
}
