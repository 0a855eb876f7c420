//! Proving a key that is the right one and has no description: it gets one again.

use rand_core::CryptoRng;

use super::repair::{describe_again, restore_description};
use super::steps::Plan;
use crate::{
    AccountData, Content, KeyCheckOutcome, KeyDescription, NotProven, NotProvenReason, ProvenKey,
    SecretStorage, SecretStorageKey,
};

/// A key that may write once the plan is carried out, which comes first.
#[derive(Debug)]
#[non_exhaustive]
pub struct Described {
    /// The key.
    pub key: ProvenKey,
    /// The plan that describes the key again; empty when it is described.
    pub plan: Plan,
    /// The account data as the plan leaves it, on which everything else is to be planned.
    pub account_data: AccountData,
}

/// Proves a key, as [`SecretStorage::prove`] does. When it opens a secret and its description is gone
/// or cannot be read, the plan puts back the one that is remembered, with which its passphrase opens it
/// too; else it describes the key again under its ID.
///
/// # Errors
///
/// [`NotProven`], as [`SecretStorage::prove`].
///
/// ```
/// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
/// use fourfold::plan::{self, WritingKey};
/// use fourfold::{AccountData, NewKey, Secret, SecretName, SecretStorage, SecretStorageKey};
/// let mut account_data = AccountData::default();
/// let new = NewKey::random(None, &mut rng);
/// plan::set_up(&SecretStorage::new(&account_data), &new)?.apply_to(&mut account_data);
/// let (name, secret) = (SecretName::new("org.example.token")?, Secret::new("s3cret"));
/// let keys = [WritingKey::Proven(new.key())];
/// let storage = SecretStorage::new(&account_data);
/// plan::store(&storage, &name, &secret, &keys, &Default::default(), &mut rng)?
///     .apply_to(&mut account_data);
/// // Another client empties the description.
/// account_data.insert_json(new.key().id().event_type(), "{}")?;
///
/// let storage = SecretStorage::new(&account_data);
/// let written_down = new.key().key().expose_recovery_key();
/// let key = SecretStorageKey::from_recovery_key(new.description(), &written_down)?;
/// let described = plan::prove_again(&storage, key, None, &mut rng)?;
/// assert_eq!(described.plan.steps.len(), 1);
/// assert!(SecretStorage::new(&described.account_data).is_current(&described.key));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn prove_again(
    storage: &SecretStorage<'_>,
    key: SecretStorageKey,
    remembered: Option<&Content>,
    rng: &mut impl CryptoRng,
) -> Result<Described, NotProven> {
    let not_proven = match storage.prove(key) {
        Ok(key) => {
            let title = format!("describe the key {} again", key.id());
            return Ok(Described {
                key,
                plan: Plan::new(title),
                account_data: storage.account_data().clone(),
            });
        }
        Err(not_proven) => not_proven,
    };
    let NotProvenReason::NoDescription(_) = not_proven.reason else {
        return Err(not_proven);
    };
    let key = &not_proven.key;
    let fits = |remembered: &&Content| {
        let description = KeyDescription::new(key.id().clone(), (*remembered).clone());
        let check = description.ok().and_then(|one| one.check(key).ok());
        check.is_some_and(|check| check.outcome == KeyCheckOutcome::Verified)
    };
    let planned = match remembered.filter(fits) {
        Some(remembered) if storage.opens_something(key) => {
            restore_description(storage, key.id(), remembered)
        }
        _ => describe_again(storage, key, rng),
    };
    let Ok(plan) = planned else {
        return Err(not_proven);
    };
    let mut account_data = storage.account_data().clone();
    plan.apply_to(&mut account_data);
    let key = SecretStorage::new(&account_data).prove(*not_proven.key)?;
    Ok(Described {
        key,
        plan,
        account_data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passphrase::{Passphrase, PassphraseParameters};
    use crate::plan::{WritingKey, set_up, store};
    use crate::storage::{KeyText, UnlockError};
    use crate::testing::rng;
    use crate::{NewKey, Secret, SecretName, Snapshot};

    /// An account whose key has a passphrase and opens a secret; and without its description.
    fn account() -> (NewKey, Snapshot) {
        let mut rng = rng();
        let parameters = PassphraseParameters::random(&mut rng);
        let passphrase = Passphrase::new("correct horse battery staple");
        let new = NewKey::from_passphrase(&passphrase, &parameters, None, &mut rng).unwrap();
        let mut snapshot = Snapshot::new("@a:b", AccountData::default(), None, None).unwrap();
        let plan = set_up(&snapshot.storage(), &new).unwrap();
        plan.apply_to(&mut snapshot.account_data);
        let (name, secret) = (
            SecretName::new("org.example").unwrap(),
            Secret::new("value"),
        );
        let keys = [WritingKey::Proven(new.key())];
        let published_keys = Default::default();
        let storage = snapshot.storage();
        let plan = store(&storage, &name, &secret, &keys, &published_keys, &mut rng).unwrap();
        plan.apply_to(&mut snapshot.account_data);
        let description = new.key().id().event_type();
        snapshot
            .account_data
            .insert_json(description, "{}")
            .unwrap();
        (new, snapshot)
    }

    fn key(new: &NewKey) -> SecretStorageKey {
        let text = new.key().key().expose_recovery_key();
        SecretStorageKey::from_recovery_key(new.description(), &text).unwrap()
    }

    #[test]
    fn a_key_is_described_again_as_it_was_when_that_is_remembered() {
        let (new, snapshot) = account();
        let content = new.description().content();
        let storage = snapshot.storage();
        for (remembered, has_passphrase) in [(Some(content), true), (None, false)] {
            let described = prove_again(&storage, key(&new), remembered, &mut rng()).unwrap();
            let now = SecretStorage::new(&described.account_data);
            let description = now.key(new.key().id()).unwrap();
            assert_eq!(description.passphrase().is_some(), has_passphrase);
            assert_eq!(
                description.check(new.key().key()).unwrap().outcome,
                KeyCheckOutcome::Verified
            );
        }
        // What is remembered of another key is not put there.
        let other = NewKey::random(None, &mut crate::testing::rng_from(9));
        let other = Some(other.description().content());
        let described = prove_again(&storage, key(&new), other, &mut rng()).unwrap();
        assert!(SecretStorage::new(&described.account_data).is_current(&described.key));
    }

    #[test]
    fn a_wrong_key_is_not_described() {
        let (new, snapshot) = account();
        let bytes = zeroize::Zeroizing::new([7; 32]);
        let wrong = SecretStorageKey::from_bytes(
            new.key().id().clone(),
            crate::Algorithm::AesHmacSha2,
            bytes,
        );
        let remembered = Some(new.description().content());
        let refused = prove_again(&snapshot.storage(), wrong, remembered, &mut rng());
        assert!(matches!(
            refused.unwrap_err().reason,
            NotProvenReason::NoDescription(_)
        ));
    }

    #[test]
    fn a_recovery_key_is_found_without_its_description_and_a_passphrase_is_told_why_not() {
        let (new, snapshot) = account();
        let storage = snapshot.storage();
        let undescribed = storage.undescribed_keys();
        assert_eq!(undescribed, [new.key().id().clone()]);
        let find = |text: &str| {
            let mut budget = crate::passphrase::Bounds::DEFAULT.budget();
            let text = KeyText::Either(text);
            storage.find_key_or_undescribed(text, &[], &undescribed, &mut budget, |_| {})
        };
        let recovery_key = new.key().key().expose_recovery_key();
        let found = find(&recovery_key).unwrap();
        assert_eq!(found.key.id(), new.key().id());
        assert_eq!(found.outcome, KeyCheckOutcome::Verified);
        let other = NewKey::random(None, &mut crate::testing::rng_from(9));
        let refused = find(&other.key().key().expose_recovery_key()).unwrap_err();
        assert!(
            matches!(refused, UnlockError::WrongRecoveryKey { .. }),
            "{refused}"
        );
        let refused = find("correct horse battery staple").unwrap_err();
        let id = new.key().id().clone();
        assert_eq!(refused, UnlockError::Undescribed { id });
        let mistyped = recovery_key.replacen('E', "F", 1);
        assert!(find(&mistyped).is_err());
    }
}
