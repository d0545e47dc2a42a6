//! Accepting, reading and canceling agreements, in each state of the service.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::arm::Method;
use crate::azure::testing::{FakeArm, SUBSCRIPTION, op};
use crate::framework::MoveSource;

const CURRENT: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/providers/Microsoft.MarketplaceOrdering/offerTypes/virtualmachine/publishers/acmefw/offers/acme-firewall/plans/payg/agreements/current";
const ID: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/providers/Microsoft.MarketplaceOrdering/agreements/acmefw/offers/acme-firewall/plans/payg";

fn terms(accepted: bool) -> Json {
    json!({
        "id": CURRENT,
        "name": "payg",
        "properties": {
            "publisher": "acmefw", "product": "acme-firewall", "plan": "payg",
            "licenseTextLink": "https://l", "privacyPolicyLink": "https://p", "signature": "K3QX", "accepted": accepted,
        },
    })
}

fn model() -> Model {
    stub(SUBSCRIPTION, "acmefw", "acme-firewall", "payg")
}

fn service(accepted: bool) -> Arc<FakeArm> {
    let arm = FakeArm::new();
    arm.get(CURRENT, terms(accepted)).on(Method::Put, CURRENT, 200, terms(true));
    arm
}

/// Terms that show the acceptance after this number of reads.
fn accepted_after(reads: usize) -> Arc<FakeArm> {
    let arm = service(true);
    arm.next(reads, Method::Get, CURRENT, 200, terms(false));
    arm
}

fn methods(arm: &FakeArm) -> Vec<String> {
    arm.calls().iter().map(|call| call.split(' ').next().unwrap().to_owned()).collect()
}

async fn create(arm: &Arc<FakeArm>) -> Result<Model, Failed<Model>> {
    let plan = Model { id: None, subscription_id: None, ..model() };
    MarketplaceAgreement.create(Call::new(&arm.context(), &op(), &mut Private::default()), plan).await
}

#[tokio::test]
async fn accepts_with_the_document_just_read() {
    let arm = accepted_after(1);
    let state = create(&arm).await.unwrap();
    assert_eq!(state.id.as_deref(), Some(ID));
    assert_eq!((state.accepted, state.license_text_link.as_deref()), (Some(true), Some("https://l")));
    let seen = arm.seen();
    assert_eq!(methods(&arm), ["GET", "PUT", "GET"]);
    assert_eq!(seen[1].body, terms(true));
}

#[tokio::test]
async fn does_not_accept_terms_twice() {
    let arm = service(true);
    assert_eq!(create(&arm).await.unwrap().accepted, Some(true));
    assert_eq!(methods(&arm), ["GET"]);
}

#[tokio::test]
async fn accepts_again_if_the_signature_is_stale() {
    let arm = accepted_after(3);
    let stale = json!({"error": {"code": "BadRequest", "message": "The signature is not valid."}});
    arm.next(2, Method::Put, CURRENT, 400, stale.clone());
    assert!(create(&arm).await.is_ok());
    assert_eq!(methods(&arm), ["GET", "PUT", "GET", "PUT", "GET", "PUT", "GET"]);
    let arm = service(false);
    arm.on(Method::Put, CURRENT, 400, stale);
    let failed = create(&arm).await.unwrap_err();
    assert!(failed.state.is_none());
    assert_eq!(arm.calls().len(), 2 * ATTEMPTS);
    assert!(
        failed.diagnostics.0[0].summary.contains("acmefw:acme-firewall:payg"),
        "{}",
        failed.diagnostics.0[0]
    );
}

#[tokio::test(start_paused = true)]
async fn serializes_agreements_of_one_plan() {
    let arm = accepted_after(1);
    arm.takes(Duration::from_millis(50));
    let context = arm.context();
    let op = op();
    let mut one = Private::default();
    let mut two = Private::default();
    let other = Model { publisher: "AcmeFW".to_owned(), ..model() };
    let (a, b) = tokio::join!(
        MarketplaceAgreement.create(Call::new(&context, &op, &mut one), model()),
        MarketplaceAgreement.create(Call::new(&context, &op, &mut two), other)
    );
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(methods(&arm), ["GET", "PUT", "GET", "GET"], "the second finds the acceptance of the first");
}

#[tokio::test(start_paused = true)]
async fn acceptance_without_effect_is_an_error() {
    let failed = create(&service(false)).await.unwrap_err();
    assert!(failed.diagnostics.0[0].detail.contains("still shows the terms as not accepted"));
}

#[tokio::test]
async fn reports_a_plan_that_does_not_exist() {
    let arm = FakeArm::new();
    arm.on(
        Method::Get,
        CURRENT,
        400,
        json!({"error": {"code": "BadRequest", "message": "Offer with PublisherId: 'x' not found."}}),
    );
    let failed = create(&arm).await.unwrap_err().diagnostics.0;
    assert!(failed[0].detail.contains("azimage_marketplace_image"), "{}", failed[0]);
}

#[tokio::test]
async fn unaccepted_terms_leave_the_state() {
    for (arm, there) in [(service(true), true), (service(false), false), (FakeArm::new(), false)] {
        let read = MarketplaceAgreement
            .read(Call::new(&arm.context(), &op(), &mut Private::default()), model())
            .await
            .unwrap();
        assert_eq!(read.is_some(), there);
    }
    let arm = FakeArm::new();
    arm.on(Method::Get, CURRENT, 403, json!({"error": {"code": "AuthorizationFailed", "message": "no"}}));
    assert!(
        MarketplaceAgreement
            .read(Call::new(&arm.context(), &op(), &mut Private::default()), model())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn destroy_cancels_only_an_existing_agreement_and_only_if_configured() {
    let gone = json!({"error": {"code": "ResourceNotFound", "message": "gone"}});
    let no = json!({"error": {"code": "Conflict", "message": "no"}});
    let withdrawn = json!({"error": {"code": "BadRequest", "message": "Offer … not found."}});
    // (cancel_on_destroy, response to the cancellation, terms after it, succeeds, methods)
    type Row<'a> = (bool, (u16, Json), (u16, Json), bool, &'a [&'a str]);
    let rows: &[Row<'_>] = &[
        (false, (200, json!({})), (200, terms(true)), true, &[]),
        (true, (200, json!({})), (200, terms(true)), true, &["POST"]),
        (true, (404, gone.clone()), (404, gone.clone()), true, &["POST", "GET"]),
        (true, (404, gone.clone()), (200, terms(false)), true, &["POST", "GET"]),
        (true, (404, gone.clone()), (200, terms(true)), true, &["POST", "GET", "PUT"]),
        (true, (400, withdrawn.clone()), (400, withdrawn), true, &["POST", "GET"]),
        (true, (409, no), (200, terms(true)), false, &["POST", "GET"]),
    ];
    for (cancel, (status, answer), (then, current), succeeds, called) in rows {
        let arm = FakeArm::new();
        arm.on(Method::Post, &format!("{ID}/cancel"), *status, answer.clone())
            .on(Method::Get, CURRENT, *then, current.clone())
            .on(Method::Put, CURRENT, 200, terms(false));
        let prior = Model { cancel_on_destroy: Some(*cancel), ..model() };
        let result = MarketplaceAgreement
            .delete(Call::new(&arm.context(), &op(), &mut Private::default()), prior)
            .await;
        assert_eq!(result.is_ok(), *succeeds, "{result:?}");
        assert_eq!(methods(&arm), *called);
    }
}

#[test]
fn imports_and_moves_by_either_id() {
    for id in [ID, CURRENT, &ID.to_uppercase().replace("/SUBSCRIPTIONS", "/subscriptions")] {
        let stub = MarketplaceAgreement.import(None, &ImportFrom::Id(id.to_owned())).unwrap();
        assert!(stub.id.unwrap().eq_ignore_ascii_case(ID));
        assert!(stub.publisher.eq_ignore_ascii_case("acmefw") && stub.plan.eq_ignore_ascii_case("payg"));
    }
    assert!(MarketplaceAgreement.import(None, &ImportFrom::Id("/subscriptions/s".to_owned())).is_err());
    let source = |provider: &str, type_name: &str, state: Json| MoveSource {
        provider: format!("registry.terraform.io/{provider}"),
        type_name: type_name.to_owned(),
        schema_version: 0,
        state,
    };
    let kind = "Microsoft.MarketplaceOrdering/offerTypes/publishers/offers/plans/agreements@2021-01-01";
    for (source, expected) in [
        (source("hashicorp/azurerm", "azurerm_marketplace_agreement", json!({"id": ID})), Some(true)),
        (source("azure/azapi", "azapi_resource", json!({"id": CURRENT, "type": kind})), Some(true)),
        (
            source(
                "azure/azapi",
                "azapi_resource",
                json!({"id": CURRENT, "type": "Microsoft.Compute/images@1"}),
            ),
            None,
        ),
        (source("hashicorp/azurerm", "azurerm_marketplace_agreement", json!({"id": "x"})), Some(false)),
        (source("azimage/azimage", "azurerm_marketplace_agreement", json!({"id": ID})), Some(true)),
        (source("hashicorp/azurerm", "azurerm_image", json!({"id": ID})), None),
    ] {
        let can_move = MarketplaceAgreement.moves_from().iter().any(|from| from.matches(&source));
        let moved = can_move.then(|| MarketplaceAgreement.move_from(&source).is_ok());
        assert_eq!(moved, expected, "{source:?}");
    }
}
