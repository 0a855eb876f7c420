//! How many secrets go out in an hour, whoever asks.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{SecretName, Timestamp};

/// The answers of the last hour.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct RateLimit {
    answers: VecDeque<Answered>,
}

impl RateLimit {
    /// The most answers in an hour to one device for one secret.
    pub(super) const PER_DEVICE_AND_SECRET: usize = 3;
    /// The most answers in an hour altogether.
    pub(super) const ALTOGETHER: usize = 20;
    const WINDOW: Duration = Duration::from_hours(1);

    /// Returns `true` if one more answer is too many.
    pub(super) fn is_exceeded(&self, device_id: &str, name: &SecretName, now: Timestamp) -> bool {
        let recent = || {
            self.answers
                .iter()
                .filter(|answer| now.since(answer.at) < Self::WINDOW)
        };
        let same = recent().filter(|one| one.device_id == device_id && one.name == *name);
        recent().count() >= Self::ALTOGETHER || same.count() >= Self::PER_DEVICE_AND_SECRET
    }

    pub(super) fn record(&mut self, device_id: &str, name: &SecretName, now: Timestamp) {
        if self.answers.len() >= Self::ALTOGETHER {
            self.answers.pop_front();
        }
        self.answers.push_back(Answered {
            at: now,
            device_id: device_id.to_owned(),
            name: name.clone(),
        });
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Answered {
    at: Timestamp,
    device_id: String,
    name: SecretName,
}

#[cfg(test)]
mod tests {
    use super::*;

    // shows: AGT-06
    #[test]
    fn limits_each_device_and_secret_and_all_together() {
        let at = |minute: u64| Timestamp::from_millis(minute * 60_000);
        let name = |number: usize| SecretName::new(format!("org.example.{number}")).unwrap();
        let mut limit = RateLimit::default();
        for minute in 0..3 {
            assert!(!limit.is_exceeded("A", &name(0), at(minute)));
            limit.record("A", &name(0), at(minute));
        }
        assert!(limit.is_exceeded("A", &name(0), at(59)));
        assert!(!limit.is_exceeded("A", &name(1), at(59)));
        assert!(!limit.is_exceeded("B", &name(0), at(59)));
        assert!(!limit.is_exceeded("A", &name(0), at(60)));
        for number in 3..20 {
            assert!(!limit.is_exceeded("B", &name(number), at(10)));
            limit.record("B", &name(number), at(10));
        }
        assert!(limit.is_exceeded("C", &name(0), at(59)));
        assert!(!limit.is_exceeded("C", &name(0), at(60)));
    }
}
