//! Durations as people write them.

use std::time::Duration;

/// `1h30m`, `45s`, `250ms`: the way durations are written in Terraform.
pub fn readable(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 10 {
        let millis = duration.as_millis();
        return if millis.is_multiple_of(1000) {
            format!("{seconds}s")
        } else {
            format!("{}s", millis as f64 / 1000.0)
        };
    }
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut out = String::new();
    for (number, unit) in [(hours, 'h'), (minutes, 'm'), (seconds, 's')] {
        if number > 0 {
            out.push_str(&format!("{number}{unit}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_like_terraform() {
        for (millis, text) in [
            (0, "0s"),
            (250, "0.25s"),
            (9_000, "9s"),
            (61_000, "1m1s"),
            (1_800_000, "30m"),
            (5_400_000, "1h30m"),
        ] {
            assert_eq!(readable(Duration::from_millis(millis)), text);
        }
    }
}
