//! Common behaviour of image versions and application versions: target regions that change in place, unfinished
//! replication, and versions that stay in Azure when they leave the state.

pub mod location;
pub mod regions;
pub mod retain;
pub mod steps;
pub mod unfinished;

/// The names of a kind of version and of its attributes.
pub struct Kind {
    /// The name in messages: `image version`.
    pub noun: &'static str,
    /// The parent's name in messages: `image definition`.
    pub parent_noun: &'static str,
    /// The attribute with the version number.
    pub number: &'static str,
    /// The attribute with the ID of the parent.
    pub parent: &'static str,
    /// The attribute that determines the content.
    pub source: &'static str,
    /// The attributes that replace a version when they change, except target regions.
    pub immutable: &'static [&'static str],
}

/// Image versions.
pub const IMAGE_VERSION: Kind = Kind {
    noun: "image version",
    parent_noun: "image definition",
    number: "version",
    parent: "image_definition_id",
    source: "source",
    immutable: &[
        "version",
        "image_definition_id",
        "location",
        "replication_mode",
        "source",
        "uefi_settings_json",
    ],
};

/// Versions of gallery applications.
pub const APPLICATION_VERSION: Kind = Kind {
    noun: "application version",
    parent_noun: "gallery application",
    number: "name",
    parent: "gallery_application_id",
    source: "source",
    immutable: &[
        "name",
        "gallery_application_id",
        "location",
        "source",
        "manage_action",
        "package_file",
        "config_file",
        "script_behavior_after_reboot",
    ],
};
