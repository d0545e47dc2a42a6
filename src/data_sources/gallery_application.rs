//! The data source `azimage_gallery_application`.

use async_trait::async_trait;

use super::finding::{self, absent, argument};
use crate::arm::id::GALLERY;
use crate::arm::{ResourceId, Target};
use crate::azure::attributes::{check_application_name, id_of};
use crate::azure::context::scope;
use crate::azure::objects::application::{Application, CustomAction};
use crate::azure::tags::Tags;
use crate::azure::{Context, fault};
use crate::framework::timeouts::ReadTimeouts;
use crate::framework::{DataSource, Op};
use crate::model;
use crate::schema::spec::{block, computed, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Set};

model! {
    /// Reads an application of a Compute Gallery.
    pub struct Model {
        /// The name of the application.
        pub name: String = required().check_text(check_application_name),
        /// The ID of the gallery of the application, in any subscription.
        pub gallery_id: String = argument(id_of(required(), GALLERY)),
        /// The resource ID of the application.
        pub id: Option<String> = computed(),
        /// The region of the application.
        pub location: Option<String> = computed(),
        /// The operating system that the application is for, `Linux` or `Windows`.
        pub supported_os_type: Option<String> = computed(),
        /// The description of the application.
        pub description: Option<String> = computed(),
        /// The end-user licence agreement, or its URI.
        pub eula: Option<String> = computed(),
        /// The URI of the privacy statement.
        pub privacy_statement_uri: Option<String> = computed(),
        /// The URI of the release notes.
        pub release_note_uri: Option<String> = computed(),
        /// The end-of-life date of the application.
        pub end_of_life_date: Option<String> = computed(),
        /// The scripts that can be run on machines that have any version of the application.
        pub custom_action: Set<CustomAction> = computed(),
        /// The tags of the application.
        pub tags: Tags = computed(),
        /// The same as `tags`, under the name that the resource uses for all tags.
        pub tags_all: Tags = computed(),
        /// The state of the last operation on the application. `Succeeded` when the application is healthy.
        pub provisioning_state: Option<String> = computed(),
        /// How long reading may take.
        pub timeouts: Option<ReadTimeouts> = block(),
    }
}

/// The data source.
pub struct GalleryApplication;

#[async_trait]
impl DataSource<Context> for GalleryApplication {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_gallery_application"
    }

    async fn read(&self, context: &Context, op: &Op, config: Model) -> Result<Model, Diagnostics> {
        let gallery = ResourceId::parse_as(&config.gallery_id, GALLERY).map_err(|error| {
            Diagnostic::error("Invalid value for gallery_id", error.to_string())
                .at(Path::attribute("gallery_id"))
        })?;
        let id = gallery.child("applications", &config.name);
        let scope = scope(op, format!("reading gallery application {:?}", config.name));
        let found = context.client.get_opt(&scope, &Target::at(id.to_string())).await;
        let found = found.map_err(|error| fault::diagnostic(&error, scope.what(), &id.to_string()))?;
        match found {
            Some(found) => Ok(flatten(config, &id, Application::read(&found))),
            None => {
                let siblings = Target::at(format!("{gallery}/applications"));
                let names = finding::names(context, &scope, &siblings).await;
                let what =
                    format!("There is no application {:?} in gallery {:?}", config.name, gallery.name());
                let among = format!("The gallery {gallery}");
                Err(absent(what, Path::attribute("name"), &config.name, &names, &among).into())
            }
        }
    }
}

fn flatten(config: Model, id: &ResourceId, application: Application) -> Model {
    Model {
        id: Some(id.to_string()),
        location: application.location,
        supported_os_type: application.supported_os_type,
        description: application.description,
        eula: application.eula,
        privacy_statement_uri: application.privacy_statement_uri,
        release_note_uri: application.release_note_uri,
        end_of_life_date: application.end_of_life_date,
        custom_action: application.custom_action,
        tags_all: application.tags.clone(),
        tags: application.tags,
        // the service says it of applications that are not well only
        provisioning_state: application.provisioning_state.or_else(|| Some("Succeeded".to_owned())),
        ..config
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::azure::testing::{FakeArm, op};

    const APPLICATIONS: &str =
        "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries/gal/applications";

    fn config(name: &str) -> Model {
        Model {
            name: name.to_owned(),
            gallery_id: APPLICATIONS.trim_end_matches("/applications").to_uppercase(),
            ..Model::default()
        }
    }

    #[tokio::test]
    async fn reads_an_application_as_the_service_describes_it() {
        let arm = FakeArm::new();
        arm.get(
            &format!("{APPLICATIONS}/agent"),
            json!({"name": "agent", "location": "eastus", "tags": {"a": "b"}, "properties": {
                "supportedOSType": "linux", "description": "Agent", "eula": "",
                "customActions": [{"name": "restart", "script": "systemctl restart agent"}],
            }}),
        );
        let got = GalleryApplication.read(&arm.context(), &op(), config("agent")).await.unwrap();
        assert_eq!(got.supported_os_type.as_deref(), Some("Linux"));
        assert_eq!((got.description.as_deref(), got.eula), (Some("Agent"), None));
        assert_eq!(got.provisioning_state.as_deref(), Some("Succeeded"));
        assert_eq!(got.custom_action[0].name, "restart");
        assert_eq!(got.tags["a"], "b");
    }

    #[tokio::test]
    async fn suggests_names_for_a_missing_application() {
        let arm = FakeArm::new();
        arm.get(APPLICATIONS, json!({"value": [{"name": "monitoring-agent"}, {"name": "backup"}]}));
        let missing = config("monitoring_agent");
        let error = GalleryApplication.read(&arm.context(), &op(), missing).await.unwrap_err().0;
        assert_eq!(error[0].path, Path::attribute("name"));
        assert!(error[0].detail.contains("\"monitoring-agent\""), "{}", error[0]);
    }
}
