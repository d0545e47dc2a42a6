//! Pins of Marketplace images.

use crate::cases;
use crate::core::{Action, Core, json};
use azimage::schema::Value;

// A pin moves when its keepers change, and the plan shows the old and the new version.
#[tokio::test(start_paused = true)]
async fn pin_moves_only_when_keepers_change() {
    const PIN: &str = "azimage_marketplace_pin";
    let core = Core::new().await;
    let newer = cases::URN.replace("3374.2.5", "4081.2.1");
    let at =
        |urn: &str, keeper: &str| json!({"location": "eastus", "urn": urn, "keepers": {"build": keeper}});
    let held = core.create(PIN, &at(cases::URN, "1")).await;
    assert_eq!(core.plan(PIN, Some(&held), &at(&newer, "1")).await.action, Action::NoOp);
    let plan = core.plan(PIN, Some(&held), &at(&newer, "2")).await;
    assert_eq!(plan.action, Action::Update);
    assert_eq!(plan.state.get("urn").as_str(), Some(newer.as_str()));
    assert_eq!(plan.state.get("version").as_str(), Some("4081.2.1"));
    let moved = core.change(&held, &at(&newer, "2"), Action::Update).await;
    assert_eq!(moved.text("id"), held.text("id"), "the identity stays");
    // a withdrawn version causes a warning and is kept
    let withdraw = json!({"publisher": "kinvolk", "offer": "flatcar-container-linux-free", "sku": "stable-gen2", "version": "4081.2.1"});
    core.control("POST", "marketplace/withdraw", withdraw);
    let next = core.new_run(json!({})).await;
    let (read, diagnostics) = next.read(&moved).await.unwrap();
    diagnostics.assert_warning(&["withdrawn", "4081.2.1"]);
    let read = read.unwrap();
    assert_eq!(read.get("withdrawn"), &Value::Bool(true));
    assert_eq!(next.plan(PIN, Some(&read), &at(&newer, "2")).await.action, Action::NoOp);
}
