//! Secrets in a file, sealed under a key of its own.
//!
//! The file is a [`Snapshot`] of an account that has nothing but these secrets: the description of a
//! new key, that it is the default, and each secret encrypted under it, all as the specification has
//! them in account data. So whatever reads secret storage opens it, and no format and no cipher is
//! added. [`plan::import`] takes the secrets back into an account.

use rand_core::CryptoRng;

use crate::plan::{self, StoreError};
use crate::{AccountData, NewKey, Secret, SecretName, Snapshot, Timestamp};

/// Seals secrets of an account under a new key. Each is compared with what the account publishes, so
/// that the file never has a value that is known to be wrong.
///
/// # Errors
///
/// [`StoreError`]: a secret is too large, or is not what its name says.
///
/// ```
/// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
/// use fourfold::{NewKey, Secret, SecretName, Snapshot, Timestamp, export};
/// let account = Snapshot::from_json(r#"{"user_id": "@a:b.org", "account_data": {}}"#)?;
/// let (name, secret) = (SecretName::new("org.example.token")?, Secret::new("s3cret"));
/// let new = NewKey::random(None, &mut rng);
/// let now = Timestamp::from_millis(1_700_000_000_000);
/// let file = export::seal(&account, &[(name.clone(), secret)], &new, now, &mut rng)?;
///
/// let read = Snapshot::from_json(&file.to_json())?;
/// let key = read.unlock(&new.key().key().expose_recovery_key())?;
/// assert_eq!(read.open(&name, &key)?.secret.expose_secret(), "s3cret");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn seal(
    account: &Snapshot,
    secrets: &[(SecretName, Secret)],
    new: &NewKey,
    now: Timestamp,
    rng: &mut impl CryptoRng,
) -> Result<Snapshot, StoreError> {
    let mut file = Snapshot::of(&account.user_id, AccountData::default(), now);
    let described = plan::create_default_key(&file.storage(), new);
    described.apply_to(&mut file.account_data);
    let published_keys = account.published_keys();
    for (name, secret) in secrets {
        let keys = [plan::WritingKey::Proven(new.key())];
        let storage = file.storage();
        let stored = plan::store(&storage, name, secret, &keys, &published_keys, rng)?;
        stored.apply_to(&mut file.account_data);
    }
    Ok(file)
}
