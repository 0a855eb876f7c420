//! What becomes of the identity of an account: whether it stays, is published once more, or is made.
//!
//! A server can hide a published identity and spoil the seeds in secret storage. On a machine that
//! remembers the identity this must not look like an account that never had one: nothing but the
//! user replaces an identity.

use crate::PublishedIdentity;
use crate::cross_signing::CrossSigningKeys;
use crate::identity::{CrossSigningKeyError, IdentityAlarm, Trust};
use crate::signed_json::PublicKey;

/// Everything that is known of the identity of an account, before something is done about it.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "every input of the decision must be given"
)]
pub struct KnownIdentity<'a> {
    /// The identity that the server publishes now.
    pub published: &'a PublishedIdentity,
    /// The identity that this machine trusts, also from an earlier log-in; `None` if it never knew
    /// one.
    pub trust: Option<&'a Trust>,
    /// Keys that were made on this machine and are kept here, published or not.
    pub made_here: Option<CrossSigningKeys>,
    /// The keys that secret storage holds, when all three open and are what their names say.
    pub stored: Option<CrossSigningKeys>,
    /// Whether secret storage holds seeds of an identity, of use or not.
    pub has_stored: bool,
}

impl KnownIdentity<'_> {
    /// Decides how the account gets an identity.
    ///
    /// # Errors
    ///
    /// [`IdentityAtRisk`]: whatever was done would replace an identity, which only the user may say.
    pub fn decide(self) -> Result<IdentityChoice, IdentityAtRisk> {
        match self.published.master_key() {
            Ok(published) => self.judge_published(published),
            Err(CrossSigningKeyError::NotPublished) => self.decide_unpublished(),
            // Whether it can be relied on is for its user to decide; it is there.
            Err(_) => Ok(IdentityChoice::Keep),
        }
    }

    /// The keys of a new identity that an interrupted replacement has left, if the user says that
    /// the identity is to be replaced. What secret storage holds is what is replaced.
    #[must_use]
    pub fn replacement(self) -> Option<CrossSigningKeys> {
        let published = self.published.master_key().ok();
        let pinned = self.pinned();
        self.made_here.filter(|keys| {
            let master = Some(master(keys));
            master != published && master != pinned
        })
    }

    fn judge_published(&self, published: PublicKey) -> Result<IdentityChoice, IdentityAtRisk> {
        // A replacement that was agreed to here.
        if self.made_here.as_ref().map(master) == Some(published) {
            return Ok(IdentityChoice::Keep);
        }
        match self.pinned() {
            Some(pinned) if pinned != published => {
                Err(IdentityAtRisk::Changed { pinned, published })
            }
            _ => self.check_no_alarm().map(|()| IdentityChoice::Keep),
        }
    }

    fn check_no_alarm(&self) -> Result<(), IdentityAtRisk> {
        match self.trust.and_then(Trust::alarm) {
            Some(alarm) => Err(IdentityAtRisk::Alarm(*alarm)),
            None => Ok(()),
        }
    }

    fn decide_unpublished(self) -> Result<IdentityChoice, IdentityAtRisk> {
        self.check_no_alarm()?;
        let pinned = self.pinned();
        let mut known = self.made_here.into_iter().chain(self.stored);
        match (pinned, self.has_stored) {
            (Some(pinned), _) => known
                .find(|keys| master(keys) == pinned)
                .map(IdentityChoice::Publish)
                .ok_or(IdentityAtRisk::Hidden { pinned }),
            (None, has_stored) => match known.next() {
                Some(keys) => Ok(IdentityChoice::Publish(keys)),
                None if has_stored => Err(IdentityAtRisk::Stored),
                None => Ok(IdentityChoice::Create),
            },
        }
    }

    fn pinned(&self) -> Option<PublicKey> {
        self.trust?.pinned().map(|(key, _)| key)
    }
}

/// The decision about the identity of an account.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the caller must handle each of them"
)]
#[expect(
    clippy::large_enum_variant,
    reason = "keys are large, and it is moved, not kept"
)]
pub enum IdentityChoice {
    /// It has none, and never had one as far as this machine and secret storage tell: make it.
    Create,
    /// It is published: it stays.
    Keep,
    /// It is known here, and the server does not publish it: publish it, once more or at last.
    Publish(CrossSigningKeys),
}

/// Why nothing is done about the identity of an account before the user says so.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityAtRisk {
    /// An alarm was raised, and not settled.
    #[error("{0}")]
    Alarm(IdentityAlarm),
    /// Another identity is published than this machine knows.
    #[error(
        "the server shows a different identity than this machine knows: the master key {published} \
         instead of {pinned}"
    )]
    Changed {
        /// The master key that is pinned.
        pinned: PublicKey,
        /// The one that is published.
        published: PublicKey,
    },
    /// The identity that this machine knows is not published, and its private keys are not known.
    #[error(
        "the server does not show the identity that this machine knows, with the master key \
         {pinned}, and its private keys cannot be opened"
    )]
    Hidden {
        /// The master key that is pinned.
        pinned: PublicKey,
    },
    /// No identity is published, and secret storage holds private keys of one.
    #[error(
        "the server shows no identity, and secret storage holds private keys of one that cannot be \
         opened or do not belong together"
    )]
    Stored,
}

crate::error_code::error_codes! {
    IdentityAtRisk:
    Self::Alarm { .. } => "identity_at_risk_alarm",
    Self::Changed { .. } => "identity_at_risk_changed",
    Self::Hidden { .. } => "identity_at_risk_hidden",
    Self::Stored { .. } => "identity_at_risk_stored",
}

fn master(keys: &CrossSigningKeys) -> PublicKey {
    keys.master_key().public_key()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::Timestamp;
    use crate::identity::{LoggedInDevices, PinnedBy, UserKeys};
    use crate::testing::rng_from;

    const USER: &str = "@alice:example.org";

    /// Others each time.
    fn keys() -> CrossSigningKeys {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1000, Ordering::Relaxed);
        CrossSigningKeys::generate(&mut rng_from(number))
    }

    fn again(keys: &CrossSigningKeys) -> CrossSigningKeys {
        let mut known = crate::cross_signing::KnownKeys::default();
        for (name, secret) in keys.secrets() {
            known
                .learn(&name, &secret, &crate::PublishedKeys::default())
                .unwrap();
        }
        known.complete().unwrap()
    }

    fn published(keys: Option<&CrossSigningKeys>) -> PublishedIdentity {
        let body = keys.map(|keys| keys.public_keys(USER).unwrap().as_keys_query(USER));
        PublishedIdentity::from_keys_query(USER, body.as_deref().unwrap_or("{}")).unwrap()
    }

    fn pinning(keys: &CrossSigningKeys) -> Trust {
        let mut trust = Trust::new(USER, "HERE");
        trust.pin(master(keys), PinnedBy::PrivateKey);
        trust
    }

    fn known<'a>(published: &'a PublishedIdentity, trust: Option<&'a Trust>) -> KnownIdentity<'a> {
        KnownIdentity {
            published,
            trust,
            made_here: None,
            stored: None,
            has_stored: false,
        }
    }

    #[test]
    fn the_first_identity_is_made_where_nothing_speaks_of_one() {
        let nothing = published(None);
        let empty = Trust::new(USER, "HERE");
        for trust in [None, Some(&empty)] {
            let choice = known(&nothing, trust).decide();
            assert!(matches!(choice, Ok(IdentityChoice::Create)), "{choice:?}");
        }
        let seeds = KnownIdentity {
            has_stored: true,
            ..known(&nothing, None)
        };
        assert_eq!(seeds.decide().unwrap_err(), IdentityAtRisk::Stored);
    }

    // shows: SHR-10
    #[test]
    fn an_identity_that_is_pinned_and_hidden_is_published_again_or_nothing_is() {
        let (nothing, ours, others) = (published(None), keys(), keys());
        let trust = pinning(&ours);
        let pinned = master(&ours);
        let hidden = known(&nothing, Some(&trust)).decide().unwrap_err();
        assert_eq!(hidden, IdentityAtRisk::Hidden { pinned });
        // Whatever else is available, made here or stored.
        for (made_here, stored) in [(Some(&others), None), (None, Some(&others))] {
            let known = KnownIdentity {
                made_here: made_here.map(again),
                stored: stored.map(again),
                has_stored: true,
                ..known(&nothing, Some(&trust))
            };
            assert_eq!(known.decide().unwrap_err(), hidden);
        }
        let known = KnownIdentity {
            made_here: Some(again(&others)),
            stored: Some(again(&ours)),
            has_stored: true,
            ..known(&nothing, Some(&trust))
        };
        let Ok(IdentityChoice::Publish(again)) = known.decide() else {
            panic!("it is known");
        };
        assert_eq!(master(&again), pinned);
    }

    #[test]
    fn an_identity_that_was_made_and_not_published_is_published() {
        let (nothing, made, stored) = (published(None), keys(), keys());
        let both = KnownIdentity {
            made_here: Some(again(&made)),
            stored: Some(again(&stored)),
            has_stored: true,
            ..known(&nothing, None)
        };
        let Ok(IdentityChoice::Publish(chosen)) = both.decide() else {
            panic!("it is known");
        };
        assert_eq!(master(&chosen), master(&made));
    }

    #[test]
    fn another_identity_than_the_pinned_one_is_not_taken_for_it() {
        let (ours, others) = (keys(), keys());
        let trust = pinning(&ours);
        let (own, other) = (published(Some(&ours)), published(Some(&others)));
        for trust in [None, Some(&trust)] {
            let choice = known(&own, trust).decide();
            assert!(matches!(choice, Ok(IdentityChoice::Keep)), "{choice:?}");
        }
        let changed = IdentityAtRisk::Changed {
            pinned: master(&ours),
            published: master(&others),
        };
        let stored = KnownIdentity {
            stored: Some(again(&others)),
            has_stored: true,
            ..known(&other, Some(&trust))
        };
        assert_eq!(stored.decide().unwrap_err(), changed);
        // A replacement that this machine made goes on.
        let made = KnownIdentity {
            made_here: Some(again(&others)),
            ..known(&other, Some(&trust))
        };
        assert!(matches!(made.decide(), Ok(IdentityChoice::Keep)));
    }

    #[test]
    fn an_alarm_is_settled_by_the_user() {
        let (ours, others) = (keys(), keys());
        let mut trust = pinning(&ours);
        let body = others.public_keys(USER).unwrap().as_keys_query(USER);
        let mut body: serde_json::Value = serde_json::from_str(&body).unwrap();
        body["device_keys"] = serde_json::json!({USER: {}});
        let lie = UserKeys::from_keys_query(USER, &body.to_string()).unwrap();
        let nobody = LoggedInDevices::default();
        trust.observe(&lie, Some(&nobody), Timestamp::from_millis(1));
        let alarm = IdentityAtRisk::Alarm(*trust.alarm().unwrap());
        // The server shows the true one again, or none.
        for published in [published(Some(&ours)), published(None)] {
            let known = KnownIdentity {
                stored: Some(again(&ours)),
                has_stored: true,
                ..known(&published, Some(&trust))
            };
            assert_eq!(known.decide().unwrap_err(), alarm);
        }
    }

    #[test]
    fn a_replacement_is_never_what_is_replaced() {
        let (ours, made) = (keys(), keys());
        let trust = pinning(&ours);
        let own = published(Some(&ours));
        for (made_here, expected) in [
            (None, None),
            (Some(&ours), None),
            (Some(&made), Some(&made)),
        ] {
            let known = KnownIdentity {
                made_here: made_here.map(again),
                stored: Some(again(&ours)),
                has_stored: true,
                ..known(&own, Some(&trust))
            };
            let replacement = known.replacement();
            assert_eq!(replacement.as_ref().map(master), expected.map(master));
        }
        // Published by now: it has replaced the pinned one.
        let done = published(Some(&made));
        let known = KnownIdentity {
            made_here: Some(again(&made)),
            ..known(&done, Some(&trust))
        };
        assert!(known.replacement().is_none());
    }
}
