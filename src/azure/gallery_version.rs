//! What image versions and application versions have in common: target regions that change in place, replication that may
//! not be finished, and versions that stay in Azure when they leave the state.

pub mod location;
pub mod regions;
pub mod retain;
pub mod steps;
pub mod unfinished;

/// What a kind of version is called, and the names of its attributes.
pub struct Kind {
    /// In messages: `image version`.
    pub noun: &'static str,
    /// The parent in messages: `image definition`.
    pub parent_noun: &'static str,
    /// The attribute with the version number.
    pub number: &'static str,
    /// The attribute with the ID of the parent.
    pub parent: &'static str,
    /// The attribute that decides the content.
    pub source: &'static str,
    /// Everything whose change replaces a version, target regions aside.
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
