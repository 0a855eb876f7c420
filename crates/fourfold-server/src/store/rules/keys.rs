//! Published keys: revisions, one-time keys, and signatures on other users.

use crate::store::{CrossSigningKeys, OneTimeKey, Position, StoreError};

/// Checks that key objects are still those of the revision that a change was decided on.
///
/// # Errors
///
/// [`StoreError::Changed`].
pub fn check_revision(decided_on: Position, current: Position) -> Result<(), StoreError> {
    if decided_on != current {
        return Err(StoreError::Changed);
    }
    Ok(())
}

/// Checks that there is room for more signatures on other users.
///
/// # Errors
///
/// [`StoreError::Quota`].
pub fn check_signatures(present: u64, added: usize, most: u64) -> Result<(), StoreError> {
    check_room(present, added, most, "signatures on other users")
}

/// Checks that there is room for more one-time keys on a device.
///
/// # Errors
///
/// [`StoreError::Quota`].
pub fn check_one_time_keys(present: u64, added: usize, most: u64) -> Result<(), StoreError> {
    check_room(present, added, most, "one-time keys")
}

/// Whether a one-time key is to be added; `known` is the key that is published under its ID.
///
/// # Errors
///
/// [`StoreError::KeyInUse`] when it is a different one.
pub fn is_fresh(uploaded: &OneTimeKey, known: Option<&[u8]>) -> Result<bool, StoreError> {
    match known {
        Some(known) if *known == *uploaded.key => Ok(false),
        Some(_) => Err(StoreError::KeyInUse),
        None => Ok(true),
    }
}

/// The ID of the key whose signatures on other users stay when these cross-signing keys are stored;
/// those of any other key go. `None` when all go.
#[must_use]
pub fn signing_key_that_stays(keys: &CrossSigningKeys) -> Option<String> {
    let key = keys.user_signing.as_ref()?;
    Some(format!("ed25519:{}", key.public_key))
}

fn check_room(present: u64, added: usize, most: u64, what: &'static str) -> Result<(), StoreError> {
    let added = u64::try_from(added).unwrap_or(u64::MAX);
    if present.saturating_add(added) > most {
        return Err(StoreError::Quota(what));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::CrossSigningKey;

    #[test]
    fn a_one_time_key_is_added_once_and_never_replaced() {
        let key = OneTimeKey {
            algorithm: "signed_curve25519".to_owned(),
            id: "A".to_owned(),
            key: "{}".into(),
        };
        assert!(is_fresh(&key, None).unwrap());
        assert!(!is_fresh(&key, Some(b"{}")).unwrap());
        let other = is_fresh(&key, Some(b"{ }"));
        assert!(matches!(other, Err(StoreError::KeyInUse)));
    }

    #[test]
    fn quotas_are_reached_and_not_passed() {
        check_one_time_keys(40, 10, 50).unwrap();
        check_one_time_keys(40, 11, 50).unwrap_err();
        check_one_time_keys(u64::MAX, 1, 50).unwrap_err();
        check_signatures(0, 50, 50).unwrap();
        check_signatures(1, 50, 50).unwrap_err();
    }

    #[test]
    fn a_change_is_decided_on_the_current_revision() {
        check_revision(Position(3), Position(3)).unwrap();
        for current in [2, 4] {
            let refused = check_revision(Position(3), Position(current));
            assert!(matches!(refused, Err(StoreError::Changed)));
        }
    }

    #[test]
    fn only_signatures_of_the_new_user_signing_key_stay() {
        let mut keys = CrossSigningKeys::default();
        assert_eq!(signing_key_that_stays(&keys), None);
        keys.user_signing = Some(CrossSigningKey {
            public_key: "abc".to_owned(),
            content: "{}".into(),
        });
        assert_eq!(signing_key_that_stays(&keys).unwrap(), "ed25519:abc");
    }
}
