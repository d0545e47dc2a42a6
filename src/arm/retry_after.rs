//! Parses the wait that the service requests, in all its formats.

use std::time::Duration;

use time::OffsetDateTime;

use super::transport::Response;

/// The wait that `response` requests, if any.
///
/// It parses `retry-after-ms` and `x-ms-retry-after-ms` (milliseconds), and `Retry-After` as seconds or an HTTP date. A date
/// is relative to the response's `Date` header, so that a wrong local clock does not matter, or else to `now`. A date in
/// the past is a wait of zero. The maximum is a day.
pub fn retry_after(response: &Response, now: OffsetDateTime) -> Option<Duration> {
    for name in ["x-ms-retry-after-ms", "retry-after-ms"] {
        if let Some(wait) = response.header(name).and_then(|value| seconds(value, 0.001)) {
            return Some(wait);
        }
    }
    let Some(value) = response.header("retry-after").map(str::trim) else {
        return quota(response);
    };
    seconds(value, 1.0).or_else(|| {
        let until = http_date(value)?;
        let now = response.header("date").and_then(http_date).unwrap_or(now);
        Some(Duration::try_from(until - now).unwrap_or(Duration::ZERO).min(LONGEST))
    })
}

/// Azure Resource Graph returns the time until its quota resets: `x-ms-user-quota-resets-after: 00:00:05`.
fn quota(response: &Response) -> Option<Duration> {
    if response.status != 429 {
        return None;
    }
    let mut parts = response.header("x-ms-user-quota-resets-after")?.trim().split(':').map(str::parse::<u64>);
    let (hours, minutes, seconds) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    let total = hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?.checked_add(seconds)?;
    Some(Duration::from_secs(total).min(LONGEST))
}

/// The maximum wait.
const LONGEST: Duration = Duration::from_secs(86_400);

/// A number of `unit` seconds; fractions are accepted.
fn seconds(value: &str, unit: f64) -> Option<Duration> {
    let number: f64 = value.trim().parse().ok()?;
    (number.is_finite() && number >= 0.0)
        .then(|| Duration::from_secs_f64((number * unit).min(LONGEST.as_secs_f64())))
}

/// A date in any of the three forms that HTTP allows.
fn http_date(value: &str) -> Option<OffsetDateTime> {
    httpdate::parse_http_date(value.trim()).ok().map(OffsetDateTime::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn reads_the_quota_header() {
        let now = datetime!(2026-11-02 09:00:00 UTC);
        for (status, value, expected) in [
            (429, "00:00:05", Some(5)),
            (429, "01:00:01", Some(3_601)),
            (429, "soon", None),
            (200, "00:00:05", None),
        ] {
            let headers = vec![("x-ms-user-quota-resets-after".to_owned(), value.to_owned())];
            let response = Response { status, headers, body: Vec::new() };
            assert_eq!(retry_after(&response, now), expected.map(Duration::from_secs), "{status} {value}");
        }
    }

    #[test]
    fn parses_every_format() {
        let now = datetime!(2026-11-02 09:00:00 UTC);
        type Row = (&'static [(&'static str, &'static str)], Option<u64>);
        let rows: &[Row] = &[
            (&[], None),
            (&[("retry-after", "7")], Some(7_000)),
            (&[("retry-after", " 0 ")], Some(0)),
            (&[("retry-after", "1.5")], Some(1_500)),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "soon")], None),
            (&[("retry-after", "")], None),
            (&[("retry-after", "1e300")], Some(86_400_000)),
            (&[("retry-after", "NaN")], None),
            (&[("retry-after-ms", "250")], Some(250)),
            (&[("x-ms-retry-after-ms", "40"), ("retry-after", "9")], Some(40)),
            (&[("x-ms-retry-after-ms", "x"), ("retry-after", "9")], Some(9_000)),
            (&[("retry-after", "Mon, 02 Nov 2026 09:00:30 GMT")], Some(30_000)),
            (&[("retry-after", "Mon, 02 Nov 2026 08:00:00 GMT")], Some(0)),
            (&[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")], Some(86_400_000)),
            (&[("retry-after", "Monday, 02-Nov-26 09:00:30 GMT")], Some(30_000)),
            (&[("retry-after", "Mon Nov  2 09:00:30 2026")], Some(30_000)),
            // The server's clock is an hour ahead: its own date is the reference.
            (
                &[
                    ("retry-after", "Mon, 02 Nov 2026 10:00:05 GMT"),
                    ("date", "Mon, 02 Nov 2026 10:00:00 GMT"),
                ],
                Some(5_000),
            ),
        ];
        for (headers, expected) in rows {
            let response = Response {
                headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
                ..Response::default()
            };
            assert_eq!(retry_after(&response, now), expected.map(Duration::from_millis), "{headers:?}");
        }
    }
}
