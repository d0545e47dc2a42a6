//! Property tests: arbitrary bytes, headers and texts cause no panic and violate no invariant.

use std::time::Duration;

use proptest::prelude::*;
use time::OffsetDateTime;

use super::error::{self, Error};
use super::id::ResourceId;
use super::operation::Operation;
use super::page::Pages;
use super::retry_after::retry_after;
use super::throttle::{Class, Throttle};
use super::transport::{Method, Response};
use super::{clouds, duration, redact, region};

/// Arbitrary JSON, often with names that the service uses.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let text = prop_oneof![
        "[a-zA-Z]{0,12}",
        Just("Succeeded".to_owned()),
        Just("Failed".to_owned()),
        Just("https://h/x?sig=abc".to_owned()),
        ".{0,20}",
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        text.prop_map(Into::into),
    ];
    let name = prop_oneof![
        Just("error"),
        Just("code"),
        Just("message"),
        Just("details"),
        Just("status"),
        Just("properties"),
        Just("provisioningState"),
        Just("value"),
        Just("nextLink"),
        Just("resourceManager"),
        Just("authentication"),
        Just("loginEndpoint"),
        Just("audiences"),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::Array),
            prop::collection::vec((name.clone(), inner), 0..6).prop_map(|members| {
                members
                    .into_iter()
                    .map(|(name, member)| (name.to_owned(), member))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            }),
        ]
    })
}

fn response(status: u16, header: &str, value: String, body: Vec<u8>) -> Response {
    Response { status, headers: vec![(header.to_owned(), value)], body }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requested_waits_are_limited(value in ".{0,40}|[0-9.eE+-]{1,12}", date in ".{0,30}") {
        let mut answer = response(429, "retry-after", value, vec![]);
        answer.headers.push(("date".to_owned(), date));
        if let Some(wait) = retry_after(&answer, OffsetDateTime::UNIX_EPOCH) {
            prop_assert!(wait <= Duration::from_secs(86_400));
            let _ = duration::readable(wait);
        }
    }

    #[test]
    fn any_body_gives_an_error_message(bytes in prop::collection::vec(any::<u8>(), 0..200), status in 100u16..600, kind in "(text/html)|(application/json)|.{0,10}") {
        let answer = response(status, "content-type", kind, bytes);
        let error = Error::from_response(Method::Put, "/p", &answer);
        prop_assert!(!error.to_string().is_empty());
        let _ = redact::body(&answer.body);
    }

    #[test]
    fn any_document_is_processed_without_leaking_signatures(document in json(), status in prop_oneof![Just(200u16), Just(201), Just(202), Just(204)], url in ".{0,30}") {
        let text = document.to_string();
        let answer = response(status, "azure-asyncoperation", url.clone(), text.into_bytes());
        let error = Error::from_response(Method::Get, "/p", &answer).to_string();
        prop_assert!(!error.contains("sig=abc"), "{}", error);
        prop_assert!(!redact::body(&answer.body).contains("sig=abc"));
        for method in [Method::Put, Method::Delete, Method::Post] {
            if let Some(operation) = Operation::from_response(method, "https://h/p", "/p", "https://h", &answer, &document) {
                let _ = operation.step(&answer, document.clone(), OffsetDateTime::UNIX_EPOCH);
                let stored = serde_json::to_string(&operation).map_err(|e| TestCaseError::fail(e.to_string()))?;
                prop_assert!(serde_json::from_str::<Operation>(&stored).is_ok());
            }
        }
        let _ = Pages::default().add("https://h/p", document.clone(), 0);
        let _ = clouds::parse(&document, "https://h");
        prop_assert_eq!(error::json(&answer.body), Some(document));
    }

    #[test]
    fn valid_ids_round_trip(text in "(/?(subscriptions|resourceGroups|providers|galleries|images|[a-z ?%.]{0,6})){0,9}/?|.{0,40}") {
        if let Ok(id) = ResourceId::parse(&text) {
            let canonical = id.to_string();
            let again = ResourceId::parse(&canonical).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(again.to_string(), canonical);
            prop_assert_eq!(&again, &id);
            prop_assert_eq!(ResourceId::parse(&text.to_lowercase()).ok(), Some(id));
        }
    }

    #[test]
    fn any_text_is_processed_without_panic(text in ".{0,60}") {
        let _ = redact::text(&text);
        let _ = redact::url(&text);
        let _ = clouds::endpoint(&text);
        let _ = region::nearest(&text);
    }

    #[test]
    fn pauses_end_after_the_last_refusal(values in prop::collection::vec((".{0,12}|[0-9.eE+-]{1,9}", any::<bool>(), 0u64..100), 1..30)) {
        let mut throttle = Throttle::default();
        let class = Class::new(Method::Get, "/subscriptions/s");
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|e| TestCaseError::fail(e.to_string()))?;
        let _inside = runtime.enter();
        let mut now = tokio::time::Instant::now();
        for (value, refused, pause) in values {
            let (ticket, _) = throttle.enter(&class, now);
            now += Duration::from_millis(pause * 37);
            let mut answer = response(if refused { 429 } else { 200 }, "x-ms-ratelimit-remaining-subscription-reads", value.clone(), vec![]);
            answer.headers.push(("x-ms-ratelimit-remaining-resource".to_owned(), format!("Microsoft.Compute/Get3Min;{value}")));
            throttle.leave(&class, ticket, Some(&answer), Duration::from_secs(pause), now);
        }
        // A pause ends once the service refuses no more calls.
        prop_assert!(throttle.enter(&class, now + Duration::from_secs(86_400)).1 < Duration::from_secs(1));
    }
}
