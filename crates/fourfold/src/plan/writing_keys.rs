//! The keys that a secret is stored under, each in the form in which it writes.

use super::secret::{StoreError, WritingKey};
use crate::algorithm::curve25519_aes_sha2::MacMode;
use crate::{ProvenKey, TrustedPublicKey};

/// Proven keys, and for those of 2019 what they write with.
///
/// ```
/// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
/// use fourfold::NewKey;
/// use fourfold::plan::{StoreError, WritingKeys};
/// let today = NewKey::random(None, &mut rng).into_key();
/// let keys = WritingKeys::new(vec![today], false)?;
/// assert_eq!(keys.as_writing().len(), 1);
/// # Ok::<(), StoreError>(())
/// ```
#[derive(Debug)]
pub struct WritingKeys(Vec<(ProvenKey, Option<TrustedPublicKey>)>);

impl WritingKeys {
    /// Takes the keys. `allows_2019` is whether the user chose to write in the form of 2019, which
    /// does not tell who wrote.
    ///
    /// # Errors
    ///
    /// [`StoreError::Needs2019Profile`].
    pub fn new(keys: Vec<ProvenKey>, allows_2019: bool) -> Result<Self, StoreError> {
        let with_recipient = |key: ProvenKey| match TrustedPublicKey::from_proven_key(&key) {
            Ok(_) if !allows_2019 => Err(StoreError::Needs2019Profile),
            Ok(recipient) => Ok((key, Some(recipient))),
            // It is not a key of 2019.
            Err(_) => Ok((key, None)),
        };
        keys.into_iter()
            .map(with_recipient)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The keys as [`store`](super::store) takes them.
    #[must_use]
    pub fn as_writing(&self) -> Vec<WritingKey<'_>> {
        let writing = self.0.iter().map(|(key, recipient)| match recipient {
            Some(recipient) => WritingKey::Profile2019 {
                recipient,
                mac_mode: MacMode::Libolm,
            },
            None => WritingKey::Proven(key),
        });
        writing.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NewKey;
    use crate::signed_json::SigningKey;
    use crate::testing::rng;

    #[test]
    fn a_key_of_2019_writes_where_the_user_chose_that_form() {
        let key = || {
            let master = SigningKey::from_seed(&[1; 32].into());
            let new = NewKey::random_2019("old", "@alice:example.org", &master, &mut rng());
            new.unwrap().into_key()
        };
        let refused = WritingKeys::new(vec![key()], false).unwrap_err();
        assert_eq!(refused, StoreError::Needs2019Profile);
        let today = NewKey::random(None, &mut rng()).into_key();
        let keys = WritingKeys::new(vec![today, key()], true).unwrap();
        let writing = keys.as_writing();
        assert!(matches!(
            writing.as_slice(),
            [
                WritingKey::Proven(_),
                WritingKey::Profile2019 {
                    mac_mode: MacMode::Libolm,
                    ..
                }
            ]
        ));
    }
}
