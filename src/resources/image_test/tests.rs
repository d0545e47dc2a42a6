//! Tests of a session against a fake service, for behaviour that the emulator lacks: an agent that never becomes ready.

use serde_json::json;

use super::*;
use crate::arm::Method;
use crate::azure::testing::{FakeArm, SUBSCRIPTION};
use crate::framework::Private;

const RUN: &str = "0123456789ab";

fn plan() -> Model {
    let group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers");
    Model {
        image_version_id: format!("{group}/Microsoft.Compute/galleries/g/images/web/versions/1.0.0"),
        resource_group_name: "rg".to_owned(),
        subnet_id: format!("{group}/Microsoft.Network/virtualNetworks/net/subnets/tests"),
        location: Some("eastus".to_owned()),
        vm_size: Some("Standard_D2s_v5".to_owned()),
        ..Model::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_whose_agent_is_never_ready_fails_with_the_serial_log() {
    let arm = FakeArm::new();
    let plan = plan();
    let machine = model::machine_id(&plan, RUN).unwrap().to_string();
    arm.get(&plan.image_version_id, json!({"name": "1.0.0", "location": "eastus", "properties": {}}));
    let definition = plan.image_version_id.split_once("/versions/").unwrap().0;
    arm.get(definition, json!({"properties": {"osType": "Linux", "hyperVGeneration": "V2"}}));
    for kind in [
        "Microsoft.Compute/virtualMachines",
        "Microsoft.Compute/disks",
        "Microsoft.Network/networkInterfaces",
    ] {
        let list = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/{kind}");
        arm.get(&list, json!({"value": []}));
    }
    let statuses = json!([{"displayStatus": "Not Ready"}]);
    let running = json!({"tags": {"azimage-test": "g/web/1.0.0"}, "properties": {"instanceView": {
        "statuses": [{"code": "PowerState/running"}], "vmAgent": {"statuses": statuses}}}});
    arm.get(&machine, running);
    arm.on(Method::Put, &machine, 201, json!({"id": machine}));
    arm.on(Method::Delete, &machine, 204, json!(null));
    let log = "https://md-1.blob.storage.azure.net/container/vm.serialconsole.log";
    arm.on(
        Method::Post,
        &format!("{machine}/retrieveBootDiagnosticsData"),
        200,
        json!({"serialConsoleLogBlobUri": format!("{log}?sig=secret")}),
    );
    arm.get("/container/vm.serialconsole.log", json!("Kernel panic - not syncing"));
    arm.next(2, Method::Get, "/container/vm.serialconsole.log", 404, json!(null));
    let op = Op::new(std::time::Duration::from_secs(3600), Default::default());
    let failed = run_test(&arm.context(), &op, plan, &mut Private::default(), RUN).await.unwrap_err();
    let told = failed.diagnostics.0[0].to_string();
    assert!(told.contains("agent was not ready within 20 minutes"), "{told}");
    assert!(told.contains("Kernel panic") && !told.contains("secret"), "{told}");
    assert_eq!(failed.state.unwrap().result.as_deref(), Some("failed"));
    assert!(arm.calls().contains(&format!("DELETE {machine}")));
}
