//! Requests to hosts other than Resource Manager, for endpoints and tokens: bounded, and repeated when the answer is unusable.

use std::time::Duration;

use super::error;
use super::redact;
use super::transport::{Request, Response, Transport};

/// Why a request got no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The reason, with the host in it, without secrets.
    pub why: String,
    /// A later request may succeed: no answer, a garbled one, or a host that is overloaded.
    pub transient: bool,
}

impl Failure {
    /// A failure that may pass.
    pub fn transient(why: impl Into<String>) -> Self {
        Self { why: why.into(), transient: true }
    }
}

impl<T: Into<String>> From<T> for Failure {
    fn from(why: T) -> Self {
        Self { why: why.into(), transient: false }
    }
}

/// How long one request may take. A lost answer is then asked for again within the time of a sign-in.
const ANSWER_LIMIT: Duration = Duration::from_secs(9);
/// How often a request is sent at most: together with the pauses, no longer than half a minute.
const ATTEMPTS: u32 = 3;
/// The pause after the first attempt; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Sends `request` until `read` accepts the answer, until a failure that is not transient, or until no attempt is left.
pub async fn ask<T>(
    transport: &dyn Transport,
    request: Request,
    read: impl Fn(&Response) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut pause = FIRST_PAUSE;
    let mut attempt = 1;
    loop {
        let failure = match ask_once(transport, request.clone()).await.and_then(|response| read(&response)) {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        if !failure.transient || attempt == ATTEMPTS {
            return Err(failure);
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
        attempt += 1;
    }
}

/// Sends `request` once and waits a limited time for the answer.
pub async fn ask_once(transport: &dyn Transport, request: Request) -> Result<Response, Failure> {
    let host = host(&request.url);
    match tokio::time::timeout(ANSWER_LIMIT, transport.send(request)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => Err(Failure {
            why: format!("{host} did not answer: {}", redact::text(&error.message)),
            transient: !error.is_lasting(),
        }),
        Err(_) => {
            Err(Failure::transient(format!("{host} did not answer within {} s", ANSWER_LIMIT.as_secs())))
        }
    }
}

/// The failure that `response` stands for when it is not the answer that was asked for: `reason` is what its body says.
pub fn refusal(host: &str, response: &Response, reason: Option<String>) -> Failure {
    let status = response.status;
    // A success without the wanted content comes from something in between, such as a sign-in page.
    let transient = matches!(status, 200..=299 | 408 | 429 | 500..=599);
    let reason = reason.unwrap_or_else(|| error::not_json(response));
    Failure { why: format!("{host} answered {status}: {reason}"), transient }
}

/// The host of a URL, with its port when it is not the usual one.
pub fn host(url: &str) -> String {
    url::Url::parse(url)
        .map(|url| url[url::Position::BeforeHost..url::Position::AfterPort].to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::arm::transport::{Method, TransportError};

    /// Gives one status after another, the last for ever; 0 is no answer at all.
    struct Statuses(Mutex<Vec<u16>>);

    #[async_trait]
    impl Transport for Statuses {
        async fn send(&self, _request: Request) -> Result<Response, TransportError> {
            let status = {
                let mut left = self.0.lock().unwrap();
                if left.len() > 1 { left.remove(0) } else { left[0] }
            };
            if status == 0 {
                std::future::pending::<()>().await;
            }
            Ok(Response { status, headers: vec![], body: b"{}".to_vec() })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn asks_again_after_transient_failures_only() {
        for (statuses, expected, seconds) in [
            (vec![200], Ok(()), 0),
            (vec![503, 200], Ok(()), 0),
            (vec![0, 0, 200], Ok(()), 19),
            (vec![400, 200], Err("h:1 answered 400: no"), 0),
            (vec![503], Err("h:1 answered 503: no"), 1),
            (vec![0], Err("h:1 did not answer within 9 s"), 28),
        ] {
            let transport = Statuses(Mutex::new(statuses.clone()));
            let request =
                Request { method: Method::Get, url: "https://h:1/x".to_owned(), headers: vec![], body: None };
            let begun = tokio::time::Instant::now();
            let answer = ask(&transport, request, |response| match response.status {
                200 => Ok(()),
                _ => Err(refusal("h:1", response, Some("no".to_owned()))),
            });
            let answer = answer.await.map_err(|failure| failure.why);
            assert_eq!(answer, expected.map_err(str::to_owned), "{statuses:?}");
            assert_eq!(begun.elapsed().as_secs(), seconds, "{statuses:?}");
        }
    }
}
