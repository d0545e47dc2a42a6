//! The users of an image (machines, scale sets, disks, managed images and other versions), found with Azure Resource Graph.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};
use serde_json::{Value as Json, json};

use super::resource_graph::{literal, query};
use super::{Context, body};
use crate::arm::id::GALLERY;
use crate::arm::{Error, ResourceId, Scope, Target};

/// The kind of a user of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A virtual machine, including one that a flexible scale set made.
    VirtualMachine,
    /// The model of a scale set, from which it creates new instances.
    ScaleSet,
    /// An instance of a uniform scale set.
    ScaleSetInstance,
    /// A disk that is not the system disk of a machine in the list.
    Disk,
    /// A managed image that was captured from a machine in the list.
    ManagedImage,
    /// An image version that was made from the image.
    ImageVersion,
}

impl Kind {
    /// Its name in HCL.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::VirtualMachine => "virtual_machine",
            Kind::ScaleSet => "scale_set",
            Kind::ScaleSetInstance => "scale_set_instance",
            Kind::Disk => "disk",
            Kind::ManagedImage => "managed_image",
            Kind::ImageVersion => "image_version",
        }
    }

    fn of_type(resource_type: &str) -> Option<Kind> {
        Some(match resource_type.to_ascii_lowercase().as_str() {
            "microsoft.compute/virtualmachines" => Kind::VirtualMachine,
            "microsoft.compute/virtualmachinescalesets" => Kind::ScaleSet,
            "microsoft.compute/virtualmachinescalesets/virtualmachines" => Kind::ScaleSetInstance,
            "microsoft.compute/disks" => Kind::Disk,
            "microsoft.compute/images" => Kind::ManagedImage,
            "microsoft.compute/galleries/images/versions" => Kind::ImageVersion,
            _ => return None,
        })
    }
}

/// A resource that uses an image.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Its resource ID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// Its region.
    pub location: String,
    /// Its subscription.
    pub subscription_id: String,
    /// The version that it uses; `None` for a scale set that uses the latest version, and for managed images.
    pub version: Option<String>,
    /// When it was created, if known.
    pub since: Option<String>,
}

/// The users of an image, and why the list may be incomplete.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Sorted by ID.
    pub users: Vec<User>,
    /// Why users in this tenant may be missing; empty if all are known.
    pub gaps: Vec<String>,
    /// Why there may be users in other tenants, which cannot be searched.
    pub outside: Option<String>,
}

impl Usage {
    /// How many users each version has.
    pub fn by_version(&self) -> BTreeMap<String, i64> {
        let mut counts = BTreeMap::new();
        for version in self.users.iter().filter_map(|user| user.version.as_ref()) {
            *counts.entry(version.clone()).or_default() += 1;
        }
        counts
    }
}

/// Finds the users of `image`: an image definition (with all its versions), an image version or a managed image. Searches
/// `subscriptions`, or all readable ones if that is empty.
pub async fn of_image(
    context: &Context,
    scope: &Scope,
    image: &ResourceId,
    subscriptions: &[String],
) -> Result<Usage, Error> {
    find(context, scope, image, subscriptions, Freshness::Indexed).await
}

/// Finds the users of `image` like [`of_image`], and those that Resource Graph does not know yet.
pub async fn of_image_now(
    context: &Context,
    scope: &Scope,
    image: &ResourceId,
    subscriptions: &[String],
) -> Result<Usage, Error> {
    find(context, scope, image, subscriptions, Freshness::Current).await
}

/// How fresh the knowledge of users must be.
#[derive(Clone, Copy, PartialEq)]
enum Freshness {
    /// As Resource Graph knows it, which learns of a change after some minutes.
    Indexed,
    /// Including the machines and scale sets that were created in the last minutes.
    Current,
}

async fn find(
    context: &Context,
    scope: &Scope,
    image: &ResourceId,
    subscriptions: &[String],
    freshness: Freshness,
) -> Result<Usage, Error> {
    let mut usage = Usage::default();
    let references = references(context, scope, image, &mut usage).await?;
    let client = &context.client;
    let readable = query(client, scope, READABLE, &[]).await?;
    usage.gaps.extend(readable.gaps.iter().cloned());
    let seen: BTreeSet<String> = readable
        .rows
        .iter()
        .filter_map(|row| Some(body::text(row, "subscriptionId")?.to_lowercase()))
        .collect();
    usage.gaps.extend(unreadable(subscriptions, image.subscription_id(), &seen));
    let found = query(client, scope, &users_query("resources", &references), subscriptions).await?;
    let mut rows = found.rows;
    usage.gaps.extend(found.gaps);
    match query(client, scope, &users_query("computeresources", &references), subscriptions).await {
        Ok(instances) => {
            rows.extend(instances.rows);
            usage.gaps.extend(instances.gaps);
        }
        // Some clouds lack this table.
        Err(error) if error.status == Some(400) => {
            usage
                .gaps
                .push("this cloud's Azure Resource Graph does not list instances of scale sets".to_owned());
        }
        Err(error) => return Err(error),
    }
    if freshness == Freshness::Current {
        let listed: Vec<String> = match subscriptions {
            [] if seen.len() <= LISTED_SUBSCRIPTIONS => seen.into_iter().collect(),
            [] => known_subscriptions(image, &rows),
            given => given.to_vec(),
        };
        rows.extend(current_users(context, scope, &listed, &references).await?);
    }
    usage.users = users(&rows);
    if usage.users.iter().any(|user| user.kind == Kind::VirtualMachine) {
        let images = query(client, scope, CAPTURED, subscriptions).await?;
        usage.gaps.extend(images.gaps);
        add_captured(&mut usage.users, &images.rows);
    }
    if let Some(version) = image.name_of("versions") {
        usage.users.retain(|user| user.version.as_deref().is_none_or(|used| used == version));
    }
    usage.gaps.sort();
    usage.gaps.dedup();
    Ok(usage)
}

/// In how many subscriptions machines and scale sets are listed, where the user names none.
const LISTED_SUBSCRIPTIONS: usize = 50;
/// How many lists are read at the same time.
const LISTS_AT_ONCE: usize = 8;
/// The types of which a new object may need a version in the future.
const LISTED_TYPES: [&str; 2] =
    ["Microsoft.Compute/virtualMachines", "Microsoft.Compute/virtualMachineScaleSets"];

/// The image's own subscription and those in which Resource Graph has found users.
fn known_subscriptions(image: &ResourceId, rows: &[Json]) -> Vec<String> {
    let found = rows.iter().filter_map(|row| body::text(row, "subscriptionId"));
    let all: BTreeSet<String> =
        found.chain([image.subscription_id().to_owned()]).map(|id| id.to_lowercase()).collect();
    all.into_iter().collect()
}

/// The machines and scale sets that use one of `references`, as rows of Resource Graph, from lists of Resource Manager. A
/// subscription in which the caller may not list them is left out.
async fn current_users(
    context: &Context,
    scope: &Scope,
    subscriptions: &[String],
    references: &[String],
) -> Result<Vec<Json>, Error> {
    let lists: Vec<(String, String)> = subscriptions
        .iter()
        .flat_map(|id| LISTED_TYPES.map(|kind| (id.clone(), format!("/subscriptions/{id}/providers/{kind}"))))
        .collect();
    let mut reading = stream::iter(lists)
        .map(|(subscription, path)| async move {
            (subscription, context.client.list(scope, &Target::at(path)).await)
        })
        .buffer_unordered(LISTS_AT_ONCE);
    let mut rows = Vec::new();
    while let Some((subscription, listed)) = reading.next().await {
        match listed {
            Ok(objects) => {
                rows.extend(
                    objects.iter().filter_map(|object| current_row(object, &subscription, references)),
                );
            }
            Err(error) if matches!(error.status, Some(403 | 404)) => {
                tracing::debug!(%error, subscription, "machines cannot be listed, so only Resource Graph is asked");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(rows)
}

/// A machine or scale set as a row, if it uses one of `references`.
fn current_row(object: &Json, subscription: &str, references: &[String]) -> Option<Json> {
    let text = |path: &str| body::text(object, path).filter(|text| !text.is_empty());
    let reference = PLACES.iter().find_map(|place| text(place))?.to_lowercase();
    let is_used = |wanted: &String| {
        reference.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    references.iter().any(is_used).then(|| {
        json!({
            "id": text("id"), "name": text("name"), "type": text("type"), "location": text("location"),
            "subscriptionId": subscription, "ref": reference,
            "exact": text("properties.storageProfile.imageReference.exactVersion"),
            "since": text("properties.timeCreated"),
        })
    })
}

const READABLE: &str = "resourcecontainers | where type =~ 'microsoft.resources/subscriptions' | project id, subscriptionId | order by id asc";

const CAPTURED: &str = "resources | where type =~ 'microsoft.compute/images' | extend ref = tolower(tostring(properties.sourceVirtualMachine.id)) | where isnotempty(ref) | project id, name, type, location, subscriptionId, ref | order by id asc";

/// Reports subscriptions that the caller cannot read. Resource Graph omits them silently.
fn unreadable(wanted: &[String], own: &str, seen: &BTreeSet<String>) -> Vec<String> {
    let own = [own.to_owned()];
    let wanted = if wanted.is_empty() { &own[..] } else { wanted };
    wanted
        .iter()
        .filter(|id| !seen.contains(&id.to_lowercase()))
        .map(|id| format!("subscription {id} cannot be read by this identity"))
        .collect()
}

/// The references to an image, in lower case: users refer to one of them or to something below it.
async fn references(
    context: &Context,
    scope: &Scope,
    image: &ResourceId,
    usage: &mut Usage,
) -> Result<Vec<String>, Error> {
    let (Some(gallery), Some(name)) = (image.name_of("galleries"), image.name_of("images")) else {
        return Ok(vec![image.key()]);
    };
    let id = ResourceId::new(GALLERY, image.subscription_id(), image.resource_group(), &[gallery]);
    let definition = id.child("images", name);
    let unique = format!("{}-{gallery}", image.subscription_id());
    let shared = |kind: &str, gallery: &str| format!("/{kind}/{gallery}/images/{name}").to_lowercase();
    let mut found = vec![definition.key(), shared("sharedGalleries", &unique)];
    // A caller may be allowed to read images but not the gallery.
    match context.client.get_opt(scope, &Target::at(id.to_string()).query("$select", "Permissions")).await {
        Ok(Some(gallery)) => {
            let profile = "properties.sharingProfile";
            let public = body::texts(&gallery, &format!("{profile}.communityGalleryInfo.publicNames"));
            found.extend(public.unwrap_or_default().iter().map(|name| shared("communityGalleries", name)));
            usage.outside = outside(&gallery);
        }
        Ok(None) => {}
        Err(error) if error.status == Some(403) => {
            let gap = format!(
                "gallery {gallery:?} cannot be read, so machines that use it as a community gallery are not found"
            );
            usage.gaps.push(gap);
        }
        Err(error) => return Err(error),
    }
    Ok(found)
}

/// Why other tenants may use the gallery, if it is shared with them.
fn outside(gallery: &Json) -> Option<String> {
    let profile = "properties.sharingProfile";
    match body::text(gallery, &format!("{profile}.permissions"))?.as_str() {
        "Community" => Some("the gallery is shared with the community".to_owned()),
        "Groups" => {
            let tenants = body::items(gallery, &format!("{profile}.groups"))
                .iter()
                .filter(|group| body::text(group, "type").as_deref() == Some("AADTenants"))
                .flat_map(|group| body::texts(group, "ids").unwrap_or_default())
                .collect::<Vec<_>>();
            (!tenants.is_empty()).then(|| format!("the gallery is shared with tenant {}", tenants.join(", ")))
        }
        _ => None,
    }
}

/// The members with the image reference, by resource type. Only disks have two; the first one is the exact one.
const PLACES: &[&str] = &[
    "properties.storageProfile.imageReference.id",
    "properties.storageProfile.imageReference.sharedGalleryImageId",
    "properties.storageProfile.imageReference.communityGalleryImageId",
    "properties.virtualMachineProfile.storageProfile.imageReference.id",
    "properties.virtualMachineProfile.storageProfile.imageReference.sharedGalleryImageId",
    "properties.virtualMachineProfile.storageProfile.imageReference.communityGalleryImageId",
    "properties.creationData.galleryImageReference.id",
    "properties.creationData.galleryImageReference.sharedGalleryImageId",
    "properties.creationData.galleryImageReference.communityGalleryImageId",
    "properties.creationData.imageReference.id",
    "properties.storageProfile.source.id",
    "properties.storageProfile.source.communityGalleryImageId",
    "properties.publishingProfile.source.managedImage.id",
];

fn users_query(table: &str, references: &[String]) -> String {
    let types: &[&str] = match table {
        "computeresources" => &["microsoft.compute/virtualmachinescalesets/virtualmachines"],
        _ => &[
            "microsoft.compute/virtualmachines",
            "microsoft.compute/virtualmachinescalesets",
            "microsoft.compute/disks",
            "microsoft.compute/galleries/images/versions",
        ],
    };
    let types: Vec<String> = types.iter().map(|kind| literal(kind)).collect();
    let places: Vec<String> = PLACES.iter().map(|place| format!("tostring({place})")).collect();
    // Including the slash, so that `web` does not match `web2`.
    let wanted: Vec<String> = references
        .iter()
        .map(|reference| {
            format!("ref == {} or ref startswith {}", literal(reference), literal(&format!("{reference}/")))
        })
        .collect();
    format!(
        "{table} | where type in~ ({}) | extend ref = tolower(coalesce({})) | where {} | project id, name, type, location, subscriptionId, ref, exact = tostring(properties.storageProfile.imageReference.exactVersion), since = tostring(properties.timeCreated), managedBy | order by id asc",
        types.join(", "),
        places.join(", "),
        wanted.join(" or ")
    )
}

fn users(rows: &[Json]) -> Vec<User> {
    let mut users: BTreeMap<String, User> = BTreeMap::new();
    let mut holders: BTreeMap<String, String> = BTreeMap::new();
    for row in rows {
        let text = |path: &str| body::text(row, path).filter(|text| !text.is_empty());
        let Some((id, kind)) = text("id").zip(text("type").and_then(|kind| Kind::of_type(&kind))) else {
            continue;
        };
        let named = text("ref").and_then(|reference| {
            let (_, version) = reference.split_once("/versions/")?;
            Some(version.split('/').next().unwrap_or_default().to_owned())
        });
        if let Some(holder) = text("managedBy").filter(|_| kind == Kind::Disk) {
            holders.insert(id.to_lowercase(), holder.to_lowercase());
        }
        let user = User {
            name: text("name").unwrap_or_default(),
            kind,
            location: text("location").unwrap_or_default(),
            subscription_id: text("subscriptionId").unwrap_or_default(),
            version: text("exact").or(named).filter(|version| version != "latest"),
            since: text("since"),
            id,
        };
        users.insert(user.id.to_lowercase(), user);
    }
    // A machine already stands for its system disk.
    for (disk, holder) in holders {
        let same = |holder: &User| {
            users.get(&disk).is_some_and(|disk| disk.version == holder.version || disk.version.is_none())
        };
        if users.get(&holder).is_some_and(same) {
            users.remove(&disk);
        }
    }
    users.into_values().collect()
}

/// Adds the managed images that were captured from machines of the list.
fn add_captured(users: &mut Vec<User>, images: &[Json]) {
    let machines: BTreeMap<String, Option<String>> = users
        .iter()
        .filter(|user| user.kind == Kind::VirtualMachine)
        .map(|user| (user.id.to_lowercase(), user.version.clone()))
        .collect();
    for image in images {
        let text = |path: &str| body::text(image, path).unwrap_or_default();
        if let Some(version) = machines.get(&text("ref")) {
            users.push(User {
                id: text("id"),
                name: text("name"),
                kind: Kind::ManagedImage,
                location: text("location"),
                subscription_id: text("subscriptionId"),
                version: version.clone(),
                since: None,
            });
        }
    }
    users.sort_by_key(|user| user.id.to_lowercase());
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFINITION: &str =
        "/subscriptions/s/resourcegroups/rg/providers/microsoft.compute/galleries/gal/images/web";

    fn row(id: &str, kind: &str, reference: &str, exact: &str, managed_by: &str) -> Json {
        json!({
            "id": id, "name": id.trim_start_matches('/'), "type": format!("microsoft.compute/{kind}"), "location": "eastus",
            "subscriptionId": "s", "ref": reference, "exact": exact, "since": "", "managedBy": managed_by,
        })
    }

    #[test]
    fn reads_the_version_from_exact_version_or_the_reference() {
        let version = format!("{DEFINITION}/versions/1.0.0");
        let rows = [
            row("/VM", "virtualMachines", &version, "1.0.0", ""),
            row("/latest", "virtualmachines", DEFINITION, "1.2.0", ""),
            row("/model", "virtualmachinescalesets", DEFINITION, "", ""),
            row("/pinned", "virtualmachinescalesets", &version, "", ""),
            row("/instance", "virtualmachinescalesets/virtualmachines", DEFINITION, "1.1.0", ""),
            row("/os", "disks", &version, "", "/vm"),
            row("/data", "disks", &version, "", "/latest"),
            row("/spare", "disks", &version, "", ""),
            row("/copy", "galleries/images/versions", &version, "", ""),
        ];
        let usage = Usage { users: users(&rows), ..Usage::default() };
        let shown: Vec<(&str, &str, Option<&str>)> = usage
            .users
            .iter()
            .map(|user| (user.name.as_str(), user.kind.as_str(), user.version.as_deref()))
            .collect();
        assert_eq!(
            shown,
            [
                ("copy", "image_version", Some("1.0.0")),
                ("data", "disk", Some("1.0.0")),
                ("instance", "scale_set_instance", Some("1.1.0")),
                ("latest", "virtual_machine", Some("1.2.0")),
                ("model", "scale_set", None),
                ("pinned", "scale_set", Some("1.0.0")),
                ("spare", "disk", Some("1.0.0")),
                ("VM", "virtual_machine", Some("1.0.0")),
            ]
        );
        let counts: Vec<(String, i64)> = usage.by_version().into_iter().collect();
        assert_eq!(counts, [("1.0.0".to_owned(), 5), ("1.1.0".to_owned(), 1), ("1.2.0".to_owned(), 1)]);
    }

    #[test]
    fn adds_images_captured_from_machines() {
        let mut found = users(&[row("/vm", "virtualmachines", DEFINITION, "1.0.0", "")]);
        add_captured(
            &mut found,
            &[row("/i1", "images", "/vm", "", ""), row("/i2", "images", "/other", "", "")],
        );
        let captured: Vec<(&str, Option<&str>)> =
            found.iter().map(|user| (user.id.as_str(), user.version.as_deref())).collect();
        assert_eq!(captured, [("/i1", Some("1.0.0")), ("/vm", Some("1.0.0"))]);
    }

    #[test]
    fn current_machines_and_scale_sets_become_rows() {
        let references = [DEFINITION.to_owned(), "/sharedgalleries/s-gal/images/web".to_owned()];
        let machine = |reference: Json| json!({"id": "/vm", "type": "Microsoft.Compute/virtualMachines", "properties": {"storageProfile": {"imageReference": reference}}});
        let model = |reference: Json| json!({"id": "/set", "type": "Microsoft.Compute/virtualMachineScaleSets", "properties": {"virtualMachineProfile": {"storageProfile": {"imageReference": reference}}}});
        let version = |name: &str| json!({"id": format!("{}/versions/{name}", DEFINITION.to_uppercase()), "exactVersion": name});
        for (object, expected) in [
            (machine(version("1.0.0")), Some("1.0.0")),
            (machine(json!({"id": DEFINITION, "exactVersion": "1.2.0"})), Some("1.2.0")),
            (
                machine(json!({"sharedGalleryImageId": "/SharedGalleries/s-GAL/Images/web/Versions/1.1.0"})),
                Some("1.1.0"),
            ),
            (model(json!({"id": format!("{DEFINITION}/versions/1.0.1")})), Some("1.0.1")),
            (machine(json!({"id": format!("{DEFINITION}2/versions/1.0.0")})), None),
            (machine(json!({"publisher": "Canonical"})), None),
        ] {
            let rows: Vec<Json> = current_row(&object, "s", &references).into_iter().collect();
            let found = users(&rows).first().and_then(|user| user.version.clone());
            assert_eq!(found.as_deref(), expected, "{object}");
        }
    }

    #[test]
    fn a_reference_ends_at_a_slash() {
        let text = users_query("resources", &[DEFINITION.to_owned()]);
        assert!(text.contains(&format!("ref == '{DEFINITION}' or ref startswith '{DEFINITION}/'")), "{text}");
    }

    #[test]
    fn only_sharing_with_other_tenants_may_hide_users() {
        let gallery = |profile: Json| json!({"properties": {"sharingProfile": profile}});
        for (profile, expected) in [
            (json!({"permissions": "Private"}), None),
            (json!({"permissions": "Community"}), Some("community")),
            (json!({"permissions": "Groups", "groups": [{"type": "Subscriptions", "ids": ["s"]}]}), None),
            (json!({"permissions": "Groups", "groups": [{"type": "AADTenants", "ids": ["t1"]}]}), Some("t1")),
            (Json::Null, None),
        ] {
            let found = outside(&gallery(profile.clone()));
            assert_eq!(found.is_some(), expected.is_some(), "{profile}");
            assert!(expected.is_none_or(|word| found.unwrap().contains(word)));
        }
    }

    #[test]
    fn reports_each_unreadable_subscription() {
        let seen: BTreeSet<String> = ["a".to_owned(), "own".to_owned()].into();
        assert!(unreadable(&[], "OWN", &seen).is_empty());
        assert_eq!(unreadable(&[], "other", &seen).len(), 1);
        assert_eq!(
            unreadable(&["A".to_owned(), "b".to_owned()], "other", &seen),
            ["subscription b cannot be read by this identity"]
        );
    }
}
