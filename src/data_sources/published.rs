//! Versions of images that others publish, in community galleries and directly shared ones, as consumers see them.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use time::OffsetDateTime;

use super::finding::{self, absent};
use crate::arm::{Target, region};
use crate::azure::attributes::instant;
use crate::azure::context::scope;
use crate::azure::{Context, GALLERY_API, body, fault};
use crate::framework::Op;
use crate::image::{Candidate, Selection, Wanted, did_you_mean, nearest_versions, select};
use crate::schema::{Diagnostic, Diagnostics, Path};

/// A sort of gallery.
pub struct Sort {
    /// Its segment in ARM paths.
    pub segment: &'static str,
    /// The same in ids of what is in it.
    pub id_segment: &'static str,
    /// What people call it.
    pub noun: &'static str,
    /// The attribute that names it.
    pub attribute: &'static str,
}

/// What is looked for.
pub struct Asked<'a> {
    /// Where.
    pub location: &'a str,
    /// In which gallery.
    pub gallery: &'a str,
    /// Of which image.
    pub image: &'a str,
    /// The version, `latest` or a constraint; `latest` when absent.
    pub version: Option<&'a str>,
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// The id that machines and image versions name it by.
    pub id: String,
    /// The version.
    pub version: String,
    /// When it was published.
    pub published_date: Option<String>,
    /// When it should no longer be used.
    pub end_of_life_date: Option<String>,
    /// Whether it is excluded from latest.
    pub exclude_from_latest: bool,
    /// The size of the operating system disk.
    pub os_disk_size_gb: Option<i64>,
    /// Why each other was passed over.
    pub skipped: BTreeMap<String, String>,
}

/// Finds one version.
pub async fn find(context: &Context, op: &Op, sort: &Sort, asked: &Asked<'_>) -> Result<Found, Diagnostics> {
    let wanted = finding::wanted(asked.version)?;
    let subscription = context.subscription(None)?;
    if let Some(why) = context.unknown_location(op, subscription, asked.location).await {
        let told = Diagnostic::error("Invalid value for location", why);
        return Err(told.at(Path::attribute("location")).into());
    }
    let location = region::normalise(asked.location);
    let images = format!(
        "/subscriptions/{subscription}/providers/Microsoft.Compute/locations/{location}/{}/{}/images",
        sort.segment, asked.gallery
    );
    let what = format!("image {:?} of {} {:?} in {location}", asked.image, sort.noun, asked.gallery);
    let scope = scope(op, format!("listing versions of {what}"));
    let path = format!("{images}/{}/versions", asked.image);
    let listed = match context.client.list(&scope, &Target::new(path.as_str(), GALLERY_API)).await {
        Ok(listed) => listed,
        Err(error) if error.is_not_found() => {
            let names = finding::names(context, &scope, &Target::new(images, GALLERY_API)).await;
            let attribute = if names.is_empty() { sort.attribute } else { "image_name" };
            let among = format!("The {} {:?}, as it is seen in {location},", sort.noun, asked.gallery);
            let what = format!("There is no {what}");
            return Err(absent(what, Path::attribute(attribute), asked.image, &names, &among).into());
        }
        Err(error) => return Err(fault::diagnostic(&error, scope.what(), &path).into()),
    };
    let candidates: Vec<Candidate> = listed.iter().map(candidate).collect();
    let tags = BTreeMap::new();
    let selection = Selection {
        wanted: &wanted,
        // what is listed in a location is there
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
            Wanted::Latest => format!("No version of {what} will do"),
            Wanted::Constraint(constraint) => {
                format!("No version of {what} that satisfies \"{constraint}\" will do")
            }
        };
        let why = why.unwrap_or_else(|| "It has no versions.".to_owned());
        return Err(Diagnostic::error(summary, why).at(Path::attribute("version")).into());
    };
    let version = &listed[index];
    let name = candidates[index].version.clone();
    let id = body::text(version, "identifier.uniqueId").unwrap_or_else(|| {
        format!("/{}/{}/Images/{}/Versions/{name}", sort.id_segment, asked.gallery, asked.image)
    });
    Ok(Found {
        id,
        version: name,
        published_date: body::text(version, "properties.publishedDate"),
        end_of_life_date: body::text(version, "properties.endOfLifeDate"),
        exclude_from_latest: candidates[index].excluded_globally,
        os_disk_size_gb: body::int(version, "properties.storageProfile.osDiskImage.diskSizeGB"),
        skipped: selected.skipped,
    })
}

// What is shown to consumers is ready, unless it says that it was deleted.
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

    const SORT: Sort = Sort {
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

    fn asked<'a>(image: &'a str, version: Option<&'a str>) -> Asked<'a> {
        Asked { location: "West US", gallery: "pub-1", image, version }
    }

    #[tokio::test]
    async fn finds_the_newest_that_will_do() {
        let context = service().context();
        for (version, found) in [
            (None, "1.0.10"),
            (Some("latest"), "1.0.10"),
            (Some("< 1.0.10"), "1.0.9"),
            (Some("1.0.11"), "1.0.11"),
        ] {
            let got = find(&context, &op(), &SORT, &asked("base", version)).await.unwrap();
            assert_eq!(got.version, found);
            assert_eq!(got.id, format!("/CommunityGalleries/pub-1/Images/base/Versions/{found}"));
        }
        let got = find(&context, &op(), &SORT, &asked("base", None)).await.unwrap();
        assert_eq!((got.os_disk_size_gb, got.published_date.is_some()), (Some(30), true));
        for (version, why) in
            [("1.0.11", "excluded"), ("1.0.12", "SoftDeleted"), ("1.0.13", "end of life"), ("1.0.9", "older")]
        {
            assert!(got.skipped[version].contains(why), "{version}: {}", got.skipped[version]);
        }
    }

    #[tokio::test]
    async fn tells_what_is_missing() {
        let context = service().context();
        for (asked, path, text) in [
            (asked("bas", None), "image_name", "\"base\""),
            (asked("base", Some("1.0.8")), "version", "\"1.0.9\""),
            (asked("base", Some("> 2")), "version", "does not satisfy"),
            (asked("empty", None), "version", "no versions"),
            (
                Asked { gallery: "nobody", ..asked("base", None) },
                "public_gallery_name",
                "does not exist itself",
            ),
        ] {
            let told = find(&context, &op(), &SORT, &asked).await.unwrap_err().0;
            assert_eq!(told[0].path, Path::attribute(path), "{}", told[0]);
            assert!(told[0].to_string().contains(text), "{}", told[0]);
        }
    }
}
