//! Galleries that change while they are read, and the bodies of their requests.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::*;
use crate::arm::Method;
use crate::azure::testing::{FakeArm, SUBSCRIPTION, op};
use crate::framework::{Call, Operations, Private};

fn path(name: &str) -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Compute/galleries{name}")
}

fn gallery(name: &str, permission: &str) -> Json {
    json!({"name": name, "location": "westeurope", "properties": {
        "provisioningState": "Succeeded", "sharingProfile": {"permissions": permission},
    }})
}

/// Two galleries, listed; `b` is shared with one subscription.
fn service() -> Arc<FakeArm> {
    let arm = FakeArm::new();
    let mut with_groups = gallery("b", "Groups");
    with_groups["properties"]["sharingProfile"]["groups"] =
        json!([{"type": "Subscriptions", "ids": [SUBSCRIPTION]}]);
    arm.get(&path(""), json!({"value": [gallery("a", "Private"), gallery("b", "Groups")]}))
        .get(&path("/a"), gallery("a", "Private"))
        .get(&path("/b"), gallery("b", "Groups"))
        .get(&path("/b?$select=Permissions"), with_groups);
    arm
}

fn gone() -> Json {
    json!({"error": {"code": "ResourceNotFound", "message": "gone"}})
}

fn stub_of(name: &str) -> Model {
    stub(&ResourceId::new(GALLERY, SUBSCRIPTION, "rg", &[name]))
}

async fn read(context: &Context, state: Model) -> Result<Option<Model>, Diagnostics> {
    Gallery.read(Call::new(context, &op(), &mut Private::default()), state).await
}

#[tokio::test(start_paused = true)]
async fn reads_of_changed_galleries_use_their_own_requests() {
    type Change = fn(&FakeArm);
    let rows: [(&str, Change, Option<&str>); 4] = [
        ("nothing", |_| (), Some("Groups")),
        ("deleted", |arm| _ = arm.on(Method::Get, &path("/b"), 404, gone()), None),
        (
            "deleted between the GET and its groups",
            |arm| _ = arm.on(Method::Get, &path("/b?$select=Permissions"), 404, gone()),
            None,
        ),
        (
            "unshared",
            |arm| {
                arm.on(
                    Method::Get,
                    &path("/b?$select=Permissions"),
                    400,
                    json!({"error": {"code": "NotShared"}}),
                )
                .next(9, Method::Get, &path("/b"), 200, gallery("b", "Private"));
            },
            Some("Private"),
        ),
    ];
    for (what, change, permission) in rows {
        let arm = service();
        let context = arm.context();
        let known = read(&arm.context(), stub_of("b")).await.unwrap().unwrap();
        read(&context, stub_of("a")).await.unwrap();
        change(&arm);
        arm.forget();
        let found = read(&context, known).await.unwrap();
        let message = found.map(|found| found.sharing.unwrap().permission);
        assert_eq!(message.as_deref(), permission, "{what}");
        assert_eq!(arm.calls()[0], format!("GET {}", path("")), "{what}: it was listed");
    }
}
