//! `azimage_prune_versions`: deletes the versions of an image definition that no rule keeps, or lists them.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use crate::arm::id::IMAGE_DEFINITION;
use crate::arm::{Error, ResourceId};
use crate::azure::attributes::id_of;
use crate::azure::context::scope;
use crate::azure::retention::{self, Arguments, Policy, Survey, lines, managed};
use crate::azure::tags::Tags;
use crate::azure::{Context, fault};
use crate::framework::Op;
use crate::framework::action::{Action, Progress};
use crate::model;
use crate::schema::spec::{optional, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Set, Slot, Value};

model! {
    /// Deletes the versions of an image definition that no rule keeps, or lists them. The rules are those of the resource
    /// `azimage_version_retention`.
    ///
    /// By default nothing is deleted: the progress lists the versions that would be. Before each deletion, the version and its
    /// usage are read again; a version that has come into use or was tagged since is spared and reported.
    ///
    /// With `-invoke`, Terraform reads only the resources that the action refers to, so the action does not know the
    /// versions of other resources. Refer to their versions in `keep_versions`, as in
    /// `[azimage_image_version.web.version]`, or use the resource instead.
    pub struct Model {
        /// The ID of the image definition.
        pub image_definition_id: String = id_of(required(), IMAGE_DEFINITION),
        /// Keeps the newest versions, up to this number, that were created successfully and are not excluded from latest.
        pub keep_latest: Option<i64> = retention::keep_latest(optional()),
        /// Keeps versions published within this time, such as `90d` or `720h`.
        pub keep_newer_than: Option<String> = retention::keep_newer_than(optional()),
        /// Keeps these versions, written exactly (`1.2.0`) or as constraints (`~> 1.2`).
        pub keep_versions: Option<Set<String>> = retention::keep_versions(optional()),
        /// Keeps versions that have one of these tags with its value.
        pub keep_tagged: Option<Tags> = optional(),
        /// Whether to keep versions that are in use: by virtual machines, models and instances of scale sets, disks, managed
        /// images or other versions. Defaults to `true`.
        pub keep_in_use: Option<bool> = optional(),
        /// The IDs of the subscriptions in which to look for usage. Defaults to all that the identity can read.
        pub usage_subscription_ids: Option<Set<String>> = retention::usage_subscription_ids(optional()),
        /// Whether versions may be deleted although the gallery is shared with other tenants or the community, whose usage
        /// cannot be seen. Defaults to `false`.
        pub ignore_users_outside_tenant: Option<bool> = optional(),
        /// Whether to list what would be deleted, and delete nothing. Defaults to `true`.
        pub dry_run: Option<bool> = optional(),
    }
}

impl Model {
    fn policy(&self) -> Policy {
        Policy::from(Arguments {
            keep_latest: self.keep_latest,
            keep_newer_than: self.keep_newer_than.as_deref(),
            keep_versions: self.keep_versions.as_deref().map_or(&[], Vec::as_slice),
            keep_tagged: self.keep_tagged.as_ref(),
            keep_in_use: self.keep_in_use,
            usage_subscription_ids: self.usage_subscription_ids.as_deref().map_or(&[], Vec::as_slice),
            ignore_users_outside_tenant: self.ignore_users_outside_tenant,
        })
    }
}

/// The action.
pub struct PruneVersions;

const DEFINITION: &str = "image_definition_id";

#[async_trait]
impl Action<Context> for PruneVersions {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_prune_versions"
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(2 * 3600)
    }

    fn validate(&self, config: &Value, found: &mut Diagnostics) {
        retention::require_rule(config, found);
    }

    /// Refuses to delete versions of the configuration, if this run knows them.
    async fn plan(&self, context: &Context, op: &Op, config: &Value, found: &mut Diagnostics) {
        if !config.is_wholly_known() || config.get("dry_run").as_bool() != Some(false) {
            return;
        }
        let model = Model::decode(config);
        let Ok(definition) = ResourceId::parse_as(&model.image_definition_id, IMAGE_DEFINITION) else {
            return;
        };
        let (scope, policy) =
            (scope(op, format!("reading the versions of {:?}", definition.name())), model.policy());
        // A version that cannot be read now may be created by the same run.
        let Ok(survey) = Survey::read(context, &scope, &definition, &policy, &BTreeMap::new()).await else {
            return;
        };
        let without = survey.decision_without_managed();
        let managed = managed(context, &definition);
        let both: Vec<&str> = without
            .prunable
            .iter()
            .map(String::as_str)
            .filter(|version| managed.contains(*version))
            .collect();
        if !both.is_empty() {
            found.error(
                Path::attribute("keep_versions"),
                "A version to delete is managed in this configuration",
                format!(
                    "{} would be deleted, and another resource of this configuration manages it. List it in keep_versions.",
                    both.join(", ")
                ),
            );
        }
    }

    async fn invoke(
        &self,
        context: &Context,
        op: &Op,
        progress: &Progress,
        config: Model,
    ) -> Result<(), Diagnostics> {
        let definition =
            ResourceId::parse_as(&config.image_definition_id, IMAGE_DEFINITION).map_err(|error| {
                Diagnostic::error("Invalid value for image_definition_id", error.to_string())
                    .at(Path::attribute(DEFINITION))
            })?;
        let scope = scope(op, format!("pruning the versions of {:?}", definition.name()));
        let failed = |error: &Error| {
            fault::diagnostic(error, scope.what(), &definition.to_string()).at(Path::attribute(DEFINITION))
        };
        let policy = config.policy();
        let survey = Survey::read(context, &scope, &definition, &policy, &BTreeMap::new())
            .await
            .map_err(|error| failed(&error))?;
        let going = survey.decision.prunable.clone();
        for (version, why) in &survey.decision.kept {
            progress.report(format!("keeping {version}: {why}"));
        }
        if going.is_empty() {
            progress.report("no version is to be deleted");
            return Ok(());
        }
        if config.dry_run != Some(false) {
            progress.report(format!("would delete {} (dry_run is true)", going.join(", ")));
            return Ok(());
        }
        if retention::has_soft_delete(context, &scope, &definition).await {
            progress.report("the gallery has soft delete: deleted versions cost as much as before until its recycle bin empties");
        }
        let pruned = survey.prune(going, &|line| progress.report(line)).await;
        progress.report(match pruned.deleted.len() {
            1 => "deleted 1 version".to_owned(),
            deleted => format!("deleted {deleted} versions"),
        });
        for version in &pruned.gone {
            progress.report(format!("{version} was deleted by somebody else"));
        }
        for (version, why) in &pruned.spared {
            progress.report(format!("spared {version}: {why}"));
        }
        if !pruned.blocked.is_empty() {
            op.warn(
                Diagnostic::warning(
                    format!("Some versions of {:?} could not be deleted", definition.name()),
                    format!(
                        "They stay. Remove the cause and run the action again.\n{}",
                        lines(&pruned.blocked)
                    ),
                )
                .at(Path::attribute(DEFINITION)),
            );
        }
        match pruned.interrupted {
            Some(error) => Err(failed(&error).into()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::arm::Method;
    use crate::azure::run_log::Event;
    use crate::azure::testing::{FakeArm, op};

    const DEFINITION_ID: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/resourceGroups/rg/providers/Microsoft.Compute/galleries/gal/images/web";

    fn service(versions: &[&str]) -> std::sync::Arc<FakeArm> {
        let arm = FakeArm::new();
        let body = |name: &str| json!({"name": name, "properties": {"provisioningState": "Succeeded"}});
        arm.get(
            &format!("{DEFINITION_ID}/versions"),
            json!({"value": versions.iter().map(|name| body(name)).collect::<Vec<_>>()}),
        );
        for name in versions {
            arm.get(&format!("{DEFINITION_ID}/versions/{name}"), body(name));
            arm.on(Method::Delete, &format!("{DEFINITION_ID}/versions/{name}"), 204, Json::Null);
        }
        arm
    }

    fn config(dry_run: Option<bool>) -> Model {
        Model {
            image_definition_id: DEFINITION_ID.to_owned(),
            keep_latest: Some(1),
            keep_in_use: Some(false),
            dry_run,
            ..Model::default()
        }
    }

    async fn invoked(arm: &std::sync::Arc<FakeArm>, dry_run: Option<bool>) -> (Vec<String>, String) {
        let (progress, mut reports) = Progress::channel();
        PruneVersions.invoke(&arm.context(), &op(), &progress, config(dry_run)).await.unwrap();
        let mut lines = Vec::new();
        while let Ok(line) = reports.try_recv() {
            lines.push(line);
        }
        let deleted = arm
            .calls()
            .into_iter()
            .filter_map(|call| Some(call.strip_prefix("DELETE ")?.rsplit_once('/')?.1.to_owned()));
        (deleted.collect(), lines.join("\n"))
    }

    #[tokio::test]
    async fn deletes_only_if_configured() {
        for dry_run in [None, Some(true)] {
            let (deleted, progress) = invoked(&service(&["1.0.0", "1.1.0", "1.2.0"]), dry_run).await;
            assert!(deleted.is_empty());
            assert!(
                progress.contains("would delete 1.0.0, 1.1.0")
                    && progress.contains("keeping 1.2.0: the latest version"),
                "{progress}"
            );
        }
        let (mut deleted, progress) = invoked(&service(&["1.0.0", "1.1.0", "1.2.0"]), Some(false)).await;
        deleted.sort();
        assert_eq!(deleted, ["1.0.0", "1.1.0"]);
        assert!(progress.contains("deleted 2 versions"), "{progress}");
        let (deleted, progress) = invoked(&service(&["1.2.0"]), Some(false)).await;
        assert!(deleted.is_empty() && progress.contains("no version is to be deleted"), "{progress}");
    }

    #[tokio::test]
    async fn refuses_to_delete_versions_of_the_configuration() {
        let arm = service(&["1.0.0", "1.1.0"]);
        let context = arm.context();
        context.run.record(&format!("{DEFINITION_ID}/versions/1.0.0"), Event::Read);
        for (dry_run, refused) in [(Some(false), true), (Some(true), false), (None, false)] {
            let mut found = Diagnostics::new();
            PruneVersions.plan(&context, &op(), &config(dry_run).encode(), &mut found).await;
            assert_eq!(found.has_errors(), refused, "{found:?}");
        }
    }

    #[test]
    fn requires_a_rule() {
        let mut found = Diagnostics::new();
        let none = Model { keep_latest: None, keep_in_use: None, ..config(None) };
        PruneVersions.validate(&none.encode(), &mut found);
        assert!(found.has_errors());
    }
}
