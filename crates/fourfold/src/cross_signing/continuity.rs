//! What becomes of the identity of an account: whether it stays, is published once more, or is made.
//!
//! A server can hide a published identity and spoil the seeds in secret storage. On a machine that
//! remembers the identity this must not look like an account that never had one: nothing but the
//! user replaces an identity, or one of its keys that somebody may hold.

use super::choice::{IdentityAtRisk, IdentityChoice, SigningKeyChoice};
use super::{KnownKeys, ReplacedIdentity};
use crate::cross_signing::CrossSigningKeys;
use crate::identity::{CrossSigningKeyError, IdentityAlarm, Trust};
use crate::signed_json::{PublicKey, SigningKey};
use crate::{PublishedIdentity, PublishedKeys};

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
    pub made_here: KnownKeys,
    /// The keys that secret storage holds, as far as they open and are what their names say.
    pub stored: KnownKeys,
    /// Whether secret storage holds seeds of an identity, of use or not.
    pub has_stored: bool,
    /// Whether the user says that a new self-signing or user-signing key is to be made where a
    /// published one has no private half at hand.
    pub makes_signing_keys: bool,
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
            Err(_) => self.decide_unreadable(),
        }
    }

    /// The keys of a new identity that an interrupted replacement has left, if the user says that
    /// the identity is to be replaced. What secret storage holds is what is replaced.
    #[must_use]
    pub fn replacement(self) -> Option<CrossSigningKeys> {
        let published = self.published.master_key().ok();
        let pinned = self.pinned();
        self.made_here.complete().filter(|keys| {
            let master = Some(keys.master_key().public_key());
            master != published && master != pinned
        })
    }

    /// What secret storage holds is published again, in place of what is, because the user says so.
    ///
    /// # Errors
    ///
    /// [`IdentityAtRisk::NothingToRestore`] when it does not hold the master key of another identity.
    pub fn restore(self) -> Result<IdentityChoice, IdentityAtRisk> {
        let published = self.published.master_key().ok();
        match master(&self.stored) {
            Some(stored) if Some(stored) != published => Ok(publish(self.stored)),
            // It was done, but for what comes after it.
            Some(_) => self.complete_published(),
            None => Err(IdentityAtRisk::NothingToRestore),
        }
    }

    fn judge_published(self, published: PublicKey) -> Result<IdentityChoice, IdentityAtRisk> {
        // A replacement that was agreed to here needs no check.
        if master(&self.made_here) != Some(published) {
            if let Some(pinned) = self.pinned().filter(|pinned| *pinned != published) {
                return Err(IdentityAtRisk::Changed { pinned, published });
            }
            self.check_no_alarm(published)?;
        }
        self.complete_published()
    }

    /// An alarm is settled by the user; one about the self-signing key is settled when it is replaced
    /// under the master key that is held.
    fn check_no_alarm(&self, published: PublicKey) -> Result<(), IdentityAtRisk> {
        match self.trust.and_then(Trust::alarm) {
            Some(IdentityAlarm::SelfSigningKeyChanged { .. })
                if self.makes_signing_keys && master(&self.stored) == Some(published) =>
            {
                Ok(())
            }
            Some(alarm) => Err(IdentityAtRisk::Alarm(*alarm)),
            None => Ok(()),
        }
    }

    /// What is published stays; its signing keys are published again or made where nothing is lost
    /// by it, or the user says so.
    fn complete_published(self) -> Result<IdentityChoice, IdentityAtRisk> {
        let published = self.published.master_key().ok();
        let stored_master = master(&self.stored);
        let made_master = master(&self.made_here);
        if stored_master != published && made_master != published {
            return self.check_not_replaced().map(|()| IdentityChoice::Keep);
        }
        let is_made_here = made_master == published;
        let makes = self.makes_signing_keys;
        let (made, stored) = (self.made_here, self.stored);
        let self_signing = SigningKeyChoice::of(
            self.published.self_signing_key(),
            made.self_signing.filter(|_| is_made_here),
            stored.self_signing,
            makes,
        );
        let user_signing = SigningKeyChoice::of(
            self.published.user_signing_key(),
            made.user_signing.filter(|_| is_made_here),
            stored.user_signing,
            makes,
        );
        // All three are published at once: one whose private half is not at hand stands in the way.
        Ok(match (self_signing, user_signing) {
            (SigningKeyChoice::Keep(_), SigningKeyChoice::Keep(_))
            | (SigningKeyChoice::Keep(None), _)
            | (_, SigningKeyChoice::Keep(None)) => IdentityChoice::Keep,
            (
                SigningKeyChoice::Keep(self_signing) | SigningKeyChoice::Publish(self_signing),
                SigningKeyChoice::Keep(user_signing) | SigningKeyChoice::Publish(user_signing),
            ) => publish(KnownKeys {
                master: if is_made_here {
                    made.master
                } else {
                    stored.master
                },
                self_signing,
                user_signing,
            }),
        })
    }

    fn check_not_replaced(&self) -> Result<(), IdentityAtRisk> {
        let published_keys = PublishedKeys {
            identity: Some(self.published.clone()),
            backup: None,
        };
        let secrets = self.stored.secrets();
        let secrets = secrets.iter().map(|(name, secret)| (name, secret));
        match ReplacedIdentity::compare(secrets, &published_keys) {
            Some(replaced) if replaced.is_whole() => Err(IdentityAtRisk::Replaced(replaced)),
            _ => Ok(()),
        }
    }

    fn decide_unpublished(self) -> Result<IdentityChoice, IdentityAtRisk> {
        if let Some(alarm) = self.trust.and_then(Trust::alarm) {
            return Err(IdentityAtRisk::Alarm(*alarm));
        }
        let pinned = self.pinned();
        let has_stored = self.has_stored;
        // A whole identity comes before the master key of one.
        let mut known = [self.made_here, self.stored];
        known.sort_by_key(|keys| !keys.missing().is_empty());
        let mut known = known.into_iter();
        match (pinned, has_stored) {
            (Some(pinned), _) => known
                .find(|keys| master(keys) == Some(pinned))
                .map(publish)
                .ok_or(IdentityAtRisk::Hidden { pinned }),
            (None, has_stored) => match known.find(|keys| keys.master.is_some()) {
                Some(keys) => Ok(publish(keys)),
                None if has_stored => Err(IdentityAtRisk::Stored),
                None => Ok(IdentityChoice::Create),
            },
        }
    }

    /// What is published is no master key: nobody can rely on it. The one that is at hand takes its
    /// place, unless another one is pinned.
    fn decide_unreadable(self) -> Result<IdentityChoice, IdentityAtRisk> {
        let pinned = self.pinned();
        let mut known = [self.made_here, self.stored].into_iter();
        let known = known.find(|keys| {
            let master = master(keys);
            master.is_some() && pinned.is_none_or(|pinned| Some(pinned) == master)
        });
        // Whether it can be relied on is for its user to decide; it is there.
        Ok(known.map_or(IdentityChoice::Keep, publish))
    }

    fn pinned(&self) -> Option<PublicKey> {
        self.trust?.pinned().map(|(key, _)| key)
    }
}

/// Publishes it, whole.
fn publish(keys: KnownKeys) -> IdentityChoice {
    match keys.missing().is_empty() {
        true => keys
            .complete()
            .map_or(IdentityChoice::Keep, IdentityChoice::Publish),
        false => IdentityChoice::Renew(keys),
    }
}

fn master(keys: &KnownKeys) -> Option<PublicKey> {
    keys.master_key().map(SigningKey::public_key)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::identity::{LoggedInDevices, PinnedBy, UserKeys};
    use crate::testing::rng_from;
    use crate::{SecretName, Timestamp};

    const USER: &str = "@alice:example.org";

    /// Others each time.
    fn keys() -> CrossSigningKeys {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1000, Ordering::Relaxed);
        CrossSigningKeys::generate(&mut rng_from(number))
    }

    fn again(keys: &CrossSigningKeys) -> KnownKeys {
        parts(keys, &SecretName::cross_signing())
    }

    /// Some of them.
    fn parts(keys: &CrossSigningKeys, names: &[SecretName]) -> KnownKeys {
        let mut known = KnownKeys::default();
        for (name, secret) in keys.secrets() {
            if names.contains(&name) {
                known
                    .learn(&name, &secret, &PublishedKeys::default())
                    .unwrap();
            }
        }
        known
    }

    fn master(keys: &CrossSigningKeys) -> PublicKey {
        keys.master_key().public_key()
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
            made_here: KnownKeys::default(),
            stored: KnownKeys::default(),
            has_stored: false,
            makes_signing_keys: false,
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
                made_here: made_here.map(again).unwrap_or_default(),
                stored: stored.map(again).unwrap_or_default(),
                has_stored: true,
                ..known(&nothing, Some(&trust))
            };
            assert_eq!(known.decide().unwrap_err(), hidden);
        }
        let known = KnownIdentity {
            made_here: again(&others),
            stored: again(&ours),
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
            made_here: again(&made),
            stored: again(&stored),
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
            stored: again(&others),
            has_stored: true,
            ..known(&other, Some(&trust))
        };
        assert_eq!(stored.decide().unwrap_err(), changed);
        // A replacement that this machine made goes on.
        let made = KnownIdentity {
            made_here: again(&others),
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
                stored: again(&ours),
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
                made_here: made_here.map(again).unwrap_or_default(),
                stored: again(&ours),
                has_stored: true,
                ..known(&own, Some(&trust))
            };
            let replacement = known.replacement();
            assert_eq!(replacement.as_ref().map(master), expected.map(master));
        }
        // Published by now: it has replaced the pinned one.
        let done = published(Some(&made));
        let known = KnownIdentity {
            made_here: again(&made),
            ..known(&done, Some(&trust))
        };
        assert!(known.replacement().is_none());
    }

    const SELF_SIGNING: usize = 1;
    const USER_SIGNING: usize = 2;

    /// All names but one.
    fn but(index: usize) -> Vec<SecretName> {
        let mut names = SecretName::cross_signing().to_vec();
        names.remove(index);
        names
    }

    #[test]
    fn a_signing_key_that_is_missing_is_made_when_the_user_says_so() {
        let ours = keys();
        let own = published(Some(&ours));
        for index in [SELF_SIGNING, USER_SIGNING] {
            for makes_signing_keys in [false, true] {
                let known = KnownIdentity {
                    stored: parts(&ours, &but(index)),
                    has_stored: true,
                    makes_signing_keys,
                    ..known(&own, None)
                };
                match known.decide().unwrap() {
                    IdentityChoice::Keep => assert!(!makes_signing_keys),
                    IdentityChoice::Renew(parts) => {
                        assert!(makes_signing_keys);
                        let made = parts.complete_with_new(&mut rng_from(77)).unwrap();
                        assert_eq!(master(&made), master(&ours));
                        let is_new = |key: &SigningKey, former: &SigningKey| {
                            key.public_key() != former.public_key()
                        };
                        let new = [
                            is_new(made.self_signing_key(), ours.self_signing_key()),
                            is_new(made.user_signing_key(), ours.user_signing_key()),
                        ];
                        assert_eq!(new, [index == SELF_SIGNING, index == USER_SIGNING]);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    #[test]
    fn a_master_key_that_is_stored_is_kept_when_nothing_is_published() {
        let (nothing, ours, others) = (published(None), keys(), keys());
        let stored = || parts(&ours, &but(SELF_SIGNING));
        let trust = pinning(&ours);
        for trust in [None, Some(&trust)] {
            let known = KnownIdentity {
                stored: stored(),
                has_stored: true,
                ..known(&nothing, trust)
            };
            let Ok(IdentityChoice::Renew(known)) = known.decide() else {
                panic!("it is the identity");
            };
            assert_eq!(super::master(&known), Some(master(&ours)));
        }
        // Of another identity than the pinned one.
        let trust = pinning(&others);
        let known = KnownIdentity {
            stored: stored(),
            has_stored: true,
            ..known(&nothing, Some(&trust))
        };
        let pinned = master(&others);
        assert_eq!(
            known.decide().unwrap_err(),
            IdentityAtRisk::Hidden { pinned }
        );
    }

    #[test]
    fn what_nobody_can_rely_on_is_published_again() {
        let ours = keys();
        let body = ours.public_keys(USER).unwrap().as_keys_query(USER);
        let whole: serde_json::Value = serde_json::from_str(&body).unwrap();
        for member in ["master_keys", "self_signing_keys", "user_signing_keys"] {
            let mut spoilt = whole.clone();
            spoilt[member][USER]["usage"] = serde_json::json!(["nothing"]);
            let spoilt = PublishedIdentity::from_keys_query(USER, &spoilt.to_string()).unwrap();
            let known = KnownIdentity {
                stored: again(&ours),
                has_stored: true,
                ..known(&spoilt, None)
            };
            let Ok(IdentityChoice::Publish(again)) = known.decide() else {
                panic!("{member}");
            };
            assert_eq!(
                again.self_signing_key().public_key(),
                ours.self_signing_key().public_key()
            );
        }
    }

    // shows: SHR-10
    #[test]
    fn another_identity_than_the_stored_one_is_kept_or_replaced_by_the_user_alone() {
        let (ours, others) = (keys(), keys());
        let other = published(Some(&others));
        for makes_signing_keys in [false, true] {
            let known = KnownIdentity {
                stored: again(&ours),
                has_stored: true,
                makes_signing_keys,
                ..known(&other, None)
            };
            let refused = known.decide().unwrap_err();
            assert!(matches!(refused, IdentityAtRisk::Replaced(_)), "{refused}");
        }
        let known = || KnownIdentity {
            stored: again(&ours),
            has_stored: true,
            ..known(&other, None)
        };
        let Ok(IdentityChoice::Publish(restored)) = known().restore() else {
            panic!("it is stored");
        };
        assert_eq!(master(&restored), master(&ours));
        let nothing = KnownIdentity {
            stored: KnownKeys::default(),
            ..known()
        };
        let refused = nothing.restore().unwrap_err();
        assert_eq!(refused, IdentityAtRisk::NothingToRestore);
    }

    // shows: SHR-10
    #[test]
    fn an_alarm_about_a_signing_key_is_settled_by_replacing_it() {
        let ours = keys();
        let mut trust = pinning(&ours);
        let see = |trust: &mut Trust, keys: &CrossSigningKeys| {
            let body = keys.public_keys(USER).unwrap().as_keys_query(USER);
            let mut body: serde_json::Value = serde_json::from_str(&body).unwrap();
            body["device_keys"] = serde_json::json!({USER: {}});
            let shown = UserKeys::from_keys_query(USER, &body.to_string()).unwrap();
            let nobody = LoggedInDevices::default();
            trust.observe(&shown, Some(&nobody), Timestamp::from_millis(1));
        };
        see(&mut trust, &ours);
        let changed = parts(&ours, &but(SELF_SIGNING));
        let changed = changed.complete_with_new(&mut rng_from(5)).unwrap();
        see(&mut trust, &changed);
        let alarm = *trust.alarm().unwrap();
        assert!(matches!(alarm, IdentityAlarm::SelfSigningKeyChanged { .. }));
        let shown = published(Some(&changed));
        for (stored, makes_signing_keys) in [
            (again(&ours), false),
            (again(&ours), true),
            (KnownKeys::default(), true),
        ] {
            let has_master_key = stored.master_key().is_some();
            let known = KnownIdentity {
                stored,
                has_stored: true,
                makes_signing_keys,
                ..known(&shown, Some(&trust))
            };
            match known.decide() {
                Ok(IdentityChoice::Renew(_)) => assert!(makes_signing_keys && has_master_key),
                refused => {
                    assert_eq!(refused.unwrap_err(), IdentityAtRisk::Alarm(alarm));
                    assert!(!makes_signing_keys || !has_master_key);
                }
            }
        }
    }
}
