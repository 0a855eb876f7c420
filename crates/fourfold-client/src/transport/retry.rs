//! When to try again.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};

use crate::error::MatrixErrorBody;

/// The time to wait after an attempt (the first is 1): what the server asked for, or twice as long
/// each time, between a quarter of a second and half a minute. `random` is between 0 and 1.
pub(super) fn pause(attempt: u32, asked: Option<Duration>, random: f64) -> Duration {
    if let Some(asked) = asked {
        return (asked + MIN_ASKED.mul_f64(random.clamp(0.0, 1.0) / 4.0)).min(MAX_ASKED);
    }
    let doubled = FIRST_PAUSE.saturating_mul(1_u32 << attempt.saturating_sub(1).min(8));
    doubled
        .min(MAX_PAUSE)
        .mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

/// The time that the server asks to wait, between 1 s and 1 h: `Retry-After` in seconds or as a
/// date, else `retry_after_ms` in the body. What cannot be understood is ignored.
pub(super) fn asked(headers: &HeaderMap, body: &[u8], now: SystemTime) -> Option<Duration> {
    let header = headers.get(RETRY_AFTER).and_then(text);
    let from_header = header.and_then(|header| {
        seconds(header).or_else(|| {
            // Measured by the server's own clock where it says what that is.
            let now = headers
                .get(DATE)
                .and_then(text)
                .and_then(date)
                .unwrap_or(now);
            Some(date(header)?.duration_since(now).unwrap_or_default())
        })
    });
    let asked = from_header.or_else(|| {
        let body = MatrixErrorBody::read(body)?;
        let milliseconds = body.retry_after_ms?.as_f64()?;
        // Below the bounds it makes no difference; above them it is no `Duration`.
        (milliseconds >= 0.0)
            .then(|| Duration::try_from_secs_f64(milliseconds / 1000.0).unwrap_or(MAX_ASKED))
    });
    asked.map(|asked| asked.clamp(MIN_ASKED, MAX_ASKED))
}

/// The default wait if the server limits requests without saying for how long.
pub(super) const MIN_ASKED: Duration = Duration::from_secs(1);
const MAX_ASKED: Duration = Duration::from_secs(60 * 60);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(30);

fn text(header: &HeaderValue) -> Option<&str> {
    header.to_str().ok().map(str::trim)
}

fn date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok()
}

/// Digits only; more than fit are still a very long time.
fn seconds(text: &str) -> Option<Duration> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_secs(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_by(headers: &[(&'static str, &str)], body: &str) -> Option<u64> {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        asked(&headers, body.as_bytes(), now).map(|asked| asked.as_secs())
    }

    // shows: AGT-15, MS-21
    #[test]
    fn every_shape_of_retry_after_is_understood_and_bounded() {
        for (header, expected) in [
            ("0", Some(1)),
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("1000000000000", Some(3600)),
            ("99999999999999999999999999", Some(3600)),
            ("-5", None),
            ("1e12", None),
            ("soon", None),
            ("", None),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(1)),
            ("Fri, 31 Dec 2100 00:00:00 GMT", Some(3600)),
        ] {
            assert_eq!(
                asked_by(&[("retry-after", header)], ""),
                expected,
                "{header:?}"
            );
        }
    }

    #[test]
    fn a_wrong_clock_does_not_matter_when_the_server_tells_its_own() {
        let headers = [
            ("date", "Wed, 06 Nov 2030 00:00:00 GMT"),
            ("retry-after", "Wed, 06 Nov 2030 00:00:09 GMT"),
        ];
        assert_eq!(asked_by(&headers, ""), Some(9));
    }

    #[test]
    fn the_body_counts_where_the_header_says_nothing() {
        let limited =
            |value: &str| format!(r#"{{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":{value}}}"#);
        for (value, expected) in [
            ("2500", Some(2)),
            ("0", Some(1)),
            ("-5", None),
            ("1e12", Some(3600)),
            ("1e300", Some(3600)),
            ("\"2500\"", None),
            ("null", None),
        ] {
            assert_eq!(asked_by(&[], &limited(value)), expected, "{value}");
        }
        assert_eq!(asked_by(&[("retry-after", "9")], &limited("2500")), Some(9));
        assert_eq!(asked_by(&[], "<html>"), None);
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        let pauses: Vec<_> = (1..=9)
            .map(|attempt| pause(attempt, None, 1.0).as_millis())
            .collect();
        assert_eq!(
            pauses,
            [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]
        );
        assert_eq!(pause(u32::MAX, None, 0.0), Duration::from_secs(15));
        assert_eq!(pause(1, Some(MAX_ASKED), 1.0), MAX_ASKED);
        assert_eq!(pause(1, Some(MIN_ASKED), 0.0), MIN_ASKED);
    }
}
