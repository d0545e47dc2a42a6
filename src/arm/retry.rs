//! Decides what to do after an attempt of a request. A pure function, so that a table can test every rule.

use std::time::Duration;

use time::OffsetDateTime;

use super::error::is_timeout_code;
use super::retry_after::retry_after;
use super::transport::{Method, Response};

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// Use the response.
    Done,
    /// Retry after this wait.
    Wait(Duration),
    /// The token was rejected: retry immediately with a new one.
    NewToken,
    /// Fail with the response, or its absence.
    GiveUp,
}

/// One attempt.
#[derive(Clone, Copy)]
pub struct Try<'a> {
    /// 1 for the first.
    pub attempt: u32,
    /// How many of the earlier attempts only [asked to wait](Try::asks_to_wait).
    pub waits: u32,
    /// The method.
    pub method: Method,
    /// The outcome.
    pub outcome: Outcome<'a>,
    /// The time until the caller's deadline.
    pub remaining: Duration,
    /// The current time, for waits that are dates.
    pub now: OffsetDateTime,
    /// A random number from 0 to 1, so that many clients do not retry at the same time.
    pub jitter: f64,
}

/// The outcome.
#[derive(Clone, Copy)]
pub enum Outcome<'a> {
    /// A response that is not a success.
    Answer {
        /// The response.
        response: &'a Response,
        /// The error code in its body, or empty.
        code: &'a str,
        /// Whether it is a temporary conflict.
        is_temporary: bool,
        /// Whether it comes from a gateway or proxy, which does not know whether the service acted.
        is_from_gateway: bool,
        /// Whether an earlier attempt already fetched a new token.
        renewed: bool,
    },
    /// A success with an unexpected body.
    Malformed,
    /// No response.
    NoAnswer {
        /// Whether the request may have reached the service.
        sent: bool,
        /// Whether retrying cannot help.
        lasting: bool,
    },
}

/// The number of attempts if the request does not reach the service, as with a wrong name or a closed port.
const UNREACHABLE_TRIES: u32 = 4;
/// The number of attempts if connections break after sending the request.
const BROKEN_TRIES: u32 = 10;
/// The number of attempts if a success has an unexpected body.
const MALFORMED_TRIES: u32 = 4;
/// The number of attempts if the service fails (500) or is unavailable (502, 503, 504) without requesting a wait.
const SERVER_ERROR_TRIES: u32 = 8;
/// The number of attempts if the service requests a wait or is only busy. In practice, the caller's timeout is the limit.
const REQUESTED_WAIT_TRIES: u32 = 200;

/// The next step after `tried`.
///
/// Idempotent requests are repeated if that could help. POST and PATCH are repeated only if the service certainly did not
/// act. A wait that exceeds the caller's deadline is not begun.
pub fn next_try(tried: Try<'_>) -> Next {
    let (limit, asked) = match tried.again() {
        Ok(again) => again,
        Err(next) => return next,
    };
    // Attempts that only asked to wait do not count towards the limit of other failures.
    let waits = if limit == REQUESTED_WAIT_TRIES { 0 } else { tried.waits };
    let attempt = tried.attempt.saturating_sub(waits);
    let wait = wait(attempt, asked, tried.jitter);
    if attempt >= limit || wait >= tried.remaining { Next::GiveUp } else { Next::Wait(wait) }
}

impl Try<'_> {
    /// True if the service asked to wait or is only busy.
    pub fn asks_to_wait(&self) -> bool {
        matches!(self.again(), Ok((REQUESTED_WAIT_TRIES, _)))
    }

    /// The number of attempts for an outcome like this, and the requested wait; or the next step if it is not a retry.
    fn again(&self) -> Result<(u32, Option<Duration>), Next> {
        let idempotent = self.method.is_idempotent();
        Ok(match self.outcome {
            Outcome::NoAnswer { lasting: true, .. } => return Err(Next::GiveUp),
            Outcome::NoAnswer { sent: false, .. } => (UNREACHABLE_TRIES, None),
            Outcome::NoAnswer { sent: true, .. } if idempotent => (BROKEN_TRIES, None),
            Outcome::NoAnswer { sent: true, .. } => return Err(Next::GiveUp),
            Outcome::Malformed if idempotent => (MALFORMED_TRIES, None),
            Outcome::Malformed => return Err(Next::GiveUp),
            Outcome::Answer { response, code, is_temporary, is_from_gateway, renewed } => {
                let asked = retry_after(response, self.now);
                let limit = if asked.is_some() { REQUESTED_WAIT_TRIES } else { SERVER_ERROR_TRIES };
                match response.status {
                    200..=299 => return Err(Next::Done),
                    401 if !renewed => return Err(Next::NewToken),
                    429 => (REQUESTED_WAIT_TRIES, asked),
                    503 if !idempotent && is_timeout_code(code) => return Err(Next::GiveUp),
                    408 | 503 if !idempotent && is_from_gateway => return Err(Next::GiveUp),
                    408 | 503 => (limit, asked),
                    500 | 502 | 504 if idempotent => (limit, asked),
                    409 if is_temporary => (REQUESTED_WAIT_TRIES, asked),
                    _ => return Err(Next::GiveUp),
                }
            }
        })
    }
}

/// The requested wait, or 0.5 s doubling to 30 s, plus `jitter`. It is never shorter than requested.
fn wait(attempt: u32, asked: Option<Duration>, jitter: f64) -> Duration {
    match asked.filter(|asked| !asked.is_zero()) {
        Some(asked) => asked + Duration::from_millis((jitter * 500.0) as u64),
        None => {
            let longest = (0.5 * f64::from(1u32 << attempt.saturating_sub(1).min(6))).min(30.0);
            Duration::from_secs_f64(longest * (0.5 + 0.5 * jitter.clamp(0.0, 1.0)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn answer(status: u16, after: Option<&str>) -> Response {
        let headers = after.map(|v| ("retry-after".to_owned(), v.to_owned())).into_iter().collect();
        Response { status, headers, body: vec![] }
    }

    fn refusal<'a>(response: &'a Response, code: &'a str) -> Outcome<'a> {
        Outcome::Answer { response, code, is_temporary: false, is_from_gateway: false, renewed: false }
    }

    fn next(method: Method, attempt: u32, remaining: Duration, outcome: Outcome<'_>) -> Next {
        let now = OffsetDateTime::UNIX_EPOCH;
        next_try(Try { attempt, waits: 0, method, outcome, remaining, now, jitter: 1.0 })
    }

    #[test]
    fn retries_answers_by_method_and_status() {
        use Method::{Delete, Get, Patch, Post, Put};
        let s = Duration::from_secs;
        let half = Duration::from_millis(500);
        let rows = [
            (Get, 1, 200, None, "", Next::Done),
            (Put, 1, 201, None, "", Next::Done),
            (Delete, 1, 204, None, "", Next::Done),
            (Get, 1, 302, None, "", Next::GiveUp),
            (Get, 1, 400, None, "BadRequest", Next::GiveUp),
            (Get, 1, 403, None, "AuthorizationFailed", Next::GiveUp),
            (Get, 1, 404, Some("5"), "ResourceNotFound", Next::GiveUp),
            (Get, 1, 401, None, "", Next::NewToken),
            (Post, 1, 401, None, "", Next::NewToken),
            (Put, 1, 409, None, "Conflict", Next::GiveUp),
            (Post, 3, 429, None, "", Next::Wait(s(2))),
            (Post, 1, 429, Some("17"), "", Next::Wait(s(17) + half)),
            (Get, 5, 429, Some("0"), "", Next::Wait(s(8))),
            (Get, 9, 503, Some("0"), "", Next::Wait(s(30))),
            (Get, 199, 429, Some("1"), "", Next::Wait(s(1) + half)),
            (Get, 200, 429, Some("1"), "", Next::GiveUp),
            (Get, 1, 429, Some("7200"), "", Next::GiveUp),
            (Post, 1, 408, None, "", Next::Wait(half)),
            (Get, 1, 500, None, "", Next::Wait(half)),
            (Delete, 1, 500, None, "", Next::Wait(half)),
            (Post, 1, 500, None, "", Next::GiveUp),
            (Patch, 1, 500, None, "", Next::GiveUp),
            (Get, 8, 500, None, "", Next::GiveUp),
            (Post, 1, 502, None, "", Next::GiveUp),
            (Put, 2, 502, None, "", Next::Wait(s(1))),
            (Post, 1, 503, None, "", Next::Wait(half)),
            (Post, 1, 503, Some("3"), "ServerTimeout", Next::GiveUp),
            (Put, 1, 503, None, "ServerTimeout", Next::Wait(half)),
            (Put, 7, 503, None, "", Next::Wait(s(30))),
            (Put, 20, 503, Some("3"), "", Next::Wait(s(3) + half)),
            (Patch, 1, 504, None, "", Next::GiveUp),
            (Get, 1, 501, None, "", Next::GiveUp),
        ];
        for (method, attempt, status, after, code, expected) in rows {
            let response = answer(status, after);
            let outcome = refusal(&response, code);
            assert_eq!(
                next(method, attempt, HOUR, outcome),
                expected,
                "{method} {attempt} {status} {after:?} {code}"
            );
        }
    }

    #[test]
    fn attempts_that_only_wait_do_not_count_towards_other_limits() {
        let next = |attempt, waits, status| {
            let (response, now) = (answer(status, None), OffsetDateTime::UNIX_EPOCH);
            let outcome = refusal(&response, "");
            let method = Method::Put;
            let tried = Try { attempt, waits, method, outcome, remaining: HOUR, now, jitter: 1.0 };
            assert_eq!(tried.asks_to_wait(), status == 429);
            next_try(tried)
        };
        assert_eq!(next(9, 8, 502), Next::Wait(Duration::from_millis(500)));
        assert_eq!(next(15, 8, 502), Next::Wait(Duration::from_secs(30)));
        assert_eq!(next(16, 8, 502), Next::GiveUp);
        assert_eq!(next(9, 8, 429), Next::Wait(Duration::from_secs(30)), "their waits keep growing");
        assert_eq!(next(200, 199, 429), Next::GiveUp);
    }

    #[test]
    fn a_second_401_is_final() {
        let response = answer(401, None);
        let outcome = Outcome::Answer {
            response: &response,
            code: "",
            is_temporary: false,
            is_from_gateway: false,
            renewed: true,
        };
        assert_eq!(next(Method::Get, 2, HOUR, outcome), Next::GiveUp);
    }

    #[test]
    fn retries_missing_and_malformed_answers() {
        use Method::{Delete, Get, Patch, Post, Put};
        let unsent = Outcome::NoAnswer { sent: false, lasting: false };
        let sent = Outcome::NoAnswer { sent: true, lasting: false };
        let untrusted = Outcome::NoAnswer { sent: false, lasting: true };
        assert_eq!(next(Get, 1, HOUR, untrusted), Next::GiveUp);
        for method in [Get, Put, Patch, Post, Delete] {
            assert!(matches!(next(method, 1, HOUR, unsent), Next::Wait(_)), "{method}");
            assert_eq!(next(method, 4, HOUR, unsent), Next::GiveUp, "{method}");
            let again = matches!(next(method, 1, HOUR, sent), Next::Wait(_));
            assert_eq!(again, method.is_idempotent(), "{method}");
        }
        assert_eq!(next(Get, 10, HOUR, sent), Next::GiveUp);
        assert!(matches!(next(Get, 3, HOUR, Outcome::Malformed), Next::Wait(_)));
        assert_eq!(next(Get, 4, HOUR, Outcome::Malformed), Next::GiveUp);
        assert!(matches!(next(Put, 3, HOUR, Outcome::Malformed), Next::Wait(_)));
        assert_eq!(next(Post, 1, HOUR, Outcome::Malformed), Next::GiveUp);
    }

    #[test]
    fn an_unreachable_endpoint_fails_soon() {
        let total: Duration = (1..UNREACHABLE_TRIES).map(|attempt| wait(attempt, None, 1.0)).sum();
        assert!(total < Duration::from_secs(10), "{total:?}");
    }

    #[test]
    fn waits_end_before_the_callers_deadline() {
        let response = answer(503, Some("10"));
        let outcome = refusal(&response, "");
        assert_eq!(next(Method::Get, 1, Duration::from_secs(10), outcome), Next::GiveUp);
        assert!(matches!(next(Method::Get, 1, Duration::from_secs(11), outcome), Next::Wait(_)));
    }

    #[test]
    fn waits_are_limited_and_have_jitter() {
        let longest: Vec<f64> = (1..10).map(|n| wait(n, None, 1.0).as_secs_f64()).collect();
        assert_eq!(longest, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]);
        assert_eq!(wait(1, None, 0.0), Duration::from_millis(250));
        assert_eq!(wait(u32::MAX, None, 1.0), Duration::from_secs(30));
    }

    #[test]
    fn retries_temporary_conflicts() {
        let response = answer(409, None);
        for method in [Method::Put, Method::Delete, Method::Post, Method::Patch] {
            let conflict = |is_temporary| Outcome::Answer {
                response: &response,
                code: "Conflict",
                is_temporary,
                is_from_gateway: false,
                renewed: false,
            };
            assert!(matches!(next(method, 1, HOUR, conflict(true)), Next::Wait(_)), "{method}");
            assert_eq!(next(method, 1, HOUR, conflict(false)), Next::GiveUp, "{method}");
        }
    }

    #[test]
    fn does_not_repeat_an_action_that_a_gateway_may_have_forwarded() {
        let response = answer(503, None);
        let foreign = Outcome::Answer {
            response: &response,
            code: "",
            is_temporary: false,
            is_from_gateway: true,
            renewed: false,
        };
        assert_eq!(next(Method::Post, 1, HOUR, foreign), Next::GiveUp);
        assert!(matches!(next(Method::Put, 1, HOUR, foreign), Next::Wait(_)));
    }
}
