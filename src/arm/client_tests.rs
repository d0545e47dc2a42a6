//! The client with a scripted transport, in paused time.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use async_trait::async_trait;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::arm::Options;
use crate::arm::secret::Secret;
use crate::arm::token::StaticTokens;
use crate::arm::transport::{Request, Response, TransportError};

#[path = "intermediary_tests.rs"]
mod intermediary;
#[path = "misbehaviour_tests.rs"]
mod misbehaviour;
#[path = "waiting_tests.rs"]
mod waiting;

const ARM: &str = "https://management.azure.com";
const PATH: &str = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/galleries/g";

type Answer = Result<Response, TransportError>;

/// Responds to requests in order, each after `latency`, and records them. The body `{}` stands for the requested resource.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    seen: Mutex<Vec<Request>>,
    latency: Duration,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, request: Request) -> Answer {
        let path = url::Url::parse(&request.url).unwrap().path().to_owned();
        let resource = json!({"id": path}).to_string();
        self.seen.lock().unwrap().push(request);
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(self.latency).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        let mut next = self.answers.lock().unwrap().pop_front().unwrap_or_else(|| Ok(answer(200, &[], "{}")));
        if let Ok(response) = &mut next
            && response.body == b"{}"
        {
            response.body = resource.into_bytes();
        }
        next
    }
}

impl Script {
    fn new(answers: Vec<Answer>) -> Arc<Self> {
        Self::slow(answers, Duration::ZERO)
    }

    fn slow(answers: Vec<Answer>, latency: Duration) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into()), latency, ..Self::default() })
    }

    fn urls(&self) -> Vec<String> {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .map(|request| format!("{} {}", request.method, request.url))
            .collect()
    }
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Response { status, headers, body: body.as_bytes().to_vec() }
}

fn fault(status: u16, code: &str) -> Answer {
    let body = json!({"error": {"code": code, "message": format!("because {code}")}}).to_string();
    Ok(answer(status, &[("x-ms-request-id", "rid")], &body))
}

fn broken(sent: bool) -> Answer {
    Err(TransportError { sent, message: "connection reset".into() })
}

fn client(script: &Arc<Script>) -> Client {
    client_with(script, Arc::new(StaticTokens(Secret::new("token-1"))), 64)
}

fn client_with(script: &Arc<Script>, tokens: Arc<dyn Tokens>, max_concurrent_requests: usize) -> Client {
    let options = Options {
        user_agent: "test/1".into(),
        max_concurrent_requests,
        correlation_id: "correlation".into(),
    };
    Client::new(script.clone(), tokens, CloudSource::Known(Cloud::public()), options)
}

fn scope(minutes: u64) -> (Scope, CancellationToken) {
    let stop = CancellationToken::new();
    (Scope::new(Duration::from_secs(minutes * 60), stop.clone(), "creating Gallery \"g\""), stop)
}

fn target() -> Target {
    Target::new(PATH, "2026-03-03")
}

#[tokio::test(start_paused = true)]
async fn sends_all_headers_query_and_body() {
    let script = Script::new(vec![Ok(answer(200, &[], "{}"))]);
    let (scope, _) = scope(1);
    client(&script).put(&scope, &target().query("$expand", "x"), &json!({"a": 1})).await.unwrap();
    let seen = script.seen.lock().unwrap();
    let request = &seen[0];
    assert_eq!(request.url, format!("{ARM}{PATH}?api-version=2026-03-03&$expand=x"));
    assert_eq!(request.body.as_deref(), Some(b"{\"a\":1}".as_slice()));
    for (name, value) in [
        ("authorization", "Bearer token-1"),
        ("accept", "application/json"),
        ("content-type", "application/json"),
        ("user-agent", "test/1"),
        ("x-ms-correlation-request-id", "correlation"),
    ] {
        assert_eq!(request.header(name), Some(value));
    }
    assert_eq!(request.header("x-ms-client-request-id").unwrap().len(), 36);
    assert!(request.header("x-ms-authorization-auxiliary").is_none());
}

#[tokio::test(start_paused = true)]
async fn retries_429_and_503_after_the_requested_wait() {
    let script = Script::new(vec![
        Ok(answer(429, &[("retry-after", "7")], "{}")),
        Ok(answer(503, &[("x-ms-retry-after-ms", "1500")], "")),
        Ok(answer(200, &[], "{}")),
    ]);
    let (scope, _) = scope(5);
    let begun = Instant::now();
    assert_eq!(client(&script).get(&scope, &target()).await.unwrap(), json!({"id": PATH}));
    let took = begun.elapsed().as_secs_f64();
    assert!((8.5..10.0).contains(&took), "{took}");
    let ids: Vec<_> = script
        .seen
        .lock()
        .unwrap()
        .iter()
        .map(|r| r.header("x-ms-client-request-id").unwrap().to_owned())
        .collect();
    assert!(ids[0] != ids[1] && ids[1] != ids[2], "each attempt has its own ID");
}

#[tokio::test(start_paused = true)]
async fn fails_at_once_when_the_requested_wait_exceeds_the_timeout() {
    let script = Script::new(vec![Ok(answer(
        429,
        &[("retry-after", "600")],
        "{\"error\":{\"code\":\"TooManyRequests\",\"message\":\"m\"}}",
    ))]);
    let (scope, _) = scope(5);
    let begun = Instant::now();
    let error = client(&script).get(&scope, &target()).await.unwrap_err();
    assert!(error.is_throttled() && begun.elapsed() < Duration::from_secs(1), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_final_error_reports_attempts_and_elapsed_time() {
    let script = Script::new((0..20).map(|_| fault(500, "InternalServerError")).collect());
    let (scope, _) = scope(30);
    let error = client(&script).get(&scope, &target()).await.unwrap_err();
    assert_eq!((error.attempts, error.status, error.code()), (8, Some(500), "InternalServerError"));
    assert!(error.elapsed > Duration::from_secs(30));
    assert_eq!(error.path, PATH);
    let text = error.to_string();
    for part in [
        "GET /subscriptions/s",
        "500 InternalServerError",
        "request id rid",
        "correlation id correlation",
        "8 attempts in",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn retries_broken_connections_when_that_is_safe() {
    let (scope, _) = scope(30);
    // Reads and PUTs are retried; an action is not if it may have been carried out.
    let script = Script::new(vec![broken(true), broken(true), Ok(answer(200, &[], "{}"))]);
    assert!(client(&script).put(&scope, &target(), &json!({})).await.is_ok());
    let script = Script::new(vec![broken(true)]);
    let error = client(&script).post(&scope, &target(), None).await.unwrap_err();
    assert!(error.kind == Kind::Transport { sent: true } && error.may_have_acted());
    let script = Script::new(vec![broken(false), Ok(answer(200, &[], ""))]);
    assert!(client(&script).post(&scope, &target(), None).await.is_ok());
    // An unreachable host fails soon, and the error names it.
    let script = Script::new((0..9).map(|_| broken(false)).collect());
    let begun = Instant::now();
    let error = client(&script).get(&scope, &target()).await.unwrap_err();
    assert_eq!(error.attempts, 4);
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert!(error.to_string().contains("no answer: management.azure.com: connection reset"), "{error}");
}

/// A new token after each rejection.
#[derive(Default)]
struct Renewing {
    number: AtomicU32,
}

#[async_trait]
impl Tokens for Renewing {
    async fn token(&self) -> Result<Secret, Error> {
        Ok(Secret::new(format!("token-{}", self.number.load(Ordering::SeqCst))))
    }

    async fn auxiliary(&self) -> Result<Vec<Secret>, Error> {
        Ok(vec![Secret::new("aux-1"), Secret::new("aux-2")])
    }

    fn reject(&self, _token: &Secret) {
        self.number.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn renews_a_refused_token_once() {
    let (scope, _) = scope(1);
    let script = Script::new(vec![fault(401, "ExpiredAuthenticationToken"), Ok(answer(200, &[], "{}"))]);
    client_with(&script, Arc::new(Renewing::default()), 1).get(&scope, &target()).await.unwrap();
    {
        let seen = script.seen.lock().unwrap();
        assert_eq!(seen[0].header("authorization"), Some("Bearer token-0"));
        assert_eq!(seen[1].header("authorization"), Some("Bearer token-1"));
        assert_eq!(seen[0].header("x-ms-authorization-auxiliary"), Some("Bearer aux-1, Bearer aux-2"));
    }
    let script = Script::new(vec![fault(401, "A"), fault(401, "B"), fault(401, "C")]);
    let error =
        client_with(&script, Arc::new(Renewing::default()), 1).get(&scope, &target()).await.unwrap_err();
    assert_eq!((error.code(), error.attempts), ("B", 2));
}

#[tokio::test(start_paused = true)]
async fn retries_unreadable_answers() {
    let (scope, _) = scope(5);
    let html = || Ok(answer(200, &[("content-type", "text/html")], "<html><title>Sign in to Wi-Fi</title>"));
    let script = Script::new(vec![
        Ok(answer(200, &[], "{\"half")),
        Ok(answer(200, &[], "")),
        Ok(answer(200, &[], "{}")),
    ]);
    assert!(client(&script).get(&scope, &target()).await.is_ok());
    // JSON, but not the resource
    let other = PATH.replace("galleries/g", "images/g");
    let other = json!({"id": other, "properties": {}}).to_string();
    let pages = [
        "{\"error\":{\"code\":\"C\"}}",
        "{\"message\":\"maintenance\"}",
        "{\"value\":[]}",
        "{\"id\":1}",
        "{ }",
    ];
    for body in ["5", "null", "\"up\"", "[]", &other].into_iter().chain(pages) {
        let script = Script::new(vec![Ok(answer(200, &[], body)), Ok(answer(200, &[], "{}"))]);
        assert_eq!(client(&script).get(&scope, &target()).await.unwrap(), json!({"id": PATH}), "{body}");
    }
    let script = Script::new(vec![html(), html(), html(), html(), html()]);
    let error = client(&script).get(&scope, &target()).await.unwrap_err();
    assert_eq!((error.kind, error.attempts, error.status), (Kind::Malformed, 4, Some(200)));
    assert!(
        error.to_string().contains("HTML page") && error.to_string().contains("Sign in to Wi-Fi"),
        "{error}"
    );
    // A write with a malformed response was accepted; the operation in its headers counts.
    let script = Script::new(vec![Ok(answer(
        201,
        &[("azure-asyncoperation", "https://management.azure.com/op")],
        "{\"ha",
    ))]);
    let accepted = client(&script).put(&scope, &target(), &json!({"sent": 1})).await.unwrap();
    assert!(accepted.body == json!({"sent": 1}) && accepted.operation.is_some());
}

// A captive portal responds with 200 to a write that the service never received.
#[tokio::test(start_paused = true)]
async fn a_gateway_page_does_not_confirm_a_write() {
    let (scope, _) = scope(5);
    let html = || Ok(answer(200, &[("content-type", "text/html")], "<html><title>Sign in to Wi-Fi</title>"));
    let script = Script::new(vec![html(), Ok(answer(201, &[], "{}"))]);
    let accepted = client(&script).put(&scope, &target(), &json!({})).await.unwrap();
    assert_eq!((accepted.body, script.urls().len()), (json!({"id": PATH}), 2));
    let script = Script::new(vec![html(), Ok(answer(204, &[], ""))]);
    assert_eq!(client(&script).delete(&scope, &target()).await.unwrap().status, 204);
    let script = Script::new(vec![html(), html(), html(), html()]);
    let error = client(&script).delete(&scope, &target()).await.unwrap_err();
    assert!(error.kind == Kind::Malformed && error.may_have_acted(), "{error}");
    // requests that are not idempotent are not repeated
    let script = Script::new(vec![html()]);
    let error = client(&script).post(&scope, &target(), None).await.unwrap_err();
    assert_eq!((error.kind, error.attempts), (Kind::Malformed, 1));
    // a malformed response of the service itself does confirm it
    let script = Script::new(vec![Ok(answer(200, &[("x-ms-request-id", "7")], "{\"ha"))]);
    let accepted = client(&script).put(&scope, &target(), &json!({"sent": 1})).await.unwrap();
    assert_eq!(accepted.body, json!({"sent": 1}), "the sent body is returned");
}

#[tokio::test(start_paused = true)]
async fn redirects_are_refused() {
    let (scope, _) = scope(1);
    let script =
        Script::new(vec![Ok(answer(302, &[("location", "https://login.example/?next=secret")], ""))]);
    let error = client(&script).get(&scope, &target()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Refused);
    assert!(error.to_string().contains("login.example") && !error.to_string().contains("secret"), "{error}");
    assert_eq!(script.urls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn reads_and_deletes_of_absent_objects_succeed() {
    let (scope, _) = scope(1);
    let script = Script::new(vec![
        fault(404, "ResourceNotFound"),
        fault(404, "SubscriptionNotFound"),
        fault(404, "ParentResourceNotFound"),
        Ok(answer(204, &[], "")),
        fault(404, "SubscriptionNotFound"),
    ]);
    let client = client(&script);
    assert_eq!(client.get_opt(&scope, &target()).await.unwrap(), None);
    assert_eq!(client.get_opt(&scope, &target()).await.unwrap_err().code(), "SubscriptionNotFound");
    for status in [404, 204] {
        let gone = client.delete(&scope, &target()).await.unwrap();
        assert!(gone.status == status && gone.operation.is_none());
    }
    assert!(client.delete(&scope, &target()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn follows_links_of_lists_on_the_same_host_only() {
    let (scope, _) = scope(1);
    let second = format!("{ARM}{PATH}/images?api-version=1&%24skiptoken=a%20b");
    let first = json!({"value": [1], "nextLink": second}).to_string();
    let script = Script::new(vec![Ok(answer(200, &[], &first)), Ok(answer(200, &[], "{\"value\":[2,3]}"))]);
    assert_eq!(client(&script).list(&scope, &target()).await.unwrap(), [json!(1), json!(2), json!(3)]);
    assert_eq!(script.urls()[1], format!("GET {second}"), "links are used unchanged");

    let foreign = json!({"value": [], "nextLink": "https://evil.example/x"}).to_string();
    let script = Script::new(vec![Ok(answer(200, &[], &foreign))]);
    let error = client(&script).list(&scope, &target()).await.unwrap_err();
    assert_eq!((error.kind, script.urls().len()), (Kind::Refused, 1));
    assert!(error.to_string().contains("evil.example"), "{error}");

    let round = json!({"value": [], "nextLink": format!("{ARM}{PATH}?api-version=2026-03-03")}).to_string();
    let script = Script::new(vec![Ok(answer(200, &[], &round))]);
    let error = client(&script).list(&scope, &target()).await.unwrap_err();
    assert!(error.kind == Kind::Malformed && error.to_string().contains("read already"), "{error}");
}

const OPERATION: &str = "https://management.azure.com/subscriptions/s/op/1?api-version=1&t=2&s=a%2Bb";

fn status(word: &str) -> Answer {
    Ok(answer(200, &[], &json!({"status": word}).to_string()))
}

#[tokio::test(start_paused = true)]
async fn waits_for_an_operation() {
    let (scope, _) = scope(30);
    let script = Script::new(vec![
        Ok(answer(201, &[("azure-asyncoperation", OPERATION)], "{}")),
        status("InProgress"),
        Ok(answer(200, &[("retry-after", "60")], "{\"status\":\"InProgress\"}")),
        fault(404, "NotFound"),
        broken(false),
        status("Succeeded"),
    ]);
    let client = client(&script);
    let accepted = client.put(&scope, &target(), &json!({})).await.unwrap();
    let begun = Instant::now();
    let last = client.wait(&scope, &accepted.operation.unwrap()).await.unwrap();
    assert_eq!(last["status"], "Succeeded");
    let took = begun.elapsed().as_secs_f64();
    // 0.2 + 0.3 + 60 + 0.675, the retry of the broken connection, nothing else.
    assert!((61.0..63.0).contains(&took), "{took}");
    assert!(
        script.urls()[1..].iter().all(|url| *url == format!("GET {OPERATION}")),
        "poll URLs are used unchanged"
    );
}

#[tokio::test(start_paused = true)]
async fn waits_by_location_and_by_provisioning_state() {
    let (scope, _) = scope(30);
    let location = || Ok(answer(202, &[("location", OPERATION)], ""));
    let script = Script::new(vec![location(), location(), Ok(answer(204, &[], ""))]);
    let deleting = client(&script).delete(&scope, &target()).await.unwrap();
    assert!(client(&script).wait(&scope, &deleting.operation.unwrap()).await.unwrap().is_null());
    assert_eq!(script.urls().len(), 3);

    let state =
        |word: &str| Ok(answer(200, &[], &json!({"properties": {"provisioningState": word}}).to_string()));
    let script = Script::new(vec![state("Updating"), state("Updating"), state("Succeeded")]);
    let updating = client(&script).patch(&scope, &target(), &json!({})).await.unwrap();
    client(&script).wait(&scope, &updating.operation.unwrap()).await.unwrap();
    assert_eq!(script.urls()[2], format!("GET {ARM}{PATH}?api-version=2026-03-03"));
}

#[tokio::test(start_paused = true)]
async fn a_stored_operation_can_be_waited_for() {
    let (scope, _) = scope(30);
    let script = Script::new(vec![
        Ok(answer(202, &[("azure-asyncoperation", OPERATION), ("retry-after", "60")], "")),
        status("Succeeded"),
    ]);
    let accepted = client(&script).delete(&scope, &target()).await.unwrap();
    let stored = serde_json::to_value(accepted.operation.unwrap()).unwrap();
    let operation: Operation = serde_json::from_value(stored).unwrap();
    let begun = Instant::now();
    client(&script).wait(&scope, &operation).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "polled immediately");
}

#[tokio::test(start_paused = true)]
async fn a_failed_operation_carries_the_services_reason() {
    let (scope, _) = scope(30);
    let failed = json!({"status": "Failed", "error": {"code": "GalleryReplicationJobFailed", "message": "northeurope"}});
    let script = Script::new(vec![
        Ok(answer(201, &[("azure-asyncoperation", OPERATION)], "{}")),
        Ok(answer(200, &[], &failed.to_string())),
    ]);
    let accepted = client(&script).put(&scope, &target(), &json!({})).await.unwrap();
    let error = client(&script).wait(&scope, &accepted.operation.unwrap()).await.unwrap_err();
    assert_eq!(
        (error.kind, error.code(), error.method),
        (Kind::Operation, "GalleryReplicationJobFailed", Method::Put)
    );
    assert_eq!((error.path.as_str(), error.correlation_id.as_str()), (PATH, "correlation"));
}

#[tokio::test(start_paused = true)]
async fn poll_urls_on_other_hosts_are_refused() {
    let (scope, _) = scope(30);
    for url in ["https://evil.example/op", "http://management.azure.com/op"] {
        let script = Script::new(vec![Ok(answer(201, &[("azure-asyncoperation", url)], "{}"))]);
        let accepted = client(&script).put(&scope, &target(), &json!({})).await.unwrap();
        let error = client(&script).wait(&scope, &accepted.operation.unwrap()).await.unwrap_err();
        assert_eq!((error.kind, script.urls().len()), (Kind::Refused, 1), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_survives_a_short_outage_and_ends_after_a_long_one() {
    let (scope, _) = scope(60);
    let mut answers = vec![Ok(answer(201, &[("azure-asyncoperation", OPERATION)], "{}"))];
    answers.extend((0..12).map(|_| broken(false)));
    answers.push(status("Succeeded"));
    let script = Script::new(answers);
    let accepted = client(&script).put(&scope, &target(), &json!({})).await.unwrap();
    client(&script).wait(&scope, &accepted.operation.clone().unwrap()).await.unwrap();

    let script = Script::new((0..500).map(|_| broken(false)).collect());
    let begun = Instant::now();
    let error = client(&script).wait(&scope, &accepted.operation.unwrap()).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Transport { .. }));
    assert!((120..150).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_ends_a_wait_at_once() {
    let (scope, stop) = scope(30);
    let script = Script::new(vec![Ok(answer(
        201,
        &[("azure-asyncoperation", OPERATION), ("retry-after", "60")],
        "{}",
    ))]);
    let client = client(&script);
    let operation = client.put(&scope, &target(), &json!({})).await.unwrap().operation.unwrap();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        stop.cancel();
    });
    let begun = Instant::now();
    let error = client.wait(&scope, &operation).await.unwrap_err();
    assert!(error.is_stopped(), "{error}");
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
    assert!(error.to_string().contains("stopped while creating Gallery \"g\""), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_drops_reads_and_lets_writes_finish() {
    let ten = Duration::from_secs(10);
    for (write, took) in [(false, 1), (true, 10)] {
        let (scope, stop) = scope(30);
        let script = Script::slow(vec![Ok(answer(201, &[("azure-asyncoperation", OPERATION)], "{}"))], ten);
        let client = client(&script);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            stop.cancel();
        });
        let begun = Instant::now();
        if write {
            let accepted = client.put(&scope, &target(), &json!({})).await.unwrap();
            assert!(accepted.operation.is_some(), "it is known that the write was accepted");
        } else {
            assert!(client.get(&scope, &target()).await.unwrap_err().is_stopped());
        }
        assert_eq!(begun.elapsed(), Duration::from_secs(took));
        // No new request is sent.
        assert!(client.put(&scope, &target(), &json!({})).await.unwrap_err().is_stopped());
        assert_eq!(script.urls().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_after_a_lost_answer_reports_the_unknown_outcome() {
    let (scope, stop) = scope(30);
    let script = Script::new(vec![broken(true), broken(true), broken(true), broken(true)]);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(900)).await;
        stop.cancel();
    });
    let error = client(&script).put(&scope, &target(), &json!({})).await.unwrap_err();
    assert!(error.may_have_acted() && !error.is_stopped(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_response_makes_the_outcome_of_later_errors_unknown() {
    let long = || Ok(answer(429, &[("retry-after", "7200")], "{}"));
    let soon = || Ok(answer(429, &[("retry-after", "120")], "{}"));
    type Row = (&'static str, Vec<Answer>);
    let rows: [Row; 7] = [
        ("refused for too long", vec![broken(true), long()]),
        ("forbidden", vec![broken(true), fault(403, "AuthorizationFailed")]),
        ("a permanent conflict", vec![fault(502, "BadGateway"), fault(409, "Conflict")]),
        ("unreachable", vec![broken(true), broken(false), broken(false), broken(false)]),
        ("time passes", vec![broken(true), soon(), soon(), soon(), soon(), soon(), soon(), soon(), soon()]),
        ("stopped", vec![broken(true), soon()]),
        ("no token", vec![broken(true), fault(401, "ExpiredAuthenticationToken")]),
    ];
    for (what, answers) in rows {
        let (scope, stop) = scope(15);
        let script = Script::new(answers);
        let tokens: Arc<dyn Tokens> =
            if what == "no token" { Arc::new(OneToken::default()) } else { Arc::new(Renewing::default()) };
        if what == "stopped" {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(30)).await;
                stop.cancel();
            });
        }
        let error = client_with(&script, tokens, 1).put(&scope, &target(), &json!({})).await.unwrap_err();
        assert!(error.may_have_acted(), "{what}: {error}");
    }
    let script = Script::new(vec![broken(false), fault(403, "AuthorizationFailed")]);
    let error = client(&script).put(&scope(15).0, &target(), &json!({})).await.unwrap_err();
    assert!(!error.may_have_acted(), "{error}");
}

/// Fails to fetch a second token.
#[derive(Default)]
struct OneToken {
    rejected: AtomicU32,
}

#[async_trait]
impl Tokens for OneToken {
    async fn token(&self) -> Result<Secret, Error> {
        match self.rejected.load(Ordering::SeqCst) {
            0 => Ok(Secret::new("token-0")),
            _ => Err(Error::new(Kind::Credential { transient: false }, "expired")),
        }
    }

    async fn auxiliary(&self) -> Result<Vec<Secret>, Error> {
        Ok(Vec::new())
    }

    fn reject(&self, _token: &Secret) {
        self.rejected.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn polls_once_more_before_the_timeout() {
    let (scope, _) = scope(10);
    let mut answers = vec![Ok(answer(201, &[("azure-asyncoperation", OPERATION)], "{}"))];
    answers
        .extend((0..99).map(|_| Ok(answer(200, &[("retry-after", "240")], "{\"status\":\"InProgress\"}"))));
    let script = Script::new(answers);
    let begun = Instant::now();
    let operation = client(&script).put(&scope, &target(), &json!({})).await.unwrap().operation.unwrap();
    let error = client(&script).wait(&scope, &operation).await.unwrap_err();
    assert!(error.is_timed_out(), "{error}");
    assert!(error.to_string().contains("the timeout of 10m passed"), "{error}");
    assert_eq!(begun.elapsed(), Duration::from_secs(600));
    // Polls at 0.2 s, 4 min, 8 min, and one second before the deadline.
    assert_eq!(script.urls().len(), 1 + 4);

    let slow = Script::slow(vec![], Duration::from_secs(3600));
    let (scope, _) = self::scope(1);
    assert!(client(&slow).get(&scope, &target()).await.unwrap_err().is_timed_out());
    assert!(client(&slow).get(&scope, &target()).await.unwrap_err().is_timed_out());
    assert_eq!(slow.urls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn limits_concurrent_requests() {
    let script = Script::slow(vec![], Duration::from_millis(50));
    let client = client_with(&script, Arc::new(StaticTokens(Secret::new("t"))), 3);
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.get(&scope(5).0, &target()).await.map(|_| ()) })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(script.most_at_once.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn one_429_pauses_all_reads_of_its_subscription() {
    let script =
        Script::slow(vec![Ok(answer(429, &[("retry-after", "20")], "{}"))], Duration::from_millis(50));
    let client = client(&script);
    let first = tokio::spawn({
        let client = client.clone();
        async move { client.get(&scope(5).0, &target()).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    client.get(&scope(5).0, &Target::new("/subscriptions/s/locations", "1")).await.unwrap();
    assert!(begun.elapsed() > Duration::from_secs(19), "{:?}", begun.elapsed());
    let begun = Instant::now();
    client.put(&scope(5).0, &target(), &json!({})).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "writes have a separate budget");
    client.get(&scope(5).0, &Target::new("/subscriptions/other", "1")).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "so does another subscription");
    first.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_empty_200_of_a_proxy_is_not_a_success() {
    let (scope, _) = scope(30);
    let proxys = || Ok(answer(200, &[], ""));
    let script = Script::new((0..4).map(|_| proxys()).collect());
    let error = client(&script).delete(&scope, &target()).await.unwrap_err();
    assert!(error.kind == Kind::Malformed && error.may_have_acted(), "{error}");
    let script = Script::new(vec![proxys(), Ok(answer(200, &[("x-ms-request-id", "7")], ""))]);
    assert_eq!(client(&script).delete(&scope, &target()).await.unwrap().status, 200);
    let script = Script::new(vec![
        Ok(answer(202, &[("azure-asyncoperation", OPERATION)], "")),
        proxys(),
        status("InProgress"),
        status("Succeeded"),
    ]);
    let deleting = client(&script).delete(&scope, &target()).await.unwrap();
    client(&script).wait(&scope, &deleting.operation.unwrap()).await.unwrap();
    assert_eq!(script.urls().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn never_sends_tokens_over_plain_http() {
    let script = Script::new(vec![]);
    let mut cloud = Cloud::public();
    cloud.resource_manager = "http://arm.example".into();
    let options =
        Options { user_agent: "t".into(), max_concurrent_requests: 1, correlation_id: String::new() };
    let tokens = Arc::new(StaticTokens(Secret::new("t")));
    let client =
        Client::new(script.clone(), tokens.clone(), CloudSource::Known(cloud.clone()), options.clone());
    let error = client.get(&scope(1).0, &target()).await.unwrap_err();
    assert!(error.kind == Kind::Refused && script.urls().is_empty(), "{error}");
    cloud.resource_manager = "http://127.0.0.1:8080".into();
    let client = Client::new(script.clone(), tokens, CloudSource::Known(cloud), options);
    client.get(&scope(1).0, &target()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn reports_a_failed_cloud_discovery_with_the_call() {
    let script = Script::new((0..4).map(|_| broken(false)).collect());
    let options =
        Options { user_agent: "t".into(), max_concurrent_requests: 1, correlation_id: String::new() };
    let source = CloudSource::Discover { metadata_host: "arm.local:8443".into() };
    let client = Client::new(script.clone(), Arc::new(StaticTokens(Secret::new("t"))), source, options);
    let error = client.get(&scope(1).0, &target()).await.unwrap_err().to_string();
    assert!(
        error.contains("requesting the endpoints of arm.local:8443") && error.contains("connection reset"),
        "{error}"
    );
}

#[path = "versions_tests.rs"]
mod versions;

#[tokio::test(start_paused = true)]
async fn an_untrusted_certificate_is_not_retried() {
    let untrusted = TransportError { sent: false, message: "invalid peer certificate: UnknownIssuer".into() };
    let script = Script::new(vec![Err(untrusted)]);
    let error = client(&script).get(&scope(1).0, &target()).await.unwrap_err();
    assert_eq!((error.attempts, error.kind), (1, Kind::Transport { sent: false }));
}
