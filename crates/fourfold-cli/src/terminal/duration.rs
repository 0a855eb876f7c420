//! Time as people write it: lengths such as `90`, `45s`, `15m`, `8h`, and dates.

use std::time::Duration;

/// Reads a length of time; a number alone is seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let (number, unit) = text.split_at(digits.len());
    let seconds = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => 0,
    };
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    match number.parse::<u64>() {
        Ok(number @ 1..=MAX_NUMBER) if seconds > 0 && is_number => {
            Ok(Duration::from_secs(number * seconds))
        }
        _ => Err("give a length of time, such as 45s, 15m or 8h".to_owned()),
    }
}

/// Writes what is left of a length of time: more than two minutes as whole minutes, rounded up.
pub(crate) fn about(duration: Duration) -> String {
    let minutes = duration.as_secs().div_ceil(60);
    if minutes > 2 {
        describe(Duration::from_secs(minutes * 60))
    } else {
        describe(duration)
    }
}

/// Writes it in the largest unit that fits.
pub(crate) fn describe(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(24 * 60 * 60, "day"), (60 * 60, "hour"), (60, "minute")];
    let fits = units
        .iter()
        .find(|(length, _)| seconds > 0 && seconds.is_multiple_of(*length));
    let (number, unit) = fits.map_or((seconds, "second"), |(length, unit)| {
        (seconds / length, unit)
    });
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural}")
}

/// Seconds since 1970 as a date and a time, UTC.
pub(crate) fn written(seconds: u64) -> String {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| time::OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.map_or_else(
        || seconds.to_string(),
        |time| {
            format!(
                "{} {:02}:{:02}:{:02}Z",
                time.date(),
                time.hour(),
                time.minute(),
                time.second()
            )
        },
    )
}

const MAX_NUMBER: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_in_words() {
        for (text, words) in [
            ("90", "90 seconds"),
            ("1s", "1 second"),
            ("15m", "15 minutes"),
            ("60m", "1 hour"),
            ("8h", "8 hours"),
            ("2d", "2 days"),
        ] {
            assert_eq!(describe(parse(text).unwrap()), words);
        }
    }

    #[test]
    fn what_is_left_is_rounded_up() {
        for (seconds, words) in [
            (900, "15 minutes"),
            (899, "15 minutes"),
            (7200, "2 hours"),
            (119, "119 seconds"),
            (0, "0 seconds"),
        ] {
            assert_eq!(about(Duration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn rejects_everything_else() {
        for text in [
            "",
            "0",
            "m",
            "-1",
            "+1",
            "1.5h",
            "1 h",
            "1h30m",
            "5w",
            "99999999999999999999",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
