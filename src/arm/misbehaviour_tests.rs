//! Misbehaviour of the service, by method: the number of attempts, the outcome, and the error.

use serde_json::json;

use super::super::*;
use super::{Answer, OPERATION, Script, answer, broken, client, fault, scope, status, target};

const VERBS: [Method; 5] = [Method::Get, Method::Put, Method::Delete, Method::Patch, Method::Post];

/// The expected outcome of a call.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// A success after this number of requests.
    Succeeds(usize),
    /// An error with this text after a number of requests: minimum, maximum.
    Fails(&'static str, usize, usize),
}
use Outcome::{Fails, Succeeds};

/// A repeated response, and the outcomes of GET, of PUT and DELETE, and of PATCH and POST.
type Row = (&'static str, fn() -> Answer, [Outcome; 3]);

const HTML: &str = "<html><head><title>Bad Gateway</title></head></html>";

fn refusal(status: u16, code: &str, headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![("x-ms-request-id", "rid")];
    all.extend_from_slice(headers);
    let body = json!({"error": {"code": code, "message": "m"}}).to_string();
    Ok(answer(status, &all, &body))
}

fn html(status: u16) -> Answer {
    Ok(answer(status, &[("content-type", "text/html"), ("x-ms-request-id", "rid")], HTML))
}

fn success(kind: &str, body: &str) -> Answer {
    Ok(answer(200, &[("content-type", kind), ("x-ms-request-id", "rid")], body))
}

fn timed_out() -> Answer {
    Err(crate::arm::TransportError { sent: true, message: "no answer within 60 s".into() })
}

fn redirect() -> Answer {
    Ok(answer(307, &[("location", "https://elsewhere.example/x"), ("x-ms-request-id", "rid")], ""))
}

// The caller's timeout is ten minutes.
const ROWS: &[Row] = &[
    ("429", || refusal(429, "TooManyRequests", &[]), [Fails("429 TooManyRequests", 20, 40); 3]),
    ("429 in seconds", || refusal(429, "T", &[("retry-after", "7")]), [Fails("429 T", 78, 86); 3]),
    (
        "429 by date",
        || {
            let date = ("date", "Mon, 02 Nov 2026 10:00:00 GMT");
            refusal(429, "T", &[("retry-after", "Mon, 02 Nov 2026 10:00:30 GMT"), date])
        },
        [Fails("429 T", 19, 20); 3],
    ),
    (
        "503 x-ms-retry-after-ms",
        || refusal(503, "Busy", &[("x-ms-retry-after-ms", "20000")]),
        [Fails("503 Busy", 29, 30); 3],
    ),
    (
        "503 retry-after-ms",
        || refusal(503, "Busy", &[("retry-after-ms", "1500")]),
        [Fails("503 Busy", 200, 200); 3],
    ),
    ("503 in seconds", || refusal(503, "Busy", &[("retry-after", "20")]), [Fails("503 Busy", 29, 30); 3]),
    (
        "503 by date",
        || {
            let date = ("date", "Mon, 02 Nov 2026 10:00:00 GMT");
            refusal(503, "Busy", &[("retry-after", "Monday, 02-Nov-26 10:00:30 GMT"), date])
        },
        [Fails("503 Busy", 19, 20); 3],
    ),
    ("503", || refusal(503, "Busy", &[]), [Fails("503 Busy", 8, 8); 3]),
    (
        "503, after a timeout in the service",
        || refusal(503, "ServerTimeout", &[]),
        [
            Fails("503 ServerTimeout", 8, 8),
            Fails("503 ServerTimeout", 8, 8),
            Fails("503 ServerTimeout", 1, 1),
        ],
    ),
    (
        "429 for longer than the timeout",
        || refusal(429, "T", &[("retry-after", "3600")]),
        [Fails("429 T", 1, 1); 3],
    ),
    ("408", || refusal(408, "RequestTimeout", &[]), [Fails("408 RequestTimeout", 8, 8); 3]),
    (
        "500",
        || refusal(500, "InternalServerError", &[]),
        [Fails("500 Internal", 8, 8), Fails("500 Internal", 8, 8), Fails("500 Internal", 1, 1)],
    ),
    (
        "reset before it was sent",
        || broken(false),
        [Fails("no answer: management.azure.com: connection reset", 4, 4); 3],
    ),
    (
        "reset after it was sent",
        || broken(true),
        [
            Fails("connection reset", 10, 10),
            Fails("connection reset", 10, 10),
            Fails("connection reset", 1, 1),
        ],
    ),
    (
        "no answer",
        timed_out,
        [
            Fails("no answer within 60 s", 9, 10),
            Fails("no answer within 60 s", 9, 10),
            Fails("no answer within 60 s", 1, 1),
        ],
    ),
    (
        "truncated JSON",
        || success("application/json", "{\"id\": \"/su"),
        [Fails("not valid JSON; it begins \"{\\\"id", 4, 4), Succeeds(1), Succeeds(1)],
    ),
    (
        "malformed JSON",
        || success("application/json", "{\"id\": ]}"),
        [Fails("not valid JSON", 4, 4), Succeeds(1), Succeeds(1)],
    ),
    (
        "a page instead of JSON",
        || html(200),
        [Fails("HTML page", 4, 4), Fails("HTML page", 4, 4), Fails("HTML page", 1, 1)],
    ),
    (
        "a gateway's 502",
        || html(502),
        [Fails("HTML page", 8, 8), Fails("HTML page", 8, 8), Fails("HTML page", 1, 1)],
    ),
    ("a gateway's 504", || html(504), [Fails("504 ", 8, 8), Fails("504 ", 8, 8), Fails("504 ", 1, 1)]),
    ("a gateway's 404", || html(404), [Fails("404 ", 1, 1); 3]),
    ("JSON under another type", || success("text/plain", "{}"), [Succeeds(1); 3]),
    ("a redirect", redirect, [Fails("redirect (307) to elsewhere.example", 1, 1); 3]),
    ("no body", || success("application/json", ""), [Fails("no body", 4, 4), Succeeds(1), Succeeds(1)]),
    ("busy", || refusal(409, "AnotherOperationInProgress", &[]), [Fails("409 AnotherOp", 20, 40); 3]),
    (
        "busy, and for how long",
        || refusal(409, "RetryableError", &[("retry-after", "20")]),
        [Fails("409 Retryable", 29, 30); 3],
    ),
    ("a permanent conflict", || refusal(409, "Conflict", &[]), [Fails("409 Conflict", 1, 1); 3]),
    ("forbidden", || refusal(403, "AuthorizationFailed", &[]), [Fails("403 AuthorizationFailed", 1, 1); 3]),
    (
        "the token is rejected",
        || refusal(401, "InvalidAuthenticationToken", &[]),
        [Fails("401 Invalid", 2, 2); 3],
    ),
];

async fn call(client: &Client, scope: &Scope, method: Method) -> Result<(), Error> {
    let body = json!({});
    match method {
        Method::Get => client.get(scope, &target()).await.map(drop),
        Method::Put => client.put(scope, &target(), &body).await.map(drop),
        Method::Patch => client.patch(scope, &target(), &body).await.map(drop),
        Method::Post => client.post(scope, &target(), None).await.map(drop),
        Method::Delete => client.delete(scope, &target()).await.map(drop),
    }
}

fn expected_outcome(row: &Row, method: Method) -> Outcome {
    row.2[match method {
        Method::Get => 0,
        Method::Put | Method::Delete => 1,
        Method::Patch | Method::Post => 2,
    }]
}

#[tokio::test(start_paused = true)]
async fn has_the_expected_outcome_if_the_service_never_recovers() {
    for row in ROWS {
        for method in VERBS {
            let what = format!("{method}: {}", row.0);
            let silent = row.1().is_err_and(|error| error.message.contains("60 s"));
            let latency = Duration::from_secs(if silent { 60 } else { 0 });
            let script = Script::slow((0..300).map(|_| row.1()).collect(), latency);
            let (scope, _) = scope(10);
            let begun = Instant::now();
            let result = call(&client(&script), &scope, method).await;
            let (took, sent) = (begun.elapsed(), script.urls().len());
            match (expected_outcome(row, method), result) {
                (Succeeds(expected), Ok(())) => assert_eq!(sent, expected, "{what}"),
                (Fails(text, least, most), Err(error)) => {
                    assert!(error.to_string().contains(text), "{what}: {error}");
                    assert!((least..=most).contains(&sent), "{what}: {sent} requests: {error}");
                    assert_eq!(error.attempts as usize, sent, "{what}: {error}");
                    assert_eq!(error.elapsed, took, "{what}: {error}");
                    let answered = row.1().is_ok();
                    assert_eq!(error.request_id.is_some(), answered, "{what}: {error}");
                    let shown = error.to_string();
                    assert!(!answered || shown.contains("request id rid"), "{shown}");
                    let often = format!("{sent} attempt{} in ", if sent == 1 { "" } else { "s" });
                    assert!(shown.contains(&often), "{shown}");
                    assert!(shown.contains("correlation id"), "{shown}");
                    // the last attempt of a write may end after the timeout, because it is allowed to finish
                    assert!(took <= Duration::from_secs(600) + latency, "{what}: {took:?}");
                }
                (expected, result) => panic!("{what}: {expected:?}, but {result:?}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn succeeds_after_a_temporary_failure() {
    for row in ROWS {
        for method in VERBS {
            let what = format!("{method}: {}", row.0);
            // a second rejected token is final, and so is a pause longer than the timeout
            let script = Script::new(vec![row.1(), success("application/json", "{}")]);
            let (scope, _) = scope(10);
            let result = call(&client(&script), &scope, method).await;
            let again = matches!(expected_outcome(row, method), Fails(_, _, most) if most > 1);
            assert_eq!(script.urls().len(), 1 + usize::from(again), "{what}");
            assert_eq!(
                result.is_ok(),
                again || matches!(expected_outcome(row, method), Succeeds(_)),
                "{what}: {result:?}"
            );
        }
    }
}

/// A write may be repeated only if it is idempotent or was certainly not carried out.
#[tokio::test(start_paused = true)]
async fn does_not_repeat_actions_that_may_have_been_carried_out() {
    for row in ROWS {
        for method in [Method::Patch, Method::Post] {
            let script = Script::new((0..300).map(|_| row.1()).collect());
            let (scope, _) = scope(10);
            let Err(error) = call(&client(&script), &scope, method).await else { continue };
            if error.may_have_acted() {
                assert_eq!(script.urls().len(), 1, "{method}: {}", row.0);
            }
        }
    }
}

/// The responses to the polls of an accepted PUT, and the outcome of the wait.
type Poll = (&'static str, fn() -> Vec<Answer>, Outcome);

fn running() -> Answer {
    Ok(answer(200, &[("retry-after", "5")], "{\"status\":\"InProgress\"}"))
}

fn moving(to: &str) -> Answer {
    Ok(answer(200, &[("azure-asyncoperation", to), ("retry-after", "5")], "{\"status\":\"InProgress\"}"))
}

fn ended(word: &str) -> Answer {
    let body = json!({"status": word, "error": {"code": "AllocationFailed", "message": "no room"}});
    Ok(answer(200, &[("x-ms-request-id", "rid")], &body.to_string()))
}

const POLLS: &[Poll] = &[
    ("succeeds", || vec![running(), status("Succeeded")], Succeeds(2)),
    ("fails", || vec![running(), ended("Failed")], Fails("AllocationFailed: no room", 2, 2)),
    ("is cancelled", || vec![running(), ended("Canceled")], Fails("AllocationFailed: no room", 2, 2)),
    (
        "is cancelled without an error",
        || vec![status("Canceled")],
        Fails("Canceled: its status is Canceled", 1, 1),
    ),
    ("never ends", || (0..200).map(|_| running()).collect(), Fails("the timeout of 10m passed", 118, 121)),
    (
        "moves",
        || vec![moving("https://management.azure.com/op/2?t=1"), moving("/op/3?t=2"), status("Succeeded")],
        Succeeds(3),
    ),
    (
        "moves to another host",
        || vec![moving("https://evil.example/op"), status("Succeeded")],
        Fails("evil.example", 1, 1),
    ),
    (
        "cannot be found for a while",
        || vec![fault(404, "NotFound"), fault(404, "NotFound"), status("Succeeded")],
        Succeeds(3),
    ),
    (
        "can never be found",
        || (0..99).map(|_| fault(404, "NotFound")).collect(),
        Fails("404 NotFound", 8, 16),
    ),
    (
        "cannot be polled for a while",
        || {
            vec![
                html(502),
                html(200),
                broken(true),
                broken(false),
                refusal(429, "T", &[]),
                status("Succeeded"),
            ]
        },
        Succeeds(6),
    ),
    ("can never be polled", || (0..400).map(|_| html(502)).collect(), Fails("HTML page", 8, 40)),
    (
        "returns a truncated response",
        || vec![success("application/json", "{\"stat"), status("Succeeded")],
        Succeeds(2),
    ),
    ("redirects", || vec![redirect(), status("Succeeded")], Fails("redirect", 1, 1)),
];

#[tokio::test(start_paused = true)]
async fn waits_for_operations_with_every_kind_of_poll_response() {
    for (what, polls, expected_outcome) in POLLS {
        let mut answers = vec![Ok(answer(201, &[("azure-asyncoperation", OPERATION)], "{}"))];
        answers.extend(polls());
        let script = Script::new(answers);
        let client = client(&script);
        let (scope, _) = scope(10);
        let accepted = client.put(&scope, &target(), &json!({})).await.unwrap();
        let begun = Instant::now();
        let result = client.wait(&scope, &accepted.operation.unwrap()).await;
        let sent = script.urls().len() - 1;
        match (expected_outcome, result) {
            (Succeeds(expected), Ok(_)) => assert_eq!(sent, *expected, "{what}"),
            (Fails(text, least, most), Err(error)) => {
                let shown = error.to_string();
                assert!(shown.contains(text), "{what}: {shown}");
                assert!((*least..=*most).contains(&sent), "{what}: {sent} polls: {shown}");
                assert_eq!(error.elapsed, begun.elapsed(), "{what}: {shown}");
                assert!(error.attempts > 0 && shown.contains("correlation"), "{what}: {shown}");
                if error.kind == Kind::Operation {
                    assert_eq!((error.attempts as usize, error.method), (sent, Method::Put), "{what}");
                    assert!(shown.contains(&format!("{sent} poll")), "{shown}");
                    assert!(
                        *what == "is cancelled without an error" || shown.contains("request id rid"),
                        "{shown}"
                    );
                }
            }
            (expected, result) => panic!("{what}: {expected:?}, but {result:?} after {sent}"),
        }
        if *what == "moves" {
            let urls = ["https://management.azure.com/op/2?t=1", "https://management.azure.com/op/3?t=2"];
            assert_eq!(script.urls()[2..], urls.map(|url| format!("GET {url}")));
        }
    }
}

/// Jitter spreads the retries of many runs that were refused at the same time.
#[tokio::test(start_paused = true)]
async fn jitter_spreads_retries() {
    let mut waits = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let script = Script::new(vec![refusal(503, "Busy", &[]), success("", "{}")]);
        let begun = Instant::now();
        client(&script).get(&scope(10).0, &target()).await.unwrap();
        waits.insert(begun.elapsed().as_millis());
    }
    assert!(waits.len() > 5, "{waits:?}");
    assert!(waits.iter().all(|wait| (250..=501).contains(wait)), "{waits:?}");
}
