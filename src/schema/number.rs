//! Exact decimal numbers: Terraform computes with 512-bit mantissas, so values must not lose precision in an f64.

use std::cmp::Ordering;
use std::fmt;

/// A number in its canonical form, so that equal numbers are equal values.
#[derive(Clone, Debug)]
pub enum Number {
    /// An integer that fits an i64.
    Int(i64),
    /// A non-integral number that an f64 represents exactly, or an infinity.
    Float(f64),
    /// Any other number, as plain decimal text (`-12.5`, without exponent or superfluous zeros).
    Decimal(String),
}

impl Default for Number {
    fn default() -> Number {
        Number::Int(0)
    }
}

/// The longest plain decimal that is accepted.
const MAXIMUM_DIGITS: usize = 4096;

impl Number {
    /// Parses decimal text (`12`, `-0.5`, `1e400`, `Inf`); `None` if it is not a number or has too many digits.
    pub fn parse(text: &str) -> Option<Number> {
        match text {
            "Inf" | "+Inf" => return Some(Number::Float(f64::INFINITY)),
            "-Inf" => return Some(Number::Float(f64::NEG_INFINITY)),
            _ => {}
        }
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], rest[at + 1..].parse::<i64>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: String = [whole, fraction].concat();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Number::from_digits(negative, &digits, exponent.checked_sub(fraction.len() as i64)?)
    }

    /// The exact value of an f64; `None` for NaN.
    pub fn from_f64(float: f64) -> Option<Number> {
        if float.is_nan() {
            return None;
        }
        if float.is_infinite() || float.fract() != 0.0 {
            return Some(Number::Float(float));
        }
        Number::parse(&format!("{float:.0}"))
    }

    /// The value of an unsigned integer.
    pub fn from_u64(int: u64) -> Number {
        match i64::try_from(int) {
            Ok(int) => Number::Int(int),
            Err(_) => Number::Decimal(int.to_string()),
        }
    }

    /// The integer, if it is one that fits an i64.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Number::Int(int) => Some(*int),
            _ => None,
        }
    }

    /// Text that [`parse`](Number::parse) reads as exactly this number. `Display` shows a float with as few digits as
    /// distinguish it from other floats; as a decimal, that is a different number.
    pub fn exact(&self) -> String {
        match self {
            Number::Float(float) if float.is_finite() => format!("{float:.*}", exact_places(*float)),
            number => number.to_string(),
        }
    }

    // digits × 10^exponent in canonical form
    fn from_digits(negative: bool, digits: &str, exponent: i64) -> Option<Number> {
        let digits = digits.trim_start_matches('0');
        let significant = digits.trim_end_matches('0');
        if significant.is_empty() {
            return Some(Number::Int(0));
        }
        let exponent = exponent.checked_add((digits.len() - significant.len()) as i64)?;
        let length = significant.len() as i64;
        if exponent.unsigned_abs() as usize > MAXIMUM_DIGITS || significant.len() > MAXIMUM_DIGITS {
            return None;
        }
        let sign = if negative { "-" } else { "" };
        let plain = if exponent >= 0 {
            format!("{sign}{significant}{}", "0".repeat(exponent as usize))
        } else if length + exponent > 0 {
            let point = (length + exponent) as usize;
            format!("{sign}{}.{}", &significant[..point], &significant[point..])
        } else {
            let zeros = (-(length + exponent)) as usize;
            format!("{sign}0.{}{significant}", "0".repeat(zeros))
        };
        if exponent >= 0 {
            return Some(match plain.parse::<i64>() {
                Ok(int) => Number::Int(int),
                Err(_) => Number::Decimal(plain),
            });
        }
        // an f64 is exact only if its full decimal expansion equals the text
        if let Ok(float) = plain.parse::<f64>() {
            let places = (-exponent) as usize;
            if format!("{float:.places$}") == plain && exact_places(float) <= places {
                return Some(Number::Float(float));
            }
        }
        Some(Number::Decimal(plain))
    }
}

// The number of decimal places of the exact value of a non-integral f64.
fn exact_places(float: f64) -> usize {
    let bits = float.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i64;
    let mantissa = (bits & ((1 << 52) - 1)) | if exponent == 0 { 0 } else { 1 << 52 };
    let power = exponent.max(1) - 1075 + i64::from(mantissa.trailing_zeros());
    if power >= 0 { 0 } else { (-power) as usize }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Int(int) => write!(f, "{int}"),
            Number::Float(float) if float.is_infinite() => {
                f.write_str(if *float > 0.0 { "Inf" } else { "-Inf" })
            }
            Number::Float(float) => write!(f, "{float}"),
            Number::Decimal(text) => f.write_str(text),
        }
    }
}

impl From<i64> for Number {
    fn from(int: i64) -> Number {
        Number::Int(int)
    }
}

// Canonical forms are unique, so comparing them structurally is correct.
impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => a.cmp(b),
            (Number::Float(a), Number::Float(b)) => a.total_cmp(b),
            (Number::Decimal(a), Number::Decimal(b)) => a.cmp(b),
            (Number::Int(_), _) => Ordering::Less,
            (_, Number::Int(_)) => Ordering::Greater,
            (Number::Float(_), _) => Ordering::Less,
            (_, Number::Float(_)) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms() {
        let rows: &[(&str, &str)] = &[
            ("12", "Int(12)"),
            ("-0", "Int(0)"),
            ("1.0", "Int(1)"),
            ("120e-1", "Int(12)"),
            ("9223372036854775807", "Int(9223372036854775807)"),
            ("-9223372036854775808", "Int(-9223372036854775808)"),
            ("9223372036854775808", "Decimal(\"9223372036854775808\")"),
            ("1180591620717411303424", "Decimal(\"1180591620717411303424\")"),
            ("0.5", "Float(0.5)"),
            ("-0.25", "Float(-0.25)"),
            ("0.1", "Decimal(\"0.1\")"),
            ("1.5e3", "Int(1500)"),
            ("Inf", "Float(inf)"),
        ];
        for (text, form) in rows {
            assert_eq!(format!("{:?}", Number::parse(text).unwrap()), *form, "{text}");
        }
        let large = Number::parse("1e400").unwrap().to_string();
        assert_eq!((large.len(), large.starts_with('1')), (401, true));
    }

    #[test]
    fn floats_keep_their_exact_value() {
        for float in [0.1, 1.5, -2.25, 1e300, 5e-324] {
            let number = Number::from_f64(float).unwrap();
            assert_eq!(number, Number::from_f64(float).unwrap());
            assert_eq!(Number::parse(&number.exact()), Some(number));
        }
        assert_ne!(Number::from_f64(0.1), Number::parse("0.1"), "0.1 differs from the nearest f64");
        assert_eq!(Number::from_f64(0.5), Number::parse("0.5"));
        assert_eq!(Number::from_f64(-0.0), Some(Number::Int(0)));
        assert_eq!(Number::from_f64(f64::NAN), None);
        assert_eq!(Number::from_u64(u64::MAX).to_string(), "18446744073709551615");
    }

    #[test]
    fn rejects_text_that_is_not_a_number() {
        for text in ["", "-", "1.2.3", "0x10", "1e", "e5", "1e99999999999999999999", "NaN", " 1", "1e999999"]
        {
            assert_eq!(Number::parse(text), None, "{text}");
        }
    }
}
