//! A Compute Gallery in the service's format, with its soft delete, identity and sharing.

use serde_json::Value as Json;

use super::{filled, provisioning_state, word};
use crate::arm::id;
use crate::azure::attributes::{check_filled, check_guid, eq_ignore_case};
use crate::azure::body;
use crate::azure::tags::{self, Tags};
use crate::model;
use crate::schema::Set;
use crate::schema::spec::{block, computed, optional, required};

/// Sharing permissions.
pub const PERMISSIONS: &[&str] = &["Private", "Groups", "Community"];

/// Identity types.
pub const IDENTITY_TYPES: &[&str] = &["SystemAssigned", "UserAssigned", "SystemAssigned, UserAssigned"];

/// A gallery. `None` means that the response does not contain the value, or that there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gallery {
    /// Its region.
    pub location: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// The name with which a directly shared gallery is addressed.
    pub unique_name: Option<String>,
    /// The state of the last operation.
    pub provisioning_state: Option<String>,
    /// Its soft delete policy.
    pub soft_delete: Option<SoftDeletePolicy>,
    /// Its managed identity.
    pub identity: Option<Identity>,
    /// Its sharing profile. Groups are only in responses to `$select=Permissions` and
    /// `$expand=SharingProfile/Groups`.
    pub sharing: Sharing,
}

model! {
    /// The soft delete policy of a gallery.
    pub struct SoftDeletePolicy {
        /// Whether deleted image versions are kept.
        pub enabled: Option<bool> = computed(),
        /// For how many days a deleted image version can still be used.
        pub retention_days: Option<i64> = computed(),
        /// For how many more days it can be restored.
        pub grace_period_days: Option<i64> = computed(),
    }
}

model! {
    /// The managed identity of the gallery.
    pub struct Identity {
        /// The identity type: `SystemAssigned`, `UserAssigned` or `SystemAssigned, UserAssigned`.
        pub r#type: String = required().one_of(IDENTITY_TYPES).equivalent_if(same_identity_type),
        /// The IDs of the user-assigned identities.
        pub identity_ids: Option<Set<String>> = optional().or_empty().equivalent_if(id::same_id),
        /// The principal ID of the system-assigned identity.
        pub principal_id: Option<String> = computed(),
        /// The tenant ID of the system-assigned identity.
        pub tenant_id: Option<String> = computed(),
    }
}

model! {
    /// The sharing of the gallery.
    pub struct Sharing {
        /// The permission: `Private` (access control only), `Groups` (the subscriptions and tenants below) or
        /// `Community` (everyone).
        pub permission: String = optional().default("Private").one_of(PERMISSIONS),
        /// The subscriptions that may use the images, for `Groups`. At most 30.
        pub subscription_ids: Option<Set<String>> = optional().or_empty().equivalent_if(eq_ignore_case).check_text(check_guid),
        /// The tenants that may use the images, for `Groups`. At most 5.
        pub tenant_ids: Option<Set<String>> = optional().or_empty().equivalent_if(eq_ignore_case).check_text(check_guid),
        /// The public profile of the gallery, for `Community`.
        pub community: Option<Community> = block(),
    }
}

model! {
    /// The public profile of the gallery.
    pub struct Community {
        /// The URI of the publisher's web site.
        pub publisher_uri: Option<String> = required().check_text(check_filled),
        /// The email address of the publisher.
        pub publisher_email: Option<String> = required().check_text(check_filled),
        /// The end-user licence agreement, or its URI.
        pub eula: Option<String> = required().check_text(check_filled),
        /// The prefix of the public name: 5 to 16 letters and digits. A change gives the gallery a new public name.
        pub public_name_prefix: Option<String> = required().check_text(check_prefix),
        /// The public name of the gallery.
        pub public_name: Option<String> = computed(),
    }
}

impl Gallery {
    /// Reads a response.
    pub fn read(gallery: &Json) -> Gallery {
        let policy = |policy: &Json| SoftDeletePolicy {
            enabled: body::bool(policy, "isSoftDeleteEnabled"),
            retention_days: body::int(policy, "retentionPeriodInDays"),
            grace_period_days: body::int(policy, "gracePeriodInDays"),
        };
        Gallery {
            location: filled(gallery, "location"),
            description: filled(gallery, "properties.description"),
            tags: tags::all(gallery),
            unique_name: filled(gallery, "properties.identifier.uniqueName"),
            provisioning_state: provisioning_state(gallery),
            soft_delete: body::at(gallery, "properties.softDeletePolicy").map(policy),
            identity: Identity::read(gallery),
            sharing: Sharing::read(gallery),
        }
    }
}

impl Identity {
    fn read(gallery: &Json) -> Option<Identity> {
        let r#type = word(gallery, "identity.type", IDENTITY_TYPES)?;
        let ids = body::at(gallery, "identity.userAssignedIdentities").and_then(Json::as_object);
        let ids: Set<String> = ids.into_iter().flat_map(|ids| ids.keys().cloned()).collect();
        (!r#type.eq_ignore_ascii_case("None")).then_some(Identity {
            r#type,
            identity_ids: (!ids.is_empty()).then_some(ids),
            principal_id: filled(gallery, "identity.principalId"),
            tenant_id: filled(gallery, "identity.tenantId"),
        })
    }
}

impl Sharing {
    /// Reads the sharing profile of a gallery. The service omits it for galleries that were never shared.
    pub fn read(gallery: &Json) -> Sharing {
        let profile = body::at(gallery, "properties.sharingProfile").unwrap_or(&Json::Null);
        let ids = |kind: &str| -> Option<Set<String>> {
            let groups = body::items(profile, "groups").iter();
            let of_kind = groups
                .filter(|group| body::text(group, "type").is_some_and(|have| eq_ignore_case(&have, kind)));
            let ids: Set<String> =
                of_kind.flat_map(|group| body::texts(group, "ids").unwrap_or_default()).collect();
            (!ids.is_empty()).then_some(ids)
        };
        let community = |info: &Json| Community {
            publisher_uri: filled(info, "publisherUri"),
            publisher_email: filled(info, "publisherContact"),
            eula: filled(info, "eula"),
            public_name_prefix: filled(info, "publicNamePrefix"),
            public_name: body::texts(info, "publicNames").and_then(|names| names.into_iter().next()),
        };
        Sharing {
            permission: word(profile, "permissions", PERMISSIONS).unwrap_or_else(|| "Private".to_owned()),
            subscription_ids: ids("Subscriptions"),
            tenant_ids: ids("AADTenants"),
            community: body::at(profile, "communityGalleryInfo").map(community),
        }
    }

    /// Whether the gallery is not shared at all.
    pub fn is_private(&self) -> bool {
        self.permission == "Private"
    }
}

/// Whether two identity types contain the same kinds of identity, in any order.
pub fn same_identity_type(a: &str, b: &str) -> bool {
    let parts = |text: &str| {
        let mut parts: Vec<String> = text.split(',').map(|part| part.trim().to_ascii_lowercase()).collect();
        parts.sort();
        parts
    };
    parts(a) == parts(b)
}

fn check_prefix(text: &str) -> Result<(), String> {
    if (5..=16).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric()) {
        Ok(())
    } else {
        Err("must have 5 to 16 letters and digits, and nothing else".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_empty_response_reads_as_a_private_gallery() {
        let private = Sharing { permission: "Private".to_owned(), ..Sharing::default() };
        for answer in [
            json!({}),
            json!({"properties": null}),
            json!({"properties": {"sharingProfile": {"permissions": "private"}}}),
        ] {
            assert_eq!(
                Gallery::read(&answer),
                Gallery { sharing: private.clone(), ..Gallery::default() },
                "{answer}"
            );
        }
    }

    #[test]
    fn reads_enumerated_values_in_any_case() {
        let gallery = Gallery::read(&json!({
            "identity": {"type": "userassigned", "userAssignedIdentities": {"/a": {}}},
            "properties": {"provisioningState": "SUCCEEDED", "sharingProfile": {
                "permissions": "groups", "groups": [{"type": "subscriptions", "ids": ["s"]}],
            }},
        }));
        assert_eq!(gallery.provisioning_state.as_deref(), Some("Succeeded"));
        assert_eq!(gallery.sharing.permission, "Groups");
        assert_eq!(gallery.sharing.subscription_ids, Some(Set(vec!["s".to_owned()])));
        assert_eq!(gallery.identity.unwrap().r#type, "UserAssigned");
        assert_eq!(Gallery::read(&json!({"identity": {"type": "none"}})).identity, None);
    }
}
