//! Setting an account up, or completing it: secret storage, the identity, one device and the key
//! backup.

mod at_hand;
mod error;
mod key;
mod known;
mod signatures;
mod steps;

use rand_core::CryptoRng;

use self::at_hand::{AtHand, complete, stored};
pub use self::error::BootstrapError;
pub use self::key::{BootstrapKey, KeyChoice};
pub use self::known::{KnownAccount, Wishes};
use self::steps::{Backup, Work, plan};
use crate::backup::CurrentBackup;
use crate::cross_signing::{ConfirmedDevice, IdentityWish, KnownKeys};
use crate::identity::CrossSigningKeyError;
use crate::plan::backup_continuity::{BackupState, KnownBackup, RememberedBackup};
use crate::signable::Signable;
use crate::signed_json::{SignatureError, SigningKey};
use crate::{Plan, ProvenKey, Secret, SecretName, Snapshot};

/// What completes an account: a plan, and the private keys that it is about.
///
/// Every part that is there stays, so that doing it twice is doing it once, and going on after an
/// interruption is doing it again. The order of the plan keeps the account usable: first the key of
/// secret storage, then what is published, this device before it is signed, then the secrets, and the
/// default key last.
///
/// Whoever carries it out keeps the [secrets](Self::secrets) on this machine before the plan, because
/// the private half of what is published must not be lost; and afterwards holds on to the master key.
///
/// ```
/// # use fourfold::rand_core::CryptoRng;
/// use fourfold::cross_signing::ConfirmedDevice;
/// use fourfold::plan::{Bootstrap, BootstrapError, BootstrapKey, KeyChoice, KnownAccount};
/// use fourfold::signable::Signable;
/// use fourfold::signed_json::SignatureError;
/// use fourfold::{NewKey, SecretStorage};
/// # #[derive(Debug)] enum Failed { Refused, Unsignable, NeedsAKey }
/// # impl From<BootstrapError> for Failed { fn from(_: BootstrapError) -> Self { Self::Refused } }
/// # impl From<SignatureError> for Failed { fn from(_: SignatureError) -> Self { Self::Unsignable } }
/// # fn example(
/// #     account: &KnownAccount<'_>,
/// #     device: &ConfirmedDevice,
/// #     sign_with_device: impl Fn(&mut Signable) -> Result<(), Failed>,
/// #     rng: &mut impl CryptoRng,
/// # ) -> Result<(), Failed> {
/// let key = match KeyChoice::decide(&SecretStorage::new(account.account_data)) {
///     Ok(KeyChoice::Create) => BootstrapKey::New(NewKey::random(None, rng)),
///     _ => return Err(Failed::NeedsAKey), // ask for one of them, and prove it
/// };
/// let bootstrap = Bootstrap::new(account, &key, device, sign_with_device, rng)?;
/// for step in &bootstrap.plan().steps {
///     println!("{}", step.reason);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Bootstrap {
    plan: Plan,
    keys: KnownKeys,
    /// The private key of the backup, of one that is there or is made.
    backup_key: Option<Secret>,
    is_backup_unknown: bool,
    replaces_identity: bool,
    replaces_pin: bool,
}

impl Bootstrap {
    /// Decides what is to be done. `key` is the key of secret storage that everything goes under,
    /// `device` this device, and `sign` adds the signature of this device, as
    /// [`signed_json::sign_with`](crate::signed_json::sign_with) does.
    ///
    /// # Errors
    ///
    /// [`BootstrapError`], and what `sign` gives.
    pub fn new<E>(
        account: &KnownAccount<'_>,
        key: &BootstrapKey,
        device: &ConfirmedDevice,
        sign: impl Fn(&mut Signable) -> Result<(), E>,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, E>
    where
        E: From<BootstrapError> + From<SignatureError>,
    {
        let mut warnings = Vec::new();
        let at_hand = AtHand::of(account.made_here, account.account_data, key.proven());
        let user_id = account.published.user_id();
        let (keys, new_identity) = match at_hand.new_identity(account, rng)? {
            Some(keys) => {
                let public = keys.public_keys_signed_by(user_id, &sign)?;
                (KnownKeys::from(keys), Some(public))
            }
            None => (at_hand.published(account, &mut warnings)?, None),
        };
        let gives_up_key = account.gives_up_key(key);
        let mut backup = at_hand.backup(account, gives_up_key, &mut warnings, rng)?;
        if let Backup::Make(new) = &mut backup {
            if let Some(master) = keys.master_key() {
                new.sign(|object| master.sign(object, user_id))?;
            }
            new.sign(&sign)?;
        }
        let work = Work {
            keys,
            new_identity,
            backup,
        };
        let mut plan = plan(account, key, device, &work, rng)?;
        plan.warnings.extend(warnings);
        Ok(Self {
            plan,
            replaces_identity: replaces_identity(account),
            replaces_pin: replaces_pin(account, &work.keys),
            backup_key: work.backup.private_key(),
            is_backup_unknown: matches!(work.backup, Backup::Unknown),
            keys: work.keys,
        })
    }

    /// What is to be done; empty when everything is there.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The private keys of the identity, as far as they are known. They belong to what is published,
    /// or to what the plan publishes.
    #[must_use]
    pub fn keys(&self) -> &KnownKeys {
        &self.keys
    }

    /// Everything of it that is in secret storage in the end.
    #[must_use]
    pub fn secrets(&self) -> Vec<(SecretName, Secret)> {
        let mut secrets = self.keys.secrets();
        if let Some(key) = &self.backup_key {
            secrets.push((SecretName::backup_key(), Secret::new(key.expose_secret())));
        }
        secrets
    }

    /// Whether another identity, published or pinned, is replaced: everybody who verified the user
    /// notices.
    #[must_use]
    pub fn replaces_identity(&self) -> bool {
        self.replaces_identity
    }

    /// Whether the user agreed, now or before an interruption, that another identity than the pinned
    /// one is to be held on to.
    #[must_use]
    pub fn replaces_pin(&self) -> bool {
        self.replaces_pin
    }

    /// Whether all private keys of the identity are known, and that of the key backup unless the user
    /// wants none.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.keys.missing().is_empty() && !self.is_backup_unknown
    }

    /// What there is of a key backup when the plan was carried out, by what the server shows then.
    /// `remembered` is what this machine knew of a backup; the private keys are those of this and of
    /// secret storage.
    #[must_use]
    pub fn backup_state(
        &self,
        snapshot: &Snapshot,
        remembered: Option<&RememberedBackup>,
        key: &ProvenKey,
    ) -> BackupState {
        let name = SecretName::backup_key();
        let stored = stored(&snapshot.storage(), key);
        let of_backup = stored.iter().filter(|(of, _)| *of == name);
        let of_backup = of_backup.map(|(_, secret)| secret);
        let published = snapshot.published_keys();
        let current = CurrentBackup::of(snapshot);
        let known = KnownBackup {
            remembered,
            private_keys: self.backup_key.iter().chain(of_backup).collect(),
            ..KnownBackup::shown(&snapshot.account_data, &current)
        };
        known.state(published.has_signed_backup(&snapshot.user_id))
    }
}

/// An identity is replaced where one is published, of whatever kind, or was known here.
fn replaces_identity(account: &KnownAccount<'_>) -> bool {
    let is_published = !matches!(
        account.published.identity().master_key(),
        Err(CrossSigningKeyError::NotPublished)
    );
    let is_pinned = account.trust.is_some_and(|trust| trust.pinned().is_some());
    account.wishes.identity != IdentityWish::Keep && (is_published || is_pinned)
}

/// Keys that were made on this machine were agreed to here.
fn replaces_pin(account: &KnownAccount<'_>, keys: &KnownKeys) -> bool {
    let made_here = complete(account.made_here).map(|keys| keys.master_key().public_key());
    let master = keys.master_key().map(SigningKey::public_key);
    account.wishes.identity != IdentityWish::Keep || (master.is_some() && made_here == master)
}

#[cfg(test)]
mod tests;
