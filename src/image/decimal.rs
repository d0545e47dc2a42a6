//! Decimal numbers for money: exact sums and products, rounded only on request.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;

/// The number of digits after the point.
const PLACES: u32 = 12;
const ONE: i128 = 10_i128.pow(PLACES);

/// A decimal number with up to twelve digits after the point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal(i128);

impl Decimal {
    /// Parses decimal text such as `0.05`, `-3` or `1e-3`; `None` if it is not a number, is too large, or has more
    /// than twelve digits after the point.
    pub fn parse(text: &str) -> Option<Decimal> {
        let text = text.trim();
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (negative, digits) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = format!("{whole}{}", fraction.trim_end_matches('0'));
        if whole.is_empty() && fraction.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let places = i32::try_from(fraction.trim_end_matches('0').len()).ok()?;
        let shift = i32::try_from(PLACES).ok()?.checked_sub(places)?.checked_add(exponent)?;
        let number: i128 = if all.is_empty() { 0 } else { all.parse().ok()? };
        let units = number.checked_mul(10_i128.checked_pow(u32::try_from(shift).ok()?)?)?;
        Some(Decimal(if negative { -units } else { units }))
    }

    /// The product; `None` if it is too large or has more than twelve digits after the point.
    pub fn times(self, other: Decimal) -> Option<Decimal> {
        let product = self.0.checked_mul(other.0)?;
        (product % ONE == 0).then_some(Decimal(product / ONE))
    }

    /// Rounded to `places` digits after the point, halves away from zero.
    pub fn round(self, places: u32) -> Decimal {
        let unit = 10_i128.pow(PLACES.saturating_sub(places));
        let half = if self.0 < 0 { -unit / 2 } else { unit / 2 };
        Decimal((self.0 + half) / unit * unit)
    }
}

impl From<i64> for Decimal {
    fn from(number: i64) -> Decimal {
        Decimal(i128::from(number) * ONE)
    }
}

impl Add for Decimal {
    type Output = Decimal;

    fn add(self, other: Decimal) -> Decimal {
        Decimal(self.0.saturating_add(other.0))
    }
}

impl Sum for Decimal {
    fn sum<I: Iterator<Item = Decimal>>(numbers: I) -> Decimal {
        numbers.fold(Decimal::default(), Add::add)
    }
}

/// Plain text without trailing zeros.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let digits = self.0.unsigned_abs();
        let (whole, fraction) = (digits / ONE.unsigned_abs(), digits % ONE.unsigned_abs());
        if fraction == 0 {
            return write!(f, "{sign}{whole}");
        }
        write!(f, "{sign}{whole}.{}", format!("{fraction:012}").trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn parses_and_displays() {
        for (text, shown) in [
            ("0.05", Some("0.05")),
            ("400", Some("400")),
            ("-1.50", Some("-1.5")),
            (".5", Some("0.5")),
            ("5e-2", Some("0.05")),
            ("1e3", Some("1000")),
            ("0.000", Some("0")),
            ("0.0000000000001", None),
            ("", None),
            (".", None),
            ("1,5", None),
            ("1e40", None),
        ] {
            assert_eq!(Decimal::parse(text).map(|number| number.to_string()).as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn sums_and_products_are_exact() {
        let sum: Decimal = std::iter::repeat_n(decimal("0.1"), 30).sum();
        assert_eq!(sum, Decimal::from(3));
        assert_eq!(Decimal::from(400).times(decimal("0.05")), Some(Decimal::from(20)));
        assert_eq!(decimal("12.5").times(decimal("0.132")), Some(decimal("1.65")));
        assert_eq!(decimal("0.0000001").times(decimal("0.0000001")), None);
    }

    #[test]
    fn rounds_halves_away_from_zero() {
        for (text, rounded) in [("1.005", "1.01"), ("1.0049", "1"), ("-1.005", "-1.01"), ("20", "20")] {
            assert_eq!(decimal(text).round(2), decimal(rounded), "{text}");
        }
    }
}
