//! Resource IDs: parsed in any case, formatted in the service's case, and compared without case.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// A Resource Manager ID such as
/// `/subscriptions/S/resourceGroups/G/providers/Microsoft.Compute/galleries/g/images/i`.
///
/// IDs that differ only in case are equal, because the service itself changes the case.
#[derive(Clone, Debug)]
pub struct ResourceId {
    subscription: String,
    /// Empty if it is not in a resource group.
    group: String,
    /// Empty for subscriptions and groups.
    provider: String,
    parts: Vec<(String, String)>,
}

/// The type of a gallery.
pub const GALLERY: &str = "Microsoft.Compute/galleries";
/// The type of an image definition.
pub const IMAGE_DEFINITION: &str = "Microsoft.Compute/galleries/images";
/// The type of an image version.
pub const IMAGE_VERSION: &str = "Microsoft.Compute/galleries/images/versions";
/// The type of a gallery application.
pub const GALLERY_APPLICATION: &str = "Microsoft.Compute/galleries/applications";
/// The type of a version of a gallery application.
pub const GALLERY_APPLICATION_VERSION: &str = "Microsoft.Compute/galleries/applications/versions";
/// The type of a managed image.
pub const MANAGED_IMAGE: &str = "Microsoft.Compute/images";
/// The type of a virtual machine.
pub const VIRTUAL_MACHINE: &str = "Microsoft.Compute/virtualMachines";
/// The type of an image template.
pub const IMAGE_TEMPLATE: &str = "Microsoft.VirtualMachineImages/imageTemplates";
/// The type of a user-assigned identity.
pub const USER_ASSIGNED_IDENTITY: &str = "Microsoft.ManagedIdentity/userAssignedIdentities";
/// The type of a subnet.
pub const SUBNET: &str = "Microsoft.Network/virtualNetworks/subnets";

impl ResourceId {
    /// Parses an ID in any case, with or without a trailing slash. The error says what is wrong and what an ID looks
    /// like.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        Self::read(text).map_err(|why| IdError {
            given: text.to_owned(),
            why,
            expected: "/subscriptions/SUBSCRIPTION_ID/resourceGroups/GROUP/providers/NAMESPACE/TYPE/NAME"
                .to_owned(),
        })
    }

    /// Parses the ID of a resource of `resource_type`, such as [`GALLERY`].
    pub fn parse_as(text: &str, resource_type: &str) -> Result<Self, IdError> {
        let fail = |why| IdError { given: text.to_owned(), why, expected: shape(resource_type) };
        let id = Self::read(text).map_err(fail)?;
        if id.is_a(resource_type) {
            return Ok(id);
        }
        let found = id.resource_type();
        Err(fail(if found.is_empty() {
            format!("it is not the ID of a {resource_type}")
        } else {
            format!("it is the ID of a {found}, not of a {resource_type}")
        }))
    }

    fn read(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err("it is empty".to_owned());
        }
        let Some(path) = trimmed.strip_prefix('/') else {
            return Err("it does not begin with a slash".to_owned());
        };
        let segments: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
        if segments.iter().any(|segment| segment.trim().is_empty()) {
            return Err("it has an empty segment (two slashes in a row)".to_owned());
        }
        let is_name = |text: &str| {
            text.trim() == text
                && !text.contains(|c: char| c.is_control() || "?#%\\".contains(c))
                && !matches!(text, "." | "..")
        };
        if let Some(bad) = segments.iter().find(|segment| !is_name(segment)) {
            return Err(format!("its segment {bad:?} is not a name"));
        }
        let mut pairs = segments.chunks(2);
        let mut id = Self {
            subscription: String::new(),
            group: String::new(),
            provider: String::new(),
            parts: vec![],
        };
        match pairs.next() {
            Some([word, subscription]) if word.eq_ignore_ascii_case("subscriptions") => {
                id.subscription = (*subscription).to_owned();
            }
            Some([word]) if word.eq_ignore_ascii_case("subscriptions") => {
                return Err("it has no subscription".to_owned());
            }
            _ => {
                return Err(format!("it begins with \"/{}\", not with \"/subscriptions/\"", segments[0]));
            }
        }
        // A namespace without type and name so far, at the start or of an extension resource.
        let mut bare = None;
        let unnamed = |namespace: &str| Err(format!("no type and name follow \"providers/{namespace}\""));
        for pair in pairs {
            let [word, name] = pair else {
                return Err(format!("\"{}\" at its end has no name after it", pair[0]));
            };
            if word.eq_ignore_ascii_case("providers") {
                bare.replace(*name).map_or(Ok(()), unnamed)?;
            } else {
                bare = None;
            }
            let first = id.provider.is_empty() && id.parts.is_empty();
            if first && id.group.is_empty() && word.eq_ignore_ascii_case("resourceGroups") {
                id.group = (*name).to_owned();
            } else if first && word.eq_ignore_ascii_case("providers") {
                id.provider = canonical(name);
            } else if first {
                return Err(format!("expected \"providers\", found \"{word}\""));
            } else if word.eq_ignore_ascii_case("providers") {
                id.parts.push(("providers".to_owned(), canonical(name)));
            } else {
                id.parts.push((canonical(word), (*name).to_owned()));
            }
        }
        bare.map_or(Ok(()), unnamed)?;
        Ok(id)
    }

    /// The ID of a resource of type `kind`, such as [`GALLERY`], from the names in it, outermost first.
    pub fn new(kind: &str, subscription: &str, group: &str, names: &[&str]) -> Self {
        let mut segments = kind.split('/');
        let provider = segments.next().unwrap_or_default().to_owned();
        Self {
            subscription: subscription.to_owned(),
            group: group.to_owned(),
            provider,
            parts: segments.zip(names).map(|(kind, name)| (kind.to_owned(), (*name).to_owned())).collect(),
        }
    }

    /// The ID of a resource group.
    pub fn group(subscription: &str, group: &str) -> Self {
        Self::new("", subscription, group, &[])
    }

    /// The subscription ID.
    pub fn subscription_id(&self) -> &str {
        &self.subscription
    }

    /// The resource group's name; empty if there is none.
    pub fn resource_group(&self) -> &str {
        &self.group
    }

    /// The namespace, such as `Microsoft.Compute`; empty for subscriptions and groups.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The types, outermost first: `["galleries", "images"]`.
    pub fn types(&self) -> Vec<&str> {
        self.parts.iter().map(|(kind, _)| kind.as_str()).collect()
    }

    /// The names, outermost first.
    pub fn names(&self) -> Vec<&str> {
        self.parts.iter().map(|(_, name)| name.as_str()).collect()
    }

    /// The name of the resource itself, or of the group or subscription.
    pub fn name(&self) -> &str {
        match self.parts.last() {
            Some((_, name)) => name,
            None if self.group.is_empty() => &self.subscription,
            None => &self.group,
        }
    }

    /// The full type, such as `Microsoft.Compute/galleries/images`; empty for subscriptions and groups.
    pub fn resource_type(&self) -> String {
        let mut out = self.provider.clone();
        for (kind, _) in &self.parts {
            out.push('/');
            out.push_str(kind);
        }
        out
    }

    /// True if this is the ID of a resource of `resource_type`, ignoring case.
    pub fn is_a(&self, resource_type: &str) -> bool {
        !self.parts.is_empty() && self.resource_type().eq_ignore_ascii_case(resource_type)
    }

    /// The name of this resource or of the enclosing one of type `kind`: for a version, `name_of("galleries")` is the gallery's
    /// name.
    pub fn name_of(&self, kind: &str) -> Option<&str> {
        self.parts.iter().find(|(have, _)| have.eq_ignore_ascii_case(kind)).map(|(_, name)| name.as_str())
    }

    /// The parent: the enclosing resource, then the group, then the subscription.
    pub fn parent(&self) -> Option<Self> {
        let mut parent = self.clone();
        if parent.parts.pop().is_some() {
            if parent.parts.last().is_some_and(|(kind, _)| kind == "providers") {
                parent.parts.pop();
            }
            if parent.parts.is_empty() {
                parent.provider.clear();
            }
            Some(parent)
        } else if parent.group.is_empty() {
            None
        } else {
            parent.group.clear();
            Some(parent)
        }
    }

    /// The ID of the child `name` of type `kind`.
    #[must_use]
    pub fn child(&self, kind: &str, name: &str) -> Self {
        let mut child = self.clone();
        child.parts.push((canonical(kind), name.to_owned()));
        child
    }

    /// A text that is the same for all spellings, for use as a map key.
    pub fn key(&self) -> String {
        self.to_string().to_lowercase()
    }
}

/// True if `a` and `b` are the same ID, ignoring case, surrounding spaces and a trailing slash. Other texts are compared
/// without case.
pub fn same_id(a: &str, b: &str) -> bool {
    let bare = |text: &str| text.trim().trim_end_matches('/').to_lowercase();
    bare(a) == bare(b)
}

/// The resource type of `path` in lower case; the same for a resource and its list. `/subscriptions/s/resourceGroups/r`
/// is `subscriptions/resourcegroups`, and `/subscriptions/s/providers/Microsoft.Compute/galleries/g/images` is
/// `microsoft.compute/galleries/images`. For an extension resource it is the type of the extension.
pub fn type_of_path(path: &str) -> String {
    let (namespace, pairs) = split_path(path);
    let words = namespace.into_iter().chain(pairs.iter().step_by(2).copied());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("/")
}

/// True if `path` ends in a name: it is the path of a resource, not of a list or an action.
pub fn ends_in_a_name(path: &str) -> bool {
    let (_, pairs) = split_path(path);
    !pairs.is_empty() && pairs.len().is_multiple_of(2)
}

/// The namespace that follows the last `providers`, and the alternating types and names after it.
fn split_path(path: &str) -> (Option<&str>, Vec<&str>) {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    match segments.iter().rposition(|segment| segment.eq_ignore_ascii_case("providers")) {
        Some(at) => (segments.get(at + 1).copied(), segments.get(at + 2..).unwrap_or_default().to_vec()),
        None => (None, segments),
    }
}

/// The form of an ID of `resource_type`, for messages.
pub fn shape(resource_type: &str) -> String {
    let mut out = "/subscriptions/SUBSCRIPTION_ID/resourceGroups/GROUP/providers".to_owned();
    for (at, segment) in resource_type.split('/').enumerate() {
        out.push('/');
        out.push_str(segment);
        if at > 0 {
            let singular = match segment.to_ascii_lowercase().as_str() {
                "galleries" => "GALLERY".to_owned(),
                other => other.trim_end_matches('s').to_uppercase(),
            };
            out.push('/');
            out.push_str(&singular);
        }
    }
    out
}

/// Namespaces and types in the service's case.
const CANONICAL: [&str; 29] = [
    "Microsoft.Authorization",
    "Microsoft.Compute",
    "Microsoft.ManagedIdentity",
    "Microsoft.MarketplaceOrdering",
    "Microsoft.Network",
    "Microsoft.Storage",
    "Microsoft.VirtualMachineImages",
    "agreements",
    "applications",
    "communityGalleries",
    "diskEncryptionSets",
    "disks",
    "galleries",
    "images",
    "imageTemplates",
    "locations",
    "offers",
    "plans",
    "publishers",
    "roleAssignments",
    "sharedGalleries",
    "snapshots",
    "storageAccounts",
    "subnets",
    "userAssignedIdentities",
    "versions",
    "virtualMachines",
    "virtualNetworks",
    "virtualMachineScaleSets",
];

fn canonical(word: &str) -> String {
    CANONICAL
        .iter()
        .find(|known| known.eq_ignore_ascii_case(word))
        .map_or_else(|| word.to_owned(), |k| (*k).to_owned())
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/subscriptions/{}", self.subscription)?;
        if !self.group.is_empty() {
            write!(f, "/resourceGroups/{}", self.group)?;
        }
        if !self.provider.is_empty() {
            write!(f, "/providers/{}", self.provider)?;
        }
        for (kind, name) in &self.parts {
            write!(f, "/{kind}/{name}")?;
        }
        Ok(())
    }
}

impl PartialEq for ResourceId {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for ResourceId {}

impl Hash for ResourceId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl FromStr for ResourceId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

/// The error of a text that is not a valid resource ID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdError {
    /// The text.
    pub given: String,
    /// What is wrong with it.
    pub why: String,
    /// The expected form.
    pub expected: String,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a valid resource ID: {}. Expected {}", self.given, self.why, self.expected)
    }
}

impl std::error::Error for IdError {}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: &str =
        "/subscriptions/S/resourceGroups/Rg/providers/Microsoft.Compute/galleries/G/images/I/versions/1.0.0";

    #[test]
    fn parses_any_case_and_formats_the_canonical_case() {
        for given in [
            VERSION,
            "/subscriptions/S/resourcegroups/Rg/providers/microsoft.compute/Galleries/G/IMAGES/I/Versions/1.0.0",
            "/SUBSCRIPTIONS/S/RESOURCEGROUPS/Rg/PROVIDERS/MICROSOFT.COMPUTE/GALLERIES/G/IMAGES/I/VERSIONS/1.0.0/",
            " /subscriptions/S/resourceGroups/Rg/providers/Microsoft.Compute/galleries/G/images/I/versions/1.0.0\n",
        ] {
            assert_eq!(ResourceId::parse(given).unwrap().to_string(), VERSION);
        }
    }

    #[test]
    fn returns_the_parts_of_an_id() {
        let id = ResourceId::parse(VERSION).unwrap();
        assert_eq!(
            (id.subscription_id(), id.resource_group(), id.provider()),
            ("S", "Rg", "Microsoft.Compute")
        );
        assert_eq!(id.types(), ["galleries", "images", "versions"]);
        assert_eq!(id.names(), ["G", "I", "1.0.0"]);
        assert_eq!(id.name(), "1.0.0");
        assert_eq!(id.name_of("Galleries"), Some("G"));
        assert!(id.is_a(IMAGE_VERSION) && !id.is_a(GALLERY));
        assert_eq!(id, ResourceId::new(IMAGE_VERSION, "s", "RG", &["g", "i", "1.0.0"]));
        let definition = id.parent().unwrap();
        assert_eq!(definition, ResourceId::new(IMAGE_DEFINITION, "S", "Rg", &["G", "I"]));
        assert_eq!(definition.child("VERSIONS", "1.0.0").to_string(), VERSION);
        let chain: Vec<String> =
            std::iter::successors(Some(id), ResourceId::parent).map(|id| id.name().to_owned()).collect();
        assert_eq!(chain, ["1.0.0", "I", "G", "Rg", "S"]);
    }

    #[test]
    fn parses_subscription_and_extension_ids() {
        for (given, kind) in [
            ("/subscriptions/s", ""),
            ("/subscriptions/s/resourceGroups/r", ""),
            ("/subscriptions/s/providers/Microsoft.Compute/locations/eastus", "Microsoft.Compute/locations"),
            (
                "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/galleries/g/providers/Microsoft.Authorization/roleAssignments/x",
                "Microsoft.Compute/galleries/providers/roleAssignments",
            ),
            ("/subscriptions/s/resourceGroups/r/providers/Contoso.Own/things/x", "Contoso.Own/things"),
        ] {
            let id = ResourceId::parse(given).unwrap();
            assert_eq!(id.to_string(), given);
            assert_eq!(id.resource_type(), kind);
        }
        assert_eq!(
            ResourceId::parse("/subscriptions/s/resourceGroups/r/providers/M.C/g/x/providers/M.A/r/y")
                .unwrap()
                .parent()
                .unwrap()
                .to_string(),
            "/subscriptions/s/resourceGroups/r/providers/M.C/g/x"
        );
    }

    #[test]
    fn paths_with_and_without_a_name_have_the_same_type() {
        let versions = VERSION.rsplit_once('/').unwrap().0;
        for (path, kind, named) in [
            (VERSION, "microsoft.compute/galleries/images/versions", true),
            (versions, "microsoft.compute/galleries/images/versions", false),
            (
                "/subscriptions/s/providers/Microsoft.Compute/locations/eastus/capsOperations/1",
                "microsoft.compute/locations/capsoperations",
                true,
            ),
            (
                "/subscriptions/s/providers/A.B/c/d/providers/Microsoft.Authorization/roleAssignments/x",
                "microsoft.authorization/roleassignments",
                true,
            ),
            ("/subscriptions/s", "subscriptions", true),
            ("/subscriptions/s/resourceGroups", "subscriptions/resourcegroups", false),
            ("/", "", false),
            ("/a/providers", "", false),
        ] {
            assert_eq!((type_of_path(path).as_str(), ends_in_a_name(path)), (kind, named), "{path}");
        }
    }

    #[test]
    fn errors_name_the_wrong_segment() {
        for (given, why) in [
            ("", "empty"),
            ("golden", "does not begin with a slash"),
            ("/resourceGroups/r", "begins with \"/resourceGroups\""),
            ("/subscriptions", "has no subscription"),
            ("/subscriptions//resourceGroups/r", "two slashes"),
            ("/subscriptions/s/resourceGroups", "\"resourceGroups\" at its end has no name"),
            (
                "/subscriptions/s/resourceGroup/r/providers/Microsoft.Compute/images/i",
                "expected \"providers\", found \"resourceGroup\"",
            ),
            ("/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute", "no type and name follow"),
            (
                "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/disks/d/providers/Microsoft.Authorization",
                "no type and name follow",
            ),
            (
                "/subscriptions/s/providers/Microsoft.Compute/providers/Microsoft.Compute/disks/d",
                "no type and name follow",
            ),
            (
                "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/images",
                "\"images\" at its end has no name",
            ),
            ("/subscriptions/s/resourceGroups/r?x=1", "is not a name"),
            ("/subscriptions/s/resourceGroups/..", "is not a name"),
        ] {
            let error = ResourceId::parse(given).unwrap_err().to_string();
            assert!(error.contains(why), "{given}: {error}");
        }
        let error = ResourceId::parse_as(VERSION, IMAGE_DEFINITION).unwrap_err().to_string();
        assert!(
            error.contains("it is the ID of a Microsoft.Compute/galleries/images/versions, not of"),
            "{error}"
        );
        assert!(error.contains("/galleries/GALLERY/images/IMAGE"), "{error}");
        assert!(ResourceId::parse_as(VERSION, IMAGE_VERSION).is_ok());
    }

    #[test]
    fn same_id_ignores_case_and_trailing_slash() {
        assert!(same_id(VERSION, &VERSION.to_uppercase()));
        assert!(same_id("/subscriptions/s/", "/subscriptions/S"));
        assert!(!same_id("/subscriptions/s", "/subscriptions/t"));
    }
}
