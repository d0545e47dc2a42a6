//! The pipeline with a fake Resource Manager: its requests, its waits, and its results.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::arm::{Error, Method, Operation, ResourceId, Target};
use crate::azure::testing::{FakeArm, op};
use crate::azure::{Context, fault};
use crate::framework::{Op, Private};

const ID: &str = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/galleries/g";
const OPERATION: &str = "/subscriptions/s/providers/Microsoft.Compute/locations/eastus/operations/1";

fn object(state: &str) -> Json {
    json!({"id": ID, "name": "g", "location": "eastus", "tags": {}, "properties": {"provisioningState": state}})
}

// A service that accepts a PUT and whose operation returns `status` and `body`.
fn accepting(status: u16, body: Json) -> Arc<FakeArm> {
    let arm = FakeArm::new();
    let url = format!("https://management.azure.com{OPERATION}?api-version=1");
    arm.on_with(Method::Put, ID, 201, &[("azure-asyncoperation", &url)], object("Creating"));
    arm.on(Method::Get, OPERATION, status, body);
    arm
}

fn task<'a>(context: &'a Context, op: &'a Op) -> Task<'a> {
    let id = ResourceId::parse(ID).unwrap();
    Task::new(context, op, "creating gallery \"g\"", id, fault::diagnostic)
}

fn target() -> Target {
    Target::new(ID, "2026-03-03")
}

async fn put(task: &Task<'_>, private: &mut Private, until: WaitUntil) -> Result<Ended, NotBegunError> {
    let mut write = Write::new(task, target(), target(), private);
    let begun = write.begin(&Change::Put(json!({"location": "eastus"})), None).await;
    match begun {
        Ok(body) => Ok(write.wait(&until, body).await),
        Err(lost) => Err((lost.error, lost.may_exist)),
    }
}

type NotBegunError = (Error, bool);

fn stored(private: &Private) -> bool {
    private.get::<Operation>("operation").is_some()
}

#[tokio::test(start_paused = true)]
async fn reads_the_object_if_the_operation_url_returns_nothing_useful() {
    let rows = [
        (410, json!({"error": {"code": "Gone", "message": "too old"}})),
        (400, json!({"error": {"code": "InvalidParameter", "message": "?"}})),
        (403, json!({"error": {"code": "AuthorizationFailed", "message": "?"}})),
        (404, json!({"error": {"code": "NotFound", "message": "?"}})),
    ];
    for (status, body) in rows {
        let arm = accepting(status, body);
        arm.get(ID, object("Succeeded")).next(3, Method::Get, ID, 200, object("Creating"));
        let (context, op, mut private) = (arm.context(), op(), Private::default());
        let ended = put(&task(&context, &op), &mut private, WaitUntil::Final).await.unwrap();
        assert!(matches!(ended.outcome, Outcome::Done), "{status}: {:?}", ended.outcome);
        assert_eq!(ended.body, object("Succeeded"));
        assert!(!stored(&private), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn stores_the_operation_until_the_object_is_final() {
    let arm = accepting(200, json!({"status": "InProgress"}));
    arm.get(ID, object("Creating"));
    let (context, op, mut private) = (arm.context(), op(), Private::default());
    put(&task(&context, &op), &mut private, WaitUntil::Accepted).await.unwrap();
    assert!(stored(&private), "the object is in flight");
    arm.get(ID, object("Succeeded")).forget();
    let task = task(&context, &op);
    let mut write = Write::new(&task, target(), target(), &mut private);
    assert_eq!(write.look().await.unwrap(), Some(object("Succeeded")));
    assert!(!stored(&private), "the object is final, whatever its operation says");
    assert_eq!(arm.calls(), [format!("GET {ID}")], "the operation's URL is not asked");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_failed_is_an_error_although_its_operation_succeeded() {
    for state in ["Failed", "failed", "Canceled"] {
        let arm = accepting(200, json!({"status": "Succeeded"}));
        arm.get(ID, object(state));
        let (context, op, mut private) = (arm.context(), op(), Private::default());
        for until in [WaitUntil::Final, WaitUntil::Accepted] {
            let ended = put(&task(&context, &op), &mut private, until).await.unwrap();
            let Outcome::Failed(message) = ended.outcome else { panic!("{state}: {:?}", ended.outcome) };
            assert!(message.detail.contains(state), "{message}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_never_appears_is_an_error() {
    let arm = accepting(200, json!({"status": "Succeeded"}));
    let context = arm.context();
    let (op, mut private) =
        (Op::new(Duration::from_secs(1800), CancellationToken::new()), Private::default());
    let ended = put(&task(&context, &op), &mut private, WaitUntil::Final).await.unwrap();
    let Outcome::Failed(message) = ended.outcome else { panic!("{:?}", ended.outcome) };
    assert!(message.detail.contains("5 minutes"), "{message}");
    assert_eq!(ended.body["properties"]["provisioningState"], "Creating");
}

#[tokio::test(start_paused = true)]
async fn reports_the_first_error_if_a_wait_ends_early() {
    let arm = accepting(200, json!({"status": "InProgress"}));
    arm.is_silent_at(ID);
    let context = arm.context();
    let op = Op::new(Duration::from_secs(60), CancellationToken::new());
    let mut private = Private::default();
    arm.next(1, Method::Put, ID, 201, object("Creating"));
    let stop = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        op.stop.cancel();
    };
    let task = task(&context, &op);
    let mut write = Write::new(&task, target(), target(), &mut private);
    let (ended, ()) = tokio::join!(write.wait(&WaitUntil::Final, object("Creating")), stop);
    let Outcome::Unfinished(error) = ended.outcome else { panic!("{:?}", ended.outcome) };
    assert!(error.is_stopped(), "not the deadline of the last read: {error}");
}

#[tokio::test(start_paused = true)]
async fn reads_the_object_after_a_write_with_an_html_response() {
    for status in [301, 400, 403, 503] {
        let arm = FakeArm::new();
        arm.on(Method::Put, ID, status, json!("<html>blocked</html>"));
        let (context, mut private) = (arm.context(), Private::default());
        let op = op();
        let task = task(&context, &op);
        let (_, may_exist) = put(&task, &mut private, WaitUntil::Final).await.unwrap_err();
        assert!(!may_exist, "{status}: the object can be read, and is not there");
        arm.get(ID, object("Succeeded"));
        let ended = put(&task, &mut private, WaitUntil::Final).await.unwrap();
        assert_eq!(ended.body, object("Succeeded"), "{status}: it was carried out");
        arm.on(Method::Get, ID, 403, json!({"error": {"code": "AuthorizationFailed", "message": "?"}}));
        let (error, may_exist) = put(&task, &mut private, WaitUntil::Final).await.unwrap_err();
        assert!(may_exist && error.status == Some(status), "{status}: {error}");
    }
}
