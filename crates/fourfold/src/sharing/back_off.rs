//! How long to wait before something is tried again.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST: Duration = Duration::from_mins(2);

/// The wait after so many attempts, each twice as long as the one before.
pub(super) fn after(attempts: u32) -> Duration {
    let factor = 2_u32.saturating_pow(attempts.saturating_sub(1));
    FIRST.saturating_mul(factor).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_two_minutes() {
        let seconds: Vec<u64> = [0, 1, 2, 3, 7, 8, u32::MAX]
            .map(|attempts| after(attempts).as_secs())
            .into();
        assert_eq!(seconds, [1, 1, 2, 4, 64, 120, 120]);
    }
}
