//! Instants as the service counts them: ticks of 100 nanoseconds since 1970, written with up to seven fraction digits.

use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime, PrimitiveDateTime, UtcOffset};

/// 100-nanosecond ticks since the Unix epoch.
pub type Ticks = i64;

/// Ticks in one second.
pub const SECOND: Ticks = 10_000_000;
/// Ticks in one day.
pub const DAY: Ticks = 86_400 * SECOND;

/// .NET ticks (0001-01-01) of the Unix epoch, the unit of `t` in poll URLs.
pub const DOTNET_EPOCH: i64 = 621_355_968_000_000_000;

/// The current instant in ticks.
pub fn ticks(instant: OffsetDateTime) -> Ticks {
    i64::try_from(instant.unix_timestamp_nanos() / 100).unwrap_or(i64::MAX)
}

/// Upper limit of durations and clock offsets: three hundred years, so that many can be added without overflow.
pub const LONGEST: Ticks = 300 * 365 * DAY;

/// Converts fractional seconds to ticks, clamped to [`LONGEST`] in either direction.
pub fn seconds(value: f64) -> Ticks {
    ((value * SECOND as f64).round() as Ticks).clamp(-LONGEST, LONGEST)
}

/// `2025-01-07T05:52:23.9501544+00:00`: trailing zeros are cut, and so is an empty fraction.
pub fn format(at: Ticks) -> String {
    format!("{}+00:00", plain(at))
}

/// The same instant with a `Z` suffix, as Marketplace ordering writes it.
pub fn format_z(at: Ticks) -> String {
    format!("{}Z", plain(at))
}

fn plain(at: Ticks) -> String {
    let whole =
        OffsetDateTime::from_unix_timestamp(at.div_euclid(SECOND)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let mut text = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        whole.year(),
        u8::from(whole.month()),
        whole.day(),
        whole.hour(),
        whole.minute(),
        whole.second()
    );
    let fraction = at.rem_euclid(SECOND);
    if fraction != 0 {
        let digits = format!("{fraction:07}");
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }
    text
}

/// Parses an ISO 8601 instant or date like the service: without an offset it is UTC.
pub fn parse(text: &str) -> Option<Ticks> {
    let text = text.trim();
    if let Ok(instant) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(ticks(instant.to_offset(UtcOffset::UTC)));
    }
    if let Ok(instant) = OffsetDateTime::parse(&format!("{text}Z"), &Rfc3339) {
        return Some(ticks(instant));
    }
    let format = time::macros::format_description!("[year]-[month]-[day]");
    let date = Date::parse(text, &format).ok()?;
    Some(ticks(PrimitiveDateTime::new(date, time::Time::MIDNIGHT).assume_utc()))
}

/// `Tue, 07 Jan 2025 05:52:23 GMT`, for the `Date` header.
pub fn http_date(at: Ticks) -> String {
    let instant =
        OffsetDateTime::from_unix_timestamp(at.div_euclid(SECOND)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        DAYS[usize::from(instant.weekday().number_days_from_monday())],
        instant.day(),
        MONTHS[usize::from(u8::from(instant.month())) - 1],
        instant.year(),
        instant.hour(),
        instant.minute(),
        instant.second()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_round_trip_in_the_services_format() {
        for (sent, shown) in [
            ("2026-12-31T12:59:59Z", "2026-12-31T12:59:59+00:00"),
            ("2025-01-07T06:13:20.2737330+00:00", "2025-01-07T06:13:20.273733+00:00"),
            ("2019-07-28T07:00:00-07:00", "2019-07-28T14:00:00+00:00"),
            ("2030-01-02", "2030-01-02T00:00:00+00:00"),
            ("2030-01-02T03:04:05", "2030-01-02T03:04:05+00:00"),
        ] {
            assert_eq!(parse(sent).map(format).as_deref(), Some(shown), "{sent}");
        }
        assert_eq!(parse("next year"), None);
        assert_eq!(http_date(1_736_229_143 * SECOND), "Tue, 07 Jan 2025 05:52:23 GMT");
    }
}
