//! How long calls wait after their own refusals and those of other calls.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_long_pause_fails_calls_that_cannot_wait_for_its_end() {
    let script = Script::new(vec![Ok(answer(429, &[("retry-after", "86400")], "{}"))]);
    let client = client(&script);
    assert!(client.get(&scope(5).0, &target()).await.unwrap_err().is_throttled());
    let begun = Instant::now();
    let error = client.get(&scope(5).0, &target()).await.unwrap_err();
    assert!(error.is_throttled() && begun.elapsed() < Duration::from_secs(1), "{error}");
    let text = error.to_string();
    assert!(text.contains("429 TooManyRequests: an earlier request of this kind was refused"), "{text}");
    assert_eq!(script.urls().len(), 1);
    // a call with enough time waits and tries again
    client.get(&scope(30).0, &target()).await.unwrap();
    assert!((300..302).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_of_zero_still_backs_off() {
    let refused = || Ok(answer(429, &[("retry-after", "0")], "{}"));
    let script = Script::new((0..250).map(|_| refused()).collect());
    let begun = Instant::now();
    assert!(client(&script).get(&scope(30).0, &target()).await.unwrap_err().is_throttled());
    assert!(begun.elapsed() > Duration::from_secs(20 * 60), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn throttling_does_not_use_up_the_attempts_of_other_failures() {
    let mut answers: Vec<Answer> = (0..9).map(|_| Ok(answer(429, &[("retry-after", "1")], "{}"))).collect();
    answers.push(fault(502, "BadGateway"));
    let script = Script::new(answers);
    client(&script).put(&scope(30).0, &target(), &json!({})).await.unwrap();
    assert_eq!(script.urls().len(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_retry_occupies_no_concurrency_slot() {
    let script = Script::new(vec![broken(true), broken(true), broken(true), broken(true), broken(true)]);
    let client = client_with(&script, Arc::new(StaticTokens(Secret::new("t"))), 1);
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.get(&scope(5).0, &target()).await }
    });
    // the fifth attempt comes after at most 7.5 s, the sixth after at least 7.75 s
    tokio::time::sleep(Duration::from_millis(7600)).await;
    let begun = Instant::now();
    client.get(&scope(5).0, &target()).await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(10), "{:?}", begun.elapsed());
    waiting.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn polls_at_least_every_five_minutes() {
    let day = ("retry-after", "86400");
    let script = Script::new(vec![
        Ok(answer(201, &[("azure-asyncoperation", OPERATION), day], "{}")),
        Ok(answer(200, &[day], "{\"status\":\"InProgress\"}")),
        status("Succeeded"),
    ]);
    let client = client(&script);
    let (scope, _) = scope(60);
    let begun = Instant::now();
    let operation = client.put(&scope, &target(), &json!({})).await.unwrap().operation.unwrap();
    client.wait(&scope, &operation).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 600);
}
