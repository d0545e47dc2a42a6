//! The `timeouts {}` block: durations in Go's syntax, with defaults for each resource.

use std::time::Duration;

use crate::model;
use crate::schema::spec::optional;
use crate::schema::{Slot, Value};

model! {
    /// How long each operation may take, as a duration such as `30m` or `1h30m`.
    pub struct Timeouts {
        /// How long creating may take.
        pub create: Option<String> = optional().check_text(check_duration),
        /// How long reading may take.
        pub read: Option<String> = optional().check_text(check_duration),
        /// How long updating may take.
        pub update: Option<String> = optional().check_text(check_duration),
        /// How long deleting may take.
        pub delete: Option<String> = optional().check_text(check_duration),
    }
}

model! {
    /// How long reading may take, as a duration such as `5m`.
    pub struct ReadTimeouts {
        /// How long reading may take.
        pub read: Option<String> = optional().check_text(check_duration),
    }
}

/// The default timeouts of a resource.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Defaults {
    /// For creating.
    pub create: Duration,
    /// For reading.
    pub read: Duration,
    /// For updating.
    pub update: Duration,
    /// For deleting.
    pub delete: Duration,
}

impl Defaults {
    /// Defaults in minutes, for create, read, update and delete.
    pub const fn minutes(create: u64, read: u64, update: u64, delete: u64) -> Defaults {
        Defaults {
            create: Duration::from_secs(create * 60),
            read: Duration::from_secs(read * 60),
            update: Duration::from_secs(update * 60),
            delete: Duration::from_secs(delete * 60),
        }
    }

    /// Overrides the defaults with the `timeouts` block of `object`.
    pub fn configured(mut self, object: &Value) -> Defaults {
        let block = Timeouts::decode(object.get("timeouts"));
        for (slot, text) in [
            (&mut self.create, block.create),
            (&mut self.read, block.read),
            (&mut self.update, block.update),
            (&mut self.delete, block.delete),
        ] {
            if let Some(duration) = text.as_deref().and_then(parse_duration) {
                *slot = duration;
            }
        }
        self
    }
}

fn check_duration(text: &str) -> Result<(), String> {
    match parse_duration(text) {
        Some(duration) if !duration.is_zero() => Ok(()),
        Some(_) => Err("must be longer than zero".to_owned()),
        None => Err("is not a valid duration; use 45s, 30m or 1h30m".to_owned()),
    }
}

/// Parses Go's durations: numbers with the units h, m, s, ms, us, ns, in any order. Units are required and signs are not
/// allowed.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|at| *at > 0)?;
        let unit = rest[number..]
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .map_or(rest.len(), |at| number + at);
        let factor = match &rest[number..unit] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += rest[..number].parse::<f64>().ok()? * factor;
        rest = &rest[unit..];
    }
    // A century is longer than any operation and far below the maximum of Duration.
    Some(Duration::from_secs_f64(seconds.min(3.2e9)))
}

/// Parses a period: a duration in Go's syntax, or whole days such as `90d`.
pub fn parse_period(text: &str) -> Option<Duration> {
    match text.strip_suffix('d') {
        Some(days) => Some(Duration::from_secs(days.parse::<u64>().ok()?.checked_mul(86_400)?)),
        None => parse_duration(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_go_durations() {
        let rows: &[(&str, Option<u64>)] = &[
            ("30m", Some(1_800_000)),
            ("1h30m", Some(5_400_000)),
            ("1.5h", Some(5_400_000)),
            ("45s", Some(45_000)),
            ("250ms", Some(250)),
            ("", None),
            ("30", None),
            ("m", None),
            ("-5m", None),
            ("5 m", None),
            ("5d", None),
            ("1e9h", None),
            ("9999999h", Some(3_200_000_000_000)),
            ("99999999999999h", Some(3_200_000_000_000)),
        ];
        for (text, millis) in rows {
            assert_eq!(parse_duration(text).map(|d| d.as_millis() as u64), *millis, "{text}");
        }
    }

    #[test]
    fn the_block_takes_precedence_over_the_default() {
        let object = Value::object([("timeouts", Value::object([("create", "2h".into())]))]);
        let chosen = Defaults::minutes(30, 5, 30, 30).configured(&object);
        assert_eq!(chosen.create, Duration::from_secs(7200));
        assert_eq!(chosen.read, Duration::from_secs(300));
    }
}
