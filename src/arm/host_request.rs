//! Requests to hosts other than Resource Manager, for endpoints and tokens, with a time limit and retries.

use std::time::Duration;

use super::error;
use super::redact;
use super::transport::{Request, Response, Transport};

/// Why a request got no usable response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The reason. It names the host and contains no secrets.
    pub why: String,
    /// A later request may succeed: there was no response, a malformed one, or the host is overloaded.
    pub transient: bool,
}

impl Failure {
    /// A failure that may be temporary.
    pub fn transient(why: impl Into<String>) -> Self {
        Self { why: why.into(), transient: true }
    }
}

impl<T: Into<String>> From<T> for Failure {
    fn from(why: T) -> Self {
        Self { why: why.into(), transient: false }
    }
}

/// The time limit of one request, short enough for a retry within the time limit of signing in.
const ANSWER_LIMIT: Duration = Duration::from_secs(9);
/// The maximum number of attempts, which together with the pauses take at most half a minute.
const ATTEMPTS: u32 = 3;
/// The pause after the first attempt. It doubles after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Sends `request` until `read` accepts the response, a failure is not transient, or the attempts are used up.
pub async fn send<T>(
    transport: &dyn Transport,
    request: Request,
    read: impl Fn(&Response) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut pause = FIRST_PAUSE;
    let mut attempt = 1;
    loop {
        let failure = match send_once(transport, request.clone()).await.and_then(|response| read(&response)) {
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

/// Sends `request` once and waits for the response until the time limit.
pub async fn send_once(transport: &dyn Transport, request: Request) -> Result<Response, Failure> {
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

/// The failure of an unexpected `response`. `reason` comes from its body.
pub fn refusal(host: &str, response: &Response, reason: Option<String>) -> Failure {
    let status = response.status;
    // A success with unexpected content comes from an intermediary, such as a captive portal.
    let transient = matches!(status, 200..=299 | 408 | 429 | 500..=599);
    let reason = reason.unwrap_or_else(|| error::not_json(response));
    Failure { why: format!("{host} answered {status}: {reason}"), transient }
}

/// The host of a URL, with its port unless that is the default.
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

    /// Returns the statuses in order and repeats the last; 0 means no response.
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
    async fn retries_only_transient_failures() {
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
            let answer = send(&transport, request, |response| match response.status {
                200 => Ok(()),
                _ => Err(refusal("h:1", response, Some("no".to_owned()))),
            });
            let answer = answer.await.map_err(|failure| failure.why);
            assert_eq!(answer, expected.map_err(str::to_owned), "{statuses:?}");
            assert_eq!(begun.elapsed().as_secs(), seconds, "{statuses:?}");
        }
    }
}
