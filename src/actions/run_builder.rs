//! `azimage_run_builder`: builds the images of an image template.

use std::time::Duration;

use async_trait::async_trait;

use crate::arm::id::IMAGE_TEMPLATE;
use crate::arm::{Error, ResourceId, Target};
use crate::azure::attributes::id_of;
use crate::azure::builds::{self, Unbuilt};
use crate::azure::objects::image_template::LastRun;
use crate::azure::pipeline::Task;
use crate::azure::{Context, fault};
use crate::framework::Op;
use crate::framework::action::{Action, Progress};
use crate::model;
use crate::schema::spec::{optional, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Value};

model! {
    /// Builds the images of an image template. The action does not return the IDs of the images: use the resource
    /// `azimage_builder_run` if you need them.
    pub struct Model {
        /// The ID of the template.
        pub template_id: String = id_of(required(), IMAGE_TEMPLATE),
        /// Whether to wait until the images are built. Defaults to `true`.
        pub wait: Option<bool> = optional(),
    }
}

/// The action.
pub struct RunBuilder;

const TEMPLATE: &str = "template_id";

#[async_trait]
impl Action<Context> for RunBuilder {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_run_builder"
    }

    fn timeout(&self) -> Duration {
        // the longest build takes 16 hours, and may have to wait for another
        Duration::from_secs(32 * 3600)
    }

    async fn plan(&self, context: &Context, op: &Op, config: &Value, _found: &mut Diagnostics) {
        let Some(Ok(id)) = config.get(TEMPLATE).as_str().map(ResourceId::parse) else { return };
        let task = task(context, op, id);
        // a template that does not exist may be created by the same run
        if let Ok(template) = context.client.get_opt(&task.scope, &Target::at(task.id.to_string())).await {
            context.builds.plan(&task.id.to_string(), template.as_ref().and_then(LastRun::read).as_ref());
        }
    }

    async fn invoke(
        &self,
        context: &Context,
        op: &Op,
        progress: &Progress,
        config: Model,
    ) -> Result<(), Diagnostics> {
        let id = ResourceId::parse_as(&config.template_id, IMAGE_TEMPLATE).map_err(|error| {
            Diagnostic::error("template_id names no image template", error.to_string())
                .at(Path::attribute(TEMPLATE))
        })?;
        let task = task(context, op, id);
        let report = |text: &str| progress.report(text);
        let wait = config.wait.unwrap_or(true);
        if !wait {
            refuse_to_wait(&task).await?;
        }
        let run = builds::start(&task, &report).await?;
        if !wait {
            return Ok(());
        }
        match builds::finish(&task, run, &report).await {
            Ok(built) => {
                for (name, artifact) in &built.artifacts {
                    progress.report(format!("{name}: {artifact}"));
                }
                Ok(())
            }
            Err(Unbuilt::Failed(failed)) => Err(failed),
            Err(Unbuilt::GoesOn(_, error)) => {
                let mut told = task.failed(&error);
                told.detail = format!("{}\n\nThe build goes on.", told.detail);
                Err(told.into())
            }
        }
    }
}

fn task<'a>(context: &'a Context, op: &'a Op, id: ResourceId) -> Task<'a> {
    let what = format!("building image template {:?}", id.name());
    Task::new(context, op, what, id, diagnose)
}

fn diagnose(error: &Error, what: &str, id: &str) -> Diagnostic {
    fault::at(error, what, id, Some(TEMPLATE))
}

// a running build would have to end first
async fn refuse_to_wait(task: &Task<'_>) -> Result<(), Diagnostics> {
    let run = LastRun::read(&builds::read_template(task).await?);
    match run.filter(|run| builds::must_be_waited_for(task, run)) {
        Some(run) => Err(Diagnostic::error(
            "The image template is being built already",
            format!(
                "A build that started at {} goes on, and the service runs one at a time. Set wait = true to wait for it, or try \
                 again later.\n\n{}",
                run.started_at, task.id
            ),
        )
        .at(Path::attribute("wait"))
        .into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::arm::Method;
    use crate::azure::testing::{FakeArm, op};

    const T: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/resourceGroups/rg/providers/Microsoft.VirtualMachineImages/imageTemplates/t";

    fn template(state: Option<(&str, &str)>) -> serde_json::Value {
        let status =
            state.map(|(state, start)| json!({"runState": state, "startTime": start, "message": "m"}));
        json!({"properties": {"provisioningState": "Succeeded", "lastRunStatus": status}})
    }

    async fn invoked(arm: &std::sync::Arc<FakeArm>, wait: bool) -> Result<Vec<String>, String> {
        arm.on(Method::Post, &format!("{T}/run"), 202, json!(null));
        arm.get(
            &format!("{T}/runOutputs"),
            json!({"value": [{"name": "o", "properties": {"artifactId": "/x"}}]}),
        );
        let (progress, mut reports) = Progress::channel();
        let config = Model { template_id: T.to_owned(), wait: Some(wait) };
        let ended = RunBuilder.invoke(&arm.context(), &op(), &progress, config).await;
        drop(progress);
        let mut lines = Vec::new();
        while let Some(line) = reports.recv().await {
            lines.push(line);
        }
        ended.map(|()| lines).map_err(|errors| errors.0[0].to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn starts_a_build_and_reports_its_images() {
        let arm = FakeArm::new();
        arm.get(T, template(Some(("Succeeded", "2"))));
        arm.next(2, Method::Get, T, 200, template(Some(("Running", "2"))));
        arm.next(1, Method::Get, T, 200, template(Some(("Failed", "1"))));
        let lines = invoked(&arm, true).await.unwrap();
        assert!(lines.contains(&"the build has started".to_owned()), "{lines:?}");
        assert!(lines.contains(&"o: /x".to_owned()), "{lines:?}");
        assert_eq!(arm.calls().iter().filter(|call| call.starts_with("POST")).count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn does_not_wait_for_another_build_by_default() {
        let arm = FakeArm::new();
        arm.get(T, template(Some(("Running", "1"))));
        let told = invoked(&arm, false).await.unwrap_err();
        assert!(told.contains("being built already"), "{told}");
        assert!(!arm.calls().iter().any(|call| call.starts_with("POST")));
    }

    #[tokio::test(start_paused = true)]
    async fn failed_build_is_an_error_with_the_services_message() {
        let arm = FakeArm::new();
        arm.get(T, template(Some(("Failed", "2"))));
        arm.next(1, Method::Get, T, 200, template(None));
        let told = invoked(&arm, true).await.unwrap_err();
        assert!(told.contains("The build of image template \"t\" failed"), "{told}");
    }
}
