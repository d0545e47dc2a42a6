//! Making a version, seen by what goes on beside it.

use std::time::Duration;

use super::*;
use crate::azure::testing::{FakeArm, SUBSCRIPTION, op};

#[tokio::test(start_paused = true)]
async fn a_version_is_this_runs_own_before_the_service_can_show_it() {
    let definition = format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Compute/galleries/g/images/i"
    );
    let plan = Model {
        version: "1.1.0".to_owned(),
        image_definition_id: definition,
        location: Some("eastus".to_owned()),
        wait_for_replication: Some("none".to_owned()),
        ..Model::default()
    };
    let arm = FakeArm::new();
    arm.takes(Duration::from_secs(2));
    let (context, op, mut private) = (arm.context(), op(), Private::default());
    let id = id_of(&plan).unwrap();
    let watch = async {
        while !arm.calls().iter().any(|call| call.starts_with("PUT ")) {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert!(context.has_published(&id), "the write is under way");
    };
    let (made, ()) = tokio::join!(create(&context, &op, plan, &mut private), watch);
    assert!(made.is_err(), "nobody answers the write");
}
