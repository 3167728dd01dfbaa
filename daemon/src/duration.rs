//! Times as users write them: `30s`, `5m`, `500ms`. Pure.

use std::time::Duration;

/// Reads a number with a unit; without one it counts seconds.
///
/// # Errors
/// What is wrong, in words.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let wrong = || format!("`{text}` is no time such as `30s`, `5m` or `500ms`");
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    match &text[digits..] {
        "ms" => Ok(Duration::from_millis(number)),
        "" | "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        "h" => Ok(Duration::from_secs(number.saturating_mul(3600))),
        _ => Err(wrong()),
    }
}

/// A time as the wire and the disk have it, in milliseconds; one that is too long is the longest there is, 49 days.
#[must_use]
pub fn to_millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn times() {
        for (text, millis, why) in [
            ("500ms", Some(500), "milliseconds"),
            ("30s", Some(30_000), "seconds"),
            ("30", Some(30_000), "a bare number is seconds"),
            ("5m", Some(300_000), "minutes"),
            ("1h", Some(3_600_000), "hours"),
            ("soon", None, "no number"),
            ("", None, "nothing"),
            ("5 m", None, "no space"),
            ("-5s", None, "no sign"),
        ] {
            assert_eq!(parse(text).ok().map(|time| time.as_millis()), millis, "{why}");
        }
    }
}
