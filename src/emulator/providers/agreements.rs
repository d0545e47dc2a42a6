//! `Microsoft.MarketplaceOrdering`: reads, accepts and cancels the terms of plans.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::clock;
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::operations::stable;
use super::marketplace;

fn key(subscription: &str, publisher: &str, offer: &str, plan: &str) -> String {
    format!("t|{subscription}|{publisher}|{offer}|{plan}").to_ascii_lowercase()
}

/// Routes requests below `…/providers/Microsoft.MarketplaceOrdering`; `rest` holds the following segments.
pub fn route(call: &mut Call<'_, '_>, rest: &[String]) -> Outcome {
    let lower: Vec<String> = rest.iter().map(|segment| segment.to_ascii_lowercase()).collect();
    let words: Vec<&str> = lower.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["offertypes", _, "publishers", _, "offers", _, "plans", _, "agreements", "current"] => {
            current(call, &rest[3], &rest[5], &rest[7])
        }
        ["agreements"] if call.method == Method::Get => list(call),
        ["agreements", _, "offers", _, "plans", _] if call.method == Method::Get => {
            let found = known(call, &rest[1], &rest[3], &rest[5])?;
            Ok(Answer::compact(200, old_shape(call, &found)))
        }
        ["agreements", _, "offers", _, "plans", _, action @ ("sign" | "cancel")]
            if call.method == Method::Post =>
        {
            let accepted = *action == "sign";
            let mut terms = known(call, &rest[1], &rest[3], &rest[5])?;
            terms.set("accepted", accepted);
            terms.set(if accepted { "signDate" } else { "cancelDate" }, call.now);
            save(call, &terms);
            Ok(Answer::compact(200, old_shape(call, &terms)))
        }
        _ => Err(ArmError::no_method(call.method.name(), "Microsoft.MarketplaceOrdering")),
    }
}

/// Whether the terms of a plan are accepted in the caller's subscription.
pub fn accepted(call: &Call<'_, '_>, publisher: &str, offer: &str, plan: &str) -> bool {
    call.record(&key(&call.subscription, publisher, offer, plan))
        .is_some_and(|terms| terms.flag("accepted") == Some(true))
}

/// The stored terms of a plan, or the default terms.
fn known(call: &Call<'_, '_>, publisher: &str, offer: &str, plan: &str) -> Result<Json, ArmError> {
    if let Some(terms) = call.record(&key(&call.subscription, publisher, offer, plan)) {
        return Ok(Json::clone(&terms));
    }
    if marketplace::has_plan(publisher, offer, plan) != Some(true) {
        return Err(ArmError::new(
            400,
            "BadRequest",
            format!(
                "Offer with PublisherId: '{publisher}', OfferId: '{offer}' and PlanId: '{plan}' not found."
            ),
        ));
    }
    Ok(Json::object()
        .with("publisher", publisher)
        .with("product", offer)
        .with("plan", plan)
        .with("accepted", false))
}

fn save(call: &mut Call<'_, '_>, terms: &Json) {
    let text = |name: &str| terms.text(name).unwrap_or_default();
    let key = key(&call.subscription, text("publisher"), text("product"), text("plan"));
    call.state.put(&key, terms.clone());
}

fn current(call: &mut Call<'_, '_>, publisher: &str, offer: &str, plan: &str) -> Outcome {
    let mut terms = known(call, publisher, offer, plan)?;
    match call.method {
        Method::Get => {
            // The plan is stored so that a PUT can be validated; every GET returns a new signature.
            let signature = signature(call, plan);
            let shown = show(call, &terms, &signature, clock::format_z(call.now), false);
            Ok(Answer::pretty(200, shown))
        }
        Method::Put => {
            let sent = call.body.get("properties").cloned().unwrap_or_default();
            let Some(accepted) = sent.flag("accepted") else {
                return Err(ArmError::new(400, "BadRequest", "The property 'accepted' is required."));
            };
            let Some(given) = sent.text("signature").filter(|text| well_signed(text)) else {
                return Err(ArmError::new(
                    400,
                    "BadRequest",
                    "The signature of the terms is not valid. Read the terms again and send them back with their signature.",
                ));
            };
            let retrieved =
                sent.text("retrieveDatetime").map_or_else(|| clock::format_z(call.now), str::to_owned);
            let given = given.to_owned();
            terms.set("accepted", accepted);
            terms.set(if accepted { "signDate" } else { "cancelDate" }, call.now);
            save(call, &terms);
            Ok(Answer::pretty(200, show(call, &terms, &given, retrieved, true)))
        }
        _ => Err(ArmError::no_method(call.method.name(), "Microsoft.MarketplaceOrdering/offertypes")),
    }
}

/// 103 characters of base32.
fn signature(call: &Call<'_, '_>, plan: &str) -> String {
    let head: String = (0..12).map(|part| base32(stable(&format!("{plan}{}{part}", call.now)))).collect();
    head.chars().chain("EMULATE".chars()).collect()
}

/// Checks only the form: the emulator does not store signatures, because every GET returns a new one.
fn well_signed(signature: &str) -> bool {
    signature.len() == 103
        && signature.bytes().all(|byte| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte))
}

fn base32(mut number: u64) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    (0..8)
        .map(|_| {
            let letter = LETTERS[(number >> 59) as usize];
            number = number.rotate_left(5);
            char::from(letter)
        })
        .collect()
}

fn show(call: &Call<'_, '_>, terms: &Json, signature: &str, retrieved: String, put: bool) -> Json {
    let text = |name: &str| terms.text(name).unwrap_or_default().to_owned();
    let (publisher, product, plan) = (text("publisher"), text("product"), text("plan"));
    // The response to a PUT contains this odd middle part; recorded.
    let middle = if put { "Microsoft.MarketplaceOrdering/offertypes" } else { "VirtualMachine" };
    let document = |kind: &str| {
        format!(
            "https://storeordersprodsn.blob.core.windows.net/{kind}/3E5ED_{kind}_{}%253a24{}.txt",
            publisher.to_uppercase(),
            plan.to_uppercase()
        )
    };
    let who = call.object.as_str();
    let at = clock::format(call.now);
    let mut shown = Json::object()
        .with(
            "id",
            format!(
                "/subscriptions/{}/providers/Microsoft.MarketplaceOrdering/offerTypes/{middle}/publishers/{publisher}/offers/{product}/plans/{plan}/agreements/current",
                call.subscription
            ),
        )
        .with("name", plan.as_str())
        .with("type", "Microsoft.MarketplaceOrdering/offertypes")
        .with(
            "properties",
            Json::object()
                .with("publisher", publisher.as_str())
                .with("product", product.as_str())
                .with("plan", plan.as_str())
                .with("licenseTextLink", document("legalterms"))
                .with("privacyPolicyLink", format!("https://www.{publisher}.com/privacy"))
                .with("marketplaceTermsLink", document("marketplaceterms"))
                .with("retrieveDatetime", retrieved)
                .with("signature", signature)
                .with("accepted", terms.flag("accepted").unwrap_or(false)),
        );
    if call.since("2021-01-01") {
        shown.set(
            "systemData",
            Json::object()
                .with("createdBy", who)
                .with("createdByType", "ManagedIdentity")
                .with("createdAt", at.as_str())
                .with("lastModifiedBy", who)
                .with("lastModifiedByType", "ManagedIdentity")
                .with("lastModifiedAt", at.as_str()),
        );
    }
    shown
}

fn old_shape(call: &Call<'_, '_>, terms: &Json) -> Json {
    let text = |name: &str| terms.text(name).unwrap_or_default().to_owned();
    let date = |name: &str| terms.int(name).map(clock::format_z);
    let id = format!(
        "/subscriptions/{}/providers/Microsoft.MarketplaceOrdering/agreements/{}/offers/{}/plans/{}",
        call.subscription,
        text("publisher"),
        text("product"),
        text("plan")
    );
    Json::object()
        .with("id", id.as_str())
        .with("name", text("plan"))
        .with("type", "Microsoft.MarketplaceOrdering/agreements")
        .with(
            "properties",
            Json::object()
                .with("id", id)
                .with("publisher", text("publisher"))
                .with("offer", text("product"))
                .maybe("signDate", date("signDate"))
                .maybe("cancelDate", date("cancelDate"))
                .with("state", if terms.flag("accepted") == Some(true) { "Active" } else { "Canceled" }),
        )
}

fn list(call: &mut Call<'_, '_>) -> Outcome {
    let prefix = format!("t|{}|", call.subscription.to_ascii_lowercase());
    let mut found = Vec::new();
    call.state.scan(&prefix, None, |_, terms| {
        found.push(old_shape(call, terms));
        true
    });
    Ok(Answer::compact(200, Json::object().with("value", found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_signatures_are_rejected() {
        assert!(well_signed(&"AB7".repeat(35)[..103]));
        assert!(!well_signed(&"AB1".repeat(35)[..103]));
        assert!(!well_signed(""));
        assert_eq!(base32(stable("x")).len(), 8);
    }
}
