//! A gallery application in the service's format.

use serde_json::{Value as Json, json};

use super::definition::OS_TYPES;
use super::{filled, provisioning_state, word};
use crate::azure::attributes::check_filled;
use crate::azure::body;
use crate::azure::tags::{self, Tags};
use crate::model;
use crate::schema::spec::{block, optional, required};
use crate::schema::{Set, Value};

const PARAMETER_TYPES: &[&str] = &["String", "ConfigurationDataBlob", "LogOutputBlob"];

/// A gallery application. `None` means that the response does not contain the value, or that there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Application {
    /// Its region.
    pub location: Option<String>,
    /// One of [`OS_TYPES`].
    pub supported_os_type: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// The end-user licence agreement.
    pub eula: Option<String>,
    /// The privacy statement.
    pub privacy_statement_uri: Option<String>,
    /// The release notes.
    pub release_note_uri: Option<String>,
    /// The end-of-life date.
    pub end_of_life_date: Option<String>,
    /// The custom actions of all its versions.
    pub custom_action: Set<CustomAction>,
    /// Its tags.
    pub tags: Tags,
    /// The state of the last operation. The service omits it for applications without errors.
    pub provisioning_state: Option<String>,
}

model! {
    /// A script that can be run on machines that have the application.
    pub struct CustomAction {
        /// The name of the action.
        pub name: String = required().check_text(check_filled),
        /// The script to run.
        pub script: String = required().check_text(check_filled),
        /// The description of the action.
        pub description: Option<String> = optional().or_empty(),
        /// A parameter of the script.
        pub parameter: Set<Parameter> = block().key(name_key),
    }
}

model! {
    /// A parameter of the script of a custom action.
    pub struct Parameter {
        /// The name of the parameter.
        pub name: String = required().check_text(check_filled),
        /// Whether the parameter must be set.
        pub required: Option<bool> = optional().default(false),
        /// The type of the value: a `String`, or a link to a `ConfigurationDataBlob` to read or to a `LogOutputBlob`
        /// to append to.
        pub r#type: Option<String> = optional().default("String").one_of(PARAMETER_TYPES),
        /// The default value of the parameter. Only for strings.
        pub default_value: Option<String> = optional().or_empty(),
        /// The description of the parameter.
        pub description: Option<String> = optional().or_empty(),
    }
}

/// The key of an action or a parameter in its set: the name.
pub fn name_key(value: &Value) -> Option<String> {
    value.get("name").as_str().map(str::to_owned)
}

impl Application {
    /// Reads a response.
    pub fn read(application: &Json) -> Application {
        let text = |name: &str| filled(application, &format!("properties.{name}"));
        Application {
            location: filled(application, "location"),
            supported_os_type: word(application, "properties.supportedOSType", OS_TYPES),
            description: text("description"),
            eula: text("eula"),
            privacy_statement_uri: text("privacyStatementUri"),
            release_note_uri: text("releaseNoteUri"),
            end_of_life_date: text("endOfLifeDate"),
            custom_action: read_actions(application.get("properties").unwrap_or(&Json::Null)),
            tags: tags::all(application),
            provisioning_state: provisioning_state(application),
        }
    }
}

/// Reads the member `customActions` of an application's properties, or of a version's publishing profile.
pub fn read_actions(parent: &Json) -> Set<CustomAction> {
    let action = |action: &Json| {
        Some(CustomAction {
            name: body::text(action, "name")?,
            script: body::text(action, "script")?,
            description: filled(action, "description"),
            parameter: body::items(action, "parameters").iter().filter_map(read_parameter).collect(),
        })
    };
    body::items(parent, "customActions").iter().filter_map(action).collect()
}

fn read_parameter(parameter: &Json) -> Option<Parameter> {
    Some(Parameter {
        name: body::text(parameter, "name")?,
        required: body::bool(parameter, "required").or(Some(false)),
        r#type: word(parameter, "type", PARAMETER_TYPES).or_else(|| Some("String".to_owned())),
        default_value: filled(parameter, "defaultValue"),
        description: filled(parameter, "description"),
    })
}

/// The member `customActions` to send.
pub fn expand_actions(actions: &[CustomAction]) -> Json {
    let parameter = |parameter: &Parameter| {
        body::without_nulls(json!({
            "name": parameter.name,
            "required": parameter.required == Some(true),
            "type": parameter.r#type,
            "defaultValue": parameter.default_value,
            "description": parameter.description,
        }))
    };
    let action = |action: &CustomAction| {
        let parameters: Vec<Json> = action.parameter.iter().map(parameter).collect();
        body::without_nulls(json!({
            "name": action.name,
            "script": action.script,
            "description": action.description,
            "parameters": if parameters.is_empty() { Json::Null } else { Json::Array(parameters) },
        }))
    };
    actions.iter().map(action).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expand_and_flatten_of_actions_round_trip() {
        let actions = Set(vec![
            CustomAction {
                name: "restart".into(),
                script: "systemctl restart web".into(),
                ..Default::default()
            },
            CustomAction {
                name: "dump".into(),
                script: "dump".into(),
                description: Some("Dumps".into()),
                parameter: Set(vec![Parameter {
                    name: "to".into(),
                    required: Some(true),
                    r#type: Some("LogOutputBlob".into()),
                    default_value: None,
                    description: Some("Where to".into()),
                }]),
            },
        ]);
        assert_eq!(read_actions(&json!({"customActions": expand_actions(&actions)})), actions);
    }

    #[test]
    fn an_empty_response_reads_as_none() {
        for answer in [json!({}), json!({"properties": null}), json!({"properties": {"customActions": [{}]}})]
        {
            assert_eq!(Application::read(&answer), Application::default(), "{answer}");
        }
    }
}
