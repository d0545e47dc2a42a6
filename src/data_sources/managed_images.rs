//! The data source `azimage_managed_images`: the managed images of a resource group.

use async_trait::async_trait;

use super::finding::{argument, check_regex};
use super::managed::{Group, Image, matching, usable};
use crate::azure::Context;
use crate::azure::attributes;
use crate::azure::context::scope;
use crate::azure::tags::Tags;
use crate::framework::timeouts::ReadTimeouts;
use crate::framework::{DataSource, Op};
use crate::model;
use crate::schema::Diagnostics;
use crate::schema::spec::{block, computed, optional};

model! {
    /// Lists the managed images of a resource group, greatest name first. Numbers in names are compared as numbers (`web-10`
    /// is before `web-9`). An empty list is not an error.
    pub struct Model {
        /// The resource group that the images are in.
        pub resource_group_name: String = argument(attributes::resource_group_name()),
        /// The ID of the subscription of the images. Defaults to the provider's.
        pub subscription_id: Option<String> = argument(attributes::subscription_id()),
        /// The name of the only image to list.
        pub name: Option<String> = optional(),
        /// A regular expression that the names must match somewhere.
        pub name_regex: Option<String> = optional().check_text(check_regex),
        /// Tags that the images must have, with these values.
        pub tags: Option<Tags> = optional(),
        /// Whether to list only the first matching image that is `Succeeded`. Defaults to `false`.
        pub newest: Option<bool> = optional(),
        /// The images, greatest name first.
        pub images: Vec<Image> = computed(),
        /// How long reading may take.
        pub timeouts: Option<ReadTimeouts> = block(),
    }
}

/// The data source.
pub struct ManagedImages;

#[async_trait]
impl DataSource<Context> for ManagedImages {
    type Model = Model;

    fn type_name(&self) -> &'static str {
        "azimage_managed_images"
    }

    async fn read(&self, context: &Context, op: &Op, config: Model) -> Result<Model, Diagnostics> {
        let subscription = context.subscription(config.subscription_id.as_deref())?.to_owned();
        let group = Group { subscription: &subscription, name: &config.resource_group_name };
        let scope = scope(op, format!("listing managed images of resource group {:?}", group.name));
        let listed = group.list(context, &scope).await?;
        let mut images = matching(listed, config.name_regex.as_deref(), config.tags.as_ref())?;
        images.retain(|image| config.name.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(&image.name)));
        if config.newest == Some(true) {
            (images, _) = usable(images);
            images.truncate(1);
        }
        Ok(Model { images, subscription_id: Some(subscription), ..config })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::azure::testing::{FakeArm, op};

    const IMAGES: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/resourceGroups/rg/providers/Microsoft.Compute/images";

    #[tokio::test]
    async fn lists_matching_images_and_an_empty_list_if_there_are_none() {
        let arm = FakeArm::new();
        arm.get(
            IMAGES,
            json!({"value": [
                {"name": "web-9", "tags": {"a": "b"}}, {"name": "web-10"}, {"name": "db"},
                {"name": "app-2", "properties": {"provisioningState": "Creating"}},
                {"name": "app-1", "properties": {"provisioningState": "Succeeded"}},
            ]}),
        );
        let context = arm.context();
        let tag: Tags = [("a".to_owned(), "b".to_owned())].into();
        type Row<'a> = (&'a str, Option<&'a str>, Option<Tags>, bool, &'a [&'a str]);
        let rows: &[Row<'_>] = &[
            ("rg", None, None, false, &["web-10", "web-9", "db", "app-2", "app-1"]),
            ("rg", Some("app"), None, true, &["app-1"]),
            ("rg", Some("app-2"), None, true, &[]),
            ("rg", Some("web"), None, false, &["web-10", "web-9"]),
            ("rg", Some("web"), None, true, &["web-10"]),
            ("rg", None, Some(tag), false, &["web-9"]),
            ("rg", Some("none"), None, true, &[]),
            ("other", None, None, false, &[]),
        ];
        for (group, regex, tags, newest, names) in rows {
            let config = Model {
                resource_group_name: group.to_string(),
                name_regex: regex.map(str::to_owned),
                tags: tags.clone(),
                newest: Some(*newest),
                ..Model::default()
            };
            let got = ManagedImages.read(&context, &op(), config).await.unwrap();
            assert_eq!(got.images.iter().map(|image| image.name.as_str()).collect::<Vec<_>>(), *names);
        }
    }
}
