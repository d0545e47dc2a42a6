//! Responses that do not come from the service: HTML pages, other statuses and other objects; and ends of waits.

use super::*;

fn html(status: u16) -> Answer {
    let headers = [("content-type", "text/html"), ("x-ms-request-id", "rid")];
    Ok(answer(status, &headers, "<html><title>Sign in</title></html>"))
}

fn many(answer: fn() -> Answer) -> Vec<Answer> {
    (0..50).map(|_| answer()).collect()
}

/// An HTML page does not show whether the service carried out a write, regardless of its status and headers.
#[tokio::test(start_paused = true)]
async fn html_after_a_write_leaves_the_outcome_unknown() {
    for status in [200, 201, 302, 400, 403, 404, 409, 500, 502, 503] {
        for method in [Method::Put, Method::Delete, Method::Post] {
            let script = Script::new((0..50).map(|_| html(status)).collect());
            let (client, scope) = (client(&script), scope(10).0);
            let result = match method {
                Method::Put => client.put(&scope, &target(), &json!({})).await,
                Method::Delete => client.delete(&scope, &target()).await,
                _ => client.post(&scope, &target(), None).await,
            };
            let error = result.unwrap_err();
            assert!(error.may_have_acted(), "{method} {status}: {error}");
            assert!(error.to_string().contains("may have carried it out"), "{method} {status}: {error}");
            assert!(!error.is_not_found(), "{method} {status}");
        }
        let script = Script::new((0..50).map(|_| html(status)).collect());
        let error = client(&script).get(&scope(10).0, &target()).await.unwrap_err();
        assert!(!error.may_have_acted(), "reads change nothing: {status}");
    }
    // An error of the service itself shows that it did not act.
    let script = Script::new(vec![fault(403, "AuthorizationFailed")]);
    let error = client(&script).put(&scope(1).0, &target(), &json!({})).await.unwrap_err();
    assert!(!error.may_have_acted() && !error.to_string().contains("carried it out"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_status_that_resource_manager_does_not_use_is_not_a_success() {
    for status in [203, 206, 207, 226] {
        let multi = move || Ok(answer(status, &[("x-ms-request-id", "rid")], "{}"));
        let script = Script::new((0..9).map(|_| multi()).collect());
        let begun = Instant::now();
        let error = client(&script).put(&scope(10).0, &target(), &json!({})).await.unwrap_err();
        assert_eq!((error.kind, error.attempts), (Kind::Malformed, 4), "{error}");
        assert!(error.may_have_acted() && begun.elapsed() < Duration::from_secs(10), "{error}");
    }
}

/// Polling an unreadable operation ends soon, so that the object can be read instead.
#[tokio::test(start_paused = true)]
async fn stops_polling_an_unreadable_operation_within_half_a_minute() {
    let gone = || fault(410, "Gone");
    let rows: [(fn() -> Answer, u64); 5] = [
        (|| html(200), 30),
        (|| Ok(answer(207, &[], "{}")), 30),
        (|| Ok(answer(200, &[], "{\"half")), 30),
        (gone, 1),
        (|| html(403), 1),
    ];
    for (poll, seconds) in rows {
        let mut answers = vec![Ok(answer(201, &[("azure-asyncoperation", OPERATION)], "{}"))];
        answers.extend(many(poll));
        let script = Script::new(answers);
        let (client, scope) = (client(&script), scope(30).0);
        let operation = client.put(&scope, &target(), &json!({})).await.unwrap().operation.unwrap();
        let begun = Instant::now();
        let error = client.wait(&scope, &operation).await.unwrap_err();
        assert!(error.is_operation_unreadable(), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(seconds), "{error} after {:?}", begun.elapsed());
    }
    let failed = json!({"status": "Failed", "error": {"code": "C", "message": "m"}}).to_string();
    let script = Script::new(vec![
        Ok(answer(201, &[("azure-asyncoperation", OPERATION)], "{}")),
        Ok(answer(200, &[], &failed)),
    ]);
    let (client, scope) = (client(&script), scope(30).0);
    let operation = client.put(&scope, &target(), &json!({})).await.unwrap().operation.unwrap();
    let error = client.wait(&scope, &operation).await.unwrap_err();
    assert!(!error.is_operation_unreadable(), "a failed operation is readable: {error}");
}

/// A response with another ID or none is not the requested resource, with `$expand` too. Lists, actions and resources
/// under `locations` have no ID to check.
#[tokio::test(start_paused = true)]
async fn a_response_without_the_requested_id_is_malformed() {
    let compute = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute";
    for path in
        ["galleries/g", "galleries/g/images/i/versions/1.0.0", "images/i", "virtualMachines/v", "disks/d"]
    {
        let target = Target::at(format!("{compute}/{path}")).query("$expand", "x");
        for body in ["{\"properties\":{}}", "{\"id\":null}", "{\"id\":\"/subscriptions/s\"}"] {
            let script =
                Script::new((0..9).map(|_| Ok(answer(200, &[("x-ms-request-id", "1")], body))).collect());
            let error = client(&script).get_opt(&scope(5).0, &target).await.unwrap_err();
            assert_eq!((error.kind, error.attempts), (Kind::Malformed, 4), "{path} {body}: {error}");
        }
        let upper = json!({"id": target.path().to_uppercase()}).to_string();
        let script = Script::new(vec![Ok(answer(200, &[], "{\"a\":1}")), Ok(answer(200, &[], &upper))]);
        client(&script).get(&scope(5).0, &target).await.unwrap();
        assert_eq!(script.urls().len(), 2, "asked again");
    }
    let community = "/subscriptions/s/providers/Microsoft.Compute/locations/l/communityGalleries/g";
    for path in [community, "/subscriptions/s/locations"] {
        let script = Script::new(vec![Ok(answer(200, &[], "{\"name\":\"g\"}"))]);
        client(&script).get(&scope(5).0, &Target::at(path)).await.unwrap();
    }
}

/// A response to a PUT counts if it comes from the service or contains the resource.
#[tokio::test(start_paused = true)]
async fn a_put_succeeds_only_with_the_resource_or_a_response_of_the_service() {
    let foreign = || Ok(answer(200, &[], "{\"message\":\"maintenance\"}"));
    let script = Script::new(vec![foreign(), foreign(), foreign(), foreign()]);
    let error = client(&script).put(&scope(5).0, &target(), &json!({})).await.unwrap_err();
    assert!(error.kind == Kind::Malformed && error.may_have_acted(), "{error}");
    let own = Ok(answer(200, &[("x-ms-request-id", "1")], "{\"message\":\"odd\"}"));
    let script = Script::new(vec![own]);
    let accepted = client(&script).put(&scope(5).0, &target(), &json!({"sent": 1})).await.unwrap();
    assert_eq!(accepted.body, json!({"sent": 1}));
    let script = Script::new(vec![Ok(answer(200, &[], "")), Ok(answer(200, &[], "{}"))]);
    client(&script).put(&scope(5).0, &target(), &json!({})).await.unwrap();
    assert_eq!(script.urls().len(), 2, "an empty 200 of a proxy is not a success");
}

#[tokio::test(start_paused = true)]
async fn retries_a_conflict_with_an_operation_in_progress() {
    let busy = || {
        let message = "Another operation on this or dependent resource is in progress.";
        let body = json!({"error": {"code": "OperationNotAllowed", "message": message}});
        Ok(answer(409, &[("x-ms-request-id", "rid")], &body.to_string()))
    };
    let script = Script::new((0..12).map(|_| busy()).collect());
    client(&script).put(&scope(10).0, &target(), &json!({})).await.unwrap();
    assert_eq!(script.urls().len(), 13);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_includes_the_last_response() {
    // Within one call.
    let script = Script::new((0..50).map(|_| Ok(answer(503, &[("retry-after", "7")], "{}"))).collect());
    let stop = CancellationToken::new();
    let short = Scope::new(Duration::from_secs(20), stop, "creating Gallery \"g\"");
    let error = client(&script).get(&short, &target()).await.unwrap_err();
    assert!(error.to_string().contains("503"), "{error}");
    // Between polls.
    let mut answers = vec![Ok(answer(201, &[("azure-asyncoperation", OPERATION)], "{}"))];
    answers.extend((0..99).map(|_| broken(false)));
    let script = Script::new(answers);
    let client = client(&script);
    let operation = client.put(&scope(1).0, &target(), &json!({})).await.unwrap().operation.unwrap();
    let error = client.wait(&scope(1).0, &operation).await.unwrap_err();
    assert!(error.is_timed_out(), "{error}");
    let text = error.to_string();
    assert!(text.contains("the timeout of 1m passed") && text.contains("connection reset"), "{text}");
}

/// Signing in fails for the first minute.
struct Outage(Instant);

#[async_trait]
impl Tokens for Outage {
    async fn token(&self) -> Result<Secret, Error> {
        if (1..60).contains(&self.0.elapsed().as_secs()) {
            return Err(Error::new(Kind::Credential { transient: true }, "login.example does not answer"));
        }
        Ok(Secret::new("token"))
    }

    async fn auxiliary(&self) -> Result<Vec<Secret>, Error> {
        Ok(Vec::new())
    }

    fn reject(&self, _token: &Secret) {}
}

#[tokio::test(start_paused = true)]
async fn polling_continues_after_a_temporary_credential_error() {
    let mut answers = vec![Ok(answer(201, &[("azure-asyncoperation", OPERATION)], "{}"))];
    answers.extend([status("InProgress"), status("InProgress"), status("InProgress"), status("Succeeded")]);
    let script = Script::new(answers);
    let client = client_with(&script, Arc::new(Outage(Instant::now())), 4);
    let scope = scope(10).0;
    let operation = client.put(&scope, &target(), &json!({})).await.unwrap().operation.unwrap();
    let begun = Instant::now();
    client.wait(&scope, &operation).await.unwrap();
    assert!((59..75).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

/// After an interrupt, a stalled write ends after the grace period, and its outcome is unknown.
#[tokio::test(start_paused = true)]
async fn waits_for_an_interrupted_write_only_for_the_grace_period() {
    let (scope, stop) = scope(30);
    let script = Script::slow(vec![], Duration::from_secs(3600));
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.cancel();
    });
    let begun = Instant::now();
    let error = client(&script).put(&scope, &target(), &json!({})).await.unwrap_err();
    assert!(error.may_have_acted(), "{error}");
    assert_eq!(begun.elapsed(), Duration::from_secs(5) + crate::arm::scope::WRITE_GRACE);
    assert!(error.to_string().contains("the service may have carried it out"), "{error}");
    assert_eq!(script.urls().len(), 1);
}
