//! Template functions on dates. Dates are in ISO 8601, or in one of the .NET formats below.

use time::format_description::well_known::Rfc3339;
use time::{Date, Duration, Month, OffsetDateTime, UtcOffset};

use super::super::json::Json;
use super::arguments::Arguments;

/// Calls a function; `None` if it is not in this file.
pub fn call(it: &Arguments<'_>) -> Option<Result<Json, String>> {
    Some(match it.name {
        "datetimeadd" => add(it),
        "datetimetoepoch" => {
            it.count(1, 1).and_then(|()| parse(it, it.text(0)?)).map(|at| Json::from(at.unix_timestamp()))
        }
        "datetimefromepoch" => it.count(1, 1).and_then(|()| {
            let at =
                OffsetDateTime::from_unix_timestamp(it.int(0)?).map_err(|why| it.fault(&why.to_string()))?;
            format(at, "yyyy-MM-ddTHH:mm:ssZ").map(Json::from).map_err(|why| it.fault(&why))
        }),
        _ => return None,
    })
}

/// A date in one of the .NET formats that templates commonly use.
pub fn format(at: OffsetDateTime, format: &str) -> Result<String, String> {
    let pattern = match format {
        "d" => "MM/dd/yyyy",
        "u" => "yyyy-MM-dd HH:mm:ssZ",
        "s" => "yyyy-MM-ddTHH:mm:ss",
        "o" | "O" => "yyyy-MM-ddTHH:mm:ss.fffffffZ",
        other => other,
    };
    let mut text = String::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let run = rest.len() - rest.trim_start_matches(first).len();
        let number = |value: u32| if run == 1 { value.to_string() } else { format!("{value:02}") };
        match (first, run) {
            ('y', 4) => text += &format!("{:04}", at.year()),
            ('y', 2) => text += &format!("{:02}", at.year() % 100),
            ('M', 1 | 2) => text += &number(u32::from(u8::from(at.month()))),
            ('d', 1 | 2) => text += &number(u32::from(at.day())),
            ('H', 1 | 2) => text += &number(u32::from(at.hour())),
            ('m', 1 | 2) => text += &number(u32::from(at.minute())),
            ('s', 1 | 2) => text += &number(u32::from(at.second())),
            ('f', 1..=7) => text += &format!("{:07}", at.nanosecond() / 100)[..run],
            ('T' | 'Z', 1) => text.push(first),
            (letter, _) if letter.is_ascii_alphabetic() => {
                return Err(format!("the emulator does not know the date format '{format}'."));
            }
            _ => text += &rest[..run],
        }
        rest = &rest[run..];
    }
    Ok(text)
}

fn parse(it: &Arguments<'_>, text: &str) -> Result<OffsetDateTime, String> {
    let basic = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    OffsetDateTime::parse(text, &Rfc3339)
        .map(|at| at.to_offset(UtcOffset::UTC))
        .or_else(|_| time::PrimitiveDateTime::parse(text, &basic).map(|at| at.assume_utc()))
        .or_else(|_| {
            let rfc = text.replacen(' ', "T", 1);
            OffsetDateTime::parse(&rfc, &Rfc3339).map(|at| at.to_offset(UtcOffset::UTC))
        })
        .map_err(|_| it.fault(&format!("'{text}' is not a date such as 2026-01-31T08:00:00Z.")))
}

fn add(it: &Arguments<'_>) -> Result<Json, String> {
    it.count(2, 3)?;
    let at = parse(it, it.text(0)?)?;
    let style = if it.values.len() == 3 { it.text(2)? } else { "yyyy-MM-ddTHH:mm:ssZ" };
    let moved = shift(at, it.text(1)?).ok_or_else(|| {
        it.fault(&format!(
            "'{}' is not a duration such as P1Y2M3DT4H5M6S.",
            it.values[1].as_str().unwrap_or_default()
        ))
    })?;
    format(moved, style).map(Json::from).map_err(|why| it.fault(&why))
}

/// Adds an ISO 8601 duration.
fn shift(at: OffsetDateTime, duration: &str) -> Option<OffsetDateTime> {
    let (sign, rest) = match duration.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, duration),
    };
    let (date, time) = match rest.strip_prefix('P')?.split_once('T') {
        Some((date, time)) => (date, time),
        None => (rest.strip_prefix('P')?, ""),
    };
    let mut at = at;
    for (part, in_time) in [(date, false), (time, true)] {
        let mut rest = part;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            let count = sign * rest[..end].parse::<i64>().ok().filter(|count| *count < 1_000_000)?;
            let unit = rest[end..].chars().next()?;
            at = match (unit, in_time) {
                ('Y', false) => add_months(at, count.checked_mul(12)?)?,
                ('M', false) => add_months(at, count)?,
                ('W', false) => at.checked_add(Duration::weeks(count))?,
                ('D', false) => at.checked_add(Duration::days(count))?,
                ('H', true) => at.checked_add(Duration::hours(count))?,
                ('M', true) => at.checked_add(Duration::minutes(count))?,
                ('S', true) => at.checked_add(Duration::seconds(count))?,
                _ => return None,
            };
            rest = &rest[end + 1..];
        }
    }
    Some(at)
}

fn add_months(at: OffsetDateTime, months: i64) -> Option<OffsetDateTime> {
    let total = i64::from(at.year()) * 12 + i64::from(u8::from(at.month())) - 1 + months;
    let year = i32::try_from(total.div_euclid(12)).ok()?;
    let month = Month::try_from(u8::try_from(total.rem_euclid(12) + 1).ok()?).ok()?;
    let day = at.day().min(month.length(year));
    Some(at.replace_date(Date::from_calendar_date(year, month, day).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn formats_and_durations() {
        let at = datetime!(2024-01-31 08:05:09.1234567 UTC);
        for (style, wanted) in [
            ("yyyyMMddTHHmmssZ", "20240131T080509Z"),
            ("yyyy-MM-dd", "2024-01-31"),
            ("d", "01/31/2024"),
            ("u", "2024-01-31 08:05:09Z"),
            ("o", "2024-01-31T08:05:09.1234567Z"),
            ("yy.M.d", "24.1.31"),
        ] {
            assert_eq!(format(at, style).unwrap(), wanted);
        }
        assert!(format(at, "MMMM").is_err() && format(at, "R").is_err());
        for (duration, wanted) in [
            ("P1M", Some(datetime!(2024-02-29 08:05:09.1234567 UTC))),
            ("P1Y1D", Some(datetime!(2025-02-01 08:05:09.1234567 UTC))),
            ("-PT9H", Some(datetime!(2024-01-30 23:05:09.1234567 UTC))),
            ("P", Some(at)),
            ("PT1D", None),
            ("1D", None),
            ("P1", None),
            ("P99999999Y", None),
        ] {
            assert_eq!(shift(at, duration), wanted, "{duration}");
        }
    }
}
