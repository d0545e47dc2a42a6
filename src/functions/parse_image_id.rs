//! `parse_image_id(id)`: splits the ID of any kind of image into its parts.

use super::{argument, text};
use crate::arm::ResourceId;
use crate::arm::id::{GALLERY, IMAGE_DEFINITION, IMAGE_VERSION, MANAGED_IMAGE};
use crate::framework::{Function, FunctionError, Signature};
use crate::schema::{Type, Value};

/// The function.
pub struct ParseImageId;

const KEYS: [&str; 13] = [
    "kind",
    "name",
    "subscription_id",
    "resource_group_name",
    "gallery",
    "image",
    "version",
    "location",
    "publisher",
    "offer",
    "sku",
    "public_gallery_name",
    "unique_name",
];

const EXPECTED: &str = "expected the ID of a gallery, an image definition, an image version, a managed image or a \
                        Marketplace image (/subscriptions/…), or of an object in a community gallery \
                        (/communityGalleries/…) or a directly shared one (/sharedGalleries/…)";

impl Function for ParseImageId {
    fn name(&self) -> &'static str {
        "parse_image_id"
    }

    fn signature(&self) -> Signature {
        Signature {
            summary: "Splits the ID of an image into its parts.",
            doc: "Reads the ID of any kind of image, in any case, into an object. All attributes are always \
                  there, and null where the ID does not contain them:\n\n\
                  - `kind`: `gallery`, `image_definition`, `image_version`, `managed_image`, `marketplace_image`, \
                  `community_gallery`, `community_image`, `community_image_version`, `shared_gallery`, `shared_image` or \
                  `shared_image_version`\n\
                  - `name`: the last part of the ID\n\
                  - `subscription_id`, `resource_group_name`\n\
                  - `gallery`, `image`, `version`\n\
                  - `location`, `publisher`, `offer`, `sku`: of a Marketplace image\n\
                  - `public_gallery_name`: of a community gallery\n\
                  - `unique_name`: of a directly shared gallery\n\n\
                  ```terraform\n\
                  provider::azimage::parse_image_id(azimage_image_version.web.id).gallery\n\
                  ```",
            parameters: vec![text("id", "The ID.")],
            returns: Type::object(KEYS.map(|key| (key, Type::String))),
        }
    }

    fn call(&self, arguments: &[Value]) -> Result<Value, FunctionError> {
        let id = argument(arguments, 0);
        let found = parse(id).map_err(|why| {
            FunctionError::argument(0, format!("{id:?} is not the ID of an image: {why}; {EXPECTED}"))
        })?;
        Ok(Value::object(KEYS.map(|key| {
            let value = found.iter().find(|(have, _)| *have == key);
            (key, value.map_or(Value::Null, |(_, value)| Value::string(value.as_str())))
        })))
    }
}

type Found = Vec<(&'static str, String)>;

fn parse(id: &str) -> Result<Found, String> {
    let segments: Vec<&str> = id.trim().trim_matches('/').split('/').collect();
    match segments[0].to_ascii_lowercase().as_str() {
        "communitygalleries" => parse_public(
            &segments,
            ["community_gallery", "community_image", "community_image_version"],
            "public_gallery_name",
        ),
        "sharedgalleries" => {
            parse_public(&segments, ["shared_gallery", "shared_image", "shared_image_version"], "unique_name")
        }
        _ => parse_arm(id),
    }
}

// /communityGalleries/G[/images/I[/versions/V]]
fn parse_public(segments: &[&str], kinds: [&'static str; 3], gallery: &'static str) -> Result<Found, String> {
    if !segments.len().is_multiple_of(2)
        || segments.len() > 6
        || segments.iter().any(|segment| segment.is_empty())
    {
        return Err(format!("it should be /{}/GALLERY/images/IMAGE/versions/VERSION", segments[0]));
    }
    let keys = [gallery, "image", "version"];
    let words = [segments[0], "images", "versions"];
    let mut found = vec![("kind", kinds[segments.len() / 2 - 1].to_owned())];
    for ((pair, key), word) in segments.chunks(2).zip(keys).zip(words) {
        if !pair[0].eq_ignore_ascii_case(word) {
            return Err(format!("expected {word:?}, found {:?}", pair[0]));
        }
        found.push((key, pair[1].to_owned()));
    }
    found.push(("name", segments[segments.len() - 1].to_owned()));
    Ok(found)
}

fn parse_arm(text: &str) -> Result<Found, String> {
    let id = ResourceId::parse(text).map_err(|error| error.why)?;
    let mut found =
        vec![("subscription_id", id.subscription_id().to_owned()), ("name", id.name().to_owned())];
    if !id.resource_group().is_empty() {
        found.push(("resource_group_name", id.resource_group().to_owned()));
    }
    let mut take = |key, kind| found.extend(id.name_of(kind).map(|name| (key, name.to_owned())));
    let kinds = [
        (GALLERY, "gallery"),
        (IMAGE_DEFINITION, "image_definition"),
        (IMAGE_VERSION, "image_version"),
        (MANAGED_IMAGE, "managed_image"),
    ];
    let kind = match kinds.iter().find(|(kind, _)| id.is_a(kind)) {
        Some((_, kind)) if !id.resource_group().is_empty() => {
            take("gallery", "galleries");
            take("image", "images");
            take("version", "versions");
            kind
        }
        Some(_) => return Err("it has no resource group".to_owned()),
        None if id.is_a(MARKETPLACE)
            && id.name_of("artifacttypes").is_some_and(|kind| kind.eq_ignore_ascii_case("vmimage")) =>
        {
            take("location", "locations");
            take("publisher", "publishers");
            take("offer", "offers");
            take("sku", "skus");
            take("version", "versions");
            "marketplace_image"
        }
        None => {
            let kind = id.resource_type();
            return Err(match kind.as_str() {
                "" => "it has no resource".to_owned(),
                kind => format!("it is the ID of a {kind}"),
            });
        }
    };
    found.push(("kind", kind.to_owned()));
    Ok(found)
}

const MARKETPLACE: &str = "Microsoft.Compute/locations/publishers/artifacttypes/offers/skus/versions";

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute";

    fn call(id: &str) -> Result<Value, FunctionError> {
        ParseImageId.call(&[id.into()])
    }

    #[test]
    fn splits_every_kind_of_id_and_leaves_other_attributes_null() {
        let rows: &[(String, &[(&str, &str)])] = &[
            (format!("{GROUP}/galleries/g"), &[("kind", "gallery"), ("gallery", "g"), ("name", "g")]),
            (
                format!("{GROUP}/galleries/g/images/i/"),
                &[("kind", "image_definition"), ("gallery", "g"), ("image", "i"), ("name", "i")],
            ),
            (
                format!("{GROUP}/galleries/g/images/i/versions/1.0.0").to_uppercase(),
                &[
                    ("kind", "image_version"),
                    ("subscription_id", "S"),
                    ("resource_group_name", "RG"),
                    ("gallery", "G"),
                    ("image", "I"),
                    ("version", "1.0.0"),
                    ("name", "1.0.0"),
                ],
            ),
            (format!("{GROUP}/images/img"), &[("kind", "managed_image"), ("image", "img"), ("name", "img")]),
            (
                "/Subscriptions/s/Providers/Microsoft.Compute/Locations/westus/Publishers/p/ArtifactTypes/VMImage/Offers/o/Skus/k/Versions/8.4.2"
                    .to_owned(),
                &[
                    ("kind", "marketplace_image"),
                    ("name", "8.4.2"),
                    ("subscription_id", "s"),
                    ("version", "8.4.2"),
                    ("location", "westus"),
                    ("publisher", "p"),
                    ("offer", "o"),
                    ("sku", "k"),
                ],
            ),
            (
                "/CommunityGalleries/pub-1/Images/i/Versions/latest".to_owned(),
                &[
                    ("kind", "community_image_version"),
                    ("name", "latest"),
                    ("image", "i"),
                    ("version", "latest"),
                    ("public_gallery_name", "pub-1"),
                ],
            ),
            (
                "/sharedGalleries/s-GAL/images/i".to_owned(),
                &[("kind", "shared_image"), ("name", "i"), ("image", "i"), ("unique_name", "s-GAL")],
            ),
        ];
        for (id, expected) in rows {
            let got = call(id).unwrap();
            let group = ["subscription_id", "resource_group_name"];
            for key in KEYS {
                let want = expected.iter().find(|(have, _)| *have == key).map(|(_, value)| *value);
                let want = want.or_else(|| {
                    (id.starts_with(GROUP) && group.contains(&key)).then_some(if key == group[0] {
                        "s"
                    } else {
                        "rg"
                    })
                });
                assert_eq!(got.get(key).as_str(), want, "{id} {key}");
            }
        }
    }

    #[test]
    fn errors_describe_the_mistake() {
        for (id, text) in [
            ("", "empty"),
            ("img", "slash"),
            ("/subscriptions/s", "has no resource"),
            (
                "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm",
                "virtualMachines",
            ),
            ("/subscriptions/s/providers/Microsoft.Compute/images/i", "resource group"),
            ("/communityGalleries/g/pictures/i", "\"pictures\""),
            ("/communityGalleries/g/images", "VERSION"),
            ("/communityGalleries//images/i", "VERSION"),
        ] {
            let error = call(id).unwrap_err();
            assert_eq!(error.argument, Some(0));
            assert!(error.text.contains(text), "{id}: {}", error.text);
        }
    }
}
