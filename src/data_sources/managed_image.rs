//! The data source `azimage_managed_image`: one managed image, by name or by a regular expression.

use async_trait::async_trait;

use super::finding::{absent, argument, check_regex, names, some};
use super::managed::{Group, Image, matching, usable};
use crate::arm::Target;
use crate::azure::attributes::{self, check_image_name};
use crate::azure::context::scope;
use crate::azure::objects::managed_image::{self, DataDisk, OsDisk};
use crate::azure::tags::Tags;
use crate::azure::{Context, fault};
use crate::framework::timeouts::ReadTimeouts;
use crate::framework::{DataSource, Op};
use crate::model;
use crate::schema::spec::{block, computed, optional, optional_computed};
use crate::schema::{Diagnostic, Diagnostics, Path, Set, Value};

model! {
    /// Finds one managed image, by `name` or by `name_regex`.
    pub struct Model {
        /// The name of the image.
        pub name: Option<String> = optional_computed().check_text(check_image_name),
        /// A regular expression that the name of the image must match somewhere, instead of `name`.
        pub name_regex: Option<String> = optional().check_text(check_regex),
        /// Whether to select the image with the greatest name if several `Succeeded` images match. Numbers in names are
        /// compared as numbers (`web-10` is greater than `web-9`). Defaults to `false`: several matches are an error.
        pub newest: Option<bool> = optional(),
        /// The resource group that the image is in.
        pub resource_group_name: String = argument(attributes::resource_group_name()),
        /// The ID of the subscription of the image. Defaults to the provider's.
        pub subscription_id: Option<String> = argument(attributes::subscription_id()),
        /// Tags that the image must have, with these values. Without it, the result is all tags of the image.
        pub tags: Option<Tags> = optional_computed(),
        /// All tags of the image.
        pub tags_all: Tags = computed(),
        /// The ARM ID of the image.
        pub id: Option<String> = computed(),
        /// The region that the image is in.
        pub location: Option<String> = computed(),
        /// The generation of the virtual machines that the image is for, `V1` or `V2`.
        pub hyper_v_generation: Option<String> = computed(),
        /// Whether the image is stored in several zones of its region.
        pub zone_resilient: bool = computed(),
        /// The state of the last operation on the image. `Succeeded` when the image is healthy.
        pub provisioning_state: Option<String> = computed(),
        /// The ID of the virtual machine that the image was captured from. Null if it was made from disks.
        pub source_virtual_machine_id: Option<String> = computed(),
        /// The operating system disk of the image.
        pub os_disk: Option<OsDisk> = computed(),
        /// The data disks of the image.
        pub data_disk: Set<DataDisk> = computed(),
        /// How long reading may take.
        pub timeouts: Option<ReadTimeouts> = block(),
    }
}

/// The data source.
pub struct ManagedImage;

#[async_trait]
impl DataSource<Context> for ManagedImage {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_managed_image"
    }

    fn validate(&self, config: &Value, found: &mut Diagnostics) {
        let (name, regex) = (config.get("name"), config.get("name_regex"));
        if name.is_null() && regex.is_null() {
            found.error(Path::attribute("name"), "No image is named", "Set name or name_regex.");
        } else if name.is_known() && regex.is_known() {
            found.error(
                Path::attribute("name_regex"),
                "name_regex cannot be used with name",
                "Both select the image: remove one of them.",
            );
        }
    }

    async fn read(&self, context: &Context, op: &Op, config: Model) -> Result<Model, Diagnostics> {
        let subscription = context.subscription(config.subscription_id.as_deref())?.to_owned();
        let group = Group { subscription: &subscription, name: &config.resource_group_name };
        let image = match &config.name {
            Some(name) => by_name(context, op, &group, name).await?,
            None => by_regex(context, op, &group, &config).await?,
        };
        if !super::finding::has_tags(&image.tags, config.tags.as_ref()) {
            let what = format!("Managed image {:?} does not have the required tags", image.name);
            let have = image
                .tags
                .iter()
                .map(|(name, value)| format!("{name} = {value:?}"))
                .collect::<Vec<_>>()
                .join(", ");
            return Err(Diagnostic::error(what, format!("Its tags are {{{have}}}."))
                .at(Path::attribute("tags"))
                .into());
        }
        Ok(flatten(config, subscription, image))
    }
}

async fn by_name(context: &Context, op: &Op, group: &Group<'_>, name: &str) -> Result<Image, Diagnostic> {
    let scope = scope(op, format!("reading managed image {name:?}"));
    let id = group.image(name).to_string();
    let found = context.client.get_opt(&scope, &Target::at(id.as_str())).await;
    match found.map_err(|error| fault::diagnostic(&error, scope.what(), &id))? {
        Some(found) => Ok(group.flatten(managed_image::ManagedImage::read(&found))),
        None => {
            let what = format!("There is no managed image {name:?} in resource group {:?}", group.name);
            let names = names(context, &scope, &group.images()).await;
            let among = format!("Resource group {:?} of subscription {}", group.name, group.subscription);
            Err(absent(what, Path::attribute("name"), name, &names, &among))
        }
    }
}

async fn by_regex(
    context: &Context,
    op: &Op,
    group: &Group<'_>,
    config: &Model,
) -> Result<Image, Diagnostic> {
    let regex = config.name_regex.as_deref().unwrap_or_default();
    let scope = scope(op, format!("listing managed images of resource group {:?}", group.name));
    let images = group.list(context, &scope).await?;
    let names: Vec<String> = images.iter().map(|image| image.name.clone()).collect();
    let mut found = matching(images, Some(regex), config.tags.as_ref())?;
    let path = Path::attribute("name_regex");
    if found.is_empty() {
        let what = format!("No managed image in resource group {:?} matches", group.name);
        let mut detail = format!("The name must match {regex:?}");
        if config.tags.as_ref().is_some_and(|tags| !tags.is_empty()) {
            detail.push_str(", and the image must have the tags");
        }
        let there = if names.is_empty() {
            "There are none.".to_owned()
        } else {
            format!("There are: {}.", some(&names))
        };
        return Err(Diagnostic::error(what, format!("{detail}. {there}")).at(path));
    }
    if config.newest == Some(true) {
        let skipped;
        (found, skipped) = usable(found);
        if found.is_empty() {
            return Err(Diagnostic::error(
                format!("No managed image that matches {regex:?} is ready"),
                format!(
                    "newest = true takes only images that are Succeeded; passed over: {}. Read again once one of them \
                     is, or name the image that is meant.",
                    some(&skipped)
                ),
            )
            .at(path));
        }
    } else if found.len() > 1 {
        let matching: Vec<String> = found.iter().map(|image| image.name.clone()).collect();
        return Err(Diagnostic::error(
            format!("{} managed images match {regex:?}", found.len()),
            format!("They are: {}. Make name_regex stricter, or set newest = true.", some(&matching)),
        )
        .at(path));
    }
    Ok(found.swap_remove(0))
}

fn flatten(config: Model, subscription: String, image: Image) -> Model {
    Model {
        name: config.name.or(Some(image.name)),
        subscription_id: config.subscription_id.or(Some(subscription)),
        tags: config.tags.or_else(|| Some(image.tags.clone())),
        tags_all: image.tags,
        id: image.id,
        location: image.location,
        hyper_v_generation: image.hyper_v_generation,
        zone_resilient: image.zone_resilient,
        provisioning_state: image.provisioning_state,
        source_virtual_machine_id: image.source_virtual_machine_id,
        os_disk: image.os_disk,
        data_disk: image.data_disk,
        name_regex: config.name_regex,
        newest: config.newest,
        resource_group_name: config.resource_group_name,
        timeouts: config.timeouts,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value as Json, json};

    use super::*;
    use crate::azure::testing::{FakeArm, SUBSCRIPTION, op};
    use crate::schema::Slot;

    const IMAGES: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/resourceGroups/rg/providers/Microsoft.Compute/images";

    fn image(name: &str, stage: &str) -> Json {
        json!({
            "name": name, "id": format!("{IMAGES}/{name}").to_uppercase(), "location": "westeurope", "tags": {"stage": stage},
            "properties": {
                "hyperVGeneration": "V2", "provisioningState": "Succeeded",
                "sourceVirtualMachine": {"id": "/vm"},
                "storageProfile": {
                    "osDisk": {"osType": "Linux", "osState": "Generalized", "diskSizeGB": 30, "managedDisk": {"id": "/disk"}},
                    "dataDisks": [{"lun": 0, "diskSizeGB": 64}],
                },
            },
        })
    }

    fn service() -> Arc<FakeArm> {
        let arm = FakeArm::new();
        arm.get(
            IMAGES,
            json!({"value": [image("web-10", "rc"), image("web-9", "ga"), image("db-11", "ga")]}),
        )
        .get(&format!("{IMAGES}/web-9"), image("web-9", "ga"));
        arm
    }

    fn config(name: Option<&str>, regex: Option<&str>, newest: bool) -> Model {
        Model {
            name: name.map(str::to_owned),
            name_regex: regex.map(str::to_owned),
            newest: newest.then_some(true),
            resource_group_name: "rg".to_owned(),
            ..Model::default()
        }
    }

    fn stage(stage: &str, config: Model) -> Model {
        Model { tags: Some([("stage".to_owned(), stage.to_owned())].into()), ..config }
    }

    #[tokio::test]
    async fn finds_by_name_and_by_pattern() {
        let context = service().context();
        for (config, name) in [
            (config(Some("web-9"), None, false), "web-9"),
            (config(None, Some("^web-"), true), "web-10"),
            (config(None, Some("^db"), false), "db-11"),
            (stage("ga", config(None, Some("^web-"), false)), "web-9"),
        ] {
            let got = ManagedImage.read(&context, &op(), config).await.unwrap();
            assert_eq!(got.name.as_deref(), Some(name));
            assert_eq!(got.id, Some(format!("{IMAGES}/{name}")));
            assert_eq!(got.subscription_id.as_deref(), Some(SUBSCRIPTION));
            assert_eq!(got.os_disk.unwrap().size_gb, Some(30));
            assert_eq!((got.data_disk.len(), got.source_virtual_machine_id.as_deref()), (1, Some("/vm")));
        }
    }

    #[tokio::test]
    async fn newest_ignores_images_that_are_not_ready() {
        let with = |name: &str, state: Option<&str>| {
            let mut image = image(name, "ga");
            image["properties"]["provisioningState"] = json!(state);
            image
        };
        let failed = with("web-12", Some("Failed"));
        let creating = with("web-11", Some("Creating"));
        for (older, newest) in [
            (Some(with("web-10", Some("Succeeded"))), Ok("web-10")),
            (Some(with("web-9", None)), Ok("web-9")),
            (None, Err("web-12 (Failed), web-11 (Creating)")),
        ] {
            let arm = FakeArm::new();
            let images: Vec<Json> =
                [Some(failed.clone()), Some(creating.clone()), older].into_iter().flatten().collect();
            arm.get(IMAGES, json!({"value": images}));
            let got = ManagedImage.read(&arm.context(), &op(), config(None, Some("^web-"), true)).await;
            match newest {
                Ok(name) => assert_eq!(got.unwrap().name.as_deref(), Some(name)),
                Err(text) => {
                    let message = got.unwrap_err().0;
                    assert_eq!(message[0].path, Path::attribute("name_regex"));
                    assert!(message[0].to_string().contains(text), "{}", message[0]);
                }
            }
        }
    }

    #[tokio::test]
    async fn errors_explain_missing_and_ambiguous_matches() {
        let context = service().context();
        for (config, path, text) in [
            (config(Some("web_9"), None, false), "name", "\"web-9\""),
            (config(None, Some("^web-"), false), "name_regex", "newest = true"),
            (config(None, Some("^app"), false), "name_regex", "web-10, web-9, db-11"),
            (stage("rc", config(Some("web-9"), None, false)), "tags", "stage = \"ga\""),
        ] {
            let message = ManagedImage.read(&context, &op(), config).await.unwrap_err().0;
            assert_eq!(message[0].path, Path::attribute(path), "{}", message[0]);
            assert!(message[0].to_string().contains(text), "{}", message[0]);
        }
    }

    #[test]
    fn requires_exactly_one_of_name_and_name_regex() {
        for (name, regex, wrong) in [
            (Value::Null, Value::Null, Some("name")),
            ("a".into(), "b".into(), Some("name_regex")),
            (Value::Unknown, "b".into(), None),
            ("a".into(), Value::Null, None),
        ] {
            let mut given = config(None, None, false).encode();
            given.set("name", name);
            given.set("name_regex", regex);
            let mut found = Diagnostics::new();
            ManagedImage.validate(&given, &mut found);
            assert_eq!(found.0.first().map(|message| message.path.to_string()).as_deref(), wrong);
        }
    }
}
