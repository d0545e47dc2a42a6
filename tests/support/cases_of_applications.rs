//! Gallery applications and their versions.

use super::{Case, put, rg, with_gallery};
use crate::core::{Core, Json, json};

pub fn gallery_application() -> Case {
    let action = |script: &str| {
        json!([{
            "name": "restart", "script": script, "description": "Restarts the agent",
            "parameter": [{"name": "delay", "required": true, "default_value": "5"}, {"name": "log", "type": "LogOutputBlob"}],
        }])
    };
    let stored = |script: &str| {
        json!({"customActions": [{
            "name": "restart", "script": script, "description": "Restarts the agent",
            "parameters": [
                {"name": "delay", "required": true, "type": "String", "defaultValue": "5"},
                {"name": "log", "required": false, "type": "LogOutputBlob"},
            ],
        }]})
    };
    Case {
        name: "gallery application",
        type_name: "azimage_gallery_application",
        prepare: with_gallery,
        small: json!({"name": "agent", "gallery_id": rg("galleries/gal"), "supported_os_type": "Linux"}),
        full: json!({
            "description": "monitoring agent",
            "eula": "https://contoso.example/eula",
            "privacy_statement_uri": "https://contoso.example/privacy",
            "release_note_uri": "https://contoso.example/notes",
            "end_of_life_date": "2031-01-01T00:00:00Z",
            "custom_action": action("systemctl restart agent"),
            "tags": {"team": "observability"},
            "timeouts": {"update": "5m"},
        }),
        updates: vec![
            (json!({"description": "other"}), &["description"]),
            (json!({"description": null}), &["description"]),
            (json!({"eula": null}), &["eula"]),
            (json!({"privacy_statement_uri": null}), &["privacy_statement_uri"]),
            (json!({"release_note_uri": "https://contoso.example/other"}), &["release_note_uri"]),
            (json!({"release_note_uri": null}), &["release_note_uri"]),
            (json!({"end_of_life_date": "2032-01-01T00:00:00Z"}), &["end_of_life_date"]),
            (json!({"end_of_life_date": null}), &["end_of_life_date"]),
            (json!({"custom_action": action("agent --restart")}), &["custom_action"]),
            (
                json!({"custom_action": [{"name": "stop", "script": "systemctl stop agent"}]}),
                &["custom_action"],
            ),
            (
                json!({"custom_action": [{"name": "restart", "script": "systemctl restart agent"}]}),
                &["custom_action"],
            ),
            (json!({"custom_action": null}), &["custom_action"]),
            (json!({"tags": {"team": "platform"}}), &["tags", "tags_all"]),
            (json!({"tags": null}), &["tags", "tags_all"]),
            (json!({"timeouts": null}), &["timeouts"]),
        ],
        forces: vec![
            (json!({"name": "agent2"}), &["name"]),
            (json!({"gallery_id": rg("galleries/gal2")}), &["gallery_id"]),
            (json!({"location": "westeurope"}), &["location"]),
            (json!({"supported_os_type": "Windows"}), &["supported_os_type"]),
        ],
        same: vec![
            json!({"gallery_id": rg("galleries/gal").replace("/rg/", "/RG/")}),
            json!({"location": "East US"}),
            json!({"name": "AGENT"}),
            json!({"end_of_life_date": "2031-01-01T01:00:00.000+01:00"}),
        ],
        drifts: vec![
            (json!({"tags": {"team": "platform"}}), &["tags", "tags_all"]),
            (json!({"properties": {"description": "by hand"}}), &["description"]),
            (json!({"properties": {"eula": "by hand"}}), &["eula"]),
            (json!({"properties": {"privacyStatementUri": "https://x.example"}}), &["privacy_statement_uri"]),
            (json!({"properties": {"releaseNoteUri": null}}), &["release_note_uri"]),
            (json!({"properties": {"endOfLifeDate": "2033-01-01T00:00:00Z"}}), &["end_of_life_date"]),
            (json!({"properties": stored("by hand")}), &["custom_action"]),
        ],
        not_in_azure: &["timeouts"],
        not_imported: &["timeouts"],
        id: Some(rg("galleries/gal/applications/agent")),
        azurerm: Some("azurerm_gallery_application"),
    }
}

/// Two applications.
pub fn with_applications(core: &Core) {
    with_gallery(core);
    for name in ["agent", "agent2"] {
        let body = json!({"location": "eastus", "properties": {"supportedOSType": "Linux"}});
        put(core, &rg(&format!("galleries/gal/applications/{name}")), body);
    }
}

const BLOB: &str = "https://contoso.blob.core.windows.net/agent/agent.tar.gz";

pub fn gallery_application_version() -> Case {
    let regions = |second: Json| json!([{"name": "East US"}, second]);
    Case {
        name: "gallery application version",
        type_name: "azimage_gallery_application_version",
        prepare: with_applications,
        small: json!({
            "name": "1.0.0", "gallery_application_id": rg("galleries/gal/applications/agent"),
            "source": {"media_link": format!("{BLOB}?sv=1&sig=abc")},
            "manage_action": {"install": "./install.sh", "remove": "./remove.sh"},
        }),
        full: json!({
            "enable_health_check": true,
            "exclude_from_latest": true,
            "end_of_life_date": "2031-01-01T00:00:00Z",
            "advanced_settings": {"level": "1"},
            "custom_action": [{"name": "restart", "script": "systemctl restart agent"}],
            "target_region": regions(json!({"name": "westeurope", "regional_replica_count": 2})),
            "wait_for_replication": "all",
            "deletion_policy": "delete",
            "tags": {"build": "17"},
            "timeouts": {"create": "2h"},
        }),
        updates: vec![
            (json!({"enable_health_check": null}), &["enable_health_check"]),
            (json!({"exclude_from_latest": null}), &["exclude_from_latest"]),
            (json!({"end_of_life_date": "2032-06-01T00:00:00Z"}), &["end_of_life_date"]),
            (json!({"end_of_life_date": null}), &["end_of_life_date"]),
            (json!({"advanced_settings": {"level": "2", "more": "x"}}), &["advanced_settings"]),
            (json!({"advanced_settings": null}), &["advanced_settings"]),
            (
                json!({"custom_action": [{"name": "restart", "script": "agent --restart"}]}),
                &["custom_action"],
            ),
            (json!({"custom_action": null}), &["custom_action"]),
            (
                json!({"target_region": regions(json!({"name": "westeurope", "regional_replica_count": 3}))}),
                &["target_region"],
            ),
            (json!({"target_region": [{"name": "East US"}]}), &["target_region"]),
            (
                json!({"target_region": [{"name": "East US"}, {"name": "westeurope", "regional_replica_count": 2}, {"name": "North Europe", "exclude_from_latest": true}]}),
                &["target_region"],
            ),
            (json!({"wait_for_replication": "none"}), &["wait_for_replication"]),
            (json!({"wait_for_replication": "home"}), &["wait_for_replication"]),
            (json!({"deletion_policy": "retain"}), &["deletion_policy"]),
            (json!({"tags": {"build": "18", "x": "y"}}), &["tags", "tags_all"]),
            (json!({"tags": null}), &["tags", "tags_all"]),
            (json!({"timeouts": null}), &["timeouts"]),
        ],
        forces: vec![
            (json!({"name": "1.0.1"}), &["name"]),
            (
                json!({"gallery_application_id": rg("galleries/gal/applications/agent2")}),
                &["gallery_application_id"],
            ),
            (json!({"location": "westeurope"}), &["location"]),
            (json!({"package_file": "other.tar.gz"}), &["package_file"]),
            (json!({"config_file": "other.json"}), &["config_file"]),
            (json!({"script_behavior_after_reboot": "Rerun"}), &["script_behavior_after_reboot"]),
            (json!({"source": {"media_link": format!("{BLOB}.new?sig=abc")}}), &["source.media_link"]),
            (
                json!({"source": {"default_configuration_link": format!("{BLOB}.json")}}),
                &["source.default_configuration_link"],
            ),
            (json!({"manage_action": {"install": "other"}}), &["manage_action.install"]),
            (json!({"manage_action": {"remove": "other"}}), &["manage_action.remove"]),
            (json!({"manage_action": {"update": "other"}}), &["manage_action.update"]),
        ],
        same: vec![
            json!({"target_region": [{"name": "WestEurope", "regional_replica_count": 2}, {"name": "eastus", "regional_replica_count": 1}]}),
            json!({"gallery_application_id": rg("galleries/GAL/applications/AGENT")}),
            json!({"source": {"media_link": format!("{BLOB}?sv=2&sig=another")}}),
            json!({"source": {"media_link": BLOB}}),
            json!({"end_of_life_date": "2031-01-01T00:00:00+00:00"}),
            json!({"location": "East US"}),
        ],
        drifts: vec![
            (json!({"tags": {"build": "99"}}), &["tags", "tags_all"]),
            (
                json!({"properties": {"publishingProfile": {"excludeFromLatest": false}}}),
                &["exclude_from_latest"],
            ),
            (
                json!({"properties": {"publishingProfile": {"enableHealthCheck": false}}}),
                &["enable_health_check"],
            ),
            (
                json!({"properties": {"publishingProfile": {"endOfLifeDate": "2034-01-01T00:00:00Z"}}}),
                &["end_of_life_date"],
            ),
            (
                json!({"properties": {"publishingProfile": {"advancedSettings": {"level": "9"}}}}),
                &["advanced_settings"],
            ),
            (
                json!({"properties": {"publishingProfile": {"customActions": [{"name": "restart", "script": "by hand"}]}}}),
                &["custom_action"],
            ),
            (
                json!({"properties": {"publishingProfile": {"targetRegions": [{"name": "eastus"}]}}}),
                &["target_region"],
            ),
        ],
        not_in_azure: &["timeouts", "wait_for_replication", "deletion_policy"],
        not_imported: &["timeouts", "wait_for_replication", "deletion_policy", "source"],
        id: Some(rg("galleries/gal/applications/agent/versions/1.0.0")),
        azurerm: Some("azurerm_gallery_application_version"),
    }
}

/// An application version with all values that cannot change.
pub fn application_version_with_files() -> Case {
    let plain = gallery_application_version();
    Case {
        name: "gallery application version with files",
        small: json!({
            "name": "2.0.0", "gallery_application_id": rg("galleries/gal/applications/agent"),
            "package_file": "agent.tar.gz", "config_file": "agent.json",
            "source": {"media_link": BLOB, "default_configuration_link": format!("{BLOB}.json?sig=abc")},
            "manage_action": {"install": "./install.sh", "remove": "./remove.sh", "update": "./update.sh"},
        }),
        full: json!({"tags": {"build": "17"}, "wait_for_replication": "home"}),
        updates: vec![(json!({"tags": {"build": "18"}}), &["tags", "tags_all"])],
        forces: vec![
            (json!({"name": "2.0.1"}), &["name"]),
            (json!({"package_file": "other.tar.gz"}), &["package_file"]),
            (json!({"source": {"default_configuration_link": null}}), &["source.default_configuration_link"]),
            (json!({"manage_action": {"update": null}}), &["manage_action.update"]),
        ],
        // the service chooses the file names that the configuration omits
        same: vec![
            json!({"source": {"default_configuration_link": format!("{BLOB}.json")}}),
            json!({"package_file": null, "config_file": null}),
        ],
        drifts: Vec::new(),
        id: Some(rg("galleries/gal/applications/agent/versions/2.0.0")),
        ..plain
    }
}
