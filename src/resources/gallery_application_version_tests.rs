//! When a plan renews the tokens of the links.

use super::*;
use crate::azure::objects::application_version::{ManageAction, Source};

#[test]
fn renews_a_token_only_with_another_change() {
    let model = |token: &str, tags: &str, policy: &str| Model {
        name: "1.0.0".to_owned(),
        deletion_policy: Some(policy.to_owned()),
        source: Some(Source {
            media_link: format!("https://a/x.zip?sig={token}"),
            default_configuration_link: None,
        }),
        manage_action: Some(ManageAction::default()),
        tags: Some([("a".to_owned(), tags.to_owned())].into()),
        ..Model::default()
    };
    let prior = model("old", "b", "delete").encode();
    for (config, renewed) in [
        (model("new", "b", "delete"), false),
        (model("new", "b", "retain"), false),
        (model("new", "c", "delete"), true),
    ] {
        let config = config.encode();
        let mut planned = config.clone();
        // as the framework plans it: in the prior spelling
        planned.set("source", prior.get("source").clone());
        let mut draft = Draft::new(&config, &prior, planned);
        renew_tokens(&mut draft);
        let expected = if renewed { &config } else { &prior };
        assert_eq!(draft.planned.get("source"), expected.get("source"), "{config:?}");
    }
}
