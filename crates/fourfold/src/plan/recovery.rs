//! A new key for a user who lost the one there is and still has secrets: on this machine, in an agent,
//! on another device.

use rand_core::CryptoRng;

use super::draft::Draft;
use super::key::{put_default, put_description};
use super::repair::add_copy;
use super::steps::Plan;
use crate::{NewKey, PublishedKeys, Secret, SecretName, SecretStorage};

/// Encrypts what is at hand under a new key, which becomes the default. Every copy under the keys
/// before stays, so that whoever finds the lost key loses nothing; the warnings name what it alone
/// opens.
///
/// A secret that is not what its name says, or belongs to another public key than the published one,
/// is left out, with a warning.
///
/// # Errors
///
/// [`RecoverError::NothingAtHand`] when no secret is brought over: then the new key would open
/// nothing.
///
/// ```
/// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
/// use fourfold::plan::{self, WritingKey};
/// use fourfold::{AccountData, NewKey, PublishedKeys, Secret, SecretName, SecretStorage};
/// let mut account_data = AccountData::default();
/// let (lost, new) = (NewKey::random(None, &mut rng), NewKey::random(None, &mut rng));
/// plan::set_up(&SecretStorage::new(&account_data), &lost)?.apply_to(&mut account_data);
/// let (name, secret) = (SecretName::new("org.example.token")?, Secret::new("s3cret"));
/// let (keys, published_keys) = ([WritingKey::Proven(lost.key())], PublishedKeys::default());
/// plan::store(&SecretStorage::new(&account_data), &name, &secret, &keys, &published_keys, &mut rng)?
///     .apply_to(&mut account_data);
///
/// let at_hand = [(name.clone(), secret)];
/// let storage = SecretStorage::new(&account_data);
/// plan::recover(&storage, &new, &at_hand, &published_keys, &mut rng)?.apply_to(&mut account_data);
/// let storage = SecretStorage::new(&account_data);
/// assert_eq!(storage.default_key().key_id(), Some(new.key().id()));
/// for key in [&new, &lost] {
///     assert_eq!(storage.open(&name, key.key().key())?.secret.expose_secret(), "s3cret");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn recover(
    storage: &SecretStorage<'_>,
    new: &NewKey,
    at_hand: &[(SecretName, Secret)],
    published_keys: &PublishedKeys,
    rng: &mut impl CryptoRng,
) -> Result<Plan, RecoverError> {
    let id = new.key().id();
    let mut draft = Draft::new(storage, format!("replace a lost key by the new key {id}"));
    put_description(&mut draft, new);
    let mut number = 0;
    for (name, secret) in at_hand {
        let copied = {
            let storage = draft.storage();
            add_copy(&storage, name, secret, new.key(), published_keys, rng)
        };
        match copied {
            Ok(plan) => {
                number += plan.steps.len();
                draft.append(plan);
            }
            Err(error) => draft.warn(format!("{name} is left out: {error}")),
        }
    }
    if number == 0 {
        return Err(RecoverError::NothingAtHand);
    }
    let left: Vec<_> = draft
        .storage()
        .secrets()
        .filter(|(_, secret)| secret.entry(id).is_none())
        .map(|(name, _)| name)
        .collect();
    for name in left {
        draft.warn(format!(
            "{name} stays under the keys before, which alone open it"
        ));
    }
    put_default(&mut draft, id);
    Ok(draft.finish())
}

/// Why a new key takes the place of no lost one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// There is nothing that it would open.
    #[error("no secret of the account is at hand")]
    NothingAtHand,
}

crate::error_code::error_codes! {
    RecoverError:
    Self::NothingAtHand { .. } => "recover_nothing_at_hand",
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AccountData;
    use crate::plan::{WritingKey, set_up, store};
    use crate::testing::{Fixed, rng};

    fn put(data: &mut AccountData, name: &str, value: &str, key: &NewKey, rng: &mut Fixed) {
        let (name, secret) = (SecretName::new(name).unwrap(), Secret::new(value));
        let keys = [WritingKey::Proven(key.key())];
        let storage = SecretStorage::new(data);
        let plan = store(&storage, &name, &secret, &keys, &Default::default(), rng).unwrap();
        plan.apply_to(data);
    }

    #[test]
    fn nothing_that_the_lost_key_opens_is_lost_at_any_step() {
        let mut rng = rng();
        let [lost, new] = [(); 2].map(|()| NewKey::random(None, &mut rng));
        let mut data = AccountData::default();
        set_up(&SecretStorage::new(&data), &lost)
            .unwrap()
            .apply_to(&mut data);
        for name in ["org.example.a", "org.example.b"] {
            put(&mut data, name, "value", &lost, &mut rng);
        }
        let name = SecretName::new("org.example.a").unwrap();
        // A later value than the stored one, and a secret that is not stored yet.
        let other = SecretName::new("org.example.new").unwrap();
        let at_hand = [
            (name.clone(), Secret::new("newer")),
            (other.clone(), Secret::new("new")),
        ];
        let published_keys = PublishedKeys::default();
        let storage = SecretStorage::new(&data);
        let plan = recover(&storage, &new, &at_hand, &published_keys, &mut rng).unwrap();
        assert_eq!(
            plan.warnings,
            ["org.example.b stays under the keys before, which alone open it"]
        );
        for put in plan.account_data() {
            data.insert(&put.event_type, &put.content);
            let storage = SecretStorage::new(&data);
            for name in ["org.example.a", "org.example.b"] {
                let name = SecretName::new(name).unwrap();
                let opened = storage.open(&name, lost.key().key()).unwrap();
                assert_eq!(opened.secret.expose_secret(), "value");
            }
            // The default comes last, so that an interrupted plan leaves the account as it was.
            let is_done = storage.open(&other, new.key().key()).is_ok();
            assert!(storage.default_key().key_id() == Some(lost.key().id()) || is_done);
        }
        let storage = SecretStorage::new(&data);
        assert!(storage.writes_by_default(new.key()));
        let opened = storage.open(&name, new.key().key()).unwrap();
        assert_eq!(opened.secret.expose_secret(), "newer");
        assert!(storage.key(lost.key().id()).is_ok());
    }

    #[test]
    fn a_new_key_that_would_open_nothing_is_not_made() {
        let mut rng = rng();
        let new = NewKey::random(None, &mut rng);
        let data = AccountData::default();
        let storage = SecretStorage::new(&data);
        let published_keys = PublishedKeys::default();
        // What is at hand is not what its name says.
        let wrong = [(SecretName::backup_key(), Secret::new("no key"))];
        for at_hand in [&wrong[..], &[]] {
            let refused = recover(&storage, &new, at_hand, &published_keys, &mut rng);
            assert_eq!(refused.unwrap_err(), RecoverError::NothingAtHand);
        }
    }
}
