//! The private keys that are at hand, and what they decide.

use rand_core::CryptoRng;

use super::error::BootstrapError;
use super::known::KnownAccount;
use super::steps::Backup;
use crate::cross_signing::{
    CrossSigningKeys, IdentityChoice, IdentityWish, KnownIdentity, KnownKeys, ReplacedIdentity,
};
use crate::plan::backup_continuity::{BackupChoice, KnownBackup};
use crate::{
    AccountData, NewKeyBackup, ProvenKey, PublishedKeys, Secret, SecretName, SecretState,
    SecretStorage, Verdict,
};

/// The secrets that are at hand: those that an interrupted attempt has left on this machine, and
/// those in secret storage.
pub(super) struct AtHand<'a> {
    made_here: &'a [(SecretName, Secret)],
    stored: Vec<(SecretName, Secret)>,
}

impl<'a> AtHand<'a> {
    pub(super) fn of(
        made_here: &'a [(SecretName, Secret)],
        account_data: &AccountData,
        key: &ProvenKey,
    ) -> Self {
        Self {
            made_here,
            stored: stored(&SecretStorage::new(account_data), key),
        }
    }

    /// The identity that is to be published: made now, or known and not published. `None` when the
    /// published one stays.
    pub(super) fn new_identity(
        &self,
        account: &KnownAccount<'_>,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<CrossSigningKeys>, BootstrapError> {
        let known = KnownIdentity {
            published: account.published.identity(),
            trust: account.trust,
            made_here: known_keys(self.made_here),
            stored: known_keys(&self.stored),
            has_stored: has_seeds(&SecretStorage::new(account.account_data)),
            makes_signing_keys: account.wishes.signing_keys,
        };
        let choice = match account.wishes.identity {
            IdentityWish::Keep => known.decide()?,
            IdentityWish::Restore => known.restore()?,
            IdentityWish::Replace => match known.replacement() {
                Some(keys) => IdentityChoice::Publish(keys),
                None => IdentityChoice::Create,
            },
        };
        Ok(match choice {
            IdentityChoice::Create => Some(CrossSigningKeys::generate(rng)),
            IdentityChoice::Keep => None,
            IdentityChoice::Publish(keys) => Some(keys),
            IdentityChoice::Renew(keys) => keys.complete_with_new(rng),
        })
    }

    /// The private keys of the published identity.
    pub(super) fn published(
        &self,
        account: &KnownAccount<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<KnownKeys, BootstrapError> {
        let identity = account.published.identity();
        for key in [identity.master_key(), identity.self_signing_key()] {
            key.map_err(BootstrapError::UnreliableIdentity)?;
        }
        let published_keys = PublishedKeys {
            identity: Some(identity.clone()),
            backup: None,
        };
        let mut keys = KnownKeys::default();
        for (name, secret) in self.all() {
            if matches!(
                published_keys.judge(name, secret),
                Ok(Verdict::Matches { .. })
            ) {
                // The key of a backup is not a key of an identity.
                let _ = keys.learn(name, secret, &published_keys);
            }
        }
        let stored = self.stored.iter().map(|(name, secret)| (name, secret));
        // Of the master key its own line says as much.
        let replaced = ReplacedIdentity::compare(stored, &published_keys);
        if let Some(replaced) = replaced.filter(|replaced| !replaced.is_master_key()) {
            warnings.push(replaced.to_string());
        }
        for (name, secret) in &self.stored {
            if let Err(error) = published_keys.judge(name, secret) {
                warnings.push(format!("{name}: {error}"));
            }
        }
        if keys.secrets().is_empty() {
            return Err(BootstrapError::NoPrivateKeys);
        }
        Ok(keys)
    }

    /// What becomes of the key backup.
    pub(super) fn backup(
        &self,
        account: &KnownAccount<'_>,
        gives_up_key: bool,
        warnings: &mut Vec<String>,
        rng: &mut impl CryptoRng,
    ) -> Result<Backup, BootstrapError> {
        let name = SecretName::backup_key();
        let of_backup = self.all().filter(|(of, _)| *of == name);
        let known = KnownBackup {
            remembered: account.remembered_backup,
            private_keys: of_backup.map(|(_, secret)| secret).collect(),
            is_replaced: account.wishes.backup || gives_up_key,
            ..KnownBackup::shown(account.account_data, account.current_backup)
        };
        Ok(match known.decide()? {
            BackupChoice::Create => {
                let former = account.current_backup.usable();
                if let Some(former) = former.filter(|_| gives_up_key) {
                    warnings.push(format!(
                        "the version {} of the key backup stays; what only it holds cannot be read \
                         unless the former key of secret storage is found",
                        former.version()
                    ));
                }
                Backup::Make(NewKeyBackup::random(rng))
            }
            BackupChoice::DoWithout => {
                warnings
                    .push("no key backup is created: the user turned it off (m.key_backup)".into());
                Backup::Unwanted
            }
            BackupChoice::Keep(secret) => Backup::Known(Secret::new(secret.expose_secret())),
            BackupChoice::Leave(unknown) => {
                warnings.push(format!("the key backup is not changed: {unknown}"));
                Backup::Unknown
            }
        })
    }

    fn all(&self) -> impl Iterator<Item = &(SecretName, Secret)> {
        self.made_here.iter().chain(&self.stored)
    }
}

/// An identity, if all of it is there.
pub(super) fn complete(secrets: &[(SecretName, Secret)]) -> Option<CrossSigningKeys> {
    known_keys(secrets).complete()
}

/// As much of an identity as is there.
fn known_keys(secrets: &[(SecretName, Secret)]) -> KnownKeys {
    let mut keys = KnownKeys::default();
    for (name, secret) in secrets {
        // What is no seed of an identity is not part of one.
        let _ = keys.learn(name, secret, &PublishedKeys::default());
    }
    keys
}

/// The standard secrets that the key opens.
pub(super) fn stored(storage: &SecretStorage<'_>, key: &ProvenKey) -> Vec<(SecretName, Secret)> {
    let standard = SecretName::standard().into_iter();
    let opened = standard.filter_map(|name| {
        let opened = storage.open(&name, key.key()).ok()?;
        Some((name, opened.secret))
    });
    opened.collect()
}

/// Whether secret storage holds seeds of an identity, of use or not.
fn has_seeds(storage: &SecretStorage<'_>) -> bool {
    SecretName::cross_signing().iter().any(|name| {
        matches!(
            storage.secret(name),
            SecretState::Encrypted(_) | SecretState::Malformed(_)
        )
    })
}
